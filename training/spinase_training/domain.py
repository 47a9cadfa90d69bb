"""What a training looked like, for the card of its model: from labels, or from the input that made them."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spinase.atoms import geometry_of, get_moments
from spinase.errors import InputError
from spinase.geometry import Geometry, nearest_distances
from spinase.io.labels import Labels
from spinase.learning.card import ModelCard
from spinase.learning.grand_potential import GrandPotentialReadout
from spinase.learning.model_file import load_model, save_model
from spinase.learning.readout import Readout
from spinase.learning.trust.domain import Domain, count_neighbours
from spinase.learning.two_potentials import TwoPotentialsReadout
from spinase.options import validated
from spinase.run.build import build_atoms
from spinase.typing import FloatArray
from spinase_training.data import MARGIN, split
from spinase_training.labels import LabelInput
from spinase_training.recipe import Recipe, check_recipe

Range = tuple[float, float]
_LONELY = 0.1  # part of the sites that may have no neighbour within the cutoff


def geometries_of(parts: Sequence[Labels]) -> list[Geometry]:
    """Geometries of labelled configurations, each once where spins alone change."""
    return [
        Geometry(part.positions[k], part.cells[k], part.pbc, part.numbers)
        for part in parts
        for k in range(len(part))
        if k == 0
        or not (
            np.array_equal(part.positions[k], part.positions[k - 1]) and np.array_equal(part.cells[k], part.cells[k - 1])
        )
    ]


def domain_of_labels(parts: Sequence[Labels], cutoff: float, readout: Readout) -> Domain:
    """Domain of networks with this cutoff, length, and readout that were trained on these labels.

    Parameters
    ----------
    parts : sequence of Labels
        Realizations.
    cutoff : float
        Length.
    readout : Readout
        Of the model.
    """
    lengths = np.concatenate([np.linalg.norm(part.moments, axis=2).ravel() for part in parts])
    domain = Domain.from_geometries(geometries_of(parts), cutoff).with_moments(lengths)
    if isinstance(readout, TwoPotentialsReadout):
        return domain.with_devices(readout.window, readout.axis if readout.flows else None, geometries_of(parts))
    potentials = trained_potentials(readout)
    if potentials is None:
        return domain
    fillings = [part.electrons / (2.0 * len(part.numbers)) for part in parts if part.electrons is not None]
    every = np.concatenate(fillings)
    return domain.with_electrons((float(every.min()), float(every.max())), potentials)


def trained_potentials(readout: Readout) -> Range | None:
    """Chemical potentials of the labels of a grand potential: its window less the margin that was put around them."""
    if not isinstance(readout, GrandPotentialReadout):
        return None
    low, high = readout.chemical_potentials
    margin = MARGIN * (high - low) / (1.0 + 2.0 * MARGIN)
    return low + margin, high - margin


def domain_of_input(text: str, rows: Sequence[int], card: ModelCard, folder: Path) -> Domain:
    """Domain of the realizations `rows` of a label input, made again from its seed; no calculator is asked.

    Positions, displacements and fillings of ``spinase label`` are drawn from streams of their own, so they are those of the
    labels.

    Parameters
    ----------
    text : str
        The input, as the model's card keeps it (``label_input``).
    rows : sequence of int
        Numbers of the realizations trained on.
    card : ModelCard
        Of the model: cutoff and readout.
    folder : path
        Files the input names are relative to it.

    Raises
    ------
    InputError
        If the input chooses among its configurations (``select``): which were labelled takes the labels.
    """
    given: LabelInput = validated(LabelInput, tomllib.loads(text), "label_input of the card")
    if given.select is not None:
        raise InputError("this label input selects configurations: take the domain from its label file (domain_of_labels)")
    geometries: list[Geometry] = []
    lengths: list[FloatArray] = []
    fillings: list[float] = []
    for number in rows:
        sites, _, shaking, teacher = (
            np.random.default_rng(stream)
            for stream in np.random.SeedSequence(given.seed).spawn(given.realizations)[number].spawn(4)
        )
        atoms = build_atoms(given.atoms, given.units, folder, sites)
        home = geometry_of(atoms)
        lengths.append(np.linalg.norm(get_moments(atoms), axis=1))
        for _ in range(_configurations(given) if given.displacement else 1):
            moved = home.positions + given.displacement * shaking.normal(size=home.positions.shape)
            geometries.append(replace(home, positions=moved) if given.displacement else home)
        if given.fillings is not None:
            fillings += [float(x) for x in teacher.uniform(*given.fillings, size=_configurations(given))]
    domain = Domain.from_geometries(geometries, card.trunk.cutoff).with_moments(np.concatenate(lengths))
    if isinstance(card.readout, TwoPotentialsReadout):
        return domain.with_devices(card.readout.window, card.readout.axis if card.readout.flows else None, geometries)
    potentials = trained_potentials(card.readout)
    electrons = (min(fillings), max(fillings)) if fillings and potentials is not None else None
    return domain.with_electrons(electrons, potentials)


def _configurations(given: LabelInput) -> int:
    """In one realization."""
    quenched = 0 if given.quench is None else len(given.quench.times)
    thermal = 0 if given.thermal is None else len(given.thermal.kT) * given.thermal.count
    textures = sum(one.count * (1 if one.then is None else len(one.then.times)) for one in given.texture)
    return given.random + textures + quenched + thermal


def what_was_trained(recipe: Recipe, readout: Readout) -> list[str]:
    """Names of the labelled results that a recipe puts into its loss."""
    weights = {"energy": recipe.energy_weight, "forces": recipe.force_weight}
    if readout.response is not None:
        weights[readout.response] = recipe.electron_weight
    return ["magnetic_forces", *(name for name, weight in weights.items() if weight > 0.0)]


def refuse_empty_surroundings(parts: Sequence[Labels], cutoff: float) -> None:
    """Refuse a cutoff within which sites have no neighbours: such a network learns nothing.

    Raises
    ------
    InputError
        If more than a tenth of the labelled sites have none.
    """
    for number, part in enumerate(parts):
        for geometry in itertools.islice(geometries_of([part]), 1):
            counts = count_neighbours(geometry, cutoff)
            lonely = int((counts == 0).sum())
            if lonely <= _LONELY * len(geometry):
                continue
            near = nearest_distances(geometry)
            raise InputError(
                f"[network] cutoff = {cutoff:g} leaves {lonely} of {len(geometry)} sites of realization {number} "
                f"without a neighbour (nearest neighbours are {near.min():.4g} to {near.max():.4g} away): nothing can be "
                "learned there; make it two to three times the distance of nearest neighbours"
            )


def renewed_card(card: ModelCard, members: int, folder: Path) -> ModelCard:
    """The card of a model that was trained before cards told their domain, with all that its own notes determine.

    Domain: from the label input; what was trained on: from the recipe; bars of a single network, which are one constant, are
    taken out.

    Parameters
    ----------
    card : ModelCard
        Of an older model.
    members : int
        Networks of the model.
    folder : Path
        Where relative files of its label input are looked for.

    Raises
    ------
    InputError
        If the realizations made again are not those of the training, by the shortest distances the card tells.
    """
    recipe = check_recipe(tomllib.loads(card["recipe"]), "recipe of the card")
    given: dict[str, Any] = tomllib.loads(card["label_input"])
    kinds = len(card["errors"]["kinds"])
    count = int(given["realizations"])
    parts = split(np.repeat(np.arange(count), kinds), recipe)
    rows = sorted({int(row) // kinds for row in parts["train"]})
    notes = {name: value for name, value in card.notes.items() if name != "shortest_distances"}
    if members < 2:
        notes.pop("calibration", None)
    domain = domain_of_input(card["label_input"], rows, card, folder)
    told = card.notes.get("shortest_distances", domain.shortest)
    if told.keys() != domain.shortest.keys() or any(abs(told[name] - domain.shortest[name]) > 1e-9 for name in told):
        raise InputError(
            f"the label input of {card.name!r} gives other shortest distances ({dict(domain.shortest)}) than its card tells "
            f"({told}): positions are drawn otherwise now; label again and train"
        )
    notes |= {
        "domain": domain.to_table(),
        "trained_on": what_was_trained(recipe, card.readout),
    }
    return replace(card, notes=notes)


def renew_file(path: Path, folder: Path) -> None:
    """Write a model file again in the present format, with its domain; the weights stay as they are, bit for bit.

    Cards that tell no domain or not what was trained get their :func:`renewed_card`.
    """
    networks, card = load_model(path)
    complete = {"domain", "trained_on"} <= card.notes.keys()
    save_model(path, networks, card if complete else renewed_card(card, len(networks), folder))
