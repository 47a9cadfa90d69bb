"""Electrons on a magnet: s-d Hamiltonians, hopping laws, occupations, solvers."""

from spinase.electrons.hamiltonian import SDHamiltonian
from spinase.electrons.hopping import (
    DistanceHopping,
    ExponentialHopping,
    HoppingLaw,
    PowerLawHopping,
    ShellHopping,
    UserHopping,
)
from spinase.electrons.kmesh import KMesh
from spinase.electrons.model import SDModel
from spinase.electrons.observables import density_of_states
from spinase.electrons.occupation import FixedChemicalPotential, FixedFilling, Occupation
from spinase.electrons.orbital_table import OrbitalTable
from spinase.electrons.orbitals import OrbitalModel
from spinase.electrons.spin_orbit import (
    ChiralHopping,
    DirectionalHopping,
    DresselhausHopping,
    RashbaHopping,
    SpinOrbitLaw,
    TableHopping,
)
from spinase.electrons.transport.leads import Bath, LatticeLead, WideBandLead

__all__ = [
    "Bath",
    "ChiralHopping",
    "DirectionalHopping",
    "DistanceHopping",
    "DresselhausHopping",
    "ExponentialHopping",
    "FixedChemicalPotential",
    "FixedFilling",
    "HoppingLaw",
    "KMesh",
    "LatticeLead",
    "Occupation",
    "OrbitalModel",
    "OrbitalTable",
    "PowerLawHopping",
    "RashbaHopping",
    "SDHamiltonian",
    "SDModel",
    "ShellHopping",
    "SpinOrbitLaw",
    "TableHopping",
    "UserHopping",
    "WideBandLead",
    "density_of_states",
]
