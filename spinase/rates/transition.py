r"""Rates of transitions over a saddle point: harmonic transition-state theory for spins, and Langer's theory with damping.

With curvatures :math:`\lambda` of minimum (m) and saddle point (s), P zero modes of volume V each,

.. math::

    k = \frac{v}{2\pi}\,\frac{V_s}{V_m}\,(2\pi kT)^{(P_m - P_s)/2}\,
        \sqrt{\frac{\prod \lambda^m}{\prod' \lambda^s}}\; e^{-\Delta E/kT},

where the product at the saddle point leaves out the negative curvature.  Transition-state theory (P. F. Bessarab, V. M.
Uzdin, H. Jonsson, Phys. Rev. B 85, 184409 (2012)) counts crossings by precession: :math:`v^2 = \sum_j b_j^2/\lambda_j`, with
:math:`\dot q_1 = \sum_j b_j q_j` the velocity along the unstable mode of the undamped equation of motion.  Langer's theory
(J. S. Langer, Ann. Phys. 54, 258 (1969); for one spin W. F. Brown, Phys. Rev. 130, 1677 (1963)) has damping and noise:
:math:`v = \kappa/\sqrt{|\lambda_1|}`, with :math:`\kappa` the rate at which deviations grow at the saddle point.  Both
agree for one spin without damping.  Langer's holds where damping brings the magnet to equilibrium within a well between
attempts (the energy lost in one turn at the barrier's height is kT or more); at lower damping rates are smaller than either.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from ase.units import second

from spinase.errors import AccuracyWarning, ModelError
from spinase.rates.stationary import StationaryPoint
from spinase.typing import FloatArray

_LOW = 3.0  # barrier over kT below which harmonic rates mean little


@dataclass(frozen=True, eq=False)
class Transition:
    """From a minimum over a saddle point.

    Attributes
    ----------
    minimum, saddle : StationaryPoint
        Curvatures at both.
    multiplicity : int
        Number of equivalent saddle points.
    """

    minimum: StationaryPoint
    saddle: StationaryPoint
    multiplicity: int = 1

    @property
    def barrier(self) -> float:
        """Energy of the saddle point above the minimum."""
        return self.saddle.energy - self.minimum.energy

    @property
    def exponent(self) -> float:
        """Power of kT in the prefactor: half the number of zero modes of the minimum less those of the saddle point."""
        return 0.5 * (self.minimum.zero_modes - self.saddle.zero_modes)

    @property
    def velocity(self) -> float:
        """v of transition-state theory, 1/(time sqrt(energy)): that of the unstable mode in precession."""
        direction = self._precession.T @ self._unstable
        stable = np.setdiff1d(
            np.arange(len(self.saddle.values)), np.append(self.saddle.unstable, np.flatnonzero(self.saddle.zero))
        )
        parts = self.saddle.modes[:, stable].T @ direction
        return float(np.sqrt(np.sum(self.saddle.values[stable] * parts**2)))

    def growth(self, damping: float) -> float:
        """kappa, 1/time: rate at which deviations from the saddle point grow.

        Parameters
        ----------
        damping : float
            Gilbert's alpha, at least 0.

        Raises
        ------
        ModelError
            For a negative damping.
        """
        if not (np.isfinite(damping) and damping >= 0.0):
            raise ModelError(f"the damping must be a number of at least 0, got {damping}")
        values, modes = np.where(self.saddle.zero, 0.0, self.saddle.values), self.saddle.modes
        slopes = (modes * values) @ modes.T
        momenta = np.tile(self.saddle.hessian.angular_momenta, 2)
        motion = (self._precession - damping * np.diag(1.0 / momenta)) @ slopes / (1.0 + damping**2)
        return float(max(np.linalg.eigvals(motion).real.max(), 0.0))

    def prefactor(self, kT: float) -> float:  # noqa: N803
        """Of transition-state theory, 1/time: all but the exponential.

        Parameters
        ----------
        kT : float
            Temperature, energy; it matters only where zero modes differ.
        """
        return self.velocity * self._room(kT)

    def rate(self, kT: float) -> float:  # noqa: N803
        """Of transition-state theory, 1/time.

        Parameters
        ----------
        kT : float
            Temperature, energy.

        Warns
        -----
        AccuracyWarning
            If the barrier is no multiple of kT.
        """
        return self.prefactor(kT) * self._boltzmann(kT)

    def lifetime(self, kT: float) -> float:  # noqa: N803
        """1/rate of transition-state theory, time; infinite where precession alone does not cross.

        Parameters
        ----------
        kT : float
            Temperature, energy.
        """
        return _inverse(self.rate(kT))

    def damped_prefactor(self, kT: float, damping: float) -> float:  # noqa: N803
        """Of Langer's theory, 1/time: all but the exponential.

        Parameters
        ----------
        kT, damping : float
            Temperature, energy, and Gilbert's alpha.
        """
        lowest = float(self.saddle.values[self.saddle.unstable[0]])
        return self.growth(damping) / np.sqrt(-lowest) * self._room(kT)

    def damped_rate(self, kT: float, damping: float) -> float:  # noqa: N803
        """Of Langer's theory, 1/time.

        Parameters
        ----------
        kT, damping : float
            Temperature, energy, and Gilbert's alpha.

        Warns
        -----
        AccuracyWarning
            If the barrier is no multiple of kT.
        """
        return self.damped_prefactor(kT, damping) * self._boltzmann(kT)

    def damped_lifetime(self, kT: float, damping: float) -> float:  # noqa: N803
        """1/rate of Langer's theory, time.

        Parameters
        ----------
        kT, damping : float
            Temperature, energy, and Gilbert's alpha.
        """
        return _inverse(self.damped_rate(kT, damping))

    def describe(self, kT: float, damping: float) -> str:  # noqa: N803
        """Barrier, curvatures, prefactors and lifetimes in words; in metal units per second.

        Parameters
        ----------
        kT, damping : float
            Temperature, energy, and Gilbert's alpha.
        """
        metal = self.minimum.units.name == "metal"
        scale, unit = (second, "s") if metal else (1.0, self.minimum.units.time)
        energy = self.minimum.units.energy
        return "\n".join(
            [
                f"minimum: {self.minimum}",
                f"saddle point: {self.saddle}",
                f"barrier {self.barrier:.6g} {energy}, {self.barrier / kT:.4g} kT; {self.multiplicity} equivalent "
                f"saddle point(s)",
                f"transition-state theory: prefactor {self.prefactor(kT) * scale:.4g} / {unit}, lifetime "
                f"{self.lifetime(kT) / scale:.4g} {unit}",
                f"Langer, damping {damping:g}: prefactor {self.damped_prefactor(kT, damping) * scale:.4g} / {unit}, "
                f"lifetime {self.damped_lifetime(kT, damping) / scale:.4g} {unit}",
            ]
        )

    @property
    def _unstable(self) -> FloatArray:
        return self.saddle.modes[:, self.saddle.unstable[0]]

    @property
    def _precession(self) -> FloatArray:
        """G of du/dt = G dE/du: du1/dt = -(dE/du2)/L, du2/dt = (dE/du1)/L, L = mu/gamma."""
        inverse = np.diag(1.0 / self.saddle.hessian.angular_momenta)
        nothing = np.zeros_like(inverse)
        return np.block([[nothing, -inverse], [inverse, nothing]])

    def _room(self, kT: float) -> float:  # noqa: N803
        """Everything but v and the exponential."""
        if not (np.isfinite(kT) and kT > 0.0):
            raise ModelError(f"kT must be a positive energy, got {kT}")
        entropy = 0.5 * (np.sum(np.log(self.minimum.positive)) - np.sum(np.log(self.saddle.positive)))
        volumes = self.saddle.volume / self.minimum.volume * (2.0 * np.pi * kT) ** self.exponent
        return float(self.multiplicity * volumes * np.exp(entropy) / (2.0 * np.pi))

    def _boltzmann(self, kT: float) -> float:  # noqa: N803
        if self.barrier < _LOW * kT:
            warnings.warn(
                f"the barrier {self.barrier:.4g} is only {self.barrier / kT:.3g} kT: harmonic rates hold for "
                "barriers of several kT; run the dynamics (LLGDynamics with a temperature) instead",
                AccuracyWarning,
                stacklevel=3,
            )
        return float(np.exp(-self.barrier / kT))


def _inverse(rate: float) -> float:
    return 1.0 / rate if rate > 0.0 else float("inf")


def transition(minimum: StationaryPoint, saddle: StationaryPoint, multiplicity: int = 1) -> Transition:
    """The transition from a minimum over a saddle point.

    Parameters
    ----------
    minimum, saddle : StationaryPoint
        Of :func:`stationary_point`, of the same magnet.
    multiplicity : int
        Number of equivalent saddle points that lead out of the minimum (those within one orbit of zero modes are one).

    Raises
    ------
    ModelError
        If they are not what they are called, or of different magnets.
    """
    if len(minimum.values) != len(saddle.values) or minimum.units.name != saddle.units.name:
        raise ModelError(
            f"minimum and saddle point are of different magnets: {len(minimum.values)} and {len(saddle.values)} curvatures, "
            f"{minimum.units.name} and {saddle.units.name} units"
        )
    for name, point, wanted in (("minimum", minimum, 0), ("saddle point", saddle, 1)):
        if point.negative != wanted:
            raise ModelError(
                f"the {name} must have {wanted} negative curvature(s), this state has {point.negative} (lowest "
                f"{point.values[0]:.4g}, threshold of zero modes {point.threshold:.4g}): relax it further, or look "
                "for another path (minimum_energy_path, find_saddle)"
            )
    if multiplicity < 1:
        raise ModelError(f"there must be at least one saddle point, got multiplicity = {multiplicity}")
    return Transition(minimum, saddle, int(multiplicity))


__all__ = ["Transition", "transition"]
