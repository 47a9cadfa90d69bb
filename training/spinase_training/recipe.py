"""Recipes: what to train on, which network, how long."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from spinase.learning.mhipnn.network import NetworkSize
from spinase.run.config import read_table
from spinase.styles import validated


class Recipe(BaseModel):
    """A recipe of ``spinase train``."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="name of the model")
    made_by: str = Field("", description="commands that make it again, for its card")
    labels: str = Field(description="label file (HDF5), relative to the recipe")
    seed: int = Field(0, ge=0, description="seed of weights, splits and batches")
    network: NetworkSize
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
    compiled: bool = Field(True, description="compiled passes where there are some (CPU); false: plain torch")
    validation: float = Field(0.1, gt=0, lt=0.5, description="part of the realizations to validate on")
    test: float = Field(0.1, gt=0, lt=0.5, description="part of the realizations never seen in training")
    ensemble: int = Field(1, ge=1, le=1000, description="networks, from different weights and batches")


def read_recipe(path: Path, overrides: tuple[str, ...] = ()) -> tuple[Recipe, str]:
    """Read and check a recipe; also the text that reproduces it.

    Raises
    ------
    InputError
    """
    table, text = read_table(path, overrides)
    recipe: Recipe = validated(Recipe, table, str(path))
    return recipe, text
