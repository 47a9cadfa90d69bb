"""What an observer is: something that looks at the atoms during a run and returns numbers with names, units and a plot.

Whatever depends on positions only (wavevectors, triangles, pairs) is computed once and again only if sites move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from ase import Atoms
from pydantic import BaseModel, ConfigDict

from spinase.contract import SeesAppliedField, applied_field_of
from spinase.measures import site_mask
from spinase.typing import Array, FloatArray

Arrays = dict[str, Array]
Built = TypeVar("Built")
Plot = Literal["series", "profile", "map", "sites"]
Observed = Mapping[str, float | Array]


@dataclass(frozen=True)
class Quantity:
    """One observed quantity and how to show it.

    Attributes
    ----------
    label : str
        Words for a figure axis.
    unit : str
        Unit of the values; empty for pure numbers.
    plot : {"series", "profile", "map", "sites"}
        ``series``: a scalar against time.  ``profile``: a 1-D array against the static array `axis`.  ``map``: a 1-D
        array over the points of the static array `axis`, shape (n, 2).  ``sites``: one number for each site, (N,).
    axis : str or None
        Name of a static array (see :meth:`Observer.prepare`); None for series and sites.
    description : str
        What the number is, for readers of a run file, where the label does not say all of it.
    """

    label: str
    unit: str = ""
    plot: Plot = "series"
    axis: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if (self.plot in ("series", "sites")) != (self.axis is None):
            raise ValueError(
                f"quantity {self.label!r}: profiles and maps need an axis, series and sites have none; "
                f"got plot={self.plot!r}, axis={self.axis!r}"
            )


@runtime_checkable
class Observer(Protocol):
    """Looks at atoms with a calculator; changes neither.

    Attributes
    ----------
    name : str
        Name of its group in a run file.
    quantities : dict of str to Quantity
        What :meth:`observe` returns; complete after :meth:`prepare`.
    """

    name: str
    quantities: dict[str, Quantity]

    def prepare(self, atoms: Atoms) -> Mapping[str, Array]:
        """Called once before a run: set up, and return the static arrays (axes of profiles and maps); may be empty."""
        ...

    def observe(self, atoms: Atoms) -> Observed:
        """One value per quantity; shapes do not change during a run."""
        ...


def observe(observer: Observer, atoms: Atoms, driver: Any = None) -> Observed:
    """What `observer` says of `atoms` in the field that `driver` applies to them now (without a driver: in none).

    Energies, torques and spin temperatures contain the driver's field only if they are told of it: the calculator does not
    know it.  ``observer.observe(atoms)`` alone goes on with the field it was told last.
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
