"""Evaluators: who computes the parts of a trunk and their gradients.

What one can do it says itself (:meth:`Evaluator.supports`), and :func:`choose` takes the first that does what is asked.
The choice depends on trunk, precision, device, what derivatives are wanted, and whether the driver declared that atoms
move; it never depends on what was asked before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import numpy as np
import torch

from spinase.geometry import Bonds
from spinase.learning.frozen_geometry import FrozenGeometry
from spinase.learning.readout import Readout, Weighed
from spinase.learning.trunk import Trunk
from spinase.typing import FloatArray, IntArray

Precision: TypeAlias = Literal["float32", "float64"]


@dataclass(frozen=True)
class Request:
    """What an evaluator is wanted for.

    Attributes
    ----------
    dtype : str
        ``"float32"`` or ``"float64"``.
    device : str
        Torch device.
    moving : bool
        Whether positions change from one evaluation to the next, as the driver declares.
    positions : bool
        Whether derivatives by positions are wanted, else those by spins only.
    """

    dtype: Precision = "float32"
    device: str = "cpu"
    moving: bool = False
    positions: bool = False

    @property
    def torch_dtype(self) -> torch.dtype:
        """The precision as torch's."""
        return torch.float32 if self.dtype == "float32" else torch.float64


@dataclass(frozen=True, eq=False)
class Question:
    """One evaluation.

    Attributes
    ----------
    spins : (R N, 3) ndarray
        Free spin vectors of R magnets, one after the other; zero rows are non-magnetic sites.
    readout : Readout
        What the parts mean.
    scale, magnets
        Energy of one unit of the trunk's; R.
    places : (R N, 3) ndarray
        Positions of the sites from the middle of their magnet, length.
    fields, pulls : bool
        Whether gradients by spins, and by pair vectors, are wanted.
    """

    spins: FloatArray
    readout: Readout
    places: FloatArray
    scale: float = 1.0
    magnets: int = 1
    fields: bool = True
    pulls: bool = False

    def weigh(self, parts: FloatArray) -> Weighed:
        """The readout's weights for parts (R N, K)."""
        return self.readout.weigh(parts, self.magnets, self.scale, self.places)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an evaluator found, in units of the trunk.

    Attributes
    ----------
    potentials : (J, R) ndarray
        P_j of every magnet.
    values : (J, R N) ndarray
        Terms of the sites in them.
    weighed : Weighed
        The weights that were used.
    fields : (J, R N, 3) ndarray or None
        -dP/ds of every potential.
    seen_from_sites : bool
        Whether there is one field h[sum x_i f_i] - x_j h[sum f_i] in place of each pair ``weighed.moved``, which sums of
        short reach give without the large x_i.
    pulls : (P, 3) ndarray or None
        dP/dr of the first potential by the vectors of the geometry's directed pairs, in place of the next two.
    forces : (R N, 3) ndarray or None
        -dP/dr of the first potential by positions.
    virial : (R, 3, 3) ndarray or None
        sum over the pairs of every magnet of (dP/dr)_a r_b.
    """

    potentials: FloatArray
    values: FloatArray
    weighed: Weighed
    fields: FloatArray | None = None
    pulls: FloatArray | None = None
    forces: FloatArray | None = None
    virial: FloatArray | None = None
    seen_from_sites: bool = False


@dataclass(frozen=True, eq=False)
class RegionSites:
    """Sites and pairs of a region (:mod:`spinase.regions`) as evaluators are given them.

    Attributes
    ----------
    positions : (n, 3) ndarray
        Of owned sites, then ghosts, length.
    species : (n,) ndarray of int
        Places in the species of the trunk.
    pairs : Bonds
        Directed pairs within the trunk's cutoff, ordered by first site, of the sites that have less than `layers` steps.
    steps : (n,) ndarray of int
        Pairs to the nearest owned site, `layers` at most; 0: owned.
    layers : int
        Of the trunk: how many steps a site sees.
    """

    positions: FloatArray
    species: IntArray
    pairs: Bonds
    steps: IntArray
    layers: int

    @property
    def owned(self) -> int:
        """How many sites are owned, the first ones."""
        return int(np.count_nonzero(self.steps == 0))

    @property
    def starts(self) -> IntArray:
        """Where the pairs of every site begin, (n + 1,)."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.pairs.first, minlength=len(self.steps)))])


@dataclass(frozen=True, eq=False)
class RegionAnswer:
    """What a trunk says of a region, in its own units.

    Attributes
    ----------
    energies : (owned,) ndarray
        sum_k w_k e_ik of the owned sites.
    fields : (n, 3) ndarray
        -d(their sum)/ds of owned sites and ghosts.
    forces : (n, 3) ndarray or None
        -d(their sum)/dr, if asked for.
    virial : (3, 3) ndarray or None
        sum over pairs of (d(their sum)/dr)_a r_b.
    """

    energies: FloatArray
    fields: FloatArray
    forces: FloatArray | None = None
    virial: FloatArray | None = None


class RegionEvaluator(ABC):
    """Trunks of equal configuration, on regions of magnets.

    Parameters
    ----------
    trunks, request
        Members of an ensemble, on the device and in the precision of a request that :meth:`supports` says yes to.
    """

    def __init__(self, trunks: Sequence[Trunk], request: Request) -> None:
        self.trunks, self.request = list(trunks), request

    @classmethod
    @abstractmethod
    def supports(cls, trunk: Trunk, request: Request) -> bool:
        """Whether it computes all that is requested."""

    @abstractmethod
    def prepare(self, sites: RegionSites) -> Any:
        """What it keeps of a region for all members, while spins change."""

    @abstractmethod
    def evaluate(self, prepared: Any, member: int, spins: FloatArray, weights: FloatArray, forces: bool) -> RegionAnswer:
        """One member's answer.

        Parameters
        ----------
        prepared : Any
            What :meth:`prepare` made of the region.
        member : int
            Number of the network.
        spins : (n, 3) ndarray
            Free spin vectors of owned sites and ghosts; zero rows are non-magnetic sites.
        weights : (K,) ndarray
            w_k of the parts of a site.
        forces : bool
            Whether forces and virial are wanted.
        """


class Evaluator(ABC):
    """Trunks of equal configuration with their weights, as one kind of machine or library wants them.

    Parameters
    ----------
    trunks, request
        Members of an ensemble, on the device and in the precision of a request that :meth:`supports` says yes to.

    Attributes
    ----------
    joins_replicas : bool
        Whether many spin configurations of a geometry are best evaluated as one magnet that falls apart.
    joins_derivatives : bool
        Whether one pass gives derivatives by spins and by positions; those by spins alone are the same to round-off.
    on_regions : type of RegionEvaluator, or None
        Who does the same on regions of magnets.
    """

    on_regions: ClassVar[type[RegionEvaluator] | None] = None
    joins_replicas: ClassVar[bool] = False
    joins_derivatives: ClassVar[bool] = False

    def __init__(self, trunks: Sequence[Trunk], request: Request) -> None:
        self.trunks, self.request = list(trunks), request

    @classmethod
    @abstractmethod
    def supports(cls, trunk: Trunk, request: Request) -> bool:
        """Whether it computes all that is requested."""

    @abstractmethod
    def prepare(self, geometry: FrozenGeometry) -> Any:
        """What it keeps of a geometry for all members."""

    def prepared(self, geometry: FrozenGeometry) -> Any:
        """What it keeps of a geometry, made when it is first asked for."""
        if self not in geometry.kept:
            geometry.kept[self] = self.prepare(geometry)
        return geometry.kept[self]

    @abstractmethod
    def evaluate(self, prepared: Any, member: int, question: Question) -> Evaluation:
        """One member's answer; the same question has the same answer to the last bit.

        Parameters
        ----------
        prepared : Any
            What :meth:`prepare` made of the geometry.
        member : int
            Number of the network.
        question : Question
            Spins, readout and what is asked for.
        """


Kind = TypeVar("Kind", Evaluator, RegionEvaluator)


def choose(kinds: Sequence[type[Kind]], trunk: Trunk, request: Request) -> type[Kind] | None:
    """The first that supports a request, or None.

    Parameters
    ----------
    kinds : sequence of type
        In the order of preference.
    trunk : Trunk
        The network.
    request : Request
        Precision, device, threads, motion.
    """
    return next((kind for kind in kinds if kind.supports(trunk, request)), None)


__all__ = [
    "Evaluation",
    "Evaluator",
    "Precision",
    "Question",
    "RegionAnswer",
    "RegionEvaluator",
    "RegionSites",
    "Request",
    "choose",
]
