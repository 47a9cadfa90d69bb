"""UppASD's ``inpsd.dat``: keywords with their words, each known and understood, or refused by name."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from spinase.errors import AccuracyWarning, InputError
from spinase.io.exchange.text import Line, is_number, lines_of, number, read_text, whole
from spinase.io.exchange.uppasd_keywords import AT_REST, IGNORED, READ, REFUSED

_OFF = {"n", "f", "false", ".false.", "0"}
_COMMENT = tuple("#!%*=")


@dataclass(frozen=True)
class UppasdInput:
    """Keywords of an input file.

    Attributes
    ----------
    path : Path
        The file.
    entries : mapping
        Line of every keyword that is read, its words without the keyword; of ``cell`` nine numbers.
    """

    path: Path
    entries: dict[str, Line]

    def has(self, key: str) -> bool:
        """Whether a keyword is there."""
        return key in self.entries

    def word(self, key: str, default: str) -> str:
        """First word of a keyword, or the default."""
        if key not in self.entries:
            return default
        line = self.entries[key]
        if not line.words:
            raise InputError(f"{line}: {key} has no value")
        return line.words[0]

    def real(self, key: str, default: float) -> float:
        """A number."""
        return number(self.word(key, repr(default)), self.where(key))

    def whole(self, key: str, default: int) -> int:
        """A whole number."""
        return whole(self.word(key, str(default)), self.where(key))

    def on(self, key: str, default: str = "N") -> bool:
        """A switch: Y, T or .true. against N, F or .false."""
        value = self.word(key, default).lower().strip(".")
        if value[:1] not in ("y", "t", "n", "f"):
            raise InputError(f"{self.where(key)}: {value!r} is neither yes nor no")
        return value[:1] in ("y", "t")

    def where(self, key: str) -> str:
        """Line of a keyword, for messages."""
        return f"{self.entries[key]}, {key}" if key in self.entries else f"{self.path}, {key}"

    def rows(self, key: str, default: str | None = None) -> list[Line]:
        """Lines of the file that a keyword names, none without the keyword."""
        if key not in self.entries and default is None:
            return []
        return list(lines_of(self.path.parent / self.word(key, default or "")))


def read_input(path: Path, leave_out: Collection[str], cell_is_given: bool = False) -> UppasdInput:
    """Read ``inpsd.dat`` word by word; later entries of a keyword replace earlier ones, as in UppASD.

    Parameters
    ----------
    path : Path
        ``inpsd.dat``.
    leave_out : collection of str
        Keywords to do without; each must be one that is known.
    cell_is_given : bool
        Whether a cell comes from elsewhere, so that the file needs none.

    Raises
    ------
    InputError
        If it cannot be read, on an unknown keyword, and for what is not understood and not in `leave_out`.
    """
    unknown = sorted(set(leave_out) - set(REFUSED) - READ)
    if unknown:
        raise InputError(
            f"leave_out: {unknown[0]!r} is no keyword that is refused or read; these are {', '.join(sorted(REFUSED))}"
        )
    without = {*leave_out, *(("do_anisotropy", "mult_axis") if "anisotropy" in leave_out else ())}
    entries: dict[str, Line] = {}
    lines = list(_lines(path))
    last = ""
    for k, line in enumerate(lines):
        key = line.words[0].rstrip(":").lower()
        if is_number(key):
            if last in READ - {"cell"} and last not in without:
                raise InputError(f"{line}: numbers follow {last}, which takes one line")
            continue
        last = key
        _require_known(line, key)
        if key == "cell":
            words = _nine(line, lines[k + 1 :])
            if (len(words) == 9) == cell_is_given:
                told = "it is given as cell=..., too" if cell_is_given else "give cell=... if the file has none"
                raise InputError(f"{line}: the cell has {len(words)} of nine numbers; {told}")
            if not cell_is_given:
                entries[key] = Line(line.path, line.number, words)
        elif key not in without:
            entries[key] = Line(line.path, line.number, line.words[1:])
    for key, line in entries.items():
        _refuse(key, line)
    _warn_at_rest(path, entries)
    return UppasdInput(path, {key: line for key, line in entries.items() if key in READ})


def _lines(path: Path) -> Iterator[Line]:
    """Lines that begin with a word or a number; a comment begins with one of # ! % * =."""
    for count, text in enumerate(read_text(path).splitlines(), 1):
        words = text.split()
        if words and not words[0].startswith(_COMMENT):
            yield Line(path, count, tuple(words))


def _require_known(line: Line, key: str) -> None:
    if key not in READ and key not in REFUSED and key not in AT_REST and key not in IGNORED:
        close = get_close_matches(key, [*READ, *REFUSED, *AT_REST, *IGNORED], n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise InputError(f"{line}: {line.words[0]!r} is no keyword of UppASD{hint}")


def _nine(line: Line, following: list[Line]) -> tuple[str, ...]:
    """The numbers of the cell, nine or fewer, which may go on for three lines."""
    words: list[str] = []
    for row in [line.words[1:], *(one.words for one in following[:8])]:
        numbers: list[str] = []
        for word in row:
            if not is_number(word) or len(words) + len(numbers) == 9:
                break
            numbers.append(word)
        if not numbers and len(words) < 9 and row is not line.words[1:]:
            break
        words += numbers
    return tuple(words)


def _refuse(key: str, line: Line) -> None:
    """Refuse what is not understood, unless it is off or zero."""
    if key not in REFUSED:
        return
    word = line.words[0].lower() if line.words else ""
    if word in _OFF or (is_number(word) and not number(word, "")):
        return
    raise InputError(
        f"{line}: {key} {' '.join(line.words[:3])}: not read: {REFUSED[key]}; leave_out=[{key!r}] reads the rest"
    )


def _warn_at_rest(path: Path, entries: dict[str, Line]) -> None:
    left = [f"{key} ({AT_REST[key]})" for key in entries if key in AT_REST]
    if left:
        warnings.warn(
            f"{path}: {', '.join(left)}: left out, they act on displaced atoms only",
            AccuracyWarning,
            stacklevel=4,
        )


__all__ = ["UppasdInput", "read_input"]
