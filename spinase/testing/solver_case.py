"""What the checks of solvers work on: questions to a solver, their answers, and how errors are measured."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from spinase.electrons.occupation import FixedChemicalPotential, FixedFilling, Occupation
from spinase.electrons.operator import Density, ElectronState, SpinOperator
from spinase.electrons.solvers.base import Solver
from spinase.testing.electron_systems import ElectronSystem
from spinase.testing.report import CheckResult
from spinase.typing import FloatArray

MakeSolver = Callable[[ElectronSystem, Occupation], Solver[Any]]

OPEN, CLOSED = FixedChemicalPotential(0.15, -0.5), FixedFilling(0.15, 0.37)
ROUND_OFF = 1e-9  # of what must be equal but for it, relative


@dataclass(frozen=True, eq=False)
class Question:
    """A system, how it is filled, and a solver that is to answer.

    Attributes
    ----------
    system : ElectronSystem
    occupation : Occupation
    solver : Solver
    """

    system: ElectronSystem
    occupation: Occupation
    solver: Solver[Any]

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.system.name}, {self.occupation}"


@dataclass(eq=False)
class SolverCase:
    """What the checks of solvers work on.

    Attributes
    ----------
    make : function
        ``make(system, occupation)`` gives a new solver.
    occupied : function
        The occupation that the levels of a system without leads have; another one for broadened levels.
    systems : sequence of ElectronSystem
    """

    make: MakeSolver
    occupied: Callable[[Occupation], Occupation]
    systems: Sequence[ElectronSystem]
    _answers: dict[str, ElectronState] = field(default_factory=dict)

    def questions(self) -> Iterator[Question]:
        """All systems and occupations that the solver says it can do."""
        for system in self.systems:
            abilities = self.make(system, OPEN).abilities
            if not can_do(abilities, system.operator()):
                continue
            yield Question(system, OPEN, self.make(system, OPEN))
            if "filling" in abilities:
                yield Question(system, CLOSED, self.make(system, CLOSED))

    def cold_questions(self) -> Iterator[Question]:
        """The same at kT = 0, in the gap of analytic systems."""
        for system in self.systems:
            if system.levels is None or not can_do(self.make(system, OPEN).abilities, system.operator()):
                continue
            cold: list[Occupation] = [FixedChemicalPotential(0.0, float(_widest_gap(system.levels)))]
            if "filling" in self.make(system, OPEN).abilities:
                cold.append(FixedFilling(0.0, float(np.mean(system.levels < _widest_gap(system.levels)))))
            for occupation in cold:
                yield Question(system, occupation, self.make(system, occupation))

    def answer(self, question: Question) -> ElectronState:
        """The state of a question, solved once."""
        if question.name not in self._answers:
            self._answers[question.name] = question.solver.solve(question.system.operator())
        return self._answers[question.name]

    def worst(
        self, measure: Callable[[Question], tuple[float, float]], what: str, questions: Iterable[Question] | None = None
    ) -> CheckResult:
        """The worst of all measured (error, limit).

        Parameters
        ----------
        measure : callable
            Question -> (error, limit).
        what : str
            What is measured, for the report.
        questions : iterable of Question, optional
            Default: all.
        """
        worst, found = -1.0, CheckResult("", "passed", None, None, what)
        for question in self.questions() if questions is None else questions:
            error, limit = measure(question)
            ratio = error / limit if np.isfinite(error) else np.inf
            if ratio > worst:
                worst = ratio
                status = "passed" if ratio <= 1.0 else "failed"
                found = CheckResult("", status, float(error), float(limit), f"{what} ({question.name})")  # type: ignore[arg-type]
        return found


def can_do(abilities: Container[str], operator: SpinOperator) -> bool:
    """Whether a solver with these abilities says that it takes the hopping of an operator.

    Parameters
    ----------
    abilities : frozenset of str
        Of the solver.
    operator : SpinOperator
        With its hopping.
    """
    if operator.spin_hopping is not None:
        return "spin_orbit" in abilities
    return "flux" in abilities or operator.is_real


def _widest_gap(levels: FloatArray) -> float:
    """The middle of the widest gap between levels, energy."""
    ordered = np.sort(levels)
    n = int(np.argmax(np.diff(ordered)))
    return float(0.5 * (ordered[n] + ordered[n + 1]))


def _components(density: Density) -> FloatArray:
    turned = np.zeros(0) if density.bond_spin is None else density.bond_spin.ravel()
    bonds = np.concatenate([density.bond, turned])
    return np.concatenate([density.charge, density.spin.ravel(), bonds.real, bonds.imag])


def apart(one: Density, other: Density) -> float:
    """Largest difference of two densities (spins of bonds where both have them); infinite for other shapes."""
    if one.bond_spin is None or other.bond_spin is None:
        one, other = replace(one, bond_spin=None), replace(other, bond_spin=None)
    shapes = [(a.shape, b.shape) for a, b in ((one.charge, other.charge), (one.spin, other.spin), (one.bond, other.bond))]
    if any(a != b for a, b in shapes):
        return float("inf")
    return float(np.abs(_components(one) - _components(other)).max())


def _range(operator: SpinOperator) -> float:
    """A length of the spectrum, energy."""
    reach = np.linalg.norm(operator.exchange, axis=1) + np.abs(operator.onsite)
    for sites in (operator.bonds.first, operator.bonds.second):
        np.add.at(reach, sites, operator.bond_strengths())
    return 2.0 * float(reach.max())


def energy_limit(question: Question) -> float:
    """What the declared error of occupations may cost in energy: all levels, over the length of the spectrum."""
    operator = question.system.operator()
    return 2.0 * len(operator) * _range(operator) * (question.solver.density_error(operator) + ROUND_OFF)
