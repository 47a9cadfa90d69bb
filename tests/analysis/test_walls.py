"""Walls and interfaces that are put in by hand are found."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.analysis.walls import domain_wall, domain_walls, grown_phase, layer_means
from spinase.errors import InvalidGeometryError
from spinase.spin_algebra import random_rotation


def walled(position: float, width: float, angle: float, sign: float = -1.0, easy: int = 2) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (30, 4), units="reduced")
    atoms.pbc = False
    x = (atoms.positions[:, 0] - position) / width
    parts = np.stack([np.cos(angle) / np.cosh(x), np.sin(angle) / np.cosh(x), sign * np.tanh(x)], axis=1)
    atoms.spins = np.roll(parts, easy - 2, axis=1)
    return atoms


@pytest.mark.parametrize(("position", "width", "angle", "sign"), [(11.3, 2.0, 0.4, -1.0), (20.0, 3.5, -2.0, 1.0)])
def test_a_wall_is_found_where_it_was_put(position: float, width: float, angle: float, sign: float) -> None:
    wall = domain_wall(walled(position, width, angle, sign))
    found = (wall.position, wall.width, wall.angle, wall.amplitude)
    assert found == pytest.approx((position, width, angle, sign), abs=1e-6)
    assert wall.offset == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("position", [10.0, 9.0, 10.0 + 1e-14, 10.0 - 1e-14, 10.5])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_wall_centred_on_a_layer(position: float, sign: float) -> None:
    """21 sites, the middle one exactly across: its component is zero, or round-off of either sign."""
    atoms = SpinAtoms.lattice("chain", (21,), units="reduced", periodic=False)
    x = (atoms.positions[:, 0] - position) / 3.0
    atoms.spins = np.stack([1 / np.cosh(x), 0 * x, sign * np.tanh(x)], axis=1)
    wall = domain_wall(atoms)
    assert (wall.position, wall.width) == pytest.approx((position, 3.0), abs=1e-6)
    assert wall.amplitude == pytest.approx(sign, abs=1e-6)


def test_the_easy_direction_may_be_any() -> None:
    wall = domain_wall(walled(12.0, 2.0, 0.0, easy=3), easy=(1.0, 0.0, 0.0))
    assert (wall.position, wall.width) == pytest.approx((12.0, 2.0), abs=1e-6)
    assert abs(wall.angle) == pytest.approx(0.0, abs=1e-6)


def test_no_wall_is_no_number() -> None:
    atoms = SpinAtoms.lattice("square", (8, 4), units="reduced")
    atoms.spins = [0.0, 0.0, 1.0]
    assert np.isnan(domain_wall(atoms).position)
    assert domain_wall(atoms).offset == 1.0
    with pytest.raises(InvalidGeometryError, match="at least 4 layers along axis 1, there are 3"):
        domain_wall(SpinAtoms.lattice("square", (8, 3), units="reduced", rng=1), axis=1)


def test_layers_leave_out_sites_without_a_moment() -> None:
    atoms = SpinAtoms.lattice("square", (3, 2), units="reduced", rng=1)
    atoms.moments = [[0, 0, 1.0]] * 5 + [[0, 0, 0]]
    places, means = layer_means(atoms, np.arange(6.0))
    np.testing.assert_allclose(places, [0, 1, 2])
    np.testing.assert_allclose(means, [0.5, 2.5, 4.0])


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_ferromagnetic_layer_in_an_antiferromagnet(side: str) -> None:
    atoms = SpinAtoms.lattice("square", (20, 6), units="reduced")
    atoms.pbc = (False, True, False)
    x = atoms.positions[:, 0] if side == "left" else 19.0 - atoms.positions[:, 0]
    spins = np.zeros((120, 3))
    spins[:, 2] = np.where(x < 7, 1.0, (-1.0) ** np.round(atoms.positions[:, 0] + atoms.positions[:, 1]))
    atoms.spins = spins
    found = grown_phase(atoms, side=side)
    assert found.fraction == pytest.approx(6.5 / 20), "in the last layer every second site has a neighbour beyond"
    assert 6.0 <= found.interface < 7.0
    other = grown_phase(atoms, side="right" if side == "left" else "left")
    assert other.interface == 0.0
    for seed in range(8):  # two of four neighbours agree: exactly at the threshold, before round-off of turned spins
        atoms.spins = spins @ random_rotation(np.random.default_rng(seed)).T
        assert grown_phase(atoms, side=side) == found
    atoms.spins = [0.0, 0.0, 1.0]
    full = grown_phase(atoms)
    assert (full.fraction, full.interface) == (1.0, 19.0)
    with pytest.raises(InvalidGeometryError, match="'left' or 'right'"):
        grown_phase(atoms, side="top")


def test_walls_along_a_periodic_axis_do_not_mind_where_their_sites_are_wrapped() -> None:
    atoms = SpinAtoms.lattice("square", (24, 4), texture="domain-wall", position=[0.25, 0.75], width=1.5)
    expected = np.array([(wall.position, wall.width) for wall in domain_walls(atoms)])
    np.testing.assert_allclose(expected, [(6.0, 1.5), (18.0, 1.5)], atol=2e-3)
    turns = np.random.default_rng(2).integers(-4, 5, (2, len(atoms)))
    turns[0] = 3 * (np.arange(len(atoms)) == 37)
    for turn in turns:
        wandered = atoms.copy()
        wandered.positions[:, 0] += 24.0 * turn
        found = np.array([(wall.position, wall.width) for wall in domain_walls(wandered)])
        assert found.shape == (2, 2)
        found = found[np.argsort(found[:, 0] % 24.0)]
        np.testing.assert_allclose(found[:, 0] % 24.0, expected[:, 0], atol=1e-6)
        np.testing.assert_allclose(found[:, 1], expected[:, 1], atol=1e-6)
