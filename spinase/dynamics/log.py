"""The log table of a spin run, in the place where ASE users expect the MD log."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np

from spinase.atoms import get_moments, get_units
from spinase.contract import calculator_of, energy_of

if TYPE_CHECKING:
    from spinase.dynamics.llg import LLGDynamics


class SpinLogger:
    """Writes one line per call: time, energy per site, length of the mean moment, rms torque.

    Energies are free energies per site (``-`` for a driven system, which has none), plus the energy of the driver's
    applied field where there is one; everything is in the unit system of the atoms.
    """

    def __init__(self, dynamics: LLGDynamics, file: IO[str]) -> None:
        self.dynamics = dynamics
        self.file = file
        units = get_units(dynamics.atoms)
        self.file.write(
            f"# time [{units.time}]  energy/site [{units.energy}]  |<m>| [{units.moment}]  rms torque [{units.energy}]\n"
        )

    def __call__(self) -> None:
        """Write the line of the present step and flush it."""
        atoms = self.dynamics.atoms
        energy = energy_of(atoms)
        shown = "-" if energy is None else f"{(energy + self.dynamics.zeeman_energy()) / len(atoms):.10f}"
        torques = np.asarray(calculator_of(atoms).get_property("magnetic_forces", atoms))
        moments = get_moments(atoms)
        torques = np.cross(moments, torques + self.dynamics.applied_field())
        rms = np.sqrt(np.mean(np.einsum("ia,ia->i", torques, torques)))
        mean = np.linalg.norm(moments.mean(axis=0))
        self.file.write(f"{self.dynamics.get_time():14.6f} {shown:>18} {mean:12.8f} {rms:12.6e}\n")
        self.file.flush()
