"""Laws of distance as tables of input files and model cards: what hoppings and couplings share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from spinase.radial import Exponential, PowerLaw, step_width


class OptionTable(BaseModel):
    """A table of an input file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class CutOffTable(OptionTable):
    """Where a law of distance ends."""

    cutoff: float = Field(gt=0, description="distance beyond which the law is zero [length]")
    switch_width: float | None = Field(
        None, gt=0, description="width of the smooth step before the cutoff; absent: cutoff/10 [length]"
    )

    @property
    def width(self) -> float:
        """Width of the smooth step, length."""
        return step_width(self.cutoff, self.switch_width)


class ExponentialTable(CutOffTable):
    """v(r) = amplitude exp(-decay (r - reference)), smoothly cut off."""

    decay: float = Field(description="inverse decay length [1/length]")
    reference: float = Field(description="reference distance [length]")

    def law(self, amplitude: float) -> Exponential:
        """The law with `amplitude` (energy) at the reference distance."""
        return Exponential(amplitude, self.decay, self.reference, self.cutoff, self.width)


class PowerTable(CutOffTable):
    """v(r) = amplitude (reference/r)^exponent, smoothly cut off."""

    exponent: float = Field(description="exponent [1]")
    reference: float = Field(gt=0, description="reference distance [length]")

    def law(self, amplitude: float) -> PowerLaw:
        """The law with `amplitude` (energy) at the reference distance."""
        return PowerLaw(amplitude, self.exponent, self.reference, self.cutoff, self.width)


__all__ = ["CutOffTable", "ExponentialTable", "OptionTable", "PowerTable"]
