"""Devices with leads, and their Green's functions written as on paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins
from spinase.electrons import SDHamiltonian, ShellHopping
from spinase.electrons.hopping import HoppingLaw
from spinase.electrons.operator import SpinOperator
from spinase.electrons.transport.contacts import AttachedLead
from spinase.electrons.transport.leads import Lead
from spinase.electrons.transport.wide_band import dense_matrix
from spinase.geometry import Geometry

HOP = ShellHopping([1.0])


def strip(size: tuple[int, ...], coupling: float = 1.3, lattice: str = "square", seed: int = 1, **options: object):
    """An open piece of a lattice with random spins: its geometry and operator."""
    atoms = SpinAtoms.lattice(lattice, size, units="reduced", rng=seed)
    atoms.pbc = False
    return atoms, *of_atoms(atoms, coupling, **options)


def of_atoms(atoms: SpinAtoms, coupling: float, hopping: HoppingLaw = HOP) -> tuple[Geometry, SpinOperator]:
    geometry = geometry_of(atoms)
    return geometry, SDHamiltonian(hopping, coupling).freeze(geometry).operator(get_spins(atoms))


def attach(geometry: Geometry, *leads: Lead, hopping: HoppingLaw = HOP) -> list[AttachedLead]:
    """Leads with shares 1/2, -1/2, 0, 0, ..."""
    shares = [0.5, -0.5, *([0.0] * len(leads))]
    return [lead.attach(geometry, SDHamiltonian(hopping, 0.0), share) for lead, share in zip(leads, shares, strict=False)]


def paper(operator: SpinOperator, leads: Sequence[AttachedLead], energy: complex) -> tuple[np.ndarray, list[np.ndarray]]:
    """G and the broadenings Gamma_a, dense."""
    matrix = dense_matrix(operator)
    sigmas = []
    for lead in leads:
        sigma, places = np.zeros_like(matrix), np.stack([2 * lead.sites, 2 * lead.sites + 1], axis=1).ravel()
        sigma[np.ix_(places, places)] = lead.self_energy(energy)
        sigmas.append(sigma)
    green = np.linalg.inv(energy * np.eye(len(matrix)) - matrix - sum(sigmas))
    return green, [1j * (sigma - sigma.conj().T) for sigma in sigmas]
