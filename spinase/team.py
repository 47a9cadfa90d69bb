"""Processes that make one run together, as far as a run must know: the first one speaks for all, errors end all.

Nothing here knows how processes talk.  A driver that is divided among processes brings its team
(``spinase.contract.Driver.team``); every other driver is :data:`ALONE`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from spinase.errors import SpinaseError

T = TypeVar("T")


class Team(Protocol):
    """Processes that run the same program on the same magnet; all call the same methods in the same order.

    Attributes
    ----------
    rank, size : int
        The number of this process, from 0, and how many there are.
    """

    @property
    def rank(self) -> int:
        """The number of this process; 0 writes and speaks."""
        ...

    @property
    def size(self) -> int:
        """How many processes there are."""
        ...

    def share(self, value: T) -> T:
        """What process 0 has, on all."""
        ...

    def gather(self, value: T) -> list[T]:
        """What all have, by rank, on all."""
        ...

    def end(self, error: BaseException) -> None:
        """This process ends with an error.

        Returns when all others do so, too; if they go on (and would wait for this one for ever), tells the error and ends
        all of them.
        """
        ...


class Alone:
    """The team of one process."""

    rank, size = 0, 1

    def share(self, value: T) -> T:
        """The value."""
        return value

    def gather(self, value: T) -> list[T]:
        """The value."""
        return [value]

    def end(self, error: BaseException) -> None:
        """Nobody waits."""


ALONE = Alone()


class OtherProcessError(SpinaseError):
    """Another process of the team failed; its words."""


class ToldElsewhere(SpinaseError):  # noqa: N818
    """This process ends because the run does; process 0 says why."""


@contextmanager
def in_step(team: Team) -> Iterator[None]:
    """What processes do on their own, such as writing: if one fails all do, at the end of it.

    Parameters
    ----------
    team : Team
        All of its processes must come here.

    Raises
    ------
    OtherProcessError
        On process 0, if another one failed.
    ToldElsewhere
        On the others, if any failed.
    """
    failed: Exception | None = None
    try:
        yield
    except Exception as error:
        failed = error
    words = team.gather(None if failed is None else f"{type(failed).__name__}: {failed}")
    first = next((rank for rank, word in enumerate(words) if word is not None), None)
    if first is None:
        return
    if team.rank > 0:
        raise ToldElsewhere(f"process {first}: {words[first]}") from failed
    if failed is not None:
        raise failed
    raise OtherProcessError(f"process {first}: {words[first]}")


@contextmanager
def ending_together(team: Team) -> Iterator[None]:
    """An error inside ends all processes, and process 0 tells it if all have one.

    Parameters
    ----------
    team : Team
        All of its processes must come here.

    Raises
    ------
    ToldElsewhere
        On all processes but the first, whatever was raised there.
    """
    try:
        yield
    except BaseException as error:
        team.end(error)
        if team.rank > 0:
            raise ToldElsewhere(str(error)) from error
        raise


__all__ = ["ALONE", "Alone", "OtherProcessError", "Team", "ToldElsewhere", "ending_together", "in_step"]
