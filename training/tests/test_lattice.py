"""A network on a lattice goes through the same commands as any: labels, training, restart, validation, error bars."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hippynn.experiment.metric_tracker import MetricTracker
from spinase_training import train as module
from spinase_training.labels import LabelOptions, label_file
from spinase_training.recipe import read_recipe
from spinase_training.report import validate_model
from spinase_training.train import train_recipe
from spinase_training.uncertainty import calibrate_file
from spinase_training.validation import errors, predict

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator, LatticeCalculator
from spinase.errors import ModelFileError
from spinase.io import read_labels
from spinase.learning.model_file import load_model

pytestmark = pytest.mark.filterwarnings("ignore")

LABELS = """
units = "reduced"
realizations = 8
random = 4
[atoms]
lattice = "triangular"
size = [4, 4]
[calculator]
style = "heisenberg"
shells = [0.3, -0.1]
"""
RECIPE = """
name = "exchange"
labels = "labels.h5"
seed = 3
epochs = 20
batch = 2
learning_rate = 0.02
validation = 0.15
test = 0.15
ensemble = 2
[network]
style = "lattice"
cutoff = 1.9
pair_length = 1.1
pair_range = 1.1
channels = 2
bispectrum = 0
hidden = [8]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A training of two networks, without figures, which cost more here than everything else."""
    place = tmp_path_factory.mktemp("lattice")
    (place / "labels.toml").write_text(LABELS)
    (place / "recipe.toml").write_text(RECIPE)
    label_file(place / "labels.toml", options=LabelOptions(place / "labels.h5"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MetricTracker, "plot_over_time", lambda *words, **options: None)
        for name in ("curves", "parity"):
            patch.setattr(module, name, lambda *words: None)
        train_recipe(*read_recipe(place / "recipe.toml"), place, place / "run")
        yield place


def test_exchange_of_a_lattice_is_learned(folder: Path) -> None:
    networks, card = load_model(folder / "run/model.npz")
    assert len(networks) == 2
    assert card["errors"]["r2"] > 0.98
    larger = SpinAtoms.lattice("triangular", (6, 5), rng=2, units="reduced")  # a box it has not seen
    calcs = LatticeCalculator(folder / "run/model.npz"), HeisenbergCalculator([0.3, -0.1])
    fields = [calc.get_property("torques", larger) for calc in calcs]
    assert np.sum((fields[0] - fields[1]) ** 2) < 0.02 * np.sum(fields[1] ** 2)


def test_a_cut_training_ends_with_the_same_weights(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, text = read_recipe(folder / "recipe.toml", ("epochs=3", "ensemble=1"))
    whole = train_recipe(recipe, text, folder, tmp_path / "whole")
    original = module._Keeper.__call__

    def cut(self: module._Keeper, epoch: int, better: bool) -> None:
        original(self, epoch, better)
        if epoch == 1:
            raise RuntimeError("killed")

    monkeypatch.setattr(module._Keeper, "__call__", cut)
    with pytest.raises(RuntimeError, match="killed"):
        train_recipe(recipe, text, folder, tmp_path / "cut")
    monkeypatch.setattr(module._Keeper, "__call__", original)
    resumed = train_recipe(recipe, text, folder, tmp_path / "cut", restart=True)
    one, two = (load_model(path)[0][0].state_dict() for path in (whole, resumed))
    assert all(torch.equal(weights, two[name]) for name, weights in one.items())


def test_it_is_validated_and_has_error_bars(folder: Path, tmp_path: Path) -> None:
    """On labels of its own it is as good as its card says, and 0.8 of the true errors in a larger box are below its bars."""
    (folder / "other.toml").write_text(f"seed = 9\n{LABELS}")
    other = label_file(folder / "other.toml", options=LabelOptions(folder / "other.h5"))
    model = folder / "run/model.npz"
    parts, attributes = read_labels(other)
    assert errors([predict(model, part) for part in parts])["r2"] > 0.98
    calibrate_file(model, parts, attributes["hash"], tmp_path / "bars.npz")
    atoms = SpinAtoms.lattice("triangular", (5, 4), rng=3, units="reduced")
    calcs = LatticeCalculator(tmp_path / "bars.npz"), HeisenbergCalculator([0.3, -0.1])
    torques = [calc.get_property("torques", atoms) for calc in calcs]
    covered = np.mean(np.linalg.norm(torques[0] - torques[1], axis=1) < calcs[0].error_bars(atoms, coverage=0.8))
    assert 0.5 < covered <= 1.0


def test_names_of_models_that_come_with_spinase_are_asked_for_like_files(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="did you mean 'triangular-120'"):
        validate_model(Path("triangular-12"), folder / "labels.h5", tmp_path, None)
