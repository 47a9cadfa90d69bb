r"""Rational approximations of the Fermi function with poles on one vertical line.

.. math:: f(x) = \frac12 - \frac12\tanh\frac x2 \approx \frac12 - \sum_k \frac{w_k\, x}{x^2 + y_k^2}
                = \frac12 - \mathrm{Re}\sum_k \frac{w_k}{x - i y_k},\qquad x = (E - \mu)/kT,\ |x| \le R

The exact sum (Matsubara) has y = pi, 3 pi, 5 pi, ... and weights 2, and converges like R/K.  Here poles and weights minimize
the largest error on [-R, R], which falls exponentially in K: the first poles stay at pi, 3 pi, ..., the others spread out
geometrically up to R.  The integral of the approximation,

.. math:: -\int f\,dx = \ln(1 + e^{-x}) \approx -\frac x2 + c + \frac12\sum_k w_k \ln(x^2 + y_k^2),

is the grand potential (over kT) whose derivative the approximate f is *exactly*: with log determinants instead of levels,
forces and fields are the gradients of the reported free energy, whatever the tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg import lstsq, qr, solve_triangular
from scipy.optimize import least_squares
from scipy.special import expit

from spinase.errors import ConvergenceError
from spinase.typing import FloatArray

MAX_POLES = 30
_PATIENCE = 4  # poles added in vain before the search is given up
_LARGEST = 100.0  # sum of amplitudes above which terms cancel and round-off shows
_WIDEST = 1e7
_CRUDE = 1e-4  # above this the error may stay for a while as poles are added
_RATIO = 1.3  # ranges are rounded up to powers of this, so that few sets are ever made
_LEAST_RANGE = 10.0
_ROUNDS = 6  # reweightings towards the smallest largest error
_CHECK_POINTS = 20_000
_LOGARITHMS = (-40.0, 40.0)  # of heights, between which a fit looks for them
_NEAR = 8.0  # a first fit within this factor of the tolerance is worth refining


@dataclass(frozen=True, eq=False)
class FermiPoles:
    """Poles and weights for |x| <= `half_range`, x = (E - mu)/kT.

    Attributes
    ----------
    heights : (K,) float
        y_k > 0; the poles are +-i y_k.
    weights : (K,) float
        w_k.
    offset : float
        The constant c of the grand potential.
    half_range : float
        R.
    error : float
        Largest error of f on a fine grid of [-R, R].
    potential_error : float
        Largest error of ln(1 + exp(-x)) there.
    """

    heights: FloatArray
    weights: FloatArray
    offset: float
    half_range: float
    error: float
    potential_error: float

    def fermi(self, x: FloatArray) -> FloatArray:
        """The approximate Fermi function."""
        return 0.5 - (x[:, None] / (x[:, None] ** 2 + self.heights**2)) @ self.weights

    def potential(self, x: FloatArray) -> FloatArray:
        """The approximate ln(1 + exp(-x))."""
        return -0.5 * x + self.offset + 0.5 * np.log(x[:, None] ** 2 + self.heights**2) @ self.weights


def fermi_poles(half_range: float, tolerance: float) -> FermiPoles:
    """The smallest set found that reaches `tolerance` for |x| <= `half_range` (rounded up a little); cached.

    Raises
    ------
    ConvergenceError
        If no set of up to ``MAX_POLES`` does (the tolerance is too close to round-off), or kT is far too small.
    """
    if not half_range <= _WIDEST:
        raise ConvergenceError(
            f"the spectrum reaches {half_range:.3g} kT from the chemical potential, more than the {_WIDEST:g} a rational "
            "form is made for: use a higher kT"
        )
    steps = int(np.ceil(np.log(max(half_range, _LEAST_RANGE) / _LEAST_RANGE) / np.log(_RATIO) - 1e-9))
    return _smallest(_LEAST_RANGE * _RATIO**steps, tolerance)


@lru_cache(maxsize=256)
def _smallest(half_range: float, tolerance: float) -> FermiPoles:
    heights = np.pi * np.array([1.0, max(3.0, half_range / np.pi)])
    best, stalled = np.inf, 0
    while len(heights) <= MAX_POLES and stalled < _PATIENCE:
        poles = _fit(half_range, heights, rounds=1)
        if tolerance < poles.error <= _NEAR * tolerance:
            poles = _fit(half_range, poles.heights, rounds=_ROUNDS)
        if poles.error <= tolerance and np.abs(poles.weights / poles.heights).sum() < _LARGEST:
            return poles
        stalled = 0 if poles.error < 0.5 * best or poles.error > _CRUDE else stalled + 1
        best = min(best, poles.error)
        heights = _one_more(poles.heights)
    raise ConvergenceError(
        f"no rational form of the Fermi function with up to {len(heights) - 1} poles is within {tolerance:g} over "
        f"{half_range:.3g} kT on either side of the chemical potential (best: {best:.1e}): "
        "use a larger tolerance or a higher kT"
    )


@dataclass(frozen=True, eq=False)
class _Projected:
    r"""What is left of t = tanh(x/2)/2 when the amplitudes a are the best ones for given heights y = exp(theta).

    .. math:: r = v\,(t - B a),\qquad B_{jk} = \frac{x_j y_k}{x_j^2 + y_k^2},\qquad a = (v B)^+\, v t,\qquad w_k = a_k y_k

    with its whole derivative, the term of the order of r included (G. H. Golub and V. Pereyra, SIAM J. Numer. Anal. 10, 413
    (1973)); without that term a pole may run away where the fit is close to round-off.

    Attributes
    ----------
    x : (n,) float
        Points.
    measure : (n,) float
        v.
    scale : float
        Residuals are given in units of 1/scale.
    """

    x: FloatArray
    measure: FloatArray
    scale: float

    def solve(self, logs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weights w (K,), and t - B a (n,), for logarithms of heights (K,)."""
        heights, basis = self._basis(logs)
        target = 0.5 * np.tanh(0.5 * self.x)
        weighted = basis * self.measure[:, None]
        amplitudes = lstsq(weighted, target * self.measure, 1e-16, check_finite=False, lapack_driver="gelsy")[0]
        return amplitudes * heights, target - basis @ amplitudes

    def residual(self, logs: FloatArray) -> FloatArray:
        """r (n,), in units of 1/scale."""
        return self.scale * self.measure * self.solve(logs)[1]

    def slopes(self, logs: FloatArray) -> FloatArray:
        """dr_j/dtheta_k = -[(1 - Q Q^T) B'_k a_k + Q R^-T e_k (B'_k . r)]_j with vB = QR and B' = dB/dtheta; (n, K)."""
        heights, basis = self._basis(logs)
        squares, weighted = self.x[:, None] ** 2, basis * self.measure[:, None]
        q, upper = qr(weighted, mode="economic", check_finite=False)
        target = 0.5 * np.tanh(0.5 * self.x) * self.measure
        seen = q.T @ target
        amplitudes = solve_triangular(upper, seen, check_finite=False)
        changes = weighted * (squares - heights**2) / (squares + heights**2)
        moved = changes * amplitudes
        by_amplitudes = np.diag(changes.T @ (target - q @ seen))
        onto = solve_triangular(upper, by_amplitudes, trans="T", check_finite=False)
        return -self.scale * (moved + q @ (onto - q.T @ moved))

    def _basis(self, logs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Heights (K,) and B (n, K)."""
        heights = np.exp(np.clip(logs, *_LOGARITHMS))
        return heights, self.x[:, None] * heights / (self.x[:, None] ** 2 + heights**2)


def _fit(half_range: float, heights: FloatArray, rounds: int) -> FermiPoles:
    """Optimal heights and weights from a guess of the heights, by variable projection and reweighting (Lawson)."""
    x = np.concatenate([np.linspace(0.0, 8.0, 120)[1:], np.geomspace(8.0, half_range, 40 * len(heights))])
    guess, projected = np.log(heights), _Projected(x, np.ones(len(x)), 1e3)
    best_error, best = np.inf, (heights, np.zeros(len(heights)))
    for _ in range(rounds):
        steps = 20 * len(heights)
        found = least_squares(
            projected.residual, guess, projected.slopes, method="lm", xtol=1e-11, ftol=1e-9, max_nfev=steps
        )
        guess = np.sort(np.clip(found.x, *_LOGARITHMS))
        weights, residual = projected.solve(guess)
        error = float(np.abs(residual).max())
        if error < best_error:
            best_error, best = error, (np.exp(guess), weights)
        measure = projected.measure * np.sqrt(np.abs(residual) / error + 1e-4)
        projected = _Projected(x, measure / measure.max(), 1.0 / error)
    return _checked(*best, half_range)


def _checked(heights: FloatArray, weights: FloatArray, half_range: float) -> FermiPoles:
    """Errors on a grid much finer than that of the fit."""
    dense = np.linspace(0.0, min(40.0, half_range), _CHECK_POINTS // 2)
    x = np.concatenate([dense, np.geomspace(dense[-1], half_range, _CHECK_POINTS // 2)])
    raw = FermiPoles(heights, weights, 0.0, half_range, np.inf, np.inf)
    difference = np.logaddexp(0.0, -x) - raw.potential(x)
    offset = 0.5 * float(difference.max() + difference.min())
    return FermiPoles(
        heights=heights,
        weights=weights,
        offset=offset,
        half_range=half_range,
        error=float(np.abs(raw.fermi(x) - expit(-x)).max()),
        potential_error=float(np.abs(difference - offset).max()),
    )


def _one_more(heights: FloatArray) -> FloatArray:
    """A guess with one pole more: the same course of ln(y_k / y_k(Matsubara)) over the index, stretched."""
    count = len(heights)
    excess = np.log(heights / (np.pi * (2.0 * np.arange(count) + 1.0)))
    stretched = np.interp(np.linspace(0.0, 1.0, count + 1), np.linspace(0.0, 1.0, count), excess)
    stretched[:-1] *= 0.85  # more poles follow the exact ones further
    return np.sort(np.pi * (2.0 * np.arange(count + 1) + 1.0) * np.exp(stretched))
