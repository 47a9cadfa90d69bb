"""Growth of domains: radial structure factors, Porod's tail, exponents and laws of growth with errors from several runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spinase.analysis.spectra import mean_and_error
from spinase.analysis.structure_factor import StructureFactor, rings
from spinase.brief import Brief
from spinase.errors import ModelError
from spinase.typing import BoolArray, FloatArray, IntArray

_LEAST = 3  # points that a power law or a straight line is fitted to


@dataclass(frozen=True, eq=False, repr=False)
class RadialProfile(Brief):
    """S(q) averaged over the directions of q.

    Attributes
    ----------
    wavenumbers : (k,)
        Mean |q| of each ring, 1/length.
    values : (k,)
        Mean S.
    counts : (k,)
        Wavevectors in the ring.
    """

    wavenumbers: FloatArray
    values: FloatArray
    counts: IntArray


def radial_average(factor: StructureFactor, width: float) -> RadialProfile:
    """Mean of S(q) over rings of |q|; rings without wavevectors, and q = 0, are left out.

    Parameters
    ----------
    factor : StructureFactor
        Such as that of :func:`~spinase.analysis.chirality_structure_factor`.
    width : float
        Of the rings, 1/length; the smallest |q| of the cell for the finest ones.

    Raises
    ------
    ModelError
        If the width is not positive.
    """
    if not (np.isfinite(width) and width > 0.0):
        raise ModelError(f"the width of rings of |q| must be a positive 1/length, got {width}")
    sizes = np.linalg.norm(factor.wavevectors, axis=1)
    away = sizes > 1e-9 * width
    ring = rings(sizes[away], width)
    counts = np.bincount(ring)
    filled = counts > 0
    means = [np.bincount(ring, weights)[filled] / counts[filled] for weights in (sizes[away], factor.values[away])]
    return RadialProfile(means[0], means[1], counts[filled])


@dataclass(frozen=True)
class PowerTail:
    """S = amplitude q^exponent, fitted.

    Attributes
    ----------
    exponent, error : float
        With the standard error from the scatter of the points about the line.
    porod : float
        Mean of q^3 S over the window, weighted by wavevectors: of sharp walls in a plane, see :func:`porod_wall_density`.
    """

    exponent: float
    error: float
    porod: float


def power_tail(profile: RadialProfile, lowest: float, highest: float) -> PowerTail:
    """Power law of a radial profile within a window of q, by least squares of the logarithms.

    Sharp walls in the plane have S ~ q^-3 between the inverse size of domains and the inverse width of walls (G. Porod,
    Kolloid-Z. 124, 83 (1951), doi:10.1007/BF01512792; A. J. Bray, Adv. Phys. 43, 357 (1994), doi:10.1080/00018739400101505).

    Parameters
    ----------
    profile : RadialProfile
        Of :func:`radial_average`.
    lowest, highest : float
        Window of q, 1/length.

    Raises
    ------
    ModelError
        If fewer than three rings with S > 0 are in the window.
    """
    chosen = (profile.wavenumbers >= lowest) & (profile.wavenumbers <= highest) & (profile.values > 0.0)
    if chosen.sum() < _LEAST:
        raise ModelError(
            f"a power law needs at least {_LEAST} rings of |q| with S > 0, there are {chosen.sum()} from {lowest:.4g} to "
            f"{highest:.4g}: widen the window or take narrower rings"
        )
    q, values, weights = profile.wavenumbers[chosen], profile.values[chosen], profile.counts[chosen]
    x, y = np.log(q), np.log(values)
    x = x - np.average(x, weights=weights)
    total = float(weights @ x**2)
    slope = float(weights @ (x * y)) / total
    rest = y - np.average(y, weights=weights) - slope * x
    error = np.sqrt(float(weights @ rest**2) / (total * (len(q) - 2)))
    return PowerTail(slope, float(error), float(np.average(q**3 * values, weights=weights)))


def porod_wall_density(porod: float, order: float, triangle_density: float) -> float:
    """Length of walls by area, 1/length, of q^3 S_chi in Porod's tail: q^3 S = 8 n chi^2 (length/area).

    Close to a point the chance of another domain at distance r is 2 r/pi times the density of walls, so the correlation is
    chi^2 (1 - 4 r/pi density), and the Fourier transform of -r in the plane is 2 pi/q^3.

    Parameters
    ----------
    porod : float
        q^3 S_chi, 1/length^3.
    order : float
        |chi| within domains.
    triangle_density : float
        Triangles by area, n, 1/length^2: 4/(sqrt 3 a^2) on the triangular lattice.
    """
    return porod / (8.0 * triangle_density * order**2)


@dataclass(frozen=True, eq=False, repr=False)
class GrowthExponent(Brief):
    """Exponent x of L ~ t^x within a window.

    Attributes
    ----------
    runs : (s,)
        Of each run, by least squares of log L over log t.
    mean, error : float
        Over the runs, with its standard error (nan for one run).
    times : (2,)
        First and last time of the window.
    """

    runs: FloatArray
    mean: float
    error: float
    times: tuple[float, float]


def growth_exponent(times: ArrayLike, lengths: ArrayLike, window: tuple[float, float]) -> GrowthExponent:
    """Exponent of the growth of L, of each run alone: neighbouring times of one run are no independent numbers.

    Parameters
    ----------
    times : (T,)
        Positive within the window.
    lengths : (s, T)
        L of every run.
    window : (float, float)
        First and last time.

    Raises
    ------
    ModelError
        If fewer than three times are within the window, or lengths are not positive and finite there.
    """
    t, sizes = _windowed(times, lengths, window)
    slopes = np.polyfit(np.log(t), np.log(sizes.T), 1)[0]
    mean, error = mean_and_error(slopes)
    return GrowthExponent(slopes, float(mean), float(error), (float(t[0]), float(t[-1])))


def local_exponents(times: ArrayLike, lengths: ArrayLike, factor: float = 1.5) -> tuple[FloatArray, FloatArray]:
    """d ln L/d ln t between times t/sqrt(factor) and t sqrt(factor): those times (k,), and the exponents (s, k) of the runs.

    L is interpolated linearly in the logarithms.

    Parameters
    ----------
    times : (T,)
        Ascending; those that are not positive are left out.
    lengths : (s, T)
        L of every run, positive.
    factor : float
        Between the ends of one difference, and between neighbouring differences.

    Raises
    ------
    ModelError
        If the factor is not above one, or the times span less than it.
    """
    t, sizes = np.asarray(times, dtype=np.float64), np.atleast_2d(np.asarray(lengths, dtype=np.float64))
    if not (np.isfinite(factor) and factor > 1.0):
        raise ModelError(f"the factor between two times must be above 1, got {factor}")
    ends = (float(t[t > 0.0].min(initial=np.inf)), float(t.max(initial=0.0)))
    t, sizes = _windowed(t, sizes, ends)
    count = int(np.log(t[-1] / t[0]) / np.log(factor) + 1e-9)
    if count < 1:
        raise ModelError(f"times from {t[0]:g} to {t[-1]:g} span less than the factor {factor:g} of one difference")
    nodes = np.log(t[-1]) - np.log(factor) * np.arange(count, -1, -1)
    logs = np.array([np.interp(nodes, np.log(t), np.log(row)) for row in sizes])
    return np.exp(0.5 * (nodes[1:] + nodes[:-1])), np.diff(logs, axis=1) / np.log(factor)


@dataclass(frozen=True, eq=False)
class GrowthLaw:
    """L^power = offset + rate t.

    Attributes
    ----------
    power, offset, rate : float
        Length^power, and by time.
    chi_square, degrees : float, int
        Of the means over the runs with their standard errors, and degrees of freedom.  Times of one run are correlated, so
        compare laws with it rather than look it up in a table.
    misfit : (s,)
        Root mean square of what the law leaves of L when it is fitted to each run alone, length.
    """

    power: float
    offset: float
    rate: float
    chi_square: float
    degrees: int
    misfit: FloatArray

    def length(self, times: ArrayLike) -> FloatArray:
        """L (T,) of the law at times (T,)."""
        return np.asarray((self.offset + self.rate * np.asarray(times, dtype=np.float64)) ** (1.0 / self.power))


def growth_law(times: ArrayLike, lengths: ArrayLike, power: float, window: tuple[float, float]) -> GrowthLaw:
    """Fit L^power = offset + rate t to runs: power 1 for walls of constant velocity, 2 for walls moved by their curvature.

    Parameters
    ----------
    times : (T,)
        Of all runs.
    lengths : (s, T)
        L of at least two runs.
    power : float
        Positive.
    window : (float, float)
        First and last time.

    Raises
    ------
    ModelError
        If there are fewer than two runs or three times, a length is not positive and finite, or the power is not positive.
    """
    t, sizes = _windowed(times, lengths, window)
    if len(sizes) < 2 or not (np.isfinite(power) and power > 0.0):
        raise ModelError(
            f"a law of growth needs a positive power and two runs or more, got power={power}, {len(sizes)} run(s)"
        )
    raised = sizes**power
    mean, error = mean_and_error(raised)
    error = np.maximum(error, 1e-12 * np.abs(mean))
    rate, offset = np.polyfit(t, mean, 1, w=1.0 / error)
    rest = (mean - offset - rate * t) / error
    own = np.polyfit(t, raised.T, 1)
    fitted = np.maximum(own[1][:, None] + own[0][:, None] * t, 0.0) ** (1.0 / power)
    misfit = np.sqrt(np.mean((fitted - sizes) ** 2, axis=1))
    return GrowthLaw(power, float(offset), float(rate), float(rest @ rest), len(t) - 2, misfit)


def _windowed(times: ArrayLike, lengths: ArrayLike, window: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Times (t,) and lengths (s, t) within a window; at least three, positive and finite."""
    t, sizes = np.asarray(times, dtype=np.float64), np.atleast_2d(np.asarray(lengths, dtype=np.float64))
    if t.ndim != 1 or sizes.ndim != 2 or sizes.shape[1] != len(t):
        raise ModelError(f"lengths must have shape (runs, times), got {sizes.shape} for times of shape {t.shape}")
    chosen: BoolArray = (t >= window[0]) & (t <= window[1]) & (t > 0.0)
    if chosen.sum() < _LEAST:
        raise ModelError(f"growth needs at least {_LEAST} positive times in the window {window}, there are {chosen.sum()}")
    sizes = sizes[:, chosen]
    if not (np.isfinite(sizes).all() and (sizes > 0.0).all()):
        raise ModelError("lengths within the window must be positive and finite: end it before a run has lost its walls")
    return t[chosen], sizes


__all__ = [
    "GrowthExponent",
    "GrowthLaw",
    "PowerTail",
    "RadialProfile",
    "growth_exponent",
    "growth_law",
    "local_exponents",
    "porod_wall_density",
    "power_tail",
    "radial_average",
]
