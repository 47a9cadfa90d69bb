"""Electrons of learned magnets: grand potentials that are polynomials of the chemical potential.

At a fixed number of electrons fields are not local: the chemical potential, which all sites share, moves with the whole
configuration.  At a fixed chemical potential they are, so the parts of a site are a polynomial

    Omega_i(spins, mu) = sum_k T_k(x) e_ik(spins),    x = (mu - middle of the window) / half its width,

with Chebyshev's T_k.  The magnet has N = -dOmega/dmu electrons; where N is given, that tells mu, the energy is
F = Omega + mu N, and as N does not change, the gradient of F is that of Omega at this mu: fields come from the network with
its outputs mixed by T_k(x), at the cost of a network without electrons.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.polynomial import chebyshev
from pydantic import AliasChoices, Field, field_validator
from torch import Tensor

from spinase.errors import ModelError
from spinase.learning.polynomials import polynomial_slopes, polynomials, position
from spinase.learning.readout import Readout, ReadoutConfig, Weighed
from spinase.typing import FloatArray


class GrandPotentialConfig(ReadoutConfig):
    """What a model file says of a grand potential."""

    chemical_potentials: tuple[float, float] = Field(
        description="window of the chemical potentials that were trained [energy]",
        validation_alias=AliasChoices("chemical_potentials", "window"),  # the latter in older files
    )

    @field_validator("chemical_potentials")
    @classmethod
    def _rising(cls, window: tuple[float, float]) -> tuple[float, float]:
        if not window[0] < window[1]:
            raise ValueError(f"chemical_potentials must be a range (low, high), got {window}")
        return window


@dataclass(frozen=True)
class GrandPotentialReadout(Readout):
    """Omega at a chemical potential, or F = Omega + mu N at a number of electrons.

    Attributes
    ----------
    chemical_potentials : (float, float)
        Window of those the network knows, energy.
    filling : float or None
        Electrons per spin-orbital (two on a site), for a fixed number of them.
    chemical_potential : float or None
        The chemical potential, if it is fixed instead, energy.
    """

    chemical_potentials: tuple[float, float]
    filling: float | None = None
    chemical_potential: float | None = None

    Config = GrandPotentialConfig
    results = ("chemical_potential",)
    response = "electrons"

    @property
    def parts(self) -> int:
        """Two at least, for a slope."""
        return 2

    @property
    def condition(self) -> str:
        """Chemical potentials, from -1 to 1 in the window."""
        return "chemical_potentials"

    def at(self, filling: float | None = None, chemical_potential: float | None = None) -> Self:
        """The same with another filling, or with another chemical potential.

        Raises
        ------
        ModelError
            If both are given, or one is outside its range.
        """
        if filling is not None and chemical_potential is not None:
            raise ModelError("give a filling or a chemical potential of the learned magnet, not both")
        if filling is not None and not 0.0 <= filling <= 1.0:
            raise ModelError(f"a filling is between 0 and 1 electrons per spin-orbital, got {filling}")
        low, high = self.chemical_potentials
        if chemical_potential is not None and not low <= chemical_potential <= high:
            raise ModelError(
                f"the model knows chemical potentials from {low:.6g} to {high:.6g}, got {chemical_potential:.6g}"
            )
        return replace(self, filling=filling, chemical_potential=chemical_potential)

    def _middle_and_half(self) -> tuple[float, float]:
        """Middle of the window, and half its width, energy."""
        low, high = self.chemical_potentials
        return (low + high) / 2.0, (high - low) / 2.0

    def constant_weights(self, parts: int) -> FloatArray | None:
        """None: they follow from the chemical potential."""
        if parts < 2:
            raise ModelError("one part of a site is no polynomial of the chemical potential: at least two are needed")
        return None

    def weigh(self, parts: FloatArray, magnets: int, scale: float, places: FloatArray) -> Weighed:
        """T_k(x) of every magnet at all its sites; results ``chemical_potential``, and ``filling`` per spin-orbital."""
        each = parts.reshape(magnets, -1, parts.shape[1])
        found = [self.occupied(part.sum(axis=0), len(part), scale) for part in each]
        known = self.filling
        fillings = [
            known if known is not None else self.filling_at(one[0], part.sum(axis=0), len(part), scale)
            for one, part in zip(found, each, strict=True)
        ]
        weights = np.repeat([one[1] for one in found], each.shape[1], axis=0)
        results = {"chemical_potential": np.array([one[0] for one in found]), "filling": np.array(fillings)}
        return Weighed(weights[None], np.array([one[2] for one in found]), results)

    def occupied(self, parts: FloatArray, sites: int, scale: float) -> tuple[float, FloatArray, float]:
        """Chemical potential, T_k there (K,), and mu N (zero at a fixed mu), for sums of e_ik over the sites.

        Parameters
        ----------
        parts : (K,) ndarray
            Sums of e_ik over the sites, in units of `scale`.
        sites : int
            With two spin-orbitals each.
        scale : float
            Energy.

        Raises
        ------
        ModelError
            If no chemical potential in the window gives the number of electrons.
        """
        middle, half = self._middle_and_half()
        if self.chemical_potential is not None:
            x, work = (self.chemical_potential - middle) / half, 0.0
        else:
            assert self.filling is not None
            if not sites:
                raise ModelError("no chemical potential belongs to a filling of no sites: add sites, or fix the potential")
            electrons = 2.0 * self.filling * sites
            x = position(parts * scale / half, electrons)
            if np.isnan(x):
                ends = -scale / half * chebyshev.chebval([-1.0, 1.0], chebyshev.chebder(parts)) / (2.0 * sites)
                raise ModelError(
                    f"no chemical potential from {middle - half:.6g} to {middle + half:.6g}, which the model knows, gives "
                    f"a filling of {self.filling:.6g} (the ends of this window give {ends[0]:.6g} and {ends[1]:.6g}): use a "
                    "filling the model was trained for, or train one for this"
                )
            work = (middle + half * x) * electrons
        return middle + half * x, chebyshev.chebvander(x, len(parts) - 1)[0], work

    def filling_at(self, chemical_potential: float, parts: FloatArray, sites: int, scale: float) -> float:
        """Electrons per spin-orbital, -dOmega/dmu over the orbitals, for sums of e_ik over the sites.

        Parameters
        ----------
        chemical_potential : float
            Energy.
        parts : (K,) ndarray
            Sums of e_ik over the sites, in units of `scale`.
        sites : int
            With two spin-orbitals each.
        scale : float
            Energy.
        """
        middle, half = self._middle_and_half()
        slope = chebyshev.chebval((chemical_potential - middle) / half, chebyshev.chebder(parts))
        return float(-scale / half * slope / (2.0 * sites))

    def batch_weights(self, condition: Tensor | None, configurations: int, parts: int, like: Tensor) -> Tensor:
        """T_k at chemical potentials x from -1 to 1 in the window."""
        if condition is None:
            raise ModelError("this network needs electrons: give chemical potentials")
        return polynomials(condition.to(like), parts - 1)[:, None]

    def batch_slopes(self, condition: Tensor, parts: int) -> Tensor:
        """T'_k there."""
        return polynomial_slopes(condition, parts - 1)[:, None]


__all__ = ["GrandPotentialReadout"]
