"""Commands of the command line that make files of a run; what they need is imported when they run."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from spinase.errors import InputError

LEVELS = ("debug", "info", "warning", "error")
LogLevel = Annotated[
    str | None,
    typer.Option("--log-level", metavar="LEVEL", help=f"what the log on stderr tells: {', '.join(LEVELS)}"),
]
STOPPED = 3  # exit status of a run that stopped early with a checkpoint
_EVERY = 10.0  # seconds between lines of a verbose run


def listen(level: str | None) -> None:
    """Show what the logger ``spinase`` says from a level on, on standard error; None: as it is.

    Parameters
    ----------
    level : str or None
        One of :data:`LEVELS`.

    Raises
    ------
    InputError
        If it is none of them.
    """
    if level is None:
        return
    if level.lower() not in LEVELS:
        raise InputError(f"--log-level {level!r} is unknown: take one of {', '.join(LEVELS)}")
    logger = logging.getLogger("spinase")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.handlers = [handler]
    logger.setLevel(level.upper())


class _Lines:
    """Progress in lines: one for each stage, and (verbose) one every ten seconds.

    What follows a comma in the name of a stage changes within it.
    """

    def __init__(self, verbose: bool, unit: str) -> None:
        self.verbose, self.unit, self._stage, self._last = verbose, unit, "", 0.0
        self._stream = sys.stderr  # libraries that are quietened redirect it

    def __call__(self, done: int, total: int, stage: str) -> None:
        now = time.monotonic()
        name = stage.partition(",")[0]
        if name != self._stage or done == total or (self.verbose and now > self._last + _EVERY):
            typer.echo(f"{stage}: {done} of {total} {self.unit}", file=self._stream)
            self._stage, self._last = name, now


@contextmanager
def shown_progress(quiet: bool = False, verbose: bool = False, unit: str = "steps") -> Iterator[Any]:
    """A progress bar with rate and remaining time on a terminal; a line for each stage when piped.

    Parameters
    ----------
    quiet : bool
        Neither of them: gives None.
    verbose : bool
        Lines on a terminal, too, and one every ten seconds.
    unit : str
        What is counted.
    """
    if quiet:
        yield None
        return
    if verbose or not sys.stderr.isatty() or logging.getLogger("spinase").isEnabledFor(logging.INFO):
        yield _Lines(verbose, unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task("start", total=None, rate="")

        def report(done: int, total: int, stage: str) -> None:
            """Show steps done, the stage, and the rate."""
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, description=stage, rate=f"{speed:.1f} {unit}/s" if speed else "")

        yield report


def sweep(
    file: Annotated[Path, typer.Argument(help="TOML input file with a table [sweep]", show_default=False)],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="replace an entry of the input")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="folder (default: <input>_sweep)")] = None,
    workers: Annotated[int, typer.Option(min=0, help="processes; 0: this one")] = 0,
    executor: Annotated[
        str | None, typer.Option(metavar="NAME", help="who works: processes (default), mpi, dask, threads")
    ] = None,
) -> None:
    """Make all runs of an input file's [sweep] (seeds, parameters), one table and one figure; started again, it goes on."""
    from spinase.run.sweeps import FIGURE_FILE, SweepOptions, sweep_file
    from spinase.stopping import RunStopped
    from spinase.viz.sweeps import plot_sweep

    try:
        runs, asked, table = sweep_file(file, set_ or (), SweepOptions(output, workers, executor))
    except RunStopped as stop:
        typer.echo(str(stop))
        raise typer.Exit(STOPPED) from None
    typer.echo(f"{len(runs.points)} runs; at most {runs.megabytes.max():.0f} MB a process")
    window = None if asked.window is None else (asked.window[0], asked.window[1])
    figure = plot_sweep(runs, table.with_name(FIGURE_FILE), asked.y, asked.x, window, asked.log)
    for path in (table, figure):
        typer.echo(f"wrote {path}")


def view(
    file: Annotated[
        Path, typer.Argument(help="run file (run.h5), its folder, or a trajectory (.traj, .xyz)", show_default=False)
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="page (default: page.html beside the run)")] = None,
) -> None:
    """Write a run (finished, running or killed) as one HTML page without network: spins in 3-D, slider, time series."""
    from spinase.viz.page import run_page

    typer.echo(f"wrote {run_page(file, output or (file if file.is_dir() else file.parent) / 'page.html')}")


def movie(
    file: Annotated[
        Path, typer.Argument(help="run file (run.h5), its folder, or a trajectory (.traj, .xyz)", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="film.mp4 or film.gif")],
    panel: Annotated[
        list[str] | None, typer.Option(help="spins, scene (3-D), energy, or OBSERVER:QUANTITY; several side by side")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="every so many frames of the run")] = 1,
    rate: Annotated[float, typer.Option(help="frames a second")] = 12.0,
) -> None:
    """Film a run (finished, running or killed): spin maps, 3-D scenes, time series with a mark that follows."""
    from spinase.viz.movie import run_movie

    with shown_progress(unit="frames") as progress:
        path = run_movie(file, output, panel or ("spins",), every, rate, progress)
    typer.echo(f"wrote {path}")


def export(
    file: Annotated[
        Path, typer.Argument(help="run file (run.h5), its folder, or a trajectory (.traj, .xyz)", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="file (vampire: folder)")],
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="STYLE", help="extxyz, traj, lammps-dump, ovf, vtk, uppasd, vampire, ...; default: by the suffix"
        ),
    ] = None,
    frame: Annotated[int | None, typer.Option(help="one frame only (-1: the last)")] = None,
    every: Annotated[int | None, typer.Option(min=1, help="every so many frames")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="options; see `spinase styles exports STYLE`"),
    ] = None,
) -> None:
    """Write frames of a run (finished, running or killed) for another program; many files where one holds one frame."""
    from spinase.io import read_run
    from spinase.run.config import table_of
    from spinase.run.export import export_run, style_by_suffix

    if frame is not None and every is not None:
        raise InputError("give --frame or --every, not both")
    run_ = read_run(file)
    frames = [frame] if frame is not None else list(range(0, len(run_), every)) if every is not None else None
    for path in export_run(run_, output, to or style_by_suffix(output), frames, table_of(set_ or ())):
        typer.echo(f"wrote {path}")
