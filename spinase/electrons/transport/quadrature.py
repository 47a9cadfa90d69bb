r"""Adaptive nested quadrature of vector-valued functions with roots at known points.

Each interval is mapped by E = c + h (3 u - u^3)/2, which turns square-root singularities at its ends (band edges) into
smooth functions of u, and integrated by Clenshaw-Curtis rules of 7, 15 and 31 inner points, which contain each
other.  An interval that does not converge is cut in two, at a known singular point if it has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import numpy as np

from spinase.errors import ConvergenceError
from spinase.typing import FloatArray

Integrand = Callable[[FloatArray], FloatArray]

_FIRST, _LAST = 8, 32  # orders of the smallest and the largest rule
FIRST_POINTS = _FIRST - 1
"""Points of the smallest rule."""
_FAST = 0.25  # decrease of the difference per doubling above which a larger rule is not worth it
_NARROW = 0.05  # an interval is not cut closer than this part of its length to an end


@dataclass(frozen=True, eq=False)
class Integral:
    """Integral (D,), its estimated error (largest component), the number of points it took, and those of its rule (K,)."""

    value: FloatArray
    error: float
    points: int
    nodes: FloatArray
    weights: FloatArray


@dataclass(eq=False)
class _Interval:
    low: float
    high: float
    order: int = _FIRST
    values: FloatArray = field(default_factory=lambda: np.empty((0, 0)))  # at the nodes of `order`
    sizes: list[float] = field(default_factory=list)  # largest components of the differences of successive rules
    difference: FloatArray = field(default_factory=lambda: np.empty(0))  # the last one

    def nodes(self, order: int) -> FloatArray:
        """Points of the rule of `order`."""
        u = np.cos(np.pi * np.arange(1, order) / order)
        return 0.5 * (self.low + self.high) + 0.25 * (self.high - self.low) * (3.0 * u - u**3)

    def missing(self) -> FloatArray:
        """Points of the present rule that have no values yet."""
        points = self.nodes(self.order)
        return points[::2] if len(self.values) else points

    def take(self, values: FloatArray) -> None:
        """Values at the missing points."""
        if len(self.values):
            merged = np.empty((self.order - 1, values.shape[1]))
            merged[::2], merged[1::2] = values, self.values
            self.values = merged
        else:
            self.values = values
        self.difference = np.abs(self.integral(self.order) - self.integral(self.order // 2))
        self.sizes.append(float(self.difference.max(initial=0.0)))

    def integral(self, order: int) -> FloatArray:
        """Rule of `order` on the values."""
        step = self.order // order
        return 0.5 * (self.high - self.low) * (_weights(order) @ self.values[step - 1 :: step])

    @property
    def confidence(self) -> float:
        """Error over the last difference: less than one where differences have been falling."""
        if len(self.sizes) < 2 or self.sizes[-1] == 0.0:
            return 1.0
        return min(1.0, 4.0 * self.sizes[-1] / self.sizes[-2])

    @property
    def error(self) -> float:
        """Estimated error of the largest component."""
        return self.confidence * self.sizes[-1]

    @property
    def stalls(self) -> bool:
        """Whether a larger rule would not help."""
        slow = len(self.sizes) > 1 and self.sizes[-1] > _FAST * self.sizes[-2]
        return slow or self.order == _LAST

    def cut(self, marks: FloatArray) -> tuple[_Interval, _Interval]:
        """Two intervals, at the mark next to the middle if there is one inside."""
        middle, length = 0.5 * (self.low + self.high), self.high - self.low
        inside = marks[(marks > self.low + _NARROW * length) & (marks < self.high - _NARROW * length)]
        if len(inside):
            middle = float(inside[np.abs(inside - middle).argmin()])
        return _Interval(self.low, middle), _Interval(middle, self.high)


@cache
def _weights(order: int) -> FloatArray:
    """Clenshaw-Curtis weights at the inner points, times the slope of the map, which vanishes at the ends."""
    angles = np.pi * np.arange(1, order) / order
    k = np.arange(1, order // 2 + 1)
    factors = np.where(k == order // 2, 1.0, 2.0) / (4.0 * k**2 - 1.0)
    weights = 2.0 / order * (1.0 - np.cos(2.0 * np.outer(angles, k)) @ factors)
    return weights * 1.5 * np.sin(angles) ** 2


def integrate(
    function: Integrand, breaks: Sequence[float] | FloatArray, tolerance: float, marks: FloatArray, budget: int
) -> Integral:
    """Integral of a vector-valued function.

    Parameters
    ----------
    function : callable
        Points (K,) -> values (K, D).
    breaks : (m,) float
        Ends of the first intervals, ascending; at least one interval.
    tolerance : float
        Largest error of a component.
    marks : (n,) float
        Points where the function is known to be singular (roots).
    budget : int
        Largest number of points.

    Raises
    ------
    ConvergenceError
        If the tolerance is not reached within the budget.
    """
    ends = np.asarray(breaks, dtype=np.float64)
    intervals = [_Interval(low, high) for low, high in pairwise(ends.tolist()) if high > low]
    open_, points, reached = list(intervals), 0, np.inf
    while open_:
        batch = [interval.missing() for interval in open_]
        points += sum(len(part) for part in batch)
        if points > budget:
            raise ConvergenceError(
                f"the integral over the bias window does not reach the tolerance {tolerance:g} within {budget} energies "
                f"(estimated error so far: {reached:.1e}): allow more energies, a larger tolerance, or add a bath that "
                "broadens sharp levels"
            )
        values = function(np.concatenate(batch))
        for interval, part in zip(open_, np.split(values, np.cumsum([len(part) for part in batch])[:-1]), strict=True):
            interval.take(part)
        reached = _error(intervals)
        intervals, open_ = _refine(intervals, tolerance, marks)
    total = np.sum([interval.integral(interval.order) for interval in intervals], axis=0)
    nodes = np.concatenate([interval.nodes(interval.order) for interval in intervals])
    weights = np.concatenate([0.5 * (interval.high - interval.low) * _weights(interval.order) for interval in intervals])
    return Integral(total, _error(intervals), points, nodes, weights)


def _error(intervals: list[_Interval]) -> float:
    """Largest component of the error: those of different intervals are independent."""
    return float(np.sqrt(np.sum([(one.confidence * one.difference) ** 2 for one in intervals], axis=0)).max(initial=0.0))


def _refine(intervals: list[_Interval], tolerance: float, marks: FloatArray) -> tuple[list[_Interval], list[_Interval]]:
    """All intervals of the next round, and those that need values."""
    if _error(intervals) <= tolerance:
        return intervals, []
    share = tolerance / np.sqrt(len(intervals))
    kept: list[_Interval] = []
    fresh: list[_Interval] = []
    for interval in intervals:
        if interval.error <= share:
            kept.append(interval)
        elif interval.stalls:
            fresh += interval.cut(marks)
        else:
            interval.order *= 2
            fresh.append(interval)
    return sorted(kept + fresh, key=lambda interval: interval.low), fresh
