"""What a solver is: operator in, state out."""

from __future__ import annotations

from abc import ABC, abstractmethod

from spinase.electrons.operator import ElectronState, SpinOperator


class Solver(ABC):
    """Fills the levels of a :class:`SpinOperator`; it knows no atoms, no geometry, no time."""

    @abstractmethod
    def solve(self, operator: SpinOperator, bonds: bool = True) -> ElectronState:
        """Energies and density; ``bonds=False`` skips the bond density (fields need only the site blocks)."""
