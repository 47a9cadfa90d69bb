"""Analysis of magnets: atoms or arrays in, arrays out; no calculator.

Only magnetic sites enter.  Conventions: wavevectors are Cartesian in 1/length, triangles counter-clockwise from +z.
"""

from spinase.analysis.ageing import TwoTimeCorrelation, ageing_exponent, two_time_correlations
from spinase.analysis.chiral_walls import (
    ChiralityWalls,
    chirality_edges,
    chirality_walls,
    site_chirality,
    sites_in_walls,
)
from spinase.analysis.conductivity import exact_conductivity, kpm_conductivity, local_density_of_states
from spinase.analysis.coplanar import ThreeSublattices, three_sublattices, vector_chirality, z2_vortices
from spinase.analysis.correlations import SpinCorrelation, spin_correlation
from spinase.analysis.domains import (
    Clusters,
    NeighbourShells,
    ferromagnetic_clusters,
    neighbour_correlation,
    neighbour_shells,
    shell_correlation,
)
from spinase.analysis.dynamic_correlations import DynamicCorrelations, dynamic_correlations
from spinase.analysis.growth import (
    GrowthExponent,
    GrowthLaw,
    PowerTail,
    RadialProfile,
    growth_exponent,
    growth_law,
    local_exponents,
    porod_wall_density,
    power_tail,
    radial_average,
)
from spinase.analysis.kinetics import Avrami, avrami, front_speed
from spinase.analysis.magnetism import (
    TorqueNorms,
    configurational_spin_temperature,
    magnetization,
    spin_temperature,
    staggered_magnetization,
    torque_norms,
)
from spinase.analysis.reciprocal import (
    PrimitiveLattice,
    WaveMesh,
    brillouin_zone,
    commensurate_mesh,
    commensurate_wavevectors,
    primitive_lattice,
)
from spinase.analysis.scattering import (
    Bose,
    Equipartition,
    ExponentialFormFactor,
    magnetic_form_factor,
    quantum_correction,
)
from spinase.analysis.spectra import (
    Average,
    DynamicStructureFactor,
    autocorrelation,
    binder_cumulant,
    block_average,
    dynamic_structure_factor,
    magnon_dispersion,
    mean_and_error,
    two_time_correlation,
)
from spinase.analysis.structure_factor import (
    StructureFactor,
    chirality_correlation_length,
    chirality_structure_factor,
    correlation_length,
    structure_factor,
)
from spinase.analysis.topology import scalar_chirality, topological_charge, topological_density
from spinase.analysis.triangles import Triangles, triangles
from spinase.analysis.walls import DomainWall, FoundWall, GrownPhase, domain_wall, domain_walls, grown_phase

__all__ = [
    "Average",
    "Avrami",
    "Bose",
    "ChiralityWalls",
    "Clusters",
    "DomainWall",
    "DynamicCorrelations",
    "DynamicStructureFactor",
    "Equipartition",
    "ExponentialFormFactor",
    "FoundWall",
    "GrownPhase",
    "GrowthExponent",
    "GrowthLaw",
    "NeighbourShells",
    "PowerTail",
    "PrimitiveLattice",
    "RadialProfile",
    "SpinCorrelation",
    "StructureFactor",
    "ThreeSublattices",
    "TorqueNorms",
    "Triangles",
    "TwoTimeCorrelation",
    "WaveMesh",
    "ageing_exponent",
    "autocorrelation",
    "avrami",
    "binder_cumulant",
    "block_average",
    "brillouin_zone",
    "chirality_correlation_length",
    "chirality_edges",
    "chirality_structure_factor",
    "chirality_walls",
    "commensurate_mesh",
    "commensurate_wavevectors",
    "configurational_spin_temperature",
    "correlation_length",
    "domain_wall",
    "domain_walls",
    "dynamic_correlations",
    "dynamic_structure_factor",
    "exact_conductivity",
    "ferromagnetic_clusters",
    "front_speed",
    "grown_phase",
    "growth_exponent",
    "growth_law",
    "kpm_conductivity",
    "local_density_of_states",
    "local_exponents",
    "magnetic_form_factor",
    "magnetization",
    "magnon_dispersion",
    "mean_and_error",
    "neighbour_correlation",
    "neighbour_shells",
    "porod_wall_density",
    "power_tail",
    "primitive_lattice",
    "quantum_correction",
    "radial_average",
    "scalar_chirality",
    "shell_correlation",
    "site_chirality",
    "sites_in_walls",
    "spin_correlation",
    "spin_temperature",
    "staggered_magnetization",
    "structure_factor",
    "three_sublattices",
    "topological_charge",
    "topological_density",
    "torque_norms",
    "triangles",
    "two_time_correlation",
    "two_time_correlations",
    "vector_chirality",
    "z2_vortices",
]
