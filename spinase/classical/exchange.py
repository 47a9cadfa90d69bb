"""Heisenberg exchange, E = -sum_{i<j} J_ij s_i.s_j = -1/2 sum_{i!=j} J_ij s_i.s_j (each pair once)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from spinase.classical.terms import FrozenTerm, Term, pull_on_bonds
from spinase.geometry import Bonds, Geometry
from spinase.pair_laws import PairLaw

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Heisenberg(Term):
    """Exchange with J_ij > 0 ferromagnetic; H_i = sum_j J_ij s_j.

    Attributes
    ----------
    law : PairLaw
        J by neighbour shell or by distance, energy.
    """

    law: PairLaw

    def freeze(self, geometry: Geometry) -> FrozenHeisenberg:
        """Both directions of every bond, row by row."""
        bonds, values, slopes = self.law.amplitudes(geometry)
        return FrozenHeisenberg(bonds, slopes, *neighbour_table(bonds, values, len(geometry)))


@dataclass(frozen=True, eq=False)
class FrozenHeisenberg(FrozenTerm):
    """Exchange on a geometry: neighbours of site i are ``neighbours[starts[i]:starts[i + 1]]``, couplings likewise."""

    bonds: Bonds
    slopes: FloatArray
    starts: IntArray
    neighbours: IntArray
    couplings: FloatArray

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = -1/2 sum_i s_i.H_i."""
        return -0.5 * float(np.einsum("ia,ia->", spins, self.gradient(spins, lengths)))

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = sum_j J_ij s_j."""
        return exchange_field(self.starts, self.neighbours, self.couplings, np.ascontiguousarray(spins))

    def lattice(self, spins: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """From dE/d(bond) = -J'(r) s_i.s_j along the bond."""
        overlap = np.einsum("ba,ba->b", spins[self.bonds.first], spins[self.bonds.second])
        tension = (-self.slopes * overlap / self.bonds.distances)[:, None] * self.bonds.vectors
        return pull_on_bonds(self.bonds, tension, len(spins))


def neighbour_table(bonds: Bonds, values: FloatArray, sites: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Compressed rows (starts, neighbours, couplings) over both directions of the bonds."""
    rows = np.concatenate([bonds.first, bonds.second])
    columns = np.concatenate([bonds.second, bonds.first])
    order = np.lexsort((columns, rows))
    starts = np.searchsorted(rows[order], np.arange(sites + 1)).astype(np.int64)
    return starts, columns[order], np.concatenate([values, values])[order]


@njit(cache=True)
def exchange_field(starts: IntArray, neighbours: IntArray, couplings: FloatArray, spins: FloatArray) -> FloatArray:
    """H_i = sum_j J_ij s_j over compressed rows, (N, 3)."""
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
