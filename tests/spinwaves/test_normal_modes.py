"""Spin waves against closed forms, against dynamics, and for electrons; refusals."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import (
    EDCalculator,
    HeisenbergCalculator,
    KPMCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.contract import NotConservativeError
from spinase.dynamics import LLGDynamics
from spinase.electrons import SDModel, ShellHopping
from spinase.errors import ConvergenceError, ModelError, UnstableStateWarning
from spinase.spinwaves import spin_waves
from spinase.units import METAL


def waves_of_square(size: int) -> np.ndarray:
    q = 2 * np.pi * np.arange(size) / size
    return np.stack(np.meshgrid(q, q), axis=-1).reshape(-1, 2)


def test_a_ferromagnetic_chain_in_metal_units() -> None:
    """hbar omega = 2 (2 J (1 - cos qa) + 2 K) / mu + g mu_B B with energies per unit spin, moments mu in mu_B."""
    sites, exchange, anisotropy, moment, tesla = 12, 0.02, 0.001, 2.2, 5.0
    atoms = SpinAtoms.lattice("chain", (sites,), a=2.5, texture="ferro")
    atoms.moments = moment * atoms.spins
    atoms.calc = SpinSumCalculator(
        [
            HeisenbergCalculator(shells=[exchange]),
            UniaxialAnisotropyCalculator(anisotropy),
            ZeemanCalculator((0.0, 0.0, tesla * METAL.tesla)),
        ]
    )
    found = spin_waves(atoms)
    q = 2 * np.pi * np.arange(sites) / sites
    expected = 2.0 * ((2 * exchange * (1 - np.cos(q)) + 2 * anisotropy) / moment + tesla * METAL.tesla)
    np.testing.assert_allclose(found.energies, np.sort(expected), rtol=1e-6)
    assert found.growth < 1e-9
    assert found.modes.shape == (sites, sites, 3)


def test_a_square_antiferromagnet() -> None:
    """omega = sqrt(A^2 - B_q^2) with A = 4 |J| + 2 K and B_q = 2 |J| (cos qx + cos qy); every mode once per sublattice."""
    size, exchange, anisotropy = 6, -0.5, 0.1
    atoms = SpinAtoms.lattice("square", (size, size), units="reduced", texture="ferro")
    stagger = 1.0 - 2.0 * (np.indices((size, size)).sum(axis=0).ravel() % 2)
    atoms.spins = stagger[:, None] * np.array([0.0, 0.0, 1.0])
    atoms.calc = SpinSumCalculator([HeisenbergCalculator(shells=[exchange]), UniaxialAnisotropyCalculator(anisotropy)])
    q = waves_of_square(size)
    coupling = 2 * abs(exchange) * np.cos(q).sum(axis=1)
    expected = np.sqrt((4 * abs(exchange) + 2 * anisotropy) ** 2 - coupling**2)
    np.testing.assert_allclose(spin_waves(atoms).frequencies, np.sort(expected), atol=1e-6)


def test_a_mode_of_electrons_oscillates_at_its_frequency_in_dynamics() -> None:
    atoms = SpinAtoms.lattice("chain", (6,), units="reduced", texture="ferro")
    model = SDModel(hopping=ShellHopping([1.0]), coupling=4.0, filling=0.2, kT=0.1)
    atoms.calc = EDCalculator(model)
    found = spin_waves(atoms)
    assert found.growth < 1e-7  # a ferromagnet at this filling
    frequency, mode = found.frequencies[-1], found.modes[-1]
    amplitude = 0.01 * mode.real / np.abs(mode.real).max()
    atoms.spins = atoms.spins + amplitude
    start, steps = atoms.spins.copy(), 400
    LLGDynamics(atoms, 2 * np.pi / frequency / steps, integrator="midpoint").run(steps)
    np.testing.assert_allclose(atoms.spins, start, atol=2e-5)
    assert frequency > 0.01


def test_goldstone_modes_and_instabilities() -> None:
    atoms = SpinAtoms.lattice("triangular", (3, 3), units="reduced", texture="120-degree")
    atoms.calc = HeisenbergCalculator(shells=[-1.0])
    assert np.count_nonzero(spin_waves(atoms).frequencies < 1e-3) == 3
    atoms = SpinAtoms.lattice("chain", (8,), units="reduced", texture="ferro")
    atoms.calc = SpinSumCalculator([HeisenbergCalculator(shells=[1.0]), UniaxialAnisotropyCalculator(0.2, (1, 0, 0))])
    # along z the easy axis x makes a saddle: omega^2 = D_q (D_q - 2 K), D_q = 2 J (1 - cos q), negative for q = 0 ... small
    exchange = 2 * (1 - np.cos(2 * np.pi * np.arange(8) / 8))
    squares = exchange * (exchange - 0.4)
    atoms.spins = [0.0, 0.0, 1.0]
    with pytest.warns(UnstableStateWarning, match="a saddle point of the energy"):
        waves = spin_waves(atoms)
    assert waves.growth == pytest.approx(np.sqrt(max(0.0, -squares.min())), abs=1e-3)


def test_what_has_no_spin_waves_is_refused() -> None:
    atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
    atoms.calc = HeisenbergCalculator(shells=[1.0])
    with pytest.raises(ConvergenceError, match=r"the spins are not stationary: the largest .* relax them first"):
        spin_waves(atoms)
    model = SDModel(hopping=ShellHopping([1.0]), coupling=1.0, filling=0.3, kT=0.2)
    atoms.calc = KPMCalculator(model, 1.0, count=8, order=20, estimator="direct")
    with pytest.raises(NotConservativeError, match="its modes are no spin waves"):
        spin_waves(atoms)
    atoms.calc = HeisenbergCalculator(shells=[1.0])
    atoms.moments = np.zeros((9, 3))
    with pytest.raises(ModelError, match="there are no spin waves"):
        spin_waves(atoms)
