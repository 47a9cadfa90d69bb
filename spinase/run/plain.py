"""Input files with amounts (``"1 fs"``, ``"300 K"``) as plain numbers, before anything else looks at them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from spinase.amounts import with_numbers
from spinase.errors import StyleError
from spinase.options import STYLE_KIND, config_model
from spinase.styles import find_style, load_style, make_importable

_AMOUNT = re.compile(r"\s*[+-]?[\d.].*[^\d\s.,+-].*")  # what may be one: begins with a number and has more


def plain_calculator(table: Any, units: str, where: str) -> Any:
    """A calculator's table with amounts as numbers, terms of a sum as well; anything else as it is.

    Parameters
    ----------
    table : mapping
        With ``style``.
    units : str
        Unit system of the input.
    where : str
        Place in the input, for messages.

    Raises
    ------
    InputError
        On an amount that cannot be one of its key.
    """
    found = _plain_style("calculators", table, units, where)
    if isinstance(found, Mapping) and isinstance(found.get("terms"), list):
        found = {
            **found,
            "terms": [plain_calculator(term, units, f"{where} terms.{k}") for k, term in enumerate(found["terms"])],
        }
    return found


def plain_input(model: type[BaseModel], table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A whole input of ``spinase run`` with amounts as numbers of its unit system.

    Styles are looked up only where something may be an amount; what cannot be found is left for who builds it to tell.

    Parameters
    ----------
    model : type of BaseModel
        Of the input.
    table : mapping
        As it was read.
    folder : Path
        Of the input file, for styles that are scripts in it.

    Raises
    ------
    InputError
        On an amount that cannot be one of its key.
    """
    if not _has_amounts(table):
        return dict(table)
    if ":" in str(table):
        make_importable(folder)
    units = str(table.get("units", "reduced"))
    if units not in ("reduced", "metal"):
        return dict(table)
    found = numbers_of(model, table, units, "")
    if "calculator" in found:
        found["calculator"] = plain_calculator(found["calculator"], units, "[calculator]")
    found["spins"] = _plain_style("initializers", found.get("spins"), units, "[spins]")
    for key, kind in (("stage", "drivers"), ("observer", "observers")):
        entries = found.get(key)
        if isinstance(entries, list):
            found[key] = [_plain_style(kind, entry, units, f"[[{key}]] {k}") for k, entry in enumerate(entries)]
    for k, stage in enumerate(found["stage"] if isinstance(found.get("stage"), list) else []):
        if isinstance(stage, dict) and "calculator" in stage:
            stage["calculator"] = plain_calculator(stage["calculator"], units, f"[[stage]] {k} calculator")
    return {key: value for key, value in found.items() if key in table}


def numbers_of(model: type[BaseModel], table: Mapping[str, Any], units: str, where: str) -> dict[str, Any]:
    """A table with amounts converted to numbers (:func:`spinase.amounts.with_numbers`), those of styles in it as well.

    Parameters
    ----------
    model : type of BaseModel
        What the table should be.
    table : mapping
        As it was read.
    units : str
        Unit system of the input.
    where : str
        Place in the input, for messages.
    """
    found = with_numbers(model, table, units, where)
    for key, field in model.model_fields.items():
        extra = field.json_schema_extra
        kind = extra.get(STYLE_KIND) if isinstance(extra, dict) else None
        inner = found.get(key)
        if isinstance(kind, str) and isinstance(inner, Mapping) and isinstance(inner.get("style"), str):
            own = config_model(load_style(kind, inner["style"]))
            found[key] = numbers_of(own, inner, units, f"{where} {key}")
    return found


def _plain_style(kind: str, table: Any, units: str, where: str) -> Any:
    """The table of a style with amounts as numbers."""
    if not isinstance(table, Mapping) or not _has_amounts(table):
        return table
    name = table.get("driver", "llg") if kind == "drivers" else table.get("style")
    try:
        target = find_style(kind, name).load() if isinstance(name, str) and name != "keep" else None
    except StyleError:
        return table
    return dict(table) if target is None else numbers_of(config_model(target), table, units, where)


def _has_amounts(value: Any) -> bool:
    if isinstance(value, str):
        return _AMOUNT.fullmatch(value) is not None
    if isinstance(value, Mapping | list):
        return any(_has_amounts(entry) for entry in (value.values() if isinstance(value, Mapping) else value))
    return False


__all__ = ["numbers_of", "plain_calculator", "plain_input"]
