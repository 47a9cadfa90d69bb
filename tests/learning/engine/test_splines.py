"""Filters of moving atoms: cubic splines between knots, their slopes, and how fine they must be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spinase.learning.engine.graph import radial_splines
from spinase.learning.engine.pair_splines import pair_law
from spinase.learning.engine.splines import SplineTable, basis, basis_slopes, spline_table, spline_values
from spinase.learning.mhipnn.graph import RadialBasis
from spinase.learning.mhipnn.pair_law import PairLaw

INSIDE = np.linspace(0.0, 1.0, 21)


def at(t: float) -> np.ndarray:
    return np.array(basis(t, np.float64))


def test_the_basis_adds_up_to_one_and_keeps_straight_lines() -> None:
    """sum B_m = 1, sum m B_m = t + 1: a straight line through the coefficients is reproduced, also below the first knot."""
    for t in [*INSIDE, -0.5, -3.0]:
        assert at(t).sum() == pytest.approx(1.0, abs=1e-14)
        assert at(t) @ np.arange(4) == pytest.approx(t + 1.0, abs=1e-13)


def test_intervals_join_smoothly() -> None:
    """At a knot the basis of the interval before is that of the one behind, shifted: with first and second derivatives."""
    np.testing.assert_allclose(at(1.0)[1:], at(0.0)[:3], atol=1e-14)
    slopes = [np.array(basis_slopes(t, 1.0, np.float64)) for t in (1.0, 0.0)]
    np.testing.assert_allclose(slopes[0][1:], slopes[1][:3], atol=1e-14)
    step = 1e-4
    curves = [(at(t + step) - 2 * at(t) + at(t - step)) / step**2 for t in (1.0 - step, step)]
    np.testing.assert_allclose(curves[0][1:], curves[1][:3], atol=1e-2)
    assert at(1.0)[0] == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9, -0.3])
def test_slopes_are_those_of_the_basis(t: float) -> None:
    step, density = 1e-6, 7.0
    expected = density * (at(t + step) - at(t - step)) / (2 * step)
    np.testing.assert_allclose(basis_slopes(t, density, np.float64), expected, atol=1e-8)


def test_below_the_first_knot_it_goes_on_as_a_straight_line() -> None:
    values = np.array([at(t) for t in (0.0, -1.0, -2.0)])
    np.testing.assert_allclose(values[1] - values[0], values[2] - values[1], atol=1e-14)
    np.testing.assert_allclose(values[0] - values[1], basis_slopes(0.0, 1.0, np.float64), atol=1e-14)


def cubic(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.stack([1.0 + 0 * r, r, r**3 - r**2], axis=1), np.stack([0 * r, 1.0 + 0 * r, 3 * r**2 - 2 * r], axis=1)


def test_cubic_polynomials_are_exact_at_the_coarsest() -> None:
    table = spline_table(cubic, 0.5, 2.0, np.float64)
    assert len(table.coefficients) == 64 + 3
    r = np.linspace(0.5, 2.0, 333)
    np.testing.assert_allclose(spline_values(table, r), cubic(r)[0], atol=1e-12)
    assert table.density == pytest.approx(64 / 1.5)


@pytest.mark.parametrize(("dtype", "allowed"), [(np.float32, 1e-7), (np.float64, 1e-13)])
def test_splines_are_as_fine_as_the_numbers(dtype: type, allowed: float) -> None:
    """Between the knots, off their middles; double precision needs more intervals."""
    radial = RadialBasis(6, 0.7, 2.0, True)
    table = radial_splines(radial, dtype)
    r = np.linspace(radial.start, 2.0, 1777)
    exact = radial(torch.from_numpy(r)).numpy()
    assert np.abs(spline_values(table, r) - exact).max() < 3 * allowed
    if dtype == np.float64:
        assert len(table.coefficients) > 8 * len(radial_splines(radial, np.float32).coefficients)


def test_the_interpolation_goes_through_the_knots_with_the_slopes_at_both_ends() -> None:
    table = spline_table(lambda r: (np.sin(r)[:, None], np.cos(r)[:, None]), 0.0, 3.0, np.float32)
    knots = np.linspace(0.0, 3.0, len(table.coefficients) - 2)
    np.testing.assert_allclose(spline_values(table, knots)[:, 0], np.sin(knots), atol=1e-12)
    for end, rows, t in ((0.0, table.coefficients[:4], 0.0), (3.0, table.coefficients[-4:], 1.0)):
        slope = np.array(basis_slopes(t, table.density, np.float64)) @ rows[:, 0]
        assert slope == pytest.approx(np.cos(end), abs=1e-10)


def test_beyond_the_last_knot_the_last_interval_counts() -> None:
    table = SplineTable(np.arange(7.0)[:, None], 0.0, 1.0)
    np.testing.assert_allclose(
        spline_values(table, np.array([-1.0, 0.0, 2.5, 4.0])), [[0.0], [1.0], [3.5], [5.0]], atol=1e-14
    )


def test_splines_of_a_law_of_pairs_are_its_values() -> None:
    """Columns phi and psi of every two species; symmetric in them; down to 0.8 of the shortest resolved distance."""
    torch.manual_seed(1)
    law = PairLaw(2, 5, RadialBasis(6, 0.8, 2.0)).double()
    with torch.no_grad():
        law.laws.normal_()
    made = pair_law(law, np.float64)
    table = SplineTable(made._coefficients, made._start, made._density)
    r = np.linspace(0.8 * law.basis.inner, 2.0, 200)
    found = spline_values(table, r).reshape(-1, 2, 2, 2)
    for one in (0, 1):
        for two in (0, 1):
            kinds = torch.full((200,), one), torch.full((200,), two)
            expected = law.values(torch.from_numpy(r), *kinds).detach().numpy()
            np.testing.assert_allclose(found[:, one, two], expected, atol=1e-11)
    np.testing.assert_allclose(found[:, 0, 1], found[:, 1, 0], atol=1e-14)
