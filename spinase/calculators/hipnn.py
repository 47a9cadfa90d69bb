"""Learned magnets: an ensemble of magnetic HIP-NN networks as an ASE calculator."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
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
from spinase.geometry import Bonds, Geometry, NeighbourCache
from spinase.learning.calibration import Calibration
from spinase.learning.domain import too_close
from spinase.learning.frozen_engine import EngineGraph, FrozenEngine, supports
from spinase.learning.graph import Graph, Pairs, pairs_from
from spinase.learning.hippynn_files import networks_from_hippynn
from spinase.learning.model_file import ModelCard, load_model
from spinase.learning.network import MagneticHIPNN, NetworkConfig, energy_and_field, mixed
from spinase.learning.reservoir import Mixer
from spinase.learning.shipped import find_model, shipped_model

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_LARGE = 20_000  # sites from which torch takes too much memory while atoms move


class HIPNNConfig(OptionTable):
    """A learned magnet."""

    model: str = Field(description="model file, from the current directory, or name of a model that comes with spinase")
    device: str = Field("cpu", description="torch device: cpu, cuda, ...")
    dtype: Literal["float32", "float64"] = Field("float32", description="precision of the network")
    filling: float | None = Field(None, ge=0, le=1, description="electrons per spin-orbital, for models that know them [1]")
    chemical_potential: float | None = Field(None, description="chemical potential, instead of the filling [energy]")


@dataclass(eq=False)
class FrozenNetworks:
    """Bonds, positions (N, 3) and species (N,) of a geometry, and its volume; graphs are made when they are asked for.

    `passing`: atoms have moved to get here, and may move on.
    """

    bonds: Bonds
    positions: FloatArray
    species: IntArray
    config: NetworkConfig
    volume: float
    dtype: torch.dtype
    device: torch.device
    passing: bool
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
class EnsembleState:
    """Energies (members,) and H = -dE/ds (members, N, 3) of every network, in the model's units.

    `tension` (P, 3), if it came along: dE/d(pair vector) of the mean energy; `potentials` (members,): chemical potentials,
    where the networks know electrons.
    """

    energies: FloatArray
    gradients: FloatArray
    tension: FloatArray | None = None
    potentials: FloatArray | None = None


class HIPNNCalculator(SpinCalculator[FrozenNetworks, EnsembleState]):
    """A model file's ensemble: energies, fields, forces and stress are those of the mean energy of its networks.

    While atoms stay, everything that depends on them is kept, and single precision on the CPU uses compiled loops
    (:mod:`spinase.learning.frozen_engine`, the accuracy of its filters is 1e-6); while atoms move, and for double precision
    and other devices, torch does the work.

    Models of electrons (``orders`` > 0 in their network) know how energies depend on the chemical potential, see
    :mod:`spinase.learning.reservoir`: at a fixed filling they find it for every configuration (result
    ``chemical_potential``), and their energy is the free energy F; at a fixed chemical potential it is Omega.

    Parameters
    ----------
    model : path, name, or (networks, card)
        Model file, or name of a model that comes with the package (``spinase models``), or networks with their card.
    device : str
        Torch device.
    dtype : str
        ``"float32"`` or ``"float64"``.
    engine : bool
        Use compiled loops where they do; else plain torch always.
    filling : float, optional
        Electrons per spin-orbital, for models of electrons; default: that of their teacher.
    chemical_potential : float, optional
        A fixed chemical potential instead, energy.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, of another version or convention.
    ModelError
        On an unknown dtype or device, or electrons that the model does not know; later, if no chemical potential that the
        model knows gives the filling.
    """

    Config = HIPNNConfig
    citation = "N. Lubbers, J. S. Smith, K. Barros, J. Chem. Phys. 148, 241715 (2018); arXiv:2606.10349"

    def __init__(
        self,
        model: str | Path | tuple[Sequence[MagneticHIPNN], ModelCard],
        device: str = "cpu",
        dtype: Literal["float32", "float64"] = "float32",
        engine: bool = True,
        filling: float | None = None,
        chemical_potential: float | None = None,
    ) -> None:
        super().__init__()
        if dtype not in ("float32", "float64"):
            raise ModelError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
        networks, self.card = load_model(find_model(model)) if isinstance(model, str | Path) else model
        if not networks:
            raise ModelFileError("a learned calculator needs at least one network")
        self.dtype = {"float32": torch.float32, "float64": torch.float64}[dtype]
        try:
            self.device = torch.device(device)
            self.networks = [self._prepared(network) for network in networks]
        except (RuntimeError, AssertionError) as error:
            raise ModelError(f"cannot use the torch device {device!r}: {error}") from None
        self._engines: list[FrozenEngine] | None = None
        if self.device.type == "cpu" and dtype == "float32" and engine and supports(self.card.network):
            self._engines = [FrozenEngine(network) for network in self.networks]
        self.units = self.card.units
        self.conservative = self.card.conservative
        if self.card.network.spin_orbit:
            self.symmetries = self.symmetries - {"spin_rotation", "lattice_rotation"}
        self._reservoir = self.card.reservoir(filling, chemical_potential)
        if self._reservoir is not None:
            self.implemented_properties = [*self.implemented_properties, "chemical_potential"]
        self._neighbours = NeighbourCache()
        self._before: FloatArray | None = None

    @classmethod
    def from_config(cls, config: HIPNNConfig) -> HIPNNCalculator:
        """Calculator from the table of an input file."""
        return cls(
            config.model,
            config.device,
            config.dtype,
            filling=config.filling,
            chemical_potential=config.chemical_potential,
        )

    @classmethod
    def shipped(cls, name: str, **options: Any) -> HIPNNCalculator:
        """A model that comes with the package, by its name; the options are those of the class.

        Raises
        ------
        ModelFileError
            If there is no such model.
        """
        return cls(shipped_model(name), **options)

    @classmethod
    def from_hippynn(
        cls,
        source: Any,
        *,
        network: NetworkConfig | Mapping[str, Any] | None = None,
        units: str | None = None,
        unit_spins: bool | None = None,
        energy_scale: float | None = None,
        energy_shift: float | None = None,
        trust_pickle: bool = False,
        device: str = "cpu",
        dtype: Literal["float32", "float64"] = "float32",
    ) -> HIPNNCalculator:
        """Calculator of a network trained in hippynn with ``spinase.learning.hippynn_adapter.magnet_graph``.

        `source` is hippynn's GraphModule or Predictor, or the directory its trainer wrote; the other parameters say what
        that does not, see :func:`~spinase.learning.hippynn_files.networks_from_hippynn`.

        Raises
        ------
        ModelFileError
            For what is missing, each with what to do; for pickles without ``trust_pickle=True``.
        """
        model = networks_from_hippynn(
            source,
            network=network,
            units=units,
            unit_spins=unit_spins,
            energy_scale=energy_scale,
            energy_shift=energy_shift,
            trust_pickle=trust_pickle,
        )
        return cls(model, device=device, dtype=dtype)

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
        species = np.array([index[number] for number in geometry.numbers.tolist()], dtype=np.int64)
        positions, before = geometry.positions.copy(), self._before
        passing = before is not None and before.shape == positions.shape and not np.array_equal(before, positions)
        self._before = positions
        return FrozenNetworks(
            bonds, positions, species, config, geometry.volume, self.dtype, self.device, passing and len(species) < _LARGE
        )

    def solve(self, frozen: FrozenNetworks, spins: FloatArray, lengths: FloatArray) -> EnsembleState:
        """Energy and spin gradient of every network; on geometries that atoms pass through, with those by the pairs."""
        if frozen.passing:
            frozen.passing = False  # another question about the same geometry: it may be there to stay
            return self._solve_passing(frozen, spins)
        if self._engines is not None:
            return self._solve_fast(frozen, spins)
        variable = self._tensor(spins)
        energies, gradients, mixers = [], [], self._mixers()
        for network, mixer in zip(self.networks, mixers, strict=True):
            energy, gradient = energy_and_field(network, frozen.graph, frozen.kinds, variable, mix=mixer)
            energies.append(float(energy.detach().to(torch.float64).sum()))
            gradients.append(gradient.detach().cpu().numpy().astype(np.float64))
        return self._state_of(energies, gradients, mixers)

    def _mixers(self, magnets: int = 1) -> list[Mixer | None]:
        """For one evaluation of every network; None for networks that know no electrons."""
        return [None if self._reservoir is None else self._reservoir.mixer(magnets) for _ in self.networks]

    def _state_of(
        self,
        energies: list[float],
        gradients: list[FloatArray],
        mixers: Sequence[Mixer | None],
        tension: FloatArray | None = None,
    ) -> EnsembleState:
        """In the model's units."""
        scale = self.card.energy_scale
        total = scale * np.array(energies) + self.card.energy_shift * len(gradients[0])
        tension = None if tension is None else scale * tension
        known = [mixer for mixer in mixers if mixer is not None]
        potentials = np.array([mixer.potentials[0] for mixer in known]) if known else None
        if known:
            total += [mixer.work[0] for mixer in known]
        return EnsembleState(total, scale * np.array(gradients), tension, potentials)

    def _solve_fast(self, frozen: FrozenNetworks, spins: FloatArray) -> EnsembleState:
        """In compiled loops."""
        assert self._engines is not None
        mixers, graph, species = self._mixers(), frozen.engine_graph, frozen.species
        found = [engine(graph, species, spins, mixer) for engine, mixer in zip(self._engines, mixers, strict=True)]
        return self._state_of([float(energies.sum()) for energies, _ in found], [field for _, field in found], mixers)

    def _solve_passing(self, frozen: FrozenNetworks, spins: FloatArray) -> EnsembleState:
        """With the derivatives by the pairs, in one pass."""
        vectors = frozen.pairs.vectors.detach().requires_grad_(True)
        variable = self._tensor(spins).requires_grad_(True)
        graph = Graph(Pairs(frozen.pairs.rows, vectors), self.card.network.basis(), self.card.network.degree)
        energies, gradients, tension, mixers = [], [], np.zeros(tuple(vectors.shape)), self._mixers()
        for network, mixer in zip(self.networks, mixers, strict=True):
            energy = mixed(network(graph, frozen.kinds, variable), mixer).to(torch.float64).sum()
            by_spins, by_vectors = torch.autograd.grad(
                energy, (variable, vectors), retain_graph=True, materialize_grads=True
            )
            energies.append(float(energy.detach()))
            gradients.append(-by_spins.cpu().numpy().astype(np.float64))
            tension += by_vectors.cpu().numpy() / len(self.networks)
        return self._state_of(energies, gradients, mixers, tension)

    def derive(self, name: str, frozen: FrozenNetworks, state: EnsembleState, spins: FloatArray, lengths: FloatArray) -> Any:
        """One result of the ensemble's mean."""
        if name in ("energy", "free_energy"):
            return float(state.energies.mean())
        if name == "chemical_potential":
            assert state.potentials is not None
            return float(state.potentials.mean())
        if name == "magnetic_forces":
            return per_moment(state.gradients.mean(axis=0) * (lengths > 0.0)[:, None], lengths)
        forces, virial = self._lattice(frozen, state, spins)
        if name == "forces":
            return forces
        if frozen.volume == 0.0:
            raise InvalidGeometryError("stress needs a cell with a volume: set three independent cell vectors")
        virial = 0.5 * (virial + virial.T)
        return np.array([virial[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]) / frozen.volume

    def _lattice(self, frozen: FrozenNetworks, state: EnsembleState, spins: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Forces (N, 3) and virial (3, 3) of the mean energy."""
        tension = state.tension
        if tension is None:
            tension = self._solve_passing(frozen, spins).tension
        assert tension is not None
        rows = frozen.pairs.rows
        pull = torch.from_numpy(tension).to(self.device)
        forces = pull.new_zeros(spins.shape).index_add(0, rows.first, pull).index_add(0, rows.second, -pull)
        return forces.cpu().numpy(), tension.T @ frozen.pairs.vectors.cpu().numpy().astype(np.float64)

    def replicas(self, atoms: Atoms, moments: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Energies and fields of many spin configurations on the same atoms, in one pass where compiled loops do it.

        Parameters
        ----------
        atoms : Atoms
            Sites; their own moments do not matter.
        moments : (R, N, 3) ndarray
            Moments of every replica, mu_B or |m|.

        Returns
        -------
        energies : (R,) ndarray
            Energy of every replica.
        magnetic_forces : (R, N, 3) ndarray
            B = -dE/dm, energy/moment.

        Raises
        ------
        ModelError
            If the moments have another shape.
        """
        moments = np.asarray(moments, dtype=np.float64)
        if moments.ndim != 3 or moments.shape[1:] != (len(atoms), 3):
            raise ModelError(f"moments of replicas have the shape (replicas, {len(atoms)}, 3), got {moments.shape}")
        split = [split_moments(one) for one in moments]
        spins, lengths = (np.array([part[k] for part in split]).reshape(moments.shape[:2] + (-1,)) for k in (0, 1))
        self.field_function(atoms)
        frozen = self._frozen
        assert frozen is not None
        frozen.passing = False
        if self._engines is None:
            states = [self.solve(frozen, *pair) for pair in split]
            energies = np.array([state.energies.mean() for state in states])
            gradients = np.array([state.gradients.mean(axis=0) for state in states])
        else:
            energies, gradients = self._solve_replicas(self._engines, frozen, spins)
        fields = [per_moment(one * (length > 0.0), length[:, 0]) for one, length in zip(gradients, lengths, strict=True)]
        return energies, np.array(fields).reshape(moments.shape)

    def _solve_replicas(
        self, engines: Sequence[FrozenEngine], frozen: FrozenNetworks, spins: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Mean energies (R,) and -dE/ds (R, N, 3): the replicas are one large magnet that falls apart."""
        count, sites = spins.shape[:2]
        many, mixers, scale = frozen.repeated(count), self._mixers(count), self.card.energy_scale
        together = spins.reshape(-1, 3)
        found = [engine(many.engine_graph, many.species, together, m) for engine, m in zip(engines, mixers, strict=True)]
        energies = np.mean([one.reshape(count, sites).sum(axis=1) for one, _ in found], axis=0)
        gradients = np.mean([field for _, field in found], axis=0).reshape(spins.shape)
        energies = scale * energies + self.card.energy_shift * sites
        if self._reservoir is not None:
            energies += np.mean([mixer.work for mixer in mixers if mixer is not None], axis=0)
        return energies, scale * gradients

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
