"""The inner seam: a sparse single-particle operator and the density on the same pattern.

Basis: site-major, spin inside.  H has one 2x2 block on every site and one spin-diagonal amplitude on every bond:

    H_ii = onsite_i + exchange_i . sigma,     H_ij = hopping_ij (and its conjugate on ji).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinase.geometry import Bonds
from spinase.typing import ComplexArray, FloatArray


@dataclass(frozen=True, eq=False)
class SpinOperator:
    """A Hamiltonian of electrons with spin on N sites.

    Attributes
    ----------
    bonds : Bonds
        SparsityPattern of the off-diagonal part, each pair once; ``shifts`` carry the Bloch phases exp(2 pi i k.S).
    hopping : (n_bonds,) float or complex
        H_{first, second + shift}, energy, the same for both spins.
    onsite : (N,) float
        Spin-independent part of the site blocks, energy.
    exchange : (N, 3) float
        Vector of the site blocks, energy: H_ii = onsite + exchange . sigma.
    """

    bonds: Bonds
    hopping: FloatArray | ComplexArray
    onsite: FloatArray
    exchange: FloatArray

    def __len__(self) -> int:
        return len(self.onsite)

    @property
    def is_real(self) -> bool:
        """Whether the hopping is real (no flux)."""
        return not np.iscomplexobj(self.hopping)


class SparsityPattern:
    """Sites and bonds of an operator: what the plans of solvers belong to."""

    def __init__(self, operator: SpinOperator) -> None:
        self._sites, self._bonds = len(operator), operator.bonds

    def fits(self, operator: SpinOperator) -> bool:
        """Whether `operator` has the same sites and, in the same order, the same bonds."""
        own, bonds = self._bonds, operator.bonds
        same = own is bonds or (np.array_equal(own.first, bonds.first) and np.array_equal(own.second, bonds.second))
        return same and self._sites == len(operator)


@dataclass(frozen=True, eq=False)
class Density:
    """One-particle density matrix rho_{ia,jb} = <c+_jb c_ia> on the pattern of a :class:`SpinOperator`.

    Attributes
    ----------
    charge : (N,)
        Tr rho_ii, electrons per site.
    spin : (N, 3)
        Tr[sigma rho_ii], angular momentum in units of hbar/2 per site (the electrons' moment is -mu_B times it).
    bond : (n_bonds,) complex
        Sum over spin of rho_{ia,ja} with i = first, j = second + shift.
    """

    charge: FloatArray
    spin: FloatArray
    bond: ComplexArray

    def band_energy(self, operator: SpinOperator) -> float:
        """Tr[rho H], energy."""
        onsite = self.charge @ operator.onsite + float(np.sum(self.spin * operator.exchange))
        return float(onsite + 2.0 * np.sum((self.bond.conj() * operator.hopping).real))


@dataclass(frozen=True, eq=False)
class ElectronState:
    """What a solver returns.

    Attributes
    ----------
    energy : float
        Internal energy U = Tr[rho H], whether the number of electrons or the chemical potential is fixed.
    free_energy : float
        What forces and fields are gradients of: F = U - kT S at fixed number, Omega = F - mu N at fixed chemical potential.
    entropy : float
        In units of k_B.
    chemical_potential : float
        mu, energy.
    electrons : float
        Number of electrons in the cell.
    density : Density
    levels, weights : (n_levels,)
        Single-particle energies and how many states of the cell each stands for (empty for solvers without them).
    """

    energy: float
    free_energy: float
    entropy: float
    chemical_potential: float
    electrons: float
    density: Density
    levels: FloatArray
    weights: FloatArray
