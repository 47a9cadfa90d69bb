r"""Symmetries of electrons on a magnet: operations of the lattice, combined with turns of the spins.

Electrons of an s-d model have no spin-orbit coupling, so a turn of all spins goes with any operation of the lattice.  An
operation :math:`r \to W r + \tau` (fractional coordinates) that brings sites and bonds to each other is one of the
Hamiltonian if there is an orthogonal R with :math:`R\,h_i = h_{\pi(i)}` for the exchange vectors :math:`h_i` of all sites:

* R proper: unitary, hopping :math:`t_{\pi(b)} = t_b`, and :math:`k \to W^{-T} k`;
* R improper: with time reversal, :math:`t_{\pi(b)} = t_b^*`, and :math:`k \to -W^{-T} k`.

Collinear and coplanar spins have improper ones with W = 1: with real hopping k and -k are then equal.
"""

from __future__ import annotations

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
class LatticeOperation:
    """An operation of a lattice as a permutation of its sites and bonds.

    Attributes
    ----------
    matrix : (3, 3) of int
        W, on fractional coordinates.
    sites : (N,) of int
        Where every site goes.
    bonds : (B,) of int
        Where every bond goes.
    swapped : (B,) of bool
        Bonds that arrive with their ends exchanged.
    """

    matrix: IntArray
    sites: IntArray
    bonds: IntArray
    swapped: BoolArray


@dataclass(frozen=True, eq=False)
class MagneticOperation:
    """An operation of the lattice with the turn of spins that makes it one of the magnet.

    Attributes
    ----------
    lattice : LatticeOperation
    turn : (3, 3)
        R; improper together with time reversal.
    reversing : bool
        Whether time is reversed.
    """

    lattice: LatticeOperation
    turn: FloatArray
    reversing: bool

    @property
    def on_k(self) -> FloatArray:
        """k -> this k, (3, 3)."""
        return np.asarray((-1.0 if self.reversing else 1.0) * np.linalg.inv(self.lattice.matrix).T)

    def apply(self, density: Density) -> Density:
        """The density after the operation.

        Parameters
        ----------
        density : Density
            On the pattern that the operation permutes; without bonds if it has none.
        """
        own = self.lattice
        charge, spin, bond = np.empty_like(density.charge), np.empty_like(density.spin), np.empty_like(density.bond)
        charge[own.sites] = density.charge
        spin[own.sites] = density.spin @ self.turn.T
        if len(bond):
            flipped = own.swapped != self.reversing
            bond[own.bonds] = np.where(flipped, density.bond.conj(), density.bond)
        return Density(charge, spin, bond)


def lattice_operations(geometry: Geometry, bonds: Bonds) -> list[LatticeOperation]:
    """Operations that bring sites to sites of their species and bonds to bonds, the identity first.

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
    rare = np.flatnonzero(geometry.numbers == min(geometry.numbers, key=lambda z: int(np.sum(geometry.numbers == z))))
    found = []
    for matrix in _rotations(cell, periodic):
        turned = places @ matrix.T
        for target in rare:
            moved = turned + (places[target] - turned[rare[0]])
            distances, sites = tree.query(_wrapped(moved, periodic))
            if distances.max() > _PLACE or not np.array_equal(geometry.numbers[sites], geometry.numbers):
                continue
            crossed = np.round(moved - places[sites]).astype(np.int64)
            images = index.images(bonds, matrix, sites, crossed)
            if len(np.unique(sites)) == len(sites) and images is not None:
                found.append(LatticeOperation(matrix, np.asarray(sites, dtype=np.int64), *images))
    return found


def magnetic_operations(operator: SpinOperator, candidates: list[LatticeOperation]) -> list[MagneticOperation]:
    """Of the operations of the lattice those that leave the Hamiltonian as it is, with turns of the spins; one for each map of k.

    Parameters
    ----------
    operator : SpinOperator
        H, energy.
    candidates : list of LatticeOperation
        Of its sites and bonds.
    """
    scale = max(float(np.abs(part).max(initial=0.0)) for part in (operator.hopping, operator.onsite, operator.exchange))
    slack = _EQUAL * max(scale, 1e-300)
    found: dict[bytes, MagneticOperation] = {}
    for own in candidates:
        if np.abs(operator.onsite[own.sites] - operator.onsite).max() > slack:
            continue
        there = operator.hopping[own.bonds]
        turns: list[FloatArray] | None = None
        for reversing in (False, True):
            expected = np.where(own.swapped != reversing, operator.hopping.conj(), operator.hopping)
            if np.abs(there - expected).max(initial=0.0) > slack:
                continue
            turns = _turns(operator.exchange, operator.exchange[own.sites], 10.0 * slack) if turns is None else turns
            for turn in turns:
                if (np.linalg.det(turn) < 0.0) == reversing:
                    candidate = MagneticOperation(own, turn, reversing)
                    found.setdefault(np.round(candidate.on_k).astype(np.int8).tobytes(), candidate)
    return list(found.values())


def reduced_mesh(mesh: KMesh, operations: list[MagneticOperation]) -> tuple[KMesh, list[MagneticOperation]]:
    """One k-point of every orbit, and the operations that bring the mesh to itself.

    Parameters
    ----------
    mesh : KMesh
    operations : list of MagneticOperation
        A group, as far as k is concerned.
    """
    kept, targets = [], []
    for one in operations:
        images = mesh.images(one.on_k)
        if images is not None:
            kept.append(one)
            targets.append(images)
    return mesh.reduced(targets), kept


def symmetrized(density: Density, operations: list[MagneticOperation]) -> Density:
    """Mean of the density over operations: that of the whole mesh from one point of every orbit.

    Parameters
    ----------
    density : Density
    operations : list of MagneticOperation
        A group, as far as k is concerned.
    """
    if len(operations) < 2:
        return density
    parts = [one.apply(density) for one in operations]
    charge, spin, bond = (sum(getattr(part, name) for part in parts) / len(parts) for name in ("charge", "spin", "bond"))
    return Density(np.asarray(charge), np.asarray(spin), np.asarray(bond))


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


def _turns(source: FloatArray, target: FloatArray, slack: float) -> list[FloatArray]:
    """Orthogonal matrices R with R source = target (N, 3), rows: a proper and an improper one as far as they exist."""
    left, sizes, right = np.linalg.svd(target.T @ source)
    found = []
    for sign in (1.0, -1.0):  # of the direction that vectors have least of; any for coplanar ones
        turn = left @ np.diag([1.0, 1.0, sign]) @ right
        if np.abs(source @ turn.T - target).max(initial=0.0) <= slack:
            found.append(turn)
    return found


__all__ = [
    "LatticeOperation",
    "MagneticOperation",
    "lattice_operations",
    "magnetic_operations",
    "reduced_mesh",
    "symmetrized",
]
