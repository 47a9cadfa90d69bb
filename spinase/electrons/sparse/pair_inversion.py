"""Entries of (H - p)^-1 between wanted pairs of sites, near ones that are no bonds of H.

The elimination is that of H alone, so the fronts stay as narrow as they are; the wanted pairs are added on the way down.  A
supernode with own sites I and border B knows G between I and any set of sites Q that is eliminated later, as soon as G
between B and Q is known:

    G_IQ = -W G_BQ,   G_QI = -G_QB V,   G_II = X + W G_BB V        (W, V, X of the way up)

So every supernode gets the partners of its sites beside its border, and those pairs (B, Q) that are not known yet become
wanted at the supernodes of their own: one pass from the leaves up closes the set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from spinase.compiled import njit
from spinase.compiled.threads import default_threads, map_threads
from spinase.electrons.operator import SpinOperator
from spinase.electrons.sparse.elimination import EliminationTree
from spinase.electrons.sparse.selected_inversion import SelectedInversion, site_blocks
from spinase.typing import Array, ComplexBlocks, FloatArray, IntArray

_CACHE_BYTES = 24 * 1024**2  # entries of so many poles together: they are read in no order, so they had better be near

Fold = Callable[[IntArray, ComplexBlocks, ComplexBlocks], FloatArray | ComplexBlocks]


@dataclass(frozen=True, eq=False)
class _Place:
    """Where 2x2 blocks are in the one array of all entries: address of the first element, and of the next row."""

    starts: IntArray
    strides: IntArray


@dataclass(frozen=True, eq=False)
class _Node:
    """A supernode on the way down.

    ``known`` are the blocks of G between its border and (border, extra), ``beside`` those between extra and border;
    G_I,(I,border,extra) is written at `rows`, G_(border,extra),I at `columns`.
    """

    own: int
    border: int
    extra: int
    known: _Place
    beside: _Place
    rows: int
    columns: int


@final
class PairInversion:
    """The way down to wanted pairs, for one elimination.

    Parameters
    ----------
    inversion : SelectedInversion
        Of the operators to come.
    first, second : (P,) int
        Wanted pairs of sites, i = j allowed.
    """

    def __init__(self, inversion: SelectedInversion, first: IntArray, second: IntArray) -> None:
        self._inversion = inversion
        layout = _Layout(inversion.tree, _closed(inversion.tree, first, second))
        self._nodes = [layout.node(n) for n in range(len(inversion.tree.nodes))]
        self._size = layout.size
        self._pairs = layout.place(first, second), layout.place(second, first)

    def fold(self, operator: SpinOperator, poles: ComplexBlocks, fold: Fold) -> FloatArray | ComplexBlocks:
        """Sum over poles of what `fold` makes of the blocks.

        Parameters
        ----------
        operator : SpinOperator
            H on the pattern of the elimination, energy.
        poles : (K,) complex64 or complex128
            p, energy, with imaginary parts that are not zero.
        fold : callable
            ``fold(which, there, back)`` with the numbers of some poles (k,) and the blocks G_ij and G_ji (k, P, 2, 2),
            1/energy; it gives an array, which is added up.
        """
        threads = min(default_threads(), len(poles))
        rounds = int(np.ceil(len(poles) * self._size * poles.itemsize / _CACHE_BYTES))

        def run(part: IntArray) -> FloatArray | ComplexBlocks:
            """What is folded from some of the poles."""
            return fold(part, *self._blocks(operator, poles[part]))

        parts = np.array_split(np.arange(len(poles)), min(len(poles), threads * rounds))
        return np.sum(map_threads(run, parts, threads), axis=0)

    def _blocks(self, operator: SpinOperator, poles: ComplexBlocks) -> tuple[ComplexBlocks, ComplexBlocks]:
        """G_ij and G_ji of the wanted pairs, (K, P, 2, 2) each."""
        blocks, hopping = site_blocks(operator).astype(poles.dtype), operator.bond_entries().astype(poles.dtype)
        kept, _ = self._inversion.eliminate(blocks, hopping, poles, [])
        entries = np.empty((len(poles), self._size), dtype=poles.dtype)
        for node in reversed(self._nodes):
            _descend(node, *kept.pop(), entries)
        found = [_gathered(entries, place, len(place.starts), 1) for place in self._pairs]
        there, back = (blocks.reshape(len(poles), -1, 2, 2) for blocks in found)
        return there, back


def _descend(node: _Node, inverse: ComplexBlocks, right: ComplexBlocks, left: ComplexBlocks, entries: ComplexBlocks) -> None:
    """Write the rows and columns of one supernode from those of later ones."""
    own, border, others = 2 * node.own, 2 * node.border, 2 * (node.border + node.extra)
    known = _gathered(entries, node.known, node.border, node.border + node.extra)
    beside = _gathered(entries, node.beside, node.extra, node.border)
    rows = entries[:, node.rows : node.rows + own * (own + others)].reshape(len(entries), own, own + others)
    columns = entries[:, node.columns : node.columns + others * own].reshape(len(entries), others, own)
    np.matmul(-right, known, out=rows[:, :, own:])
    rows[:, :, :own] = inverse - rows[:, :, own : own + border] @ left
    left = -left
    np.matmul(known[:, :, :border], left, out=columns[:, :border])
    np.matmul(beside, left, out=columns[:, border:])


def _gathered(entries: ComplexBlocks, place: _Place, rows: int, columns: int) -> ComplexBlocks:
    out = np.empty((len(entries), 2 * rows, 2 * columns), dtype=entries.dtype)
    _gather_blocks(entries, place.starts, place.strides, columns, out)
    return out


@njit(nogil=True)
def _gather_blocks(entries: Array, starts: IntArray, strides: IntArray, columns: int, result: Array) -> None:
    """result[k, 2a+s, 2b+t] = entries[k, starts[n] + s strides[n] + t], n = a columns + b.

    entries (K, size) complex, starts and strides (rows columns,), result (K, 2 rows, 2 columns).
    """
    for k in range(len(entries)):
        for n in range(len(starts)):
            row, column = 2 * (n // columns), 2 * (n % columns)
            one, two = starts[n], starts[n] + strides[n]
            result[k, row, column], result[k, row, column + 1] = entries[k, one], entries[k, one + 1]
            result[k, row + 1, column], result[k, row + 1, column + 1] = entries[k, two], entries[k, two + 1]


def _homes(tree: EliminationTree) -> IntArray:
    """Supernode of each site (N,)."""
    home = np.empty(tree.sites, dtype=np.int64)
    for n, node in enumerate(tree.nodes):
        home[node.own] = n
    return home


def _closed(tree: EliminationTree, first: IntArray, second: IntArray) -> list[IntArray]:
    """Extra sites of every supernode, eliminated later and not in its border, so that all wanted pairs follow."""
    home = _homes(tree)
    turn = np.concatenate([node.own for node in tree.nodes])  # neighbours in this order are neighbours in memory
    wanted = [np.zeros(0, dtype=bool)] * len(tree.nodes)

    def want(n: int, sites: IntArray) -> None:
        """Mark sites that supernode n needs."""
        if not len(wanted[n]):
            wanted[n] = np.zeros(tree.sites, dtype=bool)
        wanted[n][sites] = True

    early = home[first] <= home[second]
    one, two = np.where(early, first, second), np.where(early, second, first)
    for n in np.unique(home[one]):
        want(int(n), two[home[one] == n])
    extras = []
    for n, node in enumerate(tree.nodes):
        if len(wanted[n]):
            wanted[n][node.own] = wanted[n][node.border] = False
        extra = turn[wanted[n][turn]] if len(wanted[n]) else turn[:0]
        wanted[n] = np.zeros(0, dtype=bool)
        extras.append(extra)
        for p in np.unique(home[node.border]) if len(extra) else []:
            want(int(p), extra[home[extra] >= p])
        for p in np.unique(home[extra]):
            want(int(p), node.border[home[node.border] > p])
    return extras


class _Layout:
    """Addresses of all blocks that are computed: rows of a supernode, then its columns, one supernode after the other."""

    def __init__(self, tree: EliminationTree, extras: list[IntArray]) -> None:
        self.tree, self.extras, self.home = tree, extras, _homes(tree)
        self.members = [np.concatenate([n.own, n.border, e]) for n, e in zip(tree.nodes, extras, strict=True)]
        self.sorting = [np.argsort(members) for members in self.members]
        own = np.array([len(node.own) for node in tree.nodes])
        members = np.array([len(members) for members in self.members])
        sizes = 4 * own * (2 * members - own)
        self.rows = np.concatenate([[0], np.cumsum(sizes)])[:-1]
        self.columns = self.rows + 4 * own * members
        self.size = int(sizes.sum())

    def node(self, n: int) -> _Node:
        """Supernode `n` with the addresses of what it needs."""
        node, extra = self.tree.nodes[n], self.extras[n]
        others = np.concatenate([node.border, extra])
        known = self.place(np.repeat(node.border, len(others)), np.tile(others, len(node.border)))
        beside = self.place(np.repeat(extra, len(node.border)), np.tile(node.border, len(extra)))
        own = len(node.own), len(node.border), len(extra)
        return _Node(*own, known, beside, int(self.rows[n]), int(self.columns[n]))

    def place(self, one: IntArray, two: IntArray) -> _Place:
        """Addresses of the blocks (one, two) (P,), which must be among the computed ones."""
        starts, strides = np.empty(len(one), dtype=np.int64), np.empty(len(one), dtype=np.int64)
        owner = np.minimum(self.home[one], self.home[two])
        order = np.argsort(owner, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(owner[order])) + 1):
            if not len(part):
                continue
            n = int(owner[part[0]])
            own = len(self.tree.nodes[n].own)
            left, right = self._local(n, one[part]), self._local(n, two[part])
            row = left < own
            width = 2 * len(self.members[n])
            starts[part] = np.where(
                row,
                self.rows[n] + 2 * left * width + 2 * right,
                self.columns[n] + 4 * (left - own) * own + 2 * right,
            )
            strides[part] = np.where(row, width, 2 * own)
        return _Place(starts, strides)

    def _local(self, n: int, sites: IntArray) -> IntArray:
        """Places of sites among the members of supernode `n`."""
        sorting = self.sorting[n]
        return sorting[np.searchsorted(self.members[n], sites, sorter=sorting)]
