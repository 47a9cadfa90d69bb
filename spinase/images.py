"""Many magnets in one call: images of a path, runs side by side.

A calculator that does several magnets at once better than one after the other has a method ``results_of_images``;
:func:`results_of_images` uses it, and asks any other calculator for one magnet after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeGuard

import numpy as np
from ase import Atoms

from spinase.contract import calculator_of, energy_name
from spinase.errors import ModelError
from spinase.typing import FloatArray

Results = dict[str, Any]


class EvaluatesImages(Protocol):
    """Optional method of a calculator: many magnets at once."""

    def results_of_images(self, images: Sequence[Atoms], names: Sequence[str]) -> list[Results]:
        """The results called `names` of every magnet, those of one magnet to round-off.

        Parameters
        ----------
        images : sequence of Atoms
            Magnets with their moments.
        names : sequence of str
            Of results.
        """
        ...


def evaluates_images(calc: Any) -> TypeGuard[EvaluatesImages]:
    """Whether a calculator has the method of :class:`EvaluatesImages`."""
    return callable(getattr(calc, "results_of_images", None))


def results_of_images(calc: Any, images: Sequence[Atoms], names: Sequence[str]) -> list[Results]:
    """Results of many magnets by one calculator, whatever calculators the magnets have themselves.

    Parameters
    ----------
    calc : calculator
        Any of ASE.
    images : sequence of Atoms
        Magnets with their moments.
    names : sequence of str
        Results, such as ``"free_energy"``, ``"forces"`` or ``"magnetic_forces"``, in the units of the calculator.

    Returns
    -------
    list of dict
        Name -> result, for every magnet.

    Raises
    ------
    PropertyNotImplementedError
        If the calculator does not give one of them.
    """
    if evaluates_images(calc):
        return calc.results_of_images(images, names)
    return [{name: calc.get_property(name, image) for name in names} for image in images]


def energies_and_fields(images: Sequence[Atoms]) -> tuple[FloatArray, FloatArray]:
    """Energies (n,) of images and their magnetic forces (n, N, 3), those that share a calculator asked for at once.

    Parameters
    ----------
    images : sequence of Atoms
        Of equal numbers of sites, each with a calculator that has energies and magnetic forces.

    Raises
    ------
    ModelError
        If a calculator gives no energy.
    """
    energies, fields = np.zeros(len(images)), np.zeros((len(images), len(images[0]) if images else 0, 3))
    calculators = {id(calc): calc for calc in map(calculator_of, images)}
    for key, calc in calculators.items():
        name = energy_name(calc)
        if name is None:
            raise ModelError(f"{type(calc).__name__} gives no energy: there is no path to find")
        places = [k for k, image in enumerate(images) if id(image.calc) == key]
        found = results_of_images(calc, [images[k] for k in places], (name, "magnetic_forces"))
        for k, one in zip(places, found, strict=True):
            energies[k], fields[k] = one[name], one["magnetic_forces"]
    return energies, fields


__all__ = ["EvaluatesImages", "energies_and_fields", "evaluates_images", "results_of_images"]
