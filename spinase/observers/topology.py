"""Observers that sum over triangles of sites: scalar chirality and its domains, topological charge."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from ase import Atoms
from pydantic import Field

from spinase.analysis import ThreeSublattices, Triangles
from spinase.analysis.chiral_walls import TETRAHEDRAL_CHIRALITY, chirality_walls, sites_in_walls
from spinase.analysis.coplanar import three_sublattices, triangle_vector_chirality, z2_vortices
from spinase.analysis.topology import scalar_chirality, topological_charge
from spinase.analysis.triangles import triangles
from spinase.atoms import get_spins, get_units
from spinase.observers.base import Arrays, NoOptions, OfSites
from spinase.quantities import Quantity

TriangulationName = Literal["nearest", "delaunay"]


class ChiralityConfig(NoOptions):
    """Scalar chirality."""

    triangulation: TriangulationName = Field(
        "nearest", description="mutual nearest neighbours, or Delaunay triangles (any planar sites)"
    )


class ChiralDomainsConfig(NoOptions):
    """Chiral domains and their walls."""

    triangulation: TriangulationName = Field(
        "nearest", description="mutual nearest neighbours, or Delaunay triangles (any planar sites)"
    )
    threshold: float = Field(
        0.5 * TETRAHEDRAL_CHIRALITY,
        gt=0,
        lt=1,
        description="mean |chirality| around a site below which it is in a wall [1]; default: half of tetrahedral order",
    )


class TopologicalChargeConfig(NoOptions):
    """Topological charge."""

    triangulation: TriangulationName = Field("delaunay", description="Delaunay triangles cover the plane: integer charge")


class _TriangleObserver:
    """What the observers that sum over triangles share."""

    def __init__(self, triangulation: TriangulationName) -> None:
        self._sites: OfSites[Triangles] = OfSites(lambda atoms: triangles(atoms, triangulation))

    def prepare(self, atoms: Atoms) -> Arrays:
        """Find the triangles."""
        self._sites.of(atoms)
        return {}


class ChiralityObserver(_TriangleObserver):
    """Scalar chirality s_i.(s_j x s_k) over counter-clockwise triangles: its mean and its mean magnitude."""

    Config = ChiralityConfig
    name = "chirality"
    citation: ClassVar[str] = ""

    def __init__(self, triangulation: TriangulationName = "nearest") -> None:
        super().__init__(triangulation)
        self.quantities = {
            "mean": Quantity("mean scalar chirality"),
            "mean_absolute": Quantity("mean |scalar chirality|"),
        }

    @classmethod
    def from_config(cls, config: ChiralityConfig) -> ChiralityObserver:
        """Build from checked options."""
        return cls(config.triangulation)

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """Mean chirality (0 for balanced domains) and mean magnitude (0.7698 in tetrahedral domains of either sign)."""
        chirality = scalar_chirality(atoms, self._sites.of(atoms))
        return {"mean": float(chirality.mean()), "mean_absolute": float(np.abs(chirality).mean())}


class ChiralDomainsObserver(_TriangleObserver):
    """Domains of either chirality: their size from the length of the walls, and which way the walls run."""

    Config = ChiralDomainsConfig
    name = "chiral-domains"
    citation: ClassVar[str] = "chiral domains: Y. Fan, S. Zhang, G.-W. Chern, arXiv:2403.11705"

    def __init__(self, triangulation: TriangulationName = "nearest", threshold: float = 0.5 * TETRAHEDRAL_CHIRALITY) -> None:
        super().__init__(triangulation)
        self.threshold = threshold
        self._name_quantities("")

    @classmethod
    def from_config(cls, config: ChiralDomainsConfig) -> ChiralDomainsObserver:
        """Build from checked options."""
        return cls(config.triangulation, config.threshold)

    def prepare(self, atoms: Atoms) -> Arrays:
        """Find the triangles, and take the unit of length."""
        self._name_quantities(get_units(atoms).length)
        return super().prepare(atoms)

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """Mean distance of walls (infinite without any), their length, sites in them, <cos 6 theta> of their angles."""
        found = self._sites.of(atoms)
        walls = chirality_walls(atoms, found)
        return {
            "domain_length": walls.domain_length,
            "wall_length": walls.length,
            "in_walls": float(sites_in_walls(atoms, found, self.threshold).sum() / len(np.unique(found.sites))),
            "anisotropy": walls.anisotropy(),
        }

    def _name_quantities(self, unit: str) -> None:
        self.quantities = {
            "domain_length": Quantity("size of chiral domains", unit),
            "wall_length": Quantity("length of chiral walls", unit),
            "in_walls": Quantity("sites in chiral walls"),
            "anisotropy": Quantity("<cos 6 theta> of chiral walls"),
        }


class TopologicalChargeObserver(_TriangleObserver):
    """Berg-Luescher topological charge (skyrmion number)."""

    Config = TopologicalChargeConfig
    name = "topological-charge"
    citation: ClassVar[str] = "B. Berg, M. Luescher, Nucl. Phys. B 190, 412 (1981), doi:10.1016/0550-3213(81)90568-X"

    def __init__(self, triangulation: TriangulationName = "delaunay") -> None:
        super().__init__(triangulation)
        self.quantities = {"charge": Quantity("topological charge")}

    @classmethod
    def from_config(cls, config: TopologicalChargeConfig) -> TopologicalChargeObserver:
        """Build from checked options."""
        return cls(config.triangulation)

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """The charge, an integer on a torus."""
        return {"charge": topological_charge(atoms, self._sites.of(atoms))}


class CoplanarOrderObserver:
    """120-degree order of a triangular lattice: mean magnitude of the vector chirality, and the number of Z2 vortices."""

    Config = NoOptions
    name = "coplanar-order"
    citation: ClassVar[str] = "H. Kawamura, S. Miyashita, J. Phys. Soc. Jpn. 53, 4138 (1984), doi:10.1143/JPSJ.53.4138"

    def __init__(self) -> None:
        self.quantities = {
            "vector_chirality": Quantity("mean |vector chirality|"),
            "vortices": Quantity("number of Z2 vortices"),
        }
        self._cells: OfSites[ThreeSublattices] = OfSites(three_sublattices)

    @classmethod
    def from_config(cls, config: NoOptions) -> CoplanarOrderObserver:
        """Build from checked options (there are none)."""
        return cls()

    def prepare(self, atoms: Atoms) -> Arrays:
        """Find sublattices, triangles and loops."""
        self._cells.of(atoms)
        return {}

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """Mean |kappa| of upward triangles (1: spins at 120 degrees), and how many vortices there are."""
        cells = self._cells.of(atoms)
        kappa = triangle_vector_chirality(get_spins(atoms), cells.upward)
        return {
            "vector_chirality": float(np.linalg.norm(kappa, axis=1).mean()),
            "vortices": float(len(z2_vortices(atoms, cells))),
        }
