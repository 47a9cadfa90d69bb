"""Model files: what is written is read, and everything that is not one of ours is refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spinase.errors import ModelFileError
from spinase.files import arrays_digest
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.model_file import CONVENTION, FORMAT, ModelCard, load_model, save_model

CONFIG = NetworkConfig(species=(26,), cutoff=2.0, inner=0.7, width=4, radial=5)
CARD = ModelCard("test", CONFIG, "reduced", moment=1.0, energy_scale=0.5, energy_shift=-6.0, notes={"teacher": {"a": 1}})


def networks(count: int = 2) -> list[MagneticHIPNN]:
    torch.manual_seed(1)
    return [MagneticHIPNN(CONFIG) for _ in range(count)]


def test_round_trip_keeps_every_bit(tmp_path: Path) -> None:
    ensemble = networks()
    save_model(tmp_path / "a.model", ensemble, CARD)
    found, card = load_model(tmp_path / "a.model")
    assert card == CARD
    for one, two in zip(ensemble, found, strict=True):
        for name, weights in one.state_dict().items():
            assert torch.equal(weights, two.state_dict()[name])
    assert not (tmp_path / "a.model.tmp").exists()


def rewritten(path: Path, **changes: object) -> Path:
    """The file with entries of its card changed (None: taken out)."""
    with open(path, "rb") as source, np.load(source) as stored:
        arrays = {name: stored[name] for name in stored.files}
    table = {**json.loads(str(arrays["card"])), **changes}
    arrays["card"] = np.array(json.dumps({k: v for k, v in table.items() if v is not None}))
    target = path.with_name("changed.model")
    with open(target, "wb") as file:
        np.savez(file, **arrays)
    return target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "spinase-model-0"}, f"of format 'spinase-model-0', this version of spinase reads '{FORMAT}'"),
        ({"convention": "B = +dE/dm"}, "another spin convention"),
        ({"units": None}, "incomplete or wrong"),
        ({"network": {"species": [26]}}, "incomplete or wrong"),
        ({"name": "other"}, "digest does not match"),
    ],
)
def test_foreign_cards_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    save_model(tmp_path / "a.model", networks(1), CARD)
    with open(tmp_path / "a.model", "rb") as source, np.load(source) as stored:
        assert json.loads(str(stored["card"]))["convention"] == CONVENTION
    with pytest.raises(ModelFileError, match=message):
        load_model(rewritten(tmp_path / "a.model", **changes))


def forged(path: Path, network: dict[str, object], **changes: object) -> Path:
    """A file whose card was changed by somebody who put the digest right."""
    with open(path, "rb") as source, np.load(source) as stored:
        arrays = {name: stored[name] for name in stored.files}
    table = {**json.loads(str(arrays.pop("card"))), **changes}
    table["network"] |= network
    del arrays["digest"]
    text = json.dumps(table)
    target = path.with_name("forged.model")
    with open(target, "wb") as file:
        np.savez(file, card=np.array(text), digest=np.array(arrays_digest(text, arrays)), **arrays)
    return target


@pytest.mark.parametrize(
    ("network", "changes", "message"),
    [
        ({"width": 10_000}, {}, r"do not fit its card: .* has shape .*, the card asks for \(1, 10000\)"),  # 10 GB of weights
        ({"layers": 10**9}, {}, "network.layers: must be less than or equal to 100"),
        ({"width": 10**12}, {}, "network.width: must be less"),
        ({"channels": [10**9]}, {}, "channels must be between 1 and 10000"),
        ({"species": [0]}, {}, "network.species.0"),
        ({"layers": 1}, {}, "the card asks for None"),
        ({}, {"energy_scale": "large"}, "energy_scale: a number is needed"),
        ({}, {"energy_scale": float("nan")}, "makes no sense"),
        ({}, {"units": "imperial"}, "makes no sense: units 'imperial'"),
        ({}, {"notes": ["a"]}, "notes: a table is needed"),
        ({}, {"colour": "red"}, "does not know: colour"),
    ],
)
def test_cards_are_looked_at_before_memory_is_taken(
    tmp_path: Path, network: dict[str, object], changes: dict[str, object], message: str
) -> None:
    save_model(tmp_path / "a.model", networks(1), CARD)
    with pytest.raises(ModelFileError, match=message):
        load_model(forged(tmp_path / "a.model", network, **changes))
    assert load_model(forged(tmp_path / "a.model", {}))[1] == CARD


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="there is no model file"):
        load_model(tmp_path / "nothing.model")
    (tmp_path / "text.model").write_text("no model")
    with pytest.raises(ModelFileError, match="damaged or no model file"):
        load_model(tmp_path / "text.model")
    save_model(tmp_path / "a.model", networks(1), CARD)
    whole = (tmp_path / "a.model").read_bytes()
    (tmp_path / "cut.model").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelFileError, match="damaged or no model file"):
        load_model(tmp_path / "cut.model")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ModelFileError, match="has no card"):
        load_model(tmp_path / "other.npz")


def test_what_does_not_fit_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="at least one network"):
        save_model(tmp_path / "a.model", [], CARD)
    with pytest.raises(ModelFileError, match="network 0 is not of the size"):
        save_model(tmp_path / "a.model", [MagneticHIPNN(CONFIG.model_copy(update={"width": 5}))], CARD)
    assert not list(tmp_path.iterdir())
