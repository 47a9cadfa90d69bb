"""Networks on lattices in compiled loops: parts of the sites, and fields, with derivatives by hand.

Every strip of sites works in memory of its own and leaves gradients by the spins around it; these are added up in order, so
that any number of threads gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from torch import Tensor, nn

from spinase.compiled.threads import default_threads, thread_map
from spinase.learning.engine.lattice.graph import LatticeGraph, StripOf, both_ways
from spinase.learning.engine.lattice.kernels import backward, forward
from spinase.learning.engine.lattice.tiles import WIDTH
from spinase.learning.engine.lattice.workspace import SiteWeights, Wanted, Workspace, new_workspace, site_kind
from spinase.learning.engine.layers import add_strip
from spinase.learning.engine.potentials import potentials
from spinase.learning.evaluator import (
    Evaluation,
    Evaluator,
    Question,
    RegionAnswer,
    RegionEvaluator,
    RegionSites,
    Request,
)
from spinase.learning.frozen_geometry import FrozenGeometry
from spinase.learning.lattice.network import LatticeNetwork, SiteNetwork
from spinase.learning.readout import Weighed
from spinase.learning.trunk import Trunk
from spinase.typing import Array, FloatArray

Weigh = Callable[[FloatArray], Weighed]
"""Weights of the potentials (J, N, K) from parts (N, K)."""


@dataclass(frozen=True, eq=False)
class _Run:
    """One evaluation: the graph, spins (3 N,), how to run over strips, and parts (N, K)."""

    graph: LatticeGraph
    spins: Array
    each: Callable[..., list[Any]]
    parts: Array


class LatticeEngine:
    """A network with its weights as the loops want them.

    Parameters
    ----------
    network : LatticeNetwork
        The network.
    dtype : numpy dtype
        float32 or float64.
    threads : int, optional
        Default: ``OMP_NUM_THREADS``, else all cores.
    """

    def __init__(self, network: LatticeNetwork, dtype: Any = np.float32, threads: int | None = None) -> None:
        self.network, self.dtype = network, np.dtype(dtype)
        self.threads = threads or default_threads()
        kinds = [cast(SiteNetwork, one) for one in network.kinds]
        self._kinds = [
            site_kind(_weights(one), 1 + len(known.kinds), self.dtype)
            for one, known in zip(kinds, network.known, strict=True)
        ]

    def __call__(
        self, graph: LatticeGraph, spins: FloatArray, weigh: Weigh, constant: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray, Weighed]:
        """Terms of the sites in J potentials, their fields, and the weights.

        Parameters
        ----------
        graph : LatticeGraph
            Of the magnet.
        spins : (N, 3) ndarray
            Free spin vectors; zero rows are non-magnetic sites.
        weigh : callable
            Weights (J, N, K) from the parts.
        constant : (J, K) ndarray, optional
            Weights that are the same everywhere, where that is known before.

        Returns
        -------
        values : (J, N) ndarray
        fields : (J - M, N, 3) ndarray
            Of the potentials, -dP/ds, but of M pairs in ``Weighed.moved`` once, as seen from every site.
        weighed : Weighed
        """
        with self._over(graph) as each:
            flat = np.ascontiguousarray(spins, self.dtype).reshape(-1)
            run = _Run(graph, flat, each, np.zeros((len(spins), self.network.config.parts), self.dtype))
            if constant is None:
                caches = each(lambda one: self._forward(run, one), graph.strips)
                weighed = weigh(run.parts.astype(np.float64))
                wanted, arms = self._wanted(weighed), graph.arms(weighed.along if weighed.moved else None, self.dtype)
                jobs = zip(graph.strips, caches, arms, strict=True)
                found = each(lambda job: self._backward(run, job[0], job[1], job[2], wanted), list(jobs))
            else:
                seeds = np.repeat(constant.astype(self.dtype)[:, None], len(spins), axis=1)
                wanted, none = Wanted(_each_alone(len(seeds)), seeds), np.zeros(0, self.dtype)
                found = each(lambda one: self._backward(run, one, self._forward(run, one), none, wanted), graph.strips)
                weighed = weigh(run.parts.astype(np.float64))
            fields = self._fields(run, found, len(wanted.potentials))
        return np.einsum("jik,ik->ji", weighed.weights, run.parts), fields, weighed

    @contextmanager
    def _over(self, graph: LatticeGraph) -> Iterator[Callable[..., list[Any]]]:
        """How to run over strips: ``each(run, strips)``."""
        threads = min(self.threads, len(graph.strips))
        if threads < 2:
            yield lambda run, items: [run(item) for item in items]
        else:
            with thread_map(threads) as each:
                yield each

    def _forward(self, run: _Run, one: StripOf) -> Array:
        """Parts of a strip are written; its cache."""
        kind = self._kinds[one.kind]
        hidden = int(kind.layers[-1] - kind.layers[0])
        cache = run.graph.borrow(self.dtype, len(one.strip.places) * (kind.forms + hidden) * WIDTH)
        with self._workspace(run.graph) as work:
            forward(one.strip, kind, run.spins, work, cache, run.parts)
        return cache

    def _backward(self, run: _Run, one: StripOf, cache: Array, arms: Array, wanted: Wanted) -> Array:
        """Gradients by the spins around a strip, (Q, 3 L) flat."""
        out = run.graph.borrow(self.dtype, len(wanted.potentials) * 3 * len(one.strip.neighbours))
        with self._workspace(run.graph) as work:
            backward(one.strip, self._kinds[one.kind], run.spins, work, cache, wanted, arms, out)
        run.graph.give_back(cache)
        return out

    def _wanted(self, weighed: Weighed) -> Wanted:
        """Gradients of potentials, of those that count by places without what does so."""
        seeds, pairs = weighed.weights, dict(weighed.moved)
        if pairs:
            assert weighed.along is not None
            seeds = seeds.copy()
            for whole, moved in pairs.items():
                seeds[whole] -= weighed.along[:, None] * seeds[moved]
        alone = [j for j in range(len(seeds)) if j not in pairs.values()]
        jobs = np.array([(j, pairs.get(j, -1)) for j in alone], dtype=np.int64)
        return Wanted(jobs, np.ascontiguousarray(seeds, self.dtype))

    def _fields(self, run: _Run, found: Sequence[Array], count: int) -> FloatArray:
        """Minus the sums of the gradients that strips left, in their order, (Q, N, 3)."""
        fields = np.zeros((count, len(run.parts), 3), self.dtype)
        for one, gradients in zip(run.graph.strips, found, strict=True):
            for out, gradient in zip(fields, gradients.reshape(count, -1, 3), strict=True):
                add_strip(one.strip.neighbours, gradient, 0, 3, out)
            run.graph.give_back(gradients)
        return -fields.astype(np.float64)

    @contextmanager
    def _workspace(self, graph: LatticeGraph) -> Iterator[Workspace]:
        """One that no other thread works in."""
        key = ("workspaces", self)
        free = graph.cached.setdefault(key, [])
        try:
            work = free.pop()
        except IndexError:
            work = new_workspace(graph.longest, max(kind.rows.total for kind in self._kinds), self.dtype)
        yield work
        free.append(work)


def _weights(network: SiteNetwork) -> SiteWeights:
    """Numbers of a kind of site."""
    adapted, mixtures = network.factors()
    layers = [cast(nn.Linear, layer) for layer in network.layers]
    return SiteWeights(adapted, mixtures, [(_array(one.weight), _array(one.bias)) for one in layers], network.table())


def _array(tensor: Tensor) -> FloatArray:
    found: FloatArray = tensor.detach().cpu().double().numpy()
    return found


def _each_alone(count: int) -> Array:
    """As many potentials, in none of which anything counts by places."""
    return np.stack([np.arange(count), np.full(count, -1)], axis=1)


def _unweighed(parts: FloatArray) -> Weighed:
    """The only part, as it is."""
    return Weighed(np.ones((1, *parts.shape)))


class LatticeRegions(RegionEvaluator):
    """Compiled loops for networks on lattices, on regions: strips of owned sites, with ghosts among their places."""

    def __init__(self, trunks: Sequence[Trunk], request: Request) -> None:
        super().__init__(trunks, request)
        self._engines = [LatticeEngine(cast(LatticeNetwork, trunk), np.dtype(request.dtype)) for trunk in self.trunks]

    @classmethod
    def supports(cls, trunk: Trunk, request: Request) -> bool:
        """Networks on lattices, which see one cutoff far, on the CPU."""
        return isinstance(trunk, LatticeNetwork) and request.device == "cpu" and not request.positions

    def prepare(self, sites: RegionSites) -> tuple[LatticeGraph, int]:
        """Strips of owned sites; how many these are."""
        network, pairs = cast(LatticeNetwork, self.trunks[0]), sites.pairs
        listed = (pairs.first, pairs.second, pairs.vectors)
        return LatticeGraph(network, listed, sites.positions, sites.species), sites.owned

    def evaluate(
        self, prepared: tuple[LatticeGraph, int], member: int, spins: FloatArray, weights: FloatArray, forces: bool
    ) -> RegionAnswer:
        """Forwards and backwards; forces there are none."""
        (graph, owned), given = prepared, weights[None]

        def weigh(parts: FloatArray) -> Weighed:
            """The weights that are given, whatever the parts are."""
            return Weighed(np.tile(weights, (1, len(parts), 1)))

        values, fields, _ = self._engines[member](graph, spins, weigh, given)
        return RegionAnswer(values[0, :owned], fields[0])


class LatticeEvaluator(Evaluator):
    """Compiled loops for networks on lattices, in both precisions, on the CPU, for sites that stay."""

    joins_replicas = True
    on_regions = LatticeRegions

    def __init__(self, trunks: Sequence[Trunk], request: Request) -> None:
        super().__init__(trunks, request)
        self._engines = [LatticeEngine(cast(LatticeNetwork, trunk), np.dtype(request.dtype)) for trunk in self.trunks]

    @classmethod
    def supports(cls, trunk: Trunk, request: Request) -> bool:
        """Networks on lattices, CPU, spins on sites that stay."""
        return isinstance(trunk, LatticeNetwork) and request.device == "cpu" and not (request.moving or request.positions)

    def prepare(self, geometry: FrozenGeometry) -> LatticeGraph:
        """Strips of sites."""
        network = cast(LatticeNetwork, self.trunks[0])
        return LatticeGraph(network, both_ways(geometry.bonds), geometry.positions, geometry.species)

    def evaluate(self, prepared: LatticeGraph, member: int, question: Question) -> Evaluation:
        """Forwards, and backwards for every potential."""
        constant = question.readout.constant_weights(self.trunks[member].config.parts)
        single = constant is not None and np.array_equal(constant, np.ones((1, 1)))
        weigh = _unweighed if single else question.weigh
        values, fields, weighed = self._engines[member](prepared, question.spins, weigh, constant)
        return Evaluation(potentials(values, question.magnets), values, weighed, fields, seen_from_sites=True)


__all__ = ["LatticeEngine", "LatticeEvaluator", "LatticeRegions"]
