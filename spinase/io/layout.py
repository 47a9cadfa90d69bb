"""Layout of a run file: H5MD 1.1 with moments, results and observables; the writer survives a kill at any moment.

Every stream (the frames, each observer) has one clock (step, time) that its elements share by hard links.  The file is
written in HDF5's single-writer mode: what has been flushed can be read while the run goes on and after it was killed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spinase.errors import CheckpointError

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
        self._announced = 0
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
        self._announce_length()

    def _announce_length(self) -> None:
        """Let HDF5 write into the file how long it is (only if it has grown: most frames fit into the last chunks)."""
        length = os.fstat(self._file.id.get_vfd_handle()).st_size
        if length != self._announced:
            self._file.flush()
            self._announced = length

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
    """Append the first ``lengths[stream]`` frames of each stream of the run file `source` to a fresh writer.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or holds fewer frames or other streams than that.
    """
    with open_run(source) as old:
        if set(lengths) != set(writer._streams):
            raise CheckpointError(f"{source} holds {sorted(lengths)}, but the input asks for {sorted(writer._streams)}")
        try:
            for name, info in writer._streams.items():
                _copy_stream(old, name, info, writer, int(lengths[name]))
        except (KeyError, ValueError, OSError) as error:
            raise CheckpointError(f"the run file {source} is damaged, or belongs to another run ({error})") from error


def _copy_stream(old: h5py.File, name: str, info: StreamInfo, writer: RunWriter, count: int) -> None:
    first = next(iter(info.elements))
    for place in (f"{first}/step", f"{first}/time", *(f"{path}/value" for path in info.elements)):
        require_stored(old[place], min(count, len(old[place])))
    steps, times = old[f"{first}/step"][:count], old[f"{first}/time"][:count]
    values = {path: old[f"{path}/value"][:count] for path in info.elements}
    if min(len(array) for array in (steps, times, *values.values())) < count:
        raise ValueError(f"{name}: {len(steps)} frames instead of {count}")
    if count:
        writer.append(name, steps, times, values)


def open_run(path: Path) -> h5py.File:
    """Open a run file for reading, also one whose writer is at work or was killed.

    Raises
    ------
    CheckpointError
        If there is no such file or it is no (whole) HDF5 file.
    """
    if not path.exists():
        raise CheckpointError(f"there is no run file {path}")
    try:
        try:
            return h5py.File(path, "r")
        except OSError:
            if not _left_open(path):
                raise
            return h5py.File(path, "r", libver="latest", swmr=True)
    except OSError as error:
        raise CheckpointError(f"the run file {path} is damaged or no run file ({error})") from error


def _left_open(path: Path) -> bool:
    """Whether a file is as its writer left it in single-writer mode, and as long as it announces.

    Reading any other damaged file in that mode would make HDF5 wait for a writer to repair it, practically for ever.
    (HDF5 file format, superblock version 3: consistency flags in byte 11, end of file in bytes 28 to 35.)
    """
    for pause in (0.0, 0.1):  # a writer at work may be between the announcement and the bytes
        time.sleep(pause)
        with open(path, "rb") as file:
            head = file.read(48)
        if len(head) < 48 or not head.startswith(b"\x89HDF") or head[8] != 3 or not head[11] & 4:
            return False
        if path.stat().st_size >= int.from_bytes(head[28:36], "little"):
            return True
    return False


def require_stored(dataset: h5py.Dataset, count: int) -> None:
    """Check that the first `count` rows of a dataset lie within its file.

    HDF5 itself returns zeros for what is beyond the end of a file that was cut off in single-writer mode.

    Raises
    ------
    ValueError
        If some do not.
    """
    size = Path(dataset.file.filename).stat().st_size
    whole: list[int] = []

    def note(chunk: Any) -> None:
        if chunk.chunk_offset[0] < count and chunk.byte_offset + chunk.size <= size:
            whole.append(chunk.chunk_offset[0])

    if count:
        dataset.id.chunk_iter(note)
    if len(whole) < -(-count // dataset.chunks[0]):
        raise ValueError(f"{dataset.name}: {count} rows are announced, but the file ends before the last of them")


def provenance_attributes(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Provenance as HDF5 attributes: strings as they are, the rest as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in provenance.items()}
