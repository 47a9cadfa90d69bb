"""Sums over neighbours as one form, linear in each of four arguments and closed under differentiation.

    tau(w, Y, U, G) = sum_p sum_(m mu c) w[p, l(m), c] Y[p, m] U[second(p), mu, c] G[first(p), m, mu, c]

with pairs p, lattice harmonics m of degree l(m), components mu of what a neighbour sends, and channels c.  The derivative
by each argument is a sum of its own (:func:`neighbour_sum` is the one by G), and their derivatives are the same four sums
again, so that forces, fields and the losses on them cost the same kind of pass.  On the CPU the four are compiled loops
(numba); elsewhere plain torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Rows:
    """Directed pairs, ordered by first site: `starts` (N + 1,) of every row, `first` and `second` (P,); all int64."""

    starts: Tensor
    first: Tensor
    second: Tensor

    @property
    def sites(self) -> int:
        """Number of sites."""
        return len(self.starts) - 1

    def to(self, device: torch.device) -> Rows:
        """On another device."""
        return Rows(*(part.to(device) for part in (self.starts, self.first, self.second)))


@dataclass(frozen=True, eq=False)
class Form:
    """Pairs, and degree l(m) of every harmonic."""

    rows: Rows
    degrees: tuple[int, ...]


def neighbour_sum(form: Form, filters: Tensor, harmonics: Tensor, sent: Tensor, compiled: bool = True) -> Tensor:
    """sum_p w Y U at every first site.

    Parameters
    ----------
    form : Form
        Pairs and degrees.
    filters : (P, degrees, C) Tensor
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
        return _plain(form, filters, harmonics, sent)
    return _apply(_Sum, form, filters, harmonics, sent)


def _plain(form: Form, filters: Tensor, harmonics: Tensor, sent: Tensor) -> Tensor:
    rows = form.rows
    weights = filters[:, list(form.degrees)] * harmonics[:, :, None]
    terms = weights[:, :, None] * sent[rows.second][:, None]
    return sent.new_zeros((rows.sites, *terms.shape[1:])).index_add(0, rows.first, terms)


def _apply(function: Any, form: Form, *arguments: Tensor) -> Tensor:
    out: Tensor = function.apply(form, *arguments)
    return out


class _Sum(torch.autograd.Function):
    """d tau/dG."""

    @staticmethod
    def forward(ctx: Any, form: Form, w: Tensor, y: Tensor, u: Tensor) -> Tensor:
        ctx.form = form
        ctx.save_for_backward(w, y, u)
        return _call(_sum, form, (len(u), y.shape[1], *u.shape[1:]), w, y, u)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (w, y, u), form, (g,) = ctx.saved_tensors, ctx.form, gradients
        need = ctx.needs_input_grad
        return (
            None,
            _apply(_OfFilters, form, y, u, g) if need[1] else None,
            _apply(_OfHarmonics, form, w, u, g) if need[2] else None,
            _apply(_OfSent, form, w, y, g) if need[3] else None,
        )


class _OfSent(torch.autograd.Function):
    """d tau/dU."""

    @staticmethod
    def forward(ctx: Any, form: Form, w: Tensor, y: Tensor, g: Tensor) -> Tensor:
        ctx.form = form
        ctx.save_for_backward(w, y, g)
        return _call(_of_sent, form, (len(g), *g.shape[2:]), w, y, g)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (w, y, g), form, (u,) = ctx.saved_tensors, ctx.form, gradients
        need = ctx.needs_input_grad
        return (
            None,
            _apply(_OfFilters, form, y, u, g) if need[1] else None,
            _apply(_OfHarmonics, form, w, u, g) if need[2] else None,
            _apply(_Sum, form, w, y, u) if need[3] else None,
        )


class _OfFilters(torch.autograd.Function):
    """d tau/dw."""

    @staticmethod
    def forward(ctx: Any, form: Form, y: Tensor, u: Tensor, g: Tensor) -> Tensor:
        ctx.form = form
        ctx.save_for_backward(y, u, g)
        shape = (len(y), max(form.degrees) + 1, u.shape[2])
        return _call(_of_filters, form, shape, y, u, g)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (y, u, g), form, (w,) = ctx.saved_tensors, ctx.form, gradients
        need = ctx.needs_input_grad
        return (
            None,
            _apply(_OfHarmonics, form, w, u, g) if need[1] else None,
            _apply(_OfSent, form, w, y, g) if need[2] else None,
            _apply(_Sum, form, w, y, u) if need[3] else None,
        )


class _OfHarmonics(torch.autograd.Function):
    """d tau/dY."""

    @staticmethod
    def forward(ctx: Any, form: Form, w: Tensor, u: Tensor, g: Tensor) -> Tensor:
        ctx.form = form
        ctx.save_for_backward(w, u, g)
        return _call(_of_harmonics, form, (len(w), len(form.degrees)), w, u, g)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (w, u, g), form, (y,) = ctx.saved_tensors, ctx.form, gradients
        need = ctx.needs_input_grad
        return (
            None,
            _apply(_OfFilters, form, y, u, g) if need[1] else None,
            _apply(_OfSent, form, w, y, g) if need[2] else None,
            _apply(_Sum, form, w, y, u) if need[3] else None,
        )


def _call(kernel: Callable[..., None], form: Form, shape: tuple[int, ...], *arguments: Tensor) -> Tensor:
    """Run a kernel on the arrays of its tensors."""
    rows = form.rows
    out = arguments[0].new_empty(shape)
    arrays = (_flat(argument.detach().contiguous()).numpy() for argument in arguments)
    indices = (part.numpy() for part in (rows.starts, rows.second))
    kernel(*indices, np.array(form.degrees), *arrays, _flat(out).numpy())
    return out


def _flat(array: Tensor) -> Tensor:
    """Components and channels of a sum as one axis."""
    return array.flatten(2) if array.dim() == 4 else array


_FAST = {"contract", "reassoc", "nsz", "arcp"}

# Whole indices everywhere: a view costs as much as twenty products.


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _weigh(w: Array, u: Array, p: int, j: int, k: int, terms: Array) -> None:
    """terms[l, k, mu c] = w[p, l, c] U[j, mu, c]."""
    channels = u.shape[2]
    for degree in range(w.shape[1]):
        for mu in range(u.shape[1]):
            for c in range(channels):
                terms[degree, k, mu * channels + c] = w[p, degree, c] * u[j, mu, c]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _sum(starts: Array, second: Array, degrees: Array, w: Array, y: Array, u: Array, out: Array) -> None:
    size = u.shape[1] * u.shape[2]
    terms = np.zeros((w.shape[1], 4, size), u.dtype)
    for i in range(len(starts) - 1):
        for m in range(len(degrees)):
            for q in range(size):
                out[i, m, q] = 0.0
        for p in range(starts[i], starts[i + 1], 4):  # four neighbours at once, so that sums stay in registers
            here = min(4, starts[i + 1] - p)
            for k in range(here):
                _weigh(w, u, p + k, second[p + k], k, terms)
            for m in range(len(degrees)):
                degree = degrees[m]
                y0 = y[p, m]
                y1 = y[p + 1, m] if here > 1 else 0.0 * y0
                y2 = y[p + 2, m] if here > 2 else 0.0 * y0
                y3 = y[p + 3, m] if here > 3 else 0.0 * y0
                for q in range(size):
                    out[i, m, q] += (y0 * terms[degree, 0, q] + y1 * terms[degree, 1, q]) + (
                        y2 * terms[degree, 2, q] + y3 * terms[degree, 3, q]
                    )


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _project(degree: int, y: Array, p: int, g: Array, i: int, out: Array) -> None:
    """out[mu c] = sum over the harmonics of one degree of Y[p, m] G[i, m, mu c]."""
    m = degree * degree
    y0 = y[p, m]
    if degree == 0:
        for q in range(out.size):
            out[q] = y0 * g[i, m, q]
        return
    y1, y2 = y[p, m + 1], y[p, m + 2]
    if degree == 1:
        for q in range(out.size):
            out[q] = y0 * g[i, m, q] + y1 * g[i, m + 1, q] + y2 * g[i, m + 2, q]
        return
    y3, y4 = y[p, m + 3], y[p, m + 4]
    for q in range(out.size):
        out[q] = (y0 * g[i, m, q] + y1 * g[i, m + 1, q] + y2 * g[i, m + 2, q]) + (y3 * g[i, m + 3, q] + y4 * g[i, m + 4, q])


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _of_sent(starts: Array, second: Array, degrees: Array, w: Array, y: Array, g: Array, out: Array) -> None:
    components, channels = out.shape[1:]
    part = np.empty(components * channels, g.dtype)
    out[:] = 0.0
    for i in range(len(starts) - 1):
        for p in range(starts[i], starts[i + 1]):
            j = second[p]
            for degree in range(w.shape[1]):
                _project(degree, y, p, g, i, part)
                for mu in range(components):
                    for c in range(channels):
                        out[j, mu, c] += w[p, degree, c] * part[mu * channels + c]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _of_filters(starts: Array, second: Array, degrees: Array, y: Array, u: Array, g: Array, out: Array) -> None:
    components, channels = u.shape[1:]
    part = np.empty(components * channels, g.dtype)
    for i in range(len(starts) - 1):
        for p in range(starts[i], starts[i + 1]):
            j = second[p]
            for degree in range(out.shape[1]):
                _project(degree, y, p, g, i, part)
                for c in range(channels):
                    out[p, degree, c] = part[c] * u[j, 0, c]
                for mu in range(1, components):
                    for c in range(channels):
                        out[p, degree, c] += part[mu * channels + c] * u[j, mu, c]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _of_harmonics(starts: Array, second: Array, degrees: Array, w: Array, u: Array, g: Array, out: Array) -> None:
    size = u.shape[1] * u.shape[2]
    terms = np.empty((w.shape[1], 1, size), u.dtype)
    for i in range(len(starts) - 1):
        for p in range(starts[i], starts[i + 1]):
            _weigh(w, u, p, second[p], 0, terms)
            for m in range(len(degrees)):
                degree, total = degrees[m], terms[0, 0, 0] * 0
                for q in range(size):
                    total += terms[degree, 0, q] * g[i, m, q]
                out[p, m] = total
