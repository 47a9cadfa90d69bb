"""Strips of a lattice forwards and backwards, one block of sites after the other.

    b_k = s_p.s_q,  chi_m = s_p.(s_q x s_r),   u = B (b, chi),   h = M u,   x = products of h,
    a_0 = x,   a_l = silu(W_l a_(l-1) + c_l),   parts = W a + c

with B the symmetry-adapted forms and M their mixtures.  Forwards h and silu' go to a cache; backwards spins are collected
again, once for all potentials.  Of a potential in which parts f count by their place, the field is that seen from the site
that has it (:mod:`spinase.learning.two_potentials`): with arms a_p = x_p - x_i from the site i,

    dE/ds_p = dE'/ds_p - a_p df/ds_p,

E' without what counts by places.  Sums and products say where they are fused, so that code compiled anew gives the same
bits.
"""

from __future__ import annotations

from typing import Any

from spinase.compiled import register_jitable
from spinase.compiled.rows import LANES, element, filled, fma, kernel, load, scale, set_element, store
from spinase.learning.engine.lattice.tiles import WIDTH, apply
from spinase.learning.engine.lattice.workspace import Products, SiteKind, Strip, Wanted, Workspace
from spinase.learning.engine.layers import silu
from spinase.typing import Array

_NEXT = 3 * WIDTH  # elements from one place's spins to the next one's


@kernel
def forward(strip: Strip, kind: SiteKind, spins: Array, work: Workspace, cache: Array, parts: Array) -> None:
    """Parts of the sites of a strip.

    Parameters
    ----------
    strip : Strip
        Sites of one kind and the places of their neighbours.
    kind : SiteKind
        Maps, products and layers of that kind.
    work : Workspace
        Of this thread, overwritten.
    spins : (3 N,)
        Free spin vectors.
    cache : (blocks, F + hidden, WIDTH), flat
        Written: forms h, and silu' of all layers.
    parts : (N, K)
        Written at the sites of the strip.
    """
    values, rows, layers = work.values, kind.rows, kind.layers
    blocks, last = len(strip.places), len(layers) - 1
    held = len(cache) // blocks
    _collect(strip, spins, work)
    for block in range(blocks):
        begin = block * held
        _spread(strip, block, work)
        _variables(kind, values)
        apply(kind.forward, 0, values, 0, values, 0)
        apply(kind.forward, 1, values, 0, cache, begin)
        _multiply(kind.products, cache, begin, values, rows.invariants * WIDTH)
        for layer in range(last):
            apply(kind.forward, 2 + layer, values, 0, values, 0)
            first, end = layers[layer] * WIDTH, layers[layer + 1] * WIDTH
            slopes = begin + (kind.forms + layers[layer] - layers[0]) * WIDTH
            silu(values[first:end], values, first, cache, slopes)
        apply(kind.forward, 2 + last, values, 0, values, 0)
        _put_parts(strip.sites, block * WIDTH, values, rows.parts * WIDTH, parts)


@kernel
def backward(
    strip: Strip, kind: SiteKind, spins: Array, work: Workspace, cache: Array, wanted: Wanted, arms: Array, out: Array
) -> None:
    """dE by the spins around a strip, from dE by its parts.

    Parameters
    ----------
    strip, kind, work
        As :func:`forward` has them.
    spins, cache
        As :func:`forward` has them.
    wanted : Wanted
        Which gradients.
    arms : (blocks, n + 1, WIDTH), flat
        Places of the places of a site less its own, length; without elements if nothing counts by places.
    out : (Q, 3 L), flat
        Written, dE by the spins of `strip.neighbours`.
    """
    values, rows, places = work.values, kind.rows, strip.places.shape[1]
    held, length, zero = len(cache) // len(strip.places), 3 * len(strip.neighbours), values.dtype.type(0.0)
    _collect(strip, spins, work)
    for i in range(len(out)):
        out[i] = zero
    for block in range(len(strip.places)):
        begin = block * held
        _spread(strip, block, work)
        for q in range(len(wanted.potentials)):
            whole, moved = wanted.potentials[q]
            _clear(values, rows.gradients * WIDTH, (rows.gradients + 3 * places) * WIDTH)
            if moved < 0:
                _slopes(strip, kind, values, cache, begin, block, wanted.seeds[whole])
                _variables_backward(kind, values)
            else:
                _slopes(strip, kind, values, cache, begin, block, wanted.seeds[moved])
                _copy(values, rows.variables * WIDTH, rows.adapted * WIDTH, rows.moved * WIDTH)
                _slopes(strip, kind, values, cache, begin, block, wanted.seeds[whole])
                _variables_backward_seen(kind, values, arms, block * places * WIDTH)
            _scatter(strip, block, values, rows.gradients * WIDTH, out, q * length)


@register_jitable
def _slopes(strip: Strip, kind: SiteKind, values: Array, cache: Array, begin: int, block: int, seeds: Array) -> None:
    """dE by bonds and chiralities of a block, from those by the parts, `seeds` (N, K); `begin` is its place in the cache."""
    rows, layers = kind.rows, kind.layers
    last = len(layers) - 1
    _take_parts(strip.sites, block * WIDTH, seeds, values, rows.parts * WIDTH)
    apply(kind.backward, 2 + last, values, 0, values, 0)
    for layer in range(last - 1, -1, -1):
        slopes = begin + (kind.forms + layers[layer] - layers[0]) * WIDTH
        _times(values, layers[layer] * WIDTH, layers[layer + 1] * WIDTH, cache, slopes)
        apply(kind.backward, 2 + layer, values, 0, values, 0)
    _clear(values, rows.forms * WIDTH, (rows.forms + kind.forms) * WIDTH)
    _multiply_backward(kind.products, cache, begin, values, rows.invariants * WIDTH, rows.forms * WIDTH)
    apply(kind.backward, 1, values, 0, values, 0)
    apply(kind.backward, 0, values, 0, values, 0)


@register_jitable
def _collect(strip: Strip, spins: Array, work: Workspace) -> None:
    """Spins of all neighbours of a strip, one after the other."""
    for k in range(len(strip.neighbours)):
        site = 3 * strip.neighbours[k]
        for c in range(3):
            work.spins[3 * k + c] = spins[site + c]


@register_jitable
def _spread(strip: Strip, block: int, work: Workspace) -> None:
    """Spins of the places of a block: rows 3 p + component."""
    spins, values, places = work.spins, work.values, strip.places.shape[1]
    first = block * places * WIDTH
    for p in range(places):
        for lane in range(WIDTH):
            source, target = 3 * element(strip.places, first + p * WIDTH + lane), p * _NEXT + lane
            set_element(values, target, element(spins, source))
            set_element(values, target + WIDTH, element(spins, source + 1))
            set_element(values, target + 2 * WIDTH, element(spins, source + 2))


@register_jitable
def _scatter(strip: Strip, block: int, values: Array, begin: int, out: Array, out_begin: int) -> None:
    """Add rows of gradients by the places to those by spins, which begin at element `out_begin`."""
    places = strip.places.shape[1]
    first = block * places * WIDTH
    for p in range(places):
        for lane in range(WIDTH):
            target, source = out_begin + 3 * element(strip.places, first + p * WIDTH + lane), begin + p * _NEXT + lane
            for c in range(3):
                set_element(out, target + c, element(out, target + c) + element(values, source + c * WIDTH))


@register_jitable
def _put_parts(sites: Array, first: int, values: Array, begin: int, parts: Array) -> None:
    """Parts of a block, from rows to (N, K); lanes without a site are left out."""
    for lane in range(min(WIDTH, len(sites) - first)):
        for k in range(parts.shape[1]):
            parts[sites[first + lane], k] = values[begin + k * WIDTH + lane]


@register_jitable
def _take_parts(sites: Array, first: int, parts: Array, values: Array, begin: int) -> None:
    """The other way round; zeros in lanes without a site."""
    _clear(values, begin, begin + parts.shape[1] * WIDTH)
    for lane in range(min(WIDTH, len(sites) - first)):
        for k in range(parts.shape[1]):
            values[begin + k * WIDTH + lane] = parts[sites[first + lane], k]


@register_jitable
def _vector(values: Array, at: int) -> Any:
    """Three components of a spin."""
    return load(values, at), load(values, at + WIDTH), load(values, at + 2 * WIDTH)


@register_jitable
def _dot(one: Any, two: Any) -> Any:
    return fma(one[2], two[2], fma(one[1], two[1], scale(one[0], two[0])))


@register_jitable
def _cross(one: Any, two: Any, minus: Any) -> Any:
    """one x two; `minus` is -1."""
    x = fma(one[1], two[2], scale(minus, scale(one[2], two[1])))
    y = fma(one[2], two[0], scale(minus, scale(one[0], two[2])))
    return x, y, fma(one[0], two[1], scale(minus, scale(one[1], two[0])))


@register_jitable
def _add(values: Array, at: int, factor: Any, vector: Any) -> None:
    """Add factor * vector to three rows."""
    store(values, at, fma(factor, vector[0], load(values, at)))
    store(values, at + WIDTH, fma(factor, vector[1], load(values, at + WIDTH)))
    store(values, at + 2 * WIDTH, fma(factor, vector[2], load(values, at + 2 * WIDTH)))


@register_jitable
def _variables(kind: SiteKind, values: Array) -> None:
    """Bonds b_k, and after them chiralities chi_m."""
    out, minus = kind.rows.variables * WIDTH, values.dtype.type(-1.0)
    for k in range(len(kind.bonds)):
        p, q = kind.bonds[k, 0] * _NEXT, kind.bonds[k, 1] * _NEXT
        for lane in range(0, WIDTH, LANES):
            store(values, out + lane, _dot(_vector(values, p + lane), _vector(values, q + lane)))
        out += WIDTH
    for m in range(len(kind.triples)):
        p, q, r = kind.triples[m, 0] * _NEXT, kind.triples[m, 1] * _NEXT, kind.triples[m, 2] * _NEXT
        for lane in range(0, WIDTH, LANES):
            normal = _cross(_vector(values, q + lane), _vector(values, r + lane), minus)
            store(values, out + lane, _dot(_vector(values, p + lane), normal))
        out += WIDTH


@register_jitable
def _variables_backward(kind: SiteKind, values: Array) -> None:
    """dE by the spins of the places, from dE by bonds and chiralities: g s_q to s_p; g s_q x s_r to s_p and so on."""
    at, begin, minus = kind.rows.variables * WIDTH, kind.rows.gradients * WIDTH, values.dtype.type(-1.0)
    for k in range(len(kind.bonds)):
        p, q = kind.bonds[k, 0] * _NEXT, kind.bonds[k, 1] * _NEXT
        for lane in range(0, WIDTH, LANES):
            grad = load(values, at + lane)
            one, two = _vector(values, p + lane), _vector(values, q + lane)
            _add(values, begin + p + lane, grad, two)
            _add(values, begin + q + lane, grad, one)
        at += WIDTH
    for m in range(len(kind.triples)):
        p, q, r = kind.triples[m, 0] * _NEXT, kind.triples[m, 1] * _NEXT, kind.triples[m, 2] * _NEXT
        for lane in range(0, WIDTH, LANES):
            grad = load(values, at + lane)
            one, two, three = _vector(values, p + lane), _vector(values, q + lane), _vector(values, r + lane)
            _add(values, begin + p + lane, grad, _cross(two, three, minus))
            _add(values, begin + q + lane, grad, _cross(three, one, minus))
            _add(values, begin + r + lane, grad, _cross(one, two, minus))
        at += WIDTH


@register_jitable
def _variables_backward_seen(kind: SiteKind, values: Array, arms: Array, first: int) -> None:
    """The same of dE seen from the places: g - a_p f to s_p, with dE by what counts by places, f; arms from `first` on."""
    at, begin, minus = kind.rows.variables * WIDTH, kind.rows.gradients * WIDTH, values.dtype.type(-1.0)
    moved = kind.rows.moved * WIDTH
    for k in range(len(kind.bonds)):
        p, q = kind.bonds[k]
        for lane in range(0, WIDTH, LANES):
            grad, slope = load(values, at + lane), scale(minus, load(values, moved + lane))
            one, two = _vector(values, p * _NEXT + lane), _vector(values, q * _NEXT + lane)
            _add(values, begin + p * _NEXT + lane, fma(load(arms, first + p * WIDTH + lane), slope, grad), two)
            _add(values, begin + q * _NEXT + lane, fma(load(arms, first + q * WIDTH + lane), slope, grad), one)
        at, moved = at + WIDTH, moved + WIDTH
    for m in range(len(kind.triples)):
        p, q, r = kind.triples[m]
        for lane in range(0, WIDTH, LANES):
            grad, slope = load(values, at + lane), scale(minus, load(values, moved + lane))
            one, two = _vector(values, p * _NEXT + lane), _vector(values, q * _NEXT + lane)
            three = _vector(values, r * _NEXT + lane)
            normals = _cross(two, three, minus), _cross(three, one, minus), _cross(one, two, minus)
            _add(values, begin + p * _NEXT + lane, fma(load(arms, first + p * WIDTH + lane), slope, grad), normals[0])
            _add(values, begin + q * _NEXT + lane, fma(load(arms, first + q * WIDTH + lane), slope, grad), normals[1])
            _add(values, begin + r * _NEXT + lane, fma(load(arms, first + r * WIDTH + lane), slope, grad), normals[2])
        at, moved = at + WIDTH, moved + WIDTH


@register_jitable
def _multiply(products: Products, forms: Array, begin: int, values: Array, out: int) -> None:
    """Invariants (G rows from element `out` of `values` on) of forms, which begin at element `begin`."""
    for group in range(len(products.groups)):
        first, last, order = products.groups[group]
        for lane in range(0, WIDTH, LANES):
            total, base = filled(values, 0.0), begin + lane
            for t in range(first, last):
                term = scale(products.weights[t], load(forms, base + products.factors[t, 0] * WIDTH))
                if order > 1:
                    term = scale(term, load(forms, base + products.factors[t, 1] * WIDTH))
                if order > 2:
                    term = scale(term, load(forms, base + products.factors[t, 2] * WIDTH))
                total = fma(values.dtype.type(1.0), term, total)
            store(values, out + group * WIDTH + lane, total)


@register_jitable
def _multiply_backward(products: Products, forms: Array, begin: int, values: Array, grad: int, out: int) -> None:
    """Add to dE by the forms (element `out` of `values`) from dE by the invariants (element `grad`)."""
    for group in range(len(products.groups)):
        first, last, order = products.groups[group]
        for lane in range(0, WIDTH, LANES):
            slope, base, target = load(values, grad + group * WIDTH + lane), begin + lane, out + lane
            for t in range(first, last):
                i, j, k = products.factors[t, 0] * WIDTH, products.factors[t, 1] * WIDTH, products.factors[t, 2] * WIDTH
                term = scale(products.weights[t], slope)
                if order == 1:
                    _add_row(values, target + i, term, filled(values, 1.0))
                elif order == 2:
                    one, two = load(forms, base + i), load(forms, base + j)
                    _add_row(values, target + i, term, two)
                    _add_row(values, target + j, term, one)
                else:
                    one, two, three = load(forms, base + i), load(forms, base + j), load(forms, base + k)
                    _add_row(values, target + i, term, scale(two, three))
                    _add_row(values, target + j, term, scale(three, one))
                    _add_row(values, target + k, term, scale(one, two))


@register_jitable
def _add_row(values: Array, at: int, factor: Any, row: Any) -> None:
    store(values, at, fma(factor, row, load(values, at)))


@register_jitable
def _clear(values: Array, begin: int, end: int) -> None:
    for at in range(begin, end, LANES):
        store(values, at, filled(values, 0.0))


@register_jitable
def _copy(values: Array, begin: int, end: int, target: int) -> None:
    for at in range(begin, end, LANES):
        store(values, target + at - begin, load(values, at))


@register_jitable
def _times(values: Array, begin: int, end: int, other: Array, other_begin: int) -> None:
    """Multiply elements `begin` .. `end` - 1 by others, element by element."""
    for at in range(begin, end, LANES):
        store(values, at, scale(load(values, at), load(other, other_begin + at - begin)))


__all__ = ["backward", "forward"]
