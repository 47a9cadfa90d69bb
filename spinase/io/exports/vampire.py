"""Configurations of Vampire 5 and later: ``atoms-coords.meta/.data`` and ``spins-00000000.meta/.data`` in a folder.

Format: ``src/config`` of Vampire; its tool ``vdc`` makes POV-Ray scenes, VTK and text of them.  Lengths in Angstrom, unit
spins, text or little-endian binary (number of atoms as 64-bit integer, then types, categories and coordinates, or spins).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from spinase.brief import one_line
from spinase.errors import InputError
from spinase.files import replacing_folder
from spinase.io.exports.base import ExportFormat, ExportOptions, SpinFile, chosen, numbers_in
from spinase.io.run_file import Run
from spinase.typing import FloatArray

_RULE = "#" + "-" * 54
_KIND = "spins for Vampire"


class VampireExport(ExportFormat[ExportOptions]):
    """Vampire's coordinates and spins, a folder for its tool vdc: one material a species, magnetic sites only."""

    citation = "R. F. L. Evans et al., J. Phys.: Condens. Matter 26, 103202 (2014)"
    patterns = ("spins-*.meta", "atoms-coords.meta")

    def write(self, run: Run, frames: Sequence[int], target: Path) -> None:
        """Write frames into a folder."""
        magnetic = np.linalg.norm(run.moments[frames[0]], axis=1) > 0.0
        with replacing_folder(target, _KIND) as folder:
            _write_sites(folder, run, frames[0], magnetic)
            for number, k in enumerate(frames):
                _write_spins(folder / f"spins-{number:08d}", run, k, magnetic)

    def read(self, source: Path, index: int = -1) -> SpinFile:
        """Spins of one snapshot of a folder, or of the snapshot whose ``spins-*.meta`` is named.

        Raises
        ------
        InputError
            If files are missing or damaged.
        """
        folder = source if source.is_dir() else source.parent
        if source.name.startswith("spins-"):
            snapshot = source
        else:
            found = sorted(folder.glob("spins-*.meta"))
            snapshot = found[chosen(len(found), index, folder, "snapshot(s) (spins-*.meta)")]
        binary = "binary" in _entry(folder / "atoms-coords.meta", "Format")
        sites = _table(folder, folder / "atoms-coords.meta", 3, binary, with_types=True)
        spins = _table(folder, snapshot, 3, binary, with_types=False)
        if len(sites) != len(spins):
            raise InputError(f"{folder}: {len(sites)} coordinates, but {len(spins)} spins in {snapshot.name}")
        return SpinFile(spins, sites)


def _write_sites(folder: Path, run: Run, k: int, magnetic: np.ndarray) -> None:
    numbers, lengths = run.numbers[magnetic], np.linalg.norm(run.moments[k], axis=1)[magnetic]
    species = sorted(set(numbers.tolist()))
    head = [
        _RULE,
        "# Atomistic coordinates configuration file for vampire V5+",
        _RULE,
        "# by spinase",
        _RULE,
        "Format: text",
    ]
    head += [_RULE, f"Number of atoms: {len(numbers)}", _RULE, f"Number of materials: {len(species)}"]
    for place, number in enumerate(species):
        symbol = chemical_symbols[number]
        head.append(f"{place}\t{lengths[numbers == number].mean():.9g}\t{symbol}\t{symbol}")
    head += [_RULE, "Number of coord files: 1", "atoms-coords.data"]
    (folder / "atoms-coords.meta").write_text("\n".join(head) + "\n", encoding="ascii")
    rows = [
        f"{species.index(number)}\t0\t{x:.15g}\t{y:.15g}\t{z:.15g}"
        for number, (x, y, z) in zip(numbers.tolist(), run.positions[k][magnetic], strict=True)
    ]
    (folder / "atoms-coords.data").write_text("\n".join([str(len(rows)), *rows]) + "\n", encoding="ascii")


def _write_spins(stem: Path, run: Run, k: int, magnetic: np.ndarray) -> None:
    spins = run.atoms(k).spins[magnetic]
    mean, seconds = spins.mean(axis=0), run.seconds(k)
    head = [_RULE, "# Atomistic spin configuration file for vampire v5+", _RULE, "# by spinase", _RULE]
    head += [f"Time: {0.0 if seconds is None else seconds:.9g}", "Field: 0\t0\t0", "Temperature: 0"]
    head += ["Magnetisation: " + "\t".join(f"{value:.9g}" for value in mean), _RULE, "Number of spin files: 1"]
    head += [f"{stem.name}.data", _RULE]
    stem.with_suffix(".meta").write_text("\n".join(head) + "\n", encoding="ascii")
    rows = [f"{x:.17g}\t{y:.17g}\t{z:.17g}" for x, y, z in spins]
    stem.with_suffix(".data").write_text("\n".join([str(len(rows)), *rows]) + "\n", encoding="ascii")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} of Vampire: {one_line(error)}") from None


def _entry(path: Path, name: str) -> str:
    for line in _lines(path):
        if line.startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    raise InputError(f"{path} is damaged: the line '{name}:' is missing")


def _table(folder: Path, meta: Path, columns: int, binary: bool, with_types: bool) -> FloatArray:
    """Last `columns` numbers of every atom from the files that `meta` names."""
    lines = _lines(meta)
    start = next((k for k, line in enumerate(lines) if line.startswith("Number of") and "files" in line), None)
    names = [] if start is None else [line.strip() for line in lines[start + 1 :] if line.strip() and line[0] != "#"]
    if not names:
        raise InputError(f"{meta} is damaged: it names no files")
    parts = []
    for name in names:
        place = folder / Path(name).name
        if binary:
            parts.append(_binary(place, columns, with_types))
        else:
            width = columns + 2 if with_types else columns
            parts.append(numbers_in("\n".join(_lines(place)[1:]), width, place)[:, -columns:])
    return np.concatenate(parts)


def _binary(path: Path, columns: int, with_types: bool) -> FloatArray:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path} of Vampire: {error.strerror or error}") from None
    count = int(np.frombuffer(content[:8], "<u8")[0]) if len(content) >= 8 else 0
    start = 8 + (8 * count if with_types else 0)
    if len(content) != start + 8 * count * columns:
        raise InputError(f"{path} is damaged: {count} atoms are announced, and it is {len(content)} bytes long")
    return np.frombuffer(content[start:], "<f8").reshape(count, columns).copy()


__all__ = ["VampireExport"]
