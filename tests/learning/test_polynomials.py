"""Polynomials of the chemical potential, and readouts that know no electrons, in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spinase.errors import ModelError
from spinase.learning.polynomials import polynomial_slopes, polynomials, position
from spinase.learning.readout import EnergyReadout

X = torch.linspace(-0.95, 0.95, 13, dtype=torch.float64)


@pytest.mark.parametrize("orders", [0, 1, 2, 6])
def test_polynomials_are_cosines_of_multiples_and_slopes_sines(orders: int) -> None:
    """T_k(cos a) = cos k a, T'_k(cos a) = k sin(k a)/sin a."""
    angle, k = torch.arccos(X)[:, None], torch.arange(orders + 1)
    torch.testing.assert_close(polynomials(X, orders), torch.cos(k * angle))
    torch.testing.assert_close(polynomial_slopes(X, orders), k * torch.sin(k * angle) / torch.sin(angle))


@pytest.mark.parametrize("electrons", [-0.9, 0.0, 0.4, 1.05])
def test_a_parabola_has_its_electrons_where_its_slope_says(electrons: float) -> None:
    """Omega = -N0 x - c x^2/2 has N = N0 + c x; x^2 = (T_2 + T_0)/2."""
    n0, c = 0.1, 1.3
    parts = np.array([-0.25 * c, -n0, -0.25 * c])
    assert position(parts, electrons) == pytest.approx((electrons - n0) / c, abs=1e-12)


def test_electrons_beyond_the_window_are_nowhere() -> None:
    parts = np.array([0.0, -0.1, -0.25])
    assert np.isnan(position(parts, 5.0))
    assert np.isnan(position(parts, -5.0))


def test_numbers_that_fall_are_no_answer_and_the_middle_is_preferred() -> None:
    """N(x) = 4 x^3 - 3 x + 0.1 crosses zero three times: rising on both sides, falling in the middle."""
    parts = -np.polynomial.chebyshev.chebint([0.1, 0.0, 0.0, 1.0])
    found = position(parts, 0.0)
    roots = np.roots([4.0, 0.0, -3.0, 0.1])
    rising = roots[12.0 * roots**2 - 3.0 > 0.0]
    assert found == pytest.approx(rising[np.argmin(np.abs(rising))], abs=1e-12)


def test_a_number_turned_round_falls_everywhere_and_has_no_place() -> None:
    assert np.isnan(position(np.array([0.25, 0.1, 0.25]), 0.0))


def test_an_energy_is_one_part_with_weight_one() -> None:
    readout = EnergyReadout()
    np.testing.assert_array_equal(readout.weigh(np.zeros((6, 1)), 2, 3.0, np.zeros((6, 3))).weights, np.ones((1, 6, 1)))
    torch.testing.assert_close(readout.batch_weights(None, 4, 1, X), torch.ones(4, 1, 1, dtype=X.dtype))
    assert not readout.batch_slopes(X, 1).any()
    gradients = np.arange(6.0).reshape(1, 2, 3)
    np.testing.assert_array_equal(readout.fields(np.zeros((2, 3)), gradients, np.zeros((2, 3))), gradients[0])
    assert readout.at() is readout
    assert readout.table() == {}
    with pytest.raises(ModelError, match="2 parts of a site are no energy: an energy is one"):
        readout.constant_weights(2)


@pytest.mark.parametrize("options", [{"filling": 0.5}, {"chemical_potential": 0.0}])
def test_an_energy_knows_no_electrons(options: dict[str, float]) -> None:
    with pytest.raises(ModelError, match="knows nothing of electrons: leave filling and chemical_potential out"):
        EnergyReadout().at(**options)
