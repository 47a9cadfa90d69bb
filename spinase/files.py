"""Files that others may rely on: written whole or not at all, told apart by digests, held by one process at a time.

Whatever spinase writes goes through here: a temporary file of its own (made anew, so it cannot be somebody's link), synced
to the disk, put in place by a rename.  Folders that spinase fills carry a mark; what has none, and a file that is not one of
spinase's of the same kind, is not spinase's to replace.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import secrets
import shutil
import socket
import time
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from spinase.errors import FileInUseError, InputError, OutputError

MARK = ".spinase"
_LOCK = ".spinase-lock"
_MOST_BYTES = 1 << 30  # what a small compressed file may at most grow to
_HEADER_BYTES = 10_000
_CANNOT_RESERVE = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV}


# -- writing --------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A new empty file beside `path` that takes its place at the end; after an error or a kill `path` is as it was.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    target = Path(path)
    temporary = temporary_beside(target)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError.of(target, error) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


def temporary_beside(target: Path) -> Path:
    """A new empty file with a name of its own beside `target`.

    Raises
    ------
    OutputError
        If the folder cannot be written to.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0), 0o666))
    except OSError as error:
        raise OutputError.of(target, error) from None
    return temporary


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all (see :func:`replacing`)."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray], compressed: bool = False) -> None:
    """Write named arrays to one file (numpy's ``.npz``, without pickles), whole or not at all.

    Parameters
    ----------
    path : str or Path
        File, replaced if it is there.
    arrays : mapping of str to ndarray
        What :func:`numpy.load` finds in it.
    compressed : bool
        Smaller and slower.
    """
    with replacing(path) as temporary, open(temporary, "wb") as file:
        (np.savez_compressed if compressed else np.savez)(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut (where the system can)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def reserve(descriptor: int, size: int) -> None:
    """Have the disk hold `size` bytes of an open file, so that writing them later cannot fail for want of space.

    Raises
    ------
    OSError
        If it has no room for them.
    """
    present = os.fstat(descriptor).st_size
    if size <= present:
        return
    try:
        os.posix_fallocate(descriptor, present, size - present)
    except OSError as error:
        if error.errno in _CANNOT_RESERVE:
            return
        raise


def require_room(path: Path, size: int) -> None:
    """Check that a file of `size` bytes can be written to `path`, which is made, or made empty.

    Raises
    ------
    OutputError
        If it cannot.
    """
    try:
        with open(path, "wb") as file:
            reserve(file.fileno(), size)
            file.truncate(0)
    except OSError as error:
        raise OutputError.of(path, error) from None


# -- reading --------------------------------------------------------------------------------------------------------------


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Named arrays of a file of :func:`write_arrays`; sizes are compared with the file before memory is taken.

    Raises
    ------
    ValueError
        If it is damaged, no such file, or holds anything but numbers and text.
    OSError
        If it cannot be read.
    """
    source = Path(path)
    size = source.stat().st_size
    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > max(_MOST_BYTES, 100 * size):
                raise ValueError(f"it would need more memory than a file of {size} bytes can")
            return {member.filename.removesuffix(".npy"): _array(archive, member) for member in members}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, LookupError):
        raise ValueError("it is cut off, damaged, or no archive of arrays") from None


def read_array(path: str | Path) -> np.ndarray:
    """The array of a file in numpy's format (``.npy``); its size is compared with the file before memory is taken.

    Raises
    ------
    ValueError
        If it is damaged, no such file, or holds anything but numbers and text.
    OSError
        If it cannot be read.
    """
    source = Path(path)
    with open(source, "rb") as file:
        return _content(file, source.name, source.stat().st_size)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        return _content(file, member.filename, member.file_size)


def _content(file: IO[bytes], name: str, size: int) -> np.ndarray:
    shape, fortran, dtype = _header(file, name)
    if dtype.kind not in "biufcSU" or dtype.hasobject or any(not isinstance(n, int) or n < 0 for n in shape):
        raise ValueError(f"{name} holds neither numbers nor text")
    if file.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name} is announced with another size than it has")
    return np.frombuffer(bytearray(file.read()), dtype=dtype).reshape(shape, order="F" if fortran else "C")


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        shape, fortran, dtype = readers[version](file, max_header_size=_HEADER_BYTES)
    except (ValueError, KeyError, TypeError, SyntaxError, tokenize.TokenError, MemoryError, RecursionError):
        raise ValueError(f"{name} is no array") from None
    return shape, fortran, dtype


# -- digests --------------------------------------------------------------------------------------------------------------


def text_digest(text: str) -> str:
    """SHA-256 of a text, in hexadecimals."""
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimals."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def arrays_digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of a text and of named arrays with their types and shapes, whatever their order."""
    total = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name}{array.dtype.str}{array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def table_digest(table: Mapping[str, Any]) -> str:
    """SHA-256 of a table of JSON values, whatever its order."""
    return text_digest(json.dumps(dict(table), sort_keys=True))


# -- what is there already ------------------------------------------------------------------------------------------------


def refuse_foreign(path: str | Path, is_ours: Callable[[Path], bool], what: str) -> None:
    """Refuse to replace what is at `path`, unless it is nothing, an empty file, or a file of our own of the same kind.

    Parameters
    ----------
    path : path
        Where a file is to be written.
    is_ours : callable
        Whether a file is one of spinase's of that kind, of whatever version.
    what : str
        The kind, for the message.

    Raises
    ------
    InputError
        If it is somebody else's, a folder, or a link that leads nowhere.
    """
    place = Path(path)
    if not os.path.lexists(place):
        return
    if not place.is_file() or (place.stat().st_size and not is_ours(place)):
        raise InputError(f"{place} is there and is no {what} of spinase: give another name (--output), or move it away")


def has_arrays(path: str | Path, names: Iterable[str]) -> bool:
    """Whether a file is one of :func:`write_arrays` that holds arrays of these names."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {f"{name}.npy" for name in names} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return False


def refuse_foreign_folder(folder: Path, kind: str, names: Iterable[str]) -> None:
    """Refuse a folder in which files that are not of a `kind` of ours have the names of such a one's.

    Parameters
    ----------
    folder : Path
        Where a run, a training, ... is to be.
    kind : str
        Its mark.
    names : iterable of str
        Files it writes; patterns as of ``Path.glob``.

    Raises
    ------
    InputError
        Naming one of them, or the other kind that the folder is of.
    """
    mark = read_mark(folder).get("kind", "")
    if mark == kind:
        return
    if mark:
        raise InputError(f"{folder} is the folder of a {mark}: name another folder with --output")
    foreign = [file.name for name in names for file in folder.glob(name)]
    foreign += [name for name in names if "*" not in name and os.path.lexists(folder / name)]
    if foreign:
        raise InputError(f"{folder} has a {foreign[0]} that is of no {kind} of spinase: name another folder with --output")


@contextlib.contextmanager
def replacing_folder(target: str | Path, kind: str) -> Iterator[Path]:
    """A new folder beside `target` that takes its place at the end; after an error `target` is as it was.

    A kill leaves the old folder or the new one; between the two renames, both under other names.

    Parameters
    ----------
    target : path
        Nothing, an empty folder, or one that was written so.
    kind : str
        What is in it: its mark.

    Raises
    ------
    InputError
        If there is something else.
    OutputError
        If it cannot be written.
    """
    place = Path(target)
    empty = place.is_dir() and not place.is_symlink() and not any(place.iterdir())
    if os.path.lexists(place) and not empty and read_mark(place).get("kind") != kind:
        raise InputError(f"{place} is there and was not written by spinase as {kind}: give another name, or move it away")
    fresh, old = (place.with_name(f".{place.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp") for _ in range(2))
    try:
        fresh.mkdir(parents=True)
        yield fresh
        write_mark(fresh, kind=kind)
        if os.path.lexists(place):
            os.rename(place, old)
        os.rename(fresh, place)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError.of(place, error) from None
    finally:
        if os.path.lexists(old) and not os.path.lexists(place):
            os.rename(old, place)
        for folder in (fresh, old):
            shutil.rmtree(folder, ignore_errors=True)


# -- folders and their holders --------------------------------------------------------------------------------------------


def read_mark(folder: Path) -> dict[str, str]:
    """The mark of a folder that spinase made; empty if there is none."""
    try:
        table = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in table.items()} if isinstance(table, dict) else {}


def write_mark(folder: Path, **told: str) -> None:
    """Mark a folder as made by spinase: what it is (``kind``), and whatever tells it from others."""
    write_text(folder / MARK, json.dumps({"made_by": "spinase", **told}, sort_keys=True))


@contextlib.contextmanager
def held(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder, so that no second process works in it; the lock ends with the process, whatever ends it.

    Raises
    ------
    FileInUseError
        If another one holds it, with its process and host.
    OutputError
        If the folder cannot be written to.
    """
    descriptor = _locked(folder / _LOCK, what)
    try:
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        with contextlib.suppress(OSError):  # a full disk: the lock holds, only who has it is not told
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _locked(path: Path, what: str) -> int:
    """Descriptor of the locked file at `path` (which may be removed and made anew by others meanwhile)."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise OutputError.of(path.parent, error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = _holder(descriptor)
            os.close(descriptor)
            raise FileInUseError(
                f"another process works on {what} ({told}): wait for its end, or write elsewhere with --output"
            ) from None
        except OSError as error:
            warnings.warn(
                f"{path.parent} cannot be locked ({error.strerror}): see to it that no second process works on {what}",
                RuntimeWarning,
                stacklevel=2,
            )
            return descriptor
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    try:
        told = json.loads(os.pread(descriptor, 1000, 0))
        return f"process {told['pid']} on {told['host']}, since {told['since']}"
    except (OSError, ValueError, LookupError, TypeError):
        return "it does not say which"


def still_there(path: Path, descriptor: int) -> bool:
    """Whether `path` is still the file that is open as `descriptor`, not removed or replaced."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False
