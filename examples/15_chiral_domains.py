"""Chiral domains grow: random spins of a triangular s-d magnet, quenched by a learned model into tetrahedral order.

Tetrahedral order (J = 3 t, filling 1/4) has two chiralities, s_i.(s_j x s_k) = +-0.77 on every triangle.  Domains of both
form and coarsen; their size L comes from the structure factor of the chirality.  Walls moved by their curvature alone would
make L^2 grow linearly in time; L itself was found to (arXiv:2403.11705).  Prints L, and how well either law fits the second
half of the run; writes chiral_domains.png.

    python examples/15_chiral_domains.py               32 x 32 sites, one quench, to time 160 (10 seconds): domains form
    python examples/15_chiral_domains.py 96 2 1000     96 x 96 sites, two quenches, to time 1000 (5 minutes): they grow
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
from spinase.viz.figures import COLORS, SIGNS, scale_bar

SIZE, QUENCHES, END = (int(word) for word in (sys.argv[1:] + ["32", "1", "160"][len(sys.argv) - 1 :]))
STEP, SAMPLES = 0.8, 24

learned = HIPNNCalculator.shipped("triangular-tetrahedral")
times = np.unique(np.round(np.concatenate([[0.0], np.linspace(0.1 * END, END, SAMPLES)]) / STEP)) * STEP
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
        if seed == 0 and k in (len(times) // 8, len(times) // 3, len(times) - 1):
            maps.append((now, atoms.positions[corners.sites[:, 0], :2], chirality))

print("time     size L [a]         mean |chirality| (ordered: 0.77)")
for k, now in enumerate(times):
    print(f"{now:7.1f}  {lengths[:, k].mean():7.3f}            {order[:, k].mean():.3f}")
late, size = times >= 0.5 * END, lengths.mean(axis=0)
laws = {p: np.polyfit(times[late], size[late] ** p, 1) for p in (1, 2)}
misses = {p: np.sqrt(np.mean((np.polyval(law, times[late]) ** (1 / p) - size[late]) ** 2)) for p, law in laws.items()}
print(f"from {0.5 * END:g} to {END} hbar/t: L grows by {laws[1][0]:.4f} a per hbar/t; ", end="")
print(f"L linear in time leaves {misses[1]:.4f} a, L^2 linear in time {misses[2]:.4f} a")

figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained", width_ratios=(1.3, 1, 1, 1))
waves = 2 * np.pi  # L is an inverse wavevector
axes[0].plot(
    times[1:],
    waves * size[1:],
    "o",
    ms=4,
    color=COLORS[0],
    label=f"{SIZE} x {SIZE}, {QUENCHES} quench{'es' * (QUENCHES > 1)}",
)
axes[0].plot(times[late], waves * np.polyval(laws[1], times[late]), color=COLORS[1], label="L linear in time, second half")
axes[0].set(xlabel="time [ħ/t]", ylabel="wavelength of the chirality 2πL [a]", ylim=(0, None))
axes[0].legend(frameon=False)
for ax, (now, places, chirality) in zip(axes[1:], maps, strict=True):
    shown = ax.scatter(*places.T, c=chirality, s=1.5e4 / SIZE**2, marker="h", cmap=SIGNS, vmin=-0.77, vmax=0.77, lw=0)
    ax.set(xlim=(-1, 1.5 * SIZE), ylim=(-1, 0.88 * SIZE), aspect="equal")
    ax.set_title(f"time {now:.0f} ħ/t", fontsize="medium")
    ax.set_axis_off()
    scale_bar(ax, "a")
figure.colorbar(shown, ax=axes[1:], label="scalar chirality", shrink=0.8)
figure.savefig("chiral_domains.png", dpi=120)
print("wrote chiral_domains.png")
