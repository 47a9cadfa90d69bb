"""Bonds and scalar chiralities of a surrounding, and their linear forms that turn as irreducible representations.

    b_k = s_p.s_q  for pairs of places,    chi_k = s_p.(s_q x s_r)  for triangles,

place 0 being the site.  An operation of the point group moves places, so bonds and chiralities go over into each other, the
latter with the sign of the order of their corners.  Each orbit falls into irreducible copies
(:func:`spinase.learning.lattice.irreps.adapted`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spinase.learning.lattice.irreps import Group, Irrep, adapted, irreps_of
from spinase.learning.lattice.surroundings import SAME, Surrounding, point_group
from spinase.typing import FloatArray, IntArray

_EDGE = 1.0 + SAME  # lengths that are equal to round-off are equal


@dataclass(frozen=True)
class Reach:
    """Which bonds and triangles count, length.

    Attributes
    ----------
    pair_length, pair_range : float
        Bonds between two neighbours: longest, and how far from the site both ends may be. Bonds with the site itself always
        count.
    triangle_length, triangle_range : float
        The same for the edges of triangles, those with the site among their corners included; a range of zero: none.
    """

    pair_length: float
    pair_range: float
    triangle_length: float = 0.0
    triangle_range: float = 0.0


@dataclass(frozen=True, eq=False)
class Forms:
    """Symmetry-adapted forms of one kind of variables.

    Attributes
    ----------
    places : (K, 2) or (K, 3) ndarray of int
        Of bonds or triangles.
    copies : list of (copies, d, K) ndarray
        For every irreducible representation (the group's order): orthonormal rows.
    """

    places: IntArray
    copies: list[FloatArray]


@dataclass(frozen=True, eq=False)
class SiteForms:
    """Forms of a surrounding: group, representations, bonds (even in time), chiralities (odd)."""

    group: Group
    irreps: list[Irrep]
    bonds: Forms
    triangles: Forms


def site_forms(surrounding: Surrounding, reach: Reach, axis: int | None = None) -> SiteForms:
    """All forms of a surrounding within a reach; `axis` is one that differs from others (see ``maps``).

    Parameters
    ----------
    surrounding : Surrounding
        A site with its neighbours.
    reach : Reach
        How far the ends of bonds and triangles are apart, length.
    axis : int, optional
        Cartesian axis 0 to 2 along which something flows; default: none.
    """
    group = Group.of(point_group(surrounding, axis))
    irreps = irreps_of(group)
    points = np.concatenate([np.zeros((1, 3)), surrounding.vectors])
    bonds = _adapted(bonds_of(points, reach), group, irreps)
    return SiteForms(group, irreps, bonds, _adapted(triangles_of(points, reach), group, irreps))


def bonds_of(points: FloatArray, reach: Reach) -> IntArray:
    """Places (K, 2) of the bonds between points (n + 1, 3), the first of which is the site."""
    near = np.linalg.norm(points, axis=1) <= reach.pair_range * _EDGE
    close = _distances(points) <= reach.pair_length * _EDGE
    wanted = close & near[:, None] & near[None, :]
    wanted[0] = True
    return np.argwhere(np.triu(wanted, 1)).astype(np.int64)


def triangles_of(points: FloatArray, reach: Reach) -> IntArray:
    """Places (M, 3) of the corners of triangles, ascending."""
    near = np.flatnonzero(np.linalg.norm(points, axis=1) <= reach.triangle_range * _EDGE)
    close = _distances(points) <= reach.triangle_length * _EDGE
    found = [
        (p, q, r)
        for i, p in enumerate(near)
        for j, q in enumerate(near[i + 1 :], i + 1)
        if close[p, q]
        for r in near[j + 1 :]
        if close[p, r] and close[q, r]
    ]
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def _distances(points: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(points[:, None] - points[None], axis=2))


def _adapted(places: IntArray, group: Group, irreps: list[Irrep]) -> Forms:
    """Forms of bonds or triangles, orbit by orbit."""
    images, signs = moved(places, group)
    copies: list[list[FloatArray]] = [[] for _ in irreps]
    left = np.ones(len(places), dtype=bool)
    while left.any():
        orbit = np.unique(images[:, int(np.argmax(left))])
        left[orbit] = False
        action = np.zeros((len(group), len(orbit), len(orbit)))
        rows = np.searchsorted(orbit, images[:, orbit])
        action[np.arange(len(group))[:, None], rows, np.arange(len(orbit))] = signs[:, orbit]
        for irrep, found in zip(irreps, copies, strict=True):
            part = adapted(action, irrep)
            whole = np.zeros((*part.shape[:2], len(places)))
            whole[:, :, orbit] = part
            found.append(whole)
    empty = [np.zeros((0, one.dimension, len(places))) for one in irreps]
    return Forms(places, [np.concatenate([none, *found]) for none, found in zip(empty, copies, strict=True)])


def moved(places: IntArray, group: Group) -> tuple[IntArray, IntArray]:
    """Numbers (G, K) of the bonds or triangles that operations make of them, and signs (G, K) of reordered corners."""
    number = {tuple(row): k for k, row in enumerate(places.tolist())}
    images = np.zeros((len(group), len(places)), dtype=np.int64)
    signs = np.ones((len(group), len(places)), dtype=np.int64)
    for g, permutation in enumerate(group.permutations):
        for k, corners in enumerate(permutation[places]):
            images[g, k] = number[tuple(sorted(corners.tolist()))]
            if len(corners) == 3:
                signs[g, k] = _parity(corners)
    return images, signs


def _parity(corners: IntArray) -> int:
    a, b, c = corners
    return int(np.sign(b - a) * np.sign(c - a) * np.sign(c - b))


__all__ = ["Forms", "Reach", "SiteForms", "bonds_of", "moved", "site_forms", "triangles_of"]
