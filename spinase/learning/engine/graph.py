"""A geometry as the compiled network wants it: pairs in memory order, strips of sites for threads, rows of filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spinase.compiled.rows import LANES, aligned
from spinase.geometry import Bonds
from spinase.learning.engine.splines import SplineTable, spline_table
from spinase.learning.engine.workspace import Neighbours, Workspace
from spinase.learning.mhipnn.graph import RadialBasis, quadrupoles, shells
from spinase.learning.mhipnn.network import NetworkConfig
from spinase.typing import Array, FloatArray, IntArray

STRIP = 2048  # sites
_KNOTS = 4096
_SAMPLE = 4096  # pairs that tell whether there are few distances
_SHELLS = 256  # with so many distances at most, filters have a row for each of them


@dataclass(frozen=True, eq=False)
class Strip:
    """Sites begin .. end - 1, and the sorted list of all their neighbours (n,): rows of the strip's own ``grad_sent``."""

    begin: int
    end: int
    neighbours: NDArray[np.int32]


class Pool:
    """Memory that evaluations leave to the next ones: arrays by type and shape, and workspaces of threads."""

    def __init__(self) -> None:
        self._free: dict[tuple[Any, ...], list[Array]] = {}
        self.workspaces: list[Workspace] = []

    def borrow(self, dtype: Any, *shape: int) -> Array:
        """An array with anything in it, one that was given back where there is one; a vector behind its end may be read.

        The system takes longer to come up with fresh memory than the sums take to fill it.
        """
        free = self._free.get((dtype, shape))
        if free:
            try:
                return free[0] if 0 in shape else free.pop()  # nobody writes into an array without elements
            except IndexError:
                pass  # another thread was faster
        size = prod(shape)
        array = cast(Array, aligned(size + LANES, dtype)[:size].reshape(shape))
        if not size:
            self._free[dtype, shape] = [array]
        return array

    def give_back(self, *arrays: Array) -> None:
        """Let others have borrowed arrays."""
        for array in arrays:
            if not array.size:
                continue
            self._free.setdefault((array.dtype, array.shape), []).append(array)


class EngineGraph(Pool):
    """Pairs of a geometry as the engine wants them.

    Sites are put in an order in which neighbours are near each other (along a Z-curve), and cut into strips of STRIP sites.

    Parameters
    ----------
    bonds : Bonds
        Pairs within the network's cutoff.
    positions : (N, 3) ndarray
        Of the sites; used for their order only, length.
    config : NetworkConfig
        The network's.
    dtype : numpy dtype
        float32 or float64.

    Attributes
    ----------
    order, back : (N,) ndarray of int
        Sites in the engine's order, and its inverse: values of the engine's order are put back by ``values[back]``.
    pairs : Neighbours
        Directed pairs, in the engine's order.
    distances : (P,) ndarray
        Of the pairs, length.
    shells : (K,) ndarray or None
        Distances that have rows of filters of their own, if those are few; else filters are interpolated.
    strips : list of Strip
        For threads.
    cached : dict
        What an engine has made for this geometry, by its own keys.
    """

    def __init__(self, bonds: Bonds, positions: FloatArray, config: NetworkConfig, dtype: Any = np.float32) -> None:
        super().__init__()
        self.order = spatial_order(positions, config.cutoff)
        self.back = np.empty_like(self.order)
        self.back[self.order] = np.arange(len(positions))
        first = self.back[np.concatenate([bonds.first, bonds.second])]
        second = self.back[np.concatenate([bonds.second, bonds.first])].astype(np.int32)
        order = np.lexsort((second, first))
        starts = np.concatenate([[0], np.cumsum(np.bincount(first, minlength=len(positions)))])
        second = second[order]
        local, self.strips = strips_of(starts, second, range(0, len(positions), STRIP))
        vectors = np.concatenate([bonds.vectors, -bonds.vectors])[order]
        self.pairs, self.distances, self.shells = neighbours_of(starts, second, local, vectors, config, dtype)
        self.cached: dict[tuple[str, Any], Any] = {}


def neighbours_of(
    starts: IntArray,
    second: NDArray[np.int32],
    local: NDArray[np.int32],
    vectors: FloatArray,
    config: NetworkConfig,
    dtype: Any,
) -> tuple[Neighbours, FloatArray, Array | None]:
    """Pairs with their filters and harmonics, their distances (P,), and those that have rows of filters of their own.

    Parameters
    ----------
    starts, second, local
        As in :class:`Neighbours`.
    vectors : (P, 3) ndarray
        Of the pairs, length.
    config : NetworkConfig
        The network's.
    dtype : numpy dtype
        float32 or float64.
    """
    distances = np.linalg.norm(vectors, axis=1)
    shells, knots, fractions = _filter_rows(distances, config, np.dtype(dtype))
    harmonics = _harmonics(vectors, distances, np.dtype(dtype))
    return Neighbours(starts, second, local, knots, fractions, harmonics, not vectors[:, 2].any()), distances, shells


def filter_table(filters: list[Tensor], config: NetworkConfig, distances: Tensor | None = None) -> Tensor:
    """Filters w_d,c(r) = sum_v s_v(r) W_d[v, c] of a layer at `distances`, (K, columns), float64.

    Parameters
    ----------
    filters : list of (radial, C_d) Tensor
        W_d, of degrees 0, 1, 2.
    config : NetworkConfig
        Radial functions s_v.
    distances : (K,) Tensor, optional
        Length; default: the knots of tables that are interpolated.

    Returns
    -------
    Tensor
        Degrees one after the other, those of each padded with zeros to a multiple of LANES.
    """
    if distances is None:
        distances = torch.linspace(config.basis().start, config.cutoff, _KNOTS + 1, dtype=torch.float64)
    radial = config.basis()(distances)
    values = [radial @ weights for weights in filters]
    return torch.cat([nn.functional.pad(part, (0, -part.shape[1] % LANES)) for part in values], dim=1)


def radial_splines(radial: RadialBasis, dtype: Any) -> SplineTable:
    """Splines of radial functions from their start to their cutoff; filters are combinations of the columns."""

    def functions(distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Radial functions and their slopes (1/length) at distances (P,): (P, radial) each."""
        at = torch.from_numpy(distances)
        return radial(at).numpy(), radial.slopes(at).numpy()

    return spline_table(functions, radial.start, radial.cutoff, dtype)


def _filter_rows(distances: FloatArray, config: NetworkConfig, dtype: Any) -> tuple[Array | None, Array, Array]:
    """Distances that have rows of their own, if those are few; row and fraction in the table of every pair (P,)."""
    few, _ = shells(distances[:_SAMPLE], config.cutoff, dtype)
    if len(few) <= _SHELLS:
        few, rows = shells(distances, config.cutoff, dtype)
        if len(few) <= _SHELLS:
            return distances[few], rows, np.zeros(len(rows), dtype)
    start = config.basis().start
    across = (distances - start) / (config.cutoff - start) * _KNOTS
    knots = np.clip(across.astype(np.int64), 0, _KNOTS - 1)
    return None, knots.astype(np.int32), (across - knots).astype(dtype)


def _harmonics(vectors: FloatArray, distances: FloatArray, dtype: Any) -> Array:
    """1, r/r, Q(r/r) of pairs, (P, 9)."""
    units = torch.from_numpy(vectors / distances[:, None]).to(torch.float32 if dtype == np.float32 else torch.float64)
    return torch.cat([torch.ones_like(units[:, :1]), units, quadrupoles(units)], dim=1).numpy()


def spatial_order(positions: FloatArray, length: float) -> IntArray:
    """Sites along a Z-curve through boxes of side `length`."""
    if not len(positions):
        return np.zeros(0, dtype=np.int64)
    boxes = ((positions - positions.min(axis=0)) / length).astype(np.int64)
    code = np.zeros(len(boxes), dtype=np.int64)
    for bit in range(20):
        for axis in range(3):
            code |= ((boxes[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")


def strips_of(starts: IntArray, second: NDArray[np.int32], begins: Sequence[int]) -> tuple[NDArray[np.int32], list[Strip]]:
    """For every pair the index of its second site among the neighbours of its strip (P,), and the strips.

    Parameters
    ----------
    starts : (N + 1,) ndarray of int
        Pairs of site i are ``starts[i] .. starts[i + 1] - 1``.
    second : (P,) ndarray of int32
        Their second sites.
    begins : sequence of int
        First site of every strip.
    """
    strips, local = [], np.empty_like(second)
    for begin, end in pairwise([*begins, len(starts) - 1]):
        rows = slice(starts[begin], starts[end])
        neighbours, local[rows] = np.unique(second[rows], return_inverse=True)
        strips.append(Strip(begin, end, neighbours))
    return local, strips


__all__ = [
    "STRIP",
    "EngineGraph",
    "Pool",
    "Strip",
    "filter_table",
    "neighbours_of",
    "radial_splines",
    "spatial_order",
    "strips_of",
]
