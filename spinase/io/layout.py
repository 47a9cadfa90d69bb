"""Layout of a run file: H5MD 1.1 with moments and results, and series beside it; the writer survives a kill at any moment.

Every stream (the frames, each observer) has one clock (step, time) that its elements share by hard links.  The file is
written in HDF5's single-writer mode: what has been flushed can be read while the run goes on and after it was killed.

::

    particles/atoms/{position, moment, species, results of sites}/{step, time, value}
    particles/atoms/box                  dimension, boundary, periodic; edges/{step, time, value}: vectors are rows
    observables/atoms/{potential_energy, results of the whole}/{step, time, value}
    series/OBSERVER/QUANTITY/{step, time, value}, series/OBSERVER/static/NAME
    sites/{reference_moment, g_factor}, provenance, digests

Readers of H5MD take one frame after the other, and what is below ``observables`` by its number, so only what is written with
the frames is there; observers have steps of their own and are below ``series``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from spinase.errors import CheckpointError, OutputError
from spinase.files import refuse_foreign, require_room, reserve, still_there
from spinase.io.hdf5 import (
    DamageError,
    attributes_digest,
    frame_digest,
    open_to_read,
    read_attribute,
    static_digest,
    tell_others,
    write_attributes,
)
from spinase.io.stored import CONDITIONS, DIGESTS, FORMAT, conditions_in, stored_stream
from spinase.typing import Array

_CHUNK_BYTES = 64 * 1024
_PACKED_BYTES = 4 * 1024  # a frame of what hardly changes from which on it is compressed
_SPARE_BYTES = 1024 * 1024  # more than HDF5 writes of its own beside a frame


@dataclass(frozen=True)
class ElementInfo:
    """One array per frame of a stream: its shape and what a reader should know about it.

    Attributes
    ----------
    shape : tuple of int
    attributes : mapping
        Of its group.
    unit : str
        For other programs, in the words of H5MD; empty: not said.
    whole : bool
        Whole numbers (64 bits) in place of real ones.
    steady : bool
        (Nearly) the same in every frame: each frame is a compressed chunk, unless it is small.
    """

    shape: tuple[int, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    whole: bool = False
    steady: bool = False

    @property
    def kind(self) -> type:
        """Type of the numbers."""
        return np.int64 if self.whole else np.float64


@dataclass(frozen=True)
class StreamInfo:
    """Elements that are written together: HDF5 path of each -> info, static arrays stored once, the unit of the times."""

    elements: Mapping[str, ElementInfo]
    static: Mapping[str, Array] = field(default_factory=dict)
    time_unit: str = ""


class RunWriter:
    """Writes a run file stream by stream.

    Parameters
    ----------
    path : Path
        The file; a run file that is there is replaced, anything else refused (InputError).
    streams : mapping
        Name -> :class:`StreamInfo`; fixed for the life of the file.
    static : mapping
        HDF5 path -> array stored once.
    attributes : mapping
        HDF5 group path -> its attributes.
    run : str
        Tells the run from all others: its checkpoint and its folder say the same.
    others : mapping, optional
        HDF5 group path -> attributes for other programs, which are not read here.
    """

    def __init__(
        self,
        path: Path,
        streams: Mapping[str, StreamInfo],
        static: Mapping[str, Array],
        attributes: Mapping[str, Mapping[str, Any]],
        run: str = "",
        others: Mapping[str, Mapping[str, str | list[str]]] | None = None,
    ) -> None:
        self.path, self.run = path, run
        self.streams = streams
        self._announced = 0
        arrays = [*static.values(), *(array for info in streams.values() for array in info.static.values())]
        size = sum(np.asarray(array).nbytes for array in arrays)
        refuse_foreign(path, is_run_file, "run file")
        require_room(path, 4 * size + _SPARE_BYTES)
        self._file = h5py.File(path, "w", libver="latest")
        self._reserve(size)
        write_attributes(self._file, {"spinase_format": FORMAT, "run": run})
        for group, values in attributes.items():
            write_attributes(self._file.require_group(group), values)
        for group, words in (others or {}).items():
            tell_others(self._file.require_group(group), words)
        for name, array in static.items():
            self._file.create_dataset(name, data=array)
        self._lengths = {name: self._create(name, info) for name, info in streams.items()}
        fixed = dict(static)
        for info in streams.values():
            fixed.update(info.static)
        told = static_digest({f"/{name}": array for name, array in fixed.items()})
        write_attributes(self._file, {"static_digest": told})
        write_attributes(self._file, {"attributes_digest": attributes_digest(self._file)})

    def _create(self, name: str, info: StreamInfo) -> int:
        self._file.create_dataset(f"{DIGESTS}/{name}", (0,), np.int64, maxshape=(None,), chunks=(1024,))
        clock: dict[str, h5py.Dataset] = {}
        for path, element in info.elements.items():
            group = self._file.require_group(path)
            write_attributes(group, element.attributes)
            for word, kind in (("step", np.int64), ("time", np.float64)):
                if word in clock:
                    group[word] = clock[word]
                else:
                    clock[word] = group.create_dataset(word, (0,), kind, maxshape=(None,), chunks=(1024,))
            size = 8 * int(np.prod(element.shape))
            packed = element.steady and size >= _PACKED_BYTES  # many small chunks would cost more time than they save room
            rows = 1 if packed else min(1024, max(1, _CHUNK_BYTES // max(size, 8)))  # as many as of steps and times
            value = group.create_dataset(
                "value",
                (0, *element.shape),
                element.kind,
                maxshape=(None, *element.shape),
                chunks=(rows, *element.shape),
                compression=1 if packed else None,
                shuffle=packed,
            )
            tell_others(value, {"unit": element.unit})
        if clock:
            tell_others(clock["time"], {"unit": info.time_unit})
        for path, array in info.static.items():
            self._file.create_dataset(path, data=array)
        return 0

    def start(self) -> None:
        """From here on the file can be read by others, and survives a kill; no new datasets."""
        self._file.swmr_mode = True

    def replace(self, target: Path) -> None:
        """Put the file in the place of `target` (atomically) and go on writing to it; :meth:`start` comes first.

        The file of a writer that is killed before it has started cannot be opened at all, and `target` may hold the only
        copy of the frames.
        """
        if not self._file.swmr_mode:
            raise RuntimeError("start() the writer before it takes the place of another file")
        self.sync()
        os.replace(self.path, target)
        self.path = target

    def sync(self) -> None:
        """Bring what was written to the disk, so that it survives a power cut too."""
        self._file.flush()
        os.fsync(self._file.id.get_vfd_handle())

    def append(self, stream: str, steps: Any, times: Any, values: Mapping[str, Any]) -> None:
        """Append one frame (or, with a leading axis everywhere, several) to a stream and flush it.

        Parameters
        ----------
        stream : str
            Name of one that was declared.
        steps : int or (K,) ndarray of int
            Steps done at the frames.
        times : float or (K,) ndarray
            In the time unit of the stream.
        values : mapping of str to ndarray
            An array for every element of the stream, in the shape and unit it was declared with.

        Raises
        ------
        OutputError
            If the disk is full; the file holds everything up to the frame before.
        """
        info, start = self.streams[stream], self._lengths[stream]
        count = np.size(steps)
        steps, times = np.atleast_1d(steps), np.atleast_1d(times)
        rows: dict[str, Array] = {
            path: np.asarray(values[path], dtype=element.kind).reshape(count, *element.shape)
            for path, element in info.elements.items()
        }
        digests = [frame_digest(steps[k], times[k], {path: row[k] for path, row in rows.items()}) for k in range(count)]
        first = next(iter(info.elements))
        # the step comes last: it says that the frame is whole
        clock = {f"{first}/time": times, f"{DIGESTS}/{stream}": digests, f"{first}/step": steps}
        self._reserve(sum(row.nbytes for row in rows.values()))
        for path, row in {**{f"{path}/value": row for path, row in rows.items()}, **clock}.items():
            dataset = self._file[path]
            dataset.resize(start + count, axis=0)
            dataset[start:] = row
            dataset.flush()
        self._lengths[stream] = start + count
        self._announce_length()

    def _reserve(self, size: int) -> None:
        """Have the disk hold what is written next: HDF5 does not survive a disk that is full."""
        descriptor = self._file.id.get_vfd_handle()
        try:
            reserve(descriptor, self._file.id.get_filesize() + 4 * size + _SPARE_BYTES)
        except OSError as error:
            raise OutputError.of(self.path, error) from None

    def _announce_length(self) -> None:
        """Let HDF5 write into the file how long it is (only if it has grown: most frames fit into the last chunks)."""
        length = self._file.id.get_filesize()
        if length != self._announced:
            self._file.flush()
            self._announced = length

    @property
    def lengths(self) -> dict[str, int]:
        """Frames written so far, by stream."""
        return dict(self._lengths)

    def require_in_place(self) -> None:
        """Check that the file is still where it was written.

        Raises
        ------
        OutputError
            If somebody removed or replaced it.
        """
        if not still_there(self.path, self._file.id.get_vfd_handle()):
            raise OutputError(f"{self.path} was removed or replaced while it was being written: what was in it is lost")

    def close(self) -> None:
        """Close the file and give back what was reserved."""
        if not self._file:
            return
        there = still_there(self.path, self._file.id.get_vfd_handle())
        self._file.close()
        if there:
            with open(self.path, "r+b") as file:
                file.truncate(int.from_bytes(file.read(36)[28:36], "little"))

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def copy_frames(source: Path, writer: RunWriter, lengths: Mapping[str, int]) -> None:
    """Append the first ``lengths[stream]`` frames of each stream of the run file `source` to a fresh writer.

    Temperatures, fields and biases that a file of before November 2026 does not have (they stayed) are NaN, or begin later.

    Parameters
    ----------
    source : Path
        Run file.
    writer : RunWriter
        Of a new file of the same run, without frames.
    lengths : mapping of str to int
        Frames to take, for every stream.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, of another run, or holds fewer frames or other streams than that.
    """
    with open_run(source) as old:
        lacking = set(writer.streams) - set(lengths)
        if set(lengths) - set(writer.streams) or lacking - {CONDITIONS}:
            raise CheckpointError(f"{source} holds {sorted(lengths)}, but the input asks for {sorted(writer.streams)}")
        if _run_of(old) != writer.run:
            raise CheckpointError(f"the run file {source} is of another run than the checkpoint beside it")
        size = source.stat().st_size
        for name, info in writer.streams.items():
            if name in lacking:
                continue
            try:
                there = conditions_in(old, list(info.elements)) if name == CONDITIONS else list(info.elements)
                stored = stored_stream(old, name, there, size, (int(lengths[name]), info.time_unit))
                if any(stored.values[path].shape[1:] != info.elements[path].shape for path in there):
                    raise DamageError(f"{name!r} is of another magnet")
            except DamageError as error:
                raise CheckpointError(f"the run file {source} is damaged, or belongs to another run: {error}") from None
            except (KeyError, ValueError, OSError, RuntimeError, TypeError, AttributeError):
                raise CheckpointError(f"the run file {source} is damaged: {name!r} cannot be read") from None
            if len(stored.steps):
                unknown = {path: np.full((len(stored.steps), *info.elements[path].shape), np.nan) for path in info.elements}
                writer.append(name, stored.steps, stored.times, unknown | dict(stored.values))


def _run_of(file: h5py.File) -> str:
    try:
        return str(read_attribute(file, "run"))
    except (DamageError, OSError, RuntimeError, KeyError, ValueError):
        return ""


def is_run_file(path: Path) -> bool:
    """Whether a file is one of spinase's run files, of whatever format and state."""
    try:
        with open_to_read(path) as file:
            return str(read_attribute(file, "spinase_format")).isdigit()
    except (OSError, RuntimeError, ValueError, TypeError, KeyError):
        return False


def open_run(path: Path) -> h5py.File:
    """Open a run file for reading, also one whose writer is at work or was killed.

    Raises
    ------
    CheckpointError
        If there is no such file or it is no (whole) HDF5 file.
    """
    if not path.exists():
        raise CheckpointError(f"there is no run file {path}")
    if not path.is_file():
        raise CheckpointError(f"{path} is no run file")
    try:
        return open_to_read(path)
    except DamageError as error:
        raise CheckpointError(f"the run file {path} is damaged: {error}") from None
    except (OSError, RuntimeError, ValueError):
        raise CheckpointError(
            f"{path} is damaged or no run file (run.h5; of trajectories .traj, .xyz and .extxyz are read)"
        ) from None


def provenance_attributes(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Provenance as HDF5 attributes: strings as they are, the rest as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in provenance.items()}
