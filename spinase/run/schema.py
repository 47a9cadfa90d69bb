"""The JSON schema of input files, for editors that complete keys and show mistakes while one writes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from spinase.amounts import unit_of
from spinase.errors import StyleError
from spinase.options import STYLE_KIND, config_model
from spinase.run.config import CalculatorKeys, ObserverKeys, RunInput, SpinsKeys, StageKeys
from spinase.styles import list_styles

_PATH = r"^[\w.]+:[\w.]+$"  # a dotted path is accepted wherever a name is
_USUAL = "llg"
_ANYTHING = {"additionalProperties": True}
_AMOUNT = r"^\s*[+-]?[\d.].*\S$"
_TABLES: dict[str, type[BaseModel]] = {
    "calculators": CalculatorKeys,
    "initializers": SpinsKeys,
    "drivers": StageKeys,
    "observers": ObserverKeys,
}
"""Kinds whose tables have keys beside the options of the style."""
_KINDS = (*_TABLES, "thermostats", "barostats", "minimizers")


class _Generator(GenerateJsonSchema):
    """Schemas of options whose types JSON does not know (arrays, callables) accept anything."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        """The schema that anything fits."""
        return {}

    def emit_warning(self, kind: Any, detail: str) -> None:
        """Defaults that JSON does not know are left out."""


def input_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of an input file of ``spinase run``, with the options of every installed style.

    Numbers with a unit may be texts as well (``"1 fs"``); their descriptions say the unit of plain numbers.  Styles that
    cannot be imported are known by name only.
    """
    defs: dict[str, Any] = {}
    whole = _of_model(RunInput, "input", defs)
    for kind in _KINDS:
        defs[f"{kind}.options"] = _table_of_kind(kind, defs)
        defs[kind] = {**_ref(f"{kind}.options"), "unevaluatedProperties": False}
    tables = whole["properties"]
    tables["calculator"] = {"description": tables["calculator"]["description"], **_ref("calculators")}
    tables["spins"] = {"description": tables["spins"]["description"], **_ref("initializers")}
    tables["stage"]["items"], tables["observer"]["items"] = _ref("drivers"), _ref("observers")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "input file of spinase run",
        **{key: value for key, value in whole.items() if key not in ("title", "description")},
        "$defs": defs,
    }


def _table_of_kind(kind: str, defs: dict[str, Any]) -> dict[str, Any]:
    """A table whose key `style` (of a stage: `driver`) decides about the other keys."""
    key = "driver" if kind == "drivers" else "style"
    keys = _of_model(_TABLES[kind], kind, defs) if kind in _TABLES else {"properties": {"style": {"type": "string"}}}
    names, rules = [style.name for style in list_styles(kind)], []
    for style in list_styles(kind):
        try:
            model = config_model(style.load())
        except StyleError:  # a package that is missing or broken: its options are not known
            rules.append({"if": {"properties": {key: {"const": style.name}}, "required": [key]}, "then": _ANYTHING})
            continue
        own = _of_model(model, f"{kind}.{style.name}", defs)
        if style.name == "sum":  # its terms are built by their own tables
            own = {"type": "object", "properties": {"terms": {"type": "array", "items": _term()}}, "required": ["terms"]}
        own = {name: part for name, part in own.items() if name in ("properties", "required")}
        given = {"properties": {key: {"const": style.name}}}  # a stage that names no driver has the usual one
        rules.append({"if": given if style.name == _USUAL else {**given, "required": [key]}, "then": own})
    rules.append({"if": {"properties": {key: {"pattern": _PATH}}, "required": [key]}, "then": _ANYTHING})
    chosen = [{"enum": [*names, *(["keep"] if kind == "initializers" else [])]}, {"pattern": _PATH}]
    about = keys["properties"].get(key, {}).get("description", f"one of the {kind}")
    return {
        "type": "object",
        "properties": {**keys["properties"], key: {"type": "string", "description": about, "anyOf": chosen}},
        "required": [name for name in keys.get("required", []) if name != key] + ([key] if kind != "drivers" else []),
        "allOf": rules,
    }


def _term() -> dict[str, Any]:
    weight = {"type": "number", "description": "factor of the term", "default": 1.0}
    return {**_ref("calculators.options"), "properties": {"weight": weight}, "unevaluatedProperties": False}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


def _of_model(model: type[BaseModel], place: str, defs: dict[str, Any]) -> dict[str, Any]:
    """Schema of a table; tables in it go to `defs` under names that begin with `place`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = model.model_json_schema(ref_template=f"#/$defs/{place}.{{model}}", schema_generator=_Generator)
    inner = found.pop("$defs", {})
    for name, schema in inner.items():
        defs[f"{place}.{name}"] = _with_amounts(schema)
    return _with_amounts(found)


def _with_amounts(schema: dict[str, Any]) -> dict[str, Any]:
    """A table's schema whose numbers with a unit may be texts, and whose tables with a style are of its kind."""
    for key, field in schema.get("properties", {}).items():
        field.pop("title", None)
        kind = field.pop(STYLE_KIND, None)
        if isinstance(kind, str):
            names = [one for one in field.pop("anyOf", []) if one.get("type") in ("string", "null")]
            field.pop("type", None)
            field["anyOf"] = [*names, _ref(kind)]
        if unit_of(field.get("description")) not in ("", "1") or key in ("from", "to"):
            schema["properties"][key] = _or_amount(field)
    schema.pop("title", None)
    return schema


def _or_amount(field: Any) -> Any:
    """`field` with every number in it a number or a text of an amount."""
    if isinstance(field, list):
        return [_or_amount(entry) for entry in field]
    if not isinstance(field, Mapping):
        return field
    if field.get("type") in ("number", "array"):
        told = {key: value for key, value in field.items() if key in ("description", "default")}
        rest = {key: value for key, value in field.items() if key not in told}
        number = {key: _or_amount(value) for key, value in rest.items()}
        return {**told, "anyOf": [number, {"type": "string", "pattern": _AMOUNT}]}
    return {key: _or_amount(value) for key, value in field.items()}


__all__ = ["input_schema"]
