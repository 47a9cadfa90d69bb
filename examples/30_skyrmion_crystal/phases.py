"""Charge and magnetization of cooled magnets against the field, from run files: python phases.py FOLDER [FIELD ...]

    python examples/30_skyrmion_crystal/phases.py anneal_model_sweep 0.0037 0.0071

Prints the magnitude of the topological charge of a magnetic cell of 48 sites, the magnetization along the field, the energy
of a site and the rms torque of every magnet at its end, and writes skyrmion_phases.png: both against the field, one point a
magnet, and spins and charge by site of the lowest magnets at the weakest field, in the middle and at the strongest.  FIELDs
are drawn as lines: where others (the exact textures of examples/30_skyrmion_crystal.py) say that the charge changes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from spinase import SpinAtoms
from spinase.analysis.topology import topological_charge, topological_density
from spinase.analysis.triangles import triangles
from spinase.io import read_run, run_conditions
from spinase.viz.figures import COLORS, site_map, spin_map

CELL = 48  # sites


class Cooled(NamedTuple):
    """A magnet at the end of its run: its field, |charge| of a cell, magnetization along z, energy of a site, rms torque."""

    atoms: SpinAtoms
    field: float
    charge: float
    along: float
    energy: float
    torque: float


def cooled(file: Path) -> Cooled:
    run = read_run(file)
    atoms = run.atoms(-1)
    energy = run.observables["energy"]["per_site"].values[-1]
    torque = run.observables["torque"]["rms"].values[-1]
    charge = abs(topological_charge(atoms)) * CELL / len(atoms)
    field = float(run_conditions(run)["field"][-1, 2])
    return Cooled(atoms, field, charge, float(atoms.spins[:, 2].mean()), float(energy), float(torque))


def draw(magnets: list[Cooled], lines: list[float]) -> None:
    fields = sorted({one.field for one in magnets})
    chosen = [fields[0], fields[len(fields) // 2], fields[-1]]
    lowest = [min((one for one in magnets if one.field == field), key=lambda one: one.energy) for field in fields]
    figure, axes = plt.subplots(2, 4, figsize=(13, 5.2), layout="constrained", width_ratios=(1.1, 1, 1, 1))
    for ax, name, label in ((axes[0, 0], "charge", "|charge| of a\nmagnetic cell"), (axes[1, 0], "along", "magnetization")):
        for chosen_ones, fill, told in ((magnets, "none", "all"), (lowest, COLORS[0], "lowest in energy")):
            at, values = [1e3 * one.field for one in chosen_ones], [getattr(one, name) for one in chosen_ones]
            ax.plot(at, values, "o", color=COLORS[0], mfc=fill, label=told)
        for line in lines:
            ax.axvline(1e3 * line, ls="--", color="0.6", lw=1)
        ax.set(xlabel="field [10⁻³ t]", ylabel=label)
    axes[0, 0].legend(frameon=False, fontsize=8)
    for column, field in zip(axes.T[1:], chosen, strict=True):
        best = lowest[fields.index(field)]
        spin_map(column[0], best.atoms.positions, best.atoms.spins, None, "a")
        column[0].set_title(f"field {1e3 * field:g}·10⁻³ t", fontsize="medium")
        corners = triangles(best.atoms, "delaunay")
        density = np.zeros(len(best.atoms))
        for corner in corners.sites.T:
            np.add.at(density, corner, topological_density(best.atoms, corners) / 3)
        site_map(column[1], best.atoms.positions, density, None, "charge by site", 0.06)
        column[1].set_title(f"|charge| {best.charge:.2f} a cell", fontsize="medium")
    figure.savefig("skyrmion_phases.png", dpi=100)
    plt.close(figure)


def main(folder: str, *fields: str) -> None:
    magnets = [cooled(file) for file in sorted(Path(folder).rglob("run.h5"))]
    if not magnets:
        sys.exit(f"there is no run file under {folder}: name a folder of spinase sweep")
    magnets.sort(key=lambda one: (one.field, one.energy))
    print("field    |charge| of a cell  magnetization  energy of a site  rms torque")
    for one in magnets:
        print(f"{one.field:.5f} {one.charge:10.3f} {one.along:18.4f} {one.energy:17.6f} {one.torque:12.1e}")
    draw(magnets, [float(field) for field in fields])


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["."]))
