"""Atoms and spins of a disordered s-d magnet move together, the electrons learned or exact: one word says which.

    python examples/14_learned_spin_lattice.py model
    python examples/14_learned_spin_lattice.py exact

Prints how well two conservative runs keep their energy, with a time step and with half of it (four times better), and then
the temperatures of lattice and spins: a bath holds the lattice, and the spins follow it through the electrons.
"""

import sys

import numpy as np

from spinase import SpinAtoms
from spinase.analysis import configurational_spin_temperature
from spinase.calculators import EDCalculator, HIPNNCalculator, PairPotentialCalculator, SpinSumCalculator
from spinase.dynamics import LatticeLangevin, SpinLatticeDynamics, set_maxwell_boltzmann
from spinase.electrons import SDModel
from spinase.learning.model_file import load_model
from spinase.learning.shipped import shipped_model
from spinase.radial import Exponential

NAME, KT = "disordered-sd-moving", 0.03
WHO = sys.argv[1] if len(sys.argv) > 1 else "model"
SITES = int(sys.argv[2]) if len(sys.argv) > 2 else 64
STEPS = int(sys.argv[3]) if len(sys.argv) > 3 else 48
ELECTRONS = {
    "model": lambda: HIPNNCalculator.shipped(NAME),
    "exact": lambda: EDCalculator(SDModel.from_config(load_model(shipped_model(NAME))[1]["teacher"])),
}
if WHO not in ELECTRONS:
    sys.exit(f"say model or exact, not {WHO!r}")


def magnet() -> SpinAtoms:
    """Atoms that repel each other, bound by the electrons (reduced units: t, hbar/t, the mean distance)."""
    atoms = SpinAtoms.disordered(SITES, density=1.0, min_distance=0.75, rng=1, units="reduced")
    atoms.set_masses(np.full(SITES, 200.0))
    repulsion = PairPotentialCalculator(Exponential(0.3, 8.0, 1.0, 2.0, 0.5))
    atoms.calc = SpinSumCalculator([ELECTRONS[WHO](), repulsion])
    set_maxwell_boltzmann(atoms, KT, np.random.default_rng(2))
    return atoms


def energy(atoms: SpinAtoms) -> float:
    return (atoms.calc.get_property("free_energy", atoms) + atoms.get_kinetic_energy()) / SITES


atoms = magnet()
settle = LatticeLangevin(KT, 0.2)
SpinLatticeDynamics(atoms, 0.1, thermostat=settle, damping=0.5, integrator="sib", rng=np.random.default_rng(3)).run(STEPS)

print(f"{WHO}, {SITES} sites: largest change of the total energy per site in a time of 4")
for timestep in (0.2, 0.1):
    copy = magnet()
    copy.positions, copy.moments = atoms.positions.copy(), atoms.moments.copy()
    copy.set_momenta(atoms.get_momenta())
    dynamics = SpinLatticeDynamics(copy, timestep, integrator="sib")
    start, worst = energy(copy), 0.0
    for _ in range(10):
        dynamics.run(round(0.4 / timestep))
        worst = max(worst, abs(energy(copy) - start))
    print(f"  time step {timestep:5.3f}: {worst:.2e}")

print("kT of the lattice and of the spins, with a bath on the lattice only")
bath = LatticeLangevin(KT, 0.05)
rng = np.random.default_rng(5)
dynamics = SpinLatticeDynamics(atoms, 0.2, thermostat=bath, integrator="sib", rng=np.random.default_rng(4))
for _ in range(4):
    lattice, spins = [], []
    for _ in range(STEPS // 3):
        dynamics.run(10)
        lattice.append(2.0 * atoms.get_kinetic_energy() / (3.0 * SITES))
        spins.append(configurational_spin_temperature(atoms.calc.field_function(atoms), atoms.moments, rng, 6, 0.1))
    print(f"  time {dynamics.get_time():6.1f}: lattice {np.mean(lattice):.4f}, spins {np.mean(spins):.4f}")
