"""Observers of local order: correlations by neighbour shell against time, ferromagnetic clusters."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from ase import Atoms
from pydantic import Field

from spinase.analysis.domains import (
    NeighbourShells,
    ferromagnetic_clusters,
    follow_shells,
    neighbour_correlation,
    neighbour_shells,
    shell_correlation,
)
from spinase.atoms import get_spins
from spinase.observers.base import Arrays, NoOptions, OfSites
from spinase.quantities import Quantity


class ShellCorrelationConfig(NoOptions):
    """Correlation by neighbour shell."""

    shells: int = Field(2, ge=1, description="number of neighbour shells [1]")


class ClustersConfig(NoOptions):
    """Ferromagnetic clusters."""

    threshold: float = Field(0.5, ge=-1, le=1, description="mean s_i.s_j with the neighbours above which a site belongs [1]")
    shells: int = Field(1, ge=1, description="neighbour shells that count as neighbours [1]")


class _ShellObserver:
    """Pairs in the neighbour shells that `prepare` finds; the shells stay when sites move, their pairs follow."""

    def __init__(self, shells: int) -> None:
        self._count = shells
        self._followed: OfSites[NeighbourShells] | None = None

    def _prepared(self, atoms: Atoms) -> OfSites[NeighbourShells]:
        first = neighbour_shells(atoms, self._count)
        self._followed = OfSites(lambda moved: follow_shells(moved, first))
        return self._followed

    def _pairs(self, atoms: Atoms) -> NeighbourShells:
        return (self._followed or self._prepared(atoms)).of(atoms)


class ShellCorrelationObserver(_ShellObserver):
    """<s_i.s_j> of the first neighbour shells against time (C10, C11, ... on the square lattice)."""

    Config = ShellCorrelationConfig
    name = "shell-correlation"
    citation: ClassVar[str] = ""

    def __init__(self, shells: int = 2) -> None:
        super().__init__(shells)
        self.quantities = {f"shell_{n + 1}": Quantity(f"mean s_i.s_j, shell {n + 1}") for n in range(shells)}

    @classmethod
    def from_config(cls, config: ShellCorrelationConfig) -> ShellCorrelationObserver:
        """Build from checked options."""
        return cls(config.shells)

    def prepare(self, atoms: Atoms) -> Arrays:
        """Find the shells and their distances."""
        return {"distance": self._prepared(atoms).of(atoms).distances}

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """One number for each shell."""
        values = shell_correlation(get_spins(atoms), self._pairs(atoms))
        return {name: float(value) for name, value in zip(self.quantities, values, strict=True)}


class ClustersObserver(_ShellObserver):
    """Ferromagnetic clusters: share of the sites, number, mean and largest size, and the local correlation as a map."""

    Config = ClustersConfig
    name = "clusters"
    citation: ClassVar[str] = "phase separation: P. Zhang, P. Saha, G.-W. Chern, arXiv:2105.08221"

    def __init__(self, threshold: float = 0.5, shells: int = 1) -> None:
        super().__init__(shells)
        self.threshold = threshold
        self.quantities = {
            "fraction": Quantity("sites in ferromagnetic clusters"),
            "number": Quantity("number of clusters"),
            "mean_size": Quantity("mean cluster size", "sites"),
            "largest": Quantity("largest cluster", "sites"),
            "local": Quantity("mean s_i.s_j with neighbours", plot="sites"),
        }

    @classmethod
    def from_config(cls, config: ClustersConfig) -> ClustersObserver:
        """Build from checked options."""
        return cls(config.threshold, config.shells)

    def prepare(self, atoms: Atoms) -> Arrays:
        """Find the neighbours."""
        self._prepared(atoms).of(atoms)
        return {}

    def observe(self, atoms: Atoms) -> dict[str, float | np.ndarray]:
        """Numbers of the clusters, and the local correlation (N,)."""
        shells = self._pairs(atoms)
        found = ferromagnetic_clusters(atoms, self.threshold, shells)
        return {
            "fraction": found.fraction,
            "number": float(len(found.sizes)),
            "mean_size": found.mean_size,
            "largest": float(found.sizes[0]) if len(found.sizes) else 0.0,
            "local": neighbour_correlation(get_spins(atoms), shells),
        }
