"""Swap the physics of a run in one line: electrons by exact diagonalization, then classical exchange."""

import numpy as np

from spinase import SpinAtoms
from spinase.analysis import scalar_chirality
from spinase.calculators import EDCalculator, HeisenbergCalculator
from spinase.dynamics import LLGDynamics
from spinase.electrons import SDModel, ShellHopping

atoms = SpinAtoms.lattice("triangular", size=(8, 8), units="reduced", rng=1)  # random spins, |m| = 1
model = SDModel(hopping=ShellHopping([1.0]), coupling=3.0, filling=0.25, kT=0.01)
for calc in (EDCalculator(model), HeisenbergCalculator(shells=[-1.0])):  # swap the physics in one line
    atoms.calc = calc
    dyn = LLGDynamics(atoms, timestep=0.1, damping=0.2, integrator="sib", rng=np.random.default_rng(2))
    dyn.run(50)
    torques = atoms.calc.get_property("torques", atoms)
    print(atoms.get_potential_energy(), np.abs(torques).max(), scalar_chirality(atoms).mean())
