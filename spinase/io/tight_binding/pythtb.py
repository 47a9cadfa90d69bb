"""Models of PythTB (``tb_model`` of 1.7 and 1.8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spinase.electrons.orbital_table import Cell, OrbitalTable
from spinase.errors import ModelError
from spinase.typing import ComplexArray, FloatArray, IntArray

_SAME = 1e-6  # reduced coordinates of orbitals of one site
_NAMES = ("_lat", "_orb", "_per", "_nspin", "_site_energies", "_hoppings")


def read_pythtb(model: Any, sites: Sequence[int] | None = None) -> OrbitalTable:
    """A table of hopping from a ``pythtb.tb_model``, with or without spin.

    Its H = sum amp c+_i c_{j+R} is that of the table; lattices of one and two dimensions get unit vectors along the others.

    Parameters
    ----------
    model : pythtb.tb_model
    sites : sequence of int, optional
        Site of each orbital; default: orbitals at one place are one site.

    Raises
    ------
    ModelError
        If the model has another form than those of PythTB 1.7 and 1.8.
    """
    missing = [name for name in _NAMES if not hasattr(model, name)]
    if missing:
        raise ModelError(
            f"{type(model).__name__} has no {missing[0]}: this reads tb_model of PythTB 1.7 and 1.8 (pip install 'pythtb<2')"
        )
    cell = _solid(np.asarray(model._lat, dtype=np.float64))
    orbitals = np.asarray(model._orb, dtype=np.float64)
    reduced = np.zeros((len(orbitals), 3))
    reduced[:, : orbitals.shape[1]] = orbitals
    places = reduced @ cell
    site = _grouped(reduced) if sites is None else np.asarray(sites, dtype=np.int64)
    first = [int(np.flatnonzero(site == n)[0]) for n in range(int(site.max()) + 1)]
    return OrbitalTable.of(cell, places[first], site, _matrices(model, len(orbitals)), places=places)


def _solid(vectors: FloatArray) -> FloatArray:
    """Three cell vectors: those of the lattice, and unit vectors for the dimensions that it does not have."""
    cell = np.eye(3)
    dimension = len(vectors)
    cell[:dimension, :] = 0.0
    cell[:dimension, :dimension] = vectors
    return cell


def _grouped(reduced: FloatArray) -> IntArray:
    """Number of the place of each orbital, in the order of their first orbitals."""
    found: list[FloatArray] = []
    sites = np.empty(len(reduced), dtype=np.int64)
    for a, place in enumerate(reduced):
        same = [n for n, other in enumerate(found) if np.abs(other - place).max() < _SAME]
        if not same:
            found.append(place)
        sites[a] = same[0] if same else len(found) - 1
    return sites


def _matrices(model: Any, orbitals: int) -> dict[Cell, ComplexArray]:
    """H(R), (n, 2, n, 2), of on-site energies and of every hopping with its way back."""
    matrices: dict[Cell, ComplexArray] = {}

    def add(cell: Cell, i: int, j: int, block: ComplexArray) -> None:
        """Add a block to H(R)."""
        matrix = matrices.setdefault(cell, np.zeros((orbitals, 2, orbitals, 2), dtype=np.complex128))
        matrix[i, :, j, :] += block

    for i, energy in enumerate(model._site_energies):
        add((0, 0, 0), i, i, _block(energy))
    for amplitude, i, j, *vector in model._hoppings:
        shift = np.zeros(3, dtype=np.int64)
        if vector:
            shift[: len(vector[0])] = vector[0]
        there: Cell = (int(shift[0]), int(shift[1]), int(shift[2]))
        add(there, i, j, _block(amplitude))
        add((-there[0], -there[1], -there[2]), j, i, _block(amplitude).conj().T)
    return matrices


def _block(value: Any) -> ComplexArray:
    """2x2 of a number (both spins alike) or of a 2x2 matrix."""
    given = np.asarray(value, dtype=np.complex128)
    return given * np.eye(2) if given.ndim == 0 else given
