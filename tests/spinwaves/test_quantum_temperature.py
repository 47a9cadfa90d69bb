"""Quantum magnons in a classical bath: Bose's sums, Bloch's law, heat that vanishes, and sampled magnetizations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gamma, zeta

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator
from spinase.dynamics import MonteCarlo, Ramp
from spinase.errors import ModelError
from spinase.spinwaves import MagnonSpectrum, bose, classical_hessian, magnon_bands, magnon_mesh, rescaled


def cubic(points: int) -> np.ndarray:
    """2 J (3 - sum cos k) of a simple cubic ferromagnet, J = 1, on a mesh that leaves k = 0 out."""
    k = 2 * np.pi * (np.arange(points) + 0.5) / points
    x, y, z = np.meshgrid(k, k, k, indexing="ij")
    return (2.0 * (3.0 - np.cos(x) - np.cos(y) - np.cos(z))).ravel()


def parabola(top: float, count: int = 200001) -> MagnonSpectrum:
    """E = top k^2 in a sphere: states as sqrt(E) up to `top`."""
    k = (np.arange(count) + 0.5) / count
    return MagnonSpectrum(top * k**2, k**2)


def test_a_parabolic_band_follows_bloch() -> None:
    """Number: (3/2) Gamma(3/2) zeta(3/2) (kT/top)^(3/2); energy with 5/2; both far below the top."""
    top, kT = 1.0, 0.01
    band = parabola(top)
    assert band.number(kT) == pytest.approx(1.5 * gamma(1.5) * zeta(1.5) * (kT / top) ** 1.5, rel=5e-3)
    assert band.energy(kT) == pytest.approx(1.5 * gamma(2.5) * zeta(2.5) * (kT / top) ** 1.5 * kT, rel=1e-4)
    assert band.number_matched(kT) == pytest.approx(band.number(kT) * top / 3.0, rel=5e-3)
    assert band.number_matched(2 * kT) / band.number_matched(kT) == pytest.approx(2**1.5, rel=5e-3)
    assert band.energy_matched(2 * kT) / band.energy_matched(kT) == pytest.approx(2**2.5, rel=1e-3)


def test_hot_magnons_are_classical() -> None:
    """kT' -> kT - <E>/2 (energy) and kT - 1/(2 <1/E>) (number) up to E/12 kT."""
    spectrum = MagnonSpectrum(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0]))
    kT = 1000.0
    assert spectrum.energy_matched(kT) == pytest.approx(kT - 2.25 / 2, abs=1e-3)
    assert spectrum.number_matched(kT) == pytest.approx(kT - 0.5 / (0.25 + 0.125 + 1 / 6), abs=1e-3)


def test_one_mode_holds_what_planck_says() -> None:
    spectrum = MagnonSpectrum(np.array([0.7]), np.ones(1))
    expected = 0.7 / (np.exp(0.7 / 0.3) - 1.0)
    assert spectrum.energy_matched(0.3) == pytest.approx(expected)
    assert spectrum.number_matched(0.3) == pytest.approx(expected)
    assert bose(0.7, 0.0) == 0.0
    assert spectrum.energy_matched(1e-5) == 0.0


def test_heat_capacities_vanish_with_the_temperature() -> None:
    """Dulong and Petit's 1 a mode far above the band, nothing far below."""
    spectrum = MagnonSpectrum(cubic(12), np.ones(12**3))
    slope = [(spectrum.energy_matched(1.001 * t) - spectrum.energy_matched(t)) / (1e-3 * t) for t in (0.02, 1000.0)]
    assert slope[0] < 1e-3
    assert slope[1] == pytest.approx(1.0, abs=1e-3)


def test_spectra_come_from_bands() -> None:
    atoms = SpinAtoms.lattice("cubic", (1, 1, 1), units="reduced")
    atoms.calc = HeisenbergCalculator([1.0])
    hessian = classical_hessian(atoms)
    spectrum = MagnonSpectrum.of_bands(magnon_bands(hessian, magnon_mesh(hessian, (4, 4, 4))))
    k = 2 * np.pi * np.array([-3, -1, 1, 3]) / 8
    x, y, z = np.meshgrid(k, k, k, indexing="ij")
    expected = np.sort((2 * (3 - np.cos(x) - np.cos(y) - np.cos(z))).ravel())
    np.testing.assert_allclose(np.sort(spectrum.energies), expected, atol=1e-8)
    uniform = MagnonSpectrum.of_bands(magnon_bands(hessian, magnon_mesh(hessian, (3, 3, 3))))
    assert len(uniform.energies) == 26, "without q = 0"


def test_a_sampled_magnet_has_the_magnetization_of_bose_and_einstein() -> None:
    """6^3 sites with a rescaled bath: 1 - |M| = (1/N) sum n over its modes; a plain bath has 2.6 times it."""
    k = 2 * np.pi * np.arange(6) / 6
    x, y, z = np.meshgrid(k, k, k, indexing="ij")
    energies = np.sort((2 * (3 - np.cos(x) - np.cos(y) - np.cos(z))).ravel())[1:]
    spectrum, kT = MagnonSpectrum(energies, np.ones(215)), 0.6
    expected = spectrum.number(kT) * 215 / 216
    assert kT / spectrum.number_matched(kT) > 2.0
    atoms = SpinAtoms.lattice("cubic", (6, 6, 6), units="reduced")
    atoms.calc = HeisenbergCalculator([1.0])
    driver = MonteCarlo(atoms, rescaled(spectrum.number_matched, kT), rng=1, over_relaxation=1)
    driver.run(100)
    found: list[float] = []
    driver.attach(lambda: found.append(1.0 - float(np.linalg.norm(atoms.spins.mean(axis=0)))), 1)
    driver.run(400)
    assert np.mean(found) == pytest.approx(expected, rel=0.06)


def test_a_ramp_is_rescaled_as_time_goes() -> None:
    spectrum = parabola(1.0, 1001)
    bath = rescaled(spectrum.energy_matched, Ramp(0.1, 0.3, 10.0))
    assert bath(0.0) == pytest.approx(spectrum.energy_matched(0.1))
    assert bath(5.0) == pytest.approx(spectrum.energy_matched(0.2))


def test_refusals() -> None:
    with pytest.raises(ModelError, match="magnon energies must be positive, the lowest is 0: leave the uniform mode out"):
        MagnonSpectrum(np.array([0.0, 1.0]), np.ones(2))
    with pytest.raises(ModelError, match=r"of one shape \(n,\), got \(2,\), \(3,\)"):
        MagnonSpectrum(np.ones(2), np.ones(3))
    with pytest.raises(ModelError, match="must not be negative, nor all zero"):
        MagnonSpectrum(np.ones(2), np.zeros(2))
