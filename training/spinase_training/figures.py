"""Learning curves and parity plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spinase.viz.figures import COLORS

if TYPE_CHECKING:
    from spinase_training.validation import Prediction


def curves(histories: Sequence[list[dict[str, float]]], path: Path) -> None:
    """Weighted mean-square error of the fields against the epoch, training and validation, of every network."""
    figure = Figure(figsize=(5, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    for number, history in enumerate(histories):
        for name, color in (("train", COLORS[0]), ("valid", COLORS[1])):
            values = [float(epoch[name]) for epoch in history]
            ax.semilogy(np.arange(1, len(values) + 1), values, color=color, label=name if number == 0 else None)
    ax.set(xlabel="epoch", ylabel="weighted error of the fields")
    ax.legend(frameon=False)
    figure.savefig(path, dpi=150)


def parity(predictions: Sequence[Prediction], path: Path) -> None:
    """Predicted against labelled torques of unseen realizations, and R^2 by the place in the trajectory."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    labelled = np.concatenate([p.labelled.ravel() for p in predictions])
    predicted = np.concatenate([p.predicted.ravel() for p in predictions])
    limit = float(np.abs(labelled).max())
    left.hexbin(labelled, predicted, gridsize=60, bins="log", cmap="Blues", extent=(-limit, limit, -limit, limit), mincnt=1)
    left.plot([-limit, limit], [-limit, limit], color="0.3", lw=0.8)
    left.set(xlabel="torque, teacher", ylabel="torque, model", aspect="equal")
    wrong = np.array([np.sum((p.predicted - p.labelled) ** 2, axis=(1, 2)) for p in predictions]).sum(axis=0)
    power = np.array([np.sum(p.labelled**2, axis=(1, 2)) for p in predictions]).sum(axis=0)
    right.plot(1.0 - wrong / power, "o-", color=COLORS[0])
    right.set(xlabel="configuration of a realization", ylabel=r"$R^2$ of the torques", ylim=(None, 1.0))
    figure.savefig(path, dpi=150)


def learning(rounds: Sequence[dict[str, Any]], bound: float, relative: bool, path: Path) -> None:
    """Rms torque error against the number of labels; part of the runs beyond the bound, and the worst bar, by round."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
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
    figure.savefig(path, dpi=150)
