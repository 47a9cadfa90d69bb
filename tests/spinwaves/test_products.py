"""Magnons of products of four spins: pairs they amount to in a ferromagnet, and differences of fields, also of spirals."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import (
    FourSpinCalculator,
    HeisenbergCalculator,
    ProductTableCalculator,
    RingExchangeCalculator,
    SpinSumCalculator,
    ThreeSiteCalculator,
)
from spinase.classical import ProductTable
from spinase.errors import ModelError
from spinase.spinwaves import Spiral, classical_hessian, difference_hessian, magnon_bands

REDUCED = np.array([[1 / 6, 2 / 6, 0], [3 / 6, 0, 0], [1 / 6, 1 / 6, 0], [-1 / 6, 2 / 6, 0]])


def waves(atoms: SpinAtoms) -> np.ndarray:
    return 2.0 * np.pi * REDUCED @ np.linalg.inv(atoms.cell.array).T


@pytest.mark.parametrize(("lattice", "term", "pairs"), [
    ("square", RingExchangeCalculator(0.1), [0.2, -0.1]),
    ("triangular", ThreeSiteCalculator(0.1), [0.4]),
])  # fmt: skip
def test_ferromagnets_see_pairs(lattice: str, term: object, pairs: list[float]) -> None:
    """(ab)(cd) is (ab) + (cd) - 1 to second order; bonds are in two plaquettes or (twice) two triangles, diagonals one."""
    atoms = SpinAtoms.lattice(lattice, (1, 1), units="reduced", texture="ferro")
    atoms.calc = SpinSumCalculator([HeisenbergCalculator([1.0]), term])
    found = magnon_bands(classical_hessian(atoms), waves(atoms)).energies
    atoms.calc = HeisenbergCalculator([1.0 + pairs[0], *pairs[1:]])
    np.testing.assert_allclose(found, magnon_bands(classical_hessian(atoms), waves(atoms)).energies, rtol=1e-12)


def test_a_twisted_magnet_of_two_sublattices() -> None:
    """Canted spins with a table of products, sites of one product in one cell twice: against differences of fields."""
    cell, places = np.diag([1.0, 1.0, 5.0]), np.array([[0.0, 0, 0], [0.5, 0.5, 0]])
    sites = np.array([[0, 1, 0, 0], [0, 1, 1, 0], [1, 0, 1, 1]])
    shifts = np.array([
        [[0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]],
        [[0, 0, 0], [0, 0, 0], [-1, 0, 0], [0, 0, 0]],
        [[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]],
    ])  # fmt: skip
    table = ProductTable(places, cell, sites, shifts, np.array([0.2, -0.3, 0.15]))
    atoms = SpinAtoms("Fe2", positions=places, cell=cell, pbc=(True, True, False), units="reduced")
    angle = 0.7
    atoms.spins = np.array([[np.sin(angle), 0, np.cos(angle)], [-np.sin(angle), 0, np.cos(angle)]])
    calc = SpinSumCalculator([HeisenbergCalculator([1.0, -0.4]), ProductTableCalculator(table)])
    atoms.calc = calc
    large = atoms.repeat((6, 6, 1))
    large.calc = calc
    q = waves(atoms)
    exact, differences = classical_hessian(atoms, tolerance=9.0), difference_hessian(large, (6, 6, 1), tolerance=9.0)
    np.testing.assert_allclose(exact.at(q), differences.at(q), atol=1e-6)
    assert np.abs(exact.at(q).imag).max() > 0.1


def test_a_spiral_of_loops() -> None:
    """120-degree order of one turning site, against a supercell of whole turns."""
    atoms = SpinAtoms.lattice("triangular", (1, 1), units="reduced")
    atoms.spins = [[1.0, 0, 0]]
    calc = SpinSumCalculator([HeisenbergCalculator([-1.0]), RingExchangeCalculator(0.02), ThreeSiteCalculator(-0.02)])
    atoms.calc = calc
    Q = 2.0 * np.pi * np.array([1 / 3, 1 / 3, 0]) @ np.linalg.inv(atoms.cell.array).T
    spiral = Spiral(Q, (0, 0, 1))
    large = SpinAtoms.lattice("triangular", (6, 6), units="reduced")
    phase = large.positions @ Q
    large.spins = np.stack([np.cos(phase), np.sin(phase), 0 * phase], axis=1)
    large.calc = calc
    exact, differences = classical_hessian(atoms, spiral), difference_hessian(large, (6, 6, 1), spiral)
    np.testing.assert_allclose(exact.at(waves(atoms)), differences.at(waves(atoms)), atol=1e-6)
    without = SpinSumCalculator([HeisenbergCalculator([-1.0])])
    atoms.calc = without
    assert np.abs(exact.at(waves(atoms)) - classical_hessian(atoms, spiral).at(waves(atoms))).max() > 0.1


def test_listed_products_have_no_cells() -> None:
    atoms = SpinAtoms.lattice("square", (2, 2), units="reduced", texture="ferro")
    atoms.calc = FourSpinCalculator([(0, 1, 2, 3)], [0.1])
    with pytest.raises(ModelError, match="FourSpinCalculator is no sum .* no form for a repeated cell.*difference_hessian"):
        classical_hessian(atoms)
