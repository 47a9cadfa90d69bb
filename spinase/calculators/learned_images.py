"""Many learned magnets in one pass: images of a path of atoms and spins, runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from spinase.atoms import geometry_of, get_moments, get_reference_lengths
from spinase.calculators.base import GEOMETRY_CHANGES, changes_between, per_moment, split_moments
from spinase.contract import check_units
from spinase.errors import ModelError
from spinase.geometry import NeighbourCache
from spinase.learning.ensemble import EnsembleState
from spinase.learning.trust.watch import DomainWatch
from spinase.typing import FloatArray

if TYPE_CHECKING:
    from spinase.calculators.learned import Bound, LearnedCalculator

_ABOUT_ATOMS = ("forces", "stress")


class ImageSet:
    """Geometries of the magnets that were asked about last, and their neighbour lists.

    Attributes
    ----------
    bounds : list of Bound
        Of the images; one and the same for images whose atoms are in the same places.
    """

    def __init__(self) -> None:
        self.bounds: list[Bound] = []
        self._atoms: list[Atoms] = []
        self._neighbours: list[NeighbourCache] = []

    def bind(self, calc: LearnedCalculator, images: Sequence[Atoms]) -> list[Bound]:
        """Geometries of the images for the ensemble the calculator has now."""
        while len(self._neighbours) < len(images):
            self._neighbours.append(NeighbourCache())
        if self.bounds and self.bounds[0].ensemble is not calc.ensemble:
            self.bounds, self._atoms = [], []
        bounds: list[Bound] = []
        for k, image in enumerate(images):
            if k < len(self.bounds) and _same_places(self._atoms[k], image):
                bounds.append(self.bounds[k])
            elif k > 0 and _same_places(images[k - 1], image):
                bounds.append(bounds[-1])
            else:
                bounds.append(calc.freeze(geometry_of(image), self._neighbours[k]))
        self.bounds, self._atoms = bounds, [image.copy() for image in images]
        return bounds


def _same_places(one: Atoms, other: Atoms) -> bool:
    return not GEOMETRY_CHANGES.intersection(changes_between(one, other))


Asked = tuple["Bound", EnsembleState, FloatArray, FloatArray, FloatArray]
"""A geometry, what networks say there, moments (N, 3), spins (N, 3), lengths (N,)."""


def states_of_images(calc: LearnedCalculator, kept: ImageSet, images: Sequence[Atoms], names: Sequence[str]) -> list[Asked]:
    """What the networks say of every image, found in one pass where compiled loops do it.

    Parameters
    ----------
    calc : LearnedCalculator
        Who is asked.
    kept : ImageSet
        What it keeps from one call to the next.
    images, names
        Magnets of equal numbers of sites, and the results that will be asked for.

    Raises
    ------
    ModelError
        If the magnets differ in their numbers of sites.
    """
    if not images:
        return []
    sizes = sorted({len(image) for image in images})
    if len(sizes) > 1:
        raise ModelError(
            f"images must have equal numbers of sites, these have {', '.join(map(str, sizes))}: "
            "ask for magnets of one size at a time"
        )
    for image in images:
        check_units(image, calc)
        calc.look_at_moments(image)
    bounds = kept.bind(calc, images)
    moments = [get_moments(image) for image in images]
    split = [split_moments(one, get_reference_lengths(image)) for one, image in zip(moments, images, strict=True)]
    spins = np.array([one for one, _ in split])
    everything = calc.ensemble.one_pass and "forces" in calc.implemented_properties  # comes along in one pass
    moving = everything or any(name in _ABOUT_ATOMS for name in names)
    states = calc.ensemble.states([one.geometry for one in bounds], spins, moving)
    return [
        (bound, state, moment, *parts) for bound, state, moment, parts in zip(bounds, states, moments, split, strict=True)
    ]


def energies_and_fields_of_replicas(bound: Bound, watch: DomainWatch, moments: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Energies (R,) and fields (R, N, 3), energy/moment, of R spin configurations of one geometry.

    Parameters
    ----------
    bound : Bound
        The geometry.
    watch : DomainWatch
        Looks at the lengths of the moments.
    moments : (R, N, 3) ndarray
        mu_B or |m|.

    Raises
    ------
    ModelError
        If the moments have another shape.
    """
    sites = len(bound.geometry.species)
    if moments.ndim != 3 or moments.shape[1:] != (sites, 3):
        raise ModelError(f"moments of replicas have the shape (replicas, {sites}, 3), got {moments.shape}")
    split = [split_moments(one) for one in moments]
    spins, lengths = (np.array([part[k] for part in split]).reshape(moments.shape[:2] + (-1,)) for k in (0, 1))
    watch.any_moments(lengths.ravel())
    energies, gradients = bound.ensemble.replicas(bound.geometry, spins)
    fields = [per_moment(one * (length > 0.0), length[:, 0]) for one, length in zip(gradients, lengths, strict=True)]
    return energies, np.array(fields).reshape(moments.shape)


__all__ = ["ImageSet", "energies_and_fields_of_replicas", "states_of_images"]
