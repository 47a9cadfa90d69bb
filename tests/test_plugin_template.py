"""The template of plugins in a fresh environment: installed, listed, run from an input file, and put through the kit.

The environment is a new venv that sees the packages of this one (no network): what is tested is the way from a package of
its own to a style, not the dependencies.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import pytest

from spinase.io import read_run

PLUGIN = Path(__file__).parents[1] / "plugins" / "spinase-template"
CLI = ["-c", "from spinase.cli import main; main()"]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory) -> Path:
    """A copy of the plugin: building in place would leave files in the repository."""
    copy = tmp_path_factory.mktemp("plugin") / "spinase-template"
    shutil.copytree(PLUGIN, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "*_run", ".*"))
    return copy


@pytest.fixture(scope="module")
def python(tmp_path_factory, plugin) -> Path:
    """Interpreter of a fresh environment with the plugin installed."""
    home = tmp_path_factory.mktemp("environment")
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(home)
    scripts, name = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    interpreter = home / scripts / name
    show = subprocess.run(
        [interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    seen = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    # addsitedir also follows the .pth files there, such as that of an editable install of spinase
    lines = [f"import site; site.addsitedir({path!r})" for path in seen]
    (Path(show.stdout.strip()) / "outer.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "--python", str(interpreter), "install", *options, str(plugin)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"pip failed (it needs setuptools >= 77 here):\n{done.stdout}\n{done.stderr}"
    return interpreter


def call(python: Path, *arguments: str, cwd: Path) -> str:
    """Output of the fresh interpreter, somewhere outside the repository."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([python, *arguments], cwd=cwd, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_not_installed_here():
    """Otherwise the tests below would prove nothing."""
    assert "spinase-template" not in {dist.metadata["Name"] for dist in distributions()}


def test_its_styles_are_listed_with_package_and_citation(python, tmp_path):
    listing = call(python, *CLI, "styles", cwd=tmp_path).splitlines()
    words = [line.split() for line in listing]
    assert ["drivers", "align", "spinase-template", "0.1.0"] in words
    assert ["calculators", "basal", "spinase-template", "0.1.0", "S.", "Chikazumi,"] in [line[:6] for line in words]
    assert ["observers", "staggered-magnetization", "spinase-template", "0.1.0"] in [line[:4] for line in words]
    assert ["calculators", "heisenberg"] in [line[:2] for line in words]


def test_a_style_describes_itself_with_units_and_citation(python, tmp_path):
    text = call(python, *CLI, "styles", "calculators", "basal", cwd=tmp_path)
    assert "spinase-template" in text
    assert "K6 per site" in text
    assert "[energy]" in text
    assert "Chikazumi" in text


def test_all_run_from_the_input_file(python, plugin, tmp_path):
    call(python, *CLI, "run", str(plugin / "quench.toml"), "-o", "out", "--no-figures", cwd=tmp_path)
    run = read_run(tmp_path / "out" / "run.h5")
    series = run.observables["staggered-magnetization"]["m_q"]
    assert series.values[0] < 0.4
    assert series.values[-1] > 0.99
    assert np.all((series.values >= 0.0) & (series.values <= 1.0 + 1e-12))
    assert run.static["staggered-magnetization"]["q"] == pytest.approx([np.pi, np.pi, 0.0])
    # the strength of the plugin's term shows in the final state: easy directions every 60 degrees
    spins = run.atoms(-1).spins
    assert np.abs(spins[:, 2]).max() < 1e-3
    sixfold = ((spins[:, 0] + 1j * spins[:, 1]) ** 6).real
    assert sixfold.min() > 0.99


def test_its_own_tests_pass_there(python, plugin, tmp_path):
    """They run the conformance kit on the calculator."""
    out = call(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(plugin), cwd=plugin)
    assert "passed" in out
    assert "failed" not in out
    assert "skipped" not in out
