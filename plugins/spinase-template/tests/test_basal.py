"""The basal anisotropy keeps the contract of spinase and has the energies its equation says."""

from __future__ import annotations

import numpy as np
import pytest
from spinase_template import BasalAnisotropyCalculator
from spinase_template.basal import BasalConfig

from spinase import SpinAtoms
from spinase.errors import ModelError
from spinase.testing import CHECKS, check_calculator


@pytest.fixture
def magnet() -> SpinAtoms:
    """Random spins of unequal lengths: the kit needs a generic configuration."""
    atoms = SpinAtoms.lattice("triangular", (3, 3), rng=1)
    atoms.moments = atoms.spins * np.linspace(0.5, 3.0, 9)[:, None]
    return atoms


@pytest.mark.parametrize("check", CHECKS)
def test_contract(magnet, check):
    check_calculator(BasalAnisotropyCalculator(0.3), magnet, checks=[check])


def test_the_checks_that_matter_are_not_skipped(magnet):
    report = check_calculator(BasalAnisotropyCalculator(0.3), magnet)
    for check in ("magnetic_forces", "time_reversal", "conservative", "supercell", "cache"):
        assert report[check].status == "passed"


@pytest.mark.parametrize(("degrees", "energy"), [(0, -0.3), (30, 0.3), (60, -0.3), (120, -0.3), (15, 0.0)])
def test_easy_and_hard_directions(degrees, energy):
    phi = np.radians(degrees)
    atoms = SpinAtoms("Fe", spins=[[np.cos(phi), np.sin(phi), 0.0]])
    assert BasalAnisotropyCalculator(0.3).get_property("energy", atoms) == pytest.approx(energy, abs=1e-14)


def test_the_energy_falls_as_the_sixth_power_of_the_sine():
    theta = np.radians(35.0)
    atoms = SpinAtoms("Fe", spins=[[np.sin(theta), 0.0, np.cos(theta)]])
    assert BasalAnisotropyCalculator(2.0).get_property("energy", atoms) == pytest.approx(-2.0 * np.sin(theta) ** 6)


def test_the_torque_turns_a_spin_to_the_nearest_easy_direction():
    """At 10 degrees T = m x B points to -z: with damping the spin goes back to the x axis."""
    phi = np.radians(10.0)
    atoms = SpinAtoms("Fe", moments=[[2.0 * np.cos(phi), 2.0 * np.sin(phi), 0.0]])
    torque = BasalAnisotropyCalculator(0.3).get_property("torques", atoms)[0]
    assert torque == pytest.approx([0.0, 0.0, -6 * 0.3 * np.sin(6 * phi)], abs=1e-14)


def test_from_config():
    calc = BasalAnisotropyCalculator.from_config(BasalConfig(strength=0.7))
    assert calc.strength == 0.7


def test_a_bad_strength_is_refused():
    with pytest.raises(ModelError, match="must be a finite energy, got nan"):
        BasalAnisotropyCalculator(np.nan)
