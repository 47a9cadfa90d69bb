"""The inner seam: a sparse single-particle operator and the density on the same pattern.

Basis: site-major, spin inside.  H has one 2x2 block on every site and one amplitude on every bond, with spin-orbit coupling
a 2x2 block:

    H_ii = onsite_i + exchange_i . sigma,     H_ij = hopping_ij + spin_hopping_ij . sigma (and its adjoint on ji).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spinase.errors import PatternError
from spinase.geometry import Bonds
from spinase.spin_algebra import PAULI
from spinase.typing import ComplexArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class SpinOperator:
    """A Hamiltonian of electrons with spin on N sites.

    Attributes
    ----------
    bonds : Bonds
        Pattern of the off-diagonal part, each pair once; ``shifts`` carry the Bloch phases exp(2 pi i k.S).
    hopping : (n_bonds,) float or complex
        H_{first, second + shift}, energy, the part that is the same for both spins.
    onsite : (N,) float
        Spin-independent part of the site blocks, energy.
    exchange : (N, 3) float
        Vector of the site blocks, energy: H_ii = onsite + exchange . sigma.
    spin_hopping : (n_bonds, 3) complex or None
        Vector of the bonds' blocks, energy: H_ij = hopping + spin_hopping . sigma; None where no hopping turns spins.
    """

    bonds: Bonds
    hopping: FloatArray | ComplexArray
    onsite: FloatArray
    exchange: FloatArray
    spin_hopping: ComplexArray | None = None

    def __len__(self) -> int:
        return len(self.onsite)

    @property
    def is_real(self) -> bool:
        """Whether the hopping is real (no flux, no spin-orbit coupling)."""
        return self.spin_hopping is None and not np.iscomplexobj(self.hopping)

    def bloch_phases(self, point: FloatArray) -> ComplexArray:
        """exp(2 pi i k.S) of every bond (n_bonds,) at a k-point (3,), in parts of the reciprocal cell vectors."""
        return np.asarray(np.exp(2j * np.pi * (self.bonds.shifts @ point)))

    def at_point(self, point: FloatArray) -> SpinOperator:
        """The operator of Bloch waves with a k-point (3,): hopping times its phases; itself where no bond has one."""
        phases = self.bloch_phases(point)
        if np.all(phases == 1.0):
            return self
        turning = None if self.spin_hopping is None else self.spin_hopping * phases[:, None]
        return replace(self, hopping=self.hopping * phases, spin_hopping=turning)

    def bond_entries(self) -> FloatArray | ComplexArray:
        """Hopping of the bonds: the amplitudes (n_bonds,), or, where spins turn, the blocks (n_bonds, 2, 2), energy."""
        if self.spin_hopping is None:
            return self.hopping
        return self.hopping[:, None, None] * np.eye(2) + np.einsum("na,ast->nst", self.spin_hopping, PAULI)

    def bond_strengths(self) -> FloatArray:
        """The largest singular value of H_ij of every bond (n_bonds,), energy."""
        entries = self.bond_entries()
        return np.abs(entries) if entries.ndim == 1 else np.linalg.norm(entries, ord=2, axis=(1, 2))


@dataclass(frozen=True, eq=False)
class SparsityPattern:
    """Sites and bonds of an operator, without their values: what the plan of a solver belongs to.

    Attributes
    ----------
    sites : int
        Number of sites, N.
    first, second : (n_bonds,) int
        Sites of the bonds, in the operator's order.
    """

    sites: int
    first: IntArray
    second: IntArray

    @classmethod
    def of(cls, operator: SpinOperator) -> SparsityPattern:
        """The pattern of an operator."""
        return cls(len(operator), operator.bonds.first, operator.bonds.second)

    def equals(self, other: SparsityPattern) -> bool:
        """Whether `other` has the same sites and, in the same order, the same bonds."""
        same = self.first is other.first and self.second is other.second
        same = same or (np.array_equal(self.first, other.first) and np.array_equal(self.second, other.second))
        return same and self.sites == other.sites

    def require(self, operator: SpinOperator) -> None:
        """Refuse an operator of another pattern.

        Raises
        ------
        PatternError
            Naming both patterns and where they first differ.
        """
        other = SparsityPattern.of(operator)
        if not self.equals(other):
            raise PatternError(
                f"a plan for {self._sizes()} was given an operator of {other._sizes()}{self._first_difference(other)}: "
                "make a plan for it (solver.plan(SparsityPattern.of(operator)))"
            )

    def to_lists(self) -> list[Any]:
        """As numbers and lists, for a checkpoint."""
        return [self.sites, self.first.tolist(), self.second.tolist()]

    @classmethod
    def from_lists(cls, stored: list[Any]) -> SparsityPattern:
        """From what :meth:`to_lists` gave."""
        sites, first, second = stored
        return cls(int(sites), np.array(first, dtype=np.int64), np.array(second, dtype=np.int64))

    def _sizes(self) -> str:
        return f"{self.sites} site(s) and {len(self.first)} bond(s)"

    def _first_difference(self, other: SparsityPattern) -> str:
        """Words for the first bond that is another; empty if the lists agree as far as both go."""
        common = min(len(self.first), len(other.first))
        apart = (self.first[:common] != other.first[:common]) | (self.second[:common] != other.second[:common])
        if not apart.any():
            return ""
        b = int(np.argmax(apart))
        return (
            f"; bond {b} joins sites {self.first[b]} and {self.second[b]} in the plan, "
            f"{other.first[b]} and {other.second[b]} in the operator"
        )


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
    bond_spin : (n_bonds, 3) complex or None
        Tr[sigma rho_ij] of the bonds, of operators whose hopping turns spins.
    """

    charge: FloatArray
    spin: FloatArray
    bond: ComplexArray
    bond_spin: ComplexArray | None = None

    def band_energy(self, operator: SpinOperator) -> float:
        """Tr[rho H], energy."""
        onsite = self.charge @ operator.onsite + float(np.sum(self.spin * operator.exchange))
        bonds = np.sum((self.bond.conj() * operator.hopping).real)
        if operator.spin_hopping is not None:
            assert self.bond_spin is not None
            bonds += np.sum((self.bond_spin.conj() * operator.spin_hopping).real)
        return float(onsite + 2.0 * bonds)


def split_blocks(blocks: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
    """Traces Tr b (n,) and Tr[sigma b] (n, 3) of spin blocks b (n, 2, 2)."""
    return np.trace(blocks, axis1=1, axis2=2), np.einsum("ast,nts->na", PAULI, blocks)


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
