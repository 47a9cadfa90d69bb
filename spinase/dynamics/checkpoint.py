"""Checkpoints: one file, no pickle, checked by a digest, replaced atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spinase.errors import CheckpointError
from spinase.files import arrays_digest, has_arrays, read_arrays, refuse_foreign, write_arrays

FORMAT = "spinase-checkpoint-1"


def save_checkpoint(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a nested dictionary of arrays and JSON values, so that a kill at any moment leaves the old or the new file.

    The file is written under a temporary name, synced to the disk and renamed (:mod:`spinase.files`).

    Raises
    ------
    OutputError
        If it cannot be written; the old one is left.
    InputError
        If what is at `path` is no checkpoint.
    """
    refuse_foreign(path, _is_checkpoint, "checkpoint")
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_split(state, "", arrays), sort_keys=True)
    head = {"__format__": FORMAT, "__json__": text, "__digest__": arrays_digest(text, arrays)}
    write_arrays(path, {**{name: np.array(word) for name, word in head.items()}, **arrays})


def _is_checkpoint(path: Path) -> bool:
    return has_arrays(path, ("__format__", "__json__"))


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
        content = read_arrays(source)
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {source}: {error.strerror or error}") from None
    except ValueError as error:
        raise CheckpointError(f"the checkpoint {source} is damaged or no checkpoint: {error}") from None
    kind, text = str(content.pop("__format__", "")), str(content.pop("__json__", ""))
    digest = str(content.pop("__digest__", ""))
    if kind != FORMAT:
        raise CheckpointError(f"{source} is not a {FORMAT} file (it says {kind!r}): it was written by another version")
    if digest != arrays_digest(text, content):
        raise CheckpointError(f"the checkpoint {source} is damaged: its digest does not match its content")
    try:
        return dict(_join(json.loads(text), "", content))
    except (ValueError, RecursionError):
        raise CheckpointError(f"the checkpoint {source} is damaged: what it says cannot be read") from None


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
