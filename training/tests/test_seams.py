"""Training goes through the seams: a trunk of a script beside the recipe is trained, validated and run by its path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from spinase_training.labels import LabelOptions, label_file
from spinase_training.recipe import read_recipe
from spinase_training.train import train_recipe
from spinase_training.validation import predict

from spinase.calculators import HIPNNCalculator
from spinase.errors import InputError, ModelFileError
from spinase.io import read_labels
from spinase.learning.model_file import load_model
from spinase.testing import check_trunk

pytestmark = pytest.mark.filterwarnings("ignore")
SCRIPT = '''
import torch
from spinase.learning.trunk import Trunk, TrunkConfig, TrunkSize
from torch import nn


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
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("seams")
    (place / "exchange_of_mine.py").write_text(SCRIPT)
    (place / "magnet.toml").write_text(LABELS)
    (place / "recipe.toml").write_text(RECIPE)
    label_file(place / "magnet.toml", options=LabelOptions(place / "labels.h5"))
    return place


def test_a_trunk_of_a_script_is_trained_by_its_path(folder: Path) -> None:
    """Heisenberg exchange is what it can say; nothing of spinase was changed for it."""
    path = train_recipe(*read_recipe(folder / "recipe.toml"), folder, folder / "run")
    (network,), card = load_model(path)
    assert type(network).__name__ == "Exchange"
    assert card.trunk.model_dump() == {"cutoff": 1.9, "species": (26,), "parts": 1, "functions": 3}
    assert card["errors"]["r2"] > 0.95
    (labels, *_), _ = read_labels(folder / "labels.h5")
    atoms = labels.atoms(0)
    check_trunk(network, atoms)
    fields = predict(path, labels).predicted_fields[0]
    assert fields.shape == (10, 3)
    calc = HIPNNCalculator(path, outside_domain="ignore")  # as style = "hipnn" of an input file
    assert torch.isfinite(torch.tensor(calc.get_property("torques", atoms))).all()
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
