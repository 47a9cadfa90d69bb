"""What a driver is told and may be told anew between steps: time step, temperature, field, frozen spins; and the clock."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.md.md import MolecularDynamics
from numpy.typing import ArrayLike

from spinase.amounts import plain_number
from spinase.atoms import get_units
from spinase.dynamics.constrained import mobile_mask
from spinase.dynamics.ramp import Temperature
from spinase.dynamics.settings import Clock, as_generator, checked
from spinase.errors import ModelError
from spinase.spin_algebra import as_vectors
from spinase.typing import BoolArray, FloatArray

AppliedField = ArrayLike | Callable[[float], ArrayLike]


class DriverOptions(MolecularDynamics, ABC):
    """What a driver is told, in the units of its atoms, and the clock that functions of time are read at.

    Every option of the constructor is an attribute of the same name, and may be changed between steps; a value that the
    constructor refuses is refused then as well.  Time is counted as it passes: another time step changes nothing before it.

    Parameters
    ----------
    atoms : Atoms
        Whose unit system amounts are converted to.
    timestep : float or str
        Time, or an amount with its unit.
    kT, temperature_K : float, str or function of time
        Temperature of the spin bath, as an energy or in kelvin; one of both.
    field : array (3,) or (N, 3), str or function of time, optional
        Applied field, energy/moment.
    frozen : mask (N,) or indices, optional
        Spins that do not move.
    rng : numpy.random.Generator or int, optional
        Needed for a temperature.
    trajectory, loginterval
        As ASE's drivers have them.

    Raises
    ------
    ModelError
        On values that are no such amounts, both temperatures, or a temperature without randomness.
    """

    def __init__(
        self,
        atoms: Atoms,
        timestep: float | str,
        *,
        kT: Temperature | str,  # noqa: N803
        temperature_K: Temperature | str | None,  # noqa: N803
        field: AppliedField | str | None,
        frozen: ArrayLike | None,
        rng: np.random.Generator | int | None,
        trajectory: str | None,
        loginterval: int,
    ) -> None:
        self.atoms, self.nsteps, self._clock = atoms, 0, Clock()
        self._rng: np.random.Generator | None = None
        self.unit_system = get_units(atoms)
        step = checked("timestep", plain_number(timestep, "time", self.unit_system, "timestep"), positive=True)
        super().__init__(atoms, step, trajectory=trajectory, loginterval=loginterval)
        self.rng = rng  # type: ignore[assignment]
        if temperature_K is None:
            self.kT = kT
        elif callable(kT) or kT:
            raise ModelError("give the temperature once: kT (energy) or temperature_K (kelvin)")
        else:
            self.temperature_K = temperature_K
        self.field, self.frozen = field, frozen

    def _options_changed(self) -> None:
        """An option was set, or all of them are known."""

    # -- clock --------------------------------------------------------------------------------------------------------

    @property
    def dt(self) -> float:
        """Time step; changing it leaves the elapsed time as it is."""
        return self._clock.timestep

    @dt.setter
    def dt(self, value: float | str) -> None:
        step = plain_number(value, "time", self.unit_system, "timestep")
        self._clock = self._clock.with_timestep(checked("timestep", step, positive=True), self.nsteps)

    @property
    def timestep(self) -> float:
        """Time step (ASE calls it ``dt``)."""
        return self.dt

    @timestep.setter
    def timestep(self, value: float | str) -> None:
        self.dt = value

    def get_time(self) -> float:
        """Time elapsed since the start."""
        return self._clock.at(self.nsteps)

    # -- options ------------------------------------------------------------------------------------------------------

    @property
    def rng(self) -> np.random.Generator | None:
        """Source of randomness; a seed may be set."""
        return self._rng

    @rng.setter
    def rng(self, value: np.random.Generator | int | None) -> None:
        self._rng = None if value is None else as_generator(value, "a driver with a temperature")

    @property
    def kT(self) -> Temperature:  # noqa: N802
        """Temperature of the spin bath as an energy, or a function of time."""
        return self._kT

    @kT.setter
    def kT(self, value: Temperature | str) -> None:  # noqa: N802
        given = plain_number(value, "energy", self.unit_system, "kT")
        known: Temperature = given if callable(given) else checked("kT", given)
        self._check_temperature(known)
        self._kT = known

    @property
    def temperature_K(self) -> float:  # noqa: N802
        """Temperature of the spin bath now, kelvin (metal units)."""
        return self.bath_temperature() / self._metal_units().boltzmann

    @temperature_K.setter
    def temperature_K(self, value: Temperature | str) -> None:  # noqa: N802
        boltzmann = self._metal_units().boltzmann
        value = plain_number(value, "K", self.unit_system, "temperature_K")
        if callable(value):
            self.kT = lambda time: boltzmann * float(value(time))
        else:
            self.kT = boltzmann * checked("temperature_K", value)

    @property
    def field(self) -> AppliedField | None:
        """Applied field (3,) or (N, 3), energy/moment, or a function of time."""
        return self._field

    @field.setter
    def field(self, value: AppliedField | str | None) -> None:
        value = plain_number(value, "energy/moment", self.unit_system, "field")
        given = value(self.get_time()) if callable(value) else value
        known = None if given is None else as_vectors(given, len(self.atoms), "applied field")
        self._field = value if callable(value) else known  # a copy: the caller's array may change

    @property
    def frozen(self) -> BoolArray:
        """Mask (N,) of spins that do not move; indices may be set."""
        return ~self.mobile

    @frozen.setter
    def frozen(self, value: ArrayLike | None) -> None:
        self.mobile = mobile_mask(value, len(self.atoms))
        self._options_changed()

    def bath_temperature(self) -> float:
        """Temperature of the spin bath now, as an energy."""
        return checked("kT", self.kT(self.get_time())) if callable(self.kT) else self.kT

    def applied_field(self, fraction: float = 0.0) -> FloatArray | float:
        """Applied field (N, 3) at `fraction` of the coming step, energy/moment; 0.0 if there is none."""
        if self._field is None:
            return 0.0
        value = self._field(self.get_time() + fraction * self.dt) if callable(self._field) else self._field
        return as_vectors(value, len(self.atoms), "applied field")

    def _check_temperature(self, kT: Temperature) -> None:  # noqa: N803
        """Refuse a temperature without a generator."""
        if (callable(kT) or kT > 0.0) and self._rng is None:
            as_generator(None, "a temperature")

    def _metal_units(self) -> Any:
        if self.unit_system.name != "metal":
            raise ModelError(f"temperature_K needs metal units; these atoms are in {self.unit_system.name} units: give kT")
        return self.unit_system


__all__ = ["AppliedField", "DriverOptions"]
