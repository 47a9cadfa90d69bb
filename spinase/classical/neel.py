"""Neel's pair anisotropy: magneto-elastic couplings of spins and bond directions.

E = -sum_{i<j} { g1 [a b - c/3] + q1 [a^2 - c/3] [b^2 - c/3] + q2 [a b^3 + b a^3] },
a = e_ij.s_i, b = e_ij.s_j, c = s_i.s_j; g1 = g + 12 q/35, q1 = 9 q/5, q2 = -2 q/5 with g(r) the pseudo-dipolar and q(r) the
pseudo-quadrupolar law (L. Neel, J. Phys. Radium 15, 225 (1954); the form of LAMMPS' ``spin/neel``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spinase.classical.terms import FrozenLocalTerm, PairTerm, at_first, pull_on_bonds
from spinase.compiled import njit
from spinase.geometry import Bonds
from spinase.given_pairs import Couplings
from spinase.pair_laws import PairLaw
from spinase.spin_algebra import tangent
from spinase.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Neel(PairTerm):
    """Neel's pair anisotropy.

    Attributes
    ----------
    dipolar : PairLaw
        g by neighbour shell or by distance, energy.
    quadrupolar : PairLaw or None
        q, energy.
    """

    dipolar: PairLaw
    quadrupolar: PairLaw | None = None

    def laws(self) -> tuple[PairLaw, ...]:
        """g, and q if there is one."""
        return (self.dipolar,) if self.quadrupolar is None else (self.dipolar, self.quadrupolar)

    def on(self, couplings: Sequence[Couplings], sites: int) -> FrozenNeel:
        """The term on bonds with g, and on those with q."""
        shares = (np.array([1.0, 0.0, 0.0]), np.array([12.0 / 35.0, 9.0 / 5.0, -2.0 / 5.0]))
        return FrozenNeel(
            [
                NeelBonds(bonds, np.outer(values, share), np.outer(slopes, share))
                for (bonds, values, slopes), share in zip(couplings, shares, strict=False)
            ]
        )


@dataclass(frozen=True, eq=False)
class NeelBonds:
    """Bonds with g1, q1, q2 (n, 3) and their slopes."""

    bonds: Bonds
    couplings: FloatArray
    slopes: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", self.bonds.vectors / self.bonds.distances[:, None])

    units: FloatArray = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class FrozenNeel(FrozenLocalTerm):
    """Neel's pair anisotropy on a geometry."""

    parts: list[NeelBonds]

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """Energy of all bonds."""
        return float(
            sum(_bond_terms(p.bonds.first, p.bonds.second, p.units, p.couplings, spins)[0].sum() for p in self.parts)
        )

    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """Energies of the bonds at their first sites."""
        out = np.zeros(len(spins))
        for p in self.parts:
            energies, _, _ = _bond_terms(p.bonds.first, p.bonds.second, p.units, p.couplings, spins)
            out += at_first(p.bonds, energies, len(spins))
        return out

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = -dE/ds_i."""
        out = np.zeros_like(spins)
        for p in self.parts:
            out -= _bond_terms(p.bonds.first, p.bonds.second, p.units, p.couplings, spins)[1]
        return out

    def lattice(self, spins: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Both the couplings and the direction of a bond depend on its vector."""
        forces, virial = np.zeros_like(spins), np.zeros((3, 3))
        for p in self.parts:
            _, _, turning = _bond_terms(p.bonds.first, p.bonds.second, p.units, p.couplings, spins)
            along, _, _ = _bond_terms(p.bonds.first, p.bonds.second, p.units, p.slopes, spins)
            across = tangent(turning, p.units)
            pulled = pull_on_bonds(p.bonds, along[:, None] * p.units + across / p.bonds.distances[:, None], len(spins))
            forces, virial = forces + pulled[0], virial + pulled[1]
        return forces, virial


@njit
def _bond_terms(
    first: IntArray, second: IntArray, units: FloatArray, couplings: FloatArray, spins: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Energies (n,), dE/ds (N, 3), and dE/de (n, 3) by the unit vectors e taken as free."""
    energies, gradient, turning = np.empty(len(first)), np.zeros_like(spins), np.empty((len(first), 3))
    for k in range(len(first)):
        i, j = first[k], second[k]
        one, two, e = spins[i], spins[j], units[k]
        a = e[0] * one[0] + e[1] * one[1] + e[2] * one[2]
        b = e[0] * two[0] + e[1] * two[1] + e[2] * two[2]
        c = (one[0] * two[0] + one[1] * two[1] + one[2] * two[2]) / 3.0
        g, q, r = couplings[k, 0], couplings[k, 1], couplings[k, 2]
        energies[k] = -(g * (a * b - c) + q * (a * a - c) * (b * b - c) + r * (a * b**3 + b * a**3))
        by_a = -(g * b + 2.0 * q * a * (b * b - c) + r * (b**3 + 3.0 * a * a * b))
        by_b = -(g * a + 2.0 * q * b * (a * a - c) + r * (a**3 + 3.0 * b * b * a))
        by_c = (g + q * (a * a + b * b - 2.0 * c)) / 3.0
        for x in range(3):
            gradient[i, x] += by_a * e[x] + by_c * two[x]
            gradient[j, x] += by_b * e[x] + by_c * one[x]
            turning[k, x] = by_a * one[x] + by_b * two[x]
    return energies, gradient, turning
