"""Where a run comes from: versions, seed, input, revision, machine."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from spinase.run.config import RunInput

_PACKAGES = ("spinase", "ase", "numpy", "scipy", "torch", "matscipy", "numba", "h5py")


def versions() -> dict[str, str]:
    """Versions of python and of the packages a result depends on; nothing is imported."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def git_revision() -> str:
    """Revision of the source tree spinase is run from, with ``+`` if it is modified; empty for an installed package."""
    folder = Path(__file__).resolve().parent
    try:
        revision = _git(folder, "rev-parse", "HEAD")
        return revision + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def provenance(config: RunInput, text: str) -> dict[str, str]:
    """What is stored with a run."""
    return {
        "units": config.units,
        "title": config.title,
        "seed": str(config.seed),
        "input": text,
        "versions": json.dumps(versions()),
        "git_revision": git_revision(),
        "platform": platform.platform(),
        "command": " ".join(sys.argv),
    }
