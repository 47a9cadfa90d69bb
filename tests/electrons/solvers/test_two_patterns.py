"""One solver on two magnets of the same number of sites, one after the other: nothing of the first is left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from systems.devices import attach, of_atoms

from spinase import SpinAtoms
from spinase.electrons import ExponentialHopping, FixedChemicalPotential, FixedFilling
from spinase.electrons.operator import SpinOperator
from spinase.electrons.solvers.base import Solver
from spinase.electrons.solvers.dense import DenseSolver
from spinase.electrons.solvers.kpm import KPMOptions, KPMSolver
from spinase.electrons.solvers.negf import Drive, NEGFSolver
from spinase.electrons.solvers.rational import RationalSolver
from spinase.electrons.solvers.refreshed import RefreshedSolver
from spinase.electrons.transport.leads import Bath, WideBandLead
from spinase.errors import ModelError

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


SOLVERS: dict[str, Callable[[], Solver]] = {
    "dense": lambda: DenseSolver(OPEN),
    "rational": lambda: RationalSolver(CLOSED, 1e-7),
    "kpm": lambda: KPMSolver(OPEN, UNIT),
    "kpm, filling": lambda: KPMSolver(CLOSED, UNIT),
    "refreshed": lambda: RefreshedSolver(KPMSolver(OPEN, UNIT), DenseSolver(OPEN), 1e-3),
    "negf": lambda: negf(0.0),
    "negf, biased": lambda: negf(0.4),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_a_second_pattern_is_solved_as_by_a_new_solver(name: str) -> None:
    first, second = disordered(1), disordered(2)
    assert not np.array_equal(first.bonds.first, second.bonds.first)
    solver = SOLVERS[name]()
    for operator in (first, second, first):
        found, expected = solver.solve(operator).density, SOLVERS[name]().solve(operator).density
        np.testing.assert_allclose(found.spin, expected.spin, atol=2e-4)
        np.testing.assert_allclose(found.charge, expected.charge, atol=2e-4)
        np.testing.assert_allclose(found.bond, expected.bond, atol=2e-4)


def test_colours_of_the_first_pattern_are_not_those_of_the_second() -> None:
    """The asked accuracy holds for either of two magnets of equal size."""
    options = KPMOptions(accuracy=5e-3)
    solver = KPMSolver(OPEN, options, np.random.default_rng(1))
    for lattice in ("square", "triangular"):
        atoms = SpinAtoms.lattice(lattice, (8, 8), units="reduced", rng=2)
        _, operator = of_atoms(atoms, 1.0)
        found, exact = solver.solve(operator).density.spin, DenseSolver(OPEN).solve(operator).density.spin
        assert np.sqrt(np.mean((found - exact) ** 2)) < 2.0 * options.accuracy


@pytest.mark.parametrize("name", ["dense", "rational", "refreshed"])
def test_the_same_bonds_with_another_site_are_another_pattern(name: str) -> None:
    """The plan of 16 sites does not fit 17, though no bond is new."""
    solver, operator = SOLVERS[name](), disordered(1)
    solver.solve(operator)
    found = solver.solve(lonely(operator, -1.0)).density
    expected = SOLVERS[name]().solve(lonely(operator, -1.0)).density
    assert found.charge.shape == (17,)
    np.testing.assert_allclose(found.charge, expected.charge, atol=1e-4)


def test_a_transmission_and_an_audit_are_of_the_operator_they_are_given() -> None:
    solver, first, second = negf(0.4), disordered(1), disordered(2)
    state = solver.solve(first, bonds=False)
    energies = np.array([-0.3])
    np.testing.assert_allclose(
        solver.transmission(second, energies), negf(0.4).transmission(second, energies), rtol=1e-12, atol=1e-14
    )
    assert solver.dwell_time(second) == pytest.approx(negf(0.4).dwell_time(second), rel=1e-10)
    assert solver.missed(first, state) == pytest.approx(negf(0.4).missed(first, state), abs=1e-9)


def test_leads_on_sites_that_are_not_there_are_refused() -> None:
    operator = disordered(1)
    small = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
    solver = negf(0.0)
    solver.solve(operator)
    with pytest.raises(ModelError, match=r"attached to site 15, and the operator has 9 sites"):
        solver.solve(of_atoms(small, 1.0)[1])
