"""Matrices that stay, times columns of sites: what is not zero, packed in tiles of rows.

Numbers of sites lie side by side: row r of `values` (rows, WIDTH) holds one number of WIDTH sites.  A matrix acts on
such rows.  It falls into blocks that have no rows and columns in common (orbits of bonds, representations; a dense layer
is one block), and every block into tiles of TILE rows, whose sums over the columns stay in registers:

    out[rows[i]] = offset_i + sum_k W[i, k] values[columns[k]]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components

from spinase.compiled.rows import LANES, element, filled, fma, kernel, load, store
from spinase.typing import Array, FloatArray, IntArray

TILE = 6
"""Rows of a tile: with vectors of 16 numbers their sums fill the 16 registers of AVX2, but for those of the factors."""

WIDTH = 32
"""Sites side by side, a multiple of LANES."""


@dataclass(frozen=True, eq=False)
class Map:
    """A matrix (m, n) with offsets (m,), from rows `source` .. of one array of sites to rows `target` .. of another."""

    matrix: FloatArray
    offsets: FloatArray
    source: int
    target: int

    def reversed(self) -> Map:
        """The transpose, without offsets; rows keep their places."""
        return Map(self.matrix.T, np.zeros(self.matrix.shape[1]), self.target, self.source)


class Tiles(NamedTuple):
    """Maps, one after the other, as the loops want them.

    Attributes
    ----------
    starts : (maps + 1,) int64
        The tiles of a map are starts[map] .. starts[map + 1] - 1.
    tiles : (T, 5) int64
        First and last (not included) place in `columns`; first in `weights`; first in `rows`; number of rows, TILE at most.
    columns, rows : int64
        Numbers of rows of sites that tiles read and write.
    weights : (W,)
        Of a tile: TILE offsets, then TILE weights for every column; zeros where it has less rows.
    """

    starts: Array
    tiles: Array
    columns: Array
    rows: Array
    weights: Array


def packed(maps: Sequence[Map], dtype: Any) -> Tiles:
    """Tiles of some maps."""
    starts, tiles = [0], list[tuple[int, ...]]()
    columns, rows, weights = (list[Any]() for _ in range(3))
    for one in maps:
        for mine, theirs in _blocks(one.matrix):
            begin = len(columns)
            columns += (theirs + one.source).tolist()
            for first in range(0, len(mine), TILE):
                part = mine[first : first + TILE]
                tiles.append((begin, len(columns), len(weights), len(rows), len(part)))
                rows += (part + one.target).tolist()
                full = np.zeros((1 + len(theirs), TILE))
                full[0, : len(part)] = one.offsets[part]
                full[1:, : len(part)] = one.matrix[np.ix_(part, theirs)].T
                weights += full.ravel().tolist()
        starts.append(len(tiles))
    counted = [np.array(one, dtype=np.int64) for one in (starts, columns, rows)]
    cut = np.array(tiles, dtype=np.int64).reshape(-1, 5)
    return Tiles(counted[0], cut, counted[1], counted[2], np.array(weights, dtype=dtype))


def _blocks(matrix: FloatArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows and columns of the blocks into which a matrix falls; every row is in one."""
    links, (rows, columns) = matrix != 0.0, matrix.shape
    joined = np.zeros((rows + columns, rows + columns), dtype=bool)
    joined[:rows, rows:] = links
    _, labels = connected_components(joined, directed=False)
    mine, theirs = labels[: len(matrix)], labels[len(matrix) :]
    for label in np.unique(mine):
        yield np.flatnonzero(mine == label), np.flatnonzero(theirs == label)


@kernel
def apply(tiles: Tiles, number: int, values: Array, begin: int, out: Array, out_begin: int) -> None:
    """Map `number` of rows of sites, which begin at elements `begin` of `values` and `out_begin` of `out`.

    Parameters
    ----------
    tiles : Tiles
        Of all maps of a kind of site.
    number : int
        Which of the maps.
    values : flat
        Rows of WIDTH sites that are mapped, row k from element ``begin + k WIDTH`` on.
    begin, out_begin : int
        Elements where the rows begin.
    out : flat
        Written, WIDTH sites a row; it may be `values`, if the rows do not overlap.
    """
    weights, columns = tiles.weights, tiles.columns
    for t in range(tiles.starts[number], tiles.starts[number + 1]):
        first, last, at, row, count = tiles.tiles[t]
        for lane in range(0, WIDTH, LANES):
            s0, s1 = filled(out, element(weights, at)), filled(out, element(weights, at + 1))
            s2, s3 = filled(out, element(weights, at + 2)), filled(out, element(weights, at + 3))
            s4, s5 = filled(out, element(weights, at + 4)), filled(out, element(weights, at + 5))
            w = at + TILE
            for k in range(first, last):
                x = load(values, begin + element(columns, k) * WIDTH + lane)
                s0, s1 = fma(element(weights, w), x, s0), fma(element(weights, w + 1), x, s1)
                s2, s3 = fma(element(weights, w + 2), x, s2), fma(element(weights, w + 3), x, s3)
                s4, s5 = fma(element(weights, w + 4), x, s4), fma(element(weights, w + 5), x, s5)
                w += TILE
            place = out_begin + lane
            store(out, place + tiles.rows[row] * WIDTH, s0)
            if count > 1:
                store(out, place + tiles.rows[row + 1] * WIDTH, s1)
            if count > 2:
                store(out, place + tiles.rows[row + 2] * WIDTH, s2)
            if count > 3:
                store(out, place + tiles.rows[row + 3] * WIDTH, s3)
            if count > 4:
                store(out, place + tiles.rows[row + 4] * WIDTH, s4)
            if count > 5:
                store(out, place + tiles.rows[row + 5] * WIDTH, s5)


__all__ = ["TILE", "WIDTH", "Map", "Tiles", "apply", "packed"]
