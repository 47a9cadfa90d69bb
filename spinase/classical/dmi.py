"""Dzyaloshinskii-Moriya interaction, E = -sum_{i<j} D_ij.(s_i x s_j).

D_ij = D e_ij (bulk, along the bond) or D n x e_ij (interfacial, n the normal), with e_ij the unit vector from i to j.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spinase.classical.kernels import chiral_field, compressed_rows
from spinase.classical.local_model import LocalModel, pair_model
from spinase.classical.terms import FrozenLocalTerm, PairTerm, at_first, pull_on_bonds
from spinase.geometry import Bonds
from spinase.given_pairs import Couplings
from spinase.pair_laws import PairLaw
from spinase.spin_algebra import cross
from spinase.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class DzyaloshinskiiMoriya(PairTerm):
    """DMI; H_i = sum_j s_j x D_ij.

    Attributes
    ----------
    law : PairLaw
        D by neighbour shell or by distance, energy.
    normal : (3,) or None
        Unit normal n of an interfacial DMI; None: bulk DMI along the bonds.
    """

    law: PairLaw
    normal: FloatArray | None = None

    def laws(self) -> tuple[PairLaw]:
        """D."""
        return (self.law,)

    def on(self, couplings: Sequence[Couplings], sites: int) -> FrozenDMI:
        """The term on bonds with D."""
        return FrozenDMI(*couplings[0], self.normal, sites)


@dataclass(frozen=True, eq=False)
class FrozenDMI(FrozenLocalTerm):
    """DMI on a geometry."""

    bonds: Bonds
    couplings: FloatArray
    slopes: FloatArray
    normal: FloatArray | None
    sites: int

    @cached_property
    def rows(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Starts, neighbours and D_ij (n, 3) of every site; D_ji = -D_ij."""
        starts, neighbours, bonds = compressed_rows(self.bonds.first, self.bonds.second, self.sites)
        return starts, neighbours, np.sign(bonds)[:, None] * self.vectors[np.abs(bonds) - 1]

    @cached_property
    def units(self) -> FloatArray:
        """e_ij of every bond, (n, 3)."""
        return self.bonds.vectors / self.bonds.distances[:, None]

    @cached_property
    def vectors(self) -> FloatArray:
        """D_ij of every bond, energy, (n, 3)."""
        return self.couplings[:, None] * (self.units if self.normal is None else np.cross(self.normal, self.units))

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = -sum D_ij.(s_i x s_j)."""
        return -float(np.sum(self._products(spins)))

    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """-D_ij.(s_i x s_j) at the first sites."""
        return at_first(self.bonds, -self._products(spins).sum(axis=1), len(spins))

    def _products(self, spins: FloatArray) -> FloatArray:
        """D_ij and s_i x s_j, component by component, (n, 3)."""
        return self.vectors * cross(spins[self.bonds.first], spins[self.bonds.second])

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = sum_j s_j x D_ij."""
        return chiral_field(*self.rows, np.ascontiguousarray(spins))

    def lattice(self, spins: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """E_b = -D(r) e.A with A = s_i x s_j (bulk) or (s_i x s_j) x n: both D and the direction e depend on r."""
        chirality = cross(spins[self.bonds.first], spins[self.bonds.second])
        axial = chirality if self.normal is None else np.cross(chirality, self.normal)
        unit = self.units
        along = np.einsum("ba,ba->b", unit, axial)[:, None]
        turning = (self.couplings / self.bonds.distances)[:, None] * (axial - along * unit)
        return pull_on_bonds(self.bonds, -self.slopes[:, None] * along * unit - turning, len(spins))

    def local_model(self, lengths: FloatArray) -> LocalModel:
        """The antisymmetric matrix of D on every pair: s_i.J s_j = D.(s_i x s_j)."""
        return pair_model(self.sites, self.bonds.first, self.bonds.second, np.cross(self.vectors[:, None, :], np.eye(3)))
