"""Who computes an ensemble of networks: compiled loops or torch, energies and fields on one side, forces on the other.

The rule has no memory.  In single precision on the CPU energies and spin gradients come from compiled loops
(:mod:`spinase.learning.engine.evaluator`, the accuracy of its filters is 1e-6), else from torch; derivatives by the
positions always come from torch.  So the same question has the same answer to the last bit, whatever was asked before,
and whether atoms move or stay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from spinase.errors import ModelError
from spinase.geometry import Bonds
from spinase.learning.engine.evaluator import EngineGraph, FrozenEngine, supports
from spinase.learning.mhipnn.graph import Graph
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig, energy_and_field, mixed
from spinase.learning.model_file import ModelCard
from spinase.learning.pairs import Pairs, pairs_from
from spinase.learning.reservoir import Mixer, Reservoir
from spinase.typing import FloatArray, IntArray


@dataclass(eq=False)
class FrozenNetworks:
    """Bonds, positions (N, 3) and species (N,) of a geometry, and its volume; graphs are made when they are asked for."""

    bonds: Bonds
    positions: FloatArray
    species: IntArray
    config: NetworkConfig
    volume: float
    dtype: torch.dtype
    device: torch.device
    _copies: tuple[int, FrozenNetworks] | None = field(default=None, init=False)

    @cached_property
    def pairs(self) -> Pairs:
        """For torch."""
        return pairs_from(self.bonds, len(self.species), self.dtype, self.device)

    @cached_property
    def graph(self) -> Graph:
        """For torch."""
        return Graph(self.pairs, self.config.basis(), self.config.degree)

    @cached_property
    def kinds(self) -> Tensor:
        """Species for torch."""
        return torch.from_numpy(self.species).to(self.device)

    @cached_property
    def engine_graph(self) -> EngineGraph:
        """For the compiled engine."""
        return EngineGraph(self.bonds, self.positions, self.config)

    def repeated(self, count: int) -> FrozenNetworks:
        """Copies that do not feel each other; the last such request is remembered."""
        if self._copies is None or self._copies[0] != count:
            sites, bonds = len(self.species), self.bonds
            shift = np.repeat(np.arange(count) * sites, len(bonds))
            copies = Bonds(
                np.tile(bonds.first, count) + shift,
                np.tile(bonds.second, count) + shift,
                np.tile(bonds.shifts, (count, 1)),
                np.tile(bonds.vectors, (count, 1)),
                np.tile(bonds.distances, count),
            )
            apart = (np.ptp(self.positions, axis=0).max(initial=0.0) + self.config.cutoff) * np.eye(3)[0]
            places = np.concatenate([self.positions + k * apart for k in range(count)])
            other = dataclasses.replace(self, bonds=copies, positions=places, species=np.tile(self.species, count))
            self._copies = (count, other)
        return self._copies[1]


@dataclass(frozen=True, eq=False)
class SpinAnswer:
    """Energies (members,) and H = -dE/ds (members, N, 3) of every network, in the model's units.

    `potentials` and `fillings` (members,): chemical potentials, energy, and electrons per spin-orbital, where the networks
    know electrons.
    """

    energies: FloatArray
    gradients: FloatArray
    potentials: FloatArray | None = None
    fillings: FloatArray | None = None


@dataclass(eq=False)
class EnsembleState:
    """What an ensemble says of spins (N, 3) on a geometry; each part is computed when it is first asked for."""

    ensemble: Ensemble
    frozen: FrozenNetworks
    spins: FloatArray

    @cached_property
    def of_spins(self) -> SpinAnswer:
        """Energies and spin gradients."""
        return self.ensemble.solve(self.frozen, self.spins)

    @cached_property
    def tension(self) -> FloatArray:
        """dE/d(pair vector) of the mean energy, (P, 3)."""
        return self.ensemble.tension(self.frozen, self.spins)


class Ensemble:
    """Networks of one model file, ready to be asked.

    Parameters
    ----------
    networks : sequence of MagneticHIPNN
        At least one.
    card : ModelCard
        Theirs: scales.
    device : str
        Torch device.
    dtype : str
        ``"float32"`` or ``"float64"``.
    engine : bool
        Use compiled loops where they do; else plain torch always.
    reservoir : Reservoir or None
        Electrons.

    Raises
    ------
    ModelError
        On an unknown device.
    """

    def __init__(
        self,
        networks: Sequence[MagneticHIPNN],
        card: ModelCard,
        device: str,
        dtype: str,
        engine: bool,
        reservoir: Reservoir | None,
    ) -> None:
        self.card, self.reservoir = card, reservoir
        self.dtype = {"float32": torch.float32, "float64": torch.float64}[dtype]
        try:
            self.device = torch.device(device)
            self.networks = [self._prepared(network) for network in networks]
        except (RuntimeError, AssertionError) as error:
            raise ModelError(f"cannot use the torch device {device!r}: {error}") from None
        self.engines: list[FrozenEngine] | None = None
        if self.device.type == "cpu" and dtype == "float32" and engine and supports(card.network):
            self.engines = [FrozenEngine(network) for network in self.networks]

    def _prepared(self, network: MagneticHIPNN) -> MagneticHIPNN:
        copy = MagneticHIPNN(network.config)
        copy.load_state_dict(network.state_dict())
        for parameter in copy.parameters():
            parameter.requires_grad_(False)
        return copy.to(self.device, self.dtype).eval()

    def freeze(self, bonds: Bonds, positions: FloatArray, species: IntArray, volume: float) -> FrozenNetworks:
        """A geometry; species are numbers in the card's list."""
        return FrozenNetworks(bonds, positions, species, self.card.network, volume, self.dtype, self.device)

    def solve(self, frozen: FrozenNetworks, spins: FloatArray) -> SpinAnswer:
        """Energy and spin gradient of every network."""
        mixers = self._mixers()
        if self.engines is not None:
            graph, species = frozen.engine_graph, frozen.species
            found = [engine(graph, species, spins, mixer) for engine, mixer in zip(self.engines, mixers, strict=True)]
            return self._answer([float(energies.sum()) for energies, _ in found], [field for _, field in found], mixers)
        variable = self._tensor(spins)
        energies, gradients = [], []
        for network, mixer in zip(self.networks, mixers, strict=True):
            energy, gradient = energy_and_field(network, frozen.graph, frozen.kinds, variable, mix=mixer)
            energies.append(float(energy.detach().to(torch.float64).sum()))
            gradients.append(gradient.detach().cpu().numpy().astype(np.float64))
        return self._answer(energies, gradients, mixers)

    def _answer(self, energies: list[float], gradients: list[FloatArray], mixers: Sequence[Mixer | None]) -> SpinAnswer:
        """In the model's units."""
        scale = self.card.energy_scale
        total = scale * np.array(energies) + self.card.energy_shift * len(gradients[0])
        known = [mixer for mixer in mixers if mixer is not None]
        if not known:
            return SpinAnswer(total, scale * np.array(gradients))
        total += [mixer.work[0] for mixer in known]
        potentials, fillings = (np.array([table[0] for table in values]) for values in _electrons(known))
        return SpinAnswer(total, scale * np.array(gradients), potentials, fillings)

    def tension(self, frozen: FrozenNetworks, spins: FloatArray) -> FloatArray:
        """dE/d(pair vector) of the mean energy, (P, 3), by torch."""
        vectors = frozen.pairs.vectors.detach().requires_grad_(True)
        variable = self._tensor(spins)
        graph = Graph(Pairs(frozen.pairs.rows, vectors), self.card.network.basis(), self.card.network.degree)
        total = np.zeros(tuple(vectors.shape))
        for network, mixer in zip(self.networks, self._mixers(), strict=True):
            energy = mixed(network(graph, frozen.kinds, variable), mixer).to(torch.float64).sum()
            (by_vectors,) = torch.autograd.grad(energy, (vectors,), retain_graph=True, materialize_grads=True)
            total += by_vectors.cpu().numpy() / len(self.networks)
        return self.card.energy_scale * total

    def forces(self, frozen: FrozenNetworks, tension: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Forces (N, 3) and virial (3, 3) of the mean energy."""
        rows = frozen.pairs.rows
        pull = torch.from_numpy(tension).to(self.device)
        forces = pull.new_zeros((len(frozen.species), 3)).index_add(0, rows.first, pull).index_add(0, rows.second, -pull)
        return forces.cpu().numpy(), tension.T @ frozen.pairs.vectors.cpu().numpy().astype(np.float64)

    def replicas(self, frozen: FrozenNetworks, spins: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean energies (R,) and -dE/ds (R, N, 3) of spins (R, N, 3); for compiled loops one magnet that falls apart."""
        if self.engines is None:
            answers = [self.solve(frozen, one) for one in spins]
            energies = np.array([answer.energies.mean() for answer in answers])
            return energies, np.array([answer.gradients.mean(axis=0) for answer in answers]).reshape(spins.shape)
        count, sites = spins.shape[:2]
        many, mixers, scale = frozen.repeated(count), self._mixers(count), self.card.energy_scale
        together = spins.reshape(-1, 3)
        found = [
            engine(many.engine_graph, many.species, together, m) for engine, m in zip(self.engines, mixers, strict=True)
        ]
        energies = np.mean([one.reshape(count, sites).sum(axis=1) for one, _ in found], axis=0)
        gradients = np.mean([field for _, field in found], axis=0).reshape(spins.shape)
        energies = scale * energies + self.card.energy_shift * sites
        if self.reservoir is not None:
            energies += np.mean([mixer.work for mixer in mixers if mixer is not None], axis=0)
        return energies, scale * gradients

    def _mixers(self, magnets: int = 1) -> list[Mixer | None]:
        """For one evaluation of every network; None for networks that know no electrons."""
        return [None if self.reservoir is None else self.reservoir.mixer(magnets) for _ in self.networks]

    def _tensor(self, spins: FloatArray) -> Tensor:
        return torch.tensor(spins, dtype=self.dtype, device=self.device)


def _electrons(mixers: Sequence[Mixer]) -> tuple[list[FloatArray], list[FloatArray]]:
    return [mixer.potentials for mixer in mixers], [mixer.fillings for mixer in mixers]


__all__ = ["Ensemble", "EnsembleState", "FrozenNetworks", "SpinAnswer"]
