"""Thermodynamics of filled levels: derivatives of free energies, Sommerfeld's expansion, symmetries of levels and holes."""

from __future__ import annotations

import numpy as np
import pytest

from spinase.electrons import FixedChemicalPotential, FixedFilling
from spinase.electrons.occupation import Filled, fermi, fermi_entropy, find_chemical_potential, grand_potential
from spinase.electrons.solvers.chemical_potential import Goal, MuMemory, Trial, find_mu, largest_share
from spinase.errors import ModelError

LEVELS = np.sort(np.random.default_rng(5).normal(size=30))
WEIGHTS = np.random.default_rng(6).uniform(0.3, 1.0, size=30)
TOTAL = float(WEIGHTS.sum())
STEP = 1e-5


def at_filling(kT: float, electrons: float) -> Filled:  # noqa: N803
    return FixedFilling(kT, electrons / TOTAL).fill(LEVELS, WEIGHTS, TOTAL)


def at_potential(kT: float, mu: float) -> Filled:  # noqa: N803
    return FixedChemicalPotential(kT, mu).fill(LEVELS, WEIGHTS, TOTAL)


@pytest.mark.parametrize("kT", [0.03, 0.2, 1.5])
@pytest.mark.parametrize("electrons", [2.0, 0.5 * TOTAL, TOTAL - 1.0])
def test_free_energies_have_the_derivatives_of_the_textbook(kT: float, electrons: float) -> None:  # noqa: N803
    """dF/dN = mu and dF/dkT = -S; dU/dkT = kT dS/dkT, the heat capacity, positive; dS/dN = -dmu/dkT (Maxwell)."""
    here = at_filling(kT, electrons)
    more, less = at_filling(kT, electrons + STEP), at_filling(kT, electrons - STEP)
    hotter, colder = at_filling(kT + STEP, electrons), at_filling(kT - STEP, electrons)
    assert (more.free_energy - less.free_energy) / (2 * STEP) == pytest.approx(here.chemical_potential, abs=1e-6)
    assert (hotter.free_energy - colder.free_energy) / (2 * STEP) == pytest.approx(-here.entropy, rel=1e-6)
    heat = (hotter.energy - colder.energy) / (2 * STEP)
    assert heat > 0.0
    assert heat == pytest.approx(kT * (hotter.entropy - colder.entropy) / (2 * STEP), rel=1e-5)
    maxwell = (hotter.chemical_potential - colder.chemical_potential) / (2 * STEP)
    assert (more.entropy - less.entropy) / (2 * STEP) == pytest.approx(-maxwell, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("kT", [0.03, 0.2, 1.5])
def test_the_grand_potential_has_its_derivatives(kT: float) -> None:  # noqa: N803
    """dOmega/dmu = -N, dOmega/dkT = -S, and the compressibility is the sum of f (1 - f)/kT."""
    here = at_potential(kT, 0.2)
    up, down = at_potential(kT, 0.2 + STEP), at_potential(kT, 0.2 - STEP)
    assert (up.free_energy - down.free_energy) / (2 * STEP) == pytest.approx(-here.electrons, rel=1e-8)
    hotter, colder = at_potential(kT + STEP, 0.2), at_potential(kT - STEP, 0.2)
    assert (hotter.free_energy - colder.free_energy) / (2 * STEP) == pytest.approx(-here.entropy, rel=1e-6)
    spread = WEIGHTS @ (here.occupations * (1.0 - here.occupations)) / kT
    assert (up.electrons - down.electrons) / (2 * STEP) == pytest.approx(spread, rel=1e-7)
    same = at_filling(kT, here.electrons)
    assert same.chemical_potential == pytest.approx(0.2, abs=1e-12)
    assert same.free_energy == pytest.approx(here.free_energy + 0.2 * here.electrons, abs=1e-11)


def test_a_flat_band_follows_sommerfeld() -> None:
    """Constant density D about mu: U - U_0 = pi^2/6 D kT^2, S = pi^2/3 D kT, to exp(-W/kT)."""
    levels = np.linspace(-1.0, 1.0, 4001)
    weights, density = np.full(4001, 1.0), 2000.0
    for kT in (0.02, 0.04):
        filled = FixedFilling(kT, 0.5).fill(levels, weights, 4001.0)
        cold = FixedFilling(0.0, 0.5).fill(levels, weights, 4001.0)
        assert filled.energy - cold.energy == pytest.approx(np.pi**2 / 6 * density * kT**2, rel=1e-3)
        assert filled.entropy == pytest.approx(np.pi**2 / 3 * density * kT, rel=1e-3)


def test_electrons_and_holes_are_alike() -> None:
    """f(mu + x) + f(mu - x) = 1; levels turned about zero at 1 - filling have -mu and the same entropy."""
    x = np.linspace(0.0, 5.0, 30)
    np.testing.assert_allclose(fermi(0.3 + x, 0.3, 0.7) + fermi(0.3 - x, 0.3, 0.7), 1.0, atol=1e-15)
    one = FixedFilling(0.1, 0.3).fill(LEVELS, WEIGHTS, TOTAL)
    other = FixedFilling(0.1, 0.7).fill(-LEVELS, WEIGHTS, TOTAL)
    assert other.chemical_potential == pytest.approx(-one.chemical_potential, abs=1e-12)
    assert other.entropy == pytest.approx(one.entropy, rel=1e-12)
    assert other.energy == pytest.approx(one.energy - WEIGHTS @ LEVELS, abs=1e-11)


def test_the_zero_and_the_unit_of_energy_are_free() -> None:
    here = at_filling(0.1, 7.0)
    moved = FixedFilling(0.1, 7.0 / TOTAL).fill(LEVELS + 3.5, WEIGHTS, TOTAL)
    scaled = FixedFilling(0.25, 7.0 / TOTAL).fill(2.5 * LEVELS, WEIGHTS, TOTAL)
    assert moved.chemical_potential == pytest.approx(here.chemical_potential + 3.5, abs=1e-12)
    assert moved.free_energy == pytest.approx(here.free_energy + 7.0 * 3.5, abs=1e-11)
    assert scaled.free_energy == pytest.approx(2.5 * here.free_energy, rel=1e-12)
    assert scaled.entropy == pytest.approx(here.entropy, rel=1e-12)


def test_a_weight_is_a_number_of_equal_levels() -> None:
    levels, weights = np.array([-1.0, 0.2, 0.9]), np.array([2.0, 3.0, 1.0])
    whole = FixedFilling(0.15, 0.4).fill(levels, weights, 6.0)
    single = FixedFilling(0.15, 0.4).fill(np.repeat(levels, [2, 3, 1]), np.ones(6), 6.0)
    assert whole.chemical_potential == pytest.approx(single.chemical_potential, abs=1e-13)
    assert whole.free_energy == pytest.approx(single.free_energy, abs=1e-13)
    order = np.array([2, 0, 1])
    mixed = FixedFilling(0.15, 0.4).fill(levels[order], weights[order], 6.0)
    np.testing.assert_allclose(mixed.occupations, whole.occupations[order], atol=1e-14)


def test_entropy_is_largest_where_nothing_is_known() -> None:
    """ln 2 a state at f = 1/2, none for full and empty ones, the same for f and 1 - f; also at infinite temperature."""
    assert fermi_entropy(np.array([0.5, 0.5]), np.array([1.0, 2.0])) == pytest.approx(3.0 * np.log(2.0))
    assert fermi_entropy(np.array([0.0, 1.0]), np.ones(2)) == 0.0
    assert fermi_entropy(np.array([0.1]), np.ones(1)) == pytest.approx(fermi_entropy(np.array([0.9]), np.ones(1)))
    hot = FixedFilling(1e4, 0.3).fill(LEVELS, WEIGHTS, TOTAL)
    np.testing.assert_allclose(hot.occupations, 0.3, atol=1e-3)
    assert hot.entropy == pytest.approx(-TOTAL * (0.3 * np.log(0.3) + 0.7 * np.log(0.7)), rel=1e-5)


@pytest.mark.parametrize("filling", [0.13, 0.5, 0.77])
def test_zero_temperature_is_the_limit(filling: float) -> None:
    """F of small kT approaches the cold energy from below; no overflow at 1e-6."""
    cold = FixedFilling(0.0, filling).fill(LEVELS, WEIGHTS, TOTAL)
    assert cold.entropy == 0.0
    assert cold.free_energy == cold.energy
    differences = [
        cold.free_energy - FixedFilling(kT, filling).fill(LEVELS, WEIGHTS, TOTAL).free_energy for kT in (1e-2, 1e-3)
    ]
    assert differences[0] > differences[1] > -1e-12
    tiny = FixedFilling(1e-6, filling).fill(LEVELS, WEIGHTS, TOTAL)
    assert tiny.energy == pytest.approx(cold.energy, abs=1e-8)


def test_the_cold_grand_potential_is_a_sum_of_gaps() -> None:
    assert grand_potential(LEVELS, WEIGHTS, 0.1, 0.0) == pytest.approx(-float(WEIGHTS @ np.maximum(0.1 - LEVELS, 0.0)))
    assert grand_potential(LEVELS, WEIGHTS, 0.1, 1e-4) == pytest.approx(grand_potential(LEVELS, WEIGHTS, 0.1, 0.0), abs=1e-3)
    assert grand_potential(LEVELS, WEIGHTS, -50.0, 0.1) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("electrons", [0.0, TOTAL])
def test_empty_and_full_bands_have_no_chemical_potential(electrons: float) -> None:
    with pytest.raises(ModelError, match=r"electrons in .* states at kT = 0.1 put the chemical potential at infinity"):
        find_chemical_potential(LEVELS, WEIGHTS, electrons, 0.1)


@pytest.mark.parametrize("electrons", [1e-9, 3.0, TOTAL - 1e-9])
def test_few_electrons_and_few_holes_are_counted_exactly(electrons: float) -> None:
    mu = find_chemical_potential(LEVELS, WEIGHTS, electrons, 0.05)
    if electrons < 1.0:
        assert WEIGHTS @ fermi(LEVELS, mu, 0.05) == pytest.approx(electrons, rel=1e-6)
    elif electrons > TOTAL - 1.0:
        assert WEIGHTS @ fermi(-LEVELS, -mu, 0.05) == pytest.approx(1e-9, rel=1e-5)
    else:
        assert WEIGHTS @ fermi(LEVELS, mu, 0.05) == pytest.approx(electrons, rel=1e-14)


# -- the search of solvers that know no levels ------------------------------------------------------------------------


def goal(electrons: float, tolerance: float = 1e-9) -> Goal:
    return Goal(electrons, TOTAL, (float(LEVELS[0]), float(LEVELS[-1])), 0.1, tolerance)


@pytest.mark.parametrize("memory", [MuMemory(), MuMemory(0.4, 8.0), MuMemory(-30.0), MuMemory(2.0, 1e-8)])
@pytest.mark.parametrize("electrons", [0.5, 9.0, TOTAL - 0.5])
def test_the_search_ends_at_the_chemical_potential_from_anywhere(electrons: float, memory: MuMemory) -> None:
    trials = []

    def trial(mu: float, rough: bool, share: float) -> Trial[float]:
        trials.append(mu)
        assert 0.0 < share <= 1.0
        return Trial(float(WEIGHTS @ fermi(LEVELS, mu, 0.1)), mu)

    mu, after = find_mu(trial, goal(electrons), memory)
    assert mu == pytest.approx(find_chemical_potential(LEVELS, WEIGHTS, electrons, 0.1), abs=1e-7)
    assert after.mu == mu
    again, before = find_mu(trial, goal(electrons), after), len(trials)
    assert again[0] == pytest.approx(mu, abs=1e-8)
    assert len(trials) - before <= 3, "from a memory one or two trials do"


def test_one_level_takes_at_most_its_share_of_an_error() -> None:
    """df/dmu <= 1/(4 kT): of dN/dmu = 50 at kT = 0.1 a twentieth; all of it where nothing is known."""
    assert largest_share(None, 0.1) == 1.0
    assert largest_share(50.0, 0.1) == pytest.approx(0.05)
    assert largest_share(1.0, 0.1) == 1.0
    aim = goal(3.0, 1e-3)
    assert aim.reached(0.9e-3, 1.0)
    assert not aim.reached(2e-3, 1.0)
    assert aim.reached(-2e-3, 0.4)
    assert aim.reached(0.9e-13 * TOTAL, 1e12), "no search goes below round-off"
