"""What a classical energy term is: frozen on a geometry, then energy, field and forces of any spins."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from spinase.geometry import Bonds, Geometry

FloatArray = NDArray[np.float64]


class FrozenTerm(ABC):
    """A term on a geometry.  Spins (N, 3) are free vectors (zero rows: non-magnetic sites), lengths (N,) the |m_i|."""

    @abstractmethod
    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """Energy E."""

    @abstractmethod
    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = -dE/ds_i, energy, (N, 3)."""

    def lattice(self, spins: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Forces -dE/dr_i (N, 3), energy/length, and virial dE/d(strain) (3, 3), energy; zero unless overridden."""
        return np.zeros((len(spins), 3)), np.zeros((3, 3))


class Term(ABC):
    """A classical energy term."""

    @abstractmethod
    def freeze(self, geometry: Geometry) -> FrozenTerm:
        """Neighbour lists and couplings of a geometry."""


def pull_on_bonds(bonds: Bonds, tension: FloatArray, sites: int) -> tuple[FloatArray, FloatArray]:
    """Forces (N, 3) and virial (3, 3) from `tension` = dE/d(bond vector) (n_bonds, 3)."""
    forces = np.zeros((sites, 3))
    np.add.at(forces, bonds.first, tension)
    np.add.at(forces, bonds.second, -tension)
    return forces, tension.T @ bonds.vectors
