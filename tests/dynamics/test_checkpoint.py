"""Checkpoints: round trip to the last bit, and every kind of damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spinase.dynamics.checkpoint import load_checkpoint, save_checkpoint
from spinase.errors import CheckpointError


def state() -> dict[str, object]:
    rng = np.random.default_rng(1)
    return {
        "step": 7,
        "moments": rng.normal(size=(5, 3)),
        "driver": {"spins": rng.normal(size=(5, 3)), "rng": rng.bit_generator.state, "deep": {"array": np.arange(3)}},
        "empty": {},
        "time": np.float64(0.1) * 3,
    }


def test_round_trip_is_exact_including_the_generator(tmp_path: Path) -> None:
    before = state()
    save_checkpoint(tmp_path / "c.npz", before)
    after = load_checkpoint(tmp_path / "c.npz")
    np.testing.assert_array_equal(after["moments"], before["moments"])
    np.testing.assert_array_equal(after["driver"]["deep"]["array"], np.arange(3))
    assert after["time"] == before["time"]
    assert after["step"] == 7
    assert after["empty"] == {}
    one, two = np.random.default_rng(9), np.random.default_rng(1)
    one.bit_generator.state = after["driver"]["rng"]
    two.normal(size=(10, 3))
    np.testing.assert_array_equal(one.normal(size=5), two.normal(size=5))
    assert list(tmp_path.iterdir()) == [tmp_path / "c.npz"], "no temporary file stays"


def test_a_kill_while_writing_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.npz"
    save_checkpoint(path, {"step": 1})
    monkeypatch.setattr("spinase.files.os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, {"step": 2})
    assert load_checkpoint(path)["step"] == 1


def test_damage_is_found_and_named(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    with pytest.raises(CheckpointError, match="there is no checkpoint .*c.npz: start without --restart"):
        load_checkpoint(path)
    save_checkpoint(path, state())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        load_checkpoint(path)
    path.write_bytes(b"not a checkpoint at all")
    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        load_checkpoint(path)
    np.savez(path, x=np.zeros(3))
    with pytest.raises(CheckpointError, match="is not a spinase-checkpoint-1 file .* another version"):
        load_checkpoint(path)
    path.unlink()  # what is no checkpoint is not replaced
    save_checkpoint(path, {"step": 1, "x": np.zeros(2)})
    with np.load(path) as stored:
        content = dict(stored) | {"x": np.ones(2)}
    np.savez(path, **content)
    with pytest.raises(CheckpointError, match="its digest does not match its content"):
        load_checkpoint(path)


def test_every_flipped_bit_is_found_or_harmless(tmp_path: Path) -> None:
    """Whatever byte of the file is damaged, or where it is cut: the same state or a CheckpointError."""
    path = tmp_path / "c.npz"
    rng = np.random.default_rng(2)
    before = {"a": np.arange(6.0).reshape(2, 3), "n": {"rng": rng.bit_generator.state, "b": np.zeros((0, 3))}, "s": 1}
    save_checkpoint(path, before)
    whole = path.read_bytes()
    refused = 0
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.integers(8)
        for damaged in (bytes(flipped), *([whole[:place]] if place % 7 == 0 else ())):
            path.write_bytes(damaged)
            try:
                after = load_checkpoint(path)
            except CheckpointError:
                refused += 1
                continue
            assert damaged[:place] != whole[:place] or len(damaged) == len(whole), "a cut file was accepted"
            np.testing.assert_array_equal(after["a"], before["a"])
            assert after["n"]["rng"] == before["n"]["rng"]
    assert refused > len(whole) // 2


def test_another_file_of_numpy_is_no_checkpoint(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.zeros(3))
    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        load_checkpoint(tmp_path / "c.npy")
