"""Parameters stay what they were when they were given: neither the caller's array nor an attribute changes them later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import (
    BondTableCalculator,
    CubicAnisotropyCalculator,
    DipoleCalculator,
    DMICalculator,
    EDCalculator,
    HeisenbergCalculator,
    LandauCalculator,
    NEGFCalculator,
    SlonczewskiCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
    ZhangLiCalculator,
)
from spinase.classical import Landau, Slonczewski, Zeeman, ZhangLi
from spinase.classical.tensor import BondTable
from spinase.dynamics import LLGDynamics, Ramp
from spinase.electrons import LatticeLead, SDModel, ShellHopping, WideBandLead
from spinase.errors import ModelError
from spinase.pair_laws import ShellLaw

VECTOR = np.array([0.1, 0.2, 0.3])
AXIS = np.array([0.6, 0.0, 0.8])


def bond_table(positions: np.ndarray) -> BondTable:
    bonds = np.array([0]), np.array([0]), np.array([[1, 0, 0]])
    return BondTable(positions[None], np.diag([1.0, 1.0, 1.0]), *bonds, np.eye(3)[None] * 0.3)


def model(**options: Any) -> SDModel:
    return SDModel(ShellHopping([1.0]), 1.0, chemical_potential=-1.0, kT=0.1, **options)


FIELDS: dict[str, tuple[np.ndarray, Callable[[np.ndarray], Any]]] = {
    "Zeeman": (VECTOR, ZeemanCalculator),
    "Landau": (VECTOR, LandauCalculator),
    "dipole": (VECTOR, lambda x: DipoleCalculator(0.1, demagnetization=x, accuracy=1e-4)),
    "uniaxial": (AXIS, lambda x: UniaxialAnisotropyCalculator(0.3, x)),
    "cubic": (np.eye(3), lambda x: CubicAnisotropyCalculator(0.3, x)),
    "DMI": (AXIS, lambda x: DMICalculator([0.3], normal=x)),
    "exchange": (np.array([0.4]), HeisenbergCalculator),
    "Slonczewski": (AXIS, lambda x: SlonczewskiCalculator(x, 0.2)),
    "Zhang-Li": (np.array([0.3, 0.1, 0.0]), lambda x: ZhangLiCalculator(x, units="reduced")),
    "bond table": (np.zeros(3), lambda x: BondTableCalculator(bond_table(x))),
    "electrons, zeeman": (VECTOR, lambda x: EDCalculator(model(zeeman=x))),
    "electrons, onsite": (np.arange(12.0), lambda x: EDCalculator(model(onsite=x))),
    "lead": (AXIS, lambda x: NEGFCalculator(model(), [LatticeLead("left", exchange=x), LatticeLead("right")])),
    "wide band": (AXIS, lambda x: NEGFCalculator(model(), [WideBandLead(0.5, "left", polarization=x)])),
}


def place() -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (4, 3), units="reduced", rng=3)
    atoms.cell[2, 2] = 1.0
    return atoms


def fields_of(calc: Any) -> np.ndarray:
    atoms = place()
    atoms.pbc = [not isinstance(calc, NEGFCalculator), True, isinstance(calc, DipoleCalculator)]
    calc.reset()
    return np.asarray(calc.field_function(atoms)(atoms.spins))


@pytest.mark.parametrize("name", FIELDS)
def test_an_array_of_the_caller_is_copied(name):
    values, make = FIELDS[name]
    given = values.copy()
    calc = make(given)
    before = fields_of(calc)
    given[...] = np.roll(given, 1, axis=-1) + 0.1
    after = fields_of(calc)
    place_again = fields_of(make(values.copy()))
    assert np.array_equal(before, after)
    assert np.array_equal(before, place_again)


@pytest.mark.parametrize(
    "held",
    [
        Zeeman(VECTOR.copy()).field,
        Landau(VECTOR.copy()).coefficients,
        Slonczewski(AXIS.copy(), 0.1).polarization,
        ZhangLi(AXIS.copy(), 0.1, 1.0).velocity,
        ShellLaw(VECTOR.copy(), [1.0, 2.0, 3.0]).values,
        ShellLaw(VECTOR.copy(), [1.0, 2.0, 3.0]).distances,
        bond_table(np.zeros(3)).tensors,
        model(zeeman=VECTOR).hamiltonian.zeeman,
        model(onsite=VECTOR).hamiltonian.onsite,
        LatticeLead("left", exchange=VECTOR).exchange,
        WideBandLead(0.5, "left", polarization=VECTOR).polarization,
        WideBandLead(0.5, [0, 1]).sites,
        Ramp(VECTOR, 2 * VECTOR, 1.0).start,
    ],
)
def test_what_is_held_cannot_be_written(held):
    with pytest.raises(ValueError, match="read-only"):
        held[0] = 7


def test_a_table_of_the_caller_is_copied():
    coupling = {26: 1.0}
    calc = EDCalculator(SDModel(ShellHopping([1.0]), coupling, filling=0.3, kT=0.1))
    before = fields_of(calc)
    coupling[26] = 2.0
    assert np.array_equal(fields_of(calc), before)


def test_weights_of_a_sum_are_fixed():
    """They gave the energies of the old weights before."""
    weights = [1.0, 2.0]
    calc = SpinSumCalculator([ZeemanCalculator(VECTOR), HeisenbergCalculator([1.0])], weights)
    atoms = place()
    atoms.calc = calc
    energy = atoms.get_potential_energy()
    weights[0] = 5.0
    with pytest.raises(ModelError, match="weights of a sum are fixed.*build another SpinSumCalculator of the same members"):
        calc.weights = [3.0, 1.0]
    with pytest.raises(TypeError, match="assignment"):
        calc.weights[0] = 3.0
    atoms.moments = -atoms.moments
    atoms.moments = -atoms.moments
    assert atoms.get_potential_energy() == energy
    with pytest.raises(ModelError, match="weights of a sum must be finite"):
        SpinSumCalculator([ZeemanCalculator(VECTOR)], [np.nan])


def test_the_field_of_a_driver_is_copied():
    spins = []
    for change in (False, True):
        atoms, field = place(), np.array([0.0, 0.3, 0.5])
        atoms.calc = HeisenbergCalculator([1.0])
        driver = LLGDynamics(atoms, 0.1, field=field)
        field[:] = 7.0 * change + field * (not change)
        driver.run(2)
        spins.append(atoms.spins)
    assert np.array_equal(*spins)
