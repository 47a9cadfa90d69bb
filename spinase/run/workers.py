"""Independent tasks in this process, in processes of this machine, or on any executor; each leaves its result in a file.

What is there is never made again, so nothing that was finished is lost, whatever ends the work.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any

from spinase.errors import WorkerError
from spinase.run.stopping import StopRequest

Job = tuple[Any, ...]
"""A function and its further arguments: called as ``function(path, *arguments)``, it writes `path` (whole or not at all)."""
_PATIENCE = 3  # times in a row that workers may die before a single task is done
_LOOK = 0.2  # seconds between looks at the request to stop


class Workers:
    """Who does the jobs.

    Parameters
    ----------
    count : int
        Processes of this machine; 0: this process.
    executor : concurrent.futures.Executor, optional
        Anything that runs tasks (``mpi4py.futures``, dask, ...), instead of processes of this machine; it stays open.
    """

    def __init__(self, count: int = 0, executor: Executor | None = None) -> None:
        self._count, self._executor = count, executor

    def do(
        self, jobs: Mapping[Path, Job], stop: StopRequest, how_to_go_on: str, done: Callable[[int], None] | None = None
    ) -> None:
        """Do the jobs whose files are missing; `done` is called with the number of files that are there.

        A worker that dies (killed, out of memory) is replaced, and what it had begun is begun again.

        Raises
        ------
        RunStopped
            If `stop` asks for it: no job is begun then, and what is being done in processes is given up.
        WorkerError
            If workers die again and again without finishing anything.
        """
        missing = {path: job for path, job in jobs.items() if not path.exists()}
        finished = len(jobs) - len(missing)
        for _ in self._results(missing, stop, how_to_go_on):
            finished += 1
            if done is not None:
                done(finished)
        stop.check(how_to_go_on)

    def _results(self, jobs: dict[Path, Job], stop: StopRequest, how_to_go_on: str) -> Iterator[None]:
        if self._executor is None and self._count < 1:
            for path, (function, *arguments) in jobs.items():
                stop.check(how_to_go_on)
                yield function(path, *arguments)
            return
        deaths = 0
        while jobs:
            before = len(jobs)
            try:
                with self._pool() as pool:
                    for path in _as_completed(jobs, pool, stop, how_to_go_on):
                        del jobs[path]
                        yield
            except BrokenExecutor as error:
                for path in [path for path in jobs if path.exists()]:  # done, but its worker could not say so
                    del jobs[path]
                    yield
                deaths = deaths + 1 if len(jobs) == before else 0
                if self._executor is not None or deaths >= _PATIENCE:
                    raise WorkerError(
                        f"workers died {max(deaths, 1)} times in a row (killed, or out of memory?) and finished none of the "
                        f"{len(jobs)} tasks that are left: use fewer workers; {how_to_go_on}"
                    ) from error

    @contextmanager
    def _pool(self) -> Iterator[Executor]:
        if self._executor is not None:
            yield self._executor
            return
        own = ProcessPoolExecutor(self._count, get_context("spawn"), start_worker)
        try:
            yield own
        except BaseException:
            for process in (own._processes or {}).values():  # what they do now is given up; files are whole or not there
                process.terminate()
            own.shutdown(wait=True, cancel_futures=True)
            raise
        own.shutdown()


def _as_completed(jobs: dict[Path, Job], pool: Executor, stop: StopRequest, how_to_go_on: str) -> Iterator[Path]:
    """Files as they are done, with looks at the request to stop in between."""
    running: dict[Future[None], Path] = {
        pool.submit(function, path, *rest): path for path, (function, *rest) in jobs.items()
    }
    left = set(running)
    while left:
        try:
            stop.check(how_to_go_on)
        except BaseException:
            for task in left:
                task.cancel()
            raise
        finished, left = wait(left, timeout=_LOOK, return_when="FIRST_COMPLETED")
        for task in finished:
            task.result()
            yield running[task]


def start_worker() -> None:
    """What a worker process does first: it ends with its parent, and leaves an interrupt from the keyboard to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
