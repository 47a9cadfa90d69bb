"""Atoms and spins of bcc iron: hot spins heat a cold lattice at constant total energy, then two baths hold both at 600 K.

Writes iron.png.  Exchange: the Bethe-Slater curve of LAMMPS' iron example (in examples/17_iron_lattices.py 1.5 times as
strong, which brings the Curie point near iron's; here it is about two thirds of that); lattice: a Morse potential of iron.
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from ase import units
from ase.build import bulk

from spinase import SpinAtoms
from spinase.analysis import spin_temperature
from spinase.calculators import HeisenbergCalculator, PairPotentialCalculator, SpinSumCalculator
from spinase.dynamics import LatticeLangevin, SpinLatticeDynamics, set_maxwell_boltzmann
from spinase.radial import BetheSlater, Morse
from spinase.viz.figures import COLORS

rng = np.random.default_rng(1)
atoms = SpinAtoms(bulk("Fe", cubic=True, a=2.8665).repeat(5), moments=[0, 0, 2.2])
lattice = PairPotentialCalculator(Morse(depth=0.4174, decay=1.3885, reference=2.845, cutoff=6.0, width=0.5))
exchange = HeisenbergCalculator(law=BetheSlater(0.02726, 0.2171, 1.841, 3.4), offset=True)
atoms.calc = SpinSumCalculator([lattice, exchange])
set_maxwell_boltzmann(atoms, 200 * units.kB, rng)  # cold atoms, spins at some 650 K
atoms.spins = atoms.spins + 0.6 * rng.normal(size=(len(atoms), 3))


def look() -> list[float]:
    """Total and exchange energy per atom (eV), lattice and spin temperature (K), |m|."""
    kinetic = atoms.get_kinetic_energy() / len(atoms)
    magnetic = exchange.get_property("energy", atoms) / len(atoms)
    spin = spin_temperature(atoms.moments, atoms.calc.get_property("magnetic_forces", atoms)) / units.kB
    total = atoms.get_potential_energy() / len(atoms) + kinetic
    order = np.linalg.norm(atoms.spins.mean(axis=0))
    return [total, magnetic, 2 * kinetic / (3 * units.kB), spin, order]


def record(dynamics: SpinLatticeDynamics, steps: int) -> np.ndarray:
    rows = []
    dynamics.attach(lambda: rows.append([dynamics.get_time() / units.fs, *look()]), 5)
    dynamics.run(steps)
    return np.array(rows).T


time, total, magnetic, hot, spin, order = record(SpinLatticeDynamics(atoms, units.fs), 1000)
print(f"NVE, 1 ps, {len(atoms)} atoms: total energy {total.mean():.6f} eV/atom, keeps within {np.ptp(total):.1e}")
print(f"     exchange gives {1e3 * (magnetic[0] - magnetic[-1]):.2f} meV/atom to the lattice")

fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for values, label, color in zip((total - magnetic, magnetic, total), ("lattice", "spins", "total"), COLORS, strict=False):
    axes[0].plot(time, 1e3 * (values - values[0]), label=label, color=color)
axes[0].set(xlabel="time [fs]", ylabel="energy - start [meV/atom]", title="hot spins, cold lattice, no baths")
axes[0].legend(frameon=False)

bath = LatticeLangevin(600 * units.kB, 0.02 / units.fs)
both = SpinLatticeDynamics(
    atoms, units.fs, integrator="sib", thermostat=bath, temperature_K=600, damping=0.05, rng=np.random.default_rng(2)
)
time, _, _, hot, spin, order = record(both, 3000)
late = time > 2000
print(f"NVT at 600 K: lattice {hot[late].mean():.0f} K, spins {spin[late].mean():.0f} K, |m|/m0 = {order[late].mean():.3f}")
for values, label, color in zip((hot, spin), ("lattice", "spins"), COLORS, strict=False):
    axes[1].plot(time, values, label=label, color=color)
axes[1].axhline(600, color="0.5", lw=0.8, ls="--")
axes[1].set(xlabel="time [fs]", ylabel="temperature [K]", title="then baths at 600 K on both", ylim=(0, None))
axes[1].legend(frameon=False)
fig.savefig("iron.png", dpi=150)
