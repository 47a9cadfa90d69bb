"""From label files to arrays hippynn's database takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spinase.errors import InputError
from spinase.geometry import Geometry, find_bonds
from spinase.io.labels import Labels
from spinase.learning.network import NetworkConfig
from spinase_training.recipe import Recipe

FloatArray = NDArray[np.float64]
LEARNED = "learned"  # kind of configurations that active learning added


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Padded arrays of all configurations.

    Attributes
    ----------
    arrays : dict
        species, positions, cells, spins, weights, scaled_field, energy and, where they are labelled, forces, by
        configuration; energies and forces in units of `scale`.
    fields : (T, N, 3)
        Tangent fields -dE/ds, energy; zero where there is no site.
    realization : (T,)
        Realization of every configuration.
    scale : float
        Root mean square of a component-free tangent field: the unit of the network's energies, energy.
    shift : float
        Mean energy per site, energy.
    units : str
        Unit system.
    species : tuple of int
        Atomic numbers.
    """

    arrays: dict[str, NDArray[np.generic]]
    fields: FloatArray
    realization: NDArray[np.int64]
    scale: float
    shift: float
    units: str
    species: tuple[int, ...]


def prepare(parts: list[Labels], floor: float) -> TrainingData:
    """Arrays for training; `floor` is the recipe's.

    Raises
    ------
    InputError
        If there are no configurations, or no field turns a spin.
    """
    if not parts or not sum(len(part) for part in parts):
        raise InputError("the label file is empty: nothing to train on")
    most, count = max(len(part.numbers) for part in parts), sum(len(part) for part in parts)
    species = np.zeros((count, most), dtype=np.int64)
    positions, spins, fields, forces = (np.zeros((count, most, 3)) for _ in range(4))
    cells, energies, sites = np.zeros((count, 3, 3)), np.zeros(count), np.zeros(count)
    realization, row = np.zeros(count, dtype=np.int64), 0
    for number, part in enumerate(parts):
        rows, n = slice(row, row + len(part)), len(part.numbers)
        lengths = np.linalg.norm(part.moments, axis=2, keepdims=True)
        unit = part.moments / np.where(lengths > 0.0, lengths, 1.0)
        gradient = part.magnetic_forces * lengths
        fields[rows, :n] = gradient - unit * np.sum(gradient * unit, axis=2, keepdims=True)
        species[rows, :n], positions[rows, :n], spins[rows, :n] = part.numbers, part.positions, unit
        cells[rows] = np.where(part.pbc[:, None], part.cells, 0.0)
        energies[rows], sites[rows], realization[rows] = part.energies, n, number
        if part.forces is not None:
            forces[rows, :n] = part.forces
        row += len(part)
    square = np.sum(fields**2, axis=(1, 2)) / sites
    mean = float(square.mean())
    if mean == 0.0:
        raise InputError("the labelled fields turn no spin: there is nothing to learn")
    scale = float(np.sqrt(mean))
    shift = float(np.nanmean(energies / sites)) if np.isfinite(energies).any() else 0.0
    weights = np.sqrt(mean / (square + floor * mean))[:, None]
    arrays: dict[str, NDArray[np.generic]] = {
        "species": species,
        "positions": positions.astype(np.float32),
        "cells": cells.astype(np.float32),
        "spins": spins.astype(np.float32),
        "weights": weights.astype(np.float32),
        "scaled_field": (weights[:, :, None] * fields / scale).astype(np.float32),
        "energy": ((energies - shift * sites) / scale)[:, None].astype(np.float32),
    }
    if all(part.forces is not None for part in parts):
        arrays["forces"] = (forces / scale).astype(np.float32)
    known = tuple(int(z) for z in np.unique(species[species > 0]))
    return TrainingData(arrays, fields, realization, scale, shift, parts[0].units, known)


def network_config(recipe: Recipe, parts: list[Labels], species: tuple[int, ...]) -> NetworkConfig:
    """Size of the network with what the data tell: species and neighbours."""
    part = parts[0]
    geometry = Geometry(part.positions[0], part.cells[0], part.pbc, part.numbers)
    neighbours = 2.0 * len(find_bonds(geometry, recipe.network.cutoff)) / max(len(part.numbers), 1)
    return NetworkConfig(species=species, neighbours=max(neighbours, 1.0), **recipe.network.model_dump())


def learned_realizations(parts: list[Labels]) -> frozenset[int]:
    """Numbers of the realizations that active learning added, by the kind of their configurations."""
    return frozenset(number for number, part in enumerate(parts) if set(part.kinds) == {LEARNED})


def split(
    realization: NDArray[np.int64], recipe: Recipe, learned: frozenset[int] = frozenset()
) -> dict[str, NDArray[np.int64]]:
    """Configurations for validation, test and training; a realization is in one of them only.

    Realizations that active learning added (`learned`) are for training; the others are divided as if they were alone, so
    what is held back stays the same from round to round.

    Raises
    ------
    InputError
        If there are too few realizations.
    """
    numbers = np.setdiff1d(realization, list(learned))
    order = np.random.default_rng(recipe.seed).permutation(numbers)
    held = [max(1, round(part * len(numbers))) for part in (recipe.validation, recipe.test)]
    if sum(held) >= len(numbers):
        raise InputError(
            f"{len(numbers)} realizations are too few to hold back {held[0]} for validation and {held[1]} for test"
        )
    parts = {
        "valid": order[: held[0]],
        "test": order[held[0] : sum(held)],
        "train": np.array([*order[sum(held) :], *learned]),
    }
    return {name: np.flatnonzero(np.isin(realization, chosen)) for name, chosen in parts.items()}
