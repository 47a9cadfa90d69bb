"""What sites send to their neighbours in a layer, forwards and backwards: compiled, strip by strip.

    z_i = W_z a_i,    v_i = (W_v a_i) s_i + tanh(W_g a_i + b_g) W_p M_i

with features a_i (F,), free spin vectors s_i (3,) and M_i the spin vectors of the layer before (none in the first one).
"""

from __future__ import annotations

import numpy as np

from spinase.compiled import njit
from spinase.compiled.dense import add_rows, copy_matrix, multiply, padded_empty, product
from spinase.compiled.exponential import exp
from spinase.compiled.rows import LANES, filled, fma, kernel, load, load_partial, scale, store, store_partial, total
from spinase.learning.engine.workspace import LayerCache, SendWeights
from spinase.typing import Array

_FAST = {"contract", "reassoc", "nsz", "arcp"}


@kernel
def _tanh(values: Array) -> None:
    """tanh(x) = 1 - 2/(exp(2 x) + 1) in place, `values` of any shape."""
    flat = values.reshape(-1)
    vectors = len(flat) // LANES * LANES
    for c in range(0, vectors, LANES):
        store(flat, c, 1.0 - 2.0 / (exp(load(flat, c) * 2.0) + 1.0))
    for c in range(vectors, len(flat)):
        flat[c] = np.tanh(flat[c])


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def send(begin: int, end: int, weights: SendWeights, channels: int, spins: Array, cache: LayerCache) -> None:
    """What the sites begin .. end - 1 send to their neighbours, into ``cache.sent`` (and ``cache.gates``).

        z_i = W_z a_i,    v_i = (W_v a_i) s_i + g_i W_p M_i,    g_i = tanh(W_g a_i + b_g)

    channel by channel: W_p mixes the channels of M, and each of the components x, y, z alike.  In the first layer, where
    ``cache.vectors`` M has length 0, v_i has its first part only.

    Parameters
    ----------
    begin, end : int
        Sites of a strip.
    weights : SendWeights
        W_z, W_v, W_g, b_g and W_p.
    channels : int
        C = C_0.
    spins : (N, 3)
        s.
    cache : LayerCache
        ``features`` a and ``vectors`` M are read, ``sent`` (N, row_width): z, v_x, v_y, v_z and ``gates`` g (N, C) written.
    """
    features, vectors = cache.features[begin:end], cache.vectors
    _send_spins(begin, channels, product(features, weights.send), product(features, weights.send_spin), spins, cache.sent)
    if len(vectors):
        gates = product(features, weights.gate)
        add_rows(gates, weights.gate_bias)
        _tanh(gates)
        copy_matrix(cache.gates[begin:end], gates)
        mixed = product(vectors[begin:end].reshape(-1, channels), weights.pass_on)
        _send_vectors(begin, channels, gates, mixed, cache.sent)


@kernel
def _send_spins(begin: int, channels: int, numbers: Array, factors: Array, spins: Array, sent: Array) -> None:
    """z_i = `numbers`, v_i = `factors` s_i into rows of `sent` (N, row_width) from site `begin` on; both (n, C)."""
    for k in range(len(numbers)):
        to = (begin + k) * sent.shape[1]
        for c in range(0, channels, LANES):
            at, count = k * channels + c, channels - c
            number, factor = load_partial(numbers, at, count), load_partial(factors, at, count)
            store_partial(sent, to + c, number, count)
            for a in range(3):
                store_partial(sent, to + (1 + a) * channels + c, scale(spins[begin + k, a], factor), count)


@kernel
def _send_vectors(begin: int, channels: int, gates: Array, mixed: Array, sent: Array) -> None:
    """v_i += g_i (W_p M_i) in `sent` (N, row_width) from site `begin` on; `gates` g (n, C), `mixed` W_p M (3 n, C)."""
    for k in range(len(gates)):
        to = (begin + k) * sent.shape[1]
        for c in range(0, channels, LANES):
            gate = load_partial(gates, k * channels + c, channels - c)
            for a in range(3):
                at = to + (1 + a) * channels + c
                row = load_partial(mixed, (3 * k + a) * channels + c, channels - c)
                store(sent, at, fma(gate, row, load(sent, at)))


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def send_backward(
    begin: int,
    end: int,
    weights: SendWeights,
    channels: int,
    spins: Array,
    cache: LayerCache,
    grad_sent: Array,
    grad_features: Array,
    grad_vectors: Array,
    field: Array,
) -> None:
    """The way back through :func:`send`, for the sites begin .. end - 1; sums over channels c and components x, y, z.

        dE/ds_i += sum_c (W_v a_i)_c dE/dv_ic,                                dE/dM_i = W_p^T (g_i dE/dv_i)
        dE/da_i += W_z^T dE/dz_i + W_v^T (s_i . dE/dv_i) + W_g^T [(1 - g_i^2) (dE/dv_i . W_p M_i)]

    Parameters
    ----------
    begin, end : int
        Sites of a strip.
    weights : SendWeights
        With the transposed matrices.
    channels, spins, cache
        As in :func:`send`; the cache is not written.
    grad_sent : (N, row_width)
        dE/dz, dE/dv.
    grad_features : (N, F)
        dE/da, added to; not in the first layer, whose features do not depend on spins.
    grad_vectors : (N, 3 C)
        dE/dM, written; not in the first layer.
    field : (N, 3)
        -dE/ds, added to.
    """
    factors = product(cache.features[begin:end], weights.send_spin)
    grad_factors = padded_empty(end - begin, channels, factors)
    _send_spins_backward(begin, channels, factors, spins, grad_sent, grad_factors, field)
    if not len(cache.vectors):
        return
    grad = grad_features[begin:end]
    multiply(grad_factors, weights.send_spin_t, grad, True)
    multiply(np.ascontiguousarray(grad_sent[begin:end, :channels]), weights.send_t, grad, True)
    mixed = product(cache.vectors[begin:end].reshape(-1, channels), weights.pass_on)
    grad_gates = factors  # its memory: the factors are no longer needed
    _send_vectors_backward(begin, channels, cache.gates, grad_sent, mixed, grad_gates)
    multiply(grad_gates, weights.gate_t, grad, True)
    multiply(mixed, weights.pass_on_t, grad_vectors[begin:end].reshape(-1, channels), False)


@kernel
def _send_spins_backward(
    begin: int, channels: int, factors: Array, spins: Array, grad_sent: Array, grad_factors: Array, field: Array
) -> None:
    """Of v = f s: dE/df = s . dE/dv into `grad_factors` (n, C), and -sum_c f_c dE/dv_c added to `field` (N, 3).

    `factors` f (n, C) of the sites from `begin` on, `spins` (N, 3), `grad_sent` (N, row_width).
    """
    for k in range(len(factors)):
        i = begin + k
        source = i * grad_sent.shape[1] + channels
        x = y = z = filled(factors, 0.0)
        for c in range(0, channels, LANES):
            at, count = k * channels + c, channels - c
            factor = load_partial(factors, at, count)
            v_x, v_y = load(grad_sent, source + c), load(grad_sent, source + channels + c)
            v_z = load(grad_sent, source + 2 * channels + c)
            x, y, z = fma(factor, v_x, x), fma(factor, v_y, y), fma(factor, v_z, z)
            along = fma(spins[i, 2], v_z, fma(spins[i, 1], v_y, scale(spins[i, 0], v_x)))
            store_partial(grad_factors, at, along, count)
        field[i, 0] -= total(x)
        field[i, 1] -= total(y)
        field[i, 2] -= total(z)


@kernel
def _send_vectors_backward(
    begin: int, channels: int, gates: Array, grad_sent: Array, mixed: Array, grad_gates: Array
) -> None:
    """Of v += g m, g = tanh(y), m = W_p M: dE/dy = (1 - g^2) (m . dE/dv), and dE/dm = g dE/dv in the place of m.

    `gates` g (N, C) and `grad_sent` (N, row_width) of all sites; of those from `begin` on `mixed` m (3 n, C), overwritten,
    and `grad_gates` dE/dy (n, C), written.
    """
    for k in range(len(grad_gates)):
        source = (begin + k) * grad_sent.shape[1] + channels
        for c in range(0, channels, LANES):
            count, grad = channels - c, filled(mixed, 0.0)
            gate = load_partial(gates, (begin + k) * channels + c, count)
            for a in range(3):
                at, grad_v = (3 * k + a) * channels + c, load(grad_sent, source + a * channels + c)
                grad = fma(grad_v, load(mixed, at), grad)
                store_partial(mixed, at, grad_v * gate, count)
            store_partial(grad_gates, k * channels + c, grad * (1.0 - gate * gate), count)
