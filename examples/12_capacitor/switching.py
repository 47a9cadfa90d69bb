"""Avrami exponents and fronts of charging capacitors, from run files: python switching.py FOLDER ...

    python examples/12_capacitor/switching.py switching_sweep

Of every run under the folders (of `spinase sweep`, or single ones): the law of Kolmogorov, Avrami and Ishibashi nearest to
the transformed fraction, F (1 - exp(-(t/t0)^n)), and the speed of the front between a fifth and three fifths of the way.
Prints a table with means over seeds and their standard errors, and writes switching.png.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from spinase.analysis import Avrami, avrami, front_speed
from spinase.errors import InputError
from spinase.io import read_run, run_conditions

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BEGIN, END = 0.2, 0.6  # of the way from electrode to electrode


class Switched(NamedTuple):
    """One run: times (T,), transformed fractions (T,), the law, and the front's speed (nan: it did not get there)."""

    times: np.ndarray
    fractions: np.ndarray
    law: Avrami
    speed: float


class Key(NamedTuple):
    """What runs of several seeds share: who made the fields, the bias, and the width of the device."""

    who: str
    bias: float
    width: float


def switched(file: Path) -> tuple[Key, Switched]:
    """What a run file tells."""
    run = read_run(file)
    found = run.observables["grown-phase"]
    times, fractions = found["fraction"].times, found["fraction"].values
    length = float(np.ptp(run.positions[0][:, 0]))
    try:
        speed = front_speed(times, found["interface"].values, BEGIN * length, END * length)
    except InputError:
        speed = float("nan")
    who = "Green's functions" if "negf" in run.provenance["input"] else "model"
    key = Key(who, float(run_conditions(run)["bias"][-1]), float(np.linalg.norm(run.cells[0][1])))
    return key, Switched(times, fractions, avrami(times, fractions, final=None), speed)


def mean_and_error(values: Iterable[float]) -> str:
    """Mean of those that are known, and its standard error, with how many they are."""
    known = np.array([value for value in values if np.isfinite(value)])
    if not len(known):
        return "-"
    error = f" +- {known.std(ddof=1) / np.sqrt(len(known)):.2g}" if len(known) > 1 else ""
    return f"{known.mean():.3g}{error} ({len(known)})"


def draw(runs: dict[Key, list[Switched]]) -> None:
    """Fractions with their laws, and exponents and speeds against the voltage."""
    fig, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    biases = sorted({key.bias for key in runs}, reverse=True)
    color = {bias: COLORS[k % len(COLORS)] for k, bias in enumerate(biases)}
    marks = {who: "os"[k % 2] for k, who in enumerate(sorted({key.who for key in runs}))}
    for key, each in runs.items():
        filled = color[key.bias] if key.who == "model" else "none"
        for one in each:
            axes[0].plot(
                one.times,
                one.fractions,
                "-" if key.who == "model" else marks[key.who],
                ms=3,
                mfc="none",
                lw=1,
                alpha=0.8,
                color=color[key.bias],
            )
        for axis, values in ((axes[1], [one.law.exponent for one in each]), (axes[2], [one.speed for one in each])):
            known = np.array(values)[np.isfinite(values)]
            if len(known):
                error = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else 0.0
                axis.errorbar(key.bias, known.mean(), error, fmt=marks[key.who], ms=5, mfc=filled, color=color[key.bias])
    axes[0].set(xlabel="time [ħ/t]", ylabel="transformed fraction", ylim=(0, 1.02))
    axes[1].set(xlabel="bias [t]", ylabel="Avrami exponent n")
    axes[2].set(xlabel="bias [t]", ylabel="speed of the front [a t/ħ]")
    for bias in biases:
        axes[0].plot([], [], "-", color=color[bias], label=f"{bias:g} t")
    axes[0].legend(frameon=False, fontsize=8, loc="lower right", title="bias", title_fontsize=8)
    for who, mark in marks.items():
        axes[1].plot([], [], mark, mfc="0.3" if who == "model" else "none", color="0.3", label=who)
    axes[1].legend(frameon=False, fontsize=8)
    fig.savefig("switching.png", dpi=150)
    plt.close(fig)


def main(folders: list[str]) -> None:
    runs: dict[Key, list[Switched]] = defaultdict(list)
    for file in sorted(file for folder in folders for file in Path(folder).rglob("run.h5")):
        try:
            key, found = switched(file)
        except InputError as error:
            print(f"{file}: {error}")
            continue
        runs[key].append(found)
    if not runs:
        sys.exit(f"there are no run files under {', '.join(folders) or 'no folder'}: name those of spinase sweep")
    heads = "exponent n", "t0 [hbar/t]", "final fraction", "speed [a t/hbar]"
    print(f"{'who':18s} {'bias':>6s} {'width':>7s}  {'  '.join(f'{head:20s}' for head in heads)}  misfit")
    for key, each in sorted(runs.items()):
        columns = [
            [one.law.exponent for one in each],
            [one.law.time for one in each],
            [one.law.final for one in each],
            [one.speed for one in each],
        ]
        told = "  ".join(f"{mean_and_error(values):20s}" for values in columns)
        print(f"{key.who:18s} {key.bias:6.2f} {key.width:7g}  {told}  {max(one.law.misfit for one in each):.3f}")
    draw(runs)


if __name__ == "__main__":
    main(sys.argv[1:])
