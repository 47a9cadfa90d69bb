"""Couplings of four spins as ASE calculators: listed products, ring exchange, three-site couplings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from spinase.calculators.base import SpinCalculator
from spinase.calculators.classical import TermCalculator
from spinase.calculators.options import finite, pair_law
from spinase.classical.four_spin import FourSpin, RingExchange, ThreeSite
from spinase.classical.product_table import ProductTable, ProductTableTerm
from spinase.errors import ModelError
from spinase.law_tables import OptionTable
from spinase.pair_laws import ShellLaw


class LoopConfig(OptionTable):
    """Couplings of four spins along bonds."""

    strength: float = Field(description="K of every loop or triangle [energy]")
    shell: int = Field(1, ge=1, description="neighbour shell whose pairs are the bonds")
    species: list[str] | None = Field(None, description="only among sites of these species; absent: all")


class FourSpinConfig(OptionTable):
    """Listed products of four spins."""

    sites: list[tuple[int, int, int, int]] = Field(description="sites a, b, c, d of every product, from 0")
    strengths: list[float] = Field(description="K of each: -K (s_a.s_b)(s_c.s_d) [energy]")


def _bonds(shell: int) -> ShellLaw:
    """Pairs of one neighbour shell."""
    if shell != int(shell) or shell < 1:
        raise ModelError(f"shell must be the number of a neighbour shell, 1 or more, got {shell!r}")
    return ShellLaw([0.0] * (int(shell) - 1) + [1.0])


class _LoopCalculator(TermCalculator):
    """A term of loops of bonds with one strength."""

    Config = LoopConfig
    _kind: ClassVar[type[RingExchange] | type[ThreeSite]]

    def __init__(
        self, strength: float, shell: int = 1, *, units: str | None = None, species: Sequence[str] | None = None
    ) -> None:
        bonds = pair_law(_bonds(shell), species=species)
        super().__init__(self._kind(finite(strength, "strength"), bonds), units=units, species=species)

    @classmethod
    def from_config(cls, config: LoopConfig) -> Self:
        """Calculator from the table of an input file."""
        return cls(config.strength, config.shell, species=config.species)


class RingExchangeCalculator(_LoopCalculator):
    """Ring exchange, E = -K sum over loops 1234 [(s_1.s_2)(s_3.s_4) + (s_1.s_4)(s_2.s_3) - (s_1.s_3)(s_2.s_4)].

    Loops are closed ways of four different sites along bonds of a neighbour shell, each once (plaquettes of a square
    lattice, rhombi of a triangular one).  No forces on atoms.

    Parameters
    ----------
    strength : float
        K, energy.
    shell : int
        Neighbour shell of the magnetic sites whose pairs are the bonds.
    units : str, optional
        Unit system of K.
    species : sequence of str, optional
        Only among sites of these species.
    """

    citation = "M. Roger, J. H. Hetherington, J. M. Delrieu, Rev. Mod. Phys. 55, 1 (1983), doi:10.1103/RevModPhys.55.1"
    _kind = RingExchange


class ThreeSiteCalculator(_LoopCalculator):
    """Three-site couplings, E = -K sum over triangles 123 [(s_1.s_2)(s_2.s_3) + (s_2.s_3)(s_3.s_1) + (s_3.s_1)(s_1.s_2)].

    Parameters
    ----------
    strength : float
        K, energy.
    shell : int
        Neighbour shell of the magnetic sites whose pairs are the sides of triangles.
    units : str, optional
        Unit system of K.
    species : sequence of str, optional
        Only among sites of these species.
    """

    citation = "M. Hoffmann, S. Bluegel, Phys. Rev. B 101, 024418 (2020), doi:10.1103/PhysRevB.101.024418"
    _kind = ThreeSite


class FourSpinCalculator(TermCalculator):
    """Listed products, E = -sum K_q (s_a.s_b)(s_c.s_d), as Spirit's quadruplets.

    Parameters
    ----------
    sites : (q, 4)
        Numbers of the sites a, b, c, d; sites may repeat within a product.
    strengths : (q,)
        K of each, energy.
    units : str, optional
        Unit system of K.
    """

    Config = FourSpinConfig
    citation = "M. Takahashi, J. Phys. C 10, 1289 (1977), doi:10.1088/0022-3719/10/8/031"
    symmetries = SpinCalculator.symmetries - {"permutation"}

    def __init__(self, sites: ArrayLike, strengths: ArrayLike, *, units: str | None = None) -> None:
        which, values = np.asarray(sites), np.asarray(strengths, dtype=np.float64)
        if which.ndim != 2 or which.shape[1] != 4 or not np.issubdtype(which.dtype, np.integer):
            raise ModelError(f"sites must be four numbers of sites for every product, shape (q, 4), got shape {which.shape}")
        if values.shape != (len(which),) or not np.isfinite(values).all():
            raise ModelError(f"{len(which)} products need as many finite strengths, got shape {values.shape}")
        super().__init__(FourSpin(which.astype(np.int64), values), units=units)

    @classmethod
    def from_config(cls, config: FourSpinConfig) -> FourSpinCalculator:
        """Calculator from the table of an input file."""
        return cls(config.sites, config.strengths)

    def for_supercell(self, repeat: tuple[int, int, int]) -> None:
        """None: which images of the sites belong together is not said (:class:`ProductTableCalculator` says it)."""
        return


class ProductTableCalculator(TermCalculator):
    """Products of four spins listed for one cell, on it or any repetition of it (sites in any order).

    Parameters
    ----------
    table : ProductTable
        Products with the cells of their sites.
    tolerance : float
        How far a site may be from where the table has it, length.
    units : str, optional
        Unit system of the table.
    """

    citation = FourSpinCalculator.citation
    symmetries = SpinCalculator.symmetries - {"lattice_rotation", "joint_rotation", "translation"}

    def __init__(self, table: ProductTable, tolerance: float = 0.05, *, units: str | None = None) -> None:
        super().__init__(ProductTableTerm(table, tolerance), units=units)


__all__ = ["FourSpinCalculator", "ProductTableCalculator", "RingExchangeCalculator", "ThreeSiteCalculator"]
