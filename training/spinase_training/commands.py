"""The commands ``spinase train`` and ``spinase validate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from spinase.io.labels import read_labels
from spinase_training.recipe import read_recipe
from spinase_training.train import train_recipe
from spinase_training.validation import errors, predict

RecipePath = Annotated[Path, typer.Argument(help="TOML recipe", show_default=False)]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="replace an entry of the recipe")]


def train(
    file: RecipePath,
    set_: Overrides = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="directory (default: <recipe>_training)")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="go on from the checkpoints")] = False,
) -> None:
    """Train a learned magnet: labels to one model file, with log, curves and parity plots."""
    recipe, text = read_recipe(file, tuple(set_ or ()))
    folder = output or Path.cwd() / f"{file.stem}_training"
    typer.echo(f"training into {folder}; follow {folder / 'log.txt'}")
    path = train_recipe(recipe, text, file.resolve().parent, folder, restart)
    typer.echo(f"wrote {path}")


def validate(
    model: Annotated[Path, typer.Argument(help="model file")],
    labels: Annotated[Path, typer.Argument(help="label file (HDF5)")],
) -> None:
    """Errors of a model on labelled configurations, along their trajectories."""
    parts, _ = read_labels(labels)
    typer.echo(json.dumps(errors([predict(model, part) for part in parts]), indent=1))
