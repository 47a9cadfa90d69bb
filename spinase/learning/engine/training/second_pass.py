"""Slopes of a loss by the weights of a network: the second pass of compiled training.

A loss l has slopes p_k = dl/de_k by the parts of the energy of a configuration, E = sum_k t_k e_k, and g_i = dl/dH_i by the
fields H_i = -dE/ds_i; where atoms move also slopes a by the energy's own slopes by x, the radial functions and harmonics of
the pairs.  By the weights w it has

    dl/dw = sum_k p_k de_k/dw - sum_i g_i . d/ds_i dE/dw + a . d/dx dE/dw,

the change of d(sum_k t_k e_k)/dw where the spins change by -g, the factors t by p, and x by a.  The first pass has left
everything that d(sum_k t_k e_k)/dw is made of; here the changes of all that are followed, forwards and backwards.  Names
with a final _c are changes.
"""

from __future__ import annotations

import numpy as np

from spinase.learning.engine.training.first_pass import LayerTrace, Passes, Trace, Weights
from spinase.learning.engine.training.kernels import Stretch, collect_changes, collect_slope_changes, silu_changes
from spinase.typing import Array


class _LayerChanges:
    """Changes of what the first pass left of a layer."""

    def __init__(self, before: Array, vectors: Array | None) -> None:
        self.before, self.vectors = before, vectors
        self.factors: Array = before
        self.gates: Array | None = None
        self.mixed: Array | None = None
        self.values: list[Array] = []
        self.bends: list[Array] = []


class WeightSlopes:
    """Slopes of a loss by the weights from those of one configuration.

    Parameters
    ----------
    passes : Passes
        Weights of the network.
    trace : Trace
        First pass over the configuration, whose memory no other pass has taken.
    by_parts : (orders + 1,) ndarray
        p.
    by_fields : (N, 3) ndarray
        g.
    by_radial, by_harmonics : (P, radial), (P, 9) ndarray
        a, of length 0 where atoms rest.
    """

    def __init__(
        self, passes: Passes, trace: Trace, by_parts: Array, by_fields: Array, by_radial: Array, by_harmonics: Array
    ) -> None:
        self._passes, self._trace, self._weights = passes, trace, passes.weights
        self._space, self._moved = trace.space, passes.take(len(by_fields))
        self._spins, self._moves = trace.magnet.spins, -by_fields
        self._factors, self._by_parts = trace.magnet.factors, by_parts
        self._radial_c, pairs = by_radial, trace.magnet.graph.pairs
        self._pairs_c = pairs._replace(harmonics=np.ascontiguousarray(by_harmonics))
        self._stretches: list[Stretch] = []
        self._found: dict[str, Array] = {}

    def __call__(self) -> Weights:
        """By the names of the weights."""
        features_c, layers = self._forward()
        self._backward(features_c, layers)
        self._passes.leave(self._moved)
        return self._found

    def _forward(self) -> tuple[list[Array], list[_LayerChanges]]:
        """Changes of the features, before every layer and after the last one, and of what the layers left."""
        passes, trace, space, moved = self._passes, self._trace, self._space, self._moved
        features_c, vectors_c, layers = [np.zeros_like(trace.layers[0].before)], None, []
        for k, room_c in enumerate(moved.rooms):
            change = _LayerChanges(features_c[-1], vectors_c)
            self._send(k, trace.layers[k], change, moved.sent[k])
            ways = (trace.magnet.graph.pairs, trace.tables[k], passes.kinds, passes.lanes, space.rooms[k], room_c)
            sent, stretch = (space.sent[k], moved.sent[k]), self._stretch(k)
            self._stretches.append(stretch)
            collect_changes(*ways, self._spins, self._moves, sent, space.found[k], moved.found[k], stretch)
            features_c.append(self._onsite(k, trace.layers[k], change, moved.found[k][:-1]))
            vectors_c = room_c.sums[:, 0, passes.width : 4 * passes.width].reshape(-1, passes.width)
            layers.append(change)
        return features_c, layers

    def _stretch(self, k: int) -> Stretch:
        """Changes of the pairs as layer k sees them."""
        passes, table = self._passes, self._trace.tables[k]
        if not len(self._radial_c):
            return Stretch(self._pairs_c, table[:0], table[:0])
        turned = table.copy()
        turned[:, : passes.filters(k)[0][0].stop] = 0.0
        return Stretch(self._pairs_c, passes.table(k, self._radial_c, self._moved, 1), turned)

    def _send(self, k: int, kept: LayerTrace, change: _LayerChanges, sent_c: Array) -> None:
        name, width, sites = f"interactions.{k}.", self._passes.width, len(sent_c)
        change.factors = change.before @ self._weights[name + "send_spin.weight"].T
        vector_c = change.factors[:, None] * self._spins[:, :, None] + kept.factors[:, None] * self._moves[:, :, None]
        if kept.gates is not None and kept.mixed is not None and change.vectors is not None:
            slopes = 1 - kept.gates * kept.gates
            change.gates = slopes * (change.before @ self._weights[name + "gate.weight"].T)
            change.mixed = (change.vectors @ self._weights[name + "pass_on.weight"].T).reshape(sites, 3, width)
            vector_c += change.gates[:, None] * kept.mixed + kept.gates[:, None] * change.mixed
        sent_c[:, :width] = change.before @ self._weights[name + "send.weight"].T
        sent_c[:, width : 4 * width] = vector_c.reshape(sites, -1)

    def _onsite(self, k: int, kept: LayerTrace, change: _LayerChanges, found_c: Array) -> Array:
        name = f"interactions.{k}."
        given_c = found_c @ self._weights[name + "collect.weight"].T
        given_c += change.before @ self._weights[name + "own.weight"].T
        values_c = _activated(kept, change, given_c)
        for a in range(self._passes.config.atom_layers):
            change.values.append(values_c)
            given_c = values_c @ self._weights[f"{name}atoms.{a}.weight"].T
            values_c = values_c + _activated(kept, change, given_c)
        return values_c

    def _backward(self, features_c: list[Array], layers: list[_LayerChanges]) -> None:
        passes, trace, space, moved = self._passes, self._trace, self._space, self._moved
        last = passes.config.layers
        self._readout(last, trace.features, features_c[-1])
        given_c, by_vectors_c = passes.read_slopes(last, self._by_parts, len(self._spins)), self._spins[:0]
        for k in reversed(range(last)):
            kept, change = trace.layers[k], layers[k]
            self._readout(k, kept.before, features_c[k])
            before_c = passes.read_slopes(k, self._by_parts, len(self._spins))
            self._onsite_slopes(k, kept, change, given_c, before_c)
            assert kept.by_vectors is not None
            by_table = moved.table(k, *trace.tables[k].shape)
            by_table[:] = 0.0
            ways = (trace.magnet.graph.pairs, trace.tables[k], passes.kinds, passes.lanes, space.rooms[k], moved.rooms[k])
            given = ((space.sent[k], moved.sent[k]), (space.by_found[k], moved.by_found[k]))
            pairs = ((self._spins, self._moves), *given, (kept.by_vectors, by_vectors_c))
            collect_slope_changes(*ways, *pairs, moved.by_sent, by_table, self._stretches[k])
            by_filters = trace.magnet.graph.radial.T @ by_table
            if len(self._radial_c):
                assert kept.by_table is not None
                by_filters += self._radial_c.T @ kept.by_table
            for columns, name in passes.filters(k):
                self._found[name] = np.ascontiguousarray(by_filters[:, columns])
            by_vectors_c = self._send_slopes(k, kept, change, before_c)
            given_c = before_c
        by_embedding = np.zeros_like(self._weights["embedding.weight"])
        np.add.at(by_embedding, trace.magnet.species, given_c)
        self._found["embedding.weight"] = by_embedding

    def _readout(self, k: int, features: Array, features_c: Array) -> None:
        by_weight = np.outer(self._by_parts, features.sum(axis=0)) + np.outer(self._factors, features_c.sum(axis=0))
        self._found[f"readouts.{k}.weight"] = by_weight
        self._found[f"readouts.{k}.bias"] = self._by_parts * self._by_parts.dtype.type(len(features))

    def _onsite_slopes(self, k: int, kept: LayerTrace, change: _LayerChanges, given_c: Array, before_c: Array) -> None:
        """Slopes by the invariants into their place; those by the features before the layer are added to `before_c`."""
        name = f"interactions.{k}."
        for a in reversed(range(self._passes.config.atom_layers)):
            bent_c = given_c * kept.bends[a + 1] + kept.by_values[a + 1] * change.bends[a + 1]
            self._weigh(f"{name}atoms.{a}.weight", (kept.bent[a + 1], bent_c), (kept.values[a], change.values[a]))
            self._found[f"{name}atoms.{a}.bias"] = bent_c.sum(axis=0)
            given_c = given_c + bent_c @ self._weights[f"{name}atoms.{a}.weight"]
        bent_c = given_c * kept.bends[0] + kept.by_values[0] * change.bends[0]
        found, found_c, by_found_c = self._space.found[k], self._moved.found[k], self._moved.by_found[k]
        self._weigh(name + "own.weight", (kept.bent[0], bent_c), (kept.before, change.before))
        self._weigh(name + "collect.weight", (kept.bent[0], bent_c), (found[:-1], found_c[:-1]))
        for part in ("own.bias", "collect.bias"):
            self._found[name + part] = bent_c.sum(axis=0)
        before_c += bent_c @ self._weights[name + "own.weight"]
        np.matmul(bent_c, self._weights[name + "collect.weight"], out=by_found_c[: len(bent_c)])

    def _send_slopes(self, k: int, kept: LayerTrace, change: _LayerChanges, before_c: Array) -> Array:
        """Slopes by the spin vectors of the layer before; those by its features are added to `before_c`."""
        name, width, by_sent_c = f"interactions.{k}.", self._passes.width, self._moved.by_sent
        assert kept.by_numbers is not None
        assert kept.by_vector is not None
        by_vector, by_numbers_c = kept.by_vector, by_sent_c[:, :width]
        by_vector_c = np.ascontiguousarray(by_sent_c[:, width : 4 * width]).reshape(by_vector.shape)
        by_factors = _over(by_vector, self._spins)
        by_factors_c = _over(by_vector_c, self._spins) + _over(by_vector, self._moves)
        before = (kept.before, change.before)
        self._weigh(name + "send.weight", (kept.by_numbers, by_numbers_c), before)
        self._weigh(name + "send_spin.weight", (by_factors, by_factors_c), before)
        before_c += by_numbers_c @ self._weights[name + "send.weight"]
        before_c += by_factors_c @ self._weights[name + "send_spin.weight"]
        if kept.gates is None or kept.mixed is None or change.gates is None or change.mixed is None:
            return self._spins[:0]
        slopes, by_gates = 1 - kept.gates * kept.gates, _along(by_vector, kept.mixed)
        by_opened_c = (_along(by_vector_c, kept.mixed) + _along(by_vector, change.mixed)) * slopes
        by_opened_c -= 2 * by_gates * kept.gates * change.gates
        self._weigh(name + "gate.weight", (by_gates * slopes, by_opened_c), before)
        self._found[name + "gate.bias"] = by_opened_c.sum(axis=0)
        before_c += by_opened_c @ self._weights[name + "gate.weight"]
        by_mixed = (by_vector * kept.gates[:, None]).reshape(-1, width)
        by_mixed_c = (by_vector_c * kept.gates[:, None] + by_vector * change.gates[:, None]).reshape(-1, width)
        assert kept.vectors is not None
        assert change.vectors is not None
        self._weigh(name + "pass_on.weight", (by_mixed, by_mixed_c), (kept.vectors, change.vectors))
        by_vectors_c: Array = (by_mixed_c @ self._weights[name + "pass_on.weight"]).reshape(len(by_vector), -1)
        return by_vectors_c

    def _weigh(self, name: str, given: tuple[Array, Array], inputs: tuple[Array, Array]) -> None:
        """Change of given^T inputs."""
        by_weight = given[1].T @ inputs[0]
        by_weight += given[0].T @ inputs[1]
        self._found[name] = by_weight


def _activated(kept: LayerTrace, change: _LayerChanges, given_c: Array) -> Array:
    """Changes of the next activation's values; those of its slopes are kept."""
    at = len(change.bends)
    values_c, bends_c = np.empty_like(given_c), np.empty_like(given_c)
    ways = (kept.inputs[at], given_c, kept.bends[at], values_c, bends_c)
    silu_changes(*(array.reshape(-1) for array in ways))
    change.bends.append(bends_c)
    return values_c


def _over(by_vector: Array, spins: Array) -> Array:
    found: Array = np.einsum("iac,ia->ic", by_vector, spins)
    return found


def _along(by_vector: Array, vectors: Array) -> Array:
    found: Array = np.einsum("iac,iac->ic", by_vector, vectors)
    return found


__all__ = ["WeightSlopes"]
