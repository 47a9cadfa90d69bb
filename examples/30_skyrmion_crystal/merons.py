"""Spots of topological charge along the cooling of the triangular Kondo lattice, from run files: python merons.py FOLDER

    python examples/30_skyrmion_crystal/merons.py anneal_sweep

A spot is the sites from which the charge by site (a third of that of the triangles around, averaged with the six
neighbours) rises to one maximum of either sign; its charge is their sum, without the averaging.  Merons have 1/2.  Prints
for every frame of every run under the folder: charge, spots beyond a tenth with their median and how many are merons (0.35
to 0.65), how often the nearest one has the same sign (and how often by chance), and the weight of the three pairs of peaks
of S(q).  Writes skyrmion_merons.png of the run in the weakest field.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms
from ase.geometry import get_distances

from spinase.analysis.structure_factor import structure_factor
from spinase.analysis.topology import topological_density
from spinase.analysis.triangles import triangles
from spinase.io import Run, read_run, run_conditions
from spinase.viz.figures import COLORS, site_map, spin_map, structure_factor_map

LEAST = 0.1  # charge of a spot that counts
MERON = (0.35, 0.65)
PEAK = np.pi / 3  # |Q|, 1/distance
SHOWN, MARKED = 4, 200  # frames of the figure; spots of a map whose maxima are marked


class Spots(NamedTuple):
    """Charge by site (N,), charges (S,) of the spots, and the sites (S,) of their maxima."""

    density: np.ndarray
    charges: np.ndarray
    sites: np.ndarray


def spots(magnet: Atoms) -> Spots:
    """Spots of charge of a triangular magnet."""
    corners = triangles(magnet, "delaunay")
    density = np.zeros(len(magnet))
    by_triangle = topological_density(magnet, corners) / 3
    for corner in corners.sites.T:
        np.add.at(density, corner, by_triangle)
    near = neighbours(corners.sites, len(magnet))
    smooth = (density + density[near].sum(axis=1)) / 7
    places = np.column_stack([np.arange(len(magnet)), near])
    height = np.where(np.sign(smooth[places]) == np.sign(smooth)[:, None], np.abs(smooth[places]), -1.0)
    top = places[np.arange(len(magnet)), height.argmax(axis=1)]
    while (top[top] != top).any():
        top = top[top]
    charges = np.bincount(top, density, minlength=len(magnet))
    sites = np.flatnonzero(np.abs(charges) > LEAST)
    return Spots(density, charges[sites], sites)


def neighbours(corners: np.ndarray, count: int) -> np.ndarray:
    """The six neighbours (count, 6) of every site of a triangular lattice, from its triangles (T, 3)."""
    ends = np.unique(np.concatenate([corners[:, [i, j]] for i in range(3) for j in range(3) if i != j]), axis=0)
    if not (np.bincount(ends[:, 0], minlength=count) == 6).all():
        sys.exit("merons.py wants a triangular lattice with periodic boundaries, larger than three sites")
    return ends[:, 1].reshape(count, 6)


def same_sign(magnet: Atoms, found: Spots) -> tuple[float, float, float]:
    """How often the nearest spot has the same sign, how often two that are drawn have it, and the median distance [a]."""
    if len(found.sites) < 2:
        return (float("nan"),) * 3
    places = magnet.positions[found.sites]
    apart = get_distances(places, cell=magnet.cell, pbc=magnet.pbc)[1] + np.diag(np.full(len(places), np.inf))
    nearest, sign = apart.argmin(axis=1), np.sign(found.charges)
    plus, count = int((sign > 0).sum()), len(sign)
    chance = (plus * (plus - 1) + (count - plus) * (count - plus - 1)) / (count * (count - 1))
    return float((sign[nearest] == sign).mean()), chance, float(np.median(apart.min(axis=1)))


def peak_weights(magnet: Atoms) -> np.ndarray:
    """Weights (3,) of the peaks of S(q) along the three rows, of a sum of 1, the largest first."""
    factor = structure_factor(magnet)
    waves, weight = factor.wavevectors[:, :2], factor.values / len(magnet)
    angles = np.degrees(np.arctan2(waves[:, 1], waves[:, 0])) % 180
    around = np.abs(np.linalg.norm(waves, axis=1) - PEAK) < 0.35
    row = np.asarray(magnet.cell.array[0][:2])
    turned = (angles - np.degrees(np.arctan2(row[1], row[0]))) % 180
    found = [weight[around & (np.abs((turned - middle + 90) % 180 - 90) < 30)].sum() for middle in (0, 60, 120)]
    return np.sort(found)[::-1]


def told(run: Run, frame: int) -> str:
    """A line about a frame."""
    magnet = run.atoms(frame)
    found = spots(magnet)
    size = np.abs(found.charges)
    half = ((size > MERON[0]) & (size < MERON[1])).sum()
    same, chance, apart = same_sign(magnet, found)
    median = np.median(size) if len(size) else float("nan")
    charges = f"{found.density.sum():6.1f} {np.abs(found.density).sum():6.1f} {len(size):5d} {median:7.3f} {half:6d}"
    peaks = " ".join(f"{weight:.2f}" for weight in peak_weights(magnet))
    at = f"{run_conditions(run)['field'][frame, 2]:.4f} {run.times[frame]:6g}"
    return f"{at} {charges}   {same:.2f} ({chance:.2f}) {apart:5.1f}   {peaks}"


def draw(run: Run) -> None:
    """Spins, charge by site with the maxima of its spots, S(q) and charges of spots at several times."""
    frames = np.unique(np.linspace(1, len(run.times) - 1, SHOWN).round().astype(int))
    heights = (1.9, 1.9, 2.3, 1.7)
    size = (3.6 * len(frames), sum(heights) + 0.6)
    fig, axes = plt.subplots(4, len(frames), figsize=size, layout="constrained", height_ratios=heights, squeeze=False)
    for column, frame in zip(axes.T, frames, strict=True):
        magnet = run.atoms(frame)
        found = spots(magnet)
        spin_map(column[0], magnet.positions, magnet.spins, None, "a")
        column[0].set_title(f"time {run.times[frame]:g} ħ/t", fontsize="medium")
        site_map(column[1], magnet.positions, found.density, None, "charge by site", 0.1)
        half = (np.abs(found.charges) > MERON[0]) & (np.abs(found.charges) < MERON[1])
        for chosen, mark in ((half, "o"), (~half, "x")):
            at = magnet.positions[found.sites[chosen]]
            if len(half) <= MARKED:
                column[1].plot(at[:, 0], at[:, 1], mark, ms=4, mew=0.8, mfc="none", color="k")
        column[1].set_title(f"charge {found.density.sum():.0f}; merons: {half.sum()} of {len(half)}", fontsize="medium")
        factor = structure_factor(magnet)
        structure_factor_map(column[2], factor.wavevectors, factor.values)
        for ax, signed, color in ((column[3], 1, COLORS[1]), (column[3], -1, COLORS[0])):
            ax.hist(signed * found.charges, np.linspace(0.1, 1.1, 21), histtype="step", color=color, label=f"{signed:+d}")
        column[3].axvspan(*MERON, color="0.92", zorder=0)
        column[3].set(xlabel="|charge| of a spot", ylabel="spots")
        column[3].legend(frameon=False, fontsize=8, title="sign", title_fontsize=8)
    fig.savefig("skyrmion_merons.png", dpi=90)
    plt.close(fig)


def main(folder: str) -> None:
    runs = [read_run(file) for file in sorted(Path(folder).rglob("run.h5"))]
    if not runs:
        sys.exit(f"there is no run file under {folder}: name a folder of spinase run or sweep")
    runs.sort(key=lambda run: run_conditions(run)["field"][-1, 2])
    print("field    time charge  sum|.| spots  median merons  nearest has the same sign (by chance), at [a]   peaks of S(q)")
    for run in runs:
        for frame in range(1, len(run.times)):
            print(told(run, frame))
    draw(runs[0])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
