"""Products of small matrices against numpy's."""

from __future__ import annotations

import numpy as np
import pytest

from spinase.compiled.dense import matrix, multiply, product


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape",
    [(64, 456, 64), (13, 5, 20), (8, 1, 32), (3, 7, 49), (1, 2, 1), (0, 4, 16), (9, 0, 16), (17, 9, 48), (9, 4, 35)],
)
def test_products_are_those_of_numpy(shape: tuple[int, int, int], dtype: type) -> None:
    """Rows that do not fill a tile, columns that do not fill a vector; what is behind the end stays as it is."""
    rows, depth, width = shape
    rng = np.random.default_rng(1)
    left, weights = rng.normal(size=(rows, depth)).astype(dtype), rng.normal(size=(depth, width))
    right, held = matrix(weights, dtype), np.full((rows + 1, width), 7.0, dtype)
    out, expected = held[:rows], left.astype(float) @ weights
    scale = 1e-6 if dtype is np.float32 else 1e-14
    multiply(left, right, out, False)
    np.testing.assert_allclose(out, expected, atol=30 * scale * np.sqrt(depth + 1))
    multiply(left, right, out, True)
    np.testing.assert_allclose(out, 2.0 * expected, atol=60 * scale * np.sqrt(depth + 1))
    assert (held[rows] == 7.0).all()
    multiply(left, right, out, False)
    np.testing.assert_array_equal(product(left, right), out)


def test_weights_are_copied() -> None:
    """A matrix belongs to nobody else, and a transpose becomes contiguous."""
    weights = np.arange(6.0).reshape(2, 3).T
    copied = matrix(weights, np.float32)
    weights[0, 0] = 9.0
    assert copied.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(copied, [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]])
