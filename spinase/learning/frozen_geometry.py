"""A geometry as evaluators are given it."""

from __future__ import annotations

import dataclasses
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
    cutoff, volume : float
        Range of the bonds, length; volume of the cell (zero: none), length^3.
    kept : dict
        What evaluators made of it.
    """

    bonds: Bonds
    positions: FloatArray
    species: IntArray
    cutoff: float
    volume: float = 0.0
    kept: dict[object, Any] = field(default_factory=dict, init=False)
    _pairs: dict[tuple[torch.dtype, str], Pairs] = field(default_factory=dict, init=False)
    _copies: tuple[int, FrozenGeometry] | None = field(default=None, init=False)

    def pairs(self, dtype: torch.dtype, device: str = "cpu") -> Pairs:
        """Both directions of every bond, for torch."""
        key = dtype, device
        if key not in self._pairs:
            self._pairs[key] = pairs_from(self.bonds, len(self.species), dtype, device)
        return self._pairs[key]

    def repeated(self, count: int) -> FrozenGeometry:
        """Copies that do not feel each other; the last such request is remembered."""
        if self._copies is None or self._copies[0] != count:
            sites, bonds = len(self.species), self.bonds
            shift = np.repeat(np.arange(count) * sites, len(bonds))
            copies = Bonds(
                np.tile(bonds.first, count) + shift,
                np.tile(bonds.second, count) + shift,
                np.tile(bonds.shifts, (count, 1)),
                np.tile(bonds.vectors, (count, 1)),
                np.tile(bonds.distances, count),
            )
            apart = (np.ptp(self.positions, axis=0).max(initial=0.0) + self.cutoff) * np.eye(3)[0]
            places = np.concatenate([self.positions + k * apart for k in range(count)])
            other = dataclasses.replace(self, bonds=copies, positions=places, species=np.tile(self.species, count))
            self._copies = (count, other)
        return self._copies[1]

    def forces(self, pulls: FloatArray, dtype: torch.dtype, device: str = "cpu") -> tuple[FloatArray, FloatArray]:
        """Forces (N, 3) and virial (3, 3) of dE/d(vector) (P, 3) of its directed pairs in a precision.

        F_i = sum_(pairs from i) pull - sum_(pairs to i) pull, virial_ab = sum pull_a r_b.
        """
        pairs = self.pairs(dtype, device)
        rows, pull = pairs.rows, torch.from_numpy(pulls).to(device)
        forces = pull.new_zeros((len(self.species), 3)).index_add(0, rows.first, pull).index_add(0, rows.second, -pull)
        return forces.cpu().numpy(), pulls.T @ pairs.vectors.cpu().numpy().astype(np.float64)


__all__ = ["FrozenGeometry"]
