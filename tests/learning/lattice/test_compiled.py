"""The compiled loops of lattices: the torch network's parts and fields, on any number of threads.

Each precision is compiled once, whatever the sizes of the network.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.calculators.learned import LearnedCalculator
from spinase.errors import ModelError
from spinase.geometry import find_bonds
from spinase.learning.card import ModelCard
from spinase.learning.engine.lattice.evaluator import LatticeEngine, LatticeEvaluator
from spinase.learning.engine.lattice.tiles import Map, packed
from spinase.learning.ensemble import EVALUATORS
from spinase.learning.evaluator import Evaluation, Question, Request, choose
from spinase.learning.frozen_geometry import FrozenGeometry
from spinase.learning.grand_potential import GrandPotentialReadout
from spinase.learning.lattice.network import LatticeConfig, LatticeNetwork
from spinase.learning.readout import EnergyReadout
from spinase.learning.torch_evaluator import TorchEvaluator
from spinase.learning.two_potentials import TwoPotentialsReadout
from spinase.spin_algebra import random_spins

SIZE = {"cutoff": 1.5, "pair_length": 1.5, "pair_range": 1.5, "triangle_length": 1.5, "triangle_range": 1.1, "channels": 3}
SIDES = {"square": (6, 7), "triangular": (6, 5), "kagome": (3, 4), "honeycomb": (3, 4)}
FIELDS = {"energy": EnergyReadout(), "grand potential": GrandPotentialReadout((-1.0, 1.0), chemical_potential=0.3)}

SEVERAL = [(TwoPotentialsReadout(), 2), (GrandPotentialReadout((-1.0, 1.0), filling=0.45), 3)]


def magnet(lattice: str = "square", size: tuple[int, int] | None = None) -> SpinAtoms:
    atoms = SpinAtoms.lattice(lattice, size or SIDES[lattice], units="reduced")
    atoms.spins = random_spins(len(atoms), np.random.default_rng(3))
    return atoms


def two_kinds() -> SpinAtoms:
    """A square lattice with two species in rows: two kinds of surroundings with less symmetry."""
    atoms = magnet(size=(6, 4))
    atoms.numbers = np.where(np.round(atoms.positions[:, 1]) % 2 == 0, 26, 27)
    return atoms


def network_of(atoms: SpinAtoms, parts: int = 1, **size: Any) -> LatticeNetwork:
    torch.manual_seed(2)
    species = np.unique(atoms.numbers).tolist()
    size = {**SIZE, "hidden": (7, 5), **size}
    return LatticeNetwork(LatticeConfig.from_training(size, species, parts, geometry_of(atoms))).double()


def frozen(network: LatticeNetwork, atoms: SpinAtoms) -> FrozenGeometry:
    geometry, config = geometry_of(atoms), network.config
    return FrozenGeometry(
        find_bonds(geometry, config.cutoff), geometry.positions, config.indices(geometry.numbers), config.cutoff
    )


def answer(kind: type, network: LatticeNetwork, geometry: FrozenGeometry, question: Question, dtype: Any = "float64") -> Any:
    evaluator = kind([network], Request(dtype))
    return evaluator.evaluate(evaluator.prepared(geometry), 0, question)


def assert_agree(found: Evaluation, expected: Evaluation, tolerance: float) -> None:
    """Relative to the root mean square; fields are not small."""
    assert expected.fields is not None
    assert np.abs(expected.fields).max() > 1e-4
    for one, other in ((found.values, expected.values), (found.fields, expected.fields)):
        np.testing.assert_allclose(one, other, atol=tolerance * np.sqrt(np.mean(np.square(other))))
    np.testing.assert_allclose(found.potentials, expected.potentials, rtol=10.0 * tolerance)


@pytest.mark.parametrize("lattice", [*SIDES, "two kinds"])
def test_the_loops_are_the_network(lattice: str) -> None:
    atoms = two_kinds() if lattice == "two kinds" else magnet(lattice)
    atoms.moments = np.where(np.arange(len(atoms))[:, None] == 3, 0.0, atoms.spins)  # a non-magnetic site
    network = network_of(atoms)
    assert len(network.kinds) == (2 if lattice == "two kinds" else 1)
    geometry, question = frozen(network, atoms), Question(atoms.spins, EnergyReadout(), atoms.positions)
    expected = answer(TorchEvaluator, network, geometry, question)
    assert_agree(answer(LatticeEvaluator, network, geometry, question), expected, 1e-10)
    assert_agree(answer(LatticeEvaluator, network, geometry, question, "float32"), expected, 1e-5)


@pytest.mark.parametrize(
    "size", [{"triangle_range": 0.0}, {"bispectrum": False}, {"hidden": (33,)}, {"hidden": (8, 9, 10), "channels": 7}]
)
def test_networks_of_other_sizes(size: dict[str, Any]) -> None:
    atoms = magnet()
    network = network_of(atoms, **size)
    geometry, question = frozen(network, atoms), Question(atoms.spins, EnergyReadout(), atoms.positions)
    expected = answer(TorchEvaluator, network, geometry, question)
    assert_agree(answer(LatticeEvaluator, network, geometry, question), expected, 1e-10)


@pytest.mark.parametrize(
    ("readout", "parts"), [(TwoPotentialsReadout(), 2), (GrandPotentialReadout((-1.0, 1.0), filling=0.45), 3)]
)
def test_several_parts_and_potentials(readout: Any, parts: int) -> None:
    """Weights that are known before, and weights that follow from the parts of each of three replicas."""
    atoms = magnet("kagome")
    network = network_of(atoms, parts)
    for part, value in ((1, -0.9), (2, -0.2))[: parts - 1]:
        network.begin_part(part, value)
    geometry = frozen(network, atoms).repeated(3)
    places = np.tile(atoms.positions, (3, 1))
    question = Question(random_spins(3 * len(atoms), np.random.default_rng(8)), readout, places, magnets=3)
    expected, found = (answer(kind, network, geometry, question) for kind in (TorchEvaluator, LatticeEvaluator))
    assert found.potentials.shape == (len(expected.fields), 3)
    np.testing.assert_allclose(found.weighed.weights, expected.weighed.weights, rtol=1e-10)
    assert_agree(found, expected, 1e-10)
    for name, values in expected.weighed.results.items():
        np.testing.assert_allclose(found.weighed.results[name], values, rtol=1e-10)


CURRENTS = TwoPotentialsReadout(window=(-0.5, 0.5), axis=0, orders=1)


def field_of_currents(network: LatticeNetwork, atoms: SpinAtoms, dtype: Any, **options: Any) -> np.ndarray:
    card = ModelCard("device", network.config, "reduced", readout=CURRENTS)
    calc = LearnedCalculator(([network], card), dtype=dtype, bias=0.4, outside_domain="ignore", **options)
    return np.asarray(calc.get_property("magnetic_forces", atoms))


@pytest.mark.parametrize("triangle_range", [0.0, 1.1])
def test_currents_are_those_of_the_network(triangle_range: float) -> None:
    """One field seen from the sites for every two potentials, with bonds and with chiralities; from any origin."""
    atoms = strip(8)
    network = network_of(atoms, CURRENTS.parts, triangle_range=triangle_range)
    exact = field_of_currents(network, atoms, "float64", evaluators=(TorchEvaluator,))
    found = field_of_currents(network, atoms, "float64")
    np.testing.assert_allclose(found, exact, atol=1e-12 * np.abs(exact).max())
    atoms.positions += [1000.0, 0.0, 0.0]
    np.testing.assert_allclose(field_of_currents(network, atoms, "float64"), found, atol=1e-10 * np.abs(exact).max())


def test_currents_of_a_long_device_lose_no_digits() -> None:
    """Places count from every site: single precision is what it is on a short device."""
    network, long = network_of(strip(8), CURRENTS.parts, triangle_range=0.0), strip(4000)
    exact = field_of_currents(network, long, "float64")
    found = field_of_currents(network, long, "float32")
    assert np.abs(found - exact).max() < 6e-5 * np.abs(exact).max()  # 3e-4 from the middle of the device


def strip(length: int) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (length, 3), units="reduced", rng=2)
    atoms.pbc = (False, True, False)
    return atoms


@pytest.mark.parametrize("meaning", FIELDS)
def test_fields_are_slopes_of_the_potential(meaning: str) -> None:
    """Central differences along directions that do not keep the lengths of the spins."""
    atoms, readout, step, rng = magnet("triangular"), FIELDS[meaning], 1e-5, np.random.default_rng(5)
    network = network_of(atoms, 1 if meaning == "energy" else 3)
    geometry = frozen(network, atoms)
    fields = answer(LatticeEvaluator, network, geometry, Question(atoms.spins, readout, atoms.positions)).fields[0]
    for _ in range(3):
        way = rng.normal(size=atoms.spins.shape)
        up, down = (
            answer(
                LatticeEvaluator, network, geometry, Question(atoms.spins + sign * step * way, readout, atoms.positions)
            ).potentials[0, 0]
            for sign in (1, -1)
        )
        assert np.sum(fields * way) == pytest.approx((down - up) / (2.0 * step), rel=1e-7)


def test_copies_of_a_cell_have_its_energy_many_times() -> None:
    """Also in a magnet that has several strips of sites, and with any number of threads to the last bit."""
    atoms = magnet(size=(5, 5))
    network, large = network_of(atoms), atoms.repeat((5, 7, 1))
    small = answer(
        LatticeEvaluator, network, frozen(network, atoms), Question(atoms.spins, EnergyReadout(), atoms.positions), "float32"
    )
    question, geometry = Question(large.spins, EnergyReadout(), large.positions), frozen(network, large)
    found = answer(LatticeEvaluator, network, geometry, question, "float32")
    assert found.potentials[0, 0] == pytest.approx(35 * small.potentials[0, 0], rel=1e-6)
    np.testing.assert_allclose(found.fields[0].reshape(35, 25, 3), np.tile(small.fields[0], (35, 1, 1)), atol=1e-5)
    graph = LatticeEvaluator([network], Request()).prepared(geometry)
    assert len(graph.strips) > 1
    one, three = (
        LatticeEngine(network, np.float32, threads)(graph, large.spins, question.weigh, np.ones((1, 1)))
        for threads in (1, 3)
    )
    for first, second in zip(one[:2], three[:2], strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_calculator_takes_the_loops_and_stays_itself() -> None:
    """Replicas are the magnets one by one; the lattice may be turned, in another cell, its sites in another order."""
    atoms, rng = magnet("honeycomb"), np.random.default_rng(2)
    networks = [network_of(atoms), network_of(atoms)]
    calc = LearnedCalculator((networks, ModelCard("honeycomb", networks[0].config, "reduced")))
    assert type(calc.ensemble.by_spins) is LatticeEvaluator
    many = np.stack([atoms.spins, random_spins(len(atoms), rng)])
    energies, fields = calc.ensemble.replicas(frozen(networks[0], atoms), many)
    for k, spins in enumerate(many):
        atoms.spins = spins
        assert energies[k] == pytest.approx(calc.get_property("energy", atoms), rel=1e-6)
        np.testing.assert_allclose(fields[k], calc.get_property("magnetic_forces", atoms), atol=1e-6)
    order = rng.permutation(len(atoms))
    other = atoms[order]
    other.rotate(31.0, (1, 2, 3), rotate_cell=True)
    other.set_cell([[1, 1, 0], [0, 1, 0], [0, 0, 1]] @ other.cell)
    other.spins = atoms.spins[order]
    np.testing.assert_allclose(calc.get_property("magnetic_forces", other), fields[1][order], atol=1e-6)


def test_the_loops_refuse_what_the_network_does_not_know() -> None:
    atoms = magnet("triangular")
    calc = LearnedCalculator((networks := [network_of(atoms)], ModelCard("mine", networks[0].config, "reduced")))
    strained, moved, alloy = atoms.copy(), atoms.copy(), atoms.copy()
    strained.set_cell(atoms.cell * [1.01, 1.0, 1.0], scale_atoms=True)
    moved.positions[4, 2] += 0.05
    alloy.numbers[3] = 27
    for other, message in (
        (
            magnet("square"),
            "it has 8 neighbours within the cutoff, not 6; other sites are there, or this is another lattice",
        ),
        (atoms[1:], "sites are missing, a surface is near, or this is another lattice"),
        (strained, "a neighbour is 1.01 away, not 1; this is another lattice, or a strained one"),
        (moved, "a neighbour is 1.00125 away, not 1; this is another lattice, or a strained one"),
        (alloy, "the model 'mine' does not know Co; it knows Fe"),
    ):
        with pytest.raises(ModelError, match=message):
            calc.get_property("magnetic_forces", other)


def test_what_the_loops_compute() -> None:
    network, known = network_of(magnet()), LatticeEvaluator
    for request in (Request(), Request("float64")):
        assert choose(EVALUATORS, network, request) is known
        assert choose(EVALUATORS, network, replace(request, moving=True)) is TorchEvaluator
    assert choose(EVALUATORS, network, Request(device="cuda")) is TorchEvaluator


def test_tiles_hold_the_matrix() -> None:
    """Blocks are found, and nothing but their zeros is left out; a row without columns is there with its offset."""
    matrix = np.zeros((11, 6))
    matrix[:8, [0, 3]] = np.arange(1.0, 17.0).reshape(8, 2)
    matrix[9, 1:3] = 5.0
    tiles = packed([Map(matrix, np.arange(11.0), 20, 40)], np.float64)
    found, offsets = np.zeros((11, 6)), np.zeros(11)
    for begin, end, at, row, count in tiles.tiles:
        rows, columns = tiles.rows[row : row + count] - 40, tiles.columns[begin:end] - 20
        offsets[rows] = tiles.weights[at : at + count]
        weights = tiles.weights[at + 6 : at + 6 + 6 * len(columns)].reshape(-1, 6)
        found[np.ix_(rows, columns)] = weights[:, :count].T
    np.testing.assert_array_equal(found, matrix)
    np.testing.assert_array_equal(offsets, np.arange(11.0))
    assert sum(end - begin for begin, end in pairwise(tiles.starts)) == len(tiles.tiles) == 5
