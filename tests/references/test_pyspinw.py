"""Magnon bands of pySpinW: four sublattices with tensors, DMI and anisotropies; its vectors are spins, not moments."""

from __future__ import annotations

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import BondTableCalculator
from spinase.classical import BondTable
from spinase.spinwaves import classical_hessian, magnon_bands

pyspinw = pytest.importorskip("pyspinw", reason="pySpinW is not installed (pip install pyspinw==1.1.0b2)")

CELL = np.array([[3.0, 0.0, 0.0], [0.2, 3.5, 0.0], [0.3, 0.1, 4.0]])  # a along x, b in the plane, as pySpinW has it
PLACES = np.array([[0.0, 0.0, 0.0], [0.5, 0.45, 0.5], [0.5, 0.0, 0.3], [0.1, 0.5, 0.4]])
SPINS = np.full(4, 1.5)  # pySpinW 1.1.0b2 is wrong for unequal ones (findings/pyspinw_unequal_spins.sh)
SIGNS = np.array([1.0, -1.0, 1.0, -1.0])
REDUCED = np.random.default_rng(7).uniform(-0.5, 0.5, size=(8, 3))


def table() -> BondTable:
    """Antiferromagnetic bonds between opposite spins, ferromagnetic ones between equal ones, with DMI and more along z."""
    rng = np.random.default_rng(11)
    first, second = np.array([0, 0, 2, 1, 0, 0, 1, 2]), np.array([1, 3, 1, 2, 2, 0, 3, 3])
    shifts = np.array([[0, 0, 0], [0, -1, 0], [0, 0, 0], [0, 1, -1], [-1, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]])
    exchange = SIGNS[first] * SIGNS[second] * rng.uniform(0.5, 1.5, size=8)
    symmetric = np.array([np.diag(row) for row in rng.uniform(-0.1, 0.1, size=(8, 3))])
    dmi = np.array([[0.0, 0.0, d] for d in rng.uniform(-0.2, 0.2, size=8)])
    tensors = exchange[:, None, None] * np.eye(3) + symmetric + np.cross(dmi[:, None, :], np.eye(3))
    onsite = np.array([np.diag([0.0, 0.1, value]) for value in rng.uniform(0.6, 1.0, size=4)])
    return BondTable(PLACES @ CELL, CELL, first, second, shifts, tensors, onsite)


def of_pyspinw(bonds: BondTable) -> np.ndarray:
    """Energies (m, 4): E = sum over bonds S_i M S_j, each once, and sum S_i A S_i; spins of length S against the moments."""
    cell = pyspinw.UnitCell(*SpinAtoms("Fe", cell=CELL, pbc=True).cell.cellpar())
    sites = [
        pyspinw.Site(*place, 0.0, 0.0, -sign * length, name=name)
        for place, sign, length, name in zip(PLACES, SIGNS, SPINS, "ABCD", strict=True)
    ]
    couplings = [
        pyspinw.exchange.Exchange(sites[i], sites[j], tuple(int(n) for n in shift), -tensor / (SPINS[i] * SPINS[j]))
        for i, j, shift, tensor in zip(bonds.first, bonds.second, bonds.shifts, bonds.tensors, strict=True)
    ]
    own = [pyspinw.Anisotropy(sites[i], -tensor / SPINS[i] ** 2) for i, tensor in enumerate(bonds.onsite)]
    model = pyspinw.Hamiltonian(pyspinw.Structure(sites, cell), couplings, own)
    found, _ = model._energies_and_intensities(REDUCED)
    return np.sort(np.array(found).real, axis=1)[:, 4:]


def test_four_sublattices() -> None:
    """Of equal spins; what it calls q is -q here, which DMI tells."""
    bonds = table()
    atoms = SpinAtoms("Fe4", positions=PLACES @ CELL, cell=CELL, pbc=True, units="reduced")
    atoms.moments = (SPINS * SIGNS)[:, None] * [0.0, 0.0, 1.0]
    atoms.calc = BondTableCalculator(bonds)
    waves = 2.0 * np.pi * REDUCED @ np.linalg.inv(CELL).T
    found = of_pyspinw(bonds)
    np.testing.assert_allclose(magnon_bands(classical_hessian(atoms), -waves).frequencies, found, rtol=1e-8)
    assert np.abs(magnon_bands(classical_hessian(atoms), waves).frequencies / found - 1.0).max() > 0.02
