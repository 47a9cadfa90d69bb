"""Minimizers by name: ASE's optimizers, whose memory is part of a restart."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase.optimize import FIRE, LBFGS
from ase.utils.abc import Optimizable
from pydantic import BaseModel, ConfigDict, Field

from spinase.errors import StyleError
from spinase.options import built_style


class Minimizer(ABC):
    """Goes down a landscape (coordinates and gradients of ASE's ``Optimizable``), one step at a time."""

    citation: str = ""

    @abstractmethod
    def begin(self, landscape: Optimizable) -> None:
        """Start on a landscape, without memory of another one."""

    @abstractmethod
    def step(self) -> None:
        """Make one step with the gradient at the present coordinates."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Copies of what the next step depends on besides the coordinates: arrays and JSON values."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state` gave, on an equal landscape."""


class FireConfig(BaseModel):
    """Options of the minimizer ``fire``."""

    model_config = ConfigDict(extra="forbid")

    dt: float = Field(0.1, gt=0, description="time step at the start, in units where masses are 1")
    dtmax: float = Field(1.0, gt=0, description="largest time step")
    maxstep: float = Field(
        0.2, gt=0, description="largest step, the norm over all coordinates [radian for spins, else length]"
    )


class Fire(Minimizer):
    """Fast inertial relaxation engine: steered molecular dynamics, needs no hint about stiffness.

    Parameters
    ----------
    dt, dtmax : float
        Time step at the start, and the largest.
    maxstep : float
        Largest step: the norm over all coordinates.
    """

    Config = FireConfig
    citation = "E. Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), doi:10.1103/PhysRevLett.97.170201"

    def __init__(self, dt: float = 0.1, dtmax: float = 1.0, maxstep: float = 0.2) -> None:
        self.dt, self.dtmax, self.maxstep = dt, dtmax, maxstep
        self._fire: Any = None

    @classmethod
    def from_config(cls, config: FireConfig) -> Fire:
        """Minimizer from its table."""
        return cls(config.dt, config.dtmax, config.maxstep)

    def begin(self, landscape: Optimizable) -> None:
        """Start at rest."""
        self._fire = FIRE(landscape, logfile=None, dt=self.dt, dtmax=self.dtmax, maxstep=self.maxstep)

    def step(self) -> None:
        """One step of the steered dynamics."""
        self._fire.step()

    def state(self) -> dict[str, Any]:
        """Velocities, time step, mixing and its count."""
        fire = self._fire
        vel = np.zeros(0) if fire.vel is None else fire.vel.copy()
        return {"vel": vel, "dt": float(fire.dt), "a": float(fire.a), "uphill_free": int(fire.Nsteps)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back velocities, time step, mixing and its count."""
        fire, vel = self._fire, np.array(state["vel"], dtype=np.float64)
        fire.vel = vel if vel.size else None
        fire.dt, fire.a, fire.Nsteps = float(state["dt"]), float(state["a"]), int(state["uphill_free"])


class LbfgsConfig(BaseModel):
    """Options of the minimizer ``lbfgs``."""

    model_config = ConfigDict(extra="forbid")

    alpha: float = Field(
        1.0, gt=0, description="stiffness at the start [energy of a spin's turn; atoms: energy/length^2, about 70 eV/A^2]"
    )
    memory: int = Field(100, ge=1, description="steps whose gradients are remembered")
    maxstep: float = Field(0.2, gt=0, le=1.0, description="largest step of one spin or atom [radian for spins, else length]")


class Lbfgs(Minimizer):
    """Quasi-Newton steps from the gradients of the last steps: few steps near a minimum.

    Parameters
    ----------
    alpha : float
        Stiffness at the start.
    memory : int
        Steps whose gradients are remembered.
    maxstep : float
        Largest step of one spin or atom.
    """

    Config = LbfgsConfig
    citation = "D. C. Liu and J. Nocedal, Math. Program. 45, 503 (1989), doi:10.1007/BF01589116"

    def __init__(self, alpha: float = 1.0, memory: int = 100, maxstep: float = 0.2) -> None:
        self.alpha, self.memory, self.maxstep = alpha, memory, maxstep
        self._lbfgs: Any = None

    @classmethod
    def from_config(cls, config: LbfgsConfig) -> Lbfgs:
        """Minimizer from its table."""
        return cls(config.alpha, config.memory, config.maxstep)

    def begin(self, landscape: Optimizable) -> None:
        """Start with the stiffness of the options."""
        self._lbfgs = LBFGS(landscape, logfile=None, alpha=self.alpha, memory=self.memory, maxstep=self.maxstep)

    def step(self) -> None:
        """One quasi-Newton step."""
        self._lbfgs.step()

    def state(self) -> dict[str, Any]:
        """Steps and changes of gradients that are remembered, and the last point."""
        lbfgs, kept = self._lbfgs, self._lbfgs.state
        lists = {name: np.array(getattr(kept, name), dtype=np.float64) for name in ("s", "y", "rho")}
        last = [np.zeros(0) if value is None else np.array(value) for value in (lbfgs.r0, lbfgs.f0)]
        return {**lists, "r0": last[0], "f0": last[1], "iteration": int(kept.iteration)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state` gave."""
        lbfgs, kept = self._lbfgs, self._lbfgs.state
        for name in ("s", "y", "rho"):
            setattr(kept, name, list(np.array(state[name])))
        kept.iteration = int(state["iteration"])
        r0, f0 = np.array(state["r0"]), np.array(state["f0"])
        lbfgs.r0, lbfgs.f0 = (r0 if r0.size else None), (f0 if f0.size else None)


def make_minimizer(choice: str | Mapping[str, Any] | Minimizer) -> Minimizer:
    """The minimizer of that name, of a table ``{ style = name, ... }``, or `choice` itself.

    Raises
    ------
    StyleError, InputError
        If there is none, if its options are wrong, or if it is no :class:`Minimizer`.
    """
    found = choice if isinstance(choice, Minimizer) else built_style("minimizers", choice, "minimizer")
    if not isinstance(found, Minimizer):
        raise StyleError(f"minimizer {choice!r} makes a {type(found).__name__}: it must derive from Minimizer")
    return found


__all__ = ["Fire", "FireConfig", "Lbfgs", "LbfgsConfig", "Minimizer", "make_minimizer"]
