r"""Hamiltonian and velocities of electrons with spin as sparse matrices, at a Bloch vector.

With r the position, :math:`v = \frac{i}{\hbar}[H, r]`, so every hopping carries its bond vector:
:math:`(v_a)_{ij} = \frac{i}{\hbar} H_{ij}\,(r_j - r_i)_a`, and site blocks carry nothing.  Here hbar = 1.
Basis as in :mod:`spinase.electrons.operator`: site-major, spin inside.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from spinase.electrons.operator import SpinOperator
from spinase.errors import ModelError
from spinase.geometry import Geometry
from spinase.typing import ComplexArray, IntArray


def hamiltonian_matrix(operator: SpinOperator, bloch: ArrayLike = (0.0, 0.0, 0.0)) -> csr_array:
    """H as a sparse (2N, 2N) matrix, energy.

    Parameters
    ----------
    operator : SpinOperator
        Hopping, site blocks.
    bloch : (3,)
        Bloch vector in parts of the reciprocal cell vectors: a bond that crosses the cell by S carries exp(2 pi i k.S).
    """
    up = 2 * np.arange(len(operator))
    x, y, z = operator.exchange.T
    rows = np.concatenate([up, up + 1, up, up + 1])
    columns = np.concatenate([up, up + 1, up + 1, up])
    blocks = np.concatenate([operator.onsite + z, operator.onsite - z, x - 1j * y, x + 1j * y])
    size = 2 * len(operator)
    return csr_array((blocks, (rows, columns)), shape=(size, size)) + _hopping(operator, _carried(operator, bloch))


def velocity_matrices(
    operator: SpinOperator, axes: Sequence[int] = (0, 1, 2), bloch: ArrayLike = (0.0, 0.0, 0.0)
) -> list[csr_array]:
    """Velocities along Cartesian `axes` as sparse (2N, 2N) matrices, energy times length over hbar.

    Parameters
    ----------
    operator : SpinOperator
        Hopping and bonds.
    axes : sequence of int
        0, 1, 2 for x, y, z.
    bloch : (3,)
        Bloch vector in parts of the reciprocal cell vectors.
    """
    carried = _carried(operator, bloch)
    return [_hopping(operator, 1j * carried * operator.bonds.vectors[:, axis, None, None]) for axis in axes]


def periodic_extent(geometry: Geometry) -> float:
    """Length, area or volume that the periodic cell vectors span, length^d with d periodic directions.

    Raises
    ------
    ModelError
        If no direction is periodic: a piece with ends has no conductivity.
    """
    frame = geometry.cell[geometry.pbc]
    if not len(frame):
        raise ModelError("a conductivity needs a periodic direction, and the magnet has none: set pbc and the cell")
    return float(np.sqrt(np.linalg.det(frame @ frame.T)))


def carrying_axes(geometry: Geometry) -> IntArray:
    """Cartesian axes (0, 1, 2) along which a periodic cell vector has a part."""
    frame = geometry.cell[geometry.pbc]
    return np.flatnonzero(np.abs(frame).max(axis=0, initial=0.0) > 1e-9 * np.abs(frame).max(initial=0.0))


def _carried(operator: SpinOperator, bloch: ArrayLike) -> ComplexArray:
    """Hopping of the bonds with Bloch phases: blocks (n_bonds, 2, 2), or (n_bonds, 1, 1) where both spins are alike."""
    phases = np.exp(2j * np.pi * (operator.bonds.shifts @ np.asarray(bloch, dtype=np.float64)))
    entries = operator.bond_entries()
    blocks = entries[:, None, None] if entries.ndim == 1 else entries
    return np.asarray(blocks * phases[:, None, None], dtype=np.complex128)


def _hopping(operator: SpinOperator, amplitudes: ComplexArray) -> csr_array:
    """Bonds (n_bonds, 2, 2) or (n_bonds, 1, 1) and their adjoints; images of one pair add up."""
    first, second = 2 * operator.bonds.first, 2 * operator.bonds.second
    turning = amplitudes.shape[1:] == (2, 2)
    spins = [(0, 0), (1, 1), (0, 1), (1, 0)] if turning else [(0, 0), (1, 1)]
    there = [amplitudes[:, s, r] if turning else amplitudes[:, 0, 0] for s, r in spins]
    rows = np.concatenate([*(first + s for s, _ in spins), *(second + r for _, r in spins)])
    columns = np.concatenate([*(second + r for _, r in spins), *(first + s for s, _ in spins)])
    entries = np.concatenate([*there, *(part.conj() for part in there)])
    size = 2 * len(operator)
    return csr_array((entries, (rows, columns)), shape=(size, size))
