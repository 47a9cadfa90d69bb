"""Layout of a run file: H5MD 1.1 with moments, results and observables; the writer survives a kill at any moment.

Every stream (the frames, each observer) has one clock (step, time) that its elements share by hard links.  The file is
written in HDF5's single-writer mode: what has been flushed can be read while the run goes on and after it was killed.
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
from numpy.typing import NDArray

FORMAT = 1
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True)
class ElementInfo:
    """One array per frame of a stream: its shape and what a reader should know about it."""

    shape: tuple[int, ...]
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StreamInfo:
    """Elements that are written together: HDF5 path of each -> info, and static arrays stored once."""

    elements: Mapping[str, ElementInfo]
    static: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class RunWriter:
    """Writes a run file stream by stream.

    Parameters
    ----------
    path : Path
        The file; replaced if it exists.
    streams : mapping
        Name -> :class:`StreamInfo`; fixed for the life of the file.
    static : mapping
        HDF5 path -> array stored once.
    attributes : mapping
        HDF5 group path -> its attributes.
    """

    def __init__(
        self,
        path: Path,
        streams: Mapping[str, StreamInfo],
        static: Mapping[str, NDArray[Any]],
        attributes: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.path = path
        self._streams = streams
        self._file = h5py.File(path, "w", libver="latest")
        self._file.attrs["spinase_format"] = FORMAT
        for group, values in attributes.items():
            self._file.require_group(group).attrs.update(values)
        for name, array in static.items():
            self._file.create_dataset(name, data=array)
        self._lengths = {name: self._create(info) for name, info in streams.items()}

    def _create(self, info: StreamInfo) -> int:
        clock: dict[str, h5py.Dataset] = {}
        for path, element in info.elements.items():
            group = self._file.require_group(path)
            group.attrs.update(element.attributes)
            for name, kind in (("step", np.int64), ("time", np.float64)):
                if name in clock:
                    group[name] = clock[name]
                else:
                    clock[name] = group.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(1024,))
            rows = max(1, _CHUNK_BYTES // max(8 * int(np.prod(element.shape)), 8))
            group.create_dataset(
                "value", (0, *element.shape), np.float64, maxshape=(None, *element.shape), chunks=(rows, *element.shape)
            )
        for path, array in info.static.items():
            self._file.create_dataset(path, data=array)
        return 0

    def start(self) -> None:
        """From here on the file can be read by others, and survives a kill; no new datasets."""
        self._file.swmr_mode = True

    def replace(self, target: Path) -> None:
        """Put the file in the place of `target` (atomically) and go on writing to it."""
        self._file.flush()
        os.replace(self.path, target)
        self.path = target

    def append(self, stream: str, steps: Any, times: Any, values: Mapping[str, Any]) -> None:
        """Append one frame (or, with a leading axis everywhere, several) to a stream and flush it."""
        info, start = self._streams[stream], self._lengths[stream]
        count = np.size(steps)
        for path, element in info.elements.items():
            dataset = self._file[f"{path}/value"]
            dataset.resize(start + count, axis=0)
            dataset[start:] = np.asarray(values[path], dtype=np.float64).reshape(count, *element.shape)
            dataset.flush()
        first = next(iter(info.elements))
        for name, entry in (("time", times), ("step", steps)):  # the step comes last: it says that the frame is whole
            dataset = self._file[f"{first}/{name}"]
            dataset.resize(start + count, axis=0)
            dataset[start:] = np.atleast_1d(entry)
            dataset.flush()
        self._lengths[stream] = start + count

    @property
    def lengths(self) -> dict[str, int]:
        """Frames written so far, by stream."""
        return dict(self._lengths)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def copy_frames(source: Path, writer: RunWriter, lengths: Mapping[str, int]) -> None:
    """Append the first ``lengths[stream]`` frames of each stream of the run file `source` to a fresh writer."""
    with open_run(source) as old:
        for name, info in writer._streams.items():
            count = int(lengths[name])
            first = next(iter(info.elements))
            values = {path: old[f"{path}/value"][:count] for path in info.elements}
            if count:
                writer.append(name, old[f"{first}/step"][:count], old[f"{first}/time"][:count], values)


def open_run(path: Path) -> h5py.File:
    """Open a run file for reading, also one whose writer is at work or was killed."""
    try:
        return h5py.File(path, "r")
    except OSError:
        return h5py.File(path, "r", libver="latest", swmr=True)


def provenance_attributes(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Provenance as HDF5 attributes: strings as they are, the rest as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in provenance.items()}
