"""Reading run files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spinase.errors import CheckpointError
from spinase.io.frames_run import SUFFIXES, read_frames
from spinase.io.hdf5 import DamageError, attributes_digest, read_array, read_attribute, static_digest
from spinase.io.layout import open_run
from spinase.io.run_data import Run as Run
from spinase.io.run_data import Series as Series
from spinase.io.run_data import changes as changes
from spinase.io.stored import ATOMS, CLOCKS, SERIES, format_of, frame_elements, series_group, stored_stream
from spinase.typing import Array, BoolArray


def read_run(path: str | Path) -> Run:
    """Read a run file, or ``run.h5`` in a folder, also of a run that goes on or was killed (whole frames only).

    A trajectory of ASE (``.traj``, ``.xyz``, ``.extxyz``), such as drivers of scripts write, is read as a run, too
    (:func:`~spinase.io.frames_run.run_of_frames`).

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or not a run file.
    InputError
        If ASE cannot read a trajectory, or its frames are no run.
    """
    source = Path(path) / "run.h5" if Path(path).is_dir() else Path(path)
    if source.suffix in SUFFIXES and source.is_file():
        return read_frames(source)
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
            format_of(file)
            told = (read_attribute(file, "static_digest"), read_attribute(file, "attributes_digest"))
            if told[1] != attributes_digest(file, but=("attributes_digest",)):
                raise DamageError("what it says of itself is not as it was written")
            return _read(file, source.stat().st_size, str(told[0]))
        except DamageError as error:
            raise CheckpointError(f"the run file {source} is damaged or no run file: {error}") from None
        except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, MemoryError):
            raise CheckpointError(f"the run file {source} is damaged: its structure cannot be read") from None


def _read(file: h5py.File, size: int, static_told: str) -> Run:
    frames = stored_stream(file, "frames", frame_elements(file), size)
    static = _static_arrays(file)
    if static_digest(static) != static_told:
        raise DamageError("arrays that are stored once are not as they were written")
    provenance = {name: str(read_attribute(file["provenance"], name)) for name in file["provenance"].attrs}
    scale = CLOCKS[provenance.get("clock", "")]
    values = {path.rpartition("/")[2]: rows for path, rows in frames.values.items()}
    told = {word: values.pop(word, None) for word in ("position", "moment", "species", "edges", "potential_energy")}
    place = series_group(file)
    observers = dict(file.get(place, {}).items())
    own = {
        observer: {
            name.rpartition("/")[2]: data for name, data in static.items() if name.startswith(f"/{place}/{observer}/")
        }
        for observer in observers
    }
    sites = {
        word: static.get(f"/sites/{word}", static.get(f"/{ATOMS}/{older}"))
        for word, older in (("numbers", "species"), ("reference_moment",) * 2, ("g_factor",) * 2)
    }
    if sites["numbers"] is None or told["position"] is None or told["moment"] is None or told["edges"] is None:
        raise DamageError("a part of its frames is missing")
    return Run(
        steps=frames.steps,
        times=frames.times / scale,
        positions=told["position"],
        moments=told["moment"],
        numbers=sites["numbers"],
        cells=told["edges"],
        pbc=_periodic(file[f"{ATOMS}/box"]),
        results=values,
        energies=told["potential_energy"],
        observables={name: _observables(name, content, file, (size, scale)) for name, content in observers.items()},
        static=own,
        provenance=provenance,
        reference_lengths=sites["reference_moment"],
        g_factors=sites["g_factor"],
    )


def _periodic(box: h5py.Group) -> BoolArray:
    if "periodic" in box.attrs:
        return np.array(read_attribute(box, "periodic")) > 0
    return np.array([bound == "periodic" for bound in read_attribute(box, "boundary")])  # format 2


def _static_arrays(file: h5py.File) -> dict[str, Array]:
    """Every dataset that does not grow, by its path."""
    found: dict[str, Array] = {}

    def note(name: str, item: Any) -> None:
        """Read a dataset that does not grow with the frames."""
        if isinstance(item, h5py.Dataset) and (not item.shape or item.maxshape[0] is not None):
            found[f"/{name}"] = read_array(item, "biufc")

    file.visititems(note)
    return found


def _observables(name: str, content: h5py.Group, file: h5py.File, told: tuple[int, float]) -> dict[str, Series]:
    elements = [f"{SERIES}/{name}/{key}" for key in content if key != "static"]
    size, scale = told
    if not elements:
        return {}
    stream = stored_stream(file, name, elements, size)
    found = {}
    for path, values in stream.values.items():
        text = dict.fromkeys(("label", "unit", "plot", "axis"), "")
        quantity = content[path.rpartition("/")[2]]
        text |= {word: str(read_attribute(quantity, word)) for word in text if word in quantity.attrs}
        found[path.rpartition("/")[2]] = Series(stream.steps, stream.times / scale, values, **text)
    return found
