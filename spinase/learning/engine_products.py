"""Products of spin pairs in different directions (:func:`spinase.learning.network._products`), forwards and backwards.

With T_a = sum w (r/r)_a v and C_m = sum w Q_m(r/r) v of one channel, the own spin s and M: u_a = s.T_a, w_a = M.T_a,
U_m = s.C_m, W_m = M.C_m, P_m = sum_mu Q_m(T_mu).  The numbers are u.w, w.w, U.W, W.W, P.U, P.W and Q(u).U.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]
Lanes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

_FAST = {"contract", "reassoc", "nsz", "arcp"}
_HALF, _SIXTH = 0.7071067811865476, 0.4082482904638631


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _add_quadrupole(x: float, y: float, z: float, out: Array) -> None:
    """out += Q(x, y, z), in the order of :func:`spinase.learning.graph.quadrupoles`."""
    out[0] += 2.0 * _HALF * x * y
    out[1] += 2.0 * _HALF * y * z
    out[2] += 2.0 * _HALF * z * x
    out[3] += _HALF * (x * x - y * y)
    out[4] += _SIXTH * (2.0 * z * z - x * x - y * y)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _pull(slopes: Array, x: float, y: float, z: float, out: Array) -> None:
    """Slope of slopes.Q(x, y, z) by the vector."""
    p, q, r = 2.0 * _HALF * slopes[0], 2.0 * _HALF * slopes[1], 2.0 * _HALF * slopes[2]
    s, t = 2.0 * _HALF * slopes[3], 2.0 * _SIXTH * slopes[4]
    out[0] = p * y + r * z + (s - t) * x
    out[1] = p * x + q * z - (s + t) * y
    out[2] = q * y + r * x + 2.0 * t * z


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _contract(
    sums: Array, c: int, width: int, channels: int, first: int, last: int, own: Array, along: Array, onto: Array
) -> None:
    """u = s.T and w = M.T of one channel and degree; `own` is the spin."""
    for m in range(first, last):
        a, b, d = sums[m, channels + c], sums[m, 2 * channels + c], sums[m, 3 * channels + c]
        along[m - first] = a * own[0] + b * own[1] + d * own[2]
        onto[m - first] = a * sums[0, width + c] + b * sums[0, 2 * width + c] + d * sums[0, 3 * width + c]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _pairs(sums: Array, c: int, channels: int, out: Array) -> None:
    """P_m of one channel."""
    out[:] = 0.0
    for mu in range(1, 4):
        q = mu * channels + c
        _add_quadrupole(sums[1, q], sums[2, q], sums[3, q], out)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def product_invariants(sums: Array, x: float, y: float, z: float, lanes: Lanes, out: Array) -> None:
    """The products of one site with the spin (x, y, z), in the order of the network's."""
    width, middle, top = len(lanes[0]), len(lanes[1]), len(lanes[2])
    own = np.array((x, y, z))
    u, w, big_u, big_w, pairs = np.empty(3), np.empty(3), np.empty(5), np.empty(5), np.empty(5)
    for c in range(middle):
        _contract(sums, c, width, middle, 1, 4, own, u, w)
        out[c] = np.sum(u * w)
        out[middle + c] = np.sum(w * w)
        if c < top:
            _contract(sums, c, width, top, 4, 9, own, big_u, big_w)
            _pairs(sums, c, middle, pairs)
            place = 2 * middle + c
            out[place] = np.sum(big_u * big_w)
            out[place + top] = np.sum(big_w * big_w)
            out[place + 2 * top] = np.sum(pairs * big_u)
            out[place + 3 * top] = np.sum(pairs * big_w)
            pairs[:] = 0.0
            _add_quadrupole(u[0], u[1], u[2], pairs)
            out[place + 4 * top] = np.sum(pairs * big_u)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def _back(
    sums: Array,
    c: int,
    width: int,
    channels: int,
    first: int,
    last: int,
    own: Array,
    by_along: Array,
    by_onto: Array,
    slopes: Array,
    spin: Array,
) -> None:
    """From slopes by u and w to those by T, M and the spin."""
    for m in range(first, last):
        f, g = by_along[m - first], by_onto[m - first]
        for mu in range(3):
            q = (mu + 1) * channels + c
            slopes[m, q] += f * own[mu] + g * sums[0, (mu + 1) * width + c]
            slopes[0, (mu + 1) * width + c] += g * sums[m, q]
            spin[mu, c] += f * sums[m, q]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def product_slopes(
    sums: Array, x: float, y: float, z: float, lanes: Lanes, given: Array, slopes: Array, spin: Array
) -> None:
    """Add the slopes by the sums and by the spin, from those by the products."""
    width, middle, top = len(lanes[0]), len(lanes[1]), len(lanes[2])
    own, pull = np.array((x, y, z)), np.empty(3)
    u, w, big_u, big_w, pairs, square = np.empty(3), np.empty(3), np.empty(5), np.empty(5), np.empty(5), np.empty(5)
    for c in range(middle):
        _contract(sums, c, width, middle, 1, 4, own, u, w)
        by_u, by_w = given[c] * w, given[c] * u + 2.0 * given[middle + c] * w
        if c < top:
            _contract(sums, c, width, top, 4, 9, own, big_u, big_w)
            _pairs(sums, c, middle, pairs)
            square[:] = 0.0
            _add_quadrupole(u[0], u[1], u[2], square)
            place = 2 * middle + c
            g0, g1, g2 = given[place], given[place + top], given[place + 2 * top]
            g3, g4 = given[place + 3 * top], given[place + 4 * top]
            _pull(g4 * big_u, u[0], u[1], u[2], pull)
            by_u += pull
            for mu in range(1, 4):
                q = mu * middle + c
                _pull(g2 * big_u + g3 * big_w, sums[1, q], sums[2, q], sums[3, q], pull)
                for a in range(3):
                    slopes[1 + a, q] += pull[a]
            by_big_u = g0 * big_w + g2 * pairs + g4 * square
            by_big_w = g0 * big_u + 2.0 * g1 * big_w + g3 * pairs
            _back(sums, c, width, top, 4, 9, own, by_big_u, by_big_w, slopes, spin)
        _back(sums, c, width, middle, 1, 4, own, by_u, by_w, slopes, spin)
