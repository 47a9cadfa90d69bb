"""Tables of files that name a class and hold its options: ``{"style": name, ...}``."""

from __future__ import annotations

import sys
from typing import Any

from pydantic import BaseModel, ValidationError

from spinase.errors import ModelFileError, StyleError, in_words
from spinase.learning.readout import Readout
from spinase.styles import find_style, style_name


def readout_table(readout: Readout) -> dict[str, Any]:
    """A readout as a table of a card."""
    return {"style": style_name("readouts", type(readout)), **readout.table()}


def read_readout(source: Any, table: Any) -> Readout:
    """What :func:`readout_table` made.

    Raises
    ------
    ModelFileError
        If it is wrong, or names what is not there.
    """
    readout, config = read_style(source, "readouts", "readout", table, Readout)
    return readout.from_config(config)


def read_style(source: Any, kind: str, entry: str, table: Any, base: type) -> tuple[Any, Any]:
    """Class that a table of a card names, and its checked configuration.

    A file must not choose what is imported: only registered styles, classes of this room, and of modules that are there.

    Parameters
    ----------
    source : Any
        The file, for messages.
    kind : str
        Of the styles, such as ``models``.
    entry : str
        Of the card, for messages.
    table : Any
        ``style`` and options.
    base : type
        What the class must derive from.

    Raises
    ------
    ModelFileError
        If it names anything else, or its options are wrong; `source` and `entry` go into messages.
    """
    if not isinstance(table, dict) or not isinstance(table.get("style"), str):
        raise ModelFileError(f"the card of {source} is incomplete or wrong: it names no {entry}")
    options = dict(table)
    name = options.pop("style")
    module = name.partition(":")[0]
    if ":" in name and module not in sys.modules and not module.startswith("spinase.learning."):
        raise ModelFileError(
            f"{source} has the {entry} {name!r} of a module that is not imported, and model files import none: import "
            f"{module} before, or register it as a style of the kind {kind}"
        )
    try:
        found = find_style(kind, name).load()
    except StyleError as error:
        raise ModelFileError(f"{source} has a {entry} that is not installed: {error}") from None
    if not isinstance(found, type) or not issubclass(found, base):
        raise ModelFileError(f"{source} has the {entry} {name!r}, which is no {base.__name__}")
    return found, validated_entry(source, getattr(found, "Config"), options, entry)  # noqa: B009


def validated_entry(source: Any, model: type[BaseModel], table: dict[str, Any], where: str) -> Any:
    """A table of a card as an instance of `model`; `where` it is goes into messages.

    Parameters
    ----------
    source : Any
        The file, for messages.
    model : type
        A pydantic model.
    table : dict
        Its fields.
    where : str
        Place in the card, for messages; may be empty.

    Raises
    ------
    ModelFileError
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        prefix = f"{where}." if where else ""
        told = "; ".join(f"{prefix}{'.'.join(map(str, one['loc']))}: {in_words(one)}" for one in error.errors())
        raise ModelFileError(f"the card of {source} is incomplete or wrong: {told}") from None


__all__ = ["read_readout", "read_style", "readout_table", "validated_entry"]
