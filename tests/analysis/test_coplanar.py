"""120-degree order: vector chirality, sublattices, Z2 vortices of made-up textures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spinase import SpinAtoms
from spinase.analysis.coplanar import frames, three_sublattices, vector_chirality, z2_vortices
from spinase.analysis.triangles import triangles
from spinase.errors import InvalidGeometryError, InvalidMomentsError


def ordered(size: tuple[int, int] = (6, 6), periodic: bool = True, rng: int = 1) -> SpinAtoms:
    """120-degree order, turned at random."""
    atoms = SpinAtoms.lattice("triangular", size, units="reduced", texture="120-degree", periodic=periodic)
    atoms.spins = atoms.spins @ Rotation.random(rng=np.random.default_rng(rng)).as_matrix().T
    return atoms


def turned_by(atoms: SpinAtoms, angle: np.ndarray, axis: int = 2) -> SpinAtoms:
    """Every spin turned about an axis by its own angle."""
    atoms = atoms.copy()
    turns = Rotation.from_rotvec(angle[:, None] * np.eye(3)[axis])
    atoms.spins = turns.apply(np.array(atoms.spins))
    return atoms


def azimuth(atoms: SpinAtoms, centre: np.ndarray) -> np.ndarray:
    x, y = (atoms.positions - centre)[:, :2].T
    return np.arctan2(y, x)


def test_vector_chirality_of_order_is_one_and_turns_with_the_spins() -> None:
    atoms = SpinAtoms.lattice("triangular", (6, 6), units="reduced", texture="120-degree")
    found = triangles(atoms)
    kappa = vector_chirality(atoms, found)
    np.testing.assert_allclose(np.linalg.norm(kappa, axis=1), 1.0, atol=1e-12)
    cells = three_sublattices(atoms)
    upward = {tuple(sorted(row)) for row in cells.upward.tolist()}
    signs = np.array([1.0 if tuple(sorted(row)) in upward else -1.0 for row in found.sites.tolist()])
    axis = kappa[0] * signs[0]
    np.testing.assert_allclose(kappa, signs[:, None] * axis, atol=1e-12)
    turn = Rotation.random(rng=np.random.default_rng(3))
    atoms.spins = turn.apply(np.array(atoms.spins))
    np.testing.assert_allclose(vector_chirality(atoms, found), signs[:, None] * turn.apply(axis), atol=1e-12)


def test_collinear_spins_have_no_vector_chirality() -> None:
    atoms = SpinAtoms.lattice("triangular", (6, 6), units="reduced", texture="ferro")
    np.testing.assert_allclose(vector_chirality(atoms), 0.0, atol=1e-14)
    atoms.moments = np.zeros((36, 3))
    with pytest.raises(InvalidMomentsError, match="no site has a magnetic moment"):
        vector_chirality(atoms)


@pytest.mark.parametrize(("size", "periodic"), [((6, 6), True), ((3, 6), True), ((7, 5), False)])
def test_sublattices_and_loops(size: tuple[int, int], periodic: bool) -> None:
    atoms = ordered(size, periodic)
    cells = three_sublattices(atoms)
    found = triangles(atoms)
    assert all(sorted(cells.sublattice[row]) == [0, 1, 2] for row in found.sites)
    np.testing.assert_array_equal(cells.sublattice[cells.upward], np.tile([0, 1, 2], (len(cells.upward), 1)))
    if periodic:
        assert len(cells.upward) == len(atoms)
        assert len(cells.loops) == 2 * len(atoms)
    # the three triangles of a loop touch one another
    for loop in cells.loops.tolist():
        one, two, three = (set(cells.upward[t].tolist()) for t in loop)
        assert one & two
        assert two & three
        assert three & one
    assert all(len(set(loop)) == 3 for loop in cells.loops.tolist())


def test_frames_carry_the_reference_to_the_spins() -> None:
    atoms = ordered()
    cells = three_sublattices(atoms)
    reference = np.array([[np.cos(2 * np.pi * c / 3), np.sin(2 * np.pi * c / 3), 0.0] for c in range(3)])
    turns = Rotation.from_quat(frames(atoms.spins, cells.upward))
    for c in range(3):
        np.testing.assert_allclose(turns.apply(reference[c]), atoms.spins[cells.upward[:, c]], atol=1e-12)


def test_order_has_no_vortex_nor_has_a_smooth_wave() -> None:
    atoms = ordered((12, 12))
    assert len(z2_vortices(atoms)) == 0
    x = atoms.positions[:, 0] / 12.0
    assert len(z2_vortices(turned_by(atoms, 0.8 * np.sin(2 * np.pi * x), axis=0))) == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sense", [1.0, -1.0])
def test_one_turn_is_a_vortex_whatever_its_sense_and_axis(axis: int, sense: float) -> None:
    atoms = ordered((15, 15), periodic=False)
    centre = atoms.positions.mean(axis=0) + [0.13, 0.07, 0.0]
    found = z2_vortices(turned_by(atoms, sense * azimuth(atoms, centre), axis))
    assert len(found) == 1
    assert np.linalg.norm(found[0] - centre) < 1.2


def test_two_turns_are_none() -> None:
    atoms = ordered((15, 15), periodic=False)
    centre = atoms.positions.mean(axis=0) + [0.13, 0.07, 0.0]
    found = z2_vortices(turned_by(atoms, 2.0 * azimuth(atoms, centre)))
    assert len(found) % 2 == 0  # of the core, where frames change by more than half a turn
    assert all(np.linalg.norm(one - centre) < 1.5 for one in found)


def test_two_vortices_of_one_sense_or_of_both_are_two() -> None:
    atoms = ordered((24, 24), periodic=False)
    middle = atoms.positions.mean(axis=0) + [0.11, 0.05, 0.0]
    centres = [middle - [6.0, 0.0, 0.0], middle + [6.0, 0.0, 0.0]]
    for sense in (1.0, -1.0):
        angle = azimuth(atoms, centres[0]) + sense * azimuth(atoms, centres[1])
        found = z2_vortices(turned_by(atoms, angle, axis=1))
        assert len(found) == 2
        assert min(np.linalg.norm(found[0] - one) for one in centres) < 1.2


def test_numbers_on_a_torus_are_even_and_do_not_change_with_a_common_rotation() -> None:
    rng = np.random.default_rng(0)
    atoms = SpinAtoms.lattice("triangular", (9, 12), units="reduced", texture="random", rng=2)
    cells = three_sublattices(atoms)
    for _ in range(5):
        spins = rng.normal(size=(len(atoms), 3))
        atoms.spins = spins / np.linalg.norm(spins, axis=1)[:, None]
        found = z2_vortices(atoms, cells)
        assert len(found) > 0
        assert len(found) % 2 == 0
        atoms.spins = atoms.spins @ Rotation.random(rng=rng).as_matrix().T
        np.testing.assert_array_equal(z2_vortices(atoms, cells), found)


def test_magnets_without_three_sublattices() -> None:
    with pytest.raises(InvalidGeometryError, match=r"do not fit the period along cell vector 0, .*divisible by three"):
        three_sublattices(SpinAtoms.lattice("triangular", (8, 6), units="reduced", texture="ferro"))
    with pytest.raises(InvalidGeometryError, match="that of the triangular lattice: these 108 sites are not one"):
        three_sublattices(SpinAtoms.lattice("kagome", (6, 6), units="reduced", texture="ferro"))
    diluted = SpinAtoms.lattice("triangular", (6, 6), units="reduced", texture="ferro")
    diluted.moments = np.where(np.arange(36)[:, None] == 3, 0.0, diluted.moments)
    with pytest.raises(InvalidGeometryError, match="needs a moment on every site"):
        three_sublattices(diluted)
