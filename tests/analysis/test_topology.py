"""Triangles, chirality, topological charge."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.analysis import scalar_chirality, topological_charge, triangles
from spinase.errors import InvalidGeometryError
from spinase.spin_algebra import normalized

TETRAHEDRAL = 4 / (3 * np.sqrt(3))


@pytest.mark.parametrize(
    ("lattice", "size", "per_cell"), [("triangular", (5, 4), 2), ("triangular", (1, 1), 2), ("kagome", (3, 3), 2)]
)
def test_nearest_triangles_are_all_there_once(lattice: str, size: tuple[int, int], per_cell: int) -> None:
    found = triangles(SpinAtoms.lattice(lattice, size))
    assert len(found) == per_cell * size[0] * size[1]
    assert len(np.unique(np.round(found.centres, 6), axis=0)) == len(found)


@pytest.mark.parametrize("lattice", ["square", "triangular", "honeycomb", "kagome"])
@pytest.mark.parametrize("periodic", [True, (True, False), False])
def test_delaunay_covers_the_plane_once(lattice: str, periodic: bool | tuple[bool, bool]) -> None:
    atoms = SpinAtoms.lattice(lattice, (4, 5), periodic=periodic)
    found = triangles(atoms, "delaunay")
    if periodic is True:
        assert len(found) == 2 * len(atoms), "Euler: two triangles a site on a torus"
    else:
        assert 0 < len(found) < 2 * len(atoms)


def test_disordered_planar_sites_close_on_the_torus() -> None:
    atoms = SpinAtoms.disordered(40, dimension=2, min_distance=0.6, rng=3)
    assert len(triangles(atoms, "delaunay")) == 80


@pytest.mark.parametrize("sign", [1, -1])
def test_tetrahedral_order_has_uniform_chirality(sign: int) -> None:
    atoms = SpinAtoms.lattice("triangular", (4, 6), texture="tetrahedral", chirality=sign)
    np.testing.assert_allclose(scalar_chirality(atoms), sign * TETRAHEDRAL, atol=1e-12)
    assert topological_charge(atoms) == pytest.approx(sign * 24 / 2), "each triangle spans a quarter of the sphere"
    np.testing.assert_allclose(
        scalar_chirality(SpinAtoms.lattice("triangular", (6, 6), texture="120-degree")), 0, atol=1e-12
    )


def skyrmion(center_down: bool = True, winding: int = 1) -> SpinAtoms:
    """A single smooth skyrmion on a square torus, far from the boundary."""
    atoms = SpinAtoms.lattice("square", (20, 20))
    offset = atoms.positions[:, :2] - 9.6
    radius, angle = np.hypot(*offset.T), winding * np.arctan2(offset[:, 1], offset[:, 0])
    theta = np.pi * np.clip(1 - radius / 7.0, 0, 1)
    spins = np.stack([np.sin(theta) * np.cos(angle), np.sin(theta) * np.sin(angle), np.cos(theta)], axis=1)
    atoms.spins = spins if center_down else spins * [1, 1, -1]
    return atoms


def test_skyrmions_have_charge_one_and_the_sign_of_their_winding() -> None:
    # centre down in an up background with winding +1: the map of the plane to the sphere has degree -1
    assert topological_charge(skyrmion()) == pytest.approx(-1.0, abs=1e-12)
    assert topological_charge(skyrmion(winding=-1)) == pytest.approx(1.0, abs=1e-12)
    assert topological_charge(skyrmion(center_down=False)) == pytest.approx(1.0, abs=1e-12)
    assert topological_charge(SpinAtoms.lattice("square", (8, 8))) == 0.0


def test_the_skyrmion_crystal_texture_has_two_units_a_cell() -> None:
    atoms = SpinAtoms.lattice("triangular", (12, 12), texture="skyrmion-crystal")
    charge = topological_charge(atoms)
    assert charge == pytest.approx(round(charge), abs=1e-9)
    # magnetic cell: the lattice vectors dual to Q1, Q2 with |Q| = pi/3 have length 4 sqrt(3) and 48 sites: 3 cells
    assert abs(charge) == pytest.approx(2 * 144 / 48)


def test_charge_is_whole_for_any_smooth_texture_on_any_torus() -> None:
    rng = np.random.default_rng(5)
    for lattice in ("square", "triangular", "honeycomb"):
        atoms = SpinAtoms.lattice(lattice, (9, 8))
        phase = 2 * np.pi * atoms.positions @ np.linalg.inv(np.asarray(atoms.cell))
        waves = [np.cos(phase[:, :2] @ rng.integers(-2, 3, size=2) + rng.uniform(0, 6.28)) for _ in range(3)]
        atoms.spins = normalized(np.stack(waves, axis=1) + 0.01)
        charge = topological_charge(atoms)
        assert charge == pytest.approx(round(charge), abs=1e-9)


def test_bad_input() -> None:
    with pytest.raises(InvalidGeometryError, match="triangles need sites in one plane"):
        triangles(SpinAtoms.lattice("cubic", (3, 3, 3)))
    with pytest.raises(InvalidGeometryError, match='use triangulation="delaunay"'):
        scalar_chirality(SpinAtoms.lattice("square", (4, 4)))
    with pytest.raises(InvalidGeometryError, match="unknown triangulation 'other'"):
        triangles(SpinAtoms.lattice("square", (4, 4)), "other")  # type: ignore[arg-type]


@pytest.mark.parametrize("periodic", [True, (True, False)])
@pytest.mark.parametrize("method", ["nearest", "delaunay"])
def test_triangles_do_not_depend_on_the_cell_or_on_where_sites_are_wrapped(
    periodic: bool | tuple[bool, bool], method: str
) -> None:
    atoms = SpinAtoms.lattice("triangular", (6, 5), periodic=periodic, rng=3)
    there = atoms.copy()
    if periodic is True:
        there.set_cell(np.array([[1, 0, 0], [-7, 1, 0], [0, 0, 1]]) @ atoms.cell.array, scale_atoms=False)
    turns = np.random.default_rng(1).integers(-5, 6, (len(atoms), 3)) * atoms.pbc
    there.positions += turns @ there.cell.array
    found, expected = triangles(there, method), triangles(atoms, method)  # type: ignore[arg-type]
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.areas(there), np.sqrt(3.0) / 4.0, rtol=1e-9)
    assert topological_charge(there, found) == pytest.approx(topological_charge(atoms, expected), abs=1e-9)


def test_a_single_site_has_no_triangles() -> None:
    with pytest.raises(InvalidGeometryError, match=r"1 site\(s\) without neighbours have no triangles"):
        triangles(SpinAtoms("Fe", positions=[[0.0, 0.0, 0.0]], spins=[[0.0, 0.0, 1.0]]))
