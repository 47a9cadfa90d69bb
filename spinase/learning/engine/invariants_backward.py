"""The way back through the invariants of a site: from dE/d(invariants) to dE/d(sums) and dE/ds.

Symbols and blocks are those of :mod:`spinase.learning.engine.invariants`, whose derivatives these are, block by block.
Where rows are dual, gradients have tangents, too: second derivatives of E along the direction in which spins and sums move.
"""

from __future__ import annotations

from typing import Any

from spinase.compiled import register_jitable
from spinase.compiled.rows import (
    LANES,
    filled,
    first_lane,
    kernel,
    load,
    load_partial,
    padded_length,
    store,
    store_partial,
    total,
    with_first_lane,
)
from spinase.learning.engine.invariants import (
    SiteSums,
    cache_products,
    cross,
    dot,
    load_vector,
    previous_channel,
    quadrupole_backward,
    u_and_w,
    vanishes,
)
from spinase.learning.engine.workspace import CACHE_GRAD_T, CACHE_P, CACHE_Q, CACHE_U, ChannelsByDegree, Options
from spinase.typing import Array


@kernel
def site_invariants_backward(
    site: SiteSums,
    options: Options,
    channels_by_degree: ChannelsByDegree,
    cache: Array,
    grad_invariants: Array,
    to: int,
    grad_sums: Array,
    start: int,
) -> Any:
    """From dE/d(invariants) of one site to dE/d(sums), and dE/ds of its own spin at fixed sums.

    Parameters
    ----------
    site, options, channels_by_degree
        As in :func:`spinase.learning.engine.invariants.site_invariants`.
    cache : (CACHE_ROWS * LANES,)
        Work space.
    grad_invariants : (sites, I)
        dE/d(invariants), from element `to` on.
    to : int
        Offset of the site's row there.
    grad_sums : (..., 9, row_width)
        Written, all but harmonics that vanish: 9 rows from element `start` on.
    start : int
        Offset of the site's rows there.

    Returns
    -------
    grad_spin : three numbers
        dE/ds; where rows are dual, without the tangents (training does not need them).
    """
    channels_0, channels_1, channels_2 = len(channels_by_degree[0]), len(channels_by_degree[1]), len(channels_by_degree[2])
    for c in range(0, channels_0, LANES):
        store_partial(grad_sums, start + c, load(grad_invariants, to + c), channels_0 - c)
    place = to + channels_0
    place += _lattice_backward(site, channels_1, 1, 4, grad_invariants, place, grad_sums, start)
    place += _lattice_backward(site, channels_2, 4, 9, grad_invariants, place, grad_sums, start)
    grad_spin = _vector_backward(site, channels_0, grad_invariants, place, grad_sums, start)
    place += 2 * channels_0
    if options.chirality:
        grad_spin = _plus(grad_spin, _chirality_backward(site, channels_0, grad_invariants, place, grad_sums, start))
        place += channels_0
    products_place = place + 4 * (channels_1 + channels_2)
    for c in range(0, channels_1, LANES):
        coupled = options.products and c < channels_2
        if c < channels_2:
            products_place_2 = products_place + 2 * channels_1 + c
            if options.products:
                _product_backward(
                    site, channels_0, channels_1, channels_2, c, grad_invariants, products_place_2 + 2 * channels_2, cache
                )
            args = (place + 4 * channels_1 + c, products_place_2, options.products, coupled, grad_sums, start, cache)
            grad_spin = _plus(grad_spin, _degree_backward(site, channels_0, channels_2, c, 4, 9, grad_invariants, *args))
        args = (place + c, products_place + c, options.products, coupled, grad_sums, start, cache)
        grad_spin = _plus(grad_spin, _degree_backward(site, channels_0, channels_1, c, 1, 4, grad_invariants, *args))
    return total(grad_spin[0]), total(grad_spin[1]), total(grad_spin[2])


@register_jitable
def _lattice_backward(
    site: SiteSums, channels: int, begin: int, end: int, grad_invariants: Array, place: int, grad_sums: Array, start: int
) -> int:
    """dE/dS[m, 0, c] = 2 g S[m, 0, c] of sum_m S[m, 0, c]^2, m = begin .. end - 1; g from `place` on; returns `channels`."""
    for c in range(0, channels, LANES):
        twice = load(grad_invariants, place + c) * 2.0
        for m in range(begin, end):
            if vanishes(site, m):
                continue
            row = load(site.sums, site.start + m * site.stride + c)
            store(grad_sums, start + m * site.stride + c, twice * row)
    return channels


@register_jitable
def _vector_backward(
    site: SiteSums, channels_0: int, grad_invariants: Array, place: int, grad_sums: Array, start: int
) -> Any:
    """Of s.M and M.M, whose gradients g, h begin at `place`: dE/dM = g s + 2 h M is written; returns dE/ds = sum_c g M."""
    none = filled(grad_invariants, 0.0)
    grad_spin = (none, none, none)
    for c in range(0, channels_0, LANES):
        count = channels_0 - c
        along, twice = (
            load_partial(grad_invariants, place + c, count),
            load_partial(grad_invariants, place + channels_0 + c, count) * 2.0,
        )
        m = load_vector(site.sums, site.start + channels_0 + c, channels_0)
        store_partial(grad_sums, start + channels_0 + c, along * site.spin_x + twice * m[0], count)
        store_partial(grad_sums, start + 2 * channels_0 + c, along * site.spin_y + twice * m[1], count)
        store_partial(grad_sums, start + 3 * channels_0 + c, along * site.spin_z + twice * m[2], count)
        grad_spin = _plus(grad_spin, (along * m[0], along * m[1], along * m[2]))
    return grad_spin


@register_jitable
def _chirality_backward(
    site: SiteSums, channels_0: int, grad_invariants: Array, place: int, grad_sums: Array, start: int
) -> Any:
    """Of V^2, V = s . (M_c x M_(c-1)), whose gradients g begin at `place`; dE/ds is returned, with r = 2 g V.

    dE/ds = sum_c r (M_c x M_(c-1)),    dE/dM_c += r (M_(c-1) x s),    dE/dM_(c-1) += r (s x M_c)
    """
    none = filled(grad_invariants, 0.0)
    spin = (filled(grad_invariants, site.spin_x), filled(grad_invariants, site.spin_y), filled(grad_invariants, site.spin_z))
    grad_spin = (none, none, none)
    for c in range(0, channels_0, LANES):
        m, previous = load_vector(site.sums, site.start + channels_0 + c, channels_0), previous_channel(site, channels_0, c)
        normal = cross(m, previous)
        grad_volume = load_partial(grad_invariants, place + c, channels_0 - c) * dot(normal, spin) * 2.0
        grad_spin = _plus(grad_spin, (grad_volume * normal[0], grad_volume * normal[1], grad_volume * normal[2]))
        grad_here, grad_previous = cross(previous, spin), cross(spin, m)
        to = start + channels_0 + c
        _add_vector(
            grad_sums, to, channels_0, (grad_volume * grad_here[0], grad_volume * grad_here[1], grad_volume * grad_here[2])
        )
        grad_previous = (grad_volume * grad_previous[0], grad_volume * grad_previous[1], grad_volume * grad_previous[2])
        if c == 0:  # the first one's neighbour is the last
            last = to + channels_0 - 1
            for k in range(3):
                row = load(grad_sums, last + k * channels_0)
                store(grad_sums, last + k * channels_0, with_first_lane(row, first_lane(row) + first_lane(grad_previous[k])))
            grad_previous = (
                with_first_lane(grad_previous[0], 0.0),
                with_first_lane(grad_previous[1], 0.0),
                with_first_lane(grad_previous[2], 0.0),
            )
        _add_vector(grad_sums, to - 1, channels_0, grad_previous)
    return grad_spin


@register_jitable
def _product_backward(
    site: SiteSums,
    channels_0: int,
    channels_1: int,
    channels_2: int,
    c: int,
    grad_invariants: Array,
    place: int,
    cache: Array,
) -> None:
    """P, Q(u') and what P.u, P.w and Q(u').u (gradients g2, g3, g4 from `place` on) give to degree 1, into `cache`.

        dE/dQ_m(u') = g4 u_m            -> dE/du'   = sum_m (g4 u_m) dQ_m/du'                       CACHE_U
        dE/dP_m     = g2 u_m + g3 w_m   -> dE/dT'_mu = sum_m (g2 u_m + g3 w_m) dQ_m/dT'_mu           CACHE_GRAD_T

    for channels c .. c + LANES - 1.  Their gradients by u and w of degree 2 are made in :func:`_degree_backward`.
    """
    stride, count, none = site.stride, channels_2 - c, filled(grad_invariants, 0.0)
    m = load_vector(site.sums, site.start + channels_0 + c, channels_0)
    for a in range(3):
        store(cache, (CACHE_U + a) * LANES, u_and_w(site, 1 + a, channels_1, c, m)[0])
    cache_products(site, site.start + stride + padded_length(channels_1) + c, stride, padded_length(channels_1), cache)
    g2, g3, g4 = (
        load_partial(grad_invariants, place, count),
        load_partial(grad_invariants, place + channels_2, count),
        load_partial(grad_invariants, place + 2 * channels_2, count),
    )
    b0, b1, b2 = u_and_w(site, 4, channels_2, c, m), (none, none), (none, none)
    if not site.planar:
        b1, b2 = u_and_w(site, 5, channels_2, c, m), u_and_w(site, 6, channels_2, c, m)
    b3, b4 = u_and_w(site, 7, channels_2, c, m), u_and_w(site, 8, channels_2, c, m)
    grad_q = (g4 * b0[0], g4 * b1[0], g4 * b2[0], g4 * b3[0], g4 * b4[0])
    grad_p = (
        g2 * b0[0] + g3 * b0[1],
        g2 * b1[0] + g3 * b1[1],
        g2 * b2[0] + g3 * b2[1],
        g2 * b3[0] + g3 * b3[1],
        g2 * b4[0] + g3 * b4[1],
    )
    grad_u = quadrupole_backward(grad_q, load_vector(cache, CACHE_U * LANES, LANES))
    for a in range(3):
        store(cache, (CACHE_U + a) * LANES, grad_u[a])
    for mu in range(3):
        grad_t = quadrupole_backward(
            grad_p, load_vector(site.sums, site.start + stride + (1 + mu) * padded_length(channels_1) + c, stride)
        )
        for a in range(3):
            store(cache, (CACHE_GRAD_T + 3 * mu + a) * LANES, grad_t[a])


@register_jitable
def _degree_backward(
    site: SiteSums,
    channels_0: int,
    channels: int,
    c: int,
    begin: int,
    end: int,
    grad_invariants: Array,
    place: int,
    products_place: int,
    products: bool,
    coupled: bool,
    grad_sums: Array,
    start: int,
    cache: Array,
) -> Any:
    """Of the invariants of one degree (harmonics k = begin .. end - 1), channels c .. c + LANES - 1.

    Gradients are g0 (T.T), g1 (u.u), g2 (u.L), g3 (w.L), p0 (u.w), p1 (w.w); of degree 2 q2 (P.u), q3 (P.w), q4 (Q(u').u):

        dE/du_k = 2 g1 u_k + g2 L_k + p0 w_k  + [d = 2: q2 P_k + q4 Q_k(u')]  + [d = 1: CACHE_U of degree 2]
        dE/dw_k = g3 L_k + p0 u_k + 2 p1 w_k  + [d = 2: q3 P_k]
        dE/dL_k += g2 u_k + g3 w_k
        dE/dT_k  = 2 g0 T_k + dE/du_k s + dE/dw_k M  + [d = 1: CACHE_GRAD_T of degree 2]
        dE/dM   += sum_k dE/dw_k T_k,       dE/ds = sum_k dE/du_k T_k  (returned, three rows)

    The first four gradients are at place + k * channels of `grad_invariants`, the others at products_place + k * channels;
    `coupled`: the gradients in square brackets are there.  In the code g0, g1 and p1 hold twice the gradient.
    """
    sums, count, step, none = site.sums, channels - c, padded_length(channels), filled(grad_invariants, 0.0)
    m = load_vector(sums, site.start + channels_0 + c, channels_0)
    g0, g1 = load_partial(grad_invariants, place, count) * 2.0, load_partial(grad_invariants, place + channels, count) * 2.0
    g2, g3 = (
        load_partial(grad_invariants, place + 2 * channels, count),
        load_partial(grad_invariants, place + 3 * channels, count),
    )
    p0 = p1 = q2 = q3 = q4 = none
    if products:
        p0, p1 = (
            load_partial(grad_invariants, products_place, count),
            load_partial(grad_invariants, products_place + channels, count) * 2.0,
        )
    if coupled and begin == 4:
        q2, q3 = (
            load_partial(grad_invariants, products_place + 2 * channels, count),
            load_partial(grad_invariants, products_place + 3 * channels, count),
        )
        q4 = load_partial(grad_invariants, products_place + 4 * channels, count)
    grad_m, grad_spin = (none, none, none), (none, none, none)
    for k in range(begin, end):
        if vanishes(site, k):
            continue
        source, to = site.start + k * site.stride + c, start + k * site.stride + c
        lattice, t = load(sums, source), load_vector(sums, source + step, step)
        u, w = t[0] * site.spin_x + t[1] * site.spin_y + t[2] * site.spin_z, dot(t, m)
        grad_u, grad_w = g1 * u + g2 * lattice + p0 * w, g3 * lattice + p0 * u + p1 * w
        grad_t = (none, none, none)
        if coupled and begin == 4:
            pair = load(cache, (CACHE_P + k - 4) * LANES)
            grad_u = grad_u + q2 * pair + q4 * load(cache, (CACHE_Q + k - 4) * LANES)
            grad_w = grad_w + q3 * pair
        elif coupled:
            grad_u = grad_u + load(cache, (CACHE_U + k - 1) * LANES)
            grad_t = load_vector(cache, (CACHE_GRAD_T + k - 1) * LANES, 3 * LANES)
        store(grad_sums, to, load(grad_sums, to) + (g2 * u + g3 * w))
        store(grad_sums, to + step, g0 * t[0] + grad_u * site.spin_x + grad_w * m[0] + grad_t[0])
        store(grad_sums, to + 2 * step, g0 * t[1] + grad_u * site.spin_y + grad_w * m[1] + grad_t[1])
        store(grad_sums, to + 3 * step, g0 * t[2] + grad_u * site.spin_z + grad_w * m[2] + grad_t[2])
        grad_m = _plus(grad_m, (grad_w * t[0], grad_w * t[1], grad_w * t[2]))
        grad_spin = _plus(grad_spin, (grad_u * t[0], grad_u * t[1], grad_u * t[2]))
    _add_vector(grad_sums, start + channels_0 + c, channels_0, grad_m)
    return grad_spin


@register_jitable
def _plus(a: Any, b: Any) -> Any:
    """a + b of two vectors of rows."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@register_jitable
def _add_vector(array: Array, at: int, step: int, rows: Any) -> None:
    """array[at + k step ..] += rows[k], k = 0, 1, 2."""
    for k in range(3):
        store(array, at + k * step, load(array, at + k * step) + rows[k])
