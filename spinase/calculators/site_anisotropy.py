"""Anisotropies that differ from site to site as an ASE calculator: given axes, or random ones of a seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import ArrayLike
from pydantic import Field, model_validator

from spinase.calculators.base import SpinCalculator
from spinase.calculators.classical import TermCalculator
from spinase.classical.site_anisotropy import RandomAxes, SiteAnisotropy, SiteCubic, TermOfSites
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


class SiteCubicConfig(OptionTable):
    """Cubic anisotropies of the sites."""

    strength: float | list[float] = Field(description="K1, of all sites or of each, positive: cube axes easy [energy]")
    sixth_order: float | list[float] = Field(0.0, description="K2, of all sites or of each [energy]")
    axes: list[tuple[tuple[float, float, float], ...]] | None = Field(None, description="three cube axes of every site")
    random_axes: int | None = Field(None, description="seed of random cube axes; give this or axes")
    species: list[str] | None = Field(None, description="only on sites of these species; absent: all")

    @model_validator(mode="after")
    def _one_source(self) -> SiteCubicConfig:
        if (self.axes is None) == (self.random_axes is None):
            raise ValueError("give exactly one of axes (three for every site) and random_axes (a seed)")
        return self


class _SiteCalculator(TermCalculator):
    """Two constants and axes of every site."""

    symmetries = SpinCalculator.symmetries - {"spin_rotation", "joint_rotation", "permutation"}

    def for_supercell(self, repeat: tuple[int, int, int]) -> Self | None:
        """Repeated site by site; None for random axes, which a larger magnet has other ones of."""
        own = self._term
        term, species = (own.term, [chemical_symbols[k] for k in own.numbers]) if isinstance(own, OfSpecies) else (own, None)
        assert isinstance(term, TermOfSites)
        if isinstance(term.axes, RandomAxes):
            return None
        cells = int(np.prod(repeat))
        first, second = (np.tile(one, cells) if one.ndim else one for one in term.constants)
        kind: Callable[..., Self] = type(self)
        return kind(first, np.concatenate([term.axes] * cells), second, units=self.units, species=species)


class SiteAnisotropyCalculator(_SiteCalculator):
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
        _require_equal_numbers("fourth_order", first, second, found)
        super().__init__(SiteAnisotropy(first, second, found), units=units, species=species)

    @classmethod
    def from_config(cls, config: SiteAnisotropyConfig) -> SiteAnisotropyCalculator:
        """Calculator from the table of an input file."""
        if config.random_axes is not None:
            return cls(config.strength, RandomAxes(config.random_axes), config.fourth_order, species=config.species)
        assert config.axes is not None
        return cls(config.strength, config.axes, config.fourth_order, species=config.species)


class SiteCubicCalculator(_SiteCalculator):
    """Cubic anisotropies with axes by site, E = sum K1 (sx^2 sy^2 + sy^2 sz^2 + sz^2 sx^2) + K2 sx^2 sy^2 sz^2: grains.

    Parameters
    ----------
    strength : float or (N,)
        K1 of all sites, or of each, energy; positive: cube axes easy.
    axes : (N, 3, 3) or RandomAxes
        Orthogonal rows, the cube axes of the sites (normalized here), or ``RandomAxes(seed)``: uniform rotations.
    sixth_order : float or (N,)
        K2, energy.
    units : str, optional
        Unit system of K1 and K2.
    species : sequence of str, optional
        Only on sites of these species; axes are still those of all sites.
    """

    Config = SiteCubicConfig
    citation = "L. D. Landau and E. M. Lifshitz, Electrodynamics of Continuous Media, sec. 40"

    def __init__(
        self,
        strength: ArrayLike,
        axes: ArrayLike | RandomAxes,
        sixth_order: ArrayLike = 0.0,
        *,
        units: str | None = None,
        species: Sequence[str] | None = None,
    ) -> None:
        found = axes if isinstance(axes, RandomAxes) else _frames(axes)
        first, second = _constants(strength, "strength"), _constants(sixth_order, "sixth_order")
        _require_equal_numbers("sixth_order", first, second, found)
        super().__init__(SiteCubic(first, second, found), units=units, species=species)

    @classmethod
    def from_config(cls, config: SiteCubicConfig) -> SiteCubicCalculator:
        """Calculator from the table of an input file."""
        axes: ArrayLike | RandomAxes = (
            RandomAxes(config.random_axes) if config.random_axes is not None else config.axes or []
        )
        return cls(config.strength, axes, config.sixth_order, species=config.species)


def _require_equal_numbers(second_name: str, *given: FloatArray | RandomAxes) -> None:
    """Constants and axes are of one number of sites, where they are not of all."""
    sizes = {len(one) for one in given if isinstance(one, np.ndarray) and one.ndim}
    if len(sizes) > 1:
        raise ModelError(f"strength, {second_name} and axes are of different numbers of sites: {sorted(sizes)}")


def _frames(axes: ArrayLike) -> FloatArray:
    """Orthonormal rows (N, 3, 3)."""
    value = np.asarray(axes, dtype=np.float64)
    if value.ndim != 3 or value.shape[1:] != (3, 3) or not np.isfinite(value).all():
        raise ModelError(f"axes must be three finite vectors for every site, shape (N, 3, 3), got shape {value.shape}")
    found = normalized(value.reshape(-1, 3), "cube axis").reshape(-1, 3, 3)
    wrong = np.flatnonzero(np.abs(found @ found.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2)) > 1e-9)
    if len(wrong):
        raise ModelError(f"cube axes must be orthogonal, those of site {wrong[0]} are {value[wrong[0]].tolist()}")
    return found


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


__all__ = ["RandomAxes", "SiteAnisotropyCalculator", "SiteCubicCalculator"]
