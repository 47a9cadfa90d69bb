"""Paths between textures: closed-form barriers, saddle points with one unstable direction, and what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
from ase.calculators.calculator import Calculator
from ase.optimize import BFGS

from spinase import SpinAtoms
from spinase.atoms import get_moments
from spinase.calculators import (
    HeisenbergCalculator,
    SlonczewskiCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.contract import NotConservativeError
from spinase.dynamics import SpinOptimizable, geodesic_path, minimum_energy_path
from spinase.dynamics.neb import SpinBand, rotation_vectors
from spinase.errors import InvalidMomentsError, ModelError
from spinase.spin_algebra import random_spins, rotate_about


def test_rotation_vectors_turn_one_set_of_spins_into_another() -> None:
    rng = np.random.default_rng(1)
    one, two = random_spins(30, rng), random_spins(30, rng)
    two[0], two[1] = one[0], -one[1]
    vectors = rotation_vectors(one, two)
    np.testing.assert_allclose(rotate_about(one, -vectors), two, atol=1e-12)
    assert np.linalg.norm(vectors, axis=1).max() == pytest.approx(np.pi)
    assert not vectors[0].any()


def test_the_first_path_is_geodesic() -> None:
    start = SpinAtoms.lattice("square", (3, 3), rng=1)
    end = SpinAtoms.lattice("square", (3, 3), rng=2)
    path = geodesic_path(start, end, 5)
    angles = [np.linalg.norm(rotation_vectors(a.spins, b.spins), axis=1) for a, b in pairwise(path)]
    np.testing.assert_allclose(angles, np.tile(angles[0], (4, 1)), atol=1e-10)
    np.testing.assert_allclose(path[-1].spins, end.spins, atol=1e-12)


def switch(sites: int, exchange: float, easy: float, hard: float, images: int = 9) -> list[SpinAtoms]:
    """A chain along z that turns over; y is hard."""
    start = SpinAtoms.lattice("chain", (sites,), periodic=False, units="reduced")
    end = start.copy()
    end.spins = [0, 0, -1]
    calc = SpinSumCalculator(
        [
            HeisenbergCalculator([exchange]),
            UniaxialAnisotropyCalculator(easy, (0, 0, 1)),
            UniaxialAnisotropyCalculator(-hard, (0, 1, 0)),
        ]
    )
    path = geodesic_path(start, end, images, np.random.default_rng(3))
    for image in path:
        image.calc = calc
    return path


def test_a_small_particle_turns_as_one_over_its_anisotropy() -> None:
    """Two strongly coupled spins: the barrier is 2 K, at the easy direction across."""
    result = minimum_energy_path(switch(2, 10.0, 0.3, 0.2), fmax=1e-5)
    assert result.converged
    assert result.barrier == pytest.approx(0.6, abs=1e-6)
    saddle = result.images[result.climbing].spins
    np.testing.assert_allclose(np.abs(saddle[:, 0]), 1.0, atol=1e-3)
    np.testing.assert_allclose(result.distances[-1], np.pi * np.sqrt(2), rtol=1e-3)


def test_a_long_chain_turns_by_a_wall() -> None:
    """Chain long against the wall's width: the barrier is its energy 2 sqrt(2 J K), up to the lattice."""
    J, K = 1.0, 0.1
    path = switch(24, J, K, 0.05)
    position = path[0].positions[:, 0]
    for k, image in enumerate(path[1:-1], start=1):  # a wall that enters from the left: a better guess than turning as one
        angle = 2 * np.arctan(np.exp((3 * k - position) * np.sqrt(2 * K / J)))
        image.spins = np.stack([np.sin(angle), 0.05 * np.sin(angle), np.cos(angle)], axis=1)
    result = minimum_energy_path(path, fmax=2e-3, steps=600)
    assert result.barrier == pytest.approx(2 * np.sqrt(2 * J * K), rel=0.03)


def test_without_climbing_images_keep_even_distances() -> None:
    result = minimum_energy_path(switch(2, 10.0, 0.3, 0.2, images=8), climb=False, fmax=1e-4)
    steps = np.diff(result.distances)
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-2)
    other = minimum_energy_path(switch(2, 10.0, 0.3, 0.2, images=9), climb=False, fmax=1e-4, optimizer=BFGS, alpha=20.0)
    assert other.barrier == pytest.approx(0.6, rel=0.02)


def test_a_field_makes_the_barriers_uneven() -> None:
    """Stoner-Wohlfarth along the axis: K (1 -+ h)^2 per spin with h = B/2K."""
    path = switch(1, 0.0, 0.5, 0.1, images=11)
    easy, hard = path[0].calc.calculators[1:]
    for image in path:
        image.calc = SpinSumCalculator([easy, hard, ZeemanCalculator((0, 0, 0.2))])
    result = minimum_energy_path(path, fmax=1e-6)
    assert result.barrier == pytest.approx(0.5 * 1.2**2, abs=1e-6)
    assert result.energies.max() - result.energies[-1] == pytest.approx(0.5 * 0.8**2, abs=1e-6)


@pytest.mark.parametrize(
    ("energies", "before", "after"),
    [
        ((0.0, 1.0, 3.0), 0.0, 1.0),  # uphill: on to the next image
        ((3.0, 1.0, 0.0), 1.0, 0.0),
        ((0.0, 3.0, 1.0), 2.0, 3.0),  # a top: both, by the larger and the smaller difference, the higher neighbour more
        ((1.0, 3.0, 0.0), 3.0, 2.0),
        ((2.0, 0.0, 5.0), 2.0, 5.0),
        ((2.0, 2.0, 2.0), 1.0, 1.0),
    ],
)
def test_forces_of_a_band_by_hand(energies: tuple[float, float, float], before: float, after: float) -> None:
    """Two spins along z: the first turns about x before the middle image, the other about y after it; field along x."""
    images = [SpinAtoms.lattice("chain", (2,), periodic=False, units="reduced") for _ in range(3)]
    images[0].spins = [[0.0, np.sin(0.3), np.cos(0.3)], [0.0, 0.0, 1.0]]
    images[2].spins = [[0.0, 0.0, 1.0], [np.sin(0.5), 0.0, np.cos(0.5)]]
    for image in images:
        image.calc = ZeemanCalculator((0.2, 0.0, 0.0))
    band = SpinBand(images, spring=0.7)
    band.energies = np.array(energies)
    along = np.array([[before * 0.3, 0.0, 0.0], [0.0, after * 0.5, 0.0]])  # the sense in which rotation vectors turn
    along /= np.linalg.norm(along)
    torque = np.array([[0.0, 0.2, 0.0]] * 2)  # m x B
    across = torque - np.sum(torque * along) * along
    np.testing.assert_allclose(-band.get_gradient().reshape(2, 3), across + 0.7 * (0.5 - 0.3) * along, atol=1e-12)
    band.climb = True
    np.testing.assert_allclose(-band.get_gradient().reshape(2, 3), across - np.sum(torque * along) * along, atol=1e-12)


class WithoutEnergy(Calculator):
    """Fields of nobody knows what."""

    implemented_properties: ClassVar[list[str]] = ["magnetic_forces"]

    def calculate(self, atoms=None, properties=(), system_changes=()) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results["magnetic_forces"] = -get_moments(atoms)


def test_what_has_no_path_is_refused() -> None:
    silent = switch(2, 1.0, 0.1, 0.1)
    silent[-1].calc = WithoutEnergy()
    with pytest.raises(ModelError, match="WithoutEnergy gives no energy: there is no path to find"):
        SpinBand(silent)
    with pytest.raises(ModelError, match="WithoutEnergy gives no energy to minimize"):
        SpinOptimizable(silent[-1]).get_value()
    path = switch(2, 1.0, 0.1, 0.1)
    path[1].calc = SpinSumCalculator([path[0].calc, SlonczewskiCalculator((0, 0, 1), 0.1)])
    with pytest.raises(NotConservativeError, match="driven system"):
        SpinBand(path)
    with pytest.raises(ModelError, match="at least three images"):
        SpinBand(path[:2])
    with pytest.raises(ModelError, match="spring constant"):
        SpinBand(switch(2, 1.0, 0.1, 0.1), spring=0.0)
    with pytest.raises(InvalidMomentsError, match="same sites"):
        geodesic_path(path[0], SpinAtoms.lattice("chain", (3,)), 5)
    with pytest.raises(InvalidMomentsError, match="at least three images"):
        geodesic_path(path[0], path[-1], 2)
