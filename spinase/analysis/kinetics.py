"""Kinetics of a phase that replaces another: the law of Kolmogorov, Avrami and Ishibashi, and the speed of a front."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import least_squares

from spinase.errors import InputError


@dataclass(frozen=True)
class Avrami:
    """f(t) = F (1 - exp(-(t/t0)^n)), as it fits best.

    Attributes
    ----------
    exponent : float
        n: dimensions in which nuclei grow at constant speed, and one more where new ones come at a constant rate.
    time : float
        t0, when 1 - 1/e = 0.632 of what changes at all has changed, time.
    final : float
        F, the fraction that changes at all.
    misfit : float
        Root mean square of f less the law.
    """

    exponent: float
    time: float
    final: float
    misfit: float

    def __call__(self, times: ArrayLike) -> np.ndarray:
        """Transformed fraction at times (T,)."""
        return -self.final * np.expm1(-((np.asarray(times, dtype=float) / self.time) ** self.exponent))


def avrami(times: ArrayLike, fractions: ArrayLike, final: float | None = 1.0) -> Avrami:
    """The law of Kolmogorov, Avrami and Ishibashi nearest to a transformed fraction, by least squares in f.

    The logarithmic plot ln(-ln(1 - f)) against ln t weighs the beginning and the end most, where f says least: it is only
    where the fit begins.

    Parameters
    ----------
    times : (T,) array_like
        From when the change began, time; those not above zero do not count.
    fractions : (T,) array_like
        f, from 0 to 1.
    final : float or None
        F; None: what fits best, from the largest fraction to 1.

    Raises
    ------
    InputError
        If fewer than three fractions lie between 0.02 and 0.98 of the final one: two numbers cannot be told from them.

    References
    ----------
    M. Avrami, J. Chem. Phys. 7, 1103 (1939), doi:10.1063/1.1750380; Y. Ishibashi, Y. Takagi, J. Phys. Soc. Jpn. 31, 506
    (1971), doi:10.1143/JPSJ.31.506.
    """
    t, f = np.asarray(times, dtype=float), np.asarray(fractions, dtype=float)
    t, f = t[t > 0.0], f[t > 0.0]
    low, high = (float(f.max(initial=0.0)), 1.0) if final is None else (final, final)
    most = min(low + 0.01, high)
    inside = (f > 0.02 * most) & (f < 0.98 * most)
    if np.count_nonzero(inside) < 3:
        raise InputError(
            f"{np.count_nonzero(inside)} of {len(f)} fractions are between 0.02 and 0.98 of F; the law has two numbers "
            "and needs three: run longer, or look more often"
        )
    slope, level = np.polyfit(np.log(t[inside]), np.log(-np.log1p(-f[inside] / most)), 1)
    n = float(np.clip(slope, 0.1, 10.0))

    def misfit(x: np.ndarray) -> np.ndarray:
        """f less the law with x = (ln t0, ln n, F)."""
        return np.asarray(f + x[2] * np.expm1(-np.exp(np.clip(np.exp(x[1]) * (np.log(t) - x[0]), -700.0, 50.0))))

    bounds = [-np.inf, -np.inf, low - 1e-9], [np.inf, np.inf, high + 1e-9]
    found = least_squares(misfit, [-level / n, np.log(n), most], bounds=bounds)
    error = float(np.sqrt(np.mean(found.fun**2)))
    return Avrami(float(np.exp(found.x[1])), float(np.exp(found.x[0])), float(found.x[2]), error)


def front_speed(times: ArrayLike, places: ArrayLike, begin: float, end: float) -> float:
    """Speed of a front from the first time at `begin` to the first at `end` or beyond, length/time, by a straight line.

    Parameters
    ----------
    times, places : (T,) array_like
        When, and where the front was, time and length.
    begin, end : float
        Where to look, length.

    Raises
    ------
    InputError
        If the front does not get there, or too fast for three points.
    """
    t, x = np.asarray(times, dtype=float), np.asarray(places, dtype=float)
    if not (x >= end).any():
        raise InputError(f"the front gets to {x.max(initial=0.0):.4g}, not to {end:.4g}: run longer, or ask for less")
    first, last = int(np.argmax(x >= begin)), int(np.argmax(x >= end))
    if last - first < 2:
        raise InputError(
            f"the front goes from {begin:.4g} to {end:.4g} within {last - first + 1} of the given times: a speed needs three"
        )
    return float(np.polyfit(t[first : last + 1], x[first : last + 1], 1)[0])


__all__ = ["Avrami", "avrami", "front_speed"]
