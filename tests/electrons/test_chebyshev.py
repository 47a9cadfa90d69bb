"""Chebyshev expansions in closed form: coefficients, orders, bounds, kernels, colours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, iv

from spinase import SpinAtoms
from spinase.atoms import geometry_of, get_spins
from spinase.electrons import SDModel, ShellHopping
from spinase.electrons.chebyshev.colouring import spread_colours
from spinase.electrons.chebyshev.series import (
    Band,
    coefficients,
    fermi_order,
    find_band,
    jackson,
    largest_exchange,
    spectral_density,
)
from spinase.electrons.operator import SparsityPattern, SpinOperator
from spinase.errors import ConvergenceError, PatternError

BAND = Band.between(-3.0, 5.0)


def operator(edge: int, coupling: float = 0.8, seed: int = 1) -> SpinOperator:
    """Electrons on a square lattice with random spins."""
    atoms = SpinAtoms.lattice("square", (edge, edge), rng=seed)
    model = SDModel(ShellHopping([1.0]), coupling, filling=0.4, kT=0.1, onsite=0.2)
    return model.hamiltonian.freeze(geometry_of(atoms)).operator(get_spins(atoms))


def dense(given: SpinOperator) -> np.ndarray:
    """The matrix, put together from its definition."""
    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    sites = len(given)
    matrix = np.zeros((sites, 2, sites, 2), dtype=complex)
    for i in range(sites):
        matrix[i, :, i, :] = given.onsite[i] * np.eye(2) + np.tensordot(given.exchange[i], pauli, 1)
    for i, j, t in zip(given.bonds.first, given.bonds.second, given.hopping, strict=True):
        matrix[i, :, j, :] += t * np.eye(2)
        matrix[j, :, i, :] += np.conj(t) * np.eye(2)
    return matrix.reshape(2 * sites, 2 * sites)


def test_a_band_by_its_ends() -> None:
    assert (BAND.centre, BAND.half, BAND.low, BAND.high) == (1.0, 4.0, -3.0, 5.0)
    assert BAND.holds(Band.between(-2.0, 4.0))
    assert not BAND.holds(Band.between(-4.0, 4.0))
    assert not BAND.holds(Band.between(-2.0, 6.0))


@pytest.mark.parametrize("degree", [0, 1, 4])
def test_a_chebyshev_polynomial_has_one_coefficient(degree: int) -> None:
    found = coefficients(lambda e: np.cos(degree * np.arccos((e - 1.0) / 4.0)), BAND, 6)
    np.testing.assert_allclose(found, np.arange(7) == degree, atol=1e-14)


def test_the_exponential_has_bessel_functions() -> None:
    """exp(b x) = I_0(b) + 2 sum_m I_m(b) T_m(x)."""
    found = coefficients(lambda e: np.exp(0.7 * (e - 1.0)), BAND, 12)
    m = np.arange(13)
    np.testing.assert_allclose(found, np.where(m == 0, 1.0, 2.0) * iv(m, 2.8), atol=1e-12)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-8])
@pytest.mark.parametrize("kT", [0.05, 0.5])
def test_the_order_of_the_fermi_function_holds_its_tolerance(kT: float, tolerance: float) -> None:  # noqa: N803
    order = fermi_order(BAND, 0.4, kT, tolerance)
    assert order % 2 == 0
    x = np.linspace(-1.0, 1.0, 2001)
    exact = expit((0.4 - (4.0 * x + 1.0)) / kT)
    errors = []
    for many in (order, order // 2):
        series = coefficients(lambda e: expit((0.4 - e) / kT), BAND, many)
        errors.append(np.abs(np.polynomial.chebyshev.chebval(x, series) - exact).max())
    assert errors[0] < tolerance < errors[1], "as many as needed, and half of them are too few"


def test_a_band_too_wide_for_its_temperature_is_refused() -> None:
    with pytest.raises(
        ConvergenceError, match=r"moments are needed for 1e-06 at kT = 1e-05 .* higher kT or a larger accuracy"
    ):
        fermi_order(BAND, 0.0, 1e-5, 1e-6)


@pytest.mark.parametrize("edge", [5, 10], ids=["dense bounds", "Lanczos"])
def test_bounds_hold_the_spectrum_of_all_directions_of_the_spins(edge: int) -> None:
    first = operator(edge)
    band = find_band(first)
    assert largest_exchange(first) == pytest.approx(0.8)
    assert band.reach >= 0.8
    for seed in (1, 2):
        levels = np.linalg.eigvalsh(dense(operator(edge, seed=seed)))
        assert band.holds(Band.between(levels[0], levels[-1]))
    assert band.half < 1.1 * (4.0 + 0.8), "and are not much wider than hopping and exchange together"


def test_a_band_is_kept_while_it_holds_and_is_not_too_wide() -> None:
    given = operator(5)
    band = find_band(given)
    assert find_band(operator(5, seed=3), band) is band
    assert find_band(operator(5, coupling=1.5), band).half > band.half
    wide = Band(band.centre, 2.0 * band.half)
    assert find_band(given, wide).half == pytest.approx(band.half)


def test_jacksons_kernel_is_positive() -> None:
    """g_0 = 1, and g_0 + 2 sum g_m T_m(x) >= 0 where a bare series swings below zero."""
    damping, x = jackson(24), np.linspace(-1.0, 1.0, 1001)
    assert damping[0] == pytest.approx(1.0)
    assert np.all(np.diff(damping) < 0.0)
    factors = np.where(np.arange(25) == 0, 1.0, 2.0)
    assert np.polynomial.chebyshev.chebval(x, factors * damping).min() > -1e-12
    assert np.polynomial.chebyshev.chebval(x, factors).min() < -1.0


def test_a_spectral_density_counts_its_states_at_their_levels() -> None:
    levels = np.array([-1.0, 2.5])
    order = np.arange(201)[:, None]
    moments = np.cos(order * np.arccos((levels - BAND.centre) / BAND.half)) @ [1.0, 3.0]
    energies = np.linspace(-2.999, 4.999, 8001)
    found = spectral_density(moments, BAND, energies)
    assert found.min() > -1e-12
    assert np.trapezoid(found, energies) == pytest.approx(4.0, rel=1e-4)
    assert np.trapezoid(found[energies < 1.0], energies[energies < 1.0]) == pytest.approx(1.0, rel=1e-3)
    assert energies[np.argmax(found)] == pytest.approx(2.5, abs=0.01)
    assert not spectral_density(moments, BAND, np.array([-3.5, 6.0])).any()


@pytest.mark.parametrize(("colours", "apart"), [(2, 2), (3, 3), (4, 4)])
def test_equal_colours_of_a_ring_are_as_far_apart_as_they_can_be(colours: int, apart: int) -> None:
    sites = 12
    ring = np.array([[(i - 1) % sites, (i + 1) % sites] for i in range(sites)])
    found = spread_colours(2 * np.arange(sites + 1), ring.ravel(), colours, 3)
    np.testing.assert_array_equal(np.bincount(found), sites // colours)
    for i in range(sites):
        distances = [min((i - j) % sites, (j - i) % sites) for j in range(sites) if j != i and found[j] == found[i]]
        assert min(distances) == apart


def test_a_pattern_tells_what_is_other() -> None:
    given, other = operator(4), operator(5)
    pattern = SparsityPattern.of(given)
    pattern.require(operator(4, coupling=2.0, seed=9))
    assert SparsityPattern.from_lists(pattern.to_lists()).equals(pattern)
    assert not pattern.equals(SparsityPattern.of(other))
    with pytest.raises(PatternError, match=r"a plan for 16 site\(s\) and 32 bond\(s\) was given .* 25 site\(s\) and 50"):
        pattern.require(other)
    turned = SparsityPattern(16, pattern.second, pattern.first)
    with pytest.raises(PatternError, match=r"bond 0 joins sites \d+ and \d+ in the plan, \d+ and \d+ in the operator"):
        turned.require(given)
