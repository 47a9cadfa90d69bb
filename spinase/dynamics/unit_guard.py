"""Numbers that are meant in other units: the guard looks at them as a person would, in fs, kelvin and tesla."""

from __future__ import annotations

from dataclasses import dataclass

import ase.units
import numpy as np

from spinase.typing import FloatArray
from spinase.units import UnitSystem

_LARGE_TURN = 3.2  # radian in one step: half a turn
_LARGE_FIELD = 1000.0  # tesla; the largest made by people is of that order
_LARGE_ENERGY = 10.0  # eV of a spin in its field; exchange energies are below 1
_HOT = 1.0  # eV, 11600 K


@dataclass(frozen=True, eq=False)
class StepNumbers:
    """What a step of a driver works with.

    Attributes
    ----------
    units : UnitSystem
    timestep, kT : float
        Time; energy.
    lengths : (N,)
        Lengths of the moments.
    fields : (N, 3)
        All fields, applied ones included, energy/moment.
    across : (N,)
        Fields across the spins.
    applied : float
        Largest applied field, energy/moment.
    """

    units: UnitSystem
    timestep: float
    kT: float  # noqa: N815
    lengths: FloatArray
    fields: FloatArray
    across: FloatArray
    applied: float

    def angle(self, field: float) -> float:
        """gamma B dt of a field, radian."""
        return self.units.gyromagnetic_ratio * field * self.timestep

    @property
    def largest(self) -> float:
        """Largest field on a spin, energy/moment."""
        return float(np.linalg.norm(self.fields, axis=1)[self.lengths > 0.0].max(initial=0.0))

    def describe(self) -> str:
        """Time step, temperature, fields and angle per step in units that people use."""
        angle = f"gamma |B| dt up to {self.angle(self.largest):.3g} radian"
        if self.units.tesla is None:
            parts = (f"time step {self.timestep:.4g} {self.units.time}", f"kT {self.kT:.4g} {self.units.energy}")
            applied, largest = (f"{value:.4g} {self.units.energy}/|m|" for value in (self.applied, self.largest))
        else:
            kelvin = self.kT / self.units.boltzmann
            parts = (f"time step {self.timestep / ase.units.fs:.4g} fs", f"kT {kelvin:.4g} K ({self.kT:.4g} eV)")
            applied, largest = (f"{value / self.units.tesla:.4g} T" for value in (self.applied, self.largest))
        if self.timestep == 0.0:  # a sampler: a step is a sweep
            return ", ".join([parts[1], f"applied field {applied}", f"all fields up to {largest}"])
        return ", ".join([*parts, f"applied field {applied}", f"all fields up to {largest}", angle])

    def problems(self, share: float) -> list[str]:
        """What looks like another unit; `share` of the fields along the spins turns with them and so turns nothing."""
        turning = max(float(self.across.max(initial=0.0)), (1.0 - share) * self.largest)
        found = []
        metal = self.units.tesla is not None
        if self.angle(turning) > _LARGE_TURN:
            fs = f" ({self.timestep / ase.units.fs:.3g} fs: ASE's unit of time is 10.18 fs, use ase.units.fs)"
            found.append(
                f"time step {self.timestep:.4g}{fs if metal else ''}: spins turn by up to {self.angle(turning):.2g} radian "
                "in one step; the motion cannot be followed, reduce the time step"
            )
        if self.units.tesla is None:
            return found
        if self.applied / self.units.tesla > _LARGE_FIELD:
            found.append(
                f"the applied field is {self.applied / self.units.tesla:,.0f} T ({self.applied:.4g} eV/mu_B): one in tesla "
                "is multiplied by spinase.units.METAL.tesla (5.788e-5 eV/mu_B)"
            )
        energies = np.linalg.norm(self.fields, axis=1) * self.lengths
        if energies.max(initial=0.0) > _LARGE_ENERGY:
            site = int(energies.argmax())
            found.append(
                f"spin {site} has {energies[site]:.3g} eV in its field ({energies[site] / self.units.boltzmann:,.0f} K; "
                f"{self.largest / self.units.tesla:,.0f} T): couplings are in eV, not in meV or mRy"
            )
        if self.kT > _HOT:
            found.append(f"kT = {self.kT:.4g} eV is {self.kT / self.units.boltzmann:,.0f} K: give kelvin as temperature_K")
        return found


__all__ = ["StepNumbers"]
