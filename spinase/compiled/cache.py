"""Machine code kept between processes, found again only if every source it was made of is the same.

Numba's own cache stamps a function with the file that holds it.  What the function calls is compiled into it, too, so a
change there leaves old code in use.  Here the key of an entry is made of the text of the function's module and of all
modules it imports from the same package and from spinase, directly or not (numba can reach nothing else), of the versions
of Python, numba and llvmlite, of the processor and of numba's settings.  An entry is one file with a digest of its own: a
damaged one is made again.  Where there is no place to write, functions are compiled in every process anew, and one line
says so.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import sys
import time
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import llvmlite
import numba
from numba.core import config, sigutils
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from spinase.compiled.library import SealingCompiler
from spinase.compiled.sources import origin_digest

_FOLDER = "spinase-kernels"
_KEPT_SECONDS = 60 * 86400.0  # entries that nobody has read for so long are removed
_SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DISABLE_PERFORMANCE_WARNINGS", "LLVM_REFPRUNE_PASS")


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """:func:`numba.njit` whose machine code is kept between processes by :class:`KernelCache`.

    Every loop of spinase is declared with this; plugins may use it for theirs.

    Parameters
    ----------
    function : callable, optional
        The function, where the decorator is written without options.
    options
        Those of :func:`numba.njit`, but for ``cache`` and ``no_cfunc_wrapper``: nothing here is called from C.
    """

    def compiled(loop: Callable[..., Any]) -> Any:
        """The function, compiled when it is called first."""
        dispatcher = numba.njit(pipeline_class=SealingCompiler, no_cfunc_wrapper=True, **options)(loop)
        if not config.DISABLE_JIT:
            dispatcher._cache = KernelCache(dispatcher.py_func)
        return dispatcher

    return compiled if function is None else compiled(function)


class KernelCache(_Cache):  # type: ignore[misc]
    """Compiled forms of one function, one file for each set of argument types.

    Parameters
    ----------
    function : function
        The Python function.
    """

    def __init__(self, function: FunctionType) -> None:
        self._function = function
        self._enabled = True

    @property
    def cache_path(self) -> str | None:
        """The folder that is tried first."""
        folders = cache_folders(self._function)
        return str(folders[0]) if folders else None

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled form for these argument types, or None if it is not kept, or damaged."""
        target_context.refresh()
        name = self._entry(sig, target_context.codegen()) if self._enabled else None
        if name is None:
            return None
        for folder in cache_folders(self._function):
            stored = _read_entry(folder / name)
            if stored is None:
                continue
            arguments, payload = stored
            if arguments == sigutils.normalize_signature(sig)[0]:
                return CompileResult._rebuild(target_context, *payload)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled form; where nothing can be written, say so once and go on."""
        name = self._entry(sig, data.codegen) if self._enabled and _can_be_kept(data) else None
        if name is None or _Unwritable.known:
            return
        content = dumps((sigutils.normalize_signature(sig)[0], data._reduce()))
        reason = "there is no folder for it"
        for folder in cache_folders(self._function):
            try:
                _write_entry(folder / name, content)
            except OSError as error:
                reason = f"{folder}: {error.strerror or error}"
            else:
                return
        _Unwritable.say(reason)

    def enable(self) -> None:
        """Use the cache."""
        self._enabled = True

    def disable(self) -> None:
        """Compile anew, keep nothing."""
        self._enabled = False

    def flush(self) -> None:
        """Forget what is kept of this function."""
        for folder in cache_folders(self._function):
            for path in folder.glob(f"{self._prefix}*"):
                with contextlib.suppress(OSError):
                    path.unlink()

    @property
    def _prefix(self) -> str:
        name = f"{self._function.__module__}.{self._function.__qualname__}".replace("<", "").replace(">", "")
        return f"{name[-80:]}-"

    def _entry(self, sig: Any, codegen: Any) -> str | None:
        """Name of the file for these argument types; None if the function's sources cannot be told for certain."""
        origin, types = origin_digest(self._function), str(sigutils.normalize_signature(sig))
        if origin is None or " at 0x" in types:  # a function as an argument is told by its address
            return None
        told = (origin, _environment(), codegen.magic_tuple(), types)
        return f"{self._prefix}{hashlib.sha256(repr(told).encode()).hexdigest()[:32]}.bin"


class _Unwritable:
    """Whether this process has found that compiled code cannot be kept."""

    known = False

    @classmethod
    def say(cls, reason: str) -> None:
        """Warn, once for all loops, that nothing is kept."""
        cls.known = True
        warnings.warn(
            f"compiled code cannot be kept ({reason}), so every start compiles anew: "
            "set NUMBA_CACHE_DIR to a writable folder",
            RuntimeWarning,
            stacklevel=2,
        )


def cache_folders(function: FunctionType) -> list[Path]:
    """Folders for the code of a function, in the order in which they are tried.

    ``NUMBA_CACHE_DIR`` if it is set, the package's ``__pycache__``, the user's cache.
    """
    found = [Path(config.CACHE_DIR) / _FOLDER] if config.CACHE_DIR else []
    package = sys.modules.get(function.__module__.partition(".")[0])
    if getattr(package, "__file__", None):
        found.append(Path(str(package.__file__)).parent / "__pycache__" / _FOLDER)  # type: ignore[union-attr]
    with contextlib.suppress(RuntimeError):  # no home
        found.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / _FOLDER)
    return found


@functools.cache
def _environment() -> tuple[Any, ...]:
    settings = tuple((name, getattr(config, name, None)) for name in _SETTINGS)
    return sys.implementation.cache_tag, numba.__version__, llvmlite.__version__, settings


def _can_be_kept(result: Any) -> bool:
    return bool(all(part.can_cache for part in result.lifted) and not result.library.has_dynamic_globals)


def _read_entry(path: Path) -> tuple[Any, Any] | None:
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    digest, content = stored[:32], stored[32:]
    if hashlib.sha256(content).digest() != digest:
        return None
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > _KEPT_SECONDS / 10:
            os.utime(path)  # it is in use
    arguments, payload = pickle.loads(content)
    return arguments, payload


def _write_entry(path: Path, content: bytes) -> None:
    _prepare_folder(path.parent)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        temporary.write_bytes(hashlib.sha256(content).digest() + content)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


@functools.cache
def _prepare_folder(folder: Path) -> None:
    """Make a folder, once in a process, and remove what has been without use for long."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in [*folder.glob("*.bin"), *folder.glob("*.tmp")]:
        with contextlib.suppress(OSError):
            if time.time() - entry.stat().st_mtime > _KEPT_SECONDS:
                entry.unlink()
