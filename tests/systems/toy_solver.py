"""A solver as a user writes one: numpy's diagonalization of the matrix as on paper."""

from __future__ import annotations

import numpy as np

from spinase.electrons.occupation import Occupation
from spinase.electrons.operator import Density, ElectronState, SparsityPattern, SpinOperator
from spinase.electrons.solvers.base import Plan, Solver
from spinase.spin_algebra import PAULI
from systems.electrons import dense_matrix


class ToySolver(Solver[ElectronState]):
    abilities = Solver.abilities | {"spin_orbit"}

    def __init__(self, occupation: Occupation) -> None:
        self.occupation = occupation

    def plan(self, pattern: SparsityPattern) -> Plan[ElectronState]:
        return ToyPlan(pattern, self)

    def density_error(self, operator: SpinOperator) -> float:
        return 1e-9


class ToyPlan(Plan[ElectronState]):
    turns_spins = True

    def __init__(self, pattern: SparsityPattern, solver: ToySolver) -> None:
        super().__init__(pattern)
        self.solver = solver

    def follow(self, pattern: SparsityPattern) -> Plan[ElectronState]:
        return self.solver.plan(pattern)

    def _solve(self, operator: SpinOperator, bonds: bool) -> ElectronState:
        levels, vectors = np.linalg.eigh(dense_matrix(operator))
        filled = self.solver.occupation.fill(levels, np.ones(len(levels)), float(len(levels)))
        rho = ((vectors * filled.occupations) @ vectors.conj().T).reshape(len(operator), 2, len(operator), 2)
        first, second = (operator.bonds.first, operator.bonds.second) if bonds else (np.empty(0, int), np.empty(0, int))
        sites = np.einsum("iaib->iab", rho)
        density = Density(
            charge=np.einsum("iaa->i", sites).real,
            spin=np.einsum("xab,iba->ix", PAULI, sites).real,
            bond=np.einsum("kaa->k", rho[first, :, second, :]),
            bond_spin=np.einsum("xab,kba->kx", PAULI, rho[first, :, second, :]),
        )
        return ElectronState(
            energy=filled.energy,
            free_energy=filled.free_energy,
            entropy=filled.entropy,
            chemical_potential=filled.chemical_potential,
            electrons=filled.electrons,
            density=density,
            levels=levels,
            weights=np.ones(len(levels)),
        )
