"""Directed pairs of sites, which every trunk is given: by rows, with vectors that torch can differentiate by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spinase.geometry import Bonds, Geometry, find_bonds


@dataclass(frozen=True, eq=False)
class Rows:
    """Directed pairs, ordered by first site: `starts` (N + 1,) of every row, `first` and `second` (P,); all int64."""

    starts: Tensor
    first: Tensor
    second: Tensor

    @property
    def sites(self) -> int:
        """Number of sites."""
        return len(self.starts) - 1

    def own(self, values: Tensor) -> Tensor:
        """Of `values` (N, ...) those of the sites that have rows."""
        return values

    def add_up(self, terms: Tensor) -> Tensor:
        """Sums (N, ...) of the `terms` (P, ...) of every row."""
        return terms.new_zeros((self.sites, *terms.shape[1:])).index_add(0, self.first, terms)

    def to(self, device: torch.device) -> Rows:
        """On another device."""
        return Rows(*(part.to(device) for part in (self.starts, self.first, self.second)))


@dataclass(frozen=True, eq=False)
class EqualRows(Rows):
    """Rows of K pairs each, of some of the sites: `places` (R,) of these, `second` (R K,); `starts` is of no use.

    Sums over rows are plain reductions then, which compilers of torch's graphs do well.  Rows with fewer neighbours are
    filled with pairs of a site with itself, longer than the cutoff.
    """

    places: Tensor

    @property
    def sites(self) -> int:
        """Number of rows."""
        return self.places.shape[0]

    def own(self, values: Tensor) -> Tensor:
        """Of `values` (N, ...) those of the sites that have rows, (R, ...)."""
        return values.index_select(0, self.places)

    def add_up(self, terms: Tensor) -> Tensor:
        """Sums (R, ...) of the `terms` (R K, ...)."""
        return terms.unflatten(0, (self.places.shape[0], -1)).sum(1)

    @classmethod
    def of(cls, places: Tensor, second: Tensor) -> EqualRows:
        """Of neighbours `second` (R, K) of the sites `places` (R,)."""
        first = places[:, None].expand_as(second).reshape(-1)
        return cls(first[:0], first, second.reshape(-1), places)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Directed pairs by rows, along `vectors` (P, 3) = r_second - r_first."""

    rows: Rows
    vectors: Tensor


def pairs_from(bonds: Bonds, sites: int, dtype: torch.dtype, device: torch.device | str = "cpu") -> Pairs:
    """Both directions of every bond, ordered by first site.

    Parameters
    ----------
    bonds : Bonds
        Each pair once, vectors from first to second site, length.
    sites : int
        N.
    dtype : torch.dtype
        Precision of the vectors.
    device : torch.device or str
        Where they lie.
    """
    first = np.concatenate([bonds.first, bonds.second])
    second = np.concatenate([bonds.second, bonds.first])
    vectors = np.concatenate([bonds.vectors, -bonds.vectors])
    order = np.argsort(first, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(first, minlength=sites))])
    rows = Rows(*(torch.from_numpy(part).to(device) for part in (starts, first[order], second[order])))
    return Pairs(rows, torch.from_numpy(vectors[order]).to(device, dtype))


def pairs_of(geometry: Geometry, cutoff: float, dtype: torch.dtype = torch.float32) -> Pairs:
    """Pairs of a geometry within `cutoff` (length), images included.

    Parameters
    ----------
    geometry : Geometry
        Positions, cell and boundaries.
    cutoff : float
        Largest distance, length.
    dtype : torch.dtype
        Precision of the vectors.
    """
    return pairs_from(find_bonds(geometry, cutoff), len(geometry), dtype)


def joined(boxes: Sequence[Pairs]) -> Pairs:
    """Several magnets as one that falls apart: the sites of the second follow those of the first, and so on."""
    sites = np.cumsum([0, *(box.rows.sites for box in boxes)]).tolist()
    pairs = np.cumsum([0, *(len(box.vectors) for box in boxes)]).tolist()
    starts = [box.rows.starts[:-1] + pair for box, pair in zip(boxes, pairs, strict=False)]
    end = boxes[0].rows.starts.new_tensor([pairs[-1]])
    first, second = (
        torch.cat([getattr(box.rows, part) + site for box, site in zip(boxes, sites, strict=False)])
        for part in ("first", "second")
    )
    return Pairs(Rows(torch.cat([*starts, end]), first, second), torch.cat([box.vectors for box in boxes]))


__all__ = ["EqualRows", "Pairs", "Rows", "joined", "pairs_from", "pairs_of"]
