r"""Spin-orbit hopping: which bonds turn the spins of electrons that pass, and how.

A hopping is a 2x2 matrix, which enters as H = -sum_ij c+_i t_ij c_j with t_ji = t_ij+:

.. math:: t_{ij} = t(r_{ij}) + i\,v_{ij}\cdot\sigma .

Real vectors v with v_ji = -v_ij keep time reversal (electrons turn, they are not polarized); a law here gives w = i v, the
scalar part is that of a :class:`~spinase.electrons.hopping.HoppingLaw`.  Laws add up.

Signs: t_ij = i lambda (d x n).sigma on the nearest neighbours of a square lattice (d from i to j, n = z) is
H(k) = 2 lambda (sigma_x sin k_y - sigma_y sin k_x), the Rashba term alpha (k x n).sigma with alpha = 2 lambda a.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spinase.brief import call
from spinase.electrons.operator import split_blocks
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Bonds, Geometry, NeighbourCache
from spinase.pair_laws import PairLaw, ShellLaw
from spinase.spin_algebra import read_only
from spinase.typing import ComplexArray, FloatArray, IntArray

_SAME = 1e-3  # of its length: how far a bond may be from a vector of a table
_HERMITIAN = 1e-9  # of the largest entry


@dataclass(frozen=True, eq=False)
class SpinHopping:
    """What a law gives on a geometry: t_ij = scalar + vectors . sigma on every bond, from first to second.

    Attributes
    ----------
    bonds : Bonds
        As :func:`~spinase.geometry.find_bonds` lists them.
    scalar : (n,) float or complex
        Energy.
    vectors : (n, 3) complex
        Energy.
    gradients : (n, 3, 3) complex
        d vectors[a] / d r[c] with r the bond vector, energy/length.
    """

    bonds: Bonds
    scalar: FloatArray | ComplexArray
    vectors: ComplexArray
    gradients: ComplexArray


class SpinOrbitLaw(ABC):
    """Chooses the bonds of a geometry and gives the spin matrix of the hopping on each.

    Attributes
    ----------
    reverses : bool
        Whether the energy stays as it is when all moments are reversed.
    turns : bool
        Whether it stays as it is when lattice and moments are turned together.
    """

    reverses: bool = True
    turns: bool = False

    @abstractmethod
    def on(self, geometry: Geometry) -> SpinHopping:
        """Bonds and matrices."""


class DirectionalHopping(SpinOrbitLaw):
    r"""t_ij = i lambda(r) (M d).sigma with d the unit vector from i to j and M a real matrix.

    Forces come from lambda(r), where it is a law of distance, and from the direction d.

    Parameters
    ----------
    strength : sequence of float or PairLaw
        lambda by neighbour shell (energy), or a law such as :class:`~spinase.electrons.hopping.ExponentialHopping`.
    matrix : (3, 3)
        M.

    Raises
    ------
    ModelError
        If the matrix is no finite 3x3 matrix.
    """

    def __init__(self, strength: Sequence[float] | PairLaw, matrix: ArrayLike) -> None:
        self.strength = strength if isinstance(strength, PairLaw) else ShellLaw(strength)
        self.matrix = read_only(matrix)
        if self.matrix.shape != (3, 3) or not np.isfinite(self.matrix).all():
            raise ModelError(f"the matrix from directions to spin vectors must be 3x3 and finite, got {matrix!r}")
        self.turns = bool(np.allclose(self.matrix, self.matrix[0, 0] * np.eye(3), rtol=0.0, atol=1e-14))

    def __repr__(self) -> str:
        return call(type(self).__name__, self.strength, self.matrix)

    def on(self, geometry: Geometry) -> SpinHopping:
        """Bonds of the strength's law, w = i lambda M d, and dw/dr = i M [lambda' d d + lambda (1 - d d)/r]."""
        bonds, values, slopes = self.strength.amplitudes(geometry)
        units = bonds.vectors / bonds.distances[:, None]
        along = units[:, :, None] * units[:, None, :]
        across = (values / bonds.distances)[:, None, None] * (np.eye(3) - along)
        gradients = np.einsum("ab,nbc->nac", self.matrix, slopes[:, None, None] * along + across)
        vectors = values[:, None] * (units @ self.matrix.T)
        return SpinHopping(bonds, np.zeros(len(bonds)), np.asarray(1j * vectors), np.asarray(1j * gradients))


class RashbaHopping(DirectionalHopping):
    """t_ij = i lambda(r) (d x n).sigma: electrons of a surface or an interface with normal n.

    On nearest neighbours of a square lattice the continuum's alpha (k x n).sigma has alpha = 2 lambda a.

    Parameters
    ----------
    strength : sequence of float or PairLaw
        lambda by neighbour shell, or a law of distance, energy.
    normal : (3,)
        n, any length but zero.
    """

    def __init__(self, strength: Sequence[float] | PairLaw, normal: ArrayLike = (0.0, 0.0, 1.0)) -> None:
        axis = np.asarray(normal, dtype=np.float64)
        size = float(np.linalg.norm(axis)) if axis.shape == (3,) else 0.0
        if not (np.isfinite(size) and size > 0.0):
            raise ModelError(f"the normal of a Rashba hopping must be a finite vector that is not zero, got {normal!r}")
        self.normal = read_only(axis / size)
        super().__init__(strength, -np.cross(self.normal, np.eye(3)).T)

    def __repr__(self) -> str:
        return call(type(self).__name__, self.strength, normal=self.normal)


class DresselhausHopping(DirectionalHopping):
    """t_ij = i lambda(r) (d_x sigma_x - d_y sigma_y): a [001] layer of a crystal without inversion, axes along x and y."""

    def __init__(self, strength: Sequence[float] | PairLaw) -> None:
        super().__init__(strength, np.diag([1.0, -1.0, 0.0]))

    def __repr__(self) -> str:
        return call(type(self).__name__, self.strength)


class ChiralHopping(DirectionalHopping):
    """t_ij = i lambda(r) d.sigma: a crystal without mirrors (B20); it turns with the lattice."""

    def __init__(self, strength: Sequence[float] | PairLaw) -> None:
        super().__init__(strength, np.eye(3))

    def __repr__(self) -> str:
        return call(type(self).__name__, self.strength)


class TableHopping(SpinOrbitLaw):
    """Any 2x2 matrix t_ij by bond vector: {(x, y, z): matrix}; the way back is the adjoint.

    The matrices do not depend on the distance: no forces come from them, and atoms that leave the table's vectors by more
    than a thousandth of their length are refused.

    Parameters
    ----------
    table : mapping of (3,) tuples to (2, 2) arrays
        From the first site to the second, length; t_ij, energy.

    Raises
    ------
    ModelError
        For an empty table, matrices or vectors that are none, or a bond given both ways with matrices that do not fit.
    """

    def __init__(self, table: Mapping[tuple[float, float, float], ArrayLike]) -> None:
        self.vectors = read_only(np.array(list(table), dtype=np.float64).reshape(max(len(table), 1), -1))
        self.blocks = np.array([np.asarray(block, dtype=np.complex128) for block in table.values()])
        if self.vectors.shape[1:] != (3,) or self.blocks.shape[1:] != (2, 2):
            raise ModelError(
                f"a table of hopping needs vectors (x, y, z) and 2x2 matrices, such as {{(1, 0, 0): t}}; got {table!r}"
            )
        lengths = np.linalg.norm(self.vectors, axis=1)
        if not np.isfinite(self.blocks).all() or not np.isfinite(lengths).all() or lengths.min() <= 0.0:
            raise ModelError("a table of hopping has a vector or a matrix that is not finite, or a vector that is zero")
        self._reach = float(lengths.max()) * (1.0 + 2.0 * _SAME)
        self._neighbours = NeighbourCache()
        self._require_hermitian()
        scalar, vectors = split_blocks(self.blocks)
        self.reverses = bool(np.abs(np.concatenate([scalar.imag, vectors.real.ravel()])).max() <= _HERMITIAN * self._largest)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.vectors)} bond vectors)"

    @property
    def _largest(self) -> float:
        return float(np.abs(self.blocks).max())

    def _require_hermitian(self) -> None:
        found, there = self._match(-self.vectors)
        wrong = np.abs(self.blocks[found] - self.blocks[there].conj().swapaxes(1, 2)).max(axis=(1, 2), initial=0.0)
        if len(wrong) and wrong.max() > _HERMITIAN * self._largest:
            one = int(found[wrong.argmax()])
            raise ModelError(
                f"the table has hopping for {self.vectors[one].tolist()} and for the way back, and they are not adjoint to "
                f"each other (apart by {wrong.max():.3g}): give one of them, or t(-d) = t(d)^+"
            )

    def _match(self, vectors: FloatArray) -> tuple[IntArray, IntArray]:
        """Which of `vectors` (n, 3) are in the table, and where."""
        apart = np.linalg.norm(vectors[:, None] - self.vectors, axis=2)
        near = apart <= _SAME * np.linalg.norm(self.vectors, axis=1)
        return np.flatnonzero(near.any(axis=1)), near.argmax(axis=1)[near.any(axis=1)]

    def on(self, geometry: Geometry) -> SpinHopping:
        """The bonds whose vector, or the opposite one, is in the table.

        Raises
        ------
        InvalidGeometryError
            If no bond has one of the vectors.
        """
        near = self._neighbours.bonds(geometry, self._reach)
        blocks, used = np.zeros((len(near), 2, 2), dtype=np.complex128), np.zeros(len(near), dtype=bool)
        met = np.zeros(len(self.vectors), dtype=bool)
        for sign in (-1.0, 1.0):
            bonds, entries = self._match(sign * near.vectors)
            found = self.blocks[entries]
            blocks[bonds] = found if sign > 0.0 else found.conj().swapaxes(1, 2)
            used[bonds] = met[entries] = True
        if not met.all():
            raise InvalidGeometryError(
                f"no bond has the vector {self.vectors[~met][0].tolist()} of the table of hopping: the lattice is another "
                "one, is turned, or its atoms have moved"
            )
        scalar, vectors = split_blocks(blocks[used])
        none = np.zeros((len(scalar), 3, 3), dtype=np.complex128)
        return SpinHopping(near.select(used), 0.5 * scalar, 0.5 * vectors, none)


def joined(parts: Sequence[Bonds]) -> tuple[Bonds, list[IntArray]]:
    """All bonds of lists that each name a bond once, and where those of each list are among them.

    Parameters
    ----------
    parts : sequence of Bonds
        Of one geometry, as :func:`~spinase.geometry.find_bonds` lists them.
    """
    keys = [np.column_stack([part.first, part.second, part.shifts]) for part in parts]
    if all(np.array_equal(key, keys[0]) for key in keys):
        return parts[0], [np.arange(len(parts[0]))] * len(parts)
    _, index, place = np.unique(np.concatenate(keys), axis=0, return_index=True, return_inverse=True)
    fields = [np.concatenate([getattr(part, name) for part in parts])[index] for name in _FIELDS]
    return Bonds(*fields), np.split(place.ravel(), np.cumsum([len(part) for part in parts])[:-1])


_FIELDS = ("first", "second", "shifts", "vectors", "distances")


__all__ = [
    "ChiralHopping",
    "DirectionalHopping",
    "DresselhausHopping",
    "RashbaHopping",
    "SpinHopping",
    "SpinOrbitLaw",
    "TableHopping",
]
