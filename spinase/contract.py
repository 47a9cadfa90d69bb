"""The contract between calculators and everything that drives or observes them.

Results of a calculator (units: metal or reduced):

===================  =====================================================================  ==================
``energy``           energy (electrons: internal energy Tr[rho H])                          energy
``free_energy``      what forces and fields are gradients of (F; Omega at fixed mu)         energy
``forces``           -dE/dr_i                                                               energy/length (N,3)
``stress``           (dE/d strain)/volume, Voigt xx yy zz yz xz xy, ASE's sign              energy/length^3 (6,)
``magnetic_forces``  effective field B_i = -dE/dm_i, full, not projected                    energy/moment (N,3)
``torques``          T_i = m_i x B_i                                                        energy (N,3)
===================  =====================================================================  ==================

E is ``free_energy`` where a calculator has it, else ``energy``.  A driven calculator (``conservative = False``) gives
``magnetic_forces`` that are no gradient, and refuses ``energy``.

Drivers and observers know calculators only through this module, so any ASE calculator with ``magnetic_forces`` works.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.outputs import Properties, all_outputs

from spinase.atoms import geometry_of, get_moments, get_reference_lengths, get_units, set_moments
from spinase.classical.local_model import LocalModel
from spinase.driver import Driver as Driver  # part of the contract, told on a page of its own
from spinase.errors import MissingMagneticForcesError, ModelError, MomentsIgnoredError, UnitMismatchError
from spinase.geometry import Bonds, Geometry
from spinase.learning.trust.domain import DomainProblem
from spinase.regions import LocalEnergy as LocalEnergy  # part of the contract, told with the regions it is for
from spinase.spin_algebra import rotate_about
from spinase.typing import FloatArray

FieldFunction = Callable[[FloatArray], FloatArray]
"""spins (N, 3) -> magnetic_forces B_i (N, 3), at frozen positions.

The spins may be shorter than 1 (midpoints of a step): E is then continued as a polynomial of free vectors."""


@runtime_checkable
class FastFields(Protocol):
    """Optional fast path of a calculator: fields as a function of the spins, without ASE's copies and cache."""

    def field_function(self, atoms: Atoms, lengths: FloatArray | None = None) -> FieldFunction:
        """Return B(spins) at the positions `atoms` has now, for moment lengths (N,) (default: those of `atoms`)."""
        ...


def has_fast_fields(calc: Any) -> TypeGuard[FastFields]:
    """Whether a calculator has the fast path of :class:`FastFields`."""
    return callable(getattr(calc, "field_function", None))


@runtime_checkable
class ErrorBars(Protocol):
    """What a learned calculator says of its own errors."""

    def error_bars(self, atoms: Atoms, coverage: float = 0.9) -> FloatArray:
        """Error bars of the tangent fields, (N,), energy/moment, that cover a part `coverage` of the true errors.

        Raises ModelError where there are none.
        """
        ...

    def domain_problem(self, atoms: Atoms, margin: float = 0.02) -> DomainProblem | None:
        """What of the atoms is unlike those of the training; None: nothing."""
        ...


def local_energy(calc: Any, atoms: Atoms | None = None) -> LocalEnergy:
    """A calculator as local energies, for engines that divide a magnet among processes.

    Parameters
    ----------
    calc : calculator
        A classical term, a learned model, or a sum of such.
    atoms : Atoms, optional
        The whole magnet, with moments: needed for neighbour shells that were given no distances, which are found on its
        magnetic sites once and become windows of distance.

    Raises
    ------
    ModelError
        If the calculator is global (electrons, dipoles), driven, or no calculator of spinase: says why.
    """
    if atoms is None:
        return local_energy_on(calc, None)
    reference = get_reference_lengths(atoms)
    lengths = np.linalg.norm(get_moments(atoms), axis=1) if reference is None else reference
    return local_energy_on(calc, replace(geometry_of(atoms), magnetic=lengths > 0.0))


def local_energy_on(calc: Any, geometry: Geometry | None) -> LocalEnergy:
    """The same for the geometry of a magnet that tells its magnetic sites."""
    hook = getattr(calc, "local_energy", None)
    if hook is None:
        raise ModelError(
            f"{type(calc).__name__} cannot be divided among regions: it has no method local_energy; use a potential of "
            "the distributed engine in its place, and add the spin terms to it"
        )
    return hook(geometry)


class NotConservativeError(PropertyNotImplementedError):
    """An energy was asked of a driven calculator, whose magnetic forces are no gradient."""


def calculator_of(atoms: Atoms) -> Any:
    """The calculator attached to `atoms`.

    Raises
    ------
    MissingMagneticForcesError
        If there is none.
    """
    if atoms.calc is None:
        raise MissingMagneticForcesError("the atoms have no calculator: set atoms.calc first")
    return atoms.calc


def is_conservative(calc: Any) -> bool:
    """Whether the magnetic forces of `calc` are declared to be the gradient of its energy (default: yes)."""
    return bool(getattr(calc, "conservative", True))


def check_units(atoms: Atoms, calc: Any) -> None:
    """Refuse a calculator that speaks another unit system than the atoms.

    A calculator says so with an attribute ``units`` (None: works in any); ASE's own calculators are in metal units.

    Raises
    ------
    UnitMismatchError
        Naming both unit systems.
    """
    declared = getattr(calc, "units", None)
    if declared is None and type(calc).__module__.startswith("ase.") and not hasattr(calc, "conservative"):
        declared = "metal"
    actual = get_units(atoms).name
    if isinstance(declared, str) and declared != actual:
        raise UnitMismatchError(
            f"{type(calc).__name__} works in {declared} units but the atoms are in {actual} units: convert the atoms "
            "(spinase.atoms.convert_units) or build the calculator in their units"
        )


def field_function(atoms: Atoms, calc: Any, lengths: FloatArray | None = None) -> FieldFunction:
    """B(spins) of any calculator at the positions `atoms` has now, for moment lengths (N,) (default: those of `atoms`).

    A driver passes the lengths it started with, so that round-off in |m| never enters a trajectory.

    Calculators with a fast path (:class:`FastFields`) are called without ASE's copies; any other is asked for
    ``magnetic_forces`` with the moments written into `atoms`.

    Raises
    ------
    MissingMagneticForcesError
        If the calculator has no ``magnetic_forces``.
    """
    require_magnetic_forces(calc)
    if has_fast_fields(calc):
        return calc.field_function(atoms, lengths)
    scale = np.linalg.norm(get_moments(atoms), axis=1) if lengths is None else lengths

    def fields(spins: FloatArray) -> FloatArray:
        """Magnetic forces with these spins written into the atoms, (N, 3), energy/moment."""
        before = get_moments(atoms)
        set_moments(atoms, scale[:, None] * spins)
        try:
            return np.asarray(calc.get_property("magnetic_forces", atoms), dtype=np.float64)
        finally:
            set_moments(atoms, before)

    return fields


def begin_step(calc: Any) -> None:
    """Tell a calculator that a step of a driver begins; one with a method ``begin_step`` may take new random vectors."""
    hook = getattr(calc, "begin_step", None)
    if hook is not None:
        hook()


def remember_step(calc: Any) -> Any:
    """What `calc` remembers between calls and a step may change (random phases, where a search starts); cheap.

    A calculator with a method ``step_state`` says so itself, another one is asked for its restart state.
    """
    hook = getattr(calc, "step_state", None) or getattr(calc, "checkpoint_state", None)
    return None if hook is None else hook()


def recall_step(calc: Any, state: Any) -> None:
    """Give `calc` back what :func:`remember_step` found, after a step that was not completed."""
    if not state:
        return
    hook = getattr(calc, "restore_step", None) or calc.restore_state
    hook(state)


def restart_state(calc: Any) -> Any:
    """What `calc` needs to go on exactly as if it had not been stopped; None for one without a memory.

    It is given back to ``calc.restore_state``.
    """
    hook = getattr(calc, "checkpoint_state", None)
    return None if hook is None else hook()


def declare_motion(calc: Any, moving: bool) -> None:
    """Tell a calculator whether positions change from step to step; one with a method ``declare_motion`` computes for that.

    Drivers do so when they bind it, so that what computes never depends on what was asked before.
    """
    for member in getattr(calc, "calculators", ()):
        declare_motion(member, moving)
    hook = getattr(calc, "declare_motion", None)
    if hook is not None:
        hook(moving)


def field_resolution(calc: Any) -> float:
    """Relative round-off of the magnetic forces of `calc` or of its coarsest member (``field_resolution``); zero: double."""
    members = (field_resolution(member) for member in getattr(calc, "calculators", ()))
    return max([float(getattr(calc, "field_resolution", 0.0)), *members])


def tell_time(calc: Any, time: float) -> None:
    """Tell a calculator what time it is; one with a method ``set_time`` may be driven by a function of time."""
    hook = getattr(calc, "set_time", None)
    if hook is not None:
        hook(time)


def bias_of(calc: Any) -> float | None:
    """The bias now, energy, of a driven device: a calculator with a ``bias``, or a member of a sum; None without one."""
    own = getattr(calc, "bias", None)
    if own is not None:
        return float(own)
    found = (bias_of(member) for member in getattr(calc, "calculators", ()))
    return next((bias for bias in found if bias is not None), None)


def members_of(calc: Any) -> tuple[Any, ...]:
    """Calculators that `calc` adds up; none if it is no sum."""
    return tuple(getattr(calc, "calculators", None) or ())


def gives(calc: Any, name: str) -> bool:
    """Whether `calc` declares a result of that name."""
    return name in getattr(calc, "implemented_properties", ())


def joined_pairs(calc: Any, atoms: Atoms) -> list[tuple[str, Bonds]]:
    """Pairs of sites that couplings of `calc` join, with the calculator's name; a calculator without couplings has none."""
    hook = getattr(calc, "joined_pairs", None)
    own = [] if hook is None else [(type(calc).__name__, bonds) for bonds in hook(atoms)]
    return own + [found for member in getattr(calc, "calculators", ()) for found in joined_pairs(member, atoms)]


def require_magnetic_forces(calc: Any) -> None:
    """Raise :class:`MissingMagneticForcesError` unless `calc` declares ``magnetic_forces``."""
    if not gives(calc, "magnetic_forces"):
        raise MissingMagneticForcesError(
            f"{type(calc).__name__} gives no magnetic_forces, so spins cannot be moved with it: use a spin calculator, "
            "or add one to it with SpinSumCalculator"
        )


def error_bars_of(atoms: Atoms, coverage: float = 0.9) -> FloatArray:
    """Error bars (N,) of the calculator's tangent fields, energy/moment (see :class:`ErrorBars`).

    Raises
    ------
    ModelError
        If the calculator has none, or none of this coverage.
    """
    calc = calculator_of(atoms)
    if not isinstance(calc, ErrorBars):
        raise ModelError(f"{type(calc).__name__} has no error bars: they belong to learned calculators (style 'hipnn')")
    return calc.error_bars(atoms, coverage)


def trained_domain_problem(atoms: Atoms, margin: float = 0.02) -> DomainProblem | None:
    """What of the atoms is outside the training of their learned calculator; None if nothing is (or it is not learned)."""
    calc = calculator_of(atoms)
    return calc.domain_problem(atoms, margin) if isinstance(calc, ErrorBars) else None


def trained_domains(calc: Any) -> list[str]:
    """One line for every learned calculator in `calc` (itself, or members of a sum): what it was trained on."""
    members = getattr(calc, "calculators", None)
    if members is not None:
        return [line for member in members for line in trained_domains(member)]
    hook = getattr(calc, "describe_domain", None)
    return [] if hook is None else [str(hook())]


def refused_properties(calc: Any) -> dict[str, str]:
    """Results that `calc` should have by its nature and cannot give, each with the reason.

    A sum of calculators must not take them for zero, as it does with results that a member has nothing to do with.
    """
    return dict(getattr(calc, "refused_properties", {}))


def require_forces(calc: Any, otherwise: str) -> None:
    """Raise :class:`ModelError` unless `calc` has forces on atoms.

    `otherwise` says what to do, if the calculator does not say why it has none.
    """
    if gives(calc, "forces"):
        return
    why = refused_properties(calc).get("forces", "")
    raise ModelError(f"{type(calc).__name__} has no forces on atoms: {why or otherwise}")


def local_model_of(atoms: Atoms, lengths: FloatArray | None = None) -> LocalModel:
    """The calculator of `atoms` as sums over sites and pairs, which is what sampling one spin at a time needs.

    For unit spins and moment lengths (N,) (default: those of `atoms`).

    Raises
    ------
    NotConservativeError
        If it describes a driven system.
    ModelError
        If it is no such sum (electrons, networks, dipoles), or lengths are measured against a reference.
    """
    refuse_reference_lengths(atoms, "sampling one spin at a time")
    calc = calculator_of(atoms)
    if not is_conservative(calc):
        raise NotConservativeError(f"{type(calc).__name__} describes a driven system: it has no energy to sample")
    hook = getattr(calc, "local_model", None)
    scale = np.linalg.norm(get_moments(atoms), axis=1) if lengths is None else lengths
    model = None if hook is None else hook(atoms, scale)
    if model is None:
        raise ModelError(
            f"{type(calc).__name__} has no cheap local energies, so one spin cannot be sampled at a time: use thermal spin "
            "dynamics (LLGDynamics with a temperature) with it"
        )
    return model


def refuse_reference_lengths(atoms: Atoms, what: str) -> None:
    """Refuse atoms whose moments are measured against reference lengths, for things that know unit spins only.

    Raises
    ------
    ModelError
    """
    if get_reference_lengths(atoms) is not None:
        raise ModelError(
            f"{what} works on unit spins, but these moments have reference lengths (from free-length dynamics): take them "
            "away with spinase.atoms.set_reference_lengths(atoms, None), which makes the present lengths the fixed ones"
        )


def ase_outputs(results: Mapping[str, Any]) -> Properties:
    """The results ASE has names for, as ``atoms.get_properties`` wants them (any other name makes it fail)."""
    return Properties({name: value for name, value in results.items() if name in all_outputs})


def energy_of(atoms: Atoms) -> float | None:
    """The energy whose gradients are the forces and fields (free energy if there is one); None for a driven system."""
    name = energy_name(calculator_of(atoms))
    return None if name is None else float(calculator_of(atoms).get_property(name, atoms))


def energy_name(calc: Any) -> str | None:
    """Which result is the energy whose gradients a calculator gives; None for driven systems."""
    if not is_conservative(calc):
        return None
    return next((name for name in ("free_energy", "energy") if gives(calc, name)), None)


def internal_energy_of(atoms: Atoms) -> float | None:
    """The calculator's ``energy`` (its free energy if it has no other); None for a driven system or without any."""
    calc = calculator_of(atoms)
    if not is_conservative(calc) or not gives(calc, "energy"):
        return energy_of(atoms)
    return float(calc.get_property("energy", atoms))


def applied_field_of(driver: Any) -> FloatArray | float:
    """The field (N, 3) that a driver applies to the moments now, energy/moment; 0.0 if it applies none.

    It belongs to no calculator: observers and logs of a driven magnet add it (see :mod:`spinase.measures`).
    """
    hook = getattr(driver, "applied_field", None)
    return 0.0 if hook is None else hook()


def atoms_of(driver: Any) -> Atoms:
    """The atoms that a driver moves; of an optimizer's view of them (``SpinOptimizable``), the atoms behind it."""
    moved = driver.atoms
    return moved if isinstance(moved, Atoms) else moved.atoms


def time_of(driver: Any) -> float:
    """What a driver's clock says now, time; of a driver without one (an optimizer), the number of its steps."""
    clock = getattr(driver, "get_time", None)
    return float(driver.nsteps) if clock is None else float(clock())


@runtime_checkable
class SeesAppliedField(Protocol):
    """An observer whose numbers contain the field that the driver applies."""

    def set_applied_field(self, field: FloatArray | float) -> None:
        """Take the field (N, 3), energy/moment, or 0.0 for none, for the observations that follow."""
        ...


def is_linear_in_each_spin(atoms: Atoms, calc: Any) -> bool:
    """Whether the energy is known to be linear in each spin (exchange, DMI, Zeeman)."""
    hook = getattr(calc, "local_model", None)
    if hook is None or get_reference_lengths(atoms) is not None:
        return False
    model = hook(atoms, np.linalg.norm(get_moments(atoms), axis=1))
    return model is not None and model.is_linear_in_each_spin


def probe_moments(atoms: Atoms, calc: Any) -> None:
    """Check once that the answers of `calc` depend on the moments, by turning every spin a little.

    Raises
    ------
    MomentsIgnoredError
        If neither fields nor energy change.
    """
    probe = atoms.copy()
    probe.calc = calc
    before = np.asarray(calc.get_property("magnetic_forces", probe))
    energy = energy_of(probe)
    axes = np.random.default_rng(7).normal(size=(len(probe), 3))
    set_moments(probe, rotate_about(get_moments(probe), 0.3 * axes))
    changed = not np.array_equal(before, np.asarray(calc.get_property("magnetic_forces", probe)))
    if not changed and (energy is None or energy == energy_of(probe)):
        raise MomentsIgnoredError(
            f"{type(calc).__name__} returns the same magnetic_forces and energy for different moments: it ignores them "
            "(or caches without them); it cannot drive spins.  If this is meant (free spins), pass probe=False"
        )
