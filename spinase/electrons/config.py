"""Tables of an s-d model in input files and model cards."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from spinase.electrons.hopping import ExponentialHopping, HoppingLaw, PowerLawHopping, ShellHopping
from spinase.electrons.spin_orbit import ChiralHopping, DresselhausHopping, RashbaHopping, SpinOrbitLaw
from spinase.law_tables import ExponentialTable, OptionTable, PowerTable
from spinase.shells import ShellDistances, ShellWidth


class ShellHoppingConfig(OptionTable):
    """Hopping by neighbour shell of a lattice."""

    style: Literal["shell"]
    amplitudes: list[float] = Field(description="t1, t2, ... by neighbour shell [energy]")
    distances: ShellDistances = None
    width: ShellWidth = None

    def build(self) -> HoppingLaw:
        """The hopping law."""
        return ShellHopping(self.amplitudes, self.distances, self.width)


class ExponentialHoppingConfig(ExponentialTable):
    """t(r) = t0 exp(-decay (r - reference)), smoothly cut off."""

    style: Literal["exponential"]
    t0: float = Field(description="amplitude at the reference distance [energy]")

    def build(self) -> HoppingLaw:
        """The hopping law."""
        return ExponentialHopping(self.t0, self.decay, self.reference, self.cutoff, self.switch_width)


class PowerLawHoppingConfig(PowerTable):
    """t(r) = t0 (reference/r)^exponent, smoothly cut off."""

    style: Literal["power-law"]
    t0: float = Field(description="amplitude at the reference distance [energy]")

    def build(self) -> HoppingLaw:
        """The hopping law."""
        return PowerLawHopping(self.t0, self.exponent, self.reference, self.cutoff, self.switch_width)


HoppingConfig = Annotated[
    ShellHoppingConfig | ExponentialHoppingConfig | PowerLawHoppingConfig, Field(discriminator="style")
]


class RashbaConfig(OptionTable):
    """t_ij = i lambda(r) (d x n).sigma: electrons of a surface or an interface."""

    style: Literal["rashba"]
    strength: HoppingConfig = Field(description="lambda: a table as that of the hopping")
    normal: tuple[float, float, float] = Field((0, 0, 1), description="normal n of the interface [1]")

    def build(self) -> SpinOrbitLaw:
        """The law."""
        return RashbaHopping(self.strength.build(), self.normal)


class InversionConfig(OptionTable):
    """t_ij = i lambda(r) (d_x sigma_x - d_y sigma_y) (dresselhaus) or i lambda(r) d.sigma (chiral)."""

    style: Literal["dresselhaus", "chiral"] = Field(description="dresselhaus or chiral")
    strength: HoppingConfig = Field(description="lambda: a table as that of the hopping")

    def build(self) -> SpinOrbitLaw:
        """The law."""
        law = DresselhausHopping if self.style == "dresselhaus" else ChiralHopping
        return law(self.strength.build())


SpinOrbitConfig = Annotated[RashbaConfig | InversionConfig, Field(discriminator="style")]


class SDModelConfig(OptionTable):
    """s-d model: hopping, coupling, filling and temperature."""

    hopping: HoppingConfig = Field(description="hopping law: a table with style = shell, exponential or power-law")
    coupling: float | dict[int, float] = Field(
        description="s-d coupling J, H = -J s.sigma, or a table by atomic number [energy]"
    )
    filling: float | None = Field(None, ge=0, le=1, description="electrons per spin-orbital, 0..1 [1]")
    chemical_potential: float | None = Field(None, description="chemical potential, instead of the filling [energy]")
    kT: float = Field(0.0, ge=0, description="electronic temperature [energy]")  # noqa: N815
    zeeman: tuple[float, float, float] = Field(
        (0, 0, 0), description="Zeeman vector of the electrons, H = +h.sigma, h = mu_B B [energy]"
    )
    onsite: float | dict[int, float] | list[float] = Field(0.0, description="on-site energies [energy]")
    flux: float = Field(0.0, description="flux quanta through the cell [h/e]")
    spin_orbit: list[SpinOrbitConfig] = Field(
        default_factory=list,
        description="hopping that turns spins: tables with style = rashba, dresselhaus or chiral and a strength",
    )

    @model_validator(mode="after")
    def _one_ensemble(self) -> SDModelConfig:
        if (self.filling is None) == (self.chemical_potential is None):
            raise ValueError("give exactly one of filling and chemical_potential")
        return self
