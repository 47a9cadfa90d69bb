"""Two-time correlations against closed forms: precession, diffusion on the sphere, ageing with a known exponent."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.analysis import TwoTimeCorrelation, ageing_exponent, two_time_correlations
from spinase.atoms import get_spins
from spinase.calculators import ZeemanCalculator
from spinase.dynamics import LLGDynamics
from spinase.errors import InvalidMomentsError, ModelError

GAMMA = 1.0  # of reduced units


def frames(dynamics: LLGDynamics, count: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Times (count + 1,) and spins (count + 1, N, 3)."""
    times, spins = [dynamics.get_time()], [get_spins(dynamics.atoms).copy()]
    for _ in range(count):
        dynamics.run(steps)
        times.append(dynamics.get_time())
        spins.append(get_spins(dynamics.atoms).copy())
    return np.array(times), np.array(spins)


def random_magnet(sites: tuple[int, int], field: float) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", sites, units="reduced", rng=3)
    atoms.calc = ZeemanCalculator([0.0, 0.0, field])
    return atoms


def test_free_precession_from_any_waiting_time() -> None:
    atoms = random_magnet((20, 20), 0.5)
    along = np.mean(get_spins(atoms)[:, 2] ** 2)
    times, spins = frames(LLGDynamics(atoms, 0.05, integrator="midpoint"), 20, 10)
    for curve in two_time_correlations(times, spins, [0.0, 2.0, 5.0]):
        expected = along + (1.0 - along) * np.cos(GAMMA * 0.5 * curve.times)
        np.testing.assert_allclose(curve.values, expected, atol=2e-4)
        assert len(curve.times) == 21 - round(curve.waiting / 0.5)


def test_diffusion_on_the_sphere_does_not_age() -> None:
    kT, damping = 0.05, 0.5
    atoms = random_magnet((80, 80), 0.0)
    dynamics = LLGDynamics(atoms, 0.25, damping=damping, kT=kT, integrator="heun", rng=np.random.default_rng(4), probe=False)
    times, spins = frames(dynamics, 16, 10)
    rate = 2.0 * damping * kT / (1.0 + damping**2)  # 2 D, D = alpha gamma kT/(m (1 + alpha^2))
    curves = two_time_correlations(times, spins, [0.0, 5.0, 15.0])
    for curve in curves:
        np.testing.assert_allclose(curve.values, np.exp(-rate * curve.times), atol=0.02)  # 1/sqrt(3 N) = 0.007
        assert curve.time_at(0.7) == pytest.approx(-np.log(0.7) / rate, rel=0.08)
    assert abs(ageing_exponent(curves, 0.7)) < 0.12


@pytest.mark.parametrize("exponent", [0.0, 0.6, 1.0])
def test_ageing_exponent_of_known_curves(exponent: float) -> None:
    times = np.concatenate([[0.0], np.geomspace(0.1, 1e4, 200)])
    curves = [TwoTimeCorrelation(wait, times, (1.0 + times / wait**exponent) ** -0.3) for wait in (3.0, 10.0, 40.0, 160.0)]
    assert ageing_exponent(curves, 0.5) == pytest.approx(exponent, abs=2e-3)
    assert curves[1].time_at(0.5) == pytest.approx((0.5 ** (-1 / 0.3) - 1.0) * 10.0**exponent, rel=2e-3)


def test_time_at_a_level_between_frames() -> None:
    curve = TwoTimeCorrelation(1.0, np.array([0.0, 1.0, 4.0, 16.0]), np.array([1.0, 0.8, 0.6, 0.4]))
    assert curve.time_at(0.9) == pytest.approx(0.5)
    assert curve.time_at(0.5) == pytest.approx(8.0)  # half way in ln t
    assert curve.time_at(0.6) == pytest.approx(4.0)
    assert np.isnan(curve.time_at(0.3))


def test_mistakes_are_told() -> None:
    spins = np.tile([0.0, 0.0, 1.0], (4, 2, 1))
    with pytest.raises(ModelError, match=r"no frame at the waiting time 1\.5, the nearest is of .*\[output\] every"):
        two_time_correlations([0, 1, 2, 3], spins, [1.5])
    for times in ([0, 1, 2], [0, 1, 1, 2], [[0, 1, 2, 3]]):
        with pytest.raises(InvalidMomentsError, match=r"spins \(4, 2, 3\) need the time of each frame, ascending"):
            two_time_correlations(times, spins, [1.0])
    curves = two_time_correlations([0, 1, 2, 3], spins, [1.0, 2.0])
    with pytest.raises(ModelError, match="between 0 and 1, got 1.5"):
        curves[0].time_at(1.5)
    with pytest.raises(ModelError, match="0 of 2 waiting times get down to C = 0.5.*raise the level"):
        ageing_exponent(curves, 0.5)
