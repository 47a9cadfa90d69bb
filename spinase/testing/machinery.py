"""Checks of what drivers and users rely on beside the physics: caches, copies, repeatability, non-magnetic sites."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from ase import Atoms

from spinase.atoms import get_moments, set_moments
from spinase.spin_algebra import random_rotation
from spinase.testing.case import Answer, Case, SkipCheck, answer, difference, turned
from spinase.testing.report import CheckResult


class _Counter:
    """Counts the calls of a method of one calculator, which is replaced on the instance."""

    def __init__(self, calc: Any, method: str) -> None:
        self.calls = 0
        self._inner = getattr(calc, method)
        setattr(calc, method, self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self._inner(*args, **kwargs)


def _same(left: Answer, right: Answer) -> bool:
    return left.energy == right.energy and np.array_equal(left.fields, right.fields)


def check_cache(case: Case) -> CheckResult:
    """New moments give new results, unchanged atoms no new calculation, and new spins no new neighbour list."""
    calc, atoms = case.calculator(), case.magnet()
    before = answer(calc, atoms)
    calculations = _Counter(calc, "calculate")
    if not _same(answer(calc, atoms), before):
        return CheckResult("", "failed", None, None, "asked twice for the same atoms, the answer changes")
    if calculations.calls:
        return CheckResult("", "failed", float(calculations.calls), 0.0, "unchanged atoms are calculated again")
    freezes = _Counter(calc, "freeze") if hasattr(calc, "freeze") else None
    set_moments(atoms, get_moments(turned(atoms, case.rng().normal(size=(len(atoms), 3)), 0.5)))
    found, expected = answer(calc, atoms), answer(case.calculator(), atoms)
    error = difference(found, expected, get_moments(atoms))
    if _same(found, before):
        return CheckResult("", "failed", error, 0.0, "other moments give the same energy and fields: they are ignored")
    if freezes is not None and freezes.calls:
        return CheckResult("", "failed", float(freezes.calls), 0.0, "a change of spins only rebuilds the geometry")
    return case.outcome(error, case.tolerances.symmetry, "moments changed in place, against an unused copy")


def _without_moment(atoms: Atoms, site: int) -> Atoms:
    bare = atoms.copy()
    moments = get_moments(atoms)
    moments[site] = 0.0
    set_moments(bare, moments)
    return bare


def check_zero_moment(case: Case) -> CheckResult:
    """A non-magnetic site: finite results, no field on it, and nobody sees a direction there.

    A spin invented for the site would break the symmetries the calculator declares; they are tried on the bare atoms.
    """
    site = int(np.argmax(np.linalg.norm(get_moments(case.atoms), axis=1)))
    bare = _without_moment(case.magnet(), site)
    found = answer(case.calculator(), bare)
    if not np.isfinite(found.fields).all() or (found.energy is not None and not np.isfinite(found.energy)):
        return CheckResult("", "failed", None, None, f"energy or fields are not finite with a zero moment on site {site}")
    if found.fields[site].any():
        return CheckResult("", "failed", float(np.abs(found.fields[site]).max()), 0.0, "a field acts on the zero moment")
    calc = case.calculator()
    for sign in (1.0, -1.0):  # the site's direction before it lost its moment must not matter
        magnet = case.magnet()
        set_moments(magnet, sign * get_moments(magnet))
        answer(calc, magnet)
        if difference(answer(calc, bare), found, get_moments(bare)) > case.tolerances.symmetry:
            return CheckResult("", "failed", None, None, f"the lost moment of site {site} is still felt")
    symmetries = case.symmetries
    operations = {"spin_rotation": random_rotation(case.rng()), "time_reversal": -np.eye(3)}
    worst = 0.0
    for name, matrix in operations.items():
        if symmetries is not None and name not in symmetries:
            continue
        moved = bare.copy()
        set_moments(moved, get_moments(bare) @ matrix.T)
        expected = Answer(found.energy, found.fields @ matrix.T)
        worst = float(np.fmax(worst, difference(answer(case.calculator(), moved), expected, get_moments(moved))))
    return case.outcome(worst, case.tolerances.symmetry, f"site {site} without a moment")


def check_pickling(case: Case) -> CheckResult:
    """A pickled calculator gives the same results, used or not."""
    calc, atoms = case.calculator(), case.magnet()
    expected = answer(calc, atoms)
    try:
        copy = pickle.loads(pickle.dumps(calc))
    except Exception as error:  # pickle raises whatever the objects in it raise
        return CheckResult("", "failed", None, None, f"cannot be pickled: {type(error).__name__}: {error}")
    error_ = difference(answer(copy, atoms), expected, get_moments(atoms))
    return case.outcome(error_, case.tolerances.symmetry, "results of a pickled copy")


def check_determinism(case: Case) -> CheckResult:
    """The same atoms give the same bytes after a reset."""
    calc, atoms = case.calculator(), case.magnet()
    if not hasattr(calc, "reset"):
        raise SkipCheck("no reset")
    first = answer(calc, atoms)
    gaps = []
    for _ in range(2):
        calc.reset()
        again = answer(calc, atoms)
        gaps.append(0.0 if _same(first, again) else max(difference(again, first, get_moments(atoms)), np.finfo(float).tiny))
    return case.outcome(max(gaps), 0.0, "same bytes after reset")
