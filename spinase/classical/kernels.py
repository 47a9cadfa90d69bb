"""Compiled loops over bonds that the pair terms share."""

from __future__ import annotations

import numpy as np

from spinase.compiled import njit
from spinase.typing import FloatArray, IntArray


@njit
def compressed_rows(first: IntArray, second: IntArray, sites: int) -> tuple[IntArray, IntArray, IntArray]:
    """Both directions of the bonds, row by row.

    Parameters
    ----------
    first, second : (n,) int64
        Sites of the bonds.
    sites : int
        N.

    Returns
    -------
    starts : (N + 1,) int64
        Row of site i: entries starts[i] .. starts[i + 1] - 1.
    neighbours : (2 n,) int64
        The other site.
    bonds : (2 n,) int64
        Bond + 1; negative where the bond is reversed.
    """
    starts = np.zeros(sites + 1, dtype=np.int64)
    for b in range(len(first)):
        starts[first[b] + 1] += 1
        starts[second[b] + 1] += 1
    for i in range(sites):
        starts[i + 1] += starts[i]
    place = starts[:-1].copy()
    neighbours, bonds = np.empty(2 * len(first), dtype=np.int64), np.empty(2 * len(first), dtype=np.int64)
    for b in range(len(first)):  # reversed bonds first: with bonds in order of their first site, rows are then ascending
        i = second[b]
        neighbours[place[i]], bonds[place[i]] = first[b], -b - 1
        place[i] += 1
    for b in range(len(first)):
        i = first[b]
        neighbours[place[i]], bonds[place[i]] = second[b], b + 1
        place[i] += 1
    return starts, neighbours, bonds


@njit
def by_row(bonds: IntArray, values: FloatArray) -> FloatArray:
    """Values of bonds (n,) for the entries of compressed rows, (2 n,): the same in both directions.

    Parameters
    ----------
    bonds : (2 n,) int64
        Bond + 1, negative where it is reversed (:func:`compressed_rows`).
    values : (n,)
        Bond by bond.
    """
    out = np.empty(len(bonds))
    for k in range(len(bonds)):
        out[k] = values[abs(bonds[k]) - 1]
    return out


@njit
def exchange_field(starts: IntArray, neighbours: IntArray, couplings: FloatArray, spins: FloatArray) -> FloatArray:
    """H_i = sum_j J_ij s_j, (N, 3), energy.

    `starts` (N + 1,), `neighbours` (n,): compressed rows; `couplings` J (n,), energy, by their entries; `spins` s (N, 3).

    Parameters
    ----------
    starts, neighbours : (N + 1,), (n,) int64
        Compressed rows: the neighbours of site i are ``neighbours[starts[i]:starts[i + 1]]``.
    couplings : (n,)
        J, energy, entry by entry.
    spins : (N, 3)
        Unit vectors s, or free ones.
    """
    out = np.empty_like(spins)
    for i in range(spins.shape[0]):
        x, y, z = 0.0, 0.0, 0.0
        for k in range(starts[i], starts[i + 1]):
            j, coupling = neighbours[k], couplings[k]
            x += coupling * spins[j, 0]
            y += coupling * spins[j, 1]
            z += coupling * spins[j, 2]
        out[i, 0], out[i, 1], out[i, 2] = x, y, z
    return out


@njit
def chiral_field(starts: IntArray, neighbours: IntArray, vectors: FloatArray, spins: FloatArray) -> FloatArray:
    """H_i = sum_j s_j x D_ij, (N, 3), energy; `vectors` D_ij = -D_ji (n, 3), energy: else as :func:`exchange_field`.

    Parameters
    ----------
    starts, neighbours : (N + 1,), (n,) int64
        Compressed rows.
    vectors : (n, 3)
        D, energy, from the site of the row to its neighbour.
    spins : (N, 3)
        s.
    """
    out = np.empty_like(spins)
    for i in range(spins.shape[0]):
        x, y, z = 0.0, 0.0, 0.0
        for k in range(starts[i], starts[i + 1]):
            j = neighbours[k]
            sx, sy, sz, dx, dy, dz = spins[j, 0], spins[j, 1], spins[j, 2], vectors[k, 0], vectors[k, 1], vectors[k, 2]
            x += sy * dz - sz * dy
            y += sz * dx - sx * dz
            z += sx * dy - sy * dx
        out[i, 0], out[i, 1], out[i, 2] = x, y, z
    return out


@njit
def tensor_field(starts: IntArray, neighbours: IntArray, tensors: FloatArray, spins: FloatArray) -> FloatArray:
    """H_i = sum_j J_ij s_j, (N, 3), energy; `tensors` J (n, 3, 3), energy: else as :func:`exchange_field`.

    Parameters
    ----------
    starts, neighbours : (N + 1,), (n,) int64
        Compressed rows.
    tensors : (n, 3, 3)
        J, energy, from the site of the row to its neighbour.
    spins : (N, 3)
        s.
    """
    out = np.zeros_like(spins)
    for i in range(spins.shape[0]):
        for k in range(starts[i], starts[i + 1]):
            j = neighbours[k]
            for a in range(3):
                out[i, a] += tensors[k, a, 0] * spins[j, 0] + tensors[k, a, 1] * spins[j, 1] + tensors[k, a, 2] * spins[j, 2]
    return out


@njit
def biquadratic_field(starts: IntArray, neighbours: IntArray, couplings: FloatArray, spins: FloatArray) -> FloatArray:
    """H_i = 2 sum_j K_ij (s_i.s_j) s_j, (N, 3), energy; `couplings` K (n,), energy: else as :func:`exchange_field`.

    Parameters
    ----------
    starts, neighbours : (N + 1,), (n,) int64
        Compressed rows.
    couplings : (n,)
        K, energy.
    spins : (N, 3)
        s.
    """
    out = np.empty_like(spins)
    for i in range(spins.shape[0]):
        x, y, z = 0.0, 0.0, 0.0
        for k in range(starts[i], starts[i + 1]):
            j = neighbours[k]
            sx, sy, sz = spins[j, 0], spins[j, 1], spins[j, 2]
            weight = 2.0 * couplings[k] * (spins[i, 0] * sx + spins[i, 1] * sy + spins[i, 2] * sz)
            x += weight * sx
            y += weight * sy
            z += weight * sz
        out[i, 0], out[i, 1], out[i, 2] = x, y, z
    return out


@njit
def overlaps(first: IntArray, second: IntArray, spins: FloatArray) -> FloatArray:
    """s_i.s_j on every bond, (n,); `first`, `second` (n,) its sites, `spins` s (N, 3).

    Parameters
    ----------
    first, second : (n,) int64
        Sites of the bonds.
    spins : (N, 3)
        s.
    """
    out = np.empty(len(first))
    for b in range(len(first)):
        i, j = first[b], second[b]
        out[b] = spins[i, 0] * spins[j, 0] + spins[i, 1] * spins[j, 1] + spins[i, 2] * spins[j, 2]
    return out


@njit
def pull(
    first: IntArray, second: IntArray, vectors: FloatArray, tension: FloatArray, sites: int
) -> tuple[FloatArray, FloatArray]:
    """Forces and virial of pair energies with t_b = dE/d(bond vector r_b), r_b from `first` to `second`.

        F_i += t_b,    F_j -= t_b,    W_ac = sum_b t_b,a r_b,c

    Parameters
    ----------
    first, second : (n,) int64
        Sites i and j.
    vectors : (n, 3)
        r_b, length.
    tension : (n, 3)
        t_b, energy/length.
    sites : int
        N.

    Returns
    -------
    forces : (N, 3)
        Energy/length.
    virial : (3, 3)
        dE/d(strain), energy.
    """
    forces, virial = np.zeros((sites, 3)), np.zeros((3, 3))
    for b in range(len(first)):
        i, j = first[b], second[b]
        for a in range(3):
            t = tension[b, a]
            forces[i, a] += t
            forces[j, a] -= t
            for c in range(3):
                virial[a, c] += t * vectors[b, c]
    return forces, virial


@njit
def central_pull(
    first: IntArray, second: IntArray, vectors: FloatArray, strength: FloatArray, sites: int
) -> tuple[FloatArray, FloatArray]:
    """As :func:`pull` for t_b = w_b r_b along the bonds; `strength` w (n,), energy/length^2.

    Parameters
    ----------
    first, second : (n,) int64
        Sites i and j.
    vectors : (n, 3)
        r_b, length.
    strength : (n,)
        w_b, energy/length^2.
    sites : int
        N.
    """
    forces, virial = np.zeros((sites, 3)), np.zeros((3, 3))
    for b in range(len(first)):
        i, j, w = first[b], second[b], strength[b]
        x, y, z = vectors[b, 0], vectors[b, 1], vectors[b, 2]
        forces[i, 0] += w * x
        forces[i, 1] += w * y
        forces[i, 2] += w * z
        forces[j, 0] -= w * x
        forces[j, 1] -= w * y
        forces[j, 2] -= w * z
        virial[0, 0] += w * x * x
        virial[0, 1] += w * x * y
        virial[0, 2] += w * x * z
        virial[1, 1] += w * y * y
        virial[1, 2] += w * y * z
        virial[2, 2] += w * z * z
    virial[1, 0], virial[2, 0], virial[2, 1] = virial[0, 1], virial[0, 2], virial[1, 2]
    return forces, virial
