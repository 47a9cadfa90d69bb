"""Couplings of any form on a listed set of bonds.

E = -sum_{pairs} [s_i.J_ij s_j + K_ij (s_i.s_j)^2] - sum_i s_i.Q_i s_i + sum_i cubic anisotropies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from spinase.classical.anisotropy import cubic_energies, cubic_gradient
from spinase.classical.kernels import biquadratic_field, compressed_rows, overlaps, tensor_field
from spinase.classical.local_model import LocalModel, pair_model
from spinase.classical.table_sites import CellsOf, TableSites
from spinase.classical.terms import FrozenLocalTerm, LocalTerm, Term
from spinase.errors import ModelError
from spinase.geometry import Geometry
from spinase.regions import Region
from spinase.spin_algebra import own_arrays
from spinase.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class BondTable:
    """Couplings of the bonds of one cell, each pair once, between unit vectors.

    Attributes
    ----------
    positions : (n, 3)
        Sites of the cell, length.
    cell : (3, 3)
        Its vectors.
    first, second : (b,)
        Sites of a bond.
    shifts : (b, 3)
        Cell of the second site.
    tensors : (b, 3, 3)
        J_ij, energy: its energy is -s_i.J_ij s_j.  J_ij = J 1 is ferromagnetic exchange for J > 0; the antisymmetric part
        of a vector D, (J)_bc = sum_a eps_abc D_a, is -D.(s_i x s_j).
    onsite : (n, 3, 3)
        Q_i, energy: -s_i.Q_i s_i.
    biquadratic : (b,)
        K_ij, energy: -K_ij (s_i.s_j)^2.
    cubic : (n, 2)
        K1 and K2 of cubic anisotropies along x, y, z, energy (:class:`spinase.classical.CubicAnisotropy`).
    """

    positions: FloatArray
    cell: FloatArray
    first: IntArray
    second: IntArray
    shifts: IntArray
    tensors: FloatArray
    onsite: FloatArray = field(default_factory=lambda: np.zeros((0, 3, 3)))
    biquadratic: FloatArray = field(default_factory=lambda: np.zeros(0))
    cubic: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))

    def __post_init__(self) -> None:
        n, b = len(self.positions), len(self.first)
        shapes = {"second": (b,), "shifts": (b, 3), "tensors": (b, 3, 3), "cell": (3, 3), "positions": (n, 3)}
        for name, shape in shapes.items():
            if np.shape(getattr(self, name)) != shape:
                raise ModelError(f"bond table: {name} has shape {np.shape(getattr(self, name))}, {shape} is needed")
        for name, shape in {"onsite": (n, 3, 3), "biquadratic": (b,), "cubic": (n, 2)}.items():
            value = np.zeros(shape) if np.size(getattr(self, name)) == 0 else np.asarray(getattr(self, name))
            if value.shape != shape or not np.isfinite(value).all():
                raise ModelError(f"bond table: {name} must be finite of shape {shape}, it has shape {value.shape}")
            object.__setattr__(self, name, value)
        if not np.isfinite(self.tensors).all():
            raise ModelError("bond table: the tensors must be finite")
        outside = [k for name in ("first", "second") for k in getattr(self, name) if not 0 <= k < n]
        if outside:
            raise ModelError(f"bond table: site {outside[0]} does not exist, the cell has sites 0 to {n - 1}")
        if abs(np.linalg.det(self.cell)) < 1e-12:
            raise ModelError(f"bond table: the cell {self.cell.tolist()} has no volume")
        own_arrays(self)

    def isotropic(self) -> FloatArray:
        """J of each bond, a third of the trace, energy, (b,)."""
        return np.asarray(np.trace(self.tensors, axis1=1, axis2=2) / 3.0)

    def dmi(self) -> FloatArray:
        """D vector of each bond, energy, (b, 3): -D.(s_i x s_j)."""
        return dmi_of(self.tensors)

    def symmetric(self) -> FloatArray:
        """Symmetric traceless part of each tensor, energy, (b, 3, 3)."""
        even = 0.5 * (self.tensors + self.tensors.transpose(0, 2, 1))
        return np.asarray(even - self.isotropic()[:, None, None] * np.eye(3))


def dmi_of(tensors: FloatArray) -> FloatArray:
    """D (b, 3) of tensors (b, 3, 3), both energy: their odd part is the energy -D.(s_i x s_j)."""
    odd = 0.5 * (tensors - tensors.transpose(0, 2, 1))
    return np.stack([odd[:, 1, 2], odd[:, 2, 0], odd[:, 0, 1]], axis=1)


def tensor_of(exchange: FloatArray, dmi: FloatArray | None = None, symmetric: FloatArray | None = None) -> FloatArray:
    """Tensors (b, 3, 3) from J (b,), D (b, 3) and symmetric parts (b, 3, 3), in the signs of :class:`BondTable`.

    Parameters
    ----------
    exchange : (b,) ndarray
        J, energy.
    dmi : (b, 3) ndarray, optional
        Vectors D, energy.
    symmetric : (b, 3, 3) ndarray, optional
        Symmetric traceless parts, energy.
    """
    out = exchange[:, None, None] * np.eye(3)
    if dmi is not None:
        out = out + np.cross(dmi[:, None, :], np.eye(3))
    return out if symmetric is None else out + symmetric


@dataclass(frozen=True, eq=False)
class BondTableTerm(Term):
    """The couplings of a bond table on the cell it was made for, or on any repetition of it (sites in any order).

    Attributes
    ----------
    table : BondTable
        Couplings of one cell.
    tolerance : float
        How far a site may be from where the table has it, length.
    """

    table: BondTable
    tolerance: float = 0.05

    def freeze(self, geometry: Geometry) -> FrozenBondTable:
        """Every bond of the table from every cell of the geometry.  Bonds across an open boundary are left out.

        Raises
        ------
        InvalidGeometryError
            If a site is not where the table has one, two are at one place, or the cell is no repetition of the table's.
        """
        table = self.table
        cells = CellsOf.geometry(self.sites, geometry)
        first, second, bonds = [], [], []
        for k in range(len(table.first)):
            start = np.flatnonzero(cells.basis == table.first[k])
            end = cells.find(int(table.second[k]), cells.cells[start] + table.shifts[k])
            first.append(start[end >= 0])
            second.append(end[end >= 0])
            bonds.append(np.full(int((end >= 0).sum()), k))
        none = np.zeros(0, dtype=np.int64)
        chosen = np.concatenate([none, *bonds])
        return FrozenBondTable(
            len(geometry),
            np.concatenate([none, *first]),
            np.concatenate([none, *second]),
            table.tensors[chosen],
            table.onsite[cells.basis],
            table.biquadratic[chosen],
            table.cubic[cells.basis],
        )

    @property
    def sites(self) -> TableSites:
        """Where the sites of the table are."""
        return TableSites(self.table.positions, self.table.cell, self.tolerance)

    def local(self, geometry: Geometry | None = None) -> LocalBondTable:
        """The table looked up for given pairs."""
        return LocalBondTable(self)


@dataclass(frozen=True, eq=False)
class LocalBondTable(LocalTerm):
    """The couplings of a bond table for given pairs: a pair is in the table if its two sites and their cells are."""

    term: BondTableTerm

    @property
    def cutoff(self) -> float:
        """The longest bond of the table, and what its sites may be away from their places."""
        table = self.term.table
        bonds = table.positions[table.second] - table.positions[table.first] + table.shifts @ table.cell
        return float(np.linalg.norm(bonds, axis=1).max()) + 2.0 * self.term.tolerance if len(bonds) else 0.0

    def freeze(self, region: Region) -> FrozenBondTable:
        """Half of J_ij and K_ij on the pairs that start at owned sites; anisotropies of owned sites."""
        table, pairs = self.term.table, region.owned_pairs
        basis, cells = self.term.sites.places(region.positions)
        entries = np.concatenate(
            [
                np.column_stack([table.first, table.second, table.shifts]),
                np.column_stack([table.second, table.first, -table.shifts]),
            ]
        )
        asked = np.column_stack([basis[pairs.first], basis[pairs.second], cells[pairs.second] - cells[pairs.first]])
        _, keys = np.unique(np.concatenate([entries, asked]), axis=0, return_inverse=True)
        of_entries, of_pairs = np.split(keys.ravel(), [len(entries)])
        tensors, squares, known = np.zeros((len(keys), 3, 3)), np.zeros(len(keys)), np.zeros(len(keys), dtype=bool)
        np.add.at(tensors, of_entries, 0.5 * np.concatenate([table.tensors, table.tensors.transpose(0, 2, 1)]))
        np.add.at(squares, of_entries, 0.5 * np.tile(table.biquadratic, 2))
        known[of_entries] = True
        there, own = known[of_pairs], np.arange(len(region)) < region.owned
        return FrozenBondTable(
            len(region),
            pairs.first[there],
            pairs.second[there],
            tensors[of_pairs[there]],
            table.onsite[basis] * own[:, None, None],
            squares[of_pairs[there]],
            table.cubic[basis] * own[:, None],
        )


@dataclass(frozen=True, eq=False)
class FrozenBondTable(FrozenLocalTerm):
    """A bond table on a geometry; it knows no forces on atoms."""

    sites: int
    first: IntArray
    second: IntArray
    tensors: FloatArray
    onsite: FloatArray
    biquadratic: FloatArray
    cubic: FloatArray

    @cached_property
    def rows(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Starts, neighbours and J_ij (n, 3, 3) of every site; J_ji is the transpose."""
        starts, neighbours, bonds = compressed_rows(self.first, self.second, self.sites)
        tensors = self.tensors[np.abs(bonds) - 1]
        tensors[bonds < 0] = tensors[bonds < 0].transpose(0, 2, 1)
        return starts, neighbours, np.ascontiguousarray(tensors)

    @cached_property
    def squares(self) -> tuple[IntArray, IntArray, FloatArray] | None:
        """Starts, neighbours and K_ij (n,) of every site; None without biquadratic couplings."""
        if not self.biquadratic.any():
            return None
        starts, neighbours, bonds = compressed_rows(self.first, self.second, self.sites)
        return starts, neighbours, self.biquadratic[np.abs(bonds) - 1]

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = -1/2 s.J s - s.Q s - sum_{pairs} K (s_i.s_j)^2 + cubic anisotropies."""
        own = np.ascontiguousarray(spins)
        pairs = tensor_field(*self.rows, own)
        energy = -float(0.5 * np.sum(spins * pairs) + np.einsum("ia,iab,ib->", spins, self.onsite, spins))
        if self.squares is not None:
            energy -= float(self.biquadratic @ overlaps(self.first, self.second, own) ** 2)
        return energy + float(cubic_energies(spins, self.cubic).sum()) if self.cubic.any() else energy

    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """-s_i.J_ij s_j - K_ij (s_i.s_j)^2 at the first sites, -s_i.Q_i s_i, and cubic anisotropies."""
        pairs = np.einsum("ba,bac,bc->b", spins[self.first], self.tensors, spins[self.second])
        pairs += self.biquadratic * overlaps(self.first, self.second, np.ascontiguousarray(spins)) ** 2
        own = np.einsum("ia,iab,ib->i", spins, self.onsite, spins)
        bonds = np.bincount(self.first, pairs, minlength=self.sites)
        return np.asarray(cubic_energies(spins, self.cubic) - bonds - own)

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = sum_j J_ij s_j + (Q_i + Q_i^T) s_i + 2 sum_j K_ij (s_i.s_j) s_j + that of the cubic anisotropies."""
        own = np.ascontiguousarray(spins)
        fields = tensor_field(*self.rows, own)
        fields = fields + np.einsum("iab,ib->ia", self.onsite + self.onsite.transpose(0, 2, 1), spins)
        if self.squares is not None:
            fields = fields + biquadratic_field(*self.squares, own)
        return fields + cubic_gradient(spins, self.cubic) if self.cubic.any() else fields

    def local_model(self, lengths: FloatArray) -> LocalModel:
        """Tensors and K on pairs, Q and cubic anisotropies on sites."""
        pairs = pair_model(self.sites, self.first, self.second, self.tensors, self.biquadratic)
        own = 0.5 * (self.onsite + self.onsite.transpose(0, 2, 1)) + np.asarray(pairs.quadratic)
        cubic = [(self.cubic, np.broadcast_to(np.eye(3), (self.sites, 3, 3)))] if self.cubic.any() else []
        return LocalModel(self.sites, pairs.rows, pairs.columns, pairs.tensors, pairs.biquadratic, None, own, cubic)
