"""The log table of a spin run, in the place where ASE users expect the MD log."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np

from spinase.atoms import get_units
from spinase.dynamics.freedoms import lattice_temperature
from spinase.measures import free_energy, magnetization, spin_temperature_of, summary

if TYPE_CHECKING:
    from spinase.dynamics.base import SpinDriver


class SpinLogger:
    """Writes one line per call: time, free energy per site, length of the mean moment, rms torque.

    The numbers are those of :mod:`spinase.measures` in the driver's applied field (``-`` for the energy of a driven system,
    which has none), in the unit system of the atoms; averages are over the magnetic sites.
    """

    def __init__(self, dynamics: SpinDriver, file: IO[str]) -> None:
        self.dynamics = dynamics
        self.file = file
        units = get_units(dynamics.atoms)
        self.file.write(
            f"# time [{units.time}]  free energy/site [{units.energy}]  "
            f"|<m>| [{units.moment}]  rms torque [{units.energy}]\n"
        )

    def __call__(self) -> None:
        """Write the line of the present step and flush it."""
        atoms, applied = self.dynamics.atoms, self.dynamics.applied_field()
        found = summary(atoms, applied)
        shown = "-" if found.energy is None else f"{found.energy:.10f}"
        self.file.write(
            f"{self.dynamics.get_time():14.6f} {shown:>18} {found.magnetization:12.8f} {found.rms_torque:12.6e}\n"
        )
        self.file.flush()


class SpinLatticeLogger(SpinLogger):
    """Writes one line per call: time; potential, kinetic and total energy per site; temperatures; length of the mean moment.

    The potential is the free energy plus that of the driver's applied field (``-``, as is the total, for a driven system).
    The lattice temperature is 2 K/freedoms of the motion of the atoms against each other, that of the spins is
    :func:`spinase.measures.spin_temperature_of`, both as energies.
    """

    def __init__(self, dynamics: SpinDriver, file: IO[str]) -> None:
        self.dynamics = dynamics
        self.file = file
        units = get_units(dynamics.atoms)
        names = ("potential/site", "kinetic/site", "total/site", "lattice kT", "spin kT")
        columns = "".join(f"{f'{name} [{units.energy}]':>24}" for name in names)
        self.file.write(f"# {f'time [{units.time}]':>28}{columns} {f'|<m>| [{units.moment}]':>16}\n")

    def __call__(self) -> None:
        """Write the line of the present step and flush it."""
        atoms, sites, applied = self.dynamics.atoms, len(self.dynamics.atoms), self.dynamics.applied_field()
        potential, kinetic = free_energy(atoms, applied), atoms.get_kinetic_energy()
        values = (
            potential,
            kinetic,
            None if potential is None else potential + kinetic,
            lattice_temperature(atoms) * sites,
            spin_temperature_of(atoms, applied) * sites,
        )
        shown = "".join(f"{'-' if value is None else format(value / sites, '.10f'):>24}" for value in values)
        mean = np.linalg.norm(magnetization(atoms))
        self.file.write(f"{self.dynamics.get_time():30.6f}{shown} {mean:16.8f}\n")
        self.file.flush()
