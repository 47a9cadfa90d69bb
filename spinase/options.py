"""Options of styles: their pydantic models, tables checked against them, and what a user is told of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PydanticSchemaGenerationError,
    TypeAdapter,
    ValidationError,
    create_model,
)

from spinase.errors import InputError, StyleError, in_words
from spinase.styles import Style, load_style, nearest

STYLE_KIND = "style_kind"
"""Entry of ``json_schema_extra`` of a field that is a table ``{ style = ..., ... }``: the kind of its style."""


def config_model(target: Any) -> type[BaseModel]:
    """The pydantic model of a style's options: its ``Config``, else one made from its signature.

    Functions (initializers) leave out their leading ``geometry, rng``.  Annotations that pydantic can check are checked;
    descriptions are taken from the ``Parameters`` of the docstring.
    """
    declared = getattr(target, "Config", None)
    if isinstance(declared, type) and issubclass(declared, BaseModel):
        return declared
    hints, told = _hints(target), _parameter_texts(target)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(target).parameters.values():
        if parameter.name in ("geometry", "rng") or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        kind = Any if default is None else _checkable(hints.get(parameter.name, Any))  # `x: float = None` is common
        fields[parameter.name] = (kind, Field(default, description=told.get(parameter.name)))
    return create_model(getattr(target, "__name__", "Options"), __config__=ConfigDict(extra="forbid"), **fields)


def _hints(target: Any) -> dict[str, Any]:
    try:
        return get_type_hints(cast(Any, target).__init__ if isinstance(target, type) else target)
    except (NameError, TypeError, AttributeError):  # names known to type checkers only; no annotations at all
        return {}


def _checkable(annotation: Any) -> Any:
    """`annotation`, or Any if pydantic cannot check it; array-likes are numbers or (nested) lists of numbers."""
    if "_SupportsArray" in str(annotation):  # numpy's ArrayLike
        return Annotated[Any, AfterValidator(_numbers)]
    try:
        TypeAdapter(annotation)
    except PydanticSchemaGenerationError:
        return Any
    return annotation


def _numbers(value: Any) -> Any:
    for entry in value if isinstance(value, list | tuple) else [value]:
        if isinstance(entry, list | tuple):
            _numbers(entry)
        elif isinstance(entry, bool) or not isinstance(entry, int | float):
            raise ValueError(f"a number or a list of numbers is needed, got {entry!r}")
    return value


def _parameter_texts(target: Any) -> dict[str, str]:
    """Texts of the numpydoc section ``Parameters``, by name."""
    _, _, section = (inspect.getdoc(target) or "").partition("Parameters\n----------\n")
    texts: dict[str, str] = {}
    names: list[str] = []
    for line in re.split(r"\n\n\S", section)[0].splitlines():
        if line and not line.startswith(" "):
            names = [name.strip() for name in line.partition(":")[0].split(",")]
        for name in names if line.startswith(" ") else ():
            texts[name] = f"{texts.get(name, '')} {line.strip()}".strip()
    return texts


def options_of(target: Any, table: Mapping[str, Any], where: str, also: Iterable[str] = ()) -> BaseModel:
    """`table` checked against the options of `target`; `where` (such as ``[calculator]``) goes into messages.

    `also` are keys of the same table that were taken out of it before; they are offered as corrections.

    Parameters
    ----------
    target : class or function
        Of a style.
    table : mapping
        Options as they were read.
    where : str
        Place in the input, for messages.
    also : iterable of str
        Further keys that are offered as corrections.

    Raises
    ------
    InputError
        On an unknown key (with the nearest one), a missing one or a wrong value.
    """
    return validated(config_model(target), table, where, also)


def built_style(kind: str, given: str | Mapping[str, Any], where: str) -> Any:
    """The object of a style named alone, or in a table ``{ style = name, ... }`` with its options.

    Parameters
    ----------
    kind : str
        Such as ``calculators``.
    given : str or mapping
        Name, or table with ``style``.
    where : str
        Place in the input, for messages.

    Raises
    ------
    InputError, StyleError
        If there is no style of that name, or its options are wrong.
    """
    options = {"style": given} if isinstance(given, str) else dict(given)
    name = options.pop("style", None)
    if not isinstance(name, str):
        raise InputError(f"{where}: a table with a style is needed, got {given!r} (see `spinase styles {kind}`)")
    target = load_style(kind, name)
    if not hasattr(target, "from_config"):
        raise StyleError(f"{where}: {name!r} is no {kind[:-1]}, it has no from_config (see `spinase styles {kind}`)")
    return target.from_config(options_of(target, options, where, also=("style",)))


def validated(model: type[BaseModel], table: Mapping[str, Any], where: str, also: Iterable[str] = ()) -> Any:
    """`table` as an instance of `model`, or an :class:`InputError` that says what, the value, where, and what to do.

    Parameters
    ----------
    model : type of BaseModel
        What the table should be.
    table : mapping
        As it was read.
    where : str
        Place in the input, for messages.
    also : iterable of str
        Further keys that are offered as corrections.
    """
    try:
        taken = model.model_validate(dict(table))
        _require_as_given(table, taken, where)
        return taken
    except ValidationError as error:
        raise InputError("; ".join(_explain(model, problem, where, also) for problem in error.errors())) from None


def _require_as_given(given: Any, taken: Any, where: str) -> None:
    """Refuse texts and truth values that were taken for numbers: ``steps = true`` is no number of steps."""
    if isinstance(given, Mapping) and isinstance(taken, BaseModel):
        names = {field.alias or name: name for name, field in type(taken).model_fields.items()}
        for key, value in given.items():
            _require_as_given(value, getattr(taken, str(names.get(key, key)), None), f"{where} {key}")
    elif isinstance(given, list | tuple) and isinstance(taken, list | tuple):
        for one, other in zip(given, taken, strict=False):
            _require_as_given(one, other, where)
    elif isinstance(given, bool) != isinstance(taken, bool) and isinstance(taken, int | float):
        raise InputError(f"{where}: {'true or false' if isinstance(taken, bool) else 'a number'} is needed (got {given!r})")
    elif isinstance(given, str) and isinstance(taken, int | float):
        raise InputError(f"{where}: a number is needed, without quotes (got {given!r})")


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
    message = in_words(problem)
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


def options_table(model: type[BaseModel], prefix: str = "", above: tuple[type[BaseModel], ...] = ()) -> dict[str, Any]:
    """Every key of a table and of the tables in it (dotted): description and unit, type, default (or "required"), choices.

    `<name>` stands for a key of the user's own, `<n>` for a place in a list; where a key takes one of several tables, their
    names are in brackets.

    Parameters
    ----------
    model : type of BaseModel
        Of the table.
    prefix : str
        Put before every key.
    above : tuple of types
        Tables this one is in, which are not told again.
    """
    rows: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        default = "required" if field.is_required() else field.get_default(call_default_factory=True)
        choices = _choices(field.annotation)
        rows[key] = {
            "description": field.description or ("chooses this table" if len(choices) == 1 else ""),
            "type": type_words(field.annotation),
            "default": TypeAdapter(Any).dump_python(default, mode="json", by_alias=True, fallback=repr),
            "choices": choices,
        }
        tables = [(place, table) for place, table in _tables(field.annotation) if table not in above]
        for place, table in tables:
            told = f"({table.__name__.removesuffix('Config')})" if len(tables) > 1 else ""
            rows |= options_table(table, f"{key}{place}{told}.", (*above, table))
    return rows


def type_words(annotation: Any) -> str:
    """What kind of value an annotation asks for, in words: ``number``, ``list of whole numbers``, ``table``, ...

    Parameters
    ----------
    annotation : type or annotation
        Of a field.
    """
    if isinstance(annotation, type):
        found = next((word for kind, word in _WORDS.items() if issubclass(annotation, kind)), "")
        if found:
            return found
    origin, parts = get_origin(annotation), [part for part in get_args(annotation) if part is not type(None)]
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(filter(None, map(type_words, parts))))
    if origin is Annotated:
        return type_words(parts[0])
    if origin in (list, tuple):
        inner = type_words(parts[0]) if parts else ""
        plural = "values" if inner in ("", _WORDS[bool]) else " or ".join(f"{word}s" for word in inner.split(" or "))
        return f"{f'{len(parts)} ' if origin is tuple and ... not in parts else 'list of '}{plural}"
    if origin in (dict, Mapping):
        return "table"
    return "text" if origin is Literal and all(isinstance(part, str) for part in parts) else ""


_WORDS: dict[type, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "file",
    BaseModel: "table",
}


def _choices(annotation: Any) -> list[Any]:
    """Values of the literals in an annotation."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for part in get_args(annotation) for value in _choices(part)]


def _tables(annotation: Any, place: str = "") -> list[tuple[str, type[BaseModel]]]:
    """Tables in an annotation, and how they hang below its key."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [(place, annotation)]
    origin = get_origin(annotation)
    step = ".<name>" if origin in (dict, Mapping) else ".<n>" if origin in (list, tuple) else ""
    return [found for part in get_args(annotation) for found in _tables(part, place + step)]


def describe(style: Style) -> dict[str, Any]:
    """What a user wants to know of a style: summary, options with units and defaults, citation, package."""
    target = style.load()
    # What a class says itself: a base's words would describe something else.
    own = vars(target).get("__doc__") if isinstance(target, type) else inspect.getdoc(target)
    summary, _, rest = inspect.cleandoc(own or "").partition("\n\n")
    # A function has no Config whose fields tell the units: its text does, up to the first section.
    details = "" if isinstance(target, type) else re.split(r"\n*\w+\n-{3,}\n", rest)[0].strip()
    options = {} if style.kind in ("integrators", "commands") else options_table(config_model(target))
    return {
        "kind": style.kind,
        "name": style.name,
        "summary": summary.replace("\n", " "),
        "details": details,
        "options": options,
        "citation": getattr(target, "citation", ""),
        "package": f"{style.package} {style.version}".strip(),
        "target": style.target,
    }
