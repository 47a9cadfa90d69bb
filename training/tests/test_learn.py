"""Active learning: labels where the bars are too large, resumes without making anything twice, refuses bad inputs."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from hippynn.experiment.metric_tracker import MetricTracker
from spinase_training import learn as module
from spinase_training import train as training
from spinase_training.commands import learn
from spinase_training.data import LEARNED
from spinase_training.labels import LabelInput
from spinase_training.learn import LearnOptions, learn_file, read_rounds
from spinase_training.loop import as_toml, check_labels, prepare_folder, read_loop
from typer import Typer
from typer.testing import CliRunner

from spinase.calculators import HIPNNCalculator
from spinase.errors import InputError
from spinase.io import read_labels, read_run
from spinase.io.labels import write_labels
from spinase.learning.model_file import load_model
from spinase.options import validated
from spinase.run.build import build_calculator
from spinase.run.config import read_input, read_table
from spinase.stopping import stop_signals

pytestmark = pytest.mark.filterwarnings("ignore")
app = Typer()
app.command("learn")(learn)
app.command("other")(lambda: None)  # with one command only, typer takes no name

TEACHER = """
style = "heisenberg"
law = { amplitude = 1.0, decay = 2.0, reference = 1.0, cutoff = 1.8 }
"""
LABELS = f"""
realizations = 15
random = 2
[atoms]
disordered = {{ sites = 10 }}
[calculator]{TEACHER}
"""
RUN = f"""
units = "reduced"
[atoms]
disordered = {{ sites = 10 }}
[calculator]{TEACHER}
[[stage]]
steps = 12
timestep = 0.2
damping = 0.5
"""
RECIPE = """
name = "student"
labels = "elsewhere.h5"
epochs = 2
batch = 8
learning_rate = 2e-2
ensemble = 2
validation = 0.15
test = 0.3
[network]
cutoff = 1.8
inner = 0.7
radial = 5
width = 4
channels = [8]
layers = 1
atom_layers = 1
quadrupoles = false
chirality = false
"""
LOOP = f"""
title = "a small loop"
seed = 2
labels = "labels.toml"
recipe = "recipe.toml"
run = "run.toml"
check = "check.toml"
runs = 3
rounds = 2
budget = 5
retrain = {{ epochs = 1 }}
[guard]
bound = 1e-3
every = 4
coverage = 0.8
[teacher]{TEACHER}
"""


def inputs(folder: Path, **changes: tuple[str, str]) -> Path:
    texts = {"labels": LABELS, "recipe": RECIPE, "run": RUN, "loop": LOOP, "check": f"seed = 9\n{LABELS}".replace("15", "4")}
    for name, text in texts.items():
        old, new = changes.get(name, ("", ""))
        assert old in text
        (folder / f"{name}.toml").write_text(text.replace(old, new) if old else text)
    return folder / "loop.toml"


def learned(folder: Path, name: str = "out", restart: bool = False, **changes: tuple[str, str]) -> Path:
    return learn_file(inputs(folder, **changes), options=LearnOptions(folder / name, restart)).parent


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without figures, which cost more here than everything else."""
    monkeypatch.setattr(MetricTracker, "plot_over_time", lambda *words, **options: None)
    monkeypatch.setattr(module, "learning", lambda *words: None)
    for name in ("curves", "parity"):
        monkeypatch.setattr(training, name, lambda *words: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A learning that was never cut."""
    return learned(tmp_path_factory.mktemp("whole"))


def test_it_labels_where_the_bars_are_too_large_and_trains_on(whole: Path) -> None:
    rounds = read_rounds(whole)
    assert [(one["labels"], one["added"]) for one in rounds] == [(30, 0), (33, 3), (35, 5)]  # the budget is 5
    assert [(one.get("over"), one.get("new")) for one in rounds] == [(3, 3), (3, 2), (None, None)]
    teacher = build_calculator(read_table(whole / "loop.toml")[0]["teacher"], "[teacher]")
    parts, attributes = read_labels(whole / "round_02" / "labels.h5")
    start, _ = read_labels(whole / "start_labels.h5")
    assert [part.kinds for part in parts[len(start) :]] == [[LEARNED]] * 5
    for number, part in enumerate(parts[15:18]):
        run = whole / "round_00" / "runs" / f"{number:03d}"
        assert "above the bound" in json.loads(run.with_suffix(".json").read_text())["why"]
        np.testing.assert_array_equal(part.moments[0], read_run(run / "run.h5").moments[-1])
        fields = teacher.get_property("magnetic_forces", part.atoms(0))
        np.testing.assert_allclose(part.magnetic_forces[0], fields, atol=1e-12)
        calc = HIPNNCalculator(whole / "round_00" / "training" / "model.npz")
        assert calc.error_bars(part.atoms(0), 0.8).max() > 1e-3
    places = [part.positions[0] for part in parts]
    assert len({place.tobytes() for place in places}) == 20  # every run is another magnet
    assert attributes["teacher"] == json.dumps(teacher_table(whole), sort_keys=True)


def teacher_table(folder: Path) -> dict[str, object]:
    return dict(read_table(folder / "loop.toml")[0]["teacher"])


def test_everything_to_look_at_and_to_repeat_it_is_kept(whole: Path) -> None:
    log = (whole / "log.txt").read_text().splitlines()
    assert log[0] == "# a small loop"
    assert [line.split()[:3] for line in log[2:]] == [["0", "30", "0"], ["1", "33", "3"], ["2", "35", "5"]]
    assert (whole / "learning.png").stat().st_size > 10_000
    for name in ("loop.toml", "labels.toml", "recipe.toml", "run.toml", "check.toml", "check_labels.h5"):
        assert (whole / name).exists(), name
    assert (whole / "model.npz").read_bytes() == (whole / "round_02" / "training" / "model.npz").read_bytes()
    recipes = [(whole / f"round_{k:02d}" / "training" / "recipe.toml").read_text() for k in (0, 1)]
    assert "--set epochs=1" not in recipes[0]
    assert "--set epochs=1" in recipes[1]
    cards = [load_model(whole / f"round_{k:02d}" / "training" / "model.npz")[1] for k in (0, 1, 2)]
    assert [card.notes["realizations"] for card in cards] == [
        {"valid": 2, "test": 4, "train": 9 + more} for more in (0, 3, 5)
    ]
    assert len({one["check"]["rms_error"] for one in read_rounds(whole)}) == 3


class Killed(BaseException):
    pass


@pytest.mark.usefixtures("plain")
def test_a_signal_that_comes_late_in_a_run_stops_the_learning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, runs = module.run_file, []

    def signalled(*words: object) -> Path:
        runs.append(words)
        try:
            return original(*words)
        finally:
            with stop_signals():  # as the run's own, after its last look
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(module, "run_file", signalled)
    source = inputs(tmp_path, recipe=("epochs = 2", "epochs = 1"))
    result = CliRunner().invoke(app, ["learn", str(source), "-o", str(tmp_path / "out")])
    assert result.exit_code == 3, result.output
    assert "stopped by signal 15 (SIGTERM); go on with spinase learn --restart" in result.output
    assert len(runs) == 1


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(
    "stage",
    ["label_frames", pytest.param("train_recipe", marks=pytest.mark.slow), pytest.param("run_file", marks=pytest.mark.slow)],
)
def test_a_killed_learning_goes_on_and_makes_nothing_twice(
    whole: Path, stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("train_recipe", "run_file", "label_frames")
    made: dict[str, int] = dict.fromkeys(names, 0)
    alive = {"until": 2 if stage == "train_recipe" else 4}

    def counted(name: str) -> object:
        original = getattr(module, name)

        def call(*words: object, **options: object) -> object:
            if name == stage and made[name] == alive["until"]:
                raise Killed
            made[name] += 1
            try:
                return original(*words, **options)
            except InputError as error:
                raise AssertionError(f"{name} failed: {error}") from error

        return call

    for name in names:
        monkeypatch.setattr(module, name, counted(name))
    with pytest.raises(Killed):
        learned(tmp_path)
    before = dict(made)
    assert before[stage] == alive["until"]
    alive["until"] = -1
    folder = learned(tmp_path, restart=True)
    assert made == {"train_recipe": 3, "run_file": 6, "label_frames": 5}
    for name in ("log.txt", "round_02/labels.h5"):
        one, two = whole / name, folder / name
        if name.endswith(".h5"):
            assert read_labels(one)[1]["hash"] == read_labels(two)[1]["hash"]
        else:
            assert one.read_text() == two.read_text()
    for one, two in zip(load_model(whole / "model.npz")[0], load_model(folder / "model.npz")[0], strict=True):
        assert all(weights.equal(two.state_dict()[name]) for name, weights in one.state_dict().items())


@pytest.mark.usefixtures("plain")
def test_it_ends_when_no_run_exceeds_the_bound(tmp_path: Path) -> None:
    folder = learned(tmp_path, loop=("bound = 1e-3", "bound = 1e3"))
    rounds = read_rounds(folder)
    assert [(one["labels"], one["over"], one["new"]) for one in rounds] == [(30, 0, 0)]
    assert json.loads((folder / "round_00" / "runs" / "000.json").read_text())["steps"] == 12
    assert (folder / "model.npz").exists()


@pytest.mark.usefixtures("plain")
def test_several_labels_of_a_run_and_random_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["learn", str(inputs(tmp_path)), "--set", "per_run=2", "--set", "rounds=1", "--set", "budget=4"]
    result = CliRunner().invoke(app, [*words, "-o", "bar"])
    assert result.exit_code == 0, result.output
    assert "round 0: 4 labels added" in result.output
    stored = [json.loads(path.read_text()) for path in sorted((tmp_path / "bar/round_00/runs").glob("*.json"))]
    assert [(one["chosen"], one["steps"]) for one in stored] == [([0, 1], 4)] * 3  # it stops at the second look above
    parts = read_labels(tmp_path / "bar" / "round_01" / "labels.h5")[0]
    assert [len(part) for part in parts[15:]] == [2, 1, 1]  # four labels, the first of every run before the second
    result = CliRunner().invoke(app, [*words, "--set", "selection=random", "-o", str(tmp_path / "random")])
    assert result.exit_code == 0, result.output
    stored = [json.loads(path.read_text()) for path in sorted((tmp_path / "random/round_00/runs").glob("*.json"))]
    assert [one["steps"] for one in stored] == [12] * 3
    assert all(len(set(one["chosen"])) == 2 and max(one["chosen"]) <= 3 for one in stored)


@pytest.mark.usefixtures("plain")
def test_warm_starts_begin_with_the_weights_before(tmp_path: Path) -> None:
    """With a vanishing learning rate nothing but the start is left of a training."""
    still = ("epochs = 1", "epochs = 1, learning_rate = 1e-9")
    folder = learned(tmp_path, loop=still)
    first, last = (load_model(folder / f"round_{k:02d}" / "training" / "model.npz")[0] for k in (0, 1))
    for one, two in zip(first, last, strict=True):
        assert all(weights.allclose(two.state_dict()[name]) for name, weights in one.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loop": ("bound = 1e-3", "bond = 1e-3")}, "did you mean 'bound'"),
        ({"loop": ('style = "heisenberg"', 'style = "heisenbreg"')}, "did you mean 'heisenberg'"),
        ({"loop": ("amplitude = 1.0", "amplitude = 2.0")}, "another teacher than that of the input"),
        ({"loop": ("coverage = 0.8", "coverage = 0.95")}, "need 19 test realizations, the recipe holds back 4 of 15"),
        ({"loop": ("epochs = 1", "epoch = 1")}, "did you mean 'epochs'"),
        (
            {"run": ("damping = 0.5", 'calculator = { style = "zeeman", field = [0, 0, 1] }')},
            "stage.* 0 calculator.*take it out",
        ),
        ({"recipe": ("ensemble = 2", "ensemble = 1")}, "1 network has the same error bar everywhere"),
        ({"run": ("timestep", "timestap")}, "did you mean 'timestep'"),
    ],
)
def test_bad_inputs_are_found_before_anything_is_trained(
    tmp_path: Path, changes: dict[str, tuple[str, str]], message: str
) -> None:
    with pytest.raises((InputError, LookupError), match=message):
        learned(tmp_path, **changes)
    assert not list((tmp_path / "out").glob("round_*"))


def test_a_directory_of_another_learning_is_refused(whole: Path, tmp_path: Path) -> None:
    home = whole.parent
    with pytest.raises(InputError, match="already holds a learning: use --restart"):
        learned(home)
    with pytest.raises(InputError, match=r"started with other inputs.*loop\.toml"):
        learned(home, restart=True, loop=("budget = 5", "budget = 6"))
    with pytest.raises(InputError, match=r"started with other inputs.*run\.toml"):
        learned(home, restart=True, run=("steps = 12", "steps = 13"))
    with pytest.raises(InputError, match="holds no finished round"):
        read_rounds(tmp_path)


def test_other_files_of_the_same_names_are_another_learning(whole: Path, tmp_path: Path) -> None:
    for number in (1.0, 2.0):
        shutil.copytree(whole.parent, tmp_path, dirs_exist_ok=True)
        parts, attributes = read_labels(whole / "start_labels.h5")
        write_labels(tmp_path / "own.h5", [replace(part, energies=number * part.energies) for part in parts], attributes)
        path = inputs(tmp_path, loop=('labels = "labels.toml"', 'labels = "own.h5"'))
        loop = read_loop(path, (), tmp_path / "new")
        if number == 1.0:
            (tmp_path / "new").mkdir()
            (tmp_path / "new" / "learning.png").write_text("mine")
            with pytest.raises(InputError, match=r"has a learning\.png that is of no learning of spinase"):
                prepare_folder(loop, False, ("learning.png",))
            assert [path.name for path in (tmp_path / "new").iterdir()] == ["learning.png"]
            (tmp_path / "new" / "learning.png").unlink()
            prepare_folder(loop, False, ())
            prepare_folder(loop, False, ())  # nothing was begun: a corrected input may follow
            (tmp_path / "new" / "round_00").mkdir()
            (tmp_path / "new" / "round_00" / "labels.h5").touch()
            prepare_folder(loop, True, ())
    with pytest.raises(InputError, match=r"started with other inputs.*files\.txt"):
        prepare_folder(loop, True, ())


def test_tables_as_toml(tmp_path: Path) -> None:
    table = {"style": 'a "b"\\c', "list": [1, 2.5, True, {"x": 1e-7}], "nothing": {}}
    (tmp_path / "a.toml").write_text(f"value = {as_toml(table)}")
    assert read_table(tmp_path / "a.toml")[0]["value"] == table
    loop = read_loop(inputs(tmp_path), (), tmp_path / "out")
    seeds = {loop.run_overrides(number, run, tmp_path)[0] for number in range(3) for run in range(3)}
    assert len(seeds) == 9


def test_the_example_is_a_good_input(tmp_path: Path) -> None:
    example = Path(__file__).parents[1] / "recipes" / "active_learning" / "loop.toml"
    loop = read_loop(example, (), tmp_path)
    check_labels(loop, 20, {"teacher": json.dumps(loop.config.teacher)})
    for name in ("labels", "check"):
        given = validated(LabelInput, read_table(example.parent / f"{name}.toml")[0], name)
        assert given.calculator == loop.config.teacher
    assert read_input(example.parent / "run.toml")[0].calculator == loop.config.teacher


def test_the_core_lists_the_commands() -> None:
    names = {point.name for point in entry_points(group="spinase.commands")}
    assert {"learn", "calibrate"} <= names
