"""The own tests of plugins around networks of others, from their sources; skipped where those packages are missing."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[1] / "plugins"


@pytest.mark.parametrize(
    ("plugin", "module", "package"),
    [("spinase-mace", "mace", "mace-torch"), ("spinase-deepspin", "deepmd", "deepmd-kit[torch]")],
)
def test_its_own_tests_pass(plugin: str, module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is missing: pip install '{package}'")
    paths = os.pathsep.join([str(PLUGINS / plugin), str(PLUGINS.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(PLUGINS / plugin / "tests")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}, check=False)
    assert done.returncode in (0, 5), done.stdout + done.stderr  # 5: everything was skipped, with the reason
