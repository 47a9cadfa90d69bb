"""Neighbour correlations and ferromagnetic clusters against counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from spinase import SpinAtoms
from spinase.analysis import ferromagnetic_clusters, neighbour_correlation, neighbour_shells, shell_correlation
from spinase.analysis.domains import follow_shells
from spinase.atoms import get_spins, set_moments
from spinase.errors import InvalidGeometryError
from spinase.spin_algebra import random_rotation


def square(signs: np.ndarray) -> SpinAtoms:
    """Spins +-z on a periodic square lattice, `signs` (L, L)."""
    atoms = SpinAtoms.lattice("square", signs.shape, units="reduced", texture="ferro")
    atoms.spins = signs.reshape(-1, 1) * np.array([0.0, 0.0, 1.0])
    return atoms


def neel(size: int) -> np.ndarray:
    return 1.0 - 2.0 * (np.indices((size, size)).sum(axis=0) % 2)


def test_a_ferromagnet_is_one_cluster_and_a_neel_state_has_none() -> None:
    whole = ferromagnetic_clusters(square(np.ones((6, 6))))
    assert whole.sizes.tolist() == [36]
    assert whole.fraction == 1.0
    assert whole.mean_size == 36.0
    none = ferromagnetic_clusters(square(neel(6)))
    assert none.sizes.tolist() == []
    assert none.mean_size == 0.0
    assert set(none.labels) == {-1}


def test_two_squares_in_an_antiferromagnet_one_across_the_boundary() -> None:
    signs = neel(14)
    signs[2:8, 1:6] = 1.0
    signs[np.ix_([11, 12, 13, 0], np.arange(8, 13))] = 1.0
    found = ferromagnetic_clusters(square(signs), 0.7)
    # single sites beside the squares whose neighbours all happen to agree with them are clusters too
    whole = found.sizes[found.sizes > 1]
    assert len(whole) == 2
    counted = np.array([np.count_nonzero(found.labels == k) for k in range(len(found.sizes))])
    np.testing.assert_array_equal(counted, found.sizes)
    assert np.all(np.diff(found.sizes) <= 0)
    # sites all of whose neighbours lie in the same square
    labels = found.labels.reshape(14, 14)
    assert len(set(labels[3:7, 2:5].ravel())) == 1
    assert len(set(labels[np.ix_([12, 13], np.arange(9, 12))].ravel())) == 1
    assert found.mean_size == pytest.approx((counted**2).sum() / counted.sum())
    assert found.fraction == pytest.approx(counted.sum() / 196)


def test_clusters_join_across_the_boundary() -> None:
    signs = neel(12)
    signs[np.ix_([10, 11, 0, 1, 2], np.arange(3, 9))] = 1.0
    labels = ferromagnetic_clusters(square(signs), 0.9).labels.reshape(12, 12)
    assert labels[11, 5] == labels[0, 5] == labels[1, 5] >= 0


def in_background(inside: np.ndarray) -> SpinAtoms:
    """Ferromagnetic patches along z in a Neel state along x: bonds across the border count 0."""
    atoms = square(np.ones(inside.shape))
    checks = neel(len(inside)).ravel()[:, None] * np.array([1.0, 0.0, 0.0])
    atoms.spins = np.where(inside.ravel()[:, None], [0.0, 0.0, 1.0], checks)
    return atoms


def test_rectangles_in_an_antiferromagnet_are_joined_across_the_boundary() -> None:
    inside = np.zeros((14, 14), dtype=bool)
    inside[2:8, 1:6] = True
    inside[np.ix_([12, 13, 0], [12, 13, 0])] = True  # cut by both boundaries
    found = ferromagnetic_clusters(in_background(inside))
    assert found.sizes.tolist() == [6 * 5 - 4, 3 * 3 - 4], "corners have two neighbours out of four: 0.5 does not exceed 0.5"
    labels = found.labels.reshape(14, 14)
    assert labels[12, 13] == labels[13, 12] == labels[0, 13] == labels[13, 0] == 1
    assert labels[4, 3] == 0
    assert found.fraction == pytest.approx(31 / 196)
    assert found.number_mean_size == pytest.approx(31 / 2)
    assert found.mean_size == pytest.approx((26**2 + 5**2) / 31)
    every = ferromagnetic_clusters(in_background(inside), 0.4)
    assert every.sizes.tolist() == [30, 9]


def test_an_open_boundary_cuts_a_cluster() -> None:
    inside = np.zeros((12, 12), dtype=bool)
    inside[[10, 11, 0, 1]] = True
    atoms = in_background(inside)
    assert ferromagnetic_clusters(atoms).sizes.tolist() == [48]
    atoms.pbc = False
    assert ferromagnetic_clusters(atoms).sizes.tolist() == [24, 24]


def test_a_disc_in_an_antiferromagnet_has_the_sites_with_three_neighbours_inside() -> None:
    x, y = np.indices((16, 16)) - 7
    inside = np.hypot(x, y) < 5.05
    neighbours = sum(np.roll(inside, step, axis).astype(int) for step in (1, -1) for axis in (0, 1))
    expected = np.count_nonzero(inside & (neighbours >= 3))
    found = ferromagnetic_clusters(in_background(inside))
    assert found.sizes.tolist() == [expected]
    assert 0 < expected < inside.sum() == 81


def test_neighbour_correlation_by_hand() -> None:
    signs = np.ones((5, 5))
    signs[2, 2] = -1.0
    atoms = square(signs)
    local = neighbour_correlation(atoms.spins, neighbour_shells(atoms)).reshape(5, 5)
    assert local[2, 2] == -1.0
    assert local[2, 1] == local[1, 2] == 0.5
    assert local[0, 0] == 1.0
    two = neighbour_correlation(atoms.spins, neighbour_shells(atoms, 2)).reshape(5, 5)
    assert two[1, 1] == pytest.approx(0.75)


def test_shell_correlations_of_states_and_of_noise() -> None:
    atoms = square(neel(8))
    np.testing.assert_allclose(shell_correlation(atoms.spins, neighbour_shells(atoms, 3)), [-1.0, 1.0, 1.0])
    np.testing.assert_allclose(neighbour_shells(atoms, 3).distances, [1.0, np.sqrt(2.0), 2.0])
    noise = SpinAtoms.lattice("square", (60, 60), units="reduced", rng=5)
    assert np.abs(shell_correlation(noise.spins, neighbour_shells(noise, 2))).max() < 5 / np.sqrt(3 * 7200)


def test_rotations_and_renumbering_change_nothing() -> None:
    rng = np.random.default_rng(2)
    signs = np.where(rng.random((9, 9)) < 0.8, 1.0, -1.0)
    atoms = square(signs)
    sizes = ferromagnetic_clusters(atoms).sizes
    atoms.spins = atoms.spins @ random_rotation(rng).T
    np.testing.assert_array_equal(ferromagnetic_clusters(atoms).sizes, sizes)
    np.testing.assert_array_equal(ferromagnetic_clusters(atoms[rng.permutation(81)]).sizes, sizes)


@pytest.mark.parametrize("threshold", [-0.5, 0.0, 0.5])
def test_a_mean_at_the_threshold_does_not_exceed_it_whatever_the_round_off(threshold: float) -> None:
    """Means of four +-1 are at these thresholds exactly; rotated spins miss them by the last bits, up or down."""
    rng = np.random.default_rng(4)
    signs = np.where(rng.random((9, 9)) < 0.7, 1.0, -1.0)
    agreeing = sum(np.roll(signs, step, axis) * signs for step in (1, -1) for axis in (0, 1)) / 4.0
    expected = np.count_nonzero(agreeing > threshold)
    assert np.count_nonzero(agreeing == threshold) > 5
    seen = set()
    for _ in range(20):
        atoms = square(signs)
        atoms.spins = atoms.spins @ random_rotation(rng).T
        found = ferromagnetic_clusters(atoms, threshold)
        assert found.sizes.sum() == expected
        seen.add(tuple(found.sizes.tolist()))
        assert (neighbour_correlation(atoms.spins, neighbour_shells(atoms)) > threshold).sum() >= expected
    assert len(seen) == 1


def test_sites_without_moment_do_not_count() -> None:
    atoms = square(np.ones((6, 6)))
    moments = atoms.moments.copy()
    moments[[7, 20]] = 0.0
    atoms.moments = moments
    found = ferromagnetic_clusters(atoms)
    assert found.labels[7] == found.labels[20] == -1
    assert found.sizes.tolist() == [34]
    assert found.fraction == 1.0
    assert shell_correlation(atoms.spins, neighbour_shells(atoms)) == pytest.approx([1.0])


def test_ligands_make_no_shells_and_dilute_moments_take_those_of_all_sites() -> None:
    magnet = square(neel(6))
    ligands = Atoms("O36", positions=magnet.positions + [0.5, 0.0, 0.0])
    both = Atoms(magnet.symbols, magnet.positions, cell=magnet.cell, pbc=magnet.pbc) + ligands
    set_moments(both, np.concatenate([magnet.moments, np.zeros((36, 3))]))
    shells = neighbour_shells(both, 2)
    np.testing.assert_allclose(shells.distances, [1.0, np.sqrt(2.0)])
    np.testing.assert_allclose(shell_correlation(get_spins(both), shells), [-1.0, 1.0])
    set_moments(both, np.concatenate([np.tile([0.0, 0.0, 1.0], (36, 1)), np.zeros((36, 3))]))
    assert ferromagnetic_clusters(both).sizes.tolist() == [36]
    few = np.zeros((36, 3))
    few[[0, 1, 14]] = [0.0, 0.0, 1.0]
    magnet.moments = few
    found = ferromagnetic_clusters(magnet)
    assert found.sizes.tolist() == [2]
    assert found.fraction == pytest.approx(2 / 3)
    assert found.labels[14] == -1


def test_displaced_sites_keep_their_shells() -> None:
    atoms = square(neel(8))
    shells = neighbour_shells(atoms, 3)
    np.testing.assert_allclose(shells.limits, [(1 + np.sqrt(2)) / 2, (2 + np.sqrt(2)) / 2, (2 + np.sqrt(5)) / 2])
    atoms.positions[:, :2] += 0.02 * np.random.default_rng(3).normal(size=(64, 2))
    moved = follow_shells(atoms, shells)
    assert np.bincount(moved.shell).tolist() == [128, 128, 128]
    np.testing.assert_allclose(shell_correlation(atoms.spins, moved), [-1.0, 1.0, 1.0])


def test_bad_input() -> None:
    atoms = square(np.ones((4, 4)))
    with pytest.raises(InvalidGeometryError, match="between -1 and 1, got 1.5"):
        ferromagnetic_clusters(atoms, 1.5)
    with pytest.raises(InvalidGeometryError, match="must be positive, got 0"):
        neighbour_shells(atoms, 0)
    with pytest.raises(InvalidGeometryError, match="no neighbour shells"):
        neighbour_shells(SpinAtoms.disordered(20, density=1.0, min_distance=0.3, rng=1))
