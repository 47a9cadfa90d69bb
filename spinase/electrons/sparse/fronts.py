"""Moving entries between the sparse operator and the dense fronts of a selected inversion.

Orbitals are site-major, spin inside: orbital 2 i + s of front-local site i.  The first axis of every array is the pole.
"""

from __future__ import annotations

import numpy as np

from spinase.compiled import njit
from spinase.typing import Array, IntArray


@njit(nogil=True)
def assemble(front: Array, shifts: Array, blocks: Array, rows: IntArray, columns: IntArray, values: Array) -> None:
    """front[k] += H - p_k 1 on the own sites, plus hopping between local sites.

    Parameters
    ----------
    front : (K, n, n) complex
        One matrix for every pole, n = 2 * local sites.
    shifts : (K,) complex
        Poles p_k, energy.
    blocks : (own, 2, 2) complex
        Site blocks of the first `own` local sites, energy.
    rows, columns, values : (B,) int, int, complex
        H_ij, energy, the same for both spins; H_ji is its conjugate.
    """
    for k in range(len(front)):
        matrix = front[k]
        for i in range(len(blocks)):
            for a in range(2):
                for b in range(2):
                    matrix[2 * i + a, 2 * i + b] += blocks[i, a, b]
                matrix[2 * i + a, 2 * i + a] -= shifts[k]
        for n in range(len(rows)):
            for a in range(2):
                i, j = 2 * rows[n] + a, 2 * columns[n] + a
                matrix[i, j] += values[n]
                matrix[j, i] += values[n].conjugate()


@njit(nogil=True)
def assemble_blocks(front: Array, shifts: Array, blocks: Array, rows: IntArray, columns: IntArray, values: Array) -> None:
    """As :func:`assemble`, with hopping that turns spins.

    Parameters
    ----------
    front : (K, n, n) complex
        One matrix for every pole, n = 2 * local sites.
    shifts : (K,) complex
        Poles p_k, energy.
    blocks : (own, 2, 2) complex
        Site blocks of the first `own` local sites, energy.
    rows, columns, values : (B,) int, int, (B, 2, 2) complex
        H_ij, energy; H_ji is its adjoint.
    """
    for k in range(len(front)):
        matrix = front[k]
        for i in range(len(blocks)):
            for a in range(2):
                for b in range(2):
                    matrix[2 * i + a, 2 * i + b] += blocks[i, a, b]
                matrix[2 * i + a, 2 * i + a] -= shifts[k]
        for n in range(len(rows)):
            for a in range(2):
                for b in range(2):
                    i, j = 2 * rows[n] + a, 2 * columns[n] + b
                    matrix[i, j] += values[n, a, b]
                    matrix[j, i] += values[n, a, b].conjugate()


@njit(nogil=True)
def scatter_add(front: Array, update: Array, places: IntArray) -> None:
    """front[:, places, places] += update; front (K, n, n), places (m,), update (K, m, m).

    Parameters
    ----------
    front : (K, n, n) complex
        Added to.
    update : (K, m, m) complex
        What comes from a child, on its border.
    places : (m,) int
        Rows and columns of the front, each once.
    """
    for k in range(len(front)):
        for a in range(len(places)):
            row = front[k, places[a]]
            for b in range(len(places)):
                row[places[b]] += update[k, a, b]


@njit(nogil=True)
def gather(front: Array, places: IntArray, result: Array) -> None:
    """result = front[:, places, places]; front (K, n, n), places (m,), result (K, m, m).

    Parameters
    ----------
    front : (K, n, n) complex
        Read.
    places : (m,) int
        Rows and columns of it.
    result : (K, m, m) complex
        Written.
    """
    for k in range(len(front)):
        for a in range(len(places)):
            row = front[k, places[a]]
            for b in range(len(places)):
                result[k, a, b] = row[places[b]]


@njit(nogil=True)
def collect_sites(front: Array, own: IntArray, result: Array) -> None:
    """result[:, own] = 2x2 blocks G_ii of the first len(own) local sites; front (K, n, n), own (m,), result (K, N, 2, 2).

    Parameters
    ----------
    front : (K, n, n) complex
        G of the front, n = 2 * local sites.
    own : (m,) int
        Sites of the magnet that its first m local sites are.
    result : (K, N, 2, 2) complex
        Written at those sites.
    """
    for k in range(len(front)):
        for i in range(len(own)):
            for a in range(2):
                for b in range(2):
                    result[k, own[i], a, b] = front[k, 2 * i + a, 2 * i + b]


@njit(nogil=True)
def collect_bonds(front: Array, bonds: IntArray, rows: IntArray, columns: IntArray, result: Array) -> None:
    """result[:, bonds] = (Tr_spin G_ij, Tr_spin G_ji) for bonds between local sites i = rows, j = columns.

    front (K, n, n), bonds, rows, columns (B,), result (K, n_bonds, 2).

    Parameters
    ----------
    front : (K, n, n) complex
        G of the front.
    bonds, rows, columns : (B,) int
        Numbers of the bonds, and local sites of their ends.
    result : (K, n_bonds, 2) complex
        Written at those bonds.
    """
    for k in range(len(front)):
        for n in range(len(bonds)):
            i, j = 2 * rows[n], 2 * columns[n]
            result[k, bonds[n], 0] = front[k, i, j] + front[k, i + 1, j + 1]
            result[k, bonds[n], 1] = front[k, j, i] + front[k, j + 1, i + 1]


@njit(nogil=True)
def collect_bond_blocks(front: Array, bonds: IntArray, rows: IntArray, columns: IntArray, result: Array) -> None:
    """result[:, bonds] = (G_ij, G_ji) for bonds between local sites i = rows, j = columns.

    front (K, n, n), bonds, rows, columns (B,), result (K, n_bonds, 2, 2, 2).

    Parameters
    ----------
    front : (K, n, n) complex
        G of the front.
    bonds, rows, columns : (B,) int
        Numbers of the bonds, and local sites of their ends.
    result : (K, n_bonds, 2, 2, 2) complex
        Written at those bonds.
    """
    for k in range(len(front)):
        for n in range(len(bonds)):
            i, j = 2 * rows[n], 2 * columns[n]
            for a in range(2):
                for b in range(2):
                    result[k, bonds[n], 0, a, b] = front[k, i + a, j + b]
                    result[k, bonds[n], 1, a, b] = front[k, j + a, i + b]


@njit(nogil=True, fastmath={"contract", "reassoc", "nsz"})
def invert_small(matrices: Array, inverses: Array, logs: Array) -> None:
    """inverses[k] = matrices[k]^-1 by Gauss-Jordan without pivoting, logs[k] += sum of the logarithms of the pivots.

    matrices, inverses (K, n, n) and logs (K,) complex.  Every pivot of H - p has an imaginary part of the sign of -Im p, so
    the sum of principal logarithms is that of the eigenvalues: log det without an ambiguity of 2 pi i.

    Parameters
    ----------
    matrices : (K, n, n) complex
        Overwritten.
    inverses : (K, n, n) complex
        Written.
    logs : (K,) complex
        Added to.
    """
    n = matrices.shape[1]
    re, im = np.empty((n, n), matrices.real.dtype), np.empty((n, n), matrices.real.dtype)
    row_re, row_im = np.empty(n, matrices.real.dtype), np.empty(n, matrices.real.dtype)
    for k in range(len(matrices)):
        for i in range(n):
            for j in range(n):
                re[i, j], im[i, j] = matrices[k, i, j].real, matrices[k, i, j].imag
        for pivot in range(n):
            value = complex(re[pivot, pivot], im[pivot, pivot])
            logs[k] += np.log(value)
            factor = 1.0 / value
            u, v = re.dtype.type(factor.real), re.dtype.type(factor.imag)
            re[pivot, pivot], im[pivot, pivot] = 1.0, 0.0
            for j in range(n):
                row_re[j] = re[pivot, j] * u - im[pivot, j] * v
                row_im[j] = re[pivot, j] * v + im[pivot, j] * u
            for i in range(n):
                x, y = re[i, pivot], im[i, pivot]
                re[i, pivot], im[i, pivot] = 0.0, 0.0
                for j in range(n):
                    re[i, j] -= x * row_re[j] - y * row_im[j]
                    im[i, j] -= x * row_im[j] + y * row_re[j]
            for j in range(n):
                re[pivot, j], im[pivot, j] = row_re[j], row_im[j]
        for i in range(n):
            for j in range(n):
                inverses[k, i, j] = complex(re[i, j], im[i, j])
