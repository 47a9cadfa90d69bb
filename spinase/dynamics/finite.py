"""Numbers that are none: a field or force that is not finite stops a run where it arises, with its site and its source."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ase import Atoms

from spinase.atoms import get_moments, set_moments
from spinase.contract import FieldFunction, gives, members_of
from spinase.errors import SpinaseError, UnstableDynamicsError
from spinase.typing import FloatArray


def require_finite(values: FloatArray, what: str, key: str, atoms: Atoms) -> None:
    """Raise UnstableDynamicsError where `values` (N, 3), the property `key` of the calculator of `atoms`, are not finite.

    The message names the first site and the calculators (of a sum: those among the members) that give such numbers.

    Parameters
    ----------
    values : (N, 3) ndarray
        What was computed, in any unit.
    what : str
        Its name in the message, such as "the force".
    key : str
        Name of the result that the calculators are asked for to find who gives such numbers.
    atoms : Atoms
        Of the calculator, before the step.
    """
    if _sums_up(values):
        return
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if not len(bad):
        return
    site = int(bad[0])
    raise UnstableDynamicsError(
        f"{what} of site {site} ({atoms.symbols[site]}, at {np.round(atoms.positions[site], 4).tolist()}) is not finite: "
        f"{values[site].tolist()} ({len(bad)} such sites of {len(atoms)}), from {_sources(key, atoms)}. Atoms and "
        "spins are as before this step; look at the parameters of that calculator, and distances and moments near the site"
    )


def _sums_up(values: FloatArray) -> bool:
    """Whether the sum of squares is finite (the cheapest pass there is); one that overflows is looked at closely."""
    return math.isfinite(np.vdot(values, values))


def watched(fields: FieldFunction, atoms: Atoms, lengths: FloatArray) -> FieldFunction:
    """The function of the spins `fields`, which refuses to give numbers that are not finite.

    Parameters
    ----------
    fields : callable
        -dE/dm (N, 3), energy/moment, of spins (N, 3).
    atoms : Atoms
        Whose calculator it is of, for the message.
    lengths : (N,) ndarray
        Lengths of the moments, moment.

    Raises
    ------
    UnstableDynamicsError
        By the function that is returned, with site and calculator.
    """

    def finite(spins: FloatArray) -> FloatArray:
        """The fields (N, 3), energy/moment, which are finite."""
        values = fields(spins)
        if not _sums_up(values):
            probe = atoms.copy()
            probe.calc = atoms.calc
            if np.isfinite(spins).all():
                set_moments(probe, lengths[:, None] * spins)
            require_finite(values, "the magnetic force", "magnetic_forces", probe)
        return values

    return finite


def require_finite_spins(spins: FloatArray, timestep: float) -> None:
    """Raise UnstableDynamicsError if an integrator made spins that are not finite."""
    if _sums_up(spins):
        return
    site = int(np.argmax(np.nan_to_num(np.abs(spins), nan=np.inf).max(axis=1)))  # not finite, or absurdly long
    raise UnstableDynamicsError(
        f"the integrator gave spin {site} the components {spins[site].tolist()}, although all fields are finite: they are "
        f"much too large for the time step {timestep:.4g}, reduce it. Atoms and spins are as before this step"
    )


def _sources(key: str, atoms: Atoms) -> str:
    """Names of the calculators that give numbers for `key` which are not finite."""
    calc: Any = atoms.calc
    members = [member for member in members_of(calc) if gives(member, key)]
    found = [f"{type(m).__name__} (term {k} of the sum)" for k, m in enumerate(members) if not _is_finite(m, key, atoms)]
    return " and ".join(found) or type(calc).__name__


def _is_finite(member: Any, key: str, atoms: Atoms) -> bool:
    probe = atoms.copy()
    set_moments(probe, get_moments(atoms))
    try:
        return bool(np.isfinite(member.get_property(key, probe)).all())
    except (SpinaseError, ArithmeticError, ValueError):  # it cannot be asked alone: then it is not known to be at fault
        return True


__all__ = ["require_finite", "require_finite_spins", "watched"]
