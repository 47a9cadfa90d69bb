"""Coplanar 120-degree order on triangular lattices: vector chirality, the frame of each triangle, and Z2 vortices.

The order parameter of three spins at 120 degrees is a rotation, an element of SO(3), whose only stable point defects in the
plane are vortices without a sign: going round one, the frame of the spins turns along a path that cannot be shrunk
(H. Kawamura, S. Miyashita, J. Phys. Soc. Jpn. 53, 4138 (1984), doi:10.1143/JPSJ.53.4138).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from scipy.spatial.transform import Rotation

from spinase.analysis.reciprocal import PrimitiveLattice, primitive_lattice
from spinase.analysis.topology import spins_of
from spinase.analysis.triangles import Triangles, Triangulation, neighbours, resolve, triangles
from spinase.atoms import get_spins
from spinase.brief import Brief
from spinase.errors import InvalidGeometryError
from spinase.measures import site_mask
from spinase.typing import BoolArray, FloatArray, IntArray

_ALIKE = 1e-3  # lengths and angles of the triangular lattice, relative
_THIRD = 2.0 * np.pi / 3.0
_REFERENCE = np.array([[np.cos(_THIRD * c), np.sin(_THIRD * c), 0.0] for c in range(3)])


@dataclass(frozen=True, eq=False, repr=False)
class ThreeSublattices(Brief):
    """The triangles of a triangular lattice by the sublattices of its 120-degree order.

    Attributes
    ----------
    sublattice : (N,) array of int
        0, 1, 2 of each site; neighbours differ.
    upward : (U, 3) array of int
        Sites of the triangles whose corners have sublattices 0, 1, 2 counter-clockwise, in this order: every bond belongs to
        one of them.
    loops : (L, 3) array of int
        Triples of such triangles around the others, and around sites: the smallest closed paths.
    centres : (L, 3) array
        What is in the middle of each loop, Cartesian, length.
    """

    sublattice: IntArray
    upward: IntArray
    loops: IntArray
    centres: FloatArray


def vector_chirality(atoms: Atoms, triangulation: Triangulation = "nearest") -> FloatArray:
    """kappa_t = 2/(3 sqrt 3) (s_i x s_j + s_j x s_k + s_k x s_i) on counter-clockwise triangles, shape (T, 3).

    Spins at 120 degrees have |kappa| = 1, along the axis about which they turn from corner to corner; on the triangular
    lattice it points one way on upward and the other way on downward triangles.  Collinear spins have none.

    Parameters
    ----------
    atoms : Atoms
        Planar magnet (xy).
    triangulation : {"nearest", "delaunay"} or Triangles
        See :func:`spinase.analysis.triangles`.

    Raises
    ------
    InvalidGeometryError
        If there is no such triangulation.
    InvalidMomentsError
        If no site has a moment.
    """
    return triangle_vector_chirality(spins_of(atoms), resolve(atoms, triangulation).sites)


def triangle_vector_chirality(spins: FloatArray, corners: IntArray) -> FloatArray:
    """:func:`vector_chirality` of unit vectors `spins` (N, 3) on triangles with sites `corners` (T, 3), shape (T, 3)."""
    one, two, three = (spins[corners[:, c]] for c in range(3))
    turned = np.cross(one, two) + np.cross(two, three) + np.cross(three, one)
    return np.asarray(2.0 / (3.0 * np.sqrt(3.0)) * turned)


def three_sublattices(atoms: Atoms) -> ThreeSublattices:
    """Sublattices, triangles and smallest loops of a triangular lattice in the xy plane, all of whose sites are magnetic.

    Parameters
    ----------
    atoms : Atoms
        Open or periodic; periods must fit the three sublattices (numbers of cells divisible by three).

    Raises
    ------
    InvalidGeometryError
        If the sites are no triangular lattice, some have no moment, or the order does not fit the periods.
    """
    if not site_mask(atoms).all():
        raise InvalidGeometryError("the 120-degree order needs a moment on every site: take the sites without one away")
    lattice, found = primitive_lattice(atoms), triangles(atoms)
    label = _labels(atoms, lattice)
    order = np.argsort(label[found.sites], axis=1)
    upward = (label[found.sites[:, 1]] - label[found.sites[:, 0]]) % 3 == 1
    corners = np.take_along_axis(found.sites, order, axis=1)[upward]
    around, downward = _around_triangles(found, upward)
    sites, holders = _around_sites(corners, len(atoms))
    centres = np.concatenate([found.centres[downward], atoms.positions[sites]])
    return ThreeSublattices(label, corners, np.concatenate([around, holders]), centres)


def z2_vortices(atoms: Atoms, sublattices: ThreeSublattices | None = None) -> FloatArray:
    """Where the Z2 vortices of 120-degree order are: middles of the smallest loops with frustrated frames, shape (n, 3).

    The frame of an upward triangle is the rotation that carries three vectors at 120 degrees nearest to its spins (Kabsch),
    lifted to a unit quaternion q of either sign.  Around a loop of three, sign(q1.q2) sign(q2.q3) sign(q3.q1) does not
    depend on these signs; it is -1 at a vortex.  On a torus their number is even.  Where spins are not ordered locally (hot,
    or just quenched) the count is that of noise.

    Parameters
    ----------
    atoms : Atoms
        A triangular lattice, see :func:`three_sublattices`.
    sublattices : ThreeSublattices, optional
        Those of these sites, to save time on fixed ones.

    Raises
    ------
    InvalidGeometryError
        If it is none, or its periods are not divisible by three.
    """
    cells = three_sublattices(atoms) if sublattices is None else sublattices
    quaternions = frames(get_spins(atoms), cells.upward)
    one, two, three = (quaternions[cells.loops[:, c]] for c in range(3))
    turns = [np.einsum("lq,lq->l", u, v) for u, v in ((one, two), (two, three), (three, one))]
    frustrated = turns[0] * turns[1] * turns[2] < 0.0
    return np.asarray(cells.centres[frustrated])


def frames(spins: FloatArray, corners: IntArray) -> FloatArray:
    """Unit quaternions (x, y, z, w) of the rotations nearest to the spins of triangles, shape (T, 4), of either sign.

    Parameters
    ----------
    spins : (N, 3) ndarray
        Unit vectors.
    corners : (T, 3) ndarray of int
        Sites of sublattices 0, 1, 2.
    """
    left, _, right = np.linalg.svd(np.einsum("ca,tcb->tba", _REFERENCE, spins[corners]))
    left[:, :, 2] *= np.linalg.det(left @ right)[:, None]  # a rotation, not a reflection
    return np.asarray(Rotation.from_matrix(left @ right).as_quat())


def _labels(atoms: Atoms, lattice: PrimitiveLattice) -> IntArray:
    """Sublattice of each site: that of cell (n, m) is n - m for vectors at 60 degrees and n + m for 120, modulo three."""
    vectors, spans = lattice.vectors, np.linalg.norm(lattice.vectors, axis=1)
    flat = len(vectors) == 2 and np.abs(vectors[:, 2]).max() < _ALIKE * spans.max()
    cosine = float(vectors[0] @ vectors[1] / spans.prod()) if flat else 0.0
    if not flat or lattice.cells != len(atoms) or np.ptp(spans) > _ALIKE * spans.max() or abs(abs(cosine) - 0.5) > _ALIKE:
        raise InvalidGeometryError(
            f"the 120-degree order is that of the triangular lattice: these {len(atoms)} sites are not one in the xy plane "
            '(see SpinAtoms.lattice("triangular", ...))'
        )
    weights = np.array([1, -1 if cosine > 0.0 else 1])
    inverse = np.linalg.pinv(vectors)
    for axis in np.flatnonzero(atoms.pbc):
        period = np.round(atoms.cell.array[axis] @ inverse).astype(np.int64)
        if (period @ weights) % 3:
            raise InvalidGeometryError(
                f"the three sublattices of the 120-degree order do not fit the period along cell vector {axis}, "
                f"{period.tolist()} primitive vectors: take numbers of cells that are divisible by three"
            )
    cells = np.round((atoms.positions - atoms.positions[0]) @ inverse).astype(np.int64)
    return np.asarray((cells @ weights) % 3)


def _around_triangles(found: Triangles, upward: BoolArray) -> tuple[IntArray, IntArray]:
    """Upward triangles at the three edges of each downward one (those that have all three), and which these are."""
    first, second, _ = neighbours(found)
    above, below = np.where(upward[first], first, second), np.where(upward[first], second, first)
    order = np.argsort(below, kind="stable")
    counts = np.bincount(below, minlength=len(found))
    whole = np.flatnonzero(counts == 3)
    start = np.cumsum(counts) - counts
    number = np.cumsum(upward) - 1  # among the upward ones
    return number[above[order]][start[whole][:, None] + np.arange(3)], whole


def _around_sites(corners: IntArray, sites: int) -> tuple[IntArray, IntArray]:
    """Sites with three upward triangles, and these."""
    order = np.argsort(corners.ravel(), kind="stable")
    counts = np.bincount(corners.ravel(), minlength=sites)
    inner = np.flatnonzero(counts == 3)
    first = np.cumsum(counts) - counts
    return inner, (order // 3)[first[inner][:, None] + np.arange(3)]


__all__ = ["ThreeSublattices", "frames", "three_sublattices", "triangle_vector_chirality", "vector_chirality", "z2_vortices"]
