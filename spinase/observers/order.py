"""Observers of order in space: structure factor, correlation function, correlation length."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from ase import Atoms
from pydantic import Field

from spinase.analysis import WaveMesh, commensurate_mesh, primitive_lattice
from spinase.analysis.correlations import PairBins, correlate, pair_bins, rebin
from spinase.analysis.reciprocal import default_mesh, zone_mesh
from spinase.analysis.structure_factor import (
    chirality_structure_factor,
    peak_length,
    rings,
    structure_factor,
    zone_centre_length,
)
from spinase.analysis.triangles import triangles
from spinase.atoms import get_spins, get_units
from spinase.observers.base import Arrays, NoOptions, OfSites
from spinase.observers.topology import TriangulationName
from spinase.quantities import Quantity
from spinase.typing import FloatArray, IntArray


class StructureFactorConfig(NoOptions):
    """Static structure factor."""

    cutoff: float | None = Field(
        None, gt=0, description="all commensurate |q| up to this [1/length]; absent: the first Brillouin zone of a lattice"
    )


class CorrelationConfig(NoOptions):
    """Spin correlation."""

    r_max: float | None = Field(
        None, gt=0, description="largest distance [length]; absent: half the shortest period at most"
    )
    bins: int | None = Field(
        None, ge=1, description="number of distance bins; absent: neighbour shells of a lattice, else 40"
    )


class CorrelationLengthConfig(NoOptions):
    """Correlation length."""

    order: Literal["spin", "chirality"] = Field("spin", description="whose structure factor: of spins or scalar chirality")
    triangulation: TriangulationName = Field("nearest", description="triangles of the chirality")


class StructureFactorObserver:
    """S(q) = |sum_i s_i exp(-i q.r_i)|^2 / N: a map for planar (xy) magnets, else its mean over shells of |q|."""

    Config = StructureFactorConfig
    name = "structure-factor"
    citation: ClassVar[str] = ""

    def __init__(self, cutoff: float | None = None) -> None:
        self.cutoff = cutoff
        self.quantities = {"structure_factor": Quantity("S(q)", plot="map", axis="wavevectors")}
        self._mesh: WaveMesh | None = None
        self._shell: IntArray | None = None

    @classmethod
    def from_config(cls, config: StructureFactorConfig) -> StructureFactorObserver:
        """Build from checked options."""
        return cls(config.cutoff)

    def prepare(self, atoms: Atoms) -> Arrays:
        """Choose the wavevectors; they stay the same when sites move."""
        lattice = primitive_lattice(atoms)
        self._mesh = default_mesh(lattice, closed=True) if self.cutoff is None else commensurate_mesh(lattice, self.cutoff)
        waves = self._mesh.wavevectors
        if lattice.frame.shape[0] == 2 and np.abs(lattice.frame[:, 2]).max() < 1e-9 * np.abs(lattice.frame).max():
            self._shell = None
            self.quantities = {"structure_factor": Quantity("S(q)", plot="map", axis="wavevectors")}
            return {"wavevectors": waves[:, :2].copy()}
        lengths = np.linalg.norm(waves, axis=1)
        width = float(np.linalg.norm(self._mesh.reciprocal, axis=1).min())
        _, self._shell = np.unique(rings(lengths, width), return_inverse=True)
        self.quantities = {"structure_factor": Quantity("S(|q|)", plot="profile", axis="wavenumber")}
        return {"wavenumber": _shell_means(lengths, self._shell)}

    def observe(self, atoms: Atoms) -> Arrays:
        """S(q) at the wavevectors, or its mean over each shell."""
        if self._mesh is None:
            self.prepare(atoms)
        values = structure_factor(atoms, self._mesh).values
        return {"structure_factor": values if self._shell is None else _shell_means(values, self._shell)}


def _shell_means(values: FloatArray, shell: IntArray) -> FloatArray:
    return np.asarray(np.bincount(shell, weights=values) / np.bincount(shell))


class CorrelationObserver:
    """C(r) = <s_i.s_j>, by neighbour shell on a lattice and by distance bin elsewhere."""

    Config = CorrelationConfig
    name = "correlation"
    citation: ClassVar[str] = ""

    def __init__(self, r_max: float | None = None, bins: int | None = None) -> None:
        self.r_max, self.bins = r_max, bins
        self.quantities = {"correlation": Quantity("C(r) = <s_i.s_j>", plot="profile", axis="distance")}
        self._pairs: OfSites[PairBins] | None = None

    @classmethod
    def from_config(cls, config: CorrelationConfig) -> CorrelationObserver:
        """Build from checked options."""
        return cls(config.r_max, config.bins)

    def prepare(self, atoms: Atoms) -> Arrays:
        """Choose the bins; they stay the same when sites move."""
        pairs = self._prepared(atoms).of(atoms)
        return {"distance": pairs.distances}

    def observe(self, atoms: Atoms) -> Arrays:
        """C(r) in each bin; NaN where there is no pair."""
        pairs = self._pairs or self._prepared(atoms)
        return {"correlation": correlate(get_spins(atoms), pairs.of(atoms)).values}

    def _prepared(self, atoms: Atoms) -> OfSites[PairBins]:
        first = pair_bins(atoms, self.r_max, self.bins)
        self._pairs = OfSites(lambda moved: rebin(moved, first))
        return self._pairs


class CorrelationLengthObserver:
    """Correlation length from the width of a structure factor: 1/L = sum |q - Q| S(q) / sum S(q)."""

    Config = CorrelationLengthConfig
    name = "correlation-length"
    citation: ClassVar[str] = "chirality structure factor: Y. Fan, S. Zhang, G.-W. Chern, arXiv:2403.11705"

    def __init__(self, order: Literal["spin", "chirality"] = "spin", triangulation: TriangulationName = "nearest") -> None:
        self.quantities = {"correlation_length": Quantity("correlation length")}
        self._lattice = OfSites(primitive_lattice)
        self._mesh = OfSites(lambda atoms: zone_mesh(self._lattice.of(atoms)))
        self._triangles = OfSites(lambda atoms: triangles(atoms, triangulation))
        self._label, self._measure = {
            "spin": ("correlation length", self._of_spins),
            "chirality": ("chirality correlation length", self._of_chirality),
        }[order]

    @classmethod
    def from_config(cls, config: CorrelationLengthConfig) -> CorrelationLengthObserver:
        """Build from checked options."""
        return cls(config.order, config.triangulation)

    def prepare(self, atoms: Atoms) -> Arrays:
        """Find wavevectors and triangles, and take the unit of length."""
        self._measure(atoms)
        self.quantities = {"correlation_length": Quantity(self._label, get_units(atoms).length)}
        return {}

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """The correlation length; infinite for perfect order."""
        return {"correlation_length": self._measure(atoms)}

    def _of_spins(self, atoms: Atoms) -> float:
        mesh = self._mesh.of(atoms)
        return peak_length(self._lattice.of(atoms), mesh, structure_factor(atoms, mesh).values)

    def _of_chirality(self, atoms: Atoms) -> float:
        result = chirality_structure_factor(atoms, self._triangles.of(atoms), self._mesh.of(atoms))
        return zone_centre_length(result.wavevectors, result.values)
