"""VTKHDF, the HDF5 files of VTK 9.4 and later and of ParaView: points with vectors, all frames in one file.

Format: docs.vtk.org, "VTKHDF file format", PolyData with a group ``Steps``.  ParaView shows arrows by its filter Glyph
(orientation array: spin).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spinase.errors import InputError
from spinase.files import refuse_foreign, replacing
from spinase.io.exports.base import ExportFormat, ExportOptions, SpinFile, chosen
from spinase.io.run_file import Run
from spinase.typing import FloatArray

_CELLS = ("Vertices", "Lines", "Polygons", "Strips")


class VTKExport(ExportFormat[ExportOptions]):
    """VTKHDF for ParaView: spins, moments, species and results a site as point data, all frames with their times."""

    citation = "docs.vtk.org, VTKHDF file format"
    patterns = ("*.vtkhdf", "*.hdf")

    def write(self, run: Run, frames: Sequence[int], target: Path) -> None:
        """Write frames."""
        refuse_foreign(target, _is_own, "file for ParaView")
        data: dict[str, list[Any]] = {name: [] for name in ("spin", "moment", "species")}
        data |= {name: [] for name, values in run.results.items() if values.shape[1:2] == (len(run.numbers),)}
        for k in frames:
            own = {"spin": run.atoms(k).spins, "moment": run.moments[k], "species": run.numbers}
            for name, rows in data.items():
                rows.append(own[name] if name in own else run.results[name][k])
        with replacing(target) as temporary, h5py.File(temporary, "w") as file:
            _write(file, np.concatenate([run.positions[k] for k in frames]), data, run.times[list(frames)])

    def read(self, source: Path, index: int = -1) -> SpinFile:
        """Point data `spin` of one step.

        Raises
        ------
        InputError
            If it is missing or no VTKHDF file with `spin`.
        """
        try:
            with h5py.File(source) as file:
                root = file["VTKHDF"]
                counts = np.asarray(root["NumberOfPoints"])
                k = chosen(len(counts), index, source, "step(s)")
                rows = slice(int(counts[:k].sum()), int(counts[: k + 1].sum()))
                return SpinFile(np.asarray(root["PointData/spin"][rows]), np.asarray(root["Points"][rows]))
        except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(f"{source} is no VTKHDF file with point data 'spin' ({error})") from None


def _write(file: h5py.File, points: FloatArray, data: dict[str, list[Any]], times: FloatArray) -> None:
    """PolyData of `times` many parts, each of as many points and one vertex a point."""
    steps = len(times)
    count = len(points) // steps
    root = file.create_group("VTKHDF")
    root.attrs["Version"] = np.array([2, 0])
    root.attrs.create("Type", b"PolyData", dtype=h5py.string_dtype("ascii", 8))
    file.attrs["made_by"] = "spinase"
    root["NumberOfPoints"] = np.full(steps, count)
    root["Points"] = points
    for name in _CELLS:
        some = count if name == "Vertices" else 0
        root[f"{name}/NumberOfCells"] = np.full(steps, some)
        root[f"{name}/NumberOfConnectivityIds"] = np.full(steps, some)
        root[f"{name}/Offsets"] = np.tile(np.arange(some + 1), steps)
        root[f"{name}/Connectivity"] = np.tile(np.arange(some), steps)
    told = root.create_group("Steps")
    told.attrs["NSteps"] = steps
    told["Values"] = times
    parts = np.arange(steps)
    told["PartOffsets"], told["NumberOfParts"], told["PointOffsets"] = parts, np.ones(steps, dtype=np.int64), count * parts
    told["CellOffsets"] = np.stack([count * parts if name == "Vertices" else 0 * parts for name in _CELLS], axis=1)
    told["ConnectivityIdOffsets"] = told["CellOffsets"][()]
    for name, rows in data.items():
        root[f"PointData/{name}"] = np.concatenate(rows)
        told[f"PointDataOffsets/{name}"] = count * parts


def _is_own(path: Path) -> bool:
    try:
        with h5py.File(path) as file:
            return bool(file.attrs.get("made_by") == "spinase")
    except OSError:
        return False


__all__ = ["VTKExport"]
