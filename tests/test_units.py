"""Unit systems against numbers computed from SI constants."""

from __future__ import annotations

import ase.units
import numpy as np
import pytest
import scipy.constants as si

from spinase.atoms import get_units, set_units
from spinase.calculators.base import SpinCalculator
from spinase.contract import check_units
from spinase.errors import UnitMismatchError
from spinase.units import METAL, REDUCED, unit_system


def test_gyromagnetic_ratio_is_3_0385_rad_per_fs():
    per_fs = METAL.gyromagnetic_ratio * ase.units.fs
    assert per_fs == pytest.approx(3.0385, abs=5e-5)
    assert per_fs == pytest.approx(2.0 * si.e / si.hbar * 1e-15, rel=1e-7)


def test_one_tesla_is_5_788e_5_ev_per_bohr_magneton():
    assert METAL.tesla == pytest.approx(5.788e-5, abs=5e-9)
    assert METAL.tesla == pytest.approx(si.physical_constants["Bohr magneton in eV/T"][0], rel=1e-7)


def test_larmor_frequency_in_one_tesla_is_28_ghz():
    omega = METAL.gyromagnetic_ratio * METAL.tesla * ase.units.second
    assert omega / (2 * np.pi) == pytest.approx(27.99249e9, rel=1e-5)


def test_hbar_and_boltzmann_in_metal_units():
    assert METAL.hbar / ase.units.fs == pytest.approx(0.6582119569, rel=1e-6)
    assert METAL.boltzmann == pytest.approx(8.617333e-5, rel=1e-6)
    assert METAL.gyromagnetic_ratio * METAL.hbar == pytest.approx(2.0, rel=1e-14)


def test_reduced_units_are_ones():
    assert (REDUCED.hbar, REDUCED.gyromagnetic_ratio, REDUCED.boltzmann, REDUCED.tesla) == (1.0, 1.0, 1.0, None)


def test_lookup_by_name_and_by_itself():
    assert unit_system("metal") is METAL
    assert unit_system(REDUCED) is REDUCED


def test_unknown_unit_system_lists_the_known_ones():
    with pytest.raises(UnitMismatchError, match="unknown unit system 'si': use one of metal, reduced"):
        unit_system("si")


def test_units_travel_with_plain_atoms():
    atoms = ase.Atoms("Fe", cell=np.eye(3))
    assert get_units(atoms) is METAL
    set_units(atoms, "reduced")
    assert get_units(atoms.copy()) is REDUCED
    assert get_units(ase.Atoms(atoms)) is REDUCED
    assert get_units(atoms * (2, 1, 1)) is REDUCED
    atoms.info["units"] = "imperial"
    with pytest.raises(UnitMismatchError, match="'imperial'"):
        get_units(atoms)


def test_a_mismatch_names_both_systems():
    class InElectronVolts:
        units = "metal"

    atoms = ase.Atoms("Fe", info={"units": "reduced"})
    with pytest.raises(UnitMismatchError, match="InElectronVolts works in metal units but the atoms are in reduced"):
        check_units(atoms, InElectronVolts())
    check_units(ase.Atoms("Fe"), InElectronVolts())


def test_ase_calculators_are_in_metal_units():
    from ase.calculators.emt import EMT

    with pytest.raises(UnitMismatchError, match="EMT works in metal units"):
        check_units(ase.Atoms("Cu", info={"units": "reduced"}), EMT())
    check_units(ase.Atoms("Cu"), EMT())
    assert SpinCalculator.units is None
