"""The log table of a spin run, in the place where ASE users expect the MD log."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import ase.units
import numpy as np

from spinase.atoms import get_units
from spinase.dynamics.freedoms import lattice_temperature
from spinase.measures import free_energy, magnetization, spin_temperature_of, summary

if TYPE_CHECKING:
    from spinase.dynamics.base import SpinDriver


def clock_of(dynamics: SpinDriver) -> tuple[str, float]:
    """Unit in which people read a driver's time, and what one of its own units is in it: fs in metal units.

    Parameters
    ----------
    dynamics : SpinDriver
        Monte Carlo counts sweeps.
    """
    units = get_units(dynamics.atoms)
    if dynamics.time_unit is not None:
        return dynamics.time_unit, 1.0
    return ("fs", 1.0 / ase.units.fs) if units.name == "metal" else (units.time, 1.0)


class SpinLogger:
    """Writes one line per call: time, free energy per site, length of the mean moment, rms torque.

    The numbers are those of :mod:`spinase.measures` in the driver's applied field (``-`` for the energy of a driven system,
    which has none), in the unit system of the atoms (time in fs in metal units); averages are over the magnetic sites.
    """

    def __init__(self, dynamics: SpinDriver, file: IO[str]) -> None:
        self.dynamics = dynamics
        self.file = file
        units = get_units(dynamics.atoms)
        self._clock, self._scale = clock_of(dynamics)
        self.file.write(
            f"# time [{self._clock}]  free energy/site [{units.energy}]  "
            f"|<m>| [{units.moment}]  rms torque [{units.energy}]\n"
        )

    def __call__(self) -> None:
        """Write the line of the present step and flush it."""
        atoms, applied = self.dynamics.atoms, self.dynamics.applied_field()
        found = summary(atoms, applied)
        shown = "-" if found.energy is None else f"{found.energy:.10f}"
        time = self._scale * self.dynamics.get_time()
        self.file.write(f"{time:14.6f} {shown:>18} {found.magnetization:12.8f} {found.rms_torque:12.6e}\n")
        self.file.flush()


class SpinLatticeLogger(SpinLogger):
    """Writes one line per call: time; potential, kinetic and total energy per site; temperatures; length of the mean moment.

    The potential is the free energy plus that of the driver's applied field (``-``, as is the total, for a driven system).
    The lattice temperature is 2 K/freedoms of the motion of the atoms against each other, that of the spins is
    :func:`spinase.measures.spin_temperature_of`, both in kelvin in metal units and else as energies.
    """

    def __init__(self, dynamics: SpinDriver, file: IO[str]) -> None:
        self.dynamics = dynamics
        self.file = file
        units = get_units(dynamics.atoms)
        self._clock, self._scale = clock_of(dynamics)
        self._boltzmann, warm = (units.boltzmann, ("T", "K")) if units.name == "metal" else (1.0, ("kT", units.energy))
        names = [f"{name}/site [{units.energy}]" for name in ("potential", "kinetic", "total")]
        names += [f"{name} {warm[0]} [{warm[1]}]" for name in ("lattice", "spin")]
        columns = "".join(f"{name:>24}" for name in names)
        self.file.write(f"# {f'time [{self._clock}]':>28}{columns} {f'|<m>| [{units.moment}]':>16}\n")

    def __call__(self) -> None:
        """Write the line of the present step and flush it."""
        atoms, sites, applied = self.dynamics.atoms, len(self.dynamics.atoms), self.dynamics.applied_field()
        potential, kinetic = free_energy(atoms, applied), atoms.get_kinetic_energy()
        values = (
            potential,
            kinetic,
            None if potential is None else potential + kinetic,
            lattice_temperature(atoms) * sites / self._boltzmann,
            spin_temperature_of(atoms, applied) * sites / self._boltzmann,
        )
        shown = "".join(f"{'-' if value is None else format(value / sites, '.10f'):>24}" for value in values)
        mean = np.linalg.norm(magnetization(atoms))
        self.file.write(f"{self._scale * self.dynamics.get_time():30.6f}{shown} {mean:16.8f}\n")
        self.file.flush()
