"""Input and run directory of ``spinase learn``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from spinase.errors import InputError
from spinase.files import refuse_foreign_folder, write_mark, write_text
from spinase.learning.trust.error_bars import needed_realizations
from spinase.options import validated
from spinase.run.build import build_setup
from spinase.run.config import as_toml, named_files, read_input, read_table
from spinase.run.execute import check_stages
from spinase_training.data import split
from spinase_training.recipe import Recipe, read_recipe


class GuardTable(BaseModel):
    """Where a run stops: options of the observer ``error-bar``."""

    model_config = ConfigDict(extra="forbid")

    bound: float = Field(gt=0, description="largest error bar allowed [energy/moment; relative: 1]")
    every: int = Field(10, ge=1, description="steps between looks at the error bars")
    coverage: float = Field(0.9, gt=0, lt=1, description="part of the true errors that the bars should cover")
    statistic: Literal["largest", "rms"] = Field("largest", description="which bar counts: the largest, or their rms")
    relative: bool = Field(False, description="bound in units of the rms tangent field of the configuration")
    margin: float = Field(0.02, ge=0, lt=1, description="part by which distances may be below the shortest trained")


class LoopInput(BaseModel):
    """An input file of ``spinase learn``; files are relative to it."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field("", description="shown in the log")
    seed: int = Field(0, ge=0, description="seed of the runs; the recipe and the label input have their own")
    labels: str = Field(description="labels to start from: a label file (.h5), or the input that makes it (.toml)")
    recipe: str = Field(description="recipe of spinase train; its own `labels` are not used")
    run: str = Field(description="input of spinase run: starting configurations and drivers; its calculator is not used")
    teacher: dict[str, Any] = Field(description="style = a calculator, and its options: it labels")
    guard: GuardTable
    runs: int = Field(8, ge=1, description="runs in a round, from different random numbers")
    per_run: int = Field(1, ge=1, description="labels from one run; it stops at this many looks above the bound")
    rounds: int = Field(5, ge=1, description="rounds of runs, labels and training at most")
    budget: int = Field(100, ge=1, description="labels added in all at most")
    selection: Literal["bar", "random"] = Field(
        "bar", description="label where the bar is too large, or (to compare with) anywhere along runs that do not stop"
    )
    warm_start: bool = Field(True, description="begin a training with the weights of the last one")
    retrain: dict[str, Any] = Field({}, description="entries of the recipe that differ after the first training")
    check: str | None = Field(None, description="labels (.h5, or .toml) to test every model on, never trained on")
    forces: bool = Field(False, description="label forces on atoms, too")


_INPUTS = ("labels", "recipe", "run", "check")


@dataclass(frozen=True)
class Loop:
    """A checked input: what it says, where its files are, where everything goes."""

    config: LoopInput
    text: str
    home: Path
    folder: Path

    def round_folder(self, number: int) -> Path:
        """Folder of a round."""
        return self.folder / f"round_{number:02d}"

    def recipe(self, number: int) -> tuple[Recipe, str]:
        """Recipe of a round's training, and the text that reproduces it."""
        changes = {**(self.config.retrain if number else {}), "labels": "labels.h5"}
        return read_recipe(self.home / self.config.recipe, tuple(f"{k}={as_toml(v)}" for k, v in changes.items()))

    def run_overrides(self, number: int, run: int, model: Path) -> tuple[str, ...]:
        """What a run of a round replaces in the run input: random numbers, calculator, observers.

        Parameters
        ----------
        number, run : int
            Round, and number of the run in it.
        model : Path
            Model file that drives the run.
        """
        guard = self.config.guard.model_dump()
        options = {"style": "error-bar", **guard, "patience": self.config.per_run}
        if self.config.selection == "random":
            del options["bound"]
        seed = int(np.random.SeedSequence([self.config.seed, number, run]).generate_state(1)[0])
        return (
            f"seed={seed}",
            f"calculator={as_toml({'style': 'hipnn', 'model': str(model)})}",
            f"observer={as_toml([options])}",
            f"output.every={guard['every']}",
        )


def read_loop(path: Path, overrides: tuple[str, ...], folder: Path) -> Loop:
    """Read an input of ``spinase learn`` and check it with the files it names, before anything is computed.

    Parameters
    ----------
    path : Path
        TOML input.
    overrides : tuple of str
        Entries ``key=value`` that replace those of the file.
    folder : Path
        Directory of the learning.

    Raises
    ------
    InputError, StyleError
    """
    table, text = read_table(path, overrides)
    config: LoopInput = validated(LoopInput, table, str(path))
    loop = Loop(config, text, path.resolve().parent, folder)
    fewest = min(loop.recipe(number)[0].ensemble for number in (0, 1))
    if fewest < 2:
        raise InputError(
            f"{config.recipe} ensemble: {fewest} network has the same error bar everywhere, so it cannot tell where "
            "to label; ask for 2 or more (4 is usual)"
        )
    source = loop.home / config.run
    run, _ = read_input(source, (f"calculator={as_toml(config.teacher)}", "observer=[]"))
    own = next((k for k, stage in enumerate(run.stage) if "calculator" in stage), None)
    if own is not None:
        raise InputError(f"{source} [[stage]] {own} calculator: all stages of a learning run use the model; take it out")
    check_stages(build_setup(run, source.parent))
    return loop


def check_labels(loop: Loop, realizations: int, attributes: dict[str, str]) -> None:
    """Check that the start labels are of the loop's teacher, and enough for its error bars.

    Parameters
    ----------
    loop : Loop
        The learning.
    realizations : int
        Realizations of the start labels.
    attributes : dict
        What the label file says of itself.

    Raises
    ------
    InputError
    """
    teacher = attributes.get("teacher")
    if teacher is not None and json.loads(teacher) != loop.config.teacher:
        raise InputError(
            f"the labels {loop.config.labels} were made by another teacher than that of the input: {teacher} against "
            f"{json.dumps(loop.config.teacher, sort_keys=True)}; labels of two teachers cannot be mixed"
        )
    held = len(split(np.arange(realizations), loop.recipe(0)[0])["test"])
    needed = needed_realizations(loop.config.guard.coverage)
    if held < needed:
        raise InputError(
            f"error bars of coverage {loop.config.guard.coverage} need {needed} test realizations, the recipe holds back "
            f"{held} of {realizations}: make more labels, raise `test` in the recipe, or lower the coverage in [guard]"
        )


def prepare_folder(loop: Loop, restart: bool, names: Sequence[str]) -> None:
    """Make the run directory with copies of all inputs; one of other inputs, or other files they name, is refused.

    One in which nothing was finished yet is not: a mistake does not stand in the way of its correction.  Files called like
    ours (`names` are those that come later) in a folder that is of no learning are refused, too.

    Parameters
    ----------
    loop : Loop
        The learning, with its directory.
    restart : bool
        Whether to go on with what is there.
    names : sequence of str
        Files of the directory that come later.

    Raises
    ------
    InputError
    """
    texts = {"loop.toml": loop.text, "files.txt": named_files(loop.config.model_dump(exclude=set(_INPUTS)), loop.home)}
    for name in _INPUTS:
        given = getattr(loop.config, name)
        if given is not None and given.endswith(".toml"):
            table, texts[f"{name}.toml"] = read_table(loop.home / given)
            texts["files.txt"] += named_files({**table, "labels": None}, (loop.home / given).parent)
        elif given is not None:
            texts["files.txt"] += named_files(given, loop.home)
    refuse_foreign_folder(loop.folder, "learning", (*texts, *names, "round_*"))
    begun = any(loop.folder.glob("*_labels.h5")) or any(loop.folder.glob("round_*/*"))
    if begun and (loop.folder / "loop.toml").exists() and not restart:
        raise InputError(f"{loop.folder} already holds a learning: use --restart to go on, or another --output")
    loop.folder.mkdir(parents=True, exist_ok=True)
    write_mark(loop.folder, kind="learning")
    for name, text in texts.items():
        kept = loop.folder / name
        if begun and kept.exists() and kept.read_text(encoding="utf-8") != text:
            raise InputError(f"{loop.folder} was started with other inputs ({kept}): restart with those, or learn elsewhere")
        write_text(kept, text)


__all__ = ["GuardTable", "Loop", "LoopInput", "as_toml", "check_labels", "prepare_folder", "read_loop"]
