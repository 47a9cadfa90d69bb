"""Hopping laws: bonds, values, derivatives, errors."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.atoms import geometry_of
from spinase.electrons import DistanceHopping, ExponentialHopping, PowerLawHopping, ShellHopping, UserHopping
from spinase.errors import InvalidGeometryError, ModelError
from spinase.radial import BetheSlater, Exponential, Morse, PowerLaw, UserLaw, smooth_cutoff


def test_shells_of_the_square_lattice_have_the_right_bonds() -> None:
    atoms = SpinAtoms.lattice("square", (6, 6), a=1.7)
    bonds, values, slopes = ShellHopping([1.0, 0.0, 0.5]).amplitudes(geometry_of(atoms))
    assert np.count_nonzero(values == 1.0) == 2 * 36
    assert np.count_nonzero(values == 0.5) == 2 * 36
    assert len(bonds) == 4 * 36
    np.testing.assert_allclose(np.unique(np.round(bonds.distances, 9)), [1.7, 3.4])
    assert not slopes.any()


def test_shells_of_disordered_positions_are_refused() -> None:
    atoms = SpinAtoms.disordered(20, rng=1)
    geometry = geometry_of(atoms)
    with pytest.raises(InvalidGeometryError, match="neighbour shells.* law of distance"):
        ShellHopping([1.0]).amplitudes(geometry)
    with pytest.raises(InvalidGeometryError, match="at the edge of the shell at 1 .* use a law of distance"):
        ShellHopping([2.0], distances=[1.0], width=0.2).amplitudes(geometry)


def test_one_isolated_site_has_no_bonds() -> None:
    atoms = SpinAtoms("Fe", positions=[[0, 0, 0]], spins=[0, 0, 1])
    bonds, _, _ = ShellHopping([1.0]).amplitudes(geometry_of(atoms))
    assert len(bonds) == 0


@pytest.mark.parametrize(
    "law",
    [Exponential(1.3, 2.0, 1.1, 2.0, 0.4), PowerLaw(0.7, 3.5, 1.0, 2.5, 0.5)],
    ids=["exponential", "power"],
)
def test_laws_are_smooth_and_their_derivatives_right(law: Exponential | PowerLaw) -> None:
    r = np.linspace(0.5, law.cutoff + 0.1, 400)
    step = 1e-6
    numeric = (law(r + step)[0] - law(r - step)[0]) / (2 * step)
    np.testing.assert_allclose(law(r)[1], numeric, atol=2e-8 * np.abs(numeric).max())
    assert np.all(law(np.array([law.cutoff, law.cutoff + 1.0]))[0] == 0.0)


def test_exponential_hopping_follows_its_formula_below_the_switch() -> None:
    hopping = ExponentialHopping(t0=0.8, decay=1.0 / 0.3, reference=1.0, cutoff=2.0)
    r = np.array([0.75, 1.0, 1.5])
    np.testing.assert_allclose(hopping.law(r)[0], 0.8 * np.exp(-(r - 1.0) / 0.3), rtol=1e-14)
    power = PowerLawHopping(t0=0.8, exponent=5.0, reference=1.2, cutoff=3.0)
    np.testing.assert_allclose(power.law(r)[0], 0.8 * (1.2 / r) ** 5, rtol=1e-14)


def test_switch_is_one_then_zero_and_monotonic() -> None:
    r = np.linspace(0.5, 2.5, 200)
    value, slope = smooth_cutoff(r, 2.0, 0.5)
    assert np.all(value[r <= 1.5] == 1.0)
    assert np.all(np.abs(value[r >= 2.0]) < 1e-14)
    assert np.all(slope <= 0.0)


def test_compiled_laws_are_the_formulas_of_their_docstrings_for_distances_of_any_shape() -> None:
    """Below the step, within it and beyond it; distances in a row, in a table, a single one."""
    r = np.linspace(0.5, 4.5, 81)
    x = np.clip((r - 3.0) / 1.0, 0.0, 1.0)
    switch = 1.0 - x**3 * (10.0 - 15.0 * x + 6.0 * x**2)
    u = (r / 1.5) ** 2
    slater = 4.0 * 0.3 * u * (1.0 - 0.2 * u) * np.exp(-u)
    wave = np.exp(-1.1 * (r - 2.0))
    for law, expected in (
        (Morse(0.7, 1.1, 2.0, 4.0, 1.0), 0.7 * (wave**2 - 2.0 * wave) * switch),
        (BetheSlater(0.3, 0.2, 1.5, 4.0, 1.0), slater * switch),
        (BetheSlater(0.3, 0.2, 1.5, 4.0), slater * (r <= 4.0)),
    ):
        values, slopes = law(r)
        np.testing.assert_allclose(values, expected, rtol=1e-13, atol=1e-16)
        inside, step = np.abs(r - 4.0) > 1e-3, 1e-6
        numeric = (law(r + step)[0] - law(r - step)[0]) / (2.0 * step)
        np.testing.assert_allclose(slopes[inside], numeric[inside], atol=1e-8)
        for given in (r.reshape(9, 9), r[::2], r[7]):
            assert law(given)[0].shape == law(given)[1].shape == np.shape(given)
        assert np.array_equal(law(r.reshape(9, 9))[1].ravel(), slopes)
        assert np.array_equal(law(r[::2])[0], values[::2])


def test_a_user_law_with_a_wrong_derivative_is_refused() -> None:
    good = UserHopping(lambda r: (np.exp(-r), -np.exp(-r)), cutoff=3.0)
    assert isinstance(good, DistanceHopping)
    with pytest.raises(ModelError, match="derivative returned by the user's law disagrees .* at r = "):
        UserLaw(lambda r: (np.exp(-r), np.exp(-r)), cutoff=3.0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ShellHopping([]), "list of finite amplitudes"),
        (lambda: ShellHopping([np.nan]), "list of finite amplitudes"),
        (lambda: ShellHopping([1.0, 2.0], distances=[2.0, 1.0]), "one ascending distance for each"),
        (lambda: ExponentialHopping(1.0, 1.0, 1.0, -2.0), "0 < width <= cutoff"),
        (lambda: ExponentialHopping(1.0, 1.0, 1.0, 2.0, switch_width=3.0), "0 < width <= cutoff"),
    ],
)
def test_bad_laws_are_refused(build: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build()  # type: ignore[operator]
