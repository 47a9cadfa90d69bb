"""Wavevectors of a magnet: its primitive lattice, the commensurate ones in the first Brillouin zone, and their stars."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree

from spinase.brief import Brief
from spinase.errors import InvalidGeometryError
from spinase.geometry import reduced_frame
from spinase.measures import site_mask
from spinase.typing import FloatArray, IntArray

_TOLERANCE = 1e-3  # positions that agree to this fraction of the mean spacing are equivalent


@dataclass(frozen=True, eq=False, repr=False)
class WaveMesh(Brief):
    """Wavevectors q = indices @ reciprocal, commensurate with the cell.

    Attributes
    ----------
    indices : array (n, d) of int
        Whole numbers of waves along the d directions of the cell that the sites fill.
    reciprocal : array (d, 3)
        Reciprocal vectors b_k with a_k . b_l = 2 pi delta_kl, rows, 1/length.
    """

    indices: IntArray
    reciprocal: FloatArray

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def wavevectors(self) -> FloatArray:
        """Cartesian wavevectors, shape (n, 3), 1/length."""
        return self.indices @ self.reciprocal


@dataclass(frozen=True, eq=False, repr=False)
class PrimitiveLattice(Brief):
    """Translations that carry the magnetic sites into themselves.

    Attributes
    ----------
    frame : array (d, 3)
        Vectors of the whole cell along the directions that the sites fill, rows.
    vectors : array (d, 3)
        Shortest primitive translations, rows, length.
    sites : int
        Number of magnetic sites in the whole cell.
    """

    frame: FloatArray
    vectors: FloatArray
    sites: int

    @property
    def cells(self) -> int:
        """Number of primitive cells in the whole cell."""
        return round(_volume(self.frame) / _volume(self.vectors))

    @property
    def is_lattice(self) -> bool:
        """Whether the sites are a lattice with a small basis: at least as many cells as sites in one of them."""
        return self.cells**2 >= self.sites

    @property
    def reciprocal(self) -> FloatArray:
        """Reciprocal vectors of the primitive lattice, Minkowski-reduced rows (d, 3), 1/length."""
        return reduced_frame(_dual(self.vectors))[0]


def primitive_lattice(atoms: Atoms) -> PrimitiveLattice:
    """Find the primitive translations of the magnetic sites (the whole cell's own, if there are no shorter ones).

    Magnetic sites scattered over a lattice (vacancies, dilution) have the translations of all sites.  An open direction
    that the sites fill counts with its cell vector, as lattices with open boundaries are built.

    Raises
    ------
    InvalidGeometryError
        If there is no site, a single open one, or the sites extend along an open direction without a cell vector.
    """
    mask = site_mask(atoms)
    lattice = _lattice_of(atoms, atoms.positions[mask])
    if lattice.is_lattice or mask.all():
        return lattice
    whole = _lattice_of(atoms, atoms.positions)
    return replace(whole, sites=lattice.sites) if whole.is_lattice else lattice


def _lattice_of(atoms: Atoms, positions: FloatArray) -> PrimitiveLattice:
    frame = _filled_frame(atoms, positions)
    reduced = reduced_frame(frame)[0]
    fractions = np.asarray(positions @ np.linalg.pinv(reduced), dtype=np.float64)
    steps = fractions - fractions[0]
    steps -= np.round(steps)
    offsets = np.array(list(product((-1, 0, 1), repeat=len(reduced))))
    candidates = (steps[:, None, :] + offsets[None, :, :]).reshape(-1, len(reduced))
    lengths = np.linalg.norm(candidates @ reduced, axis=1)
    spacing = (_volume(reduced) / len(positions)) ** (1.0 / len(reduced))
    candidates = candidates[np.argsort(lengths, kind="stable")]
    candidates = candidates[np.sort(lengths) > _TOLERANCE * spacing]
    tolerance = _TOLERANCE * spacing / np.linalg.norm(reduced, axis=1).max()
    chosen = _shortest_translations(fractions, candidates, tolerance)
    return PrimitiveLattice(frame, chosen @ reduced, len(positions))


def _shortest_translations(fractions: FloatArray, candidates: FloatArray, tolerance: float) -> FloatArray:
    """First independent candidates that map the sites on themselves; up to three dimensions these are a basis."""
    tree = cKDTree(_wrapped(fractions), boxsize=np.ones(fractions.shape[1]))
    few = fractions[:: max(1, len(fractions) // 8)]  # a cheap look at some sites rejects nearly all of a disordered set
    chosen = np.zeros((0, fractions.shape[1]))
    for start in range(0, len(candidates), 1000):
        block = candidates[start : start + 1000]
        images = _wrapped(few[None, :, :] + block[:, None, :])
        for candidate in block[np.asarray(tree.query(images)[0]).max(axis=1) <= tolerance]:
            extended = np.vstack([chosen, candidate])
            if np.linalg.matrix_rank(extended, tol=tolerance) <= len(chosen):
                continue
            if np.max(tree.query(_wrapped(fractions + candidate))[0]) <= tolerance:
                chosen = extended
            if len(chosen) == fractions.shape[1]:
                return chosen
    return chosen


def _wrapped(fractions: FloatArray) -> FloatArray:
    """Fractions in [0, 1) (x % 1 is 1.0 for a tiny negative x)."""
    inside = fractions % 1.0
    return np.asarray(np.where(inside >= 1.0, 0.0, inside), dtype=np.float64)


def brillouin_zone(lattice: PrimitiveLattice, closed: bool = False) -> WaveMesh:
    """Wavevectors commensurate with the whole cell in the first Brillouin zone of the primitive lattice.

    Parameters
    ----------
    lattice : PrimitiveLattice
        See :func:`primitive_lattice`.
    closed : bool
        Whether to list equivalent points on the zone boundary, all of them (for figures), or one of each, so that
        there are exactly as many wavevectors as primitive cells.
    """
    zone = lattice.reciprocal
    reach = 0.5 * float(np.linalg.norm(zone, axis=1).sum())
    mesh = commensurate_mesh(lattice, reach * (1.0 + 1e-9))
    waves = mesh.wavevectors
    neighbours = np.array([m for m in product((-1, 0, 1), repeat=len(zone)) if any(m)], dtype=np.float64) @ zone
    inside = np.ones(len(waves), dtype=bool)
    for vector in neighbours:
        inside &= waves @ vector <= 0.5 * (vector @ vector) * (1.0 + 1e-6)
    indices = mesh.indices[inside]
    if not closed:
        turns: FloatArray = np.round(waves[inside] @ lattice.vectors.T / (2.0 * np.pi), 6) % 1.0
        turns = np.asarray(np.round(np.where(turns > 1.0 - 1e-5, 0.0, turns), 5), dtype=np.float64)
        _, first = np.unique(turns, axis=0, return_index=True)
        indices = indices[np.sort(first)]
    return WaveMesh(indices, mesh.reciprocal)


def commensurate_mesh(lattice: PrimitiveLattice, cutoff: float) -> WaveMesh:
    """All wavevectors commensurate with the whole cell with |q| <= `cutoff` (1/length), in lexicographic order.

    Parameters
    ----------
    lattice : PrimitiveLattice
        With the periodic directions of the whole cell.
    cutoff : float
        Largest |q|, 1/length.

    Raises
    ------
    InvalidGeometryError
        If the cutoff is not positive or the mesh would have more than a few million points.
    """
    if not np.isfinite(cutoff) or cutoff < 0.0:
        raise InvalidGeometryError(f"the cutoff of a wavevector mesh must be a positive 1/length, got {cutoff}")
    reciprocal = _dual(lattice.frame)
    # |n_k| = |q . a_k| / 2 pi <= cutoff |a_k| / 2 pi
    limits = [int(cutoff * length / (2.0 * np.pi) + 1e-9) for length in np.linalg.norm(lattice.frame, axis=1)]
    if np.prod([2.0 * limit + 1.0 for limit in limits]) > 5e6:
        raise InvalidGeometryError(f"a mesh of wavevectors up to {cutoff:.4g} has millions of points: lower the cutoff")
    axes = [np.arange(-limit, limit + 1) for limit in limits]
    indices = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes)).astype(np.int64)
    keep = np.linalg.norm(indices @ reciprocal, axis=1) <= cutoff * (1.0 + 1e-9)
    return WaveMesh(indices[keep], reciprocal)


def default_mesh(lattice: PrimitiveLattice, closed: bool = False) -> WaveMesh:
    """First Brillouin zone of a lattice; for disordered sites all |q| up to 1.5 times 2 pi / (mean spacing)."""
    if lattice.is_lattice:
        return brillouin_zone(lattice, closed)
    return commensurate_mesh(lattice, 3.0 * np.pi / _mean_spacing(lattice))


def zone_mesh(lattice: PrimitiveLattice) -> WaveMesh:
    """One Brillouin zone of a lattice; for disordered sites the ball that holds one wavevector per site on average."""
    if lattice.is_lattice:
        return brillouin_zone(lattice)
    size = len(lattice.frame)
    unit_ball = {1: 2.0, 2: np.pi, 3: 4.0 * np.pi / 3.0}[size]
    return commensurate_mesh(lattice, 2.0 * np.pi * unit_ball ** (-1.0 / size) / _mean_spacing(lattice))


def commensurate_wavevectors(atoms: Atoms, cutoff: float | None = None) -> FloatArray:
    """Cartesian wavevectors that fit the cell, shape (n, 3), 1/length.

    All with |q| <= `cutoff`, for plots over a chosen range.  Default: those of :func:`default_mesh`.

    Parameters
    ----------
    atoms : Atoms
        Their cell and positions.
    cutoff : float, optional
        Largest |q|, 1/length; default: the mesh of :func:`default_mesh`.

    Raises
    ------
    InvalidGeometryError
        If there is no cell to fit, or the cutoff is not positive.
    """
    lattice = primitive_lattice(atoms)
    return (default_mesh(lattice) if cutoff is None else commensurate_mesh(lattice, cutoff)).wavevectors


def star(lattice: PrimitiveLattice, wavevector: FloatArray) -> FloatArray:
    """Wavevectors that the point group of the primitive lattice (not of its basis) makes of one, shape (n, 3).

    The point group: integer matrices M with M g M^T = g for the metric g of the reduced primitive vectors; for a
    reduced basis in up to three dimensions their entries are -1, 0 and 1.
    """
    vectors = lattice.vectors
    size = len(vectors)
    matrices = np.array(list(product((-1, 0, 1), repeat=size * size))).reshape(-1, size, size)
    metric = vectors @ vectors.T
    change = np.abs(matrices @ metric @ matrices.transpose(0, 2, 1) - metric).max(axis=(1, 2))
    group = matrices[change < _TOLERANCE * metric.max()]
    turns = np.einsum("mkl,l->mk", group, vectors @ wavevector) / (2.0 * np.pi)
    _, first = np.unique(np.round(turns % 1.0, 6) % 1.0, axis=0, return_index=True)
    return np.asarray(2.0 * np.pi * turns[first] @ np.linalg.pinv(vectors).T)


def distance_to(lattice: PrimitiveLattice, wavevectors: FloatArray, targets: FloatArray) -> FloatArray:
    """Distance of each wavevector (n, 3) to the nearest of `targets` (m, 3), modulo reciprocal lattice vectors, (n,).

    Parameters
    ----------
    lattice : PrimitiveLattice
        With its reciprocal vectors, 1/length.
    wavevectors : (n, 3) ndarray
        1/length, with 2 pi.
    targets : (m, 3) ndarray
        1/length, with 2 pi.
    """
    zone = lattice.reciprocal
    offsets = np.array(list(product((-1, 0, 1), repeat=len(zone)))).reshape(-1, len(zone)) @ zone
    best = np.full(len(wavevectors), np.inf)
    for target in targets:
        gap = wavevectors - target
        gap = gap - np.round(gap @ np.linalg.pinv(zone)) @ zone
        for offset in offsets:
            best = np.minimum(best, np.linalg.norm(gap + offset, axis=1))
    return best


def _filled_frame(atoms: Atoms, positions: FloatArray) -> FloatArray:
    """Cell vectors along the directions that are periodic or along which the sites extend."""
    if not len(positions):
        raise InvalidGeometryError("there are no sites, so no wavevectors")
    cell = atoms.cell.array
    spread = np.ptp(positions @ np.linalg.inv(atoms.cell.complete().array), axis=0) > 1e-6
    missing = [axis for axis in range(3) if spread[axis] and not cell[axis].any()]
    if missing:
        raise InvalidGeometryError(
            f"wave vectors need a cell: the sites extend along direction {missing[0]}, which has no cell vector; set the "
            "cell, or pass the wave vectors"
        )
    frame = np.asarray(cell[spread | atoms.pbc], dtype=np.float64)
    if not len(frame):
        raise InvalidGeometryError("a single site with open boundaries has no commensurate wavevectors: pass them")
    return frame


def _mean_spacing(lattice: PrimitiveLattice) -> float:
    return float((_volume(lattice.frame) / lattice.sites) ** (1.0 / len(lattice.frame)))


def _dual(vectors: FloatArray) -> FloatArray:
    return np.asarray(2.0 * np.pi * np.linalg.pinv(vectors).T, dtype=np.float64)


def _volume(vectors: FloatArray) -> float:
    return float(np.sqrt(np.linalg.det(vectors @ vectors.T)))
