"""Entries of the inverse between wanted pairs, against a dense inverse."""

from __future__ import annotations

import numpy as np
import pytest

from spinase.electrons.operator import SparsityPattern
from spinase.electrons.sparse.elimination import adjacency, cheapest_tree, layered_tree
from spinase.electrons.sparse.pair_inversion import PairInversion
from spinase.electrons.sparse.selected_inversion import SelectedInversion
from spinase.typing import ComplexBlocks, FloatArray, IntArray
from tests.systems.electrons import dense_matrix, make_operator

POLES = np.array([0.3 + 0.2j, -0.7 + 1.1j, 0.1 + 3.0j])


@pytest.mark.parametrize("graph", ["one site", "ring of two", "chain", "square", "flux", "islands", "cubic"])
def test_any_pairs_of_sites_are_those_of_the_dense_inverse(graph: str) -> None:
    """Bonds, far pairs, pairs of islands, sites with themselves, and pairs that are asked for twice."""
    operator = make_operator(graph)
    pattern, size = SparsityPattern.of(operator), len(operator)
    rng = np.random.default_rng(1)
    first, second = rng.integers(size, size=(2, 150))
    first, second = np.concatenate([first, np.arange(size)]), np.concatenate([second, np.arange(size)])
    trees = [cheapest_tree(size, pattern.first, pattern.second)]
    if graph == "square":
        trees.append(layered_tree(adjacency(size, pattern.first, pattern.second)))
    for tree in trees:
        inversion = SelectedInversion(tree, pattern.first, pattern.second)
        found = np.zeros((len(POLES), 2, len(first), 2, 2), dtype=complex)

        def keep(which: IntArray, there: ComplexBlocks, back: ComplexBlocks, found: ComplexBlocks = found) -> FloatArray:
            found[which, 0], found[which, 1] = there, back
            return np.full(1, len(which), dtype=np.float64)

        assert PairInversion(inversion, first, second).fold(operator, POLES, keep) == [len(POLES)]
        for k, pole in enumerate(POLES):
            inverse = np.linalg.inv(dense_matrix(operator) - pole * np.eye(2 * size)).reshape(size, 2, size, 2)
            np.testing.assert_allclose(found[k, 0], inverse[first, :, second, :], atol=1e-13)
            np.testing.assert_allclose(found[k, 1], inverse[second, :, first, :], atol=1e-13)


def test_poles_in_several_rounds_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = make_operator("square")
    pattern = SparsityPattern.of(operator)
    tree = cheapest_tree(len(operator), pattern.first, pattern.second)
    pairs = PairInversion(SelectedInversion(tree, pattern.first, pattern.second), np.array([0, 3]), np.array([17, 3]))

    def total(which: IntArray, there: ComplexBlocks, back: ComplexBlocks) -> ComplexBlocks:
        return there.sum(axis=0) + 2.0 * back.sum(axis=0)

    together = pairs.fold(operator, POLES, total)
    monkeypatch.setattr("spinase.electrons.sparse.pair_inversion._CACHE_BYTES", 1)
    np.testing.assert_allclose(pairs.fold(operator, POLES, total), together, atol=1e-13)
