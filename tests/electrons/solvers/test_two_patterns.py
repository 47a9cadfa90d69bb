"""Solvers on two magnets of the same number of sites, one after the other: nothing of the first is left."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from systems.devices import attach, of_atoms

from spinase import SpinAtoms
from spinase.electrons import ExponentialHopping, FixedChemicalPotential, FixedFilling
from spinase.electrons.operator import SparsityPattern, SpinOperator
from spinase.electrons.solvers.base import Solver
from spinase.electrons.solvers.dense import DenseSolver
from spinase.electrons.solvers.kpm import KPMOptions, KPMSolver
from spinase.electrons.solvers.negf import Drive, NEGFSolver
from spinase.electrons.solvers.rational import RationalSolver
from spinase.electrons.solvers.refreshed import RefreshedSolver
from spinase.electrons.transport.leads import Bath, WideBandLead
from spinase.errors import ModelError, PatternError

LAW = ExponentialHopping(1.0, 1.0, 1.0, 1.6)
OPEN, CLOSED = FixedChemicalPotential(0.2, -0.4), FixedFilling(0.2, 0.4)
UNIT = KPMOptions(columns="unit", accuracy=1e-4)


def disordered(seed: int) -> SpinOperator:
    """16 sites in a box; every seed has other bonds."""
    atoms = SpinAtoms.disordered(16, density=0.5, min_distance=0.8, dimension=2, units="reduced", rng=seed)
    return of_atoms(atoms, 1.1, LAW)[1]


def lonely(operator: SpinOperator, onsite: float) -> SpinOperator:
    """The same bonds, and one more site without any."""
    more = np.concatenate([operator.exchange, [[0.0, 0.0, 0.3]]])
    return SpinOperator(operator.bonds, operator.hopping, np.append(operator.onsite, onsite), more)


def negf(bias: float) -> NEGFSolver:
    atoms = SpinAtoms.disordered(16, density=0.5, min_distance=0.8, dimension=2, units="reduced", rng=1)
    leads = attach(of_atoms(atoms, 1.1, LAW)[0], WideBandLead(0.5, [0, 1]), WideBandLead(0.5, [14, 15]), Bath(0.1))
    return NEGFSolver(leads, Drive(-0.4, 0.2, bias, 1e-4))


SOLVERS: dict[str, Callable[[], Solver[Any]]] = {
    "dense": lambda: DenseSolver(OPEN),
    "rational": lambda: RationalSolver(CLOSED, 1e-7),
    "kpm": lambda: KPMSolver(OPEN, UNIT),
    "kpm, filling": lambda: KPMSolver(CLOSED, UNIT),
    "refreshed": lambda: RefreshedSolver(KPMSolver(OPEN, UNIT), DenseSolver(OPEN), 1e-3),
    "negf": lambda: negf(0.0),
    "negf, biased": lambda: negf(0.4),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_a_plan_that_follows_another_solves_as_a_new_one(name: str) -> None:
    first, second = disordered(1), disordered(2)
    assert not np.array_equal(first.bonds.first, second.bonds.first)
    plan = SOLVERS[name]().plan(SparsityPattern.of(first))
    for operator in (first, second, first):
        plan = plan if plan.pattern.equals(SparsityPattern.of(operator)) else plan.follow(SparsityPattern.of(operator))
        found, expected = plan.solve(operator).density, SOLVERS[name]().solve(operator).density
        np.testing.assert_allclose(found.spin, expected.spin, atol=2e-4)
        np.testing.assert_allclose(found.charge, expected.charge, atol=2e-4)
        np.testing.assert_allclose(found.bond, expected.bond, atol=2e-4)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_plan_refuses_another_pattern_and_says_where_it_differs(name: str) -> None:
    first, second = disordered(1), disordered(2)
    plan = SOLVERS[name]().plan(SparsityPattern.of(first))
    apart = (first.bonds.first[:20] != second.bonds.first[:20]) | (first.bonds.second[:20] != second.bonds.second[:20])
    b = int(np.argmax(apart))
    one, two = ((o.bonds.first[b], o.bonds.second[b]) for o in (first, second))
    message = (
        f"a plan for 16 site(s) and {len(first.bonds)} bond(s) was given an operator of 16 site(s) and {len(second.bonds)} "
        f"bond(s); bond {b} joins sites {one[0]} and {one[1]} in the plan, {two[0]} and {two[1]} in the operator"
    )
    with pytest.raises(PatternError, match=re.escape(message)):
        plan.solve(second)
    with pytest.raises(PatternError, match=r"a plan for 16 .* operator of 17 site\(s\) .* bond\(s\): make a plan"):
        plan.solve(lonely(first, 0.1))
    plan.solve(first)


def test_colours_of_the_first_pattern_are_not_those_of_the_second() -> None:
    """The asked accuracy holds for either of two magnets of equal size."""
    options = KPMOptions(accuracy=5e-3)
    solver = KPMSolver(OPEN, options, np.random.default_rng(1))  # whose plans share the phases
    for lattice in ("square", "triangular"):
        atoms = SpinAtoms.lattice(lattice, (8, 8), units="reduced", rng=2)
        _, operator = of_atoms(atoms, 1.0)
        found, exact = solver.solve(operator).density.spin, DenseSolver(OPEN).solve(operator).density.spin
        assert np.sqrt(np.mean((found - exact) ** 2)) < 2.0 * options.accuracy


@pytest.mark.parametrize("name", ["dense", "rational", "refreshed"])
def test_the_same_bonds_with_another_site_are_followed(name: str) -> None:
    """The plan of 16 sites does not fit 17, though no bond is new."""
    solver, operator = SOLVERS[name](), disordered(1)
    plan = solver.plan(SparsityPattern.of(operator))
    plan.solve(operator)
    more = lonely(operator, -1.0)
    found, expected = plan.follow(SparsityPattern.of(more)).solve(more).density, SOLVERS[name]().solve(more).density
    assert found.charge.shape == (17,)
    np.testing.assert_allclose(found.charge, expected.charge, atol=1e-4)


def test_what_else_a_device_is_asked_is_of_its_own_pattern() -> None:
    first, second = disordered(1), disordered(2)
    plan = negf(0.4).plan(SparsityPattern.of(first))
    state, energies = plan.solve(first, bonds=False), np.array([-0.3])
    for ask in (
        lambda: plan.transmission(second, energies),
        lambda: plan.dwell_time(second),
        lambda: plan.missed(second, state),
    ):
        with pytest.raises(PatternError, match="a plan for 16 site"):
            ask()


def test_a_device_under_another_drive_keeps_its_layers() -> None:
    operator = disordered(1)
    plan = negf(0.4).plan(SparsityPattern.of(operator))
    other = plan.under(replace(plan.drive, bias=0.1))
    assert other.structure is plan.structure
    np.testing.assert_allclose(other.solve(operator).density.spin, negf(0.1).solve(operator).density.spin, atol=1e-12)


def test_leads_on_sites_that_are_not_there_are_refused() -> None:
    operator = disordered(1)
    small = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
    solver = negf(0.0)
    solver.plan(SparsityPattern.of(operator))
    with pytest.raises(ModelError, match=r"attached to site 15, and the operator has 9 sites"):
        solver.plan(SparsityPattern.of(of_atoms(small, 1.0)[1]))
