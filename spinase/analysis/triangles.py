"""Triangulations of planar magnets, with periodic images: what chirality and topological charge are summed over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from ase import Atoms
from scipy.spatial import Delaunay, QhullError

from spinase.atoms import geometry_of
from spinase.brief import Brief
from spinase.errors import InvalidGeometryError
from spinase.geometry import Geometry, find_bonds, reduced_frame
from spinase.measures import site_mask
from spinase.typing import FloatArray, IntArray

_WINDOW = 1.2  # neighbours: closer than this times the typical nearest distance (displaced lattices keep theirs)


@dataclass(frozen=True, eq=False, repr=False)
class Triangles(Brief):
    """Counter-clockwise triangles (seen from +z).

    Attributes
    ----------
    sites : array (T, 3) of int
        Corners, indices into the atoms.
    shifts : array (T, 3, 3) of int
        Cell of each corner: corner c of triangle t is at ``positions[sites[t, c]] + shifts[t, c] @ cell``; the first
        corner is in cell (0, 0, 0).
    centres : array (T, 3)
        Cartesian centres, length.
    """

    sites: IntArray
    shifts: IntArray
    centres: FloatArray

    def __len__(self) -> int:
        return len(self.sites)

    def corners(self, atoms: Atoms) -> FloatArray:
        """Cartesian corners, shape (T, 3 corners, 3), length."""
        return np.asarray(atoms.positions[self.sites] + self.shifts @ atoms.cell.array)

    def areas(self, atoms: Atoms) -> FloatArray:
        """Areas (T,), positive, length^2."""
        return _signed_areas(self.corners(atoms))


Triangulation: TypeAlias = Literal["nearest", "delaunay"] | Triangles


def triangles(atoms: Atoms, triangulation: Literal["nearest", "delaunay"] = "nearest") -> Triangles:
    """Counter-clockwise triangles of a planar magnet in the xy plane; non-magnetic sites are left out.

    Parameters
    ----------
    atoms : Atoms
        Sites at one height z.
    triangulation : {"nearest", "delaunay"}
        ``nearest``: triples of mutual nearest neighbours, each once (2 per site of the triangular lattice, 2 per
        cell of kagome); neighbours are closer than 1.2 times the median distance to the nearest one.
        ``delaunay``: fills the plane; closed under periodic boundaries (2 per site on a torus), where ties (squares,
        hexagons) are broken alike everywhere by a strain of 1e-6.

    Raises
    ------
    InvalidGeometryError
        If the sites are not planar, there are no triangles, or the triangulation does not close.
    """
    if triangulation not in _METHODS:
        raise InvalidGeometryError(f"unknown triangulation {triangulation!r}: use one of {', '.join(_METHODS)}")
    used = np.flatnonzero(site_mask(atoms))
    geometry = _planar(geometry_of(atoms), used)
    home, cells, change = _at_home(geometry)
    sites, shifts = _unpacked(_METHODS[triangulation](home))
    sites, shifts = _unpacked(np.unique(_canonical(sites, cells[sites] + shifts @ change)[0], axis=0))
    corners = geometry.positions[sites] + shifts @ geometry.cell
    return Triangles(used[sites], shifts, np.asarray(corners.mean(axis=1)))


def resolve(atoms: Atoms, triangulation: Triangulation) -> Triangles:
    """The triangles themselves if given, else :func:`triangles` of that name."""
    return triangulation if isinstance(triangulation, Triangles) else triangles(atoms, triangulation)


def _planar(geometry: Geometry, used: IntArray) -> Geometry:
    """The used sites, with z open; refuses sites that are not in one plane of constant z."""
    positions = geometry.positions[used]
    if len(positions) < 1:
        raise InvalidGeometryError("there are no sites, so no triangles")
    height = float(np.ptp(positions[:, 2]))
    width = max(float(np.ptp(positions[:, :2])), float(np.abs(geometry.cell[geometry.pbc]).max(initial=0.0)))
    if height > 1e-4 * width:
        raise InvalidGeometryError(
            f"triangles need sites in one plane of constant z, but z spreads over {height:.4g}: pick one layer, or rotate it"
        )
    pbc = geometry.pbc.copy()
    for axis in np.flatnonzero(pbc):
        vector = geometry.cell[axis]
        if np.linalg.norm(vector[:2]) < 1e-6 * abs(vector[2]):
            pbc[axis] = False  # images above and below the plane have no part in it
        elif abs(vector[2]) > 1e-4 * width:
            raise InvalidGeometryError(f"periodic cell vector {axis} = {vector} leaves the plane of the sites")
    return Geometry(positions, geometry.cell, pbc, geometry.numbers[used])


def _at_home(geometry: Geometry) -> tuple[Geometry, IntArray, IntArray]:
    """The sites moved into a reduced cell, by whole vectors of theirs (N, 3), and that cell in vectors of theirs (3, 3).

    Copies of a slanted cell, or of sites far outside theirs, leave holes around them.
    """
    periodic, change = geometry.pbc, np.eye(3, dtype=np.int64)
    frame, change[np.ix_(periodic, periodic)] = reduced_frame(geometry.cell[periodic])
    cell, moves = geometry.cell.copy(), np.zeros((len(geometry), 3), dtype=np.int64)
    cell[periodic] = frame
    turns = -np.floor(geometry.positions @ np.linalg.pinv(frame) + 1e-9).astype(np.int64)
    moves[:, periodic] = turns @ change[np.ix_(periodic, periodic)]
    return Geometry(geometry.positions + turns @ frame, cell, periodic, geometry.numbers), moves, change


def _nearest(geometry: Geometry) -> IntArray:
    bonds = find_bonds(geometry, _WINDOW * _typical_distance(geometry))
    start = np.concatenate([bonds.first, bonds.second])
    end = np.concatenate([bonds.second, bonds.first])
    shift = np.concatenate([bonds.shifts, -bonds.shifts])
    vector = np.concatenate([bonds.vectors, -bonds.vectors])
    order = np.argsort(start, kind="stable")
    start, end, shift, vector = start[order], end[order], shift[order], vector[order]
    left, right = _pairs_with_common_start(start)
    gap = np.linalg.norm(vector[right] - vector[left], axis=1)
    turn = vector[left, 0] * vector[right, 1] - vector[left, 1] * vector[right, 0]
    longest = bonds.distances.max()
    keep = (gap <= longest * (1.0 + 1e-9)) & (gap > 0.0) & (turn > 1e-3 * longest**2)
    left, right = left[keep], right[keep]
    if not len(left):
        raise InvalidGeometryError(
            "no three sites are mutual nearest neighbours (as on the square, honeycomb and chain lattices): "
            'use triangulation="delaunay"'
        )
    sites = np.stack([start[left], end[left], end[right]], axis=1)
    shifts = np.stack([np.zeros_like(shift[left]), shift[left], shift[right]], axis=1)
    return np.unique(_canonical(sites, shifts)[0], axis=0)


def _pairs_with_common_start(start: IntArray) -> tuple[IntArray, IntArray]:
    """All ordered pairs of entries of the sorted array `start` that are equal (an entry with itself included)."""
    _, first, count = np.unique(start, return_index=True, return_counts=True)
    per_entry = np.repeat(count, count)
    left = np.repeat(np.arange(len(start)), per_entry)
    within = np.arange(len(left)) - np.repeat(np.cumsum(per_entry) - per_entry, per_entry)
    return left, np.repeat(np.repeat(first, count), per_entry) + within


def _typical_distance(geometry: Geometry) -> float:
    """Median over the sites of the distance to the nearest other site (images included)."""
    frame = geometry.cell[geometry.pbc]
    extent = float(np.linalg.norm(np.ptp(geometry.positions, axis=0)))
    largest = max([extent, *np.linalg.norm(frame, axis=1)])
    cutoff = 1.5 * largest / max(1.0, np.sqrt(len(geometry)))
    while cutoff > 0.0:
        bonds = find_bonds(geometry, cutoff)
        nearest = np.full(len(geometry), np.inf)
        np.minimum.at(nearest, bonds.first, bonds.distances)
        np.minimum.at(nearest, bonds.second, bonds.distances)
        if np.isfinite(nearest).all():
            return float(np.median(nearest))
        if cutoff > 2.0 * largest:
            break
        cutoff *= 1.5
    raise InvalidGeometryError(f"{len(geometry)} site(s) without neighbours have no triangles")


def _delaunay(geometry: Geometry) -> IntArray:
    axes = np.flatnonzero(geometry.pbc)
    if len(geometry) < 3 and len(axes) < 2:
        raise InvalidGeometryError(f"a Delaunay triangulation needs three sites that are not in line, got {len(geometry)}")
    for rings in (1, 2, 3, 5):
        table = _replicated_delaunay(geometry, axes, rings if len(axes) == 2 else rings + 1)
        if len(axes) < 2 or _is_closed(table, len(geometry)):
            return table
    raise InvalidGeometryError(
        "the Delaunay triangulation does not close under the periodic boundaries: two sites coincide, or the cell is "
        "extremely skewed"
    )


def _replicated_delaunay(geometry: Geometry, axes: IntArray, rings: int) -> IntArray:
    """Canonical table of the triangles that belong to the central cell of (2 rings + 1)^axes copies."""
    steps = [np.arange(-rings, rings + 1) if axis in axes else np.zeros(1, dtype=int) for axis in range(3)]
    cells = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    count = len(geometry)
    points = (geometry.positions[None, :, :] + (cells @ geometry.cell)[:, None, :]).reshape(-1, 3)[:, :2]
    try:
        corners = Delaunay(points @ _tie_breaker()).simplices.astype(np.int64)
    except QhullError:
        raise InvalidGeometryError("the sites are in line (or too few), so they have no Delaunay triangulation") from None
    area = _signed_areas(points[corners])  # positive: in the plane SciPy lists corners counter-clockwise
    corners = corners[area > 1e-9 * float(area.mean())]  # no slivers along a straight open edge
    table, base = _canonical(corners % count, cells[corners // count])
    return np.unique(table[~base.any(axis=1)], axis=0)


def _tie_breaker() -> FloatArray:
    """Strain by 1e-6 along a direction that no lattice has as an axis; linear, so all periodic images agree."""
    direction = np.array([np.cos(0.31), np.sin(0.31)])
    return np.eye(2) + 1e-6 * np.outer(direction, direction)


def neighbours(found: Triangles) -> tuple[IntArray, IntArray, IntArray]:
    """Pairs of triangles with a common edge, each once: first, second (p,), and the corner of the first where it begins."""
    forth, back = (keys.ravel() for keys in _edges(found.sites, found.shifts))
    order = np.argsort(forth)
    partner = order[np.minimum(np.searchsorted(forth, back, sorter=order), len(order) - 1)]
    here = np.flatnonzero((forth[partner] == back) & (np.arange(len(forth)) < partner))
    return here // 3, partner[here] // 3, here % 3


def _edges(sites: IntArray, shifts: IntArray) -> tuple[IntArray, IntArray]:
    """Keys (T, 3) of the edges from each corner to the next, and of the same edges backwards.

    The key of an edge is made of its two sites and of the cells between them, so images of an edge have the same.
    """
    following = np.roll(np.arange(3), -1)
    begins, ends = sites, sites[:, following]
    steps = shifts[:, following] - shifts
    reach, count = int(np.abs(steps).max(initial=0)), int(sites.max(initial=0)) + 1
    digits = (2 * reach + 1) ** np.arange(4)
    forth = (begins * count + ends) * digits[3] + (reach + steps) @ digits[:3]
    back = (ends * count + begins) * digits[3] + (reach - steps) @ digits[:3]
    return forth, back


def _is_closed(table: IntArray, count: int) -> bool:
    """Whether every edge of the triangles has one triangle on each side: a torus of 2 `count` triangles."""
    if len(table) != 2 * count:
        return False
    forth, back = (np.sort(keys, axis=None) for keys in _edges(*_unpacked(table)))
    return bool((np.diff(forth) > 0).all()) and np.array_equal(forth, back)


def _canonical(sites: IntArray, shifts: IntArray) -> tuple[IntArray, IntArray]:
    """Rows (site, site, site, shift of the 2nd, shift of the 3rd) of each triangle, the same for all its images.

    Of the three rotations of a triangle the smallest row (lexicographic) is taken.  Also returned: the cell (T, 3) in
    which the first corner of that rotation was found.
    """
    rows, bases = [], []
    for c in range(3):
        turn = [c, (c + 1) % 3, (c + 2) % 3]
        relative = shifts[:, turn[1:]] - shifts[:, turn[:1]]
        rows.append(np.concatenate([sites[:, turn], relative.reshape(len(sites), 6)], axis=1))
        bases.append(shifts[:, c])
    stacked, base = np.stack(rows), np.stack(bases)
    best = np.zeros(len(sites), dtype=np.int64)
    everyone = np.arange(len(sites))
    for c in (1, 2):
        difference = stacked[c] - stacked[best, everyone]
        leading = difference[everyone, (difference != 0).argmax(axis=1)]
        best = np.where(leading < 0, c, best)
    return stacked[best, everyone], base[best, everyone]


def _unpacked(table: IntArray) -> tuple[IntArray, IntArray]:
    """Sites (T, 3) and shifts (T, 3, 3) of canonical rows."""
    shifts = np.zeros((len(table), 3, 3), dtype=np.int64)
    shifts[:, 1:] = table[:, 3:].reshape(-1, 2, 3)
    return table[:, :3], shifts


def _signed_areas(corners: FloatArray) -> FloatArray:
    """Signed areas (T,) of triangles with corners (T, 3, 2 or 3): positive if counter-clockwise."""
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(0.5 * (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]))


_METHODS: dict[str, Callable[[Geometry], IntArray]] = {"nearest": _nearest, "delaunay": _delaunay}
