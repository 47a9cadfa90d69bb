"""One calculator on one magnet: how the checks ask for energies and fields, move spins, and differentiate."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from spinase.atoms import get_moments, set_moments
from spinase.contract import is_conservative
from spinase.spin_algebra import rotate_about
from spinase.testing.report import CheckResult, Status, Tolerances
from spinase.typing import FloatArray

Subject = TypeVar("Subject")


class SkipCheck(Exception):  # noqa: N818  (a signal of the kit, not an error)
    """Raised by a check that does not apply; the text says why."""


@dataclass(frozen=True)
class Case:
    """What a check works on.

    Attributes
    ----------
    pristine : calculator
        The calculator as it was given; :meth:`calculator` hands out copies, so that checks do not see each other.
    atoms : Atoms
        The magnet (never modified; take :meth:`magnet`).
    seed : int
        Seed of the random directions and rotations.
    tolerances : Tolerances
        Limits and finite-difference step.
    """

    pristine: Any
    atoms: Atoms
    seed: int
    tolerances: Tolerances

    def calculator(self) -> Any:
        """An unused copy of the calculator; the calculator itself where it cannot be copied."""
        try:
            return copy.deepcopy(self.pristine)
        except Exception:  # whatever a foreign __deepcopy__ or __reduce__ raises: the pickling check reports it
            self.pristine.reset()
            return self.pristine

    def magnet(self) -> Atoms:
        """A copy of the atoms, without calculator."""
        return self.atoms.copy()

    def rng(self) -> np.random.Generator:
        """The check's own random generator, the same in every run."""
        return np.random.default_rng(self.seed)

    def gives(self, name: str) -> bool:
        """Whether the calculator declares the result `name`."""
        return name in self.pristine.implemented_properties

    @property
    def conservative(self) -> bool:
        """Whether the fields are declared to be a gradient."""
        return is_conservative(self.pristine)

    @property
    def symmetries(self) -> frozenset[str] | None:
        """Declared symmetries; None for a foreign calculator that declares nothing (then all are expected)."""
        return getattr(self.pristine, "symmetries", None)

    def require(self, symmetry: str) -> None:
        """Skip the check if `symmetry` is not declared."""
        if self.symmetries is not None and symmetry not in self.symmetries:
            raise SkipCheck(f"{symmetry} is not declared in symmetries")

    def outcome(self, value: float, limit: float, message: str) -> CheckResult:
        """Passed if `value` is a number not above `limit`.

        Parameters
        ----------
        value, limit : float
            What was measured, and the largest that passes.
        message : str
            What it is.
        """
        status: Status = "passed" if value <= limit else "failed"
        return CheckResult("", status, float(value), limit, message)


def run_check(name: str, check: Callable[[Subject], CheckResult], subject: Subject) -> CheckResult:
    """What one check of the kit says, under its name; whatever the checked code raises is a failure.

    Parameters
    ----------
    name : str
        Of the check.
    check : callable
        Subject -> result.
    subject
        What is checked.
    """
    try:
        result = check(subject)
    except SkipCheck as reason:
        return CheckResult(name, "skipped", None, None, str(reason))
    except Warning:
        raise
    except Exception as error:  # what is checked may raise anything: the report says what, and the other checks still run
        return CheckResult(name, "failed", None, None, f"raised {type(error).__name__}: {error}")
    return replace(result, name=name)


@dataclass(frozen=True)
class Answer:
    """Energy (None for a driven calculator) and magnetic forces (N, 3)."""

    energy: float | None
    fields: FloatArray


def ask(calc: Any, atoms: Atoms, name: str) -> Any:
    """Result `name` of `calc`, copied; skips the check if the calculator does not have it here.

    Parameters
    ----------
    calc : calculator
        Any.
    atoms : Atoms
        A magnet.
    name : str
        Of the result.

    Raises
    ------
    SkipCheck
        If the calculator does not have it.
    """
    try:
        return np.array(calc.get_property(name, atoms), dtype=np.float64)
    except PropertyNotImplementedError as error:
        raise SkipCheck(f"no {name}: {error}") from None


def energy_of(calc: Any, atoms: Atoms) -> float:
    """The energy whose gradients are forces and fields."""
    name = "free_energy" if "free_energy" in calc.implemented_properties else "energy"
    return float(calc.get_property(name, atoms))


def answer(calc: Any, atoms: Atoms) -> Answer:
    """Energy and fields of `calc` for `atoms`."""
    fields = ask(calc, atoms, "magnetic_forces")
    return Answer(energy_of(calc, atoms) if is_conservative(calc) else None, fields)


def difference(found: Answer, expected: Answer, moments: FloatArray) -> float:
    """Largest relative difference of two answers.

    Energies are measured against |E| + sum |m| |B|, so that an energy that happens to cancel is not held to round-off.

    Parameters
    ----------
    found, expected : Answer
        The second gives the scale.
    moments : (N, 3) ndarray
        Of the magnet.
    """
    scale = float(np.abs(expected.fields).max(initial=0.0))
    gap = float(np.abs(found.fields - expected.fields).max(initial=0.0))
    worst = 0.0 if gap == 0.0 else gap / max(scale, np.finfo(float).tiny)
    if found.energy is not None and expected.energy is not None:
        size = abs(expected.energy) + float(np.linalg.norm(moments, axis=1) @ np.linalg.norm(expected.fields, axis=1))
        step = abs(found.energy - expected.energy)
        worst = float(np.fmax(worst, 0.0 if step == 0.0 else step / max(size, np.finfo(float).tiny)))
        if np.isnan(step):
            return float("nan")
    return worst if np.isfinite(found.fields).all() else float("nan")


def central_difference(function: Callable[[float], Any], step: float) -> Any:
    """Derivative of `function` at 0, five-point stencil: [8 (f(h) - f(-h)) - (f(2h) - f(-2h))]/(12 h)."""
    near = function(step) - function(-step)
    far = function(2.0 * step) - function(-2.0 * step)
    return (8.0 * near - far) / (12.0 * step)


def turned(atoms: Atoms, axes: FloatArray, angle: float) -> Atoms:
    """Copy of `atoms` with every moment moved along ds/dt = s x axes for a time `angle`.

    Parameters
    ----------
    atoms : Atoms
        Not changed.
    axes : (N, 3) ndarray
        Radian/time.
    angle : float
        Time.
    """
    moved = atoms.copy()
    set_moments(moved, rotate_about(get_moments(atoms), angle * axes))
    return moved
