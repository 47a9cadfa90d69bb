"""Learned magnets: an ensemble of magnetic HIP-NN networks as an ASE calculator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from spinase.atoms import geometry_of, get_moments
from spinase.calculators.base import SpinCalculator, per_moment, split_moments
from spinase.calculators.options import OptionTable
from spinase.errors import InvalidGeometryError, ModelError, ModelFileError
from spinase.geometry import Geometry, NeighbourCache
from spinase.learning.calibration import Calibration
from spinase.learning.domain import too_close
from spinase.learning.graph import Graph, Pairs, pairs_from
from spinase.learning.model_file import ModelCard, load_model
from spinase.learning.network import MagneticHIPNN, energy_and_field

FloatArray = NDArray[np.float64]


class HIPNNConfig(OptionTable):
    """A learned magnet."""

    model: str = Field(description="model file, from the current directory")
    device: str = Field("cpu", description="torch device: cpu, cuda, ...")
    dtype: Literal["float32", "float64"] = Field("float32", description="precision of the network")


@dataclass(frozen=True, eq=False)
class FrozenNetworks:
    """Graph and species of a geometry, and its volume."""

    pairs: Pairs
    graph: Graph
    species: Tensor
    volume: float


@dataclass(frozen=True, eq=False)
class EnsembleState:
    """Energies (members,) and H = -dE/ds (members, N, 3) of every network, in the model's units."""

    energies: FloatArray
    gradients: FloatArray


class HIPNNCalculator(SpinCalculator[FrozenNetworks, EnsembleState]):
    """A model file's ensemble: energies, fields, forces and stress are those of the mean energy of its networks.

    While atoms stay, neighbours, radial functions and directions are kept and only derivatives by the spins are taken.

    Parameters
    ----------
    model : path, or (networks, card)
        Model file, or networks with their card.
    device : str
        Torch device.
    dtype : str
        ``"float32"`` or ``"float64"``.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, of another version or convention.
    ModelError
        On an unknown dtype or device.
    """

    Config = HIPNNConfig
    citation = "N. Lubbers, J. S. Smith, K. Barros, J. Chem. Phys. 148, 241715 (2018); arXiv:2606.10349"

    def __init__(
        self,
        model: str | Path | tuple[Sequence[MagneticHIPNN], ModelCard],
        device: str = "cpu",
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        super().__init__()
        if dtype not in ("float32", "float64"):
            raise ModelError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
        networks, self.card = load_model(model) if isinstance(model, str | Path) else model
        if not networks:
            raise ModelFileError("a learned calculator needs at least one network")
        self.dtype = {"float32": torch.float32, "float64": torch.float64}[dtype]
        try:
            self.device = torch.device(device)
            self.networks = [self._prepared(network) for network in networks]
        except (RuntimeError, AssertionError) as error:
            raise ModelError(f"cannot use the torch device {device!r}: {error}") from None
        self.units = self.card.units
        self.conservative = self.card.conservative
        self._neighbours = NeighbourCache()

    @classmethod
    def from_config(cls, config: HIPNNConfig) -> HIPNNCalculator:
        """Calculator from the table of an input file."""
        return cls(config.model, config.device, config.dtype)

    def _prepared(self, network: MagneticHIPNN) -> MagneticHIPNN:
        copy = MagneticHIPNN(network.config)
        copy.load_state_dict(network.state_dict())
        for parameter in copy.parameters():
            parameter.requires_grad_(False)
        return copy.to(self.device, self.dtype).eval()

    def freeze(self, geometry: Geometry) -> FrozenNetworks:
        """Neighbours within the cutoff, and indices of the species.

        Raises
        ------
        ModelError
            If the model does not know a species.
        """
        config = self.card.network
        index = {number: k for k, number in enumerate(config.species)}
        unknown = sorted(set(geometry.numbers.tolist()) - set(index))
        if unknown:
            known = ", ".join(chemical_symbols[number] for number in config.species)
            raise ModelError(f"the model {self.card.name!r} does not know {chemical_symbols[unknown[0]]}; it knows {known}")
        bonds = self._neighbours.bonds(geometry, config.cutoff)
        pairs = pairs_from(bonds, len(geometry), self.dtype, self.device)
        species = torch.tensor([index[number] for number in geometry.numbers.tolist()], device=self.device)
        return FrozenNetworks(pairs, Graph(pairs, config.basis(), config.degree), species, geometry.volume)

    def solve(self, frozen: FrozenNetworks, spins: FloatArray, lengths: FloatArray) -> EnsembleState:
        """Energy and spin gradient of every network."""
        variable = self._tensor(spins)
        energies, gradients = [], []
        for network in self.networks:
            energy, gradient = energy_and_field(network, frozen.graph, frozen.species, variable)
            energies.append(float(energy.detach().to(torch.float64).sum()))
            gradients.append(gradient.detach().cpu().numpy().astype(np.float64))
        scale = self.card.energy_scale
        shift = self.card.energy_shift * len(spins)
        return EnsembleState(scale * np.array(energies) + shift, scale * np.array(gradients))

    def derive(self, name: str, frozen: FrozenNetworks, state: EnsembleState, spins: FloatArray, lengths: FloatArray) -> Any:
        """One result of the ensemble's mean."""
        if name in ("energy", "free_energy"):
            return float(state.energies.mean())
        if name == "magnetic_forces":
            return per_moment(state.gradients.mean(axis=0) * (lengths > 0.0)[:, None], lengths)
        forces, virial = self._lattice(frozen, spins)
        if name == "forces":
            return forces
        if frozen.volume == 0.0:
            raise InvalidGeometryError("stress needs a cell with a volume: set three independent cell vectors")
        virial = 0.5 * (virial + virial.T)
        return np.array([virial[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]) / frozen.volume

    def _lattice(self, frozen: FrozenNetworks, spins: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Forces (N, 3) and virial (3, 3) of the mean energy."""
        vectors = frozen.pairs.vectors.detach().requires_grad_(True)
        rows, config = frozen.pairs.rows, self.card.network
        graph = Graph(Pairs(rows, vectors), config.basis(), config.degree)
        energy = sum(network(graph, frozen.species, self._tensor(spins)).sum() for network in self.networks)
        assert isinstance(energy, Tensor)
        if not len(vectors):
            return np.zeros_like(spins), np.zeros((3, 3))
        (tension,) = torch.autograd.grad(energy, vectors)
        pull = tension.to(torch.float64) * (self.card.energy_scale / len(self.networks))
        forces = pull.new_zeros((rows.sites, 3)).index_add(0, rows.first, pull).index_add(0, rows.second, -pull)
        virial = pull.T @ vectors.detach().to(torch.float64)
        return forces.cpu().numpy(), virial.cpu().numpy()

    def spread(self, atoms: Atoms) -> FloatArray:
        """Standard deviation of the networks' tangent fields at every site, (N,), energy/moment; zero for one network."""
        self.get_property("magnetic_forces", atoms)
        assert self._state is not None
        spins, lengths = split_moments(get_moments(atoms))
        fields = self._state.gradients / np.where(lengths > 0.0, lengths, np.inf)[:, None]
        tangent = fields - spins * np.einsum("kia,ia->ki", fields, spins)[:, :, None]
        return np.asarray(np.sqrt(np.sum(tangent.var(axis=0), axis=1)))

    def error_bars(self, atoms: Atoms, coverage: float = 0.9) -> FloatArray:
        """Error bars of the tangent fields, (N,), energy/moment: a part `coverage` of the true errors |dB| is below them.

        That holds on average over magnets drawn as those the model was calibrated on (:mod:`spinase.learning.calibration`);
        zero at sites without a moment.

        Raises
        ------
        ModelError
            If the model was never calibrated, or on too few realizations for this coverage.
        """
        table = self.card.notes.get("calibration")
        if table is None:
            raise ModelError(
                f"the model {self.card.name!r} has no calibrated error bars: make them from labels it was not trained on "
                "with `spinase calibrate MODEL LABELS.h5`"
            )
        lengths = split_moments(get_moments(atoms))[1]
        bars = Calibration.from_table(table).bars(self.spread(atoms) * lengths, coverage)
        return bars / np.where(lengths > 0.0, lengths, np.inf)

    def domain_problem(self, atoms: Atoms, margin: float = 0.02) -> str | None:
        """Which atoms are closer than any in the training by more than a part `margin`; None if none are.

        Also None for a model file that does not tell the distances of its training.
        """
        shortest = self.card.notes.get("shortest_distances")
        return None if shortest is None else too_close(geometry_of(atoms), shortest, self.card.network.cutoff, margin)

    def _tensor(self, spins: FloatArray) -> Tensor:
        return torch.tensor(spins, dtype=self.dtype, device=self.device)


__all__ = ["HIPNNCalculator", "HIPNNConfig"]
