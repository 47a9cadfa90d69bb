"""Active learning: train, run until the error bars are too large, label there, train again.

Everything is kept in files of the run directory, one folder for each round::

    round_00/labels.h5, training/        what the model of this round was trained on, and its training
    round_00/trained.json                its errors
    round_00/runs/000/, 000.json         runs with this model, what became of them, frames chosen to be labelled
    round_00/parts/000.npz               labels of the teacher for them
    round_00/explored.json               how many runs stopped, how many labels were added

A file is written when it is complete, and what exists is never made again: a killed learning goes on where it stopped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from spinase.errors import InputError, OutOfDomainError, UnstableDynamicsError
from spinase.files import replacing, write_text
from spinase.io.labels import Labels, load_part, read_labels, save_part, write_labels
from spinase.io.run_file import Run, read_run
from spinase.learning.model_file import load_model
from spinase.run.build import build_calculator
from spinase.run.execute import RunOptions, run_file
from spinase.stopping import StopRequest, stop_signals
from spinase.workers import Workers
from spinase_training.data import LEARNED
from spinase_training.figures import learning
from spinase_training.labels import LabelOptions, label_configurations, label_file
from spinase_training.loop import Loop, check_labels, prepare_folder, read_loop
from spinase_training.train import MODEL, train_recipe
from spinase_training.validation import errors, predict

Report = Callable[[str], None]
LOG, FIGURE = "log.txt", "learning.png"
_START, _CHECK = "start_labels.h5", "check_labels.h5"
AGAIN = "go on with --restart"
_COLUMNS = ("round", "labels", "added", "R^2 test", "rms test", "R^2 check", "rms check", "runs over", "runs", "worst bar")


@dataclass(frozen=True)
class LearnOptions:
    """Where and with how many processes.

    Attributes
    ----------
    output : Path or None
        Run directory; default ``<input stem>_learning`` in the current directory.
    restart : bool
        Go on with the learning in it.
    workers : int
        Processes that run and label; 0: this one.
    executor : concurrent.futures.Executor or str, optional
        Anything that runs tasks, or its name (``mpi``, ``dask``, ...), instead of processes of this machine.
    """

    output: Path | None = None
    restart: bool = False
    workers: int = 0
    executor: Executor | str | None = None


def learn_file(
    path: str | Path, overrides: Sequence[str] = (), options: LearnOptions | None = None, report: Report | None = None
) -> Path:
    """Learn what an input file describes; returns the last model file, a copy in the run directory.

    Ends when no run of a round exceeds the bound, or when the rounds or the budget of labels are spent.

    Parameters
    ----------
    path : path
        TOML input (:class:`spinase_training.loop.LoopInput`).
    overrides : sequence of str
        ``key=value`` replacements.
    options : LearnOptions, optional
        Where and how.
    report : callable, optional
        Called with a line after every stage.

    Raises
    ------
    InputError, StyleError
        On a bad input, or a run directory of another one.
    RunStopped
        If a signal stopped it; a restart goes on.
    WorkerError
        If processes that label die again and again.
    """
    with stop_signals() as stop:
        return _learn(Path(path), tuple(overrides), options or LearnOptions(), report or (lambda line: None), stop)


def _learn(path: Path, overrides: tuple[str, ...], options: LearnOptions, tell: Report, stop: StopRequest) -> Path:
    folder = (options.output or Path(f"{Path(path).stem}_learning")).resolve()
    loop = read_loop(path, overrides, folder)
    prepare_folder(loop, options.restart, (MODEL, LOG, FIGURE, _START, _CHECK))
    labels, attributes = read_labels(_label_file(loop, loop.config.labels, _START, options))
    check_labels(loop, len(labels), attributes)
    check = _label_file(loop, loop.config.check, _CHECK, options) if loop.config.check else None
    start, added, model = sum(len(part) for part in labels), 0, None
    for number in range(loop.config.rounds + 1):
        model = _trained(loop, number, labels, attributes, model, check)
        tell(f"round {number}: trained on {start + added} labels")
        _summarize(loop)
        stop.check(AGAIN)
        left = loop.config.budget - added
        if number == loop.config.rounds or left < 1:
            break
        new = _explored(loop, number, model, left, Workers(options.workers, options.executor), stop)
        tell(f"round {number}: {sum(map(len, new))} labels added")
        _summarize(loop)
        if not new:
            break
        labels, added = labels + new, added + sum(map(len, new))
    assert model is not None
    with replacing(folder / MODEL) as temporary:
        shutil.copyfile(model, temporary)
    return folder / MODEL


def _label_file(loop: Loop, given: str, name: str, options: LearnOptions) -> Path:
    """The label file, made if it is given by its input."""
    if not given.endswith(".toml"):
        return loop.home / given
    made = loop.folder / name
    if not made.exists():
        label_file(loop.home / given, options=LabelOptions(made, options.workers), executor=options.executor)
    return made


# -- training -------------------------------------------------------------------------------------------------------------


def _trained(
    loop: Loop, number: int, labels: list[Labels], attributes: dict[str, str], before: Path | None, check: Path | None
) -> Path:
    """Train the model of a round, and note its errors."""
    folder = loop.round_folder(number)
    model, note = folder / "training" / MODEL, folder / "trained.json"
    if note.exists():
        return model
    folder.mkdir(exist_ok=True)
    data = folder / "labels.h5"
    if not data.exists():
        write_labels(data, labels, attributes)
    if not model.exists():
        recipe, text = loop.recipe(number)
        start = before if loop.config.warm_start else None
        train_recipe(recipe, text, folder, folder / "training", restart=True, start=start)
    card = load_model(model)[1]
    table = {"labels": sum(map(len, labels)), "added": _learned(labels), "test": card.notes["errors"], "check": None}
    if check is not None:
        table["check"] = errors([predict(model, part) for part in read_labels(check)[0]])
    write_text(note, json.dumps(table, indent=1))
    return model


def _learned(labels: list[Labels]) -> int:
    return sum(len(part) for part in labels if set(part.kinds) == {LEARNED})


# -- runs and labels ------------------------------------------------------------------------------------------------------


def _explored(loop: Loop, number: int, model: Path, left: int, workers: Workers, stop: StopRequest) -> list[Labels]:
    """Run with the model of a round and label at most `left` of the configurations chosen; the new realizations."""
    folder = loop.round_folder(number)
    (folder / "runs").mkdir(exist_ok=True)
    (folder / "parts").mkdir(exist_ok=True)
    notes = {folder / "runs" / f"{run:03d}.json": (make_run, loop, number, run, model) for run in range(loop.config.runs)}
    workers.do(notes, stop, AGAIN)
    found = [json.loads(note.read_text(encoding="utf-8")) for note in notes]
    chosen = _within(left, [one["chosen"] for one in found])
    watched = {run: folder / "runs" / f"{run:03d}" / "run.h5" for run, frames in enumerate(chosen) if frames}
    jobs = {
        folder / "parts" / f"{run:03d}.npz": (label_frames, loop.config.teacher, source, chosen[run], loop.config.forces)
        for run, source in watched.items()
    }
    workers.do(jobs, stop, AGAIN)
    new = [load_part(part) for part in jobs]
    over = [one["over"] for one in found]
    worst = max(one["worst"] for one in found)
    table = {"runs": len(found), "over": sum(over), "new": sum(map(len, new)), "worst": worst}
    write_text(folder / "explored.json", json.dumps(table, indent=1))
    return new


def make_run(target: Path, loop: Loop, number: int, run: int, model: Path) -> None:
    """One run; what became of it and which of its frames to label go to `target`.  A task of its own, in any process.

    Parameters
    ----------
    target : Path
        JSON file to write; the run goes into a folder beside it.
    loop : Loop
        The learning.
    number, run : int
        Round, and number of the run in it; both decide its random numbers.
    model : Path
        Model file that drives the run.
    """
    folder, why = target.parent, ""
    try:
        overrides = loop.run_overrides(number, run, model.resolve())
        run_file(loop.home / loop.config.run, overrides, RunOptions(folder / f"{run:03d}", overwrite=True))
    except (OutOfDomainError, UnstableDynamicsError) as error:
        why = str(error)
    watched = read_run(folder / f"{run:03d}" / "run.h5")
    random = np.random.default_rng([loop.config.seed, number, run])
    table = {
        "why": why,
        "over": bool(why),
        "steps": int(watched.steps[-1]),
        "worst": float(_looks(watched, loop.config.guard.statistic).max()),
        "chosen": _choose(watched, loop, bool(why), random),
    }
    write_text(target, json.dumps(table, indent=1))


def _choose(run: Run, loop: Loop, stopped: bool, random: np.random.Generator) -> list[int]:
    """Frames of a run to label."""
    most = loop.config.per_run
    if loop.config.selection == "random":
        return sorted(int(k) for k in random.choice(len(run), size=min(most, len(run)), replace=False))
    frames = np.flatnonzero(_looks(run, "exceeded")[: len(run)] > 0.0)
    if stopped and not len(frames):  # the dynamics failed while the bars were small
        frames = np.array([len(run) - 1])
    places = np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int))
    return [int(frames[place]) for place in places]


def _looks(run: Run, quantity: str) -> Any:
    """Values of a quantity of the guard, one for each frame: both are written at the same steps."""
    return run.observables["error-bar"][quantity].values


def _within(left: int, chosen: list[list[int]]) -> list[list[int]]:
    """At most `left` frames in all, the first of every run before the second of any."""
    turns = sorted((turn, run, frame) for run, frames in enumerate(chosen) for turn, frame in enumerate(frames))[:left]
    return [[frame for _, owner, frame in turns if owner == run] for run in range(len(chosen))]


def label_frames(target: Path, teacher: dict[str, Any], run: Path, frames: list[int], forces: bool) -> None:
    """Label frames of a run file and write them as one realization; a task of its own, in any process.

    Parameters
    ----------
    target : Path
        File of the part to write.
    teacher : dict
        Table of a calculator.
    run : Path
        Run file.
    frames : list of int
        Which frames of it.
    forces : bool
        Whether forces on atoms are labels, too.
    """
    with threadpool_limits(1):
        watched = read_run(run)
        configurations = ((LEARNED, watched.atoms(frame)) for frame in frames)
        save_part(target, label_configurations(configurations, build_calculator(teacher, "[teacher]"), forces))


# -- log and figure -------------------------------------------------------------------------------------------------------


def read_rounds(folder: Path) -> list[dict[str, Any]]:
    """What is known of every round of a learning, finished, running or killed: the tables of its two JSON files, merged.

    Raises
    ------
    InputError
        If there is none.
    """
    rounds = []
    for place in sorted(folder.glob("round_*")):
        notes = [place / name for name in ("trained.json", "explored.json") if (place / name).exists()]
        if notes:
            rounds.append({key: value for note in notes for key, value in json.loads(note.read_text("utf-8")).items()})
    if not rounds:
        raise InputError(f"{folder} holds no finished round of a learning")
    return rounds


def _summarize(loop: Loop) -> None:
    """Write the log and the figure of all rounds so far."""
    rounds = read_rounds(loop.folder)
    lines = [f"# {loop.config.title}"] if loop.config.title else []
    lines.append("#" + "".join(f"{name:>12}" for name in _COLUMNS))
    for number, one in enumerate(rounds):
        check = one["check"] or {}
        values = [number, one["labels"], one["added"], one["test"]["r2"], one["test"]["rms_error"], check.get("r2")]
        values += [check.get("rms_error"), one.get("over"), one.get("runs"), one.get("worst")]
        lines.append(" " + "".join(f"{_shown(value):>12}" for value in values))
    write_text(loop.folder / LOG, "\n".join(lines) + "\n")
    learning(rounds, loop.config.guard.bound, loop.config.guard.relative, loop.folder / FIGURE)


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.6f}"


__all__ = ["LearnOptions", "label_frames", "learn_file", "read_rounds"]
