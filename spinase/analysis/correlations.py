"""Equal-time spin correlation C(r), by neighbour shell on a lattice and by distance bin elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from spinase.analysis.reciprocal import primitive_lattice
from spinase.atoms import geometry_of, get_spins
from spinase.brief import Brief
from spinase.errors import InvalidGeometryError
from spinase.geometry import Bonds, find_bonds, reduced_frame
from spinase.measures import site_mask
from spinase.typing import FloatArray, IntArray

_TIE = 1e-9  # relative: distances this close to an edge are at it


@dataclass(frozen=True, eq=False, repr=False)
class SpinCorrelation(Brief):
    """C(r): `distances` r (n,), `values` <s_i.s_j> (n,) (NaN where there is no pair), number of pairs `counts` (n,)."""

    distances: FloatArray
    values: FloatArray
    counts: IntArray


@dataclass(frozen=True, eq=False)
class PairBins:
    """Pairs of magnetic sites sorted into distance bins, for fixed positions.

    Attributes
    ----------
    distances : array (n,)
        Distance that stands for each bin: the shell's on a lattice, else the middle.
    edges : array (n + 1,)
        Bin edges, length.
    first, second : array (P,) of int
        Sites of each pair.
    bins : array (P,) of int
        Bin of each pair.
    """

    distances: FloatArray
    edges: FloatArray
    first: IntArray
    second: IntArray
    bins: IntArray


def spin_correlation(atoms: Atoms, r_max: float | None = None, bins: int | ArrayLike | None = None) -> SpinCorrelation:
    """C(r) = <s_i.s_j> over the pairs of magnetic sites at distance r (each pair once, periodic images included).

    Parameters
    ----------
    atoms : Atoms
        Sites and moments.
    r_max : float, optional
        Largest distance, length.  Default: half the shortest period, at most 8 mean spacings (5 in three dimensions).
    bins : int or array of edges, optional
        Number of equal bins up to `r_max`, or their edges; a distance at an edge (within 1e-9) belongs to the bin above, so
        that round-off does not divide a shell of a lattice.  Default: neighbour shells on a lattice, 40 bins elsewhere.

    Raises
    ------
    InvalidGeometryError
        On a bad range or bins, or if no pair is within `r_max`.
    """
    return correlate(get_spins(atoms), pair_bins(atoms, r_max, bins))


def correlate(spins: FloatArray, pairs: PairBins) -> SpinCorrelation:
    """C(r) of unit vectors `spins` (N, 3) over prepared pairs."""
    mean, counts = mean_products(spins, (pairs.first, pairs.second), pairs.bins, len(pairs.distances))
    return SpinCorrelation(pairs.distances, mean, counts)


def mean_products(
    spins: FloatArray, pairs: tuple[IntArray, IntArray], groups: IntArray, count: int
) -> tuple[FloatArray, IntArray]:
    """Mean s_i.s_j of the pairs of each group, (n,), NaN for a group without pairs, and how many pairs it has, (n,).

    Parameters
    ----------
    spins : (N, 3) ndarray
        Unit vectors.
    pairs : two (p,) arrays of int
        Sites i and j.
    groups : (p,) array of int
        Group of each pair, 0 to n - 1.
    count : int
        n, the number of groups.
    """
    products = np.einsum("pa,pa->p", spins[pairs[0]], spins[pairs[1]])
    counts = np.bincount(groups, minlength=count)
    sums = np.bincount(groups, weights=products, minlength=count)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan), counts.astype(np.int64)


def pair_bins(atoms: Atoms, r_max: float | None = None, bins: int | ArrayLike | None = None) -> PairBins:
    """Sort the pairs of magnetic sites into distance bins; arguments as for :func:`spin_correlation`.

    Parameters
    ----------
    atoms : Atoms
        The magnet; sites without a moment have no pairs.
    r_max : float, optional
        Largest distance, length.
    bins : int or array of edges, optional
        Number of equal bins up to `r_max`, or their edges, length.

    Raises
    ------
    InvalidGeometryError
        On a bad range or bins, or if no pair is within `r_max`.
    """
    if bins is not None and np.ndim(bins) == 1:
        edges = np.asarray(bins, dtype=np.float64)
        if len(edges) < 2 or not np.all(np.diff(edges) > 0.0) or edges[0] < 0.0 or not np.isfinite(edges).all():
            raise InvalidGeometryError(f"bin edges must be at least two increasing distances, got {edges}")
        return _sorted(_bonds(atoms, edges[-1]), 0.5 * (edges[1:] + edges[:-1]), edges)
    reach = _default_reach(atoms) if r_max is None else float(r_max)
    if not np.isfinite(reach) or reach <= 0.0:
        raise InvalidGeometryError(f"r_max must be a positive length, got {r_max}")
    if bins is None and _has_shells(atoms):
        bonds = _bonds(atoms, reach * (1.0 + 1e-6))
        return _sorted(bonds, *_shells(bonds.distances))
    count = 40 if bins is None else int(np.asarray(bins))
    if count < 1:
        raise InvalidGeometryError(f"the number of distance bins must be positive, got {count}")
    edges = np.linspace(0.0, reach, count + 1)
    return _sorted(_bonds(atoms, reach), 0.5 * (edges[1:] + edges[:-1]), edges)


def rebin(atoms: Atoms, pairs: PairBins) -> PairBins:
    """The same bins for the positions the atoms have now."""
    return _sorted(_bonds(atoms, float(pairs.edges[-1])), pairs.distances, pairs.edges)


def _bonds(atoms: Atoms, reach: float) -> Bonds:
    bonds = find_bonds(geometry_of(atoms), reach)
    mask = site_mask(atoms)
    return bonds.select(mask[bonds.first] & mask[bonds.second])


def _sorted(bonds: Bonds, centres: FloatArray, edges: FloatArray) -> PairBins:
    bins = np.searchsorted(edges, bonds.distances * (1.0 + _TIE), side="right") - 1
    inside = (bins >= 0) & (bins < len(centres))
    if not inside.any():
        raise InvalidGeometryError(f"no pair of magnetic sites is between {edges[0]:.4g} and {edges[-1]:.4g}: raise r_max")
    return PairBins(centres, edges, bonds.first[inside], bonds.second[inside], bins[inside])


def _shells(distances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distances of the shells, and bin edges halfway between them."""
    if not len(distances):
        raise InvalidGeometryError("no pair of magnetic sites is closer than r_max: raise it")
    ordered = np.sort(distances)
    shells = ordered[np.diff(ordered, prepend=0.0) > 1e-3 * ordered[0]]
    middle = 0.5 * (shells[1:] + shells[:-1])
    return shells, np.concatenate([[0.5 * shells[0]], middle, [shells[-1] + 1e-3 * ordered[0]]])


def _has_shells(atoms: Atoms) -> bool:
    try:
        return primitive_lattice(atoms).is_lattice
    except InvalidGeometryError:
        return False  # an open cluster without a cell has no wavevectors, but pairs all the same


def _default_reach(atoms: Atoms) -> float:
    """Half the shortest period (or the extent of an open magnet), at most 8 mean spacings (5 in 3-D)."""
    positions = atoms.positions[site_mask(atoms)]
    frame = atoms.cell.array[atoms.pbc]
    basis = np.linalg.svd(frame)[2] if len(frame) else np.eye(3)
    extent = np.ptp(positions @ basis[len(frame) :].T, axis=0) if len(positions) else np.zeros(3)  # across the periods
    periods = np.linalg.norm(reduced_frame(frame)[0], axis=1)
    open_size = float(np.linalg.norm(extent))
    largest = 0.5 * float(periods.min()) if len(periods) else open_size
    filled = [size for size in [*periods, *extent] if size > 1e-9]
    spacing = (float(np.prod(filled)) / max(1, len(positions))) ** (1.0 / len(filled)) if filled else 0.0
    return min(largest, (5.0 if len(filled) == 3 else 8.0) * spacing) * (1.0 + 1e-9)
