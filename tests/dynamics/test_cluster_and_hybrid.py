"""Cluster moves, hybrid Monte Carlo and dipoles in Monte Carlo against averages by quadrature, and against each other."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.analysis import block_average
from spinase.calculators import (
    BiquadraticCalculator,
    DipoleCalculator,
    DMICalculator,
    EDCalculator,
    FourSpinCalculator,
    HeisenbergCalculator,
    SlonczewskiCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.classical.clusters import wolff
from spinase.classical.sampling import make_sampler
from spinase.contract import local_model_of
from spinase.dynamics import HybridMonteCarlo, MonteCarlo
from spinase.electrons import SDModel, ShellHopping
from spinase.errors import ModelError

COPIES, KT = 100, 0.5


def dimers(terms: list[object], copies: int = COPIES) -> SpinAtoms:
    """Pairs of sites along z, 1 apart and 40 from the next pair."""
    places = 40.0 * np.arange(copies)[:, None] * [1.0, 0, 0]
    atoms = SpinAtoms(
        ["Fe"] * (2 * copies), positions=np.stack([places, places + [0, 0, 1.0]], axis=1).reshape(-1, 3), units="reduced"
    )
    atoms.moments = np.random.default_rng(1).normal(size=(2 * copies, 3))
    atoms.moments = atoms.spins
    atoms.calc = SpinSumCalculator(terms)
    return atoms


def averages(energy: object) -> np.ndarray:
    """Exact <s_1.s_2>, <z_1 z_2>, <z_1 + z_2> of one pair: E(overlap, z_1, z_2), by quadrature."""
    z, weights = np.polynomial.legendre.leggauss(40)
    turn = 2 * np.pi * (np.arange(60) + 0.5) / 60
    one, two, angle = np.meshgrid(z, z, turn, indexing="ij")
    overlap = one * two + np.sqrt((1 - one**2) * (1 - two**2)) * np.cos(angle)
    boltzmann = weights[:, None, None] * weights[None, :, None] * np.exp(-energy(overlap, one, two) / KT)
    return np.array([np.sum(x * boltzmann) for x in (overlap, one * two, one + two)]) / boltzmann.sum()


def seen(spins: np.ndarray) -> list[float]:
    one, two = spins[::2], spins[1::2]
    return [np.mean(np.sum(one * two, 1)), np.mean(one[:, 2] * two[:, 2]), np.mean(one[:, 2] + two[:, 2])]


def whole() -> list[object]:
    """Exchange, and everything that is no isotropic exchange: E = -J c - B c^2 - K (z1^2 + z2^2) - h (z1 + z2)."""
    return [
        HeisenbergCalculator([0.6]),
        BiquadraticCalculator([0.3]),
        UniaxialAnisotropyCalculator(0.4),
        ZeemanCalculator((0, 0, 0.2)),
    ]


def whole_energy(c: np.ndarray, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return -0.6 * c - 0.3 * c**2 - 0.4 * (one**2 + two**2) - 0.2 * (one + two)


def dipole_energy(c: np.ndarray, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return 0.5 * (c - 3 * one * two)


@pytest.mark.parametrize("name", ["exchange", "antiferromagnet", "whole", "dipoles"])
def test_clusters_alone_sample_what_boltzmann_says(name: str) -> None:
    """Each move is one pair of 100, or one of its spins."""
    terms, energy = {
        "exchange": ([HeisenbergCalculator([0.6])], lambda c, one, two: -0.6 * c),
        "antiferromagnet": ([HeisenbergCalculator([-0.6])], lambda c, one, two: 0.6 * c),
        "whole": (whole(), whole_energy),
        "dipoles": ([DipoleCalculator(0.5)], dipole_energy),
    }[name]
    atoms = dimers(terms)
    sampler, spins, rng = make_sampler(local_model_of(atoms)), atoms.spins.copy(), np.random.default_rng(3)
    found, free = [], np.ones(len(spins), dtype=bool)
    for move in range(30000):
        wolff(sampler, spins, free, KT, rng)
        if move > 3000 and move % 100 == 0:
            found.append(seen(spins))
    np.testing.assert_allclose(np.linalg.norm(spins, axis=1), 1.0, atol=1e-12)
    assert (np.abs(np.mean(found, axis=0) - averages(energy)) < [0.03, 0.03, 0.06]).all()


@pytest.mark.parametrize("name", ["whole", "dipoles"])
def test_all_spins_at_once_sample_what_boltzmann_says(name: str) -> None:
    terms, energy = {"whole": (whole(), whole_energy), "dipoles": ([DipoleCalculator(0.5)], dipole_energy)}[name]
    atoms = dimers(terms)
    driver = HybridMonteCarlo(atoms, KT, rng=2, path=6, width=0.3)
    driver.run(60)
    found = []
    driver.attach(lambda: found.append(seen(atoms.spins)), 1)
    driver.run(300)
    assert 0.6 < driver.acceptance < 0.95
    np.testing.assert_allclose(np.mean(found, axis=0), averages(energy), atol=0.025)


@pytest.mark.slow  # half a minute
def test_hybrid_monte_carlo_samples_the_free_energy_of_electrons() -> None:
    """Two sites of an s-d magnet, exactly diagonalized: <s_1.s_2> by quadrature over the angle between them."""
    atoms = SpinAtoms.lattice("chain", (2,), units="reduced", periodic=False, texture="ferro")
    atoms.calc = EDCalculator(SDModel(ShellHopping([1.0]), coupling=2.0, filling=0.25, kT=0.05))
    overlaps, energies = np.linspace(-1.0, 1.0, 201), []
    turned = atoms.copy()
    turned.calc = atoms.calc
    for overlap in overlaps:
        turned.spins = np.array([[0, 0, 1.0], [np.sqrt(1.0 - overlap**2), 0, overlap]])
        energies.append(turned.calc.get_property("free_energy", turned))
    weights = np.exp(-(np.array(energies) - min(energies)) / 0.2)
    expected = float(np.trapezoid(overlaps * weights, overlaps) / np.trapezoid(weights, overlaps))
    assert expected > 0.3  # electrons align them
    driver, found = HybridMonteCarlo(atoms, 0.2, rng=2, path=5), []
    driver.run(200)
    for _ in range(2500):
        driver.run(1)
        found.append(float(atoms.spins[0] @ atoms.spins[1]))
    average = block_average(found)
    assert average.error < 0.03
    assert average.mean == pytest.approx(expected, abs=4.0 * average.error)


def test_dipoles_are_sampled_spin_by_spin() -> None:
    atoms = dimers([DipoleCalculator(0.5)])
    driver = MonteCarlo(atoms, KT, rng=2)
    driver.run(30)
    found = []
    driver.attach(lambda: found.append(seen(atoms.spins)), 1)
    driver.run(300)
    np.testing.assert_allclose(np.mean(found, axis=0), averages(dipole_energy), atol=0.025)


@pytest.mark.parametrize("periodic", [True, False, (True, True, False)])
def test_the_model_of_all_pairs_has_the_energy_of_the_dipoles(periodic: bool) -> None:
    atoms = SpinAtoms.lattice("cubic", (3, 3, 2), rng=1, units="reduced", periodic=periodic, moment=1.5)
    atoms.calc = DipoleCalculator(0.3, [0.2, 0.3, 0.5] if periodic is True else None)
    sampler = make_sampler(local_model_of(atoms))
    for seed in (1, 2):
        atoms.spins = np.random.default_rng(seed).normal(size=(18, 3))
        assert sampler.energy(atoms.spins) == pytest.approx(atoms.get_potential_energy(), rel=1e-9)


def test_the_rest_of_the_energy_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At kT near zero no accepted cluster goes uphill, whatever else the model has; at the same energy most are mirrored."""
    atoms = SpinAtoms.lattice("triangular", (4, 4), rng=3, units="reduced")
    products = FourSpinCalculator([(0, 1, 2, 3), (4, 5, 4, 6), (7, 8, 8, 9)], [1.0, -2.0, 1.5])
    atoms.calc = SpinSumCalculator([HeisenbergCalculator([0.2]), DMICalculator([0.6]), *whole()[1:], products])
    sampler, spins, rng = make_sampler(local_model_of(atoms)), atoms.spins.copy(), np.random.default_rng(3)
    moved = 0
    for _ in range(300):
        before = sampler.energy(spins)
        _, accepted = wolff(sampler, spins, np.ones(16, dtype=bool), 1e-6, rng)
        assert sampler.energy(spins) <= before + 1e-4
        moved += accepted
    assert moved > 20


def test_clusters_decorrelate_a_critical_magnet() -> None:
    """Cubic, at kT = 1.443 J: |M|^2 after five steps, with heat bath alone and with clusters."""
    left = {}
    for clusters in (0, 6):
        atoms = SpinAtoms.lattice("cubic", (8, 8, 8), units="reduced", rng=1)
        atoms.calc = HeisenbergCalculator([1.0])
        driver = MonteCarlo(atoms, 1.443, rng=2, cluster_moves=clusters)
        driver.run(100)
        found: list[float] = []
        driver.attach(lambda atoms=atoms, found=found: found.append(float(np.sum(atoms.spins.mean(axis=0) ** 2))), 1)
        driver.run(600)
        centred = np.array(found) - np.mean(found)
        left[clusters] = np.mean(centred[5:] * centred[:-5]) / np.mean(centred**2)
    assert driver.cluster_size > 5.0
    assert left[6] < 0.5 * left[0]
    assert left[0] > 0.5


def test_a_cluster_that_reaches_a_frozen_spin_stays() -> None:
    atoms = SpinAtoms.lattice("chain", (6,), units="reduced")
    atoms.calc = HeisenbergCalculator([1.0])
    driver = MonteCarlo(atoms, 1e-3, rng=1, cluster_moves=5, frozen=[0])
    driver.run(3)
    np.testing.assert_allclose(atoms.spins, np.tile([0, 0, 1.0], (6, 1)), atol=0.2)
    sampler, spins = make_sampler(local_model_of(atoms)), atoms.spins.copy()
    assert wolff(sampler, spins, np.zeros(6, dtype=bool), 1.0, np.random.default_rng(1)) == (0, False)


def test_refusals() -> None:
    atoms = dimers([HeisenbergCalculator([1.0])], 2)
    with pytest.raises(ModelError, match="cluster_moves must be a whole number of clusters, got -1"):
        MonteCarlo(atoms, 0.1, rng=1, cluster_moves=-1)
    with pytest.raises(ModelError, match="path must be a whole number of leapfrog steps, 1 or more, got 0"):
        HybridMonteCarlo(atoms, 0.1, rng=1, path=0)
    with pytest.raises(ModelError, match="time of Monte Carlo counts trajectories"):
        HybridMonteCarlo(atoms, 0.1, rng=1).dt = 2.0
    cold = HybridMonteCarlo(atoms, 0.0, rng=1)
    with pytest.raises(ModelError, match="needs a positive temperature, got kT = 0"):
        cold.run(1)
    atoms.calc = SlonczewskiCalculator((0, 0, 1), 0.1)
    with pytest.raises(ModelError, match="SlonczewskiCalculator describes a driven system"):
        HybridMonteCarlo(atoms, 0.1, rng=1)
