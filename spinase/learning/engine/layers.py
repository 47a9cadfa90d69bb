"""A layer of the network over a range of sites, forwards and backwards: compiled, chunk by chunk."""

from __future__ import annotations

import numpy as np

from spinase.compiled import njit
from spinase.compiled.dense import multiply, product, with_room
from spinase.compiled.rows import LANES, exp, filled, fma, kernel, load, put, scale, store, take, total
from spinase.learning.engine.invariants import Spot, invariant_slopes, invariants
from spinase.learning.engine.sums import spread, sum_neighbours
from spinase.learning.engine.workspace import (
    CHUNK,
    HARMONICS,
    Lanes,
    Layer,
    Neighbours,
    Room,
    Sender,
)
from spinase.typing import Array

Kinds = tuple[bool, bool]  # chiralities, products
_FAST = {"contract", "reassoc", "nsz", "arcp"}


@kernel
def silu(inputs: Array, out: Array, begin: int, slopes: Array, slope: int) -> None:
    """silu(inputs) into the flat `out` from element `begin` on, its slopes into the flat `slopes` from `slope` on."""
    flat = inputs.reshape(-1)
    vectors, one = len(flat) // LANES * LANES, inputs.dtype.type(1.0)
    for c in range(0, vectors, LANES):
        x = load(flat, c)
        gate = 1.0 / (1.0 + exp(0.0 - x))
        store(out, begin + c, x * gate)
        store(slopes, slope + c, gate * (1.0 + x * (1.0 - gate)))
    for c in range(vectors, len(flat)):
        number = one / (one + np.exp(-flat[c]))
        out[begin + c] = flat[c] * number
        slopes[slope + c] = number * (one + flat[c] * (one - number))


@kernel
def _tanh(values: Array) -> None:
    """In place."""
    flat = values.reshape(-1)
    vectors = len(flat) // LANES * LANES
    for c in range(0, vectors, LANES):
        store(flat, c, 1.0 - 2.0 / (exp(load(flat, c) * 2.0) + 1.0))
    for c in range(vectors, len(flat)):
        flat[c] = np.tanh(flat[c])


@kernel
def _invariants(begin: int, end: int, pairs: Neighbours, kinds: Kinds, lanes: Lanes, spins: Array, held: Room) -> None:
    """Of the sums of the sites begin..end."""
    sums, found, kept = held.sums, held.found, held.kept
    stride = sums.shape[2]
    for i in range(begin, end):
        spot = Spot(sums, (i - begin) * HARMONICS * stride, stride, spins[i, 0], spins[i, 1], spins[i, 2], pairs.planar)
        invariants(spot, kinds[0], kinds[1], lanes, kept, found, (i - begin) * found.shape[1])


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _onsite(
    begin: int,
    end: int,
    pairs: Neighbours,
    layer: Layer,
    kinds: Kinds,
    lanes: Lanes,
    spins: Array,
    held: Room,
    features: Array,
    bends: Array,
    out: Array,
) -> None:
    """Features after the layer, and the slopes of its activations (atom layers + 1, N, F)."""
    _invariants(begin, end, pairs, kinds, lanes, spins, held)
    found, n, (sites, width) = held.found, end - begin, features.shape
    values, flat = out[begin:end], bends.reshape(-1)
    given, added = np.empty_like(values), np.empty_like(values)
    given[:] = layer.bias
    multiply(found[:n], layer.collect, given, True)
    multiply(features[begin:end], layer.own, given, True)
    silu(given, values.reshape(-1), 0, flat, begin * width)
    for a in range(len(layer.atoms)):
        given[:] = layer.atom_biases[a]
        multiply(values, layer.atoms[a], given, True)
        silu(given, added.reshape(-1), 0, flat, ((a + 1) * sites + begin) * width)
        values += added


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _onsite_slopes(begin: int, end: int, layer: Layer, bends: Array, given: Array, found: Array, before: Array) -> None:
    """Slopes by the invariants into `found`, by the features before the layer added to `before`, unless that is empty."""
    slope = given[begin:end].copy()
    for a in range(len(layer.atoms) - 1, -1, -1):
        multiply(slope * bends[a + 1, begin:end], layer.atoms_t[a], slope, True)
    slope *= bends[0, begin:end]
    if len(before):
        multiply(slope, layer.own_t, before[begin:end], True)
    multiply(slope, layer.collect_t, found[: end - begin], False)


@kernel
def _back_to_neighbours(
    begin: int,
    end: int,
    pairs: Neighbours,
    layer: Layer,
    kinds: Kinds,
    lanes: Lanes,
    spins: Array,
    held: Room,
    by_vectors: Array,
    by_sent: Array,
    field: Array,
) -> None:
    """Through the invariants and the sums: slopes by what neighbours send, and -slopes by the own spins."""
    sums, slopes, found, kept = held.sums, held.slopes, held.found, held.kept
    channels, stride = len(lanes[0]), sums.shape[2]
    for k in range(end - begin):
        i, at = begin + k, k * HARMONICS * stride
        spot = Spot(sums, at, stride, spins[i, 0], spins[i, 1], spins[i, 2], pairs.planar)
        by_spin = invariant_slopes(spot, kinds[0], kinds[1], lanes, kept, found, k * found.shape[1], slopes, at)
        if len(by_vectors):
            for q in range(3 * channels):
                slopes[k, 0, channels + q] += by_vectors[i, q]
        field[i, 0] -= by_spin[0]
        field[i, 1] -= by_spin[1]
        field[i, 2] -= by_spin[2]
    spread(begin, end, pairs, layer.table, lanes, slopes, pairs.local, by_sent)


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def forward(
    begin: int,
    end: int,
    pairs: Neighbours,
    layer: Layer,
    kinds: Kinds,
    lanes: Lanes,
    held: Room,
    spins: Array,
    sent: Array,
    features: Array,
    bends: Array,
    out: Array,
    vectors: Array,
) -> None:
    """A layer that others follow: features after it, slopes of its activations, and its spin vectors M (N, 3 C)."""
    channels, sums = len(lanes[0]), held.sums
    for first in range(begin, end, CHUNK):
        last = min(end, first + CHUNK)
        sum_neighbours(first, last, pairs, layer.table, sent, lanes, held.sums, first)
        _onsite(first, last, pairs, layer, kinds, lanes, spins, held, features, bends, out)
        for i in range(first, last):
            for q in range(3 * channels):
                vectors[i, q] = sums[i - first, 0, channels + q]


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def backward(
    begin: int,
    end: int,
    pairs: Neighbours,
    layer: Layer,
    kinds: Kinds,
    lanes: Lanes,
    held: Room,
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
    """From slopes by the features after a layer, and by its M (length 0 in the last one), to those by what it was sent.

    With an `out` (N, F) the layer is done forwards first, while its sums are at hand.
    """
    for first in range(begin, end, CHUNK):
        last = min(end, first + CHUNK)
        sum_neighbours(first, last, pairs, layer.table, sent, lanes, held.sums, first)
        if len(out):
            _onsite(first, last, pairs, layer, kinds, lanes, spins, held, features, bends, out)
        _onsite_slopes(first, last, layer, bends, given, held.found, before)
        _back_to_neighbours(first, last, pairs, layer, kinds, lanes, spins, held, by_vectors, by_sent, field)


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
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
    channels, own = len(lanes[0]), features[begin:end]
    _send_spins(begin, channels, product(own, sender.number), product(own, sender.spin), spins, sent)
    if len(vectors):
        opened = product(own, sender.gate)
        opened += sender.gate_bias
        _tanh(opened)
        gates[begin:end] = opened
        _send_vectors(begin, channels, opened, product(vectors[begin:end].reshape(-1, channels), sender.passed), sent)


@kernel
def _send_spins(begin: int, channels: int, numbers: Array, factors: Array, spins: Array, sent: Array) -> None:
    """Numbers, and the own spin times factors."""
    for k in range(len(numbers)):
        to = (begin + k) * sent.shape[1]
        for c in range(0, channels, LANES):
            at, count = k * channels + c, channels - c
            number, factor = take(numbers, at, count), take(factors, at, count)
            put(sent, to + c, number, count)
            for a in range(3):
                put(sent, to + (1 + a) * channels + c, scale(spins[begin + k, a], factor), count)


@kernel
def _send_vectors(begin: int, channels: int, gates: Array, mixed: Array, sent: Array) -> None:
    """Add the gated vectors `mixed` (3 n, C)."""
    for k in range(len(gates)):
        to = (begin + k) * sent.shape[1]
        for c in range(0, channels, LANES):
            gate = take(gates, k * channels + c, channels - c)
            for a in range(3):
                at = to + (1 + a) * channels + c
                row = take(mixed, (3 * k + a) * channels + c, channels - c)
                store(sent, at, fma(gate, row, load(sent, at)))


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
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
    factors = product(features[begin:end], sender.spin)
    by_factors = with_room(end - begin, channels, factors)
    _spin_slopes(begin, channels, factors, spins, by_sent, by_factors, field)
    if not len(vectors):
        return
    own = before[begin:end]
    multiply(by_factors, sender.spin_t, own, True)
    multiply(np.ascontiguousarray(by_sent[begin:end, :channels]), sender.number_t, own, True)
    mixed = product(vectors[begin:end].reshape(-1, channels), sender.passed)
    by_opened = factors  # no longer needed
    _vector_slopes(begin, channels, gates, by_sent, mixed, by_opened)
    multiply(by_opened, sender.gate_t, own, True)
    multiply(mixed, sender.passed_t, by_vectors[begin:end].reshape(-1, channels), False)


@kernel
def _spin_slopes(
    begin: int, channels: int, factors: Array, spins: Array, by_sent: Array, by_factors: Array, field: Array
) -> None:
    """By the factors of the own spin, and -slopes by that, added to `field`."""
    for k in range(len(factors)):
        i = begin + k
        from_ = i * by_sent.shape[1] + channels
        x = y = z = filled(factors, 0.0)
        for c in range(0, channels, LANES):
            at, count = k * channels + c, channels - c
            factor = take(factors, at, count)
            s_x, s_y = load(by_sent, from_ + c), load(by_sent, from_ + channels + c)
            s_z = load(by_sent, from_ + 2 * channels + c)
            x, y, z = fma(factor, s_x, x), fma(factor, s_y, y), fma(factor, s_z, z)
            put(by_factors, at, fma(spins[i, 2], s_z, fma(spins[i, 1], s_y, scale(spins[i, 0], s_x))), count)
        field[i, 0] -= total(x)
        field[i, 1] -= total(y)
        field[i, 2] -= total(z)


@kernel
def _vector_slopes(begin: int, channels: int, gates: Array, by_sent: Array, mixed: Array, by_opened: Array) -> None:
    """By the gates before tanh, and by the vectors `mixed` (3 n, C) in their place."""
    for k in range(len(by_opened)):
        from_ = (begin + k) * by_sent.shape[1] + channels
        for c in range(0, channels, LANES):
            count, slope = channels - c, filled(mixed, 0.0)
            gate = take(gates, (begin + k) * channels + c, count)
            for a in range(3):
                at, by = (3 * k + a) * channels + c, load(by_sent, from_ + a * channels + c)
                slope = fma(by, load(mixed, at), slope)
                put(mixed, at, by * gate, count)
            put(by_opened, k * channels + c, slope * (1.0 - gate * gate), count)


@kernel
def add_stretch(places: Array, stretch: Array, first: int, last: int, out: Array) -> None:
    """out[places] += stretch in the columns first..last."""
    for k in range(len(places)):
        for q in range(first, last):
            out[places[k], q] += stretch[k, q]
