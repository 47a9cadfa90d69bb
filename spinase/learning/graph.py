"""Pairs of sites as a network sees them: radial functions and directions, and sums over neighbours.

Two forms with one interface: :class:`SparseGraph` for any magnet, :class:`DenseGraph` for batches of small boxes of one
size, where most sites are neighbours and matrix products are fastest (training).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spinase.geometry import Bonds, Geometry, find_bonds


@dataclass(frozen=True)
class RadialBasis:
    """Sensitivity functions s_v(r) = exp(-(1/r - 1/r_v)^2/(2 w^2)) cos^2(pi r/(2 r_c)), as in HIP-NN (arXiv:1710.00017).

    Attributes
    ----------
    count : int
        Number of functions; the r_v are evenly spaced in 1/r.
    inner, cutoff : float
        Shortest distance that is resolved, and r_c, length.
    """

    count: int
    inner: float
    cutoff: float

    def __call__(self, distances: Tensor) -> Tensor:
        """s_v at `distances` (P,), (P, count)."""
        low, high = 1.0 / self.cutoff, 1.0 / self.inner
        centres = torch.linspace(low, high, self.count, dtype=distances.dtype, device=distances.device)
        width = (high - low) / max(self.count - 1, 1)
        switch = torch.cos(0.5 * np.pi * distances.clamp(max=self.cutoff) / self.cutoff) ** 2
        return torch.exp(-0.5 * ((1.0 / distances[:, None] - centres) / width) ** 2) * switch[:, None]


@dataclass(frozen=True)
class Pairs:
    """Directed pairs: site `first` (P,) feels `second` (P,) along `vectors` (P, 3) = r_second - r_first; `sites` in all."""

    first: Tensor
    second: Tensor
    vectors: Tensor
    sites: int


def pairs_from(bonds: Bonds, sites: int, dtype: torch.dtype, device: torch.device | str = "cpu") -> Pairs:
    """Both directions of every bond, ordered by first site."""
    first = np.concatenate([bonds.first, bonds.second])
    second = np.concatenate([bonds.second, bonds.first])
    vectors = np.concatenate([bonds.vectors, -bonds.vectors])
    order = np.argsort(first, kind="stable")
    return Pairs(
        torch.from_numpy(first[order]).to(device),
        torch.from_numpy(second[order]).to(device),
        torch.from_numpy(vectors[order]).to(device, dtype),
        sites,
    )


def pairs_of(geometry: Geometry, cutoff: float, dtype: torch.dtype = torch.float32) -> Pairs:
    """Pairs of a geometry within `cutoff` (length), images included."""
    return pairs_from(find_bonds(geometry, cutoff), len(geometry), dtype)


class Graph(ABC):
    """Filters on pairs and sums over neighbours.  Node tensors are (sites, channels, components)."""

    @abstractmethod
    def scalar_filter(self, weights: Tensor) -> Tensor:
        """sum_v s_v(r) W_vc on every pair, for `weights` (count, channels)."""

    @abstractmethod
    def vector_filter(self, weights: Tensor) -> Tensor:
        """sum_v s_v(r) W_vc r_a/r on every pair, direction by direction."""

    @abstractmethod
    def tensor_filter(self, weights: Tensor) -> Tensor:
        """sum_v s_v(r) W_vc Y_a(r/r) with the five quadrupoles Y_a."""

    @abstractmethod
    def sum(self, filters: Tensor, nodes: Tensor) -> Tensor:
        """Filter times the neighbour's tensor, summed over neighbours: (sites, channels, directions * components)."""


def quadrupoles(vectors: Tensor) -> Tensor:
    """Five traceless products Q of the components of `vectors` (..., 3): Q(u).Q(v) = (u.v)^2 - u^2 v^2/3."""
    x, y, z = vectors.unbind(-1)
    half = 1.0 / np.sqrt(2.0)
    return torch.stack(
        [
            np.sqrt(2.0) * x * y,
            np.sqrt(2.0) * y * z,
            np.sqrt(2.0) * z * x,
            half * (x * x - y * y),
            (2.0 * z * z - x * x - y * y) / np.sqrt(6.0),
        ],
        dim=-1,
    )


class SparseGraph(Graph):
    """Sums over a list of pairs."""

    def __init__(self, pairs: Pairs, basis: RadialBasis) -> None:
        self.pairs = pairs
        distances = pairs.vectors.norm(dim=1)
        self.radial = basis(distances)
        self.directions = pairs.vectors / distances[:, None]

    def scalar_filter(self, weights: Tensor) -> Tensor:
        """(P, 1, channels)."""
        return (self.radial @ weights)[:, None, :]

    def vector_filter(self, weights: Tensor) -> Tensor:
        """(P, 3, channels)."""
        return (self.radial @ weights)[:, None, :] * self.directions[:, :, None]

    def tensor_filter(self, weights: Tensor) -> Tensor:
        """(P, 5, channels)."""
        return (self.radial @ weights)[:, None, :] * quadrupoles(self.directions)[:, :, None]

    def sum(self, filters: Tensor, nodes: Tensor) -> Tensor:
        """Gather, multiply, add at the first site."""
        sites, channels, components = nodes.shape
        terms = filters.transpose(1, 2)[:, :, :, None] * nodes[self.pairs.second][:, :, None, :]
        out = nodes.new_zeros((sites, channels, filters.shape[1], components))
        return out.index_add(0, self.pairs.first, terms).flatten(2)


class DenseGraph(Graph):
    """Sums as products of (sites x sites) matrices over a batch of boxes with the same number of sites."""

    def __init__(self, boxes: Sequence[Pairs], basis: RadialBasis) -> None:
        self.boxes, self.box_sites = len(boxes), boxes[0].sites
        places, radial, directions = [], [], []
        for b, pairs in enumerate(boxes):
            distances = pairs.vectors.norm(dim=1)
            places.append((b * pairs.sites + pairs.first) * pairs.sites + pairs.second)
            radial.append(basis(distances))
            directions.append(pairs.vectors / distances[:, None])
        place, values, units = torch.cat(places), torch.cat(radial), torch.cat(directions)
        self.radial = self._spread(place, values[:, None, :])
        self._vectors = self._spread(place, values[:, None, :] * units[:, :, None])
        self._tensors = self._spread(place, values[:, None, :] * quadrupoles(units)[:, :, None])

    def _spread(self, place: Tensor, values: Tensor) -> Tensor:
        """Sum over the images of every pair; radial functions first: (count, boxes * directions * sites * sites)."""
        _, directions, count = values.shape
        square = self.box_sites**2
        out = values.new_zeros((self.boxes * square, directions * count))
        out = out.index_add(0, place, values.flatten(1)).reshape(self.boxes, square, directions, count)
        return out.permute(3, 0, 2, 1).reshape(count, -1)

    def _matrices(self, entries: Tensor, weights: Tensor) -> Tensor:
        """(channels, boxes, directions, sites, sites): in this order nothing is copied."""
        return (weights.T @ entries).reshape(weights.shape[1], self.boxes, -1, self.box_sites, self.box_sites)

    def scalar_filter(self, weights: Tensor) -> Tensor:
        """One matrix for each channel."""
        return self._matrices(self.radial, weights)

    def vector_filter(self, weights: Tensor) -> Tensor:
        """Three matrices for each channel."""
        return self._matrices(self._vectors, weights)

    def tensor_filter(self, weights: Tensor) -> Tensor:
        """Five matrices for each channel."""
        return self._matrices(self._tensors, weights)

    def sum(self, filters: Tensor, nodes: Tensor) -> Tensor:
        """Matrix products, box by box."""
        _, channels, components = nodes.shape
        columns = nodes.reshape(self.boxes, self.box_sites, channels, components).permute(2, 0, 1, 3)
        out = filters @ columns[:, :, None]  # channels, boxes, directions, sites, components
        return out.permute(1, 3, 0, 2, 4).reshape(self.boxes * self.box_sites, channels, -1)
