"""Landau energy of the moments' lengths, E = sum_i [a |m|^2 + b |m|^4 + c |m|^6]: what free-length dynamics needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinase.classical.terms import SiteTerm
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class Landau(SiteTerm):
    """Longitudinal energy of every magnetic site.

    Attributes
    ----------
    coefficients : (3,)
        a, b, c in energy/moment^2, ^4, ^6.
    """

    coefficients: FloatArray

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = sum a m^2 + b m^4 + c m^6."""
        return float(np.sum(self.site_energies(spins, lengths)))

    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """a m^2 + b m^4 + c m^6."""
        square = lengths**2 * np.einsum("ia,ia->i", spins, spins)
        a, b, c = self.coefficients
        return square * (a + square * (b + square * c))

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = -2 mu_i^2 (a + 2 b m^2 + 3 c m^4) s_i."""
        square = lengths**2 * np.einsum("ia,ia->i", spins, spins)
        a, b, c = self.coefficients
        return (-2.0 * lengths**2 * (a + square * (2.0 * b + square * 3.0 * c)))[:, None] * spins
