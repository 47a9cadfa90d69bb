"""Tables written for TB2J, UppASD and Vampire, read back by readers that are held to those programs' own energies."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.atoms import get_moments
from spinase.calculators import BondTableCalculator
from spinase.classical import BondTable
from spinase.errors import InputError
from spinase.io.exchange import read_tb2j, read_uppasd, read_vampire, write_tb2j, write_uppasd, write_vampire
from spinase.io.exchange.uppasd_kfile import kfile_lines
from spinase.spin_algebra import normalized


def magnet(kinds: str, sheared: bool) -> tuple[BondTable, SpinAtoms]:
    """Three sites in a cell, with J, J and D, or whole tensors; pairs of a site with its own images, too."""
    rng = np.random.default_rng(4)
    cell = np.diag([4.0, 5.0, 6.0]) + (np.triu(rng.normal(size=(3, 3)), 1) if sheared else 0.0)
    positions = np.array([[0.1, 0.2, 0.3], [0.6, 0.3, 0.1], [0.4, 0.8, 0.7]]) @ cell
    first, second = np.array([0, 0, 1, 2, 0]), np.array([1, 2, 2, 2, 1])
    shifts = np.array([[0, 0, 0], [1, 0, 0], [0, -1, 0], [0, 0, 1], [-1, 0, 0]])
    tensors = rng.normal(scale=1e-2, size=(5, 3, 3))
    if kinds != "tensors":
        tensors = 0.5 * (tensors - tensors.transpose(0, 2, 1)) * (kinds == "twisted") + tensors[:, :1, :1] * np.eye(3)
    moments = normalized(rng.normal(size=(3, 3))) * np.array([[1.0], [2.0], [0.5]])
    atoms = SpinAtoms("Fe3", positions=positions, cell=cell, pbc=True, units="metal", moments=moments)
    return BondTable(positions, cell, first, second, shifts, tensors), atoms


def energies(table: BondTable, atoms: SpinAtoms, scale: float = 1.0) -> np.ndarray:
    """Of random spins on a doubled cell, in an order of its own."""
    rng, found = np.random.default_rng(5), []
    large = SpinAtoms(atoms.repeat((2, 2, 2)))
    large.set_positions(scale * large.positions)
    large.set_cell(scale * large.cell.array)
    large.calc = BondTableCalculator(table, units="metal")
    for _ in range(3):
        large.spins = rng.normal(size=(len(large), 3))
        found.append(large.get_potential_energy())
    return np.array(found)


@pytest.mark.parametrize("kinds", ["isotropic", "twisted", "tensors"])
def test_uppasd_reads_the_same_energies(kinds: str, tmp_path: Path) -> None:
    table, atoms = magnet(kinds, sheared=True)
    path = write_uppasd(tmp_path / "out", table, atoms)
    found, sites = read_uppasd(path)
    assert (tmp_path / "out" / "dmfile").exists() == (kinds == "twisted")
    np.testing.assert_allclose(get_moments(sites), get_moments(atoms), atol=1e-9)
    np.testing.assert_allclose(energies(found, atoms), energies(table, atoms), rtol=1e-9)


@pytest.mark.parametrize("kinds", ["isotropic", "twisted", "tensors"])
def test_vampire_reads_the_same_energies(kinds: str, tmp_path: Path) -> None:
    table, atoms = magnet(kinds, sheared=False)
    write_vampire(tmp_path / "fe.ucf", table, atoms)
    found, _ = read_vampire(tmp_path / "fe.ucf")
    np.testing.assert_allclose(energies(found, atoms), energies(table, atoms), rtol=1e-9)


def test_vampire_has_all_sites_within_the_cell(tmp_path: Path) -> None:
    """It refuses others: sites that have left the cell are written where they would have come in, their bonds go along."""
    table, atoms = magnet("tensors", sheared=False)
    away = np.array([[1, -2, 0], [0, 0, 3], [-4, 0, 1]])
    shifts = table.shifts - away[table.second] + away[table.first]
    wandered = replace(table, positions=table.positions + away @ table.cell, shifts=shifts)
    atoms.positions = wandered.positions
    write_vampire(tmp_path / "fe.ucf", wandered, atoms)
    sites = [line.split() for line in (tmp_path / "fe.ucf").read_text().splitlines()[8:11]]
    np.testing.assert_allclose([[float(x) for x in row[1:4]] for row in sites], table.positions / np.diag(table.cell))
    found, _ = read_vampire(tmp_path / "fe.ucf")
    np.testing.assert_allclose(energies(found, atoms), energies(wandered, atoms), rtol=1e-9)


def with_anisotropy(table: BondTable) -> BondTable:
    """Symmetric on-site tensors on two of the three sites."""
    rough = np.random.default_rng(6).normal(scale=1e-3, size=(3, 3, 3)) * np.array([1.0, 0.0, 1.0])[:, None, None]
    return replace(table, onsite=rough + rough.transpose(0, 2, 1))


@pytest.mark.parametrize("kinds", ["isotropic", "twisted", "tensors"])
def test_tb2j_reads_the_same_energies(kinds: str, tmp_path: Path) -> None:
    """The text has eight decimals of meV, the xml all digits."""
    table, atoms = magnet(kinds, sheared=True)
    table = with_anisotropy(table)
    folder = write_tb2j(tmp_path / "TB2J_results", table, atoms)
    for name, limit in (("exchange.out", 1e-8), ("Multibinit/exchange.xml", 1e-12)):
        found, sites = read_tb2j(folder / name)
        np.testing.assert_allclose(energies(found, atoms), energies(table, atoms), atol=limit)
        np.testing.assert_allclose(get_moments(sites), get_moments(atoms), atol=1e-8)


def test_tb2js_pickle_has_both_directions_of_half_the_couplings(tmp_path: Path) -> None:
    """E = -sum over all i, j, R of s_i.(J + A + D) s_j - sum s_i.A_i s_i, by hand on one cell, in other units."""
    table, atoms = magnet("tensors", sheared=True)
    table = with_anisotropy(table)
    write_tb2j(tmp_path, table, atoms, energy=0.5, length=3.0)
    content = pickle.loads((tmp_path / "TB2J.pickle").read_bytes())
    spins, total = normalized(np.random.default_rng(7).normal(size=(3, 3))), 0.0
    for key, exchange in content["exchange_Jdict"].items():
        _, i, j = key
        tensor = exchange * np.eye(3) + np.cross(content["dmi_ddict"][key], np.eye(3)) + content["Jani_dict"][key]
        total -= spins[i] @ tensor @ spins[j]
        vector, distance = content["distance_dict"][key]
        expected = content["atoms"].positions[j] - content["atoms"].positions[i] + key[0] @ content["atoms"].cell.array
        np.testing.assert_allclose(vector, expected, atol=1e-12)
        assert distance == pytest.approx(np.linalg.norm(expected))
    total -= sum(spins[i] @ tensor @ spins[i] for i, tensor in content["sia_tensor"].items())
    atoms.calc = BondTableCalculator(table, units="metal")
    atoms.spins = spins
    assert total == pytest.approx(0.5 * atoms.get_potential_energy(), rel=1e-12)
    np.testing.assert_allclose(content["atoms"].positions, 3.0 * atoms.positions)


def test_sites_without_moments_are_no_spins_of_tb2j(tmp_path: Path) -> None:
    table, atoms = magnet("isotropic", sheared=True)
    some = replace(
        table, **{name: getattr(table, name)[[2, 3]] for name in ("first", "second", "shifts", "tensors", "biquadratic")}
    )
    atoms.moments = atoms.moments * [[0.0], [1.0], [1.0]]
    write_tb2j(tmp_path, some, atoms)
    for name in ("exchange.out", "Multibinit/exchange.xml"):
        found, sites = read_tb2j(tmp_path / name)
        assert len(sites) == 2
        assert sorted(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(0, 1), (1, 1)]
    with pytest.raises(InputError, match="site 0 has bonds, but no moment: TB2J's spins have moments"):
        write_tb2j(tmp_path, table, atoms)
    atoms.moments = np.tile([0.0, 0.0, 1.0], (3, 1))
    with pytest.raises(InputError, match="site 0 has a moment, but no bond: TB2J numbers the spins of bonds"):
        write_tb2j(tmp_path, some, atoms)
    with pytest.raises(InputError, match="the table has biquadratic terms"):
        write_tb2j(tmp_path, replace(table, biquadratic=np.full(5, 0.1)), atoms)


def test_anisotropies_become_a_kfile(tmp_path: Path) -> None:
    """Q of full rank as two axes, an axis, and a cubic site; energies up to the middle eigenvalues, which are told."""
    table, atoms = magnet("isotropic", sheared=True)
    axis = np.array([0.6, 0.0, 0.8])
    onsite = np.stack([with_anisotropy(table).onsite[0], -2e-3 * np.outer(axis, axis), np.zeros((3, 3))])
    table = replace(table, onsite=onsite, cubic=np.array([[0, 0], [0, 0], [1e-3, -4e-4]]))
    found, _ = read_uppasd(write_uppasd(tmp_path, table, atoms))
    constant = -8 * np.linalg.eigvalsh(onsite)[:, 1].sum()
    np.testing.assert_allclose(energies(found, atoms), energies(table, atoms) - constant, rtol=1e-9)
    assert abs(constant) > 1e-4
    np.testing.assert_allclose(found.onsite[1], onsite[1], atol=1e-12)
    np.testing.assert_allclose(found.cubic, table.cubic, rtol=1e-9)


def test_biquadratic_couplings_of_one_site(tmp_path: Path) -> None:
    none, shifts = np.zeros(2, dtype=int), np.array([[1, 0, 0], [0, 1, 0]])
    table = BondTable(
        np.zeros((1, 3)), np.diag([2.5, 3.0, 9.0]), none, none, shifts, np.tile(1e-2 * np.eye(3), (2, 1, 1)),
        np.zeros((1, 3, 3)), np.array([3e-3, -1e-3]),
    )  # fmt: skip
    atoms = SpinAtoms("Fe", positions=[[0, 0, 0]], cell=table.cell, pbc=True, units="metal", moments=[[0, 0, 2.0]])
    found, _ = read_uppasd(write_uppasd(tmp_path, table, atoms))
    np.testing.assert_allclose(energies(found, atoms), energies(table, atoms), rtol=1e-9)
    np.testing.assert_allclose(np.sort(found.biquadratic), [-1e-3, 3e-3], rtol=1e-9)


def test_other_units_are_turned_into_the_programs(tmp_path: Path) -> None:
    table, atoms = magnet("twisted", sheared=False)
    write_uppasd(tmp_path, table, atoms, energy=0.3, length=2.5)
    found, sites = read_uppasd(tmp_path / "inpsd.dat")
    np.testing.assert_allclose(sites.cell.array, 2.5 * atoms.cell.array)
    np.testing.assert_allclose(energies(found, atoms, 2.5), 0.3 * energies(table, atoms), rtol=1e-9)
    write_vampire(tmp_path / "fe.ucf", table, atoms, energy=0.3, length=2.5)
    np.testing.assert_allclose(
        energies(read_vampire(tmp_path / "fe.ucf")[0], atoms, 2.5), 0.3 * energies(table, atoms), rtol=1e-9
    )


def test_what_has_no_place_is_refused(tmp_path: Path) -> None:
    table, atoms = magnet("isotropic", sheared=True)
    with pytest.raises(InputError, match="not rectangular along x, y, z, and Vampire knows no other"):
        write_vampire(tmp_path / "fe.ucf", table, atoms)
    with pytest.raises(InputError, match="the table has biquadratic terms"):
        write_uppasd(tmp_path, replace(table, biquadratic=np.full(5, 0.1)), atoms)
    with pytest.raises(InputError, match="site 0 has a uniaxial and a cubic anisotropy"):
        write_uppasd(tmp_path / "k", replace(with_anisotropy(table), cubic=np.full((3, 2), 0.1)), atoms)
    for strength in (0.2, -0.2):  # an easy axis, and a hard one
        onsite, cubic = strength * np.diag([0.0, 0.0, 1.0])[None], np.full((1, 2), 0.1)
        with pytest.raises(InputError, match="site 0 has a uniaxial and a cubic anisotropy"):
            kfile_lines(onsite, cubic)
        assert len(kfile_lines(onsite, 0.0 * cubic)[0]) == 1
    with pytest.raises(InputError, match="the table has onsite terms"):
        write_vampire(tmp_path / "fe.ucf", with_anisotropy(table), atoms)
    with pytest.raises(InputError, match="these 2 atoms are not the 3 sites of the table"):
        write_uppasd(tmp_path, table, atoms[:2])
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {"jfile"}, "no input is left behind"
