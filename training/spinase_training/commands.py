"""The commands ``spinase label``, ``spinase train``, ``spinase validate``, ``spinase calibrate`` and ``spinase learn``.

What is imported inside a command is hippynn, whose import takes several times as long as all the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinase.cli_files import STOPPED, shown_progress
from spinase.io.labels import read_labels
from spinase.learning.model_file import load_model
from spinase.run import RunStopped
from spinase_training.labels import LabelOptions, box_report, label_file
from spinase_training.recipe import read_recipe
from spinase_training.report import FIGURE, REPORT, Course, table, validate_model
from spinase_training.uncertainty import calibrate_file

RecipePath = Annotated[Path, typer.Argument(help="TOML recipe", show_default=False)]
ExecutorName = Annotated[
    str | None, typer.Option("--executor", metavar="NAME", help="who works: processes (default), mpi, dask, threads")
]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="replace an entry of the input")]


def label(
    file: Annotated[Path, typer.Argument(help="TOML input file", show_default=False)],
    set_: Overrides = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="HDF5 file (default: <input>_labels.h5)")] = None,
    workers: Annotated[int, typer.Option(min=0, help="processes; 0: this one")] = 0,
    executor: ExecutorName = None,
    check_box: Annotated[bool, typer.Option("--check-box", help="only tell how far the box falsifies the fields")] = False,
) -> None:
    """Label configurations with a calculator, for training; a killed labelling goes on when it is started again."""
    if check_box:
        typer.echo(box_report(file, set_ or ()))
        return
    with shown_progress(unit="realizations") as progress:
        try:
            path = label_file(file, set_ or (), LabelOptions(output, workers), executor, progress)
        except RunStopped as stop:
            typer.echo(str(stop))
            raise typer.Exit(STOPPED) from None
    typer.echo(f"wrote {path}")


def train(
    file: RecipePath,
    set_: Overrides = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="directory (default: <recipe>_training)")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="go on from the checkpoints")] = False,
) -> None:
    """Train a learned magnet: labels to one model file, with log, curves and parity plots."""
    from spinase_training.train import error_line, train_recipe

    recipe, text = read_recipe(file, tuple(set_ or ()))
    folder = (output or Path(f"{file.stem}_training")).resolve()  # the trainer changes the directory
    typer.echo(f"training into {folder} (every epoch in its log.txt)")
    with shown_progress(unit="epochs") as progress:
        try:
            path = train_recipe(recipe, text, file.resolve().parent, folder, restart, progress=progress)
        except RunStopped as stop:
            typer.echo(str(stop))
            raise typer.Exit(STOPPED) from None
    typer.echo(f"wrote {path}: {error_line(load_model(path)[1])}")


def validate(
    model: Annotated[Path, typer.Argument(help="model file, or name of one that comes with spinase", show_default=False)],
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


def calibrate(
    model: Annotated[Path, typer.Argument(help="model file")],
    labels: Annotated[Path, typer.Argument(help="label file (HDF5) the model was not trained on")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="model file to write (default: the same)")] = None,
) -> None:
    """Give a model file calibrated error bars from labels it was not trained on."""
    parts, attributes = read_labels(labels)
    target = output or model
    made = calibrate_file(model, parts, attributes.get("hash", ""), target)
    typer.echo(f"{target}: error bars from {made.realizations} realizations, coverages up to {made.highest_coverage:.3f}")


def learn(
    file: Annotated[Path, typer.Argument(help="TOML input", show_default=False)],
    set_: Overrides = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="directory (default: <input>_learning)")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="go on with what is in the directory")] = False,
    workers: Annotated[int, typer.Option(min=0, help="processes that run and label; 0: this one")] = 0,
    executor: ExecutorName = None,
) -> None:
    """Active learning: run until the error bars are too large, label there, train again, and so on."""
    from spinase_training.learn import LOG, LearnOptions, learn_file

    try:
        path = learn_file(file, tuple(set_ or ()), LearnOptions(output, restart, workers, executor), typer.echo)
    except RunStopped as stop:
        typer.echo(f"{stop.args[0].split(';')[0]}; go on with spinase learn --restart")
        raise typer.Exit(STOPPED) from None
    typer.echo((path.parent / LOG).read_text(encoding="utf-8") + f"wrote {path}")
