"""Input files to start from: commented, complete, and small enough to run at once."""

from __future__ import annotations

from pathlib import Path

from spinase.errors import InputError
from spinase.files import replacing
from spinase.styles import nearest

_FOLDER = Path(__file__).parent / "starts"
STARTS: dict[str, tuple[str, ...]] = {
    "quench": ("quench.toml",),
    "spin-lattice": ("spin-lattice.toml",),
    "learn": ("labels.toml", "recipe.toml"),
    "device": ("device.toml",),
    "curie": ("curie.toml",),
}


def write_start(kind: str, folder: Path) -> list[Path]:
    """Write the input files of a kind of study into a folder, or under a name of your own; returns their paths.

    Parameters
    ----------
    kind : str
        One of ``STARTS``.
    folder : Path
        Where; it is made if it is missing.  ``NAME.toml`` is the file itself, of a kind that has one.

    Raises
    ------
    InputError
        On an unknown kind, one file for two, or where a file of that name exists: nothing is written then.
    """
    if kind not in STARTS:
        raise InputError(f"unknown kind {kind!r}{nearest(kind, STARTS)}: there are {', '.join(STARTS)}")
    sources, targets = STARTS[kind], [folder / name for name in STARTS[kind]]
    if folder.suffix == ".toml" and not folder.is_dir():
        if len(sources) > 1:
            raise InputError(f"{kind} has {len(sources)} files ({', '.join(sources)}): give a folder, not {folder}")
        targets = [folder]
    present = [str(target) for target in targets if target.exists()]
    if present:
        raise InputError(
            f"{', '.join(present)} exists already: nothing is written; name another folder or file with --output"
        )
    for name, target in zip(sources, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as partial:
            Path(partial).write_bytes((_FOLDER / name).read_bytes())
    return targets
