"""What a device says beside its fields: currents on bonds, and how far electrons follow the spins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinase.geometry import Bonds
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class BondCurrents:
    """Currents on the bonds of a device, from ``bonds.second`` to ``bonds.first``: sites, or orbitals of a table.

    Attributes
    ----------
    bonds : Bonds
    charge : (n_bonds,)
        Electrons per time.
    spin : (n_bonds, 3)
        Spin per time, in units of hbar/2.
    """

    bonds: Bonds
    charge: FloatArray
    spin: FloatArray


@dataclass(frozen=True, eq=False)
class CurrentNoise:
    """Spectral densities at zero frequency of the currents from the leads, S = int dt <dI_a(t) dI_b(0) + dI_b(0) dI_a(t)>.

    Attributes
    ----------
    thermal : (A, A)
        The part of the leads' heat, electrons^2/time.
    shot : (A, A)
        The part of electrons that arrive one by one, by differences of the leads, electrons^2/time.
    currents : (A,)
        Mean electrons per time that enter from each lead.
    """

    thermal: FloatArray
    shot: FloatArray
    currents: FloatArray

    @property
    def power(self) -> FloatArray:
        """S (A, A), electrons^2/time: 4 kT G of the diagonal without a bias, 2 |I| (1 - T) for one channel at kT = 0."""
        return self.thermal + self.shot

    @property
    def fano(self) -> FloatArray:
        """S_aa/(2 |I_a|) (A,): 1 for independent electrons (Poisson), nan without a current."""
        size = 2.0 * np.abs(self.currents)
        return np.where(size > 0.0, np.diag(self.power) / np.where(size > 0.0, size, 1.0), np.nan)


@dataclass(frozen=True)
class Adiabaticity:
    """How far electrons follow the spins.

    Attributes
    ----------
    dwell_time : float
        Mean time an electron at the chemical potential stays in the device, time.
    turning_rate : float
        Fastest precession of a spin, radian/time.
    """

    dwell_time: float
    turning_rate: float

    @property
    def angle(self) -> float:
        """Radian that the fastest spin turns while an electron is in the device; electrons follow if it is small."""
        return self.dwell_time * self.turning_rate
