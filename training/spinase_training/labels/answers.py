"""What a teacher says of configurations, collected to labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from spinase.atoms import SpinAtoms, get_moments
from spinase.calculators.negf import NEGFCalculator
from spinase.contract import energy_of, gives, is_conservative
from spinase.errors import InputError
from spinase.io.labels import Labels
from spinase.run.build import build_calculator
from spinase_training.labels.config import LabelInput
from spinase_training.labels.configurations import random_streams


class Questions:
    """Configurations of one realization with the teacher that is asked about them: fillings and biases may differ."""

    def __init__(self, config: LabelInput, number: int) -> None:
        self._config, self._rng = config, random_streams(config, number)[3]
        self._under: dict[float, Any] = {}  # teachers by bias

    def about(self, atoms: SpinAtoms) -> SpinAtoms:
        """The atoms with their teacher, or a copy with one at a filling or a bias of its own."""
        config = self._config
        if config.fillings is None and config.biases is None:
            return atoms
        asked = atoms.copy()
        if config.fillings is not None:
            table = {**config.calculator, "filling": self._rng.uniform(*config.fillings)}
            asked.calc = build_calculator(table, "[calculator]")
            return asked
        bias = float(self._rng.choice(np.asarray(config.biases)))
        if bias not in self._under:
            self._under[bias] = build_calculator({**config.calculator, "bias": bias}, "[calculator]")
        asked.calc = self._under[bias]
        return asked


class Collection:
    """Labels of one realization as they come."""

    def __init__(self, forces: bool) -> None:
        self.forces = forces
        self.rows: list[dict[str, Any]] = []
        self.kinds: list[str] = []

    def add(self, kind: str, atoms: SpinAtoms) -> None:
        """Ask the calculator about the atoms as they are."""
        calc = atoms.calc
        energy = energy_of(atoms) if is_conservative(calc) else None
        row = {
            "positions": atoms.positions.copy(),
            "cells": atoms.cell.array.copy(),
            "moments": get_moments(atoms),
            "energies": np.nan if energy is None else energy,
            "magnetic_forces": np.array(calc.get_property("magnetic_forces", atoms)),
        }
        if self.forces:
            row["forces"] = np.array(calc.get_property("forces", atoms))
        if gives(calc, "chemical_potential") and gives(calc, "electron_density"):
            row["chemical_potentials"] = calc.get_property("chemical_potential", atoms)
            row["electrons"] = np.sum(calc.get_property("electron_density", atoms))
        if isinstance(calc, NEGFCalculator):
            row["biases"] = calc.bias
        self.rows.append(row)
        self.kinds.append(kind)

    def labels(self, atoms: SpinAtoms) -> Labels:
        """All of them."""
        stacked = {name: np.array([row[name] for row in self.rows]) for name in self.rows[0]}
        forces = stacked.pop("forces", None)
        return Labels(
            numbers=atoms.numbers.astype(np.int64),
            pbc=atoms.pbc.copy(),
            forces=forces,
            kinds=self.kinds,
            units=atoms.units,
            **stacked,
        )


def label_configurations(configurations: Iterable[tuple[str, SpinAtoms]], calculator: Any, forces: bool = False) -> Labels:
    """Labels of configurations of one magnet (kind, atoms), as `calculator` says; with forces on atoms if asked for.

    Parameters
    ----------
    configurations : iterable of (str, SpinAtoms)
        Kind and atoms; one magnet, whose species and boundaries stay.
    calculator
        Any ASE calculator with magnetic forces.
    forces : bool
        Whether forces on atoms are labels, too.

    Raises
    ------
    InputError
        If there are none.
    """
    collected, atoms = Collection(forces), None
    for kind, atoms in configurations:
        atoms.calc = calculator
        collected.add(kind, atoms)
    if atoms is None:
        raise InputError("there are no configurations to label")
    return collected.labels(atoms)
