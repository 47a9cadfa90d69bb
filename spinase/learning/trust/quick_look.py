"""Whether all pairs of a geometry are as in a training, in one compiled pass; atoms that move ask in every step.

What is wrong where they are not, :mod:`spinase.learning.trust.domain` says, which looks again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from spinase.compiled import njit
from spinase.geometry import Bonds
from spinase.learning.trust.shells import Shell, edges
from spinase.typing import FloatArray, IntArray

_ELEMENTS = 128


class PairTables(NamedTuple):
    """What a training had, by species k = 0 .. K - 1 and by shells.

    `places` (128,) -> k of an atomic number, -1: not there; `shortest` (K, K): the shortest distance, nan: never met;
    `centre`, `neighbour` (S,) -> k; `low`, `high` (S,): distances of a shell; `fewest`, `most` (S,): neighbours of a site.
    """

    places: IntArray
    shortest: FloatArray
    centre: IntArray
    neighbour: IntArray
    low: FloatArray
    high: FloatArray
    fewest: IntArray
    most: IntArray


def pair_tables(shortest: Mapping[tuple[int, int], float], shells: Sequence[Shell], slack: Sequence[int]) -> PairTables:
    """Tables of shortest distances by pairs of atomic numbers (none: not looked at), and of shells with slack in counts.

    Parameters
    ----------
    shortest : mapping
        (atomic number, atomic number) -> shortest distance, length.
    shells : sequence of Shell
        Of neighbours, with the counts that occurred.
    slack : sequence of int
        For every shell, by how many a count may be outside them.
    """
    elements = sorted({z for pair in shortest for z in pair} | {z for one in shells for z in (one.centre, one.neighbour)})
    places = np.full(_ELEMENTS, -1)
    places[elements] = np.arange(len(elements))
    bounds = np.full((len(elements), len(elements)), np.nan if shortest else 0.0)
    for (one, two), bound in shortest.items():
        bounds[places[one], places[two]] = bounds[places[two], places[one]] = bound
    limits = np.array([edges(one, shells) for one in shells]).reshape(-1, 2)
    return PairTables(
        places,
        bounds,
        places[[one.centre for one in shells]] if shells else np.zeros(0, dtype=np.int64),
        places[[one.neighbour for one in shells]] if shells else np.zeros(0, dtype=np.int64),
        limits[:, 0].copy(),
        limits[:, 1].copy(),
        np.array([one.fewest - more for one, more in zip(shells, slack, strict=True)], dtype=np.int64),
        np.array([one.most + more for one, more in zip(shells, slack, strict=True)], dtype=np.int64),
    )


def all_as_trained(tables: PairTables, numbers: IntArray, bonds: Bonds, margin: float) -> bool:
    """Whether no distance of sites with atomic numbers (N,), and no number of neighbours, is outside the training.

    `margin` is the part by which a distance may be below the shortest one.

    Parameters
    ----------
    tables : PairTables
        What was trained.
    numbers : (N,) ndarray of int
        Atomic numbers.
    bonds : Bonds
        Pairs with their distances, each once.
    margin : float
        Relative, such as 0.02.
    """
    return bool(_all_as_trained(tables, numbers, bonds.first, bonds.second, bonds.distances, margin))


@njit
def _all_as_trained(
    tables: PairTables, numbers: IntArray, first: IntArray, second: IntArray, distances: FloatArray, margin: float
) -> bool:
    for i in range(len(numbers)):
        if not 0 <= numbers[i] < len(tables.places) or tables.places[numbers[i]] < 0:
            return False
    counts = np.zeros((len(tables.low), len(numbers)), dtype=np.int64)
    for b in range(len(first)):
        one, two = tables.places[numbers[first[b]]], tables.places[numbers[second[b]]]
        if not distances[b] >= (1.0 - margin) * tables.shortest[one, two]:
            return False
        there = _counted(tables, one, two, distances[b], counts[:, first[b]])
        if not (_counted(tables, two, one, distances[b], counts[:, second[b]]) and there):
            return False
    for i in range(len(numbers)):
        for s in range(len(tables.low)):
            outside = counts[s, i] < tables.fewest[s] or counts[s, i] > tables.most[s]
            if outside and tables.places[numbers[i]] == tables.centre[s]:
                return False
    return True


@njit
def _counted(tables: PairTables, centre: int, neighbour: int, distance: float, counts: IntArray) -> bool:
    """Count a neighbour in the last shell that has its distance; False if none of its pair's has."""
    found, listed = -1, False
    for s in range(len(tables.low)):
        if tables.centre[s] == centre and tables.neighbour[s] == neighbour:
            listed = True
            if tables.low[s] <= distance <= tables.high[s]:
                found = s
    if found >= 0:
        counts[found] += 1
    return found >= 0 or not listed


__all__ = ["PairTables", "all_as_trained", "pair_tables"]
