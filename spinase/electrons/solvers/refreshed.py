"""A cheap solver corrected by an exact one now and then.

    rho(s) = rho_exact(s_0) + rho_cheap(s) - rho_cheap(s_0),     the same random vectors at s and s_0.

Between refreshes this is the gradient of

    F_cheap(s) + F_exact(s_0) - F_cheap(s_0) + Tr[(rho_exact - rho_cheap)(s_0) (H(s) - H(s_0))],

so it stays conservative; a refresh makes a small step in the energy.  The error grows with the distance to s_0: how fast is
measured at every refresh, and the next one is due when the asked accuracy would be exceeded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from spinase.electrons.chebyshev.series import largest_exchange
from spinase.electrons.operator import Density, ElectronState, SparsityPattern, SpinOperator
from spinase.electrons.solvers.base import Plan, Solver
from spinase.electrons.solvers.kpm import KPMPlan, KPMSolver
from spinase.typing import Array, ComplexArray, FloatArray

_FIRST_RATE = 2.0  # errors grow per radian by this times the cheap solver's own error, until it has been measured


@dataclass(frozen=True, eq=False)
class Reference:
    """Where the exact answer is known, and the cheap one with the phases of `seed`."""

    operator: SpinOperator
    exact: ElectronState
    cheap: ElectronState
    seed: int


@final
class RefreshedSolver(Solver[ElectronState]):
    """Delta-probing: exact fields at a reference, differences from the cheap solver with the same vectors.

    Parameters
    ----------
    cheap : KPMSolver
        Its phases are renewed at every refresh and only then.
    exact : Solver
    accuracy : float
        Rms error of the components of the fields at which a refresh is due, energy.
    """

    abilities = frozenset({"filling", "flux", "spin_orbit"})

    def __init__(self, cheap: KPMSolver, exact: Solver[Any], accuracy: float) -> None:
        self.cheap, self.exact, self.accuracy = cheap, exact, float(accuracy)

    def plan(self, pattern: SparsityPattern) -> RefreshedPlan:
        """Plans of both solvers, and no reference yet."""
        return RefreshedPlan(self, self.cheap.plan(pattern), self.exact.plan(pattern))

    def restore_plan(self, state: dict[str, Any]) -> RefreshedPlan:
        """The plan of a checkpoint; its reference is complete again at the next solution."""
        cheap = self.cheap.restore_plan(state["cheap"])
        exact = self.exact.plan(cheap.pattern) if state["exact"] is None else self.exact.restore_plan(state["exact"])
        plan = RefreshedPlan(self, cheap, exact, state["rate"])
        plan.refreshes = int(state["refreshes"])
        plan.recall(state)
        return plan

    def density_error(self, operator: SpinOperator) -> float:
        """That of the cheap solver at the accuracy asked for here."""
        return self.cheap.density_error(operator) * max(1.0, self.accuracy / self.cheap.options.accuracy)


@final
class RefreshedPlan(Plan[ElectronState]):
    """A reference for one pattern, and how fast errors grow with the distance to it.

    Parameters
    ----------
    solver : RefreshedSolver
    cheap : KPMPlan
    exact : Plan
    rate : float, optional
        Rms field error per distance, energy/radian; None before it has been measured.
    """

    turns_spins = True

    def __init__(self, solver: RefreshedSolver, cheap: KPMPlan, exact: Plan[Any], rate: float | None = None) -> None:
        super().__init__(cheap.pattern)
        self.solver, self.cheap, self.exact, self.rate = solver, cheap, exact, rate
        self.refreshes = 0
        self._reference: Reference | None = None
        self._stored: dict[str, Any] | None = None  # a reference of a checkpoint, not yet complete

    def follow(self, pattern: SparsityPattern) -> RefreshedPlan:
        """A plan for `pattern`: the rate stays, the next solution is a reference."""
        plan = RefreshedPlan(self.solver, self.cheap.follow(pattern), self.exact.follow(pattern), self.rate)
        plan.refreshes = self.refreshes
        return plan

    def _solve(self, operator: SpinOperator, bonds: bool) -> ElectronState:
        """The corrected state; refreshes first if the estimated error is too large."""
        if self._stored is not None:
            self._complete(operator)
        known = self._reference
        if known is not None and not self.cheap.knows(operator):  # another magnet has another rate
            known = self._reference = self.rate = None
        if known is None or known.seed != self.cheap.phases.seed or not _has_bonds(known, bonds):
            return self._refresh(operator, bonds, None).exact
        found = self._corrected(known, operator, bonds)
        if self.estimated_error(operator) > self.solver.accuracy:
            return self._refresh(operator, bonds, found).exact
        return found

    def estimated_error(self, operator: SpinOperator) -> float:
        """Rms error of the components of the fields expected at `operator`, energy; inf before the first solution."""
        if self._reference is None or self.rate is None:
            return float("inf")
        return self.rate * _distance(self._reference.operator, operator)

    def _refresh(self, operator: SpinOperator, bonds: bool, predicted: ElectronState | None) -> Reference:
        exact = self.exact.solve(operator, bonds)
        scale = largest_exchange(operator)
        if predicted is not None and self._reference is not None:
            distance = _distance(self._reference.operator, operator)
            if distance > 0.0:
                self.rate = scale * _rms(predicted.density.spin - exact.density.spin) / distance
        self.cheap.phases.renew()
        cheap = self.cheap.solve(operator, bonds)
        if self.rate is None:
            self.rate = _FIRST_RATE * scale * _rms(cheap.density.spin - exact.density.spin)
        self._reference = Reference(operator, exact, cheap, self.cheap.phases.seed)
        self.refreshes += 1
        return self._reference

    def _corrected(self, known: Reference, operator: SpinOperator, bonds: bool) -> ElectronState:
        now, then, exact = self.cheap.solve(operator, bonds), known.cheap, known.exact
        pairs = bonds and len(operator.bonds) > 0
        offset = Density(
            exact.density.charge - then.density.charge,
            exact.density.spin - then.density.spin,
            exact.density.bond - then.density.bond if pairs else np.empty(0, dtype=np.complex128),
            _sum(exact.density.bond_spin, then.density.bond_spin, -1.0) if pairs else None,
        )
        work = float(offset.charge @ (operator.onsite - known.operator.onsite))
        work += float(np.sum(offset.spin * (operator.exchange - known.operator.exchange)))
        if pairs:
            moved = _amplitudes(operator) - _amplitudes(known.operator)
            there = offset.bond if offset.bond_spin is None else np.column_stack([offset.bond, offset.bond_spin])
            work += 2.0 * float(np.sum((there.conj() * moved).real))
        shift = exact.free_energy - then.free_energy + work
        return replace(
            now,
            energy=now.energy + exact.energy - then.energy + work,
            free_energy=now.free_energy + shift,
            entropy=now.entropy + exact.entropy - then.entropy,
            chemical_potential=now.chemical_potential + exact.chemical_potential - then.chemical_potential,
            electrons=now.electrons + exact.electrons - then.electrons,
            density=Density(
                now.density.charge + offset.charge,
                now.density.spin + offset.spin,
                now.density.bond + offset.bond if pairs else now.density.bond,
                _sum(now.density.bond_spin, offset.bond_spin, 1.0) if pairs else now.density.bond_spin,
            ),
        )

    # -- restart ------------------------------------------------------------------------------------------------------

    def step_state(self) -> tuple[Any, ...]:
        """What a solution may change, for a step that is taken back (cheap references)."""
        return self.cheap.step_state(), self.exact.step_state(), self.refreshes, self.rate, self._reference, self._stored

    def restore_step(self, state: tuple[Any, ...]) -> None:
        """Take back what :meth:`step_state` gave."""
        cheap, exact, self.refreshes, self.rate, self._reference, self._stored = state
        self.cheap.restore_step(cheap)
        self.exact.restore_step(exact)

    def checkpoint_state(self) -> dict[str, Any]:
        """The plans of both solvers, and the reference: what is known exactly, and where."""
        state: dict[str, Any] = {"cheap": self.cheap.checkpoint_state(), "exact": self.exact.checkpoint_state()}
        state |= {"rate": self.rate, "refreshes": self.refreshes, "bonds": False}
        known = self._reference
        if known is not None:
            exact = known.exact
            state["bonds"] = len(exact.density.bond) > 0
            state["operator"] = _listed_parts(known.operator, _OPERATOR)
            state["density"] = _listed_parts(exact.density, _DENSITY)
            state["numbers"] = {name: float(getattr(exact, name)) for name in _NUMBERS}
        return state

    def recall(self, state: dict[str, Any]) -> None:
        """Take the reference of a checkpoint, to be complete again at the next solution."""
        self._stored = state if "operator" in state else None

    def _complete(self, operator: SpinOperator) -> None:
        """The reference from a checkpoint, on the bonds of `operator`."""
        stored, self._stored = self._stored, None
        assert stored is not None
        values: dict[str, Any] = {name: _array(part) for name, part in stored["operator"].items()}
        then = replace(operator, **values)
        density = Density(**{name: _array(part) for name, part in stored["density"].items()})
        exact = ElectronState(density=density, levels=np.empty(0), weights=np.empty(0), **stored["numbers"])
        self._reference = Reference(then, exact, self.cheap.solve(then, stored["bonds"]), self.cheap.phases.seed)


_OPERATOR = ("hopping", "onsite", "exchange", "spin_hopping")
_DENSITY = ("charge", "spin", "bond", "bond_spin")
_NUMBERS = ("energy", "free_energy", "entropy", "chemical_potential", "electrons")


def _listed_parts(whole: SpinOperator | Density, names: Sequence[str]) -> dict[str, Any]:
    """Arrays of an operator or a density as lists; those that it does not have are left out."""
    return {name: _listed(getattr(whole, name)) for name in names if getattr(whole, name) is not None}


def _sum(one: ComplexArray | None, other: ComplexArray | None, factor: float) -> ComplexArray | None:
    """one + factor other, where both are there."""
    return None if one is None or other is None else np.asarray(one + factor * other)


def _amplitudes(operator: SpinOperator) -> Array:
    """All numbers of the bonds: (n_bonds,), or (n_bonds, 4) with what turns spins."""
    if operator.spin_hopping is None:
        return operator.hopping
    return np.column_stack([operator.hopping, operator.spin_hopping])


def _has_bonds(known: Reference, wanted: bool) -> bool:
    """Whether a reference has the bond density, if it is wanted."""
    return not wanted or len(known.exact.density.bond) > 0 or not len(known.operator.bonds)


def _listed(array: Array) -> dict[str, Any]:
    complex_ = np.iscomplexobj(array)
    return {"real": array.real.tolist(), "imag": array.imag.tolist() if complex_ else None}


def _array(stored: dict[str, Any]) -> Array:
    real = np.array(stored["real"], dtype=np.float64)
    return real if stored["imag"] is None else real + 1j * np.array(stored["imag"], dtype=np.float64)


def _distance(one: SpinOperator, other: SpinOperator) -> float:
    """How far two operators are apart: rms angle of the exchange vectors (radian) and rms relative change of the rest."""
    size = np.maximum(np.linalg.norm(one.exchange, axis=1), np.linalg.norm(other.exchange, axis=1))
    magnetic = size > 0.0
    change = np.linalg.norm(other.exchange - one.exchange, axis=1)[magnetic] / size[magnetic]
    turned = float(np.mean(change**2)) if magnetic.any() else 0.0
    there, now = _amplitudes(one), _amplitudes(other)
    hopping = float(np.mean(np.abs(there) ** 2)) if len(there) else 0.0
    moved = float(np.mean(np.abs(now - there) ** 2)) / hopping if hopping > 0.0 else 0.0
    scale = max(hopping, float(np.mean(size**2)))
    shifted = float(np.mean((other.onsite - one.onsite) ** 2)) / scale if scale > 0.0 else 0.0
    return float(np.sqrt(turned + moved + shifted))


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))
