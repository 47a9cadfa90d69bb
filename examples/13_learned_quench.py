"""A structurally disordered s-d magnet finds its order: 1000 spins moved by a learned model, 120 by the exact solver.

Random spins at random sites are quenched (damping 1, no temperature).  The model comes with the package; the exact solver is
built from the model's own card, so that both are the same magnet.  Their spin correlations C(r, t) agree within the scatter
of realizations.  Writes learned_quench.png.

    python examples/13_learned_quench.py           6 realizations of each
    python examples/13_learned_quench.py 48        better statistics (5 minutes)
"""

import sys
import time

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch

from spinase import SpinAtoms
from spinase.analysis.correlations import correlate, pair_bins
from spinase.calculators import EDCalculator, HIPNNCalculator
from spinase.contract import energy_of
from spinase.dynamics import LLGDynamics
from spinase.electrons import SDModel
from spinase.viz.figures import COLORS

REALIZATIONS = int(sys.argv[1]) if len(sys.argv) > 1 else 6
TIMES, EDGES, STEP = (0.0, 2.0, 6.0, 20.0), np.arange(0.75, 2.3, 0.15), 0.5

torch.set_num_threads(1)  # the matrices of small magnets gain nothing from more
learned = HIPNNCalculator.shipped("disordered-sd")
exact = EDCalculator(SDModel.from_config(learned.card.notes["teacher"]))


def quench(calculator: HIPNNCalculator | EDCalculator, sites: int, seed: int) -> tuple[list, np.ndarray]:
    """C(r), and energy per spin counted from the start, at each of the TIMES."""
    atoms = SpinAtoms.disordered(sites, density=1.0, min_distance=0.75, units="reduced", rng=seed)
    atoms.calc = calculator
    dynamics, pairs = LLGDynamics(atoms, STEP, damping=1.0, integrator="heun"), pair_bins(atoms, bins=EDGES)
    correlations, energies = [], []
    for now in TIMES:
        dynamics.run(round((now - dynamics.get_time()) / STEP))
        correlations.append(correlate(atoms.spins, pairs).values)
        energies.append(energy_of(atoms) / sites)
    return correlations, np.subtract(energies, energies[0])


found, energies = {}, {}
for name, calculator, sites in (("model", learned, 1000), ("exact", exact, 120)):
    start = time.perf_counter()
    runs = [quench(calculator, sites, seed) for seed in range(REALIZATIONS)]
    found[name] = np.array([correlations for correlations, _ in runs])  # (realizations, times, bins)
    energies[name] = np.array([values for _, values in runs])
    seconds = (time.perf_counter() - start) / REALIZATIONS
    print(f"{name}: {REALIZATIONS} quenches of {sites} spins to t = {TIMES[-1]:g} hbar/t, {seconds:.1f} s each")

radii = 0.5 * (EDGES[1:] + EDGES[:-1])
mean = {name: values.mean(axis=0) for name, values in found.items()}
scatter = {name: values.std(axis=0, ddof=1) for name, values in found.items()}  # of the realizations
for k, now in enumerate(TIMES):
    difference = np.abs(mean["model"][k] - mean["exact"][k])
    near = f"C({radii[0]:.2f}) = {mean['model'][k, 0]:+.3f} (model) {mean['exact'][k, 0]:+.3f} (exact)"
    print(
        f"t = {now:4.1f}: {near}; C(r) differs by {difference.mean():.3f}, realizations by {scatter['exact'][k].mean():.3f}"
    )
for name, values in energies.items():
    print(f"{name}: energy per spin falls by {-values[:, -1].mean():.4f} +- {values[:, -1].std(ddof=1):.4f} t")

fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
error = {name: spread / np.sqrt(REALIZATIONS) for name, spread in scatter.items()}  # of the mean
for k, (now, color) in enumerate(zip(TIMES, plt.cm.viridis(np.linspace(0.0, 0.85, len(TIMES))), strict=True)):
    low, high = mean["model"][k] - error["model"][k], mean["model"][k] + error["model"][k]
    axes[0].fill_between(radii, low, high, color=color, alpha=0.25, lw=0)
    axes[0].plot(radii, mean["model"][k], color=color, label=f"{now:g} ħ/t")
    axes[0].errorbar(radii + 0.01 * k, mean["exact"][k], error["exact"][k], fmt="o", ms=4, color=color, capsize=2)
axes[0].set(xlabel="distance r [a]", ylabel="C(r, t)", title="lines: model, 1000 spins; points: exact, 120 spins")
axes[0].legend(frameon=False, title="time")
for name, color in zip(energies, COLORS, strict=False):
    centre, width = energies[name].mean(axis=0), energies[name].std(axis=0, ddof=1) / np.sqrt(REALIZATIONS)
    marker = {"model": "o", "exact": "s"}[name]
    axes[1].errorbar(TIMES, centre, width, fmt=marker, ms=5, mfc="none", color=color, capsize=2, label=name)
axes[1].set(
    xlabel="time [ħ/t]",
    ylabel="energy per spin, from the start [t]",
    title=f"bars: errors of means of {REALIZATIONS} quenches",
)
axes[1].legend(frameon=False)
fig.savefig("learned_quench.png", dpi=150)
