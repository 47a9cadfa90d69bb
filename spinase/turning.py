"""Operations that turn atoms in space and take their moments along, which ASE leaves behind."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.build import surface as ase_surface
from numpy.typing import ArrayLike

from spinase.errors import InvalidMomentsError
from spinase.moments import get_moments, has_moments, set_moments
from spinase.spin_algebra import rotation_matrix
from spinase.typing import FloatArray


def rotate_spins(atoms: Atoms, axis: ArrayLike, angle: float) -> None:
    """Rotate every moment by `angle` (radian, right-handed) about `axis`; positions stay.

    Parameters
    ----------
    atoms : Atoms
        Changed in place.
    axis : (3,) array_like
        Of any length but zero.
    angle : float
        Radian.
    """
    set_moments(atoms, get_moments(atoms) @ rotation_matrix(axis, angle).T)


def rotate_with_moments(atoms: Atoms, a: Any, v: Any = None, center: Any = (0, 0, 0), rotate_cell: bool = False) -> None:
    """ASE's ``atoms.rotate(a, v, center, rotate_cell)`` that turns the moments too (ASE itself leaves them behind).

    Parameters
    ----------
    atoms : Atoms
        Changed in place.
    a, v, center, rotate_cell
        As in ASE: angle (degrees) and axis, or two directions; what stays; whether the cell turns, too.
    """
    frame = Atoms("H3", positions=np.eye(3))
    frame.rotate(a, v)
    moments = get_moments(atoms)
    Atoms.rotate(atoms, a, v, center=center, rotate_cell=rotate_cell)
    if has_moments(atoms):
        set_moments(atoms, moments @ frame.positions)


def euler_rotate_with_moments(
    atoms: Atoms, phi: float = 0.0, theta: float = 0.0, psi: float = 0.0, center: Any = (0, 0, 0)
) -> None:
    """ASE's ``atoms.euler_rotate`` (degrees, of the frame) that turns the moments too (ASE itself leaves them behind).

    Parameters
    ----------
    atoms : Atoms
        Changed in place.
    phi, theta, psi, center
        As in ASE, degrees.
    """
    frame = Atoms("H3", positions=np.eye(3))
    frame.euler_rotate(phi, theta, psi)
    moments = get_moments(atoms)
    Atoms.euler_rotate(atoms, phi, theta, psi, center=center)
    if has_moments(atoms):
        set_moments(atoms, moments @ frame.positions)


def surface(bulk: Atoms, indices: tuple[int, int, int], layers: int, vacuum: float | None = None, **options: Any) -> Atoms:
    """``ase.build.surface`` that turns the moments with the crystal (ASE rotates the cell and leaves them behind).

    Parameters
    ----------
    bulk : Atoms
        With moments.
    indices : (int, int, int)
        Miller indices.
    layers : int
        How many.
    vacuum : float, optional
        On either side, length.
    options
        Of ``ase.build.surface``.

    Raises
    ------
    InvalidMomentsError
        If the rotation cannot be read off the cut (a cell so flat that the probe does not fit).
    """
    slab = ase_surface(bulk, indices, layers, vacuum=vacuum, **options)
    if has_moments(bulk):
        moments = get_moments(slab) @ _cut_rotation(bulk, indices).T
        set_moments(slab, moments)
    return slab


def _cut_rotation(bulk: Atoms, indices: tuple[int, int, int]) -> FloatArray:
    """Rotation R (3, 3) of ASE's surface cut, read off a probe: a site and three close by along x, y and z.

    For some indices, such as (-1, 1, 0), ASE's cut mirrors the crystal; moments are axial vectors, so R is then -1 times
    the reflection.
    """
    small = 1e-3 * float(np.abs(bulk.cell.array).max())
    for corner in (0.31, 0.17, 0.43, 0.59, 0.71):  # elsewhere if the cut happens to go between the four sites
        centre = np.array([corner, 1.37 * corner % 1.0, 1.73 * corner % 1.0]) @ bulk.cell.array
        sites = np.vstack([centre, centre + small * np.eye(3)])
        probe = ase_surface(Atoms("HHeLiBe", positions=sites, cell=bulk.cell, pbc=True), indices, 1)
        turn = ((probe.positions[1:] - probe.positions[0]) / small).T
        if np.allclose(turn.T @ turn, np.eye(3), atol=1e-8):
            left, _, right = np.linalg.svd(turn)
            return np.asarray(left @ right * np.sign(np.linalg.det(turn)))
    raise InvalidMomentsError(f"cannot read the rotation of surface {indices} off this cell: rotate the moments by hand")
