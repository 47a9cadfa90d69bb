"""Networks on regions of magnets, in compiled loops: energies of owned sites, derivatives by owned sites and ghosts.

A network of L layers needs the features of a ghost only after as many layers as are left when they reach an owned site.
Sites are put in the order of their steps from the owned ones, so the sites that layer k works on come first in memory,
in whole strips: owned sites only in the last layer, and none without pairs of their own in any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from spinase.learning.engine.evaluator import FrozenEngine, Scope, supports
from spinase.learning.engine.graph import STRIP, Pool, neighbours_of, strips_of
from spinase.learning.engine.moving import MovingEngine
from spinase.learning.engine.moving_graph import STRIP as MOVING_STRIP
from spinase.learning.engine.moving_graph import Layout, MovingGraph, box_codes
from spinase.learning.evaluator import RegionAnswer, RegionEvaluator, RegionSites, Request
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.trunk import Trunk
from spinase.typing import FloatArray, IntArray


class RegionGraph(Pool):
    """Pairs of a region whose sites stay, as :class:`spinase.learning.engine.graph.EngineGraph` has those of a magnet.

    Parameters
    ----------
    sites : RegionSites
        Of the region.
    layout : Layout
        Where sites and pairs go.
    config : NetworkConfig
        The network's.

    Attributes
    ----------
    order, back, pairs, distances, shells, strips, cached
        As those of a magnet, in single precision.
    """

    def __init__(self, sites: RegionSites, layout: Layout, config: NetworkConfig) -> None:
        super().__init__()
        self.order, self.back = layout.order, np.empty_like(layout.order)
        self.back[self.order] = np.arange(len(self.order))
        counts = np.diff(layout.starts)[self.order]
        starts = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(layout.starts[:-1][self.order] - starts[:-1], counts) + np.arange(len(sites.pairs))
        second = self.back[sites.pairs.second[rows]].astype(np.int32)
        local, self.strips = strips_of(starts, second, layout.begins)
        vectors = sites.pairs.vectors[rows]
        self.pairs, self.distances, self.shells = neighbours_of(starts, second, local, vectors, config, np.float32)
        self.cached: dict[tuple[str, Any], Any] = {}


class _Prepared(NamedTuple):
    """Pairs of a region, species of its sites (n,), and what matters where: owned sites, strips by following layers."""

    graph: Any
    species: IntArray
    owned: int
    strips: Sequence[int]

    def scope(self, weights: FloatArray) -> Scope:
        """Owned sites count, their parts by weights (K,)."""
        return Scope(np.tile(weights, (self.owned, 1)), self.strips)


def region_layout(sites: RegionSites, cutoff: float, strip: int) -> tuple[Layout, list[int]]:
    """Owned sites first, then ghosts by steps, among these along a curve; how many strips have at most 0, 1, .. L steps.

    Parameters
    ----------
    sites : RegionSites
        Of the region.
    cutoff : float
        Side of the boxes of the curve, length.
    strip : int
        Most sites of a strip.
    """
    codes = box_codes(np.ascontiguousarray(sites.positions), cutoff)
    order = np.lexsort((codes, sites.steps))
    ends = np.cumsum(np.bincount(sites.steps, minlength=sites.layers + 1))
    begins, counts, begin = list[int](), list[int](), 0
    for end in ends.tolist():
        begins += range(begin, end, strip)
        counts.append(len(begins))
        begin = end
    return Layout(order, sites.starts, np.arange(len(sites.pairs)), begins), counts


class CompiledRegions(RegionEvaluator):
    """Energies and gradients by spins of mHIP-NN in single precision on the CPU, for sites that stay."""

    def __init__(self, trunks: Sequence[Trunk], request: Request) -> None:
        super().__init__(trunks, request)
        self._config = cast(NetworkConfig, self.trunks[0].config)
        self._engines = [FrozenEngine(cast(MagneticHIPNN, trunk)) for trunk in self.trunks]

    @classmethod
    def supports(cls, trunk: Trunk, request: Request) -> bool:
        """mHIP-NN with the channels of the loops, float32, CPU, spins on sites that stay."""
        known = isinstance(trunk, MagneticHIPNN) and supports(trunk.config)
        return known and request.dtype == "float32" and request.device == "cpu" and not (request.moving or request.positions)

    def prepare(self, sites: RegionSites) -> _Prepared:
        """Pairs in strips."""
        layout, strips = region_layout(sites, self._config.cutoff, STRIP)
        return _Prepared(RegionGraph(sites, layout, self._config), sites.species, sites.owned, strips)

    def evaluate(
        self, prepared: _Prepared, member: int, spins: FloatArray, weights: FloatArray, forces: bool
    ) -> RegionAnswer:
        """One pass."""
        return RegionAnswer(*self._engines[member](prepared.graph, prepared.species, spins, scope=prepared.scope(weights)))


class MovingRegions(RegionEvaluator):
    """Energies and gradients by spins and positions of mHIP-NN, in single (1e-6) or double precision (1e-10)."""

    def __init__(self, trunks: Sequence[Trunk], request: Request) -> None:
        super().__init__(trunks, request)
        self._engines = [MovingEngine(cast(MagneticHIPNN, trunk), np.dtype(request.dtype)) for trunk in self.trunks]

    @classmethod
    def supports(cls, trunk: Trunk, request: Request) -> bool:
        """mHIP-NN with the channels of the loops, CPU."""
        return isinstance(trunk, MagneticHIPNN) and supports(trunk.config) and request.device == "cpu"

    def prepare(self, sites: RegionSites) -> _Prepared:
        """Pairs in strips."""
        layout, strips = region_layout(sites, self.trunks[0].config.cutoff, MOVING_STRIP)
        graph: MovingGraph = self._engines[0].laid_out(sites.pairs, layout)
        return _Prepared(graph, sites.species, sites.owned, strips)

    def evaluate(
        self, prepared: _Prepared, member: int, spins: FloatArray, weights: FloatArray, forces: bool
    ) -> RegionAnswer:
        """One pass."""
        found = self._engines[member].solve(
            prepared.graph, prepared.species, spins, moving=forces, scope=prepared.scope(weights)
        )
        virial = None if found.virial is None else found.virial[0]
        return RegionAnswer(found.energies, found.fields, found.forces, virial)


__all__ = ["CompiledRegions", "MovingRegions", "RegionGraph", "region_layout"]
