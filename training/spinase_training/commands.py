"""The commands ``spinase train`` and ``spinase validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinase_training.recipe import read_recipe
from spinase_training.report import FIGURE, REPORT, Course, table, validate_model
from spinase_training.train import train_recipe

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
    folder = (output or Path(f"{file.stem}_training")).resolve()  # the trainer changes the directory
    typer.echo(f"training into {folder}; follow {folder / 'log.txt'}")
    path = train_recipe(recipe, text, file.resolve().parent, folder, restart)
    typer.echo(f"wrote {path}")


def validate(
    model: Annotated[Path, typer.Argument(help="model file", show_default=False)],
    labels: Annotated[Path, typer.Argument(help="label file (HDF5)", show_default=False)],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="directory (default: <model>_validation)")] = None,
    dynamics: Annotated[bool, typer.Option("--dynamics/--no-dynamics", help="short dynamics next to the teacher")] = True,
    time: Annotated[
        float | None, typer.Option(min=0, help="their length [hbar/t or ASE time]; default 10 or 100 fs")
    ] = None,
    timestep: Annotated[float | None, typer.Option(min=0, help="time step [time]; default 0.1 or 1 fs")] = None,
    damping: Annotated[float, typer.Option(min=0, help="Gilbert damping")] = 0.1,
    runs: Annotated[int, typer.Option(min=1, help="realizations they start from")] = 3,
    samples: Annotated[int, typer.Option(min=1, help="times that are compared")] = 10,
    realizations: Annotated[int | None, typer.Option(min=1, help="use so many of the file's; default: all")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Errors of a model by property, its symmetry defects, short dynamics next to its teacher; table, JSON and figure."""
    folder = output or Path.cwd() / f"{model.stem}_validation"
    course = Course(timestep, time, damping, runs, samples) if dynamics else None
    told = validate_model(model, labels, folder, course, realizations)
    if as_json:
        typer.echo((folder / REPORT).read_text(encoding="utf-8"))
        return
    typer.echo(table(told))
    typer.echo(f"wrote {folder / REPORT} and {folder / FIGURE}")
