"""Walls of any kind: their profile by closed forms, and found again by the analysis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spinase import SpinAtoms, textures
from spinase.analysis import domain_walls
from spinase.atoms import geometry_of
from spinase.errors import InvalidGeometryError
from spinase.spin_algebra import normalized
from spinase.typing import FloatArray

RNG = np.random.default_rng(0)


def strip(texture: FloatArray | None = None, *, periodic: bool = False, sites: int = 40) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (sites, 3), units="reduced")
    atoms.pbc = (periodic, False, False)
    if texture is not None:
        atoms.spins = texture
    return atoms


@pytest.mark.parametrize("right", [(1, 0, 0), (-0.6, 0.1, -0.8), (0.1, 0.3, 1.0)])
def test_a_wall_between_two_directions_turns_in_their_plane(right: tuple[float, float, float]) -> None:
    """Rotation about left x right by the share of the angle; the middle spin halves it."""
    geometry = geometry_of(strip())
    spins = textures.domain_wall(geometry, RNG, width=2.5, position=0.4, directions=[(0, 0, 2), right])
    end, left = normalized(np.array([right], dtype=float))[0], np.array([0, 0, 1.0])
    turn = np.arccos(end[2])
    share = 2 / np.pi * np.arctan(np.exp((geometry.positions[:, 0] - 0.4 * 39) / 2.5))
    across = normalized((end - (end @ left) * left)[None])[0]
    expected = np.cos(share * turn)[:, None] * left + np.sin(share * turn)[:, None] * across
    np.testing.assert_allclose(spins, expected, atol=1e-12)
    (wall,) = domain_walls(strip(spins), directions=[(0, 0, 1), right])
    assert (wall.position, wall.width) == pytest.approx((0.4 * 39, 2.5), abs=1e-6)
    assert np.isnan(wall.angle)


@pytest.mark.parametrize("angle", [0.3, -2.0])
@pytest.mark.parametrize("end", [(0, 0, 1), (1, 0, 0), (1, -2, 0.5)])
def test_opposite_ends_of_any_direction_turn_through_the_angle(end: tuple[float, float, float], angle: float) -> None:
    ends = [end, -np.array(end)]
    atoms = strip(textures.domain_wall(geometry_of(strip()), RNG, width=2.0, angle=angle, directions=ends))
    left = normalized(np.array([end], dtype=float))[0]
    np.testing.assert_allclose(atoms.spins @ left, -np.tanh((atoms.positions[:, 0] - 19.5) / 2.0), atol=1e-12)
    (wall,) = domain_walls(atoms, directions=ends)
    assert (wall.position, wall.width, wall.angle) == pytest.approx((19.5, 2.0, angle), abs=1e-6)


def test_several_walls_between_several_domains() -> None:
    ends = np.array([(0, 0, 1.0), (1, 0, 0), (0, -1, 0), (0, 1, 0)])
    geometry = geometry_of(strip(sites=80))
    places = np.array([0.2, 0.5, 0.8])
    spins = textures.domain_wall(geometry, RNG, width=1.5, position=places, directions=ends, angle=[0.0, 0.0, 0.7])
    for place, end in zip((0.05, 0.35, 0.65, 0.95), ends, strict=True):
        np.testing.assert_allclose(spins[3 * round(79 * place)], end, atol=1e-2)
    found = domain_walls(strip(spins, sites=80), directions=ends)
    np.testing.assert_allclose([wall.position for wall in found], 79 * places, atol=1e-3)
    assert [wall.width for wall in found] == pytest.approx([1.5] * 3, abs=1e-3)
    assert found[2].angle == pytest.approx(0.7, abs=1e-3)
    np.testing.assert_allclose([wall.right for wall in found], ends[1:])


@pytest.mark.parametrize("position", [(0.25, 0.75), (0.02, 0.55), (0.4, 0.97)])
def test_walls_in_a_periodic_cell_close(position: tuple[float, float]) -> None:
    """The texture of the cell is that of the repeated cell, and the energy of a shifted one is the same."""
    atoms = strip(periodic=True)
    spins = textures.domain_wall(geometry_of(atoms), RNG, width=2.0, position=position)
    double = atoms.repeat((2, 1, 1))
    four = [*(np.array(position) / 2), *(np.array(position) / 2 + 0.5)]
    np.testing.assert_allclose(
        textures.domain_wall(geometry_of(double), RNG, width=2.0, position=four), np.tile(spins, (2, 1)), atol=1e-12
    )
    atoms.spins = spins
    found = domain_walls(atoms)
    assert [wall.position for wall in found] == pytest.approx(40 * np.array(position), abs=0.01)
    assert [wall.width for wall in found] == pytest.approx([2.0, 2.0], abs=0.01)
    assert [wall.left[2] for wall in found] == [1.0, -1.0]
    wrapped = replace(geometry_of(atoms), positions=atoms.positions - (atoms.positions[:, :1] > 20) * [40.0, 0, 0])
    np.testing.assert_allclose(textures.domain_wall(wrapped, RNG, width=2.0, position=position), spins, atol=1e-12)


def test_three_domains_close_in_a_periodic_cell() -> None:
    ends = [(np.cos(a), np.sin(a), 0.0) for a in (0.0, 2 * np.pi / 3, 4 * np.pi / 3)]
    atoms = strip(periodic=True, sites=60)
    atoms.spins = textures.domain_wall(geometry_of(atoms), RNG, width=1.5, position=[1 / 6, 0.5, 5 / 6], directions=ends)
    turned = np.unwrap(np.arctan2(*atoms.spins[::3, 1::-1].T))
    assert np.diff(turned).min() > 0.0, "one whole turn, always the same way"
    found = domain_walls(atoms, directions=ends)
    assert [wall.position for wall in found] == pytest.approx([10.0, 30.0, 50.0], abs=1e-3)


def test_walls_between_ordered_phases() -> None:
    """120-degree domains that differ by a turn; tetrahedral ones of opposite chirality, by a mirror in spin space."""
    atoms = SpinAtoms.lattice("triangular", (36, 12), units="reduced")
    atoms.pbc = False
    geometry = geometry_of(atoms)
    order = textures.order_120(geometry, RNG)
    turned = order @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]])
    spins = textures.walls_between(geometry, [order, turned], width=1.5)
    share = 2 / np.pi * np.arctan(np.exp((atoms.positions[:, 0] - np.ptp(atoms.positions[:, 0]) / 2) / 1.5))
    np.testing.assert_allclose(np.einsum("ia,ia->i", spins, order), np.cos(share * np.pi / 2), atol=1e-12)
    assert np.abs(spins[:, 2]).max() < 1e-12

    left = textures.tetrahedral(geometry, RNG)
    right = left * [1, 1, -1]
    spins = textures.walls_between(geometry, [left, right], width=1.5)
    turn = np.arccos(1 / 3)
    np.testing.assert_allclose(np.abs(spins[:, 2]), np.abs(np.sin(turn * (0.5 - share))), atol=1e-12)
    np.testing.assert_allclose(np.abs(spins[:, 0]), np.abs(spins[:, 1]), atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "1 wall.s. along the periodic axis 0: the last domain does not go on as the first"),
        ({"position": [0.6, 0.3]}, "positions of walls must ascend"),
        ({"position": [0.1, 1.2]}, "within one period"),
        ({"position": [0.1, 0.3, 0.5]}, "even number of positions"),
        ({"position": [0.2, 0.4, 0.6, 0.8], "directions": np.eye(3)}, "2 .alternating. or 4 .periodic. domains, got 3"),
        ({"position": [0.2, 0.7], "directions": np.eye(3)[:2], "angle": 0.4}, "angle = 0.4 says nothing"),
        ({"position": [0.2, 0.7], "directions": np.eye(3)[:2], "angle": [0.0, 0.4]}, "wall 1 turns in the plane"),
        ({"position": [0.2, 0.7], "angle": [0.1, 0.2, 0.3]}, "one for each of 2 wall"),
        ({"directions": [0, 0, 1]}, "directions of domains must be vectors"),
        ({"axis": 3}, "axis must be 0, 1 or 2"),
    ],
)
def test_what_a_periodic_cell_cannot_hold(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidGeometryError, match=message):
        textures.build("domain-wall", geometry_of(strip(periodic=True)), RNG, **options)


def test_a_slanted_cell_breaks_planes_across_x() -> None:
    atoms = SpinAtoms.lattice("triangular", (12, 5), units="reduced")
    with pytest.raises(InvalidGeometryError, match="no multiples of the shortest"):
        textures.domain_wall(geometry_of(atoms), RNG, position=[0.2, 0.7])
    with pytest.raises(InvalidGeometryError, match="two different directions"):
        domain_walls(atoms, directions=[(0, 0, 1)])
    fits = geometry_of(SpinAtoms.lattice("triangular", (12, 12), units="reduced"))  # rows shifted by 0 and 6: period 6
    spins = textures.domain_wall(fits, RNG, width=0.3, position=[0.25, 0.75])
    x = (fits.positions[:, 0] - fits.positions[0, 0]) % 6.0
    np.testing.assert_allclose(spins[:, 2], -np.tanh((x - 1.5) / 0.3) * np.tanh((4.5 - x) / 0.3), atol=1e-3)


def test_a_wall_does_not_mind_sites_that_are_several_periods_away() -> None:
    atoms = SpinAtoms.lattice("square", (30, 2))
    geometry = geometry_of(atoms)
    turns = np.random.default_rng(1).integers(-6, 7, len(atoms))
    turns[0] = 0
    away = replace(geometry, positions=geometry.positions + 30.0 * turns[:, None] * [1.0, 0.0, 0.0])
    options = {"width": 0.7, "position": [0.2, 0.6]}
    np.testing.assert_allclose(
        textures.domain_wall(away, RNG, **options), textures.domain_wall(geometry, RNG, **options), atol=1e-9
    )
