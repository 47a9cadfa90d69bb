r"""Density of a device between wide-band leads in closed form: the exact reference of the quadratures.

With the effective Hamiltonian H - i sum_a Gamma_a/2 = R z R^-1 and M_a = R^-1 Gamma_a R^-+,

.. math:: \rho = \sum_a R\,[M_a\circ I_a]\,R^\dagger,\qquad
          I_{a,nm} = \int\frac{dE}{2\pi}\frac{f_a(E)}{(E-z_n)(E-z_m^*)}
                   = \frac{F_a(z_n) - F_a(z_m)^* - 2\pi i}{2\pi (z_n - z_m^*)}

and F(z) = ln(mu - z) at T = 0, else psi(1/2 - i (mu - z)/(2 pi kT)) + ln(2 pi kT) + i pi/2, for Im z < 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import digamma

from spinase.electrons.operator import SpinOperator
from spinase.electrons.sparse.selected_inversion import site_blocks
from spinase.electrons.transport.contacts import WideBandContact, spread_blocks
from spinase.typing import ComplexArray, FloatArray


def wide_band_density_matrix(
    operator: SpinOperator,
    leads: Sequence[WideBandContact],
    chemical_potentials: FloatArray,
    kT: FloatArray,  # noqa: N803
) -> ComplexArray:
    """rho (2N, 2N), site-major, of a device whose leads are all wide bands.

    Parameters
    ----------
    operator : SpinOperator
    leads : sequence of WideBandContact
        Every state of the device must decay into one of them.
    chemical_potentials, kT : (A,)
        Of each lead, energy; kT = 0 allowed.
    """
    size = 2 * len(operator)
    widths = [_placed(lead, size) for lead in leads]
    levels, right = np.linalg.eig(dense_matrix(operator) - 0.5j * np.sum(widths, axis=0))
    left = np.linalg.inv(right)
    result = np.zeros((size, size), dtype=np.complex128)
    for width, mu, temperature in zip(widths, chemical_potentials, kT, strict=True):
        potential = _potential(levels, float(mu), float(temperature))
        gap = levels[:, None] - levels[None, :].conj()
        overlap = (potential[:, None] - potential[None, :].conj() - 2j * np.pi) / (2.0 * np.pi * gap)
        result += right @ ((left @ width @ left.conj().T) * overlap) @ right.conj().T
    return result


def dense_matrix(operator: SpinOperator) -> ComplexArray:
    """H as a matrix (2N, 2N), site-major, spin inside, energy."""
    matrix = spread_blocks(site_blocks(operator))
    first, second = 2 * operator.bonds.first, 2 * operator.bonds.second
    entries = operator.bond_entries()
    for one in range(2):
        for two in range(2) if entries.ndim == 3 else (one,):
            hopping = entries if entries.ndim == 1 else entries[:, one, two]
            np.add.at(matrix, (first + one, second + two), hopping)
            np.add.at(matrix, (second + two, first + one), hopping.conj())
    return matrix


def _potential(levels: ComplexArray, mu: float, kT: float) -> ComplexArray:  # noqa: N803
    if kT == 0.0:
        return np.log(mu - levels)
    return digamma(0.5 - 1j * (mu - levels) / (2.0 * np.pi * kT)) + np.log(2.0 * np.pi * kT) + 0.5j * np.pi


def _placed(lead: WideBandContact, size: int) -> ComplexArray:
    matrix = np.zeros((size, size), dtype=np.complex128)
    places = np.stack([2 * lead.sites, 2 * lead.sites + 1], axis=1).ravel()
    matrix[np.ix_(places, places)] = spread_blocks(lead.broadening)
    return matrix
