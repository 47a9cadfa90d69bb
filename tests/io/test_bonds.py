"""Bonds that files list in both directions, as a table with each pair once."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from spinase.classical import BondTableTerm
from spinase.errors import InputError
from spinase.geometry import Geometry
from spinase.io.exchange.bonds import DirectedBonds, bond_table, codes, isotropic_tensor, odd_tensor, with_biquadratic
from spinase.spin_algebra import random_spins

CELL = np.diag([2.0, 2.5, 3.0])
SITES = Atoms("Fe2", positions=[[0, 0, 0], [1.0, 1.2, 1.5]], cell=CELL, pbc=True)
KEYS = [(0, 1, 0, 0, 0), (0, 1, -1, 0, 0), (0, 0, 0, 1, 0), (1, 1, 0, 0, 1)]


def listed(seed: int = 1, repeat: int = 1) -> DirectedBonds:
    """Four bonds with any tensors, in both directions, shuffled."""
    rng = np.random.default_rng(seed)
    tensors = rng.normal(size=(4, 3, 3))
    back = [(j, i, -x, -y, -z) for i, j, x, y, z in KEYS]
    keys, values = np.array(KEYS + back), np.concatenate([tensors, tensors.transpose(0, 2, 1)])
    order = rng.permutation(8 * repeat) % 8
    return DirectedBonds.of(keys[order], values[order] / repeat, order + 1)


def energy(bonds: DirectedBonds, spins: np.ndarray) -> float:
    """-sum over all listed entries of s_i.J s_j, the same spins in every cell."""
    return -float(np.einsum("ba,bac,bc->", spins[bonds.first], bonds.tensors, spins[bonds.second]))


@pytest.mark.parametrize("repeat", [1, 3])
@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_each_pair_is_there_once_with_both_directions(weight: float, repeat: int) -> None:
    """Weight 1: the sum over all entries; 1/2: half of it. Entries that are listed again are added."""
    bonds, spins = listed(repeat=repeat), random_spins(2, np.random.default_rng(2))
    table = bond_table("jfile", SITES, bonds, weight)
    assert len(table.first) == 4
    geometry = Geometry(SITES.positions, CELL, np.ones(3, dtype=bool), np.full(2, 26))
    found = BondTableTerm(table).freeze(geometry).energy(spins, np.ones(2))
    assert found == pytest.approx(weight * energy(bonds, spins), rel=1e-12)
    assert not table.onsite.any()


def test_onsite_tensors_are_passed_on() -> None:
    onsite = np.random.default_rng(3).normal(size=(2, 3, 3))
    np.testing.assert_array_equal(bond_table("jfile", SITES, listed(), 1.0, onsite).onsite, onsite)


def test_no_bonds_are_a_table() -> None:
    table = bond_table("jfile", SITES, DirectedBonds.of([], [], []), 1.0)
    assert len(table.first) == 0
    assert table.tensors.shape == (0, 3, 3)


@pytest.mark.parametrize(
    ("keys", "tensors", "message"),
    [
        ([(0, 2, 0, 0, 0)], [1.0], r"the bond 1 -> 3 in cell \(0, 0, 0\) \(line 1\) joins no two of the 2 sites"),
        ([(0, -1, 0, 0, 0)], [1.0], "the bond 1 -> 0 .* joins no two"),
        ([(1, 1, 0, 0, 0)], [1.0], "the bond 2 -> 2 .* joins no two"),
        ([(0, 1, 0, 0, 0)], [1.0], "the bond 1 -> 2 .* has no opposite: both directions are needed"),
        ([(0, 1, 0, 0, 0), (1, 0, 1, 0, 0)], [1.0, 1.0], "has no opposite"),
        (
            [(0, 1, 0, 0, 0), (1, 0, 0, 0, 0)],
            [1.0, 1.1],
            r"has the coupling .* the transpose of .*: J\(i, j\) = J\(j, i\)\^T",
        ),
    ],
)
def test_lists_that_are_no_couplings_are_refused(keys: list[tuple[int, ...]], tensors: list[float], message: str) -> None:
    bonds = DirectedBonds.of(keys, isotropic_tensor(np.array(tensors)), np.arange(1, len(keys) + 1))
    with pytest.raises(InputError, match=f"^jfile: .*{message}"):
        bond_table("jfile", SITES, bonds, 1.0)


def test_rounded_numbers_may_differ_by_a_hundredth() -> None:
    """The table takes their mean; what is small beside the largest coupling may differ by any part."""
    keys = [(0, 1, 0, 0, 0), (1, 0, 0, 0, 0), (0, 1, -1, 0, 0), (1, 0, 1, 0, 0)]
    values = isotropic_tensor(np.array([1.0, 1.005, 1e-5, 3e-5]))
    table = bond_table("jfile", SITES, DirectedBonds.of(keys, values, np.zeros(4)), 0.5)
    np.testing.assert_allclose(np.sort(table.isotropic()), [2e-5, 1.0025])


def test_bonds_are_named_for_people() -> None:
    bonds = DirectedBonds.of([(0, 1, -1, 0, 2)] * 2, np.zeros((2, 3, 3)), [0, 12])
    assert bonds.name(0) == "the bond 1 -> 2 in cell (-1, 0, 2)"
    assert bonds.name(1) == "the bond 1 -> 2 in cell (-1, 0, 2) (line 12)"
    np.testing.assert_array_equal(bonds.keys[0], [0, 1, -1, 0, 2])


def test_rows_have_one_number_in_all_tables() -> None:
    one, two = np.array([[0, 5, -3], [2, 0, 0]]), np.array([[2, 0, 0], [0, 5, -3], [0, 5, -2]])
    first, second = codes(one, two)
    assert first.tolist() == second[[1, 0]].tolist()
    assert len(set(second.tolist())) == 3
    assert [len(part) for part in codes(np.zeros((0, 3), dtype=np.int64), np.zeros((0, 3), dtype=np.int64))] == [0, 0]
    far = np.array([[0, 0, 0], [10**9, 10**9, 10**9]])
    with pytest.raises(InputError, match="bonds reach over cells as far as 1000000000: this is no list of couplings"):
        codes(far)


def test_tensors_of_numbers_and_vectors() -> None:
    """J 1, and the tensor whose s.J s' is D.(s x s')."""
    rng = np.random.default_rng(4)
    vectors, one, two = rng.normal(size=(3, 5, 3))
    found = np.einsum("ba,bac,bc->b", one, odd_tensor(vectors), two)
    np.testing.assert_allclose(found, np.einsum("ba,ba->b", vectors, np.cross(one, two)), atol=1e-14)
    np.testing.assert_allclose(odd_tensor(vectors), -odd_tensor(vectors).transpose(0, 2, 1))
    np.testing.assert_array_equal(isotropic_tensor(np.array([2.0, 3.0]))[1], 3.0 * np.eye(3))


def test_squares_join_their_bonds_or_make_new_ones() -> None:
    """K on a bond of the table, and K alone."""
    table = bond_table("jfile", SITES, listed(), 1.0)
    keys = [KEYS[0], (1, 0, 0, 0, 0), (0, 1, 0, 0, -1), (1, 0, 0, 0, 1)]
    squares = bond_table(
        "bqfile", SITES, DirectedBonds.of(keys, isotropic_tensor(np.array([0.2, 0.2, 0.7, 0.7])), np.zeros(4)), 0.5
    )
    both = with_biquadratic(table, squares)
    assert len(both.first) == 5
    spins = random_spins(2, np.random.default_rng(5))
    geometry = Geometry(SITES.positions, CELL, np.ones(3, dtype=bool), np.full(2, 26))
    change = [BondTableTerm(one).freeze(geometry).energy(spins, np.ones(2)) for one in (both, table)]
    assert change[0] - change[1] == pytest.approx(-0.9 * float(spins[0] @ spins[1]) ** 2, rel=1e-10)
