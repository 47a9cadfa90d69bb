"""Which sources a compiled function is made of, as a digest."""

from __future__ import annotations

import ast
import functools
import hashlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

from numba.core.serialize import dumps

_STARTED = time.time()


def origin_digest(function: FunctionType) -> str | None:
    """Digest of a function: its place in its module, what it closes over, and all sources it may call.

    None where :func:`source_digest` is.
    """
    sources = source_digest(function.__module__)
    if sources is None:
        return None
    code, cells = function.__code__, function.__closure__ or ()
    closure = dumps(tuple(cell.cell_contents for cell in cells))
    place = (function.__module__, function.__qualname__, tuple(code.co_positions()), code.co_code)
    return hashlib.sha256(repr((sources, place, closure)).encode()).hexdigest()


@functools.cache
def source_digest(module: str) -> str | None:
    """Digest of the sources of a module and of what it imports from its package and from spinase.

    None where a source cannot be read, or is younger than this process: the code in memory may be of an older one then.
    """
    packages = {module.partition(".")[0], __name__.partition(".")[0]}
    total, todo, seen = hashlib.sha256(), [module], set[str]()
    texts: dict[str, bytes] = {}
    while todo:
        name = todo.pop()
        if name in seen or name not in sys.modules or name.partition(".")[0] not in packages:
            continue
        seen.add(name)
        text = _source(sys.modules[name])
        if text is None:
            return None
        texts[name] = text
        todo += _imported(name, text)
    for name in sorted(texts):
        total.update(f"{name} {len(texts[name])}\n".encode() + texts[name])
    return total.hexdigest()


def _source(module: Any) -> bytes | None:
    path = getattr(module, "__file__", None)
    try:
        times = os.stat(str(path))
        changed = max(times.st_mtime, times.st_ctime) > _STARTED
        return None if changed else Path(str(path)).read_bytes()
    except OSError:
        return None


def _imported(module: str, text: bytes) -> Iterator[str]:
    """Names of the modules that a module's text imports (and some that are none)."""
    package = module if hasattr(sys.modules[module], "__path__") else module.rpartition(".")[0]
    for node in _executed(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Statements that run when a module is imported: functions' bodies and what is for type checkers do not."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _executed(child)
