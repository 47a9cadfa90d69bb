"""Realizations of a magnet: independent tasks with random numbers of their own, so any number of workers gives the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from spinase.atoms import get_moments
from spinase.errors import InputError
from spinase.io.labels import Labels, save_part
from spinase_training.labels.answers import Collection, Questions
from spinase_training.labels.config import LabelInput
from spinase_training.labels.configurations import realization_of
from spinase_training.labels.selection import Candidates, Measure, with_configuration


def label_realization(
    target: Path, config: LabelInput, folder: Path, number: int, source: Path | None = None, chosen: Sequence[int] = ()
) -> None:
    """Label one realization (or those of its candidates in `source` that were chosen) and write its part to `target`.

    A task of its own, in any process.

    Parameters
    ----------
    target : Path
        File of the part.
    config : LabelInput
        Input of ``spinase label``.
    folder : Path
        Where its relative files are.
    number : int
        Of the realization, from 0; decides its random numbers.
    source : Path, optional
        Candidates that :func:`explore_realization` wrote; default: all configurations are labelled.
    chosen : sequence of int
        Indices of candidates.
    """
    with threadpool_limits(1):
        if source is None:
            save_part(target, make_labels(config, folder, number))
        else:
            save_part(target, label_chosen(config, folder, number, Candidates.load(source), chosen))


def explore_realization(target: Path, config: LabelInput, folder: Path, number: int) -> None:
    """Make the configurations of one realization and what a selection compares; a task of its own.

    Parameters
    ----------
    target : Path
        File of the candidates.
    config, folder, number
        As in :func:`label_realization`.
    """
    with threadpool_limits(1):
        make_candidates(config, folder, number).save(target)


def make_labels(config: LabelInput, folder: Path, number: int) -> Labels:
    """Configurations of one realization with their labels; relative files are looked for in `folder`.

    Parameters
    ----------
    config, folder, number
        As in :func:`label_realization`.
    """
    atoms, kinds = realization_of(config, folder, number)
    collected, asked = Collection(config.forces), Questions(config, number)
    for kind in kinds:
        collected.add(kind, asked.about(atoms))
    return collected.labels(atoms)


def make_candidates(config: LabelInput, folder: Path, number: int) -> Candidates:
    """Configurations of one realization without labels, with the measure of ``config.select``.

    Parameters
    ----------
    config, folder, number
        As in :func:`label_realization`.

    Raises
    ------
    InputError
        If the input has no selection, or its model does not fit.
    """
    if config.select is None:
        raise InputError("there is no [select] in this input: nothing to choose")
    measure = Measure(config.select, folder)
    atoms, kinds = realization_of(config, folder, number)
    rows = [(kind, atoms.positions.copy(), get_moments(atoms), measure.of(atoms)) for kind in kinds]
    words, positions, moments, measures = zip(*rows, strict=True)
    return Candidates(np.array(positions), np.array(moments), list(words), np.array(measures))


def label_chosen(config: LabelInput, folder: Path, number: int, candidates: Candidates, chosen: Sequence[int]) -> Labels:
    """Labels of the chosen candidates of one realization.

    Parameters
    ----------
    config, folder, number
        As in :func:`label_realization`.
    candidates : Candidates
        All of this realization.
    chosen : sequence of int
        Indices of those to label.
    """
    atoms, _ = realization_of(config, folder, number)
    collected, asked = Collection(config.forces), Questions(config, number)
    for index in chosen:
        with_configuration(atoms, candidates, index)
        collected.add(candidates.kinds[index], asked.about(atoms))
    return collected.labels(atoms)
