"""mHIP-NN: a hierarchical interacting-particle network whose message passing sees spins; a plain torch module.

The energy is a sum over sites and over interaction layers (HIP-NN, N. Lubbers, J. S. Smith, K. Barros, arXiv:1710.00017).
Spins enter as in the magnetic HIP-NN (arXiv:2606.10349, whose equations were not at hand in full: this is a reconstruction
with tensor channels in the way of HIP-NN-TS, arXiv:2212.03195).  Every site sends numbers z and spin vectors v: its own
spin times a number in the first layer, and later also the spin vectors it has collected.  A layer sums over neighbours j,
with radial filters w(r) and the harmonics 1, r/r, Q(r/r) of the direction, channel by channel:

    A = sum w z,  L = sum w (r/r) z,  D = sum w Q(r/r) z            lattice tensors
    M = sum w v,  T = sum w (r/r) v,  C = sum w Q(r/r) v            the same of spin vectors
    B = sum w z Q(s_j)                                              spin quadrupoles

and makes of them numbers that do not change when all spins, or the lattice, are rotated or mirrored, or time is reversed:
A, s.M, M.M, L.L, D.D, T.T, C.C, (s.T).(s.T), (s.C).(s.C), L.(s.T), D.(s.C), L.(T.M), D.(C.M), (s.(M x M'))^2, s.B.s, B.B,
with ' the next channel.  With `spin_orbit`, only joint rotations of spins and lattice count: s.D.s, s.C.. (the trace over
the neighbour's spin), and the chiral product (L.s)(tr T) - s.T.L are seen as well.  With `pairs`, a plain law of pairs
(:mod:`spinase.learning.mhipnn.pair_law`) is added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from spinase.geometry import Geometry, find_bonds
from spinase.learning.mhipnn.graph import Graph, RadialBasis, quadrupoles
from spinase.learning.mhipnn.pair_law import PairLaw
from spinase.learning.pairs import EqualRows, Pairs
from spinase.learning.trunk import SYMMETRIES, Trunk, TrunkConfig, TrunkSize
from spinase.typing import Array

Mix = Callable[[Array], Array]


class NetworkSize(TrunkSize):
    """Size and channels of a network."""

    inner: float = Field(gt=0, description="shortest distance that is resolved [length]")
    radial: int = Field(12, ge=2, le=1000, description="radial functions")
    even: bool = Field(False, description="radial functions evenly spaced in r, also those of `pairs`; else in 1/r")
    width: int = Field(32, ge=1, le=10_000, description="features of a site")
    channels: tuple[int, ...] = Field(
        (32, 16, 8), min_length=1, max_length=3, description="channels of the sums with harmonics of degree 0, 1, 2, falling"
    )
    layers: int = Field(2, ge=1, le=100, description="interaction layers")
    atom_layers: int = Field(2, ge=0, le=100, description="on-site layers after each of them")
    vectors: bool = Field(True, description="spin vectors")
    quadrupoles: bool = Field(False, description="spin quadrupoles")
    products: bool = Field(False, description="products of spin pairs in different directions, for lattices")
    chirality: bool = Field(True, description="squares of scalar chiralities")
    spin_orbit: bool = Field(False, description="spins and lattice rotate only together")
    pairs: int = Field(
        0, ge=0, le=1000, description="radial functions of a law of pairs under the network, for moving atoms; 0: none"
    )

    @field_validator("channels")
    @classmethod
    def _falling(cls, channels: tuple[int, ...]) -> tuple[int, ...]:
        if min(channels) < 1 or max(channels) > 10_000:
            raise ValueError(f"channels must be between 1 and 10000, got {channels}")
        if list(channels) != sorted(channels, reverse=True):
            raise ValueError(f"channels must not rise with the degree, got {channels}")
        return channels


class NetworkConfig(NetworkSize, TrunkConfig):
    """A network: its size, and what it knows of the magnet."""

    neighbours: float = Field(12.0, gt=0, description="usual number of neighbours, a scale of the sums")

    @classmethod
    def from_training(cls, size: Mapping[str, Any], species: Sequence[int], parts: int, geometry: Geometry) -> Self:
        """The network of a recipe with what labels tell.

        Parameters
        ----------
        size : mapping
            The table ``network`` of a recipe.
        species : sequence of int
            Atomic numbers, in the order of their indices.
        parts : int
            K, numbers that a site gives.
        geometry : Geometry
            Of the first configuration: its mean number of neighbours scales the sums.
        """
        neighbours = 2.0 * len(find_bonds(geometry, size["cutoff"])) / max(len(geometry), 1)
        told = {"species": tuple(species), "parts": parts, "neighbours": max(neighbours, 1.0)}
        return cls.model_validate({**size, **told})

    @property
    def degree(self) -> int:
        """Highest degree of the lattice harmonics."""
        return len(self.channels) - 1

    def basis(self) -> RadialBasis:
        """The radial functions."""
        return RadialBasis(self.radial, self.inner, self.cutoff, self.even)

    def invariants(self) -> int:
        """Invariants of a layer."""
        vectors, joint = self.vectors, self.vectors and self.spin_orbit
        first, *others = self.channels
        count = first * (1 + vectors * (2 + self.chirality) + 2 * self.quadrupoles)
        count += sum((1 + 4 * vectors + degree * joint) * part for degree, part in enumerate(others, 1))
        if self.products and vectors:
            count += sum((2, 5)[degree] * part for degree, part in enumerate(others))
        return count


@dataclass(frozen=True, eq=False)
class Prepared:
    """A geometry as the network sees it.

    Attributes
    ----------
    graph : Graph
        Of all sites, or of those that have parts.
    species : (N,) Tensor of int
        Places of the species in the network's list.
    layers : sequence of Graph
        Of each layer, where they differ (:meth:`MagneticHIPNN.traced`); empty: `graph` is that of all.
    """

    graph: Graph
    species: Tensor
    layers: Sequence[Graph] = ()


class MagneticHIPNN(Trunk):
    """Magnetic HIP-NN: messages between sites carry spins; what they sum up to is invariant.

    Parameters
    ----------
    config : NetworkConfig
        Size and channels.
    """

    Config = NetworkConfig
    Size = NetworkSize
    citation = (
        "N. Lubbers, J. S. Smith, K. Barros, J. Chem. Phys. 148, 241715 (2018), doi:10.1063/1.5011181; arXiv:2606.10349"
    )
    traceable = True
    config: NetworkConfig

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.symmetries = SYMMETRIES - ({"spin_rotation", "lattice_rotation"} if config.spin_orbit else set())
        self.embedding = nn.Embedding(len(config.species), config.width)
        self.interactions = nn.ModuleList(Interaction(config, k > 0) for k in range(config.layers))
        if config.pairs:
            self.pair_law = PairLaw(len(config.species), config.pairs, config.basis())
        self.readouts = nn.ModuleList(nn.Linear(config.width, config.parts) for _ in range(config.layers + 1))

    @property
    def interaction_range(self) -> float:
        """As many cutoffs as there are layers: spins and features are passed on."""
        return self.config.layers * self.config.cutoff

    def prepare(self, pairs: Pairs, species: Tensor) -> Prepared:
        """Radial functions and harmonics of the pairs."""
        return Prepared(Graph(pairs, self.config.basis(), self.config.degree), species)

    def forward(self, prepared: Prepared, spins: Tensor) -> Tensor:
        """Parts (N, K) for free spin vectors (N, 3); zero rows are non-magnetic sites."""
        energy = self.readouts[0](self.embedding(prepared.species))
        for (graph, features), readout in zip(self._layers(prepared, spins), self.readouts[1:], strict=True):
            energy = graph.pairs.rows.own(energy) + readout(features)
        if self.config.pairs:
            bare, *others = energy.unbind(1)
            energy = torch.stack([bare + self.pair_law(prepared.graph, prepared.species, spins), *others], dim=1)
        return energy

    def _layers(self, prepared: Prepared, spins: Tensor) -> Iterator[tuple[Graph, Tensor]]:
        """Graphs of the layers, and features after each."""
        features, collected = self.embedding(prepared.species), None
        for interaction, graph in zip(
            self.interactions, prepared.layers or [prepared.graph] * len(self.interactions), strict=True
        ):
            features, collected = interaction(graph, features, spins, collected)
            spins = graph.pairs.rows.own(spins)
            yield graph, features

    def traced(self, vectors: Tensor, neighbours: Tensor, species: Tensor, places: Sequence[Tensor]) -> Prepared:
        """Graphs of layers of fewer and fewer sites, in plain torch."""
        graphs = []
        for own in places:
            rows = EqualRows.of(own, neighbours.index_select(0, own))
            pairs = Pairs(rows, vectors.index_select(0, own).reshape(-1, 3))
            graphs.append(Graph(pairs, self.config.basis(), self.config.degree, compiled=False))
        return Prepared(graphs[-1], species, graphs)

    def begin_part(self, part: int, value: float) -> None:
        """Set the constant of a part."""
        with torch.no_grad():
            cast(nn.Linear, self.readouts[0]).bias[part] = value

    def last_layers(self) -> list[nn.Linear]:
        """Readouts of the layers (that of the bare sites knows no spins)."""
        return [cast(nn.Linear, readout) for readout in self.readouts[1:]]

    def law_of_pairs(self) -> PairLaw | None:
        """The law of pairs, where the configuration has one."""
        return self.pair_law if self.config.pairs else None

    def features(self, prepared: Prepared, spins: Tensor) -> Tensor:
        """Features (N, width) after the last interaction layer."""
        *_, (_, features) = self._layers(prepared, spins)
        return features


class Interaction(nn.Module):
    """One interaction layer and its on-site layers.

    Parameters
    ----------
    config : NetworkConfig
        Size and channels.
    passes_on : bool
        Whether spin vectors of the layer before are sent.
    """

    def __init__(self, config: NetworkConfig, passes_on: bool) -> None:
        super().__init__()
        self.config, width, channels = config, config.width, config.channels[0]
        scale = config.neighbours**-0.5
        self.filters = nn.ParameterList(torch.randn(config.radial, part) * scale for part in config.channels)
        self.send = nn.Linear(width, channels, bias=False)
        if config.vectors:
            self.send_spin = nn.Linear(width, channels, bias=False)
        if config.vectors and passes_on:
            self.gate = nn.Linear(width, channels)
            self.pass_on = nn.Linear(channels, channels, bias=False)
        if config.quadrupoles:
            self.quadrupole_filters = nn.Parameter(torch.randn(config.radial, channels) * scale)
            self.send_quadrupole = nn.Linear(width, channels, bias=False)
        self.collect = nn.Linear(config.invariants(), width)
        self.own = nn.Linear(width, width)
        self.atoms = nn.ModuleList(nn.Linear(width, width) for _ in range(config.atom_layers))
        self.activation = nn.SiLU()

    def forward(
        self, graph: Graph, features: Tensor, spins: Tensor, collected: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """New features (R, width) of the R sites that have rows in the graph, all as a rule, and their M (R, 3, channels).

        Parameters
        ----------
        graph : Graph
            Pairs with radial functions and harmonics.
        features : (N, width) Tensor
            a.
        spins : (N, 3) Tensor
            Free spin vectors.
        collected : (N, 3, channels) Tensor or None
            M of the layer before; None in the first.
        """
        sent, rows = self._sent(features, spins, collected), graph.pairs.rows
        sums = [graph.sum(degree, weights, sent[:, :, : weights.shape[1]]) for degree, weights in enumerate(self.filters)]
        found = _lattice_invariants(sums)
        vectors = sums[0][:, 0, 1:] if self.config.vectors else None
        if self.config.vectors:
            found += _spin_invariants(sums, rows.own(spins), self.config)
        if self.config.quadrupoles:
            squares = quadrupoles(spins)[:, :, None]
            of_spins, own = self.send_quadrupole(features)[:, None] * squares, rows.own(squares)
            tensors = graph.sum(0, self.quadrupole_filters, of_spins)[:, 0]
            found += [(tensors * own).sum(1), (tensors * tensors).sum(1)]
        new = self.activation(self.own(rows.own(features)) + self.collect(torch.cat(found, dim=1)))
        for layer in self.atoms:
            new = new + self.activation(layer(new))
        return new, vectors

    def _sent(self, features: Tensor, spins: Tensor, collected: Tensor | None) -> Tensor:
        """z, and spin vectors where they are asked for, (N, 1 or 4, channels)."""
        numbers = self.send(features)[:, None]
        if not self.config.vectors:
            return numbers
        vectors = self.send_spin(features)[:, None] * spins[:, :, None]
        if collected is not None:
            vectors = vectors + torch.tanh(self.gate(features))[:, None] * self.pass_on(collected)
        return torch.cat([numbers, vectors], dim=1)


def _lattice_invariants(sums: list[Tensor]) -> list[Tensor]:
    """A, L.L, D.D, each (N, channels); `sums` by degree, (N, harmonics, components, channels)."""
    found = [sums[0][:, 0, 0]]
    for part in sums[1:]:
        lattice = part[:, :, 0]
        found.append((lattice * lattice).sum(1))
    return found


def _spin_invariants(sums: list[Tensor], spins: Tensor, config: NetworkConfig) -> list[Tensor]:
    """Numbers from the spin vectors M, T, C, the own spin and the lattice tensors."""
    own = spins[:, :, None]
    vectors = sums[0][:, 0, 1:]
    found = [(own * vectors).sum(1), (vectors * vectors).sum(1)]
    if config.chirality:
        found.append((torch.linalg.cross(vectors, vectors.roll(1, 2), dim=1) * own).sum(1) ** 2)
    for part in sums[1:]:
        lattice, both, here = part[:, :, 0], part[:, :, 1:], vectors[:, None, :, : part.shape[3]]
        along = (both * own[:, None]).sum(2)
        found += [(both * both).sum((1, 2)), (along * along).sum(1), (along * lattice).sum(1)]
        found.append(((both * here).sum(2) * lattice).sum(1))
    if config.products:
        found += _products(sums, spins)
    if config.spin_orbit:
        found += _joint_invariants(sums, spins)
    return found


def _products(sums: list[Tensor], spins: Tensor) -> list[Tensor]:
    """Scalar products of lattice tensors that are even in spins: u = s.T, w = M.T, and T.T and u u of degree 2."""
    own, vectors = spins[:, None, :, None], sums[0][:, 0, 1:]
    found: list[Tensor] = []
    vector, along_vector = None, None
    for part in sums[1:]:
        both = part[:, :, 1:]
        along = (both * own).sum(2)
        onto = (both * vectors[:, None, :, : part.shape[3]]).sum(2)
        found += [(along * onto).sum(1), (onto * onto).sum(1)]
        if vector is None:
            vector, along_vector = both, along
            continue
        assert along_vector is not None
        channels = part.shape[3]
        pairs = quadrupoles(vector[..., :channels].transpose(1, 2), dim=2).sum(1)
        found += [(pairs * along).sum(1), (pairs * onto).sum(1)]
        found.append((quadrupoles(along_vector[..., :channels], dim=1) * along).sum(1))
    return found


def _joint_invariants(sums: list[Tensor], spins: Tensor) -> list[Tensor]:
    """Numbers that only joint rotations of spins and lattice leave alone."""
    own, found = spins[:, :, None], []
    for part in sums[1:]:
        lattice, both = part[:, :, 0], part[:, :, 1:]
        if lattice.shape[1] == 3:
            trace = both.diagonal(dim1=1, dim2=2).sum(2)
            crossed = (both * own[:, :, None]).sum(1)
            found.append((lattice * own).sum(1) * trace - (crossed * lattice).sum(1))
        else:
            found.append((lattice * quadrupoles(spins)[:, :, None]).sum(1))
            found.append((both * _polarized(spins)[..., None]).sum((1, 2)))
    return found


def _polarized(spins: Tensor) -> Tensor:
    """q with sum_a q[m, a] v_a = the product of `spins` and v in Q_m, (N, 5, 3): Q(s) where v = s."""
    axes = torch.eye(3, dtype=spins.dtype, device=spins.device)
    both = quadrupoles(spins[:, None] + axes) - quadrupoles(spins)[:, None] - quadrupoles(axes)
    return 0.5 * both.transpose(1, 2)


def energy_and_field(trunk: Trunk, prepared: Any, spins: Tensor, create_graph: bool = False) -> tuple[Tensor, Tensor]:
    """The only part of every site (N,) and H = -dE/ds (N, 3), by automatic differentiation.

    Parameters
    ----------
    trunk : Trunk
        With one part a site.
    prepared
        What ``trunk.prepare`` made of the geometry.
    spins : (N, 3) Tensor
        Free spin vectors.
    create_graph : bool
        Whether H may be differentiated in its turn (by the weights, as training does).
    """
    variable = spins if spins.requires_grad else spins.detach().requires_grad_(True)
    (energies,) = trunk(prepared, variable).unbind(1)
    (gradient,) = torch.autograd.grad(energies.sum(), variable, create_graph=create_graph, materialize_grads=True)
    return energies, -gradient
