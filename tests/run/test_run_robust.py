"""Runs when things go wrong or are unusual: kills at any moment, scripts beside the input, changed files, state."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from systems.inputs import NOISY, square_run
from systems.run_bytes import content

from spinase.errors import CheckpointError, InputError, MissingMagneticForcesError, SpinaseError, StyleError
from spinase.io import read_run
from spinase.run import RunOptions, RunStopped, build_setup, read_input, run_file

INPUT = square_run(
    5,
    4,
    f"""[[stage]]
steps = 20
{NOISY}[[stage]]
steps = 15
timestep = 0.07
damping = 0.3
[[observer]]
style = "energy"
every = 3
[output]
every = 5
checkpoint_every = 4
""",
)

SCRIPT = """
import os
import time
import numpy as np
from ase.calculators.calculator import Calculator
from pydantic import BaseModel
from spinase.atoms import get_moments
from spinase.calculators import HeisenbergCalculator
from spinase.quantities import Quantity


class Plain(Calculator):
    # Knows nothing of spinase but the one property, not even torques.

    implemented_properties = ["energy", "magnetic_forces"]

    def __init__(self, strength: float = 1.0):
        super().__init__()
        self.strength = strength

    def calculate(self, atoms=None, properties=None, system_changes=None):
        if os.path.exists("slow"):
            time.sleep(60)
        field = np.zeros((len(atoms), 3)) + [0.0, 0.0, self.strength]
        self.results = {"energy": -float(np.sum(get_moments(atoms) * field)), "magnetic_forces": field}


class Wandering(HeisenbergCalculator):
    # Its field depends on how often it was asked: a restart must know that.

    asked = 0

    def solve(self, frozen, spins, lengths):
        self.asked += 1
        return super().solve(frozen, spins, lengths)

    def derive(self, name, frozen, state, spins, lengths):
        result = super().derive(name, frozen, state, spins, lengths)
        return result * (1.0 + 1e-3 * self.asked) if name == "magnetic_forces" else result

    def checkpoint_state(self):
        return {"asked": self.asked}

    def restore_state(self, state):
        self.asked = state["asked"]


class Overlap:
    # Overlap with the first spins: what it prepares must be the same after a restart.

    class Config(BaseModel):
        pass

    name = "overlap"
    quantities = {"overlap": Quantity("overlap")}

    @classmethod
    def from_config(cls, config):
        return cls()

    def prepare(self, atoms):
        self.first = get_moments(atoms)
        return {"first": self.first}

    def observe(self, atoms):
        return {"overlap": float(np.mean(np.sum(self.first * get_moments(atoms), axis=1)))}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an input and a script; the current directory is another one."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "beside", raising=False)
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "in.toml").write_text(INPUT)
    (folder / "beside.py").write_text(SCRIPT)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def cut_and_whole(file: Path, overrides: list[str], cut: int) -> None:
    """A run in two parts and a whole one, compared byte by byte."""
    whole = run_file(file, overrides, RunOptions(output=file.parent / "whole"))
    with pytest.raises(RunStopped):
        run_file(file, overrides, RunOptions(output=file.parent / "cut", stop_after=cut))
    parts = run_file(file, overrides, RunOptions(output=file.parent / "cut", restart=True))
    assert content(parts) == content(whole)
    assert (file.parent / "cut" / "log.txt").read_bytes() == (file.parent / "whole" / "log.txt").read_bytes()


def test_a_script_beside_the_input_is_found_and_others_do_not_make_folders_importable(here: Path) -> None:
    run_file(here / "in.toml")
    assert str(here.resolve()) not in sys.path
    run = read_run(run_file(here / "in.toml", ["calculator={style='beside:Plain', strength=0.5}"], RunOptions(here / "own")))
    assert run.observables["energy"]["per_site"].values[-1] == pytest.approx(-0.5 * run.moments[-1][:, 2].mean())
    assert str(here.resolve()) in sys.path


def test_a_calculator_with_nothing_but_fields_turns_spins_to_its_field(here: Path) -> None:
    """Sense of the damping through the whole run: spins end along B, the rms torque in the log falls to zero."""
    folder = here / "plain"
    overrides = ["calculator={style='beside:Plain', strength=2.0}", "stage.0.kT=0.0", "stage.1.steps=1200"]
    (here / "in.toml").write_text(INPUT.replace("[output]", '[spins]\nstyle = "random"\n[output]'))
    with pytest.raises(SpinaseError, match="ignores them"):
        run_file(here / "in.toml", [overrides[0].replace("2.0", "0.0")], RunOptions(here / "none"))
    run = read_run(run_file(here / "in.toml", overrides, RunOptions(folder)))
    assert run.moments[-1][:, 2].min() > 0.999
    torques = [float(line.split()[4]) for line in (folder / "log.txt").read_text().splitlines()[1:]]
    first = np.cross(run.moments[0], [0.0, 0.0, 2.0])
    assert torques[0] == pytest.approx(np.sqrt(np.mean(np.sum(first**2, axis=1))), rel=1e-7)
    assert torques[-1] < 0.05 * torques[0]


@pytest.mark.parametrize("cut", [3, 20, 23])
def test_observers_are_prepared_on_the_first_atoms_after_a_restart_too(here: Path, cut: int) -> None:
    cut_and_whole(here / "in.toml", ["observer=[{style='beside:Overlap', every=2}]"], cut)
    overlap = read_run(here / "cut" / "run.h5").observables["overlap"]["overlap"].values
    assert overlap[0] == pytest.approx(1.0)
    assert abs(overlap[-1]) < 0.9


@pytest.mark.parametrize("cut", [3, 20, 23, 30])
@pytest.mark.parametrize("where", ["calculator", "stage.0.calculator", "stage.1.calculator"])
def test_calculators_with_a_state_of_their_own_go_on_where_they_were(here: Path, where: str, cut: int) -> None:
    """As the random phases of a stochastic solver do, which are new in every step."""
    wandering = [f"{where}={{style='beside:Wandering', shells=[1.0]}}"]
    cut_and_whole(here / "in.toml", wandering, cut)
    plain = run_file(here / "in.toml", options=RunOptions(here / "plain"))
    assert content(plain) != content(here / "whole" / "run.h5"), "the state does matter"


def test_an_input_that_fails_leaves_the_run_it_would_have_replaced(here: Path) -> None:
    path = run_file(here / "in.toml", options=RunOptions(here / "kept"))
    before = path.read_bytes()
    for override in ("stage.1.frozen=[99]", "observer.0.style='nothing'", "output.results=['dipole']"):
        with pytest.raises(SpinaseError):
            run_file(here / "in.toml", [override], RunOptions(here / "kept", overwrite=True))
    assert path.read_bytes() == before


def test_a_mistake_in_the_last_stage_is_found_at_once(here: Path) -> None:
    with pytest.raises(MissingMagneticForcesError, match="EMT gives no magnetic_forces"):
        run_file(here / "in.toml", ["stage.1.calculator={style='ase.calculators.emt:EMT'}"], RunOptions(here / "none"))
    overrides = ["stage.1.calculator={style='beside:Plain'}", "output.results=['torques']"]
    with pytest.raises(InputError, match=r"\[output\] results: Plain has no 'torques'"):
        run_file(here / "in.toml", overrides, RunOptions(here / "none"))
    assert not (here / "none").exists()


def test_a_run_killed_before_its_first_checkpoint_restarts_from_the_beginning(here: Path) -> None:
    whole = run_file(here / "in.toml", options=RunOptions(here / "whole"))
    with pytest.raises(RunStopped):
        run_file(here / "in.toml", options=RunOptions(here / "killed", stop_after=0))
    (here / "killed" / "checkpoint.npz").unlink()
    with pytest.raises(CheckpointError, match="start without --restart"):
        run_file(here / "in.toml", ["seed=4"], RunOptions(here / "killed", restart=True))
    assert content(run_file(here / "in.toml", options=RunOptions(here / "killed", restart=True))) == content(whole)


def test_a_calculator_s_file_that_changed_stops_a_restart(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    (here / "tabled.py").write_text(
        "from pathlib import Path\n"
        "from spinase.calculators import HeisenbergCalculator\n"
        "def calculator(file: str):\n"
        "    return HeisenbergCalculator([float(Path(file).read_text())])\n"
    )
    (here / "coupling.txt").write_text("1.0")
    table = 'style = "tabled:calculator"\nfile = "coupling.txt"'
    (here / "in.toml").write_text(INPUT.replace('style = "heisenberg"\nshells = [1.0]', table))
    with pytest.raises(RunStopped):
        run_file(here / "in.toml", options=RunOptions(here / "cut", stop_after=10))
    (here / "coupling.txt").write_text("2.0")
    with pytest.raises(CheckpointError, match=r"files that the input names have changed since .* \(coupling.txt\)"):
        run_file(here / "in.toml", options=RunOptions(here / "cut", restart=True))
    (here / "coupling.txt").write_text("1.0")
    run_file(here / "in.toml", options=RunOptions(here / "cut", restart=True))


def test_changed_or_damaged_files_stop_a_restart(here: Path) -> None:
    source = run_file(here / "in.toml", options=RunOptions(here / "source"))
    atoms = read_run(source).atoms()
    atoms.write(here / "magnet.traj")
    text = INPUT.replace('lattice = "square"\nsize = [5, 4]', 'file = "magnet.traj"')
    law = "law = { amplitude = 1.0, decay = 1.0, reference = 1.0, cutoff = 1.3 }"
    (here / "in.toml").write_text(text.replace("shells = [1.0]", law))
    folder = here / "cut"
    with pytest.raises(RunStopped):
        run_file(here / "in.toml", options=RunOptions(folder, stop_after=10))
    atoms.positions[3, 0] += 0.01
    atoms.write(here / "magnet.traj")
    with pytest.raises(CheckpointError, match=r"the atoms of the input are not those .* has \[atoms\] file changed"):
        run_file(here / "in.toml", options=RunOptions(folder, restart=True))
    atoms.positions[3, 0] -= 0.01
    atoms.write(here / "magnet.traj")
    (folder / "log.txt").write_text("short")
    with pytest.raises(CheckpointError, match=r"log.txt has 5 bytes instead of the checkpoint's \d+"):
        run_file(here / "in.toml", options=RunOptions(folder, restart=True))
    (folder / "run.h5").unlink()
    with pytest.raises(CheckpointError, match="there is no run file"):
        run_file(here / "in.toml", options=RunOptions(folder, restart=True))


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("calculator={style='sum', terms=[1]}", InputError, r"\[calculator\] terms.0: a table with a style .* got 1"),
        ("calculator={style='sum', terms=[{style='zeeman', field=[0,0,1], weight='x'}]}", InputError, "weight: a number"),
        (
            "calculator={stile='ed'}",
            InputError,
            r"key 'style' is missing in \[calculator\] \(did you mean it by 'stile'\?\)",
        ),
        ("calculator.style=4", InputError, r"\[calculator\] style: a name in quotes is needed, got 4"),
        ("stage.0.calculator=3", InputError, r"\[\[stage\]\] 0 calculator: a table with a style .* got 3"),
        ("stage.0={stps=3, timestep=0.1, calculator={style='ed'}}", InputError, "unknown key 'stps'.*did you mean 'steps'"),
        (
            "stage.0={timestep=0.1, calculator={style='ed'}}",
            InputError,
            "0 steps: a whole number of steps is needed, got None",
        ),
        ("stage.0.driver='json:dumps'", StyleError, "0: 'json:dumps' is no driver style, it has no from_config"),
        ("observer.0.style='json:dumps'", StyleError, "0: 'json:dumps' is no observer style, it has no from_config"),
        ("spins={style='spiral', wavevector='abc'}", InputError, r"\[spins\] wavevector: a number or a list .* got 'abc'"),
        ("spins={style='ferro', noise='abc'}", InputError, r"\[spins\] noise: a number is needed .*'abc'"),
        ("spins={style='ferro', nois=1}", InputError, r"unknown key 'nois' in \[spins\] \(did you mean 'noise'\?\)"),
        ("spins={style='keep', noise=1}", InputError, r"\[spins\] style = 'keep' has no options, got noise"),
        ("atoms.symbol='Xy'", InputError, r"\[atoms\] symbol: 'Xy' is no chemical symbol"),
        ("calculator={style='beside:Plain', strenth=1}", InputError, "unknown key 'strenth'.*did you mean 'strength'"),
        ("calculator={style='ase.calculators.lj:LennardJones', sigma=1}", InputError, "unknown key 'sigma'"),
        ("calculator.style='besides:Plain'", StyleError, "there is no module 'besides', neither beside the input file nor"),
        ("output.directory='in.toml/x'", InputError, "cannot write to the directory .*in.toml/x: Not a directory"),
    ],
)
def test_more_bad_input_is_explained(
    here: Path, override: str, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    with pytest.raises(error, match=message):
        run_file(here / "in.toml", [override])


def test_a_binary_file_is_no_input(here: Path) -> None:
    (here / "bad.toml").write_bytes(b"\x89HDF\xff")
    with pytest.raises(InputError, match="bad.toml is no text file in UTF-8"):
        run_file(here / "bad.toml")


def test_the_input_may_say_where_the_run_goes(here: Path) -> None:
    path = run_file(here / "in.toml", ["output.directory='results/first'"])
    assert path == here.parent / "elsewhere" / "results" / "first" / "run.h5"
    other = run_file(here / "in.toml", ["output.directory='results/first'"], RunOptions(here / "other"))
    assert other == here / "other" / "run.h5"


def launch(here: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "spinase.cli", "run", "in.toml", "--no-figures", "-o", "killed", *words]
    return subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_kills_at_random_moments(here: Path) -> None:
    """Start, restart and the run itself: whatever is there afterwards is readable, and a restart ends as an unbroken run."""
    text = (
        INPUT.replace("steps = 20", "steps = 6000").replace("every = 3", "every = 50").replace("every = 5\n", "every = 40\n")
    )
    (here / "in.toml").write_text(text.replace("checkpoint_every = 4", "checkpoint_every = 30"))
    whole = run_file(here / "in.toml", options=RunOptions(here / "whole"))
    moments = random.Random(5)
    folder = here / "killed"
    for number in range(5):
        process = launch(here, *(["--restart"] if number else []))
        deadline = time.monotonic() + 30
        while not (folder / "input.toml").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        started = time.time()
        while number and _changed(folder / "run.h5") < started - 1 and process.poll() is None:
            time.sleep(0.005)  # until the restart has begun to write
            if time.monotonic() > deadline:
                break
        time.sleep(moments.uniform(0.0, 0.4))
        process.kill()
        _, errors = process.communicate()
        assert process.returncode in (-signal.SIGKILL, 0), errors
        if (folder / "run.h5").exists():
            frames = read_run(folder / "run.h5")
            expected = read_run(whole).moments[: len(frames)]
            np.testing.assert_array_equal(frames.moments, expected)
    parts = run_file(here / "in.toml", options=RunOptions(folder, restart=True))
    assert content(parts) == content(whole)
    assert (folder / "log.txt").read_bytes() == (here / "whole" / "log.txt").read_bytes()


def _changed(path: Path) -> float:
    """When a file was last changed; 0: there is none yet (the run was killed before)."""
    return path.stat().st_ctime if path.exists() else 0.0


def test_a_second_signal_does_not_wait_for_a_slow_step(here: Path) -> None:
    exchange = 'style = "heisenberg"\nshells = [1.0]'
    (here / "in.toml").write_text(
        INPUT.replace(exchange, 'style = "beside:Plain"').replace("steps = 20", "steps = 100000000")
    )
    process = launch(here)
    deadline = time.monotonic() + 30
    while not (here / "killed" / "checkpoint.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    (here / "slow").touch()  # from now on a field takes a minute
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None, "the first one waits for the end of the step"
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=15)
    assert process.returncode not in (0, 3)


def test_members_of_a_sum_are_weighted(here: Path) -> None:
    exchange, field = "{style='heisenberg', shells=[1.0]}", "{style='zeeman', field=[0.0, 0.0, 1.0]%s}"
    energies = []
    for number, terms in enumerate(([exchange], [field % ""], [exchange, field % ", weight=-2.5"])):
        overrides = [f"calculator={{style='sum', terms=[{', '.join(terms)}]}}", "spins={style='ferro', direction=[1, 0, 2]}"]
        run = read_run(run_file(here / "in.toml", overrides, RunOptions(here / str(number))))
        energies.append(run.observables["energy"]["per_site"].values[0])
    assert energies[0] == pytest.approx(-2.0)
    assert energies[1] == pytest.approx(-2.0 / np.sqrt(5.0))
    assert energies[2] == pytest.approx(energies[0] - 2.5 * energies[1])


def test_sites_spins_and_stages_have_random_streams_of_their_own(here: Path) -> None:
    config, _ = read_input(here / "in.toml")
    setup = build_setup(config, here)
    first, second = (generator.standard_normal(100) for generator in setup.generators)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.3
    shorter = build_setup(config.model_copy(update={"stage": config.stage[:1]}), here)
    np.testing.assert_array_equal(shorter.atoms.moments, setup.atoms.moments)
    np.testing.assert_array_equal(shorter.generators[0].standard_normal(100), first)
