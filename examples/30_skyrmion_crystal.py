"""Skyrmions of charge two, one and none: energies of textures of the triangular Kondo lattice against the field.

The model of R. Ozawa, S. Hayami, Y. Motome, Phys. Rev. Lett. 118, 147205 (2017): hopping 1 to neighbours and -0.85 at twice
their distance, mu = -3.5, J = 0.5; the field acts on the moments alone.  Textures are relaxed by exact diagonalization with
k-points in the magnetic cell of 48 sites, the one lowest in energy is drawn.  Writes skyrmion_crystal.png.

    python examples/30_skyrmion_crystal.py                two textures, two fields, coarse meshes (10 seconds)
    python examples/30_skyrmion_crystal.py full           five textures, ten fields (2 minutes; kept in textures_sweep/)
    python examples/30_skyrmion_crystal.py full FOLDER    beside annealed magnets, FOLDER of their sweep (anneal.toml)
    python examples/30_skyrmion_crystal.py full kT=0.03   electrons at another temperature [t]
"""

import sys
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from ase.build import make_supercell

from spinase import SpinAtoms
from spinase.analysis.topology import topological_charge, topological_density
from spinase.analysis.triangles import triangles
from spinase.atoms import geometry_of
from spinase.calculators import EDCalculator, SpinSumCalculator, ZeemanCalculator
from spinase.dynamics import Relaxation
from spinase.electrons import KMesh, SDModel, ShellHopping
from spinase.io import Run, read_run, run_conditions
from spinase.sweep import grid, sweep
from spinase.textures import skyrmion_crystal
from spinase.viz.figures import COLORS, site_map, spin_map

FULL = "full" in sys.argv
FIELDS, MESH, FINE, STEPS = (
    (np.array([0, 2, 3, 4, 5, 6, 7, 8, 9, 10]) * 1e-3, 8, 20, 80) if FULL else (np.array([0.0, 5e-3]), 8, 8, 25)
)
KT = next((word[3:] for word in sys.argv if word.startswith("kT=")), "0.01")
MODEL = SDModel(ShellHopping([1.0, 0.0, -0.85]), coupling=0.5, chemical_potential=-3.5, kT=float(KT))
FOLDER = next((word for word in sys.argv[2:] if not word.startswith("kT=")), "")
PERIOD = 6  # of every wave, distances of neighbours
ANGLES = np.arange(3) * 2 * np.pi / 3
ALONG = np.ones(3) / np.sqrt(3)  # the field
FRAME = np.stack([np.array([1, -1, 0]) / np.sqrt(2), np.array([1, 1, -2]) / np.sqrt(6), ALONG])


def susceptibility(size: int, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Length of Q along a row, and the bare susceptibility sum_k [f(k) - f(k + Q)]/[e(k + Q) - e(k)] by site and spin."""
    a, b = np.meshgrid(*2 * [2 * np.pi * np.arange(size) / size], indexing="ij")
    levels = sum(-2 * t * (np.cos(n * a) + np.cos(n * b) + np.cos(n * (a - b))) for n, t in ((1, 1.0), (2, -0.85)))
    filled = 0.5 * (1 - np.tanh((levels + 3.5) / (2 * width)))
    found = []
    for n in range(2, size // 2, 2):  # n turns along the first cell vector, n/2 along the second
        gap, moved = (np.roll(x, (-n, -n // 2), (0, 1)) - x for x in (levels, filled))
        same = np.abs(gap) < 1e-9
        found.append(np.where(same, filled * (1 - filled) / width, -moved / np.where(same, 1.0, gap)).mean())
    return 2 * np.pi * np.arange(2, size // 2, 2) / size, np.array(found)


def magnetic_cell() -> SpinAtoms:
    """48 sites, vectors of 4 sqrt(3) distances at 120 degrees."""
    site = SpinAtoms.lattice("triangular", (1, 1), units="reduced")
    return SpinAtoms(make_supercell(site, [[4, 4, 0], [-4, 8, 0], [0, 0, 1]]), units="reduced")


def start(atoms: SpinAtoms, texture: str) -> np.ndarray:
    """Spins of a texture before it is relaxed."""
    if texture in CRYSTALS:
        phase, part = CRYSTALS[texture]
        return skyrmion_crystal(geometry_of(atoms), np.random.default_rng(), phase=phase, magnetization=part * np.ones(3))
    waves = 2 * np.pi / PERIOD * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
    one, two, three = (atoms.positions[:, :2] @ waves.T).T
    parts = {
        "double-Q": (np.cos(one), np.cos(three), 0.6 + 0.6 * np.cos(two)),
        "chirality stripe": (np.cos(one), np.sin(one), 0.2 + 0.4 * np.cos(two)),
        "cone": (np.cos(one), np.sin(one), 0.3 + 0.0 * one),
    }[texture]
    spins = np.stack(parts, axis=1) @ FRAME
    return spins / np.linalg.norm(spins, axis=1)[:, None]


def relaxed(texture: str, field: float) -> dict[str, np.ndarray | float]:
    """Spins at the minimum, their energy by site on the fine mesh, charge of the magnetic cell, magnetization."""
    atoms, shift, zeeman = magnetic_cell(), (0.5, 0.5, 0.0), ZeemanCalculator(field * ALONG)
    atoms.spins = start(atoms, texture) + 1e-3 * np.random.default_rng(1).normal(size=(48, 3))  # no symmetry holds it
    atoms.calc = SpinSumCalculator([EDCalculator(MODEL, KMesh.regular((MESH, MESH, 1), shift), "complex64"), zeeman])
    minimizer = {"style": "lbfgs", "alpha": 0.05, "maxstep": 0.3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # short forms do not converge
        Relaxation(atoms, minimizer=minimizer, torque=2e-5, minimum=False, accept_unconverged=True).run(STEPS)
    atoms.calc = SpinSumCalculator([EDCalculator(MODEL, KMesh.regular((FINE, FINE, 1), shift), "complex64"), zeeman])
    energy, along = atoms.calc.get_property("free_energy", atoms) / len(atoms), atoms.spins.mean(axis=0) @ ALONG
    return {
        "energy": energy,
        "charge": topological_charge(atoms),
        "along": along,
        "spins": atoms.spins,
    }


CRYSTALS = {"charge 2": (np.pi, 0.1), "charge 1": (np.pi / 2, 0.35)}
TEXTURES = [*CRYSTALS, "double-Q", "chirality stripe", "cone"] if FULL else [*CRYSTALS]
lengths, values = susceptibility(240, 0.02)
print(f"bare susceptibility along a row: largest at |Q| = {lengths[values.argmax()] / np.pi:.3f} pi")
points = grid(texture=TEXTURES, field=FIELDS.tolist())
if FULL:
    found = sweep(relaxed, points, "textures_sweep" if KT == "0.01" else f"textures_{KT}_sweep")
    rows = [{name: found[name][k] for name in ("energy", "charge", "along", "spins")} for k in range(len(points))]
else:
    rows = [relaxed(**point) for point in points]
table = {(point["texture"], point["field"]): row for point, row in zip(points, rows, strict=True)}
lowest = {field: min(TEXTURES, key=lambda texture: table[texture, field]["energy"]) for field in FIELDS}
print("field    energies above the lowest [1e-5 t a site] (charge of a magnetic cell): " + ", ".join(TEXTURES))
for field in FIELDS:
    states = [table[texture, field] for texture in TEXTURES]
    least = min(state["energy"] for state in states)
    told = "  ".join(f"{1e5 * (state['energy'] - least):6.2f} ({state['charge']:+.0f})" for state in states)
    best = table[lowest[field], field]
    told += f"   lowest {best['energy']:.6f}, charge {abs(best['charge']):.0f}, magnetization {best['along']:.3f}"
    print(f"{field:.4f}  {told}")

figure, axes = plt.subplots(2, 3, figsize=(12, 7.4), layout="constrained", height_ratios=(1, 1.15))
by_charge = np.full((9, len(FIELDS)), np.inf)  # lowest energy of |charge| 0, 1, 2, ...
for (_, field), state in table.items():
    place = round(abs(state["charge"])), list(FIELDS).index(field)
    by_charge[place] = min(by_charge[place], state["energy"])
for color, charge in zip(COLORS, (2, 1, 0), strict=False):
    drawn = np.where(np.isfinite(by_charge[charge]), 1e4 * (by_charge[charge] - by_charge.min(axis=0)), np.nan)
    axes[0, 0].plot(1e3 * FIELDS, drawn, "o-", ms=4, color=color, label=f"|charge| {charge}")
axes[0, 0].set(xlabel="field [10$^{-3}$ t]", ylabel="energy above the lowest texture\n[10$^{-4}$ t a site]")
axes[0, 0].legend(frameon=False, fontsize=8)
best = [table[lowest[field], field] for field in FIELDS]
for ax, name, label in ((axes[0, 1], "charge", "|charge| of a magnetic cell"), (axes[0, 2], "along", "magnetization")):
    ax.plot(1e3 * FIELDS, [abs(state[name]) for state in best], "o-", ms=4, color=COLORS[0], label="lowest texture")
    ax.set(xlabel="field [10$^{-3}$ t]", ylabel=label, ylim=(-0.05, None))
annealed = [read_run(file) for file in Path(FOLDER).glob("runs/*/run.h5")] if FOLDER else []
annealed.sort(key=lambda run: run_conditions(run)["field"][-1, 2])
for run in annealed:
    magnet, field = run.atoms(-1), float(run_conditions(run)["field"][-1, 2])
    charge, along = abs(topological_charge(magnet)) * 48 / len(magnet), magnet.spins[:, 2].mean()
    print(f"annealed at {field:.4f} to {run.times[-1]:g}: |charge| {charge:.3f} a magnetic cell, magnetization {along:.3f}")
    axes[0, 1].plot(1e3 * field, charge, "s", mfc="none", color=COLORS[1])
    axes[0, 2].plot(1e3 * field, along, "s", mfc="none", color=COLORS[1])
axes[0, 1].plot([], [], "s", mfc="none", color=COLORS[1], label="annealed from random spins" if annealed else None)
axes[0, 1].legend(frameon=False, fontsize=8)
shown = [FIELDS[0], FIELDS[len(FIELDS) // 2], FIELDS[-1]]
for ax, field in zip(axes[1], shown, strict=True):
    state, cell = table[lowest[field], field], magnetic_cell()
    cell.spins = state["spins"] @ FRAME.T  # the field along z
    large = cell.repeat((3, 3, 1))
    spin_map(ax, large.positions, large.spins, None, "a")
    ax.set_title(f"field {field:g} t, |charge| {abs(state['charge']):.0f}", fontsize="medium")
figure.savefig("skyrmion_crystal.png", dpi=130)


def draw_annealed(runs: list[Run]) -> plt.Figure:
    """Spins and charge by site (a third of that of the triangles around): the first run at three times, two others."""
    early = [(runs[0], int(np.abs(runs[0].times - time).argmin())) for time in (400, 800)]
    frames = [*early, *((run, -1) for run in (runs[0], runs[len(runs) // 2], runs[-1]))]
    figure, axes = plt.subplots(2, len(frames), figsize=(3.2 * len(frames), 4.6), layout="constrained")
    for column, (run, frame) in zip(axes.T, frames, strict=True):
        magnet = run.atoms(frame)
        corners = triangles(magnet, "delaunay")
        charge = np.zeros(len(magnet))
        for corner in corners.sites.T:
            np.add.at(charge, corner, topological_density(magnet, corners) / 3)
        spin_map(column[0], magnet.positions, magnet.spins, None, "a")
        site_map(column[1], magnet.positions, charge, None, "charge by site", 0.1)
        field = run_conditions(run)["field"][frame, 2]
        column[0].set_title(f"field {field:g} t, time {run.times[frame]:g} ħ/t", fontsize="medium")
        column[1].set_title(f"charge {round(charge.sum())} in {len(magnet) // 48} cells", fontsize="medium")
    return figure


if annealed:
    draw_annealed(annealed).savefig(Path(sys.argv[-1]).with_suffix(".png"), dpi=100)
