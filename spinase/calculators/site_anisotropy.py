"""Anisotropies that differ from site to site as an ASE calculator: given axes, or random ones of a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import ArrayLike
from pydantic import Field, model_validator

from spinase.calculators.base import SpinCalculator
from spinase.calculators.classical import TermCalculator
from spinase.classical.site_anisotropy import RandomAxes, SiteAnisotropy
from spinase.classical.terms import OfSpecies
from spinase.errors import ModelError
from spinase.law_tables import OptionTable
from spinase.spin_algebra import normalized
from spinase.typing import FloatArray


class SiteAnisotropyConfig(OptionTable):
    """Anisotropies of the sites."""

    strength: float | list[float] = Field(description="K1, of all sites or of each [energy]")
    fourth_order: float | list[float] = Field(0.0, description="K2, of all sites or of each [energy]")
    axes: list[tuple[float, float, float]] | None = Field(None, description="axis of every site")
    random_axes: int | None = Field(None, description="seed of random axes; give this or axes")
    species: list[str] | None = Field(None, description="only on sites of these species; absent: all")

    @model_validator(mode="after")
    def _one_source(self) -> SiteAnisotropyConfig:
        if (self.axes is None) == (self.random_axes is None):
            raise ValueError("give exactly one of axes (one for every site) and random_axes (a seed)")
        return self


class SiteAnisotropyCalculator(TermCalculator):
    """Uniaxial anisotropies of the sites, E = -sum_i [K1_i (s_i.n_i)^2 + K2_i (s_i.n_i)^4].

    Parameters
    ----------
    strength : float or (N,)
        K1 of all sites, or of each, energy; positive: easy axis.
    axes : (N, 3) or RandomAxes
        Axes of the sites (normalized here), or ``RandomAxes(seed)``: uniform on the sphere.
    fourth_order : float or (N,)
        K2, energy.
    units : str, optional
        Unit system of K1 and K2.
    species : sequence of str, optional
        Only on sites of these species; axes are still those of all sites.
    """

    Config = SiteAnisotropyConfig
    citation = "R. Harris, M. Plischke, M. J. Zuckermann, Phys. Rev. Lett. 31, 160 (1973), doi:10.1103/PhysRevLett.31.160"
    symmetries = SpinCalculator.symmetries - {"spin_rotation", "joint_rotation", "permutation"}

    def __init__(
        self,
        strength: ArrayLike,
        axes: ArrayLike | RandomAxes,
        fourth_order: ArrayLike = 0.0,
        *,
        units: str | None = None,
        species: Sequence[str] | None = None,
    ) -> None:
        found = axes if isinstance(axes, RandomAxes) else _axes(axes)
        first, second = _constants(strength, "strength"), _constants(fourth_order, "fourth_order")
        given = [one for one in (first, second, found) if isinstance(one, np.ndarray) and one.ndim]
        sizes = {len(one) for one in given}
        if len(sizes) > 1:
            raise ModelError(f"strength, fourth_order and axes are of different numbers of sites: {sorted(sizes)}")
        super().__init__(SiteAnisotropy(first, second, found), units=units, species=species)

    @classmethod
    def from_config(cls, config: SiteAnisotropyConfig) -> SiteAnisotropyCalculator:
        """Calculator from the table of an input file."""
        if config.random_axes is not None:
            return cls(config.strength, RandomAxes(config.random_axes), config.fourth_order, species=config.species)
        assert config.axes is not None
        return cls(config.strength, config.axes, config.fourth_order, species=config.species)

    def for_supercell(self, repeat: tuple[int, int, int]) -> SiteAnisotropyCalculator | None:
        """Repeated site by site; None for random axes, which a larger magnet has other ones of."""
        own = self._term
        term, species = (own.term, [chemical_symbols[k] for k in own.numbers]) if isinstance(own, OfSpecies) else (own, None)
        assert isinstance(term, SiteAnisotropy)
        if isinstance(term.axes, RandomAxes):
            return None
        cells = int(np.prod(repeat))
        first, second = (np.tile(one, cells) if one.ndim else one for one in (term.strength, term.fourth_order))
        return type(self)(first, np.tile(term.axes, (cells, 1)), second, units=self.units, species=species)


def _axes(axes: ArrayLike) -> FloatArray:
    """Unit vectors (N, 3)."""
    value = np.asarray(axes, dtype=np.float64)
    if value.ndim != 2 or value.shape[1] != 3 or not np.isfinite(value).all():
        raise ModelError(f"axes must be finite vectors of all sites, shape (N, 3), got shape {value.shape}")
    return normalized(value, "axis")


def _constants(value: ArrayLike, what: str) -> FloatArray:
    """One number or one for each site, finite."""
    found = np.asarray(value, dtype=np.float64)
    if found.ndim > 1 or not np.isfinite(found).all():
        raise ModelError(f"{what} must be one finite number, or one for each site, got {value!r}")
    return found


__all__ = ["RandomAxes", "SiteAnisotropyCalculator"]
