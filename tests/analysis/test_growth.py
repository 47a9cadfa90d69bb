"""Growth of domains: rings of S(q), Porod's tail of a disc and of stripes, exponents and laws of made-up runs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import j1

from spinase import SpinAtoms
from spinase.analysis import (
    RadialProfile,
    StructureFactor,
    growth_exponent,
    growth_law,
    local_exponents,
    porod_wall_density,
    power_tail,
    radial_average,
    triangles,
)
from spinase.analysis.reciprocal import primitive_lattice, zone_mesh
from spinase.analysis.structure_factor import intensity, rings
from spinase.errors import ModelError

TIMES = np.linspace(10.0, 500.0, 50)


def test_rings_hold_every_wavevector_once_and_leave_out_the_middle() -> None:
    waves = zone_mesh(
        primitive_lattice(SpinAtoms.lattice("triangular", (12, 12), units="reduced", texture="ferro"))
    ).wavevectors
    sizes = np.linalg.norm(waves, axis=1)
    profile = radial_average(StructureFactor(waves, 3.0 + 2.0 * sizes), 0.3)
    assert profile.counts.sum() == len(waves) - 1
    np.testing.assert_allclose(profile.values, 3.0 + 2.0 * profile.wavenumbers)
    assert (np.diff(profile.wavenumbers) > 0.0).all()
    first = radial_average(StructureFactor(waves, sizes), 2.0 * np.pi / (12 * np.sqrt(3) / 2))
    assert first.counts[0] == 6  # the nearest star
    np.testing.assert_array_equal(
        rings(np.array([0.0, 0.5, 0.5 - 1e-12, 0.5 - 1e-6, 1.4999, 1.5]) * 0.3, 0.3), [0, 1, 1, 0, 1, 2]
    )
    with pytest.raises(ModelError, match="must be a positive 1/length, got 0"):
        radial_average(StructureFactor(waves, sizes), 0.0)


def test_tail_of_a_power_law() -> None:
    q = np.linspace(0.1, 2.0, 40)
    tail = power_tail(RadialProfile(q, 0.7 * q**-3.0, np.arange(1, 41)), 0.3, 1.5)
    assert (tail.exponent, tail.porod) == (pytest.approx(-3.0), pytest.approx(0.7))
    assert tail.error < 1e-10
    noisy = power_tail(RadialProfile(q, q**-2.5 * (1.0 + 0.1 * (-1.0) ** np.arange(40)), np.arange(1, 41)), 0.3, 1.5)
    assert abs(noisy.exponent + 2.5) < 3.0 * noisy.error < 0.3
    with pytest.raises(ModelError, match="at least 3 rings of .* there are 2 from 0.1 to 0.15"):
        power_tail(RadialProfile(q, q, np.arange(1, 41)), 0.1, 0.15)


def test_the_tail_of_a_disc_tells_its_circumference() -> None:
    """Triangles with chi = 1 in a disc, -1 around it: S = 4 n (2 pi R J1(qR)/q)^2/area, on average 8 n (2 pi R/area)/q^3."""
    atoms = SpinAtoms.lattice("triangular", (96, 96), units="reduced", texture="ferro")
    found, mesh = triangles(atoms), zone_mesh(primitive_lattice(atoms))
    away = np.linalg.norm(found.centres - found.centres.mean(axis=0), axis=1)
    values = intensity(found.centres, np.where(away < 20.0, 1.0, -1.0)[:, None], mesh)
    profile = radial_average(StructureFactor(mesh.wavevectors, values), 0.04)
    area, density = 96**2 * np.sqrt(3) / 2, 4.0 / np.sqrt(3)
    low = profile.wavenumbers < 0.4
    q = profile.wavenumbers[low]
    np.testing.assert_allclose(
        profile.values[low], 4.0 * density * (2.0 * np.pi * 20.0 * j1(20.0 * q) / q) ** 2 / area, rtol=0.3, atol=4.0
    )
    periods = radial_average(StructureFactor(mesh.wavevectors, values), np.pi / 20.0)
    assert power_tail(periods, 0.3, 1.5).exponent == pytest.approx(-3.0, abs=0.2)
    tail = power_tail(profile, 0.3, 1.5)
    assert porod_wall_density(tail.porod, 1.0, density) == pytest.approx(2.0 * np.pi * 20.0 / area, rel=0.05)
    assert porod_wall_density(0.6**2 * tail.porod, 0.6, density) == pytest.approx(2.0 * np.pi * 20.0 / area, rel=0.05)


def test_exponents_of_power_laws() -> None:
    runs = np.array([1.0, 1.3, 0.8])[:, None] * TIMES ** np.array([[0.5], [0.6], [0.55]])
    found = growth_exponent(TIMES, runs, (50.0, 400.0))
    np.testing.assert_allclose(found.runs, [0.5, 0.6, 0.55])
    assert (found.mean, found.error) == (pytest.approx(0.55), pytest.approx(0.05 / np.sqrt(3)))
    assert found.times == (50.0, 400.0)
    assert np.isnan(growth_exponent(TIMES, runs[:1], (50.0, 400.0)).error)
    places, local = local_exponents(np.concatenate([[0.0], TIMES]), np.concatenate([np.ones((3, 1)), runs], axis=1), 2.0)
    assert local.shape == (3, 5)
    np.testing.assert_allclose(local, np.broadcast_to(found.runs[:, None], (3, 5)), atol=1e-3)
    np.testing.assert_allclose(places[1:] / places[:-1], 2.0)
    assert places[-1] == pytest.approx(500.0 / np.sqrt(2.0))
    whole = 3.0 * 1.5 ** np.arange(6.0)  # the first time counts, whatever round-off says of log(t/t0)/log(1.5)
    assert all(local_exponents(scale * whole, whole, 1.5)[1].shape == (1, 5) for scale in (0.7, 1.0, 1.1, 7.3))


def test_laws_are_told_apart() -> None:
    rng = np.random.default_rng(1)
    linear = 3.0 + 0.1 * TIMES + 0.2 * rng.normal(size=(8, 50))
    roots = np.sqrt(4.0 + 0.9 * TIMES) + 0.2 * rng.normal(size=(8, 50))
    for runs, right, wrong in ((linear, 1, 2), (roots, 2, 1)):
        laws = {power: growth_law(TIMES, runs, power, (0.0, 600.0)) for power in (1, 2)}
        assert 0.3 < laws[right].chi_square / laws[right].degrees < 2.0
        assert laws[wrong].chi_square > 10.0 * laws[right].chi_square
        assert laws[right].degrees == 48
        assert (laws[right].misfit < laws[wrong].misfit).all()
        np.testing.assert_allclose(laws[right].length(TIMES), runs.mean(axis=0), atol=0.4)
    assert growth_law(TIMES, linear, 1, (0.0, 600.0)).rate == pytest.approx(0.1, rel=0.02)
    assert growth_law(TIMES, roots, 2, (0.0, 600.0)).rate == pytest.approx(0.9, rel=0.02)


def test_what_is_no_growth() -> None:
    runs = np.ones((2, 50))
    with pytest.raises(ModelError, match=r"shape \(runs, times\), got \(2, 49\)"):
        growth_exponent(TIMES, runs[:, 1:], (0.0, 600.0))
    with pytest.raises(ModelError, match="at least 3 positive times in the window .* there are 2"):
        growth_exponent(TIMES, runs, (10.0, 25.0))
    with pytest.raises(ModelError, match="before a run has lost its walls"):
        growth_exponent(TIMES, np.full((2, 50), np.inf), (0.0, 600.0))
    with pytest.raises(ModelError, match="must be above 1, got 1"):
        local_exponents(TIMES, runs, 1.0)
    with pytest.raises(ModelError, match="span less than the factor 100"):
        local_exponents(TIMES, runs, 100.0)
    with pytest.raises(ModelError, match="two runs or more, got power=2, 1 run"):
        growth_law(TIMES, runs[:1], 2, (0.0, 600.0))
    with pytest.raises(ModelError, match="a positive power .* got power=0"):
        growth_law(TIMES, runs, 0, (0.0, 600.0))
