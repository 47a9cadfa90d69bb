"""Thermostats of the lattice: they act on momenta only, for half a step before and half a step after the motion."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from ase import Atoms
from pydantic import BaseModel, ConfigDict, Field

from spinase.dynamics.freedoms import LatticeFreedoms
from spinase.dynamics.ramp import NotNegative, RampConfig, Temperature, temperature_of
from spinase.dynamics.settings import Number


class LatticeThermostat(ABC):
    """Heat bath of the atoms at temperature kT (energy).

    Parameters
    ----------
    kT : float, str or function of time
        Temperature as an energy; ``"300 K"`` in metal units.
    """

    citation: str = ""
    units: str | None = None  # "metal" where amounts were given with their units: such a bath suits metal magnets only
    kT = Number("the temperature kT of a lattice thermostat (an energy)", unit="energy")  # noqa: N815

    def __init__(self, kT: Temperature | str) -> None:  # noqa: N803
        self._schedule = kT if callable(kT) else None
        self.kT = kT(0.0) if callable(kT) else kT

    def follow(self, time: float) -> None:
        """Take the temperature of `time`, if it changes."""
        if self._schedule is not None:
            self.kT = self._schedule(time)

    @abstractmethod
    def heat(self, atoms: Atoms, time: float, rng: np.random.Generator) -> None:
        """Change the momenta of `atoms` as the bath does within `time`; constraints hold.

        Parameters
        ----------
        atoms : Atoms
            Changed in place.
        time : float
            How long the bath acts.
        rng : numpy Generator
            Source of noise.
        """


class LangevinConfig(BaseModel):
    """Options of the thermostat ``langevin``."""

    model_config = ConfigDict(extra="forbid")

    kT: NotNegative | RampConfig = Field(description="temperature as an energy, or a ramp { from, to } [eV or t]")  # noqa: N815
    friction: float = Field(gt=0, description="rate [1/time]")


class LatticeLangevin(LatticeThermostat):
    """Langevin bath: dp = -friction p dt + noise, integrated exactly.

    Parameters
    ----------
    kT : float, str or function of time
        Temperature as an energy; ``"300 K"`` in metal units.
    friction : float or str
        Rate, 1/time (ASE units or t/hbar); ``"20 /ps"`` in metal units.
    """

    Config = LangevinConfig
    friction = Number("the friction of a Langevin lattice (1/time)", positive=True, unit="1/time")
    citation = "G. Bussi and M. Parrinello, Phys. Rev. E 75, 056707 (2007), doi:10.1103/PhysRevE.75.056707"

    def __init__(self, kT: Temperature | str, friction: float | str) -> None:  # noqa: N803
        super().__init__(kT)
        self.friction = friction

    @classmethod
    def from_config(cls, config: LangevinConfig) -> LatticeLangevin:
        """Thermostat from its table."""
        return cls(temperature_of(config.kT), config.friction)

    def heat(self, atoms: Atoms, time: float, rng: np.random.Generator) -> None:
        """p -> c p + sqrt((1 - c^2) m kT) xi, c = exp(-friction time)."""
        kept = np.exp(-self.friction * time)
        noise = rng.standard_normal((len(atoms), 3))
        spread = np.sqrt((1.0 - kept**2) * atoms.get_masses() * self.kT)[:, None]
        atoms.set_momenta(kept * atoms.get_momenta() + spread * noise)


class BussiConfig(BaseModel):
    """Options of the thermostat ``bussi``."""

    model_config = ConfigDict(extra="forbid")

    kT: NotNegative | RampConfig = Field(description="temperature as an energy, or a ramp { from, to } [eV or t]")  # noqa: N815
    relaxation: float = Field(gt=0, description="time constant [time]")


class LatticeBussi(LatticeThermostat):
    """Stochastic velocity rescaling: canonical kinetic energy with little disturbance of the motion.

    It acts on the motion of the atoms against each other; momentum, and angular momentum at open boundaries, stay.

    Parameters
    ----------
    kT : float, str or function of time
        Temperature as an energy; positive; ``"300 K"`` in metal units.
    relaxation : float or str
        Time constant, time; ``"0.1 ps"`` in metal units.
    """

    Config = BussiConfig
    relaxation = Number("the relaxation time of velocity rescaling", positive=True, unit="time")
    citation = "G. Bussi, D. Donadio, M. Parrinello, J. Chem. Phys. 126, 014101 (2007), doi:10.1063/1.2408420"

    def __init__(self, kT: Temperature | str, relaxation: float | str) -> None:  # noqa: N803
        super().__init__(kT)
        self.relaxation = relaxation

    @classmethod
    def from_config(cls, config: BussiConfig) -> LatticeBussi:
        """Thermostat from its table."""
        return cls(temperature_of(config.kT), config.relaxation)

    def heat(self, atoms: Atoms, time: float, rng: np.random.Generator) -> None:
        """Rescale the motion of the atoms against each other."""
        freedoms = LatticeFreedoms.of(atoms)
        own, rigid = freedoms.divide(atoms.get_momenta())
        kinetic = 0.5 * float(np.sum(own**2 / freedoms.masses))
        if kinetic > 0.0:
            atoms.set_momenta(self._scale(kinetic, freedoms.count, time, rng) * own + rigid)

    def _scale(self, kinetic: float, freedoms: int, time: float, rng: np.random.Generator) -> float:
        """alpha of p -> alpha p, with alpha^2 from the exact solution for the kinetic energy (eq. A7)."""
        kept = np.exp(-time / self.relaxation)
        ratio = 0.5 * self.kT / kinetic  # mean kinetic energy per freedom over the present total
        one = rng.standard_normal()
        others = 2.0 * rng.standard_gamma(0.5 * (freedoms - 1)) if freedoms > 1 else 0.0
        square = kept + ratio * (1.0 - kept) * (one**2 + others) + 2.0 * one * np.sqrt(ratio * kept * (1.0 - kept))
        sign = np.sign(one + np.sqrt(kept / (ratio * (1.0 - kept)))) if self.kT > 0.0 else 1.0
        return float(sign * np.sqrt(max(square, 0.0)))
