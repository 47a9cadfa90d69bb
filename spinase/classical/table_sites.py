"""Sites of tables of couplings: which of its sites, in which cell, the sites of a magnet are."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from spinase.errors import InvalidGeometryError
from spinase.geometry import Geometry
from spinase.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class TableSites:
    """Sites of the cell of a table.

    Attributes
    ----------
    positions : (n, 3)
        Sites of the cell, length.
    cell : (3, 3)
        Its vectors.
    tolerance : float
        How far a site may be from where the table has it, length.
    """

    positions: FloatArray
    cell: FloatArray
    tolerance: float

    def places(self, positions: FloatArray) -> tuple[IntArray, IntArray]:
        """Site of the table and cell (N, 3) of every one of the positions (N, 3).

        Raises
        ------
        InvalidGeometryError
            If the table has no site there.
        """
        inverse = np.linalg.inv(self.cell)
        offsets = (positions[:, None, :] - self.positions[None, :, :]) @ inverse
        cells = np.round(offsets)
        away = np.linalg.norm((offsets - cells) @ self.cell, axis=2)
        basis = away.argmin(axis=1)
        rows = np.arange(len(positions))
        lost = np.flatnonzero(away[rows, basis] > self.tolerance)
        if len(lost):
            raise InvalidGeometryError(
                f"site {lost[0]} at {positions[lost[0]]} is {away[lost[0], basis[lost[0]]]:.3g} from the nearest "
                "site of the bond table: use the structure the couplings were computed for (or a repetition of it)"
            )
        return basis.astype(np.int64), cells[rows, basis].astype(np.int64)

    def repetition(self, geometry: Geometry) -> IntArray:
        """Cell of the geometry in whole vectors of the table's, (3, 3); unit vectors for open directions.

        Raises
        ------
        InvalidGeometryError
            If a periodic vector is no combination of whole ones.
        """
        ratio = geometry.cell @ np.linalg.inv(self.cell)
        repeat = np.round(ratio)
        wrong = [a for a in range(3) if geometry.pbc[a] and np.abs(ratio[a] - repeat[a]).max() > 1e-3]
        if wrong:
            raise InvalidGeometryError(
                f"cell vector {wrong[0]} of the atoms, {geometry.cell[wrong[0]]}, is no combination of whole vectors of the "
                f"bond table's cell {self.cell.tolist()}"
            )
        frame = repeat.copy()
        for axes in permutations(range(3), int(np.sum(~geometry.pbc))):  # nothing repeats along open vectors: take any
            frame[~geometry.pbc] = np.eye(3)[list(axes)]
            if abs(np.linalg.det(frame)) > 0.5:
                break
        return frame.astype(np.int64)


class CellsOf:
    """Finds sites of a magnet by their site of the table and their cell.

    Parameters
    ----------
    basis : (N,) ndarray of int
        Site of the table of each.
    cells : (N, 3) ndarray of int
        Its cell.
    frame : (3, 3) ndarray of int
        After how many cells the magnet repeats, rows.
    pbc : (3,) ndarray of bool
        Along which of them.
    """

    def __init__(self, basis: IntArray, cells: IntArray, frame: IntArray, pbc: BoolArray) -> None:
        self.basis, self.cells, self._frame, self._pbc = basis, cells, frame, pbc
        wrapped = self._wrap(cells)
        self.low, high = wrapped.min(axis=0, initial=0), wrapped.max(axis=0, initial=0)
        self.extent = high - self.low + 1
        keys = self._keys(basis, wrapped)
        self.order = np.argsort(keys)
        self.keys = keys[self.order]
        twice = np.flatnonzero(np.diff(self.keys) == 0)
        if len(twice):
            pair = self.order[twice[0] : twice[0] + 2]
            raise InvalidGeometryError(f"sites {pair[0]} and {pair[1]} are at the same place of the bond table: remove one")

    @classmethod
    def geometry(cls, sites: TableSites, geometry: Geometry) -> CellsOf:
        """Those of a whole magnet.

        Raises
        ------
        InvalidGeometryError
            If a site is not where the table has one, two are at one place, or the cell is no repetition of the table's.
        """
        return cls(*sites.places(geometry.positions), sites.repetition(geometry), geometry.pbc)

    def find(self, basis: int, cells: IntArray) -> IntArray:
        """Sites that are site `basis` of the table at `cells` (n, 3), -1 where there is none, (n,)."""
        asked = self._wrap(cells)
        inside = ((asked >= self.low) & (asked < self.low + self.extent)).all(axis=1)
        keys = self._keys(basis, asked)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(inside & (self.keys[at] == keys), self.order[at], -1)

    def _keys(self, basis: IntArray | int, cells: IntArray) -> IntArray:
        x, y, z = (cells - self.low).T
        return np.asarray(((basis * self.extent[0] + x) * self.extent[1] + y) * self.extent[2] + z, dtype=np.int64)

    def _wrap(self, cells: IntArray) -> IntArray:
        """Cells (n, 3) brought into the repeated cell along its periodic directions."""
        turns = np.floor(cells @ np.linalg.inv(self._frame) + 1e-9)
        return np.asarray(cells - np.round(np.where(self._pbc, turns, 0.0) @ self._frame)).astype(np.int64)


__all__ = ["CellsOf", "TableSites"]
