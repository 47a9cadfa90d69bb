"""Colouring a graph so that sites of one colour are far apart."""

from __future__ import annotations

import numpy as np

from spinase.compiled import njit
from spinase.typing import Array, IntArray


@njit
def spread_colours(start: Array, near: Array, colours: int, sweeps: int) -> IntArray:
    """Each site gets the colour whose nearest bearer is farthest (fewest bearers at that distance; then fewest at all).

    The first sweep walks through the graph breadth first; later sweeps reconsider every site with all others in place.

    Parameters
    ----------
    start, near
        Compressed rows of the adjacency.
    colours, sweeps : int

    Returns
    -------
    (N,) int
    """
    sites = len(start) - 1
    colour, used = np.full(sites, -1, np.int64), np.zeros(colours, np.int64)
    distance, bearers = np.empty(colours, np.int64), np.empty(colours, np.int64)
    seen, queue, depth = np.full(sites, -1, np.int64), np.empty(sites, np.int64), np.empty(sites, np.int64)
    order, stamp = _walk(start, near), 0
    for _ in range(sweeps):
        for site in order:
            if colour[site] >= 0:
                used[colour[site]] -= 1
                colour[site] = -1
            _look_around(site, start, near, colour, distance, bearers, (seen, queue, depth), stamp)
            stamp += 1
            best = 0
            for c in range(1, colours):
                if _better(distance[c], bearers[c], used[c], distance[best], bearers[best], used[best]):
                    best = c
            colour[site] = best
            used[best] += 1
    return colour


@njit
def _better(distance: int, bearers: int, used: int, distance_: int, bearers_: int, used_: int) -> bool:
    if distance != distance_:
        return distance > distance_
    return bearers < bearers_ if bearers != bearers_ else used < used_


@njit
def _look_around(
    site: int,
    start: Array,
    near: Array,
    colour: IntArray,
    distance: IntArray,
    bearers: IntArray,
    work: tuple[IntArray, IntArray, IntArray],
    stamp: int,
) -> None:
    """Distance from `site` to the nearest bearer of each colour, and how many there are at that distance."""
    seen, queue, depth = work
    distance[:] = len(colour) + 1
    bearers[:] = 0
    missing, head, tail, limit = len(distance), 0, 1, len(colour) + 1
    queue[0], depth[0], seen[site] = site, 0, stamp
    while head < tail and depth[head] <= limit:
        here, d = queue[head], depth[head]
        head += 1
        c = colour[here]
        if c >= 0:
            if distance[c] > d:
                distance[c] = d
                missing -= 1
                limit = d if missing == 0 else limit
            if distance[c] == d:
                bearers[c] += 1
        for k in range(start[here], start[here + 1]):
            there = near[k]
            if seen[there] != stamp:
                seen[there], queue[tail], depth[tail] = stamp, there, d + 1
                tail += 1


@njit
def _walk(start: Array, near: Array) -> IntArray:
    """All sites, breadth first from site 0, then from the next one that was not reached."""
    sites = len(start) - 1
    order, reached = np.empty(sites, np.int64), np.zeros(sites, np.bool_)
    head, tail = 0, 0
    for seed in range(sites):
        if reached[seed]:
            continue
        order[tail], reached[seed] = seed, True
        tail += 1
        while head < tail:
            here = order[head]
            head += 1
            for k in range(start[here], start[here + 1]):
                if not reached[near[k]]:
                    reached[near[k]] = True
                    order[tail] = near[k]
                    tail += 1
    return order
