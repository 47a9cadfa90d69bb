"""A run that was to end goes on: which changes of an input leave what was computed as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spinase.errors import CheckpointError


def changed_keys(old: Any, new: Any, place: str = "") -> Iterator[str]:
    """Dotted keys at which two nested tables differ.

    Parameters
    ----------
    old, new : table, list or value
        What is compared.
    place : str
        Dotted key of both.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from changed_keys(old.get(key), new.get(key), f"{place}.{key}".strip("."))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for k, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from changed_keys(one, other, f"{place}.{k}")
    elif old != new:
        yield place


def require_longer(old: Mapping[str, Any], new: Mapping[str, Any], checkpoint: Mapping[str, Any], folder: object) -> None:
    """Check that an input differs from the one a run was started with only by more steps of stages that are not behind it.

    Parameters
    ----------
    old, new : mapping
        Tables of the inputs.
    checkpoint : mapping
        Of the run: the number of its stage, and the steps done in it.
    folder : object
        Of the run, for messages.

    Raises
    ------
    CheckpointError
        Naming the keys that differ, or why a stage cannot get other steps.
    """
    changes = [
        key for key in changed_keys(old, new) if key.partition(".")[0] != "sweep"
    ]  # other runs are none of its business
    stage, done = int(checkpoint["stage"]), int(checkpoint["done"])
    last = len(old.get("stage", [])) - 1
    others = [key for key in changes if key != f"stage.{last}.steps"]
    if others:
        raise CheckpointError(
            f"the input differs from the one {folder} was started with in {', '.join(others)} (see {folder}/input.toml): "
            "restart with that file and the same --set (only the steps of the last stage may be others), or start a new "
            "run elsewhere with --output"
        )
    if stage < last or not changes:
        return
    table = new["stage"][last]
    if _ramps_to_the_end(table) or _ramps_to_the_end(new.get("calculator")):
        raise CheckpointError(
            f"stage {last} of {folder} has a ramp as long as the stage, so with other steps it would have been another one: "
            "give the ramp a duration in a new run, or go on in a new run from the last frame"
        )
    if table["steps"] < done:
        raise CheckpointError(f"stage {last} of {folder} has {done} steps behind it: it cannot end after {table['steps']}")


def _ramps_to_the_end(table: Any) -> bool:
    """Whether there is a ramp without a duration in nested tables."""
    if isinstance(table, Mapping):
        if {"from", "to"} == table.keys():
            return True
        return any(_ramps_to_the_end(value) for value in table.values())
    return isinstance(table, list) and any(_ramps_to_the_end(entry) for entry in table)


__all__ = ["changed_keys", "require_longer"]
