"""Wannier90's ``seedname_hr.dat``: H_mn(R) = <m 0|H|n R> of Wannier functions, eV.

A line of comment, the number of functions, the number of cells, their degeneracies (15 a line), then R1 R2 R3 m n Re Im.
H(R) counts with 1/degeneracy.
Source: Wannier90 user guide, "seedname_hr.dat"; A. A. Mostofi et al., Comput. Phys. Commun. 185, 2309 (2014),
doi:10.1016/j.cpc.2014.05.003.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from ase import Atoms

from spinase.electrons.orbital_table import OrbitalTable
from spinase.errors import ModelError
from spinase.geometry import nearest_image
from spinase.typing import ComplexArray, FloatArray, IntArray

SpinOrder = Literal["none", "interleaved", "blocks"]


def read_wannier90(
    path: str | Path,
    structure: Atoms,
    sites: Sequence[int] | None = None,
    *,
    spins: SpinOrder = "none",
    centres: str | Path | None = None,
) -> OrbitalTable:
    """A table of hopping from a ``_hr.dat`` file.

    Parameters
    ----------
    path : str or Path
        ``seedname_hr.dat``.
    structure : Atoms
        Cell and sites of the calculation, Angstrom.
    sites : sequence of int, optional
        Site of each orbital (of each pair of spinors, with `spins`); default: the site nearest to its centre in `centres`.
    spins : str
        ``"none"``: functions without spin, the same for both.  Spinors: ``"interleaved"`` (up, down, up, down, ...; as
        Wannier90 3 makes them on Quantum ESPRESSO) or ``"blocks"`` (all up, then all down; on VASP).
    centres : str or Path, optional
        ``seedname_centres.xyz``: where the functions are; default: at their sites.

    Raises
    ------
    ModelError
        If the file is cut off or none of this kind, spinors are odd in number, or neither sites nor centres are given.
    """
    cells, matrices = _parse(Path(path))
    count = matrices.shape[1]
    if spins != "none":
        if count % 2:
            raise ModelError(f"{path} has {count} functions, and spinors come in pairs: say spins='none'")
        matrices = paired(matrices, spins)
        count //= 2
    places = None if centres is None else _centres(Path(centres), count, spins)
    if sites is None:
        if places is None:
            raise ModelError("say on which site each orbital is (sites=[...]), or give centres=seedname_centres.xyz")
        sites = nearest_sites(structure, places).tolist()
    if len(sites) != count:
        raise ModelError(f"{path} has {count} orbitals, and sites names {len(sites)}")
    table = {(int(x), int(y), int(z)): matrix for (x, y, z), matrix in zip(cells, matrices, strict=True)}
    return OrbitalTable.of(structure.cell.array, structure.positions, sites, table, places=places)


def _parse(path: Path) -> tuple[IntArray, ComplexArray]:
    """Cells (K, 3) and matrices (K, n, n)."""
    words = path.read_text().split("\n", 1)[-1].split()
    try:
        count, points = int(words[0]), int(words[1])
        degeneracies = np.array(words[2 : 2 + points], dtype=np.float64)
        numbers = np.array(words[2 + points : 2 + points + 7 * points * count**2], dtype=np.float64)
        rows = numbers.reshape(points, count * count, 7)
    except (ValueError, IndexError) as error:
        raise ModelError(
            f"{path} is no complete _hr.dat file of Wannier90 (comment, number of functions, number of cells, degeneracies, "
            f"then seven numbers a line): {error}"
        ) from None
    cells = rows[:, 0, :3].astype(np.int64)
    matrices = np.empty((points, count, count), dtype=np.complex128)
    m, n = rows[:, :, 3].astype(np.int64) - 1, rows[:, :, 4].astype(np.int64) - 1
    if np.any(rows[:, :, :3] != cells[:, None]) or min(m.min(), n.min()) < 0 or max(m.max(), n.max()) >= count:
        raise ModelError(f"{path}: lines of one cell do not follow each other, or a function is none of the {count}")
    matrices[np.arange(points)[:, None], m, n] = rows[:, :, 5] + 1j * rows[:, :, 6]
    return cells, matrices / degeneracies[:, None, None]


def paired(matrices: ComplexArray, spins: SpinOrder) -> ComplexArray:
    """Matrices with spins inside, (K, n, 2, n, 2), of (K, 2n, 2n)."""
    half = matrices.shape[1] // 2
    if spins == "interleaved":
        return matrices.reshape(-1, half, 2, half, 2)
    return matrices.reshape(-1, 2, half, 2, half).transpose(0, 2, 1, 4, 3)


def _centres(path: Path, count: int, spins: SpinOrder) -> FloatArray:
    """Places of the orbitals (n, 3): lines ``X x y z`` of a ``_centres.xyz`` file, spinors of a pair in the middle."""
    lines = [line.split() for line in path.read_text().splitlines()[2:]]
    found = np.array([line[1:4] for line in lines if line and line[0] == "X"], dtype=np.float64)
    if len(found) != (count if spins == "none" else 2 * count):
        raise ModelError(f"{path} has {len(found)} centres, the hopping is of {count} orbitals (spins={spins!r})")
    if spins == "none":
        return found
    pairs = found.reshape(count, 2, 3) if spins == "interleaved" else found.reshape(2, count, 3).transpose(1, 0, 2)
    return np.asarray(pairs.mean(axis=1))


def nearest_sites(structure: Atoms, places: FloatArray) -> IntArray:
    """The nearest site of each place, images included."""
    frame = structure.cell.array
    apart = (places[:, None] - structure.positions).reshape(-1, 3)
    far = np.linalg.norm(apart + nearest_image(apart, frame) @ frame, axis=1)
    return np.asarray(far.reshape(len(places), len(structure)).argmin(axis=1))
