"""Shells of neighbours: distances without a gap, and how many sites a site has there, by species."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase.data import chemical_symbols

from spinase.geometry import Bonds, Geometry, find_bonds
from spinase.typing import Array, BoolArray, FloatArray, IntArray

Range = tuple[float, float]

_GAP = 0.05  # part of a distance; a wider gap divides two shells
# Part by which a distance may be off a shell; errors of the shipped lattice models grow by a fifth to a third there.
_SHELL_WIDTH = 0.01


@dataclass(frozen=True)
class Shell:
    """Sites of species `neighbour` around one of species `centre` (atomic numbers), at distances without a gap.

    Attributes
    ----------
    centre, neighbour : int
        Atomic numbers.
    shortest, longest : float
        Distances, length.
    fewest, most : int
        How many a site has.
    """

    centre: int
    neighbour: int
    shortest: float
    longest: float
    fewest: int
    most: int

    @property
    def distances(self) -> str:
        """As text: one number, or from and to."""
        return span(self.shortest, self.longest)

    @property
    def counts(self) -> str:
        """Coordination numbers as text."""
        return f"{self.fewest}" if self.fewest == self.most else f"{self.fewest} to {self.most}"


def count_neighbours(geometry: Geometry, cutoff: float) -> IntArray:
    """How many neighbours every site has within `cutoff`, images included, (N,)."""
    bonds = find_bonds(geometry, cutoff)
    return np.bincount(directed(bonds)[0], minlength=len(geometry))


def directed(bonds: Bonds) -> tuple[IntArray, IntArray, FloatArray]:
    """Every bond seen from both of its ends: site, neighbour, distance."""
    return (
        np.concatenate([bonds.first, bonds.second]),
        np.concatenate([bonds.second, bonds.first]),
        np.concatenate([bonds.distances, bonds.distances]),
    )


def by_pair(numbers: IntArray, one: IntArray, two: IntArray, ordered: bool) -> Iterator[tuple[tuple[int, int], BoolArray]]:
    """Masks of the bonds between sites `one` and `two` for every pair of species that occurs.

    Parameters
    ----------
    numbers : (N,) ndarray of int
        Atomic numbers.
    one, two : (n_bonds,) ndarray of int
        Sites of the bonds.
    ordered : bool
        Whether Fe-Co and Co-Fe are two pairs.
    """
    left, right = numbers[one], numbers[two]
    if not ordered:
        left, right = np.minimum(left, right), np.maximum(left, right)
    code = left * 1000 + right
    for value in np.unique(code):
        yield (int(value // 1000), int(value % 1000)), code == value


def places_of(distances: FloatArray, shells: Sequence[Shell]) -> IntArray:
    """Number of the shell that a distance belongs to, -1 where there is none."""
    found = np.full(len(distances), -1, dtype=np.int64)
    for number, shell in enumerate(shells):
        low, high = edges(shell, shells)
        found[(distances >= low) & (distances <= high)] = number
    return found


def edges(shell: Shell, shells: Sequence[Shell]) -> Range:
    """Distances that count as of a shell, of the `shells` of its pair and others, ascending.

    A wide first shell goes on below its shortest distance, where the margin of that decides; a lattice's does not.
    """
    first = next(one for one in shells if (one.centre, one.neighbour) == (shell.centre, shell.neighbour))
    wide = shell is first and shell.longest > (1.0 + _GAP) * shell.shortest
    return 0.0 if wide else shell.shortest * (1.0 - _SHELL_WIDTH), shell.longest * (1.0 + _SHELL_WIDTH)


def shells_of(geometries: Sequence[Geometry], cutoff: float) -> tuple[Shell, ...]:
    """Of every ordered pair of species, ascending."""
    seen: dict[tuple[int, int], FloatArray] = {}
    for geometry in geometries:
        centre, other, distances = directed(find_bonds(geometry, cutoff))
        for pair, chosen in by_pair(geometry.numbers, centre, other, ordered=True):
            old = seen.get(pair, np.zeros(0))
            seen[pair] = _thinned(np.concatenate([old, distances[chosen]]))
    bands = {pair: _bands(distances) for pair, distances in sorted(seen.items())}
    if any(high > (1.0 + _GAP) * low for found in bands.values() for low, high in found):  # no lattice: gaps are chance
        bands = {pair: [(found[0][0], found[-1][1])] for pair, found in bands.items()}
    bare = [Shell(one, two, low, high, 2**31, 0) for (one, two), found in bands.items() for low, high in found]
    for geometry in geometries:
        centre, other, distances = directed(find_bonds(geometry, cutoff))
        for k, shell in enumerate(bare):
            sites = geometry.numbers == shell.centre
            if not sites.any():
                continue
            near = (distances >= shell.shortest * (1.0 - 1e-9)) & (distances <= shell.longest * (1.0 + 1e-9))
            rows = near & (geometry.numbers[centre] == shell.centre) & (geometry.numbers[other] == shell.neighbour)
            counts = np.bincount(centre[rows], minlength=len(geometry))[sites]
            bare[k] = replace(shell, fewest=min(shell.fewest, int(counts.min())), most=max(shell.most, int(counts.max())))
    return tuple(bare)


def _thinned(distances: FloatArray) -> FloatArray:
    """Sorted, those within a part 1e-3 of the next left out but for the ends: nothing that matters for gaps."""
    ordered = np.unique(distances)
    if len(ordered) < 1000:
        return ordered
    _, first = np.unique(np.floor(np.log(ordered) / 1e-3), return_index=True)
    last = np.append(first[1:] - 1, len(ordered) - 1)
    return ordered[np.unique(np.concatenate([first, last]))]


def _bands(distances: FloatArray) -> list[Range]:
    """Ranges of sorted distances between gaps."""
    cuts = np.flatnonzero(np.diff(distances) > _GAP * distances[:-1]) + 1
    return [(float(part[0]), float(part[-1])) for part in np.split(distances, cuts)]


def fingerprint(geometry: Geometry) -> tuple[bytes, ...]:
    """Equal for equal geometries."""
    arrays: Iterable[Array] = (geometry.positions, geometry.cell, geometry.pbc, geometry.numbers)
    return tuple(np.ascontiguousarray(array).tobytes() for array in arrays)


def pair_of(shell: Shell) -> str:
    """``Fe-Co``: the central species first."""
    return f"{chemical_symbols[shell.centre]}-{chemical_symbols[shell.neighbour]}"


def span(low: float, high: float, digits: int = 4) -> str:
    """A range as text; one number where both ends look alike.

    Parameters
    ----------
    low, high : float
        Ends of the range.
    digits : int
        Significant ones.
    """
    one, two = f"{low:.{digits}g}", f"{high:.{digits}g}"
    return one if one == two else f"{one} to {two}"


__all__ = [
    "Shell",
    "by_pair",
    "count_neighbours",
    "directed",
    "edges",
    "fingerprint",
    "pair_of",
    "places_of",
    "shells_of",
    "span",
]
