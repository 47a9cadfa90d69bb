"""Figures of a run file: one for every observer, and a summary."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spinase.atoms import get_spins
from spinase.io.run_file import Run, Series, read_run
from spinase.units import unit_system
from spinase.viz.figures import profile, spin_map, structure_factor_map, time_series

_TELLING = ("energy", "chirality", "topological-charge", "correlation-length", "magnetization", "torque")


def plot_run(source: str | Path | Run, folder: str | Path) -> list[Path]:
    """Draw the figures of a run into `folder`; returns their paths, the summary first.

    Every observer gets ``<observer>.png`` with one panel per quantity, drawn as the observer says: against time, or the
    first and last profile or map.
    """
    run = source if isinstance(source, Run) else read_run(source)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    paths = [_save(_summary(run), target / "summary.png")]
    for observer, quantities in run.observables.items():
        if quantities and all(len(series.steps) for series in quantities.values()):
            paths.append(_save(_observer_figure(run, observer, quantities), target / f"{observer}.png"))
    return paths


def _save(figure: Figure, path: Path) -> Path:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=150)
    return path


def _observer_figure(run: Run, observer: str, quantities: Any) -> Figure:
    """One panel a quantity; scalars of one unit share a panel's width, maps get two panels (first and last)."""
    panels: list[Callable[[Axes], None]] = []
    for series in quantities.values():
        if series.plot == "map":
            panels += [_map_panel(run, observer, series, frame) for frame in (0, -1)]
        else:
            panels.append(_series_panel(run, observer, series))
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.5 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for draw, ax in zip(panels, axes, strict=False):
        draw(ax)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    return figure


def _series_panel(run: Run, observer: str, series: Series) -> Callable[[Axes], None]:
    def draw(ax: Axes) -> None:
        if series.plot == "profile":
            x = run.static[observer][series.axis]
            for frame, name in ((0, "start"), (-1, "end")):
                profile(
                    ax,
                    x,
                    series.values[frame],
                    series.axis,
                    _with_unit(series),
                    label=f"{name}, t = {series.times[frame]:g}",
                )
            ax.legend(frameon=False)
        else:
            time_series(ax, series.times, series.values, series.label, series.unit, _time_unit(run))

    return draw


def _map_panel(run: Run, observer: str, series: Series, frame: int) -> Callable[[Axes], None]:
    def draw(ax: Axes) -> None:
        structure_factor_map(ax, run.static[observer][series.axis], series.values[frame])
        ax.set_title(f"{series.label}, t = {series.times[frame]:g}")

    return draw


def _summary(run: Run) -> Figure:
    """Spin maps at the start and the end, the most telling scalars, and the last map."""
    scalars = [
        (observer, name, series)
        for observer in sorted(run.observables, key=lambda name: _rank(name))
        for name, series in run.observables[observer].items()
        if series.plot == "series" and series.values.ndim == 1 and len(series.steps) > 1
    ]
    chosen: list[tuple[str, str, Series]] = []
    for entry in scalars:
        if len(chosen) < 2 and entry[0] not in [observer for observer, _, _ in chosen]:
            chosen.append(entry)
    maps = [(observer, s) for observer, group in run.observables.items() for s in group.values() if s.plot == "map"]
    profiles = [(observer, s) for observer, group in run.observables.items() for s in group.values() if s.plot == "profile"]
    panels: list[Callable[[Axes], None]] = [_spin_panel(run, 0), _spin_panel(run, -1)]
    panels += [_series_panel(run, observer, series) for observer, _, series in chosen]
    panels += [_map_panel(run, observer, series, -1) for observer, series in maps[:1]]
    panels += [_series_panel(run, observer, series) for observer, series in profiles[: 1 if maps else 2]]
    panels = panels[:6]
    columns = 3 if len(panels) > 4 else 2
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.7 * rows), layout="constrained")
    figure.suptitle(run.provenance.get("title", ""))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for draw, ax in zip(panels, axes, strict=False):
        draw(ax)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    return figure


def _spin_panel(run: Run, frame: int) -> Callable[[Axes], None]:
    def draw(ax: Axes) -> None:
        atoms = run.atoms(frame)
        spin_map(ax, atoms.positions, get_spins(atoms), np.asarray(atoms.cell))
        ax.set_title(f"spins, t = {run.times[frame]:g} {_time_unit(run)}")

    return draw


def _rank(observer: str) -> int:
    base = observer.rsplit("-", 1)[0] if observer.rsplit("-", 1)[-1].isdigit() else observer
    return _TELLING.index(base) if base in _TELLING else len(_TELLING)


def _time_unit(run: Run) -> str:
    return unit_system(run.units).time.split(" (")[0]


def _with_unit(series: Series) -> str:
    return f"{series.label} [{series.unit}]" if series.unit else series.label
