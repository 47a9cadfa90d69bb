"""A network on a lattice goes through the same commands as any: labels, training, validation, and a magnet that uses it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from spinase_training.labels import LabelOptions, label_file
from spinase_training.recipe import read_recipe
from spinase_training.train import train_recipe
from spinase_training.validation import predict

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator, LatticeCalculator
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
epochs = 40
batch = 2
learning_rate = 0.01
validation = 0.15
test = 0.15
[network]
style = "spinase.learning.lattice.network:LatticeNetwork"
cutoff = 1.9
pair_length = 1.1
pair_range = 1.1
channels = 2
bispectrum = 0
hidden = [8]
"""


def test_exchange_of_a_lattice_is_learned(tmp_path: Path) -> None:
    (tmp_path / "labels.toml").write_text(LABELS)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    label_file(tmp_path / "labels.toml", options=LabelOptions(tmp_path / "labels.h5"))
    recipe, text = read_recipe(tmp_path / "recipe.toml")
    path = train_recipe(recipe, text, tmp_path, tmp_path / "run")
    networks, card = load_model(path)
    assert card["errors"]["r2"] > 0.99
    labels, _ = read_labels(tmp_path / "labels.h5")
    predict((networks, card), labels[0])
    larger = SpinAtoms.lattice("triangular", (6, 5), rng=2, units="reduced")  # a box it has not seen
    fields = [calc.get_property("torques", larger) for calc in (LatticeCalculator(path), HeisenbergCalculator([0.3, -0.1]))]
    assert np.sum((fields[0] - fields[1]) ** 2) < 0.02 * np.sum(fields[1] ** 2)
