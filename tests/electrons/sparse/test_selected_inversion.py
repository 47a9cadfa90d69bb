"""Elimination trees and selected inversion against dense inverses, on every kind of graph."""

from __future__ import annotations

import numpy as np
import pytest
from systems.electrons import GRAPHS, dense_matrix, make_operator

from spinase.electrons.operator import SpinOperator
from spinase.electrons.sparse.elimination import adjacency, cheapest_tree, dissected_tree, layered_tree
from spinase.electrons.sparse.fronts import invert_small
from spinase.electrons.sparse.selected_inversion import SelectedInversion, invert

POLES = np.array([0.3 + 0.2j, -1.0 + 2.5j, 0.4 - 0.3j])


def trees(operator: SpinOperator) -> dict[str, object]:
    first, second = operator.bonds.first, operator.bonds.second
    graph = adjacency(len(operator), first, second)
    return {
        "layers": layered_tree(graph),
        "dissection": dissected_tree(graph),
        "cheapest": cheapest_tree(len(operator), first, second),
    }


@pytest.mark.parametrize("form", ["layers", "dissection", "cheapest"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_entries_and_determinants_are_those_of_the_dense_inverse(graph: str, form: str) -> None:
    operator = make_operator(graph)
    first, second, sites = operator.bonds.first, operator.bonds.second, np.arange(len(operator))
    tree = trees(operator)[form]
    inverse = SelectedInversion(tree, first, second).solve(operator, POLES)
    levels = np.linalg.eigvalsh(dense_matrix(operator))
    for k, pole in enumerate(POLES):
        green = np.linalg.inv(dense_matrix(operator) - pole * np.eye(2 * len(operator)))
        green = green.reshape(len(operator), 2, len(operator), 2)
        np.testing.assert_allclose(inverse.sites[k], green[sites, :, sites, :], rtol=0, atol=1e-12)
        there, back = green[first, :, second, :], green[second, :, first, :]
        if operator.spin_hopping is None:
            there, back = np.einsum("naa->n", there), np.einsum("naa->n", back)
        np.testing.assert_allclose(inverse.bonds[k, :, 0], there, atol=1e-12)
        np.testing.assert_allclose(inverse.bonds[k, :, 1], back, atol=1e-12)
        assert inverse.log_determinants[k] == pytest.approx(np.log(levels - pole).sum(), abs=1e-10)
    np.testing.assert_allclose(inverse.trace(), (1.0 / (levels - POLES[:, None])).sum(axis=1), atol=1e-10)


@pytest.mark.parametrize("graph", GRAPHS)
def test_trees_hold_every_site_once_and_every_bond(graph: str) -> None:
    operator = make_operator(graph)
    for tree in trees(operator).values():
        owned = np.concatenate([node.own for node in tree.nodes])
        np.testing.assert_array_equal(np.sort(owned), np.arange(len(operator)))
        assert tree.covers(operator.bonds.first, operator.bonds.second)
        for n, node in enumerate(tree.nodes):
            assert node.parent > n or (node.parent == -1 and not len(node.border))
            if node.parent >= 0:
                above = tree.nodes[node.parent]
                assert set(node.border) <= set(above.own) | set(above.border)


def test_a_bond_between_separate_parts_is_noticed() -> None:
    operator = make_operator("open square")
    tree = dissected_tree(adjacency(len(operator), operator.bonds.first, operator.bonds.second))
    assert not tree.covers(np.array([0]), np.array([len(operator) - 1]))


def test_dissection_beats_layers_in_the_plane_and_layers_are_linear_on_a_wire() -> None:
    plane, wire = trees(make_operator("square")), make_operator("chain")
    assert plane["dissection"].work() < plane["layers"].work()
    assert plane["cheapest"].form == "dissection"
    layers = layered_tree(adjacency(len(wire), wire.bonds.first, wire.bonds.second))
    assert layers.work() < 60.0 * len(wire)


def test_work_in_the_plane_grows_as_the_power_three_halves() -> None:
    def work(side: int) -> float:
        x, y = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
        here = (x * side + y).ravel()
        right, up = (((x + 1) % side) * side + y).ravel(), (x * side + (y + 1) % side).ravel()
        first, second = np.concatenate([here, here]), np.concatenate([right, up])
        return cheapest_tree(side * side, first, second).work()

    exponent = np.log(work(60) / work(20)) / np.log(9.0)
    assert exponent == pytest.approx(1.5, abs=0.12)


def test_poles_may_go_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = make_operator("triangular")
    plan = SelectedInversion(trees(operator)["cheapest"], operator.bonds.first, operator.bonds.second)
    together = plan.solve(operator, POLES)
    monkeypatch.setattr("spinase.electrons.sparse.selected_inversion._CHUNK_BYTES", 1)
    one_by_one = plan.solve(operator, POLES)
    np.testing.assert_allclose(one_by_one.sites, together.sites, rtol=0, atol=1e-14)
    np.testing.assert_allclose(one_by_one.bonds, together.bonds, rtol=0, atol=1e-14)


def test_bonds_are_left_out_on_request_and_single_precision_stays_single() -> None:
    operator = make_operator("square")
    plan = SelectedInversion(trees(operator)["cheapest"], operator.bonds.first, operator.bonds.second)
    exact, single = plan.solve(operator, POLES), plan.solve(operator, POLES.astype(np.complex64), bonds=False)
    assert single.bonds.shape == (3, 0, 2)
    assert single.sites.dtype == np.complex64
    np.testing.assert_allclose(single.sites, exact.sites, atol=1e-5)


@pytest.mark.parametrize("size", [1, 5, 32, 33, 90, 129])
@pytest.mark.parametrize(("dtype", "accuracy"), [(np.complex128, 1e-11), (np.complex64, 2e-4)])
def test_inverse_by_halves(size: int, dtype: type, accuracy: float) -> None:
    rng = np.random.default_rng(size)
    matrices = rng.normal(size=(3, size, size)) + 1j * rng.normal(size=(3, size, size))
    matrices = matrices + matrices.conj().transpose(0, 2, 1) - 0.5j * np.eye(size)
    logs = np.zeros(3, dtype=complex)
    inverses = invert(matrices.astype(dtype), logs)
    np.testing.assert_allclose(inverses @ matrices, np.broadcast_to(np.eye(size), matrices.shape), atol=accuracy * size)
    levels = np.linalg.eigvals(matrices)
    np.testing.assert_allclose(logs, np.log(levels).sum(axis=1), atol=100 * accuracy * size)


def test_the_kernel_agrees_with_itself_written_in_python() -> None:
    matrices = np.array([[[1.0 - 1.0j, 0.5], [0.5, 2.0 - 1.0j]]])
    compiled, plain = np.empty_like(matrices), np.empty_like(matrices)
    logs = np.zeros((2, 1), dtype=complex)
    invert_small(matrices, compiled, logs[0])
    invert_small.py_func(matrices, plain, logs[1])
    np.testing.assert_allclose(compiled, plain, atol=1e-15)
    np.testing.assert_allclose(logs[0], logs[1], atol=1e-15)
