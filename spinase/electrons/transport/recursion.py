"""Dense blocks of the recursive Green's function: inverses, products, and the sparse couplings between layers.

A complex block of n rows is stored in a flat float64 array as n rows of real parts and n rows of imaginary parts, each
row `stride` numbers long (a multiple of LANES).  Offsets are in numbers.  Everything runs on rows of LANES numbers that stay
in registers (see :mod:`spinase.compiled.rows`), so that blocks of some ten orbitals run near the machine's peak.
"""

from __future__ import annotations

from spinase.compiled import njit
from spinase.compiled.rows import LANES, fma, load, scale, store
from spinase.typing import Array

PANEL = 4
"""Pivots that are eliminated together."""

_THRESHOLD = 16.0  # a pivot is exchanged if another is larger by the root of this
_FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def invert_block(block: Array, at: int, size: int, stride: int, work: Array, swaps: Array) -> None:
    """G = A^-1 in place: Gauss-Jordan, partial pivoting, PANEL pivots at a time.

    Parameters
    ----------
    block : flat float64
        A (size, size) complex, from `at` on: `size` rows of real parts, then `size` rows of imaginary parts.
    at, size, stride : int
        Offset, orbitals, and numbers in a row (a multiple of LANES); what is behind `size` in a row stays finite.
    work : (4 PANEL * stride,) float64
        Work space: columns of the panel (re, im), rows of the panel (re, im).
    swaps : (size,) int64
        Work space: row exchanges.

    A singular block gives infinities.
    """
    panel_im, rows_re, rows_im = PANEL * stride, 2 * PANEL * stride, 3 * PANEL * stride
    im = at + size * stride
    for start in range(0, size, PANEL):
        count = min(PANEL, size - start)
        work[:] = 0.0
        for k in range(count):
            for i in range(size):
                work[k * stride + i] = block[at + i * stride + start + k]
                work[panel_im + k * stride + i] = block[im + i * stride + start + k]
        _panel(block, at, size, stride, work, swaps, start, count)
        for k in range(count):  # rows of the panel, to be added to all others
            for c in range(0, stride, LANES):
                row = (start + k) * stride + c
                here = load(block, at + row)
                store(work, rows_re + k * stride + c, here)
                store(block, at + row, scale(0.0, here))
                here = load(block, im + row)
                store(work, rows_im + k * stride + c, here)
                store(block, im + row, scale(0.0, here))
        for c in range(0, stride, LANES):
            _add_rows(block, at, size, stride, work, c)
        for k in range(count):
            for i in range(size):
                block[at + i * stride + start + k] = work[k * stride + i]
                block[im + i * stride + start + k] = work[panel_im + k * stride + i]
    for p in range(size - 1, -1, -1):
        q = swaps[p]
        if q != p:
            for i in range(2 * size):
                one, two = at + i * stride + p, at + i * stride + q
                block[one], block[two] = block[two], block[one]


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _panel(block: Array, at: int, size: int, stride: int, work: Array, swaps: Array, start: int, count: int) -> None:
    """Gauss-Jordan on the columns start .. start + count - 1, rows of `work` (re from 0, im from PANEL * stride on).

    Pivot at p: the largest |a|^2 from row p on, unless that of p is large enough; rows are exchanged in `block`, too, as
    noted in `swaps` (size,).  With a_p = x + i y the pivot, the column becomes -a/a_p and 1/a_p at p.
    """
    im = PANEL * stride
    for k in range(count):
        p = start + k
        q, best = p, 0.0
        for i in range(p, size):
            square = work[k * stride + i] ** 2 + work[im + k * stride + i] ** 2
            if square > best:
                q, best = i, square
        if best <= _THRESHOLD * (work[k * stride + p] ** 2 + work[im + k * stride + p] ** 2):
            q = p
        swaps[p] = q
        if q != p:
            for j in range(2 * PANEL):
                work[j * stride + p], work[j * stride + q] = work[j * stride + q], work[j * stride + p]
            for base in (at, at + size * stride):
                _exchange_rows(block, base + p * stride, base + q * stride, stride)
        x, y = work[k * stride + p], work[im + k * stride + p]
        norm = 1.0 / (x * x + y * y)
        u, v = x * norm, -y * norm
        for j in range(count):
            if j == k:
                continue
            a, b = work[j * stride + p], work[im + j * stride + p]
            fx, fy = a * u - b * v, a * v + b * u
            for c in range(0, stride, LANES):
                _subtract(work, j * stride + c, im + j * stride + c, k * stride + c, im + k * stride + c, fx, fy)
            work[j * stride + p], work[im + j * stride + p] = fx, fy
        for c in range(0, stride, LANES):
            re, imaginary = load(work, k * stride + c), load(work, im + k * stride + c)
            store(work, k * stride + c, fma(v, imaginary, scale(-u, re)))
            store(work, im + k * stride + c, scale(-1.0, fma(v, re, scale(u, imaginary))))
        work[k * stride + p], work[im + k * stride + p] = u, v


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _exchange_rows(block: Array, one: int, two: int, stride: int) -> None:
    """Rows at offsets `one` and `two` of the flat `block` change places, `stride` numbers."""
    for c in range(0, stride, LANES):
        row = load(block, one + c)
        store(block, one + c, load(block, two + c))
        store(block, two + c, row)


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _subtract(work: Array, re: int, im: int, from_re: int, from_im: int, x: float, y: float) -> None:
    """Row at (re, im) minus (x + i y) times the row at (from_re, from_im)."""
    a, b = load(work, from_re), load(work, from_im)
    store(work, re, fma(y, b, fma(-x, a, load(work, re))))
    store(work, im, fma(-y, a, fma(-x, b, load(work, im))))


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _add_rows(block: Array, at: int, size: int, stride: int, work: Array, c: int) -> None:
    """A[:, c .. c + LANES - 1] += C R with the panel's columns C (size, PANEL) and rows R (PANEL, LANES), both in `work`."""
    im, panel_im = at + size * stride + c, PANEL * stride
    rows, rows_im = 2 * PANEL * stride + c, 3 * PANEL * stride + c
    a0, a1 = load(work, rows), load(work, rows + stride)
    a2, a3 = load(work, rows + 2 * stride), load(work, rows + 3 * stride)
    b0, b1 = load(work, rows_im), load(work, rows_im + stride)
    b2, b3 = load(work, rows_im + 2 * stride), load(work, rows_im + 3 * stride)
    for i in range(size):
        x0, x1, x2, x3 = work[i], work[stride + i], work[2 * stride + i], work[3 * stride + i]
        y0, y1 = work[panel_im + i], work[panel_im + stride + i]
        y2, y3 = work[panel_im + 2 * stride + i], work[panel_im + 3 * stride + i]
        place, place_im = at + i * stride + c, im + i * stride
        re, imaginary = load(block, place), load(block, place_im)
        re = fma(x3, a3, fma(x2, a2, fma(x1, a1, fma(x0, a0, re))))
        re = fma(-y3, b3, fma(-y2, b2, fma(-y1, b1, fma(-y0, b0, re))))
        imaginary = fma(x3, b3, fma(x2, b2, fma(x1, b1, fma(x0, b0, imaginary))))
        imaginary = fma(y3, a3, fma(y2, a2, fma(y1, a1, fma(y0, a0, imaginary))))
        store(block, place, re)
        store(block, place_im, imaginary)


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def multiply(
    left: Array, at: int, size: int, stride: int, right: Array, from_: int, target: Array, to: int, columns: int, used: int
) -> None:
    """target += left right, complex, real and imaginary rows as in :func:`invert_block`.

    Parameters
    ----------
    left : flat float64
        (size, size) from `at` on, rows of `stride` numbers.
    at, size, stride : int
        Where it begins, its orbitals (even), numbers in a row.
    right, target : flat float64
        (size, columns) from `from_` and `to` on; the second is added to.
    from_, to : int
        Where they begin.
    columns, used : int
        Numbers in a row of theirs, and how many of them count (a multiple of LANES).
    """
    im, from_im, to_im = at + size * stride, from_ + size * columns, to + size * columns
    for c in range(0, used, LANES):
        for i in range(0, size - 1, 2):  # two rows: their sums stay in registers
            one, two = at + i * stride, im + i * stride
            p, q = to + i * columns + c, to_im + i * columns + c
            re, imaginary = load(target, p), load(target, q)
            re2, imaginary2 = load(target, p + columns), load(target, q + columns)
            for k in range(size):
                a, b = load(right, from_ + k * columns + c), load(right, from_im + k * columns + c)
                x, y = left[one + k], left[two + k]
                re, imaginary = fma(-y, b, fma(x, a, re)), fma(y, a, fma(x, b, imaginary))
                x, y = left[one + stride + k], left[two + stride + k]
                re2, imaginary2 = fma(-y, b, fma(x, a, re2)), fma(y, a, fma(x, b, imaginary2))
            store(target, p, re)
            store(target, q, imaginary)
            store(target, p + columns, re2)
            store(target, q + columns, imaginary2)


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def add_coupled(
    rows: Array, columns: Array, values: Array, source: Array, from_: int, into: Array, to: int, sizes: tuple[int, int, int]
) -> None:
    """into += V source, row by row: values[b] joins site rows[b] of `into` with columns[b] of `source`, both spins alike.

    Parameters
    ----------
    rows, columns, values : (B,) int, int, complex128
        Bonds; orbital 2 rows[b] + s of `into` gets values[b] times orbital 2 columns[b] + s of `source`, s = 0, 1.
    source, into : flat float64
        From `from_` and `to` on, rows of real parts, then of imaginary parts; the second is added to.
    from_, to : int
        Where they begin.
    sizes : (int, int, int)
        Orbitals of `source`, orbitals of `into`, numbers in a row (a multiple of LANES).
    """
    inner, outer, width = sizes
    for b in range(len(values)):
        x, y = values[b].real, values[b].imag
        for s in range(2):
            p, q = from_ + (2 * columns[b] + s) * width, to + (2 * rows[b] + s) * width
            p_im, q_im = p + inner * width, q + outer * width
            for c in range(0, width, LANES):
                re, im = load(source, p + c), load(source, p_im + c)
                store(into, q + c, fma(-y, im, fma(x, re, load(into, q + c))))
                store(into, q_im + c, fma(y, re, fma(x, im, load(into, q_im + c))))


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def subtract_uniform(block: Array, at: int, green: Array, from_: int, numbers: int, factor: float) -> None:
    """block -= factor green, `numbers` numbers (a multiple of LANES) from `at` and `from_` on: |h|^2 g for V = h 1.

    Parameters
    ----------
    block, green : flat float64
        From `at` and `from_` on; the first is subtracted from.
    at, from_ : int
        Where they begin.
    numbers : int
        How many, a multiple of LANES.
    factor : float
        |h|^2, energy^2.
    """
    for c in range(0, numbers, LANES):
        store(block, at + c, fma(-factor, load(green, from_ + c), load(block, at + c)))


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def subtract_projected(
    block: Array, at: int, size: int, stride: int, half: Array, width: int, rows: Array, columns: Array, values: Array
) -> None:
    """block -= half V+ with half = V g (size, width) complex in a flat float64 array, and V as in :func:`add_coupled`.

    `block`: (size, size) from `at` on, rows of `stride` numbers, as in :func:`invert_block`.

    Parameters
    ----------
    block : flat float64
        (size, size) from `at` on, rows of `stride` numbers, as in :func:`invert_block`; subtracted from.
    at, size, stride : int
        Where it begins, its orbitals, numbers in a row.
    half : flat float64
        V g, (size, width) complex, from 0 on.
    width : int
        Numbers in a row of `half`.
    rows, columns, values : (B,) int, int, complex128
        V, as in :func:`add_coupled`.
    """
    im, half_im = at + size * stride, size * width
    for i in range(size):
        for b in range(len(values)):
            x, y = values[b].real, -values[b].imag
            for s in range(2):
                j, k = i * stride + 2 * rows[b] + s, i * width + 2 * columns[b] + s
                u, v = half[k], half[half_im + k]
                block[at + j] -= u * x - v * y
                block[im + j] -= u * y + v * x
