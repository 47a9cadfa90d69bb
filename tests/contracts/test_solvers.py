"""The conformance kit of solvers on those of this package, and on one as a user writes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import digamma
from systems.toy_solver import ToySolver

from spinase.electrons import Bath, FixedChemicalPotential, SDHamiltonian, ShellHopping
from spinase.electrons.occupation import Filled, Occupation
from spinase.electrons.solvers.dense import DenseSolver
from spinase.electrons.solvers.kpm import KPMOptions, KPMSolver
from spinase.electrons.solvers.negf import Drive, NEGFSolver
from spinase.electrons.solvers.rational import RationalSolver
from spinase.electrons.solvers.refreshed import RefreshedSolver
from spinase.errors import ModelError
from spinase.testing import check_solver
from spinase.testing.electron_systems import ElectronSystem
from spinase.typing import FloatArray

WIDTH = 0.3
SINGLE, DOUBLE = KPMOptions(accuracy=1e-3, columns="unit"), KPMOptions(accuracy=1e-2, dtype="float64")


@dataclass(frozen=True)
class Broadened(Occupation):
    """Levels that all decay into one bath with the rate WIDTH/hbar: the Fermi function on a Lorentzian,

    f(e) = 1/2 - Im psi(1/2 + z)/pi,  z = (WIDTH/2 + i (e - mu))/(2 pi kT);  at kT = 0: 1/2 - arctan(2 (e - mu)/WIDTH)/pi.
    """

    chemical_potential: float = 0.0

    def fill(self, levels: FloatArray, weights: FloatArray, orbitals: float, resolution: float = 0.0) -> Filled:
        above = levels - self.chemical_potential
        if self.kT == 0.0:
            occupations = 0.5 - np.arctan(2.0 * above / WIDTH) / np.pi
        else:
            occupations = 0.5 - digamma(0.5 + (0.5 * WIDTH + 1j * above) / (2.0 * np.pi * self.kT)).imag / np.pi
        return Filled(occupations, self.chemical_potential, float(weights @ occupations), np.nan, np.nan, np.nan)


def broadened(occupation: Occupation) -> Occupation:
    assert isinstance(occupation, FixedChemicalPotential)
    return Broadened(occupation.kT, occupation.chemical_potential)


def in_a_bath(system: ElectronSystem, occupation: Occupation) -> NEGFSolver:
    """Every site in one bath."""
    assert isinstance(occupation, FixedChemicalPotential)
    lead = Bath(WIDTH).attach(system.geometry, SDHamiltonian(ShellHopping([1.0]), 0.0), 0.0)
    return NEGFSolver([lead], Drive(occupation.chemical_potential, occupation.kT, 0.0, 1e-6))


SOLVERS = {
    "toy": lambda system, occupation: ToySolver(occupation),
    "dense": lambda system, occupation: DenseSolver(occupation),
    "rational": lambda system, occupation: RationalSolver(occupation, 1e-6),
    "unit columns": lambda system, occupation: KPMSolver(occupation, SINGLE),
    "probing": lambda system, occupation: KPMSolver(occupation, DOUBLE),
    "refreshed": lambda system, occupation: RefreshedSolver(KPMSolver(occupation, DOUBLE), DenseSolver(occupation), 1e-2),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_of_closed_magnets(name: str) -> None:
    report = check_solver(SOLVERS[name])
    assert {result.name for result in report if result.status == "skipped"} == {"refusals"}


def test_devices_in_a_bath() -> None:
    """Densities of diagonalization with broadened levels; a device has no filling to refuse."""
    report = check_solver(in_a_bath, skip=["refusals"], occupied=broadened)
    assert all(result.status == "passed" for result in report)


def test_plans_that_keep_nothing_are_not_restored() -> None:
    with pytest.raises(ModelError, match="plans of DenseSolver keep nothing in checkpoints"):
        DenseSolver(FixedChemicalPotential(0.1, 0.0)).restore_plan({})
