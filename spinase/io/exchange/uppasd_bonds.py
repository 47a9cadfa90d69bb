"""Which bonds the lines of UppASD's coupling files stand for.

A line belongs to the TYPE of its first site: its vector r, and what symmetry makes of it, leads from every site of that
type to the site at r.  In UppASD's order: a line with the vector of an earlier line of the type replaces its coupling;
where the images of two vectors lead to the same site, the earlier vector counts; where there is no site, there is no bond.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from scipy.spatial import cKDTree

from spinase.errors import InputError
from spinase.io.exchange.bonds import DirectedBonds, codes
from spinase.io.exchange.text import Line
from spinase.typing import FloatArray, IntArray

_SAME_VECTOR = np.sqrt(1e-5)  # lattice constants; UppASD's own tolerances
_SAME_PLACE = 0.1
_CHUNK = 500


@dataclass(frozen=True, eq=False)
class Lattice:
    """Sites of UppASD's cell, folded into it, in lattice constants.

    Attributes
    ----------
    positions : (n, 3)
        Sites within the cell.
    raw : (n, 3)
        Sites as the posfile has them.
    cell : (3, 3)
        Cell vectors.
    types : (n,)
        Types of the sites.
    direct : bool
        Whether vectors of bonds (with maptype 1) are in units of the cell vectors.
    """

    positions: FloatArray
    raw: FloatArray
    cell: FloatArray
    types: IntArray
    direct: bool

    def vectors(self, maptype: int, first: IntArray, second: IntArray, listed: FloatArray) -> FloatArray:
        """Vectors of bonds (b, 3): listed as such (1), as cells of the second site (2), or of the second raw site (3).

        Parameters
        ----------
        maptype : int
            UppASD's keyword: 1, 2 or 3.
        first, second : (b,) ndarray of int
            Sites of the cell.
        listed : (b, 3) ndarray
            As the file has them: vectors (Cartesian or in cell vectors), or cells.
        """
        if maptype == 1:
            return listed @ self.cell if self.direct else listed
        places = self.positions if maptype == 2 else self.raw
        return np.asarray(places[second] - places[first] + listed @ self.cell)


@dataclass(frozen=True, eq=False)
class Shells:
    """Vectors of one coupling file with their couplings: by type of the first site."""

    types: IntArray
    partners: IntArray
    vectors: FloatArray
    tensors: FloatArray
    lines: IntArray


def shells_of(
    lattice: Lattice, maptype: int, rows: list[Line], pairs: IntArray, listed: FloatArray, tensors: FloatArray, keep: bool
) -> Shells:
    """Lines of a coupling file, each vector of a type once (the last line counts), or all of them with `keep`.

    Parameters
    ----------
    lattice : Lattice
        Of the input, in UppASD's order of sites.
    maptype : int
        As in :meth:`Lattice.vectors`.
    rows : list of Line
        Lines of the file, for messages.
    pairs : (b, 2) ndarray of int
        First and second sites.
    listed : (b, 3) ndarray
        As in :meth:`Lattice.vectors`.
    tensors : (b, 3, 3) ndarray
        Couplings in the file's unit.
    keep : bool
        Whether vectors that are listed twice count twice.
    """
    vectors = lattice.vectors(maptype, pairs[:, 0], pairs[:, 1], listed)
    types, partners = lattice.types[pairs[:, 0]], lattice.types[pairs[:, 1]]
    owner = np.arange(len(rows))
    near = (
        cKDTree(vectors).query_pairs(_SAME_VECTOR, output_type="ndarray")
        if len(rows) > 1 and not keep
        else np.zeros((0, 2), int)
    )
    values = tensors.copy()
    for k, m in sorted((max(a, b), min(a, b)) for a, b in near if types[a] == types[b]):
        if owner[m] != m:
            continue  # only vectors that stand for themselves are compared with
        if partners[k] != partners[m]:
            raise InputError(
                f"{rows[k]}: the vector of {rows[m]} again, to a site of another type ({partners[k]}, not {partners[m]}): "
                "UppASD knows one site at a vector from a type"
            )
        owner[k] = m
        values[m] = tensors[k]
    own = np.flatnonzero(owner == np.arange(len(rows)))
    numbers = np.array([row.number for row in rows], dtype=np.int64)
    return Shells(types[own], partners[own], vectors[own], values[own], numbers[own])


def bonds_of(
    lattice: Lattice, shells: Shells, operations: FloatArray, by_partner: bool, keep: bool
) -> tuple[DirectedBonds, IntArray]:
    """Bonds of all sites, and the lines that join no two sites.

    Parameters
    ----------
    lattice : Lattice
        The sites.
    shells : Shells
        Vectors and couplings.
    operations : (g, 3, 3)
        Symmetry operations; the couplings are not turned by them (UppASD does not).
    by_partner : bool
        Whether the site at a vector must be of the type the line names.
    keep : bool
        Whether what two vectors say of one bond adds up (``map_multiple``), instead of the first of them.
    """
    finder = SiteFinder(lattice)
    keys, owners = [np.zeros((0, 5), dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for start in range(0, len(shells.types), _CHUNK):
        part = np.arange(start, min(start + _CHUNK, len(shells.types)))
        images, which = _images(shells.vectors[part], operations)
        owner = part[which]
        for site in range(len(lattice.positions)):
            mine = np.flatnonzero(shells.types[owner] == lattice.types[site])
            found, cells = finder.find(lattice.positions[site] + images[mine])
            hit = found >= 0
            if by_partner:
                hit &= lattice.types[found] == shells.partners[owner[mine]]
            count = int(hit.sum())
            keys.append(np.column_stack([np.full(count, site), found[hit], cells[hit]]).astype(np.int64))
            owners.append(owner[mine][hit])
    bonds, owner = np.concatenate(keys), np.concatenate(owners)
    empty = np.setdiff1d(np.arange(len(shells.types)), owner)
    if not keep:
        order = np.argsort(owner, kind="stable")
        _, first = np.unique(codes(bonds[order])[0], return_index=True)
        bonds, owner = bonds[order][first], owner[order][first]
    return DirectedBonds.of(bonds, shells.tensors[owner], shells.lines[owner]), shells.lines[empty]


def _images(vectors: FloatArray, operations: FloatArray) -> tuple[FloatArray, IntArray]:
    """What the operations make of each vector, each image once, and the vector it is of."""
    images = np.einsum("gab,vb->vga", operations, vectors)
    size = len(operations)
    if size == 1:
        return images[:, 0], np.arange(len(vectors))
    squared = np.sum(vectors**2, axis=1)[:, None, None]
    near = 2.0 * (squared - images @ images.transpose(0, 2, 1)) < _SAME_PLACE**2  # operations keep lengths
    fresh = np.zeros(images.shape[:2], dtype=bool)
    for g in range(size):
        fresh[:, g] = ~(near[:, g, :g] & fresh[:, :g]).any(axis=1)
    which, chosen = np.nonzero(fresh)
    return images[which, chosen], which


class SiteFinder:
    """Finds the site at a place, and its cell."""

    def __init__(self, lattice: Lattice) -> None:
        self.lattice = lattice
        self.inverse = np.linalg.inv(lattice.cell)
        self.scaled = lattice.positions @ self.inverse
        # Distances of scaled coordinates on the torus bound those of places.
        self.tree = cKDTree(self.scaled % 1.0 % 1.0, boxsize=np.ones(3))
        self.reach = _SAME_PLACE * float(np.linalg.norm(self.inverse, 2)) * (1 + 1e-9)
        crowded = len(self.tree.query_pairs(2 * self.reach, output_type="ndarray")) > 0
        self.candidates = min(4, len(self.scaled)) if crowded else 1
        self.bins = max(1, min(128, int(1.0 / self.reach)))
        self.near_a_site = np.zeros((self.bins,) * 3, dtype=bool)  # bins with a site in them or beside them
        for step in product((-1, 0, 1), repeat=3):
            self.near_a_site[tuple(((self._bin(self.scaled) + step) % self.bins).T)] = True

    def _bin(self, scaled: FloatArray) -> IntArray:
        return np.floor(scaled * self.bins).astype(np.int64) % self.bins

    def find(self, places: FloatArray) -> tuple[IntArray, IntArray]:
        """Sites (b,), -1 where there is none, and cells (b, 3) of places (b, 3)."""
        scaled = places @ self.inverse
        asked = np.flatnonzero(self.near_a_site[tuple(self._bin(scaled).T)])
        _, near = self.tree.query(scaled[asked] % 1.0 % 1.0, k=self.candidates, distance_upper_bound=self.reach)
        near = near.reshape(len(asked), self.candidates)
        rows, columns = np.nonzero(near < len(self.scaled))
        site, rows = near[rows, columns], asked[rows]
        offsets = scaled[rows] - self.scaled[site]
        cells = np.round(offsets)
        away = np.sum(((offsets - cells) @ self.lattice.cell) ** 2, axis=1)
        nearest = np.lexsort((away, rows))
        first = nearest[np.unique(rows[nearest], return_index=True)[1]]
        first = first[away[first] < _SAME_PLACE**2]
        sites, shifts = np.full(len(places), -1), np.zeros((len(places), 3), dtype=np.int64)
        sites[rows[first]], shifts[rows[first]] = site[first], cells[first]
        return sites, shifts


def operations_of(sym: int) -> FloatArray:
    """Symmetry operations of UppASD's ``sym``: 0 none, 1 cubic, 2 square, 3 hexagonal (both in the xy plane), (g, 3, 3)."""
    identity = np.eye(3)
    signs = [np.diag(sign) for sign in product((1.0, -1.0), repeat=3)]
    if sym == 1:
        return np.array([sign @ identity[list(order)] for order in permutations(range(3)) for sign in signs])
    if sym == 2:
        square = [(0, 1, 2), (1, 0, 2)]
        return np.array([sign @ identity[list(order)] for order in square for sign in signs if sign[2, 2] > 0])
    if sym == 3:
        half, root = 0.5, np.sqrt(0.75)
        turned = [
            np.array([[a * half, b * root, 0], [c * root, d * half, 0], [0, 0, z]])
            for a, b, c, d, z in product((1.0, -1.0), repeat=5)
            if a * b * c * d < 0
        ]
        return np.array(signs + turned)
    return identity[None]


__all__ = ["Lattice", "Shells", "SiteFinder", "bonds_of", "operations_of", "shells_of"]
