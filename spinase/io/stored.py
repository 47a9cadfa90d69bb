"""Streams as they are in a run file, of this format and of the one before, whole and undamaged.

Format 2 (until November 2026) had positions, cells and species that do not change as single arrays, the results of the whole
magnet among those of the sites, observers below ``observables``, and times in the time of the unit system.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ase.units
import h5py
import numpy as np

from spinase.io.hdf5 import DamageError, frame_digest, get_item, read_array, read_attribute, require_stored
from spinase.typing import Array, FloatArray, IntArray

FORMAT, OLDER = 3, 2
DIGESTS = "digests"
_BLOCK_BYTES = 1 << 23
ATOMS, WHOLE, SERIES, EDGES = "particles/atoms", "observables/atoms", "series", "particles/atoms/box/edges"
CONDITIONS = "conditions"  # the stream of what the magnet was held at
CLOCKS = {"": 1.0, "fs": 1.0 / ase.units.fs}
"""Times in the file by time of the unit system: "" where no other program knows the unit."""


@dataclass(frozen=True)
class StoredStream:
    """Frames of a stream as read from a file, whole and undamaged."""

    steps: IntArray
    times: FloatArray
    values: Mapping[str, FloatArray]


def read_stream(file: h5py.File, name: str, elements: Sequence[str], size: int, count: int | None = None) -> StoredStream:
    """Read the frames of a stream (or the first `count`) and compare each with its digest.

    Parameters
    ----------
    file : h5py.File
        The run file.
    name : str
        Of the stream.
    elements : sequence of str
        HDF5 paths of its elements.
    size : int
        Bytes of the file.
    count : int, optional
        Frames; default: all that are whole (the step is written last).

    Raises
    ------
    DamageError
        If there are fewer, or one is not what was written.
    """
    places = {element: get_item(file, f"{element}/value") for element in elements}
    kinds = {element: "i" if dataset.dtype.kind == "i" else "f" for element, dataset in places.items()}
    clock = {word: get_item(file, f"{elements[0]}/{word}") for word in ("time", "step")}
    digests = get_item(file, f"{DIGESTS}/{name}")
    lengths = [one.shape[0] if one.shape else 0 for one in (*places.values(), *clock.values(), digests)]
    count = min(lengths) if count is None else count
    if min(lengths) < count:
        raise DamageError(f"it has {min(lengths)} frames of {name!r} instead of {count}")
    for dataset in (*places.values(), *clock.values(), digests):
        require_stored(dataset, count, size)
    steps, times = read_array(clock["step"], "i", count), read_array(clock["time"], "f", count)
    values = {
        element: read_steady(dataset, kinds[element], count)
        if dataset.compression
        else read_array(dataset, kinds[element], count)
        for element, dataset in places.items()
    }
    kept = read_array(digests, "i", count)
    for k in range(count):
        if frame_digest(steps[k], times[k], {element: array[k] for element, array in values.items()}) != kept[k]:
            raise DamageError(f"frame {k} of {name!r} (step {steps[k]}) is not as it was written")
    return StoredStream(steps, times, values)


def read_steady(dataset: h5py.Dataset, kinds: str, count: int) -> Array:
    """The first `count` rows of an array that is (nearly) the same in all; memory for one if they are the same.

    Parameters
    ----------
    dataset : h5py.Dataset
        Chunks of one row.
    kinds : str
        Allowed ``dtype.kind`` letters.
    count : int
        Rows.
    """
    first = read_array(dataset, kinds, min(count, 1))
    block = max(1, _BLOCK_BYTES // max(first.nbytes, 1))
    for start in range(0, count, block):
        if not np.all(dataset[start : min(start + block, count)] == first):
            return read_array(dataset, kinds, count)
    return np.broadcast_to(first, (count, *dataset.shape[1:]))


def format_of(file: h5py.File) -> int:
    """Number of the format of a run file.

    Raises
    ------
    DamageError
        If it is none that is read here.
    """
    found = read_attribute(file, "spinase_format") if "spinase_format" in file.attrs else None
    if found not in (FORMAT, OLDER):
        raise DamageError(f"it is no run file of format {FORMAT} (or {OLDER})")
    return int(found)


def of_sites(name: str, shape: tuple[int, ...], sites: int) -> bool:
    """Whether a result has a row a site; a stress has six numbers, also with six sites.

    Parameters
    ----------
    name : str
        Of the result, or its path.
    shape : tuple of int
    sites : int
        Their number.
    """
    return shape[:1] == (sites,) and not name.endswith("stress")


def frame_elements(file: h5py.File) -> list[str]:
    """Paths of what the frames of a file hold, in this format."""
    found = {_newer(path, file) for path in _in_frames(file)}
    return sorted(found | {f"{ATOMS}/position", f"{ATOMS}/species", EDGES})


def conditions_in(file: h5py.File, elements: Sequence[str]) -> list[str]:
    """Which of the elements of the stream of conditions a file has: until November 2026 those that stayed were left out.

    Parameters
    ----------
    file : h5py.File
        The run file.
    elements : sequence of str
        Paths in this format.
    """
    return [path for path in elements if path.replace(SERIES, series_group(file), 1) in file]


def series_group(file: h5py.File) -> str:
    """Where observers are."""
    return SERIES if format_of(file) == FORMAT else "observables"


def stored_stream(
    file: h5py.File, name: str, elements: Sequence[str], size: int, asked: tuple[int | None, str] = (None, "")
) -> StoredStream:
    """Frames of a stream of a file of this or the older format, with the elements of this one.

    Parameters
    ----------
    file : h5py.File
        The run file.
    name : str
        Of the stream.
    elements : sequence of str
        HDF5 paths of its elements in this format.
    size : int
        Bytes of the file.
    asked : tuple of int or None, str
        Number of frames (None: all that are whole); unit of times of an older file (those of this one are as stored).

    Raises
    ------
    DamageError
        If there are fewer, or one is not what was written.
    """
    count, unit = asked
    if format_of(file) == FORMAT:
        return read_stream(file, name, elements, size, count)
    if name != "frames":
        older = [path.replace(SERIES, "observables", 1) for path in elements]
        found = read_stream(file, name, older, size, count)
        values = {path: found.values[old] for path, old in zip(elements, older, strict=True)}
    else:
        found = read_stream(file, name, _in_frames(file), size, count)
        values = {_newer(path, file): rows for path, rows in found.values.items()}
        values |= {path: _unchanged(file, path, len(found.steps)) for path in elements if path not in values}
    return StoredStream(found.steps, found.times * CLOCKS[unit], values)


def _in_frames(file: h5py.File) -> list[str]:
    """Elements of the stream of frames as the file itself calls them."""
    group = get_item(file, ATOMS)
    found = [f"{ATOMS}/{name}" for name in group if isinstance(group[name], h5py.Group) and "value" in group[name]]
    found += [EDGES] if isinstance(get_item(file, EDGES), h5py.Group) else []
    if format_of(file) == FORMAT and WHOLE in file:
        found += [f"{WHOLE}/{name}" for name in file[WHOLE]]
    return found


def _newer(path: str, file: h5py.File) -> str:
    """What an element is called now: results of the whole magnet are no longer among those of the sites."""
    shape = file[f"{path}/value"].shape[1:]
    sites = get_item(file, f"{ATOMS}/moment/value").shape[1]
    moved = path.startswith(f"{ATOMS}/") and path != EDGES and not of_sites(path, shape, sites)
    return path.replace(ATOMS, WHOLE, 1) if moved else path


def _unchanged(file: h5py.File, path: str, count: int) -> Array:
    """What an older file has once, or not at all (NaN), as `count` frames."""
    if path.startswith(WHOLE):
        return np.full(count, np.nan)
    once = read_array(get_item(file, path), "if")
    return np.broadcast_to(once, (count, *once.shape))


__all__ = [
    "ATOMS",
    "CLOCKS",
    "CONDITIONS",
    "DIGESTS",
    "EDGES",
    "FORMAT",
    "OLDER",
    "SERIES",
    "WHOLE",
    "StoredStream",
    "conditions_in",
    "format_of",
    "frame_elements",
    "of_sites",
    "read_stream",
    "series_group",
    "stored_stream",
]
