"""Options of the spin-lattice driver in an input file."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spinase.dynamics.barostat import IsotropicBarostat
from spinase.dynamics.electron_bath import ElectronBath
from spinase.dynamics.llg import LLGConfig
from spinase.dynamics.ramp import NotNegative, RampConfig, built
from spinase.dynamics.thermostats import LatticeBussi, LatticeLangevin, LatticeThermostat
from spinase.errors import StyleError
from spinase.options import STYLE_KIND, built_style


class ElectronBathConfig(BaseModel):
    """Electrons with a temperature of their own."""

    model_config = ConfigDict(extra="forbid")

    kT: float = Field(ge=0, description="temperature at the start as an energy [eV or t]")  # noqa: N815
    capacity: float = Field(gt=0, description="heat capacity per site over kT_e, in k_B [1/energy]")
    friction: float = Field(0.0, ge=0, description="rate of the coupling to the lattice [1/time]")


class SpinLatticeConfig(LLGConfig):
    """Options of the ``spin-lattice`` driver in an input file."""

    integrator: str = Field("midpoint", description="midpoint, sib, depondt, heun, or one of a plugin")
    thermostat: Literal["langevin", "bussi"] | dict[str, Any] | None = Field(
        None,
        description="bath of the atoms, or a table { style = a thermostat, its options }; absent: none",
        json_schema_extra={STYLE_KIND: "thermostats"},
    )
    lattice_kT: NotNegative | RampConfig | None = Field(  # noqa: N815
        None, description="temperature of the bath of the atoms, or a ramp { from, to } [eV or t]"
    )
    friction: float | None = Field(None, gt=0, description="rate of the Langevin bath [1/time]")
    relaxation: float | None = Field(None, gt=0, description="time constant of the Bussi bath [time]")
    spin_substeps: int = Field(1, ge=1, description="steps of the spins in one of the atoms [1]")
    fast: int | None = Field(None, ge=0, description="which term of the sum has the fast forces, from 0; absent: none [1]")
    fast_substeps: int = Field(1, ge=1, description="steps of the atoms in fast forces in half a step [1]")
    initial_kT: float | None = Field(None, ge=0, description="Maxwell-Boltzmann momenta at the start [eV or t]")  # noqa: N815
    pressure: float | None = Field(None, description="constant pressure, with lattice_kT [energy/length^3]; absent: volume")
    piston_time: float | None = Field(None, gt=0, description="characteristic time of the volume [time]")
    barostat: dict[str, Any] | None = Field(
        None,
        description="constant pressure otherwise: a table { style = a barostat, its options }",
        json_schema_extra={STYLE_KIND: "barostats"},
    )
    electrons: ElectronBathConfig | None = Field(None, description="a bath of electrons: { kT, capacity, friction }")

    @model_validator(mode="after")
    def _one_barostat(self) -> SpinLatticeConfig:
        if self.barostat is not None and self.pressure is not None:
            raise ValueError("give the pressure once: pressure and piston_time, or a table barostat")
        return self

    @model_validator(mode="after")
    def _complete_bath(self) -> SpinLatticeConfig:
        if isinstance(self.thermostat, dict):
            flat = [name for name in ("lattice_kT", "friction", "relaxation", "pressure") if getattr(self, name) is not None]
            if flat:
                raise ValueError(f"{flat[0]} goes into the table thermostat (pressure: into a table barostat)")
            return self
        need = {"langevin": "friction", "bussi": "relaxation"}.get(self.thermostat or "")
        for name in ("friction", "relaxation"):
            if (getattr(self, name) is not None) != (name == need):
                raise ValueError(f"thermostat = {self.thermostat!r} {'needs' if name == need else 'has no'} {name}")
        if (self.lattice_kT is None) != (self.thermostat is None):
            raise ValueError(f"thermostat = {self.thermostat!r} {'needs' if self.thermostat else 'has no'} lattice_kT")
        if (self.pressure is None) != (self.piston_time is None):
            raise ValueError("constant pressure needs both pressure and piston_time")
        if self.pressure is not None and not isinstance(self.lattice_kT, float):
            raise ValueError("constant pressure needs a thermostat of the atoms with a fixed lattice_kT")
        return self

    def piston(self) -> Any:
        """The barostat."""
        if self.barostat is not None:
            return built_style("barostats", self.barostat, "barostat")
        if self.pressure is None:
            return None
        assert isinstance(self.lattice_kT, float)
        assert self.piston_time is not None
        return IsotropicBarostat(self.lattice_kT, self.pressure, self.piston_time)

    def electron_bath(self) -> ElectronBath | None:
        """The bath of electrons."""
        return None if self.electrons is None else ElectronBath(**self.electrons.model_dump())

    def bath(self) -> LatticeThermostat | None:
        """The thermostat of the atoms."""
        if self.thermostat is None:
            return None
        if isinstance(self.thermostat, dict):
            found = built_style("thermostats", self.thermostat, "thermostat")
            if not isinstance(found, LatticeThermostat):
                raise StyleError(
                    f"thermostat {self.thermostat!r} must derive from LatticeThermostat, it is no {type(found)}"
                )
            return found
        temperature: Any = built(self.lattice_kT)
        if self.thermostat == "langevin":
            assert self.friction is not None
            return LatticeLangevin(temperature, self.friction)
        assert self.relaxation is not None
        return LatticeBussi(temperature, self.relaxation)


__all__ = ["ElectronBathConfig", "SpinLatticeConfig"]
