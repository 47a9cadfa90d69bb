"""Short vectors: arithmetic, the exponential, and rows that are filled in part."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from spinase import simd
from spinase.simd import LANES, first, load, put, store, take, total, with_first


@njit
def exponential(x, out):
    for c in range(0, len(x), LANES):
        store(out, c, simd.exp(load(x, c)))


@njit
def arithmetic(x, y, out):
    a, b = load(x, 0), load(y, 0)
    store(out, 0, (a + b) * 2.0 - a / b + 1.0)


@njit
def in_part(x, out):
    put(out, 0, take(x, 0, 5) + 3.0, 9)
    return total(take(x, 0, 5)), first(with_first(load(x, 1), 7.0))


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
