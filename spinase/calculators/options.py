"""Options shared by the classical calculators: couplings by shell, by distance or by species, vectors, species."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import ArrayLike
from pydantic import Field, model_validator

from spinase.errors import ModelError
from spinase.law_tables import CutOffTable, ExponentialTable, OptionTable, PowerTable
from spinase.pair_laws import AmongSpecies, DistanceLaw, PairLaw, ShellLaw, SpeciesLaw
from spinase.radial import BetheSlater, Morse, RadialLaw, Tabulated, step_width
from spinase.shells import ShellDistances, ShellWidth
from spinase.spin_algebra import as_numbers, normalized
from spinase.typing import FloatArray

Coupling = Sequence[float] | RadialLaw | ShellLaw
"""J_1, J_2, ... by neighbour shell (a :class:`~spinase.pair_laws.ShellLaw` says distances, too), or a law of distance."""
PairTable = Mapping[str, Coupling]
"""Couplings by pair of species: ``{"Fe-Co": [J_1, ...] or a law of distance}``; shells are those of such pairs."""


class ExponentialLawConfig(ExponentialTable):
    """v(r) = amplitude exp(-decay (r - reference)), smoothly cut off."""

    amplitude: float = Field(description="coupling at the reference distance [energy]")

    def build(self) -> RadialLaw:
        """The law of distance."""
        return self.law(self.amplitude)


class PowerLawConfig(PowerTable):
    """v(r) = amplitude (reference/r)^exponent, smoothly cut off."""

    amplitude: float = Field(description="coupling at the reference distance [energy]")

    def build(self) -> RadialLaw:
        """The law of distance."""
        return self.law(self.amplitude)


class BetheSlaterConfig(OptionTable):
    """v(r) = 4 a (r/d)^2 [1 - b (r/d)^2] exp(-(r/d)^2)."""

    amplitude: float = Field(description="a [energy]")
    shape: float = Field(description="b")
    range: float = Field(gt=0, description="d [length]")
    cutoff: float = Field(gt=0, description="distance beyond which the coupling is zero [length]")
    switch_width: float | None = Field(None, gt=0, description="width of the smooth step; absent: cut off sharply [length]")

    def build(self) -> RadialLaw:
        """The law of distance."""
        return BetheSlater(self.amplitude, self.shape, self.range, self.cutoff, self.switch_width)


class MorseConfig(CutOffTable):
    """v(r) = depth [exp(-2 decay (r - reference)) - 2 exp(-decay (r - reference))], smoothly cut off."""

    depth: float = Field(description="depth of the well [energy]")
    decay: float = Field(description="a [1/length]")
    reference: float = Field(description="bottom of the well [length]")

    def build(self) -> RadialLaw:
        """The law of distance."""
        return Morse(self.depth, self.decay, self.reference, self.cutoff, self.width)


class TabulatedConfig(OptionTable):
    """v(r), a cubic spline through values at distances, smoothly cut off at the last one or before."""

    distances: list[float] = Field(description="ascending distances, four or more [length]")
    values: list[float] = Field(description="couplings there [energy]")
    cutoff: float | None = Field(None, gt=0, description="where it is zero; absent: the last distance [length]")
    switch_width: float | None = Field(
        None, gt=0, description="width of the smooth step before the cutoff; absent: cutoff/10 [length]"
    )

    def build(self) -> RadialLaw:
        """The law of distance."""
        cutoff = max(self.distances, default=0.0) if self.cutoff is None else self.cutoff
        return Tabulated(tuple(self.distances), tuple(self.values), cutoff, step_width(cutoff, self.switch_width))


class OnePairConfig(OptionTable):
    """Coupling by neighbour shell, or by distance in one of several forms."""

    shells: list[float] | None = Field(None, description="couplings by neighbour shell of a lattice [energy]")
    distances: ShellDistances = None
    width: ShellWidth = None
    law: ExponentialLawConfig | None = Field(None, description="exponential in the distance")
    power: PowerLawConfig | None = Field(None, description="power of the distance")
    bethe_slater: BetheSlaterConfig | None = Field(None, description="Bethe-Slater curve")
    morse: MorseConfig | None = Field(None, description="Morse curve")
    tabulated: TabulatedConfig | None = Field(None, description="values at distances, with a spline between them")

    @model_validator(mode="after")
    def _one_law(self) -> OnePairConfig:
        names = [name for name in type(self).model_fields if name in _LAWS and getattr(self, name) is not None]
        if len(names) != 1:
            offered = [name for name in _LAWS if name in type(self).model_fields]
            raise ValueError(f"give exactly one of {', '.join(offered)} (got {', '.join(names) or 'none'})")
        if self.shells is None and (self.distances is not None or self.width is not None):
            raise ValueError(f"distances and width belong to shells, not to {names[0]}")
        return self

    def coupling(self) -> ShellLaw | RadialLaw:
        """Shells, or the law of distance."""
        if self.shells is not None:
            return ShellLaw(self.shells, self.distances, self.width)
        return next(getattr(self, name) for name in _LAWS[1:6] if getattr(self, name) is not None).build()


_LAWS = ("shells", "law", "power", "bethe_slater", "morse", "tabulated", "pairs")


class PairConfig(OnePairConfig):
    """Coupling by neighbour shell, by distance, or by pair of species."""

    pairs: dict[str, OnePairConfig] | None = Field(None, description='by species, such as { "Fe-Co" = { shells = [1.0] } }')
    species: list[str] | None = Field(None, description="only among sites of these species; absent: all")

    def laws(self) -> dict[str, Any]:
        """Arguments law or shells, pairs and species of a calculator."""
        if self.pairs is not None:
            return {"pairs": {key: pair.coupling() for key, pair in self.pairs.items()}, "species": self.species}
        coupling = self.coupling()
        return {"shells" if isinstance(coupling, ShellLaw) else "law": coupling, "species": self.species}


def pair_law(
    shells: Sequence[float] | ShellLaw | None = None,
    law: RadialLaw | None = None,
    pairs: PairTable | None = None,
    species: Sequence[str] | None = None,
) -> PairLaw:
    """A shell law, a law of distance or a table by species, whichever is given; ModelError unless exactly one is.

    With `species`, only sites of these count, also for the shells.

    Parameters
    ----------
    shells : sequence of float or ShellLaw, optional
        Couplings of neighbour shells, nearest first, energy.
    law : RadialLaw, optional
        Coupling (energy) as a function of the distance.
    pairs : mapping, optional
        Either of them for pairs of species, such as ``{"Fe-Co": [1.0]}``.
    species : sequence of str, optional
        Symbols of the sites that count; None: all.

    Raises
    ------
    ModelError
        Unless exactly one of the three is given.
    """
    if sum(given is not None for given in (shells, law, pairs)) != 1:
        raise ModelError(
            "give exactly one of shells=[...] (by neighbour shell), law=... (by distance) and pairs={...} (by species)"
        )
    if pairs is not None:
        chosen: PairLaw = SpeciesLaw({_pair_numbers(key): law_of(one) for key, one in pairs.items()})
    else:
        one = law if law is not None else shells
        assert one is not None
        chosen = law_of(one)
    return chosen if species is None else AmongSpecies(chosen, [number_of(symbol) for symbol in species])


def law_of(coupling: Coupling) -> PairLaw:
    """The pair law of couplings by shell (a list, or with distances or a width a ShellLaw) or by distance."""
    if isinstance(coupling, RadialLaw):
        return DistanceLaw(coupling)
    return coupling if isinstance(coupling, PairLaw) else ShellLaw(coupling)


def _pair_numbers(key: str) -> tuple[int, int]:
    one, dash, two = key.partition("-")
    if not dash:
        raise ModelError(f"a pair of species is written 'Fe-Co', got {key!r}")
    return number_of(one), number_of(two)


def number_of(symbol: str) -> int:
    """Atomic number of a chemical symbol; ModelError if there is none."""
    if symbol.strip() not in atomic_numbers:
        raise ModelError(f"{symbol!r} is no chemical symbol")
    return int(atomic_numbers[symbol.strip()])


def unit_vector(vector: ArrayLike, what: str) -> FloatArray:
    """`vector` (3,) normalized; ModelError if it is no finite vector."""
    value = as_numbers(vector, f"components of {what}")
    if value.shape != (3,) or not np.isfinite(value).all():
        raise ModelError(f"{what} must be a finite vector of three numbers, got {vector!r}")
    return normalized(value[None, :], what)[0]


def finite(value: float, what: str) -> float:
    """`value` as a float; ModelError if it is not finite."""
    number = float(as_numbers(value, what))
    if not np.isfinite(number):
        raise ModelError(f"{what} must be finite, got {value}")
    return number
