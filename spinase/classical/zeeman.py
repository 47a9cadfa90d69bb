"""Zeeman energy of the moments, E = -sum m_i.B."""

from __future__ import annotations

from dataclasses import dataclass

from spinase.classical.local_model import LocalModel
from spinase.classical.terms import SiteTerm
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class Zeeman(SiteTerm):
    """Uniform field; H_i = mu_i B.

    Attributes
    ----------
    field : (3,)
        B, energy/moment (metal: eV/mu_B; one tesla is 5.788e-5).
    """

    field: FloatArray

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = -sum mu_i s_i.B."""
        return -float(lengths @ (spins @ self.field))

    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """-m_i.B."""
        return -lengths * (spins @ self.field)

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = mu_i B."""
        return lengths[:, None] * self.field

    def local_model(self, lengths: FloatArray) -> LocalModel:
        """h_i = mu_i B."""
        return LocalModel(len(lengths), linear=lengths[:, None] * self.field)
