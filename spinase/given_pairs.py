"""Couplings on GIVEN pairs of sites: pair laws that look for no neighbours, for regions of a magnet.

A law of distance tells the coupling of a pair from its length.  Neighbour shells are groups of distances, which a region
does not show: they become windows about the shells' distances, found once on the whole magnet or given by the user.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spinase.geometry import Bonds
from spinase.radial import RadialLaw
from spinase.regions import Region
from spinase.shells import Shells, Species, joins, rim_of, sort_into
from spinase.typing import FloatArray

Couplings = tuple[Bonds, FloatArray, FloatArray]
"""Bonds, v (B,) [energy] and dv/dr (B,) [energy/length] on each."""


class GivenPairLaw(ABC):
    """Chooses among given pairs those that couple, and gives a coupling v and its slope dv/dr on each."""

    @property
    @abstractmethod
    def cutoff(self) -> float:
        """How far pairs must be given, length; 0: no pair couples."""

    @abstractmethod
    def on(self, pairs: Bonds, sites: Region) -> Couplings:
        """Those of the pairs that couple, v and dv/dr on each, for pairs of the sites of a region.

        Parameters
        ----------
        pairs : Bonds
            Of sites of the region, by their places in it.
        sites : Region
            Species, moments and positions.
        """


@dataclass(frozen=True, eq=False)
class GivenDistance(GivenPairLaw):
    """v(r) of a law of distance."""

    law: RadialLaw

    @property
    def cutoff(self) -> float:
        """That of the law."""
        return self.law.cutoff

    def on(self, pairs: Bonds, sites: Region) -> Couplings:
        """The pairs within the cutoff."""
        near = pairs.select(pairs.distances <= self.law.cutoff)
        return near, *self.law(near.distances)


@dataclass(frozen=True, eq=False)
class GivenShells(GivenPairLaw):
    """v_n in windows of distance; pairs at the edge of a window are refused.

    Attributes
    ----------
    values : (n,)
        v_1, v_2, ..., energy.
    windows : Shells
        Theirs; none where no pair couples.
    """

    values: FloatArray
    windows: Shells

    @property
    def cutoff(self) -> float:
        """It holds all windows with their rims."""
        return rim_of(self.windows) if len(self.windows) else 0.0

    def on(self, pairs: Bonds, sites: Region) -> Couplings:
        """The pairs in windows with a non-zero amplitude, of magnetic sites where these are told; slopes are zero.

        Raises
        ------
        InvalidGeometryError
            If it is not clear whether a pair is in a window.
        """
        if not len(self.windows):
            return pairs.select(np.zeros(0, dtype=np.int64)), np.zeros(0), np.zeros(0)
        if sites.magnetic is not None:
            pairs = pairs.select(sites.magnetic[pairs.first] & sites.magnetic[pairs.second])
        inside, shell = sort_into(pairs, self.windows)
        keep = self.values[shell] != 0.0
        values = self.values[shell[keep]]
        return inside.select(keep), values, np.zeros_like(values)


@dataclass(frozen=True, eq=False)
class GivenSpeciesPairs(GivenPairLaw):
    """A law for every pair of species in a table; other pairs do not couple."""

    table: Mapping[Species, GivenPairLaw]

    @property
    def cutoff(self) -> float:
        """That of the law that reaches farthest."""
        return max(law.cutoff for law in self.table.values())

    def on(self, pairs: Bonds, sites: Region) -> Couplings:
        """The pairs of all laws, one law after the other."""
        found = [law.on(pairs.select(joins(pairs, sites.numbers, pair)), sites) for pair, law in self.table.items()]
        bonds, values, slopes = zip(*found, strict=True)
        parts = [[getattr(one, name) for one in bonds] for name in ("first", "second", "shifts", "vectors", "distances")]
        return Bonds(*(np.concatenate(part) for part in parts)), np.concatenate(values), np.concatenate(slopes)


@dataclass(frozen=True, eq=False)
class GivenAmongSpecies(GivenPairLaw):
    """A law among the sites of some species (atomic numbers)."""

    law: GivenPairLaw
    numbers: tuple[int, ...]

    @property
    def cutoff(self) -> float:
        """That of the law."""
        return self.law.cutoff

    def on(self, pairs: Bonds, sites: Region) -> Couplings:
        """The law's pairs among these sites."""
        mine = np.isin(sites.numbers, self.numbers)
        return self.law.on(pairs.select(mine[pairs.first] & mine[pairs.second]), sites)


__all__ = ["Couplings", "GivenAmongSpecies", "GivenDistance", "GivenPairLaw", "GivenShells", "GivenSpeciesPairs"]
