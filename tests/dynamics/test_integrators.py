"""Integrators: order of convergence, conserved lengths and energies, closed forms."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, repeat

import numpy as np
import pytest

from spinase.dynamics.integrators import Depondt, Heun, ImplicitMidpoint, Rate, SemiImplicitB
from spinase.errors import ConvergenceError
from spinase.spin_algebra import precession_vector, random_spins

INTEGRATORS = {"heun": Heun, "depondt": Depondt, "sib": SemiImplicitB, "midpoint": ImplicitMidpoint}
COUPLINGS = np.random.default_rng(0).normal(size=(6, 6))
COUPLINGS = COUPLINGS + COUPLINGS.T - 2 * np.diag(np.diag(COUPLINGS))
START = random_spins(6, np.random.default_rng(1))


def energy(spins: np.ndarray) -> float:
    return float(-0.5 * np.sum(spins * (COUPLINGS @ spins)))


def run(name: str, steps: int, time: float, damping: float = 0.0) -> np.ndarray:
    integrator, spins = INTEGRATORS[name](), START.copy()
    for _ in range(steps):
        spins = integrator.step(
            spins, lambda s, _: precession_vector(s, COUPLINGS @ s, 1 / (1 + damping**2), damping), time / steps
        )
    return spins


@pytest.mark.parametrize("damping", [0.0, 0.3])
@pytest.mark.parametrize("name", INTEGRATORS)
def test_second_order(name: str, damping: float) -> None:
    exact = run("depondt", 20480, 1.0, damping)
    errors = [np.abs(run(name, steps, 1.0, damping) - exact).max() for steps in (160, 320, 640)]
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    np.testing.assert_allclose(orders, 2.0, atol=0.12)


@pytest.mark.parametrize("name", INTEGRATORS)
def test_lengths_are_kept(name: str) -> None:
    spins = run(name, 3000, 60.0, 0.1)
    np.testing.assert_allclose(np.linalg.norm(spins, axis=1), 1.0, rtol=0, atol=1e-12)


def test_midpoint_keeps_the_energy_of_bilinear_models_and_the_others_do_not() -> None:
    drift = {name: abs(energy(run(name, 400, 20.0)) - energy(START)) for name in INTEGRATORS}
    assert drift["midpoint"] < 1e-10
    assert min(drift["heun"], drift["depondt"], drift["sib"]) > 1e-6


@pytest.mark.parametrize("name", INTEGRATORS)
def test_who_sees_fields_along_the_spins(name: str) -> None:
    """They turn nothing.  Two schemes take them out; the others rotate about them, an error that falls as dt^2 or faster."""

    def moved(along: float, steps: int) -> np.ndarray:
        integrator, spins = INTEGRATORS[name](), START.copy()
        for _ in range(steps):
            spins = integrator.step(
                spins, lambda s, _: precession_vector(s, COUPLINGS @ s, 1.0, 0.1) + along * s, 0.2 / steps
            )
        return spins

    coarse, fine = (np.abs(moved(8.0, steps) - moved(0.0, steps)).max() for steps in (4, 16))
    if name in ("heun", "midpoint"):
        assert coarse < 1e-9
    else:
        assert coarse > 1e-3
        assert fine < coarse / 8.0


def test_midpoint_stops_at_the_noise_of_single_precision_fields() -> None:
    calls = []

    def noisy(spins: np.ndarray, _: float) -> np.ndarray:
        calls.append(1)
        return precession_vector(spins, (COUPLINGS @ spins).astype(np.float32).astype(float), 1.0, 0.0)

    exact = ImplicitMidpoint().step(START, lambda s, _: precession_vector(s, COUPLINGS @ s, 1.0, 0.0), 0.1)
    np.testing.assert_allclose(ImplicitMidpoint().step(START, noisy, 0.1), exact, atol=1e-6)
    assert len(calls) < 60


def test_midpoint_is_reversible() -> None:
    integrator = ImplicitMidpoint()
    there = integrator.step(START, rate, 0.1)
    back = integrator.step(there, rate, -0.1)
    np.testing.assert_allclose(back, START, atol=1e-12)


@pytest.mark.parametrize("integrator", [Depondt(), Heun(), SemiImplicitB(), ImplicitMidpoint()])
def test_time_within_the_step_is_used(integrator: Heun) -> None:
    """ds/dt = s x (0, 0, w(t)) with w = 1 + t turns by t + t^2/2: exact sense and second order in the fractions."""
    spins = np.array([[1.0, 0.0, 0.0]])
    for k in range(200):
        spins = integrator.step(spins, lambda s, c, k=k: np.array([[0.0, 0.0, 1.0 + (k + c) * 0.01]]), 0.01)
    angle = 2.0 + 2.0
    np.testing.assert_allclose(spins[0], [np.cos(angle), -np.sin(angle), 0.0], atol=2e-4)


def rate(spins: np.ndarray, _: float) -> np.ndarray:
    return precession_vector(spins, COUPLINGS @ spins, 1.0, 0.0)


def midpoint_run(integrators: Iterator[ImplicitMidpoint], law: Rate, steps: int, timestep: float) -> np.ndarray:
    spins = START.copy()
    for _, integrator in zip(range(steps), integrators, strict=False):
        spins = integrator.step(spins, law, timestep)
    return spins


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_what_midpoint_remembers_decides_where_it_begins_but_not_where_it_goes(noise: float) -> None:
    """Also where a thermal field of every step spoils all extrapolation; the other one forgets after every step."""

    def law(rng: np.random.Generator) -> Rate:
        kicks = noise * rng.normal(size=(100, 6, 3))

        def noisy(spins: np.ndarray, fraction: float) -> np.ndarray:
            return rate(spins, fraction) + kicks[step[0]]

        return noisy

    ends = []
    for fresh in (True, False):
        one, given, spins, step = ImplicitMidpoint(), law(np.random.default_rng(3)), START.copy(), [0]
        for step[0] in range(100):
            spins = (ImplicitMidpoint() if fresh else one).step(spins, given, 0.02)
        ends.append(spins)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-10)


@pytest.mark.parametrize(("resolution", "most"), [(0.0, 3.2), (1.2e-7, 1.3)])
def test_midpoint_takes_few_fields_where_motion_is_smooth(resolution: float, most: float) -> None:
    calls, integrator = [], ImplicitMidpoint()
    integrator.resolution = resolution

    def counted(spins: np.ndarray, fraction: float) -> np.ndarray:
        calls.append(fraction)
        return rate(spins, fraction)

    found = midpoint_run(repeat(integrator), counted, 200, 0.003)
    assert len(calls) / 200 < most
    assert calls.count(0.0) == 1  # only the first step has no past
    exact = midpoint_run((ImplicitMidpoint(1e-15) for _ in count()), rate, 200, 0.003)
    np.testing.assert_allclose(found, exact, atol=1e-12 if resolution == 0.0 else 1e-7)


def test_midpoint_does_not_drift_with_fields_in_single_precision() -> None:
    """What is left of the iteration is below the round-off of the fields: 10^4 steps keep the energy."""
    integrator = ImplicitMidpoint()
    integrator.resolution = float(np.finfo(np.float32).eps)

    def single(spins: np.ndarray, _: float) -> np.ndarray:
        field = (COUPLINGS.astype(np.float32) @ spins.astype(np.float32)).astype(float)
        return precession_vector(spins, field, 1.0, 0.0)

    spins = midpoint_run(repeat(integrator), single, 10_000, 0.01)
    assert abs(energy(spins) - energy(START)) < 2e-6 * np.abs(COUPLINGS).sum()
    np.testing.assert_allclose(np.linalg.norm(spins, axis=1), 1.0, atol=1e-11)


def test_midpoint_believes_no_contraction_of_one_lucky_step() -> None:
    """From fields along the sum of two spins the first iteration is exact, later ones are not; the sum is kept."""
    couplings = 0.5 * np.array([[0.0, 1.0], [1.0, 0.0]])
    integrator, spins = ImplicitMidpoint(), np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    for _ in range(30):
        spins = integrator.step(spins, lambda s, _: precession_vector(s, couplings @ s, 1.0, 0.0), 0.05)
    np.testing.assert_allclose(spins.sum(axis=0), [0.0, 1.0, 1.0], atol=1e-13)


def test_midpoint_goes_on_to_the_last_bit() -> None:
    one, other = ImplicitMidpoint(), ImplicitMidpoint()
    half = midpoint_run(repeat(one), rate, 60, 0.01)
    other.restore(one.state())
    for _ in range(60):
        new = one.step(half, rate, 0.01)
        np.testing.assert_array_equal(other.step(half, rate, 0.01), new)
        half = new
    other.restore({})  # of a checkpoint that knows no past
    np.testing.assert_allclose(other.step(half, rate, 0.01), one.step(half, rate, 0.01), atol=1e-12)


def test_midpoint_takes_no_past_of_other_steps_or_other_magnets() -> None:
    integrator = ImplicitMidpoint()
    spins = midpoint_run(repeat(integrator), rate, 5, 0.01)
    np.testing.assert_array_equal(integrator.step(spins, rate, 0.02), ImplicitMidpoint().step(spins, rate, 0.02))
    few = integrator.step(spins[:2], lambda s, _: precession_vector(s, 0.1 * s[::-1], 1.0, 0.0), 0.02)
    assert few.shape == (2, 3)


def test_midpoint_says_when_the_step_is_too_large() -> None:
    with pytest.raises(ConvergenceError, match="did not converge in 100 iterations .* reduce the timestep, now 50"):
        ImplicitMidpoint().step(START, lambda s, _: precession_vector(s, COUPLINGS @ s, 1.0, 0.0), 50.0)
