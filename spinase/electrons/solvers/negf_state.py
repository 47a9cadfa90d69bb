"""What the leads of an open device are held at, and what its solution says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinase.electrons.operator import ElectronState
from spinase.electrons.transport.contacts import AttachedLead
from spinase.errors import ModelError
from spinase.typing import ComplexArray, FloatArray

LEAST_TOLERANCE = 1e-10
_EQUAL = 1e-14  # chemical potentials and temperatures this close are the same


@dataclass(frozen=True)
class Drive:
    """What the leads are held at, and how accurately electrons are to be known.

    Attributes
    ----------
    chemical_potential, kT : float
        mu and temperature where a lead has none of its own, energy; kT = 0 (a step, some ten times as many energies) gives
        densities and currents, no grand potential.
    bias : float
        V as an energy: lead a is at mu + share_a * bias.
    tolerance : float
        Largest error of a component of the density (electrons, spin) and of a current (times hbar, energy).
    max_energies : int
        Largest number of energies in the bias window.
    """

    chemical_potential: float
    kT: float  # noqa: N815
    bias: float = 0.0
    tolerance: float = 1e-5
    max_energies: int = 2000

    def __post_init__(self) -> None:
        for name in ("chemical_potential", "bias"):
            if not np.isfinite(getattr(self, name)):
                raise ModelError(f"{name} must be finite, got {getattr(self, name)}")
        if not (np.isfinite(self.kT) and self.kT >= 0.0):
            raise ModelError(f"Green's functions of open systems need kT >= 0 (an energy), got {self.kT}")
        if not LEAST_TOLERANCE <= self.tolerance <= 0.1:
            raise ModelError(f"tolerance must be between {LEAST_TOLERANCE:g} and 0.1, got {self.tolerance:g}")
        if self.max_energies < 1:
            raise ModelError(f"max_energies must be positive, got {self.max_energies}")


@dataclass(frozen=True, eq=False)
class TransportState(ElectronState):
    """Electrons of an open device.

    Attributes
    ----------
    equilibrium_spin : (N, 3)
        Tr[sigma rho_ii] of the part at the reference lead's Fermi function.
    lead_charge, lead_spin : (A, N), (A, N, 3)
        The rest of Tr rho_ii and Tr[sigma rho_ii], by the lead it comes from.
    bond_blocks : (n_bonds, 2, 2) complex
        rho_{first, second}; empty unless bonds were asked for.
    lead_currents : (A,)
        hbar times the electrons that enter from each lead per time, energy.
    transmitted : (A, A)
        int dE/2pi T_ba (f_a - f_r), a the first index, energy.
    energies : int
        Points in the bias window.
    error : float
        Estimated error of their integral.
    nodes, node_weights : (K,)
        The rule it was made by: real energies, and their weights, energy.
    parts : tuple of TransportState
        Of several k-points: the state of each, of which this one is the mean.
    """

    equilibrium_spin: FloatArray
    lead_charge: FloatArray
    lead_spin: FloatArray
    bond_blocks: ComplexArray
    lead_currents: FloatArray
    transmitted: FloatArray
    energies: int
    error: float
    nodes: FloatArray
    node_weights: FloatArray
    parts: tuple[TransportState, ...] = ()


@dataclass(frozen=True, eq=False)
class Terminals:
    """Leads on a device, with what they are held at.

    Attributes
    ----------
    leads : tuple of AttachedLead
    drive : Drive
    """

    leads: tuple[AttachedLead, ...]
    drive: Drive

    def levels(self) -> tuple[FloatArray, FloatArray]:
        """Chemical potentials and temperatures of the leads (A,), energy."""
        mu = np.array([self.drive.chemical_potential + lead.share * self.drive.bias for lead in self.leads])
        return mu, np.array([self.drive.kT if lead.kT is None else lead.kT for lead in self.leads])

    @property
    def in_equilibrium(self) -> bool:
        """Whether all leads have one chemical potential and one temperature."""
        return not self.driven(0)

    def driven(self, reference: int) -> list[int]:
        """Leads that differ from the reference."""
        _, kT = self.levels()
        share = np.array([lead.share for lead in self.leads])  # the chemical potential itself would bring its round-off in
        apart = (np.abs((share - share[reference]) * self.drive.bias) > _EQUAL) | (np.abs(kT - kT[reference]) > _EQUAL)
        return np.flatnonzero(apart).tolist()

    def reference(self) -> int:
        """The lead whose Fermi function all others are compared with: the one that leaves fewest columns to others."""
        width = np.array([len(lead.sites) for lead in self.leads])
        columns = [int(width[self.driven(r)].sum()) for r in range(len(self.leads))]
        return len(columns) - 1 - int(np.argmin(columns[::-1]))
