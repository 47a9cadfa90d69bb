"""Teachers of learned magnets: the calculators that labelled what they were trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spinase.errors import ModelFileError
from spinase.learning.model_file import load_model
from spinase.learning.shipped import shipped_model
from spinase.options import built_style


def teacher_of(name: str) -> Any:
    """The calculator that labelled a model that comes with the package or a plugin, from the model's card.

    Parameters
    ----------
    name : str
        One of ``spinase models``.  Files of others may name any code: build their teacher from ``card["teacher"]`` yourself.

    Raises
    ------
    ModelFileError
        If there is no such model, or its card has no teacher; for a path.
    """
    if Path(name).suffix or len(Path(name).parts) > 1:
        raise ModelFileError(
            f"{name!r} is a path: a file may name any code as its teacher, so only those of models that are installed are "
            "built. Look at spinase.learning.model_file.load_model(path)[1]['teacher'] and build it yourself"
        )
    card = load_model(shipped_model(name))[1]
    table = card["teacher"]
    if not isinstance(table, dict) or not table:
        raise ModelFileError(f"the card of {name!r} names no teacher: its labels came from elsewhere")
    return built_style("calculators", {"style": "ed", **table}, f"the teacher of {name!r}")


__all__ = ["teacher_of"]
