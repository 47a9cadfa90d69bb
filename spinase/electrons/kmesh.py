r"""Meshes of k-points: regular and shifted ones, those of Monkhorst and Pack, of any superlattice, and lists with weights.

Points are in parts of the reciprocal cell vectors: a bond that crosses the cell by S carries exp(2 pi i k.S).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from spinase.errors import ModelError
from spinase.spin_algebra import own_arrays
from spinase.typing import BoolArray, FloatArray, IntArray

_SAME = 1e-9  # of a reciprocal vector: points that are one


@dataclass(frozen=True, eq=False)
class KMesh:
    """k-points with weights.

    Attributes
    ----------
    points : (n, 3)
        In parts of the reciprocal cell vectors.
    weights : (n,)
        Positive, their sum is 1.
    size : (int, int, int) or None
        Of a regular mesh, k = (n + shift)/size; None for others.
    shift : (3,)
        Of a regular mesh, in its steps.
    """

    points: FloatArray
    weights: FloatArray
    size: tuple[int, int, int] | None = None
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        own_arrays(self)

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        if self.size is None:
            return f"KMesh.of_points({len(self)} points)"
        return f"KMesh.regular({self.size}" + (f", shift={self.shift})" if any(self.shift) else ")")

    @classmethod
    def regular(cls, size: tuple[int, int, int], shift: ArrayLike = (0.0, 0.0, 0.0)) -> KMesh:
        """k = (n + shift)/size; without a shift Gamma is a point, and the mesh stands for a cell repeated `size` times.

        Parameters
        ----------
        size : (int, int, int)
            Points along the reciprocal cell vectors.
        shift : (3,)
            In steps of the mesh; 1/2 keeps it symmetric under k -> -k.

        Raises
        ------
        ModelError
            For other numbers.
        """
        counts = tuple(int(n) for n in size)
        if len(counts) != 3 or min(counts) < 1 or counts != tuple(size):
            raise ModelError(f"kpts must be three positive integers, got {size!r}")
        offset = np.asarray(shift, dtype=np.float64)
        if offset.shape != (3,) or not np.isfinite(offset).all():
            raise ModelError(f"the shift of a mesh must be three finite numbers, in steps of the mesh, got {shift!r}")
        index = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), axis=-1).reshape(-1, 3)
        points = (index + offset) / np.array(counts)
        x, y, z = (float(value) for value in offset)
        a, b, c = counts
        return cls(points, np.full(len(points), 1.0 / len(points)), (a, b, c), (x, y, z))

    @classmethod
    def monkhorst_pack(cls, size: tuple[int, int, int]) -> KMesh:
        """The mesh of Monkhorst and Pack, k = (2 n - size - 1)/(2 size), n = 1 ... size: even sizes leave out Gamma.

        Parameters
        ----------
        size : (int, int, int)
            Points along the reciprocal cell vectors.
        """
        return cls.regular(size, [0.5 * (1 - n % 2) for n in size])

    @classmethod
    def of_superlattice(cls, matrix: ArrayLike, shift: ArrayLike = (0.0, 0.0, 0.0)) -> KMesh:
        """All k for which `matrix` k is whole: those that stand for a supercell of any shape (a generalized regular mesh).

        Parameters
        ----------
        matrix : (3, 3) of int
            Rows: vectors of the supercell in those of the cell; its determinant is the number of points.
        shift : (3,)
            In steps of the mesh: matrix k = n + shift.

        Raises
        ------
        ModelError
            If the matrix is not of whole numbers, or singular.
        """
        rows = np.asarray(matrix, dtype=np.float64)
        offset = np.asarray(shift, dtype=np.float64)
        if rows.shape != (3, 3) or not np.array_equal(rows, np.round(rows)) or abs(np.linalg.det(rows)) < 0.5:
            raise ModelError(f"a superlattice needs a (3, 3) matrix of whole numbers that is not singular, got {matrix!r}")
        if offset.shape != (3,) or not np.isfinite(offset).all():
            raise ModelError(f"the shift of a mesh must be three finite numbers, in steps of the mesh, got {shift!r}")
        count = round(abs(float(np.linalg.det(rows))))
        inverse = np.linalg.inv(rows)
        points = np.mod((_classes(rows, count) + offset) @ inverse.T, 1.0)
        return cls(points, np.full(len(points), 1.0 / len(points)))

    @classmethod
    def of_points(cls, points: ArrayLike, weights: ArrayLike | None = None) -> KMesh:
        """A list of points of your own.

        Parameters
        ----------
        points : (n, 3)
            In parts of the reciprocal cell vectors.
        weights : (n,), optional
            Positive; brought to the sum 1.  Default: all equal.

        Raises
        ------
        ModelError
            For other shapes, or weights that are not positive.
        """
        places = np.atleast_2d(np.asarray(points, dtype=np.float64))
        shares = np.ones(len(places)) if weights is None else np.asarray(weights, dtype=np.float64)
        if places.ndim != 2 or places.shape[1] != 3 or not len(places) or not np.isfinite(places).all():
            raise ModelError(f"k-points must be finite, of shape (n, 3), got shape {places.shape}")
        if shares.shape != (len(places),) or not np.isfinite(shares).all() or (shares <= 0.0).any():
            raise ModelError(f"k-points need one positive weight each, got {weights!r} for {len(places)} points")
        return cls(places, shares / shares.sum())

    def require_periodic(self, pbc: BoolArray) -> None:
        """Refuse points along open directions.

        Parameters
        ----------
        pbc : (3,) of bool
            Periodic directions.

        Raises
        ------
        ModelError
            Naming the direction.
        """
        for axis in range(3):
            if self.points[:, axis].any() and not pbc[axis]:
                name = f"kpts = {self.size}" if self.size is not None else repr(self)
                raise ModelError(f"{name} samples direction {axis}, which is not periodic: use 1 there, or set pbc")

    def images(self, map_: FloatArray) -> IntArray | None:
        """Where a linear map of k brings every point, as numbers (n,); None if some are no points, or have other weights.

        Parameters
        ----------
        map_ : (3, 3) ndarray
            k -> map k.
        """
        moved = self.points @ map_.T
        order = np.lexsort(self._keys(self.points).T)
        there = np.lexsort(self._keys(moved).T)
        apart = self.points[order] - moved[there]
        apart -= np.round(apart)
        if np.abs(apart).max() > _SAME:
            return None
        target = np.empty(len(self), dtype=np.int64)
        target[there] = order
        return target if np.allclose(self.weights[target], self.weights, rtol=1e-12, atol=0.0) else None

    def reduced(self, targets: list[IntArray]) -> KMesh:
        """One point of every orbit, with the weight of all.

        Parameters
        ----------
        targets : list of (n,) ndarray
            What :meth:`images` gave for every map of a group.
        """
        first = np.min([np.arange(len(self)), *targets], axis=0)
        kept = np.flatnonzero(first == np.arange(len(self)))
        weights: FloatArray = np.bincount(first, weights=self.weights, minlength=len(self)).astype(np.float64)
        return KMesh(self.points[kept], weights[kept])

    @staticmethod
    def _keys(points: FloatArray) -> IntArray:
        """Whole numbers (n, 3) by which equal points (up to reciprocal vectors) are sorted alike."""
        steps = round(1.0 / (8.0 * _SAME))
        return np.asarray(np.round(np.mod(points, 1.0) * steps).astype(np.int64) % steps)


def _classes(rows: FloatArray, count: int) -> FloatArray:
    """Whole-number vectors that hold one of every class modulo the columns of a matrix: a box of its Hermite form."""
    form = np.round(rows).astype(np.int64).copy()
    for k in range(3):
        while np.count_nonzero(form[k, k:]) > 1 or form[k, k] == 0:
            filled = [j for j in range(k, 3) if form[k, j]]
            least = min(filled, key=lambda j: abs(int(form[k, j])))
            form[:, [k, least]] = form[:, [least, k]]
            for j in range(k + 1, 3):
                form[:, j] -= (form[k, j] // form[k, k]) * form[:, k]
    assert abs(int(np.prod(np.diag(form)))) == count
    return np.array(list(product(*(range(abs(int(form[k, k]))) for k in range(3)))), dtype=np.float64)


def as_mesh(kpts: KMesh | tuple[int, int, int]) -> KMesh:
    """A mesh from what a user gives: a mesh, or the size of a regular one.

    Parameters
    ----------
    kpts : KMesh or (int, int, int)
    """
    return kpts if isinstance(kpts, KMesh) else KMesh.regular(kpts)


__all__ = ["KMesh", "as_mesh"]
