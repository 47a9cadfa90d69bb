"""Exchange of UppASD: ``inpsd.dat`` and the files it names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import permutations, product
from pathlib import Path

import ase.units
import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from spinase.classical import BondTable
from spinase.errors import InputError
from spinase.io.exchange.bonds import Entry, FloatArray, bond_table, odd_tensor, require_opposites, rows

_MILLIRYDBERG = 1e-3 * ase.units.Ry


def read_uppasd(path: str | Path, dmi_sign: int = -1) -> tuple[BondTable, Atoms]:
    """Read UppASD's ``inpsd.dat`` with the files it names: posfile, exchange (the jfile), momfile, dm.

    UppASD writes E = -sum_{i != j} J e_i.e_j for unit spins, mRy.  Understood: ``cell``, ``posfile``, ``posfiletype``,
    ``maptype`` 1 (vectors) and 2 (cells), ``sym`` 0, 1 (cubic) and 2 (square), ``alat`` (m).

    Parameters
    ----------
    path : path
        The input file.
    dmi_sign : int
        Sign of sum_{i != j} D.(e_i x e_j) in the energy: -1 as in UppASD's manual, +1 as in the field routine of most of its
        versions.  Compare the energy of a spiral with your version's.

    Returns
    -------
    BondTable, Atoms
        Couplings in the convention of the table, and the sites (as iron, with the moments of the momfile, else 1 mu_B).
        Without ``alat``, lengths are in lattice constants.

    Raises
    ------
    InputError
        If a file is missing, has a wrong line, lists a bond in one direction only, or uses what is not understood.
    """
    source = Path(path)
    if dmi_sign not in (-1, 1):
        raise InputError(f"dmi_sign must be -1 or 1, got {dmi_sign!r}")
    options = _uppasd_options(source)
    try:
        scale = _number(options.get("alat", ["1e-10"])[0]) * 1e10
        cell = np.array([_number(x) for x in options["cell"]]).reshape(3, 3)
        direct = options.get("posfiletype", ["C"])[0].upper() == "D"
        maptype, sym = int(options.get("maptype", ["1"])[0]), int(options.get("sym", ["0"])[0])
        if maptype not in (1, 2) or sym not in (0, 1, 2):
            raise InputError(f"{source}: maptype 1 or 2 and sym 0, 1 or 2 are understood, got maptype {maptype}, sym {sym}")
        kinds, positions, moments = _uppasd_sites(source, options, cell, direct)
        finder = _BondFinder(positions, cell, kinds, direct, maptype)
        entries = _uppasd_bonds(source, options, finder, sym, -dmi_sign)
    except (ValueError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source}, or a file it names, has a wrong line: {error}") from None
    require_opposites(source, entries)
    atoms = Atoms("Fe" * len(kinds), positions=scale * positions, cell=scale * cell, pbc=True)
    atoms.set_initial_magnetic_moments(moments[:, None] * np.array([0.0, 0.0, 1.0]))
    return bond_table(atoms, entries, np.zeros((len(kinds), 3, 3)), 1.0, source), atoms


def _uppasd_sites(
    source: Path, options: dict[str, list[str]], cell: FloatArray, direct: bool
) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Types, positions (lattice constants) and lengths of the moments."""
    lines = list(rows(source.parent / options["posfile"][0]))
    places = np.array([[_number(x) for x in row[2:5]] for row in lines]).reshape(len(lines), 3)
    moments = np.ones(len(lines))
    if "momfile" in options:
        for row in rows(source.parent / options["momfile"][0]):
            if not 1 <= int(row[0]) <= len(lines):
                raise InputError(f"{source}: the momfile has a site {row[0]}, the posfile {len(lines)} sites")
            moments[int(row[0]) - 1] = _number(row[2])
    return np.array([int(row[1]) for row in lines]), places @ cell if direct else places, moments


def _uppasd_bonds(
    source: Path, options: dict[str, list[str]], finder: _BondFinder, sym: int, dmi_weight: int
) -> dict[Entry, FloatArray]:
    """Tensors (eV) of all listed bonds."""
    entries: dict[Entry, FloatArray] = defaultdict(lambda: np.zeros((3, 3)))
    for key, operations, needed in (("exchange", _operations(sym), 6), ("dm", _operations(0), 8)):
        for number, row in enumerate(rows(source.parent / options[key][0]) if key in options else ()):
            if len(row) < needed and number == 0:
                continue  # a head line with counts
            values = np.array([_number(x) for x in row[5:needed]])
            if len(values) < needed - 5:
                raise InputError(
                    f"{source}: line {number + 1} of the {key} file has {len(row)} entries, {needed} are needed"
                )
            tensor = values[0] * np.eye(3) if key == "exchange" else dmi_weight * odd_tensor(values)
            found = 0
            for bond in finder.bonds(int(row[0]), int(row[1]), np.array([_number(x) for x in row[2:5]]), operations):
                entries[bond] = entries[bond] + tensor * _MILLIRYDBERG
                found += 1
            if not found:
                raise InputError(f"{source}: line {number + 1} of the {key} file, {' '.join(row)}, joins no two sites")
    return entries


def _number(word: str) -> float:
    """A number, also with a Fortran exponent."""
    return float(word.lower().replace("d", "e"))


class _BondFinder:
    """Finds the bonds a line of a jfile stands for."""

    def __init__(self, positions: FloatArray, cell: FloatArray, kinds: ArrayLike, direct: bool, maptype: int) -> None:
        self.positions, self.cell, self.kinds = positions, cell, np.asarray(kinds)
        self.direct, self.maptype, self.inverse = direct, maptype, np.linalg.inv(cell)

    def bonds(self, one: int, two: int, vector: FloatArray, operations: list[FloatArray]) -> Iterator[Entry]:
        """All bonds from sites of kind (maptype 2: number) `one` to `two` along `vector` or its images."""
        if self.maptype == 2:
            x, y, z = (int(v) for v in np.round(vector))
            yield one - 1, two - 1, (x, y, z)
            return
        along = vector @ self.cell if self.direct else vector
        images = {tuple(np.round(operation @ along, 6)): operation @ along for operation in operations}
        for i in np.flatnonzero(self.kinds == one):
            for image in images.values():
                offsets = (self.positions[i] + image - self.positions) @ self.inverse
                cells = np.round(offsets)
                near = np.linalg.norm((offsets - cells) @ self.cell, axis=1)
                for j in np.flatnonzero((near < 1e-2) & (self.kinds == two)):
                    x, y, z = (int(v) for v in cells[j])
                    yield int(i), int(j), (x, y, z)


def _operations(sym: int) -> list[FloatArray]:
    """Symmetry operations of UppASD's ``sym``: 0 none, 1 cubic, 2 square in the xy plane."""
    identity = np.eye(3)
    if sym == 0:
        return [identity]
    orders = permutations(range(3)) if sym == 1 else [(0, 1, 2), (1, 0, 2)]
    signs = list(product((1.0, -1.0), repeat=3)) if sym == 1 else [(a, b, 1.0) for a in (1.0, -1.0) for b in (1.0, -1.0)]
    return [np.diag(sign) @ identity[list(order)] for order in orders for sign in signs]


def _uppasd_options(path: Path) -> dict[str, list[str]]:
    """Words after every keyword; ``cell`` goes on for three lines."""
    lines = list(rows(path))
    options: dict[str, list[str]] = {}
    for k, words in enumerate(lines):
        key = words[0].lower()
        options[key] = words[1:]
        if key == "cell":
            options[key] = [word for row in [words[1:], *lines[k + 1 : k + 3]] for word in row[:3]]
    for key in ("cell", "posfile", "exchange"):
        if len(options.get(key, [])) < (9 if key == "cell" else 1):
            raise InputError(f"{path}: the keyword {key!r} is missing or incomplete")
    return options
