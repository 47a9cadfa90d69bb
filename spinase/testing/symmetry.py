"""Checks of operations that must leave the energy unchanged and turn the fields in a known way."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from spinase.atoms import get_moments, set_moments
from spinase.spin_algebra import random_rotation
from spinase.testing.case import Answer, Case, SkipCheck, answer, difference
from spinase.testing.report import CheckResult
from spinase.typing import FloatArray


def _turn_moments(atoms: Atoms, rotation: FloatArray) -> None:
    set_moments(atoms, get_moments(atoms) @ rotation.T)


def _turn_lattice(atoms: Atoms, rotation: FloatArray) -> None:
    atoms.set_cell(atoms.cell.array @ rotation.T, scale_atoms=False)
    atoms.positions = atoms.positions @ rotation.T


def _compare(case: Case, changed: Atoms, expected: Answer, message: str) -> CheckResult:
    found = answer(case.calculator(), changed)
    error = difference(found, expected, get_moments(changed))
    return case.outcome(error, case.tolerances.symmetry, message)


def check_spin_rotation(case: Case) -> CheckResult:
    """All spins turned by R, lattice fixed: same energy, B -> R B."""
    case.require("spin_rotation")
    before, atoms, rotation = answer(case.calculator(), case.magnet()), case.magnet(), random_rotation(case.rng())
    _turn_moments(atoms, rotation)
    expected = Answer(before.energy, before.fields @ rotation.T)
    return _compare(case, atoms, expected, "all spins rotated, lattice fixed")


def check_lattice_rotation(case: Case) -> CheckResult:
    """Positions and cell turned by R, spins fixed: same energy, same B."""
    case.require("lattice_rotation")
    before, atoms = answer(case.calculator(), case.magnet()), case.magnet()
    _turn_lattice(atoms, random_rotation(case.rng()))
    return _compare(case, atoms, before, "lattice rotated, spins fixed")


def check_joint_rotation(case: Case) -> CheckResult:
    """Lattice and spins turned together by R: same energy, B -> R B."""
    case.require("joint_rotation")
    before, atoms, rotation = answer(case.calculator(), case.magnet()), case.magnet(), random_rotation(case.rng())
    _turn_lattice(atoms, rotation)
    _turn_moments(atoms, rotation)
    expected = Answer(before.energy, before.fields @ rotation.T)
    return _compare(case, atoms, expected, "lattice and spins rotated together")


def check_time_reversal(case: Case) -> CheckResult:
    """All spins reversed: same energy, B -> -B."""
    case.require("time_reversal")
    before, atoms = answer(case.calculator(), case.magnet()), case.magnet()
    set_moments(atoms, -get_moments(atoms))
    return _compare(case, atoms, Answer(before.energy, -before.fields), "all spins reversed: E even, B odd")


def check_translation(case: Case) -> CheckResult:
    """All sites moved by one vector, and one site moved to its periodic image: same energy, same B."""
    case.require("translation")
    before, atoms = answer(case.calculator(), case.magnet()), case.magnet()
    atoms.positions += case.rng().normal(size=3)
    result = _compare(case, atoms, before, "all sites moved by one vector, one of them to a periodic image")
    if not case.atoms.pbc.any() or result.status == "failed":
        return result
    atoms.positions[0] += atoms.cell.array[int(np.flatnonzero(atoms.pbc)[0])]
    return _compare(case, atoms, before, result.message)


def check_permutation(case: Case) -> CheckResult:
    """Sites listed in another order: same energy, B in that order."""
    case.require("permutation")
    if len(case.atoms) < 2:
        raise SkipCheck("one site")
    before = answer(case.calculator(), case.magnet())
    order = case.rng().permutation(len(case.atoms))
    expected = Answer(before.energy, before.fields[order])
    return _compare(case, case.magnet()[order], expected, "sites listed in another order")


def check_supercell(case: Case) -> CheckResult:
    """The cell repeated: the energy times the number of copies, the same B on each copy."""
    maker = getattr(case.calculator(), "for_supercell", None)
    if maker is None:
        raise SkipCheck("no for_supercell")
    options = [tuple(2 if other == axis else 1 for other in range(3)) for axis in np.flatnonzero(case.atoms.pbc)]
    if not options:
        raise SkipCheck("no periodic direction")
    for repeat in options:
        larger = maker(repeat)
        if larger is not None:
            break
    else:
        raise SkipCheck("for_supercell gives no calculator for twice the cell")
    before, atoms = answer(case.calculator(), case.magnet()), case.magnet().repeat(repeat)
    energy = None if before.energy is None else 2.0 * before.energy
    found = answer(larger, atoms)
    error = difference(found, Answer(energy, np.tile(before.fields, (2, 1))), get_moments(atoms))
    return case.outcome(error, case.tolerances.symmetry, f"cell repeated {repeat}")
