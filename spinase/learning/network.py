"""mHIP-NN: a hierarchical interacting-particle network whose message passing sees spins; a plain torch module.

The energy is a sum over sites and over interaction layers (HIP-NN, N. Lubbers, J. S. Smith, K. Barros, arXiv:1710.00017).
Spins enter as in the magnetic HIP-NN (arXiv:2606.10349, whose equations were not at hand in full: this is a reconstruction
with tensor channels in the way of HIP-NN-TS, arXiv:2212.03195).  A layer sums over neighbours j, with radial filters w(r):

    A_i = sum w z_j                       scalars
    M_i = sum w z_j s_j                   spin vectors
    Q_i = sum w z_j Q(s_j)                spin quadrupoles
    L_i = sum w z_j r/r,  D_i = sum w z_j Q(r/r)            lattice vectors and quadrupoles
    T_i = sum w z_j r/r s_j,  C_i = sum w z_j Q(r/r) s_j    lattice tensors of spin vectors

and makes of them numbers that do not change when all spins, or the lattice, are rotated or mirrored, or time is reversed:
A, s_i.M, M.M', s_i.Q.s_i, Q.Q', L.L', D.D', T.T', C.C', (s_i.T).(s_i.T)', L.(s_i.T), D.(s_i.C), (s_i.C).(s_i.C)', and
(s_i.(M x M'))^2, with ' another mix of the channels.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from spinase.learning.graph import Graph, RadialBasis, quadrupoles

_SPIN, _SPIN2, _LATTICE, _MIXED = "vectors", "quadrupoles", "lattice", "mixed"


class NetworkConfig(BaseModel):
    """Size and channels of a network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    species: tuple[int, ...] = Field(description="atomic numbers it knows")
    cutoff: float = Field(gt=0, description="range of a layer [length]")
    inner: float = Field(gt=0, description="shortest distance that is resolved [length]")
    radial: int = Field(12, ge=2, description="radial functions")
    width: int = Field(24, ge=1, description="channels")
    layers: int = Field(2, ge=1, description="interaction layers")
    atom_layers: int = Field(2, ge=0, description="on-site layers after each of them")
    neighbours: float = Field(12.0, gt=0, description="usual number of neighbours, a scale of the sums")
    vectors: bool = Field(True, description="spin vectors M")
    quadrupoles: bool = Field(True, description="spin quadrupoles Q")
    lattice: bool = Field(True, description="lattice tensors L, D and those of spins T, C")
    chirality: bool = Field(True, description="squares of scalar chiralities")

    def basis(self) -> RadialBasis:
        """The radial functions."""
        return RadialBasis(self.radial, self.inner, self.cutoff)


class MagneticHIPNN(nn.Module):
    """Energy of every site from species and spins on a graph.

    Parameters
    ----------
    config : NetworkConfig
        Size and channels.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(len(config.species), config.width)
        self.interactions = nn.ModuleList(Interaction(config) for _ in range(config.layers))
        self.readouts = nn.ModuleList(nn.Linear(config.width, 1) for _ in range(config.layers + 1))

    def forward(self, graph: Graph, species: Tensor, spins: Tensor) -> Tensor:
        """Energies (N,) for species indices (N,) and free spin vectors (N, 3); zero rows are non-magnetic sites."""
        features = self.embedding(species)
        energy = self.readouts[0](features)
        for interaction, readout in zip(self.interactions, self.readouts[1:], strict=True):
            features = interaction(graph, features, spins)
            energy = energy + readout(features)
        return energy[:, 0]


class Interaction(nn.Module):
    """One interaction layer and its on-site layers."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        kinds = ["scalar"]
        kinds += [_SPIN] if config.vectors else []
        kinds += [_SPIN2] if config.quadrupoles else []
        kinds += ["lattice_vector", "lattice_tensor"] if config.lattice else []
        kinds += ["mixed_vector", "mixed_tensor"] if config.lattice and config.vectors else []
        self.filters = nn.ParameterDict(
            {kind: nn.Parameter(torch.randn(config.radial, width) / config.neighbours**0.5) for kind in kinds}
        )
        self.senders = nn.ModuleDict({kind: nn.Linear(width, width, bias=False) for kind in kinds})
        self.mixers = nn.ModuleDict({kind: nn.Linear(width, width, bias=False) for kind in kinds if kind != "scalar"})
        self.collect = nn.Linear(self._invariants() * width, width)
        self.own = nn.Linear(width, width)
        self.atoms = nn.ModuleList(nn.Linear(width, width) for _ in range(config.atom_layers))
        self.activation = nn.SiLU()

    def _invariants(self) -> int:
        c = self.config
        count = 1 + 2 * c.vectors + 2 * c.quadrupoles + 2 * c.lattice
        count += 6 * (c.lattice and c.vectors)
        return count + (c.chirality and c.vectors)

    def forward(self, graph: Graph, features: Tensor, spins: Tensor) -> Tensor:
        """New features (N, width)."""
        invariants = self._of_spins(graph, features, spins)
        if self.config.lattice:
            invariants += self._of_the_lattice(graph, features, spins)
        new = self.activation(self.own(features) + self.collect(torch.cat(invariants, dim=1)))
        for layer in self.atoms:
            new = new + self.activation(layer(new))
        return new

    def _sum(self, graph: Graph, kind: str, filters: Tensor, features: Tensor, components: Tensor | None) -> Tensor:
        sent = self.senders[kind](features)[:, :, None]
        return graph.sum(filters, sent if components is None else sent * components[:, None, :])

    def _mix(self, kind: str, tensor: Tensor) -> Tensor:
        """Another combination of the channels."""
        return self.mixers[kind](tensor.transpose(1, 2)).transpose(1, 2)

    def _of_spins(self, graph: Graph, features: Tensor, spins: Tensor) -> list[Tensor]:
        config = self.config
        out = [self._sum(graph, "scalar", graph.scalar_filter(self.filters["scalar"]), features, None)[:, :, 0]]
        if config.vectors:
            vectors = self._sum(graph, _SPIN, graph.scalar_filter(self.filters[_SPIN]), features, spins)
            mixed = self._mix(_SPIN, vectors)
            out += [(vectors * spins[:, None, :]).sum(2), (vectors * mixed).sum(2)]
            if config.chirality:
                out.append((torch.linalg.cross(vectors, mixed) * spins[:, None, :]).sum(2) ** 2)
        if config.quadrupoles:
            own = quadrupoles(spins)
            tensors = self._sum(graph, _SPIN2, graph.scalar_filter(self.filters[_SPIN2]), features, own)
            out += [(tensors * own[:, None, :]).sum(2), (tensors * self._mix(_SPIN2, tensors)).sum(2)]
        return out

    def _of_the_lattice(self, graph: Graph, features: Tensor, spins: Tensor) -> list[Tensor]:
        out = []
        for lattice, mixed, make in (
            ("lattice_vector", "mixed_vector", graph.vector_filter),
            ("lattice_tensor", "mixed_tensor", graph.tensor_filter),
        ):
            directions = self._sum(graph, lattice, make(self.filters[lattice]), features, None)
            out.append((directions * self._mix(lattice, directions)).sum(2))
            if not self.config.vectors:
                continue
            both = self._sum(graph, mixed, make(self.filters[mixed]), features, spins)
            out.append((both * self._mix(mixed, both)).sum(2))
            along = (both.unflatten(2, (-1, 3)) * spins[:, None, None, :]).sum(3)
            out += [(along * directions).sum(2), (along * along).sum(2)]
        return out


def energy_and_field(
    network: MagneticHIPNN, graph: Graph, species: Tensor, spins: Tensor, create_graph: bool = False
) -> tuple[Tensor, Tensor]:
    """Energies of the sites (N,) and H = -dE/ds (N, 3), by automatic differentiation."""
    variable = spins if spins.requires_grad else spins.detach().requires_grad_(True)
    energies = network(graph, species, variable)
    (gradient,) = torch.autograd.grad(energies.sum(), variable, create_graph=create_graph, materialize_grads=True)
    return energies, -gradient
