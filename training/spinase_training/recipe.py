"""Recipes: what to train on, which network, how long."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from spinase.errors import InputError
from spinase.learning.grand_potential import GrandPotentialReadout
from spinase.learning.mhipnn.network import MagneticHIPNN
from spinase.learning.readout import EnergyReadout, Readout
from spinase.learning.trunk import Trunk
from spinase.learning.two_potentials import TwoPotentialsReadout
from spinase.options import validated
from spinase.run.config import read_table
from spinase.styles import load_style, make_importable


class _Ours(BaseModel):
    """Keys of [network] that are no size of a trunk."""

    style: str | None = Field(None, description="kind of network, of the styles `models`; default: mhipnn")
    orders: int = Field(0, ge=0, le=12, description="degree of energies as polynomials of the chemical potential; 0: none")


class Recipe(BaseModel):
    """A recipe of ``spinase train``."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="name of the model")
    made_by: str = Field("", description="commands that make it again, for its card")
    labels: str | list[str] = Field(
        min_length=1, description="label file (HDF5), or files of one teacher, relative to the recipe"
    )
    seed: int = Field(0, ge=0, description="seed of weights, splits and batches")
    network: dict[str, Any] = Field(
        description="size of the networks, their style (default: mhipnn), and orders: the degree of energies as polynomials "
        "of the chemical potential (default 0: none)"
    )
    readout: dict[str, Any] = Field(
        default_factory=dict, description="what their parts mean: its style (default: energy) and options of that"
    )
    start: str | None = Field(
        None,
        description="model file, relative to the recipe, or name of a model that comes with spinase: the networks begin "
        "with its weights. Its networks must be those of the recipe",
    )
    epochs: int = Field(ge=1, le=10**7, description="passes over the training data")
    batch: int = Field(16, ge=1, le=10**7, description="configurations in a batch")
    learning_rate: float = Field(3e-3, gt=0, description="largest learning rate; it falls to zero as a cosine")
    warmup: int = Field(1, ge=0, le=10**7, description="epochs in which the learning rate rises from a tenth")
    floor: float = Field(0.2, gt=0, description="least mean-square field in the weights, in units of its mean over the data")
    energy_weight: float = Field(0.0, ge=0, description="weight of the relative error of energies against that of fields")
    electron_weight: float = Field(
        0.1, ge=0, description="weight of the relative error of electron numbers, for networks with orders > 0"
    )
    force_weight: float = Field(0.0, ge=0, description="weight of the relative error of forces against that of fields")
    collective_weight: float | None = Field(
        None,
        ge=0,
        description="driven magnets: fit the last layer after the training by least squares, with this weight of the "
        "relative errors of the summed torque and of the push along the axis; default: no fit",
    )
    compiled: bool = Field(True, description="compiled passes where there are some (CPU); false: plain torch")
    validation: float = Field(0.1, gt=0, lt=0.5, description="part of the realizations to validate on")
    test: float = Field(0.1, gt=0, lt=0.5, description="part of the realizations never seen in training")
    ensemble: int = Field(1, ge=1, le=1000, description="networks, from different weights and batches")

    @property
    def trunk(self) -> type[Trunk]:
        """Class of the networks."""
        style = self.network.get("style")
        return MagneticHIPNN if style is None else load_style("models", style)

    @property
    def files(self) -> list[str]:
        """Label files."""
        return [self.labels] if isinstance(self.labels, str) else self.labels

    @property
    def size(self) -> dict[str, Any]:
        """What the recipe says of their size."""
        return {name: value for name, value in self.network.items() if name not in _Ours.model_fields}

    @property
    def orders(self) -> int:
        """Degree of energies as polynomials of the chemical potential; 0: they know no electrons."""
        return int(self.network.get("orders", 0))

    def meaning(self, window: tuple[float, float] | None, biases: tuple[float, float] | None = None) -> tuple[Readout, int]:
        """Readout, and how many parts it needs; `window`, `biases`: chemical potentials and biases of the labels, energy."""
        if window is not None:
            return GrandPotentialReadout(window), self.orders + 1
        style = self.readout.get("style")
        kind: type[Readout] = EnergyReadout if style is None else load_style("readouts", style)
        options = {name: value for name, value in self.readout.items() if name != "style"}
        if biases is not None and biases[0] < biases[1] and issubclass(kind, TwoPotentialsReadout):
            options = {"window": biases, **options}
        readout = kind.from_config(validated(kind.Config, options, "[readout]"))
        return readout, readout.parts


def check_recipe(table: Mapping[str, Any], where: str) -> Recipe:
    """A recipe whose networks' table fits their style; `where` goes into messages.

    Raises
    ------
    InputError
    """
    recipe: Recipe = validated(Recipe, table, where)
    ours = {name: value for name, value in recipe.network.items() if name in _Ours.model_fields}
    validated(_Ours, ours, f"{where} network")
    validated(recipe.trunk.Size, recipe.size, f"{where} network", also=_Ours.model_fields)
    if recipe.orders and recipe.readout:
        raise InputError(f"{where}: orders make networks learn grand potentials, so leave [readout] out")
    recipe.meaning((0.0, 1.0) if recipe.orders else None)
    return recipe


def read_recipe(path: Path, overrides: tuple[str, ...] = ()) -> tuple[Recipe, str]:
    """Read and check a recipe; also the text that reproduces it.

    Raises
    ------
    InputError
    """
    table, text = read_table(path, overrides)
    if ":" in text:  # perhaps a dotted path, of a script beside the recipe
        make_importable(path.resolve().parent)
    return check_recipe(table, str(path)), text
