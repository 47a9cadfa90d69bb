"""Landau-Lifshitz-Gilbert dynamics of the spins of any ASE calculator that gives magnetic forces."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import IO, Annotated, Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from spinase.atoms import (
    describe_columns,
    get_g_factors,
    get_moments,
    get_reference_lengths,
    get_spins,
    gyromagnetic_ratios,
    set_reference_lengths,
    write_moments,
)
from spinase.brief import call
from spinase.contract import (
    FieldFunction,
    begin_step,
    calculator_of,
    check_units,
    energy_of,
    field_function,
    probe_moments,
    recall_step,
    remember_step,
    require_magnetic_forces,
    tell_time,
)
from spinase.dynamics.base import AppliedField, Form, SpinDriver, make_integrator
from spinase.dynamics.finite import require_finite_spins, watched
from spinase.dynamics.integrators import Integrator
from spinase.dynamics.log import SpinLogger
from spinase.dynamics.motion import FreeLengthSpins, InertialSpins, SpinMotion
from spinase.dynamics.ramp import FieldRampConfig, RampConfig, Temperature, built
from spinase.dynamics.relax import SpinOptimizable
from spinase.dynamics.settings import Clock
from spinase.dynamics.step_check import SMALL_ANGLE, StepSetting, bath_problem, following_share
from spinase.dynamics.unit_guard import StepNumbers
from spinase.errors import AccuracyWarning, InvalidMomentsError, ModelError, UnstableStateWarning
from spinase.moments import copy_moments
from spinase.spin_algebra import precession_vector
from spinase.typing import FloatArray

_STILL = 1e-12  # torques that are none, relative to the largest field
NotNegative = Annotated[float, Field(ge=0)]


class LLGConfig(BaseModel):
    """Options of the ``llg`` driver in an input file."""

    model_config = ConfigDict(extra="forbid")

    timestep: float = Field(gt=0, description="time step [metal: ASE time units (1 fs = 0.0982); reduced: hbar/t]")
    damping: float = Field(0.0, ge=0, description="Gilbert damping alpha [1]")
    integrator: str = Field("sib", description="heun, depondt, sib, midpoint, or one of a plugin")
    form: Literal["landau-lifshitz-gilbert", "landau-lifshitz"] = Field(
        "landau-lifshitz-gilbert", description="with or without the factor 1/(1 + damping^2)"
    )
    kT: NotNegative | RampConfig = Field(  # noqa: N815
        0.0, description="temperature of the spin bath as an energy, or a ramp { from, to } [eV or t]"
    )
    temperature_K: NotNegative | RampConfig | None = Field(  # noqa: N815
        None, description="the same in kelvin, metal units only [K]"
    )
    field: tuple[float, float, float] | FieldRampConfig | None = Field(
        None, description="uniform applied field, or a ramp { from, to } [eV/mu_B or t/|m|]"
    )
    frozen: list[int] | None = Field(None, description="indices of spins that do not move")
    axes: tuple[float, float, float] | None = Field(None, description="axis about which spins turn; absent: freely")
    inertia: float | None = Field(None, gt=0, description="inertial spins: eta of s x d2s/dt2 [time]")
    longitudinal_rate: float | None = Field(None, ge=0, description="free-length spins: their rate [moment^2/(energy time)]")

    def motion(self) -> SpinMotion | None:
        """The equation of motion that replaces LLG, if one is asked for."""
        if self.inertia is not None and self.longitudinal_rate is not None:
            raise ModelError("spins are either inertial or of free length: give one of inertia and longitudinal_rate")
        if self.inertia is not None:
            return InertialSpins(self.inertia)
        return None if self.longitudinal_rate is None else FreeLengthSpins(self.longitudinal_rate)

    def options(self, *leave_out: str) -> dict[str, Any]:
        """Arguments of the driver."""
        table = {name: built(value) for name, value in self if name not in leave_out}
        del table["inertia"], table["longitudinal_rate"]
        return {**table, "motion": self.motion()}


class LLGDynamics(SpinDriver):
    r"""Spin dynamics at frozen positions.

    .. math:: \dot s_i = -\frac{\gamma}{1+\alpha^2}\,[\,s_i\times B_i + \alpha\, s_i\times(s_i\times B_i)\,]

    with s_i -> the unit vector along the moment, B_i -> ``magnetic_forces`` + applied field + thermal field
    (energy/moment), gamma -> g_i mu_B/hbar with the g factors of the atoms (default 2; ``spinase.atoms.set_g_factors``;
    reduced units: g_i/2), alpha -> `damping`.  ``form="landau-lifshitz"`` leaves
    out 1/(1 + alpha^2).  The thermal field is white, of variance 2 alpha kT/(gamma mu_i dt) per component (Gilbert form;
    alpha/(1 + alpha^2) for alpha in the Landau-Lifshitz form), Stratonovich (Brown, Phys. Rev. 130, 1677 (1963)).

    Any calculator with ``magnetic_forces`` can drive it; one without, or one that ignores the moments, is refused.

    Parameters
    ----------
    atoms : Atoms
        The magnet with its calculator; plain ``Atoms`` or ``SpinAtoms``.  Sites with zero moment stay so.
    timestep : float
        Time step, ASE time units (use ``ase.units.fs``) or hbar/t, following the unit system of the atoms.
    damping : float
        Gilbert damping alpha.
    integrator : str or Integrator
        ``"heun"``, ``"depondt"``, ``"sib"``, ``"midpoint"``, a plugin's name of the kind ``integrators``, or an
        :class:`~spinase.dynamics.integrators.Integrator`.
    form : str
        ``"landau-lifshitz-gilbert"`` (default) or ``"landau-lifshitz"``.
    kT, temperature_K : float or function of time
        Temperature of the bath as an energy, or in kelvin (metal units only); 0: no noise.
    field : array (3,) or (N, 3), or function of time, optional
        Applied magnetic field B, energy/moment (metal: eV/mu_B; one tesla is ``spinase.units.METAL.tesla``).  Its energy
        is in the log, not in ``atoms.get_potential_energy()``: a ``ZeemanCalculator`` in a sum puts it there.
    frozen : mask or indices, optional
        Spins that do not move.
    axes : array (3,) or (N, 3), optional
        Constrained spins turn about these axes n only: s.n stays (rotors in a plane, spins on a cone); zero rows: free.
        The part of the field along n is taken up by the constraint (it does no work, and a bath gives Boltzmann's angles).
    motion : SpinMotion, optional
        Another equation of motion: :class:`~spinase.dynamics.InertialSpins` or :class:`~spinase.dynamics.FreeLengthSpins`.
    rng : numpy Generator or int, optional
        Source of the thermal field, or a seed; required when there is a temperature.
    trajectory, logfile, loginterval
        As in ASE's molecular dynamics.
    probe : bool
        Check once, at the first step, that the calculator depends on the moments.

    Raises
    ------
    MissingMagneticForcesError, MomentsIgnoredError, UnitMismatchError, InvalidMomentsError, ModelError, StyleError
    """

    Config = LLGConfig
    moves_atoms = False
    logger: ClassVar[type[SpinLogger]] = SpinLogger
    citation = "T. L. Gilbert, IEEE Trans. Magn. 40, 3443 (2004)"

    def __init__(
        self,
        atoms: Atoms,
        timestep: float,
        *,
        damping: float = 0.0,
        integrator: str | Integrator = "sib",
        form: Form = "landau-lifshitz-gilbert",
        kT: Temperature = 0.0,  # noqa: N803
        temperature_K: Temperature | None = None,  # noqa: N803
        field: AppliedField | None = None,
        frozen: ArrayLike | None = None,
        axes: ArrayLike | None = None,
        motion: SpinMotion | None = None,
        rng: np.random.Generator | int | None = None,
        trajectory: str | None = None,
        logfile: IO[str] | str | None = None,
        loginterval: int = 1,
        probe: bool = True,
    ) -> None:
        super().__init__(
            atoms,
            timestep,
            damping=damping,
            integrator=integrator,
            form=form,
            kT=kT,
            temperature_K=temperature_K,
            field=field,
            frozen=frozen,
            axes=axes,
            motion=motion,
            rng=rng,
            trajectory=trajectory,
            loginterval=loginterval,
        )
        self._stretch: FloatArray | None = None  # lengths of the spins where they are not 1
        self.probe = probe
        self._fields: FieldFunction | None = None
        self._inside_run, self._suspect, self._dirty = False, True, False
        self._spins: FloatArray
        self._lengths: FloatArray
        self._written: FloatArray
        self._gamma: FloatArray
        self._relative_g: FloatArray | None = None  # g/2 (N, 1) where it is not 1
        self._check_calculator()
        self._read_atoms()
        self._ready = True
        self._check_coupling()
        if logfile:
            self.attach(self.logger(self, self.openfile(file=logfile, comm=self.comm, mode="a")), loginterval)

    def __repr__(self) -> str:
        kT = None if self.kT == 0.0 else self.kT
        return call(
            type(self).__name__,
            sites=len(self.atoms),
            steps_done=self.nsteps,
            calculator=self.atoms.calc,
            timestep=self.dt,
            damping=self.damping,
            integrator=type(self.integrator).__name__,
            motion=None if self.motion is None else type(self.motion).__name__,
            kT=kT,
            field=self.field,
        )

    @classmethod
    def from_config(cls, config: LLGConfig, atoms: Atoms, rng: np.random.Generator) -> LLGDynamics:
        """Driver from the table of an input file."""
        return cls(atoms, rng=rng, **config.options())

    # -- the equation -------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Advance by one time step.

        A step is made whole or not at all: after any exception (an interrupt, too) the atoms and everything that would have
        moved with them are as they were before it, and a run goes on from there as if nothing had happened.
        """
        if self._suspect:
            self._sync()
        before = self._remember()
        try:
            self._advance()
            if not self._inside_run or self._observers_due(self.nsteps + 1):
                self._write_atoms()
        except BaseException:
            self._recall(before)
            raise

    def _advance(self) -> None:
        begin_step(self.atoms.calc)
        self._turn(self.dt)
        require_finite_spins(self._spins, self.dt)
        self._tell_time(self.dt)
        self._dirty = True

    def _remember(self) -> dict[str, Any]:
        """Everything that a step changes."""
        return {
            "spins": self._spins,
            "atoms": (self._written.copy(), copy_moments(self.atoms)) if self._touches_atoms() else None,
            "dirty": self._dirty,
            "rng": None if self.rng is None else self.rng.bit_generator.state,
            "motion": {} if self.motion is None else self.motion.state(),
            "integrator": self.integrator.state(),
            "calculator": remember_step(self.atoms.calc),
        }

    def _touches_atoms(self) -> bool:
        """Whether the coming step writes moments into the atoms: between observers only where there is no fast path."""
        quiet = self._inside_run and not self._observers_due(self.nsteps + 1)
        return self.moves_atoms or not quiet or not hasattr(self.atoms.calc, "field_function")

    def _recall(self, before: dict[str, Any]) -> None:
        """Put back what :meth:`_remember` saw."""
        self._spins, self._dirty = before["spins"], before["dirty"]
        if before["atoms"] is not None:
            self._written[...], moments = before["atoms"]
            write_moments(self.atoms, moments)
        if self.rng is not None:
            self.rng.bit_generator.state = before["rng"]
        if self.motion is not None:
            self.motion.restore(before["motion"])
        self.integrator.restore(before["integrator"])
        recall_step(self.atoms.calc, before["calculator"])
        self._tell_time(0.0)
        self._suspect = True

    def _turn(self, timestep: float, start: float = 0.0) -> None:
        """Turn the spins for `timestep` at the present positions, from `start` after the beginning of the step."""
        if self.motion is not None:
            self._move_otherwise(self.motion, timestep, start)
            return
        thermal = self._thermal_field(timestep)
        gamma, alpha = self.unit_system.gyromagnetic_ratio, self.damping
        prefactor = gamma if self.form == "landau-lifshitz" else gamma / (1.0 + alpha**2)
        fields, everything_moves = self._fields, bool(self.mobile.all())
        assert fields is not None

        def rate(spins: FloatArray, fraction: float) -> FloatArray:
            self._tell_time(start + fraction * timestep)
            total = fields(spins)
            if self.field is not None:
                total = total + self.applied_field((start + fraction * timestep) / self.dt)
            if self._axes is not None:
                total = self._axes.across(total)
            if thermal is not None:
                total = total + thermal
            unit = spins if self._stretch is None else spins / self._stretch[:, None]
            vector = precession_vector(unit, total, prefactor, alpha)
            if self._relative_g is not None:
                vector = vector * self._relative_g
            if self._axes is not None:
                vector = self._axes.along(vector)
            return vector if everything_moves else vector * self.mobile[:, None]

        self._spins = self.integrator.step(self._spins, rate, timestep)

    def _move_otherwise(self, motion: SpinMotion, timestep: float, start: float) -> None:
        fields = self._fields
        assert fields is not None

        def field(spins: FloatArray, fraction: float) -> FloatArray:
            self._tell_time(start + fraction * timestep)
            return fields(spins) + self.applied_field((start + fraction * timestep) / self.dt)

        self._check_coupling()
        self._spins = motion.turn(self._spins, field, timestep, self.bath_temperature(), self.rng)

    def _tell_time(self, since: float) -> None:
        """Tell a calculator that is driven by a function of time what time it is, `since` the last step."""
        tell_time(self.atoms.calc, self.get_time() + since)

    def _thermal_field(self, timestep: float) -> FloatArray | None:
        kT = self.bath_temperature()
        if kT == 0.0:
            return None
        self._check_coupling()
        assert self.rng is not None
        alpha = self.damping if self.form == "landau-lifshitz-gilbert" else self.damping / (1.0 + self.damping**2)
        strength = 2.0 * alpha * kT / (self._gamma * timestep)
        noise = self.rng.standard_normal((len(self.atoms), 3))
        lengths = self._lengths if self._stretch is None else self._lengths * self._stretch
        thermal = noise * np.sqrt(strength / np.where(lengths > 0.0, lengths, np.inf))[:, None]
        return thermal if self._axes is None else self._axes.thermal(thermal, self.damping)

    # -- atoms in, atoms out ------------------------------------------------------------------------------------------

    def irun(self, steps: int = 50) -> Iterator[bool]:
        """Run as a generator, as ASE's drivers do; the calculator is probed before the first step."""
        self._check_calculator()
        self._tell_time(0.0)
        if self.nsteps == 0:
            if self.probe:
                probe_moments(self.atoms, calculator_of(self.atoms))
            self._warn_of_the_step()
        self._fields = None
        for done in super().irun(steps):
            self._suspect = self._suspect or not self._inside_run
            yield done

    def step_numbers(self) -> StepNumbers:
        """Time step, temperature, fields and angles of a step from here, as numbers and in words."""
        own = np.asarray(calculator_of(self.atoms).get_property("magnetic_forces", self.atoms), dtype=np.float64)
        fields = own + self.applied_field()
        faster = self._gamma / self.unit_system.gyromagnetic_ratio  # g/2
        across = faster * np.linalg.norm(np.cross(get_spins(self.atoms), fields), axis=1)
        applied = float(np.linalg.norm(np.broadcast_to(self.applied_field(), fields.shape), axis=1).max(initial=0.0))
        lengths = np.linalg.norm(get_moments(self.atoms), axis=1)
        return StepNumbers(self.unit_system, self.dt, self.bath_temperature(), lengths, fields, across, applied)

    def look_at_step(self) -> tuple[StepNumbers, list[str]]:
        """What a step from here works with, and what looks wrong with it: units, size, temperature of the bath."""
        numbers = self.step_numbers()
        if not np.isfinite(numbers.fields).all():
            return numbers, []  # the first step says so, and where
        spins, share = get_spins(self.atoms), 0.0
        moving = self.mobile & (numbers.lengths > 0.0)
        faster = self._gamma / self.unit_system.gyromagnetic_ratio
        along = (faster * np.einsum("ia,ia->i", spins, numbers.fields))[moving]
        if numbers.angle(numbers.largest) > SMALL_ANGLE:
            share = following_share(self._total_fields(), spins, moving)
        problems = numbers.problems(share)
        if numbers.kT > 0.0 and self.motion is None and self.axes is None:
            gamma = self.unit_system.gyromagnetic_ratio
            setting = StepSetting(self.integrator, self._spin_step(), gamma, self.damping, self.form)
            problem = bath_problem(setting, along, share)
            problems += [] if problem is None else [problem]
        return numbers, problems

    def _warn_of_the_step(self) -> None:
        """Warn, once, of units mixed up, of steps that are too large, and of states from which nothing moves."""
        remembered = remember_step(self.atoms.calc)
        numbers, problems = self.look_at_step()
        recall_step(self.atoms.calc, remembered)  # looking changes no trajectory
        for problem in problems:
            warnings.warn(problem, AccuracyWarning, stacklevel=4)
        still = numbers.across[self.mobile].max(initial=0.0) <= _STILL * numbers.largest
        still = still and numbers.largest > 0.0  # free spins are no saddle
        if still and self.damping > 0.0 and numbers.kT == 0.0 and self.field is None and self.motion is None:
            self._tell_if_unstable()

    def _total_fields(self) -> FieldFunction:
        fields, applied = field_function(self.atoms, calculator_of(self.atoms), self._lengths), self.applied_field()
        return lambda spins: fields(spins) + applied

    def _spin_step(self) -> float:
        """Time step of the spins."""
        return self.dt

    def _tell_if_unstable(self) -> None:
        """Spins along their fields do not move, whether the state is a minimum or not."""
        if energy_of(self.atoms) is None or get_reference_lengths(self.atoms) is not None:
            return
        found = SpinOptimizable(self.atoms, frozen=self.frozen).curvatures()
        if found.negative:
            warnings.warn(
                f"no spin feels a torque, but this state is no minimum: the energy falls in {found.negative} directions or "
                f"more (lowest curvature {found.values[0]:.4g}). Without noise nothing will ever move: turn the spins a "
                "little, give a temperature, or check the signs of the couplings",
                UnstableStateWarning,
                stacklevel=5,
            )

    def run(self, steps: int = 50) -> bool:
        """Run as ASE's drivers do; between observers the atoms are neither read nor written."""
        self._inside_run = self._suspect = True
        try:
            return bool(super().run(steps))
        finally:
            self._inside_run = False
            if self._dirty:
                self._write_atoms()

    def call_observers(self) -> None:
        """Call what is due; an observer may have changed the atoms, so they are looked at again before the next step."""
        self._suspect = self._suspect or self._observers_due(self.nsteps)
        super().call_observers()

    def _observers_due(self, nsteps: int) -> bool:
        return any(nsteps % n == 0 if n > 0 else nsteps == -n for _, n, _, _ in self.observers)

    def _refresh_properties(self) -> None:
        """Nothing to refresh: forces on atoms are not part of spin dynamics, observers ask for what they need."""

    def _check_calculator(self) -> None:
        calc = calculator_of(self.atoms)
        require_magnetic_forces(calc)
        check_units(self.atoms, calc)

    def _read_atoms(self) -> None:
        moments = get_moments(self.atoms)
        self._lengths = self._find_lengths(moments)
        if not self._lengths.any():
            raise InvalidMomentsError(
                "none of the atoms has a magnetic moment: set atoms.spins or initial magnetic moments "
                f"({describe_columns(self.atoms)}; SpinAtoms(atoms) reads those that usually hold moments)"
            )
        self._spins = moments / np.where(self._lengths > 0.0, self._lengths, 1.0)[:, None]
        self._written = moments
        self._gamma = gyromagnetic_ratios(self.atoms)
        relative = self._gamma / self.unit_system.gyromagnetic_ratio
        self._relative_g = None if np.all(relative == 1.0) else relative[:, None]
        self._site_data = self._stored_site_data()
        self._start_motion()

    def _begin_motion(self) -> None:
        if self._ready:
            self._start_motion()

    def _start_motion(self) -> None:
        if self.motion is not None:
            self.motion.begin(self._spins, self._lengths, self.mobile, self.damping, self._gamma)

    def _stored_site_data(self) -> tuple[FloatArray | None, FloatArray]:
        """Reference lengths and g factors that the atoms have now (copies)."""
        return get_reference_lengths(self.atoms), get_g_factors(self.atoms)

    def _same_site_data(self) -> bool:
        lengths, factors = self._site_data
        now, g = self._stored_site_data()
        same = lengths is now if lengths is None or now is None else np.array_equal(lengths, now)
        return same and np.array_equal(factors, g)

    def _find_lengths(self, moments: FloatArray) -> FloatArray:
        """Lengths of the moments, or the reference lengths in which they are measured if they have (or need) some."""
        lengths: FloatArray = np.linalg.norm(moments, axis=1)
        free = self.motion is not None and self.motion.free_lengths
        if free and get_reference_lengths(self.atoms) is None:
            set_reference_lengths(self.atoms, lengths)
        reference = get_reference_lengths(self.atoms)
        self._stretch = None
        if reference is None:
            return lengths
        if not free:  # spins m/|m_ref| keep lengths that are not 1
            scale = lengths / np.where(reference > 0.0, reference, 1.0)
            self._stretch = np.where(scale > 0.0, scale, 1.0)
        return reference

    def _write_atoms(self) -> None:
        np.multiply(self._lengths[:, None], self._spins, out=self._written)
        write_moments(self.atoms, self._written)
        self._dirty = False

    def _sync(self) -> None:
        """Take over what others did to the atoms since the last step (moments, positions, cell, calculator)."""
        self._suspect = not self._inside_run
        stored = self.atoms.arrays.get("initial_magmoms")
        if stored is None or not np.array_equal(stored, self._written) or not self._same_site_data():
            self._read_atoms()
            self._fields = None
        if self._fields is None or not self._same_geometry():
            self._fields = self._bind_fields()
            atoms = self.atoms
            self._bound = (atoms.calc, *(x.copy() for x in (atoms.positions, atoms.numbers, atoms.cell.array, atoms.pbc)))

    def _bind_fields(self) -> FieldFunction:
        return watched(field_function(self.atoms, calculator_of(self.atoms), self._lengths), self.atoms, self._lengths)

    def _same_geometry(self) -> bool:
        calc, positions, numbers, cell, pbc = self._bound
        return (
            calc is self.atoms.calc
            and np.array_equal(numbers, self.atoms.numbers)
            and np.array_equal(positions, self.atoms.positions)
            and np.array_equal(cell, self.atoms.cell.array)
            and np.array_equal(pbc, self.atoms.pbc)
        )

    # -- restart ------------------------------------------------------------------------------------------------------

    def checkpoint_state(self) -> dict[str, Any]:
        """What a bit-exact restart needs beyond the atoms: step count, exact spins and lengths, random generator."""
        return {
            "nsteps": int(self.nsteps),
            "clock": {"time": self._clock.time, "step": int(self._clock.step), "timestep": self.dt},
            "integrator": self.integrator.state(),
            "spins": self._spins.copy(),
            "lengths": self._lengths.copy(),
            "rng": None if self.rng is None else self.rng.bit_generator.state,
            "motion": {} if self.motion is None else self.motion.state(),
        }

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave; the moments of the atoms are set from it."""
        self.nsteps = int(state["nsteps"])
        if "clock" in state:
            clock = Clock(**state["clock"])
            self._clock = clock.with_timestep(self.dt, self.nsteps)
        self.integrator.restore(state.get("integrator", {}))
        self._spins = np.array(state["spins"], dtype=np.float64)
        self._lengths = np.array(state["lengths"], dtype=np.float64)
        if self.motion is None:
            self._find_lengths(self._lengths[:, None] * self._spins)
        else:
            if self.motion.free_lengths:
                set_reference_lengths(self.atoms, self._lengths)
            self._start_motion()
            self.motion.restore(state.get("motion", {}))
        self._write_atoms()
        self._suspect = True
        if state["rng"] is not None and self.rng is not None:
            self.rng.bit_generator.state = state["rng"]


__all__: Sequence[str] = ["LLGConfig", "LLGDynamics", "make_integrator"]
