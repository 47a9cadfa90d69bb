"""Errors of a model on labelled configurations, by their place in a trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spinase.calculators.hipnn import HIPNNCalculator
from spinase.io.labels import Labels

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Torques (T, N, 3) and energies (T,) of a realization, labelled and predicted; kinds of the configurations."""

    labelled: FloatArray
    predicted: FloatArray
    energies: FloatArray
    predicted_energies: FloatArray
    kinds: list[str]


def predict(model: Any, labels: Labels) -> Prediction:
    """Ask a model (file, or networks with their card) about the configurations of one realization."""
    calc = HIPNNCalculator(model)
    labelled, predicted, energies = [], [], []
    for k in range(len(labels)):
        atoms = labels.atoms(k)
        labelled.append(np.cross(labels.moments[k], labels.magnetic_forces[k]))
        predicted.append(calc.get_property("torques", atoms))
        energies.append(calc.get_property("energy", atoms))
    return Prediction(np.array(labelled), np.array(predicted), labels.energies, np.array(energies), labels.kinds)


def energy_offset(predictions: Sequence[Prediction]) -> float:
    """Mean energy per site that is missing in the predictions; zero for a driven teacher."""
    missing = [(p.energies - p.predicted_energies) / p.labelled.shape[1] for p in predictions]
    return float(np.nan_to_num(np.mean(np.concatenate(missing))))


def errors(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Errors of torques over all configurations and by their place in the realization.

    ``r2``: 1 - sum (predicted - labelled)^2 / sum labelled^2; ``rms_error`` and ``rms_torque`` per site, energy;
    ``r2_by_place``: the same for the first, second, ... configuration of every realization (along a quench, its times).
    """
    wrong = np.array([np.sum((p.predicted - p.labelled) ** 2, axis=(1, 2)) / p.labelled.shape[1] for p in predictions])
    power = np.array([np.sum(p.labelled**2, axis=(1, 2)) / p.labelled.shape[1] for p in predictions])
    shift = [p.predicted_energies - p.energies for p in predictions]
    sites = [p.labelled.shape[1] for p in predictions]
    spread = np.concatenate([(s - s.mean()) / n for s, n in zip(shift, sites, strict=True)])
    return {
        "r2": float(1.0 - wrong.sum() / power.sum()),
        "rms_error": float(np.sqrt(wrong.mean())),
        "rms_torque": float(np.sqrt(power.mean())),
        "r2_by_place": [float(x) for x in 1.0 - wrong.sum(axis=0) / power.sum(axis=0)],
        "rms_torque_by_place": [float(x) for x in np.sqrt(power.mean(axis=0))],
        "kinds": predictions[0].kinds,
        "rms_energy_per_site": float(np.sqrt(np.mean(spread**2))),
    }
