"""Domain walls and interfaces between phases across a device: where they are, how wide, how far a phase has grown."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from scipy.optimize import least_squares

from spinase.analysis.domains import NeighbourShells, aligned_sites, neighbour_shells
from spinase.atoms import geometry_of, get_spins
from spinase.brief import Brief
from spinase.errors import InvalidGeometryError
from spinase.measures import site_mask
from spinase.spin_algebra import normalized
from spinase.typing import FloatArray
from spinase.wall_textures import plane_period, turned_share

_SAME = 1e-3  # of the mean distance of layers: sites this close along the axis are in one layer


@dataclass(frozen=True)
class DomainWall:
    """A wall m(x) = amplitude tanh((x - position)/width) + offset of the component along the easy direction.

    Attributes
    ----------
    position, width : float
        Length; nan if there is no wall.
    angle : float
        Direction of the spins in the wall about the easy direction, radian; nan if there is no wall.
    amplitude, offset : float
        Half the difference and the mean of both domains.
    """

    position: float
    width: float
    angle: float
    amplitude: float
    offset: float


def layer_means(atoms: Atoms, values: FloatArray, axis: int = 0) -> tuple[FloatArray, FloatArray]:
    """Coordinates (L,) of the layers of magnetic sites along Cartesian `axis`, length; means there of `values` (N, ...).

    Parameters
    ----------
    atoms : Atoms
        The magnet.
    values : (N, ...) ndarray
        Of the sites.
    axis : int
        0, 1 or 2.
    """
    magnetic = site_mask(atoms)
    along, kept = atoms.positions[magnetic, axis], values[magnetic]
    order = np.argsort(along, kind="stable")
    steps = np.diff(along[order])
    new = steps > _SAME * max(float(steps.max(initial=0.0)), np.finfo(float).tiny)
    layer = np.empty(len(along), dtype=np.int64)
    layer[order] = np.concatenate([[0], np.cumsum(new)])
    count = np.bincount(layer)
    sums = np.zeros((len(count), *kept.shape[1:]))
    np.add.at(sums, layer, kept)
    means = sums / count.reshape(-1, *([1] * (kept.ndim - 1)))
    return np.bincount(layer, along) / count, means


def domain_wall(atoms: Atoms, axis: int = 0, easy: ArrayLike = (0.0, 0.0, 1.0)) -> DomainWall:
    """The wall between two domains along Cartesian `axis`, fitted to the mean spins of the layers.

    For several walls, domains that are not opposite or periodic boundaries use :func:`domain_walls`.

    Parameters
    ----------
    atoms : Atoms
    axis : int
    easy : (3,)
        Direction along which the domains point.

    Raises
    ------
    InvalidGeometryError
        With fewer than four layers.
    """
    direction = normalized(np.asarray(easy, dtype=np.float64)[None])[0]
    places, spins = layer_means(atoms, get_spins(atoms), axis)
    if len(places) < 4:
        raise InvalidGeometryError(f"a domain wall needs at least 4 layers along axis {axis}, there are {len(places)}")
    profile = spins @ direction
    middle = 0.5 * (profile[0] + profile[-1])
    side = profile >= middle  # a layer exactly in the middle is on one of the sides
    crossing = np.flatnonzero(side[:-1] != side[1:])
    if not len(crossing) or profile[0] * profile[-1] >= 0.0:
        nan = float("nan")
        return DomainWall(nan, nan, nan, 0.0, float(profile.mean()))
    k = int(crossing[len(crossing) // 2])
    start = places[k] + (middle - profile[k]) / (profile[k + 1] - profile[k]) * (places[k + 1] - places[k])
    spacing = float(np.mean(np.diff(places)))

    def misfit(values: FloatArray) -> FloatArray:
        """What the profile leaves over at every place, for least squares."""
        return values[2] * np.tanh((places - values[0]) / values[1]) + values[3] - profile

    guess = [start, 2.0 * spacing, 0.5 * (profile[-1] - profile[0]), middle]
    position, width, amplitude, offset = least_squares(misfit, guess, x_scale=[spacing, spacing, 1.0, 1.0]).x
    across = _angle(spins, direction, np.cosh(np.clip((places - position) / width, -30, 30)) ** -2)
    sign = np.sign(width)
    return DomainWall(float(position), float(sign * width), across, float(sign * amplitude), float(offset))


@dataclass(frozen=True, eq=False, repr=False)
class FoundWall(Brief):
    """One of several walls, with the domains on its sides.

    Attributes
    ----------
    position, width : float
        Length; u = (x - position)/width in :func:`spinase.wall_textures.turned_share`.
    left, right : (3,)
        Directions of the domains on both sides.
    angle : float
        Between opposite domains: azimuth of the spins in the wall about the first of both in `directions`, radian, as for
        :func:`spinase.textures.domain_wall`; nan otherwise.
    """

    position: float
    width: float
    left: FloatArray
    right: FloatArray
    angle: float


def domain_walls(
    atoms: Atoms, axis: int = 0, directions: ArrayLike = ((0.0, 0.0, 1.0), (0.0, 0.0, -1.0))
) -> list[FoundWall]:
    """All walls along Cartesian `axis` between domains that point along `directions`, by ascending position.

    A layer belongs to the direction nearest to its mean spin; each change is fitted up to halfway to the next one, with
    the turn of :func:`spinase.wall_textures.turned_share`.  Along a periodic axis walls are found across the boundary, too.

    Parameters
    ----------
    atoms : Atoms
    axis : int
    directions : (K, 3)
        Directions of the domains, all different.

    Raises
    ------
    InvalidGeometryError
        With fewer than four layers, or fewer than two directions.
    """
    ends = normalized(np.asarray(directions, dtype=np.float64), "directions")
    if len(ends) < 2 or np.any(np.triu(ends @ ends.T, 1) > 1.0 - 1e-9):
        raise InvalidGeometryError(f"walls need at least two different directions of domains, got {directions!r}")
    period = plane_period(geometry_of(atoms), axis)
    places, spins = layer_means(_within(atoms, axis, period), get_spins(atoms), axis)
    if len(places) < 4:
        raise InvalidGeometryError(f"a domain wall needs at least 4 layers along axis {axis}, there are {len(places)}")
    if period:
        places = np.concatenate([places - period, places, places + period])
        spins = np.concatenate([spins] * 3)
    bounds = _changes(spins, ends)
    middles = [(one.stop + two.start) // 2 for one, two in pairwise(bounds)]
    limits = [0, *middles, len(places)]
    found = []
    for n, (left, right) in enumerate(pairwise(bounds)):
        inside = slice((limits[n] + limits[n + 1]) // 2 * (n > 0), (limits[n + 1] + limits[n + 2] + 1) // 2)
        inside = slice(inside.start, len(places) if n + 2 == len(bounds) else inside.stop)
        around = places[[middles[n] - 1, middles[n]]]
        found.append(_fitted(places[inside], spins[inside], ends, (left.domain, right.domain), around))
    if period:  # those of the middle copy
        start = places[len(places) // 3] - 1e-6 * period
        found = [wall for wall in found if start <= wall.position < start + period]
    return sorted(found, key=lambda wall: wall.position)


def _within(atoms: Atoms, axis: int, period: float) -> Atoms:
    """The magnet with its sites within one period along an axis: sites that have left it belong to layers inside."""
    along = atoms.positions[site_mask(atoms), axis]
    if not period or np.ptp(along) < period:
        return atoms
    inside, slack = atoms.copy(), _SAME * period / len(along)
    steps = inside.positions[:, axis] - along[0] + slack
    inside.positions[:, axis] -= period * np.floor(steps / period)
    return inside


@dataclass(frozen=True)
class _Run:
    """Neighbouring layers ``start:stop`` nearest to one direction."""

    start: int
    stop: int
    domain: int


def _changes(spins: FloatArray, ends: FloatArray) -> list[_Run]:
    """Domains in their order, neighbours different.

    Layers on the way from one domain to another may be nearest to a third direction: a domain is where spins turn less than
    half as much from layer to layer as at its borders.
    """
    domain = np.argmax(np.round(spins @ ends.T, 9), axis=1)  # a layer in the middle belongs to the first of both
    edges = [0, *(np.flatnonzero(np.diff(domain)) + 1), len(domain)]
    units = spins / np.maximum(np.linalg.norm(spins, axis=1), 1e-12)[:, None]
    steps = np.linalg.norm(np.diff(units, axis=0), axis=1)
    runs: list[_Run] = []
    for start, stop in pairwise(edges):
        run = _Run(int(start), int(stop), int(domain[start]))
        whole = start == 0 or stop == len(domain)
        if not whole:
            rest = steps[start : stop - 1].min(initial=np.inf)
            whole = rest < 0.5 * min(steps[start - 1], steps[stop - 1])
        if whole and runs and runs[-1].domain == run.domain:
            runs[-1] = _Run(runs[-1].start, run.stop, run.domain)
        elif whole:
            runs.append(run)
    return runs


def _fitted(places: FloatArray, spins: FloatArray, ends: FloatArray, pair: tuple[int, int], around: FloatArray) -> FoundWall:
    """The wall fitted to the component along right - left: amplitude sin(Theta (share - 1/2))/sin(Theta/2) + offset."""
    left, right = ends[pair[0]], ends[pair[1]]
    turn = 2.0 * float(np.arctan2(np.linalg.norm(right - left), np.linalg.norm(right + left)))
    profile = spins @ normalized((right - left)[None])[0] / np.sin(0.5 * turn)
    spacing = float(np.diff(around)[0])

    def misfit(values: FloatArray) -> FloatArray:
        """What the profile leaves over at every place, for least squares."""
        share = turned_share((places - values[0]) / np.exp(values[1]))
        return values[2] * np.sin(turn * (share - 0.5)) / np.sin(0.5 * turn) + values[3] - profile

    guess = [float(around.mean()), np.log(2.0 * spacing), 1.0, 0.0]
    position, scale, _, _ = least_squares(misfit, guess, x_scale=[spacing, 0.5, 1.0, 1.0]).x
    width = float(np.exp(scale))
    weights = np.cosh(np.clip((places - position) / width, -30, 30)) ** -2
    angle = _angle(spins, ends[min(pair)], weights) if turn > np.pi - 1e-6 else float("nan")
    return FoundWall(float(position), width, left, right, angle)


def _angle(spins: FloatArray, easy: FloatArray, weights: FloatArray) -> float:
    """Azimuth of the weighted mean spin about `easy`, from the Cartesian axis that is most across it."""
    helper = np.eye(3)[int(np.argmin(np.abs(easy)))]
    first = normalized((helper - (helper @ easy) * easy)[None])[0]
    mean = weights @ spins
    return float(np.arctan2(mean @ np.cross(easy, first), mean @ first))


@dataclass(frozen=True)
class GrownPhase:
    """How far a ferromagnetic phase has grown.

    Attributes
    ----------
    fraction : float
        Share of the magnetic sites that belong to it.
    interface : float
        Distance from the first layer to where half a layer belongs to it, length: 0 if the first layer does not.
    """

    fraction: float
    interface: float


def grown_phase(
    atoms: Atoms, axis: int = 0, side: str = "left", threshold: float = 0.5, shells: NeighbourShells | None = None
) -> GrownPhase:
    """The ferromagnetic phase that grows from one end: sites whose mean s_i.s_j with the neighbours exceeds `threshold`.

    Parameters
    ----------
    atoms : Atoms
    axis : int
        Cartesian axis.
    side : {"left", "right"}
        End from which the interface is measured.
    threshold : float
        A mean within 1e-9 of it does not exceed it (see :func:`spinase.analysis.ferromagnetic_clusters`).
    shells : NeighbourShells, optional
        Prepared neighbours; default: nearest ones.

    Raises
    ------
    InvalidGeometryError
        On a wrong side, or without neighbours.
    """
    if side not in ("left", "right"):
        raise InvalidGeometryError(f"side must be 'left' or 'right', got {side!r}")
    known = neighbour_shells(atoms) if shells is None else shells
    inside = aligned_sites(get_spins(atoms), known, threshold).astype(np.float64)
    places, share = layer_means(atoms, inside, axis)
    fraction = float(inside[known.magnetic].mean())
    if side == "right":
        places, share = -places[::-1], share[::-1]
    below = np.flatnonzero(share < 0.5)
    if not len(below):
        return GrownPhase(fraction, float(places[-1] - places[0]))
    k = int(below[0])
    if k == 0:
        return GrownPhase(fraction, 0.0)
    step = (share[k - 1] - 0.5) / (share[k - 1] - share[k])
    return GrownPhase(fraction, float(places[k - 1] + step * (places[k] - places[k - 1]) - places[0]))
