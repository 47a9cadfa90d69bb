"""Behler-Parrinello network on atom-centred symmetry functions that see spins; a plain torch module.

J. Behler, M. Parrinello, Phys. Rev. Lett. 98, 146401 (2007), extended by spins in the way of arXiv:2311.16964, whose own
list of functions was not at hand: this is a set of the same kind.  With s_v(r) the radial functions of a pair, which vanish
smoothly at the cutoff, and the species of the neighbours j, k of site i:

    radial    sum_j s_v(r_ij) g,                         g = 1, s_i.s_j, (s_i.s_j)^2
    angular   sum_(j<k) s_v(r_ij) s_v(r_ik) a_z g,       a_z = 2^(1-z) (1 +- cos jik)^z,
              g = 1, s_j.s_k, s_i.s_j + s_i.s_k, (s_i.s_j)(s_i.s_k), (s_i.(s_j x s_k))^2

None changes when all spins, or the lattice, are rotated or mirrored, or time is reversed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn

from spinase.learning.pairs import Pairs
from spinase.learning.trunk import Trunk, TrunkConfig, TrunkSize

_PAIR_FACTORS, _TRIPLE_FACTORS = 3, 5


class SymmetryFunctionsSize(TrunkSize):
    """Functions and layers."""

    inner: float = Field(gt=0, description="centre of the innermost radial function [length]")
    radial: int = Field(8, ge=2, le=1000, description="radial functions of pairs")
    angular_radial: int = Field(3, ge=1, le=100, description="radial functions of triples")
    exponents: tuple[int, ...] = Field((1, 4), min_length=1, description="exponents z of the angular functions")
    hidden: tuple[int, ...] = Field((48, 48), min_length=1, max_length=10, description="widths of the layers")


class SymmetryFunctionsConfig(SymmetryFunctionsSize, TrunkConfig):
    """A network on symmetry functions."""

    @property
    def functions(self) -> int:
        """Number of symmetry functions of a site."""
        species = len(self.species)
        angular = 2 * len(self.exponents) * self.angular_radial * species * (species + 1) // 2
        return _PAIR_FACTORS * self.radial * species + _TRIPLE_FACTORS * angular


@dataclass(frozen=True, eq=False)
class Functions:
    """Geometry as the network sees it.

    Attributes
    ----------
    first, second : (P,) Tensor of int
        Sites of directed pairs.
    one, two : (T,) Tensor of int
        Pairs with the same first site, which make a triple.
    of_pairs : (P, C) Tensor
        Radial functions, by species of the neighbour.
    of_triples : (T, D) Tensor
        Angular functions, by species of both neighbours.
    species : (N,) Tensor of int
        Places of the sites' species.
    """

    first: Tensor
    second: Tensor
    one: Tensor
    two: Tensor
    of_pairs: Tensor
    of_triples: Tensor
    species: Tensor


class SymmetryFunctionsNetwork(Trunk):
    """Layers of every species on spin-extended symmetry functions.

    Parameters
    ----------
    config : SymmetryFunctionsConfig
        Functions and layers.
    """

    Config = SymmetryFunctionsConfig
    Size = SymmetryFunctionsSize
    citation = (
        "J. Behler, M. Parrinello, Phys. Rev. Lett. 98, 146401 (2007), doi:10.1103/PhysRevLett.98.146401; arXiv:2311.16964"
    )
    config: SymmetryFunctionsConfig

    def __init__(self, config: SymmetryFunctionsConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.functions, *config.hidden, config.parts]
        self.kinds = nn.ModuleList(
            nn.Sequential(*[step for pair in pairwise(widths) for step in (nn.SiLU(), nn.Linear(*pair))][1:])
            for _ in config.species
        )

    def prepare(self, pairs: Pairs, species: Tensor) -> Functions:
        """Radial and angular functions of pairs and triples."""
        config, rows = self.config, pairs.rows
        distances = pairs.vectors.norm(dim=1)
        one, two = _triples(rows.starts)
        kinds = species[rows.second]
        place = nn.functional.one_hot(kinds, len(config.species)).to(distances.dtype)
        of_pairs = self._radial(distances, config.radial)[:, :, None] * place[:, None]
        units = pairs.vectors / distances[:, None]
        cosines = (units[one] * units[two]).sum(1)
        exponents = torch.tensor(config.exponents, dtype=distances.dtype, device=distances.device)
        # cosines of round-off above one: a power of a negative number has a slope that is none
        bases = torch.stack([1.0 + cosines, 1.0 - cosines], dim=1).clamp(min=0.0)
        angular = (2.0 ** (1.0 - exponents) * bases[:, :, None] ** exponents).flatten(1)
        near = self._radial(distances, config.angular_radial)
        both = self._species_pairs(kinds[one], kinds[two]).to(distances.dtype)
        of_triples = angular[:, :, None, None] * (near[one] * near[two])[:, None, :, None] * both[:, None, None]
        return Functions(rows.first, rows.second, one, two, of_pairs.flatten(1), of_triples.flatten(1), species)

    def _radial(self, distances: Tensor, count: int) -> Tensor:
        """exp(-(r - r_v)^2/(2 w^2)) (1 - (r/r_c)^2)^2 with evenly spaced r_v, w their spacing, (P, count)."""
        inner, cutoff = self.config.inner, self.config.cutoff
        width = (cutoff - inner) / max(count, 1)
        centres = inner + width * torch.arange(count, dtype=distances.dtype, device=distances.device)
        switch = (1.0 - (distances / cutoff) ** 2).clamp(min=0.0) ** 2
        return torch.exp(-0.5 * ((distances[:, None] - centres) / width) ** 2) * switch[:, None]

    def _species_pairs(self, one: Tensor, two: Tensor) -> Tensor:
        """One-hot rows (T, S (S + 1)/2) of unordered pairs of species."""
        low, high = torch.minimum(one, two), torch.maximum(one, two)
        count = len(self.config.species)
        return nn.functional.one_hot(high * (high + 1) // 2 + low, count * (count + 1) // 2)

    def functions(self, prepared: Functions, spins: Tensor) -> Tensor:
        """Symmetry functions (N, F)."""
        here, there = spins[prepared.first], spins[prepared.second]
        bond = (here * there).sum(1)
        pair_factors = torch.stack([torch.ones_like(bond), bond, bond**2], dim=1)
        one, two, centre = prepared.one, prepared.two, prepared.first[prepared.one]
        left, right = there[one], there[two]
        chirality = (here[one] * torch.linalg.cross(left, right, dim=1)).sum(1)
        triple_factors = torch.stack(
            [
                torch.ones_like(chirality),
                (left * right).sum(1),
                bond[one] + bond[two],
                bond[one] * bond[two],
                chirality**2,
            ],
            dim=1,
        )
        radial = _summed(pair_factors, prepared.of_pairs, prepared.first, len(spins))
        return torch.cat([radial, _summed(triple_factors, prepared.of_triples, centre, len(spins))], dim=1)

    def forward(self, prepared: Functions, spins: Tensor) -> Tensor:
        """Parts (N, K) for free spin vectors (N, 3); zero rows are non-magnetic sites."""
        values = self.functions(prepared, spins)
        parts = values.new_zeros((len(spins), self.config.parts))
        for kind, network in enumerate(self.kinds):
            sites = torch.nonzero(prepared.species == kind).flatten()
            parts = parts.index_add(0, sites, network(values[sites]))
        return parts

    def features(self, prepared: Functions, spins: Tensor) -> Tensor:
        """Symmetry functions (N, F)."""
        return self.functions(prepared, spins)

    def begin_part(self, part: int, value: float) -> None:
        """Set the constant of a part."""
        with torch.no_grad():
            for network in self.kinds:
                cast(nn.Linear, cast(nn.Sequential, network)[-1]).bias[part] = value


def _triples(starts: Tensor) -> tuple[Tensor, Tensor]:
    """All two pairs of a row, each once: their numbers (T,) and (T,)."""
    counts = starts[1:] - starts[:-1]
    first = torch.repeat_interleave(torch.arange(len(counts), device=starts.device), counts)
    place = torch.arange(len(first), device=starts.device) - starts[first]
    following = counts[first] - place - 1
    one = torch.repeat_interleave(torch.arange(len(first), device=starts.device), following)
    begins = torch.cumsum(following, 0) - following
    return one, one + 1 + torch.arange(len(one), device=starts.device) - begins[one]


def _summed(factors: Tensor, functions: Tensor, sites: Tensor, count: int) -> Tensor:
    """Sums of products of factors (P, g) and functions (P, C) at sites (P,): (count, g C)."""
    products = (factors[:, :, None] * functions[:, None]).flatten(1)
    return products.new_zeros((count, products.shape[1])).index_add(0, sites, products)


__all__ = ["Functions", "SymmetryFunctionsConfig", "SymmetryFunctionsNetwork", "SymmetryFunctionsSize"]
