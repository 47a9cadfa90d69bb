r"""Equilibrium density at kT = 0: the contour closes at mu, where the Fermi function is a step.

.. math:: \theta(\mu - H) = \frac12 - \mathrm{Herm}\,\frac1\pi\int_0^\infty dy\,(H + \Sigma - \mu - iy)^{-1}

In v with y = R exp(v) below R and R/(1 - v) above, a level at any distance from mu is a bump of unit width, so an adaptive
rule sees it.  A level at mu itself, with no lead to broaden it, has the residue y |Im G| -> its weight: its occupation is
not defined.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spinase.electrons.sparse.fermi_poles import FermiPoles
from spinase.electrons.sparse.selected_inversion import Inverse
from spinase.electrons.transport.quadrature import integrate
from spinase.errors import ConvergenceError, ModelError
from spinase.typing import ComplexArray, FloatArray

_DEEPEST = -30.0  # v of the lowest point: levels nearer to mu than 1e-13 R are at mu
_INTERVALS = 10
_APART = 100.0  # heights at which the weight of a level at mu is the same, that of a broadened one is not
_BUDGET = 3000


def step_poles(solve: Callable[[ComplexArray], Inverse], mu: float, reach: float, tolerance: float) -> FermiPoles:
    """Points above mu and their weights, in the form of poles for kT = 1: heights y_k and weights dy_k/pi, energy.

    Parameters
    ----------
    solve : callable
        Complex energies (K,) -> blocks of (H + Sigma - E)^-1 there.
    mu, reach : float
        Chemical potential, and the largest distance R of the spectrum from it, energy.
    tolerance : float
        Largest error of a component of the density.

    Raises
    ------
    ModelError
        If a level lies at mu and no lead broadens it.
    ConvergenceError
        If the tolerance is not reached.
    """
    lowest = reach * np.exp(_DEEPEST)
    heights = lowest * np.array([1.0, _APART])
    _refuse_level_at(mu, solve(np.asarray(mu + 1j * heights)), heights, tolerance)

    def function(v: FloatArray) -> FloatArray:
        """Density of sites and bonds at heights v, times the slope of the variable; real rows (K, ...)."""
        heights, slopes = _heights(v, reach)
        found = solve(np.asarray(mu + 1j * heights))
        sites = 0.5 * (found.sites + found.sites.conj().swapaxes(2, 3))
        bonds = found.bonds[:, :, 0] + found.bonds[:, :, 1].conj().swapaxes(-1, -2)
        parts = np.concatenate([part.reshape(len(v), -1) for part in (sites, 0.5 * bonds)], axis=1)
        return np.concatenate([parts.real, parts.imag], axis=1) * (slopes / np.pi)[:, None]

    breaks = np.append(np.linspace(_DEEPEST, 0.0, _INTERVALS + 1), 1.0)
    try:
        rule = integrate(function, breaks, tolerance, np.empty(0), _BUDGET)
    except ConvergenceError as error:
        raise ConvergenceError(
            f"the density at kT = 0 does not reach {tolerance:g} within {_BUDGET} points above mu = {mu:g}: a level or a "
            "band edge is too near to mu; use a larger tolerance, a small kT, or another chemical potential"
        ) from error
    heights, slopes = _heights(rule.nodes, reach)
    # below the lowest point G is constant
    heights, weights = np.append(heights, 0.5 * lowest), np.append(rule.weights * slopes, lowest) / np.pi
    return FermiPoles(heights, weights, float("nan"), np.inf, rule.error, float("nan"))


def _heights(v: FloatArray, reach: float) -> tuple[FloatArray, FloatArray]:
    """y and dy/dv."""
    above = v > 0.0
    far = 1.0 - np.where(above, v, 0.0)
    near = np.exp(np.where(above, 0.0, v))
    return reach * np.where(above, 1.0 / far, near), reach * np.where(above, far**-2, near)


def _refuse_level_at(mu: float, inverse: Inverse, heights: FloatArray, tolerance: float) -> None:
    parts = np.trace(inverse.sites - inverse.sites.conj().swapaxes(2, 3), axis1=2, axis2=3)
    weights = 0.5 * heights[:, None] * np.abs(parts)
    site = int(weights[0].argmax())
    if weights[0, site] > tolerance and weights[0, site] > 0.1 * weights[1, site]:
        raise ModelError(
            f"a level lies at the chemical potential {mu:g} (within {heights[0]:.1e}) that no lead broadens, with weight "
            f"{weights[0, site]:.3g} on site {site}: its occupation at kT = 0 is not defined. Use kT > 0, another chemical "
            "potential, or a weak Bath"
        )
