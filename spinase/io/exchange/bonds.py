"""What the readers of exchange files share: bonds listed in both directions become a table with each pair once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from spinase.classical import BondTable
from spinase.errors import InputError
from spinase.typing import FloatArray, IntArray

_UNEQUAL = 0.01  # part of a coupling by which its two directions may differ (rounding of printed numbers)
_NOTHING = 1e-4  # part of the largest coupling below which a difference does not matter


@dataclass(frozen=True, eq=False)
class DirectedBonds:
    """Couplings as a file lists them, from site i to site j.

    Attributes
    ----------
    first, second : (b,)
        Sites i and j, from 0.
    shifts : (b, 3)
        Cell of j.
    tensors : (b, 3, 3)
        J(i, j) in the file's convention, energy: it goes with s_i.J s_j.
    lines : (b,)
        Lines of the file, for messages; 0 where there is none.
    """

    first: IntArray
    second: IntArray
    shifts: IntArray
    tensors: FloatArray
    lines: IntArray

    @classmethod
    def of(cls, keys: ArrayLike, tensors: ArrayLike, lines: ArrayLike) -> DirectedBonds:
        """From rows (i, j, x, y, z), (b, 5).

        Parameters
        ----------
        keys : (b, 5) array
            First site, second site and the cell (x, y, z) of the second.
        tensors : (b, 3, 3) array
            Couplings, energy.
        lines : (b,) array of int
            Where in the file they stand, for messages.
        """
        table = np.asarray(keys, dtype=np.int64).reshape(-1, 5)
        values = np.asarray(tensors, dtype=np.float64).reshape(-1, 3, 3)
        return cls(table[:, 0], table[:, 1], table[:, 2:], values, np.asarray(lines, dtype=np.int64))

    @property
    def keys(self) -> IntArray:
        """Rows (i, j, x, y, z), (b, 5)."""
        return np.column_stack([self.first, self.second, self.shifts])

    def name(self, k: int) -> str:
        """Bond `k` for messages, sites from 1."""
        place = f" (line {self.lines[k]})" if self.lines[k] else ""
        return f"the bond {self.first[k] + 1} -> {self.second[k] + 1} in cell {tuple(int(x) for x in self.shifts[k])}{place}"


def codes(*tables: IntArray) -> tuple[IntArray, ...]:
    """One number for each row of tables of whole numbers: equal where rows are equal, in any of the tables."""
    rows = np.concatenate(tables)
    if not len(rows):
        return tuple(np.zeros(0, dtype=np.int64) for _ in tables)
    low = rows.min(axis=0)
    extent = rows.max(axis=0) - low + 1
    if np.prod(extent.astype(float)) > 2.0**62:
        raise InputError(f"bonds reach over cells as far as {np.abs(rows).max()}: this is no list of couplings")
    return tuple(np.ravel_multi_index(tuple((table - low).T), tuple(extent)) for table in tables)


def isotropic_tensor(exchange: FloatArray) -> FloatArray:
    """J 1 of J (...), (..., 3, 3)."""
    return np.asarray(exchange)[..., None, None] * np.eye(3)


def odd_tensor(vectors: FloatArray) -> FloatArray:
    """Tensors (..., 3, 3) whose s_i.J s_j is D.(s_i x s_j), of D (..., 3)."""
    return np.cross(np.asarray(vectors)[..., None, :], np.eye(3))


def bond_table(
    path: str | Path, atoms: Atoms, bonds: DirectedBonds, weight: float, onsite: FloatArray | None = None
) -> BondTable:
    """Each pair once, with weight (J(i, j) + J(j, i)^T); what is listed twice in one direction is added.

    Parameters
    ----------
    path : path
        The file, for messages.
    atoms : Atoms
        The magnetic sites.
    bonds : DirectedBonds
        Couplings of both directions.
    weight : float
        1 where the code's energy is a sum over all i and j, 1/2 where it counts each pair once.
    onsite : (n, 3, 3), optional
        Q_i, energy: -s_i.Q_i s_i.

    Raises
    ------
    InputError
        If a bond joins no two sites, has no opposite, or another coupling in the opposite direction.
    """
    count = len(atoms)
    outside = (bonds.first < 0) | (bonds.first >= count) | (bonds.second < 0) | (bonds.second >= count)
    itself = (bonds.first == bonds.second) & ~bonds.shifts.any(axis=1)
    for k in np.flatnonzero(outside | itself)[:1]:
        raise InputError(f"{path}: {bonds.name(k)} joins no two of the {count} sites")
    bonds = _added(bonds)
    back = _opposites(bonds)
    for k in np.flatnonzero(back < 0)[:1]:
        raise InputError(f"{path}: {bonds.name(k)} has no opposite: both directions are needed")
    _require_equal(path, bonds, back)
    chosen = np.flatnonzero(np.arange(len(back)) < back)
    turned = bonds.tensors[back[chosen]].transpose(0, 2, 1)
    return BondTable(
        positions=atoms.get_positions(),
        cell=atoms.cell.array.copy(),
        first=bonds.first[chosen],
        second=bonds.second[chosen],
        shifts=bonds.shifts[chosen],
        tensors=weight * (bonds.tensors[chosen] + turned),
        onsite=np.zeros((count, 3, 3)) if onsite is None else onsite,
    )


def with_biquadratic(table: BondTable, squares: BondTable) -> BondTable:
    """`table` with the isotropic couplings of `squares`, a table of the same sites, as K_ij of -K_ij (s_i.s_j)^2."""
    keys = [np.column_stack([one.first, one.second, one.shifts]) for one in (table, squares)]
    _, first, places = np.unique(codes(np.concatenate(keys))[0], return_index=True, return_inverse=True)
    bonds = np.concatenate(keys)[first]
    tensors, biquadratic = np.zeros((len(first), 3, 3)), np.zeros(len(first))
    tensors[places[: len(table.first)]] = table.tensors
    biquadratic[places[len(table.first) :]] = squares.isotropic()
    return replace(
        table, first=bonds[:, 0], second=bonds[:, 1], shifts=bonds[:, 2:], tensors=tensors, biquadratic=biquadratic
    )


def _added(bonds: DirectedBonds) -> DirectedBonds:
    """Every bond once, sorted; the couplings of lines that repeat one are added."""
    _, first, places = np.unique(codes(bonds.keys)[0], return_index=True, return_inverse=True)
    tensors = np.zeros((len(first), 3, 3))
    np.add.at(tensors, places, bonds.tensors)
    return DirectedBonds.of(bonds.keys[first], tensors, bonds.lines[first])


def _opposites(bonds: DirectedBonds) -> IntArray:
    """Number of the bond that leads back, -1 where there is none; `bonds` are unique."""
    opposite = np.column_stack([bonds.second, bonds.first, -bonds.shifts])
    own, back = codes(bonds.keys, opposite)
    order = np.argsort(own)
    at = np.minimum(np.searchsorted(own, back, sorter=order), max(len(own) - 1, 0))
    found = order[at] if len(own) else at
    return np.where(own[found] == back, found, -1) if len(own) else np.zeros(0, dtype=np.int64)


def _require_equal(path: str | Path, bonds: DirectedBonds, back: IntArray) -> None:
    """The two directions of a bond are one coupling: a mean of two is what neither the code nor its fields mean."""
    if not len(back):
        return
    there, here = bonds.tensors, bonds.tensors[back].transpose(0, 2, 1)
    differ = np.abs(there - here).max(axis=(1, 2))
    size = np.maximum(np.abs(there), np.abs(here)).max(axis=(1, 2))
    for k in np.flatnonzero((differ > _UNEQUAL * size) & (differ > _NOTHING * size.max()))[:1]:
        raise InputError(
            f"{path}: {bonds.name(k)} has the coupling {there[k].round(9).tolist()}, "
            f"{bonds.name(int(back[k]))} the transpose of {here[k].round(9).tolist()}: J(i, j) = J(j, i)^T is needed"
        )


def require_sites(table: BondTable, atoms: Atoms, without: Collection[str]) -> None:
    """Refuse atoms that are not the sites of a table to be written, and terms that its file has no place for.

    Parameters
    ----------
    table : BondTable
    atoms : Atoms
    without : collection of str
        Fields of the table that must be zero.

    Raises
    ------
    InputError
        If the atoms are not the table's sites, or one of the fields is not zero.
    """
    if len(atoms) != len(table.positions) or not np.allclose(atoms.get_positions(), table.positions, atol=1e-6):
        raise InputError(
            f"these {len(atoms)} atoms are not the {len(table.positions)} sites of the table: give those it was made for"
        )
    for name in without:
        if np.any(getattr(table, name)):
            raise InputError(
                f"the table has {name} terms, which these files have no place for: write them into the program's own input, "
                "and take them out of the table"
            )


def both_directions(table: BondTable) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """First and second sites, vectors and tensors of every pair seen from either end."""
    there = table.positions[table.second] - table.positions[table.first] + table.shifts @ table.cell
    first, second = np.concatenate([table.first, table.second]), np.concatenate([table.second, table.first])
    tensors = np.concatenate([table.tensors, table.tensors.transpose(0, 2, 1)])
    return first, second, np.concatenate([there, -there]), tensors


def parts_of(tensors: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """J (b,), D (b, 3) and what is left (b, 3, 3), in the signs of :class:`BondTable`."""
    exchange = np.trace(tensors, axis1=1, axis2=2) / 3.0
    odd = 0.5 * (tensors - tensors.transpose(0, 2, 1))
    vectors = np.stack([odd[:, 1, 2], odd[:, 2, 0], odd[:, 0, 1]], axis=1)
    return exchange, vectors, tensors - odd - exchange[:, None, None] * np.eye(3)


__all__ = [
    "DirectedBonds",
    "bond_table",
    "both_directions",
    "codes",
    "isotropic_tensor",
    "odd_tensor",
    "parts_of",
    "require_sites",
    "with_biquadratic",
]
