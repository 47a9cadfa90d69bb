"""Regions of a magnet: the sites a process owns, copies of the sites around them (ghosts), and the pairs given with them.

A distributed engine cuts a magnet into regions, finds pairs itself, and adds what regions say of ghosts to the sites they
are copies of.  E is a sum over sites; a pair's energy belongs to its two sites, half to each; a region counts the sites it
owns.  So regions that together own every site once add up to the whole magnet,

    E = sum_regions sum_(i owned) E_i,    B_i = sum_regions sum_(copies g of i) -dE_region/dm_g,    likewise forces.

Pairs are a full list: both directions of a pair whose sites are both owned, and the direction from the owned site of a pair
with a ghost.  Message passing also needs the pairs of ghosts that are far enough from the rim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from spinase.errors import InvalidGeometryError
from spinase.geometry import Bonds, Geometry, find_bonds, solid_cell
from spinase.typing import BoolArray, FloatArray, IntArray

_TIE = 1e-9


@dataclass(frozen=True, eq=False)
class Region:
    """Sites and pairs of one region; spins are no part of it, as they change while pairs stay.

    Attributes
    ----------
    owned : int
        Sites 0 .. owned - 1 are owned, the others are ghosts; may be 0.
    positions : (n, 3)
        Of all sites, those of ghosts where the copies are, length.
    numbers : (n,)
        Atomic numbers.
    tags : (n,)
        The site of the whole magnet that each is, or is a copy of; several may have one tag.
    first, second : (P,)
        Directed pairs of sites, in any order: all whose first site is owned, or is a ghost not farther than
        ``depth - cutoff`` from an owned site.  Others may be listed, too.
    vectors : (P, 3)
        ``positions[second] - positions[first]``, length.
    cutoff : float
        How far the pairs reach, length.
    depth : float
        How far the ghosts reach: every copy of a site within this distance of an owned site is there, length.
    magnetic : (n,) or None
        Which sites have a moment: only they make neighbour shells; None: all do.
    """

    owned: int
    positions: FloatArray
    numbers: IntArray
    tags: IntArray
    first: IntArray
    second: IntArray
    vectors: FloatArray
    cutoff: float
    depth: float
    magnetic: BoolArray | None = None

    def __post_init__(self) -> None:
        sites, pairs = len(self.positions), len(self.first)
        shapes = {"positions": (sites, 3), "numbers": (sites,), "tags": (sites,), "second": (pairs,), "vectors": (pairs, 3)}
        if self.magnetic is not None:
            shapes["magnetic"] = (sites,)
        for name, shape in shapes.items():
            found = np.shape(getattr(self, name))
            if found != shape:
                raise InvalidGeometryError(
                    f"region of {sites} sites and {pairs} pairs: {name} has shape {found}, {shape} is needed"
                )
        if not 0 <= self.owned <= sites:
            raise InvalidGeometryError(f"a region of {sites} sites cannot own {self.owned} of them")

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def pairs(self) -> Bonds:
        """All pairs, with their distances."""
        distances = np.sqrt(np.einsum("pa,pa->p", self.vectors, self.vectors))
        return Bonds(self.first, self.second, np.zeros((len(self.first), 3), dtype=np.int64), self.vectors, distances)

    @cached_property
    def owned_pairs(self) -> Bonds:
        """The pairs whose first site is owned."""
        return self.pairs.select(self.first < self.owned)

    def require(self, what: str, cutoff: float, depth: float) -> None:
        """Refuse a region whose pairs or ghosts do not reach as far as `what` needs (lengths).

        Parameters
        ----------
        what : str
            Who asks, for the message.
        cutoff : float
            Distance within which all pairs of owned sites must be listed, length.
        depth : float
            How far from owned sites there must be ghosts, length.

        Raises
        ------
        InvalidGeometryError
            Naming the needed reach.
        """
        if self.cutoff < cutoff * (1.0 - _TIE):
            raise InvalidGeometryError(
                f"{what} needs all pairs within {cutoff:.6g}, this region has those within {self.cutoff:.6g}: list pairs "
                f"up to {cutoff:.6g}"
            )
        if self.depth < depth * (1.0 - _TIE):
            raise InvalidGeometryError(
                f"{what} needs ghosts as far as {depth:.6g} from owned sites, those of this region reach {self.depth:.6g}: "
                f"make the shell of ghosts {depth:.6g} deep"
            )


@dataclass(frozen=True, eq=False)
class LocalResult:
    """What a region, or a whole magnet, has: energies of its own sites, and derivatives by all of its sites.

    Attributes
    ----------
    energies : (owned,)
        E_i of the owned sites, energy.
    magnetic_forces : (n, 3)
        -d(sum of energies)/dm of owned sites and ghosts, energy/moment; zero where there is no moment.
    forces : (n, 3) or None
        -d(sum of energies)/dr of owned sites and ghosts, energy/length; None if they were not asked for.
    virial : (3, 3) or None
        d(sum of energies)/d(strain), energy; its symmetric part over the volume is the stress.
    """

    energies: FloatArray
    magnetic_forces: FloatArray
    forces: FloatArray | None = None
    virial: FloatArray | None = None


class LocalEnergy(Protocol):
    """Energy and derivatives of GIVEN pairs, ghosts included: all that a distributed engine needs of a term or a network.

    The engine owns sites, finds pairs, and moves copies of sites between processes.  Results of regions that together own
    every site once add up to those of the calculator; a pair's energy belongs to its two sites, half to each.
    ``contract.local_energy`` gives that of a calculator; :func:`spinase.testing.check_local_energy` checks implementations.
    """

    @property
    def cutoff(self) -> float:
        """How far pairs must be given, length; 0: none are needed."""
        ...

    @property
    def ghost_depth(self) -> float:
        """How far ghosts must reach from owned sites, length: the cutoff, or layers times the cutoff of a network."""
        ...

    @property
    def units(self) -> str | None:
        """Unit system of lengths and energies; None: any."""
        ...

    @property
    def refused_properties(self) -> Mapping[str, str]:
        """Of ``forces`` and ``virial`` those that cannot be given, each with the reason."""
        ...

    def freeze(self, region: Region) -> FrozenLocalEnergy:
        """What depends on positions, species and pairs only; kept while spins change.

        Raises
        ------
        InvalidGeometryError
            If pairs or ghosts do not reach far enough, naming the needed reach.
        ModelError
            For species that are not known.
        """
        ...


class FrozenLocalEnergy(Protocol):
    """A local energy on one region."""

    def evaluate(self, spins: FloatArray, lengths: FloatArray, forces: bool = False) -> LocalResult:
        """Energies of owned sites; derivatives by moments, and by positions if `forces`, of owned sites and ghosts.

        Parameters
        ----------
        spins : (n, 3)
            Free vectors m_i over lengths, of owned sites and ghosts; zero rows are non-magnetic sites.
        lengths : (n,)
            |m_i| (or reference lengths), moment.
        forces : bool
            Also forces and virial.

        Raises
        ------
        ModelError
            If forces are refused.
        """
        ...


def blocks(geometry: Geometry, shape: Sequence[int]) -> IntArray:
    """Owners (N,) of the sites if the cell (along open directions: the sites' extent) is divided in `shape` equal blocks.

    A block may own no site.

    Parameters
    ----------
    geometry : Geometry
        The whole magnet.
    shape : sequence of int
        Blocks along the three cell vectors.
    """
    scaled = geometry.positions @ np.linalg.inv(solid_cell(geometry, 1.0))
    low, extent = scaled.min(axis=0, initial=np.inf), np.ptp(scaled, axis=0) if len(scaled) else np.ones(3)
    inside = np.where(geometry.pbc, scaled % 1.0, (scaled - low) / np.where(extent > 0.0, extent, 1.0))
    place = np.clip((inside * np.asarray(shape)).astype(np.int64), 0, np.asarray(shape) - 1)
    return np.ravel_multi_index(tuple(place.T), tuple(shape)).astype(np.int64)


def cut(geometry: Geometry, owners: IntArray, cutoff: float, depth: float, regions: int | None = None) -> list[Region]:
    """The regions of a magnet, open or periodic in any directions, whatever its size beside the ghosts' depth.

    Parameters
    ----------
    geometry : Geometry
        The whole magnet.
    owners : (N,)
        Region, 0, 1, ..., that owns each site.
    cutoff : float
        How far pairs reach, length; 0: no pairs.
    depth : float
        How far ghosts reach, length; at least `cutoff`.
    regions : int, optional
        Their number; default: as many as the owners name.

    Raises
    ------
    InvalidGeometryError
        If ghosts do not reach as far as pairs.
    """
    if depth < cutoff:
        raise InvalidGeometryError(f"ghosts {depth:.6g} deep do not hold pairs within {cutoff:.6g}: take depth >= cutoff")
    count = int(owners.max(initial=-1)) + 1 if regions is None else regions
    near, far = _directed(geometry, cutoff), _directed(geometry, depth)
    return [_region(geometry, owners == r, near, far, cutoff, depth) for r in range(count)]


def add_up(regions: Sequence[Region], results: Sequence[LocalResult], sites: int) -> LocalResult:
    """The whole magnet of `sites` sites: what regions say of owned sites and ghosts, added at their tags.

    Parameters
    ----------
    regions : sequence of Region
        All regions of the magnet.
    results : sequence of LocalResult
        Of each.
    sites : int
        Of the whole magnet.
    """
    energies, fields, forces, virial = np.zeros(sites), np.zeros((sites, 3)), np.zeros((sites, 3)), np.zeros((3, 3))
    lattice = True
    for region, result in zip(regions, results, strict=True):
        np.add.at(energies, region.tags[: region.owned], result.energies)
        np.add.at(fields, region.tags, result.magnetic_forces)
        if result.forces is None or result.virial is None:
            lattice = False
            continue
        np.add.at(forces, region.tags, result.forces)
        virial += result.virial
    return LocalResult(energies, fields, forces, virial) if lattice else LocalResult(energies, fields)


def _directed(geometry: Geometry, reach: float) -> Bonds:
    """Both directions of every pair within `reach`, ordered by first site; none for a reach of 0."""
    if reach == 0.0:
        none = np.zeros(0, dtype=np.int64)
        return Bonds(none, none, np.zeros((0, 3), dtype=np.int64), np.zeros((0, 3)), np.zeros(0))
    once = find_bonds(geometry, reach * (1.0 + _TIE))
    both = Bonds(
        np.concatenate([once.first, once.second]),
        np.concatenate([once.second, once.first]),
        np.concatenate([once.shifts, -once.shifts]),
        np.concatenate([once.vectors, -once.vectors]),
        np.tile(once.distances, 2),
    )
    return both.select(np.argsort(both.first, kind="stable"))


def _region(geometry: Geometry, mine: BoolArray, near: Bonds, far: Bonds, cutoff: float, depth: float) -> Region:
    """One region: its own sites, then every copy within `depth`; pairs of the sites whose surroundings are complete."""
    seen = far.select(mine[far.first] & ~(mine[far.second] & ~far.shifts.any(axis=1)))
    own = np.flatnonzero(mine)
    copies, which = np.unique(np.column_stack([seen.second, seen.shifts]), axis=0, return_inverse=True)
    away = np.full(len(copies), np.inf)
    np.minimum.at(away, which.ravel(), seen.distances)
    tags = np.concatenate([own, copies[:, 0]])
    cells = np.concatenate([np.zeros((len(own), 3), dtype=np.int64), copies[:, 1:]])
    complete = np.concatenate([np.ones(len(own), dtype=bool), away <= depth - cutoff])
    # every complete site has the pairs of its tag, whose second sites are looked up among the copies
    starts = np.searchsorted(near.first, np.arange(len(geometry) + 1))
    counts = np.diff(starts)[tags] * complete
    first = np.repeat(np.arange(len(tags)), counts)
    pair = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts) + starts[tags[first]]
    wanted = np.column_stack([near.second[pair], cells[first] + near.shifts[pair]])
    second = _find(wanted, np.column_stack([tags, cells]))
    positions = geometry.positions[tags] + cells @ geometry.cell
    sites = len(own), positions, geometry.numbers[tags], tags
    magnetic = None if geometry.magnetic is None else geometry.magnetic[tags]
    return Region(*sites, first, second, near.vectors[pair], float(cutoff), float(depth), magnetic)


def _find(rows: IntArray, table: IntArray) -> IntArray:
    """Place in `table` (m, 4), whose rows differ, of each of the `rows` (k, 4), which are all there."""
    if not len(rows):
        return np.zeros(0, dtype=np.int64)
    low, extent = table.min(axis=0), np.ptp(table, axis=0) + 1
    keys, wanted = (np.ravel_multi_index(tuple((part - low).T), tuple(extent)) for part in (table, rows))
    order = np.argsort(keys)
    return np.asarray(order[np.searchsorted(keys[order], wanted)], dtype=np.int64)


__all__ = ["FrozenLocalEnergy", "LocalEnergy", "LocalResult", "Region", "add_up", "blocks", "cut"]
