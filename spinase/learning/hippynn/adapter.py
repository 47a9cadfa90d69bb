"""The only place that knows hippynn: our networks as nodes of its graphs, for its trainer, losses and ensembles.

Arrays of a database are padded: species (B, N) atomic numbers (0: no atom), positions (B, N, 3), cells (B, 3, 3), spins
(B, N, 3).  Boundaries are periodic where the cell has a vector.  Pairs come from our own neighbour lists (the sign of
hippynn's vectors differs between periodic and open systems), kept from epoch to epoch.  Fields are indexed by
configuration, so that hippynn compares the padded arrays as they are: rows without an atom are zero on both sides.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from hippynn.graphs.indextypes import IdxType
from hippynn.graphs.nodes.base import AutoKw, InputNode, MultiNode, SingleNode
from hippynn.graphs.nodes.inputs import CellNode, PositionsNode, SpeciesNode
from torch import Tensor, nn

from spinase.errors import ModelError
from spinase.geometry import Geometry
from spinase.learning.engine.training.batch import CompiledTraining
from spinase.learning.mhipnn.graph import Graph
from spinase.learning.mhipnn.network import MagneticHIPNN, mixed
from spinase.learning.pairs import Pairs, Rows, joined, pairs_of
from spinase.learning.reservoir import polynomial_slopes, polynomials

_KEPT_GEOMETRIES = 20_000


class SpinsNode(InputNode):
    """Spins of a database: unit vectors along the moments (zero: non-magnetic), (B, N, 3)."""

    _index_state = IdxType.MolAtom
    input_type_str = "Spins"


class WeightsNode(InputNode):
    """One weight for each configuration, (B, 1)."""

    _index_state = IdxType.Molecules
    input_type_str = "Weights"


class PotentialsNode(InputNode):
    """Chemical potentials in the window of a network with electrons, from -1 to 1, (B, 1)."""

    _index_state = IdxType.Molecules
    input_type_str = "Potentials"


class PaddedMagnet(nn.Module):
    """A network on padded batches: energies (B, 1) and tangent fields (B, N, 3) in the network's own units.

    For a network with electrons the energies are grand potentials Omega at the given chemical potentials x, and the last
    output is -dOmega/dx per site (B, 1).

    Parameters
    ----------
    network : MagneticHIPNN
        The network; its parameters are trained.
    forces : bool
        Also give forces on atoms (B, N, 3).
    compiled : bool
        Compiled passes where there are some (:mod:`spinase.learning.engine.training.batch`); else plain torch.
    """

    def __init__(self, network: MagneticHIPNN, forces: bool = False, compiled: bool = True) -> None:
        super().__init__()
        self.network, self.forces, self.compiled = network, forces, compiled
        self._training: CompiledTraining | None = None
        self._kept: OrderedDict[bytes, Pairs] = OrderedDict()
        index = torch.full((max(network.config.species) + 1,), -1, dtype=torch.long)
        for k, number in enumerate(network.config.species):
            index[number] = k
        self._index = index

    def forward(
        self, species: Tensor, positions: Tensor, cells: Tensor, spins: Tensor, potentials: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Energies and tangent fields, and forces if they are asked for; their graph is kept while training."""
        real = species > 0
        dtype = self.network.embedding.weight.dtype
        boxes = [self._pairs(species[b], positions[b], cells[b], dtype) for b in range(len(species))]
        config, kinds = self.network.config, self._kinds(species[real])
        if self.compiled and CompiledTraining.supports(self.network) and spins.device.type == "cpu":
            return self._fast(boxes, real, kinds, spins[real].to(dtype), potentials)
        together = joined([pairs for _, pairs in boxes])
        with torch.enable_grad():
            own = spins[real].to(dtype).detach().requires_grad_(True)
            vectors = together.vectors.detach().requires_grad_(self.forces)
            graph = Graph(Pairs(together.rows, vectors), config.basis(), config.degree)
            batch = real.nonzero()[:, 0]
            parts = self.network(graph, kinds, own)
            wanted, x = (own, vectors) if self.forces else (own,), None
            if potentials is None:
                energies = mixed(parts, None)
            else:
                x = potentials[:, 0].to(dtype).detach().requires_grad_(True)
                energies = (parts * polynomials(x, config.orders)[batch]).sum(1)
                wanted = (*wanted, x)
            field, *pull = torch.autograd.grad(energies.sum(), wanted, create_graph=self.training, materialize_grads=True)
        field = _tangent(own.detach(), -field)
        total = energies.new_zeros(len(species)).index_add(0, batch, energies)
        found = [field]
        if self.forces:
            found.append(_forces(together.rows, pull[0]))
        given = [] if x is None else [-pull[-1][:, None] / real.sum(1, keepdim=True)]
        return total[:, None], *(_padded(values, real) for values in found), *given

    def _fast(
        self, boxes: list[tuple[bytes, Pairs]], real: Tensor, kinds: Tensor, own: Tensor, potentials: Tensor | None
    ) -> tuple[Tensor, ...]:
        """The same in compiled passes."""
        orders = self.network.config.orders
        if potentials is None and orders:
            raise ModelError("this network needs electrons: give chemical potentials")
        if self._training is None or not self._training.is_for(self.network):
            self._training = CompiledTraining(self.network, self.forces)
        training, own = self._training, own.detach()
        x = own.new_zeros(len(real)) if potentials is None else potentials[:, 0].to(own.dtype).detach()
        factors = polynomials(x, orders)
        together = joined([pairs for _, pairs in boxes])
        with torch.set_grad_enabled(self.training):
            parts, field, *pulls = training([training.graph(*box) for box in boxes], kinds, own, factors)
            energies = (parts * factors).sum(1, keepdim=True)
            if self.network.config.pairs:
                bare, turning, stretching = self.network.pair_law.slopes(together, kinds, own)
                energies = energies.index_add(0, real.nonzero()[:, 0], bare[:, None])
                field, pulls = field - turning, [pull + stretching for pull in pulls]
            found = [_padded(_tangent(own, field), real)]
            found += [_padded(_forces(together.rows, pull), real) for pull in pulls]
        if potentials is None:
            return energies, *found
        return energies, *found, -(parts * polynomial_slopes(x, orders)).sum(1, keepdim=True) / real.sum(1, keepdim=True)

    def _kinds(self, numbers: Tensor) -> Tensor:
        known = numbers < len(self._index)
        kinds = torch.where(known, self._index.to(numbers.device)[torch.where(known, numbers, 0)], -1)
        if (kinds < 0).any():
            raise ModelError(f"the network does not know the atomic number {int(numbers[kinds < 0][0])}")
        return kinds

    def _pairs(self, species: Tensor, positions: Tensor, cell: Tensor, dtype: torch.dtype) -> tuple[bytes, Pairs]:
        """Pairs of one configuration, remembered by its geometry, and what they are remembered by."""
        real = (species > 0).cpu().numpy()
        places = positions.detach().cpu().numpy().astype(np.float64)[real]
        frame = cell.detach().cpu().numpy().astype(np.float64)
        key = places.tobytes() + frame.tobytes()
        if key not in self._kept:
            geometry = Geometry(places, frame, np.any(frame != 0.0, axis=1), species.cpu().numpy()[real].astype(np.int64))
            self._kept[key] = pairs_of(geometry, self.network.config.cutoff, dtype)
            if len(self._kept) > _KEPT_GEOMETRIES:
                self._kept.popitem(last=False)
        found = self._kept[key]
        device = positions.device
        return key, Pairs(found.rows.to(device), found.vectors.to(device))


def _tangent(unit: Tensor, field: Tensor) -> Tensor:
    return field - unit * (field * unit).sum(1, keepdim=True)


def _forces(rows: Rows, pulls: Tensor) -> Tensor:
    """On the atoms (N, 3), from slopes of the energy by the vectors of pairs (P, 3)."""
    return pulls.new_zeros((rows.sites, 3)).index_add(0, rows.first, pulls).index_add(0, rows.second, -pulls)


def _padded(values: Tensor, real: Tensor) -> Tensor:
    padded = values.new_zeros((*real.shape, 3))
    padded[real] = values
    return padded


class MagnetNode(AutoKw, MultiNode):
    """Energy and tangent field of a network, and electrons if it knows them; the module is :class:`PaddedMagnet`."""

    _input_names: tuple[str, ...] = ("species", "positions", "cells", "spins")
    _output_names: tuple[str, ...] = ("energy", "field")
    _output_index_states: tuple[IdxType, ...] = (IdxType.Molecules, IdxType.Molecules)
    _forces = False
    _main_output = "field"
    _auto_module_class = PaddedMagnet

    def __init__(
        self, name: str, parents: tuple[Any, ...], network: MagneticHIPNN, compiled: bool = True, **options: Any
    ) -> None:
        self.module_kwargs = {"network": network, "forces": self._forces, "compiled": compiled}
        if network.config.orders:
            self._input_names, self._output_names = (*self._input_names, "potentials"), (*self._output_names, "electrons")
        self._output_index_states = (IdxType.Molecules,) * len(self._output_names)
        super().__init__(name, parents, module="auto", **options)


class MovingMagnetNode(MagnetNode):
    """Energy, tangent field and forces on atoms."""

    _output_names = ("energy", "field", "forces")
    _output_index_states = (IdxType.Molecules, IdxType.Molecules, IdxType.Molecules)
    _forces = True


class _Scale(nn.Module):
    def forward(self, field: Tensor, weights: Tensor) -> Tensor:
        """Fields times the weight of their configuration."""
        return field * weights.reshape(-1, 1, 1).to(field.dtype)


class ScaledFieldNode(SingleNode):
    """A field times one weight for each configuration: a loss on it weighs quiet and loud configurations alike."""

    _input_names = "field", "weights"
    _index_state = IdxType.Molecules

    def __init__(self, name: str, parents: tuple[Any, ...], **options: Any) -> None:
        super().__init__(name, parents, module=_Scale(), **options)


def magnet_graph(network: MagneticHIPNN, forces: bool = False, compiled: bool = True) -> tuple[MagnetNode, ScaledFieldNode]:
    """Nodes of a network with inputs ``species``, ``positions``, ``cells``, ``spins`` and ``weights``.

    Outputs: ``energy``, ``field`` (tangent), ``scaled_field``, and with `forces` also ``forces`` in the database; for a
    network with electrons also the input ``potentials`` and the output ``electrons``.  `compiled` is that of
    :class:`PaddedMagnet`.
    """
    inputs: tuple[Any, ...] = (
        SpeciesNode(db_name="species"),
        PositionsNode(db_name="positions"),
        CellNode(db_name="cells"),
        SpinsNode(db_name="spins"),
    )
    if network.config.orders:
        inputs = (*inputs, PotentialsNode(db_name="potentials"))
    magnet = (MovingMagnetNode if forces else MagnetNode)("magnet", inputs, network, compiled=compiled)
    if forces:
        magnet.forces.db_name = "forces"
    if network.config.orders:
        magnet.electrons.db_name = "electrons"
    magnet.energy.db_name = "energy"
    magnet.field.db_name = "field"
    scaled = ScaledFieldNode("scaled_field", (magnet.field, WeightsNode(db_name="weights")), db_name="scaled_field")
    return magnet, scaled


__all__ = ["MagnetNode", "MovingMagnetNode", "PaddedMagnet", "ScaledFieldNode", "SpinsNode", "WeightsNode", "magnet_graph"]
