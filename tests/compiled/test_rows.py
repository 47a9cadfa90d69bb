"""Short vectors: arithmetic, the exponential, rows that are filled in part, and rows with their changes."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from spinase.compiled.dual import dual
from spinase.compiled.exponential import exp
from spinase.compiled.rows import LANES, filled, first_lane, load, load_partial, store, store_partial, total, with_first_lane


@njit
def exponential(x, out):
    for c in range(0, len(x), LANES):
        store(out, c, exp(load(x, c)))


@njit
def arithmetic(x, y, out):
    a, b = load(x, 0), load(y, 0)
    store(out, 0, (a + b) * 2.0 - a / b + 1.0)


@njit
def in_part(x, out):
    store_partial(out, 0, load_partial(x, 0, 5) + 3.0, 9)
    return total(load_partial(x, 0, 5)), first_lane(with_first_lane(load(x, 1), 7.0))


@njit
def polynomial(arrays, number, out):
    x, none = load(arrays, 0), filled(arrays, 0.0)
    shifted = with_first_lane(load(arrays, 1), first_lane(x) * 3.0)
    store_partial(out, 0, 2.0 - x * x * shifted + (shifted - 1.5) * filled(arrays, number) - none, LANES - 3)
    return total(load_partial(arrays, 0, 2))


@njit
def changed_polynomial(arrays, number, change, out):
    return polynomial(arrays, dual(number, change), out)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dual_rows_follow_changes(dtype: type) -> None:
    """The same code for arrays and for pairs of them: values as before, and the slope along the changes."""
    x, dx = np.random.default_rng(2).normal(size=(2, LANES + 1)).astype(dtype)
    value, plain, change = np.zeros((3, LANES), dtype)
    number, moved = dtype(0.7), dtype(-0.4)
    polynomial(x, number, plain)
    summed = changed_polynomial((x, dx), number, moved, (value, change))
    assert summed == pytest.approx(float(x[0] + x[1]), rel=1e-6)
    np.testing.assert_allclose(value, plain, rtol=1e-5, atol=1e-6)
    assert np.abs(plain[:-3]).min() > 0.0
    shifted, d_shifted = x[1:].astype(float), dx[1:].astype(float)
    shifted[0], d_shifted[0] = 3.0 * x[0], 3.0 * dx[0]
    x, dx = x[:-1].astype(float), dx[:-1].astype(float)
    slope = -2.0 * x * dx * shifted - x * x * d_shifted + d_shifted * number + (shifted - 1.5) * moved
    np.testing.assert_allclose(change[:-3], slope[:-3], rtol=1e-5, atol=1e-5)
    assert not change[-3:].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_calculate(dtype: type) -> None:
    x = np.linspace(-79.0, 79.0, 40 * LANES).astype(dtype)
    out = np.empty_like(x)
    exponential(x, out)
    np.testing.assert_allclose(out, np.exp(x.astype(float)), rtol=3e-7 if dtype == np.float32 else 1e-8)
    x[:4] = np.nan, -np.inf, np.inf, 0.0
    exponential(x, out)
    assert np.isnan(out[0])
    assert out[1] < 1e-30
    assert out[2] > 1e30
    assert out[3] == 1.0
    a, b = np.random.default_rng(1).uniform(1.0, 2.0, (2, LANES)).astype(dtype)
    arithmetic(a, b, out)
    np.testing.assert_allclose(out[:LANES], (a + b) * 2 - a / b + 1, rtol=1e-6)


def test_rows_are_filled_in_part() -> None:
    x, out = np.arange(2.0 * LANES, dtype=np.float32), np.full(LANES, -1.0, np.float32)
    summed, changed = in_part(x, out)
    assert (summed, changed) == (10.0, 7.0)
    assert out.tolist() == [3, 4, 5, 6, 7, 3, 3, 3, 3] + [-1] * (LANES - 9)
