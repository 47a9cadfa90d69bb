"""A pair potential of the atoms, E = sum_{i<j} v(r_ij): the lattice's own energy, blind to spins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinase.classical.local_model import LocalModel
from spinase.classical.terms import FrozenTerm, Term, pull_along_bonds
from spinase.geometry import Bonds, Geometry
from spinase.pair_laws import PairLaw
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class PairPotential(Term):
    """Pair potential.

    Attributes
    ----------
    law : PairLaw
        v by distance, energy.
    """

    law: PairLaw

    def freeze(self, geometry: Geometry) -> FrozenPairPotential:
        """Bonds and values of a geometry."""
        return FrozenPairPotential(*self.law.amplitudes(geometry))


@dataclass(frozen=True, eq=False)
class FrozenPairPotential(FrozenTerm):
    """Pair potential on a geometry."""

    bonds: Bonds
    values: FloatArray
    slopes: FloatArray

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = sum v."""
        return float(self.values.sum())

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """Nothing: the potential does not see the spins."""
        return np.zeros_like(spins)

    def lattice(self, spins: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """From dE/d(bond length) = v'(r)."""
        return pull_along_bonds(self.bonds, self.slopes, len(spins))

    def local_model(self, lengths: FloatArray) -> LocalModel:
        """Nothing depends on the spins."""
        return LocalModel(len(lengths))
