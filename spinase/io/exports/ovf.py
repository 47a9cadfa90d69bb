"""OVF, the vector fields of OOMMF: written for OOMMF, mumax, discretisedfield and Spirit, read from all of them.

Version 2.0 (text, little-endian binary) and 1.0 (big-endian binary).  Format: OOMMF User's Guide, "Vector field
file format".  A rectangular mesh stands for the sites: where none is, the vector is zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from spinase.errors import InputError
from spinase.files import replacing
from spinase.io.exports.base import ExportFormat, ExportOptions, SpinFile, chosen, numbers_in, require_own
from spinase.io.run_file import Run
from spinase.typing import FloatArray, IntArray

_CHECKS = {4: 1234567.0, 8: 123456789012345.0}  # first number of binary data, by bytes a number
_TO_ANGSTROM = {"m": 1e10, "nm": 10.0}
_EMPTIEST = 16  # points of a mesh by site
_TITLE = "spins by spinase"


class OVFOptions(ExportOptions):
    """How numbers are written."""

    numbers: Literal["binary8", "binary4", "text"] = Field(
        "binary8", description="double or single precision, or text; mumax and OOMMF read all three"
    )


class Mesh(NamedTuple):
    """A rectangular mesh: first point and steps (3,) in length, points along x, y, z, and the point (3,) of every site."""

    base: FloatArray
    steps: FloatArray
    nodes: IntArray
    places: IntArray


class OVFExport(ExportFormat[OVFOptions]):
    """OVF 2.0: unit spins on a rectangular mesh, lengths in m (metal units), zero vectors where no site is."""

    Config = OVFOptions
    citation = "M. J. Donahue, D. G. Porter, OOMMF User's Guide, NISTIR 6376 (1999)"
    many_frames = False
    patterns = ("*.ovf", "*.omf", "*.ohf", "*.obf", "*.spin")
    options: OVFOptions

    def write(self, run: Run, frames: Sequence[int], target: Path) -> None:
        """Write one frame.

        Raises
        ------
        InputError
            If the sites are on no rectangular mesh along x, y, z, or the target is somebody else's.
        """
        (k,) = frames
        require_own(target, _TITLE.encode(), "vector field (OVF)")
        mesh = rectangular_mesh(run.positions[k], run.cells[k])
        spins = run.atoms(k).spins
        grid = np.zeros((*mesh.nodes[::-1], 3))
        x, y, z = mesh.places.T
        grid[z, y, x] = spins
        scale, unit = (1e-10, "m") if run.units == "metal" else (1.0, "a")
        name = {"text": "Text", "binary4": "Binary 4", "binary8": "Binary 8"}[self.options.numbers]
        with replacing(target) as temporary, open(temporary, "wb") as file:
            file.write(_header(mesh, scale, unit, run.seconds(k)).encode())
            file.write(f"# Begin: Data {name}\n".encode())
            file.write(_data(grid.reshape(-1, 3), self.options.numbers))
            file.write(f"# End: Data {name}\n# End: Segment\n".encode())

    def read(self, source: Path, index: int = -1) -> SpinFile:
        """Vectors of one segment that are not zero, with their positions.

        Raises
        ------
        InputError
            If the file is missing, damaged or no OVF.
        """
        try:
            content = source.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {source}: {error.strerror or error}") from None
        segments = list(_segments(content, source))
        return _spins(segments[chosen(len(segments), index, source, "segment(s)")], source)


def rectangular_mesh(positions: FloatArray, cell: FloatArray) -> Mesh:
    """The coarsest rectangular mesh along x, y, z that has a point at every site.

    Parameters
    ----------
    positions : (N, 3)
    cell : (3, 3)
        Gives the step of a direction along which all sites are at one place.

    Raises
    ------
    InputError
        If there is none with at most 16 points a site.
    """
    base, extent = positions.min(axis=0), np.ptp(positions, axis=0)
    tolerance = 1e-4 * max(float(extent.max()), 1e-12) / max(len(positions), 1) ** (1 / 3)
    steps = np.zeros(3)
    for axis in range(3):
        gaps = np.diff(np.sort(positions[:, axis]))
        steps[axis] = min(gaps[gaps > tolerance], default=0.0)
    usual = min(steps[steps > 0.0], default=1.0)
    flat = np.where(np.abs(np.diag(cell)) > 0.0, np.abs(np.diag(cell)), usual)
    steps = np.where(steps > 0.0, extent / np.maximum(np.round(extent / np.where(steps > 0.0, steps, 1.0)), 1.0), flat)
    places = np.round((positions - base) / steps).astype(np.int64)
    nodes = places.max(axis=0) + 1
    off = np.abs(base + places * steps - positions).max(axis=1)
    wrong = int(off.argmax())
    if off[wrong] > 0.01 * steps.min() or nodes.prod() > _EMPTIEST * len(positions):
        raise InputError(
            f"OVF holds sites on a rectangular mesh along x, y and z, and these are on none (site {wrong} at "
            f"{np.round(positions[wrong], 4).tolist()}): export to vtk, extxyz or lammps-dump, which hold any sites"
        )
    return Mesh(base, steps, nodes, places)


def _header(mesh: Mesh, scale: float, unit: str, seconds: float | None) -> str:
    """Header of a segment: nothing behind a number (discretisedfield), no key that mumax does not know."""
    corner, step = mesh.base * scale, mesh.steps * scale
    base, steps = corner.tolist(), step.tolist()
    low, high = (corner - step / 2.0).tolist(), (corner + (mesh.nodes - 0.5) * step).tolist()
    lines = ["OOMMF OVF 2.0", "", "Segment count: 1", "", "Begin: Segment", "Begin: Header", "", f"Title: {_TITLE}"]
    lines += [] if seconds is None else [f"Desc: Total simulation time:  {seconds!r}  s"]
    lines += ["meshtype: rectangular", f"meshunit: {unit}"]
    lines += [f"{axis}{end}: {values[k]!r}" for end, values in (("min", low), ("max", high)) for k, axis in enumerate("xyz")]
    lines += ["valuedim: 3", "valuelabels: m_x m_y m_z", "valueunits: 1 1 1"]
    lines += [f"{axis}base: {base[k]!r}" for k, axis in enumerate("xyz")]
    lines += [f"{axis}nodes: {mesh.nodes[k]}" for k, axis in enumerate("xyz")]
    lines += [f"{axis}stepsize: {steps[k]!r}" for k, axis in enumerate("xyz")]
    lines += ["End: Header", ""]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def _data(rows: FloatArray, numbers: str) -> bytes:
    if numbers == "text":
        return "".join(f"{x:.17g} {y:.17g} {z:.17g}\n" for x, y, z in rows).encode()
    size = 4 if numbers == "binary4" else 8
    return np.concatenate([[_CHECKS[size]], rows.ravel()]).astype(f"<f{size}").tobytes() + b"\n"


# -- reading --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Segment:
    """Entries of a header (small letters), and rows of numbers."""

    entries: dict[str, str]
    rows: FloatArray

    def vector(self, name: str) -> FloatArray:
        """Entries x, y, z of one name."""
        return np.array([float(self.entries[f"{axis}{name}"]) for axis in "xyz"])


def _segments(content: bytes, source: Path) -> Iterator[_Segment]:
    first = content[:200].split(b"\n", 1)[0].lower()
    if b"ovf" not in first and b"oommf" not in first:
        raise InputError(f"{source} is no OVF file: its first line is {first[:60].decode(errors='replace')!r}")
    order = "<" if b"2.0" in first else ">"
    entries: dict[str, str] = {}
    start, irregular = 0, b"irregular" in first
    while start < len(content):
        end = content.find(b"\n", start)
        end = len(content) if end < 0 else end
        line = content[start:end].decode(errors="replace").split("##")[0].strip("# \t\r")
        start = end + 1
        key, _, value = line.partition(":")
        key, value = key.strip().lower(), value.strip()
        if key == "begin" and value.lower() == "segment":
            entries = {"meshtype": "irregular"} if irregular else {}
        elif key == "begin" and value.lower().startswith("data"):
            rows, start = _rows(content, start, value.lower(), entries, order, source)
            yield _Segment(entries, rows)
        elif key:
            entries[key] = value


def _rows(
    content: bytes, start: int, kind: str, entries: dict[str, str], order: str, source: Path
) -> tuple[FloatArray, int]:
    """Rows of numbers of the data that begin at `start`, and where they end."""
    try:
        columns = int(entries.get("valuedim", "3"))
        if entries.get("meshtype") == "irregular":
            columns += 3
            count = int(entries["pointcount"])
        else:
            count = int(np.prod([int(entries[f"{axis}nodes"]) for axis in "xyz"]))
    except (KeyError, ValueError) as error:
        raise InputError(f"{source} is damaged: its header lacks the size of the mesh ({error})") from None
    if columns not in (3, 6):
        raise InputError(f"{source} has {columns} numbers a point: vectors of 3 are needed")
    if "binary" not in kind:
        found = re.search(rb"#\s*end\s*:\s*data", content[start:], re.IGNORECASE)
        end = start + found.start() if found else len(content)
        rows = numbers_in(content[start:end].decode(errors="replace"), columns, source)
    else:
        size = 8 if kind.endswith("8") else 4
        end = start + size * (count * columns + 1)
        numbers = np.frombuffer(content[start:end][: (min(end, len(content)) - start) // size * size], f"{order}f{size}")
        if not len(numbers) or numbers[0] != _CHECKS[size]:
            raise InputError(f"{source} is damaged: its {kind} do not begin with the check number of the format")
        rows = numbers[1:].astype(np.float64)
        rows = rows[: len(rows) // columns * columns].reshape(-1, columns)
    if len(rows) != count:
        raise InputError(f"{source} is damaged: {count} points are announced, {len(rows)} are there")
    return rows, end


def _spins(segment: _Segment, source: Path) -> SpinFile:
    vectors = segment.rows[:, -3:]
    try:
        if segment.entries.get("meshtype") == "irregular":
            positions = segment.rows[:, :3]
        else:
            nodes = [int(segment.entries[f"{axis}nodes"]) for axis in "zyx"]
            z, y, x = np.indices(nodes).reshape(3, -1)
            steps = segment.vector("stepsize")
            steps[steps == 0.0] = 1.0  # mumax writes none for what it knows no lengths of
            positions = segment.vector("base") + np.stack([x, y, z], axis=1) * steps
    except (KeyError, ValueError) as error:
        raise InputError(f"{source} is damaged: its header lacks a part of the mesh ({error})") from None
    there = vectors.any(axis=1)
    scale = _TO_ANGSTROM.get(segment.entries.get("meshunit", ""), 1.0)
    return SpinFile(vectors[there], scale * positions[there])


__all__ = ["Mesh", "OVFExport", "OVFOptions", "rectangular_mesh"]
