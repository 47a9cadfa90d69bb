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


class SpinLatticeLogger(SpinLogger):
    """Writes one line per call: time; potential, kinetic and total energy per site; temperatures; length of the mean moment.

    The potential is the free energy plus that of the driver's applied field (``-``, as is the total, for a driven system).
    The lattice temperature is 2 K/freedoms, that of the spins sum |m x B|^2 / (2 sum m.B), both as energies.
    """

    def __init__(self, dynamics: LLGDynamics, file: IO[str]) -> None:
        self.dynamics = dynamics
        self.file = file
        units = get_units(dynamics.atoms)
        names = ("potential/site", "kinetic/site", "total/site", "lattice kT", "spin kT")
        columns = "".join(f"{f'{name} [{units.energy}]':>24}" for name in names)
        self.file.write(f"# {f'time [{units.time}]':>28}{columns} {f'|<m>| [{units.moment}]':>16}\n")

    def __call__(self) -> None:
        """Write the line of the present step and flush it."""
        atoms, sites = self.dynamics.atoms, len(self.dynamics.atoms)
        energy, kinetic = energy_of(atoms), atoms.get_kinetic_energy()
        potential = None if energy is None else energy + self.dynamics.zeeman_energy()
        moments = get_moments(atoms)
        fields = np.asarray(calculator_of(atoms).get_property("magnetic_forces", atoms)) + self.dynamics.applied_field()
        along = 2.0 * float(np.sum(moments * fields))
        spin = float(np.sum(np.cross(moments, fields) ** 2)) / along if along > 0.0 else float("nan")
        freedoms = max(1, int(atoms.get_number_of_degrees_of_freedom()))
        values = (
            potential,
            kinetic,
            None if potential is None else potential + kinetic,
            2.0 * kinetic * sites / freedoms,
            spin * sites,
        )
        shown = "".join(f"{'-' if value is None else format(value / sites, '.10f'):>24}" for value in values)
        mean = np.linalg.norm(moments.mean(axis=0))
        self.file.write(f"{self.dynamics.get_time():30.6f}{shown} {mean:16.8f}\n")
        self.file.flush()
