"""Where a run comes from: versions, digest of the code, seed, input, machine."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
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


@cache
def source_digest() -> str:
    """SHA-256 of the package's Python sources, whatever repository they lie in: the same code has the same digest."""
    root = Path(__file__).resolve().parents[1]
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        content = path.read_bytes()
        total.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return total.hexdigest()


def is_editable() -> bool:
    """Whether spinase runs from a source tree (``pip install -e``, or a path), where code changes under one version."""
    try:
        told = distribution("spinase").read_text("direct_url.json") or "{}"
        installed = Path(str(distribution("spinase").locate_file("spinase"))).resolve()
        return bool(json.loads(told).get("dir_info", {}).get("editable")) or installed != Path(__file__).resolve().parents[1]
    except (PackageNotFoundError, ValueError):
        return True


def code_identity() -> dict[str, str]:
    """What tells the code of spinase: the digest of its sources, and whether they may change under the same version."""
    return {"source_digest": source_digest(), "installed": "editable" if is_editable() else "package"}


def provenance(config: RunInput, text: str) -> dict[str, str]:
    """What is stored with a run."""
    return {
        "units": config.units,
        "title": config.title,
        "seed": str(config.seed),
        "input": text,
        "versions": json.dumps(versions()),
        **code_identity(),
        "platform": platform.platform(),
        "command": " ".join(sys.argv),
    }
