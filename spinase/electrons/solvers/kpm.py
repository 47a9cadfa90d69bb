"""Chebyshev (KPM) solver: linear in the number of sites, any graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from scipy.stats import t as student

from spinase.electrons.chebyshev.columns import Columns
from spinase.electrons.chebyshev.series import Band, find_band, largest_exchange
from spinase.electrons.occupation import Occupation
from spinase.electrons.operator import ElectronState, SparsityPattern, SpinOperator
from spinase.electrons.solvers.base import Plan, Solver
from spinase.electrons.solvers.kpm_calibration import Calibration, digest, energy_scale
from spinase.electrons.solvers.kpm_calibrator import Calibrator
from spinase.electrons.solvers.kpm_expansion import ChebyshevExpansion
from spinase.electrons.solvers.kpm_options import KPMOptions
from spinase.errors import ModelError
from spinase.typing import Array, BoolArray, FloatArray

_ROOM = 1.08  # widening of a band that replaces one that was too narrow
_FINER = 2.0  # times as many moments tell the error of the order
_TWO_SIGMA = 0.97725  # part of a Gaussian below two standard deviations
_FIVE_SIGMA = 5.0  # standard deviations that the largest of many errors stays below
_SINGLE = 2e-7  # round-off of densities in single precision


class Phases:
    """Where the random phases of the columns come from: the same until they are renewed.

    Parameters
    ----------
    rng : numpy Generator
        Drawn from once now, and once for each renewal.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.seed = int(rng.integers(2**62))

    def renew(self) -> None:
        """New phases, from the generator."""
        self.seed = int(self.rng.integers(2**62))

    def state(self) -> dict[str, Any]:
        """Generator and seed (JSON values)."""
        return {"generator": self.rng.bit_generator.state, "seed": self.seed}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state` gave."""
        self.rng.bit_generator.state, self.seed = state["generator"], int(state["seed"])


@final
class KPMSolver(Solver[ElectronState]):
    """Kernel polynomial method with gradient or direct estimators; kT > 0, Gamma point.

    Parameters
    ----------
    occupation : Occupation
        Filling or chemical potential, and temperature; kT > 0.
    options : KPMOptions
    rng : numpy Generator, optional
        Source of the phases, which all plans share; default: seeded with 0.

    Raises
    ------
    ModelError
        At kT = 0.
    """

    abilities = frozenset({"filling", "flux", "spin_orbit"})

    def __init__(
        self, occupation: Occupation, options: KPMOptions | None = None, rng: np.random.Generator | None = None
    ) -> None:
        if occupation.kT == 0.0:
            raise ModelError(
                "KPM needs kT > 0: the Fermi step at kT = 0 rings at any order (the order grows as bandwidth/kT); "
                "take a small kT, or style 'ed'"
            )
        self.occupation = occupation
        self.options = options or KPMOptions()
        self.phases = Phases(rng or np.random.default_rng(0))

    def plan(self, pattern: SparsityPattern) -> KPMPlan:
        """A plan that calibrates itself at the first operator."""
        return KPMPlan(self, pattern, None)

    def restore_plan(self, state: dict[str, Any]) -> KPMPlan:
        """The plan of a checkpoint, with its calibration."""
        pattern = SparsityPattern.from_lists(state["pattern"])
        return KPMPlan(self, pattern, None if state["choice"] is None else Choice.from_table(state["choice"]))

    def density_error(self, operator: SpinOperator) -> float:
        """Five times the rms error that belongs to the asked accuracy of the fields."""
        floor = _SINGLE if self.options.dtype == "float32" else 0.0
        return _FIVE_SIGMA * (self.options.accuracy / energy_scale(operator, self.occupation.kT) + floor)


@dataclass(frozen=True, eq=False)
class Bounded:
    """Hopping and on-site energies that the band in use was checked for, by identity or by digest (after a restart)."""

    hopping: Array | None
    onsite: FloatArray | None
    digest: str | None
    spin_hopping: Array | None = None

    @classmethod
    def by(cls, operator: SpinOperator) -> Bounded:
        """Those of an operator."""
        return cls(operator.hopping, operator.onsite, None, operator.spin_hopping)

    def holds_for(self, operator: SpinOperator) -> bool:
        """Whether the operator has the same."""
        if self.hopping is None:
            return self.digest == digest(operator.hopping, operator.onsite, operator.spin_hopping)
        same = self.hopping is operator.hopping and self.spin_hopping is operator.spin_hopping
        return same and self.onsite is operator.onsite

    def to_digest(self) -> str | None:
        """For a checkpoint."""
        return (
            self.digest
            if self.hopping is None or self.onsite is None
            else digest(self.hopping, self.onsite, self.spin_hopping)
        )


@dataclass(frozen=True, eq=False)
class Choice:
    """What was chosen for a magnet.

    Attributes
    ----------
    calibration : Calibration
    magnetic : (N,) bool
        Sites with an exchange vector: with others it is another magnet, and chosen for anew.
    bounded : Bounded
    """

    calibration: Calibration
    magnetic: BoolArray
    bounded: Bounded

    def to_table(self) -> dict[str, Any]:
        """As numbers and lists, for a checkpoint."""
        known = {"magnetic": self.magnetic.tolist(), "bounded": self.bounded.to_digest()}
        return {"calibration": self.calibration.to_table(), **known}

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> Choice:
        """From what :meth:`to_table` gave."""
        calibration = Calibration.from_table(table["calibration"])
        return cls(calibration, np.array(table["magnetic"], bool), Bounded(None, None, table["bounded"]))


@final
class KPMPlan(Plan[ElectronState]):
    """Order, columns and bounds for one magnet.

    The first operator calibrates: the order follows from the temperature, the number of columns from comparing a few sites
    with their exact columns.  Colours and bounds are then kept, so that successive energies are comparable, while the same
    sites have an exchange vector; :meth:`follow` keeps them where atoms move and bonds come and go.
    """

    turns_spins = True

    def __init__(self, solver: KPMSolver, pattern: SparsityPattern, choice: Choice | None) -> None:
        super().__init__(pattern)
        self.solver, self.phases = solver, solver.phases
        self._choice = choice
        self._expansion = ChebyshevExpansion(solver.occupation, solver.options)

    def follow(self, pattern: SparsityPattern) -> KPMPlan:
        """A plan for `pattern` with the same colours, order and bounds: its energies are comparable with those before."""
        return KPMPlan(self.solver, pattern, self._choice)

    def _solve(self, operator: SpinOperator, bonds: bool) -> ElectronState:
        """Density on the operator's pattern, energies from the moments."""
        return self._expansion.solve(operator, self.calibrate(operator), bonds, self.phases.seed)

    @property
    def calibration(self) -> Calibration | None:
        """The order, columns and bounds in use; None before the first operator."""
        return None if self._choice is None else self._choice.calibration

    def knows(self, operator: SpinOperator) -> bool:
        """Whether the calibration is for the sites that have an exchange vector in `operator`."""
        return self._choice is not None and np.array_equal(_magnetic(operator), self._choice.magnetic)

    def calibrate(self, operator: SpinOperator) -> Calibration:
        """The order, columns and bounds in use for this magnet; chosen at its first operator."""
        known = self._choice
        if known is None or not self.knows(operator):
            chosen = Calibrator(self._expansion, self.phases.seed).choose(operator)
            known = Choice(chosen, _magnetic(operator), Bounded.by(operator))
        elif self.solver.options.bounds is None:
            known = _rebounded(known, operator)
        self._choice = known
        return known.calibration

    def measure(self, operator: SpinOperator) -> Calibration:
        """The calibration in use, with its error measured on `operator` instead of that it was chosen at."""
        return Calibrator(self._expansion, self.phases.seed).measure(operator, self.calibrate(operator))

    def errors(
        self, operator: SpinOperator, repeats: int = 8, fields: Callable[[FloatArray], FloatArray] = np.asarray
    ) -> FloatArray:
        """Standard errors (N, 3) of the spin density of one solution, or of fields made of it; two of them cover about 95 %.

        The scatter over `repeats` new sets of phases, widened for their small number (Student's t), and in quadrature the
        error of the order: the difference from a solution with twice as many moments and the same phases.

        Parameters
        ----------
        operator : SpinOperator
            On the plan's pattern.
        repeats : int
            Sets of phases, two at least.
        fields : callable
            From spin densities (n, 3) to what the errors are of, linear; default: themselves.
        """
        if repeats < 2:
            raise ModelError(f"an error bar needs at least 2 repeats, got {repeats}")
        calibration = self.calibrate(operator)
        seeds = [int(s) for s in np.random.default_rng([self.phases.seed, 1]).integers(2**62, size=repeats)]
        found = [fields(self._expansion.solve(operator, calibration, False, seed).density.spin) for seed in seeds]
        finer = replace(calibration, order=2 * int(np.ceil(0.5 * _FINER * calibration.order)))
        lost = fields(self._expansion.solve(operator, finer, False, seeds[0]).density.spin) - found[0]
        widened = 0.5 * float(student.ppf(_TWO_SIGMA, repeats - 1))
        floor = np.full((len(operator), 3), _SINGLE if self.solver.options.dtype == "float32" else 0.0)
        return np.hypot(widened * np.std(found, axis=0, ddof=1), np.abs(lost) + np.abs(fields(floor)))

    def moments(self, operator: SpinOperator, columns: Columns, order: int) -> tuple[FloatArray, Band]:
        """Moments mu_0 .. mu_order of all columns together, and the band they refer to.

        Parameters
        ----------
        operator : SpinOperator
            On the plan's pattern.
        columns : Columns
            Over which traces are taken.
        order : int
            The highest, even.
        """
        band = self.calibrate(operator).band
        return self._expansion.engine(operator, band, columns, self.phases.seed).moments(order // 2)[: order + 1], band

    # -- restart ------------------------------------------------------------------------------------------------------

    def step_state(self) -> Choice | None:
        """What a solution may change: the calibration (its phases are the solver's)."""
        return self._choice

    def restore_step(self, state: Choice | None) -> None:
        """Take back what :meth:`step_state` gave."""
        self._choice = state

    def checkpoint_state(self) -> dict[str, Any]:
        """The pattern and what was chosen for it: another process continues with the same numbers."""
        return {"pattern": self.pattern.to_lists(), "choice": None if self._choice is None else self._choice.to_table()}


def _rebounded(known: Choice, operator: SpinOperator) -> Choice:
    """The same choice, on a new band if the spectrum may have left the one in use."""
    calibration, band = known.calibration, known.calibration.band
    if known.bounded.holds_for(operator) and largest_exchange(operator) <= band.reach:
        return known if known.bounded.hopping is not None else replace(known, bounded=Bounded.by(operator))
    found = find_band(operator, keep=band)
    if found is not band:
        # with room for what comes next: every new band is another estimate
        wider = Band(found.centre, _ROOM * found.half, found.reach + (_ROOM - 1.0) * found.half)
        order = calibration.order * wider.half / band.half  # the same resolution on another band
        calibration = replace(calibration, band=wider, order=2 * int(np.ceil(0.5 * order)))
    return replace(known, calibration=calibration, bounded=Bounded.by(operator))


def _magnetic(operator: SpinOperator) -> BoolArray:
    """Sites with an exchange vector, (N,)."""
    return np.asarray(operator.exchange.any(axis=1))


__all__ = ["KPMOptions", "KPMPlan", "KPMSolver", "Phases"]
