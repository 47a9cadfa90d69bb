"""Products of four spins listed for one cell, E = -sum K (s_a.s_b)(s_c.s_d), on the cell or any repetition of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinase.classical.four_spin import FrozenLocalProducts, ProductTerm
from spinase.classical.table_sites import CellsOf, TableSites
from spinase.classical.terms import LocalTerm
from spinase.errors import ModelError
from spinase.geometry import Geometry
from spinase.regions import Region
from spinase.spin_algebra import own_arrays
from spinase.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class ProductTable:
    """Products of the spins of one cell and its images; every one stands for its translations, too.

    Attributes
    ----------
    positions : (n, 3)
        Sites of the cell, length.
    cell : (3, 3)
        Its vectors.
    sites : (q, 4) int
        Sites a, b, c, d of each product.
    shifts : (q, 4, 3) int
        Their cells.
    strengths : (q,)
        K, energy: -K (s_a.s_b)(s_c.s_d).
    """

    positions: FloatArray
    cell: FloatArray
    sites: IntArray
    shifts: IntArray
    strengths: FloatArray

    def __post_init__(self) -> None:
        count, q = len(self.positions), len(self.strengths)
        for name, shape in {"sites": (q, 4), "shifts": (q, 4, 3), "cell": (3, 3), "positions": (count, 3)}.items():
            if np.shape(getattr(self, name)) != shape:
                raise ModelError(f"product table: {name} has shape {np.shape(getattr(self, name))}, {shape} is needed")
        outside = self.sites[(self.sites < 0) | (self.sites >= count)]
        if len(outside):
            raise ModelError(f"product table: site {outside[0]} does not exist, the cell has sites 0 to {count - 1}")
        if not np.isfinite(self.strengths).all():
            raise ModelError("product table: the strengths must be finite")
        own_arrays(self)

    def reach(self) -> float:
        """The longest way from a first site to another one of its product, length."""
        places = self.positions[self.sites] + self.shifts @ self.cell
        return float(np.linalg.norm(places[:, 1:] - places[:, :1], axis=2).max(initial=0.0))


@dataclass(frozen=True, eq=False)
class ProductTableTerm(ProductTerm):
    """The products of a table on the cell it was made for, or on any repetition of it (sites in any order).

    Attributes
    ----------
    table : ProductTable
        Products of one cell.
    tolerance : float
        How far a site may be from where the table has it, length.
    """

    table: ProductTable
    tolerance: float = 0.05

    @property
    def sites(self) -> TableSites:
        """Where the sites of the table are."""
        return TableSites(self.table.positions, self.table.cell, self.tolerance)

    def products(self, geometry: Geometry) -> tuple[IntArray, FloatArray]:
        """Every product of the table from every cell; those that reach across an open boundary are left out."""
        return _found(self.table, CellsOf.geometry(self.sites, geometry), len(geometry))

    def local(self, geometry: Geometry | None = None) -> LocalTerm:
        """The products looked up among the sites of a region."""
        return LocalProductTable(self)


@dataclass(frozen=True, eq=False)
class LocalProductTable(LocalTerm):
    """The products of a table for regions: those whose first site is owned."""

    term: ProductTableTerm

    @property
    def cutoff(self) -> float:
        """No pairs are needed."""
        return 0.0

    @property
    def ghost_depth(self) -> float:
        """The reach of the products, and what sites may be away from their places."""
        return self.term.table.reach() + 2.0 * self.term.tolerance

    def freeze(self, region: Region) -> FrozenLocalProducts:
        """Products that begin at owned sites."""
        basis, cells = self.term.sites.places(region.positions)
        sites = CellsOf(basis, cells, np.eye(3, dtype=np.int64), np.zeros(3, dtype=bool))
        return FrozenLocalProducts(*_found(self.term.table, sites, region.owned))


def _found(table: ProductTable, cells: CellsOf, starts: int) -> tuple[IntArray, FloatArray]:
    """Products (m, 4) and strengths (m,) whose first site is one of the first `starts`."""
    rows, strengths = [np.zeros((0, 4), dtype=np.int64)], [np.zeros(0)]
    for sites, shifts, strength in zip(table.sites, table.shifts, table.strengths, strict=True):
        start = np.flatnonzero(cells.basis[:starts] == sites[0])
        steps = shifts - shifts[0]
        others = [cells.find(int(site), cells.cells[start] + step) for site, step in zip(sites[1:], steps[1:], strict=True)]
        found = np.stack([start, *others], axis=1)
        found = found[(found >= 0).all(axis=1)]
        rows.append(found)
        strengths.append(np.full(len(found), strength))
    return np.concatenate(rows), np.concatenate(strengths)


__all__ = ["ProductTable", "ProductTableTerm"]
