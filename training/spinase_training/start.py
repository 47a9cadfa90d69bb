"""Networks that a training begins with, from a model file."""

from __future__ import annotations

from pathlib import Path

import torch

from spinase.errors import InputError
from spinase.learning.model_file import load_model
from spinase.learning.readout import Readout
from spinase.learning.shipped import find_model
from spinase.learning.trunk import Trunk, TrunkConfig
from spinase_training.recipe import Recipe

_SCALES = {"neighbours"}  # what the first labels tell of a network, and any other value does as well


def recipe_start(recipe: Recipe, home: Path) -> Path | None:
    """Model file that a recipe names, relative to `home`, or one that comes with spinase; None if it names none.

    Raises
    ------
    ModelFileError
        If there is no such model.
    """
    if recipe.start is None:
        return None
    beside = home / recipe.start
    return find_model(beside if beside.exists() else recipe.start)


def start_networks(
    path: Path, config: TrunkConfig, readout: Readout, ensemble: int, scale: float | None = None
) -> tuple[list[Trunk], TrunkConfig]:
    """Networks of a model file and their configuration, which may differ from `config` in its scale of the sums.

    Parameters
    ----------
    path : Path
        Model file.
    config, readout : TrunkConfig, Readout
        What is going to be trained.
    ensemble : int
        How many networks are needed.
    scale : float, optional
        Unit of their energies from now on, energy: fields stay what they are.  Default: weights stay, in the unit of the new
        labels.

    Raises
    ------
    InputError
        If the networks are others than those wanted.
    """
    networks, card = load_model(path)
    other = [*_differences(card.trunk, config), *([] if card.readout == readout else [f"{card.readout}, not {readout}"])]
    if len(networks) < ensemble:
        other.append(f"{len(networks)} networks, not {ensemble}")
    if other:
        raise InputError(
            f"cannot begin with the weights of {path}, which are of other networks than the recipe's: {'; '.join(other)}"
        )
    if scale is not None:
        with torch.no_grad():
            for layer in (layer for network in networks for layer in network.last_layers()):
                layer.weight.mul_(card.energy_scale / scale)
                layer.bias.mul_(card.energy_scale / scale)
    return list(networks), card.trunk


def _differences(found: TrunkConfig, wanted: TrunkConfig) -> list[str]:
    """What two configurations do not have in common, found first."""
    if type(found) is not type(wanted):
        return [f"{type(found).__name__}, not {type(wanted).__name__}"]
    pairs = [(name, getattr(found, name), getattr(wanted, name)) for name in type(found).model_fields if name not in _SCALES]
    return [f"{name} = {_shown(one)}, not {_shown(two)}" for name, one, two in pairs if one != two]


def _shown(value: object) -> str:
    told = str(value)
    return told if len(told) < 60 else f"{told[:57]}..."


__all__ = ["recipe_start", "start_networks"]
