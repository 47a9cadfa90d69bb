"""The search for the order and the columns that keep the KPM solver within its accuracy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spinase.electrons.chebyshev.columns import Columns, probing_columns, random_columns, subset_columns, unit_columns
from spinase.electrons.chebyshev.series import Band, coefficients, fermi_order, find_band
from spinase.electrons.occupation import fermi
from spinase.electrons.operator import SpinOperator
from spinase.electrons.solvers.kpm_calibration import (
    Calibration,
    Sample,
    energy_scale,
    occupation_coefficients,
    rms_components,
)
from spinase.electrons.solvers.kpm_expansion import ChebyshevExpansion
from spinase.typing import FloatArray

_TRUNCATION = 0.25  # share of the accuracy that the order may cost
_EXACT = 0.01  # the same for what counts as exact when errors are measured
_STEP_DOWN = 1.05  # between the orders that are tried
_LEAST_ORDER = 4
_SAMPLE = 24  # sites whose exact densities the columns are measured against
_FIRST_COUNT = 64
_TRIES = 8
_SAFETY = 0.85  # of the accuracy, for the scatter of an error measured on a few sites


class Calibrator:
    """Chooses order and columns by comparing a few sites with their exact columns.

    Parameters
    ----------
    expansion : ChebyshevExpansion
    seed : int
        Of the random phases.
    """

    def __init__(self, expansion: ChebyshevExpansion, seed: int) -> None:
        self.expansion, self.seed = expansion, seed

    def choose(self, operator: SpinOperator) -> Calibration:
        """Band, order and columns for the asked accuracy."""
        strength = energy_scale(operator, self.expansion.occupation.kT)
        band = find_band(operator) if self.expansion.options.bounds is None else Band.between(*self.expansion.options.bounds)
        sample = self._sampled(operator, band, strength)
        lost = self._truncation(operator, band, sample, strength)
        order, truncation = self._order(lost)
        if self.expansion.options.columns == "unit":
            return Calibration(band, order, unit_columns(len(operator)), strength, truncation, truncation)
        count = self.expansion.options.count or _FIRST_COUNT
        for _ in range(_TRIES):
            draft = Calibration(band, order, self._columns(operator, count), strength, truncation=truncation)
            found = self._measured(operator, draft, sample)
            if found.error <= _SAFETY * self.expansion.options.accuracy or self.expansion.options.count is not None:
                return found
            if found.columns.count >= 2 * len(operator):  # exact columns know mu better than those the order was chosen with
                if self.expansion.options.order is not None or order >= sample.order:
                    return found
                order = min(2 * int(np.ceil(0.6 * order)), sample.order)
                truncation = float(lost[order])
                continue
            # errors fall as count^-1/2 (random) to count^-1 (probing in the plane); the larger step costs little
            power = 2.0 if self.expansion.options.columns == "random" else 1.2
            growth = float(np.clip((found.error / (0.7 * self.expansion.options.accuracy)) ** power, 1.2, 8.0))
            count = 16 * int(np.ceil(growth * count / 16))
        return found

    def measure(self, operator: SpinOperator, known: Calibration) -> Calibration:
        """The calibration with its error measured on `operator` instead of that it was chosen at."""
        sample = self._sampled(operator, known.band, known.strength)
        truncation = self._truncation(operator, known.band, sample, known.strength)
        lost = float(truncation[min(known.order, len(truncation) - 1)])
        return self._measured(operator, replace(known, truncation=lost), sample)

    def _exact_order(self, band: Band, strength: float) -> int:
        """An order beyond doubt for the asked accuracy."""
        middle = getattr(self.expansion.occupation, "chemical_potential", band.centre)
        tolerance = _EXACT * self.expansion.options.accuracy / max(1.0, strength)
        return max(_LEAST_ORDER, fermi_order(band, middle, self.expansion.occupation.kT, tolerance))

    def _truncation(self, operator: SpinOperator, band: Band, sample: Sample, strength: float) -> FloatArray:
        """Errors (highest order + 1,), energy, that exact columns of a few sites have at each order or at some order above.

        Of the density (times `strength`), and of the energy per site: symmetry may make any density right (half filling).
        At a fixed number of electrons the chemical potential is that of the same order.  The largest error of all orders
        above is what counts: where all sites are alike (a ferromagnet) the error goes through zero time and again.
        """
        columns = self._columns(operator, _FIRST_COUNT)
        moments = self.expansion.engine(operator, band, columns, self.seed).moments(sample.order // 2)
        self.expansion.check_moments(moments, band)
        kT, sites, gradient = self.expansion.occupation.kT, len(operator), self.expansion.options.estimator == "gradient"

        def numbers(order: int) -> tuple[FloatArray, float]:
            """Density, and energy a site, of a series of this order."""
            draft = Calibration(band, order, columns)
            mu, target = self.expansion.chemical_potential(moments[: order + 1], draft, 2.0 * sites)
            energy = float(coefficients(lambda e: (e - mu) * fermi(e, mu, kT), band, order) @ moments[: order + 1])
            energy += 0.0 if target is None else mu * target
            return sample.density(occupation_coefficients(band, mu, kT, order, gradient)), energy / sites

        exact, energy = numbers(sample.order)

        def error(order: int) -> float:
            """The larger error of fields and of the energy a site, energy."""
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
        given = self.expansion.options.order
        if given is None:
            enough = np.flatnonzero(truncation <= _TRUNCATION * self.expansion.options.accuracy)
            order = int(enough[0]) if len(enough) else len(truncation) - 1
        else:
            order = given
        order += order % 2
        return order, float(truncation[min(order, len(truncation) - 1)])

    def _columns(self, operator: SpinOperator, count: int) -> Columns:
        if self.expansion.options.columns == "random":
            return random_columns(count)
        if self.expansion.options.columns == "unit":
            return unit_columns(len(operator))
        return probing_columns(len(operator), operator.bonds, count)

    def _measured(self, operator: SpinOperator, draft: Calibration, sample: Sample) -> Calibration:
        """The calibration with its error on a few sites, against their exact columns at the mu of the highest order."""
        found = self.expansion.solve(operator, draft, False, self.seed).density.spin[sample.sites]
        moments = self.expansion.engine(operator, draft.band, draft.columns, self.seed).moments(sample.order // 2)
        mu = self.expansion.chemical_potential(moments, replace(draft, order=sample.order), 2.0 * len(operator))[0]
        expansion = occupation_coefficients(draft.band, mu, self.expansion.occupation.kT, sample.order, gradient=False)
        wrong = draft.strength * (found - sample.density(expansion)[:, 1:])
        return replace(draft, error=float(np.sqrt(np.mean(wrong**2))))

    def _sampled(self, operator: SpinOperator, band: Band, strength: float) -> Sample:
        """A few sites with the terms of their density, from their own unit columns, beyond the order needed."""
        sites = len(operator)
        chosen = np.sort(np.random.default_rng(0).choice(sites, size=min(_SAMPLE, sites), replace=False))
        engine = self.expansion.engine(operator, band, subset_columns(sites, chosen), self.seed)
        order = self._exact_order(band, strength)
        return Sample(chosen, engine.series(order + order % 2, chosen))
