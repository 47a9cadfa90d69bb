"""A bath of electrons with a temperature of its own, for two- and three-temperature dynamics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spinase.amounts import plain_number
from spinase.dynamics.settings import Number, checked
from spinase.dynamics.thermostats import LatticeLangevin
from spinase.errors import UnstableDynamicsError
from spinase.units import METAL


class ElectronBath:
    r"""Electrons of heat capacity C = gamma_e N kT_e between lattice and spins: what one loses, another gains.

    Atoms feel friction and noise at kT_e (rate `friction`), spins the driver's Gilbert damping with noise at kT_e.  The heat
    that goes over is counted step by step and taken from the electrons' energy N gamma_e (kT_e)^2/2, so lattice + spins +
    electrons keep their total energy, and the three temperatures meet.  A pulse heats the electrons.

    Parameters
    ----------
    kT : float or str
        Electron temperature at the start, as an energy; ``"300 K"`` in metal units.
    capacity : float
        gamma_e per site, 1/energy: C per site in units of k_B over kT_e.  (Sommerfeld's coefficient over k_B^2.)
    friction : float or str
        Rate of the coupling to the lattice, 1/time; 0: none (two temperatures); ``"5 /ps"`` in metal units.
    power : function of time, optional
        Heating of the electrons per site, energy/time.
    """

    capacity = Number("capacity of an electron bath", positive=True)
    friction = Number("friction of an electron bath", unit="1/time")
    units: str | None = None  # "metal" where amounts were given with their units
    citation = "P.-W. Ma, S. L. Dudarev, C. H. Woo, Phys. Rev. B 85, 184301 (2012), doi:10.1103/PhysRevB.85.184301"

    def __init__(
        self,
        kT: float | str,  # noqa: N803
        capacity: float,
        friction: float | str = 0.0,
        power: Callable[[float], float] | None = None,
    ) -> None:
        if isinstance(kT, str):
            kT, self.units = plain_number(kT, "energy", METAL, "kT of an electron bath"), METAL.name
        self.capacity, self.friction, self.power = capacity, friction, power
        self.energy_per_site = 0.5 * self.capacity * checked("kT of an electron bath", kT) ** 2

    @property
    def kT(self) -> float:  # noqa: N802
        """Electron temperature as an energy."""
        return float(np.sqrt(2.0 * self.energy_per_site / self.capacity))

    def lattice_bath(self) -> LatticeLangevin | None:
        """Langevin bath of the atoms at the present temperature; None without a coupling."""
        return LatticeLangevin(self.kT, self.friction) if self.friction > 0.0 else None

    def give(self, heat: float, sites: int) -> None:
        """Pay `heat` (energy) to lattice or spins.

        Raises
        ------
        UnstableDynamicsError
            If the electrons do not have that much: a step took more than all their energy.
        """
        left = self.energy_per_site - heat / sites
        if left < 0.0:
            raise UnstableDynamicsError(
                f"the electrons gave away more heat ({heat / sites:.3g} per site) than they had "
                f"({self.energy_per_site:.3g}): reduce the time step, or check the heat capacity"
            )
        self.energy_per_site = left

    def shine(self, time: float, timestep: float, sites: int) -> None:
        """Take up the power of the pulse during `timestep`.

        Parameters
        ----------
        time : float
            Of the driver's clock at the start of the step, time.
        timestep : float
            For how long, time.
        sites : int
            Sites of the magnet, each with the heat capacity of one.

        Raises
        ------
        UnstableDynamicsError
            If a power below zero takes more than the electrons have.
        """
        if self.power is not None:
            self.give(-float(self.power(time)) * timestep * sites, sites)

    def state(self) -> dict[str, Any]:
        """What a bit-exact restart needs."""
        return {"energy_per_site": self.energy_per_site}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state` gave."""
        self.energy_per_site = float(state["energy_per_site"])


__all__ = ["ElectronBath"]
