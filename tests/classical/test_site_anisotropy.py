"""Second constants and axes of single sites: differences, books' constants, sampling, regions, magnons, random axes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from spinase import SpinAtoms
from spinase.calculators import (
    CubicAnisotropyCalculator,
    HeisenbergCalculator,
    RandomAxes,
    SiteAnisotropyCalculator,
    SiteCubicCalculator,
    SpinSumCalculator,
    ZeemanCalculator,
)
from spinase.calculators import UniaxialAnisotropyCalculator as Uniaxial
from spinase.calculators.site_anisotropy import SiteAnisotropyConfig, SiteCubicConfig
from spinase.classical import SiteAnisotropy, UniaxialAnisotropy
from spinase.classical.sampling import HEAT_BATH, METROPOLIS, make_sampler
from spinase.contract import local_energy, local_model_of
from spinase.errors import InvalidGeometryError, ModelError
from spinase.spin_algebra import random_spins
from spinase.spinwaves import classical_hessian, difference_hessian, magnon_bands, spin_waves
from spinase.testing import check_local_energy

AXIS = np.array([0.6, 0.0, 0.8])


def magnet(sites: int = 7) -> SpinAtoms:
    return SpinAtoms.lattice("chain", (sites,), rng=2, units="reduced", moment=1.5)


def sites(count: int = 7) -> SiteAnisotropyCalculator:
    rng = np.random.default_rng(5)
    return SiteAnisotropyCalculator(rng.normal(size=count), rng.normal(size=(count, 3)), rng.normal(size=count))


def test_the_field_is_minus_the_gradient_of_the_energy_of_free_vectors() -> None:
    """By differences, for spins of any length: -2 K1 (s.n) n - 4 K2 (s.n)^3 n."""
    spins, lengths = 0.8 * random_spins(7, np.random.default_rng(1)), np.ones(7)
    for term in (UniaxialAnisotropy(0.3, AXIS, -0.7), sites().term.freeze(_geometry(7))):
        field, step = term.gradient(spins, lengths), 1e-5
        for i, a in ((0, 0), (3, 1), (6, 2)):
            moved = [spins.copy(), spins.copy()]
            moved[0][i, a] += step
            moved[1][i, a] -= step
            up, down = (term.energy(one, lengths) for one in moved)
            assert field[i, a] == pytest.approx(-(up - down) / (2 * step), abs=1e-9)


def _geometry(count: int):
    from spinase.atoms import geometry_of

    return geometry_of(magnet(count))


def test_the_constants_of_books_differ_by_a_constant_of_energy() -> None:
    """K1' sin^2 + K2' sin^4 = K1' + K2' + ours with K1 = K1' + 2 K2', K2 = -K2'."""
    first, second = 0.4, -0.3
    atoms = magnet(1)
    atoms.calc = Uniaxial(first + 2 * second, (0, 0, 1), fourth_order=-second)
    for angle in np.linspace(0.0, np.pi, 7):
        atoms.spins = [[np.sin(angle), 0.0, np.cos(angle)]]
        book = first * np.sin(angle) ** 2 + second * np.sin(angle) ** 4
        assert atoms.get_potential_energy() + first + second == pytest.approx(book, abs=1e-14)


def test_an_easy_cone_is_where_the_constants_put_it() -> None:
    """K1' sin^2 + K2' sin^4 with K1' < 0 < K2' has its minimum at sin^2 = -K1'/(2 K2')."""
    first, second = -0.3, 0.5
    angle = np.arcsin(np.sqrt(-first / (2 * second)))
    term = UniaxialAnisotropy(first + 2 * second, np.array([0, 0, 1.0]), -second)
    field = term.gradient(np.array([[np.sin(angle), 0, np.cos(angle)]]), np.ones(1))[0]
    assert np.abs(np.cross([np.sin(angle), 0, np.cos(angle)], field)).max() < 1e-14


@pytest.mark.parametrize("kind", [METROPOLIS, HEAT_BATH])
def test_both_constants_are_sampled_as_boltzmann_says(kind: int) -> None:
    """<(s.n)^2> of E = -K1 x^2 - K2 x^4 from a quadrature, each site about its own axis."""
    first, second, kT, count = 0.3, -0.9, 0.3, 900
    axes = RandomAxes(3).of(count)
    model = SiteAnisotropy(np.array(first), np.array(second), axes)._of(np.arange(count), count).local_model(np.ones(count))
    sampler, spins, rng, seen = (
        make_sampler(model),
        random_spins(count, np.random.default_rng(1)),
        np.random.default_rng(2),
        [],
    )
    for sweep in range(120):
        sampler.sweep(spins, np.ones(count, dtype=bool), kT, kind, 1.0, rng)
        if sweep >= 20:
            seen.append(np.mean(np.einsum("ia,ia->i", spins, axes) ** 2))

    def weight(x: float) -> float:
        return np.exp((first * x**2 + second * x**4) / kT)

    expected = quad(lambda x: x**2 * weight(x), -1, 1)[0] / quad(weight, -1, 1)[0]
    assert np.mean(seen) == pytest.approx(expected, abs=0.006)


def test_the_sampler_has_the_energy_of_the_calculator() -> None:
    atoms = magnet()
    atoms.calc = SpinSumCalculator([sites(), HeisenbergCalculator([0.5])], [0.7, 1.0])
    assert make_sampler(local_model_of(atoms)).energy(atoms.spins) == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    atoms.calc = SiteAnisotropyCalculator(0.3, RandomAxes(1), 0.2, species=["Fe"])
    atoms.numbers[2] = 27
    assert make_sampler(local_model_of(atoms)).energy(atoms.spins) == pytest.approx(atoms.get_potential_energy(), rel=1e-12)


def test_regions_have_the_axes_of_the_sites_they_own() -> None:
    atoms = SpinAtoms.lattice("square", (4, 4), rng=2, units="reduced")
    for calc in (sites(16), SiteAnisotropyCalculator(0.3, RandomAxes(4))):
        passed = {result.name for result in check_local_energy(calc, atoms) if result.status == "passed"}
        assert {"regions", "derivatives", "order"} <= passed
    assert local_energy(sites(16), atoms).cutoff == 0.0


def test_random_axes_are_uniform_and_those_of_a_smaller_magnet() -> None:
    axes = RandomAxes(8).of(4000)
    np.testing.assert_array_equal(axes[:50], RandomAxes(8).of(50))
    assert np.abs(axes.mean(axis=0)).max() < 0.03
    np.testing.assert_allclose(axes.T @ axes / 4000, np.eye(3) / 3, atol=0.02)
    assert np.abs(RandomAxes(9).of(50) - axes[:50]).max() > 0.1


def test_the_gap_of_a_ferromagnet_has_both_constants() -> None:
    """hbar omega = 2 (K1 + 2 K2) at q = 0 for spins of length 1 along the axis (hbar = g mu_B/... = 1)."""
    atoms = SpinAtoms.lattice("chain", (1,), units="reduced")
    atoms.spins = [[0, 0, 1.0]]
    atoms.calc = SpinSumCalculator([HeisenbergCalculator([1.0]), Uniaxial(0.2, fourth_order=0.15)])
    assert magnon_bands(classical_hessian(atoms), [[0, 0, 0]]).frequencies[0, 0] == pytest.approx(2 * (0.2 + 0.3))


def test_magnons_of_tilted_spins_are_those_of_differences_of_the_field() -> None:
    """A field along z and an axis aside of it: the spin is between them, where the curvature of (s.n)^4 counts."""
    atoms = SpinAtoms.lattice("chain", (1,), units="reduced")
    terms = [HeisenbergCalculator([1.0]), Uniaxial(0.3, AXIS, fourth_order=0.6), ZeemanCalculator((0, 0, 0.5))]
    atoms.calc = SpinSumCalculator(terms)

    def energy(angle: float) -> float:
        atoms.spins = [[np.sin(angle), 0.0, np.cos(angle)]]
        return float(atoms.get_potential_energy())

    energy(minimize_scalar(energy, bounds=(0.1, 0.6), method="bounded", options={"xatol": 1e-10}).x)
    expected = spin_waves(atoms).frequencies[0]
    assert magnon_bands(classical_hessian(atoms), [[0, 0, 0]]).frequencies[0, 0] == pytest.approx(expected, rel=1e-4)


def test_refusals() -> None:
    with pytest.raises(ModelError, match=r"axes must be finite vectors of all sites, shape \(N, 3\), got shape \(3,\)"):
        SiteAnisotropyCalculator(0.1, (0, 0, 1))
    with pytest.raises(ModelError, match=r"of different numbers of sites: \[2, 3\]"):
        SiteAnisotropyCalculator([0.1, 0.2], np.eye(3))
    with pytest.raises(ModelError, match="strength must be one finite number, or one for each site"):
        SiteAnisotropyCalculator(np.nan, np.eye(3))
    atoms = magnet()
    atoms.calc = sites(6)
    with pytest.raises(InvalidGeometryError, match="constants or axes of 6 sites, the magnet has 7: give one for each site"):
        atoms.get_potential_energy()
    with pytest.raises(ValueError, match="exactly one of axes"):
        SiteAnisotropyConfig(strength=0.1)
    config = SiteAnisotropyConfig(strength=0.1, random_axes=3)
    assert SiteAnisotropyCalculator.from_config(config).term.axes == RandomAxes(3)


def grains(count: int = 7) -> SiteCubicCalculator:
    rng = np.random.default_rng(6)
    return SiteCubicCalculator(rng.normal(size=count), RandomAxes(4).frames(count), rng.normal(size=count))


def test_cubic_axes_of_sites_are_those_of_single_crystals() -> None:
    """Every site alone has the energy and the field of a cubic anisotropy with its axes and constants."""
    atoms, calc = magnet(), grains()
    term = calc.term
    each = [
        CubicAnisotropyCalculator(float(term.strength[i]), term.axes[i], sixth_order=float(term.sixth_order[i]))
        for i in range(7)
    ]
    energies = [one.get_property("energy", atoms[[i]]) for i, one in enumerate(each)]
    assert calc.get_property("energy", atoms) == pytest.approx(sum(energies), rel=1e-12)
    fields = [one.get_property("magnetic_forces", atoms[[i]])[0] for i, one in enumerate(each)]
    np.testing.assert_allclose(calc.get_property("magnetic_forces", atoms), fields, atol=1e-13)
    frames = RandomAxes(4).frames(7)
    np.testing.assert_allclose(np.linalg.det(frames), 1.0)
    np.testing.assert_array_equal(RandomAxes(4).frames(3), frames[:3])


def test_grains_are_sampled_and_have_magnons() -> None:
    """The sampler's energy, and the Hessian of two grains in an applied field against differences of fields."""
    atoms = magnet()
    atoms.calc = SpinSumCalculator([grains(), HeisenbergCalculator([0.5])], [0.7, 1.0])
    assert make_sampler(local_model_of(atoms)).energy(atoms.spins) == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
    cell = SpinAtoms.lattice("chain", (2,), units="reduced", texture="ferro")
    calc = SpinSumCalculator([grains(2), HeisenbergCalculator([1.0])])
    cell.calc = calc
    large = cell.repeat((3, 1, 1))
    large.calc = calc.for_supercell((3, 1, 1))
    waves = [[np.pi / 3, 0, 0], [0, 0, 0]]
    exact, differences = classical_hessian(cell, tolerance=9.0), difference_hessian(large, (3, 1, 1), tolerance=9.0)
    np.testing.assert_allclose(exact.at(waves), differences.at(waves), atol=1e-6)


def test_cube_axes_that_are_none() -> None:
    with pytest.raises(ModelError, match=r"shape \(N, 3, 3\), got shape \(3, 3\)"):
        SiteCubicCalculator(0.1, np.eye(3))
    with pytest.raises(ModelError, match="cube axes must be orthogonal, those of site 1 are"):
        SiteCubicCalculator(0.1, [np.eye(3), np.ones((3, 3)) + np.eye(3)])
    with pytest.raises(ModelError, match=r"strength, sixth_order and axes are of different numbers of sites: \[2, 3\]"):
        SiteCubicCalculator([0.1, 0.2], [np.eye(3)] * 3)
    with pytest.raises(InvalidGeometryError, match="constants or axes of 7 sites, the magnet has 5"):
        grains().get_property("energy", magnet(5))
    with pytest.raises(ValueError, match="give exactly one of axes .three for every site. and random_axes"):
        SiteCubicConfig(strength=0.1)
    config = SiteCubicConfig(strength=0.1, random_axes=3)
    atoms = magnet()
    found = SiteCubicCalculator.from_config(config).get_property("energy", atoms)
    assert found == pytest.approx(SiteCubicCalculator(0.1, RandomAxes(3).frames(7)).get_property("energy", atoms))
