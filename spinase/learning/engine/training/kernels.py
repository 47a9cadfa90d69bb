"""Compiled loops of training: those of the engine, and their changes with the spins and the pairs.

A configuration is small enough to keep what the way back needs: ``held.sums`` has room for all sites here, and
``held.slopes`` for a chunk.  Filters come from a row for each distance (no interpolation: fractions are zero).  Numbers and
their changes are pairs of arrays, for which the engine's own invariants and slopes are compiled again
(:mod:`spinase.compiled.rows`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.extending import register_jitable

from spinase.compiled.rows import LANES, dual, exp, filled, fma, kernel, load, scale, store, total, whole
from spinase.learning.engine.invariants import Spot, invariant_slopes, invariants
from spinase.learning.engine.sums import spread, sum_neighbours
from spinase.learning.engine.workspace import (
    CHUNK,
    HARMONICS,
    Lanes,
    Neighbours,
    Room,
)
from spinase.typing import Array

Kinds = tuple[bool, bool]  # chiralities, products


class Stretch(NamedTuple):
    """How pairs change: `pairs` with changes of their harmonics (P, 9), and a row of the table for each.

    `table`: changes of the filters; `turned`: the filters, with zeros in degree 0.  Where atoms rest the harmonics are of
    length 0, and so may the others be.
    """

    pairs: Neighbours
    table: Array
    turned: Array


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
            spot = Spot(held.sums, i * HARMONICS * stride, stride, spins[i, 0], spins[i, 1], spins[i, 2], False)
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
    sent: Array,
    by_table: Array,
    by_harmonics: Array,
) -> None:
    """From slopes by the invariants, and by M (N, 3 C; or length 0), to those by what was sent, added up in `by_sent`.

    -slopes by the own spins are added to `field`.  Where `by_harmonics` is not of length 0, slopes by the filters of pairs
    with a row of the table each are written to `by_table`, and those by their harmonics added to it.
    """
    sites, channels, stride, slopes = len(spins), len(lanes[0]), held.sums.shape[2], held.slopes
    by_sent[:] = by_sent.dtype.type(0.0)
    for begin in range(0, sites, CHUNK):
        end = min(sites, begin + CHUNK)
        for k in range(end - begin):
            i = begin + k
            spot = Spot(held.sums, i * HARMONICS * stride, stride, spins[i, 0], spins[i, 1], spins[i, 2], False)
            to = k * HARMONICS * stride
            turn = invariant_slopes(spot, kinds[0], kinds[1], lanes, held.kept, by_found, i * by_found.shape[1], slopes, to)
            if len(by_vectors):
                for q in range(3 * channels):
                    slopes[k, 0, channels + q] += by_vectors[i, q]
            field[i, 0] -= turn[0]
            field[i, 1] -= turn[1]
            field[i, 2] -= turn[2]
        spread(begin, end, pairs, table, lanes, slopes, pairs.second, by_sent)
        if len(by_harmonics):
            _pair_slopes(begin, end, pairs, table, lanes, slopes, sent, by_table, by_harmonics)


@kernel
def _pair_slopes(
    begin: int,
    end: int,
    pairs: Neighbours,
    table: Array,
    lanes: Lanes,
    slopes: Array,
    sent: Array,
    by_table: Array,
    by_harmonics: Array,
) -> None:
    """Slopes by filters, one row for each pair, and by harmonics of degrees 1 and 2, from those by the sums of sites."""
    stride, step, wide = sent.shape[1], slopes.shape[2], whole(len(lanes[0]))
    for i in range(begin, end):
        own = (i - begin) * HARMONICS * step
        for p in range(pairs.starts[i], pairs.starts[i + 1]):
            to, at = pairs.second[p] * stride, pairs.knots[p] * table.shape[1]
            for c in range(0, len(lanes[0]), LANES):
                row = filled(table, 0.0)
                for q in range(4):
                    place = q * len(lanes[0]) + c
                    row = fma(load(slopes, own + place), load(sent, to + place), row)
                store(by_table, at + c, row)
            ways = (table, at, slopes, own, sent, to, len(lanes[0]), by_table, by_harmonics)
            _degree_slopes(pairs.harmonics, p, 1, 4, len(lanes[1]), wide, *ways)
            _degree_slopes(pairs.harmonics, p, 4, 9, len(lanes[2]), wide + whole(len(lanes[1])), *ways)


@register_jitable  # type: ignore[untyped-decorator]
def _degree_slopes(
    harmonics: Array,
    p: int,
    first: int,
    last: int,
    channels: int,
    place: int,
    table: Array,
    at: int,
    slopes: Array,
    own: int,
    sent: Array,
    to: int,
    width: int,
    by_table: Array,
    by_harmonics: Array,
) -> None:
    """As :func:`_pair_slopes` for harmonics first..last of a pair; their filters begin at `place` of its row."""
    step, size = slopes.shape[2], whole(channels)
    for c in range(0, channels, LANES):
        filters, row = load(table, at + place + c), filled(table, 0.0)
        for m in range(first, last):
            turned = filled(table, 0.0)
            for q in range(4):
                turned = fma(load(slopes, own + m * step + q * size + c), load(sent, to + q * width + c), turned)
            by_harmonics[p, m] += total(filters * turned)
            row = fma(harmonics[p, m], turned, row)
        store(by_table, at + place + c, row)


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
    sent: tuple[Array, Array],
    found: Array,
    changes: Array,
    stretch: Stretch,
) -> None:
    """Changes of the sums into ``moved.sums``, of the invariants into `changes`, with those of spins, `sent` and pairs."""
    sites, stride = len(spins), held.sums.shape[2]
    kept, sums, out = (held.kept, moved.kept), (held.sums, moved.sums), (found, changes)
    for begin in range(0, sites, CHUNK):
        end = min(sites, begin + CHUNK)
        sum_neighbours(begin, end, pairs, table, sent[1], lanes, moved.sums, 0)
        if len(stretch.pairs.harmonics):
            sum_neighbours(begin, end, pairs, stretch.table, sent[0], lanes, moved.slopes, begin)
            _add_sums(begin, end, moved.slopes, moved.sums)
            sum_neighbours(begin, end, stretch.pairs, stretch.turned, sent[0], lanes, moved.slopes, begin)
            _add_sums(begin, end, moved.slopes, moved.sums)
        for i in range(begin, end):
            x, y, z = dual(spins[i, 0], moves[i, 0]), dual(spins[i, 1], moves[i, 1]), dual(spins[i, 2], moves[i, 2])
            spot = Spot(sums, i * HARMONICS * stride, stride, x, y, z, False)
            invariants(spot, kinds[0], kinds[1], lanes, kept, out, i * found.shape[1])


@kernel
def _add_sums(begin: int, end: int, sums: Array, out: Array) -> None:
    """Add the sums of the sites begin..end, in rows from 0 on, to their own rows."""
    size = HARMONICS * sums.shape[2]
    for q in range(0, (end - begin) * size, LANES):
        store(out, begin * size + q, load(out, begin * size + q) + load(sums, q))


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
    stretch: Stretch,
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
            spot, to = Spot(sums, i * HARMONICS * stride, stride, x, y, z, False), k * HARMONICS * stride
            invariant_slopes(spot, kinds[0], kinds[1], lanes, kept, by_found, i * by_found[0].shape[1], slopes, to)
            if len(by_vectors[0]):
                for q in range(width):
                    held.slopes[k, 0, channels + q] += by_vectors[0][i, q]
                    moved.slopes[k, 0, channels + q] += by_vectors[1][i, q]
        _spread_changes(begin, end, pairs, table, lanes, held, moved, sent, by_sent, by_table, stretch)


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
    stretch: Stretch,
) -> None:
    """As :func:`spread`, of the changes; also those of slopes by the filters at every distance."""
    stride, moving = sent[0].shape[1], len(stretch.pairs.harmonics) > 0
    for i in range(begin, end):
        own = (i - begin) * HARMONICS * stride
        for p in range(pairs.starts[i], pairs.starts[i + 1]):
            _project(pairs.harmonics, p, lanes, held.slopes, own, held.terms, False)
            _project(pairs.harmonics, p, lanes, moved.slopes, own, moved.terms, False)
            if moving:
                _project(stretch.pairs.harmonics, p, lanes, held.slopes, own, moved.terms, True)
            to, at = pairs.second[p] * stride, pairs.knots[p] * table.shape[1]
            for c in range(0, len(lanes[0]), LANES):
                filters = _filters(table, at, c, lanes)
                filters_c = _filters(stretch.table, at, c, lanes) if moving else _no_filters(table)
                by_filters = _filters(by_table, at, c, lanes)
                by_filters = _turn_channels(
                    c, lanes, (filters, filters_c), (held, moved), own, sent, to, by_sent, by_filters
                )
                _write_filters(by_table, at, c, lanes, by_filters)


@register_jitable  # type: ignore[untyped-decorator]
def _filters(table: Array, at: int, c: int, lanes: Lanes) -> Any:
    """A vector of the filters of every degree, zeros where there are no channels."""
    wide, wide_1 = whole(len(lanes[0])), whole(len(lanes[1]))
    one = two = filled(table, 0.0)
    if c < len(lanes[1]):
        one = load(table, at + wide + c)
    if c < len(lanes[2]):
        two = load(table, at + wide + wide_1 + c)
    return load(table, at + c), one, two


@register_jitable  # type: ignore[untyped-decorator]
def _no_filters(table: Array) -> Any:
    none = filled(table, 0.0)
    return none, none, none


@register_jitable  # type: ignore[untyped-decorator]
def _write_filters(table: Array, at: int, c: int, lanes: Lanes, filters: Any) -> None:
    wide, wide_1 = whole(len(lanes[0])), whole(len(lanes[1]))
    store(table, at + c, filters[0])
    if c < len(lanes[1]):
        store(table, at + wide + c, filters[1])
    if c < len(lanes[2]):
        store(table, at + wide + wide_1 + c, filters[2])


@register_jitable  # type: ignore[untyped-decorator]
def _turn_channels(
    c: int,
    lanes: Lanes,
    filters: Any,
    rooms: tuple[Room, Room],
    own: int,
    sent: Any,
    to: int,
    by_sent: Array,
    by_filters: Any,
) -> Any:
    """A pair's changes of slopes by what was sent, added to `by_sent`, and by its filters, added to those given."""
    (f, e), (held, moved), (g0, g1, g2) = filters, rooms, by_filters
    channels, wide_1, wide_2 = len(lanes[0]), whole(len(lanes[1])), whole(len(lanes[2]))
    for q in range(4):
        place = q * channels + c
        given, out = (load(sent[0], to + place), load(sent[1], to + place)), load(by_sent, to + place)
        slopes, slopes_c = load(held.slopes, own + place), load(moved.slopes, own + place)
        out, g0 = _turned(f[0], e[0], given, slopes, slopes_c, out, g0)
        if c < len(lanes[1]):
            slopes, slopes_c = load(held.terms, q * wide_1 + c), load(moved.terms, q * wide_1 + c)
            out, g1 = _turned(f[1], e[1], given, slopes, slopes_c, out, g1)
        if c < len(lanes[2]):
            at_2 = 4 * wide_1 + q * wide_2 + c
            out, g2 = _turned(f[2], e[2], given, load(held.terms, at_2), load(moved.terms, at_2), out, g2)
        store(by_sent, to + place, out)
    return g0, g1, g2


@register_jitable  # type: ignore[untyped-decorator]
def _turned(filters: Any, filters_c: Any, given: Any, slopes: Any, slopes_c: Any, out: Any, by_filters: Any) -> Any:
    """Changes of slopes by what was sent and by the filters, from `given`: that and its change."""
    out = fma(filters_c, slopes, fma(filters, slopes_c, out))
    return out, fma(slopes_c, given[0], fma(slopes, given[1], by_filters))


@kernel
def _project(harmonics: Array, p: int, lanes: Lanes, slopes: Array, own: int, terms: Array, more: bool) -> None:
    """Slopes of a site times the harmonics of a pair, into `terms`; with `more` added to those."""
    size_1, size_2 = 4 * whole(len(lanes[1])), 4 * whole(len(lanes[2]))
    if size_1:
        _parts(harmonics, p, 1, 4, slopes, own, size_1, terms, 0, more)
    if size_2:
        _parts(harmonics, p, 4, 9, slopes, own, size_2, terms, size_1, more)


@kernel
def _parts(
    harmonics: Array,
    p: int,
    first: int,
    last: int,
    slopes: Array,
    own: int,
    size: int,
    out: Array,
    place: int,
    more: bool,
) -> None:
    """Slopes times the harmonics first..last of a pair; those of its site begin at `own`."""
    stride = slopes.shape[2]
    for q in range(0, size, LANES):
        row = scale(harmonics[p, first], load(slopes, own + first * stride + q))
        if more:
            row = load(out, place + q) + row
        for m in range(first + 1, last):
            row = fma(harmonics[p, m], load(slopes, own + m * stride + q), row)
        store(out, place + q, row)
