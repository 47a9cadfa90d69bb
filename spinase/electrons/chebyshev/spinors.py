"""Spinors of one site in a block of LANES columns, which the recursions in `kernels` are made of.

A block is a flat array [site][up re, up im, down re, down im][LANES columns]; a spinor is four rows of it.
"""

from __future__ import annotations

from typing import Any

from spinase.compiled import njit
from spinase.compiled.rows import LANES, fma, load, prefetch, scale, store, total
from spinase.typing import Array

SPINOR = 4 * LANES
"""Numbers of a site in a block."""

FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(nogil=True, error_model="numpy", fastmath=FAST)
def rows(block: Array, p: int) -> tuple[Any, Any, Any, Any]:
    """The four rows of a site: up re, up im, down re, down im."""
    return load(block, p), load(block, p + LANES), load(block, p + 2 * LANES), load(block, p + 3 * LANES)


@njit(nogil=True, error_model="numpy", fastmath=FAST)
def put(block: Array, p: int, ur: Any, ui: Any, dr: Any, di: Any) -> None:
    """Write the four rows of a site at offset p.

    Parameters
    ----------
    block : (N * SPINOR,)
        Written.
    p : int
        Offset.
    ur, ui, dr, di
        Rows.
    """
    store(block, p, ur)
    store(block, p + LANES, ui)
    store(block, p + 2 * LANES, dr)
    store(block, p + 3 * LANES, di)


@njit(nogil=True, error_model="numpy", fastmath=FAST)
def ask(one: Array, other: Array, p: int, q: int) -> None:
    """Have the rows at p of `one` and at q of `other` come into the cache.

    Parameters
    ----------
    one, other : (N * SPINOR,)
        Blocks.
    p, q : int
        Offsets.
    """
    for c in range(0, SPINOR, LANES):
        prefetch(one, p + c)
        prefetch(other, q + c)


@njit(nogil=True, error_model="numpy", fastmath=FAST)
def local(site: Array, i: int, factor: Any, ur: Any, ui: Any, dr: Any, di: Any) -> tuple[Any, Any, Any, Any]:
    """factor h_i psi_i of a spinor psi_i (four rows), h_i = site[i, 0] + site[i, 1..3] . sigma; `site` (N, 4).

    up:   factor [(h_0 + h_z) up + (h_x - i h_y) down],      down: factor [(h_x + i h_y) up + (h_0 - h_z) down]

    Parameters
    ----------
    site : (N, 4)
        Site blocks: scalar part, x, y, z.
    i : int
        Site.
    factor : float
        Real.
    ur, ui, dr, di
        Rows of psi_i.
    """
    plus, minus = factor * (site[i, 0] + site[i, 3]), factor * (site[i, 0] - site[i, 3])
    x, y = factor * site[i, 1], factor * site[i, 2]
    return (
        fma(y, di, fma(x, dr, scale(plus, ur))),
        fma(-y, dr, fma(x, di, scale(plus, ui))),
        fma(-y, ui, fma(x, ur, scale(minus, dr))),
        fma(y, ur, fma(x, ui, scale(minus, di))),
    )


@njit(nogil=True, error_model="numpy", fastmath=FAST)
def hop(block: Array, q: int, t: Any, ur: Any, ui: Any, dr: Any, di: Any) -> tuple[Any, Any, Any, Any]:
    """psi + t psi_q, psi (four rows ur, ui, dr, di) a spinor, psi_q that of the neighbour at offset q; t real.

    Parameters
    ----------
    block : (N * SPINOR,)
        With psi_q.
    q : int
        Offset.
    t : float
        Real.
    ur, ui, dr, di
        Rows of psi.
    """
    nur, nui, ndr, ndi = rows(block, q)
    return fma(t, nur, ur), fma(t, nui, ui), fma(t, ndr, dr), fma(t, ndi, di)


@njit(nogil=True, error_model="numpy", fastmath=FAST)
def twist(block: Array, q: int, s: Any, ur: Any, ui: Any, dr: Any, di: Any) -> tuple[Any, Any, Any, Any]:
    """psi + i s psi_q, psi (four rows) a spinor, psi_q that of the neighbour at offset q; s real.

    Parameters
    ----------
    block : (N * SPINOR,)
        With psi_q.
    q : int
        Offset.
    s : float
        Real.
    ur, ui, dr, di
        Rows of psi.
    """
    nur, nui, ndr, ndi = rows(block, q)
    return fma(-s, nui, ur), fma(s, nur, ui), fma(-s, ndi, dr), fma(s, ndr, di)


@njit(nogil=True, error_model="numpy", fastmath=FAST)
def turn(
    block: Array, q: int, spin: Array, k: int, factor: Any, ur: Any, ui: Any, dr: Any, di: Any
) -> tuple[Any, Any, Any, Any]:
    """psi + factor (w . sigma) psi_q, psi (four rows) a spinor, psi_q that of the neighbour at offset q; factor real.

    spin[k] = real and imaginary parts of w_z, w_x - i w_y, w_x + i w_y.

    Parameters
    ----------
    block : (N * SPINOR,)
        With psi_q.
    q : int
        Offset.
    spin : (K, 6)
        What turns spins on the hoppings.
    k : int
        The hopping.
    factor : float
        Real.
    ur, ui, dr, di
        Rows of psi.
    """
    nur, nui, ndr, ndi = rows(block, q)
    zr, zi = factor * spin[k, 0], factor * spin[k, 1]
    ar, ai = factor * spin[k, 2], factor * spin[k, 3]
    br, bi = factor * spin[k, 4], factor * spin[k, 5]
    return (
        fma(-ai, ndi, fma(ar, ndr, fma(-zi, nui, fma(zr, nur, ur)))),
        fma(ai, ndr, fma(ar, ndi, fma(zi, nur, fma(zr, nui, ui)))),
        fma(zi, ndi, fma(-zr, ndr, fma(-bi, nui, fma(br, nur, dr)))),
        fma(-zi, ndr, fma(-zr, ndi, fma(bi, nur, fma(br, nui, di)))),
    )


@njit(nogil=True, error_model="numpy", fastmath=FAST)
def vector(ur: Any, ui: Any, dr: Any, di: Any, lur: Any, lui: Any, ldr: Any, ldi: Any) -> tuple[float, float, float, float]:
    """Tr[Herm(a l+)], Tr[sigma Herm(a l+)] of spinors a (ur, ui, dr, di) and l (lur ..), summed over the columns.

    1: Re (u k* + d m*),   x: Re (u m* + d k*),   y: Im (d k* - u m*),   z: Re (u k* - d m*),   a = (u, d), l = (k, m)

    Parameters
    ----------
    ur, ui, dr, di
        Rows of a.
    lur, lui, ldr, ldi
        Rows of l.
    """
    up, down = total(fma(ui, lui, scale(ur, lur))), total(fma(di, ldi, scale(dr, ldr)))
    x = total(fma(ur, ldr, fma(ui, ldi, fma(dr, lur, scale(di, lui)))))
    y = total(fma(ur, ldi, scale(di, lur))) - total(fma(ui, ldr, scale(dr, lui)))
    return up + down, x, y, up - down


@njit(nogil=True, error_model="numpy", fastmath=FAST)
def pair(one: Array, other: Array, p: int, q: int) -> tuple[float, float]:
    """Real and imaginary part of a_i l_j+ + l_i a_j+ for sites at offsets p (i) and q (j), summed over spin and columns.

    Parameters
    ----------
    one, other : (N * SPINOR,)
        Blocks a and l.
    p, q : int
        Offsets of the sites i and j.
    """
    ur, ui, dr, di = rows(one, p)
    lur, lui, ldr, ldi = rows(other, p)
    nur, nui, ndr, ndi = rows(one, q)
    our, oui, odr, odi = rows(other, q)
    re = total(fma(ur, our, fma(ui, oui, fma(dr, odr, scale(di, odi)))))
    re += total(fma(lur, nur, fma(lui, nui, fma(ldr, ndr, scale(ldi, ndi)))))
    im = total(fma(ui, our, scale(di, odr))) - total(fma(ur, oui, scale(dr, odi)))
    im += total(fma(lui, nur, scale(ldi, ndr))) - total(fma(lur, nui, scale(ldr, ndi)))
    return re, im


@njit(nogil=True, error_model="numpy", fastmath=FAST)
def _product(ar: Any, ai: Any, br: Any, bi: Any) -> tuple[float, float]:
    """Real and imaginary part of a b*, summed over the columns."""
    return total(fma(ai, bi, scale(ar, br))), total(scale(ai, br)) - total(scale(ar, bi))


@njit(nogil=True, error_model="numpy", fastmath=FAST)
def add_pair_spin(one: Array, other: Array, p: int, q: int, factor: float, pairs: Array, b: int) -> None:
    """pairs[b, 2:8] += factor (M_uu - M_dd, M_ud, M_du), real and imaginary parts, of M = a_i l_j+ + l_i a_j+.

    Parameters
    ----------
    one, other : (N * SPINOR,) float32 or float64
        Blocks a and l.
    p, q : int
        Offsets of the sites i and j.
    factor : float
        Real.
    pairs : (n_bonds, 8) float64
        Added to.
    b : int
        The bond.
    """
    ur, ui, dr, di = rows(one, p)
    lur, lui, ldr, ldi = rows(other, p)
    nur, nui, ndr, ndi = rows(one, q)
    our, oui, odr, odi = rows(other, q)
    uu, dd, vv, ee = (
        _product(ur, ui, our, oui),
        _product(dr, di, odr, odi),
        _product(lur, lui, nur, nui),
        _product(ldr, ldi, ndr, ndi),
    )
    ud, du, vd, dv = (
        _product(ur, ui, odr, odi),
        _product(dr, di, our, oui),
        _product(lur, lui, ndr, ndi),
        _product(ldr, ldi, nur, nui),
    )
    for c in range(2):
        pairs[b, 2 + c] += factor * (uu[c] - dd[c] + vv[c] - ee[c])
        pairs[b, 4 + c] += factor * (ud[c] + vd[c])
        pairs[b, 6 + c] += factor * (du[c] + dv[c])


@njit(nogil=True, error_model="numpy", fastmath=FAST)
def add_pairs(
    one: Array,
    other: Array,
    p: int,
    first: int,
    stop: int,
    near: Array,
    bond: Array,
    spin: Array | None,
    factor: float,
    pairs: Array,
) -> None:
    """Add factor (a_i l_j+ + l_i a_j+) of the hoppings first .. stop - 1 of one site to the bonds they are.

    Parameters
    ----------
    one, other : (N * SPINOR,) float32 or float64
        Blocks a and l.
    p : int
        Offset of the site i.
    first, stop : int
        Its hoppings.
    near, bond : (K,) int
        Offset of the neighbour of every hopping, and its bond (-1: not asked for).
    spin : (K, 6) or None
        None: spin traces alone are wanted.
    factor : float
        Real.
    pairs : (n_bonds, 2) or (n_bonds, 8) float64
        Added to.
    """
    for k in range(first, stop):
        if bond[k] >= 0:
            re, im = pair(one, other, p, near[k])
            pairs[bond[k], 0] += factor * re
            pairs[bond[k], 1] += factor * im
            if spin is not None:
                add_pair_spin(one, other, p, near[k], factor, pairs, bond[k])
