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
from numpy.typing import NDArray
from scipy.optimize import brentq

from spinase.electrons.chebyshev import Band, coefficients, fermi_order, find_band, largest_exchange
from spinase.electrons.columns import (
    ColumnKind,
    Columns,
    probing_columns,
    random_columns,
    subset_columns,
    unit_columns,
)
from spinase.electrons.occupation import FixedChemicalPotential, FixedFilling, Occupation, fermi
from spinase.electrons.operator import Density, ElectronState, SpinOperator
from spinase.electrons.solvers.base import Solver
from spinase.electrons.solvers.chebyshev_engine import (
    ChebyshevEngine,
    NumbaEngine,
    Pattern,
    Precision,
    RawDensity,
)
from spinase.electrons.solvers.chebyshev_torch import TorchEngine
from spinase.errors import ModelError
from spinase.threads import default_threads

FloatArray = NDArray[np.float64]
Estimator = Literal["gradient", "direct"]
Backend = Literal["numba", "torch"]

_TRUNCATION = 0.25  # share of the accuracy that the order may cost
_EXACT = 0.01  # the same for what counts as exact when errors are measured
_STEP_UP = 1.12  # between the orders that are tried
_ROOM = 1.08  # widening of a band that replaces one that was too narrow
_SAMPLE = 24  # sites whose exact densities the columns are measured against
_FIRST_COUNT = 64
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


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was chosen for a magnet, and what it was measured to be good for.

    Attributes
    ----------
    band : Band
    order : int
        Number of moments (even).
    columns : Columns
    error : float
        Measured rms error of the components of the fields, energy.
    truncation : float
        The part of it that is due to the order, energy.
    """

    band: Band
    order: int
    columns: Columns
    error: float = float("nan")
    truncation: float = float("nan")


@dataclass(frozen=True, eq=False)
class _Sample:
    """Sites (n,) that errors are measured on, and the terms (order + 1, n, 3) of their exact spin density."""

    sites: NDArray[np.int64]
    series: FloatArray


class KPMSolver(Solver):
    """Kernel polynomial method with gradient or direct estimators; kT > 0, Gamma point.

    The first operator of a size calibrates: the order follows from the temperature, the number of columns from comparing a
    few sites with their exact columns.  Colours and bounds are then kept, so that successive energies are comparable.

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
        self._pattern: Pattern | None = None

    def renew(self) -> None:
        """New random phases, from the generator."""
        self.seed = self._new_seed()

    def _new_seed(self) -> int:
        return int(self.rng.integers(2**62))

    def solve(self, operator: SpinOperator, bonds: bool = True) -> ElectronState:
        """Density on the operator's pattern, energies from the moments."""
        return self._solve(operator, self.calibrate(operator), bonds)

    def calibrate(self, operator: SpinOperator) -> Calibration:
        """The order, columns and bounds in use for operators of this size; chosen at the first one."""
        known = self.calibration
        if known is None or (known.columns.colours is not None and len(known.columns.colours) != len(operator)):
            self.calibration = self._choose(operator)
        elif self.options.bounds is None:
            stale = self._pattern_is_new(operator) or largest_exchange(operator) > known.band.reach
            band = find_band(operator, keep=known.band) if stale else known.band
            if band is not known.band:  # with room for what comes next: every new band is another estimate
                band = Band(band.centre, _ROOM * band.half, band.reach + (_ROOM - 1.0) * band.half)
            if band is not known.band:
                order = known.order * band.half / known.band.half  # the same resolution on another band
                self.calibration = replace(known, band=band, order=2 * int(np.ceil(0.5 * order)))
        assert self.calibration is not None
        return self.calibration

    def errors(self, operator: SpinOperator, repeats: int = 8) -> FloatArray:
        """Standard errors (N, 3) of the spin density of one solution.

        The scatter over `repeats` new sets of phases, and in quadrature the measured error of the order (unit columns have
        only that).
        """
        if repeats < 2:
            raise ModelError(f"an error bar needs at least 2 repeats, got {repeats}")
        calibration = self.calibrate(operator)
        seeds = np.random.default_rng([self.seed, 1]).integers(2**62, size=repeats)
        found = [self._solve(operator, calibration, False, int(seed)).density.spin for seed in seeds]
        return np.hypot(np.std(found, axis=0, ddof=1), calibration.truncation / self._strength)

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
        reference = 0.0 if target is not None else mu
        energy = float(coefficients(lambda e: (e - reference) * fermi(e, mu, kT), band, with_.order) @ moments)
        free_energy = float(self._potential(mu, with_) @ moments) + (0.0 if target is None else mu * target)
        return ElectronState(
            energy=energy,
            free_energy=free_energy,
            entropy=(energy - free_energy) / kT,
            chemical_potential=mu,
            electrons=float(coefficients(lambda e: fermi(e, mu, kT), band, with_.order) @ moments),
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
        kT = self.occupation.kT
        return coefficients(lambda e: -kT * np.logaddexp(0.0, (mu - e) / kT), with_.band, with_.order)

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

    def _pattern_is_new(self, operator: SpinOperator) -> bool:
        return self._pattern is None or self._pattern.hopping is not operator.hopping

    def _engine(self, operator: SpinOperator, band: Band, columns: Columns, seed: int) -> ChebyshevEngine:
        if self.options.backend == "torch":
            return TorchEngine(operator, band, columns, seed, self.options.dtype, self.options.device)
        threads = self.options.threads or default_threads()
        if self._pattern is None or self._pattern_is_new(operator) or self._pattern.band is not band:
            self._pattern = Pattern(operator, band, self.options.dtype, threads)
        return NumbaEngine(self._pattern, operator, columns, seed, threads)

    def _exact_order(self, band: Band) -> int:
        """An order beyond doubt for the asked accuracy."""
        middle = getattr(self.occupation, "chemical_potential", band.centre)
        return fermi_order(band, middle, self.occupation.kT, _EXACT * self.options.accuracy / max(1.0, self._strength))

    def _order(self, operator: SpinOperator, band: Band, sample: _Sample) -> tuple[int, float]:
        """The smallest order at which the exact columns of a few sites are good enough (or that given); its error."""
        highest = len(sample.series) - 1
        rough = Calibration(band, highest, self._columns(operator, _FIRST_COUNT))
        moments = self._engine(operator, band, rough.columns, self.seed).moments(highest // 2)
        self._check_moments(moments, band)
        mu = self._chemical_potential(moments, rough, 2.0 * len(operator))[0]
        exact = self._exact(sample, band, mu, highest)
        given = self.options.order
        order = max(8, highest // 6) if given is None else min(given, highest)
        while True:
            order += order % 2
            wrong = self._strength * (self._exact(sample, band, mu, order) - exact)
            error = float(np.sqrt(np.mean(wrong**2)))
            if given is not None or order >= highest or error <= _TRUNCATION * self.options.accuracy:
                return (order if given is None else given + given % 2), error
            order = min(int(np.ceil(_STEP_UP * order)), highest)

    _strength = 1.0  # largest |exchange|: fields are that times the spin density

    def _choose(self, operator: SpinOperator) -> Calibration:
        self._strength = max(largest_exchange(operator), 1e-12)
        band = find_band(operator) if self.options.bounds is None else _band(self.options.bounds)
        sample = self._sampled(operator, band)
        order, truncation = self._order(operator, band, sample)
        if self.options.columns == "unit":
            return Calibration(band, order, unit_columns(len(operator)), truncation, truncation)
        if self.options.count is not None:
            columns = self._columns(operator, self.options.count)
            return self._measured(operator, Calibration(band, order, columns, truncation=truncation), sample)
        count = _FIRST_COUNT
        for _ in range(_TRIES):
            draft = Calibration(band, order, self._columns(operator, count), truncation=truncation)
            found = self._measured(operator, draft, sample)
            if found.error <= _SAFETY * self.options.accuracy or found.columns.count >= 2 * len(operator):
                return found
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

    def _measured(self, operator: SpinOperator, draft: Calibration, sample: _Sample) -> Calibration:
        """The calibration with its error on a few sites, against their own exact columns."""
        state = self._solve(operator, draft, bonds=False)
        exact = self._exact(sample, draft.band, state.chemical_potential, len(sample.series) - 1)
        wrong = self._strength * (state.density.spin[sample.sites] - exact)
        return replace(draft, error=float(np.sqrt(np.mean(wrong**2))))

    def _sampled(self, operator: SpinOperator, band: Band) -> _Sample:
        """A few sites with the terms of their spin density, from their own unit columns, beyond the order needed."""
        sites = len(operator)
        chosen = np.sort(np.random.default_rng(0).choice(sites, size=min(_SAMPLE, sites), replace=False))
        engine = self._engine(operator, band, subset_columns(sites, chosen), self.seed)
        return _Sample(chosen, engine.series(self._exact_order(band), chosen))

    def _exact(self, sample: _Sample, band: Band, mu: float, order: int) -> FloatArray:
        """Spin density of the sampled sites at `order` moments."""
        expansion = coefficients(lambda e: fermi(e, mu, self.occupation.kT), band, order)
        return np.tensordot(expansion, sample.series[: order + 1], 1)

    # -- restart ------------------------------------------------------------------------------------------------------

    def checkpoint_state(self) -> dict[str, Any]:
        """Generator, phases, and what was calibrated: another process continues with the same numbers."""
        known = self.calibration
        state: dict[str, Any] = {"generator": self.rng.bit_generator.state, "seed": self.seed, "strength": self._strength}
        if known is not None:
            colours = None if known.columns.colours is None else known.columns.colours.tolist()
            state["calibration"] = {
                "centre": known.band.centre,
                "half": known.band.half,
                "reach": known.band.reach,
                "order": known.order,
                "count": known.columns.count,
                "colours": colours,
                "weight": known.columns.weight,
                "error": known.error,
                "truncation": known.truncation,
            }
        return state

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave."""
        self.rng.bit_generator.state = state["generator"]
        self.seed, self._strength = int(state["seed"]), float(state["strength"])
        known = state.get("calibration")
        if known is None:
            self.calibration = None
            return
        colours = None if known["colours"] is None else np.array(known["colours"], dtype=np.int64)
        columns = Columns(int(known["count"]), colours, float(known["weight"]))
        band = Band(float(known["centre"]), float(known["half"]), float(known["reach"]))
        self.calibration = Calibration(band, int(known["order"]), columns, known["error"], known["truncation"])


def _band(bounds: tuple[float, float]) -> Band:
    return Band(0.5 * (bounds[0] + bounds[1]), 0.5 * (bounds[1] - bounds[0]))
