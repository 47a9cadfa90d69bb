"""What an observer is: something that looks at the atoms during a run and returns numbers with names, units and a plot.

Whatever depends on positions only (wavevectors, triangles, pairs) is computed once and again only if sites move.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
from ase import Atoms
from pydantic import BaseModel, ConfigDict

from spinase.contract import SeesAppliedField, applied_field_of
from spinase.measures import site_mask
from spinase.quantities import Observed, Observer
from spinase.typing import Array, FloatArray

Arrays = dict[str, Array]
Built = TypeVar("Built")


def observe(observer: Observer, atoms: Atoms, driver: Any = None) -> Observed:
    """What `observer` says of `atoms` in the field that `driver` applies to them now (without a driver: in none).

    Energies, torques and spin temperatures contain the driver's field only if they are told of it: the calculator does not
    know it.  ``observer.observe(atoms)`` alone goes on with the field it was told last.

    Parameters
    ----------
    observer : Observer
        Prepared for these atoms.
    atoms : Atoms
        With a calculator.
    driver : driver, optional
        Whose applied field counts.
    """
    if isinstance(observer, SeesAppliedField):
        observer.set_applied_field(applied_field_of(driver))
    return observer.observe(atoms)


class NoOptions(BaseModel):
    """An observer without options."""

    model_config = ConfigDict(extra="forbid")


class OfSites(Generic[Built]):
    """Something built from the atoms' geometry, built again only when sites, cell or magnetic sites change."""

    def __init__(self, build: Callable[[Atoms], Built]) -> None:
        self._build = build
        self._key: list[Array] = []
        self._value: Built | None = None

    def of(self, atoms: Atoms) -> Built:
        """The value for the geometry the atoms have now."""
        key = [atoms.positions, atoms.cell.array, atoms.pbc, site_mask(atoms)]
        stale = not self._key or any(not np.array_equal(old, new) for old, new in zip(self._key, key, strict=True))
        if self._value is None or stale:
            self._value = self._build(atoms)
            self._key = [array.copy() for array in key]
        return self._value


class InField:
    """What observers share whose numbers contain the field that a driver applies (``contract.SeesAppliedField``)."""

    applied: FloatArray | float = 0.0

    def set_applied_field(self, field: FloatArray | float) -> None:
        """Take the field (N, 3), energy/moment, or 0.0 for none, for the observations that follow."""
        self.applied = field


def alarm_of(observer: Observer) -> str | None:
    """Why `observer` wants the run to stop, as of its last look; None if it does not, or never does."""
    alarm: str | None = getattr(observer, "alarm", None)
    return alarm
