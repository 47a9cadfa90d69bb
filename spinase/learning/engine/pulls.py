r"""The way back from sums to neighbours where atoms move: dE by what neighbours sent, and by the vectors of the pairs.

With S_qm the sums of a site (component q of what neighbours send, harmonic m), g_qm = dE/dS_qm, v_q what a neighbour sent,
w_d(r) the filters of degree d and Y_m(u) the harmonics of the direction u = r/|r|,

    dE/dv_q = \sum_d w_d \sum_{m in d} g_qm Y_m
    dE/dr   = u \sum_d w_d' \sum_{m in d} Y_m T_m + (1 - u u^T)/|r| \sum_d w_d \sum_{m in d} T_m dY_m/du,
    T_m     = \sum_q g_qm v_q,

channel by channel, added up over the channels.  In `h` below are the nine Y_m of a pair.
"""

from __future__ import annotations

from typing import Any

from spinase.compiled import is_named, overload, register_jitable
from spinase.compiled.rows import LANES, filled, fma, kernel, load, padded_length, scale, store, total
from spinase.learning.engine.splines import MovingPairs, basis, basis_slopes, combined
from spinase.learning.engine.sums import sum_neighbours_backward
from spinase.learning.engine.workspace import HARMONICS, ChannelsByDegree
from spinase.typing import Array

MOTION = 12
"""Columns that a site's field has beyond its three where atoms move: dE/dr of its pairs (3), and their virial (9)."""

_ROOT, _SIXTH = 1.4142135623730951, 0.408248290463863


def to_neighbours(
    begin: int,
    end: int,
    pairs: Any,
    table: Array,
    channels: ChannelsByDegree,
    grad_sums: Array,
    sent: Array,
    grad_sent: Array,
    field: Array,
) -> None:
    """Compiled code only: :func:`sum_neighbours_backward`, or :func:`pull_neighbours` for :class:`MovingPairs`.

    Parameters
    ----------
    begin, end : int
        Sites, a chunk at most.
    pairs : Neighbours or MovingPairs
        Its type decides.
    table : (rows, columns)
        Filters at distances, or coefficients of their splines.
    channels : ChannelsByDegree
        Ranges as long as there are channels of degree 0, 1, 2.
    grad_sums : (CHUNK, 9, row_width)
        dE/dS of the sites from `begin` on.
    sent : (N, row_width)
        What the sites have sent.
    grad_sent : (neighbours of the strip, row_width or more)
        dE by what they have sent, added to.
    field : (N, 3 or more)
        Written by :func:`pull_neighbours` only.
    """
    raise NotImplementedError


@overload(to_neighbours)
def _to_neighbours(begin, end, pairs, table, channels, grad_sums, sent, grad_sent, field):  # type: ignore[no-untyped-def]
    if is_named(pairs, MovingPairs):

        def code(begin, end, pairs, table, channels, grad_sums, sent, grad_sent, field):  # type: ignore[no-untyped-def]
            pull_neighbours(begin, end, pairs, table, channels, grad_sums, sent, grad_sent, field)
    else:

        def code(begin, end, pairs, table, channels, grad_sums, sent, grad_sent, field):  # type: ignore[no-untyped-def]
            sum_neighbours_backward(begin, end, pairs, table, channels, grad_sums, pairs.local, grad_sent)

    return code


@kernel
def pull_neighbours(
    begin: int,
    end: int,
    pairs: MovingPairs,
    table: Array,
    channels: ChannelsByDegree,
    grad_sums: Array,
    sent: Array,
    grad_sent: Array,
    field: Array,
) -> None:
    """dE/dv and dE/dr of the pairs of the sites begin .. end - 1, a chunk at most.

    Parameters
    ----------
    begin, end : int
        Sites, a chunk at most.
    pairs : MovingPairs
        Directed pairs of these sites, with distances, harmonics and places on the splines.
    channels : ChannelsByDegree
        Ranges as long as there are channels of degree 0, 1, 2.
    table : (intervals + 3, columns)
        Spline coefficients of the filters.
    grad_sums : (CHUNK, 9, row_width)
        g of the sites from `begin` on.
    sent : (N, row_width)
        v.
    grad_sent : (neighbours of the strip, row_width + LANES)
        dE/dv, added to; in the first three columns behind the row -dE/dr, added to.
    field : (N, 3 + MOTION)
        Added to: dE/dr of the site's pairs in columns 3 to 5, and (dE/dr)_a r_b in columns 6 + 3 a + b.
    """
    stride, number = grad_sent.shape[1], table.dtype.type
    for i in range(begin, end):
        own = (i - begin) * HARMONICS * grad_sums.shape[2]
        for p in range(pairs.starts[i], pairs.starts[i + 1]):
            h, r, t = pairs.harmonics[p], pairs.distances[p], pairs.fractions[p]
            weights, slopes = basis(t, number), basis_slopes(t, pairs.density, number)
            at, source, to = pairs.knots[p] * table.shape[1], pairs.second[p] * sent.shape[1], pairs.local[p] * stride
            g = _pair_gradient(table, at, weights, slopes, h, channels, grad_sums, own, sent, source, grad_sent, to)
            radial = g[0] - (g[1] * h[1] + g[2] * h[2] + g[3] * h[3]) / r
            for a in range(3):
                pull = radial * h[1 + a] + g[1 + a] / r
                field[i, 3 + a] += pull
                grad_sent[pairs.local[p], stride - LANES + a] -= pull
                for b in range(3):
                    field[i, 6 + 3 * a + b] += pull * r * h[1 + b]


@register_jitable
def _pair_gradient(
    table: Array,
    at: int,
    weights: Any,
    slopes: Any,
    h: Any,
    channels_by_degree: ChannelsByDegree,
    grad_sums: Array,
    own: int,
    sent: Array,
    source: int,
    grad_sent: Array,
    to: int,
) -> Any:
    """dE/dv of one pair, added to `grad_sent` from element `to` on; sum_d w_d' Y.T, and the three sums_d w_d T.dY/du.

    `at`: element of the pair's first coefficients in `table`; `own`: of g in `grad_sums`; `source`: of v in `sent`.
    """
    channels, channels_1, channels_2 = (
        len(channels_by_degree[0]),
        len(channels_by_degree[1]),
        len(channels_by_degree[2]),
    )
    wide, wide_1, step = padded_length(channels), padded_length(channels_1), grad_sums.shape[2]
    none = filled(table, 0.0)
    radial = x = y = z = none
    for c in range(0, channels, LANES):
        filters, t_0 = combined(table, at + c, weights), none
        filters_1, t_x, t_y, t_z = none, none, none, none
        if c < channels_1:
            filters_1 = combined(table, at + wide + c, weights)
        for q in range(4):
            place, first = q * channels + c, own + q * channels + c
            v, g = load(sent, source + place), load(grad_sums, first)
            row, t_0 = fma(filters, g, load(grad_sent, to + place)), fma(g, v, t_0)
            if c < channels_1:
                first = own + step + q * wide_1 + c
                g_x, g_y, g_z = load(grad_sums, first), load(grad_sums, first + step), load(grad_sums, first + 2 * step)
                row = fma(filters_1, fma(h[3], g_z, fma(h[2], g_y, scale(h[1], g_x))), row)
                t_x, t_y, t_z = fma(g_x, v, t_x), fma(g_y, v, t_y), fma(g_z, v, t_z)
            store(grad_sent, to + place, row)
        radial = fma(combined(table, at + c, slopes), t_0, radial)
        if c < channels_1:
            along = fma(h[3], t_z, fma(h[2], t_y, scale(h[1], t_x)))
            radial = fma(combined(table, at + wide + c, slopes), along, radial)
            x, y, z = fma(filters_1, t_x, x), fma(filters_1, t_y, y), fma(filters_1, t_z, z)
    for c in range(0, channels_2, LANES):
        column, first = at + wide + wide_1 + c, own + 4 * step + c
        filters, wide_2 = combined(table, column, weights), padded_length(channels_2)
        t = _quadrupole_terms(filters, h, grad_sums, first, step, wide_2, sent, source + c, channels, grad_sent, to + c)
        along = fma(h[8], t[4], fma(h[7], t[3], fma(h[6], t[2], fma(h[5], t[1], scale(h[4], t[0])))))
        radial = fma(combined(table, column, slopes), along, radial)
        d_x, d_y, d_z = _quadrupole_slopes(t, h)
        x, y, z = fma(filters, d_x, x), fma(filters, d_y, y), fma(filters, d_z, z)
    return total(radial), total(x), total(y), total(z)


@register_jitable
def _quadrupole_terms(
    filters: Any,
    h: Any,
    grad_sums: Array,
    first: int,
    step: int,
    size: int,
    sent: Array,
    source: int,
    channels: int,
    grad_sent: Array,
    to: int,
) -> Any:
    """T_m of degree 2, LANES channels; their part of dE/dv is added to `grad_sent`."""
    t_0 = t_1 = t_2 = t_3 = t_4 = filled(grad_sums, 0.0)
    for q in range(4):
        v, at = load(sent, source + q * channels), first + q * size
        g_0, g_1, g_2 = load(grad_sums, at), load(grad_sums, at + step), load(grad_sums, at + 2 * step)
        g_3, g_4 = load(grad_sums, at + 3 * step), load(grad_sums, at + 4 * step)
        along = fma(h[8], g_4, fma(h[7], g_3, fma(h[6], g_2, fma(h[5], g_1, scale(h[4], g_0)))))
        store(grad_sent, to + q * channels, fma(filters, along, load(grad_sent, to + q * channels)))
        t_0, t_1, t_2 = fma(g_0, v, t_0), fma(g_1, v, t_1), fma(g_2, v, t_2)
        t_3, t_4 = fma(g_3, v, t_3), fma(g_4, v, t_4)
    return t_0, t_1, t_2, t_3, t_4


@register_jitable
def _quadrupole_slopes(t: Any, h: Any) -> Any:
    """T.dQ(u)/du, Q as in :func:`spinase.learning.mhipnn.graph.quadrupoles`."""
    p, q, r = t[0] * _ROOT, t[1] * _ROOT, t[2] * _ROOT
    s, v = t[3] * _ROOT, t[4] * (2.0 * _SIXTH)
    x = fma(h[2], p, fma(h[3], r, scale(h[1], s - v)))
    y = fma(h[1], p, fma(h[3], q, scale(h[2], (s + v) * -1.0)))
    z = fma(h[2], q, fma(h[1], r, scale(h[3], v * 2.0)))
    return x, y, z
