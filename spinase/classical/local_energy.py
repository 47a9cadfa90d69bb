"""Classical terms as local energies: energy and derivatives of the given pairs of a region, ghosts included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spinase.classical.terms import FrozenLocalTerm, LocalTerm
from spinase.regions import LocalResult, Region
from spinase.spin_algebra import per_moment
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class TermEnergy:
    """One term as ``contract.LocalEnergy``.

    Attributes
    ----------
    name : str
        For errors.
    term : LocalTerm
        The term for given pairs.
    units : str or None
        Unit system of its parameters; None: any.
    """

    name: str
    term: LocalTerm
    units: str | None = None

    @property
    def cutoff(self) -> float:
        """That of the term, length."""
        return self.term.cutoff

    @property
    def ghost_depth(self) -> float:
        """That of the term, length."""
        return self.term.ghost_depth

    @property
    def refused_properties(self) -> Mapping[str, str]:
        """Nothing is refused."""
        return {}

    def freeze(self, region: Region) -> FrozenTermEnergy:
        """The term on a region.

        Raises
        ------
        InvalidGeometryError
            If pairs or ghosts do not reach far enough.
        """
        region.require(self.name, self.cutoff, self.ghost_depth)
        return FrozenTermEnergy(self.term.freeze(region), region.owned)


@dataclass(frozen=True, eq=False)
class FrozenTermEnergy:
    """One term on a region that owns `owned` sites."""

    term: FrozenLocalTerm
    owned: int

    def evaluate(self, spins: FloatArray, lengths: FloatArray, forces: bool = False) -> LocalResult:
        """Energies and derivatives, see ``contract.FrozenLocalEnergy``.

        Parameters
        ----------
        spins : (n, 3) ndarray
            Unit spins of all sites of the region, ghosts included.
        lengths : (n,) ndarray
            Lengths of their moments, moment.
        forces : bool
            Whether forces and virial are asked for.
        """
        energies = self.term.site_energies(spins, lengths)[: self.owned]
        fields = per_moment(self.term.gradient(spins, lengths), lengths)
        if not forces:
            return LocalResult(energies, fields)
        return LocalResult(energies, fields, *self.term.lattice(spins, lengths))


__all__ = ["FrozenTermEnergy", "TermEnergy"]
