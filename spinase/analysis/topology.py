"""Scalar spin chirality and the Berg-Luescher topological charge of planar magnets."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from spinase.analysis.triangles import Triangles, Triangulation, resolve
from spinase.atoms import get_spins, has_moments
from spinase.errors import InvalidMomentsError
from spinase.typing import FloatArray


def scalar_chirality(atoms: Atoms, triangulation: Triangulation = "nearest") -> FloatArray:
    """chi_t = s_i . (s_j x s_k) on every triangle t = (i, j, k), counter-clockwise seen from +z, shape (T,).

    Tetrahedral order has chi = +-4/(3 sqrt 3) = +-0.7698 on every triangle of the triangular lattice.

    Parameters
    ----------
    atoms : Atoms
        Planar magnet (xy).
    triangulation : {"nearest", "delaunay"} or Triangles
        See :func:`spinase.analysis.triangles`; pass the result of that function to save time on fixed sites.

    Raises
    ------
    InvalidGeometryError
        If there is no such triangulation.
    InvalidMomentsError
        If no site has a moment.
    """
    return triangle_chirality(spins_of(atoms), resolve(atoms, triangulation))


def topological_charge(atoms: Atoms, triangulation: Triangulation = "delaunay") -> float:
    """Skyrmion number N = sum_t :func:`topological_density`: an integer on a torus (Delaunay triangles cover it).

    A skyrmion whose core points down in an up background and whose in-plane spins turn once in the sense of the
    azimuth has N = -1, an antiskyrmion (its mirror image at fixed core) N = +1.

    Parameters
    ----------
    atoms : Atoms
        A planar magnet.
    triangulation : {"nearest", "delaunay"} or Triangles
        As in :func:`spinase.analysis.triangles`.
    """
    return float(topological_density(atoms, triangulation).sum())


def topological_density(atoms: Atoms, triangulation: Triangulation = "delaunay") -> FloatArray:
    """Topological charge of each counter-clockwise triangle (1, 2, 3), its solid angle over 4 pi, shape (T,).

    n_t = (1/4 pi) 2 atan2(s1.(s2 x s3), 1 + s1.s2 + s2.s3 + s3.s1), in (-1/2, 1/2) (Berg, Luescher, Nucl. Phys. B 190,
    412 (1981), doi:10.1016/0550-3213(81)90568-X).  Coplanar triangles that span more than half a great circle have
    no sign (the 120-degree order, for instance): they count 0.

    Parameters
    ----------
    atoms : Atoms
        A planar magnet.
    triangulation : {"nearest", "delaunay"} or Triangles
        As in :func:`spinase.analysis.triangles`.
    """
    return triangle_charge(spins_of(atoms), resolve(atoms, triangulation))


def triangle_chirality(spins: FloatArray, corners: Triangles) -> FloatArray:
    """s_i . (s_j x s_k) of unit vectors `spins` (N, 3) on each triangle, shape (T,)."""
    one, two, three = (spins[corners.sites[:, c]] for c in range(3))
    return np.asarray(np.einsum("ta,ta->t", one, np.cross(two, three)))


def triangle_charge(spins: FloatArray, corners: Triangles) -> FloatArray:
    """Berg-Luescher charge of unit vectors `spins` (N, 3) on each triangle, shape (T,)."""
    one, two, three = (spins[corners.sites[:, c]] for c in range(3))
    triple = triangle_chirality(spins, corners)
    cosines = sum(np.einsum("ta,ta->t", u, v) for u, v in ((one, two), (two, three), (three, one)))
    undecided = (np.abs(triple) < 1e-12) & (1.0 + cosines <= 1e-12)
    return np.where(undecided, 0.0, np.arctan2(triple, 1.0 + cosines)) / (2.0 * np.pi)


def spins_of(atoms: Atoms) -> FloatArray:
    """Unit vectors (N, 3); InvalidMomentsError if no site has a moment."""
    if not has_moments(atoms):
        raise InvalidMomentsError("no site has a magnetic moment, so there is no chirality: set moments first")
    return get_spins(atoms)
