"""Compiled loops of training on frozen atoms: those of the engine, and their changes with the spins.

A configuration is small enough to keep what the way back needs: ``held.sums`` has room for all sites here, and
``held.slopes`` for a chunk.  Filters come from a row for each distance (no interpolation: fractions are zero).  Numbers and
their changes are pairs of arrays, for which the engine's own invariants and slopes are compiled again (:mod:`spinase.simd`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinase.learning.engine_invariants import Spot, invariant_slopes, invariants
from spinase.learning.engine_kernels import (
    CHUNK,
    HARMONICS,
    Lanes,
    Neighbours,
    Room,
)
from spinase.learning.engine_sums import spread, sum_neighbours
from spinase.simd import LANES, dual, exp, filled, fma, kernel, load, scale, store, whole

Array = NDArray[Any]
Kinds = tuple[bool, bool]  # chiralities, products


@kernel
def collect(
    pairs: Neighbours, table: Array, kinds: Kinds, lanes: Lanes, held: Room, spins: Array, sent: Array, found: Array
) -> None:
    """Sums of all sites into ``held.sums`` and their invariants into `found` (N + 1, invariants)."""
    sites, stride = len(spins), held.sums.shape[2]
    for begin in range(0, sites, CHUNK):
        end = min(sites, begin + CHUNK)
        sum_neighbours(begin, end, pairs, table, sent, lanes, held.sums, 0)
        for i in range(begin, end):
            spot = Spot(held.sums, i * HARMONICS * stride, stride, spins[i, 0], spins[i, 1], spins[i, 2])
            invariants(spot, kinds[0], kinds[1], lanes, held.kept, found, i * found.shape[1])


@kernel
def collect_slopes(
    pairs: Neighbours,
    table: Array,
    kinds: Kinds,
    lanes: Lanes,
    held: Room,
    spins: Array,
    by_found: Array,
    by_vectors: Array,
    by_sent: Array,
    field: Array,
) -> None:
    """From slopes by the invariants, and by M (N, 3 C; or length 0), to those by what was sent, added up in `by_sent`.

    -slopes by the own spins are added to `field`.
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
        spread(begin, end, pairs, table, lanes, slopes, pairs.second, by_sent)


@kernel
def silu_changes(inputs: Array, changes: Array, slopes: Array, out: Array, curved: Array) -> None:
    """Changes of silu(inputs) into `out`, and of its `slopes` into `curved`; all flat."""
    vectors, one, two = len(inputs) // LANES * LANES, inputs.dtype.type(1.0), inputs.dtype.type(2.0)
    for c in range(0, vectors, LANES):
        x, change = load(inputs, c), load(changes, c)
        gate = 1.0 / (1.0 + exp(0.0 - x))
        store(out, c, load(slopes, c) * change)
        store(curved, c, gate * (1.0 - gate) * (2.0 + x * (1.0 - gate * 2.0)) * change)
    for c in range(vectors, len(inputs)):
        gate_ = one / (one + np.exp(-inputs[c]))
        out[c] = slopes[c] * changes[c]
        curved[c] = gate_ * (one - gate_) * (two + inputs[c] * (one - two * gate_)) * changes[c]


@kernel
def collect_changes(
    pairs: Neighbours,
    table: Array,
    kinds: Kinds,
    lanes: Lanes,
    held: Room,
    moved: Room,
    spins: Array,
    moves: Array,
    sent: Array,
    found: Array,
    changes: Array,
) -> None:
    """Changes of the sums into ``moved.sums``, of the invariants into `changes`, with those of the spins and of `sent`."""
    sites, stride = len(spins), held.sums.shape[2]
    kept, sums, out = (held.kept, moved.kept), (held.sums, moved.sums), (found, changes)
    for begin in range(0, sites, CHUNK):
        end = min(sites, begin + CHUNK)
        sum_neighbours(begin, end, pairs, table, sent, lanes, moved.sums, 0)
        for i in range(begin, end):
            x, y, z = dual(spins[i, 0], moves[i, 0]), dual(spins[i, 1], moves[i, 1]), dual(spins[i, 2], moves[i, 2])
            spot = Spot(sums, i * HARMONICS * stride, stride, x, y, z)
            invariants(spot, kinds[0], kinds[1], lanes, kept, out, i * found.shape[1])


@kernel
def collect_slope_changes(
    pairs: Neighbours,
    table: Array,
    kinds: Kinds,
    lanes: Lanes,
    held: Room,
    moved: Room,
    spins: tuple[Array, Array],
    sent: tuple[Array, Array],
    by_found: tuple[Array, Array],
    by_vectors: tuple[Array, Array],
    by_sent: Array,
    by_table: Array,
) -> None:
    """Changes of the slopes by what was sent, added up in `by_sent`, and of those by the filters, added to `by_table`.

    Pairs are numbers and their changes.
    """
    sites, channels, stride = len(spins[0]), len(lanes[0]), held.sums.shape[2]
    kept, sums, slopes, width = (held.kept, moved.kept), (held.sums, moved.sums), (held.slopes, moved.slopes), 3 * channels
    by_sent[:] = by_sent.dtype.type(0.0)
    for begin in range(0, sites, CHUNK):
        end = min(sites, begin + CHUNK)
        for k in range(end - begin):
            i = begin + k
            x, y, z = (
                dual(spins[0][i, 0], spins[1][i, 0]),
                dual(spins[0][i, 1], spins[1][i, 1]),
                dual(spins[0][i, 2], spins[1][i, 2]),
            )
            spot, to = Spot(sums, i * HARMONICS * stride, stride, x, y, z), k * HARMONICS * stride
            invariant_slopes(spot, kinds[0], kinds[1], lanes, kept, by_found, i * by_found[0].shape[1], slopes, to)
            if len(by_vectors[0]):
                for q in range(width):
                    held.slopes[k, 0, channels + q] += by_vectors[0][i, q]
                    moved.slopes[k, 0, channels + q] += by_vectors[1][i, q]
        _spread_changes(begin, end, pairs, table, lanes, held, moved, sent, by_sent, by_table)


@kernel
def _spread_changes(
    begin: int,
    end: int,
    pairs: Neighbours,
    table: Array,
    lanes: Lanes,
    held: Room,
    moved: Room,
    sent: tuple[Array, Array],
    by_sent: Array,
    by_table: Array,
) -> None:
    """As :func:`spread`, of the changes; also those of slopes by the filters at every distance."""
    (rows, moved_rows), starts = sent, pairs.starts
    stride, wide, wide_1, wide_2 = rows.shape[1], whole(len(lanes[0])), whole(len(lanes[1])), whole(len(lanes[2]))
    for i in range(begin, end):
        own = (i - begin) * HARMONICS * stride
        for p in range(starts[i], starts[i + 1]):
            _project(pairs.harmonics, p, lanes, held, own)
            _project(pairs.harmonics, p, lanes, moved, own)
            to, at = pairs.second[p] * stride, pairs.knots[p] * table.shape[1]
            for c in range(0, len(lanes[0]), LANES):
                at_1, at_2 = at + wide + c, at + wide + wide_1 + c
                f0, g0 = load(table, at + c), load(by_table, at + c)
                f1 = g1 = f2 = g2 = filled(table, 0.0)
                if c < len(lanes[1]):
                    f1, g1 = load(table, at_1), load(by_table, at_1)
                if c < len(lanes[2]):
                    f2, g2 = load(table, at_2), load(by_table, at_2)
                for component in range(4):
                    q = component * len(lanes[0]) + c
                    row, change = load(rows, to + q), load(moved_rows, to + q)
                    turn = load(moved.slopes, own + q)
                    out = fma(f0, turn, load(by_sent, to + q))
                    g0 = fma(turn, row, fma(load(held.slopes, own + q), change, g0))
                    if c < len(lanes[1]):
                        place = component * wide_1 + c
                        turn = load(moved.terms, place)
                        out, g1 = fma(f1, turn, out), fma(turn, row, fma(load(held.terms, place), change, g1))
                    if c < len(lanes[2]):
                        place = 4 * wide_1 + component * wide_2 + c
                        turn = load(moved.terms, place)
                        out, g2 = fma(f2, turn, out), fma(turn, row, fma(load(held.terms, place), change, g2))
                    store(by_sent, to + q, out)
                store(by_table, at + c, g0)
                if c < len(lanes[1]):
                    store(by_table, at_1, g1)
                if c < len(lanes[2]):
                    store(by_table, at_2, g2)


@kernel
def _project(harmonics: Array, p: int, lanes: Lanes, held: Room, own: int) -> None:
    """Slopes of a site times the harmonics of a pair, into the room's terms."""
    size_1, size_2 = 4 * whole(len(lanes[1])), 4 * whole(len(lanes[2]))
    if size_1:
        _parts(harmonics, p, 1, 4, held.slopes, own, size_1, held.terms, 0)
    if size_2:
        _parts(harmonics, p, 4, 9, held.slopes, own, size_2, held.terms, size_1)


@kernel
def _parts(
    harmonics: Array, p: int, first: int, last: int, slopes: Array, own: int, size: int, out: Array, place: int
) -> None:
    """Slopes times the harmonics first..last of a pair; those of its site begin at `own`."""
    stride = slopes.shape[2]
    for q in range(0, size, LANES):
        row = scale(harmonics[p, first], load(slopes, own + first * stride + q))
        for m in range(first + 1, last):
            row = fma(harmonics[p, m], load(slopes, own + m * stride + q), row)
        store(out, place + q, row)
