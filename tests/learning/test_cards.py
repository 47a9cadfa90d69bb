"""Cards of models: what they say, their text and back, and one line for everything that is wrong in them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from systems.trunks import Sums, SumsConfig

from spinase.errors import ModelError, ModelFileError
from spinase.learning.card import ModelCard
from spinase.learning.card_format import CONVENTION, FORMAT, FORMAT_1, read_card, write_card
from spinase.learning.grand_potential import GrandPotentialReadout
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.readout import EnergyReadout
from spinase.learning.shipped import find_model, shipped_model, shipped_models
from spinase.learning.trust.domain import Domain
from spinase.learning.trust.shells import Shell
from spinase.learning.two_potentials import TwoPotentialsReadout

TRUNK = NetworkConfig(species=(26, 27), cutoff=2.0, inner=0.7, width=6, radial=5, channels=(4, 2))
SHELLS = (Shell(26, 26, 1.0, 1.0, 4, 4), Shell(26, 26, 1.41421356, 1.41421356, 4, 4))
READOUTS = {
    "energy": (EnergyReadout(), 1),
    "grand potential": (GrandPotentialReadout((-1.0, 2.0)), 3),
    "two potentials": (TwoPotentialsReadout(), 2),
    "a driven device": (TwoPotentialsReadout((-0.5, 0.5), 3, 0), 7),
}


def card(**changes: Any) -> ModelCard:
    return replace(ModelCard("iron", TRUNK, "metal", 2.2, 0.5, -8.0, notes={"teacher": {"J": 1.0}}), **changes)


def text(**changes: Any) -> str:
    """A card of format 2 with entries exchanged; None takes one away."""
    table = {**json.loads(write_card(card(), MagneticHIPNN)), **changes}
    return json.dumps({name: value for name, value in table.items() if value is not None})


@pytest.mark.parametrize("name", READOUTS)
def test_a_card_says_the_same_after_a_round_trip(name: str) -> None:
    readout, parts = READOUTS[name]
    given = card(readout=readout, trunk=TRUNK.model_copy(update={"parts": parts}))
    found, trunk = read_card("file", write_card(given, MagneticHIPNN))
    assert found == given
    assert trunk is MagneticHIPNN
    assert found.conservative is readout.conservative
    assert write_card(found, trunk) == write_card(given, MagneticHIPNN), "keys are in order"


def test_a_class_from_outside_is_named_by_its_module() -> None:
    """It is found again where that module is imported, and nowhere else: a file imports nothing."""
    config = SumsConfig(species=(26,), cutoff=1.8)
    written = write_card(card(trunk=config), Sums)
    assert json.loads(written)["trunk"]["style"] == "systems.trunks:Sums"
    found, trunk = read_card("file", written)
    assert (found.trunk, trunk) == (config, Sums)
    away = written.replace("systems.trunks:Sums", "nowhere.known:Sums")
    with pytest.raises(ModelFileError, match=r"'nowhere.known:Sums' of a module that is not imported.*import nowhere.known"):
        read_card("file", away)


def test_a_class_that_nobody_finds_again_is_not_written() -> None:
    class Local(Sums):
        """Inside a function."""

    with pytest.raises(ModelFileError, match="cannot write the model 'iron'"):
        write_card(card(), Local)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{", "it is no model file of spinase"),
        ("[1, 2]", "it is no model file of spinase"),
        ("[" * 100_000, "it is no model file of spinase"),
        (text(format="spinase-model-3"), f"format 'spinase-model-3'.* reads '{FORMAT}' and '{FORMAT_1}'.*or upgrade"),
        (text(convention="E(moments)"), r"another spin convention \('E\(moments\)'\)"),
        (text(colour="red", age=3), "entries this version of spinase does not know: age, colour"),
        (text(name=None), "incomplete or wrong: name: "),
        (text(units="cgs"), "makes no sense: units 'cgs', moment 2.2, energy_scale 0.5"),
        (text(moment=-1.0), "makes no sense: units 'metal', moment -1.0"),
        (text(energy_scale=0.0), "makes no sense: .* energy_scale 0.0"),
        (text(energy_scale=float("inf")), "makes no sense"),
        (text(trunk=None), "names no trunk"),
        (text(trunk={"style": 3}), "names no trunk"),
        (text(trunk={"style": "mhipn"}), "a trunk that is not installed"),
        (text(trunk={"style": "spinase.learning.readout:EnergyReadout"}), "EnergyReadout', which is no Trunk"),
        (text(trunk={"style": "mhipnn", "cutoff": 2.0}), "incomplete or wrong: trunk.species: Field required; trunk.inner"),
        (text(readout={"style": "mhipnn"}), "a readout that is not installed"),
        (text(readout={"style": "energy", "gain": 2}), "incomplete or wrong: readout.gain"),
        (
            text(readout={"style": "grand-potential", "window": [1.0, -1.0]}),
            r"chemical_potentials must be a range \(low, high\)",
        ),
        (text(readout={"style": "grand-potential", "window": [-1.0, 1.0]}), "makes no sense: one part of a site is no poly"),
        (text(readout={"style": "two-potentials"}), "makes no sense: these two potentials need 2 parts of a site, not 1"),
    ],
)
def test_what_is_wrong_in_a_card_is_said_in_one_line(written: str, message: str) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        read_card("my.npz", written)
    assert "\n" not in str(caught.value)
    assert "my.npz" in str(caught.value)


@pytest.mark.parametrize(("window", "parts"), [(None, 1), ([-1.0, 1.0], 4)])
def test_format_1_knew_one_trunk_and_two_readouts(window: list[float] | None, parts: int) -> None:
    network = {**TRUNK.model_dump(), "orders": parts - 1, "potentials": window}
    network.pop("parts")
    head = {"format": FORMAT_1, "convention": CONVENTION, "conservative": True}
    old = {**head, "name": "old", "units": "reduced", "network": network}
    found, trunk = read_card("old.npz", json.dumps(old))
    assert trunk is MagneticHIPNN
    assert found.trunk.parts == parts
    assert found.trunk.model_copy(update={"parts": 1}) == TRUNK
    assert found.readout == (EnergyReadout() if window is None else GrandPotentialReadout((-1.0, 1.0)))
    with pytest.raises(ModelFileError, match="names no trunk"):
        read_card("old.npz", json.dumps({name: value for name, value in old.items() if name != "network"}))
    with pytest.raises(ModelFileError, match=r"trunk\.parts"):
        read_card("old.npz", json.dumps({**old, "network": {**network, "orders": "many"}}))


def test_notes_are_asked_for_by_name() -> None:
    assert card()["teacher"] == {"J": 1.0}
    with pytest.raises(ModelFileError, match="the card of 'iron' does not say 'errors'; its notes: teacher"):
        card()["errors"]
    with pytest.raises(ModelFileError, match="its notes: nothing"):
        card(notes={})["errors"]


@pytest.mark.parametrize(
    ("notes", "shells", "learned"),
    [
        ({}, (), None),
        ({"trained_on": ["torques"]}, (), False),
        ({"trained_on": ["torques", "forces"]}, SHELLS, True),
        ({"trained_on": ["energy"]}, SHELLS, False),
        ({"trained_on": ["energy"]}, (replace(SHELLS[0], longest=1.2),), True),
        ({"errors": {"properties": {"forces": 0.1}}}, (), True),
        ({"errors": {"properties": {"forces": None}}}, (), False),
        ({"errors": {}}, (), None),
    ],
)
def test_forces_are_learned_from_forces_or_from_energies_of_many_arrangements(
    notes: dict[str, Any], shells: tuple[Shell, ...], learned: bool | None
) -> None:
    domain = Domain(2.0, {"Fe-Fe": 1.0}, shells)
    assert card(notes={**notes, "domain": domain.to_table()}).trained_forces() is learned


def test_a_lattice_has_one_distance_a_shell() -> None:
    assert card(notes={"domain": Domain(2.0, {}, SHELLS).to_table()}).on_lattice()
    assert not card(notes={"domain": Domain(2.0, {}, (replace(SHELLS[0], longest=1.01),)).to_table()}).on_lattice()


def test_domains_of_cards_that_tell_little() -> None:
    """The cutoff is the trunk's; shortest distances are taken where they are told."""
    assert card(notes={}).domain() == Domain(2.0, {})
    told = card(notes={"shortest_distances": {"Fe-Fe": 0.9}}).domain()
    assert (told.cutoff, told.shortest, told.shells) == (2.0, {"Fe-Fe": 0.9}, ())
    with pytest.raises(ModelFileError, match="table of the trained domain is incomplete or wrong"):
        card(notes={"domain": {"cutoff": 2.0}}).domain()


def test_a_card_gives_its_readout_the_electrons_it_was_taught_with() -> None:
    knows = card(readout=GrandPotentialReadout((-1.0, 2.0)), notes={"filling": 0.25})
    assert knows.readout_at() == GrandPotentialReadout((-1.0, 2.0), 0.25)
    assert knows.readout_at(chemical_potential=0.5) == GrandPotentialReadout((-1.0, 2.0), None, 0.5)
    assert knows.readout_at(filling=0.4).filling == 0.4
    with pytest.raises(ModelError, match="the card of 'iron' tells no filling: give filling= or chemical_potential="):
        replace(knows, notes={}).readout_at()
    with pytest.raises(ModelError, match="the model 'iron': the model knows chemical potentials from -1 to 2, got 3"):
        knows.readout_at(chemical_potential=3.0)
    with pytest.raises(ModelError, match="the model 'iron': it knows nothing of a bias: leave it out"):
        card().readout_at(bias=0.1)
    with pytest.raises(ModelError, match="the model 'iron': it knows nothing of electrons"):
        card().readout_at(filling=0.5)


def test_shipped_models_are_found_by_name_and_near_misses_are_named() -> None:
    assert shipped_models() == sorted(shipped_models())
    name = shipped_models()[0]
    assert find_model(name) == shipped_model(name)
    assert shipped_model(name).exists()
    with pytest.raises(ModelFileError, match=f"no model '{name}s' comes with spinase; did you mean '{name}'"):
        find_model(f"{name}s")
    with pytest.raises(ModelFileError, match=r"no model 'qqq' comes with spinase \(there are "):
        find_model("qqq")
    for path in ("some/folder", "some.npz"):
        assert str(find_model(path)) == path, "paths are taken as they are"
