"""Energy and field of a network on a geometry at rest, in compiled loops: the fast path of dynamics on the CPU.

The sums of :mod:`spinase.learning.mhipnn.network` with their derivatives by hand; what depends on positions only is kept in
an :class:`EngineGraph`.  Sites are cut into strips; every strip adds gradients to memory of its own, and those are added up
in order, so that any number of threads gives the same numbers.  The README of this folder shows the flow of data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from spinase.compiled.dense import matrix
from spinase.compiled.rows import LANES
from spinase.compiled.threads import default_threads, thread_map
from spinase.errors import ModelError
from spinase.learning.engine.graph import EngineGraph, Strip, filter_table
from spinase.learning.engine.layers import add_strip, backward, forward
from spinase.learning.engine.pulls import MOTION
from spinase.learning.engine.sending import send, send_backward
from spinase.learning.engine.workspace import (
    ChannelsByDegree,
    LayerCache,
    LayerContext,
    LayerGradients,
    LayerWeights,
    Options,
    SendWeights,
    Workspace,
    new_workspace,
    row_width,
)
from spinase.learning.mhipnn.network import Interaction, MagneticHIPNN, Mix, NetworkConfig
from spinase.learning.mhipnn.pair_law import PairLaw
from spinase.typing import Array, FloatArray, IntArray


def supports(config: NetworkConfig) -> bool:
    """Whether the engine has all channels of a network."""
    return config.vectors and not config.quadrupoles and not config.spin_orbit


def channels_by_degree(config: NetworkConfig) -> ChannelsByDegree:
    """Channels of degrees 0, 1, 2 as lengths of tuples, for the compiler."""
    channels = (*config.channels, 0, 0)[:3]
    return (0,) * channels[0], (0,) * channels[1], (0,) * channels[2]


@dataclass(frozen=True, eq=False)
class Scope:
    """Sites whose energies count; the others are ghosts around them.

    Attributes
    ----------
    weights : (n, K) ndarray
        Of the parts of these sites, which are the first n of the graph's order.
    strips : (L + 1,) sequence of int
        How many of the graph's strips, from the first on, have sites that matter where 0, 1, .. L layers follow.
    """

    weights: FloatArray
    strips: Sequence[int]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One evaluation: how to run over strips, spins (N, 3) in the graph's order, weights with the graph's filters.

    `pushed` (N, 3), where atoms move: minus dE by the vectors of the pairs that end at a site, added to.  `scope`: which
    sites count; None: all.
    """

    graph: Any
    each: Callable[..., list[Any]]
    spins: Array
    contexts: list[LayerContext]
    pushed: Array | None = None
    scope: Scope | None = None

    @property
    def counted(self) -> int:
        """Sites whose energies count, the first of the graph's order."""
        return len(self.spins) if self.scope is None else len(self.scope.weights)

    def strips(self, layer: int) -> list[Strip]:
        """Strips of the sites whose values after layer 0, 1, ... matter; -1: before all layers."""
        strips = cast(list[Strip], self.graph.strips)
        return strips if self.scope is None else strips[: self.scope.strips[len(self.contexts) - 1 - layer]]


class FrozenEngine:
    """A network with its weights as the compiled loops want them.

    Parameters
    ----------
    network : MagneticHIPNN
        With channels that the engine has (:func:`supports`).
    dtype : numpy dtype
        float32 or float64.
    threads : int, optional
        Default: ``OMP_NUM_THREADS``, else all cores.
    """

    def __init__(self, network: MagneticHIPNN, dtype: Any = np.float32, threads: int | None = None) -> None:
        self.config, self.dtype = network.config, np.dtype(dtype)
        self.threads = threads or default_threads()
        self._channels_by_degree = channels_by_degree(self.config)
        self._channels = self.config.channels[0]
        self._options = Options(self.config.chirality, self.config.products)
        self._embedding = _array(network.embedding.weight, dtype)
        parts = [cast(Interaction, part) for part in network.interactions]
        self._filters = [[weights.detach().double().clone() for weights in part.filters] for part in parts]
        readouts = [cast(nn.Linear, part) for part in network.readouts]
        self._layers = [self._layer(part, filters) for part, filters in zip(parts, self._filters, strict=True)]
        self._senders = [self._sender(part) for part in parts]
        self._readouts = [_array(part.weight, dtype) for part in readouts]
        self._law: PairLaw | None = network.pair_law if self.config.pairs else None
        self._constant = np.sum([part.bias.detach().double().numpy() for part in readouts], axis=0)

    def _layer(self, part: Interaction, filters: list[Tensor]) -> LayerWeights:
        """Weights of a layer, with filters at knots."""
        own, collect = part.own.weight, part.collect.weight
        dense = [cast(nn.Linear, layer) for layer in part.atoms]
        empty = own.new_zeros((0, *own.shape))
        stacked = torch.stack([layer.weight for layer in dense]) if dense else empty
        biases = torch.stack([layer.bias for layer in dense]) if dense else own.new_zeros((0, len(own)))
        arrays = (
            filter_table(filters, self.config),
            own.T,
            own,
            collect.T,
            collect,
            part.own.bias + part.collect.bias,
            stacked.transpose(1, 2),
            stacked,
            biases,
        )
        return LayerWeights(*(_array(array, self.dtype) for array in arrays))

    def _contexts(self, graph: EngineGraph) -> list[LayerContext]:
        """What the kernels of every layer are given on a graph; made once and kept in the graph."""
        known = graph.cached.get(("contexts", self))
        if known is None:
            shared = (self._options, self._channels_by_degree)
            known = [LayerContext(graph.pairs, layer, *shared) for layer in self._layers_on(graph)]
            graph.cached["contexts", self] = known
        return cast(list[LayerContext], known)

    def _layers_on(self, graph: EngineGraph) -> list[LayerWeights]:
        """Weights with the filters of a graph's distances, where those are few."""
        if graph.shells is None:
            return self._layers
        at = torch.from_numpy(graph.shells)
        tables = [_array(filter_table(filters, self.config, at), self.dtype) for filters in self._filters]
        return [layer._replace(table=table) for layer, table in zip(self._layers, tables, strict=True)]

    def _sender(self, part: Interaction) -> SendWeights:
        """Weights of what is sent to a layer."""
        weights = [part.send.weight, part.send_spin.weight]
        none = part.send.weight.new_zeros((0, 0))
        passes = hasattr(part, "gate")
        weights += [part.gate.weight, part.pass_on.weight] if passes else [none, none]
        number, spin, gate, passed = ((_array(w.T, self.dtype), _array(w, self.dtype)) for w in weights)
        bias = _array(part.gate.bias if passes else none[0:0].flatten(), self.dtype)
        return SendWeights(*number, *spin, *gate, bias, *passed)

    def __call__(
        self,
        graph: EngineGraph,
        species: IntArray,
        spins: FloatArray,
        mix: Mix | None = None,
        scope: Scope | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Energies of the sites, and the field of their sum.

        Parameters
        ----------
        graph : EngineGraph
            Pairs.
        species : (N,) ndarray of int
            Indices into the network's species.
        spins : (N, 3) ndarray
            Free spin vectors; zero rows are non-magnetic sites.
        mix : callable, optional
            For a network with several parts: weights (N, K) of their sum from values of the parts (N, K).
        scope : Scope, optional
            Which sites count, with weights that are known; default: all.

        Returns
        -------
        energies : (N,) ndarray
            In the network's units; of the n sites that count, where a scope is given.
        fields : (N, 3) ndarray
            H = -dE/ds.
        """
        if mix is None and scope is None and len(self._constant) > 1:
            raise ModelError("this network needs electrons: a filling or a chemical potential")
        with thread_map(min(self.threads, len(graph.strips)) or 1) as each:
            ordered = np.ascontiguousarray(spins[graph.order], self.dtype)
            run = Evaluation(graph, each, ordered, self._contexts(graph), scope=scope)
            energies, field = self._evaluate(run, species, mix)
        if self._law is not None:
            bare, couplings = self._couplings(self._law, run, species)
            slopes = couplings @ ordered
            energies += (bare + 0.5 * np.sum(slopes * ordered, axis=1))[: run.counted]
            # pairs from sites that count to ghosts are there one way only
            field -= slopes if scope is None else 0.5 * (slopes + couplings.T @ ordered)
        return energies[graph.back[: run.counted]], field[graph.back].astype(np.float64)

    def _couplings(self, law: PairLaw, run: Evaluation, species: IntArray) -> Any:
        """Bare energies (N,) and exchange (N, N) of the law of pairs, in the graph's order; kept for these species.

        Of pairs from sites that count.
        """
        graph = run.graph
        known = graph.cached.get(("couplings", law))
        if known is None or not np.array_equal(known[0], species):
            last = graph.pairs.starts[run.counted]
            rows = np.minimum(graph.pairs.starts, last), graph.pairs.second[:last], graph.distances[:last]
            bare, exchange = law.frozen(*rows, species[graph.order])
            known = graph.cached["couplings", law] = (species.copy(), bare, exchange.astype(self.dtype))
        return known[1:]

    def _features(self, graph: EngineGraph, species: IntArray) -> Array:
        """Before the first layer (N, F), in the graph's order; kept for these species."""
        known = graph.cached.get(("features", self))
        if known is None or not np.array_equal(known[0], species):
            known = graph.cached["features", self] = (species.copy(), self._embedding[species[graph.order]])
        return cast(Array, known[1])

    def _evaluate(self, run: Evaluation, species: IntArray, mix: Mix | None) -> tuple[FloatArray, Array]:
        """Energies (n,) of the sites that count, fields (N, 3) in the graph's order; where atoms move, MOTION columns more.

        Where parts of the energy are mixed, the last layer is done before the way back begins; otherwise on the way back.
        """
        features, counted = self._features(run.graph, species), run.counted
        parts, vectors, caches = features[:counted] @ self._readouts[0].T, self._empty(0, 0), []
        for k, readout in enumerate(self._readouts[1:]):
            cache = self._send(k, run, features, vectors)
            caches.append(cache)
            if k < len(self._layers) - 1 or mix is not None:
                features, vectors = self._forward(k, run, cache)
                parts += features[:counted] @ readout.T
        if mix is not None:
            run.graph.give_back(vectors, features)
        weights = self._weights(run, parts, mix)
        parts, field = self._way_back(run, caches, parts, weights.astype(self.dtype), mix is not None)
        return np.einsum("ik,ik->i", weights, parts + self._constant), field

    def _way_back(
        self, run: Evaluation, caches: list[LayerCache], parts: Array, weights: Array, finished: bool
    ) -> tuple[Array, Array]:
        """All parts of the energies (N, parts) and the field (N, 3); `finished`: the last layer is done forwards."""
        graph, last, sites = run.graph, len(caches) - 1, len(run.spins)
        field = np.zeros((sites, 3 if run.pushed is None else 3 + MOTION), self.dtype)
        grad_features, grad_vectors = self._grad_readout(graph, sites, weights, -1), self._empty(0, 0)
        for k in reversed(range(last + 1)):
            grad_before, cache = self._grad_readout(graph, sites, weights, k) if k else self._empty(0, 0), caches[k]
            done = k < last or finished
            features = self._empty(0, 0) if done else graph.borrow(self.dtype, *cache.features.shape)
            grad_sent = self._backward(k, run, cache, features, (grad_features, grad_vectors, grad_before), field)
            if not done:
                parts += features[: run.counted] @ self._readouts[-1].T
            if run.pushed is not None:
                np.add(run.pushed, grad_sent[:, -LANES : 3 - LANES], out=run.pushed)
            used = (grad_features, features, grad_vectors, grad_sent)
            grad_features, grad_vectors = grad_before, self._send_backward(k, run, cache, grad_sent, grad_before, field)
            graph.give_back(*used, cache.sent, cache.gates, cache.activation_slopes, cache.vectors)
            graph.give_back(*([cache.features] if k else [grad_features, grad_vectors]))
        return parts, field

    def _grad_readout(self, graph: EngineGraph, sites: int, weights: Array, k: int) -> Array:
        """dE/d(features that readout k reads) = sum_n weights[:, n] W_k[n], (N, F); zero behind the sites of `weights`."""
        readout, counted = self._readouts[k], len(weights)
        out = graph.borrow(self.dtype, sites, readout.shape[1])
        times = np.multiply if len(readout) == 1 else np.matmul
        times(weights, readout, out=out[:counted])
        out[counted:] = 0.0
        return out

    def _weights(self, run: Evaluation, parts: Array, mix: Mix | None) -> FloatArray:
        """Of every part of the energy in the sum, (N, parts), or of the sites that count."""
        if run.scope is not None:
            return run.scope.weights
        if mix is None:
            return np.ones((len(parts), 1))
        return mix((parts + self._constant)[run.graph.back])[run.graph.order]

    def _workspace(self, graph: EngineGraph) -> Workspace:
        """One that no other thread works in, until it is put back into ``graph.workspaces``."""
        try:
            return graph.workspaces.pop()
        except IndexError:
            return new_workspace(self._channels_by_degree, self.config.invariants(), self.dtype)

    def _empty(self, *shape: int) -> Array:
        return np.empty(shape, self.dtype)

    def _send(self, k: int, run: Evaluation, features: Array, vectors: Array) -> LayerCache:
        """What neighbours of layer k are sent, by features (N, F) and the spin vectors M (N, 3 C) of the layer before."""
        sites, weights, channels, spins = len(run.spins), self._senders[k], self._channels, run.spins
        borrow = partial(run.graph.borrow, self.dtype)
        gates = borrow(sites if len(vectors) else 0, channels)
        sent = borrow(sites, row_width(channels))
        slopes = borrow(self.config.atom_layers + 1, sites, features.shape[1])
        cache = LayerCache(features, vectors, sent, gates, slopes)
        run.each(lambda s: send(s.begin, s.end, weights, channels, spins, cache), run.strips(k - 1))
        return cache

    def _forward(self, k: int, run: Evaluation, cache: LayerCache) -> tuple[Array, Array]:
        """Features (N, F) and spin vectors (N, 3 C) after layer k."""
        graph, context = run.graph, run.contexts[k]
        features = graph.borrow(self.dtype, *cache.features.shape)
        vectors = graph.borrow(self.dtype, len(run.spins), 3 * self._channels)

        def over(strip: Strip) -> None:
            """Do one strip."""
            workspace = self._workspace(graph)
            forward(strip.begin, strip.end, context, workspace, run.spins, cache, features, vectors)
            graph.workspaces.append(workspace)

        run.each(over, run.strips(k))
        return features, vectors

    def _backward(
        self,
        k: int,
        run: Evaluation,
        cache: LayerCache,
        features: Array,
        gradients: tuple[Array, Array, Array],
        field: Array,
    ) -> Array:
        """dE by what was sent to layer k (N, row_width).

        `features` (N, F) are written if the layer is not done forwards yet, else of length 0; `gradients`: by features and
        spin vectors after the layer, and, added to, by features before it.
        """
        graph, context = run.graph, run.contexts[k]
        width = cache.sent.shape[1] + (0 if run.pushed is None else LANES)

        def over(strip: Strip) -> Array:
            """What one strip adds to its neighbours, (n, width)."""
            grad_sent = graph.borrow(self.dtype, len(strip.neighbours), width)
            grad_sent[:] = 0.0
            given = LayerGradients(*gradients, grad_sent)
            workspace = self._workspace(graph)
            backward(strip.begin, strip.end, context, workspace, run.spins, cache, features, given, field)
            graph.workspaces.append(workspace)
            return grad_sent

        return self._added(run, run.strips(k), run.each(over, run.strips(k)), width)

    def _added(self, run: Evaluation, strips: list[Strip], by_strips: list[Array], width: int) -> Array:
        """Sum of what strips have added to their neighbours, strip by strip for any number of threads, (N, width)."""
        graph, sites = run.graph, len(run.spins)
        if len(by_strips) == 1 and len(by_strips[0]) == sites:
            return by_strips[0]
        out = graph.borrow(self.dtype, sites, width)
        threads = min(self.threads, len(strips)) or 1
        columns = np.linspace(0, width, threads + 1).astype(int)

        def add(part: int) -> None:
            """Add up one range of columns, in the order of the strips."""
            out[:, columns[part] : columns[part + 1]] = 0.0
            for strip, values in zip(strips, by_strips, strict=True):
                add_strip(strip.neighbours, values, columns[part], columns[part + 1], out)

        run.each(add, range(threads))
        graph.give_back(*by_strips)
        return out

    def _send_backward(
        self, k: int, run: Evaluation, cache: LayerCache, grad_sent: Array, grad_features: Array, field: Array
    ) -> Array:
        """dE by the spin vectors M of the layer before (N, 3 C); those by features and spins are added."""
        grad_vectors = run.graph.borrow(self.dtype, *cache.vectors.shape)
        shared = (self._senders[k], self._channels, run.spins, cache, grad_sent, grad_features, grad_vectors, field)
        run.each(lambda s: send_backward(s.begin, s.end, *shared), run.strips(k - 1))
        return grad_vectors


def _array(tensor: Tensor, dtype: Any) -> Array:
    """A copy with room behind its end."""
    return matrix(tensor.detach().cpu().numpy(), dtype)


__all__ = ["EngineGraph", "Evaluation", "FrozenEngine", "Scope", "channels_by_degree", "supports"]
