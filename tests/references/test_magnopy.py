"""Magnon bands of magnopy: four sublattices with tensors, DMI and anisotropies; its vectors are spins, not moments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import BondTableCalculator
from spinase.classical.tensor import BondTable
from spinase.io.exchange import write_tb2j
from spinase.spinwaves import classical_hessian, magnon_bands

magnopy = pytest.importorskip("magnopy", reason="magnopy is not installed (extra oracles)")

CELL = np.array([[3.0, 0.2, 0.0], [0.0, 3.5, 0.1], [0.3, 0.0, 4.0]])
PLACES = np.array([[0.0, 0.0, 0.0], [0.5, 0.45, 0.5], [0.5, 0.0, 0.3], [0.1, 0.5, 0.4]])
SPINS = np.array([1.0, 1.5, 1.0, 2.0])
SIGNS = np.array([1.0, -1.0, 1.0, -1.0])
WAVES = np.random.default_rng(7).normal(size=(8, 3))


def table() -> BondTable:
    """Antiferromagnetic bonds between opposite spins, ferromagnetic ones between equal ones, with DMI and more along z."""
    rng = np.random.default_rng(11)
    first = np.array([0, 0, 2, 1, 0, 0, 1, 2])
    second = np.array([1, 3, 1, 2, 2, 0, 3, 3])
    shifts = np.array([[0, 0, 0], [0, -1, 0], [0, 0, 0], [0, 1, -1], [-1, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]])
    tensors = []
    for i, j in zip(first, second, strict=True):
        exchange = SIGNS[i] * SIGNS[j] * rng.uniform(0.5, 1.5)
        symmetric = np.diag(rng.uniform(-0.1, 0.1, size=3))
        tensors.append(exchange * np.eye(3) + symmetric + np.cross([0.0, 0.0, rng.uniform(-0.2, 0.2)], np.eye(3)))
    onsite = np.array([np.diag([0.0, 0.1, value]) for value in rng.uniform(0.6, 1.0, size=4)])
    return BondTable(PLACES @ CELL, CELL, first, second, shifts, np.array(tensors), onsite)


def test_four_sublattices() -> None:
    """A moment is against its spin: theirs point along minus s (with s along the spins q and -q are exchanged)."""
    bonds = table()
    atoms = SpinAtoms("Fe4", positions=PLACES @ CELL, cell=CELL, pbc=True, units="reduced")
    atoms.moments = (SPINS * SIGNS)[:, None] * [0.0, 0.0, 1.0]
    atoms.calc = BondTableCalculator(bonds)
    bands = magnon_bands(classical_hessian(atoms), WAVES)
    convention = magnopy.Convention(multiple_counting=False, spin_normalized=True, c21=-1, c22=-1)
    sites = {"names": list("ABCD"), "positions": PLACES, "spins": SPINS, "g_factors": [2.0] * 4}
    model = magnopy.SpinHamiltonian(CELL, sites, convention)
    for i, j, shift, tensor in zip(bonds.first, bonds.second, bonds.shifts, bonds.tensors, strict=True):
        model.add(nus=[tuple(int(n) for n in shift)], alphas=[int(i), int(j)], parameter=tensor)
    for i, tensor in enumerate(bonds.onsite):
        model.add(nus=[(0, 0, 0)], alphas=[i, i], parameter=tensor)
    waves = magnopy.LSWT(model, -SIGNS[:, None] * [[0.0, 0.0, 1.0]])
    found = np.sort([waves.omega(wave).real for wave in WAVES], axis=1)
    np.testing.assert_allclose(bands.frequencies, found, rtol=1e-8)
    mirrored = magnon_bands(classical_hessian(atoms), -WAVES).frequencies
    assert np.abs(mirrored - bands.frequencies).max() > 0.1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # magnopy leaves the file open
def test_magnopy_reads_the_text_written_for_tb2j(tmp_path: Path) -> None:
    """``exchange.out``; magnopy leaves its single-ion anisotropies out, so the table has none, and J of an easy axis."""
    bonds = table()
    signs = SIGNS[bonds.first] * SIGNS[bonds.second]
    easy = bonds.tensors + 0.3 * signs[:, None, None] * np.diag([0.0, 0.0, 1.0])
    bonds = replace(bonds, onsite=np.zeros((4, 3, 3)), tensors=easy)
    atoms = SpinAtoms("Fe4", positions=PLACES @ CELL, cell=CELL, pbc=True, units="metal")
    atoms.moments = 2.0 * (SPINS * SIGNS)[:, None] * [0.0, 0.0, 1.0]
    atoms.calc = BondTableCalculator(bonds, units="metal")
    write_tb2j(tmp_path, bonds, atoms)
    model = magnopy.io.load_tb2j(str(tmp_path / "exchange.out"))
    waves = magnopy.LSWT(model, -SIGNS[:, None] * [[0.0, 0.0, 1.0]])
    found = np.sort([waves.omega(wave).real for wave in WAVES], axis=1)  # meV
    np.testing.assert_allclose(1e3 * magnon_bands(classical_hessian(atoms), WAVES).energies, found, rtol=1e-6)
