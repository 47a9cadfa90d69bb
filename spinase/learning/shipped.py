"""Models that come with the package."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from spinase.errors import ModelFileError

_FOLDER = Path(__file__).parent / "models"


def shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.npz"))


def shipped_model(name: str) -> Path:
    """Model file of a name.

    Raises
    ------
    ModelFileError
        If there is none; says which there are.
    """
    if name not in shipped_models():
        near = get_close_matches(name, shipped_models(), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ModelFileError(f"no model {name!r} comes with spinase{hint} (there are {', '.join(shipped_models())})")
    return _FOLDER / f"{name}.npz"


def find_model(model: str | Path) -> Path:
    """A file, or, where there is none of that name, a model that comes with the package.

    Raises
    ------
    ModelFileError
        If it is neither.
    """
    path = Path(model)
    if path.exists() or path.suffix or len(path.parts) != 1:
        return path
    return shipped_model(str(model))
