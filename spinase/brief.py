"""Short texts for interactive use: what an object is, in one line."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

import numpy as np

_MANY = 6  # numbers that are shown one by one
_LONG = 80  # characters


def brief(value: Any) -> str:
    """`value` in a few characters: numbers to six digits, small arrays in full, large ones by their shape."""
    if isinstance(value, np.ndarray):
        return brief(value.tolist()) if value.size <= _MANY else f"<array {value.shape}>"
    if isinstance(value, bool | str):
        return repr(value)
    if isinstance(value, float | int | np.number):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {brief(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        inside = ", ".join(brief(entry) for entry in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    text = repr(value)
    return text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."


class Brief:
    """Base of results (dataclasses with ``repr=False``) that show themselves in one line, large arrays by their shape."""

    def __repr__(self) -> str:
        return call(type(self).__name__, **{one.name: getattr(self, one.name) for one in fields(cast(Any, self))})


def shown(function: str) -> Any:
    """A function of :mod:`spinase.viz` by name: drawing is on a floor above, and needed only where somebody looks.

    Parameters
    ----------
    function : str
        ``module:name`` within that room.
    """
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(f"spinase.viz.{module}"), name)


def one_line(text: object, most: int = 160) -> str:
    """A text of somebody else (an error, a word of a file) as at most so many printable characters in one line."""
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(str(text).split()))
    return line if len(line) <= most else f"{line[: most - 3]}..."


def call(name: str, *given: Any, **named: Any) -> str:
    """``name(given, named=...)`` in short form; named values that are None are left out."""
    parts = [brief(value) for value in given] + [
        f"{key}={brief(value)}" for key, value in named.items() if value is not None
    ]
    return f"{name}({', '.join(parts)})"
