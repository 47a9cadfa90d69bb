"""Every example runs, and shows what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spinase.io import read_run

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
INPUTS = sorted(EXAMPLES.glob("*/*.toml"))


def call(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_run(script: Path, tmp_path: Path) -> None:
    assert call(sys.executable, str(script), cwd=tmp_path).strip()


@pytest.mark.parametrize("source", INPUTS, ids=lambda path: path.name)
def test_input_files_run(source: Path, tmp_path: Path) -> None:
    call(sys.executable, "-m", "spinase.cli", "run", str(source), cwd=tmp_path)
    folder = tmp_path / f"{source.stem}_run"
    assert (folder / "summary.png").stat().st_size > 10_000
    run = read_run(folder / "run.h5")
    energy = run.observables["energy"]["per_site"].values
    assert energy[-1] < energy[0]
    if source.name == "quench.toml":
        check_tetrahedral_order(folder)


def check_tetrahedral_order(folder: Path) -> None:
    """The main job: energy falls to the tetrahedral one, chirality grows to its, S(q) has three peaks."""
    run = read_run(folder / "run.h5")
    observables = run.observables
    assert observables["energy"]["per_site"].values[-1] == pytest.approx(-2.6238, abs=1e-3)
    chirality = observables["chirality"]["mean"].values
    assert abs(chirality[0]) < 0.1
    assert abs(chirality[-1]) == pytest.approx(4 / (3 * np.sqrt(3)), abs=0.02)
    power = observables["structure-factor"]["structure_factor"].values[-1]
    waves = run.static["structure-factor"]["wavevectors"]
    peaks = waves[power > 0.25 * 144][:, :2]
    np.testing.assert_allclose(np.linalg.norm(peaks, axis=1), 2 * np.pi / np.sqrt(3), rtol=1e-6)
    angles = np.unique(np.round(np.degrees(np.arctan2(peaks[:, 1], peaks[:, 0])) % 180.0))
    np.testing.assert_allclose(angles, [30, 90, 150])


def test_the_script_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    readme = (EXAMPLES.parent / "README.md").read_text()
    script = next(part.split("```")[0] for part in readme.split("```python\n")[1:] if "SDModel" in part)
    printed = call(sys.executable, "-c", script, cwd=tmp_path).splitlines()
    assert len(printed) == 2, "one line for each calculator"
    assert all(np.isfinite([float(word) for word in line.split()]).all() for line in printed)


def test_the_classical_input_differs_in_one_line() -> None:
    electrons, classical = (
        [line for line in (EXAMPLES / "01_quench" / name).read_text().splitlines() if not line.startswith(("#", "title"))]
        for name in ("quench.toml", "quench_classical.toml")
    )
    different = [(a, b) for a, b in zip(electrons, classical, strict=True) if a != b]
    assert len(different) == 1
    assert different[0][0].startswith("calculator = ")
