"""Compiled loops of the frozen engine: sums over the neighbours of a site, invariants, and the ways back.

The sums of a site stay in the first-level cache: they are made into invariants, and in the backward pass into slopes of the
sums, before those of the next one are formed.  They are rows (9, 4 C), one for each harmonic, in which components of what a
neighbour sends (number, spin vector) and channels are one axis; rows of higher degrees are filled in part, as they have
fewer channels.  Filters come from tables in the distance.  ``lanes`` has a tuple for every degree whose length is the
number of channels (0: not there), so that the compiler knows it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit
from numpy.typing import NDArray

from spinase.learning.engine_products import product_invariants, product_slopes

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

    `table_0`, `table_1`, `table_2` (knots, 2, C): filters by degree and their steps to the next knot; `own` (F, F),
    `collect` (invariants, F), `bias` (F,), `atoms` (A, F, F), `atom_biases` (A, F), and their transposes with a final _t.
    """

    table_0: Array
    table_1: Array
    table_2: Array
    own: Array
    own_t: Array
    collect: Array
    collect_t: Array
    bias: Array
    atoms: Array
    atoms_t: Array
    atom_biases: Array


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


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def sum_neighbours(pairs: Neighbours, i: int, layer: Layer, sent: Array, lanes: Lanes, terms: Array, out: Array) -> None:
    """Sums (9, 4 C) of site i; `terms` (4, 4 C) is scratch, finite."""
    _sum(pairs, i, layer.table_0, sent, lanes[0], lanes[0], 0, 1, terms, out)
    if len(lanes[1]):
        _sum(pairs, i, layer.table_1, sent, lanes[0], lanes[1], 1, 4, terms, out)
    if len(lanes[2]):
        _sum(pairs, i, layer.table_2, sent, lanes[0], lanes[2], 4, 9, terms, out)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _sum(
    pairs: Neighbours,
    i: int,
    table: Array,
    sent: Array,
    all_lanes: tuple[int, ...],
    lanes: tuple[int, ...],
    first: int,
    last: int,
    terms: Array,
    out: Array,
) -> None:
    """The harmonics first..last, of one degree."""
    width, channels, end = len(all_lanes), len(lanes), pairs.starts[i + 1]
    none = 0.0 * terms[0, 0]
    for m in range(first, last):
        for q in range(4 * channels):
            out[m, q] = none
    for p in range(pairs.starts[i], end, 4):  # four neighbours at once, so that sums stay in registers
        here = min(4, end - p)
        for k in range(here):
            j, row, t = pairs.second[p + k], pairs.knots[p + k], pairs.fractions[p + k]
            for c in range(channels):
                w = table[row, 0, c] + t * table[row, 1, c]
                terms[k, c] = w * sent[j, c]
                terms[k, channels + c] = w * sent[j, width + c]
                terms[k, 2 * channels + c] = w * sent[j, 2 * width + c]
                terms[k, 3 * channels + c] = w * sent[j, 3 * width + c]
        for m in range(first, last):
            y0 = pairs.harmonics[p, m]
            y1 = pairs.harmonics[p + 1, m] if here > 1 else none
            y2 = pairs.harmonics[p + 2, m] if here > 2 else none
            y3 = pairs.harmonics[p + 3, m] if here > 3 else none
            for q in range(4 * channels):
                out[m, q] += (y0 * terms[0, q] + y1 * terms[1, q]) + (y2 * terms[2, q] + y3 * terms[3, q])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def spread(pairs: Neighbours, i: int, layer: Layer, slopes: Array, lanes: Lanes, part: Array, out: Array) -> None:
    """Add the slopes by what the neighbours of site i send to the strip's `out`."""
    for p in range(pairs.starts[i], pairs.starts[i + 1]):
        for q in range(4 * len(lanes[0])):
            part[q] = slopes[0, q]
        _add(pairs, p, layer.table_0, lanes[0], lanes[0], part, out)
        if len(lanes[1]):
            y0, y1, y2 = pairs.harmonics[p, 1], pairs.harmonics[p, 2], pairs.harmonics[p, 3]
            for q in range(4 * len(lanes[1])):
                part[q] = y0 * slopes[1, q] + y1 * slopes[2, q] + y2 * slopes[3, q]
            _add(pairs, p, layer.table_1, lanes[0], lanes[1], part, out)
        if len(lanes[2]):
            y0, y1, y2 = pairs.harmonics[p, 4], pairs.harmonics[p, 5], pairs.harmonics[p, 6]
            y3, y4 = pairs.harmonics[p, 7], pairs.harmonics[p, 8]
            for q in range(4 * len(lanes[2])):
                part[q] = (y0 * slopes[4, q] + y1 * slopes[5, q]) + (
                    y2 * slopes[6, q] + y3 * slopes[7, q] + y4 * slopes[8, q]
                )
            _add(pairs, p, layer.table_2, lanes[0], lanes[2], part, out)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _add(
    pairs: Neighbours,
    p: int,
    table: Array,
    all_lanes: tuple[int, ...],
    lanes: tuple[int, ...],
    part: Array,
    out: Array,
) -> None:
    width, channels = len(all_lanes), len(lanes)
    j, row, t = pairs.local[p], pairs.knots[p], pairs.fractions[p]
    for c in range(channels):
        w = table[row, 0, c] + t * table[row, 1, c]
        out[j, c] += w * part[c]
        out[j, width + c] += w * part[channels + c]
        out[j, 2 * width + c] += w * part[2 * channels + c]
        out[j, 3 * width + c] += w * part[3 * channels + c]


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
        first, second = own[c], 2.0 * square[c]
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
            slopes[m, c] = 2.0 * given[c] * sums[m, c]
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
        rate = 2.0 * given[c] * (x * (b * h - d * g) + y * (d * f - a * h) + z * (a * g - b * f))
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
            g0, g1, g2, g3 = 2.0 * given[c], 2.0 * given[channels + c], given[2 * channels + c], given[3 * channels + c]
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
