"""The label file that an input describes: made realization by realization, whole or not at all.

A realization is one draw of the sites (disordered magnets) and of the spins.  Each is kept in a file of its own as soon as
it is done; a killed labelling goes on with those that are missing.  With a selection, all realizations make their
configurations first, some are chosen among all of them, and those alone are labelled.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from spinase.errors import InputError
from spinase.files import held, read_mark, refuse_foreign, text_digest, write_mark, write_text
from spinase.io.labels import is_label_file, load_part, write_labels
from spinase.options import validated
from spinase.run.config import named_files, read_table
from spinase.run.plain import numbers_of, plain_calculator
from spinase.run.provenance import code_identity, versions
from spinase.stopping import StopRequest, stop_signals
from spinase.units import UNIT_SYSTEMS
from spinase.workers import Job, Workers
from spinase_training.labels.config import LabelInput
from spinase_training.labels.realizations import explore_realization, label_realization
from spinase_training.labels.selection import Candidates, Selection, file_marks, select, selection_attributes

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class LabelOptions:
    """Where labels go and who makes them.

    Attributes
    ----------
    output : Path or None
        The HDF5 file; default ``<input stem>_labels.h5`` in the current directory.
    workers : int
        Processes, if no executor is given; 0: this process.
    """

    output: Path | None = None
    workers: int = 0


def label_file(
    path: str | Path,
    overrides: Sequence[str] = (),
    options: LabelOptions | None = None,
    executor: Executor | str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Label what an input file describes; returns the HDF5 file (read by :func:`spinase.io.read_labels`).

    Realizations that are done lie in ``<output stem>_parts/`` until all are; a labelling that was killed, or stopped by a
    signal, goes on where it stopped, if the input and the files it names are the same.

    Parameters
    ----------
    path : path
        TOML input file.
    overrides : sequence of str
        ``key=value`` replacements.
    options : LabelOptions, optional
        Where and with how many processes.
    executor : concurrent.futures.Executor or str, optional
        Anything that runs tasks, or its name (``mpi``, ``dask``, ...), instead of processes of this machine.
    progress : callable, optional
        Called with (realizations done, in all, what).

    Raises
    ------
    InputError
        On a bad input file, or parts of another input in the way.
    RunStopped
        If a signal stopped it: what was finished is kept.
    WorkerError
        If processes die again and again.
    """
    options = options or LabelOptions()
    table, text = read_table(path, overrides)
    config: LabelInput = validated(LabelInput, plain_labels(table), str(path))
    target = options.output or Path.cwd() / f"{Path(path).stem}_labels.h5"
    home = Path(path).resolve().parent
    marks = "" if config.select is None else file_marks(config.select, home)
    task = _Task(config, home, target, text, marks)
    folder = parts_folder(target)
    _refuse_foreign(target, folder)
    _make(folder)
    with held(folder, f"the labels in {target}"):
        _prepare(folder, text + marks + named_files(table, home))
        _make_labels_in(folder, task, Workers(options.workers, executor), progress)
        shutil.rmtree(folder)
    return target


def plain_labels(table: dict[str, Any]) -> dict[str, Any]:
    """An input of labels with amounts (``"1 fs"``, ``"20 meV"``) as numbers of its unit system, in calculators as well.

    Parameters
    ----------
    table : dict
        As it was read.

    Raises
    ------
    InputError
        On an amount that cannot be one of its key.
    """
    units = table.get("units", "reduced")
    if units not in UNIT_SYSTEMS:
        return table
    found = numbers_of(LabelInput, table, units, "")
    if "calculator" in found:
        found["calculator"] = plain_calculator(found["calculator"], units, "[calculator]")
    for key in ("quench", "thermal"):
        if isinstance(found.get(key), dict) and "driver" in found[key]:
            found[key] = {**found[key], "driver": plain_calculator(found[key]["driver"], units, f"[{key}] driver")}
    return found


@dataclass(frozen=True)
class _Task:
    """What is labelled, where relative files are, where the labels go, and what the input and its files say."""

    config: LabelInput
    home: Path
    target: Path
    text: str
    marks: str


def _make_labels_in(folder: Path, task: _Task, workers: Workers, progress: Progress | None) -> None:
    """Do what is missing in the folder of the parts, and write the label file."""
    config, home, attributes = task.config, task.home, _attributes(task.config, task.text)
    with stop_signals() as stop:
        work = partial(_work, folder, workers, stop, progress)
        numbers: Sequence[int] = range(config.realizations)
        chosen: Selection | None = None
        if config.select is not None:
            work("exploring", {_candidates(folder, n): (explore_realization, config, home, n) for n in numbers})
            chosen = select(config.select, [Candidates.load(_candidates(folder, number)) for number in numbers], home)
            numbers = sorted(chosen.chosen)
            attributes |= selection_attributes(chosen, task.marks)
        choices = {n: _choice(folder, chosen, n) for n in numbers}
        work("labelling", {_part(folder, n): (label_realization, config, home, n, *choices[n]) for n in numbers})
    write_labels(task.target, [load_part(_part(folder, number)) for number in numbers], attributes)


def parts_folder(target: Path) -> Path:
    """Where finished realizations lie until all are."""
    return target.with_name(f"{target.stem}_parts")


def _refuse_foreign(target: Path, folder: Path) -> None:
    """What is not of a labelling is neither replaced nor removed."""
    refuse_foreign(target, is_label_file, "label file")
    ours = read_mark(folder).get("kind") == "labels"
    if not ours and (folder.is_symlink() or folder.exists()) and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there and was not made by spinase label: name another file with --output")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from None
    if not read_mark(folder):
        write_mark(folder, kind="labels")


def _prepare(folder: Path, text: str) -> None:
    """Folder of the parts; one with parts of another input is refused (one in which nothing was finished is not)."""
    mark = folder / "input.toml"
    if mark.exists() and mark.read_text(encoding="utf-8") != text and any(folder.rglob("*.npz")):
        raise InputError(f"{folder} holds parts of a labelling with another input: finish it with that one, or delete it")
    write_text(mark, text)


def _part(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.npz"


def _candidates(folder: Path, number: int) -> Path:
    return folder / "candidates" / f"{number:06d}.npz"


def _choice(folder: Path, chosen: Selection | None, number: int) -> tuple[Any, ...]:
    """Further arguments of a labelling task after a selection."""
    return () if chosen is None else (_candidates(folder, number), chosen.chosen[number])


def _work(
    folder: Path, workers: Workers, stop: StopRequest, progress: Progress | None, what: str, jobs: dict[Path, Job]
) -> None:
    """Do the jobs whose files are not there yet."""
    for path in jobs:
        path.parent.mkdir(exist_ok=True)
    again = f"what is finished is kept in {folder}: the same command goes on"
    workers.do(jobs, stop, again, None if progress is None else lambda done: progress(done, len(jobs), what))


def _attributes(config: LabelInput, text: str) -> dict[str, str]:
    return {
        "title": config.title,
        "units": config.units,
        "seed": str(config.seed),
        "input": text,
        "input_hash": text_digest(text),
        "teacher": json.dumps(config.calculator, sort_keys=True),
        "versions": json.dumps(versions()),
        **code_identity(),
        "platform": platform.platform(),
    }
