"""One layer of the network over a range of sites, forwards and backwards: compiled, chunk by chunk.

Forwards, for the sites i of a chunk (the network's own description: :mod:`spinase.learning.mhipnn.network`):

    z_i, v_i   what site i sends: numbers W_z a_i, and spin vectors (W_v a_i) s_i + tanh(W_g a_i + b_g) W_p M_i (sending)
    S_i        sums over its neighbours of filters, harmonics and z_j, v_j                                         (sums)
    x_i        invariants of S_i and s_i                                                                     (invariants)
    a_i <- silu(W_c x_i + W_o a_i + b),   then a_i <- a_i + silu(W_k a_i + b_k) for every on-site layer k       (_onsite)

with features a_i (F,), free spin vectors s_i (3,), and M_i the spin vectors of the layer before (none in the first one).
Backwards the same in reverse order, with ``grad_x`` = dE/dx.  Sums and invariants of a chunk are formed again on the way
back: they take less time to make than to fetch from memory.  E is in the network's unit, ``field`` -dE/ds in the same.
"""

from __future__ import annotations

import numpy as np

from spinase.compiled import njit
from spinase.compiled.dense import (
    add_matrix,
    multiply,
    multiply_elements,
    set_rows,
)
from spinase.compiled.exponential import exp
from spinase.compiled.rows import LANES, kernel, load, store
from spinase.learning.engine.invariants import SiteSums, site_invariants
from spinase.learning.engine.invariants_backward import site_invariants_backward
from spinase.learning.engine.pulls import to_neighbours
from spinase.learning.engine.sums import sum_neighbours
from spinase.learning.engine.workspace import (
    CHUNK,
    HARMONICS,
    LayerCache,
    LayerContext,
    LayerGradients,
    LayerWeights,
    Workspace,
)
from spinase.typing import Array

_FAST = {"contract", "reassoc", "nsz", "arcp"}


@kernel
def silu(inputs: Array, out: Array, begin: int, slopes: Array, slopes_begin: int) -> None:
    """silu(x) = x g with g = 1/(1 + exp(-x)), and its derivative g (1 + x (1 - g)), element by element.

    Parameters
    ----------
    inputs : ndarray of any shape
        x.
    out, slopes : flat
        silu(x) and its derivative, written.
    begin, slopes_begin : int
        Elements of `out` and `slopes` where they begin.
    """
    flat = inputs.reshape(-1)
    vectors, one = len(flat) // LANES * LANES, inputs.dtype.type(1.0)
    for c in range(0, vectors, LANES):
        x = load(flat, c)
        gate = 1.0 / (1.0 + exp(0.0 - x))
        store(out, begin + c, x * gate)
        store(slopes, slopes_begin + c, gate * (1.0 + x * (1.0 - gate)))
    for c in range(vectors, len(flat)):
        number = one / (one + np.exp(-flat[c]))
        out[begin + c] = flat[c] * number
        slopes[slopes_begin + c] = number * (one + flat[c] * (one - number))


@kernel
def _chunk_invariants(begin: int, end: int, context: LayerContext, workspace: Workspace, spins: Array) -> None:
    """Invariants of the sites begin .. end - 1 into ``workspace.invariants``, from their sums in ``workspace.sums``.

    `spins` (N, 3).  See :mod:`spinase.learning.engine.invariants`.
    """
    sums, invariants, cache = workspace.sums, workspace.invariants, workspace.cache
    options, channels, planar = context.options, context.channels_by_degree, context.pairs.planar
    stride = sums.shape[2]
    for i in range(begin, end):
        site = SiteSums(sums, (i - begin) * HARMONICS * stride, stride, spins[i, 0], spins[i, 1], spins[i, 2], planar)
        site_invariants(site, options, channels, cache, invariants, (i - begin) * invariants.shape[1])


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _onsite(
    begin: int,
    end: int,
    context: LayerContext,
    workspace: Workspace,
    spins: Array,
    features: Array,
    activation_slopes: Array,
    features_out: Array,
) -> None:
    """Features after the layer, a <- silu(W_c x + W_o a + b), then a <- a + silu(W_k a + b_k) for every on-site layer k.

    Parameters
    ----------
    begin, end : int
        Sites, a chunk at most; their sums are in ``workspace.sums``.
    spins : (N, 3)
        s, for the invariants x.
    features, features_out : (N, F)
        a before the layer; after it, written.
    activation_slopes : (A + 1, N, F)
        silu' of the layer and of the on-site layers, written.
    """
    _chunk_invariants(begin, end, context, workspace, spins)
    weights, n, (sites, width) = context.weights, end - begin, features.shape
    values, flat = features_out[begin:end], activation_slopes.reshape(-1)
    inputs, added = np.empty_like(values), np.empty_like(values)
    set_rows(inputs, weights.bias)
    multiply(workspace.invariants[:n], weights.collect, inputs, True)
    multiply(features[begin:end], weights.own, inputs, True)
    silu(inputs, values.reshape(-1), 0, flat, begin * width)
    for a in range(len(weights.atoms)):
        set_rows(inputs, weights.atom_biases[a])
        multiply(values, weights.atoms[a], inputs, True)
        silu(inputs, added.reshape(-1), 0, flat, ((a + 1) * sites + begin) * width)
        add_matrix(values, added)


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _onsite_backward(
    begin: int,
    end: int,
    weights: LayerWeights,
    activation_slopes: Array,
    grad_features_out: Array,
    grad_invariants: Array,
    grad_features: Array,
) -> None:
    """The way back through :func:`_onsite`: g is dE/da after the layer, h that by the argument of an activation.

        g <- g + W_k^T (g silu'_k)  for the on-site layers k = A .. 1,     h = g silu'_0
        dE/dx = W_c^T h,    dE/da (before the layer) += W_o^T h

    Parameters
    ----------
    activation_slopes : (A + 1, N, F)
        silu', as :func:`_onsite` left it.
    grad_features_out : (N, F)
        g.
    grad_invariants : (CHUNK + 1, I)
        dE/dx of the sites begin .. end - 1, written to rows 0 .. end - begin - 1.
    grad_features : (N, F) or of length 0
        By the features before the layer, added to, if anybody asks.
    """
    grad = grad_features_out[begin:end].copy()
    inner = np.empty_like(grad)
    for a in range(len(weights.atoms) - 1, -1, -1):
        multiply_elements(grad, activation_slopes[a + 1, begin:end], inner)
        multiply(inner, weights.atoms_t[a], grad, True)
    multiply_elements(grad, activation_slopes[0, begin:end], grad)
    if len(grad_features):
        multiply(grad, weights.own_t, grad_features[begin:end], True)
    multiply(grad, weights.collect_t, grad_invariants[: end - begin], False)


@kernel
def _invariants_backward(
    begin: int,
    end: int,
    context: LayerContext,
    workspace: Workspace,
    spins: Array,
    sent: Array,
    grad_vectors: Array,
    grad_sent: Array,
    field: Array,
) -> None:
    """From dE/d(invariants) of a chunk, through its sums, to dE/d(sent) of neighbours; dE/ds of the own spins.

    Parameters
    ----------
    begin, end : int
        Sites; their sums are in ``workspace.sums``, dE/d(invariants) in ``workspace.invariants``.
    spins : (N, 3)
        s.
    sent : (N, row_width)
        z and v.
    grad_vectors : (N, 3 C) or of length 0
        dE/dM that comes from the next layer, added to dE/dS[0, 1..3].
    grad_sent : (neighbours of the strip, row_width)
        By z_j and v_j, added to.
    field : (N, 3)
        -dE/ds, added to.
    """
    sums, grad_sums, grad_invariants = workspace.sums, workspace.grad_sums, workspace.invariants
    options, channels_by_degree, cache, pairs = context.options, context.channels_by_degree, workspace.cache, context.pairs
    channels, stride = len(channels_by_degree[0]), sums.shape[2]
    for k in range(end - begin):
        i, at = begin + k, k * HARMONICS * stride
        site = SiteSums(sums, at, stride, spins[i, 0], spins[i, 1], spins[i, 2], pairs.planar)
        place = k * grad_invariants.shape[1]
        grad_spin = site_invariants_backward(site, options, channels_by_degree, cache, grad_invariants, place, grad_sums, at)
        if len(grad_vectors):
            for q in range(3 * channels):
                grad_sums[k, 0, channels + q] += grad_vectors[i, q]
        field[i, 0] -= grad_spin[0]
        field[i, 1] -= grad_spin[1]
        field[i, 2] -= grad_spin[2]
    to_neighbours(begin, end, pairs, context.weights.table, channels_by_degree, grad_sums, sent, grad_sent, field)


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def forward(
    begin: int,
    end: int,
    context: LayerContext,
    workspace: Workspace,
    spins: Array,
    cache: LayerCache,
    features_out: Array,
    vectors_out: Array,
) -> None:
    """A layer that others follow, over the sites begin .. end - 1: sums, invariants and on-site layers.

    Parameters
    ----------
    context : LayerContext
        Pairs, channels, options and weights of the layer.
    workspace : Workspace
        Of this thread, overwritten.
    begin, end : int
        Sites of a strip; they are done in chunks.
    spins : (N, 3)
        s.
    cache : LayerCache
        Features before the layer and what all sites have sent; ``activation_slopes`` is written.
    features_out : (N, F)
        Features after the layer, written.
    vectors_out : (N, 3 C)
        Spin vectors M = S[0, 1..3] of this layer, written.
    """
    channels, sums = len(context.channels_by_degree[0]), workspace.sums
    pairs, table = context.pairs, context.weights.table
    for first in range(begin, end, CHUNK):
        last = min(end, first + CHUNK)
        sum_neighbours(first, last, pairs, table, cache.sent, context.channels_by_degree, sums, first)
        _onsite(first, last, context, workspace, spins, cache.features, cache.activation_slopes, features_out)
        for i in range(first, last):
            for q in range(3 * channels):
                vectors_out[i, q] = sums[i - first, 0, channels + q]


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def backward(
    begin: int,
    end: int,
    context: LayerContext,
    workspace: Workspace,
    spins: Array,
    cache: LayerCache,
    features_out: Array,
    gradients: LayerGradients,
    field: Array,
) -> None:
    """The way back through a layer, over the sites begin .. end - 1.

    Parameters
    ----------
    context, workspace
        As in :func:`forward`.
    begin, end : int
        Sites of a strip; they are done in chunks.
    spins : (N, 3)
        s.
    cache : LayerCache
        Of the forward pass.
    features_out : (N, F) or of length 0
        If it has a length, the layer is done forwards first, while its sums are at hand: features after it, written.
    gradients : LayerGradients
        By the features after the layer and its M; by the features before it and by what was sent, added to.
    field : (N, 3)
        -dE/ds by way of this layer's invariants, added to.
    """
    channels, pairs, table = context.channels_by_degree, context.pairs, context.weights.table
    for first in range(begin, end, CHUNK):
        last = min(end, first + CHUNK)
        sum_neighbours(first, last, pairs, table, cache.sent, channels, workspace.sums, first)
        if len(features_out):
            _onsite(first, last, context, workspace, spins, cache.features, cache.activation_slopes, features_out)
        grad_invariants, slopes = workspace.invariants, cache.activation_slopes
        _onsite_backward(first, last, context.weights, slopes, gradients.features_out, grad_invariants, gradients.features)
        given = (gradients.vectors_out, gradients.sent)
        _invariants_backward(first, last, context, workspace, spins, cache.sent, *given, field)


@kernel
def add_strip(rows: Array, strip: Array, first: int, last: int, out: Array) -> None:
    """out[rows[k], q] += strip[k, q] for columns q = first .. last - 1.

    Parameters
    ----------
    rows : (n,) int32
        Sites whose rows a strip holds, each once.
    strip : (n, row_width)
        What is added.
    first, last : int
        Columns first .. last - 1.
    out : (N, row_width)
        Added to.
    """
    for k in range(len(rows)):
        for q in range(first, last):
            out[rows[k], q] += strip[k, q]
