"""Series of atoms in the formats of ASE, written whole or not at all and never over a file of somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from ase.io import read as ase_read
from ase.io import write as ase_write
from ase.io.formats import filetype

from spinase.files import refuse_foreign, replacing

_MADE_BY = ("made_by", "spinase")  # entry of every frame, by which a file is known again


def write_atoms(path: str | Path, frames: Sequence[Atoms], name: str = "") -> None:
    """Write atoms with their ``info``, columns and results.

    Parameters
    ----------
    path : path
    frames : sequence of Atoms
    name : str
        Format of ASE; default: the one that the name of the file asks for.

    Raises
    ------
    InputError
        If there is a file of somebody else (one whose first frame does not say that spinase made it).
    OutputError
        If it cannot be written.
    """
    name = name or filetype(str(path), read=False, guess=False)
    refuse_foreign(path, lambda place: _is_own(place, name), "series of atoms")
    for atoms in frames:
        atoms.info.update([_MADE_BY])
    with replacing(path) as temporary:
        ase_write(temporary, list(frames), format=name)


def _is_own(path: Path, name: str) -> bool:
    try:
        first = ase_read(path, index=0, format=name)
    except Exception:  # ASE's readers raise what they like at the files of others
        return False
    return isinstance(first, Atoms) and _MADE_BY in first.info.items()


__all__ = ["write_atoms"]
