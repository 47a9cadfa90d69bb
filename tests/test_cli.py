"""The command line as a user meets it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "01_quench" / "quench_classical.toml"


def spinase(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "spinase.cli", *words], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, spinase.cli; print([m for m in ('torch', 'ase', 'numba', 'numpy', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    start = time.perf_counter()
    done = spinase("--help")
    assert done.returncode == 0
    for command in ("run", "check", "styles", "plot", "info"):
        assert command in done.stdout
    assert time.perf_counter() - start < 30.0, "not a timing test: only a runaway import would take this long"


def test_run_plot_and_check(tmp_path: Path) -> None:
    options = ("--set", "stage.0.steps=20", "--set", "atoms.size=[6,6]")
    checked = spinase("check", str(EXAMPLE), *options, cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "36 sites" in checked.stdout
    assert "20 steps of LLGDynamics on HeisenbergCalculator" in checked.stdout
    dry = spinase("run", str(EXAMPLE), *options, "--dry-run", cwd=tmp_path)
    assert dry.stdout.splitlines()[:4] == checked.stdout.splitlines()[:4]
    assert list(tmp_path.iterdir()) == []
    done = spinase("run", str(EXAMPLE), *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "nothing but results when piped"
    folder = tmp_path / "quench_classical_run"
    made = {path.name for path in folder.iterdir()}
    assert {"run.h5", "log.txt", "checkpoint.npz", "input.toml", "summary.png", "energy.png", "chirality.png"} <= made
    for path in folder.glob("*.png"):
        path.unlink()
    assert spinase("plot", str(folder / "run.h5"), "-o", "figures", cwd=tmp_path).returncode == 0
    assert (tmp_path / "figures" / "summary.png").stat().st_size > 10_000


def test_styles_and_info() -> None:
    listing = spinase("styles")
    assert "calculators    ed" in listing.stdout
    assert "zeeman" not in spinase("styles", "drivers").stdout
    told = spinase("styles", "calculators", "ed").stdout
    assert "[energy]" in told
    assert "cite:" in told
    assert "spinase 0." in told
    information = spinase("info")
    assert "torch" in information.stdout
    assert "calculators" in information.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "missing.toml"), "Error: cannot read the input file missing.toml"),
        (("plot", "missing.h5"), "Error: there is no run file missing.h5"),
        (("styles", "calculators", "edd"), "did you mean 'ed'?"),
        (("styles", "nothing"), "unknown kind of style 'nothing'"),
        (("run", str(EXAMPLE), "--set", "seeed=1"), "did you mean 'seed'?"),
    ],
)
def test_errors_are_one_line_and_status_two(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = spinase(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
