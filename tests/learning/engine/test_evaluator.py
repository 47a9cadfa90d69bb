"""The compiled engine: the torch network's energies and fields, on any number of threads.

Every tuple of channels and every precision is compiled anew, which takes most of the time.  So there are three of them: in
double precision channels that fill vectors once and in part in every degree, in single precision few of each degree, and
degree 0 only; other tests use the same.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.geometry import find_bonds
from spinase.learning.engine import graph as engine_graph
from spinase.learning.engine.evaluator import EngineGraph, FrozenEngine, supports
from spinase.learning.mhipnn.graph import Graph
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig, Prepared, energy_and_field
from spinase.learning.pairs import pairs_from

SIZES = [
    {},
    {"layers": 3, "chirality": False},
    {"products": True},
    {"products": True, "chirality": False, "width": 20},
    {"pairs": 5},
]
IN_SINGLE = [*SIZES, {"channels": (8,), "layers": 1, "atom_layers": 0}, {"channels": (8,), "products": True}]


def network(**size: object) -> MagneticHIPNN:
    torch.manual_seed(3)
    given = {"species": (26, 27), "cutoff": 2.0, "inner": 0.7, "width": 9, "channels": (18, 17, 3), **size}
    config = NetworkConfig.model_validate(given)
    net = MagneticHIPNN(config).double()
    if config.pairs:
        with torch.no_grad():
            net.pair_law.laws.normal_()
    return net


def both(
    net: MagneticHIPNN, atoms: SpinAtoms, dtype: type = np.float64, threads: int = 1
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Energies and fields of torch and of the engine."""
    geometry = geometry_of(atoms)
    bonds = find_bonds(geometry, net.config.cutoff)
    species = np.arange(len(atoms)) % 2
    graph = Graph(pairs_from(bonds, len(atoms), torch.float64), net.config.basis(), net.config.degree)
    plain = energy_and_field(net, Prepared(graph, torch.from_numpy(species)), torch.tensor(atoms.spins))
    engine = FrozenEngine(net, dtype, threads)
    found = engine(EngineGraph(bonds, geometry.positions, net.config, dtype), species, atoms.spins)
    return tuple(part.detach().numpy() for part in plain), found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sites", [14, 90])
def test_the_engine_is_the_network(size: dict[str, object], sites: int) -> None:
    """To the accuracy of its table of filters; images of one site and non-magnetic sites are there, too."""
    atoms = SpinAtoms.disordered(sites, rng=4)
    atoms.moments = np.where(np.arange(sites)[:, None] == 3, 0.0, atoms.spins)
    (energies, fields), (fast, fast_fields) = both(network(**size), atoms)
    assert np.abs(fields).max() > 1e-4
    np.testing.assert_allclose(fast, energies, atol=3e-6 * np.abs(energies).max())
    np.testing.assert_allclose(fast_fields, fields, atol=1e-5 * np.abs(fields).max())


@pytest.mark.parametrize("size", IN_SINGLE)
@pytest.mark.parametrize("magnet", ["one of its own images", "disordered", "planar"])
def test_in_single_precision(size: dict[str, object], magnet: str) -> None:
    if magnet == "planar":
        atoms = SpinAtoms.lattice("triangular", (5, 6), units="reduced", rng=4)
        atoms.positions[:, :2] += np.random.default_rng(1).normal(0.0, 0.05, (30, 2))
    else:
        atoms = SpinAtoms.disordered(90 if magnet == "disordered" else 14, rng=4)
    net = network(**{"channels": (8, 4, 2), **size})
    (energies, fields), (fast, fast_fields) = both(net, atoms, np.float32)
    assert np.abs(fields).max() > 1e-4
    np.testing.assert_allclose(fast, energies, atol=1e-5 * np.abs(energies).max())
    np.testing.assert_allclose(fast_fields, fields, atol=5e-5 * np.abs(fields).max())


def test_few_distances_need_no_interpolation() -> None:
    """On a lattice filters are those of its own distances: the engine is the network to round-off."""
    net, atoms = network(), SpinAtoms.lattice("triangular", (6, 6), units="reduced", rng=4)
    geometry = geometry_of(atoms)
    graph = EngineGraph(find_bonds(geometry, net.config.cutoff), geometry.positions, net.config, np.float64)
    assert graph.shells is not None
    np.testing.assert_allclose(np.sort(graph.shells), [1.0, np.sqrt(3.0), 2.0], rtol=1e-12)
    (energies, fields), (fast, fast_fields) = both(net, atoms)
    engine, species = FrozenEngine(net, np.float64), np.arange(36) % 2
    with torch.no_grad():
        for weights in net.parameters():  # the engine keeps those it was made with
            weights.zero_()
    np.testing.assert_array_equal(engine(graph, species, atoms.spins)[0], fast)
    np.testing.assert_allclose(fast, energies, atol=1e-11 * np.abs(energies).max())
    np.testing.assert_allclose(fast_fields, fields, atol=1e-11 * np.abs(fields).max())


@pytest.mark.parametrize("size", SIZES)
def test_planar_magnets(size: dict[str, object]) -> None:
    """Harmonics that vanish in the plane are left out; in another plane the magnet has them all, and the same fields."""
    net = network(**size)
    atoms = SpinAtoms.lattice("triangular", (5, 6), units="reduced", rng=4)
    atoms.positions[:, :2] += np.random.default_rng(1).normal(0.0, 0.05, (30, 2))
    (energies, fields), (fast, fast_fields) = both(net, atoms)
    assert np.abs(fields).max() > 1e-4
    np.testing.assert_allclose(fast, energies, atol=3e-6 * np.abs(energies).max())
    np.testing.assert_allclose(fast_fields, fields, atol=1e-5 * np.abs(fields).max())
    turned, spins = atoms.copy(), atoms.spins
    turned.rotate(70.0, (1, 2, 3), rotate_cell=True)
    turned.spins = spins
    flat, solid = (
        EngineGraph(find_bonds(geometry_of(one), 2.0), one.positions, net.config, np.float64).pairs
        for one in (atoms, turned)
    )
    assert flat.planar
    assert not solid.planar
    _, (others, other_fields) = both(net, turned)
    np.testing.assert_allclose(others, fast, atol=1e-9 * np.abs(energies).max())
    np.testing.assert_allclose(other_fields, fast_fields, atol=1e-8 * np.abs(fields).max())


def test_its_field_is_the_slope_of_its_own_energy() -> None:
    """Exactly: the tables are the same both ways."""
    net, atoms = network(), SpinAtoms.disordered(20, rng=5)
    bonds, species = find_bonds(geometry_of(atoms), 2.0), np.arange(20) % 2
    graph, engine = EngineGraph(bonds, atoms.positions, net.config, np.float64), FrozenEngine(net, np.float64)
    direction, step = np.random.default_rng(1).normal(size=(20, 3)), 1e-5
    ends = [engine(graph, species, atoms.spins + sign * step * direction)[0].sum() for sign in (-1, 1)]
    _, field = engine(graph, species, atoms.spins)
    assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(-np.sum(field * direction), rel=1e-7, abs=1e-10)


def test_threads_and_strips_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit by bit on any number of threads; to round-off for strips of another size."""
    net, atoms = network(), SpinAtoms.disordered(150, rng=6)
    _, whole = both(net, atoms)
    monkeypatch.setattr(engine_graph, "STRIP", 32)
    _, one = both(net, atoms)
    for threads in (2, 5):
        _, several = both(net, atoms, threads=threads)
        assert all(np.array_equal(a, b) for a, b in zip(one, several, strict=True))
    for a, b in zip(whole, one, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_lonely_sites_and_unsupported_channels() -> None:
    atoms = SpinAtoms.lattice("chain", (3,), a=5.0, periodic=False, rng=1)
    (energies, _), (fast, fields) = both(network(), atoms)
    np.testing.assert_allclose(fast, energies, rtol=1e-8)
    assert not fields.any()
    assert supports(network().config)
    for lacking in ({"vectors": False}, {"quadrupoles": True}, {"spin_orbit": True}):
        assert not supports(network(**lacking).config)
