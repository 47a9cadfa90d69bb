"""Single-ion anisotropies: uniaxial, E = -K sum (s.n)^2, and cubic, E = K sum (sx^2 sy^2 + sy^2 sz^2 + sz^2 sx^2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinase.classical.local_model import LocalModel
from spinase.classical.terms import FrozenTerm, Term
from spinase.geometry import Geometry
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class UniaxialAnisotropy(Term, FrozenTerm):
    """K > 0: `axis` n is easy; K < 0: the plane is.  H_i = 2 K (s_i.n) n.

    Attributes
    ----------
    strength : float
        K per site, energy.
    axis : (3,)
        Unit vector n.
    """

    strength: float
    axis: FloatArray

    def freeze(self, geometry: Geometry) -> UniaxialAnisotropy:
        """The term knows no geometry."""
        return self

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = -K sum (s.n)^2."""
        return -self.strength * float(np.sum((spins @ self.axis) ** 2))

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = 2 K (s_i.n) n."""
        return 2.0 * self.strength * np.outer(spins @ self.axis, self.axis)

    def local_model(self, lengths: FloatArray) -> LocalModel:
        """Q = K n n on every site."""
        matrix = self.strength * np.outer(self.axis, self.axis)
        return LocalModel(len(lengths), quadratic=np.broadcast_to(matrix, (len(lengths), 3, 3)))


@dataclass(frozen=True, eq=False)
class CubicAnisotropy(Term, FrozenTerm):
    """K > 0: the cube axes are easy; K < 0: the body diagonals are.  H_ix = -2 K s_ix (s_iy^2 + s_iz^2) in the axes.

    Attributes
    ----------
    strength : float
        K per site, energy.
    axes : (3, 3)
        Orthonormal rows: the cube axes.
    """

    strength: float
    axes: FloatArray

    def freeze(self, geometry: Geometry) -> CubicAnisotropy:
        """The term knows no geometry."""
        return self

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = K sum (sx^2 sy^2 + sy^2 sz^2 + sz^2 sx^2)."""
        squares = (spins @ self.axes.T) ** 2
        return self.strength * float(np.sum(squares * np.roll(squares, 1, axis=1)))

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_a = -2 K s_a (sum of the other squares), turned back to Cartesian."""
        local = spins @ self.axes.T
        others = np.sum(local**2, axis=1, keepdims=True) - local**2
        return -2.0 * self.strength * (local * others) @ self.axes

    def local_model(self, lengths: FloatArray) -> LocalModel:
        """One cubic anisotropy."""
        return LocalModel(len(lengths), cubic=[(np.full(len(lengths), self.strength), self.axes)])
