"""Figures of trainings and validations: what their axes say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from spinase_training import figures
from spinase_training.validation import Prediction

from spinase.units import unit_system


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures instead of files."""
    found: list[Figure] = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, path: found.append(figure))
    return found


def prediction(forces: bool = False) -> Prediction:
    rng = np.random.default_rng(1)
    torques, energies = rng.normal(size=(3, 5, 3)), rng.normal(size=3)
    more = {"forces": torques, "predicted_forces": torques} if forces else {}
    return Prediction(torques, torques + 0.1, energies, energies, ["random", "quench", "quench"], torques, torques, **more)


def words(figure: Figure) -> list[tuple[str, str]]:
    return [(ax.get_xlabel(), ax.get_ylabel()) for ax in figure.axes]


def test_axes_have_units(drawn: list[Figure]) -> None:
    figures.parity([prediction()], unit_system("reduced"), Path("a.png"))
    assert words(drawn[0])[0] == ("torque of the teacher [t]", "torque of the model [t]")
    figures.validation_figure([prediction(forces=True)], None, unit_system("metal"), Path("a.png"))
    assert words(drawn[1])[1] == ("force of the teacher [eV/Angstrom]", "force of the model [eV/Angstrom]")
    figures.validation_figure([prediction()], None, unit_system("metal"), Path("a.png"))
    assert words(drawn[2])[1] == ("teacher's energy per site [eV]", "model's energy per site [eV]")


@pytest.mark.parametrize(("system", "last", "clock"), [("metal", 1.0 / 0.09822694788464063, "fs"), ("reduced", 1.0, "ħ/t")])
def test_times_are_those_of_people(drawn: list[Figure], system: str, last: float, clock: str) -> None:
    rows: dict[str, Any] = {
        name: [0.0, 0.5, 1.0]
        for name in ("times", "correlation_teacher", "correlation_model", "rms_torque", "angle", "torque_r2")
    }
    figures.validation_figure([prediction()], {**rows, "energy_teacher": None}, unit_system(system), Path("a.png"))
    ax = drawn[0].axes[3]
    assert ax.get_xlabel() == f"time [{clock}]"
    assert ax.lines[0].get_xdata()[-1] == pytest.approx(last, rel=1e-6)


def test_epochs_are_whole_numbers(drawn: list[Figure]) -> None:
    figures.curves([[{"train": 1.0, "valid": 2.0}] * 3], Path("a.png"))
    drawn[0].canvas.draw()
    assert all(float(tick).is_integer() for tick in drawn[0].axes[0].get_xticks())
