"""Neighbour shells: groups of distances between which there are clear gaps, and windows about given distances.

Which shell a pair belongs to is a function of the positions alone, and it never changes without a word: between "one shell"
and "two shells", and at the edge of a window, lies a zone that is refused.  Atoms that move keep their bonds or stop there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import Field

from spinase.errors import InvalidGeometryError
from spinase.geometry import Bonds, Geometry, extent_of, find_bonds, nearest_distance
from spinase.typing import BoolArray, FloatArray, IntArray

Species = tuple[int, int]
ShellDistances = Annotated[
    list[float] | None,
    Field(description="distances of the shells; default: found by the gaps between the distances [length]"),
]
"""Option of input files: given distances of shells."""
ShellWidth = Annotated[
    float | None,
    Field(
        gt=0,
        lt=0.5,
        description="gap within a shell, as part of the shortest distance (default 0.01); with `distances`: half a shell's "
        "width, as part of its distance (default 0.1) [1]",
    ),
]
"""Option of input files: how wide a shell is."""

WIDTH = 0.01
"""Gap within a shell, as part of the shortest distance."""
WINDOW = 0.1
"""Half the width of a shell about a given distance, as part of that distance."""
_CLEAR = 4.0  # gaps between shells are at least so many widths
_NOISE = 0.25  # noise spreads a shell: gaps up to two widths are within it if they are this small a part of its spread
_RIM = 1.5  # distances beyond a window, up to so many times its half width, are refused
_SHARE = 0.4  # of the way to the next given distance: windows end there, so that their rims meet halfway
_BEYOND = 0.2  # of the shortest distance: what is beyond the last shell may be spread more, it need not have shells
_TIE = 1e-9


class LonelySiteError(InvalidGeometryError):
    """A site has no neighbour in the first shell."""


@dataclass(frozen=True, eq=False)
class Shells:
    """Ranges of distance: shell n holds the pairs with ``shortest[n] <= r <= longest[n]``.

    Attributes
    ----------
    distances : (n,)
        Of the shells (the mean of each shell's different distances, or as given), length.
    shortest, longest : (n,)
        Limits, length; ``longest`` ascends.
    """

    distances: FloatArray
    shortest: FloatArray
    longest: FloatArray

    def __len__(self) -> int:
        return len(self.distances)

    @property
    def reach(self) -> float:
        """A cutoff that holds all shells."""
        return float(self.longest[-1]) * (1.0 + _TIE)

    def sort(self, distances: FloatArray) -> tuple[IntArray, BoolArray]:
        """Shell of each distance up to :attr:`reach`, and whether it is within that shell."""
        shell = np.minimum(np.searchsorted(self.longest * (1.0 + _TIE), distances), len(self) - 1)
        return shell, distances >= self.shortest[shell] * (1.0 - _TIE)


def find_shells(geometry: Geometry, count: int, width: float = WIDTH, pair: Species | None = None) -> Shells:
    """The first `count` neighbour shells: groups of distances with clear gaps between them.

    With r_1 the shortest distance, neighbouring distances of one shell differ by at most ``width r_1`` (up to twice that in
    a shell spread by noise: four such gaps fit into it), those of two shells by at least ``4 width r_1`` and half the spread
    of either shell.  What lies between is refused.

    Parameters
    ----------
    geometry : Geometry
    count : int
    width : float
        Gap within a shell, as part of the shortest distance.
    pair : (int, int), optional
        Atomic numbers: only distances between sites of these two species count.

    Raises
    ------
    LonelySiteError
        If a site has no neighbour in the first shell (for two species: sites of both).
    InvalidGeometryError
        If there is no clear gap (the distances are named), or there are fewer than `count` shells.
    """
    sites = geometry if pair is None else geometry.select(np.isin(geometry.numbers, pair))
    everything = 0.0 if sites.pbc.any() else extent_of(sites) * (1.0 + 1e-6)
    reach = nearest_distance(sites) * 1.5
    while True:
        bonds = pairs_of(find_bonds(sites, reach), sites, pair)
        complete = 0.0 < everything <= reach
        shells = _grouped(np.unique(bonds.distances), count, width, complete)
        if complete:
            break
        if len(shells) >= count:
            following = bonds.distances[bonds.distances > shells.reach].min()
            seen = float(following + 2.0 * _BEYOND * bonds.distances.min())  # how far the next shell is spread matters, too
            if reach >= seen:
                break
            reach = seen * (1.0 + _TIE)
        else:
            reach *= 1.4
    if len(shells) < count:
        raise InvalidGeometryError(f"only {len(shells)} neighbour shells exist among {len(sites)} sites; {count} were asked")
    first = bonds.select(bonds.distances <= shells.longest[0] * (1.0 + _TIE))
    _refuse_lonely(sites, first, pair)
    return shells


def pairs_of(bonds: Bonds, geometry: Geometry, pair: Species | None) -> Bonds:
    """The bonds between sites of two species (all for None).

    Parameters
    ----------
    bonds : Bonds
        Of the geometry.
    geometry : Geometry
        With atomic numbers.
    pair : (int, int) or None
        Atomic numbers.
    """
    return bonds if pair is None else bonds.select(joins(bonds, geometry.numbers, pair))


def joins(bonds: Bonds, numbers: IntArray, pair: Species) -> BoolArray:
    """Which bonds join a site of one species to one of the other, for atomic numbers (N,) of the sites.

    Parameters
    ----------
    bonds : Bonds
        Of the sites.
    numbers : (N,) int
        Atomic numbers of the sites.
    pair : (int, int)
        Atomic numbers.
    """
    one, two = numbers[bonds.first], numbers[bonds.second]
    return np.asarray(((one == pair[0]) & (two == pair[1])) | ((one == pair[1]) & (two == pair[0])))


def _grouped(distances: FloatArray, count: int, width: float, complete: bool) -> Shells:
    """Up to `count` groups of ascending different distances; the last one only if nothing can follow it (`complete`)."""
    if not len(distances):
        return Shells(*np.zeros((3, 0)))
    unit, gaps = width * distances[0], np.diff(distances)
    ends = np.flatnonzero(gaps >= _CLEAR * unit * (1.0 - _TIE))
    edges = np.concatenate([[0], ends + 1, [len(distances)]])
    groups = [distances[a:b] for a, b in pairwise(edges)]
    whole = groups if complete else groups[:-1]
    for group in groups[:count]:
        _refuse_endless(group, distances[0])
    for group in whole[:count]:
        _refuse_unclear(group, unit, width)
    for k, group in enumerate(whole[: min(count, len(ends))]):
        beyond = min(np.ptp(groups[k + 1]), np.inf if k + 1 < count else _BEYOND * distances[0])
        if gaps[ends[k]] < 0.5 * max(np.ptp(group), beyond):
            _refuse_gap(group[-1], group[-1] + gaps[ends[k]], gaps[ends[k]], unit / width, width)
    kept = whole[:count]
    means = [float(np.mean(group)) for group in kept]
    return Shells(np.array(means), np.array([group[0] for group in kept]), np.array([group[-1] for group in kept]))


def _refuse_endless(group: FloatArray, nearest: float) -> None:
    if np.ptp(group) > 0.5 * nearest:
        raise InvalidGeometryError(
            f"these positions have no neighbour shells: distances from {group[0]:.5g} to {group[-1]:.5g} follow each other "
            "without a clear gap; use a law of distance (e.g. an exponential hopping or exchange), or pass the shells' "
            "`distances`"
        )


def _refuse_unclear(group: FloatArray, unit: float, width: float) -> None:
    """Gaps within a shell are small, or small parts of its spread."""
    spread, gaps = float(np.ptp(group)), np.diff(group)
    if not len(gaps):
        return
    k = int(gaps.argmax())
    allowed = max(unit, min(2.0 * unit, _NOISE * spread))
    if gaps[k] > allowed * (1.0 + _TIE):
        _refuse_gap(group[k], group[k + 1], gaps[k], unit / width, width)


def _refuse_gap(short: float, long: float, gap: float, nearest: float, width: float) -> None:
    one, two = np.ceil(1000.0 * gap / nearest) / 1000.0, gap / nearest / _CLEAR
    digit = 10.0 ** np.floor(np.log10(two))
    two = np.floor(two / digit + _TIE) * digit
    raise InvalidGeometryError(
        f"no clear neighbour shells: are distances {short:.6g} and {long:.6g} one shell or two? They differ by "
        f"{100.0 * gap / nearest:.2g} % of the shortest distance (one shell: up to {100.0 * width:.2g} %, two: from "
        f"{100.0 * _CLEAR * width:.2g} % on and half the spread of a shell); say width = {one:.2g} for one, "
        f"{two:.2g} for two, or pass the shells' `distances`; positions without shells need a law of distance"
    )


def _refuse_lonely(geometry: Geometry, first: Bonds, pair: Species | None) -> None:
    joined = np.zeros(len(geometry), dtype=bool)
    joined[first.first] = joined[first.second] = True
    lonely = [np.flatnonzero(~joined & (geometry.numbers == z)) for z in set(pair or ())]
    if pair is None:
        lonely = [np.flatnonzero(~joined)]
    if any(len(sites) == 0 for sites in lonely):
        return
    what = "" if pair is None else " between these species"
    raise LonelySiteError(
        f"these positions have no neighbour shells: site {lonely[0][0]} has no neighbour at the shortest distance{what}, "
        f"{first.distances.min():.4g}; use a law of distance (e.g. an exponential hopping or exchange), or pass `distances`"
    )


def windows(distances: FloatArray, width: float = WINDOW) -> Shells:
    """Shells about given ascending distances: within `width` times the distance, and 0.4 of the way to the next one.

    Parameters
    ----------
    distances : (n,) ndarray
        Of the shells, ascending, length.
    width : float
        Half a window, as part of its distance.
    """
    half = width * distances
    between = np.diff(distances)
    half[1:] = np.minimum(half[1:], _SHARE * between)
    half[:-1] = np.minimum(half[:-1], _SHARE * between)
    return Shells(distances, distances - half, distances + half)


def rim_of(shells: Shells) -> float:
    """A cutoff that holds all windows with their rims."""
    return float(shells.distances[-1] + _RIM * (shells.longest[-1] - shells.distances[-1])) * (1.0 + _TIE)


def in_windows(bonds: Bonds, shells: Shells, several: bool) -> tuple[Bonds, IntArray]:
    """The bonds within the windows, and the shell of each; `bonds` reach to :func:`rim_of`.

    Parameters
    ----------
    bonds : Bonds
        All that are as long as the last window or shorter.
    shells : Shells
        With windows.
    several : bool
        Whether a window may hold several shells.

    Raises
    ------
    InvalidGeometryError
        For a distance just outside a window, an empty window, or (unless `several` are allowed) one with a clear gap in it.
    """
    kept, shell = sort_into(bonds, shells)
    for n in range(len(shells)):
        _refuse_window(np.unique(kept.distances[shell == n]), shells, n, bonds, several)
    return kept, shell


def sort_into(bonds: Bonds, shells: Shells) -> tuple[Bonds, IntArray]:
    """As :func:`in_windows`, of some of a magnet's bonds: a window may be empty here.

    Parameters
    ----------
    bonds : Bonds
        Some bonds of a magnet.
    shells : Shells
        With windows.

    Raises
    ------
    InvalidGeometryError
        For a distance just outside a window.
    """
    half = shells.longest - shells.distances
    away = np.abs(bonds.distances[:, None] - shells.distances) / half
    shell = away.argmin(axis=1).astype(np.int64)
    part = away[np.arange(len(bonds)), shell]
    edge = np.flatnonzero((part > 1.0 + _TIE) & (part < _RIM * (1.0 - _TIE)))
    if len(edge):
        _refuse_edge(bonds, int(edge[0]), shells, int(shell[edge[0]]))
    return bonds.select(part <= 1.0 + _TIE), shell[part <= 1.0 + _TIE]


def _refuse_edge(bonds: Bonds, b: int, shells: Shells, n: int) -> None:
    raise InvalidGeometryError(
        f"sites {bonds.first[b]} and {bonds.second[b]} are {bonds.distances[b]:.5g} apart, at the edge of the shell at "
        f"{shells.distances[n]:.5g} (from {shells.shortest[n]:.5g} to {shells.longest[n]:.5g}): whether they are coupled is "
        "not defined. Say another `width` (part of the distance) or other `distances`, or use a law of distance"
    )


def _refuse_window(found: FloatArray, shells: Shells, n: int, bonds: Bonds, several: bool) -> None:
    where = f"the shell at {shells.distances[n]:.5g} (from {shells.shortest[n]:.5g} to {shells.longest[n]:.5g})"
    if not len(found):
        near = f", the shortest distance is {bonds.distances.min():.5g}" if len(bonds) else ""
        raise InvalidGeometryError(f"no pair of sites is in {where}{near}: correct `distances`")
    gaps = np.diff(found)
    least = max(_CLEAR * WIDTH * bonds.distances.min(), 0.5 * np.ptp(found))
    if several or not len(gaps) or gaps.max() < least:
        return
    k = int(gaps.argmax())
    raise InvalidGeometryError(
        f"{where} holds more than one: there is a clear gap between {found[k]:.6g} and {found[k + 1]:.6g}. Say a `width` "
        "(part of the distance), or name both in `distances`"
    )
