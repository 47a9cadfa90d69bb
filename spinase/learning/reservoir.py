"""Electrons of learned magnets: grand potentials that are polynomials of the chemical potential.

At a fixed number of electrons fields are not local: the chemical potential, which all sites share, moves with the whole
configuration.  At a fixed chemical potential they are, so a network with ``orders`` > 0 gives every site a polynomial

    Omega_i(spins, mu) = sum_k T_k(x) e_ik(spins),    x = (mu - middle of the window) / half its width,

with Chebyshev's T_k.  The magnet has N = -dOmega/dmu electrons; where N is given, that tells mu, the energy is
F = Omega + mu N, and as N does not change, the gradient of F is that of Omega at this mu: fields come from the network with
its outputs mixed by T_k(x), at the cost of a network without electrons.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from numpy.polynomial import chebyshev
from scipy.optimize import brentq
from torch import Tensor

from spinase.errors import ModelError
from spinase.typing import FloatArray

_BEYOND = 1.1  # how far polynomials may go on beyond the window, in its half width, before it is an error
_POINTS = 45  # between which the chemical potential is looked for


@dataclass(frozen=True)
class Reservoir:
    """Where the electrons of a learned magnet come from.

    Attributes
    ----------
    window : (float, float)
        Chemical potentials the network knows, energy.
    scale : float
        Energy of one unit of the network's.
    filling : float or None
        Electrons per spin-orbital (two on a site), for a fixed number of them.
    potential : float or None
        The chemical potential, if it is fixed instead, energy.
    """

    window: tuple[float, float]
    scale: float
    filling: float | None = None
    potential: float | None = None

    def at(self, filling: float | None, potential: float | None) -> Reservoir:
        """The same with another filling, or with another chemical potential.

        Raises
        ------
        ModelError
            If both are given, or one is outside its range.
        """
        if filling is not None and potential is not None:
            raise ModelError("give a filling or a chemical potential of the learned magnet, not both")
        if filling is not None and not 0.0 <= filling <= 1.0:
            raise ModelError(f"a filling is between 0 and 1 electrons per spin-orbital, got {filling}")
        low, high = self.window
        if potential is not None and not low <= potential <= high:
            raise ModelError(f"the model knows chemical potentials from {low:.6g} to {high:.6g}, got {potential:.6g}")
        return replace(self, filling=filling, potential=potential)

    def mixer(self, magnets: int = 1) -> Mixer:
        """For one evaluation of so many magnets of the same sites, one after the other."""
        return Mixer(self, magnets)

    def occupied(self, parts: FloatArray, sites: int) -> tuple[float, FloatArray, float]:
        """Chemical potential, T_k there (orders + 1,), and mu N (zero at a fixed mu), for sums of e_ik over the sites.

        Raises
        ------
        ModelError
            If no chemical potential in the window gives the number of electrons.
        """
        middle, half = sum(self.window) / 2.0, (self.window[1] - self.window[0]) / 2.0
        if self.potential is not None:
            x, work = (self.potential - middle) / half, 0.0
        else:
            assert self.filling is not None
            electrons = 2.0 * self.filling * sites
            x = _position(parts * self.scale / half, electrons)
            if np.isnan(x):
                ends = -self.scale / half * chebyshev.chebval([-1.0, 1.0], chebyshev.chebder(parts)) / (2.0 * sites)
                raise ModelError(
                    f"no chemical potential from {self.window[0]:.6g} to {self.window[1]:.6g}, which the model knows, gives "
                    f"a filling of {self.filling:.6g} (the ends of this window give {ends[0]:.6g} and {ends[1]:.6g}): use a "
                    "filling the model was trained for, or train one for this"
                )
            work = (middle + half * x) * electrons
        return middle + half * x, chebyshev.chebvander(x, len(parts) - 1)[0], work

    def filling_at(self, potential: float, parts: FloatArray, sites: int) -> float:
        """Electrons per spin-orbital, -dOmega/dmu over the orbitals, at a chemical potential, for sums of e_ik."""
        middle, half = sum(self.window) / 2.0, (self.window[1] - self.window[0]) / 2.0
        slope = chebyshev.chebval((potential - middle) / half, chebyshev.chebder(parts))
        return float(-self.scale / half * slope / (2.0 * sites))


class Mixer:
    """Weights of the polynomials at every site, from their sums over each magnet; kept: what came out.

    Attributes
    ----------
    potentials : (magnets,)
        Chemical potentials, energy.
    work : (magnets,)
        mu N at a fixed number of electrons, else zero; added to Omega it is the free energy, energy.
    fillings : (magnets,)
        Electrons per spin-orbital.
    """

    def __init__(self, reservoir: Reservoir, magnets: int = 1) -> None:
        self._reservoir, self._magnets = reservoir, magnets
        self.potentials: FloatArray = np.zeros(magnets)
        self.fillings: FloatArray = np.zeros(magnets)
        self.work: FloatArray = np.zeros(magnets)

    def __call__(self, parts: FloatArray) -> FloatArray:
        """Weights (N, orders + 1) for e_ik (N, orders + 1), in the network's unit."""
        each = parts.reshape(self._magnets, -1, parts.shape[1])
        found = [self._reservoir.occupied(part.sum(axis=0), len(part)) for part in each]
        self.potentials, self.work = np.array([one[0] for one in found]), np.array([one[2] for one in found])
        known = self._reservoir.filling
        self.fillings = np.array(
            [
                known if known is not None else self._reservoir.filling_at(one[0], part.sum(axis=0), len(part))
                for one, part in zip(found, each, strict=True)
            ]
        )
        return np.repeat([one[1] for one in found], each.shape[1], axis=0)


def _position(parts: FloatArray, electrons: float) -> float:
    """x where -d/dx sum parts_k T_k is `electrons`, growing, and next to the middle; nan if none is near the window."""
    points, values, derivative = _tables(len(parts))
    number = -derivative @ parts
    number[0] -= electrons
    less = values @ number <= 0.0
    rising = np.flatnonzero(less[:-1] & ~less[1:])
    if not len(rising):
        return float("nan")
    k = rising[np.argmin(np.abs(points[rising] + points[rising + 1]))]
    return float(brentq(_series, points[k], points[k + 1], args=(number.tolist()[::-1],), xtol=1e-15))


def _series(x: float, terms: list[float]) -> float:
    """sum_k terms_k T_k(x), the last term first (Clenshaw)."""
    one = two = 0.0
    for term in terms[:-1]:
        one, two = 2.0 * x * one - two + term, one
    return x * one - two + terms[-1]


@cache
def _tables(parts: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Points near the window, T_0 .. T_(parts - 2) there, and what makes the terms of a derivative of those of a series."""
    points = np.linspace(-_BEYOND, _BEYOND, _POINTS)
    values: FloatArray = chebyshev.chebvander(points, parts - 2).astype(np.float64)
    derivative: FloatArray = chebyshev.chebder(np.eye(parts)).astype(np.float64)
    return points, values, derivative


def polynomials(x: Tensor, orders: int) -> Tensor:
    """T_0 .. T_orders at x (B,), (B, orders + 1)."""
    values = [torch.ones_like(x), x]
    while len(values) <= orders:
        values.append(2.0 * x * values[-1] - values[-2])
    return torch.stack(values[: orders + 1], dim=1)


def polynomial_slopes(x: Tensor, orders: int) -> Tensor:
    """Derivatives of :func:`polynomials` (B, orders + 1): T'_k = 2 T_(k-1) + 2 x T'_(k-1) - T'_(k-2)."""
    values, slopes = polynomials(x, orders), [torch.zeros_like(x), torch.ones_like(x)]
    while len(slopes) <= orders:
        slopes.append(2.0 * values[:, len(slopes) - 1] + 2.0 * x * slopes[-1] - slopes[-2])
    return torch.stack(slopes[: orders + 1], dim=1)


__all__ = ["Mixer", "Reservoir", "polynomial_slopes", "polynomials"]
