"""From label files to arrays hippynn's database takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spinase.errors import InputError
from spinase.geometry import Geometry
from spinase.io.labels import Labels, read_labels
from spinase.learning.trunk import TrunkConfig
from spinase.spin_algebra import directions, tangent
from spinase.typing import Array, FloatArray, IntArray
from spinase_training.recipe import Recipe

MARGIN = 0.05  # of the window of chemical potentials, at either end
_EXACT, _OF_SOLVERS = {"ed", "rational"}, {"style", "tolerance", "dtype", "reduce"}
LEARNED = "learned"  # kind of configurations that active learning added


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Padded arrays of all configurations.

    Attributes
    ----------
    arrays : dict
        species, positions, cells, spins, weights, scaled_field, energy and, where they are labelled, forces, by
        configuration; energies and forces in units of `scale`.  For networks with electrons also potentials, from -1 to 1 in
        the window, and electrons per site in units of `scale` / half the window; energies are grand potentials then.
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
    window : (float, float) or None
        Chemical potentials of networks with electrons, energy.
    biases : (float, float) or None
        Range of the biases between leads, energy, where all labels have one; they are in ``arrays["bias"]`` (T, 1).
    """

    arrays: dict[str, Array]
    fields: FloatArray
    realization: IntArray
    scale: float
    shift: float
    units: str
    species: tuple[int, ...]
    window: tuple[float, float] | None = None
    biases: tuple[float, float] | None = None


def read_files(recipe: Recipe, home: Path) -> tuple[list[Labels], dict[str, str]]:
    """Realizations of all label files of a recipe, and what the files say of them; `home`: paths are relative to it.

    Attributes are those of the first; inputs and hashes are put one behind the other.  Labels of `ed` and `rational` with
    the same model go together: small boxes by one, large ones by the other.

    Raises
    ------
    InputError
        If files are of different teachers.
    CheckpointError
        On files that are missing or damaged.
    """
    parts, told = list[Labels](), list[dict[str, str]]()
    for name in recipe.files:
        found, attributes = read_labels(home / name)
        if told and _taught(attributes) != _taught(told[0]):
            raise InputError(f"{name} was labelled by another teacher than {recipe.files[0]}: train on labels of one")
        parts += found
        told.append(attributes)
    if len(told) == 1:
        return parts, told[0]
    whole = {name: "\n".join(one.get(name, "") for one in told) for name in ("input", "hash")}
    return parts, {**told[0], **whole}


def _taught(attributes: Mapping[str, str]) -> Any:
    """Teacher of a label file; exact solvers of one model are one teacher."""
    teacher = json.loads(attributes["teacher"]) if "teacher" in attributes else None
    if isinstance(teacher, dict) and teacher.get("style") in _EXACT:
        return {key: value for key, value in teacher.items() if key not in _OF_SOLVERS}
    return teacher


def prepare(parts: list[Labels], floor: float, electrons: bool = False) -> TrainingData:
    """Arrays for training; `floor` is the recipe's, `electrons` whether its network knows them.

    Parameters
    ----------
    parts : list of Labels
        Realizations.
    floor : float
        Least mean-square field in the weights of configurations, in units of its mean over the data.
    electrons : bool
        Whether numbers of electrons are trained on.

    Raises
    ------
    InputError
        If there are no configurations, no field turns a spin, or electrons are wanted but not labelled.
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
        unit, lengths = directions(part.moments)
        fields[rows, :n] = tangent(part.magnetic_forces * lengths[..., None], unit)
        species[rows, :n], positions[rows, :n], spins[rows, :n] = part.numbers, part.positions, unit
        cells[rows] = np.where(part.pbc[:, None], part.cells, 0.0)
        energies[rows], sites[rows], realization[rows] = part.energies, n, number
        if part.forces is not None:
            forces[rows, :n] = part.forces
        row += len(part)
    found = _electrons(parts) if electrons else None
    if found is not None:
        energies -= found.chemical_potentials * found.numbers  # grand potentials
    square = np.sum(fields**2, axis=(1, 2)) / sites
    mean = float(square.mean())
    if mean == 0.0:
        raise InputError("the labelled fields turn no spin: there is nothing to learn")
    scale = float(np.sqrt(mean))
    shift = float(np.nanmean(energies / sites)) if np.isfinite(energies).any() else 0.0
    weights = np.sqrt(mean / (square + floor * mean))[:, None]
    arrays: dict[str, Array] = {
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
    if found is not None:
        arrays["chemical_potentials"] = ((found.chemical_potentials - found.middle) / found.half)[:, None].astype(np.float32)
        arrays["electrons"] = (found.numbers / sites * found.half / scale)[:, None].astype(np.float32)
    biases = _biases(parts)
    if biases is not None:
        arrays["bias"] = biases[:, None].astype(np.float32)
    known = tuple(int(z) for z in np.unique(species[species > 0]))
    window = None if found is None else (found.middle - found.half, found.middle + found.half)
    span = None if biases is None else (float(biases.min()), float(biases.max()))
    return TrainingData(arrays, fields, realization, scale, shift, parts[0].units, known, window, span)


def _biases(parts: list[Labels]) -> FloatArray | None:
    """Bias between the leads of every configuration (T,), energy; None if some have none."""
    found = [part.biases for part in parts if part.biases is not None]
    return np.concatenate(found) if len(found) == len(parts) else None


@dataclass(frozen=True, eq=False)
class _Electrons:
    """Chemical potentials (T,) and numbers of electrons (T,), and the window that holds the former."""

    chemical_potentials: FloatArray
    numbers: FloatArray
    middle: float
    half: float


def _electrons(parts: list[Labels]) -> _Electrons:
    """Of all configurations.

    Raises
    ------
    InputError
        If some have none, or all have the same.
    """
    pairs = [(part.chemical_potentials, part.electrons, len(part.numbers)) for part in parts]
    if any(mu is None or number is None for mu, number, _ in pairs):
        raise InputError(
            "the network knows electrons (orders > 0), but the labels do not tell chemical potentials and numbers of "
            "electrons: label with a teacher that does, and draw its filling ('fillings' in the input of spinase label)"
        )
    density = np.concatenate([np.asarray(number) / sites for _, number, sites in pairs])
    if np.ptp(density) < 1e-6:
        raise InputError(
            "the network knows electrons (orders > 0), but all labels have the same filling: draw it ('fillings' in the "
            "input of spinase label)"
        )
    potentials, numbers = (np.concatenate([np.asarray(pair[k]) for pair in pairs]) for k in (0, 1))
    half = 0.5 * (1.0 + 2.0 * MARGIN) * float(np.ptp(potentials))
    return _Electrons(potentials, numbers, 0.5 * float(potentials.min() + potentials.max()), half)


def trunk_config(recipe: Recipe, parts: list[Labels], species: tuple[int, ...], numbers: int) -> TrunkConfig:
    """Networks of a recipe with `numbers` parts of a site, and what the data tell: species and a geometry.

    Parameters
    ----------
    recipe : Recipe
        Kind and size of the network.
    parts : list of Labels
        Realizations; the first configuration of the first gives the geometry.
    species : tuple of int
        Atomic numbers, in the order of their indices.
    numbers : int
        Parts that the readout needs of a site.
    """
    part = parts[0]
    geometry = Geometry(part.positions[0], part.cells[0], part.pbc, part.numbers)
    return recipe.trunk.Config.from_training(recipe.size, species, numbers, geometry)


def learned_realizations(parts: list[Labels]) -> frozenset[int]:
    """Numbers of the realizations that active learning added, by the kind of their configurations."""
    return frozenset(number for number, part in enumerate(parts) if set(part.kinds) == {LEARNED})


def split(realization: IntArray, recipe: Recipe, learned: frozenset[int] = frozenset()) -> dict[str, IntArray]:
    """Configurations for validation, test and training; a realization is in one of them only.

    Realizations that active learning added (`learned`) are for training; the others are divided as if they were alone, so
    what is held back stays the same from round to round.

    Parameters
    ----------
    realization : (n,) ndarray of int
        Number of the realization of every configuration.
    recipe : Recipe
        Seed, and parts that are held back for validation and test.
    learned : frozenset of int
        Numbers of realizations that active learning added.

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
