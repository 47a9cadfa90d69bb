"""A magnet on a lattice as the loops want it: sites in an order in which neighbours are near, cut into strips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spinase.compiled.rows import aligned
from spinase.geometry import Bonds
from spinase.learning.engine.graph import Pool, spatial_order
from spinase.learning.engine.lattice.tiles import WIDTH
from spinase.learning.engine.lattice.workspace import Strip, Workspace
from spinase.learning.lattice.network import LatticeNetwork
from spinase.typing import Array, FloatArray, IntArray

STRIP = 512  # sites


def both_ways(bonds: Bonds) -> tuple[IntArray, IntArray, FloatArray]:
    """Directed pairs of bonds, ordered by first site: first, second (P,) and vectors (P, 3), length."""
    first = np.concatenate([bonds.first, bonds.second])
    second = np.concatenate([bonds.second, bonds.first])
    rows = np.argsort(first, kind="stable")
    return first[rows], second[rows], np.concatenate([bonds.vectors, -bonds.vectors])[rows]


@dataclass(frozen=True, eq=False)
class StripOf:
    """A strip of sites of one `kind`."""

    kind: int
    strip: Strip


class LatticeGraph(Pool):
    """Sites and their places, in strips; `cached` is what engines keep here.

    Parameters
    ----------
    network : LatticeNetwork
        Which knows the lattice.
    pairs : (first, second, vectors)
        Directed pairs (P,), ordered by first site, and r_second - r_first (P, 3), length.  Sites without any are left out.
    positions, species
        Of a geometry, as an evaluator is given them.

    Raises
    ------
    ModelError
        If a site has other surroundings than the lattice of the network.
    """

    def __init__(
        self,
        network: LatticeNetwork,
        pairs: tuple[IntArray, IntArray, FloatArray],
        positions: FloatArray,
        species: IntArray,
    ) -> None:
        super().__init__()
        rank = np.empty(len(species), dtype=np.int64)
        rank[spatial_order(positions, network.config.cutoff)] = np.arange(len(species))
        self.cached: dict[tuple[str, Any], list[Workspace]] = {}
        self.strips: list[StripOf] = []
        self._along: FloatArray | None = None
        self._arms: list[Array] = []
        for kind, (sites, places) in enumerate(network.places(pairs, species)):
            order = np.argsort(rank[sites])
            for begin in range(0, len(sites), STRIP):
                part = order[begin : begin + STRIP]
                self.strips.append(StripOf(kind, _strip(sites[part], places[part])))

    def arms(self, along: FloatArray | None, dtype: Any) -> list[Array]:
        """Places along an axis (N,) of the places of every site less its own, by strip: (blocks, n + 1, WIDTH), flat.

        Without elements where nothing counts by places (None).  They are kept until they are others.
        """
        if along is None:
            return [np.zeros(0, dtype)] * len(self.strips)
        if self._along is None or not (self._arms[0].dtype == dtype and np.array_equal(self._along, along)):
            self._along, self._arms = along.copy(), [_arms(one.strip, along, dtype) for one in self.strips]
        return self._arms

    @property
    def longest(self) -> int:
        """Most neighbours of a strip."""
        return max((len(one.strip.neighbours) for one in self.strips), default=0)


def _strip(sites: IntArray, places: IntArray) -> Strip:
    """Sites (n,) with places (n, p) in blocks."""
    blocks = -(-len(places) // WIDTH)
    full = np.concatenate([places, np.repeat(places[:1], blocks * WIDTH - len(places), axis=0)])
    neighbours, local = np.unique(full, return_inverse=True)
    cut = local.reshape(blocks, WIDTH, -1).transpose(0, 2, 1)
    return Strip(sites, neighbours, np.ascontiguousarray(cut, dtype=np.int32))


def _arms(strip: Strip, along: FloatArray, dtype: Any) -> Array:
    """Places of a strip's places less those of its sites, which are place 0."""
    places = along[strip.neighbours][strip.places]
    found = aligned(places.size, dtype)
    found[:] = (places - places[:, :1]).ravel()
    return found


__all__ = ["STRIP", "LatticeGraph", "StripOf", "both_ways"]
