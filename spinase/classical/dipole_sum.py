"""What dipole sums of any kind share: a bilinear energy, known by its field."""

from __future__ import annotations

import numpy as np

from spinase.classical.local_model import LocalModel, dense_model
from spinase.classical.terms import FrozenTerm
from spinase.typing import FloatArray


class DipoleSum(FrozenTerm):
    """Dipoles on a geometry; a kind of sum brings the field H_i = mu_i B_i (``gradient``) and forces (``lattice``)."""

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = -1/2 sum s.H = -1/2 sum m.B."""
        return -0.5 * float(np.sum(spins * self.gradient(spins, lengths)))

    def local_model(self, lengths: FloatArray) -> LocalModel | None:
        """All pairs, of small magnets."""
        return dense_model(lambda spins: self.gradient(spins, lengths), len(lengths))


__all__ = ["DipoleSum"]
