"""Options of drivers and baths that may be changed between steps: what the constructor refuses, they refuse as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import ase.units
import numpy as np
from ase import Atoms

from spinase.amounts import plain_number
from spinase.contract import check_units
from spinase.errors import ModelError
from spinase.units import METAL, UnitSystem

NO_GENERATOR = "needs a random generator: pass rng=numpy.random.default_rng(seed), or a seed (a whole number)"


def checked(name: str, value: Any, positive: bool = False) -> float:
    """`value` as a finite number, not negative (`positive`: above zero).

    Parameters
    ----------
    name : str
        Of the option, for the message.
    value : Any
        What was given.
    positive : bool
        Refuse zero, too.

    Raises
    ------
    ModelError
        Naming the option and the value.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ModelError(f"{name} must be a number, got {value!r}") from None
    if not np.isfinite(number) or number < 0.0 or (positive and number == 0.0):
        raise ModelError(f"{name} must be finite and {'positive' if positive else 'not negative'}, got {value}")
    return number


class Number:
    """A float attribute that refuses values that are not finite or negative, whenever it is set.

    Parameters
    ----------
    what : str
        What it is, for the message.
    positive : bool
        Refuse zero, too.
    unit : str
        Of amounts that may be written with it, ``"300 K"`` (see :func:`spinase.amounts.amount`): they are in metal units,
        and the object's attribute ``units`` says so from then on.
    """

    def __init__(self, what: str, positive: bool = False, unit: str = "") -> None:
        self.what, self.positive, self.unit = what, positive, unit

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"_{name}"

    def __get__(self, instance: Any, owner: type | None = None) -> float:
        return float(getattr(instance, self.name))

    def __set__(self, instance: Any, value: float | str) -> None:
        if self.unit and isinstance(value, str):
            value, instance.units = plain_number(value, self.unit, METAL, self.what), METAL.name
        setattr(instance, self.name, checked(self.what, value, self.positive))


def written(amount: Any, what: Literal["time", "kT"], units: UnitSystem) -> Any:
    """A time or temperature as people and constructors know it: ``"1 fs"``, ``"300 K"`` in metal units, else as it is.

    Parameters
    ----------
    amount : Any
        Number; anything else (a ramp) stays as it is.
    what : str
        Which it is.
    units : UnitSystem
        Of the magnet.
    """
    if units.name != METAL.name or not isinstance(amount, float):
        return amount
    return f"{amount / ase.units.fs:.6g} fs" if what == "time" else f"{amount / METAL.boltzmann:.6g} K"


def require_bath(atoms: Atoms, name: str, bath: Any, kind: type, example: str) -> None:
    """Refuse what is no bath of its kind, and one whose amounts were given in metal units for a magnet in others.

    Parameters
    ----------
    atoms : Atoms
        What it is for.
    name : str
        Of the option.
    bath : Any
        What was given; None is none.
    kind : type
        What it should be.
    example : str
        How one is made, for the message.

    Raises
    ------
    ModelError, UnitMismatchError
        Naming option and value.
    """
    if bath is None:
        return
    if not isinstance(bath, kind):
        raise ModelError(f"{name} must be an object such as {example} of spinase.dynamics, got {bath!r}")
    check_units(atoms, bath)


def as_generator(rng: Any, what: str) -> np.random.Generator:
    """The generator itself, or a new one from a seed.

    Raises
    ------
    ModelError
        If `rng` is neither; `what` (a noun: "a temperature") needs it.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0:
        return np.random.default_rng(int(rng))
    raise ModelError(f"{what} {NO_GENERATOR}; got rng={rng!r}")


@dataclass(frozen=True)
class Clock:
    """Elapsed time of a driver whose time step may change: `time` at step `step`, and `timestep` a step since then.

    As long as the time step stays, times are whole multiples of it, to the last bit.
    """

    time: float = 0.0
    step: int = 0
    timestep: float = 1.0

    def at(self, step: int) -> float:
        """Time elapsed after `step` steps in all."""
        return self.time + (step - self.step) * self.timestep

    def with_timestep(self, timestep: float, step: int) -> Clock:
        """The clock that goes on from `step` with another time step."""
        return self if timestep == self.timestep else Clock(self.at(step), step, timestep)


__all__ = ["Clock", "Number", "as_generator", "checked", "require_bath", "written"]
