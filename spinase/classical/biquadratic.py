"""Biquadratic exchange, E = -sum_{i<j} K_ij (s_i.s_j)^2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spinase.classical.kernels import biquadratic_field, by_row, compressed_rows, overlaps
from spinase.classical.local_model import LocalModel, pair_model
from spinase.classical.terms import FrozenLocalTerm, PairTerm, at_first, pull_along_bonds
from spinase.geometry import Bonds
from spinase.given_pairs import Couplings
from spinase.pair_laws import PairLaw
from spinase.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Biquadratic(PairTerm):
    """Biquadratic exchange; K_ij > 0 favours collinear spins, H_i = 2 sum_j K_ij (s_i.s_j) s_j.

    Attributes
    ----------
    law : PairLaw
        K by neighbour shell or by distance, energy.
    """

    law: PairLaw

    def laws(self) -> tuple[PairLaw]:
        """K."""
        return (self.law,)

    def on(self, couplings: Sequence[Couplings], sites: int) -> FrozenBiquadratic:
        """The term on bonds with K."""
        return FrozenBiquadratic(*couplings[0], sites)


@dataclass(frozen=True, eq=False)
class FrozenBiquadratic(FrozenLocalTerm):
    """Biquadratic exchange on a geometry."""

    bonds: Bonds
    couplings: FloatArray
    slopes: FloatArray
    sites: int

    @cached_property
    def rows(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Starts, neighbours and couplings of every site."""
        starts, neighbours, bonds = compressed_rows(self.bonds.first, self.bonds.second, self.sites)
        return starts, neighbours, by_row(bonds, self.couplings)

    def _overlap(self, spins: FloatArray) -> FloatArray:
        return overlaps(self.bonds.first, self.bonds.second, np.ascontiguousarray(spins))

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = -sum K (s_i.s_j)^2."""
        return -float(self.couplings @ self._overlap(spins) ** 2)

    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """-K (s_i.s_j)^2 at the first sites."""
        return at_first(self.bonds, -self.couplings * self._overlap(spins) ** 2, len(spins))

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = 2 sum_j K_ij (s_i.s_j) s_j."""
        return biquadratic_field(*self.rows, np.ascontiguousarray(spins))

    def lattice(self, spins: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """From dE/d(bond length) = -K'(r) (s_i.s_j)^2."""
        return pull_along_bonds(self.bonds, -self.slopes * self._overlap(spins) ** 2, len(spins))

    def local_model(self, lengths: FloatArray) -> LocalModel:
        """K on every pair."""
        return pair_model(self.sites, self.bonds.first, self.bonds.second, None, self.couplings)
