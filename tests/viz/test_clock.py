"""Times in metal units are shown in fs; the file's readers get those of the unit system."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import units
from systems.runs import made

from spinase.io import Series, read_run
from spinase.run import run_file
from spinase.viz import plot_run
from spinase.viz.clock import run_to_show

INPUT = """
units = "UNITS"
seed = 1
[atoms]
lattice = "square"
size = [3, 3]
[calculator]
style = "heisenberg"
shells = [0.01]
[[stage]]
driver = "DRIVER"
steps = 4
OPTIONS
[[observer]]
style = "energy"
every = 2
[output]
every = 2
"""


def ran(folder: Path, system: str, driver: str, options: str) -> Path:
    source = folder / "in.toml"
    source.write_text(INPUT.replace("UNITS", system).replace("DRIVER", driver).replace("OPTIONS", options))
    path = run_file(source)
    assert path is not None
    return path


def test_metal_runs_are_shown_in_femtoseconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = ran(tmp_path, "metal", "llg", f"timestep = {0.5 * units.fs}")
    kept, shown = read_run(path), run_to_show(path)
    np.testing.assert_allclose(kept.times, np.array([0.0, 1.0, 2.0]) * units.fs)
    np.testing.assert_allclose(shown.times, [0.0, 1.0, 2.0])
    np.testing.assert_allclose(shown.observables["energy"]["per_site"].times, [0.0, 1.0, 2.0])
    assert shown.provenance["time_unit"] == "fs"
    lines = (path.parent / "log.txt").read_text().splitlines()
    assert "time [fs]" in lines[0]
    assert [float(line.split()[1]) for line in lines[1:]] == pytest.approx([0.0, 1.0, 2.0])
    assert plot_run(shown, tmp_path)[0].exists()


@pytest.mark.parametrize(
    ("system", "driver", "options"), [("reduced", "llg", "timestep = 0.5"), ("metal", "monte-carlo", "kT = 0.01")]
)
def test_other_clocks_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, driver: str, options: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = ran(tmp_path, system, driver, options)
    np.testing.assert_array_equal(run_to_show(path).times, read_run(path).times)
    assert run_to_show(path).provenance.get("time_unit") != "fs"
    assert "[fs]" not in (path.parent / "log.txt").read_text()


def test_metal_temperatures_are_shown_in_kelvin() -> None:
    def series(value: float, unit: str, label: str) -> Series:
        return Series(np.array([0, 10]), np.array([0.0, 0.5]), np.array([0.0, value]), label, unit, "series", "")

    observables = {
        "conditions": {"kT": series(600 * units.kB, "eV", "temperature kT"), "bias": series(0.1, "eV", "bias")},
        "motion": {"spin_kT": series(300 * units.kB, "eV", "spin temperature")},
    }
    shown = run_to_show(run_to_show(made(observables=observables)))  # shown of shown is shown
    bath, spins = shown.observables["conditions"]["kT"], shown.observables["motion"]["spin_kT"]
    assert (bath.label, bath.unit, spins.label, spins.unit) == ("temperature", "K", "spin temperature", "K")
    np.testing.assert_allclose([bath.values[1], spins.values[1]], [600.0, 300.0])
    assert shown.observables["conditions"]["bias"].unit == "eV"
    reduced = run_to_show(made(units="reduced", observables=observables))
    assert reduced.observables["conditions"]["kT"].values[1] == 600 * units.kB
