"""Weighted sums of local energies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spinase.regions import FrozenLocalEnergy, LocalEnergy, LocalResult, Region
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class LocalSum:
    """Members with weights, as ``contract.LocalEnergy``; each takes of the pairs those within its own cutoff."""

    members: tuple[LocalEnergy, ...]
    weights: tuple[float, ...]

    @property
    def cutoff(self) -> float:
        """That of the member whose pairs reach farthest, length."""
        return max(member.cutoff for member in self.members)

    @property
    def ghost_depth(self) -> float:
        """That of the member that needs most, and room for the longest pairs of its ghosts, length.

        A network of several layers needs the pairs of its ghosts only up to its own cutoff; a region lists those of ghosts
        as far as ``depth - cutoff``, so a member with longer pairs makes the shell of ghosts deeper.
        """
        longest = self.cutoff
        return max(member.ghost_depth + longest - member.cutoff for member in self.members)

    @property
    def units(self) -> str | None:
        """The members' (a sum of calculators has but one)."""
        return next((member.units for member in self.members if member.units is not None), None)

    @property
    def refused_properties(self) -> Mapping[str, str]:
        """What a member refuses."""
        return {name: why for member in reversed(self.members) for name, why in member.refused_properties.items()}

    def freeze(self, region: Region) -> FrozenLocalSum:
        """Every member on the region."""
        region.require("the sum", self.cutoff, self.ghost_depth)
        return FrozenLocalSum(tuple(member.freeze(region) for member in self.members), self.weights, region.owned)


@dataclass(frozen=True, eq=False)
class FrozenLocalSum:
    """Members on a region that owns `owned` sites."""

    members: tuple[FrozenLocalEnergy, ...]
    weights: tuple[float, ...]
    owned: int

    def evaluate(self, spins: FloatArray, lengths: FloatArray, forces: bool = False) -> LocalResult:
        """Sums of the members' results.

        Parameters
        ----------
        spins : (n, 3) ndarray
            Unit spins of all sites of the region, ghosts included.
        lengths : (n,) ndarray
            Lengths of their moments, moment.
        forces : bool
            Whether forces and virial are asked for.
        """
        parts = [member.evaluate(spins, lengths, forces) for member in self.members]
        energies, fields = np.zeros(self.owned), np.zeros_like(spins)
        pulls, virial = np.zeros_like(spins), np.zeros((3, 3))
        for weight, part in zip(self.weights, parts, strict=True):
            energies += weight * part.energies
            fields += weight * part.magnetic_forces
            if part.forces is not None and part.virial is not None:
                pulls += weight * part.forces
                virial += weight * part.virial
        return LocalResult(energies, fields, pulls, virial) if forces else LocalResult(energies, fields)


__all__ = ["FrozenLocalSum", "LocalSum"]
