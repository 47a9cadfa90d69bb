"""Couplings of a layered device that turn spins, beside those of :mod:`spinase.electrons.transport.recursion`.

Blocks are stored as there: rows of real parts, then rows of imaginary parts, in flat float64 arrays.
"""

from __future__ import annotations

from spinase.compiled import njit
from spinase.compiled.rows import LANES, fma, load, store
from spinase.typing import Array

_FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def add_turned(
    rows: Array,
    columns: Array,
    values: Array,
    adjoint: bool,
    source: Array,
    from_: int,
    into: Array,
    sizes: tuple[int, int, int],
) -> None:
    """into += V source: values[b] (2, 2) takes the spinor at site columns[b] of `source` to site rows[b] of `into`.

    Parameters
    ----------
    rows, columns : (B,) int
        Sites.
    values : (B, 2, 2) complex128
        Energy.
    adjoint : bool
        Whether the adjoint of the values is meant.
    source, into : flat float64
        From `from_` and 0 on; the second is added to.
    from_ : int
        Where the source begins.
    sizes : (int, int, int)
        Orbitals of `source`, orbitals of `into`, numbers in a row (a multiple of LANES).
    """
    inner, outer, width = sizes
    for b in range(len(rows)):
        for s in range(2):
            for r in range(2):
                x, y = values[b, s, r].real, values[b, s, r].imag
                if adjoint:
                    x, y = values[b, r, s].real, -values[b, r, s].imag
                p, q = from_ + (2 * columns[b] + r) * width, (2 * rows[b] + s) * width
                p_im, q_im = p + inner * width, q + outer * width
                for c in range(0, width, LANES):
                    re, im = load(source, p + c), load(source, p_im + c)
                    store(into, q + c, fma(-y, im, fma(x, re, load(into, q + c))))
                    store(into, q_im + c, fma(y, re, fma(x, im, load(into, q_im + c))))


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def subtract_turned(
    block: Array, at: int, size: int, stride: int, half: Array, width: int, rows: Array, columns: Array, values: Array
) -> None:
    """block -= half V+ with half (size, width) complex from 0 on, and V as in :func:`add_turned`.

    Parameters
    ----------
    block : flat float64
        (size, size) from `at` on, rows of `stride` numbers; subtracted from.
    at, size, stride : int
        Where it begins, its orbitals, numbers in a row.
    half : flat float64
        V g.
    width : int
        Numbers in a row of `half`.
    rows, columns, values : (B,) int, int, (B, 2, 2) complex128
        V.
    """
    im, half_im = at + size * stride, size * width
    for i in range(size):
        for b in range(len(rows)):
            for s in range(2):
                for r in range(2):
                    x, y = values[b, s, r].real, -values[b, s, r].imag
                    j, k = i * stride + 2 * rows[b] + s, i * width + 2 * columns[b] + r
                    u, v = half[k], half[half_im + k]
                    block[at + j] -= u * x - v * y
                    block[im + j] -= u * y + v * x


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def add_turned_within(rows: Array, columns: Array, values: Array, green: Array, at: int, size: int, stride: int) -> None:
    """Subtract H_ij = values[b] (2, 2) and its adjoint H_ji from the block E - H of a layer.

    Parameters
    ----------
    rows, columns : (B,) int
        Sites i and j of the layer.
    values : (B, 2, 2) complex128
        Energy.
    green : flat float64
        E - H (size, size), from `at` on.
    at, size, stride : int
        Where it begins, its orbitals, numbers in a row.
    """
    im = at + size * stride
    for b in range(len(rows)):
        for s in range(2):
            for r in range(2):
                i, j = 2 * rows[b] + s, 2 * columns[b] + r
                x, y = values[b, s, r].real, values[b, s, r].imag
                green[at + i * stride + j] -= x
                green[im + i * stride + j] -= y
                green[at + j * stride + i] -= x
                green[im + j * stride + i] += y
