"""Exchange fitted to the fields of a calculator: what has such a form is found, of electrons what they have of it."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import (
    BiquadraticCalculator,
    EDCalculator,
    HeisenbergCalculator,
    SpinSumCalculator,
    fit_exchange,
)
from spinase.electrons import SDModel, ShellHopping
from spinase.errors import ModelError


def test_exchange_that_is_there_is_found_whatever_the_moments() -> None:
    atoms = SpinAtoms.lattice("square", (5, 5), units="metal", rng=1)
    lengths = np.linspace(0.5, 3.0, 25)
    lengths[3] = 0.0  # a site without a moment
    atoms.moments = atoms.moments * lengths[:, None]
    before = atoms.moments.copy()
    truth = SpinSumCalculator(
        [HeisenbergCalculator([1e-2, -3e-3], units="metal"), BiquadraticCalculator([2e-3], units="metal")]
    )
    found = fit_exchange(truth, atoms, shells=3, biquadratic=1, samples=2)
    np.testing.assert_allclose(found.exchange, [1e-2, -3e-3, 0.0], atol=1e-12)
    np.testing.assert_allclose(found.biquadratic, [2e-3], atol=1e-12)
    assert found.r2 == pytest.approx(1.0)
    assert found.rms_error < 1e-12 < found.rms_field
    np.testing.assert_array_equal(atoms.moments, before)
    np.testing.assert_allclose(
        found.calculator.get_property("torques", atoms), truth.get_property("torques", atoms), atol=1e-12
    )
    assert "\n  J1 = +1.0000e-02 +- " in repr(found)
    assert "\n  K1 = +2.0000e-03 +- " in repr(found)
    without = fit_exchange(truth, atoms, shells=2, samples=2)
    assert without.r2 < 0.999
    assert abs(without.exchange[0] - 1e-2) < 5.0 * without.exchange_errors[0]


def test_weakly_coupled_electrons_are_a_heisenberg_model_and_strongly_coupled_ones_are_not() -> None:
    """To second order in the coupling there is exchange of pairs only: that of their tensors."""
    atoms = SpinAtoms.lattice("chain", (16,), units="reduced", rng=2)
    weak = EDCalculator(SDModel(ShellHopping([1.0]), 0.02, chemical_potential=-0.7, kT=0.3))
    found = fit_exchange(weak, atoms, shells=7, samples=3)
    assert found.r2 > 0.9999
    tensors = weak.exchange_tensors(atoms, shells=7).by_shell()
    np.testing.assert_allclose(found.exchange, tensors.isotropic, atol=2e-3 * np.abs(tensors.isotropic).max())
    strong = EDCalculator(SDModel(ShellHopping([1.0]), 4.0, chemical_potential=-3.0, kT=0.1))
    assert fit_exchange(strong, atoms, shells=7, samples=3).r2 < 0.5
    assert "R^2 =" in repr(found)


def test_textures_of_your_own_and_bad_input() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced", rng=1)
    truth = HeisenbergCalculator([1.0])
    spins = np.random.default_rng(3).normal(size=(2, 16, 3))
    spins /= np.linalg.norm(spins, axis=2, keepdims=True)
    np.testing.assert_allclose(fit_exchange(truth, atoms, 2, samples=list(spins)).exchange, [1.0, 0.0], atol=1e-12)
    assert fit_exchange(truth, atoms, 1, samples=list(spins)).exchange == pytest.approx([1.0])
    assert fit_exchange(BiquadraticCalculator([0.3]), atoms, 0, 1, samples=list(spins)).biquadratic == pytest.approx([0.3])
    for shells, biquadratic in ((0, 0), (-1, 2), (2, -1)):
        with pytest.raises(ModelError, match=f"at least one shell, got shells={shells} and biquadratic={biquadratic}"):
            fit_exchange(truth, atoms, shells, biquadratic)
    with pytest.raises(ModelError, match="samples must be a positive number"):
        fit_exchange(truth, atoms, samples=0)
    with pytest.raises(ModelError, match=r"a texture is \(16, 3\) directions, got shape \(3,\)"):
        fit_exchange(truth, atoms, samples=[np.zeros(3)])
    with pytest.raises(ModelError, match="not independent in these textures"):
        fit_exchange(truth, atoms, 2, samples=[np.tile([0.0, 0.0, 1.0], (16, 1))])
    bare = SpinAtoms("H2", positions=[[0, 0, 0], [0, 0, 1.0]], units="reduced", moments=np.zeros((2, 3)))
    with pytest.raises(ModelError, match="have none: set their moments"):
        fit_exchange(truth, bare)
