"""Values that change during a run: linear ramps of temperatures and fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from spinase.errors import ModelError
from spinase.spin_algebra import read_only
from spinase.typing import FloatArray

Temperature = float | Callable[[float], float]
"""A temperature as an energy, or a function of time that gives it."""

NotNegative = Annotated[float, Field(ge=0)]


class Ramp:
    """A value that goes linearly from `start` to `stop` within `duration`, and stays there: ``ramp(time)``.

    Parameters
    ----------
    start, stop : float or array
        Values at the beginning and at the end.
    duration : float
        Time it takes; positive.
    """

    def __init__(self, start: ArrayLike, stop: ArrayLike, duration: float) -> None:
        self.start, self.stop = read_only(start), read_only(stop)
        self.duration = float(duration)
        if not (np.isfinite(self.start).all() and np.isfinite(self.stop).all() and self.start.shape == self.stop.shape):
            raise ModelError(f"a ramp needs a finite start and stop of one shape, got {start!r} and {stop!r}")
        if not (np.isfinite(duration) and duration > 0.0):
            raise ModelError(f"the duration of a ramp must be a positive time, got {duration}")

    def __call__(self, time: float) -> FloatArray:
        """Value at `time`."""
        return np.asarray(self.start + min(max(time / self.duration, 0.0), 1.0) * (self.stop - self.start))


class RampConfig(BaseModel):
    """A number that changes linearly during a stage: ``{ from = 0.1, to = 0.01 }``."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    start: float = Field(alias="from", description="value at the start of the stage")
    stop: float = Field(alias="to", description="value at the end")
    duration: float | None = Field(None, gt=0, description="time it takes; absent: the whole stage [time]")

    def build(self) -> Ramp:
        """The ramp; the duration must be known by now."""
        return Ramp(self.start, self.stop, _known(self.duration))


class FieldRampConfig(BaseModel):
    """A field that changes linearly during a stage: ``{ from = [0, 0, 1], to = [0, 0, -1] }``."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    start: tuple[float, float, float] = Field(alias="from", description="field at the start of the stage")
    stop: tuple[float, float, float] = Field(alias="to", description="field at the end")
    duration: float | None = Field(None, gt=0, description="time it takes; absent: the whole stage [time]")

    def build(self) -> Ramp:
        """The ramp; the duration must be known by now."""
        return Ramp(self.start, self.stop, _known(self.duration))


def with_durations(options: BaseModel, duration: float) -> BaseModel:
    """`options` with the duration of its ramps filled in where it is absent."""
    changes: dict[str, Any] = {
        name: value.model_copy(update={"duration": duration})
        for name, value in options
        if isinstance(value, RampConfig | FieldRampConfig) and value.duration is None
    }
    changes |= {name: _filled(value, duration) for name, value in options if isinstance(value, dict)}
    return options.model_copy(update=changes) if changes else options


def _filled(table: dict[str, Any], duration: float) -> dict[str, Any]:
    """A table of another style's options, with the duration of its ramps filled in."""
    return {
        name: {**value, "duration": duration} if isinstance(value, dict) and {"from", "to"} == value.keys() else value
        for name, value in table.items()
    }


def built(value: object) -> object:
    """A ramp from its table; anything else as it is."""
    return value.build() if isinstance(value, RampConfig | FieldRampConfig) else value


def temperature_of(value: float | RampConfig) -> Temperature:
    """A temperature as an energy, or a function of time, from an option of an input file."""
    if not isinstance(value, RampConfig):
        return value
    ramp = value.build()
    return lambda time: float(ramp(time))


def _known(duration: float | None) -> float:
    if duration is None:
        raise ModelError("this ramp has no duration: give one, or use it in a stage with a number of steps")
    return duration


__all__ = [
    "FieldRampConfig",
    "NotNegative",
    "Ramp",
    "RampConfig",
    "Temperature",
    "built",
    "temperature_of",
    "with_durations",
]
