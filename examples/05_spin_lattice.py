"""Atoms and spins of a disordered s-d magnet move together, driven by electrons and an ordinary ASE pair potential.

Prints the total energy along a conservative run, then how a lattice bath cools hot spins through the electrons.
"""

import numpy as np
from ase import units
from ase.calculators.morse import MorsePotential

from spinase import SpinAtoms
from spinase.calculators import RationalCalculator, SpinSumCalculator
from spinase.dynamics import LatticeLangevin, SpinLatticeDynamics, set_maxwell_boltzmann
from spinase.electrons import ExponentialHopping, SDModel

atoms = SpinAtoms.disordered(60, density=0.03, min_distance=2.4, rng=1)  # metal units: eV, Angstrom
model = SDModel(hopping=ExponentialHopping(0.5, 1.2, 2.5, 4.2), coupling=1.0, filling=0.3, kT=0.05)
repulsion = MorsePotential(epsilon=0.15, r0=2.9, rho0=4.0, rcut1=4.0, rcut2=5.0)
atoms.calc = SpinSumCalculator([repulsion, RationalCalculator(model, tolerance=1e-7)])
set_maxwell_boltzmann(atoms, 300 * units.kB, np.random.default_rng(2))


def potential() -> float:
    return atoms.calc.get_property("free_energy", atoms) / len(atoms)


def kinetic() -> float:
    return atoms.get_kinetic_energy() / len(atoms)


print("conservative run:  time [fs]   potential   kinetic   total [eV/site]")
dynamics = SpinLatticeDynamics(atoms, 0.5 * units.fs)
for _ in range(6):
    print(f"{dynamics.get_time() / units.fs:27.1f} {potential():11.6f} {kinetic():9.6f} {potential() + kinetic():12.8f}")
    dynamics.run(8)

print("with a bath at 300 K on the atoms and damping on the spins:")
bath = LatticeLangevin(300 * units.kB, 0.02 / units.fs)
dynamics = SpinLatticeDynamics(
    atoms, 0.5 * units.fs, thermostat=bath, damping=0.1, integrator="heun", rng=np.random.default_rng(3)
)
for _ in range(4):
    temperature = 2 * kinetic() / (3 * units.kB)
    print(f"{dynamics.get_time() / units.fs:27.1f} {potential():11.6f} {kinetic():9.6f}   {temperature:6.1f} K")
    dynamics.run(25)
