"""Positions, cells and boundary conditions of lattices and of disordered magnets, as plain arrays."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from spinase.errors import InvalidGeometryError
from spinase.typing import BoolArray, FloatArray

Lattice = tuple[FloatArray, FloatArray, tuple[bool, bool, bool]]

_BLOCK = 256  # trials at once
_TRIALS = 20000  # in vain, before points do not fit
_ROOT2, _ROOT3 = np.sqrt(2.0), np.sqrt(3.0)
# name -> (cell vectors, basis positions), both in units of the nearest-neighbour distance; bcc and fcc by their cubic cells,
# hexagonal: triangular layers straight above each other, hcp: close packed
LATTICES: dict[str, tuple[FloatArray, FloatArray]] = {
    "chain": (np.array([[1.0, 0, 0]]), np.zeros((1, 3))),
    "square": (np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.zeros((1, 3))),
    "triangular": (np.array([[1.0, 0, 0], [0.5, _ROOT3 / 2, 0]]), np.zeros((1, 3))),
    "honeycomb": (
        np.array([[_ROOT3, 0, 0], [_ROOT3 / 2, 1.5, 0]]),
        np.array([[0.0, 0, 0], [0, 1.0, 0]]),
    ),
    "kagome": (
        np.array([[2.0, 0, 0], [1.0, _ROOT3, 0]]),
        np.array([[0.0, 0, 0], [1.0, 0, 0], [0.5, _ROOT3 / 2, 0]]),
    ),
    "cubic": (np.eye(3), np.zeros((1, 3))),
    "bcc": (2.0 / _ROOT3 * np.eye(3), 1.0 / _ROOT3 * np.array([[0.0, 0, 0], [1, 1, 1]])),
    "fcc": (_ROOT2 * np.eye(3), np.array([[0.0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]) / _ROOT2),
    "hexagonal": (np.array([[1.0, 0, 0], [0.5, _ROOT3 / 2, 0], [0, 0, 1.0]]), np.zeros((1, 3))),
    "hcp": (
        np.array([[1.0, 0, 0], [0.5, _ROOT3 / 2, 0], [0, 0, 2.0 * _ROOT2 / _ROOT3]]),
        np.array([[0.0, 0, 0], [0.5, 0.5 / _ROOT3, _ROOT2 / _ROOT3]]),
    ),
}


def build(name: str, size: tuple[int, ...], a: float = 1.0, periodic: bool | tuple[bool, ...] = True) -> Lattice:
    """Positions (N, 3), cell (3, 3) and pbc of a lattice with nearest-neighbour distance `a`.

    Sites are ordered cell by cell, the last direction fastest.  Directions the lattice does not have get a cell
    vector of length `a` and open boundaries.

    Parameters
    ----------
    name : str
        One of ``LATTICES``.
    size : tuple of int
        Cells along the directions of the lattice.
    a : float
        Distance of nearest neighbours, length.
    periodic : bool or tuple of bool
        Of all directions of the lattice, or of each.

    Raises
    ------
    InvalidGeometryError
        On an unknown lattice, a size that does not fit it, or a distance that is not positive.
    """
    if name not in LATTICES:
        raise InvalidGeometryError(f"unknown lattice {name!r}: use one of {', '.join(LATTICES)}")
    if not np.isfinite(a) or a <= 0.0:
        raise InvalidGeometryError(f"the nearest-neighbour distance a must be positive, got {a}")
    primitive, basis = LATTICES[name]
    dimension = len(primitive)
    counts = tuple(int(n) for n in np.atleast_1d(size))
    if len(counts) != dimension or min(counts) < 1 or np.any(np.atleast_1d(size) != counts):
        raise InvalidGeometryError(f"a {name} lattice needs size = {dimension} positive integers, got {size!r}")
    flags = (periodic,) * dimension if isinstance(periodic, bool) else tuple(periodic)
    if len(flags) != dimension:
        raise InvalidGeometryError(f"a {name} lattice needs periodic = {dimension} booleans, got {periodic!r}")
    cells = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), axis=-1).reshape(-1, dimension)
    positions = (cells @ primitive)[:, None, :] + basis[None, :, :]
    cell = np.eye(3)
    cell[:dimension] = primitive * np.array(counts)[:, None]
    pbc = tuple(bool(flag) for flag in flags) + (False,) * (3 - dimension)
    return a * positions.reshape(-1, 3), a * cell, (pbc[0], pbc[1], pbc[2])


def disordered(sites: int, density: float, min_distance: float, dimension: int, rng: np.random.Generator) -> Lattice:
    """Random sequential addition: `sites` points in a periodic box, none closer than `min_distance`.

    Parameters
    ----------
    sites : int
        Number of points.
    density : float
        Points per length^dimension.
    min_distance : float
        Smallest allowed distance, periodic images included, length.
    dimension : int
        1, 2 or 3; unused directions are open with a unit cell vector.
    rng : numpy Generator
        Source of randomness.

    Raises
    ------
    InvalidGeometryError
        On bad numbers, or when the points do not fit: lower the density or the distance.
    """
    if sites < 1 or dimension not in (1, 2, 3) or not (0.0 < density < np.inf and 0.0 <= min_distance < np.inf):
        raise InvalidGeometryError(
            "disordered points need sites >= 1, density > 0, min_distance >= 0 and dimension 1, 2 or 3; got "
            f"sites={sites}, density={density}, min_distance={min_distance}, dimension={dimension}"
        )
    edge = (sites / density) ** (1.0 / dimension)
    if edge < min_distance:
        raise InvalidGeometryError(
            f"the periodic box of {sites} sites at density {density} has edge {edge:.4g}, below min_distance "
            f"{min_distance}: a site would be too close to its own image; use more sites, or lower one of them"
        )
    points = np.zeros((sites, 3))
    points[:, :dimension] = _added(sites, density, min_distance, dimension, edge, rng)
    cell = np.eye(3)
    cell[:dimension] *= edge
    pbc = tuple(axis < dimension for axis in range(3))
    return points, cell, (pbc[0], pbc[1], pbc[2])


def _added(
    sites: int, density: float, min_distance: float, dimension: int, edge: float, rng: np.random.Generator
) -> FloatArray:
    """Points (sites, dimension) in a periodic box of `edge`, one trial after the other.

    Trials are looked at in blocks, first against the points of earlier blocks, then against each other in their order: the
    points, and the state of `rng` afterwards, are those of one trial at a time.

    Parameters
    ----------
    sites, density, min_distance, dimension, rng
        As in :func:`disordered`.
    edge : float
        Of the box, length.

    Raises
    ------
    InvalidGeometryError
        When the points do not fit.
    """
    points, failures = np.zeros((0, dimension)), 0
    while len(points) < sites:
        before, missing = rng.bit_generator.state, sites - len(points)
        trials = rng.uniform(0.0, edge, size=(max(_BLOCK, min(len(points), 2 * missing)), dimension))
        places = np.flatnonzero(_accepted(points, trials, min_distance, edge))[:missing]
        ends = np.concatenate([[-1 - failures], places, [] if len(places) == missing else [len(trials)]])
        long = np.flatnonzero(np.diff(ends) > _TRIALS)
        if len(long):
            raise InvalidGeometryError(
                f"only {len(points) + long[0]} of {sites} points fit at density {density} with min_distance "
                f"{min_distance}: lower one of them"
            )
        points, failures = np.concatenate([points, trials[places]]), int(ends[-1] - ends[-2]) - 1
        if len(places) == missing:  # as if no trial had been drawn after the last point
            rng.bit_generator.state = before
            rng.uniform(0.0, edge, size=(places[-1] + 1, dimension))
    return points


def _accepted(points: FloatArray, trials: FloatArray, min_distance: float, edge: float) -> BoolArray:
    """Trials (T,) that are nowhere closer than `min_distance` to the points nor to an accepted trial before them.

    Parameters
    ----------
    points, trials : (n, d), (T, d) ndarray
        In a periodic box of `edge`, length.
    min_distance, edge : float
        Length.
    """
    reach, inside, sides = min_distance * (1.0 + 1e-9), trials % edge, np.full(trials.shape[1], edge)
    kept = np.ones(len(trials), dtype=bool)
    if min_distance == 0.0:
        return kept
    if len(points):
        near = np.asarray(cKDTree(points % edge, boxsize=sides).query(inside, distance_upper_bound=reach)[1])
        close = np.flatnonzero(near < len(points))
        kept[close] = ~_closer(points[near[close]], trials[close], min_distance, edge)
    left = np.flatnonzero(kept)
    pairs = left[cKDTree(inside[left], boxsize=sides).query_pairs(reach, output_type="ndarray")]
    pairs = pairs[_closer(trials[pairs[:, 0]], trials[pairs[:, 1]], min_distance, edge)]
    for one, other in pairs[np.argsort(pairs.max(axis=1), kind="stable")].tolist():
        kept[max(one, other)] &= not kept[min(one, other)]
    return kept


def _closer(one: FloatArray, other: FloatArray, distance: float, edge: float) -> BoolArray:
    """Which points (n, d) are closer than `distance` to their others, nearest images."""
    gap = one - other
    gap -= edge * np.round(gap / edge)
    return np.asarray(np.einsum("ia,ia->i", gap, gap) < distance**2)
