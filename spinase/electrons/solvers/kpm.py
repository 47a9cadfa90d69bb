"""Chebyshev (KPM) solver: linear in the number of sites, any graph.

Two estimators of the density from a set of columns R:

* gradient: rho is the exact derivative of the estimated grand potential sum_m c_m R+ T_m(h) R, so forces and fields are
  conservative whatever the columns and the order, and 2-3 times closer than the direct ones
  (K. Barros, Y. Kato, Phys. Rev. B 88, 235101 (2013), arXiv:1303.1101; Z. Wang et al., J. Chem. Phys. 148, 094107 (2018));
* direct: the matching entries of f(H) R R+.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.stats import t as student

from spinase.compiled.threads import default_threads
from spinase.electrons.chebyshev.columns import (
    ColumnKind,
    Columns,
    probing_columns,
    random_columns,
    subset_columns,
    unit_columns,
)
from spinase.electrons.chebyshev.engine import ChebyshevEngine, NumbaEngine, Precision, RawDensity
from spinase.electrons.chebyshev.engine import Pattern as CompiledPattern
from spinase.electrons.chebyshev.engine_torch import TorchEngine
from spinase.electrons.chebyshev.series import Band, coefficients, fermi_order, find_band, largest_exchange
from spinase.electrons.occupation import FixedChemicalPotential, FixedFilling, Occupation, fermi
from spinase.electrons.operator import Density, ElectronState, SpinOperator
from spinase.electrons.solvers.base import Solver
from spinase.electrons.solvers.kpm_calibration import (
    Calibration,
    Pattern,
    Sample,
    digest,
    energy_scale,
    occupation_coefficients,
    potential_coefficients,
    rms_components,
)
from spinase.errors import ModelError
from spinase.geometry import Bonds
from spinase.typing import FloatArray

Estimator = Literal["gradient", "direct"]
Backend = Literal["numba", "torch"]

_TRUNCATION = 0.25  # share of the accuracy that the order may cost
_EXACT = 0.01  # the same for what counts as exact when errors are measured
_STEP_DOWN = 1.05  # between the orders that are tried
_LEAST_ORDER = 4
_ROOM = 1.08  # widening of a band that replaces one that was too narrow
_SAMPLE = 24  # sites whose exact densities the columns are measured against
_FIRST_COUNT = 64
_FINER = 2.0  # times as many moments tell the error of the order
_TWO_SIGMA = 0.97725  # part of a Gaussian below two standard deviations
_SINGLE = 2e-7  # round-off of densities in single precision
_TRIES = 8
_SAFETY = 0.85  # of the accuracy, for the scatter of an error measured on a few sites
_REACH = 40.0  # kT around the band within which mu is searched


@dataclass(frozen=True)
class KPMOptions:
    """How the KPM solver works; None: chosen from the accuracy.

    Attributes
    ----------
    accuracy : float
        Asked rms error of the components of the fields H_i, energy.
    columns : str
        ``"probing"``, ``"unit"`` (deterministic) or ``"random"``.
    count : int, optional
        Number of columns.
    order : int, optional
        Number of Chebyshev moments.
    estimator : str
        ``"gradient"`` or ``"direct"``.
    dtype : str
        ``"float32"`` or ``"float64"``.
    backend : str
        ``"numba"`` (processor) or ``"torch"`` (on `device`).
    device : str, optional
        Of the torch backend; default: a CUDA device if there is one.
    threads : int, optional
        Of the numba backend; default: ``OMP_NUM_THREADS``, else all.
    bounds : (float, float), optional
        Spectral bounds by hand, energy.
    """

    accuracy: float = 1e-3
    columns: ColumnKind = "probing"
    count: int | None = None
    order: int | None = None
    estimator: Estimator = "gradient"
    dtype: Precision = "float32"
    backend: Backend = "numba"
    device: str | None = None
    threads: int | None = None
    bounds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ModelError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if not np.isfinite(self.accuracy) or self.accuracy <= 0.0:
            raise ModelError(f"accuracy must be positive (an rms error of fields, energy), got {self.accuracy}")
        if self.dtype == "float32" and self.accuracy < 1e-6:
            raise ModelError(f"float32 reaches about 1e-6, accuracy = {self.accuracy:g} was asked for: use dtype='float64'")
        for name, least in (("count", 1), ("order", 4), ("threads", 1)):
            value = getattr(self, name)
            if value is not None and (int(value) != value or value < least):
                raise ModelError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise ModelError(f"bounds must be (lowest, highest) energy, got {self.bounds}")


_CHOICES = {
    "columns": ("probing", "unit", "random"),
    "estimator": ("gradient", "direct"),
    "dtype": ("float32", "float64"),
    "backend": ("numba", "torch"),
}


class KPMSolver(Solver):
    """Kernel polynomial method with gradient or direct estimators; kT > 0, Gamma point.

    The first operator of a magnet calibrates: the order follows from the temperature, the number of columns from comparing
    a few sites with their exact columns.  Colours and bounds are then kept while the magnet stays the same, so that
    successive energies are comparable.  The same magnet is one with the same graph of bonds and the same sites with an
    exchange vector; where atoms move and bonds come and go, :meth:`follow` says so beforehand.

    Parameters
    ----------
    occupation : Occupation
        Filling or chemical potential, and temperature; kT > 0.
    options : KPMOptions
    rng : numpy Generator, optional
        Source of the phases; default: seeded with 0.

    Raises
    ------
    ModelError
        At kT = 0.
    """

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
        self.rng = rng or np.random.default_rng(0)
        self.calibration: Calibration | None = None
        self.seed = self._new_seed()
        self._magnet: Pattern | None = None
        self._compiled: CompiledPattern | None = None
        self._bounded: tuple[Any, Any] | None = None  # hopping and onsite that the band was checked for
        self._recalled: str | None = None  # digest of them, from a checkpoint

    def renew(self) -> None:
        """New random phases, from the generator."""
        self.seed = self._new_seed()

    def _new_seed(self) -> int:
        return int(self.rng.integers(2**62))

    def solve(self, operator: SpinOperator, bonds: bool = True) -> ElectronState:
        """Density on the operator's pattern, energies from the moments."""
        return self._solve(operator, self.calibrate(operator), bonds)

    def follow(self, bonds: Bonds) -> None:
        """Say that `bonds` are of the magnet known so far, though they may differ from those before: its atoms have moved.

        Colours, order and bounds are kept for it, so that its energy is comparable with those before.
        """
        if self._magnet is not None:
            self._magnet = Pattern(bonds.first, bonds.second, self._magnet.magnetic)

    def forget(self) -> None:
        """Say that the next operator is of another magnet, whatever its bonds."""
        self.calibration = self._magnet = None

    def knows(self, operator: SpinOperator) -> bool:
        """Whether `operator` is of the magnet that the calibration is for."""
        return self.calibration is not None and Pattern.of(operator) == self._magnet

    def calibrate(self, operator: SpinOperator) -> Calibration:
        """The order, columns and bounds in use for this magnet; chosen at its first operator."""
        known, magnet = self.calibration, Pattern.of(operator)
        if known is None or magnet != self._magnet:
            self._magnet = magnet
            self.calibration = self._choose(operator)
            self._bounded = (operator.hopping, operator.onsite)
        elif self.options.bounds is None:
            self.calibration = self._rebounded(known, operator)
        return self.calibration  # type: ignore[return-value]

    def measure(self, operator: SpinOperator) -> Calibration:
        """The calibration in use, with its error measured on `operator` instead of that it was chosen at."""
        known = self.calibrate(operator)
        sample = self._sampled(operator, known.band, known.strength)
        truncation = self._truncation(operator, known.band, sample, known.strength)
        lost = float(truncation[min(known.order, len(truncation) - 1)])
        return self._measured(operator, replace(known, truncation=lost), sample)

    def _rebounded(self, known: Calibration, operator: SpinOperator) -> Calibration:
        """The same calibration, on a new band if the spectrum may have left the one in use."""
        if self._bounded is None:
            checked = self._recalled == digest(operator.hopping, operator.onsite)
        else:
            checked = self._bounded[0] is operator.hopping and self._bounded[1] is operator.onsite
        self._bounded = (operator.hopping, operator.onsite)
        if checked and largest_exchange(operator) <= known.band.reach:
            return known
        band = find_band(operator, keep=known.band)
        if band is known.band:
            return known
        # with room for what comes next: every new band is another estimate
        band = Band(band.centre, _ROOM * band.half, band.reach + (_ROOM - 1.0) * band.half)
        order = known.order * band.half / known.band.half  # the same resolution on another band
        return replace(known, band=band, order=2 * int(np.ceil(0.5 * order)))

    def errors(self, operator: SpinOperator, repeats: int = 8) -> FloatArray:
        """Standard errors (N, 3) of the spin density of one solution; two of them cover about 95 %.

        The scatter over `repeats` new sets of phases, widened for their small number (Student's t), and in quadrature the
        error of the order: the difference from a solution with twice as many moments and the same phases.
        """
        if repeats < 2:
            raise ModelError(f"an error bar needs at least 2 repeats, got {repeats}")
        calibration = self.calibrate(operator)
        seeds = [int(s) for s in np.random.default_rng([self.seed, 1]).integers(2**62, size=repeats)]
        found = [self._solve(operator, calibration, False, seed).density.spin for seed in seeds]
        finer = replace(calibration, order=2 * int(np.ceil(0.5 * _FINER * calibration.order)))
        lost = self._solve(operator, finer, False, seeds[0]).density.spin - found[0]
        widened = 0.5 * float(student.ppf(_TWO_SIGMA, repeats - 1))
        floor = _SINGLE if self.options.dtype == "float32" else 0.0
        return np.hypot(widened * np.std(found, axis=0, ddof=1), np.abs(lost) + floor)

    def moments(self, operator: SpinOperator, columns: Columns, order: int) -> tuple[FloatArray, Band]:
        """Moments mu_0 .. mu_order of all columns together, and the band they refer to."""
        band = self.calibrate(operator).band
        return self._engine(operator, band, columns, self.seed).moments(order // 2)[: order + 1], band

    # -- one solution -------------------------------------------------------------------------------------------------

    def _solve(self, operator: SpinOperator, with_: Calibration, bonds: bool, seed: int | None = None) -> ElectronState:
        engine = self._engine(operator, with_.band, with_.columns, self.seed if seed is None else seed)
        moments = engine.moments(with_.order // 2)
        self._check_moments(moments, with_.band)
        mu, target = self._chemical_potential(moments, with_, 2.0 * len(operator))
        band, kT = with_.band, self.occupation.kT
        raw = self._density(engine, mu, with_, bonds)
        energy = float(coefficients(lambda e: e * fermi(e, mu, kT), band, with_.order) @ moments)
        electrons = float(coefficients(lambda e: fermi(e, mu, kT), band, with_.order) @ moments)
        omega = float(self._potential(mu, with_) @ moments)
        return ElectronState(
            energy=energy,
            free_energy=omega + (0.0 if target is None else mu * target),
            entropy=(energy - mu * (electrons if target is None else target) - omega) / kT,
            chemical_potential=mu,
            electrons=electrons,
            density=Density(raw.sites[:, 0].copy(), raw.sites[:, 1:].copy(), raw.bonds),
            levels=np.empty(0),
            weights=np.empty(0),
        )

    def _density(self, engine: ChebyshevEngine, mu: float, with_: Calibration, bonds: bool) -> RawDensity:
        if self.options.estimator == "gradient":
            raw = engine.gradient(self._potential(mu, with_), bonds)
            return RawDensity(raw.sites / with_.band.half, raw.bonds / with_.band.half)
        return engine.direct(coefficients(lambda e: fermi(e, mu, self.occupation.kT), with_.band, with_.order), bonds)

    def _potential(self, mu: float, with_: Calibration) -> FloatArray:
        return potential_coefficients(with_.band, mu, self.occupation.kT, with_.order)

    def _chemical_potential(self, moments: FloatArray, with_: Calibration, states: float) -> tuple[float, float | None]:
        """mu, and the number of electrons if that is what is fixed; -d(Omega)/d(mu) = N holds exactly for these moments."""
        if isinstance(self.occupation, FixedChemicalPotential):
            return self.occupation.chemical_potential, None
        assert isinstance(self.occupation, FixedFilling)
        target, kT = self.occupation.filling * states, self.occupation.kT
        if not 0.0 < target < states:
            raise ModelError(
                f"{target:g} electrons in {states:g} states at kT = {kT:g} put the chemical potential at infinity: "
                "use a filling strictly between 0 and 1, or set chemical_potential"
            )

        def excess(mu: float) -> float:
            return float(coefficients(lambda e: fermi(e, mu, kT), with_.band, with_.order) @ moments) - target

        low, high = with_.band.low - _REACH * kT, with_.band.high + _REACH * kT
        return float(brentq(excess, low, high, xtol=1e-13 * with_.band.half, rtol=1e-14)), target

    def _check_moments(self, moments: FloatArray, band: Band) -> None:
        if not np.isfinite(moments).all() or np.abs(moments).max() > 1.01 * moments[0] + 1e-6:
            raise ModelError(
                f"the spectrum leaves the bounds {band.low:.6g} .. {band.high:.6g} (a moment is "
                f"{np.abs(moments).max() / moments[0]:.3g} times the zeroth): give wider bounds, or none"
            )

    # -- preparation --------------------------------------------------------------------------------------------------

    def _engine(self, operator: SpinOperator, band: Band, columns: Columns, seed: int) -> ChebyshevEngine:
        if self.options.backend == "torch":
            return TorchEngine(operator, band, columns, seed, self.options.dtype, self.options.device)
        threads = self.options.threads or default_threads()
        known = self._compiled
        if known is None or known.hopping is not operator.hopping or known.band is not band:
            self._compiled = known = CompiledPattern(operator, band, self.options.dtype, threads)
        return NumbaEngine(known, operator, columns, seed, threads)

    def _exact_order(self, band: Band, strength: float) -> int:
        """An order beyond doubt for the asked accuracy."""
        middle = getattr(self.occupation, "chemical_potential", band.centre)
        tolerance = _EXACT * self.options.accuracy / max(1.0, strength)
        return max(_LEAST_ORDER, fermi_order(band, middle, self.occupation.kT, tolerance))

    def _truncation(self, operator: SpinOperator, band: Band, sample: Sample, strength: float) -> FloatArray:
        """Errors (highest order + 1,), energy, that exact columns of a few sites have at each order or at some order above.

        Of the density (times `strength`), and of the energy per site: symmetry may make any density right (half filling).
        At a fixed number of electrons the chemical potential is that of the same order.  The largest error of all orders
        above is what counts: where all sites are alike (a ferromagnet) the error goes through zero time and again.
        """
        columns = self._columns(operator, _FIRST_COUNT)
        moments = self._engine(operator, band, columns, self.seed).moments(sample.order // 2)
        self._check_moments(moments, band)
        kT, sites, gradient = self.occupation.kT, len(operator), self.options.estimator == "gradient"

        def numbers(order: int) -> tuple[FloatArray, float]:
            draft = Calibration(band, order, columns)
            mu, target = self._chemical_potential(moments[: order + 1], draft, 2.0 * sites)
            energy = float(coefficients(lambda e: (e - mu) * fermi(e, mu, kT), band, order) @ moments[: order + 1])
            energy += 0.0 if target is None else mu * target
            return sample.density(occupation_coefficients(band, mu, kT, order, gradient)), energy / sites

        exact, energy = numbers(sample.order)

        def error(order: int) -> float:
            density, there = numbers(order)
            return max(strength * rms_components(density - exact), abs(there - energy))

        errors, order = np.zeros(sample.order + 1), sample.order
        worst = 0.0
        while order >= _LEAST_ORDER:
            worst = max(worst, error(order))
            smaller = max(min(order - 2, 2 * int(order / _STEP_DOWN / 2.0)), 0)
            errors[smaller + 1 : order + 1] = worst
            order = smaller
        errors[: order + 1] = np.inf
        return errors

    def _order(self, truncation: FloatArray) -> tuple[int, float]:
        """The smallest even order at which exact columns are good enough (or that given); its error."""
        given = self.options.order
        if given is None:
            enough = np.flatnonzero(truncation <= _TRUNCATION * self.options.accuracy)
            order = int(enough[0]) if len(enough) else len(truncation) - 1
        else:
            order = given
        order += order % 2
        return order, float(truncation[min(order, len(truncation) - 1)])

    def _choose(self, operator: SpinOperator) -> Calibration:
        strength = energy_scale(operator, self.occupation.kT)
        band = find_band(operator) if self.options.bounds is None else Band.between(*self.options.bounds)
        sample = self._sampled(operator, band, strength)
        lost = self._truncation(operator, band, sample, strength)
        order, truncation = self._order(lost)
        if self.options.columns == "unit":
            return Calibration(band, order, unit_columns(len(operator)), strength, truncation, truncation)
        count = self.options.count or _FIRST_COUNT
        for _ in range(_TRIES):
            draft = Calibration(band, order, self._columns(operator, count), strength, truncation=truncation)
            found = self._measured(operator, draft, sample)
            if found.error <= _SAFETY * self.options.accuracy or self.options.count is not None:
                return found
            if found.columns.count >= 2 * len(operator):  # exact columns know mu better than those the order was chosen with
                if self.options.order is not None or order >= sample.order:
                    return found
                order = min(2 * int(np.ceil(0.6 * order)), sample.order)
                truncation = float(lost[order])
                continue
            # errors fall as count^-1/2 (random) to count^-1 (probing in the plane); the larger step costs little
            power = 2.0 if self.options.columns == "random" else 1.2
            growth = float(np.clip((found.error / (0.7 * self.options.accuracy)) ** power, 1.2, 8.0))
            count = 16 * int(np.ceil(growth * count / 16))
        return found

    def _columns(self, operator: SpinOperator, count: int) -> Columns:
        if self.options.columns == "random":
            return random_columns(count)
        if self.options.columns == "unit":
            return unit_columns(len(operator))
        return probing_columns(len(operator), operator.bonds, count)

    def _measured(self, operator: SpinOperator, draft: Calibration, sample: Sample) -> Calibration:
        """The calibration with its error on a few sites, against their exact columns at the mu of the highest order."""
        found = self._solve(operator, draft, bonds=False).density.spin[sample.sites]
        moments = self._engine(operator, draft.band, draft.columns, self.seed).moments(sample.order // 2)
        mu = self._chemical_potential(moments, replace(draft, order=sample.order), 2.0 * len(operator))[0]
        expansion = occupation_coefficients(draft.band, mu, self.occupation.kT, sample.order, gradient=False)
        wrong = draft.strength * (found - sample.density(expansion)[:, 1:])
        return replace(draft, error=float(np.sqrt(np.mean(wrong**2))))

    def _sampled(self, operator: SpinOperator, band: Band, strength: float) -> Sample:
        """A few sites with the terms of their density, from their own unit columns, beyond the order needed."""
        sites = len(operator)
        chosen = np.sort(np.random.default_rng(0).choice(sites, size=min(_SAMPLE, sites), replace=False))
        engine = self._engine(operator, band, subset_columns(sites, chosen), self.seed)
        order = self._exact_order(band, strength)
        return Sample(chosen, engine.series(order + order % 2, chosen))

    # -- restart ------------------------------------------------------------------------------------------------------

    def step_state(self) -> tuple[Any, ...]:
        """What a solution may change, for a step that is taken back (cheap references)."""
        return self.rng.bit_generator.state, self.seed, self.calibration, self._magnet, self._bounded, self._recalled

    def restore_step(self, state: tuple[Any, ...]) -> None:
        """Take back what :meth:`step_state` gave."""
        generator, self.seed, self.calibration, self._magnet, self._bounded, self._recalled = state
        self.rng.bit_generator.state = generator

    def checkpoint_state(self) -> dict[str, Any]:
        """Generator, phases, the magnet and what was calibrated for it: another process continues with the same numbers."""
        state: dict[str, Any] = {"generator": self.rng.bit_generator.state, "seed": self.seed}
        if self.calibration is not None and self._magnet is not None:
            state["calibration"] = self.calibration.to_table()
            state["magnet"] = [getattr(self._magnet, name).tolist() for name in ("first", "second", "magnetic")]
            state["bounded"] = self._recalled if self._bounded is None else digest(*self._bounded)
        return state

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave."""
        self.rng.bit_generator.state = state["generator"]
        self.seed, self._bounded = int(state["seed"]), None
        self.forget()
        if "calibration" in state:
            self.calibration = Calibration.from_table(state["calibration"])
            first, second, magnetic = state["magnet"]
            self._magnet = Pattern(np.array(first, np.int64), np.array(second, np.int64), np.array(magnetic, bool))
            self._recalled = state["bounded"]
