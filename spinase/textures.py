"""Initial spin textures on given positions: every function returns unit vectors, shape (N, 3).

The ordered ones follow plane waves of the positions, so they work on any size that fits their period
(a size that does not fit is refused where the texture would break at the boundary).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spinase.errors import InvalidGeometryError
from spinase.geometry import Geometry
from spinase.spin_algebra import normalized, random_spins

FloatArray = NDArray[np.float64]
Texture = Callable[..., FloatArray]

_ROOT3 = np.sqrt(3.0)


def random(geometry: Geometry, rng: np.random.Generator) -> FloatArray:
    """Independent spins, uniform on the sphere."""
    return random_spins(len(geometry), rng)


def ferro(geometry: Geometry, rng: np.random.Generator, direction: ArrayLike = (0, 0, 1), noise: float = 0.0) -> FloatArray:
    """All spins along `direction`, with Gaussian `noise` (radian) about it."""
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
    b the reciprocal cell of ``geometry.cell``: integers along periodic directions fit the boundary.
    """
    waves = np.asarray(wavevector, dtype=float)
    broken = [k for k in range(3) if geometry.pbc[k] and abs(waves[k] - round(waves[k])) > 1e-9]
    if broken:
        raise InvalidGeometryError(
            f"spiral wavevector {waves.tolist()} does not fit the periodic direction {broken[0]}: give whole turns per cell"
        )
    phase = 2.0 * np.pi * geometry.positions @ np.linalg.pinv(geometry.cell) @ waves
    normal = normalized(np.asarray(axis, dtype=float)[None, :], "axis")[0]
    first = normalized(np.cross(normal, np.eye(3)[int(np.argmin(np.abs(normal)))])[None, :])[0]
    return np.cos(phase)[:, None] * first + np.sin(phase)[:, None] * np.cross(normal, first)


def _edge(geometry: Geometry) -> float:
    """Nearest-neighbour distance of the lattice, from the two closest sites."""
    gaps = np.linalg.norm(geometry.positions[1:] - geometry.positions[0], axis=1)
    if not len(gaps):
        raise InvalidGeometryError("a texture with a period needs more than one site: enlarge the lattice")
    return float(gaps.min())


def _check_fit(geometry: Geometry, wavevectors: FloatArray, name: str) -> None:
    turns = geometry.cell @ wavevectors.T / (2.0 * np.pi)
    bad = np.abs(turns - np.round(turns)).max(axis=1) > 1e-6
    if np.any(bad & geometry.pbc):
        axis = np.flatnonzero(bad & geometry.pbc)[0]
        raise InvalidGeometryError(f"a {name} texture does not fit periodic direction {axis}: change the size")


def order_120(geometry: Geometry, rng: np.random.Generator) -> FloatArray:
    """120-degree order of the triangular lattice: three sublattices in the xy plane, wavevector K = (4 pi/3a, 0)."""
    edge = _edge(geometry)
    wave = np.array([[4.0 * np.pi / (3.0 * edge), 0.0, 0.0]])
    _check_fit(geometry, wave, "120-degree")
    phase = geometry.positions @ wave[0]
    return np.stack([np.cos(phase), np.sin(phase), np.zeros_like(phase)], axis=1)


def tetrahedral(geometry: Geometry, rng: np.random.Generator, chirality: int = 1) -> FloatArray:
    """Tetrahedral (triple-Q) order of the triangular lattice, four sublattices on the 2x2 cell.

    s = (cos M1.r, cos M2.r, cos M3.r)/sqrt(3): (1,1,1), (1,-1,-1), (-1,1,-1), (-1,-1,1) over sqrt(3), with scalar
    chirality s_i.(s_j x s_k) = +0.7698 on every triangle (i, j, k) counter-clockwise; `chirality` = -1 gives -0.7698.
    """
    edge = _edge(geometry)
    waves = 2.0 * np.pi / (edge * _ROOT3) * np.array([[0.0, 1.0, 0], [_ROOT3 / 2, -0.5, 0], [_ROOT3 / 2, 0.5, 0]])
    _check_fit(geometry, waves, "tetrahedral")
    spins = np.cos(geometry.positions @ waves.T) / _ROOT3
    return _oriented(chirality) * normalized(spins)


def _oriented(chirality: int) -> int:
    if chirality not in (1, -1):
        raise InvalidGeometryError(f"chirality must be 1 or -1, got {chirality}")
    return chirality


def skyrmion_crystal(geometry: Geometry, rng: np.random.Generator, period: float = 6.0) -> FloatArray:
    """Triple-Q skyrmion crystal s ~ (cos Q1.r, cos Q2.r, cos Q3.r), |Q| = 2 pi/period, at 120 degrees to each other.

    With `period` = 6 nearest-neighbour distances this is the n_sk = 2 crystal of the triangular Kondo lattice
    (two units of topological charge per magnetic cell; Ozawa, Hayami, Motome, arXiv:1703.03227).
    """
    if not np.isfinite(period) or period <= 0.0:
        raise InvalidGeometryError(f"skyrmion period must be positive, got {period}")
    edge = _edge(geometry)
    angle = np.array([0.0, 2.0, 4.0]) * np.pi / 3.0
    waves = 2.0 * np.pi / (period * edge) * np.stack([np.cos(angle), np.sin(angle), np.zeros(3)], axis=1)
    _check_fit(geometry, waves, "skyrmion-crystal")
    spins = np.cos(geometry.positions @ waves.T)
    spins[np.linalg.norm(spins, axis=1) < 1e-12] = [0.0, 0.0, 1.0]
    return normalized(spins)


def domain_wall(
    geometry: Geometry, rng: np.random.Generator, width: float = 2.0, position: float = 0.5, angle: float = 0.0
) -> FloatArray:
    """Wall across x between +z (left) and -z (right): s_z = -tanh(x/width), s_perp = sech(x/width).

    `width` is in length units, `position` the fraction of the extent along x, `angle` (radian) the in-plane direction
    of the middle spin (0: along x, a Neel wall; pi/2: along y, a Bloch wall).
    """
    if not np.isfinite(width) or width <= 0.0:
        raise InvalidGeometryError(f"wall width must be positive, got {width}")
    x = geometry.positions[:, 0]
    scaled = (x - x.min() - position * np.ptp(x)) / width
    perpendicular = 1.0 / np.cosh(np.clip(scaled, -300.0, 300.0))
    return normalized(np.stack([perpendicular * np.cos(angle), perpendicular * np.sin(angle), -np.tanh(scaled)], axis=1))


TEXTURES: dict[str, Texture] = {
    "random": random,
    "ferro": ferro,
    "120-degree": order_120,
    "tetrahedral": tetrahedral,
    "spiral": spiral,
    "skyrmion-crystal": skyrmion_crystal,
    "domain-wall": domain_wall,
}


def build(name: str, geometry: Geometry, rng: np.random.Generator, **options: object) -> FloatArray:
    """Spins of the texture called `name`, shape (N, 3), unit vectors.

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
