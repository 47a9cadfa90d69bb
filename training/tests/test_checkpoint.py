"""Checkpoints of trainings: what comes back is what was written, and damage is told in one line."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from spinase_training.checkpoint import load_training, save_training

from spinase.errors import CheckpointError


def state() -> dict[str, object]:
    network = torch.nn.Linear(3, 2)
    return {"model": network.state_dict(), "epoch": 3, "values": [{"valid": {"loss": 0.25}}]}


def test_there_and_back(tmp_path: Path) -> None:
    path, before = tmp_path / "c.pt", state()
    save_training(path, before)
    after = load_training(path)
    assert after["epoch"] == 3
    assert after["values"] == before["values"]
    for name, weights in before["model"].items():  # type: ignore[attr-defined]
        assert torch.equal(after["model"][name], weights)
    assert [file.name for file in tmp_path.iterdir()] == ["c.pt"]


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    save_training(path, state())
    whole, rng = path.read_bytes(), np.random.default_rng(1)
    for place in rng.integers(len(whole), size=40):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(CheckpointError, match="is damaged or no checkpoint of a training of this version: delete it"):
            load_training(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        load_training(path)


def test_files_of_others_are_no_checkpoints(tmp_path: Path) -> None:
    """Also one of torch itself, which may hold code."""
    with pytest.raises(CheckpointError, match="cannot read .*c.pt: No such file"):
        load_training(tmp_path / "c.pt")
    content = io.BytesIO()
    torch.save(state(), content)
    (tmp_path / "c.pt").write_bytes(content.getvalue())
    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        load_training(tmp_path / "c.pt")
