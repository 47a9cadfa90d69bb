"""A record of what an observer says along a run of a script: the same observers as in input files, on any driver."""

from __future__ import annotations

from typing import Any

import numpy as np

from spinase.contract import atoms_of, time_of
from spinase.errors import ModelError, OutOfDomainError
from spinase.observers.base import alarm_of, observe
from spinase.quantities import Observed, Observer
from spinase.typing import Array, FloatArray, IntArray


class Record:
    """What `observer` says every so many steps of `dynamics`, kept in memory::

        record = Record(MagnetizationObserver(), dynamics, every=10)
        dynamics.run(1000)
        plt.plot(record.times, record["length"])

    Parameters
    ----------
    observer : Observer
        One of this package, of a plugin, or a class of your own.
    dynamics : driver
        Anything with ASE's ``attach``: drivers of spinase, molecular dynamics, optimizers.  Of the field that a driver of
        spinase applies, the observer is told.
    every : int
        Steps between looks; the first is at the start.

    Attributes
    ----------
    static : dict
        What does not change: axes of profiles and maps.

    Raises
    ------
    ModelError
        If `every` is not positive, or the observer finds that its calculator does not fit.
    """

    def __init__(self, observer: Observer, dynamics: Any, every: int = 10) -> None:
        if every < 1:
            raise ModelError(f"every must be a positive number of steps, got {every}")
        self.observer = observer
        self.static = dict(observer.prepare(atoms_of(dynamics)))
        self._dynamics = dynamics
        self._looks: list[tuple[int, float, Observed]] = []
        dynamics.attach(self._look, every)

    def __len__(self) -> int:
        return len(self._looks)

    @property
    def steps(self) -> IntArray:
        """Steps of the driver at the looks, (T,)."""
        return np.array([step for step, _, _ in self._looks], dtype=np.int64)

    @property
    def times(self) -> FloatArray:
        """Times at the looks, (T,), time; for a driver without a clock (an optimizer) its steps."""
        return np.array([time for _, time, _ in self._looks], dtype=np.float64)

    def __getitem__(self, name: str) -> Array:
        """All values of one of the observer's quantities, (T,) or (T, ...).

        Raises
        ------
        KeyError
            If it has no such quantity, with those it has.
        """
        if name not in self.observer.quantities:
            raise KeyError(f"{self.observer.name!r} has no quantity {name!r}; it has {', '.join(self.observer.quantities)}")
        return np.array([values[name] for _, _, values in self._looks])

    def _look(self) -> None:
        atoms, steps = atoms_of(self._dynamics), self._dynamics.nsteps
        self._looks.append((steps, time_of(self._dynamics), observe(self.observer, atoms, self._dynamics)))
        alarm = alarm_of(self.observer)
        if alarm is not None:
            raise OutOfDomainError(f"{alarm}, after {steps} steps")


__all__ = ["Record"]
