"""Figures of a run file: one for every observer, and a summary."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spinase.atoms import get_spins
from spinase.errors import CheckpointError
from spinase.io.run_file import Run, Series, changes
from spinase.io.stored import CONDITIONS
from spinase.typing import FloatArray
from spinase.units import UnitSystem, unit_system
from spinase.viz.clock import run_to_show
from spinase.viz.figures import (
    COLORS,
    against_time,
    honest_range,
    profile,
    save_figure,
    site_map,
    spin_map,
    structure_factor_map,
    time_series,
)
from spinase.viz.views import brillouin_zone, in_print, staggering

_TELLING = {
    "energy": ("per_site",),
    "chirality": ("mean_absolute", "mean"),
    "coplanar-order": ("vortices",),
    "energy-partition": ("potential", "total"),
    "domain-wall": ("position",),
    "topological-charge": ("charge",),
    "correlation-length": ("correlation_length",),
    "shell-correlation": ("shell_1", "shell_2"),
    "clusters": ("mean_size",),
    "magnetization": ("length",),
    "torque": ("rms",),
    "currents": ("1_left", "2_right"),
}
"""Observers whose scalars go into the summary, most telling first, and the quantities that share its panel (any order)."""

_SUMMARY_PANELS = 6
_FEWEST_CONDITIONS = 3  # values of a field, a temperature or a bias that make a curve against it
_ONE_SCALE = 20.0  # scalars of one unit share a panel if their magnitudes differ by less
Panel = Callable[[Axes], None]


def plot_run(source: str | Path | Run, folder: str | Path) -> list[Path]:
    """Draw the figures of a run into `folder`; returns their paths, the summary first.

    Every observer gets ``<observer>.png``, drawn as the observer says: scalars against time (those on one scale in one
    panel), or the first and the last profile or map.

    Parameters
    ----------
    source : path or Run
        Run file, the folder with ``run.h5``, or what :func:`spinase.io.read_run` read.
    folder : path
        Where the figures go; it is made if it is missing.

    Raises
    ------
    CheckpointError
        If there is no run file, or no frame in it yet.
    InputError
        If a file in the folder has the name of a figure and is none of spinase's.
    """
    run = run_to_show(source)
    if not len(run):
        raise CheckpointError(f"no frame has been written yet to {source if not isinstance(source, Run) else 'this run'}")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    paths = [save_figure(_summary(run), target / "summary.png")]
    for observer in run.observables:
        panels = _observer_panels(run, observer)
        if panels:
            paths.append(save_figure(_figure(panels, columns=min(2, len(panels))), target / f"{observer}.png"))
    return paths


def _figure(panels: list[Panel], columns: int, title: str = "") -> Figure:
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.4 * columns, 3.6 * rows), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for draw, ax in zip(panels, axes, strict=False):
        draw(ax)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    return figure


def _observer_panels(run: Run, observer: str) -> list[Panel]:
    filled = [series for series in run.observables[observer].values() if len(series.steps)]
    if observer == CONDITIONS:  # what stayed is nothing to look at
        filled = [series for series in filled if changes(series)]
    panels = [_scalar_panel(run, observer, group) for group in _on_one_scale([s for s in filled if s.plot == "series"])]
    panels += [_profile_panel(run, observer, series) for series in filled if series.plot == "profile"]
    panels += [_map_panel(run, observer, series, k) for series in filled if series.plot == "map" for k in _ends(series)]
    panels += [_site_panel(run, series, k) for series in filled if series.plot == "sites" for k in _ends(series)]
    return panels


def _on_one_scale(scalars: list[Series]) -> list[list[Series]]:
    groups: list[list[Series]] = []
    for series in scalars:
        for group in groups:
            if series.unit == group[0].unit and 1 / _ONE_SCALE < _size(series) / _size(group[0]) < _ONE_SCALE:
                group.append(series)
                break
        else:
            groups.append([series])
    return groups


def _shared_name(group: list[Series]) -> str:
    """The last words that labels share: "temperature" of the lattice's and the spins'; nothing where they share none."""
    words = [series.label.split()[::-1] for series in group]
    same = [column[0] for column in zip(*words, strict=False)]
    count = next((k for k, column in enumerate(zip(*words, strict=False)) if len(set(column)) > 1), len(same))
    return " ".join(same[:count][::-1])


def _size(series: Series) -> float:
    finite = np.abs(series.values[np.isfinite(series.values)])
    return float(finite.max(initial=1e-300))


def _ends(series: Series) -> list[int]:
    return [0, -1] if len(series.steps) > 1 else [0]


def _scalar_panel(run: Run, observer: str, group: list[Series]) -> Panel:
    name = observer.replace("-", " ")

    def draw(ax: Axes) -> None:
        """Draw into the axes."""
        first = group[0]
        if len(group) == 1:
            time_series(ax, first.times, first.values, first.label, first.unit, _units(run).time)
            return
        for color, series in zip(COLORS, group, strict=False):
            ax.plot(series.times, series.values, color=color, lw=1.6, label=series.label)
        ax.legend(frameon=False, fontsize="small", ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        against_time(ax, _shared_name(group) or name, first.unit, _units(run).time)

    return draw


def _profile_panel(run: Run, observer: str, series: Series) -> Panel:
    moving = run.observables[observer].get(series.axis)  # an axis that changes along the run
    units = {"distance": _units(run).length, "wavevector_length": f"1/{_units(run).length}"}
    unit = units.get(series.axis) if moving is None else moving.unit
    name = series.axis.replace("_", " ") + (f" [{unit}]" if unit else "")

    def draw(ax: Axes) -> None:
        """Draw into the axes."""
        for frame in _ends(series):
            profile(
                ax,
                run.static[observer][series.axis] if moving is None else moving.values[frame],
                series.values[frame],
                name,
                f"{series.label} [{series.unit}]" if series.unit else series.label,
                label=in_print(_at(run, series.times[frame])),
            )
        ax.legend(frameon=False, fontsize="small")

    return draw


def _map_panel(run: Run, observer: str, series: Series, frame: int) -> Panel:
    def draw(ax: Axes) -> None:
        """Draw into the axes."""
        atoms = run.atoms(0)
        zone = brillouin_zone(atoms.positions, np.asarray(atoms.cell))
        structure_factor_map(ax, run.static[observer][series.axis], series.values[frame], zone)
        unit = f"[1/{_units(run).length}]"
        ax.set(xlabel=in_print(f"$q_x$ {unit}"), ylabel=in_print(f"$q_y$ {unit}"))
        ax.set_title(in_print(f"{series.label} at {_at(run, series.times[frame])}"), fontsize="medium")

    return draw


def _summary(run: Run) -> Figure:
    """Spin maps at the start and the end, the last map, a profile, and the most telling scalars in the room that is left."""
    observed = [(name, s) for name, group in run.observables.items() for s in group.values() if len(s.steps)]
    fields = [_map_panel(run, name, s, -1) for name, s in observed if s.plot == "map"][:1]
    fields += [_profile_panel(run, name, s) for name, s in observed if s.plot == "profile"][:1]
    fields += [_site_panel(run, s, -1) for _, s in observed if s.plot == "sites"][:1]
    frames = [0, -1] if len(run) > 1 else [0]
    scalars = _telling_scalars(run)[: _SUMMARY_PANELS - len(frames) - len(fields) - len(_response_panels(run))]
    panels = [_spin_panel(run, frame) for frame in frames]
    panels += [_scalar_panel(run, observer, group) for observer, group in scalars]
    panels += fields
    panels += _response_panels(run)
    columns = 3 if len(panels) > 4 else min(2, len(panels))
    return _figure(panels, columns, run.provenance.get("title", ""))


def _response_panels(run: Run) -> list[Panel]:
    """Answers to what the run has changed: magnetization along a field, its length at a temperature, currents of a bias."""
    conditions = {
        name: series
        for name, series in run.observables.get(CONDITIONS, {}).items()
        if len(np.unique(series.values, axis=0)) >= _FEWEST_CONDITIONS
    }
    magnets = run.observables.get("magnetization", {})
    found: list[Panel] = []
    if "field" in conditions and "x" in magnets:
        fields, first = _together(conditions["field"], magnets["x"])
        vectors = np.stack([first, *(_together(conditions["field"], magnets[axis])[1] for axis in "yz")], axis=1)
        along = fields[np.linalg.norm(fields, axis=1).argmax()]
        if along.any():
            along = along / np.linalg.norm(along)
            tesla = unit_system(run.units).tesla  # a field is said in T, a temperature in K, where the units know them
            unit = conditions["field"].unit if tesla is None else "T"
            fields = fields if tesla is None else fields / tesla
            label = f"M along the field [{magnets['x'].unit}]"
            found.append(_curve(fields @ along, vectors @ along, f"applied field [{unit}]", label))
    if "kT" in conditions and "length" in magnets:
        temperatures, lengths = _together(conditions["kT"], magnets["length"])
        found.append(_curve(temperatures, lengths, _named(conditions["kT"]), _named(magnets["length"])))
    if "bias" in conditions:
        currents = run.observables.get("currents", {})
        for name in sorted(key for key in currents if key.startswith("1_")):
            biases, values = _together(conditions["bias"], currents[name])
            found.append(_curve(biases, values, f"bias [{conditions['bias'].unit}]", _named(currents[name])))
    return found


def _named(series: Series) -> str:
    return f"{series.label} [{series.unit}]" if series.unit else series.label


def _together(one: Series, two: Series) -> tuple[FloatArray, FloatArray]:
    """Values of both at the steps they share."""
    _, first, second = np.intersect1d(one.steps, two.steps, return_indices=True)
    return one.values[first], two.values[second]


def _curve(x: FloatArray, y: FloatArray, xlabel: str, ylabel: str) -> Panel:
    def draw(ax: Axes) -> None:
        """Draw into the axes."""
        ax.plot(x, y, color=COLORS[0], lw=1.6)
        ax.set(xlabel=in_print(xlabel), ylabel=in_print(ylabel))
        ax.spines[["top", "right"]].set_visible(False)
        honest_range(ax)

    return draw


def _telling_scalars(run: Run) -> list[tuple[str, list[Series]]]:
    """Observers with a group of scalars each: the known observers in the order of `_TELLING`, then the others'."""
    groups = []
    for observer in sorted(run.observables.keys() - {CONDITIONS}, key=lambda name: (_rank(name), name)):
        scalars = {name: s for name, s in run.observables[observer].items() if s.plot == "series" and len(s.steps) > 1}
        telling = _TELLING.get(_base(observer), ())
        wanted = [series for name, series in scalars.items() if name in telling]  # colours as in the observer's own figure
        if wanted or scalars:
            groups.append((observer, wanted or _on_one_scale(list(scalars.values()))[0]))
    return groups


def _spin_panel(run: Run, frame: int) -> Panel:
    def draw(ax: Axes) -> None:
        """Draw into the axes."""
        atoms, last = run.atoms(frame), run.atoms(-1)
        signs = staggering(last.positions, get_spins(last))  # an antiferromagnet's spins are noise to the eye
        spins = get_spins(atoms) if signs is None else signs[:, None] * get_spins(atoms)
        spin_map(ax, atoms.positions, spins, np.asarray(atoms.cell), _units(run).length)
        name = "spins" if signs is None else "staggered spins"
        ax.set_title(in_print(f"{name} at {_at(run, run.times[frame])}"), fontsize="medium")

    return draw


def _site_panel(run: Run, series: Series, which: int) -> Panel:
    def draw(ax: Axes) -> None:
        """Draw into the axes."""
        frame = int(np.abs(np.asarray(run.steps) - series.steps[which]).argmin())
        atoms = run.atoms(frame)
        largest = float(np.abs(series.values).max(initial=1e-12))  # one scale for all frames
        label = f"{series.label} [{series.unit}]" if series.unit else series.label
        site_map(ax, atoms.positions, series.values[which], np.asarray(atoms.cell), label, largest)
        ax.set_title(in_print(f"{series.label} at {_at(run, series.times[which])}"), fontsize="medium")

    return draw


def _base(observer: str) -> str:
    """Name without the number of a second observer of a kind."""
    return re.sub(r"-\d+$", "", observer)


def _rank(observer: str) -> int:
    return list(_TELLING).index(_base(observer)) if _base(observer) in _TELLING else len(_TELLING)


def _units(run: Run) -> UnitSystem:
    units = unit_system(run.units)
    return replace(units, time=str(run.provenance.get("time_unit", units.time)).partition(" (")[0])


def _at(run: Run, time: float) -> str:
    unit = _units(run).time
    return f"{time:g} {unit}" if unit in ("sweeps", "iterations") else f"time {time:g} {unit}"
