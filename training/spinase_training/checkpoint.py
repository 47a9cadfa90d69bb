"""Checkpoints of a training: torch's own format behind a digest, so that damage is told from weights."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from spinase.errors import CheckpointError
from spinase.files import replacing

_FORMAT = b"spinase-training-1\n"
_DIGEST = 64  # characters of a SHA-256 in hexadecimals


def save_training(path: Path, state: Mapping[str, Any]) -> None:
    """Write nested dictionaries of tensors and numbers, so that a kill at any moment leaves the old or the new file.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    content = io.BytesIO()
    torch.save(dict(state), content)
    payload = content.getvalue()
    with replacing(path) as temporary:
        temporary.write_bytes(_FORMAT + hashlib.sha256(payload).hexdigest().encode() + payload)


def load_training(path: Path) -> dict[str, Any]:
    """Read what :func:`save_training` wrote; no code in the file is run.

    Raises
    ------
    CheckpointError
        If the file cannot be read, is damaged, or is no such checkpoint.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from None
    head, digest = len(_FORMAT), content[len(_FORMAT) : len(_FORMAT) + _DIGEST]
    payload = content[head + _DIGEST :]
    if not content.startswith(_FORMAT) or hashlib.sha256(payload).hexdigest().encode() != digest:
        raise CheckpointError(
            f"{path} is damaged or no checkpoint of a training of this version: delete it to train that network anew"
        )
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(payload), weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:  # whole, but of another version of torch
        raise CheckpointError(f"{path} cannot be read by torch {torch.__version__}: {str(error).splitlines()[0]}") from None
    return state


__all__ = ["load_training", "save_training"]
