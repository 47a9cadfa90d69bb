"""Laws of distance shared by hoppings and exchange: a value and its derivative, smoothly cut off."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import CubicSpline

from spinase.compiled import njit, register_jitable
from spinase.errors import ModelError
from spinase.spin_algebra import as_numbers
from spinase.typing import FloatArray


def smooth_cutoff(distances: FloatArray, cutoff: float, width: float) -> tuple[FloatArray, FloatArray]:
    """Switching function c(r) and dc/dr: 1 below cutoff - width, 0 above cutoff, twice differentiable between.

    c = 1 - x^3 (10 - 15 x + 6 x^2) with x = (r - cutoff + width)/width.

    Parameters
    ----------
    distances : (n,) ndarray
        Length.
    cutoff, width : float
        Where c is zero, and over what length it falls.
    """
    rows, shape = _in_a_row(distances)
    switch, slope = _switches(rows, cutoff, width)
    return switch.reshape(shape), slope.reshape(shape)


def _in_a_row(distances: FloatArray) -> tuple[FloatArray, tuple[int, ...]]:
    """Distances (n,) one after the other, for compiled loops, and the shape they were given in."""
    given = np.asarray(distances, dtype=np.float64)
    return given.ravel(), given.shape


@register_jitable
def _switch(distance: float, cutoff: float, width: float) -> tuple[float, float]:
    """c and dc/dr of :func:`smooth_cutoff` at one distance."""
    x = (distance - cutoff + width) / width
    x = 0.0 if x < 0.0 else x
    x = 1.0 if x > 1.0 else x
    square = x * x
    return 1.0 - x * square * (10.0 - 15.0 * x + 6.0 * square), -30.0 * square * ((1.0 - x) * (1.0 - x)) / width


@njit
def _switches(distances: FloatArray, cutoff: float, width: float) -> tuple[FloatArray, FloatArray]:
    """c and dc/dr, (n,) each, in one pass: numpy's fifteen take as long as the exponentials of a law."""
    values, slopes = np.empty_like(distances), np.empty_like(distances)
    for k in range(len(distances)):
        values[k], slopes[k] = _switch(distances[k], cutoff, width)
    return values, slopes


@njit
def _bethe_slater(
    distances: FloatArray, waves: FloatArray, amplitude: float, shape: float, extent: float, cutoff: float
) -> tuple[FloatArray, FloatArray]:
    """The sharp Bethe-Slater law and its derivative, (n,) each, of `waves` exp(-(r/d)^2), (n,); d is `extent`."""
    values, slopes = np.empty_like(distances), np.empty_like(distances)
    for k in range(len(distances)):
        ratio = distances[k] / extent
        u, scale = ratio * ratio, 4.0 * amplitude * waves[k]
        inside = 1.0 if distances[k] <= cutoff else 0.0
        values[k] = scale * u * (1.0 - shape * u) * inside
        bracket = 1.0 - (2.0 * shape + 1.0) * u + shape * (u * u)
        slopes[k] = scale * bracket * 2.0 * distances[k] / (extent * extent) * inside
    return values, slopes


@njit
def _morse(
    distances: FloatArray, waves: FloatArray, depth: float, decay: float, cutoff: float, width: float
) -> tuple[FloatArray, FloatArray]:
    """Morse's law and its derivative, (n,) each, of `waves` exp(-a (r - r0)), (n,)."""
    values, slopes, steep = np.empty_like(distances), np.empty_like(distances), -2.0 * decay * depth
    for k in range(len(distances)):
        wave = waves[k]
        switch, falling = _switch(distances[k], cutoff, width)
        value, slope = depth * wave * (wave - 2.0), steep * wave * (wave - 1.0)
        values[k], slopes[k] = value * switch, slope * switch + value * falling
    return values, slopes


def step_width(cutoff: float, width: float | None) -> float:
    """Width of the smooth step before a cutoff (length): a tenth of it, unless another one is given.

    Parameters
    ----------
    cutoff : float
        Length.
    width : float or None
        The one that was given, length.
    """
    return 0.1 * cutoff if width is None else width


class RadialLaw(ABC):
    """A function of distance that vanishes beyond `cutoff` (length)."""

    cutoff: float

    @abstractmethod
    def __call__(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Value (energy) and derivative (energy/length) at `distances` (n,)."""


@dataclass(frozen=True)
class Exponential(RadialLaw):
    """v(r) = amplitude exp(-decay (r - reference)) c(r), with c the smooth cutoff over the last `width`.

    amplitude: energy; decay: 1/length; reference, cutoff, width: length.
    """

    amplitude: float
    decay: float
    reference: float
    cutoff: float
    width: float

    def __post_init__(self) -> None:
        _check_range(self, self.cutoff, self.width)

    def __call__(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Value and derivative at `distances`."""
        bare = self.amplitude * np.exp(-self.decay * (distances - self.reference))
        switch, slope = smooth_cutoff(distances, self.cutoff, self.width)
        return bare * switch, bare * (slope - self.decay * switch)


@dataclass(frozen=True)
class PowerLaw(RadialLaw):
    """v(r) = amplitude (reference/r)^exponent c(r), with c the smooth cutoff over the last `width`."""

    amplitude: float
    exponent: float
    reference: float
    cutoff: float
    width: float

    def __post_init__(self) -> None:
        _check_range(self, self.cutoff, self.width)

    def __call__(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Value and derivative at `distances`."""
        bare = self.amplitude * (self.reference / distances) ** self.exponent
        switch, slope = smooth_cutoff(distances, self.cutoff, self.width)
        return bare * switch, bare * (slope - self.exponent / distances * switch)


@dataclass(frozen=True)
class BetheSlater(RadialLaw):
    """v(r) = 4 a (r/d)^2 [1 - b (r/d)^2] exp(-(r/d)^2), the form of LAMMPS' SPIN package (a, b, d in its order).

    amplitude a: energy; shape b: pure number; range d, cutoff: length; width: length of the smooth step before the cutoff
    (None: cut off sharply, as LAMMPS does; forces then jump by the size of v there).
    """

    amplitude: float
    shape: float
    range: float
    cutoff: float
    width: float | None = None

    def __post_init__(self) -> None:
        _check_range(self, self.cutoff, self.cutoff if self.width is None else self.width)
        if not self.range > 0.0:
            raise ModelError(f"the range of a Bethe-Slater law must be a positive length, got {self.range}")

    def __call__(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Value and derivative at `distances`."""
        rows, shape = _in_a_row(distances)
        waves = np.exp(-((rows / self.range) ** 2))
        sharp = np.inf if self.width is not None else self.cutoff
        values, slopes = _bethe_slater(rows, waves, self.amplitude, self.shape, self.range, sharp)
        if self.width is not None:
            switch, falling = _switches(rows, self.cutoff, self.width)
            values, slopes = values * switch, slopes * switch + values * falling
        return values.reshape(shape), slopes.reshape(shape)


@dataclass(frozen=True)
class Morse(RadialLaw):
    """v(r) = D [exp(-2 a (r - r0)) - 2 exp(-a (r - r0))] c(r), c the smooth cutoff over the last `width`.

    depth D: energy; decay a: 1/length; reference r0, cutoff, width: length.
    """

    depth: float
    decay: float
    reference: float
    cutoff: float
    width: float

    def __post_init__(self) -> None:
        _check_range(self, self.cutoff, self.width)

    def __call__(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Value and derivative at `distances`."""
        rows, shape = _in_a_row(distances)
        waves = np.exp(-self.decay * (rows - self.reference))
        values, slopes = _morse(rows, waves, self.depth, self.decay, self.cutoff, self.width)
        return values.reshape(shape), slopes.reshape(shape)


@dataclass(frozen=True)
class Tabulated(RadialLaw):
    """v(r) = S(r) c(r): a cubic spline S through tabulated values (not-a-knot), c the smooth cutoff over the last `width`.

    Below the first distance S goes on as a straight line (value and slope are continuous): atoms that come closer than the
    table knows feel a constant force.

    distances, cutoff, width: length; values: energy.  The distances ascend, four or more; the cutoff is not beyond them.
    """

    distances: tuple[float, ...]
    values: tuple[float, ...]
    cutoff: float
    width: float

    def __post_init__(self) -> None:
        for name in ("distances", "values"):
            object.__setattr__(self, name, tuple(float(x) for x in getattr(self, name)))
        _check_range(self, self.cutoff, self.width)
        places = np.array(self.distances)
        if len(places) < 4 or len(self.values) != len(places) or not np.isfinite([self.distances, self.values]).all():
            raise ModelError(
                f"a tabulated law needs four or more finite distances and as many values, got {len(places)} and "
                f"{len(self.values)}"
            )
        if places[0] < 0.0 or (np.diff(places) <= 0.0).any():
            raise ModelError(f"distances of a tabulated law must ascend from zero or more, got {list(self.distances)}")
        if not places[0] < self.cutoff <= places[-1] * (1.0 + 1e-12):
            raise ModelError(
                f"the cutoff {self.cutoff} of a tabulated law must be within its distances, {places[0]} to {places[-1]}"
            )

    @cached_property
    def spline(self) -> CubicSpline:
        """S, energy by length."""
        return CubicSpline(self.distances, self.values)

    def __call__(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Value and derivative at `distances`."""
        given = np.asarray(distances, dtype=np.float64)
        inside = np.clip(given, self.distances[0], self.distances[-1])
        rise = np.asarray(self.spline(inside, 1), dtype=np.float64)
        bare = np.asarray(self.spline(inside), dtype=np.float64) + rise * np.minimum(given - self.distances[0], 0.0)
        switch, slope = smooth_cutoff(given, self.cutoff, self.width)
        return bare * switch, rise * switch + bare * slope


@dataclass(frozen=True)
class UserLaw(RadialLaw):
    """A user's ``function(r) -> (value, derivative)``; its derivative is checked by finite differences once.

    The function must go to zero at `cutoff` by itself if forces are to be continuous.
    """

    function: Callable[[FloatArray], tuple[FloatArray, FloatArray]]
    cutoff: float

    def __post_init__(self) -> None:
        _check_range(self, self.cutoff, self.cutoff)
        points = self.cutoff * np.linspace(0.3, 0.95, 27)
        step = 1e-5 * self.cutoff
        slope = (self.function(points + step)[0] - self.function(points - step)[0]) / (2.0 * step)
        claimed = np.asarray(self.function(points)[1], dtype=float)
        wrong = np.flatnonzero(np.abs(slope - claimed) > 1e-4 * (np.abs(slope).max() + np.abs(claimed).max()) + 1e-12)
        if len(wrong):
            k = wrong[0]
            raise ModelError(
                f"the derivative returned by the user's law disagrees with its value at r = {points[k]:.4g}: "
                f"{claimed[k]:.6g} given, {slope[k]:.6g} by finite differences"
            )

    def __call__(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Value and derivative at `distances`."""
        value, derivative = self.function(distances)
        return np.asarray(value, dtype=float), np.asarray(derivative, dtype=float)


def _check_range(law: RadialLaw, cutoff: float, width: float) -> None:
    for name, value in vars(law).items():
        if isinstance(value, str):
            as_numbers(value, f"parameters of {type(law).__name__} ({name})")
    if not (np.isfinite(cutoff) and cutoff > 0.0 and 0.0 < width <= cutoff):
        raise ModelError(f"a law of distance needs 0 < width <= cutoff; got cutoff={cutoff}, width={width}")
