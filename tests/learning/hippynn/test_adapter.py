"""Our networks in hippynn: equal to the plain torch core on padded batches, and trained by hippynn's own trainer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins
from spinase.calculators import HIPNNCalculator
from spinase.errors import ModelError
from spinase.learning.card import ModelCard
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig, energy_and_field
from spinase.learning.pairs import pairs_of

pytestmark = pytest.mark.filterwarnings("ignore")
adapter = pytest.importorskip("spinase.learning.hippynn.adapter")

CONFIG = NetworkConfig(species=(26, 27), cutoff=2.0, inner=0.7, width=6, radial=6)


def network(seed: int) -> MagneticHIPNN:
    torch.manual_seed(seed)
    return MagneticHIPNN(CONFIG).double()


def padded(magnets: list[SpinAtoms]) -> tuple[torch.Tensor, ...]:
    most = max(len(atoms) for atoms in magnets)
    species, positions, spins = (np.zeros((len(magnets), most, *tail)) for tail in ((), (3,), (3,)))
    for b, atoms in enumerate(magnets):
        n = len(atoms)
        species[b, :n], positions[b, :n], spins[b, :n] = atoms.numbers, atoms.positions, get_spins(atoms)
    cells = np.array([atoms.cell.array for atoms in magnets])
    return torch.tensor(species, dtype=torch.long), torch.tensor(positions), torch.tensor(cells), torch.tensor(spins)


def direct(net: MagneticHIPNN, atoms: SpinAtoms) -> tuple[float, np.ndarray]:
    """Energy and tangent field of the plain core."""
    pairs = pairs_of(geometry_of(atoms), 2.0, torch.float64)
    kinds = torch.tensor([CONFIG.species.index(number) for number in atoms.numbers])
    energies, field = energy_and_field(net, net.prepare(pairs, kinds), torch.tensor(get_spins(atoms)))
    spins, field_ = get_spins(atoms), field.numpy()
    return energies.sum().item(), field_ - spins * np.sum(field_ * spins, axis=1, keepdims=True)


@pytest.mark.parametrize(("compiled", "accuracy"), [(False, 1e-12), (True, 1e-8)])
@pytest.mark.parametrize("sizes", [(12, 12), (12, 9, 7)])
def test_padded_batches_are_the_plain_core(sizes: tuple[int, ...], compiled: bool, accuracy: float) -> None:
    magnets = [SpinAtoms.disordered(n, rng=n + k) for k, n in enumerate(sizes)]
    magnets[0].symbols[3] = "Co"
    net = network(1)
    energies, fields = adapter.PaddedMagnet(net, compiled=compiled).eval()(*padded(magnets))
    for b, atoms in enumerate(magnets):
        energy, field = direct(net, atoms)
        assert energies[b, 0].item() == pytest.approx(energy, abs=accuracy)
        np.testing.assert_allclose(fields[b, : len(atoms)].detach().numpy(), field, atol=accuracy)
        assert not fields[b, len(atoms) :].any()


def test_forces_are_the_calculators(tmp_path: Path) -> None:
    magnets = [SpinAtoms.disordered(n, rng=n, units="reduced") for n in (12, 9)]
    net = network(1)
    _, _, forces = adapter.PaddedMagnet(net, forces=True).eval()(*padded(magnets))
    calc = HIPNNCalculator(([net], ModelCard("test", CONFIG, "reduced")), dtype="float64")
    for b, atoms in enumerate(magnets):
        expected = calc.get_property("forces", atoms)
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(forces[b, : len(atoms)].detach().numpy(), expected, atol=1e-12)
        assert not forces[b, len(atoms) :].any()


def test_unknown_species_are_refused() -> None:
    magnets = [SpinAtoms.disordered(5, symbol="Ni", rng=1)]
    with pytest.raises(ModelError, match="does not know the atomic number 28"):
        adapter.PaddedMagnet(network(1))(*padded(magnets))


def test_hippynn_trains_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A student learns the fields of a teacher of its own kind: hippynn's database, loss, trainer and best model."""
    from hippynn.databases import Database
    from hippynn.experiment import SetupParams, assemble_for_training, setup_training, train_model
    from hippynn.graphs import loss

    monkeypatch.chdir(tmp_path)
    magnets = [SpinAtoms.disordered(10, rng=k) for k in range(24)]
    species, positions, cells, spins = padded(magnets)
    teacher = network(7)
    fields = np.array([direct(teacher, atoms)[1] for atoms in magnets])
    weights = 1.0 / np.sqrt(np.mean(fields**2, axis=(1, 2)))[:, None]
    arrays = {
        "species": species.numpy(),
        "positions": positions.numpy(),
        "cells": cells.numpy(),
        "spins": spins.numpy(),
        "weights": weights,
        "scaled_field": weights[:, :, None] * fields,
    }
    student = network(3)
    _, scaled = adapter.magnet_graph(student)
    error = loss.MSELoss.of_node(scaled)
    modules, info = assemble_for_training(error, {"scaled": error})
    database = Database(arrays, seed=1, test_size=0.1, valid_size=0.2, quiet=True, **info)
    parameters = SetupParams(
        device="cpu", stopping_key="scaled", batch_size=4, eval_batch_size=4, max_epochs=12, learning_rate=1e-2
    )
    modules, controller, metrics = setup_training(modules, parameters)
    before = {name: weights.clone() for name, weights in student.state_dict().items()}
    train_model(modules, database, controller, metrics, None, None, store_structure_file=False, quiet=True)
    history = [epoch["valid"]["scaled"] for epoch in metrics.epoch_metric_values]
    assert min(history) < 0.5 * history[0]
    assert any(not torch.equal(weights, before[name]) for name, weights in student.state_dict().items())
    _, field = direct(student, magnets[0])
    assert np.corrcoef(field.ravel(), fields[0].ravel())[0, 1] > 0.5
