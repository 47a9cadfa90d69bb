"""Magnons of electrons by differences of their fields: closed form, normal modes of the whole magnet, other solvers."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import EDCalculator, LatticeCalculator, RationalCalculator, teacher_of
from spinase.electrons import SDModel, ShellHopping
from spinase.hooks import supercell_calculator
from spinase.spinwaves import Spiral, difference_hessian, magnon_bands, spin_waves

SITES, COUPLING, KT = 8, 1.7, 0.1


def model(**occupation: float) -> SDModel:
    return SDModel(hopping=ShellHopping([1.0]), coupling=COUPLING, kT=KT, **(occupation or {"chemical_potential": -2.6}))


def ferromagnet(sites: int = SITES) -> SpinAtoms:
    return SpinAtoms.lattice("chain", (sites,), units="reduced", texture="ferro")


def closed_form(q: float) -> float:
    """Phi(q) = J m - 2 J^2 chi(q), m = n_up - n_down and chi(q) = 1/N sum (f_k,up - f_k+q,down)/(e_k+q,down - e_k,up)."""
    k = 2 * np.pi * np.arange(SITES) / SITES

    def level(k: np.ndarray, spin: float) -> np.ndarray:
        return np.asarray(-2 * np.cos(k) - spin * COUPLING)

    def occupied(energy: np.ndarray) -> np.ndarray:
        return np.asarray(1 / (1 + np.exp((energy + 2.6) / KT)))

    up, down, shifted = level(k, 1), level(k, -1), level(k + q, -1)
    moment = (occupied(up) - occupied(down)).mean()
    bubble = ((occupied(up) - occupied(shifted)) / (shifted - up)).mean()
    return float(COUPLING * moment - 2 * COUPLING**2 * bubble)


def test_the_ferromagnetic_metal_has_its_closed_form() -> None:
    """Second-order perturbation theory on the k-points of the supercell: exact at the wavevectors that fit it."""
    supercell = ferromagnet()
    supercell.calc = EDCalculator(model())
    hessian = difference_hessian(supercell, (SITES, 1, 1))
    q = 2 * np.pi * np.arange(SITES) / SITES
    found = magnon_bands(hessian, q[:, None] * [1.0, 0, 0]).frequencies[:, 0]
    np.testing.assert_allclose(found, [closed_form(value) for value in q], atol=1e-6)
    assert found.max() > 0.05
    assert 0.0 < hessian.range_error < 0.1 * found.max()


def test_bands_at_fitting_wavevectors_are_the_normal_modes() -> None:
    """Of two sites a cell; the dense and the rational solver give the same bands; filling is fixed, not mu."""
    supercell = ferromagnet(6)
    waves = 2 * np.pi * np.arange(3)[:, None] / 6 * [1.0, 0, 0]
    supercell.calc = EDCalculator(model(filling=0.2))
    bands = magnon_bands(difference_hessian(supercell, (3, 1, 1)), waves)
    np.testing.assert_allclose(np.sort(bands.frequencies.ravel()), spin_waves(supercell).frequencies, atol=1e-6)
    supercell.calc = RationalCalculator(model(filling=0.2), 1e-6)
    rational = magnon_bands(difference_hessian(supercell, (3, 1, 1)), waves)
    np.testing.assert_allclose(rational.frequencies, bands.frequencies, atol=1e-4)


def test_k_points_are_folded_into_the_supercell() -> None:
    """A cell with k-points, and a supercell as large as the mesh: the same electrons, and a coarser range."""
    cell = ferromagnet(1)
    cell.calc = EDCalculator(model(), kpts=(SITES, 1, 1))
    supercell = cell.repeat((4, 1, 1))
    supercell.calc = supercell_calculator(cell.calc, (4, 1, 1))
    hessian = difference_hessian(supercell, (4, 1, 1))
    assert supercell_calculator(cell.calc, (3, 1, 1)) is None
    found = magnon_bands(hessian, [[np.pi / 2, 0, 0]]).frequencies[0, 0]
    large = ferromagnet()
    large.calc = EDCalculator(model())
    expected = magnon_bands(difference_hessian(large, (SITES, 1, 1)), [[np.pi / 2, 0, 0]]).frequencies[0, 0]
    assert found == pytest.approx(expected, abs=0.02)  # its one k-point set holds two of the large one's wavevectors


def test_a_learned_magnet_has_the_bands_of_its_electrons() -> None:
    """120-degree order of an s-d metal; a box of 12 x 12 sites agrees to 0.4 % of the highest band, this one to 2.6 %."""
    side, spiral = 9, Spiral((4 * np.pi / 3, 0, 0), (0, 0, 1))
    learned = SpinAtoms.lattice("triangular", (side, side), units="reduced", texture="120-degree")
    learned.calc = LatticeCalculator.shipped("triangular-120")
    electrons = learned.copy()
    electrons.calc = teacher_of("triangular-120")
    vectors = 2 * np.pi * learned.cell.reciprocal()[:2]  # wavevectors that fit the supercell, none of order or gauge
    waves = np.array([(1, 0), (2, 1), (3, 0), (3, 3), (4, 2), (4, 0)]) @ vectors
    found, expected = (magnon_bands(difference_hessian(one, (side, side, 1), spiral), waves) for one in (learned, electrons))
    assert expected.frequencies.max() > 0.15
    np.testing.assert_allclose(found.frequencies, expected.frequencies, atol=0.04 * expected.frequencies.max())
