"""Reading run files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.units
import h5py
import numpy as np

from spinase.atoms import SpinAtoms, set_reference_lengths
from spinase.errors import CheckpointError
from spinase.io.hdf5 import DamageError, attributes_digest, get_item, read_array, read_attribute, static_digest
from spinase.io.layout import FORMAT, open_run, read_stream
from spinase.typing import Array, BoolArray, FloatArray, IntArray
from spinase.units import unit_system

_ATOMS = "particles/atoms"


@dataclass(frozen=True, eq=False)
class Series:
    """One observed quantity: steps and times (T,), values (T, ...), and how to show it."""

    steps: IntArray
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
    reference_lengths : (N,) or None
        Of free-length moments, mu_B or |m|.
    g_factors : (N,) or None
        None: 2 everywhere.
    """

    steps: IntArray
    times: FloatArray
    positions: FloatArray
    moments: FloatArray
    numbers: IntArray
    cells: FloatArray
    pbc: BoolArray
    results: Mapping[str, FloatArray]
    observables: Mapping[str, Mapping[str, Series]]
    static: Mapping[str, Mapping[str, Array]]
    provenance: Mapping[str, str]
    reference_lengths: FloatArray | None = None
    g_factors: FloatArray | None = None

    @property
    def units(self) -> str:
        """Name of the unit system."""
        return self.provenance.get("units", "metal")

    def __len__(self) -> int:
        return len(self.steps)

    def seconds(self, index: int) -> float | None:
        """Time of frame `index` in s; None in reduced units, and where the clock counts something else (sweeps)."""
        usual = unit_system(self.units).time
        if self.units != "metal" or self.provenance.get("time_unit", usual) != usual:
            return None
        return float(self.times[index] / ase.units.second)

    def atoms(self, index: int = -1) -> SpinAtoms:
        """The magnet of frame `index`, with reference lengths and g factors if the run has any."""
        atoms = SpinAtoms(
            numbers=self.numbers,
            positions=self.positions[index],
            cell=self.cells[index],
            pbc=self.pbc,
            moments=self.moments[index],
            units=self.units,
            g=self.g_factors,
        )
        set_reference_lengths(atoms, self.reference_lengths)
        return atoms


def read_run(path: str | Path) -> Run:
    """Read a run file, or ``run.h5`` in a folder, also of a run that goes on or was killed (whole frames only).

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or not a run file.
    """
    source = Path(path) / "run.h5" if Path(path).is_dir() else Path(path)
    for pause in (0.05, 0.2, None):  # a writer may be at work on the block that is being read
        try:
            return _read_file(source)
        except CheckpointError:
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError("unreachable")


def _read_file(source: Path) -> Run:
    with open_run(source) as file:
        try:
            if "spinase_format" not in file.attrs or read_attribute(file, "spinase_format") != FORMAT:
                raise DamageError(f"it is no run file of format {FORMAT}")
            told = (read_attribute(file, "static_digest"), read_attribute(file, "attributes_digest"))
            if told[1] != attributes_digest(file, but=("attributes_digest",)):
                raise DamageError("what it says of itself is not as it was written")
            return _read(file, source.stat().st_size, str(told[0]))
        except DamageError as error:
            raise CheckpointError(f"the run file {source} is damaged or no run file: {error}") from None
        except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, MemoryError):
            raise CheckpointError(f"the run file {source} is damaged: its structure cannot be read") from None


def _read(file: h5py.File, size: int, static_told: str) -> Run:
    group = get_item(file, _ATOMS)
    names = [name for name in group if isinstance(group[name], h5py.Group) and "value" in group[name]]
    breathing = isinstance(group["box/edges"], h5py.Group)
    frames = read_stream(
        file, "frames", [f"{_ATOMS}/{name}" for name in [*names, *(["box/edges"] if breathing else [])]], size
    )
    results = {path.removeprefix(f"{_ATOMS}/"): values for path, values in frames.values.items()}
    count = len(frames.steps)
    static = _static_arrays(file)
    if static_digest(static) != static_told:
        raise DamageError("arrays that are stored once are not as they were written")
    edges = results.pop("box/edges") if breathing else np.broadcast_to(static[f"/{_ATOMS}/box/edges"], (count, 3, 3))
    fixed = static.get(f"/{_ATOMS}/position")
    positions = results.pop("position") if fixed is None else np.broadcast_to(fixed, (count, *fixed.shape))
    own = {
        observer: {
            name.rpartition("/")[2]: data for name, data in static.items() if name.startswith(f"/observables/{observer}/")
        }
        for observer in file.get("observables", {})
    }
    return Run(
        steps=frames.steps,
        times=frames.times,
        positions=positions,
        moments=results.pop("moment"),
        numbers=static[f"/{_ATOMS}/species"],
        cells=edges,
        pbc=np.array([bound == "periodic" for bound in read_attribute(group["box"], "boundary")]),
        results=results,
        observables={name: _observables(name, content, file, size) for name, content in file.get("observables", {}).items()},
        static=own,
        provenance={name: str(read_attribute(file["provenance"], name)) for name in file["provenance"].attrs},
        reference_lengths=static.get(f"/{_ATOMS}/reference_moment"),
        g_factors=static.get(f"/{_ATOMS}/g_factor"),
    )


def _static_arrays(file: h5py.File) -> dict[str, Array]:
    """Every dataset that does not grow, by its path."""
    found: dict[str, Array] = {}

    def note(name: str, item: Any) -> None:
        """Read a dataset that does not grow with the frames."""
        if isinstance(item, h5py.Dataset) and (not item.shape or item.maxshape[0] is not None):
            found[f"/{name}"] = read_array(item, "biufc")

    file.visititems(note)
    return found


def _observables(name: str, content: h5py.Group, file: h5py.File, size: int) -> dict[str, Series]:
    elements = [f"observables/{name}/{key}" for key in content if key != "static"]
    if not elements:
        return {}
    stream = read_stream(file, name, elements, size)
    found = {}
    for path, values in stream.values.items():
        text = dict.fromkeys(("label", "unit", "plot", "axis"), "")
        text |= {word: str(read_attribute(file[path], word)) for word in text if word in file[path].attrs}
        found[path.rpartition("/")[2]] = Series(stream.steps, stream.times, values, **text)
    return found
