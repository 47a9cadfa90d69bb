"""Energies, fields and pulls on pairs of a network, one configuration at a time: the first pass of compiled training.

The sums of :mod:`spinase.learning.mhipnn.network` with their derivatives by hand: pairs in compiled loops, sites in
products of matrices.  The energy of a configuration is a sum of its parts e_k with given factors t_k.  What
:mod:`spinase.learning.engine.training.second_pass` needs for slopes by the weights is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spinase.compiled.rows import aligned, whole
from spinase.learning.engine.layers import silu
from spinase.learning.engine.training.kernels import collect, collect_slopes
from spinase.learning.engine.workspace import HARMONICS, Lanes, Neighbours, Room, room, row_width
from spinase.learning.mhipnn.graph import quadrupoles, shells
from spinase.learning.mhipnn.network import NetworkConfig
from spinase.learning.pairs import Pairs
from spinase.typing import Array, FloatArray, IntArray

Weights = Mapping[str, Array]
_SPARE_SIZES = 8


class TrainingGraph:
    """Pairs of a configuration, with a row of radial functions for every distance.

    Parameters
    ----------
    pairs : Pairs
        Within the network's cutoff, on the CPU.
    config : NetworkConfig
        The network's.
    dtype : numpy dtype
        float32 or float64.
    moving : bool
        Whether slopes by the vectors of the pairs are asked for: every pair has a row of its own then.
    """

    def __init__(self, pairs: Pairs, config: NetworkConfig, dtype: Any, moving: bool = False) -> None:
        distances = pairs.vectors.double().norm(dim=1)
        if moving:
            place = np.arange(len(distances))
            kinds = place.astype(np.int32)
        else:
            place, kinds = shells(distances.numpy(), config.cutoff, dtype)
        second = pairs.rows.second.numpy().astype(np.int32)
        fractions = np.zeros(len(second), dtype)
        known = torch.from_numpy(distances.numpy().astype(dtype))
        units = pairs.vectors.to(known.dtype) / known[:, None]
        harmonics = torch.cat([torch.ones_like(units[:, :1]), units, quadrupoles(units)], dim=1)
        self.sites = pairs.rows.sites
        self.radial = config.basis()(known[torch.from_numpy(place)]).numpy()
        self.pairs = Neighbours(pairs.rows.starts.numpy(), second, second, kinds, fractions, harmonics.numpy(), False)
        self.motion = Motion(config.basis().slopes(known), units, known, harmonics) if moving else None


class Motion:
    """How radial functions and harmonics of pairs change with the vectors of the pairs.

    Parameters
    ----------
    slopes : (P, radial) Tensor
        Of the radial functions by the distance.
    units, distances : (P, 3), (P,) Tensor
        Of the pairs.
    harmonics : (P, 9) Tensor
        1, r/r, Q(r/r).
    """

    def __init__(self, slopes: Tensor, units: Tensor, distances: Tensor, harmonics: Tensor) -> None:
        self._units, self._radial = units, slopes
        x, y, z = (units * 2.0**0.5).unbind(1)
        turns = units.new_zeros((len(units), 9, 3))
        turns[:, 1:4] = torch.eye(3)
        turns[:, 4, 0] = turns[:, 5, 2] = y
        turns[:, 4, 1] = turns[:, 6, 2] = turns[:, 7, 0] = x
        turns[:, 5, 1] = turns[:, 6, 0] = z
        turns[:, 7, 1] = -y
        turns[:, 8] = units * units.new_tensor([-2.0, -2.0, 4.0]) / 6.0**0.5
        degrees = units.new_tensor([0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0])
        turns -= (degrees * harmonics)[:, :, None] * units[:, None]
        self._turns = turns / distances[:, None, None]

    def pull(self, by_radial: Tensor, by_harmonics: Tensor) -> Tensor:
        """Slopes of an energy by the vectors (P, 3), from those by radial functions (P, radial) and harmonics (P, 9)."""
        along = (by_radial * self._radial).sum(1, keepdim=True)
        return along * self._units + (by_harmonics[:, None] @ self._turns)[:, 0]


@dataclass(frozen=True, eq=False)
class Space:
    """What a pass works in, by layer: sums (in rooms), invariants and slopes by them, what is sent, filters."""

    rooms: list[Room]
    found: list[Array]
    sent: list[Array]
    by_found: list[Array]
    tables: list[Array]
    by_sent: Array

    def table(self, k: int, distances: int, columns: int) -> Array:
        """Room number k for a row for every distance; with anything in it."""
        size = distances * columns
        if len(self.tables[k]) < size:
            self.tables[k] = aligned(size + size // 4, self.by_sent.dtype)
        return self.tables[k][:size].reshape(distances, columns)


@dataclass(eq=False)
class LayerTrace:
    """What the first pass leaves of a layer.

    Attributes
    ----------
    before : (N, F)
        Features before the layer.
    vectors : (3 N, C) or None
        Spin vectors of the layer before.
    factors, gates, mixed : (N, C), (N, C), (N, 3, C)
        Of the spins, and of the vectors that are passed on, in what is sent.
    inputs, values, bends : lists of (N, F)
        What goes into an activation, features after it, and its slopes.
    by_values, bent : lists of (N, F)
        Slopes of the energy by what comes out of an activation, and by `inputs`.
    by_numbers, by_vector : (N, C), (N, 3, C)
        By what was sent.
    by_vectors : (N, 3 C) or (0, 3)
        By the spin vectors of this layer.
    by_table : (P, ...) or (0, 0)
        By the filters, where atoms move.
    """

    before: Array
    vectors: Array | None
    factors: Array
    gates: Array | None
    mixed: Array | None
    inputs: list[Array] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)
    bends: list[Array] = field(default_factory=list)
    by_values: list[Array] = field(default_factory=list)
    bent: list[Array] = field(default_factory=list)
    by_numbers: Array | None = None
    by_vector: Array | None = None
    by_vectors: Array | None = None
    by_table: Array | None = None


@dataclass(frozen=True, eq=False)
class Magnet:
    """One configuration: pairs, species indices (N,), free spin vectors (N, 3), and factors t_k (orders + 1,)."""

    graph: TrainingGraph
    species: IntArray
    spins: Array
    factors: Array


@dataclass(frozen=True, eq=False)
class Trace:
    """What the first pass finds and leaves.

    Found are the e_k summed over the sites (orders + 1,), fields (N, 3), and, where atoms move (else of length 0), slopes of
    the energy by the pairs' radial functions (P, radial) and harmonics (P, 9).
    """

    magnet: Magnet
    tables: list[Array]
    layers: list[LayerTrace]
    features: Array
    space: Space
    parts: FloatArray
    fields: Array
    by_radial: Array
    by_harmonics: Array


class Passes:
    """First passes at one set of weights.

    Parameters
    ----------
    config : NetworkConfig
        With channels that the engine has.
    weights : mapping of arrays
        By the names of the network's parameters.
    spare : dict, optional
        Memory that passes leave to the next ones, by the number of sites.
    """

    def __init__(self, config: NetworkConfig, weights: Weights, spare: dict[int, list[Space]] | None = None) -> None:
        self.config, self.weights = config, weights
        self.dtype = weights["embedding.weight"].dtype
        channels = (*config.channels, 0, 0)[:3]
        self.lanes: Lanes = ((0,) * channels[0], (0,) * channels[1], (0,) * channels[2])
        self.width = channels[0]
        self._wide = [whole(count) for count in channels]
        self.kinds = (config.chirality, config.products)
        self._spare: dict[int, list[Space]] = {} if spare is None else spare

    def run(self, magnet: Magnet) -> Trace:
        """Energy and fields of a configuration."""
        graph, spins, space = magnet.graph, magnet.spins, self.take(magnet.graph.sites)
        tables = self._tables(graph, space)
        features = self.weights["embedding.weight"][magnet.species]
        read, layers, vectors = [self._read(0, features)], [], None
        for k, held in enumerate(space.rooms):
            sent, found = space.sent[k], space.found[k]
            kept = self._send(k, features, spins, vectors, sent)
            collect(graph.pairs, tables[k], self.kinds, self.lanes, held, spins, sent, found)
            features = self._onsite(k, kept, found[:-1])
            vectors = held.sums[:, 0, self.width : 4 * self.width].reshape(-1, self.width)
            read.append(self._read(k + 1, features))
            layers.append(kept)
        moving = 0 if graph.motion is None else len(graph.radial)
        by_pairs = (np.zeros((moving, width), self.dtype) for width in (graph.radial.shape[1], HARMONICS))
        trace = Trace(magnet, tables, layers, features, space, np.sum(read, axis=0), np.zeros_like(spins), *by_pairs)
        self._back(trace)
        return trace

    def leave(self, space: Space) -> None:
        """Let other passes have the memory of this one."""
        self._spare.setdefault(len(space.by_sent), []).append(space)

    def filters(self, k: int) -> list[tuple[slice, str]]:
        """Columns in the table, and names, of the filters of layer k."""
        starts = np.cumsum([0, *self._wide])
        places = [slice(starts[d], starts[d] + count) for d, count in enumerate(self.config.channels)]
        return [(columns, f"interactions.{k}.filters.{d}") for d, columns in enumerate(places)]

    def _tables(self, graph: TrainingGraph, space: Space) -> list[Array]:
        """Filters of every layer at every distance."""
        return [self.table(k, graph.radial, space) for k in range(self.config.layers)]

    def table(self, k: int, radial: Array, space: Space, place: int = 0) -> Array:
        """Filters of layer k from radial functions (distances, radial), in the room of table `place` of that layer."""
        weights = self.filter_weights(k)
        room_ = space.table(k + place * self.config.layers, len(radial), weights.shape[1])
        found: Array = np.matmul(radial, weights, out=room_)
        return found

    def filter_weights(self, k: int) -> Array:
        """Weights of the filters of layer k in the columns of a table, (radial, columns)."""
        weights = np.zeros((self.config.radial, sum(self._wide)), self.dtype)
        for columns, name in self.filters(k):
            weights[:, columns] = self.weights[name]
        return weights

    def take(self, sites: int) -> Space:
        """Room for so many sites: the system takes longer to come up with fresh memory than the sums take to fill it."""
        try:
            return self._spare[sites].pop()
        except (KeyError, IndexError):
            if len(self._spare) > _SPARE_SIZES:
                self._spare.clear()
        count, width, layers = self.config.invariants(), row_width(self.width), range(self.config.layers)
        one = room(self.lanes, count, self.dtype)

        def rows(*shape: int) -> Array:
            array: Array = aligned(int(np.prod(shape)), self.dtype).reshape(shape)
            return array

        rooms = [one._replace(sums=rows(sites, HARMONICS, width)) for _ in layers]
        found, by_found = ([rows(sites + 1, count) for _ in layers] for _ in range(2))
        return Space(
            rooms,
            found,
            [rows(sites, width) for _ in layers],
            by_found,
            [rows(0) for _ in (*layers, *layers)],
            rows(sites, width),
        )

    def _read(self, k: int, features: Array) -> FloatArray:
        bias = self.weights[f"readouts.{k}.bias"].astype(np.float64)
        total: FloatArray = self.weights[f"readouts.{k}.weight"] @ features.sum(axis=0) + bias * len(features)
        return total

    def _send(self, k: int, features: Array, spins: Array, vectors: Array | None, sent: Array) -> LayerTrace:
        """What neighbours of layer k are sent, into `sent`."""
        name, width, sites = f"interactions.{k}.", self.width, len(spins)
        factors = features @ self.weights[name + "send_spin.weight"].T
        vector = factors[:, None] * spins[:, :, None]
        gates = mixed = None
        if vectors is not None:
            gates = np.tanh(features @ self.weights[name + "gate.weight"].T + self.weights[name + "gate.bias"])
            mixed = (vectors @ self.weights[name + "pass_on.weight"].T).reshape(sites, 3, width)
            vector += gates[:, None] * mixed
        sent[:, :width] = features @ self.weights[name + "send.weight"].T
        sent[:, width : 4 * width] = vector.reshape(sites, -1)
        return LayerTrace(features, vectors, factors, gates, mixed)

    def _onsite(self, k: int, kept: LayerTrace, found: Array) -> Array:
        """Features after layer k."""
        name = f"interactions.{k}."
        given = found @ self.weights[name + "collect.weight"].T
        given += kept.before @ self.weights[name + "own.weight"].T
        given += self.weights[name + "own.bias"] + self.weights[name + "collect.bias"]
        values = _activated(kept, given)
        for a in range(self.config.atom_layers):
            kept.values.append(values)
            given = values @ self.weights[f"{name}atoms.{a}.weight"].T
            given += self.weights[f"{name}atoms.{a}.bias"]
            values = values + _activated(kept, given)
        return values

    def _back(self, trace: Trace) -> None:
        """Slopes by the spins, added to the fields with a minus sign."""
        magnet, space, fields = trace.magnet, trace.space, trace.fields
        by_vectors, last = magnet.spins[:0], self.config.layers
        given = self.read_slopes(last, magnet.factors, magnet.graph.sites)
        for k in reversed(range(last)):
            kept, before = trace.layers[k], self.read_slopes(k, magnet.factors, magnet.graph.sites)
            by_found, held = space.by_found[k], space.rooms[k]
            self._onsite_slopes(k, kept, given, before, by_found)
            kept.by_vectors = by_vectors
            ways = (magnet.graph.pairs, trace.tables[k], self.kinds, self.lanes, held, magnet.spins, by_found)
            shape = trace.tables[k].shape if len(trace.by_radial) else (0, 0)
            kept.by_table = space.table(k + last, *shape)
            by_pairs = (space.sent[k], kept.by_table, trace.by_harmonics)
            collect_slopes(*ways, by_vectors, space.by_sent, fields, *by_pairs)
            if len(trace.by_radial):
                trace.by_radial[:] += kept.by_table @ self.filter_weights(k).T
            by_vectors = self._send_slopes(k, kept, magnet.spins, before, space.by_sent, fields)
            given = before

    def read_slopes(self, k: int, factors: Array, sites: int) -> Array:
        """Slopes of sum_k t_k e_k by the features that readout k reads."""
        return np.tile(factors @ self.weights[f"readouts.{k}.weight"], (sites, 1))

    def _onsite_slopes(self, k: int, kept: LayerTrace, given: Array, before: Array, by_found: Array) -> None:
        """Slopes by the invariants, and, added to `before`, those by the features before the layer."""
        name = f"interactions.{k}."
        for a in reversed(range(self.config.atom_layers)):
            bent = given * kept.bends[a + 1]
            kept.by_values.insert(0, given)
            kept.bent.insert(0, bent)
            given = given + bent @ self.weights[f"{name}atoms.{a}.weight"]
        bent = given * kept.bends[0]
        kept.by_values.insert(0, given)
        kept.bent.insert(0, bent)
        before += bent @ self.weights[name + "own.weight"]
        np.matmul(bent, self.weights[name + "collect.weight"], out=by_found[: len(bent)])

    def _send_slopes(self, k: int, kept: LayerTrace, spins: Array, before: Array, by_sent: Array, fields: Array) -> Array:
        """Slopes by the spin vectors of the layer before (N, 3 C); those by its features and by spins are added."""
        name, width, sites = f"interactions.{k}.", self.width, len(by_sent)
        kept.by_numbers = np.ascontiguousarray(by_sent[:, :width])
        by_vector = np.ascontiguousarray(by_sent[:, width : 4 * width]).reshape(sites, 3, width)
        kept.by_vector = by_vector
        fields -= np.einsum("iac,ic->ia", by_vector, kept.factors)
        if kept.gates is None or kept.mixed is None:
            return by_sent[:0]
        by_factors = np.einsum("iac,ia->ic", by_vector, spins)
        by_opened = np.einsum("iac,iac->ic", by_vector, kept.mixed) * (1 - kept.gates * kept.gates)
        before += kept.by_numbers @ self.weights[name + "send.weight"]
        before += by_factors @ self.weights[name + "send_spin.weight"]
        before += by_opened @ self.weights[name + "gate.weight"]
        by_mixed = (by_vector * kept.gates[:, None]).reshape(-1, width)
        by_vectors: Array = (by_mixed @ self.weights[name + "pass_on.weight"]).reshape(sites, -1)
        return by_vectors


def _activated(kept: LayerTrace, given: Array) -> Array:
    """silu of what is given; that and the slopes are kept."""
    values, bends = np.empty_like(given), np.empty_like(given)
    silu(given, values.reshape(-1), 0, bends.reshape(-1), 0)
    kept.inputs.append(given)
    kept.bends.append(bends)
    return values


__all__ = ["LayerTrace", "Magnet", "Motion", "Passes", "Space", "Trace", "TrainingGraph", "Weights"]
