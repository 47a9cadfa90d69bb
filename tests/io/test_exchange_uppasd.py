"""UppASD's files, judged by the energies that UppASD itself prints for the same random spins."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
import warnings
from pathlib import Path

import ase.units
import numpy as np
import pytest

from spinase.atoms import get_units, set_spins
from spinase.calculators import BondTableCalculator
from spinase.errors import AccuracyWarning, InputError
from spinase.io.exchange import read_uppasd

REFERENCES = Path(__file__).parents[1] / "references"
_spec = importlib.util.spec_from_file_location("uppasd_cases", REFERENCES / "uppasd_cases.py")
assert _spec is not None
assert _spec.loader is not None
uppasd = importlib.util.module_from_spec(_spec)
sys.modules["uppasd_cases"] = uppasd  # dataclasses look their module up
_spec.loader.exec_module(uppasd)
ENERGIES = tomllib.loads((REFERENCES / "uppasd_energies.toml").read_text())
WARNED = {"tensors read as numbers", "nine numbers without do_jtensor", "vectors that join nothing"}
MILLIRYDBERG = 1e-3 * ase.units.Ry


def test_every_case_has_an_energy() -> None:
    assert set(ENERGIES) == set(uppasd.CASES)


@pytest.mark.parametrize("name", list(ENERGIES))
def test_energies_are_those_of_uppasd(name: str, tmp_path: Path) -> None:
    case = uppasd.CASES[name]
    path = case.write(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table, atoms = read_uppasd(path)
    assert bool(caught) == (name in WARNED)
    assert all(issubclass(one.category, AccuracyWarning) for one in caught)
    magnet = atoms.repeat(case.size)
    set_spins(magnet, uppasd.random_spins(case))
    units = get_units(magnet).name
    assert units == ("reduced" if name == "no units" else "metal")
    energy = BondTableCalculator(table, units=units).get_property("energy", magnet) / len(magnet)
    assert energy / (1.0 if units == "reduced" else MILLIRYDBERG) == pytest.approx(ENERGIES[name], rel=1e-8)


def test_the_sign_of_dmi_goes_with_the_version(tmp_path: Path) -> None:
    path = uppasd.CASES["dmi"].write(tmp_path)
    new = read_uppasd(path)[0].dmi()
    assert np.abs(new).max() == pytest.approx(2 * 0.3 * MILLIRYDBERG)
    for same in (read_uppasd(path, dmi_sign=-1), read_uppasd(path, version="6.1.0"), read_uppasd(path, version="7.0")):
        np.testing.assert_array_equal(same[0].dmi(), new)
    for old in (read_uppasd(path, dmi_sign=1), read_uppasd(path, version="6.0.2"), read_uppasd(path, version="5.1")):
        np.testing.assert_array_equal(old[0].dmi(), -new)
    with pytest.raises(InputError, match="'new' is no version of UppASD"):
        read_uppasd(path, version="new")
    config = BondTableCalculator.Config(file=str(path), format="uppasd", version="6.0.2")
    np.testing.assert_array_equal(BondTableCalculator.from_config(config).term.table.dmi(), -new)
    with pytest.raises(ValueError, match="are for the format 'uppasd'"):
        BondTableCalculator.Config(file="x", format="tb2j", version="6.1")


def test_directions_of_the_momfile(tmp_path: Path) -> None:
    """An antiferromagnet comes as one: at its minimum of energy, not at the maximum."""
    case = uppasd.Case(
        jfile=uppasd.rows([(i, j, r, -0.8) for i, j in ((1, 2), (2, 1)) for r in uppasd.CORNERS]),
        posfile=uppasd.TWO,
        momfile="1 1 2.0 0 0 2.0\n2 1 2.0 0 0 -1\n",
    )
    table, atoms = read_uppasd(case.write(tmp_path))
    np.testing.assert_allclose(atoms.get_initial_magnetic_moments(), [[0, 0, 2], [0, 0, -2]])
    assert atoms.pbc.all()
    atoms.calc = BondTableCalculator(table)
    assert atoms.get_potential_energy() == pytest.approx(-16 * 0.8 * MILLIRYDBERG)
    assert np.abs(atoms.calc.get_property("torques", atoms)).max() < 1e-12


def test_lengths(tmp_path: Path) -> None:
    """alat is in metres, boundaries are UppASD's."""
    case = uppasd.Case(("alat 2.5d-10",), boundaries="P 0 P", posfile=uppasd.TWO, momfile=uppasd.MOMENTS, jfile=uppasd.BOTH)
    _, atoms = read_uppasd(case.write(tmp_path))
    np.testing.assert_allclose(atoms.cell.array, 2.5 * np.eye(3))
    np.testing.assert_allclose(atoms.positions[1], [1.25] * 3)
    assert list(atoms.pbc) == [True, False, True]
    np.testing.assert_allclose(atoms.get_initial_magnetic_moments(), [[2.2, 0, 0], [0, 0, -0.7]])


def test_a_single_spin_without_a_cell(tmp_path: Path) -> None:
    case = uppasd.Case(
        ("anisotropy ./kfile",), cell="0 0 0\n0 0 0\n0 0 0", boundaries="0 0 0", jfile="1 1 0 0 0 0\n",
        files={"kfile": "1 1 -0.5 0 0 0 1 0\n"},
    )  # fmt: skip
    table, atoms = read_uppasd(case.write(tmp_path))
    assert len(table.first) == 0
    assert BondTableCalculator(table).get_property("energy", atoms) == pytest.approx(-0.5 * MILLIRYDBERG)


def test_a_long_list(tmp_path: Path) -> None:
    """1836 lines with cubic symmetry: every one of 48 images of each is a line of the list, too."""
    grid = np.array([(x, y, z) for x in range(-8, 9) for y in range(-8, 9) for z in range(-8, 9)])
    grid = grid[(np.linalg.norm(grid, axis=1) < 7.7) & grid.any(axis=1)]
    assert len(grid) > 1800
    lines = [(1, 1, tuple(r), 1.0 / (r @ r)) for r in grid]
    table, _ = read_uppasd(uppasd.Case(("sym 1",), jfile=uppasd.rows(lines)).write(tmp_path))
    assert len(table.first) == len(grid) // 2
    bond = dict(zip(map(tuple, table.shifts), table.isotropic(), strict=True))
    for shift, coupling in bond.items():
        assert coupling == pytest.approx(2 * MILLIRYDBERG / np.dot(shift, shift))


REFUSED = {
    "bq": ("bq ./bqfile", "biquadratic exchange"),
    "biqdm": ("biqdm ./file", "biquadratic Dzyaloshinskii-Moriya"),
    "chir": ("chir ./file", "three-site chiral"),
    "fourx": ("fourx ./file", "four-site"),
    "ring": ("ring ./file", "ring exchange"),
    "do_dip": ("do_dip 1", "dipoles: add a DipoleCalculator"),
    "hfield": ("hfield 0 0 -8.0", "a field in tesla: add a ZeemanCalculator"),
    "demag": ("demag Y", "demagnetizing field"),
    "do_ralloy": ("do_ralloy 1", "random alloys"),
    "exc_inter": ("exc_inter Y", "depends on the order"),
    "multiscale": ("multiscale file", "multiscale models"),
    "set_landeg": ("set_landeg 1", "g factors"),
    "stt": ("stt A", "spin-transfer torques"),
}


@pytest.mark.parametrize("key", list(REFUSED))
def test_what_is_not_understood_is_refused_by_name(key: str, tmp_path: Path) -> None:
    line, told = REFUSED[key]
    path = uppasd.Case((line,)).write(tmp_path)
    with pytest.raises(InputError, match=rf"inpsd\.dat, line 10: {key} .*{told}.*leave_out=\['{key}'\]"):
        read_uppasd(path)
    table, _ = read_uppasd(path, leave_out=[key])
    assert len(table.first) == 3
    off = uppasd.Case((f"{key} {'0 0 0' if key == 'hfield' else 'N'}",)).write(tmp_path)
    assert len(read_uppasd(off)[0].first) == 3


WRONG_LINES = {
    "do_anisotropie 1": r"line 10: 'do_anisotropie' is no keyword of UppASD \(did you mean 'do_anisotropy'\?\)",
    "sym cubic": "'cubic' is no whole number",
    "sym 1.0": "'1.0' is no whole number",
    "maptype 4": "1, 2 and 3 are understood, got 4",
    "posfiletype X": r"C \(Cartesian\) or D \(direct\)",
    "bc P P": r"three of P \(periodic\) and 0",
    "natoms 2": "2 are announced, the posfile has 1",
    "do_jtensor 2": "0, or 1 without dm",
    "do_anisotropy 1": "the keyword 'anisotropy' with its file is missing",
    "calc_jtensor maybe\ndo_jtensor 1": "'maybe' is neither yes nor no",
    "jij_scale 1.0x": "'1.0x' is no number",
    "jij_scale 1e999": "'1e999' is no number",
    "anisotropy ./missing": "cannot read .*missing: No such file",
    "sym 1\n0.3 0.2": "numbers follow sym",
}


@pytest.mark.parametrize("line", list(WRONG_LINES))
def test_wrong_lines_of_the_input(line: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=WRONG_LINES[line]):
        read_uppasd(uppasd.Case((line,)).write(tmp_path))


SIX_LINES = uppasd.Case().jfile
WRONG_FILES = {
    "cut short": ({"jfile": SIX_LINES + "1 1 0 0 1 0.\n1 1 0"}, "line 8 has 3 columns, 6 are needed"),
    "a number cut short": ({"jfile": SIX_LINES + "1 1 0 0 1 0.5e\n"}, r"line 7, column 6: '0\.5e' is no number"),
    "not finite": ({"jfile": SIX_LINES + "1 1 0 0 1 nan\n"}, "'nan' is no number"),
    "a site that is not there": ({"jfile": SIX_LINES + "1 2 0 0 1 0.5\n"}, "site 1 to site 2; the posfile has sites 1 to 1"),
    "a count": ({"jfile": "7 0\n" + SIX_LINES}, "7 lines are announced, 6 follow"),
    "one direction": ({"jfile": "1 1 1 0 0 1.0\n"}, r"\(line 1\) has no opposite"),
    "unequal directions": ({"jfile": "1 1 1 0 0 1.0\n1 1 -1 0 0 1.1\n"}, r"J\(i, j\) = J\(j, i\)\^T is needed"),
    "sites": ({"posfile": "1 1 0 0 0\n3 1 0.5 0 0\n"}, "numbered 1, 2, ..., each once"),
    "no direction": ({"momfile": "1 1 2.0 0 0 0\n"}, "needs a direction"),
    "two species": ({"momfile": "1 2 2.0 0 0 1\n"}, "species 2"),
    "no moment": ({"momfile": ""}, "site 1 has no moment"),
    "cubic": ({"kfile": "1 2 -0.2 0 0 0 1 0\n"}, "a cubic anisotropy is no.*CubicAnisotropyCalculator takes K = 0.2"),
    "second order": ({"kfile": "1 1 -0.2 0.1 0 0 1 0\n"}, "second-order uniaxial"),
    "no axis": ({"kfile": "1 1 -0.2 0 0 0 0 0\n"}, "needs an axis"),
    "kind": ({"kfile": "1 3 -0.2 0 0 0 1 0\n"}, "anisotropy of type 3"),
    "lines": ({"kfile": "1 1 -0.2 0 0 0 1 0\n1 1 -0.2 0 0 0 1 0\n"}, "2 lines for 1 sites, 1 are needed"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(WRONG_FILES))
def test_wrong_files(name: str, tmp_path: Path) -> None:
    files, message = WRONG_FILES[name]
    lines = ("anisotropy ./kfile",) if "kfile" in files else ()
    with pytest.raises(InputError, match=message):
        read_uppasd(uppasd.Case(lines, files=files).write(tmp_path))


def test_a_vector_to_sites_of_two_types(tmp_path: Path) -> None:
    """UppASD keeps one site at a vector from a type: the later line would couple what the earlier names."""
    case = uppasd.Case(
        jfile="1 3 0.3 0 0 1.0\n2 4 0.3 0 0 2.0\n", posfile="1 1 0 0 0\n2 1 0 0.5 0\n3 2 0.3 0 0\n4 3 0.3 0.5 0\n",
        momfile="".join(f"{k} 1 1 0 0 1\n" for k in (1, 2, 3, 4)),
    )  # fmt: skip
    with pytest.raises(
        InputError, match=r"jfile, line 2: the vector of .*line 1 again, to a site of another type \(3, not 2\)"
    ):
        read_uppasd(case.write(tmp_path))


def test_lattice_couplings_are_told_of(tmp_path: Path) -> None:
    path = uppasd.Case(("do_ld Y", "ll ./ll", "mml ./mml")).write(tmp_path)
    with pytest.warns(AccuracyWarning, match=r"ll \(forces between atoms\), mml \(spin-lattice couplings\): left out"):
        read_uppasd(path)


def test_a_cell_that_is_given(tmp_path: Path) -> None:
    """What TB2J's pieces of UppASD files have: no cell, scaled positions, Cartesian vectors in Angstrom."""
    case = uppasd.Case(
        cell="", jfile="2 0\n1 2 0.7 0 0 0.5\n2 1 -0.7 0 0 0.5\n", posfile="1 1 0 0 0\n2 2 0.25 0 0\n",
        momfile="1 1 1 0 0 1\n2 1 1 0 0 1\n", lines=("alat 2.83e-10",),
    )  # fmt: skip
    with pytest.raises(InputError, match="the cell has 0 of nine numbers; give cell=..."):
        read_uppasd(case.write(tmp_path))
    table, atoms = read_uppasd(case.write(tmp_path), cell=2.8 * np.eye(3), scaled_positions=True)
    np.testing.assert_allclose(atoms.positions[1], [0.7, 0, 0])
    np.testing.assert_allclose(table.isotropic(), [2 * 0.5 * MILLIRYDBERG])
