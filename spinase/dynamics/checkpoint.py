"""Checkpoints: one file, no pickle, checked by a digest, replaced atomically."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spinase.errors import CheckpointError

FORMAT = "spinase-checkpoint-1"


def save_checkpoint(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a nested dictionary of arrays and JSON values, so that a kill at any moment leaves the old or the new file.

    The file is written under a temporary name, synced to the disk and renamed.
    """
    arrays: dict[str, np.ndarray] = {}
    plain = _split(state, "", arrays)
    text = json.dumps(plain, sort_keys=True)
    target = Path(path)
    temporary = target.with_name(target.name + ".tmp")
    with open(temporary, "wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            __format__=np.array(FORMAT),
            __json__=np.array(text),
            __digest__=np.array(_digest(text, arrays)),
            **arrays,
        )
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, target)
    sync_folder(target.parent)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or not a checkpoint of this version.
    """
    source = Path(path)
    if not source.exists():
        raise CheckpointError(
            f"there is no checkpoint {source}: start without --restart (with --overwrite if there is a run)"
        )
    try:
        with open(source, "rb") as file, np.load(file, allow_pickle=False) as stored:
            content = {name: stored[name] for name in stored.files}
    # numpy and zipfile have no error of their own for each way a damaged header can be wrong
    except (ValueError, OSError, EOFError, TypeError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(f"the checkpoint {source} is damaged or no checkpoint ({error})") from error
    kind, text = str(content.pop("__format__", "")), str(content.pop("__json__", ""))
    digest = str(content.pop("__digest__", ""))
    if kind != FORMAT:
        raise CheckpointError(f"{source} is not a {FORMAT} file (it says {kind!r}): it was written by another version")
    if digest != _digest(text, content):
        raise CheckpointError(f"the checkpoint {source} is damaged: its digest does not match its content")
    return dict(_join(json.loads(text), "", content))


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut (where the system can)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    total = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name}{array.dtype.str}{array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def _split(state: Mapping[str, Any], prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, value in state.items():
        if isinstance(value, np.ndarray):
            arrays[prefix + key] = value
        elif isinstance(value, Mapping):
            plain[key] = _split(value, f"{prefix}{key}/", arrays)
        else:
            plain[key] = value.item() if isinstance(value, np.generic) else value
    return plain


def _join(plain: dict[str, Any], prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    here = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
    for key, value in plain.items():
        if isinstance(value, dict):
            plain[key] = _join(value, f"{prefix}{key}/", arrays)
    return plain | {name: array for name, array in here.items() if "/" not in name}
