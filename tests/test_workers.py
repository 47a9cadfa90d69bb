"""Independent tasks: nothing finished is lost, workers that die are replaced, a request to stop is heard at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spinase.errors import StyleError, WorkerError
from spinase.files import write_text
from spinase.stopping import RunStopped, StopRequest, stop_signals
from spinase.workers import Workers

AGAIN = "the same command goes on"


def note(path: Path, text: str) -> None:
    """A task: its process and a word."""
    path.write_text(f"{os.getpid()} {text}")


def die_once(path: Path, marks: Path) -> None:
    """A task whose worker is killed the first time it is done."""
    mark = marks / path.name
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    path.write_text("done")


def die(path: Path) -> None:
    """A task that kills its worker whenever it is done."""
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(path: Path) -> None:
    """A task without an end."""
    path.with_suffix(".begun").touch()
    time.sleep(600.0)


def stop_in_order(path: Path) -> None:
    """A task that listens to signals itself, as a run does: it stops where it can go on from."""
    with stop_signals() as heard:
        path.with_suffix(".begun").touch()
        for _ in range(1000):
            if heard.received is not None:
                break
            time.sleep(0.01)
        path.with_suffix(".stopped").touch()
        heard.check("go on")


def jobs(folder: Path, function: object, count: int, *arguments: object) -> dict[Path, tuple[object, ...]]:
    return {folder / f"{k}.txt": (function, *arguments) for k in range(count)}


@pytest.mark.parametrize("kind", ["this process", "processes", "executor"])
def test_every_missing_file_is_made_once(tmp_path: Path, kind: str) -> None:
    (tmp_path / "1.txt").write_text("there before")
    seen: list[int] = []
    with ThreadPoolExecutor(2) as threads:
        workers = Workers(2 if kind == "processes" else 0, threads if kind == "executor" else None)
        workers.do(jobs(tmp_path, note, 4, "word"), StopRequest(), AGAIN, seen.append)
    assert seen == [2, 3, 4]
    assert (tmp_path / "1.txt").read_text() == "there before"
    processes = {int((tmp_path / f"{k}.txt").read_text().split()[0]) for k in (0, 2, 3)}
    assert (os.getpid() in processes) is (kind != "processes")


def test_an_executor_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Workers(2, "threads").do(jobs(tmp_path, note, 3, "word"))
    assert {(tmp_path / f"{k}.txt").read_text() for k in range(3)} == {f"{os.getpid()} word"}
    (tmp_path / "one_thread.py").write_text(
        "from concurrent.futures import ThreadPoolExecutor\n\n\ndef pool(count):\n    return ThreadPoolExecutor(1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    Workers(5, "one_thread:pool").do({tmp_path / "own.txt": (note, "word")})
    assert (tmp_path / "own.txt").exists()
    with pytest.raises(StyleError, match=r"thread.*did you mean 'threads'"):
        Workers(2, "thread")


def test_ranks_of_mpi_do_the_jobs(tmp_path: Path) -> None:
    pytest.importorskip("mpi4py")
    script = tmp_path / "ranks.py"
    script.write_text(
        "from pathlib import Path\n"
        "from spinase.files import write_text\n"
        "from spinase.workers import Workers\n"
        "if __name__ == '__main__':\n"
        "    Workers(2, 'mpi').do({Path(f'{k}.txt'): (write_text, str(k)) for k in range(4)})\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / f"{k}.txt").read_text() for k in range(4)] == ["0", "1", "2", "3"]


def test_workers_of_dask_do_the_jobs(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    Workers(1, "dask").do({tmp_path / f"{k}.txt": (write_text, str(k)) for k in range(3)})
    assert [(tmp_path / f"{k}.txt").read_text() for k in range(3)] == ["0", "1", "2"]


@pytest.mark.parametrize(("name", "package"), [("mpi", "mpi4py.futures"), ("dask", "distributed")])
def test_an_executor_that_is_not_installed_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(StyleError, match=rf"'{name}' needs .*pip install {package.split('.')[0]}"):
        Workers(2, name).do(jobs(tmp_path, note, 1, "word"))


def test_a_worker_that_is_killed_is_replaced_and_its_work_done_again(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    seen: list[int] = []
    Workers(2).do(jobs(tmp_path, die_once, 3, marks), StopRequest(), AGAIN, seen.append)
    assert seen == [1, 2, 3]
    assert len(list(marks.iterdir())) == 3


def test_a_task_that_always_kills_its_worker_ends_in_an_error_and_the_others_are_kept(tmp_path: Path) -> None:
    mixed = {**jobs(tmp_path, note, 2, "word"), tmp_path / "bad.txt": (die,)}
    with pytest.raises(
        WorkerError, match=r"died 3 times in a row .* 1 tasks that are left: use fewer workers; the same command"
    ):
        Workers(1).do(mixed, StopRequest(), AGAIN)
    assert sorted(path.name for path in tmp_path.glob("*.txt")) == ["0.txt", "1.txt"]


def test_an_error_of_a_task_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Workers(1).do({tmp_path / "missing" / "a.txt": (note, "word")}, StopRequest(), AGAIN)


@pytest.mark.parametrize("task", [sleep, stop_in_order])
def test_a_request_to_stop_ends_what_processes_are_doing(tmp_path: Path, task: Callable[[Path], None]) -> None:
    stop = StopRequest()

    class Impatient(StopRequest):
        def check(self, what: str) -> None:
            if list(tmp_path.glob("*.begun")):
                stop.received = signal.SIGTERM
            stop.check(what)

    with pytest.raises(RunStopped, match=r"stopped by signal 15 \(SIGTERM\); the same command goes on"):
        Workers(1).do(jobs(tmp_path, task, 3), Impatient(), AGAIN)
    assert not list(tmp_path.glob("*.txt"))
    begun, stopped = ({path.stem for path in tmp_path.glob(ending)} for ending in ("*.begun", "*.stopped"))
    assert begun == {"0"}, "a worker began another task"
    assert stopped == (begun if task is stop_in_order else set())


def test_no_job_is_begun_after_a_request_to_stop(tmp_path: Path) -> None:
    stop = StopRequest(signal.SIGINT)
    with pytest.raises(RunStopped):
        Workers().do(jobs(tmp_path, note, 2, "word"), stop, AGAIN)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_remembered_and_a_second_one_interrupts(number: int) -> None:
    before = signal.getsignal(number)
    with stop_signals() as stop:
        os.kill(os.getpid(), number)
        assert stop.received == number
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_a_signal_that_came_too_late_for_an_inner_task_stops_the_outer_one() -> None:
    with stop_signals() as outer:
        with stop_signals() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
        assert inner.received == outer.received == signal.SIGTERM
        with pytest.raises(RunStopped, match="by signal 15"):
            outer.check("go on")


def test_a_process_that_ignores_hangups_goes_on_ignoring_them() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stop_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_workers_leave_when_the_command_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(
        "import os, signal\n"
        "from spinase.workers import processes\n"
        "if __name__ == '__main__':\n"
        "    with processes(1) as pool:\n"
        "        print(pool.submit(os.getpid).result(), flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    worker = Path("/proc") / done.stdout.strip() / "stat"
    end = time.monotonic() + 20.0
    while worker.exists() and worker.read_text().split()[2] != "Z":
        assert time.monotonic() < end, "the worker is still there"
        time.sleep(0.1)
