"""Sums over the columns of blocks: norms, linear combinations, densities on the pattern of an operator.

Blocks as in :mod:`spinase.electrons.chebyshev.spinors`.
"""

from __future__ import annotations

from spinase.compiled import njit
from spinase.compiled.rows import LANES, fma, load, scale, store, total
from spinase.electrons.chebyshev.spinors import FAST, SPINOR, add_pairs, rows, vector
from spinase.typing import Array


@njit(nogil=True, error_model="numpy", fastmath=FAST)
def mix(target: Array, one: Array, other: Array, first: float, second: float) -> None:
    """target = first one + second other; blocks (N * SPINOR,).

    Parameters
    ----------
    target, one, other : (N * SPINOR,) float32 or float64
        Blocks of columns, the first written.
    first, second : float
        Real.
    """
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
        ur, ui, dr, di = rows(one, p)
        lur, lui, ldr, ldi = rows(other, p)
        result[n, 0], result[n, 1], result[n, 2], result[n, 3] = vector(ur, ui, dr, di, lur, lui, ldr, ldi)


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


@njit(nogil=True, error_model="numpy", fastmath=FAST)
def contract(
    one: Array, other: Array, start: Array, near: Array, bond: Array, spin: Array | None, density: Array, pairs: Array
) -> None:
    """Herm(one other+), summed over the columns, added to `density` (N, 4) of sites and `pairs` of bonds.

    Blocks (N * SPINOR,); `start` (N + 1,), `near`, `bond` (K,) as in :func:`adjoint`.

    Parameters
    ----------
    one, other : (N * SPINOR,) float32 or float64
        Blocks of columns.
    start, near, bond : (N + 1,), (K,), (K,) int
        Rows of neighbours, as in :func:`adjoint`.
    spin : (K, 6) or None
        What turns spins; None: both are alike on all bonds.
    density : (N, 4) float64
        Charge and spin of the sites, added to.
    pairs : (n_bonds, 2) or (n_bonds, 8) float64, or of length 0
        Real and imaginary part of the spin trace on the bonds, and of what
        :func:`~spinase.electrons.chebyshev.spinors.add_pair_spin` adds; added to.
    """
    for i in range(len(density)):
        p = i * SPINOR
        ur, ui, dr, di = rows(one, p)
        lur, lui, ldr, ldi = rows(other, p)
        charge, sx, sy, sz = vector(ur, ui, dr, di, lur, lui, ldr, ldi)
        density[i, 0] += charge
        density[i, 1] += sx
        density[i, 2] += sy
        density[i, 3] += sz
        if len(pairs) > 0:
            add_pairs(one, other, p, start[i], start[i + 1], near, bond, spin, 0.5, pairs)
