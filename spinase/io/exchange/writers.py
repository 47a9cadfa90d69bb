"""Tables of couplings as files of UppASD and Vampire, which :mod:`spinase.io.exchange` reads back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import ase.units
import numpy as np
from ase import Atoms

from spinase.atoms import get_moments
from spinase.classical import BondTable
from spinase.errors import InputError
from spinase.files import write_text
from spinase.io.exchange.bonds import both_directions, parts_of, require_sites
from spinase.io.exchange.uppasd_kfile import kfile_lines

_MILLIRYDBERG = 1e-3 * ase.units.Ry
_NOTHING = 1e-12  # of the largest coupling
_ROUND = 1e-9  # of the cell: a site this far outside is at its edge


def write_uppasd(folder: str | Path, table: BondTable, atoms: Atoms, *, energy: float = 1.0, length: float = 1.0) -> Path:
    """Write a table for UppASD 6.1: ``inpsd.dat`` with posfile, momfile, jfile; dmfile, kfile, bqfile where they are needed.

    UppASD sums over both directions of a pair, so its numbers are half of the table's, in mRy.  Couplings that are more
    than J and D are written as tensors (``do_jtensor 1``, ``calc_jtensor F``).  Up to version 6.0.2 UppASD's D has the other
    sign: do not give these files to it.  Of on-site tensors -s.Q s the file has all but a constant (the middle eigenvalue).

    Parameters
    ----------
    folder : path
        Made where it is not there; files in it are written anew.
    table : BondTable
        Each pair once, energy -s_i.J_ij s_j.
    atoms : Atoms
        Its sites, for moments (mu_B) and periodic directions.
    energy, length : float
        One unit of the table's energies in eV, of its lengths in Angstrom: 1 in ``metal`` units.

    Returns
    -------
    Path
        The ``inpsd.dat``.

    Raises
    ------
    InputError
        If the atoms are not the table's sites, a site has a uniaxial and a cubic anisotropy, or there are biquadratic
        couplings of more than one site a cell (UppASD has them to sites of one type only, and every site has its own here).
    """
    require_sites(table, atoms, () if len(atoms) == 1 else ("biquadratic",))
    first, second, vectors, tensors = both_directions(table)
    tensors = 0.5 * energy * tensors / _MILLIRYDBERG
    exchange, odd, rest = parts_of(tensors)
    limit = _NOTHING * np.abs(tensors).max(initial=0.0)
    home, pairs = Path(folder), [f"{i + 1} {j + 1}" for i, j in zip(first, second, strict=True)]
    places = [f"{pair} {_numbers(vector)}" for pair, vector in zip(pairs, length * vectors, strict=True)]
    full, twisted = bool(np.abs(rest).max(initial=0.0) > limit), bool(np.abs(odd).max(initial=0.0) > limit)
    lines = [
        "simid   spinase",
        "cell    " + "\n        ".join(_numbers(vector) for vector in length * table.cell),
        "bc      " + " ".join("P" if periodic else "0" for periodic in atoms.pbc),
        "alat    1.0e-10",
        "posfile ./posfile",
        "momfile ./momfile",
        "exchange ./jfile",
        "maptype 1",
        "sym     0",
    ]
    home.mkdir(parents=True, exist_ok=True)
    if full:
        lines += ["do_jtensor 1", "calc_jtensor F"]
        _write(home / "jfile", (f"{place} {_numbers(t.ravel())}" for place, t in zip(places, tensors, strict=True)))
    else:
        _write(home / "jfile", (f"{place} {value:.12g}" for place, value in zip(places, exchange, strict=True)))
        if twisted:
            lines += ["dm      ./dmfile"]
            _write(home / "dmfile", (f"{place} {_numbers(d)}" for place, d in zip(places, odd, strict=True)))
    lines += _further_files(home, table, energy, length)
    _write(home / "posfile", (f"{k + 1} {k + 1} {_numbers(p)}" for k, p in enumerate(length * table.positions)))
    moments = get_moments(atoms)
    sizes = np.linalg.norm(moments, axis=1)
    axes = np.where(sizes[:, None] > 0.0, moments / np.where(sizes > 0.0, sizes, 1.0)[:, None], [0.0, 0.0, 1.0])
    _write(home / "momfile", (f"{k + 1} 1 {sizes[k]:.12g} {_numbers(axes[k])}" for k in range(len(sizes))))
    _write(home / "inpsd.dat", lines)
    return home / "inpsd.dat"


def _further_files(home: Path, table: BondTable, energy: float, length: float) -> list[str]:
    """Write kfile and bqfile, and return their lines of the input."""
    lines, unit = [], energy / _MILLIRYDBERG
    if table.onsite.any() or table.cubic.any():
        rows, two = kfile_lines(unit * table.onsite, unit * table.cubic)
        _write(home / "kfile", rows)
        lines += ["anisotropy ./kfile", *(["mult_axis Y"] if two else [])]
    if table.biquadratic.any():
        _, _, vectors, _ = both_directions(table)
        halves = 0.5 * unit * np.concatenate([table.biquadratic, table.biquadratic])
        rows = [f"1 1 {_numbers(vector)} {value:.12g}" for vector, value in zip(length * vectors, halves, strict=True)]
        _write(home / "bqfile", rows)
        lines += ["bq ./bqfile"]
    return lines


def write_vampire(path: str | Path, table: BondTable, atoms: Atoms, *, energy: float = 1.0, length: float = 1.0) -> None:
    """Write a table as Vampire's unit cell file, tensorial exchange, both directions of every pair, J.

    Parameters
    ----------
    path : path
        The file.
    table : BondTable
        Each pair once, energy -s_i.J_ij s_j, in a cell along x, y and z: Vampire knows no other.
    atoms : Atoms
        Its sites.
    energy, length : float
        One unit of the table's energies in eV, of its lengths in Angstrom: 1 in ``metal`` units.

    Raises
    ------
    InputError
        If the cell is not rectangular, the atoms are not the table's sites, or the table has on-site, biquadratic or cubic
        terms (anisotropies belong into Vampire's material file).
    """
    require_sites(table, atoms, ("onsite", "biquadratic", "cubic"))
    edges = np.diag(table.cell)
    if np.abs(table.cell - np.diag(edges)).max() > 1e-6 * np.abs(edges).max() or edges.min() <= 0.0:
        raise InputError(
            f"the cell {table.cell.round(6).tolist()} is not rectangular along x, y, z, and Vampire knows no other: "
            "make the exchange of such a supercell"
        )
    first, second, _, tensors = both_directions(table)
    inside = table.positions / edges
    cells = np.floor(inside + _ROUND).astype(np.int64)  # Vampire refuses sites outside the cell
    inside = np.abs(inside - cells)
    shifts = np.concatenate([table.shifts, -table.shifts]) + cells[second] - cells[first]
    tensors = tensors * energy * ase.units._e
    lines = ["# Unit cell size (Angstrom)", _numbers(length * edges), "# Unit cell vectors", "1 0 0", "0 1 0", "0 0 1"]
    lines += ["# Atoms: number, number of materials", f"{len(atoms)} 1"]
    lines += [f"{k} {_numbers(inside[k])} 0 0 0" for k in range(len(atoms))]
    lines += ["# Interactions: id, sites, cell of the second, tensor [J]", f"{len(first)} tensorial"]
    for k, (i, j, shift, tensor) in enumerate(zip(first, second, shifts, tensors, strict=True)):
        lines.append(f"{k} {i} {j} {shift[0]} {shift[1]} {shift[2]} {_numbers(tensor.ravel())}")
    _write(Path(path), lines)


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.12g}" for value in values)


def _write(path: Path, lines: Iterable[str]) -> None:
    write_text(path, "\n".join(lines) + "\n")


__all__ = ["write_uppasd", "write_vampire"]
