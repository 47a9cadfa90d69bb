"""What the loops of a lattice are given: a kind of site with its weights, a strip of sites, memory.

Numbers of sites lie side by side: a row is one number of WIDTH sites, a block of sites is some rows.  Every array of numbers
has the engine's type, float32 or float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from spinase.compiled.rows import aligned
from spinase.learning.engine.lattice.tiles import WIDTH, Map, Tiles, packed
from spinase.learning.lattice.descriptors import InvariantTable
from spinase.typing import Array, FloatArray


class Products(NamedTuple):
    """Invariants x from forms h: sums over terms of weight h_i, weight h_i h_j, or weight h_i h_j h_k.

    Attributes
    ----------
    groups : (G, 3) int64
        For every invariant: first term, last term (not included), factors of a term.
    factors : (T, 3) int64
        Forms; of those that a term has not, anything.
    weights : (T,)
        Of the terms.
    """

    groups: Array
    factors: Array
    weights: Array


class Rows(NamedTuple):
    """Where things begin in the rows of a block.

    Attributes
    ----------
    variables, adapted, invariants : int
        Bonds and chiralities; their symmetry-adapted forms before they are mixed; invariants. Backwards dE by these.
    forms : int
        dE by the mixed forms h.
    gradients : int
        dE by the spins of the places, 3 rows each; the spins themselves are rows 0 to 3 (n + 1) - 1.
    parts : int
        Parts of the sites, backwards dE by them; the activations of the layers are before them.
    moved : int
        dE by bonds and chiralities, of what counts by places.
    total : int
        Rows of a block.
    """

    variables: int
    adapted: int
    invariants: int
    forms: int
    gradients: int
    parts: int
    moved: int
    total: int


class SiteKind(NamedTuple):
    """Sites with one kind of surroundings: places, weights, and where things are.

    Attributes
    ----------
    bonds, triples : (K, 2), (M, 3) int64
        Places.
    products : Products
    forward, backward : Tiles
        Maps: variables -> adapted forms -> forms h; invariants -> layer -> .. -> parts.  Backwards their transposes, in the
        same order.
    layers : (hidden layers + 1,) int64
        Row in which the activations of a layer begin, and where they end.
    rows : Rows
    forms : int
        F, which is where silu' of the layers begin in the rows of a cache.
    """

    bonds: Array
    triples: Array
    products: Products
    forward: Tiles
    backward: Tiles
    layers: Array
    rows: Rows
    forms: int


@dataclass(frozen=True, eq=False)
class SiteWeights:
    """Numbers of a kind of site, double precision.

    Attributes
    ----------
    adapted : (U, K + M) ndarray
        Symmetry-adapted forms of bonds and chiralities.
    mixtures : (F, U) ndarray
        Of these.
    layers : list of (weight (m, n), bias (m,))
        From the invariants to the parts.
    table : InvariantTable
        Places, and products of the mixtures.
    """

    adapted: FloatArray
    mixtures: FloatArray
    layers: list[tuple[FloatArray, FloatArray]]
    table: InvariantTable


def site_kind(weights: SiteWeights, places: int, dtype: Any) -> SiteKind:
    """A kind of site with n + 1 = `places` places as the loops want it.

    Parameters
    ----------
    weights : SiteWeights
        Forms, invariants and layers of the network, float64.
    places : int
        n + 1: the site and its neighbours.
    dtype : dtype
        Precision of the loops, float32 or float64.
    """
    table, widths = weights.table, [len(bias) for _, bias in weights.layers[:-1]]
    (adapted, variables), forms = weights.adapted.shape, len(weights.mixtures)
    sizes = [3 * places, variables, adapted, table.count, forms, 3 * places, *widths, len(weights.layers[-1][1]), variables]
    begins = np.cumsum([0, *sizes])
    rows, hidden = Rows(*begins[1:6].tolist(), *begins[-3:].tolist()), begins[6:-2]
    nothing = np.zeros(adapted), np.zeros(forms)
    forward = [
        Map(weights.adapted, nothing[0], rows.variables, rows.adapted),
        Map(weights.mixtures, nothing[1], rows.adapted, 0),
    ]
    backward = [forward[0].reversed(), Map(weights.mixtures.T, nothing[0], rows.forms, rows.adapted)]
    ends = [rows.invariants, *hidden.tolist()]
    for (matrix, bias), (source, target) in zip(weights.layers, pairwise(ends), strict=True):
        forward.append(Map(matrix, bias, source, target))
        backward.append(forward[-1].reversed())
    tiles = packed(forward, dtype), packed(backward, dtype)
    return SiteKind(table.bonds, table.triples, _products(table, dtype), *tiles, hidden, rows, forms)


def _products(table: InvariantTable, dtype: Any) -> Products:
    """Terms of all invariants, invariant by invariant."""
    direct = np.stack([np.arange(len(table.direct)), table.direct], axis=1)
    lists = [(direct, np.ones(len(direct))), (table.quadratic, table.quadratic_weights), (table.cubic, table.cubic_weights)]
    terms = [
        (int(row[0]), [*row[1:].tolist(), 0, 0][:3], float(weight), len(row) - 1)
        for rows, weights in lists
        for row, weight in zip(rows, weights, strict=True)
    ]
    terms.sort(key=lambda term: term[0])
    outs = [term[0] for term in terms]
    begins, ends = (np.searchsorted(outs, np.arange(table.count), side=side) for side in ("left", "right"))
    orders = [terms[int(begin)][3] for begin in begins]
    groups = np.stack([begins, ends, orders], axis=1).astype(np.int64)
    factors = np.array([term[1] for term in terms], dtype=np.int64)
    return Products(groups, factors, np.array([term[2] for term in terms], dtype=dtype))


class Strip(NamedTuple):
    """Sites that are done together, in blocks of WIDTH.

    Attributes
    ----------
    sites : (n,) int64
        Which.
    neighbours : (L,) int64
        All sites that they and their neighbours are, ascending.
    places : (blocks, n + 1, WIDTH) int32
        Where in `neighbours` the places of a site are; the last block is filled up with the strip's first site.
    """

    sites: Array
    neighbours: Array
    places: Array


class Wanted(NamedTuple):
    """Which gradients are wanted.

    Attributes
    ----------
    potentials : (Q, 2) int64
        A potential without what counts by places in it, and that of what does, which counts once there; -1: nothing does.
    seeds : (J, N, K)
        dE by the parts of all potentials.
    """

    potentials: Array
    seeds: Array


class Workspace(NamedTuple):
    """Memory of one thread: spins around a strip (3 L,), rows of a block, both flat."""

    spins: Array
    values: Array


def new_workspace(longest: int, rows: int, dtype: Any) -> Workspace:
    """For strips with up to `longest` neighbours and blocks of so many rows.

    Parameters
    ----------
    longest : int
        Most neighbours of a strip.
    rows : int
        Rows of WIDTH numbers that a block needs, ``Rows`` of its kind.
    dtype : dtype
        float32 or float64.
    """
    return Workspace(aligned(3 * longest, dtype), aligned(rows * WIDTH, dtype))


__all__ = ["Products", "Rows", "SiteKind", "SiteWeights", "Strip", "Wanted", "Workspace", "new_workspace", "site_kind"]
