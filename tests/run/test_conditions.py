"""What a run says of itself: what it was held at as series, the unit of its clock, the code that made it, how it ended."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.io import read
from matplotlib.figure import Figure
from systems.inputs import square_run

from spinase import SpinAtoms
from spinase.calculators import HeisenbergCalculator
from spinase.io import Run, read_run, run_conditions, write_frames
from spinase.io.layout import StreamInfo
from spinase.run import RunOptions, RunStopped, run_file
from spinase.run.provenance import source_digest
from spinase.run.streams import RunStreams
from spinase.spin_algebra import random_spins
from spinase.viz.figures import against_time
from spinase.viz.page import page_data
from spinase.viz.report import _response_panels, plot_run

INPUT = square_run(
    3,
    3,
    """%s
[[observer]]
style = "magnetization"
every = 2
[output]
every = 10
""",
)
FIELD = "[[stage]]\nsteps = 20\ntimestep = 0.1\ndamping = 0.3\nfield = { from = [0, 0, 1.0], to = [0, 0, -1.0] }\n"
COOL = '[[stage]]\ndriver = "monte-carlo"\nsteps = 20\nkT = { from = 2.0, to = 0.5 }\n'
PLAIN = "[[stage]]\nsteps = 20\ntimestep = 0.1\ndamping = 0.3\n"


def ran(folder: Path, stages: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(folder)
    (folder / "in.toml").write_text(INPUT % stages)
    return read_run(run_file("in.toml"))


def test_ramps_are_in_the_run_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ran(tmp_path, FIELD + PLAIN, monkeypatch)
    told = run.observables["conditions"]
    assert sorted(told) == ["field", "kT"]
    assert not told["kT"].values.any()
    assert told["field"].steps.tolist() == run.observables["magnetization"]["z"].steps.tolist()
    np.testing.assert_allclose(told["field"].values[:11, 2], np.linspace(1.0, -1.0, 11), atol=1e-12)
    assert not told["field"].values[11:].any(), "the second stage has no field"
    assert told["field"].unit == "t/|m|"
    paths = plot_run(run, tmp_path / "figures")
    assert all(path.stat().st_size > 5000 for path in paths)


def test_monte_carlo_counts_sweeps_and_tells_its_temperature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ran(tmp_path, COOL, monkeypatch)
    assert run.provenance["time_unit"] == "sweeps"
    np.testing.assert_allclose(run.observables["conditions"]["kT"].values, np.linspace(2.0, 0.5, 11), atol=1e-12)
    axes = Figure().subplots()
    against_time(axes, "energy", "t", "sweeps")
    assert axes.get_xlabel() == "Monte Carlo sweeps"
    (tmp_path / "plain").mkdir()
    plain = ran(tmp_path / "plain", PLAIN, monkeypatch)
    assert plain.provenance["time_unit"] == "hbar/t"
    assert "kT" in plain.observables["conditions"]


def test_what_stays_is_in_the_file_and_not_in_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = PLAIN + "kT = 0.25\nfield = [0, 0, 0.5]\n"
    run = ran(tmp_path, held + PLAIN.replace("20", "7"), monkeypatch)  # the last frame is due to nothing but the end
    found = run_conditions(run)
    assert run.steps.tolist() == [0, 10, 20, 27]
    np.testing.assert_array_equal(found["kT"], [0.25, 0.25, 0.25, 0.0])
    np.testing.assert_array_equal(found["field"][:, 2], [0.5, 0.5, 0.5, 0.0])
    write_frames(run, tmp_path / "a.traj")
    assert [atoms.info["kT"] for atoms in read(tmp_path / "a.traj", ":")] == [0.25, 0.25, 0.25, 0.0]
    (tmp_path / "one").mkdir()
    steady = ran(tmp_path / "one", held, monkeypatch)
    np.testing.assert_array_equal(steady.observables["conditions"]["kT"].values, 0.25)
    assert steady.observables["conditions"]["kT"].steps.tolist() == [0, 10, 20]  # each costs a millisecond
    assert _response_panels(steady) == []
    assert "conditions.png" not in [path.name for path in plot_run(steady, tmp_path / "one")]
    assert [one["label"] for one in page_data(steady)["series"] if one["label"].startswith("conditions")] == []


def without_conditions(*words: Any, whole: Any = RunStreams.collect) -> Iterator[tuple[str, dict[str, Any]]]:
    return (told for told in whole(*words) if told[0] != "conditions")


@pytest.mark.parametrize("lacking", [(), ("kT",), ("field",), ("kT", "field")], ids=str)
def test_a_run_begun_before_conditions_were_always_told_goes_on(
    lacking: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file has no such stream, or not all of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.toml").write_text(INPUT % (PLAIN + "kT = 0.25\n"))
    whole = RunStreams._conditions_info

    def older(self: RunStreams) -> dict[str, StreamInfo]:
        elements = whole(self)["conditions"].elements
        there = {path: info for path, info in elements.items() if path.rpartition("/")[2] not in lacking}
        return {"conditions": StreamInfo(there)} if there else {}

    with monkeypatch.context() as patched:
        patched.setattr(RunStreams, "_conditions_info", older)
        if len(lacking) == 2:
            patched.setattr(RunStreams, "collect", without_conditions)
        with pytest.raises(RunStopped):
            run_file("in.toml", options=RunOptions(stop_after=10, overwrite=True))
    run = read_run(run_file("in.toml", options=RunOptions(restart=True)))
    found = run_conditions(run)
    assert run.steps.tolist() == [0, 10, 20]
    assert found["kT"][2] == 0.25
    assert np.isnan(found["kT"][0]) == ("kT" in lacking)


DEVICE = """
units = "reduced"
[atoms]
lattice = "chain"
size = [6]
periodic = false
[calculator]
style = "sum"
[[calculator.terms]]
style = "heisenberg"
shells = [1.0]
[[calculator.terms]]
style = "negf"
hopping = { style = "shell", amplitudes = [1.0] }
coupling = 1.0
chemical_potential = -0.5
kT = 0.1
tolerance = 1e-2
bias = %s
leads = [{ style = "lattice", side = "left" }, { style = "lattice", side = "right" }]
[[stage]]
steps = 8
timestep = 0.1
damping = 0.3
[[observer]]
style = "currents"
every = 2
"""


@pytest.mark.parametrize(
    ("bias", "expected"),
    [("{ from = 0.1, to = 0.5, duration = 0.4 }", [0.1, 0.3, 0.5, 0.5, 0.5]), ("0.2", [0.2] * 5)],
    ids=["ramp", "constant"],
)
def test_the_bias_of_a_device_is_in_the_run_file_at_its_time(
    bias: str, expected: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.toml").write_text(DEVICE % bias)
    run = read_run(run_file("in.toml"))
    told = run.observables["conditions"]
    assert sorted(told) == ["bias", "field", "kT"]
    assert (told["bias"].label, told["bias"].unit) == ("bias", "t")
    np.testing.assert_allclose(told["bias"].values, expected, atol=1e-12)
    panels = _response_panels(run)
    assert len(panels) == (1 if bias.startswith("{") else 0)
    for panel in panels:
        axes = Figure().subplots()
        panel(axes)
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("bias [t]", "current from left [t/ħ]")
        np.testing.assert_allclose(axes.lines[0].get_xdata(), expected)


def test_axes_show_no_round_off() -> None:
    axes = Figure().subplots()
    axes.plot([0, 1, 2], [1.0, 1.0 + 1e-14, 1.0 - 1e-14])
    against_time(axes, "|M|", "", "hbar/t")
    low, high = axes.get_ylim()
    assert (low, high) == pytest.approx((0.9, 1.1))
    axes.plot([0, 1, 2], [0.2, 0.9, 1.0])
    axes.relim()
    axes.autoscale()
    against_time(axes, "|M|", "", "hbar/t")
    assert axes.get_ylim()[0] < 0.25


def test_the_code_is_told_by_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = ran(tmp_path, PLAIN, monkeypatch).provenance
    assert told["source_digest"] == source_digest()
    assert len(source_digest()) == 64
    assert told["installed"] in ("editable", "package")
    assert "git_revision" not in told


EXPLODING = """
from spinase.calculators import HeisenbergCalculator
from spinase.errors import UnstableDynamicsError

class Exploding(HeisenbergCalculator):
    count = 0
    def solve(self, *words):
        self.count += 1
        if self.count > 40:
            raise UnstableDynamicsError("spins explode")
        return super().solve(*words)
"""


def test_a_run_that_explodes_is_no_bad_input(tmp_path: Path) -> None:
    (tmp_path / "exploding.py").write_text(EXPLODING)
    (tmp_path / "in.toml").write_text((INPUT % PLAIN).replace('"heisenberg"', '"exploding:Exploding"'))
    command = [sys.executable, "-m", "spinase.cli", "run", "in.toml", "--no-figures"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stderr.count("\n") == 2, "that the stage began, and why it ended"
    assert "spins explode. The run in" in done.stderr
    bad = subprocess.run([*command, "--set", "seed=-1"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert bad.returncode == 2


class Slow(HeisenbergCalculator):
    """Lets other threads in between the question and the answer."""

    def solve(self, frozen, spins, lengths):  # type: ignore[no-untyped-def]
        threading.Event().wait(0.001)
        return super().solve(frozen, spins, lengths)


def test_threads_that_share_a_calculator_get_answers_to_their_own_questions() -> None:
    atoms = SpinAtoms("Fe4", positions=[[k, 0.0, 0.0] for k in range(4)], cell=[4, 9, 9], pbc=[True, False, False])
    shared, rng = Slow(shells=[1.0]), np.random.default_rng(1)
    magnets = []
    for _ in range(4):
        magnet = atoms.copy()
        magnet.moments = random_spins(4, rng)
        magnets.append(magnet)
    expected = [HeisenbergCalculator(shells=[1.0]).get_property("energy", magnet) for magnet in magnets]
    found: dict[int, list[float]] = {k: [] for k in range(4)}

    def ask(k: int) -> None:
        for _ in range(10):
            found[k].append(float(shared.get_property("energy", magnets[k])))

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        assert found[k] == pytest.approx([expected[k]] * 10, abs=1e-12)
