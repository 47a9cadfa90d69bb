"""Runs that several processes make together, tried with threads: one writes, all stop together, errors end all."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from spinase.dynamics import LLGDynamics
from spinase.errors import InputError, SpinaseError
from spinase.io import read_run
from spinase.observers import MagnetizationObserver
from spinase.run import RunOptions, RunStopped, run_file
from spinase.stopping import StopRequest
from spinase.team import ALONE, OtherProcessError, Team, ToldElsewhere, ending_together, in_step

INPUT = """
[atoms]
lattice = "square"
size = [4, 4]
[calculator]
style = "heisenberg"
shells = [1.0]
[[stage]]
driver = "test_team:Divided"
steps = 12
timestep = 0.05
damping = 0.1
[[observer]]
style = "test_team:Look"
every = 4
[output]
every = 4
checkpoint_every = 4
"""


class Threads:
    """The team of one of several threads."""

    def __init__(self, rank: int, barrier: threading.Barrier, values: list[Any]) -> None:
        self.rank, self.size, self._barrier, self._values = rank, barrier.parties, barrier, values
        self.ended: list[BaseException] = []

    def gather(self, value: Any) -> list[Any]:
        """What all have, by rank."""
        self._values[self.rank] = value
        self._barrier.wait(20.0)
        found = list(self._values)
        self._barrier.wait(20.0)
        return found

    def share(self, value: Any) -> Any:
        """What the first has."""
        return self.gather(value)[0]

    def end(self, error: BaseException) -> None:
        """Remember it."""
        self.ended.append(error)


MINE = threading.local()


class Divided(LLGDynamics):
    """A driver of a team, which is to be divided at frames only."""

    divisible = False

    @property
    def team(self) -> Team:  # type: ignore[override]
        """That of the thread."""
        return getattr(MINE, "team", ALONE)


class Look(MagnetizationObserver):
    """An observer, which fails in threads that are told so."""

    def observe(self, atoms: Atoms) -> dict[str, Any]:
        """The magnetization."""
        MINE.looked = getattr(MINE, "looked", 0) + 1
        if getattr(MINE, "failing", 0) == MINE.looked:
            raise SpinaseError("cannot look")
        return super().observe(atoms)


def together(work: Any, size: int = 2) -> list[Any]:
    """What `work(team)` returns or raises in each of several threads."""
    barrier, values = threading.Barrier(size), [None] * size

    def one(rank: int) -> Any:
        MINE.team, MINE.looked = Threads(rank, barrier, values), 0
        try:
            return work(MINE.team)
        except (Exception, RunStopped) as error:
            return error

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(one, range(size)))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The input file; its classes are those of this module."""
    monkeypatch.setitem(sys.modules, "test_team", sys.modules[__name__])
    path = tmp_path / "in.toml"
    path.write_text(INPUT)
    return path


def test_the_first_process_writes_what_one_alone_does(source: Path, tmp_path: Path) -> None:
    def work(team: Team) -> tuple[Path | None, int]:
        return run_file(source, (), RunOptions(output=tmp_path / "two")), MINE.looked

    first, second = together(work)
    assert first == (tmp_path / "two" / "run.h5", 5)  # once for the layout, then at 0, 4, 8 and 12
    assert second == (None, 0)
    run_file(source, (), RunOptions(output=tmp_path / "one"))
    np.testing.assert_array_equal(read_run(tmp_path / "two").moments, read_run(tmp_path / "one").moments)


def test_all_stop_between_steps_and_go_on(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a signal to the second process, then at the frame after a `stop_after`."""
    folder = tmp_path / "two"

    @contextmanager
    def signalled() -> Iterator[StopRequest]:
        yield StopRequest(15 if MINE.team.rank == 1 else None)

    with monkeypatch.context() as patched:
        patched.setattr("spinase.run.execute.stop_signals", signalled)
        first, second = together(lambda team: run_file(source, (), RunOptions(output=folder)))
    assert isinstance(first, RunStopped)
    assert "stopped by signal 15 (SIGTERM) after 0 steps" in str(first)
    assert isinstance(second, ToldElsewhere)
    first, second = together(lambda team: run_file(source, (), RunOptions(folder, restart=True, stop_after=2)))
    assert "after 4 steps" in str(first)
    assert isinstance(second, ToldElsewhere)
    together(lambda team: run_file(source, (), RunOptions(folder, restart=True)))
    run_file(source, (), RunOptions(tmp_path / "one"))
    np.testing.assert_array_equal(read_run(folder).moments, read_run(tmp_path / "one").moments)


def test_an_error_of_the_first_process_is_told_once(source: Path, tmp_path: Path) -> None:
    def work(team: Team) -> Any:
        MINE.failing = 3 if team.rank == 0 else 0
        return run_file(source, (), RunOptions(output=tmp_path / "two"))

    first, second = together(work)
    assert type(first) is SpinaseError
    assert "cannot look" in str(first)
    assert isinstance(second, ToldElsewhere)
    assert "process 0: SpinaseError: cannot look" in str(second)


def test_an_error_of_another_process_is_told_by_the_first(source: Path, tmp_path: Path) -> None:
    def work(team: Team) -> None:
        with ending_together(team), in_step(team):
            if team.rank == 2:
                raise ValueError("no file")

    first, *others = together(work, size=3)
    assert isinstance(first, OtherProcessError)
    assert str(first) == "process 2: ValueError: no file"
    assert all(isinstance(one, ToldElsewhere) for one in others)


def test_a_folder_that_holds_a_run_is_refused_by_all(source: Path, tmp_path: Path) -> None:
    run_file(source, (), RunOptions(output=tmp_path / "two"))
    first, second = together(lambda team: run_file(source, (), RunOptions(output=tmp_path / "two")))
    assert isinstance(first, InputError)
    assert isinstance(second, ToldElsewhere)


def test_stages_of_one_process_beside_divided_ones_are_refused(source: Path) -> None:
    source.write_text(INPUT + '[[stage]]\nname = "slow"\nsteps = 1\ntimestep = 0.1\n')
    first, _ = together(lambda team: run_file(source))
    assert isinstance(first, InputError)
    assert "slow runs on 1 process and other stages on 2" in str(first)
