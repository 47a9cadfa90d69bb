"""Built-in observers: each asks the calculator or one function of ``spinase.analysis`` and names the numbers.

Whatever depends on positions only (wavevectors, triangles, pairs) is computed once and again only if sites move.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Generic, Literal, TypeVar

import numpy as np
from ase import Atoms
from pydantic import BaseModel, ConfigDict, Field

from spinase.analysis import (
    Triangles,
    WaveMesh,
    commensurate_mesh,
    magnetization,
    primitive_lattice,
    staggered_magnetization,
)
from spinase.analysis.correlations import PairBins, correlate, pair_bins, rebin
from spinase.analysis.reciprocal import default_mesh, zone_mesh
from spinase.analysis.structure_factor import chirality_structure_factor, peak_length, structure_factor, zone_centre_length
from spinase.analysis.topology import scalar_chirality, topological_charge
from spinase.analysis.triangles import triangles
from spinase.atoms import get_spins, get_units
from spinase.contract import calculator_of, is_conservative, require_magnetic_forces
from spinase.dynamics.observers import Quantity
from spinase.errors import ModelError
from spinase.measures import free_energy, internal_energy, site_mask, torques_of_sites
from spinase.typing import Array, FloatArray, IntArray

Arrays = dict[str, Array]
TriangulationName = Literal["nearest", "delaunay"]
Built = TypeVar("Built")

_TIE = 1e-9  # numbers this close to a half are rounded up: round-off does not decide
_BERG_LUESCHER = "Berg, Luescher, Nucl. Phys. B 190, 412 (1981), doi:10.1016/0550-3213(81)90568-X"


class NoOptions(BaseModel):
    """An observer without options."""

    model_config = ConfigDict(extra="forbid")


class MagnetizationConfig(NoOptions):
    """Magnetization."""

    wavevector: tuple[float, float, float] | None = Field(
        None, description="wavevector of a staggered magnetization to add, Cartesian [1/length]"
    )


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


class ChiralityConfig(NoOptions):
    """Scalar chirality."""

    triangulation: TriangulationName = Field(
        "nearest", description="mutual nearest neighbours, or Delaunay triangles (any planar sites)"
    )


class TopologicalChargeConfig(NoOptions):
    """Topological charge."""

    triangulation: TriangulationName = Field("delaunay", description="Delaunay triangles cover the plane: integer charge")


class OfSites(Generic[Built]):
    """Something built from the atoms' geometry, built again only when sites, cell or magnetic sites change."""

    def __init__(self, build: Callable[[Atoms], Built]) -> None:
        self._build = build
        self._key: list[Array] = []
        self._value: Built | None = None

    def of(self, atoms: Atoms) -> Built:
        """The value for the geometry the atoms have now."""
        key = [atoms.positions, atoms.cell.array, atoms.pbc, site_mask(atoms)]
        stale = not self._key or any(not np.array_equal(old, new) for old, new in zip(self._key, key, strict=True))
        if self._value is None or stale:
            self._value = self._build(atoms)
            self._key = [array.copy() for array in key]
        return self._value


class InField:
    """What observers share whose numbers contain the field that a driver applies (``contract.SeesAppliedField``)."""

    applied: FloatArray | float = 0.0

    def set_applied_field(self, field: FloatArray | float) -> None:
        """Take the field (N, 3), energy/moment, or 0.0 for none, for the observations that follow."""
        self.applied = field


class EnergyObserver(InField):
    """Energies, with that of the moments in the driver's applied field.

    ``free_energy`` and ``energy`` are the calculator's results of these names (for electrons F at fixed filling, the grand
    potential at fixed chemical potential; and the internal energy), ``per_site`` is the free energy per site.
    """

    Config = NoOptions
    name = "energy"
    citation: ClassVar[str] = ""

    def __init__(self) -> None:
        self.quantities = _energies("")

    @classmethod
    def from_config(cls, config: NoOptions) -> EnergyObserver:
        """Build from checked options."""
        return cls()

    def prepare(self, atoms: Atoms) -> Arrays:
        """Check that there is an energy.

        Raises
        ------
        ModelError
            If the calculator is driven or has no energy.
        """
        self.observe(atoms)
        self.quantities = _energies(get_units(atoms).energy)
        return {}

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """Free energy per site and in all, and internal energy."""
        energy, internal = free_energy(atoms, self.applied), internal_energy(atoms, self.applied)
        if energy is None or internal is None:
            calc = calculator_of(atoms)
            why = "gives no energy" if is_conservative(calc) else "describes a driven system, which has no energy"
            raise ModelError(f"{type(calc).__name__} {why}: leave out the observer 'energy'")
        return {"per_site": energy / len(atoms), "free_energy": energy, "energy": internal}


def _energies(unit: str) -> dict[str, Quantity]:
    field = "with that of the moments in the driver's applied field"
    free = f"free_energy of the calculator (forces and fields are its gradients), {field}"
    return {
        "per_site": Quantity("free energy per site", unit, description=f"{free}, per site"),
        "free_energy": Quantity("free energy", unit, description=free),
        "energy": Quantity("internal energy", unit, description=f"energy of the calculator (no entropy in it), {field}"),
    }


class MagnetizationObserver:
    """Mean moment of the magnetic sites: its length and Cartesian components; optionally a staggered one."""

    Config = MagnetizationConfig
    name = "magnetization"
    citation: ClassVar[str] = ""

    def __init__(self, wavevector: tuple[float, float, float] | None = None) -> None:
        self.wavevector = wavevector
        self.quantities = self._named("")

    @classmethod
    def from_config(cls, config: MagnetizationConfig) -> MagnetizationObserver:
        """Build from checked options."""
        return cls(config.wavevector)

    def _named(self, unit: str) -> dict[str, Quantity]:
        named = {"length": Quantity("magnetization |M|", unit)}
        named |= {axis: Quantity(f"magnetization M_{axis}", unit) for axis in "xyz"}
        if self.wavevector is not None:
            named["staggered"] = Quantity("staggered magnetization |M_Q|", unit)
        return named

    def prepare(self, atoms: Atoms) -> Arrays:
        """Take the unit of the moments."""
        self.quantities = self._named(get_units(atoms).moment)
        return {}

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """|M|, M_x, M_y, M_z and, if a wavevector was given, |M_Q|."""
        mean = magnetization(atoms)
        values = {"length": float(np.linalg.norm(mean))} | {axis: float(m) for axis, m in zip("xyz", mean, strict=True)}
        if self.wavevector is not None:
            values["staggered"] = float(np.linalg.norm(staggered_magnetization(atoms, self.wavevector)))
        return values


class TorqueObserver(InField):
    """Torques T_i = m_i x B_i, B_i with the driver's applied field: rms and largest length over the magnetic sites."""

    Config = NoOptions
    name = "torque"
    citation: ClassVar[str] = ""

    def __init__(self) -> None:
        self.quantities = _torques("")

    @classmethod
    def from_config(cls, config: NoOptions) -> TorqueObserver:
        """Build from checked options."""
        return cls()

    def prepare(self, atoms: Atoms) -> Arrays:
        """Check that the calculator gives magnetic forces."""
        require_magnetic_forces(calculator_of(atoms))
        self.quantities = _torques(get_units(atoms).energy)
        return {}

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """Rms and maximum over the magnetic sites."""
        norms = torques_of_sites(atoms, self.applied)
        return {"rms": norms.rms, "maximum": norms.maximum}


def _torques(unit: str) -> dict[str, Quantity]:
    return {"rms": Quantity("rms torque", unit), "maximum": Quantity("largest torque", unit)}


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
        _, self._shell = np.unique(np.floor(lengths / width + 0.5 + _TIE), return_inverse=True)
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
    citation: ClassVar[str] = "arXiv:2403.11705 (chirality structure factor)"

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


class TopologicalChargeObserver(_TriangleObserver):
    """Berg-Luescher topological charge (skyrmion number)."""

    Config = TopologicalChargeConfig
    name = "topological-charge"
    citation: ClassVar[str] = _BERG_LUESCHER

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
