r"""Filters of atoms that move: cubic splines in the distance, whose slopes are those of what is reported.

Between evenly spaced knots r_k = r_0 + k h a filter is the cubic spline

    w(r) = \sum_{m=0}^{3} B_m(t) C_{k + m},    t = (r - r_k)/h,

with the cardinal basis B_0 = (1 - t)^3/6, B_1 = (3 t^3 - 6 t^2 + 4)/6, B_2 = (-3 t^3 + 3 t^2 + 3 t + 1)/6, B_3 = t^3/6.
Its second derivative is continuous; below r_0 (t < 0 in the first interval) it goes on as a straight line.  Forces use
dw/dr of the spline itself, so they are the gradient of the energy to round-off, however coarse the knots are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve_banded

from spinase.compiled import register_jitable
from spinase.compiled.rows import fma, load, scale
from spinase.errors import ModelError
from spinase.typing import Array, FloatArray

_FEWEST, _MOST = 64, 1 << 15  # intervals
_ACCURACY = {4: 1e-7, 8: 1e-13}  # of a filter, of its largest value, by the bytes of a number


class SplinePairs(NamedTuple):
    """Directed pairs by rows, with filters from splines.

    `starts` (N + 1,): where the rows of the sites begin; `second` (P,): the neighbour; `local` (P,): its place among the
    neighbours of the strip; `knots` (P,) int: k; `fractions` (P,): t; `harmonics` (P, 9): 1, u, Q(u) of the direction u;
    `planar` is False: atoms move in three dimensions; `distances` (P,), length.
    """

    starts: Array
    second: Array
    local: Array
    knots: Array
    fractions: Array
    harmonics: Array
    planar: bool
    distances: Array


class MovingPairs(NamedTuple):
    """As :class:`SplinePairs`; slopes by the vectors of the pairs are asked for, too.  `density`: 1/h, knots by length."""

    starts: Array
    second: Array
    local: Array
    knots: Array
    fractions: Array
    harmonics: Array
    planar: bool
    distances: Array
    density: Any


class SplineTable(NamedTuple):
    """Splines of several functions: coefficients C (intervals + 3, columns), r_0, and 1/h."""

    coefficients: FloatArray
    start: float
    density: float


def spline_table(
    functions: Callable[[FloatArray], tuple[FloatArray, FloatArray]], start: float, end: float, dtype: Any
) -> SplineTable:
    """Splines of functions between `start` and `end` (length), fine enough for numbers of type `dtype`.

    Parameters
    ----------
    functions : callable
        Values and slopes (n, columns) at distances (n,).
    start, end : float
        Range of the distances, length.
    dtype : numpy dtype
        float32: deviations of at most 1e-7 of the largest value of any function; float64: 1e-13.

    Raises
    ------
    ModelError
        If 32768 intervals do not reach that.
    """
    allowed, intervals = _ACCURACY[np.dtype(dtype).itemsize], _FEWEST
    while intervals <= _MOST:
        table = _interpolated(functions, start, end, intervals)
        between = start + (np.arange(intervals) + 0.5) * (end - start) / intervals
        exact, _ = functions(between)
        if np.abs(spline_values(table, between) - exact).max(initial=0.0) <= allowed * np.abs(exact).max(initial=0.0):
            return table
        intervals *= 2
    raise ModelError(
        f"filters between the distances {start:.4g} and {end:.4g} are too steep for splines of {_MOST} intervals: "
        "use fewer radial functions, or evaluate the network in torch (engine=False)"
    )


def _interpolated(
    functions: Callable[[FloatArray], tuple[FloatArray, FloatArray]], start: float, end: float, intervals: int
) -> SplineTable:
    """Splines through the values at the knots, with the slopes at both ends."""
    step = (end - start) / intervals
    values, slopes = functions(np.linspace(start, end, intervals + 1))
    wanted = np.concatenate([slopes[:1] * step, values, slopes[-1:] * step])
    bands = np.zeros((5, intervals + 3))  # diagonals above (2), on, and below (2) that of the matrix
    bands[1, 2:], bands[2, 1:-1], bands[3, :-2] = 1.0 / 6.0, 4.0 / 6.0, 1.0 / 6.0
    bands[2, 0], bands[1, 1], bands[0, 2] = -0.5, 0.0, 0.5
    bands[4, -3], bands[3, -2], bands[2, -1] = -0.5, 0.0, 0.5
    coefficients: FloatArray = solve_banded((2, 2), bands, wanted).astype(np.float64)
    return SplineTable(coefficients, start, 1.0 / step)


def spline_values(table: SplineTable, distances: FloatArray) -> FloatArray:
    """The functions (n, columns) at distances (n,); what the compiled loops read."""
    across = (distances - table.start) * table.density
    knots = np.clip(np.floor(across).astype(np.int64), 0, len(table.coefficients) - 4)
    weights = np.array([basis(t, np.float64) for t in across - knots])
    found: FloatArray = np.einsum("nm,nmc->nc", weights, table.coefficients[knots[:, None] + np.arange(4)])
    return found


@register_jitable(fastmath=False)
def basis(t: Any, number: Any) -> Any:
    """B_0 .. B_3 at t, numbers of the type `number`; a straight line for t < 0.

    No fast arithmetic, so that it has the same bits wherever it is compiled into (passes with and without forces).
    """
    one, three, sixth = number(1.0), number(3.0), number(1.0 / 6.0)
    inside = max(t, number(0.0))
    line, rest = number(0.5) * (t - inside), one - inside
    square, cube = inside * inside, inside * inside * inside
    second = sixth * (three * cube - number(6.0) * square + number(4.0))
    third = sixth * (three * (square + inside - cube) + one)
    return sixth * rest * rest * rest - line, second, third + line, sixth * cube


@register_jitable
def basis_slopes(t: Any, density: Any, number: Any) -> Any:
    """dB_m/dr at t, 1/length; those of t = 0 for t < 0.

    Parameters
    ----------
    t : float
        Place in the interval, 0 to 1; below 0 before the first knot.
    density : float
        Knots per length.
    number : type
        float32 or float64: makes constants of that type.
    """
    half = number(0.5)
    inside = max(t, number(0.0))
    rest, square = number(1.0) - inside, inside * inside
    second = number(1.5) * square - number(2.0) * inside
    third = inside + half - number(1.5) * square
    return -half * rest * rest * density, second * density, third * density, half * square * density


@register_jitable
def combined(table: Array, at: int, weights: Any) -> Any:
    """sum_m weights_m C_(k + m) of one vector of columns; `at` is the element of its C_k.

    Parameters
    ----------
    table : (intervals + 3, columns)
        Coefficients C.
    at : int
        Element of C_k where the columns begin.
    weights : tuple of four numbers
        B_m, or their derivatives.
    """
    width = table.shape[1]
    row = fma(weights[1], load(table, at + width), scale(weights[0], load(table, at)))
    return fma(weights[3], load(table, at + 3 * width), fma(weights[2], load(table, at + 2 * width), row))
