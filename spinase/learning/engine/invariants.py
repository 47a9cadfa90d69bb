"""Invariants of the sums of a site, LANES channels at a time.

The sums S[m, q, c] of :mod:`sums <spinase.learning.engine.sums>` are, for harmonics m of one degree d and one channel c,

    q = 0: A (d = 0), L_m (d = 1), D_m (d = 2);      q = 1..3: vectors M (d = 0), T_m (d = 1), C_m (d = 2)

With the own spin s let  u_m = s . T_m,  w_m = M . T_m  (and the same of C for d = 2; M of the same channel; u', T' those of
d = 1 where d = 2 is at hand).  The order of the invariants is that of :mod:`spinase.learning.mhipnn.network`:

    block                 invariants, channel by channel                                            numbers
    lattice               A;  sum_m L_m^2;  sum_m D_m^2                                              C_0 + C_1 + C_2
    vectors               s . M;  M . M                                                              2 C_0
    chirality (option)    (s . (M_c x M_(c-1)))^2, the last channel before the first                 C_0
    d = 1, then d = 2     sum_m T_m . T_m;  sum_m u_m^2;  sum_m u_m L_m;  sum_m w_m L_m              4 C_1 + 4 C_2
    products (option)     d = 1: sum_m u_m w_m;  sum_m w_m^2                                         2 C_1
                          d = 2: the same, and sum_m P_m u_m;  sum_m P_m w_m;  sum_m Q_m(u') u_m     5 C_2

    Q(v) = 2^(1/2) (v_x v_y, v_y v_z, v_z v_x), 2^(-1/2) (v_x^2 - v_y^2), 6^(-1/2) (2 v_z^2 - v_x^2 - v_y^2)
    P_m  = sum_mu Q_m(T'_mu),  where T'_mu is the lattice vector (T'_x, T'_y, T'_z) of spin component mu = x, y, z

All of them are polynomials, made by + and * only, so that the same code works on dual rows (:mod:`spinase.compiled.dual`):
`sums`, `cache` and `invariants` are pairs of arrays then, values and tangents, and the spin is three dual rows.

Vectors of LANES channels may go beyond the channels of a degree.  In sums of degrees 1 and 2 there are zeros; in those of
degree 0, and in the invariants, there are other numbers, so that what is written or added up there is cut (``_partial``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from spinase.compiled import register_jitable
from spinase.compiled.rows import (
    LANES,
    filled,
    first_lane,
    kernel,
    load,
    padded_length,
    store,
    store_partial,
    with_first_lane,
)
from spinase.learning.engine.workspace import CACHE_P, CACHE_Q, CACHE_U, ChannelsByDegree, Options
from spinase.typing import Array

_ROOT, _HALF, _SIXTH = 1.4142135623730951, 0.7071067811865476, 0.4082482904638631  # 2**0.5, 2**-0.5, 6**-0.5


class SiteSums(NamedTuple):
    """The sums of one site and its spin.

    Attributes
    ----------
    sums : (..., 9, row_width), or a pair of such
        Sums of several sites; in a pair, values and tangents.
    start : int
        Offset of the site's first row in flattened `sums`.
    stride : int
        row_width: from one harmonic to the next.
    spin_x, spin_y, spin_z : numbers, or dual rows
        Own spin s, dimensionless.
    planar : bool
        Harmonics z, yz and zx vanish (:func:`vanishes`): they are not read here, and gradients by them not written.
    """

    sums: Any
    start: int
    stride: int
    spin_x: Any
    spin_y: Any
    spin_z: Any
    planar: bool


@kernel
def site_invariants(
    site: SiteSums, options: Options, channels_by_degree: ChannelsByDegree, cache: Array, invariants: Array, to: int
) -> None:
    """The invariants of one site, in the order that the module's docstring gives.

    Parameters
    ----------
    site : SiteSums
        Sums (9, row_width) and spin.
    options : Options
        Which blocks there are.
    channels_by_degree : ChannelsByDegree
        C_0, C_1, C_2.
    cache : (CACHE_ROWS * LANES,)
        Work space.
    invariants : (sites, I)
        Written from element `to` on, I numbers.
    to : int
        Offset of the site's row.
    """
    channels_0, channels_1, channels_2 = len(channels_by_degree[0]), len(channels_by_degree[1]), len(channels_by_degree[2])
    sums, stride = site.sums, site.stride
    for c in range(0, channels_0, LANES):
        store_partial(invariants, to + c, load(sums, site.start + c), channels_0 - c)
    place = to + channels_0
    place += _lattice_invariants(site, channels_1, 1, 4, invariants, place)
    place += _lattice_invariants(site, channels_2, 4, 9, invariants, place)
    for c in range(0, channels_0, LANES):
        m = load_vector(sums, site.start + channels_0 + c, channels_0)
        store_partial(invariants, place + c, m[0] * site.spin_x + m[1] * site.spin_y + m[2] * site.spin_z, channels_0 - c)
        store_partial(invariants, place + channels_0 + c, dot(m, m), channels_0 - c)
        if options.chirality:
            volume = _chirality(site, channels_0, c, m)
            store_partial(invariants, place + 2 * channels_0 + c, volume * volume, channels_0 - c)
    place += (3 if options.chirality else 2) * channels_0
    products_place = place + 4 * (channels_1 + channels_2)
    for c in range(0, channels_1, LANES):
        _degree_invariants(
            site, channels_0, channels_1, c, 1, 4, invariants, place + c, products_place + c, options.products, cache
        )
        if options.products and c < channels_2:
            cache_products(
                site, site.start + stride + padded_length(channels_1) + c, stride, padded_length(channels_1), cache
            )
        if c < channels_2:
            products_place_2 = products_place + 2 * channels_1 + c
            _degree_invariants(
                site,
                channels_0,
                channels_2,
                c,
                4,
                9,
                invariants,
                place + 4 * channels_1 + c,
                products_place_2,
                options.products,
                cache,
            )
            if options.products:
                _product_invariants(site, channels_0, channels_2, c, invariants, products_place_2 + 2 * channels_2, cache)


@register_jitable
def _lattice_invariants(site: SiteSums, channels: int, begin: int, end: int, invariants: Array, place: int) -> int:
    """sum_m S[m, 0, c]^2, m = begin .. end - 1, into `invariants` from `place` on; returns how many (`channels`)."""
    for c in range(0, channels, LANES):
        square = filled(invariants, 0.0)
        for m in range(begin, end):
            if vanishes(site, m):
                continue
            row = load(site.sums, site.start + m * site.stride + c)
            square = square + row * row
        store_partial(invariants, place + c, square, channels - c)
    return channels


@register_jitable
def _chirality(site: SiteSums, channels_0: int, c: int, m: Any) -> Any:
    """s . (M_c x M_(c-1)) for channels c .. c + LANES - 1; `m`: their M, three rows."""
    normal = cross(m, previous_channel(site, channels_0, c))
    return normal[0] * site.spin_x + normal[1] * site.spin_y + normal[2] * site.spin_z


@kernel
def _degree_invariants(
    site: SiteSums,
    channels_0: int,
    channels: int,
    c: int,
    begin: int,
    end: int,
    invariants: Array,
    place: int,
    products_place: int,
    products: bool,
    cache: Array,
) -> None:
    """T.T, u.u, u.L, w.L of one degree for channels c .. c + LANES - 1, and with `products` u.w, w.w.

    Harmonics are begin .. end - 1 (1..3 or 4..8), `channels` those of the degree.  The first four go to `invariants` at
    place + k * channels, the other two at products_place + k * channels; u_m of degree 1 to `cache` (CACHE_U).
    """
    sums, count = site.sums, channels - c
    m = load_vector(sums, site.start + channels_0 + c, channels_0)
    square = uu = ul = wl = uw = ww = filled(sums, 0.0)
    for k in range(begin, end):
        if vanishes(site, k):
            if begin == 1:
                store(cache, (CACHE_U + k - 1) * LANES, filled(sums, 0.0))
            continue
        at = site.start + k * site.stride + c
        lattice, t = load(sums, at), load_vector(sums, at + padded_length(channels), padded_length(channels))
        u, w = t[0] * site.spin_x + t[1] * site.spin_y + t[2] * site.spin_z, dot(t, m)
        square, uu = square + dot(t, t), uu + u * u
        ul, wl = ul + u * lattice, wl + w * lattice
        uw, ww = uw + u * w, ww + w * w
        if begin == 1:
            store(cache, (CACHE_U + k - 1) * LANES, u)
    store_partial(invariants, place, square, count)
    store_partial(invariants, place + channels, uu, count)
    store_partial(invariants, place + 2 * channels, ul, count)
    store_partial(invariants, place + 3 * channels, wl, count)
    if products:
        store_partial(invariants, products_place, uw, count)
        store_partial(invariants, products_place + channels, ww, count)


@kernel
def _product_invariants(
    site: SiteSums, channels_0: int, channels_2: int, c: int, invariants: Array, place: int, cache: Array
) -> None:
    """P.u, P.w and Q(u').u of degree 2 for channels c .. c + LANES - 1, to `invariants` at place + k * channels_2.

    P and Q(u') are taken from `cache`, where :func:`cache_products` has put them.
    """
    m = load_vector(site.sums, site.start + channels_0 + c, channels_0)
    pu = pw = qu = filled(invariants, 0.0)
    for k in range(5):
        if vanishes(site, 4 + k):
            continue
        u, w = u_and_w(site, 4 + k, channels_2, c, m)
        pair = load(cache, (CACHE_P + k) * LANES)
        pu, pw = pu + pair * u, pw + pair * w
        qu = qu + load(cache, (CACHE_Q + k) * LANES) * u
    store_partial(invariants, place, pu, channels_2 - c)
    store_partial(invariants, place + channels_2, pw, channels_2 - c)
    store_partial(invariants, place + 2 * channels_2, qu, channels_2 - c)


@kernel
def cache_products(site: SiteSums, at: int, step: int, component: int, cache: Array) -> None:
    """P (5 rows) and Q(u') (5 rows) of LANES channels into `cache`; u' is there already (CACHE_U).

    Parameters
    ----------
    site : SiteSums
        Sums of the site, of which T' (3 x 3 rows) is read.
    at : int
        Element of ``site.sums`` where T'_x of the first spin component begins.
    step, component : int
        Elements from T'_x to T'_y, and from one spin component to the next.
    cache : (CACHE_ROWS * LANES,)
        u' is read from CACHE_U on; P and Q are written from CACHE_P and CACHE_Q on.
    """
    none = filled(cache, 0.0)
    p = (none, none, none, none, none)
    for mu in range(3):
        q = quadrupole(load_vector(site.sums, at + mu * component, step))
        p = (p[0] + q[0], p[1] + q[1], p[2] + q[2], p[3] + q[3], p[4] + q[4])
    q = quadrupole(load_vector(cache, CACHE_U * LANES, LANES))
    store(cache, (CACHE_P + 0) * LANES, p[0])
    store(cache, (CACHE_P + 1) * LANES, p[1])
    store(cache, (CACHE_P + 2) * LANES, p[2])
    store(cache, (CACHE_P + 3) * LANES, p[3])
    store(cache, (CACHE_P + 4) * LANES, p[4])
    store(cache, (CACHE_Q + 0) * LANES, q[0])
    store(cache, (CACHE_Q + 1) * LANES, q[1])
    store(cache, (CACHE_Q + 2) * LANES, q[2])
    store(cache, (CACHE_Q + 3) * LANES, q[3])
    store(cache, (CACHE_Q + 4) * LANES, q[4])


@register_jitable
def u_and_w(site: SiteSums, k: int, channels: int, c: int, m: Any) -> Any:
    """u_k = s.T_k and w_k = M.T_k of harmonic k for channels c .. c + LANES - 1.

    Parameters
    ----------
    site : SiteSums
        Sums and spin of the site.
    k : int
        Harmonic, 1 to 8 in the order of a row of sums.
    channels : int
        Number of channels of its degree.
    c : int
        First of the LANES channels.
    m : tuple of three rows
        M of these channels.
    """
    t = load_vector(site.sums, site.start + k * site.stride + padded_length(channels) + c, padded_length(channels))
    return t[0] * site.spin_x + t[1] * site.spin_y + t[2] * site.spin_z, dot(t, m)


@register_jitable
def previous_channel(site: SiteSums, channels_0: int, c: int) -> Any:
    """M_(c-1) .. M_(c-2+LANES), three rows; before channel 0 comes the last one.

    Parameters
    ----------
    site : SiteSums
        Sums of the site.
    channels_0 : int
        C_0.
    c : int
        Channel of the first lane.
    """
    at = site.start + channels_0 + c
    rows = load_vector(site.sums, at - 1, channels_0)
    if c:
        return rows
    last = at + channels_0 - 1
    return (
        with_first_lane(rows[0], first_lane(load(site.sums, last))),
        with_first_lane(rows[1], first_lane(load(site.sums, last + channels_0))),
        with_first_lane(rows[2], first_lane(load(site.sums, last + 2 * channels_0))),
    )


@register_jitable
def vanishes(site: SiteSums, k: int) -> bool:
    """Whether the harmonic k is zero for all pairs: z (3), yz (5) and zx (6) of a planar magnet."""
    return site.planar and (k in (3, 5, 6))


@register_jitable
def load_vector(array: Array, at: int, step: int) -> Any:
    """Three rows: array[at ..], array[at + step ..], array[at + 2 step ..].

    Parameters
    ----------
    array : ndarray or pair of them
        Contiguous, of any shape.
    at, step : int
        First element of the first row; elements from one row to the next.
    """
    return load(array, at), load(array, at + step), load(array, at + 2 * step)


@register_jitable
def dot(a: Any, b: Any) -> Any:
    """a . b of two vectors of rows."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@register_jitable
def cross(a: Any, b: Any) -> Any:
    """a x b of two vectors of rows."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@register_jitable
def quadrupole(v: Any) -> Any:
    """Q(v), five rows, in the order of :func:`spinase.learning.mhipnn.graph.quadrupoles`."""
    x, y, z = v
    xx, yy = x * x, y * y
    return x * y * _ROOT, y * z * _ROOT, z * x * _ROOT, (xx - yy) * _HALF, (z * z * 2.0 - xx - yy) * _SIXTH


@register_jitable
def quadrupole_backward(grad: Any, v: Any) -> Any:
    """d/dv sum_m g_m Q_m(v), three rows; `grad` g: five rows, `v`: three."""
    x, y, z = v
    p, q, r = grad[0] * _ROOT, grad[1] * _ROOT, grad[2] * _ROOT
    s, t = grad[3] * _ROOT, grad[4] * (2.0 * _SIXTH)
    return p * y + r * z + (s - t) * x, p * x + q * z - (s + t) * y, q * y + r * x + t * z * 2.0
