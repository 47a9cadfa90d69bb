"""Labelling: configurations of many realizations of a magnet with what a calculator says of them, for training.

A realization is one draw of the sites (disordered magnets) and of the spins.  Realizations are independent tasks with
random numbers of their own, so any number of workers gives the same labels.  Each is kept in a file of its own as soon as it
is done; a killed labelling goes on with those that are missing.  With a selection, all realizations make their
configurations first, some are chosen among all of them, and those alone are labelled.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from threadpoolctl import threadpool_limits

from spinase.atoms import SpinAtoms, geometry_of, get_moments, set_moments
from spinase.contract import energy_of, is_conservative
from spinase.dynamics.llg import LLGDynamics
from spinase.errors import InputError
from spinase.files import held, read_mark, text_digest, write_mark, write_text
from spinase.io.labels import Labels, is_label_file, load_part, save_part, write_labels
from spinase.run.build import build_atoms, build_calculator, names_a_script
from spinase.run.config import AtomsTable, named_files, read_table
from spinase.run.provenance import code_identity, versions
from spinase.run.selection import (
    Candidates,
    Measure,
    Selection,
    SelectTable,
    file_marks,
    select,
    selection_attributes,
    with_configuration,
)
from spinase.run.stopping import StopRequest, stop_signals
from spinase.run.workers import Job, Workers
from spinase.spin_algebra import random_spins
from spinase.styles import load_style, make_importable, options_of, validated

Progress = Callable[[int, int, str], None]


class QuenchTable(BaseModel):
    """Configurations along damped (or thermal) spin dynamics from random spins, at the asked times."""

    model_config = ConfigDict(extra="forbid")

    timestep: float = Field(gt=0, description="time step [time]")
    times: list[float] = Field(min_length=1, description="times after which the spins are labelled, ascending [time]")
    damping: float = Field(0.1, ge=0, description="Gilbert damping")
    kT: float = Field(0.0, ge=0, description="temperature of the spin bath [energy]")  # noqa: N815
    integrator: str = Field("sib", description="integrator")
    driver: dict[str, Any] | None = Field(
        None, description="style = a calculator, and its options, that moves the spins; without: the teacher"
    )

    @model_validator(mode="after")
    def _ascending(self) -> QuenchTable:
        if any(b <= a for a, b in zip([0.0, *self.times[:-1]], self.times, strict=True)):
            raise ValueError(f"times must be positive and ascending, got {self.times}")
        return self


class ThermalTable(BaseModel):
    """Configurations of thermal spin dynamics from random spins, cooled (or heated) step by step."""

    model_config = ConfigDict(extra="forbid")

    kT: list[float] = Field(min_length=1, description="temperatures of the spin bath, in this order [energy]")  # noqa: N815
    count: int = Field(1, ge=1, description="configurations at each temperature")
    time: float = Field(gt=0, description="time before each configuration [time]")
    timestep: float = Field(gt=0, description="time step [time]")
    damping: float = Field(0.5, gt=0, description="Gilbert damping")
    integrator: str = Field("sib", description="integrator")
    driver: dict[str, Any] | None = Field(
        None, description="style = a calculator, and its options, that moves the spins; without: the teacher"
    )

    @model_validator(mode="after")
    def _not_negative(self) -> ThermalTable:
        if min(self.kT) < 0.0:
            raise ValueError(f"temperatures must not be negative, got {self.kT}")
        if self.time < self.timestep:
            raise ValueError(f"time = {self.time} is shorter than a time step of {self.timestep}")
        return self


class TextureTable(BaseModel):
    """Configurations of a texture with random deviations."""

    model_config = ConfigDict(extra="forbid")

    style: str = Field(description="an initializer")
    noise: float = Field(0.1, ge=0, description="size of random deviations of the spins")
    options: dict[str, Any] = Field({}, description="options of the initializer")


class LabelInput(BaseModel):
    """An input file of ``spinase label``."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field("", description="shown in model cards")
    seed: int = Field(0, ge=0, description="seed of all random numbers")
    units: Literal["reduced", "metal"] = Field("reduced", description="unit system of every number in the file")
    realizations: int = Field(ge=1, description="number of realizations")
    atoms: AtomsTable
    calculator: dict[str, Any] = Field(description="style = a calculator, and its options: the teacher")
    random: int = Field(0, ge=0, description="configurations with random spins in each realization")
    quench: QuenchTable | None = Field(None, description="configurations along a quench in each realization")
    thermal: ThermalTable | None = Field(None, description="thermal configurations in each realization")
    texture: list[TextureTable] = Field([], description="one configuration of each texture in each realization")
    displacement: float = Field(0.0, ge=0, description="size of random displacements of the sites, for each label [length]")
    forces: bool = Field(False, description="label forces on atoms, too")
    fillings: tuple[float, float] | None = Field(
        None, description="draw the teacher's filling anew for every label, from this range, for networks with electrons"
    )
    select: SelectTable | None = Field(None, description="which of the configurations are labelled; default: all")

    @model_validator(mode="after")
    def _something(self) -> LabelInput:
        if not (self.random or self.quench or self.thermal or self.texture):
            raise ValueError("nothing to label: ask for random, quench, thermal or texture configurations")
        if self.fillings is not None:
            if not 0.0 <= self.fillings[0] < self.fillings[1] <= 1.0:
                raise ValueError(f"fillings must be a range between 0 and 1, got {list(self.fillings)}")
            if "filling" not in self.calculator:
                raise ValueError("fillings are drawn for a teacher with a filling: give [calculator] its usual one")
        return self


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
    executor: Executor | None = None,
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
    executor : concurrent.futures.Executor, optional
        Anything that runs tasks (mpi4py, dask, ...), instead of processes of this machine.
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
    config: LabelInput = validated(LabelInput, table, str(path))
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


def label_realization(
    target: Path, config: LabelInput, folder: Path, number: int, source: Path | None = None, chosen: Sequence[int] = ()
) -> None:
    """Label one realization (or those of its candidates in `source` that were chosen) and write its part to `target`.

    A task of its own, in any process.
    """
    with threadpool_limits(1):
        if source is None:
            save_part(target, make_labels(config, folder, number))
        else:
            save_part(target, label_chosen(config, folder, number, Candidates.load(source), chosen))


def explore_realization(target: Path, config: LabelInput, folder: Path, number: int) -> None:
    """Make the configurations of one realization and what a selection compares; a task of its own."""
    with threadpool_limits(1):
        make_candidates(config, folder, number).save(target)


def make_labels(config: LabelInput, folder: Path, number: int) -> Labels:
    """Configurations of one realization with their labels; relative files are looked for in `folder`."""
    atoms, kinds = _magnet(config, folder, number)
    collected, asked = _Collection(config.forces), _Questions(config, number)
    for kind in kinds:
        collected.add(kind, asked.about(atoms))
    return collected.labels(atoms)


def make_candidates(config: LabelInput, folder: Path, number: int) -> Candidates:
    """Configurations of one realization without labels, with the measure of ``config.select``.

    Raises
    ------
    InputError
        If the input has no selection, or its model does not fit.
    """
    if config.select is None:
        raise InputError("there is no [select] in this input: nothing to choose")
    measure = Measure(config.select, folder)
    atoms, kinds = _magnet(config, folder, number)
    rows = [(kind, atoms.positions.copy(), get_moments(atoms), measure.of(atoms)) for kind in kinds]
    words, positions, moments, measures = zip(*rows, strict=True)
    return Candidates(np.array(positions), np.array(moments), list(words), np.array(measures))


def label_chosen(config: LabelInput, folder: Path, number: int, candidates: Candidates, chosen: Sequence[int]) -> Labels:
    """Labels of the chosen candidates of one realization."""
    atoms, _ = _magnet(config, folder, number)
    collected, asked = _Collection(config.forces), _Questions(config, number)
    for index in chosen:
        with_configuration(atoms, candidates, index)
        collected.add(candidates.kinds[index], asked.about(atoms))
    return collected.labels(atoms)


def _magnet(config: LabelInput, folder: Path, number: int) -> tuple[SpinAtoms, Iterator[str]]:
    """Atoms of one realization with the teacher, and an iterator that puts one configuration after the other on them."""
    sites, spins, shaking, _ = _streams(config, number)
    if names_a_script(config.model_dump()):
        make_importable(folder)
    atoms = build_atoms(config.atoms, config.units, folder, sites)
    atoms.calc = build_calculator(config.calculator, "[calculator]")
    return atoms, _displaced(config, atoms, spins, shaking)


def _streams(config: LabelInput, number: int) -> list[np.random.Generator]:
    """Random numbers of one realization: of its sites, its spins, their displacements and their teacher."""
    streams = np.random.SeedSequence(config.seed).spawn(config.realizations)[number].spawn(4)
    return [np.random.default_rng(stream) for stream in streams]


class _Questions:
    """Configurations of one realization with the teacher that is asked about them: fillings may differ."""

    def __init__(self, config: LabelInput, number: int) -> None:
        self._config, self._rng = config, _streams(config, number)[3]

    def about(self, atoms: SpinAtoms) -> SpinAtoms:
        """The atoms with their teacher, or a copy with one at a filling of its own."""
        if self._config.fillings is None:
            return atoms
        asked = atoms.copy()
        table = {**self._config.calculator, "filling": self._rng.uniform(*self._config.fillings)}
        asked.calc = build_calculator(table, "[calculator]")
        return asked


def _displaced(
    config: LabelInput, atoms: SpinAtoms, spins: np.random.Generator, shaking: np.random.Generator
) -> Iterator[str]:
    home = atoms.positions.copy()
    for kind in _configurations(config, atoms, spins):
        if config.displacement:
            atoms.positions = home + config.displacement * shaking.normal(size=home.shape)
        yield kind
        atoms.positions = home


def _configurations(config: LabelInput, atoms: SpinAtoms, rng: np.random.Generator) -> Iterator[str]:
    """Put one configuration after the other on the atoms; yields how it was made."""
    lengths = np.linalg.norm(get_moments(atoms), axis=1)[:, None]
    for _ in range(config.random):
        set_moments(atoms, lengths * random_spins(len(atoms), rng))
        yield "random"
    for texture in config.texture:
        initializer = load_style("initializers", texture.style)
        checked = options_of(initializer, texture.options, f"[[texture]] {texture.style} options")
        given = {name: getattr(checked, name) for name in checked.model_fields_set}
        spins = initializer(geometry_of(atoms), rng, **given)
        noisy = spins + texture.noise * rng.normal(size=spins.shape)
        set_moments(atoms, lengths * noisy / np.linalg.norm(noisy, axis=1)[:, None])
        yield texture.style
    if config.quench is not None:
        set_moments(atoms, lengths * random_spins(len(atoms), rng))
        yield from _quench(config.quench, atoms, rng)
    if config.thermal is not None:
        set_moments(atoms, lengths * random_spins(len(atoms), rng))
        yield from _thermal(config.thermal, atoms, rng)


def _quench(quench: QuenchTable, atoms: SpinAtoms, rng: np.random.Generator) -> Iterator[str]:
    """The spins are moved by the driver, and labelled by the teacher."""
    walker = _walker(atoms, quench.driver, "[quench] driver")
    dynamics = LLGDynamics(
        walker, quench.timestep, damping=quench.damping, kT=quench.kT, integrator=quench.integrator, rng=rng, probe=False
    )
    for time in quench.times:
        dynamics.run(round(time / quench.timestep) - dynamics.nsteps)
        set_moments(atoms, get_moments(walker))
        yield "quench"


def _thermal(thermal: ThermalTable, atoms: SpinAtoms, rng: np.random.Generator) -> Iterator[str]:
    walker, steps = _walker(atoms, thermal.driver, "[thermal] driver"), round(thermal.time / thermal.timestep)
    for temperature in thermal.kT:
        dynamics = LLGDynamics(
            walker,
            thermal.timestep,
            damping=thermal.damping,
            kT=temperature,
            integrator=thermal.integrator,
            rng=rng,
            probe=False,
        )
        for _ in range(thermal.count):
            dynamics.run(steps)
            set_moments(atoms, get_moments(walker))
            yield "thermal"


def _walker(atoms: SpinAtoms, table: dict[str, Any] | None, where: str) -> SpinAtoms:
    """What the dynamics moves: the atoms themselves, or a copy with a calculator of its own."""
    if table is None:
        return atoms
    walker = atoms.copy()
    walker.calc = build_calculator(table, where)
    return walker


class _Collection:
    """Labels of one realization as they come."""

    def __init__(self, forces: bool) -> None:
        self.forces = forces
        self.rows: list[dict[str, Any]] = []
        self.kinds: list[str] = []

    def add(self, kind: str, atoms: SpinAtoms) -> None:
        """Ask the calculator about the atoms as they are."""
        calc = atoms.calc
        energy = energy_of(atoms) if is_conservative(calc) else None
        row = {
            "positions": atoms.positions.copy(),
            "cells": atoms.cell.array.copy(),
            "moments": get_moments(atoms),
            "energies": np.nan if energy is None else energy,
            "magnetic_forces": np.array(calc.get_property("magnetic_forces", atoms)),
        }
        if self.forces:
            row["forces"] = np.array(calc.get_property("forces", atoms))
        if {"chemical_potential", "electron_density"} <= set(getattr(calc, "implemented_properties", ())):
            row["potentials"] = calc.get_property("chemical_potential", atoms)
            row["electrons"] = np.sum(calc.get_property("electron_density", atoms))
        self.rows.append(row)
        self.kinds.append(kind)

    def labels(self, atoms: SpinAtoms) -> Labels:
        """All of them."""
        stacked = {name: np.array([row[name] for row in self.rows]) for name in self.rows[0]}
        forces = stacked.pop("forces", None)
        return Labels(
            numbers=atoms.numbers.astype(np.int64),
            pbc=atoms.pbc.copy(),
            forces=forces,
            kinds=self.kinds,
            units=atoms.units,
            **stacked,
        )


def label_configurations(configurations: Iterable[tuple[str, SpinAtoms]], calculator: Any, forces: bool = False) -> Labels:
    """Labels of configurations of one magnet (kind, atoms), as `calculator` says; with forces on atoms if asked for.

    Raises
    ------
    InputError
        If there are none.
    """
    collected, atoms = _Collection(forces), None
    for kind, atoms in configurations:
        atoms.calc = calculator
        collected.add(kind, atoms)
    if atoms is None:
        raise InputError("there are no configurations to label")
    return collected.labels(atoms)


def parts_folder(target: Path) -> Path:
    """Where finished realizations lie until all are."""
    return target.with_name(f"{target.stem}_parts")


def _refuse_foreign(target: Path, folder: Path) -> None:
    """What is not of a labelling is neither replaced nor removed."""
    if target.is_dir() or (target.exists() and not is_label_file(target)):
        raise InputError(f"{target} is there and is no label file of spinase: name another file with --output")
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


__all__ = [
    "LabelInput",
    "LabelOptions",
    "label_chosen",
    "label_configurations",
    "label_file",
    "make_candidates",
    "make_labels",
]
