"""Descriptors of configurations: what surrounds every site, for choosing configurations that differ.

They do not change when all spins or the lattice are rotated, when time is reversed, when sites are listed in another order,
or when the cell is repeated.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spinase.geometry import Geometry
from spinase.learning.mhipnn.graph import RadialBasis
from spinase.learning.pairs import pairs_of
from spinase.learning.trunk import Trunk, prepare
from spinase.typing import FloatArray, IntArray

_TIE = 1e-9  # relative: numbers this close are equal to round-off
_SAME_POINT = 1e-18  # squared distance over the number of columns (in their standard deviations) of points that coincide
_NOISE = 1e-12  # of the largest descriptor: columns that spread less hold round-off (sums that vanish by symmetry)


def site_environments(geometry: Geometry, spins: FloatArray, basis: RadialBasis) -> FloatArray:
    """Surroundings of every site, (N, F), for unit spins (N, 3).

    With the radial functions s_v of `basis` and the species c of the neighbours j of site i, column by column
    sum_j s_v (j of species c);  s_i.M_v with M_v = sum_j s_v s_j;  |M_v|;  |sum_j s_v r/r|;  |sum_j s_v (r/r) s_j|.

    Parameters
    ----------
    geometry : Geometry
        Positions, cell and species.
    spins : (N, 3) ndarray
        Unit spins.
    basis : RadialBasis
        The radial functions s_v, up to its cutoff (length).
    """
    pairs = pairs_of(geometry, basis.cutoff, torch.float64)
    radial = basis(pairs.vectors.norm(dim=1))
    directions = pairs.vectors / pairs.vectors.norm(dim=1, keepdim=True)
    own = torch.tensor(spins, dtype=torch.float64)
    other = own[pairs.rows.second]
    kinds = torch.from_numpy(np.unique(geometry.numbers))
    species = (torch.from_numpy(geometry.numbers)[pairs.rows.second][:, None] == kinds).to(torch.float64)

    def gathered(values: Tensor) -> Tensor:
        """Radial functions times `values` (P, n) of the pairs, added at the first site: (N, v, n)."""
        out = torch.zeros((pairs.rows.sites, radial.shape[1], values.shape[1]), dtype=torch.float64)
        return out.index_add(0, pairs.rows.first, radial[:, :, None] * values[:, None, :])

    magnetic = gathered(other)
    mixed = gathered((directions[:, :, None] * other[:, None, :]).flatten(1))
    columns = [
        gathered(species).flatten(1),
        (magnetic * own[:, None, :]).sum(2),
        magnetic.norm(dim=2),
        gathered(directions).norm(dim=2),
        mixed.norm(dim=2),
    ]
    return torch.cat(columns, dim=1).numpy()


def model_environments(trunk: Trunk, geometry: Geometry, spins: FloatArray) -> FloatArray:
    """What a trained trunk keeps of every site (``Trunk.features``), (N, F), for species it knows, in double precision.

    Parameters
    ----------
    trunk : Trunk
        Trained; it stays as it is.
    geometry : Geometry
        Species must be its.
    spins : (N, 3) ndarray
        Unit spins.
    """
    exact = type(trunk).from_config(trunk.config).double()
    exact.load_state_dict(trunk.state_dict())
    with torch.no_grad():
        features = exact.features(prepare(exact, geometry), torch.tensor(spins, dtype=torch.float64))
    return np.asarray(features.numpy())


def pooled(environments: FloatArray, numbers: IntArray) -> FloatArray:
    """One vector for a configuration: mean and standard deviation of its environments (N, F), species by species."""
    columns = []
    for number in np.unique(numbers):
        rows = environments[numbers == number]
        columns += [rows.mean(axis=0), rows.std(axis=0)]
    return np.concatenate(columns)


def first_largest(values: FloatArray) -> int:
    """Index of the largest of `values` (K,), the first of those that are equal to round-off."""
    highest = float(values.max())
    return int(np.argmax(values >= highest - _TIE * abs(highest)))


def farthest_points(
    points: FloatArray,
    count: int,
    known: FloatArray | None = None,
    owners: IntArray | None = None,
    most: int | None = None,
) -> IntArray:
    """Indices of up to `count` of the `points` (K, D), each as far as possible from those taken before.

    The first is the farthest from the mean, or from the `known` points (L, D) if there are some.  Columns are measured in
    their standard deviations over `points`; of points equally far (within 1e-9) the first is taken.  At most `most` points
    of one owner are taken, and no point twice: fewer come back when the rest coincide with those taken.

    Parameters
    ----------
    points : (K, D) ndarray
        Any numbers that tell points apart.
    count : int
        How many are wanted.
    known : (L, D) ndarray, optional
        Points that need not be taken again.
    owners : (K,) ndarray of int, optional
        To whom a point belongs; default: each to itself.
    most : int, optional
        Points of one owner; default: as many as there are.
    """
    if not len(points):
        return np.zeros(0, dtype=np.int64)
    spread = points.std(axis=0)
    scale = np.where(spread > _NOISE * np.abs(points).max(), spread, np.inf)
    scaled = (points - points.mean(axis=0)) / scale
    reference = np.zeros((1, points.shape[1])) if known is None or not len(known) else (known - points.mean(axis=0)) / scale
    gaps = np.min([np.sum((scaled - place) ** 2, axis=1) for place in reference], axis=0)
    owner = np.arange(len(points)) if owners is None else owners
    free, taken = np.ones(len(points), dtype=bool), list[int]()
    while len(taken) < count and free.any():
        chosen = first_largest(np.where(free, gaps, -1.0))
        if gaps[chosen] <= _SAME_POINT * points.shape[1] and (taken or known is not None):
            break
        own = np.sum((scaled - scaled[chosen]) ** 2, axis=1)
        gaps = own if not taken and known is None else np.minimum(gaps, own)
        taken.append(chosen)
        free[chosen] = False
        if most is not None and np.count_nonzero(owner[taken] == owner[chosen]) >= most:
            free &= owner != owner[chosen]
    return np.array(taken, dtype=np.int64)


__all__ = ["farthest_points", "first_largest", "model_environments", "pooled", "site_environments"]
