"""Quantities that are recorded along a run: their names, units and plots, and who says them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from ase import Atoms

from spinase.typing import Array

Plot = Literal["series", "profile", "map", "sites", "none"]
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
    plot : {"series", "profile", "map", "sites", "none"}
        ``series``: a scalar against time.  ``profile``: a 1-D array against the array `axis`.  ``map``: a 1-D array over the
        points of the static array `axis`, shape (n, 2).  ``sites``: one number for each site, (N,).  ``none``: not drawn.
    axis : str or None
        Name of a static array (see :meth:`Observer.prepare`), or for a profile of another quantity of the same observer;
        None where there is no axis.
    description : str
        What the number is, for readers of a run file, where the label does not say all of it.
    """

    label: str
    unit: str = ""
    plot: Plot = "series"
    axis: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if (self.plot in ("profile", "map")) != (self.axis is not None):
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


__all__ = ["Observed", "Observer", "Plot", "Quantity"]
