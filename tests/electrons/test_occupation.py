"""Occupation of levels: thermodynamic identities and limits."""

from __future__ import annotations

import numpy as np
import pytest

from spinase.electrons import FixedChemicalPotential, FixedFilling
from spinase.electrons.observables import density_of_states
from spinase.electrons.occupation import fermi, find_chemical_potential, grand_potential
from spinase.errors import ModelError

LEVELS = np.sort(np.random.default_rng(3).normal(size=40))
WEIGHTS = np.random.default_rng(4).uniform(0.2, 1.0, size=40)
TOTAL = float(WEIGHTS.sum())


@pytest.mark.parametrize("temperature", [1e-3, 0.05, 2.0])
@pytest.mark.parametrize("filling", [0.02, 0.5, 0.97])
def test_fixed_filling_has_the_number_and_the_free_energy(filling: float, temperature: float) -> None:
    filled = FixedFilling(temperature, filling).fill(LEVELS, WEIGHTS, TOTAL)
    assert WEIGHTS @ filled.occupations == pytest.approx(filling * TOTAL, rel=1e-12)
    omega = grand_potential(LEVELS, WEIGHTS, filled.chemical_potential, temperature)
    assert filled.free_energy == pytest.approx(omega + filled.chemical_potential * filled.electrons, abs=1e-11)
    assert filled.energy - temperature * filled.entropy == pytest.approx(filled.free_energy, abs=1e-11)


@pytest.mark.parametrize("temperature", [0.0, 0.05, 2.0])
def test_fixed_mu_gives_omega_and_its_derivative_is_the_number(temperature: float) -> None:
    def omega(mu: float) -> float:
        return FixedChemicalPotential(temperature, mu).fill(LEVELS, WEIGHTS, TOTAL).free_energy

    filled = FixedChemicalPotential(temperature, 0.1234).fill(LEVELS, WEIGHTS, TOTAL)
    assert -(omega(0.1234 + 1e-5) - omega(0.1234 - 1e-5)) / 2e-5 == pytest.approx(filled.electrons, rel=1e-8)
    omega = filled.energy - temperature * filled.entropy - filled.chemical_potential * filled.electrons
    assert omega == pytest.approx(filled.free_energy, abs=1e-11)


def test_two_levels_in_closed_form() -> None:
    levels, weights = np.array([-1.0, 1.0]), np.ones(2)
    filled = FixedChemicalPotential(0.5, 0.3).fill(levels, weights, 2.0)
    expected = 1.0 / (np.exp((levels - 0.3) / 0.5) + 1.0)
    np.testing.assert_allclose(filled.occupations, expected, rtol=1e-14)
    assert filled.free_energy == pytest.approx(-0.5 * np.log(1 + np.exp(1.3 / 0.5)) - 0.5 * np.log(1 + np.exp(-0.7 / 0.5)))
    assert FixedFilling(0.5, 0.5).fill(levels, weights, 2.0).chemical_potential == pytest.approx(0.0, abs=1e-14)


def test_cold_filling_of_gaps_and_degenerate_levels() -> None:
    levels, weights = np.array([-1.0, 0.5, 0.5, 2.0]), np.ones(4)
    gapped = FixedFilling(0.0, 0.25).fill(levels, weights, 4.0)
    assert gapped.chemical_potential == pytest.approx(-0.25)
    np.testing.assert_array_equal(gapped.occupations, [1, 0, 0, 0])
    shared = FixedFilling(0.0, 0.5).fill(levels, weights, 4.0)
    assert shared.chemical_potential == 0.5
    np.testing.assert_allclose(shared.occupations, [1, 0.5, 0.5, 0])
    assert shared.energy == pytest.approx(-0.5)
    np.testing.assert_array_equal(FixedFilling(0.0, 0.0).fill(levels, weights, 4.0).occupations, 0)
    np.testing.assert_array_equal(FixedFilling(0.0, 1.0).fill(levels, weights, 4.0).occupations, 1)


def test_fermi_function_does_not_overflow_when_cold() -> None:
    np.testing.assert_array_equal(fermi(np.array([-9e3, 9e3]), 0.0, 1e-3), [1.0, 0.0])
    np.testing.assert_array_equal(fermi(np.array([-1.0, 0.0, 1.0]), 0.0, 0.0), [1.0, 0.5, 0.0])


def test_density_of_states_counts_the_states() -> None:
    energies = np.linspace(-8, 8, 4001)
    dos = density_of_states(LEVELS, WEIGHTS, energies, 0.1)
    assert np.trapezoid(dos, energies) == pytest.approx(TOTAL, rel=1e-9)
    with pytest.raises(ModelError, match="width .* must be positive"):
        density_of_states(LEVELS, WEIGHTS, energies, 0.0)


@pytest.mark.parametrize("filling", [-0.1, 1.01, np.nan])
def test_filling_outside_zero_to_one_is_refused(filling: float) -> None:
    with pytest.raises(ModelError, match=r"electrons per spin-orbital and must be in 0\.\.1, got"):
        FixedFilling(0.1, filling)


def test_bad_temperatures_and_infinite_mu_are_refused() -> None:
    with pytest.raises(ModelError, match="kT must be zero or positive"):
        FixedFilling(-1.0, 0.5)
    with pytest.raises(ModelError, match="chemical_potential must be finite"):
        FixedChemicalPotential(0.1, np.inf)
    with pytest.raises(ModelError, match="put the chemical potential at infinity"):
        find_chemical_potential(LEVELS, WEIGHTS, 0.0, 0.1)
