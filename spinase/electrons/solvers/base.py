"""What a solver is: a pattern in, a plan out; an operator of this pattern into the plan, a state out.

    plan = solver.plan(pattern)          # once for a geometry: orders of elimination, layers, columns
    state = plan.solve(operator)         # for every set of spins

Everything that is kept from one solution to the next is in the plan; the solver itself holds parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar, final

from spinase.electrons.operator import ElectronState, SparsityPattern, SpinOperator
from spinase.errors import ModelError

State = TypeVar("State", bound=ElectronState, covariant=True)


class Plan(ABC, Generic[State]):
    """A solver on one sparsity pattern.

    Attributes
    ----------
    pattern : SparsityPattern
        Sites and bonds of the operators that it solves; others are refused.
    turns_spins : bool
        Whether it takes operators whose hopping turns spins, and gives their ``Density.bond_spin``; others refuse them.
    """

    turns_spins: ClassVar[bool] = False

    def __init__(self, pattern: SparsityPattern) -> None:
        self.pattern = pattern

    @final
    def solve(self, operator: SpinOperator, bonds: bool = True) -> State:
        """Energies and density; ``bonds=False`` skips the bond density (fields need only the site blocks).

        Raises
        ------
        PatternError
            For an operator with other sites or bonds.
        ModelError
            For hopping that turns spins, where the solver cannot do that.
        """
        self.pattern.require(operator)
        if operator.spin_hopping is not None and not self.turns_spins:
            raise ModelError(
                f"{type(self).__name__} solves hopping that is the same for both spins, and the operator has spin-orbit "
                "hopping on its bonds: use exact diagonalization (style 'ed'), or a model without spin_orbit"
            )
        return self._solve(operator, bonds)

    @abstractmethod
    def _solve(self, operator: SpinOperator, bonds: bool) -> State:
        """Solve an operator that is known to fit; what solvers provide."""

    @abstractmethod
    def follow(self, pattern: SparsityPattern) -> Plan[State]:
        """A plan for `pattern`, which the bonds of the same magnet have become: takes over what still holds."""

    def step_state(self) -> Any:
        """What a solution may change, for a step that is taken back (cheap references); None if nothing."""
        return None

    def restore_step(self, state: Any) -> None:
        """Take back what :meth:`step_state` gave."""

    def checkpoint_state(self) -> dict[str, Any] | None:
        """What another process needs to continue with the same numbers (JSON values); None if nothing."""
        return None


class Solver(ABC, Generic[State]):
    """Fills the levels of operators; it knows no atoms, no geometry, no time, and keeps nothing of what it has solved.

    Attributes
    ----------
    abilities : frozenset of str
        Which of ``"filling"`` (fixed number of electrons), ``"zero_temperature"`` (kT = 0), ``"flux"`` (complex hopping) and
        ``"spin_orbit"`` (hopping that turns spins) it can do beside a chemical potential at kT > 0; the others it refuses
        with a ModelError (the last one its plans refuse, see :attr:`Plan.turns_spins`).
    """

    abilities: ClassVar[frozenset[str]] = frozenset({"filling", "zero_temperature", "flux"})

    @abstractmethod
    def plan(self, pattern: SparsityPattern) -> Plan[State]:
        """A plan for operators of `pattern`."""

    @abstractmethod
    def density_error(self, operator: SpinOperator) -> float:
        """Largest error of a component of the density (electrons, spin) that is to be expected for `operator`, 1."""

    def restore_plan(self, state: dict[str, Any]) -> Plan[State]:
        """The plan that gave `state` as its :meth:`Plan.checkpoint_state`."""
        raise ModelError(f"plans of {type(self).__name__} keep nothing in checkpoints")

    @final
    def solve(self, operator: SpinOperator, bonds: bool = True) -> State:
        """Plan and solve in one go, for an operator that comes once."""
        return self.plan(SparsityPattern.of(operator)).solve(operator, bonds)
