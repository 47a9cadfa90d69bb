"""Compiled loops of the frozen engine: sums over the neighbours of a site, invariants, and the ways back.

The sums of a site stay in the cache: they are made into invariants, and in the backward pass into slopes of the sums,
before those of the next sites are formed.  They are rows (9, 4 C), one for each harmonic, in which components of what a
neighbour sends (number, spin vector) and channels are one axis; rows of higher degrees are filled in part, as they have
fewer channels.  Filters come from tables in the distance.  Sums over neighbours are written in vector instructions, which
may go beyond the end of a row: rows have room for that (:func:`row_width`), and filters are zero there.  ``lanes`` has a
tuple for every degree whose length is the number of channels (0: not there), so that the compiler knows it.  Numbers in
the code are of the arrays' own type: a plain 0.0 would make everything double precision.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import register_jitable
from numpy.typing import NDArray

from spinase.learning.engine_products import product_invariants, product_slopes
from spinase.simd import LANES, fma, load, scale, store

Array = NDArray[Any]
Lanes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

_FAST = {"contract", "reassoc", "nsz", "arcp"}
CHUNK = 32  # sites whose sums are kept at once
HARMONICS = 9


class Neighbours(NamedTuple):
    """Pairs by rows: `starts` (N + 1,), `second` (P,), place in the tables `knots`, `fractions` (P,), `harmonics` (P, 9).

    `local` (P,): the place of `second` among all neighbours of the sites in the same strip.
    """

    starts: Array
    second: Array
    local: Array
    knots: Array
    fractions: Array
    harmonics: Array


class Layer(NamedTuple):
    """Weights of a layer, transposed for products from the left.

    `table` (knots + 1, ...): filters by degree, those of each filled up with zeros to whole vectors; `own` (F, F),
    `collect` (invariants, F), `bias` (F,), `atoms` (A, F, F), `atom_biases` (A, F), and their transposes with a final _t.
    """

    table: Array
    own: Array
    own_t: Array
    collect: Array
    collect_t: Array
    bias: Array
    atoms: Array
    atoms_t: Array
    atom_biases: Array


class Scratch(NamedTuple):
    """Room for what four neighbours send, times their filters, of all degrees: `terms` (4, ...), `filters` of one pair."""

    terms: Array
    filters: Array


class Sender(NamedTuple):
    """Weights of what a layer is sent, by features: `number`, `spin`, `gate` (F, C), `gate_bias` (C,), `passed` (C, C).

    The last three have length 0 in the first layer; transposes have a final _t.
    """

    number: Array
    number_t: Array
    spin: Array
    spin_t: Array
    gate: Array
    gate_t: Array
    gate_bias: Array
    passed: Array
    passed_t: Array


@register_jitable  # type: ignore[untyped-decorator]
def whole(count: int) -> int:
    """`count` up to the next multiple of the length of a vector."""
    return (count + LANES - 1) // LANES * LANES


@register_jitable  # type: ignore[untyped-decorator]
def row_width(channels: int) -> int:
    """Length of a row of four components of so many channels, with room for a last vector that is too long."""
    return whole(3 * channels + whole(channels))


@register_jitable  # type: ignore[untyped-decorator]
def cleared(shape: tuple[int, ...], size: int, like: Array) -> Array:
    """Zeros of a shape with `size` elements, from the beginning of a cache line: vectors across two cost twice as much."""
    raw = np.zeros(size + LANES, like.dtype)
    start = (-raw.ctypes.data % 64) // raw.itemsize
    return raw[start : start + size].reshape(shape)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def scratch(lanes: Lanes, like: Array) -> Scratch:
    """Zeros."""
    channels = len(lanes[0]) + len(lanes[1]) + len(lanes[2])
    filters = whole(len(lanes[0])) + whole(len(lanes[1])) + whole(len(lanes[2]))
    width = whole(4 * channels) + 2 * LANES
    return Scratch(cleared((4, width), 4 * width, like), cleared((filters,), filters, like))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def sum_room(channels: int, like: Array) -> Array:
    """Zeros for the sums of a chunk, (CHUNK, 9, row_width)."""
    width = row_width(channels)
    return cleared((CHUNK, HARMONICS, width), CHUNK * HARMONICS * width, like)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _filters(pairs: Neighbours, p: int, table: Array, out: Array) -> None:
    """Filters of a pair, between two knots."""
    size, t = len(out), pairs.fractions[p]
    at = pairs.knots[p] * size
    for c in range(0, size, LANES):
        low = load(table, at + c)
        store(out, c, fma(t, load(table, at + size + c), fma(-t, low, low)))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def sum_neighbours(
    begin: int, end: int, pairs: Neighbours, layer: Layer, sent: Array, lanes: Lanes, held: Scratch, sums: Array
) -> None:
    """Sums (9, row_width) of the sites begin..end."""
    terms, filters, starts = held.terms, held.filters, pairs.starts
    wide, wide_1 = whole(len(lanes[0])), whole(len(lanes[1]))
    size, size_1, size_2 = 4 * len(lanes[0]), 4 * len(lanes[1]), 4 * len(lanes[2])
    for i in range(begin, end):  # inside, because every call costs as much as two neighbours
        sums[i - begin] = sums.dtype.type(0.0)
        for p in range(starts[i], starts[i + 1], 4):  # four neighbours at once: a sum is read and written once for them
            here = min(4, starts[i + 1] - p)
            for k in range(here):
                _filters(pairs, p + k, layer.table, filters)
                j = pairs.second[p + k]
                _terms(filters, 0, sent, j, lanes[0], lanes[0], terms, k, 0)
                _terms(filters, wide, sent, j, lanes[0], lanes[1], terms, k, size)
                _terms(filters, wide + wide_1, sent, j, lanes[0], lanes[2], terms, k, size + size_1)
            _accumulate(pairs.harmonics, p, here, 0, 1, terms, 0, size, i - begin, sums)
            if size_1:
                _accumulate(pairs.harmonics, p, here, 1, 4, terms, size, size_1, i - begin, sums)
            if size_2:
                _accumulate(pairs.harmonics, p, here, 4, 9, terms, size + size_1, size_2, i - begin, sums)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _terms(
    filters: Array,
    begin: int,
    sent: Array,
    j: int,
    all_lanes: tuple[int, ...],
    lanes: tuple[int, ...],
    terms: Array,
    k: int,
    place: int,
) -> None:
    """Filter times what neighbour j sends, for one degree; what is written too far is overwritten by what follows."""
    channels, at, to = len(lanes), j * sent.shape[1], k * terms.shape[1] + place
    for component in range(4):
        for c in range(0, channels, LANES):
            row = load(sent, at + component * len(all_lanes) + c)
            store(terms, to + component * channels + c, scale(load(filters, begin + c), row))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _accumulate(
    harmonics: Array,
    p: int,
    here: int,
    first: int,
    last: int,
    terms: Array,
    place: int,
    size: int,
    site: int,
    sums: Array,
) -> None:
    """Add the terms of up to four neighbours to the harmonics first..last."""
    none, step = harmonics.dtype.type(0.0), terms.shape[1]
    for m in range(first, last):
        y0 = harmonics[p, m]
        y1 = harmonics[p + 1, m] if here > 1 else none
        y2 = harmonics[p + 2, m] if here > 2 else none
        y3 = harmonics[p + 3, m] if here > 3 else none
        for q in range(0, size, LANES):
            at, to = place + q, (site * HARMONICS + m) * sums.shape[2] + q
            row = fma(y1, load(terms, at + step), fma(y0, load(terms, at), load(sums, to)))
            store(sums, to, fma(y3, load(terms, at + 3 * step), fma(y2, load(terms, at + 2 * step), row)))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def spread(
    begin: int, end: int, pairs: Neighbours, layer: Layer, slopes: Array, lanes: Lanes, held: Scratch, out: Array
) -> None:
    """Add slopes by what the neighbours of the sites begin..end send to the strip's `out`.

    `slopes` (sites, 9, row_width): by the sums; their rows end in zeros.
    """
    part, filters, starts = held.terms, held.filters, pairs.starts
    size_1, size_2, stride = 4 * len(lanes[1]), 4 * len(lanes[2]), out.shape[1]
    wide, wide_1 = whole(len(lanes[0])), whole(len(lanes[1]))
    for i in range(begin, end):
        own = (i - begin) * HARMONICS * stride
        for p in range(starts[i], starts[i + 1]):
            if size_2:
                _project(pairs.harmonics, p, 4, 9, slopes, own, size_2, part, size_1)
            if size_1:
                _project(pairs.harmonics, p, 1, 4, slopes, own, size_1, part, 0)
            _filters(pairs, p, layer.table, filters)
            for component in range(4):
                for c in range(0, len(lanes[0]), LANES):
                    from_0 = component * len(lanes[0]) + c
                    to = pairs.local[p] * stride + from_0
                    row = fma(load(filters, c), load(slopes, own + from_0), load(out, to))
                    if c < len(lanes[1]):
                        row = fma(load(filters, wide + c), load(part, component * len(lanes[1]) + c), row)
                    if c < len(lanes[2]):
                        from_2 = size_1 + component * len(lanes[2]) + c
                        row = fma(load(filters, wide + wide_1 + c), load(part, from_2), row)
                    store(out, to, row)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _project(
    harmonics: Array, p: int, first: int, last: int, slopes: Array, own: int, size: int, out: Array, place: int
) -> None:
    """Slopes times the harmonics first..last of a pair; those of its site begin at `own`."""
    stride = slopes.shape[2]
    for q in range(0, size, LANES):
        row = scale(harmonics[p, first], load(slopes, own + first * stride + q))
        for m in range(first + 1, last):
            row = fma(harmonics[p, m], load(slopes, own + m * stride + q), row)
        store(out, place + q, row)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def invariants(sums: Array, x: float, y: float, z: float, chirality: bool, products: bool, lanes: Lanes, out: Array) -> None:
    """Invariants of one site with the spin (x, y, z), in the order of the network's."""
    width = len(lanes[0])
    for c in range(width):
        out[c] = sums[0, c]
    place = width
    place += _lattice(sums, lanes[1], 1, 4, out[place:])
    place += _lattice(sums, lanes[2], 4, 9, out[place:])
    own, square, third = out[place:], out[place + width :], out[place + 2 * width :]
    for c in range(width):
        a, b, d = sums[0, width + c], sums[0, 2 * width + c], sums[0, 3 * width + c]
        own[c] = x * a + y * b + z * d
        square[c] = a * a + b * b + d * d
    place += 2 * width
    if chirality:
        for c in range(width):
            e = c - 1 if c else width - 1
            a, b, d = sums[0, width + c], sums[0, 2 * width + c], sums[0, 3 * width + c]
            f, g, h = sums[0, width + e], sums[0, 2 * width + e], sums[0, 3 * width + e]
            volume = x * (b * h - d * g) + y * (d * f - a * h) + z * (a * g - b * f)
            third[c] = volume * volume
        place += width
    place += _mixed(sums, x, y, z, lanes[0], lanes[1], 1, 4, out[place:])
    place += _mixed(sums, x, y, z, lanes[0], lanes[2], 4, 9, out[place:])
    if products:
        product_invariants(sums, x, y, z, lanes, out[place:])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _lattice(sums: Array, lanes: tuple[int, ...], first: int, last: int, out: Array) -> int:
    """L.L of one degree."""
    channels = len(lanes)
    for c in range(channels):
        out[c] = sums[first, c] * sums[first, c]
    for m in range(first + 1, last):
        for c in range(channels):
            out[c] += sums[m, c] * sums[m, c]
    return channels


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _mixed(
    sums: Array,
    x: float,
    y: float,
    z: float,
    all_lanes: tuple[int, ...],
    lanes: tuple[int, ...],
    first: int,
    last: int,
    out: Array,
) -> int:
    """T.T, (s.T).(s.T), (s.T).L and L.(T.M) of one degree."""
    width, channels = len(all_lanes), len(lanes)
    for q in range(4 * channels):
        out[q] = 0.0
    for m in range(first, last):
        for c in range(channels):
            lattice, a, b, d = sums[m, c], sums[m, channels + c], sums[m, 2 * channels + c], sums[m, 3 * channels + c]
            along = a * x + b * y + d * z
            onto = a * sums[0, width + c] + b * sums[0, 2 * width + c] + d * sums[0, 3 * width + c]
            out[c] += a * a + b * b + d * d
            out[channels + c] += along * along
            out[2 * channels + c] += along * lattice
            out[3 * channels + c] += onto * lattice
    return 4 * channels


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def invariant_slopes(
    sums: Array,
    x: float,
    y: float,
    z: float,
    chirality: bool,
    products: bool,
    lanes: Lanes,
    given: Array,
    slopes: Array,
    spin: Array,
) -> None:
    """Slopes (9, 4 C) by the sums from those by the invariants, and those by the spin (3, C)."""
    width = len(lanes[0])
    for c in range(width):
        slopes[0, c] = given[c]
    place = width
    place += _lattice_slopes(sums, lanes[1], 1, 4, given[place:], slopes)
    place += _lattice_slopes(sums, lanes[2], 4, 9, given[place:], slopes)
    own, square = given[place:], given[place + width :]
    for c in range(width):
        first, second = own[c], square[c] + square[c]
        a, b, d = sums[0, width + c], sums[0, 2 * width + c], sums[0, 3 * width + c]
        slopes[0, width + c] = first * x + second * a
        slopes[0, 2 * width + c] = first * y + second * b
        slopes[0, 3 * width + c] = first * z + second * d
        spin[0, c] = first * a
        spin[1, c] = first * b
        spin[2, c] = first * d
    place += 2 * width
    if chirality:
        _volume_slopes(sums, x, y, z, lanes[0], given[place:], slopes, spin)
        place += width
    place += _mixed_slopes(sums, x, y, z, lanes[0], lanes[1], 1, 4, given[place:], slopes, spin)
    place += _mixed_slopes(sums, x, y, z, lanes[0], lanes[2], 4, 9, given[place:], slopes, spin)
    if products:
        product_slopes(sums, x, y, z, lanes, given[place:], slopes, spin)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _lattice_slopes(sums: Array, lanes: tuple[int, ...], first: int, last: int, given: Array, slopes: Array) -> int:
    channels = len(lanes)
    for m in range(first, last):
        for c in range(channels):
            slopes[m, c] = (given[c] + given[c]) * sums[m, c]
    return channels


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _volume_slopes(
    sums: Array, x: float, y: float, z: float, lanes: tuple[int, ...], given: Array, slopes: Array, spin: Array
) -> None:
    width = len(lanes)
    for c in range(width):
        e = c - 1 if c else width - 1
        a, b, d = sums[0, width + c], sums[0, 2 * width + c], sums[0, 3 * width + c]
        f, g, h = sums[0, width + e], sums[0, 2 * width + e], sums[0, 3 * width + e]
        rate = (given[c] + given[c]) * (x * (b * h - d * g) + y * (d * f - a * h) + z * (a * g - b * f))
        slopes[0, width + c] += rate * (g * z - h * y)
        slopes[0, 2 * width + c] += rate * (h * x - f * z)
        slopes[0, 3 * width + c] += rate * (f * y - g * x)
        slopes[0, width + e] += rate * (y * d - z * b)
        slopes[0, 2 * width + e] += rate * (z * a - x * d)
        slopes[0, 3 * width + e] += rate * (x * b - y * a)
        spin[0, c] += rate * (b * h - d * g)
        spin[1, c] += rate * (d * f - a * h)
        spin[2, c] += rate * (a * g - b * f)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _mixed_slopes(
    sums: Array,
    x: float,
    y: float,
    z: float,
    all_lanes: tuple[int, ...],
    lanes: tuple[int, ...],
    first: int,
    last: int,
    given: Array,
    slopes: Array,
    spin: Array,
) -> int:
    width, channels = len(all_lanes), len(lanes)
    for m in range(first, last):
        for c in range(channels):
            lattice, a, b, d = sums[m, c], sums[m, channels + c], sums[m, 2 * channels + c], sums[m, 3 * channels + c]
            f, g, h = sums[0, width + c], sums[0, 2 * width + c], sums[0, 3 * width + c]
            g0, g1 = given[c] + given[c], given[channels + c] + given[channels + c]
            g2, g3 = given[2 * channels + c], given[3 * channels + c]
            along = a * x + b * y + d * z
            by_along, by_onto = g1 * along + g2 * lattice, g3 * lattice
            slopes[m, c] += g2 * along + g3 * (a * f + b * g + d * h)
            slopes[m, channels + c] = g0 * a + by_along * x + by_onto * f
            slopes[m, 2 * channels + c] = g0 * b + by_along * y + by_onto * g
            slopes[m, 3 * channels + c] = g0 * d + by_along * z + by_onto * h
            slopes[0, width + c] += by_onto * a
            slopes[0, 2 * width + c] += by_onto * b
            slopes[0, 3 * width + c] += by_onto * d
            spin[0, c] += by_along * a
            spin[1, c] += by_along * b
            spin[2, c] += by_along * d
    return 4 * channels
