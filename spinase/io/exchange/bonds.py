"""What the readers of exchange files share: directed bonds become a table with each pair once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from spinase.classical import BondTable
from spinase.errors import InputError

FloatArray = NDArray[np.float64]
Entry = tuple[int, int, tuple[int, int, int]]


def require_opposites(source: Path, entries: dict[Entry, FloatArray]) -> None:
    """Refuse a bond that is listed in one direction only (InputError)."""
    for i, j, (x, y, z) in entries:
        if (j, i, (-x, -y, -z)) not in entries:
            raise InputError(
                f"{source}: the bond {i + 1} -> {j + 1} at {x, y, z} has no opposite: both directions are needed"
            )


def bond_table(
    atoms: Atoms, entries: dict[Entry, FloatArray], onsite: FloatArray, weight: float, path: str | Path
) -> BondTable:
    """Each pair once: weight (J(i, j) + J(j, i)^T)."""
    pairs: dict[Entry, FloatArray] = {}
    for (i, j, shift), tensor in entries.items():
        if not (0 <= i < len(atoms) and 0 <= j < len(atoms)) or (i == j and not any(shift)):
            raise InputError(f"{path}: the bond {i + 1} -> {j + 1} at {shift} joins no two of the {len(atoms)} sites")
        back = (j, i, (-shift[0], -shift[1], -shift[2]))
        if (i, j, shift) <= back:
            pairs[i, j, shift] = pairs.get((i, j, shift), np.zeros((3, 3))) + weight * tensor
        else:
            pairs[back] = pairs.get(back, np.zeros((3, 3))) + weight * tensor.T
    return BondTable(
        positions=atoms.get_positions(),
        cell=atoms.cell.array.copy(),
        first=np.array([key[0] for key in pairs], dtype=np.int64),
        second=np.array([key[1] for key in pairs], dtype=np.int64),
        shifts=np.array([key[2] for key in pairs], dtype=np.int64).reshape(-1, 3),
        tensors=np.array(list(pairs.values())).reshape(-1, 3, 3),
        onsite=onsite,
    )


def odd_tensor(vector: FloatArray) -> FloatArray:
    """Tensor whose s_i.J s_j is D.(s_i x s_j)."""
    return np.cross(vector, np.eye(3))


def rows(path: Path) -> Iterator[list[str]]:
    """Words of every line that is neither empty nor a comment."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    for line in text.splitlines():
        words = line.split("#")[0].split("!")[0].split()
        if words:
            yield words
