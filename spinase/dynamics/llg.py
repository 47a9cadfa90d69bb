"""Landau-Lifshitz-Gilbert dynamics of the spins of any ASE calculator that gives magnetic forces."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Annotated, Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.md.md import MolecularDynamics
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from spinase.atoms import (
    describe_columns,
    get_g_factors,
    get_moments,
    get_reference_lengths,
    get_spins,
    get_units,
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
    field_function,
    probe_moments,
    require_magnetic_forces,
    tell_time,
)
from spinase.dynamics.integrators import Integrator
from spinase.dynamics.log import SpinLogger
from spinase.dynamics.motion import FreeLengthSpins, InertialSpins, SpinMotion
from spinase.dynamics.ramp import FieldRampConfig, RampConfig, Temperature, built
from spinase.errors import AccuracyWarning, InvalidMomentsError, ModelError, StyleError
from spinase.spin_algebra import as_vectors, precession_vector, read_only
from spinase.styles import load_style

FloatArray = NDArray[np.float64]
AppliedField = ArrayLike | Callable[[float], ArrayLike]


_LARGE_TURN = 3.2  # radian in one step: half a turn
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


class LLGDynamics(MolecularDynamics):
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
    rng : numpy Generator, optional
        Source of the thermal field; required when there is a temperature.
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
        form: Literal["landau-lifshitz-gilbert", "landau-lifshitz"] = "landau-lifshitz-gilbert",
        kT: Temperature = 0.0,  # noqa: N803
        temperature_K: Temperature | None = None,  # noqa: N803
        field: AppliedField | None = None,
        frozen: ArrayLike | None = None,
        axes: ArrayLike | None = None,
        motion: SpinMotion | None = None,
        rng: np.random.Generator | None = None,
        trajectory: str | None = None,
        logfile: IO[str] | str | None = None,
        loginterval: int = 1,
        probe: bool = True,
    ) -> None:
        _require("timestep", timestep, timestep > 0)
        _require("damping", damping, damping >= 0)
        if form not in ("landau-lifshitz-gilbert", "landau-lifshitz"):
            raise ModelError(f"form must be 'landau-lifshitz-gilbert' or 'landau-lifshitz', got {form!r}")
        super().__init__(atoms, timestep, trajectory=trajectory, loginterval=loginterval)
        self.damping, self.form, self.rng = float(damping), form, rng
        self.integrator = make_integrator(integrator)
        self.unit_system = get_units(atoms)
        self.kT = self._thermal_energy(kT, temperature_K)
        self.field = field if field is None or callable(field) else read_only(field)
        self.motion = motion
        self.mobile = mobile_mask(frozen, len(atoms))
        self._projectors = rotation_projectors(axes, len(atoms))
        self._constrained: NDArray[np.bool_] = np.zeros(len(atoms), dtype=bool)
        if axes is not None:
            self._constrained = np.linalg.norm(as_vectors(axes, len(atoms), "rotation axes"), axis=1) > 0.0
        self._stretch: FloatArray | None = None  # lengths of the spins where they are not 1
        if self._projectors is not None and motion is not None:
            raise ModelError("spins constrained to an axis need the LLG equation: leave out motion")
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
        self.applied_field()
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
        """Advance the spins by one time step; the moments of the atoms follow before anyone else can look."""
        if self._suspect:
            self._sync()
        begin_step(self.atoms.calc)
        self._turn(self.dt)
        self._tell_time(self.dt)
        self._dirty = True
        if not self._inside_run or self._observers_due(self.nsteps + 1):
            self._write_atoms()

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
            if thermal is not None:
                total = total + thermal
            if self._projectors is not None:
                deterministic = total if thermal is None else total - thermal
                total = total - self._along_axes(deterministic)
            unit = spins if self._stretch is None else spins / self._stretch[:, None]
            vector = precession_vector(unit, total, prefactor, alpha)
            if self._relative_g is not None:
                vector = vector * self._relative_g
            if self._projectors is not None:
                vector = np.einsum("iab,ib->ia", self._projectors, vector)
            return vector if everything_moves else vector * self.mobile[:, None]

        self._spins = self.integrator.step(self._spins, rate, timestep)

    def _along_axes(self, field: FloatArray) -> FloatArray:
        """Part of the field along the axes of constrained spins: the constraint takes it up, or it would do work."""
        assert self._projectors is not None
        along = np.einsum("iab,ib->ia", self._projectors, field)
        return np.where(self._constrained[:, None], along, 0.0)

    def _move_otherwise(self, motion: SpinMotion, timestep: float, start: float) -> None:
        fields = self._fields
        assert fields is not None

        def field(spins: FloatArray, fraction: float) -> FloatArray:
            self._tell_time(start + fraction * timestep)
            return fields(spins) + self.applied_field((start + fraction * timestep) / self.dt)

        kT = self.bath_temperature()
        if kT > 0.0 and not motion.is_damped():
            raise ModelError(f"kT = {kT} without damping: the bath couples to the spins through it; set {motion.damped_by}")
        if kT > 0.0 and self.rng is None:
            raise ModelError("a temperature needs a random generator: pass rng=numpy.random.default_rng(seed)")
        self._spins = motion.turn(self._spins, field, timestep, kT, self.rng)

    def _tell_time(self, since: float) -> None:
        """Tell a calculator that is driven by a function of time what time it is, `since` the last step."""
        tell_time(self.atoms.calc, self.get_time() + since)

    def bath_temperature(self) -> float:
        """Temperature of the spin bath now, as an energy."""
        if not callable(self.kT):
            return self.kT
        value = float(self.kT(self.get_time()))
        _require("kT", value, value >= 0)
        return value

    def applied_field(self, fraction: float = 0.0) -> FloatArray | float:
        """Applied field (N, 3) at `fraction` of the coming step, energy/moment; 0.0 if there is none."""
        if self.field is None:
            return 0.0
        value = self.field(self.get_time() + fraction * self.dt) if callable(self.field) else self.field
        return as_vectors(value, len(self.atoms), "applied field")

    def zeeman_energy(self) -> float:
        """Energy -sum_i m_i.B_i of the moments in the driver's applied field now; not part of the calculator's energy."""
        return -float(np.sum(get_moments(self.atoms) * self.applied_field()))

    def _thermal_field(self, timestep: float) -> FloatArray | None:
        kT = self.bath_temperature()
        if kT == 0.0:
            return None
        if self.rng is None:
            raise ModelError("a temperature needs a random generator: pass rng=numpy.random.default_rng(seed)")
        if self.damping == 0.0:
            raise ModelError(f"kT = {kT} with damping = 0: the bath couples to the spins through the damping; set it")
        alpha = self.damping if self.form == "landau-lifshitz-gilbert" else self.damping / (1.0 + self.damping**2)
        strength = 2.0 * alpha * kT / (self._gamma * timestep)
        noise = self.rng.standard_normal((len(self.atoms), 3))
        lengths = self._lengths if self._stretch is None else self._lengths * self._stretch
        return noise * np.sqrt(strength / np.where(lengths > 0.0, lengths, np.inf))[:, None]

    def _thermal_energy(self, energy: Temperature, kelvin: Temperature | None) -> Temperature:
        if kelvin is None:
            if callable(energy):
                return energy
            _require("kT", energy, energy >= 0)
            return float(energy)
        if energy:
            raise ModelError("give the temperature once: kT (energy) or temperature_K (kelvin)")
        if self.unit_system.name != "metal":
            raise ModelError(f"temperature_K needs metal units; these atoms are in {self.unit_system.name} units: give kT")
        if callable(kelvin):
            return lambda time: self.unit_system.boltzmann * float(kelvin(time))
        _require("temperature_K", kelvin, kelvin >= 0)
        return float(kelvin) * self.unit_system.boltzmann

    # -- atoms in, atoms out ------------------------------------------------------------------------------------------

    def irun(self, steps: int = 50) -> Iterator[bool]:
        """Run as a generator, as ASE's drivers do; the calculator is probed before the first step."""
        self._check_calculator()
        self._tell_time(0.0)
        if self.probe and self.nsteps == 0:
            probe_moments(self.atoms, calculator_of(self.atoms))
            self._announce_large_steps()
        self._fields = None
        for done in super().irun(steps):
            self._suspect = self._suspect or not self._inside_run
            yield done

    def _announce_large_steps(self) -> None:
        """Warn if the time step cannot follow the precession, which usually means units mixed up."""
        fields = np.asarray(calculator_of(self.atoms).get_property("magnetic_forces", self.atoms)) + self.applied_field()
        across = np.cross(get_spins(self.atoms), fields)  # a field along the spin turns nothing: electrons give large ones
        angle = self.dt * float((self._gamma * np.linalg.norm(across, axis=1)).max(initial=0.0))
        if angle > _LARGE_TURN:
            hint = " (ASE's unit of time is 10.18 fs: use ase.units.fs)" if self.unit_system.name == "metal" else ""
            warnings.warn(
                f"time step {self.dt:.4g}: spins turn by up to {angle:.2g} radian in one step{hint}; the motion cannot be "
                "followed, reduce the time step",
                AccuracyWarning,
                stacklevel=4,
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
            self._fields = field_function(self.atoms, calculator_of(self.atoms), self._lengths)
            atoms = self.atoms
            self._bound = (atoms.calc, *(x.copy() for x in (atoms.positions, atoms.numbers, atoms.cell.array, atoms.pbc)))

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
            "spins": self._spins.copy(),
            "lengths": self._lengths.copy(),
            "rng": None if self.rng is None else self.rng.bit_generator.state,
            "motion": {} if self.motion is None else self.motion.state(),
        }

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave; the moments of the atoms are set from it."""
        self.nsteps = int(state["nsteps"])
        self._spins = np.array(state["spins"], dtype=np.float64)
        self._lengths = np.array(state["lengths"], dtype=np.float64)
        if self.motion is None:
            self._find_lengths(self._lengths[:, None] * self._spins)
        else:
            if self.motion.free_lengths:
                set_reference_lengths(self.atoms, self._lengths)
            self.motion.begin(self._spins, self._lengths, self.mobile, self.damping, self._gamma)
            self.motion.restore(state.get("motion", {}))
        self._write_atoms()
        self._suspect = True
        if state["rng"] is not None and self.rng is not None:
            self.rng.bit_generator.state = state["rng"]

    def todict(self) -> dict[str, Any]:
        """What ASE's trajectory stores about the run."""
        return {**super().todict(), "damping": self.damping, "form": self.form, "kT": self.bath_temperature()}


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


def mobile_mask(frozen: ArrayLike | None, sites: int) -> NDArray[np.bool_]:
    """Which spins move, (N,), from a mask or indices of frozen ones.

    Raises
    ------
    ModelError
        On a mask of another length or an index that is no site.
    """
    mobile = np.ones(sites, dtype=bool)
    if frozen is None:
        return mobile
    chosen = np.asarray(frozen)
    if chosen.dtype == bool and chosen.shape != (sites,):
        raise ModelError(f"frozen as a mask needs {sites} entries, got shape {chosen.shape}")
    if chosen.dtype != bool and chosen.size and (chosen.min() < 0 or chosen.max() >= sites):
        wrong = chosen.max() if chosen.max() >= sites else chosen.min()
        raise ModelError(f"frozen index {wrong} is not a site 0..{sites - 1}")
    mobile[chosen if chosen.dtype == bool else chosen.astype(int)] = False
    return mobile


def rotation_projectors(axes: ArrayLike | None, sites: int) -> FloatArray | None:
    """Projectors (N, 3, 3) on the axes about which spins may turn, the unit matrix for zero axes; None if all are zero."""
    if axes is None:
        return None
    rows = as_vectors(axes, sites, "rotation axes")
    lengths = np.linalg.norm(rows, axis=1)
    if not lengths.any():
        return None
    units = rows / np.where(lengths > 0.0, lengths, 1.0)[:, None]
    return np.where((lengths > 0.0)[:, None, None], units[:, :, None] * units[:, None, :], np.eye(3))


def _require(name: str, value: float, good: bool) -> None:
    if not (np.isfinite(value) and good):
        raise ModelError(f"{name} must be finite and not negative (a timestep: positive), got {value}")


__all__: Sequence[str] = ["LLGConfig", "LLGDynamics", "make_integrator"]
