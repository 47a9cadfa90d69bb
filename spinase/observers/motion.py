"""Observers of moving magnets: how the energy divides between motion and potential, and the temperatures of the parts."""

from __future__ import annotations

from typing import ClassVar

from ase import Atoms

from spinase.atoms import get_moments, get_units, gyromagnetic_ratios
from spinase.contract import calculator_of, require_magnetic_forces
from spinase.dynamics.freedoms import lattice_temperature
from spinase.measures import spin_temperature_of
from spinase.observers.base import Arrays, InField, NoOptions
from spinase.observers.magnetism import EnergyObserver
from spinase.quantities import Quantity


class EnergyPartitionObserver(InField):
    """Potential (free energy), kinetic and total energy per site; temperatures of lattice and spins as energies.

    Lattice: 2 K/freedoms of the motion of the atoms against each other.
    Spins: |gradient|^2 over curvature of the energy, which is
    sum |m x B|^2 / (2 sum m.B) for pair models (:func:`spinase.measures.spin_temperature_of`); nan where there is none.
    Potential and fields contain the driver's applied field.
    """

    Config = NoOptions
    name = "energy-partition"
    citation: ClassVar[str] = (
        "spin temperature: H. H. Rugh, Phys. Rev. Lett. 78, 772 (1997), doi:10.1103/PhysRevLett.78.772; "
        "W. B. Nurdin, K.-D. Schotte, Phys. Rev. E 61, 3579 (2000), doi:10.1103/PhysRevE.61.3579"
    )

    def __init__(self) -> None:
        self.quantities = _quantities("")
        self._potential = EnergyObserver()

    @classmethod
    def from_config(cls, config: NoOptions) -> EnergyPartitionObserver:
        """Build from checked options."""
        return cls()

    def prepare(self, atoms: Atoms) -> Arrays:
        """Check that there is an energy and that there are fields.

        Raises
        ------
        ModelError, MissingMagneticForcesError
        """
        require_magnetic_forces(calculator_of(atoms))
        self._potential.prepare(atoms)
        self.quantities = _quantities(get_units(atoms).energy)
        return {}

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """Energies per site, and temperatures."""
        self._potential.set_applied_field(self.applied)
        potential = self._potential.observe(atoms)["per_site"]
        kinetic = float(atoms.get_kinetic_energy()) / len(atoms)
        return {
            "potential": potential,
            "kinetic": kinetic,
            "total": potential + kinetic,
            "lattice_kT": lattice_temperature(atoms),
            "spin_kT": spin_temperature_of(atoms, self.applied),
        }


class AngularMomentumObserver:
    """Angular momentum of the atoms about their centre of mass, of the spins (-m_i/gamma_i), and both together.

    An isolated magnet whose energy does not change when atoms and spins are turned together keeps the sum.
    """

    Config = NoOptions
    name = "angular-momentum"
    citation: ClassVar[str] = "A. Einstein, W. J. de Haas, Verh. Dtsch. Phys. Ges. 17, 152 (1915)"

    def __init__(self) -> None:
        self.quantities = _momenta("")

    @classmethod
    def from_config(cls, config: NoOptions) -> AngularMomentumObserver:
        """Build from checked options."""
        return cls()

    def prepare(self, atoms: Atoms) -> Arrays:
        """Units of the atoms."""
        units = get_units(atoms)
        self.quantities = _momenta(f"{units.energy} {units.time}")
        return {}

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """Components of the three vectors."""
        lattice = atoms.get_angular_momentum()
        spin = -(get_moments(atoms) / gyromagnetic_ratios(atoms)[:, None]).sum(axis=0)
        values = {"lattice": lattice, "spin": spin, "total": lattice + spin}
        return {f"{part}_{axis}": float(vector[k]) for part, vector in values.items() for k, axis in enumerate("xyz")}


def _momenta(unit: str) -> dict[str, Quantity]:
    return {
        f"{part}_{axis}": Quantity(f"{part} angular momentum, {axis}", unit)
        for part in ("lattice", "spin", "total")
        for axis in "xyz"
    }


def _quantities(unit: str) -> dict[str, Quantity]:
    return {
        "potential": Quantity("free energy per site", unit),
        "kinetic": Quantity("kinetic energy per site", unit),
        "total": Quantity("total energy per site", unit),
        "lattice_kT": Quantity("lattice temperature", unit),
        "spin_kT": Quantity("spin temperature", unit),
    }
