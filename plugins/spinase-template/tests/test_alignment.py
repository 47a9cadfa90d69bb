"""The driver keeps the contract of spinase, goes down, and stops where there are no torques."""

from __future__ import annotations

import numpy as np
import pytest
from spinase_template import Align
from spinase_template.alignment import AlignConfig, aligned

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator
from spinase.errors import ModelError
from spinase.testing import check_driver


def magnet(rng: np.random.Generator | int) -> SpinAtoms:
    """A square antiferromagnet with random spins."""
    atoms = SpinAtoms.lattice("square", (4, 4), rng=rng)
    atoms.moments = 1.7 * atoms.spins
    atoms.calc = HeisenbergCalculator(shells=[-1.0])
    return atoms


def test_contract():
    report = check_driver(lambda rng: Align(magnet(1), mixing=0.3))
    for check in ("members", "clock", "division", "restart", "lengths", "interrupt"):
        assert report[check].status == "passed"


def test_a_spin_turns_in_the_plane_of_spin_and_field():
    """x = 1/2 between perpendicular directions: half-way, whatever the strength of the field."""
    turned = aligned(np.array([[2.0, 0.0, 0.0]]), np.array([[0.0, 0.0, 7.0]]), 0.5)
    assert turned == pytest.approx(2.0 * np.sqrt(0.5) * np.array([[1.0, 0.0, 1.0]]))


def test_without_a_field_or_a_moment_nothing_turns():
    moments = np.array([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    fields = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    assert np.array_equal(aligned(moments, fields, 0.5), moments), "exactly against its field a spin has no way to turn"


def test_a_square_antiferromagnet_finds_its_order():
    atoms = magnet(1)
    energies = []
    driver = Align.from_config(AlignConfig(mixing=0.3), atoms, np.random.default_rng(0))
    for _ in range(150):
        driver.run(1)
        energies.append(atoms.get_potential_energy())
    assert np.all(np.diff(energies) < 1e-9)
    assert energies[-1] == pytest.approx(-2.0 * len(atoms), abs=1e-6), "two bonds a site, each -1"
    assert driver.get_number_of_steps() == 150


def test_a_bad_share_is_refused():
    with pytest.raises(ModelError, match="between 0 and 1, got 1.5"):
        Align(magnet(1), mixing=1.5)
