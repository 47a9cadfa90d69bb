"""Observers of energy, magnetization and torques."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from ase import Atoms
from pydantic import Field

from spinase.analysis import magnetization, staggered_magnetization
from spinase.atoms import get_units
from spinase.contract import calculator_of, is_conservative, require_magnetic_forces
from spinase.errors import ModelError
from spinase.measures import free_energy, internal_energy, torques_of_sites
from spinase.observers.base import Arrays, InField, NoOptions
from spinase.quantities import Quantity


class MagnetizationConfig(NoOptions):
    """Magnetization."""

    wavevector: tuple[float, float, float] | None = Field(
        None, description="wavevector of a staggered magnetization to add, Cartesian [1/length]"
    )


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
