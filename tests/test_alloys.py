"""Random alloys: composition, seeds, moments by species, input files, and how a ferrimagnet with two g factors precesses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.alloys import random_alloy, set_moment_lengths
from spinase.calculators import HeisenbergCalculator, SpinSumCalculator, ZeemanCalculator
from spinase.dynamics import LLGDynamics
from spinase.errors import InputError, ModelError
from spinase.run.build import build_atoms
from spinase.run.config import AtomsTable


def magnet() -> SpinAtoms:
    return SpinAtoms.lattice("square", (10, 10), rng=1, units="reduced")


def test_the_composition_is_met_to_whole_sites_and_follows_the_seed() -> None:
    one, two, other = magnet(), magnet(), magnet()
    mix = {"Fe": 0.675, "Co": 0.325}
    for atoms, seed in ((one, 3), (two, 3), (other, 4)):
        random_alloy(atoms, mix, seed)
        assert sorted(np.bincount(atoms.numbers)[[26, 27]]) == [32, 68]
    np.testing.assert_array_equal(one.numbers, two.numbers)
    assert (one.numbers != other.numbers).sum() > 10
    np.testing.assert_array_equal(one.spins, magnet().spins)


def test_species_are_independent_of_each_other() -> None:
    """No order: of the neighbours of cobalt 30 % are cobalt."""
    atoms = SpinAtoms.lattice("square", (60, 60), units="reduced")
    random_alloy(atoms, {"Fe": 0.7, "Co": 0.3}, 1)
    cobalt = (atoms.numbers == 27).reshape(60, 60)
    assert np.mean(np.roll(cobalt, 1, axis=1)[cobalt]) == pytest.approx(0.3, abs=0.03)


def test_only_one_sublattice_and_moments_by_species() -> None:
    atoms = magnet()
    atoms.numbers[::2] = 64
    random_alloy(atoms, {"Fe": 0.5, "Ni": 0.5}, 1, replaced="Fe", moments={"Fe": 2.2, "Gd": 7.0})
    assert (atoms.numbers[::2] == 64).all()
    assert np.bincount(atoms.numbers)[[26, 28]].tolist() == [25, 25]
    lengths = np.linalg.norm(atoms.moments, axis=1)
    np.testing.assert_allclose(lengths, np.select([atoms.numbers == 26, atoms.numbers == 64], [2.2, 7.0], 1.0))
    np.testing.assert_allclose(atoms.spins, magnet().spins, atol=1e-14)
    set_moment_lengths(atoms, {"Ni": 0.0})
    set_moment_lengths(atoms, {"Ni": 0.6})
    np.testing.assert_allclose(atoms.moments[atoms.numbers == 28], np.tile([0, 0, 0.6], (25, 1)))


def test_couplings_by_species_see_the_alloy() -> None:
    atoms = magnet()
    atoms.spins = [0, 0, 1]
    random_alloy(atoms, {"Fe": 0.5, "Co": 0.5}, 1)
    order = np.lexsort(atoms.positions.round(6).T[:2])  # rows of the lattice
    iron = (atoms.numbers[order] == 26).reshape(10, 10)
    pairs = sum(int(np.sum(iron & np.roll(iron, 1, axis=axis))) for axis in (0, 1))
    atoms.calc = HeisenbergCalculator(pairs={"Fe-Fe": [1.0]})
    assert atoms.get_potential_energy() == pytest.approx(-pairs)
    assert 20 < pairs < 80


def test_a_strongly_coupled_ferrimagnet_precesses_with_its_own_g() -> None:
    """omega = B (m_A - m_B)/(m_A/gamma_A - m_B/gamma_B), its moments over its angular momentum, for a random mixture."""
    atoms = SpinAtoms.lattice("cubic", (4, 4, 4), units="reduced")
    random_alloy(atoms, {"Fe": 0.75, "Gd": 0.25}, 2, moments={"Fe": 2.0, "Gd": 3.0})
    atoms.g_factors = {"Fe": 2.2, "Gd": 1.8}
    sign = np.where(atoms.numbers == 64, -1.0, 1.0)
    tilt = 0.05
    atoms.spins = sign[:, None] * [np.sin(tilt), 0.0, np.cos(tilt)]
    exchange = HeisenbergCalculator(pairs={"Fe-Fe": [60.0], "Fe-Gd": [-60.0], "Gd-Gd": [60.0]})
    field = 0.02
    atoms.calc = SpinSumCalculator([exchange, ZeemanCalculator((0, 0, field))])
    driver = LLGDynamics(atoms, 2e-3, integrator="midpoint")
    driver.run(1500)
    total = atoms.moments.sum(axis=0)
    seen = np.arctan2(total[1], total[0]) / driver.get_time()
    iron, gadolinium = 0.75 * 2.0, 0.25 * 3.0
    expected = field * (iron - gadolinium) / (iron / 1.1 - gadolinium / 0.9)
    assert seen == pytest.approx(expected, rel=2e-3)
    assert abs(expected / field - 1.0) > 0.2


def test_input_files_make_alloys(tmp_path: Path) -> None:
    table = AtomsTable(lattice="square", size=[10, 10], alloy={"Fe": 0.6, "Co": 0.4}, moments={"Co": 1.7}, g={"Co": 2.1})
    atoms = build_atoms(table, "metal", tmp_path, np.random.default_rng(5))
    again = build_atoms(table, "metal", tmp_path, np.random.default_rng(5))
    np.testing.assert_array_equal(atoms.numbers, again.numbers)
    assert (atoms.numbers == 27).sum() == 40
    np.testing.assert_allclose(np.linalg.norm(atoms.moments, axis=1), np.where(atoms.numbers == 27, 1.7, 1.0))
    poor = AtomsTable(lattice="square", size=[2, 2], alloy={"Fe": 0.6})
    with pytest.raises(InputError, match=r"\[atoms\] alloy, moments: the fractions of an alloy"):
        build_atoms(poor, "metal", tmp_path, np.random.default_rng(5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"composition": {"Fe": 0.6, "Co": 0.5}}, r"add up to 1, got \{'Fe': 0.6, 'Co': 0.5\}"),
        ({"composition": {"Fee": 1.0}}, "'Fee' is no chemical symbol"),
        ({"composition": {"Co": 1.0}, "replaced": "Ni"}, "no site of species Ni to replace: the atoms are Fe100"),
        ({"composition": {"Co": 1.0}, "moments": {"Ni": 1.0}}, "there is no Ni among the atoms Co100"),
        ({"composition": {"Co": 1.0}, "moments": {"Co": -1.0}}, "not negative, got -1.0 for Co"),
    ],
)
def test_refusals(options: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        random_alloy(magnet(), rng=1, **options)


def test_numbers_are_the_nearest_whole_ones() -> None:
    """6.6 and 3.4 of ten sites are seven and three; of 3.5, 3.5 and 3 the first gets the odd one."""
    atoms = SpinAtoms.lattice("chain", (10,), units="reduced", texture="ferro")
    random_alloy(atoms, {"Fe": 0.66, "Co": 0.34}, 1)
    assert atoms.get_chemical_symbols().count("Fe") == 7
    random_alloy(atoms, {"Fe": 0.35, "Co": 0.35, "Ni": 0.3}, 1)
    assert [atoms.get_chemical_symbols().count(one) for one in ("Fe", "Co", "Ni")] == [4, 3, 3]


def test_lengths_of_moments_are_set_whatever_they_were() -> None:
    atoms = SpinAtoms("Fe2Co", positions=np.eye(3), moments=[[0.0, 2.2, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    set_moment_lengths(atoms, {"Fe": 3.0})
    np.testing.assert_allclose(atoms.moments, [[0.0, 3.0, 0.0], [0.0, 0.0, 3.0], [1.0, 0.0, 0.0]])
    for composition in ({"Fe": 1.5, "Co": -0.5}, {"Fe": 0.5, "Co": 0.4}, {"Fe": np.nan, "Co": 0.5}):
        with pytest.raises(ModelError, match="the fractions of an alloy are not negative and add up to 1"):
            random_alloy(atoms, composition, rng=1)
