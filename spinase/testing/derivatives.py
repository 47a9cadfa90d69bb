"""Checks of results against derivatives of the energy, and of the fields against each other."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.stress import voigt_6_to_full_3x3_stress

from spinase.atoms import get_moments, get_spins, has_moments
from spinase.contract import has_fast_fields
from spinase.errors import InvalidGeometryError
from spinase.spin_algebra import cross
from spinase.testing.case import Case, SkipCheck, ask, central_difference, energy_of, turned
from spinase.testing.report import CheckResult, ConformanceWarning
from spinase.typing import FloatArray

_DIRECTIONS = 3
_ROUND_OFF = 1e-14  # part by which sums in another order may differ


def check_contract(case: Case) -> CheckResult:
    """The declared results exist, have the right shape and are finite; a driven calculator refuses an energy."""
    calc, atoms = case.calculator(), case.magnet()
    if not has_moments(atoms):
        return CheckResult("", "failed", None, None, "the test atoms carry no moments: set some")
    if not case.gives("magnetic_forces"):
        return CheckResult("", "failed", None, None, "implemented_properties lacks 'magnetic_forces'")
    shapes: dict[str, tuple[int, ...]] = {
        "magnetic_forces": (len(atoms), 3),
        "torques": (len(atoms), 3),
        "forces": (len(atoms), 3),
    }
    if case.conservative:
        shapes |= {"energy": (), "free_energy": ()}
    for name, shape in shapes.items():
        if not case.gives(name):
            continue
        try:
            value = np.asarray(calc.get_property(name, atoms))
        except PropertyNotImplementedError as error:
            return CheckResult("", "failed", None, None, f"{name} is declared but refused: {error}")
        if value.shape != shape or not np.isfinite(value).all():
            return CheckResult("", "failed", None, None, f"{name} has shape {value.shape} (want {shape}) or is not finite")
    if case.conservative and not (case.gives("energy") or case.gives("free_energy")):
        return CheckResult("", "failed", None, None, "conservative, but neither energy nor free_energy is declared")
    if not case.conservative:
        return _check_refusal(case)
    return CheckResult("", "passed", None, None, "results have the right shapes and are finite")


def _check_refusal(case: Case) -> CheckResult:
    for name in ("energy", "free_energy"):
        try:
            case.calculator().get_property(name, case.magnet())
        except PropertyNotImplementedError:
            continue
        return CheckResult("", "failed", None, None, f"declared driven (conservative = False) but returns {name!r}")
    return CheckResult("", "passed", None, None, "driven: fields are finite and an energy is refused")


def check_torques(case: Case) -> CheckResult:
    """T_i = m_i x B_i."""
    calc, atoms = case.calculator(), case.magnet()
    if not case.gives("torques"):
        raise SkipCheck("no torques declared")
    torques, fields = ask(calc, atoms, "torques"), ask(calc, atoms, "magnetic_forces")
    expected = np.cross(get_moments(atoms), fields)
    scale = float(np.abs(get_moments(atoms)).max() * np.abs(fields).max())
    error = float(np.abs(torques - expected).max()) / scale if scale else float(np.abs(torques).max())
    return case.outcome(error, case.tolerances.symmetry, "torques against m x B")


def check_field_function(case: Case) -> CheckResult:
    """The fast path of drivers gives the fields of ``get_property``, also for spins the atoms do not have."""
    if not has_fast_fields(case.pristine):
        raise SkipCheck("no field_function")
    atoms = case.magnet()
    fields = case.calculator().field_function(atoms)
    other = turned(atoms, case.rng().normal(size=(len(atoms), 3)), 0.7)
    expected = ask(case.calculator(), other, "magnetic_forces")
    gap = float(np.abs(fields(get_spins(other)) - expected).max())
    scale = float(np.abs(expected).max())
    return case.outcome(gap / scale if scale else gap, case.tolerances.symmetry, "field_function against get_property")


def _compare(
    case: Case, path: Callable[[FloatArray, float], Atoms], slopes: Callable[[FloatArray], float], shape: tuple[int, ...]
) -> tuple[float, float, bool]:
    """Worst error and rms of the exact slopes over random directions; whether the energy moved, by more than round-off."""
    calc, rng = case.calculator(), case.rng()
    errors, found, moved = [], [], False
    home = energy_of(calc, path(np.zeros(shape), 0.0))
    for _ in range(_DIRECTIONS):
        direction = rng.uniform(-1.0, 1.0, size=shape)

        def along(step: float, direction: FloatArray = direction) -> float:
            """Energy after a step along the direction."""
            return energy_of(calc, path(direction, step))

        slope = central_difference(along, case.tolerances.step)
        change = along(case.tolerances.step) - home  # of second order at extrema
        moved = moved or abs(change) > _ROUND_OFF * abs(home)  # sums in another order, as of neighbours found anew, differ
        errors.append(slope - slopes(direction))
        found.append(slopes(direction))
    return float(np.abs(errors).max()), float(np.sqrt(np.mean(np.square(found)))), moved


def _judge(case: Case, what: str, gradient: FloatArray, errors: tuple[float, float, bool], size: float) -> CheckResult:
    worst, slope, moved = errors
    norm = float(np.linalg.norm(gradient))
    if not moved and norm == 0.0:
        raise SkipCheck(f"{what}: all zero, and the energy does not change: no dependence")
    if norm <= 1e-10 * size:
        message = (
            f"vacuous: the gradient vanishes here (norm {norm:.1e}); give atoms in a generic configuration, or leave {what} "
            "out of implemented_properties if there are none"
        )
        if worst > case.tolerances.gradient * size:
            message = f"{what}: all vanish (norm {norm:.1e}) but the energy changes, at a rate of {worst:.1e}"
        return CheckResult("", "failed", norm, None, message)
    scale = max(slope, norm / np.sqrt(3.0))
    return case.outcome(worst / scale, case.tolerances.gradient, f"{what} against the energy; gradient norm {norm:.2g}")


def _energy_size(case: Case) -> float:
    """Scale below which a gradient counts as zero."""
    return max(abs(energy_of(case.calculator(), case.magnet())), np.finfo(float).tiny)


def _require_energy(case: Case) -> None:
    if not case.conservative:
        raise SkipCheck("driven calculator: there is no energy")


def check_magnetic_forces(case: Case) -> CheckResult:
    """B_i = -dE/dm_i in the tangent plane: the radial part is a gauge and is not compared.

    Along ds_i/dt = s_i x w_i the energy changes by dE/dt = -sum_i B_i . (m_i x w_i).
    """
    _require_energy(case)
    atoms = case.magnet()
    moments, fields = get_moments(atoms), ask(case.calculator(), atoms, "magnetic_forces")

    def path(axes: FloatArray, angle: float) -> Atoms:
        """All spins turned about their axes by angle times axis, radian."""
        return turned(atoms, axes, angle)

    def slope(axes: FloatArray) -> float:
        """dE/d(angle) as the fields have it, energy."""
        return -float(np.sum(fields * cross(moments, axes)))

    errors = _compare(case, path, slope, (len(atoms), 3))
    return _judge(case, "magnetic_forces", np.cross(moments, fields), errors, _energy_size(case))


def check_forces(case: Case) -> CheckResult:
    """F_i = -dE/dr_i."""
    _require_energy(case)
    if not case.gives("forces"):
        raise SkipCheck("no forces declared")
    atoms = case.magnet()
    forces = ask(case.calculator(), atoms, "forces")

    def path(direction: FloatArray, step: float) -> Atoms:
        """All atoms moved along a direction."""
        moved = atoms.copy()
        moved.positions += step * direction
        return moved

    def slope(direction: FloatArray) -> float:
        """dE/d(step) as the forces have it, energy/length."""
        return -float(np.sum(forces * direction))

    try:
        errors = _compare(case, path, slope, (len(atoms), 3))
    except InvalidGeometryError as error:
        if forces.any():
            raise
        raise SkipCheck(f"forces are zero and the sites cannot be displaced: {error}") from None
    return _judge(case, "forces", forces, errors, _energy_size(case))


def check_stress(case: Case) -> CheckResult:
    """sigma = (1/V) dE/d(strain) for homogeneous strains of cell and positions."""
    _require_energy(case)
    atoms = case.magnet()
    if not case.gives("stress"):
        raise SkipCheck("no stress declared")
    if abs(np.linalg.det(atoms.cell.array)) == 0.0:
        raise SkipCheck("the cell has no volume")
    stress = voigt_6_to_full_3x3_stress(ask(case.calculator(), atoms, "stress"))

    def path(direction: FloatArray, step: float) -> Atoms:
        """Cell and positions strained by the symmetric part of a direction (3, 3)."""
        strained = atoms.copy()
        strain = np.eye(3) + 0.5 * step * (direction + direction.T)
        strained.set_cell(atoms.cell.array @ strain, scale_atoms=False)
        strained.positions = atoms.positions @ strain
        return strained

    def slope(direction: FloatArray) -> float:
        """dE/d(strain) as the stress has it, energy."""
        return float(np.sum(stress * direction)) * atoms.get_volume()

    try:
        errors = _compare(case, path, slope, (3, 3))
    except InvalidGeometryError as error:
        if stress.any():
            raise
        raise SkipCheck(f"stress is zero and the cell cannot be strained: {error}") from None
    return _judge(case, "stress", stress * atoms.get_volume(), errors, _energy_size(case))


def check_conservative(case: Case) -> CheckResult:
    """Honesty of ``conservative``: dH_i/ds_j is symmetric in tangent directions exactly if the field is a gradient.

    For tangent moves u and v of all spins, v . dH/du = u . dH/dv with H_i = |m_i| B_i; the radial gauge of B adds
    a term proportional to u . v, which is symmetric.
    """
    atoms, calc = case.magnet(), case.calculator()
    asymmetry = max(_asymmetry(case, calc, atoms, rng) for rng in case.rng().spawn(4))
    limit = 10.0 * case.tolerances.gradient
    if case.conservative:
        return case.outcome(asymmetry, limit, "asymmetry of dH_i/ds_j, relative")
    if asymmetry <= limit:
        text = f"{type(case.pristine).__name__} is declared driven but looks conservative: dH_i/ds_j is symmetric"
        warnings.warn(text, ConformanceWarning, stacklevel=2)
        return CheckResult("", "passed", asymmetry, None, "declared driven but looks conservative")
    return CheckResult("", "passed", asymmetry, None, "driven: dH_i/ds_j is not symmetric")


def _asymmetry(case: Case, calc: Any, atoms: Atoms, rng: np.random.Generator) -> float:
    spins = get_spins(atoms)
    lengths = np.linalg.norm(get_moments(atoms), axis=1)[:, None]
    axes = rng.normal(size=(2, len(atoms), 3))
    moves = [cross(spins, axis) for axis in axes]

    def response(axis: FloatArray) -> FloatArray:
        """dH/d(angle) (N, 3) when spins turn about axes, energy."""

        def field(angle: float) -> FloatArray:
            """H (N, 3) after the turn, energy."""
            return lengths * ask(calc, turned(atoms, axis, angle), "magnetic_forces")

        return np.asarray(central_difference(field, case.tolerances.step))

    first, second = response(axes[0]), response(axes[1])
    scale = float(np.linalg.norm(first) + np.linalg.norm(second)) / 2.0
    size = float(np.linalg.norm(lengths * ask(calc, atoms, "magnetic_forces")))
    if scale <= 100.0 * np.finfo(float).eps / case.tolerances.step * size:  # round-off of a constant field
        raise SkipCheck("the field does not depend on the spins")
    gap = abs(float(np.sum(moves[1] * first) - np.sum(moves[0] * second)))
    return gap / (scale * float(np.linalg.norm(moves[0]) + np.linalg.norm(moves[1])) / 2.0 / np.sqrt(moves[0].size))
