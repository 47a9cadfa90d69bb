"""Sums over neighbours as one form, linear in each of four arguments and closed under differentiation.

    tau(w, Y, U, G) = sum_p sum_(m mu c) w[p, c] Y[p, m] U[second(p), mu, c] G[first(p), m, mu, c]

with pairs p, lattice harmonics m of one degree, components mu of what a neighbour sends, and channels c.  The derivative
by each argument is a sum of its own (:func:`neighbour_sum` is the one by G), and their derivatives are the same four sums
again, so that forces, fields and the losses on them cost the same kind of pass.  On the CPU the four are compiled loops
(numba); elsewhere plain torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spinase.compiled import njit
from spinase.learning.pairs import EqualRows, Rows
from spinase.typing import Array


def neighbour_sum(rows: Rows, filters: Tensor, harmonics: Tensor, sent: Tensor, compiled: bool = True) -> Tensor:
    """sum_p w Y U at every first site.

    Parameters
    ----------
    rows : Rows
        Pairs.
    filters : (P, C) Tensor
        w.
    harmonics : (P, harmonics) Tensor
        Y, of the direction first -> second.
    sent : (N, components, C) Tensor
        U.
    compiled : bool
        Compiled loops, where the tensors are on the CPU; else plain torch.

    Returns
    -------
    Tensor
        (N, harmonics, components, C); differentiable any number of times.
    """
    if not compiled or filters.device.type != "cpu":
        return _plain(rows, filters, harmonics, sent)
    return _apply(_Sum, rows, filters, harmonics, sent)


def _plain(rows: Rows, filters: Tensor, harmonics: Tensor, sent: Tensor) -> Tensor:
    if isinstance(rows, EqualRows):  # as products of matrices, one a site: compilers of graphs leave these alone
        received = filters[:, None] * sent.index_select(0, rows.second)
        per_site = [part.reshape(rows.sites, -1, part.shape[1:].numel()) for part in (harmonics, received)]
        return torch.bmm(per_site[0].transpose(1, 2), per_site[1]).unflatten(2, received.shape[1:])
    weights = filters[:, None] * harmonics[:, :, None]
    return rows.add_up(weights[:, :, None] * sent[rows.second][:, None])


def _apply(function: Any, rows: Rows, *arguments: Tensor) -> Tensor:
    out: Tensor = function.apply(rows, *arguments)
    return out


class _Sum(torch.autograd.Function):
    """d tau/dG."""

    @staticmethod
    def forward(ctx: Any, rows: Rows, w: Tensor, y: Tensor, u: Tensor) -> Tensor:
        """G (N, harmonics, components, C)."""
        ctx.rows = rows
        ctx.save_for_backward(w, y, u)
        return _call(_sum, rows, (len(u), y.shape[1], *u.shape[1:]), w, y, u)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """By w, Y and U."""
        (w, y, u), rows, (g,) = ctx.saved_tensors, ctx.rows, gradients
        need = ctx.needs_input_grad
        return (
            None,
            _apply(_OfFilters, rows, y, u, g) if need[1] else None,
            _apply(_OfHarmonics, rows, w, u, g) if need[2] else None,
            _apply(_OfSent, rows, w, y, g) if need[3] else None,
        )


class _OfSent(torch.autograd.Function):
    """d tau/dU."""

    @staticmethod
    def forward(ctx: Any, rows: Rows, w: Tensor, y: Tensor, g: Tensor) -> Tensor:
        """(N, components, C)."""
        ctx.rows = rows
        ctx.save_for_backward(w, y, g)
        return _call(_of_sent, rows, (len(g), *g.shape[2:]), w, y, g)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """By w, Y and G."""
        (w, y, g), rows, (u,) = ctx.saved_tensors, ctx.rows, gradients
        need = ctx.needs_input_grad
        return (
            None,
            _apply(_OfFilters, rows, y, u, g) if need[1] else None,
            _apply(_OfHarmonics, rows, w, u, g) if need[2] else None,
            _apply(_Sum, rows, w, y, u) if need[3] else None,
        )


class _OfFilters(torch.autograd.Function):
    """d tau/dw."""

    @staticmethod
    def forward(ctx: Any, rows: Rows, y: Tensor, u: Tensor, g: Tensor) -> Tensor:
        """(P, C)."""
        ctx.rows = rows
        ctx.save_for_backward(y, u, g)
        shape = (len(y), u.shape[2])
        return _call(_of_filters, rows, shape, y, u, g)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """By Y, U and G."""
        (y, u, g), rows, (w,) = ctx.saved_tensors, ctx.rows, gradients
        need = ctx.needs_input_grad
        return (
            None,
            _apply(_OfHarmonics, rows, w, u, g) if need[1] else None,
            _apply(_OfSent, rows, w, y, g) if need[2] else None,
            _apply(_Sum, rows, w, y, u) if need[3] else None,
        )


class _OfHarmonics(torch.autograd.Function):
    """d tau/dY."""

    @staticmethod
    def forward(ctx: Any, rows: Rows, w: Tensor, u: Tensor, g: Tensor) -> Tensor:
        """(P, harmonics)."""
        ctx.rows = rows
        ctx.save_for_backward(w, u, g)
        return _call(_of_harmonics, rows, (len(w), g.shape[1]), w, u, g)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """By w, U and G."""
        (w, u, g), rows, (y,) = ctx.saved_tensors, ctx.rows, gradients
        need = ctx.needs_input_grad
        return (
            None,
            _apply(_OfFilters, rows, y, u, g) if need[1] else None,
            _apply(_OfSent, rows, w, y, g) if need[2] else None,
            _apply(_Sum, rows, w, y, u) if need[3] else None,
        )


def _call(kernel: Callable[..., None], rows: Rows, shape: tuple[int, ...], *arguments: Tensor) -> Tensor:
    """Run a kernel on the arrays of its tensors."""
    out = arguments[0].new_empty(shape)
    arrays = (_flat(argument.detach().contiguous()).numpy() for argument in arguments)
    indices = (part.numpy() for part in (rows.starts, rows.second))
    kernel(*indices, *arrays, _flat(out).numpy())
    return out


def _flat(array: Tensor) -> Tensor:
    """Components and channels of a sum as one axis."""
    return array.flatten(2) if array.dim() == 4 else array


_FAST = {"contract", "reassoc", "nsz", "arcp"}

# Whole indices everywhere: a view costs as much as twenty products.


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _sum(starts: Array, second: Array, w: Array, y: Array, u: Array, out: Array) -> None:
    components, channels = u.shape[1:]
    size = components * channels
    terms, none = np.zeros((4, size), u.dtype), u.dtype.type(0.0)  # a plain 0.0 would make everything double precision
    for i in range(len(starts) - 1):
        out[i] = 0.0
        for p in range(starts[i], starts[i + 1], 4):  # four neighbours at once, so that sums stay in registers
            here = min(4, starts[i + 1] - p)
            for k in range(here):
                j = second[p + k]
                for mu in range(components):
                    for c in range(channels):
                        terms[k, mu * channels + c] = w[p + k, c] * u[j, mu, c]
            for m in range(y.shape[1]):
                y0 = y[p, m]
                y1 = y[p + 1, m] if here > 1 else none
                y2 = y[p + 2, m] if here > 2 else none
                y3 = y[p + 3, m] if here > 3 else none
                for q in range(size):
                    out[i, m, q] += (y0 * terms[0, q] + y1 * terms[1, q]) + (y2 * terms[2, q] + y3 * terms[3, q])


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _project(y: Array, p: int, g: Array, i: int, out: Array) -> None:
    """out[mu c] = sum_m Y[p, m] G[i, m, mu c]."""
    y0 = y[p, 0]
    if y.shape[1] == 1:
        for q in range(out.size):
            out[q] = y0 * g[i, 0, q]
        return
    y1, y2 = y[p, 1], y[p, 2]
    if y.shape[1] == 3:
        for q in range(out.size):
            out[q] = y0 * g[i, 0, q] + y1 * g[i, 1, q] + y2 * g[i, 2, q]
        return
    y3, y4 = y[p, 3], y[p, 4]
    for q in range(out.size):
        out[q] = (y0 * g[i, 0, q] + y1 * g[i, 1, q] + y2 * g[i, 2, q]) + (y3 * g[i, 3, q] + y4 * g[i, 4, q])


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _of_sent(starts: Array, second: Array, w: Array, y: Array, g: Array, out: Array) -> None:
    components, channels = out.shape[1:]
    part = np.empty(components * channels, g.dtype)
    out[:] = 0.0
    for i in range(len(starts) - 1):
        for p in range(starts[i], starts[i + 1]):
            j = second[p]
            _project(y, p, g, i, part)
            for mu in range(components):
                for c in range(channels):
                    out[j, mu, c] += w[p, c] * part[mu * channels + c]


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _of_filters(starts: Array, second: Array, y: Array, u: Array, g: Array, out: Array) -> None:
    components, channels = u.shape[1:]
    part = np.empty(components * channels, g.dtype)
    for i in range(len(starts) - 1):
        for p in range(starts[i], starts[i + 1]):
            j = second[p]
            _project(y, p, g, i, part)
            for c in range(channels):
                out[p, c] = part[c] * u[j, 0, c]
            for mu in range(1, components):
                for c in range(channels):
                    out[p, c] += part[mu * channels + c] * u[j, mu, c]


@njit(nogil=True, error_model="numpy", fastmath=_FAST)
def _of_harmonics(starts: Array, second: Array, w: Array, u: Array, g: Array, out: Array) -> None:
    components, channels = u.shape[1:]
    terms = np.empty(components * channels, u.dtype)
    for i in range(len(starts) - 1):
        for p in range(starts[i], starts[i + 1]):
            j = second[p]
            for mu in range(components):
                for c in range(channels):
                    terms[mu * channels + c] = w[p, c] * u[j, mu, c]
            for m in range(out.shape[1]):
                total = terms.dtype.type(0.0)
                for q in range(terms.size):
                    total += terms[q] * g[i, m, q]
                out[p, m] = total
