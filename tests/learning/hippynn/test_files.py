"""Networks trained in hippynn itself become calculators, and nothing is guessed or unpickled unasked."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from spinase import SpinAtoms
from spinase.calculators import HIPNNCalculator
from spinase.errors import ModelFileError
from spinase.learning.card import ModelCard
from spinase.learning.hippynn.files import describe_training
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig

pytestmark = pytest.mark.filterwarnings("ignore")
adapter = pytest.importorskip("spinase.learning.hippynn.adapter")

CONFIG = NetworkConfig(species=(26,), cutoff=2.0, inner=0.7, width=4, radial=4, layers=1)
SAID = {"units": "reduced", "unit_spins": True}


def magnet() -> SpinAtoms:
    return SpinAtoms.disordered(10, units="reduced", rng=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MagneticHIPNN]:
    """A directory written by hippynn's own trainer with all its files, and the network that was trained."""
    from hippynn.databases import Database
    from hippynn.experiment import SetupParams, assemble_for_training, setup_training, train_model
    from hippynn.graphs import loss

    rng, boxes, sites = np.random.default_rng(0), 40, 6
    magnets = [SpinAtoms.disordered(sites, rng=k) for k in range(boxes)]
    arrays = {
        "species": np.array([atoms.numbers for atoms in magnets]),
        "positions": np.array([atoms.positions for atoms in magnets], dtype=np.float32),
        "cells": np.array([atoms.cell.array for atoms in magnets], dtype=np.float32),
        "spins": np.array([atoms.spins for atoms in magnets], dtype=np.float32),
        "weights": np.ones((boxes, 1), dtype=np.float32),
        "scaled_field": rng.normal(size=(boxes, sites, 3)).astype(np.float32),
    }
    torch.manual_seed(4)
    network = MagneticHIPNN(CONFIG)
    _, scaled = adapter.magnet_graph(network)
    error = loss.MSELoss.of_node(scaled)
    modules, info = assemble_for_training(error, {"scaled": error})
    database = Database(arrays, seed=1, test_size=0.1, valid_size=0.2, quiet=True, **info)
    parameters = SetupParams(device="cpu", stopping_key="scaled", batch_size=8, max_epochs=2, learning_rate=1e-3)
    modules, controller, metrics = setup_training(modules, parameters)
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train_model(modules, database, controller, metrics, None, None, quiet=True)
    modules[0].load_state_dict(torch.load(folder / "best_model.pt", weights_only=True))
    return folder, network


def direct(network: MagneticHIPNN) -> HIPNNCalculator:
    return HIPNNCalculator(([network], ModelCard("direct", CONFIG, "reduced")), dtype="float64")


def same(one: HIPNNCalculator, two: HIPNNCalculator) -> None:
    for name in ("energy", "magnetic_forces", "forces"):
        found, expected = one.get_property(name, magnet()), two.get_property(name, magnet())
        assert np.abs(expected).max() > 1e-6
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_graphs_and_predictors() -> None:
    from hippynn.graphs import Predictor

    torch.manual_seed(1)
    network = MagneticHIPNN(CONFIG)
    node, _ = adapter.magnet_graph(network)
    predictor = Predictor(list(node.parents), [node.energy, node.field])
    calc = HIPNNCalculator.from_hippynn(predictor, dtype="float64", **SAID)
    same(calc, direct(network))
    same(HIPNNCalculator.from_hippynn(predictor.graph, dtype="float64", **SAID), direct(network))
    scaled = HIPNNCalculator.from_hippynn(predictor, energy_scale=3.0, energy_shift=-1.0, dtype="float64", **SAID)
    expected = 3.0 * calc.get_property("energy", magnet()) - 10.0
    assert scaled.get_property("energy", magnet()) == pytest.approx(expected)
    given = predictor(
        species=torch.from_numpy(magnet().numbers)[None],
        positions=torch.from_numpy(magnet().positions.astype(np.float32))[None],
        cells=torch.from_numpy(magnet().cell.array.astype(np.float32))[None],
        spins=torch.from_numpy(np.array(magnet().spins, dtype=np.float32))[None],
    )
    assert float(given["energy"][0, 0]) == pytest.approx(calc.get_property("energy", magnet()), abs=1e-4)
    before = calc.get_property("magnetic_forces", magnet())
    with torch.no_grad():
        network.embedding.weight += 1.0
    np.testing.assert_array_equal(calc.get_property("magnetic_forces", magnet()), before)  # a copy was taken


def test_an_ensemble_of_hippynn_is_one_here() -> None:
    from hippynn.graphs import GraphModule
    from hippynn.graphs.ensemble import make_ensemble

    networks, graphs = [], []
    for seed in range(3):
        torch.manual_seed(seed)
        networks.append(MagneticHIPNN(CONFIG))
        node, _ = adapter.magnet_graph(networks[-1])
        graphs.append(GraphModule(list(node.parents), [node.energy, node.field]))
    together, _ = make_ensemble(graphs, targets=["energy", "field"], quiet=True)
    calc = HIPNNCalculator.from_hippynn(together, dtype="float64", **SAID)
    assert len(calc.networks) == 3
    mean = np.mean([direct(network).get_property("magnetic_forces", magnet()) for network in networks], axis=0)
    np.testing.assert_allclose(calc.get_property("magnetic_forces", magnet()), mean, atol=1e-12)
    assert calc.spread(magnet()).min() > 0.0


def test_a_training_directory_with_its_network_said(trained: tuple[Path, MagneticHIPNN]) -> None:
    folder, network = trained
    same(HIPNNCalculator.from_hippynn(folder, network=CONFIG, dtype="float64", **SAID), direct(network))
    table = CONFIG.model_dump()
    same(HIPNNCalculator.from_hippynn(str(folder), network=table, dtype="float64", **SAID), direct(network))


def test_a_pickle_is_opened_only_if_it_is_trusted(trained: tuple[Path, MagneticHIPNN], tmp_path: Path) -> None:
    folder, network = trained
    with pytest.raises(ModelFileError, match="does not say which network.*trust_pickle=True.*runs the code"):
        HIPNNCalculator.from_hippynn(folder, **SAID)
    same(HIPNNCalculator.from_hippynn(folder, trust_pickle=True, dtype="float64", **SAID), direct(network))
    evil = tmp_path / "evil"
    evil.mkdir()
    mark = tmp_path / "ran"
    payload = pickle.dumps(_Runs(str(mark)))
    for name in ("best_model.pt", "experiment_structure.pt"):
        (evil / name).write_bytes(payload)
    with pytest.raises(ModelFileError, match="best_model.pt is damaged, or holds more than weights"):
        HIPNNCalculator.from_hippynn(evil, network=CONFIG, trust_pickle=True, **SAID)
    (evil / "best_model.pt").write_bytes((folder / "best_model.pt").read_bytes())
    with pytest.raises(ModelFileError, match="does not say which network"):
        HIPNNCalculator.from_hippynn(evil, **SAID)
    assert not mark.exists()


class _Runs:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path(self.path),))


def test_a_described_directory_needs_nothing_said(trained: tuple[Path, MagneticHIPNN], tmp_path: Path) -> None:
    folder, network = trained
    (tmp_path / "best_model.pt").write_bytes((folder / "best_model.pt").read_bytes())
    path = describe_training(tmp_path, network, units="reduced", energy_scale=2.0, energy_shift=0.5)
    calc = HIPNNCalculator.from_hippynn(tmp_path, dtype="float64")
    assert (calc.card.units, calc.card.energy_scale, calc.card.energy_shift) == ("reduced", 2.0, 0.5)
    fields = 2.0 * direct(network).get_property("magnetic_forces", magnet())
    np.testing.assert_allclose(calc.get_property("magnetic_forces", magnet()), fields, atol=1e-12)
    with pytest.raises(ModelFileError, match="units = 'metal' was given, but .* says 'reduced'"):
        HIPNNCalculator.from_hippynn(tmp_path, units="metal")
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, "convention": "spins of electrons"}))
    with pytest.raises(ModelFileError, match="another spin convention"):
        HIPNNCalculator.from_hippynn(tmp_path)
    path.write_text("{")
    with pytest.raises(ModelFileError, match="is damaged"):
        HIPNNCalculator.from_hippynn(tmp_path)


def test_what_is_missing_is_asked_for(trained: tuple[Path, MagneticHIPNN], tmp_path: Path) -> None:
    folder, _ = trained
    with pytest.raises(ModelFileError, match="does not say: units = .*; unit_spins = True"):
        HIPNNCalculator.from_hippynn(folder, network=CONFIG)
    with pytest.raises(ModelFileError, match="read unit spins"):
        HIPNNCalculator.from_hippynn(folder, network=CONFIG, units="reduced", unit_spins=False)
    with pytest.raises(ModelFileError, match="unknown unit system 'eV'"):
        HIPNNCalculator.from_hippynn(folder, network=CONFIG, units="eV", unit_spins=True)
    with pytest.raises(ModelFileError, match="cutoff: Field required"):
        HIPNNCalculator.from_hippynn(folder, network={"species": [26], "inner": 0.7}, **SAID)
    wider = CONFIG.model_copy(update={"width": 8})
    with pytest.raises(ModelFileError, match="do not fit the network"):
        HIPNNCalculator.from_hippynn(folder, network=wider, **SAID)
    with pytest.raises(ModelFileError, match="there is no best_model.pt"):
        HIPNNCalculator.from_hippynn(tmp_path, **SAID)
    torch.save({"x": torch.zeros(2)}, tmp_path / "best_model.pt")
    with pytest.raises(ModelFileError, match="no weights of a network of spinase"):
        HIPNNCalculator.from_hippynn(tmp_path, network=CONFIG, **SAID)
    with pytest.raises(ModelFileError, match="there is no structure file"):
        HIPNNCalculator.from_hippynn(tmp_path, trust_pickle=True, **SAID)
    with pytest.raises(ModelFileError, match="Linear without a network that sees spins"):
        HIPNNCalculator.from_hippynn(torch.nn.Linear(2, 2), **SAID)
    with pytest.raises(ModelFileError, match="int without a network that sees spins"):
        HIPNNCalculator.from_hippynn(3, **SAID)
