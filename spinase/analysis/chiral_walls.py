"""Walls between domains of opposite scalar chirality: where they are, their length and directions, the sites they hold.

Functions that take a triangulation raise what :func:`spinase.analysis.triangles` does where there is no such one
(InvalidGeometryError), and InvalidMomentsError if no site has a moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase import Atoms

from spinase.analysis.topology import spins_of, triangle_chirality
from spinase.analysis.triangles import Triangles, Triangulation, neighbours, resolve
from spinase.brief import Brief
from spinase.errors import ModelError
from spinase.measures import site_mask
from spinase.typing import BoolArray, FloatArray

TETRAHEDRAL_CHIRALITY = 4.0 / (3.0 * np.sqrt(3.0))
"""|s_i.(s_j x s_k)| of tetrahedral order, 0.7698."""
EDGES_BY_LENGTH = 4.0 / np.pi
"""Length of the edges between triangles on two sides of a line, on a triangular lattice, by that of the line: it cuts bonds
between centres of triangles, so (2/3) sum |cos| over the angles of its normal with them, 1.155 to 1.333, on average 4/pi."""


@dataclass(frozen=True, eq=False, repr=False)
class ChiralityWalls(Brief):
    """Walls as short straight pieces.

    Attributes
    ----------
    starts, ends : (n, 3)
        Of the pieces, Cartesian, length; of periodic magnets each piece once.
    area : float
        Of all triangles, length^2.
    """

    starts: FloatArray
    ends: FloatArray
    area: float

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def lengths(self) -> FloatArray:
        """Of the pieces, (n,), length."""
        return np.asarray(np.linalg.norm(self.ends - self.starts, axis=1))

    @property
    def length(self) -> float:
        """Of all walls."""
        return float(self.lengths.sum())

    @property
    def domain_length(self) -> float:
        """Mean distance of two walls along a straight line, averaged over its directions: pi area/(2 length of the walls).

        This is Crofton's formula, exact for any set of walls; stripes of width w have pi w/2.  Infinite without walls.
        """
        return 0.5 * np.pi * self.area / self.length if self.length > 0.0 else float("inf")

    @cached_property
    def directions(self) -> FloatArray:
        """Angle of every piece with the x axis, (n,), radian, from 0 to pi (walls have no sense)."""
        steps = self.ends - self.starts
        return np.asarray(np.arctan2(steps[:, 1], steps[:, 0]) % np.pi)

    def orientations(self, bins: int = 36, period: float = np.pi) -> tuple[FloatArray, FloatArray]:
        """Middles (bins,) of ranges of angles, radian, and the length of walls in each over that of isotropic ones, (bins,).

        Parameters
        ----------
        bins : int
            Ranges.
        period : float
            Angles that differ by it count as one, radian: pi, or pi/3 where the lattice is the same after that turn.

        Raises
        ------
        ModelError
            If `bins` is not positive or the period does not divide pi.
        """
        if bins < 1 or not (period > 0.0 and abs(np.pi / period - round(np.pi / period)) < 1e-9):
            raise ModelError(f"orientations need bins >= 1 and a period that divides pi, got bins={bins}, period={period}")
        places = (np.arange(bins) + 0.5) * period / bins
        ranges = (self.directions % period * (bins / period)).astype(np.int64) % bins
        weights = np.bincount(ranges, self.lengths, minlength=bins)
        return places, weights * bins / max(self.length, np.finfo(float).tiny)

    def anisotropy(self, fold: int = 6) -> float:
        """<cos(fold theta)> over the length of the walls, theta from the x axis; 0 of isotropic walls, and without any.

        Parameters
        ----------
        fold : int
            Even; 6 on a triangular lattice: positive if walls run along its bonds (x among them), negative if across.

        Raises
        ------
        ModelError
            For an odd or non-positive number: walls have no sense.
        """
        if fold < 2 or fold % 2:
            raise ModelError(f"walls have no sense, so their anisotropy needs an even fold of at least 2, got {fold}")
        return float(self.lengths @ np.cos(fold * self.directions) / self.length) if self.length > 0.0 else 0.0


def chirality_walls(atoms: Atoms, triangulation: Triangulation = "nearest") -> ChiralityWalls:
    """Lines on which the scalar chirality is zero, linear in every triangle between :func:`site_chirality` at its corners.

    Straight walls in any direction have their true length and direction: use these for both.  :func:`chirality_edges` has
    walls along the edges of triangles, which are longer.

    Parameters
    ----------
    atoms : Atoms
        A planar magnet.
    triangulation : {"nearest", "delaunay"} or Triangles
        As in :func:`spinase.analysis.triangles`; pass the result of that function to save time on fixed sites.
    """
    found = resolve(atoms, triangulation)
    return level_lines(atoms, found, site_chirality(atoms, found))


def level_lines(atoms: Atoms, found: Triangles, values: FloatArray) -> ChiralityWalls:
    """Lines on which a function is zero that has `values` (N,) at the sites and is linear in every triangle.

    Parameters
    ----------
    atoms : Atoms
        A planar magnet.
    found : Triangles
        Its triangles.
    values : (N,) ndarray
        Of the sites; zero counts as positive.
    """
    corners, own = found.corners(atoms), values[found.sites]
    upper = own >= 0.0
    crossed = np.flatnonzero(upper.any(axis=1) & ~upper.all(axis=1))
    corners, own, upper = corners[crossed], own[crossed], upper[crossed]
    alone = np.where(upper.sum(axis=1) == 1, upper.argmax(axis=1), (~upper).argmax(axis=1))
    rows = np.arange(len(crossed))
    ends = []
    for step in (1, 2):
        other = (alone + step) % 3
        here, there = own[rows, alone], own[rows, other]
        share = here / (here - there)  # the signs differ, so the difference is not zero
        ends.append(corners[rows, alone] + share[:, None] * (corners[rows, other] - corners[rows, alone]))
    return ChiralityWalls(ends[0], ends[1], float(found.areas(atoms).sum()))


def chirality_edges(atoms: Atoms, triangulation: Triangulation = "nearest") -> ChiralityWalls:
    """Edges between neighbouring triangles of opposite chirality: the bonds that an Ising model of triangles would count.

    On the triangular lattice they are 1.155 to 1.333 times as long as a straight wall, :data:`EDGES_BY_LENGTH` on average.

    Parameters
    ----------
    atoms : Atoms
        A planar magnet.
    triangulation : {"nearest", "delaunay"} or Triangles
        As in :func:`spinase.analysis.triangles`.
    """
    found = resolve(atoms, triangulation)
    return edges_between(atoms, found, triangle_chirality(spins_of(atoms), found) >= 0.0)


def edges_between(atoms: Atoms, found: Triangles, positive: BoolArray) -> ChiralityWalls:
    """Edges whose two triangles differ in `positive` (T,).

    Parameters
    ----------
    atoms : Atoms
        A planar magnet.
    found : Triangles
        Its triangles.
    positive : (T,) ndarray of bool
        One of two phases for every triangle.
    """
    first, second, corner = neighbours(found)
    between = positive[first] != positive[second]
    corners = found.corners(atoms)[first[between]]
    rows, at = np.arange(len(corners)), corner[between]
    return ChiralityWalls(corners[rows, at], corners[rows, (at + 1) % 3], float(found.areas(atoms).sum()))


def site_chirality(atoms: Atoms, triangulation: Triangulation = "nearest") -> FloatArray:
    """Mean scalar chirality of the triangles around each site, (N,); 0 where a site has none.

    Parameters
    ----------
    atoms : Atoms
        A planar magnet.
    triangulation : {"nearest", "delaunay"} or Triangles
        As in :func:`spinase.analysis.triangles`.
    """
    found = resolve(atoms, triangulation)
    chirality = triangle_chirality(spins_of(atoms), found)
    counts = np.bincount(found.sites.ravel(), minlength=len(atoms))
    sums = np.bincount(found.sites.ravel(), np.repeat(chirality, 3), minlength=len(atoms))
    return np.asarray(sums / np.maximum(counts, 1))


def sites_in_walls(
    atoms: Atoms, triangulation: Triangulation = "nearest", threshold: float = 0.5 * TETRAHEDRAL_CHIRALITY
) -> BoolArray:
    """Magnetic sites, (N,), around which the mean chirality is smaller than a threshold, in magnitude.

    Sites without order count as well: in a magnet that has just been quenched most of them do.

    Parameters
    ----------
    atoms : Atoms
        A planar magnet.
    triangulation : {"nearest", "delaunay"} or Triangles
        As in :func:`spinase.analysis.triangles`.
    threshold : float
        Of |:func:`site_chirality`|; default: half that of tetrahedral order.
    """
    return np.asarray(site_mask(atoms) & (np.abs(site_chirality(atoms, triangulation)) < threshold))


__all__ = [
    "EDGES_BY_LENGTH",
    "TETRAHEDRAL_CHIRALITY",
    "ChiralityWalls",
    "chirality_edges",
    "chirality_walls",
    "edges_between",
    "level_lines",
    "site_chirality",
    "sites_in_walls",
]
