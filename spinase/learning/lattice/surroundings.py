"""Surroundings of the sites of a lattice: which look alike, how one is laid on the other, and their own symmetry.

Surroundings are the vectors to the neighbours within a cutoff, with their species.  Two look alike if an orthogonal map
takes one to the other; the maps of a surrounding onto itself are its point group, found by trying, never from tables.  What
lies beyond the cutoff does not count: where the lattice has less symmetry further out, a larger cutoff sees it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spinase.errors import ModelError
from spinase.geometry import Geometry, find_bonds
from spinase.typing import FloatArray, IntArray

SAME = 1e-3
"""Vectors that differ by less than this part of the shortest one are the same."""


@dataclass(frozen=True, eq=False)
class Surrounding:
    """Neighbours of a site.

    Attributes
    ----------
    kind : int
        Species of the site, as the caller counts them.
    vectors : (n, 3) ndarray
        To the neighbours, length.
    kinds : (n,) ndarray of int
        Their species.
    """

    kind: int
    vectors: FloatArray
    kinds: IntArray

    @property
    def tolerance(self) -> float:
        """How far two vectors may differ and still be the same, length."""
        return SAME * float(np.linalg.norm(self.vectors, axis=1).min(initial=np.inf))


def maps(one: Surrounding, other: Surrounding, axis: int | None = None) -> Iterator[IntArray]:
    """Ways to lay `one` on `other`: places p (n,) with ``other.vectors[p[k]]`` the image of ``one.vectors[k]``.

    Every orthogonal map that takes one set of neighbours to the other, species included, gives one; with a Cartesian `axis`,
    along which something flows, those that leave it or turn it round.

    Parameters
    ----------
    one, other : Surrounding
        From which, and to which.
    axis : int, optional
        Cartesian, 0 to 2; default: none is singled out.
    """
    if one.kind != other.kind or not np.array_equal(np.sort(one.kinds), np.sort(other.kinds)):
        return
    if not len(one.kinds):
        yield np.zeros(0, dtype=np.int64)
        return
    tolerance = one.tolerance
    corner = _independent(one.vectors)
    coordinates = one.vectors @ np.linalg.pinv(one.vectors[corner])
    for chosen in _corners(one, other, corner, ()):
        images = coordinates @ other.vectors[chosen]
        gaps = np.linalg.norm(images[:, None] - other.vectors[None], axis=2)
        places = gaps.argmin(axis=1)
        fits = len(set(places.tolist())) == len(places) and np.array_equal(other.kinds[places], one.kinds)
        if axis is not None:
            along, there = np.abs(one.vectors[:, axis]), np.abs(other.vectors[places, axis])
            fits = fits and bool(np.abs(along - there).max() < tolerance)
        if fits and _misfit(one.vectors, other.vectors[places]) < tolerance:
            yield places.astype(np.int64)


def _misfit(vectors: FloatArray, images: FloatArray) -> float:
    """Largest |R v - w| of vectors v and images w, both (n, 3), for the orthogonal R that fits best (Kabsch), length.

    A linear map through a few vectors would fit a strained lattice as well.
    """
    left, _, right = np.linalg.svd(vectors.T @ images)
    return float(np.linalg.norm(vectors @ (left @ right) - images, axis=1).max())


def _independent(vectors: FloatArray) -> list[int]:
    """Indices of the shortest vectors that span what all of them span."""
    chosen: list[int] = []
    scale = float(np.linalg.norm(vectors, axis=1).min())
    for k in np.lexsort((np.arange(len(vectors)), np.round(np.linalg.norm(vectors, axis=1) / (SAME * scale)))):
        if np.linalg.matrix_rank(vectors[[*chosen, k]], tol=0.1 * scale) > len(chosen):
            chosen.append(int(k))
    return chosen


def _corners(one: Surrounding, other: Surrounding, corner: list[int], found: tuple[int, ...]) -> Iterator[list[int]]:
    """Neighbours of the other that have the lengths, angles and species of those of a `corner`, continuing `found`."""
    if len(found) == len(corner):
        yield list(found)
        return
    k = corner[len(found)]
    products = one.vectors[[*corner[: len(found)], k]] @ one.vectors[k]
    size = float(np.linalg.norm(one.vectors[k]))
    for candidate in np.flatnonzero(other.kinds == one.kinds[k]).tolist():
        if candidate in found:
            continue
        there = other.vectors[np.array([*found, candidate])] @ other.vectors[candidate]
        if np.abs(there - products).max() < 4.0 * one.tolerance * max(size, 1e-300) * (1.0 + len(corner)):
            yield from _corners(one, other, corner, (*found, candidate))


def point_group(surrounding: Surrounding, axis: int | None = None) -> IntArray:
    """Permutations (G, n + 1) of the site (place 0) and its neighbours (from 1 on) by the maps onto itself."""
    found = sorted({tuple(int(k) for k in places) for places in maps(surrounding, surrounding, axis)})
    rows = np.array(found, dtype=np.int64).reshape(len(found), -1) + 1
    return np.concatenate([np.zeros((len(found), 1), dtype=np.int64), rows], axis=1)


def surroundings_of(geometry: Geometry, kinds: IntArray, cutoff: float, axis: int | None = None) -> list[Surrounding]:
    """The different surroundings of the sites of a geometry within `cutoff` (length), in the order in which they come.

    Parameters
    ----------
    geometry, kinds, cutoff, axis
        Sites, their species (N,), how far a site looks, length, and the axis that differs from others (:func:`maps`).

    Raises
    ------
    ModelError
        If a neighbour lies at the cutoff, so that round-off decides whether it counts, or a site has no neighbour.
    """
    bonds = find_bonds(geometry, cutoff * (1.0 + 2.0 * SAME))
    edge = np.flatnonzero(bonds.distances > cutoff * (1.0 - 2.0 * SAME))
    if len(edge):
        b = int(edge[0])
        raise ModelError(
            f"sites {bonds.first[b]} and {bonds.second[b]} are {bonds.distances[b]:.6g} apart, which is the cutoff "
            f"{cutoff:.6g} to round-off: choose one between two shells of neighbours"
        )
    first, second = np.concatenate([bonds.first, bonds.second]), np.concatenate([bonds.second, bonds.first])
    vectors = np.concatenate([bonds.vectors, -bonds.vectors])
    known: list[Surrounding] = []
    for pattern, _, _ in patterns(first, second, vectors, kinds):
        if not any(next(maps(one, pattern, axis), None) is not None for one in known):
            known.append(pattern)
    lonely = np.setdiff1d(np.arange(len(kinds)), first)
    if len(lonely):
        raise ModelError(f"site {lonely[0]} has no neighbour within {cutoff:.6g}: a lattice needs a larger cutoff")
    return known


def patterns(
    first: IntArray, second: IntArray, vectors: FloatArray, kinds: IntArray
) -> Iterator[tuple[Surrounding, IntArray, IntArray]]:
    """Sites with the same surroundings, orientation included: what they see, which they are, and their neighbours.

    Parameters
    ----------
    first, second, vectors
        Directed pairs (P,), and r_second - r_first (P, 3).
    kinds : (N,) ndarray of int
        Species of the sites.

    Yields
    ------
    surrounding, sites, neighbours
        The latter (S,) and (S, n), in the order of the surrounding's vectors.
    """
    if not len(first):
        return
    grain = 0.731 * SAME * float(np.linalg.norm(vectors, axis=1).min())
    rounded = np.round(vectors / grain).astype(np.int64)
    order = np.lexsort((rounded[:, 2], rounded[:, 1], rounded[:, 0], kinds[second], first))
    first, second, vectors, rounded = first[order], second[order], vectors[order], rounded[order]
    counts = np.bincount(first, minlength=len(kinds))
    starts = np.cumsum(counts) - counts
    for count in np.unique(counts[counts > 0]):
        sites = np.flatnonzero(counts == count)
        rows = starts[sites][:, None] + np.arange(count)
        keys = np.concatenate([kinds[sites][:, None], kinds[second[rows]], rounded[rows].reshape(len(sites), -1)], axis=1)
        _, where, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        for label in np.argsort(where):
            members = np.flatnonzero(which.ravel() == label)
            seen = rows[members[0]]
            surrounding = Surrounding(int(kinds[sites[members[0]]]), vectors[seen], kinds[second[seen]])
            yield surrounding, sites[members], second[rows[members]]


def placed(
    known: Sequence[Surrounding],
    pairs: tuple[IntArray, IntArray, FloatArray],
    kinds: IntArray,
    names: Sequence[Any],
    axis: int | None = None,
) -> list[tuple[IntArray, IntArray]]:
    """Sites of every known surrounding, and their neighbours in its order: (S,) and (S, n + 1), the site itself first.

    Sites without pairs (ghosts of a region) are left out, unless there are no pairs at all.

    Parameters
    ----------
    known : sequence of Surrounding
        Those of the model.
    pairs : tuple of (P,), (P,), (P, 3) ndarray
        First and second sites, and vectors from first to second, length.
    kinds : (N,) ndarray of int
        Indices of species.
    names : sequence
        Of the species, for the message.
    axis : int, optional
        As in :func:`maps`.

    Raises
    ------
    ModelError
        If a site has a surrounding that is not known; `names` of the species go into the message.
    """
    found: list[list[tuple[IntArray, IntArray]]] = [[] for _ in known]
    if len(kinds) and not len(pairs[0]):
        raise ModelError("no site has a neighbour within the cutoff: the lattice this model knows has some at every site")
    for pattern, sites, neighbours in patterns(*pairs, kinds):
        laid = ((k, next(maps(one, pattern, axis), None)) for k, one in enumerate(known))
        fit = next(((k, places) for k, places in laid if places is not None), None)
        if fit is None:
            raise ModelError(_unknown(known, pattern, int(sites[0]), names))
        found[fit[0]].append((sites, np.concatenate([sites[:, None], neighbours[:, fit[1]]], axis=1)))
    out = []
    for one, members in zip(known, found, strict=True):
        none = (np.zeros(0, dtype=np.int64), np.zeros((0, len(one.kinds) + 1), dtype=np.int64))
        parts = members or [none]
        sites, rows = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
        order = np.argsort(sites)
        out.append((sites[order], rows[order]))
    return out


def _unknown(known: Sequence[Surrounding], pattern: Surrounding, site: int, names: Sequence[Any]) -> str:
    """Why a site is refused: compared with the known surrounding that is nearest to it."""
    mine = [one for one in known if one.kind == pattern.kind]
    where = f"site {site} ({names[pattern.kind]}) is none of the lattice this model knows: "
    if not mine:
        return where + f"it knows no sites of {names[pattern.kind]}"
    best = min(mine, key=lambda one: abs(len(one.kinds) - len(pattern.kinds)))
    have, want = len(pattern.kinds), len(best.kinds)
    if have != want:
        hint = "sites are missing, a surface is near" if have < want else "other sites are there"
        return where + f"it has {have} neighbours within the cutoff, not {want}; {hint}, or this is another lattice"
    here, there = (np.sort(np.linalg.norm(one.vectors, axis=1)) for one in (pattern, best))
    k = int(np.abs(here - there).argmax())
    if abs(here[k] - there[k]) > best.tolerance:
        return where + f"a neighbour is {here[k]:.6g} away, not {there[k]:.6g}; this is another lattice, or a strained one"
    return where + "its neighbours are as far away as they should be, but in other directions, or of other species"


__all__ = ["SAME", "Surrounding", "maps", "patterns", "placed", "point_group", "surroundings_of"]
