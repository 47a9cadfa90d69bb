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
from spinase.calculators import (
    BiquadraticCalculator,
    BondTableCalculator,
    CubicAnisotropyCalculator,
    DipoleCalculator,
    HeisenbergCalculator,
    RingExchangeCalculator,
    SpinSumCalculator,
    ZeemanCalculator,
    uppasd_calculator,
)
from spinase.classical.sampling import make_sampler
from spinase.errors import AccuracyWarning, InputError
from spinase.io.exchange import read_uppasd
from spinase.units import METAL

REFERENCES = Path(__file__).parents[1] / "references"
_spec = importlib.util.spec_from_file_location("uppasd_cases", REFERENCES / "uppasd_cases.py")
assert _spec is not None
assert _spec.loader is not None
uppasd = importlib.util.module_from_spec(_spec)
sys.modules["uppasd_cases"] = uppasd  # dataclasses look their module up
_spec.loader.exec_module(uppasd)
ENERGIES = tomllib.loads((REFERENCES / "uppasd_energies.toml").read_text())
FIELDS = tomllib.loads((REFERENCES / "uppasd_fields.toml").read_text())
WARNED = {"tensors read as numbers", "nine numbers without do_jtensor", "vectors that join nothing"}
MILLIRYDBERG = 1e-3 * ase.units.Ry


def test_every_case_has_an_energy() -> None:
    assert set(ENERGIES) == set(FIELDS) == set(uppasd.CASES)


def _printed_beyond(spins: np.ndarray, cubic: np.ndarray) -> float:
    """What UppASD prints beyond the energy of cubic anisotropies: -m.B/2 is 2 K1 (...) + 3 K2 (...)."""
    squares = spins**2
    fourth = squares[:, 0] * squares[:, 1] + squares[:, 1] * squares[:, 2] + squares[:, 2] * squares[:, 0]
    return float(np.sum(cubic[:, 0] * fourth + 2.0 * cubic[:, 1] * squares.prod(axis=1)))


@pytest.mark.parametrize("name", list(ENERGIES))
def test_energies_and_fields_are_those_of_uppasd(name: str, tmp_path: Path) -> None:
    case = uppasd.CASES[name]
    path = case.write(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        calc, atoms = uppasd_calculator(path)
    assert bool(caught) == (name in WARNED)
    assert all(issubclass(one.category, AccuracyWarning) for one in caught)
    magnet = atoms.repeat(case.size)
    set_spins(magnet, uppasd.random_spins(case))
    units = get_units(magnet).name
    assert units == ("reduced" if "aunits Y" in case.lines else "metal")
    couplings = calc.calculators[0] if isinstance(calc, SpinSumCalculator) else calc
    cubic = np.tile(couplings.term.table.cubic, (len(magnet) // len(atoms), 1))
    energy = calc.get_property("energy", magnet) + _printed_beyond(uppasd.random_spins(case), cubic)
    unit, tesla = (1.0, 1.0) if units == "reduced" else (MILLIRYDBERG, METAL.tesla)
    assert energy / len(magnet) / unit == pytest.approx(ENERGIES[name], rel=1e-8)
    fields = calc.get_property("magnetic_forces", magnet)[uppasd.order(case)[:3]] / tesla
    np.testing.assert_allclose(fields, FIELDS[name], rtol=1e-8, atol=1e-6)


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


def test_loops_of_the_ringfile(tmp_path: Path) -> None:
    """Aligned spins: -2 K (1 + 1 - 1) a plaquette with our sign, and what a table of bonds cannot hold."""
    path = uppasd.CASES["ring exchange"].write(tmp_path)
    calc, atoms = uppasd_calculator(path)
    assert calc.calculators[1].get_property("energy", atoms.repeat((4, 4, 1))) == pytest.approx(16 * 2 * 0.3 * MILLIRYDBERG)
    loops = RingExchangeCalculator(-2 * 0.3 * MILLIRYDBERG, species=["Fe"])
    magnet = atoms.repeat((4, 4, 1))
    magnet.pbc = (True, True, False)  # plaquettes of this plane only
    set_spins(magnet, np.random.default_rng(3).normal(size=(16, 3)))
    found = calc.calculators[1].get_property("energy", magnet)
    assert found == pytest.approx(loops.get_property("energy", magnet), rel=1e-12)
    with pytest.raises(InputError, match=r"ring is in no table of bonds.*leave_out=\['ring'\]"):
        read_uppasd(path)
    assert len(read_uppasd(path, leave_out=["ring"])[0].first) == 3


RING = uppasd.CASES["ring exchange"].files["ringfile"]
RING_DAMAGES = {
    "one corner": ("\n".join(RING.splitlines()[:3]), "listed with .* from its four sites: UppASD's field"),
    "another K": (RING.replace("0.3", "0.4", 1), "no energy belongs to it unless these are equal"),
    "again": (RING + RING.splitlines()[0], "the vectors of .*line 1 again"),
    "nowhere": (RING.replace("1.0 0.0 0.0", "1.5 0.0 0.0", 1), "its vectors lead to no three sites"),
    "a line": (RING.replace("1.0 0.0 0.0 1.0", "1.0 0.0 0.0 0.0", 1).replace("1.0 0.0 0.0 0.0 1.0", "1.0 0.0 0.0 1.0 0.0"),
               "its four sites are not four different ones"),
    "a site": (RING.replace("1 1 1 1", "1 1 2 1", 1), r"the sites are 1 to 1, got \[1, 1, 2, 1\]"),
    "a number": (RING.replace("0.3", "x", 1), "'x' is no number"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(RING_DAMAGES))
def test_ringfiles_that_are_not_read(name: str, tmp_path: Path) -> None:
    text, message = RING_DAMAGES[name]
    assert text != RING
    path = uppasd.Case(("ring ./ringfile",), files={"ringfile": text}).write(tmp_path)
    with pytest.raises(InputError, match=message):
        uppasd_calculator(path)


def test_rings_are_of_one_type(tmp_path: Path) -> None:
    case = uppasd.Case(
        ("ring ./ringfile",), jfile=uppasd.BOTH, posfile=uppasd.TWO, momfile=uppasd.MOMENTS, files={"ringfile": RING}
    )
    with pytest.raises(InputError, match="UppASD has ring exchange for one type of sites"):
        uppasd_calculator(case.write(tmp_path))


REFUSED = {
    "biqdm": ("biqdm ./file", "biquadratic Dzyaloshinskii-Moriya"),
    "chir": ("chir ./file", "three-site chiral"),
    "fourx": ("fourx ./file", "four-site"),
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
    off = uppasd.Case((f"{key} N",)).write(tmp_path)
    assert len(read_uppasd(off)[0].first) == 3


def test_a_field_and_dipoles_are_in_no_table(tmp_path: Path) -> None:
    """They are terms of their own: the reader of tables says so, the calculator is their sum."""
    case = uppasd.CASES["dipoles and a field, scaled cell"]
    path = case.write(tmp_path)
    with pytest.raises(InputError, match=r"hfield is in no table of bonds: uppasd_calculator .*leave_out=\['hfield'\]"):
        read_uppasd(path)
    with pytest.raises(InputError, match=r"do_dip is in no table of bonds"):
        read_uppasd(path, leave_out=["hfield"])
    table, atoms = read_uppasd(path, leave_out=["hfield", "do_dip"])
    calc, _ = uppasd_calculator(path)
    assert isinstance(calc, SpinSumCalculator)
    assert [type(one) for one in calc.calculators] == [BondTableCalculator, ZeemanCalculator, DipoleCalculator]
    magnet = atoms.repeat(2)
    set_spins(magnet, np.random.default_rng(3).normal(size=(8, 3)))
    parts = [BondTableCalculator(table), ZeemanCalculator([0, 0, 100 * METAL.tesla]), DipoleCalculator()]
    assert calc.get_property("energy", magnet) == pytest.approx(sum(one.get_property("energy", magnet) for one in parts))
    config = BondTableCalculator.Config(file=str(path), format="uppasd", leave_out=["do_dip"])
    built = BondTableCalculator.from_config(config)
    assert isinstance(built, SpinSumCalculator)
    assert [type(one) for one in built.calculators] == [BondTableCalculator, ZeemanCalculator]
    off = uppasd.Case(("hfield 0 0 0", "do_dip 0")).write(tmp_path)
    assert isinstance(uppasd_calculator(off)[0], BondTableCalculator)


DIPOLES = {
    "bc P 0 0": "without images, while the exchange goes on",
    "do_dip 2": "do_dip 2: not read: macrocells",
    "do_dip 3": "do_dip 3: not read: Fourier transforms",
    "do_dip 4": "do_dip 4: not read: 0 and 1 are understood",
    "do_dip Y": "'Y' is no whole number",
    "read_dipole Y": "a tensor from a file",
    "aunits Y": r"need the lattice constant \(alat, in metres\)",
    "hfield 1 2": "has 2 columns",
}


@pytest.mark.parametrize("line", list(DIPOLES))
def test_sums_that_are_not_ours_are_refused(line: str, tmp_path: Path) -> None:
    case = uppasd.Case(("alat 3e-10", "bc 0 0 0", "do_dip 1", line))
    with pytest.raises(InputError, match=DIPOLES[line]):
        uppasd_calculator(case.write(tmp_path))


def test_dipoles_need_a_length(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dipoles need the lattice constant.*leave_out=\['do_dip'\]"):
        uppasd_calculator(uppasd.Case(("do_dip 1",), boundaries="0 0 0").write(tmp_path))


def test_biquadratic_and_cubic_terms_are_those_of_the_house(tmp_path: Path) -> None:
    """One species, one K: energies, fields and Monte Carlo energies are those of the terms by shell."""
    case = uppasd.Case(
        ("bq ./bqfile", "anisotropy ./kfile"),
        files={"bqfile": uppasd.rows([(1, 1, r, 0.4) for r in uppasd.SIX]), "kfile": "1 2 -0.3 0.7 0 0 1 0\n"},
    )
    calc, atoms = uppasd_calculator(case.write(tmp_path))
    assert isinstance(calc, BondTableCalculator)
    magnet = atoms.repeat((3, 4, 5))
    set_spins(magnet, np.random.default_rng(4).normal(size=(60, 3)))
    m = MILLIRYDBERG
    parts = [HeisenbergCalculator([2 * m]), BiquadraticCalculator([0.8 * m])]
    parts.append(CubicAnisotropyCalculator(0.3 * m, sixth_order=-0.7 * m))
    house = SpinSumCalculator(parts)
    for name in ("energy", "magnetic_forces"):
        np.testing.assert_allclose(calc.get_property(name, magnet), house.get_property(name, magnet), rtol=1e-10, atol=1e-15)
    lengths, spins = np.ones(60), magnet.get_initial_magnetic_moments()
    ours, theirs = (make_sampler(one.local_model(magnet, lengths)) for one in (calc, house))
    assert ours.energy(spins) == pytest.approx(theirs.energy(spins), rel=1e-10)
    assert ours.energy(spins) == pytest.approx(calc.get_property("energy", magnet), rel=1e-10)


WRONG_LINES = {
    "do_anisotropie 1": r"line 10: 'do_anisotropie' is no keyword of UppASD \(did you mean 'do_anisotropy'\?\)",
    "sym cubic": "'cubic' is no whole number",
    "sym 1.0": "'1.0' is no whole number",
    f"sym {'9' * 400}": "is no whole number",
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
    "uniaxial and cubic": ({"kfile": "1 7 -0.2 0 0 0 1 0.1\n"}, r"type 7 with a cubic part \(ratio 0.1\)"),
    "biquadratic to another type": (
        {"posfile": uppasd.TWO, "momfile": uppasd.MOMENTS, "bqfile": "2 1 0.5 0.5 0.5 0.3\n"}, "to a site of type 2"
    ),
    "biquadratic one way": ({"bqfile": "1 1 1 0 0 0.3\n"}, "has no opposite"),
    "second order": ({"kfile": "1 1 -0.2 0.1 0 0 1 0\n"}, "second-order uniaxial"),
    "no axis": ({"kfile": "1 1 -0.2 0 0 0 0 0\n"}, "needs an axis"),
    "kind": ({"kfile": "1 3 -0.2 0 0 0 1 0\n"}, "anisotropy of type 3"),
    "lines": ({"kfile": "1 1 -0.2 0 0 0 1 0\n1 1 -0.2 0 0 0 1 0\n"}, "2 lines for 1 sites, 1 are needed"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(WRONG_FILES))
def test_wrong_files(name: str, tmp_path: Path) -> None:
    files, message = WRONG_FILES[name]
    lines = tuple(f"{key} ./{name}" for key, name in (("anisotropy", "kfile"), ("bq", "bqfile")) if name in files)
    with pytest.raises(InputError, match=message):
        read_uppasd(uppasd.Case(lines, files=files).write(tmp_path))


@pytest.mark.parametrize("second", ["1 2 0.1 0 1 0 0 0", "1 7 0.1 0 1 0 0 0"])
@pytest.mark.parametrize("first", ["1 1 -0.5 0 0 0 1 0", "1 0 0 0 0 0 1 0", "1 2 0.1 0 0 0 1 0"])
def test_second_axes_are_of_the_first_kind(first: str, second: str, tmp_path: Path) -> None:
    case = uppasd.Case(("anisotropy ./kfile", "mult_axis Y"), files={"kfile": f"{first}\n{second}\n"})
    with pytest.raises(InputError, match=r"line 2: with mult_axis both lines of a site must be uniaxial"):
        read_uppasd(case.write(tmp_path))


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


def test_an_input_without_a_cell_needs_one(tmp_path: Path) -> None:
    path = uppasd.Case().write(tmp_path)
    lines = path.read_text().splitlines()
    (start,) = (k for k, line in enumerate(lines) if line.startswith("cell"))
    path.write_text("\n".join(lines[:start] + lines[start + 3 :]))
    with pytest.raises(InputError, match="the keyword 'cell' is missing; give cell="):
        read_uppasd(path)
