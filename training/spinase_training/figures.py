"""Learning curves and parity plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.units import fs
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spinase.typing import FloatArray
from spinase.units import METAL, UnitSystem
from spinase.viz.figures import COLORS, save_figure
from spinase.viz.views import in_print
from spinase_training.validation import Prediction, by_kind, by_place


def curves(histories: Sequence[list[dict[str, float]]], path: Path) -> None:
    """Weighted mean-square error of the fields against the epoch, training and validation, of every network."""
    figure = Figure(figsize=(5, 3.8), layout="constrained")
    ax = figure.subplots()
    for number, history in enumerate(histories):
        for name, color in (("train", COLORS[0]), ("valid", COLORS[1])):
            values = [float(epoch[name]) for epoch in history]
            ax.semilogy(np.arange(1, len(values) + 1), values, color=color, label=name if number == 0 else None)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="epoch", ylabel="weighted error of the fields")
    ax.legend(frameon=False)
    save_figure(figure, path)


def parity(predictions: Sequence[Prediction], units: UnitSystem, path: Path) -> None:
    """Predicted against labelled torques of unseen realizations, and R^2 by the place in the trajectory.

    Parameters
    ----------
    predictions : sequence of Prediction
        One for every realization.
    units : UnitSystem
        Of the labels.
    path : Path
        Image to write.
    """
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    _parity(left, [p.labelled for p in predictions], [p.predicted for p in predictions], f"torque [{units.energy}]")
    _places(right, predictions)
    save_figure(figure, path)


def validation_figure(
    predictions: Sequence[Prediction], dynamics: Mapping[str, Any] | None, units: UnitSystem, path: Path
) -> None:
    """Parity of torques and of forces (or energies), R^2 by place or kind, and the trajectories next to the teacher's.

    Parameters
    ----------
    predictions : sequence of Prediction
        One for every realization.
    dynamics : mapping or None
        What ``trajectories.compare`` found; None: no such row.
    units : UnitSystem
        Of the labels.
    path : Path
        Image to write.
    """
    figure = Figure(figsize=(12, 7.4 if dynamics else 3.8), layout="constrained")
    axes = figure.subplots(2 if dynamics else 1, 3, squeeze=False)
    _parity(axes[0, 0], [p.labelled for p in predictions], [p.predicted for p in predictions], f"torque [{units.energy}]")
    pairs = [(p.forces, p.predicted_forces) for p in predictions if p.forces is not None and p.predicted_forces is not None]
    if pairs:
        _parity(
            axes[0, 1], [true for true, _ in pairs], [found for _, found in pairs], f"force [{units.energy}/{units.length}]"
        )
    else:
        _energy_parity(axes[0, 1], predictions, units)
    _places(axes[0, 2], predictions)
    if dynamics is not None:
        _trajectories(axes[1], dynamics, units)
    save_figure(figure, path)


def _parity(ax: Axes, labelled: Sequence[FloatArray], predicted: Sequence[FloatArray], what: str) -> None:
    true = np.concatenate([array.ravel() for array in labelled])
    found = np.concatenate([array.ravel() for array in predicted])
    limit = float(np.abs(true).max()) or 1.0
    ax.hexbin(true, found, gridsize=60, bins="log", cmap="Blues", extent=(-limit, limit, -limit, limit), mincnt=1)
    ax.plot([-limit, limit], [-limit, limit], color="0.3", lw=0.8)
    name, _, unit = what.partition(" ")
    ax.set(xlabel=f"{name} of the teacher {unit}", ylabel=f"{name} of the model {unit}", aspect="equal")


def _energy_parity(ax: Axes, predictions: Sequence[Prediction], units: UnitSystem) -> None:
    true = np.concatenate([p.energies / p.labelled.shape[1] for p in predictions])
    found = np.concatenate([p.predicted_energies / p.labelled.shape[1] for p in predictions])
    if not np.isfinite(true - found).any():
        ax.text(0.5, 0.5, "no energies", transform=ax.transAxes, ha="center")
        return
    ax.plot(true, found, ".", color=COLORS[0], ms=4)
    ax.axline((float(np.nanmean(true)), float(np.nanmean(true))), slope=1.0, color="0.3", lw=0.8)
    ax.set(xlabel=f"teacher's energy per site [{units.energy}]", ylabel=f"model's energy per site [{units.energy}]")


def _places(ax: Axes, predictions: Sequence[Prediction]) -> None:
    ratio, _ = by_place(predictions)
    if ratio:
        ax.plot(ratio, "o-", color=COLORS[0])
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="configuration of a realization", ylabel=r"$R^2$ of the torques", ylim=(None, 1.0))
        return
    kinds = {kind: values["r2"] for kind, values in by_kind(predictions).items()}
    ax.bar(range(len(kinds)), list(kinds.values()), color=COLORS[0])
    ax.set_xticks(range(len(kinds)), list(kinds), rotation=30, ha="right")
    ax.set(ylabel=r"$R^2$ of the torques", ylim=(None, 1.0))


def _trajectories(axes: Sequence[Axes], dynamics: Mapping[str, Any], units: UnitSystem) -> None:
    """Energy, correlation, and how far the spins are apart, against time."""
    scale, unit = (1.0 / fs, "fs") if units.name == METAL.name else (1.0, units.time)
    clock, times = in_print(f"time [{unit}]"), scale * np.asarray(dynamics["times"], dtype=float)
    names = ("energy", "correlation") if dynamics["energy_teacher"] is not None else ("correlation",)
    for ax, name in zip(axes, names, strict=False):
        for who, style, color in (("teacher", "-", "0.3"), ("model", "o--", COLORS[0])):
            ax.plot(times, dynamics[f"{name}_{who}"], style, color=color, ms=4, label=who)
        ax.legend(frameon=False)
    axes[0].set(
        xlabel=clock,
        ylabel=f"energy per site, by the teacher [{units.energy}]" if len(names) == 2 else "correlation of neighbours",
    )
    if len(names) == 2:
        axes[1].set(xlabel=clock, ylabel="correlation of neighbours")
    else:
        axes[1].plot(times, dynamics["rms_torque"], color="0.3")
        axes[1].set(xlabel=clock, ylabel=f"rms torque of the teacher [{units.energy}]")
    axes[2].plot(times, dynamics["angle"], "o-", color=COLORS[1], ms=4, label="rms angle between the spins")
    axes[2].plot(times, dynamics["torque_r2"], "s--", color=COLORS[0], ms=4, label=r"torque $R^2$ on the teacher's way")
    axes[2].set(xlabel=clock, ylabel=r"radian; $R^2$")
    axes[2].legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize="small")


def learning(rounds: Sequence[dict[str, Any]], bound: float, relative: bool, path: Path) -> None:
    """Rms torque error against the number of labels; part of the runs beyond the bound, and the worst bar, by round.

    Parameters
    ----------
    rounds : sequence of dict
        Rows of the report of an active learning.
    bound : float
        The largest error bar a run may have, energy/moment, or 1 if it is relative.
    relative : bool
        Whether bars are counted in units of the rms tangent field.
    path : Path
        Image to write.
    """
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    labels = [one["labels"] for one in rounds]
    for name, color in (("test", COLORS[0]), ("check", COLORS[1])):
        if all(one[name] for one in rounds):
            shown = {"test": "held back of the first labels", "check": "check labels"}[name]
            left.plot(labels, [one[name]["rms_error"] for one in rounds], "o-", color=color, label=shown)
    left.set(xlabel="labels", ylabel="rms torque error per spin")
    left.set_ylim(bottom=0.0)
    left.legend(frameon=False)
    explored = [(number, one) for number, one in enumerate(rounds) if "runs" in one]
    numbers = [number for number, _ in explored]
    right.bar(numbers, [one["over"] / one["runs"] for _, one in explored], color=COLORS[0], alpha=0.4, width=0.6)
    right.set(xlabel="round", ylabel="part of the runs above the bound", ylim=(0.0, 1.05))
    right.set_xticks(numbers)
    bars = right.twinx()
    bars.plot(numbers, [one["worst"] for _, one in explored], "o-", color=COLORS[1])
    bars.set_ylabel("worst error bar")
    bars.set_ylim(bottom=0.0)
    if not relative:
        bars.axhline(bound, color="0.3", lw=0.8, ls="--")
    save_figure(figure, path)
