"""The compiled engine for atoms that move: energies, fields, forces and virial of the torch network, all of one energy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.errors import ModelError
from spinase.geometry import Geometry, find_bonds
from spinase.learning.engine.moving import MovingAnswer, MovingEngine
from spinase.learning.engine.moving_graph import MovingGraph
from spinase.learning.engine.splines import basis_slopes, spline_table, spline_values
from spinase.learning.mhipnn.graph import Graph
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig, Prepared
from spinase.learning.pairs import Pairs, pairs_from

SINGLE = {"channels": (8, 4, 2)}  # of networks in single precision, as in test_evaluator.py: every choice is compiled anew


def network(**size: Any) -> MagneticHIPNN:
    torch.manual_seed(3)
    given = {"channels": (18, 17, 3), "pairs": 5, **size}  # as in test_evaluator.py, whose loops it takes
    config = NetworkConfig(species=(26, 27), cutoff=2.0, inner=0.7, width=9, radial=8, **given)
    net = MagneticHIPNN(config).double()
    if config.pairs:
        with torch.no_grad():
            net.pair_law.laws.normal_()
    return net


def magnet(sites: int, seed: int = 4) -> tuple[Geometry, np.ndarray, np.ndarray]:
    """Geometry, species and spins, one site of them without."""
    atoms = SpinAtoms.disordered(sites, rng=seed)
    atoms.moments = np.where(np.arange(sites)[:, None] == 3, 0.0, atoms.spins)
    return geometry_of(atoms), np.arange(sites) % 2, atoms.spins


def weights_of(parts: np.ndarray) -> np.ndarray:
    """A mix of parts that depends on their sums, as the search for a chemical potential does."""
    x = np.tanh(parts.sum(axis=0)[1] / len(parts))
    return np.tile([1.0, x, x * x][: parts.shape[1]], (len(parts), 1))


def torch_answer(net: MagneticHIPNN, geometry: Geometry, species: np.ndarray, spins: np.ndarray) -> MovingAnswer:
    """By automatic differentiation in double precision."""
    pairs = pairs_from(find_bonds(geometry, net.config.cutoff), len(geometry), torch.float64)
    vectors, variable = pairs.vectors.clone().requires_grad_(True), torch.tensor(spins, requires_grad=True)
    graph = Graph(Pairs(pairs.rows, vectors), net.config.basis(), net.config.degree)
    parts = net(Prepared(graph, torch.from_numpy(species)), variable)
    weights = weights_of(parts.detach().numpy()) if net.config.parts > 1 else np.ones((len(spins), 1))
    energies = (parts * torch.from_numpy(weights)).sum(1)
    by_vectors, by_spins = torch.autograd.grad(energies.sum(), (vectors, variable))
    forces = torch.zeros(len(spins), 3, dtype=torch.float64)
    forces = forces.index_add(0, pairs.rows.first, by_vectors).index_add(0, pairs.rows.second, -by_vectors)
    virial = (by_vectors.T @ pairs.vectors)[None]
    return MovingAnswer(energies.detach().numpy(), -by_spins.numpy(), forces.numpy(), virial.numpy())


def graph_of(engine: MovingEngine, geometry: Geometry) -> MovingGraph:
    return engine.graph(find_bonds(geometry, engine.config.cutoff), geometry.positions)


def answer(
    net: MagneticHIPNN,
    geometry: Geometry,
    species: np.ndarray,
    spins: np.ndarray,
    dtype: type = np.float64,
    threads: int = 1,
) -> MovingAnswer:
    engine = MovingEngine(net, dtype, threads)
    return engine.solve(graph_of(engine, geometry), species, spins, weights_of if net.config.parts > 1 else None)


def assert_same(found: MovingAnswer, right: MovingAnswer, tolerance: float) -> None:
    for name in ("energies", "fields", "forces", "virial"):
        expected = getattr(right, name)
        scale = np.sqrt(np.mean(expected**2))
        np.testing.assert_allclose(getattr(found, name), expected, atol=tolerance * scale, rtol=0.0, err_msg=name)


@pytest.mark.parametrize("size", [{}, {"products": True}, {"pairs": 0, "chirality": False, "layers": 3}, {"parts": 3}])
@pytest.mark.parametrize("sites", [14, 90])
def test_the_engine_is_the_network(size: dict[str, Any], sites: int) -> None:
    """Images of one site, non-magnetic sites, two species."""
    net, what = network(**size), magnet(sites)
    right = torch_answer(net, *what)
    assert np.abs(right.forces).max() > 1e-3  # type: ignore[arg-type]
    assert_same(answer(net, *what), right, 1e-10)
    narrow = network(**SINGLE, **size)
    assert_same(answer(narrow, *what, np.float32), torch_answer(narrow, *what), 2e-5)


@pytest.mark.parametrize("periodic", [(True, True, True), (True, False, True), (False, False, False)])
def test_boundaries_and_skewed_cells(periodic: tuple[bool, bool, bool]) -> None:
    net, (geometry, species, spins) = network(), magnet(40)
    cell = geometry.cell @ np.array([[1.0, 0.2, 0.0], [0.0, 1.0, -0.1], [0.1, 0.0, 1.0]])
    skewed = Geometry(geometry.positions @ np.linalg.inv(geometry.cell) @ cell, cell, np.array(periodic), geometry.numbers)
    assert_same(answer(net, skewed, species, spins), torch_answer(net, skewed, species, spins), 1e-10)


def test_forces_and_virial_are_slopes_of_the_reported_energy() -> None:
    """Central differences of the engine's own energy, of sites closer than where the splines begin, too."""
    net, (geometry, species, spins) = network(), magnet(14)
    positions = geometry.positions.copy()
    close = positions[0] + 0.5 * (positions[1] - positions[0]) / np.linalg.norm(positions[1] - positions[0])
    positions[1] = close  # 0.8 * 0.7 = 0.56 is the first knot

    def energy(moved: np.ndarray, cell: np.ndarray) -> float:
        return float(answer(net, Geometry(moved, cell, geometry.pbc, geometry.numbers), species, spins).energies.sum())

    found, step = answer(net, Geometry(positions, geometry.cell, geometry.pbc, geometry.numbers), species, spins), 1e-5
    assert found.forces is not None
    assert found.virial is not None
    for site, axis in ((0, 0), (1, 1), (1, 2), (7, 0)):
        moved = np.zeros_like(positions)
        moved[site, axis] = step
        slope = (energy(positions + moved, geometry.cell) - energy(positions - moved, geometry.cell)) / (2 * step)
        np.testing.assert_allclose(-slope, found.forces[site, axis], rtol=1e-6, atol=1e-6)
    for a, b in ((0, 0), (1, 2)):
        strain = np.zeros((3, 3))
        strain[a, b] = step
        more, less = np.eye(3) + strain, np.eye(3) - strain
        slope = (energy(positions @ more.T, geometry.cell @ more.T) - energy(positions @ less.T, geometry.cell @ less.T)) / (
            2 * step
        )
        np.testing.assert_allclose(slope, found.virial[0, a, b], rtol=1e-6, atol=1e-6)


def test_single_precision_has_slopes_of_its_own_energy_too() -> None:
    """The splines are coarser there, and the forces follow them: the work along a path is the change of the energy."""
    net, (geometry, species, spins) = network(**SINGLE), magnet(14)
    engine = MovingEngine(net, np.float32, 1)
    assert engine.knots.last < 1024
    way = np.random.default_rng(1).normal(size=geometry.positions.shape)
    way *= 0.2 / np.linalg.norm(way, axis=1).max()

    def at(x: float) -> MovingAnswer:
        there = Geometry(geometry.positions + x * way, geometry.cell, geometry.pbc, geometry.numbers)
        return engine.solve(graph_of(engine, there), species, spins)

    nodes, weights = np.polynomial.legendre.leggauss(40)
    work = sum(weight * float((at(x).forces * way).sum()) for x, weight in zip((nodes + 1) / 2, weights / 2, strict=True))
    change = at(1.0).energies.sum() - at(0.0).energies.sum()
    assert abs(change) > 0.05
    np.testing.assert_allclose(work, -change, atol=2e-5)


def test_nothing_depends_on_what_was_asked_before() -> None:
    """Other geometries in between, one thread or three: the same bytes (on one machine); without forces to round-off."""
    net, (geometry, species, spins) = network(**SINGLE), magnet(1300)
    engine, other = MovingEngine(net, np.float32, 1), MovingEngine(net, np.float32, 3)
    fresh = engine.solve(graph_of(engine, geometry), species, spins)
    shift = np.random.default_rng(0).uniform(-0.08, 0.08, geometry.positions.shape)
    away = Geometry(geometry.positions + shift, geometry.cell, geometry.pbc, geometry.numbers)
    moved = other.solve(graph_of(other, away), species, spins)
    graph = graph_of(other, geometry)
    back, fields_only = other.solve(graph, species, spins), other.solve(graph, species, spins, moving=False)
    for name in ("energies", "fields", "forces", "virial"):
        np.testing.assert_array_equal(getattr(back, name), getattr(fresh, name))
    np.testing.assert_allclose(fields_only.fields, fresh.fields, atol=1e-6 * np.abs(fresh.fields).max())
    np.testing.assert_allclose(fields_only.energies, fresh.energies, atol=1e-6 * np.abs(fresh.energies).max())
    assert fields_only.forces is None
    assert_same(fresh, torch_answer(net, geometry, species, spins), 1e-4)
    assert_same(moved, torch_answer(net, away, species, spins), 1e-4)


def test_atoms_may_leave_the_box() -> None:
    net, (geometry, species, spins) = network(), magnet(40)
    inside = answer(net, geometry, species, spins)
    jumps = np.random.default_rng(2).integers(-2, 3, size=(40, 3))
    outside = Geometry(geometry.positions + jumps @ geometry.cell, geometry.cell, geometry.pbc, geometry.numbers)
    assert_same(answer(net, outside, species, spins), inside, 1e-10)


def test_no_neighbours_and_no_atoms() -> None:
    net = network()
    one = Geometry(np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3, dtype=bool), np.array([26]))
    found = answer(net, one, np.array([0]), np.array([[0.0, 0.0, 1.0]]))
    np.testing.assert_array_equal(found.forces, np.zeros((1, 3)))
    assert np.isfinite(found.energies).all()


def test_a_network_with_electrons_needs_them() -> None:
    net, (geometry, species, spins) = network(parts=3), magnet(14)
    engine = MovingEngine(net, np.float64, 1)
    with pytest.raises(ModelError, match="a filling or a chemical potential"):
        engine.solve(graph_of(engine, geometry), species, spins)


def test_splines_are_as_good_as_they_say() -> None:
    def functions(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.stack([np.exp(-r), np.sin(3 * r)], axis=1), np.stack([-np.exp(-r), 3 * np.cos(3 * r)], axis=1)

    r = np.random.default_rng(0).uniform(0.5, 2.0, 1000)
    for dtype, accuracy in ((np.float32, 1e-7), (np.float64, 1e-13)):
        table = spline_table(functions, 0.5, 2.0, dtype)
        np.testing.assert_allclose(spline_values(table, r), functions(r)[0], atol=1.1 * accuracy)
        below = np.array([0.3, 0.4])
        line = functions(np.array([0.5]))[0] + (below[:, None] - 0.5) * functions(np.array([0.5]))[1]
        np.testing.assert_allclose(spline_values(table, below), line, atol=1e-6)
    np.testing.assert_allclose(sum(basis_slopes(0.3, 2.0, np.float64)), 0.0, atol=1e-15)


def test_functions_too_steep_for_splines_are_refused() -> None:
    def steep(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.sin(1e6 * r)[:, None], 1e6 * np.cos(1e6 * r)[:, None]

    with pytest.raises(ModelError, match="too steep for splines of 32768 intervals"):
        spline_table(steep, 0.5, 2.0, np.float64)
