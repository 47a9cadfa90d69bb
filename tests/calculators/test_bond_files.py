"""Readers of exchange files: one model written in each code's own convention must give one energy."""

from __future__ import annotations

from pathlib import Path

import ase.units
import numpy as np
import pytest
from ase import Atoms

from spinase import SpinAtoms
from spinase.atoms import set_spins
from spinase.calculators import (
    BondTableCalculator,
    DMICalculator,
    HeisenbergCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
    read_tb2j,
    read_uppasd,
    read_vampire,
)
from spinase.classical import BondTable
from spinase.errors import InputError, InvalidGeometryError, ModelError

A, J, D = 2.8665, 0.018, 0.004  # bcc: nearest-neighbour exchange and bulk DMI of a pair, eV
CORNERS = [(x, y, z) for x in (-1, 0) for y in (-1, 0) for z in (-1, 0)]


def bonds() -> list[tuple[int, int, tuple[int, int, int], np.ndarray]]:
    """Both directions of the 8 bonds of the two-site cubic cell of bcc: (i, j, cell, D vector)."""
    out = []
    for cell in CORNERS:
        unit = (np.array(cell) + 0.5) / np.sqrt(0.75)
        out.append((0, 1, cell, D * unit))
        out.append((1, 0, tuple(-x for x in cell), -D * unit))
    return out


def crystal(spins: bool = True) -> Atoms:
    atoms = Atoms("Fe2", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=A * np.eye(3), pbc=True)
    whole = atoms.repeat((3, 2, 3))
    if spins:
        whole.set_initial_magnetic_moments(np.tile([0, 0, 2.2], (len(whole), 1)))
        set_spins(whole, np.random.default_rng(3).normal(size=(len(whole), 3)))
    return whole


def reference(dmi: bool = True) -> SpinSumCalculator:
    return SpinSumCalculator([HeisenbergCalculator(shells=[J]), DMICalculator(shells=[D])], [1.0, float(dmi)])


def check(calc: BondTableCalculator, expected: SpinSumCalculator, digits: float = 1e-9) -> None:
    atoms = crystal()
    assert abs(expected.get_property("energy", atoms)) > 1e-2
    assert calc.get_property("energy", atoms) == pytest.approx(expected.get_property("energy", atoms), rel=digits)
    np.testing.assert_allclose(
        calc.get_property("magnetic_forces", atoms), expected.get_property("magnetic_forces", atoms), atol=digits * J
    )
    shuffled = atoms[np.random.default_rng(1).permutation(len(atoms))]
    assert calc.get_property("energy", shuffled) == pytest.approx(expected.get_property("energy", atoms), rel=digits)


def vector(values: np.ndarray) -> str:
    return " ".join(f"{x:.12e}" for x in np.ravel(values))


def write_tb2j(path: Path) -> None:
    """TB2J counts every pair twice: it writes half our J and D."""
    cell = vector(A * np.eye(3) / ase.units.Bohr)
    atoms = "".join(
        f'<atom mass="55.845" index_spin="{k + 1}">'
        f'<position units="bohrradius">{vector(np.full(3, 0.5 * k * A) / ase.units.Bohr)}'
        f"</position><spinat>0 0 2.2</spinat></atom>"
        for k in range(2)
    )
    ligand = '<atom mass="16.0" index_spin="-1"><position>0 0 1</position><spinat>0 0 0</spinat></atom>'
    exchange = dmi = ""
    for i, j, cell_, d in bonds():
        place = f"<ijR>{i + 1} {j + 1} {cell_[0]} {cell_[1]} {cell_[2]}</ijR>"
        exchange += f"<spin_exchange_term>{place}<data>{vector(np.full(3, J / 2))}</data></spin_exchange_term>"
        dmi += f"<spin_DMI_term>{place}<data>{vector(d / 2)}</data></spin_DMI_term>"
    single = (
        "<spin_uniaxial_SIA_term><i>2 </i><amplitude>0.001</amplitude><direction>1 1 0</direction></spin_uniaxial_SIA_term>"
    )
    path.write_text(
        f'<?xml version="1.0" ?><System_definition><unit_cell units="bohrradius">{cell}</unit_cell>{atoms}{ligand}'
        f"<spin_exchange_list><nterms>16</nterms>{exchange}</spin_exchange_list><spin_DMI_list>{dmi}</spin_DMI_list>"
        f"<spin_uniaxial_SIA_list>{single}</spin_uniaxial_SIA_list></System_definition>"
    )


def test_tb2j(tmp_path: Path) -> None:
    write_tb2j(tmp_path / "exchange.xml")
    table, atoms = read_tb2j(tmp_path / "exchange.xml")
    assert atoms.get_chemical_formula() == "Fe2"
    np.testing.assert_allclose(atoms.get_initial_magnetic_moments(), [[0, 0, 2.2]] * 2)
    np.testing.assert_allclose(table.isotropic(), np.full(8, J))
    np.testing.assert_allclose(np.linalg.norm(table.dmi(), axis=1), np.full(8, D))
    whole = crystal()
    second = np.linalg.norm((whole.positions / A) % 1.0 - 0.5, axis=1) < 1e-3
    single = UniaxialAnisotropyCalculator(0.001, (1, 1, 0))
    calc = BondTableCalculator(table)
    expected = reference().get_property("energy", whole)
    expected += -0.001 * np.sum((whole.get_initial_magnetic_moments()[second] / 2.2 @ [1, 1, 0]) ** 2) / 2
    assert calc.get_property("energy", whole) == pytest.approx(expected, rel=1e-9)
    assert single.symmetries != calc.symmetries
    assert "spin_rotation" not in calc.symmetries


@pytest.mark.parametrize("style", ["vectors", "direct", "cells", "reduced by symmetry"])
def test_uppasd(tmp_path: Path, style: str) -> None:
    """UppASD counts every pair twice too, in mRy."""
    half, unit = 1e3 / ase.units.Ry / 2, np.eye(3)
    lines, dm = [], []
    for i, j, cell, d in bonds():
        along = np.array(cell) + (0.5 if i == 0 else -0.5)
        place = cell if style == "cells" else along
        lines.append(f"{i + 1} {j + 1} {vector(np.array(place))} {J * half:.12e}")
        dm.append(f"{i + 1} {j + 1} {vector(np.array(place))} {vector(d * half)}")
    symmetric = style == "reduced by symmetry"
    if symmetric:  # one vector stands for all eight, for each of the two types
        lines = [f"1 2 0.5 0.5 0.5 {J * half:.12e}", f"2 1 0.5 0.5 0.5 {J * half:.12e}"]
    (tmp_path / "jfile").write_text(f"{len(lines)} 0\n" + "\n".join(lines))
    (tmp_path / "dmfile").write_text("\n".join(dm))
    (tmp_path / "posfile").write_text("1 1 0.0 0.0 0.0\n2 2 0.5 0.5 0.5\n")
    (tmp_path / "momfile").write_text("1 1 2.2 0 0 1\n2 1 2.0 0 0 1\n")
    rows = [vector(row) for row in unit]
    (tmp_path / "inpsd.dat").write_text(
        f"simid bccFe\ncell {rows[0]}\n {rows[1]}\n {rows[2]}\nposfile ./posfile  # sites\nmomfile ./momfile\n"
        f"exchange ./jfile\n{'' if symmetric else 'dm ./dmfile'}\nmaptype {2 if style == 'cells' else 1}\n"
        f"posfiletype {'D' if style == 'direct' else 'C'}\nbc P P P\nsym {1 if symmetric else 0}\nalat {A * 1e-10}\n"
    )
    table, atoms = read_uppasd(tmp_path / "inpsd.dat")
    np.testing.assert_allclose(np.linalg.norm(atoms.get_initial_magnetic_moments(), axis=1), [2.2, 2.0])
    check(BondTableCalculator(table), reference(dmi=not symmetric))
    if not symmetric:
        other, _ = read_uppasd(tmp_path / "inpsd.dat", dmi_sign=1)
        np.testing.assert_allclose(other.dmi(), -table.dmi())


def write_vampire(path: Path, kind: str, drop: int = 0) -> None:
    """Vampire counts every pair once: it has our J, in joules."""
    lines = []
    for k, (i, j, cell, d) in enumerate(bonds()[drop:]):
        tensor = J * np.eye(3) + np.cross(d, np.eye(3))
        values = {"isotropic": [J], "vectorial": [J, J, J], "tensorial": tensor, "2": tensor}[kind]
        place = f"{cell[0]} {cell[1]} {cell[2]}"
        lines.append(f"{k} {i} {j} {place} {vector(np.array(values) * ase.units._e)}")
    path.write_text(
        f"# Unit cell size:\n{A} {A} {A}\n# Unit cell vectors:\n1 0 0\n0 1 0\n0 0 1\n# Atoms\n2 1\n0 0.0 0.0 0.0 0 0 0\n"
        f"1 0.5 0.5 0.5 0 0 0\n# Interactions\n{len(lines)} {kind}\n" + "\n".join(lines)
    )


@pytest.mark.parametrize("kind", ["isotropic", "vectorial", "tensorial", "2"])
def test_vampire(tmp_path: Path, kind: str) -> None:
    write_vampire(tmp_path / "fe.ucf", kind)
    table, _ = read_vampire(tmp_path / "fe.ucf")
    calc = BondTableCalculator(table)
    check(calc, reference(dmi=kind in ("tensorial", "2")))
    assert ("spin_rotation" in calc.symmetries) == (kind in ("isotropic", "vectorial"))


def test_from_an_input_file(tmp_path: Path) -> None:
    write_vampire(tmp_path / "fe.ucf", "tensorial")
    config = BondTableCalculator.Config(file=str(tmp_path / "fe.ucf"), format="vampire")
    check(BondTableCalculator.from_config(config), reference())


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*nothing\.xml"):
        read_tb2j(tmp_path / "nothing.xml")
    (tmp_path / "other.xml").write_text("<svg></svg>")
    with pytest.raises(InputError, match=r"no exchange\.xml of TB2J: it begins with <svg>"):
        read_tb2j(tmp_path / "other.xml")
    write_vampire(tmp_path / "half.ucf", "isotropic", drop=1)
    with pytest.raises(InputError, match="has no opposite"):
        read_vampire(tmp_path / "half.ucf")
    (tmp_path / "short.ucf").write_text("1 1 1\n1 0 0\n")
    with pytest.raises(InputError, match="no unit cell file of Vampire: it has 2 lines"):
        read_vampire(tmp_path / "short.ucf")
    (tmp_path / "n.ucf").write_text("1 1 1\n1 0 0\n0 1 0\n0 0 1\n1 1\n0 0 0 0\n1 normalised-isotropic\n0 0 0 1 0 0 1\n")
    with pytest.raises(InputError, match="'normalised-isotropic' is not understood"):
        read_vampire(tmp_path / "n.ucf")
    (tmp_path / "inpsd.dat").write_text("cell 1 0 0\n0 1 0\n0 0 1\nposfile p\n")
    with pytest.raises(InputError, match="'exchange' is missing"):
        read_uppasd(tmp_path / "inpsd.dat")
    (tmp_path / "inpsd.dat").write_text("cell 1 0 0\n0 1 0\n0 0 1\nposfile p\nexchange j\nsym 4\n")
    (tmp_path / "p").write_text("1 1 0 0 0\n")
    with pytest.raises(InputError, match="4 and 5 need a file of operations"):
        read_uppasd(tmp_path / "inpsd.dat")


@pytest.mark.parametrize(
    ("changed", "text", "message"),
    [
        ("jfile", "1 2 0.5 0.5 x 1.0\n", "line 1, column 5: 'x' is no number"),
        ("jfile", "1 2 0.5 0.5 0.5 1.0\n", r"the bond 1 -> 2 in cell \(0, 0, 0\) \(line 1\) has no opposite"),
        ("jfile", "1 2 0.5 0.5 0.5 1.0\n1 2 0.5 0.5\n", "line 2 has 4 columns, 6 are needed"),
        ("momfile", "9 1 2.0 0 0 1\n", "line 1: site 9, species 1; the posfile has 2 sites"),
    ],
)
def test_bad_lines_of_uppasd(tmp_path: Path, changed: str, text: str, message: str) -> None:
    files = {
        "jfile": "1 2 0.5 0.5 0.5 1.0d0\n2 1 -0.5 -0.5 -0.5 1.0\n",
        "posfile": "1 1 0 0 0\n2 2 0.5 0.5 0.5\n",
        "momfile": "1 1 2 0 0 1\n2 1 2 0 0 1\n",
    }
    for name, content in (files | {changed: text}).items():
        (tmp_path / name).write_text(content)
    (tmp_path / "inpsd.dat").write_text("cell 1 0 0\n0 1 0\n0 0 1\nposfile posfile\nexchange jfile\nmomfile momfile\n")
    with pytest.raises(InputError, match=message):
        read_uppasd(tmp_path / "inpsd.dat")
    with pytest.raises(InputError, match="dmi_sign must be -1 or 1"):
        read_uppasd(tmp_path / "inpsd.dat", dmi_sign=0)


def test_a_table_is_refused_on_another_structure(tmp_path: Path) -> None:
    write_vampire(tmp_path / "fe.ucf", "tensorial")
    calc = BondTableCalculator(read_vampire(tmp_path / "fe.ucf")[0])
    moved = crystal()
    moved.positions[7] += 0.3
    with pytest.raises(InvalidGeometryError, match="site 7 at"):
        calc.get_property("energy", moved)
    other = crystal()
    other.set_cell(other.cell.array * [[1.1], [1], [1]])
    with pytest.raises(InvalidGeometryError, match="cell vector 0"):
        calc.get_property("energy", other)
    double = crystal()
    double.positions[3] = double.positions[1]
    with pytest.raises(InvalidGeometryError, match=r"sites \d and \d are at the same place"):
        calc.get_property("energy", double)
    with pytest.raises(ModelError, match="tensors has shape"):
        BondTable(
            np.zeros((1, 3)), np.eye(3), np.zeros(1, int), np.zeros(1, int), np.zeros((1, 3), int), np.zeros((2, 3, 3))
        )


@pytest.mark.parametrize(("name", "value"), [("biquadratic", np.zeros(2)), ("cubic", np.full((1, 2), np.nan))])
def test_parts_of_a_table_have_their_shapes(name: str, value: np.ndarray) -> None:
    none = np.zeros(1, int)
    with pytest.raises(ModelError, match=f"bond table: {name} must be finite of shape"):
        BondTable(np.zeros((1, 3)), np.eye(3), none, none, np.ones((1, 3), int), np.zeros((1, 3, 3)), **{name: value})


def test_an_open_slab_and_a_skewed_supercell(tmp_path: Path) -> None:
    """Bonds across an open boundary are left out; whole combinations of cell vectors are a repetition too."""
    write_vampire(tmp_path / "fe.ucf", "tensorial")
    calc = BondTableCalculator(read_vampire(tmp_path / "fe.ucf")[0])
    slab = crystal()
    slab.pbc = (True, True, False)
    assert calc.get_property("energy", slab) == pytest.approx(reference().get_property("energy", slab), rel=1e-9)
    skewed = crystal()
    skewed.set_cell(skewed.cell.array + np.array([[0, A, 0], [0, 0, 0], [0, 0, 0]]))
    assert calc.get_property("energy", skewed) == pytest.approx(reference().get_property("energy", skewed), rel=1e-9)
    single = SpinAtoms(crystal(spins=False)[:2], cell=A * np.eye(3), pbc=True, moments=[0, 0, 2.2])
    assert calc.get_property("energy", single) == pytest.approx(-8 * J)
