"""Running input files: outputs, restart to the last bit, kills, signals, every stage kind, bad input."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from systems.inputs import NOISY, square_run
from systems.run_bytes import content

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator
from spinase.dynamics.checkpoint import load_checkpoint
from spinase.errors import CheckpointError, InputError, MissingMagneticForcesError, SpinaseError, StyleError
from spinase.io import read_run
from spinase.run import RunOptions, RunStopped, build_setup, read_input, run_file

INPUT = 'title = "test"\n' + square_run(
    5,
    4,
    f"""[[stage]]
driver = "llg"
steps = 40
{NOISY}[[stage]]
driver = "llg"
name = "cool"
steps = 35
timestep = 0.07
damping = 0.3
[[observer]]
style = "energy"
every = 3
[[observer]]
style = "magnetization"
every = 10
[output]
every = 5
checkpoint_every = 7
results = ["magnetic_forces"]
""",
)
ED_INPUT = INPUT.replace(
    'style = "heisenberg"\nshells = [1.0]', 'style = "ed"\ncoupling = 2.0\nfilling = 0.4\nkT = 0.1'
).replace("coupling = 2.0", 'coupling = 2.0\nhopping = { style = "shell", amplitudes = [1.0] }')


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.toml").write_text(INPUT)
    return tmp_path


def test_outputs_are_complete(here: Path) -> None:
    reports: list[tuple[int, int, str]] = []
    path = run_file("in.toml", progress=lambda *report: reports.append(report))
    assert path == here / "in_run" / "run.h5"
    run = read_run(path)
    np.testing.assert_array_equal(run.steps, np.arange(0, 76, 5))
    np.testing.assert_allclose(run.times[-1], 40 * 0.1 + 35 * 0.07)
    energy = run.observables["energy"]
    assert all(series.steps.tolist() == [*range(0, 76, 3)] for series in energy.values())
    assert run.results["magnetic_forces"].shape == (16, 20, 3)
    assert reports[-1] == (75, 75, "cool")
    lines = (here / "in_run" / "log.txt").read_text().splitlines()
    assert len(lines) == 17
    assert float(lines[-1].split()[2]) < float(lines[1].split()[2])
    assert run.provenance["seed"] == "3"
    assert INPUT.strip() in run.provenance["input"]
    assert '"ase"' in run.provenance["versions"]
    assert (here / "in_run" / "input.toml").read_text() == INPUT


def test_the_log_counts_the_energy_of_the_drivers_field(here: Path) -> None:
    field, set_field = np.array([0.1, 0.2, 0.7]), "stage.1.field=[0.1, 0.2, 0.7]"
    run = read_run(run_file("in.toml", [set_field]))
    last = (here / "in_run" / "log.txt").read_text().splitlines()[-1].split()
    moments, frame = run.moments[-1], run.atoms(-1)
    frame.calc = HeisenbergCalculator(shells=[1.0])
    counted = frame.get_potential_energy() / len(frame) - (moments @ field).mean()
    assert float(last[2]) == pytest.approx(counted, abs=1e-10)
    assert run.observables["energy"]["per_site"].values[-1] == pytest.approx(counted, abs=1e-10)
    torques = np.cross(moments, run.results["magnetic_forces"][-1] + field)
    assert float(last[4]) == pytest.approx(np.sqrt((torques**2).sum(axis=1).mean()), rel=1e-7)


def test_an_integrator_beside_the_input_is_used(here: Path) -> None:
    (here / "lazy_spins.py").write_text(
        "from spinase.dynamics import Integrator\n\n"
        "class Lazy(Integrator):\n    def step(self, spins, rate, timestep):\n        return spins\n"
    )
    run = read_run(run_file("in.toml", ["stage.0.integrator=lazy_spins:Lazy", "stage.1.integrator=lazy_spins:Lazy"]))
    np.testing.assert_allclose(run.moments[-1], run.moments[0], rtol=0, atol=1e-15)
    with pytest.raises(StyleError, match="makes a dict: it must derive from Integrator"):
        run_file("in.toml", ["stage.0.integrator=builtins:dict"], RunOptions(output=here / "other"))


@pytest.mark.parametrize("text", [INPUT, ED_INPUT], ids=["heisenberg", "ed"])
@pytest.mark.parametrize("cuts", [[13, 40, 61], [0], [7, 14, 74]])
def test_a_cut_run_gives_the_same_bytes_as_a_whole_one(here: Path, text: str, cuts: list[int]) -> None:
    (here / "in.toml").write_text(text)
    whole = run_file("in.toml", options=RunOptions(output=here / "whole"))
    for number, cut in enumerate(cuts):
        with pytest.raises(RunStopped, match=f"stopped after {cut} steps of 75 steps; go on with --restart"):
            run_file("in.toml", options=RunOptions(output=here / "cut", restart=number > 0, stop_after=cut))
    parts = run_file("in.toml", options=RunOptions(output=here / "cut", restart=True))
    assert content(parts) == content(whole)
    assert (here / "cut" / "log.txt").read_bytes() == (here / "whole" / "log.txt").read_bytes()


def test_seeds_decide_everything(here: Path) -> None:
    one, two = (run_file("in.toml", options=RunOptions(output=here / name)) for name in "ab")
    other = run_file("in.toml", ["seed=4"], RunOptions(output=here / "c"))
    assert content(one) == content(two)
    assert content(one) != content(other)


def launch(here: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "spinase.cli", "run", "in.toml", "--no-figures", "-o", "killed", *words]
    return subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_steps(here: Path, steps: int) -> None:
    """Wait until the log of the run has a line of at least so many steps."""
    deadline = time.monotonic() + 60
    log = here / "killed" / "log.txt"
    while time.monotonic() < deadline:
        lines = log.read_text().splitlines() if log.exists() else []
        if len(lines) > 1 and lines[-1].split() and int(lines[-1].split()[0]) >= steps:
            return
        time.sleep(0.03)
    raise AssertionError("the run did not get going")


def test_a_killed_run_leaves_a_readable_file_and_restarts_to_the_same_bytes(here: Path) -> None:
    text = INPUT.replace("steps = 40", "steps = 1200").replace("every = 5", "every = 20").replace("[5, 4]", "[12, 12]")
    (here / "in.toml").write_text(text.replace("checkpoint_every = 7", "checkpoint_every = 50"))
    whole = run_file("in.toml", options=RunOptions(output=here / "whole"))
    for number, steps in enumerate((100, 400, 700)):
        process = launch(here, *(["--restart"] if number else []))
        wait_for_steps(here, steps)
        process.kill()
        process.communicate()
        run = read_run(here / "killed" / "run.h5")
        assert len(run) >= steps // 20
        assert np.isfinite(run.moments).all()
        assert load_checkpoint(here / "killed" / "checkpoint.npz")["step"] <= 1235
    parts = run_file("in.toml", options=RunOptions(output=here / "killed", restart=True))
    assert content(parts) == content(whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_with_a_checkpoint(here: Path, number: int) -> None:
    (here / "in.toml").write_text(INPUT.replace("steps = 40", "steps = 4000000"))
    process = launch(here)
    wait_for_steps(here, 20)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert f"stopped by signal {int(number)}" in out.decode()
    assert b"--restart" in out
    assert err.decode().splitlines()[1:] == [], "one line: that the stage began"
    assert load_checkpoint(here / "killed" / "checkpoint.npz")["step"] > 0


def test_existing_runs_are_not_overwritten_by_accident(here: Path) -> None:
    run_file("in.toml")
    with pytest.raises(InputError, match="already holds a run: use --restart to go on, --overwrite to replace it"):
        run_file("in.toml")
    run_file("in.toml", options=RunOptions(overwrite=True))
    run_file("in.toml", options=RunOptions(restart=True))


def test_restart_refuses_another_input_and_a_broken_checkpoint(here: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint .* start without --restart"):
        run_file("in.toml", options=RunOptions(restart=True))
    with pytest.raises(RunStopped):
        run_file("in.toml", options=RunOptions(stop_after=10))
    with pytest.raises(CheckpointError, match=r"the input differs from the one .* in stage.0.damping \(see "):
        run_file("in.toml", ["stage.0.damping=0.5"], RunOptions(restart=True))
    (here / "in_run" / "checkpoint.npz").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        run_file("in.toml", options=RunOptions(restart=True))


def test_a_finished_run_is_made_longer(here: Path) -> None:
    """Its steps come out as those of a run that was so long from the start; at its former end it has a frame more."""
    whole = read_run(run_file("in.toml", options=RunOptions(output=here / "whole")))
    short = ["stage.1.steps=20"]
    run_file("in.toml", short, RunOptions(output=here / "short"))
    longer = read_run(run_file("in.toml", options=RunOptions(output=here / "short", restart=True)))
    np.testing.assert_array_equal(longer.steps, whole.steps)
    np.testing.assert_array_equal(longer.moments, whole.moments)
    assert longer.times[-1] == whole.times[-1]
    assert run_file("in.toml", options=RunOptions(output=here / "short", restart=True)) is not None
    with pytest.raises(CheckpointError, match="stage 1 .* has 35 steps behind it: it cannot end after 20"):
        run_file("in.toml", short, RunOptions(output=here / "short", restart=True))


def test_a_ramp_as_long_as_its_stage_cannot_be_made_longer(here: Path) -> None:
    ramp = ["stage.1.kT={ from = 0.1, to = 0.2 }"]
    run_file("in.toml", ramp)
    with pytest.raises(CheckpointError, match="a ramp as long as the stage"):
        run_file("in.toml", [*ramp, "stage.1.steps=50"], RunOptions(restart=True))


SUM = """calculator = { style = "sum", terms = [
  { style = "heisenberg", shells = [1.0] }, { style = "zeeman", field = [0.0, 0.0, 1.0], weight = 2.0 } ] }
"""


def test_sums_files_disorder_and_stage_calculators(here: Path) -> None:
    head, tail = INPUT.split("[calculator]")
    rest = "[[stage]]" + tail.split("[[stage]]", 1)[1]
    (here / "sum.toml").write_text(SUM + head + rest)
    magnetized = read_run(run_file("sum.toml"))
    plain = read_run(run_file("in.toml"))
    assert magnetized.moments[-1, :, 2].mean() > plain.moments[-1, :, 2].mean() + 0.3
    magnetized.atoms().write(here / "magnet.traj")
    from_file = INPUT.replace('lattice = "square"\nsize = [5, 4]', 'file = "magnet.traj"')
    (here / "file.toml").write_text(from_file)
    again = read_run(run_file("file.toml"))
    np.testing.assert_allclose(again.moments[0], magnetized.moments[-1], atol=1e-15)
    box = INPUT.replace('lattice = "square"\nsize = [5, 4]', "disordered = { sites = 20 }")
    law = "law = { amplitude = 0.5, decay = 2.0, reference = 1.0, cutoff = 2.0 }"
    own = box.replace("shells = [1.0]", law).replace(
        'name = "cool"', 'name = "cool"\ncalculator = { style = "uniaxial", strength = 0.5 }'
    )
    (here / "box.toml").write_text(own)
    assert len(read_run(run_file("box.toml"))) == 16


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("calculator.shels=[1.0]", InputError, r"unknown key 'shels' in \[calculator\] \(did you mean 'shells'\?\)"),
        ("calculator.style=heisenbrg", StyleError, r"unknown calculator 'heisenbrg' \(did you mean 'heisenberg'\?\)"),
        ("output.evry=3", InputError, r"unknown key 'evry' in .*output \(did you mean 'every'\?\)"),
        ("stage.0.dampng=3", InputError, r"unknown key 'dampng' in \[\[stage\]\] 0 \(did you mean 'damping'\?\)"),
        ("stage.0.steps=-1", InputError, r"\[\[stage\]\] 0 steps: a whole number of steps is needed, got -1"),
        ("stage.0.timestep=-0.1", InputError, r"\[\[stage\]\] 0 timestep: .* greater than 0 \(got -0.1\)"),
        ("stage.0.integrator=rk4", SpinaseError, "unknown integrator 'rk4'"),
        ("stage.5.steps=1", InputError, "--set stage.5.steps: '5' is not one of 0..1"),
        ("observer.0.every=0", InputError, r"\[\[observer\]\] 0 every: a positive number"),
        ("atoms.lattice=hexagon", SpinaseError, "unknown lattice 'hexagon'"),
        ("atoms.file=x.xyz", InputError, "give exactly one of lattice, disordered and file"),
        ("units=imperial", InputError, "units: .* 'reduced' or 'metal' .*got 'imperial'"),
        ("spins.style=keep", InputError, "but the file has no magnetic moments|keep"),
        ("output.results=['dipole']", InputError, r"\[output\] results: HeisenbergCalculator has no 'dipole'"),
        ("calculator={style='ase.calculators.emt:EMT'}", SpinaseError, "EMT"),
        ("nonsense", InputError, "--set needs key=value, got 'nonsense'"),
    ],
)
def test_bad_input_is_explained(here: Path, override: str, error: type[Exception], message: str) -> None:
    if override == "spins.style=keep":
        (here / "bare.xyz").write_text("2\n\nFe 0 0 0\nFe 0 0 1\n")
        (here / "in.toml").write_text(INPUT.replace('lattice = "square"\nsize = [5, 4]', 'file = "bare.xyz"'))
    with pytest.raises(error, match=message):
        run_file("in.toml", [override])


def test_missing_and_unreadable_files_are_named(here: Path) -> None:
    with pytest.raises(InputError, match="cannot read the input file nothing.toml: No such file"):
        run_file("nothing.toml")
    (here / "bad.toml").write_text("a = [1,")
    with pytest.raises(InputError, match="bad.toml is no valid TOML"):
        run_file("bad.toml")
    with pytest.raises(InputError, match=r"\[atoms\] file: cannot read frame -1 of .*gone.xyz"):
        run_file("in.toml", ["atoms={file='gone.xyz'}"])


def test_a_file_is_repeated_with_its_moments(here: Path) -> None:
    SpinAtoms.lattice("square", size=(2, 1), units="reduced", rng=3).write(here / "cell.xyz")
    text = INPUT.replace('lattice = "square"\nsize = [5, 4]', 'file = "cell.xyz"\nsize = [2, 3, 1]')
    (here / "in.toml").write_text(text)
    atoms = build_setup(read_input(here / "in.toml", ())[0], here).atoms
    assert len(atoms) == 12
    np.testing.assert_allclose(atoms.cell.lengths()[:2], [4.0, 3.0])
    np.testing.assert_allclose(atoms.spins[:2], atoms.spins[-2:])
    for size in ("[2, 3]", "[2, 0, 1]"):
        with pytest.raises(InputError, match=r"\[atoms\] size = .*: three numbers of cells, 1 or more"):
            run_file("in.toml", [f"atoms.size={size}"])
    with pytest.raises(InputError, match="a lattice needs its size"):
        run_file("in.toml", ["atoms={lattice='square'}"])
    with pytest.raises(InputError, match="sites at random have no size: give their number"):
        run_file("in.toml", ["atoms={disordered={sites=9}, size=[3]}"])


def test_a_file_of_spins_alone_is_no_file_of_atoms(here: Path) -> None:
    (here / "start.ovf").write_text("# OOMMF OVF 2.0\n")
    message = r'ASE knows no atoms in .*start.ovf.*: \[spins\] style = "file", path = "start.ovf"'
    with pytest.raises(InputError, match=message):
        run_file("in.toml", ["atoms={file='start.ovf'}"])


def test_a_calculator_without_magnetic_forces_is_refused(here: Path) -> None:
    with pytest.raises((MissingMagneticForcesError, SpinaseError), match="EMT"):
        run_file(
            "in.toml", ["units='metal'", "calculator={style='ase.calculators.emt:EMT'}", "output.results=[]", "observer=[]"]
        )
