"""Arrays of the compiled network: neighbours, weights of a layer, and the memory in which one thread works.

The layout of a row of sums is drawn in the README of this folder.  In short: the sums of a site are 9 rows, one for each
harmonic Y_m of the directions to its neighbours (degree 0: 1; degree 1: x, y, z; degree 2: xy, yz, zx, x2-y2, 2z2-x2-y2).  A
row holds four components of what neighbours send (a number, and the x, y, z of a spin vector), each with its channels.

Every array of numbers has the engine's type, float32 or float64.  Literals in kernels are converted to it: a plain 0.0 would
make everything double precision.  Names: ``grad_x`` is the gradient dE/dx of the energy, of the shape of x; N sites, P
directed pairs, F features, C channels of degree 0, I invariants.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from spinase.compiled import is_named, overload, register_jitable
from spinase.compiled.rows import LANES, aligned, fma, load, padded_length
from spinase.learning.engine.splines import MovingPairs, SplinePairs, basis, combined
from spinase.typing import Array

ChannelsByDegree = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Channels of degree 0, 1, 2 as LENGTHS of three tuples of zeros (empty: degree not there): lengths of tuples belong to the
type, so that the compiler knows them and unrolls loops over channels.  Every choice of channels is compiled anew."""

CHUNK = 64
"""Sites whose sums are held at once: few enough to stay in the processor's cache between sums, invariants and back."""

HARMONICS = 9
"""Harmonics of degrees 0, 1 and 2."""

CACHE_P, CACHE_Q, CACHE_U, CACHE_GRAD_T, CACHE_ROWS = 0, 5, 10, 13, 22
"""Rows of :attr:`Workspace.cache`, for LANES channels of one site: P (5 rows), Q(u') (5), u' and later dE/du' (3), dE/dT' by
way of P (9); how many there are.  :mod:`spinase.learning.engine.invariants` says what they are."""


class Options(NamedTuple):
    """Invariants that a network may have or not: squares of scalar chiralities; products of spin pairs."""

    chirality: bool
    products: bool


class Neighbours(NamedTuple):
    """Directed pairs i -> j, ordered by first site.

    Attributes
    ----------
    starts : (N + 1,) int64
        The pairs of site i are p = starts[i] .. starts[i + 1] - 1.
    second : (P,) int32
        Second site j of every pair.
    local : (P,) int32
        Index of j among the neighbours of the strip that i is in (:class:`spinase.learning.engine.graph.Strip`).
    knots : (P,) int32
        Row of the table of filters at or below the pair's distance.
    fractions : (P,)
        Where the distance is between this row and the next one, 0..1; 0 for all where distances have rows of their own.
    harmonics : (P, 9)
        Y_m of the direction (r_j - r_i)/r: 1, r/r, Q(r/r), dimensionless.
    planar : bool
        No pair has a z component: the harmonics z, yz and zx (3, 5, 6) are zero, and their sums are neither made nor read.
    """

    starts: Array
    second: Array
    local: Array
    knots: Array
    fractions: Array
    harmonics: Array
    planar: bool


class LayerWeights(NamedTuple):
    """Weights of a layer, transposed so that rows of sites are multiplied from the left; a final _t: not transposed.

    Attributes
    ----------
    table : (rows + 1, columns)
        Filters w_c(r) of degrees 0, 1, 2, one after the other, each padded with zeros to a multiple of LANES.
    own, own_t : (F, F)
        Of the features before the layer (torch: ``own``).
    collect, collect_t : (I, F), (F, I)
        Of the invariants (torch: ``collect``).
    bias : (F,)
        Sum of the biases of ``own`` and ``collect``.
    atoms, atoms_t, atom_biases : (A, F, F), (A, F, F), (A, F)
        On-site layers.
    """

    table: Array
    own: Array
    own_t: Array
    collect: Array
    collect_t: Array
    bias: Array
    atoms: Array
    atoms_t: Array
    atom_biases: Array


class SendWeights(NamedTuple):
    """Weights of what is sent to a layer, transposed as in :class:`LayerWeights`; names are those of the torch network.

    Attributes
    ----------
    send, send_t : (F, C), (C, F)
        Of the numbers z.
    send_spin, send_spin_t : (F, C), (C, F)
        Of the factors of the own spin.
    gate, gate_t, gate_bias : (F, C), (C, F), (C,)
        Of the gates of spin vectors that are passed on; of length 0 in the first layer.
    pass_on, pass_on_t : (C, C)
        Of the spin vectors M of the layer before; of length 0 in the first layer.
    """

    send: Array
    send_t: Array
    send_spin: Array
    send_spin_t: Array
    gate: Array
    gate_t: Array
    gate_bias: Array
    pass_on: Array
    pass_on_t: Array


class LayerContext(NamedTuple):
    """What all kernels of a layer are given: pairs, weights, options and channels."""

    pairs: Neighbours | SplinePairs | MovingPairs
    weights: LayerWeights
    options: Options
    channels_by_degree: ChannelsByDegree


class LayerCache(NamedTuple):
    """What the forward pass of a layer keeps for the way back.

    Attributes
    ----------
    features : (N, F)
        Before the layer.
    vectors : (N, 3 C)
        Spin vectors M of the layer before, components outside; of length 0 in the first layer.
    sent : (N, row_width)
        What neighbours are sent: z, v_x, v_y, v_z, C numbers each; behind those anything.
    gates : (N, C)
        tanh(gate) of the vectors that are passed on; of length 0 in the first layer.
    activation_slopes : (A + 1, N, F)
        Derivatives of the activations by their arguments: of the layer itself, then of its A on-site layers.
    """

    features: Array
    vectors: Array
    sent: Array
    gates: Array
    activation_slopes: Array


class LayerGradients(NamedTuple):
    """dE by what goes through a layer: the first two are given to the way back, the others are its results.

    Attributes
    ----------
    features_out : (N, F)
        By the features after the layer.
    vectors_out : (N, 3 C)
        By the spin vectors M of this layer, which the next one passes on; of length 0 in the last layer.
    features : (N, F)
        By the features before the layer, added to; of length 0 in the first layer, where nobody asks.
    sent : (strip's neighbours, row_width)
        By what the neighbours of a strip have sent, added to.
    """

    features_out: Array
    vectors_out: Array
    features: Array
    sent: Array


class Workspace(NamedTuple):
    """Memory of one thread; arrays begin as zeros, on cache lines (vectors across two of them cost twice as much).

    Attributes
    ----------
    projected : (4 x padded channels of all degrees,)
        dE/d(sums) of degrees 1 and 2 times a pair's harmonics, component by component; in training only.
    sums, grad_sums : (CHUNK, 9, row_width)
        Sums of the sites of a chunk, and dE/d(sums).
    cache : (CACHE_ROWS * LANES,)
        Intermediate rows of the invariants of one site (:mod:`spinase.learning.engine.invariants`).
    invariants : (CHUNK + 1, I)
        Invariants of the sites of a chunk, in the way back dE by them; a row more, as vectors may go beyond the end.
    """

    projected: Array
    sums: Array
    grad_sums: Array
    cache: Array
    invariants: Array


@register_jitable
def row_width(channels: int) -> int:
    """Numbers in a row of sums: four components of so many channels, each padded to a multiple of LANES."""
    return 4 * padded_length(channels)


def new_workspace(channels_by_degree: ChannelsByDegree, invariants: int, dtype: Any) -> Workspace:
    """Workspace for layers with these channels and so many invariants.

    Parameters
    ----------
    channels_by_degree : ChannelsByDegree
        Ranges as long as there are channels of degree 0, 1, 2.
    invariants : int
        I, invariants of a site.
    dtype : dtype
        float32 or float64.
    """
    channels = [len(part) for part in channels_by_degree]
    width, projected = row_width(channels[0]), 4 * sum(padded_length(count) for count in channels)
    shapes: tuple[tuple[int, ...], ...] = (
        (projected,),
        (CHUNK, HARMONICS, width),
        (CHUNK, HARMONICS, width),
        (CACHE_ROWS * LANES,),
        (CHUNK + 1, invariants),
    )
    return Workspace(*(aligned_array(shape, dtype) for shape in shapes))


def aligned_array(shape: tuple[int, ...], dtype: Any) -> Array:
    """Zeros that start on a cache line."""
    array: Array = aligned(prod(shape), dtype).reshape(shape)
    return array


def pair_filter(pairs: Any, p: int, table: Array, column: int) -> Any:
    """Compiled code only: row of LANES filters of pair p from `column` of the table on, by the type of `pairs`.

    With k = pairs.knots[p], t = pairs.fractions[p]: for :class:`Neighbours` w = (1 - t) table[k] + t table[k + 1], `table`
    (rows + 1, columns); for pairs of atoms that move the spline of :mod:`spinase.learning.engine.splines`.

    Parameters
    ----------
    pairs : Neighbours or MovingPairs
        Its type decides.
    p : int
        Pair.
    table : (rows, columns)
        Filters at distances, or coefficients of their splines.
    column : int
        First of LANES columns.
    """
    raise NotImplementedError


@overload(pair_filter)
def _pair_filter(pairs, p, table, column):  # type: ignore[no-untyped-def]  # numba wants the same signature in all
    if is_named(pairs, Neighbours):

        def code(pairs, p, table, column):  # type: ignore[no-untyped-def]
            at, t = pairs.knots[p] * table.shape[1] + column, pairs.fractions[p]
            low = load(table, at)
            return low if t == 0 else fma(t, load(table, at + table.shape[1]), fma(-t, low, low))
    else:

        def code(pairs, p, table, column):  # type: ignore[no-untyped-def]
            weights = basis(pairs.fractions[p], table.dtype.type)
            return combined(table, pairs.knots[p] * table.shape[1] + column, weights)

    return code
