"""Biquadratic exchange, E = -sum_{i<j} K_ij (s_i.s_j)^2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spinase.classical.terms import FrozenTerm, Term, pull_on_bonds
from spinase.geometry import Bonds, Geometry
from spinase.pair_laws import PairLaw

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Biquadratic(Term):
    """Biquadratic exchange; K_ij > 0 favours collinear spins, H_i = 2 sum_j K_ij (s_i.s_j) s_j.

    Attributes
    ----------
    law : PairLaw
        K by neighbour shell or by distance, energy.
    """

    law: PairLaw

    def freeze(self, geometry: Geometry) -> FrozenBiquadratic:
        """Bonds and couplings of a geometry."""
        return FrozenBiquadratic(*self.law.amplitudes(geometry))


@dataclass(frozen=True, eq=False)
class FrozenBiquadratic(FrozenTerm):
    """Biquadratic exchange on a geometry."""

    bonds: Bonds
    couplings: FloatArray
    slopes: FloatArray

    def _overlap(self, spins: FloatArray) -> FloatArray:
        return np.einsum("ba,ba->b", spins[self.bonds.first], spins[self.bonds.second])

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = -sum K (s_i.s_j)^2."""
        return -float(self.couplings @ self._overlap(spins) ** 2)

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = 2 sum_j K_ij (s_i.s_j) s_j."""
        weight = (2.0 * self.couplings * self._overlap(spins))[:, None]
        out = np.zeros_like(spins)
        np.add.at(out, self.bonds.first, weight * spins[self.bonds.second])
        np.add.at(out, self.bonds.second, weight * spins[self.bonds.first])
        return out

    def lattice(self, spins: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """From dE/d(bond) = -K'(r) (s_i.s_j)^2 along the bond."""
        scale = -self.slopes * self._overlap(spins) ** 2 / self.bonds.distances
        return pull_on_bonds(self.bonds, scale[:, None] * self.bonds.vectors, len(spins))
