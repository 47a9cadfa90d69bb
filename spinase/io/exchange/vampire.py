"""Exchange of Vampire: its unit cell file."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import ase.units
import numpy as np
from ase import Atoms

from spinase.classical import BondTable
from spinase.errors import InputError
from spinase.io.exchange.bonds import Entry, FloatArray, bond_table, require_opposites, rows


def read_vampire(path: str | Path) -> tuple[BondTable, Atoms]:
    """Read Vampire's unit cell file (UCF).

    Vampire's field is sum_j J_ij s_j over all listed entries: each pair has the energy -s_i.J_ij s_j once, J.  The exchange
    may be isotropic, vectorial or tensorial (also by the old numbers 0, 1, 2); normalised kinds need the material file and
    are refused.

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
        If the file cannot be read, or a bond is not listed in both directions.
    """
    source = Path(path)
    lines = rows(source)
    try:
        size = np.array([float(x) for x in next(lines)[:3]])
        cell = size[:, None] * np.array([[float(x) for x in next(lines)[:3]] for _ in range(3)])
        count = int(next(lines)[0])
        sites = np.array([[float(x) for x in next(lines)[1:4]] for _ in range(count)])
        head = next(lines)
        number, kind = int(head[0]), head[1] if len(head) > 1 else "isotropic"
        length = {"isotropic": 1, "0": 1, "vectorial": 3, "1": 3, "tensorial": 9, "2": 9}.get(kind)
        if length is None:
            raise InputError(f"{source}: exchange of kind {kind!r} is not understood (isotropic, vectorial, tensorial)")
        entries: dict[Entry, FloatArray] = defaultdict(lambda: np.zeros((3, 3)))
        for _ in range(number):
            row = next(lines)
            i, j, x, y, z = (int(v) for v in row[1:6])
            values = np.array([float(v) for v in row[6 : 6 + length]]) / ase.units._e
            entries[i, j, (x, y, z)] += values.reshape(3, 3) if length == 9 else np.diag(np.broadcast_to(values, 3))
    except (ValueError, IndexError, StopIteration) as error:
        raise InputError(f"{source} is no unit cell file of Vampire: {error or 'it ends too early'}") from None
    require_opposites(source, entries)
    atoms = Atoms("Fe" * count, scaled_positions=sites, cell=cell, pbc=True, magmoms=np.tile([0.0, 0.0, 1.0], (count, 1)))
    return bond_table(atoms, entries, np.zeros((count, 3, 3)), 0.5, source), atoms
