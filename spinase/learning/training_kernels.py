"""Compiled loops of training on frozen atoms: those of the engine, and slopes by the filters of pairs.

A configuration is small enough to keep what the way back needs: ``held.sums`` has room for all sites here, and
``held.slopes`` for a chunk.  Filters come from a row for each distance (no interpolation: fractions are zero).
"""

from __future__ import annotations

from typing import Any

from numba import njit
from numpy.typing import NDArray

from spinase.learning.engine_invariants import Spot, invariant_slopes, invariants
from spinase.learning.engine_kernels import (
    CHUNK,
    HARMONICS,
    Lanes,
    Neighbours,
    Room,
    pair_filters,
    project,
    spread,
    sum_neighbours,
    whole,
)
from spinase.simd import LANES, filled, fma, load, store

Array = NDArray[Any]
Kinds = tuple[bool, bool]  # chiralities, products
_FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def collect(
    pairs: Neighbours, table: Array, kinds: Kinds, lanes: Lanes, held: Room, spins: Array, sent: Array, found: Array
) -> None:
    """Sums of all sites into ``held.sums`` and their invariants into `found` (N + 1, invariants)."""
    sites, stride = len(spins), held.sums.shape[2]
    for begin in range(0, sites, CHUNK):
        end = min(sites, begin + CHUNK)
        here = Room(held.terms, held.filters, held.sums[begin:end], held.slopes, held.kept, held.found)
        sum_neighbours(begin, end, pairs, table, sent, lanes, here)
        for i in range(begin, end):
            spot = Spot(held.sums, i * HARMONICS * stride, stride, spins[i, 0], spins[i, 1], spins[i, 2])
            invariants(spot, kinds[0], kinds[1], lanes, held.kept, found, i * found.shape[1])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def collect_slopes(
    pairs: Neighbours,
    table: Array,
    kinds: Kinds,
    lanes: Lanes,
    held: Room,
    spins: Array,
    sent: Array,
    by_found: Array,
    by_vectors: Array,
    by_sent: Array,
    by_table: Array,
    field: Array,
) -> None:
    """From slopes by the invariants, and by M (N, 3 C; or length 0), to those by what was sent, added up in `by_sent`.

    -slopes by the own spins are added to `field`, and those by the filters to `by_table`, if it has a length.
    """
    sites, channels, stride, slopes = len(spins), len(lanes[0]), held.sums.shape[2], held.slopes
    by_sent[:] = by_sent.dtype.type(0.0)
    for begin in range(0, sites, CHUNK):
        end = min(sites, begin + CHUNK)
        for k in range(end - begin):
            i = begin + k
            spot = Spot(held.sums, i * HARMONICS * stride, stride, spins[i, 0], spins[i, 1], spins[i, 2])
            to = k * HARMONICS * stride
            turn = invariant_slopes(spot, kinds[0], kinds[1], lanes, held.kept, by_found, i * by_found.shape[1], slopes, to)
            if len(by_vectors):
                for q in range(3 * channels):
                    slopes[k, 0, channels + q] += by_vectors[i, q]
            field[i, 0] -= turn[0]
            field[i, 1] -= turn[1]
            field[i, 2] -= turn[2]
        if len(by_table):
            _spread_and_weigh(begin, end, pairs, table, lanes, held, sent, by_sent, by_table)
        else:
            spread(begin, end, pairs, table, lanes, held, by_sent)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _spread_and_weigh(
    begin: int,
    end: int,
    pairs: Neighbours,
    table: Array,
    lanes: Lanes,
    held: Room,
    sent: Array,
    by_sent: Array,
    by_table: Array,
) -> None:
    """As :func:`spread`; also add slopes by the filters of every distance, in the columns of the table."""
    part, filters, slopes, starts = held.terms, held.filters, held.slopes, pairs.starts
    size_1, size_2, stride = 4 * len(lanes[1]), 4 * len(lanes[2]), sent.shape[1]
    wide, wide_1 = whole(len(lanes[0])), whole(len(lanes[1]))
    for i in range(begin, end):
        own = (i - begin) * HARMONICS * stride
        for p in range(starts[i], starts[i + 1]):
            if size_2:
                project(pairs.harmonics, p, 4, 9, slopes, own, size_2, part, size_1)
            if size_1:
                project(pairs.harmonics, p, 1, 4, slopes, own, size_1, part, 0)
            pair_filters(pairs, p, table, filters)
            to, at = pairs.second[p] * stride, pairs.knots[p] * by_table.shape[1]
            for c in range(0, len(lanes[0]), LANES):
                f0, g0 = load(filters, c), load(by_table, at + c)
                f1 = g1 = f2 = g2 = filled(filters, 0.0)
                if c < len(lanes[1]):
                    f1, g1 = load(filters, wide + c), load(by_table, at + wide + c)
                if c < len(lanes[2]):
                    f2, g2 = load(filters, wide + wide_1 + c), load(by_table, at + wide + wide_1 + c)
                for component in range(4):
                    q = component * len(lanes[0]) + c
                    row, given = load(sent, to + q), load(slopes, own + q)
                    out, g0 = fma(f0, given, load(by_sent, to + q)), fma(given, row, g0)
                    if c < len(lanes[1]):
                        given = load(part, component * len(lanes[1]) + c)
                        out, g1 = fma(f1, given, out), fma(given, row, g1)
                    if c < len(lanes[2]):
                        given = load(part, size_1 + component * len(lanes[2]) + c)
                        out, g2 = fma(f2, given, out), fma(given, row, g2)
                    store(by_sent, to + q, out)
                store(by_table, at + c, g0)
                if c < len(lanes[1]):
                    store(by_table, at + wide + c, g1)
                if c < len(lanes[2]):
                    store(by_table, at + wide + wide_1 + c, g2)
