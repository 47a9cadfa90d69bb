"""Evaluators: who computes the parts of a trunk and their gradients.

What one can do it says itself (:meth:`Evaluator.supports`), and :func:`choose` takes the first that does what is asked.
The choice depends on trunk, precision, device, what derivatives are wanted, and whether the driver declared that atoms
move; it never depends on what was asked before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import torch

from spinase.learning.frozen_geometry import FrozenGeometry
from spinase.learning.readout import Readout, Weighed
from spinase.learning.trunk import Trunk
from spinase.typing import FloatArray

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
    """

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


def choose(kinds: Sequence[type[Evaluator]], trunk: Trunk, request: Request) -> type[Evaluator] | None:
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


__all__ = ["Evaluation", "Evaluator", "Precision", "Question", "Request", "choose"]
