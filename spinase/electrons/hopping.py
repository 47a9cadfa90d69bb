"""Hopping laws: which pairs of sites electrons hop between, and how strongly.

The amplitude t enters as H = -sum_ij t_ij c+_i c_j.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from spinase.errors import ModelError
from spinase.geometry import Bonds, Geometry, find_bonds, find_shells
from spinase.radial import Exponential, PowerLaw, RadialLaw, UserLaw

FloatArray = NDArray[np.float64]


class HoppingLaw(ABC):
    """Chooses the bonds of a geometry and gives t and dt/dr on them."""

    @abstractmethod
    def amplitudes(self, geometry: Geometry) -> tuple[Bonds, FloatArray, FloatArray]:
        """Bonds, t (energy) and dt/dr (energy/length) on each."""


class ShellHopping(HoppingLaw):
    """Hopping by neighbour shell of a lattice: t_1 on the nearest neighbours, t_2 on the next, ...

    The amplitudes do not depend on the distance within a shell: there are no forces from them.

    Parameters
    ----------
    values : sequence of float
        t_1, t_2, ..., energy; zeros are allowed.
    distances : sequence of float, optional
        The shells' distances (length); default: found on the geometry, which must be a lattice.
    tolerance : float
        Relative width of a shell.
    """

    def __init__(self, values: Sequence[float], distances: Sequence[float] | None = None, tolerance: float = 1e-3) -> None:
        self.values = np.array(values, dtype=np.float64)
        if self.values.ndim != 1 or not len(self.values) or not np.isfinite(self.values).all():
            raise ModelError(f"shell hopping needs a list of finite amplitudes [t1, t2, ...], got {values!r}")
        self.distances = None if distances is None else np.array(distances, dtype=np.float64)
        given = self.distances
        if given is not None and (given.shape != self.values.shape or np.any(np.diff(given) <= 0)):
            raise ModelError(f"shell hopping needs one ascending distance for each amplitude, got {distances!r}")
        self.tolerance = tolerance

    def amplitudes(self, geometry: Geometry) -> tuple[Bonds, FloatArray, FloatArray]:
        """Bonds of all shells with non-zero amplitude, t on each, and zeros."""
        shells = self.distances
        if shells is None:
            if len(geometry) == 1 and not geometry.pbc.any():
                shells = np.arange(1.0, len(self.values) + 1.0)  # one isolated site: no bonds whatever the distances
            else:
                shells = find_shells(geometry, len(self.values), self.tolerance)
        bonds = find_bonds(geometry, float(shells[-1]) * (1.0 + 2.0 * self.tolerance))
        nearest = np.abs(bonds.distances[:, None] - shells[None, :]).argmin(axis=1)
        inside = np.abs(bonds.distances - shells[nearest]) <= self.tolerance * shells[nearest]
        keep = inside & (self.values[nearest] != 0.0)
        chosen = self.values[nearest[keep]]
        return bonds.select(keep), chosen, np.zeros_like(chosen)


class DistanceHopping(HoppingLaw):
    """Hopping as a function of distance, t(r); it gives forces.

    Parameters
    ----------
    law : RadialLaw
        Value and derivative against distance.
    """

    def __init__(self, law: RadialLaw) -> None:
        self.law = law

    def amplitudes(self, geometry: Geometry) -> tuple[Bonds, FloatArray, FloatArray]:
        """Bonds within the cutoff, t(r) and dt/dr on each."""
        bonds = find_bonds(geometry, self.law.cutoff)
        values, slopes = self.law(bonds.distances)
        return bonds, values, slopes


class ExponentialHopping(DistanceHopping):
    """t(r) = t0 exp(-decay (r - reference)), smoothly cut off.

    Parameters
    ----------
    t0 : float
        Amplitude at r = reference, energy.
    decay : float
        Inverse decay length, 1/length.
    reference : float
        Reference distance, length.
    cutoff : float
        Distance beyond which t = 0, length.
    switch_width : float, optional
        The law is multiplied by a smooth step over the last `switch_width` before the cutoff; default cutoff/10.
    """

    def __init__(self, t0: float, decay: float, reference: float, cutoff: float, switch_width: float | None = None) -> None:
        super().__init__(Exponential(t0, decay, reference, cutoff, 0.1 * cutoff if switch_width is None else switch_width))


class PowerLawHopping(DistanceHopping):
    """t(r) = t0 (reference/r)^exponent, smoothly cut off (parameters as in :class:`ExponentialHopping`)."""

    def __init__(
        self, t0: float, exponent: float, reference: float, cutoff: float, switch_width: float | None = None
    ) -> None:
        super().__init__(PowerLaw(t0, exponent, reference, cutoff, 0.1 * cutoff if switch_width is None else switch_width))


class UserHopping(DistanceHopping):
    """t(r) from a user's ``function(r) -> (t, dt/dr)`` on arrays of distances; the derivative is checked once."""

    def __init__(self, function: Callable[[FloatArray], tuple[FloatArray, FloatArray]], cutoff: float) -> None:
        super().__init__(UserLaw(function, cutoff))
