"""What every reader of our HDF5 files does: open without waiting, look at sizes before taking memory, check digests.

HDF5 opens a file whose writer was killed in single-writer mode only for readers in that mode, who wait for the writer
wherever a block is damaged, practically for ever.  Here the mark of the writer is left out of what HDF5 gets to see, so such
a file is read as any other, and damage is an error at once.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spinase.files import arrays_digest, text_digest
from spinase.typing import Array

_SUPERBLOCK = 48  # bytes, of version 3: signature 8, version 1, sizes 2, flags 1, addresses 4 x 8, checksum 4
_INFLATED = 1100  # deflate makes data shorter by 1030 at most
_MASK = 0xFFFFFFFF


class DamageError(ValueError):
    """What is wrong with a file, in words of ours."""


def open_to_read(path: Path) -> h5py.File:
    """Open a file for reading, also one whose writer is at work or was killed.

    Raises
    ------
    OSError
        If it cannot be read, or is no HDF5 file.
    DamageError
        If it is shorter than it says.
    """
    with open(path, "rb") as file:
        head = file.read(_SUPERBLOCK)
    if len(head) < _SUPERBLOCK or not head.startswith(b"\x89HDF\r\n\x1a\n") or head[8] != 3 or not head[11] & 5:
        return h5py.File(path, "r")
    if path.stat().st_size < int.from_bytes(head[28:36], "little"):
        raise DamageError("it was cut off: it is shorter than it says")
    return h5py.File(_Unmarked(path, head), "r")


class _Unmarked(io.RawIOBase):
    """The bytes of a file, without the mark that says that a writer has it open."""

    def __init__(self, path: Path, head: bytes) -> None:
        super().__init__()
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        body = head[:11] + bytes([head[11] & ~5]) + head[12:44]
        # A damaged superblock keeps its wrong checksum, so that HDF5 refuses it.
        whole = lookup3(head[:44]) == int.from_bytes(head[44:], "little")
        self._head = body + (lookup3(body) if whole else lookup3(body) ^ 1).to_bytes(4, "little")

    def readinto(self, buffer: Any) -> int:
        """Bytes from where the file is now, those of the superblock as they are shown to HDF5; their number."""
        start, count = self._file.tell(), self._file.readinto(buffer) or 0
        if start < _SUPERBLOCK:
            part = self._head[start : start + count]
            memoryview(buffer)[: len(part)] = part
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the file is now."""
        return self._file.tell()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Close the file below."""
        self._file.close()
        super().close()


def lookup3(data: bytes) -> int:
    """Checksum of HDF5's metadata: Bob Jenkins' hash ``lookup3`` (public domain), 32 bits."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    while len(data) > 12:
        a, b, c = ((x + int.from_bytes(data[k : k + 4], "little")) & _MASK for x, k in ((a, 0), (b, 4), (c, 8)))
        a, b, c = _mixed(a, b, c)
        data = data[12:]
    if not data:
        return c
    data = data.ljust(12, b"\0")
    a, b, c = ((x + int.from_bytes(data[k : k + 4], "little")) & _MASK for x, k in ((a, 0), (b, 4), (c, 8)))
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _turned(b, bits)) & _MASK
        a, b, c = b, c, a  # the three change their parts, seven times
    return b


def _turned(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & _MASK) ^ _turned(c, bits)
        c = (c + b) & _MASK
        a, b, c = b, c, a
    return a, b, c


# -- sizes and types ------------------------------------------------------------------------------------------------------


def get_item(file: h5py.Group, path: str) -> Any:
    """What lies at a path of a file.

    Raises
    ------
    DamageError
        If there is nothing, or HDF5 cannot read it.
    """
    try:
        item = file.get(path)
    except (KeyError, OSError, RuntimeError, ValueError, TypeError):
        item = None
    if item is None:
        raise DamageError(f"{path} is missing or cannot be read")
    return item


def read_array(dataset: Any, kinds: str, count: int | None = None) -> Array:
    """A dataset (or its first `count` rows), once it is sure that the file holds as much.

    Parameters
    ----------
    dataset : h5py.Dataset
        What should be one.
    kinds : str
        Letters of numpy's kinds it may have.
    count : int, optional
        Rows.

    Raises
    ------
    DamageError
        If it is no such array, lies in other files, or is announced larger than what is stored.
    """
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise DamageError("an array is missing")
    if dataset.dtype.kind not in kinds or dataset.dtype.byteorder == ">":
        raise DamageError(f"{dataset.name} is not of the right type ({dataset.dtype})")
    if dataset.is_virtual or dataset.external:
        raise DamageError(f"{dataset.name} lies in other files")
    if dataset.nbytes > _INFLATED * dataset.id.get_storage_size() + 4096:
        raise DamageError(f"{dataset.name} is announced with {dataset.shape} numbers, which the file does not hold")
    return np.asarray(dataset[()] if count is None else dataset[:count])


def require_stored(dataset: h5py.Dataset, count: int, size: int) -> None:
    """Check that the first `count` rows of a dataset lie within a file of `size` bytes.

    HDF5 itself returns zeros for what is beyond the end of a file that was cut off in single-writer mode.

    Parameters
    ----------
    dataset : h5py.Dataset
        Chunked along its first axis only.
    count : int
        Rows that must be there.
    size : int
        Of the file, bytes.

    Raises
    ------
    DamageError
        If some do not.
    """
    whole: set[int] = set()

    def note(chunk: Any) -> None:
        """Remember a chunk that lies within the file."""
        if chunk.chunk_offset[0] < count and chunk.byte_offset + chunk.size <= size:
            whole.add(chunk.chunk_offset[0])

    if not isinstance(dataset, h5py.Dataset) or not dataset.shape or dataset.chunks is None:
        raise DamageError("a series is missing or no series")
    if dataset.chunks[1:] != dataset.shape[1:] or dataset.is_virtual:
        raise DamageError(f"{dataset.name} is laid out as spinase does not do it")
    if count:
        dataset.id.chunk_iter(note)
    if len(whole) < -(-count // dataset.chunks[0]):
        raise DamageError(f"{dataset.name}: {count} rows are announced, but the file ends before the last of them")


# -- digests --------------------------------------------------------------------------------------------------------------


def write_attributes(item: Any, table: Mapping[str, Any]) -> None:
    """Write attributes with texts of fixed length, which HDF5's checksums cover.

    Texts of variable length lie in a heap without a checksum, and HDF5 2.0 does not come back from a damaged one.
    """
    for name, value in table.items():
        item.attrs[name] = _fixed(value)


def tell_others(item: Any, table: Mapping[str, str | list[str]]) -> None:
    """Write attributes for other programs, whose readers want texts of variable length; empty ones are left out.

    They are never read here, and no digest covers them.
    """
    for name, value in table.items():
        if value:
            item.attrs.create(name, value, dtype=h5py.string_dtype())


def _for_others(item: Any, name: str) -> bool:
    return bool(item.attrs.get_id(name).dtype.hasobject)


def _fixed(value: Any) -> Any:
    if isinstance(value, str):
        return np.array(value.encode(), dtype=f"S{max(len(value.encode()), 1)}")
    if isinstance(value, list) and value and isinstance(value[0], str):
        return np.array([entry.encode() for entry in value])
    return value


def read_attribute(item: Any, name: str) -> Any:
    """An attribute: a text, a list of texts, or a number.

    Raises
    ------
    DamageError
        If it is missing, or of another kind than :func:`write_attributes` writes.
    """
    if name not in item.attrs:
        raise DamageError(f"the attribute {name} is missing")
    kind = item.attrs.get_id(name).dtype
    if kind.kind not in "biufS" or kind.hasobject:
        raise DamageError(f"the attribute {name} is of a kind that spinase does not write")
    value = item.attrs[name]
    if kind.kind == "S":
        value = np.char.decode(np.asarray(value), "utf-8").tolist()
    return value


def attributes_digest(file: h5py.File, but: tuple[str, ...] = ()) -> str:
    """Digest of all attributes of a file's groups and datasets, except for `but` of the root."""
    told = [_attributes("/", file, but)]
    file.visititems(lambda name, item: told.append(_attributes(name, item)))
    return text_digest("\n".join(told))


def _attributes(name: str, item: Any, but: tuple[str, ...] = ()) -> str:
    own = sorted(key for key in set(item.attrs) - set(but) if not _for_others(item, key))
    return name + "".join(f"\n {key} {_text(read_attribute(item, key))}" for key in own)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return repr([_text(entry) for entry in value])
    if isinstance(value, np.ndarray):
        return repr([_text(entry) for entry in value.ravel().tolist()])
    if isinstance(value, bytes):
        return repr(value.decode(errors="replace"))
    return repr(value.item() if isinstance(value, np.generic) else value)


def static_digest(arrays: Mapping[str, Array]) -> str:
    """Digest of arrays stored once."""
    return arrays_digest("", {name: np.asarray(array) for name, array in arrays.items()})


def frame_digest(step: int, time: float, rows: Mapping[str, Array]) -> int:
    """Digest of one frame of a stream: its clock and one row of each of its elements, 64 bits.

    Parameters
    ----------
    step : int
        Steps done.
    time : float
        Of the frame, in the unit of its stream.
    rows : mapping of str to ndarray
        Elements of the stream by name; their order does not matter.
    """
    total = hashlib.blake2b(np.int64(step).tobytes() + np.float64(time).tobytes(), digest_size=8)
    for name in sorted(rows):
        total.update(np.ascontiguousarray(rows[name], dtype=np.float64).tobytes())
    return int.from_bytes(total.digest(), "little", signed=True)
