"""Occupation of single-particle levels: Fermi function, chemical potential, grand potential, entropy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, log_expit, logsumexp, xlogy

from spinase.errors import ModelError
from spinase.typing import FloatArray

RESOLUTION = 1e-10
"""Levels of a diagonalization in double precision are known to this, relative to the largest; see `Occupation.fill`."""
SINGLE_RESOLUTION = 1e-5
"""The same in single precision."""

_WHOLE = 1e-12  # part of all states by which a number of electrons may miss a number of full levels and still be it


@dataclass(frozen=True, eq=False)
class Filled:
    """Levels with their occupations f (0..1), and the thermodynamic numbers that follow."""

    occupations: FloatArray
    chemical_potential: float
    electrons: float
    energy: float
    free_energy: float
    entropy: float


@dataclass(frozen=True)
class Occupation(ABC):
    """How levels are filled at temperature kT (energy; 0 allowed)."""

    kT: float  # noqa: N815

    def __post_init__(self) -> None:
        if not np.isfinite(self.kT) or self.kT < 0.0:
            raise ModelError(f"kT must be zero or positive (an energy), got {self.kT}")

    @abstractmethod
    def fill(self, levels: FloatArray, weights: FloatArray, orbitals: float, resolution: float = RESOLUTION) -> Filled:
        """Fill `levels` (n,), each standing for `weights` (n,) states; `orbitals` is the total number of states.

        At kT = 0 levels closer to the Fermi level than `resolution` times the largest |level| count as degenerate with it
        and are filled evenly: symmetry makes them equal, and what splits them is round-off.

        Parameters
        ----------
        levels, weights : (n,) ndarray
            Energies, and how many states each stands for.
        orbitals : float
            Number of states altogether.
        resolution : float
            Relative distance below which levels are degenerate at kT = 0.
        """


@dataclass(frozen=True)
class FixedChemicalPotential(Occupation):
    """Grand canonical: mu given (energy); free energy Omega = -kT sum ln(1 + exp(-(e - mu)/kT))."""

    chemical_potential: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not np.isfinite(self.chemical_potential):
            raise ModelError(f"chemical_potential must be finite, got {self.chemical_potential}")

    def fill(self, levels: FloatArray, weights: FloatArray, orbitals: float, resolution: float = RESOLUTION) -> Filled:
        """Fill at the given mu; at kT = 0 levels at mu are half filled."""
        mu = self.chemical_potential
        occupations = fermi(levels, mu, self.kT)
        if self.kT == 0.0:
            occupations[np.abs(levels - mu) <= _width(levels, resolution, mu)] = 0.5
        electrons = float(weights @ occupations)
        energy = float(weights @ (occupations * levels))
        entropy = fermi_entropy(occupations, weights)
        return Filled(occupations, mu, electrons, energy, grand_potential(levels, weights, mu, self.kT), entropy)


@dataclass(frozen=True)
class FixedFilling(Occupation):
    """Canonical: `filling` electrons per spin-orbital (0..1); free energy F = Omega + mu N."""

    filling: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not np.isfinite(self.filling) or not 0.0 <= self.filling <= 1.0:
            raise ModelError(f"filling is electrons per spin-orbital and must be in 0..1, got {self.filling}")

    def fill(self, levels: FloatArray, weights: FloatArray, orbitals: float, resolution: float = RESOLUTION) -> Filled:
        """Find mu so that the electrons are filling * orbitals, then fill."""
        electrons = self.filling * orbitals
        if self.kT == 0.0:
            mu, occupations = _fill_cold(levels, weights, electrons, resolution)
        else:
            mu = find_chemical_potential(levels, weights, electrons, self.kT)
            occupations = fermi(levels, mu, self.kT)
        energy = float(weights @ (occupations * levels))
        entropy = fermi_entropy(occupations, weights) if self.kT > 0.0 else 0.0
        return Filled(occupations, mu, electrons, energy, energy - self.kT * entropy, entropy)


def fermi(levels: FloatArray, chemical_potential: float, kT: float) -> FloatArray:  # noqa: N803
    """Fermi function f = 1/(1 + exp((e - mu)/kT)); at kT = 0 a step with f(mu) = 1/2.

    Parameters
    ----------
    levels : (n,) ndarray
        Energies.
    chemical_potential : float
        Energy.
    kT : float
        Energy, zero or above.
    """
    if kT == 0.0:
        return np.heaviside(chemical_potential - levels, 0.5)
    return expit((chemical_potential - levels) / kT)


def grand_potential(levels: FloatArray, weights: FloatArray, chemical_potential: float, kT: float) -> float:  # noqa: N803
    """Omega = -kT sum_n w_n ln(1 + exp(-(e_n - mu)/kT)), energy.

    Parameters
    ----------
    levels, weights : (n,) ndarray
        Energies, and how many states each stands for.
    chemical_potential : float
        Energy.
    kT : float
        Energy, zero or above.
    """
    gap = chemical_potential - levels
    if kT == 0.0:
        return -float(weights @ np.maximum(gap, 0.0))
    return -float(weights @ (kT * np.logaddexp(0.0, gap / kT)))


def fermi_entropy(occupations: FloatArray, weights: FloatArray) -> float:
    """S/k_B = -sum_n w_n [f ln f + (1 - f) ln(1 - f)]."""
    return -float(weights @ (xlogy(occupations, occupations) + xlogy(1.0 - occupations, 1.0 - occupations)))


def find_chemical_potential(levels: FloatArray, weights: FloatArray, electrons: float, kT: float) -> float:  # noqa: N803
    """mu with sum_n w_n f(e_n) = electrons at kT > 0, to round-off.

    Parameters
    ----------
    levels, weights : (n,) ndarray
        Energies, and how many states each stands for.
    electrons : float
        Wanted number, between 0 and the sum of the weights.
    kT : float
        Energy, above zero.

    Raises
    ------
    ModelError
        For an empty or a full band, where mu is infinite.
    """
    total = float(weights.sum())
    if not 0.0 < electrons < total:
        raise ModelError(
            f"{electrons:g} electrons in {total:g} states at kT = {kT:g} put the chemical potential at infinity: "
            "use 0 < filling < 1 (or kT = 0)"
        )
    margin = kT * (np.log(total / min(electrons, total - electrons)) + 40.0)
    order = np.argsort(levels, kind="stable")
    filled = np.concatenate([[0.0], np.cumsum(weights[order])])
    full = int(np.argmin(np.abs(filled - electrons)))
    # electrons above and holes below, each to full relative accuracy: in a gap both are far below round-off of their sum
    low, high, w_low, w_high = levels[order[:full]], levels[order[full:]], weights[order[:full]], weights[order[full:]]
    rest = electrons - filled[full]

    def excess(mu: float) -> float:
        """Electrons too many at mu."""
        return float(w_high @ expit((mu - high) / kT) - w_low @ expit((low - mu) / kT)) - rest

    def ratio(mu: float) -> float:
        """Logarithm of electrons above the gap over holes below it."""
        above = logsumexp(log_expit((mu - high) / kT), b=w_high)
        return float(above - logsumexp(log_expit((low - mu) / kT), b=w_low))

    whole = 0 < full < len(levels) and abs(rest) <= _WHOLE * total
    ends = levels.min() - margin, levels.max() + margin
    return float(brentq(ratio if whole else excess, *ends, xtol=1e-300, rtol=1e-15, maxiter=500))


def _width(levels: FloatArray, resolution: float, mu: float = 0.0) -> float:
    """Distance, energy, below which levels count as equal."""
    return resolution * max(float(np.abs(levels).max(initial=0.0)), abs(mu))


def _fill_cold(levels: FloatArray, weights: FloatArray, electrons: float, resolution: float) -> tuple[float, FloatArray]:
    """Lowest levels full; a degenerate level at the Fermi energy is filled evenly.  mu: middle of the gap, or the level."""
    order = np.argsort(levels, kind="stable")
    filled = np.cumsum(weights[order])
    rounding = 1e-9 * max(float(filled[-1]), 1.0)
    highest = int(np.searchsorted(filled, electrons - rounding))
    if electrons <= rounding:
        return float(levels[order[0]]), np.zeros_like(levels)
    if electrons >= filled[-1] - rounding:
        return float(levels[order[-1]]), np.ones_like(levels)
    homo = levels[order[highest]]
    same = np.abs(levels - homo) <= _width(levels, resolution)
    below = (levels < homo) & ~same
    share = (electrons - float(weights[below].sum())) / float(weights[same].sum())
    occupations = below.astype(np.float64)
    occupations[same] = min(share, 1.0)
    if share < 1.0 - 1e-9:
        return float(homo), occupations
    above = levels[~below & ~same]
    return float(0.5 * (homo + above.min())), occupations
