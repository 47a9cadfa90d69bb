"""How examples are run: in this process, so that nothing is imported or loaded twice, with pieces replaced to be shorter."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from matplotlib import pyplot
from typer.testing import CliRunner

from spinase.cli import app

EXAMPLES = Path(__file__).parents[2] / "examples"


def run_script(script: Path, folder: Path, words: Sequence[str] = (), changes: Sequence[tuple[str, str]] = ()) -> str:
    """What a script prints when it is started in a folder with these words behind its name.

    `changes`: pieces of its source that are replaced, each found there exactly once.
    """
    source = script.read_text()
    for old, new in changes:
        assert source.count(old) == 1, f"{script.name} no longer says {old!r} once: change the short form in its test"
        source = source.replace(old, new)
    return run_source(source, str(script), folder, words)


def run_source(source: str, name: str, folder: Path, words: Sequence[str] = ()) -> str:
    """What a program prints when it is started in a folder, as ``__main__``."""
    printed, threads = io.StringIO(), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patched, contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        patched.setattr(sys, "argv", [name, *words])
        try:
            exec(compile(source, name, "exec", dont_inherit=True), {"__name__": "__main__", "__file__": name})
        finally:
            pyplot.close("all")
            torch.set_num_threads(threads)
    return printed.getvalue()


def call(*command: str, cwd: Path) -> str:
    """What a process of its own prints, on one thread: small matrices gain from no more."""
    told = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=1500, check=False, env=told)
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(*words: str, folder: Path) -> str:
    """What a command of ``spinase`` prints in a folder."""
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return str(done.output)


def numbers(line: str) -> list[float]:
    """All numbers in a line."""
    return [float(word) for word in re.findall(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?", line)]
