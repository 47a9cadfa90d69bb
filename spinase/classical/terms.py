"""What a classical energy term is: frozen on a geometry, then energy, field and forces of any spins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from spinase.classical.kernels import central_pull, pull
from spinase.classical.local_model import LocalModel
from spinase.errors import ModelError
from spinase.geometry import Bonds, Geometry
from spinase.given_pairs import Couplings, GivenPairLaw
from spinase.pair_laws import PairLaw
from spinase.regions import Region
from spinase.spin_algebra import own_arrays
from spinase.typing import BoolArray, FloatArray


class FrozenTerm(ABC):
    """A term on a geometry.  Spins (N, 3) are free vectors (zero rows: non-magnetic sites), lengths (N,) the |m_i|."""

    @abstractmethod
    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """Energy E.

        Parameters
        ----------
        spins, lengths : (N, 3), (N,) ndarray
            Unit vectors (zero rows: non-magnetic), and lengths of the moments, mu_B or |m|.
        """

    @abstractmethod
    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = -dE/ds_i, energy, (N, 3).

        Parameters
        ----------
        spins, lengths : (N, 3), (N,) ndarray
            As in :meth:`energy`.
        """

    def lattice(self, spins: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Forces -dE/dr_i (N, 3), energy/length, and virial dE/d(strain) (3, 3), energy; zero unless overridden.

        Parameters
        ----------
        spins, lengths : (N, 3), (N,) ndarray
            As in :meth:`energy`.
        """
        return np.zeros((len(spins), 3)), np.zeros((3, 3))

    def local_model(self, lengths: FloatArray) -> LocalModel | None:
        """The term as sums over sites and pairs, for sampling one spin at a time; None if it is no such sum."""
        return None


class FrozenLocalTerm(FrozenTerm):
    """A frozen term that is a sum over sites and bonds."""

    @abstractmethod
    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """What of E is at each site, (N,), energy: the whole energy of a bond is at its first site."""


class LocalTerm(ABC):
    """A term for given pairs: it looks for no neighbours and knows no cell."""

    @property
    @abstractmethod
    def cutoff(self) -> float:
        """How far pairs must be given, length; 0: none are needed."""

    @property
    def ghost_depth(self) -> float:
        """How far ghosts must reach from owned sites, length: the cutoff, where no pairs of ghosts are needed."""
        return self.cutoff

    @abstractmethod
    def freeze(self, region: Region) -> FrozenLocalTerm:
        """The term on all sites of a region, its energy that of the owned sites.

        Of the pairs it takes those that start at an owned site, each with half its coupling: a pair of owned sites is listed
        in both directions, of a pair with a ghost the owned site has half.
        """


class Term(ABC):
    """A classical energy term; its parameters are its own, and fixed."""

    not_local: ClassVar[str] = "it is no sum over sites and pairs"
    """Why there is no :meth:`local` form, for terms that have none."""

    def __post_init__(self) -> None:
        own_arrays(self)

    @abstractmethod
    def freeze(self, geometry: Geometry) -> FrozenTerm:
        """Neighbour lists and couplings of a geometry."""

    def local(self, geometry: Geometry | None = None) -> LocalTerm:
        """The term for given pairs; `geometry`, the whole magnet, shows neighbour shells that were given no distances.

        Raises
        ------
        ModelError
            If the term has no such form, or needs the geometry for it.
        """
        raise ModelError(f"{type(self).__name__} cannot be divided among regions: {self.not_local}")


class PairTerm(Term):
    """A term of pair laws: couplings on bonds."""

    @abstractmethod
    def laws(self) -> tuple[PairLaw, ...]:
        """The pair laws; at least one."""

    @abstractmethod
    def on(self, couplings: Sequence[Couplings], sites: int) -> FrozenLocalTerm:
        """The term on bonds with couplings and slopes, one set for each law, of so many sites."""

    def freeze(self, geometry: Geometry) -> FrozenLocalTerm:
        """Bonds and couplings of a geometry."""
        return self.on([law.amplitudes(geometry) for law in self.laws()], len(geometry))

    def local(self, geometry: Geometry | None = None) -> LocalTerm:
        """The term with its laws on given pairs."""
        return LocalPairTerm(self, tuple(law.local(geometry) for law in self.laws()))


@dataclass(frozen=True, eq=False)
class LocalPairTerm(LocalTerm):
    """A term of pair laws on given pairs."""

    term: PairTerm
    laws: tuple[GivenPairLaw, ...]

    @property
    def cutoff(self) -> float:
        """That of the law that reaches farthest."""
        return max(law.cutoff for law in self.laws)

    def freeze(self, region: Region) -> FrozenLocalTerm:
        """Half the couplings of the pairs that start at owned sites."""
        found = [law.on(region.owned_pairs, region) for law in self.laws]
        return self.term.on([(pairs, 0.5 * values, 0.5 * slopes) for pairs, values, slopes in found], len(region))


class SiteTerm(Term, FrozenLocalTerm):
    """A term of single sites; it knows no geometry."""

    def freeze(self, geometry: Geometry) -> FrozenLocalTerm:
        """The term itself."""
        return self

    def local(self, geometry: Geometry | None = None) -> LocalTerm:
        """The term on owned sites."""
        return LocalSiteTerm(self)


@dataclass(frozen=True, eq=False)
class LocalSiteTerm(LocalTerm):
    """A term of single sites on the owned ones."""

    term: SiteTerm

    @property
    def cutoff(self) -> float:
        """No pairs are needed."""
        return 0.0

    def freeze(self, region: Region) -> FrozenLocalTerm:
        """The term, blind to ghosts."""
        return FrozenOnOwned(self.term, region.owned)


@dataclass(frozen=True, eq=False)
class FrozenOnOwned(FrozenLocalTerm):
    """A term of single sites on the first `owned` ones."""

    term: SiteTerm
    owned: int

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """Energy of the owned sites."""
        return self.term.energy(spins[: self.owned], lengths[: self.owned])

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i of the owned sites, zero on ghosts."""
        out = np.zeros_like(spins)
        out[: self.owned] = self.term.gradient(spins[: self.owned], lengths[: self.owned])
        return out

    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """E_i of the owned sites, zero on ghosts."""
        out = np.zeros(len(spins))
        out[: self.owned] = self.term.site_energies(spins[: self.owned], lengths[: self.owned])
        return out


@dataclass(frozen=True, eq=False)
class OfSpecies(Term):
    """A term among the sites of some species only; for it, all others are non-magnetic.

    Attributes
    ----------
    term : Term
        The term.
    numbers : tuple of int
        Atomic numbers.
    """

    term: Term
    numbers: tuple[int, ...]

    def freeze(self, geometry: Geometry) -> FrozenOfSpecies:
        """The term on the whole geometry, and the mask of its sites."""
        return FrozenOfSpecies(self.term.freeze(geometry), np.isin(geometry.numbers, self.numbers))

    def local(self, geometry: Geometry | None = None) -> LocalTerm:
        """The term for given pairs, among the chosen sites."""
        return LocalOfSpecies(self.term.local(geometry), self.numbers)


@dataclass(frozen=True, eq=False)
class LocalOfSpecies(LocalTerm):
    """A term for given pairs among the sites of some species (atomic numbers)."""

    term: LocalTerm
    numbers: tuple[int, ...]

    @property
    def cutoff(self) -> float:
        """That of the term."""
        return self.term.cutoff

    @property
    def ghost_depth(self) -> float:
        """That of the term."""
        return self.term.ghost_depth

    def freeze(self, region: Region) -> FrozenLocalTerm:
        """The term on the region, and the mask of its sites."""
        return FrozenLocalOfSpecies(self.term.freeze(region), np.isin(region.numbers, self.numbers))


@dataclass(frozen=True, eq=False)
class FrozenOfSpecies(FrozenTerm):
    """The term with the other sites taken as non-magnetic."""

    term: FrozenTerm
    mask: BoolArray

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """Energy of the chosen sites."""
        return self.term.energy(spins * self.mask[:, None], lengths * self.mask)

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i of the chosen sites, zero elsewhere."""
        return self.mask[:, None] * self.term.gradient(spins * self.mask[:, None], lengths * self.mask)

    def lattice(self, spins: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Forces from the chosen sites."""
        return self.term.lattice(spins * self.mask[:, None], lengths * self.mask)

    def local_model(self, lengths: FloatArray) -> LocalModel | None:
        """The model of the term with everything on other sites taken out."""
        model = self.term.local_model(lengths * self.mask)
        if model is None:
            return None
        keep, on = self.mask[model.rows] & self.mask[model.columns], self.mask
        whole = self.mask[model.products].all(axis=1)
        return replace(
            model,
            rows=model.rows[keep],
            columns=model.columns[keep],
            tensors=model.tensors[keep],
            biquadratic=model.biquadratic[keep],
            linear=None if model.linear is None else on[:, None] * model.linear,
            quadratic=None if model.quadratic is None else on[:, None, None] * model.quadratic,
            cubic=[(on[:, None] * strengths, axes) for strengths, axes in model.cubic],
            quartic=[(on * strengths, axes) for strengths, axes in model.quartic],
            products=model.products[whole],
            product_strengths=model.product_strengths[whole],
        )


@dataclass(frozen=True, eq=False)
class FrozenLocalOfSpecies(FrozenOfSpecies, FrozenLocalTerm):
    """The same for given pairs."""

    term: FrozenLocalTerm

    def site_energies(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """E_i of the chosen sites."""
        return self.term.site_energies(spins * self.mask[:, None], lengths * self.mask) * self.mask


def pull_on_bonds(bonds: Bonds, tension: FloatArray, sites: int) -> tuple[FloatArray, FloatArray]:
    """Forces (N, 3) and virial (3, 3) from `tension` = dE/d(bond vector) (n_bonds, 3).

    Parameters
    ----------
    bonds : Bonds
        With vectors (n_bonds, 3) from first to second.
    tension : (n_bonds, 3) ndarray
        Energy/length.
    sites : int
        N.
    """
    return pull(bonds.first, bonds.second, bonds.vectors, np.ascontiguousarray(tension), sites)


def at_first(bonds: Bonds, energies: FloatArray, sites: int) -> FloatArray:
    """Sums (sites,) of `energies` (n_bonds,) at the first sites of the bonds.

    Parameters
    ----------
    bonds : Bonds
        Whose first sites count.
    energies : (n_bonds,) ndarray
        Energy.
    sites : int
        How many sums there are.
    """
    return np.asarray(np.bincount(bonds.first, energies, minlength=sites)[:sites], dtype=np.float64)


def pull_along_bonds(bonds: Bonds, slopes: FloatArray, sites: int) -> tuple[FloatArray, FloatArray]:
    """Forces (N, 3) and virial (3, 3) from `slopes` = dE/d(bond length) (n_bonds,).

    Parameters
    ----------
    bonds : Bonds
        With vectors (n_bonds, 3) from first to second.
    slopes : (n_bonds,) ndarray
        Energy/length.
    sites : int
        N.
    """
    return central_pull(bonds.first, bonds.second, bonds.vectors, slopes / bonds.distances, sites)
