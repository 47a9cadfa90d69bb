"""Magnons of a metal whose spins stand in a tetrahedron: S(q, omega) of runs by the exact solver and by a learned model.

Triangular s-d magnet (J = 3 t, filling 1/4, electrons at kT = 0.2 t): its electrons couple the spins.  Cold spins are
left alone, moved by the rational solver in a small box and by the learned model, which was taught by that solver, in a
larger one.  Beside the maps (times omega^2, so that a classical magnet has all modes alike) stand linear spin waves from
second derivatives of the same calculators.  The magnetic cell holds four sites: three modes without energy, as the
tetrahedron turns as a whole, and an optical one at the zone centre.

    python examples/27_metal_magnons.py          12 x 12 sites exact, 24 x 24 by the model, to time 2400 (two minutes)

Prints how far peaks of runs are from bands, and those of the model from the exact ones; writes metal_magnons.png.
"""

from dataclasses import dataclass

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from ase.dft.kpoints import BandPath

from spinase import SpinAtoms
from spinase.analysis import DynamicCorrelations, Equipartition, dynamic_correlations
from spinase.calculators import LatticeCalculator, RationalCalculator, teacher_of
from spinase.dynamics import LLGDynamics
from spinase.spinwaves import BlochHessian, difference_hessian, magnon_bands, magnon_intensities, wavevectors_of
from spinase.viz import draw_bands, draw_spectrum
from spinase.viz.figures import COLORS
from spinase.viz.magnons import band_axis

EXACT, LARGE, END, KT = 12, 24, 2400.0, 3e-4  # sites along the sides, multiples of six; hbar/t; t
STEP, EVERY = 0.8, 5  # Heun's steps: fields along these spins are large, 1.2 t, which other integrators take for precession
LOWEST, SEEN, APART = 0.03, 0.05, 0.008  # lines: least energy, least share of the weight at q, and least distance [t]
NAME = "triangular-tetrahedral-lattice"


@dataclass(frozen=True)
class Found:
    """A run, its path and the second derivatives of its calculator; lines (q, energy) of spin waves, energies of the run."""

    path: BandPath
    run: DynamicCorrelations
    hessian: BlochHessian
    lines: np.ndarray
    peaks: np.ndarray


def path_of(size: int) -> BandPath:
    """Gamma - M - K - Gamma of the lattice through wavevectors that fit a box of so many sites."""
    cell = SpinAtoms.lattice("triangular", (1, 1), units="reduced").cell
    points = cell.bandpath("GMKG", npoints=4, pbc=(True, True, False)).special_points
    legs = (("G", "M", size // 2), ("M", "K", size // 6), ("K", "G", size // 3))
    kpts = [points[a] + (points[b] - points[a]) * k / steps for a, b, steps in legs for k in range(steps)]
    return BandPath(cell, kpts=[*kpts, points["G"]], path="GMKG", special_points={name: points[name] for name in "GMK"})


def measured(calculator, size: int, finer=None) -> Found:
    """Brought to the temperature by a bath, then left alone; second derivatives perhaps by a finer calculator."""
    atoms = SpinAtoms.lattice("triangular", (size, size), units="reduced", texture="tetrahedral")
    atoms.calc = finer or calculator
    hessian, path = difference_hessian(atoms, (size // 2, size // 2, 1)), path_of(size)
    atoms.calc = calculator
    bath = LLGDynamics(atoms, STEP, damping=0.5, kT=KT, integrator="heun", rng=np.random.default_rng(1))
    bath.run(round(0.1 * END / STEP))
    frames, energies = [], []
    alone = LLGDynamics(atoms, STEP, integrator="heun")
    alone.attach(lambda: frames.append(atoms.spins.copy()), EVERY)
    alone.attach(lambda: energies.append(atoms.get_potential_energy(force_consistent=True)), max(1, round(END / STEP) // 40))
    alone.run(round(END / STEP))
    drift = (energies[-1] - energies[0]) / (KT * len(atoms))
    run = dynamic_correlations(atoms.positions, np.array(frames), EVERY * STEP, wavevectors_of(path))
    lines = lines_of(hessian, path)
    told = f"{size} x {size}: energy of the run changes by {drift:.1e} kT a site"
    print(f"{told}; second derivatives to {hessian.uncertainty:.0e} t")
    return Found(path, run, hessian, lines, peaks_at(run.broadened(1.5 * run.spacing), lines))


def lines_of(hessian: BlochHessian, path: BandPath) -> np.ndarray:
    """Rows (index of q, energy) of what a classical run shows of linear spin waves; lines that lie close count as one."""
    seen, rows = magnon_intensities(hessian, path, Equipartition(KT)), []
    for k, (energies, weights) in enumerate(zip(seen.frequencies, seen.trace() * seen.frequencies**2, strict=True)):
        order = np.argsort(energies)
        chosen = order[(energies[order] > LOWEST) & (weights[order] > SEEN * weights.sum())]
        for group in np.split(chosen, np.flatnonzero(np.diff(energies[chosen]) > APART) + 1):
            if len(group):
                rows.append((k, np.average(energies[group], weights=weights[group])))
    return np.array(rows)


def folded(run: DynamicCorrelations) -> tuple[np.ndarray, np.ndarray]:
    """Positive frequencies, and omega^2 [S(q, omega) + S(q, -omega)] there."""
    grid, places = run.frequencies[run.frequencies > 0.0], run.frequencies
    return grid, grid**2 * np.array([np.interp(grid, places, row) + np.interp(-grid, places, row) for row in run.trace()])


def peaks_at(run: DynamicCorrelations, lines: np.ndarray) -> np.ndarray:
    """Energy (l,) of the highest point of the run within 15 % of each line, but nearer to it than to others."""
    (grid, power), found = folded(run), []
    for k, energy in lines:
        others = lines[(lines[:, 0] == k) & (lines[:, 1] != energy), 1]
        reach = min(max(0.15 * energy, 1.5 * run.spacing), 0.5 * np.abs(others - energy).min(initial=np.inf))
        near = np.flatnonzero(np.abs(grid - energy) <= max(reach, 0.6 * run.spacing))
        top = near[power[int(k), near].argmax()]
        low, middle, high = np.log(power[int(k), top - 1 : top + 2])
        bent = max(2.0 * middle - low - high, 1e-9)
        found.append(grid[top] + run.spacing * np.clip(0.5 * (high - low) / bent, -0.5, 0.5))
    return np.array(found)


def compared(what: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Mean, root mean square and largest deviation by the expected energies."""
    away = found / expected - 1.0
    print(
        f"{what}: {100 * away.mean():+.2f} % on average, {100 * np.sqrt(np.mean(away**2)):.2f} % rms, "
        f"{100 * np.abs(away).max():.2f} % at most, of {len(away)} lines"
    )


electrons = teacher_of(NAME).model
fast = RationalCalculator(electrons, tolerance=1e-4, dtype="complex64")  # fields to 1e-5 t
fine = RationalCalculator(electrons, tolerance=1e-8)
exact = measured(fast, EXACT, fine)
model = measured(LatticeCalculator.shipped(NAME), LARGE)
compared("exact run over exact spin waves", exact.peaks, exact.lines[:, 1])
compared("model run over spin waves of the model", model.peaks, model.lines[:, 1])
box = SpinAtoms.lattice("triangular", (LARGE, LARGE), units="reduced", texture="tetrahedral")
box.calc = fine
larger = difference_hessian(box, (LARGE // 2, LARGE // 2, 1))
bands = [np.sort(magnon_bands(each, model.path).energies, axis=1) for each in (larger, model.hessian)]
compared("bands of the model over exact ones of its box", bands[1][bands[0] > LOWEST], bands[0][bands[0] > LOWEST])
seen = peaks_at(
    model.run.broadened(1.5 * model.run.spacing), np.column_stack([exact.lines[:, 0] * (LARGE // EXACT), exact.lines[:, 1]])
)
compared("peaks of the model's run over those of the exact run", seen, exact.peaks)

figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
for ax, each, name in zip(
    axes, (exact, model), (f"exact solver, {EXACT} x {EXACT}", f"learned model, {LARGE} x {LARGE}"), strict=False
):
    grid, power = folded(each.run.broadened(1.5 * each.run.spacing))
    draw_spectrum(ax, grid[grid > 0.02], power[:, grid > 0.02], each.path, "t")
    draw_bands(ax, magnon_bands(each.hessian, path_of(240)), path_of(240), "t")
    ax.set(title=name, ylim=(0.0, 0.18))
for each, hessian, color, name in ((exact, larger, COLORS[0], "exact"), (model, model.hessian, COLORS[1], "model")):
    waves = magnon_bands(hessian, path_of(240))
    draw_bands(axes[2], waves, path_of(240), "t", color=color, label=f"{name}, {LARGE} x {LARGE}")
    places = each.path.get_linear_kpoint_axis()[0][each.lines[:, 0].astype(int)]
    style = {"ms": 6, "marker": "o"} if each is exact else {"ms": 3, "marker": "s"}
    axes[2].plot(places, each.peaks, ls="none", color=color, mfc="none", label=f"run, {name}", **style)
band_axis(axes[2], exact.path)
axes[2].set(title="bands of both, peaks of both runs", ylim=(0.0, 0.18))
axes[2].legend(frameon=False, loc="upper center", ncols=2, fontsize="small")
figure.savefig("metal_magnons.png", dpi=150)
