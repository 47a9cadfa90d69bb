"""Initial spin textures on given positions: every function returns unit vectors, shape (N, 3).

The ordered ones are plane waves whose phases count from site 0, so a shift of all sites changes nothing.  Those of the
triangular lattice find its rows in the positions, whatever its orientation.  A size that does not fit the period is refused
where the texture would break at the boundary.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spinase.errors import InvalidGeometryError
from spinase.geometry import Geometry, find_bonds, nearest_distance
from spinase.spin_algebra import normalized, random_spins
from spinase.typing import FloatArray
from spinase.wall_textures import domain_wall, skyrmion, walls_between

Texture = Callable[..., FloatArray]

_ROOT3 = np.sqrt(3.0)
_NEAR = 1.3  # bonds of the first shell of a triangular lattice are shorter than that, in shortest distances
_OFF = 0.15  # of the distance of neighbours: a site farther than that from a lattice point is not on the lattice
_EXACT = 1e-9
_TIE = 1e-3  # radian: a row exactly between two others counts as turned counter-clockwise


def random(geometry: Geometry, rng: np.random.Generator) -> FloatArray:
    """Independent spins, uniform on the sphere.

    Parameters
    ----------
    geometry : Geometry
        Sites.
    rng : numpy Generator
        Source of randomness.
    """
    return random_spins(len(geometry), rng)


def ferro(geometry: Geometry, rng: np.random.Generator, direction: ArrayLike = (0, 0, 1), noise: float = 0.0) -> FloatArray:
    """All spins along `direction`, with Gaussian `noise` (radian) about it.

    Parameters
    ----------
    geometry : Geometry
        Sites.
    rng : numpy Generator
        Source of the noise.
    direction : (3,) array_like
        Of any length but zero.
    noise : float
        Width of the angles about the direction, radian.
    """
    axis = normalized(np.asarray(direction, dtype=float)[None, :], "direction")
    spins = np.repeat(axis, len(geometry), axis=0)
    return normalized(spins + noise * rng.normal(size=spins.shape)) if noise else spins


def spiral(
    geometry: Geometry,
    rng: np.random.Generator,
    wavevector: ArrayLike = (0.5, 0.0, 0.0),
    axis: ArrayLike = (0, 0, 1),
) -> FloatArray:
    """Spin spiral s = cos(q.r) u + sin(q.r) v in the plane perpendicular to `axis`.

    `wavevector` is in fractions of the reciprocal vectors of the whole cell's edge lengths, i.e. q = 2 pi w . b with
    b the reciprocal cell of ``geometry.cell``: integers along periodic directions fit the boundary.  r counts from site 0,
    which points along u; the pattern turns with the cell, the plane of the spins does not.

    Parameters
    ----------
    geometry : Geometry
        Sites.
    rng : numpy Generator
        Not used.
    wavevector : (3,) array_like
        w, turns along each whole cell vector.
    axis : (3,) array_like
        Normal of the plane of the spins.
    """
    waves = np.asarray(wavevector, dtype=float)
    missing = [k for k in range(3) if waves[k] != 0.0 and not geometry.cell[k].any()]
    if missing or not np.isfinite(waves).all():
        why = f"cell vector {missing[0]} is zero: set the cell" if missing else "its parts must be finite"
        raise InvalidGeometryError(f"spiral wavevector {waves.tolist()} has no meaning here, {why}")
    broken = [k for k in range(3) if geometry.pbc[k] and abs(waves[k] - round(waves[k])) > 1e-9]
    if broken:
        raise InvalidGeometryError(
            f"spiral wavevector {waves.tolist()} does not fit the periodic direction {broken[0]}: give whole turns per cell"
        )
    phase = 2.0 * np.pi * (geometry.positions - geometry.positions[:1]) @ np.linalg.pinv(geometry.cell) @ waves
    normal = normalized(np.asarray(axis, dtype=float)[None, :], "axis")[0]
    first = normalized(np.cross(normal, np.eye(3)[int(np.argmin(np.abs(normal)))])[None, :])[0]
    return np.cos(phase)[:, None] * first + np.sin(phase)[:, None] * np.cross(normal, first)


@dataclass(frozen=True, eq=False)
class _Triangular:
    """Sites as points of a triangular lattice.

    Attributes
    ----------
    points : (N, 3)
        From site 0, in the lattice's own frame (x along a row, z across the plane), length.
    cell : (3, 3)
        Cell vectors in that frame (periodic ones lead from point to point), length.
    edge : float
        Distance of neighbours, length.
    """

    points: FloatArray
    cell: FloatArray
    edge: float


def _rows(vectors: FloatArray, cell: FloatArray) -> FloatArray | None:
    """Axes of the lattice with these nearest-neighbour vectors: a row, across it in the plane, the normal (None: one line).

    The row is the one nearest to the first cell vector (without one, to x); the normal has a positive z component (y, x, if
    the plane holds z).
    """
    spread, directions = np.linalg.eigh(vectors.T @ vectors)
    if spread[1] < 1e-6 * spread[2]:
        return None
    normal = directions[:, 0]
    leading = next(k for k in (2, 1, 0) if abs(normal[k]) > 1e-6)
    normal = _snapped(normal * np.sign(normal[leading]))
    candidates = np.concatenate([cell[:1], np.eye(3)])
    flat = candidates - np.outer(candidates @ normal, normal)
    inside = np.linalg.norm(flat, axis=1) > 0.1 * np.linalg.norm(candidates, axis=1)
    along = normalized(flat[np.flatnonzero(inside)[:1]])[0]
    turns = (vectors @ along + 1j * (vectors @ np.cross(normal, along))) ** 6 * np.exp(-6j * _TIE)
    angle = np.angle(turns.sum()) / 6.0 + _TIE
    row = _snapped(np.cos(angle) * along + np.sin(angle) * np.cross(normal, along))
    return np.stack([row, np.cross(normal, row), normal])


def _snapped(direction: FloatArray) -> FloatArray:
    """A direction without the round-off that keeps it from a Cartesian axis."""
    whole = np.round(direction)
    return whole if np.abs(direction - whole).max() < _EXACT else direction


def _triangular(geometry: Geometry, name: str) -> _Triangular:
    """The triangular lattice that the sites are; small displacements from it are left out.

    Raises
    ------
    InvalidGeometryError
        If there is none.
    """
    if len(geometry) < 2:
        raise InvalidGeometryError("a texture with a period needs more than one site: enlarge the lattice")
    bonds = find_bonds(geometry, _NEAR * nearest_distance(geometry))
    axes = _rows(bonds.vectors, geometry.cell)
    if axes is None:
        raise InvalidGeometryError(f"a {name} texture does not fit these sites: they are one row, no triangular lattice")
    edge = float(bonds.distances.mean())
    lattice = np.array([[1.0, 0.0, 0.0], [0.5, 0.5 * _ROOT3, 0.0]])
    local = np.concatenate([geometry.positions - geometry.positions[0], geometry.cell * geometry.pbc[:, None]]) @ axes.T
    steps: FloatArray = np.rint(local @ np.linalg.pinv(edge * lattice))
    away = local - edge * steps @ lattice
    away[len(geometry) :, 2] = 0.0  # cell vectors may leave the plane
    off = np.linalg.norm(away, axis=1)
    if off.max() > _OFF * edge:
        _refuse_sites(name, int(off.argmax()), len(geometry), float(off.max()), edge)
    _refuse_holes(geometry, steps, name)
    if off.max() <= _EXACT * edge:  # the lattice itself: its own numbers, to the last bit
        inside = (bonds.first == 0) & ~bonds.shifts.any(axis=1)
        edge = float(bonds.distances[inside].min()) if inside.any() else edge
        return _Triangular(local[: len(geometry)], local[len(geometry) :], edge)
    points = edge * steps @ lattice
    return _Triangular(points[: len(geometry)], points[len(geometry) :], edge)


def _refuse_sites(name: str, row: int, sites: int, off: float, edge: float) -> None:
    where = f"site {row}" if row < sites else f"the end of cell vector {row - sites}"
    raise InvalidGeometryError(
        f"a {name} texture does not fit these sites: they are no triangular lattice, {where} is {off:.3g} away from its "
        f"nearest point (neighbours: {edge:.4g}); set the texture before sites are displaced"
    )


def _refuse_holes(geometry: Geometry, steps: FloatArray, name: str) -> None:
    """Points of the lattice without a site, but with six neighbours: a honeycomb, a kagome lattice, a vacancy."""
    images = np.stack(np.meshgrid(*(np.arange(-2, 3) if p else [0] for p in geometry.pbc), indexing="ij"), -1).reshape(-1, 3)
    points = (steps[None, : len(geometry)] + (images @ steps[len(geometry) :])[:, None]).reshape(-1, 2).astype(np.int64)
    points -= points.min(axis=0) - 1
    taken = np.zeros(points.max(axis=0) + 2, dtype=bool)
    taken[points[:, 0], points[:, 1]] = True
    neighbours = [np.roll(taken, step, axis=(0, 1)) for step in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1))]
    if np.any(~taken & np.all(neighbours, axis=0)):
        raise InvalidGeometryError(
            f"a {name} texture does not fit these sites: they are no triangular lattice, there are holes in it; "
            "set the texture before sites are removed"
        )


def _phases(geometry: Geometry, frame: _Triangular, waves: FloatArray, name: str) -> FloatArray:
    """Phases (N, K) at the sites of waves (K, 3) given in the lattice's frame; waves that the box breaks are refused."""
    turns = frame.cell @ waves.T / (2.0 * np.pi)
    bad = np.abs(turns - np.round(turns)).max(axis=1) > 1e-6
    if np.any(bad & geometry.pbc):
        axis = np.flatnonzero(bad & geometry.pbc)[0]
        raise InvalidGeometryError(f"a {name} texture does not fit periodic direction {axis}: change the size")
    return frame.points @ waves.T


def order_120(geometry: Geometry, rng: np.random.Generator) -> FloatArray:
    """120-degree order of the triangular lattice: three sublattices, spins in the xy plane.

    Site 0 points along x, and each step along the row nearest to the first cell vector turns by 240 degrees about z
    (wavevector K = 4 pi/3a along that row, a the distance of neighbours).

    Parameters
    ----------
    geometry : Geometry
        A triangular lattice.
    rng : numpy Generator
        Not used.
    """
    frame = _triangular(geometry, "120-degree")
    phase = _phases(geometry, frame, np.array([[4.0 * np.pi / (3.0 * frame.edge), 0.0, 0.0]]), "120-degree")[:, 0]
    return np.stack([np.cos(phase), np.sin(phase), np.zeros_like(phase)], axis=1)


def tetrahedral(geometry: Geometry, rng: np.random.Generator, chirality: int = 1) -> FloatArray:
    """Tetrahedral (triple-Q) order of the triangular lattice, four sublattices on the 2x2 cell.

    s = (cos M1.r, cos M2.r, cos M3.r)/sqrt(3): (1,1,1), (1,-1,-1), (-1,1,-1), (-1,-1,1) over sqrt(3), with r from site 0,
    which is (1,1,1), and scalar chirality s_i.(s_j x s_k) = +0.7698 on every triangle (i, j, k) counter-clockwise, seen
    from +z; `chirality` = -1 gives -0.7698.

    Parameters
    ----------
    geometry : Geometry
        A triangular lattice.
    rng : numpy Generator
        Not used.
    chirality : int
        Sign of the scalar chirality, 1 or -1.
    """
    frame = _triangular(geometry, "tetrahedral")
    waves = 2.0 * np.pi / (frame.edge * _ROOT3) * np.array([[0.0, 1.0, 0], [_ROOT3 / 2, -0.5, 0], [_ROOT3 / 2, 0.5, 0]])
    spins = np.cos(_phases(geometry, frame, waves, "tetrahedral")) / _ROOT3
    return _oriented(chirality) * normalized(spins)


def _oriented(chirality: int) -> int:
    if chirality not in (1, -1):
        raise InvalidGeometryError(f"chirality must be 1 or -1, got {chirality}")
    return chirality


def skyrmion_crystal(
    geometry: Geometry,
    rng: np.random.Generator,
    period: float = 6.0,
    phase: float = 0.0,
    magnetization: ArrayLike = (0.0, 0.0, 0.0),
) -> FloatArray:
    """Triple-Q skyrmion crystal s ~ (cos(Q1.r + p), cos(Q2.r + p), cos(Q3.r + p)) + m, p = phase/3, |Q| = 2 pi/period.

    The wavevectors are at 120 degrees to each other, Q1 along the row of the lattice nearest to the first cell vector; r
    counts from site 0.  A magnetic cell has 4/3 period^2 sites (48 at 6) and the topological charge of one of the skyrmion
    crystals of the triangular Kondo lattice (Ozawa, Hayami, Motome, Phys. Rev. Lett. 118, 147205 (2017),
    doi:10.1103/PhysRevLett.118.147205, arXiv:1703.03227):

    ======  =======================  ======  ================
    phase   magnetization            charge  where it is
    ======  =======================  ======  ================
    0, pi   small                    -2, +2  without a field
    pi/2    0.35 (1, 1, 1)           -1      in a field
    ======  =======================  ======  ================

    Parameters
    ----------
    geometry : Geometry
        A triangular lattice.
    rng : numpy Generator
        Not used.
    period : float
        2 pi/|Q|, distances of nearest neighbours.
    phase : float
        Sum of the phases of the three waves, radian; whole turns only shift the crystal.
    magnetization : (3,) array_like
        m, added before spins are brought to length 1.

    Raises
    ------
    InvalidGeometryError
        If the lattice or its size does not fit, or for numbers out of range.
    """
    if not np.isfinite(period) or period <= 0.0:
        raise InvalidGeometryError(f"skyrmion period must be positive, got {period}")
    added = np.asarray(magnetization, dtype=float)
    if added.shape != (3,) or not (np.isfinite(added).all() and np.isfinite(phase)):
        raise InvalidGeometryError(
            "a skyrmion crystal has a finite phase and a magnetization of three finite numbers, "
            f"got phase={phase}, magnetization={magnetization!r}"
        )
    frame = _triangular(geometry, "skyrmion-crystal")
    angle = np.array([0.0, 2.0, 4.0]) * np.pi / 3.0
    waves = 2.0 * np.pi / (period * frame.edge) * np.stack([np.cos(angle), np.sin(angle), np.zeros(3)], axis=1)
    spins = np.cos(_phases(geometry, frame, waves, "skyrmion-crystal") + phase / 3.0) + added
    spins[np.linalg.norm(spins, axis=1) < 1e-12] = [0.0, 0.0, 1.0]
    return normalized(spins)


TEXTURES: dict[str, Texture] = {
    "random": random,
    "ferro": ferro,
    "120-degree": order_120,
    "tetrahedral": tetrahedral,
    "spiral": spiral,
    "skyrmion-crystal": skyrmion_crystal,
    "domain-wall": domain_wall,
    "skyrmion": skyrmion,
}


def build(name: str, geometry: Geometry, rng: np.random.Generator, **options: object) -> FloatArray:
    """Spins of the texture called `name`, shape (N, 3), unit vectors.

    Parameters
    ----------
    name : str
        Style of the kind ``initializers``, built in.
    geometry : Geometry
        Sites.
    rng : numpy Generator
        Source of randomness.
    options
        Of the texture.

    Raises
    ------
    InvalidGeometryError
        On an unknown texture or option, or a texture that does not fit the positions.
    """
    if name not in TEXTURES:
        raise InvalidGeometryError(f"unknown texture {name!r}: use one of {', '.join(TEXTURES)}")
    texture = TEXTURES[name]
    known = [key for key in inspect.signature(texture).parameters if key not in ("geometry", "rng")]
    for key in options:
        if key not in known:
            raise InvalidGeometryError(f"texture {name!r} has no option {key!r}: it takes {', '.join(known) or 'none'}")
    return texture(geometry, rng, **options)


__all__ = [
    "TEXTURES",
    "build",
    "domain_wall",
    "ferro",
    "order_120",
    "random",
    "skyrmion",
    "skyrmion_crystal",
    "spiral",
    "tetrahedral",
    "walls_between",
]
