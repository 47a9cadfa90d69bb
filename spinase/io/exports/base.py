"""Frames of a run in the files of other programs, and spins of such files: what the formats share.

A format is a class with options (``Config``), ``write`` and ``read``, registered as ``spinase.exports``.  Vectors are along
the MOMENT in every file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from spinase.errors import InputError
from spinase.files import refuse_foreign
from spinase.io.run_file import Run
from spinase.typing import FloatArray


class ExportOptions(BaseModel):
    """Options of every format: none."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, eq=False)
class SpinFile:
    """Spins as a file has them.

    Attributes
    ----------
    vectors : (M, 3)
        Along the moments, of any length.
    positions : (M, 3) or None
        Of the sites, in Angstrom where the file says so, else in its own lengths; None: sites are told by number.
    """

    vectors: FloatArray
    positions: FloatArray | None


Options = TypeVar("Options", bound=ExportOptions)


class ExportFormat(ABC, Generic[Options]):
    """A format of another program.

    Parameters
    ----------
    options : ExportOptions, optional
        Default: the format's defaults.

    Attributes
    ----------
    many_frames : bool
        Whether one file holds a series of frames.
    patterns : tuple of str
        What its files are usually called (shell patterns).
    """

    Config: ClassVar[type[ExportOptions]] = ExportOptions
    citation: ClassVar[str] = ""
    many_frames: ClassVar[bool] = True
    patterns: ClassVar[tuple[str, ...]] = ()

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or self.Config()

    @classmethod
    def from_config(cls, config: Options) -> ExportFormat[Options]:
        """Format with checked options."""
        return cls(config)

    @abstractmethod
    def write(self, run: Run, frames: Sequence[int], target: Path) -> None:
        """Write frames of a run.

        Parameters
        ----------
        run : Run
            What :func:`~spinase.io.read_run` gave.
        frames : sequence of int
            Which; one alone if a file holds no more.
        target : Path
            File, or folder.

        Raises
        ------
        InputError
            If the format cannot hold the run, or the target is somebody else's.
        """

    @abstractmethod
    def read(self, source: Path, index: int = -1) -> SpinFile:
        """Spins of one frame of a file.

        Parameters
        ----------
        source : Path
            File, or folder.
        index : int
            Frame; from the end if negative.

        Raises
        ------
        InputError
            If it is missing, damaged or of another format, or has no such frame.
        """

    @classmethod
    def knows(cls, path: Path) -> bool:
        """Whether a file is called as those of this format are."""
        return any(fnmatch(path.name.lower(), pattern) for pattern in cls.patterns)


def require_own(target: Path, mark: bytes, what: str) -> None:
    """Refuse to replace a file that does not have `mark` among its first thousand bytes.

    Parameters
    ----------
    target : Path
        Where a file is to be written; nothing there is no mistake.
    mark : bytes
        What the files of this export have near their beginning.
    what : str
        Words for the message.

    Raises
    ------
    InputError
        If it is somebody else's.
    """

    def is_ours(path: Path) -> bool:
        """Whether the mark is there."""
        with open(path, "rb") as file:
            return mark in file.read(1000)

    refuse_foreign(target, is_ours, what)


def chosen(number: int, index: int, source: Path, what: str) -> int:
    """The place from 0 of frame `index` (from the end if negative) among `number`.

    Parameters
    ----------
    number : int
        Frames that are there.
    index : int
        Which of them; -1: the last.
    source : Path
        File, for the message.
    what : str
        What it holds, in the plural, for the message.

    Raises
    ------
    InputError
        If there is no such frame.
    """
    if not -number <= index < number:
        raise InputError(f"{source} has {number} {what}: there is none with index {index}")
    return index % number


def numbers_in(text: str, columns: int, source: Path) -> FloatArray:
    """Rows of numbers, (rows, columns), from text with blanks or commas between them.

    Parameters
    ----------
    text : str
        Blanks, line ends or commas stand between the numbers.
    columns : int
        Numbers of a row.
    source : Path
        File, for the message.

    Raises
    ------
    InputError
        If something is no number, or the numbers do not fill their rows.
    """
    try:
        found = np.array(text.replace(",", " ").split(), dtype=np.float64)
        return found.reshape(-1, columns)
    except ValueError:
        raise InputError(f"{source} is damaged: rows of {columns} numbers are needed in its data") from None


__all__ = ["ExportFormat", "ExportOptions", "SpinFile", "chosen", "numbers_in", "require_own"]
