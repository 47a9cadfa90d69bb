"""Installed packages that bring styles, read from the metadata that pip leaves behind: nothing of them is imported.

A package of styles says which version of the interface it was written for by one entry point: in the group
``spinase.api``, the version is the name and the package's module the value (``1 = "spinase_template"``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions

API = 1
"""Version of what plugins may use: it rises when a plugin that worked before may stop working."""
OLDEST_API = 1
"""The oldest version that is still kept."""
TRAINED = "trained"
"""Group of model files that plugins bring: data, no styles (see :mod:`spinase.learning.shipped`)."""
_PREFIX = "spinase."
_API_GROUP = "spinase.api"


@dataclass(frozen=True)
class Package:
    """A package that brings styles.

    Attributes
    ----------
    name, version : str
        Of the distribution.
    points : tuple of (kind, name, target)
        Its styles, in the order of its metadata.
    needs : tuple of str
        Requirements, as its metadata has them.
    problem : str
        Why none of its styles can be used; empty if they can.
    """

    name: str
    version: str
    points: tuple[tuple[str, str, str], ...] = ()
    needs: tuple[str, ...] = ()
    problem: str = ""

    def missing(self) -> list[str]:
        """Requirements, also those of extras but for tests, of which no version is installed; without their markers."""
        found = []
        for line in self.needs:
            wanted, _, marker = line.partition(";")
            name = re.match(r"[\w.-]+", wanted.strip())
            if name is not None and not re.search(r"extra\s*==\s*['\"]tests?['\"]", marker) and not _is_installed(name[0]):
                found.append(wanted.strip())
        return list(dict.fromkeys(found))


@cache
def packages() -> tuple[Package, ...]:
    """Packages with entry points ``spinase.<kind>``, in the order of ``sys.path``; one that cannot be read says why."""
    found: dict[str, Package] = {}
    for dist in distributions():
        package = _package(dist)
        if package is not None:
            found.setdefault(re.sub(r"[-_.]+", "-", package.name).lower(), package)
    return tuple(found.values())


def _package(dist: Distribution) -> Package | None:
    """The package of a distribution with styles; None for any other one.  Whatever is wrong with it stays its own."""
    name, version = str(getattr(dist, "_path", "a package")), ""
    try:
        if _PREFIX not in (dist.read_text("entry_points.txt") or ""):
            return None
        name, version = dist.metadata["Name"], dist.metadata["Version"]
        points = [point for point in dist.entry_points if point.group.startswith(_PREFIX)]
        needs = tuple(dist.requires or ())
    except Exception as error:  # metadata may be damaged in any way
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Package(name, version, problem=f"its metadata cannot be read, {why}; install it again")
    written = [point.name for point in points if point.group == _API_GROUP]
    styles = ((p.group.removeprefix(_PREFIX), p.name, p.value) for p in points if p.group != _API_GROUP)
    return Package(name, version, tuple(dict.fromkeys(styles)), needs, "; ".join(_outdated(name, written)))


def _outdated(name: str, written: list[str]) -> Iterator[str]:
    """What is wrong with the versions of the interface that a package says it was written for."""
    if len(written) > 1:
        yield f"it declares {len(written)} versions of the interface ({', '.join(written)}), one is possible"
    for version in written:
        if not version.isdigit():
            yield f"it was written for version {version!r} of the interface, which is no whole number"
        elif int(version) < OLDEST_API:
            yield (
                f"it was written for version {version} of the interface, and this spinase needs {OLDEST_API} or later: "
                f"pip install --upgrade {name}"
            )
        elif int(version) > API:
            yield (
                f"it was written for version {version} of the interface, and this spinase has {API}: "
                "pip install --upgrade spinase"
            )


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
