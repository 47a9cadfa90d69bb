"""Energies, fields and gradients by pairs of a network, one configuration at a time: the first pass of compiled training.

The sums of :mod:`spinase.learning.mhipnn.network` with their derivatives by hand: pairs in compiled loops, sites in
products of matrices.  The energy of a configuration is a sum of its parts e_k with given factors t_k.  Formulas and symbols
are those of :mod:`spinase.learning.engine.layers`.  What :mod:`spinase.learning.engine.training.second_pass` needs for the
gradient of a loss by the weights is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from spinase.compiled.rows import aligned, padded_length
from spinase.learning.engine.evaluator import channels_by_degree
from spinase.learning.engine.layers import silu
from spinase.learning.engine.training.graph import TrainingGraph
from spinase.learning.engine.training.kernels import SumContext, invariants_backward, invariants_forward
from spinase.learning.engine.workspace import (
    HARMONICS,
    Options,
    Workspace,
    aligned_array,
    new_workspace,
    row_width,
)
from spinase.learning.mhipnn.network import NetworkConfig
from spinase.typing import Array, FloatArray, IntArray

Weights = Mapping[str, Array]
_SPARE_SIZES = 8


@dataclass(frozen=True, eq=False)
class PassMemory:
    """What a pass works in; lists have an entry for every layer.

    Attributes
    ----------
    workspaces : list of Workspace
        With ``sums`` (N, 9, row_width) of all sites; the layers share all else.
    invariants, grad_invariants : lists of (N + 1, I)
        x and dE/dx.
    sent : list of (N, row_width)
        z and v.
    tables : list of flat arrays
        Memory for two tables of every layer: filters, and what belongs to them.
    grad_sent : (N, row_width)
        dE/dz and dE/dv of one layer at a time.
    """

    workspaces: list[Workspace]
    invariants: list[Array]
    sent: list[Array]
    grad_invariants: list[Array]
    tables: list[Array]
    grad_sent: Array

    def table(self, k: int, distances: int, columns: int) -> Array:
        """Table number k, (distances, columns), with anything in it; made larger where it must be.

        Parameters
        ----------
        k : int
            Number of the table.
        distances, columns : int
            Its shape.
        """
        size = distances * columns
        if len(self.tables[k]) < size:
            self.tables[k] = aligned(size + size // 4, self.grad_sent.dtype)
        return self.tables[k][:size].reshape(distances, columns)


@dataclass(eq=False)
class LayerTrace:
    """What the first pass leaves of a layer; E is the energy with given factors t_k.

    Attributes
    ----------
    features : (N, F)
        a before the layer.
    vectors : (3 N, C) or None
        M of the layer before.
    factors, gates, mixed : (N, C), (N, C), (N, 3, C)
        W_v a, tanh(W_g a + b_g) and W_p M of what is sent; the latter two None in the first layer.
    inputs, activation_slopes : lists of (N, F)
        Arguments of the activations (the layer's, those of its on-site layers), and silu' there.
    values : list of (N, F)
        Features before every on-site layer.
    grad_outputs, grad_inputs : lists of (N, F)
        dE by what comes out of an activation, and by its argument.
    grad_sent_numbers, grad_sent_vectors : (N, C), (N, 3, C)
        dE/dz, dE/dv.
    grad_vectors : (N, 3 C) or (0, 3)
        dE/dM by way of the next layer.
    grad_table : (P, columns) or (0, 0)
        dE/dw of every pair, where atoms move.
    """

    features: Array
    vectors: Array | None
    factors: Array
    gates: Array | None
    mixed: Array | None
    inputs: list[Array] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)
    activation_slopes: list[Array] = field(default_factory=list)
    grad_outputs: list[Array] = field(default_factory=list)
    grad_inputs: list[Array] = field(default_factory=list)
    grad_sent_numbers: Array | None = None
    grad_sent_vectors: Array | None = None
    grad_vectors: Array | None = None
    grad_table: Array | None = None


@dataclass(frozen=True, eq=False)
class Configuration:
    """One configuration of a batch.

    Attributes
    ----------
    graph : TrainingGraph
        Pairs.
    species : (N,) ndarray of int
        Indices into the network's species.
    spins : (N, 3) ndarray
        Free spin vectors.
    factors : (orders + 1,) ndarray
        t_k of the energy E = sum_k t_k e_k.
    """

    graph: TrainingGraph
    species: IntArray
    spins: Array
    factors: Array


@dataclass(frozen=True, eq=False)
class Trace:
    """What the first pass finds and leaves.

    Attributes
    ----------
    configuration, tables, layers, memory
        What it was made of and left; `tables`: filters of every layer, (distances, columns).
    features : (N, F)
        After the last layer.
    parts : (orders + 1,) float64
        e_k, summed over the sites, in the network's unit.
    fields : (N, 3)
        -dE/ds.
    grad_radial, grad_harmonics : (P, radial), (P, 9)
        dE/ds_v and dE/dY_m of the pairs, where atoms move, else of length 0.
    """

    configuration: Configuration
    tables: list[Array]
    layers: list[LayerTrace]
    features: Array
    memory: PassMemory
    parts: FloatArray
    fields: Array
    grad_radial: Array
    grad_harmonics: Array


class FirstPass:
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

    def __init__(self, config: NetworkConfig, weights: Weights, spare: dict[int, list[PassMemory]] | None = None) -> None:
        self.config, self.weights = config, weights
        self.dtype = weights["embedding.weight"].dtype
        self.channels_by_degree = channels_by_degree(config)
        self.channels = config.channels[0]
        self._columns = [padded_length(len(part)) for part in self.channels_by_degree]
        self.options = Options(config.chirality, config.products)
        self._spare: dict[int, list[PassMemory]] = {} if spare is None else spare

    def run(self, configuration: Configuration) -> Trace:
        """Energy and fields of a configuration."""
        graph, spins, memory = configuration.graph, configuration.spins, self.borrow(configuration.graph.sites)
        tables = self._tables(graph, memory)
        features = self.weights["embedding.weight"][configuration.species]
        readouts, layers, vectors = [self._readout_sum(0, features)], [], None
        for k, workspace in enumerate(memory.workspaces):
            sent, invariants = memory.sent[k], memory.invariants[k]
            layer = self._send(k, features, spins, vectors, sent)
            invariants_forward(self.context(graph, tables[k]), workspace, spins, sent, invariants)
            features = self._onsite(k, layer, invariants[:-1])
            vectors = workspace.sums[:, 0, self.channels : 4 * self.channels].reshape(-1, self.channels)
            readouts.append(self._readout_sum(k + 1, features))
            layers.append(layer)
        moving = 0 if graph.motion is None else len(graph.radial)
        by_pairs = (np.zeros((moving, width), self.dtype) for width in (graph.radial.shape[1], HARMONICS))
        trace = Trace(
            configuration, tables, layers, features, memory, np.sum(readouts, axis=0), np.zeros_like(spins), *by_pairs
        )
        self._backward(trace)
        return trace

    def context(self, graph: TrainingGraph, table: Array) -> SumContext:
        """Pairs of a configuration with the filters of a layer, for the compiled loops."""
        return SumContext(graph.pairs, table, self.options, self.channels_by_degree)

    def give_back(self, memory: PassMemory) -> None:
        """Let other passes have the memory of this one."""
        self._spare.setdefault(len(memory.grad_sent), []).append(memory)

    def filters(self, k: int) -> list[tuple[slice, str]]:
        """Columns in the table, and names, of the filters of layer k."""
        starts = np.cumsum([0, *self._columns])
        places = [slice(starts[d], starts[d] + count) for d, count in enumerate(self.config.channels)]
        return [(columns, f"interactions.{k}.filters.{d}") for d, columns in enumerate(places)]

    def _tables(self, graph: TrainingGraph, memory: PassMemory) -> list[Array]:
        """Filters of every layer at every distance."""
        return [self.table(k, graph.radial, memory) for k in range(self.config.layers)]

    def table(self, k: int, radial: Array, memory: PassMemory, table: int = 0) -> Array:
        """Filters of layer k from radial functions (distances, radial), in table number 0 or 1 of that layer in `memory`.

        Parameters
        ----------
        k : int
            Layer.
        radial : (distances, radial)
            Radial functions, or their derivatives.
        memory : PassMemory
            Where the table lies.
        table : int
            Which of the layer's two tables is overwritten, 0 or 1.
        """
        weights = self.filter_weights(k)
        out = memory.table(k + table * self.config.layers, len(radial), weights.shape[1])
        np.matmul(radial, weights, out=out)
        return out

    def filter_weights(self, k: int) -> Array:
        """Weights of the filters of layer k in the columns of a table, (radial, columns)."""
        weights = np.zeros((self.config.radial, sum(self._columns)), self.dtype)
        for columns, name in self.filters(k):
            weights[:, columns] = self.weights[name]
        return weights

    def borrow(self, sites: int) -> PassMemory:
        """Memory for so many sites: the system takes longer to come up with fresh memory than the sums take to fill it."""
        try:
            return self._spare[sites].pop()
        except (KeyError, IndexError):
            if len(self._spare) > _SPARE_SIZES:
                self._spare.clear()
        count, width, layers = self.config.invariants(), row_width(self.channels), range(self.config.layers)
        one = new_workspace(self.channels_by_degree, count, self.dtype)

        def rows(*shape: int) -> Array:
            """Memory that begins on a cache line, with anything in it."""
            return aligned_array(shape, self.dtype)

        workspaces = [one._replace(sums=rows(sites, HARMONICS, width)) for _ in layers]
        invariants, grad_invariants = ([rows(sites + 1, count) for _ in layers] for _ in range(2))
        return PassMemory(
            workspaces,
            invariants,
            [rows(sites, width) for _ in layers],
            grad_invariants,
            [rows(0) for _ in (*layers, *layers)],
            rows(sites, width),
        )

    def _readout_sum(self, k: int, features: Array) -> FloatArray:
        """sum_i (W_k a_i + b_k) of readout k, (orders + 1,) float64; `features` (N, F)."""
        bias = self.weights[f"readouts.{k}.bias"].astype(np.float64)
        total: FloatArray = self.weights[f"readouts.{k}.weight"] @ features.sum(axis=0) + bias * len(features)
        return total

    def _send(self, k: int, features: Array, spins: Array, vectors: Array | None, sent: Array) -> LayerTrace:
        """z = W_z a, v = (W_v a) s + g W_p M, g = tanh(W_g a + b_g), into `sent` (N, row_width), for layer k.

        `features` a (N, F), `spins` s (N, 3), `vectors` M (3 N, C), None in the first layer.
        """
        name, width, sites = f"interactions.{k}.", self.channels, len(spins)
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

    def _onsite(self, k: int, layer: LayerTrace, invariants: Array) -> Array:
        """Features after layer k: a <- silu(W_c x + W_o a + b), then a <- a + silu(W_k a + b_k); `invariants` x (N, I)."""
        name = f"interactions.{k}."
        inputs = invariants @ self.weights[name + "collect.weight"].T
        inputs += layer.features @ self.weights[name + "own.weight"].T
        inputs += self.weights[name + "own.bias"] + self.weights[name + "collect.bias"]
        values = _activated(layer, inputs)
        for a in range(self.config.atom_layers):
            layer.values.append(values)
            inputs = values @ self.weights[f"{name}atoms.{a}.weight"].T
            inputs += self.weights[f"{name}atoms.{a}.bias"]
            values = values + _activated(layer, inputs)
        return values

    def _backward(self, trace: Trace) -> None:
        """The way back: -dE/ds is added to ``trace.fields``, what the second pass needs is left in the traces of layers."""
        configuration, memory, fields = trace.configuration, trace.memory, trace.fields
        grad_vectors, last = configuration.spins[:0], self.config.layers
        grad = self.readout_gradient(last, configuration.factors, configuration.graph.sites)
        for k in reversed(range(last)):
            layer, grad_before = trace.layers[k], self.readout_gradient(k, configuration.factors, configuration.graph.sites)
            grad_invariants, workspace = memory.grad_invariants[k], memory.workspaces[k]
            self._onsite_backward(k, layer, grad, grad_before, grad_invariants)
            layer.grad_vectors = grad_vectors
            shape = trace.tables[k].shape if len(trace.grad_radial) else (0, 0)
            layer.grad_table = memory.table(k + last, *shape)
            context, by_pairs = self.context(configuration.graph, trace.tables[k]), (layer.grad_table, trace.grad_harmonics)
            shared = (configuration.spins, memory.sent[k], grad_invariants, grad_vectors)
            invariants_backward(context, workspace, *shared, memory.grad_sent, fields, *by_pairs)
            if len(trace.grad_radial):
                trace.grad_radial[:] += layer.grad_table @ self.filter_weights(k).T
            grad_vectors = self._send_backward(k, layer, configuration.spins, grad_before, memory.grad_sent, fields)
            grad = grad_before

    def readout_gradient(self, k: int, factors: Array, sites: int) -> Array:
        """d/da sum_k t_k e_k by way of readout k: sum_n t_n W_k[n], the same for every site, (N, F).

        Parameters
        ----------
        k : int
            Number of the readout.
        factors : (K,)
            t, the weights of the parts.
        sites : int
            N.
        """
        return np.tile(factors @ self.weights[f"readouts.{k}.weight"], (sites, 1))

    def _onsite_backward(self, k: int, layer: LayerTrace, grad: Array, grad_before: Array, grad_invariants: Array) -> None:
        """Transpose of :meth:`_onsite`: from dE/da after layer k, `grad` (N, F), to dE/dx into `grad_invariants` (N + 1, I).

        dE/da before the layer is added to `grad_before` (N, F).
        """
        name = f"interactions.{k}."
        for a in reversed(range(self.config.atom_layers)):
            grad_inputs = grad * layer.activation_slopes[a + 1]
            layer.grad_outputs.insert(0, grad)
            layer.grad_inputs.insert(0, grad_inputs)
            grad = grad + grad_inputs @ self.weights[f"{name}atoms.{a}.weight"]
        grad_inputs = grad * layer.activation_slopes[0]
        layer.grad_outputs.insert(0, grad)
        layer.grad_inputs.insert(0, grad_inputs)
        grad_before += grad_inputs @ self.weights[name + "own.weight"]
        np.matmul(grad_inputs, self.weights[name + "collect.weight"], out=grad_invariants[: len(grad_inputs)])

    def _send_backward(
        self, k: int, layer: LayerTrace, spins: Array, grad_before: Array, grad_sent: Array, fields: Array
    ) -> Array:
        """Transpose of :meth:`_send`: dE/dM (N, 3 C); dE/da is added to `grad_before` (N, F), -dE/ds to `fields` (N, 3).

            dE/ds += W_v a . dE/dv,    dE/dM = W_p^T (g dE/dv)
            dE/da += W_z^T dE/dz + W_v^T (s . dE/dv) + W_g^T [(1 - g^2) (dE/dv . W_p M)]

        In the first layer there is no M (length 0 is returned), and nobody asks for dE/da.
        """
        name, width, sites = f"interactions.{k}.", self.channels, len(grad_sent)
        layer.grad_sent_numbers = np.ascontiguousarray(grad_sent[:, :width])
        grad_sent_vectors = np.ascontiguousarray(grad_sent[:, width : 4 * width]).reshape(sites, 3, width)
        layer.grad_sent_vectors = grad_sent_vectors
        fields -= np.einsum("iac,ic->ia", grad_sent_vectors, layer.factors)
        if layer.gates is None or layer.mixed is None:
            return grad_sent[:0]
        grad_factors = np.einsum("iac,ia->ic", grad_sent_vectors, spins)
        grad_gate_inputs = np.einsum("iac,iac->ic", grad_sent_vectors, layer.mixed) * (1 - layer.gates * layer.gates)
        grad_before += layer.grad_sent_numbers @ self.weights[name + "send.weight"]
        grad_before += grad_factors @ self.weights[name + "send_spin.weight"]
        grad_before += grad_gate_inputs @ self.weights[name + "gate.weight"]
        grad_mixed = (grad_sent_vectors * layer.gates[:, None]).reshape(-1, width)
        grad_vectors: Array = (grad_mixed @ self.weights[name + "pass_on.weight"]).reshape(sites, -1)
        return grad_vectors


def _activated(layer: LayerTrace, inputs: Array) -> Array:
    """silu(inputs), (N, F); `inputs` and silu' are kept in `layer`."""
    values, activation_slopes = np.empty_like(inputs), np.empty_like(inputs)
    silu(inputs, values.reshape(-1), 0, activation_slopes.reshape(-1), 0)
    layer.inputs.append(inputs)
    layer.activation_slopes.append(activation_slopes)
    return values


__all__ = ["Configuration", "FirstPass", "LayerTrace", "PassMemory", "Trace", "Weights"]
