"""What a device says beside its fields: currents on bonds, and how far electrons follow the spins."""

from __future__ import annotations

from dataclasses import dataclass

from spinase.geometry import Bonds
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class BondCurrents:
    """Currents on the bonds of a device, from ``bonds.second`` to ``bonds.first``.

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
