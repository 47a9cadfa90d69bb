"""Error bars of a trained ensemble: calibrated on labels it was not trained on, checked realization by realization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from spinase.errors import InputError
from spinase.io.labels import Labels
from spinase.learning.model_file import load_model, save_model
from spinase.learning.trust.error_bars import Calibration, calibrate, needed_realizations
from spinase.typing import FloatArray
from spinase_training.validation import asked

FLOOR = 0.05  # added to the spread, in units of the model's energy scale (the rms tangent field of its training)
_COVERAGES = (0.5, 0.8, 0.9, 0.95)


@dataclass(frozen=True, eq=False)
class FieldErrors:
    """Of one realization: |error| and spread of the tangent fields of its magnetic sites, both (T, M), energy."""

    errors: FloatArray
    spreads: FloatArray


def field_errors(model: Any, labels: Labels) -> FieldErrors:
    """Ask an ensemble (file, or networks with their card) about the configurations of one realization."""
    errors, spreads = [], []
    for k, (atoms, calc) in enumerate(asked(model, labels)):
        lengths = np.linalg.norm(labels.moments[k], axis=1)
        missing = labels.magnetic_forces[k] - calc.get_property("magnetic_forces", atoms)
        errors.append(np.linalg.norm(np.cross(labels.moments[k], missing), axis=1)[lengths > 0.0])
        spreads.append((calc.spread(atoms) * lengths)[lengths > 0.0])
    return FieldErrors(np.array(errors), np.array(spreads))


def calibration_table(found: Sequence[FieldErrors], floor: float) -> dict[str, Any]:
    """Calibration on all the realizations, with its check, as JSON values for a card.

    The check leaves one realization out at a time: its coverage is that of bars calibrated on the others.  Coverages that
    so few realizations cannot promise are left out.

    Raises
    ------
    ModelError
        As :func:`spinase.learning.trust.error_bars.calibrate`.
    """
    table = calibrate([one.errors.ravel() for one in found], [one.spreads.ravel() for one in found], floor).to_table()
    return {**table, "check": _check(found, floor)} if len(found) > 1 else table


def _check(found: Sequence[FieldErrors], floor: float) -> dict[str, Any]:
    possible = [c for c in _COVERAGES if needed_realizations(c) <= len(found) - 1]
    coverages: dict[float, list[FloatArray]] = {c: [] for c in possible}
    for k, one in enumerate(found):
        others = [other for number, other in enumerate(found) if number != k]
        made = calibrate([o.errors.ravel() for o in others], [o.spreads.ravel() for o in others], floor)
        for c in possible:
            coverages[c].append(covered_by_place(made, one, c))
    every = FieldErrors(
        np.concatenate([one.errors.ravel() for one in found]), np.concatenate([one.spreads.ravel() for one in found])
    )
    return {
        "coverage": {f"{c:g}": float(np.mean([np.mean(part) for part in parts])) for c, parts in coverages.items()},
        "coverage_by_place": {f"{c:g}": _by_place(parts) for c, parts in coverages.items()},
        "rms_error": float(np.sqrt(np.mean(every.errors**2))),
        "rms_spread": float(np.sqrt(np.mean(every.spreads**2))),
        "rank_correlation": rank_correlation(every),
    }


def covered_by_place(calibration: Calibration, one: FieldErrors, coverage: float) -> FloatArray:
    """Part of the errors below their bars, (T,), for every configuration of a realization.

    Parameters
    ----------
    calibration : Calibration
        Which turns spreads into bars.
    one : FieldErrors
        Errors and spreads (T, M) of a realization, energy.
    coverage : float
        Part of the errors that a bar should cover, 0 to 1.
    """
    return np.asarray(np.mean(one.errors <= calibration.bars(one.spreads, coverage), axis=1))


def rank_correlation(one: FieldErrors) -> float:
    """Spearman's rank correlation of spread and error over the spins; 0 without spread (a single network)."""
    if np.ptp(one.spreads) == 0.0 or np.ptp(one.errors) == 0.0:
        return 0.0
    return float(spearmanr(one.spreads.ravel(), one.errors.ravel()).statistic)


def _by_place(parts: list[FloatArray]) -> list[float]:
    """Means over the realizations that have a configuration at a place."""
    longest = max(len(part) for part in parts)
    return [float(np.mean([part[place] for part in parts if place < len(part)])) for place in range(longest)]


def calibrate_file(model: Path, labels: Sequence[Labels], data_hash: str, output: Path, floor: float = FLOOR) -> Calibration:
    """Give a model file error bars from labels it was not trained on; writes `output`.

    Parameters
    ----------
    model, output : path
        Model files; they may be the same.
    labels : sequence of Labels
        At least one realization, drawn as the magnets the model will be used on.
    data_hash : str
        Of the label file, for the card.
    floor : float
        In units of the model's energy scale.

    Raises
    ------
    InputError
        If the labels are those the model was trained on, or in another unit system, or the model is a single network.
    """
    networks, card = load_model(model)
    if len(networks) < 2:
        raise InputError(
            f"{model} is a single network, which has the same error bar everywhere, right or wrong: error bars need an "
            "ensemble (ensemble = 4 in the recipe)"
        )
    if data_hash and data_hash in str(card.notes.get("data_hash")).split("\n"):
        raise InputError(
            f"{model} was trained on these labels: error bars need others (spinase label with another seed); the training "
            "has already used its test part for this"
        )
    strange = next((part.units for part in labels if part.units != card.units), None)
    if strange is not None:
        raise InputError(f"the labels are in {strange} units, the model {card.name!r} in {card.units} units")
    found = [field_errors((networks, card), part) for part in labels]
    table = {**calibration_table(found, floor * card.energy_scale), "data_hash": data_hash}
    save_model(output, networks, replace(card, notes={**card.notes, "calibration": table}))
    return Calibration.from_table(table)
