"""A calculator with error bars that rise during a damped run, whatever any network does."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from spinase.atoms import get_spins
from spinase.calculators import ZeemanCalculator


class Doubtful(ZeemanCalculator):
    """Spins in a field along z; the more they follow it, the larger their error bars."""

    def error_bars(self, atoms: Atoms, coverage: float = 0.9) -> np.ndarray:
        """(N,), energy/moment."""
        return coverage * (1.0 + get_spins(atoms)[:, 2])

    def domain_problem(self, atoms: Atoms, margin: float = 0.02) -> str | None:
        """There is none."""
        return None
