"""Chiral domains grow: random spins of a triangular s-d magnet, quenched by a learned model into tetrahedral order.

Tetrahedral order (J = 3 t, filling 1/4) has two chiralities, s_i.(s_j x s_k) = +-0.77 on every triangle.  Domains of both
coarsen; their size L, from the structure factor of the chirality, grows linearly in time, faster than the square root that
curvature alone would give (arXiv:2403.11705).  Prints L and the exponent; writes chiral_domains.png.

    python examples/15_chiral_domains.py               32 x 32 sites, one quench, to time 160 (half a minute)
    python examples/15_chiral_domains.py 96 4 1000     96 x 96 sites, four quenches, to time 1000 (ten minutes)
"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from spinase import SpinAtoms
from spinase.analysis.structure_factor import chirality_correlation_length
from spinase.analysis.topology import scalar_chirality
from spinase.analysis.triangles import triangles
from spinase.calculators import HIPNNCalculator
from spinase.dynamics import LLGDynamics
from spinase.viz.figures import COLORS

SIZE, QUENCHES, END = (int(word) for word in (sys.argv[1:] + ["32", "1", "160"][len(sys.argv) - 1 :]))
STEP, SAMPLES, FIRST = 0.8, 20, 40.0  # from FIRST on there are domains

learned = HIPNNCalculator.shipped("triangular-tetrahedral")
times = np.unique(np.round(np.concatenate([[0.0], np.linspace(FIRST, END, SAMPLES)]) / STEP)) * STEP
lengths, order, maps = np.zeros((QUENCHES, len(times))), np.zeros((QUENCHES, len(times))), []
for seed in range(QUENCHES):
    atoms = SpinAtoms.lattice("triangular", (SIZE, SIZE), units="reduced", texture="random", rng=seed)
    atoms.calc = learned
    dynamics, corners = LLGDynamics(atoms, STEP, damping=1.0, integrator="heun"), triangles(atoms)
    for k, now in enumerate(times):
        dynamics.run(round((now - dynamics.get_time()) / STEP))
        chirality = scalar_chirality(atoms, corners)
        lengths[seed, k] = chirality_correlation_length(atoms, corners)
        order[seed, k] = np.mean(np.abs(chirality))
        if seed == 0 and k in (len(times) // 4, len(times) // 2, len(times) - 1):
            maps.append((now, atoms.positions[corners.sites[:, 0], :2], chirality))

print("time     size of domains    mean |chirality| (ordered: 0.77)")
for k, now in enumerate(times):
    print(f"{now:7.1f}  {lengths[:, k].mean():7.3f}            {order[:, k].mean():.3f}")
late = times >= FIRST
size = lengths[:, late].mean(axis=0)
slope, start = np.polyfit(times[late], size, 1)
exponent = np.polyfit(np.log(times[late]), np.log(size), 1)[0]
print(f"L = {start:.2f} + {slope:.4f} t from {FIRST:g} to {END} hbar/t; as a power of time: exponent {exponent:.2f}")

figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained", width_ratios=(1.3, 1, 1, 1))
axes[0].plot(times[late], size, "o", color=COLORS[0], label=f"{SIZE} x {SIZE}, {QUENCHES} quenches")
axes[0].plot(times[late], start + slope * times[late], color=COLORS[1], label="linear in time")
axes[0].set(xlabel="time (hbar/t)", ylabel="size of chiral domains (a)", ylim=(0, None))
axes[0].legend(frameon=False)
for ax, (now, places, chirality) in zip(axes[1:], maps, strict=True):
    shown = ax.scatter(*places.T, c=chirality, s=1.5e4 / SIZE**2, marker="h", cmap="RdBu", vmin=-0.77, vmax=0.77, lw=0)
    ax.set(title=f"t = {now:.0f}", xticks=[], yticks=[], aspect="equal")
figure.colorbar(shown, ax=axes[1:], label="chirality", shrink=0.8)
figure.savefig("chiral_domains.png", dpi=120)
print("wrote chiral_domains.png")
