"""What all drivers of spins share: binding to atoms and calculator, clock, whole steps, observers, restart."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator
from typing import IO, Any, ClassVar

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from spinase.atoms import get_moments, get_spins
from spinase.contract import (
    FieldFunction,
    begin_step,
    calculator_of,
    check_units,
    declare_motion,
    field_function,
    follows_time,
    has_fast_fields,
    probe_moments,
    recall_step,
    remember_step,
    require_magnetic_forces,
    tell_time,
)
from spinase.dynamics.binding import Geometry, SpinBinding
from spinase.dynamics.driver_options import AppliedField, DriverOptions
from spinase.dynamics.finite import require_finite_spins, watched
from spinase.dynamics.frames import frame_of
from spinase.dynamics.log import SpinLogger
from spinase.dynamics.ramp import Temperature
from spinase.dynamics.settings import Clock
from spinase.dynamics.unit_guard import StepNumbers
from spinase.errors import AccuracyWarning
from spinase.quantities import Observer
from spinase.rendezvous import ask
from spinase.team import ALONE, Team

_ALL_STEPPED = 2  # order of a question that waits until all runs side by side have made their steps


def _begin_together(drivers: list[SpinDriver]) -> None:
    """Nothing but that runs side by side begin their steps together: what they ask together does not depend on the past."""


class SpinDriver(DriverOptions):
    """A driver of the spins of `atoms`: options that may be changed between steps, a clock, steps that are whole.

    Options and clock are those of :class:`spinase.dynamics.driver_options.DriverOptions`.

    A subclass sets its own options after ``super().__init__`` and then calls :meth:`_start`; it turns the spins in
    :meth:`_turn`, and adds what else a step changes to :meth:`_remember`, :meth:`_recall`, :meth:`checkpoint_state` and
    :meth:`restore_state`.
    """

    moves_atoms: bool = False
    changes_cell: bool = False
    time_unit: str | None = None  # that of the atoms' unit system
    finished: bool = False  # the number of steps decides
    observer: Observer | None = None  # nothing besides the atoms
    divisible: bool = True
    team: Team = ALONE
    logger: ClassVar[type[SpinLogger]] = SpinLogger
    _ready = False
    _spins: SpinBinding

    def __init__(
        self,
        atoms: Atoms,
        timestep: float | str,
        *,
        kT: Temperature | str,  # noqa: N803
        temperature_K: Temperature | str | None,  # noqa: N803
        field: AppliedField | str | None,
        frozen: ArrayLike | None,
        rng: np.random.Generator | int | None,
        trajectory: str | None,
        loginterval: int,
        probe: bool,
    ) -> None:
        super().__init__(
            atoms,
            timestep,
            kT=kT,
            temperature_K=temperature_K,
            field=field,
            frozen=frozen,
            rng=rng,
            trajectory=trajectory,
            loginterval=loginterval,
        )
        self.probe = probe
        self._inside_run, self._suspect = False, True
        self._bound: Geometry | None = None
        self._fast = False  # whether steps leave the atoms alone
        self._fields: FieldFunction | None = None

    def _start(self, logfile: IO[str] | str | None, loginterval: int, free_lengths: bool = False) -> None:
        """Take the spins of the atoms, when all options are known."""
        self._check_calculator()
        self._spins = SpinBinding(self.atoms, free_lengths)
        self._ready = True
        self._options_changed()
        self._check_coupling()
        if logfile:
            self.attach(self.logger(self, self.openfile(file=logfile, comm=self.comm, mode="a")), loginterval)

    def zeeman_energy(self) -> float:
        """Energy -sum_i m_i.B_i of the moments in the driver's applied field now; not part of the calculator's energy."""
        return -float(np.sum(get_moments(self.atoms) * self.applied_field()))

    def todict(self) -> dict[str, Any]:
        """What ASE's trajectory stores about the run."""
        return {**super().todict(), "kT": self.bath_temperature()}

    # -- what subclasses say ------------------------------------------------------------------------------------------

    @abstractmethod
    def _turn(self, timestep: float, start: float = 0.0) -> None:
        """Turn the spins for `timestep` at the present positions, from `start` after the beginning of the step."""

    def _check_coupling(self) -> None:
        """Refuse a bath that is coupled to nothing."""

    def _check_calculator(self) -> None:
        """Refuse a calculator that cannot move the spins."""
        calc = calculator_of(self.atoms)
        require_magnetic_forces(calc)
        check_units(self.atoms, calc)

    def _took_spins(self) -> None:
        """The spins were taken from the atoms."""

    def _bind(self) -> None:
        """Prepare for steps at the present positions."""
        self._bind_fields()

    def _bind_fields(self) -> None:
        """Fields as a function of the spins, at the present positions."""
        lengths, calc = self._spins.lengths, calculator_of(self.atoms)
        declare_motion(calc, self.moves_atoms)
        self._fields = watched(field_function(self.atoms, calc, lengths), self.atoms, lengths)

    # -- a step -------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Advance by one time step.

        A step is made whole or not at all: after any exception (an interrupt, too) the atoms and everything that would have
        moved with them are as they were before it, and a run goes on from there as if nothing had happened.
        """
        ask(SpinDriver, self, _begin_together, order=_ALL_STEPPED)
        if self._suspect:
            self._sync()
        before = self._remember()
        try:
            self._advance()
            if not self._inside_run or self._observers_due(self.nsteps + 1):
                self._spins.write()
        except BaseException:
            self._recall(before)
            raise

    def _advance(self) -> None:
        """A step at fixed positions."""
        begin_step(self.atoms.calc)
        self._turn(self.dt)
        require_finite_spins(self._spins.spins, self.dt)
        self._tell_time(self.dt)
        self._spins.dirty = True

    def _remember(self) -> dict[str, Any]:
        """Everything that a step changes."""
        return {
            "spins": self._spins.spins,
            "atoms": self._spins.written() if self._touches_atoms() else None,
            "dirty": self._spins.dirty,
            "rng": None if self.rng is None else self.rng.bit_generator.state,
            "calculator": remember_step(self.atoms.calc),
        }

    def _touches_atoms(self) -> bool:
        """Whether the coming step writes moments into the atoms: between observers only where there is no fast path."""
        quiet = self._inside_run and not self._observers_due(self.nsteps + 1)
        return self.moves_atoms or not quiet or not self._fast

    def _recall(self, before: dict[str, Any]) -> None:
        """Put back what :meth:`_remember` saw."""
        self._spins.spins, self._spins.dirty = before["spins"], before["dirty"]
        if before["atoms"] is not None:
            self._spins.rewrite(before["atoms"])
        if self.rng is not None:
            self.rng.bit_generator.state = before["rng"]
        recall_step(self.atoms.calc, before["calculator"])
        self._tell_time(0.0)
        self._suspect = True

    def _tell_time(self, since: float) -> None:
        """Tell a calculator that is driven by a function of time what time it is, `since` the last step."""
        calc = self.atoms.calc
        if follows_time(calc):
            tell_time(calc, self.get_time() + since)

    def _sync(self) -> None:
        """Take over what others did to the atoms since the last step (moments, positions, cell, calculator)."""
        self._suspect = not self._inside_run
        if not self._spins.is_current():
            self._spins.read()
            self._took_spins()
            self._bound = None
        if self._bound is None or not self._bound.is_of(self.atoms):
            self._bind()
            self._bound, self._fast = Geometry(self.atoms), has_fast_fields(self.atoms.calc)

    # -- runs ---------------------------------------------------------------------------------------------------------

    def irun(self, steps: int = 50) -> Iterator[bool]:
        """Run as a generator, as ASE's drivers do; the calculator is probed before the first step."""
        self._check_calculator()
        self._tell_time(0.0)
        if self.nsteps == 0:
            if self.probe:
                probe_moments(self.atoms, calculator_of(self.atoms))
            self._warn_of_the_step()
        self._bound = None
        for done in super().irun(steps):
            self._suspect = self._suspect or not self._inside_run
            yield done

    def run(self, steps: int = 50) -> bool:
        """Run as ASE's drivers do; between observers the atoms are neither read nor written."""
        self._inside_run = self._suspect = True
        try:
            return bool(super().run(steps))
        finally:
            self._inside_run = False
            if self._spins.dirty:
                self._spins.write()

    def call_observers(self) -> None:
        """Call what is due; an observer may have changed the atoms, so they are looked at again before the next step."""
        self._suspect = self._suspect or self._observers_due(self.nsteps)
        super().call_observers()

    def _traj_write_image(self, description: dict[str, Any]) -> None:
        """ASE's writing of a frame, with energy and fields: those of this step are not computed yet."""
        with self._opentraj() as file:
            file.set_description(self.todict() | description)
            file.write(frame_of(self))

    def _observers_due(self, nsteps: int) -> bool:
        return any(nsteps % n == 0 if n > 0 else nsteps == -n for _, n, _, _ in self.observers)

    def _refresh_properties(self) -> None:
        """Nothing to refresh: forces on atoms are not part of spin dynamics, observers ask for what they need."""

    # -- what a step works with ---------------------------------------------------------------------------------------

    def step_numbers(self) -> StepNumbers:
        """Time step, temperature, fields and angles of a step from here, as numbers and in words."""
        own = np.asarray(calculator_of(self.atoms).get_property("magnetic_forces", self.atoms), dtype=np.float64)
        fields = own + self.applied_field()
        faster = self._spins.gamma / self.unit_system.gyromagnetic_ratio  # g/2
        across = faster * np.linalg.norm(np.cross(get_spins(self.atoms), fields), axis=1)
        applied = float(np.linalg.norm(np.broadcast_to(self.applied_field(), fields.shape), axis=1).max(initial=0.0))
        lengths = np.linalg.norm(get_moments(self.atoms), axis=1)
        return StepNumbers(self.unit_system, self.dt, self.bath_temperature(), lengths, fields, across, applied)

    def look_at_step(self) -> tuple[StepNumbers, list[str]]:
        """What a step from here works with, and what looks wrong with it."""
        numbers = self.step_numbers()
        return numbers, numbers.problems(0.0)

    def describe_step(self) -> tuple[str, list[str]]:
        """What a step from here works with, in fs, kelvin and tesla where units allow, and what looks wrong with it."""
        numbers, problems = self.look_at_step()
        return numbers.describe(), problems

    def conclude(self) -> None:
        """Nothing was promised but the steps."""

    def _warn_of_the_step(self) -> None:
        """Warn, once, of units mixed up and of steps that are too large."""
        remembered = remember_step(self.atoms.calc)
        numbers, problems = self.look_at_step()
        recall_step(self.atoms.calc, remembered)  # looking changes no trajectory
        for problem in problems:
            warnings.warn(problem, AccuracyWarning, stacklevel=4)
        self._warn_of_the_state(numbers)

    def _warn_of_the_state(self, numbers: StepNumbers) -> None:
        """Warn of states from which nothing moves."""

    # -- restart ------------------------------------------------------------------------------------------------------

    def checkpoint_state(self) -> dict[str, Any]:
        """What a bit-exact restart needs beyond the atoms: step count, exact spins and lengths, random generator."""
        return {
            "nsteps": int(self.nsteps),
            "clock": {"time": self._clock.time, "step": int(self._clock.step), "timestep": self.dt},
            "spins": self._spins.spins.copy(),
            "lengths": self._spins.lengths.copy(),
            "rng": None if self.rng is None else self.rng.bit_generator.state,
        }

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave; the moments of the atoms are set from it."""
        self.nsteps = int(state["nsteps"])
        self._clock = Clock(**state["clock"]).with_timestep(self.dt, self.nsteps)
        self._spins.restore(state["spins"], state["lengths"])
        self._suspect = True
        if state["rng"] is not None and self.rng is not None:
            self.rng.bit_generator.state = state["rng"]


__all__ = ["AppliedField", "SpinDriver"]
