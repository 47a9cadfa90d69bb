"""Many runs of one input file: its table ``[sweep]``, points, and what the runs observed.

Every run is a folder of its own, exactly what ``spinase run`` makes, with checkpoints; a killed sweep goes on where each of
its runs was cut.
"""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from spinase.errors import InputError
from spinase.files import held, refuse_foreign_folder, table_digest, write_mark
from spinase.io.run_file import Series, changes, read_run
from spinase.io.stored import CONDITIONS
from spinase.io.swept import SweptRuns, write_table
from spinase.run.config import RunInput, SweepTable, as_toml, named_files, read_input
from spinase.run.execute import RunOptions, run_file
from spinase.run.output import RUN_FILE
from spinase.sweep import Sweep, collected, forget_errors, grid, measure
from spinase.typing import FloatArray
from spinase.units import unit_system
from spinase.workers import Job, Workers

TABLE_FILE, FIGURE_FILE = "sweep.csv", "sweep.png"
_KIND = "sweep of runs"
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class SweepOptions:
    """How to make the runs of a sweep.

    Attributes
    ----------
    output : Path or None
        Folder of the sweep; default: ``<input stem>_sweep`` in the current directory.
    workers, executor
        As of :class:`~spinase.workers.Workers`: 0 workers make one run after the other in this process.
    """

    output: Path | None = None
    workers: int = 0
    executor: str | None = None


@dataclass(frozen=True)
class _Point:
    """A run of the sweep: its values, the entries that make it of the input, and the digest of what it is."""

    values: Mapping[str, Any]
    entries: list[str]
    digest: str

    @property
    def name(self) -> str:
        """Of its folder."""
        told = "_".join(f"{key.rpartition('.')[2]}-{value}" for key, value in self.values.items())
        return f"{re.sub(r'[^A-Za-z0-9.+-]+', '_', told)[:80]}_{self.digest[:8]}"


def sweep_file(
    path: str | Path,
    overrides: Sequence[str] = (),
    options: SweepOptions | None = None,
    progress: Report | None = None,
) -> tuple[SweptRuns, SweepTable, Path]:
    """Make all runs that the ``[sweep]`` of an input file names, and their table; runs that are finished are kept.

    Parameters
    ----------
    path : path
        TOML input file of ``spinase run`` with a table ``[sweep]``.
    overrides : sequence of str
        ``key=value`` replacements, for all runs.
    options : SweepOptions, optional
        Where, and by whom.
    progress : callable, optional
        Called with the numbers of finished and of all runs; default: a line on standard error.

    Returns
    -------
    runs, sweep, table : SweptRuns, SweepTable, Path
        What was observed, the table of the input, and the file of the table.

    Raises
    ------
    InputError
        On a bad input file (any of the points), a file without ``[sweep]``, or a folder of something else.
    SweepError
        If runs failed, when all others are finished and kept.
    RunStopped
        If SIGINT, SIGTERM or SIGHUP ends it: every run has a checkpoint, the same call goes on.
    """
    asked, source = options or SweepOptions(), Path(path).resolve()
    config, _ = read_input(source, overrides)
    if config.sweep is None:
        raise InputError(f"{path} has no table [sweep]: give it one, e.g. points = {{ seed = [1, 2, 3] }}")
    points = _points(source, overrides, config.sweep)
    place = asked.output or Path.cwd() / f"{source.stem}_sweep"
    refuse_foreign_folder(place, _KIND, (TABLE_FILE, FIGURE_FILE))
    place.mkdir(parents=True, exist_ok=True)
    with held(place, f"the sweep in {place}"):
        write_mark(place, kind=_KIND)
        done = _made(source, points, place, asked, partial(_show, str(place)) if progress is None else progress)
        done.require_whole()
        runs = _read(points, place, done)
        window = config.sweep.window
        table = write_table(place / TABLE_FILE, runs, config.sweep.y, None if window is None else (window[0], window[1]))
    return runs, config.sweep, table


def make_run(source: str, entries: Sequence[str], folder: str) -> dict[str, FloatArray]:
    """What a worker does: a run of the input `source` into `folder`, from its checkpoint if it was begun.

    Parameters
    ----------
    source : str
        Input file.
    entries : sequence of str
        ``key=value`` replacements.
    folder : str
        Of the run.

    Returns
    -------
    dict
        ``seconds`` (wall time of this call) and ``megabytes`` (highest memory of this process so far).
    """
    begun, target = time.monotonic(), Path(folder)
    run_file(source, entries, RunOptions(target, restart=(target / RUN_FILE).exists()))
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"seconds": np.array(time.monotonic() - begun), "megabytes": np.array(highest)}


def _points(source: Path, overrides: Sequence[str], sweep: SweepTable) -> list[_Point]:
    """Every combination of values, each checked as an input file of its own."""
    found: list[_Point] = []
    for values in grid(**sweep.points):
        entries = [*overrides, *(f"{key}={as_toml(value)}" for key, value in values.items())]
        try:
            config, _ = read_input(source, entries)
        except InputError as error:
            raise InputError(f"the point {values} of [sweep]: {error}") from None
        found.append(_Point(values, entries, _digest(config, source.parent)))
    repeated = len(found) - len({point.digest for point in found})
    if repeated:
        raise InputError(
            f"{repeated} points of [sweep] are the same run as another one: give them different values or a seed"
        )
    return found


def _digest(config: RunInput, folder: Path) -> str:
    """Of all that decides what a run gives, files that the input names included."""
    table = config.model_dump(exclude={"sweep": True, "output": {"directory"}, "title": True})
    return table_digest({"input": table, "files": named_files(table, folder)})


def _made(source: Path, points: Sequence[_Point], place: Path, asked: SweepOptions, show: Report) -> Sweep:
    """All runs that are missing, and what each took; a file for each in ``points``."""
    (place / "points").mkdir(exist_ok=True)
    files = [place / "points" / f"{point.digest[:24]}.npz" for point in points]
    forget_errors(files)
    jobs: dict[Path, Job] = {
        file: (
            measure,
            make_run,
            {"source": str(source), "entries": point.entries, "folder": str(place / "runs" / point.name)},
        )
        for file, point in zip(files, points, strict=True)
    }
    (place / "runs").mkdir(exist_ok=True)
    again = "every run has a checkpoint, and the same command goes on"
    Workers(asked.workers, asked.executor).do(jobs, how_to_go_on=again, done=lambda finished: show(finished, len(jobs)))
    return collected([dict(point.values) for point in points], files)


def _read(points: Sequence[_Point], place: Path, done: Sweep) -> SweptRuns:
    """The numbers that the runs observed."""
    series, unit, units = [], "", ""
    for point in points:
        run = read_run(place / "runs" / point.name)
        usual = unit_system(run.units)
        unit, units = run.provenance.get("time_unit", usual.time), run.units
        series.append(
            {
                f"{observer}.{name}": _finite(one)
                for observer, quantities in run.observables.items()
                for name, one in quantities.items()
                if one.plot == "series" and one.values.ndim == 1 and len(one.values)
                if observer != CONDITIONS or changes(one)  # what stays is said by the points, or by the input
            }
        )
    return SweptRuns(
        [point.values for point in points],
        series,
        unit,
        np.array(done["seconds"]),
        np.array(done["megabytes"]),
        [f"runs/{point.name}" for point in points],
        units,
    )


def _finite(series: Series) -> Series:
    """In double precision (counts, too)."""
    return replace(series, values=np.asarray(series.values, dtype=np.float64))


def _show(folder: str, finished: int, total: int) -> None:
    print(f"{folder}: {finished} of {total} runs", file=sys.stderr)


__all__ = ["FIGURE_FILE", "TABLE_FILE", "SweepOptions", "make_run", "sweep_file"]
