r"""Currents of electrons and of their spin along bonds, from the one-particle density matrix.

.. math:: \hbar I_{j\to i} = 2\,\mathrm{Im}\,\mathrm{Tr}[h_{ij}\,\rho_{ij}^\dagger],\qquad
          \hbar I^a_{j\to i} = \mathrm{Im}\,\mathrm{Tr}[(\sigma_a h_{ij} + h_{ij}\sigma_a)\,\rho_{ij}^\dagger]

Spin-orbit hopping turns spins on their way, so what leaves one site is not what enters the other; the current is the mean
of both.  Without it, in a steady state the electrons that enter a site leave it, and the spin that enters is the torque on
its moment, T_i = sum_j hbar I^a_{j->i}/2 (where no lead or bath is attached): the flow of angular momentum in units of
hbar/2.
"""

from __future__ import annotations

import numpy as np

from spinase.electrons.operator import SpinOperator, split_blocks
from spinase.geometry import Bonds
from spinase.spin_algebra import PAULI
from spinase.typing import ComplexArray, FloatArray


def bond_currents(operator: SpinOperator, blocks: ComplexArray) -> tuple[FloatArray, FloatArray]:
    """Flow from the second to the first site of every bond, times hbar.

    Parameters
    ----------
    operator : SpinOperator
    blocks : (n_bonds, 2, 2) complex
        rho_{first, second}.

    Returns
    -------
    charge : (n_bonds,)
        Electrons, energy.
    spin : (n_bonds, 3)
        Tr[sigma ...], in units of hbar/2, energy.
    """
    charge = 2.0 * (operator.hopping * np.trace(blocks, axis1=1, axis2=2).conj()).imag
    spin = 2.0 * (operator.hopping[:, None] * np.einsum("xab,nab->nx", PAULI, blocks.conj())).imag
    turning = operator.spin_hopping
    if turning is not None:  # (sigma_a w.sigma + w.sigma sigma_a)/2 = w_a
        bond, bond_spin = split_blocks(blocks)
        charge += 2.0 * np.sum(turning * bond_spin.conj(), axis=1).imag
        spin += 2.0 * (turning * bond.conj()[:, None]).imag
    return charge, spin


def inflow(bonds: Bonds, currents: FloatArray, sites: int) -> FloatArray:
    """What the bonds bring to every site: currents (n_bonds, ...) -> (N, ...).

    Parameters
    ----------
    bonds : Bonds
        Pairs first, second.
    currents : (n_bonds, ...) ndarray
        From the second to the first site of every bond, such as energy (charge) of :func:`bond_currents`.
    sites : int
        N.
    """
    total = np.zeros((sites, *currents.shape[1:]))
    np.add.at(total, bonds.first, currents)
    np.subtract.at(total, bonds.second, currents)
    return total


def site_current_vectors(bonds: Bonds, currents: FloatArray, sites: int) -> FloatArray:
    """Mean of the currents (n_bonds,) along the bonds at each site as a vector (N, 3), times the bonds' unit vectors.

    Each bond counts half at either end, so that a uniform current in a chain gives itself at every inner site.

    Parameters
    ----------
    bonds : Bonds
        With vectors (n_bonds, 3) from first to second.
    currents : (n_bonds,) ndarray
        From the second to the first site of every bond.
    sites : int
        N.
    """
    # the current runs from second to first; between orbitals in one place it has no direction
    flow = -currents[:, None] * bonds.vectors / np.where(bonds.distances > 0.0, bonds.distances, 1.0)[:, None]
    total = np.zeros((sites, 3))
    np.add.at(total, bonds.first, 0.5 * flow)
    np.add.at(total, bonds.second, 0.5 * flow)
    return total
