"""A recipe of spin symmetry functions for disordered positions: its network learns exchange that falls with distance."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from spinase_training.data import prepare, trunk_config
from spinase_training.labels import LabelOptions, label_file
from spinase_training.recipe import check_recipe

from spinase.io import read_labels
from spinase.learning.hippynn.adapter import PaddedMagnet
from spinase.learning.symmetry_functions.network import SymmetryFunctionsConfig, SymmetryFunctionsNetwork

pytestmark = pytest.mark.filterwarnings("ignore")

LABELS = """
units = "reduced"
realizations = 2
random = 1
[atoms]
disordered = { sites = 12, density = 1.0, min_distance = 0.75 }
[calculator]
style = "heisenberg"
law = { amplitude = 0.3, decay = 1.0, reference = 1.0, cutoff = 1.6 }
"""
RECIPE = {
    "name": "exchange",
    "labels": "labels.h5",
    "epochs": 25,
    "batch": 4,
    "network": {
        "style": "spin-symmetry-functions",
        "cutoff": 1.7,
        "inner": 0.7,
        "radial": 4,
        "angular_radial": 1,
        "exponents": [1],
        "hidden": [8],
    },
}


def test_a_recipe_of_symmetry_functions_learns(tmp_path: Path) -> None:
    (tmp_path / "labels.toml").write_text(LABELS)
    parts, _ = read_labels(label_file(tmp_path / "labels.toml", options=LabelOptions(tmp_path / "labels.h5")))
    recipe = check_recipe(RECIPE, "recipe.toml")
    data = prepare(parts, recipe.floor)
    config = trunk_config(recipe, parts, data.species, 1)
    assert isinstance(config, SymmetryFunctionsConfig)
    assert (config.cutoff, config.radial, config.hidden) == (1.7, 4, (8,))
    torch.manual_seed(1)
    network = recipe.trunk.from_config(config)
    assert isinstance(network, SymmetryFunctionsNetwork)
    magnet, arrays = PaddedMagnet(network), {name: torch.as_tensor(values) for name, values in data.arrays.items()}
    optimizer = torch.optim.Adam(magnet.parameters(), lr=0.05)
    for _ in range(25):
        found = magnet(*(arrays[name] for name in ("species", "positions", "cells", "spins")))[1]
        error = ((found * arrays["weights"][..., None] - arrays["scaled_field"]) ** 2).mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    assert float(error) < 0.15 * float((arrays["scaled_field"] ** 2).mean())
