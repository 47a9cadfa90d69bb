"""Geometries as the compiled loops want them: order in memory, strips, filters at the pairs' distances, packed products."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.geometry import find_bonds
from spinase.learning.engine import graph as module
from spinase.learning.engine.graph import EngineGraph, Pool, filter_table, spatial_order
from spinase.learning.engine.lattice.graph import _strip
from spinase.learning.engine.lattice.tiles import TILE, WIDTH, Map, Tiles, packed
from spinase.learning.engine.lattice.workspace import SiteKind, SiteWeights, _products, site_kind
from spinase.learning.engine.potentials import in_passes, potentials
from spinase.learning.evaluator import Question
from spinase.learning.lattice.descriptors import InvariantTable
from spinase.learning.mhipnn.graph import quadrupoles
from spinase.learning.mhipnn.network import NetworkConfig
from spinase.learning.readout import EnergyReadout
from spinase.learning.two_potentials import TwoPotentialsReadout

CONFIG = NetworkConfig(species=(26,), cutoff=1.9, inner=0.7, width=4, radial=6, channels=(5, 3, 2))


def graph(atoms: SpinAtoms, dtype: type = np.float64) -> EngineGraph:
    geometry = geometry_of(atoms)
    return EngineGraph(find_bonds(geometry, CONFIG.cutoff), geometry.positions, CONFIG, dtype)


@pytest.mark.parametrize("lattice", [False, True])
def test_pairs_of_the_engine_are_those_of_the_geometry(lattice: bool) -> None:
    """Both directions of every bond, in the engine's order; harmonics of their directions."""
    atoms = SpinAtoms.lattice("square", (6, 6), units="reduced") if lattice else SpinAtoms.disordered(30, rng=1)
    found, bonds = graph(atoms), find_bonds(geometry_of(atoms), CONFIG.cutoff)
    np.testing.assert_array_equal(found.order[found.back], np.arange(len(atoms)))
    pairs = found.pairs
    first = found.order[np.repeat(np.arange(len(atoms)), np.diff(pairs.starts))]
    listed = sorted(
        zip(first.tolist(), found.order[pairs.second].tolist(), np.round(found.distances, 9).tolist(), strict=True)
    )
    both = [
        (i, j, d)
        for i, j, d in zip(bonds.first.tolist(), bonds.second.tolist(), np.round(bonds.distances, 9).tolist(), strict=True)
    ]
    assert listed == sorted(both + [(j, i, d) for i, j, d in both])
    directions = torch.from_numpy(np.ascontiguousarray(pairs.harmonics[:, 1:4]))
    np.testing.assert_allclose(directions.norm(dim=1).numpy(), 1.0, atol=1e-12)
    np.testing.assert_allclose(pairs.harmonics[:, 4:], quadrupoles(directions).numpy(), atol=1e-12)
    assert pairs.planar is lattice


def test_few_distances_have_rows_of_their_own_and_many_are_interpolated() -> None:
    few, many = graph(SpinAtoms.lattice("square", (6, 6), units="reduced")), graph(SpinAtoms.disordered(200, rng=1))
    assert few.shells is not None
    np.testing.assert_allclose(few.shells[few.pairs.knots], few.distances, atol=1e-12)
    assert not few.pairs.fractions.any()
    assert many.shells is None
    start = 0.8 * CONFIG.inner
    across = start + (many.pairs.knots + many.pairs.fractions) * (CONFIG.cutoff - start) / 4096
    np.testing.assert_allclose(across, many.distances, atol=1e-12)
    assert (many.pairs.fractions >= 0.0).all()


def test_filters_are_combinations_of_radial_functions_padded_degree_by_degree() -> None:
    weights = [torch.from_numpy(np.random.default_rng(k).normal(size=(6, count))) for k, count in enumerate((5, 3, 2))]
    distances = torch.tensor([0.8, 1.1, 1.9], dtype=torch.float64)
    table = filter_table(weights, CONFIG, distances).numpy()
    radial = CONFIG.basis()(distances).numpy()
    lanes = table.shape[1] // 3
    for degree, part in enumerate(weights):
        count = part.shape[1]
        np.testing.assert_allclose(table[:, degree * lanes : degree * lanes + count], radial @ part.numpy(), atol=1e-13)
        assert not table[:, degree * lanes + count : (degree + 1) * lanes].any()
    assert np.abs(table[2]).max() < 1e-15, "nothing at the cutoff"
    assert len(filter_table(weights, CONFIG)) == 4096 + 1


def test_sites_follow_a_curve_through_boxes() -> None:
    """Every site once; sites of one box stay together and in their order."""
    places = np.random.default_rng(2).uniform(0.0, 6.0, size=(200, 3))
    order = spatial_order(places, 2.0)
    np.testing.assert_array_equal(np.sort(order), np.arange(200))
    boxes = ((places - places.min(axis=0)) / 2.0).astype(int)
    runs = np.flatnonzero(np.any(np.diff(boxes[order], axis=0) != 0, axis=1))
    assert len(runs) + 1 == len(np.unique(boxes, axis=0))
    np.testing.assert_array_equal(spatial_order(places + 17.0, 2.0), order)
    assert spatial_order(np.zeros((0, 3)), 2.0).tolist() == []
    np.testing.assert_array_equal(spatial_order(np.zeros((5, 3)), 2.0), np.arange(5))


def test_strips_know_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STRIP", 7)
    found = graph(SpinAtoms.disordered(30, rng=1))
    assert [(one.begin, one.end) for one in found.strips] == [(0, 7), (7, 14), (14, 21), (21, 28), (28, 30)]
    for strip in found.strips:
        rows = slice(found.pairs.starts[strip.begin], found.pairs.starts[strip.end])
        np.testing.assert_array_equal(strip.neighbours[found.pairs.local[rows]], found.pairs.second[rows])
        assert (np.diff(strip.neighbours) > 0).all()


def test_memory_that_was_given_back_is_lent_again() -> None:
    pool = Pool()
    first = pool.borrow(np.dtype(np.float64), 3, 4)
    assert first.shape == (3, 4)
    second = pool.borrow(np.dtype(np.float64), 3, 4)
    assert second is not first
    pool.give_back(first)
    assert pool.borrow(np.dtype(np.float64), 3, 4) is first
    assert pool.borrow(np.dtype(np.float32), 3, 4) is not first
    nothing = pool.borrow(np.dtype(np.float64), 0, 4)
    assert pool.borrow(np.dtype(np.float64), 0, 4) is nothing
    pool.give_back(nothing)


# -- lattices ---------------------------------------------------------------------------------------------------------


def test_a_strip_of_sites_is_filled_up_with_its_first() -> None:
    sites, places = np.array([4, 9, 2]), np.array([[4, 1, 2], [9, 2, 4], [2, 9, 1]])
    strip = _strip(sites, places)
    assert strip.places.shape == (1, 3, WIDTH)
    np.testing.assert_array_equal(strip.neighbours[strip.places[0, :, :3]], places.T)
    np.testing.assert_array_equal(strip.neighbours[strip.places[0, :, 3:]], np.tile(places[0][:, None], WIDTH - 3))
    assert len(_strip(np.arange(WIDTH + 1), np.zeros((WIDTH + 1, 2), dtype=np.int64)).places) == 2


def applied(tiles: Tiles, number: int, values: np.ndarray, rows: int) -> np.ndarray:
    """What the loops do with tiles, one number at a time."""
    out = np.full(rows, np.nan)
    for first, last, weight, row, count in tiles.tiles[tiles.starts[number] : tiles.starts[number + 1]]:
        sums = tiles.weights[weight : weight + TILE].copy()
        for k, column in enumerate(tiles.columns[first:last]):
            sums += tiles.weights[weight + TILE * (k + 1) : weight + TILE * (k + 2)] * values[column]
        out[tiles.rows[row : row + count]] = sums[:count]
    return out


def test_tiles_multiply_as_their_matrix_and_its_transpose() -> None:
    """A matrix in blocks, with a row of zeros, between rows that begin anywhere."""
    rng = np.random.default_rng(3)
    matrix, offsets = np.zeros((12, 9)), rng.normal(size=12)
    matrix[:7, :4], matrix[8:, 5:] = rng.normal(size=(7, 4)), rng.normal(size=(4, 4))
    one, values = Map(matrix, offsets, 3, 2), rng.normal(size=20)
    np.testing.assert_allclose(
        applied(packed([one], np.float64), 0, values, 14)[2:], matrix @ values[3:12] + offsets, atol=1e-13
    )
    back = applied(packed([one, one.reversed()], np.float64), 1, values, 12)
    np.testing.assert_allclose(back[3:], matrix.T @ values[2:14], atol=1e-13)


def table() -> InvariantTable:
    bonds, triples = np.array([[0, 1], [0, 2], [1, 2]]), np.array([[0, 1, 2]])
    quadratic, cubic = np.array([[1, 0, 3], [1, 2, 2], [2, 1, 1]]), np.array([[3, 0, 1, 2]])
    return InvariantTable(
        bonds, triples, np.eye(3), np.eye(1), np.array([1]), quadratic, np.array([0.5, -1.0, 2.0]), cubic, np.array([3.0]), 4
    )


def test_terms_are_grouped_by_their_invariant() -> None:
    made, h = _products(table(), np.float64), np.random.default_rng(4).normal(size=4)
    expected = [h[1], 0.5 * h[0] * h[3] - h[2] ** 2, 2.0 * h[1] ** 2, 3.0 * h[0] * h[1] * h[2]]
    found = []
    for first, last, order in made.groups:
        rows = range(first, last)
        found.append(sum(made.weights[t] * np.prod(h[made.factors[t, :order]]) for t in rows))
    np.testing.assert_allclose(found, expected, atol=1e-14)


def kind_of_site(dtype: type = np.float64) -> tuple[SiteKind, SiteWeights]:
    rng = np.random.default_rng(5)
    layers = [(rng.normal(size=(6, 4)), rng.normal(size=6)), (rng.normal(size=(2, 6)), rng.normal(size=2))]
    weights = SiteWeights(rng.normal(size=(5, 4)), rng.normal(size=(4, 5)), layers, table())
    return site_kind(weights, 3, dtype), weights


def test_rows_of_a_kind_of_site_do_not_overlap() -> None:
    """Spins, variables, adapted forms, invariants, and backwards the same, then layers, parts, and variables again."""
    kind, _ = kind_of_site(np.float32)
    rows = kind.rows
    assert (rows.variables, rows.adapted, rows.invariants, rows.forms, rows.gradients) == (9, 13, 18, 22, 26)
    assert kind.layers.tolist() == [35, 41]
    assert (rows.parts, rows.total, kind.forms) == (41, 47, 4)
    assert kind.forward.weights.dtype == np.float32
    assert len(kind.forward.starts) == len(kind.backward.starts) == 5


def test_maps_of_a_kind_of_site_go_there_and_back() -> None:
    """Variables to adapted forms to mixtures, and invariants through the layers; backwards transposes."""
    kind, weights = kind_of_site()
    rows, values = kind.rows, np.random.default_rng(6).normal(size=kind.rows.total)
    (first, bias), (last, offset) = weights.layers
    invariants, hidden, parts = slice(18, 22), slice(35, 41), slice(41, 43)
    adapted, variables = slice(rows.adapted, rows.adapted + 5), slice(rows.variables, rows.variables + 4)
    forms, mixed = slice(0, 4), slice(rows.forms, rows.forms + 4)
    there = [
        (adapted, weights.adapted @ values[variables]),
        (forms, weights.mixtures @ values[adapted]),
        (hidden, first @ values[invariants] + bias),
        (parts, last @ values[hidden] + offset),
    ]
    back = [
        (variables, weights.adapted.T @ values[adapted]),
        (adapted, weights.mixtures.T @ values[mixed]),
        (invariants, first.T @ values[hidden]),
        (hidden, last.T @ values[parts]),
    ]
    for tiles, steps in ((kind.forward, there), (kind.backward, back)):
        for number, (place, expected) in enumerate(steps):
            found = applied(tiles, number, values, rows.total)
            np.testing.assert_allclose(found[place], expected, atol=1e-13)
            found[place] = np.nan
            assert np.isnan(found).all(), "nothing else is written"


def test_one_pass_is_made_for_every_potential() -> None:
    """Weights that follow from the parts are made in the first; a plain energy is mixed by nobody."""
    spins, seen = np.zeros((3, 3)), []

    def run(mix: object, first: bool) -> str:
        seen.append((None if mix is None else mix(np.zeros((3, 2))), first))
        return f"pass {len(seen)}"

    found, weighed = in_passes(Question(spins, EnergyReadout(), spins), 1, run)
    assert (found, seen) == (["pass 1"], [(None, True)])
    np.testing.assert_array_equal(weighed.weights, np.ones((1, 3, 1)))
    seen.clear()
    found, weighed = in_passes(Question(spins, TwoPotentialsReadout(), spins), 2, run)
    assert found == ["pass 1", "pass 2"]
    assert [first for _, first in seen] == [True, False]
    for (mixed, _), weights in zip(seen, weighed.weights, strict=True):
        np.testing.assert_array_equal(mixed, weights)


def test_potentials_are_summed_magnet_by_magnet() -> None:
    np.testing.assert_array_equal(potentials(np.arange(12.0).reshape(2, 6), 3), [[1, 5, 9], [13, 17, 21]])
