"""How examples and commands are run in tests, and numbers read from what they print."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path

from short_forms import EXAMPLES, keep, run_input, run_process, run_script, run_source
from typer.testing import CliRunner

from spinase.cli import app
from spinase.styles import list_styles

__all__ = ["EXAMPLES", "command", "keep", "numbers", "run_input", "run_process", "run_script", "run_source"]


def command(*words: str, folder: Path) -> str:
    """What a command of ``spinase``, or one that a package adds to it, prints in a folder."""
    if words[0] in [style.name for style in list_styles("commands")]:
        return run_process([sys.executable, "-m", "spinase.cli", *words], folder)
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return str(done.output)


def numbers(line: str) -> list[float]:
    """All numbers in a line."""
    return [float(word) for word in re.findall(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?", line)]
