"""A magnet on a lattice as the loops want it: sites in an order in which neighbours are near, cut into strips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spinase.geometry import Bonds
from spinase.learning.engine.graph import Pool, spatial_order
from spinase.learning.engine.lattice.tiles import WIDTH
from spinase.learning.engine.lattice.workspace import Strip, Workspace
from spinase.learning.lattice.network import LatticeNetwork
from spinase.typing import FloatArray, IntArray

STRIP = 512  # sites


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
    bonds, positions, species
        Of a geometry, as an evaluator is given them.

    Raises
    ------
    ModelError
        If a site has other surroundings than the lattice of the network.
    """

    def __init__(self, network: LatticeNetwork, bonds: Bonds, positions: FloatArray, species: IntArray) -> None:
        super().__init__()
        first = np.concatenate([bonds.first, bonds.second])
        second = np.concatenate([bonds.second, bonds.first])
        vectors = np.concatenate([bonds.vectors, -bonds.vectors])
        rows = np.argsort(first, kind="stable")
        rank = np.empty(len(species), dtype=np.int64)
        rank[spatial_order(positions, network.config.cutoff)] = np.arange(len(species))
        self.cached: dict[tuple[str, Any], list[Workspace]] = {}
        self.strips: list[StripOf] = []
        for kind, (sites, places) in enumerate(network.places((first[rows], second[rows], vectors[rows]), species)):
            order = np.argsort(rank[sites])
            for begin in range(0, len(sites), STRIP):
                part = order[begin : begin + STRIP]
                self.strips.append(StripOf(kind, _strip(sites[part], places[part])))

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


__all__ = ["STRIP", "LatticeGraph", "StripOf"]
