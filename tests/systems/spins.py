"""Small calculators for driver tests, written without the project's own terms: closed forms are known for them."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from spinase.atoms import get_moments


class Pairs(Calculator):
    """E = -1/2 sum_ij J_ij m_i.m_j - sum_i m_i.B - K sum_i (m_i.z)^2, a plain ASE calculator (bilinear in moments)."""

    implemented_properties = ["energy", "magnetic_forces"]

    def __init__(self, exchange: np.ndarray, field: tuple[float, float, float] = (0, 0, 0), anisotropy: float = 0.0) -> None:
        super().__init__()
        self.exchange, self.field, self.anisotropy = exchange, np.array(field, dtype=float), anisotropy
        self.calls = 0

    def calculate(
        self, atoms: Atoms | None = None, properties: list[str] | None = None, system_changes: list[str] = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        moments = get_moments(self.atoms)
        pairs = self.exchange @ moments
        along = moments[:, 2]
        self.results = {
            "energy": float(
                -0.5 * np.sum(moments * pairs) - np.sum(moments @ self.field) - self.anisotropy * np.sum(along**2)
            ),
            "magnetic_forces": pairs + self.field + 2 * self.anisotropy * along[:, None] * np.array([0, 0, 1.0]),
        }


class Deaf(Calculator):
    """Gives magnetic forces that do not depend on the moments at all."""

    implemented_properties = ["energy", "magnetic_forces"]

    def calculate(
        self, atoms: Atoms | None = None, properties: list[str] | None = None, system_changes: list[str] = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 1.0, "magnetic_forces": np.ones((len(self.atoms), 3))}


def ring(sites: int, exchange: float = 1.0) -> np.ndarray:
    """J_ij of a ring with nearest-neighbour exchange."""
    matrix = np.zeros((sites, sites))
    for i in range(sites):
        matrix[i, (i + 1) % sites] = matrix[(i + 1) % sites, i] = exchange
    return matrix
