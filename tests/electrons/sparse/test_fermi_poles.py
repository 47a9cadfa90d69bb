"""Rational forms of the Fermi function: errors, exact derivative, exponential convergence, limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from spinase.electrons.sparse.fermi_poles import _Projected, fermi_poles
from spinase.errors import ConvergenceError


@pytest.mark.parametrize("half_range", [3.0, 60.0, 240.0, 4000.0])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_the_tolerance_holds_between_the_points_of_the_fit(half_range: float, tolerance: float) -> None:
    poles = fermi_poles(half_range, tolerance)
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-half_range, half_range, 20_000), rng.normal(size=20_000) * min(5.0, half_range / 5)])
    exact = expit(-x)
    assert np.abs(poles.fermi(x) - exact).max() <= 1.02 * tolerance
    assert poles.half_range >= half_range
    assert poles.heights.min() > 3.1
    potential = np.abs(poles.potential(x) - np.logaddexp(0.0, -x)).max()
    assert potential <= 1.02 * poles.potential_error
    # energies are then as good as occupations: relative to the bandwidth
    assert potential <= tolerance * poles.half_range


def test_the_fermi_function_is_the_exact_derivative_of_the_potential() -> None:
    poles = fermi_poles(100.0, 1e-2)
    x, step = np.linspace(-90.0, 90.0, 41), 1e-4
    slope = (poles.potential(x + step) - poles.potential(x - step)) / (2 * step)
    np.testing.assert_allclose(-slope, poles.fermi(x), atol=1e-8)
    assert np.abs(poles.fermi(x) - expit(-x)).max() > 1e-4  # the form itself is rough


def test_poles_needed_grow_with_digits_and_with_the_logarithm_of_the_range() -> None:
    digits = [len(fermi_poles(200.0, tolerance).heights) for tolerance in (1e-4, 1e-6, 1e-8, 1e-10)]
    assert digits == sorted(digits)
    assert digits[1] <= 8
    assert digits[3] <= 12
    ranges = [len(fermi_poles(half_range, 1e-6).heights) for half_range in (1e2, 1e3, 1e4)]
    assert max(np.diff(ranges)) <= 5


def test_no_pole_runs_away_where_the_fit_is_close_to_round_off() -> None:
    """Without the term of the order of the residual in the derivative of the fit, one did here, and no set was found."""
    poles = fermi_poles(5430.0, 1e-10)
    assert poles.error <= 1e-10
    assert len(poles.heights) <= 21
    assert np.abs(poles.weights / poles.heights).sum() < 10.0  # no large terms that cancel
    assert poles.heights.max() < 10.0 * poles.half_range


def test_the_residual_of_a_fit_has_the_slopes_it_says() -> None:
    """Central differences, of a guess that is far from the best: both terms of the derivative count."""
    x = np.geomspace(0.1, 60.0, 80)
    projected = _Projected(x, np.random.default_rng(1).uniform(0.5, 1.0, len(x)), 3.0)
    logs, step = np.log([2.0, 11.0, 50.0]), 1e-5
    slopes = projected.slopes(logs)
    for k, change in enumerate(step * np.eye(3)):
        found = (projected.residual(logs + change) - projected.residual(logs - change)) / (2.0 * step)
        np.testing.assert_allclose(slopes[:, k], found, atol=1e-8 * np.abs(slopes).max())


def test_sets_are_shared() -> None:
    assert fermi_poles(200.0, 1e-6) is fermi_poles(201.0, 1e-6)


def test_an_unreachable_tolerance_is_refused_with_what_is_reachable() -> None:
    with pytest.raises(ConvergenceError, match=r"is within 1e-17 over .* kT .* \(best: .*e-1\d\): use a larger tolerance"):
        fermi_poles(20.0, 1e-17)
