r"""Second derivatives of the energy between the sites of one cell and those of all others, and their Bloch sums.

With local axes e1, e2 across the spin of each site (e1 x e2 = s) and s = s_0 sqrt(1 - u^2) + u1 e1 + u2 e2,

.. math:: E = E_0 + \tfrac12 \sum_{R, ij} u_i(0)^T\, \Phi_{ij}(R)\, u_j(R), \qquad
          \Phi_{ij}(R)_{ab} = e_i^a\cdot\frac{\partial^2 E}{\partial s_i\,\partial s_j(R)}\,e_j^b
          + \delta_{ij}\delta_{R0}\delta_{ab}\, H_i\cdot s_i,

with H = -dE/ds, and Phi(q) = sum_R Phi(R) exp(i q.(R + r_j - r_i)).  In a spiral the axes of other cells are those of the
first one, turned with the spins; the derivatives then depend on the distance of cells only, whatever Q is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from scipy.sparse import coo_array

from spinase.atoms import get_moments, get_units, gyromagnetic_ratios
from spinase.brief import Brief
from spinase.classical.local_model import LocalModel
from spinase.errors import ModelError
from spinase.spin_algebra import directions, transverse_axes
from spinase.spinwaves.cell_model import CellModel, cell_model
from spinase.spinwaves.products import product_derivatives
from spinase.spinwaves.states import Spiral, magnetic_state, require_stationary
from spinase.typing import ComplexArray, FloatArray, IntArray

_INVARIANT = 1e-9  # of the largest coupling: round-off of tensors that are turned


@dataclass(frozen=True, eq=False, repr=False)
class BlochHessian(Brief):
    """Second derivatives of one cell with all cells, for its n magnetic sites.

    Attributes
    ----------
    positions : (n, 3)
        Magnetic sites, length.
    cell : (3, 3)
        Vectors of the cell, rows, length.
    pbc : (3,) of bool
        Periodic directions.
    symbols : tuple of str
        Chemical symbols of the magnetic sites.
    spins : (n, 3)
        Unit spins.
    lengths : (n,)
        Their moments mu, moment.
    angular_momenta : (n,)
        mu/gamma = hbar S, energy*time.
    first, second : (b,)
        Sites of the entries.
    shifts : (b, 3)
        Cells of the second sites.
    blocks : (b, 2, 2)
        Phi_ij(R) over (u1, u2) of both sites, energy.
    hbar : float
        Energy*time.
    spiral : Spiral or None
        How spins turn from cell to cell; None: they are the same.
    uncertainty : float
        Bound of the error of the eigenvalues of Phi(q) from differences and residual torques, energy.
    range_error : float
        Estimate of what is missing of Phi(q) between the wavevectors of the supercell, energy; zero where nothing is cut.
    """

    positions: FloatArray
    cell: FloatArray
    pbc: tuple[bool, bool, bool]
    symbols: tuple[str, ...]
    spins: FloatArray
    lengths: FloatArray
    angular_momenta: FloatArray
    first: IntArray
    second: IntArray
    shifts: IntArray
    blocks: FloatArray
    hbar: float
    spiral: Spiral | None = None
    uncertainty: float = 0.0
    range_error: float = 0.0

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def axes(self) -> FloatArray:
        """Local axes e1, e2 of the cell's sites, (n, 2, 3)."""
        return np.stack(transverse_axes(self.spins), axis=1)

    @property
    def vectors(self) -> FloatArray:
        """From the first to the second site of every entry, (b, 3), length."""
        return np.asarray(self.positions[self.second] - self.positions[self.first] + self.shifts @ self.cell)

    @property
    def scale(self) -> float:
        """Bound of the eigenvalues of Phi(q), energy."""
        sums = np.bincount(self.first, np.linalg.norm(self.blocks, axis=(1, 2)), minlength=len(self))
        return float(sums.max())

    def at(self, wavevectors: ArrayLike) -> ComplexArray:
        """Phi(q) (m, 2n, 2n), Hermitian, energy: over u1 of all sites, then u2.

        Parameters
        ----------
        wavevectors : (m, 3)
            Cartesian q, 1/length, with 2 pi.
        """
        waves = as_wavevectors(wavevectors)
        size = 2 * len(self)
        rows = (self.first[:, None] + [[0, 0, len(self), len(self)]]) * size
        columns = self.second[:, None] + [[0, len(self), 0, len(self)]]
        entries = np.repeat(np.arange(len(self.first)), 4)
        shape = (size * size, len(self.first))
        placed = coo_array((self.blocks.ravel(), ((rows + columns).ravel(), entries)), shape=shape).tocsr()
        phases = np.exp(1j * (self.vectors @ waves.T))
        found = (placed @ phases).T.reshape(len(waves), size, size)
        return np.asarray(0.5 * (found + found.conj().transpose(0, 2, 1)))


def as_wavevectors(wavevectors: ArrayLike) -> FloatArray:
    """Finite wavevectors (m, 3); one vector counts as (1, 3).

    Parameters
    ----------
    wavevectors : (m, 3) array_like
        Cartesian, 1/length, with 2 pi.

    Raises
    ------
    ModelError
        For another shape.
    """
    waves = np.atleast_2d(np.asarray(wavevectors, dtype=np.float64))
    if waves.ndim != 2 or waves.shape[1] != 3 or not np.isfinite(waves).all():
        raise ModelError(f"wavevectors must be finite, of shape (m, 3), Cartesian, 1/length with 2 pi; got {waves.shape}")
    return waves


def classical_hessian(atoms: Atoms, spiral: Spiral | None = None, tolerance: float = 1e-3) -> BlochHessian:
    """Closed second derivatives of a classical model at the spins of one cell, which must be stationary.

    Parameters
    ----------
    atoms : Atoms
        One (magnetic) cell with a calculator of classical terms; periodic directions are continued.
    spiral : Spiral, optional
        Spins turn from cell to cell; the energy must not change when all spins turn about its axis.
    tolerance : float
        Largest |s x H| accepted, relative to the largest field.

    Raises
    ------
    ModelError
        If the calculator has no closed form, or its energy changes with the phase of the spiral.
    ConvergenceError
        If the spins are not stationary.
    """
    spins, lengths, magnetic = magnetic_state(atoms, "classical_hessian")
    model = cell_model(atoms)
    own = model.sites
    if spiral is not None:
        _require_invariant(model, spiral)
    turned = _turns(spiral, model.shifts @ atoms.cell.array)
    images = np.einsum("bac,bc->ba", turned, spins[own.columns])
    fourfold = product_derivatives(model.products, spins, _turns(spiral, model.products.shifts @ atoms.cell.array))
    fields = _fields(own, spins, images) + fourfold.fields
    torque = require_stationary(spins[magnetic], fields[magnetic], tolerance)
    first, second = transverse_axes(np.where(lengths[:, None] > 0.0, spins, [0.0, 0.0, 1.0]))
    axes = np.stack([first, second], axis=1)
    rows, columns = np.concatenate([own.rows, fourfold.first]), np.concatenate([own.columns, fourfold.second])
    couplings = np.concatenate([_couplings(own, spins, images), fourfold.couplings])
    frames = np.concatenate([turned, fourfold.turns])
    pairs = -np.einsum("bpa,bac,bcd,bqd->bpq", axes[rows], couplings, frames, axes[columns])
    along = np.einsum("ia,ia->i", spins, fields)[:, None, None] * np.eye(2)
    onsite = np.einsum("ipa,iac,iqc->ipq", axes, _site_curvatures(own, spins, images), axes) + along
    new = np.full(len(atoms), -1)
    new[magnetic] = np.arange(len(magnetic))
    keep = (new[rows] >= 0) & (new[columns] >= 0)
    shifts = np.concatenate([model.shifts, fourfold.shifts])
    return assembled(
        atoms,
        np.concatenate([np.arange(len(magnetic)), new[rows[keep]]]),
        np.concatenate([np.arange(len(magnetic)), new[columns[keep]]]),
        np.concatenate([np.zeros((len(magnetic), 3), dtype=np.int64), shifts[keep]]),
        np.concatenate([onsite[magnetic], pairs[keep]]),
        spiral,
        uncertainty=2.0 * torque,
    )


def _turns(spiral: Spiral | None, places: FloatArray) -> FloatArray:
    """Rotations (..., 3, 3) of the spins of cells at `places` (..., 3) against those of the first one."""
    if spiral is None:
        return np.broadcast_to(np.eye(3), (*places.shape[:-1], 3, 3))
    return np.asarray(spiral.rotations(places.reshape(-1, 3))).reshape(*places.shape[:-1], 3, 3)


def assembled(
    atoms: Atoms,
    first: IntArray,
    second: IntArray,
    shifts: IntArray,
    blocks: FloatArray,
    spiral: Spiral | None,
    *,
    uncertainty: float,
    range_error: float = 0.0,
) -> BlochHessian:
    """A Hessian over the magnetic sites of `atoms`, one cell.

    Parameters
    ----------
    atoms : Atoms
        One cell.
    first, second, shifts, blocks
        Entries, numbered over the magnetic sites.
    spiral : Spiral or None
    uncertainty, range_error : float
        Energy.
    """
    spins, lengths = directions(get_moments(atoms))
    magnetic = np.flatnonzero(lengths)
    units = get_units(atoms)
    return BlochHessian(
        atoms.positions[magnetic],
        atoms.cell.array.copy(),
        (bool(atoms.pbc[0]), bool(atoms.pbc[1]), bool(atoms.pbc[2])),
        tuple(atoms.symbols[int(site)] for site in magnetic),
        spins[magnetic],
        lengths[magnetic],
        lengths[magnetic] / gyromagnetic_ratios(atoms)[magnetic],
        first,
        second,
        shifts,
        blocks,
        units.hbar,
        spiral,
        uncertainty,
        range_error,
    )


def _fields(own: LocalModel, spins: FloatArray, images: FloatArray) -> FloatArray:
    """H_i = -dE/ds_i, energy, (N, 3)."""
    overlap = np.einsum("ba,ba->b", spins[own.rows], images)
    pairs = np.einsum("bac,bc->ba", own.tensors, images) + 2.0 * (own.biquadratic * overlap)[:, None] * images
    fields = np.zeros_like(spins)
    np.add.at(fields, own.rows, pairs)
    if own.linear is not None:
        fields += own.linear
    if own.quadratic is not None:
        fields += 2.0 * np.einsum("iac,ic->ia", own.quadratic, spins)
    for strengths, axes in own.cubic:
        x = np.einsum("ipa,ia->ip", axes, spins)
        fields -= np.einsum("ip,ipa->ia", _cubic_slope(x, strengths), axes)
    for strengths, axes in own.quartic:
        fields += (4.0 * strengths * np.einsum("ia,ia->i", spins, axes) ** 3)[:, None] * axes
    return fields


def _couplings(own: LocalModel, spins: FloatArray, images: FloatArray) -> FloatArray:
    """-d2E/(ds_i ds_j) = J + 2 K [(s_i.s_j) + s_j s_i^T] of every entry, energy, (b, 3, 3)."""
    here = spins[own.rows]
    overlap = np.einsum("ba,ba->b", here, images)[:, None, None]
    squares = overlap * np.eye(3) + np.einsum("ba,bc->bac", images, here)
    return np.asarray(own.tensors + 2.0 * own.biquadratic[:, None, None] * squares)


def _site_curvatures(own: LocalModel, spins: FloatArray, images: FloatArray) -> FloatArray:
    """d2E/(ds_i ds_i) = -2 sum K s_j s_j^T - 2 Q - 12 K (s_i.n)^2 n n^T + that of cubic anisotropies, energy, (N, 3, 3)."""
    found = np.zeros((len(spins), 3, 3))
    np.add.at(found, own.rows, -2.0 * own.biquadratic[:, None, None] * np.einsum("ba,bc->bac", images, images))
    if own.quadratic is not None:
        found -= 2.0 * own.quadratic
    for strengths, axes in own.cubic:
        x = np.einsum("ipa,ia->ip", axes, spins)
        found += np.einsum("ipa,ipq,iqb->iab", axes, _cubic_curvature(x, strengths), axes)
    for strengths, axes in own.quartic:
        along = 12.0 * strengths * np.einsum("ia,ia->i", spins, axes) ** 2
        found -= along[:, None, None] * axes[:, :, None] * axes[:, None, :]
    return found


def _cubic_slope(x: FloatArray, strengths: FloatArray) -> FloatArray:
    """Gradient of K1 (x^2 y^2 + y^2 z^2 + z^2 x^2) + K2 x^2 y^2 z^2, (N, 3)."""
    square = x**2
    others = square.sum(axis=1)[:, None] - square
    products = np.stack([square[:, 1] * square[:, 2], square[:, 2] * square[:, 0], square[:, 0] * square[:, 1]], axis=1)
    return np.asarray(2.0 * x * (strengths[:, :1] * others + strengths[:, 1:] * products))


def _cubic_curvature(x: FloatArray, strengths: FloatArray) -> FloatArray:
    """Its second derivatives, (N, 3, 3)."""
    square = x**2
    found = np.empty((len(x), 3, 3))
    for a in range(3):
        b, c = (a + 1) % 3, (a + 2) % 3
        found[:, a, a] = 2.0 * (
            strengths[:, 0] * (square[:, b] + square[:, c]) + strengths[:, 1] * square[:, b] * square[:, c]
        )
        found[:, a, b] = found[:, b, a] = 4.0 * x[:, a] * x[:, b] * (strengths[:, 0] + strengths[:, 1] * square[:, c])
    return found


def _require_invariant(model: CellModel, spiral: Spiral) -> None:
    """Refuse couplings that change when all spins turn about the axis of the spiral."""
    own, turn = model.sites, spiral.generator
    parts = {"a pair coupling": own.tensors @ turn - turn @ own.tensors}
    if own.quadratic is not None:
        parts["an anisotropy"] = own.quadratic @ turn - turn @ own.quadratic
    if own.linear is not None:
        parts["a field"] = own.linear @ turn.T
    if own.quartic:
        parts["an anisotropy of fourth order"] = np.stack([each[:, None] * (axes @ turn.T) for each, axes in own.quartic])
    scale = max(float(np.abs(own.tensors).max(initial=0.0)), 1e-300)
    broken = [name for name, change in parts.items() if np.abs(change).max(initial=0.0) > _INVARIANT * scale]
    if own.cubic:
        broken.append("a cubic anisotropy")
    if broken:
        raise ModelError(
            f"the energy changes with the phase of the spiral: {' and '.join(broken)} is not invariant when all spins "
            f"turn about its axis {spiral.axis.round(6).tolist()}. Take that axis along DMI vectors, fields and easy axes, "
            "or use a magnetic cell that holds whole turns, without a spiral"
        )
