"""Irreducible representations of a point group, over the real numbers, found numerically.

The regular representation is split by a generic symmetric matrix that commutes with it: its eigenspaces are irreducible.
Nothing is drawn at random and no basis is left to a library's eigenvectors (only projectors on eigenspaces are used), so
matrices, bases and coupling coefficients are the same on every machine to round-off, and weights can refer to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import numpy as np

from spinase.typing import FloatArray, IntArray

_APART = 1e-6  # eigenvalues of the generic matrix that are closer are the same
_FEW = 1e-8  # squared length of what is left of a generic vector: it had no part in the space


def generic(*shape: int, start: int = 0) -> FloatArray:
    """Numbers between -1 and 1 without any pattern, the same everywhere."""
    k = np.arange(1, int(np.prod(shape)) + 1) + 131 * start
    return np.asarray(np.cos(k**1.37 + 0.1 * start)).reshape(shape)


@dataclass(frozen=True, eq=False)
class Group:
    """A group of permutations.

    Attributes
    ----------
    permutations : (G, n) ndarray of int
        Image of every place; the identity is among them.
    products : (G, G) ndarray of int
        Number of "first the second, then the first".
    inverses : (G,) ndarray of int
        Number of every inverse.
    """

    permutations: IntArray
    products: IntArray
    inverses: IntArray

    @classmethod
    def of(cls, permutations: IntArray) -> Group:
        """Multiplication table of permutations that are closed under it."""
        number = {row.tobytes(): k for k, row in enumerate(permutations)}
        products = np.array([[number[one[other].tobytes()] for other in permutations] for one in permutations])
        identity = number[np.arange(permutations.shape[1]).astype(permutations.dtype).tobytes()]
        return cls(permutations, products, np.argmax(products == identity, axis=1))

    def __len__(self) -> int:
        return len(self.permutations)


@dataclass(frozen=True, eq=False)
class Irrep:
    """Matrices (G, d, d) of an irreducible representation, orthogonal."""

    matrices: FloatArray

    @property
    def dimension(self) -> int:
        """d."""
        return int(self.matrices.shape[1])

    @property
    def character(self) -> FloatArray:
        """Traces (G,)."""
        return np.asarray(np.trace(self.matrices, axis1=1, axis2=2))

    @property
    def trivial(self) -> bool:
        """Whether every operation is one."""
        return self.dimension == 1 and bool(np.all(self.matrices > 0.5))

    @property
    def endomorphisms(self) -> int:
        """Dimension of the matrices that commute with it: 1, or 2 where it is a pair of complex ones."""
        return round(float(np.mean(self.character**2)))


def irreps_of(group: Group) -> list[Irrep]:
    """All of them, each once: the trivial one first, then by dimension and characters."""
    order = len(group)
    relative = group.products[group.inverses][:, np.arange(order)]  # x^-1 y
    values = generic(order)
    values = values + values[group.inverses]
    energies, vectors = np.linalg.eigh(values[relative])
    found: list[Irrep] = []
    edges = np.flatnonzero(np.diff(energies) > _APART * max(float(np.abs(energies).max()), 1.0)) + 1
    for part in np.split(np.arange(order), edges):
        basis = _basis_of(vectors[:, part] @ vectors[:, part].T, len(part))
        # the operation g takes x to g x: row g x of the moved basis is row x of the basis
        moved = np.stack([basis[group.products[group.inverses[g]]] for g in range(order)])
        irrep = _aligned(group, Irrep(np.einsum("xa,gxb->gab", basis, moved)))
        if all(np.abs(irrep.character - known.character).max() > 0.1 for known in found):
            found.append(irrep)
    assert sum(one.dimension**2 // one.endomorphisms for one in found) == order
    return sorted(found, key=lambda one: (not one.trivial, one.dimension, tuple(-np.round(one.character, 6))))


def _aligned(group: Group, irrep: Irrep) -> Irrep:
    """The same in a basis in which operations that commute and square to one are diagonal: couplings have few entries."""
    chosen: list[int] = []
    for g in np.flatnonzero(group.inverses == np.arange(len(group))).tolist():
        if all(group.products[g, other] == group.products[other, g] for other in chosen):
            chosen.append(g)
    mixed = np.einsum("g,gab->ab", generic(len(chosen)), irrep.matrices[chosen])
    energies, vectors = np.linalg.eigh(0.5 * (mixed + mixed.T))
    edges = np.flatnonzero(np.diff(energies) > _APART) + 1
    parts = [vectors[:, part] for part in np.split(np.arange(len(energies)), edges)]
    basis = np.concatenate([_basis_of(part @ part.T, part.shape[1]) for part in parts], axis=1)
    return Irrep(basis.T @ irrep.matrices @ basis)


def _basis_of(projector: FloatArray, dimension: int) -> FloatArray:
    """Orthonormal columns (n, `dimension`) of what a projector leaves alone, from generic vectors."""
    columns: list[FloatArray] = []
    for start in count():
        if len(columns) == dimension:
            return np.stack(columns, axis=1)
        vector = projector @ generic(len(projector), start=start)
        for _ in range(2):
            for one in columns:
                vector = vector - one * (one @ vector)
        if vector @ vector > _FEW:
            columns.append(vector / np.linalg.norm(vector))
    raise AssertionError


def adapted(action: FloatArray, irrep: Irrep) -> FloatArray:
    """Copies of an irreducible representation in a representation with matrices `action` (G, m, m).

    Returns
    -------
    (copies, d, m) ndarray
        Orthonormal forms f = U x; if x turns by `action`, every copy turns by the same matrices of the irrep.
    """
    dimension, size = irrep.dimension, action.shape[1]
    characters = np.trace(action, axis1=1, axis2=2)
    copies = round(float(np.mean(characters * irrep.character)) / irrep.endomorphisms)
    found = np.zeros((0, dimension, size))
    for start in count():
        if len(found) == copies:
            return found
        mean = np.einsum("gxy,yb,gab->ax", action, generic(size, dimension, start=start), irrep.matrices) / len(action)
        for _ in range(2):
            mean = mean - np.einsum("ax,ckx,cky->ay", mean, found, found)
        length = float(np.sum(mean**2)) / dimension
        if length > _FEW:
            found = np.concatenate([found, mean[None] / np.sqrt(length)])
    raise AssertionError


def couplings(*irreps: Irrep) -> FloatArray:
    """Invariant tensors (r, d1, d2, ...): sums over them of products of copies that no operation changes; orthonormal."""
    size, order = int(np.prod([one.dimension for one in irreps])), len(irreps[0].matrices)
    projector = np.zeros((size, size))
    for g in range(order):
        product = np.ones((1, 1))
        for one in irreps:
            product = np.kron(product, one.matrices[g])
        projector += product / order
    rank = round(float(np.trace(projector)))
    return (
        _basis_of(projector, rank).T.reshape(rank, *(one.dimension for one in irreps))
        if rank
        else np.zeros((0, *(one.dimension for one in irreps)))
    )


__all__ = ["Group", "Irrep", "adapted", "couplings", "generic", "irreps_of"]
