"""The cache of compiled loops: no stale code whatever changed, damaged entries, no place to write.  On a package of toys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

INNER = """
from spinase.compiled import njit

FACTOR = 2.0

@njit
def scaled(x):
    return FACTOR * x
"""
MIDDLE = "from toy import inner\n\nscaled = inner.scaled\n"
OUTER = """
from spinase.compiled import njit
from toy.middle import scaled

@njit(nogil=True)
def shifted(x):
    return scaled(x) + 1.0
"""
ASK = """
import json, resource, sys, warnings
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from toy.outer import shifted
from toy.inner import scaled
answer = [shifted(1.0), shifted(1), scaled(2.0)]
print(json.dumps([answer, sum(shifted.stats.cache_hits.values()), sum(shifted.stats.cache_misses.values())]))
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    package = tmp_path / "toy"
    package.mkdir()
    for name, text in (("__init__", ""), ("inner", INNER), ("middle", MIDDLE), ("outer", OUTER)):
        (package / f"{name}.py").write_text(text)
    return package


def ask(toy: Path, limit: int = 0, **environment: str) -> tuple[list[float], int, int, str]:
    """What a new process finds: three numbers, entries of the cache used and missed, and what it wrote to stderr."""
    paths = os.pathsep.join([str(toy.parent), *sys.path])
    told = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    told.pop("NUMBA_CACHE_DIR", None)  # the folder below is asked for
    told.update(environment)
    told.setdefault("XDG_CACHE_HOME", str(toy.parent / "home"))
    command = [sys.executable, "-W", "default", "-c", ASK, str(limit)]
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    numbers, hits, misses = json.loads(done.stdout)
    return numbers, hits, misses, done.stderr


def entries(toy: Path) -> list[Path]:
    return sorted((toy / "__pycache__" / "spinase-kernels").glob("toy.outer*.bin"))


def test_damaged_code_and_code_of_other_sources_is_not_used(toy: Path) -> None:
    """The change is in a module that the loop's module does not name, has the old size, and the old date."""
    assert ask(toy)[:3] == ([3.0, 3.0, 4.0], 0, 2)
    first, second = entries(toy)
    first.write_bytes(first.read_bytes()[:-100])
    assert ask(toy)[:3] == ([3.0, 3.0, 4.0], 1, 1)
    content = bytearray(second.read_bytes())
    content[len(content) // 2] ^= 1
    second.write_bytes(content)
    first.write_bytes(b"")
    assert ask(toy)[:3] == ([3.0, 3.0, 4.0], 0, 2)
    source = toy / "inner.py"
    before = source.stat()
    source.write_text(INNER.replace("2.0", "5.0"))
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert ask(toy)[:3] == ([6.0, 6.0, 10.0], 0, 2)
    source.write_text(INNER)
    assert ask(toy)[:3] == ([3.0, 3.0, 4.0], 2, 0), "the old sources find the old entries again, whole ones by now"


@pytest.mark.parametrize("case", ["no folder", "full disk"])
def test_without_a_place_loops_are_compiled_and_one_line_says_so(toy: Path, case: str) -> None:
    environment = {}
    if case == "no folder":
        (toy / "__pycache__").mkdir()
        (toy / "__pycache__" / "spinase-kernels").write_text("a file where the folder should be")
        environment = {"XDG_CACHE_HOME": "/proc/no/such/place", "NUMBA_CACHE_DIR": "/proc/neither"}
    numbers, hits, misses, errors = ask(toy, limit=1000 if case == "full disk" else 0, **environment)
    assert (numbers, hits, misses) == ([3.0, 3.0, 4.0], 0, 2)
    assert errors.count("RuntimeWarning") == 1
    assert "compiled code cannot be kept" in errors
    assert "set NUMBA_CACHE_DIR to a writable folder" in errors
    assert not [path for path in toy.parent.rglob("*.tmp*") if path.is_file()]


def test_sources_younger_than_the_process_are_not_kept(toy: Path) -> None:
    """Their code in memory may be of an older text than the file's."""
    code = (
        "import pathlib, sys, spinase.compiled, toy.outer, toy.inner\n"
        "source = pathlib.Path(toy.inner.__file__)\n"
        "source.write_text(source.read_text().replace('2.0', '5.0'))\n"
        "assert toy.outer.shifted(1.0) == 3.0"
    )
    paths = os.pathsep.join([str(toy.parent), *sys.path])
    told = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    # without bytecode: Python's own is found by whole seconds and the size, so that of the old text would pass for the new
    told = {**told, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", code], env=told, check=True)
    assert not entries(toy)
    assert ask(toy)[0] == [6.0, 6.0, 10.0]
