"""The fault kit: damaged and malformed files, kills, rivals and full disks, each case in a forked child with a deadline.

A case is right (the answer of the undamaged thing, or a one-line error of ours), or it is one of the faults that are
counted: a traceback, a hang, a crash, a silent wrong answer, a lost result.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import re
import resource
import select
import shutil
import signal
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from faults.samples import Kind, read_whole_run

from spinase.errors import FileInUseError, SpinaseError
from spinase.io import read_run
from spinase.run import RunOptions, RunStopped, run_file

DEADLINE = 60.0  # seconds a case may take on a busy machine
GOOD = ("same answer", "one line")
FAULTS = ("traceback", "hang", "crash", "silent wrong", "lost")
_FOREIGN = re.compile(
    r"allow_pickle|pydantic|numpy|h5py|hdf5 error|errno|zipfile|unpickl|Unable to|Can't (open|read)", re.IGNORECASE
)


@dataclass(frozen=True)
class Outcome:
    """What became of a case, and what it said."""

    verdict: str
    told: str

    @property
    def good(self) -> bool:
        return self.verdict in GOOD


# -- running something where it can do no harm -------------------------------------------------------------------------


def in_child(work: Callable[[], Any], limit: int | None = None, deadline: float = DEADLINE) -> Outcome:
    """Do `work` in a forked child: its answer's digest, its one-line error, or how it failed."""
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiving)
        with contextlib.suppress(BaseException):
            os.write(sending, pickle.dumps(_attempt(work, limit))[:60000])
        os._exit(0)
    os.close(sending)
    try:
        ready, _, _ = select.select([receiving], [], [], deadline)
        data = os.read(receiving, 65536) if ready else None
    finally:
        os.close(receiving)
    if data is None:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if data is None:
        return Outcome("hang", f"no answer after {deadline} s")
    if not data:
        return Outcome("crash", f"status {status}")
    verdict, told = pickle.loads(data)
    return Outcome(verdict, told)


def _attempt(work: Callable[[], Any], limit: int | None) -> tuple[str, str]:
    memory = 6 << 30  # whoever takes more has not looked
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    try:
        return "answer", _digest(work())
    except (SpinaseError, RunStopped) as error:
        message = str(error)
        clean = "\n" not in message.strip() and len(message) < 2000 and not _FOREIGN.search(message)
        return ("one line" if clean else "traceback"), f"{type(error).__name__}: {message}"
    except BaseException as error:
        return "traceback", f"{type(error).__name__}: {error}"[:2000]


def _digest(value: Any) -> str:
    total = hashlib.sha256()

    def add(part: Any) -> None:
        if isinstance(part, np.ndarray):
            total.update(f"{part.dtype.kind}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
        elif isinstance(part, dict):
            for key in sorted(part, key=str):
                total.update(str(key).encode())
                add(part[key])
        elif isinstance(part, list | tuple):
            for entry in part:
                add(entry)
        elif hasattr(part, "__dict__") and vars(part):
            add(vars(part))
        else:
            total.update(repr(part).encode())

    add(value)
    return total.hexdigest()


# -- damage ------------------------------------------------------------------------------------------------------------


def damaged(kind: Kind, target: Path, rng: np.random.Generator) -> tuple[str, bool]:
    """Write a damaged copy; returns how, and whether an answer other than the sample's is an answer nobody asked for."""
    if kind.sample.is_dir():
        shutil.copytree(kind.sample, target)
        files = sorted(path for path in target.rglob("*") if path.is_file() and path.stat().st_size)
        chosen = files[rng.integers(len(files))]
        how, strict = damaged(replace(kind, sample=kind.sample / chosen.relative_to(target)), chosen, rng)
        return f"{chosen.relative_to(target)}: {how}", strict
    content = kind.sample.read_bytes()
    ways = [_flip, _cut, _overwritten, _nothing, _doubled]
    if kind.sample.suffix == ".h5":
        ways += [_h5_swapped] * 2
    if kind.sample.suffix == ".npz":
        ways += [_npz_swapped] * 2
    if kind.sample.suffix == ".npy":
        ways += [_npy_swapped] * 2
    if kind.sample.suffix in _TEXTS:
        ways += [_no_number, _no_number, _line, _line]
    if kind.sample.suffix == ".toml":
        how = _toml_mutated(kind, content.decode(), target, rng)
        return how, True
    way = ways[rng.integers(len(ways))]
    if way in (_h5_swapped, _npz_swapped):
        return way(kind, target, rng), True
    target.write_bytes(way(content, rng))
    return way.__name__.strip("_"), kind.sealed or way is _no_number


def _flip(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for place in rng.integers(len(content), size=rng.integers(1, 4)):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content)))]


def _overwritten(content: bytes, rng: np.random.Generator) -> bytes:
    start, length = int(rng.integers(len(content))), int(rng.choice([8, 64, 512, 4096]))
    block = bytes(length) if rng.random() < 0.5 else rng.bytes(length)
    return (content[:start] + block + content[start + length :])[: max(len(content), 1)]


def _nothing(content: bytes, rng: np.random.Generator) -> bytes:
    return b"" if rng.random() < 0.5 else rng.bytes(2000)


def _doubled(content: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(content)))
    return content[:start] + content[start // 2 :]


def _h5_swapped(kind: Kind, target: Path, rng: np.random.Generator) -> str:
    """Another type, size or value of a dataset or an attribute, or none at all."""
    source = kind.sample
    target.write_bytes(source.read_bytes())
    with contextlib.suppress(OSError), h5py.File(target, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        name = names[rng.integers(len(names))]
        way = ["gone", "text", "huge", "nan", "empty", "attribute", "group", "number"][rng.integers(8)]
        old = file[name]
        if way == "nan" and old.dtype.kind == "f" and old.size:
            old[...] = np.full(old.shape, np.nan)
            return f"nan in {name}"
        if way == "number" and old.dtype.kind in "if" and old.size:
            old[...] = old[()] + 1
            return f"other numbers in {name}"
        if way == "attribute":
            owner = file if not file["/"].attrs or rng.random() < 0.3 else file["/"]
            key = list(owner.attrs)[rng.integers(len(owner.attrs))]
            owner.attrs[key] = [7, "seven", np.nan][rng.integers(3)]
            return f"attribute {key}"
        del file[name]
        made = {"text": lambda: file.create_dataset(name, data="seven"), "group": lambda: file.create_group(name)}
        made["huge"] = lambda: file.create_dataset(name, (10**7, 10**5, 3), "f8", chunks=(64, 64, 3))
        made["empty"] = lambda: file.create_dataset(name, data=h5py.Empty("f8"))
        made.get(way, lambda: None)()
        return f"{way}: {name}"
    return "unopened"


def _npz_swapped(kind: Kind, target: Path, rng: np.random.Generator) -> str:
    with np.load(kind.sample) as stored:
        arrays: dict[str, Any] = dict(stored)
    name = sorted(arrays)[rng.integers(len(arrays))]
    way = ["gone", "text", "object", "nan", "other size", "empty card"][rng.integers(6)]
    if way == "gone":
        del arrays[name]
    elif way == "other size":
        arrays[name] = np.zeros((3, 1, 4))
    elif way == "nan":
        arrays[name] = np.full(arrays[name].shape, np.nan)
    elif way == "empty card":
        for key in ("card", "__json__"):
            if key in arrays:
                arrays[key] = np.array(["{}", "[]", "null", "7", "[" * 5000][rng.integers(5)])
    else:
        arrays[name] = np.array("seven") if way == "text" else np.array([{"a": 1}], dtype=object)
    np.savez(target, **arrays)
    return f"{way}: {name}"


_NUMBER = re.compile(r"(?<![\w.:+-])[+-]?\d+\.?\d*([eE][+-]?\d+)?(?![\w.])")
_NO_NUMBERS = ["nan", "inf", "-inf", "1e400", "x7", "--1", "9" * 400]
_TEXTS = (".xml", ".extxyz", ".dat", ".raw", ".ucf")
_WRONG: list[str] = [
    '"seven"',
    "nan",
    "inf",
    "-inf",
    "[]",
    "{}",
    "[[]]",
    "-3",
    "-1e300",
    "1e308",
    "2026-11-28",
    "true",
    '[1, "a"]',
]


def _no_number(content: bytes, rng: np.random.Generator) -> bytes:
    """A number of a text that is none any more, or no finite one."""
    text = content.decode()
    found = list(_NUMBER.finditer(text))
    if not found:
        return b""
    start, end = found[rng.integers(len(found))].span()
    return f"{text[:start]}{_NO_NUMBERS[rng.integers(len(_NO_NUMBERS))]}{text[end:]}".encode()


def _line(content: bytes, rng: np.random.Generator) -> bytes:
    """A line of a text that is missing, or there twice."""
    lines = content.decode().splitlines(keepends=True)
    place = int(rng.integers(len(lines)))
    lines[place] *= 2 * int(rng.integers(2))
    return "".join(lines).encode()


def _npy_swapped(content: bytes, rng: np.random.Generator) -> bytes:
    """An array of another type or size, not finite, or of objects, in numpy's format."""
    old = np.load(io.BytesIO(content))
    made = [np.full(old.shape, np.nan), np.zeros((3, 1, 4)), np.array([{"a": 1}], dtype=object), np.array("seven")]
    file = io.BytesIO()
    np.save(file, made[rng.integers(len(made))], allow_pickle=True)
    return file.getvalue()


def _toml_mutated(kind: Kind, text: str, target: Path, rng: np.random.Generator) -> str:
    """One value of an entry replaced by one that cannot be meant, an entry removed or misspelt, or broken text."""
    lines = text.strip().splitlines()
    entries = [
        k
        for k, line in enumerate(lines)
        if "=" in line and not line.startswith(("title", "name", "made_by", "labels", "results"))
    ]
    place = entries[rng.integers(len(entries))]
    key, _, old = lines[place].partition("=")
    way = rng.choice(["value", "value", "value", "misspelt", "bytes", "twice", "huge"])
    if way == "huge" and key.strip() in ("seed", "kT", "shells", "timestep", "damping", "cutoff", "inner"):
        way = "misspelt"  # a large one may be meant
    if way == "value":
        lines[place] = f"{key}= {_unlike(old.strip(), rng)}"
    elif way == "huge":
        lines[place] = f"{key}= {'[100000000, 100000000]' if old.strip().startswith('[') else '10000000000000000000'}"
    elif way == "misspelt":
        lines[place] = f"{key.strip()}s ={old}"
    elif way == "twice":
        lines.insert(place, lines[place])
    target.write_bytes("\n".join(lines).encode() + (b"\n# \xff\xfe" if way == "bytes" else b""))
    return f"{way}: {lines[place]}"


def _unlike(old: str, rng: np.random.Generator) -> str:
    before = tomllib.loads(f"x = {old}")["x"]
    while True:
        new = _WRONG[rng.integers(len(_WRONG))]
        value = tomllib.loads(f"x = {new}")["x"]
        number = isinstance(before, int | float) and isinstance(value, int | float) and not isinstance(value, bool)
        negative_fits = number and np.isfinite(value) and new != "-3"
        if value != before and not negative_fits:
            return new


def file_case(
    kind: Kind, folder: Path, number: int, rng: np.random.Generator, answers: dict[str, str]
) -> tuple[str, Outcome]:
    """One damaged file."""
    if kind.name not in answers:
        whole = in_child(lambda: kind.read(kind.sample))
        assert whole.verdict == "answer", f"the undamaged {kind.name} cannot be read: {whole.told}"
        answers[kind.name] = whole.told
    target = folder / f"case{number}{kind.sample.suffix}"
    if kind.sample.is_dir():  # its name may be in the answer
        target.mkdir()
        target = target / kind.sample.name
    how, strict = damaged(kind, target, rng)
    same = target.is_file() and target.read_bytes() == kind.sample.read_bytes()
    outcome = in_child(lambda: kind.read(target))
    if target.is_dir():
        shutil.rmtree(target.parent)
    target.unlink(missing_ok=True)
    if outcome.verdict == "answer":
        wrong = strict and not same and (outcome.told != answers[kind.name] or kind.sample.suffix == ".toml")
        outcome = Outcome("silent wrong" if wrong else "same answer", outcome.told)
    return f"{kind.name}: {how}", outcome


# -- kills, rivals, full disks -----------------------------------------------------------------------------------------


def reference_run(folder: Path) -> str:
    """Digest of the run that nothing disturbs."""
    return in_child(lambda: _whole_run(folder / "run.toml", folder / "undisturbed", False)).told


def _whole_run(source: Path, target: Path, restart: bool) -> Any:
    path = run_file(source, options=RunOptions(target, restart=restart))
    return read_whole_run(path), (target / "log.txt").read_bytes()


def disturbed_run(way: str, folder: Path, number: int, rng: np.random.Generator, expected: str) -> tuple[str, Outcome]:
    """A run that is killed, has a rival or a full disk, restarted to its end: the undisturbed run's bytes."""
    source, target = folder / "run.toml", folder / f"{way}{number}"
    if way == "rivals":
        return way, _rivals(source, target, expected)
    for attempt in range(int(rng.integers(1, 4))):
        restart = attempt > 0 and target.exists()
        if way == "kill":
            _killed_after(lambda again=restart: _whole_run(source, target, again), float(rng.exponential(0.3)))
        else:
            limit = int(rng.choice([3_000, 20_000, 100_000, 1_100_000, 1_200_000]))
            done = in_child(lambda again=restart: _whole_run(source, target, again), limit)
            if done.verdict not in ("one line", "answer"):
                return f"{way} at {limit}", done
        if (target / "checkpoint.npz").exists():
            seen = in_child(lambda: len(read_run(target / "run.h5")))
            if seen.verdict != "answer":
                return f"{way}, reading", Outcome("lost", seen.told)
    fresh = not (target / "input.toml").exists()
    return way, _against(in_child(lambda: _whole_run(source, target, not fresh)), expected)


def _against(outcome: Outcome, expected: str) -> Outcome:
    if outcome.verdict != "answer":
        return Outcome("lost" if outcome.verdict == "one line" else outcome.verdict, outcome.told)
    return Outcome("same answer" if outcome.told == expected else "silent wrong", outcome.told)


def _killed_after(work: Callable[[], Any], seconds: float) -> None:
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            work()
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _rivals(source: Path, target: Path, expected: str) -> Outcome:
    """Two at once: one of them runs to the end, the other is refused in one line (or finds a run that is done)."""
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                try:
                    _whole_run(source, target, False)
                    status = 0
                except FileInUseError:
                    status = 5
                except SpinaseError as error:
                    status = 6 if "already holds a run" in str(error) else 1
            os._exit(status)
        children.append(child)
    ends = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    if ends not in ([0, 5], [0, 6]):
        return Outcome("lost", f"two processes ended with {ends}")
    return _against(in_child(lambda: (read_whole_run(target / "run.h5"), (target / "log.txt").read_bytes())), expected)
