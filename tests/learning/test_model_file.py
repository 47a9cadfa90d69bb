"""Model files: what is written is read, and everything that is not one of ours is refused with a reason."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spinase.errors import ModelFileError
from spinase.files import arrays_digest
from spinase.learning.card import ModelCard
from spinase.learning.card_format import CONVENTION, FORMAT, FORMAT_1
from spinase.learning.grand_potential import GrandPotentialReadout
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.model_file import load_model, save_model
from spinase.learning.readout import EnergyReadout
from spinase.styles import style_name

CONFIG = NetworkConfig(species=(26,), cutoff=2.0, inner=0.7, width=4, radial=5)
CARD = ModelCard("test", CONFIG, "reduced", moment=1.0, energy_scale=0.5, energy_shift=-6.0, notes={"teacher": {"a": 1}})


GRAND = "spinase.learning.grand_potential:GrandPotentialReadout"


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
        ({"trunk": {"style": "spinase.learning.mhipnn.network:MagneticHIPNN", "species": [26]}}, "incomplete or wrong"),
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
    table["trunk"] |= network
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
        ({"layers": 10**9}, {}, "trunk.layers: must be less than or equal to 100"),
        ({"width": 10**12}, {}, "trunk.width: must be less"),
        ({"channels": [10**9]}, {}, "channels must be between 1 and 10000"),
        ({"species": [0]}, {}, "trunk.species.0"),
        ({"layers": 1}, {}, "the card asks for None"),
        ({}, {"energy_scale": "large"}, "energy_scale: a number is needed"),
        ({}, {"energy_scale": float("nan")}, "makes no sense"),
        ({}, {"units": "imperial"}, "makes no sense: units 'imperial'"),
        ({}, {"notes": ["a"]}, "notes: a table is needed"),
        ({}, {"colour": "red"}, "does not know: colour"),
        ({"parts": 2}, {}, "makes no sense: 2 parts of a site are no energy"),
        ({}, {"readout": {}}, "names no readout"),
        ({}, {"readout": {"style": "magic"}}, "has a readout that is not installed: unknown readout 'magic'"),
        ({}, {"readout": {"style": "spinase.learning.readout:EnergyReadout", "a": 1}}, "readout.a: "),
        ({}, {"readout": {"style": GRAND, "window": [1.0, 0.0]}}, "readout.window: chemical_potentials must be a range"),
        ({}, {"readout": {"style": GRAND, "window": [0.0, 1.0]}}, "makes no sense: one part of a site is no polynomial"),
        ({"style": 5}, {}, "names no trunk"),
        (
            {"style": "stranger:Trunk"},
            {},
            "has the trunk 'stranger:Trunk' of a module that is not imported.*: import stranger",
        ),
        ({"style": "spinase.cli:main"}, {}, "trunk 'spinase.cli:main'"),
        ({"style": "json:JSONDecoder"}, {}, "the trunk 'json:JSONDecoder', which is no Trunk"),
        ({"style": "spinase.learning.readout:EnergyReadout"}, {}, "which is no Trunk"),
    ],
)
def test_cards_are_looked_at_before_memory_is_taken(
    tmp_path: Path, network: dict[str, object], changes: dict[str, object], message: str
) -> None:
    save_model(tmp_path / "a.model", networks(1), CARD)
    with pytest.raises(ModelFileError, match=message):
        load_model(forged(tmp_path / "a.model", network, **changes))
    assert load_model(forged(tmp_path / "a.model", {}))[1] == CARD


def of_format_1(path: Path, network: dict[str, object], **changes: object) -> Path:
    """The file as it was written before cards named trunk and readout."""
    with open(path, "rb") as source, np.load(source) as stored:
        arrays = {name: stored[name] for name in stored.files}
    table = json.loads(str(arrays.pop("card"))) | {"format": FORMAT_1, "conservative": True, **changes}
    del arrays["digest"], table["readout"]
    old = {"orders": 0, "potentials": None, **table.pop("trunk"), **network}
    table["network"] = {name: value for name, value in old.items() if name not in ("style", "parts")}
    text = json.dumps(table)
    target = path.with_name("old.model")
    with open(target, "wb") as file:
        np.savez(file, card=np.array(text), digest=np.array(arrays_digest(text, arrays)), **arrays)
    return target


def test_files_of_format_1_are_read(tmp_path: Path) -> None:
    """Their network is mHIP-NN, and its orders and potentials tell the readout."""
    save_model(tmp_path / "a.model", networks(1), CARD)
    (network,), card = load_model(of_format_1(tmp_path / "a.model", {}))
    assert card == CARD
    assert all(torch.equal(one, two) for one, two in zip(network.parameters(), networks(1)[0].parameters(), strict=True))
    config = CONFIG.model_copy(update={"parts": 3})
    grand = replace(CARD, trunk=config, readout=GrandPotentialReadout((-2.0, -1.0)))
    save_model(tmp_path / "b.model", [MagneticHIPNN(config)], grand)
    assert load_model(tmp_path / "b.model")[1] == grand
    named = {"style": GRAND, "window": [-2.0, -1.0]}  # as the first cards of format 2 had it
    assert load_model(forged(tmp_path / "b.model", {}, readout=named))[1] == grand
    assert load_model(of_format_1(tmp_path / "b.model", {"orders": 2, "potentials": [-2.0, -1.0]}))[1] == grand
    with pytest.raises(ModelFileError, match="3 parts of a site are no energy"):
        load_model(of_format_1(tmp_path / "b.model", {"orders": 2}))
    with pytest.raises(ModelFileError, match="trunk.parts: "):
        load_model(of_format_1(tmp_path / "b.model", {"orders": "two"}))


def test_cards_name_trunk_and_readout(tmp_path: Path) -> None:
    save_model(tmp_path / "a.model", networks(1), CARD)
    with open(tmp_path / "a.model", "rb") as source, np.load(source) as stored:
        table = json.loads(str(stored["card"]))
    assert table["format"] == FORMAT == "spinase-model-2"
    assert table["trunk"]["style"] == style_name("models", MagneticHIPNN)
    assert table["readout"] == {"style": style_name("readouts", EnergyReadout)}

    class Hidden(MagneticHIPNN):
        pass

    with pytest.raises(ModelFileError, match=r"cannot write the model 'test': .*Hidden is inside a function"):
        save_model(tmp_path / "b.model", [Hidden(CONFIG)], CARD)


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


def test_networks_are_numbered_from_zero(tmp_path: Path) -> None:
    save_model(tmp_path / "a.model", networks(), CARD)
    with np.load(tmp_path / "a.model") as stored:
        arrays = {name.replace("0/", "2/"): stored[name] for name in stored.files}
    text = str(arrays.pop("card"))
    arrays["digest"] = np.array(arrays_digest(text, {name: one for name, one in arrays.items() if name != "digest"}))
    with open(tmp_path / "b.model", "wb") as file:
        np.savez(file, card=np.array(text), **arrays)
    with pytest.raises(ModelFileError, match=r"holds no networks numbered from 0, but \['1', '2'\]"):
        load_model(tmp_path / "b.model")
