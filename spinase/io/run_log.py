"""The log table of a run: lines that are on the disk before a checkpoint counts on them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import TracebackType

from spinase.errors import CheckpointError, OutputError
from spinase.files import still_there


class RunLog:
    """A text file that only grows, with the digest of what is in it.

    Parameters
    ----------
    path : Path
        The file.
    flags : int
        Of ``os.open``.

    Attributes
    ----------
    header : str
        The first line.
    """

    def __init__(self, path: Path, flags: int) -> None:
        self.path, self.length, self.header = path, 0, ""
        self._total = hashlib.sha256()
        try:
            self._descriptor = os.open(path, flags | os.O_RDWR | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            raise OutputError.of(path, error) from None

    @classmethod
    def started(cls, path: Path) -> RunLog:
        """A new file."""
        return cls(path, os.O_CREAT | os.O_EXCL)

    @classmethod
    def resumed(cls, path: Path, length: int, digest: str) -> RunLog:
        """The file as it was at a checkpoint: `length` bytes with that digest; what follows is cut off.

        Parameters
        ----------
        path : Path
            Log file.
        length : int
            Bytes of it that the checkpoint knows.
        digest : str
            SHA-256 of these, hexadecimal.

        Raises
        ------
        CheckpointError
            If it is shorter, or another.
        """
        present = path.stat().st_size if path.exists() else 0
        if present < length:
            raise CheckpointError(f"{path} has {present} bytes instead of the checkpoint's {length}")
        log = cls(path, 0)
        text = os.pread(log._descriptor, length, 0)
        if hashlib.sha256(text).hexdigest() != digest:
            log.close()
            raise CheckpointError(f"{path} is not the log of the checkpoint beside it")
        os.ftruncate(log._descriptor, length)
        log._total.update(text)
        log.length, log.header = length, text.decode().partition("\n")[0]
        return log

    @property
    def digest(self) -> str:
        """SHA-256 of what is in it."""
        return self._total.hexdigest()

    def write(self, line: str) -> None:
        """Append a line.

        Raises
        ------
        OutputError
            If it cannot be written; what was written of it is cut off again.
        """
        content = line.encode()
        try:
            if os.pwrite(self._descriptor, content, self.length) < len(content):
                os.ftruncate(self._descriptor, self.length)
                raise OutputError(f"cannot write {self.path}: no space is left")
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError.of(self.path, error) from None
        self.header = self.header or line.partition("\n")[0]
        self._total.update(content)
        self.length += len(content)

    def sync(self) -> None:
        """Bring it to the disk."""
        os.fsync(self._descriptor)

    def require_in_place(self) -> None:
        """Check that the file is still where it was written.

        Raises
        ------
        OutputError
            If somebody removed or replaced it.
        """
        if not still_there(self.path, self._descriptor):
            raise OutputError(f"{self.path} was removed or replaced while it was being written: what was in it is lost")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
