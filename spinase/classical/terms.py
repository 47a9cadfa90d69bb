"""What a classical energy term is: frozen on a geometry, then energy, field and forces of any spins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from spinase.classical.kernels import central_pull, pull
from spinase.classical.local_model import LocalModel
from spinase.geometry import Bonds, Geometry
from spinase.spin_algebra import own_arrays
from spinase.typing import BoolArray, FloatArray


class FrozenTerm(ABC):
    """A term on a geometry.  Spins (N, 3) are free vectors (zero rows: non-magnetic sites), lengths (N,) the |m_i|."""

    @abstractmethod
    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """Energy E."""

    @abstractmethod
    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = -dE/ds_i, energy, (N, 3)."""

    def lattice(self, spins: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Forces -dE/dr_i (N, 3), energy/length, and virial dE/d(strain) (3, 3), energy; zero unless overridden."""
        return np.zeros((len(spins), 3)), np.zeros((3, 3))

    def local_model(self, lengths: FloatArray) -> LocalModel | None:
        """The term as sums over sites and pairs, for sampling one spin at a time; None if it is no such sum."""
        return None


class Term(ABC):
    """A classical energy term; its parameters are its own, and fixed."""

    def __post_init__(self) -> None:
        own_arrays(self)

    @abstractmethod
    def freeze(self, geometry: Geometry) -> FrozenTerm:
        """Neighbour lists and couplings of a geometry."""


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
        return replace(
            model,
            rows=model.rows[keep],
            columns=model.columns[keep],
            tensors=model.tensors[keep],
            biquadratic=model.biquadratic[keep],
            linear=None if model.linear is None else on[:, None] * model.linear,
            quadratic=None if model.quadratic is None else on[:, None, None] * model.quadratic,
            cubic=[(on[:, None] * strengths, axes) for strengths, axes in model.cubic],
        )


def pull_on_bonds(bonds: Bonds, tension: FloatArray, sites: int) -> tuple[FloatArray, FloatArray]:
    """Forces (N, 3) and virial (3, 3) from `tension` = dE/d(bond vector) (n_bonds, 3)."""
    return pull(bonds.first, bonds.second, bonds.vectors, np.ascontiguousarray(tension), sites)


def pull_along_bonds(bonds: Bonds, slopes: FloatArray, sites: int) -> tuple[FloatArray, FloatArray]:
    """Forces (N, 3) and virial (3, 3) from `slopes` = dE/d(bond length) (n_bonds,)."""
    return central_pull(bonds.first, bonds.second, bonds.vectors, slopes / bonds.distances, sites)
