"""The contract: what drivers ask of any calculator, and how they are refused."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.calculators.emt import EMT

from spinase import SpinAtoms
from spinase.atoms import get_moments
from spinase.calculators import (
    EDCalculator,
    HeisenbergCalculator,
    RationalCalculator,
    SpinSumCalculator,
    ZeemanCalculator,
)
from spinase.contract import (
    NotConservativeError,
    ase_outputs,
    calculator_of,
    energy_of,
    field_function,
    field_resolution,
    has_fast_fields,
    is_conservative,
    probe_moments,
    require_magnetic_forces,
)
from spinase.dynamics import LLGDynamics
from spinase.electrons import ExponentialHopping, SDModel
from spinase.errors import MissingMagneticForcesError, MomentsIgnoredError


class Foreign(Calculator):
    """A user's plain ASE calculator: E = -sum_i m_iz^2, B_i = 2 m_iz z."""

    implemented_properties = ["energy", "magnetic_forces"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        along = get_moments(atoms)[:, 2]
        self.results = {"energy": -float(along @ along), "magnetic_forces": 2.0 * along[:, None] * [0.0, 0.0, 1.0]}


class Deaf(Foreign):
    """Ignores the moments."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        Calculator.calculate(self, atoms, properties, system_changes)
        self.results = {"energy": -1.0, "magnetic_forces": np.ones((len(atoms), 3))}


class DrivenDeaf(Deaf):
    conservative = False
    implemented_properties = ["magnetic_forces"]


@pytest.fixture
def magnet() -> SpinAtoms:
    return SpinAtoms.lattice("square", (2, 2), moment=1.5, rng=3)


def test_atoms_without_a_calculator(magnet):
    with pytest.raises(MissingMagneticForcesError, match=r"the atoms have no calculator: set atoms.calc first"):
        calculator_of(magnet)


def test_a_calculator_without_magnetic_forces_is_refused(magnet):
    with pytest.raises(MissingMagneticForcesError, match="EMT gives no magnetic_forces, .* SpinSumCalculator"):
        require_magnetic_forces(EMT())
    with pytest.raises(MissingMagneticForcesError, match="EMT"):
        field_function(magnet, EMT())
    require_magnetic_forces(Foreign())


def test_foreign_calculators_are_taken_at_their_word(magnet):
    assert is_conservative(Foreign())
    assert not is_conservative(DrivenDeaf())
    assert not has_fast_fields(Foreign())
    assert has_fast_fields(HeisenbergCalculator(shells=[1.0]))


@pytest.mark.parametrize("lengths", [None, np.array([1.0, 2.0, 0.5, 3.0])])
def test_fields_of_a_foreign_calculator_follow_the_spins_and_leave_the_atoms_alone(magnet, lengths):
    before = magnet.copy()
    fields = field_function(magnet, Foreign(), lengths)
    spins = SpinAtoms.lattice("square", (2, 2), rng=9).spins
    scale = np.full(4, 1.5) if lengths is None else lengths
    assert fields(spins) == pytest.approx(2.0 * (scale * spins[:, 2])[:, None] * [0, 0, 1.0])
    assert magnet == before


def test_fields_are_restored_after_an_error(magnet):
    class Failing(Foreign):
        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            raise RuntimeError("no")

    before = magnet.copy()
    with pytest.raises(RuntimeError):
        field_function(magnet, Failing())(-magnet.spins)
    assert magnet == before


def test_the_fast_path_is_the_slow_path(magnet):
    calc = HeisenbergCalculator(shells=[0.7])
    spins = SpinAtoms.lattice("square", (2, 2), rng=9).spins
    other = magnet.copy()
    other.spins = spins
    assert field_function(magnet, calc)(spins) == pytest.approx(calc.get_property("magnetic_forces", other), abs=1e-15)


def test_energy_of_prefers_the_free_energy(magnet):
    class Hot(Foreign):
        implemented_properties = ["energy", "free_energy", "magnetic_forces"]

        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            self.results["free_energy"] = self.results["energy"] - 1.0

    magnet.calc = Foreign()
    plain = energy_of(magnet)
    assert plain == magnet.get_potential_energy()
    magnet.calc = Hot()
    assert energy_of(magnet) == pytest.approx(plain - 1.0)
    magnet.calc = DrivenDeaf()
    assert energy_of(magnet) is None


@pytest.mark.parametrize("calc", [Foreign(), HeisenbergCalculator(shells=[1.0]), ZeemanCalculator((0, 0, 1.0))])
def test_the_probe_passes_calculators_that_see_moments(magnet, calc):
    before = magnet.copy()
    probe_moments(magnet, calc)
    assert magnet == before


@pytest.mark.parametrize("calc", [Deaf(), DrivenDeaf()])
def test_the_probe_refuses_calculators_that_do_not(magnet, calc):
    with pytest.raises(MomentsIgnoredError, match=f"{type(calc).__name__} returns the same .* pass probe=False"):
        probe_moments(magnet, calc)


def test_errors_are_of_the_kind_ase_users_catch():
    assert issubclass(NotConservativeError, PropertyNotImplementedError)
    assert issubclass(MissingMagneticForcesError, TypeError)


def test_ase_outputs_keeps_the_names_ase_knows():
    assert dict(ase_outputs({"energy": 1.0, "torques": np.zeros((2, 3))})) == {"energy": 1.0}


def test_a_foreign_calculator_drives_atoms_of_plain_ase():
    atoms = Atoms("Fe", magmoms=[2.0])
    assert field_function(atoms, Foreign())(np.array([[0, 0, 1.0]])).tolist() == [[0, 0, 4.0]]


def test_the_coarsest_member_tells_the_resolution_of_a_sum() -> None:
    """Single precision somewhere in it; calculators that say nothing are in double precision."""
    model = SDModel(ExponentialHopping(1.0, 3.0, 1.0, 2.0), 1.0, chemical_potential=0.0, kT=0.1)
    single, double = EDCalculator(model, dtype="complex64"), EDCalculator(model)
    assert field_resolution(double) == field_resolution(EMT()) == 0.0
    assert field_resolution(RationalCalculator(model, dtype="complex64")) == field_resolution(single)
    assert 1e-8 < field_resolution(SpinSumCalculator([EMT(), SpinSumCalculator([double, single])])) < 1e-6
    atoms = SpinAtoms.disordered(4, units="reduced", rng=4)
    for calc, expected in ((single, field_resolution(single)), (double, 0.0)):
        atoms.calc = calc
        driver = LLGDynamics(atoms, 0.01, integrator="midpoint")
        driver.run(1)
        assert driver.integrator.resolution == expected
