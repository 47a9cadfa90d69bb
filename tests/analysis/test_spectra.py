"""Spectra and averages: dispersions of simple magnets from their dynamics, sum rules, processes with known correlations."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.signal import lfilter

from spinase import SpinAtoms
from spinase.analysis import (
    DynamicStructureFactor,
    autocorrelation,
    binder_cumulant,
    block_average,
    dynamic_structure_factor,
    magnon_dispersion,
    mean_and_error,
    two_time_correlation,
)
from spinase.analysis.spectra import _blocked
from spinase.calculators import DMICalculator, HeisenbergCalculator, SpinSumCalculator, UniaxialAnisotropyCalculator
from spinase.dynamics import LLGDynamics
from spinase.errors import AccuracyWarning, InvalidMomentsError
from spinase.spin_algebra import random_spins
from spinase.spinwaves import spin_waves


def wave(x: float, y: float = 0.0) -> list[float]:
    return [2 * np.pi * x, 2 * np.pi * y, 0.0]


def chain_energy(q: np.ndarray) -> np.ndarray:
    return 2 * (1 - np.cos(q[:, 0]))


def chain_energy_antiferro(q: np.ndarray) -> np.ndarray:
    return 2 * np.abs(np.sin(q[:, 0]))


def square_energy(q: np.ndarray) -> np.ndarray:
    return 2 * (2 - np.cos(q[:, 0]) - np.cos(q[:, 1]))


def square_energy_antiferro(q: np.ndarray) -> np.ndarray:
    return 4 * np.sqrt(1 - (0.5 * (np.cos(q[:, 0]) + np.cos(q[:, 1]))) ** 2)


CASES = {
    "ferromagnetic chain": ("chain", (16,), 1.0, chain_energy, [wave(k / 16) for k in (1, 2, 4, 6, 8)]),
    "antiferromagnetic chain": ("chain", (16,), -1.0, chain_energy_antiferro, [wave(k / 16) for k in (1, 2, 3, 4, 6)]),
    "ferromagnetic square": ("square", (8, 8), 1.0, square_energy, [wave(1 / 8), wave(2 / 8, 2 / 8), wave(4 / 8, 4 / 8)]),
    "antiferromagnetic square": (
        "square",
        (8, 8),
        -1.0,
        square_energy_antiferro,
        [wave(1 / 8), wave(2 / 8, 2 / 8), wave(3 / 8, 1 / 8)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_magnons_in_the_dynamics_have_the_closed_form(name: str) -> None:
    lattice, size, exchange, energy, waves = CASES[name]
    atoms = SpinAtoms.lattice(lattice, size, units="reduced")
    sign = 1.0 if exchange > 0 else (-1.0) ** np.round(atoms.positions.sum(axis=1))
    order = np.outer(sign * np.ones(len(atoms)), [0, 0, 1.0])
    atoms.spins = order + 0.02 * np.random.default_rng(3).normal(size=order.shape)
    atoms.calc = HeisenbergCalculator([exchange])
    dynamics = LLGDynamics(atoms, 0.1, integrator="midpoint")
    frames = []
    dynamics.attach(lambda: frames.append(atoms.spins.copy()), 2)
    dynamics.run(3000)
    spectrum = dynamic_structure_factor(atoms.positions, np.array(frames), 0.2, waves)
    found, expected = magnon_dispersion(spectrum, lowest=0.05), energy(np.array(waves))
    expected = 2 / 0.1 * np.arctan(0.1 * expected / 2)  # the implicit midpoint rule's own frequency
    np.testing.assert_allclose(found, expected, atol=0.1 * 2 * np.pi / 600 + 2e-3 * expected.max())


def test_the_power_adds_up_to_the_static_structure_factor() -> None:
    rng = np.random.default_rng(1)
    spins, places = rng.normal(size=(400, 10, 3)), rng.normal(size=(10, 3))
    for positions in (places, np.broadcast_to(places, (400, 10, 3))):
        for count in (400, 399):
            q = [[0.3, 0.2, -0.5], [0.0, 0.0, 0.0]]
            found = dynamic_structure_factor(positions[:count] if positions.ndim == 3 else positions, spins[:count], 0.1, q)
            window = np.hanning(count + 2)[1:-1] ** 2
            modes = np.einsum("qi,tia->qta", np.exp(-1j * np.array(q) @ places.T), spins[:count])
            static = np.einsum("t,qta->qa", window / window.sum(), np.abs(modes) ** 2) / 10
            total = found.values.sum(axis=1) * found.spacing / (2 * np.pi)
            np.testing.assert_allclose(total, static, rtol=1e-10)
            np.testing.assert_allclose(found.frequencies[count // 2], 0.0, atol=1e-12)
            about = dynamic_structure_factor(
                positions[:count] if positions.ndim == 3 else positions, spins[:count], 0.1, q, [1, -2, 3]
            )
            np.testing.assert_allclose(about.total(), found.total(), rtol=1e-9)


def run_of(atoms: SpinAtoms, kick: float, steps: int = 3000) -> np.ndarray:
    atoms.spins = atoms.spins + kick * np.random.default_rng(3).normal(size=(len(atoms), 3))
    dynamics = LLGDynamics(atoms, 0.1, integrator="midpoint")
    frames = []
    dynamics.attach(lambda: frames.append(atoms.spins.copy()), 2)
    dynamics.run(steps)
    return np.array(frames)


@pytest.mark.parametrize("up", [1.0, -1.0])
def test_a_spin_in_a_field_precesses_with_the_sign_of_the_equation_of_motion(up: float) -> None:
    """ds/dt = -s x B: about B = up z, s- turns as exp(-i up B t)."""
    time = 0.2 * np.arange(500)
    angle = up * 0.7 * time
    spins = np.stack([0.1 * np.cos(angle), 0.1 * np.sin(angle), up * np.full(500, np.sqrt(0.99))], axis=1)[:, None]
    turned = np.gradient(spins[:, 0], 0.2, axis=0)[1:-1]
    np.testing.assert_allclose(turned, -np.cross(spins[1:-1, 0], [0, 0, up * 0.7]), atol=1e-3)
    spectrum = dynamic_structure_factor(np.zeros((1, 3)), spins, 0.2, [[0, 0, 0]], axis=[0, 0, 2.0])
    sense = int(up)
    assert magnon_dispersion(spectrum, 0.2, sense)[0] == pytest.approx(up * 0.7, abs=2e-3)
    minus, plus = (spectrum.values[0, spectrum.frequencies * up > 0.2, k].sum() for k in (0, 1))
    assert plus < 1e-6 * minus


def chiral_chain() -> SpinAtoms:
    """A chain along x magnetised along x, the direction of its D: omega(q) = 2 (1 - cos q) -+ 2 D sin q + 2 K."""
    atoms = SpinAtoms.lattice("chain", (16,), units="reduced")
    atoms.calc = SpinSumCalculator(
        [HeisenbergCalculator([1.0]), DMICalculator([0.4]), UniaxialAnisotropyCalculator(0.5, axis=[1, 0, 0])]
    )
    atoms.spins = np.tile([1.0, 0, 0], (16, 1))
    return atoms


def test_waves_along_q_and_against_it_have_their_own_frequencies() -> None:
    """A chiral ferromagnet: omega(q) differs from omega(-q); a run and linear spin waves agree on which is which."""
    atoms = chiral_chain()
    modes, number = spin_waves(atoms), np.array([1, 2, 3, 5, -1, -2, -3, -5])
    waves = np.array([wave(k / 16) for k in number])
    minus = modes.modes[:, :, 1] - 1j * modes.modes[:, :, 2]
    weight = np.abs(minus @ np.exp(-1j * atoms.positions @ waves.T))  # (modes, waves)
    expected = modes.frequencies[weight.argmax(axis=0)]
    q = 2 * np.pi * number / 16
    split = np.sign(expected[0] - expected[4]) * 2 * 0.4 * np.sin(q)
    np.testing.assert_allclose(expected, 2 * (1 - np.cos(q)) + split + 2 * 0.5, atol=1e-6)
    frames = run_of(atoms, 0.01)
    found = magnon_dispersion(dynamic_structure_factor(atoms.positions, frames, 0.2, waves, axis=[1, 0, 0]), 0.1)
    plain = magnon_dispersion(dynamic_structure_factor(atoms.positions, frames, 0.2, waves), 0.1)
    against = magnon_dispersion(dynamic_structure_factor(atoms.positions, frames, 0.2, waves), 0.1, sense=-1)
    expected = 2 / 0.1 * np.arctan(0.1 * expected / 2)
    for frequencies in (found, plain, -np.roll(against, 4)):
        np.testing.assert_allclose(frequencies, expected, atol=0.02)


@pytest.mark.parametrize("exchange", [1.0, -1.0])
def test_ferromagnets_have_one_sense_of_precession_and_antiferromagnets_both(exchange: float) -> None:
    atoms = SpinAtoms.lattice("chain", (16,), units="reduced")
    sign = np.ones(16) if exchange > 0 else (-1.0) ** np.arange(16)
    atoms.spins, atoms.calc = np.outer(sign, [0, 0, 1.0]), HeisenbergCalculator([exchange])
    waves = np.array([wave(k / 16) for k in (2, 4, 6)])
    frames = run_of(atoms, 0.005)
    spectrum = dynamic_structure_factor(atoms.positions, frames, 0.2, waves, axis=frames.mean(axis=0)[0])
    energy = chain_energy(waves) if exchange > 0 else chain_energy_antiferro(waves)
    energy = 2 / 0.1 * np.arctan(0.1 * energy / 2)
    senses = [power(spectrum, sense) for sense in (1, -1)]
    np.testing.assert_allclose(magnon_dispersion(spectrum, 0.1), energy, atol=0.02)
    if exchange > 0:
        assert (senses[1] < 1e-3 * senses[0]).all()
    else:
        np.testing.assert_allclose(magnon_dispersion(spectrum, 0.1, sense=-1), -energy, atol=0.02)
        assert 0.02 < senses[1].sum() / senses[0].sum() < 50.0


def power(spectrum: DynamicStructureFactor, sense: int) -> np.ndarray:
    """Power of s- at the frequencies of one sign, off the elastic line."""
    return spectrum.values[:, sense * spectrum.frequencies > 0.1, 0].sum(axis=1)


def test_moving_sites_bring_their_own_phases() -> None:
    """One spin at rest on a site that oscillates: sidebands at multiples of its frequency."""
    time = 0.1 * np.arange(2000)
    positions = np.zeros((2000, 1, 3))
    positions[:, 0, 0] = 0.1 * np.cos(1.5 * time)
    spins = np.tile([[[0, 0, 1.0]]], (2000, 1, 1))
    spectrum = dynamic_structure_factor(positions, spins, 0.1, [[1.0, 0, 0]])
    assert magnon_dispersion(spectrum, lowest=0.5)[0] == pytest.approx(1.5, abs=1e-3)
    assert np.isnan(magnon_dispersion(spectrum, lowest=100.0)[0])


def processes(count: int, memory: float, number: int, seed: int = 1) -> np.ndarray:
    """x_t = memory x_{t-1} + noise, (number, count): C(t) = memory^t, integrated time (1 + memory)/(1 - memory)/2."""
    noise = np.random.default_rng(seed).normal(size=(number, count))
    noise[:, 1:] *= np.sqrt(1 - memory**2)
    return lfilter([1.0], [1.0, -memory], noise, axis=1)


def test_autocorrelation_of_a_process_with_known_memory() -> None:
    found = autocorrelation(processes(200_000, 0.8, 1)[0])
    np.testing.assert_allclose(found[:6], 0.8 ** np.arange(6), atol=0.03)
    rotating = np.stack([np.cos(0.3 * np.arange(500)), np.sin(0.3 * np.arange(500))], axis=1)
    np.testing.assert_allclose(autocorrelation(rotating, subtract_mean=False)[:20], np.cos(0.3 * np.arange(20)), atol=1e-9)


def test_blocking_finds_the_error_of_correlated_means() -> None:
    """The spread of many means is what a single series must predict."""
    memory, count = 0.9, 4096
    averages = [block_average(series) for series in processes(count, memory, 200)]
    spread = np.std([average.mean for average in averages])
    exact = np.sqrt((1 + memory) / (1 - memory) / count)
    assert spread == pytest.approx(exact, rel=0.15)
    assert np.median([average.error for average in averages]) == pytest.approx(exact, rel=0.15)
    assert np.median([average.correlation_time for average in averages]) == pytest.approx(9.5, rel=0.3)
    single = [_blocked(series, 1)[0] for series in processes(count, 0.8, 100)]  # one value a block: all is correction
    assert np.mean(single) == pytest.approx(1.8 / 0.2 / count, rel=0.05)
    white = block_average(np.random.default_rng(1).normal(size=4096))
    assert white.error == pytest.approx(1 / 64, rel=0.1)
    assert block_average(np.full(10, 3.0)) == (3.0, 0.0, 0.5)


@pytest.mark.parametrize(
    ("count", "memory", "least"),
    [
        (16, 0.0, 0.94),
        (16, 0.5, 0.88),
        (32, 0.5, 0.92),
        (64, 0.8, 0.9),
        (128, 0.9, 0.9),
        (512, 0.8, 0.93),
        (512, 0.95, 0.92),
    ],
)
def test_error_bars_of_short_series_cover_what_they_promise(count: int, memory: float, least: float) -> None:
    """The mean of the process is 0: two errors must cover it in 95 % of the runs (a little less at 5 correlation times)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AccuracyWarning)
        found = np.array([block_average(series)[:2] for series in processes(count, memory, 600)])
    inside = np.abs(found[:, :1]) < np.array([1.0, 2.0]) * found[:, 1:]
    assert inside[:, 1].mean() > least
    assert inside[:, 0].mean() > 0.65
    if count > 100 * (1 + memory) / (1 - memory) / 2:  # enough of them: bars are not just wide
        assert np.median(found[:, 1]) < 1.5 * np.sqrt((1 + memory) / (1 - memory) / count)


def test_series_that_are_too_short_are_said_to_be() -> None:
    with pytest.warns(AccuracyWarning, match=r"a series of 64 values .* fewer than 20"):
        block_average(np.linspace(0.0, 1.0, 64))  # a drift
    warned = 0
    for series in processes(64, 0.9, 50):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            block_average(series)
        warned += bool(caught)
    assert warned >= 44  # of 50 with 7 independent values
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for series in processes(4096, 0.5, 20):
            block_average(series)
        alternating = block_average(np.tile([1.0, -1.0], 200))
    assert alternating.mean == 0.0
    assert 0.05 < alternating.error < 0.06


def test_two_time_correlation_and_binder() -> None:
    rng = np.random.default_rng(2)
    spins = random_spins(60, rng).reshape(6, 10, 3)
    found = two_time_correlation(spins, 2)
    assert found.shape == (4,)
    assert found[0] == pytest.approx(1.0)
    assert found[3] == pytest.approx(np.mean(np.sum(spins[5] * spins[2], axis=1)))
    assert binder_cumulant(np.ones((5, 3))) == pytest.approx(2 / 3)
    assert binder_cumulant(rng.normal(size=(200_000, 3))) == pytest.approx(4 / 9, abs=0.01)


def test_bad_series() -> None:
    with pytest.raises(InvalidMomentsError, match="at least four times"):
        dynamic_structure_factor(np.zeros((2, 3)), np.zeros((2, 2, 3)), 0.1, [[0, 0, 1]])
    with pytest.raises(InvalidMomentsError, match="do not go with spins"):
        dynamic_structure_factor(np.zeros((3, 3)), np.zeros((5, 2, 3)), 0.1, [[0, 0, 1]])
    with pytest.raises(InvalidMomentsError, match="must be positive"):
        dynamic_structure_factor(np.zeros((2, 3)), np.zeros((5, 2, 3)), 0.0, [[0, 0, 1]])
    for axis in ([0, 0, 0], [1, 0], [np.nan, 0, 1]):
        with pytest.raises(InvalidMomentsError, match="axis of precession must be three finite numbers"):
            dynamic_structure_factor(np.zeros((2, 3)), np.zeros((5, 2, 3)), 0.1, [[0, 0, 1]], axis=axis)
    spectrum = dynamic_structure_factor(np.zeros((2, 3)), np.zeros((5, 2, 3)), 0.1, [[0, 0, 1]])
    assert np.isnan(magnon_dispersion(spectrum)).all()
    with pytest.raises(InvalidMomentsError, match="sense must be 1"):
        magnon_dispersion(spectrum, sense=0)
    with pytest.raises(InvalidMomentsError, match="nothing fluctuates"):
        autocorrelation(np.ones(5))
    with pytest.raises(InvalidMomentsError, match="at least 8 values"):
        block_average(np.ones(5))
    with pytest.raises(InvalidMomentsError, match="0 <= waiting < T"):
        two_time_correlation(np.zeros((3, 2, 3)), 3)


def test_means_over_runs_have_errors_of_independent_values() -> None:
    values = np.random.default_rng(3).normal(size=(4000, 25, 8)) * np.arange(1.0, 9.0)
    means = np.array([mean_and_error(one)[0] for one in values])
    errors = np.array([mean_and_error(one)[1] for one in values])
    spread = means.std(axis=0)  # of 4000 experiments of 25 runs each
    np.testing.assert_allclose(np.sqrt(np.mean(errors**2, axis=0)), spread, rtol=0.05)
    np.testing.assert_allclose(spread, np.arange(1.0, 9.0) / 5.0, rtol=0.05)
    mean, error = mean_and_error([1.0, 2.0, 4.0, 5.0])
    assert (mean, error) == (3.0, pytest.approx(np.sqrt(10 / 3) / 2))
    mean, error = mean_and_error([[1.0, 2.0]])
    assert mean.tolist() == [1.0, 2.0]
    assert np.isnan(error).all()
    with pytest.raises(InvalidMomentsError, match=r"shape \(runs, ...\), got \(0,\)"):
        mean_and_error([])
