"""Pairs of sites as a network sees them: radial functions, lattice harmonics, and sums over neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spinase.learning.mhipnn.neighbour_sums import neighbour_sum
from spinase.learning.pairs import Pairs
from spinase.typing import FloatArray, IntArray

_GRAIN = 16  # distances that differ by fewer units in the last place of the cutoff are one


@dataclass(frozen=True)
class RadialBasis:
    """Sensitivity functions s_v(r) = exp(-(q(r) - q(r_v))^2/(2 w^2)) cos^2(pi r/(2 r_c)) with evenly spaced q(r_v).

    q = 1/r as in HIP-NN (arXiv:1710.00017), which resolves short distances best, or q = r.  They go to zero with their slope
    at r_c, so whether round-off counts a pair exactly there among the neighbours makes no difference.

    Attributes
    ----------
    count : int
        Number of functions; w is the spacing of the q(r_v).
    inner, cutoff : float
        First r_v, and r_c, which is the last one, length.
    even : bool
        Whether q = r.
    """

    count: int
    inner: float
    cutoff: float
    even: bool = False

    @property
    def start(self) -> float:
        """Where tables of the functions begin, length; below they go on as straight lines."""
        return 0.8 * self.inner

    def __call__(self, distances: Tensor) -> Tensor:
        """s_v at `distances` (P,), (P, count)."""
        switch = torch.cos(0.5 * np.pi * distances.clamp(max=self.cutoff) / self.cutoff) ** 2
        return torch.exp(-0.5 * self._off(distances)[0] ** 2) * switch[:, None]

    def slopes(self, distances: Tensor) -> Tensor:
        """ds_v/dr at `distances` (P,) below the cutoff, (P, count)."""
        r, scale = distances[:, None], 0.5 * np.pi / self.cutoff
        off, width = self._off(distances)
        rate = -off / width if self.even else off / (width * r**2)
        cosine, sine = torch.cos(scale * r), torch.sin(scale * r)
        return torch.exp(-0.5 * off**2) * cosine * (rate * cosine - 2.0 * scale * sine)

    def _off(self, distances: Tensor) -> tuple[Tensor, float]:
        """(q(r) - q(r_v))/w (P, count), and w."""
        ends = (self.inner, self.cutoff) if self.even else (1.0 / self.cutoff, 1.0 / self.inner)
        centres = torch.linspace(*ends, self.count, dtype=distances.dtype, device=distances.device)
        width = (ends[1] - ends[0]) / max(self.count - 1, 1)
        return ((distances if self.even else 1.0 / distances)[:, None] - centres) / width, width


def quadrupoles(vectors: Tensor, dim: int = -1) -> Tensor:
    """Five traceless products Q of the components of `vectors` along `dim`: Q(u).Q(v) = (u.v)^2 - u^2 v^2/3."""
    x, y, z = vectors.unbind(dim)
    half = 1.0 / np.sqrt(2.0)
    return torch.stack(
        [
            np.sqrt(2.0) * x * y,
            np.sqrt(2.0) * y * z,
            np.sqrt(2.0) * z * x,
            half * (x * x - y * y),
            (2.0 * z * z - x * x - y * y) / np.sqrt(6.0),
        ],
        dim=dim,
    )


class Graph:
    """Radial functions and lattice harmonics (1, r/r, Q(r/r)) of pairs.

    Parameters
    ----------
    pairs : Pairs
        Pairs within the cutoff.
    basis : RadialBasis
        Radial functions.
    degree : int
        Highest degree of the harmonics: 0, 1 or 2.
    compiled : bool
        Compiled loops on the CPU; else plain torch.
    """

    def __init__(self, pairs: Pairs, basis: RadialBasis, degree: int = 2, compiled: bool = True) -> None:
        self.pairs, self.compiled = pairs, compiled
        self.distances = pairs.vectors.norm(dim=1)
        self.radial = basis(self.distances)
        directions = pairs.vectors / self.distances[:, None]
        self.harmonics = [torch.ones_like(directions[:, :1]), directions]
        if degree > 1:
            self.harmonics.append(quadrupoles(directions))

    def sum(self, degree: int, weights: Tensor, sent: Tensor) -> Tensor:
        """Sum over neighbours of filter, harmonics of one degree, and what is sent, channel by channel.

        Parameters
        ----------
        degree : int
            Of the harmonics.
        weights : (radial, C) Tensor
            W of the filter sum_v s_v(r) W[v, c].
        sent : (N, components, C) Tensor
            By the neighbours.

        Returns
        -------
        Tensor
            (N, 2 degree + 1, components, C).
        """
        return neighbour_sum(self.pairs.rows, self.radial @ weights, self.harmonics[degree], sent, self.compiled)


def shells(distances: FloatArray, cutoff: float, dtype: Any) -> tuple[IntArray, NDArray[np.int32]]:
    """Pairs of equal distance, as far as numbers of type `dtype` can tell.

    Parameters
    ----------
    distances : (P,) ndarray
        Length.
    cutoff : float
        The largest there can be, length.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    place : (shells,) ndarray of int
        The first pair of each, in the order in which they come: neighbours in memory are used together.
    kinds : (P,) ndarray of int
        Shell of every pair.
    """
    grain = _GRAIN * float(np.finfo(dtype).eps) * cutoff
    _, place, kinds = np.unique(np.round(distances / grain), return_index=True, return_inverse=True)
    order = np.argsort(place)
    return place[order], np.argsort(order)[kinds].astype(np.int32)
