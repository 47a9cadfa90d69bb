"""Conformance kit of solvers: does a solver of electrons keep what calculators rely on?

::

    from spinase.testing import check_solver

    report = check_solver(lambda system, occupation: MySolver(occupation))

Every check runs on all kinds of graphs, on systems with levels in closed form, at a chemical potential, and at a filling and
at kT = 0 where the solver says that it can.  References are diagonalization and closed forms; limits follow from the error
of the density that the solver declares (:meth:`~spinase.electrons.solvers.base.Solver.density_error`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spinase.electrons.hamiltonian import FrozenHamiltonian
from spinase.electrons.occupation import FixedChemicalPotential, FixedFilling, Occupation
from spinase.electrons.operator import SparsityPattern, SpinOperator
from spinase.electrons.solvers.base import Plan
from spinase.electrons.solvers.dense import DenseSolver
from spinase.errors import ModelError, PatternError
from spinase.spin_algebra import rotate_about
from spinase.testing.case import SkipCheck, central_difference, run_check
from spinase.testing.electron_systems import ElectronSystem, all_systems
from spinase.testing.report import CheckResult, ConformanceError, Report
from spinase.testing.solver_case import CLOSED, OPEN, ROUND_OFF, MakeSolver, Question, SolverCase, apart, energy_limit
from spinase.typing import FloatArray

_STEP, _SHORT_STEP = 2e-3, 5e-4  # of finite differences for spins and positions; their stencil is of fourth order
_CURVED = 1e-6  # what its remainder leaves, relative


# -- checks -----------------------------------------------------------------------------------------------------------


def check_shapes(case: SolverCase) -> CheckResult:
    """Real charges and spins, site blocks with eigenvalues in 0..1 (rho is hermitian and positive), one number a bond,

    and three where hopping turns spins.
    """

    def measure(question: Question) -> tuple[float, float]:
        """How far eigenvalues are outside; infinite where shapes are wrong."""
        operator, density = question.system.operator(), case.answer(question).density
        shapes = (density.charge.shape, density.spin.shape, density.bond.shape)
        wanted = ((len(operator),), (len(operator), 3), (len(operator.bonds),))
        if shapes != wanted or np.iscomplexobj(density.charge) or np.iscomplexobj(density.spin):
            return float("inf"), 1.0
        turned = None if density.bond_spin is None else density.bond_spin.shape
        if operator.spin_hopping is not None and turned != operator.spin_hopping.shape:
            return float("inf"), 1.0
        size = np.linalg.norm(density.spin, axis=1)
        outside = max(float((size - density.charge).max()), float((density.charge + size - 2.0).max()), 0.0)
        return outside, 4.0 * question.solver.density_error(operator) + ROUND_OFF

    return case.worst(measure, "eigenvalues of the site blocks outside 0..1, or wrong shapes")


def check_trace(case: SolverCase) -> CheckResult:
    """The density holds the electrons that are reported, and at a filling those that were asked for."""

    def measure(question: Question) -> tuple[float, float]:
        """Electrons that are missing."""
        operator, state = question.system.operator(), case.answer(question)
        wrong = abs(complex(state.density.charge.sum()) - state.electrons)
        if isinstance(question.occupation, FixedFilling):
            wrong = max(wrong, abs(state.electrons - 2.0 * len(operator) * question.occupation.filling))
        return wrong, len(operator) * (question.solver.density_error(operator) + ROUND_OFF)

    return case.worst(measure, "trace of the density against the number of electrons")


def check_density(case: SolverCase) -> CheckResult:
    """Charges, spins and bonds of diagonalization."""
    return case.worst(lambda question: _density_error(case, question), "density against diagonalization")


def _density_error(case: SolverCase, question: Question) -> tuple[float, float]:
    operator = question.system.operator()
    exact = DenseSolver(case.occupied(question.occupation)).solve(operator)
    limit = question.solver.density_error(operator) + ROUND_OFF
    return apart(case.answer(question).density, exact.density), limit


def check_energies(case: SolverCase) -> CheckResult:
    """Energies of diagonalization, and of levels in closed form; skipped where no system has energies to compare."""

    def measure(question: Question) -> tuple[float, float]:
        """Worst error of both energies, energy."""
        system, state = question.system, case.answer(question)
        occupation = case.occupied(question.occupation)
        references: list[Any] = [DenseSolver(occupation).solve(system.operator())]
        if system.levels is not None:
            references.append(occupation.fill(system.levels, np.ones(len(system.levels)), float(len(system.levels))))
        wrong = [
            abs(getattr(state, name) - getattr(reference, name))
            for reference in references
            for name in ("energy", "free_energy")
            if np.isfinite(getattr(reference, name))
        ]
        return max(wrong, default=0.0), energy_limit(question)

    return case.worst(measure, "energies against diagonalization and closed forms")


def check_thermodynamics(case: SolverCase) -> CheckResult:
    """F = U - kT S at a fixed number of electrons, Omega = U - kT S - mu N at a fixed chemical potential."""

    def measure(question: Question) -> tuple[float, float]:
        """How far both sides are apart, energy."""
        state = case.answer(question)
        if np.isnan(state.entropy):  # open systems
            return 0.0, 1.0
        potential = state.energy - question.occupation.kT * state.entropy
        if isinstance(question.occupation, FixedChemicalPotential):
            potential -= state.chemical_potential * state.electrons
        return abs(potential - state.free_energy), energy_limit(question)

    return case.worst(measure, "free energy against energy, entropy and number")


def check_fields(case: SolverCase) -> CheckResult:
    """``contract(density)`` gives the derivatives of the free energy when spins turn."""

    def measure(question: Question) -> tuple[float, float]:
        """How far slope and finite difference are apart, energy."""
        system, frozen = question.system, question.system.freeze()
        axes = np.random.default_rng(1).normal(size=system.spins.shape)
        plan = question.solver.plan(frozen.pattern)

        def energy(angle: float) -> float:
            """Free energy when all spins are turned about their axes."""
            return float(plan.solve(frozen.operator(rotate_about(system.spins, angle * axes))).free_energy)

        state = plan.solve(frozen.operator(system.spins))
        turned = np.cross(system.spins, axes)
        slope = -float(np.sum(frozen.contract(state.density).spin * turned))
        change = np.linalg.norm(frozen.coupling[:, None] * turned)
        error = question.solver.density_error(frozen.operator(system.spins)) + ROUND_OFF
        return abs(central_difference(energy, _STEP) - slope), float(change * (error + _CURVED))

    return case.worst(measure, "fields against finite differences of the free energy")


def check_forces(case: SolverCase) -> CheckResult:
    """``contract(density)`` gives the derivatives of the free energy when atoms move."""

    def measure(question: Question) -> tuple[float, float]:
        """How far slope and finite difference are apart, energy/length."""
        system, frozen = question.system, question.system.freeze()
        steps = np.random.default_rng(2).normal(size=system.spins.shape)
        plan = question.solver.plan(frozen.pattern)
        state = plan.solve(frozen.operator(system.spins))

        def moved(distance: float) -> SpinOperator:
            """The operator when all atoms are moved."""
            geometry = replace(system.geometry, positions=system.geometry.positions + distance * steps)
            return system.hamiltonian.freeze(geometry).operator(system.spins)

        def energy(distance: float) -> float:
            """Free energy when all atoms are moved."""
            operator = moved(distance)
            pattern = SparsityPattern.of(operator)  # at the cutoff bonds come and go
            here = plan if plan.pattern.equals(pattern) else plan.follow(pattern)
            return float(here.solve(operator).free_energy)

        slope = -float(np.sum(frozen.contract(state.density).forces * steps))
        unit = frozen.bonds.vectors / frozen.bonds.distances[:, None]
        stretch = np.sum(unit * (steps[frozen.bonds.second] - steps[frozen.bonds.first]), axis=1)
        change = 2.0 * np.linalg.norm(frozen.hopping_slope * stretch) + _twist(frozen, steps) + _turning(frozen, steps)
        error = question.solver.density_error(frozen.operator(system.spins)) + ROUND_OFF
        return abs(central_difference(energy, _SHORT_STEP) - slope), float(change * (error + _CURVED))

    moving = [question for question in case.questions() if question.system.freeze().moves]
    if not moving:
        raise SkipCheck("no system whose operator depends on positions")
    return case.worst(measure, "forces against finite differences of the free energy", moving)


def _twist(frozen: FrozenHamiltonian, steps: FloatArray) -> float:
    """By how much hoppings change in phase when atoms make `steps`, energy."""
    if frozen.phase_gradients is None:
        return 0.0
    first, second = frozen.phase_gradients
    turned = np.sum(first * steps[frozen.bonds.first] + second * steps[frozen.bonds.second], axis=1)
    return 2.0 * float(np.linalg.norm(frozen.hopping * turned))


def _turning(frozen: FrozenHamiltonian, steps: FloatArray) -> float:
    """By how much hoppings that turn spins change when atoms make `steps`, energy."""
    if frozen.spin_slope is None:
        return 0.0
    apart_ = steps[frozen.bonds.second] - steps[frozen.bonds.first]
    return 2.0 * float(np.linalg.norm(np.einsum("nac,nc->na", frozen.spin_slope, apart_)))


def check_patterns(case: SolverCase) -> CheckResult:
    """A plan refuses an operator with a bond less or a site more, goes on with its own, and one that follows it is right."""

    def measure(question: Question) -> tuple[float, float]:
        """Worst change of a density; infinite where another pattern is not refused."""
        operator = question.system.operator()
        plan = question.solver.plan(SparsityPattern.of(operator))
        first = plan.solve(operator).density
        others = [_with_a_site_more(operator), *([_without_a_bond(operator)] if len(operator.bonds) else [])]
        for other in others:
            try:
                plan.solve(other)
            except PatternError:
                continue
            return float("inf"), 1.0
        limit = 2.0 * question.solver.density_error(operator) + ROUND_OFF
        worst = apart(plan.solve(operator).density, first)
        if len(operator.bonds):
            other = others[-1]
            second = plan.follow(SparsityPattern.of(other)).solve(other).density
            exact = DenseSolver(case.occupied(question.occupation)).solve(other).density
            worst = max(worst, apart(second, exact))
        return worst, limit

    return case.worst(measure, "operators of another pattern")


def _without_a_bond(operator: SpinOperator) -> SpinOperator:
    rest = np.arange(len(operator.bonds) - 1)
    spin = None if operator.spin_hopping is None else operator.spin_hopping[rest]
    return replace(operator, bonds=operator.bonds.select(rest), hopping=operator.hopping[rest], spin_hopping=spin)


def _with_a_site_more(operator: SpinOperator) -> SpinOperator:
    exchange = np.concatenate([operator.exchange, [[0.0, 0.0, 0.3]]])
    return replace(operator, onsite=np.append(operator.onsite, 0.1), exchange=exchange)


def check_repeatability(case: SolverCase) -> CheckResult:
    """The same question has the same answer: from a new plan, and from one that was asked something else in between."""

    def measure(question: Question) -> tuple[float, float]:
        """Worst change of a density over what is allowed."""
        operator, again = question.system.operator(), case.make(question.system, question.occupation)
        pattern, error = SparsityPattern.of(operator), question.solver.density_error(question.system.operator())
        fresh = again.plan(pattern).solve(operator).density
        same = apart(fresh, case.answer(question).density) / ROUND_OFF
        plan = again.plan(pattern)
        first = plan.solve(operator).density
        plan.solve(replace(operator, exchange=-operator.exchange[::-1]))
        return max(same, apart(plan.solve(operator).density, first) / (2.0 * error + ROUND_OFF)), 1.0

    return case.worst(measure, "the same question again, over what is allowed")


def check_bonds(case: SolverCase) -> CheckResult:
    """Without the bond density everything else stays as it is."""

    def measure(question: Question) -> tuple[float, float]:
        """Worst change of charges and spins."""
        whole = case.answer(question)
        part = case.make(question.system, question.occupation).solve(question.system.operator(), bonds=False)
        worst = max(
            float(np.abs(part.density.charge - whole.density.charge).max()),
            float(np.abs(part.density.spin - whole.density.spin).max()),
        )
        return worst, question.solver.density_error(question.system.operator()) + ROUND_OFF

    return case.worst(measure, "site blocks without bonds against those with them")


def check_restart(case: SolverCase) -> CheckResult:
    """A step that is taken back and a checkpoint leave the next answer as it was."""

    def measure(question: Question) -> tuple[float, float]:
        """Worst change of a density."""
        operator = question.system.operator()
        plan: Plan[Any] = question.solver.plan(SparsityPattern.of(operator))
        plan.solve(operator)
        state = plan.step_state()
        stored = plan.checkpoint_state()
        turned = replace(operator, exchange=-operator.exchange[::-1])
        expected = plan.solve(turned).density
        plan.restore_step(state)
        worst = apart(plan.solve(turned).density, expected)
        if stored is not None:
            restored = question.solver.restore_plan(json.loads(json.dumps(stored)))
            worst = max(worst, apart(restored.solve(turned).density, expected))
        return worst, ROUND_OFF

    return case.worst(measure, "answers after a step was taken back and after a restart")


def check_zero_temperature(case: SolverCase) -> CheckResult:
    """At kT = 0 in a gap the density of diagonalization, or a refusal."""
    system = next(system for system in case.systems if system.levels is not None)
    if "zero_temperature" in case.make(system, OPEN).abilities:
        return case.worst(
            lambda question: _density_error(case, question), "density at kT = 0 in a gap", case.cold_questions()
        )
    return _refused(case, system, replace(OPEN, kT=0.0), "kT = 0")


def check_refusals(case: SolverCase) -> CheckResult:
    """What is not among the abilities is refused."""
    system = case.systems[0]
    abilities = case.make(system, OPEN).abilities
    if "filling" not in abilities:
        return _refused(case, system, CLOSED, "a fixed filling")
    if "flux" not in abilities:
        complex_ = [other for other in case.systems if not other.operator().is_real]
        return _refused(case, complex_[0], OPEN, "complex hopping")
    turning = [other for other in case.systems if other.operator().spin_hopping is not None]
    if "spin_orbit" not in abilities and turning:
        return _refused(case, turning[0], OPEN, "hopping that turns spins")
    raise SkipCheck("fillings, complex hopping and hopping that turns spins are among its abilities")


def _refused(case: SolverCase, system: ElectronSystem, occupation: Occupation, what: str) -> CheckResult:
    try:
        case.make(system, occupation).solve(system.operator())
    except ModelError as error:
        return CheckResult("", "passed", None, None, f"{what} is refused: {error}")
    return CheckResult("", "failed", None, None, f"{what} is not among its abilities, but it answers: refuse it")


SOLVER_CHECKS: dict[str, Callable[[SolverCase], CheckResult]] = {
    "shapes": check_shapes,
    "trace": check_trace,
    "density": check_density,
    "energies": check_energies,
    "thermodynamics": check_thermodynamics,
    "fields": check_fields,
    "forces": check_forces,
    "patterns": check_patterns,
    "repeatability": check_repeatability,
    "bonds": check_bonds,
    "restart": check_restart,
    "zero_temperature": check_zero_temperature,
    "refusals": check_refusals,
}
"""Every check of solvers by name."""


def _as_it_is(occupation: Occupation) -> Occupation:
    return occupation


def check_solver(
    make: MakeSolver,
    *,
    checks: Iterable[str] | None = None,
    skip: Iterable[str] = (),
    systems: Sequence[ElectronSystem] | None = None,
    occupied: Callable[[Occupation], Occupation] = _as_it_is,
) -> Report:
    """Run the conformance checks on one solver.

    Parameters
    ----------
    make : function
        ``make(system, occupation)`` gives a new solver; most solvers need the occupation only.
    checks : names, optional
        Which checks to run, keys of :data:`SOLVER_CHECKS`; default: all.
    skip : names
        Checks to leave out.
    systems : sequence of ElectronSystem, optional
        Default: :func:`~spinase.testing.electron_systems.all_systems`.  One of them must have levels in closed form.
    occupied : function, optional
        From the occupation that is asked for to that of the levels, where a solver broadens them (a bath on all sites).

    Returns
    -------
    Report
        One result per check, each of the worst system.

    Raises
    ------
    ConformanceError
        If any check fails; its message lists all that do, and its ``report`` holds every result.
    ValueError
        On an unknown check.
    """
    wanted, left_out = list(SOLVER_CHECKS if checks is None else checks), set(skip)
    unknown = [name for name in [*wanted, *left_out] if name not in SOLVER_CHECKS]
    if unknown:
        raise ValueError(f"unknown check {unknown[0]!r}: use some of {', '.join(SOLVER_CHECKS)}")
    case = SolverCase(make, occupied, all_systems() if systems is None else tuple(systems))
    name = type(make(case.systems[0], OPEN)).__name__
    results = [run_check(check, SOLVER_CHECKS[check], case) for check in wanted if check not in left_out]
    report = Report(name, tuple(results))
    if report.failures:
        raise ConformanceError(report)
    return report
