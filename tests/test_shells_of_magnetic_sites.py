"""`shells=[J]` counts the shells of sites with a moment: ligands and vacancies make none."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from spinase import SpinAtoms
from spinase.calculators import (
    BiquadraticCalculator,
    DMICalculator,
    HeisenbergCalculator,
    NeelCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
)
from spinase.calculators.classical import TermCalculator
from spinase.dynamics import LLGDynamics, MonteCarlo
from spinase.spin_algebra import random_spins


def nickel_oxide(repeat: int = 2) -> SpinAtoms:
    atoms = SpinAtoms(bulk("NiO", "rocksalt", a=4.2, cubic=True).repeat(repeat))
    spins = random_spins(len(atoms), np.random.default_rng(3))
    atoms.moments = 1.7 * spins * (atoms.numbers == 28)[:, None]
    return atoms


TERMS: list[type[TermCalculator]] = [HeisenbergCalculator, BiquadraticCalculator, DMICalculator]


@pytest.mark.parametrize("term", TERMS, ids=[term.__name__ for term in TERMS])
def test_ligands_make_no_shells(term: type[TermCalculator]) -> None:
    """Nickel oxide is fcc nickel, with and without the species said."""
    atoms = nickel_oxide()
    alone = atoms[atoms.numbers == 28]
    bare, said = term(shells=[0.01, -0.02]), term(shells=[0.01, -0.02], species=["Ni"])
    expected = term(shells=[0.01, -0.02]).get_property("magnetic_forces", alone)
    assert np.abs(expected).max() > 1e-3
    for calc in (bare, said):
        found = calc.get_property("magnetic_forces", atoms)
        np.testing.assert_allclose(found[atoms.numbers == 28], expected, atol=1e-14)
        assert not found[atoms.numbers == 8].any()


def test_the_ferromagnet_has_twelve_neighbours() -> None:
    atoms = nickel_oxide(1)
    atoms.moments = np.where((atoms.numbers == 28)[:, None], [0.0, 0.0, 2.0], 0.0)
    atoms.calc = HeisenbergCalculator(shells=[0.01])
    assert atoms.get_potential_energy() == pytest.approx(-0.24, abs=1e-12)
    atoms.calc = NeelCalculator([0.01])
    assert atoms.get_potential_energy() == pytest.approx(0.0, abs=1e-12), "cubic surroundings: the dipolar part cancels"


def test_distances_and_tables_count_among_magnetic_sites_too() -> None:
    """Two of four nickels of a cell without a moment: layers of a square lattice of side a/sqrt(2)."""
    atoms = nickel_oxide(1)
    nickel = np.flatnonzero(atoms.numbers == 28)
    upper = nickel[atoms.positions[nickel, 2] > 1.0]
    moments = np.zeros((8, 3))
    moments[nickel, 2] = 2.0
    moments[upper] = 0.0
    atoms.moments = moments
    for calc in (HeisenbergCalculator(shells=[1.0]), HeisenbergCalculator(pairs={"Ni-Ni": [1.0]})):
        atoms.calc = calc
        assert atoms.get_potential_energy() == pytest.approx(-4.0, abs=1e-12)


def test_dilute_magnets_have_the_shells_of_their_lattice() -> None:
    """Random vacancies: a spin without a neighbour is free, others couple at the lattice's own distance."""
    atoms = SpinAtoms.lattice("square", (12, 12), units="reduced")
    rng = np.random.default_rng(5)
    moments = np.where(rng.random(144)[:, None] < 0.3, [0.0, 0.0, 1.0], 0.0)
    grid = moments[:, 2].reshape(12, 12)
    pairs = float(sum((grid * np.roll(grid, 1, axis)).sum() for axis in (0, 1)))
    neighbours = sum(np.roll(grid, step, axis) for axis in (0, 1) for step in (1, -1))
    assert np.any((grid == 1) & (neighbours == 0)), "some spins are alone"
    atoms.moments = moments
    atoms.calc = HeisenbergCalculator(shells=[1.0])
    assert atoms.get_potential_energy() == pytest.approx(-pairs, abs=1e-12)


def test_another_set_of_magnetic_sites_has_other_shells() -> None:
    """The same calculator, before and after nickel and oxygen change their parts."""
    atoms = nickel_oxide()
    calc = HeisenbergCalculator(shells=[0.01])
    before = calc.get_property("energy", atoms)
    assert before == pytest.approx(calc.get_property("energy", atoms[atoms.numbers == 28]), abs=1e-12)
    everywhere = atoms.copy()
    everywhere.moments = random_spins(len(atoms), np.random.default_rng(4))
    expected = HeisenbergCalculator(shells=[0.01]).get_property("energy", everywhere)
    assert calc.get_property("energy", everywhere) == pytest.approx(expected, abs=1e-12)
    assert calc.get_property("energy", atoms) == pytest.approx(before, abs=1e-12)


@pytest.mark.parametrize("driver", [LLGDynamics, MonteCarlo])
def test_drivers_move_the_nickel_of_nickel_oxide(driver: type) -> None:
    """The fast path of drivers has the same shells: what a run ends with is its energy from scratch."""
    atoms = nickel_oxide()
    calc = SpinSumCalculator([HeisenbergCalculator(shells=[0.01]), UniaxialAnisotropyCalculator(0.001)])
    alone = atoms[atoms.numbers == 28]
    atoms.calc, alone.calc = (
        calc,
        SpinSumCalculator([HeisenbergCalculator(shells=[0.01]), UniaxialAnisotropyCalculator(0.001)]),
    )
    for magnet in (atoms, alone):
        options = {"kT": 0.002, "rng": 1} if driver is MonteCarlo else {"timestep": 0.1, "damping": 0.5}
        driver(magnet, **options).run(20)
        fresh = HeisenbergCalculator(shells=[0.01]).get_property("energy", magnet)
        cold = UniaxialAnisotropyCalculator(0.001).get_property("energy", magnet)
        assert magnet.get_potential_energy() == pytest.approx(fresh + cold, abs=1e-12)
    if driver is LLGDynamics:
        np.testing.assert_allclose(atoms.moments[atoms.numbers == 28], alone.moments, atol=1e-10)
