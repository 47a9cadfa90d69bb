"""Sites of a magnet as cells of a lattice with a basis: found from their positions, holes and surfaces allowed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.spatial import cKDTree

from spinase.classical.dipole_kernels import Grid
from spinase.errors import InvalidGeometryError
from spinase.geometry import Geometry, reduced_frame
from spinase.typing import BoolArray, FloatArray, IntArray

_CLASS = 1e-4  # of a step: sites of the basis are farther apart
_EXACT = 1e-8  # of a step: how near its place every site must be
_KEY = 20011  # more than 1/_CLASS
_LOOKED_AT = 60  # neighbours among which steps are looked for
_AROUND = 2000  # sites around the middle on which they are tried
_STEPS = 10  # of them that are tried in all combinations


@dataclass(frozen=True, eq=False)
class LatticeSites:
    """Where every site is: in which cell, and which of the basis.

    Attributes
    ----------
    grid : Grid
        The cells.
    basis : (b, 3)
        Sites of a cell, length.
    index : (N,)
        basis * cells + cell of every site; cells counted row by row.
    """

    grid: Grid
    basis: FloatArray
    index: IntArray


def lattice_sites(geometry: Geometry, most: int, waste: float) -> LatticeSites | None:
    """The lattice of the sites; None if there is none with at most `most` sites in a cell and few empty places.

    Parameters
    ----------
    geometry : Geometry
        Sites and periodic directions, of any cell shape.
    most : int
        Largest basis.
    waste : float
        Largest number of places for each site.

    Raises
    ------
    InvalidGeometryError
        If two sites coincide.
    """
    frame, found = geometry.cell[geometry.pbc], None
    for vectors in (frame, reduced_frame(frame)[0]):  # rows of the sites do not run along the vectors of slanted cells
        found = _assign(geometry.positions, *_steps(geometry.positions, vectors), len(frame), most, waste)
        if found is not None:
            break
    if found is not None:
        ordered = np.argsort(found.index, kind="stable")
        twice = np.flatnonzero(np.diff(found.index[ordered]) == 0)
        if len(twice):
            i, j = sorted(int(k) for k in ordered[twice[0] : twice[0] + 2])
            at = geometry.positions[i]
            raise InvalidGeometryError(f"sites {i} and {j} coincide (at {at}): remove one or move them apart")
    return found


def _steps(positions: FloatArray, frame: FloatArray) -> tuple[FloatArray, list[int]]:
    """Steps (3, 3) with those of open directions first, and the numbers of cells along those of `frame`."""
    repeats = _repeats(positions, frame)
    inner = frame / np.array(repeats, dtype=np.float64)[:, None] if len(frame) else np.zeros((0, 3))
    outer = _open_steps(positions, frame, inner, 3 - len(frame))
    return np.concatenate([outer, inner]), repeats


def _repeats(positions: FloatArray, frame: FloatArray) -> list[int]:
    """Into how many equal parts the sites divide each periodic vector, seen from the first site."""
    if not len(frame):
        return []
    offsets = positions - positions[0]
    inverse = np.linalg.pinv(frame)
    parts = offsets @ inverse
    beside = np.linalg.norm(offsets - parts @ frame, axis=1)  # out of the periodic directions
    small = _CLASS * np.linalg.norm(frame, axis=1).min() / max(len(positions), 1) ** (1.0 / 3.0)
    found = []
    for axis in range(len(frame)):
        others = np.delete(parts, axis, axis=1)
        away = np.linalg.norm((others - np.round(others)) @ np.delete(frame, axis, axis=0), axis=1)
        row = parts[(away < small) & (beside < small), axis]
        row = np.sort(row - np.floor(row + 1e-9))
        gaps = np.diff(np.append(row, 1.0))
        gaps = gaps[gaps > 1e-9]
        smallest = float(gaps.min()) if len(gaps) else 1.0
        count = max(round(1.0 / smallest), 1)
        found.append(count if abs(count * smallest - 1.0) < 1e-3 else 1)
    return found


def _open_steps(positions: FloatArray, frame: FloatArray, inner: FloatArray, count: int) -> FloatArray:
    """Steps (count, 3) along the open directions: translations that most sites have; any where the magnet is flat."""
    if count == 0:
        return np.zeros((0, 3))
    across = np.eye(3) - np.linalg.pinv(inner) @ inner if len(inner) else np.eye(3)
    candidates = _candidates(positions, frame, inner, across)
    size = np.linalg.norm(candidates, axis=1).max(initial=1.0)
    _, extents, rows = np.linalg.svd(np.concatenate([candidates @ across, 1e-9 * size * across]))
    rank = int(np.sum(extents[:count] > 1e-6 * size))
    filled = size * rows[rank:count]
    best, least = np.concatenate([size * rows[:rank], filled]), np.inf
    few = positions[_outermost(positions)]
    for chosen in combinations(range(len(candidates)), rank):
        outer = np.concatenate([candidates[list(chosen)], filled])
        steps = np.concatenate([outer, inner])
        volume = abs(np.linalg.det(steps))
        if volume < 1e-6 * np.prod(np.linalg.norm(steps, axis=1)):
            continue
        cells = np.ptp(few @ np.linalg.inv(steps), axis=0)[:count] + 1.0
        cost = float(np.prod(cells)) * volume * np.sqrt(volume)  # places, and pairs of the basis
        if cost < least * (1.0 - 1e-6):
            best, least = outer, cost
    return best


def _candidates(positions: FloatArray, frame: FloatArray, inner: FloatArray, across: FloatArray) -> FloatArray:
    """Short translations out of the periodic directions that most sites have, at most a few."""
    middle = positions[np.argmin(np.linalg.norm(positions - positions.mean(axis=0), axis=1))]
    offsets = positions - middle
    if len(frame):
        offsets = offsets - np.round(offsets @ np.linalg.pinv(frame)) @ frame
    size = np.linalg.norm(offsets, axis=1)
    inside = np.argsort(size, kind="stable")[:_AROUND]
    offsets = offsets[inside]
    near = offsets[1 : _LOOKED_AT + 1]
    if len(inner):
        near = near - np.round(near @ np.linalg.pinv(inner)) @ inner
    out, length = np.linalg.norm(near @ across, axis=1), np.linalg.norm(near, axis=1)
    near = near[out > 1e-3 * length.min(initial=np.inf)]
    near = near[_leads_forward(near)]
    if not len(near):
        return near
    near = near[np.argsort(np.linalg.norm(near, axis=1).round(9), kind="stable")]
    small = _CLASS * float(np.linalg.norm(near[0]))
    tree, sample = cKDTree(offsets, balanced_tree=False), offsets[: len(offsets) // 8 + 8]
    hits = np.array(
        [
            np.mean(
                (tree.query(sample + step, distance_upper_bound=10.0 * small)[0] < small)
                | (tree.query(sample - step, distance_upper_bound=10.0 * small)[0] < small)
            )
            for step in near
        ]
    )
    return near[hits > max(0.5 * hits.max(), 0.1)][:_STEPS]


def _leads_forward(steps: FloatArray) -> BoolArray:
    """One of each pair of opposite steps: those whose first component that counts is positive, (n,)."""
    counts = np.abs(steps) > 1e-6 * np.abs(steps).max(initial=1e-300)
    return np.asarray(np.take_along_axis(steps, counts.argmax(axis=1)[:, None], axis=1)[:, 0] > 0.0)


def _outermost(positions: FloatArray) -> IntArray:
    """Sites that reach farthest in some directions."""
    directions = np.random.default_rng(0).standard_normal((40, 3))
    return np.unique([int(np.argmax(positions @ direction)) for direction in directions])


def _assign(
    positions: FloatArray, steps: FloatArray, repeats: list[int], periodic: int, most: int, waste: float
) -> LatticeSites | None:
    """Cells and basis of the sites on given steps."""
    first = 3 - periodic
    parts = (positions - positions[0]) @ np.linalg.inv(steps)
    cells = np.floor(parts + 0.5 * _CLASS).astype(np.int64)
    rest = np.round((parts - cells) / _CLASS + 0.2371).astype(np.int64)  # no fraction of a step is just between two
    keys = (rest[:, 0] * _KEY + rest[:, 1]) * _KEY + rest[:, 2]
    _, kinds, counts = np.unique(keys, return_inverse=True, return_counts=True)
    if len(counts) > most:
        return None
    cells[:, :first] -= cells[:, :first].min(axis=0, initial=0)
    shape = [*(cells[:, :first].max(axis=0, initial=0) + 1), *repeats]
    if len(counts) * float(np.prod(shape)) > waste * len(positions):
        return None
    steps, basis, away = _fitted(positions, cells, kinds, steps, first)
    if away > _EXACT * np.linalg.norm(steps, axis=1).min():
        return None
    grid = Grid(steps, (int(shape[0]), int(shape[1]), int(shape[2])), periodic)
    cells[:, first:] %= np.array(repeats, dtype=np.int64)
    flat = np.ravel_multi_index(tuple(cells.T), grid.shape)
    return LatticeSites(grid, basis, np.asarray(kinds * int(np.prod(shape)) + flat))


def _fitted(
    positions: FloatArray, cells: IntArray, kinds: IntArray, steps: FloatArray, first: int
) -> tuple[FloatArray, FloatArray, float]:
    """Steps (those of open directions by least squares), basis (b, 3), and the largest distance of a site from its place."""
    counts = np.bincount(kinds)

    def by_kind(values: FloatArray) -> FloatArray:
        """Averages (b, n) of values (N, n)."""
        return np.stack([np.bincount(kinds, column) / counts for column in values.T], axis=1)

    rest = positions - cells[:, first:] @ steps[first:]
    steps = steps.copy()
    if first:
        numbers = cells[:, :first].astype(np.float64)
        numbers, places = numbers - by_kind(numbers)[kinds], rest - by_kind(rest)[kinds]
        moves = numbers.any(axis=0)
        if moves.any():
            steps[:first][moves] = np.linalg.lstsq(numbers[:, moves], places, rcond=None)[0]
        rest = rest - cells[:, :first] @ steps[:first]
    basis = by_kind(rest)
    return steps, basis, float(np.abs(rest - basis[kinds]).max(initial=0.0))


__all__ = ["LatticeSites", "lattice_sites"]
