"""What a run leaves behind, behind one object: frames, observables, log and checkpoints in a folder, or nothing on the disk.

:class:`Runner <spinase.run.execute.Runner>` holds the loop and knows :class:`RunOutput` only.
"""

from __future__ import annotations

import copy
import logging
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, final

from spinase.atoms import SpinAtoms
from spinase.contract import Driver
from spinase.dynamics.checkpoint import load_checkpoint, save_checkpoint
from spinase.errors import CheckpointError, InputError, OutOfDomainError
from spinase.files import held, read_mark, refuse_foreign_folder, temporary_beside, text_digest, write_mark, write_text
from spinase.io.layout import RunWriter, copy_frames
from spinase.io.run_log import RunLog
from spinase.measures import summary
from spinase.observers.error_bars import WHAT_TO_DO
from spinase.run.build import Setup
from spinase.run.config import table_of_text
from spinase.run.longer import require_longer
from spinase.run.provenance import provenance
from spinase.run.streams import FRAMES, RunStreams, periods_of

RUN_FILE, LOG_FILE, CHECKPOINT_FILE, INPUT_FILE = "run.h5", "log.txt", "checkpoint.npz", "input.toml"

_LOG = logging.getLogger(__name__)
Progress = Callable[[int, int, str], None]
_FEMTOSECONDS = " [fs]"  # in the header of the log


class Moment(NamedTuple):
    """Where a run is: steps and time of the whole run, the number of the stage, and whether it (or the run) ends here."""

    step: int
    time: float
    stage: int
    last: bool


class RunOutput(ABC):
    """Where a run writes.

    Building it evaluates every observer once, on the initial atoms, also on a restart: what observers set up must not
    depend on where a run was cut.

    Parameters
    ----------
    setup : Setup
        What runs.
    drivers : sequence of Driver
        One of each stage (:func:`spinase.run.execute.check_stages`), which say what there is to write.

    Attributes
    ----------
    place : str
        What messages call the place where the run is.
    """

    place: str

    def __init__(self, setup: Setup, drivers: Sequence[Driver]) -> None:
        self.streams = RunStreams(setup, drivers)

    @property
    def periods(self) -> list[int]:
        """Steps between checkpoints, frames, and the calls of each observer."""
        return periods_of(self.streams.setup)

    def record(self, atoms: SpinAtoms, now: Moment, driver: Driver) -> None:
        """Write what is due now.

        Parameters
        ----------
        atoms : SpinAtoms
            The magnet now.
        now : Moment
            Step and time.
        driver : Driver
            Whose observer and field count.

        Raises
        ------
        OutOfDomainError
            If an observer raises an alarm; everything up to here is written.
        """
        for stream, values in self.streams.collect(atoms, now.step, now.last, now.stage, driver):
            self._append(stream, now, values)
            if stream == FRAMES:
                self._tell(atoms, now, driver)
        if self.streams.alarm is not None:
            raise self._alarm(f"{self.streams.alarm}, at step {now.step}. {WHAT_TO_DO}")

    @abstractmethod
    def opened(self, checkpoint: Mapping[str, Any] | None) -> Any:
        """Context in which the run writes, from the start or from a checkpoint on."""

    @abstractmethod
    def save(self, state: Mapping[str, Any]) -> None:
        """Keep the state of the loop, so that a run can go on from here."""

    @abstractmethod
    def saved_step(self) -> int:
        """Step of the last state kept."""

    @abstractmethod
    def progress(self, done: int, total: int, stage: str) -> None:
        """Tell how far the run is.

        Parameters
        ----------
        done, total : int
            Steps.
        stage : str
            Name of the stage.
        """

    @abstractmethod
    def _append(self, stream: str, now: Moment, values: Mapping[str, Any]) -> None:
        """Write the values of one stream."""

    @abstractmethod
    def _tell(self, atoms: SpinAtoms, now: Moment, driver: Driver) -> None:
        """Write the line of a frame into the log."""

    @abstractmethod
    def _alarm(self, why: str) -> OutOfDomainError:
        """The error of a run that an observer stops."""


@final
class SilentOutput(RunOutput):
    """Nothing on the disk, for scripts and tests: observers look (and may stop the run), the last state stays in memory.

    Attributes
    ----------
    checkpoint : dict or None
        The last state; ``Runner.run(output.checkpoint)`` goes on from it.
    """

    place = "memory"

    def __init__(self, setup: Setup, drivers: Sequence[Driver]) -> None:
        super().__init__(setup, drivers)
        self.checkpoint: dict[str, Any] | None = None

    @contextmanager
    def opened(self, checkpoint: Mapping[str, Any] | None) -> Iterator[None]:
        """Nothing to open."""
        yield

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep a copy of the state."""
        self.checkpoint = copy.deepcopy(dict(state))

    def saved_step(self) -> int:
        """Step of the state."""
        return int((self.checkpoint or {"step": 0})["step"])

    def progress(self, done: int, total: int, stage: str) -> None:
        """Say nothing."""

    def _append(self, stream: str, now: Moment, values: Mapping[str, Any]) -> None:
        pass

    def _tell(self, atoms: SpinAtoms, now: Moment, driver: Driver) -> None:
        pass

    def _alarm(self, why: str) -> OutOfDomainError:
        return OutOfDomainError(why)


@final
class FollowerOutput(RunOutput):
    """What all but the first process of a team write: nothing; observers look in the first one.

    Parameters
    ----------
    setup : Setup
        What runs.
    folder : Path
        Where the first process writes.
    """

    def __init__(self, setup: Setup, folder: Path) -> None:
        self.setup, self.place, self._saved = setup, str(folder), 0

    @property
    def periods(self) -> list[int]:
        """Those of the first process."""
        return periods_of(self.setup)

    @contextmanager
    def taken(self, restart: bool, overwrite: bool) -> Iterator[None]:
        """The folder is the first process's business."""
        yield

    @contextmanager
    def opened(self, checkpoint: Mapping[str, Any] | None) -> Iterator[None]:
        """Nothing to open."""
        self._saved = int((checkpoint or {"step": 0})["step"])
        yield

    def record(self, atoms: SpinAtoms, now: Moment, driver: Driver) -> None:
        """Nothing."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Remember the step."""
        self._saved = int(state["step"])

    def saved_step(self) -> int:
        """Step of the first process's checkpoint."""
        return self._saved

    def progress(self, done: int, total: int, stage: str) -> None:
        """Say nothing."""

    def _append(self, stream: str, now: Moment, values: Mapping[str, Any]) -> None:
        pass

    def _tell(self, atoms: SpinAtoms, now: Moment, driver: Driver) -> None:
        pass

    def _alarm(self, why: str) -> OutOfDomainError:
        return OutOfDomainError(why)


@final
class FolderOutput(RunOutput):
    """A folder: ``run.h5`` (trajectory, observables, provenance), ``log.txt``, ``checkpoint.npz`` and a copy of the input.

    Parameters
    ----------
    setup, drivers
        What runs, and a driver of each stage.
    folder : Path
        The folder.
    text, files : str
        The input, and names and digests of the files it names: a restart needs the same.
    progress : callable, optional
        Called with (steps done, steps in all, name of the stage).
    """

    def __init__(
        self,
        setup: Setup,
        drivers: Sequence[Driver],
        folder: Path,
        text: str,
        files: str = "",
        progress: Progress | None = None,
    ) -> None:
        super().__init__(setup, drivers)
        self.folder, self.text, self.files, self._progress = folder, text, files, progress
        self.place = str(folder)

    # -- the folder ---------------------------------------------------------------------------------------------------

    @contextmanager
    def taken(self, restart: bool, overwrite: bool) -> Iterator[dict[str, Any] | None]:
        """Make the folder, hold it against other processes, and make it ready; gives the checkpoint to go on from, if any.

        Raises
        ------
        InputError
            If it cannot be made, files of somebody else have the names of a run's, or a run is there already.
        CheckpointError
            If there is none to go on from, or it is of another input.
        FileInUseError
            If another process runs there.
        """
        if restart and not self.folder.is_dir():
            load_checkpoint(self.folder / CHECKPOINT_FILE)
        refuse_foreign_folder(self.folder, "run", (RUN_FILE, LOG_FILE, CHECKPOINT_FILE, INPUT_FILE))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from None
        with held(self.folder, f"the run in {self.folder}"):
            if restart and not self._killed_at_once():
                yield self._found_checkpoint()
            else:
                self._begin_anew(restart or overwrite)
                yield None

    def _killed_at_once(self) -> bool:
        """Whether a run of this input was killed before its first checkpoint, so that a restart begins anew."""
        started = self.folder / INPUT_FILE
        if (self.folder / CHECKPOINT_FILE).exists() or not started.exists():
            return False
        return started.read_text(encoding="utf-8") == self.text

    def _found_checkpoint(self) -> dict[str, Any]:
        folder, checkpoint = self.folder, load_checkpoint(self.folder / CHECKPOINT_FILE)
        if checkpoint.get("input") != text_digest(self.text):
            checkpoint = self._made_longer(checkpoint)
        if checkpoint.get("run") != read_mark(folder).get("run"):
            raise CheckpointError(f"the checkpoint in {folder} is of another run than the folder")
        if checkpoint.get("files", self.files) != self.files:
            lines = set(checkpoint["files"].splitlines()) ^ set(self.files.splitlines())
            changed = sorted(line.split(" ")[1] for line in lines)
            raise CheckpointError(
                f"files that the input names have changed since {folder} was started ({', '.join(dict.fromkeys(changed))}): "
                "restart with those of the start, or start a new run elsewhere with --output"
            )
        return checkpoint

    def _made_longer(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """The checkpoint for the new input, which asks for more steps than the one the run was started with."""
        started = (self.folder / INPUT_FILE).read_text(encoding="utf-8")
        if checkpoint.get("input") != text_digest(started):
            raise CheckpointError(f"{self.folder / INPUT_FILE} is not that of the checkpoint beside it: was it changed?")
        require_longer(table_of_text(started), table_of_text(self.text), checkpoint, self.folder)
        taken = {**checkpoint, "input": text_digest(self.text)}
        save_checkpoint(self.folder / CHECKPOINT_FILE, taken)
        write_text(self.folder / INPUT_FILE, self.text)
        return taken

    def _begin_anew(self, replace: bool) -> None:
        if (self.folder / RUN_FILE).exists() and not replace:
            raise InputError(
                f"{self.folder} already holds a run: use --restart to go on, --overwrite to replace it, or --output DIR"
            )
        write_mark(self.folder, kind="run", run=secrets.token_hex(8))
        try:
            for name in (CHECKPOINT_FILE, RUN_FILE, LOG_FILE):
                (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from None
        write_text(self.folder / INPUT_FILE, self.text)

    def _cannot_write(self, error: OSError) -> InputError:
        return InputError(f"cannot write to the directory {self.folder}: {error.strerror or error}")

    # -- what is written ----------------------------------------------------------------------------------------------

    @contextmanager
    def opened(self, checkpoint: Mapping[str, Any] | None) -> Iterator[None]:
        """The files, new or with what was there at the checkpoint."""
        with self._open_writer(checkpoint) as self._writer, self._open_log(checkpoint) as self._log:
            yield

    def _open_writer(self, checkpoint: Mapping[str, Any] | None) -> RunWriter:
        path = self.folder / RUN_FILE
        temporary = temporary_beside(path)
        try:
            writer = RunWriter(
                temporary,
                self.streams.infos,
                self.streams.static,
                self.streams.attributes(provenance(self.streams.setup.config, self.text)),
                run=read_mark(self.folder)["run"],
                others=self.streams.words_for_others(),
            )
            writer.start()
            if checkpoint is not None:
                copy_frames(path, writer, checkpoint["lengths"])
            writer.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return writer

    def _open_log(self, checkpoint: Mapping[str, Any] | None) -> RunLog:
        path = self.folder / LOG_FILE
        if checkpoint is not None:
            return RunLog.resumed(path, int(checkpoint["log_bytes"]), str(checkpoint["log_digest"]))
        log = RunLog.started(path)
        clock = f"time{_FEMTOSECONDS if self.streams.clock == 'fs' else ''}"
        log.write(f"#{'step':>9} {clock:>16} {'free energy/site':>20} {'|<m>|':>14} {'rms torque':>16}\n")
        return log

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the checkpoint, after the frames and log lines that it counts on."""
        self._writer.require_in_place()
        self._log.require_in_place()
        self._writer.sync()
        self._log.sync()
        told = {
            "input": text_digest(self.text),
            "run": self._writer.run,
            "files": self.files,
            "lengths": self._writer.lengths,
            "log_bytes": self._log.length,
            "log_digest": self._log.digest,
        }
        save_checkpoint(self.folder / CHECKPOINT_FILE, {**state, **told})

    def saved_step(self) -> int:
        """Step of the checkpoint."""
        return int(load_checkpoint(self.folder / CHECKPOINT_FILE)["step"])

    def progress(self, done: int, total: int, stage: str) -> None:
        """Pass it on."""
        if self._progress is not None:
            self._progress(done, total, stage)

    def _append(self, stream: str, now: Moment, values: Mapping[str, Any]) -> None:
        _LOG.debug("%s of step %d", stream, now.step)
        self._writer.append(stream, now.step, self.streams.clock_time(now.time), values)

    def _tell(self, atoms: SpinAtoms, now: Moment, driver: Driver) -> None:
        found = summary(atoms, driver.applied_field())
        shown = "-" if found.energy is None else f"{found.energy:.12f}"
        in_fs = _FEMTOSECONDS in self._log.header  # a log begun before it was so goes on as it began
        clock = self.streams.clock_time(now.time) if in_fs else now.time
        self._log.write(f"{now.step:10d} {clock:16.8f} {shown:>20} {found.magnetization:14.10f} {found.rms_torque:16.8e}\n")

    def _alarm(self, why: str) -> OutOfDomainError:
        self._writer.sync()
        alarm = OutOfDomainError(f"{why}. The run in {self.folder} is written up to here")
        alarm.stopped = True
        return alarm


__all__ = ["FolderOutput", "FollowerOutput", "Moment", "RunOutput", "SilentOutput"]
