"""Geometry of a magnet as plain arrays, and its bonds (each pair of sites once) from matscipy's neighbour list."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from ase.geometry import minkowski_reduce
from matscipy.neighbours import neighbour_list

from spinase.compiled import njit
from spinase.errors import InvalidGeometryError
from spinase.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Geometry:
    """Positions (N, 3), cell (3, 3, rows are vectors), pbc (3,) bool and atomic numbers (N,)."""

    positions: FloatArray
    cell: FloatArray
    pbc: BoolArray
    numbers: IntArray
    magnetic: BoolArray | None = None
    """Which sites have a moment (N,), where that matters (None: not told)."""

    def __post_init__(self) -> None:
        if not math.isfinite(np.vdot(self.positions, self.positions)):  # the cheapest look there is; large numbers, too
            bad = np.flatnonzero(~np.isfinite(self.positions).all(axis=1))
            if len(bad):
                raise InvalidGeometryError(f"position of site {bad[0]} is not finite: {self.positions[bad[0]]}")
        if _spans_space(self.cell):
            return
        flat = [axis for axis in range(3) if self.pbc[axis] and np.linalg.norm(self.cell[axis]) == 0.0]
        if flat:
            raise InvalidGeometryError(f"direction {flat[0]} is periodic but its cell vector is zero: set the cell or pbc")
        frame = self.cell[self.pbc]
        if len(frame) and np.linalg.matrix_rank(frame) < len(frame):
            raise InvalidGeometryError(f"the periodic cell vectors are linearly dependent: {frame.tolist()}")

    def __len__(self) -> int:
        return len(self.positions)

    def select(self, mask: BoolArray | IntArray) -> Geometry:
        """The sites picked by a boolean mask or an index array, in the same cell."""
        magnetic = None if self.magnetic is None else self.magnetic[mask]
        return Geometry(self.positions[mask], self.cell, self.pbc, self.numbers[mask], magnetic)

    def with_magnetic(self, magnetic: BoolArray | None) -> Geometry:
        """The same sites, told which of them have a moment (N,); what was checked is not checked again."""
        told = object.__new__(Geometry)
        told.__dict__.update(self.__dict__, magnetic=magnetic)
        return told

    @cached_property
    def volume(self) -> float:
        """Volume of the cell, length^3 (0 where a cell vector is missing)."""
        return float(abs(np.linalg.det(self.cell)))


@dataclass(frozen=True, eq=False)
class Bonds:
    """Pairs of sites within a cutoff, each once.

    Bond b joins site ``first[b]`` to the image of site ``second[b]`` shifted by ``shifts[b]`` cells:
    ``vectors = positions[second] - positions[first] + shifts @ cell``, of length ``distances``.
    """

    first: IntArray
    second: IntArray
    shifts: IntArray
    vectors: FloatArray
    distances: FloatArray

    def __len__(self) -> int:
        return len(self.first)

    def select(self, mask: BoolArray | IntArray) -> Bonds:
        """The bonds picked by a boolean mask or an index array."""
        if mask.dtype == np.bool_ and mask.all():
            return self
        return Bonds(self.first[mask], self.second[mask], self.shifts[mask], self.vectors[mask], self.distances[mask])


def _spans_space(cell: FloatArray) -> bool:
    """Whether the cell vectors are far from dependent; False also where this cheap look does not tell."""
    (a, b, c), (d, e, f), (g, h, i) = cell.tolist()
    sizes = [math.hypot(a, b, c), math.hypot(d, e, f), math.hypot(g, h, i)]
    return abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)) > 1e-6 * max(sizes) ** 3


def stress_of(virial: FloatArray, volume: float) -> FloatArray:
    """Stress (1/V) dE/d(strain) in Voigt order xx yy zz yz xz xy, shape (6,), energy/length^3.

    Parameters
    ----------
    virial : (3, 3)
        dE/d(strain), symmetric, energy.
    volume : float
        Of the cell, length^3.

    Raises
    ------
    InvalidGeometryError
        If the cell has no volume.
    """
    if volume == 0.0:
        raise InvalidGeometryError("stress needs a cell with a volume: set three independent cell vectors")
    return np.array([virial[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]) / volume


def moved_slightly(before: Geometry, after: Geometry, distance: float) -> bool:
    """Whether `after` is `before` with no site moved by more than `distance` (length): same species and boundaries.

    A homogeneous strain moves no site, up to a tenth in any direction; nor does a jump by a period.

    Parameters
    ----------
    before, after : Geometry
        Sites then and now.
    distance : float
        Length.
    """
    if not (np.array_equal(before.numbers, after.numbers) and np.array_equal(before.pbc, after.pbc)):
        return False
    change = after.cell - before.cell
    if np.abs(change).max(initial=0.0) > 0.1 * max(np.linalg.norm(before.cell, axis=1).max(), np.finfo(float).tiny):
        return False
    # along a missing cell vector there is no strain
    strained = before.positions + before.positions @ np.linalg.pinv(before.cell) @ change
    step = after.positions - strained
    periods = np.linalg.pinv(after.cell)[:, after.pbc]
    step -= np.round(step @ periods) @ after.cell[after.pbc]
    return bool(np.linalg.norm(step, axis=1).max(initial=0.0) <= distance)


def reduced_frame(frame: FloatArray) -> tuple[FloatArray, IntArray]:
    """Minkowski-reduced vectors (k, 3) of the lattice that `frame` (k, 3) spans, and whole numbers (k, k) that make them.

    The k <= 3 rows are as short as can be: cells may be given by any vectors, also very slanted ones.
    """
    count = len(frame)
    if count < 2:
        return frame, np.eye(count, dtype=np.int64)
    cell = np.zeros((3, 3))
    cell[:count] = frame
    reduced, change = minkowski_reduce(cell, pbc=[axis < count for axis in range(3)])
    return np.asarray(reduced[:count], dtype=np.float64), np.asarray(change[:count, :count], dtype=np.int64)


def near_images(vectors: FloatArray, frame: FloatArray) -> IntArray:
    """Combinations of the vectors of a frame among which those are that bring a vector nearest to zero, all of them at ties.

    Rounding in parts of the cell finds the nearest image in cells that are reduced and near to orthogonal only.

    Parameters
    ----------
    vectors : (n, 3) ndarray
        Length; of sites anywhere, in whatever cell.
    frame : (k, 3) ndarray
        Periodic vectors, length; k <= 3, none of them a combination of the others.

    Returns
    -------
    (n, 3^k, k) ndarray of int
        Images are ``vectors[:, None] + turns @ frame``.
    """
    reduced, change = reduced_frame(frame)
    if not len(frame):
        return np.zeros((len(vectors), 1, 0), dtype=np.int64)
    home = -np.round(vectors @ np.linalg.pinv(reduced)).astype(np.int64)
    steps = np.array(list(product((-1, 0, 1), repeat=len(frame))), dtype=np.int64)
    return np.asarray((home[:, None] + steps) @ change)


def nearest_image(vectors: FloatArray, frame: FloatArray) -> IntArray:
    """Whole numbers (n, k) of the vectors of a frame that bring each vector nearest to zero (one of them at ties).

    Parameters
    ----------
    vectors, frame : (n, 3), (k, 3) ndarray
        As in :func:`near_images`.
    """
    turns = near_images(vectors, frame)
    best = np.linalg.norm(vectors[:, None] + turns @ frame, axis=2).argmin(axis=1)
    return np.asarray(turns[np.arange(len(vectors)), best])


def shortest_period(frame: FloatArray) -> float:
    """Length of the shortest translation of the lattice that `frame` (k, 3) spans; infinite for k = 0."""
    return float(np.linalg.norm(reduced_frame(frame)[0], axis=1).min(initial=np.inf))


def solid_cell(geometry: Geometry, cutoff: float) -> FloatArray:
    """Cell with a full-rank frame: open directions get a vector that spans the sites (matscipy bins by the cell).

    Parameters
    ----------
    geometry : Geometry
        Sites.
    cutoff : float
        Of the pairs that are looked for, length.
    """
    cell = geometry.cell.copy()
    keep = [axis for axis in range(3) if geometry.pbc[axis]]
    _, _, basis = np.linalg.svd(cell[keep], full_matrices=True) if keep else (None, None, np.eye(3))
    free = iter(basis[len(keep) :])
    for axis in set(range(3)) - set(keep):
        direction = next(free)
        along = geometry.positions @ direction
        cell[axis] = direction * (np.ptp(along) + cutoff + 1.0)
    return cell


def find_bonds(geometry: Geometry, cutoff: float) -> Bonds:
    """All pairs of sites closer than `cutoff` (length), images included, each pair once, in a fixed order.

    Parameters
    ----------
    geometry : Geometry
        Sites.
    cutoff : float
        Length.

    Raises
    ------
    InvalidGeometryError
        If two sites coincide (closer than 1e-6 of the cutoff), naming them, or the cutoff is not positive.
    """
    if not (np.isfinite(cutoff) and cutoff > 0.0):
        raise InvalidGeometryError(f"the cutoff must be a positive length, got {cutoff}")
    if not len(geometry):
        none = np.zeros(0, dtype=np.int64)
        return Bonds(none, none, np.zeros((0, 3), dtype=np.int64), np.zeros((0, 3)), np.zeros(0))
    cell = solid_cell(geometry, cutoff)
    origin = geometry.positions.min(axis=0) * ~geometry.pbc
    i, j, shifts = neighbour_list(
        "ijS", positions=geometry.positions - origin, cell=cell, pbc=geometry.pbc.astype(bool), cutoff=float(cutoff)
    )
    shifts = shifts.astype(np.int64)
    leading = np.array([next((np.sign(x) for x in row if x), 0) for row in shifts[i == j]], dtype=np.int64)
    once = i < j
    once[i == j] = leading > 0
    i, j, shifts = i[once].astype(np.int64), j[once].astype(np.int64), shifts[once]
    order = np.lexsort((shifts[:, 2], shifts[:, 1], shifts[:, 0], j, i))
    i, j, shifts = i[order], j[order], shifts[order]
    vectors = geometry.positions[j] - geometry.positions[i] + shifts @ geometry.cell
    distances = np.linalg.norm(vectors, axis=1)
    bonds = Bonds(i, j, shifts, vectors, distances)
    _refuse_coinciding(geometry, bonds, cutoff)
    return bonds


def _refuse_coinciding(geometry: Geometry, bonds: Bonds, cutoff: float) -> None:
    if not len(bonds) or bonds.distances.min() >= _COINCIDE * cutoff:
        return
    b = int(bonds.distances.argmin())
    i, j = bonds.first[b], bonds.second[b]
    raise InvalidGeometryError(
        f"sites {i} and {j} coincide (distance {bonds.distances[b]:.3g} at {geometry.positions[i]}): "
        "remove one or move them apart"
    )


_TIE = 1e-6
_COINCIDE = 1e-6


class NeighbourCache:
    """Bonds of moving sites: found within cutoff + skin, and again only when a site has moved by half the skin.

    What :meth:`bonds` returns does not depend on what was asked before: bonds up to the cutoff, it included, in the order of
    :func:`find_bonds`.  The skin is used from the second geometry on, so sites that stay cost nothing.

    Parameters
    ----------
    skin : float
        Part of the cutoff that is added to it.
    """

    def __init__(self, skin: float = 0.1) -> None:
        self.skin = skin
        # where, cutoff, margin beyond it, bonds, and the vectors of the cells that they cross
        self._kept: tuple[Geometry, float, float, Bonds, FloatArray] | None = None
        self._last = 0  # number of sites of the last geometry

    def bonds(self, geometry: Geometry, cutoff: float) -> Bonds:
        """All pairs of sites not farther apart than `cutoff` (length), as :func:`find_bonds` lists them."""
        # Never without a margin: which bonds are within the cutoff is decided below alone, whatever was found before.
        margin = (self.skin if self._last == len(geometry) else _TIE) * cutoff
        self._last = len(geometry)
        if not self._covers(geometry, cutoff):
            found = find_bonds(geometry, cutoff + margin)
            self._kept = (geometry, cutoff, margin, found, _crossed(found.shifts, geometry.cell))
        assert self._kept is not None
        found, crossed = self._kept[3:]
        now, shortest = _near_bonds(found.first, found.second, found.shifts, crossed, geometry.positions, cutoff)
        bonds = Bonds(*now)
        if shortest < _COINCIDE * cutoff:
            _refuse_coinciding(geometry, bonds, cutoff)
        return bonds

    def _covers(self, geometry: Geometry, cutoff: float) -> bool:
        if self._kept is None:
            return False
        origin, reach, margin = self._kept[:3]
        same = (
            reach == cutoff
            and len(origin) == len(geometry)
            and origin.cell.tobytes() == geometry.cell.tobytes()  # a few numbers: numpy's comparison takes longer
            and origin.pbc.tobytes() == geometry.pbc.tobytes()
        )
        if not same:
            return False
        moved = largest_displacement(origin.positions, geometry.positions)
        return 2.0 * moved <= (1.0 - 1e-9) * margin

    def __getstate__(self) -> dict[str, object]:
        """A copy starts without bonds."""
        return {"skin": self.skin, "_kept": None, "_last": 0}


@njit
def largest_displacement(before: FloatArray, now: FloatArray) -> float:
    """Largest |r' - r| of sites, length; nan where there is one.

    Parameters
    ----------
    before, now : (N, 3) ndarray
        r and r', length.
    """
    largest = 0.0
    for i in range(before.shape[0]):
        x, y, z = now[i, 0] - before[i, 0], now[i, 1] - before[i, 1], now[i, 2] - before[i, 2]
        square = x * x + y * y + z * z
        if not square <= largest:
            if np.isnan(square):
                return square
            largest = square
    return np.sqrt(largest)


@njit
def _crossed(shifts: IntArray, cell: FloatArray) -> FloatArray:
    """shifts @ cell, (n, 3), each row by itself: a product of matrices rounds rows by their place."""
    out = np.empty((len(shifts), 3))
    for b in range(len(shifts)):
        for a in range(3):
            out[b, a] = shifts[b, 0] * cell[0, a] + shifts[b, 1] * cell[1, a] + shifts[b, 2] * cell[2, a]
    return out


@njit
def _near_bonds(
    first: IntArray, second: IntArray, shifts: IntArray, crossed: FloatArray, positions: FloatArray, cutoff: float
) -> tuple[tuple[IntArray, IntArray, IntArray, FloatArray, FloatArray], float]:
    """The bonds within the cutoff now, with vectors r_j - r_i + crossed (n, 3) and distances, and the shortest distance."""
    one, two, cells = np.empty_like(first), np.empty_like(second), np.empty_like(shifts)
    vectors, distances, near, shortest = np.empty((len(first), 3)), np.empty(len(first)), 0, np.inf
    for b in range(len(first)):
        i, j = first[b], second[b]
        x = positions[j, 0] - positions[i, 0] + crossed[b, 0]
        y = positions[j, 1] - positions[i, 1] + crossed[b, 1]
        z = positions[j, 2] - positions[i, 2] + crossed[b, 2]
        distance = np.sqrt(x * x + y * y + z * z)
        if distance <= cutoff:
            one[near], two[near] = i, j
            # numbers one by one: an assignment of rows takes seconds to compile
            cells[near, 0], cells[near, 1], cells[near, 2] = shifts[b, 0], shifts[b, 1], shifts[b, 2]
            vectors[near, 0], vectors[near, 1], vectors[near, 2], distances[near] = x, y, z, distance
            near, shortest = near + 1, min(shortest, distance)
    return (one[:near], two[:near], cells[:near], vectors[:near], distances[:near]), shortest


def nearest_distances(geometry: Geometry) -> FloatArray:
    """Distance of every site to the nearest other one, images included, (N,); infinite where there is none.

    Raises
    ------
    InvalidGeometryError
        If two sites coincide.
    """
    out = np.full(len(geometry), np.inf)
    if len(geometry) < 2 and not geometry.pbc.any():
        return out
    reach = nearest_distance(geometry) * 1.2
    for _ in range(40):
        bonds = find_bonds(geometry, reach)
        np.minimum.at(out, bonds.first, bonds.distances)
        np.minimum.at(out, bonds.second, bonds.distances)
        if np.isfinite(out).mean() > 0.9 or (reach > 2.0 * max(extent_of(geometry), 1e-12) and not geometry.pbc.any()):
            break
        reach *= 1.5
    return out


def extent_of(geometry: Geometry) -> float:
    """Diagonal of the box around the sites, length."""
    return float(np.linalg.norm(np.ptp(geometry.positions, axis=0))) if len(geometry) else 0.0


def nearest_distance(geometry: Geometry) -> float:
    """Shortest distance between two sites, images included."""
    lengths = np.linalg.norm(geometry.cell, axis=1)[geometry.pbc]
    extent = extent_of(geometry)
    reach = min([*lengths, extent / max(len(geometry), 2) ** (1 / 3) + 1e-12] if extent > 0 else lengths, default=0.0)
    limit = 2.0 * max([extent, *lengths], default=0.0)
    while 0.0 < reach <= 2.0 * limit:
        bonds = find_bonds(geometry, reach * (1 + 1e-9))
        if len(bonds):
            return float(bonds.distances.min())
        reach *= 1.5
    raise InvalidGeometryError(f"{len(geometry)} site(s) without any neighbour: neighbour shells are undefined")
