"""What files keep of a magnet beyond positions and moments: reference lengths, g factors, units, clocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.db import connect
from ase.io import read, write

from spinase import SpinAtoms
from spinase import atoms as sa
from spinase.errors import InputError
from spinase.io import read_run, write_frames
from spinase.io.database import read_magnet, write_magnet
from spinase.run import RunOptions, read_input, run_file
from spinase.run.build import build_setup

FREE = """
    units = "reduced"
    atoms = { lattice = "square", size = [2, 2], moment = 1.3, g = 2.0023 }
    calculator = { style = "sum", terms = [
      { style = "heisenberg", shells = [0.3] }, { style = "landau", coefficients = [-1.0, 0.3, 0.0] }] }
    stage = [{ driver = "llg", steps = 6, timestep = 0.05, longitudinal_rate = 0.3 }]
    output = { every = 3 }
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("free")
    (folder / "input.toml").write_text(FREE, encoding="utf-8")
    return read_run(run_file(folder / "input.toml", options=RunOptions(output=folder / "out")))


def test_a_run_of_free_lengths_keeps_what_they_are_measured_in(run):
    last = run.atoms()
    lengths = np.linalg.norm(last.moments, axis=1)
    assert np.abs(lengths - 1.3).max() > 1e-3
    assert sa.get_reference_lengths(last) == pytest.approx(np.full(4, 1.3))
    assert last.g_factors.tolist() == [2.0023] * 4


def test_a_run_of_fixed_lengths_has_none(tmp_path):
    text = FREE.replace(", longitudinal_rate = 0.3", "").replace(", g = 2.0023", "")
    (tmp_path / "input.toml").write_text(text, encoding="utf-8")
    fixed = read_run(run_file(tmp_path / "input.toml", options=RunOptions(output=tmp_path / "out")))
    assert fixed.reference_lengths is None
    assert fixed.g_factors is None
    assert set(fixed.atoms().arrays) == {"numbers", "positions", "initial_magmoms", "reduced_units"}


class TestFrames:
    @pytest.mark.parametrize(("name", "accuracy"), [("a.xyz", 6e-9), ("a.extxyz", 6e-9), ("a.traj", 0.0)])
    def test_formats_with_moments_get_step_and_time(self, run, name, accuracy, tmp_path):
        write_frames(run, tmp_path / name)
        frames = read(tmp_path / name, ":")
        assert [atoms.info["step"] for atoms in frames] == [0, 3, 6]
        assert [atoms.info["time"] for atoms in frames] == pytest.approx([0.0, 0.15, 0.3], abs=1e-12)
        for k, atoms in enumerate(frames):
            assert sa.get_units(atoms).name == "reduced"
            assert np.abs(sa.get_moments(atoms) - run.moments[k]).max() <= accuracy
            if not name.endswith("traj"):
                assert sa.get_reference_lengths(atoms) == pytest.approx(run.reference_lengths, abs=1e-8)

    @pytest.mark.parametrize(
        "name", ["a.cif", "POSCAR", "a.vasp", "a.xsf", "lammps.data", "a.json", "a.db", "a.gen", "a.pdb", "a.nothing", "a"]
    )
    def test_formats_that_lose_them_are_refused(self, run, name, tmp_path):
        with pytest.raises(
            InputError, match=r"lose their vector moments or their unit system: write .xyz \(extended XYZ\) or"
        ):
            write_frames(run, tmp_path / name)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["db", "json"])
def test_databases_keep_reference_lengths_and_g(kind, tmp_path):
    atoms = SpinAtoms("FeGd", positions=[[0, 0, 0], [0, 0, 2]], moments=[[0, 0, 1.1], [0, 3.3, 0]], units="reduced")
    with connect(tmp_path / f"a.{kind}") as database:
        plain = write_magnet(database, atoms)
        atoms.g_factors = [2.1, 2.0]
        sa.set_reference_lengths(atoms, [1.0, 3.0])
        full = write_magnet(database, atoms)
    rows = connect(tmp_path / f"a.{kind}")
    back = read_magnet(rows.get(full))
    assert sa.get_reference_lengths(back).tolist() == [1.0, 3.0]
    assert back.g_factors.tolist() == [2.1, 2.0]
    back = read_magnet(rows.get(plain))
    assert sa.get_reference_lengths(back) is None
    assert back.g_factors.tolist() == [2.0, 2.0]


class TestAtomsOfInputFiles:
    TEXT = """
        units = "metal"
        atoms = { file = "a.xyz" }
        calculator = { style = "zeeman", field = [0.0, 0.0, 0.1] }
        stage = [{ driver = "llg", steps = 1, timestep = 0.1 }]
    """

    def setup_of(self, folder: Path, column: str, values: str) -> SpinAtoms:
        (folder / "a.xyz").write_text(
            f'1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3:{column} pbc="T T T"\nFe 0 0 0 {values}\n'
        )
        (folder / "input.toml").write_text(self.TEXT, encoding="utf-8")
        return build_setup(read_input(folder / "input.toml")[0], folder).atoms

    @pytest.mark.parametrize("column", ["magmoms:R:3", "magmoms:I:3", "REF_magmom:R:3", "initial_magmoms:I:3"])
    def test_keep_finds_moments_under_their_usual_names(self, column, tmp_path):
        assert self.setup_of(tmp_path, column, "0 2 -1").moments.tolist() == [[0, 2, -1]]

    def test_keep_says_what_columns_there_are(self, tmp_path):
        with pytest.raises(
            InputError, match=r"no magnetic moments in a.xyz \(the other columns are: mu \(3,\)\): choose an"
        ):
            self.setup_of(tmp_path, "mu:R:3", "0 2 -1")

    def test_columns_that_differ_are_an_input_error(self, tmp_path):
        with pytest.raises(InputError, match=r"\[atoms\] file: .*a.xyz: the columns magmom and REF_magmom both look like"):
            self.setup_of(tmp_path, "magmom:R:3:REF_magmom:R:3", "0 2 -1 0 1 -1")

    def test_units_of_the_marks_count(self, tmp_path):
        write(tmp_path / "b.xyz", SpinAtoms("Fe", moments=(0, 0, 1), units="reduced"))
        text = (tmp_path / "b.xyz").read_text().replace("units=reduced ", "")
        assert "units=" not in text
        (tmp_path / "a.xyz").write_text(text)
        (tmp_path / "input.toml").write_text(self.TEXT, encoding="utf-8")
        with pytest.raises(InputError, match="is in reduced units but the input says units = 'metal'"):
            build_setup(read_input(tmp_path / "input.toml")[0], tmp_path)
