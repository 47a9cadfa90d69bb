"""Running an input file: stages in order, streams to disk, checkpoints, restart."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spinase.atoms import get_moments, get_spins, set_moments
from spinase.contract import Driver, field_function
from spinase.dynamics.checkpoint import load_checkpoint, save_checkpoint
from spinase.errors import (
    CheckpointError,
    ConvergenceError,
    InputError,
    OutOfDomainError,
    UnstableDynamicsError,
)
from spinase.files import held, read_mark, refuse_foreign_folder, temporary_beside, text_digest, write_mark, write_text
from spinase.io.layout import RunWriter, copy_frames
from spinase.measures import free_energy, magnetization, torques_of_sites
from spinase.observers.error_bars import WHAT_TO_DO
from spinase.run.build import Setup, StageInput, build_setup
from spinase.run.config import named_files, read_input
from spinase.run.log import RunLog
from spinase.run.provenance import provenance
from spinase.run.streams import FRAMES, RunStreams
from spinase.stopping import RunStopped, StopRequest, stop_signals

RUN_FILE, LOG_FILE, CHECKPOINT_FILE, INPUT_FILE = "run.h5", "log.txt", "checkpoint.npz", "input.toml"
_PATIENCE = 0.3  # seconds between progress reports and looks at the stop flag

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class RunOptions:
    """How to run: where to write, whether to go on with or replace what is there, where to stop.

    Attributes
    ----------
    output : Path or None
        Directory of the run; default: the input's ``output.directory``, or ``<input stem>_run`` in the current directory.
    restart : bool
        Go on from the checkpoint in the directory.  The input and the overrides must be those of the start.
    overwrite : bool
        Replace a run in the directory.
    stop_after : int or None
        Stop, with a checkpoint, after this many steps in all.
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
) -> Path:
    """Run an input file; returns the run's HDF5 file.

    The directory gets ``run.h5`` (trajectory, observables, provenance), ``log.txt``, ``checkpoint.npz`` and a copy of
    the input.  A run that is cut by a checkpoint, a signal or a kill and restarted gives the same bytes in every
    dataset and in the log as an uncut one, on one kind of processor with one number of threads (others round differently).
    A restart needs the same input text and overrides: anything else would be another run (``stop_after`` is how to run an
    input in pieces).

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
    """
    options = options or RunOptions()
    config, text = read_input(path, overrides)
    setup = build_setup(config, Path(path).resolve().parent)
    folder = options.output or Path.cwd() / (config.output.directory or f"{Path(path).stem}_run")
    files = named_files(config.model_dump(exclude={"atoms"}), Path(path).resolve().parent)  # atoms are compared as such
    runner = Runner(setup, folder, text, options.stop_after, progress, files)
    if options.restart and not folder.is_dir():
        load_checkpoint(folder / CHECKPOINT_FILE)
    check_folder(folder)
    make_folder(folder)
    with held(folder, f"the run in {folder}"):
        runner.run(_prepare_folder(folder, text, options, files))
    return folder / RUN_FILE


def check_folder(folder: Path) -> None:
    """Refuse a folder in which files of somebody else have the names of a run's.

    Raises
    ------
    InputError
        Naming one of them.
    """
    refuse_foreign_folder(folder, "run", (RUN_FILE, LOG_FILE, CHECKPOINT_FILE, INPUT_FILE))


def make_folder(folder: Path) -> None:
    """Make the folder of a run.

    Raises
    ------
    InputError
        If that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to the directory {folder}: {error.strerror or error}") from None


def _prepare_folder(folder: Path, text: str, options: RunOptions, files: str) -> dict[str, Any] | None:
    """Make the directory ready; on a restart return the checkpoint in it."""
    if options.restart and not _killed_at_once(folder, text):
        checkpoint = load_checkpoint(folder / CHECKPOINT_FILE)
        if checkpoint.get("input") != text_digest(text):
            raise CheckpointError(
                f"the input differs from the one {folder} was started with ({folder / INPUT_FILE}): restart with that "
                "file and the same --set, or start a new run elsewhere with --output"
            )
        if checkpoint.get("run") != read_mark(folder).get("run"):
            raise CheckpointError(f"the checkpoint in {folder} is of another run than the folder")
        if checkpoint.get("files", files) != files:
            changed = sorted(line.split(" ")[1] for line in set(checkpoint["files"].splitlines()) ^ set(files.splitlines()))
            raise CheckpointError(
                f"files that the input names have changed since {folder} was started ({', '.join(dict.fromkeys(changed))}): "
                "restart with those of the start, or start a new run elsewhere with --output"
            )
        return checkpoint
    if (folder / RUN_FILE).exists() and not (options.overwrite or options.restart):
        raise InputError(f"{folder} already holds a run: use --restart to go on, --overwrite to replace it, or --output DIR")
    write_mark(folder, kind="run", run=secrets.token_hex(8))
    try:
        for name in (CHECKPOINT_FILE, RUN_FILE, LOG_FILE):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to the directory {folder}: {error.strerror or error}") from None
    write_text(folder / INPUT_FILE, text)
    return None


def _killed_at_once(folder: Path, text: str) -> bool:
    """Whether a run of this input was killed before its first checkpoint, so that a restart begins anew."""
    started = folder / INPUT_FILE
    return not (folder / CHECKPOINT_FILE).exists() and started.exists() and started.read_text(encoding="utf-8") == text


class Runner:
    """One run in a directory.  Building it finds the mistakes of the input, before anything is written or replaced."""

    def __init__(
        self,
        setup: Setup,
        folder: Path,
        text: str,
        stop_after: int | None = None,
        progress: Progress | None = None,
        files: str = "",
    ) -> None:
        self.setup, self.folder, self.text, self.progress, self.files = setup, folder, text, progress, files
        self.atoms = setup.atoms
        self.limit = setup.steps if stop_after is None else min(stop_after, setup.steps)
        self.step, self.time = 0, 0.0  # of the whole run
        self._started = 0.0  # time at which the present stage began
        self._stop = StopRequest()
        self._clock, self._last_advance = time.monotonic(), 1
        self._initial_positions = self.atoms.positions.copy()
        drivers = check_stages(setup)
        # Observers are prepared on the initial atoms, also on a restart: what they set up must not depend on the cut.
        self.streams = RunStreams(setup, drivers)

    # -- the run ------------------------------------------------------------------------------------------------------

    def run(self, checkpoint: dict[str, Any] | None) -> None:
        """Run all stages, from the start or from a checkpoint."""
        first, done = (0, 0) if checkpoint is None else self._restore_atoms(checkpoint)
        self.atoms.calc = self.setup.stages[first].calculator
        self._restore_calculator(checkpoint)
        with (
            self._open_writer(checkpoint) as self.writer,
            self._open_log(checkpoint) as self.log,
            stop_signals() as self._stop,
        ):
            for number in range(first, len(self.setup.stages)):
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
        self._started = self.time if state is None else self._started
        if fresh:
            self._record(number, driver, last and stage.steps == 0)
            self._save_checkpoint(number, 0, driver)
        while self.step < end and not driver.finished:
            self._check_stop(number, self.step - origin, driver)
            self._drive(driver, self._advance(end))
            self.step, self.time = origin + driver.get_number_of_steps(), self._started + driver.get_time()
            self._record(number, driver, driver.finished or (last and self.step == end))
            if self.step % self.setup.config.output.checkpoint_every == 0:
                self._save_checkpoint(number, self.step - origin, driver)
            if self.progress:
                self.progress(self.step, self.setup.steps, stage.name)
        self._conclude(number, self.step - origin, driver, last)

    def _conclude(self, number: int, done: int, driver: Driver, last: bool) -> None:
        """End a stage; one that should have arrived somewhere and has not stops the run, with everything written."""
        try:
            driver.conclude()
        except ConvergenceError as error:
            self._save_checkpoint(number, done, driver)
            failed = ConvergenceError(
                f"{self.setup.stages[number].name}: {error}. The run in {self.folder} is written up to step {self.step}"
            )
            failed.stopped = True
            raise failed from error
        if last:
            self._save_checkpoint(number, done, driver)

    def _drive(self, driver: Driver, steps: int) -> None:
        try:
            driver.run(steps)
        except (UnstableDynamicsError, ConvergenceError, OutOfDomainError) as error:
            good = load_checkpoint(self.folder / CHECKPOINT_FILE)["step"]
            failed = type(error)(
                f"{error}. The run in {self.folder} is good up to step {self.step}, its checkpoint is of step {good}"
            )
            failed.stopped = True
            raise failed from error

    def _advance(self, end: int) -> int:
        """Steps until something is due (or patience ends); how a run is divided does not change its results."""
        periods = [self.setup.config.output.checkpoint_every, *self.streams.periods]
        due = min([end, max(self.limit, self.step + 1), *(self.step + n - self.step % n for n in periods)])
        now = time.monotonic()
        taken = max(now - self._clock, 1e-6)
        steps = min(due - self.step, max(1, int(self._last_advance * _PATIENCE / taken)))
        self._clock, self._last_advance = now, steps
        return steps

    def _check_stop(self, number: int, done: int, driver: Driver) -> None:
        if self._stop.received is None and self.step < self.limit:
            return
        self._save_checkpoint(number, done, driver)
        raise RunStopped(
            f"stopped{self._stop.told()} after {self.step} steps of {self.setup.steps} steps; go on with --restart "
            f"(checkpoint in {self.folder})"
        )

    # -- output -------------------------------------------------------------------------------------------------------

    def _record(self, number: int, driver: Driver, last: bool) -> None:
        for stream, values in self.streams.collect(self.atoms, self.step, last, number, driver):
            self.writer.append(stream, self.step, self.time, values)
            if stream == FRAMES:
                self._write_log(driver)
        if self.streams.alarm is not None:
            self.writer.sync()
            alarm = OutOfDomainError(
                f"{self.streams.alarm}, at step {self.step}. {WHAT_TO_DO}. The run in {self.folder} is written up to here"
            )
            alarm.stopped = True
            raise alarm

    def _write_log(self, driver: Driver) -> None:
        applied = driver.applied_field()
        energy, sites = free_energy(self.atoms, applied), len(self.atoms)
        shown = "-" if energy is None else f"{energy / sites:.12f}"
        mean, rms = np.linalg.norm(magnetization(self.atoms)), torques_of_sites(self.atoms, applied).rms
        self.log.write(f"{self.step:10d} {self.time:16.8f} {shown:>20} {mean:14.10f} {rms:16.8e}\n")

    def _open_log(self, checkpoint: dict[str, Any] | None) -> RunLog:
        path = self.folder / LOG_FILE
        if checkpoint is not None:
            return RunLog.resumed(path, int(checkpoint["log_bytes"]), str(checkpoint["log_digest"]))
        log = RunLog.started(path)
        log.write(f"#{'step':>9} {'time':>16} {'free energy/site':>20} {'|<m>|':>14} {'rms torque':>16}\n")
        return log

    def _require_files(self) -> None:
        """Check that nobody has removed what is being written."""
        self.writer.require_in_place()
        self.log.require_in_place()

    def _open_writer(self, checkpoint: dict[str, Any] | None) -> RunWriter:
        path = self.folder / RUN_FILE
        temporary = temporary_beside(path)
        try:
            writer = RunWriter(
                temporary,
                self.streams.infos,
                self.streams.static,
                self.streams.attributes(provenance(self.setup.config, self.text)),
                run=read_mark(self.folder)["run"],
            )
            writer.start()
            if checkpoint is not None:
                copy_frames(path, writer, checkpoint["lengths"])
            writer.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return writer

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def _save_checkpoint(self, number: int, done: int, driver: Driver) -> None:
        calculators = [stage.calculator for stage in self.setup.stages]
        states = {str(k): c.checkpoint_state() for k, c in enumerate(calculators) if hasattr(c, "checkpoint_state")}
        self._require_files()
        self.writer.sync()  # before the checkpoint that counts on these frames and log lines
        self.log.sync()
        save_checkpoint(
            self.folder / CHECKPOINT_FILE,
            {
                "input": text_digest(self.text),
                "run": self.writer.run,
                "files": self.files,
                "stage": number,
                "done": done,
                "step": self.step,
                "time": self.time,
                "stage_started": self._started,
                "positions": self.atoms.positions,
                "momenta": self.atoms.get_momenta(),
                "cell": self.atoms.cell.array,
                "pbc": self.atoms.pbc,
                "numbers": self.atoms.numbers,
                "initial_positions": self._initial_positions,
                "moments": get_moments(self.atoms),
                "driver": driver.checkpoint_state(),
                "calculators": {number: state for number, state in states.items() if state},
                "lengths": self.writer.lengths,
                "log_bytes": self.log.length,
                "log_digest": self.log.digest,
            },
        )

    def _restore_atoms(self, checkpoint: dict[str, Any]) -> tuple[int, int]:
        self._check_same_magnet(checkpoint)
        self.atoms.set_cell(checkpoint["cell"], scale_atoms=False)
        self.atoms.positions[:] = checkpoint["positions"]
        self.atoms.set_momenta(checkpoint["momenta"])
        set_moments(self.atoms, checkpoint["moments"])
        self.step, self.time = int(checkpoint["step"]), float(checkpoint["time"])
        self._started = float(checkpoint["stage_started"])
        return int(checkpoint["stage"]), int(checkpoint["done"])

    def _check_same_magnet(self, checkpoint: dict[str, Any]) -> None:
        """The input text is the same, but a file of atoms that it names may have changed."""
        same = (
            np.array_equal(checkpoint["numbers"], self.atoms.numbers)
            and np.array_equal(checkpoint["pbc"], self.atoms.pbc)
            and np.allclose(checkpoint["initial_positions"], self._initial_positions, rtol=1e-9, atol=1e-9)
        )
        if not same:
            raise CheckpointError(
                f"the atoms of the input are not those {self.folder} was started with ({len(self.atoms)} sites, the "
                f"checkpoint has {len(checkpoint['numbers'])}): has [atoms] file changed?"
            )

    def _restore_calculator(self, checkpoint: dict[str, Any] | None) -> None:
        for number, state in (checkpoint or {}).get("calculators", {}).items():
            self.setup.stages[int(number)].calculator.restore_state(state)


def check_stages(setup: Setup) -> list[Driver]:
    """Build the driver of every stage once, so that a mistake in the last one is not found after hours.

    The atoms are left with the calculator of the first stage.  Returns the drivers.
    """
    drivers = []
    for stage in reversed(setup.stages):
        setup.atoms.calc = stage.calculator
        drivers.append(stage.driver.from_config(stage.options, setup.atoms, np.random.default_rng(0)))
    return drivers[::-1]


def describe_step(driver: Driver, calculator: Any) -> list[str]:
    """What a step of `driver` works with at the start, in fs, kelvin and tesla where units allow, and what looks wrong."""
    driver.atoms.calc = calculator
    line, problems = driver.describe_step()
    return [*([line] if line else []), *(f"warning: {problem}" for problem in problems)]


def estimate(setup: Setup) -> float:
    """Seconds one field evaluation of the first stage takes now (one call, after one to warm up)."""
    stage: StageInput = setup.stages[0]
    atoms = setup.atoms.copy()
    fields, spins = field_function(atoms, stage.calculator), get_spins(atoms)
    for sign in (1.0, -1.0):  # other spins: members of a sum remember the last ones
        start = time.perf_counter()
        fields(sign * spins)
        seconds = time.perf_counter() - start
    return seconds
