"""Styles: everything a user can choose by name, found through entry points.

Built-ins and plugins register alike, in the groups ``spinase.calculators``, ``spinase.drivers``,
``spinase.integrators``, ``spinase.initializers``, ``spinase.observers`` and ``spinase.commands``.  Listing imports
nothing.  Wherever a name is accepted, so is a dotted path ``module:Class``.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from spinase.errors import InputError, StyleError

KINDS = ("calculators", "drivers", "integrators", "initializers", "observers", "commands")
_PREFIX = "spinase."


@dataclass(frozen=True)
class Style:
    """A named choice: its kind, where it is defined (``module:attribute``) and the package that brings it."""

    kind: str
    name: str
    target: str
    package: str
    version: str

    def load(self) -> Any:
        """Import the class or function.

        Raises
        ------
        StyleError
            If the import fails, naming the package, what is missing and how to install it.
        """
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ImportError as error:
            missing = getattr(error, "name", None) or str(error)
            hint = f": pip install {missing.split('.')[0]}" if isinstance(error, ModuleNotFoundError) else ""
            raise StyleError(
                f"{self.kind[:-1]} {self.name!r} of {self.package or 'your script'} cannot be imported, "
                f"{missing!r} is missing{hint}"
            ) from error
        except AttributeError:
            raise StyleError(f"{module} has no {attribute!r}, which {self.kind[:-1]} {self.name!r} points to") from None


@cache
def _installed() -> tuple[Style, ...]:
    found = []
    for group in sorted(entry_points().groups):
        if group.startswith(_PREFIX):
            found += [_style(group.removeprefix(_PREFIX), point) for point in entry_points(group=group)]
    return tuple(dict.fromkeys(found))


def _style(kind: str, point: EntryPoint) -> Style:
    owner = point.dist
    return Style(kind, point.name, point.value, owner.name if owner else "", owner.version if owner else "")


def list_styles(kind: str | None = None) -> list[Style]:
    """All styles, or those of one kind, by kind and name; nothing is imported.

    Raises
    ------
    StyleError
        On an unknown kind.
    """
    kinds = sorted({*KINDS, *(style.kind for style in _installed())})
    if kind is not None and kind not in kinds:
        raise StyleError(f"unknown kind of style {kind!r}{nearest(kind, kinds)}; kinds: {', '.join(kinds)}")
    return sorted((s for s in _installed() if kind in (None, s.kind)), key=lambda s: (s.kind, s.name))


def find_style(kind: str, name: str) -> Style:
    """The style called `name`, or the one a dotted path ``module:Class`` points to.

    Raises
    ------
    StyleError
        If there is none (with the nearest match), or if two packages bring one of that name.
    """
    if ":" in name:
        return Style(kind, name, name, "", "")
    matches = [style for style in list_styles(kind) if style.name == name]
    if len(matches) > 1:
        owners = " and ".join(f"{style.package} ({style.target})" for style in matches)
        raise StyleError(f"two packages bring a {kind[:-1]} called {name!r}: {owners}; uninstall one, or use the path")
    if not matches:
        names = [style.name for style in list_styles(kind)]
        raise StyleError(f"unknown {kind[:-1]} {name!r}{nearest(name, names)}; installed: {', '.join(names) or 'none'}")
    return matches[0]


def load_style(kind: str, name: str) -> Any:
    """The class or function of a style (see :func:`find_style`)."""
    return find_style(kind, name).load()


def nearest(word: str, words: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` or nothing."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def config_model(target: Any) -> type[BaseModel]:
    """The pydantic model of a style's options: its ``Config``, else one made from its signature.

    Functions (initializers) leave out their leading ``geometry, rng``.
    """
    declared = getattr(target, "Config", None)
    if isinstance(declared, type) and issubclass(declared, BaseModel):
        return declared
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(target).parameters.values():
        if parameter.name in ("geometry", "rng") or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        fields[parameter.name] = (Any, ... if parameter.default is parameter.empty else parameter.default)
    return create_model(getattr(target, "__name__", "Options"), __config__=ConfigDict(extra="forbid"), **fields)


def options_of(target: Any, table: Mapping[str, Any], where: str, also: Iterable[str] = ()) -> BaseModel:
    """`table` checked against the options of `target`; `where` (such as ``[calculator]``) goes into messages.

    `also` are keys of the same table that were taken out of it before; they are offered as corrections.

    Raises
    ------
    InputError
        On an unknown key (with the nearest one), a missing one or a wrong value.
    """
    return validated(config_model(target), table, where, also)


def validated(model: type[BaseModel], table: Mapping[str, Any], where: str, also: Iterable[str] = ()) -> Any:
    """`table` as an instance of `model`, or an :class:`InputError` that says what, the value, where, and what to do."""
    try:
        return model.model_validate(dict(table))
    except ValidationError as error:
        raise InputError("; ".join(_explain(model, problem, where, also) for problem in error.errors())) from None


def _explain(model: type[BaseModel], problem: Any, where: str, also: Iterable[str]) -> str:
    path = [str(part) for part in problem["loc"]]
    place = f"{where} {'.'.join(path[:-1])}".strip()
    key = path[-1] if path else ""
    if problem["type"] == "extra_forbidden":
        known = [*also, *_keys_at(model, [])] if len(path) == 1 else _keys_at(model, path[:-1])
        listing = f"; known keys: {', '.join(known)}" if known else ""
        return f"unknown key {key!r} in {place}{nearest(key, known)}{listing}"
    if problem["type"] == "missing":
        return f"key {key!r} is missing in {place}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":  # a rule about a whole table, which says its values itself
        return f"{f'{place} {key}'.strip()}: {message}"
    return f"{f'{place} {key}'.strip()}: {message} (got {problem['input']!r})"


def _keys_at(model: type[BaseModel], path: list[str]) -> list[str]:
    """Keys of the table at `path` below `model`; empty if it is no table of fixed keys."""
    for part in path:
        field = model.model_fields.get(part)
        choices = [] if field is None else [field.annotation, *get_args(field.annotation)]
        tables = [choice for choice in choices if isinstance(choice, type) and issubclass(choice, BaseModel)]
        if not tables:
            return []
        model = tables[0]
    return list(model.model_fields)


def describe(style: Style) -> dict[str, Any]:
    """What a user wants to know of a style: summary, options with units and defaults, citation, package."""
    target = style.load()
    schema = config_model(target).model_json_schema() if style.kind not in ("integrators", "commands") else {}
    required = set(schema.get("required", ()))
    options = {
        name: {
            "description": entry.get("description", ""),
            "default": "required" if name in required else entry.get("default"),
        }
        for name, entry in schema.get("properties", {}).items()
    }
    return {
        "kind": style.kind,
        "name": style.name,
        "summary": (inspect.getdoc(target) or "").split("\n\n")[0].replace("\n", " "),
        "options": options,
        "citation": getattr(target, "citation", ""),
        "package": f"{style.package} {style.version}".strip(),
        "target": style.target,
    }
