"""Cards as JSON text: format 2 names the trunk and the readout.

Format 1 knew one trunk, ``network``, and readouts by its entries ``orders`` and ``potentials`` (chemical ones); it is still
read.
"""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import BaseModel, ConfigDict

from spinase.errors import ModelError, ModelFileError, StyleError
from spinase.learning.card import ModelCard
from spinase.learning.style_tables import read_readout, read_style, readout_table, validated_entry
from spinase.learning.trunk import Trunk
from spinase.styles import style_name
from spinase.units import UNIT_SYSTEMS

FORMAT, FORMAT_1 = "spinase-model-2", "spinase-model-1"
CONVENTION = "E(unit spins along the moment), B = -dE/dm"
_TRUNK_1 = "spinase.learning.mhipnn.network:MagneticHIPNN"
_READOUTS_1 = ("spinase.learning.readout:EnergyReadout", "spinase.learning.grand_potential:GrandPotentialReadout")


def write_card(card: ModelCard, trunk: type[Trunk]) -> str:
    """The card of networks of this class as text.

    Raises
    ------
    ModelFileError
        If trunk or readout are defined where nobody can find them again.
    """
    try:
        trunk_name, readout = style_name("models", trunk), readout_table(card.readout)
    except StyleError as error:
        raise ModelFileError(f"cannot write the model {card.name!r}: {error}") from None
    table = {
        **vars(card),
        "format": FORMAT,
        "convention": CONVENTION,
        "trunk": {"style": trunk_name, **card.trunk.model_dump()},
        "readout": readout,
    }
    return json.dumps(table, sort_keys=True, indent=1)


class _Head(BaseModel):
    """The plain entries of a card."""

    model_config = ConfigDict(extra="forbid")

    name: str
    units: str
    moment: float = 1.0
    energy_scale: float = 1.0
    energy_shift: float = 0.0
    notes: dict[str, Any] = {}


def read_card(source: Any, text: str) -> tuple[ModelCard, type[Trunk]]:
    """Card and class of the networks; `source` is what messages call the file.

    Raises
    ------
    ModelFileError
        If it is no card, of another version or convention, incomplete, or names what is not there.
    """
    try:
        table = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise ModelFileError(f"{source} has no card: it is no model file of spinase")
    kind, convention = table.pop("format", None), table.pop("convention", None)
    if kind not in (FORMAT, FORMAT_1):
        raise ModelFileError(
            f"{source} is of format {kind!r}, this version of spinase reads {FORMAT!r} and {FORMAT_1!r}: make it again, or "
            "upgrade"
        )
    if convention != CONVENTION:
        raise ModelFileError(f"{source} has another spin convention ({convention!r}) than spinase ({CONVENTION!r})")
    table = _of_format_1(table) if kind == FORMAT_1 else table
    unknown = sorted(set(table) - {*_Head.model_fields, "trunk", "readout"})
    if unknown:
        raise ModelFileError(f"the card of {source} has entries this version of spinase does not know: {', '.join(unknown)}")
    trunk, config = read_style(source, "models", "trunk", table.pop("trunk", None), Trunk)
    readout = read_readout(source, table.pop("readout", None))
    head = validated_entry(source, _Head, table, "")
    card = ModelCard(trunk=config, readout=readout, **head.model_dump())
    if card.units not in UNIT_SYSTEMS or not 0.0 < card.moment < math.inf or not 0.0 < card.energy_scale < math.inf:
        raise ModelFileError(
            f"the card of {source} makes no sense: units {card.units!r}, moment {card.moment}, energy_scale "
            f"{card.energy_scale}"
        )
    try:
        card.readout.constant_weights(card.trunk.parts)
    except ModelError as error:
        raise ModelFileError(f"the card of {source} makes no sense: {error}") from None
    return card, trunk


def _of_format_1(table: dict[str, Any]) -> dict[str, Any]:
    """The same in entries of format 2; what is wrong in it is found later."""
    network, window = dict(table.get("network") or {}), None
    if "network" in table:
        orders, window = network.pop("orders", 0), network.pop("potentials", None)
        network = {"style": _TRUNK_1, **network, "parts": orders + 1 if isinstance(orders, int) else orders}
    readout = {"style": _READOUTS_1[0]} if window is None else {"style": _READOUTS_1[1], "chemical_potentials": window}
    rest = {name: value for name, value in table.items() if name not in ("network", "conservative")}
    return {**rest, "trunk": network, "readout": readout}


__all__ = ["CONVENTION", "FORMAT", "FORMAT_1", "read_card", "write_card"]
