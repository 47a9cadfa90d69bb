"""Magnon bands of TB2J, from the folder that is written for it: square and bcc ferromagnets, DMI, four sublattices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import BondTableCalculator, EDCalculator
from spinase.classical import BondTable
from spinase.electrons import SDModel, ShellHopping
from spinase.io.exchange import read_tb2j, write_tb2j
from spinase.spinwaves import classical_hessian, magnon_bands
from spinase.typing import FloatArray

magnon3 = pytest.importorskip("TB2J.magnon.magnon3", reason="TB2J is not installed (pip install TB2J==0.9.22)")
io_exchange = pytest.importorskip("TB2J.io_exchange")

REDUCED = np.random.default_rng(2).uniform(-0.5, 0.5, size=(7, 3))
NONE = np.zeros(1)


def one_site(cell: FloatArray, shifts: list[list[int]], dmi: FloatArray, onsite: FloatArray) -> tuple[BondTable, SpinAtoms]:
    """J of 10 meV along the bonds (half of the directions), with D (b, 3), eV; moments of 2.2 along z."""
    count = len(shifts)
    tensors = 0.01 * np.tile(np.eye(3), (count, 1, 1)) + np.cross(dmi[:, None, :], np.eye(3))
    none = np.zeros(count, dtype=np.int64)
    table = BondTable(np.zeros((1, 3)), cell, none, none, np.array(shifts), tensors, onsite[None])
    return table, SpinAtoms("Fe", positions=[[0, 0, 0]], cell=cell, pbc=True, units="metal", moments=[[0, 0, 2.2]])


def four_sites() -> tuple[BondTable, SpinAtoms]:
    """An antiferromagnet of unequal moments with DMI, tensors and anisotropies, whose state is along z."""
    rng = np.random.default_rng(11)
    cell = np.array([[3.0, 0.2, 0.0], [0.0, 3.5, 0.1], [0.3, 0.0, 4.0]])
    places = np.array([[0.0, 0.0, 0.0], [0.5, 0.45, 0.5], [0.5, 0.0, 0.3], [0.1, 0.5, 0.4]])
    signs = np.array([1.0, -1.0, 1.0, -1.0])
    first, second = np.array([0, 0, 2, 1, 0, 0, 1, 2]), np.array([1, 3, 1, 2, 2, 0, 3, 3])
    shifts = np.array([[0, 0, 0], [0, -1, 0], [0, 0, 0], [0, 1, -1], [-1, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]])
    exchange = signs[first] * signs[second] * rng.uniform(5e-3, 15e-3, size=8)
    symmetric = np.array([np.diag(row) for row in rng.uniform(-1e-3, 1e-3, size=(8, 3))])
    dmi = np.array([[0.0, 0.0, d] for d in rng.uniform(-2e-3, 2e-3, size=8)])
    tensors = exchange[:, None, None] * np.eye(3) + symmetric + np.cross(dmi[:, None, :], np.eye(3))
    onsite = np.array([np.diag([0.0, 1e-3, k]) for k in rng.uniform(6e-3, 10e-3, size=4)])
    moments = (np.array([2.0, 3.0, 2.0, 4.0]) * signs)[:, None] * [0.0, 0.0, 1.0]
    atoms = SpinAtoms("FeCo2Mn", positions=places @ cell, cell=cell, pbc=True, units="metal", moments=moments)
    return BondTable(places @ cell, cell, first, second, shifts, tensors, onsite), atoms


def magnets(name: str) -> tuple[BondTable, SpinAtoms]:
    """Those of the module's first line."""
    axes, along = [[1, 0, 0], [0, 1, 0]], np.diag([0.0, 0.0, 1e-3])
    if name == "square":
        return one_site(np.diag([2.5, 2.5, 10.0]), axes, np.zeros((2, 3)), np.zeros((3, 3)))
    if name == "bcc":
        cell = 1.43 * np.array([[-1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])
        shifts = [*axes, [0, 0, 1], [1, 1, 1]]
        return one_site(cell, shifts, np.zeros((4, 3)), 2.0 * along)
    if name == "twisted":
        return one_site(np.diag([2.5, 2.5, 10.0]), axes, np.array([[0, 0, 2e-3], [0, 0, -1e-3]]), along)
    return four_sites()


def of_tb2j(folder: Path, parts: bool = True) -> FloatArray:
    """Its energies at REDUCED, (m, n), eV, of the pickle in a folder."""
    model = io_exchange.SpinIO.load_pickle(str(folder))
    waves = magnon3.Magnon.load_from_io(model, Jiso=True, Jani=parts, DMI=parts, SIA=parts)
    waves.set_reference([0, 0, 0], np.array([[0.0, 0.0, 1.0]]), [1, 0, 0], waves.magmom)
    return np.sort(waves._magnon_energies(REDUCED), axis=1)


@pytest.mark.parametrize("name", ["square", "bcc", "twisted", "four"])
def test_bands(name: str, tmp_path: Path) -> None:
    """TB2J takes moments for spins along them; a moment is against its spin, which exchanges q and -q."""
    table, atoms = magnets(name)
    write_tb2j(tmp_path, table, atoms)
    atoms.calc = BondTableCalculator(table, units="metal")
    waves = 2.0 * np.pi * REDUCED @ np.linalg.inv(atoms.cell.array).T
    found = of_tb2j(tmp_path)
    np.testing.assert_allclose(magnon_bands(classical_hessian(atoms), -waves).energies, found, rtol=1e-8)
    if name in ("twisted", "four"):
        assert np.abs(magnon_bands(classical_hessian(atoms), waves).energies / found - 1.0).max() > 0.02
        assert np.abs(of_tb2j(tmp_path, parts=False) / found - 1.0).max() > 0.02


def test_what_tb2j_prints_of_our_folder_is_read(tmp_path: Path) -> None:
    """Its own exchange.out (four decimals of meV, three of J_ani) and xml (six digits), beside what was written."""
    table, atoms = four_sites()
    write_tb2j(tmp_path / "ours", table, atoms)
    theirs = io_exchange.SpinIO.load_pickle(str(tmp_path / "ours"))
    theirs.write_txt(path=str(tmp_path / "theirs"))
    theirs.write_multibinit(path=str(tmp_path / "theirs" / "Multibinit"))
    ours, _ = read_tb2j(tmp_path / "ours" / "exchange.out")
    for name, limit in (("exchange.out", 1.5e-6), ("Multibinit/exchange.xml", 1e-7)):
        found, sites = read_tb2j(tmp_path / "theirs" / name)
        np.testing.assert_array_equal(found.shifts, ours.shifts)
        np.testing.assert_allclose(found.tensors, ours.tensors, atol=limit)
        np.testing.assert_allclose(sites.positions, atoms.positions, atol=1e-4)
    np.testing.assert_allclose(read_tb2j(tmp_path / "theirs" / "exchange.out")[0].onsite, table.onsite, atol=1e-9)


def test_exchange_of_electrons(tmp_path: Path) -> None:
    """A square s-d ferromagnet, t = 0.5 eV; TB2J halves moments (2 mu_B are S = 1, |m| = 1 is hbar in reduced units)."""
    atoms = SpinAtoms.lattice("square", (1, 1), units="reduced", texture="ferro")
    model = SDModel(ShellHopping([1.0]), coupling=2.0, filling=0.2, kT=0.1)
    table = EDCalculator(model, kpts=(7, 7, 1)).exchange_tensors(atoms, cutoff=2.1).table()
    atoms.calc = BondTableCalculator(table, units="reduced")
    waves = 2.0 * np.pi * REDUCED * [1.0, 1.0, 0.0] @ np.linalg.inv(table.cell).T
    bands = magnon_bands(classical_hessian(atoms), waves).energies
    write_tb2j(tmp_path, table, atoms, energy=0.5, length=3.0)
    np.testing.assert_allclose(of_tb2j(tmp_path), 2.0 * 0.5 * bands, rtol=1e-8)
