"""Error bars from training: on realizations it has not seen, from its own test part or from labels of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from spinase_training.commands import calibrate, train
from spinase_training.data import LEARNED, learned_realizations, split
from spinase_training.domain import domain_of_input, geometries_of
from spinase_training.labels import LabelOptions, label_file
from spinase_training.recipe import read_recipe
from spinase_training.train import train_recipe
from spinase_training.uncertainty import FieldErrors, calibrate_file, calibration_table, covered_by_place, field_errors
from typer import Typer
from typer.testing import CliRunner

from spinase.calculators import HIPNNCalculator
from spinase.errors import InputError
from spinase.io import read_labels
from spinase.io.labels import Labels
from spinase.learning.model_file import load_model, save_model
from spinase.learning.trust.domain import count_neighbours
from spinase.learning.trust.error_bars import Calibration

pytestmark = pytest.mark.filterwarnings("ignore")
app = Typer()
app.command("train")(train)
app.command("calibrate")(calibrate)

LABELS = """
seed = SEED
realizations = 30
random = 2
[atoms]
disordered = { sites = 12 }
[calculator]
style = "heisenberg"
law = { amplitude = 1.0, decay = 2.0, reference = 1.0, cutoff = 1.8 }
"""
RECIPE = """
name = "student"
labels = "labels_1.h5"
seed = 3
epochs = 8
batch = 8
learning_rate = 2e-2
ensemble = 2
validation = 0.1
test = 0.3
[network]
cutoff = 1.8
inner = 0.7
radial = 6
width = 5
channels = [8]
layers = 1
atom_layers = 1
quadrupoles = false
chirality = false
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bars")
    for seed in (1, 2, 3):
        path = place / f"magnet_{seed}.toml"
        path.write_text(LABELS.replace("SEED", str(seed)))
        label_file(path, options=LabelOptions(place / f"labels_{seed}.h5"))
    (place / "recipe.toml").write_text(RECIPE)
    recipe, text = read_recipe(place / "recipe.toml")
    train_recipe(recipe, text, place, place / "run")
    return place


def coverage(model: Path, labels: list[Labels], asked: float) -> float:
    """Part of the true errors below the bars of the public method."""
    calc, below = HIPNNCalculator(model), []
    for part in labels:
        for k in range(len(part)):
            atoms = part.atoms(k)
            missing = part.magnetic_forces[k] - calc.get_property("magnetic_forces", atoms)
            missing -= atoms.spins * np.sum(missing * atoms.spins, axis=1, keepdims=True)
            below.append(np.linalg.norm(missing, axis=1) <= calc.error_bars(atoms, asked))
    return float(np.mean(below))


def test_a_training_calibrates_on_realizations_it_holds_back(folder: Path) -> None:
    _, card = load_model(folder / "run" / "model.npz")
    table = card.notes["calibration"]
    assert (table["realizations"], table["spins"]) == (9, 9 * 2 * 12)
    check = table["check"]
    assert set(check["coverage"]) == {"0.5", "0.8"}  # eight others promise no more than 8/9
    assert check["rms_error"] == pytest.approx(card.notes["errors"]["rms_error"], rel=1e-6)
    for asked, found in check["coverage"].items():
        assert float(asked) - 0.15 < found < 1.0
    new = read_labels(folder / "labels_2.h5")[0]  # thirty realizations that nothing has seen
    for asked, most in ((0.5, 0.8), (0.8, 0.99), (0.9, 1.0)):
        assert asked - 0.1 < coverage(folder / "run" / "model.npz", new, asked) <= most


def test_calibration_with_labels_of_ones_own(folder: Path) -> None:
    model, better = folder / "run" / "model.npz", folder / "calibrated.npz"
    words = ["calibrate", str(model), str(folder / "labels_2.h5"), "-o", str(better)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "30 realizations, coverages up to 0.968" in result.output
    _, card = load_model(better)
    assert card.notes["calibration"]["data_hash"] == read_labels(folder / "labels_2.h5")[1]["hash"]
    assert card.notes["errors"] == load_model(model)[1].notes["errors"]
    new = read_labels(folder / "labels_3.h5")[0]
    for asked in (0.5, 0.9, 0.95):
        assert abs(coverage(better, new, asked) - asked * 31 / 30) < 0.12
    result = CliRunner().invoke(app, ["calibrate", str(model), str(folder / "labels_1.h5")])
    assert isinstance(result.exception, InputError)
    assert "was trained on these labels" in str(result.exception)


def test_the_check_leaves_the_checked_realization_out() -> None:
    """One realization is much worse than the others: bars made with it would cover it."""
    calm = [FieldErrors(np.full((2, 5), 0.1), np.zeros((2, 5))) for _ in range(4)]
    table = calibration_table([*calm, FieldErrors(np.full((2, 5), 9.0), np.zeros((2, 5)))], floor=1.0)
    assert table["check"]["coverage"]["0.5"] == pytest.approx(0.8)
    assert table["check"]["coverage_by_place"]["0.5"] == pytest.approx([0.8, 0.8])
    assert Calibration.from_table(table).factor(0.8) == pytest.approx(9.0)
    assert "check" not in calibration_table(calm[:1], floor=1.0)


def test_errors_are_those_of_the_torques(folder: Path) -> None:
    model, part = folder / "run" / "model.npz", read_labels(folder / "labels_2.h5")[0][0]
    found, calc = field_errors(model, part), HIPNNCalculator(model, outside_domain="ignore")
    torques = calc.get_property("torques", part.atoms(1)) - np.cross(part.moments[1], part.magnetic_forces[1])
    np.testing.assert_allclose(found.errors[1], np.linalg.norm(torques, axis=1), rtol=1e-5)
    np.testing.assert_allclose(found.spreads[0], calc.spread(part.atoms(0)), rtol=1e-5)
    made = Calibration(1.0, 9, 1, (0.0, 1.0), (0.0, 2.0))
    one = FieldErrors(np.array([[1.0, 3.0], [4.0, 5.0]]), np.array([[0.0, 0.0], [1.0, 2.0]]))
    np.testing.assert_allclose(covered_by_place(made, one, 0.5), [0.5, 1.0])


def test_the_card_tells_the_shortest_distance(folder: Path) -> None:
    parts = read_labels(folder / "labels_1.h5")[0]
    _, card = load_model(folder / "run" / "model.npz")
    rows = split(np.arange(30), read_recipe(folder / "recipe.toml")[0])
    seen = [parts[number] for number in rows["train"]]
    shortest = min(np.min(part.atoms(0).get_all_distances(mic=True)[np.triu_indices(12, 1)]) for part in seen)
    domain = card.domain()
    assert domain.shortest == {"Fe-Fe": pytest.approx(shortest)}
    counts = np.concatenate([count_neighbours(one, domain.cutoff) for one in geometries_of(seen)])
    assert [(shell.fewest, shell.most) for shell in domain.shells] == [(counts.min(), counts.max())]
    again = domain_of_input(card["label_input"], rows["train"].tolist(), card, folder)
    assert again.lengths == pytest.approx(domain.lengths)  # of moments: labels have them with round-off
    assert replace(again, lengths=domain.lengths) == domain  # no teacher was asked
    save_model(folder / "one.npz", load_model(folder / "run" / "model.npz")[0][:1], card)
    with pytest.raises(InputError, match="is a single network"):
        calibrate_file(folder / "one.npz", parts, "", folder / "two.npz")


def test_learned_realizations_are_for_training_and_change_nothing_else(folder: Path) -> None:
    recipe, parts = read_recipe(folder / "recipe.toml")[0], read_labels(folder / "labels_1.h5")[0]
    before = split(np.arange(30), recipe)
    added = [Labels(**{**vars(part), "kinds": [LEARNED] * len(part)}) for part in parts[:3]]
    learned = learned_realizations([*parts, *added])
    assert learned == {30, 31, 32}
    after = split(np.arange(33), recipe, learned)
    for name in ("valid", "test"):
        np.testing.assert_array_equal(after[name], before[name])
    np.testing.assert_array_equal(after["train"], [*before["train"], 30, 31, 32])
