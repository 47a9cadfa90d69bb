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

    def to(self, device: torch.device) -> Rows:
        """On another device."""
        return Rows(*(part.to(device) for part in (self.starts, self.first, self.second)))


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


__all__ = ["Pairs", "Rows", "joined", "pairs_from", "pairs_of"]
