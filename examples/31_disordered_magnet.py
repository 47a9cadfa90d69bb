"""A structurally disordered s-d magnet ages and freezes: what its spins remember, by age, temperature, and motion of sites.

    python examples/31_disordered_magnet.py          small magnets, short runs
    python examples/31_disordered_magnet.py full     the input files as they are (eight minutes of CPU)

Makes the runs of examples/31_disordered_magnet/: `quench.toml` (100,000 spins), the sweeps of `freezing.toml` and
`moving.toml`, and one more of sites that move while spins stay random; what is finished is kept, what was cut goes on.
Writes disordered_magnet.png.
C(t_w + t, t_w) is the mean of s_i(t_w + t).s_i(t_w); errors are standard errors over magnets, of exponents by jackknife.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from spinase.analysis import TwoTimeCorrelation, ageing_exponent, mean_and_error, two_time_correlations
from spinase.atoms import geometry_of
from spinase.errors import ModelError
from spinase.geometry import find_bonds
from spinase.io import Run, read_run
from spinase.run import RunOptions, run_file
from spinase.run.sweeps import SweepOptions, sweep_file
from spinase.viz.figures import COLORS

FULL = sys.argv[1:] == ["full"]
INPUTS = Path(__file__).with_suffix("")
SMALL = {
    "quench": [
        "atoms.disordered.sites=300",
        "stage.0.steps=24",
        "output.every=2",
        "observer.1.every=8",
        "observer.1.r_max=3",
    ],
    "freezing": ["atoms.disordered.sites=150", "stage.0.steps=24", "output.every=2"]
    + ['sweep.points={ "stage.0.kT" = [0.006, 0.048], seed = [1, 2] }'],
    "moving": ["atoms.disordered.sites=60", "stage.0.fmax=1e6", "stage.1.steps=16", "stage.2.steps=8"]
    + ["output.every=4", "observer.0.every=4", 'sweep.points={ "atoms.mass" = [200.0, 1e12], seed = [1, 2] }'],
}
AGES = {"quench": (8, 16, 32, 64), "freezing": (32, 96, 288), "moving": (8, 32, 96)}
PLACES, COOLED = 160, 80  # what sites of moving.toml take to find places (its clock counts the iterations), and to be cooled
if not FULL:
    AGES, PLACES, COOLED = {"quench": (8, 16), "freezing": (8, 16), "moving": (4, 8)}, 0, 8
LEVELS, NEAR = (0.8, 0.5), 1.3  # of C, whose times are compared by age; the longest bonds


def entries(name: str) -> list[str]:
    return [] if FULL else SMALL[name]


def swept(name: str, folder: str, extra: Sequence[str] = ()) -> list[tuple[dict, Run]]:
    """Points of a sweep and their runs."""
    place = Path(folder)
    runs, _, _ = sweep_file(INPUTS / f"{name}.toml", [*entries(name), *extra], SweepOptions(place), lambda done, total: None)
    return [(dict(point), read_run(place / one)) for point, one in zip(runs.points, runs.folders, strict=True)]


def unit(run: Run) -> np.ndarray:
    return run.moments / np.linalg.norm(run.moments, axis=2, keepdims=True)


def memory(run: Run, name: str, start: float = 0.0, end: float = np.inf) -> list[TwoTimeCorrelation]:
    """C of every age, counted from `start`."""
    inside = (run.times >= start) & (run.times <= end)
    return two_time_correlations(run.times[inside] - start, unit(run)[inside], AGES[name])


def averaged(magnets: Sequence[list[TwoTimeCorrelation]]) -> list[TwoTimeCorrelation]:
    """Means over magnets, age by age."""
    return [
        TwoTimeCorrelation(same[0].waiting, same[0].times, np.mean([one.values for one in same], axis=0))
        for same in zip(*magnets, strict=True)
    ]


def spread(magnets: Sequence[list[TwoTimeCorrelation]], age: int) -> np.ndarray:
    """Standard errors of C of one age."""
    return mean_and_error([curves[age].values for curves in magnets])[1]


def jackknife(measure: Callable[[list], float], magnets: Sequence) -> tuple[float, float]:
    """A measure of all magnets, and its error by leaving out one after the other."""
    others = [measure([one for j, one in enumerate(magnets) if j != k]) for k in range(len(magnets))]
    return measure(list(magnets)), float(np.sqrt((len(others) - 1) * np.var(others)))


def exponent(magnets: Sequence[list[TwoTimeCorrelation]], level: float) -> float:
    try:
        return ageing_exponent(averaged(magnets), level)
    except ModelError:  # too short
        return np.nan


def mean(values: Sequence[float]) -> str:
    return "{:.4f} +- {:.4f}".format(*mean_and_error(values))


def draw(ax: Axes, magnets: Sequence[list[TwoTimeCorrelation]], color: str, label: str) -> None:
    """C of every age against time, with errors as bands."""
    for age, (curve, style) in enumerate(zip(averaged(magnets), ("-", "--", ":"), strict=False)):
        times, values, error = curve.times[1:], curve.values[1:], spread(magnets, age)[1:]
        ax.fill_between(times, values - error, values + error, color=color, alpha=0.2, lw=0)
        ax.plot(times, values, ls=style, color=color, label=None if age else label)


def on_log(ax: Axes, xlabel: str, ylabel: str, title: str, ticks: Sequence[float]) -> None:
    """Labels, and a logarithmic axis with these numbers on it."""
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title, xscale="log")
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)


TWO_TIMES = "C($t_w$ + t, $t_w$)"
fig, axes = plt.subplots(2, 3, figsize=(13.5, 7.6), layout="constrained")

# one large magnet
place = Path("quench_run")
options = RunOptions(place, restart=(place / "run.h5").exists())
large = read_run(run_file(INPUTS / "quench.toml", entries("quench"), options))
energy, correlation = large.observables["energy"]["per_site"], large.observables["correlation"]["correlation"]
name = f"{len(large.numbers)} spins, kT = 0.006"
print(f"{name}: energy per spin {energy.values[0]:.4f} t, {energy.values[-1]:.4f} t at time {energy.times[-1]:g}")
shown = sorted({0, 1, 2, 4, len(correlation.times) - 1} & set(range(len(correlation.times))))
for k, color in zip(shown, plt.cm.viridis(np.linspace(0.0, 0.85, len(shown))), strict=True):
    distance = large.static["correlation"]["distance"]
    axes[0, 0].plot(distance, correlation.values[k], color=color, label=f"{correlation.times[k]:g}")
    extremes = f"highest {np.nanmax(correlation.values[k]):.3f}, lowest {np.nanmin(correlation.values[k]):.3f}"
    print(f"  C(r) at time {correlation.times[k]:g}: {extremes} at r = {distance[np.nanargmin(correlation.values[k])]:.2f}")
axes[0, 0].axhline(0.0, color="0.7", lw=0.8)
axes[0, 0].set(xlabel="distance r [a]", ylabel="C(r, t)", xlim=(0.7, None), title=name)
axes[0, 0].legend(frameon=False, title="time [ħ/t]")
curves = memory(large, "quench")
for curve, color in zip(curves, COLORS, strict=False):
    old = np.interp(curve.waiting, curve.times, curve.values)
    reached = ", ".join(f"{level} after {curve.time_at(level):.1f}" for level in LEVELS)
    print(f"  age {curve.waiting:g}: C at t = t_w {old:.4f}; C = {reached}")
    axes[0, 1].plot(curve.times[1:] / curve.waiting, curve.values[1:], "o-", ms=3, color=color, label=f"{curve.waiting:g}")
print("  " + ", ".join(f"time to C = {level} grows as t_w^{exponent([curves], level):.3f}" for level in LEVELS))
on_log(axes[0, 1], "t/$t_w$", TWO_TIMES, name, (0.1, 0.3, 1, 3, 10))
axes[0, 1].legend(frameon=False, title="age $t_w$ [ħ/t]")

# temperatures
found: dict[float, list] = {}
for point, run in swept("freezing", "freezing_sweep"):
    found.setdefault(point["stage.0.kT"], []).append(memory(run, "freezing"))
temperatures, ages = np.array(list(found)), AGES["freezing"]
last = min(magnets[0][-1].times[-1] for magnets in found.values())
kept = np.array(
    [[[np.interp(last, one.times, one.values) for one in magnet] for magnet in magnets] for magnets in found.values()]
)
error = kept.std(axis=1, ddof=1) / np.sqrt(kept.shape[1])  # (temperatures, ages)
grows = np.array(
    [[jackknife(partial(exponent, level=level), magnets) for magnets in found.values()] for level in LEVELS]
)  # (levels, temperatures, value and error)
for k, (heat, color) in enumerate(zip(found, COLORS, strict=False)):
    draw(axes[0, 2], found[heat], color, f"{heat:g}")
    left = ", ".join(f"{value:.3f} +- {width:.3f}" for value, width in zip(kept[k].mean(axis=0), error[k], strict=True))
    print(f"kT = {heat:5.3f}: C after {last:g} by age {left}; free spins {np.exp(-heat * last):.3f}")
    for level, (value, width) in zip(LEVELS, grows[:, k], strict=True):
        print(f"  time to C = {level} grows as t_w^({value:.2f} +- {width:.2f})")
marks = [f"{age} ({style})" for age, style in zip(ages, ("full", "dashed", "dotted"), strict=False)]
on_log(axes[0, 2], "t [ħ/t]", TWO_TIMES, f"ages {', '.join(marks)}", (10, 30, 100, 300))
axes[0, 2].legend(frameon=False, title="kT [t]")
for k, color in zip(range(len(ages)), COLORS, strict=False):
    axes[1, 0].errorbar(
        temperatures, kept[:, :, k].mean(axis=1), error[:, k], fmt="o-", ms=4, capsize=2, color=color, label=f"age {ages[k]}"
    )
fine = np.geomspace(temperatures.min(), temperatures.max(), 100)
axes[1, 0].plot(fine, np.exp(-fine * last), color="0.5", ls="--", label="free spins")
on_log(axes[1, 0], "kT [t]", f"C($t_w$ + {last:g}, $t_w$)", "what is remembered", list(temperatures))
axes[1, 0].legend(frameon=False)
for level, values, color in zip(LEVELS, grows, COLORS, strict=False):
    axes[1, 1].errorbar(temperatures, *values.T, fmt="o-", ms=4, capsize=2, color=color, label=f"C = {level}")
for value, style in ((0.0, "-"), (1.0, "--")):
    axes[1, 1].axhline(value, color="0.7", lw=0.8, ls=style)
axes[1, 1].legend(frameon=False)
title = "0: equilibrium, 1: function of t/$t_w$"
on_log(axes[1, 1], "kT [t]", "μ, time to C ~ $t_w^μ$", title, list(temperatures))

# sites that move
runs: dict[str, list[Run]] = {"both move": [], "sites stay": []}
for point, run in swept("moving", "moving_sweep"):
    runs["both move" if point["atoms.mass"] == 200.0 else "sites stay"].append(run)
count, seeds = len(runs["both move"][0].numbers), list(range(1, 1 + len(runs["both move"])))
fixed = [f"stage.{k}.frozen={list(range(count))}" for k in (1, 2)]
runs["spins stay"] = [run for _, run in swept("moving", "held_sweep", [*fixed, f"sweep.points={{ seed = {seeds} }}"])]
for (name, magnets), color in zip(runs.items(), COLORS, strict=False):
    falls, moves, slopes = [], [], []
    for run in magnets:
        start = int(np.searchsorted(run.times, PLACES))
        falls.append((run.energies[start] - run.energies[-1]) / count)
        steps = run.positions[-1] - run.positions[start]
        moves.append(np.sqrt((steps**2).sum(axis=1).mean()))
        bonds = find_bonds(geometry_of(run.atoms(start)), NEAR)
        longer = np.linalg.norm(bonds.vectors + steps[bonds.second] - steps[bonds.first], axis=1) - bonds.distances
        along = np.einsum("pa,pa->p", unit(run)[-1, bonds.first], unit(run)[-1, bonds.second])
        slopes.append(np.polyfit(along, longer, 1)[0])
    print(f"{name}: free energy per site falls by {mean(falls)} t, sites move by {mean(moves)} a (rms)")
    print(f"  bonds shorter than {NEAR} grow by ({mean(slopes)}) s_i.s_j")
    if name != "spins stay":
        each = [memory(run, "moving", PLACES, run.times[-1] - COOLED) for run in magnets]
        draw(axes[1, 2], each, color, name)
        for k, curve in enumerate(averaged(each)):
            print(
                f"  age {curve.waiting:g}: C after {curve.times[-1]:g} {curve.values[-1]:.3f} +- {spread(each, k)[-1]:.3f}"
            )
on_log(axes[1, 2], "t [ħ/t]", TWO_TIMES, f"kT = 0.006, ages {', '.join(map(str, AGES['moving']))}", (10, 30, 100, 300))
axes[1, 2].legend(frameon=False)
fig.savefig("disordered_magnet.png", dpi=130)
