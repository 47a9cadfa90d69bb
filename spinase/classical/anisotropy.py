"""Single-ion anisotropies, uniaxial and cubic.

E = -sum [K1 (s.n)^2 + K2 (s.n)^4] and E = sum K1 (sx^2 sy^2 + sy^2 sz^2 + sz^2 sx^2) + K2 sx^2 sy^2 sz^2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinase.classical.local_model import LocalModel
from spinase.classical.terms import SiteTerm
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class UniaxialAnisotropy(SiteTerm):
    """K1 > 0: `axis` n is easy; K1 < 0: the plane is (K2 = 0).  H_i = [2 K1 (s_i.n) + 4 K2 (s_i.n)^3] n.

    K1' sin^2 + K2' sin^4 of the angle to n, as in books, is K1 = K1' + 2 K2', K2 = -K2' and a constant.

    Attributes
    ----------
    strength : float
        K1 per site, energy.
    axis : (3,)
        Unit vector n.
    fourth_order : float
        K2 per site, energy.
    """

    strength: float
    axis: FloatArray
    fourth_order: float = 0.0

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = -sum [K1 (s.n)^2 + K2 (s.n)^4]."""
        return float(np.sum(self.site_energies(spins, lengths)))

    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """-K1 (s.n)^2 - K2 (s.n)^4."""
        square = (spins @ self.axis) ** 2
        return -square * (self.strength + self.fourth_order * square)

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = [2 K1 (s_i.n) + 4 K2 (s_i.n)^3] n."""
        along = spins @ self.axis
        if self.fourth_order:
            along = along * (2.0 * self.strength + 4.0 * self.fourth_order * along**2)
        else:
            along = 2.0 * self.strength * along
        return np.outer(along, self.axis)

    def local_model(self, lengths: FloatArray) -> LocalModel:
        """Q = K1 n n, and K2, on every site."""
        sites = len(lengths)
        quadratic = np.broadcast_to(self.strength * np.outer(self.axis, self.axis), (sites, 3, 3))
        fourth = np.full(sites, self.fourth_order), np.broadcast_to(self.axis, (sites, 3))
        return LocalModel(sites, quadratic=quadratic, quartic=[fourth] if self.fourth_order else [])


@dataclass(frozen=True, eq=False)
class CubicAnisotropy(SiteTerm):
    """K1 > 0: the cube axes are easy; K1 < 0: the body diagonals are (K2 = 0).

    Attributes
    ----------
    strength : float
        K1 per site, energy.
    axes : (3, 3)
        Orthonormal rows: the cube axes.
    sixth_order : float
        K2 per site, energy.
    """

    strength: float
    axes: FloatArray
    sixth_order: float = 0.0

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = sum K1 (sx^2 sy^2 + sy^2 sz^2 + sz^2 sx^2) + K2 sx^2 sy^2 sz^2."""
        return float(np.sum(self.site_energies(spins, lengths)))

    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """K1 (sx^2 sy^2 + sy^2 sz^2 + sz^2 sx^2) + K2 sx^2 sy^2 sz^2."""
        return cubic_energies(spins @ self.axes.T, self._constants(len(spins)))

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H of :func:`cubic_gradient`, turned back to Cartesian."""
        return cubic_gradient(spins @ self.axes.T, self._constants(len(spins))) @ self.axes

    def local_model(self, lengths: FloatArray) -> LocalModel:
        """One cubic anisotropy."""
        count = len(lengths)
        return LocalModel(count, cubic=[(self._constants(count), np.broadcast_to(self.axes, (count, 3, 3)))])

    def _constants(self, sites: int) -> FloatArray:
        return np.tile([self.strength, self.sixth_order], (sites, 1))


def cubic_energies(spins: FloatArray, constants: FloatArray) -> FloatArray:
    """E_i = K1_i (sx^2 sy^2 + sy^2 sz^2 + sz^2 sx^2) + K2_i sx^2 sy^2 sz^2, energy, (N,).

    Parameters
    ----------
    spins : (N, 3)
        Spins in the cube axes.
    constants : (N, 2)
        K1 and K2 of every site, energy.
    """
    squares = spins**2
    fourth = np.sum(squares * np.roll(squares, 1, axis=1), axis=1)
    return np.asarray(constants[:, 0] * fourth + constants[:, 1] * squares.prod(axis=1))


def cubic_gradient(spins: FloatArray, constants: FloatArray) -> FloatArray:
    """H_a = -2 s_a [K1 (s_b^2 + s_c^2) + K2 s_b^2 s_c^2], -dE/ds in the cube axes, energy, (N, 3); b, c the other axes.

    Parameters
    ----------
    spins : (N, 3)
        Spins in the cube axes.
    constants : (N, 2)
        K1 and K2 of every site, energy.
    """
    b, c = (np.roll(spins**2, shift, axis=1) for shift in (1, 2))
    return -2.0 * spins * (constants[:, :1] * (b + c) + constants[:, 1:] * b * c)
