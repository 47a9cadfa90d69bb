"""Training: a teacher's fields are learned, a cut training ends with the same weights, bad data are refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from spinase_training import train as module
from spinase_training.commands import train, validate
from spinase_training.data import prepare, split
from spinase_training.labels import LabelOptions, label_file
from spinase_training.pair_fit import fit_pairs
from spinase_training.recipe import read_recipe
from spinase_training.train import train_recipe
from spinase_training.validation import errors as found_errors
from spinase_training.validation import predict
from typer import Typer
from typer.testing import CliRunner

from spinase.calculators import HIPNNCalculator
from spinase.cli import app as core
from spinase.errors import AccuracyWarning, InputError
from spinase.io import read_labels
from spinase.io.labels import write_labels
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.model_file import load_model

pytestmark = pytest.mark.filterwarnings("ignore")
app = Typer()
app.command("train")(train)
app.command("validate")(validate)

LABELS = """
realizations = 14
random = 3
[atoms]
disordered = { sites = 12 }
[calculator]
style = "heisenberg"
law = { amplitude = 1.0, decay = 2.0, reference = 1.0, cutoff = 1.8 }
[quench]
timestep = 0.1
times = [1.0, 4.0]
damping = 0.5
"""
RECIPE = """
name = "student"
labels = "labels.h5"
seed = 3
epochs = 25
batch = 8
learning_rate = 1e-2
validation = 0.15
test = 0.15
[network]
cutoff = 1.8
inner = 0.7
radial = 8
width = 8
layers = 1
atom_layers = 1
channels = [8]
quadrupoles = false
chirality = false
"""


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    (folder / "magnet.toml").write_text(LABELS)
    return label_file(folder / "magnet.toml", options=LabelOptions(folder / "labels.h5"))


def recipe(labels: Path, **changes: str) -> Path:
    text = RECIPE
    for key, value in changes.items():
        text = "\n".join(f"{key} = {value}" if line.startswith(f"{key} =") else line for line in text.splitlines())
    path = labels.parent / "recipe.toml"
    path.write_text(text)
    return path


def test_exchange_fields_are_learned(labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Heisenberg magnet is within the network's reach: unseen disorder must come out well."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["train", str(recipe(labels)), "-o", "run"])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "run"
    networks, card = load_model(folder / "model.npz")
    assert len(networks) == 1
    assert card.notes["errors"]["r2"] > 0.9
    assert card.notes["teacher"]["style"] == "heisenberg"
    assert card.notes["data_hash"] == read_labels(labels)[1]["hash"]
    for name in ("curves.png", "parity.png"):
        assert (folder / name).stat().st_size > 10_000
    log = (folder / "log.txt").read_text().splitlines()
    assert len(log) == 25
    first, last = (float(line.split("valid")[1].split()[0]) for line in (log[0], log[-1]))
    assert last < 0.2 * first
    atoms = read_labels(labels)[0][0].atoms(0)
    calc = HIPNNCalculator(folder / "model.npz")
    assert calc.get_property("energy", atoms) == pytest.approx(read_labels(labels)[0][0].energies[0], abs=2.0)
    shown = CliRunner().invoke(app, ["validate", str(folder / "model.npz"), str(labels), "-o", str(tmp_path), "--json"])
    told = json.loads(shown.output)
    assert told["errors"]["r2"] > 0.9
    assert told["data_is_the_training_file"]
    assert told["dynamics"]["torque_r2"][0] > 0.9  # the teacher of the card, rebuilt
    again = CliRunner().invoke(app, ["train", str(recipe(labels)), "-o", str(folder)])
    assert isinstance(again.exception, InputError)


def test_forces_and_energies_are_learned(labels: Path, tmp_path: Path) -> None:
    """With their weights they come out better than without; weights on what is not labelled are refused."""
    source = labels.parent / "moving.toml"
    source.write_text(LABELS.replace("random = 3", "random = 3\nforces = true\ndisplacement = 0.05"))
    moving, found = label_file(source, options=LabelOptions(labels.parent / "moving.h5")), []
    for weight in (0.0, 1.0):
        path = recipe(labels, epochs="20")
        path.write_text(f"force_weight = {weight}\nenergy_weight = {weight}\n" + path.read_text())
        path.write_text(path.read_text().replace("labels.h5", moving.name))
        model = train_recipe(*read_recipe(path), path.parent, tmp_path / f"run{weight}")
        part = read_labels(moving)[0][0]
        networks, card = load_model(model)
        assert ("forces" in HIPNNCalculator(model).implemented_properties) is (weight > 0.0)
        calc = HIPNNCalculator((networks, replace(card, notes={})))  # asked all the same
        wrong = [calc.get_property("forces", part.atoms(k)) - part.forces[k] for k in range(len(part))]
        found.append(np.mean(np.square(wrong)) / np.mean(np.square(part.forces)))
    assert found[1] < min(0.6, 0.2 * found[0])
    path.write_text(path.read_text().replace(moving.name, "labels.h5"))
    with pytest.raises(InputError, match="weighs forces by 1.0"):
        train_recipe(*read_recipe(path), path.parent, tmp_path / "refused")


def test_a_cut_training_ends_with_the_same_weights(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = recipe(labels, epochs="4", ensemble="1")
    given, text = read_recipe(path)
    told: list[tuple[int, int, str]] = []
    whole = train_recipe(given, text, path.parent, tmp_path / "whole", progress=lambda *words: told.append(words))
    assert [words[:2] for words in told] == [(epoch, 4) for epoch in (1, 2, 3, 4)]
    assert re.fullmatch(r"network 0, error [01]\.\d{3}", told[-1][2])
    assert capfd.readouterr().out == ""  # hippynn's words are in a file of its folder
    assert "Determined Inputs" in (tmp_path / "whole" / "hippynn_0" / "hippynn.log").read_text()
    original = module._Keeper.__call__

    def cut(self, epoch: int, better: bool) -> None:
        original(self, epoch, better)
        if epoch == 1:
            raise RuntimeError("killed")

    monkeypatch.setattr(module._Keeper, "__call__", cut)
    with pytest.raises(RuntimeError, match="killed"):
        train_recipe(given, text, path.parent, tmp_path / "cut")
    monkeypatch.setattr(module._Keeper, "__call__", original)
    resumed = train_recipe(given, text, path.parent, tmp_path / "cut", restart=True)
    for one, two in zip(load_model(whole)[0], load_model(resumed)[0], strict=True):
        for name, weights in one.state_dict().items():
            assert torch.equal(weights, two.state_dict()[name]), name
    assert (tmp_path / "cut" / "log.txt").read_text() == (tmp_path / "whole" / "log.txt").read_text()
    other, changed = read_recipe(recipe(labels, epochs="5"))
    with pytest.raises(InputError, match="started with another recipe"):
        train_recipe(other, changed, path.parent, tmp_path / "cut", restart=True)


@pytest.mark.parametrize("twice", [False, True])
def test_an_interrupted_training_is_not_a_finished_one(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, twice: bool
) -> None:
    """Once: after the batch at hand; twice: at once (hippynn takes that for the end of the training)."""
    path, folder = recipe(labels, epochs="3"), tmp_path / "run"
    original = module._Keeper.__call__

    def interrupted(self, epoch: int, better: bool) -> None:
        original(self, epoch, better)
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)
            if twice:
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(module._Keeper, "__call__", interrupted)
    result = CliRunner().invoke(app, ["train", str(path), "-o", str(folder)])
    assert result.exit_code == 3, result.output
    assert "go on with --restart" in result.output
    assert not (folder / "model.npz").exists()
    monkeypatch.setattr(module._Keeper, "__call__", original)
    assert CliRunner().invoke(app, ["train", str(path), "-o", str(folder), "--restart"]).exit_code == 0
    assert len((folder / "log.txt").read_text().splitlines()) == 3


def test_a_restart_with_other_labels_of_the_same_name_is_refused(labels: Path, tmp_path: Path) -> None:
    path = recipe(labels, epochs="1")
    given, text = read_recipe(path)
    for name in ("labels.h5", "recipe.toml"):
        shutil.copy(labels.parent / name, tmp_path)
    train_recipe(given, text, tmp_path, tmp_path / "run")
    parts, attributes = read_labels(labels)
    write_labels(tmp_path / "labels.h5", [replace(part, energies=part.energies + 1.0) for part in parts], attributes)
    with pytest.raises(InputError, match="started with other labels"):
        train_recipe(given, text, tmp_path, tmp_path / "run", restart=True)


@pytest.mark.parametrize("name", ["recipe.toml", "log.txt", "model.npz", "curves.png", "checkpoint_0.pt"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_folder_with_files_of_others_is_no_place_to_train(labels: Path, tmp_path: Path, name: str, restart: bool) -> None:
    """The folder of the recipe itself, for one: `-o .` would have written over it."""
    given, text = read_recipe(recipe(labels))
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / name).write_text("mine")
    with pytest.raises(InputError, match=rf"has a {re.escape(name)} that is of no training of spinase: name another folder"):
        train_recipe(given, text, labels.parent, folder, restart=restart)
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == "mine"


def test_a_recipe_that_never_trained_does_not_stand_in_the_way(labels: Path, tmp_path: Path) -> None:
    given, text = read_recipe(recipe(labels, epochs="1"), ("force_weight=1.0",))
    with pytest.raises(InputError, match="weighs forces"):
        train_recipe(given, text, labels.parent, tmp_path / "run")
    good, text = read_recipe(recipe(labels, epochs="1"))
    assert train_recipe(good, text, labels.parent, tmp_path / "run").exists()


def test_compiled_passes_train_as_torch_does(labels: Path, tmp_path: Path) -> None:
    """The same losses to round-off after a few epochs."""
    path = recipe(labels, epochs="4")
    histories = []
    for compiled in (True, False):
        given, text = read_recipe(path, (f"compiled={str(compiled).lower()}",))
        train_recipe(given, text, path.parent, tmp_path / str(compiled))
        lines = (tmp_path / str(compiled) / "log.txt").read_text().splitlines()
        histories.append([float(line.split()[5]) for line in lines])
    assert histories[0][-1] < 0.9 * histories[0][0]
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-3)


def test_weights_count_quiet_configurations_as_much_as_loud_ones(labels: Path) -> None:
    parts, _ = read_labels(labels)
    data = prepare(parts, floor=1e-6)
    size = np.sum(data.arrays["scaled_field"].astype(float) ** 2, axis=(1, 2))
    square = np.sum(data.fields**2, axis=(1, 2)) / data.scale**2
    heard = square > 1e-2  # far above the floor
    assert square[heard].max() > 20 * square[heard].min()
    np.testing.assert_allclose(size[heard], 12.0, rtol=2e-3)
    parts_ = split(data.realization, read_recipe(recipe(labels))[0])
    numbers = [set(data.realization[rows]) for rows in parts_.values()]
    assert all(one.isdisjoint(two) for one, two in combinations(numbers, 2))
    assert sum(len(rows) for rows in parts_.values()) == len(data.realization)


def test_bad_data_and_recipes(labels: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        prepare([], 0.1)
    parts, _ = read_labels(labels)
    data = prepare(parts[:2], 0.1)
    given, _ = read_recipe(recipe(labels))
    with pytest.raises(InputError, match="too few"):
        split(data.realization, given)
    path = recipe(labels)
    path.write_text(RECIPE.replace("epochs", "epoch"))
    with pytest.raises(InputError, match="did you mean 'epochs'"):
        read_recipe(path)


def test_the_core_lists_the_commands() -> None:
    """Registered by entry point: the core shows them without importing this package."""
    from importlib.metadata import entry_points

    names = {point.name for point in entry_points(group="spinase.commands")}
    assert {"train", "validate"} <= names
    assert core is not app


ELECTRONS = """
realizations = 16
random = 4
fillings = [0.3, 0.4]
[atoms]
lattice = "square"
size = [4, 4]
[calculator]
style = "ed"
hopping = { style = "shell", amplitudes = [1.0] }
coupling = 2.0
filling = 0.35
kT = 0.5
"""


def test_a_network_learns_electrons(tmp_path: Path) -> None:
    """Fillings are drawn for the labels; the model finds the chemical potential of magnets it has never seen."""
    (tmp_path / "magnet.toml").write_text(ELECTRONS)
    path = label_file(tmp_path / "magnet.toml", options=LabelOptions(tmp_path / "labels.h5"))
    parts, _ = read_labels(path)
    electrons = np.concatenate([part.electrons for part in parts]) / 32
    assert 0.3 < electrons.min() < electrons.max() < 0.4
    assert electrons.std() == pytest.approx(0.1 / np.sqrt(12), rel=0.2)
    text = RECIPE.replace("epochs = 25", "epochs = 20").replace("layers = 1\n", "layers = 1\norders = 2\n", 1)
    (tmp_path / "recipe.toml").write_text(text.replace("cutoff = 1.8", "cutoff = 1.5"))
    found = train_recipe(*read_recipe(tmp_path / "recipe.toml"), tmp_path, tmp_path / "run")
    networks, card = load_model(found)
    potentials = np.concatenate([part.chemical_potentials for part in parts])
    assert card.readout.chemical_potentials[0] < potentials.min() < potentials.max() < card.readout.chemical_potentials[1]
    assert HIPNNCalculator(found).ensemble.readout.filling == 0.35
    rows = np.array_split(potentials, len(parts))
    errors = []
    for part, mu in zip(parts, rows, strict=True):
        for k in range(len(part)):
            calc = HIPNNCalculator((networks, card), filling=part.electrons[k] / 32)
            errors.append(calc.get_property("chemical_potential", part.atoms(k)) - mu[k])
    assert np.std(errors) < 0.4 * np.std(potentials)
    assert card["errors"]["properties"]["energy_per_site"]["rms_error"] < 0.5 * np.ptp(potentials) * 0.1
    part, mu = parts[0], rows[0]
    full = replace(part, electrons=np.array([part.electrons[0], 31.0, *part.electrons[2:]]))  # no known potential gives 31
    usual, odd = (predict((networks, card), one) for one in (part, full))
    calc = HIPNNCalculator((networks, card), chemical_potential=mu[1])
    np.testing.assert_allclose(odd.predicted[1], calc.get_property("torques", part.atoms(1)), atol=1e-6)
    np.testing.assert_array_equal(np.isfinite(odd.predicted_energies), [True, False, True, True])
    np.testing.assert_allclose(np.delete(odd.predicted, 1, 0), np.delete(usual.predicted, 1, 0), atol=1e-6)
    told = [found_errors([one])["properties"]["energy_per_site"]["rms_error"] for one in (usual, odd)]
    gaps = np.delete(usual.predicted_energies - usual.energies, 1) / 16
    assert told[1] == pytest.approx(np.sqrt(np.mean(gaps**2)), rel=1e-6)
    assert told[0] != told[1]


def test_electrons_that_were_not_labelled_are_asked_for(tmp_path: Path, labels: Path) -> None:
    parts, _ = read_labels(labels)
    with pytest.raises(InputError, match="do not tell chemical potentials"):
        prepare(parts, 0.1, electrons=True)
    same = ELECTRONS.replace("fillings = [0.3, 0.4]\n", "").replace("realizations = 16", "realizations = 2")
    (tmp_path / "magnet.toml").write_text(same)
    path = label_file(tmp_path / "magnet.toml", options=LabelOptions(tmp_path / "labels.h5"))
    with pytest.raises(InputError, match="all labels have the same filling"):
        prepare(read_labels(path)[0], 0.1, electrons=True)
    (tmp_path / "wrong.toml").write_text(ELECTRONS.replace("[0.3, 0.4]", "[0.4, 0.3]"))
    with pytest.raises(InputError, match="fillings must be a range"):
        label_file(tmp_path / "wrong.toml")
    (tmp_path / "wrong.toml").write_text(ELECTRONS.replace("filling = 0.35", "chemical_potential = -1.0"))
    with pytest.raises(InputError, match="fillings are drawn for a teacher with a filling"):
        label_file(tmp_path / "wrong.toml")


def test_the_law_of_pairs_is_fitted_before_the_training(tmp_path: Path) -> None:
    """Exchange that depends on the distance is a law of pairs: it leaves next to nothing of fields and forces."""
    text = LABELS.replace("random = 3", "random = 3\nforces = true\ndisplacement = 0.05").replace("sites = 12", "sites = 40")
    text = text.replace("decay = 2.0", "decay = 5.0")  # next to nothing is cut off
    (tmp_path / "magnet.toml").write_text(text.replace("realizations = 14", "realizations = 6"))
    parts, _ = read_labels(label_file(tmp_path / "magnet.toml", options=LabelOptions(tmp_path / "labels.h5")))
    data = prepare(parts, 0.1)
    torch.manual_seed(0)
    network = MagneticHIPNN(NetworkConfig(species=(26,), cutoff=1.8, inner=0.7, width=8, layers=1, channels=(8,), pairs=16))
    seen = np.arange(20)
    assert fit_pairs(network, data, seen, force_weight=1.0) < 0.01
    distances = torch.linspace(0.8, 1.5, 8)
    found = network.pair_law.values(distances, torch.zeros(8, dtype=int), torch.zeros(8, dtype=int)).detach() * data.scale
    exchange = torch.exp(-5.0 * (distances - 1.0))
    assert float(found[:, 0].abs().max()) < 0.05
    assert float((found[:, 1] + exchange).abs().max()) < 0.1 * float(exchange.max())


@pytest.mark.parametrize("cutoff", ["0.55", "0.8"])
def test_a_cutoff_below_the_neighbours_is_refused_before_anything_is_trained(
    labels: Path, tmp_path: Path, cutoff: str
) -> None:
    """The shortest distance here is 0.75: at 0.55 no site has a neighbour, at 0.8 most have none."""
    path = recipe(labels, cutoff=cutoff, inner="0.5")
    with pytest.raises(InputError, match=rf"cutoff = {cutoff} leaves \d+ of \d+ sites of realization 0 without a neighbour"):
        train_recipe(*read_recipe(path), path.parent, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_training_of_nothing_is_told_loudly_and_the_last_line_tells_the_error(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fields of other magnets than those they are filed under cannot be learned."""
    parts, attributes = read_labels(labels)
    rng = np.random.default_rng(1)
    wrong = [replace(part, magnetic_forces=rng.normal(size=part.magnetic_forces.shape)) for part in parts]
    write_labels(tmp_path / "labels.h5", wrong, attributes)
    path = recipe(tmp_path / "labels.h5", epochs="1")
    monkeypatch.chdir(tmp_path)
    with pytest.warns(AccuracyWarning, match="has learned nothing: on unseen magnets R.2 of the torques is -?0.0"):
        result = CliRunner().invoke(app, ["train", str(path), "-o", "run"])
    assert result.exit_code == 0, result.output
    _, card = load_model(tmp_path / "run" / "model.npz")
    last = result.output.strip().splitlines()[-1]
    assert last.endswith(
        f"on unseen magnets R^2 of the torques is {card['errors']['r2']:.4f}, their rms error "
        f"{card['errors']['rms_error']:.3g} of {card['errors']['rms_torque']:.3g}"
    )
