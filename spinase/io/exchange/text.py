"""Words and numbers of line-oriented files, with the line in every message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spinase.errors import InputError

_REAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?0*\d{1,2})?")  # larger exponents would overflow
_WHOLE = re.compile(r"[+-]?0*[0-9]{1,18}")  # more digits would overflow


def read_text(path: Path) -> str:
    """Content of a text file.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError:  # bytes that are no text, or a name that no file can have
        raise InputError(f"{str(path)!r} is no text file") from None


def is_number(word: str) -> bool:
    """Whether a word is a finite number, also with a Fortran exponent (1.0d-3)."""
    return _REAL.fullmatch(word) is not None


def number(word: str, where: str) -> float:
    """A finite number, the whole word of it; InputError naming `where` otherwise."""
    if not is_number(word):
        raise InputError(f"{where}: {word!r} is no number")
    return _value(word)


def _value(word: str) -> float:
    return float(word.lower().replace("d", "e"))


def whole(word: str, where: str) -> int:
    """A whole number, the whole word of it; InputError naming `where` otherwise."""
    if _WHOLE.fullmatch(word) is None:
        raise InputError(f"{where}: {word!r} is no whole number")
    return int(word)


@dataclass(frozen=True)
class Line:
    """Words of one line of a file."""

    path: Path
    number: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path}, line {self.number}"

    def reals(self, start: int, stop: int) -> list[float]:
        """Numbers in columns `start` to `stop` (from 0); InputError on a column that is missing or no number."""
        words = self._columns(start, stop)
        if not all(map(is_number, words)):  # messages are made only where they are needed: files are long
            return [number(word, f"{self}, column {start + k + 1}") for k, word in enumerate(words)]
        return [_value(word) for word in words]

    def wholes(self, start: int, stop: int) -> list[int]:
        """Whole numbers in columns `start` to `stop` (from 0); InputError on a column that is missing or none."""
        words = self._columns(start, stop)
        if not all(map(_WHOLE.fullmatch, words)):
            return [whole(word, f"{self}, column {start + k + 1}") for k, word in enumerate(words)]
        return [int(word) for word in words]

    def _columns(self, start: int, stop: int) -> tuple[str, ...]:
        if len(self.words) < stop:
            raise InputError(f"{self} has {len(self.words)} columns, {stop} are needed: {' '.join(self.words)!r}")
        return self.words[start:stop]


def lines_of(path: Path, comments: str = "#!%") -> Iterator[Line]:
    """Lines that are neither empty nor comments; what follows one of the characters `comments` is one."""
    for count, text in enumerate(read_text(path).splitlines(), 1):
        words = re.split(f"[{re.escape(comments)}]", text, maxsplit=1)[0].split()
        if words:
            yield Line(path, count, tuple(words))


__all__ = ["Line", "is_number", "lines_of", "number", "read_text", "whole"]
