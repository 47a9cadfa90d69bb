r"""Is a state where all forces vanish a minimum?  The lowest curvatures of the energy, from differences of gradients.

With x -> coordinates of a relaxation (rotation vectors across the spins, positions), g -> gradient, v -> unit directions,

.. math:: H v = \frac{g(x + h v) - g(x - h v)}{2h}

in full for few coordinates, in a Krylov space (Lanczos) for many.  Lanczos' values lie above the true ones, so directions
that it finds negative are; it may miss curvatures much smaller than the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from spinase.typing import FloatArray

_STEP = 1e-4  # radian, or lengths that count as one
_FULL = 60  # coordinates up to which the Hessian is taken whole
_KRYLOV = 40
_NEGATIVE = 1e-5  # of the energy scale: curvatures above minus that are zero within the errors of the differences


class Surface(Protocol):
    """What relaxations see of a magnet (see :class:`~spinase.dynamics.SpinOptimizable`)."""

    def get_gradient(self) -> FloatArray:
        """Gradient, flat."""
        ...

    def displaced_gradient(self, displacement: FloatArray) -> FloatArray:
        """Gradient at `displacement` (flat) from the present state, which stays."""
        ...


@dataclass(frozen=True, eq=False)
class Curvatures:
    """Lowest curvatures of the energy at a state.

    Attributes
    ----------
    values : (k,)
        Ascending, energy (per radian squared, or per square of the length that counts as a radian).
    directions : (k, n)
        Their unit directions, flat coordinates of the relaxation.
    scale : float
        Energy of a spin in its field, the largest.
    residue : float
        Largest force left, energy: curvatures are uncertain by about that.
    exact : bool
        Whether these are all, not the lowest of a Krylov space.
    """

    values: FloatArray
    directions: FloatArray
    scale: float
    residue: float
    exact: bool

    @property
    def negative(self) -> int:
        """Number of directions in which the energy falls (of a Krylov space: at least)."""
        return int(np.count_nonzero(self.values < -(_NEGATIVE * self.scale + 2.0 * self.residue)))


def lowest_curvatures(surface: Surface, basis: FloatArray, scale: float) -> Curvatures:
    """Lowest curvatures in the space of the orthonormal rows of `basis` (m, n).

    Parameters
    ----------
    surface : Surface
        Gradients near the present state.
    basis : (m, n)
        Directions in which the state can move.
    scale : float
        Energy scale, for the tolerance.
    """
    residue = float(np.linalg.norm(surface.get_gradient().reshape(-1, 3), axis=1).max(initial=0.0))
    times = _product(surface, basis)
    count = len(basis)
    if not count:
        return Curvatures(np.zeros(0), basis, scale, residue, True)
    if count <= _FULL:
        matrix = np.array([times(row) for row in np.eye(count)])
        values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
        return Curvatures(values, vectors.T @ basis, scale, residue, True)
    values, vectors = _lanczos(times, count)
    return Curvatures(values, vectors.T @ basis, scale, residue, False)


def nearest_mode(surface: Surface, basis: FloatArray, start: FloatArray, krylov: int) -> tuple[float, FloatArray]:
    """The mode most like a guess: its curvature and unit direction (n,), from the Krylov space of the guess.

    Parameters
    ----------
    surface : Surface
        Gradients near the present state.
    basis : (m, n)
        Orthonormal directions in which the state can move.
    start : (n,)
        Guess, such as the mode of a state nearby.
    krylov : int
        Products with the Hessian, two gradients each.
    """
    guess = basis @ start
    values, vectors = _lanczos(_product(surface, basis), len(basis), krylov, guess)
    overlaps = guess @ vectors
    chosen = int(np.argmax(np.abs(overlaps)))
    return float(values[chosen]), np.asarray(np.sign(overlaps[chosen]) * (vectors[:, chosen] @ basis))


def _product(surface: Surface, basis: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """The Hessian times a vector (m,) of coefficients of `basis`, by central differences."""

    def times(coefficients: FloatArray) -> FloatArray:
        """H v, (m,)."""
        direction = coefficients @ basis
        forward, backward = surface.displaced_gradient(_STEP * direction), surface.displaced_gradient(-_STEP * direction)
        return np.asarray(basis @ (forward - backward) / (2.0 * _STEP))

    return times


def _lanczos(
    times: Callable[[FloatArray], FloatArray], count: int, krylov: int = _KRYLOV, start: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Ritz values and vectors (count, k) of a symmetric operator, with full orthogonalization; default: a fixed start."""
    krylov = min(krylov, count)
    found = np.zeros((krylov, count))
    matrix = np.zeros((krylov, krylov))
    vector, size = np.random.default_rng(0).normal(size=count) if start is None else start, 0
    vector = vector / np.linalg.norm(vector)
    for k in range(krylov):
        found[k], size = vector, k + 1
        image = times(vector)
        matrix[k, : k + 1] = matrix[: k + 1, k] = found[: k + 1] @ image
        for _ in range(2):
            image = image - found[: k + 1].T @ (found[: k + 1] @ image)
        norm = float(np.linalg.norm(image))
        if norm < 1e-10 * max(1.0, float(np.abs(matrix).max())):
            break
        vector = image / norm
    values, vectors = np.linalg.eigh(matrix[:size, :size])
    return values, found[:size].T @ vectors


__all__ = ["Curvatures", "Surface", "lowest_curvatures", "nearest_mode"]
