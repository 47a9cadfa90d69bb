"""Invariants of the sums of a site, and the way back, for the frozen engine: in vectors of channels.

The order is that of :mod:`spinase.learning.mhipnn.network`.  With T_m = sum w Y_m v of one degree and channel, L_m the same
of numbers, the own spin s and M: u_m = s.T_m and w_m = M.T_m.  A degree has T.T, u.u, u.L, w.L; its products are u.w, w.w,
and for degree 2 also P.u, P.w and Q(u').u, where P_m = sum_mu Q_m(T'_mu) and u' are of degree 1.  In sums of degrees 1 and
2 every component has whole vectors, with zeros behind its channels; in those of degree 0, as in the invariants, what is
beyond the channels belongs to others, and is left out where something is written or added up.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba.extending import register_jitable

from spinase.compiled.rows import LANES, filled, first, kernel, load, put, store, take, total, whole, with_first
from spinase.typing import Array

Lanes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

_ROOT, _HALF, _SIXTH = 1.4142135623730951, 0.7071067811865476, 0.4082482904638631
_PAIRS, _SQUARE, _PULL, _TURN, KEPT_ROWS = 0, 5, 10, 13, 22  # places of what is kept between the degrees, in rows


class Spot(NamedTuple):
    """A site's sums (9, row) from element `at` of `sums` on, rows `stride` apart, and its spin.

    `planar`: the rows of z, yz and zx are zeros, and in the way back nobody reads slopes by them.  Or `sums` and their
    changes as a pair of arrays, with a spin of dual rows: then so are all other arrays below.
    """

    sums: Any
    at: int
    stride: int
    x: Any
    y: Any
    z: Any
    planar: bool


@register_jitable  # type: ignore[untyped-decorator]
def _absent(spot: Spot, k: int) -> bool:
    """Whether the harmonic k is zero for all pairs."""
    return spot.planar and (k in (3, 5, 6))


@register_jitable  # type: ignore[untyped-decorator]
def _three(array: Array, at: int, step: int) -> Any:
    return load(array, at), load(array, at + step), load(array, at + 2 * step)


@register_jitable  # type: ignore[untyped-decorator]
def _dot(a: Any, b: Any) -> Any:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@register_jitable  # type: ignore[untyped-decorator]
def _add_three(array: Array, at: int, step: int, rows: Any) -> None:
    for k in range(3):
        store(array, at + k * step, load(array, at + k * step) + rows[k])


@register_jitable  # type: ignore[untyped-decorator]
def _quadrupole(v: Any) -> Any:
    """Q(v), in the order of :func:`spinase.learning.mhipnn.graph.quadrupoles`."""
    x, y, z = v
    xx, yy = x * x, y * y
    return x * y * _ROOT, y * z * _ROOT, z * x * _ROOT, (xx - yy) * _HALF, (z * z * 2.0 - xx - yy) * _SIXTH


@register_jitable  # type: ignore[untyped-decorator]
def _pull(slopes: Any, v: Any) -> Any:
    """Slope of slopes.Q(v) by v."""
    x, y, z = v
    p, q, r = slopes[0] * _ROOT, slopes[1] * _ROOT, slopes[2] * _ROOT
    s, t = slopes[3] * _ROOT, slopes[4] * (2.0 * _SIXTH)
    return p * y + r * z + (s - t) * x, p * x + q * z - (s + t) * y, q * y + r * x + t * z * 2.0


@kernel
def invariants(spot: Spot, chirality: bool, products: bool, lanes: Lanes, kept: Array, out: Array, to: int) -> None:
    """Write the invariants of a site from element `to` of `out` on."""
    width, middle, top = len(lanes[0]), len(lanes[1]), len(lanes[2])
    sums, stride = spot.sums, spot.stride
    for c in range(0, width, LANES):
        put(out, to + c, load(sums, spot.at + c), width - c)
    place = to + width
    place += _lattice(spot, middle, 1, 4, out, place)
    place += _lattice(spot, top, 4, 9, out, place)
    for c in range(0, width, LANES):
        m = _three(sums, spot.at + width + c, width)
        put(out, place + c, m[0] * spot.x + m[1] * spot.y + m[2] * spot.z, width - c)
        put(out, place + width + c, _dot(m, m), width - c)
        if chirality:
            volume = _volume(spot, width, c, m)
            put(out, place + 2 * width + c, volume * volume, width - c)
    place += (3 if chirality else 2) * width
    more = place + 4 * (middle + top)
    for c in range(0, middle, LANES):
        _degree(spot, width, middle, c, 1, 4, out, place + c, more + c, products, kept)
        if products and c < top:
            _pairs(spot, spot.at + stride + whole(middle) + c, stride, whole(middle), kept)
        if c < top:
            far = more + 2 * middle + c
            _degree(spot, width, top, c, 4, 9, out, place + 4 * middle + c, far, products, kept)
            if products:
                _couple(spot, width, top, c, out, far + 2 * top, kept)


@register_jitable  # type: ignore[untyped-decorator]
def _lattice(spot: Spot, channels: int, begin: int, end: int, out: Array, place: int) -> int:
    """L.L of one degree."""
    for c in range(0, channels, LANES):
        square = filled(out, 0.0)
        for m in range(begin, end):
            if _absent(spot, m):
                continue
            row = load(spot.sums, spot.at + m * spot.stride + c)
            square = square + row * row
        put(out, place + c, square, channels - c)
    return channels


@register_jitable  # type: ignore[untyped-decorator]
def _before(spot: Spot, width: int, c: int) -> Any:
    """M of the channel before each, the last one's before the first."""
    at = spot.at + width + c
    rows = _three(spot.sums, at - 1, width)
    if c:
        return rows
    last = at + width - 1
    return (
        with_first(rows[0], first(load(spot.sums, last))),
        with_first(rows[1], first(load(spot.sums, last + width))),
        with_first(rows[2], first(load(spot.sums, last + 2 * width))),
    )


@register_jitable  # type: ignore[untyped-decorator]
def _cross(a: Any, b: Any) -> Any:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@register_jitable  # type: ignore[untyped-decorator]
def _volume(spot: Spot, width: int, c: int, m: Any) -> Any:
    """s.(M x M') with the channel before."""
    normal = _cross(m, _before(spot, width, c))
    return normal[0] * spot.x + normal[1] * spot.y + normal[2] * spot.z


@kernel
def _degree(
    spot: Spot,
    width: int,
    channels: int,
    c: int,
    begin: int,
    end: int,
    out: Array,
    place: int,
    more: int,
    products: bool,
    kept: Array,
) -> None:
    """T.T, u.u, u.L, w.L of one degree, and u.w, w.w; the latter's u of degree 1 are kept."""
    sums, count = spot.sums, channels - c
    m = _three(sums, spot.at + width + c, width)
    square = uu = ul = wl = uw = ww = filled(sums, 0.0)
    for k in range(begin, end):
        if _absent(spot, k):
            if begin == 1:
                store(kept, (_PULL + k - 1) * LANES, filled(sums, 0.0))
            continue
        at = spot.at + k * spot.stride + c
        lattice, t = load(sums, at), _three(sums, at + whole(channels), whole(channels))
        u, w = t[0] * spot.x + t[1] * spot.y + t[2] * spot.z, _dot(t, m)
        square, uu = square + _dot(t, t), uu + u * u
        ul, wl = ul + u * lattice, wl + w * lattice
        uw, ww = uw + u * w, ww + w * w
        if begin == 1:
            store(kept, (_PULL + k - 1) * LANES, u)
    put(out, place, square, count)
    put(out, place + channels, uu, count)
    put(out, place + 2 * channels, ul, count)
    put(out, place + 3 * channels, wl, count)
    if products:
        put(out, more, uw, count)
        put(out, more + channels, ww, count)


@kernel
def _pairs(spot: Spot, at: int, step: int, middle: int, kept: Array) -> None:
    """Keep P and Q(u) of one row of channels; `at`: its first T_x, `step`: to T_y."""
    none = filled(kept, 0.0)
    p = (none, none, none, none, none)
    for mu in range(3):
        q = _quadrupole(_three(spot.sums, at + mu * middle, step))
        p = (p[0] + q[0], p[1] + q[1], p[2] + q[2], p[3] + q[3], p[4] + q[4])
    q = _quadrupole(_three(kept, _PULL * LANES, LANES))
    store(kept, (_PAIRS + 0) * LANES, p[0])
    store(kept, (_PAIRS + 1) * LANES, p[1])
    store(kept, (_PAIRS + 2) * LANES, p[2])
    store(kept, (_PAIRS + 3) * LANES, p[3])
    store(kept, (_PAIRS + 4) * LANES, p[4])
    store(kept, (_SQUARE + 0) * LANES, q[0])
    store(kept, (_SQUARE + 1) * LANES, q[1])
    store(kept, (_SQUARE + 2) * LANES, q[2])
    store(kept, (_SQUARE + 3) * LANES, q[3])
    store(kept, (_SQUARE + 4) * LANES, q[4])


@register_jitable  # type: ignore[untyped-decorator]
def _both(spot: Spot, k: int, channels: int, c: int, m: Any) -> Any:
    """u and w of the harmonic k."""
    t = _three(spot.sums, spot.at + k * spot.stride + whole(channels) + c, whole(channels))
    return t[0] * spot.x + t[1] * spot.y + t[2] * spot.z, _dot(t, m)


@kernel
def _couple(spot: Spot, width: int, top: int, c: int, out: Array, place: int, kept: Array) -> None:
    """P.u, P.w and Q(u').u."""
    m = _three(spot.sums, spot.at + width + c, width)
    pu = pw = qu = filled(out, 0.0)
    for k in range(5):
        if _absent(spot, 4 + k):
            continue
        u, w = _both(spot, 4 + k, top, c, m)
        pair = load(kept, (_PAIRS + k) * LANES)
        pu, pw = pu + pair * u, pw + pair * w
        qu = qu + load(kept, (_SQUARE + k) * LANES) * u
    put(out, place, pu, top - c)
    put(out, place + top, pw, top - c)
    put(out, place + 2 * top, qu, top - c)


@kernel
def invariant_slopes(
    spot: Spot, chirality: bool, products: bool, lanes: Lanes, kept: Array, given: Array, to: int, slopes: Array, at: int
) -> Any:
    """Slopes by the sums, from element `at` on, of those by the invariants, from `to` on; returns those by the spin."""
    width, middle, top = len(lanes[0]), len(lanes[1]), len(lanes[2])
    for c in range(0, width, LANES):
        put(slopes, at + c, load(given, to + c), width - c)
    place = to + width
    place += _lattice_slopes(spot, middle, 1, 4, given, place, slopes, at)
    place += _lattice_slopes(spot, top, 4, 9, given, place, slopes, at)
    by_spin = _vector_slopes(spot, width, given, place, slopes, at)
    place += 2 * width
    if chirality:
        by_spin = _sum(by_spin, _volume_slopes(spot, width, given, place, slopes, at))
        place += width
    more = place + 4 * (middle + top)
    for c in range(0, middle, LANES):
        coupled = products and c < top
        if c < top:
            far = more + 2 * middle + c
            if products:
                _couple_slopes(spot, width, middle, top, c, given, far + 2 * top, kept)
            args = (place + 4 * middle + c, far, products, coupled, slopes, at, kept)
            by_spin = _sum(by_spin, _degree_slopes(spot, width, top, c, 4, 9, given, *args))
        args = (place + c, more + c, products, coupled, slopes, at, kept)
        by_spin = _sum(by_spin, _degree_slopes(spot, width, middle, c, 1, 4, given, *args))
    return total(by_spin[0]), total(by_spin[1]), total(by_spin[2])


@register_jitable  # type: ignore[untyped-decorator]
def _sum(a: Any, b: Any) -> Any:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@register_jitable  # type: ignore[untyped-decorator]
def _lattice_slopes(
    spot: Spot, channels: int, begin: int, end: int, given: Array, place: int, slopes: Array, at: int
) -> int:
    for c in range(0, channels, LANES):
        twice = load(given, place + c) * 2.0
        for m in range(begin, end):
            if _absent(spot, m):
                continue
            row = load(spot.sums, spot.at + m * spot.stride + c)
            store(slopes, at + m * spot.stride + c, twice * row)
    return channels


@register_jitable  # type: ignore[untyped-decorator]
def _vector_slopes(spot: Spot, width: int, given: Array, place: int, slopes: Array, at: int) -> Any:
    """Of s.M and M.M; the slopes by M are set here."""
    none = filled(given, 0.0)
    by_spin = (none, none, none)
    for c in range(0, width, LANES):
        count = width - c
        along, twice = take(given, place + c, count), take(given, place + width + c, count) * 2.0
        m = _three(spot.sums, spot.at + width + c, width)
        put(slopes, at + width + c, along * spot.x + twice * m[0], count)
        put(slopes, at + 2 * width + c, along * spot.y + twice * m[1], count)
        put(slopes, at + 3 * width + c, along * spot.z + twice * m[2], count)
        by_spin = _sum(by_spin, (along * m[0], along * m[1], along * m[2]))
    return by_spin


@register_jitable  # type: ignore[untyped-decorator]
def _volume_slopes(spot: Spot, width: int, given: Array, place: int, slopes: Array, at: int) -> Any:
    """Of the squared s.(M x M'), added."""
    none = filled(given, 0.0)
    own = (filled(given, spot.x), filled(given, spot.y), filled(given, spot.z))
    by_spin = (none, none, none)
    for c in range(0, width, LANES):
        m, before = _three(spot.sums, spot.at + width + c, width), _before(spot, width, c)
        normal = _cross(m, before)
        rate = take(given, place + c, width - c) * _dot(normal, own) * 2.0
        by_spin = _sum(by_spin, (rate * normal[0], rate * normal[1], rate * normal[2]))
        turn, back = _cross(before, own), _cross(own, m)
        to = at + width + c
        _add_three(slopes, to, width, (rate * turn[0], rate * turn[1], rate * turn[2]))
        back = (rate * back[0], rate * back[1], rate * back[2])
        if c == 0:  # the first one's neighbour is the last
            last = to + width - 1
            for k in range(3):
                row = load(slopes, last + k * width)
                store(slopes, last + k * width, with_first(row, first(row) + first(back[k])))
            back = (with_first(back[0], 0.0), with_first(back[1], 0.0), with_first(back[2], 0.0))
        _add_three(slopes, to - 1, width, back)
    return by_spin


@register_jitable  # type: ignore[untyped-decorator]
def _couple_slopes(spot: Spot, width: int, middle: int, top: int, c: int, given: Array, place: int, kept: Array) -> None:
    """Keep P, Q(u'), and the slopes of P.u, P.w and Q(u').u by u' and by T'."""
    stride, count, none = spot.stride, top - c, filled(given, 0.0)
    m = _three(spot.sums, spot.at + width + c, width)
    for a in range(3):
        store(kept, (_PULL + a) * LANES, _both(spot, 1 + a, middle, c, m)[0])
    _pairs(spot, spot.at + stride + whole(middle) + c, stride, whole(middle), kept)
    g2, g3, g4 = take(given, place, count), take(given, place + top, count), take(given, place + 2 * top, count)
    b0, b1, b2 = _both(spot, 4, top, c, m), (none, none), (none, none)
    if not spot.planar:
        b1, b2 = _both(spot, 5, top, c, m), _both(spot, 6, top, c, m)
    b3, b4 = _both(spot, 7, top, c, m), _both(spot, 8, top, c, m)
    by_square = (g4 * b0[0], g4 * b1[0], g4 * b2[0], g4 * b3[0], g4 * b4[0])
    by_pairs = (
        g2 * b0[0] + g3 * b0[1],
        g2 * b1[0] + g3 * b1[1],
        g2 * b2[0] + g3 * b2[1],
        g2 * b3[0] + g3 * b3[1],
        g2 * b4[0] + g3 * b4[1],
    )
    pull = _pull(by_square, _three(kept, _PULL * LANES, LANES))
    for a in range(3):
        store(kept, (_PULL + a) * LANES, pull[a])
    for mu in range(3):
        turn = _pull(by_pairs, _three(spot.sums, spot.at + stride + (1 + mu) * whole(middle) + c, stride))
        for a in range(3):
            store(kept, (_TURN + 3 * mu + a) * LANES, turn[a])


@register_jitable  # type: ignore[untyped-decorator]
def _degree_slopes(
    spot: Spot,
    width: int,
    channels: int,
    c: int,
    begin: int,
    end: int,
    given: Array,
    place: int,
    more: int,
    products: bool,
    coupled: bool,
    slopes: Array,
    at: int,
    kept: Array,
) -> Any:
    """Of what :func:`_degree` makes, and of the couplings that are kept; returns rows of slopes by the spin."""
    sums, count, step, none = spot.sums, channels - c, whole(channels), filled(given, 0.0)
    m = _three(sums, spot.at + width + c, width)
    g0, g1 = take(given, place, count) * 2.0, take(given, place + channels, count) * 2.0
    g2, g3 = take(given, place + 2 * channels, count), take(given, place + 3 * channels, count)
    p0 = p1 = q2 = q3 = q4 = none
    if products:
        p0, p1 = take(given, more, count), take(given, more + channels, count) * 2.0
    if coupled and begin == 4:
        q2, q3 = take(given, more + 2 * channels, count), take(given, more + 3 * channels, count)
        q4 = take(given, more + 4 * channels, count)
    by_m, by_spin = (none, none, none), (none, none, none)
    for k in range(begin, end):
        if _absent(spot, k):
            continue
        from_, to = spot.at + k * spot.stride + c, at + k * spot.stride + c
        lattice, t = load(sums, from_), _three(sums, from_ + step, step)
        u, w = t[0] * spot.x + t[1] * spot.y + t[2] * spot.z, _dot(t, m)
        by_u, by_w = g1 * u + g2 * lattice + p0 * w, g3 * lattice + p0 * u + p1 * w
        turn = (none, none, none)
        if coupled and begin == 4:
            pair = load(kept, (_PAIRS + k - 4) * LANES)
            by_u = by_u + q2 * pair + q4 * load(kept, (_SQUARE + k - 4) * LANES)
            by_w = by_w + q3 * pair
        elif coupled:
            by_u = by_u + load(kept, (_PULL + k - 1) * LANES)
            turn = _three(kept, (_TURN + k - 1) * LANES, 3 * LANES)
        store(slopes, to, load(slopes, to) + (g2 * u + g3 * w))
        store(slopes, to + step, g0 * t[0] + by_u * spot.x + by_w * m[0] + turn[0])
        store(slopes, to + 2 * step, g0 * t[1] + by_u * spot.y + by_w * m[1] + turn[1])
        store(slopes, to + 3 * step, g0 * t[2] + by_u * spot.z + by_w * m[2] + turn[2])
        by_m = _sum(by_m, (by_w * t[0], by_w * t[1], by_w * t[2]))
        by_spin = _sum(by_spin, (by_u * t[0], by_u * t[1], by_u * t[2]))
    _add_three(slopes, at + width + c, width, by_m)
    return by_spin
