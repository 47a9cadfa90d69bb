"""The Chebyshev recursion on blocks of spinor columns, and its adjoint.

A block is a flat array [site][up re, up im, down re, down im][LANES columns].  One pass does w <- 2 H v - w and the two
scalar products that give the moments; the adjoint pass runs the recursion backwards together with that of the
multipliers, and contracts the two to the density on the operator's pattern.  Several steps may follow each other through
the sites as a wave (`depth`), so that a large block is read from memory once for all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spinase.compiled import njit
from spinase.compiled.rows import LANES, fma, load, prefetch, scale, store, total
from spinase.typing import Array

SPINOR = 4 * LANES
"""Numbers of a site in a block."""

_AHEAD = 16  # sites between a row's prefetch and its use
_FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _rows(block: Array, p: int) -> tuple[Any, Any, Any, Any]:
    """The four rows of a site: up re, up im, down re, down im."""
    return load(block, p), load(block, p + LANES), load(block, p + 2 * LANES), load(block, p + 3 * LANES)


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _put(block: Array, p: int, ur: Any, ui: Any, dr: Any, di: Any) -> None:
    """Write the four rows of a site at offset p."""
    store(block, p, ur)
    store(block, p + LANES, ui)
    store(block, p + 2 * LANES, dr)
    store(block, p + 3 * LANES, di)


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _ask(one: Array, other: Array, p: int, q: int) -> None:
    """Have the rows at p of `one` and at q of `other` come into the cache."""
    for c in range(0, SPINOR, LANES):
        prefetch(one, p + c)
        prefetch(other, q + c)


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _local(site: Array, i: int, factor: Any, ur: Any, ui: Any, dr: Any, di: Any) -> tuple[Any, Any, Any, Any]:
    """factor h_i psi_i of a spinor psi_i (four rows), h_i = site[i, 0] + site[i, 1..3] . sigma; `site` (N, 4).

    up:   factor [(h_0 + h_z) up + (h_x - i h_y) down],      down: factor [(h_x + i h_y) up + (h_0 - h_z) down]
    """
    plus, minus = factor * (site[i, 0] + site[i, 3]), factor * (site[i, 0] - site[i, 3])
    x, y = factor * site[i, 1], factor * site[i, 2]
    return (
        fma(y, di, fma(x, dr, scale(plus, ur))),
        fma(-y, dr, fma(x, di, scale(plus, ui))),
        fma(-y, ui, fma(x, ur, scale(minus, dr))),
        fma(y, ur, fma(x, ui, scale(minus, di))),
    )


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _hop(block: Array, q: int, t: Any, ur: Any, ui: Any, dr: Any, di: Any) -> tuple[Any, Any, Any, Any]:
    """psi + t psi_q, psi (four rows ur, ui, dr, di) a spinor, psi_q that of the neighbour at offset q; t real."""
    nur, nui, ndr, ndi = _rows(block, q)
    return fma(t, nur, ur), fma(t, nui, ui), fma(t, ndr, dr), fma(t, ndi, di)


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _twist(block: Array, q: int, s: Any, ur: Any, ui: Any, dr: Any, di: Any) -> tuple[Any, Any, Any, Any]:
    """psi + i s psi_q, psi (four rows) a spinor, psi_q that of the neighbour at offset q; s real."""
    nur, nui, ndr, ndi = _rows(block, q)
    return fma(-s, nui, ur), fma(s, nur, ui), fma(-s, ndi, dr), fma(s, ndr, di)


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _vector(ur: Any, ui: Any, dr: Any, di: Any, lur: Any, lui: Any, ldr: Any, ldi: Any) -> tuple[float, float, float, float]:
    """Tr[Herm(a l+)], Tr[sigma Herm(a l+)] of spinors a (ur, ui, dr, di) and l (lur ..), summed over the columns.

    1: Re (u k* + d m*),   x: Re (u m* + d k*),   y: Im (d k* - u m*),   z: Re (u k* - d m*),   a = (u, d), l = (k, m)
    """
    up, down = total(fma(ui, lui, scale(ur, lur))), total(fma(di, ldi, scale(dr, ldr)))
    x = total(fma(ur, ldr, fma(ui, ldi, fma(dr, lur, scale(di, lui)))))
    y = total(fma(ur, ldi, scale(di, lur))) - total(fma(ui, ldr, scale(dr, lui)))
    return up + down, x, y, up - down


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _pair(one: Array, other: Array, p: int, q: int) -> tuple[float, float]:
    """Real and imaginary part of a_i l_j+ + l_i a_j+ for sites at offsets p (i) and q (j), summed over spin and columns."""
    ur, ui, dr, di = _rows(one, p)
    lur, lui, ldr, ldi = _rows(other, p)
    nur, nui, ndr, ndi = _rows(one, q)
    our, oui, odr, odi = _rows(other, q)
    re = total(fma(ur, our, fma(ui, oui, fma(dr, odr, scale(di, odi)))))
    re += total(fma(lur, nur, fma(lui, nui, fma(ldr, ndr, scale(ldi, ndi)))))
    im = total(fma(ui, our, scale(di, odr))) - total(fma(ur, oui, scale(dr, odi)))
    im += total(fma(lui, nur, scale(ldi, ndr))) - total(fma(lur, nui, scale(ldr, ndi)))
    return re, im


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def advance(
    new: Array,
    old: Array,
    site: Array,
    start: Array,
    near: Array,
    real: Array,
    imag: Array,
    far: Array,
    first: int,
    last: int,
    opening: bool,
) -> tuple[float, float]:
    """new <- 2 H old - new (H old if `opening`) on the sites first .. last - 1; (old.old, new.old) there.

    Parameters
    ----------
    new, old : (N * SPINOR,)
        Blocks, float32 or float64: a_{m-1}, which becomes a_{m+1}, and a_m.
    site, start, near, real, imag, far
        The rescaled Hamiltonian, as in :func:`forward`.
    first, last : int
        Sites.
    opening : bool
        The first step, a_1 = H a_0.

    Returns
    -------
    norm, cross : float64
        a_m.a_m and a_{m+1}.a_m, real parts of products over spin and columns, of these sites.
    """
    one = real.dtype.type(1.0)
    two = one if opening else one + one
    norm, cross = 0.0, 0.0
    ahead = len(far) > 0
    twisted = len(imag) > 0
    for i in range(first, last):
        if ahead:
            m = min(i + _AHEAD, len(site) - 1)
            _ask(old, new, far[m], m * SPINOR)
        p = i * SPINOR
        ur, ui, dr, di = _rows(old, p)
        hur, hui, hdr, hdi = _local(site, i, two, ur, ui, dr, di)
        if not opening:
            kur, kui, kdr, kdi = _rows(new, p)
            hur, hui, hdr, hdi = fma(-one, kur, hur), fma(-one, kui, hui), fma(-one, kdr, hdr), fma(-one, kdi, hdi)
        for k in range(start[i], start[i + 1]):
            hur, hui, hdr, hdi = _hop(old, near[k], two * real[k], hur, hui, hdr, hdi)
        if twisted:
            for k in range(start[i], start[i + 1]):
                hur, hui, hdr, hdi = _twist(old, near[k], two * imag[k], hur, hui, hdr, hdi)
        _put(new, p, hur, hui, hdr, hdi)
        norm += total(fma(di, di, fma(dr, dr, fma(ui, ui, scale(ur, ur)))))
        cross += total(fma(di, hdi, fma(dr, hdr, fma(ui, hui, scale(ur, hur)))))
    return norm, cross


@njit(nogil=True)
def forward(
    even: Array,
    odd: Array,
    site: Array,
    start: Array,
    near: Array,
    real: Array,
    imag: Array,
    far: Array,
    steps: int,
    wave: tuple[int, int, int],
) -> tuple[Array, Array]:
    """a_1 .. a_steps from a_0: a_1 = H a_0, a_{m+1} = 2 H a_m - a_{m-1}; a_m ends in `even` or `odd` by the parity of m.

    Parameters
    ----------
    even, odd : (N * SPINOR,)
        Blocks of LANES columns, float32 or float64; a_0 is in `even`.
    site : (N, 4)
        Rescaled site blocks h_0 + h . sigma: scalar part, x, y, z; H has its spectrum in [-1, 1].
    start : (N + 1,) int
        Rows of the rescaled hopping: row i has entries start[i] .. start[i + 1] - 1.
    near : (K,) int
        Offsets of the neighbours in a block (site * SPINOR).
    real, imag : (K,)
        Amplitudes real + i imag of H_ij; `imag` is of length 0 if all are real.
    far : (N,) int, or of length 0
        Offset of the neighbour to prefetch.
    steps : int
        How many.
    wave : (block, reach, depth)
        Sites of a block of the wave, blocks between two steps (neighbours are nearer), steps that follow each other.

    Returns
    -------
    norms, crosses : (steps,) float64
        a_m.a_m and a_{m+1}.a_m, m = 0 .. steps - 1, from which the moments are mu_2m = 2 a_m.a_m - mu_0 and
        mu_{2m+1} = 2 a_{m+1}.a_m - mu_1.
    """
    block, reach, depth = wave
    blocks = (len(site) + block - 1) // block
    norms, crosses = np.zeros(steps), np.zeros(steps)
    for opening in range(0, steps, depth):
        together = min(depth, steps - opening)
        for front in range(blocks + (together - 1) * reach):
            for d in range(together):
                b, m = front - d * reach, opening + d
                if b < 0 or b >= blocks:
                    continue
                new, old = (odd, even) if m % 2 == 0 else (even, odd)
                low, high = b * block, min((b + 1) * block, len(site))
                norm, cross = advance(new, old, site, start, near, real, imag, far, low, high, m == 0)
                norms[m] += norm
                crosses[m] += cross
    return norms, crosses


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _retreat(
    back: Array,
    here: Array,
    under: Array,
    over: Array,
    site: Array,
    start: Array,
    near: Array,
    real: Array,
    imag: Array,
    far: Array,
    bond: Array,
    factors: tuple[float, float, float],
    first: int,
    last: int,
    density: Array,
    pairs: Array,
) -> None:
    """One adjoint step on the sites first .. last - 1.

    `here` is a_m, `back` a_{m+1} (becomes a_{m-1}); `over` is the multiplier l_{m+1}, `under` l_{m+2} (becomes l_m):

        density += 2 Herm(a_m l_{m+1}+),    a_{m-1} = 2 H a_m - a_{m+1}
        l_m = 2 H l_{m+1} - l_{m+2} + f a_m + g a_{m+1} + h a_{m-1},    (f, g, h) = `factors`

    Blocks (N * SPINOR,), the Hamiltonian as in :func:`forward`; `bond` (K,), `density` (N, 4), `pairs` (n_bonds, 2) as in
    :func:`adjoint`.
    """
    kind = real.dtype.type
    one, two = kind(1.0), kind(2.0)
    f, g, h = kind(factors[0]), kind(factors[1]), kind(factors[2])
    for i in range(first, last):
        if len(far) > 0:
            m = min(i + _AHEAD, len(site) - 1)
            _ask(here, back, far[m], m * SPINOR)
            _ask(over, under, far[m], m * SPINOR)
        p = i * SPINOR
        ur, ui, dr, di = _rows(here, p)
        lur, lui, ldr, ldi = _rows(over, p)
        charge, sx, sy, sz = _vector(ur, ui, dr, di, lur, lui, ldr, ldi)
        density[i, 0] += 2.0 * charge
        density[i, 1] += 2.0 * sx
        density[i, 2] += 2.0 * sy
        density[i, 3] += 2.0 * sz
        hur, hui, hdr, hdi = _local(site, i, two, ur, ui, dr, di)
        mur, mui, mdr, mdi = _local(site, i, two, lur, lui, ldr, ldi)
        for k in range(start[i], start[i + 1]):
            q, t = near[k], two * real[k]
            hur, hui, hdr, hdi = _hop(here, q, t, hur, hui, hdr, hdi)
            mur, mui, mdr, mdi = _hop(over, q, t, mur, mui, mdr, mdi)
        if len(imag) > 0:
            for k in range(start[i], start[i + 1]):
                q, t = near[k], two * imag[k]
                hur, hui, hdr, hdi = _twist(here, q, t, hur, hui, hdr, hdi)
                mur, mui, mdr, mdi = _twist(over, q, t, mur, mui, mdr, mdi)
        if len(pairs) > 0:
            for k in range(start[i], start[i + 1]):
                if bond[k] >= 0:
                    re, im = _pair(here, over, p, near[k])
                    pairs[bond[k], 0] += re
                    pairs[bond[k], 1] += im
        kur, kui, kdr, kdi = _rows(back, p)
        hur, hui, hdr, hdi = fma(-one, kur, hur), fma(-one, kui, hui), fma(-one, kdr, hdr), fma(-one, kdi, hdi)
        _put(back, p, hur, hui, hdr, hdi)
        nur, nui, ndr, ndi = _rows(under, p)
        mur = fma(h, hur, fma(g, kur, fma(f, ur, fma(-one, nur, mur))))
        mui = fma(h, hui, fma(g, kui, fma(f, ui, fma(-one, nui, mui))))
        mdr = fma(h, hdr, fma(g, kdr, fma(f, dr, fma(-one, ndr, mdr))))
        mdi = fma(h, hdi, fma(g, kdi, fma(f, di, fma(-one, ndi, mdi))))
        _put(under, p, mur, mui, mdr, mdi)


@njit(nogil=True)
def adjoint(
    even: Array,
    odd: Array,
    scratch: tuple[Array, Array],
    site: Array,
    start: Array,
    near: Array,
    real: Array,
    imag: Array,
    far: Array,
    bond: Array,
    steps: int,
    coefficients: Array,
    wave: tuple[int, int, int],
    density: Array,
    pairs: Array,
) -> None:
    """Derivative of Omega = sum_m c_m mu_m by H on its pattern: the reverse sweep of :func:`forward`.

    Parameters
    ----------
    even, odd : (N * SPINOR,)
        As :func:`forward` left them after `steps` steps; overwritten (they end as a_0 and a_1 or nearly so).
    scratch : two (N * SPINOR,)
        Work space, the multipliers.
    site, start, near, real, imag, far, wave
        As in :func:`forward`.
    bond : (K,) int
        Bond of every hopping entry that is asked for once, else -1.
    steps : int
        As there.
    coefficients : (2 steps + 1,) float64
        c_m.
    density : (N, 4) float64
        Tr[rho_ii], Tr[sigma rho_ii], added to.
    pairs : (n_bonds, 2) float64, or of length 0
        Real and imaginary part of the spin trace of rho_ij on the bonds, added to.
    """
    block, reach, depth = wave
    blocks = (len(site) + block - 1) // block
    sites = len(site)
    c = coefficients
    at, before = (even, odd) if steps % 2 == 0 else (odd, even)
    _mix(scratch[0], at, before, 4.0 * c[2 * steps], 2.0 * c[2 * steps - 1])
    scratch[1][:] = 0.0
    back_to_one = c[1]
    for m in range(1, steps):
        back_to_one -= c[2 * m + 1]
    if steps == 1:  # a_1 alone: its multiplier also holds the first moment
        _mix(scratch[0], at, before, 4.0 * c[2], c[1])
    for opening in range(0, steps - 1, depth):
        together = min(depth, steps - 1 - opening)
        for front in range(blocks + (together - 1) * reach):
            for d in range(together):
                b, m = front - d * reach, steps - 1 - opening - d
                if b < 0 or b >= blocks:
                    continue
                here, back = (even, odd) if m % 2 == 0 else (odd, even)
                over, under = (scratch[0], scratch[1]) if (steps - 1 - m) % 2 == 0 else (scratch[1], scratch[0])
                last = back_to_one if m == 1 else 2.0 * c[2 * m - 1]
                factors = (4.0 * c[2 * m], 2.0 * c[2 * m + 1], last)
                low, high = b * block, min((b + 1) * block, sites)
                _retreat(
                    back, here, under, over, site, start, near, real, imag, far, bond, factors, low, high, density, pairs
                )
    over = scratch[0] if (steps - 1) % 2 == 0 else scratch[1]
    contract(even, over, start, near, bond, density, pairs)


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _mix(target: Array, one: Array, other: Array, first: float, second: float) -> None:
    """target = first one + second other; blocks (N * SPINOR,)."""
    kind = target.dtype.type
    f, g = kind(first), kind(second)
    for p in range(0, len(target), LANES):
        store(target, p, fma(f, load(one, p), scale(g, load(other, p))))


@njit(nogil=True)
def contract_sites(one: Array, other: Array, sites: Array, result: Array) -> None:
    """result (n, 4) = Tr[Herm(one other+)] and Tr[sigma Herm(one other+)] on `sites` (n,); blocks (N * SPINOR,).

    Parameters
    ----------
    one, other : (N * SPINOR,) float32 or float64
        Blocks of columns.
    sites : (n,) int
        Which sites.
    result : (n, 4) float64
        Written: charge and spin.
    """
    for n in range(len(sites)):
        p = sites[n] * SPINOR
        ur, ui, dr, di = _rows(one, p)
        lur, lui, ldr, ldi = _rows(other, p)
        result[n, 0], result[n, 1], result[n, 2], result[n, 3] = _vector(ur, ui, dr, di, lur, lui, ldr, ldi)


@njit(nogil=True)
def add_scaled(target: Array, source: Array, factor: float) -> None:
    """target += factor source; blocks (N * SPINOR,).

    Parameters
    ----------
    target, source : (N * SPINOR,) float32 or float64
        Blocks of columns, the first added to.
    factor : float
        Real.
    """
    f = target.dtype.type(factor)
    for p in range(0, len(target), LANES):
        store(target, p, fma(f, load(source, p), load(target, p)))


@njit(nogil=True)
def square(block: Array) -> float:
    """block.block, the sum of all squares, float64; block (N * SPINOR,)."""
    result = 0.0
    for p in range(0, len(block), LANES):
        row = load(block, p)
        result += total(scale(row, row))
    return result


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def contract(one: Array, other: Array, start: Array, near: Array, bond: Array, density: Array, pairs: Array) -> None:
    """Herm(one other+), summed over the columns, added to `density` (N, 4) of sites and `pairs` (n_bonds, 2) of bonds.

    Blocks (N * SPINOR,); `start` (N + 1,), `near`, `bond` (K,) as in :func:`adjoint`.

    Parameters
    ----------
    one, other : (N * SPINOR,) float32 or float64
        Blocks of columns.
    start, near, bond : (N + 1,), (K,), (K,) int
        Rows of neighbours, as in :func:`adjoint`.
    density : (N, 4) float64
        Charge and spin of the sites, added to.
    pairs : (n_bonds, 2) float64, or of length 0
        Real and imaginary part of the spin trace on the bonds, added to.
    """
    for i in range(len(density)):
        p = i * SPINOR
        ur, ui, dr, di = _rows(one, p)
        lur, lui, ldr, ldi = _rows(other, p)
        charge, sx, sy, sz = _vector(ur, ui, dr, di, lur, lui, ldr, ldi)
        density[i, 0] += charge
        density[i, 1] += sx
        density[i, 2] += sy
        density[i, 3] += sz
        for k in range(start[i], start[i + 1]):
            if len(pairs) > 0 and bond[k] >= 0:
                re, im = _pair(one, other, p, near[k])
                pairs[bond[k], 0] += 0.5 * re
                pairs[bond[k], 1] += 0.5 * im
