r"""Volumes of zero modes: how much room a magnet has along directions in which its energy does not change.

Lengths are those of the unit spins, :math:`dl^2 = \sum_i |ds_i|^2`, radian.  Turning all spins is exact: a circle about one
axis has length :math:`2\pi (\sum_i |n\times s_i|^2)^{1/2}`; with all three axes a collinear state has a sphere of area
:math:`4\pi N`, any other a volume :math:`8\pi^2 (\det M)^{1/2}`, :math:`M = \sum_i (1 - s_i s_i^T)`.  A texture that moves
along a lattice vector is interpolated between its places on the lattice (periodic splines of every site's spin), and the
length integrated along that path.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline

from spinase.atoms import get_moments
from spinase.contract import calculator_of, field_function
from spinase.errors import InvalidGeometryError, ModelError
from spinase.spin_algebra import directions, rotation_matrix, tangent
from spinase.typing import FloatArray, IntArray

_RANK = 1e-6  # of the largest turn: tangents below are none (a collinear state about its own axis)
_SAME = 1e-3  # lengths, of the shortest translation: places that are one site
_TURNS = (0.7, 1.9)  # radian: where the energy of turned states is looked at
_FEWEST = 4  # places of a texture along a translation


class Orbit(NamedTuple):
    """States of equal energy through one state.

    Attributes
    ----------
    tangents : (p, N, 3)
        Orthonormal directions within it, one for each zero mode.
    volume : float
        Length, area or volume, radian to the power p.
    """

    tangents: FloatArray
    volume: float


def rotation_orbit(atoms: Atoms, flat: FloatArray, axis: ArrayLike | None, slack: float) -> Orbit:
    """States that arise if all spins turn, about the axes about which this costs nothing.

    Parameters
    ----------
    atoms : Atoms
        The state, with its calculator.
    flat : (p, N, 3)
        Orthonormal directions without curvature.
    axis : (3,), optional
        Of the turn, for a collinear state that stands oblique to the only axis of its magnet; default: found.
    slack : float
        Largest |s x H| that turned states may have, energy.

    Raises
    ------
    ModelError
        If turned states are not stationary, or the axes form no group.
    """
    spins = directions(get_moments(atoms))[0]
    turns = np.stack([np.cross(one, spins) for one in np.eye(3)])  # (3, N, 3)
    left, sizes, right = np.linalg.svd(turns.reshape(3, -1), full_matrices=False)
    rank = int(np.count_nonzero(sizes > _RANK * sizes[0]))
    across, free = right[:rank], flat.reshape(len(flat), spins.size)
    overlaps, weights, _ = np.linalg.svd(across @ free.T) if len(flat) else (np.zeros((rank, 0)), np.zeros(0), None)
    count = int(np.count_nonzero(weights > 0.99))
    if not count:
        return Orbit(np.zeros((0, *spins.shape)), 1.0)
    tangents = (overlaps[:, :count].T @ across).reshape(count, *spins.shape)
    if count == 1:
        axes = left[:, :rank] @ (overlaps[:, 0] / sizes[:rank])
        return Orbit(tangents, _circle(atoms, spins, axes, axis, slack))
    if count == 2 and rank == 3:
        raise ModelError(
            "this state turns freely about two axes, which are no group of rotations of a state that is not "
            "collinear: choose a smaller threshold `zero`"
        )
    _require_free(atoms, spins, np.array([0.6, 0.0, 0.8]), slack)
    _require_free(atoms, spins, np.array([0.0, 0.8, -0.6]), slack)
    if count == 2:
        return Orbit(tangents, 4.0 * np.pi * float(np.sum(spins**2)))
    return Orbit(tangents, 8.0 * np.pi**2 * float(np.prod(sizes)))


def _circle(atoms: Atoms, spins: FloatArray, found: FloatArray, axis: ArrayLike | None, slack: float) -> float:
    """Length of the circle of turns about the axis that is given, or the one of the likely ones that is free."""
    likely = [found, *np.eye(3)] if axis is None else [np.asarray(axis, dtype=np.float64)]
    for direction in likely:
        unit = direction / np.linalg.norm(direction)
        size = float(np.linalg.norm(np.cross(unit, spins)))
        if size > _RANK and _is_free(atoms, spins, unit, slack):
            return 2.0 * np.pi * size
    raise ModelError(
        f"turning all spins by a little costs no energy, but turning them on about "
        f"{np.round(likely[0], 4).tolist()} does: give "
        "the axis of the rotations under which the energy does not change (`axis`), or a smaller threshold `zero`"
    )


def _is_free(atoms: Atoms, spins: FloatArray, axis: FloatArray, slack: float) -> bool:
    """Whether states turned about `axis` are stationary, too."""
    lengths = np.linalg.norm(get_moments(atoms), axis=1)
    fields = field_function(atoms, calculator_of(atoms), lengths)
    for angle in _TURNS:
        turned = spins @ rotation_matrix(axis, angle).T
        torques = np.cross(turned, lengths[:, None] * fields(turned))
        if np.linalg.norm(torques, axis=1).max() > slack:
            return False
    return True


def _require_free(atoms: Atoms, spins: FloatArray, axis: FloatArray, slack: float) -> None:
    if not _is_free(atoms, spins, axis, slack):
        raise ModelError(
            f"turning all spins by a little costs no energy, but turning them on about {axis.tolist()} does: choose "
            "a smaller threshold `zero`"
        )


def translation_orbit(atoms: Atoms, translations: ArrayLike) -> Orbit:
    """Places of a texture along lattice vectors.

    Parameters
    ----------
    atoms : Atoms
        Periodic along them.
    translations : (1 or 2, 3)
        Shortest lattice vectors of the sites, Cartesian, length.

    Raises
    ------
    InvalidGeometryError
        If a translation does not bring sites to sites.
    ModelError
        If the texture has too few places, or does not change.
    """
    steps = np.atleast_2d(np.asarray(translations, dtype=np.float64))
    if steps.shape not in ((1, 3), (2, 3)):
        raise ModelError(f"translations must be one or two vectors of three numbers, got an array of shape {steps.shape}")
    spins = directions(get_moments(atoms))[0]
    lengths, slopes = [], []
    for step in steps:
        ring = _places(spins, shifted_sites(atoms, step))
        if len(ring) < _FEWEST:
            raise ModelError(
                f"a texture that moves by {step.tolist()} is back after {len(ring)} steps: at least {_FEWEST} are needed to "
                "measure its path; use a larger periodic magnet"
            )
        length, slope = _path(ring)
        lengths.append(len(ring) * length)
        slopes.append(slope)
    sizes = np.array([np.linalg.norm(slope) for slope in slopes])
    if sizes.min() < 1e-6:
        raise ModelError("the texture does not change if it is moved: it has no such zero mode, leave `translations` out")
    units = np.array(slopes) / sizes[:, None, None]
    if len(steps) == 1:
        return Orbit(units, lengths[0])
    cosine = float(np.sum(units[0] * units[1]))
    second = units[1] - cosine * units[0]
    sine = float(np.linalg.norm(second))
    if sine < 1e-3:
        raise ModelError("both translations move the texture the same way: give one, or two that are independent")
    return Orbit(np.stack([units[0], second / sine]), lengths[0] * lengths[1] * sine)


def shifted_sites(atoms: Atoms, step: FloatArray) -> IntArray:
    """For every site the one at `step` from it, in periodic boundaries, (N,).

    Parameters
    ----------
    atoms : Atoms
    step : (3,) ndarray
        Length.

    Raises
    ------
    InvalidGeometryError
        Naming a site without one.
    """
    cell = atoms.cell.complete().array
    places = atoms.positions @ np.linalg.inv(cell)
    moved = (atoms.positions + step) @ np.linalg.inv(cell)
    away = moved[:, None, :] - places[None, :, :]
    away -= np.where(atoms.pbc, np.round(away), 0.0)
    distances = np.linalg.norm(away @ cell, axis=2)
    nearest = distances.argmin(axis=1)
    far = distances[np.arange(len(atoms)), nearest] > _SAME * np.linalg.norm(step)
    if far.any() or not np.array_equal(atoms.numbers, atoms.numbers[nearest]):
        site = int(np.argmax(far))
        raise InvalidGeometryError(
            f"the translation {step.tolist()} does not bring site {site} to a site of its kind: give lattice vectors along "
            "periodic directions"
        )
    return np.asarray(nearest, dtype=np.int64)


def _places(spins: FloatArray, target: IntArray) -> FloatArray:
    """The texture at all its places along a translation, (n, N, 3), until the sites are back."""
    found, sites = [spins], target
    while not np.array_equal(sites, np.arange(len(spins))):
        moved = np.empty_like(spins)
        moved[sites] = spins
        found.append(moved)
        sites = target[sites]
    return np.array(found)


def _path(ring: FloatArray) -> tuple[float, FloatArray]:
    """Length of one step along the interpolated path, and the slope (N, 3) at its start."""
    spline = CubicSpline(np.arange(len(ring) + 1), np.concatenate([ring, ring[:1]]), bc_type="periodic")
    points, weights = np.polynomial.legendre.leggauss(6)

    def slope(at: float) -> FloatArray:
        """ds/dx of the normalized spins."""
        unit, size = directions(spline(at))
        return np.asarray(tangent(spline(at, 1), unit) / np.where(size > 0.0, size, 1.0)[:, None])

    length = sum(0.5 * w * np.linalg.norm(slope(0.5 * (x + 1.0))) for x, w in zip(points, weights, strict=True))
    return float(length), slope(0.0)


__all__ = ["Orbit", "rotation_orbit", "shifted_sites", "translation_orbit"]
