"""Local order and its domains: neighbour correlations, shell correlations, ferromagnetic clusters.

Made for phase separation in double-exchange magnets, where holes gather in small ferromagnetic clusters within an
antiferromagnet (arXiv:2105.08221).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from spinase.analysis.correlations import mean_products
from spinase.atoms import geometry_of, get_spins
from spinase.brief import Brief
from spinase.errors import InvalidGeometryError
from spinase.geometry import Bonds, Geometry, find_bonds
from spinase.measures import site_mask
from spinase.shells import LonelySiteError, Shells, find_shells
from spinase.typing import BoolArray, FloatArray, IntArray

_TIE = 1e-9  # means of products of unit vectors this close to a threshold are at it: round-off does not decide


@dataclass(frozen=True, eq=False, repr=False)
class NeighbourShells(Brief):
    """Pairs of magnetic sites in the first neighbour shells, for fixed positions.

    Attributes
    ----------
    distances : (n,)
        Of the shells, length.
    limits : (n,)
        Largest distance of a pair of each shell, halfway to the next shell, length.
    bonds : Bonds
        Each pair once.
    shell : (P,) int
        Shell of each pair.
    magnetic : (N,) bool
    """

    distances: FloatArray
    limits: FloatArray
    bonds: Bonds
    shell: IntArray
    magnetic: BoolArray


@dataclass(frozen=True, eq=False)
class Clusters:
    """Connected sites with a ferromagnetic surrounding.

    Attributes
    ----------
    labels : (N,) int
        Cluster of each site; -1: none.
    sizes : (n,) int
        Sites of each cluster, largest first.
    fraction : float
        Share of the magnetic sites that are in clusters.
    """

    labels: IntArray
    sizes: IntArray
    fraction: float

    @property
    def mean_size(self) -> float:
        """Size of the cluster that a clustered site is in, on average: sum n^2 / sum n; 0 without clusters."""
        return float((self.sizes**2).sum() / self.sizes.sum()) if len(self.sizes) else 0.0

    @property
    def number_mean_size(self) -> float:
        """Size of a cluster, on average: sum n / number of clusters; 0 without clusters."""
        return float(self.sizes.mean()) if len(self.sizes) else 0.0


def neighbour_shells(atoms: Atoms, count: int = 1) -> NeighbourShells:
    """The first `count` neighbour shells of the magnetic sites of a lattice; other sites (ligands) make no shells.

    Magnetic sites so dilute that one of them has no nearest neighbour take the shells of all sites.

    Parameters
    ----------
    atoms : Atoms
        A lattice at rest.
    count : int
        Number of shells, from the nearest on.

    Raises
    ------
    InvalidGeometryError
        If there are not so many shells, or none.
    """
    if count < 1:
        raise InvalidGeometryError(f"the number of neighbour shells must be positive, got {count}")
    geometry, magnetic = geometry_of(atoms), site_mask(atoms)
    sites = geometry.select(magnetic)
    try:
        shells = find_shells(sites, count)
    except LonelySiteError:
        if magnetic.all():
            raise
        sites, shells = geometry, find_shells(geometry, count)
    return _grouped(atoms, shells.distances, _limits(sites, shells))


def follow_shells(atoms: Atoms, shells: NeighbourShells) -> NeighbourShells:
    """The same shells for the positions the atoms have now: displaced sites keep the neighbours that stay in reach."""
    return _grouped(atoms, shells.distances, shells.limits)


def _limits(sites: Geometry, shells: Shells) -> FloatArray:
    """Halfway from each shell to the next; a last shell without a next one nearby ends at 1.2 of its distance."""
    wider = find_bonds(sites, 1.4 * shells.reach).distances
    following = float(wider[wider > shells.reach].min(initial=1.4 * shells.longest[-1]))
    return 0.5 * (shells.longest + np.append(shells.shortest[1:], following))


def _grouped(atoms: Atoms, distances: FloatArray, limits: FloatArray) -> NeighbourShells:
    magnetic = site_mask(atoms)
    bonds = find_bonds(geometry_of(atoms), float(limits[-1]))
    bonds = bonds.select(magnetic[bonds.first] & magnetic[bonds.second])
    return NeighbourShells(distances, limits, bonds, np.searchsorted(limits, bonds.distances), magnetic)


def shell_correlation(spins: FloatArray, shells: NeighbourShells) -> FloatArray:
    """<s_i.s_j> over the pairs of each shell, (n,): C10, C11, ... on the square lattice; nan for a shell without pairs.

    Parameters
    ----------
    spins : (N, 3) ndarray
        Unit vectors.
    shells : NeighbourShells
        n shells of the same sites.
    """
    pairs = shells.bonds.first, shells.bonds.second
    return mean_products(spins, pairs, shells.shell, len(shells.distances))[0]


def neighbour_correlation(spins: FloatArray, shells: NeighbourShells) -> FloatArray:
    """Mean of s_i.s_j over the neighbours j of each site in all `shells`, (N,); 0 for sites without magnetic neighbours.

    Parameters
    ----------
    spins : (N, 3) ndarray
        Unit vectors.
    shells : NeighbourShells
        Of the same sites; all of them count alike.
    """
    first, second, sites = shells.bonds.first, shells.bonds.second, len(spins)
    products = np.einsum("pa,pa->p", spins[first], spins[second])
    sums = np.bincount(first, products, sites) + np.bincount(second, products, sites)
    counts = np.bincount(first, minlength=sites) + np.bincount(second, minlength=sites)
    return sums / np.maximum(counts, 1)


def aligned_sites(spins: FloatArray, shells: NeighbourShells, threshold: float) -> BoolArray:
    """Magnetic sites (N,) whose mean s_i.s_j with their neighbours exceeds `threshold` by more than 1e-9.

    Parameters
    ----------
    spins : (N, 3) ndarray
        Unit vectors; zero: no moment.
    shells : NeighbourShells
        Whose neighbours count.
    threshold : float
        Between -1 and 1.
    """
    return (neighbour_correlation(spins, shells) > threshold + _TIE) & shells.magnetic


def ferromagnetic_clusters(atoms: Atoms, threshold: float = 0.5, shells: NeighbourShells | None = None) -> Clusters:
    """Clusters of neighbouring sites whose mean correlation with their neighbours exceeds `threshold`.

    Parameters
    ----------
    atoms : Atoms
    threshold : float
        Of the mean s_i.s_j, between -1 and 1.  A mean within 1e-9 of it does not exceed it: with collinear spins ties are
        common (two of four neighbours), and rotated spins have the same clusters.
    shells : NeighbourShells, optional
        Prepared neighbours; default: nearest ones.

    Raises
    ------
    InvalidGeometryError
        On a threshold out of range, or if there are no neighbours.
    """
    if not -1.0 <= threshold <= 1.0:
        raise InvalidGeometryError(f"the threshold of a mean s_i.s_j must be between -1 and 1, got {threshold}")
    known = neighbour_shells(atoms) if shells is None else shells
    inside = aligned_sites(get_spins(atoms), known, threshold)
    kept = inside[known.bonds.first] & inside[known.bonds.second]
    pairs = (known.bonds.first[kept], known.bonds.second[kept])
    graph = coo_array((np.ones(int(kept.sum()), dtype=np.int8), pairs), shape=(len(atoms), len(atoms)))
    _, component = connected_components(graph, directed=False)
    labels = np.full(len(atoms), -1, dtype=np.int64)
    if inside.any():
        _, part, sizes = np.unique(component[inside], return_inverse=True, return_counts=True)
        order = np.argsort(-sizes, kind="stable")
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        labels[inside] = rank[part]
        return Clusters(labels, sizes[order].astype(np.int64), float(inside.sum() / known.magnetic.sum()))
    return Clusters(labels, np.empty(0, dtype=np.int64), 0.0)
