"""A solver of one's own in a script: no file of the package knows it."""

from __future__ import annotations

import numpy as np
import pytest
from systems.toy_solver import ToySolver

from spinase import SpinAtoms
from spinase.calculators import EDCalculator, KPMCalculator, SolverCalculator
from spinase.dynamics import LLGDynamics
from spinase.electrons import ExponentialHopping, SDModel
from spinase.errors import ModelError
from spinase.testing import check_calculator

MODEL = SDModel(ExponentialHopping(1.0, 1.0, 1.0, 1.9), 1.2, filling=0.35, kT=0.1)


def cluster() -> SpinAtoms:
    return SpinAtoms.disordered(8, density=0.5, min_distance=0.8, units="reduced", rng=3)


def test_results_are_those_of_exact_diagonalization() -> None:
    one, other = SolverCalculator(MODEL, ToySolver), EDCalculator(MODEL)
    for name in ("energy", "free_energy", "forces", "stress", "magnetic_forces", "entropy", "spin_density"):
        found, expected = one.get_property(name, cluster()), other.get_property(name, cluster())
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_the_calculator_passes_the_conformance_kit() -> None:
    check_calculator(SolverCalculator(MODEL, ToySolver), cluster())


def test_a_driver_runs_it() -> None:
    ends = []
    for calc in (SolverCalculator(MODEL, ToySolver), EDCalculator(MODEL)):
        atoms = cluster()
        atoms.calc = calc
        LLGDynamics(atoms, timestep=0.05, damping=0.1).run(5)
        ends.append(atoms.spins)
    np.testing.assert_allclose(*ends, atol=1e-9)


def test_it_may_be_the_reference_of_the_kernel_polynomial_method() -> None:
    corrected = KPMCalculator(MODEL, 1e-2, reference=ToySolver)
    found = corrected.get_property("magnetic_forces", cluster())
    np.testing.assert_allclose(found, EDCalculator(MODEL).get_property("magnetic_forces", cluster()), atol=1e-9)


def test_what_makes_no_solver_is_refused() -> None:
    with pytest.raises(ModelError, match=r"solver must make a spinase.electrons.solvers.base.Solver .* made 0.1"):
        SolverCalculator(MODEL, lambda occupation: occupation.kT)  # type: ignore[arg-type, return-value]
