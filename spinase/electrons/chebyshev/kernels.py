"""The Chebyshev recursion on blocks of spinor columns, and its adjoint.

A block is a flat array [site][up re, up im, down re, down im][LANES columns].  One pass does w <- 2 H v - w and the two
scalar products that give the moments; the adjoint pass runs the recursion backwards together with that of the
multipliers, and contracts the two to the density on the operator's pattern.  Several steps may follow each other through
the sites as a wave (`depth`), so that a large block is read from memory once for all of them.
"""

from __future__ import annotations

import numpy as np

from spinase.compiled import njit
from spinase.compiled.rows import fma, scale, total
from spinase.electrons.chebyshev.contractions import contract, mix
from spinase.electrons.chebyshev.spinors import (
    FAST,
    SPINOR,
    add_pairs,
    ask,
    hop,
    local,
    put,
    rows,
    turn,
    twist,
    vector,
)
from spinase.typing import Array

_AHEAD = 16  # sites between a row's prefetch and its use


@njit(nogil=True, error_model="numpy", fastmath=FAST)
def advance(
    new: Array,
    old: Array,
    site: Array,
    start: Array,
    near: Array,
    real: Array,
    imag: Array,
    spin: Array | None,
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
    site, start, near, real, imag, spin, far
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
            ask(old, new, far[m], m * SPINOR)
        p = i * SPINOR
        ur, ui, dr, di = rows(old, p)
        hur, hui, hdr, hdi = local(site, i, two, ur, ui, dr, di)
        if not opening:
            kur, kui, kdr, kdi = rows(new, p)
            hur, hui, hdr, hdi = fma(-one, kur, hur), fma(-one, kui, hui), fma(-one, kdr, hdr), fma(-one, kdi, hdi)
        for k in range(start[i], start[i + 1]):
            hur, hui, hdr, hdi = hop(old, near[k], two * real[k], hur, hui, hdr, hdi)
        if twisted:
            for k in range(start[i], start[i + 1]):
                hur, hui, hdr, hdi = twist(old, near[k], two * imag[k], hur, hui, hdr, hdi)
        if spin is not None:  # decided when compiled: without it the loop is as if this were not written
            for k in range(start[i], start[i + 1]):
                hur, hui, hdr, hdi = turn(old, near[k], spin, k, two, hur, hui, hdr, hdi)
        put(new, p, hur, hui, hdr, hdi)
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
    spin: Array | None,
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
    spin : (K, 6) or None
        What turns spins, as in :func:`~spinase.electrons.chebyshev.spinors.turn`.
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
                norm, cross = advance(new, old, site, start, near, real, imag, spin, far, low, high, m == 0)
                norms[m] += norm
                crosses[m] += cross
    return norms, crosses


@njit(nogil=True, error_model="numpy", fastmath=FAST)
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
    spin: Array | None,
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

    Blocks (N * SPINOR,), the Hamiltonian as in :func:`forward`; `bond` (K,), `density` (N, 4), `pairs` as in
    :func:`adjoint`.
    """
    kind = real.dtype.type
    one, two, f, g, h = kind(1.0), kind(2.0), kind(factors[0]), kind(factors[1]), kind(factors[2])
    for i in range(first, last):
        if len(far) > 0:
            m = min(i + _AHEAD, len(site) - 1)
            ask(here, back, far[m], m * SPINOR)
            ask(over, under, far[m], m * SPINOR)
        p = i * SPINOR
        ur, ui, dr, di = rows(here, p)
        lur, lui, ldr, ldi = rows(over, p)
        charge, sx, sy, sz = vector(ur, ui, dr, di, lur, lui, ldr, ldi)
        density[i, 0] += 2.0 * charge
        density[i, 1] += 2.0 * sx
        density[i, 2] += 2.0 * sy
        density[i, 3] += 2.0 * sz
        hur, hui, hdr, hdi = local(site, i, two, ur, ui, dr, di)
        mur, mui, mdr, mdi = local(site, i, two, lur, lui, ldr, ldi)
        for k in range(start[i], start[i + 1]):
            q, t = near[k], two * real[k]
            hur, hui, hdr, hdi = hop(here, q, t, hur, hui, hdr, hdi)
            mur, mui, mdr, mdi = hop(over, q, t, mur, mui, mdr, mdi)
        if len(imag) > 0:
            for k in range(start[i], start[i + 1]):
                q, t = near[k], two * imag[k]
                hur, hui, hdr, hdi = twist(here, q, t, hur, hui, hdr, hdi)
                mur, mui, mdr, mdi = twist(over, q, t, mur, mui, mdr, mdi)
        if spin is not None:
            for k in range(start[i], start[i + 1]):
                hur, hui, hdr, hdi = turn(here, near[k], spin, k, two, hur, hui, hdr, hdi)
                mur, mui, mdr, mdi = turn(over, near[k], spin, k, two, mur, mui, mdr, mdi)
        if len(pairs) > 0:
            add_pairs(here, over, p, start[i], start[i + 1], near, bond, spin, 1.0, pairs)
        kur, kui, kdr, kdi = rows(back, p)
        hur, hui, hdr, hdi = fma(-one, kur, hur), fma(-one, kui, hui), fma(-one, kdr, hdr), fma(-one, kdi, hdi)
        put(back, p, hur, hui, hdr, hdi)
        nur, nui, ndr, ndi = rows(under, p)
        mur = fma(h, hur, fma(g, kur, fma(f, ur, fma(-one, nur, mur))))
        mui = fma(h, hui, fma(g, kui, fma(f, ui, fma(-one, nui, mui))))
        mdr = fma(h, hdr, fma(g, kdr, fma(f, dr, fma(-one, ndr, mdr))))
        mdi = fma(h, hdi, fma(g, kdi, fma(f, di, fma(-one, ndi, mdi))))
        put(under, p, mur, mui, mdr, mdi)


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
    spin: Array | None,
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
    site, start, near, real, imag, spin, far, wave
        As in :func:`forward`.
    bond : (K,) int
        Bond of every hopping entry that is asked for once, else -1.
    steps : int
        As there.
    coefficients : (2 steps + 1,) float64
        c_m.
    density : (N, 4) float64
        Tr[rho_ii], Tr[sigma rho_ii], added to.
    pairs : (n_bonds, 2) or (n_bonds, 8) float64, or of length 0
        Real and imaginary part of the spin trace of rho_ij on the bonds, and of its differences and flips as
        :func:`~spinase.electrons.chebyshev.spinors.add_pair_spin` has them; added to.
    """
    block, reach, depth = wave
    blocks = (len(site) + block - 1) // block
    sites = len(site)
    c = coefficients
    at, before = (even, odd) if steps % 2 == 0 else (odd, even)
    mix(scratch[0], at, before, 4.0 * c[2 * steps], 2.0 * c[2 * steps - 1])
    scratch[1][:] = 0.0
    back_to_one = c[1]
    for m in range(1, steps):
        back_to_one -= c[2 * m + 1]
    if steps == 1:  # a_1 alone: its multiplier also holds the first moment
        mix(scratch[0], at, before, 4.0 * c[2], c[1])
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
                    back, here, under, over, site, start, near, real, imag, spin, far, bond, factors, low, high,
                    density, pairs,
                )  # fmt: skip
    over = scratch[0] if (steps - 1) % 2 == 0 else scratch[1]
    contract(even, over, start, near, bond, spin, density, pairs)
