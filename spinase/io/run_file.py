"""Reading run files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase.io import write as ase_write
from numpy.typing import NDArray

from spinase.atoms import SpinAtoms
from spinase.errors import CheckpointError
from spinase.io.layout import FORMAT, open_run, require_stored

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Series:
    """One observed quantity: steps and times (T,), values (T, ...), and how to show it."""

    steps: NDArray[np.int64]
    times: FloatArray
    values: FloatArray
    label: str
    unit: str
    plot: str
    axis: str


@dataclass(frozen=True, eq=False)
class Run:
    """A finished, running or killed run.

    Attributes
    ----------
    steps, times : (T,)
        Of the frames.
    positions, moments : (T, N, 3)
        Length; mu_B or |m|.
    numbers, pbc
        Of the atoms.
    cells : (T, 3, 3)
        Cell vectors (rows) of every frame, length.
    results : name -> (T, ...)
        Calculator results stored with the frames.
    observables : observer -> quantity -> Series
    static : observer -> name -> array
        Wave vectors, distances and the like.
    provenance : name -> value
        Versions, seed, input, ...
    """

    steps: NDArray[np.int64]
    times: FloatArray
    positions: FloatArray
    moments: FloatArray
    numbers: NDArray[np.int64]
    cells: FloatArray
    pbc: NDArray[np.bool_]
    results: Mapping[str, FloatArray]
    observables: Mapping[str, Mapping[str, Series]]
    static: Mapping[str, Mapping[str, NDArray[Any]]]
    provenance: Mapping[str, str]

    @property
    def units(self) -> str:
        """Name of the unit system."""
        return self.provenance.get("units", "metal")

    def __len__(self) -> int:
        return len(self.steps)

    def atoms(self, index: int = -1) -> SpinAtoms:
        """The magnet of frame `index`."""
        return SpinAtoms(
            numbers=self.numbers,
            positions=self.positions[index],
            cell=self.cells[index],
            pbc=self.pbc,
            moments=self.moments[index],
            units=self.units,
        )


def read_run(path: str | Path) -> Run:
    """Read a run file, or ``run.h5`` in a folder, also of a run that goes on or was killed (whole frames only).

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or not a run file.
    """
    source = Path(path) / "run.h5" if Path(path).is_dir() else Path(path)
    with open_run(source) as file:
        if file.attrs.get("spinase_format") != FORMAT:
            raise CheckpointError(f"{source} is not a spinase run file of format {FORMAT}")
        try:
            return _read(file)
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"the run file {source} is damaged ({error})") from error


def _read(file: h5py.File) -> Run:
    group = file["particles/atoms"]
    names = [name for name in group if isinstance(group[name], h5py.Group) and "value" in group[name]]
    edges = group["box/edges"]
    streams = [group[name] for name in names] + ([edges] if isinstance(edges, h5py.Group) else [])
    count = min(_whole(stream) for stream in streams)
    frames = {name: group[name]["value"][:count] for name in names}
    fixed = group["position"][()] if isinstance(group["position"], h5py.Dataset) else None
    moments = frames.pop("moment")
    positions = np.broadcast_to(fixed, (count, *fixed.shape)) if fixed is not None else frames.pop("position")
    observables: dict[str, dict[str, Series]] = {}
    static: dict[str, dict[str, NDArray[Any]]] = {}
    for observer, content in file.get("observables", {}).items():
        static[observer] = {name: data[()] for name, data in content.get("static", {}).items()}
        observables[observer] = {name: _series(content[name]) for name in content if name != "static"}
    return Run(
        steps=group["moment/step"][:count],
        times=group["moment/time"][:count],
        positions=positions,
        moments=moments,
        numbers=group["species"][()],
        cells=edges["value"][:count] if isinstance(edges, h5py.Group) else np.broadcast_to(edges[()], (count, 3, 3)),
        pbc=np.array([bound in (b"periodic", "periodic") for bound in group["box"].attrs["boundary"]]),
        results=frames,
        observables=observables,
        static=static,
        provenance=dict(file["provenance"].attrs),
    )


def _whole(element: h5py.Group) -> int:
    """Frames that are complete: the step is written last.

    Raises
    ------
    ValueError
        If the file was cut off before the end of one of them.
    """
    count = min(len(element[name]) for name in ("step", "time", "value"))
    for name in ("step", "time", "value"):
        require_stored(element[name], count)
    return count


def _series(element: h5py.Group) -> Series:
    count = _whole(element)
    text = {name: str(element.attrs.get(name, "")) for name in ("label", "unit", "plot", "axis")}
    return Series(element["step"][:count], element["time"][:count], element["value"][:count], **text)


def write_frames(run: Run, path: str | Path) -> None:
    """Write the frames of a run to any format ASE knows (``.traj`` keeps every digit, extxyz eight decimals)."""
    ase_write(path, [run.atoms(k) for k in range(len(run))])
