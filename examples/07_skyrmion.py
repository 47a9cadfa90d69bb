"""A Neel skyrmion in a ferromagnetic film: relaxation with ASE's FIRE, and the barrier that keeps it from collapsing.

Writes skyrmion.png: the skyrmion, the saddle point, and the minimum-energy path of a geodesic nudged elastic band.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from ase.optimize import FIRE

from spinase import SpinAtoms
from spinase.analysis import topological_charge
from spinase.calculators import (
    DMICalculator,
    HeisenbergCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.dynamics import SpinOptimizable, geodesic_path, minimum_energy_path
from spinase.units import METAL
from spinase.viz.figures import COLORS, spin_map

MEV = 1e-3
film = SpinAtoms.lattice("square", (24, 24), moment=2.0)
film.calc = SpinSumCalculator(
    [
        HeisenbergCalculator(shells=[10 * MEV]),
        DMICalculator(shells=[5 * MEV], normal=(0, 0, 1)),
        UniaxialAnisotropyCalculator(0.4 * MEV, (0, 0, 1)),
        ZeemanCalculator((0, 0, 25 * METAL.tesla)),
    ]
)
start = film.copy()
start.calc = film.calc
r = start.positions - start.positions.mean(axis=0)
distance = np.linalg.norm(r, axis=1)
angle = 2 * np.arctan2(np.sinh(3 / 1.5), np.sinh(distance / 1.5))  # down in the middle, up outside
inward = -np.sin(angle)[:, None] * r / distance[:, None]
start.spins = inward + np.cos(angle)[:, None] * [0, 0, 1]
relaxation = FIRE(SpinOptimizable(start), logfile=None, dt=1.0, dtmax=20.0, maxstep=0.1)
relaxation.run(fmax=1e-8, steps=3000)
print(f"relaxed in {relaxation.nsteps} steps; topological charge {topological_charge(start):+.4f}")
print(f"energy against the ferromagnet: {(start.get_potential_energy() - film.get_potential_energy()) / MEV:.3f} meV")

path = geodesic_path(start, film, 11)
for image in path:
    image.calc = film.calc
result = minimum_energy_path(path, fmax=5e-6, steps=3000, spring=0.01)
charges = [topological_charge(image) for image in result.images]
print(f"collapse: barrier {result.barrier / MEV:.4f} meV at image {result.climbing}, charges {np.round(charges, 2)}")

fig, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
for ax, k, title in ((axes[0], 0, "skyrmion"), (axes[1], result.climbing, "saddle point")):
    image = result.images[k]
    spin_map(ax, image.positions, image.spins, np.asarray(image.cell), "Angstrom")
    ax.set_title(title)
axes[2].plot(result.distances, (result.energies - result.energies[0]) / MEV, "o-", color=COLORS[0])
axes[2].set(xlabel="path length [rad]", ylabel="energy - skyrmion [meV]", title=f"barrier {result.barrier / MEV:.3f} meV")
inset = axes[2].inset_axes((0.08, 0.12, 0.5, 0.46))  # the barrier, 3 of 67 meV
near = slice(0, result.climbing + 2)
inset.plot(result.distances[near], (result.energies[near] - result.energies[0]) / MEV, "o-", color=COLORS[0])
inset.axhline(result.barrier / MEV, color="0.5", lw=0.8, ls="--")
inset.set(ylim=(-0.5, None), title="around the barrier")
fig.savefig("skyrmion.png", dpi=150)
