"""Thermostats of the lattice: they act on momenta only, for half a step before and half a step after the motion."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from spinase.dynamics.ramp import Temperature
from spinase.errors import ModelError

FloatArray = NDArray[np.float64]


class LatticeThermostat(ABC):
    """Heat bath of the atoms at temperature kT (energy).

    Parameters
    ----------
    kT : float or function of time
        Temperature as an energy.
    """

    citation: str = ""

    def __init__(self, kT: Temperature) -> None:  # noqa: N803
        self._schedule = kT if callable(kT) else None
        self._set(kT(0.0) if callable(kT) else kT)

    def follow(self, time: float) -> None:
        """Take the temperature of `time`, if it changes."""
        if self._schedule is not None:
            self._set(self._schedule(time))

    def _set(self, kT: float) -> None:  # noqa: N803
        if not np.isfinite(kT) or kT < 0.0:
            raise ModelError(f"the temperature of a lattice thermostat must be zero or positive (an energy), got {kT}")
        self.kT = float(kT)

    @abstractmethod
    def apply(
        self, momenta: FloatArray, masses: FloatArray, freedoms: int, time: float, rng: np.random.Generator
    ) -> FloatArray:
        """New momenta (N, 3) after `time`; `freedoms` are the degrees of freedom that can move."""


class LatticeLangevin(LatticeThermostat):
    """Langevin bath: dp = -friction p dt + noise, integrated exactly.

    Parameters
    ----------
    kT : float or function of time
        Temperature as an energy.
    friction : float
        Rate, 1/time (ASE units or t/hbar).
    """

    citation = "G. Bussi and M. Parrinello, Phys. Rev. E 75, 056707 (2007)"

    def __init__(self, kT: Temperature, friction: float) -> None:  # noqa: N803
        super().__init__(kT)
        if not np.isfinite(friction) or friction <= 0.0:
            raise ModelError(f"the friction of a Langevin lattice must be positive (1/time), got {friction}")
        self.friction = float(friction)

    def apply(
        self, momenta: FloatArray, masses: FloatArray, freedoms: int, time: float, rng: np.random.Generator
    ) -> FloatArray:
        """p -> c p + sqrt((1 - c^2) m kT) xi, c = exp(-friction time)."""
        kept = np.exp(-self.friction * time)
        noise = rng.standard_normal(momenta.shape)
        return kept * momenta + np.sqrt((1.0 - kept**2) * masses * self.kT)[:, None] * noise


class LatticeBussi(LatticeThermostat):
    """Stochastic velocity rescaling: canonical kinetic energy with little disturbance of the motion.

    Parameters
    ----------
    kT : float or function of time
        Temperature as an energy; positive.
    relaxation : float
        Time constant, time.
    """

    citation = "G. Bussi, D. Donadio, M. Parrinello, J. Chem. Phys. 126, 014101 (2007)"

    def __init__(self, kT: Temperature, relaxation: float) -> None:  # noqa: N803
        super().__init__(kT)
        if not np.isfinite(relaxation) or relaxation <= 0.0:
            raise ModelError(f"the relaxation time of velocity rescaling must be positive, got {relaxation}")
        self.relaxation = float(relaxation)

    def apply(
        self, momenta: FloatArray, masses: FloatArray, freedoms: int, time: float, rng: np.random.Generator
    ) -> FloatArray:
        """p -> alpha p with alpha^2 from the exact solution for the kinetic energy (eq. A7)."""
        kinetic = 0.5 * float(np.sum(momenta**2 / masses[:, None]))
        if kinetic == 0.0:
            return momenta
        kept = np.exp(-time / self.relaxation)
        ratio = 0.5 * self.kT / kinetic  # mean kinetic energy per freedom over the present total
        one = rng.standard_normal()
        others = 2.0 * rng.standard_gamma(0.5 * (freedoms - 1)) if freedoms > 1 else 0.0
        square = kept + ratio * (1.0 - kept) * (one**2 + others) + 2.0 * one * np.sqrt(ratio * kept * (1.0 - kept))
        sign = np.sign(one + np.sqrt(kept / (ratio * (1.0 - kept)))) if self.kT > 0.0 else 1.0
        return sign * np.sqrt(max(square, 0.0)) * momenta
