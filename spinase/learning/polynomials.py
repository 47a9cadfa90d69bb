"""Chebyshev's polynomials T_k of the chemical potential, and where a series of them has a number of electrons."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.polynomial import chebyshev
from scipy.optimize import brentq
from torch import Tensor

from spinase.typing import FloatArray

_BEYOND = 1.1  # how far polynomials may go on beyond the window, in its half width, before it is an error
_POINTS = 45  # between which the chemical potential is looked for


def position(parts: FloatArray, electrons: float) -> float:
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
    return torch.stack(chebyshev_values(x, orders), dim=1)


def chebyshev_values(x: Any, orders: int) -> list[Any]:
    """T_0 to T_orders at x, arrays or tensors alike."""
    values = [1.0 + 0.0 * x, x]
    while len(values) <= orders:
        values.append(2.0 * x * values[-1] - values[-2])
    return values[: orders + 1]


def polynomial_slopes(x: Tensor, orders: int) -> Tensor:
    """Derivatives of :func:`polynomials` (B, orders + 1): T'_k = 2 T_(k-1) + 2 x T'_(k-1) - T'_(k-2)."""
    values, slopes = polynomials(x, orders), [torch.zeros_like(x), torch.ones_like(x)]
    while len(slopes) <= orders:
        slopes.append(2.0 * values[:, len(slopes) - 1] + 2.0 * x * slopes[-1] - slopes[-2])
    return torch.stack(slopes[: orders + 1], dim=1)


__all__ = ["chebyshev_values", "polynomial_slopes", "polynomials", "position"]
