"""Trunks: what every site learns of its surroundings, K numbers for each, from species, pair vectors and spins.

A trunk does not say what its numbers mean (:mod:`spinase.learning.readout`), nor who computes them
(:mod:`spinase.learning.evaluator`).  One is a style of the kind ``models``; a new one needs its class, a configuration, and
``spinase.testing.check_trunk`` in its tests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import torch
from ase.data import chemical_symbols
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from spinase.errors import ModelError
from spinase.geometry import Geometry
from spinase.learning.pairs import Pairs, pairs_of
from spinase.typing import IntArray

SYMMETRIES = frozenset(
    {"spin_rotation", "lattice_rotation", "joint_rotation", "time_reversal", "translation", "permutation"}
)


class TrunkSize(BaseModel):
    """What a recipe says of a trunk."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cutoff: float = Field(gt=0, description="range of a layer [length]")


class TrunkConfig(TrunkSize):
    """A trunk: its size, and what it knows of the magnet."""

    species: tuple[Annotated[int, Field(ge=1, le=118)], ...] = Field(min_length=1, description="atomic numbers it knows")
    parts: int = Field(1, ge=1, le=40, description="numbers of a site; the readout says what they mean")

    @classmethod
    def from_training(cls, size: Mapping[str, Any], species: Sequence[int], parts: int, geometry: Geometry) -> Self:
        """The trunk of a recipe with what labels tell: species, and the `geometry` of the first.

        Parameters
        ----------
        size : mapping
            The table ``network`` of a recipe.
        species : sequence of int
            Atomic numbers, in the order of their indices.
        parts : int
            K, numbers that a site gives.
        geometry : Geometry
            Of the first configuration.
        """
        return cls.model_validate({**size, "species": tuple(species), "parts": parts})

    def indices(self, numbers: IntArray, who: str = "the trunk") -> IntArray:
        """Places (N,) of atomic numbers (N,) in `species`.

        Raises
        ------
        ModelError
            If one is not among them; the message begins with `who`.
        """
        unknown = sorted(set(numbers.tolist()) - set(self.species))
        if unknown:
            known = ", ".join(chemical_symbols[number] for number in self.species)
            raise ModelError(f"{who} does not know {chemical_symbols[unknown[0]]}; it knows {known}")
        place = {number: k for k, number in enumerate(self.species)}
        return np.array([place[number] for number in numbers.tolist()], dtype=np.int64)


class Trunk(nn.Module, ABC):
    """Parts of every site, (N, K), as a torch module that is differentiable by spins, and by pair vectors where it says so.

    Attributes
    ----------
    Config : type
        Pydantic model of a whole configuration; the weights' shapes follow from it.
    Size : type
        The part of it that a recipe says.
    citation : str
        Source of the method.
    config : TrunkConfig
        This trunk's.
    symmetries : frozenset of str
        Which operations leave the parts alone, as in :class:`spinase.calculators.base.SpinCalculator`.
    follows_positions : bool
        Whether parts are differentiable by pair vectors: without, there are no forces.
    traceable : bool
        Whether :meth:`traced` is there, so that models become programs of their own (:mod:`spinase.learning.exported`).
    """

    Config: ClassVar[type[TrunkConfig]] = TrunkConfig
    Size: ClassVar[type[TrunkSize]] = TrunkSize
    citation: ClassVar[str] = ""
    config: TrunkConfig
    symmetries: frozenset[str] = SYMMETRIES
    follows_positions: bool = True
    traceable: bool = False

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """A trunk with random weights."""
        return cls(config)

    @property
    def interaction_range(self) -> float:
        """Distance within which spins, species and positions change the parts of a site, length."""
        return self.config.cutoff

    @abstractmethod
    def prepare(self, pairs: Pairs, species: Tensor) -> Any:
        """What depends on the geometry and the configuration, not on spins and weights.

        Parameters
        ----------
        pairs : Pairs
            All directed pairs within ``config.cutoff``, in the precision and on the device of the weights.  Their vectors
            may ask for gradients.
        species : (N,) Tensor of int
            Places in ``config.species``.
        """

    def traced(self, vectors: Tensor, neighbours: Tensor, species: Tensor, places: Sequence[Tensor]) -> Any:
        """As :meth:`prepare`, of rows of K neighbours and as torch can trace it; layers have fewer and fewer rows.

        Parameters
        ----------
        vectors : (R, K, 3) Tensor
            To the neighbours, length; beyond the cutoff where a row has fewer than K.
        neighbours : (R, K) Tensor of int
            Second sites.
        species : (N,) Tensor of int
            Places in ``config.species``.
        places : sequence of (R_k,) Tensor of int
            Sites that have rows in the layers, counting from 0; the parts are those of the last.

        Raises
        ------
        ModelError
            If there is no such way (``traceable``).
        """
        raise ModelError(f"a {type(self).__name__} cannot be traced by torch")

    @abstractmethod
    def forward(self, prepared: Any, spins: Tensor) -> Tensor:
        """Parts (N, ``config.parts``) for free spin vectors (N, 3); zero rows are non-magnetic sites."""

    def features(self, prepared: Any, spins: Tensor) -> Tensor:
        """Numbers (N, F) that tell surroundings apart; the parts, unless a trunk has better ones."""
        return torch.as_tensor(self(prepared, spins))

    def begin_part(self, part: int, value: float) -> None:
        """Let a part of every site begin near a value, before a training, where the trunk has a weight for that."""

    def last_layers(self) -> list[nn.Linear]:
        """Layers whose outputs add up to the parts, so parts are linear in their weights; none unless a trunk says so."""
        return []

    def law_of_pairs(self) -> Any:
        """A law of pairs in the first part, which is fitted before a training; None unless a trunk has one.

        It has ``laws``, coefficients (species, species, 2, functions) of radial functions ``basis`` for the bare energies
        and the exchange, in which fields and forces are linear (:class:`spinase.learning.mhipnn.pair_law.PairLaw`).
        """
        return None


def prepare(trunk: Trunk, geometry: Geometry, dtype: torch.dtype = torch.float64) -> Any:
    """What a trunk on the CPU makes of a whole geometry, images included.

    Parameters
    ----------
    trunk : Trunk
        On the CPU, in precision `dtype`.
    geometry : Geometry
        The whole magnet.
    dtype : torch.dtype
        Precision of the vectors of pairs.

    Raises
    ------
    ModelError
        If the trunk does not know a species.
    """
    species = torch.from_numpy(trunk.config.indices(geometry.numbers))
    return trunk.prepare(pairs_of(geometry, trunk.config.cutoff, dtype), species)


__all__ = ["SYMMETRIES", "Trunk", "TrunkConfig", "TrunkSize", "prepare"]
