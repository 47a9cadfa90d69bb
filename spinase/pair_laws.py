"""Couplings on pairs of sites: by neighbour shell or by distance.  Hoppings and exchange constants are such laws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from spinase.brief import call
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Bonds, Geometry, NeighbourCache, find_bonds
from spinase.given_pairs import (
    Couplings,
    GivenAmongSpecies,
    GivenDistance,
    GivenPairLaw,
    GivenShells,
    GivenSpeciesPairs,
)
from spinase.radial import RadialLaw
from spinase.shells import (
    WIDTH,
    WINDOW,
    LonelySiteError,
    Shells,
    Species,
    find_shells,
    in_windows,
    joins,
    pairs_of,
    rim_of,
    sort_into,
    windows,
)
from spinase.spin_algebra import read_only
from spinase.typing import FloatArray, IntArray


class PairLaw(ABC):
    """Chooses the bonds of a geometry and gives a coupling v and its slope dv/dr on each."""

    @abstractmethod
    def amplitudes(self, geometry: Geometry) -> Couplings:
        """Bonds, v (energy) and dv/dr (energy/length) on each."""

    def between(self, geometry: Geometry, pair: Species) -> Couplings:
        """The law on pairs of sites of two species (atomic numbers) alone.

        Parameters
        ----------
        geometry : Geometry
            Sites.
        pair : (int, int)
            Atomic numbers.
        """
        bonds, values, slopes = self.amplitudes(geometry)
        keep = joins(bonds, geometry.numbers, pair)
        return bonds.select(keep), values[keep], slopes[keep]

    def local(self, geometry: Geometry | None = None, pair: Species | None = None) -> GivenPairLaw:
        """The law for given pairs, unless overridden there is none.

        Parameters
        ----------
        geometry : Geometry, optional
            The whole magnet, for laws that look at it: on it neighbour shells without distances are found.
        pair : (int, int), optional
            Atomic numbers: only pairs of these species are meant.

        Raises
        ------
        ModelError
        """
        raise ModelError(f"{self!r} does not tell the couplings of given pairs: use neighbour shells or a law of distance")


class ShellLaw(PairLaw):
    """Coupling by neighbour shell of a lattice: v_1 on the nearest neighbours, v_2 on the next, ...

    The couplings do not depend on the distance within a shell: there are no forces from them.  Which shell a pair is in
    depends on the positions alone; positions that do not tell are refused, so atoms that move keep their bonds or stop.

    Shells are those of the magnetic sites where the geometry tells them (terms of spins do: ligands make no shells);
    magnetic sites so dilute that one of them has no nearest neighbour take the shells of all sites.

    Parameters
    ----------
    values : sequence of float
        v_1, v_2, ..., energy; zeros are allowed.
    distances : sequence of float, optional
        The shells' distances (length); default: found on the geometry, by the gaps between its distances
        (:func:`~spinase.shells.find_shells`).  With them, a shell is a window about its distance
        (:func:`~spinase.shells.windows`), which displaced atoms do not leave.
    width : float, optional
        Without `distances`: the largest gap within a shell, as part of the shortest distance (default 0.01; gaps between
        shells are at least four times that).  With them: half the width of a window, as part of its distance (default 0.1).
    """

    def __init__(
        self, values: Sequence[float], distances: Sequence[float] | None = None, width: float | None = None
    ) -> None:
        self.values = read_only(values)
        if self.values.ndim != 1 or not len(self.values) or not np.isfinite(self.values).all():
            raise ModelError(f"shells need a list of finite amplitudes [v1, v2, ...], got {values!r}")
        self.distances = None if distances is None else read_only(distances)
        given = self.distances
        if given is not None and (
            given.shape != self.values.shape
            or not np.isfinite(given).all()
            or np.any(np.diff(given) <= 0)
            or np.any(given <= 0)
        ):
            raise ModelError(f"shells need one ascending distance for each amplitude, got {distances!r}")
        if width is not None and not 0.0 < width < 0.5:
            raise ModelError(f"the width of a shell must be between 0 and 0.5 (a part of the distance), got {width}")
        self.width = width
        self._neighbours = NeighbourCache()

    def __repr__(self) -> str:
        return call(type(self).__name__, self.values, distances=self.distances, width=self.width)

    def amplitudes(self, geometry: Geometry) -> Couplings:
        """Bonds of all shells with non-zero amplitude, v on each, and zeros.

        Raises
        ------
        InvalidGeometryError
            If the positions do not tell the shells.
        """
        bonds, shell = self._shells_of_magnetic(geometry, None)
        keep = self.values[shell] != 0.0
        return _couplings(bonds.select(keep), self.values[shell[keep]])

    def between(self, geometry: Geometry, pair: Species) -> Couplings:
        """The law on the shells that the pairs of two species make, whatever other sites there are.

        In an alloy of species on one lattice (a site without such a neighbour, while others have one among their nearest
        neighbours of any species) shells are those of the lattice.
        """
        bonds, shell = self._shells_of_magnetic(geometry, pair)
        keep = joins(bonds, geometry.numbers, pair) & (self.values[shell] != 0.0)
        return _couplings(bonds.select(keep), self.values[shell[keep]])

    def _shells_of_magnetic(self, geometry: Geometry, pair: Species | None) -> tuple[Bonds, IntArray]:
        """Bonds and shells of the magnetic sites, if the geometry tells them."""
        if geometry.magnetic is None or geometry.magnetic.all() or not geometry.magnetic.any():
            return self._shells_between(geometry, pair)
        sites = np.flatnonzero(geometry.magnetic)
        try:
            bonds, shell = self._shells_between(geometry.select(sites), pair)
        except LonelySiteError:
            bonds, shell = self._shells_between(geometry, pair)
            keep = geometry.magnetic[bonds.first] & geometry.magnetic[bonds.second]
            return bonds.select(keep), shell[keep]
        return renumbered(bonds, sites), shell

    def _shells_between(self, geometry: Geometry, pair: Species | None) -> tuple[Bonds, IntArray]:
        """Bonds and shells in which the pairs of two species are; those of the lattice hold other pairs, too."""
        if pair is None:
            return self._shells(geometry, None)
        sites = np.flatnonzero(np.isin(geometry.numbers, pair))
        if not all((geometry.numbers == number).any() for number in pair):
            return _NO_BONDS, _NO_BONDS.first
        try:
            bonds, shell = self._shells(geometry.select(sites), pair)
        except LonelySiteError:
            nearest, _ = ShellLaw([1.0], width=self.width).shells(geometry)
            if not len(pairs_of(nearest, geometry, pair)):
                raise
            return self._shells(geometry, None)
        return renumbered(bonds, sites), shell

    def _shells(self, geometry: Geometry, pair: Species | None) -> tuple[Bonds, IntArray]:
        if not len(geometry) or (len(geometry) == 1 and not geometry.pbc.any()):
            return _NO_BONDS, _NO_BONDS.first  # an isolated site has no bonds at any distance
        return self.shells(geometry, pair)

    def local(self, geometry: Geometry | None = None, pair: Species | None = None) -> GivenPairLaw:
        """Windows about the given distances, or about those that the shells have on `geometry`.

        Raises
        ------
        ModelError
            If there are neither.
        InvalidGeometryError
            If windows would not hold the same bonds as the shells.
        """
        if self.distances is not None:
            return GivenShells(self.values, windows(self.distances, WINDOW if self.width is None else self.width))
        if geometry is None:
            raise ModelError(
                f"neighbour shells {self.values.tolist()} without distances are found on a whole magnet: give it, too, or "
                "say their distances, ShellLaw(values, distances=[...])"
            )
        sites, bonds, shell = self._with_shells(geometry, pair)
        if not len(bonds):
            return GivenShells(self.values, Shells(*np.zeros((3, 0))))
        found = _windows_about(bonds, shell, sites, pair)
        again = sort_into(pairs_of(find_bonds(sites, rim_of(found)), sites, pair), found)[0]
        if len(again) != len(pairs_of(bonds, sites, pair)):
            raise InvalidGeometryError(
                f"windows about the shells' mean distances {found.distances.tolist()} hold {len(again)} bonds and the "
                f"shells {len(bonds)}: say distances and a width, ShellLaw(values, distances=[...], width=...)"
            )
        return GivenShells(self.values, found)

    def _with_shells(self, geometry: Geometry, pair: Species | None) -> tuple[Geometry, Bonds, IntArray]:
        """The sites that make the shells (the magnetic ones; all, where those are too dilute), bonds and shells."""
        magnetic = None if geometry.magnetic is None or not geometry.magnetic.any() else geometry.select(geometry.magnetic)
        if magnetic is not None:
            try:
                return magnetic, *self._shells_between(magnetic, pair)
            except LonelySiteError:
                if len(magnetic) == len(geometry):
                    raise
        return geometry, *self._shells_between(geometry, pair)

    def shells(self, geometry: Geometry, pair: Species | None = None) -> tuple[Bonds, IntArray]:
        """Bonds of all shells and the shell (0, 1, ...) of each; between two species only, if a `pair` is given.

        Raises
        ------
        InvalidGeometryError
            If the positions do not tell the shells.
        """
        if self.distances is None:
            found = find_shells(geometry, len(self.values), WIDTH if self.width is None else self.width, pair)
            bonds = pairs_of(find_bonds(geometry, found.reach), geometry, pair)
            shell, inside = found.sort(bonds.distances)
            return bonds.select(inside), shell[inside]
        given = windows(self.distances, WINDOW if self.width is None else self.width)
        near = pairs_of(self._neighbours.bonds(geometry, rim_of(given)), geometry, pair)
        return in_windows(near, given, several=self.width is not None)


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
        self._sharp: bool | None = None  # whether the law ends with a jump; found where it is first used

    def __repr__(self) -> str:
        return call(type(self).__name__, self.law)

    def amplitudes(self, geometry: Geometry) -> Couplings:
        """Bonds within the cutoff, v(r) and dv/dr on each.

        Raises
        ------
        InvalidGeometryError
            If the law ends with a jump at a distance that many pairs have: round-off would decide which of them count.
        """
        return self._amplitudes(geometry, None)

    def between(self, geometry: Geometry, pair: Species) -> Couplings:
        """The law on pairs of sites of two species alone."""
        return self._amplitudes(geometry, pair)

    def _amplitudes(self, geometry: Geometry, pair: Species | None) -> Couplings:
        cutoff = self.law.cutoff
        if self._sharp is None:
            self._sharp = _jumps(self.law)
        if self._sharp:
            near = pairs_of(self._neighbours.bonds(geometry, cutoff * (1.0 + _SAME)), geometry, pair)
            _refuse_shell_at_cutoff(near.distances, self.law)
            inside = near.distances <= cutoff
            bonds = near if inside.all() else near.select(inside)
        else:  # what is at the cutoff counts nothing
            bonds = pairs_of(self._neighbours.bonds(geometry, cutoff), geometry, pair)
        values, slopes = self.law(bonds.distances)
        return bonds, values, slopes

    def local(self, geometry: Geometry | None = None, pair: Species | None = None) -> GivenPairLaw:
        """The same function of distance.

        Raises
        ------
        InvalidGeometryError
            If it ends with a jump at a distance that many pairs of the `geometry` have; without one that is not seen.
        """
        if geometry is not None:
            self._amplitudes(geometry, pair)
        return GivenDistance(self.law)


_SAME = 1e-5
"""Part of the cutoff within which distances are those of one shell, also where coordinates have few digits."""
_MANY = 0.01  # of all pairs: a shell; atoms that pass the cutoff on their way are far fewer


def _jumps(law: RadialLaw) -> bool:
    """Whether a law is not zero where it ends."""
    points = law.cutoff * np.array([0.3, 0.5, 0.7, 0.9, 1.0 - _SAME])
    values = np.abs(law(points)[0])
    return bool(values[-1] > 1e-6 * values.max())


def _refuse_shell_at_cutoff(distances: FloatArray, law: RadialLaw) -> None:
    """`distances` (n,) of all pairs up to just beyond the cutoff."""
    cutoff = law.cutoff
    at = distances[distances >= cutoff * (1.0 - _SAME)]
    if len(at) <= _MANY * len(distances):
        return
    inside = distances[distances < cutoff * (1.0 - _SAME)]
    between = f"between {inside.max():.6g} and it, or beyond it" if len(inside) else "beyond it"
    raise InvalidGeometryError(
        f"{len(at)} pairs are {at.min():.10g} to {at.max():.10g} apart, where {type(law).__name__} ends with a jump (cutoff "
        f"= {cutoff:.10g}): round-off would decide which of them count. Put the cutoff {between}, or give the law a smooth "
        "step (its width)"
    )


class SpeciesLaw(PairLaw):
    """A table of pair laws by chemical species; pairs of species that are not in it do not couple.

    Parameters
    ----------
    table : mapping of (int, int) to PairLaw
        Laws by pair of atomic numbers; the order within a pair does not matter.  Neighbour shells are
        those that the pairs of the two species make.

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

    def __repr__(self) -> str:
        return call(type(self).__name__, self.table)

    def amplitudes(self, geometry: Geometry) -> tuple[Bonds, FloatArray, FloatArray]:
        """Bonds of every pair of species in the table, with its own law."""
        bonds, values, slopes = zip(*(law.between(geometry, pair) for pair, law in self.table.items()), strict=True)
        parts = [[getattr(found, name) for found in bonds] for name in ("first", "second", "shifts", "vectors", "distances")]
        joined = Bonds(*(np.concatenate(part) for part in parts))
        order = np.lexsort((joined.shifts[:, 2], joined.shifts[:, 1], joined.shifts[:, 0], joined.second, joined.first))
        return joined.select(order), np.concatenate(values)[order], np.concatenate(slopes)[order]

    def local(self, geometry: Geometry | None = None, pair: Species | None = None) -> GivenPairLaw:
        """Every law of the table for given pairs of its species."""
        return GivenSpeciesPairs({species: law.local(geometry, species) for species, law in self.table.items()})


class AmongSpecies(PairLaw):
    """A pair law among the sites of some species, as if there were no others: they make no shells.

    Parameters
    ----------
    law : PairLaw
        The law.
    numbers : sequence of int
        Atomic numbers.
    """

    def __init__(self, law: PairLaw, numbers: Sequence[int]) -> None:
        self.law = law
        self.numbers = tuple(numbers)

    def __repr__(self) -> str:
        return call(type(self).__name__, self.law, self.numbers)

    def amplitudes(self, geometry: Geometry) -> Couplings:
        """The law's bonds among these sites."""
        sites = np.flatnonzero(np.isin(geometry.numbers, self.numbers))
        if not len(sites):
            return _couplings(_NO_BONDS, np.zeros(0))
        bonds, values, slopes = self.law.amplitudes(geometry.select(sites))
        return renumbered(bonds, sites), values, slopes

    def local(self, geometry: Geometry | None = None, pair: Species | None = None) -> GivenPairLaw:
        """The law for given pairs among these sites."""
        sites = None if geometry is None else geometry.select(np.isin(geometry.numbers, self.numbers))
        return GivenAmongSpecies(self.law.local(sites, pair), self.numbers)


_NO_BONDS = Bonds(
    np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros((0, 3), dtype=np.int64), np.zeros((0, 3)), np.zeros(0)
)


def _couplings(bonds: Bonds, values: FloatArray) -> Couplings:
    """Couplings without slopes."""
    return bonds, values, np.zeros_like(values)


def renumbered(bonds: Bonds, sites: IntArray) -> Bonds:
    """Bonds of a selection of sites, with the numbers the sites have in the whole.

    Parameters
    ----------
    bonds : Bonds
        Of a selection, by places in it.
    sites : (n,) int
        Numbers of the selected sites in the whole.
    """
    return replace(bonds, first=sites[bonds.first], second=sites[bonds.second])


def _windows_about(bonds: Bonds, shell: IntArray, geometry: Geometry, pair: Species | None) -> Shells:
    """Windows about the mean distances of shells found on a geometry; the last one ends before the shell that follows."""
    distances = np.array([bonds.distances[shell == n].mean() for n in range(int(shell.max()) + 1)])
    near = pairs_of(find_bonds(geometry, (1.0 + 2.0 * WINDOW) * bonds.distances.max() / (1.0 - WINDOW)), geometry, pair)
    beyond = near.distances[near.distances > bonds.distances.max() * (1.0 + 1e-9)]
    given = windows(np.append(distances, beyond.min()) if len(beyond) else distances)
    count = len(distances)
    return Shells(given.distances[:count], given.shortest[:count], given.longest[:count])
