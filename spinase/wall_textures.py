"""Walls between phases: spins that turn from one domain's directions to the next one's along a Cartesian axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from spinase.errors import InvalidGeometryError
from spinase.geometry import Geometry, nearest_image, reduced_frame
from spinase.spin_algebra import cross, normalized, rotate_about, tangent
from spinase.typing import BoolArray, FloatArray

_PARALLEL = 1e-6  # radian: directions closer than that are one, or exactly opposite
_FAR = 40.0  # widths: an image of a wall farther away turns nothing


def turned_share(scaled: FloatArray) -> FloatArray:
    """Share (2/pi) arctan(exp(u)) of a wall's turn that is done at u = (x - position)/width: 0 far left, 1 far right.

    The wall of the anisotropy K sin^2(pi phi/Theta), which has minima at both ends of the turn Theta: for 180 degrees
    cos(phi) = -tanh(u), the Bloch wall.
    """
    return np.arctan(np.exp(np.clip(scaled, -300.0, 300.0))) * (2.0 / np.pi)


def domain_wall(
    geometry: Geometry,
    rng: np.random.Generator,
    width: float = 2.0,
    position: float | Sequence[float] = 0.5,
    angle: float | Sequence[float] = 0.0,
    directions: ArrayLike = ((0, 0, 1), (0, 0, -1)),
    axis: int = 0,
) -> FloatArray:
    """Walls across a Cartesian axis between uniform domains; by default one across x from +z (left) to -z (right).

    With u = (x - x_wall)/width a turn by Theta is done to the share (2/pi) arctan(exp(u)) (:func:`turned_share`): for +z to
    -z s_z = -tanh(u), s_perp = sech(u).  Positions and widths are in length units.

    Parameters
    ----------
    geometry, rng
        Sites; the generator is not used.
    width : float
        Of every wall, length.
    position : float or sequence of float
        Walls, ascending: as part of the extent of the sites along the axis, or of the period if it is periodic (counted from
        site 0).
    angle : float or sequence of float
        For walls between opposite directions (one number, or one a wall, radian): azimuth of the middle spin about the first
        of both in `directions`, from the Cartesian axis most across it.  About z: 0 is along x, a Neel wall; pi/2 along y, a
        Bloch wall.  Other walls turn the short way, in the plane of their ends.
    directions : (K, 3)
        Of the domains from left to right (normalized here).  Two alternate; otherwise one more than walls, or as many where
        the axis is periodic and the last domain goes on as the first.
    axis : int
        Cartesian axis.

    Raises
    ------
    InvalidGeometryError
        On numbers that do not fit each other, or walls that break at a periodic boundary.
    """
    given = np.asarray(directions, dtype=np.float64)
    if given.ndim != 2 or given.shape[1] != 3 or not np.isfinite(given).all():
        raise InvalidGeometryError(f"directions of domains must be vectors [[x, y, z], ...], got {directions!r}")
    ends = normalized(given, "directions")
    return walls_between(
        geometry, [np.repeat(end[None], len(geometry), axis=0) for end in ends], width, position, angle, axis
    )


def walls_between(
    geometry: Geometry,
    phases: Sequence[FloatArray],
    width: float = 2.0,
    position: float | Sequence[float] = 0.5,
    angle: float | Sequence[float] = 0.0,
    axis: int = 0,
) -> FloatArray:
    """Walls between any phases, spins (N, 3) each: every site turns from its spin in one to that in the next, the short way.

    Other parameters as for :func:`domain_wall`.  A site whose two spins are exactly opposite turns through the azimuth
    `angle` about its own spin.

    Parameters
    ----------
    geometry : Geometry
        Sites.
    phases : sequence of (N, 3) ndarray
        Unit vectors.
    width, position, angle, axis
        As for :func:`domain_wall`.
    """
    if not np.isfinite(width) or width <= 0.0:
        raise InvalidGeometryError(f"wall width must be positive, got {width}")
    if axis not in (0, 1, 2):
        raise InvalidGeometryError(f"axis must be 0, 1 or 2, got {axis!r}")
    parts = np.atleast_1d(np.asarray(position, dtype=np.float64))
    if parts.ndim != 1 or not len(parts) or not np.isfinite(parts).all() or np.any(np.diff(parts) <= 0.0):
        raise InvalidGeometryError(f"positions of walls must ascend, got {position!r}")
    period = plane_period(geometry, axis)
    if period and parts[-1] - parts[0] >= 1.0:
        raise InvalidGeometryError(f"positions of walls must lie within one period, got {position!r}")
    domains = _domains([np.asarray(phase, dtype=np.float64) for phase in phases], len(parts), bool(period), axis)
    turns = [_turn(domains, k, azimuth) for k, azimuth in enumerate(_azimuths(domains, angle, len(parts)))]
    places = geometry.positions[:, axis]
    along = places - (places[:1] if period else places.min())  # a site wrapped into the box keeps its spin
    if period:
        along = np.where(np.abs(along) > period, along % period, along)  # also from far away
    images = int(np.ceil(_FAR * width / period)) + 1 if period else 0
    spins = domains[0]
    for image in range(-images, images + 1):
        for part, turn in zip(parts, turns, strict=True):
            share = turned_share((along - part * (period or np.ptp(along)) - image * period) / width)
            spins = rotate_about(spins, np.ascontiguousarray(-share[:, None] * turn))
    return normalized(spins)


def plane_period(geometry: Geometry, axis: int) -> float:
    """Period of planes across the Cartesian axis, length; 0 if it is open.

    Parameters
    ----------
    geometry : Geometry
        With cell and boundaries.
    axis : int
        0, 1, 2: x, y, z.

    Raises
    ------
    InvalidGeometryError
        If the periodic cell vectors go different, incommensurate ways along it.
    """
    steps = np.abs(geometry.cell[geometry.pbc, axis])
    steps = steps[steps > 1e-9 * np.abs(geometry.cell).max(initial=0.0)]
    if not len(steps):
        return 0.0
    period = float(steps.min())
    if np.abs(steps / period - np.round(steps / period)).max() > 1e-6:
        raise InvalidGeometryError(
            f"walls across axis {axis} break at the periodic boundaries: cell vectors go {steps.tolist()} along "
            "it, which are no multiples of the shortest; choose another axis or open the boundary"
        )
    return period


def _domains(phases: list[FloatArray], walls: int, periodic: bool, axis: int) -> list[FloatArray]:
    """Phases left of the first wall, between the walls, and right of the last."""
    if len(phases) == 2:
        domains = [phases[k % 2] for k in range(walls + 1)]
    elif periodic and len(phases) == walls:
        domains = [*phases, phases[0]]
    else:
        domains = phases
    if len(domains) != walls + 1:
        wanted = f"{walls} (periodic)" if periodic else str(walls + 1)
        raise InvalidGeometryError(
            f"{walls} wall(s) need directions of 2 (alternating) or {wanted} domains, got {len(phases)}"
        )
    if periodic and np.abs(domains[0] - domains[-1]).max(initial=0.0) > _PARALLEL:
        raise InvalidGeometryError(
            f"{walls} wall(s) along the periodic axis {axis}: the last domain does not go on as the first across the "
            "boundary. Give an even number of positions (e.g. position = [0.25, 0.75]), directions that close, or open the "
            "boundary"
        )
    return domains


def _azimuths(domains: list[FloatArray], angle: float | Sequence[float], walls: int) -> FloatArray:
    azimuths = np.asarray(angle, dtype=np.float64)
    if azimuths.shape not in ((), (walls,)) or not np.isfinite(azimuths).all():
        raise InvalidGeometryError(f"angle must be one number, or one for each of {walls} wall(s), got {angle!r}")
    for k, azimuth in enumerate(np.broadcast_to(azimuths, walls)):
        if azimuths.ndim and azimuth != 0.0 and not _opposite(domains[k], domains[k + 1]).any():
            raise InvalidGeometryError(f"wall {k} turns in the plane of its ends, they are not opposite: leave its angle 0")
    if azimuths.ndim == 0 and azimuths != 0.0 and not any(_opposite(domains[k], domains[k + 1]).any() for k in range(walls)):
        raise InvalidGeometryError(
            f"angle = {angle!r} says nothing: no wall has opposite ends, all turn in the plane of theirs"
        )
    return np.broadcast_to(azimuths, walls)


def _opposite(left: FloatArray, right: FloatArray) -> BoolArray:
    return np.linalg.norm(left + right, axis=1) < _PARALLEL


def _turn(domains: list[FloatArray], wall: int, azimuth: float) -> FloatArray:
    """Rotation vectors (N, 3), radian, that turn one domain into the next."""
    left, right = domains[wall], domains[wall + 1]
    normal = cross(left, right)
    sine, cosine = np.linalg.norm(normal, axis=1), np.einsum("ia,ia->i", left, right)
    turn = normal * (np.arctan2(sine, cosine) / np.where(sine > 0.0, sine, 1.0))[:, None]
    opposite = _opposite(left, right)
    if opposite.any():
        first = next(k for k in range(wall + 2) if np.allclose(np.abs(np.einsum("ia,ia->i", domains[k], left)), 1.0))
        middle = _across(domains[first][opposite], azimuth)
        turn[opposite] = np.pi * normalized(cross(left[opposite], middle))
    return turn


def _across(spins: FloatArray, azimuth: float) -> FloatArray:
    """Unit vectors across `spins` (n, 3) at the azimuth about them, from the Cartesian axis that is most across each."""
    helper = np.eye(3)[np.abs(np.round(spins, 9)).argmin(axis=1)]
    one = normalized(tangent(helper, spins))
    return np.cos(azimuth) * one + np.sin(azimuth) * cross(spins, one)


def skyrmion(
    geometry: Geometry,
    rng: np.random.Generator,
    radius: float = 3.0,
    width: float = 1.5,
    centre: Sequence[float] = (0.5, 0.5),
    vorticity: int = 1,
    helicity: float = np.pi,
) -> FloatArray:
    """One skyrmion in the x-y plane: -z in the middle, +z outside, a circular wall of 180 degrees between.

    s = (sin(Theta) cos(Phi), sin(Theta) sin(Phi), cos(Theta)), Theta = 2 arctan(sinh(R/w)/sinh(r/w)) (H. Braun, Phys. Rev. B
    50, 16485 (1994)), Phi = v phi + helicity, with r, phi the polar coordinates about the centre.  Its charge is -v.

    Parameters
    ----------
    geometry, rng
        Sites; the generator is not used.
    radius, width : float
        R, where s_z = 0 (for R well above w), and w of its wall, length.
    centre : (2,)
        As parts of the extent of the sites along x and y (from the lowest to the highest one).
    vorticity : int
        v, turns of the spins in the plane on a way around: 1 skyrmion, -1 antiskyrmion.
    helicity : float
        Radian; 0: outwards, pi: inwards (Neel), pi/2 or -pi/2: around (Bloch).

    Raises
    ------
    InvalidGeometryError
        On a radius or width that is not positive, a vorticity of 0, a centre of other than two numbers, or where the
        skyrmion meets its own image at a periodic boundary.
    """
    where = np.asarray(centre, dtype=float)
    if not (np.isfinite([radius, width]).all() and radius > 0.0 and width > 0.0):
        raise InvalidGeometryError(f"a skyrmion's radius and width are positive lengths, got {radius} and {width}")
    if where.shape != (2,) or not np.isfinite(where).all():
        raise InvalidGeometryError(f"a skyrmion's centre is two parts of the extent along x and y, got {centre}")
    if int(vorticity) != vorticity or vorticity == 0:
        raise InvalidGeometryError(f"a skyrmion's vorticity is a whole number but 0, got {vorticity}")
    low, high = geometry.positions[:, :2].min(axis=0), geometry.positions[:, :2].max(axis=0)
    apart = geometry.positions[:, :2] - (low + where * (high - low))
    frame = _periods_in_plane(geometry)
    period = np.linalg.norm(frame, axis=1).min(initial=np.inf)
    if 2.0 * radius > period:
        raise InvalidGeometryError(
            f"a skyrmion of radius {radius} meets its own image across a period of {period:.4g}: make the cell larger or "
            "the radius smaller"
        )
    apart = np.pad(apart, ((0, 0), (0, 1)))
    nearest = apart + nearest_image(apart, frame) @ frame
    distance = np.minimum(np.linalg.norm(nearest, axis=1) / width, 300.0)
    theta = 2.0 * np.arctan2(np.sinh(min(radius / width, 300.0)), np.sinh(distance))
    phi = vorticity * np.arctan2(nearest[:, 1], nearest[:, 0]) + helicity
    return np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)


def _periods_in_plane(geometry: Geometry) -> FloatArray:
    """Shortest vectors (k, 3) of the lattice that the periodic vectors make in the x-y plane: none, one or two."""
    found = np.zeros((0, 3))
    for row in geometry.cell[geometry.pbc] * [1.0, 1.0, 0.0]:
        found = _with_period(found, row, 1e-9 * float(np.abs(geometry.cell).max()))
    return found


def _with_period(found: FloatArray, row: FloatArray, small: float) -> FloatArray:
    """Vectors (k, 3) of the lattice that `found` (n, 3) and one more period span, by Euclid's algorithm."""
    while True:
        row = row + nearest_image(row[None], found)[0] @ found
        if np.linalg.norm(row) <= small:
            return found
        if np.linalg.matrix_rank(np.vstack([found, row]), tol=small) > len(found):
            return reduced_frame(np.vstack([found, row]))[0]
        longest = int(np.linalg.norm(found, axis=1).argmax())  # the new one is shorter
        row, found = found[longest], _with_period(np.delete(found, longest, axis=0), row, small)
