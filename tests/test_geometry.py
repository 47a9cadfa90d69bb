"""Bonds and shells against brute force over images."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from ase.stress import voigt_6_to_full_3x3_stress
from hypothesis import given, settings
from hypothesis import strategies as st

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.errors import InvalidGeometryError
from spinase.geometry import (
    Geometry,
    NeighbourCache,
    find_bonds,
    largest_displacement,
    near_images,
    nearest_image,
    shortest_period,
    stress_of,
)

TRICLINIC = np.array([[2.2, 0.1, 0.0], [0.7, 1.9, 0.2], [-0.4, 0.6, 2.5]])
PBCS = list(itertools.product([False, True], repeat=3))


def geometry(positions, cell=((0.0,) * 3,) * 3, pbc=(False,) * 3) -> Geometry:
    positions = np.array(positions, dtype=float)
    return Geometry(positions, np.array(cell, dtype=float), np.array(pbc), np.full(len(positions), 26))


def brute_force(geo: Geometry, cutoff: float) -> list[tuple]:
    """Every directed pair (i, j, shift) closer than `cutoff`, by trying all images."""
    spread = np.ptp(geo.positions, axis=0).max() + cutoff
    reach = [0] * 3
    if geo.pbc.any():
        heights = 1.0 / np.linalg.norm(np.linalg.pinv(geo.cell[geo.pbc]), axis=0)
        for axis, height in zip(np.flatnonzero(geo.pbc), heights, strict=True):
            reach[axis] = int(np.ceil(2 * spread / height)) + 1
    found = []
    for shift in itertools.product(*(range(-n, n + 1) for n in reach)):
        offset = np.array(shift) @ geo.cell
        for i, j in itertools.product(range(len(geo)), repeat=2):
            if i == j and not any(shift):
                continue
            if np.linalg.norm(geo.positions[j] + offset - geo.positions[i]) < cutoff:
                found.append((i, j, shift))
    return found


def directed(bonds) -> list[tuple]:
    pairs = []
    for i, j, shift in zip(bonds.first, bonds.second, bonds.shifts, strict=True):
        pairs.append((int(i), int(j), tuple(int(n) for n in shift)))
        pairs.append((int(j), int(i), tuple(-int(n) for n in shift)))
    return pairs


def assert_bonds(geo: Geometry, cutoff: float, at_least: int = 1) -> None:
    bonds = find_bonds(geo, cutoff)
    expected = brute_force(geo, cutoff)
    assert len(expected) >= at_least
    assert sorted(directed(bonds)) == sorted(expected)
    vectors = geo.positions[bonds.second] - geo.positions[bonds.first] + bonds.shifts @ geo.cell
    assert np.abs(bonds.vectors - vectors).max(initial=0.0) < 1e-14
    assert np.allclose(bonds.distances, np.linalg.norm(vectors, axis=1))


@pytest.mark.parametrize("pbc", PBCS)
@pytest.mark.parametrize("handed", [1, -1])
def test_bonds_of_a_triclinic_cell_with_any_boundaries(pbc, handed):
    rng = np.random.default_rng(4)
    cell = TRICLINIC[:: handed if handed == -1 else 1]
    assert_bonds(geometry(rng.uniform(size=(6, 3)) @ cell, cell, pbc), 1.7)


@pytest.mark.parametrize("pbc", PBCS)
def test_bonds_of_sites_far_outside_the_cell(pbc):
    rng = np.random.default_rng(9)
    positions = rng.uniform(-2.0, 2.0, size=(6, 3)) @ TRICLINIC
    assert_bonds(geometry(positions, TRICLINIC, pbc), 2.0)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("direction", range(3))
def test_one_periodic_vector_along_any_direction_and_the_others_missing(axis, direction):
    """The periodic cell vector need not be parallel to the Cartesian axis of the same number."""
    cell, pbc = np.zeros((3, 3)), np.zeros(3, dtype=bool)
    cell[axis, direction], pbc[axis] = 1.5, True
    rng = np.random.default_rng(2)
    assert_bonds(geometry(rng.uniform(-3, 3, size=(8, 3)), cell, pbc), 2.1)


@pytest.mark.parametrize("cutoff", [0.5, 1.0001, 2.3])
def test_small_cell_sees_its_own_images(cutoff):
    assert_bonds(geometry([[0.2, 0.1, 0.7]], np.eye(3), (True, True, True)), cutoff, at_least=0)


def test_one_site_in_a_simple_cubic_cell_has_three_bonds():
    assert len(find_bonds(geometry([[0, 0, 0]], np.eye(3), (True,) * 3), 1.1)) == 3


@pytest.mark.parametrize("shift", [[0, 0, 0], [-100.0, 40, 7]])
def test_open_cluster_without_a_cell(shift):
    rng = np.random.default_rng(3)
    assert_bonds(geometry(rng.uniform(0, 2, size=(9, 3)) + shift), 1.0)


def test_planar_and_linear_open_clusters():
    assert_bonds(geometry([[0, 0, 5], [1, 0, 5], [0, 1.2, 5]]), 1.3)
    assert_bonds(geometry([[0, 0, 0], [0, 0, 1], [0, 0, 2.5]]), 1.6)
    assert len(find_bonds(geometry([[0, 0, 0]]), 1.0)) == 0


def test_no_sites_have_no_bonds():
    assert len(find_bonds(geometry(np.zeros((0, 3))), 1.0)) == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(PBCS), st.floats(0.5, 2.0))
def test_bonds_of_random_systems(seed, pbc, cutoff):
    rng = np.random.default_rng(seed)
    cell = np.eye(3) * rng.uniform(1.0, 2.0, size=3) + rng.uniform(-0.4, 0.4, size=(3, 3))
    assert_bonds(geometry(rng.uniform(-1, 2, size=(4, 3)), cell, pbc), cutoff, at_least=0)


def test_each_pair_once_in_a_fixed_order():
    geo = geometry_of(SpinAtoms.disordered(20, rng=1))
    bonds = find_bonds(geo, 1.5)
    assert np.all(bonds.first <= bonds.second)
    keys = [(i, j, *shift) for i, j, shift in zip(bonds.first, bonds.second, bonds.shifts.tolist(), strict=True)]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    chosen = bonds.select(bonds.distances < 1.2)
    assert len(chosen) == np.sum(bonds.distances < 1.2)
    assert pickle.loads(pickle.dumps(bonds)).distances.tolist() == bonds.distances.tolist()


def test_a_moved_site_outside_the_box_keeps_its_physical_bonds():
    atoms = SpinAtoms.disordered(8, rng=4)
    lengths = np.sort(find_bonds(geometry_of(atoms), 1.6).distances)
    atoms.positions[3] += 2 * atoms.cell[0] - 3 * atoms.cell[2]
    assert np.allclose(np.sort(find_bonds(geometry_of(atoms), 1.6).distances), lengths, atol=1e-13)


@pytest.mark.parametrize("pbc", [(False,) * 3, (True, True, True)])
def test_coincident_sites_are_named(pbc):
    geo = geometry([[0, 0, 0], [1, 0, 0], [1, 0, 0]], 3 * np.eye(3), pbc)
    with pytest.raises(InvalidGeometryError, match="sites 1 and 2 coincide .* remove one or move them apart"):
        find_bonds(geo, 1.5)


def test_coincident_with_an_image_is_coincident():
    geo = geometry([[0, 0, 0], [3, 0, 0]], 3 * np.eye(3), (True,) * 3)
    with pytest.raises(InvalidGeometryError, match="sites 0 and 1 coincide"):
        find_bonds(geo, 1.0)


def test_bad_geometries_are_refused():
    with pytest.raises(InvalidGeometryError, match="position of site 1 is not finite"):
        geometry([[0, 0, 0], [0, np.nan, 0]])
    with pytest.raises(InvalidGeometryError, match="direction 2 is periodic but its cell vector is zero"):
        geometry([[0, 0, 0]], np.diag([1.0, 1, 0]), (True, True, True))
    with pytest.raises(InvalidGeometryError, match="cutoff must be a positive length, got -1"):
        find_bonds(geometry([[0, 0, 0]]), -1.0)
    with pytest.raises(InvalidGeometryError, match="linearly dependent"):
        find_bonds(geometry([[0, 0, 0]], [[1, 0, 0], [2, 0, 0], [0, 0, 1]], (True,) * 3), 1.0)


def test_volume():
    assert geometry([[0, 0, 0]], TRICLINIC).volume == pytest.approx(abs(np.linalg.det(TRICLINIC)))
    assert geometry([[0, 0, 0]]).volume == 0.0


def test_kept_neighbours_do_not_depend_on_what_was_asked_before() -> None:
    """Also for bonds of exactly the cutoff's length, which belong."""
    atoms = SpinAtoms.lattice("cubic", (3, 3, 3), a=2.5)
    place = geometry_of(atoms)
    moved = geometry_of(atoms)
    moved.positions[4] += 0.7
    used = NeighbourCache()
    for geometry in (place, moved, place, moved):
        fresh = NeighbourCache().bonds(geometry, 2.5)
        found = used.bonds(geometry, 2.5)
        for name in ("first", "second", "shifts", "vectors", "distances"):
            np.testing.assert_array_equal(getattr(found, name), getattr(fresh, name))
    assert len(NeighbourCache().bonds(place, 2.5)) == 81


def test_kept_neighbours_refuse_sites_that_meet() -> None:
    """Also where the list is not made anew: sites that come within its skin."""
    near, cache = np.diag([1.0, 1.0, 1.0]), NeighbourCache(skin=3.0)
    for x in (1.0, 0.5):
        cache.bonds(geometry([[0.0, 0.0, 0.0], [x, 0.0, 0.0], *near[1:]]), 1.0)
    with pytest.raises(InvalidGeometryError, match="sites 0 and 1 coincide"):
        cache.bonds(geometry([[0.0, 0.0, 0.0], [1e-9, 0.0, 0.0], *near[1:]]), 1.0)


def test_geometry_told_its_magnetic_sites_is_the_same_otherwise() -> None:
    place, sites = geometry(np.eye(3), np.eye(3) * 4.0), np.array([True, False, True])
    told = place.with_magnetic(sites)
    assert place.magnetic is None
    assert told.magnetic is sites
    assert told.positions is place.positions
    assert told.volume == place.volume == pytest.approx(64.0)
    assert told.select(sites).magnetic.tolist() == [True, True]


def test_largest_displacement_is_a_length_and_sees_nan() -> None:
    before = np.zeros((3, 3))
    assert largest_displacement(before, np.array([[0, 0, 1.0], [3.0, 0, -4.0], [2, 2, 2.0]])) == 5.0
    assert np.isnan(largest_displacement(before, np.array([[0, 0, 1.0], [np.nan, 0, 0], [9.0, 0, 0]])))


def test_stress_is_in_the_order_of_ase() -> None:
    virial = np.array([[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]])
    np.testing.assert_allclose(voigt_6_to_full_3x3_stress(stress_of(virial, 2.0)), 0.5 * virial)
    with pytest.raises(InvalidGeometryError, match="stress needs a cell with a volume"):
        stress_of(virial, 0.0)


FRAMES = {
    "cubic": np.eye(3),
    "fcc": np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]]) / 2,
    "hexagonal": np.array([[1, 0, 0], [0.5, np.sqrt(0.75), 0], [0, 0, 1.3]]),
    "triclinic": TRICLINIC,
}
SLANTED = np.array([[1, 0, 0], [7, 1, 0], [-5, 3, 1]])


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("periods", [1, 2, 3])
def test_nearest_images_of_slanted_cells_by_brute_force(name, periods):
    """Also how many there are at ties: half, thirds and quarters of lattice vectors."""
    rng, short = np.random.default_rng(1), FRAMES[name][:periods]
    frame = SLANTED[:periods, :periods] @ short
    ties = [rng.integers(-6, 7, (8, periods)) / part @ frame for part in (2, 3, 4)]
    vectors = np.concatenate([*ties, 9.0 * rng.normal(size=(8, 3))])
    home = vectors - np.round(vectors @ np.linalg.pinv(short)) @ short
    steps = np.array(list(itertools.product(range(-3, 4), repeat=periods))) @ short
    expected = np.linalg.norm(home[:, None] + steps, axis=2)
    turns = near_images(vectors, frame)
    found = np.linalg.norm(vectors[:, None] + turns @ frame, axis=2)
    np.testing.assert_allclose(found.min(axis=1), expected.min(axis=1), atol=1e-9)
    nearest = [np.sum(x < x.min(axis=1)[:, None] + 1e-6, axis=1) for x in (found, expected)]
    assert nearest[0].tolist() == nearest[1].tolist()
    best = vectors + nearest_image(vectors, frame) @ frame
    np.testing.assert_allclose(np.linalg.norm(best, axis=1), expected.min(axis=1), atol=1e-9)
    assert shortest_period(frame) == pytest.approx(np.linalg.norm(steps, axis=1)[np.any(steps, axis=1)].min())
