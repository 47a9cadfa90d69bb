"""How far the box of labels falsifies their fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from spinase_training.commands import label
from spinase_training.labels import box_errors, box_report
from spinase_training.labels.config import LabelInput
from spinase_training.labels.configurations import realization_of
from typer import Typer
from typer.testing import CliRunner

from spinase.calculators import EDCalculator
from spinase.electrons import KMesh, SDModel, ShellHopping
from spinase.errors import InputError
from spinase.run.config import read_table
from spinase.spin_algebra import tangent

INPUT = """
seed = 3
realizations = 2
random = 3
[atoms]
lattice = "square"
size = [4, 3]
[calculator]
style = "ed"
coupling = 1.5
kT = 0.1
chemical_potential = -1.1
hopping = { style = "shell", amplitudes = [1.0] }
"""


def source(tmp_path: Path, text: str = INPUT) -> Path:
    path = tmp_path / "magnet.toml"
    path.write_text(text)
    return path


def test_a_box_beside_itself_with_four_k_points(tmp_path: Path) -> None:
    """Electrons of a box repeated along both directions are those of the box at k = 0 and 1/2 of either."""
    path = source(tmp_path)
    config = LabelInput.model_validate(read_table(path, ())[0])
    atoms, kinds = realization_of(config, tmp_path, 0)
    model = SDModel(ShellHopping([1.0]), coupling=1.5, chemical_potential=-1.1, kT=0.1)
    gamma, mesh = EDCalculator(model), EDCalculator(model, KMesh.regular((2, 2, 1)))
    found = box_errors(path, count=3)
    assert [one.kind for one in found] == ["random"] * 3
    for _, one in zip(kinds, found, strict=True):
        small, large = (tangent(calc.get_property("magnetic_forces", atoms), atoms.spins) for calc in (gamma, mesh))
        assert one.r2 == pytest.approx(1.0 - np.sum((small - large) ** 2) / np.sum(large**2), abs=1e-9)
        assert one.rms_field == pytest.approx(np.sqrt(np.mean(np.sum(large**2, axis=1))), rel=1e-9)
        free = [calc.get_property("free_energy", atoms) / 12 for calc in (gamma, mesh)]
        assert one.energy == pytest.approx(free[0] - free[1], abs=1e-10)
        assert one.r2 < 0.99  # it is a box that is too small
        assert abs(one.energy) > 1e-4


def test_only_some_configurations_are_asked_about(tmp_path: Path) -> None:
    ends = box_errors(source(tmp_path), ["random=5"], count=2)
    whole = box_errors(source(tmp_path), ["random=5"], count=9)
    assert len(whole) == 5
    assert ends == [whole[0], whole[-1]]


def test_what_it_says(tmp_path: Path) -> None:
    path = source(tmp_path)
    assert "the electrons see the images of the box" in box_report(path)
    assert "warmer electrons" in box_report(path)
    assert "large enough" in box_report(path, ["calculator.kT=1.0", "atoms.size=[8, 8]"])
    assert "no field turns a spin" in box_report(path, ["calculator.coupling=0.0"])


def test_open_boxes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no direction of .atoms. is periodic"):
        box_errors(source(tmp_path, INPUT.replace("size = [4, 3]", "size = [4, 3]\nperiodic = false")))


def test_the_command_labels_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = Typer()
    app.command("label")(label)
    app.command("other")(lambda: None)
    told = CliRunner().invoke(app, ["label", str(source(tmp_path)), "--check-box"])
    assert told.exit_code == 0, told.output
    assert "R^2 of the box" in told.output
    assert sorted(one.name for one in tmp_path.iterdir()) == ["magnet.toml"]
