"""Density on a sparsity pattern from eigenvectors, one vector after the other so that each stays in cache."""

from __future__ import annotations

import numpy as np

from spinase.compiled import njit
from spinase.electrons.operator import split_blocks
from spinase.typing import Array, ComplexArray, FloatArray, IntArray

EMPTY = 1e-18
"""Occupations below this add less than round-off; levels are sorted, so the rest of a k-point is skipped."""


@njit
def spinor_density(
    vectors: Array,
    occupations: FloatArray,
    phases: ComplexArray,
    first: IntArray,
    second: IntArray,
) -> tuple[FloatArray, ComplexArray]:
    """Site blocks and bonds of rho = sum_km f_km v_km v_km^+ for spinors (spin inside).

    Parameters
    ----------
    vectors : (n_k, m, 2N) real or complex
        One eigenvector a row, ascending levels.
    occupations : (n_k, m)
        Occupation times the weight of the k-point.
    phases : (n_k, n_bonds)
        exp(-2 pi i k.S) of each bond.
    first, second : (n_bonds,)

    Returns
    -------
    sites : (N, 4)
        Tr rho_ii and Tr[sigma rho_ii].
    bonds : (n_bonds,)
        Sum over spin of rho_{first, second}.
    """
    points, count, size = vectors.shape
    sites = np.zeros((size // 2, 4))
    bonds = np.zeros(len(first), dtype=np.complex128)
    for k in range(points):
        here = np.zeros(len(first), dtype=np.complex128)
        for m in range(count):
            f = occupations[k, m]
            if f <= EMPTY:
                break
            v = vectors[k, m]
            for i in range(size // 2):
                up, down = v[2 * i], v[2 * i + 1]
                weight_up = up.real * up.real + up.imag * up.imag
                weight_down = down.real * down.real + down.imag * down.imag
                sites[i, 0] += f * (weight_up + weight_down)
                sites[i, 1] += 2.0 * f * (up.real * down.real + up.imag * down.imag)
                sites[i, 2] += 2.0 * f * (up.real * down.imag - up.imag * down.real)
                sites[i, 3] += f * (weight_up - weight_down)
            for b in range(len(first)):
                i, j = 2 * first[b], 2 * second[b]
                here[b] += f * (v[i] * np.conj(v[j]) + v[i + 1] * np.conj(v[j + 1]))
        for b in range(len(first)):
            bonds[b] += phases[k, b] * here[b]
    return sites, bonds


@njit
def scalar_density(
    vectors: Array,
    occupations: FloatArray,
    phases: ComplexArray,
    first: IntArray,
    second: IntArray,
) -> tuple[FloatArray, ComplexArray]:
    """As :func:`spinor_density` for one spin species: rho_ii (N,) and rho_{first, second} (n_bonds,).

    Parameters
    ----------
    vectors : (n_k, m, N) real or complex
        One eigenvector a row, ascending levels.
    occupations : (n_k, m)
        Occupation times the weight of the k-point.
    phases : (n_k, n_bonds)
        exp(-2 pi i k.S) of each bond.
    first, second : (n_bonds,)
        Ends of the bonds.
    """
    points, count, size = vectors.shape
    sites = np.zeros(size)
    bonds = np.zeros(len(first), dtype=np.complex128)
    for k in range(points):
        here = np.zeros(len(first), dtype=np.complex128)
        for m in range(count):
            f = occupations[k, m]
            if f <= EMPTY:
                break
            v = vectors[k, m]
            for i in range(size):
                sites[i] += f * (v[i].real * v[i].real + v[i].imag * v[i].imag)
            for b in range(len(first)):
                here[b] += f * (v[first[b]] * np.conj(v[second[b]]))
        for b in range(len(first)):
            bonds[b] += phases[k, b] * here[b]
    return sites, bonds


def block_density(
    vectors: Array, occupations: FloatArray, phases: ComplexArray, first: IntArray, second: IntArray
) -> tuple[FloatArray, ComplexArray, ComplexArray]:
    """As :func:`spinor_density`, with the spin of the bonds: by the whole density matrix, a product of matrices.

    Parameters
    ----------
    vectors : (n_k, m, 2N) complex
        One eigenvector a row.
    occupations : (n_k, m)
        Occupation times the weight of the k-point.
    phases : (n_k, n_bonds)
        exp(-2 pi i k.S) of each bond.
    first, second : (n_bonds,)
        Ends of the bonds.

    Returns
    -------
    sites : (N, 4)
        Tr rho_ii and Tr[sigma rho_ii].
    bonds : (n_bonds,)
        Tr rho_{first, second}.
    bond_spins : (n_bonds, 3)
        Tr[sigma rho_{first, second}].
    """
    points, sites = len(vectors), vectors.shape[2] // 2
    density = (vectors.mT * occupations[:, None, :]) @ vectors.conj()
    blocks = density.reshape(points, sites, 2, sites, 2)
    own, own_spin = split_blocks(np.einsum("kiaib->iab", blocks, optimize=True))
    pairs = np.einsum("nkab,kn->nab", blocks[:, first, :, second, :], phases, optimize=True).astype(np.complex128)
    return np.column_stack([own.real, own_spin.real]), *split_blocks(pairs)
