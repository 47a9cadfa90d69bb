"""Behler-Parrinello network on symmetry-adapted descriptors of a lattice; a plain torch module.

Every kind of site has forms of its surroundings (:mod:`spinase.learning.lattice.forms`), learned mixtures of their copies
representation by representation, products of the mixtures that no symmetry changes
(:mod:`spinase.learning.lattice.descriptors`), and a multilayer perceptron that makes the parts of the site from these
(S. Zhang, P. Zhang, G.-W. Chern, PNAS 2022; arXiv:2105.08221, 2501.06171).  Mixing copies first makes of the power spectrum,
which has a product for every pair of copies, the few products that matter.

The network knows the surroundings of one lattice.  Which site of a magnet is which, and which neighbour is which, it finds
from the vectors of the pairs, so orientation, cell vectors and order of the sites do not matter (with an `axis` that differs
from others, such as that of a current, the orientation does).  Whatever is none of these
surroundings is refused: another lattice, missing sites, surfaces, strain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self, cast

import numpy as np
import torch
from ase.data import chemical_symbols
from pydantic import BaseModel, ConfigDict, Field
from scipy.linalg import block_diag
from torch import Tensor, nn

from spinase.geometry import Geometry
from spinase.learning.lattice.descriptors import Block, InvariantTable, Term, blocks_of, products, table
from spinase.learning.lattice.forms import Forms, Reach, SiteForms, site_forms
from spinase.learning.lattice.surroundings import Surrounding, placed, surroundings_of
from spinase.learning.pairs import Pairs
from spinase.learning.trunk import Trunk, TrunkConfig, TrunkSize
from spinase.typing import FloatArray, IntArray

_SPREAD = float(np.sqrt(3.0))  # of s.s' of random spins is 1/3 the mean square: forms times this are of order one


class LatticeSize(TrunkSize):
    """Reach, mixtures and layers of a network on a lattice."""

    pair_length: float = Field(gt=0, description="longest bond between two neighbours of a site [length]")
    pair_range: float = Field(gt=0, description="how far from the site both ends of such a bond may be [length]")
    triangle_length: float = Field(0.0, ge=0, description="longest edge of triangles with a chirality [length]")
    triangle_range: float = Field(0.0, ge=0, description="how far from the site their corners may be; 0: none [length]")
    channels: int = Field(12, ge=1, le=1000, description="mixtures of the bonds, for every representation")
    odd_channels: int = Field(6, ge=1, le=1000, description="mixtures of the chiralities")
    axis: int | None = Field(
        None, ge=0, le=2, description="Cartesian axis unlike the others, as of a current: fewer symmetries"
    )
    bispectrum: int = Field(4, ge=0, le=1000, description="products of three mixtures, for every coupling; 0: none")
    hidden: tuple[int, ...] = Field((48, 48), min_length=1, max_length=10, description="widths of the layers")

    @property
    def reach(self) -> Reach:
        """Which bonds and triangles count."""
        return Reach(self.pair_length, self.pair_range, self.triangle_length, self.triangle_range)


class SurroundingTable(BaseModel):
    """Neighbours of a kind of site, as a model file keeps them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: int = Field(ge=0, description="place of its species")
    vectors: tuple[tuple[float, float, float], ...] = Field(
        min_length=1, max_length=1000, description="to neighbours [length]"
    )
    kinds: tuple[int, ...] = Field(description="places of their species")

    def surrounding(self) -> Surrounding:
        """The same as arrays."""
        return Surrounding(self.kind, np.array(self.vectors, dtype=np.float64), np.array(self.kinds, dtype=np.int64))


class LatticeConfig(LatticeSize, TrunkConfig):
    """A network on a lattice: its size, and the lattice it knows."""

    surroundings: tuple[SurroundingTable, ...] = Field(min_length=1, description="of the different kinds of sites")

    @classmethod
    def from_training(cls, size: Mapping[str, Any], species: Sequence[int], parts: int, geometry: Geometry) -> Self:
        """The network of a recipe on the lattice of the labels.

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

        Raises
        ------
        ModelError
            If a shell of neighbours lies at the cutoff.
        """
        place = {number: k for k, number in enumerate(species)}
        kinds = np.array([place[number] for number in geometry.numbers.tolist()], dtype=np.int64)
        found = surroundings_of(geometry, kinds, float(size["cutoff"]), size.get("axis"))
        tables = [{"kind": one.kind, "vectors": one.vectors.tolist(), "kinds": one.kinds.tolist()} for one in found]
        return cls.model_validate({**size, "species": tuple(species), "parts": parts, "surroundings": tables})


@dataclass(frozen=True, eq=False)
class SitesOf:
    """Sites with one kind of surroundings in a magnet.

    Attributes
    ----------
    sites, neighbours : (S,), (S, n + 1) Tensor of int
        Which, and their places: the site itself, and its neighbours in the order of the surrounding.
    ends : (2, U) Tensor of int
        Sites that bonds join, each pair once: sites near each other see the same bonds.
    bonds : (K S,) Tensor of int
        Which of these are the bonds of a surrounding, bond by bond.
    bases : list of (copies, d, K) Tensor
        Forms by block, in the precision of the weights.
    weights : (Q,), (T,) Tensor
        Coefficients of products of two and of three forms.
    """

    sites: Tensor
    neighbours: Tensor
    ends: Tensor
    bonds: Tensor
    bases: list[Tensor]
    weights: tuple[Tensor, Tensor]


class SiteNetwork(nn.Module):
    """Mixtures, products and layers of one kind of site.

    Parameters
    ----------
    config : LatticeConfig
        Of the trunk.
    surrounding : Surrounding
        Of the sites.
    """

    def __init__(self, config: LatticeConfig, surrounding: Surrounding) -> None:
        super().__init__()
        self.forms = site_forms(surrounding, config.reach, config.axis)
        self.bases, blocks = _mixed_blocks(self.forms, config)
        copies = [one.copies for one in blocks]
        self.mixtures = nn.ParameterList(
            torch.randn(count, len(basis)) / len(basis) ** 0.5 for count, basis in zip(copies, self.bases, strict=True)
        )
        self.trivial = self.forms.bonds.copies[0].reshape(-1, len(self.forms.bonds.places))
        terms = mixture_products(blocks, config.bispectrum)
        self.even = sum(not block.odd for block in blocks)
        nothing = np.zeros((0, 0))
        self.pattern = table(self.forms, nothing, nothing, np.arange(len(self.trivial)), terms)
        widths = [self.pattern.count, *config.hidden, config.parts]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.activation = nn.SiLU()

    def prepare(self, sites: Tensor, neighbours: Tensor, like: Tensor) -> SitesOf:
        """Bases and coefficients in the precision and on the device of `like`.

        Parameters
        ----------
        sites : (S,) Tensor of int
            Sites that have this surrounding.
        neighbours : (S, n + 1) Tensor of int
            The site itself and its neighbours, in the order of the surrounding.
        like : Tensor
            Whose precision and device are taken.
        """
        bases = [torch.from_numpy(_SPREAD * one).to(like) for one in (self.trivial[:, None], *self.bases)]
        weights = [torch.from_numpy(one).to(like) for one in (self.pattern.quadratic_weights, self.pattern.cubic_weights)]
        joined = neighbours.T[torch.from_numpy(self.pattern.bonds.T).to(like.device)].flatten(1)  # (2, K S)
        sorted_ends, count = joined.sort(dim=0).values, int(neighbours.max()) + 1 if len(sites) else 1
        keys, bonds = torch.unique(sorted_ends[0] * count + sorted_ends[1], return_inverse=True)
        ends = torch.stack([keys // count, keys % count])
        return SitesOf(sites, neighbours, ends, bonds, bases, (weights[0], weights[1]))

    def linear(self, bases: Sequence[Tensor], mixtures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Forms (F1, K) of bonds, the trivial ones first, and (F2, M) of chiralities: `mixtures` of `bases`."""
        mixed = [
            torch.einsum("ck,kdb->cdb", mixture, basis).flatten(0, 1)
            for mixture, basis in zip(mixtures, bases[1:], strict=True)
        ]
        none = bases[0].new_zeros((0, len(self.forms.triangles.places)))
        return torch.cat([bases[0][:, 0], *mixed[: self.even]]), torch.cat([none, *mixed[self.even :]])

    def invariants(self, prepared: SitesOf, spins: Tensor) -> Tensor:
        """Invariants (G, S), one row for all sites, for spins (N, 3)."""
        pattern, components = self.pattern, spins.T
        even, odd = self.linear(prepared.bases, list(self.mixtures))
        one, two = (components.index_select(1, ends) for ends in prepared.ends)
        forms = [even @ (one * two).sum(0).index_select(0, prepared.bonds).view(len(pattern.bonds), -1)]
        if len(odd):
            corners = prepared.neighbours.T[torch.from_numpy(pattern.triples.T).to(spins.device)]
            one, two, three = (components.index_select(1, corner.flatten()).view(3, *corner.shape) for corner in corners)
            forms.append(odd @ (one * _cross(two, three)).sum(0))
        h = torch.cat(forms)
        found = h.new_zeros((pattern.count - len(pattern.direct), h.shape[1]))
        for terms, weights in zip((pattern.quadratic, pattern.cubic), prepared.weights, strict=True):
            if len(terms):
                out, *factors = torch.from_numpy(terms.T).to(spins.device)
                product = weights[:, None] * h.index_select(0, factors[0])
                for factor in factors[1:]:
                    product = product * h.index_select(0, factor)
                found = found.index_add(0, out - len(pattern.direct), product)
        return torch.cat([h[: len(pattern.direct)], found])

    def forward(self, prepared: SitesOf, spins: Tensor) -> Tensor:
        """Parts (S, K) of the sites."""
        values = self.invariants(prepared, spins)
        layers = [cast(nn.Linear, layer) for layer in self.layers]
        for layer in layers[:-1]:
            values = self.activation(torch.addmm(layer.bias[:, None], layer.weight, values))
        return torch.addmm(layers[-1].bias[:, None], layers[-1].weight, values).T

    def factors(self) -> tuple[FloatArray, FloatArray]:
        """Symmetry-adapted forms (U, K + M) of bonds and chiralities, and mixtures (F, U) of these, in double precision."""
        rows = [one.reshape(-1, one.shape[2]) for one in self.bases]
        kinds = np.concatenate([self.trivial, *rows[: self.even]]), np.concatenate([*rows[self.even :], self._no_triples()])
        mixed = zip(self.mixtures, self.bases, strict=True)
        parts = [np.kron(one.detach().cpu().double().numpy(), np.eye(basis.shape[1])) for one, basis in mixed]
        return _SPREAD * block_diag(*kinds), block_diag(np.eye(len(self.trivial)), *parts)

    def _no_triples(self) -> FloatArray:
        return np.zeros((0, len(self.forms.triangles.places)))

    def table(self) -> InvariantTable:
        """Invariants with the mixtures at hand, in double precision."""
        bases = [torch.from_numpy(_SPREAD * one) for one in (self.trivial[:, None], *self.bases)]
        mixtures = [one.detach().cpu().double() for one in self.mixtures]
        even, odd = self.linear(bases, mixtures)
        return replace(self.pattern, linear_bonds=even.numpy(), linear_triples=odd.numpy())


def _cross(one: Tensor, two: Tensor) -> Tensor:
    """Cross products along the first dimension."""
    return one[[1, 2, 0]] * two[[2, 0, 1]] - one[[2, 0, 1]] * two[[1, 2, 0]]


def _mixed_blocks(forms: SiteForms, config: LatticeConfig) -> tuple[list[FloatArray], list[Block]]:
    """Bases (copies, d, K) that are mixed, and blocks of the mixtures, whose forms follow the trivial ones of the bonds."""
    even = [
        0 if irrep.trivial else min(config.channels, len(c))
        for irrep, c in zip(forms.irreps, forms.bonds.copies, strict=True)
    ]
    odd = [min(config.odd_channels, len(copies)) for copies in forms.triangles.copies]
    kinds: list[tuple[Forms, list[int]]] = [(forms.bonds, even), (forms.triangles, odd)]
    bases = [copies for part, counts in kinds for copies, count in zip(part.copies, counts, strict=True) if count]
    first = len(forms.bonds.copies[0])
    blocks = [Block(one.irrep, one.start + first, one.copies, one.odd) for one in blocks_of(forms.irreps, even, odd)]
    return bases, blocks


def mixture_products(blocks: Sequence[Block], bispectrum: int) -> list[Term]:
    """Squares of mixtures, products of one with the next, and of three that follow each other, block by block."""
    found: list[Term] = []
    for block in blocks:
        for c in range(block.copies):
            found += products([block, block], [c, c])
            if block.copies > 2 or c + 1 < block.copies:
                found += products([block, block], [c, (c + 1) % block.copies])
    for i, one in enumerate(blocks if bispectrum else ()):
        for j, two in enumerate(blocks[i:], i):
            for three in blocks[j:]:
                if one.odd + two.odd + three.odd in (0, 2):
                    found += _triples((one, two, three), bispectrum)
    return found


def _triples(blocks: tuple[Block, Block, Block], most: int) -> list[Term]:
    """Products of three mixtures for up to `most` sets of copies, each once."""
    chosen = {
        tuple(_one_of(blocks, k, c) for k in range(3)) for c in range(min(most, max(block.copies for block in blocks)))
    }
    return [term for copies in sorted(chosen) for term in products(blocks, copies)]


def _one_of(blocks: tuple[Block, Block, Block], k: int, c: int) -> int:
    """Copy of the factor `k`: the next one where the representation is the same as before."""
    ahead = sum(block is blocks[k] for block in blocks[:k])
    return (c + ahead) % blocks[k].copies


class LatticeNetwork(Trunk):
    """Behler-Parrinello network of a lattice.

    Parameters
    ----------
    config : LatticeConfig
        Size, and the lattice it knows.
    """

    Config = LatticeConfig
    Size = LatticeSize
    citation = "P. Zhang, P. Saha, G.-W. Chern, arXiv:2105.08221; arXiv:2501.06171"
    follows_positions = False
    config: LatticeConfig

    def __init__(self, config: LatticeConfig) -> None:
        super().__init__()
        self.config = config
        self.known = [one.surrounding() for one in config.surroundings]
        self.kinds = nn.ModuleList(SiteNetwork(config, one) for one in self.known)
        if config.axis is not None:
            self.symmetries = self.symmetries - {"lattice_rotation", "joint_rotation"}

    def prepare(self, pairs: Pairs, species: Tensor) -> list[SitesOf]:
        """Sites and ordered neighbours of every kind of surroundings.

        Raises
        ------
        ModelError
            If a site has other surroundings than the lattice of the network.
        """
        rows = pairs.rows
        listed = tuple(one.detach().cpu().numpy() for one in (rows.first, rows.second, pairs.vectors.double()))
        found = self.places((listed[0], listed[1], listed[2]), species.cpu().numpy())
        device = pairs.vectors.device
        return [
            cast(SiteNetwork, one).prepare(
                torch.from_numpy(sites).to(device), torch.from_numpy(near).to(device), pairs.vectors
            )
            for one, (sites, near) in zip(self.kinds, found, strict=True)
        ]

    def places(self, pairs: tuple[IntArray, IntArray, FloatArray], species: IntArray) -> list[tuple[IntArray, IntArray]]:
        """Sites (S,) of every kind of surroundings, and the places (S, n + 1) of their surroundings.

        Parameters
        ----------
        pairs
            First and second sites (P,) of directed pairs, by first site, and vectors (P, 3).
        species : (N,) ndarray of int
            Places in ``config.species``.

        Raises
        ------
        ModelError
            If a site has other surroundings than the lattice of the network.
        """
        names = [chemical_symbols[number] for number in self.config.species]
        return placed(self.known, pairs, species, names, self.config.axis)

    def forward(self, prepared: list[SitesOf], spins: Tensor) -> Tensor:
        """Parts (N, K) for free spin vectors (N, 3); zero rows are non-magnetic sites."""
        parts = spins.new_zeros((len(spins), self.config.parts))
        for network, sites in zip(self.kinds, prepared, strict=True):
            parts = parts.index_add(0, sites.sites, network(sites, spins))
        return parts

    def features(self, prepared: list[SitesOf], spins: Tensor) -> Tensor:
        """Invariants (N, F) of the sites; every kind of site has columns of its own, which are zero for the others."""
        found = list[Tensor]()
        for network, sites in zip(self.kinds, prepared, strict=True):
            values = cast(SiteNetwork, network).invariants(sites, spins).T
            found.append(values.new_zeros((len(spins), values.shape[1])).index_add(0, sites.sites, values))
        return torch.cat(found, dim=1)

    def last_layers(self) -> list[nn.Linear]:
        """The last ones of all kinds of sites."""
        return [cast(nn.Linear, cast(SiteNetwork, network).layers[-1]) for network in self.kinds]

    def begin_part(self, part: int, value: float) -> None:
        """Set the constant of a part."""
        with torch.no_grad():
            for network in self.kinds:
                cast(nn.Linear, cast(SiteNetwork, network).layers[-1]).bias[part] = value


__all__ = ["LatticeConfig", "LatticeNetwork", "LatticeSize", "SiteNetwork", "SitesOf", "SurroundingTable"]
