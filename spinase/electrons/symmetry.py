r"""Symmetries of electrons on a magnet: operations of the lattice, combined with turns of the spins.

Electrons of an s-d model have no spin-orbit coupling, so a turn of all spins goes with any operation of the lattice.  An
operation :math:`r \to W r + \tau` (fractional coordinates) that brings sites and bonds to each other is one of the
Hamiltonian if there is an orthogonal R with :math:`R\,h_i = h_{\pi(i)}` for the exchange vectors :math:`h_i` of all sites:

* R proper: unitary, hopping :math:`t_{\pi(b)} = t_b`, and :math:`k \to W^{-T} k`;
* R improper: with time reversal, :math:`t_{\pi(b)} = t_b^*`, and :math:`k \to -W^{-T} k`.

Collinear and coplanar spins have improper ones with W = 1: with real hopping k and -k are then equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.spatial import cKDTree

from spinase.electrons.kmesh import KMesh
from spinase.electrons.operator import Density, SpinOperator
from spinase.geometry import Bonds, Geometry, solid_cell
from spinase.typing import BoolArray, FloatArray, IntArray

_PLACE = 1e-8  # of the cell vectors: places that are one
_EQUAL = 1e-13  # of the largest energy: energies that are equal, to round-off


@dataclass(frozen=True, eq=False)
class LatticeOperations:
    """M operations of a lattice as permutations of its sites and bonds; the identity is the first.

    Attributes
    ----------
    matrices : (M, 3, 3) of int
        W, on fractional coordinates.
    sites : (M, N) of int
        Where every site goes.
    bonds : (M, B) of int
        Where every bond goes.
    swapped : (M, B) of bool
        Bonds that arrive with their ends exchanged.
    """

    matrices: IntArray
    sites: IntArray
    bonds: IntArray
    swapped: BoolArray

    def __len__(self) -> int:
        return len(self.matrices)

    def select(self, chosen: IntArray | BoolArray) -> LatticeOperations:
        """Some of them, by number or mask."""
        return LatticeOperations(self.matrices[chosen], self.sites[chosen], self.bonds[chosen], self.swapped[chosen])


@dataclass(frozen=True, eq=False)
class MagneticOperations:
    """Operations of the lattice with the turns of spins that make them operations of the magnet: a group, as far as k goes.

    Attributes
    ----------
    lattice : LatticeOperations
    turns : (M, 3, 3)
        R; improper together with time reversal.
    reversing : (M,) of bool
        Whether time is reversed.
    """

    lattice: LatticeOperations
    turns: FloatArray
    reversing: BoolArray

    def __len__(self) -> int:
        return len(self.turns)

    @property
    def on_k(self) -> FloatArray:
        """k -> these k, (M, 3, 3)."""
        return _on_k(self.lattice.matrices, self.reversing)

    def select(self, chosen: IntArray | BoolArray) -> MagneticOperations:
        """Some of them, by number or mask."""
        return MagneticOperations(self.lattice.select(chosen), self.turns[chosen], self.reversing[chosen])

    def symmetrized(self, density: Density) -> Density:
        """Mean of a density over the operations: that of the whole mesh from one point of every orbit.

        Parameters
        ----------
        density : Density
            On the pattern that the operations permute, or without bonds.
        """
        if len(self) < 2:
            return density
        own, count = self.lattice, len(self)
        charge, spin, bond = np.zeros_like(density.charge), np.zeros_like(density.spin), np.zeros_like(density.bond)
        np.add.at(charge, own.sites, np.tile(density.charge / count, (count, 1)))
        np.add.at(spin, own.sites, np.einsum("mac,ic->mia", self.turns, density.spin / count))
        if len(bond):
            flipped = own.swapped != self.reversing[:, None]
            np.add.at(bond, own.bonds, np.where(flipped, density.bond.conj(), density.bond) / count)
        return Density(charge, spin, bond)


def lattice_operations(geometry: Geometry, bonds: Bonds) -> LatticeOperations:
    """Operations that bring sites to sites of their species and bonds to bonds.

    Rotations whose matrices have entries of -1, 0 and 1: all of them where the cell is reduced, as usual ones are.

    Parameters
    ----------
    geometry : Geometry
        Sites and cell.
    bonds : Bonds
        Each once.
    """
    cell = solid_cell(geometry, 1.0)
    places = geometry.positions @ np.linalg.inv(cell)
    periodic = geometry.pbc.astype(bool)
    tree = cKDTree(_wrapped(places, periodic), boxsize=np.where(periodic, 1.0, 0.0))
    index = _BondIndex(len(geometry), bonds)
    species, counts = np.unique(geometry.numbers, return_counts=True)
    rare = np.flatnonzero(geometry.numbers == species[counts.argmin()])
    found = []
    for matrix in _rotations(cell, periodic):
        turned = places @ matrix.T
        for target in rare:
            moved = turned + (places[target] - turned[rare[0]])
            away, near = tree.query(_wrapped(moved, periodic))
            distances, sites = np.asarray(away), np.asarray(near, dtype=np.int64)
            if distances.max() > _PLACE or not np.array_equal(geometry.numbers[sites], geometry.numbers):
                continue
            crossed = np.round(moved - places[sites]).astype(np.int64)
            images = index.images(bonds, matrix, sites, crossed)
            if len(np.unique(sites)) == len(sites) and images is not None:
                found.append((matrix, sites, *images))
    matrices, sites_, bonds_, swapped = (np.array(column) for column in zip(*found, strict=True))
    return LatticeOperations(matrices, sites_, bonds_, swapped.astype(bool))


def magnetic_operations(operator: SpinOperator, lattice: LatticeOperations) -> MagneticOperations:
    """Those of the lattice that leave the Hamiltonian as it is, with turns of the spins; one for each map of k.

    Parameters
    ----------
    operator : SpinOperator
        H, energy.
    lattice : LatticeOperations
        Of its sites and bonds.
    """
    kinds, kind = np.unique(lattice.matrices.reshape(-1, 9), axis=0, return_inverse=True)
    order = np.argsort(kind, kind="stable")
    starts = np.searchsorted(kind[order], np.arange(len(kinds)))
    turn = np.empty(len(lattice), dtype=np.int64)  # which of the operations of one W
    turn[order] = np.arange(len(lattice)) - starts[kind[order]]
    parts: list[MagneticOperations] = []
    missing = np.ones((len(kinds), 2), dtype=bool)  # by W, and without and with time reversal
    for number in range(int(turn.max()) + 1):
        tried = np.flatnonzero((turn == number) & missing[kind].any(axis=1))
        if not len(tried):
            continue
        found, place = _fitting(operator, lattice.select(tried))
        new = missing[kind[tried[place]], found.reversing.astype(np.int64)]
        parts.append(found.select(new))
        missing[kind[tried[place]], found.reversing.astype(np.int64)] = False
    return _joined(parts)


def _fitting(operator: SpinOperator, lattice: LatticeOperations) -> tuple[MagneticOperations, IntArray]:
    """Those that leave the Hamiltonian as it is, without and with time reversal, and which of the lattice each is."""
    scale = max(float(np.abs(part).max(initial=0.0)) for part in (operator.hopping, operator.onsite, operator.exchange))
    slack = _EQUAL * max(scale, 1e-300)
    onsite = np.abs(operator.onsite[lattice.sites] - operator.onsite).max(axis=1) <= slack
    turns, fits = _turns(operator.exchange, operator.exchange[lattice.sites], 10.0 * slack)
    there, fitting = operator.hopping[lattice.bonds], []
    for reversing in (False, True):
        expected = np.where(lattice.swapped != reversing, operator.hopping.conj(), operator.hopping)
        hopping = np.abs(there - expected).max(axis=1, initial=0.0) <= slack
        fitting.append((onsite & hopping)[:, None] & fits & ((np.linalg.det(turns) < 0.0) == reversing))
    one, two = np.nonzero(fitting[0] | fitting[1])
    return MagneticOperations(lattice.select(one), turns[one, two], fitting[1][one, two]), one


def _joined(parts: list[MagneticOperations]) -> MagneticOperations:
    """All of them; the identity is among them, whatever the magnet is."""
    names = ("matrices", "sites", "bonds", "swapped")
    lattice = LatticeOperations(*(np.concatenate([getattr(part.lattice, name) for part in parts]) for name in names))
    turns, reversing = (np.concatenate([getattr(part, name) for part in parts]) for name in ("turns", "reversing"))
    return MagneticOperations(lattice, turns, reversing)


def reduced_mesh(
    mesh: KMesh, operations: MagneticOperations, images_of: Callable[[FloatArray], IntArray | None]
) -> tuple[KMesh, MagneticOperations]:
    """One k-point of every orbit, and the operations that bring the mesh to itself.

    Parameters
    ----------
    mesh : KMesh
    operations : MagneticOperations
    images_of : callable
        ``mesh.images``, or one that remembers.
    """
    images = [images_of(one) for one in operations.on_k]
    kept = np.array([k for k, image in enumerate(images) if image is not None], dtype=np.int64)
    return mesh.reduced([image for image in images if image is not None]), operations.select(kept)


def _on_k(matrices: IntArray, reversing: BoolArray) -> FloatArray:
    signs = np.where(reversing, -1.0, 1.0)[:, None, None]
    return np.asarray(signs * np.linalg.inv(matrices.astype(np.float64)).transpose(0, 2, 1))


class _BondIndex:
    """Bonds by their two sites and the cell of the second."""

    def __init__(self, sites: int, bonds: Bonds) -> None:
        self._sites = sites
        self._reach = 2 * int(np.abs(bonds.shifts).max(initial=0)) + 4
        keys = self._key(bonds.first, bonds.second, bonds.shifts)
        self._order = np.argsort(keys)
        self._sorted = keys[self._order]

    def images(
        self, bonds: Bonds, matrix: IntArray, sites: IntArray, crossed: IntArray
    ) -> tuple[IntArray, BoolArray] | None:
        """Where bonds go, and which arrive swapped; None if one goes where there is none."""
        first, second = sites[bonds.first], sites[bonds.second]
        shifts = bonds.shifts @ matrix.T + crossed[bonds.second] - crossed[bonds.first]
        if np.abs(shifts).max(initial=0) > self._reach:
            return None
        target, straight = self._find(self._key(first, second, shifts))
        other, swapped = self._find(self._key(second, first, -shifts))
        if not (straight | swapped).all():
            return None
        return np.where(straight, target, other), ~straight

    def _key(self, first: IntArray, second: IntArray, shifts: IntArray) -> IntArray:
        width = 2 * self._reach + 1
        key = first * self._sites + second
        for axis in range(3):
            key = key * width + shifts[:, axis] + self._reach
        return np.asarray(key, dtype=np.int64)

    def _find(self, keys: IntArray) -> tuple[IntArray, BoolArray]:
        place = np.minimum(np.searchsorted(self._sorted, keys), max(len(self._sorted) - 1, 0))
        if not len(self._sorted):
            return place, np.ones(len(keys), dtype=bool)
        return self._order[place], self._sorted[place] == keys


def _rotations(cell: FloatArray, periodic: BoolArray) -> list[IntArray]:
    """Matrices W on fractional coordinates that keep all lengths and do not mix open and periodic directions; 1 first."""
    metric = cell @ cell.T
    entries = np.array(list(product((-1, 0, 1), repeat=9)), dtype=np.int64).reshape(-1, 3, 3)
    mixing = periodic[:, None] != periodic[None, :]
    entries = entries[~entries[:, mixing].any(axis=1)]
    lengths = np.einsum("nba,bc,ncd->nad", entries, metric, entries)
    scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    kept = entries[np.abs((lengths - metric) / scale).max(axis=(1, 2)) < 1e-9]
    first = np.argsort(~(kept == np.eye(3, dtype=np.int64)).all(axis=(1, 2)), kind="stable")
    return list(kept[first])


def _wrapped(places: FloatArray, periodic: BoolArray) -> FloatArray:
    """Fractional coordinates in [0, 1) along periodic directions."""
    inside = np.mod(places, 1.0)
    return np.where(periodic, np.where(inside >= 1.0, 0.0, inside), places)


def _turns(source: FloatArray, targets: FloatArray, slack: float) -> tuple[FloatArray, BoolArray]:
    """Orthogonal R with R source = target for targets (M, N, 3): two candidates (M, 2, 3, 3), and which fit, (M, 2).

    They differ in the sign of the direction that vectors have least of: both fit coplanar ones.
    """
    left, _, right = np.linalg.svd(np.einsum("mia,ic->mac", targets, source))
    signs = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, -1.0]])
    turns = np.einsum("mab,sb,mbc->msac", left, signs, right)
    apart = np.einsum("msac,ic->msia", turns, source) - targets[:, None]
    return turns, np.abs(apart).max(axis=(2, 3)) <= slack


__all__ = [
    "LatticeOperations",
    "MagneticOperations",
    "lattice_operations",
    "magnetic_operations",
    "reduced_mesh",
]
