"""Loops over bonds against sums on paper: rows, fields, forces, virials."""

from __future__ import annotations

import numpy as np
import pytest

from spinase.classical.kernels import (
    biquadratic_field,
    by_row,
    central_pull,
    chiral_field,
    compressed_rows,
    exchange_field,
    overlaps,
    pull,
    tensor_field,
)
from spinase.spin_algebra import random_spins

SITES, BONDS = 7, 15


def bonds(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Random bonds, several between one pair, some from a site to its own image; site 6 has none."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, SITES - 1, size=(2, BONDS))
    second[0] = first[0]
    return first, second, rng


def test_values_of_bonds_come_to_both_of_their_sites() -> None:
    first, second, rng = bonds()
    values = rng.normal(size=BONDS)
    starts, _, signed = compressed_rows(first, second, SITES)
    rows = by_row(signed, values)
    both = np.bincount(first, values, SITES) + np.bincount(second, values, SITES)
    sums = [rows[starts[i] : starts[i + 1]].sum() for i in range(SITES)]
    np.testing.assert_allclose(sums, both, atol=1e-14)


def test_rows_list_both_directions_of_every_bond() -> None:
    first, second, _ = bonds()
    starts, neighbours, signed = compressed_rows(first, second, SITES)
    assert starts[0] == 0
    assert starts[-1] == 2 * BONDS
    assert starts[-1] == starts[-2], "the last site has no bonds"
    for site in range(SITES):
        part = slice(starts[site], starts[site + 1])
        for other, bond in zip(neighbours[part], signed[part], strict=True):
            ends = (first[abs(bond) - 1], second[abs(bond) - 1])
            assert (site, other) == (ends if bond > 0 else ends[::-1])
    assert sorted(np.abs(signed)) == sorted([*range(1, BONDS + 1)] * 2)


def test_rows_of_sorted_bonds_ascend() -> None:
    """Bonds in order of their first sites, first before second: memory is then read in order."""
    first, second = np.triu_indices(SITES, 1)
    starts, neighbours, _ = compressed_rows(first, second, SITES)
    for site in range(SITES):
        assert (np.diff(neighbours[starts[site] : starts[site + 1]]) > 0).all()


def test_fields_are_sums_over_neighbours() -> None:
    """Scalar, vector and tensor couplings against dense matrices; biquadratic ones against the derivative of (s_i.s_j)^2."""
    first, second, rng = bonds()
    spins = random_spins(SITES, rng)
    starts, neighbours, signed = compressed_rows(first, second, SITES)
    tensors = rng.normal(size=(BONDS, 3, 3))
    blocks = np.zeros((SITES, SITES, 3, 3))
    np.add.at(blocks, (first, second), tensors)
    np.add.at(blocks, (second, first), tensors.transpose(0, 2, 1))
    both = tensors[np.abs(signed) - 1]
    both[signed < 0] = both[signed < 0].transpose(0, 2, 1)
    expected = np.einsum("ijab,jb->ia", blocks, spins)
    np.testing.assert_allclose(tensor_field(starts, neighbours, both, spins), expected, atol=1e-13)

    couplings = rng.normal(size=BONDS)
    dense = np.zeros((SITES, SITES))
    np.add.at(dense, (first, second), couplings)
    np.add.at(dense, (second, first), couplings)
    rows = starts, neighbours, couplings[np.abs(signed) - 1]
    np.testing.assert_allclose(exchange_field(*rows, spins), dense @ spins, atol=1e-13)
    squares = 2.0 * (dense * (spins @ spins.T)) @ spins
    np.testing.assert_allclose(biquadratic_field(*rows, spins), squares, atol=1e-13)
    np.testing.assert_allclose(overlaps(first, second, spins), (spins @ spins.T)[first, second], atol=1e-14)


def test_the_chiral_field_is_that_of_an_antisymmetric_tensor() -> None:
    first, second, rng = bonds(1)
    spins, vectors = random_spins(SITES, rng), rng.normal(size=(BONDS, 3))
    starts, neighbours, signed = compressed_rows(first, second, SITES)
    directed = np.sign(signed)[:, None] * vectors[np.abs(signed) - 1]
    tensors = np.ascontiguousarray(np.cross(directed[:, None, :], np.eye(3)))
    expected = tensor_field(starts, neighbours, tensors, spins)
    np.testing.assert_allclose(chiral_field(starts, neighbours, directed, spins), expected, atol=1e-13)
    single = np.cross(spins[neighbours[starts[0] : starts[1]]], directed[starts[0] : starts[1]]).sum(axis=0)
    np.testing.assert_allclose(chiral_field(starts, neighbours, directed, spins)[0], single, atol=1e-13)


def test_pulls_along_bonds_are_pulls() -> None:
    """The central form is the general one with tensions along the bonds; its virial is symmetric."""
    first, second, rng = bonds(2)
    vectors, strength = rng.normal(size=(BONDS, 3)), rng.normal(size=BONDS)
    forces, virial = central_pull(first, second, vectors, strength, SITES)
    general = pull(first, second, vectors, strength[:, None] * vectors, SITES)
    np.testing.assert_allclose(forces, general[0], atol=1e-13)
    np.testing.assert_allclose(virial, general[1], atol=1e-13)
    np.testing.assert_allclose(virial, virial.T, atol=1e-13)


@pytest.mark.parametrize("seed", [3, 4])
def test_forces_of_bonds_balance_and_the_virial_is_the_tension_times_the_bond(seed: int) -> None:
    first, second, rng = bonds(seed)
    vectors, tension = rng.normal(size=(2, BONDS, 3))
    forces, virial = pull(first, second, vectors, tension, SITES)
    expected = np.zeros((SITES, 3))
    np.add.at(expected, first, tension)
    np.add.at(expected, second, -tension)
    np.testing.assert_allclose(forces, expected, atol=1e-13)
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-13)
    np.testing.assert_allclose(virial, tension.T @ vectors, atol=1e-13)
