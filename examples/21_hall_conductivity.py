"""Hall conductivity of a chiral magnet: a quantum in the gap, what a short expansion makes of it, and a wall that conducts.

The tetrahedral order of the triangular s-d magnet (J = 3 t) is an insulator at fillings 1/4 and 3/4 whose Hall conductivity
is one quantum e^2/h; domains of the other chirality have the other sign, and electrons in the gap live on the walls between.
Prints the Hall conductivity in the lower gap by exact diagonalization and by Chebyshev expansion (4 x 4 sites with an exact
trace, and large magnets with random vectors); writes hall_conductivity.png.

    python examples/21_hall_conductivity.py          48 x 48 sites at most (20 seconds)
    python examples/21_hall_conductivity.py full     200 x 200 sites (5 minutes)
"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from spinase import SpinAtoms
from spinase.analysis import exact_conductivity, kpm_conductivity, local_density_of_states, scalar_chirality, triangles
from spinase.electrons import SDModel, ShellHopping
from spinase.viz.figures import COLORS

FULL = sys.argv[1:] == ["full"]
SIZE, VECTORS, MOMENTS = (200, 4, (50, 100, 200, 400)) if FULL else (48, 4, (32, 64, 128))
MESH, WALL = (96, (32, 4)) if FULL else (16, (16, 4))
model = SDModel(ShellHopping([1.0]), coupling=3.0, filling=0.25)


def tetrahedral(size: int) -> SpinAtoms:
    """Perfect order on size x size sites."""
    return SpinAtoms.lattice("triangular", (size, size), units="reduced", texture="tetrahedral")


levels = np.linspace(-9.0, 6.0, 301)
exact = exact_conductivity(tetrahedral(2), model, (MESH, MESH, 1), width=0.05)
below, above = (exact.sea_energies[np.argsort(exact.sea_energies)[2 * MESH**2 - 1 + k]] for k in (0, 1))
gap = 0.5 * (below + above)
print(f"gap from {below:.3f} to {above:.3f} t; exact, width 0.05 t: sigma_xy = {exact.hall([gap])[0, 2]:.4f} e^2/h")

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
left.plot(levels, exact.hall(levels)[:, 2], color=COLORS[0], label=f"exact, {MESH}x{MESH} k-points")
small, large, limit = [], [], exact_conductivity(tetrahedral(4), model, width=1e-3).hall([gap])[0, 2]
for count in MOMENTS:
    small.append(kpm_conductivity(tetrahedral(4), model, count, None).hall([gap])[0, 2])
    found = kpm_conductivity(tetrahedral(SIZE), model, count, VECTORS)
    large.append((found.hall([gap])[0, 2], found.hall_errors([gap])[0, 2]))
    print(f"{count} moments: 4x4 sites {small[-1]:.4f}, {SIZE}x{SIZE} sites {large[-1][0]:.4f} +- {large[-1][1]:.4f} e^2/h")
some = levels[::6]
left.errorbar(
    some, found.hall(some)[:, 2], found.hall_errors(some)[:, 2], fmt="o", ms=3.5, mfc="none", color=COLORS[1],
    label=f"{SIZE}x{SIZE} sites, {MOMENTS[-1]} moments",
)  # fmt: skip
left.set(xlabel="chemical potential [t]", ylabel=r"Hall conductivity $\sigma_{xy}$ [$e^2/h$]", ylim=(-1.6, 1.6))
left.axvspan(below, above, color="0.9", zorder=0, label="gap at filling 1/4")
left.legend(frameon=False, fontsize=8)

middle.axhline(1.0, color="0.6", lw=0.8, ls=":")
middle.axhline(-limit, color=COLORS[2], lw=0.8, ls="--", label="4x4 sites, all moments")
middle.plot(MOMENTS, np.negative(small), "s-", color=COLORS[2], label="4x4 sites, exact trace")
value, error = np.transpose(large)
middle.errorbar(MOMENTS, -value, error, fmt="o-", color=COLORS[1], label=f"{SIZE}x{SIZE} sites, {VECTORS} random vectors")
middle.set(xlabel="moments", ylabel=r"$|\sigma_{xy}|$ in the gap [$e^2/h$]", xscale="log")
middle.set_xticks(MOMENTS, [str(count) for count in MOMENTS])
middle.minorticks_off()
middle.legend(frameon=False, fontsize=8)

atoms = SpinAtoms.lattice("triangular", WALL, units="reduced", texture="tetrahedral")
column = np.round(atoms.get_scaled_positions()[:, 0] * WALL[0]).astype(int)
atoms.spins = np.where((column < WALL[0] // 2)[:, None], 1.0, -1.0) * atoms.spins  # the other half: reversed in time
density = local_density_of_states(atoms, model, [gap], (1, MESH, 1), width=0.1)[:, 0]
profile = np.bincount(column, density) / WALL[1]
corners = triangles(atoms)
middles = corners.centres @ np.linalg.inv(atoms.cell)
place = np.floor((middles[:, 0] % 1.0) * WALL[0]).astype(int)
chirality = np.bincount(place, scalar_chirality(atoms, corners)) / np.bincount(place)
right.plot(np.arange(WALL[0]), profile, "o-", ms=4, color=COLORS[1])
right.set(xlabel="column of sites, across two walls", ylim=(0, None))
right.set_ylabel("states in mid-gap [1/(t site)]", color=COLORS[1])
right.tick_params(axis="y", labelcolor=COLORS[1])
other = right.twinx()
other.plot(np.arange(WALL[0]) + 0.5, chirality, "s--", ms=3, color=COLORS[0], lw=1)
other.tick_params(axis="y", labelcolor=COLORS[0])
other.set_ylabel("scalar chirality of the triangles", color=COLORS[0])
both = exact_conductivity(atoms, model, (1, MESH, 1), width=0.05)
along = atoms.cell[1] / np.linalg.norm(atoms.cell[1])
across = np.array([along[1], -along[0], 0.0])
flow = both.tensor([gap])[0]
print(f"4x4 sites, all moments: {limit:.4f} e^2/h")
print(f"two walls: {profile.max():.3f} states/(t site) on a wall, {profile[WALL[0] // 4]:.1e} inside a domain; ", end="")
lengthwise, crosswise = along @ flow @ along, across @ flow @ across
print(f"Hall {both.hall([gap])[0, 2]:.4f}, along the walls {lengthwise:.3f}, across {crosswise:.1e} e^2/h")
figure.savefig("hall_conductivity.png", dpi=150)
print("wrote hall_conductivity.png")
