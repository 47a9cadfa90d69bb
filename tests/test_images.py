"""Many magnets in one call: the results of one after the other, whoever computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from spinase import SpinAtoms
from spinase.calculators import (
    EDCalculator,
    HeisenbergCalculator,
    HIPNNCalculator,
    LatticeCalculator,
    PairPotentialCalculator,
    SpinSumCalculator,
    ZeemanCalculator,
)
from spinase.dynamics.neb import SpinBand, geodesic_path
from spinase.electrons import SDModel, ShellHopping
from spinase.errors import ModelError
from spinase.images import energies_and_fields, evaluates_images, results_of_images
from spinase.learning.torch_evaluator import TorchEvaluator
from spinase.radial import Exponential

MOVING = ("free_energy", "forces", "magnetic_forces", "stress", "torques")


def magnets(count: int = 3, sites: int = 40) -> list[SpinAtoms]:
    """Different boxes of the shipped moving magnet's kind."""
    return [SpinAtoms.disordered(sites, density=1.0, min_distance=0.75, units="reduced", rng=seed) for seed in range(count)]


def compare(calc: Any, images: Sequence[Atoms], names: Sequence[str], other: Any, tolerance: float) -> None:
    """One call against one magnet after the other."""
    together = results_of_images(calc, images, names)
    assert len(together) == len(images)
    for image, found in zip(images, together, strict=True):
        assert list(found) == list(names)
        for name in names:
            expected = np.asarray(other.get_property(name, image))
            scale = max(float(np.abs(expected).max()), 1e-3)
            np.testing.assert_allclose(found[name], expected, atol=tolerance * scale, err_msg=name)


def test_moving_magnets_in_one_pass() -> None:
    images, tolerance = magnets(), 1e-5  # the precision whose loops other tests compile
    calc, other = (HIPNNCalculator.shipped("disordered-sd-moving") for _ in range(2))
    compare(calc, images, MOVING, other, tolerance)
    images[1].positions += 0.01  # one image moved, the others kept
    images[2].spins = -images[2].spins
    compare(calc, images, MOVING, other, tolerance)
    compare(calc, images[:2], MOVING[:1], other, tolerance)


def test_forces_are_slopes_of_the_energies_of_the_same_call() -> None:
    images = magnets(2)
    calc = HIPNNCalculator.shipped("disordered-sd-moving")
    forces = [found["forces"] for found in results_of_images(calc, images, ("forces",))]
    step, energies = 1e-2, []
    for sign in (1, -1):
        for image in images:
            image.positions[3, 1] += sign * step
        energies.append([found["free_energy"] for found in results_of_images(calc, images, ("free_energy",))])
        for image in images:
            image.positions[3, 1] -= sign * step
    slopes = (np.array(energies[1]) - np.array(energies[0])) / (2 * step)
    np.testing.assert_allclose(slopes, [force[3, 1] for force in forces], atol=5e-3 * np.abs(forces).max())


@pytest.mark.parametrize(
    ("options", "tolerance"), [({}, 1e-5), ({"dtype": "float64", "evaluators": (TorchEvaluator,)}, 1e-11)]
)
def test_images_of_a_lattice_share_its_neighbours(options: dict[str, Any], tolerance: float) -> None:
    base = SpinAtoms.lattice("square", (6, 6), units="reduced", rng=1)
    images = [base.copy() for _ in range(3)]
    for seed, image in enumerate(images):
        image.spins = np.random.default_rng(seed).normal(size=(36, 3))
    calc, other = (LatticeCalculator.shipped("square-double-exchange-lattice", **options) for _ in range(2))
    compare(calc, images, ("free_energy", "magnetic_forces"), other, tolerance)
    assert len({id(bound) for bound in calc._images.bounds}) == 1


def test_sums_ask_every_member_at_once() -> None:
    images, law = magnets(2), Exponential(0.3, 8.0, 1.0, 2.0, 0.5)
    learned = HIPNNCalculator.shipped("disordered-sd-moving")
    calc = SpinSumCalculator([learned, PairPotentialCalculator(law), ZeemanCalculator((0.0, 0.0, 0.3))], [1.0, 0.5, 2.0])
    other = SpinSumCalculator(
        [
            HIPNNCalculator.shipped("disordered-sd-moving"),
            PairPotentialCalculator(law),
            ZeemanCalculator((0, 0, 0.3)),
        ],
        [1.0, 0.5, 2.0],
    )
    compare(calc, images, MOVING, other, 1e-5)


def test_any_other_calculator_is_asked_for_one_after_the_other() -> None:
    base = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
    images = [base, base.copy()]
    images[1].spins = np.random.default_rng(5).normal(size=(9, 3))
    calc = EDCalculator(SDModel(ShellHopping([1.0]), 1.0, filling=0.4, kT=0.1))
    assert not evaluates_images(calc)
    compare(calc, images, ("free_energy", "magnetic_forces"), EDCalculator(calc.model), 1e-12)


def test_energies_and_fields_come_from_every_calculator_of_the_images() -> None:
    base = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
    images = [base.copy() for _ in range(3)]
    one, two = HeisenbergCalculator(shells=[1.0]), HeisenbergCalculator(shells=[-2.0])
    for image, calc in zip(images, (one, two, one), strict=True):
        image.calc = calc
    energies, fields = energies_and_fields(images)
    np.testing.assert_allclose(energies[1], -2.0 * energies[0], rtol=1e-12)
    np.testing.assert_allclose(fields[1], -2.0 * fields[0], rtol=1e-12)
    np.testing.assert_allclose(energies[2], energies[0], rtol=1e-12)


def test_a_band_has_the_torques_of_its_images() -> None:
    base = SpinAtoms.lattice("square", (4, 4), units="reduced", texture="ferro")
    start, end = base.copy(), base.copy()
    end.spins = np.tile([0.0, 1.0, 0.0], (16, 1))
    path = geodesic_path(start, end, 5)
    learned = LatticeCalculator.shipped("square-double-exchange-lattice")
    for image in path:
        image.calc = learned
    band = SpinBand(path)
    band.set_x(0.1 * np.random.default_rng(2).normal(size=band.ndofs()))
    fresh = LatticeCalculator.shipped("square-double-exchange-lattice")
    energies = [fresh.get_property("free_energy", one) for one in path[1:-1]]
    np.testing.assert_allclose(band.energies[1:-1], energies, rtol=1e-5)
    torques = [fresh.get_property("torques", one) for one in path[1:-1]]
    np.testing.assert_allclose(band._torques, torques, atol=1e-5 * np.abs(torques).max())


def test_images_of_different_sizes_are_refused() -> None:
    calc = HIPNNCalculator.shipped("disordered-sd-moving")
    with pytest.raises(ModelError, match=r"equal numbers of sites, these have 40, 41"):
        results_of_images(calc, [*magnets(1), *magnets(1, 41)], ("free_energy",))
    assert results_of_images(calc, [], ("free_energy",)) == []
