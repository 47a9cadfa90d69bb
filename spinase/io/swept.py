"""What the runs of a sweep observed, one row of a table and one curve for each."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spinase.errors import InputError
from spinase.files import write_text
from spinase.io.run_file import Series
from spinase.typing import FloatArray

SEED = "seed"
"""The key over whose values curves are averaged."""


@dataclass(frozen=True, eq=False)
class SweptRuns:
    """Runs of one input at several values of its keys.

    Attributes
    ----------
    points : list of mapping
        Dotted keys of the input and the values of each run.
    series : list of mapping
        Of each run, its observed numbers by ``observer.quantity``: steps, times and values (T,).
    time_unit : str
        Of the times.
    seconds, megabytes : (n,) array
        What each run took: wall time, and the highest memory of the process that made it.
    folders : list of str
        Of the runs.
    units : str
        Name of the unit system.
    """

    points: Sequence[Mapping[str, Any]]
    series: Sequence[Mapping[str, Series]]
    time_unit: str = ""
    seconds: FloatArray = field(default_factory=lambda: np.zeros(0))
    megabytes: FloatArray = field(default_factory=lambda: np.zeros(0))
    folders: Sequence[str] = ()
    units: str = "reduced"

    @property
    def keys(self) -> list[str]:
        """Keys that differ between runs, in the order of the input."""
        return list(self.points[0]) if self.points else []

    @property
    def names(self) -> list[str]:
        """``observer.quantity`` of every number that all runs observed."""
        first = self.series[0] if self.series else {}
        return [name for name in first if all(name in one for one in self.series)]

    def values(self, name: str, window: tuple[float, float] | None = None) -> FloatArray:
        """One number of each run (n,): the last one observed, or the mean over times in a window (ends included).

        Parameters
        ----------
        name : str
            ``observer.quantity``.
        window : (float, float), optional
            First and last time.

        Raises
        ------
        InputError
            If runs did not observe it, or nothing lies in the window.
        """
        self.require(name)
        if window is None:
            return np.array([one[name].values[-1] for one in self.series])
        inside = [(one[name].times >= window[0]) & (one[name].times <= window[1]) for one in self.series]
        for point, mask in zip(self.points, inside, strict=True):
            if not mask.any():
                raise InputError(
                    f"the run {dict(point)} observed no {name} from {window[0]:g} to {window[1]:g} (sweep.window): choose "
                    "times within the run"
                )
        return np.array([one[name].values[mask].mean() for one, mask in zip(self.series, inside, strict=True)])

    def require(self, name: str) -> None:
        """Raise InputError if not all runs observed `name`, with what there is."""
        if name not in self.names:
            raise InputError(f"the runs of the sweep have no {name!r}: they have {', '.join(self.names) or 'no numbers'}")

    def groups(self, but: Sequence[str] = (SEED,)) -> list[tuple[dict[str, Any], list[int]]]:
        """Runs that agree in all keys but those named: what they agree in, and their places.

        Parameters
        ----------
        but : sequence of str
            Keys that may differ.
        """
        found: list[tuple[dict[str, Any], list[int]]] = []
        for k, point in enumerate(self.points):
            common = {key: value for key, value in point.items() if key not in but}
            place = next((places for shared, places in found if shared == common), None)
            if place is None:
                found.append((common, [k]))
            else:
                place.append(k)
        return found


def write_table(path: Path, runs: SweptRuns, names: Sequence[str] = (), window: tuple[float, float] | None = None) -> Path:
    """Write a table with a row for each run (comma-separated, units in the header); returns the path.

    Parameters
    ----------
    path : Path
        File, replaced if it is there.
    runs : SweptRuns
        With at least one run.
    names : sequence of str
        ``observer.quantity``; none: all.
    window : (float, float), optional
        Times whose mean is told; default: the last value.

    Raises
    ------
    InputError
        If runs did not observe one of them, or nothing lies in the window.
    """
    chosen = list(names) or runs.names
    columns = [runs.values(name, window) for name in chosen]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*runs.keys, *(_header(runs, name) for name in chosen), "time taken [s]", "memory [MB]", "run"])
    for k, point in enumerate(runs.points):
        told = [f"{column[k]:.10g}" for column in columns]
        rows.writerow([*point.values(), *told, f"{runs.seconds[k]:.1f}", f"{runs.megabytes[k]:.0f}", runs.folders[k]])
    write_text(path, text.getvalue())
    return path


def _header(runs: SweptRuns, name: str) -> str:
    unit = runs.series[0][name].unit
    return f"{name} [{unit}]" if unit else name


__all__ = ["SEED", "SweptRuns", "write_table"]
