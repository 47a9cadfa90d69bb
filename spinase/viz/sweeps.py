"""The figure of a sweep: every number against time or against a key, averaged over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import units
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from spinase.analysis.spectra import mean_and_error
from spinase.errors import InputError
from spinase.io.swept import SEED, SweptRuns
from spinase.typing import FloatArray
from spinase.units import unit_system
from spinase.viz.figures import COLORS, against_time, save_figure
from spinase.viz.views import in_print

_PANELS = 9
_NAMED = 12  # curves in a legend


def plot_sweep(
    runs: SweptRuns,
    path: str | Path,
    names: Sequence[str] = (),
    x: str = "time",
    window: tuple[float, float] | None = None,
    log: Sequence[str] = (),
) -> Path:
    """Draw a panel for every number; means over seeds with their standard errors, a colour for each set of other keys.

    More than six sets have colours of one scale, from first to last, and twelve of them are named at most.

    Parameters
    ----------
    runs : SweptRuns
        With at least one run.
    path : path
        PNG file.
    names : sequence of str
        ``observer.quantity``; none: all (nine at most).
    x : str
        ``time``, or a key whose values are numbers.
    window : (float, float), optional
        With a key on the horizontal axis: times whose mean is shown; default: the last value.
    log : sequence of str
        Axes with a logarithmic scale, of ``x`` and ``y``.

    Raises
    ------
    InputError
        If runs did not observe one of them, or the key has values that are no numbers (vectors that differ in one component
        only have that one).
    """
    chosen = list(names) or runs.names[:_PANELS]
    for name in chosen:
        runs.require(name)
    groups = runs.groups((SEED,) if x == "time" else (SEED, x))
    colors, labels = _palette(len(groups)), _thinned(_labels([common for common, _ in groups]))
    columns = min(3, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, name in zip(axes, chosen, strict=False):
        for color, told, (_, places) in zip(colors, labels, groups, strict=True):
            if x == "time":
                _curve(ax, runs, name, places, color, told)
            else:
                _points(ax, runs.values(name, window)[places], _numbers(runs, x, places), color, told)
        _name_axes(ax, runs, name, x)
        _scale_axes(ax, log)
    if any(common for common, _ in groups):
        axes[0].legend(frameon=False, fontsize="small" if len(groups) <= len(COLORS) else "xx-small")
    for ax in axes[len(chosen) :]:
        ax.set_visible(False)
    return save_figure(figure, path)


def _palette(count: int) -> list[str]:
    """Colours of so many curves: different ones while there are enough, else a scale from dark to light."""
    if count <= len(COLORS):
        return list(COLORS[:count])
    return [to_hex(color) for color in colormaps["viridis"](np.linspace(0.0, 0.92, count))]


def _thinned(labels: list[str]) -> list[str]:
    """Labels of which so many are left that a legend holds them, the first and the last among them; the others are empty."""
    kept = set(np.linspace(0, len(labels) - 1, min(len(labels), _NAMED)).round().astype(int).tolist())
    return [label if k in kept else "" for k, label in enumerate(labels)]


def _scale_axes(ax: Axes, log: Sequence[str]) -> None:
    """Logarithmic axes, with limits of their own: zero is not on them."""
    for axis in log:
        (ax.set_xscale if axis == "x" else ax.set_yscale)("log")
    if "y" in log:
        ax.autoscale(axis="y")
    if "x" in log:
        ax.autoscale(axis="x")


def _curve(ax: Axes, runs: SweptRuns, name: str, places: Sequence[int], color: str, label: str) -> None:
    """Mean over runs of one length, with its standard error as a band; runs of different lengths one by one."""
    series = [runs.series[k][name] for k in places]
    scale, _ = _clock(runs)
    times = series[0].times * scale
    if any(len(one.times) != len(times) or not np.allclose(one.times, series[0].times) for one in series):
        for k, one in enumerate(series):
            ax.plot(one.times * scale, one.values, color=color, lw=1.0, label=None if k else label)
        return
    values = np.array([one.values for one in series])
    mean, error = mean_and_error(values)
    ax.plot(times, mean, color=color, lw=1.6, label=_counted(label, len(series)))
    if len(series) > 1:
        ax.fill_between(times, mean - error, mean + error, color=color, alpha=0.25, lw=0)


def _points(ax: Axes, values: FloatArray, abscissa: FloatArray, color: str, label: str) -> None:
    """Mean and standard error over the runs at each value of the key."""
    at = np.unique(abscissa)
    held = [values[abscissa == one] for one in at]
    errors = np.nan_to_num([mean_and_error(one)[1] for one in held])  # one run has no error
    counted = _counted(label, min(len(one) for one in held))
    ax.errorbar(
        at, [one.mean() for one in held], yerr=errors, color=color, marker="o", ms=4, lw=1.2, capsize=2, label=counted
    )


def _counted(label: str, runs: int) -> str:
    return f"{label} (mean of {runs})" if runs > 1 and label else label


def _labels(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tells groups apart; a table is told by its style where that is enough."""
    short = [_told({key: _style_of(value) for key, value in common.items()}) for common in groups]
    return short if len(set(short)) == len(groups) else [_told(common) for common in groups]


def _style_of(value: Any) -> Any:
    return value.get("style", value) if isinstance(value, Mapping) else value


def _told(common: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.rpartition('.')[2]} = {value}" for key, value in common.items())


def _numbers(runs: SweptRuns, key: str, places: Sequence[int]) -> FloatArray:
    values = [runs.points[k][key] for k in places]
    varied = _component(one[key] for one in runs.points)
    if varied is not None:
        values = [value[varied] for value in values]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        raise InputError(f"{key} has values that are no plain numbers ({values[0]!r}): they cannot be a horizontal axis")
    return np.array(values, dtype=np.float64)


def _component(values: Iterable[Any]) -> int | None:
    """Which component of vectors is the only one they differ in; None: there is none, or they are no vectors."""
    listed = list(values)
    if not all(isinstance(value, list) and len(value) == len(listed[0]) for value in listed):
        return None
    differing = [k for k, column in enumerate(zip(*listed, strict=True)) if any(one != column[0] for one in column)]
    return differing[0] if len(differing) == 1 else None


def _clock(runs: SweptRuns) -> tuple[float, str]:
    """Factor and unit of the times as people read them."""
    usual = unit_system(runs.units).time
    if runs.units == "metal" and runs.time_unit == usual:
        return 1.0 / units.fs, "fs"
    return 1.0, runs.time_unit


def _name_axes(ax: Axes, runs: SweptRuns, name: str, x: str) -> None:
    series = runs.series[0][name]
    if x == "time":
        against_time(ax, series.label, series.unit, _clock(runs)[1])
        return
    ax.set_xlabel(x)
    ax.set_ylabel(f"{series.label} [{in_print(series.unit)}]" if series.unit else series.label)


__all__ = ["plot_sweep"]
