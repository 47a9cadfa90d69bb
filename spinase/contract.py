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
from spinase.driver import Driver as Driver  # part of the contract, as the next ones: told on pages of their own
from spinase.driver import SeesAppliedField as SeesAppliedField
from spinase.driver import applied_field_of as applied_field_of
from spinase.driver import atoms_of as atoms_of
from spinase.driver import time_of as time_of
from spinase.errors import MissingMagneticForcesError, ModelError, MomentsIgnoredError, UnitMismatchError
from spinase.geometry import Geometry
from spinase.hooks import begin_step as begin_step
from spinase.hooks import bias_of as bias_of
from spinase.hooks import declare_motion as declare_motion
from spinase.hooks import field_resolution as field_resolution
from spinase.hooks import follows_time as follows_time
from spinase.hooks import gives as gives
from spinase.hooks import joined_pairs as joined_pairs
from spinase.hooks import members_of as members_of
from spinase.hooks import recall_step as recall_step
from spinase.hooks import refused_properties as refused_properties
from spinase.hooks import remember_step as remember_step
from spinase.hooks import require_forces as require_forces
from spinase.hooks import require_magnetic_forces as require_magnetic_forces
from spinase.hooks import restart_state as restart_state
from spinase.hooks import tell_time as tell_time
from spinase.learning.trust.domain import DomainProblem
from spinase.regions import LocalEnergy as LocalEnergy  # part of the contract, told with the regions it is for
from spinase.spin_algebra import rotate_about
from spinase.typing import FloatArray

_UNIT = 1e-9  # relative: moments of their reference lengths are unit spins

FieldFunction = Callable[[FloatArray], FloatArray]
"""spins (N, 3) -> magnetic_forces B_i (N, 3), at frozen positions.

The spins may be shorter than 1 (midpoints of a step): E is then continued as a polynomial of free vectors."""


@runtime_checkable
class FastFields(Protocol):
    """Optional fast path of a calculator: fields as a function of the spins, without ASE's copies and cache."""

    def field_function(self, atoms: Atoms, lengths: FloatArray | None = None) -> FieldFunction:
        """Return B(spins) at the positions `atoms` has now, for moment lengths (N,) (default: those of `atoms`).

        Parameters
        ----------
        atoms : Atoms
            Sites that stay; their spins do not matter.
        lengths : (N,) ndarray, optional
            Of the moments, mu_B or |m|; default: those of `atoms`.
        """
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

        Parameters
        ----------
        atoms : Atoms
            With moments.
        coverage : float
            Between 0 and 1.
        """
        ...

    def domain_problem(self, atoms: Atoms, margin: float = 0.02) -> DomainProblem | None:
        """What of the atoms is unlike those of the training; None: nothing.

        Parameters
        ----------
        atoms : Atoms
            With moments.
        margin : float
            Part by which distances may be below the shortest one.
        """
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
    """The same for the geometry of a magnet that tells its magnetic sites.

    Parameters
    ----------
    calc : calculator
        As in :func:`local_energy`.
    geometry : Geometry or None
        With ``magnetic``.
    """
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

    Parameters
    ----------
    atoms : Atoms
        Whose units count.
    calc : calculator
        Any.

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

    Parameters
    ----------
    atoms : Atoms
        Sites that stay.
    calc : calculator
        With ``magnetic_forces``.
    lengths : (N,) ndarray, optional
        Of the moments, mu_B or |m|; default: those of `atoms`.

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


def error_bars_of(atoms: Atoms, coverage: float = 0.9) -> FloatArray:
    """Error bars (N,) of the calculator's tangent fields, energy/moment (see :class:`ErrorBars`).

    Parameters
    ----------
    atoms : Atoms
        With a learned calculator.
    coverage : float
        Part of the true errors below the bars, between 0 and 1.

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
    """What of the atoms is outside the training of their learned calculator; None if nothing is (or it is not learned).

    Parameters
    ----------
    atoms : Atoms
        With any calculator.
    margin : float
        Part by which distances may be below the shortest one that was trained.
    """
    calc = calculator_of(atoms)
    return calc.domain_problem(atoms, margin) if isinstance(calc, ErrorBars) else None


def trained_domains(calc: Any) -> list[str]:
    """One line for every learned calculator in `calc` (itself, or members of a sum): what it was trained on."""
    members = getattr(calc, "calculators", None)
    if members is not None:
        return [line for member in members for line in trained_domains(member)]
    hook = getattr(calc, "describe_domain", None)
    return [] if hook is None else [str(hook())]


def local_model_of(atoms: Atoms, lengths: FloatArray | None = None) -> LocalModel:
    """The calculator of `atoms` as sums over sites and pairs, which is what sampling one spin at a time needs.

    For unit spins and moment lengths (N,) (default: those of `atoms`).

    Parameters
    ----------
    atoms : Atoms
        With a calculator.
    lengths : (N,) ndarray, optional
        Of the moments, mu_B or |m|; default: those of `atoms`.

    Raises
    ------
    NotConservativeError
        If it describes a driven system.
    ModelError
        If it is no such sum (electrons, networks, dipoles of many sites), or lengths are measured against a reference.
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
            f"{type(calc).__name__} has no cheap local energies, so one spin cannot be sampled at a time: sample all at "
            "once (HybridMonteCarlo), or use thermal spin dynamics (LLGDynamics with a temperature)"
        )
    return model


def refuse_reference_lengths(atoms: Atoms, what: str) -> None:
    """Refuse atoms whose moments have other lengths than their reference, for things that know unit spins only.

    Parameters
    ----------
    atoms : Atoms
        With moments.
    what : str
        Is refused: the subject of the message.

    Raises
    ------
    ModelError
    """
    reference, own = get_reference_lengths(atoms), np.linalg.norm(get_moments(atoms), axis=1)
    if reference is not None and not np.allclose(own, reference, rtol=_UNIT, atol=0.0):
        raise ModelError(
            f"{what} works on unit spins, but these moments have reference lengths that are not their own (from free-length "
            "dynamics): take them away with spinase.atoms.set_reference_lengths(atoms, None), which fixes present lengths"
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


def is_linear_in_each_spin(atoms: Atoms, calc: Any) -> bool:
    """Whether the energy is known to be linear in each spin (exchange, DMI, Zeeman).

    Parameters
    ----------
    atoms : Atoms
        With moments.
    calc : calculator
        Any.
    """
    hook = getattr(calc, "local_model", None)
    if hook is None or get_reference_lengths(atoms) is not None:
        return False
    model = hook(atoms, np.linalg.norm(get_moments(atoms), axis=1))
    return model is not None and model.is_linear_in_each_spin


def probe_moments(atoms: Atoms, calc: Any) -> None:
    """Check once that the answers of `calc` depend on the moments, by turning every spin a little.

    Parameters
    ----------
    atoms : Atoms
        With moments that are not all zero.
    calc : calculator
        With ``magnetic_forces``.

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
