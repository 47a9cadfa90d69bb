"""The accuracy asked of an Ewald sum, against sums converged to round-off: all states, cells of every shape."""

from __future__ import annotations

import numpy as np
import pytest

from spinase.classical import Dipole
from spinase.classical.dipole import FrozenDipole
from spinase.geometry import Geometry
from spinase.spin_algebra import random_spins

FCC = 0.75 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
SKEWED = np.array([[1, 0, 0], [1.5, 1, 0], [0.3, 0.9, 1.1]])


def sites(primitive: np.ndarray, repeat: tuple[int, int, int], vacuum: float = 1.0) -> Geometry:
    """A repeated cell with one site; the third vector is `vacuum` times longer than its layers need."""
    steps = np.stack(np.meshgrid(*(np.arange(n) for n in repeat), indexing="ij"), axis=-1).reshape(-1, 3)
    cell = np.array(repeat)[:, None] * primitive * np.array([1.0, 1.0, vacuum])[:, None]
    return Geometry(steps @ primitive, cell, np.ones(3, dtype=bool), np.full(len(steps), 26))


def disordered() -> Geometry:
    places = 3.1 * np.random.default_rng(4).random((30, 3))
    return Geometry(places, 3.1 * np.eye(3), np.ones(3, dtype=bool), np.full(30, 26))


GEOMETRIES = {
    "one cubic site": sites(np.eye(3), (1, 1, 1)),
    "cubic": sites(np.eye(3), (3, 3, 3)),
    "one fcc site": sites(FCC, (1, 1, 1)),
    "fcc": sites(FCC, (3, 3, 3)),
    "one site in a long cell": sites(np.diag([1.0, 1.0, 6.0]), (1, 1, 1)),
    "one site in a flat cell": sites(np.diag([4.0, 4.0, 1.0]), (1, 1, 1)),
    "long cell": sites(np.eye(3), (1, 1, 8)),
    "film with vacuum": sites(np.eye(3), (3, 3, 1), vacuum=12.0),
    "skewed": sites(SKEWED, (2, 2, 2)),
    "disordered": disordered(),
}


def states(geometry: Geometry) -> list[np.ndarray]:
    """Ferromagnets along three axes, an antiferromagnet, random spins."""
    count = len(geometry)
    axes = np.array([[0, 0, 1.0], [1.0, 0, 0], np.ones(3) / np.sqrt(3)])
    signs = (-1.0) ** np.round(geometry.positions.sum(axis=1))
    return [
        *(np.tile(axis, (count, 1)) for axis in axes),
        np.outer(signs, axes[0]),
        random_spins(count, np.random.default_rng(5)),
    ]


def neglected(frozen: FrozenDipole, exact: FrozenDipole, spins: np.ndarray) -> np.ndarray:
    """Errors of energy, field and force, in the units in which the accuracy is promised."""
    lengths, count = np.full(len(spins), 2.0), len(spins)
    density = count / frozen.volume
    field = 4 * np.pi / 3 * frozen.strength * density * 2.0
    energy = abs(frozen.energy(spins, lengths) - exact.energy(spins, lengths)) / (0.5 * count * 2.0 * field)
    torque = np.linalg.norm(frozen.gradient(spins, lengths) - exact.gradient(spins, lengths), axis=1).max() / (2.0 * field)
    pull = frozen.lattice(spins, lengths)[0] - exact.lattice(spins, lengths)[0]
    force = np.linalg.norm(pull, axis=1).max() / (2.0 * field * np.cbrt(density))
    return np.array([energy, torque, force])


@pytest.mark.parametrize("name", GEOMETRIES)
def test_ewald_sums_are_as_accurate_as_asked(name: str) -> None:
    geometry = GEOMETRIES[name]
    exact = Dipole(0.7, accuracy=1e-15).freeze(geometry)
    for accuracy in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-10):
        frozen = Dipole(0.7, accuracy=accuracy).freeze(geometry)
        worst = np.max([neglected(frozen, exact, spins) for spins in states(geometry)], axis=0)
        assert (worst < accuracy).all(), f"accuracy {accuracy:g}: energy, field and force miss by {worst}"
        assert worst.max() > 1e-4 * accuracy, "far more work than asked"


def test_the_exact_sum_has_the_field_of_lorentz() -> None:
    """Aligned moments on a cubic lattice: 4 pi/3 of the magnetization, and none of it depends on the splitting."""
    for name in ("one cubic site", "cubic", "one fcc site", "fcc"):
        geometry = GEOMETRIES[name]
        frozen = Dipole(0.7, accuracy=1e-12).freeze(geometry)
        spins = states(geometry)[2]
        field = 4 * np.pi / 3 * 0.7 * len(geometry) / frozen.volume
        np.testing.assert_allclose(frozen.gradient(spins, np.ones(len(geometry))), field * spins, rtol=1e-11)


def test_more_accuracy_costs_no_more_than_it_must() -> None:
    """Cutoffs grow like the root of the logarithm: halving the digits leaves about 2^(-3/2) of the pairs."""
    geometry = GEOMETRIES["cubic"]
    pairs = [len(Dipole(1.0, accuracy=accuracy).freeze(geometry).bonds) for accuracy in (1e-5, 1e-10)]
    assert 0.35 < pairs[0] / pairs[1] < 0.75
