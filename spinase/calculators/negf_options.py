"""Leads and biases of driven magnets in input files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from spinase.electrons.config import SDModelConfig
from spinase.electrons.transport.leads import Bath, LatticeLead, Lead, WideBandLead
from spinase.errors import ModelError
from spinase.law_tables import OptionTable

Bias = float | Callable[[float], float]
"""Bias V as an energy, or a function of time that gives it."""


def bias_number(bias: object) -> float:
    """A bias as a finite energy.

    Raises
    ------
    ModelError
        If it is none.
    """
    if not isinstance(bias, int | float | np.number) or not np.isfinite(float(bias)):
        raise ModelError(f"bias must be a finite energy, or a function of time that gives one, got {bias!r}")
    return float(bias)


def checked_leads(leads: Sequence[Lead]) -> tuple[Lead, ...]:
    """The leads as a tuple; ModelError if one is none."""
    found = (leads,) if isinstance(leads, Lead) else tuple(leads or ())
    for lead in found:
        if not isinstance(lead, Lead):
            raise ModelError(f"leads must be LatticeLead, WideBandLead or Bath objects, got {lead!r}")
    return found


def shares_of(leads: Sequence[Lead]) -> list[float]:
    """Share of the bias of each lead; ModelError where it is not told."""
    free = [k for k, lead in enumerate(leads) if lead.share is None]
    if len(free) > 2:
        raise ModelError(
            f"{len(free)} leads have no share of the bias: with more than two of them give every one (its chemical "
            "potential is mu + share * bias)"
        )
    given = dict(zip(free, (0.5, -0.5), strict=False))
    return [given[k] if lead.share is None else lead.share for k, lead in enumerate(leads)]


def require_two(shares: Sequence[float], leads: Sequence[Lead], bias: Bias) -> None:
    """Refuse a bias that acts between no two leads.

    Parameters
    ----------
    shares : sequence of float
        Of the leads.
    leads : sequence of Lead
    bias : float or function of time

    Raises
    ------
    ModelError
    """
    if (callable(bias) or bias != 0.0) and len(set(shares)) < 2:
        raise ModelError(
            f"a bias acts between leads with different shares, but {', '.join(repr(lead.name) for lead in leads)} "
            f"{'has' if len(leads) == 1 else 'have'} only {shares[0]:g}: add a lead, or change a share"
        )


class BiasRamp:
    """A bias that goes linearly from `start` to `stop` (energy) within `duration` (time), and stays there."""

    def __init__(self, start: float, stop: float, duration: float) -> None:
        if not (np.isfinite(start) and np.isfinite(stop) and np.isfinite(duration) and duration > 0.0):
            raise ModelError(
                f"a bias ramp needs finite energies and a positive time, got from {start} to {stop} in {duration}"
            )
        self.start, self.stop, self.duration = float(start), float(stop), float(duration)

    def __call__(self, time: float) -> float:
        """Bias at `time`."""
        return self.start + min(max(time / self.duration, 0.0), 1.0) * (self.stop - self.start)


class _LeadConfig(OptionTable):
    name: str | None = Field(None, description="name in results")
    kT: float | None = Field(None, gt=0, description="temperature of the lead; absent: the model's [energy]")  # noqa: N815


class LatticeLeadConfig(_LeadConfig):
    """Semi-infinite lattice that continues the device."""

    style: Literal["lattice"]
    side: Literal["left", "right"] = Field(description="low or high end of the device along the axis")
    axis: int = Field(0, ge=0, le=2, description="cell vector along which the lead runs")
    layers: int = Field(1, ge=1, description="device layers that make the lead's cell")
    exchange: tuple[float, float, float] = Field((0, 0, 0), description="exchange vector, H = -exchange.sigma [energy]")
    onsite: float = Field(0.0, description="on-site energy of the lead, in addition to the model's [energy]")
    spin_orbit: bool = Field(False, description="whether hopping that turns spins goes on in the lead")
    share: float | None = Field(None, description="chemical potential mu + share * bias; absent: 1/2, -1/2 [1]")

    def build(self) -> Lead:
        """The lead."""
        return LatticeLead(
            self.side,
            axis=self.axis,
            layers=self.layers,
            exchange=self.exchange,
            onsite=self.onsite,
            spin_orbit=self.spin_orbit,
            share=self.share,
            kT=self.kT,
            name=self.name,
        )


class WideBandLeadConfig(_LeadConfig):
    """Structureless electrode on some sites."""

    style: Literal["wide-band"]
    broadening: float = Field(gt=0, description="Gamma: rate into the lead times hbar [energy]")
    sites: list[int] | Literal["left", "right"] = Field(description="device sites, or the outermost layer of an end")
    axis: int = Field(0, ge=0, le=2, description="cell vector whose ends are meant")
    polarization: tuple[float, float, float] = Field((0, 0, 0), description="P of Gamma (1 + P.sigma), |P| <= 1 [1]")
    share: float | None = Field(None, description="chemical potential mu + share * bias; absent: 1/2, -1/2 [1]")

    def build(self) -> Lead:
        """The lead."""
        return WideBandLead(
            self.broadening,
            self.sites,
            axis=self.axis,
            polarization=self.polarization,
            share=self.share,
            kT=self.kT,
            name=self.name or "wide-band",
        )


class BathConfig(_LeadConfig):
    """Weak wide band on every site."""

    style: Literal["bath"]
    broadening: float = Field(gt=0, description="Gamma: rate into the bath times hbar [energy]")
    sites: list[int] | None = Field(None, description="device sites; absent: all")
    share: float = Field(0.0, description="chemical potential mu + share * bias [1]")

    def build(self) -> Lead:
        """The bath."""
        return Bath(self.broadening, self.sites, share=self.share, kT=self.kT, name=self.name or "bath")


class BiasRampConfig(OptionTable):
    """A bias that changes linearly, counted from the start of the stage."""

    start: float = Field(alias="from", description="bias at the start [energy]")
    stop: float = Field(alias="to", description="bias at the end [energy]")
    duration: float = Field(gt=0, description="time it takes [time]")

    def law(self) -> BiasRamp:
        """As a function of time."""
        return BiasRamp(self.start, self.stop, self.duration)


LeadConfig = Annotated[LatticeLeadConfig | WideBandLeadConfig | BathConfig, Field(discriminator="style")]


class NEGFConfig(SDModelConfig):
    """Non-equilibrium Green's functions of a device between leads."""

    leads: list[LeadConfig] = Field(min_length=1, description="tables with style = lattice, wide-band or bath")
    bias: float | BiasRampConfig = Field(
        0.0, description="bias as an energy, or a ramp { from, to, duration }; leads are at mu + share * bias [energy]"
    )
    tolerance: float = Field(1e-5, gt=0, description="largest error of the density and of currents times hbar [1, energy]")
    max_energies: int = Field(2000, ge=1, description="largest number of energies in the bias window")
    kpts: tuple[int, int, int] = Field((1, 1, 1), description="k-points across the transport, periodic directions only")
    kshift: tuple[float, float, float] = Field((0.0, 0.0, 0.0), description="shift of the mesh, in its steps")
