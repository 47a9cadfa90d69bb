"""Couplings on pairs of sites: by neighbour shell or by distance.  Hoppings and exchange constants are such laws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spinase.errors import ModelError
from spinase.geometry import Bonds, Geometry, NeighbourCache, find_bonds, find_shells
from spinase.radial import RadialLaw

FloatArray = NDArray[np.float64]


class PairLaw(ABC):
    """Chooses the bonds of a geometry and gives a coupling v and its slope dv/dr on each."""

    @abstractmethod
    def amplitudes(self, geometry: Geometry) -> tuple[Bonds, FloatArray, FloatArray]:
        """Bonds, v (energy) and dv/dr (energy/length) on each."""


class ShellLaw(PairLaw):
    """Coupling by neighbour shell of a lattice: v_1 on the nearest neighbours, v_2 on the next, ...

    The couplings do not depend on the distance within a shell: there are no forces from them.

    Parameters
    ----------
    values : sequence of float
        v_1, v_2, ..., energy; zeros are allowed.
    distances : sequence of float, optional
        The shells' distances (length); default: found on the geometry, which must be a lattice.
    tolerance : float
        Relative width of a shell.
    """

    def __init__(self, values: Sequence[float], distances: Sequence[float] | None = None, tolerance: float = 1e-3) -> None:
        self.values = np.array(values, dtype=np.float64)
        if self.values.ndim != 1 or not len(self.values) or not np.isfinite(self.values).all():
            raise ModelError(f"shells need a list of finite amplitudes [v1, v2, ...], got {values!r}")
        self.distances = None if distances is None else np.array(distances, dtype=np.float64)
        given = self.distances
        if given is not None and (given.shape != self.values.shape or np.any(np.diff(given) <= 0)):
            raise ModelError(f"shells need one ascending distance for each amplitude, got {distances!r}")
        self.tolerance = tolerance

    def amplitudes(self, geometry: Geometry) -> tuple[Bonds, FloatArray, FloatArray]:
        """Bonds of all shells with non-zero amplitude, v on each, and zeros."""
        shells = self._shells(geometry)
        bonds = find_bonds(geometry, float(shells[-1]) * (1.0 + 2.0 * self.tolerance))
        nearest = np.abs(bonds.distances[:, None] - shells[None, :]).argmin(axis=1)
        inside = np.abs(bonds.distances - shells[nearest]) <= self.tolerance * shells[nearest]
        keep = inside & (self.values[nearest] != 0.0)
        chosen = self.values[nearest[keep]]
        return bonds.select(keep), chosen, np.zeros_like(chosen)

    def _shells(self, geometry: Geometry) -> FloatArray:
        if self.distances is not None:
            return self.distances
        if len(geometry) == 1 and not geometry.pbc.any():
            return np.arange(1.0, len(self.values) + 1.0)  # an isolated site has no bonds at any distance
        return find_shells(geometry, len(self.values), self.tolerance)


class DistanceLaw(PairLaw):
    """Coupling as a function of distance, v(r); it gives forces.

    Parameters
    ----------
    law : RadialLaw
        Value and derivative against distance.
    """

    def __init__(self, law: RadialLaw) -> None:
        self.law = law
        self._neighbours = NeighbourCache()

    def amplitudes(self, geometry: Geometry) -> tuple[Bonds, FloatArray, FloatArray]:
        """Bonds within the cutoff, v(r) and dv/dr on each."""
        bonds = self._neighbours.bonds(geometry, self.law.cutoff)
        values, slopes = self.law(bonds.distances)
        return bonds, values, slopes


class SpeciesLaw(PairLaw):
    """A table of pair laws by chemical species; pairs of species that are not in it do not couple.

    Parameters
    ----------
    table : mapping of (int, int) to PairLaw
        Laws by pair of atomic numbers; the order within a pair does not matter.  Neighbour shells are those of all sites.

    Raises
    ------
    ModelError
        If the table is empty or names a pair twice.
    """

    def __init__(self, table: Mapping[tuple[int, int], PairLaw]) -> None:
        if not table:
            raise ModelError("a table of pair laws needs at least one pair of species")
        self.table: dict[tuple[int, int], PairLaw] = {}
        for (a, b), law in table.items():
            key = (min(a, b), max(a, b))
            if key in self.table:
                raise ModelError(f"the pair of species {key} is in the table twice")
            self.table[key] = law

    def amplitudes(self, geometry: Geometry) -> tuple[Bonds, FloatArray, FloatArray]:
        """Bonds of every pair of species in the table, with its own law."""
        bonds, values, slopes = zip(
            *(_of_species(law.amplitudes(geometry), geometry, pair) for pair, law in self.table.items()), strict=True
        )
        parts = [[getattr(found, name) for found in bonds] for name in ("first", "second", "shifts", "vectors", "distances")]
        joined = Bonds(*(np.concatenate(part) for part in parts))
        order = np.lexsort((joined.shifts[:, 2], joined.shifts[:, 1], joined.shifts[:, 0], joined.second, joined.first))
        return joined.select(order), np.concatenate(values)[order], np.concatenate(slopes)[order]


def _of_species(
    found: tuple[Bonds, FloatArray, FloatArray], geometry: Geometry, pair: tuple[int, int]
) -> tuple[Bonds, FloatArray, FloatArray]:
    bonds, values, slopes = found
    one, two = geometry.numbers[bonds.first], geometry.numbers[bonds.second]
    keep = ((one == pair[0]) & (two == pair[1])) | ((one == pair[1]) & (two == pair[0]))
    return bonds.select(keep), values[keep], slopes[keep]
