"""Dumps of LAMMPS with spins: what ``compute property/atom`` calls spx, spy, spz, sp, fmx, fmy, fmz.

Format: docs.lammps.org/dump.html.  sp is the moment in mu_B, (spx, spy, spz) a unit vector along it, fm = -dE/ds / hbar in
rad/ps (metal units).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import ase.units
import numpy as np
from ase.data import chemical_symbols

from spinase.brief import one_line
from spinase.errors import InputError
from spinase.files import replacing
from spinase.io.exports.base import ExportFormat, ExportOptions, SpinFile, chosen, numbers_in, require_own
from spinase.io.run_file import Run
from spinase.typing import FloatArray
from spinase.units import unit_system

_COLUMNS = ("id", "type", "element", "x", "y", "z", "spx", "spy", "spz", "sp")
_FIELDS = ("fmx", "fmy", "fmz")
_ARROWS = ("mux", "muy", "muz")


class LammpsDumpExport(ExportFormat[ExportOptions]):
    """LAMMPS dump with spins sp, fields fm where the run has magnetic_forces, and mu (moments: OVITO's arrows)."""

    citation = "J. Tranchida et al., J. Comput. Phys. 372, 406 (2018); docs.lammps.org/Packages_details.html#pkg-spin"
    patterns = ("*.dump", "*.lammpstrj", "dump.*")

    def write(self, run: Run, frames: Sequence[int], target: Path) -> None:
        """Write frames."""
        require_own(target, " ".join((*_COLUMNS, *_ARROWS)).encode(), "LAMMPS dump")
        with replacing(target) as temporary, open(temporary, "w", encoding="ascii") as file:
            file.write(f"ITEM: UNITS\n{'metal' if run.units == 'metal' else 'lj'}\n")
            for k in frames:
                _write_frame(file, run, k)

    def read(self, source: Path, index: int = -1) -> SpinFile:
        """Spins of one frame: spx, spy, spz (or mux, muy, muz, or c_NAME[1..3] of a compute) at x, y, z.

        Raises
        ------
        InputError
            If it is missing or no dump, or has no columns of spins.
        """
        try:
            text = source.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read {source} as a LAMMPS dump: {one_line(error)}") from None
        parts = text.split("ITEM: TIMESTEP")
        if not text.startswith("ITEM: ") or len(parts) < 2:
            raise InputError(f"{source} is no LAMMPS dump: it does not begin with ITEM: or has no ITEM: TIMESTEP")
        return _read_frame(parts[1 + chosen(len(parts) - 1, index, source, "frame(s)")], source)


def _write_frame(file: IO[str], run: Run, k: int) -> None:
    atoms = run.atoms(k)
    moments, spins = run.moments[k], atoms.spins
    species = sorted(set(run.numbers.tolist()))
    columns, names = [run.positions[k], spins, np.linalg.norm(moments, axis=1)[:, None], moments], [*_COLUMNS, *_ARROWS]
    if "magnetic_forces" in run.results:
        hbar = ase.units._hbar / ase.units._e * 1e12 if run.units == "metal" else unit_system(run.units).hbar
        lengths = np.linalg.norm(moments, axis=1)
        columns.append(run.results["magnetic_forces"][k] * lengths[:, None] / hbar)
        names += _FIELDS
    time = run.times[k] / (1000.0 * ase.units.fs) if run.units == "metal" else run.times[k]
    file.write(f"ITEM: TIME\n{time:.12g}\nITEM: TIMESTEP\n{run.steps[k]}\n")
    file.write(f"ITEM: NUMBER OF ATOMS\n{len(moments)}\n{_box(run.cells[k], run.positions[k], run.pbc.tolist())}")
    file.write(f"ITEM: ATOMS {' '.join(names)}\n")
    table = np.concatenate(columns, axis=1)
    for i, (number, row) in enumerate(zip(run.numbers.tolist(), table, strict=True)):
        told = " ".join(f"{value:.15g}" for value in row)
        file.write(f"{i + 1} {species.index(number) + 1} {chemical_symbols[number]} {told}\n")


def _box(cell: FloatArray, positions: FloatArray, pbc: list[bool]) -> str:
    """The lines of the box: LAMMPS' own form where the cell has it, else the vectors of a general triclinic one."""
    ends = " ".join("pp" if flag else "ff" for flag in pbc)
    low = np.where(pbc, 0.0, np.minimum(positions.min(axis=0), 0.0))
    vectors = cell.copy()
    for axis in np.flatnonzero(~np.array(pbc) & (np.linalg.norm(cell, axis=1) == 0.0)):
        vectors[axis, axis] = max(float(np.ptp(positions[:, axis])), 1.0)
    restricted = np.allclose(np.triu(vectors, 1), 0.0, atol=1e-12) and np.all(np.diag(vectors) > 0.0)
    if not restricted:
        rows = "".join("".join(f"{value:.15g} " for value in row) + f"{low[k]:.15g}\n" for k, row in enumerate(vectors))
        return f"ITEM: BOX BOUNDS abc origin {ends}\n{rows}"
    xy, xz, yz = vectors[1, 0], vectors[2, 0], vectors[2, 1]
    high = low + np.diag(vectors)
    if xy == xz == yz == 0.0:
        return f"ITEM: BOX BOUNDS {ends}\n" + "".join(f"{low[k]:.15g} {high[k]:.15g}\n" for k in range(3))
    tilt = (xy, xz, yz)
    bounds = low + [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0], high + [max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0]
    rows = "".join(f"{bounds[0][k]:.15g} {bounds[1][k]:.15g} {tilt[k]:.15g}\n" for k in range(3))
    return f"ITEM: BOX BOUNDS xy xz yz {ends}\n{rows}"


def _read_frame(text: str, source: Path) -> SpinFile:
    head, _, body = text.partition("ITEM: ATOMS")
    line, _, rows = body.partition("ITEM:")[0].partition("\n")
    names = line.split()
    places = _places(names, ("x", "y", "z")) or _places(names, ("xu", "yu", "zu"))
    vectors = next((found for found in _candidates(names) if found), None)
    if not head or places is None or vectors is None:
        raise InputError(
            f"{source}: columns x y z and spx spy spz (or mux muy muz, or c_NAME[1] c_NAME[2] c_NAME[3]) are needed, there "
            f"are {' '.join(names) or 'none'}"
        )
    words = np.array(rows.split(), dtype=object)
    if len(words) % len(names):
        raise InputError(f"{source} is damaged: a row of {len(names)} columns is not whole")
    table = words.reshape(-1, len(names))
    if "id" in names:
        table = table[np.argsort(table[:, names.index("id")].astype(np.int64))]
    told = numbers_in(" ".join(table[:, [*places, *vectors]].ravel()), 6, source)
    return SpinFile(told[:, 3:], told[:, :3])


def _candidates(names: list[str]) -> Iterator[list[int] | None]:
    """Places of columns that may be spins, the likeliest first."""
    yield _places(names, ("spx", "spy", "spz"))
    yield _places(names, _ARROWS)
    for stem in dict.fromkeys(name.partition("[")[0] for name in names if name.startswith("c_")):
        yield _places(names, tuple(f"{stem}[{k}]" for k in (1, 2, 3)))


def _places(names: list[str], wanted: Sequence[str]) -> list[int] | None:
    return [names.index(name) for name in wanted] if set(wanted) <= set(names) else None


__all__ = ["LammpsDumpExport"]
