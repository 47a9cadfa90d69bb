"""MPI's processes as the team of a run."""

from __future__ import annotations

import sys
import time
from typing import Any, TypeVar

from mpi4py import MPI

from spinase.team import ALONE, Team

T = TypeVar("T")
_PATIENCE = 5.0  # seconds in which other processes come to the same error
_BAD_INPUT, _STOPPED = 2, 3  # exit statuses of `spinase`


class MPITeam:
    """The processes of a communicator (:class:`spinase.team.Team`).

    Parameters
    ----------
    comm : mpi4py communicator
        Which is copied, so that nobody else's messages are taken.
    """

    def __init__(self, comm: Any) -> None:
        self._comm, self._last = comm.Dup(), comm.Dup()

    @property
    def rank(self) -> int:
        """The number of this process."""
        return int(self._comm.rank)

    @property
    def size(self) -> int:
        """How many there are."""
        return int(self._comm.size)

    def share(self, value: T) -> T:
        """What process 0 has, on all."""
        return self._comm.bcast(value)  # type: ignore[no-any-return]

    def gather(self, value: T) -> list[T]:
        """What all have, on all."""
        return self._comm.allgather(value)  # type: ignore[no-any-return]

    def end(self, error: BaseException) -> None:
        """Wait for the others to come to an error; if they do not, tell this one and end all."""
        others, late = self._last.Ibarrier(), time.monotonic() + _PATIENCE
        while not others.Test():
            if time.monotonic() > late:
                print(f"Error: process {self.rank}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
                self._comm.Abort(_STOPPED if getattr(error, "stopped", False) else _BAD_INPUT)
            time.sleep(0.01)


_teams: dict[int, MPITeam] = {}


def team_of_processes(comm: Any = None) -> Team:
    """The team of a communicator, by default of all processes; one for each communicator."""
    found = MPI.COMM_WORLD if comm is None else comm
    if found.size == 1:
        return ALONE
    if found.handle not in _teams:
        _teams[found.handle] = MPITeam(found)
    return _teams[found.handle]


__all__ = ["MPITeam", "team_of_processes"]
