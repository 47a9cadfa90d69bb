"""Errors of a model on labelled configurations, by property, by kind of configuration and by their place in a trajectory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spinase.atoms import SpinAtoms
from spinase.calculators.learned import LearnedCalculator
from spinase.errors import InputError, ModelError
from spinase.io.labels import Labels
from spinase.learning.grand_potential import GrandPotentialReadout
from spinase.learning.model_file import load_model
from spinase.learning.shipped import find_model
from spinase.spin_algebra import directions, tangent
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was labelled and predicted for the T configurations of a realization of N sites.

    Attributes
    ----------
    labelled, predicted : (T, N, 3)
        Torques m x B, energy.
    energies, predicted_energies : (T,)
        Energy; nan where there is none.
    kinds : list of str
        How each configuration was made.
    fields, predicted_fields : (T, N, 3)
        B across the moments, energy/moment (along them it is a gauge).
    forces, predicted_forces : (T, N, 3) or None
        Forces on atoms, where they are labelled, energy/length.
    """

    labelled: FloatArray
    predicted: FloatArray
    energies: FloatArray
    predicted_energies: FloatArray
    kinds: list[str]
    fields: FloatArray
    predicted_fields: FloatArray
    forces: FloatArray | None = None
    predicted_forces: FloatArray | None = None


def predict(model: Any, labels: Labels) -> Prediction:
    """Ask a model (file, or networks with their card) about the configurations of one realization.

    Where no chemical potential that the model knows gives the labelled number of electrons, it is asked at the labelled one,
    and has no energy to compare.
    """
    fields, energies, forces = [], [], []
    for atoms, calc in asked(model, labels):
        fields.append(calc.get_property("magnetic_forces", atoms))
        readout = calc.ensemble.readout
        free = isinstance(readout, GrandPotentialReadout) and readout.chemical_potential is not None
        energies.append(calc.get_property("energy", atoms) if calc.conservative and not free else np.nan)
        if labels.forces is not None and "forces" in calc.implemented_properties:
            forces.append(calc.get_property("forces", atoms))
    found = np.array(fields)
    return Prediction(
        labelled=np.cross(labels.moments, labels.magnetic_forces),
        predicted=np.cross(labels.moments, found),
        energies=labels.energies,
        predicted_energies=np.array(energies),
        kinds=labels.kinds,
        fields=_across(labels.magnetic_forces, labels.moments),
        predicted_fields=_across(found, labels.moments),
        forces=labels.forces,
        predicted_forces=np.array(forces) if forces else None,
    )


def asked(model: Any, labels: Labels) -> Iterator[tuple[SpinAtoms, LearnedCalculator]]:
    """Configurations of a realization with a calculator of a model: at their own filling or bias where it knows them."""
    networks = load_model(find_model(model)) if isinstance(model, str | Path) else model
    orbitals, asks = 2.0 * len(labels.numbers), "chemical_potential" in networks[1].readout.results
    known, driven = asks and labels.electrons is not None, networks[1].readout.condition == "bias"
    if driven and labels.biases is None:
        raise InputError(f"the model {networks[1].name!r} needs the bias of every label, and these labels tell none")
    under: dict[float, LearnedCalculator] = {}
    calc = None
    for index in range(len(labels)):
        filling = None
        if driven:
            assert labels.biases is not None
            bias = float(labels.biases[index])
            calc = under[bias] = under.get(bias) or LearnedCalculator(networks, bias=bias, outside_domain="ignore")
        if known:
            assert labels.electrons is not None
            calc, filling = None, float(labels.electrons[index] / orbitals)
        calc = calc or LearnedCalculator(networks, filling=filling, outside_domain="ignore")  # errors are measured, then
        yield labels.atoms(index), _answering(networks, calc, labels, index) if known else calc


def _answering(networks: Any, calc: LearnedCalculator, labels: Labels, index: int) -> LearnedCalculator:
    """The calculator if it finds a chemical potential for the labelled electrons, else one at the labelled potential."""
    try:
        calc.get_property("chemical_potential", labels.atoms(index))
    except ModelError:
        if labels.chemical_potentials is None:
            raise
        potential = float(labels.chemical_potentials[index])
        return LearnedCalculator(networks, chemical_potential=potential, outside_domain="ignore")
    return calc


def _across(vectors: FloatArray, moments: FloatArray) -> FloatArray:
    unit, lengths = directions(moments)
    return np.where(lengths[..., None] > 0.0, tangent(vectors, unit), 0.0)


def energy_offset(predictions: Sequence[Prediction]) -> float:
    """Mean energy per site that is missing in the predictions; zero for a driven teacher."""
    missing = np.concatenate([(p.energies - p.predicted_energies) / p.labelled.shape[1] for p in predictions])
    known = missing[np.isfinite(missing)]
    return float(known.mean()) if len(known) else 0.0


def errors(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Errors over all configurations, by kind and by their place in the realization.

    ``r2``: 1 - sum (predicted - labelled)^2 / sum labelled^2 of the torques; ``rms_error``, ``rms_torque`` per site, energy;
    ``r2_by_place``: the same for the first, second, ... configuration of every realization (along a quench, its times; empty
    if realizations differ in their configurations); ``properties``: r2, rms_error, rms and mean_absolute_error of torques,
    magnetic forces (across the moments), forces; energies per site with and without the mean error of their realization.
    """
    torques = _compared([p.labelled for p in predictions], [p.predicted for p in predictions])
    place, rms = by_place(predictions)
    energies = _energies(predictions)
    return {
        "r2": torques["r2"],
        "rms_error": torques["rms_error"],
        "rms_torque": torques["rms"],
        "r2_by_place": place,
        "rms_torque_by_place": rms,
        "kinds": predictions[0].kinds,
        "rms_energy_per_site": None if energies is None else energies["rms_error_without_offset"],
        "configurations": sum(len(p.kinds) for p in predictions),
        "properties": {
            "torques": torques,
            "magnetic_forces": _compared([p.fields for p in predictions], [p.predicted_fields for p in predictions]),
            "forces": _forces(predictions),
            "energy_per_site": energies,
        },
        "torques_by_kind": by_kind(predictions),
    }


def by_place(predictions: Sequence[Prediction]) -> tuple[list[float], list[float]]:
    """R^2 and rms of the torques of the first, second, ... configurations; empty if realizations are not alike."""
    if any(p.kinds != predictions[0].kinds for p in predictions):
        return [], []
    wrong = np.array([np.sum((p.predicted - p.labelled) ** 2, axis=(1, 2)) / p.labelled.shape[1] for p in predictions])
    power = np.array([np.sum(p.labelled**2, axis=(1, 2)) / p.labelled.shape[1] for p in predictions])
    ratio = 1.0 - wrong.sum(axis=0) / np.maximum(power.sum(axis=0), np.finfo(float).tiny)
    return [float(x) for x in ratio], [float(x) for x in np.sqrt(power.mean(axis=0))]


def by_kind(predictions: Sequence[Prediction]) -> dict[str, dict[str, float]]:
    """Errors of the torques of every kind of configuration."""
    kinds = sorted({kind for p in predictions for kind in p.kinds})
    rows = {kind: [(p, [k for k, word in enumerate(p.kinds) if word == kind]) for p in predictions] for kind in kinds}
    return {
        kind: _compared([p.labelled[chosen] for p, chosen in rows[kind]], [p.predicted[chosen] for p, chosen in rows[kind]])
        for kind in kinds
    }


def _compared(labelled: Sequence[FloatArray], predicted: Sequence[FloatArray]) -> dict[str, float]:
    """Errors of vectors per site: r2, rms_error, rms of the labels, mean absolute error of a component."""
    true = np.concatenate([array.reshape(-1, 3) for array in labelled])
    gap = np.concatenate([array.reshape(-1, 3) for array in predicted]) - true
    power = float(np.sum(true**2))
    return {
        "r2": float(1.0 - np.sum(gap**2) / max(power, np.finfo(float).tiny)),
        "rms_error": float(np.sqrt(np.sum(gap**2) / len(true))),
        "rms": float(np.sqrt(power / len(true))),
        "mean_absolute_error": float(np.mean(np.abs(gap))),
    }


def _forces(predictions: Sequence[Prediction]) -> dict[str, float] | None:
    have = [(p.forces, p.predicted_forces) for p in predictions if p.forces is not None and p.predicted_forces is not None]
    return _compared([true for true, _ in have], [found for _, found in have]) if have else None


def _energies(predictions: Sequence[Prediction]) -> dict[str, float] | None:
    """Errors per site, energy; None where some are not labelled or the model has none (what it cannot say is left out)."""
    if not all(np.isfinite(p.energies).all() for p in predictions):
        return None
    sites = [p.labelled.shape[1] for p in predictions]
    known = [np.isfinite(p.predicted_energies) for p in predictions]
    each = [(p, n, mask) for p, n, mask in zip(predictions, sites, known, strict=True) if mask.any()]
    if not each:
        return None
    gaps = [(p.predicted_energies - p.energies)[mask] / n for p, n, mask in each]
    levels = [p.energies[mask] / n for p, n, mask in each]
    every = np.concatenate(gaps)
    spread = np.concatenate([gap - gap.mean() for gap in gaps])
    return {
        "rms_error": float(np.sqrt(np.mean(every**2))),
        "rms_error_without_offset": float(np.sqrt(np.mean(spread**2))),
        "mean_error": float(every.mean()),
        "spread": float(np.concatenate(levels).std()),
    }
