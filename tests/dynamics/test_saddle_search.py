"""Saddle points from a minimum alone: closed barriers, both sides, and the same as a path's; what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import (
    HeisenbergCalculator,
    SlonczewskiCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
)
from spinase.contract import NotConservativeError
from spinase.dynamics import SpinOptimizable, find_saddle, geodesic_path, minima_beside, minimum_energy_path
from spinase.dynamics.saddle_search import _rotation_vectors
from spinase.errors import ConvergenceError, InvalidMomentsError, ModelError
from spinase.spin_algebra import random_spins, tangent


def particle(sites: int = 2, exchange: float = 10.0) -> SpinAtoms:
    atoms = SpinAtoms.lattice("chain", (sites,), periodic=False, units="reduced")
    atoms.spins = [0, 0, 1]
    atoms.calc = SpinSumCalculator(
        [
            HeisenbergCalculator([exchange]),
            UniaxialAnisotropyCalculator(0.3, (0, 0, 1)),
            UniaxialAnisotropyCalculator(-0.2, (0, 1, 0)),
        ]
    )
    return atoms


def test_a_particle_turns_over_its_easy_direction_across() -> None:
    atoms = particle()
    before = atoms.spins.copy()
    found = find_saddle(atoms, fmax=1e-6)
    assert found.converged
    assert found.index == 1
    assert found.barrier == pytest.approx(0.6, abs=1e-9)
    np.testing.assert_allclose(found.curvatures.values[:2], [-0.6, 0.4], atol=1e-6)
    np.testing.assert_allclose(np.abs(found.atoms.spins[:, 0]), 1.0, atol=1e-6)
    np.testing.assert_array_equal(atoms.spins, before)
    up, down = sorted((side.spins[:, 2].mean() for side in minima_beside(found)), reverse=True)
    np.testing.assert_allclose([up, down], [1.0, -1.0], atol=1e-6)


def test_the_hard_direction_has_two_ways_down() -> None:
    """Pushed along y exactly, the spins reach the hard direction: a barrier of 2 (K + K') with two negative curvatures."""
    found = find_saddle(particle(), [0, 1, 0] * np.ones((2, 1)), fmax=1e-6, push=0.2)
    assert found.barrier == pytest.approx(1.0, abs=1e-6)
    assert not found.converged
    assert found.index == 2


def test_the_saddle_point_of_a_path() -> None:
    """A chain of weak exchange turns from an end: the search that starts there ends where the path's climbing image does."""
    atoms = particle(4, 0.4)
    push = np.zeros((4, 3))
    push[0, 0] = 1.0
    found = find_saddle(atoms, push, fmax=1e-5, push=0.1)
    assert found.converged
    one, two = minima_beside(found)
    path = geodesic_path(one, two, 5)
    for image in path:
        image.calc = atoms.calc
    other = minimum_energy_path(path, fmax=1e-3)
    assert other.index == 1
    lowest = min(one.get_potential_energy(), two.get_potential_energy())
    assert lowest <= atoms.get_potential_energy() + 1e-6
    assert other.energies.max() == pytest.approx(atoms.get_potential_energy() + found.barrier, abs=1e-5)


def test_what_is_refused() -> None:
    atoms = particle()
    with pytest.raises(InvalidMomentsError, match=r"direction must be finite, of shape \(2, 3\)"):
        find_saddle(atoms, np.ones((3, 3)))
    with pytest.raises(InvalidMomentsError, match="turns no spin"):
        find_saddle(atoms, atoms.spins)
    with pytest.raises(ModelError, match="push must be"):
        find_saddle(atoms, push=0.0)
    with pytest.raises(ConvergenceError, match="still rises after 400 turns of 0.0001 radian"):
        find_saddle(atoms, push=1e-4, krylov=2)
    with pytest.raises(ConvergenceError, match="did not end in 1 steps"):
        minima_beside(find_saddle(atoms, fmax=1e-4), steps=1)
    atoms.calc = SpinSumCalculator([atoms.calc, SlonczewskiCalculator((0, 0, 1), 0.1)])
    with pytest.raises(NotConservativeError, match="driven system"):
        find_saddle(atoms)


def test_the_heading_turns_spins_the_way_that_is_given() -> None:
    """ds = w x s, with w the rotation vectors of the heading."""
    atoms = particle(3)
    atoms.spins = random_spins(3, np.random.default_rng(4))
    way = np.random.default_rng(5).normal(size=(3, 3))
    vectors = _rotation_vectors(atoms, SpinOptimizable(atoms), way).reshape(3, 3)
    across = tangent(way, atoms.spins)
    np.testing.assert_allclose(np.cross(vectors, atoms.spins), across / np.linalg.norm(across), atol=1e-12)
    for wrong, message in ((way[:2], "must be finite, of shape"), (atoms.spins, "turns no spin")):
        with pytest.raises(InvalidMomentsError, match=message):
            _rotation_vectors(atoms, SpinOptimizable(atoms), wrong)
