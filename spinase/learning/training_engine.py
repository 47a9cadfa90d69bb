"""Energies, fields, and slopes by the weights of a network on frozen atoms: the passes of compiled training.

The sums of :mod:`spinase.learning.network` with all derivatives by hand: pairs in compiled loops, sites in products of
matrices.  A pass is over one configuration, whose energy is a sum of its parts e_k with given factors t_k.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spinase.learning.engine_kernels import HARMONICS, Lanes, Neighbours, Room, room, row_width, whole
from spinase.learning.engine_layers import silu
from spinase.learning.graph import Pairs, quadrupoles
from spinase.learning.network import NetworkConfig
from spinase.learning.training_kernels import collect, collect_slopes
from spinase.simd import LANES, aligned

Array = NDArray[Any]
Weights = Mapping[str, Array]
_GRAIN = 16  # distances that differ by fewer units in the last place of the cutoff are one
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
    """

    def __init__(self, pairs: Pairs, config: NetworkConfig, dtype: Any) -> None:
        vectors = pairs.vectors.double()
        distances = vectors.norm(dim=1)
        grain = _GRAIN * float(np.finfo(dtype).eps) * config.cutoff
        _, place, kinds = np.unique(np.round(distances.numpy() / grain), return_index=True, return_inverse=True)
        units = vectors / distances[:, None]
        harmonics = torch.cat([torch.ones_like(units[:, :1]), units, quadrupoles(units)], dim=1).numpy().astype(dtype)
        second = pairs.rows.second.numpy().astype(np.int32)
        fractions = np.zeros(len(second), dtype)
        self.sites = pairs.rows.sites
        self.radial = config.basis()(distances[torch.from_numpy(place)]).numpy().astype(dtype)
        self.pairs = Neighbours(pairs.rows.starts.numpy(), second, second, kinds.astype(np.int32), fractions, harmonics)


@dataclass(frozen=True, eq=False)
class _Space:
    """What a pass over so many sites works in, by layer where it is a list."""

    rooms: list[Room]
    found: list[Array]
    sent: list[Array]
    by_found: Array
    by_sent: Array


@dataclass(frozen=True, eq=False)
class _Kept:
    """What the way back needs of a layer."""

    before: Array
    vectors: Array | None
    factors: Array
    gates: Array | None
    mixed: Array | None
    values: list[Array]
    bends: Array


class Passes:
    """Passes at one set of weights.

    Parameters
    ----------
    config : NetworkConfig
        With channels that the engine has.
    weights : mapping of arrays
        By the names of the network's parameters.
    spare : dict, optional
        Memory that passes leave to the next ones.
    """

    def __init__(self, config: NetworkConfig, weights: Weights, spare: dict[int, list[Any]] | None = None) -> None:
        self.config, self.weights = config, weights
        self.dtype = weights["embedding.weight"].dtype
        channels = (*config.channels, 0, 0)[:3]
        self._lanes: Lanes = ((0,) * channels[0], (0,) * channels[1], (0,) * channels[2])
        self._wide = [whole(count) for count in channels]
        self._kinds = (config.chirality, config.products)
        self._spare: dict[int, list[_Space]] = {} if spare is None else spare

    def tables(self, graph: TrainingGraph) -> list[Array]:
        """Filters of every layer at every distance; a last row is zero."""
        found = []
        for k in range(self.config.layers):
            table = np.zeros((len(graph.radial) + 1, sum(self._wide)), self.dtype)
            for columns, name in self._filters(k):
                table[:-1, columns] = graph.radial @ self.weights[name]
            found.append(table)
        return found

    def _filters(self, k: int) -> list[tuple[slice, str]]:
        """Columns in the table, and names, of the filters of layer k."""
        starts = np.cumsum([0, *self._wide])
        places = [slice(starts[d], starts[d] + count) for d, count in enumerate(self.config.channels)]
        return [(columns, f"interactions.{k}.filters.{d}") for d, columns in enumerate(places)]

    def add_filters(self, graph: TrainingGraph, by_tables: list[Array], into: Weights) -> None:
        """Add slopes by the filters' weights, from those by the tables."""
        for k, by_table in enumerate(by_tables):
            for columns, name in self._filters(k):
                into[name][...] += graph.radial.T @ by_table[:-1, columns]

    def run(
        self,
        graph: TrainingGraph,
        tables: list[Array],
        species: NDArray[np.int64],
        spins: Array,
        factors: Array,
        into: tuple[Weights, list[Array]] | None = None,
    ) -> tuple[NDArray[np.float64], Array]:
        """Sums over the sites of the parts e_k (orders + 1,), and -d(sum_k t_k e_k)/ds (N, 3).

        Parameters
        ----------
        graph, tables
            Pairs, and the filters there.
        species : (N,) ndarray of int
            Indices into the network's species.
        spins : (N, 3) ndarray
            Free spin vectors.
        factors : (orders + 1,) ndarray
            t_k.
        into : (weights by name, tables), optional
            d(sum_k t_k e_k) by the weights and by the tables is added; not by what reads the embedding out, and constants.
        """
        space = self._take(graph.sites)
        features = self.weights["embedding.weight"][species]
        read, layers, vectors = [self._read(0, features)], [], None
        for k in range(self.config.layers):
            kept = self._send(k, features, spins, vectors, space.sent[k])
            room_k = space.rooms[k]
            collect(graph.pairs, tables[k], self._kinds, self._lanes, room_k, spins, space.sent[k], space.found[k])
            features = self._onsite(k, kept, space.found[k][:-1])
            vectors = room_k.sums[:, 0, self._width : 4 * self._width].reshape(-1, self._width)
            read.append(self._read(k + 1, features))
            layers.append(kept)
        field = self._back(graph, tables, species, spins, factors, layers, features, space, into)
        self._spare.setdefault(graph.sites, []).append(space)
        return np.sum(read, axis=0), field

    @property
    def _width(self) -> int:
        return self.config.channels[0]

    def _take(self, sites: int) -> _Space:
        """Room for so many sites: the system takes longer to come up with fresh memory than the sums take to fill it."""
        try:
            return self._spare[sites].pop()
        except (KeyError, IndexError):
            if len(self._spare) > _SPARE_SIZES:
                self._spare.clear()
        count, width = self.config.invariants(), row_width(self._width)
        one = room(self._lanes, count, self.dtype)

        def rows(*shape: int) -> Array:
            array: Array = aligned(int(np.prod(shape)), self.dtype).reshape(shape)
            return array

        layers = range(self.config.layers)
        rooms = [one._replace(sums=rows(sites, HARMONICS, width)) for _ in layers]
        found, sent = [rows(sites + 1, count) for _ in layers], [rows(sites, width) for _ in layers]
        return _Space(rooms, found, sent, rows(sites + 1 + LANES // count, count), rows(sites, width))

    def _read(self, k: int, features: Array) -> NDArray[np.float64]:
        bias = self.weights[f"readouts.{k}.bias"].astype(np.float64)
        total: NDArray[np.float64] = features.sum(axis=0) @ self.weights[f"readouts.{k}.weight"].T + bias * len(features)
        return total

    def _send(self, k: int, features: Array, spins: Array, vectors: Array | None, sent: Array) -> _Kept:
        """What neighbours of layer k are sent, into `sent`."""
        name, width, sites = f"interactions.{k}.", self._width, len(spins)
        factors = features @ self.weights[name + "send_spin.weight"].T
        vector = factors[:, None] * spins[:, :, None]
        gates = mixed = None
        if vectors is not None:
            gates = np.tanh(features @ self.weights[name + "gate.weight"].T + self.weights[name + "gate.bias"])
            mixed = (vectors @ self.weights[name + "pass_on.weight"].T).reshape(sites, 3, width)
            vector += gates[:, None] * mixed
        sent[:, :width] = features @ self.weights[name + "send.weight"].T
        sent[:, width : 4 * width] = vector.reshape(sites, -1)
        bends = np.empty((self.config.atom_layers + 1, sites, self.config.width), self.dtype)
        return _Kept(features, vectors, factors, gates, mixed, [], bends)

    def _onsite(self, k: int, kept: _Kept, found: Array) -> Array:
        """Features after layer k; those after each of its parts are kept."""
        name, size = f"interactions.{k}.", kept.before.size
        given = found @ self.weights[name + "collect.weight"].T
        given += kept.before @ self.weights[name + "own.weight"].T
        given += self.weights[name + "own.bias"] + self.weights[name + "collect.bias"]
        values, bends = np.empty_like(given), kept.bends.reshape(-1)
        silu(given, values.reshape(-1), 0, bends, 0)
        for a in range(self.config.atom_layers):
            kept.values.append(values)
            given = values @ self.weights[f"{name}atoms.{a}.weight"].T
            given += self.weights[f"{name}atoms.{a}.bias"]
            added = np.empty_like(given)
            silu(given, added.reshape(-1), 0, bends, (a + 1) * size)
            values = values + added
        return values

    def _back(
        self,
        graph: TrainingGraph,
        tables: list[Array],
        species: NDArray[np.int64],
        spins: Array,
        factors: Array,
        layers: list[_Kept],
        features: Array,
        space: _Space,
        into: tuple[Weights, list[Array]] | None,
    ) -> Array:
        """-slopes by the spins; those by the weights are added."""
        field, by_vectors, none = np.zeros_like(spins), spins[:0], np.zeros((0, 0), self.dtype)
        given = np.empty_like(features)
        given[:] = factors @ self.weights[f"readouts.{self.config.layers}.weight"]
        for k in reversed(range(self.config.layers)):
            before = np.empty_like(given)
            before[:] = factors @ self.weights[f"readouts.{k}.weight"]
            gradients, by_table = (None, none) if into is None else (into[0], into[1][k])
            if gradients is not None:
                gradients[f"readouts.{k + 1}.weight"][...] += np.outer(factors, features.sum(axis=0))
            self._onsite_slopes(k, layers[k], space.found[k][:-1], given, before, space.by_found, gradients)
            ways = (graph.pairs, tables[k], self._kinds, self._lanes, space.rooms[k], spins, space.sent[k])
            collect_slopes(*ways, space.by_found, by_vectors, space.by_sent, by_table, field)
            by_vectors = self._send_slopes(k, layers[k], spins, space.by_sent, before, field, gradients)
            given, features = before, layers[k].before
        if into is not None:
            np.add.at(into[0]["embedding.weight"], species, given)
        return field

    def _onsite_slopes(
        self, k: int, kept: _Kept, found: Array, given: Array, before: Array, by_found: Array, into: Weights | None
    ) -> None:
        """Slopes by the invariants, and, added to `before`, those by the features before the layer; `given` is used up."""
        name = f"interactions.{k}."
        for a in reversed(range(self.config.atom_layers)):
            bent = given * kept.bends[a + 1]
            given += bent @ self.weights[f"{name}atoms.{a}.weight"]
            if into is not None:
                into[f"{name}atoms.{a}.weight"][...] += bent.T @ kept.values[a]
                into[f"{name}atoms.{a}.bias"][...] += bent.sum(axis=0)
        given *= kept.bends[0]
        before += given @ self.weights[name + "own.weight"]
        np.matmul(given, self.weights[name + "collect.weight"], out=by_found[: len(given)])
        if into is not None:
            into[name + "own.weight"][...] += given.T @ kept.before
            into[name + "collect.weight"][...] += given.T @ found
            for part in ("own.bias", "collect.bias"):
                into[name + part][...] += given.sum(axis=0)

    def _send_slopes(
        self, k: int, kept: _Kept, spins: Array, by_sent: Array, before: Array, field: Array, into: Weights | None
    ) -> Array:
        """Slopes by the spin vectors of the layer before (N, 3 C); those by its features and by spins are added."""
        name, width, sites = f"interactions.{k}.", self._width, len(spins)
        by_numbers = by_sent[:, :width]
        by_vector = np.ascontiguousarray(by_sent[:, width : 4 * width]).reshape(sites, 3, width)
        field -= np.einsum("iac,ic->ia", by_vector, kept.factors)
        by_factors = np.einsum("iac,ia->ic", by_vector, spins)
        before += by_numbers @ self.weights[name + "send.weight"] + by_factors @ self.weights[name + "send_spin.weight"]
        if into is not None:
            into[name + "send.weight"][...] += by_numbers.T @ kept.before
            into[name + "send_spin.weight"][...] += by_factors.T @ kept.before
        if kept.vectors is None or kept.gates is None or kept.mixed is None:
            return spins[:0]
        by_opened = np.einsum("iac,iac->ic", by_vector, kept.mixed) * (1 - kept.gates * kept.gates)
        by_mixed = (by_vector * kept.gates[:, None]).reshape(-1, width)
        before += by_opened @ self.weights[name + "gate.weight"]
        if into is not None:
            into[name + "gate.weight"][...] += by_opened.T @ kept.before
            into[name + "gate.bias"][...] += by_opened.sum(axis=0)
            into[name + "pass_on.weight"][...] += by_mixed.T @ kept.vectors
        by_vectors: Array = (by_mixed @ self.weights[name + "pass_on.weight"]).reshape(sites, -1)
        return by_vectors


__all__ = ["Passes", "TrainingGraph", "Weights"]
