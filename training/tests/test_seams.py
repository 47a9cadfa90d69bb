"""Training goes through the seams: a trunk and a readout beside the recipe are trained, validated and run by their paths."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from spinase_training.labels import LabelOptions, label_file
from spinase_training.recipe import read_recipe
from spinase_training.train import train_recipe
from spinase_training.validation import predict

from spinase.atoms import geometry_of
from spinase.calculators import HIPNNCalculator
from spinase.errors import InputError, ModelFileError
from spinase.io import read_labels
from spinase.learning.model_file import load_model
from spinase.learning.pairs import pairs_of
from spinase.testing import check_trunk

pytestmark = pytest.mark.filterwarnings("ignore")
SCRIPT = '''
from dataclasses import dataclass

import numpy as np
import torch
from spinase.learning.readout import Readout, ReadoutConfig
from spinase.learning.trunk import Trunk, TrunkConfig, TrunkSize
from torch import nn


class Share(ReadoutConfig):
    share: float


@dataclass(frozen=True)
class Mixture(Readout):
    """E = sum_i (1 - x) e_i0 + x e_i1: an alloy between two magnets, x the share of the second."""

    Config = Share
    share: float = 0.5
    parts = 2

    def constant_weights(self, parts):
        return np.array([[1.0 - self.share, self.share]])


class Size(TrunkSize):
    functions: int = 4


class Config(Size, TrunkConfig):
    pass


class Exchange(Trunk):
    """e_i = sum_v b_v sum_j w_v(r) s_i.s_j + c, w_v = (1 - r^2/c^2)^3 r^v."""

    Config = Config
    Size = Size

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.law = nn.Linear(config.functions, config.parts)

    def prepare(self, pairs, species):
        r = pairs.vectors.norm(dim=1)[:, None]
        return pairs.rows, (1 - (r / self.config.cutoff) ** 2) ** 3 * r ** torch.arange(self.config.functions)

    def forward(self, prepared, spins):
        rows, weights = prepared
        sent = weights[:, :, None] * spins[rows.second][:, None]
        around = weights.new_zeros((len(spins), weights.shape[1], 3)).index_add(0, rows.first, sent)
        return self.law((around * spins[:, None]).sum(2))
'''
LABELS = """
realizations = 8
random = 3
[atoms]
disordered = { sites = 10 }
[calculator]
style = "heisenberg"
law = { amplitude = 1.0, decay = 2.0, reference = 1.0, cutoff = 1.8 }
"""
RECIPE = """
name = "exchange"
labels = "labels.h5"
seed = 3
epochs = 40
batch = 4
learning_rate = 0.05
validation = 0.15
test = 0.15
[network]
style = "exchange_of_mine:Exchange"
cutoff = 1.9
functions = 3
[readout]
style = "exchange_of_mine:Mixture"
share = 0.25
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("seams")
    (place / "exchange_of_mine.py").write_text(SCRIPT)
    (place / "magnet.toml").write_text(LABELS)
    (place / "recipe.toml").write_text(RECIPE)
    label_file(place / "magnet.toml", options=LabelOptions(place / "labels.h5"))
    return place


def test_a_trunk_and_a_readout_of_a_script_are_trained_by_their_paths(folder: Path) -> None:
    """Heisenberg exchange is what they can say; nothing of spinase was changed for them."""
    path = train_recipe(*read_recipe(folder / "recipe.toml"), folder, folder / "run")
    (network,), card = load_model(path)
    assert type(network).__name__ == "Exchange"
    assert card.trunk.model_dump() == {"cutoff": 1.9, "species": (26,), "parts": 2, "functions": 3}
    assert (type(card.readout).__name__, card.readout.table()) == ("Mixture", {"share": 0.25})
    assert card["errors"]["r2"] > 0.95
    (labels, *_), _ = read_labels(folder / "labels.h5")
    atoms = labels.atoms(0)
    check_trunk(network, atoms)
    fields = predict(path, labels).predicted_fields[0]
    assert fields.shape == (10, 3)
    calc = HIPNNCalculator(path, outside_domain="ignore")  # as style = "hipnn" of an input file
    around = network.prepare(pairs_of(geometry_of(atoms), 1.9), torch.zeros(10, dtype=torch.long))
    first, second = network(around, torch.tensor(atoms.spins, dtype=torch.float32)).detach().numpy().sum(0)
    assert abs(second - first) > 0.1 * abs(first)  # another share is another energy
    energy = card.energy_scale * (0.75 * first + 0.25 * second) + 10 * card.energy_shift
    assert calc.get_property("energy", atoms) == pytest.approx(energy, rel=1e-4)
    del sys.modules["exchange_of_mine"]
    with pytest.raises(ModelFileError, match="module that is not imported, and model files import none: import exchange_of"):
        load_model(path)


def test_recipes_are_held_against_their_trunk(folder: Path) -> None:
    with pytest.raises(InputError, match=r"unknown key 'width' in .*network; known keys: style, orders, cutoff, functions"):
        read_recipe(folder / "recipe.toml", ("network.width=3",))
    with pytest.raises(InputError, match="key 'cutoff' is missing in .*network"):
        read_recipe(folder / "recipe.toml", ("network={style = 'exchange_of_mine:Exchange'}",))
    with pytest.raises(InputError, match="orders make networks learn grand potentials, so leave"):
        read_recipe(folder / "recipe.toml", ("network.orders=2", "readout.style='spinase.learning.readout:EnergyReadout'"))
    with pytest.raises(InputError, match="orders"):
        read_recipe(folder / "recipe.toml", ("network.orders=99",))
