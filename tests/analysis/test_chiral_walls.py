"""Walls between chiralities: length, direction and sites of stripes, discs and checkerboards; textures with such domains."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spinase import SpinAtoms
from spinase.analysis import chirality_edges, chirality_walls, scalar_chirality, site_chirality, sites_in_walls, triangles
from spinase.analysis.chiral_walls import EDGES_BY_LENGTH, TETRAHEDRAL_CHIRALITY, edges_between, level_lines
from spinase.errors import InvalidGeometryError, InvalidMomentsError, ModelError

HEIGHT = np.sqrt(3.0) / 2.0


def tetrahedral(size: tuple[int, int] = (24, 24)) -> SpinAtoms:
    return SpinAtoms.lattice("triangular", size, units="reduced", texture="tetrahedral")


def with_sides(atoms: SpinAtoms, side: np.ndarray) -> SpinAtoms:
    """Tetrahedral spins with s_z times `side` (N,): the chirality has its sign."""
    atoms = atoms.copy()
    spins = atoms.spins * np.column_stack([np.ones((len(atoms), 2)), side])
    atoms.spins = spins / np.linalg.norm(spins, axis=1)[:, None]
    return atoms


def test_stripes_have_the_length_direction_and_size_of_theirs() -> None:
    atoms = tetrahedral((24, 36))
    phase = 2.0 * np.pi * (atoms.positions[:, 1] / (36 * HEIGHT) * 3.0 + 0.013)
    walls = chirality_walls(with_sides(atoms, np.sin(phase)))
    assert walls.area == pytest.approx(24 * 36 * HEIGHT)
    assert walls.length == pytest.approx(6 * 24.0, rel=5e-3)  # three periods, two walls in each
    assert walls.domain_length == pytest.approx(0.5 * np.pi * 6.0 * HEIGHT, rel=5e-3)
    assert walls.anisotropy() == pytest.approx(1.0, abs=5e-3)
    along = np.minimum(walls.directions, np.pi - walls.directions)
    assert walls.lengths @ along / walls.length < 0.05


@pytest.mark.parametrize("waves", [(3, 0), (0, 3), (1, 2), (2, 2), (3, 1)])
def test_straight_lines_in_any_direction_have_their_length_and_angle(waves: tuple[int, int]) -> None:
    """cos(q.r) has 2 |q| area/(2 pi) of zero lines, across q."""
    atoms = tetrahedral((36, 36))
    q = 2.0 * np.pi * np.linalg.inv(atoms.cell.array)[:, :2] @ np.array(waves)
    walls = level_lines(atoms, triangles(atoms), np.cos(atoms.positions @ q + 0.1))
    assert walls.length == pytest.approx(2.0 * np.linalg.norm(q) / (2.0 * np.pi) * walls.area, rel=3e-3)
    across = (np.arctan2(q[1], q[0]) + 0.5 * np.pi) % np.pi
    gap = np.abs((walls.directions - across + 0.5 * np.pi) % np.pi - 0.5 * np.pi)
    assert walls.lengths @ gap / walls.length < 0.03
    assert walls.anisotropy() == pytest.approx(np.cos(6.0 * across), abs=0.03)


def test_a_disc_has_its_circumference_in_all_directions() -> None:
    atoms = tetrahedral((64, 64))
    found, middle = triangles(atoms), atoms.positions.mean(axis=0)
    away = np.linalg.norm(atoms.positions - middle, axis=1)
    walls = level_lines(atoms, found, np.tanh((20.0 - away) / 2.0))
    assert walls.length == pytest.approx(2.0 * np.pi * 20.0, rel=2e-3)
    assert abs(walls.anisotropy()) < 0.02
    places, weights = walls.orientations(6, np.pi / 3.0)
    np.testing.assert_allclose(weights, 1.0, atol=0.05)
    np.testing.assert_allclose(places, (np.arange(6) + 0.5) * np.pi / 18.0)
    magnet = with_sides(atoms, np.tanh((20.0 - away) / 2.0))
    assert chirality_walls(magnet).length == pytest.approx(2.0 * np.pi * 20.0, rel=1e-2)
    expected = np.abs(np.linalg.norm(found.centres - middle, axis=1) - 20.0) > 1.0
    inside = np.linalg.norm(found.centres - middle, axis=1) < 20.0
    np.testing.assert_array_equal((scalar_chirality(magnet, found) > 0)[expected], inside[expected])


def test_edges_of_lines_average_to_their_length_times_a_number() -> None:
    """Between triangles on the two sides of a line: (2/3) sum |cos| of its angles with the bonds of the centres."""
    atoms = tetrahedral((24, 24))
    found = triangles(atoms)
    rng = np.random.default_rng(0)
    for waves in ((0, 2), (2, 2), (1, 3)):
        q = 2.0 * np.pi * np.linalg.inv(atoms.cell.array)[:, :2] @ np.array(waves)
        line = 2.0 * np.linalg.norm(q) / (2.0 * np.pi) * 24 * 24 * HEIGHT
        shares = [
            edges_between(atoms, found, np.cos(found.centres @ q + phase) > 0.0).length / line
            for phase in rng.uniform(0.0, 2.0 * np.pi, 60)
        ]
        normal = np.arctan2(q[1], q[0])
        expected = 2.0 / 3.0 * np.abs(np.cos(normal - np.pi / 6.0 - np.pi / 3.0 * np.arange(3))).sum()
        assert np.mean(shares) == pytest.approx(expected, rel=0.03)
    angles = np.linspace(0.0, np.pi / 3.0, 2001)
    mean = np.mean([2.0 / 3.0 * np.abs(np.cos(angle - np.pi / 3.0 * np.arange(3))).sum() for angle in angles])
    assert pytest.approx(mean, rel=1e-3) == EDGES_BY_LENGTH


@pytest.mark.parametrize("size", [(6, 6), (3, 4), (2, 2)])
def test_every_edge_of_a_checkerboard_of_triangles_is_a_wall(size: tuple[int, int]) -> None:
    atoms = SpinAtoms.lattice("triangular", size, units="reduced", texture="ferro")
    found = triangles(atoms)
    corners = found.corners(atoms)
    upward = np.ptp(corners[:, :, 1], axis=1) + corners[:, :, 1].min(axis=1) - np.median(corners[:, :, 1], axis=1) > 0.5
    assert upward.sum() == len(atoms)
    edges = edges_between(atoms, found, upward)
    assert len(edges) == 3 * len(atoms)
    np.testing.assert_allclose(edges.lengths, 1.0)
    assert len(chirality_edges(atoms)) == 0  # no chirality anywhere counts as one phase


def test_a_checkerboard_of_domains() -> None:
    atoms = tetrahedral((32, 32))
    x, y = np.linalg.solve(atoms.cell.array[:2, :2].T, atoms.positions[:, :2].T)
    sides = np.sin(2.0 * np.pi * x + 0.3) * np.sin(2.0 * np.pi * y + 0.2)
    walls = level_lines(atoms, triangles(atoms), sides)
    assert walls.length == pytest.approx(4 * 32.0, rel=0.03)  # two lines along each cell vector; corners are cut
    assert walls.anisotropy() > 0.7  # but for the corners, along the bonds


def test_walls_turn_with_the_magnet_and_not_with_the_spins() -> None:
    atoms = tetrahedral()
    magnet = with_sides(atoms, np.sin(2.0 * np.pi * atoms.positions[:, 1] / (24 * HEIGHT) + 0.1))
    walls = chirality_walls(magnet)
    magnet.spins = magnet.spins @ Rotation.random(rng=np.random.default_rng(1)).as_matrix().T
    np.testing.assert_allclose(chirality_walls(magnet).ends, walls.ends, atol=1e-9)
    magnet.rotate(30.0, "z", rotate_cell=True)
    turned = chirality_walls(magnet)
    assert turned.length == pytest.approx(walls.length)
    assert turned.anisotropy() == pytest.approx(-walls.anisotropy(), abs=1e-9)


def test_sites_in_walls() -> None:
    atoms = tetrahedral()
    np.testing.assert_allclose(np.abs(site_chirality(atoms)), TETRAHEDRAL_CHIRALITY)
    assert not sites_in_walls(atoms).any()
    magnet = with_sides(atoms, np.tanh(3.0 * np.sin(2.0 * np.pi * (atoms.positions[:, 1] / (24 * HEIGHT) + 0.02))))
    within = sites_in_walls(magnet)
    near = np.abs(np.sin(2.0 * np.pi * (atoms.positions[:, 1] / (24 * HEIGHT) + 0.02)))
    assert near[within].max() < near[~within].min() + 0.1
    assert 0.0 < within.mean() < 0.4
    assert sites_in_walls(magnet, threshold=0.7).sum() > within.sum()
    magnet.moments = np.where(np.arange(576)[:, None] == 100, 0.0, magnet.moments)
    assert not sites_in_walls(magnet, threshold=0.99)[100]
    open_magnet = SpinAtoms.lattice("triangular", (6, 6), units="reduced", texture="tetrahedral", periodic=False)
    assert np.abs(site_chirality(open_magnet)).min() == pytest.approx(TETRAHEDRAL_CHIRALITY)


def test_what_has_no_walls() -> None:
    walls = chirality_walls(tetrahedral((4, 4)))
    assert (len(walls), walls.length, walls.domain_length, walls.anisotropy()) == (0, 0.0, np.inf, 0.0)
    np.testing.assert_array_equal(walls.orientations(4)[1], 0.0)
    with pytest.raises(ModelError, match="an even fold of at least 2, got 3"):
        walls.anisotropy(3)
    with pytest.raises(ModelError, match=r"a period that divides pi, got bins=6, period=1\.0"):
        walls.orientations(6, 1.0)
    with pytest.raises(InvalidGeometryError, match='use triangulation="delaunay"'):
        chirality_walls(SpinAtoms.lattice("square", (4, 4), texture="ferro"))
    empty = tetrahedral((4, 4))
    empty.moments = np.zeros((16, 3))
    with pytest.raises((InvalidMomentsError, InvalidGeometryError)):
        chirality_edges(empty)
