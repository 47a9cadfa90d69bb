"""Independent tasks in this process, in processes of this machine, or on any executor; each leaves its result in a file.

Labelling and active learning go through here, and any script may.  What is there is never made again, so nothing that
was finished is lost, whatever ends the work.  An executor is chosen by name, a style of the kind ``executors``:
``processes``, ``mpi``
(mpi4py), ``dask``, ``threads``, or a dotted path to a function of one's own ``count -> context manager of an Executor``.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any

from spinase.errors import StyleError, WorkerError
from spinase.stopping import StopRequest, stop_signals
from spinase.styles import load_style

Job = tuple[Any, ...]
"""A function and its further arguments: called as ``function(path, *arguments)``, it writes `path` (whole or not at all)."""
Factory = Callable[[int | None], AbstractContextManager[Executor]]
"""Number of workers (None: as many as there are) -> what gives an executor for a while."""
_PATIENCE = 3  # times in a row that workers may die before a single task is done
_LOOK = 0.2  # seconds between looks at the request to stop


class Workers:
    """Who does the jobs.

    Parameters
    ----------
    count : int
        Workers; 0: this process does the jobs, or (with an executor) as many as that has.
    executor : concurrent.futures.Executor or str, optional
        Anything that runs tasks, which stays open; or the name of a style, which is opened for the jobs and closed after
        them.  Default: ``processes`` of this machine.

    Raises
    ------
    StyleError
        If there is no executor of that name, or what it needs is not installed.
    """

    def __init__(self, count: int = 0, executor: Executor | str | None = None) -> None:
        self._count = count
        self._executor = executor if isinstance(executor, Executor) else None
        named = executor if isinstance(executor, str) else "processes" if count > 0 else None
        self._open: Factory | None = None if named is None else load_style("executors", named)

    def do(
        self,
        jobs: Mapping[Path, Job],
        stop: StopRequest | None = None,
        how_to_go_on: str = "what is finished is kept, the same command goes on",
        done: Callable[[int], None] | None = None,
    ) -> None:
        """Do the jobs whose files are missing; `done` is called with the number of files that are there.

        A worker that dies (killed, out of memory) is replaced, and what it had begun is begun again.  Without a request to
        stop, SIGINT, SIGTERM and SIGHUP are listened to while the jobs are done.

        Parameters
        ----------
        jobs : mapping of Path to Job
            The file that a job writes, and the job.
        stop : StopRequest, optional
            Of a caller that listens to signals itself.
        how_to_go_on : str
            For the message of a stop.
        done : function of int, optional
            Progress.

        Raises
        ------
        RunStopped
            If `stop` asks for it: no job is begun then, and what is being done in processes is given up.
        WorkerError
            If workers die again and again without finishing anything.
        """
        if stop is None:
            with stop_signals() as heard:
                return self.do(jobs, heard, how_to_go_on, done)
        missing = {path: job for path, job in jobs.items() if not path.exists()}
        finished = len(jobs) - len(missing)
        for _ in self._results(missing, stop, how_to_go_on):
            finished += 1
            if done is not None:
                done(finished)
        return stop.check(how_to_go_on)

    def _results(self, jobs: dict[Path, Job], stop: StopRequest, how_to_go_on: str) -> Iterator[None]:
        if self._executor is None and self._open is None:
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
        assert self._open is not None
        with self._open(self._count or None) as own:
            yield own


@contextmanager
def processes(count: int | None = None) -> Iterator[Executor]:
    """Processes of this machine, `count` or as many as there are cores; they end with the process that started them."""
    own = ProcessPoolExecutor(count, get_context("spawn"), start_worker)
    try:
        yield own
    except BaseException:
        for process in (own._processes or {}).values():  # what they do now is given up; files are whole or not there
            process.terminate()
        own.shutdown(wait=True, cancel_futures=True)
        raise
    own.shutdown()


def threads(count: int | None = None) -> AbstractContextManager[Executor]:
    """Threads of this process, for tasks that spend their time in other programs."""
    return ThreadPoolExecutor(count)


def mpi(count: int | None = None) -> AbstractContextManager[Executor]:
    """Ranks of MPI: ``mpiexec -n 5 python -m mpi4py.futures -m spinase.cli label FILE.toml --executor mpi``."""
    try:
        from mpi4py.futures import MPIPoolExecutor
    except ImportError as error:
        raise StyleError(f"the executor 'mpi' needs mpi4py and an MPI library: pip install mpi4py ({error})") from None
    pool: AbstractContextManager[Executor] = MPIPoolExecutor(count)
    return pool


@contextmanager
def dask(count: int | None = None) -> Iterator[Executor]:
    """Workers of dask: of the cluster that ``DASK_SCHEDULER_ADDRESS`` names, or `count` processes of this machine."""
    try:
        from distributed import Client
    except ImportError as error:
        raise StyleError(f"the executor 'dask' needs distributed: pip install distributed ({error})") from None
    here = {} if "DASK_SCHEDULER_ADDRESS" in os.environ else {"n_workers": count, "threads_per_worker": 1}
    with Client(**here) as client:
        yield client.get_executor()


def _as_completed(jobs: dict[Path, Job], pool: Executor, stop: StopRequest, how_to_go_on: str) -> Iterator[Path]:
    """Files as they are done, with looks at the request to stop in between."""
    waiting, running = list(reversed(jobs.items())), dict[Future[None], Path]()
    at_once = getattr(pool, "_max_workers", len(jobs))  # a worker that stops its task in order finds no other one to begin
    while waiting or running:
        try:
            stop.check(how_to_go_on)
        except BaseException:
            for task in running:
                task.cancel()
            raise
        while waiting and len(running) < at_once:
            path, (function, *rest) = waiting.pop()
            running[pool.submit(function, path, *rest)] = path
        for task in wait(running, timeout=_LOOK, return_when="FIRST_COMPLETED").done:
            task.result()
            yield running.pop(task)


def start_worker() -> None:
    """What a worker process does first: it ends with its parent, and leaves an interrupt from the keyboard to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        """End this process as soon as its parent has ended."""
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
