"""The Chebyshev recursion on blocks of spinor columns, and its adjoint.

A block is a flat array [site][up re, up im, down re, down im][LANES columns].  One pass does w <- 2 H v - w and the two
scalar products that give the moments; the adjoint pass runs the recursion backwards together with that of the
multipliers, and contracts the two to the density on the operator's pattern.  Several steps may follow each other through
the sites as a wave (`depth`), so that a large block is read from memory once for all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from spinase.electrons.kernels.simd import LANES, fma, load, prefetch, scale, store, total

Array = NDArray[Any]

SPINOR = 4 * LANES
"""Numbers of a site in a block."""

_AHEAD = 16  # sites between a row's prefetch and its use
_FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
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
    """new <- 2 H old - new (H old if `opening`) on sites first..last-1; (old.old, new.old) there."""
    one = real.dtype.type(1.0)
    two = one if opening else one + one
    norm, cross = 0.0, 0.0
    ahead = len(far) > 0
    twisted = len(imag) > 0
    for i in range(first, last):
        if ahead:
            m = min(i + _AHEAD, len(site) - 1)
            q, r = far[m], m * SPINOR
            for c in range(0, SPINOR, LANES):
                prefetch(old, q + c)
                prefetch(new, r + c)
        p = i * SPINOR
        plus, minus = two * (site[i, 0] + site[i, 3]), two * (site[i, 0] - site[i, 3])
        x, y = two * site[i, 1], two * site[i, 2]
        ur, ui = load(old, p), load(old, p + LANES)
        dr, di = load(old, p + 2 * LANES), load(old, p + 3 * LANES)
        hur, hui = fma(y, di, fma(x, dr, scale(plus, ur))), fma(-y, dr, fma(x, di, scale(plus, ui)))
        hdr, hdi = fma(-y, ui, fma(x, ur, scale(minus, dr))), fma(y, ur, fma(x, ui, scale(minus, di)))
        if not opening:
            hur, hui = fma(-one, load(new, p), hur), fma(-one, load(new, p + LANES), hui)
            hdr, hdi = fma(-one, load(new, p + 2 * LANES), hdr), fma(-one, load(new, p + 3 * LANES), hdi)
        for k in range(start[i], start[i + 1]):
            t, q = two * real[k], near[k]
            hur, hui = fma(t, load(old, q), hur), fma(t, load(old, q + LANES), hui)
            hdr, hdi = fma(t, load(old, q + 2 * LANES), hdr), fma(t, load(old, q + 3 * LANES), hdi)
        if twisted:
            for k in range(start[i], start[i + 1]):
                t, q = two * imag[k], near[k]
                hur, hui = fma(-t, load(old, q + LANES), hur), fma(t, load(old, q), hui)
                hdr, hdi = fma(-t, load(old, q + 3 * LANES), hdr), fma(t, load(old, q + 2 * LANES), hdi)
        store(new, p, hur)
        store(new, p + LANES, hui)
        store(new, p + 2 * LANES, hdr)
        store(new, p + 3 * LANES, hdi)
        norm += total(fma(di, di, fma(dr, dr, fma(ui, ui, scale(ur, ur)))))
        cross += total(fma(di, hdi, fma(dr, hdr, fma(ui, hui, scale(ur, hur)))))
    return norm, cross


@njit(nogil=True, cache=True)
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
    """a_1 .. a_steps from a_0 in `even`; a_m ends in `even` or `odd` by the parity of m.

    Parameters
    ----------
    site : (N, 4)
        Rescaled site blocks: scalar part, x, y, z.
    start, near, real, imag
        Rows of the rescaled hopping: row i has entries start[i]..start[i+1]-1 at offsets `near` (site * SPINOR), with
        amplitudes real + i imag; `imag` is empty if all are real.
    far : (N,) or empty
        Offset of the neighbour to prefetch.
    steps : int
    wave : (block, reach, depth)
        Sites of a block of the wave, blocks between two steps (neighbours are nearer), steps that follow each other.

    Returns
    -------
    norms, crosses : (steps,)
        a_m.a_m and a_{m+1}.a_m, m = 0..steps-1.
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


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
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
    """One adjoint step on sites first..last-1.

    `here` is a_m, `back` a_{m+1} (becomes a_{m-1}); `over` is the multiplier l_{m+1}, `under` l_{m+2} (becomes l_m):
        density += 2 Herm(a_m l_{m+1}+),   a_{m-1} = 2 H a_m - a_{m+1},
        l_m = 2 H l_{m+1} - l_{m+2} + factors . (a_m, a_{m+1}, a_{m-1}).
    """
    kind = real.dtype.type
    one, two = kind(1.0), kind(2.0)
    f, g, h = kind(factors[0]), kind(factors[1]), kind(factors[2])
    twisted, ahead = len(imag) > 0, len(far) > 0
    for i in range(first, last):
        if ahead:
            m = min(i + _AHEAD, len(site) - 1)
            q, r = far[m], m * SPINOR
            for c in range(0, SPINOR, LANES):
                prefetch(here, q + c)
                prefetch(over, q + c)
                prefetch(back, r + c)
                prefetch(under, r + c)
        p = i * SPINOR
        plus, minus = two * (site[i, 0] + site[i, 3]), two * (site[i, 0] - site[i, 3])
        x, y = two * site[i, 1], two * site[i, 2]
        ur, ui = load(here, p), load(here, p + LANES)
        dr, di = load(here, p + 2 * LANES), load(here, p + 3 * LANES)
        lur, lui = load(over, p), load(over, p + LANES)
        ldr, ldi = load(over, p + 2 * LANES), load(over, p + 3 * LANES)
        up, down = total(fma(ui, lui, scale(ur, lur))), total(fma(di, ldi, scale(dr, ldr)))
        density[i, 0] += 2.0 * (up + down)
        density[i, 3] += 2.0 * (up - down)
        density[i, 1] += 2.0 * total(fma(ur, ldr, fma(ui, ldi, fma(dr, lur, scale(di, lui)))))
        density[i, 2] += 2.0 * total(fma(ur, ldi, fma(di, lur, scale(-one, fma(ui, ldr, scale(dr, lui))))))
        hur, hui = fma(y, di, fma(x, dr, scale(plus, ur))), fma(-y, dr, fma(x, di, scale(plus, ui)))
        hdr, hdi = fma(-y, ui, fma(x, ur, scale(minus, dr))), fma(y, ur, fma(x, ui, scale(minus, di)))
        mur, mui = fma(y, ldi, fma(x, ldr, scale(plus, lur))), fma(-y, ldr, fma(x, ldi, scale(plus, lui)))
        mdr, mdi = fma(-y, lui, fma(x, lur, scale(minus, ldr))), fma(y, lur, fma(x, lui, scale(minus, ldi)))
        for k in range(start[i], start[i + 1]):
            t, q = two * real[k], near[k]
            nur, nui = load(here, q), load(here, q + LANES)
            ndr, ndi = load(here, q + 2 * LANES), load(here, q + 3 * LANES)
            our, oui = load(over, q), load(over, q + LANES)
            odr, odi = load(over, q + 2 * LANES), load(over, q + 3 * LANES)
            hur, hui, hdr, hdi = fma(t, nur, hur), fma(t, nui, hui), fma(t, ndr, hdr), fma(t, ndi, hdi)
            mur, mui, mdr, mdi = fma(t, our, mur), fma(t, oui, mui), fma(t, odr, mdr), fma(t, odi, mdi)
            if twisted:
                s = two * imag[k]
                hur, hui, hdr, hdi = fma(-s, nui, hur), fma(s, nur, hui), fma(-s, ndi, hdr), fma(s, ndr, hdi)
                mur, mui, mdr, mdi = fma(-s, oui, mur), fma(s, our, mui), fma(-s, odi, mdr), fma(s, odr, mdi)
            if len(pairs) > 0 and bond[k] >= 0:
                a_l = fma(ur, our, fma(ui, oui, fma(dr, odr, scale(di, odi))))
                l_a = fma(lur, nur, fma(lui, nui, fma(ldr, ndr, scale(ldi, ndi))))
                pairs[bond[k], 0] += total(fma(one, a_l, l_a))
                a_l = fma(ui, our, fma(di, odr, scale(-one, fma(ur, oui, scale(dr, odi)))))
                l_a = fma(lui, nur, fma(ldi, ndr, scale(-one, fma(lur, nui, scale(ldr, ndi)))))
                pairs[bond[k], 1] += total(fma(one, a_l, l_a))
        kur, kui = load(back, p), load(back, p + LANES)
        kdr, kdi = load(back, p + 2 * LANES), load(back, p + 3 * LANES)
        hur, hui, hdr, hdi = fma(-one, kur, hur), fma(-one, kui, hui), fma(-one, kdr, hdr), fma(-one, kdi, hdi)
        store(back, p, hur)
        store(back, p + LANES, hui)
        store(back, p + 2 * LANES, hdr)
        store(back, p + 3 * LANES, hdi)
        mur = fma(h, hur, fma(g, kur, fma(f, ur, fma(-one, load(under, p), mur))))
        mui = fma(h, hui, fma(g, kui, fma(f, ui, fma(-one, load(under, p + LANES), mui))))
        mdr = fma(h, hdr, fma(g, kdr, fma(f, dr, fma(-one, load(under, p + 2 * LANES), mdr))))
        mdi = fma(h, hdi, fma(g, kdi, fma(f, di, fma(-one, load(under, p + 3 * LANES), mdi))))
        store(under, p, mur)
        store(under, p + LANES, mui)
        store(under, p + 2 * LANES, mdr)
        store(under, p + 3 * LANES, mdi)


@njit(nogil=True, cache=True)
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
    """Density (N, 4) and bond density (n_bonds, 2: re, im), added to: derivative of sum_m c_m mu_m by H.

    `even` and `odd` are as :func:`forward` left them after `steps` steps (they end as a_0 and a_1 or nearly so);
    `coefficients` are c_0 .. c_{2 steps} of the moments; `scratch` two more blocks.
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


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _mix(target: Array, one: Array, other: Array, first: float, second: float) -> None:
    """target = first * one + second * other."""
    kind = target.dtype.type
    f, g = kind(first), kind(second)
    for p in range(0, len(target), LANES):
        store(target, p, fma(f, load(one, p), scale(g, load(other, p))))


@njit(nogil=True, cache=True)
def contract_sites(one: Array, other: Array, sites: Array, result: Array) -> None:
    """result (n, 3) = the vector parts of Herm(one other+) on a few sites."""
    minus = one.dtype.type(-1.0)
    for n in range(len(sites)):
        p = sites[n] * SPINOR
        ur, ui, dr, di = load(one, p), load(one, p + LANES), load(one, p + 2 * LANES), load(one, p + 3 * LANES)
        lur, lui = load(other, p), load(other, p + LANES)
        ldr, ldi = load(other, p + 2 * LANES), load(other, p + 3 * LANES)
        result[n, 0] = total(fma(ur, ldr, fma(ui, ldi, fma(dr, lur, scale(di, lui)))))
        result[n, 1] = total(fma(ur, ldi, fma(di, lur, scale(minus, fma(ui, ldr, scale(dr, lui))))))
        result[n, 2] = total(fma(ui, lui, scale(ur, lur))) - total(fma(di, ldi, scale(dr, ldr)))


@njit(nogil=True, cache=True)
def add_scaled(target: Array, source: Array, factor: float) -> None:
    """target += factor * source."""
    f = target.dtype.type(factor)
    for p in range(0, len(target), LANES):
        store(target, p, fma(f, load(source, p), load(target, p)))


@njit(nogil=True, cache=True)
def square(block: Array) -> float:
    """block.block."""
    result = 0.0
    for p in range(0, len(block), LANES):
        row = load(block, p)
        result += total(scale(row, row))
    return result


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def contract(one: Array, other: Array, start: Array, near: Array, bond: Array, density: Array, pairs: Array) -> None:
    """density += Herm(one other+) on the site blocks (N, 4), pairs on the bonds (n_bonds, 2), summed over the columns."""
    minus = one.dtype.type(-1.0)
    for i in range(len(density)):
        p = i * SPINOR
        ur, ui, dr, di = load(one, p), load(one, p + LANES), load(one, p + 2 * LANES), load(one, p + 3 * LANES)
        lur, lui = load(other, p), load(other, p + LANES)
        ldr, ldi = load(other, p + 2 * LANES), load(other, p + 3 * LANES)
        up, down = total(fma(ui, lui, scale(ur, lur))), total(fma(di, ldi, scale(dr, ldr)))
        density[i, 0] += up + down
        density[i, 3] += up - down
        density[i, 1] += total(fma(ur, ldr, fma(ui, ldi, fma(dr, lur, scale(di, lui)))))
        density[i, 2] += total(fma(ur, ldi, fma(di, lur, scale(minus, fma(ui, ldr, scale(dr, lui))))))
        for k in range(start[i], start[i + 1]):
            if len(pairs) == 0 or bond[k] < 0:
                continue
            q = near[k]
            nur, nui, ndr, ndi = load(one, q), load(one, q + LANES), load(one, q + 2 * LANES), load(one, q + 3 * LANES)
            our, oui = load(other, q), load(other, q + LANES)
            odr, odi = load(other, q + 2 * LANES), load(other, q + 3 * LANES)
            a_l = fma(ur, our, fma(ui, oui, fma(dr, odr, scale(di, odi))))
            l_a = fma(lur, nur, fma(lui, nui, fma(ldr, ndr, scale(ldi, ndi))))
            pairs[bond[k], 0] += 0.5 * (total(a_l) + total(l_a))
            a_l = fma(ui, our, fma(di, odr, scale(minus, fma(ur, oui, scale(dr, odi)))))
            l_a = fma(lui, nur, fma(ldi, ndr, scale(minus, fma(lur, nui, scale(ldr, ndi)))))
            pairs[bond[k], 1] += 0.5 * (total(a_l) + total(l_a))
