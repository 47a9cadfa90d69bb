"""Sampling against closed forms: Fisher's chain, Langevin and quadratures, and parallel tempering over a barrier."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from systems.spins import Pairs, ring

from spinase import SpinAtoms
from spinase.atoms import get_moments
from spinase.calculators import (
    BiquadraticCalculator,
    CubicAnisotropyCalculator,
    DipoleCalculator,
    DMICalculator,
    HeisenbergCalculator,
    SlonczewskiCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    ZeemanCalculator,
)
from spinase.classical.sampling import make_sampler
from spinase.contract import NotConservativeError, local_model_of
from spinase.dynamics import MonteCarlo, Ramp, parallel_tempering, simulated_annealing
from spinase.errors import ModelError


def chain(sites: int, terms: list[object], periodic: bool = False) -> SpinAtoms:
    atoms = SpinAtoms.lattice("chain", (sites,), periodic=periodic, rng=1, units="reduced")
    atoms.calc = SpinSumCalculator(terms)
    return atoms


def langevin(x: float) -> float:
    return 1 / np.tanh(x) - 1 / x


@pytest.mark.parametrize(("method", "over_relaxation"), [("heat-bath", 0), ("metropolis", 0), ("heat-bath", 1)])
def test_the_open_chain_is_fishers(method: str, over_relaxation: int) -> None:
    """M. E. Fisher, Am. J. Phys. 32, 343 (1964): E/bond = -J L(J/kT), <s_0.s_n> = L^n."""
    kT, sites = 0.5, 400
    atoms = chain(sites, [HeisenbergCalculator([1.0])])
    sampling = MonteCarlo(atoms, kT, rng=np.random.default_rng(2), method=method, over_relaxation=over_relaxation)
    sampling.run(300)
    seen = []
    sampling.attach(lambda: seen.append([np.mean(np.sum(atoms.spins[n:] * atoms.spins[: sites - n], 1)) for n in (1, 3)]), 2)
    sampling.run(3000)
    ratio = langevin(1 / kT)
    assert np.mean(seen, axis=0) == pytest.approx([ratio, ratio**3], abs=0.006)
    energy = atoms.get_potential_energy()
    assert make_sampler(local_model_of(atoms)).energy(atoms.spins) == pytest.approx(energy)
    if method == "metropolis":
        assert sampling.acceptance == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("method", ["heat-bath", "metropolis"])
def test_anisotropic_spins_in_a_field_are_distributed_as_boltzmann_says(method: str) -> None:
    """E = -K s_z^2 - h s_z on independent spins: <s_z> and <s_z^2> from a quadrature."""
    kT, K, h = 0.4, 0.7, 0.3
    atoms = SpinAtoms.lattice("square", (20, 20), rng=1, units="reduced", moment=2.0)
    atoms.calc = SpinSumCalculator([UniaxialAnisotropyCalculator(K), ZeemanCalculator((0, 0, h / 2))])
    sampling = MonteCarlo(atoms, kT, rng=np.random.default_rng(2), method=method)
    sampling.run(100)
    seen = []
    sampling.attach(lambda: seen.append([np.mean(atoms.spins[:, 2] ** k) for k in (1, 2)]), 1)
    sampling.run(600)

    def mean(power: int) -> float:
        def weight(z: float) -> float:
            return np.exp((K * z**2 + h * z) / kT)

        return quad(lambda z: z**power * weight(z), -1, 1)[0] / quad(weight, -1, 1)[0]

    assert np.mean(seen, axis=0) == pytest.approx([mean(1), mean(2)], abs=0.006)


def test_every_kind_of_term_is_sampled_with_its_own_energy() -> None:
    """The sampler's energy follows the calculator's for a model with everything in it, also with frozen spins."""
    terms = [
        HeisenbergCalculator([0.7, -0.2]),
        DMICalculator([0.3]),
        BiquadraticCalculator([0.2]),
        UniaxialAnisotropyCalculator(0.2, (1, 1, 0)),
        CubicAnisotropyCalculator(-0.3),
        ZeemanCalculator((0.1, 0, 0.2)),
    ]
    atoms = SpinAtoms.lattice("triangular", (4, 4), rng=3, units="reduced")
    atoms.calc = SpinSumCalculator(terms, [1.0, 0.5, 1.0, 1.0, 2.0, 1.0])
    sampler = make_sampler(local_model_of(atoms))
    difference = atoms.get_potential_energy() - sampler.energy(atoms.spins)
    before = get_moments(atoms)
    sampling = MonteCarlo(atoms, 0.3, rng=np.random.default_rng(2), frozen=[2, 7], over_relaxation=1)
    for _ in range(5):
        sampling.run(3)
        assert atoms.get_potential_energy() - sampler.energy(atoms.spins) == pytest.approx(difference, abs=1e-10)
    np.testing.assert_array_equal(get_moments(atoms)[[2, 7]], before[[2, 7]])
    assert np.abs(get_moments(atoms) - before).max() > 0.1


def test_over_relaxation_keeps_the_energy_of_bilinear_models() -> None:
    atoms = chain(30, [HeisenbergCalculator([1.0]), DMICalculator([0.4])], periodic=True)
    sampler, spins = make_sampler(local_model_of(atoms)), atoms.spins.copy()
    before = sampler.energy(spins)
    for _ in range(10):
        sampler.sweep(spins, np.ones(30, dtype=bool), 1e-9, 2, 0.0, np.random.default_rng(1))
    assert sampler.energy(spins) == pytest.approx(before, abs=1e-10)
    assert np.abs(spins - atoms.spins).max() > 0.5


def test_annealing_finds_the_order_of_a_triangular_antiferromagnet() -> None:
    atoms = SpinAtoms.lattice("triangular", (6, 6), rng=5, units="reduced")
    atoms.calc = HeisenbergCalculator([-1.0])
    assert simulated_annealing(atoms, 1.0, 1e-4, 1500, np.random.default_rng(1)) / 36 == pytest.approx(-1.5, abs=2e-3)
    with pytest.raises(ModelError, match="two positive temperatures"):
        simulated_annealing(atoms, 1.0, 0.0, 10, np.random.default_rng(1))


def test_tempering_crosses_a_barrier_that_stops_a_single_run() -> None:
    """Ten strongly coupled spins with an easy axis at kT far below the barrier: up and down must come out equal."""
    atoms = chain(10, [HeisenbergCalculator([4.0]), UniaxialAnisotropyCalculator(1.0)])
    atoms.spins = [0, 0, 1]
    cold = MonteCarlo(atoms, 0.3, rng=np.random.default_rng(1))
    signs = []
    cold.attach(lambda: signs.append(np.sign(atoms.spins[:, 2].sum())), 10)
    cold.run(2000)
    assert np.mean(signs) == 1.0
    result = parallel_tempering(
        atoms,
        0.3 * 1.45 ** np.arange(9),
        3000,
        np.random.default_rng(2),
        thermalize=200,
        observe=lambda spins: spins[:, 2].mean(),
    )
    assert result.exchanges.min() > 0.2
    assert abs(np.mean(np.sign(result.observed[:, 0]))) < 0.35
    assert np.abs(result.observed[:, 0]).mean() > 0.8
    assert np.all(np.diff(result.energies.mean(axis=0)) > 0)
    np.testing.assert_allclose(atoms.spins, result.spins[0], atol=1e-12)


def test_tempered_energies_are_fishers_at_every_temperature() -> None:
    atoms = chain(40, [HeisenbergCalculator([1.0])])
    kT = np.array([0.3, 0.5, 0.8])
    result = parallel_tempering(atoms, kT, 4000, np.random.default_rng(3), thermalize=200, over_relaxation=1)
    expected = [-39 * langevin(1 / t) for t in kT]
    assert result.energies.mean(axis=0) == pytest.approx(expected, rel=0.01)


def test_restart_to_the_last_bit_and_ramps() -> None:
    def driver(atoms: SpinAtoms) -> MonteCarlo:
        return MonteCarlo(atoms, Ramp(1.0, 0.2, 20), rng=np.random.default_rng(4), method="metropolis")

    def magnet() -> SpinAtoms:
        atoms = chain(12, [HeisenbergCalculator([1.0]), ZeemanCalculator((0.1, 0.2, 0.3))])
        atoms.moments = 2.2 * atoms.moments  # lengths with round-off
        return atoms

    whole = magnet()
    driver(whole).run(20)
    single = magnet()
    steps = driver(single)
    for _ in range(20):
        steps.run(1)
    assert np.array_equal(get_moments(single), get_moments(whole))
    cut, other = magnet(), magnet()
    first = driver(cut)
    first.run(7)
    second = driver(other)
    second.restore_state(first.checkpoint_state())
    second.run(13)
    assert np.array_equal(get_moments(other), get_moments(whole))


@pytest.mark.parametrize(
    ("calc", "error", "message"),
    [
        (DipoleCalculator(1.0), ModelError, r"no cheap local energies.*sample all at once \(HybridMonteCarlo\)"),
        (Pairs(ring(8)), ModelError, "no cheap local energies"),
        (
            SpinSumCalculator([HeisenbergCalculator([1.0]), SlonczewskiCalculator((0, 0, 1), 0.1)]),
            NotConservativeError,
            "driven",
        ),
    ],
)
def test_what_cannot_be_sampled_is_refused(calc: object, error: type[Exception], message: str) -> None:
    atoms = SpinAtoms.lattice("cubic", (11, 11, 9), rng=1, units="reduced")
    atoms.calc = calc
    with pytest.raises(error, match=message):
        MonteCarlo(atoms, 0.1, rng=np.random.default_rng(1))


def test_bad_options() -> None:
    atoms = chain(4, [HeisenbergCalculator([1.0])])
    rng = np.random.default_rng(1)
    with pytest.raises(ModelError, match="'heat-bath' or 'metropolis', got 'wolff'"):
        MonteCarlo(atoms, 0.1, rng=rng, method="wolff")
    with pytest.raises(ModelError, match="needs a random generator"):
        MonteCarlo(atoms, 0.1, rng=None)
    with pytest.raises(ModelError, match="got 'foo'"):
        parallel_tempering(atoms, [0.1], 1, rng, method="foo")
    with pytest.raises(ModelError, match="positive temperature"):
        MonteCarlo(atoms, 0.0, rng=rng).run(1)
    with pytest.raises(ModelError, match="positive temperatures"):
        parallel_tempering(atoms, [0.1, -1.0], 1, rng)


@pytest.mark.parametrize("temperatures", [[], [0.1, 0.0], [0.1, np.nan], 0.1])
def test_tempering_needs_temperatures(temperatures: object) -> None:
    atoms = SpinAtoms.lattice("square", (2, 2), units="reduced")
    atoms.calc = HeisenbergCalculator([1.0])
    with pytest.raises(ModelError, match="parallel tempering needs positive temperatures, got"):
        parallel_tempering(atoms, temperatures, 1, 1)  # type: ignore[arg-type]
