"""Energy and field of a network on a frozen geometry, in compiled loops: the fast path of dynamics on the CPU.

The same sums as :mod:`spinase.learning.mhipnn.network` with its derivatives by hand; what depends on positions only is kept.
Sites are put in an order in which neighbours are near each other, and cut into strips; every strip adds to a stretch of its
own, and the stretches are added up in order, so that any number of threads gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spinase.compiled.dense import matrix
from spinase.compiled.rows import LANES, aligned
from spinase.compiled.threads import default_threads, thread_map
from spinase.errors import ModelError
from spinase.geometry import Bonds
from spinase.learning.engine.layers import add_stretch, backward, forward, send, send_slopes
from spinase.learning.engine.workspace import Lanes, Layer, Neighbours, Room, Sender, room, row_width
from spinase.learning.mhipnn.graph import quadrupoles, shells
from spinase.learning.mhipnn.network import Interaction, MagneticHIPNN, Mix, NetworkConfig
from spinase.learning.mhipnn.pair_law import PairLaw
from spinase.typing import Array, FloatArray, IntArray

_KNOTS = 4096
_STRIP = 2048  # sites
_SOME = 4096  # pairs that tell whether there are few distances
_SHELLS = 256  # with so many distances at most, filters have a row for each of them


def supports(config: NetworkConfig) -> bool:
    """Whether the engine has all channels of a network."""
    return config.vectors and not config.quadrupoles and not config.spin_orbit


@dataclass(frozen=True, eq=False)
class _Strip:
    """Sites begin..end, and all their neighbours."""

    begin: int
    end: int
    places: NDArray[np.int32]


@dataclass(eq=False)
class _Kept:
    """What the way back needs of a layer."""

    features: Array
    vectors: Array
    sent: Array
    gates: Array
    bends: Array


class EngineGraph:
    """Pairs of a geometry as the engine wants them.

    Parameters
    ----------
    bonds : Bonds
        Pairs within the network's cutoff.
    positions : (N, 3) ndarray
        Of the sites; used for their order only, length.
    config : NetworkConfig
        The network's.
    dtype : numpy dtype
        float32 or float64.
    """

    def __init__(self, bonds: Bonds, positions: FloatArray, config: NetworkConfig, dtype: Any = np.float32) -> None:
        self.order = _spatial_order(positions, config.cutoff)
        self.back = np.empty_like(self.order)
        self.back[self.order] = np.arange(len(positions))
        first = self.back[np.concatenate([bonds.first, bonds.second])]
        second = self.back[np.concatenate([bonds.second, bonds.first])].astype(np.int32)
        order = np.lexsort((second, first))
        starts = np.concatenate([[0], np.cumsum(np.bincount(first, minlength=len(positions)))])
        second = second[order]
        local, self.strips = _strips(starts, second)
        vectors = np.concatenate([bonds.vectors, -bonds.vectors])[order]
        self.distances = np.linalg.norm(vectors, axis=1)
        self.shells, knots, fractions = _filter_rows(self.distances, config, np.dtype(dtype))
        harmonics = _harmonics(vectors, self.distances, np.dtype(dtype))
        self.pairs = Neighbours(starts, second, local, knots, fractions, harmonics, not vectors[:, 2].any())
        self.layers: dict[FrozenEngine, list[Layer]] = {}
        self.features: dict[FrozenEngine, tuple[IntArray, Array]] = {}
        self.couplings: dict[PairLaw, tuple[IntArray, Array, Any]] = {}
        self._free: dict[tuple[Any, ...], list[Array]] = {}
        self.rooms: list[Room] = []

    def take(self, dtype: Any, *shape: int) -> Array:
        """An array with anything in it, one that was given back where there is one; a vector behind its end may be read.

        The system takes longer to come up with fresh memory than the sums take to fill it.
        """
        free = self._free.setdefault((dtype, shape), [])
        try:
            return free.pop()
        except IndexError:
            size = int(np.prod(shape))
            return cast(Array, aligned(size + LANES, dtype)[:size].reshape(shape))

    def give_back(self, *arrays: Array) -> None:
        """Let others have the arrays."""
        for array in arrays:
            if not array.size:
                continue
            self._free.setdefault((array.dtype, array.shape), []).append(array)


@dataclass(frozen=True, eq=False)
class _Pass:
    """One evaluation: pairs, how to run over strips, the spins in the graph's order, weights with the graph's filters."""

    graph: EngineGraph
    each: Callable[..., list[Any]]
    own: Array
    layers: list[Layer]


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
        channels = (*self.config.channels, 0, 0)[:3]
        self._lanes: Lanes = ((0,) * channels[0], (0,) * channels[1], (0,) * channels[2])
        self._width = channels[0]
        self._kinds = (self.config.chirality, self.config.products)
        self._embedding = _array(network.embedding.weight, dtype)
        parts = [cast(Interaction, part) for part in network.interactions]
        self._filters = [[weights.detach().double().clone() for weights in part.filters] for part in parts]
        readouts = [cast(nn.Linear, part) for part in network.readouts]
        self._layers = [self._layer(part, filters) for part, filters in zip(parts, self._filters, strict=True)]
        self._senders = [self._sender(part) for part in parts]
        self._readouts = [_array(part.weight, dtype) for part in readouts]
        self._law: PairLaw | None = network.pair_law if self.config.pairs else None
        self._constant = np.sum([part.bias.detach().double().numpy() for part in readouts], axis=0)

    def _layer(self, part: Interaction, filters: list[Tensor]) -> Layer:
        config = self.config
        knots = torch.linspace(_shortest(config), config.cutoff, _KNOTS + 1, dtype=torch.float64)
        own, collect = part.own.weight, part.collect.weight
        dense = [cast(nn.Linear, layer) for layer in part.atoms]
        atoms = [layer.weight for layer in dense]
        empty = own.new_zeros((0, *own.shape))
        stacked = torch.stack(atoms) if atoms else empty
        biases = torch.stack([layer.bias for layer in dense]) if atoms else own.new_zeros((0, len(own)))
        arrays = (
            _table(filters, config, knots),
            own.T,
            own,
            collect.T,
            collect,
            part.own.bias + part.collect.bias,
            stacked.transpose(1, 2),
            stacked,
            biases,
        )
        return Layer(*(_array(array, self.dtype) for array in arrays))

    def _layers_of(self, graph: EngineGraph) -> list[Layer]:
        """Layers with the filters of a graph's distances, where those are few; kept in the graph."""
        if graph.shells is None:
            return self._layers
        if self not in graph.layers:
            at = torch.from_numpy(graph.shells)
            tables = [_array(_table(filters, self.config, at), self.dtype) for filters in self._filters]
            graph.layers[self] = [layer._replace(table=table) for layer, table in zip(self._layers, tables, strict=True)]
        return graph.layers[self]

    def _sender(self, part: Interaction) -> Sender:
        pairs = [part.send.weight, part.send_spin.weight]
        none = part.send.weight.new_zeros((0, 0))
        passes = hasattr(part, "gate")
        pairs += [part.gate.weight, part.pass_on.weight] if passes else [none, none]
        number, spin, gate, passed = ((_array(w.T, self.dtype), _array(w, self.dtype)) for w in pairs)
        bias = _array(part.gate.bias if passes else none[0:0].flatten(), self.dtype)
        return Sender(*number, *spin, *gate, bias, *passed)

    def __call__(
        self, graph: EngineGraph, species: IntArray, spins: FloatArray, mix: Mix | None = None
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
            For a network with electrons, as :func:`spinase.learning.mhipnn.network.mixed` says.

        Returns
        -------
        energies : (N,) ndarray
            In the network's units.
        fields : (N, 3) ndarray
            H = -dE/ds.
        """
        if mix is None and len(self._constant) > 1:
            raise ModelError("this network needs electrons: a filling or a chemical potential")
        with thread_map(min(self.threads, len(graph.strips)) or 1) as each:
            way = _Pass(graph, each, np.ascontiguousarray(spins[graph.order], self.dtype), self._layers_of(graph))
            energies, field = self._evaluate(way, species, mix)
        if self._law is not None:
            bare, couplings = self._couplings(self._law, graph, species)
            slopes = couplings @ way.own
            energies += bare + 0.5 * np.sum(slopes * way.own, axis=1)
            field -= slopes
        return energies[graph.back], field[graph.back].astype(np.float64)

    def _couplings(self, law: PairLaw, graph: EngineGraph, species: IntArray) -> Any:
        """Of the law of pairs, in the graph's order; kept while the species stay."""
        kept = graph.couplings.get(law)
        if kept is None or not np.array_equal(kept[0], species):
            bare, matrix = law.frozen(graph.pairs.starts, graph.pairs.second, graph.distances, species[graph.order])
            kept = graph.couplings[law] = (species.copy(), bare, matrix.astype(self.dtype))
        return kept[1:]

    def _evaluate(self, way: _Pass, species: IntArray, mix: Mix | None) -> tuple[FloatArray, Array]:
        """Energies and fields in the graph's order.

        Where parts of the energy are mixed, the last layer is done before the way back begins; otherwise on the way back.
        """
        graph, field = way.graph, np.zeros_like(way.own)
        features = self._features(graph, species)
        parts, vectors, layers = features @ self._readouts[0].T, self._empty(0, 0), []
        for k, readout in enumerate(self._readouts[1:]):
            kept = self._sent(k, way, features, vectors)
            layers.append(kept)
            if k < len(self._layers) - 1 or mix is not None:
                features, vectors = self._forward(k, way, kept)
                parts += features @ readout.T
        if mix is not None:
            graph.give_back(vectors, features)
        weights, by_vectors = self._weights(graph, parts, mix), self._empty(0, 0)
        shares = weights.astype(self.dtype)
        given = self._shared(graph, shares, -1)
        for k in reversed(range(len(self._layers))):
            before, kept = self._shared(graph, shares, k) if k else self._empty(0, 0), layers[k]
            done = k < len(self._layers) - 1 or mix is not None
            by_sent, after = self._backward(k, way, kept, done, given, by_vectors, before, field)
            if not done:
                parts += after @ self._readouts[-1].T
            used = (given, after, by_vectors, by_sent, kept.sent, kept.gates, kept.bends, kept.vectors)
            given, by_vectors = before, self._sent_slopes(k, way, kept, by_sent, before, field)
            graph.give_back(*used, *([kept.features] if k else [given, by_vectors]))
        return np.einsum("ik,ik->i", weights, parts + self._constant), field

    def _features(self, graph: EngineGraph, species: IntArray) -> Array:
        """Before the first layer, in the graph's order; kept while the species stay."""
        kept = graph.features.get(self)
        if kept is None or not np.array_equal(kept[0], species):
            kept = graph.features[self] = (species.copy(), self._embedding[species[graph.order]])
        return kept[1]

    def _shared(self, graph: EngineGraph, shares: Array, k: int) -> Array:
        """Slopes by the features that readout k reads, (N, F)."""
        out, readout = graph.take(self.dtype, len(shares), self._readouts[k].shape[1]), self._readouts[k]
        return np.multiply(shares, readout, out=out) if len(readout) == 1 else np.matmul(shares, readout, out=out)

    def _weights(self, graph: EngineGraph, parts: Array, mix: Mix | None) -> FloatArray:
        """Of every part of the energy in the sum, (N, parts)."""
        if mix is None:
            return np.ones((len(parts), 1))
        return mix((parts + self._constant)[graph.back])[graph.order]

    @contextmanager
    def _room(self, graph: EngineGraph) -> Iterator[Room]:
        """One that no other thread works in."""
        try:
            held = graph.rooms.pop()
        except IndexError:
            held = room(self._lanes, self.config.invariants(), self.dtype)
        yield held
        graph.rooms.append(held)

    def _empty(self, *shape: int) -> Array:
        return np.empty(shape, self.dtype)

    def _sent(self, k: int, way: _Pass, features: Array, vectors: Array) -> _Kept:
        """What neighbours of layer k are sent."""
        own, sites = way.own, len(way.own)
        take, sender = partial(way.graph.take, self.dtype), self._senders[k]
        gates = take(sites if len(vectors) else 0, self._width)
        sent = take(sites, row_width(self._width))
        way.each(lambda s: send(s.begin, s.end, sender, self._lanes, features, own, vectors, gates, sent), way.graph.strips)
        return _Kept(features, vectors, sent, gates, take(self.config.atom_layers + 1, sites, features.shape[1]))

    def _forward(self, k: int, way: _Pass, kept: _Kept) -> tuple[Array, Array]:
        """Features and spin vectors after layer k."""
        graph, own = way.graph, way.own
        after, vectors = graph.take(self.dtype, *kept.features.shape), graph.take(self.dtype, len(own), 3 * self._width)
        given = (own, kept.sent, kept.features, kept.bends, after, vectors)

        def run(s: _Strip) -> None:
            with self._room(graph) as held:
                forward(s.begin, s.end, graph.pairs, way.layers[k], self._kinds, self._lanes, held, *given)

        way.each(run, graph.strips)
        return after, vectors

    def _backward(
        self,
        k: int,
        way: _Pass,
        kept: _Kept,
        done: bool,
        given: Array,
        by_vectors: Array,
        before: Array,
        field: Array,
    ) -> tuple[Array, Array]:
        """Slopes by what was sent to layer k; with the features after it, if it is not done forwards yet."""
        graph, own = way.graph, way.own
        after = self._empty(0, 0) if done else graph.take(self.dtype, *kept.features.shape)
        ways = (graph.pairs, way.layers[k], self._kinds, self._lanes)
        own_ways = (own, kept.sent, kept.features, kept.bends, after, given, by_vectors, before)
        width = kept.sent.shape[1]

        def run(s: _Strip) -> Array:
            stretch = graph.take(self.dtype, len(s.places), width)
            stretch[:] = 0.0
            with self._room(graph) as held:
                backward(s.begin, s.end, *ways, held, *own_ways, stretch, field)
            return stretch

        stretches = way.each(run, graph.strips)
        if len(stretches) == 1 and len(stretches[0]) == len(own):
            return stretches[0], after
        by_sent = graph.take(self.dtype, len(own), width)
        threads = min(self.threads, len(graph.strips)) or 1
        columns = np.linspace(0, width, threads + 1).astype(int)

        def add(part: int) -> None:
            by_sent[:, columns[part] : columns[part + 1]] = 0.0
            for strip, stretch in zip(graph.strips, stretches, strict=True):
                add_stretch(strip.places, stretch, columns[part], columns[part + 1], by_sent)

        way.each(add, range(threads))
        graph.give_back(*stretches)
        return by_sent, after

    def _sent_slopes(self, k: int, way: _Pass, kept: _Kept, by_sent: Array, before: Array, field: Array) -> Array:
        """Slopes by the spin vectors of the layer before; those by features and spins are added."""
        by_vectors, sender = way.graph.take(self.dtype, *kept.vectors.shape), self._senders[k]
        ways = (sender, self._lanes, kept.features, way.own, kept.vectors, kept.gates, by_sent, before, by_vectors, field)
        way.each(lambda s: send_slopes(s.begin, s.end, *ways), way.graph.strips)
        return by_vectors


def _shortest(config: NetworkConfig) -> float:
    """Where the tables of filters begin; they go on as straight lines below."""
    return 0.8 * config.inner


def _filter_rows(distances: FloatArray, config: NetworkConfig, dtype: Any) -> tuple[Array | None, Array, Array]:
    """Distances that have rows of their own, if those are few, and rows and fractions in the tables, of pairs."""
    few, _ = shells(distances[:_SOME], config.cutoff, dtype)
    if len(few) <= _SHELLS:
        few, kinds = shells(distances, config.cutoff, dtype)
        if len(few) <= _SHELLS:
            return distances[few], kinds, np.zeros(len(kinds), dtype)
    across = (distances - _shortest(config)) / (config.cutoff - _shortest(config)) * _KNOTS
    knots = np.clip(across.astype(np.int64), 0, _KNOTS - 1)
    return None, knots.astype(np.int32), (across - knots).astype(dtype)


def _harmonics(vectors: FloatArray, distances: FloatArray, dtype: Any) -> Array:
    """Of degrees 0 to 2, of pairs."""
    along = torch.from_numpy(vectors / distances[:, None]).to(torch.float32 if dtype == np.float32 else torch.float64)
    return torch.cat([torch.ones_like(along[:, :1]), along, quadrupoles(along)], dim=1).numpy()


def _table(filters: list[Tensor], config: NetworkConfig, distances: Tensor) -> Tensor:
    """Filters of a layer, by degree, at `distances`: those of each degree filled up with zeros to whole vectors."""
    radial = config.basis()(distances)
    found = [radial @ weights for weights in filters]
    return torch.cat([nn.functional.pad(values, (0, -values.shape[1] % LANES)) for values in found], dim=1)


def _array(tensor: Tensor, dtype: Any) -> Array:
    """A copy with room behind its end."""
    return matrix(tensor.detach().cpu().numpy(), dtype)


def _spatial_order(positions: FloatArray, length: float) -> IntArray:
    """Sites along a Z-curve through boxes of side `length`."""
    if not len(positions):
        return np.zeros(0, dtype=np.int64)
    boxes = ((positions - positions.min(axis=0)) / length).astype(np.int64)
    code = np.zeros(len(boxes), dtype=np.int64)
    for bit in range(20):
        for axis in range(3):
            code |= ((boxes[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")


def _strips(starts: IntArray, second: NDArray[np.int32]) -> tuple[NDArray[np.int32], list[_Strip]]:
    """Strips of sites, and for every pair the place of its second site among the strip's neighbours."""
    sites, strips, local = len(starts) - 1, [], np.empty_like(second)
    for begin in range(0, sites, _STRIP):
        end = min(sites, begin + _STRIP)
        rows = slice(starts[begin], starts[end])
        places, local[rows] = np.unique(second[rows], return_inverse=True)
        strips.append(_Strip(begin, end, places))
    return local, strips
