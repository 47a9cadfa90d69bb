"""Heisenberg exchange, E = -sum_{i<j} J_ij s_i.s_j = -1/2 sum_{i!=j} J_ij s_i.s_j (each pair once)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spinase.classical.kernels import by_row, compressed_rows, exchange_field, overlaps
from spinase.classical.local_model import LocalModel, pair_model
from spinase.classical.terms import FrozenLocalTerm, PairTerm, at_first, pull_along_bonds
from spinase.geometry import Bonds
from spinase.given_pairs import Couplings
from spinase.pair_laws import PairLaw
from spinase.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Heisenberg(PairTerm):
    """Exchange with J_ij > 0 ferromagnetic; H_i = sum_j J_ij s_j.

    Attributes
    ----------
    law : PairLaw
        J by neighbour shell or by distance, energy.
    offset : bool
        Count energies from the ferromagnet: E = -sum J_ij (s_i.s_j - 1).  Fields and spin dynamics are the same; pairs of
        parallel spins then exert no force on the atoms, so a lattice potential fitted to the ferromagnet stays as it is.
    """

    law: PairLaw
    offset: bool = False

    def laws(self) -> tuple[PairLaw]:
        """J."""
        return (self.law,)

    def on(self, couplings: Sequence[Couplings], sites: int) -> FrozenHeisenberg:
        """The term on bonds with J."""
        return FrozenHeisenberg(*couplings[0], sites, self.offset)


@dataclass(frozen=True, eq=False)
class FrozenHeisenberg(FrozenLocalTerm):
    """Exchange on a geometry."""

    bonds: Bonds
    couplings: FloatArray
    slopes: FloatArray
    sites: int
    offset: bool = False

    @cached_property
    def rows(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Starts, neighbours and couplings: those of site i are at ``starts[i]:starts[i + 1]``."""
        starts, neighbours, bonds = compressed_rows(self.bonds.first, self.bonds.second, self.sites)
        return starts, neighbours, by_row(bonds, self.couplings)

    def _reference(self, lengths: FloatArray) -> FloatArray | float:
        """1 on bonds of magnetic sites if energies count from the ferromagnet, else 0."""
        if not self.offset:
            return 0.0
        both = (lengths[self.bonds.first] > 0.0) & (lengths[self.bonds.second] > 0.0)
        return both.astype(np.float64)

    def _overlap(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """s_i.s_j on every bond, or from the ferromagnet."""
        aligned = overlaps(self.bonds.first, self.bonds.second, np.ascontiguousarray(spins))
        return np.asarray(aligned - self._reference(lengths))

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = -sum J s_i.s_j, or from the ferromagnet."""
        return -float(self.couplings @ self._overlap(spins, lengths))

    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """-J s_i.s_j at the first sites."""
        return at_first(self.bonds, -self.couplings * self._overlap(spins, lengths), len(spins))

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = sum_j J_ij s_j."""
        return exchange_field(*self.rows, np.ascontiguousarray(spins))

    def lattice(self, spins: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """From dE/d(bond length) = -J'(r) s_i.s_j."""
        return pull_along_bonds(self.bonds, -self.slopes * self._overlap(spins, lengths), len(spins))

    def local_model(self, lengths: FloatArray) -> LocalModel:
        """J times the unit matrix on every pair."""
        return pair_model(self.sites, self.bonds.first, self.bonds.second, self.couplings[:, None, None] * np.eye(3))
