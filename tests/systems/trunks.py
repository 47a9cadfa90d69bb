"""A small honest trunk, as somebody would write one outside."""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from spinase.learning.pairs import Pairs
from spinase.learning.trunk import Trunk, TrunkConfig, TrunkSize


class SumsSize(TrunkSize):
    """Size of a :class:`Sums`."""

    functions: int = Field(3, ge=1, le=20, description="radial functions")


class SumsConfig(SumsSize, TrunkConfig):
    """A :class:`Sums`."""


class Surroundings(NamedTuple):
    first: Tensor
    second: Tensor
    weights: Tensor
    species: Tensor


class Sums(Trunk):
    """e = B tanh(A x/10) + z(species), x = (sum_j w, sum_j w s.s_j, |sum_j w s_j|^2), w = (1 - r^2/c^2)^3 r^v."""

    Config = SumsConfig
    Size = SumsSize
    config: SumsConfig

    def __init__(self, config: SumsConfig) -> None:
        super().__init__()
        self.config = config
        self.constants = nn.Embedding(len(config.species), config.parts)
        self.inner = nn.Linear(3 * config.functions, 8)
        self.outer = nn.Linear(8, config.parts)

    def prepare(self, pairs: Pairs, species: Tensor) -> Surroundings:
        distances = pairs.vectors.norm(dim=1)[:, None]
        powers = torch.arange(self.config.functions, device=distances.device)
        weights = (1.0 - (distances / self.config.cutoff) ** 2) ** 3 * distances**powers
        return Surroundings(pairs.rows.first, pairs.rows.second, weights, species)

    def sums(self, around: Surroundings, spins: Tensor) -> tuple[Tensor, Tensor]:
        """sum_j w (N, functions) and sum_j w s_j (N, functions, 3)."""
        weights, sites, functions = around.weights, len(spins), self.config.functions
        bare = weights.new_zeros((sites, functions)).index_add(0, around.first, weights)
        sent = weights[:, :, None] * spins[around.second][:, None]
        return bare, weights.new_zeros((sites, functions, 3)).index_add(0, around.first, sent)

    def forward(self, around: Surroundings, spins: Tensor) -> Tensor:
        bare, magnetic = self.sums(around, spins)
        found = torch.cat([bare, (magnetic * spins[:, None]).sum(2), (magnetic**2).sum(2)], dim=1)
        return self.outer(torch.tanh(0.1 * self.inner(found))) + self.constants(around.species)
