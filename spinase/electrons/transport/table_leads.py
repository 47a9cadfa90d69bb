"""Leads that repeat a table of hopping between orbitals as the outermost layers of a device have it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from spinase.electrons.operator import split_blocks
from spinase.electrons.orbital_table import OrbitalTable
from spinase.electrons.transport.lead_base import FirstCell
from spinase.errors import InvalidGeometryError
from spinase.typing import ComplexArray, FloatArray, IntArray

_NEAR = 1e-3  # how far from its place a repeated site may be, of the period
_CANCELLED = 1e-14  # of the sum of its parts: hopping that phases of a k-point take away


class RepeatedTable(NamedTuple):
    """Hopping in a lead whose cells are the outermost layers of a device: H_01 is what joins them to the layers inside.

    Attributes
    ----------
    orbitals : (n,) int
        Of the outermost layers, site by site.
    intra, inter : (n, n, 2, 2) complex
        Within a cell, and from a cell to the next one further from the device, energy.
    """

    orbitals: IntArray
    intra: ComplexArray
    inter: ComplexArray

    @property
    def turns_spins(self) -> bool:
        """Whether anything in it depends on the spin."""
        return any(bool(split_blocks(one.reshape(-1, 2, 2))[1].any()) for one in (self.intra, self.inter))

    @classmethod
    def of(cls, table: OrbitalTable, cell: FirstCell, point: ArrayLike, name: str, layers: int) -> RepeatedTable:
        """Of the table of a device.

        Parameters
        ----------
        table : OrbitalTable
            Open along the lead.
        cell : FirstCell
            The lead's cell next to the device, which repeats some of its sites.
        point : (3,)
            k-point across, in parts of the reciprocal cell vectors.
        name : str
            Of the lead, for messages.
        layers : int
            Of the device, that make the cell, for messages.

        Raises
        ------
        InvalidGeometryError
            If the layers inside are not those of the end once more, or hopping reaches beyond them.
        """
        inside, moved = _repeated_inside(table, cell, name)
        outer = [np.flatnonzero(table.sites == site) for site in cell.repeated]
        inner = [np.flatnonzero(table.sites == site) for site in inside]
        if [len(part) for part in outer] != [len(part) for part in inner]:
            raise InvalidGeometryError(
                f"{name} repeats {layers} layer(s) of the device, and the next ones have other orbitals: take more layers"
            )
        orbitals, before = np.concatenate(outer), np.concatenate(inner)
        matrix = _hopping(table, orbitals, before, np.asarray(point, dtype=np.float64), f"{name}: {layers} layer(s)")
        turns = np.exp(2j * np.pi * (np.repeat(moved, [len(part) for part in inner], axis=0) @ np.asarray(point)))
        count = len(orbitals)
        inter = matrix[count:, :count] * turns[:, None, None, None]
        if not inter.any():
            raise InvalidGeometryError(f"{name}: its cells do not couple with each other; take other layers")
        return cls(orbitals, matrix[:count, :count], inter)


def _repeated_inside(table: OrbitalTable, cell: FirstCell, name: str) -> tuple[IntArray, FloatArray]:
    """Sites (n,) that the sites of the cell are images of, by its period, and the cells they are moved by (n, 3)."""
    wanted = cell.places - 2.0 * cell.period
    apart = wanted[:, None] - table.positions
    frame = table.cell[table.pbc]
    moved = np.zeros(apart.shape)
    if len(frame):
        moved[..., table.pbc] = np.round(apart @ np.linalg.pinv(frame))
    far = np.linalg.norm(apart - moved @ table.cell, axis=2)
    found = far.argmin(axis=1)
    nearest, rows = far.min(axis=1), np.arange(len(found))
    if nearest.max() > _NEAR * np.linalg.norm(cell.period):
        raise InvalidGeometryError(
            f"{name} repeats the outermost layers of the device, and there is no site at {wanted[int(nearest.argmax())]}, "
            "where the layers inside should have one: a table goes on only where a device ends in two cells of its crystal"
        )
    return found, moved[rows, found]


def _hopping(table: OrbitalTable, outer: IntArray, inner: IntArray, point: FloatArray, what: str) -> ComplexArray:
    """H of the orbitals `outer` and then `inner` (n + m, n + m, 2, 2), energy; refuses hopping from `outer` to others."""
    place = np.full(len(table.sites), -1)
    place[np.concatenate([outer, inner])] = np.arange(len(outer) + len(inner))
    one, two = place[table.first], place[table.second]
    ends = ((one >= 0) & (one < len(outer)), (two >= 0) & (two < len(outer)))
    if np.any((ends[0] & (two < 0)) | (ends[1] & (one < 0))):
        raise InvalidGeometryError(f"{what} do not match the device: hopping reaches beyond one cell; take more layers")
    known = (one >= 0) & (two >= 0)
    rows, columns = one[known], two[known]
    blocks = table.blocks[known] * np.exp(2j * np.pi * (table.shifts[known] @ point))[:, None, None]
    size = len(outer) + len(inner)
    matrix = np.zeros((size, size, 2, 2), dtype=np.complex128)
    largest = np.zeros(matrix.shape)
    for a, b, entries in ((rows, columns, blocks), (columns, rows, blocks.conj().swapaxes(1, 2))):
        np.add.at(matrix, (a, b), entries)
        np.add.at(largest, (a, b), np.abs(entries))
    matrix[np.abs(matrix) < _CANCELLED * largest] = 0.0
    everyone = np.arange(size)
    matrix[everyone, everyone] += table.onsite[np.concatenate([outer, inner])]
    return matrix


def with_spin(blocks: ComplexArray) -> ComplexArray:
    """A matrix (2n, 2m), spin inside, from blocks (n, m, 2, 2)."""
    return blocks.transpose(0, 2, 1, 3).reshape(2 * len(blocks), -1)


__all__ = ["RepeatedTable", "with_spin"]
