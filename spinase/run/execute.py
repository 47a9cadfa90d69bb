"""Running an input file: stages in order, checkpoints on the way, restarts."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spinase.atoms import get_moments, set_moments
from spinase.contract import Driver, restart_state
from spinase.errors import CheckpointError, ConvergenceError, InputError, OutOfDomainError, UnstableDynamicsError
from spinase.run.build import Setup, build_setup
from spinase.run.config import named_files, read_input
from spinase.run.output import RUN_FILE, FolderOutput, FollowerOutput, Moment, Progress, RunOutput
from spinase.stopping import RunStopped, StopRequest, stop_signals
from spinase.team import ALONE, Team, ending_together, in_step

_LOG = logging.getLogger(__name__)
_PATIENCE = 0.3  # seconds between progress reports and looks at the stop flag


@dataclass(frozen=True)
class RunOptions:
    """How to run: where to write, whether to go on with or replace what is there, where to stop.

    Attributes
    ----------
    output : Path or None
        Directory of the run; default: the input's ``output.directory``, or ``<input stem>_run`` in the current directory.
    restart : bool
        Go on from the checkpoint in the directory.  The input and the overrides must be those of the start, but for more
        steps of the last stage: a finished run is made longer so.
    overwrite : bool
        Replace a run in the directory.
    stop_after : int or None
        Stop, with a checkpoint, after this many steps in all; a stage whose driver is not divisible (LAMMPS) stops where
        something is written next.
    """

    output: Path | None = None
    restart: bool = False
    overwrite: bool = False
    stop_after: int | None = None


def run_file(
    path: str | Path,
    overrides: Sequence[str] = (),
    options: RunOptions | None = None,
    progress: Progress | None = None,
) -> Path | None:
    """Run an input file; returns the run's HDF5 file, and None on processes that do not write it.

    The directory gets ``run.h5`` (trajectory, observables, provenance), ``log.txt``, ``checkpoint.npz`` and a copy of
    the input.  A run that is cut by a checkpoint, a signal or a kill and restarted gives the same bytes in every
    dataset and in the log as an uncut one, on one kind of processor with one number of threads (others round differently).
    A restart needs the same input and overrides: anything else would be another run (``stop_after`` is how to run an input
    in pieces).  The last stage may get more steps; what was written at its former end stays.

    Stages whose drivers are divided among processes are run by all of them (``mpiexec -n 4 spinase run ...``): each reads
    the input, the first writes.

    Parameters
    ----------
    path : path
        TOML input file.
    overrides : sequence of str
        ``key=value`` replacements.
    options : RunOptions, optional
        Where and how.
    progress : callable, optional
        Called with (steps done, steps in all, name of the stage).

    Raises
    ------
    InputError, StyleError, CheckpointError
        On a bad input file or restart.
    OutOfDomainError
        If an observer stopped it (error bars of a learned magnet); the run file holds everything up to there.
    RunStopped
        If it stopped before the end, with a usable checkpoint.
    ToldElsewhere
        On all processes but the first, if the run ended by any of these.
    """
    options = options or RunOptions()
    config, text = read_input(path, overrides)
    setup = build_setup(config, Path(path).resolve().parent)
    folder = options.output or Path.cwd() / (config.output.directory or f"{Path(path).stem}_run")
    files = named_files(config.model_dump(exclude={"atoms"}), Path(path).resolve().parent)  # atoms are compared as such
    drivers = check_stages(setup)
    team = team_of(setup, drivers)
    with ending_together(team), ExitStack() as stack:
        with in_step(team):
            output = (
                FolderOutput(setup, drivers, folder, text, files, progress)
                if team.rank == 0
                else FollowerOutput(setup, folder)
            )
            checkpoint = stack.enter_context(output.taken(options.restart, options.overwrite))
        Runner(setup, output, options.stop_after, team).run(team.share(checkpoint))
    return folder / RUN_FILE if team.rank == 0 else None


def team_of(setup: Setup, drivers: Sequence[Driver]) -> Team:
    """The processes that make a run together.

    Parameters
    ----------
    setup : Setup
        What runs.
    drivers : sequence of Driver
        One of each stage.

    Raises
    ------
    InputError
        If some stages are divided among processes and others are not.
    """
    team = max((driver.team for driver in drivers), key=lambda one: one.size, default=ALONE)
    for stage, driver in zip(setup.stages, drivers, strict=True):
        if driver.team.size != team.size:
            raise InputError(
                f"{stage.name} runs on {driver.team.size} process and other stages on {team.size}: start it without "
                "mpiexec, or give it a driver that is divided among processes, too"
            )
    return team


class Runner:
    """The loop of a run over its stages.

    Parameters
    ----------
    setup : Setup
        What runs; its atoms are moved.
    output : RunOutput
        Where it is written: a folder, or nowhere (:class:`~spinase.run.output.SilentOutput`).
    stop_after : int, optional
        Stop, with a checkpoint, after this many steps in all.
    team : Team
        The processes that run this together; only the first of them has an output that writes.

    Attributes
    ----------
    step, time : int, float
        Of the whole run.
    """

    def __init__(self, setup: Setup, output: RunOutput, stop_after: int | None = None, team: Team = ALONE) -> None:
        self.setup, self.output, self.team = setup, output, team
        self.atoms = setup.atoms
        self.limit = setup.steps if stop_after is None else min(stop_after, setup.steps)
        self.step, self.time = 0, 0.0
        self._started = 0.0  # time at which the present stage began
        self._stop = StopRequest()
        self._clock, self._last_advance = time.monotonic(), 1
        self._initial_positions = self.atoms.positions.copy()

    def run(self, checkpoint: Mapping[str, Any] | None = None) -> None:
        """Run all stages, from the start or from a checkpoint.

        Raises
        ------
        RunStopped
            If it stopped before the end, by a signal or at `stop_after`, with a checkpoint.
        UnstableDynamicsError, ConvergenceError, OutOfDomainError
            If it cannot go on; it tells up to where the run is good.
        """
        stages = self.setup.stages
        first, done = (0, 0) if checkpoint is None else self._restore_atoms(checkpoint)
        begun = "begins" if checkpoint is None else f"goes on from step {self.step}"
        _LOG.info("run in %s %s: %d sites, %d steps", self.output.place, begun, len(self.atoms), self.setup.steps)
        self.atoms.calc = stages[first].calculator
        for number, state in (checkpoint or {}).get("calculators", {}).items():
            stages[int(number)].calculator.restore_state(state)
        with self.output.opened(checkpoint), stop_signals() as self._stop:
            for number in range(first, len(stages)):
                state = None if checkpoint is None or number != first else checkpoint["driver"]
                self._run_stage(number, done if number == first else 0, state, fresh=checkpoint is None and number == 0)

    def _run_stage(self, number: int, done: int, state: dict[str, Any] | None, fresh: bool) -> None:
        stage = self.setup.stages[number]
        self.atoms.calc = stage.calculator
        # A restart here has no results cached; without this a calculator with a random state would be asked more often.
        stage.calculator.reset()
        driver = stage.driver.from_config(stage.options, self.atoms, self.setup.generators[number])
        if state is not None:
            driver.restore_state(state)
        origin, end = self.step - done, self.step - done + stage.steps
        last = number == len(self.setup.stages) - 1
        _LOG.info("%s: steps %d to %d of %r", stage.name, self.step, end, driver)
        self._started = self.time if state is None else self._started
        if fresh:
            self._record(number, driver, last and stage.steps == 0)
            self._save(number, 0, driver)
        while self.step < end and not driver.finished:
            self._check_stop(number, self.step - origin, driver)
            self._drive(driver, self._advance(end, driver.divisible))
            self.step, self.time = origin + driver.get_number_of_steps(), self._started + driver.get_time()
            self._record(number, driver, driver.finished or (last and self.step == end))
            if self.step % self.setup.config.output.checkpoint_every == 0:
                self._save(number, self.step - origin, driver)
            self.output.progress(self.step, self.setup.steps, stage.name)
        self._conclude(number, self.step - origin, driver, last)

    def _record(self, number: int, driver: Driver, last: bool) -> None:
        with in_step(self.team):
            self.output.record(self.atoms, Moment(self.step, self.time, number, last), driver)

    def _conclude(self, number: int, done: int, driver: Driver, last: bool) -> None:
        """End a stage; one that should have arrived somewhere and has not stops the run, with everything written."""
        try:
            driver.conclude()
        except ConvergenceError as error:
            self._save(number, done, driver)
            name, place = self.setup.stages[number].name, self.output.place
            failed = ConvergenceError(f"{name}: {error}. The run in {place} is written up to step {self.step}")
            failed.stopped = True
            raise failed from error
        _LOG.info("%s ends at step %d", self.setup.stages[number].name, self.step)
        if last:
            self._save(number, done, driver)

    def _drive(self, driver: Driver, steps: int) -> None:
        try:
            driver.run(steps)
        except (UnstableDynamicsError, ConvergenceError, OutOfDomainError) as error:
            failed = type(error)(
                f"{error}. The run in {self.output.place} is good up to step {self.step}, its checkpoint is of step "
                f"{self.output.saved_step()}"
            )
            failed.stopped = True
            raise failed from error

    def _advance(self, end: int, divisible: bool) -> int:
        """Steps until something is due (or patience ends); how a run is divided does not change its results."""
        due = min([end, *(self.step + n - self.step % n for n in self.output.periods)])
        if not divisible:
            return due - self.step
        due = min(due, max(self.limit, self.step + 1))
        now = time.monotonic()
        taken = max(now - self._clock, 1e-6)
        steps = min(due - self.step, max(1, int(self._last_advance * _PATIENCE / taken)))
        self._clock, self._last_advance = now, self.team.share(steps)
        return self._last_advance

    def _check_stop(self, number: int, done: int, driver: Driver) -> None:
        asked = (signal for signal in self.team.gather(self._stop.received) if signal is not None)
        self._stop.received = next(asked, None)
        if self._stop.received is None and self.step < self.limit:
            return
        self._save(number, done, driver)
        raise RunStopped(
            f"stopped{self._stop.told()} after {self.step} steps of {self.setup.steps} steps; go on with --restart "
            f"(checkpoint in {self.output.place})"
        )

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def _save(self, number: int, done: int, driver: Driver) -> None:
        calculators = [stage.calculator for stage in self.setup.stages]
        _LOG.debug("checkpoint at step %d", self.step)
        states = {str(k): state for k, calc in enumerate(calculators) if (state := restart_state(calc))}
        with in_step(self.team):
            self.output.save(
                {
                    "stage": number,
                    "done": done,
                    "step": self.step,
                    "time": self.time,
                    "stage_started": self._started,
                    "positions": self.atoms.positions.copy(),
                    "momenta": self.atoms.get_momenta(),
                    "cell": self.atoms.cell.array.copy(),
                    "pbc": self.atoms.pbc.copy(),
                    "numbers": self.atoms.numbers.copy(),
                    "initial_positions": self._initial_positions,
                    "moments": get_moments(self.atoms),
                    "driver": driver.checkpoint_state(),
                    "calculators": states,
                }
            )

    def _restore_atoms(self, checkpoint: Mapping[str, Any]) -> tuple[int, int]:
        self._check_same_magnet(checkpoint)
        self.atoms.set_cell(checkpoint["cell"], scale_atoms=False)
        self.atoms.positions[:] = checkpoint["positions"]
        self.atoms.set_momenta(checkpoint["momenta"])
        set_moments(self.atoms, checkpoint["moments"])
        self.step, self.time = int(checkpoint["step"]), float(checkpoint["time"])
        self._started = float(checkpoint["stage_started"])
        return int(checkpoint["stage"]), int(checkpoint["done"])

    def _check_same_magnet(self, checkpoint: Mapping[str, Any]) -> None:
        """The input text is the same, but a file of atoms that it names may have changed."""
        same = (
            np.array_equal(checkpoint["numbers"], self.atoms.numbers)
            and np.array_equal(checkpoint["pbc"], self.atoms.pbc)
            and np.allclose(checkpoint["initial_positions"], self._initial_positions, rtol=1e-9, atol=1e-9)
        )
        if not same:
            raise CheckpointError(
                f"the atoms of the input are not those {self.output.place} was started with ({len(self.atoms)} sites, the "
                f"checkpoint has {len(checkpoint['numbers'])}): has [atoms] file changed?"
            )


def check_stages(setup: Setup) -> list[Driver]:
    """Build the driver of every stage once, so that a mistake in the last one is not found after hours.

    The atoms are left as they are, with the calculator of the first stage, and with reference lengths if a stage has free
    lengths.  Returns the drivers.
    """
    drivers, atoms, before = [], setup.atoms, setup.atoms.copy()
    for stage in reversed(setup.stages):
        atoms.calc = stage.calculator
        drivers.append(stage.driver.from_config(stage.options, atoms, np.random.default_rng(0)))
        atoms.set_cell(before.cell.array, scale_atoms=False)
        atoms.positions[:] = before.positions
        set_moments(atoms, get_moments(before))
        if not np.array_equal(atoms.get_momenta(), before.get_momenta()):  # those of a later stage, with `initial_kT`
            atoms.set_momenta(before.get_momenta(), apply_constraint=False)
    return drivers[::-1]


def describe_step(driver: Driver, calculator: Any) -> list[str]:
    """What a step of `driver` works with at the start, in fs, kelvin and tesla where units allow, and what looks wrong."""
    driver.atoms.calc = calculator
    line, problems = driver.describe_step()
    return [*([line] if line else []), *(f"warning: {problem}" for problem in problems)]
