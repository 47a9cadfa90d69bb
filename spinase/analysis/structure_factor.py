"""Static structure factors of spins and of scalar chirality, and the correlation lengths they contain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from scipy import fft

from spinase.analysis.reciprocal import (
    PrimitiveLattice,
    WaveMesh,
    default_mesh,
    distance_to,
    primitive_lattice,
    star,
    zone_mesh,
)
from spinase.analysis.topology import triangle_chirality
from spinase.analysis.triangles import Triangulation, resolve
from spinase.atoms import get_spins
from spinase.brief import Brief
from spinase.errors import InvalidGeometryError
from spinase.measures import site_mask
from spinase.typing import FloatArray, IntArray

_BLOCK = 4_000_000  # phases held at a time
_ON_GRID = 1e-9  # of the cell: sites this near to the points of a grid are on it
_TIE = 1e-9  # numbers this close to a half are rounded up: round-off does not decide
_EMPTY = 32  # points of a grid for each site, at most


@dataclass(frozen=True, eq=False, repr=False)
class StructureFactor(Brief):
    """S(q): `values` (n,) at the `wavevectors` (n, 3), 1/length."""

    wavevectors: FloatArray
    values: FloatArray


def structure_factor(atoms: Atoms, wavevectors: WaveMesh | ArrayLike | None = None) -> StructureFactor:
    """Static spin structure factor S(q) = |sum_i s_i exp(-i q.r_i)|^2 / N, N the number of magnetic sites.

    A ferromagnet has S(0) = N.  On a Bravais lattice the sum of S(q) over the N wavevectors of one Brillouin zone is
    N, so S(q)/N is the weight of each; random spins have S(q) = 1 on average.

    Parameters
    ----------
    atoms : Atoms
        Sites and moments; only directions s_i = m_i/|m_i| enter.
    wavevectors : WaveMesh or array (n, 3), optional
        Cartesian q, 1/length.  Default: the commensurate ones of the first Brillouin zone of a lattice, one of each
        set of equivalent ones; for disordered sites all up to 1.5 times 2 pi / (mean spacing).

    Returns
    -------
    StructureFactor
        Wavevectors (n, 3) and values (n,).
    """
    mesh = default_mesh(primitive_lattice(atoms)) if wavevectors is None else wavevectors
    mask = site_mask(atoms)
    return StructureFactor(_as_array(mesh), intensity(atoms.positions[mask], get_spins(atoms)[mask], mesh))


def chirality_structure_factor(
    atoms: Atoms, triangulation: Triangulation = "nearest", wavevectors: WaveMesh | ArrayLike | None = None
) -> StructureFactor:
    """S_chi(q) = |sum_t chi_t exp(-i q.R_t)|^2 / N_t over the triangles t with centres R_t and scalar chirality chi_t.

    `wavevectors` as in :func:`structure_factor`; `triangulation` as in :func:`spinase.analysis.triangles`.

    Parameters
    ----------
    atoms : Atoms
        A planar magnet.
    triangulation : {"nearest", "delaunay"} or Triangles
        As in :func:`spinase.analysis.triangles`.
    wavevectors : WaveMesh or (n, 3) array_like, optional
        As in :func:`structure_factor`, 1/length.
    """
    mesh = default_mesh(primitive_lattice(atoms)) if wavevectors is None else wavevectors
    corners = resolve(atoms, triangulation)
    chirality = triangle_chirality(get_spins(atoms), corners)
    return StructureFactor(_as_array(mesh), intensity(corners.centres, chirality[:, None], mesh))


def intensity(positions: FloatArray, values: FloatArray, wavevectors: WaveMesh | ArrayLike) -> FloatArray:
    """|sum_i v_i exp(-i q.r_i)|^2 / N summed over the components of v, shape (n,).

    On a mesh the phases factorise, exp(-i q.r) = prod_k exp(-2 pi i n_k f_k) with f the fractional coordinates: positions
    on a grid (those of lattices) take fast Fourier transforms, others a matrix product; wavevectors given as an array (n, 3)
    are summed directly.

    Parameters
    ----------
    positions : (N, 3) ndarray
        Length.
    values : (N, k) ndarray
        v, such as spins.
    wavevectors : WaveMesh or (n, 3) array_like
        1/length, with 2 pi.
    """
    if isinstance(wavevectors, WaveMesh):
        fractions = positions @ wavevectors.reciprocal.T / (2.0 * np.pi)
        grid = _grid_of(fractions)
        if grid is not None:
            return _grid_intensity(*grid, values, wavevectors)
        return _mesh_intensity(fractions, values, wavevectors)
    waves = _as_array(wavevectors)
    out = np.empty(len(waves))
    step = max(1, _BLOCK // max(1, len(positions)))
    for start in range(0, len(waves), step):
        phase = waves[start : start + step] @ positions.T
        out[start : start + step] = ((np.cos(phase) @ values) ** 2 + (np.sin(phase) @ values) ** 2).sum(axis=1)
    return out / len(positions)


def _grid_of(fractions: FloatArray) -> tuple[IntArray, IntArray] | None:
    """Points per direction (d,) of a grid that all sites are on, and their places (N, d); None if it were too fine."""
    own = fractions - fractions[0]
    counts = []
    for column in own.T:
        along = np.sort(column % 1.0)
        gaps = np.diff(along, append=along[0] + 1.0)
        gap = gaps[gaps > _ON_GRID].min(initial=1.0)
        counts.append(max(1, round(1.0 / gap)))
    shape = np.array(counts, dtype=np.int64)
    places = np.round(own * shape)
    if np.prod(shape, dtype=np.float64) > _EMPTY * len(own) or np.abs(own - places / shape).max(initial=0.0) > _ON_GRID:
        return None
    return shape, places.astype(np.int64) % shape


def _grid_intensity(shape: IntArray, places: IntArray, values: FloatArray, mesh: WaveMesh) -> FloatArray:
    at = tuple((mesh.indices % shape).T)
    out = np.zeros(len(mesh))
    for component in values.T:
        spread = np.zeros(tuple(shape))
        np.add.at(spread, tuple(places.T), component)
        out += np.abs(fft.fftn(spread)[at]) ** 2
    return out / len(places)


def _mesh_intensity(fractions: FloatArray, values: FloatArray, mesh: WaveMesh) -> FloatArray:
    indices, sites = mesh.indices, len(fractions)
    while indices.shape[1] < 3:
        indices = np.pad(indices, ((0, 0), (0, 1)))
        fractions = np.pad(fractions, ((0, 0), (0, 1)))
    lowest = indices.min(axis=0)
    waves = [np.arange(low, high + 1) for low, high in zip(lowest, indices.max(axis=0), strict=True)]
    first, second, third = (np.exp(-2j * np.pi * np.outer(n, f)) for n, f in zip(waves, fractions.T, strict=True))
    total = np.zeros([len(n) for n in waves])
    for component in values.T:
        for k, phase in enumerate(third):
            total[:, :, k] += np.abs((first * (component * phase)) @ second.T) ** 2
    at = (indices - lowest).T
    return np.asarray(total[at[0], at[1], at[2]] / sites)


def rings(lengths: FloatArray, width: float) -> IntArray:
    """Numbers of the rings (n,) that |q| (n,) are in: ring k is around k `width` and half of it wide on either side.

    Lengths on the border of two rings, up to round-off, are in the outer one.
    """
    return np.asarray(np.floor(lengths / width + 0.5 + _TIE), dtype=np.int64)


def correlation_length(atoms: Atoms) -> float:
    """Correlation length of the spins from the width of the peak of S(q).

    1/L = sum_q d(q) S(q) / sum_q S(q), over one Brillouin zone, with d(q) the distance of q to the nearest member of the
    star of Q, the wavevector where S is largest (the star holds the equivalent peaks: the three M points of tetrahedral
    order, for instance), modulo reciprocal vectors.  There is no factor 2 pi.  L is infinite for perfect order.

    For disordered sites d(q) = ||q| - |Q|| in the ball that holds one wavevector per site; the structure of the sites
    themselves then keeps L finite (a few mean spacings) even for aligned spins.
    """
    lattice = primitive_lattice(atoms)
    mesh = zone_mesh(lattice)
    return peak_length(lattice, mesh, structure_factor(atoms, mesh).values)


def peak_length(lattice: PrimitiveLattice, mesh: WaveMesh, values: FloatArray) -> float:
    """L of :func:`correlation_length` from S(q) `values` (n,) on the `mesh` of the `lattice`.

    Parameters
    ----------
    lattice : PrimitiveLattice
        Of the sites, or of none.
    mesh : WaveMesh
        One Brillouin zone.
    values : (n,) ndarray
        S(q) on it.
    """
    waves = mesh.wavevectors
    peak = waves[int(np.argmax(values))]
    if lattice.is_lattice:
        gaps = distance_to(lattice, waves, star(lattice, peak))
    else:
        gaps = np.abs(np.linalg.norm(waves, axis=1) - np.linalg.norm(peak))
    return _inverse_mean(gaps, values)


def chirality_correlation_length(atoms: Atoms, triangulation: Triangulation = "nearest") -> float:
    """Size of chiral domains, 1/L = sum_q |q| S_chi(q) / sum_q S_chi(q) over one Brillouin zone (arXiv:2403.11705).

    Parameters
    ----------
    atoms : Atoms
        A planar magnet.
    triangulation : {"nearest", "delaunay"} or Triangles
        As in :func:`spinase.analysis.triangles`.
    """
    result = chirality_structure_factor(atoms, triangulation, zone_mesh(primitive_lattice(atoms)))
    return zone_centre_length(result.wavevectors, result.values)


def zone_centre_length(wavevectors: FloatArray, values: FloatArray) -> float:
    """1/L = sum |q| S(q) / sum S(q); infinite if all weight is at q = 0."""
    return _inverse_mean(np.linalg.norm(wavevectors, axis=1), values)


def _inverse_mean(distances: FloatArray, weights: FloatArray) -> float:
    # Round-off of a perfectly ordered magnet (S ~ 1e-28 N off the peak) must not pass for a finite length.
    floor = 1e-13 * distances.max(initial=0.0)
    mean = float(distances @ weights / total) if (total := float(weights.sum())) > 0.0 else 0.0
    return 1.0 / mean if mean > floor else float("inf")


def _as_array(wavevectors: WaveMesh | ArrayLike) -> FloatArray:
    if isinstance(wavevectors, WaveMesh):
        return wavevectors.wavevectors
    array = np.atleast_2d(np.asarray(wavevectors, dtype=np.float64))
    if array.ndim != 2 or array.shape[1] != 3 or not np.isfinite(array).all():
        raise InvalidGeometryError(f"wavevectors must be finite, of shape (n, 3), Cartesian, 1/length; got {array.shape}")
    return array
