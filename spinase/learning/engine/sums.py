"""Compiled sums over the neighbours of a site: all harmonics of a few channels at once, which stay in registers.

A row of sums holds components of what a neighbour sends (number, spin vector) and channels as one axis; :mod:`workspace
<spinase.learning.engine.workspace>` says more.  Filters come from tables in the distance.
"""

from __future__ import annotations

from typing import Any

from numba.extending import register_jitable

from spinase.compiled.rows import LANES, filled, fma, kernel, load, put, store, whole
from spinase.learning.engine.workspace import HARMONICS, Lanes, Neighbours, pair_filter
from spinase.typing import Array


@kernel
def sum_neighbours(
    begin: int, end: int, pairs: Neighbours, table: Array, sent: Array, lanes: Lanes, sums: Array, base: int
) -> None:
    """Sums (9, row_width) of the sites begin..end, written to `sums` (..., 9, row_width) from row begin - base on."""
    channels, channels_1, channels_2 = len(lanes[0]), len(lanes[1]), len(lanes[2])
    place_1, place_2 = whole(channels), whole(channels) + whole(channels_1)
    for i in range(begin, end):
        to = (i - base) * HARMONICS * sums.shape[2]
        for c in range(0, channels, LANES):
            if c < channels_1 and pairs.planar:
                _sum_numbers_and_planar_vectors(i, pairs, table, c, place_1 + c, sent, channels, channels_1, c, sums, to)
            elif c < channels_1:
                _sum_numbers_and_vectors(i, pairs, table, c, place_1 + c, sent, channels, channels_1, c, sums, to)
            else:
                _sum_numbers(i, pairs, table, c, sent, channels, c, sums, to)
        for c in range(0, channels_2, LANES):
            if pairs.planar:
                _sum_planar_quadrupoles(i, pairs, table, place_2 + c, sent, channels, channels_2, c, sums, to)
                continue
            _sum_quadrupoles(i, pairs, table, place_2 + c, sent, channels, channels_2, c, sums, to)


@register_jitable  # type: ignore[untyped-decorator]
def _sum_numbers(
    i: int, pairs: Neighbours, table: Array, place: int, sent: Array, width: int, c: int, sums: Array, to: int
) -> None:
    """Degree 0."""
    n = x = y = z = filled(sums, 0.0)
    for p in range(pairs.starts[i], pairs.starts[i + 1]):
        row, at = pair_filter(pairs, p, table, place), pairs.second[p] * sent.shape[1] + c
        n, x = fma(row, load(sent, at), n), fma(row, load(sent, at + width), x)
        y, z = fma(row, load(sent, at + 2 * width), y), fma(row, load(sent, at + 3 * width), z)
    _write_numbers(sums, to + c, width, c, n, x, y, z)


@register_jitable  # type: ignore[untyped-decorator]
def _sum_numbers_and_vectors(
    i: int,
    pairs: Neighbours,
    table: Array,
    place: int,
    place_1: int,
    sent: Array,
    width: int,
    channels: int,
    c: int,
    sums: Array,
    to: int,
) -> None:
    """Degrees 0 and 1."""
    none = filled(sums, 0.0)
    n0 = x0 = y0 = z0 = none
    n = x = y = z = (none, none, none)
    for p in range(pairs.starts[i], pairs.starts[i + 1]):
        at = pairs.second[p] * sent.shape[1] + c
        row, row_1 = pair_filter(pairs, p, table, place), pair_filter(pairs, p, table, place_1)
        of = (pairs.harmonics[p, 1], pairs.harmonics[p, 2], pairs.harmonics[p, 3])
        number, spin_x = load(sent, at), load(sent, at + width)
        n0, x0 = fma(row, number, n0), fma(row, spin_x, x0)
        n, x = _add_vector(of, row_1 * number, n), _add_vector(of, row_1 * spin_x, x)
        spin_y, spin_z = load(sent, at + 2 * width), load(sent, at + 3 * width)
        y0, z0 = fma(row, spin_y, y0), fma(row, spin_z, z0)
        y, z = _add_vector(of, row_1 * spin_y, y), _add_vector(of, row_1 * spin_z, z)
    _write_numbers(sums, to + c, width, c, n0, x0, y0, z0)
    _write(sums, to + sums.shape[2] + c, whole(channels), (n, x, y, z))


@register_jitable  # type: ignore[untyped-decorator]
def _sum_quadrupoles(
    i: int, pairs: Neighbours, table: Array, place: int, sent: Array, width: int, channels: int, c: int, sums: Array, to: int
) -> None:
    """Degree 2."""
    none, h = filled(sums, 0.0), pairs.harmonics
    n = x = y = z = (none, none, none, none, none)
    for p in range(pairs.starts[i], pairs.starts[i + 1]):
        row, at = pair_filter(pairs, p, table, place), pairs.second[p] * sent.shape[1] + c
        of = (h[p, 4], h[p, 5], h[p, 6], h[p, 7], h[p, 8])
        n, x = _add_quadrupole(of, row * load(sent, at), n), _add_quadrupole(of, row * load(sent, at + width), x)
        y = _add_quadrupole(of, row * load(sent, at + 2 * width), y)
        z = _add_quadrupole(of, row * load(sent, at + 3 * width), z)
    _write(sums, to + 4 * sums.shape[2] + c, whole(channels), (n, x, y, z))


@register_jitable  # type: ignore[untyped-decorator]
def _sum_numbers_and_planar_vectors(
    i: int,
    pairs: Neighbours,
    table: Array,
    place: int,
    place_1: int,
    sent: Array,
    width: int,
    channels: int,
    c: int,
    sums: Array,
    to: int,
) -> None:
    """Degrees 0 and 1, the latter without z."""
    none = filled(sums, 0.0)
    n0 = x0 = y0 = z0 = none
    n = x = y = z = (none, none)
    for p in range(pairs.starts[i], pairs.starts[i + 1]):
        at = pairs.second[p] * sent.shape[1] + c
        row, row_1 = pair_filter(pairs, p, table, place), pair_filter(pairs, p, table, place_1)
        of = (pairs.harmonics[p, 1], pairs.harmonics[p, 2])
        number, spin_x = load(sent, at), load(sent, at + width)
        n0, x0 = fma(row, number, n0), fma(row, spin_x, x0)
        n, x = _add_two(of, row_1 * number, n), _add_two(of, row_1 * spin_x, x)
        spin_y, spin_z = load(sent, at + 2 * width), load(sent, at + 3 * width)
        y0, z0 = fma(row, spin_y, y0), fma(row, spin_z, z0)
        y, z = _add_two(of, row_1 * spin_y, y), _add_two(of, row_1 * spin_z, z)
    _write_numbers(sums, to + c, width, c, n0, x0, y0, z0)
    _write(sums, to + sums.shape[2] + c, whole(channels), (n, x, y, z))


@register_jitable  # type: ignore[untyped-decorator]
def _sum_planar_quadrupoles(
    i: int, pairs: Neighbours, table: Array, place: int, sent: Array, width: int, channels: int, c: int, sums: Array, to: int
) -> None:
    """Degree 2, without yz and zx."""
    none, h = filled(sums, 0.0), pairs.harmonics
    n = x = y = z = (none, none, none)
    for p in range(pairs.starts[i], pairs.starts[i + 1]):
        row, at = pair_filter(pairs, p, table, place), pairs.second[p] * sent.shape[1] + c
        of = (h[p, 4], h[p, 7], h[p, 8])
        n, x = _add_vector(of, row * load(sent, at), n), _add_vector(of, row * load(sent, at + width), x)
        y = _add_vector(of, row * load(sent, at + 2 * width), y)
        z = _add_vector(of, row * load(sent, at + 3 * width), z)
    at, step, parts = to + 4 * sums.shape[2] + c, sums.shape[2], (n, x, y, z)
    for q in range(4):
        part = parts[q]
        store(sums, at + q * whole(channels), part[0])
        store(sums, at + 3 * step + q * whole(channels), part[1])
        store(sums, at + 4 * step + q * whole(channels), part[2])


@register_jitable  # type: ignore[untyped-decorator]
def _write_numbers(sums: Array, to: int, channels: int, c: int, n: Any, x: Any, y: Any, z: Any) -> None:
    """Sums of degree 0 from element `to` on."""
    put(sums, to, n, channels - c)
    put(sums, to + channels, x, channels - c)
    put(sums, to + 2 * channels, y, channels - c)
    put(sums, to + 3 * channels, z, channels - c)


@register_jitable  # type: ignore[untyped-decorator]
def _write(sums: Array, to: int, step: int, parts: Any) -> None:
    """Sums of another degree from element `to` on: harmonics of each of the four components."""
    for q in range(4):
        part = parts[q]
        for m in range(len(part)):
            store(sums, to + m * sums.shape[2] + q * step, part[m])


@register_jitable  # type: ignore[untyped-decorator]
def _add_two(of: Any, row: Any, to: Any) -> Any:
    return fma(of[0], row, to[0]), fma(of[1], row, to[1])


@register_jitable  # type: ignore[untyped-decorator]
def _add_vector(of: Any, row: Any, to: Any) -> Any:
    return fma(of[0], row, to[0]), fma(of[1], row, to[1]), fma(of[2], row, to[2])


@register_jitable  # type: ignore[untyped-decorator]
def _add_quadrupole(of: Any, row: Any, to: Any) -> Any:
    lower = fma(of[0], row, to[0]), fma(of[1], row, to[1]), fma(of[2], row, to[2])
    return lower[0], lower[1], lower[2], fma(of[3], row, to[3]), fma(of[4], row, to[4])


@kernel
def spread(
    begin: int, end: int, pairs: Neighbours, table: Array, lanes: Lanes, slopes: Array, to: Array, out: Array
) -> None:
    """Add slopes by what the neighbours of the sites begin..end send, from those by the sums, to the rows of `out`.

    `slopes` (CHUNK, 9, row_width) are of the sites from `begin` on; `to` (P,) are rows of `out`.
    """
    channels = len(lanes[0])
    for i in range(begin, end):
        own = (i - begin) * HARMONICS * slopes.shape[2]
        for c in range(0, channels, LANES):
            if pairs.planar:
                _spread_planar(i, pairs, table, lanes, slopes, own, 0, c, to, out)
                _spread_planar(i, pairs, table, lanes, slopes, own, 2, c, to, out)
                continue
            _spread_two(i, pairs, table, lanes, slopes, own, 0, c, to, out)
            _spread_two(i, pairs, table, lanes, slopes, own, 2, c, to, out)


@register_jitable  # type: ignore[untyped-decorator]
def _slopes(slopes: Array, own: int, lanes: Lanes, q: int, c: int) -> Any:
    """Slopes by the sums of component q, by degree."""
    none, step = filled(slopes, 0.0), slopes.shape[2]
    one, two = (none, none, none), (none, none, none, none, none)
    if c < len(lanes[1]):
        at = own + step + q * whole(len(lanes[1])) + c
        one = (load(slopes, at), load(slopes, at + step), load(slopes, at + 2 * step))
    if c < len(lanes[2]):
        at = own + 4 * step + q * whole(len(lanes[2])) + c
        low, high = (load(slopes, at), load(slopes, at + step), load(slopes, at + 2 * step)), at + 3 * step
        two = (low[0], low[1], low[2], load(slopes, high), load(slopes, high + step))
    return load(slopes, own + q * len(lanes[0]) + c), one, two


@register_jitable  # type: ignore[untyped-decorator]
def _along(of: Any, slopes: Any) -> Any:
    """Slopes times the harmonics of degree 1."""
    return fma(of[2], slopes[2], fma(of[1], slopes[1], of[0] * slopes[0]))


@register_jitable  # type: ignore[untyped-decorator]
def _across(of: Any, slopes: Any) -> Any:
    """Slopes times the harmonics of degree 2."""
    return fma(of[4], slopes[4], fma(of[3], slopes[3], fma(of[2], slopes[2], fma(of[1], slopes[1], of[0] * slopes[0]))))


@register_jitable  # type: ignore[untyped-decorator]
def _spread_two(
    i: int,
    pairs: Neighbours,
    table: Array,
    lanes: Lanes,
    slopes: Array,
    own: int,
    q: int,
    c: int,
    to: Array,
    out: Array,
) -> None:
    """Components q and q + 1."""
    channels, h = len(lanes[0]), pairs.harmonics
    wide, wide_1 = whole(channels), whole(len(lanes[1]))
    a, b = _slopes(slopes, own, lanes, q, c), _slopes(slopes, own, lanes, q + 1, c)
    for p in range(pairs.starts[i], pairs.starts[i + 1]):
        at, filters = to[p] * out.shape[1] + q * channels + c, pair_filter(pairs, p, table, c)
        row_a, row_b = fma(filters, a[0], load(out, at)), fma(filters, b[0], load(out, at + channels))
        if c < len(lanes[1]):
            filters, vector = pair_filter(pairs, p, table, wide + c), (h[p, 1], h[p, 2], h[p, 3])
            row_a, row_b = fma(filters, _along(vector, a[1]), row_a), fma(filters, _along(vector, b[1]), row_b)
        if c < len(lanes[2]):
            filters, of = pair_filter(pairs, p, table, wide + wide_1 + c), (h[p, 4], h[p, 5], h[p, 6], h[p, 7], h[p, 8])
            row_a, row_b = fma(filters, _across(of, a[2]), row_a), fma(filters, _across(of, b[2]), row_b)
        store(out, at, row_a)
        store(out, at + channels, row_b)


@register_jitable  # type: ignore[untyped-decorator]
def _planar_slopes(slopes: Array, own: int, lanes: Lanes, q: int, c: int) -> Any:
    """As :func:`_slopes`, without those of harmonics that are zero."""
    none, step = filled(slopes, 0.0), slopes.shape[2]
    one, two = (none, none), (none, none, none)
    if c < len(lanes[1]):
        at = own + step + q * whole(len(lanes[1])) + c
        one = (load(slopes, at), load(slopes, at + step))
    if c < len(lanes[2]):
        at = own + 4 * step + q * whole(len(lanes[2])) + c
        two = (load(slopes, at), load(slopes, at + 3 * step), load(slopes, at + 4 * step))
    return load(slopes, own + q * len(lanes[0]) + c), one, two


@register_jitable  # type: ignore[untyped-decorator]
def _spread_planar(
    i: int,
    pairs: Neighbours,
    table: Array,
    lanes: Lanes,
    slopes: Array,
    own: int,
    q: int,
    c: int,
    to: Array,
    out: Array,
) -> None:
    """As :func:`_spread_two`."""
    channels, h = len(lanes[0]), pairs.harmonics
    wide, wide_1 = whole(channels), whole(len(lanes[1]))
    a, b = _planar_slopes(slopes, own, lanes, q, c), _planar_slopes(slopes, own, lanes, q + 1, c)
    for p in range(pairs.starts[i], pairs.starts[i + 1]):
        at, filters = to[p] * out.shape[1] + q * channels + c, pair_filter(pairs, p, table, c)
        row_a, row_b = fma(filters, a[0], load(out, at)), fma(filters, b[0], load(out, at + channels))
        if c < len(lanes[1]):
            filters, x, y = pair_filter(pairs, p, table, wide + c), h[p, 1], h[p, 2]
            row_a = fma(filters, fma(y, a[1][1], x * a[1][0]), row_a)
            row_b = fma(filters, fma(y, b[1][1], x * b[1][0]), row_b)
        if c < len(lanes[2]):
            filters, vector = pair_filter(pairs, p, table, wide + wide_1 + c), (h[p, 4], h[p, 7], h[p, 8])
            row_a, row_b = fma(filters, _along(vector, a[2]), row_a), fma(filters, _along(vector, b[2]), row_b)
        store(out, at, row_a)
        store(out, at + channels, row_b)
