"""Neutron intensities of magnons: closed forms, sum rules, spirals against magnetic cells, runs against linear waves."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.analysis import Bose, Equipartition, ExponentialFormFactor, dynamic_correlations
from spinase.calculators import (
    DMICalculator,
    HeisenbergCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.dynamics import LLGDynamics
from spinase.errors import ModelError
from spinase.spinwaves import (
    BlochHessian,
    Spiral,
    classical_hessian,
    magnon_bands,
    magnon_intensities,
    powder_spectrum,
)

WAVES = np.random.default_rng(5).uniform(-4.0, 4.0, size=(12, 3))


def chain(sites: int, terms: list[object], spins: object = (0.0, 0.0, 1.0), repeat: int = 1) -> SpinAtoms:
    atoms = SpinAtoms.lattice("chain", (sites * repeat,), units="reduced", texture="ferro")
    atoms.spins = np.tile(np.atleast_2d(np.asarray(spins, dtype=float)), (len(atoms) // len(np.atleast_2d(spins)), 1))
    atoms.calc = SpinSumCalculator(terms)
    return atoms


@pytest.fixture(scope="module")
def ferromagnet() -> BlochHessian:
    return classical_hessian(chain(1, [HeisenbergCalculator([1.0]), ZeemanCalculator((0, 0, 0.5))]))


def test_a_ferromagnet_has_one_line_across_its_spins(ferromagnet: BlochHessian) -> None:
    """S^xx = S^yy = 1/2, S^xy = -i/2 per site at T = 0 (S = 1); neutrons see (1 + qz^2/q^2)/2."""
    lines = magnon_intensities(ferromagnet, WAVES)
    expected = 0.5 * np.array([[1, -1j, 0], [1j, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(lines.correlations[:, 0], np.broadcast_to(expected, (12, 3, 3)), atol=1e-10)
    np.testing.assert_allclose(lines.correlations[:, 1], 0.0, atol=1e-10)
    cosine = WAVES[:, 2] / np.linalg.norm(WAVES, axis=1)
    np.testing.assert_allclose(lines.neutron()[:, 0], 0.5 * (1 + cosine**2), atol=1e-10)
    at_zero = magnon_intensities(ferromagnet, [[0.0, 0.0, 0.0]])
    assert at_zero.neutron()[0, 0] == pytest.approx(2 / 3)


def test_moments_in_metal_units_and_form_factors() -> None:
    """mu = g S: S^xx + S^yy = g mu per site (in mu_B^2), times F(q)^2."""
    atoms = SpinAtoms.lattice("chain", (1,), a=2.5, texture="ferro", moment=2.2)
    atoms.g_factors = 2.1
    atoms.calc = HeisenbergCalculator([0.02])
    factor = ExponentialFormFactor((0.4, 10.0, 0.3, 5.0, 0.2, 2.0, 0.1))
    lines = magnon_intensities(classical_hessian(atoms), WAVES, form_factors={"Fe": factor})
    square = (np.linalg.norm(WAVES, axis=1) / (4 * np.pi)) ** 2
    expected = 0.4 * np.exp(-10 * square) + 0.3 * np.exp(-5 * square) + 0.2 * np.exp(-2 * square) + 0.1
    np.testing.assert_allclose(lines.trace()[:, 0], 2.1 * 2.2 * expected**2, rtol=1e-9)
    with pytest.raises(ModelError, match="no form factor for Fe: given are Co"):
        magnon_intensities(classical_hessian(atoms), WAVES, form_factors={"Co": factor})
    with pytest.raises(ModelError, match="seven numbers"):
        ExponentialFormFactor((1.0, 2.0))  # type: ignore[arg-type]


def test_an_antiferromagnet_has_its_weight_at_the_staggered_wavevector() -> None:
    """Both bands together sqrt((1 - cos q)/(1 + cos q)) per site; at kT the two signs of omega obey detailed balance."""
    atoms = chain(2, [HeisenbergCalculator([-1.0])], [[0, 0, 1.0], [0, 0, -1.0]])
    waves = np.linspace(0.3, 6.0, 9)[:, None] * [1.0, 0, 0]
    hessian = classical_hessian(atoms)
    expected = np.sqrt((1 - np.cos(waves[:, 0])) / (1 + np.cos(waves[:, 0])))
    np.testing.assert_allclose(magnon_intensities(hessian, waves).trace().sum(axis=1), expected, rtol=1e-8)
    warm = magnon_intensities(hessian, waves, Bose(0.7))
    back = magnon_intensities(hessian, -waves, Bose(0.7))
    for line in range(2):
        assert (warm.frequencies[:, line] > 0).all()
        np.testing.assert_allclose(back.frequencies[:, 2 + line], -warm.frequencies[:, line], atol=1e-8)
    ratio = warm.trace()[:, :2].sum(axis=1) / back.trace()[:, 2:].sum(axis=1)
    np.testing.assert_allclose(ratio, np.exp(warm.frequencies[:, 0] / 0.7), rtol=1e-8)


def test_a_spiral_is_seen_as_its_magnetic_cell() -> None:
    """120 degrees on the triangular lattice: one rotating site, and three sites of a cell, in a grid of frequencies."""
    calc, width = HeisenbergCalculator([-1.0]), 0.1
    spiral = SpinAtoms.lattice("triangular", (1, 1), units="reduced", texture="ferro")
    spiral.spins, spiral.calc = (1.0, 0.0, 0.0), calc
    one = classical_hessian(spiral, Spiral((4 * np.pi / 3, 0, 0), (0, 0, 1)))
    large = SpinAtoms.lattice("triangular", (3, 3), units="reduced", texture="ferro")
    phase = large.positions @ [4 * np.pi / 3, 0, 0]
    large.spins = np.stack([np.cos(phase), np.sin(phase), 0 * phase], axis=1)
    large.calc = calc
    nine = classical_hessian(large)
    grid = np.linspace(-1.0, 4.0, 101)
    waves = WAVES[:4] * [1.0, 1.0, 0.3]
    seen = magnon_intensities(one, waves).spectrum(grid, width)
    expected = magnon_intensities(nine, waves).spectrum(grid, width)
    np.testing.assert_allclose(seen.values, expected.values, atol=1e-6 * np.abs(expected.values).max())
    assert seen.neutron().max() > 0.1
    two = SpinAtoms.lattice("triangular", (1, 2), units="reduced", texture="ferro")
    phase = 4 * np.pi / 3 * two.positions[:, 0]
    two.spins, two.calc = np.stack([np.cos(phase), np.sin(phase), 0 * phase], axis=1), calc
    two.positions += [0.31, -0.17, 0.23]  # anywhere
    pair = magnon_intensities(classical_hessian(two, Spiral((4 * np.pi / 3, 0, 0), (0, 0, 1))), waves).spectrum(grid, width)
    np.testing.assert_allclose(pair.values, expected.values, atol=1e-6 * np.abs(expected.values).max())


def test_populations_differ_by_the_quantum_correction(ferromagnet: BlochHessian) -> None:
    grid = np.linspace(-6.0, 6.0, 241)
    classical = magnon_intensities(ferromagnet, WAVES, Equipartition(0.8)).spectrum(grid, 0.05)
    quantum = magnon_intensities(ferromagnet, WAVES, Bose(0.8)).spectrum(grid, 0.05)
    corrected = classical.quantum(0.8, 1.0)
    np.testing.assert_allclose(corrected.trace().sum(axis=1), quantum.trace().sum(axis=1), rtol=2e-3)
    with pytest.raises(ModelError, match="equally spaced"):
        magnon_intensities(ferromagnet, WAVES).spectrum([0.0, 1.0, 3.0], 0.1)
    with pytest.raises(ModelError, match="positive frequency, got -1"):
        magnon_intensities(ferromagnet, WAVES).spectrum(grid, -1.0)


def test_a_powder_is_the_mean_over_directions(ferromagnet: BlochHessian) -> None:
    """A ferromagnetic chain: 1/2 (1 + qz^2/q^2), whose mean is 2/3; where q is along the chain the line is highest."""
    grid = np.linspace(-2.0, 8.0, 501)
    found = powder_spectrum(ferromagnet, [1.0, 3.0], grid, 0.1, order=31)
    np.testing.assert_allclose(found.sum(axis=1) * 0.02 / (2 * np.pi), 2 / 3, rtol=1e-6)
    mean = (found @ grid) * 0.02 / (2 * np.pi) / (2 / 3)
    directions = np.random.default_rng(0).normal(size=(200_000, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    weights = 0.5 * (1 + directions[:, 2] ** 2)
    expected = [np.average(0.5 + 2 * (1 - np.cos(q * directions[:, 0])), weights=weights) for q in (1.0, 3.0)]
    np.testing.assert_allclose(mean, expected, rtol=5e-3)
    resolved = powder_spectrum(ferromagnet, [1.0], grid, lambda w: 0.05 + 0.01 * np.abs(w), order=31)
    assert resolved.sum() == pytest.approx(found[0].sum(), rel=1e-6)


def test_the_peaks_of_a_run_are_the_bands_on_both_sides() -> None:
    """A canted, chiral magnet that starts as one wave of q: the run has that frequency, sign and polarization at q."""
    sites = 24
    terms = [
        HeisenbergCalculator([1.0]),
        DMICalculator([0.3]),
        UniaxialAnisotropyCalculator(0.4, (1, 0, 0)),
        UniaxialAnisotropyCalculator(-0.3, (0, 0, 1)),
    ]
    hessian = classical_hessian(chain(1, terms, (1.0, 0, 0)))
    q = 2 * np.pi * np.array([[5.0, 0, 0], [-5.0, 0, 0]]) / sites
    bands = magnon_bands(hessian, q)
    assert abs(bands.frequencies[0, 0] - bands.frequencies[1, 0]) > 0.5
    run = chain(1, terms, (1.0, 0, 0), repeat=sites)
    circular = hessian.axes[0, 0] + 1j * hessian.axes[0, 1]
    shape = bands.modes[0, 0, 0] * circular + bands.modes[0, 1, 0] * circular.conj()
    wave = np.exp(1j * run.positions @ q[0])
    run.spins = run.spins + 0.01 * (wave[:, None] * shape).real
    frames, step = [], 2 * np.pi / bands.frequencies[0, 0] / 40
    dynamics = LLGDynamics(run, step, integrator="midpoint")
    dynamics.attach(lambda: frames.append(run.spins.copy()), 2)
    dynamics.run(400)
    found = dynamic_correlations(run.positions, np.array(frames), 2 * step, q)
    np.testing.assert_allclose(found.values, found.values.conj().transpose(0, 1, 3, 2), atol=1e-12)
    power = found.trace()
    assert found.frequencies[power[0].argmax()] == pytest.approx(bands.frequencies[0, 0], abs=found.spacing)
    assert found.frequencies[power[1].argmax()] == pytest.approx(-bands.frequencies[0, 0], abs=found.spacing)
    line = magnon_intensities(hessian, q).correlations[0, 0]
    peak = found.values[0, power[0].argmax()]
    np.testing.assert_allclose(peak / np.trace(peak), line / np.trace(line), atol=2e-3)
