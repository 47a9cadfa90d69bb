r"""How the energy of electrons bends with the directions of spins: exchange between any two sites, in any texture.

The site blocks of H are :math:`\epsilon_i + b_i\cdot\sigma` (b -> `exchange` of a
:class:`~spinase.electrons.operator.SpinOperator`).  At a fixed chemical potential the second derivative of the grand
potential is exact linear response,

.. math::
   \frac{\partial^2\Omega}{\partial b_i^a\,\partial b_j^c}
     = \sum_{mn} \frac{f_m - f_n}{\epsilon_m - \epsilon_n}
       \langle n|\sigma_i^a|m\rangle\langle m|\sigma_j^c|n\rangle
     = \mathrm{Re}\,kT\sum_k w_k\,\mathrm{Tr}[\sigma^a G_{ij}(p_k)\,\sigma^c G_{ji}(p_k)],

with :math:`G(p) = (H-p)^{-1}` and the poles of :mod:`spinase.electrons.sparse.fermi_poles`, i = j included.  At a fixed
number of electrons F = Omega + mu N bends more, by what mu does:

.. math::
   \frac{\partial^2F}{\partial b_i^a\,\partial b_j^c} = \frac{\partial^2\Omega}{\partial b_i^a\,\partial b_j^c}
     + \frac{\partial N}{\partial b_i^a}\frac{\partial N}{\partial b_j^c}\Big/\frac{\partial N}{\partial\mu} .

With :math:`G_{ij} = \sum_\mu x_\mu\sigma^\mu` and :math:`G_{ji} = \sum_\nu y_\nu\sigma^\nu` (sigma^0 = 1) everything follows
from the sums :math:`\Pi_{\mu\nu}` of :math:`x_\mu y_\nu`: the trace is
:math:`2[(x_0y_0 - x\cdot y)\delta_{ac} + x_ay_c + x_cy_a + i\epsilon_{acd}(\dots)_d]`.  The coefficient of
:math:`\delta_{ac}` is the exchange constant of Liechtenstein et al., in a collinear magnet that between transverse
deviations; the rest is odd (Dzyaloshinskii-Moriya) and even anisotropy of the tensor.
Source: A. I. Liechtenstein et al., J. Magn. Magn. Mater. 67, 65 (1987), doi:10.1016/0304-8853(87)90721-9; for textures
A. Szilva et al., Phys. Rev. Lett. 111, 127204 (2013), doi:10.1103/PhysRevLett.111.127204.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinase.geometry import Bonds
from spinase.spin_algebra import PAULI
from spinase.typing import ComplexArray, ComplexBlocks, FloatArray, IntArray

_SIGMA = np.concatenate([np.eye(2)[None], PAULI])  # sigma^mu, (4, 2, 2)
_TRACES = np.einsum("aij,mjk,ckl,nli->acmn", PAULI, _SIGMA, PAULI, _SIGMA, optimize=True)  # Tr[s^a s^mu s^c s^nu]


@dataclass(frozen=True, eq=False)
class SitePairs:
    """Pairs of sites, from site i of the cell at home to site j of another one; i = j at home is a pair, too.

    Attributes
    ----------
    first, second : (P,) int
        i and j.
    shifts : (P, 3) int
        Cell of j.
    """

    first: IntArray
    second: IntArray
    shifts: IntArray

    @classmethod
    def of(cls, bonds: Bonds, sites: IntArray) -> SitePairs:
        """Bonds, and then every one of `sites` (n,) with itself."""
        none = np.zeros((len(sites), 3), dtype=np.int64)
        return cls(
            np.concatenate([bonds.first, sites]),
            np.concatenate([bonds.second, sites]),
            np.concatenate([bonds.shifts, none]),
        )

    def __len__(self) -> int:
        return len(self.first)

    def of_orbitals(self, site_of: IntArray) -> tuple[SitePairs, IntArray]:
        """All pairs of an orbital of i with one of j, and the pair (Q,) that each belongs to.

        Parameters
        ----------
        site_of : (n,) int
            Site of every orbital.
        """
        order, counts = np.argsort(site_of, kind="stable"), np.bincount(site_of)
        start = np.cumsum(counts) - counts
        sizes = counts[self.first] * counts[self.second]
        pair = np.repeat(np.arange(len(self)), sizes)
        within = np.arange(len(pair)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        one, two = self.first[pair], self.second[pair]
        first = order[start[one] + within // counts[two]]
        return SitePairs(first, order[start[two] + within % counts[two]], self.shifts[pair]), pair


@dataclass(frozen=True, eq=False)
class NumberResponse:
    """How the number of electrons changes; of a mesh of k-points with one site turned in one of its cells.

    Attributes
    ----------
    slopes : (N, 3)
        dN/db_i at fixed mu, 1/energy.
    compressibility : float
        dN/dmu, 1/energy.
    """

    slopes: FloatArray
    compressibility: float

    def stiffening(self, pairs: SitePairs) -> FloatArray:
        """What a fixed number of electrons adds to the second derivatives, (P, 3, 3), 1/energy; none in a gap."""
        if self.compressibility <= 0.0:
            return np.zeros((len(pairs), 3, 3))
        return np.asarray(
            self.slopes[pairs.first][:, :, None] * self.slopes[pairs.second][:, None, :] / self.compressibility
        )


@dataclass(frozen=True, eq=False)
class SpinResponse:
    """Second derivatives of the free energy by the exchange vectors of pairs of sites.

    Attributes
    ----------
    pairs : SitePairs
    products : (P, 4, 4) complex
        Pi of the pairs, 1/energy.
    number : NumberResponse or None
        At a fixed number of electrons; None at a fixed chemical potential.
    """

    pairs: SitePairs
    products: ComplexArray
    number: NumberResponse | None

    def curvatures(self) -> FloatArray:
        """d2F/db_i db_j at a fixed number of electrons, else d2Omega/db_i db_j: (P, 3, 3), 1/energy."""
        bare = np.einsum("acmn,pmn->pac", _TRACES, self.products, optimize=True).real
        return bare if self.number is None else bare + self.number.stiffening(self.pairs)

    def isotropic(self) -> FloatArray:
        """Their coefficient of delta_ac, 2 Re(Pi_00 - Pi_11 - Pi_22 - Pi_33), (P,), 1/energy."""
        diagonal = np.einsum("pmm->pm", self.products).real
        return np.asarray(2.0 * (diagonal[:, 0] - diagonal[:, 1:].sum(axis=1)))


def pauli_components(blocks: ComplexBlocks) -> ComplexArray:
    """x_mu of blocks (..., 2, 2) = sum_mu x_mu sigma^mu, (..., 4)."""
    a, b, c, d = blocks[..., 0, 0], blocks[..., 0, 1], blocks[..., 1, 0], blocks[..., 1, 1]
    return 0.5 * np.stack([a + d, b + c, 1j * (b - c), a - d], axis=-1)


__all__ = ["NumberResponse", "SitePairs", "SpinResponse", "pauli_components"]
