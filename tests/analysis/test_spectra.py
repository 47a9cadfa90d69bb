"""Spectra and averages: dispersions of simple magnets from their dynamics, sum rules, processes with known correlations."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.analysis import (
    autocorrelation,
    binder_cumulant,
    block_average,
    dynamic_structure_factor,
    magnon_dispersion,
    two_time_correlation,
)
from spinase.calculators import HeisenbergCalculator
from spinase.dynamics import LLGDynamics
from spinase.errors import InvalidMomentsError
from spinase.spin_algebra import random_spins


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
            total = found.values.sum(axis=1) * found.frequencies[1] / (2 * np.pi)
            np.testing.assert_allclose(total, static, rtol=1e-10)


def test_moving_sites_bring_their_own_phases() -> None:
    """One spin at rest on a site that oscillates: sidebands at multiples of its frequency."""
    time = 0.1 * np.arange(2000)
    positions = np.zeros((2000, 1, 3))
    positions[:, 0, 0] = 0.1 * np.cos(1.5 * time)
    spins = np.tile([[[0, 0, 1.0]]], (2000, 1, 1))
    spectrum = dynamic_structure_factor(positions, spins, 0.1, [[1.0, 0, 0]])
    assert magnon_dispersion(spectrum, lowest=0.5)[0] == pytest.approx(1.5, abs=1e-3)
    assert np.isnan(magnon_dispersion(spectrum, lowest=100.0)[0])


def process(count: int, memory: float, seed: int = 1) -> np.ndarray:
    """x_t = memory x_{t-1} + noise: C(t) = memory^t, integrated time (1 + memory)/(1 - memory)/2."""
    rng = np.random.default_rng(seed)
    x = np.empty(count)
    x[0] = rng.normal()
    for t in range(1, count):
        x[t] = memory * x[t - 1] + np.sqrt(1 - memory**2) * rng.normal()
    return x


def test_autocorrelation_of_a_process_with_known_memory() -> None:
    found = autocorrelation(process(200_000, 0.8))
    np.testing.assert_allclose(found[:6], 0.8 ** np.arange(6), atol=0.03)
    rotating = np.stack([np.cos(0.3 * np.arange(500)), np.sin(0.3 * np.arange(500))], axis=1)
    np.testing.assert_allclose(autocorrelation(rotating, subtract_mean=False)[:20], np.cos(0.3 * np.arange(20)), atol=1e-9)


def test_blocking_finds_the_error_of_correlated_means() -> None:
    """The spread of many means is what a single series must predict."""
    memory, count = 0.9, 4096
    averages = [block_average(process(count, memory, seed)) for seed in range(60)]
    spread = np.std([average.mean for average in averages])
    exact = np.sqrt((1 + memory) / (1 - memory) / count)
    assert spread == pytest.approx(exact, rel=0.25)
    assert np.median([average.error for average in averages]) == pytest.approx(exact, rel=0.15)
    assert np.median([average.correlation_time for average in averages]) == pytest.approx(9.5, rel=0.3)
    white = block_average(np.random.default_rng(1).normal(size=4096))
    assert white.error == pytest.approx(1 / 64, rel=0.1)
    assert block_average(np.full(10, 3.0)) == (3.0, 0.0, 0.5)


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
    with pytest.raises(InvalidMomentsError, match="nothing fluctuates"):
        autocorrelation(np.ones(5))
    with pytest.raises(InvalidMomentsError, match="at least 8 values"):
        block_average(np.ones(5))
    with pytest.raises(InvalidMomentsError, match="0 <= waiting < T"):
        two_time_correlation(np.zeros((3, 2, 3)), 3)
