"""Choosing which configurations are worth a label: those that differ most, or those a model is least sure of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase.data import chemical_symbols
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spinase.atoms import SpinAtoms, geometry_of, get_spins
from spinase.calculators.learned import LearnedCalculator
from spinase.errors import CheckpointError, InputError
from spinase.files import file_digest, read_arrays, write_arrays
from spinase.io.labels import read_labels
from spinase.learning.mhipnn.environments import (
    farthest_points,
    first_largest,
    model_environments,
    pooled,
    site_environments,
)
from spinase.learning.mhipnn.graph import RadialBasis
from spinase.typing import FloatArray, IntArray


class SelectTable(BaseModel):
    """Which of the configurations are labelled: the others are made, but cost no label."""

    model_config = ConfigDict(extra="forbid")

    style: Literal["farthest-point", "uncertainty"] = Field(
        description="configurations as different as possible, or those where the networks of a model disagree most"
    )
    keep: int = Field(ge=1, description="configurations that are labelled, of all realizations together")
    most: int | None = Field(None, ge=1, description="largest number from one realization")
    model: str | None = Field(None, description="model file, relative to the input file")
    descriptor: Literal["environment", "model"] = Field(
        "environment",
        description="farthest-point: of the surroundings of the sites, or the features of the model's first network",
    )
    cutoff: float | None = Field(None, gt=0, description="descriptor = environment: range [length]")
    radial: int = Field(8, ge=2, description="descriptor = environment: radial functions")
    inner: float | None = Field(None, gt=0, description="shortest distance that is resolved; default: 0.35 cutoff [length]")
    known: str | None = Field(
        None,
        description="farthest-point: label file whose configurations count as chosen already, relative to the input file",
    )
    score: Literal["max", "rms"] = Field("max", description="uncertainty: largest or rms spread over the sites")

    @model_validator(mode="after")
    def _complete(self) -> SelectTable:
        by_model = self.style == "uncertainty" or self.descriptor == "model"
        if by_model and self.model is None:
            raise ValueError("a model file is needed: model = ...")
        if not by_model and self.cutoff is None:
            raise ValueError("descriptor = 'environment' needs a cutoff [length]")
        if self.style == "uncertainty" and self.known is not None:
            raise ValueError("known goes with farthest-point: a model is sure of what it has learned")
        return self


@dataclass(frozen=True, eq=False)
class Candidates:
    """Configurations of one realization before they are labelled.

    Attributes
    ----------
    positions, moments : (K, N, 3)
        Length; mu_B or |m|.
    kinds : list of str
        How each was made.
    measure : (K, D)
        Descriptor of each, or its uncertainty (D = 1), energy/moment.
    """

    positions: FloatArray
    moments: FloatArray
    kinds: list[str]
    measure: FloatArray

    def save(self, path: Path) -> None:
        """Write them, so that a kill leaves no file or a whole one."""
        write_arrays(path, {**vars(self), "kinds": np.array(self.kinds)})

    @classmethod
    def load(cls, path: Path) -> Candidates:
        """Read what :meth:`save` wrote.

        Raises
        ------
        CheckpointError
            If the file is damaged.
        """
        try:
            arrays: dict[str, Any] = dict(read_arrays(path))
            return cls(**{**arrays, "kinds": [str(kind) for kind in arrays["kinds"]]})
        except (OSError, ValueError, KeyError, TypeError):
            raise CheckpointError(f"the candidates in {path} are damaged: delete the file to make them again") from None


def _judge(path: Path) -> LearnedCalculator:
    """The model that compares; configurations unlike those of its training are what is looked for."""
    return LearnedCalculator(path, dtype="float64", outside_domain="ignore")


class Measure:
    """What is compared: descriptors of configurations, or the spread of an ensemble.

    Parameters
    ----------
    table : SelectTable
        Which one.
    folder : path
        Relative files are looked for here.

    Raises
    ------
    InputError, ModelFileError
        If the model cannot be loaded, or has one network where their spread is asked for.
    """

    def __init__(self, table: SelectTable, folder: Path) -> None:
        self.table = table
        self.calc = None if table.model is None else _judge(folder / table.model)
        if table.style == "uncertainty" and self.calc is not None and len(self.calc.networks) < 2:
            raise InputError(f"[select] model: {table.model} has one network, which has no spread: an ensemble is needed")

    def of(self, atoms: SpinAtoms) -> FloatArray:
        """Descriptor (D,) or spread (1,) of a configuration.

        Raises
        ------
        InputError
            If the model does not know a species or works in other units.
        """
        if self.calc is not None:
            self._check(atoms)
        if self.table.style == "uncertainty":
            assert self.calc is not None
            spread = self.calc.spread(atoms)
            return np.array([spread.max() if self.table.score == "max" else np.sqrt(np.mean(spread**2))])
        geometry, spins = geometry_of(atoms), get_spins(atoms)
        if self.table.descriptor == "model":
            assert self.calc is not None
            return pooled(model_environments(self.calc.networks[0], geometry, spins), geometry.numbers)
        cutoff = self.table.cutoff or 0.0
        basis = RadialBasis(self.table.radial, self.table.inner or 0.35 * cutoff, cutoff)
        return pooled(site_environments(geometry, spins, basis), geometry.numbers)

    def _check(self, atoms: SpinAtoms) -> None:
        assert self.calc is not None
        unknown = sorted(set(atoms.numbers.tolist()) - set(self.calc.card.trunk.species))
        if unknown:
            raise InputError(f"[select] model: {self.table.model} does not know {chemical_symbols[unknown[0]]}")
        if self.calc.card.units != atoms.units:
            raise InputError(
                f"[select] model: {self.table.model} is in {self.calc.card.units} units, the atoms in {atoms.units}"
            )


@dataclass(frozen=True)
class Selection:
    """What was chosen: indices by realization (ascending), and the provenance."""

    chosen: dict[int, list[int]]
    told: dict[str, Any]


def select(table: SelectTable, candidates: Sequence[Candidates], folder: Path) -> Selection:
    """Choose among the candidates of all realizations; the same candidates give the same choice.

    Parameters
    ----------
    table : SelectTable
        How to choose, and how many.
    candidates : sequence of Candidates
        One for every realization, all with the same measure.
    folder : Path
        Where relative files of the table are looked for.

    Raises
    ------
    InputError
        If descriptors of the realizations (or of the known labels) differ in size: other species.
    """
    sizes = {one.measure.shape[1] for one in candidates}
    if len(sizes) != 1:
        raise InputError("[select] realizations of different species cannot be compared: label them one by one")
    points = np.concatenate([one.measure for one in candidates])
    owners = np.concatenate([np.full(len(one.kinds), k) for k, one in enumerate(candidates)])
    if table.style == "uncertainty":
        taken = _largest(points[:, 0], owners, table)
    else:
        known = _known(table, folder)
        if known is not None and known.shape[1] != points.shape[1]:
            raise InputError(f"[select] known: {table.known} is of other species than the configurations")
        taken = farthest_points(points, table.keep, known, owners, table.most)
    starts = np.concatenate([[0], np.cumsum([len(one.kinds) for one in candidates])])
    chosen = {k: sorted(int(i - starts[k]) for i in taken[owners[taken] == k]) for k in np.unique(owners[taken]).tolist()}
    told = {"table": table.model_dump(), "candidates": len(points), "kept": len(taken), "chosen": chosen}
    if table.style == "uncertainty":
        told["spread"] = {"kept": float(points[taken, 0].min()), "left": _left_out(points[:, 0], taken)}
    return Selection(chosen, told)


def _largest(scores: FloatArray, owners: IntArray, table: SelectTable) -> IntArray:
    taken: list[int] = []
    left = scores.astype(np.float64)
    while len(taken) < table.keep and np.isfinite(left).any():
        index = first_largest(left)
        left[index] = -np.inf
        if table.most is None or np.count_nonzero(owners[taken] == owners[index]) < table.most:
            taken.append(index)
    return np.array(taken, dtype=np.int64)


def _left_out(scores: FloatArray, taken: IntArray) -> float | None:
    """Largest score that was not taken."""
    left = np.delete(scores, taken)
    return float(left.max()) if len(left) else None


def _known(table: SelectTable, folder: Path) -> FloatArray | None:
    if table.known is None:
        return None
    measure, parts = Measure(table, folder), read_labels(folder / table.known)[0]
    return np.array([measure.of(part.atoms(k)) for part in parts for k in range(len(part))])


def with_configuration(atoms: SpinAtoms, candidates: Candidates, index: int) -> None:
    """Put one candidate on the atoms.

    Parameters
    ----------
    atoms : SpinAtoms
        Of the same realization.
    candidates : Candidates
        Positions (length) and moments (mu_B or |m|).
    index : int
        Of the candidate.
    """
    atoms.positions = candidates.positions[index]
    atoms.moments = candidates.moments[index]


def file_marks(table: SelectTable, folder: Path) -> str:
    """Names and hashes of the files a selection depends on: parts made with other files must not be mixed.

    Raises
    ------
    InputError
        If one is missing.
    """
    marks = []
    for name in (table.model, table.known):
        if name is not None:
            try:
                marks.append(f"\n# {name} {file_digest(folder / name)}")
            except OSError as error:
                raise InputError(f"[select] cannot read {folder / name}: {error.strerror or error}") from None
    return "".join(marks)


def selection_attributes(selection: Selection, marks: str) -> dict[str, str]:
    """Provenance for the label file."""
    return {"selection": json.dumps({**selection.told, "files": marks.replace("# ", "").split("\n")[1:]}, sort_keys=True)}


__all__ = [
    "Candidates",
    "Measure",
    "SelectTable",
    "Selection",
    "file_marks",
    "select",
    "selection_attributes",
    "with_configuration",
]
