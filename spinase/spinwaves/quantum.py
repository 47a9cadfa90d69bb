"""Temperatures at which classical spins have what quantum magnons have: rescaled baths for spin dynamics and Monte Carlo.

Classical modes hold kT each, quantum ones hbar omega n, n = 1/(exp(hbar omega/kT) - 1) of Bose and Einstein.  A classical
bath at kT' has the same number of magnons, or the same energy, if

    number:  kT' = sum n / sum 1/(hbar omega),        energy:  kT' = (1/modes) sum hbar omega n.

The number gives magnetizations, M(T) = M(0) - sum of magnons, with Bloch's T^(3/2) law; the energy (C. H. Woo et al., Phys.
Rev. B 91, 104306 (2015)) gives heat capacities that vanish with T.  One temperature cannot have both: modes above kT are
too warm and the others too cold.  Magnons are those of the ground state; their softening with T is not in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spinase.brief import Brief
from spinase.errors import ModelError
from spinase.spin_algebra import own_arrays
from spinase.spinwaves.bands import MagnonBands
from spinase.typing import FloatArray


def bose(energies: ArrayLike, kT: float) -> FloatArray:  # noqa: N803
    """Occupations n = 1/(exp(E/kT) - 1).

    Parameters
    ----------
    energies : array
        Positive, energy.
    kT : float
        Temperature, energy; 0: no magnons.
    """
    value = np.asarray(energies, dtype=np.float64)
    if kT <= 0.0:
        return np.zeros_like(value)
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / np.expm1(value / kT))


@dataclass(frozen=True, eq=False, repr=False)
class MagnonSpectrum(Brief):
    """Energies of the magnons of a magnet.

    Attributes
    ----------
    energies : (n,)
        hbar omega, positive, energy; as many as there are magnetic sites times points of a mesh.
    weights : (n,)
        What each counts; they add up to 1.
    """

    energies: FloatArray
    weights: FloatArray

    def __post_init__(self) -> None:
        energies, weights = np.asarray(self.energies, dtype=np.float64), np.asarray(self.weights, dtype=np.float64)
        if energies.ndim != 1 or weights.shape != energies.shape or not len(energies):
            raise ModelError(
                f"a spectrum needs energies and weights of one shape (n,), got {energies.shape}, {weights.shape}"
            )
        if not (np.isfinite(energies).all() and (energies > 0.0).all()):
            raise ModelError(
                f"magnon energies must be positive, the lowest is {energies.min():.4g}: leave the uniform mode out "
                "(MagnonSpectrum.of_bands does), or the state is no minimum"
            )
        if not ((weights >= 0.0).all() and weights.sum() > 0.0):
            raise ModelError("weights of magnons must not be negative, nor all zero")
        object.__setattr__(self, "energies", energies)
        object.__setattr__(self, "weights", weights / weights.sum())
        own_arrays(self)

    @classmethod
    def of_bands(cls, bands: MagnonBands, floor: float = 1e-9) -> MagnonSpectrum:
        """Of bands on a mesh (:func:`~spinase.spinwaves.magnon_mesh`), each point alike.

        Parameters
        ----------
        bands : MagnonBands
            Of a minimum.
        floor : float
            Modes below this part of the highest energy are left out: uniform rotations, which no restoring force holds.
        """
        energies = np.abs(bands.energies).ravel()
        kept = energies > floor * energies.max(initial=0.0)
        return cls(energies[kept], np.ones(int(kept.sum())))

    def number(self, kT: float) -> float:  # noqa: N803
        """Magnons a mode, at kT, energy."""
        return float(self.weights @ bose(self.energies, kT))

    def energy(self, kT: float) -> float:  # noqa: N803
        """Energy of the magnons a mode, at kT, energy, without zero-point motion."""
        return float(self.weights @ (self.energies * bose(self.energies, kT)))

    def number_matched(self, kT: float) -> float:  # noqa: N803
        """kT' of a classical bath with as many magnons as quantum ones have at kT, energy: for magnetizations."""
        return self.number(kT) / float(self.weights @ (1.0 / self.energies))

    def energy_matched(self, kT: float) -> float:  # noqa: N803
        """kT' of a classical bath with the energy that quantum magnons have at kT, energy: for heat."""
        return self.energy(kT)


def rescaled(
    match: Callable[[float], float],
    kT: float | Callable[[float], float],  # noqa: N803
) -> Callable[[float], float]:
    """Temperature of a classical bath as a function of time, for ``kT=`` of any driver.

    Parameters
    ----------
    match : function
        ``spectrum.number_matched`` or ``spectrum.energy_matched``.
    kT : float or function of time
        Temperature that is meant, energy; a :class:`~spinase.dynamics.Ramp`, for one.
    """

    def at(time: float) -> float:
        """kT' of the bath, energy."""
        return match(float(kT(time)) if callable(kT) else kT)

    return at


__all__ = ["MagnonSpectrum", "bose", "rescaled"]
