"""A geometry as evaluators are given it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from spinase.geometry import Bonds
from spinase.learning.pairs import Pairs, pairs_from
from spinase.typing import FloatArray, IntArray


@dataclass(eq=False)
class FrozenGeometry:
    """Bonds within the cutoff and sites of a geometry; what evaluators make of it is kept.

    Attributes
    ----------
    bonds : Bonds
        All pairs within `cutoff`, images included.
    positions : (N, 3) ndarray
        Of the sites, length.
    species : (N,) ndarray of int
        Places in the species of the trunk.
    cutoff : float
        Range of the bonds, length.
    cell : (3, 3) ndarray
        Its vectors as rows, length; zero: none.
    kept : dict
        What evaluators made of it.
    """

    bonds: Bonds
    positions: FloatArray
    species: IntArray
    cutoff: float
    cell: FloatArray = field(default_factory=lambda: np.zeros((3, 3)))
    kept: dict[object, Any] = field(default_factory=dict, init=False)
    _pairs: dict[tuple[torch.dtype, str], Pairs] = field(default_factory=dict, init=False)
    _copies: tuple[int, FrozenGeometry] | None = field(default=None, init=False)

    @property
    def volume(self) -> float:
        """Volume of the cell, length^3; zero without one."""
        return float(abs(np.linalg.det(self.cell)))

    def pairs(self, dtype: torch.dtype, device: str = "cpu") -> Pairs:
        """Both directions of every bond, for torch."""
        key = dtype, device
        if key not in self._pairs:
            self._pairs[key] = pairs_from(self.bonds, len(self.species), dtype, device)
        return self._pairs[key]

    def repeated(self, count: int) -> FrozenGeometry:
        """Copies that do not feel each other; the last such request is remembered."""
        if self._copies is None or self._copies[0] != count:
            self._copies = (count, joined([self] * count))
        return self._copies[1]

    def forces(self, pulls: FloatArray, dtype: torch.dtype, device: str = "cpu") -> tuple[FloatArray, FloatArray]:
        """Forces (N, 3) and virial (3, 3) of dE/d(vector) (P, 3) of its directed pairs in a precision.

        F_i = sum_(pairs from i) pull - sum_(pairs to i) pull, virial_ab = sum pull_a r_b.

        Parameters
        ----------
        pulls : (P, 3) ndarray
            Energy/length.
        dtype : torch.dtype
            In which they are added up.
        device : str
            Of torch.
        """
        pairs = self.pairs(dtype, device)
        rows, pull = pairs.rows, torch.from_numpy(pulls).to(device)
        forces = pull.new_zeros((len(self.species), 3)).index_add(0, rows.first, pull).index_add(0, rows.second, -pull)
        return forces.cpu().numpy(), pulls.T @ pairs.vectors.cpu().numpy().astype(np.float64)


def joined(parts: Sequence[FrozenGeometry]) -> FrozenGeometry:
    """Geometries of one model side by side, which do not feel each other; the cell is that of the first.

    Parameters
    ----------
    parts : sequence of FrozenGeometry
        At least one, with equal cutoffs.
    """
    starts = np.cumsum([0, *(len(one.species) for one in parts)])
    bonds = Bonds(
        np.concatenate([one.bonds.first + start for one, start in zip(parts, starts, strict=False)]),
        np.concatenate([one.bonds.second + start for one, start in zip(parts, starts, strict=False)]),
        *(np.concatenate([getattr(one.bonds, name) for one in parts]) for name in ("shifts", "vectors", "distances")),
    )
    # apart in space, because memory follows places
    apart = max(np.ptp(one.positions, axis=0).max(initial=0.0) for one in parts) + parts[0].cutoff
    places = np.concatenate([one.positions + k * apart * np.eye(3)[0] for k, one in enumerate(parts)])
    return FrozenGeometry(bonds, places, np.concatenate([one.species for one in parts]), parts[0].cutoff, parts[0].cell)


__all__ = ["FrozenGeometry", "joined"]
