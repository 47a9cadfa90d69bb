"""The law of pairs under a network, by least squares before the training: gradient descent is slow with steep laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from spinase.geometry import Geometry
from spinase.learning.pairs import pairs_of
from spinase.learning.trunk import Trunk
from spinase.spin_algebra import tangent
from spinase.typing import FloatArray, IntArray
from spinase_training.data import TrainingData

_CONFIGURATIONS = 300
_RIDGE = 1e-8


def fit_pairs(network: Trunk, data: TrainingData, rows: IntArray, force_weight: float) -> float:
    """Set the law of pairs of `network` from up to 300 of the configurations `rows`; returns the part it leaves unexplained.

    Tangent fields count by their mean square, forces (if there are any) by theirs times `force_weight`; what it leaves is
    the sum of squares of both, against that without a law.

    Parameters
    ----------
    network : Trunk
        Whose law of pairs is set.
    data : TrainingData
        Configurations with tangent fields, and forces if there are some.
    rows : (n,) ndarray of int
        Configurations that may be taken.
    force_weight : float
        Of the forces against the fields; 0: without them.
    """
    law, species = network.law_of_pairs(), network.config.species
    columns = len(species) ** 2 * 2 * law.laws.shape[-1]
    matrix, target, power = np.zeros((columns, columns)), np.zeros(columns), np.zeros(())
    forces = data.arrays.get("forces") if force_weight else None
    for row in rows[np.linspace(0, len(rows) - 1, min(_CONFIGURATIONS, len(rows))).astype(int)]:
        fields = data.fields[row] / data.scale
        parts = [(0, fields, 1.0 / np.mean(data.fields**2) * data.scale**2)]
        if forces is not None:
            parts.append((1, np.asarray(forces[row], dtype=float), force_weight / np.var(np.asarray(forces, dtype=float))))
        designs = _designs(network, data.arrays, int(row), forces is not None)
        for which, values, weight in parts:
            design = designs[which]
            known = values[: len(design)].reshape(-1)
            flat = design.reshape(len(known), columns)
            matrix += weight * flat.T @ flat
            target += weight * flat.T @ known
            power = power + weight * (known @ known)
    found = np.linalg.solve(matrix + _RIDGE * np.trace(matrix) / columns * np.eye(columns), target)
    shape = tuple(law.laws.shape)
    with torch.no_grad():
        values = torch.from_numpy(found.reshape(shape)).to(law.laws)
        law.laws.copy_(values + values.transpose(0, 1) * (1 - torch.eye(shape[0])[:, :, None, None]))
    return float(1.0 - (2.0 * found @ target - found @ matrix @ found) / power)


def _designs(network: Trunk, arrays: dict[str, Any], row: int, forces: bool) -> list[FloatArray]:
    """Tangent fields (N, 3, columns), and forces, for a law of one in every coefficient."""
    config, basis = network.config, network.law_of_pairs().basis
    numbers = np.asarray(arrays["species"][row])
    real = numbers > 0
    cell, places = (np.asarray(arrays[name][row], dtype=float) for name in ("cells", "positions"))
    spins = np.asarray(arrays["spins"][row], dtype=float)[real]
    geometry = Geometry(places[real], cell, np.any(cell != 0.0, axis=1), numbers[real].astype(np.int64))
    pairs = pairs_of(geometry, config.cutoff, torch.float64)
    first, second = pairs.rows.first.numpy(), pairs.rows.second.numpy()
    distances = pairs.vectors.norm(dim=1)
    units = (pairs.vectors / distances[:, None]).numpy()
    radial = basis(distances).numpy()
    slopes = basis.slopes(distances).numpy()
    kinds = np.array([config.species.index(number) for number in numbers[real]])
    low, high = np.minimum(kinds[first], kinds[second]), np.maximum(kinds[first], kinds[second])
    count, sites, functions = len(config.species), len(kinds), radial.shape[1]
    shape = (sites, 3, count, count, 2, functions)
    fields, pulls = np.zeros(shape), np.zeros(shape if forces else (0,))
    along = np.sum(spins[first] * spins[second], axis=1)
    for a in range(count):
        for b in range(a, count):
            chosen = np.flatnonzero((low == a) & (high == b))
            i, j = first[chosen], second[chosen]
            np.add.at(fields[:, :, a, b, 1], i, -spins[j][:, :, None] * radial[chosen][:, None])
            if forces:
                pull = units[chosen][:, :, None] * slopes[chosen][:, None]
                np.add.at(pulls[:, :, a, b, 0], i, pull)
                np.add.at(pulls[:, :, a, b, 1], i, pull * along[chosen][:, None, None])
    turning = fields.reshape(sites, 3, -1)
    turning = np.moveaxis(tangent(np.moveaxis(turning, 1, 2), spins[:, None]), 2, 1)
    return [turning, pulls.reshape(sites, 3, -1)] if forces else [turning]
