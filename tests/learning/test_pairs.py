"""Pairs as trunks and evaluators are given them: rows, copies, magnets side by side, forces of pulls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.geometry import find_bonds
from spinase.learning.frozen_geometry import FrozenGeometry
from spinase.learning.pairs import EqualRows, Pairs, joined, pairs_from, pairs_of

CUTOFF = 1.7


def magnet(sites: int = 11, seed: int = 1) -> SpinAtoms:
    return SpinAtoms.disordered(sites, units="reduced", rng=seed)


def frozen(atoms: SpinAtoms) -> FrozenGeometry:
    geometry = geometry_of(atoms)
    bonds, species = find_bonds(geometry, CUTOFF), np.arange(len(atoms)) % 2
    return FrozenGeometry(bonds, geometry.positions, species, CUTOFF, geometry.cell)


def listed(pairs: Pairs) -> set[tuple[int, int, tuple[float, ...]]]:
    """Pairs in no order, vectors to ten digits."""
    vectors = np.round(pairs.vectors.numpy().astype(float), 10) + 0.0
    return set(zip(pairs.rows.first.tolist(), pairs.rows.second.tolist(), map(tuple, vectors.tolist()), strict=True))


def test_every_bond_is_there_from_both_ends_row_by_row() -> None:
    geometry = geometry_of(magnet())
    bonds = find_bonds(geometry, CUTOFF)
    pairs = pairs_of(geometry, CUTOFF, torch.float64)
    assert len(pairs.vectors) == 2 * len(bonds)
    assert pairs.rows.sites == 11
    starts, first = pairs.rows.starts.numpy(), pairs.rows.first.numpy()
    np.testing.assert_array_equal(np.repeat(np.arange(11), np.diff(starts)), first)
    assert (starts[0], starts[-1]) == (0, len(first))
    found = listed(pairs)
    assert found == {(j, i, tuple(-x + 0.0 for x in vector)) for i, j, vector in found}, "reversed, it is the same list"
    lengths = pairs.vectors.norm(dim=1).numpy()
    np.testing.assert_allclose(np.sort(lengths), np.sort(np.tile(bonds.distances, 2)), atol=1e-14)


def test_sites_at_the_end_without_neighbours_have_empty_rows() -> None:
    atoms = magnet(3)
    atoms.pbc = False
    atoms.positions = [[0.0, 0, 0], [1.0, 0, 0], [9.0, 0, 0]]
    rows = pairs_of(geometry_of(atoms), CUTOFF).rows
    assert rows.starts.tolist() == [0, 1, 2, 2]
    assert pairs_of(geometry_of(atoms[2:]), CUTOFF).rows.starts.tolist() == [0, 0]
    assert rows.to(torch.device("cpu")).second.tolist() == [1, 0]


def test_magnets_side_by_side_have_their_own_rows() -> None:
    one, two = (pairs_of(geometry_of(magnet(sites, sites)), CUTOFF, torch.float64) for sites in (5, 8))
    both = joined([one, two])
    assert both.rows.sites == 13
    begin = len(one.vectors)
    torch.testing.assert_close(both.rows.starts[:5], one.rows.starts[:-1])
    torch.testing.assert_close(both.rows.starts[5:], two.rows.starts + begin)
    for part in ("first", "second"):
        torch.testing.assert_close(getattr(both.rows, part)[:begin], getattr(one.rows, part))
        torch.testing.assert_close(getattr(both.rows, part)[begin:], getattr(two.rows, part) + 5)
    torch.testing.assert_close(both.vectors[begin:], two.vectors)
    assert listed(joined([one])) == listed(one)


def test_copies_of_a_geometry_do_not_feel_each_other() -> None:
    """Three copies: three times the pairs, none between copies, places too far apart for any; the last request is kept."""
    geometry = frozen(magnet())
    copies = geometry.repeated(3)
    assert copies is geometry.repeated(3)
    assert geometry.repeated(2) is not copies
    assert len(copies.bonds) == 3 * len(geometry.bonds)
    assert (copies.bonds.first // 11 == copies.bonds.second // 11).all()
    np.testing.assert_array_equal(copies.species, np.tile(geometry.species, 3))
    pairs = joined([geometry.pairs(torch.float64)] * 3)
    assert listed(copies.pairs(torch.float64)) == listed(pairs)
    gaps = np.linalg.norm(copies.positions[:11, None] - copies.positions[None, 11:], axis=2)
    assert gaps.min() >= CUTOFF
    step = copies.positions[11] - copies.positions[0]
    np.testing.assert_allclose(copies.positions[22:], geometry.positions + 2.0 * step)


def test_pairs_are_made_once_for_each_precision() -> None:
    geometry = frozen(magnet())
    assert geometry.pairs(torch.float32) is geometry.pairs(torch.float32)
    assert geometry.pairs(torch.float32).vectors.dtype == torch.float32
    assert geometry.pairs(torch.float64) is not geometry.pairs(torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_forces_of_pulls_are_slopes_by_positions(dtype: torch.dtype) -> None:
    """P = sum over directed pairs of |r|^3: forces by central differences of the sum itself; strain by the virial."""
    atoms, rng = magnet(), np.random.default_rng(2)
    geometry = frozen(atoms)

    def potential(positions: np.ndarray, cell: np.ndarray) -> float:
        bonds = geometry.bonds
        vectors = positions[bonds.second] + bonds.shifts @ cell - positions[bonds.first]
        return float(2.0 * np.sum(np.linalg.norm(vectors, axis=1) ** 3))

    vectors = geometry.pairs(dtype).vectors.numpy().astype(float)
    pulls = 3.0 * np.linalg.norm(vectors, axis=1)[:, None] * vectors
    forces, virial = geometry.forces(pulls, dtype)
    tolerance = 1e-7 if dtype == torch.float64 else 1e-5
    push, step = rng.normal(size=(11, 3)), 1e-5
    cell = atoms.cell.array
    ends = [potential(geometry.positions + sign * step * push, cell) for sign in (-1, 1)]
    assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(-np.sum(forces * push), rel=tolerance)
    strain = rng.normal(size=(3, 3))
    ends = []
    for sign in (-1, 1):
        deform = np.eye(3) + sign * step * strain
        ends.append(potential(geometry.positions @ deform, cell @ deform))
    assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(np.sum(virial.T * strain), rel=tolerance)
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-4 * np.abs(forces).max())


def test_pairs_know_no_order_of_the_bonds() -> None:
    geometry = geometry_of(magnet())
    bonds = find_bonds(geometry, CUTOFF)
    shuffled = bonds.select(np.random.default_rng(3).permutation(len(bonds)))
    assert listed(pairs_from(shuffled, 11, torch.float64)) == listed(pairs_from(bonds, 11, torch.float64))


def test_rows_of_equal_length_add_up_as_others_do() -> None:
    rng = np.random.default_rng(3)
    second, places = torch.tensor(rng.integers(0, 7, (4, 5))), torch.tensor([2, 0, 5, 6])
    rows = EqualRows.of(places, second)
    terms, values = torch.tensor(rng.normal(size=(20, 3, 2))), torch.tensor(rng.normal(size=(7, 3)))
    assert rows.sites == 4
    assert rows.first.tolist() == np.repeat([2, 0, 5, 6], 5).tolist()
    assert rows.second.tolist() == second.flatten().tolist()
    np.testing.assert_allclose(rows.add_up(terms), terms.numpy().reshape(4, 5, 3, 2).sum(axis=1), atol=1e-14)
    np.testing.assert_array_equal(rows.own(values), values[places])
