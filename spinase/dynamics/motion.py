"""Other equations of motion than LLG for the spins: with inertia, and with lengths that change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from spinase.dynamics.settings import Number
from spinase.errors import ModelError
from spinase.spin_algebra import cross, rotate_about, tangent
from spinase.typing import BoolArray, FloatArray

TotalField = Callable[[FloatArray, float], FloatArray]
"""Field B (N, 3) of spins (N, 3) at a fraction of the step, without thermal noise."""


class SpinMotion(ABC):
    """An equation of motion of the spins that replaces LLG in a driver (option ``motion``).

    Its noise comes from the driver's generator, its temperature (an energy) is that of the driver's spin bath.
    """

    citation: str = ""
    free_lengths = False
    damped_by = "damping"

    def is_damped(self) -> bool:
        """Whether a bath is coupled to the spins."""
        return self.damping > 0.0

    def begin(self, spins: FloatArray, lengths: FloatArray, mobile: BoolArray, damping: float, gamma: FloatArray) -> None:
        """Take over the spins at the start of a run or after others changed them; gamma (N,) is g_i mu_B/hbar.

        Parameters
        ----------
        spins, lengths : (N, 3), (N,) ndarray
            Unit vectors, and lengths of the moments, mu_B or |m|.
        mobile : (N,) bool
            Sites that may turn.
        damping : float
            Of the driver, alpha.
        gamma : (N,) ndarray
            g_i mu_B/hbar, rad/time per field.

        Raises
        ------
        ModelError
            If the driver's damping does not go with this motion.
        """
        self.lengths, self.mobile, self.damping, self.gamma = lengths, mobile, damping, gamma

    @abstractmethod
    def turn(
        self,
        spins: FloatArray,
        field: TotalField,
        timestep: float,
        temperature: float,
        rng: np.random.Generator | None,
    ) -> FloatArray:
        """Spins after `timestep`.

        Parameters
        ----------
        spins : (N, 3) ndarray
            Now.
        field : callable
            Spins and the part of the step that is done -> fields (N, 3), energy/moment.
        timestep, temperature : float
            Time, and kT of the spins, energy.
        rng : numpy Generator, optional
            Source of noise; none is needed at kT = 0.
        """

    def state(self) -> dict[str, Any]:
        """What a bit-exact restart needs."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take back what :meth:`state` gave."""


class InertialSpins(SpinMotion):
    r"""Inertial LLG: nutation on top of precession.

    .. math:: \dot s = -\gamma s\times B + \alpha s\times\dot s + \eta s\times\ddot s

    With the angular velocity pi = s x ds/dt it reads ds/dt = pi x s, eta dpi/dt = gamma s x B - alpha pi - s x pi, which is
    integrated by a symmetric splitting into exact parts: pi at a fixed spin, and the rotation of the spin at fixed pi.
    The energy E + sum I pi^2/2 with the moment of inertia I = mu eta/gamma is conserved without damping.

    Parameters
    ----------
    inertia : float
        eta = alpha tau, time; positive (femtoseconds and less in metals).
    """

    inertia = Number("the inertia of spins (a time)", positive=True)
    citation = "M.-C. Ciornei, J. M. Rubi, J.-E. Wegrowe, Phys. Rev. B 83, 020410 (2011), doi:10.1103/PhysRevB.83.020410"

    def __init__(self, inertia: float) -> None:
        self.inertia = inertia
        self.velocity: FloatArray | None = None

    def begin(self, spins: FloatArray, lengths: FloatArray, mobile: BoolArray, damping: float, gamma: FloatArray) -> None:
        """Angular velocities stay if there are any, else they start from zero."""
        super().begin(spins, lengths, mobile, damping, gamma)
        if self.velocity is None or self.velocity.shape != spins.shape:
            self.velocity = np.zeros_like(spins)
        self.velocity = tangent(self.velocity, spins)

    def turn(
        self,
        spins: FloatArray,
        field: TotalField,
        timestep: float,
        temperature: float,
        rng: np.random.Generator | None,
    ) -> FloatArray:
        """Half a step of the velocities, a step of the spins, half a step of the velocities."""
        assert self.velocity is not None
        half = 0.5 * timestep
        velocity = self._accelerate(spins, self.velocity, field(spins, 0.0), half, temperature, rng)
        spins = rotate_about(spins, -timestep * velocity)
        self.velocity = self._accelerate(spins, velocity, field(spins, 1.0), half, temperature, rng)
        return spins

    def _accelerate(
        self,
        spins: FloatArray,
        velocity: FloatArray,
        field: FloatArray,
        time: float,
        temperature: float,
        rng: np.random.Generator | None,
    ) -> FloatArray:
        """Exact at a fixed spin: pi goes to (alpha tau - s x tau)/(1 + alpha^2), tau = gamma s x B, at the rate 1/eta."""
        torque = self.gamma[:, None] * cross(spins, np.ascontiguousarray(field)) * self.mobile[:, None]
        steady = (self.damping * torque - cross(spins, torque)) / (1.0 + self.damping**2)
        kept = np.exp(-self.damping * time / self.inertia)
        new = steady + kept * rotate_about(velocity - steady, spins * (time / self.inertia))
        if temperature > 0.0:
            assert rng is not None
            noise = tangent(rng.standard_normal(spins.shape), spins)
            inertia = np.where(self.mobile & (self.lengths > 0.0), self.lengths, np.inf) * self.inertia / self.gamma
            new = new + np.sqrt((1.0 - kept**2) * temperature / inertia)[:, None] * noise
        return np.asarray(new)

    def kinetic_energy(self) -> float:
        """sum mu eta/(2 gamma) pi^2, energy."""
        if self.velocity is None:
            return 0.0
        unit = float(self.gamma.max())
        lengths = self.lengths * (unit / self.gamma)  # with one gamma for all these are the lengths, to the last bit
        return 0.5 * self.inertia / unit * float(lengths @ np.einsum("ia,ia->i", self.velocity, self.velocity))

    def state(self) -> dict[str, Any]:
        """The angular velocities."""
        return {"velocity": np.zeros((0, 3)) if self.velocity is None else self.velocity.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back the angular velocities."""
        velocity = np.array(state["velocity"], dtype=np.float64)
        self.velocity = velocity if len(velocity) else None


class FreeLengthSpins(SpinMotion):
    r"""Moments whose lengths change: generalized Langevin spin dynamics.

    .. math:: \dot m = -\gamma m\times B + \lambda B + \xi, \quad \langle\xi_a\xi_b\rangle = 2\lambda kT\delta_{ab}

    B is the full magnetic force, also along the moment, so the calculator must know what a length costs (a
    :class:`~spinase.calculators.LandauCalculator` in the sum, electrons, or a learned model).  Lengths at the start are
    the reference in which the spins m/|m_ref| of all terms are measured; they are kept on the atoms.

    Parameters
    ----------
    rate : float
        lambda, moment^2/(energy time): damps transverse and longitudinal motion alike.
    """

    rate = Number("the rate of free-length spins")
    citation = "P.-W. Ma, S. L. Dudarev, Phys. Rev. B 86, 054416 (2012), doi:10.1103/PhysRevB.86.054416"
    free_lengths = True
    damped_by = "the rate"

    def is_damped(self) -> bool:
        """Through the rate."""
        return self.rate > 0.0

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def begin(self, spins: FloatArray, lengths: FloatArray, mobile: BoolArray, damping: float, gamma: FloatArray) -> None:
        """Refuse a Gilbert damping besides the rate."""
        if damping:
            raise ModelError(f"free-length spins are damped by their rate: set damping = 0 (it is {damping})")
        super().begin(spins, lengths, mobile, damping, gamma)

    def turn(
        self,
        spins: FloatArray,
        field: TotalField,
        timestep: float,
        temperature: float,
        rng: np.random.Generator | None,
    ) -> FloatArray:
        """Relaxation for half a step, precession for a step (implicit midpoint), relaxation for half a step."""
        spins = self._relax(spins, field, 0.5 * timestep, 0.0, temperature, rng)
        spins = self._precess(spins, field, timestep)
        return self._relax(spins, field, 0.5 * timestep, 1.0, temperature, rng)

    def _precess(self, spins: FloatArray, field: TotalField, timestep: float) -> FloatArray:
        angle = timestep * self.gamma[:, None] * self.mobile[:, None]
        new = spins
        for _ in range(3):  # second order needs two passes; the third makes the energy error a higher order's
            new = rotate_about(spins, -angle * field(0.5 * (spins + new), 0.5))
        return new

    def _relax(
        self,
        spins: FloatArray,
        field: TotalField,
        time: float,
        fraction: float,
        temperature: float,
        rng: np.random.Generator | None,
    ) -> FloatArray:
        """Heun's step of dm/dt = lambda B + noise."""
        inverse = (self.mobile / np.where(self.lengths > 0.0, self.lengths, np.inf))[:, None]
        noise: FloatArray | float = 0.0
        if temperature > 0.0 and self.rate > 0.0:
            assert rng is not None
            noise = np.sqrt(2.0 * self.rate * temperature * time) * rng.standard_normal(spins.shape)
        start = field(spins, fraction)
        predicted = spins + inverse * (time * self.rate * start + noise)
        mean = 0.5 * (start + field(predicted, fraction))
        return np.asarray(spins + inverse * (time * self.rate * mean + noise))


__all__ = ["FreeLengthSpins", "InertialSpins", "SpinMotion"]
