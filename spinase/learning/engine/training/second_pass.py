"""The gradient of a loss by the weights of a network: the second pass of compiled training.

A loss l depends on the parts e_k of the energy of a configuration, E = sum_k t_k e_k, on the fields H_i = -dE/ds_i, and,
where atoms move, on dE/dx by the radial functions and harmonics x of the pairs.  With p_k = dl/de_k, g_i = dl/dH_i and
a = dl/d(dE/dx), which torch tells,

    dl/dw = sum_k p_k de_k/dw - sum_i g_i . d/ds_i dE/dw + a . d/dx dE/dw

for every weight w: the tangent of dE/dw along spins s_dot = -g, factors t_dot = p and pairs x_dot = a.  The first pass has
left everything that dE/dw is made of; here the tangents of all that are followed, forwards and backwards (forward mode over
reverse mode: one more pass, whatever the number of weights).  A final _dot is a tangent; symbols are those of
:mod:`spinase.learning.engine.layers`.
"""

from __future__ import annotations

import numpy as np

from spinase.learning.engine.training.first_pass import FirstPass, LayerTrace, Trace, Weights
from spinase.learning.engine.training.tangents import (
    PairTangents,
    invariants_backward_tangent,
    invariants_forward_tangent,
    silu_tangent,
)
from spinase.typing import Array


class _LayerTangents:
    """Tangents of what the first pass left of a layer, by the names of :class:`LayerTrace`."""

    def __init__(self, features: Array, vectors: Array | None) -> None:
        self.features, self.vectors = features, vectors
        self.factors: Array = features
        self.gates: Array | None = None
        self.mixed: Array | None = None
        self.values: list[Array] = []
        self.activation_slopes: list[Array] = []


class WeightGradients:
    """Gradient of a loss by the weights from that by the outputs of one configuration.

    Parameters
    ----------
    first_pass : FirstPass
        Weights of the network.
    trace : Trace
        First pass over the configuration, whose memory no other pass has taken.
    loss_by_parts : (orders + 1,) ndarray
        p = dl/de.
    loss_by_fields : (N, 3) ndarray
        g = dl/dH.
    loss_by_radial, loss_by_harmonics : (P, radial), (P, 9) ndarray
        a = dl/d(dE/dx), of length 0 where atoms are at rest.
    """

    def __init__(
        self,
        first_pass: FirstPass,
        trace: Trace,
        loss_by_parts: Array,
        loss_by_fields: Array,
        loss_by_radial: Array,
        loss_by_harmonics: Array,
    ) -> None:
        self._first_pass, self._trace, self._weights = first_pass, trace, first_pass.weights
        self._memory, self._memory_dot = trace.memory, first_pass.borrow(len(loss_by_fields))
        self._spins, self._spins_dot = trace.configuration.spins, -loss_by_fields
        self._factors, self._loss_by_parts = trace.configuration.factors, loss_by_parts
        self._radial_dot, pairs = loss_by_radial, trace.configuration.graph.pairs
        self._pairs_dot = pairs._replace(harmonics=np.ascontiguousarray(loss_by_harmonics))
        self._pair_tangents: list[PairTangents] = []
        self._gradients: dict[str, Array] = {}

    def __call__(self) -> Weights:
        """By the names of the weights."""
        features_dot, layers = self._forward()
        self._backward(features_dot, layers)
        self._first_pass.give_back(self._memory_dot)
        return self._gradients

    def _forward(self) -> tuple[list[Array], list[_LayerTangents]]:
        """Features' tangents (N, F), before every layer and after the last one, and tangents of what the layers left."""
        first_pass, trace, memory, memory_dot = self._first_pass, self._trace, self._memory, self._memory_dot
        features_dot, vectors_dot, layers = [np.zeros_like(trace.layers[0].features)], None, []
        for k, workspace_dot in enumerate(memory_dot.workspaces):
            layer_dot = _LayerTangents(features_dot[-1], vectors_dot)
            self._send(k, trace.layers[k], layer_dot, memory_dot.sent[k])
            self._pair_tangents.append(self._tangents_of_pairs(k))
            given = (
                (self._spins, self._spins_dot),
                (memory.sent[k], memory_dot.sent[k]),
                (memory.invariants[k], memory_dot.invariants[k]),
            )
            context = first_pass.context(trace.configuration.graph, trace.tables[k])
            invariants_forward_tangent(context, (memory.workspaces[k], workspace_dot), *given, self._pair_tangents[k])
            features_dot.append(self._onsite(k, trace.layers[k], layer_dot, memory_dot.invariants[k][:-1]))
            width = first_pass.channels
            vectors_dot = workspace_dot.sums[:, 0, width : 4 * width].reshape(-1, width)
            layers.append(layer_dot)
        return features_dot, layers

    def _tangents_of_pairs(self, k: int) -> PairTangents:
        """Tangents of the pairs as layer k sees them: w_dot = s_dot W with radial functions s (P, radial)."""
        first_pass, table = self._first_pass, self._trace.tables[k]
        if not len(self._radial_dot):
            return PairTangents(self._pairs_dot, table[:0], table[:0])
        directional = table.copy()
        directional[:, : first_pass.filters(k)[0][0].stop] = 0.0
        return PairTangents(self._pairs_dot, first_pass.table(k, self._radial_dot, self._memory_dot, 1), directional)

    def _send(self, k: int, layer: LayerTrace, layer_dot: _LayerTangents, sent_dot: Array) -> None:
        """Tangents of z and v into `sent_dot` (N, row_width), y = W_g a + b_g being the argument of the gates g = tanh(y).

        z_dot = W_z a_dot,    g_dot = (1 - g^2) W_g a_dot
        v_dot = (W_v a_dot) s + (W_v a) s_dot + g_dot W_p M + g W_p M_dot
        """
        name, width, sites = f"interactions.{k}.", self._first_pass.channels, len(sent_dot)
        layer_dot.factors = layer_dot.features @ self._weights[name + "send_spin.weight"].T
        vector_dot = (
            layer_dot.factors[:, None] * self._spins[:, :, None] + layer.factors[:, None] * self._spins_dot[:, :, None]
        )
        if layer.gates is not None and layer.mixed is not None and layer_dot.vectors is not None:
            slopes = 1 - layer.gates * layer.gates
            layer_dot.gates = slopes * (layer_dot.features @ self._weights[name + "gate.weight"].T)
            layer_dot.mixed = (layer_dot.vectors @ self._weights[name + "pass_on.weight"].T).reshape(sites, 3, width)
            vector_dot += layer_dot.gates[:, None] * layer.mixed + layer.gates[:, None] * layer_dot.mixed
        sent_dot[:, :width] = layer_dot.features @ self._weights[name + "send.weight"].T
        sent_dot[:, width : 4 * width] = vector_dot.reshape(sites, -1)

    def _onsite(self, k: int, layer: LayerTrace, layer_dot: _LayerTangents, invariants_dot: Array) -> Array:
        """Tangent of the features after layer k, (N, F), from those of the invariants, `invariants_dot` (N, I)."""
        name = f"interactions.{k}."
        inputs_dot = invariants_dot @ self._weights[name + "collect.weight"].T
        inputs_dot += layer_dot.features @ self._weights[name + "own.weight"].T
        values_dot = _activated(layer, layer_dot, inputs_dot)
        for a in range(self._first_pass.config.atom_layers):
            layer_dot.values.append(values_dot)
            inputs_dot = values_dot @ self._weights[f"{name}atoms.{a}.weight"].T
            values_dot = values_dot + _activated(layer, layer_dot, inputs_dot)
        return values_dot

    def _backward(self, features_dot: list[Array], layers: list[_LayerTangents]) -> None:
        """Tangents of all gradients of the first pass, layer by layer backwards, and with them the gradients by the weights.

        With h = dE/dw of a layer's filters w = s W_f:  dl/dW_f = s^T h_dot + s_dot^T h.
        """
        first_pass, trace, memory, memory_dot = self._first_pass, self._trace, self._memory, self._memory_dot
        last = first_pass.config.layers
        self._readout(last, trace.features, features_dot[-1])
        grad_dot = first_pass.readout_gradient(last, self._loss_by_parts, len(self._spins))
        grad_vectors_dot = self._spins[:0]
        for k in reversed(range(last)):
            layer, layer_dot = trace.layers[k], layers[k]
            self._readout(k, layer.features, features_dot[k])
            grad_before_dot = first_pass.readout_gradient(k, self._loss_by_parts, len(self._spins))
            self._onsite_backward(k, layer, layer_dot, grad_dot, grad_before_dot)
            assert layer.grad_vectors is not None
            grad_table_dot = memory_dot.table(k, *trace.tables[k].shape)
            grad_table_dot[:] = 0.0
            context = first_pass.context(trace.configuration.graph, trace.tables[k])
            given = (
                (self._spins, self._spins_dot),
                (memory.sent[k], memory_dot.sent[k]),
                (memory.grad_invariants[k], memory_dot.grad_invariants[k]),
            )
            workspaces = (memory.workspaces[k], memory_dot.workspaces[k])
            grad_vectors = (layer.grad_vectors, grad_vectors_dot)
            invariants_backward_tangent(
                context, workspaces, *given, grad_vectors, memory_dot.grad_sent, grad_table_dot, self._pair_tangents[k]
            )
            grad_filters = trace.configuration.graph.radial.T @ grad_table_dot
            if len(self._radial_dot):
                assert layer.grad_table is not None
                grad_filters += self._radial_dot.T @ layer.grad_table
            for columns, name in first_pass.filters(k):
                self._gradients[name] = np.ascontiguousarray(grad_filters[:, columns])
            grad_vectors_dot = self._send_backward(k, layer, layer_dot, grad_before_dot)
            grad_dot = grad_before_dot
        grad_embedding = np.zeros_like(self._weights["embedding.weight"])
        np.add.at(grad_embedding, trace.configuration.species, grad_dot)
        self._gradients["embedding.weight"] = grad_embedding

    def _readout(self, k: int, features: Array, features_dot: Array) -> None:
        """dl/dW = p (sum_i a_i)^T + t (sum_i a_dot_i)^T and dl/db = p N of readout k; `features` a (N, F)."""
        gradient = np.outer(self._loss_by_parts, features.sum(axis=0)) + np.outer(self._factors, features_dot.sum(axis=0))
        self._gradients[f"readouts.{k}.weight"] = gradient
        self._gradients[f"readouts.{k}.bias"] = self._loss_by_parts * self._loss_by_parts.dtype.type(len(features))

    def _onsite_backward(
        self, k: int, layer: LayerTrace, layer_dot: _LayerTangents, grad_dot: Array, grad_before_dot: Array
    ) -> None:
        """Tangent of dE/dx into its place; that of dE/da before the layer is added to `grad_before_dot` (N, F).

        With G = dE/d(output of an activation) and h = G silu' that by its argument:  h_dot = G_dot silu' + G silu'_dot.
        """
        name = f"interactions.{k}."
        for a in reversed(range(self._first_pass.config.atom_layers)):
            grad_inputs_dot = (
                grad_dot * layer.activation_slopes[a + 1] + layer.grad_outputs[a + 1] * layer_dot.activation_slopes[a + 1]
            )
            self._set_weight(
                f"{name}atoms.{a}.weight",
                (layer.grad_inputs[a + 1], grad_inputs_dot),
                (layer.values[a], layer_dot.values[a]),
            )
            self._gradients[f"{name}atoms.{a}.bias"] = grad_inputs_dot.sum(axis=0)
            grad_dot = grad_dot + grad_inputs_dot @ self._weights[f"{name}atoms.{a}.weight"]
        grad_inputs_dot = grad_dot * layer.activation_slopes[0] + layer.grad_outputs[0] * layer_dot.activation_slopes[0]
        invariants, invariants_dot = self._memory.invariants[k], self._memory_dot.invariants[k]
        grad_invariants_dot = self._memory_dot.grad_invariants[k]
        self._set_weight(name + "own.weight", (layer.grad_inputs[0], grad_inputs_dot), (layer.features, layer_dot.features))
        self._set_weight(
            name + "collect.weight", (layer.grad_inputs[0], grad_inputs_dot), (invariants[:-1], invariants_dot[:-1])
        )
        for part in ("own.bias", "collect.bias"):
            self._gradients[name + part] = grad_inputs_dot.sum(axis=0)
        grad_before_dot += grad_inputs_dot @ self._weights[name + "own.weight"]
        np.matmul(grad_inputs_dot, self._weights[name + "collect.weight"], out=grad_invariants_dot[: len(grad_inputs_dot)])

    def _send_backward(self, k: int, layer: LayerTrace, layer_dot: _LayerTangents, grad_before_dot: Array) -> Array:
        """Tangent of dE/dM (N, 3 C); that of dE/da is added to `grad_before_dot` (N, F): the product rule on the first pass.

        (dE/dy)_dot = (1 - g^2) (dE/dv . W_p M)_dot - 2 g g_dot (dE/dv . W_p M),        y = W_g a + b_g, g = tanh(y)
        """
        name, width, grad_sent_dot = f"interactions.{k}.", self._first_pass.channels, self._memory_dot.grad_sent
        assert layer.grad_sent_numbers is not None
        assert layer.grad_sent_vectors is not None
        grad_sent_vectors, grad_sent_numbers_dot = layer.grad_sent_vectors, grad_sent_dot[:, :width]
        grad_sent_vectors_dot = np.ascontiguousarray(grad_sent_dot[:, width : 4 * width]).reshape(grad_sent_vectors.shape)
        grad_factors = _along_spins(grad_sent_vectors, self._spins)
        grad_factors_dot = _along_spins(grad_sent_vectors_dot, self._spins) + _along_spins(
            grad_sent_vectors, self._spins_dot
        )
        features = (layer.features, layer_dot.features)
        self._set_weight(name + "send.weight", (layer.grad_sent_numbers, grad_sent_numbers_dot), features)
        self._set_weight(name + "send_spin.weight", (grad_factors, grad_factors_dot), features)
        grad_before_dot += grad_sent_numbers_dot @ self._weights[name + "send.weight"]
        grad_before_dot += grad_factors_dot @ self._weights[name + "send_spin.weight"]
        if layer.gates is None or layer.mixed is None or layer_dot.gates is None or layer_dot.mixed is None:
            return self._spins[:0]
        slopes, grad_gates = 1 - layer.gates * layer.gates, _along(grad_sent_vectors, layer.mixed)
        grad_gate_inputs_dot = (
            _along(grad_sent_vectors_dot, layer.mixed) + _along(grad_sent_vectors, layer_dot.mixed)
        ) * slopes
        grad_gate_inputs_dot -= 2 * grad_gates * layer.gates * layer_dot.gates
        self._set_weight(name + "gate.weight", (grad_gates * slopes, grad_gate_inputs_dot), features)
        self._gradients[name + "gate.bias"] = grad_gate_inputs_dot.sum(axis=0)
        grad_before_dot += grad_gate_inputs_dot @ self._weights[name + "gate.weight"]
        grad_mixed = (grad_sent_vectors * layer.gates[:, None]).reshape(-1, width)
        grad_mixed_dot = (
            grad_sent_vectors_dot * layer.gates[:, None] + grad_sent_vectors * layer_dot.gates[:, None]
        ).reshape(-1, width)
        assert layer.vectors is not None
        assert layer_dot.vectors is not None
        self._set_weight(name + "pass_on.weight", (grad_mixed, grad_mixed_dot), (layer.vectors, layer_dot.vectors))
        grad_vectors_dot: Array = grad_mixed_dot @ self._weights[name + "pass_on.weight"]
        return grad_vectors_dot.reshape(len(grad_sent_vectors), -1)

    def _set_weight(self, name: str, given: tuple[Array, Array], inputs: tuple[Array, Array]) -> None:
        """dl/dW = h_dot^T x + h^T x_dot of a product y = W x with h = dE/dy: `given` (h, h_dot), `inputs` (x, x_dot)."""
        gradient = given[1].T @ inputs[0]
        gradient += given[0].T @ inputs[1]
        self._gradients[name] = gradient


def _activated(layer: LayerTrace, layer_dot: _LayerTangents, inputs_dot: Array) -> Array:
    """Tangent of the next activation's value, (N, F), by that of its argument; that of silu' is kept in `layer_dot`."""
    at = len(layer_dot.activation_slopes)
    values_dot, activation_slopes_dot = np.empty_like(inputs_dot), np.empty_like(inputs_dot)
    arrays = (layer.inputs[at], inputs_dot, layer.activation_slopes[at], values_dot, activation_slopes_dot)
    silu_tangent(*(array.reshape(-1) for array in arrays))
    layer_dot.activation_slopes.append(activation_slopes_dot)
    return values_dot


def _along_spins(grad_sent_vectors: Array, spins: Array) -> Array:
    """s . dE/dv, (N, C); (N, 3, C) and (N, 3)."""
    product: Array = np.einsum("iac,ia->ic", grad_sent_vectors, spins)
    return product


def _along(grad_sent_vectors: Array, vectors: Array) -> Array:
    """dE/dv . m, (N, C), of two (N, 3, C)."""
    product: Array = np.einsum("iac,iac->ic", grad_sent_vectors, vectors)
    return product


__all__ = ["WeightGradients"]
