"""How examples are run: processes of their own, on one thread."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def call(*command: str, cwd: Path) -> str:
    """What a command prints."""
    one_thread = {
        **os.environ,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }  # small matrices gain from no more
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=1500, check=False, env=one_thread)
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(line: str) -> list[float]:
    """All numbers in a line."""
    return [float(word) for word in re.findall(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?", line)]
