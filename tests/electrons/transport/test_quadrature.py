"""Adaptive nested quadrature against integrals that are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from spinase.electrons.transport.quadrature import _weights, integrate
from spinase.errors import ConvergenceError

NONE = np.empty(0)


def components(x: np.ndarray) -> np.ndarray:
    """Smooth, with a root inside, with a root at an end, and a resonance."""
    return np.stack([np.exp(x), np.sqrt(np.maximum(x - 0.3, 0.0)), np.sqrt(x), 1.0 / (1.0 + 100.0 * (x - 0.7) ** 2)], axis=1)


EXACT = np.array([np.e - 1.0, 2 / 3 * 0.7**1.5, 2 / 3, 0.1 * (np.arctan(3.0) + np.arctan(7.0))])


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-10])
def test_the_error_is_below_the_tolerance_and_the_estimate(tolerance: float) -> None:
    found = integrate(components, [0.0, 0.5, 1.0], tolerance, np.array([0.3]), 5000)
    error = np.abs(found.value - EXACT).max()
    assert error <= tolerance
    assert error <= found.error <= tolerance


@pytest.mark.parametrize("order", [4, 8, 32])
def test_weights_are_exact_for_polynomials_of_their_order(order: int) -> None:
    """Of 1.5 (1 - u^2) p(u) from -1 to 1 by its values at cos(pi k/order), p of degree order - 2 at most."""
    points = np.cos(np.pi * np.arange(1, order) / order)
    slope = chebyshev.chebmul([1.5], [0.5, 0.0, -0.5])  # 1.5 (1 - u^2)
    for degree in range(order - 1):
        one = np.eye(order)[degree]
        whole = chebyshev.chebint(chebyshev.chebmul(slope, one))
        exact = chebyshev.chebval(1.0, whole) - chebyshev.chebval(-1.0, whole)
        assert _weights(order) @ chebyshev.chebval(points, one) == pytest.approx(exact, abs=1e-14)


def test_marks_save_points() -> None:
    with_marks, without = (integrate(components, [0.0, 1.0], 1e-8, marks, 5000) for marks in (np.array([0.3]), NONE))
    assert with_marks.points < 0.6 * without.points


def test_no_point_is_asked_twice_within_a_rule() -> None:
    asked: list[float] = []

    def function(x: np.ndarray) -> np.ndarray:
        asked.extend(x)
        return np.cos(4.0 * x)[:, None]

    found = integrate(function, [0.0, 2.0], 1e-9, NONE, 100)
    assert found.value[0] == pytest.approx(np.sin(8.0) / 4.0, abs=1e-9)
    assert len(asked) == found.points == len(set(asked)) == 31


def test_a_narrow_resonance_takes_points_only_nearby() -> None:
    width, centre = 1e-4, 0.43
    found = integrate(
        lambda x: (width / np.pi / ((x - centre) ** 2 + width**2))[:, None], [0.0, 0.25, 0.5, 0.75, 1.0], 1e-6, NONE, 5000
    )
    exact = (np.arctan((1 - centre) / width) + np.arctan(centre / width)) / np.pi
    assert found.value[0] == pytest.approx(exact, abs=1e-6)
    assert found.points < 500


def test_too_few_points_are_an_error() -> None:
    with pytest.raises(ConvergenceError, match="tolerance 1e-12 within 60 energies"):
        integrate(components, [0.0, 1.0], 1e-12, NONE, 60)
