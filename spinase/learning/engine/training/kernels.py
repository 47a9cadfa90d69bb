"""Compiled loops of the first pass of training: sums and invariants of all sites, the way back to spins and pairs.

The engine's own loops (:mod:`sums <spinase.learning.engine.sums>`, :mod:`invariants <spinase.learning.engine.invariants>`)
on one configuration, which is small enough to keep what the way back needs: ``workspace.sums`` has room for all sites here,
``workspace.grad_sums`` for a chunk.  Every distance has a row of filters (``fractions`` are zero), harmonics are not assumed
to be planar, and where atoms move there are gradients by filters and harmonics of the pairs, too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from spinase.compiled import register_jitable
from spinase.compiled.rows import LANES, filled, fma, kernel, load, padded_length, store, total
from spinase.learning.engine.invariants import SiteSums, site_invariants
from spinase.learning.engine.invariants_backward import site_invariants_backward
from spinase.learning.engine.sums import sum_neighbours, sum_neighbours_backward
from spinase.learning.engine.workspace import CHUNK, HARMONICS, ChannelsByDegree, Neighbours, Options, Workspace
from spinase.typing import Array


class SumContext(NamedTuple):
    """What the sums of a layer of one configuration need: pairs, filters (distances, columns), options and channels."""

    pairs: Neighbours
    table: Array
    options: Options
    channels_by_degree: ChannelsByDegree


@kernel
def invariants_forward(context: SumContext, workspace: Workspace, spins: Array, sent: Array, invariants: Array) -> None:
    """Sums S of all sites into ``workspace.sums`` and their invariants x into `invariants`.

    Parameters
    ----------
    context : SumContext
        Of the layer.
    workspace : Workspace
        ``sums`` (N, 9, row_width).
    spins : (N, 3)
        s, free spin vectors.
    sent : (N, row_width)
        z and v of all sites.
    invariants : (N + 1, I)
        Written; the last row is room for vectors that go beyond the end.
    """
    pairs, sums, cache = context.pairs, workspace.sums, workspace.cache
    sites, stride = len(spins), sums.shape[2]
    for begin in range(0, sites, CHUNK):
        end = min(sites, begin + CHUNK)
        sum_neighbours(begin, end, pairs, context.table, sent, context.channels_by_degree, sums, 0)
        for i in range(begin, end):
            site = SiteSums(sums, i * HARMONICS * stride, stride, spins[i, 0], spins[i, 1], spins[i, 2], False)
            place = i * invariants.shape[1]
            site_invariants(site, context.options, context.channels_by_degree, cache, invariants, place)


@kernel
def invariants_backward(
    context: SumContext,
    workspace: Workspace,
    spins: Array,
    sent: Array,
    grad_invariants: Array,
    grad_vectors: Array,
    grad_sent: Array,
    field: Array,
    grad_table: Array,
    grad_harmonics: Array,
) -> None:
    """The transpose of :func:`invariants_forward`: from dE/dx to dE by spins, by what was sent, and by the pairs.

    Parameters
    ----------
    context, workspace, spins, sent
        As there; ``workspace.sums`` as left there, ``workspace.grad_sums`` (CHUNK, 9, row_width) is overwritten.
    grad_invariants : (N + 1, I)
        dE/dx.
    grad_vectors : (N, 3 C) or of length 0
        dE/dM by way of the next layer, added to dE/dS[0, 1..3].
    grad_sent : (N, row_width)
        dE/dz, dE/dv, written.
    field : (N, 3)
        -dE/ds by way of the invariants, added to.
    grad_table : (P, columns) or of length 0
        dE/dw of every pair, written, where atoms move (``knots[p] = p`` then).
    grad_harmonics : (P, 9) or of length 0
        dE/dY of every pair, degrees 1 and 2, added to; its length says whether atoms move.
    """
    pairs, table, channels_by_degree = context.pairs, context.table, context.channels_by_degree
    sums, grad_sums, cache = workspace.sums, workspace.grad_sums, workspace.cache
    sites, channels, stride = len(spins), len(channels_by_degree[0]), sums.shape[2]
    grad_sent[:] = grad_sent.dtype.type(0.0)
    for begin in range(0, sites, CHUNK):
        end = min(sites, begin + CHUNK)
        for k in range(end - begin):
            i, to = begin + k, k * HARMONICS * stride
            site = SiteSums(sums, i * HARMONICS * stride, stride, spins[i, 0], spins[i, 1], spins[i, 2], False)
            place = i * grad_invariants.shape[1]
            grad_spin = site_invariants_backward(
                site, context.options, channels_by_degree, cache, grad_invariants, place, grad_sums, to
            )
            if len(grad_vectors):
                for q in range(3 * channels):
                    grad_sums[k, 0, channels + q] += grad_vectors[i, q]
            field[i, 0] -= grad_spin[0]
            field[i, 1] -= grad_spin[1]
            field[i, 2] -= grad_spin[2]
        sum_neighbours_backward(begin, end, pairs, table, channels_by_degree, grad_sums, pairs.second, grad_sent)
        if len(grad_harmonics):
            _pair_gradients(begin, end, context, grad_sums, sent, grad_table, grad_harmonics)


@kernel
def _pair_gradients(
    begin: int, end: int, context: SumContext, grad_sums: Array, sent: Array, grad_table: Array, grad_harmonics: Array
) -> None:
    """dE by filters and harmonics of the pairs of the sites i = begin .. end - 1, from dE/dS of these sites.

        dE/dw_d,c  = sum_m Y_m G[m, c],    dE/dY_m += sum_c w_d,c G[m, c],    G[m, c] = sum_q dE/dS_i[m, q, c] f_j[q, c]

    `grad_sums` (CHUNK, 9, row_width) dE/dS, `sent` (N, row_width) f, `grad_table` (P, columns) written, `grad_harmonics`
    (P, 9) added to, but for Y_0 = 1.
    """
    pairs, table, channels_by_degree = context.pairs, context.table, context.channels_by_degree
    channels, channels_1, channels_2 = len(channels_by_degree[0]), len(channels_by_degree[1]), len(channels_by_degree[2])
    stride, step, column_1 = sent.shape[1], grad_sums.shape[2], padded_length(channels)
    for i in range(begin, end):
        start = (i - begin) * HARMONICS * step
        for p in range(pairs.starts[i], pairs.starts[i + 1]):
            to, at = pairs.second[p] * stride, pairs.knots[p] * table.shape[1]
            for c in range(0, channels, LANES):
                row = filled(table, 0.0)
                for q in range(4):
                    place = q * channels + c
                    row = fma(load(grad_sums, start + place), load(sent, to + place), row)
                store(grad_table, at + c, row)
            shared = (table, at, grad_sums, start, sent, to, channels, grad_table, grad_harmonics)
            _degree_pair_gradients(pairs.harmonics, p, 1, 4, channels_1, column_1, *shared)
            _degree_pair_gradients(pairs.harmonics, p, 4, 9, channels_2, column_1 + padded_length(channels_1), *shared)


@register_jitable
def _degree_pair_gradients(
    harmonics: Array,
    p: int,
    first: int,
    last: int,
    channels: int,
    column: int,
    table: Array,
    at: int,
    grad_sums: Array,
    start: int,
    sent: Array,
    to: int,
    channels_0: int,
    grad_table: Array,
    grad_harmonics: Array,
) -> None:
    """As :func:`_pair_gradients`, of pair p and harmonics first .. last - 1, whose filters begin at `column` of row `at`.

    `start`: offset of the first site's rows in `grad_sums`, `to`: of the second site's row in `sent`.
    """
    step, size = grad_sums.shape[2], padded_length(channels)
    for c in range(0, channels, LANES):
        filters, row = load(table, at + column + c), filled(table, 0.0)
        for m in range(first, last):
            grad = filled(table, 0.0)
            for q in range(4):
                grad = fma(load(grad_sums, start + m * step + q * size + c), load(sent, to + q * channels_0 + c), grad)
            grad_harmonics[p, m] += total(filters * grad)
            row = fma(harmonics[p, m], grad, row)
        store(grad_table, at + column + c, row)


@register_jitable
def load_filters(table: Array, at: int, c: int, channels_by_degree: ChannelsByDegree) -> Any:
    """Filters (or their gradients) of degrees 0, 1, 2, channels c .., from the row at `at`; zeros where there are none.

    Parameters
    ----------
    table : (distances, columns) or pair of them
        Filters, degree by degree.
    at : int
        Element where the row begins.
    c : int
        First of the LANES channels.
    channels_by_degree : ChannelsByDegree
        Ranges as long as there are channels of degree 0, 1, 2.
    """
    column_1, column_2 = padded_length(len(channels_by_degree[0])), padded_length(len(channels_by_degree[1]))
    one = two = filled(table, 0.0)
    if c < len(channels_by_degree[1]):
        one = load(table, at + column_1 + c)
    if c < len(channels_by_degree[2]):
        two = load(table, at + column_1 + column_2 + c)
    return load(table, at + c), one, two


@register_jitable
def store_filters(table: Array, at: int, c: int, channels_by_degree: ChannelsByDegree, filters: Any) -> None:
    """Write what :func:`load_filters` reads.

    Parameters
    ----------
    table : (distances, columns) or pair of them
        Written.
    at : int
        Element where the row begins.
    c : int
        First of the LANES channels.
    channels_by_degree : ChannelsByDegree
        Ranges as long as there are channels of degree 0, 1, 2.
    filters : tuple of three rows
        Of degrees 0, 1 and 2.
    """
    column_1, column_2 = padded_length(len(channels_by_degree[0])), padded_length(len(channels_by_degree[1]))
    store(table, at + c, filters[0])
    if c < len(channels_by_degree[1]):
        store(table, at + column_1 + c, filters[1])
    if c < len(channels_by_degree[2]):
        store(table, at + column_1 + column_2 + c, filters[2])


__all__ = ["SumContext", "invariants_backward", "invariants_forward", "load_filters", "store_filters"]
