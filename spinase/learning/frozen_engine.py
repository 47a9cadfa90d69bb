"""Energy and field of a network on a frozen geometry, in compiled loops: the fast path of dynamics on the CPU.

The same sums as :mod:`spinase.learning.network` with its derivatives by hand; what depends on positions only is kept.
Sites are put in an order in which neighbours are near each other, and cut into strips; every strip adds to a stretch of its
own, and the stretches are added up in order, so that any number of threads gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spinase.geometry import Bonds, Geometry
from spinase.learning.engine_kernels import Layer, Neighbours, Sender
from spinase.learning.engine_layers import add_stretch, backward, forward, send, send_slopes
from spinase.learning.graph import quadrupoles
from spinase.learning.network import Interaction, MagneticHIPNN, NetworkConfig
from spinase.threads import default_threads, map_threads

Array = NDArray[Any]
_KNOTS = 4096
_STRIP = 2048  # sites


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


class FrozenEngine:
    """A network on a geometry.

    Parameters
    ----------
    network : MagneticHIPNN
        On the CPU.
    geometry : Geometry
        Sites; used for their order only.
    bonds : Bonds
        Pairs within the network's cutoff.
    species : (N,) ndarray of int
        Indices into the network's species.
    dtype : numpy dtype
        float32 or float64.
    threads : int, optional
        Default: ``OMP_NUM_THREADS``, else all cores.
    """

    def __init__(
        self,
        network: MagneticHIPNN,
        geometry: Geometry,
        bonds: Bonds,
        species: NDArray[np.int64],
        dtype: Any = np.float32,
        threads: int | None = None,
    ) -> None:
        self.config, self.dtype = network.config, np.dtype(dtype)
        self.threads = threads or default_threads()
        channels = (*self.config.channels, 0, 0)[:3]
        self.lanes = tuple((0,) * count for count in channels)
        self._width = channels[0]
        self._order = _spatial_order(geometry, self.config.cutoff)
        self._pairs, self._strips = self._neighbours(bonds, len(geometry))
        self._start = _array(network.embedding.weight, dtype)[species[self._order]]
        self._layers = [self._layer(part) for part in network.interactions]
        self._senders = [self._sender(part) for part in network.interactions]
        self._readouts = [_array(part.weight, dtype)[0] for part in network.readouts]
        self._constant = float(sum(part.bias.detach().double().item() for part in network.readouts))

    def _neighbours(self, bonds: Bonds, sites: int) -> tuple[Neighbours, list[_Strip]]:
        place = np.empty(sites, dtype=np.int64)
        place[self._order] = np.arange(sites)
        first = place[np.concatenate([bonds.first, bonds.second])]
        second = place[np.concatenate([bonds.second, bonds.first])]
        vectors = np.concatenate([bonds.vectors, -bonds.vectors])
        order = np.lexsort((second, first))
        vectors, distances = vectors[order], np.linalg.norm(vectors[order], axis=1)
        starts = np.concatenate([[0], np.cumsum(np.bincount(first, minlength=sites))])
        across = (distances - self._shortest()) / (self.config.cutoff - self._shortest()) * _KNOTS
        knots = np.clip(across.astype(np.int64), 0, _KNOTS - 1)
        units = torch.from_numpy(vectors / distances[:, None])
        harmonics = torch.cat([torch.ones_like(units[:, :1]), units, quadrupoles(units)], dim=1).numpy()
        second = second[order].astype(np.int32)
        local, strips = _strips(starts, second)
        return (
            Neighbours(
                starts,
                second,
                local,
                knots.astype(np.int32),
                (across - knots).astype(self.dtype),
                np.ascontiguousarray(harmonics, dtype=self.dtype),
            ),
            strips,
        )

    def _shortest(self) -> float:
        """Where the table of filters begins; it goes on as a straight line below."""
        return 0.8 * self.config.inner

    def _layer(self, part: Interaction) -> Layer:
        config = self.config
        distances = torch.linspace(self._shortest(), config.cutoff, _KNOTS + 1, dtype=torch.float64)
        radial = config.basis()(distances)
        tables = []
        for weights in [*part.filters, *[radial.new_zeros((config.radial, 0))] * 3][:3]:
            values = radial @ weights.detach().double()
            steps = torch.cat([values[1:] - values[:-1], torch.zeros_like(values[:1])])
            tables.append(torch.stack([values, steps], dim=1))
        own, collect = part.own.weight, part.collect.weight
        atoms = [layer.weight for layer in part.atoms]
        empty = own.new_zeros((0, *own.shape))
        stacked = torch.stack(atoms) if atoms else empty
        biases = torch.stack([layer.bias for layer in part.atoms]) if atoms else own.new_zeros((0, len(own)))
        arrays = (
            *tables,
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

    def _sender(self, part: Interaction) -> Sender:
        pairs = [part.send.weight, part.send_spin.weight]
        none = part.send.weight.new_zeros((0, 0))
        passes = hasattr(part, "gate")
        pairs += [part.gate.weight, part.pass_on.weight] if passes else [none, none]
        number, spin, gate, passed = ((_array(w.T, self.dtype), _array(w, self.dtype)) for w in pairs)
        bias = _array(part.gate.bias if passes else none[0:0].flatten(), self.dtype)
        return Sender(*number, *spin, *gate, bias, *passed)

    def __call__(self, spins: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Energies of the sites (N,), and H = -dE/ds (N, 3) of their sum, for free spin vectors (N, 3)."""
        own = np.ascontiguousarray(spins[self._order], dtype=self.dtype)
        energies, field = self._start @ self._readouts[0], np.zeros_like(own)
        features, vectors, layers = self._start, self._empty(0, 0), []
        for k, readout in enumerate(self._readouts[1:]):
            kept = self._sent(k, own, features, vectors)
            layers.append(kept)
            if k < len(self._layers) - 1:
                features, vectors = self._forward(k, own, kept)
                energies += features @ readout
        given, by_vectors = np.tile(self._readouts[-1], (len(own), 1)), self._empty(0, 0)
        for k in reversed(range(len(self._layers))):
            before = np.tile(self._readouts[k], (len(own), 1))
            by_sent, after = self._backward(k, own, layers[k], given, by_vectors, before, field)
            if k == len(self._layers) - 1:
                energies += after @ self._readouts[-1]
            by_vectors = self._sent_slopes(k, own, layers[k], by_sent, before, field)
            given = before
        back = np.empty_like(self._order)
        back[self._order] = np.arange(len(back))
        return energies[back].astype(np.float64) + self._constant, field[back].astype(np.float64)

    def _empty(self, *shape: int) -> Array:
        return np.empty(shape, self.dtype)

    def _each(self, run: Callable[[_Strip], Any]) -> list[Any]:
        return map_threads(run, self._strips, self.threads)

    def _sent(self, k: int, own: Array, features: Array, vectors: Array) -> _Kept:
        """What neighbours of layer k are sent."""
        channels, sites = self._width, len(own)
        gates = self._empty(sites if len(vectors) else 0, channels)
        sent = self._empty(sites, 4 * channels)
        sender = self._senders[k]
        self._each(lambda s: send(s.begin, s.end, sender, self.lanes, features, own, vectors, gates, sent))
        return _Kept(features, vectors, sent, gates, self._empty(self.config.atom_layers + 1, sites, features.shape[1]))

    def _forward(self, k: int, own: Array, kept: _Kept) -> tuple[Array, Array]:
        """Features and spin vectors after layer k."""
        after, vectors = np.empty_like(kept.features), self._empty(len(own), 3 * self._width)
        given = (self._pairs, self._layers[k], self.config.chirality, self.lanes, own, kept.sent, kept.features)
        self._each(lambda s: forward(s.begin, s.end, *given, kept.bends, after, vectors))
        return after, vectors

    def _backward(
        self, k: int, own: Array, kept: _Kept, given: Array, by_vectors: Array, before: Array, field: Array
    ) -> tuple[Array, Array]:
        """Slopes by what was sent to layer k, and the features after it, if it is the last one."""
        after = np.empty_like(kept.features) if not len(by_vectors) else self._empty(0, 0)
        ways = (self._pairs, self._layers[k], self.config.chirality, self.lanes, own, kept.sent, kept.features)
        width = kept.sent.shape[1]

        def run(s: _Strip) -> Array:
            stretch = np.zeros((len(s.places), width), self.dtype)
            backward(s.begin, s.end, *ways, kept.bends, after, given, by_vectors, before, stretch, field)
            return stretch

        stretches = self._each(run)
        by_sent = np.zeros_like(kept.sent)
        columns = np.linspace(0, width, self.threads + 1).astype(int)

        def add(part: int) -> None:
            for strip, stretch in zip(self._strips, stretches, strict=True):
                add_stretch(strip.places, stretch, columns[part], columns[part + 1], by_sent)

        map_threads(add, range(self.threads), self.threads)
        return by_sent, after

    def _sent_slopes(self, k: int, own: Array, kept: _Kept, by_sent: Array, before: Array, field: Array) -> Array:
        """Slopes by the spin vectors of the layer before; those by features and spins are added."""
        by_vectors, sender = np.empty_like(kept.vectors), self._senders[k]
        ways = (sender, self.lanes, kept.features, own, kept.vectors, kept.gates, by_sent, before, by_vectors, field)
        self._each(lambda s: send_slopes(s.begin, s.end, *ways))
        return by_vectors


def _array(tensor: Tensor, dtype: Any) -> Array:
    return np.ascontiguousarray(tensor.detach().cpu().numpy(), dtype=dtype)


def _spatial_order(geometry: Geometry, length: float) -> NDArray[np.int64]:
    """Sites along a Z-curve through boxes of side `length`."""
    if not len(geometry):
        return np.zeros(0, dtype=np.int64)
    boxes = ((geometry.positions - geometry.positions.min(axis=0)) / length).astype(np.int64)
    code = np.zeros(len(boxes), dtype=np.int64)
    for bit in range(20):
        for axis in range(3):
            code |= ((boxes[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")


def _strips(starts: NDArray[np.int64], second: NDArray[np.int32]) -> tuple[NDArray[np.int32], list[_Strip]]:
    """Strips of sites, and for every pair the place of its second site among the strip's neighbours."""
    sites, strips, local = len(starts) - 1, [], np.empty_like(second)
    for begin in range(0, sites, _STRIP):
        end = min(sites, begin + _STRIP)
        rows = slice(starts[begin], starts[end])
        places, local[rows] = np.unique(second[rows], return_inverse=True)
        strips.append(_Strip(begin, end, places))
    return local, strips
