"""Compiled loops of the second pass of training: tangents of the sums, the invariants and their gradients.

The tangent x_dot of x is its derivative along the direction in which the spins move by s_dot, the parts of the energy weigh
more by t_dot, and the pairs change by those of their harmonics and filters (:mod:`second_pass
<spinase.learning.engine.training.second_pass>` says which).  For invariants, the engine's own loops are compiled again for
pairs of arrays (values, tangents), see :mod:`spinase.compiled.dual`; sums are linear, so that their tangents are sums:

    S = sum_j w Y f_j     ->     S_dot = sum_j (w Y f_dot_j + w_dot Y f_j + w Y_dot f_j)

In arguments a pair of arrays is (values, tangents); G is dE/dS, and arrays have the shapes of the first pass.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spinase.compiled import register_jitable
from spinase.compiled.dual import dual
from spinase.compiled.exponential import exp
from spinase.compiled.rows import LANES, filled, fma, kernel, load, padded_length, scale, store
from spinase.learning.engine.invariants import SiteSums, site_invariants
from spinase.learning.engine.invariants_backward import site_invariants_backward
from spinase.learning.engine.sums import sum_neighbours
from spinase.learning.engine.training.kernels import SumContext, load_filters, store_filters
from spinase.learning.engine.workspace import CHUNK, HARMONICS, ChannelsByDegree, Neighbours, Workspace
from spinase.typing import Array

ArrayAndTangent = tuple[Array, Array]


class PairTangents(NamedTuple):
    """How pairs change, with a row of the table for each; all of length 0 where atoms are at rest.

    Attributes
    ----------
    pairs : Neighbours
        With Y_dot (P, 9) in the place of the harmonics; that of degree 0 is never read (Y_0 = 1 is not multiplied).
    table : (P, columns)
        w_dot.
    directional : (P, columns)
        w of degrees 1 and 2, and zeros in degree 0: filters for sums with Y_dot.
    """

    pairs: Neighbours
    table: Array
    directional: Array


@kernel
def silu_tangent(inputs: Array, inputs_dot: Array, slopes: Array, out_dot: Array, slopes_dot: Array) -> None:
    """Tangents of silu(x) and of its derivative, element by element; all arrays are flat and of one length.

        silu(x)_dot = silu'(x) x_dot,    silu'(x)_dot = g (1 - g) (2 + x (1 - 2 g)) x_dot,    g = 1/(1 + exp(-x))

    Parameters
    ----------
    inputs, inputs_dot : (n,)
        x and x_dot.
    slopes : (n,)
        silu'(x).
    out_dot, slopes_dot : (n,)
        silu(x)_dot and silu'(x)_dot, written.
    """
    vectors, one, two = len(inputs) // LANES * LANES, inputs.dtype.type(1.0), inputs.dtype.type(2.0)
    for c in range(0, vectors, LANES):
        x, x_dot = load(inputs, c), load(inputs_dot, c)
        gate = 1.0 / (1.0 + exp(0.0 - x))
        store(out_dot, c, load(slopes, c) * x_dot)
        store(slopes_dot, c, gate * (1.0 - gate) * (2.0 + x * (1.0 - gate * 2.0)) * x_dot)
    for c in range(vectors, len(inputs)):
        gate_ = one / (one + np.exp(-inputs[c]))
        out_dot[c] = slopes[c] * inputs_dot[c]
        slopes_dot[c] = gate_ * (one - gate_) * (two + inputs[c] * (one - two * gate_)) * inputs_dot[c]


@kernel
def invariants_forward_tangent(
    context: SumContext,
    workspaces: tuple[Workspace, Workspace],
    spins: ArrayAndTangent,
    sent: ArrayAndTangent,
    invariants: ArrayAndTangent,
    pair_tangents: PairTangents,
) -> None:
    """Tangents of the sums and invariants that :func:`invariants_forward` has made.

    Parameters
    ----------
    context : SumContext
        Of the layer.
    workspaces : two Workspaces
        Of the first pass, with S in ``sums`` (N, 9, row_width); S_dot is written to that of the other one, whose
        ``grad_sums`` (CHUNK, 9, row_width) is overwritten.
    spins, sent : two (N, 3), two (N, row_width)
        s, s_dot; f, f_dot.
    invariants : two (N + 1, I)
        x (written again) and x_dot, written.
    pair_tangents : PairTangents
        w_dot, Y_dot.
    """
    pairs, table, channels = context.pairs, context.table, context.channels_by_degree
    workspace, workspace_dot = workspaces
    sites, stride = len(spins[0]), workspace.sums.shape[2]
    cache, sums = (workspace.cache, workspace_dot.cache), (workspace.sums, workspace_dot.sums)
    moving, some = pair_tangents.pairs, workspace_dot.grad_sums
    for begin in range(0, sites, CHUNK):
        end = min(sites, begin + CHUNK)
        sum_neighbours(begin, end, pairs, table, sent[1], channels, workspace_dot.sums, 0)
        if len(moving.harmonics):
            sum_neighbours(begin, end, pairs, pair_tangents.table, sent[0], channels, some, begin)
            _add_sums(begin, end, some, workspace_dot.sums)
            sum_neighbours(begin, end, moving, pair_tangents.directional, sent[0], channels, some, begin)
            _add_sums(begin, end, some, workspace_dot.sums)
        for i in range(begin, end):
            x = dual(spins[0][i, 0], spins[1][i, 0])
            y, z = dual(spins[0][i, 1], spins[1][i, 1]), dual(spins[0][i, 2], spins[1][i, 2])
            site = SiteSums(sums, i * HARMONICS * stride, stride, x, y, z, False)
            site_invariants(site, context.options, channels, cache, invariants, i * invariants[0].shape[1])


@kernel
def _add_sums(begin: int, end: int, sums: Array, out: Array) -> None:
    """out[i] += sums[i - begin] of the sites i = begin .. end - 1; `sums` (CHUNK, 9, row_width), `out` (N, 9, row_width)."""
    size = HARMONICS * sums.shape[2]
    for q in range(0, (end - begin) * size, LANES):
        store(out, begin * size + q, load(out, begin * size + q) + load(sums, q))


@kernel
def invariants_backward_tangent(
    context: SumContext,
    workspaces: tuple[Workspace, Workspace],
    spins: ArrayAndTangent,
    sent: ArrayAndTangent,
    grad_invariants: ArrayAndTangent,
    grad_vectors: ArrayAndTangent,
    grad_sent_dot: Array,
    grad_table_dot: Array,
    pair_tangents: PairTangents,
) -> None:
    """Tangents of the gradients that :func:`invariants_backward` has made.

    Parameters
    ----------
    context, workspaces, spins, sent, pair_tangents
        As in :func:`invariants_forward_tangent`, which has left S and S_dot; ``grad_sums`` of both are overwritten.
    grad_invariants : two (N + 1, I)
        dE/dx and its tangent.
    grad_vectors : two (N, 3 C), or of length 0
        dE/dM by way of the next layer, and its tangent.
    grad_sent_dot : (N, row_width)
        (dE/df)_dot, written.
    grad_table_dot : (distances, columns)
        (dE/dw)_dot, added to: of all pairs with a distance.
    """
    channels_by_degree, (workspace, workspace_dot) = context.channels_by_degree, workspaces
    sites, channels, stride = len(spins[0]), len(channels_by_degree[0]), workspace.sums.shape[2]
    cache, sums = (workspace.cache, workspace_dot.cache), (workspace.sums, workspace_dot.sums)
    grad_sums = (workspace.grad_sums, workspace_dot.grad_sums)
    grad_sent_dot[:] = grad_sent_dot.dtype.type(0.0)
    for begin in range(0, sites, CHUNK):
        end = min(sites, begin + CHUNK)
        for k in range(end - begin):
            i, to = begin + k, k * HARMONICS * stride
            x = dual(spins[0][i, 0], spins[1][i, 0])
            y, z = dual(spins[0][i, 1], spins[1][i, 1]), dual(spins[0][i, 2], spins[1][i, 2])
            site = SiteSums(sums, i * HARMONICS * stride, stride, x, y, z, False)
            place = i * grad_invariants[0].shape[1]
            site_invariants_backward(site, context.options, channels_by_degree, cache, grad_invariants, place, grad_sums, to)
            if len(grad_vectors[0]):
                for q in range(3 * channels):
                    workspace.grad_sums[k, 0, channels + q] += grad_vectors[0][i, q]
                    workspace_dot.grad_sums[k, 0, channels + q] += grad_vectors[1][i, q]
        _pair_gradient_tangents(begin, end, context, workspaces, sent, grad_sent_dot, grad_table_dot, pair_tangents)


@kernel
def _pair_gradient_tangents(
    begin: int,
    end: int,
    context: SumContext,
    workspaces: tuple[Workspace, Workspace],
    sent: ArrayAndTangent,
    grad_sent_dot: Array,
    grad_table_dot: Array,
    pair_tangents: PairTangents,
) -> None:
    """Tangents of dE/df_j and dE/dw of the pairs of sites i = begin .. end - 1, added to those of site and distance.

    With G_i[m, q, c] = dE/dS_i, H[q, c] = sum_m Y_m G_i[m, q, c] and H_dot = sum_m (Y_m G_dot + Y_dot_m G), for each degree,

        (dE/df_j[q, c])_dot += sum_d (w_d,c H_dot[q, c] + w_dot_d,c H[q, c])
        (dE/dw_d,c)_dot     += sum_q (H_dot[q, c] f_j[q, c] + H[q, c] f_dot_j[q, c])

    Arguments are those of :func:`invariants_backward_tangent`; G and G_dot are in ``grad_sums`` of the workspaces, H and
    H_dot of degrees 1 and 2 go to ``projected`` (of degree 0 they are G and G_dot).
    """
    pairs, channels, (workspace, workspace_dot) = context.pairs, context.channels_by_degree, workspaces
    stride, moving = sent[0].shape[1], len(pair_tangents.pairs.harmonics) > 0
    projected, projected_dot = workspace.projected, workspace_dot.projected
    for i in range(begin, end):
        start = (i - begin) * HARMONICS * stride
        for p in range(pairs.starts[i], pairs.starts[i + 1]):
            _project(pairs.harmonics, p, channels, workspace.grad_sums, start, projected, False)
            _project(pairs.harmonics, p, channels, workspace_dot.grad_sums, start, projected_dot, False)
            if moving:
                _project(pair_tangents.pairs.harmonics, p, channels, workspace.grad_sums, start, projected_dot, True)
            to, at = pairs.second[p] * stride, pairs.knots[p] * context.table.shape[1]
            for c in range(0, len(channels[0]), LANES):
                filters = load_filters(context.table, at, c, channels)
                filters_dot = load_filters(pair_tangents.table, at, c, channels) if moving else _zero_filters(context.table)
                grad_filters = load_filters(grad_table_dot, at, c, channels)
                grad_filters = _channel_tangents(
                    c, channels, (filters, filters_dot), workspaces, start, sent, to, grad_sent_dot, grad_filters
                )
                store_filters(grad_table_dot, at, c, channels, grad_filters)


@register_jitable
def _zero_filters(table: Array) -> Any:
    """Zeros for three degrees."""
    none = filled(table, 0.0)
    return none, none, none


@register_jitable
def _channel_tangents(
    c: int,
    channels_by_degree: ChannelsByDegree,
    filters: Any,
    workspaces: tuple[Workspace, Workspace],
    start: int,
    sent: Any,
    to: int,
    grad_sent_dot: Array,
    grad_filters: Any,
) -> Any:
    """The sums of :func:`_pair_gradient_tangents` for one pair and channels c .. c + LANES - 1.

    `filters`: (w, w_dot), three degrees each; (dE/df)_dot is added to the row `to` of `grad_sent_dot`, (dE/dw)_dot to
    `grad_filters`, three degrees, which are returned.
    """
    (w, w_dot), (workspace, workspace_dot), (g0, g1, g2) = filters, workspaces, grad_filters
    channels = len(channels_by_degree[0])
    size_1, size_2 = padded_length(len(channels_by_degree[1])), padded_length(len(channels_by_degree[2]))
    for q in range(4):
        place = q * channels + c
        f, out = (load(sent[0], to + place), load(sent[1], to + place)), load(grad_sent_dot, to + place)
        h = (load(workspace.grad_sums, start + place), load(workspace_dot.grad_sums, start + place))
        out, g0 = _product_tangents(w[0], w_dot[0], f, h, out, g0)
        if c < len(channels_by_degree[1]):
            at = q * size_1 + c
            h = (load(workspace.projected, at), load(workspace_dot.projected, at))
            out, g1 = _product_tangents(w[1], w_dot[1], f, h, out, g1)
        if c < len(channels_by_degree[2]):
            at = 4 * size_1 + q * size_2 + c
            h = (load(workspace.projected, at), load(workspace_dot.projected, at))
            out, g2 = _product_tangents(w[2], w_dot[2], f, h, out, g2)
        store(grad_sent_dot, to + place, out)
    return g0, g1, g2


@register_jitable
def _product_tangents(w: Any, w_dot: Any, f: Any, h: Any, grad_f_dot: Any, grad_w_dot: Any) -> Any:
    """Of a term w f h: grad_f_dot + w h_dot + w_dot h, grad_w_dot + f h_dot + f_dot h; f and h are (value, tangent)."""
    grad_f_dot = fma(w_dot, h[0], fma(w, h[1], grad_f_dot))
    return grad_f_dot, fma(h[1], f[0], fma(h[0], f[1], grad_w_dot))


@kernel
def _project(
    harmonics: Array,
    p: int,
    channels_by_degree: ChannelsByDegree,
    grad_sums: Array,
    start: int,
    projected: Array,
    add: bool,
) -> None:
    """H[q, c] = sum_m Y_m G[m, q, c] of degrees 1 and 2 for pair p, into `projected`, or added to it.

    `harmonics` (P, 9) Y; `grad_sums` (CHUNK, 9, row_width) G, of the site whose rows start at `start`; `projected`: 4 padded
    C_1 numbers of degree 1, then 4 padded C_2 of degree 2.
    """
    size_1, size_2 = 4 * padded_length(len(channels_by_degree[1])), 4 * padded_length(len(channels_by_degree[2]))
    if size_1:
        _project_degree(harmonics, p, 1, 4, grad_sums, start, size_1, projected, 0, add)
    if size_2:
        _project_degree(harmonics, p, 4, 9, grad_sums, start, size_2, projected, size_1, add)


@kernel
def _project_degree(
    harmonics: Array,
    p: int,
    first: int,
    last: int,
    grad_sums: Array,
    start: int,
    size: int,
    projected: Array,
    place: int,
    add: bool,
) -> None:
    """As :func:`_project`, of the harmonics first .. last - 1, whose rows have `size` numbers, from `place` on."""
    stride = grad_sums.shape[2]
    for q in range(0, size, LANES):
        row = scale(harmonics[p, first], load(grad_sums, start + first * stride + q))
        if add:
            row = load(projected, place + q) + row
        for m in range(first + 1, last):
            row = fma(harmonics[p, m], load(grad_sums, start + m * stride + q), row)
        store(projected, place + q, row)


__all__ = ["PairTangents", "invariants_backward_tangent", "invariants_forward_tangent", "silu_tangent"]
