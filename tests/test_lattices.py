"""Lattices by their coordination numbers and densities; disordered points by their distances."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import lattices
from spinase.errors import InvalidGeometryError
from spinase.geometry import Geometry, find_bonds

COORDINATION = {"chain": 2, "square": 4, "triangular": 6, "honeycomb": 3, "kagome": 4, "cubic": 6}
COORDINATION |= {"bcc": 8, "fcc": 12, "hexagonal": 8, "hcp": 12}
SITE_VOLUME = {
    "chain": 1.0,
    "square": 1.0,
    "triangular": np.sqrt(3) / 2,
    "honeycomb": 3 * np.sqrt(3) / 4,
    "kagome": 2 / np.sqrt(3),
    "cubic": 1.0,
    "bcc": 4 / (3 * np.sqrt(3)),
    "fcc": 1 / np.sqrt(2),
    "hexagonal": np.sqrt(3) / 2,
    "hcp": 1 / np.sqrt(2),
}


def geometry(lattice) -> Geometry:
    positions, cell, pbc = lattice
    return Geometry(positions, cell, np.array(pbc), np.ones(len(positions), dtype=np.int64))


def degrees(geo: Geometry, cutoff: float) -> np.ndarray:
    bonds = find_bonds(geo, cutoff)
    return np.bincount(np.concatenate([bonds.first, bonds.second]), minlength=len(geo))


@pytest.mark.parametrize("name", COORDINATION)
@pytest.mark.parametrize("cells", [1, 4])
@pytest.mark.parametrize("a", [1.0, 2.5])
def test_coordination_numbers_and_density(name, cells, a):
    primitive, basis = lattices.LATTICES[name]
    dimension = len(primitive)
    geo = geometry(lattices.build(name, (cells,) * dimension, a))
    assert len(geo) == len(basis) * cells**dimension
    assert np.all(degrees(geo, 1.01 * a) == COORDINATION[name])
    assert find_bonds(geo, 1.01 * a).distances == pytest.approx(np.full(len(geo) * COORDINATION[name] // 2, a))
    volume = np.sqrt(np.linalg.det(geo.cell[:dimension] @ geo.cell[:dimension].T))
    assert volume / len(geo) == pytest.approx(SITE_VOLUME[name] * a**dimension)


def test_open_boundaries_lose_bonds():
    geo = geometry(lattices.build("square", (3, 4), periodic=False))
    assert len(find_bonds(geo, 1.01)) == 2 * 4 + 3 * 3
    strip = geometry(lattices.build("square", (3, 4), periodic=(True, False)))
    assert len(find_bonds(strip, 1.01)) == 3 * 4 + 3 * 3
    assert strip.pbc.tolist() == [True, False, False]


def test_order_of_sites_is_cell_by_cell_the_last_direction_fastest():
    positions, cell, _ = lattices.build("square", (2, 3))
    assert positions[:4, :2].tolist() == [[0, 0], [0, 1], [0, 2], [1, 0]]
    assert np.diag(cell).tolist() == [2, 3, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hexagon", (2, 2)), "unknown lattice 'hexagon': use one of chain, square"),
        (("square", (2,)), "a square lattice needs size = 2 positive integers, got"),
        (("square", (2, 0)), "positive integers"),
        (("square", (2.5, 2)), "positive integers"),
        (("cubic", (2, 2)), "size = 3"),
        (("square", (2, 2), -1.0), "distance a must be positive, got -1"),
        (("square", (2, 2), np.nan), "must be positive, got nan"),
        (("square", (2, 2), 1.0, (True,)), "needs periodic = 2 booleans"),
    ],
)
def test_bad_lattices_are_refused(arguments, message):
    with pytest.raises(InvalidGeometryError, match=message):
        lattices.build(*arguments)


def image_distances(geo: Geometry) -> np.ndarray:
    """All pair distances, nearest images and each site's own images included."""
    shifts = np.stack(np.meshgrid(*[np.arange(-1, 2) if p else [0] for p in geo.pbc], indexing="ij"), -1).reshape(-1, 3)
    gaps = geo.positions[:, None, None] - geo.positions[None, :, None] + shifts @ geo.cell
    distances = np.linalg.norm(gaps, axis=-1)
    return distances[distances > 0]


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_disordered_points_keep_their_distance_through_the_boundaries(dimension):
    geo = geometry(lattices.disordered(40, 0.7, 0.75, dimension, np.random.default_rng(3)))
    distances = image_distances(geo)
    assert distances.min() >= 0.75
    assert distances.min() < 0.9  # points at the smallest distance exist: the number is used
    assert geo.pbc.tolist() == [axis < dimension for axis in range(3)]
    assert np.linalg.det(geo.cell) == pytest.approx(40 / 0.7)
    assert np.all(geo.positions[:, dimension:] == 0.0)


def test_disordered_points_fill_the_box_and_follow_the_seed():
    first = lattices.disordered(300, 1.0, 0.0, 3, np.random.default_rng(1))
    again = lattices.disordered(300, 1.0, 0.0, 3, np.random.default_rng(1))
    other = lattices.disordered(300, 1.0, 0.0, 3, np.random.default_rng(2))
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])
    assert first[0].mean(axis=0) == pytest.approx(np.diag(first[1]) / 2, rel=0.1)


def one_after_the_other(sites, min_distance, dimension, edge, rng):
    """Random sequential addition as it is defined."""
    points = np.zeros((0, dimension))
    while len(points) < sites:
        trial = rng.uniform(0.0, edge, size=dimension)
        gaps = points - trial - edge * np.round((points - trial) / edge)
        if np.all(np.linalg.norm(gaps, axis=1) >= min_distance):
            points = np.vstack([points, trial])
    return points


@pytest.mark.parametrize(("sites", "min_distance", "dimension"), [(7, 0.4, 1), (90, 0.6, 2), (700, 0.8, 3)])
def test_disordered_points_are_those_of_one_trial_at_a_time(sites, min_distance, dimension):
    """Whatever is drawn afterwards, too: directions of spins come from the same generator."""
    rng, expected = np.random.default_rng(6), np.random.default_rng(6)
    points, cell, _ = lattices.disordered(sites, 1.0, min_distance, dimension, rng)
    known = one_after_the_other(sites, min_distance, dimension, cell[0, 0], expected)
    np.testing.assert_array_equal(points[:, :dimension], known)
    assert rng.random() == expected.random()


def test_points_that_do_not_fit_say_how_many_did():
    with pytest.raises(InvalidGeometryError, match=r"only \d+ of 50 points fit at density 1.0 with min_distance 1.3: lower"):
        lattices.disordered(50, 1.0, 1.3, 3, np.random.default_rng(0))


def test_a_box_smaller_than_the_distance_is_refused():
    with pytest.raises(InvalidGeometryError, match="too close to its own image"):
        lattices.disordered(1, 1.0, 2.0, 3, np.random.default_rng(0))


@pytest.mark.parametrize(
    "arguments", [(0, 1.0, 0.5, 3), (5, -1.0, 0.5, 3), (5, 1.0, -0.5, 3), (5, 1.0, 0.5, 4), (5, np.nan, 0.5, 3)]
)
def test_bad_numbers_are_refused(arguments):
    with pytest.raises(InvalidGeometryError, match="disordered points need sites >= 1"):
        lattices.disordered(*arguments, np.random.default_rng(0))
