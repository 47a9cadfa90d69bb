"""Relaxations and paths as stages of an input file: closed forms, restart, figures, what is told if they do not arrive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from systems.run_bytes import content

from spinase import SpinAtoms
from spinase.dynamics.path_search import end_of_path
from spinase.errors import AccuracyWarning, ConvergenceError, InputError
from spinase.io import read_run
from spinase.run import RunOptions, RunStopped, run_file
from spinase.viz.report import plot_run

INPUT = """
units = "reduced"
seed = 2
[atoms]
lattice = "square"
size = [2, 2]
[spins]
style = "ferro"
direction = [0.2, 0.1, 1.0]
[calculator]
style = "sum"
terms = [{ style = "heisenberg", shells = [1.0] }, { style = "uniaxial", strength = 0.1 }]
[[stage]]
name = "relax"
driver = "relax"
steps = 400
torque = 1e-5
[[stage]]
name = "path"
driver = "neb"
steps = 3000
torque = 1e-4
images = 5
end = { style = "ferro", direction = [0.1, 0.0, -1.0] }
[output]
every = 20
checkpoint_every = 7
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.toml").write_text(INPUT)
    return tmp_path


def test_spins_relax_to_the_easy_axis_and_turn_over_the_barrier_of_coherent_rotation(here: Path) -> None:
    """Strongly coupled spins of anisotropy K turn together: the barrier is N K, the saddle point in the plane."""
    path = run_file("in.toml")
    run = read_run(path)
    relaxation, found = run.observables["relaxation"], run.observables["path"]
    assert relaxation["torque"].values[-1] < 1e-5
    assert relaxation["torque"].values[0] > 1e-3
    assert found["barrier"].values[-1] == pytest.approx(4 * 0.1, rel=1e-3)
    assert found["energy"].values[-1][[0, -1]] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert found["path_length"].values[-1][-1] == pytest.approx(2 * np.pi, rel=1e-3)  # sqrt(N) pi
    assert np.abs(run.moments[-1][:, 2]).max() < 0.02, "the atoms show the highest image"
    assert found["moments"].values.shape[1:] == (5, 4, 3)
    names = {figure.name for figure in plot_run(path, here / "figures")}
    assert {"summary.png", "path.png", "relaxation.png"} <= names


@pytest.mark.filterwarnings("ignore::spinase.errors.AccuracyWarning")
@pytest.mark.parametrize("minimizer", ["fire", "lbfgs"])
def test_cut_anywhere_the_bytes_are_the_same(here: Path, minimizer: str) -> None:
    """Weakly coupled spins: turning together is no saddle point, and the path bends aside."""
    given = [f'stage.0.minimizer="{minimizer}"', "stage.1.steps=60", "stage.1.accept_unconverged=true"]
    given += ["calculator.terms.0.shells=[0.01]"]
    whole = run_file("in.toml", given, RunOptions(output=here / "whole"))
    last = int(read_run(whole).steps[-1])
    cuts = sorted({1, last // 2, last - 1})
    for number, cut in enumerate(cuts):
        with pytest.raises(RunStopped):
            run_file("in.toml", given, RunOptions(output=here / "cut", restart=number > 0, stop_after=cut))
    parts = run_file("in.toml", given, RunOptions(output=here / "cut", restart=True))
    assert content(parts) == content(whole)


def test_what_does_not_arrive_stops_the_run_or_is_a_warning(here: Path) -> None:
    with pytest.raises(
        ConvergenceError, match="relax: the relaxation did not converge in 3 steps: largest torque"
    ) as caught:
        run_file("in.toml", ["stage.0.steps=3"])
    assert caught.value.stopped  # the exit status of a run that stopped early
    given = ["stage.0.steps=3", "stage.0.accept_unconverged=true", "stage.1.steps=2", "stage.1.accept_unconverged=true"]
    with pytest.warns(AccuracyWarning, match="no path in 2 iterations|did not converge in 3 steps"):
        run_file("in.toml", given, RunOptions(output=here / "other"))


def test_mistakes_are_told(here: Path) -> None:
    with pytest.raises(InputError, match="end: give .* an initializer"):
        run_file("in.toml", ["stage.1.end={ name = 'x' }"])
    with pytest.raises(InputError, match="unknown key 'step' in minimizer"):
        run_file("in.toml", ["stage.0.minimizer={ style = 'fire', step = 1 }"])


@pytest.mark.parametrize("table", [{}, {"file": 3}, {"file": "a.xyz", "frame": 1}, {"style": None}])
def test_an_end_of_a_path_is_a_style_or_a_file(table: dict[str, object]) -> None:
    atoms = SpinAtoms.lattice("square", (2, 2), units="reduced")
    with pytest.raises(InputError, match="start: give { style = an initializer, ... } or { file = name, index = frame }"):
        end_of_path(table, atoms, np.random.default_rng(1), "start")
