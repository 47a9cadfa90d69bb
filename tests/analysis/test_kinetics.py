"""Avrami's law and speeds of fronts against closed forms, and against nuclei that really grow."""

from __future__ import annotations

import numpy as np
import pytest

from spinase.analysis import avrami, front_speed
from spinase.errors import InputError


@pytest.mark.parametrize(("n", "t0"), [(1.0, 3.0), (2.4, 700.0), (4.0, 1e-3)])
def test_a_law_is_found_again_in_any_unit(n: float, t0: float) -> None:
    times = t0 * np.linspace(0.0, 2.0, 41)
    fractions = 1.0 - np.exp(-((times / t0) ** n))
    found = avrami(times, fractions)
    assert (found.exponent, found.time) == pytest.approx((n, t0), rel=1e-5)
    assert found.misfit < 1e-6
    assert found(t0) == pytest.approx(1.0 - 1.0 / np.e)
    part = avrami(times, 0.6 * fractions, final=None)
    assert (part.exponent, part.time, part.final) == pytest.approx((n, t0, 0.6), rel=1e-3)
    assert part(t0) == pytest.approx(0.6 * (1.0 - 1.0 / np.e), rel=1e-3)
    assert found.final == pytest.approx(1.0, abs=1e-6)
    noisy = avrami(times, np.clip(fractions + 0.01 * np.random.default_rng(1).normal(size=41), 0.0, 1.0))
    assert noisy.exponent == pytest.approx(n, rel=0.1)


@pytest.mark.parametrize(("fresh", "n"), [(False, 1.0), (True, 2.0)])
def test_nuclei_on_a_line_grow_by_the_law(fresh: bool, n: float) -> None:
    """Kolmogorov's theorem in one dimension: nuclei that are all there at t = 0 give n = 1, new ones at a rate n = 2."""
    rng, length, times = np.random.default_rng(3), 20_000, np.linspace(0.0, 60.0, 31)
    nuclei = rng.uniform(0.0, length, size=400 if not fresh else 4000)
    born = rng.uniform(0.0, 60.0, size=len(nuclei)) if fresh else np.zeros(len(nuclei))
    sites = np.arange(length) + 0.5
    fractions = []
    for time in times:
        there, reach = nuclei[born < time], 0.5 * (time - born[born < time])
        change = np.zeros(length + 1)
        np.add.at(change, np.clip(np.searchsorted(sites, there - reach), 0, length), 1.0)
        np.add.at(change, np.clip(np.searchsorted(sites, there + reach), 0, length), -1.0)
        fractions.append(np.mean(np.cumsum(change)[:length] > 0.5))
    assert avrami(times, fractions).exponent == pytest.approx(n, abs=0.12)


def test_the_speed_of_a_front_is_that_where_it_is_asked_for() -> None:
    times = np.linspace(0.0, 10.0, 101)
    places = np.where(times < 4.0, 0.5 * times, 2.0 + 1.5 * (times - 4.0))
    assert front_speed(times, places, 0.2, 1.9) == pytest.approx(0.5)
    assert front_speed(times, places, 2.5, 8.0) == pytest.approx(1.5)


def test_what_tells_too_little_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"2 of 4 fractions are between 0\.02 and 0\.98 of F; .* run longer, or look more often"
    ):
        avrami([0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.3, 0.6, 1.0])
    with pytest.raises(InputError, match="the front gets to 3, not to 5: run longer"):
        front_speed([0.0, 1.0, 2.0], [0.0, 1.0, 3.0], 0.5, 5.0)
    with pytest.raises(InputError, match="within 2 of the given times: a speed needs three"):
        front_speed([0.0, 1.0, 2.0], [0.0, 1.0, 3.0], 0.5, 2.0)
