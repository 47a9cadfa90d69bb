"""Second derivatives of any conservative calculator, from differences of its fields on a supercell, folded out to all q.

Only the spins of one cell are turned, with 4 field evaluations for each of its magnetic sites, however large the supercell.
Translations give the rest.  A pair half a supercell apart is shared among its nearest images.  At wavevectors that fit the
supercell the result is exact; between them it misses what reaches beyond it, and says how much that may be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from spinase.atoms import get_moments
from spinase.brief import Brief
from spinase.contract import FieldFunction, calculator_of, field_function, field_resolution
from spinase.dynamics.finite import watched
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import near_images, shortest_period
from spinase.spin_algebra import transverse_axes
from spinase.spinwaves.hessian import BlochHessian, assembled
from spinase.spinwaves.states import Spiral, magnetic_state, require_stationary
from spinase.typing import FloatArray, IntArray

_STEP = 1e-4  # radian; central differences
_SAME = 1e-3  # of the shortest distance: places that are one site
_TIE = 1e-6  # lengths of images that are equally near
_OUTER = 0.9  # of half the supercell: pairs from there on stand for what is beyond


@dataclass(frozen=True, eq=False, repr=False)
class Folding(Brief):
    """Sites of a supercell as sites of one cell and their translations.

    Attributes
    ----------
    cell : (3, 3)
        Vectors of the small cell, rows.
    counts : (3,) of int
        Cells along them.
    home : (n,)
        Sites of the supercell that are those of the first cell.
    basis : (N,)
        Of every site of the supercell, the site of the small cell (place in `home`).
    shifts : (N, 3)
        And its cell, from 0 to counts - 1.
    """

    cell: FloatArray
    counts: IntArray
    home: IntArray
    basis: IntArray
    shifts: IntArray


def difference_hessian(
    supercell: Atoms, cells: tuple[int, int, int], spiral: Spiral | None = None, tolerance: float = 1e-3
) -> BlochHessian:
    """Second derivatives from differences of fields: electrons, learned models, dipoles, anything with an energy.

    Parameters
    ----------
    supercell : Atoms
        Stationary spins with a conservative calculator, `cells` repetitions of one (magnetic) cell.  Electrons: the
        k-points are those of the supercell (``calc.for_supercell(cells)`` folds those of the cell).
    cells : (int, int, int)
        How many cells it holds along its vectors; 1 along open directions.
    spiral : Spiral, optional
        Spins turn from cell to cell, by whole turns in the supercell: then the cell may be that of the atoms.
    tolerance : float
        Largest |s x B| accepted, relative to the largest field.

    Raises
    ------
    NotConservativeError
        For a driven calculator.
    ConvergenceError
        If the spins are not stationary.
    InvalidGeometryError
        If the supercell is no such repetition.
    ModelError
        If its spins or fields are not.
    """
    spins, lengths, _ = magnetic_state(supercell, "difference_hessian")
    folding = fold(supercell, cells)
    turns = _turns(folding, spiral)
    calc = calculator_of(supercell)
    fields = watched(field_function(supercell, calc, lengths), supercell, lengths)
    here = lengths[:, None] * fields(spins)
    torque = require_stationary(spins, here, tolerance)
    for what, values in (("spins", spins), ("fields H = mu B", here)):
        _require_periodic(folding, turns, values, what, max(1e-6, tolerance) * float(np.abs(values).max()))
    magnetic = folding.home[lengths[folding.home] > 0.0]
    axes = _local_axes(folding, turns, spins)
    step = _STEP if field_resolution(calc) == 0.0 else max(_STEP, field_resolution(calc) ** (1.0 / 3.0))
    responses = _responses(fields, spins, lengths, magnetic, axes, step)
    blocks = _blocks(folding, magnetic, responses)
    count = len(magnetic)
    along = np.einsum("ia,ia->i", spins[magnetic], here[magnetic])
    blocks[np.arange(count), :, np.arange(count), :, 0, 0, 0] += along[:, None, None] * np.eye(2)
    mirrored = _mirrored(blocks)
    asymmetry = np.abs(blocks - mirrored).sum(axis=(2, 3, 4, 5, 6)).max(initial=0.0)
    return _folded_out(supercell, folding, 0.5 * (blocks + mirrored), spiral, float(asymmetry + 2.0 * torque))


def fold(supercell: Atoms, cells: tuple[int, int, int]) -> Folding:
    """Sites of a supercell by site of the small cell and translation; any order of the sites.

    Parameters
    ----------
    supercell : Atoms
        With a cell.
    cells : (int, int, int)
        Repetitions.

    Raises
    ------
    InvalidGeometryError
        If the atoms are no such repetition, or an open direction is divided.
    """
    counts = np.asarray(cells, dtype=np.int64)
    if counts.shape != (3,) or (counts < 1).any() or (counts[~supercell.pbc] > 1).any():
        raise InvalidGeometryError(f"cells must be three positive numbers, 1 along open directions, got {cells!r}")
    cell = supercell.cell.array / counts[:, None]
    inverse = np.linalg.inv(supercell.cell.complete().array) * counts
    small = supercell.cell.complete().array / counts[:, None]
    fractions = supercell.positions @ inverse
    tolerance = _SAME * (abs(np.linalg.det(small)) * np.prod(counts) / len(supercell)) ** (1.0 / 3.0)
    home: list[int] = []
    basis, shifts = np.zeros(len(supercell), dtype=np.int64), np.zeros((len(supercell), 3), dtype=np.int64)
    for i, place in enumerate(fractions):
        steps = place - fractions[home]
        whole = np.where(supercell.pbc, np.round(steps), 0.0)
        away = np.linalg.norm((steps - whole) @ small, axis=1)
        same = [k for k in range(len(home)) if away[k] < tolerance and supercell.numbers[home[k]] == supercell.numbers[i]]
        if same:
            basis[i], shifts[i] = same[0], whole[same[0]] % counts
        else:
            basis[i] = len(home)
            home.append(i)
    keys = np.column_stack([basis, shifts])
    if len(home) * int(np.prod(counts)) != len(supercell) or len(np.unique(keys, axis=0)) != len(supercell):
        raise InvalidGeometryError(
            f"the {len(supercell)} atoms are no repetition {tuple(counts.tolist())} of one cell: {len(home)} different "
            "sites were found by these translations; say the `cells` of the supercell, with all atoms at their places"
        )
    return Folding(cell, counts, np.array(home, dtype=np.int64), basis, shifts)


def _turns(folding: Folding, spiral: Spiral | None) -> FloatArray:
    """Rotations (N, 3, 3) of the spins of every site from those of the first cell."""
    if spiral is None:
        return np.broadcast_to(np.eye(3), (len(folding.basis), 3, 3))
    turns = folding.counts[:, None] * folding.cell @ spiral.wavevector / (2.0 * np.pi)
    if np.abs(turns - np.round(turns)).max() > 1e-6:
        raise ModelError(
            f"the spiral turns {turns.round(6).tolist()} times along the vectors of the supercell, which must be whole "
            "numbers: choose a supercell that holds whole turns"
        )
    return spiral.rotations(folding.shifts @ folding.cell)


def _require_periodic(folding: Folding, turns: FloatArray, values: FloatArray, what: str, tolerance: float) -> None:
    expected = np.einsum("iac,ic->ia", turns, values[folding.home][folding.basis])
    away = np.linalg.norm(values - expected, axis=1)
    worst = int(away.argmax())
    if away[worst] > tolerance:
        raise ModelError(
            f"the {what} do not repeat from cell to cell: those of site {worst} differ by {away[worst]:.3g} from those of "
            f"site {folding.home[folding.basis[worst]]}, its image in the first cell; take the magnetic cell, a `spiral`, "
            "or a calculator without parameters site by site"
        )


def _local_axes(folding: Folding, turns: FloatArray, spins: FloatArray) -> FloatArray:
    """e1, e2 of every site, turned with the spins, (N, 2, 3)."""
    home = spins[folding.home]
    safe = np.where(np.linalg.norm(home, axis=1)[:, None] > 0.0, home, [0.0, 0.0, 1.0])
    axes = np.stack(transverse_axes(safe), axis=1)[folding.basis]
    return np.einsum("iac,ipc->ipa", turns, axes)


def _responses(
    fields: FieldFunction, spins: FloatArray, lengths: FloatArray, magnetic: IntArray, axes: FloatArray, step: float
) -> FloatArray:
    """d2E/(du_i du_j) without the change of axes, (n, 2, N, 2), energy: u of the n sites that are turned, u of all."""
    found = np.empty((len(magnetic), 2, len(spins), 2))
    for k, site in enumerate(magnetic):
        for a in range(2):
            ends = []
            for sign in (1.0, -1.0):
                turned = spins.copy()
                turned[site] = np.cos(step) * spins[site] + sign * np.sin(step) * axes[site, a]
                ends.append(lengths[:, None] * fields(turned))
            found[k, a] = -np.einsum("jpa,ja->jp", axes, ends[0] - ends[1]) / (2.0 * np.sin(step))
    return found


def _blocks(folding: Folding, magnetic: IntArray, responses: FloatArray) -> FloatArray:
    """Responses by cell, (n, 2, n, 2, c1, c2, c3)."""
    new = np.full(len(folding.home), -1)
    for k, site in enumerate(magnetic):
        new[folding.basis[site]] = k
    number = new[folding.basis]
    inside = number >= 0
    blocks = np.zeros((len(magnetic), 2, len(magnetic), 2, *folding.counts))
    x, y, z = folding.shifts[inside].T
    blocks[:, :, number[inside], :, x, y, z] = responses[:, :, inside].transpose(2, 0, 1, 3)
    return blocks


def _mirrored(blocks: FloatArray) -> FloatArray:
    """Phi_ji(-R)^T, which equals Phi_ij(R)."""
    swapped = blocks.transpose(2, 3, 0, 1, 4, 5, 6)
    return np.asarray(np.roll(np.flip(swapped, axis=(4, 5, 6)), (1, 1, 1), axis=(4, 5, 6)))


def _folded_out(
    supercell: Atoms, folding: Folding, blocks: FloatArray, spiral: Spiral | None, uncertainty: float
) -> BlochHessian:
    """Entries with the nearest images of every pair, and what the outermost ones amount to."""
    primitive = supercell[folding.home]
    primitive.set_cell(folding.cell)
    magnetic = np.flatnonzero(get_moments(primitive).any(axis=1))
    places, count = primitive.positions[magnetic], len(magnetic)
    first, second, x, y, z = (index.ravel() for index in np.indices((count, count, *folding.counts)))
    cells, periodic = np.stack([x, y, z], axis=1), supercell.pbc
    apart = places[second] - places[first] + cells @ folding.cell
    turns = near_images(apart, supercell.cell.array[periodic])
    shifts = np.repeat(cells[:, None, :], turns.shape[1], axis=1)
    shifts[:, :, periodic] += turns * folding.counts[periodic]
    steps = (places[second] - places[first])[:, None, :] + shifts @ folding.cell
    distances = np.linalg.norm(steps, axis=2)
    near = distances < distances.min(axis=1)[:, None] * (1.0 + _TIE) + 1e-9
    entry, image = np.nonzero(near)
    values = blocks.transpose(0, 2, 4, 5, 6, 1, 3).reshape(-1, 2, 2)
    shared = values[entry] / near.sum(axis=1)[entry][:, None, None]
    half = 0.5 * shortest_period(supercell.cell.array[periodic])
    outer = distances.min(axis=1) > _OUTER * half
    sizes = np.linalg.norm(values, axis=(1, 2), ord=2) * outer
    return assembled(
        primitive,
        first[entry],
        second[entry],
        shifts[entry, image],
        shared,
        spiral,
        uncertainty=uncertainty,
        range_error=float(np.bincount(first, sizes, minlength=count).max()),
    )
