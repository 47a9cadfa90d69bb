"""Conformance of drivers: does one keep what runs and restarts of input files rely on?"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from spinase.atoms import get_moments, get_reference_lengths, set_moments
from spinase.contract import Driver
from spinase.driver import missing_members
from spinase.dynamics.checkpoint import load_checkpoint, save_checkpoint
from spinase.images import evaluates_images
from spinase.testing.case import SkipCheck, run_check
from spinase.testing.report import CheckResult, ConformanceError, Report
from spinase.typing import Array

MakeDriver = Callable[[np.random.Generator], Driver]
"""A new driver on a new magnet with its calculator; the generator is its only source of randomness."""

_LENGTH = 1e-10  # relative, of moments over a few steps
_FIRST, _SECOND = 3, 3  # steps before and after a cut


@dataclass(frozen=True)
class DriverCase:
    """What a check works on: the maker, and a seed."""

    make: MakeDriver
    seed: int

    def driver(self, seed: int | None = None) -> Driver:
        """A new driver on a new magnet."""
        return self.make(np.random.default_rng(self.seed if seed is None else seed))


def state_of(driver: Driver) -> dict[str, Array]:
    """Everything that can be seen of a driver: atoms and clocks."""
    atoms = driver.atoms
    return {
        "moments": get_moments(atoms),
        "positions": atoms.positions.copy(),
        "momenta": atoms.get_momenta(),
        "cell": atoms.cell.array.copy(),
        "steps": np.array(driver.get_number_of_steps()),
        "time": np.array(driver.get_time()),
    }


def first_difference(found: dict[str, Array], expected: dict[str, Array]) -> str:
    """Name and size of the first entry that is not the same to the last bit; empty if there is none."""
    for name, value in expected.items():
        if not np.array_equal(found[name], value):
            return f"{name} differ by up to {np.abs(found[name] - value).max():.3g}"
    return ""


def check_members(case: DriverCase) -> CheckResult:
    """Everything a run asks for is there, and of the right kind."""
    driver = case.driver()
    missing = missing_members(type(driver))
    if missing:
        return _failed(f"it lacks {', '.join(missing)}: derive it from spinase.contract.Driver")
    line, problems = driver.describe_step()
    if not isinstance(line, str) or not all(isinstance(problem, str) for problem in problems):
        return _failed("describe_step must give a line and a list of lines")
    field = np.asarray(driver.applied_field())
    if field.shape not in ((), (len(driver.atoms), 3)):
        return _failed(f"applied_field must be (N, 3) or 0.0, got the shape {field.shape}")
    return _passed()


def check_clock(case: DriverCase) -> CheckResult:
    """Steps are those asked for, and time passes evenly, from zero."""
    driver = case.driver()
    start = driver.get_number_of_steps(), driver.get_time()
    if start != (0, 0.0):
        return _failed(f"a new driver is at step {start[0]} and time {start[1]} instead of 0 and 0")
    driver.run(1)
    unit = driver.get_time()
    driver.run(_FIRST)
    steps = driver.get_number_of_steps()
    if steps != 1 + _FIRST and not driver.finished:
        return _failed(f"after {1 + _FIRST} steps it counts {steps}, and is not finished")
    if not unit > 0.0:
        return _failed(f"after a step its time is {unit}")
    error = abs(driver.get_time() - steps * unit)
    if error > 1e-9 * steps * unit:
        return _failed(f"time after {steps} steps is {driver.get_time()}, a step took {unit}")
    return _passed(error / unit)


def check_division(case: DriverCase) -> CheckResult:
    """How a run is divided into calls of `run` does not change it."""
    whole, parts = case.driver(), case.driver()
    whole.run(_FIRST + _SECOND)
    parts.run(_FIRST)
    parts.run(_SECOND)
    return _same(parts, whole, f"run({_FIRST}) and run({_SECOND}) are not run({_FIRST + _SECOND})")


def check_restart(case: DriverCase) -> CheckResult:
    """State to the disk, new driver (with another generator), state from the disk: the same run to the last bit."""
    whole, first, second = case.driver(), case.driver(), case.driver(case.seed + 1)
    whole.run(_FIRST + _SECOND)
    first.run(_FIRST)
    hook = getattr(first.atoms.calc, "checkpoint_state", None)
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(Path(folder) / "c", {"driver": first.checkpoint_state(), "calc": {} if hook is None else hook()})
        stored = load_checkpoint(Path(folder) / "c")
    _copy_atoms(first.atoms, second.atoms)
    if stored["calc"]:
        second.atoms.calc.restore_state(stored["calc"])
    second.restore_state(stored["driver"])
    told = first_difference(state_of(second), state_of(first))
    if told:
        return _failed(f"right after the restart {told}")
    second.run(_SECOND)
    return _same(second, whole, f"{_SECOND} steps after a restart")


def check_lengths(case: DriverCase) -> CheckResult:
    """Moments keep their lengths."""
    driver = case.driver()
    if get_reference_lengths(driver.atoms) is not None:
        raise SkipCheck("lengths of these moments change")
    before = np.linalg.norm(get_moments(driver.atoms), axis=1)
    driver.run(_FIRST + _SECOND)
    after = np.linalg.norm(get_moments(driver.atoms), axis=1)
    error = float(np.abs(after - before).max() / before.max())
    if not error <= _LENGTH:
        return CheckResult("", "failed", error, _LENGTH, f"a moment of length {before.max():.4g} changed its length")
    return CheckResult("", "passed", error, _LENGTH, "")


def check_frozen(case: DriverCase) -> CheckResult:
    """Frozen spins do not move, others do."""
    driver = case.driver()
    frozen = np.asarray(getattr(driver, "frozen", False))
    if not frozen.any():
        raise SkipCheck("no spin of this driver is frozen (attribute `frozen`)")
    before = get_moments(driver.atoms)
    driver.run(_FIRST)
    moved = np.abs(get_moments(driver.atoms) - before).max(axis=1)
    size = float(np.linalg.norm(before, axis=1).max())
    if moved[frozen].max() > _LENGTH * size:
        return _failed(
            f"frozen spin {int(np.flatnonzero(frozen)[moved[frozen].argmax()])} moved by {moved[frozen].max():.3g}"
        )
    if not moved[~frozen].any():
        return _failed("no spin moved at all")
    return _passed()


def check_field(case: DriverCase) -> CheckResult:
    """The field that the driver says it applies acts on the spins."""
    driver, without = case.driver(), case.driver()
    if not hasattr(without, "field") or not np.any(driver.applied_field()):
        raise SkipCheck("this driver applies no field (attribute `field`)")
    without.field = None
    driver.run(_FIRST)
    without.run(_FIRST)
    change = float(np.abs(get_moments(driver.atoms) - get_moments(without.atoms)).max())
    return _passed(change) if change > 0.0 else _failed("spins move in the applied field as they do without")


def check_observers(case: DriverCase) -> CheckResult:
    """Observers (ASE's `attach`) are called at the start and every so many steps, on atoms that are current."""
    driver = case.driver()
    attach = getattr(driver, "attach", None)
    if attach is None:
        raise SkipCheck("this driver has no attach")
    seen: list[dict[str, Array]] = []
    attach(lambda: seen.append(state_of(driver)), 2)
    driver.run(5)
    steps = [int(look["steps"]) for look in seen]
    expected = [k for k in (0, 2, 4) if k <= driver.get_number_of_steps()]
    if steps != expected:
        return _failed(f"an observer of every second step was called at {steps} instead of {expected}")
    other = case.driver()
    for look in seen[1:]:
        other.run(2)
        error = float(np.abs(look["moments"] - get_moments(other.atoms)).max())
        if error > 1e-9:  # reading and writing atoms rounds
            return _failed(f"an observer at step {look['steps']} saw moments that are off by {error:.3g}")
    return _passed()


def check_interrupt(case: DriverCase) -> CheckResult:
    """An interrupt in the middle of a step leaves a whole step, and the run goes on as if there had been none."""
    whole = case.driver()
    trap = _Trap(whole.atoms.calc)
    whole.run(_FIRST)
    trap.arm(0)
    whole.run(1)
    calls = trap.calls
    if not calls:
        raise SkipCheck("this driver asks its calculator nothing in a step")
    for k in range(1, calls + 1):
        cut = case.driver()
        trap = _Trap(cut.atoms.calc)
        cut.run(_FIRST)
        before = state_of(cut)
        trap.arm(k)
        try:
            cut.run(1)
        except KeyboardInterrupt:
            told = first_difference(state_of(cut), before)
            if told:
                return _failed(f"after an interrupt in call {k} of the calculator {told} from before the step")
        else:
            return _failed(f"an interrupt in call {k} of the calculator was swallowed")
        cut.run(1)
        told = first_difference(state_of(cut), state_of(whole))
        if told:
            return _failed(f"the step after an interrupt in call {k} of the calculator is another one: {told}")
    return _passed()


class _Trap:
    """Counts the calls of a calculator, and interrupts one of them when it has done its work."""

    def __init__(self, calc: Any) -> None:
        self.calls, self.at = 0, 0
        calc.get_property = self._watched(calc.get_property)
        if evaluates_images(calc):
            calc.results_of_images = self._watched(calc.results_of_images)  # type: ignore[method-assign]
        make = getattr(calc, "field_function", None)
        if make is not None:
            calc.field_function = lambda *given, **named: self._watched(make(*given, **named))

    def arm(self, at: int) -> None:
        """Count from zero, and interrupt call number `at`; 0: none."""
        self.calls, self.at = 0, at

    def _watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            """The function, then an interrupt if it is its turn."""
            value = function(*given, **named)
            self.calls += 1
            if self.calls == self.at:
                raise KeyboardInterrupt
            return value

        return call


DRIVER_CHECKS: dict[str, Callable[[DriverCase], CheckResult]] = {
    "members": check_members,
    "clock": check_clock,
    "division": check_division,
    "restart": check_restart,
    "lengths": check_lengths,
    "frozen": check_frozen,
    "field": check_field,
    "observers": check_observers,
    "interrupt": check_interrupt,
}
"""Every check of drivers by name."""


def check_driver(make: MakeDriver, *, checks: Iterable[str] | None = None, rng: int = 0) -> Report:
    """Run the conformance checks on a driver.

    Parameters
    ----------
    make : function of a numpy Generator
        Returns a new driver on a new, small magnet with its calculator, the same for the same generator.  Give it frozen
        spins and a field if it has such options (attributes `frozen` and `field`), else those checks are skipped.  It should
        not be finished within six steps.
    checks : names, optional
        Which checks to run, keys of :data:`DRIVER_CHECKS`; default: all.
    rng : int
        Seed.

    Returns
    -------
    Report
        One result per check.

    Raises
    ------
    ConformanceError
        If any check fails; its message lists all that do, and its ``report`` holds every result.
    ValueError
        On an unknown check.
    """
    wanted = list(DRIVER_CHECKS if checks is None else checks)
    unknown = [name for name in wanted if name not in DRIVER_CHECKS]
    if unknown:
        raise ValueError(f"unknown check {unknown[0]!r}: use some of {', '.join(DRIVER_CHECKS)}")
    case = DriverCase(make, rng)
    report = Report(type(case.driver()).__name__, tuple(run_check(name, DRIVER_CHECKS[name], case) for name in wanted))
    if report.failures:
        raise ConformanceError(report)
    return report


def _same(found: Driver, expected: Driver, what: str) -> CheckResult:
    told = first_difference(state_of(found), state_of(expected))
    return _failed(f"{what}: {told}") if told else _passed(0.0)


def _copy_atoms(source: Atoms, target: Atoms) -> None:
    """What a run restores itself."""
    target.set_cell(source.cell.array, scale_atoms=False)
    target.positions[:] = source.positions
    target.set_momenta(source.get_momenta())
    set_moments(target, get_moments(source))


def _passed(value: float | None = None) -> CheckResult:
    return CheckResult("", "passed", value, None, "")


def _failed(message: str) -> CheckResult:
    return CheckResult("", "failed", None, None, message)


__all__ = ["DRIVER_CHECKS", "DriverCase", "check_driver"]
