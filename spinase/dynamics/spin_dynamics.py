"""Drivers whose spins follow an equation of motion: LLG with damping, noise and constraints, or another one."""

from __future__ import annotations

import warnings
from typing import IO, Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from spinase.atoms import get_reference_lengths, get_spins
from spinase.brief import call
from spinase.contract import FieldFunction, calculator_of, energy_of, field_function, field_resolution
from spinase.dynamics.base import AppliedField, SpinDriver
from spinase.dynamics.constrained import TurningAxes
from spinase.dynamics.equation import (
    AppliedFieldTerm,
    CalculatorField,
    Equation,
    FieldTerm,
    Form,
    Part,
    Precession,
    responses,
    total_field,
)
from spinase.dynamics.integrators import Integrator, make_integrator
from spinase.dynamics.motion import SpinMotion
from spinase.dynamics.ramp import Temperature
from spinase.dynamics.relax import SpinOptimizable
from spinase.dynamics.settings import checked, written
from spinase.dynamics.step_check import SMALL_ANGLE, StepSetting, bath_problem, following_share, motion_problem
from spinase.dynamics.unit_guard import StepNumbers
from spinase.errors import ModelError, UnstableStateWarning
from spinase.typing import FloatArray

_STILL = 1e-12  # torques that are none, relative to the largest field


class SpinDynamics(SpinDriver):
    """Spins that follow the LLG equation, or another `motion`, in time; with atoms at rest, or in a subclass moving.

    Options are those of :class:`~spinase.dynamics.LLGDynamics`.
    """

    def __init__(
        self,
        atoms: Atoms,
        timestep: float | str,
        *,
        damping: float = 0.0,
        integrator: str | Integrator = "sib",
        form: Form = "landau-lifshitz-gilbert",
        kT: Temperature | str = 0.0,  # noqa: N803
        temperature_K: Temperature | str | None = None,  # noqa: N803
        field: AppliedField | str | None = None,
        frozen: ArrayLike | None = None,
        axes: ArrayLike | None = None,
        motion: SpinMotion | None = None,
        rng: np.random.Generator | int | None = None,
        trajectory: str | None = None,
        logfile: IO[str] | str | None = None,
        loginterval: int = 1,
        probe: bool = True,
    ) -> None:
        self._motion: SpinMotion | None = None
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
            probe=probe,
        )
        self.damping, self.form = damping, form
        self.integrator = make_integrator(integrator)
        self.axes = axes
        self.motion = motion
        self._start(logfile, loginterval, free_lengths=motion is not None and motion.free_lengths)

    def __repr__(self) -> str:
        kT = None if self.kT == 0.0 else self.kT
        return call(
            type(self).__name__,
            sites=len(self.atoms),
            steps_done=self.nsteps,
            calculator=self.atoms.calc,
            timestep=written(self.dt, "time", self.unit_system),
            damping=self.damping,
            integrator=type(self.integrator).__name__,
            motion=None if self.motion is None else type(self.motion).__name__,
            kT=written(kT, "kT", self.unit_system),
            field=self.field,
        )

    # -- options ------------------------------------------------------------------------------------------------------

    @property
    def damping(self) -> float:
        """Gilbert damping alpha."""
        return self._damping

    @damping.setter
    def damping(self, value: float) -> None:
        self._damping = checked("damping", value)
        self._options_changed()

    @property
    def form(self) -> Form:
        """With or without the factor 1/(1 + alpha^2)."""
        return self._form

    @form.setter
    def form(self, value: Form) -> None:
        if value not in ("landau-lifshitz-gilbert", "landau-lifshitz"):
            raise ModelError(f"form must be 'landau-lifshitz-gilbert' or 'landau-lifshitz', got {value!r}")
        self._form = value
        self._options_changed()

    @property
    def integrator(self) -> Integrator:
        """How a step is made; a name may be set."""
        return self._integrator

    @integrator.setter
    def integrator(self, value: str | Integrator) -> None:
        self._integrator = make_integrator(value)

    @property
    def axes(self) -> FloatArray | None:
        """Axes (N, 3) about which spins turn; zero rows turn freely."""
        return None if self._axes is None else self._axes.units

    @axes.setter
    def axes(self, value: ArrayLike | None) -> None:
        self._axes = TurningAxes.build(value, len(self.atoms))
        self._check_motion(self._motion)

    @property
    def motion(self) -> SpinMotion | None:
        """Another equation of motion than LLG."""
        return self._motion

    @motion.setter
    def motion(self, value: SpinMotion | None) -> None:
        self._check_motion(value)
        if self._ready and value is not self._motion:
            raise ModelError("the equation of motion cannot change during a run: make a new driver on these atoms")
        self._motion = value

    def todict(self) -> dict[str, Any]:
        """What ASE's trajectory stores about the run."""
        return {**super().todict(), "damping": self.damping, "form": self.form}

    # -- checks -------------------------------------------------------------------------------------------------------

    def _check_motion(self, motion: SpinMotion | None) -> None:
        if motion is not None and self._axes is not None:
            raise ModelError("spins constrained to an axis need the LLG equation: leave out motion")

    def _check_coupling(self) -> None:
        """Refuse a bath at a positive temperature that is coupled to nothing."""
        kT = self.bath_temperature()
        if kT == 0.0:
            return
        if self._motion is not None and not self._motion.is_damped():
            raise ModelError(
                f"kT = {kT} without damping: the bath couples to the spins through it; set {self._motion.damped_by}"
            )
        if self._motion is None and self.damping == 0.0:
            raise ModelError(f"kT = {kT} with damping = 0: the bath couples to the spins through the damping; set it")

    def _is_damped(self) -> bool:
        """Whether a bath is coupled to the spins."""
        return self.damping > 0.0 if self.motion is None else self.motion.is_damped()

    def _options_changed(self) -> None:
        if not self._ready:
            return
        self._law = Precession(self.unit_system.gyromagnetic_ratio, self.damping, self.form)
        self._moving = None if self.mobile.all() else self.mobile[:, None]
        self._took_spins()

    def _took_spins(self) -> None:
        if self.motion is not None:
            spins = self._spins
            self.motion.begin(spins.spins, spins.lengths, self.mobile, self.damping, spins.gamma)

    # -- the equation -------------------------------------------------------------------------------------------------

    def fields(self, part: Part) -> tuple[FieldTerm, ...]:
        """Fields on the spins in a part of the coming step, without noise."""
        assert self._fields is not None
        calculator = CalculatorField(self._fields, self._tell_time, part)
        return (calculator,) if self.field is None else (calculator, AppliedFieldTerm(self.applied_field, part, self.dt))

    def equation(self, part: Part) -> Equation:
        """What the spins follow in a part of the coming step, with the noise of that part drawn."""
        axes = self._axes
        return Equation(
            self.fields(part),
            self._law,
            constrain=() if axes is None else (axes.across,),
            noise=self._thermal_fields(part.duration),
            respond=responses(self._spins.relative_g, axes, self._moving),
            stretch=self._spins.stretch,
        )

    def _bind_fields(self) -> None:
        super()._bind_fields()
        self.integrator.resolution = field_resolution(self.atoms.calc)

    def _turn(self, timestep: float, start: float = 0.0) -> None:
        spins, part = self._spins, Part(start, timestep)
        if self.motion is None:
            spins.spins = self.integrator.step(spins.spins, self.equation(part), timestep)
            return
        self._check_coupling()
        terms, kT = self.fields(part), self.bath_temperature()
        spins.spins = self.motion.turn(
            spins.spins, lambda s, fraction: total_field(terms, s, fraction), timestep, kT, self.rng
        )

    def _thermal_fields(self, timestep: float) -> tuple[FloatArray, ...]:
        """Thermal field of this part of a step; none at zero temperature."""
        kT, spins = self.bath_temperature(), self._spins
        if kT == 0.0:
            return ()
        self._check_coupling()
        assert self.rng is not None
        thermal = self._law.thermal_field(kT, spins.gamma, spins.moment_lengths(), timestep, self.rng)
        return (thermal if self._axes is None else self._axes.thermal(thermal, self.damping),)

    # -- what a step works with ---------------------------------------------------------------------------------------

    def look_at_step(self) -> tuple[StepNumbers, list[str]]:
        """What a step from here works with, and what looks wrong with it: units, size, bath, slow motion."""
        numbers = self.step_numbers()
        if not np.isfinite(numbers.fields).all():
            return numbers, []  # the first step says so, and where
        spins, share = get_spins(self.atoms), 0.0
        moving = self.mobile & (numbers.lengths > 0.0)
        faster = self._spins.gamma / self.unit_system.gyromagnetic_ratio
        along = (faster * np.einsum("ia,ia->i", spins, numbers.fields))[moving]
        if numbers.angle(numbers.largest) > SMALL_ANGLE:
            share = following_share(self._total_fields(), spins, moving)
        problems = numbers.problems(share)
        if self.motion is None and self.axes is None:
            gamma = self.unit_system.gyromagnetic_ratio
            setting = StepSetting(self.integrator, self._spin_step(), gamma, self.damping, self.form)
            problem = bath_problem(setting, along, share) if numbers.kT > 0.0 else None
            problem = motion_problem(setting, along, share) if problem is None else problem
            problems += [] if problem is None else [problem]
        return numbers, problems

    def _total_fields(self) -> FieldFunction:
        fields, applied = field_function(self.atoms, calculator_of(self.atoms), self._spins.lengths), self.applied_field()
        return lambda spins: fields(spins) + applied

    def _spin_step(self) -> float:
        """Time step of the spins."""
        return self.dt

    def _warn_of_the_state(self, numbers: StepNumbers) -> None:
        """Spins along their fields do not move, whether the state is a minimum or not."""
        still = numbers.across[self.mobile].max(initial=0.0) <= _STILL * numbers.largest
        still = still and numbers.largest > 0.0  # free spins are no saddle
        if not still or self.damping == 0.0 or numbers.kT > 0.0 or self.field is not None or self.motion is not None:
            return
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

    # -- whole steps and restart --------------------------------------------------------------------------------------

    def _remember(self) -> dict[str, Any]:
        motion = {} if self.motion is None else self.motion.state()
        return {**super()._remember(), "motion": motion, "integrator": self.integrator.state()}

    def _recall(self, before: dict[str, Any]) -> None:
        if self.motion is not None:
            self.motion.restore(before["motion"])
        self.integrator.restore(before["integrator"])
        super()._recall(before)

    def checkpoint_state(self) -> dict[str, Any]:
        """What a bit-exact restart needs: also the memories of integrator and motion."""
        motion = {} if self.motion is None else self.motion.state()
        return {**super().checkpoint_state(), "motion": motion, "integrator": self.integrator.state()}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave; the moments of the atoms are set from it."""
        super().restore_state(state)
        self.integrator.restore(state["integrator"])
        self._took_spins()
        if self.motion is not None:
            self.motion.restore(state["motion"])


__all__ = ["SpinDynamics"]
