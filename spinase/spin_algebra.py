"""Spin algebra on arrays: Pauli matrices, rotations, tangent projection, and the compiled kernels of a spin step.

All functions take and return plain float64 arrays of shape (N, 3), one row per site.  The kernels are
numba functions; they are pure (new array out) and run on one thread, so results do not depend on the machine.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spinase.compiled import njit
from spinase.errors import InvalidMomentsError, ModelError
from spinase.typing import BoolArray, ComplexArray, FloatArray

PAULI: ComplexArray = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=np.complex128)
"""Pauli matrices sigma_x, sigma_y, sigma_z, shape (3, 2, 2)."""


def as_vectors(values: ArrayLike, sites: int, what: str) -> FloatArray:
    """Return `values` as a finite float64 array of shape (sites, 3).

    A single vector (3,) is repeated for every site.

    Parameters
    ----------
    values : (N, 3) or (3,) array_like
        Numbers.
    sites : int
        N.
    what : str
        Name of the values, for messages.

    Raises
    ------
    InvalidMomentsError
        On a wrong shape or a value that is not finite; the message names `what` and the site.
    """
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidMomentsError(f"{what} must be numbers of shape ({sites}, 3): {error}") from None
    if array.shape == (3,):
        array = np.tile(array, (sites, 1))
    if array.shape != (sites, 3):
        raise InvalidMomentsError(f"{what} must have shape ({sites}, 3), one Cartesian vector per site; got {array.shape}")
    if math.isfinite(np.vdot(array, array)):  # the cheapest look there is; a sum that overflows is looked at closely
        return array
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise InvalidMomentsError(f"{what} of site {bad[0]} is not finite: {array[bad[0]]} ({len(bad)} such sites)")
    return array


def read_only(values: ArrayLike) -> FloatArray:
    """A float64 copy of `values` that cannot be written: a parameter that stays what it was when it was checked.

    Parameters that shared memory with the caller's array would change behind the caches of a calculator.
    """
    array = as_numbers(values, "parameters")
    array.setflags(write=False)
    return array


def as_numbers(values: Any, what: str) -> FloatArray:
    """A float64 copy of numbers that a user gave.

    Parameters
    ----------
    values : Any
        A number or an array.
    what : str
        Their name, a plural, for the message.

    Raises
    ------
    ModelError
        If they are none; amounts with their units, which input files and drivers take, are told how they become numbers.
    """
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ModelError(
            f"{what} must be numbers, got {values!r}; in a script an amount with its unit becomes one by "
            "spinase.amounts.amount('16 meV', 'energy')"
        ) from None


def own_arrays(instance: object) -> None:
    """Replace the arrays among the fields of a (frozen) dataclass by copies that cannot be written."""
    for name, value in vars(instance).items():
        if isinstance(value, np.ndarray):
            copy = value.copy()
            copy.setflags(write=False)
            object.__setattr__(instance, name, copy)


def normalized(vectors: FloatArray, what: str = "spins") -> FloatArray:
    """Return `vectors` scaled to unit length.

    Parameters
    ----------
    vectors : (N, 3) ndarray
        None of them zero.
    what : str
        Their name, for messages.

    Raises
    ------
    InvalidMomentsError
        If a row has zero length, naming the site.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    zero = np.flatnonzero(lengths == 0.0)
    if len(zero):
        raise InvalidMomentsError(
            f"{what} of site {zero[0]} has zero length and so no direction ({len(zero)} such sites); "
            "give a non-zero vector, or make the site non-magnetic with a zero row in set_moments"
        )
    return vectors / lengths[:, None]


def directions(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Unit vectors along the rows of `vectors` (..., 3), zero where a row is zero, and the lengths (...,) of the rows."""
    shape = vectors.shape
    units, lengths = _directions(np.ascontiguousarray(vectors, dtype=np.float64).reshape(-1, 3))
    return units.reshape(shape), lengths.reshape(shape[:-1])


@njit
def _directions(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """:func:`directions` of rows (N, 3), in one pass: numpy's six are what a step of a small magnet waits for."""
    units, lengths = np.empty_like(vectors), np.empty(len(vectors))
    for i in range(len(vectors)):
        x, y, z = vectors[i, 0], vectors[i, 1], vectors[i, 2]
        length = np.sqrt(x * x + y * y + z * z)
        scale = length if length > 0.0 else 1.0
        units[i, 0], units[i, 1], units[i, 2], lengths[i] = x / scale, y / scale, z / scale, length
    return units, lengths


@njit
def has_length(vectors: FloatArray) -> BoolArray:
    """Whether rows (N, 3) are not zero, (N,)."""
    out = np.empty(len(vectors), dtype=np.bool_)
    for i in range(len(vectors)):
        out[i] = (vectors[i, 0] != 0.0) | (vectors[i, 1] != 0.0) | (vectors[i, 2] != 0.0)
    return out


@njit
def largest_difference(one: FloatArray, other: FloatArray) -> float:
    """Largest |component| of one - other, both (N, 3); nan where there is one.

    Parameters
    ----------
    one, other : (N, 3) ndarray
        Vectors.
    """
    largest = 0.0
    for i in range(len(one)):
        for a in range(3):
            change = abs(one[i, a] - other[i, a])
            if not change <= largest:
                if np.isnan(change):
                    return change
                largest = change
    return largest


def parallel(vectors: FloatArray, spins: FloatArray) -> FloatArray:
    """Part of `vectors` (..., 3) along the unit vectors `spins`: s (s.v).

    Parameters
    ----------
    vectors, spins : (..., 3) ndarray
        Any vectors, and unit vectors; leading axes broadcast.
    """
    return spins * np.einsum("...a,...a->...", vectors, spins)[..., None]


def tangent(vectors: FloatArray, spins: FloatArray) -> FloatArray:
    """Part of `vectors` (..., 3) across the unit vectors `spins`: v - s (s.v).

    Parameters
    ----------
    vectors, spins : (..., 3) ndarray
        Any vectors, and unit vectors; leading axes broadcast.
    """
    return vectors - parallel(vectors, spins)


def per_moment(gradient: FloatArray, lengths: FloatArray) -> FloatArray:
    """B_i = H_i / mu_i from H_i = -dE/ds_i (N, 3); zero where there is no moment.

    Parameters
    ----------
    gradient : (N, 3) ndarray
        H, energy.
    lengths : (N,) ndarray
        mu, mu_B or |m|.
    """
    rows = np.ascontiguousarray(gradient, dtype=np.float64)
    fields: FloatArray = _per_moment(rows, np.ascontiguousarray(lengths, dtype=np.float64))
    return fields


@njit
def _per_moment(gradient: FloatArray, lengths: FloatArray) -> FloatArray:
    """H_i / mu_i, (N, 3), of H (N, 3) and mu (N,)."""
    out = np.empty_like(gradient)
    for i in range(len(gradient)):
        scale = lengths[i] if lengths[i] > 0.0 else np.inf
        for a in range(3):
            out[i, a] = gradient[i, a] / scale
    return out


def transverse_axes(spins: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Unit vectors e1, e2 (N, 3) across the unit vectors `spins`, with e1 x e2 = s."""
    helper = np.where(np.abs(spins[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    first = np.cross(helper, spins)
    first /= np.linalg.norm(first, axis=1)[:, None]
    return first, np.cross(spins, first)


def random_spins(sites: int, rng: np.random.Generator) -> FloatArray:
    """Independent unit vectors, uniform on the sphere, shape (sites, 3).

    Parameters
    ----------
    sites : int
        How many.
    rng : numpy Generator
        Source of randomness.
    """
    return normalized(rng.normal(size=(sites, 3)))


def rotation_matrix(axis: ArrayLike, angle: float) -> FloatArray:
    """Proper rotation by `angle` (radian, right-handed) about `axis`: R v rotates v, shape (3, 3).

    Parameters
    ----------
    axis : (3,) array_like
        Of any length but zero.
    angle : float
        Radian.
    """
    x, y, z = normalized(np.asarray(axis, dtype=np.float64)[None, :], "rotation axis")[0]
    generator = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * generator + (1.0 - np.cos(angle)) * generator @ generator


def rotation_between(source: ArrayLike, target: ArrayLike) -> FloatArray:
    """Rotation that turns the direction `source` into the direction `target` by the shortest way, shape (3, 3).

    Parameters
    ----------
    source, target : (3,) array_like
        Of any length but zero.
    """
    start = normalized(np.asarray(source, dtype=np.float64)[None, :], "source")[0]
    end = normalized(np.asarray(target, dtype=np.float64)[None, :], "target")[0]
    axis, cosine = np.cross(start, end), float(start @ end)
    if np.linalg.norm(axis) < 1e-14:
        if cosine > 0:
            return np.eye(3)
        axis = np.cross(start, np.eye(3)[int(np.argmin(np.abs(start)))])
    return rotation_matrix(axis, float(np.arctan2(np.linalg.norm(np.cross(start, end)), cosine)))


def random_rotation(rng: np.random.Generator) -> FloatArray:
    """Proper rotation, uniform on SO(3), shape (3, 3)."""
    matrix, upper = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix = matrix * np.sign(np.diag(upper))
    return matrix if np.linalg.det(matrix) > 0 else -matrix


@njit
def cross(left: FloatArray, right: FloatArray) -> FloatArray:
    """Row-wise cross product left x right, shape (N, 3).

    Parameters
    ----------
    left, right : (N, 3) ndarray
        Vectors.
    """
    out = np.empty_like(left)
    for i in range(left.shape[0]):
        out[i, 0] = left[i, 1] * right[i, 2] - left[i, 2] * right[i, 1]
        out[i, 1] = left[i, 2] * right[i, 0] - left[i, 0] * right[i, 2]
        out[i, 2] = left[i, 0] * right[i, 1] - left[i, 1] * right[i, 0]
    return out


@njit
def precession_vector(spins: FloatArray, field: FloatArray, prefactor: float, damping: float) -> FloatArray:
    """Vector A of the Landau-Lifshitz-Gilbert equation written as ds/dt = s x A.

    A = -prefactor (B + damping s x B), so that s x A = -prefactor [s x B + damping s x (s x B)].

    Parameters
    ----------
    spins : (N, 3) ndarray
        Unit vectors.
    field : (N, 3) ndarray
        B, energy/moment.
    prefactor, damping : float
        gamma/(1 + alpha^2) or gamma (1/time per field), and alpha.
    """
    out = np.empty_like(spins)
    for i in range(spins.shape[0]):
        sx, sy, sz = spins[i, 0], spins[i, 1], spins[i, 2]
        bx, by, bz = field[i, 0], field[i, 1], field[i, 2]
        out[i, 0] = -prefactor * (bx + damping * (sy * bz - sz * by))
        out[i, 1] = -prefactor * (by + damping * (sz * bx - sx * bz))
        out[i, 2] = -prefactor * (bz + damping * (sx * by - sy * bx))
    return out


@njit
def cayley(spins: FloatArray, omega: FloatArray) -> FloatArray:
    """Solve s' = s + (s + s') x omega for s', row by row: a rotation of s, exact in |s| (Cayley transform).

    Parameters
    ----------
    spins, omega : (N, 3) ndarray
        s, and minus half the rotation vector (to first order), radian.
    """
    out = np.empty_like(spins)
    for i in range(spins.shape[0]):
        sx, sy, sz = spins[i, 0], spins[i, 1], spins[i, 2]
        wx, wy, wz = omega[i, 0], omega[i, 1], omega[i, 2]
        square = wx * wx + wy * wy + wz * wz
        dot = 2.0 * (sx * wx + sy * wy + sz * wz)
        scale = 1.0 / (1.0 + square)
        out[i, 0] = ((1.0 - square) * sx + 2.0 * (sy * wz - sz * wy) + dot * wx) * scale
        out[i, 1] = ((1.0 - square) * sy + 2.0 * (sz * wx - sx * wz) + dot * wy) * scale
        out[i, 2] = ((1.0 - square) * sz + 2.0 * (sx * wy - sy * wx) + dot * wz) * scale
    return out


@njit
def rotate_about(spins: FloatArray, omega: FloatArray) -> FloatArray:
    """Exact solution after unit time of ds/dt = s x omega at constant omega (Rodrigues), row by row.

    Parameters
    ----------
    spins, omega : (N, 3) ndarray
        s, and minus the rotation vector, radian.
    """
    out = np.empty_like(spins)
    for i in range(spins.shape[0]):
        sx, sy, sz = spins[i, 0], spins[i, 1], spins[i, 2]
        wx, wy, wz = -omega[i, 0], -omega[i, 1], -omega[i, 2]
        angle = np.sqrt(wx * wx + wy * wy + wz * wz)
        if angle < 1e-8:
            sine, cosine = 1.0 - angle * angle / 6.0, 0.5
        else:
            sine, cosine = np.sin(angle) / angle, (1.0 - np.cos(angle)) / (angle * angle)
        cx, cy, cz = wy * sz - wz * sy, wz * sx - wx * sz, wx * sy - wy * sx
        out[i, 0] = sx + sine * cx + cosine * (wy * cz - wz * cy)
        out[i, 1] = sy + sine * cy + cosine * (wz * cx - wx * cz)
        out[i, 2] = sz + sine * cz + cosine * (wx * cy - wy * cx)
    return out


@njit
def renormalize(vectors: FloatArray, lengths: FloatArray) -> FloatArray:
    """Scale each row of `vectors` to the length in `lengths` (N,); zero rows stay zero.

    Parameters
    ----------
    vectors : (N, 3) ndarray
        Any vectors.
    lengths : (N,) ndarray
        Their new lengths.
    """
    out = np.empty_like(vectors)
    for i in range(vectors.shape[0]):
        norm = np.sqrt(vectors[i, 0] ** 2 + vectors[i, 1] ** 2 + vectors[i, 2] ** 2)
        scale = lengths[i] / norm if norm > 0.0 else 0.0
        for a in range(3):
            out[i, a] = vectors[i, a] * scale
    return out
