"""Styles: everything a user can choose by name, found through entry points.

Built-ins and plugins register alike, in the groups ``spinase.calculators``, ``spinase.drivers``,
``spinase.integrators``, ``spinase.thermostats``, ``spinase.barostats``, ``spinase.minimizers``,
``spinase.initializers``, ``spinase.observers``, ``spinase.formats``, ``spinase.exports``, ``spinase.commands``,
``spinase.models`` (trunks of learned magnets) and ``spinase.readouts`` (what their parts mean).
Listing imports nothing, and a package that is broken or written for another version of spinase takes no other one down.
A name may carry a variant (``kpm/torch``).  Wherever a name is accepted, so is a dotted path
``module:Class``, also of a class that knows nothing of spinase (``ase.calculators.emt:EMT``).
"""

from __future__ import annotations

import difflib
import importlib
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

from spinase.errors import StyleError
from spinase.installed import TRAINED, Package, packages

KINDS = (
    "calculators",
    "drivers",
    "integrators",
    "thermostats",
    "barostats",
    "minimizers",
    "initializers",
    "observers",
    "formats",
    "exports",
    "commands",
    "models",
    "readouts",
)


@dataclass(frozen=True)
class Style:
    """A named choice.

    Attributes
    ----------
    kind, name : str
        Such as ``calculators`` and ``ed``.
    target : str
        Where it is defined, ``module:attribute``.
    owner : Package or None
        The package that brings it; None for a dotted path.
    """

    kind: str
    name: str
    target: str
    owner: Package | None = None

    @property
    def package(self) -> str:
        """Name of the package that brings it; empty for a dotted path."""
        return self.owner.name if self.owner else ""

    @property
    def version(self) -> str:
        """Version of that package."""
        return self.owner.version if self.owner else ""

    def load(self) -> Any:
        """Import the class or function.

        Raises
        ------
        StyleError
            If the package was written for another version of spinase, or if the import fails, naming the package, what
            is missing and how to install it.
        """
        if self.owner is not None and self.owner.problem:
            raise StyleError(f"{self.kind[:-1]} {self.name!r} of {self.package} {self.version}: {self.owner.problem}")
        module, _, attribute = self.target.partition(":")
        try:
            place = importlib.import_module(module)
        except Exception as error:  # whatever a plugin or a script raises when it is imported
            owner = self.package or "your input file"
            raise StyleError(
                f"{self.kind[:-1]} {self.name!r} of {owner} cannot be imported, {self._reason(module, error)}"
            ) from error
        try:
            return attrgetter(attribute)(place)
        except AttributeError:
            names = [name for name in vars(place) if not name.startswith("_")]
            raise StyleError(
                f"{module} has no {attribute!r}, which {self.kind[:-1]} {self.name!r} points to{nearest(attribute, names)}"
            ) from None

    def _reason(self, module: str, error: Exception) -> str:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if not missing:
            return f"{type(error).__name__}: {error}"
        if self.owner is None and f"{module}.".startswith(f"{missing}."):
            return f"there is no module {missing!r}, neither beside the input file nor among the installed packages"
        needs = self.owner.missing() if self.owner else []  # a module may have another name than the package it comes in
        packages = " ".join(shlex.quote(line) for line in needs) or missing.partition(".")[0]
        return f"{missing!r} is missing: pip install {packages}"


@cache
def _installed() -> tuple[Style, ...]:
    points = ((package, *point) for package in packages() for point in package.points)
    return tuple(Style(kind, name, target, package) for package, kind, name, target in points if kind != TRAINED)


def broken_packages() -> list[str]:
    """What is wrong with installed packages of styles that cannot be used, a line for each."""
    return [f"{owner.name} {owner.version}".strip() + f": {owner.problem}" for owner in packages() if owner.problem]


def registry_problems() -> list[str]:
    """Packages that cannot be used, and names that two packages bring: everything else works in spite of them."""
    counts = Counter((style.kind, style.name) for style in _installed())
    return broken_packages() + [_twins(kind, name) for (kind, name), count in counts.items() if count > 1]


def _twins(kind: str, name: str) -> str:
    owners = " and ".join(f"{s.package} ({s.target})" for s in _installed() if (s.kind, s.name) == (kind, name))
    return f"two packages bring a {kind[:-1]} called {name!r}: {owners}; uninstall one, or use the path"


def list_styles(kind: str | None = None) -> list[Style]:
    """All styles, or those of one kind, by kind and name; nothing is imported.

    Raises
    ------
    StyleError
        On an unknown kind.
    """
    kinds = sorted({*KINDS, *(style.kind for style in _installed())})
    if kind is not None and kind not in kinds:
        raise StyleError(f"unknown kind of style {kind!r}{nearest(kind, kinds)}; kinds: {', '.join(kinds)}")
    return sorted((s for s in _installed() if kind in (None, s.kind)), key=lambda s: (s.kind, s.name))


def find_style(kind: str, name: str) -> Style:
    """The style called `name`, or the one a dotted path ``module:Class`` points to.

    Parameters
    ----------
    kind : str
        Such as ``calculators``.
    name : str
        Name, or dotted path.

    Raises
    ------
    StyleError
        If there is none (with the nearest match), or if two packages bring one of that name.
    """
    if ":" in name:
        if not re.fullmatch(r"[\w.]+:[\w.]+", name):
            raise StyleError(f"{name!r} is no path of a {kind[:-1]}: write module:Class, e.g. ase.calculators.emt:EMT")
        return Style(kind, name, name)
    matches = [style for style in list_styles(kind) if style.name == name]
    if len(matches) > 1:
        raise StyleError(_twins(kind, name))
    if not matches:
        names = [style.name for style in list_styles(kind)]
        unread = "".join(f"; {line}" for line in broken_packages())
        listing = f"{', '.join(names) or 'none'}{unread}"
        raise StyleError(f"unknown {kind[:-1]} {name!r}{nearest(name, names)}; installed: {listing}")
    return matches[0]


def load_style(kind: str, name: str) -> Any:
    """The class or function of a style (see :func:`find_style`).

    Parameters
    ----------
    kind, name : str
    """
    return find_style(kind, name).load()


def style_name(kind: str, target: type) -> str:
    """What a file calls a class: the name of its style, or else its dotted path.

    Parameters
    ----------
    kind : str
    target : type

    Raises
    ------
    StyleError
        If it has neither: a class inside a function cannot be found again.
    """
    path = f"{target.__module__}:{target.__qualname__}"
    if "<locals>" in path:
        raise StyleError(f"{path} is inside a function, and nobody else can find it there: define it in a module")
    return next((style.name for style in list_styles(kind) if style.target == path), path)


def make_importable(folder: Path) -> None:
    """Let dotted paths find scripts in `folder`, for the rest of the process (a script may import more while it runs).

    The folder goes to the end of ``sys.path``: a script called ``ase.py`` must not hide the package.  Run files call this
    only if they name a dotted path; nothing else makes the folder of an input file importable.
    """
    entry = str(folder.resolve())
    if entry not in sys.path:
        sys.path.append(entry)


def nearest(word: str, words: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` or nothing.

    Parameters
    ----------
    word : str
        What was written.
    words : iterable of str
        What there is.
    """
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
