"""A layer of the network over a range of sites, forwards and backwards: compiled, chunk by chunk."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from spinase.learning.engine_kernels import (
    CHUNK,
    Lanes,
    Layer,
    Neighbours,
    Scratch,
    Sender,
    invariant_slopes,
    invariants,
    scratch,
    spread,
    sum_neighbours,
    sum_room,
)

Array = NDArray[Any]
Kinds = tuple[bool, bool]  # chiralities, products
_FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _silu(inputs: Array, out: Array, slopes: Array) -> None:
    """out = silu(inputs), with its slopes."""
    one = inputs.dtype.type(1.0)
    for i in range(inputs.shape[0]):
        for f in range(inputs.shape[1]):
            x = inputs[i, f]
            gate = one / (one + np.exp(-x))
            out[i, f] = x * gate
            slopes[i, f] = gate * (one + x * (one - gate))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _onsite(
    begin: int,
    end: int,
    layer: Layer,
    kinds: Kinds,
    lanes: Lanes,
    spins: Array,
    sums: Array,
    found: Array,
    features: Array,
    bends: Array,
    out: Array,
) -> None:
    """Features after the layer, and the slopes of its activations (atom layers + 1, N, F)."""
    n = end - begin
    for k in range(n):
        s = spins[begin + k]
        invariants(sums[k], s[0], s[1], s[2], kinds[0], kinds[1], lanes, found[k])
    given = np.dot(found[:n], layer.collect)
    given += np.dot(features[begin:end], layer.own)
    given += layer.bias
    values = out[begin:end]
    _silu(given, values, bends[0, begin:end])
    for a in range(len(layer.atoms)):
        np.dot(values, layer.atoms[a], given)
        given += layer.atom_biases[a]
        added = np.empty_like(given)
        _silu(given, added, bends[a + 1, begin:end])
        values += added


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _onsite_slopes(begin: int, end: int, layer: Layer, bends: Array, given: Array, found: Array, before: Array) -> None:
    """Slopes by the invariants into `found`, by the features before the layer added to `before`; `given` is used up."""
    slope = given[begin:end].copy()
    for a in range(len(layer.atoms) - 1, -1, -1):
        slope += np.dot(slope * bends[a + 1, begin:end], layer.atoms_t[a])
    slope *= bends[0, begin:end]
    before[begin:end] += np.dot(slope, layer.own_t)
    found[: end - begin] = np.dot(slope, layer.collect_t)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _back_to_neighbours(
    begin: int,
    end: int,
    pairs: Neighbours,
    layer: Layer,
    kinds: Kinds,
    lanes: Lanes,
    spins: Array,
    sums: Array,
    found: Array,
    by_vectors: Array,
    slopes: Array,
    held: Scratch,
    by_sent: Array,
    field: Array,
) -> None:
    """Through the invariants and the sums: slopes by what neighbours send, and -slopes by the own spins."""
    channels = len(lanes[0])
    spin = np.empty((3, channels), sums.dtype)
    for k in range(end - begin):
        i = begin + k
        own = slopes[k]
        invariant_slopes(sums[k], spins[i, 0], spins[i, 1], spins[i, 2], kinds[0], kinds[1], lanes, found[k], own, spin)
        if len(by_vectors):
            for q in range(3 * channels):
                own[0, channels + q] += by_vectors[i, q]
        for a in range(3):
            total = spin[a, 0]
            for c in range(1, channels):
                total += spin[a, c]
            field[i, a] -= total
    spread(begin, end, pairs, layer, slopes, lanes, held, by_sent)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def forward(
    begin: int,
    end: int,
    pairs: Neighbours,
    layer: Layer,
    kinds: Kinds,
    lanes: Lanes,
    spins: Array,
    sent: Array,
    features: Array,
    bends: Array,
    out: Array,
    vectors: Array,
) -> None:
    """A layer that others follow: features after it, slopes of its activations, and its spin vectors M (N, 3 C)."""
    channels = len(lanes[0])
    held = scratch(lanes, sent)
    sums = sum_room(channels, sent)
    found = np.empty((CHUNK, layer.collect.shape[0]), sent.dtype)
    for first in range(begin, end, CHUNK):
        last = min(end, first + CHUNK)
        sum_neighbours(first, last, pairs, layer, sent, lanes, held, sums)
        _onsite(first, last, layer, kinds, lanes, spins, sums, found, features, bends, out)
        for i in range(first, last):
            for q in range(3 * channels):
                vectors[i, q] = sums[i - first, 0, channels + q]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def backward(
    begin: int,
    end: int,
    pairs: Neighbours,
    layer: Layer,
    kinds: Kinds,
    lanes: Lanes,
    spins: Array,
    sent: Array,
    features: Array,
    bends: Array,
    out: Array,
    given: Array,
    by_vectors: Array,
    before: Array,
    by_sent: Array,
    field: Array,
) -> None:
    """From slopes by the features after a layer, and by its M, to those by what it was sent.

    The last layer has no `by_vectors` (length 0): it is done forwards first, while its sums are at hand.
    """
    channels = len(lanes[0])
    held = scratch(lanes, sent)
    sums = sum_room(channels, sent)
    slopes = sum_room(channels, sent)
    found = np.empty((CHUNK, layer.collect.shape[0]), sent.dtype)
    for first in range(begin, end, CHUNK):
        last = min(end, first + CHUNK)
        sum_neighbours(first, last, pairs, layer, sent, lanes, held, sums)
        if not len(by_vectors):
            _onsite(first, last, layer, kinds, lanes, spins, sums, found, features, bends, out)
        _onsite_slopes(first, last, layer, bends, given, found, before)
        _back_to_neighbours(
            first,
            last,
            pairs,
            layer,
            kinds,
            lanes,
            spins,
            sums,
            found,
            by_vectors,
            slopes,
            held,
            by_sent,
            field,
        )


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def send(
    begin: int,
    end: int,
    sender: Sender,
    lanes: Lanes,
    features: Array,
    spins: Array,
    vectors: Array,
    gates: Array,
    sent: Array,
) -> None:
    """What neighbours are sent (N, 4 C); `vectors` (N, 3 C) of the layer before, or of length 0."""
    channels = len(lanes[0])
    numbers = np.dot(features[begin:end], sender.number)
    factors = np.dot(features[begin:end], sender.spin)
    for i in range(begin, end):
        for c in range(channels):
            sent[i, c] = numbers[i - begin, c]
            for a in range(3):
                sent[i, (1 + a) * channels + c] = factors[i - begin, c] * spins[i, a]
    if not len(vectors):
        return
    opened = np.dot(features[begin:end], sender.gate)
    mixed = np.dot(vectors[begin:end].reshape(-1, channels), sender.passed)
    for i in range(begin, end):
        for c in range(channels):
            gate = np.tanh(opened[i - begin, c] + sender.gate_bias[c])
            gates[i, c] = gate
            for a in range(3):
                sent[i, (1 + a) * channels + c] += gate * mixed[3 * (i - begin) + a, c]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def send_slopes(
    begin: int,
    end: int,
    sender: Sender,
    lanes: Lanes,
    features: Array,
    spins: Array,
    vectors: Array,
    gates: Array,
    by_sent: Array,
    before: Array,
    by_vectors: Array,
    field: Array,
) -> None:
    """Slopes by what was sent, to those by features (added to `before`) and `vectors`, and -slopes by spins to `field`."""
    channels = len(lanes[0])
    factors = np.dot(features[begin:end], sender.spin)
    by_factors = np.zeros_like(factors)
    for i in range(begin, end):
        for a in range(3):
            total = spins.dtype.type(0.0)
            for c in range(channels):
                slope = by_sent[i, (1 + a) * channels + c]
                total += factors[i - begin, c] * slope
                by_factors[i - begin, c] += spins[i, a] * slope
            field[i, a] -= total
    if not len(vectors):
        return
    before[begin:end] += np.dot(by_factors, sender.spin_t)
    before[begin:end] += np.dot(np.ascontiguousarray(by_sent[begin:end, :channels]), sender.number_t)
    mixed = np.dot(vectors[begin:end].reshape(-1, channels), sender.passed)
    by_opened, one = np.zeros_like(factors), factors.dtype.type(1.0)
    for i in range(begin, end):
        for a in range(3):
            row = 3 * (i - begin) + a
            for c in range(channels):
                slope = by_sent[i, (1 + a) * channels + c]
                by_opened[i - begin, c] += slope * mixed[row, c] * (one - gates[i, c] * gates[i, c])
                mixed[row, c] = slope * gates[i, c]
    before[begin:end] += np.dot(by_opened, sender.gate_t)
    by_vectors[begin:end] = np.dot(mixed, sender.passed_t).reshape(end - begin, -1)


@njit(cache=True, nogil=True)
def add_stretch(places: Array, stretch: Array, first: int, last: int, out: Array) -> None:
    """out[places] += stretch in the columns first..last."""
    for k in range(len(places)):
        for q in range(first, last):
            out[places[k], q] += stretch[k, q]
