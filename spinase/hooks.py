"""What calculators declare, and what drivers tell them: results, couplings, steps, restarts, time, motion.

All of it is optional: a calculator without such an attribute or method works as well.
"""

from __future__ import annotations

from typing import Any

from ase import Atoms

from spinase.errors import MissingMagneticForcesError, ModelError
from spinase.geometry import Bonds


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
    """Give `calc` back what :func:`remember_step` found, after a step that was not completed.

    Parameters
    ----------
    calc : calculator
        Any.
    state
        What :func:`remember_step` gave.
    """
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

    Parameters
    ----------
    calc : calculator
        Any, or a sum: its members are told, too.
    moving : bool
        Whether atoms move.
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


def supercell_calculator(calc: Any, repeat: tuple[int, int, int]) -> Any:
    """The calculator of a repeated cell (``for_supercell``); `calc` itself where it does not say, or nothing repeats.

    Parameters
    ----------
    calc : calculator
        Of one cell.
    repeat : (int, int, int)
        Cells along the three cell vectors.

    Returns
    -------
    calculator or None
        None if there is none, as for electrons whose k-points do not fold.
    """
    hook = getattr(calc, "for_supercell", None)
    return calc if hook is None or repeat == (1, 1, 1) else hook(repeat)


def follows_time(calc: Any) -> bool:
    """Whether :func:`tell_time` does anything: drivers look first, as they would tell it several times a step."""
    return hasattr(calc, "set_time")


def tell_time(calc: Any, time: float) -> None:
    """Tell a calculator what time it is; one with a method ``set_time`` may be driven by a function of time.

    Parameters
    ----------
    calc : calculator
        Any.
    time : float
        Of the driver's clock, time.
    """
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
    """Whether `calc` declares a result of that name.

    Parameters
    ----------
    calc : calculator
        Any.
    name : str
        Of the result.
    """
    return name in getattr(calc, "implemented_properties", ())


def joined_pairs(calc: Any, atoms: Atoms) -> list[tuple[str, Bonds]]:
    """Pairs of sites that couplings of `calc` join, with the calculator's name; a calculator without couplings has none.

    Parameters
    ----------
    calc : calculator
        Any, or a sum.
    atoms : Atoms
        Sites.
    """
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


def refused_properties(calc: Any) -> dict[str, str]:
    """Results that `calc` should have by its nature and cannot give, each with the reason.

    A sum of calculators must not take them for zero, as it does with results that a member has nothing to do with.
    """
    return dict(getattr(calc, "refused_properties", {}))


def require_forces(calc: Any, otherwise: str) -> None:
    """Raise :class:`ModelError` unless `calc` has forces on atoms.

    `otherwise` says what to do, if the calculator does not say why it has none.

    Parameters
    ----------
    calc : calculator
        Any.
    otherwise : str
        What to do, told if the calculator does not say why it has none.
    """
    if gives(calc, "forces"):
        return
    why = refused_properties(calc).get("forces", "")
    raise ModelError(f"{type(calc).__name__} has no forces on atoms: {why or otherwise}")


__all__ = [
    "begin_step",
    "bias_of",
    "declare_motion",
    "field_resolution",
    "follows_time",
    "gives",
    "joined_pairs",
    "members_of",
    "recall_step",
    "refused_properties",
    "remember_step",
    "require_forces",
    "require_magnetic_forces",
    "restart_state",
    "tell_time",
]
