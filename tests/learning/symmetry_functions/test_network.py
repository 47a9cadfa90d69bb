"""Networks on spin-extended symmetry functions: conformance on disordered magnets of two species."""

from __future__ import annotations

import numpy as np
import torch

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.learning.symmetry_functions.network import SymmetryFunctionsConfig, SymmetryFunctionsNetwork
from spinase.learning.trunk import prepare
from spinase.testing import check_trunk

SIZE = {"cutoff": 1.6, "inner": 0.7, "radial": 3, "angular_radial": 2, "hidden": (6, 5), "parts": 2}


def magnet() -> SpinAtoms:
    atoms = SpinAtoms.disordered(14, density=0.9, min_distance=0.75, rng=4)
    atoms.numbers[::3] = 27
    return atoms


def network() -> SymmetryFunctionsNetwork:
    torch.manual_seed(2)
    return SymmetryFunctionsNetwork(SymmetryFunctionsConfig(species=(26, 27), **SIZE))


def test_it_conforms() -> None:
    report = check_trunk(network(), magnet())
    assert report["position_derivatives"].status == "passed"


def test_functions_are_the_sums_of_the_definition() -> None:
    """One triple, by hand: a site with two neighbours of its own species."""
    atoms = SpinAtoms("Fe3", positions=[[0, 0, 0], [1.0, 0, 0], [0, 1.2, 0]], pbc=False)
    spins = np.array([[0, 0, 1.0], [0.6, 0, 0.8], [0, 1.0, 0]])
    trunk = SymmetryFunctionsNetwork(SymmetryFunctionsConfig(species=(26,), **{**SIZE, "cutoff": 1.4})).double()
    values = trunk.functions(prepare(trunk, geometry_of(atoms)), torch.tensor(spins))[0].numpy()
    width, radii = 0.7 / 3, np.array([1.0, 1.2])
    radial = (
        np.exp(-0.5 * ((radii[:, None] - 0.7 - width * np.arange(3)) / width) ** 2)
        * ((1 - (radii / 1.4) ** 2) ** 2)[:, None]
    )
    np.testing.assert_allclose(values[:3], radial.sum(0), rtol=1e-12)
    np.testing.assert_allclose(values[3:6], 0.8 * radial[0], rtol=1e-12)
    width = 0.7 / 2
    near = (
        np.exp(-0.5 * ((radii[:, None] - 0.7 - width * np.arange(2)) / width) ** 2)
        * ((1 - (radii / 1.4) ** 2) ** 2)[:, None]
    )
    angular = np.array([1.0, 0.125, 1.0, 0.125])[:, None] * near.prod(0)  # right angle: both signs alike
    np.testing.assert_allclose(values[9:17], angular.ravel(), rtol=1e-12)
    chirality = float(spins[0] @ np.cross(spins[1], spins[2])) ** 2
    np.testing.assert_allclose(values[-8:], chirality * angular.ravel(), rtol=1e-12)
