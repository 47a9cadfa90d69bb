"""Exchange of Vampire: its unit cell file."""

from __future__ import annotations

from pathlib import Path

import ase.units
import numpy as np
from ase import Atoms

from spinase.classical import BondTable
from spinase.errors import InputError
from spinase.io.exchange.bonds import DirectedBonds, bond_table
from spinase.io.exchange.text import Line, lines_of
from spinase.typing import FloatArray

_NUMBERS = {"isotropic": 1, "0": 1, "vectorial": 3, "1": 3, "tensorial": 9, "2": 9}


def read_vampire(path: str | Path) -> tuple[BondTable, Atoms]:
    """Read Vampire's unit cell file (UCF).

    Vampire's field is sum_j J_ij s_j over all listed entries: each pair has the energy -s_i.J_ij s_j once, J.  The exchange
    may be isotropic, vectorial or tensorial (also by the numbers 0, 1, 2 of Vampire 4; Vampire 5 and later refuse them).
    Entries that are listed twice are added, as in Vampire.

    Vampire itself is for rectangular cells and never uses the cell vectors.  For others this reader takes unit vectors
    times the lengths of the first line (rows), or what TB2J writes (columns); where the two differ and the file fits
    neither, it is refused.

    TB2J 0.3 writes half the exchange into its Vampire files (later versions twice as much, which is Vampire's convention):
    double it.  The files of TB2J 0.7 call the exchange ``tensor``, which Vampire and this reader refuse: write
    ``tensorial``.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    BondTable, Atoms
        Couplings in the convention of the table, and the sites (as iron with 1 mu_B: moments are in the material file).

    Raises
    ------
    InputError
        If the file cannot be read, counts or numbers are wrong, a bond is not listed in both directions, or it has
        exchange that is not understood (normalised kinds, which need the material file; a biquadratic list).
    """
    source = Path(path)
    lines = list(lines_of(source, "#"))
    if len(lines) < 5:
        raise InputError(f"{source} is no unit cell file of Vampire: it has {len(lines)} lines with data and ends too early")
    cell = _cell(source, lines[:4])
    count = lines[4].wholes(0, 1)[0]
    if count < 1:
        raise InputError(f"{lines[4]}: {count} atoms: at least one is needed")
    if len(lines) < 6 + count:
        raise InputError(f"{lines[4]}: {count} atoms and an exchange list are announced, {len(lines) - 5} lines follow")
    sites = np.array([_site(line, k) for k, line in enumerate(lines[5 : 5 + count])])
    bonds, rest = _bonds(lines[5 + count :])
    if rest and (len(rest) > 1 or rest[0].wholes(0, 1)[0] != 0):
        raise InputError(
            f"{rest[0]}: {' '.join(rest[0].words)!r} follows the announced list: a second one (biquadratic exchange) is "
            "not understood, nor are more lines than announced"
        )
    atoms = Atoms("Fe" * count, scaled_positions=sites, cell=cell, pbc=True, magmoms=np.tile([0.0, 0.0, 1.0], (count, 1)))
    return bond_table(source, atoms, bonds, 0.5), atoms


def _cell(source: Path, lines: list[Line]) -> FloatArray:
    """Cell vectors (3, 3), Angstrom."""
    lengths = np.array(lines[0].reals(0, 3))
    vectors = np.array([line.reals(0, 3) for line in lines[1:]])
    rows, columns = lengths[:, None] * vectors, lengths[None, :] * vectors
    if abs(np.linalg.det(rows)) < 1e-12:
        raise InputError(f"{source}: the cell {rows.tolist()} has no volume")
    small = 1e-3 * np.abs(lengths).max()
    if np.allclose(rows, columns, atol=small) or np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3):
        return rows
    if np.allclose(np.linalg.norm(columns, axis=1), np.abs(lengths), atol=small):
        return columns
    raise InputError(
        f"{lines[0]}: sizes {lengths.tolist()} and vectors {vectors.tolist()} can be read in two ways: write unit vectors"
    )


def _site(line: Line, k: int) -> list[float]:
    if line.wholes(0, 1)[0] != k:
        raise InputError(f"{line}: atom {line.words[0]} where {k} is due: number them 0, 1, 2, ...")
    return line.reals(1, 4)


def _bonds(lines: list[Line]) -> tuple[DirectedBonds, list[Line]]:
    """The bilinear list, eV, and the lines after it."""
    head, *entries = lines
    count, kind = head.wholes(0, 1)[0], head.words[1] if len(head.words) > 1 else "isotropic"
    length = _NUMBERS.get(kind)
    if length is None:
        raise InputError(f"{head}: exchange of kind {kind!r} is not understood (isotropic, vectorial, tensorial)")
    if not 0 <= count <= len(entries):
        raise InputError(f"{head}: {count} bonds are announced, {len(entries)} lines follow")
    keys = [line.wholes(0, 6)[1:] for line in entries[:count]]
    values = np.array([line.reals(6, 6 + length) for line in entries[:count]]).reshape(count, length) / ase.units._e
    for line in entries[:count]:
        if len(line.words) != 6 + length:
            raise InputError(f"{line} has {len(line.words)} columns, {6 + length} belong to {kind} exchange")
    tensors = values.reshape(-1, 3, 3) if length == 9 else np.broadcast_to(values, (count, 3))[:, :, None] * np.eye(3)
    return DirectedBonds.of(keys, tensors, [line.number for line in entries[:count]]), entries[count:]


__all__ = ["read_vampire"]
