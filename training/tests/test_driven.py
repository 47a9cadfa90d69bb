"""Driven magnets from labels to a report: the teacher with leads and bath, walls in motion, widths, curl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from spinase_training.data import read_files
from spinase_training.domain import domain_of_labels
from spinase_training.driven import curls
from spinase_training.labels import LabelOptions, label_file
from spinase_training.recipe import check_recipe
from spinase_training.report import table, validate_model
from spinase_training.trajectories import Course, teacher_of

from spinase.errors import InputError
from spinase.geometry import Geometry
from spinase.io import read_labels, write_labels
from spinase.learning.card import ModelCard
from spinase.learning.lattice.network import LatticeConfig, LatticeNetwork
from spinase.learning.model_file import load_model, save_model
from spinase.learning.two_potentials import TwoPotentialsReadout

pytestmark = pytest.mark.filterwarnings("ignore")
READOUT = TwoPotentialsReadout(window=(-0.4, 0.4), axis=0, orders=1)
INPUT = """
realizations = 2
biases = [-0.4, 0.0]
[atoms]
lattice = "square"
size = [6, 2]
periodic = [false, true]
[calculator]
style = "negf"
hopping = { style = "shell", amplitudes = [1.0] }
coupling = 1.0
chemical_potential = -1.0
kT = 0.2
tolerance = 1e-4
leads = [
  { style = "lattice", side = "left", exchange = [0.0, 0.0, 1.0] },
  { style = "lattice", side = "right", exchange = [0.0, 0.0, -1.0] },
  { style = "bath", broadening = 0.2 },
]
[[texture]]
style = "domain-wall"
options = { width = 1.0, angle = 0.5 }
noise = 0.1
[texture.then]
timestep = 0.1
times = [0.2, 0.6]
driver = { style = "heisenberg", shells = [1.0] }
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model with random weights, and labels of a device."""
    folder = tmp_path_factory.mktemp("device")
    (folder / "device.toml").write_text(INPUT)
    labels = label_file(folder / "device.toml", options=LabelOptions(folder / "labels.h5"))
    parts, attributes = read_labels(labels)
    geometry = Geometry(parts[0].positions[0], parts[0].cells[0], parts[0].pbc, parts[0].numbers)
    size = {"cutoff": 1.1, "pair_length": 1.1, "pair_range": 1.1, "axis": 0, "hidden": (4,), "bispectrum": 0}
    config = LatticeConfig.from_training(size, [26], READOUT.parts, geometry)
    torch.manual_seed(2)
    notes = {
        "teacher": json.loads(attributes["teacher"]),
        "domain": domain_of_labels(parts, 1.1, READOUT).to_table(),
    }
    card = ModelCard("device", config, "reduced", readout=READOUT, notes=notes)
    save_model(folder / "model.npz", [LatticeNetwork(config)], card)
    return folder / "model.npz", labels


def test_labels_are_of_walls_in_motion_under_a_bias(files: tuple[Path, Path]) -> None:
    parts, _ = read_labels(files[1])
    assert parts[0].kinds == ["domain-wall in motion"] * 2
    assert np.abs(parts[0].moments[1] - parts[0].moments[0]).max() > 0.05
    assert set(np.concatenate([part.biases for part in parts])) == {-0.4, 0.0}


def test_the_card_rebuilds_the_teacher_with_leads_bias_and_bath(files: tuple[Path, Path]) -> None:
    """Fields are those of the labels; without the bath they are not."""
    card, part = load_model(files[0])[1], read_labels(files[1])[0][0]
    bias = float(part.biases[0])
    found = teacher_of(card, bias=bias).get_property("magnetic_forces", part.atoms(0))
    np.testing.assert_allclose(found, part.magnetic_forces[0], atol=1e-9)
    less = {**card.notes["teacher"], "leads": card.notes["teacher"]["leads"][:2]}
    other = teacher_of(ModelCard("x", card.trunk, "reduced", notes={"teacher": less}), bias=bias)
    assert np.abs(other.get_property("magnetic_forces", part.atoms(0)) - found).max() > 1e-3


def test_a_report_tells_what_is_no_gradient(files: tuple[Path, Path], tmp_path: Path) -> None:
    course = Course(timestep=0.1, time=0.1, runs=1, samples=1)
    told: dict[str, Any] = validate_model(files[0], files[1], tmp_path, course)
    still, driven = told["curl"]
    assert (still["bias"], driven["bias"]) == (0.0, -0.4)
    assert max(still["model"], still["teacher"]) < 2e-3  # of central differences, and of the teacher's tolerance
    assert min(driven["model"], driven["teacher"]) > 0.02
    assert "part of the torque without a potential" in table(told)
    alone = curls(load_model(files[0]), read_labels(files[1])[0], None)
    assert [row["teacher"] for row in alone] == [None, None]


def test_files_of_one_teacher_are_read_together(files: tuple[Path, Path], tmp_path: Path) -> None:
    parts, attributes = read_labels(files[1])
    write_labels(tmp_path / "more.h5", parts[:1], {"teacher": attributes["teacher"], "input": "more"})
    write_labels(tmp_path / "other.h5", parts[:1], {"teacher": "{}"})
    network = {"cutoff": 1.1, "inner": 0.5, "width": 4, "radial": 4}

    def asked(*names: str) -> Any:
        return check_recipe({"name": "x", "labels": list(names), "epochs": 1, "network": network}, "recipe")

    found, told = read_files(asked(str(files[1]), "more.h5"), tmp_path)
    assert len(found) == 3
    assert told["input"].endswith("more")
    assert attributes["hash"] in told["hash"].split("\n")
    with pytest.raises(InputError, match="labelled by another teacher"):
        read_files(asked(str(files[1]), "other.h5"), tmp_path)
    electrons = {"coupling": 6.0, "kT": 0.1, "filling": 0.4}
    taught = (
        {"style": "ed", **electrons},
        {"style": "rational", "tolerance": 1e-5, **electrons},
        {"style": "kpm", **electrons},
    )
    for name, teacher in zip("abc", taught, strict=True):
        write_labels(tmp_path / f"{name}.h5", parts[:1], {"teacher": json.dumps(teacher)})
    assert len(read_files(asked("a.h5", "b.h5"), tmp_path)[0]) == 2  # exact solvers of one model
    with pytest.raises(InputError, match="c.h5 was labelled by another teacher than a.h5"):
        read_files(asked("a.h5", "c.h5"), tmp_path)
    write_labels(tmp_path / "d.h5", parts[:1], {"teacher": json.dumps(taught[1] | {"kT": 0.2})})
    with pytest.raises(InputError, match="d.h5 was labelled by another teacher"):
        read_files(asked("a.h5", "d.h5"), tmp_path)
