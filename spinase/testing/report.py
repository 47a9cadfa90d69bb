"""What a run of the conformance kit says: one result per check, a printable table, one error with all failures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from spinase.errors import SpinaseError

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Tolerances:
    """Limits of the checks.

    Attributes
    ----------
    gradient : float
        Largest relative error of a derivative against finite differences.
    symmetry : float
        Largest relative change of energy and fields under an operation that should change nothing.
    step : float
        Step of the finite differences: length unit for positions, radian for spins, 1 for strains.  The stencil is of
        fourth order, so this can stay well above round-off.  Single precision needs about 4e-3, with `gradient` = 1e-2
        and `symmetry` = 1e-5.
    """

    gradient: float = 1e-6
    symmetry: float = 1e-9
    step: float = 1e-4


@dataclass(frozen=True)
class CheckResult:
    """Outcome of one check.

    Attributes
    ----------
    name : str
        Name of the check, a key of :data:`spinase.testing.CHECKS`.
    status : str
        ``"passed"``, ``"failed"`` or ``"skipped"``.
    value, limit : float or None
        The measured number and the largest allowed one; None where nothing was measured.
    message : str
        What was compared, what is wrong, or why it was skipped.
    """

    name: str
    status: Status
    value: float | None
    limit: float | None
    message: str


@dataclass(frozen=True)
class Report:
    """Results of all checks of one calculator on one magnet; ``print(report)`` shows a table."""

    calculator: str
    results: tuple[CheckResult, ...]

    def __iter__(self) -> Iterator[CheckResult]:
        return iter(self.results)

    def __getitem__(self, name: str) -> CheckResult:
        for result in self.results:
            if result.name == name:
                return result
        raise KeyError(f"no check {name!r} was run: {', '.join(result.name for result in self.results)}")

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The failed checks."""
        return tuple(result for result in self.results if result.status == "failed")

    def __str__(self) -> str:
        width = max((len(result.name) for result in self.results), default=5)
        lines = [f"{self.calculator}", f"{'check':{width}}  status   measured  limit     note"]
        for result in self.results:
            numbers = f"{_number(result.value)}  {_number(result.limit)}"
            lines.append(f"{result.name:{width}}  {result.status:7}  {numbers}  {result.message}")
        return "\n".join(lines)


class ConformanceError(SpinaseError, AssertionError):
    """A calculator broke the contract.

    Attributes
    ----------
    report : Report
        Results of every check that was run, the passed ones included.
    """

    def __init__(self, report: Report) -> None:
        failures = report.failures
        lines = [f"{report.calculator} fails {len(failures)} of {len(report.results)} conformance checks:"]
        lines += [f"  {failure.name}: {failure.message}" for failure in failures]
        super().__init__("\n".join([*lines, "", str(report)]))
        self.report = report


class ConformanceWarning(UserWarning):
    """Nothing is wrong with the numbers, but a declaration of the calculator looks mistaken."""


def _number(value: float | None) -> str:
    return f"{'-':8}" if value is None else f"{value:8.1e}"
