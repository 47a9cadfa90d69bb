"""Elimination trees: in which order a sparse graph is taken apart, and what that costs.

A tree of *supernodes*.  Each owns some sites; eliminating them couples its *border*: the sites of its ancestors that it, or
anything below it, touches.  A block-tridiagonal form is the special case of a path.  Two ways to make one:

* layers: breadth-first levels from a far end (long strips, wires);
* nested dissection: separators from the slow modes of the graph's Laplacian, made minimal by bipartite matching
  (A. George, SIAM J. Numer. Anal. 10, 345 (1973); A. Pothen, H. Simon, K. Liou, SIAM J. Matrix Anal. Appl. 11, 430 (1990)).

:func:`cheapest_tree` compares their costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csc_array, csr_array, diags_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, maximum_bipartite_matching
from scipy.sparse.linalg import eigsh

from spinase.typing import BoolArray, FloatArray, IntArray

_OVERHEAD = 3.0e4  # multiplications that one supernode costs in bookkeeping
_LEAF = 12  # sites below which a part is not dissected further
_MODES = 3  # slow modes tried for a cut
_DENSE_MODES = 400  # parts up to this size get their modes from a dense eigensolver
_BALANCE = 0.15  # least fraction of the sites on either side of a cut


@dataclass(frozen=True, eq=False)
class Supernode:
    """Sites that are eliminated together.

    Attributes
    ----------
    own : (n,) int
        Sites eliminated here.
    border : (m,) int
        Sites of ancestors coupled to them after everything below is eliminated, in the order of their elimination.
    parent : int
        Index of the supernode whose own or border sites hold all of `border`; -1 for a root.
    """

    own: IntArray
    border: IntArray
    parent: int


@dataclass(frozen=True, eq=False)
class EliminationTree:
    """Supernodes, children before their parents.

    Attributes
    ----------
    nodes : tuple of Supernode
    sites : int
    form : str
        ``"layers"`` or ``"dissection"``.
    """

    nodes: tuple[Supernode, ...]
    sites: int
    form: str

    def work(self, orbitals: int = 2) -> float:
        """Complex multiplications of one selected inversion, with `orbitals` per site."""
        own, border = (orbitals * np.array(sizes, dtype=float) for sizes in self._sizes())
        return float(np.sum(own**3 + 3.0 * own**2 * border + 3.0 * own * border**2))

    def storage(self, orbitals: int = 2) -> float:
        """Complex numbers kept between the two sweeps."""
        own, border = (orbitals * np.array(sizes, dtype=float) for sizes in self._sizes())
        return float(np.sum(own * (own + 2.0 * border)))

    @property
    def widest(self) -> int:
        """Sites of the largest front (own and border sites together)."""
        return max((len(node.own) + len(node.border) for node in self.nodes), default=0)

    def covers(self, first: IntArray, second: IntArray) -> bool:
        """Whether no edge (first, second) joins sites that the tree takes for separate."""
        position, members = _membership(self)
        early = np.where(position[first] <= position[second], first, second)
        late = np.where(position[first] <= position[second], second, first)
        home = position[early]
        return all(position[b] == n or b in members[n] for b, n in zip(late.tolist(), home.tolist(), strict=True))

    def to_lists(self) -> dict[str, Any]:
        """The tree as JSON values."""
        nodes = [[node.own.tolist(), node.border.tolist(), node.parent] for node in self.nodes]
        return {"nodes": nodes, "sites": self.sites, "form": self.form}

    @classmethod
    def from_lists(cls, stored: dict[str, Any]) -> EliminationTree:
        """The tree that :meth:`to_lists` gave."""
        nodes = tuple(
            Supernode(np.array(own, dtype=np.int64), np.array(border, dtype=np.int64), int(parent))
            for own, border, parent in stored["nodes"]
        )
        return cls(nodes, int(stored["sites"]), str(stored["form"]))

    def _sizes(self) -> tuple[list[int], list[int]]:
        return [len(node.own) for node in self.nodes], [len(node.border) for node in self.nodes]


def _membership(tree: EliminationTree) -> tuple[IntArray, list[set[int]]]:
    """Supernode of each site, and the border of each supernode as a set."""
    position = np.empty(tree.sites, dtype=np.int64)
    for n, node in enumerate(tree.nodes):
        position[node.own] = n
    return position, [set(node.border.tolist()) for node in tree.nodes]


def cheapest_tree(sites: int, first: IntArray, second: IntArray) -> EliminationTree:
    """The cheaper of layers and nested dissection for the graph with edges (first, second).

    Parameters
    ----------
    sites : int
        N.
    first, second : (n_bonds,) ndarray of int
        Edges; loops do not count.
    """
    graph = adjacency(sites, first, second)
    return min((layered_tree(graph), dissected_tree(graph)), key=_total)


def adjacency(sites: int, first: IntArray, second: IntArray) -> csr_array:
    """Symmetric 0/1 matrix of the graph, without loops.

    Parameters
    ----------
    sites : int
        N.
    first, second : (n_bonds,) ndarray of int
        Edges, each once or several times.
    """
    off = first != second
    rows, columns = np.concatenate([first[off], second[off]]), np.concatenate([second[off], first[off]])
    graph = csr_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(sites, sites))
    graph.data[:] = 1
    return graph


def layered_tree(graph: csr_array) -> EliminationTree:
    """Breadth-first layers of each connected part, starting at a far end."""
    parts: list[tuple[IntArray, int]] = []
    for part in _components(graph, np.arange(graph.shape[0])):
        layers = _levels(graph[part][:, part], _far_end(graph[part][:, part]))
        start = len(parts)
        parts += [(part[layer], start + k + 1) for k, layer in enumerate(layers)]
        parts[-1] = (parts[-1][0], -1)
    return _symbolic(graph, parts, "layers")


def dissected_tree(graph: csr_array) -> EliminationTree:
    """Nested dissection, small supernodes merged where that is cheaper."""
    parts: list[tuple[IntArray, int]] = []
    for part in _components(graph, np.arange(graph.shape[0])):
        _dissect(graph, part, parts)
    return _merge(_symbolic(graph, parts, "dissection"))


def _dissect(graph: csr_array, sites: IntArray, parts: list[tuple[IntArray, int]]) -> int:
    """Append the supernodes of a connected part, children first; the index of the topmost one."""
    cut = _separator(graph[sites][:, sites]) if len(sites) > _LEAF else None
    if cut is None:
        parts.append((sites, -1))
        return len(parts) - 1
    rest = sites[np.setdiff1d(np.arange(len(sites)), cut)]
    children = [_dissect(graph, piece, parts) for piece in _components(graph, rest)]
    parts.append((sites[cut], -1))
    for child in children:
        parts[child] = (parts[child][0], len(parts) - 1)
    return len(parts) - 1


def _components(graph: csr_array, sites: IntArray) -> list[IntArray]:
    if not len(sites):
        return []
    count, label = connected_components(graph[sites][:, sites], directed=False)
    return [sites[label == k] for k in range(count)]


def _far_end(graph: csr_array) -> int:
    """A site at the end of a longest shortest path, nearly."""
    site = 0
    for _ in range(3):
        site = int(breadth_first_order(graph, site, return_predecessors=False)[-1])
    return site


def distance_levels(graph: csr_array, starts: Sequence[IntArray]) -> IntArray:
    """Number of edges between each site and a set of sites (N,).

    Parts of the graph that the first set of `starts` does not reach are measured from the next one, and so on, and from
    their own far ends if no set reaches them.
    """
    level = np.full(graph.shape[0], -1, dtype=np.int64)
    for start in starts:
        front, distance = start[level[start] < 0], 0
        while len(front):
            level[front] = distance
            near = np.unique(graph[front].indices).astype(np.int64)
            front, distance = near[level[near] < 0], distance + 1
    for part in _components(graph, np.flatnonzero(level < 0)):
        level[part] = distance_levels(graph[part][:, part], [np.array([_far_end(graph[part][:, part])])])
    return level


def _levels(graph: csr_array, start: int) -> list[IntArray]:
    """Sites by distance from `start`, in a connected graph."""
    level = distance_levels(graph, [np.array([start])])
    by_level = np.argsort(level, kind="stable")
    return np.split(by_level, np.flatnonzero(np.diff(level[by_level])) + 1)


def _separator(graph: csr_array) -> IntArray | None:
    """A small set of sites whose removal takes a connected graph apart in two comparable parts; None if there is none."""
    best, best_score = None, np.inf
    size = graph.shape[0]
    for values in _orderings(graph):
        rank = np.empty(size, dtype=np.int64)
        rank[np.argsort(values, kind="stable")] = np.arange(size)
        cut = _vertex_cover(graph, rank < size // 2)
        low = np.count_nonzero((rank < size // 2) & ~np.isin(np.arange(size), cut))
        smaller = min(low, size - low - len(cut))
        if smaller < _BALANCE * size and smaller < 2:
            continue
        score = len(cut) * (1.0 + 0.5 * (size - len(cut) - 2 * smaller) / size)
        if score < best_score:
            best, best_score = cut, score
    return best


def _orderings(graph: csr_array) -> list[FloatArray]:
    """Site values whose median cuts are candidates: slow modes of the Laplacian and sums of them, distance."""
    size = graph.shape[0]
    matrix = csc_array(diags_array(graph.sum(axis=1).astype(np.float64)) - graph.astype(np.float64))  # Laplacian
    if size <= _DENSE_MODES:
        modes = np.linalg.eigh(matrix.toarray())[1][:, 1 : 1 + _MODES]
    else:
        start = np.random.default_rng(0).normal(size=size)
        modes = eigsh(matrix, k=min(1 + _MODES, size - 1), sigma=-1e-3, v0=start, tol=1e-4)[1][:, 1:]
    sums = [modes[:, 0] + modes[:, 1], modes[:, 0] - modes[:, 1]] if modes.shape[1] > 1 else []
    order = breadth_first_order(graph, _far_end(graph), return_predecessors=False)
    distance = np.empty(size)
    distance[order] = np.arange(size)
    return [*modes.T, *sums, distance]


def _vertex_cover(graph: csr_array, low: BoolArray) -> IntArray:
    """Fewest sites that touch every edge between `low` and the rest (Koenig's theorem)."""
    edges = graph.tocoo()
    crossing = low[edges.row] & ~low[edges.col]
    rows, columns = edges.row[crossing], edges.col[crossing]
    left, right = np.unique(rows), np.unique(columns)
    between = csr_array(
        (np.ones(len(rows), dtype=np.int8), (np.searchsorted(left, rows), np.searchsorted(right, columns))),
        shape=(len(left), len(right)),
    )
    match = maximum_bipartite_matching(between, perm_type="column")  # right partner of each left site
    partner = np.full(len(right), -1)
    partner[match[match >= 0]] = np.flatnonzero(match >= 0)
    reached_left, reached_right = match < 0, np.zeros(len(right), dtype=bool)
    stack = np.flatnonzero(reached_left).tolist()
    while stack:
        here = stack.pop()
        for there in between.indices[between.indptr[here] : between.indptr[here + 1]]:
            if not reached_right[there]:
                reached_right[there] = True
                back = int(partner[there])
                if back >= 0 and not reached_left[back]:
                    reached_left[back] = True
                    stack.append(back)
    return np.sort(np.concatenate([left[~reached_left], right[reached_right]]))


def _symbolic(graph: csr_array, parts: Sequence[tuple[IntArray, int]], form: str) -> EliminationTree:
    """Borders, from the leaves up."""
    position = np.empty(graph.shape[0], dtype=np.int64)
    start = 0
    for own, _ in parts:
        position[own] = np.arange(start, start + len(own))
        start += len(own)
    borders: list[set[int]] = [set() for _ in parts]
    nodes = []
    for n, (own, parent) in enumerate(parts):
        last = position[own].max()
        near = np.unique(np.concatenate([graph.indices[graph.indptr[i] : graph.indptr[i + 1]] for i in own]))
        borders[n].update(near[position[near] > last].tolist())
        borders[n].difference_update(own.tolist())
        if parent >= 0:
            borders[parent].update(borders[n])
        border = np.array(sorted(borders[n], key=position.__getitem__), dtype=np.int64)
        nodes.append(Supernode(own[np.argsort(position[own])], border, parent))
    return EliminationTree(tuple(nodes), graph.shape[0], form)


def _merge(tree: EliminationTree) -> EliminationTree:
    """Merge supernodes into their parents where the fewer operations outweigh the extra multiplications."""
    own = [node.own for node in tree.nodes]
    border = [node.border for node in tree.nodes]
    parent = [node.parent for node in tree.nodes]
    for n in range(len(own)):
        above = parent[n]
        if above < 0:
            continue
        # the border of a child lies within the parent's own and border sites, so the merged border is the parent's
        apart = _cost(len(own[n]), len(border[n])) + _cost(len(own[above]), len(border[above]))
        if _cost(len(own[n]) + len(own[above]), len(border[above])) < apart:
            own[above] = np.concatenate([own[n], own[above]])
            own[n] = own[n][:0]
            parent = [above if p == n else p for p in parent]
    alive = [n for n in range(len(own)) if len(own[n])]
    renamed = {n: k for k, n in enumerate(alive)} | {-1: -1}
    nodes = tuple(Supernode(own[n], border[n], renamed[parent[n]]) for n in alive)
    return EliminationTree(nodes, tree.sites, tree.form)


def _cost(own: float, border: float) -> float:
    own, border = 2.0 * own, 2.0 * border
    return own**3 + 3.0 * own**2 * border + 3.0 * own * border**2 + _OVERHEAD


def _total(tree: EliminationTree) -> float:
    return sum(_cost(len(node.own), len(node.border)) for node in tree.nodes)
