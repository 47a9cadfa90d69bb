"""What all drivers of spins have: options that are checked whenever they are set, and a clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.md.md import MolecularDynamics
from numpy.typing import ArrayLike

from spinase.atoms import get_moments, get_units
from spinase.dynamics.constrained import TurningAxes, mobile_mask
from spinase.dynamics.integrators import Integrator
from spinase.dynamics.motion import SpinMotion
from spinase.dynamics.ramp import Temperature
from spinase.dynamics.settings import Clock, as_generator, checked
from spinase.errors import ModelError, StyleError
from spinase.spin_algebra import as_vectors
from spinase.styles import load_style
from spinase.typing import BoolArray, FloatArray

AppliedField = ArrayLike | Callable[[float], ArrayLike]
Form = Literal["landau-lifshitz-gilbert", "landau-lifshitz"]


class SpinDriver(MolecularDynamics):
    """Options and clock of a driver of spins.

    Every option of the constructor is an attribute of the same name, and may be changed between steps; a value that the
    constructor refuses is refused then as well.  Time is counted as it passes: another time step changes nothing before it.
    """

    def __init__(
        self,
        atoms: Atoms,
        timestep: float,
        *,
        damping: float,
        integrator: str | Integrator,
        form: Form,
        kT: Temperature,  # noqa: N803
        temperature_K: Temperature | None,  # noqa: N803
        field: AppliedField | None,
        frozen: ArrayLike | None,
        axes: ArrayLike | None,
        motion: SpinMotion | None,
        rng: np.random.Generator | int | None,
        trajectory: str | None,
        loginterval: int,
    ) -> None:
        self._ready = False
        self.atoms, self.nsteps, self._clock = atoms, 0, Clock()
        self._rng: np.random.Generator | None = None
        self._motion: SpinMotion | None = None
        checked("timestep", timestep, positive=True)
        super().__init__(atoms, timestep, trajectory=trajectory, loginterval=loginterval)
        self.unit_system = get_units(atoms)
        self.damping, self.form = damping, form
        self.integrator = make_integrator(integrator)
        self.rng = rng  # type: ignore[assignment]
        if temperature_K is None:
            self.kT = kT
        elif callable(kT) or kT:
            raise ModelError("give the temperature once: kT (energy) or temperature_K (kelvin)")
        else:
            self.temperature_K = temperature_K
        self.field, self.frozen, self.axes = field, frozen, axes
        self.motion = motion

    # -- clock --------------------------------------------------------------------------------------------------------

    @property
    def dt(self) -> float:
        """Time step; changing it leaves the elapsed time as it is."""
        return self._clock.timestep

    @dt.setter
    def dt(self, value: float) -> None:
        self._clock = self._clock.with_timestep(checked("timestep", value, positive=True), self.nsteps)

    @property
    def timestep(self) -> float:
        """Time step (ASE calls it ``dt``)."""
        return self.dt

    @timestep.setter
    def timestep(self, value: float) -> None:
        self.dt = value

    def get_time(self) -> float:
        """Time elapsed since the start."""
        return self._clock.at(self.nsteps)

    # -- options ------------------------------------------------------------------------------------------------------

    @property
    def damping(self) -> float:
        """Gilbert damping alpha."""
        return self._damping

    @damping.setter
    def damping(self, value: float) -> None:
        self._damping = checked("damping", value)
        self._begin_motion()

    @property
    def form(self) -> Form:
        """With or without the factor 1/(1 + alpha^2)."""
        return self._form

    @form.setter
    def form(self, value: Form) -> None:
        if value not in ("landau-lifshitz-gilbert", "landau-lifshitz"):
            raise ModelError(f"form must be 'landau-lifshitz-gilbert' or 'landau-lifshitz', got {value!r}")
        self._form = value

    @property
    def integrator(self) -> Integrator:
        """How a step is made; a name may be set."""
        return self._integrator

    @integrator.setter
    def integrator(self, value: str | Integrator) -> None:
        self._integrator = make_integrator(value)

    @property
    def rng(self) -> np.random.Generator | None:
        """Source of the thermal field; a seed may be set."""
        return self._rng

    @rng.setter
    def rng(self, value: np.random.Generator | int | None) -> None:
        self._rng = None if value is None else as_generator(value, "a driver with a temperature")

    @property
    def kT(self) -> Temperature:  # noqa: N802
        """Temperature of the spin bath as an energy, or a function of time."""
        return self._kT

    @kT.setter
    def kT(self, value: Temperature) -> None:  # noqa: N802
        known: Temperature = value if callable(value) else checked("kT", value)
        self._check_temperature(known)
        self._kT = known

    @property
    def temperature_K(self) -> float:  # noqa: N802
        """Temperature of the spin bath now, kelvin (metal units)."""
        return self.bath_temperature() / self._metal_units().boltzmann

    @temperature_K.setter
    def temperature_K(self, value: Temperature) -> None:  # noqa: N802
        boltzmann = self._metal_units().boltzmann
        if callable(value):
            self.kT = lambda time: boltzmann * float(value(time))
        else:
            self.kT = boltzmann * checked("temperature_K", value)

    @property
    def field(self) -> AppliedField | None:
        """Applied field (3,) or (N, 3), energy/moment, or a function of time."""
        return self._field

    @field.setter
    def field(self, value: AppliedField | None) -> None:
        given = value(self.get_time()) if callable(value) else value
        known = None if given is None else as_vectors(given, len(self.atoms), "applied field")
        self._field = value if callable(value) else known  # a copy: the caller's array may change

    @property
    def frozen(self) -> BoolArray:
        """Mask (N,) of spins that do not move; indices may be set."""
        return ~self.mobile

    @frozen.setter
    def frozen(self, value: ArrayLike | None) -> None:
        self.mobile = mobile_mask(value, len(self.atoms))
        self._begin_motion()

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

    def bath_temperature(self) -> float:
        """Temperature of the spin bath now, as an energy."""
        return checked("kT", self.kT(self.get_time())) if callable(self.kT) else self.kT

    def applied_field(self, fraction: float = 0.0) -> FloatArray | float:
        """Applied field (N, 3) at `fraction` of the coming step, energy/moment; 0.0 if there is none."""
        if self._field is None:
            return 0.0
        value = self._field(self.get_time() + fraction * self.dt) if callable(self._field) else self._field
        return as_vectors(value, len(self.atoms), "applied field")

    def zeeman_energy(self) -> float:
        """Energy -sum_i m_i.B_i of the moments in the driver's applied field now; not part of the calculator's energy."""
        return -float(np.sum(get_moments(self.atoms) * self.applied_field()))

    def todict(self) -> dict[str, Any]:
        """What ASE's trajectory stores about the run."""
        return {**super().todict(), "damping": self.damping, "form": self.form, "kT": self.bath_temperature()}

    # -- checks -------------------------------------------------------------------------------------------------------

    def _check_temperature(self, kT: Temperature) -> None:  # noqa: N803
        """Refuse a temperature without a generator."""
        if (callable(kT) or kT > 0.0) and self._rng is None:
            as_generator(None, "a temperature")

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

    def _begin_motion(self) -> None:
        """Tell the motion of new options."""

    def _metal_units(self) -> Any:
        if self.unit_system.name != "metal":
            raise ModelError(f"temperature_K needs metal units; these atoms are in {self.unit_system.name} units: give kT")
        return self.unit_system


def make_integrator(choice: str | Integrator) -> Integrator:
    """The integrator called `choice`, built in or of a plugin (or `choice` itself).

    Raises
    ------
    StyleError
        If there is none of that name, or it is no :class:`Integrator`.
    """
    found = choice if isinstance(choice, Integrator) else load_style("integrators", choice)()
    if not isinstance(found, Integrator):
        raise StyleError(f"integrator {choice!r} makes a {type(found).__name__}: it must derive from Integrator")
    return found


__all__ = ["AppliedField", "Form", "SpinDriver", "make_integrator"]
