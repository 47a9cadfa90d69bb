"""S^ab(q, omega) of made-up series, what neutrons see of it, form factors and the quantum correction."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from spinase.analysis import (
    Bose,
    Equipartition,
    ExponentialFormFactor,
    dynamic_correlations,
    dynamic_structure_factor,
    magnetic_form_factor,
    quantum_correction,
)
from spinase.errors import InvalidMomentsError, ModelError

SITES, TIMES, STEP = 12, 64, 0.3
POSITIONS = np.arange(SITES)[:, None] * [1.0, 0.0, 0.0]
WAVE = 2 * np.pi * 3 / SITES


def precessing(frequency: float) -> np.ndarray:
    """0.1 [cos(q.r - omega t), -sin(q.r - omega t)] across z: the sense of spins along z."""
    phase = WAVE * POSITIONS[:, 0] - frequency * STEP * np.arange(TIMES)[:, None]
    return np.stack([0.1 * np.cos(phase), -0.1 * np.sin(phase), np.ones_like(phase)], axis=2)


def test_a_wave_shows_its_sign_and_its_sense() -> None:
    frequency = 2 * np.pi * 9 / (TIMES * STEP)
    found = dynamic_correlations(POSITIONS, precessing(frequency), STEP, [[WAVE, 0, 0], [-WAVE, 0, 0]])
    assert found.frequencies[found.trace()[0].argmax()] == pytest.approx(frequency)
    assert found.frequencies[found.trace()[1].argmax()] == pytest.approx(-frequency)
    along, against = found.component((1, 1j, 0))[0], found.component((1, -1j, 0))[0]
    assert along.max() > 1e6 * against.max()
    total = found.trace()[0].sum() * found.spacing / (2 * np.pi)
    assert total == pytest.approx(0.01 * SITES / 2, rel=1e-6)
    np.testing.assert_allclose(found.neutron()[0], 0.5 * found.trace()[0], atol=1e-9)  # q along x: y only
    with pytest.raises(InvalidMomentsError, match="not all zero"):
        found.component((0, 0, 0))


def test_the_diagonal_is_the_structure_factor_and_resolution_keeps_the_weight() -> None:
    spins = np.random.default_rng(1).normal(size=(TIMES, SITES, 3))
    waves = [[0.7, 0.2, 0.1], [0.0, 0.0, 0.0]]
    found = dynamic_correlations(POSITIONS, spins, STEP, waves)
    diagonal = np.einsum("mkaa->mka", found.values).real
    np.testing.assert_allclose(diagonal, dynamic_structure_factor(POSITIONS, spins, STEP, waves).values, rtol=1e-10)
    np.testing.assert_allclose(found.neutron()[1], 2 / 3 * found.trace()[1], rtol=1e-12)
    wave = dynamic_correlations(POSITIONS, precessing(0.0), STEP, [[WAVE, 0, 0]])
    assert wave.broadened(0.8).trace().sum() == pytest.approx(wave.trace().sum(), rel=1e-6)
    with pytest.raises(ModelError, match="resolution must be a positive"):
        wave.broadened(0.0)


def test_form_factors_belong_to_species() -> None:
    spins = np.random.default_rng(2).normal(size=(TIMES, SITES, 3))
    factors = {"Fe": lambda q: np.exp(-q), "Co": lambda q: 0.0 * q}
    half = dynamic_correlations(POSITIONS, spins, STEP, [[0.5, 0, 0]], symbols=["Fe", "Co"] * 6, form_factors=factors)
    iron = spins * (np.arange(SITES) % 2 == 0)[:, None]
    np.testing.assert_allclose(
        half.values, np.exp(-1.0) * dynamic_correlations(POSITIONS, iron, STEP, [[0.5, 0, 0]]).values, rtol=1e-10
    )
    with pytest.raises(ModelError, match="symbols of all 12 sites"):
        dynamic_correlations(POSITIONS, spins, STEP, [[0.5, 0, 0]], symbols=["Fe"], form_factors=factors)
    with pytest.raises(ModelError, match="no form factor for Co"):
        dynamic_correlations(
            POSITIONS, spins, STEP, [[1, 0, 0]], symbols=["Fe", "Co"] * 6, form_factors={"Fe": factors["Fe"]}
        )


def test_classical_correlations_become_quantum_ones() -> None:
    """Detailed balance: S(omega) = exp(hbar omega/kT) S(-omega), where the classical one is the same on both sides."""
    wave = [[WAVE, 0, 0]]
    frequency = 2 * np.pi * 9 / (TIMES * STEP)
    series = precessing(frequency) + precessing(-frequency)  # a standing wave
    found = dynamic_correlations(POSITIONS, series, STEP, wave)
    peak = int(found.trace()[0].argmax())
    other = int(np.abs(found.frequencies + found.frequencies[peak]).argmin())
    omega, kT, hbar = abs(found.frequencies[peak]), 0.7, 0.4
    assert found.trace()[0, peak] == pytest.approx(found.trace()[0, other], rel=1e-6)
    quantum = found.quantum(kT, hbar).trace()[0]
    up, down = max(peak, other), min(peak, other)
    assert quantum[up] / quantum[down] == pytest.approx(np.exp(hbar * omega / kT), rel=1e-6)
    x = hbar * omega / kT
    assert quantum[up] == pytest.approx(x / (1 - np.exp(-x)) * found.trace()[0, up], rel=1e-6)


def test_form_factors_fall_as_gaussians_of_sin_theta_over_lambda() -> None:
    factor = ExponentialFormFactor((0.2, 3.0, 0.3, 5.0, 0.4, 7.0, 0.1))
    square = (2.5 / (4 * np.pi)) ** 2
    expected = 0.2 * np.exp(-3.0 * square) + 0.3 * np.exp(-5.0 * square) + 0.4 * np.exp(-7.0 * square) + 0.1
    np.testing.assert_allclose(factor(np.array([0.0, 2.5, 1e3])), [1.0, expected, 0.1], rtol=1e-12)
    with pytest.raises(ModelError, match="seven numbers A, a, B, b, C, c, D"):
        ExponentialFormFactor((1.0, 2.0))  # type: ignore[arg-type]


def test_the_quantum_correction_restores_detailed_balance() -> None:
    x = np.array([-3.0, -1e-12, 0.0, 1e-12, 0.5, 3.0])
    correction = quantum_correction(0.4 * x, 0.4)
    np.testing.assert_allclose(correction[5] / correction[0], np.exp(3.0))
    np.testing.assert_allclose(correction[1:4], 1.0)
    np.testing.assert_allclose(correction[[0, 4, 5]], Bose(1.0)(x[[0, 4, 5]]) / Equipartition(1.0)(x[[0, 4, 5]]))
    np.testing.assert_array_equal(Bose()(x), [0, 0, 0, 1, 1, 1])
    for broken in (lambda: Bose(-1.0), lambda: Equipartition(0.0), lambda: quantum_correction(x, np.nan)):
        with pytest.raises(ModelError, match="kT must be a"):
            broken()


def test_tables_of_form_factors() -> None:
    if importlib.util.find_spec("periodictable") is None:
        with pytest.raises(ModelError, match="pip install periodictable"):
            magnetic_form_factor("Fe", 2)
        pytest.skip("periodictable is not installed")
    iron = magnetic_form_factor("Fe", 2)
    assert isinstance(iron, ExponentialFormFactor)
    # International Tables, vol. C, table 4.4.5.2
    assert iron.coefficients == pytest.approx((0.0263, 34.960, 0.3668, 15.943, 0.6188, 5.594, -0.0119), rel=1e-4)
    with pytest.raises(ModelError, match=r"no magnetic form factor of Fe with charge 9: known are \[0, "):
        magnetic_form_factor("Fe", 9)
    with pytest.raises(ModelError, match="none of this element"):
        magnetic_form_factor("He", 0)
