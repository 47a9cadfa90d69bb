"""What only driven magnets have to be asked: which bias, and how much of their torque is the gradient of no energy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spinase.atoms import SpinAtoms
from spinase.calculators.learned import LearnedCalculator
from spinase.io.labels import Labels
from spinase.learning.card import ModelCard
from spinase.spin_algebra import directions
from spinase.testing.curl import curl_part
from spinase.typing import FloatArray

_PAIRS = 4  # of directions, a compromise: each costs the teacher four fields


def needs_bias(card: ModelCard) -> bool:
    """Whether a model has to be told the bias between the leads."""
    return card.readout.condition == "bias"


def largest_bias(card: ModelCard, parts: Sequence[Labels]) -> float | None:
    """The largest bias in size among labels, energy; None for models that know none."""
    if not needs_bias(card):
        return None
    biases = np.concatenate([np.asarray(part.biases) for part in parts if part.biases is not None])
    return float(biases[np.abs(biases).argmax()])


def curls(model: Any, parts: Sequence[Labels], teacher_at: Callable[[float | None], Any] | None) -> list[dict[str, Any]]:
    """How much of the torque is no gradient (:func:`spinase.testing.curl.curl_part`), for a model and its teacher.

    Parameters
    ----------
    model : (networks, card)
        A driven model.
    parts : sequence of Labels
        Spins come from these: of models of a bias the configurations with the smallest and the largest one in size, of
        others the first one.
    teacher_at : callable, optional
        The teacher under a bias, energy (None: as it is); without, only the model is asked.

    Returns
    -------
    list of dict
        ``bias`` (energy, or None), ``model`` and ``teacher`` (None: not asked), from 0, a gradient, to 1, all curl.
    """
    told = []
    for part, index, bias in _chosen(model[1], parts):
        calc = LearnedCalculator(model, dtype="float64", bias=bias, outside_domain="ignore")
        teacher = None if teacher_at is None else curl_of(teacher_at(bias), part.atoms(index))
        told.append({"bias": bias, "model": curl_of(calc, part.atoms(index)), "teacher": teacher})
    return told


def curl_of(calc: Any, atoms: SpinAtoms) -> float:
    """The curl of a calculator's H = mu B about the spins of some atoms."""
    spins, lengths = directions(atoms.moments)
    field = calc.field_function(atoms)

    def by_unit_spins(unit: FloatArray) -> FloatArray:
        """H (N, 3), energy, of unit spins."""
        return np.asarray(field(unit)) * lengths[:, None]

    return curl_part(by_unit_spins, spins, pairs=_PAIRS)


def _chosen(card: ModelCard, parts: Sequence[Labels]) -> list[tuple[Labels, int, float | None]]:
    """Configurations: realization, number, bias."""
    if not needs_bias(card):
        return [(parts[0], 0, None)]
    rows = [(part, k, float(bias)) for part in parts if part.biases is not None for k, bias in enumerate(part.biases)]
    by_size = sorted(rows, key=lambda row: abs(row[2]))
    least, most = by_size[0], by_size[-1]
    return [*([least] if abs(least[2]) < abs(most[2]) else []), most]


__all__ = ["curl_of", "curls", "largest_bias", "needs_bias"]
