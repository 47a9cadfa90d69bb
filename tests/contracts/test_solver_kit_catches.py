"""The conformance kit of solvers finds what is wrong: a solver that passes, and mutants with one mistake each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from systems.toy_solver import ToyPlan, ToySolver

from spinase.electrons.occupation import FixedChemicalPotential, FixedFilling, Occupation
from spinase.electrons.operator import ElectronState, SparsityPattern, SpinOperator
from spinase.electrons.solvers.base import Plan
from spinase.testing import SOLVER_CHECKS, ConformanceError, check_solver
from spinase.testing.electron_systems import antiferromagnet, dimer, random_system, single_site

SYSTEMS = [dimer(), single_site(), antiferromagnet(), random_system("ring of two")]


class Changed(ToySolver):
    """Its states pass through `change`."""

    def plan(self, pattern: SparsityPattern) -> Plan[ElectronState]:
        return ChangedPlan(pattern, self)

    def change(self, state: ElectronState, operator: SpinOperator) -> ElectronState:
        return state


class ChangedPlan(ToyPlan):
    solver: Changed

    def _solve(self, operator: SpinOperator, bonds: bool) -> ElectronState:
        return self.solver.change(super()._solve(operator, bonds), operator)


def with_density(state: ElectronState, **parts: Any) -> ElectronState:
    return replace(state, density=replace(state.density, **parts))


class WrongSign(Changed):
    def change(self, state, operator):
        return with_density(state, spin=-state.density.spin)


class OneSpin(Changed):
    def change(self, state, operator):
        return with_density(state, bond=0.5 * state.density.bond)


class Conjugated(Changed):
    """Of a real operator's bonds this is right, of spiral ones in a field it is not."""

    def change(self, state, operator):
        return with_density(state, bond=1j * state.density.bond)


class Complex(Changed):
    def change(self, state, operator):
        return with_density(state, charge=state.density.charge + 0j)


class Unfilled(Changed):
    def change(self, state, operator):
        return replace(state, electrons=1.01 * state.electrons)


class ForgetsNumber(Changed):
    def change(self, state, operator):
        return replace(state, free_energy=state.free_energy + state.chemical_potential * state.electrons)


class NoEntropy(Changed):
    def change(self, state, operator):
        return replace(state, free_energy=state.energy)


class Shifted(Changed):
    """Right in every derivative and identity."""

    def change(self, state, operator):
        return replace(state, energy=state.energy + 0.1, free_energy=state.free_energy + 0.1)


class History(Changed):
    """A little more of something at every solution."""

    def change(self, state, operator):
        self.solved = getattr(self, "solved", 0) + 1
        return with_density(state, charge=state.density.charge + 1e-7 * self.solved)


class SparesBonds(Changed):
    """Takes the question for the bonds as one for the spins."""

    def change(self, state, operator):
        if len(state.density.bond) or not len(operator.bonds):
            return state
        return with_density(state, spin=0.9 * state.density.spin)


class AlwaysThatPlan(ToySolver):
    """Keeps its first plan for every pattern."""

    first: Plan[ElectronState] | None = None

    def plan(self, pattern):
        self.first = self.first or ToyPlan(pattern, self)
        return self.first


class Warm(ToySolver):
    """Never colder than kT = 0.01, and does not say so."""

    def __init__(self, occupation: Occupation) -> None:
        super().__init__(replace(occupation, kT=max(occupation.kT, 0.4)))


class OnlyMu(ToySolver):
    """Says that it has no fillings, and answers all the same."""

    abilities = frozenset({"zero_temperature", "flux"})

    def __init__(self, occupation: Occupation) -> None:
        open_ = occupation if isinstance(occupation, FixedChemicalPotential) else FixedChemicalPotential(occupation.kT, 0.0)
        super().__init__(open_)


class Forgetful(Changed):
    """Its checkpoint lacks what its answers depend on."""

    def plan(self, pattern):
        return ForgetfulPlan(pattern, self)

    def restore_plan(self, state):
        return ForgetfulPlan(SparsityPattern.from_lists(state["pattern"]), self)


class ForgetfulPlan(ToyPlan):
    solved = 0

    def _solve(self, operator, bonds):
        self.solved += 1
        state = super()._solve(operator, bonds)
        return with_density(state, charge=state.density.charge + 1e-8 * self.solved)

    def checkpoint_state(self):
        return {"pattern": self.pattern.to_lists()}


MUTANTS = [
    (WrongSign, {"density", "fields"}),
    (OneSpin, {"density"}),
    (Conjugated, {"density"}),
    (Complex, {"shapes"}),
    (Unfilled, {"trace"}),
    (ForgetsNumber, {"energies", "thermodynamics"}),
    (NoEntropy, {"energies", "thermodynamics", "fields"}),
    (Shifted, {"energies"}),
    (History, {"repeatability"}),
    (SparesBonds, {"bonds"}),
    (AlwaysThatPlan, {"patterns"}),
    (Warm, {"zero_temperature", "density"}),
    (OnlyMu, {"refusals"}),
    (Forgetful, {"restart"}),
]


@pytest.mark.parametrize(("mutant", "broken"), MUTANTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mutant_fails_the_right_checks(mutant: type[ToySolver], broken: set[str]) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_solver(lambda system, occupation: mutant(occupation), systems=SYSTEMS)
    assert broken <= {result.name for result in caught.value.report.failures}
    assert str(caught.value).startswith(f"{mutant.__name__} fails")


def test_forces_are_checked_where_atoms_matter() -> None:
    """A bond density of one spin only: half the forces."""
    islands = random_system("islands")
    with pytest.raises(ConformanceError, match="forces against finite differences") as caught:
        check_solver(lambda system, occupation: OneSpin(occupation), systems=[islands], checks=["forces", "fields"])
    assert {result.name for result in caught.value.report.failures} == {"forces"}


def test_an_honest_solver_passes_and_the_report_names_the_worst_system() -> None:
    report = check_solver(lambda system, occupation: ToySolver(occupation), systems=SYSTEMS, skip=["forces"])
    assert [result.name for result in report] == [name for name in SOLVER_CHECKS if name != "forces"]
    assert "kT=0.15" in report["density"].message
    assert not report.failures


def test_systems_that_do_not_move_have_no_forces_to_check() -> None:
    report = check_solver(lambda system, occupation: ToySolver(occupation), systems=[dimer()], checks=["forces"])
    assert report["forces"].status == "skipped"


def test_what_a_solver_raises_is_in_the_report() -> None:
    class Broken(Changed):
        def change(self, state, operator):
            raise ZeroDivisionError("no")

    with pytest.raises(ConformanceError, match="density: raised ZeroDivisionError: no"):
        check_solver(lambda system, occupation: Broken(occupation), systems=[dimer()], checks=["density"])


def test_unknown_checks_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown check 'densty': use some of shapes, trace, density"):
        check_solver(lambda system, occupation: ToySolver(occupation), checks=["densty"])


def test_closed_forms_agree_with_the_matrix_on_paper() -> None:
    for system in SYSTEMS[:3]:
        found = ToySolver(FixedFilling(0.1, 0.5)).solve(system.operator()).levels
        np.testing.assert_allclose(found, system.levels, atol=1e-12)
