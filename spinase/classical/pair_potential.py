"""A pair potential of the atoms, E = sum_{i<j} v(r_ij): the lattice's own energy, blind to spins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spinase.classical.local_model import LocalModel
from spinase.classical.terms import FrozenLocalTerm, PairTerm, at_first, pull_along_bonds
from spinase.geometry import Bonds
from spinase.given_pairs import Couplings
from spinase.pair_laws import PairLaw
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class PairPotential(PairTerm):
    """Pair potential.

    Attributes
    ----------
    law : PairLaw
        v by distance, energy.
    """

    law: PairLaw

    def laws(self) -> tuple[PairLaw]:
        """v."""
        return (self.law,)

    def on(self, couplings: Sequence[Couplings], sites: int) -> FrozenPairPotential:
        """The term on bonds with v."""
        return FrozenPairPotential(*couplings[0])


@dataclass(frozen=True, eq=False)
class FrozenPairPotential(FrozenLocalTerm):
    """Pair potential on a geometry."""

    bonds: Bonds
    values: FloatArray
    slopes: FloatArray

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = sum v."""
        return float(self.values.sum())

    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """v at the first sites."""
        return at_first(self.bonds, self.values, len(spins))

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """Nothing: the potential does not see the spins."""
        return np.zeros_like(spins)

    def lattice(self, spins: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """From dE/d(bond length) = v'(r)."""
        return pull_along_bonds(self.bonds, self.slopes, len(spins))

    def local_model(self, lengths: FloatArray) -> LocalModel:
        """Nothing depends on the spins."""
        return LocalModel(len(lengths))
