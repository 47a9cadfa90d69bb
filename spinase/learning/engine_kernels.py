"""Compiled loops of the frozen engine: sums over the neighbours of a site, and the way back.

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

from numba import njit
from numba.extending import register_jitable
from numpy.typing import NDArray

from spinase.learning.engine_invariants import KEPT_ROWS
from spinase.simd import LANES, aligned, fma, load, scale, store

Array = NDArray[Any]
Lanes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

_FAST = {"contract", "reassoc", "nsz", "arcp"}
CHUNK = 64  # sites whose sums are kept at once
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


class Room(NamedTuple):
    """What one thread works in; arrays begin as zeros, on cache lines (vectors across two of them cost twice as much).

    `terms` (4, ...): what four neighbours send, times their filters, of all degrees; `filters` of one pair; `sums` and
    `slopes` (CHUNK, 9, row_width), whose rows end in zeros; `kept` of the invariants; `found` (CHUNK + 1, invariants).
    """

    terms: Array
    filters: Array
    sums: Array
    slopes: Array
    kept: Array
    found: Array


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


def room(lanes: Lanes, invariants: int, dtype: Any) -> Room:
    """Room for layers with so many channels and invariants."""
    channels = [len(part) for part in lanes]
    width, terms = row_width(channels[0]), whole(4 * sum(channels)) + 2 * LANES
    sums = CHUNK * HARMONICS * width
    sizes = (4 * terms, sum(whole(count) for count in channels), sums, sums, KEPT_ROWS * LANES, (CHUNK + 1) * invariants)
    arrays = [aligned(size, dtype) for size in sizes]
    shapes = ((4, terms), sizes[1], (CHUNK, HARMONICS, width), (CHUNK, HARMONICS, width), sizes[4], (CHUNK + 1, invariants))
    return Room(*(array.reshape(shape) for array, shape in zip(arrays, shapes, strict=True)))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def pair_filters(pairs: Neighbours, p: int, table: Array, out: Array) -> None:
    """Filters of a pair, between two knots or on one."""
    size, t = len(out), pairs.fractions[p]
    at = pairs.knots[p] * size
    if t == 0:
        for c in range(0, size, LANES):
            store(out, c, load(table, at + c))
        return
    for c in range(0, size, LANES):
        low = load(table, at + c)
        store(out, c, fma(t, load(table, at + size + c), fma(-t, low, low)))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def sum_neighbours(begin: int, end: int, pairs: Neighbours, table: Array, sent: Array, lanes: Lanes, held: Room) -> None:
    """Sums (9, row_width) of the sites begin..end."""
    terms, filters, sums, starts = held.terms, held.filters, held.sums, pairs.starts
    wide, wide_1 = whole(len(lanes[0])), whole(len(lanes[1]))
    size, size_1, size_2 = 4 * len(lanes[0]), 4 * len(lanes[1]), 4 * len(lanes[2])
    for i in range(begin, end):  # inside, because every call costs as much as two neighbours
        sums[i - begin] = sums.dtype.type(0.0)
        for p in range(starts[i], starts[i + 1], 4):  # four neighbours at once: a sum is read and written once for them
            here = min(4, starts[i + 1] - p)
            for k in range(here):
                pair_filters(pairs, p + k, table, filters)
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
def spread(begin: int, end: int, pairs: Neighbours, table: Array, lanes: Lanes, held: Room, out: Array) -> None:
    """Add slopes by what the neighbours of the sites begin..end send, from those by the sums, to the strip's `out`."""
    part, filters, slopes, starts = held.terms, held.filters, held.slopes, pairs.starts
    size_1, size_2, stride = 4 * len(lanes[1]), 4 * len(lanes[2]), out.shape[1]
    wide, wide_1 = whole(len(lanes[0])), whole(len(lanes[1]))
    for i in range(begin, end):
        own = (i - begin) * HARMONICS * stride
        for p in range(starts[i], starts[i + 1]):
            if size_1:  # first: what it writes too far is overwritten
                project(pairs.harmonics, p, 1, 4, slopes, own, size_1, part, 0)
            if size_2:
                project(pairs.harmonics, p, 4, 9, slopes, own, size_2, part, size_1)
            pair_filters(pairs, p, table, filters)
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
def project(
    harmonics: Array, p: int, first: int, last: int, slopes: Array, own: int, size: int, out: Array, place: int
) -> None:
    """Slopes times the harmonics first..last of a pair; those of its site begin at `own`."""
    stride = slopes.shape[2]
    for q in range(0, size, LANES):
        row = scale(harmonics[p, first], load(slopes, own + first * stride + q))
        for m in range(first + 1, last):
            row = fma(harmonics[p, m], load(slopes, own + m * stride + q), row)
        store(out, place + q, row)
