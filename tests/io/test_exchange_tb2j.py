"""One set of couplings as TB2J 0.9.22, UppASD and Vampire files: two species, unequal moments, D, a small cell."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import ase.units
import numpy as np
import pytest
from ase import Atoms

from spinase.atoms import set_spins
from spinase.calculators import BondTableCalculator
from spinase.classical import BondTable
from spinase.errors import InputError
from spinase.io.exchange import read_tb2j, read_uppasd, read_vampire

REFERENCES = Path(__file__).parents[1] / "references"
_spec = importlib.util.spec_from_file_location("tb2j_files", REFERENCES / "tb2j_files.py")
assert _spec is not None
assert _spec.loader is not None
tb2j = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tb2j)
FOLDER = REFERENCES / "tb2j"
JUDGED = json.loads((FOLDER / "energies.json").read_text())
HALF = 1e3 / ase.units.Ry  # mRy per eV


def uppasd_files(folder: Path, kind: str) -> Path:
    """The couplings in UppASD's format: nine numbers a bond, or J, D and the symmetric rest in files of their own."""
    exchange, dmi, anisotropic = tb2j.couplings()
    lines: dict[str, list[str]] = {"jfile": [], "dmfile": [], "pdfile": []}
    for (shift, i, j), tensor in tb2j.tensors().items():
        place = f"{i + 1} {j + 1} {shift[0]} {shift[1]} {shift[2]}"
        numbers = {
            "jfile": tensor if kind == "tensors" else exchange[shift, i, j],
            "dmfile": dmi[shift, i, j],
            "pdfile": anisotropic[shift, i, j],
        }
        for name, value in numbers.items():
            lines[name].append(f"{place} {' '.join(f'{x:.12e}' for x in np.ravel(value * HALF))}")
    for name, rows in lines.items():
        (folder / name).write_text("\n".join(rows) + "\n")
    places = [tb2j.PLACES[name] for name in ("Fe", "Co")]
    moments = [tb2j.MOMENTS[name] for name in ("Fe", "Co")]
    (folder / "posfile").write_text("".join(f"{k + 1} {k + 1} {x} {y} {z}\n" for k, (x, y, z) in enumerate(places)))
    (folder / "momfile").write_text(
        "".join(f"{k + 1} 1 {np.linalg.norm(m)} {m[0]} {m[1]} {m[2]}\n" for k, m in enumerate(moments))
    )
    cell = "\n".join(" ".join(str(x) for x in row) for row in tb2j.CELL)
    more = "do_jtensor 1\ncalc_jtensor F" if kind == "tensors" else "dm ./dmfile\npd ./pdfile"
    (folder / "inpsd.dat").write_text(
        f"cell {cell}\nbc P P P\nposfiletype D\nposfile posfile\nmomfile momfile\nexchange jfile\nmaptype 2\n{more}\n"
    )
    return folder / "inpsd.dat"


def table_of(kind: str, folder: Path) -> tuple[BondTable, Atoms]:
    if kind == "tb2j":
        return read_tb2j(FOLDER / "exchange.xml")
    if kind == "vampire":
        return read_vampire(FOLDER / "vampire.UCF")
    return read_uppasd(uppasd_files(folder, kind))


@pytest.mark.parametrize("kind", ["tb2j", "vampire", "tensors", "parts"])
def test_one_energy(kind: str, tmp_path: Path) -> None:
    """The reference is a sum over all bonds, and what TB2J's own tensors give."""
    table, atoms = table_of(kind, tmp_path)
    np.testing.assert_allclose(atoms.cell.array, tb2j.CELL, atol=3e-5)
    np.testing.assert_allclose(atoms.get_scaled_positions(), [tb2j.PLACES["Fe"], tb2j.PLACES["Co"]], atol=1e-5)
    if kind != "vampire":  # whose moments are in the material file
        np.testing.assert_allclose(
            atoms.get_initial_magnetic_moments(), [tb2j.MOMENTS["Fe"], tb2j.MOMENTS["Co"]], atol=1e-12
        )
    magnet = atoms.repeat(tb2j.SIZE)
    set_spins(magnet, tb2j.random_spins().reshape(-1, 3))
    expected = tb2j.energy(tb2j.tensors())
    assert expected == pytest.approx(JUDGED["energy"], rel=1e-12)
    found = BondTableCalculator(table).get_property("energy", magnet)
    assert found == pytest.approx(expected, rel=2e-6 if kind == "vampire" else 1e-10)  # six digits of other units


def test_the_text_of_tb2j() -> None:
    """Its exchange.out: four decimals of J and D, three of J_ani (meV); the anisotropy of the second spin."""
    table, atoms = read_tb2j(FOLDER / "exchange.out")
    exact, same = read_tb2j(FOLDER / "exchange.xml")
    assert atoms.get_chemical_symbols() == ["Fe", "Co"]
    np.testing.assert_allclose(atoms.get_scaled_positions(), [tb2j.PLACES["Fe"], tb2j.PLACES["Co"]], atol=1e-8)
    np.testing.assert_allclose(atoms.get_initial_magnetic_moments(), same.get_initial_magnetic_moments(), atol=1e-4)
    np.testing.assert_array_equal(table.shifts, exact.shifts)
    np.testing.assert_allclose(table.tensors, exact.tensors, atol=1.3e-6)
    np.testing.assert_allclose(table.onsite, [np.zeros((3, 3)), np.diag([0.0, 0.0, 0.00125])], atol=1e-12)


@pytest.mark.parametrize("kind", ["tb2j", "tensors", "parts"])
def test_minus_jq_is_tb2js(kind: str, tmp_path: Path) -> None:
    """Eigenvalues of -J(q), each pair twice, as TB2J finds them in its own file."""
    table, _ = table_of(kind, tmp_path)
    for point, expected in zip(JUDGED["points"], JUDGED["minus_Jq"], strict=True):
        matrix = np.zeros((6, 6), dtype=complex)
        for i, j, shift, tensor in zip(table.first, table.second, table.shifts, table.tensors, strict=True):
            phase = np.exp(2j * np.pi * (np.array(point) @ shift))
            matrix[3 * i : 3 * i + 3, 3 * j : 3 * j + 3] -= 0.5 * tensor * phase
            matrix[3 * j : 3 * j + 3, 3 * i : 3 * i + 3] -= 0.5 * tensor.T * np.conj(phase)
        np.testing.assert_allclose(np.linalg.eigvalsh(matrix), expected, atol=1e-12)


def test_what_tb2j_leaves_of_uppasd_files(tmp_path: Path) -> None:
    """Isotropic exchange only, no cell, scaled positions beside Cartesian vectors."""
    for name in ("posfile", "jASD1"):
        (tmp_path / name).write_text((FOLDER / name).read_text())
    (tmp_path / "inpsd.dat").write_text(
        "ncell 12 12 12\nBC P P P\ncell\nSym 0\nposfile ./posfile\nexchange ./jASD1\nmaptype 1\nalat 2.83e-10\n"
    )
    with pytest.raises(InputError, match="the cell has 0 of nine numbers; give cell=..."):
        read_uppasd(tmp_path / "inpsd.dat")
    table, atoms = read_uppasd(tmp_path / "inpsd.dat", cell=tb2j.CELL, scaled_positions=True)
    magnet = atoms.repeat(tb2j.SIZE)
    set_spins(magnet, tb2j.random_spins().reshape(-1, 3))
    expected = tb2j.energy({key: value * np.eye(3) for key, value in tb2j.couplings()[0].items()})
    assert BondTableCalculator(table).get_property("energy", magnet) == pytest.approx(expected, rel=1e-9)


XML = (FOLDER / "exchange.xml").read_text()
ONE_TERM = XML[XML.index("<spin_exchange_term>") : XML.index("</spin_exchange_term>") + len("</spin_exchange_term>")]
DAMAGES = {
    "one way": (XML.replace(ONE_TERM, "", 1).replace("<nterms>12<", "<nterms>11<", 1), "the transpose of"),
    "a count": (XML.replace(ONE_TERM, "", 1), "12 terms are announced in spin_exchange_list, there are 11"),
    "twice": (XML.replace(ONE_TERM, 2 * ONE_TERM, 1).replace("<nterms>12<", "<nterms>13<", 1), "is listed twice"),
    "a number": (XML.replace("e-02", "e-0x", 1), "is no number"),
    "an element": (XML.replace("spin_DMI_list", "spin_biquadratic_list"), "<spin_biquadratic_list> is not understood"),
    "a unit": (XML.replace('"bohrradius">2.59', '"angstrom">2.59').replace('"eV"', '"Ha"', 1), "is in 'Ha'"),
    "spins": (XML.replace('index_spin="2"', 'index_spin="3"'), r"numbered \[1, 3\]"),
    "a column": (
        XML.replace("<ijR>1 2 0 0 0", "<ijR>1 2 0 0", 1),
        r"5 numbers are needed in <ijR>, got \['1', '2', '0', '0'\]",
    ),
    "cut": (XML[: len(XML) // 2], "cannot read"),
    "a cell": (XML.replace("<ijR>1 2 0 0 0", "<ijR>1 2 0 0 0.5", 1), "'0.5' is no whole number"),
}


@pytest.mark.parametrize("name", list(DAMAGES))
def test_damaged_files_of_tb2j(name: str, tmp_path: Path) -> None:
    text, message = DAMAGES[name]
    assert text != XML
    (tmp_path / "exchange.xml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_tb2j(tmp_path / "exchange.xml")


def test_bonds_that_are_listed_one_way_in_tb2j(tmp_path: Path) -> None:
    """Without any term in the other direction there is no exchange of half the size."""
    text = XML
    for kind in ("exchange", "DMI", "bilinear"):
        start, end = text.index(f"<spin_{kind}_list"), text.index(f"</spin_{kind}_list>")
        first = text[text.index(f"<spin_{kind}_term>", start) : text.index(f"</spin_{kind}_term>", start)]
        text = text[:start] + f"<spin_{kind}_list>{first}</spin_{kind}_term>" + text[end:]
    (tmp_path / "exchange.xml").write_text(text)
    with pytest.raises(InputError, match=r"the bond 1 -> 2 in cell \(0, 0, 0\) has no opposite: both directions"):
        read_tb2j(tmp_path / "exchange.xml")


@pytest.mark.parametrize("element", ["uniaxial_SIA", "sia_tensor"])
def test_single_ion_anisotropy_of_tb2j(element: str, tmp_path: Path) -> None:
    data = {
        "uniaxial_SIA": "<amplitude>0.002</amplitude><direction>0 3 4</direction>",
        "sia_tensor": "<data>0 0 0 0 0.00072 0.00096 0 0.00096 0.00128</data>",
    }[element]
    term = f"<spin_{element}_term><i>2</i>{data}</spin_{element}_term>"
    listing = f"<spin_{element}_list><nterms>1</nterms>{term}</spin_{element}_list>"
    (tmp_path / "exchange.xml").write_text(XML.replace("</System_definition>", listing + "</System_definition>"))
    axis = np.array([0, 0.6, 0.8])
    np.testing.assert_allclose(read_tb2j(tmp_path / "exchange.xml")[0].onsite[1], 0.002 * np.outer(axis, axis), atol=1e-15)
    (tmp_path / "exchange.xml").write_text(
        XML.replace("</System_definition>", listing.replace("<i>2", "<i>3") + "</System_definition>")
    )
    with pytest.raises(InputError, match="is of spin 3, there are 2"):
        read_tb2j(tmp_path / "exchange.xml")


UCF = (FOLDER / "vampire.UCF").read_text()
LAST = UCF.rstrip().splitlines()[-1]
UCF_DAMAGES = {
    "a second list": (UCF + "1 isotropic\n0 0 1 0 0 0 1e-22\n", "'1 isotropic' follows the announced list: a second one"),
    "more lines": (UCF + LAST + "\n", "nor are more lines than announced"),
    "fewer lines": (UCF.replace(LAST, ""), "12 bonds are announced, 11 lines follow"),
    "a column more": (UCF.replace(LAST, LAST + " 1.0"), "has 16 columns, 15 belong to tensorial exchange"),
    "a column fewer": (UCF.replace("12 tensorial", "12 vectorial"), "has 15 columns, 9 belong to vectorial"),
    "a word of TB2J 0.7": (UCF.replace("tensorial", "tensor"), "exchange of kind 'tensor' is not understood"),
    "atoms": (UCF.replace("2 2\n", "3 3\n"), "12 where 2 is due"),
    "a number": (UCF.replace("e-22", "e-2x", 1), "is no number"),
    "a cell": (UCF.replace("2.500000 3.250000", "2.500000 9.250000").replace("0.200000", "0.7"), "can be read in two ways"),
}


@pytest.mark.parametrize("name", list(UCF_DAMAGES))
def test_damaged_files_of_vampire(name: str, tmp_path: Path) -> None:
    text, message = UCF_DAMAGES[name]
    assert text != UCF
    (tmp_path / "vampire.UCF").write_text(text)
    with pytest.raises(InputError, match=message):
        read_vampire(tmp_path / "vampire.UCF")


def test_fortran_exponents_in_vampires_file(tmp_path: Path) -> None:
    (tmp_path / "vampire.UCF").write_text(UCF.replace("e-2", "D-2") + "0 isotropic\n")
    np.testing.assert_array_equal(
        read_vampire(tmp_path / "vampire.UCF")[0].tensors, read_vampire(FOLDER / "vampire.UCF")[0].tensors
    )


OUT = (FOLDER / "exchange.out").read_text()
LAST_BOND = OUT[OUT.rindex("-" * 88) :]
OUT_DAMAGES = {
    "no file of TB2J": ("Atoms:\n", "it has no section 'Cell'"),
    "cut": (OUT[: OUT.rindex("J_iso:")], "has no line 'J_iso:'; is the file cut short"),
    "one way": (OUT.replace(LAST_BOND, ""), "has no opposite|the transpose of"),
    "twice": (OUT + LAST_BOND, "this bond is listed in line"),
    "a number": (OUT.replace("J_iso:  ", "J_iso: x", 1), "is no number"),
    "an atom": (OUT.replace("   Fe1   Co1 ", "   Fe1   Co2 ", 1), "is no atom of the file"),
    "an element": (OUT.replace("Co1 ", "Xo1 "), "'Xo1' is the name of no element"),
    "two names": (OUT.replace("O1 ", "Fe1", 1), "need names of their own"),
    "an anisotropy": (OUT.replace("Co1", "O1 ", 2).replace("O1 ", "Co1", 1), "has an anisotropy and no bond"),
}


@pytest.mark.parametrize("name", list(OUT_DAMAGES))
def test_damaged_texts_of_tb2j(name: str, tmp_path: Path) -> None:
    text, message = OUT_DAMAGES[name]
    assert text != OUT
    (tmp_path / "exchange.out").write_text(text)
    with pytest.raises(InputError, match=message):
        read_tb2j(tmp_path / "exchange.out")


def test_collinear_texts_and_amplitudes(tmp_path: Path) -> None:
    """One column of moments is along z; amplitudes with directions, as versions before 0.9.20 print anisotropies."""
    words = [line.split() for line in OUT.splitlines()]
    text = "\n".join(
        " ".join([*w[:5], w[7]]) if len(w) == 8 and w[0][-1].isdigit() and w[0] != "Total" else line
        for w, line in zip(words, OUT.splitlines(), strict=True)
    )
    start, stop = text.index("Single Ion Anisotropy:"), text.index("Exchange:")
    amplitude = "Single Ion Anisotropy (meV): \n Atom number k1 k1dir\nCo1   2.0000 ( 0.0000,  0.6000,  0.8000)\n\n"
    (tmp_path / "exchange.out").write_text(text[:start] + amplitude + text[stop:])
    table, atoms = read_tb2j(tmp_path / "exchange.out")
    np.testing.assert_allclose(atoms.get_initial_magnetic_moments(), [[0, 0, 2.25], [0, 0, -1.0]])
    np.testing.assert_allclose(table.onsite[1], 0.002 * np.outer([0, 0.6, 0.8], [0, 0.6, 0.8]), atol=1e-12)
