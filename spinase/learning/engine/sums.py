"""Compiled sums over the neighbours of a site, and their transpose: all harmonics of LANES channels at once, in registers.

A row of sums holds the four components that neighbours send and their channels as one axis; the README of this folder draws
it.  Sums are formed for LANES channels at a time, c .. c + LANES - 1, over all pairs of a site; offsets like `to`, `at` and
`start` count numbers in flattened arrays.
"""

from __future__ import annotations

from typing import Any

from spinase.compiled import register_jitable
from spinase.compiled.rows import LANES, filled, fma, kernel, load, padded_length, store, store_partial
from spinase.learning.engine.workspace import HARMONICS, ChannelsByDegree, Neighbours, pair_filter
from spinase.typing import Array


@kernel
def sum_neighbours(
    begin: int,
    end: int,
    pairs: Neighbours,
    table: Array,
    sent: Array,
    channels_by_degree: ChannelsByDegree,
    sums: Array,
    base: int,
) -> None:
    """Sums over the neighbours j of the sites i = begin .. end - 1.

        S_i[m, q, c] = sum_j w_d,c(r_ij) Y_m(r_ij) f_j[q, c],        m = 0 | 1, 2, 3 | 4 .. 8 of degree d = 0 | 1 | 2

    with f_j[0] = z_j (a number), f_j[1..3] = v_j (a spin vector), and channels c = 0 .. C_d - 1.  In the network's words the
    parts with q = 0 are A, L, D, those with q = 1..3 are M, T, C.

    Parameters
    ----------
    begin, end : int
        Sites.
    pairs : Neighbours
        Pairs, of which those of these sites are read.
    table : (rows + 1, columns)
        Filters w_d,c, by the pairs' ``knots`` and ``fractions``.
    sent : (N, row_width)
        f_j: z, v_x, v_y, v_z, C_0 numbers each.
    channels_by_degree : ChannelsByDegree
        C_0 >= C_1 >= C_2.
    sums : (..., 9, row_width)
        S: written, for site i at row i - base; harmonics that vanish on planar magnets are not touched.
    base : int
        Site of the first row of `sums`.
    """
    channels, channels_1, channels_2 = len(channels_by_degree[0]), len(channels_by_degree[1]), len(channels_by_degree[2])
    column_1, column_2 = padded_length(channels), padded_length(channels) + padded_length(channels_1)
    for i in range(begin, end):
        to = (i - base) * HARMONICS * sums.shape[2]
        for c in range(0, channels, LANES):
            if c < channels_1 and pairs.planar:
                _sum_degrees_0_1_planar(i, pairs, table, c, column_1 + c, sent, channels, channels_1, c, sums, to)
            elif c < channels_1:
                _sum_degrees_0_1(i, pairs, table, c, column_1 + c, sent, channels, channels_1, c, sums, to)
            else:
                _sum_degree_0(i, pairs, table, c, sent, channels, c, sums, to)
        for c in range(0, channels_2, LANES):
            if pairs.planar:
                _sum_degree_2_planar(i, pairs, table, column_2 + c, sent, channels, channels_2, c, sums, to)
                continue
            _sum_degree_2(i, pairs, table, column_2 + c, sent, channels, channels_2, c, sums, to)


@register_jitable
def _sum_degree_0(
    i: int, pairs: Neighbours, table: Array, column: int, sent: Array, channels_0: int, c: int, sums: Array, to: int
) -> None:
    """S[0, q, c .. c + LANES - 1] of site i, q = 0..3, into the row of `sums` (..., 9, row_width) that starts at `to`.

    `column`: of the filters of degree 0 in `table`; `channels_0` = C_0, the distance of two components in a row of `sent`.
    """
    n = x = y = z = filled(sums, 0.0)
    for p in range(pairs.starts[i], pairs.starts[i + 1]):
        row, at = pair_filter(pairs, p, table, column), pairs.second[p] * sent.shape[1] + c
        n, x = fma(row, load(sent, at), n), fma(row, load(sent, at + channels_0), x)
        y, z = fma(row, load(sent, at + 2 * channels_0), y), fma(row, load(sent, at + 3 * channels_0), z)
    _store_degree_0(sums, to + c, channels_0, c, n, x, y, z)


@register_jitable
def _sum_degrees_0_1(
    i: int,
    pairs: Neighbours,
    table: Array,
    column: int,
    column_1: int,
    sent: Array,
    channels_0: int,
    channels: int,
    c: int,
    sums: Array,
    to: int,
) -> None:
    """S[0..3, q, c ..] of site i: degrees 0 and 1 share what is sent.

    As :func:`_sum_degree_0`; `column_1`: of the filters of degree 1, `channels` = C_1.
    """
    none = filled(sums, 0.0)
    n0 = x0 = y0 = z0 = none
    n = x = y = z = (none, none, none)
    for p in range(pairs.starts[i], pairs.starts[i + 1]):
        at = pairs.second[p] * sent.shape[1] + c
        row, row_1 = pair_filter(pairs, p, table, column), pair_filter(pairs, p, table, column_1)
        harmonics = (pairs.harmonics[p, 1], pairs.harmonics[p, 2], pairs.harmonics[p, 3])
        number, spin_x = load(sent, at), load(sent, at + channels_0)
        n0, x0 = fma(row, number, n0), fma(row, spin_x, x0)
        n, x = _add_3(harmonics, row_1 * number, n), _add_3(harmonics, row_1 * spin_x, x)
        spin_y, spin_z = load(sent, at + 2 * channels_0), load(sent, at + 3 * channels_0)
        y0, z0 = fma(row, spin_y, y0), fma(row, spin_z, z0)
        y, z = _add_3(harmonics, row_1 * spin_y, y), _add_3(harmonics, row_1 * spin_z, z)
    _store_degree_0(sums, to + c, channels_0, c, n0, x0, y0, z0)
    _store_degree(sums, to + sums.shape[2] + c, padded_length(channels), (n, x, y, z))


@register_jitable
def _sum_degree_2(
    i: int,
    pairs: Neighbours,
    table: Array,
    column: int,
    sent: Array,
    channels_0: int,
    channels: int,
    c: int,
    sums: Array,
    to: int,
) -> None:
    """S[4..8, q, c ..] of site i; `column`: of the filters of degree 2, `channels` = C_2, else as :func:`_sum_degree_0`."""
    none, h = filled(sums, 0.0), pairs.harmonics
    n = x = y = z = (none, none, none, none, none)
    for p in range(pairs.starts[i], pairs.starts[i + 1]):
        row, at = pair_filter(pairs, p, table, column), pairs.second[p] * sent.shape[1] + c
        harmonics = (h[p, 4], h[p, 5], h[p, 6], h[p, 7], h[p, 8])
        n, x = _add_5(harmonics, row * load(sent, at), n), _add_5(harmonics, row * load(sent, at + channels_0), x)
        y = _add_5(harmonics, row * load(sent, at + 2 * channels_0), y)
        z = _add_5(harmonics, row * load(sent, at + 3 * channels_0), z)
    _store_degree(sums, to + 4 * sums.shape[2] + c, padded_length(channels), (n, x, y, z))


@register_jitable
def _sum_degrees_0_1_planar(
    i: int,
    pairs: Neighbours,
    table: Array,
    column: int,
    column_1: int,
    sent: Array,
    channels_0: int,
    channels: int,
    c: int,
    sums: Array,
    to: int,
) -> None:
    """S[0..2, q, c ..] of site i: as :func:`_sum_degrees_0_1` where the harmonic z (3) is zero."""
    none = filled(sums, 0.0)
    n0 = x0 = y0 = z0 = none
    n = x = y = z = (none, none)
    for p in range(pairs.starts[i], pairs.starts[i + 1]):
        at = pairs.second[p] * sent.shape[1] + c
        row, row_1 = pair_filter(pairs, p, table, column), pair_filter(pairs, p, table, column_1)
        harmonics = (pairs.harmonics[p, 1], pairs.harmonics[p, 2])
        number, spin_x = load(sent, at), load(sent, at + channels_0)
        n0, x0 = fma(row, number, n0), fma(row, spin_x, x0)
        n, x = _add_2(harmonics, row_1 * number, n), _add_2(harmonics, row_1 * spin_x, x)
        spin_y, spin_z = load(sent, at + 2 * channels_0), load(sent, at + 3 * channels_0)
        y0, z0 = fma(row, spin_y, y0), fma(row, spin_z, z0)
        y, z = _add_2(harmonics, row_1 * spin_y, y), _add_2(harmonics, row_1 * spin_z, z)
    _store_degree_0(sums, to + c, channels_0, c, n0, x0, y0, z0)
    _store_degree(sums, to + sums.shape[2] + c, padded_length(channels), (n, x, y, z))


@register_jitable
def _sum_degree_2_planar(
    i: int,
    pairs: Neighbours,
    table: Array,
    column: int,
    sent: Array,
    channels_0: int,
    channels: int,
    c: int,
    sums: Array,
    to: int,
) -> None:
    """S[4, 7, 8; q, c ..] of site i: as :func:`_sum_degree_2` where the harmonics yz (5) and zx (6) are zero."""
    none, h = filled(sums, 0.0), pairs.harmonics
    n = x = y = z = (none, none, none)
    for p in range(pairs.starts[i], pairs.starts[i + 1]):
        row, at = pair_filter(pairs, p, table, column), pairs.second[p] * sent.shape[1] + c
        harmonics = (h[p, 4], h[p, 7], h[p, 8])
        n, x = _add_3(harmonics, row * load(sent, at), n), _add_3(harmonics, row * load(sent, at + channels_0), x)
        y = _add_3(harmonics, row * load(sent, at + 2 * channels_0), y)
        z = _add_3(harmonics, row * load(sent, at + 3 * channels_0), z)
    at, step, parts = to + 4 * sums.shape[2] + c, sums.shape[2], (n, x, y, z)
    for q in range(4):
        part = parts[q]
        store(sums, at + q * padded_length(channels), part[0])
        store(sums, at + 3 * step + q * padded_length(channels), part[1])
        store(sums, at + 4 * step + q * padded_length(channels), part[2])


@register_jitable
def _store_degree_0(sums: Array, to: int, channels: int, c: int, n: Any, x: Any, y: Any, z: Any) -> None:
    """Components n, x, y, z of degree 0 into flat `sums` from `to` on, `channels` apart; nothing beyond the channels."""
    store_partial(sums, to, n, channels - c)
    store_partial(sums, to + channels, x, channels - c)
    store_partial(sums, to + 2 * channels, y, channels - c)
    store_partial(sums, to + 3 * channels, z, channels - c)


@register_jitable
def _store_degree(sums: Array, to: int, step: int, parts: Any) -> None:
    """Harmonics parts[q][m] of another degree: the four components q are `step` apart, the harmonics a row of `sums`."""
    for q in range(4):
        part = parts[q]
        for m in range(len(part)):
            store(sums, to + m * sums.shape[2] + q * step, part[m])


@register_jitable
def _add_2(harmonics: Any, row: Any, sums: Any) -> Any:
    """sums[m] + harmonics[m] row for two harmonics: numbers times a row of LANES channels."""
    return fma(harmonics[0], row, sums[0]), fma(harmonics[1], row, sums[1])


@register_jitable
def _add_3(harmonics: Any, row: Any, sums: Any) -> Any:
    """sums[m] + harmonics[m] row for three harmonics."""
    return fma(harmonics[0], row, sums[0]), fma(harmonics[1], row, sums[1]), fma(harmonics[2], row, sums[2])


@register_jitable
def _add_5(harmonics: Any, row: Any, sums: Any) -> Any:
    """sums[m] + harmonics[m] row for five harmonics."""
    lower = fma(harmonics[0], row, sums[0]), fma(harmonics[1], row, sums[1]), fma(harmonics[2], row, sums[2])
    return lower[0], lower[1], lower[2], fma(harmonics[3], row, sums[3]), fma(harmonics[4], row, sums[4])


@kernel
def sum_neighbours_backward(
    begin: int,
    end: int,
    pairs: Neighbours,
    table: Array,
    channels_by_degree: ChannelsByDegree,
    grad_sums: Array,
    rows: Array,
    grad_sent: Array,
) -> None:
    """Gradient by what is sent, from that by the sums: the transpose of :func:`sum_neighbours`.

        dE/df_j[q, c] += sum_i sum_m w_d,c(r_ij) Y_m(r_ij) dE/dS_i[m, q, c],        i = begin .. end - 1

    Parameters
    ----------
    begin, end : int
        Sites i.
    pairs, table, channels_by_degree
        As in :func:`sum_neighbours`.
    grad_sums : (CHUNK, 9, row_width)
        dE/dS of the sites from `begin` on; harmonics that vanish are not read.
    rows : (P,) int32
        Row of `grad_sent` for the second site of every pair: ``pairs.second``, or ``pairs.local`` where a strip adds to
        memory of its own.
    grad_sent : (sites, row_width)
        Added to.  Vectors may go beyond the end of a component: filters are zero there.
    """
    channels = len(channels_by_degree[0])
    for i in range(begin, end):
        start = (i - begin) * HARMONICS * grad_sums.shape[2]
        for c in range(0, channels, LANES):
            if pairs.planar:
                _spread_components_planar(i, pairs, table, channels_by_degree, grad_sums, start, 0, c, rows, grad_sent)
                _spread_components_planar(i, pairs, table, channels_by_degree, grad_sums, start, 2, c, rows, grad_sent)
                continue
            _spread_components(i, pairs, table, channels_by_degree, grad_sums, start, 0, c, rows, grad_sent)
            _spread_components(i, pairs, table, channels_by_degree, grad_sums, start, 2, c, rows, grad_sent)


@register_jitable
def _load_grad_sums(grad_sums: Array, start: int, channels_by_degree: ChannelsByDegree, q: int, c: int) -> Any:
    """dE/dS[m, q, c .. c + LANES - 1] of a site whose rows begin at `start`: 1, 3 and 5 rows of degrees 0, 1 and 2."""
    none, step = filled(grad_sums, 0.0), grad_sums.shape[2]
    one, two = (none, none, none), (none, none, none, none, none)
    if c < len(channels_by_degree[1]):
        at = start + step + q * padded_length(len(channels_by_degree[1])) + c
        one = (load(grad_sums, at), load(grad_sums, at + step), load(grad_sums, at + 2 * step))
    if c < len(channels_by_degree[2]):
        at = start + 4 * step + q * padded_length(len(channels_by_degree[2])) + c
        low, high = (load(grad_sums, at), load(grad_sums, at + step), load(grad_sums, at + 2 * step)), at + 3 * step
        two = (low[0], low[1], low[2], load(grad_sums, high), load(grad_sums, high + step))
    return load(grad_sums, start + q * len(channels_by_degree[0]) + c), one, two


@register_jitable
def _dot_3(harmonics: Any, rows: Any) -> Any:
    """sum_m harmonics[m] rows[m] of three harmonics."""
    return fma(harmonics[2], rows[2], fma(harmonics[1], rows[1], harmonics[0] * rows[0]))


@register_jitable
def _dot_5(harmonics: Any, rows: Any) -> Any:
    """sum_m harmonics[m] rows[m] of five harmonics."""
    return fma(
        harmonics[4],
        rows[4],
        fma(harmonics[3], rows[3], fma(harmonics[2], rows[2], fma(harmonics[1], rows[1], harmonics[0] * rows[0]))),
    )


@register_jitable
def _spread_components(
    i: int,
    pairs: Neighbours,
    table: Array,
    channels_by_degree: ChannelsByDegree,
    grad_sums: Array,
    start: int,
    q: int,
    c: int,
    rows: Array,
    grad_sent: Array,
) -> None:
    """The sum of :func:`sum_neighbours_backward` for one site i, components q and q + 1, and channels c .. c + LANES - 1."""
    channels, h = len(channels_by_degree[0]), pairs.harmonics
    wide, wide_1 = padded_length(channels), padded_length(len(channels_by_degree[1]))
    a, b = (
        _load_grad_sums(grad_sums, start, channels_by_degree, q, c),
        _load_grad_sums(grad_sums, start, channels_by_degree, q + 1, c),
    )
    for p in range(pairs.starts[i], pairs.starts[i + 1]):
        at, filters = rows[p] * grad_sent.shape[1] + q * channels + c, pair_filter(pairs, p, table, c)
        row_a, row_b = fma(filters, a[0], load(grad_sent, at)), fma(filters, b[0], load(grad_sent, at + channels))
        if c < len(channels_by_degree[1]):
            filters, vector = pair_filter(pairs, p, table, wide + c), (h[p, 1], h[p, 2], h[p, 3])
            row_a, row_b = fma(filters, _dot_3(vector, a[1]), row_a), fma(filters, _dot_3(vector, b[1]), row_b)
        if c < len(channels_by_degree[2]):
            filters, harmonics = (
                pair_filter(pairs, p, table, wide + wide_1 + c),
                (h[p, 4], h[p, 5], h[p, 6], h[p, 7], h[p, 8]),
            )
            row_a, row_b = fma(filters, _dot_5(harmonics, a[2]), row_a), fma(filters, _dot_5(harmonics, b[2]), row_b)
        store(grad_sent, at, row_a)
        store(grad_sent, at + channels, row_b)


@register_jitable
def _load_grad_sums_planar(grad_sums: Array, start: int, channels_by_degree: ChannelsByDegree, q: int, c: int) -> Any:
    """As :func:`_load_grad_sums`, of the harmonics that do not vanish on planar magnets: 1, 2 and 3 rows."""
    none, step = filled(grad_sums, 0.0), grad_sums.shape[2]
    one, two = (none, none), (none, none, none)
    if c < len(channels_by_degree[1]):
        at = start + step + q * padded_length(len(channels_by_degree[1])) + c
        one = (load(grad_sums, at), load(grad_sums, at + step))
    if c < len(channels_by_degree[2]):
        at = start + 4 * step + q * padded_length(len(channels_by_degree[2])) + c
        two = (load(grad_sums, at), load(grad_sums, at + 3 * step), load(grad_sums, at + 4 * step))
    return load(grad_sums, start + q * len(channels_by_degree[0]) + c), one, two


@register_jitable
def _spread_components_planar(
    i: int,
    pairs: Neighbours,
    table: Array,
    channels_by_degree: ChannelsByDegree,
    grad_sums: Array,
    start: int,
    q: int,
    c: int,
    rows: Array,
    grad_sent: Array,
) -> None:
    """As :func:`_spread_components`, without the harmonics that vanish on planar magnets."""
    channels, h = len(channels_by_degree[0]), pairs.harmonics
    wide, wide_1 = padded_length(channels), padded_length(len(channels_by_degree[1]))
    a, b = (
        _load_grad_sums_planar(grad_sums, start, channels_by_degree, q, c),
        _load_grad_sums_planar(grad_sums, start, channels_by_degree, q + 1, c),
    )
    for p in range(pairs.starts[i], pairs.starts[i + 1]):
        at, filters = rows[p] * grad_sent.shape[1] + q * channels + c, pair_filter(pairs, p, table, c)
        row_a, row_b = fma(filters, a[0], load(grad_sent, at)), fma(filters, b[0], load(grad_sent, at + channels))
        if c < len(channels_by_degree[1]):
            filters, x, y = pair_filter(pairs, p, table, wide + c), h[p, 1], h[p, 2]
            row_a = fma(filters, fma(y, a[1][1], x * a[1][0]), row_a)
            row_b = fma(filters, fma(y, b[1][1], x * b[1][0]), row_b)
        if c < len(channels_by_degree[2]):
            filters, vector = pair_filter(pairs, p, table, wide + wide_1 + c), (h[p, 4], h[p, 7], h[p, 8])
            row_a, row_b = fma(filters, _dot_3(vector, a[2]), row_a), fma(filters, _dot_3(vector, b[2]), row_b)
        store(grad_sent, at, row_a)
        store(grad_sent, at + channels, row_b)
