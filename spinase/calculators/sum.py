"""Sums of calculators: spin terms, electrons and ordinary ASE potentials in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.outputs import Properties
from ase.stress import full_3x3_to_voigt_6_stress
from pydantic import BaseModel, ConfigDict, Field

from spinase.atoms import get_moments
from spinase.calculators.base import MomentsOfAtoms, SpinCalculator, changes_between, copied, require_offered
from spinase.calculators.local_sum import LocalSum
from spinase.classical import LocalModel, add_models
from spinase.contract import (
    ErrorBars,
    FieldFunction,
    LocalEnergy,
    NotConservativeError,
    ase_outputs,
    begin_step,
    check_units,
    field_function,
    follows_time,
    is_conservative,
    local_energy_on,
    recall_step,
    refused_properties,
    remember_step,
    tell_time,
)
from spinase.errors import ModelError, UnitMismatchError
from spinase.geometry import Geometry
from spinase.images import results_of_images
from spinase.learning.trust.domain import DomainProblem
from spinase.typing import FloatArray

_NO_DRAWING = SpinCalculator.begin_step
_ADDITIVE = ("energy", "free_energy", "forces", "stress", "magnetic_forces")


class SumConfig(BaseModel):
    """A sum of calculators."""

    model_config = ConfigDict(extra="forbid")

    terms: list[dict[str, Any]] = Field(
        min_length=1, description="tables of calculators: style, its options, and weight (default 1)"
    )


class SpinSumCalculator(MomentsOfAtoms, Calculator):
    """Weighted sum of calculators, ordinary ASE ones included.

    Every additive result (energy, free energy, forces, stress, magnetic forces) is the sum over the members that have
    it; a member without it counts as zero (an EMT lattice has no magnetic forces, a spin term on a frozen lattice no
    forces), and a member without a free energy counts with its energy; a stress may
    be six numbers or a tensor; what a member cannot give although it should
    (forces of a network trained on fields alone), the sum cannot either.  ``torques`` are m x B of the sum.  Members keep
    their own caches, so nothing is computed twice for one state and spin changes rebuild no geometry.  (ASE's own
    ``SumCalculator`` offers only the properties ALL members have: with EMT in it the magnetic forces disappear.)

    Parameters
    ----------
    calculators : sequence
        The members; at least one.
    weights : sequence of float, optional
        One for each; default 1.

    Raises
    ------
    ModelError
        Without members or with a wrong number of weights.
    UnitMismatchError
        If members declare different unit systems.
    """

    Config = SumConfig
    citation: ClassVar[str] = ""
    default_parameters: ClassVar[dict[str, Any]] = {}
    atoms: Atoms | None
    results: dict[str, Any]

    def __init__(self, calculators: Sequence[Any], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if not calculators:
            raise ModelError("a sum needs at least one calculator")
        self._seen: Atoms | None = None
        self._calculators = tuple(calculators)
        self._weights = (1.0,) * len(self.calculators) if weights is None else tuple(float(w) for w in weights)
        if not np.isfinite(self._weights).all():
            raise ModelError(f"the weights of a sum must be finite, got {list(self._weights)}")
        if len(self.weights) != len(self.calculators):
            raise ModelError(f"{len(self.weights)} weights for {len(self.calculators)} calculators: give one for each")
        self.units = _common_units(self.calculators)
        self._draws = any(getattr(type(calc), "begin_step", _NO_DRAWING) is not _NO_DRAWING for calc in self.calculators)
        self._timed = tuple(calc for calc in self.calculators if follows_time(calc))
        self.conservative = all(is_conservative(calc) for calc in self.calculators)
        self.symmetries = frozenset.intersection(
            *(getattr(calc, "symmetries", SpinCalculator.symmetries) for calc in self.calculators)
        )
        offered = {name for calc in self.calculators for name in calc.implemented_properties}
        if "energy" in offered:
            offered.add("free_energy")
        self.implemented_properties = [name for name in _ADDITIVE if name in offered]
        if "magnetic_forces" in offered:
            self.implemented_properties.append("torques")
        self.refused_properties = {
            name: why for calc in reversed(self.calculators) for name, why in refused_properties(calc).items()
        }
        self.implemented_properties = [name for name in self.implemented_properties if name not in self.refused_properties]

    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True) -> Any:
        """One result, as in ASE; what a member refuses says why.

        Raises
        ------
        PropertyNotImplementedError
            If there is no such result.
        """
        require_offered(self.refused_properties, name)
        return super().get_property(name, atoms, allow_calculation)

    def __repr__(self) -> str:
        parts = [
            f"{calc!r}" if weight == 1.0 else f"{weight:g} * {calc!r}"
            for weight, calc in zip(self.weights, self.calculators, strict=True)
        ]
        return f"{type(self).__name__}({' + '.join(parts)})"

    @property
    def calculators(self) -> tuple[Any, ...]:
        """The members (fixed: build another sum for others)."""
        return self._calculators

    @property
    def weights(self) -> tuple[float, ...]:
        """Their weights (fixed: results are kept, and drivers have bound them; build another sum for others)."""
        return self._weights

    @weights.setter
    def weights(self, values: Any) -> None:
        raise ModelError(
            f"the weights of a sum are fixed, {values!r} would leave old energies behind: build another "
            "SpinSumCalculator of the same members (it costs nothing), and give it to the atoms"
        )

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What changed since the last calculation, as in ASE; other reference lengths count as other moments."""
        return changes_between(self.atoms, atoms)

    def calculate(
        self, atoms: Atoms | None = None, properties: list[str] | None = None, system_changes: list[str] = all_changes
    ) -> None:
        """Ask the members and add; ASE calls this."""
        target = self.atoms if atoms is None else atoms
        assert target is not None
        members = self.calculators
        try:
            check_units(target, self)
            if self.atoms is not None and self.check_state(target):  # called directly, as atoms.get_properties does
                self.reset()
            for name in properties or ["energy"]:
                self.results[name] = self._total(name, target, lambda m, wanted: members[m].get_property(wanted, target))
        except BaseException:
            self.reset()
            raise
        if self.atoms is None:
            self.atoms = self._seen = copied(target, self._seen)

    def _total(self, name: str, atoms: Atoms, member: Callable[[int, str], Any]) -> Any:
        """Sum of what `member` says: a result of one of the members, by its place."""
        require_offered(self.refused_properties, name)
        if name not in self.implemented_properties:
            raise PropertyNotImplementedError(f"no member of the sum gives {name!r}")
        if name in ("energy", "free_energy") and not self.conservative:
            driven = next(type(calc).__name__ for calc in self.calculators if not is_conservative(calc))
            raise NotConservativeError(f"the sum contains the driven {driven}: it has no energy")
        if name == "torques":
            return np.cross(get_moments(atoms), self._total("magnetic_forces", atoms, member))
        parts = [
            weight * _six_stresses(name, member(m, _member_name(calc, name)))
            for m, (calc, weight) in enumerate(zip(self.calculators, self.weights, strict=True))
            if _member_name(calc, name) in calc.implemented_properties
        ]
        if parts[0].ndim == 0:
            return float(np.sum(parts))
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def results_of_images(self, images: Sequence[Atoms], names: Sequence[str]) -> list[dict[str, Any]]:
        """Results of many magnets (see :mod:`spinase.images`): every member is asked for all at once."""
        asked = {"magnetic_forces" if name == "torques" else name for name in names}
        found = []
        for calc in self.calculators:
            own = {_member_name(calc, name) for name in asked} & set(calc.implemented_properties)
            found.append(results_of_images(calc, images, sorted(own)))

        def total(name: str, k: int) -> Any:
            """One result of magnet number k."""
            return self._total(name, images[k], lambda m, wanted: found[m][k][wanted])

        return [{name: total(name, k) for name in names} for k in range(len(images))]

    def export_properties(self) -> Properties:
        """Results under ASE's own names (``atoms.get_properties`` fails on any other)."""
        return ase_outputs(self.results)

    def field_function(self, atoms: Atoms, lengths: FloatArray | None = None) -> FieldFunction:
        """Sum of the members' field functions (see ``contract.FastFields``)."""
        parts = [
            (weight, field_function(atoms, calc, lengths))
            for calc, weight in zip(self.calculators, self.weights, strict=True)
            if "magnetic_forces" in calc.implemented_properties
        ]

        first, *others = parts or [(1.0, np.zeros_like)]

        def fields(spins: FloatArray) -> FloatArray:
            """Weighted sum of the members' magnetic forces at these spins (N, 3), energy/moment."""
            total = _weighted(*first, spins)
            for weight, part in others:
                total = total + _weighted(weight, part, spins)
            return total

        return fields

    def energy_of_spins(self, atoms: Atoms) -> float:
        """Free energy of the members with magnetic forces, energy; the others have nothing that turns spins."""
        total = 0.0
        for calc, weight in zip(self.calculators, self.weights, strict=True):
            if "magnetic_forces" not in calc.implemented_properties:
                continue
            if isinstance(calc, SpinSumCalculator):
                total += weight * calc.energy_of_spins(atoms)
            else:
                total += weight * float(calc.get_property(_member_name(calc, "free_energy"), atoms))
        return total

    def error_bars(self, atoms: Atoms, coverage: float = 0.9) -> FloatArray:
        """Sum of the bars (N,) of those members that have error bars, energy/moment; the others count as exact.

        With one learned member the coverage is that of its bars, with n of them at least 1 - n (1 - coverage).

        Raises
        ------
        ModelError
            If no member has error bars.
        """
        learned = [(w, calc) for w, calc in zip(self.weights, self.calculators, strict=True) if isinstance(calc, ErrorBars)]
        if not learned:
            raise ModelError("no member of the sum has error bars: they belong to learned calculators (style 'hipnn')")
        return np.sum([abs(weight) * calc.error_bars(atoms, coverage) for weight, calc in learned], axis=0)

    def domain_problem(self, atoms: Atoms, margin: float = 0.02) -> DomainProblem | None:
        """What of the atoms is outside the training of one of the learned members, the worst first; None if nothing is."""
        found = [calc.domain_problem(atoms, margin) for calc in self.calculators if isinstance(calc, ErrorBars)]
        problems = sorted((one for one in found if one is not None), key=lambda one: not one.fatal)
        return next(iter(problems), None)

    def local_model(self, atoms: Atoms, lengths: FloatArray) -> LocalModel | None:
        """Sum of the members' models (see ``contract.local_model_of``); None if one has magnetic forces but no model."""
        parts = []
        for calc, weight in zip(self.calculators, self.weights, strict=True):
            if "magnetic_forces" not in calc.implemented_properties:
                continue
            model = calc.local_model(atoms, lengths) if hasattr(calc, "local_model") else None
            if model is None:
                return None
            parts.append((weight, model))
        return add_models(parts) if parts else None

    def local_energy(self, geometry: Geometry | None = None) -> LocalEnergy:
        """The sum for given pairs (see ``contract.local_energy``).

        Raises
        ------
        ModelError
            If a member has no such form.
        """
        return LocalSum(tuple(local_energy_on(calc, geometry) for calc in self.calculators), self.weights)

    def begin_step(self) -> None:
        """Tell the members that a step begins; where one draws anew, what the sum gave before is forgotten."""
        for calc in self.calculators:
            begin_step(calc)
        if self._draws:
            self.results = {}

    def set_time(self, time: float) -> None:
        """Tell the members what time it is; what those that care gave before is forgotten."""
        for calc in self._timed:
            tell_time(calc, time)
        if self._timed:
            self.results = {}

    def for_supercell(self, repeat: tuple[int, int, int]) -> SpinSumCalculator | None:
        """The sum of the members' supercell calculators; None if a member has none."""
        members = [calc.for_supercell(repeat) if hasattr(calc, "for_supercell") else calc for calc in self.calculators]
        return None if None in members else SpinSumCalculator(members, self.weights)

    def step_state(self) -> list[Any]:
        """What a step may change in the members."""
        return [remember_step(calc) for calc in self.calculators]

    def restore_step(self, state: list[Any]) -> None:
        """Give every member back what it had before the step."""
        for calc, part in zip(self.calculators, state, strict=True):
            recall_step(calc, part)
        self.results = {}

    def checkpoint_state(self) -> dict[str, Any]:
        """The members' restart states, by position."""
        states = {str(k): _state_of(calc) for k, calc in enumerate(self.calculators)}
        return {key: state for key, state in states.items() if state}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Give every member its state back."""
        for key, part in state.items():
            self.calculators[int(key)].restore_state(part)


def _weighted(weight: float, fields: FieldFunction, spins: FloatArray) -> FloatArray:
    """Fields (N, 3) of a member, energy/moment, times its weight."""
    return fields(spins) if weight == 1.0 else weight * fields(spins)


def _state_of(calc: Any) -> dict[str, Any]:
    return calc.checkpoint_state() if hasattr(calc, "checkpoint_state") else {}


def _member_name(calc: Any, name: str) -> str:
    """A member without a free energy (no electronic entropy) has it equal to its energy."""
    return "energy" if name == "free_energy" and "free_energy" not in calc.implemented_properties else name


def _six_stresses(name: str, result: Any) -> FloatArray:
    """A member's result; a stress in ASE's six components, where some calculators give all nine."""
    value = np.asarray(result, dtype=np.float64)
    return full_3x3_to_voigt_6_stress(value) if name == "stress" and value.shape == (3, 3) else value


def _common_units(calculators: Sequence[Any]) -> str | None:
    declared: dict[str, str] = {}
    for calc in calculators:
        units = getattr(calc, "units", None)
        if units is None and type(calc).__module__.startswith("ase."):
            units = "metal"
        if isinstance(units, str):
            declared.setdefault(units, type(calc).__name__)
    if len(declared) > 1:
        listing = ", ".join(f"{name} in {units}" for units, name in declared.items())
        raise UnitMismatchError(f"the members of a sum must share one unit system: {listing}")
    return next(iter(declared), None)
