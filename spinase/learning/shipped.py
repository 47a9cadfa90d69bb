"""Models that come with the package, and with plugins.

A plugin brings models as files in a folder of it, each with an entry point of the group ``spinase.trained``: its name is
that of the model (and of the file, ``NAME.npz``), its value the folder as a dotted path, ``cube = "spinase_mine.trained"``.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from spinase.errors import ModelFileError
from spinase.installed import TRAINED, packages

_FOLDER = Path(__file__).parent / "models"


def shipped_models() -> list[str]:
    """Names of the models that come with the package or with plugins; nothing is imported."""
    return sorted({*_own(), *_of_plugins()})


def shipped_model(name: str) -> Path:
    """Model file of a name.

    Raises
    ------
    ModelFileError
        If there is none (says which there are), if two packages bring it, or a plugin does not have the file.
    """
    brought = _of_plugins().get(name, [])
    if len(brought) + (name in _own()) > 1:
        owners = " and ".join([*(["spinase"] if name in _own() else []), *(package for package, _ in brought)])
        raise ModelFileError(f"{owners} bring a model called {name!r}: uninstall one, or give the path of its file")
    if brought:
        return _file(name, *brought[0])
    if name not in _own():
        near = get_close_matches(name, shipped_models(), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ModelFileError(f"no model {name!r} comes with spinase{hint} (there are {', '.join(shipped_models())})")
    return _FOLDER / f"{name}.npz"


def _own() -> list[str]:
    return [path.stem for path in _FOLDER.glob("*.npz")]


def _of_plugins() -> dict[str, list[tuple[str, str]]]:
    """Packages and folders (dotted) by the names of the models they bring."""
    found: dict[str, list[tuple[str, str]]] = {}
    for package in packages():
        for kind, name, folder in package.points:
            if kind == TRAINED and not package.problem:
                found.setdefault(name, []).append((package.name, folder))
    return found


def _file(name: str, package: str, folder: str) -> Path:
    """Where a plugin has the file; the plugin is found, not imported."""
    top, *inner = folder.split(".")
    spec = find_spec(top)
    places = [] if spec is None else [Path(place, *inner) / f"{name}.npz" for place in spec.submodule_search_locations or []]
    there = next((place for place in places if place.is_file()), None)
    if there is None:
        raise ModelFileError(
            f"the package {package} says that it brings the model {name!r}, but {folder.replace('.', '/')}/{name}.npz is "
            "not there: install it again, or list the file in its package data"
        )
    return there


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
