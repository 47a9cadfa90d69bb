"""Observers of local order: correlations by neighbour shell against time, ferromagnetic clusters."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from ase import Atoms
from pydantic import Field

from spinase.analysis.domains import (
    NeighbourShells,
    ferromagnetic_clusters,
    neighbour_correlation,
    neighbour_shells,
    shell_correlation,
)
from spinase.atoms import get_spins
from spinase.dynamics.observers import Quantity
from spinase.run.observers import Arrays, NoOptions, OfSites


class ShellCorrelationConfig(NoOptions):
    """Correlation by neighbour shell."""

    shells: int = Field(2, ge=1, description="number of neighbour shells [1]")


class ClustersConfig(NoOptions):
    """Ferromagnetic clusters."""

    threshold: float = Field(0.5, ge=-1, le=1, description="mean s_i.s_j with the neighbours above which a site belongs [1]")
    shells: int = Field(1, ge=1, description="neighbour shells that count as neighbours [1]")


class ShellCorrelationObserver:
    """<s_i.s_j> of the first neighbour shells against time (C10, C11, ... on the square lattice)."""

    Config = ShellCorrelationConfig
    name = "shell-correlation"
    citation: ClassVar[str] = ""

    def __init__(self, shells: int = 2) -> None:
        self.quantities = {f"shell_{n + 1}": Quantity(f"shell {n + 1}") for n in range(shells)}
        self._shells: OfSites[NeighbourShells] = OfSites(lambda atoms: neighbour_shells(atoms, shells))

    @classmethod
    def from_config(cls, config: ShellCorrelationConfig) -> ShellCorrelationObserver:
        """Build from checked options."""
        return cls(config.shells)

    def prepare(self, atoms: Atoms) -> Arrays:
        """Find the shells and their distances."""
        return {"distance": self._shells.of(atoms).distances}

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """One number for each shell."""
        values = shell_correlation(get_spins(atoms), self._shells.of(atoms))
        return {name: float(value) for name, value in zip(self.quantities, values, strict=True)}


class ClustersObserver:
    """Ferromagnetic clusters: share of the sites, number, mean and largest size, and the local correlation as a map."""

    Config = ClustersConfig
    name = "clusters"
    citation: ClassVar[str] = "arXiv:2105.08221 (phase separation in the double-exchange model)"

    def __init__(self, threshold: float = 0.5, shells: int = 1) -> None:
        self.threshold = threshold
        self.quantities = {
            "fraction": Quantity("sites in ferromagnetic clusters"),
            "number": Quantity("number of clusters"),
            "mean_size": Quantity("mean cluster size", "sites"),
            "largest": Quantity("largest cluster", "sites"),
            "local": Quantity("mean s_i.s_j with neighbours", plot="sites"),
        }
        self._shells: OfSites[NeighbourShells] = OfSites(lambda atoms: neighbour_shells(atoms, shells))

    @classmethod
    def from_config(cls, config: ClustersConfig) -> ClustersObserver:
        """Build from checked options."""
        return cls(config.threshold, config.shells)

    def prepare(self, atoms: Atoms) -> Arrays:
        """Find the neighbours."""
        self._shells.of(atoms)
        return {}

    def observe(self, atoms: Atoms) -> dict[str, float | np.ndarray]:
        """Numbers of the clusters, and the local correlation (N,)."""
        shells = self._shells.of(atoms)
        found = ferromagnetic_clusters(atoms, self.threshold, shells)
        return {
            "fraction": found.fraction,
            "number": float(len(found.sizes)),
            "mean_size": found.mean_size,
            "largest": float(found.sizes[0]) if len(found.sizes) else 0.0,
            "local": neighbour_correlation(get_spins(atoms), shells),
        }
