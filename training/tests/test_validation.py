"""Validation: known errors are found as they are, broken symmetries are seen, trajectories part as they must."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from spinase_training.commands import validate
from spinase_training.labels import LabelOptions, label_file
from spinase_training.report import symmetry_defects, table, validate_model
from spinase_training.trajectories import Course, compare, teacher_of
from typer import Typer
from typer.testing import CliRunner

from spinase import SpinAtoms
from spinase.calculators import EDCalculator, HeisenbergCalculator
from spinase.calculators.learned import LearnedCalculator
from spinase.errors import InputError
from spinase.io import Labels, read_labels, write_labels
from spinase.learning.card import ModelCard
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.model_file import save_model

pytestmark = pytest.mark.filterwarnings("ignore")
CONFIG = NetworkConfig(species=(26,), cutoff=1.8, inner=0.7, width=6, radial=6, layers=1)
INPUT = """
realizations = 3
random = 2
forces = true
[atoms]
disordered = { sites = 10 }
[calculator]
style = "hipnn"
model = "MODEL"
dtype = "float64"
[quench]
timestep = 0.1
times = [1.0]
damping = 0.5
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model, and labels it made itself: it must find no error in them."""
    folder = tmp_path_factory.mktemp("own")
    torch.manual_seed(5)
    network, model = MagneticHIPNN(CONFIG), folder / "model.npz"
    save_model(model, [network], ModelCard("own", CONFIG, "reduced"))
    (folder / "magnet.toml").write_text(INPUT.replace("MODEL", str(model)))
    labels = label_file(folder / "magnet.toml", options=LabelOptions(folder / "labels.h5"))
    teacher = json.loads(read_labels(labels)[1]["teacher"])
    card = ModelCard("own", CONFIG, "reduced", notes={"teacher": teacher})
    save_model(model, [network], card)
    return model, labels


def changed(labels: Path, target: Path, **factors: float) -> Path:
    """The same labels with some of them multiplied."""
    parts, attributes = read_labels(labels)
    new = [replace(p, **{name: factor * getattr(p, name) for name, factor in factors.items()}) for p in parts]
    write_labels(target, new, {"title": "changed", "teacher": attributes["teacher"]})
    return target


def test_a_model_finds_no_error_in_its_own_labels(files: tuple[Path, Path], tmp_path: Path) -> None:
    app = Typer()
    app.command()(validate)
    arguments = [str(files[0]), str(files[1]), "-o", str(tmp_path / "report"), "--time", "4", "--samples", "4"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "R^2" in result.output
    assert "torque R^2" in result.output
    told = json.loads((tmp_path / "report" / "validation.json").read_text())
    for name in ("torques", "magnetic_forces", "forces"):
        values = told["errors"]["properties"][name]
        assert values["r2"] > 1.0 - 1e-8
        assert values["rms_error"] < 1e-4 * values["rms"]
    assert told["errors"]["properties"]["energy_per_site"]["rms_error"] < 1e-5
    assert set(told["errors"]["torques_by_kind"]) == {"random", "quench"}
    for name, defect in told["symmetry_defects"].items():
        assert defect["float64"] < 1e-9, name
        assert defect["float32"] < 1e-3, name
    dynamics = told["dynamics"]
    assert dynamics["times"] == pytest.approx([0, 1, 2, 3, 4])
    assert max(dynamics["angle"]) < 1e-3
    np.testing.assert_allclose(dynamics["energy_model"], dynamics["energy_teacher"], atol=1e-5)
    assert dynamics["energy_teacher"][-1] < dynamics["energy_teacher"][0]
    assert (tmp_path / "report" / "validation.png").stat().st_size > 20_000


def test_known_errors_are_measured(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Labels x -> f x: the error is (1 - f) x, so R^2 = 1 - ((1 - f)/f)^2 and the rms error |1 - f|/f of the rms."""
    data = changed(files[1], tmp_path / "x.h5", magnetic_forces=1.25, forces=0.8, energies=2.0)
    told = validate_model(files[0], data, tmp_path, None)
    assert told["dynamics"] is None
    found = told["errors"]["properties"]
    for name, factor in (("torques", 1.25), ("magnetic_forces", 1.25), ("forces", 0.8)):
        part = (1.0 - factor) / factor
        assert found[name]["r2"] == pytest.approx(1.0 - part**2, abs=1e-6)
        assert found[name]["rms_error"] == pytest.approx(abs(part) * found[name]["rms"], rel=1e-5)
    parts, _ = read_labels(data)
    energies = np.concatenate([part.energies / 20.0 for part in parts])
    assert found["energy_per_site"]["mean_error"] == pytest.approx(-energies.mean(), abs=1e-5)
    assert found["energy_per_site"]["rms_error"] == pytest.approx(np.sqrt(np.mean(energies**2)), rel=1e-4)
    assert told["errors"]["r2_by_place"] == pytest.approx([1.0 - 0.2**2] * 3, abs=1e-6)
    assert not told["data_is_the_training_file"]
    assert "0.9600" in table(told)


def test_realizations_that_are_not_alike(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Selected or converted labels: other numbers of configurations, no energies, no forces."""
    parts, _ = read_labels(files[1])
    short = replace(
        parts[0],
        **{n: getattr(parts[0], n)[:1] for n in ("positions", "cells", "moments", "magnetic_forces", "kinds")},
        energies=np.array([np.nan]),
        forces=None,
    )
    write_labels(tmp_path / "x.h5", [short, parts[1]], {"title": "mixed"})
    told = validate_model(files[0], tmp_path / "x.h5", tmp_path, Course(time=1.0, samples=1, runs=1))
    assert told["errors"]["r2_by_place"] == []
    assert told["errors"]["properties"]["energy_per_site"] is None
    assert told["errors"]["properties"]["forces"]["r2"] > 0.999
    assert told["errors"]["configurations"] == 4
    assert "energy per site: not labelled" in table(told)
    limited = validate_model(files[0], files[1], tmp_path, None, limit=2)
    assert limited["realizations"] == 2


def test_broken_symmetries_are_seen(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant field along z: spins may not be rotated nor time reversed any more, the lattice may."""
    (labels, *_), _ = read_labels(files[1])
    derive = LearnedCalculator.derive

    def tilted(self: LearnedCalculator, name: str, *words: Any) -> Any:
        found = derive(self, name, *words)
        return found + [0.0, 0.0, 0.1 * np.abs(found).max()] if name == "magnetic_forces" else found

    monkeypatch.setattr(LearnedCalculator, "derive", tilted)
    defects = symmetry_defects(files[0], labels)
    for name in ("all spins rotated", "time reversed"):
        assert defects[name]["float64"] > 1e-2
    for name in ("lattice rotated", "sites listed in another order"):
        assert defects[name]["float64"] < 1e-9


def dimer(angle: float) -> Labels:
    """Two spins `angle` apart at distance 1, open boundaries."""
    half = 0.5 * angle
    spins = np.array([[np.sin(half), 0.0, np.cos(half)], [-np.sin(half), 0.0, np.cos(half)]])
    return Labels(
        numbers=np.array([26, 26]),
        pbc=np.zeros(3, dtype=bool),
        positions=np.array([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]]),
        cells=np.zeros((1, 3, 3)),
        moments=spins[None],
        energies=np.array([0.0]),
        magnetic_forces=np.zeros((1, 2, 3)),
        forces=None,
        kinds=["dimer"],
        units="reduced",
    )


def test_two_dimers_part_as_their_precession_says() -> None:
    """E = -J s1.s2: both spins turn about s1 + s2 by J |s1 + s2| t; a model with J' is ahead by (J' - J)|s1 + s2| t.

    With the angle theta of the spins to the axis, cos(angle between both) = cos^2 theta + sin^2 theta cos(ahead).
    """
    exact, wrong = HeisenbergCalculator(shells=[1.0]), HeisenbergCalculator(shells=[1.2])
    told = compare(wrong, exact, [dimer(1.0)], Course(timestep=0.01, time=4.0, damping=0.0, samples=4))
    theta, times = 0.5, np.array(told["times"])
    ahead = 0.2 * 2.0 * np.cos(theta) * times
    angle = np.arccos(np.cos(theta) ** 2 + np.sin(theta) ** 2 * np.cos(ahead))
    np.testing.assert_allclose(told["angle"], angle, atol=1e-4)
    assert angle[-1] > 0.5
    np.testing.assert_allclose(told["torque_r2"], 1.0 - 0.2**2, atol=1e-9)
    np.testing.assert_allclose(told["rms_torque"], np.sin(1.0), atol=1e-9)
    for name in ("energy_teacher", "energy_model"):
        np.testing.assert_allclose(told[name], -0.5 * np.cos(1.0), atol=1e-6)
    np.testing.assert_allclose(told["correlation_model"], np.cos(1.0), atol=1e-6)


def test_the_teacher_is_rebuilt_from_the_card() -> None:
    table_ = {"hopping": {"style": "shell", "amplitudes": [1.0]}, "coupling": 3.0, "filling": 0.25, "kT": 0.1}
    made = [teacher_of(ModelCard("m", CONFIG, "reduced", notes={"teacher": t})) for t in (table_, {"style": "ed", **table_})]
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced", rng=1)
    fields = [calc.get_property("magnetic_forces", atoms) for calc in made]
    assert all(isinstance(calc, EDCalculator) for calc in made)
    np.testing.assert_array_equal(*fields)
    assert np.abs(fields[0]).max() > 1.0
    assert isinstance(teacher_of(ModelCard("m", CONFIG, "reduced"), {"teacher": table_}), EDCalculator)


@pytest.mark.parametrize("place", ["style", "term", "option"])
def test_a_strangers_data_file_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (tmp_path / "payload.py").write_text("from pathlib import Path\nPath('ran').touch()\nclass Calc: pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    tables = {
        "style": {"style": "payload:Calc"},
        "term": {
            "style": "sum",
            "terms": [{"style": "zeeman", "field": [0, 0, 1]}, {"style": "payload:Calc", "weight": 2.0}],
        },
        "option": {"style": "heisenberg", "shells": [1.0], "integrator": ["payload:Calc"]},
    }
    with pytest.raises(InputError, match="'payload:Calc', code that is not among the installed styles"):
        teacher_of(ModelCard("m", CONFIG, "reduced", notes={"teacher": tables[place]}))
    with pytest.raises(InputError, match="'payload:Calc'"):
        teacher_of(ModelCard("m", CONFIG, "reduced"), {"teacher": tables[place]})
    assert not (tmp_path / "ran").exists()


def test_what_cannot_be_validated(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, labels = files
    bare = tmp_path / "bare.npz"
    save_model(bare, [MagneticHIPNN(CONFIG)], ModelCard("bare", CONFIG, "reduced"))
    parts, _ = read_labels(labels)
    write_labels(tmp_path / "bare.h5", parts, {"title": "no teacher"})
    with pytest.raises(InputError, match="neither the card of the model 'bare' nor the label file names a teacher"):
        validate_model(bare, tmp_path / "bare.h5", tmp_path, Course())
    assert validate_model(bare, tmp_path / "bare.h5", tmp_path, None)["dynamics"] is None
    write_labels(tmp_path / "empty.h5", [], {"title": "empty"})
    with pytest.raises(InputError, match="the label file is empty"):
        validate_model(model, tmp_path / "empty.h5", tmp_path, None)
    write_labels(tmp_path / "metal.h5", [replace(parts[0], units="metal")], {"title": "metal"})
    with pytest.raises(InputError, match="in metal units, the model 'own' in reduced units"):
        validate_model(model, tmp_path / "metal.h5", tmp_path, None)
    write_labels(tmp_path / "co.h5", [parts[0], replace(parts[1], numbers=parts[1].numbers + 1)], {"title": "cobalt"})
    with pytest.raises(InputError, match="realization 1 has Co, the model 'own' knows Fe"):
        validate_model(model, tmp_path / "co.h5", tmp_path, None)
    with pytest.raises(InputError, match="5 samples in a time of 0.1"):
        validate_model(model, labels, tmp_path, Course(time=0.1, samples=5))


def test_a_driven_teacher_has_no_energy_to_compare() -> None:
    part = dimer(1.0)
    driven = HeisenbergCalculator(shells=[1.0])
    driven.conservative = False
    told = compare(HeisenbergCalculator(shells=[1.0]), driven, [part], Course(timestep=0.1, time=1.0, samples=2))
    assert told["energy_teacher"] is None
    assert told["energy_model"] is None
    assert max(told["angle"]) < 1e-12


@pytest.mark.parametrize("name", ["validation.json", "validation.png"])
def test_reports_of_others_are_left_alone(files: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"mine": 1}')
    with pytest.raises(InputError, match=rf"{name} is there and is no (validation|figure) of spinase"):
        validate_model(*files, tmp_path, None)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"mine": 1}'
    (tmp_path / name).unlink()
    for _ in range(2):
        validate_model(*files, tmp_path, None)


def test_the_report_is_json_without_nan(files: tuple[Path, Path], tmp_path: Path) -> None:
    data = changed(files[1], tmp_path / "x.h5", energies=np.nan)
    validate_model(files[0], data, tmp_path, None)
    text = (tmp_path / "validation.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["errors"]["rms_energy_per_site"] is None
    assert not list(tmp_path.glob("*.tmp"))
