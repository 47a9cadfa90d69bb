"""Input files of ``spinase label``: which configurations are made, by whom, and which of them are labelled."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spinase.run.config import AtomsTable
from spinase_training.labels.selection import SelectTable


class QuenchTable(BaseModel):
    """Configurations along damped (or thermal) spin dynamics from random spins (or a texture), at the asked times."""

    model_config = ConfigDict(extra="forbid")

    timestep: float = Field(gt=0, description="time step [time]")
    times: list[float] = Field(min_length=1, description="times after which the spins are labelled, ascending [time]")
    damping: float = Field(0.1, ge=0, description="Gilbert damping")
    kT: float = Field(0.0, ge=0, description="temperature of the spin bath [energy]")  # noqa: N815
    integrator: str = Field("sib", description="integrator")
    driver: dict[str, Any] | None = Field(
        None, description="style = a calculator, and its options, that moves the spins; without: the teacher"
    )

    @model_validator(mode="after")
    def _ascending(self) -> QuenchTable:
        if any(b <= a for a, b in zip([0.0, *self.times[:-1]], self.times, strict=True)):
            raise ValueError(f"times must be positive and ascending, got {self.times}")
        return self


class ThermalTable(BaseModel):
    """Configurations of thermal spin dynamics from random spins, cooled (or heated) step by step."""

    model_config = ConfigDict(extra="forbid")

    kT: list[float] = Field(min_length=1, description="temperatures of the spin bath, in this order [energy]")  # noqa: N815
    count: int = Field(1, ge=1, description="configurations at each temperature")
    time: float = Field(gt=0, description="time before each configuration [time]")
    timestep: float = Field(gt=0, description="time step [time]")
    damping: float = Field(0.5, gt=0, description="Gilbert damping")
    integrator: str = Field("sib", description="integrator")
    driver: dict[str, Any] | None = Field(
        None, description="style = a calculator, and its options, that moves the spins; without: the teacher"
    )

    @model_validator(mode="after")
    def _not_negative(self) -> ThermalTable:
        if min(self.kT) < 0.0:
            raise ValueError(f"temperatures must not be negative, got {self.kT}")
        if self.time < self.timestep:
            raise ValueError(f"time = {self.time} is shorter than a time step of {self.timestep}")
        return self


class TextureTable(BaseModel):
    """Configurations of a texture with random deviations."""

    model_config = ConfigDict(extra="forbid")

    style: str = Field(description="an initializer")
    noise: float = Field(0.1, ge=0, description="size of random deviations of the spins")
    options: dict[str, Any] = Field({}, description="options of the initializer")
    draw: dict[str, tuple[float, float]] = Field(
        {}, description="options that are drawn anew for every configuration, each from its range [low, high]"
    )
    count: int = Field(1, ge=1, description="configurations in each realization")
    then: QuenchTable | None = Field(
        None, description="spin dynamics that begin with the texture: configurations along it, in place of the texture"
    )

    @model_validator(mode="after")
    def _ranges(self) -> TextureTable:
        for name, (low, high) in self.draw.items():
            if not low < high:
                raise ValueError(f"draw.{name} must be a range [low, high], got {[low, high]}")
            if name in self.options:
                raise ValueError(f"{name} is either drawn or one of the options, not both")
        return self


class LabelInput(BaseModel):
    """An input file of ``spinase label``."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field("", description="shown in model cards")
    seed: int = Field(0, ge=0, description="seed of all random numbers")
    units: Literal["reduced", "metal"] = Field("reduced", description="unit system of every number in the file")
    realizations: int = Field(ge=1, description="number of realizations")
    atoms: AtomsTable
    calculator: dict[str, Any] = Field(description="style = a calculator, and its options: the teacher")
    random: int = Field(0, ge=0, description="configurations with random spins in each realization")
    quench: QuenchTable | None = Field(None, description="configurations along a quench in each realization")
    thermal: ThermalTable | None = Field(None, description="thermal configurations in each realization")
    texture: list[TextureTable] = Field([], description="configurations of each texture in each realization")
    displacement: float = Field(0.0, ge=0, description="size of random displacements of the sites, for each label [length]")
    forces: bool = Field(False, description="label forces on atoms, too")
    fillings: tuple[float, float] | None = Field(
        None, description="draw the teacher's filling anew for every label, from this range, for networks with electrons"
    )
    biases: list[float] | None = Field(
        None, min_length=1, description="draw the teacher's bias anew for every label, one of these [energy]"
    )
    select: SelectTable | None = Field(None, description="which of the configurations are labelled; default: all")

    @model_validator(mode="after")
    def _something(self) -> LabelInput:
        if not (self.random or self.quench or self.thermal or self.texture):
            raise ValueError("nothing to label: ask for random, quench, thermal or texture configurations")
        if self.fillings is not None:
            if not 0.0 <= self.fillings[0] < self.fillings[1] <= 1.0:
                raise ValueError(f"fillings must be a range between 0 and 1, got {list(self.fillings)}")
            if "filling" not in self.calculator:
                raise ValueError("fillings are drawn for a teacher with a filling: give [calculator] its usual one")
        if self.biases is not None and "leads" not in self.calculator:
            raise ValueError("biases are drawn for a teacher with leads: give [calculator] some (style = 'negf')")
        return self
