"""A classical model as couplings between the sites of one cell and those of all others.

Sums over sites and pairs within a cutoff (:func:`spinase.contract.local_model_of`) are looked at on a repeated cell that is
wider than twice the cutoff: there every pair has one nearest image, whose cell is the translation of the pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from spinase.brief import Brief
from spinase.classical.local_model import LocalModel
from spinase.contract import calculator_of, local_energy, local_model_of
from spinase.errors import ModelError
from spinase.geometry import nearest_image
from spinase.hooks import supercell_calculator
from spinase.typing import FloatArray, IntArray

_BEGIN = np.array([[0, 1, 2, 3], [1, 0, 2, 3], [2, 3, 0, 1], [3, 2, 0, 1]])  # (ab)(cd) from each of its places


@dataclass(frozen=True, eq=False, repr=False)
class CellProducts(Brief):
    """Products -K (s_0.s_1)(s_2.s_3) as seen from each of their sites in one cell.

    Attributes
    ----------
    sites : (m, 4)
        Sites of the cell; a product stands here once for each of its places that is in the home cell, which comes first.
    shifts : (m, 4, 3)
        Cells of the sites, (0, 0, 0) for the first.
    strengths : (m,)
        K, energy.
    """

    sites: IntArray
    shifts: IntArray
    strengths: FloatArray


@dataclass(frozen=True, eq=False)
class CellModel:
    r"""Energy of one cell among all: E = -1/2 sum_b [s_i.J_b s_j(R) + K_b (s_i.s_j(R))^2] + terms of sites + products.

    Attributes
    ----------
    sites : LocalModel
        Terms of single sites and, as its pairs, bonds i -> j of both directions.
    shifts : (b, 3)
        Cell R of the second site of each pair.
    vectors : (b, 3)
        From the first site to the second, length.
    products : CellProducts
        Products of four spins.
    """

    sites: LocalModel
    shifts: IntArray
    vectors: FloatArray
    products: CellProducts


def cell_model(atoms: Atoms) -> CellModel:
    """The calculator of `atoms` as couplings of one cell with all others.

    Parameters
    ----------
    atoms : Atoms
        One cell, with a classical calculator: exchange, DMI, biquadratic, tensors, anisotropies, fields, loops and tables of
        products of four spins, their sums.

    Raises
    ------
    ModelError
        If the calculator is no sum over sites and pairs within a cutoff: use :func:`difference_hessian`.
    """
    calc = calculator_of(atoms)
    try:
        local = local_energy(calc, atoms)
        repeat = _repetition(atoms, max(local.cutoff, local.ghost_depth))
        large = atoms.repeat(repeat)
        large.calc = supercell_calculator(calc, repeat)
        if large.calc is None:
            raise ModelError("it has no form for a repeated cell")
        model = local_model_of(large)
    except ModelError as error:
        raise ModelError(
            f"{type(calc).__name__} is no sum over sites and pairs within a cutoff, so its second derivatives have no "
            f"closed form here ({error}): take differences of its fields on a supercell, difference_hessian(supercell, "
            "cells)"
        ) from error
    count = len(atoms)
    home = model.rows < count
    first, second, cells = model.rows[home], model.columns[home] % count, model.columns[home] // count
    shifts = nearest_shifts(atoms, first, second, np.stack(np.unravel_index(cells, repeat), axis=1), repeat)
    vectors = atoms.positions[second] - atoms.positions[first] + shifts @ atoms.cell.array
    own = LocalModel(
        count,
        first,
        second,
        model.tensors[home],
        model.biquadratic[home],
        None if model.linear is None else model.linear[:count],
        None if model.quadratic is None else model.quadratic[:count],
        [(strengths[:count], axes[:count]) for strengths, axes in model.cubic],
        [(strengths[:count], axes[:count]) for strengths, axes in model.quartic],
    )
    return CellModel(own, shifts, vectors, _products(atoms, model, repeat))


def _products(atoms: Atoms, model: LocalModel, repeat: tuple[int, int, int]) -> CellProducts:
    """Products of the repeated cell from each of their places in its first cell."""
    count = len(atoms)
    rows = model.products[:, _BEGIN].reshape(-1, 4)
    strengths = np.repeat(model.product_strengths, len(_BEGIN))
    home = rows[:, 0] < count
    rows, strengths = rows[home], strengths[home]
    cells = np.stack(np.unravel_index(rows.ravel() // count, repeat), axis=1)
    sites = rows % count
    shifts = nearest_shifts(atoms, np.repeat(sites[:, 0], 4), sites.ravel(), cells, repeat)
    return CellProducts(sites, shifts.reshape(-1, 4, 3), strengths)


def _repetition(atoms: Atoms, cutoff: float) -> tuple[int, int, int]:
    """Cells along each periodic direction, so that lattice planes are more than twice the cutoff apart."""
    periodic = atoms.pbc
    heights = np.full(3, np.inf)
    heights[periodic] = 1.0 / np.linalg.norm(np.linalg.pinv(atoms.cell.array[periodic]), axis=0)
    a, b, c = (int(2.0 * cutoff * (1.0 + 1e-6) / height) + 1 for height in heights)
    return a, b, c


def nearest_shifts(
    atoms: Atoms, first: IntArray, second: IntArray, cells: IntArray, repeat: tuple[int, int, int]
) -> IntArray:
    """Cells (b, 3) of the images of the second sites that are nearest to the first ones, in a periodic repeated cell.

    Parameters
    ----------
    atoms : Atoms
        One cell.
    first, second : (b,) ndarray of int
        Sites of the cell.
    cells : (b, 3) ndarray of int
        Some cell of each second site.
    repeat : (int, int, int)
        Cells after which the magnet repeats.
    """
    periodic = atoms.pbc
    apart = atoms.positions[second] - atoms.positions[first] + cells @ atoms.cell.array
    nearest = cells.astype(np.int64)
    turns = nearest_image(apart, (np.array(repeat)[:, None] * atoms.cell.array)[periodic])
    nearest[:, periodic] += turns * np.array(repeat)[periodic]
    return nearest
