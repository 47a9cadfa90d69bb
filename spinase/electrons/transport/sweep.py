"""Recursive Green's function of a layered device at one real energy, and the waves that leads send into it.

Layer l couples to l - 1 and l + 1 only.  From the last layer to the first,

    g_l = (E - H_l - Sigma_l - V g_{l+1} V+)^-1,        y_l = g_l (W_l + V y_{l+1}),        V = H_{l,l+1},

and back psi_0 = y_0, psi_l = y_l + g_l V+ psi_{l-1}: the columns of G W, with G the Green's function of all layers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spinase.compiled import njit
from spinase.compiled.rows import padded_length
from spinase.electrons.transport.recursion import (
    add_coupled,
    invert_block,
    multiply,
    subtract_projected,
    subtract_uniform,
)
from spinase.electrons.transport.turning import add_turned, add_turned_within, subtract_turned
from spinase.typing import Array

_FAST = {"contract", "reassoc", "nsz", "arcp"}


class Layout(NamedTuple):
    """Where everything is; sites are numbered layer by layer.

    Attributes
    ----------
    sites : (L + 1,) int
        First site of each layer.
    inner, inner_rows, inner_columns : (L + 1,), (b,), (b,) int
        Bonds within a layer: first bond of each layer, sites counted from the layer's first.
    outer, outer_rows, outer_columns : (L + 1,), (b,), (b,) int
        Bonds from a layer (rows) to the next (columns).
    blocks : (L + 1,) int
        Offset of each layer's Green's function.
    """

    sites: Array
    inner: Array
    inner_rows: Array
    inner_columns: Array
    outer: Array
    outer_rows: Array
    outer_columns: Array
    blocks: Array


class Values(NamedTuple):
    """The operator in that order.

    Attributes
    ----------
    blocks : (N, 2, 2) complex
        Site blocks, with self-energies that do not depend on the energy.
    inner, outer : (b,) complex
        Hopping of the bonds.
    uniform : (L,) float
        |h|^2 where the layer couples by h to the next one, site by site in the same order; else 0.
    inner_turning, outer_turning : (b, 2, 2) complex, or of length 0
        What bonds add to the hopping that is the same for both spins.
    """

    blocks: Array
    inner: Array
    outer: Array
    uniform: Array
    inner_turning: Array
    outer_turning: Array


class Contacts(NamedTuple):
    """Dense self-energies at one energy.

    Attributes
    ----------
    layers : (C,) int
        Layer of every contact.
    starts : (C + 1,) int
        First orbital of each in `orbitals`.
    orbitals : (n,) int
        Orbitals 2 i + s, counted from the layer's first site.
    entries : (sum n_c^2,) complex128
        Sigma (n_c, n_c) of one contact after the other, energy.
    """

    layers: Array
    starts: Array
    orbitals: Array
    entries: Array


class Sources(NamedTuple):
    """Groups of columns W, by descending layer.

    Attributes
    ----------
    layers : (S,) int
        Layer of every group.
    orbital_starts, orbitals : (S + 1,), (n,) int
        Orbitals of each, as in :class:`Contacts`.
    starts : (S + 1,) int
        First column of each, multiples of LANES.
    counts : (S,) int
        Columns in use.
    entries : (sum n_s counts_s,) complex128
        W (orbitals, count) of one group after the other.
    """

    layers: Array
    orbital_starts: Array
    orbitals: Array
    starts: Array
    counts: Array
    entries: Array


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def sweep(energy: float, layout: Layout, values: Values, contacts: Contacts, sources: Sources, green: Array) -> Array:
    """psi = G W at one real energy, by the recursions in the module's docstring.

    Parameters
    ----------
    energy : float
        E.
    layout, values, contacts, sources
        The device and its leads.
    green : flat float64
        Work space: g_l from ``layout.blocks[l]`` on, as :func:`spinase.electrons.transport.recursion.invert_block` has it.

    Returns
    -------
    psi : (4 N columns,) float64
        For each layer real parts (orbitals, columns), then imaginary parts; columns = sources.starts[-1].
    """
    last = len(layout.sites) - 2
    columns = max(1, sources.starts[-1])
    total = 2 * layout.sites[-1]
    widest = 0
    for layer in range(last + 1):
        widest = max(widest, 2 * (layout.sites[layer + 1] - layout.sites[layer]))
    stride = padded_length(widest)
    work, swaps = np.empty(16 * stride), np.empty(widest, dtype=np.int64)
    half = np.empty(2 * widest * max(stride, columns))
    waves = np.zeros(2 * total * columns)
    for layer in range(last, -1, -1):
        _assemble(energy, layer, layout, values, contacts, green)
        if layer < last:
            _fold(layer, layout, values, green, half)
        size = 2 * (layout.sites[layer + 1] - layout.sites[layer])
        width = padded_length(size)
        invert_block(green, layout.blocks[layer], size, width, work[: 16 * width], swaps)
        _inject(layer, layout, values, sources, green, waves, half)
    for layer in range(1, last + 1):
        here, before, after = layout.sites[layer], layout.sites[layer - 1], layout.sites[layer + 1]
        size = 2 * (after - here)
        half[: 2 * size * columns] = 0.0
        bonds = slice(layout.outer[layer - 1], layout.outer[layer])
        add_coupled(
            layout.outer_columns[bonds],
            layout.outer_rows[bonds],
            np.conj(values.outer[bonds]),
            waves,
            4 * before * columns,
            half,
            0,
            (2 * (here - before), size, columns),
        )
        if len(values.outer_turning) > 0:
            add_turned(
                layout.outer_columns[bonds],
                layout.outer_rows[bonds],
                values.outer_turning[bonds],
                True,
                waves,
                4 * before * columns,
                half,
                (2 * (here - before), size, columns),
            )
        at = layout.blocks[layer]
        multiply(green, at, size, padded_length(size), half, 0, waves, 4 * here * columns, columns, columns)
    return waves


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _assemble(energy: float, layer: int, layout: Layout, values: Values, contacts: Contacts, green: Array) -> None:
    """E - H_l - Sigma_l of a layer into `green` (flat float64), from ``layout.blocks[layer]`` on."""
    start, size = layout.sites[layer], 2 * (layout.sites[layer + 1] - layout.sites[layer])
    stride, at = padded_length(size), layout.blocks[layer]
    im = at + size * stride
    green[at : at + 2 * size * stride] = 0.0
    for i in range(size // 2):
        for a in range(2):
            for b in range(2):
                value = values.blocks[start + i, a, b]
                place = (2 * i + a) * stride + 2 * i + b
                green[at + place] -= value.real
                green[im + place] -= value.imag
            green[at + (2 * i + a) * stride + 2 * i + a] += energy
    for n in range(layout.inner[layer], layout.inner[layer + 1]):
        for s in range(2):
            i, j = 2 * layout.inner_rows[n] + s, 2 * layout.inner_columns[n] + s
            x, y = values.inner[n].real, values.inner[n].imag
            green[at + i * stride + j] -= x
            green[im + i * stride + j] -= y
            green[at + j * stride + i] -= x
            green[im + j * stride + i] += y
    if len(values.inner_turning) > 0:
        bonds = slice(layout.inner[layer], layout.inner[layer + 1])
        add_turned_within(
            layout.inner_rows[bonds], layout.inner_columns[bonds], values.inner_turning[bonds], green, at, size, stride
        )
    entry = 0
    for n in range(len(contacts.layers)):
        first, stop = contacts.starts[n], contacts.starts[n + 1]
        if contacts.layers[n] == layer:
            for a in range(stop - first):
                row = contacts.orbitals[first + a] * stride
                for b in range(stop - first):
                    value = contacts.entries[entry + a * (stop - first) + b]
                    green[at + row + contacts.orbitals[first + b]] -= value.real
                    green[im + row + contacts.orbitals[first + b]] -= value.imag
        entry += (stop - first) ** 2


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _fold(layer: int, layout: Layout, values: Values, green: Array, half: Array) -> None:
    """Subtract V g_{l+1} V+ of the next layer from the block of `layer` in `green`; `half` (flat): V g, work space."""
    size = 2 * (layout.sites[layer + 1] - layout.sites[layer])
    inner = 2 * (layout.sites[layer + 2] - layout.sites[layer + 1])
    at, beyond = layout.blocks[layer], layout.blocks[layer + 1]
    if values.uniform[layer] > 0.0:
        subtract_uniform(green, at, green, beyond, 2 * size * padded_length(size), values.uniform[layer])
        return
    width, bonds = padded_length(inner), slice(layout.outer[layer], layout.outer[layer + 1])
    rows, columns, hopping = layout.outer_rows[bonds], layout.outer_columns[bonds], values.outer[bonds]
    half[: 2 * size * width] = 0.0
    add_coupled(rows, columns, hopping, green, beyond, half, 0, (inner, size, width))
    if len(values.outer_turning) > 0:
        add_turned(rows, columns, values.outer_turning[bonds], False, green, beyond, half, (inner, size, width))
        subtract_turned(green, at, size, padded_length(size), half, width, rows, columns, values.outer_turning[bonds])
    subtract_projected(green, at, size, padded_length(size), half, width, rows, columns, hopping)


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _inject(layer: int, layout: Layout, values: Values, sources: Sources, green: Array, waves: Array, half: Array) -> None:
    """y_l = g_l (W_l + V y_{l+1}) for the sources in this layer and beyond, into `waves` (as psi of :func:`sweep`).

    `green`: holds g_l; `half` (flat float64): what is in the bracket, (orbitals, columns), real then imaginary parts.
    """
    used, entry = 0, 0
    columns = max(1, sources.starts[-1])
    start, size = layout.sites[layer], 2 * (layout.sites[layer + 1] - layout.sites[layer])
    for n in range(len(sources.layers)):
        if sources.layers[n] >= layer:
            used = sources.starts[n + 1]
    if used == 0:
        return
    half[: 2 * size * columns] = 0.0
    if layer + 2 < len(layout.sites):
        after, bonds = layout.sites[layer + 1], slice(layout.outer[layer], layout.outer[layer + 1])
        add_coupled(
            layout.outer_rows[bonds],
            layout.outer_columns[bonds],
            values.outer[bonds],
            waves,
            4 * after * columns,
            half,
            0,
            (2 * (layout.sites[layer + 2] - after), size, columns),
        )
        if len(values.outer_turning) > 0:
            add_turned(
                layout.outer_rows[bonds],
                layout.outer_columns[bonds],
                values.outer_turning[bonds],
                False,
                waves,
                4 * after * columns,
                half,
                (2 * (layout.sites[layer + 2] - after), size, columns),
            )
    for n in range(len(sources.layers)):
        first, stop, count = sources.orbital_starts[n], sources.orbital_starts[n + 1], sources.counts[n]
        if sources.layers[n] == layer:
            for a in range(stop - first):
                row = sources.orbitals[first + a] * columns + sources.starts[n]
                for c in range(count):
                    value = sources.entries[entry + a * count + c]
                    half[row + c] += value.real
                    half[size * columns + row + c] += value.imag
        entry += (stop - first) * count
    multiply(green, layout.blocks[layer], size, padded_length(size), half, 0, waves, 4 * start * columns, columns, used)


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def site_densities(waves: Array, layout: Layout, columns: int, first: int, stop: int, result: Array) -> None:
    """result (N, 4) float64 += Tr[psi psi+], Tr[sigma psi psi+] of every site, summed over columns first .. stop - 1.

    `waves` (4 N columns,) as :func:`sweep` returns them.

    Parameters
    ----------
    waves : (4 N columns,) float64
        As :func:`sweep` returns them.
    layout : Layout
        Sites of the layers.
    columns : int
        In a row of the waves.
    first, stop : int
        Columns that count: first .. stop - 1.
    result : (N, 4) float64
        Added to.
    """
    for layer in range(len(layout.sites) - 1):
        start, size = layout.sites[layer], 2 * (layout.sites[layer + 1] - layout.sites[layer])
        at = 4 * start * columns
        for i in range(size // 2):
            up, down = at + 2 * i * columns, at + (2 * i + 1) * columns
            shift = size * columns
            uu, dd, re, im = 0.0, 0.0, 0.0, 0.0
            for c in range(first, stop):
                a, b, x, y = waves[up + c], waves[up + shift + c], waves[down + c], waves[down + shift + c]
                uu += a * a + b * b
                dd += x * x + y * y
                re += a * x + b * y
                im += a * y - b * x
            result[start + i, 0] += uu + dd
            result[start + i, 1] += 2.0 * re
            result[start + i, 2] += 2.0 * im
            result[start + i, 3] += uu - dd


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def bond_densities(
    waves: Array, places: tuple[Array, Array], columns: int, first: int, stop: int, bonds: tuple[Array, Array], result: Array
) -> None:
    """result (n_bonds, 2, 2) complex128 += psi_i psi_j+, summed over columns first .. stop - 1.

    Parameters
    ----------
    waves : (4 N columns,) float64
        As :func:`sweep` returns them.
    places : two (N,) int
        Offset of a site's first row in `waves`, and from a real part to its imaginary part.
    columns : int
        In a row of the waves.
    first, stop : int
        Columns that count: first .. stop - 1.
    bonds : two (n_bonds,) int
        Sites i and j.
    result : (n_bonds, 2, 2) complex128
        Added to.
    """
    row_of, shift_of = places
    for n in range(len(result)):
        i, j = bonds[0][n], bonds[1][n]
        for s in range(2):
            p, p_im = row_of[i] + s * columns, row_of[i] + s * columns + shift_of[i]
            for r in range(2):
                q, q_im = row_of[j] + r * columns, row_of[j] + r * columns + shift_of[j]
                re, im = 0.0, 0.0
                for c in range(first, stop):
                    re += waves[p + c] * waves[q + c] + waves[p_im + c] * waves[q_im + c]
                    im += waves[p_im + c] * waves[q + c] - waves[p + c] * waves[q_im + c]
                result[n, s, r] += complex(re, im)
