"""Spin-transfer torques: driven fields that are no gradient of an energy.

With the equation ds/dt = -gamma [s x B + ...] (Gilbert form, damping a), a field B stands for a torque -gamma s x B:

* Slonczewski (current through a layer, polarized along p): B = a s x p + b p, so ds/dt = -gamma [a s x (s x p) + b s x p].
* Zhang-Li (current in the plane): B = -(1/gamma) [s x (u.grad)s + beta (u.grad)s], so
  ds/dt = -(u.grad)s + beta s x (u.grad)s; u is the drift velocity of the texture, along the motion of the electrons.

J. C. Slonczewski, J. Magn. Magn. Mater. 159, L1 (1996); S. Zhang, Z. Li, Phys. Rev. Lett. 93, 127204 (2004).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spinase.classical.kernels import compressed_rows
from spinase.classical.terms import FrozenTerm, Term
from spinase.compiled import njit
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Geometry
from spinase.pair_laws import ShellLaw
from spinase.spin_algebra import cross
from spinase.typing import BoolArray, FloatArray, IntArray

_NO_ENERGY = "it is driven, so there is no energy to divide"


class DrivenTerm(FrozenTerm):
    """A term without an energy: its field is no gradient."""

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """There is none.

        Raises
        ------
        ModelError
        """
        raise ModelError(f"{type(self).__name__} is driven: it has no energy")


@dataclass(frozen=True, eq=False)
class Slonczewski(Term, DrivenTerm):
    """Spin-transfer torque of a current through the layer.

    Attributes
    ----------
    polarization : (3,)
        Unit vector p.
    damping_like, field_like : float
        a and b, energy/moment.
    """

    not_local: ClassVar[str] = _NO_ENERGY
    polarization: FloatArray
    damping_like: float
    field_like: float = 0.0

    def freeze(self, geometry: Geometry) -> Slonczewski:
        """The term knows no geometry."""
        return self

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """mu_i B_i = mu_i (a s x p + b p)."""
        turning = cross(np.ascontiguousarray(spins), np.broadcast_to(self.polarization, spins.shape).copy())
        return lengths[:, None] * (self.damping_like * turning + self.field_like * self.polarization)


@dataclass(frozen=True, eq=False)
class ZhangLi(Term):
    """Spin-transfer torque of a current in the plane, on a lattice.

    Attributes
    ----------
    velocity : (3,)
        u, length/time: the drift velocity -P j g mu_B/(2 e M_s) of spin-polarized carriers.
    nonadiabaticity : float
        beta.
    gyromagnetic_ratio : float or (N,)
        gamma of the unit system (times g_i/2).
    numbers : tuple of int or None
        Atomic numbers of the magnetic sites, whose lattice counts; None: all sites are.
    """

    not_local: ClassVar[str] = _NO_ENERGY
    velocity: FloatArray
    nonadiabaticity: float
    gyromagnetic_ratio: float | FloatArray
    numbers: tuple[int, ...] | None = None

    def freeze(self, geometry: Geometry) -> FrozenZhangLi:
        """Nearest neighbours among the magnetic sites."""
        chosen = np.arange(len(geometry))
        if self.numbers is not None:
            chosen = np.flatnonzero(np.isin(geometry.numbers, self.numbers))
        magnetic = geometry.select(chosen)
        bonds, _, _ = ShellLaw([1.0]).amplitudes(magnetic)
        starts, neighbours, signed = compressed_rows(chosen[bonds.first], chosen[bonds.second], len(geometry))
        vectors = np.sign(signed)[:, None] * bonds.vectors[np.abs(signed) - 1]
        return FrozenZhangLi(starts, neighbours, vectors, self.velocity, self.nonadiabaticity, self.gyromagnetic_ratio)


@dataclass(eq=False)
class FrozenZhangLi(DrivenTerm):
    """The torque on a lattice; the weights of the gradient along u belong to a set of magnetic sites and are kept for it."""

    starts: IntArray
    neighbours: IntArray
    vectors: FloatArray
    velocity: FloatArray
    nonadiabaticity: float
    gyromagnetic_ratio: float | FloatArray

    def __post_init__(self) -> None:
        self._mask: BoolArray | None = None
        self._weights = np.zeros(len(self.neighbours))

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """mu_i B_i = -(mu_i/gamma) [s x D + beta D], D = (u.grad) s.

        Raises
        ------
        InvalidGeometryError
            If the nearest magnetic neighbours of a site do not span the direction of u.
        """
        mask = lengths > 0.0
        if self._mask is None or not np.array_equal(mask, self._mask):
            self._weights, self._mask = self._fit(mask), mask
        slope = _slope(self.starts, self.neighbours, self._weights, np.ascontiguousarray(spins))
        turning = cross(np.ascontiguousarray(spins), slope)
        return (-lengths / self.gyromagnetic_ratio)[:, None] * (turning + self.nonadiabaticity * slope)

    def _fit(self, mask: BoolArray) -> FloatArray:
        """Weights of the best linear fit to the magnetic neighbours of every magnetic site."""
        weights = np.zeros(len(self.neighbours))
        for i in np.flatnonzero(mask & (np.diff(self.starts) > 0)):
            part = np.arange(self.starts[i], self.starts[i + 1])
            part = part[mask[self.neighbours[part]]]
            vectors = self.vectors[part]
            weights[part] = vectors @ (np.linalg.pinv(vectors.T @ vectors, rcond=1e-9) @ self.velocity)
            if np.linalg.norm(vectors.T @ weights[part] - self.velocity) > 1e-6 * np.linalg.norm(self.velocity):
                raise InvalidGeometryError(
                    f"the nearest magnetic neighbours of site {i} do not span the direction of the current {self.velocity}: "
                    "turn the current into the plane of the sites, or name the magnetic species (species=[...])"
                )
        return weights


@njit
def _slope(starts: IntArray, neighbours: IntArray, weights: FloatArray, spins: FloatArray) -> FloatArray:
    """(u.grad) s from differences to the neighbours, (N, 3)."""
    out = np.zeros_like(spins)
    for i in range(len(spins)):
        for k in range(starts[i], starts[i + 1]):
            j = neighbours[k]
            for a in range(3):
                out[i, a] += weights[k] * (spins[j, a] - spins[i, a])
    return out
