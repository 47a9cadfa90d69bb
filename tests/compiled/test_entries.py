"""Entries of the cache of compiled code by themselves: files with digests, folders that are tried, what is removed."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

import pytest
from numba.core import config, types

from spinase.compiled import cache
from spinase.compiled.cache import KernelCache, cache_folders
from spinase.compiled.library import _UNIQUE, _digest
from spinase.compiled.rows import LANES, aligned, padded_length
from spinase.compiled.threads import default_threads, map_threads, thread_map


def loop(x: float) -> float:
    return x


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first place that is tried."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    return tmp_path / "spinase-kernels"


def test_what_is_kept_is_read_back(folder: Path) -> None:
    path = folder / "loop-1.bin"
    cache._write_entry(path, cache.dumps((("float64",), ("payload", 3))))
    assert cache._read_entry(path) == (("float64",), ("payload", 3))
    assert [one.name for one in folder.iterdir()] == ["loop-1.bin"], "no temporary file is left"


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "longer", "missing"])
def test_a_damaged_entry_is_none(folder: Path, damage: str) -> None:
    """It is compared with its digest before anything is made of it."""
    path = folder / "loop-1.bin"
    cache._write_entry(path, cache.dumps((1, 2)))
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    changed = {"cut": content[:-3], "flipped": content, "empty": b"", "longer": path.read_bytes() + b"x"}
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(bytes(changed[damage]))
    assert cache._read_entry(path) is None


def test_a_write_that_fails_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        cache._write_entry(folder / "loop-1.bin", b"content")
    assert not list(folder.iterdir())


def test_entries_without_use_are_removed_and_those_in_use_stay(folder: Path) -> None:
    """Sixty days; reading an old one makes it young again."""
    folder.mkdir(parents=True)
    now, day = time.time(), 86400.0
    for name, age in (("old.bin", 61), ("old.tmp", 61), ("recent.bin", 59), ("other.txt", 99)):
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (now - age * day, now - age * day))
    cache._prepare_folder.__wrapped__(folder)
    assert {one.name for one in folder.iterdir()} == {"recent.bin", "other.txt"}
    kept = folder / "loop-1.bin"
    cache._write_entry(kept, cache.dumps((1, 2)))
    os.utime(kept, (now - 30 * day, now - 30 * day))
    cache._read_entry(kept)
    assert kept.stat().st_mtime > now - day


def test_folders_are_tried_from_the_asked_one_to_the_users(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent / "home"))
    found = cache_folders(padded_length)
    assert found[0] == folder
    assert found[-1] == folder.parent / "home" / "spinase-kernels"
    assert found[1].parts[-3:] == ("spinase", "__pycache__", "spinase-kernels")
    assert KernelCache(padded_length).cache_path == str(folder)
    monkeypatch.setattr(config, "CACHE_DIR", "")
    assert cache_folders(padded_length)[0] == found[1]


def test_a_cache_forgets_its_function_only(folder: Path) -> None:
    made = KernelCache(loop)
    mine, other = folder / f"{made._prefix}1.bin", folder / "another-1.bin"
    for path in (mine, other):
        cache._write_entry(path, b"content")
    made.flush()
    assert [one.name for one in folder.iterdir()] == [other.name]
    assert made._prefix.endswith("test_entries.loop-")


def test_types_that_are_told_by_an_address_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function as an argument is another one in the next process."""

    class Codegen:
        @staticmethod
        def magic_tuple() -> tuple[str]:
            return ("processor",)

    monkeypatch.setattr(cache, "origin_digest", lambda function: "origin")
    made = KernelCache(loop)
    one, two = (made._entry((kind,), Codegen) for kind in (types.float64, types.float32))
    assert one is not None
    assert one.startswith(made._prefix)
    assert one != two
    assert made._entry((types.float64,), Codegen) == one
    addressed = types.Opaque("function at 0x7f00")
    assert made._entry((addressed,), Codegen) is None
    monkeypatch.setattr(cache, "origin_digest", lambda function: None)
    assert made._entry((types.float64,), Codegen) is None


def test_one_line_says_that_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache._Unwritable, "known", False)
    with pytest.warns(RuntimeWarning, match=r"cannot be kept \(/no: full\).*set NUMBA_CACHE_DIR to a writable folder"):
        cache._Unwritable.say("/no: full")
    assert cache._Unwritable.known


def test_a_disabled_cache_keeps_and_finds_nothing() -> None:
    class Context:
        @staticmethod
        def refresh() -> None:
            """Nothing."""

    made = KernelCache(loop)
    made.disable()
    assert made.load_overload((types.float64,), Context) is None
    made.save_overload((types.float64,), object())
    made.enable()
    assert made._enabled


def test_names_of_code_are_made_of_what_it_is() -> None:
    name = f"spinase{_digest('text')}"
    assert _UNIQUE.fullmatch(name)
    assert _digest("text") == _digest("text") != _digest("other")


# -- memory and threads -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("size", [0, 1, 17, 1000])
def test_aligned_memory_begins_on_a_cache_line(dtype: str, size: int) -> None:
    found = aligned(size, dtype)
    assert found.ctypes.data % 64 == 0 or not size
    assert found.shape == (size,)
    assert found.dtype == dtype
    assert not found.any()
    found[:] = 1
    assert found.sum() == size


def test_lengths_are_padded_to_whole_vectors() -> None:
    assert [padded_length(count) for count in (0, 1, LANES, LANES + 1)] == [0, LANES, LANES, 2 * LANES]


@pytest.mark.parametrize(("text", "expected"), [("3", 3), ("0", 1), ("1", 1)])
def test_the_number_of_threads_is_that_of_the_environment(text: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert default_threads() == expected


@pytest.mark.parametrize("text", ["", "many", "-2"])
def test_without_a_number_numba_is_asked(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    monkeypatch.setattr("numba.get_num_threads", lambda: 5)
    assert default_threads() == 5


@pytest.mark.parametrize("threads", [1, 2])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    def late(k: int) -> int:
        time.sleep(0.002 * (k == 0))
        return k * k

    assert map_threads(late, range(6), threads) == [0, 1, 4, 9, 16, 25]
    with thread_map(threads) as each:
        assert each(late, []) == []
        assert each(late, [3]) == [9]


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_thread_comes_out(threads: int) -> None:
    def fail(k: int) -> int:
        raise ZeroDivisionError(k)

    with warnings.catch_warnings(action="error"), pytest.raises(ZeroDivisionError):
        map_threads(fail, [1, 2], threads)
