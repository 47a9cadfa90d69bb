"""Conformance kit: does a calculator keep the contract that drivers and observers rely on?

In a script, or in a test of a plugin::

    from spinase.testing import check_calculator

    report = check_calculator(MyCalculator(), atoms)      # raises ConformanceError listing every failure
    print(report)

One test per check, with pytest::

    @pytest.mark.parametrize("check", spinase.testing.CHECKS)
    def test_contract(check):
        check_calculator(MyCalculator(), atoms, checks=[check])

Trunks of learned magnets have a kit of their own (:func:`check_trunk`).

The atoms must carry moments and be in a generic configuration: on a perfect lattice or in an ordered texture gradients
vanish by symmetry, and the kit says so ("vacuous") rather than pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ase import Atoms

from spinase.testing.case import Case, run_check
from spinase.testing.derivatives import (
    check_conservative,
    check_contract,
    check_field_function,
    check_forces,
    check_magnetic_forces,
    check_stress,
    check_torques,
)
from spinase.testing.drivers import DRIVER_CHECKS, check_driver
from spinase.testing.local_energy import LOCAL_CHECKS, check_local_energy
from spinase.testing.machinery import check_cache, check_determinism, check_pickling, check_zero_moment
from spinase.testing.report import CheckResult, ConformanceError, ConformanceWarning, Report, Tolerances
from spinase.testing.solvers import SOLVER_CHECKS, check_solver
from spinase.testing.symmetry import (
    check_joint_rotation,
    check_lattice_rotation,
    check_permutation,
    check_spin_rotation,
    check_supercell,
    check_time_reversal,
    check_translation,
)
from spinase.testing.trunks import TRUNK_CHECKS, check_trunk

Check = Callable[[Case], CheckResult]

CHECKS: dict[str, Check] = {
    "contract": check_contract,
    "torques": check_torques,
    "field_function": check_field_function,
    "magnetic_forces": check_magnetic_forces,
    "forces": check_forces,
    "stress": check_stress,
    "conservative": check_conservative,
    "spin_rotation": check_spin_rotation,
    "lattice_rotation": check_lattice_rotation,
    "joint_rotation": check_joint_rotation,
    "time_reversal": check_time_reversal,
    "translation": check_translation,
    "permutation": check_permutation,
    "supercell": check_supercell,
    "cache": check_cache,
    "zero_moment": check_zero_moment,
    "pickling": check_pickling,
    "determinism": check_determinism,
}
"""Every check by name; iterating gives the names, so it can parametrize a test."""

DEFAULT_TOLERANCES = Tolerances()


def check_calculator(
    calc: Any,
    atoms: Atoms,
    *,
    checks: Iterable[str] | None = None,
    skip: Iterable[str] = (),
    rng: int = 0,
    tolerances: Tolerances = DEFAULT_TOLERANCES,
) -> Report:
    """Run the conformance checks on one calculator and one magnet.

    Parameters
    ----------
    calc : ASE calculator
        With ``magnetic_forces``; ``conservative``, ``symmetries`` and ``for_supercell`` are read where they exist
        (:class:`spinase.calculators.base.SpinCalculator`); a calculator without ``symmetries`` is held to all of them.
    atoms : Atoms
        A small magnet in a generic configuration, with moments; not modified.
    checks : names, optional
        Which checks to run, keys of :data:`CHECKS`; default: all.
    skip : names
        Checks to leave out.
    rng : int
        Seed of random directions and rotations.
    tolerances : Tolerances
        Limits and the step of the finite differences.

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
    wanted, left_out = list(CHECKS if checks is None else checks), set(skip)
    unknown = [name for name in [*wanted, *left_out] if name not in CHECKS]
    if unknown:
        raise ValueError(f"unknown check {unknown[0]!r}: use some of {', '.join(CHECKS)}")
    magnet = atoms.copy()
    magnet.calc = None
    case = Case(calc, magnet, rng, tolerances)
    report = Report(
        type(calc).__name__, tuple(run_check(name, CHECKS[name], case) for name in wanted if name not in left_out)
    )
    if report.failures:
        raise ConformanceError(report)
    return report


__all__ = [
    "CHECKS",
    "DEFAULT_TOLERANCES",
    "DRIVER_CHECKS",
    "LOCAL_CHECKS",
    "SOLVER_CHECKS",
    "TRUNK_CHECKS",
    "CheckResult",
    "ConformanceError",
    "ConformanceWarning",
    "Report",
    "Tolerances",
    "check_calculator",
    "check_driver",
    "check_local_energy",
    "check_solver",
    "check_trunk",
]
