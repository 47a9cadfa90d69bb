"""Pairs of atoms that move, in memory order: made anew for every geometry, so nothing depends on where atoms were before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from spinase.compiled import njit
from spinase.geometry import Bonds
from spinase.learning.engine.graph import Pool, Strip
from spinase.learning.engine.splines import MovingPairs, SplinePairs
from spinase.typing import Array, FloatArray, IntArray

STRIP = 512  # sites
_BITS = 20
_ROOT, _HALF, _SIXTH = 1.4142135623730951, 0.7071067811865476, 0.4082482904638631


class Knots(NamedTuple):
    """How distances become places in tables of splines: first distance, knots by length, number of the last interval."""

    start: float
    density: float
    last: int


class Layout(NamedTuple):
    """Order of the sites (N,) in memory, and directed pairs by rows of sites in their OWN order.

    `starts` (N + 1,) where rows begin; `bonds` (P,): bond b, or -1 - b where it goes backwards; `begins`: first sites of the
    strips, in the order in memory.
    """

    order: IntArray
    starts: IntArray
    bonds: IntArray
    begins: Sequence[int]


def layout_of(bonds: Bonds, positions: FloatArray, cutoff: float) -> Layout:
    """Sites in the order of a curve through their boxes, cut into strips of STRIP sites; fewer stay in their own order.

    Neighbours of a site come in the order of their numbers.

    Parameters
    ----------
    bonds : Bonds
        Each pair once, in the order of :func:`spinase.geometry.find_bonds`.
    positions : (N, 3) ndarray
        Of the sites, length.
    cutoff : float
        Side of the boxes, length.
    """
    sites = len(positions)
    order: IntArray = np.argsort(box_codes(positions, cutoff), kind="stable") if sites > STRIP else np.arange(sites)
    starts, directed = _directed(bonds.first, bonds.second, sites)
    return Layout(order, starts, directed, range(0, sites, STRIP))


class MovingGraph:
    """Pairs of one geometry.

    Parameters
    ----------
    bonds : Bonds
        Pairs within the network's cutoff.
    layout : Layout
        Where sites and pairs go.
    knots : Knots
        Those of the engine's splines.
    dtype : numpy dtype
        float32 or float64.
    pool : Pool
        Memory of evaluations.
    each : callable
        Maps a function over strips.

    Attributes
    ----------
    order, back : (N,) ndarray of int
        Sites in the graph's order, and its inverse.
    strips : list of Strip
        For threads.
    cached : dict
        What an engine has made for this geometry.
    """

    def __init__(
        self,
        bonds: Bonds,
        layout: Layout,
        knots: Knots,
        dtype: Any,
        pool: Pool,
        each: Callable[..., list[Any]],
    ) -> None:
        sites, pairs = len(layout.order), len(layout.bonds)
        self.borrow, self.give_back, self.workspaces = pool.borrow, pool.give_back, pool.workspaces
        self.cached: dict[tuple[str, Any], Any] = {}
        self._density = np.dtype(dtype).type(knots.density)
        self.order, starts, bond = layout.order, layout.starts, layout.bonds
        self.back, self.starts = _in_order(self.order, starts)
        self._second, self._local, self._knots = (np.empty(pairs, dtype=np.int32) for _ in range(3))
        self._fractions, self._distances = (np.empty(pairs, dtype) for _ in range(2))
        self._harmonics = np.empty((pairs, 9), dtype)
        given = (bonds.first, bonds.second, bonds.vectors, bonds.distances, starts, bond, self.order, self.back, *knots)
        out = (self.starts, self._second, self._knots, self._fractions, self._distances, self._harmonics)
        pieces = list(pairwise([*layout.begins, sites]))
        each(lambda piece: _fill(*piece, *given, *out), pieces)
        self.strips: list[Strip] = each(lambda piece: self._strip(piece, len(pieces) == 1), pieces)

    def _strip(self, piece: tuple[int, int], alone: bool) -> Strip:
        """A strip, whose neighbours get numbers of their own; where there is one only, those of the sites."""
        (begin, end), sites = piece, len(self.order)
        rows = slice(self.starts[begin], self.starts[end])
        if alone:
            self._local[rows] = self._second[rows]
            return Strip(begin, end, np.arange(sites, dtype=np.int32))
        seen, places = np.full(sites, -1, dtype=np.int32), np.empty(min(sites, rows.stop - rows.start), dtype=np.int32)
        count = _number(self._second[rows], self._local[rows], seen, places)
        return Strip(begin, end, places[:count].copy())

    def pairs(self, moving: bool) -> SplinePairs | MovingPairs:
        """The pairs; with `moving`, dE by their vectors will be asked for."""
        same = (
            self.starts,
            self._second,
            self._local,
            self._knots,
            self._fractions,
            self._harmonics,
            False,
            self._distances,
        )
        return MovingPairs(*same, self._density) if moving else SplinePairs(*same)


@njit
def box_codes(positions: FloatArray, length: float) -> IntArray:
    """Codes (N,) of the boxes of side `length` that hold the sites, along a Z-curve."""
    codes = np.zeros(len(positions), dtype=np.int64)
    for a in range(3):
        low = positions[:, a].min()
        for i in range(len(positions)):
            box = int((positions[i, a] - low) / length)
            for bit in range(_BITS):
                codes[i] |= ((box >> bit) & 1) << (3 * bit + a)
    return codes


@njit
def _directed(first: IntArray, second: IntArray, sites: int) -> tuple[IntArray, IntArray]:
    """Rows of both directions of bonds sorted by (first, second): where they begin (N + 1,), and the bonds (P,).

    Neighbours with lower numbers come before the others; bond b backwards is -1 - b.
    """
    lower, starts = np.zeros(sites, dtype=np.int64), np.zeros(sites + 1, dtype=np.int64)
    for b in range(len(first)):
        starts[first[b] + 1] += 1
        starts[second[b] + 1] += 1
        lower[second[b]] += 1
    starts = np.cumsum(starts)
    low, high, out = starts[:-1].copy(), starts[:-1] + lower, np.empty(2 * len(first), dtype=np.int64)
    for b in range(len(first)):
        out[high[first[b]]] = b
        high[first[b]] += 1
        out[low[second[b]]] = -1 - b
        low[second[b]] += 1
    return starts, out


@njit
def _in_order(order: IntArray, starts: IntArray) -> tuple[IntArray, IntArray]:
    """Inverse (N,) of an `order` (N,) of the sites, and where rows (N + 1,) begin that `starts` gives in their OWN order."""
    back, begins = np.empty_like(order), np.zeros(len(order) + 1, dtype=np.int64)
    for a in range(len(order)):
        i = order[a]
        back[i] = a
        begins[a + 1] = begins[a] + starts[i + 1] - starts[i]
    return back, begins


@njit(nogil=True)
def _fill(
    begin: int,
    end: int,
    first: IntArray,
    second: IntArray,
    vectors: FloatArray,
    distances: FloatArray,
    starts: IntArray,
    bonds: IntArray,
    order: IntArray,
    back: IntArray,
    start: float,
    density: float,
    last: int,
    out_starts: IntArray,
    out_second: Array,
    out_knots: Array,
    out_fractions: Array,
    out_distances: Array,
    out_harmonics: Array,
) -> None:
    """Pairs of the sites begin .. end - 1 of the order: neighbour, k, t = (r - r_k)/h, r, and 1, u, Q(u).

    r_k = start + k/density for k = 0 .. `last`; t < 0 below `start`.
    """
    for a in range(begin, end):
        to = out_starts[a]
        for p in range(starts[order[a]], starts[order[a] + 1]):
            b = bonds[p] if bonds[p] >= 0 else -1 - bonds[p]
            r, sign = distances[b], 1.0 if bonds[p] >= 0 else -1.0
            across = (r - start) * density
            knot = min(max(int(np.floor(across)), 0), last)
            out_second[to], out_knots[to] = back[second[b] if bonds[p] >= 0 else first[b]], knot
            out_fractions[to], out_distances[to] = across - knot, r
            x, y, z = sign * vectors[b, 0] / r, sign * vectors[b, 1] / r, sign * vectors[b, 2] / r
            out_harmonics[to, 0], out_harmonics[to, 1], out_harmonics[to, 2], out_harmonics[to, 3] = 1.0, x, y, z
            out_harmonics[to, 4], out_harmonics[to, 5], out_harmonics[to, 6] = _ROOT * x * y, _ROOT * y * z, _ROOT * z * x
            out_harmonics[to, 7] = _HALF * (x * x - y * y)
            out_harmonics[to, 8] = _SIXTH * (2.0 * z * z - x * x - y * y)
            to += 1


@njit(nogil=True)
def _number(second: Array, local: Array, seen: Array, places: Array) -> int:
    """Number the neighbours `second` as they come: into `local`, and back in `places`; returns how many there are.

    `seen` (N,) holds -1 before.
    """
    count = 0
    for p in range(len(second)):
        j = second[p]
        if seen[j] < 0:
            seen[j] = count
            places[count] = j
            count += 1
        local[p] = seen[j]
    return count


__all__ = ["STRIP", "Knots", "Layout", "MovingGraph", "box_codes", "layout_of"]
