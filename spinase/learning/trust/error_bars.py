"""Error bars of learned fields: normalized conformal prediction on realizations held out of the training.

A spin's score is s = |tangent-field error| / (spread of the ensemble + floor).  A bar q(c) (spread + floor) with q(c) the
quantile of the scores that `Calibration.factor` takes covers the true error of a spin of a NEW realization with
probability c or more, whatever the distribution of the errors, as long as the new realization is drawn as those of the
calibration were.  Spins of one realization are not independent, so realizations, not spins, count as draws:

    q(c) = smallest q with sum_k 1/(K + 1) (part of the scores of realization k that are <= q) >= c,   k = 1 .. K

which needs c <= K/(K + 1) (Y. Lee, R. F. Barber, R. Willett, arXiv:2306.06342; normalized scores: J. Lei et al.,
arXiv:1604.04173).  The promise is on average over all spins; a configuration unlike those of the calibration is none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spinase.errors import ModelError, ModelFileError
from spinase.spin_algebra import tangent
from spinase.typing import FloatArray

# Levels at which quantiles are kept, finer where bars are asked for; in between the next one keeps the promise.
_LEVELS = np.concatenate([np.arange(0.0, 0.8, 0.02), np.arange(0.8, 0.98, 0.005), np.linspace(0.98, 1.0, 21)])
_ROUND_OFF = 1e-9


@dataclass(frozen=True)
class Calibration:
    """What turns spreads into error bars.

    Attributes
    ----------
    floor : float
        Added to every spread, energy.
    realizations : int
        K, the number of independent draws it was made on.
    spins : int
        Scores in all.
    levels, scores : tuple of float
        Quantiles of the scores: a part ``levels[n]`` of them, realizations weighing alike, is at most ``scores[n]``.
    """

    floor: float
    realizations: int
    spins: int
    levels: tuple[float, ...]
    scores: tuple[float, ...]

    @property
    def highest_coverage(self) -> float:
        """K/(K + 1), the largest coverage that K realizations can promise."""
        return self.realizations / (self.realizations + 1)

    def factor(self, coverage: float) -> float:
        """q(coverage): what (spread + floor) is multiplied with.

        Raises
        ------
        ModelError
            If the coverage is not between 0 and 1, or more than so few realizations can promise.
        """
        if not 0.0 < coverage < 1.0:
            raise ModelError(f"coverage must be between 0 and 1, got {coverage}")
        level = coverage / self.highest_coverage
        if level > 1.0 + _ROUND_OFF:
            raise ModelError(
                f"error bars of coverage {coverage} need {needed_realizations(coverage)} calibration realizations, this "
                f"model has {self.realizations} (at most {self.highest_coverage:.3f}): ask for less, or calibrate it on "
                "more labels (spinase calibrate)"
            )
        place = int(np.searchsorted(np.asarray(self.levels) + _ROUND_OFF, min(level, 1.0)))
        return self.scores[min(place, len(self.scores) - 1)]

    def bars(self, spread: FloatArray, coverage: float = 0.9) -> FloatArray:
        """Error bars (N,) of tangent fields with spreads (N,), both energy; raises as :meth:`factor`."""
        return self.factor(coverage) * (np.asarray(spread, dtype=np.float64) + self.floor)

    def to_table(self) -> dict[str, Any]:
        """JSON values, for a model card."""
        return {**vars(self), "levels": list(self.levels), "scores": list(self.scores)}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Calibration:
        """Take back what :meth:`to_table` gave (other keys are left alone).

        Raises
        ------
        ModelFileError
            If it is no such table.
        """
        try:
            found = cls(
                float(table["floor"]),
                int(table["realizations"]),
                int(table["spins"]),
                tuple(float(x) for x in table["levels"]),
                tuple(float(x) for x in table["scores"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"the calibration in the model card is incomplete or wrong: {error!r}") from None
        if len(found.levels) != len(found.scores) or not found.scores or found.realizations < 1:
            raise ModelFileError(
                f"the calibration in the model card is wrong: {len(found.levels)} levels, {len(found.scores)} scores, "
                f"{found.realizations} realizations"
            )
        return found


def needed_realizations(coverage: float) -> int:
    """Fewest realizations K with K/(K + 1) >= coverage."""
    return int(np.ceil(coverage / (1.0 - coverage) - _ROUND_OFF))


def calibrate(errors: Sequence[FloatArray], spreads: Sequence[FloatArray], floor: float) -> Calibration:
    """Calibration from true errors.

    Parameters
    ----------
    errors, spreads : sequences of (n_k,) arrays
        |error| and ensemble spread of the tangent fields of all spins of realization k, energy.
    floor : float
        Added to every spread, energy; positive, so that a single network (no spread) gets bars, too.  It must not be
        chosen by looking at these errors.

    Raises
    ------
    ModelError
        Without data, with numbers that are not finite, or a floor that is not positive.
    """
    if not floor > 0.0 or not np.isfinite(floor):
        raise ModelError(f"the floor of the spread must be positive, got {floor}")
    groups = [np.abs(e) / (s + floor) for e, s in zip(errors, spreads, strict=True) if len(e)]
    if not groups:
        raise ModelError("there are no spins to calibrate error bars on")
    scores = np.concatenate(groups)
    if not np.isfinite(scores).all():
        raise ModelError("errors or spreads to calibrate on are not finite: does the model give finite fields?")
    weights = np.concatenate([np.full(len(g), 1.0 / (len(groups) * len(g))) for g in groups])
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order])
    places = np.searchsorted(reached + _ROUND_OFF, _LEVELS)
    quantiles = scores[order][np.minimum(places, len(scores) - 1)]
    return Calibration(
        float(floor), len(groups), len(scores), tuple(map(float, _LEVELS)), tuple(float(q) for q in quantiles)
    )


def calibration_of(model: str, networks: int, table: Mapping[str, Any] | None) -> Calibration:
    """The calibration in a model's card.

    Parameters
    ----------
    model : str
        Its name, for messages.
    networks : int
        How many it has.
    table : mapping or None
        What the card says.

    Raises
    ------
    ModelError
        For a single network, whose bars would be one constant whatever the spins are, or if it was never calibrated.
    """
    if networks < 2:
        raise ModelError(
            f"the model {model!r} is a single network, which has no error bars: they would be the same number "
            "for every magnet, right or wrong. Train an ensemble (ensemble = 4 in the recipe) for bars; distances, "
            "neighbours and electrons are held against the training in any case (outside_domain)"
        )
    if table is None:
        raise ModelError(
            f"the model {model!r} has no calibrated error bars: make them from labels it was not trained on "
            "with `spinase calibrate MODEL LABELS.h5`"
        )
    return Calibration.from_table(table)


def field_spread(gradients: FloatArray, spins: FloatArray, lengths: FloatArray) -> FloatArray:
    """Standard deviation of the tangent fields of an ensemble's networks at every site, (N,), energy/moment.

    Parameters
    ----------
    gradients : (M, N, 3) ndarray
        -dE/ds of each network, energy.
    spins, lengths : (N, 3), (N,) ndarray
        Unit spins, and lengths of their moments; sites of length zero have no spread.
    """
    fields = gradients / np.where(lengths > 0.0, lengths, np.inf)[:, None]
    return np.asarray(np.sqrt(np.sum(tangent(fields, spins).var(axis=0), axis=1)))


__all__ = ["Calibration", "calibrate", "calibration_of", "field_spread", "needed_realizations"]
