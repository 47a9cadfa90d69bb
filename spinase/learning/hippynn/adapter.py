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
from spinase.learning.mhipnn.network import MagneticHIPNN
from spinase.learning.pairs import Pairs, Rows, joined, pairs_of
from spinase.learning.readout import EnergyReadout, Readout
from spinase.learning.trunk import Trunk

_KEPT_GEOMETRIES = 20_000
_KEPT_BATCHES = 8


class SpinsNode(InputNode):
    """Spins of a database: unit vectors along the moments (zero: non-magnetic), (B, N, 3)."""

    _index_state = IdxType.MolAtom
    input_type_str = "Spins"


class WeightsNode(InputNode):
    """One weight for each configuration, (B, 1)."""

    _index_state = IdxType.Molecules
    input_type_str = "Weights"


class ConditionNode(InputNode):
    """What the readout's first potential depends on, such as chemical potentials from -1 to 1 in their window, (B, 1)."""

    _index_state = IdxType.Molecules
    input_type_str = "Condition"


class PaddedMagnet(nn.Module):
    """A network on padded batches: energies (B, 1) and tangent fields (B, N, 3) in the network's own units.

    The energy is the first potential of the readout.  With a readout that has a condition (the chemical potential of a
    grand potential, from -1 to 1 in its window) that is an input, and the last output is its response per site (B, 1).

    Parameters
    ----------
    network : Trunk
        The network; its parameters are trained.
    forces : bool
        Also give forces on atoms (B, N, 3).
    compiled : bool
        Compiled passes where there are some (:mod:`spinase.learning.engine.training.batch`); else plain torch.
    readout : Readout, optional
        What the parts mean; default: one part, the energy.
    """

    def __init__(self, network: Trunk, forces: bool = False, compiled: bool = True, readout: Readout | None = None) -> None:
        super().__init__()
        self.network, self.forces, self.compiled = network, forces, compiled
        self.readout = EnergyReadout() if readout is None else readout
        self.readout.constant_weights(network.config.parts)  # refuses parts it makes no sense of
        self._training: CompiledTraining | None = None
        self._kept: OrderedDict[bytes, Pairs] = OrderedDict()
        self._batches: OrderedDict[bytes, Any] = OrderedDict()
        index = torch.full((max(network.config.species) + 1,), -1, dtype=torch.long)
        for k, number in enumerate(network.config.species):
            index[number] = k
        self._index = index

    def forward(
        self, species: Tensor, positions: Tensor, cells: Tensor, spins: Tensor, condition: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Energies and tangent fields, and forces if they are asked for; their graph is kept while training.

        Parameters
        ----------
        species : (B, N) tensor of int
            Atomic numbers, 0 where a magnet has no more sites.
        positions, spins : (B, N, 3) tensor
            Length; unit vectors, zero at sites without a moment.
        cells : (B, 3, 3) tensor
            Rows are cell vectors, length.
        condition : (B, 1) tensor, optional
            What the readout's potentials depend on.
        """
        real, dtype = species > 0, next(self.network.parameters()).dtype
        boxes = [self._pairs(species[b], positions[b], cells[b], dtype) for b in range(len(species))]
        kinds, own = self._kinds(species[real]), spins[real].to(dtype).detach()
        x = None if condition is None else condition[:, 0].to(dtype).detach()
        fast = self.compiled and self.readout.conservative
        if fast and isinstance(self.network, MagneticHIPNN) and CompiledTraining.supports(self.network):
            factors = self.readout.batch_weights(x, len(species), self.network.config.parts, own)
            if factors.shape[1] == 1 and spins.device.type == "cpu":
                return self._fast(self.network, boxes, real, kinds, own, x, factors[:, 0])
        return self._plain(boxes, real, kinds, own, x, positions[real])

    def _plain(
        self,
        boxes: list[tuple[bytes, Pairs]],
        real: Tensor,
        kinds: Tensor,
        spins: Tensor,
        x: Tensor | None,
        places: Tensor,
    ) -> tuple[Tensor, ...]:
        """By automatic differentiation."""
        together, batch = joined([pairs for _, pairs in boxes]), real.nonzero()[:, 0]
        with torch.enable_grad():
            own, vectors = spins.requires_grad_(True), together.vectors.detach().requires_grad_(self.forces)
            parts = self.network(self._prepared([key for key, _ in boxes], Pairs(together.rows, vectors), kinds), own)
            asked = None if x is None or self.readout.response is None else x.requires_grad_(True)
            weights = self.readout.site_weights(x, batch, places, parts.shape[1], parts)
            terms = (parts[:, None] * weights).sum(2)  # (N, J)
            wanted = [own, *([vectors] if self.forces else []), *([] if asked is None else [asked])]
            first, *others = (terms[:, j].sum() for j in range(terms.shape[1]))
            by_spins, *rest = _slopes(first, wanted, self.training)
            slopes = [by_spins, *(_slopes(one, [own], self.training)[0] for one in others)]
            field = self.readout.fields(own.detach(), -torch.stack(slopes), places.to(own))
        total = terms.new_zeros(len(real)).index_add(0, batch, terms[:, 0])
        found = [_padded(_tangent(own.detach(), field), real)]
        if self.forces:
            found.append(_padded(_forces(together.rows, rest[0]), real))
        response = [] if asked is None else [-rest[-1][:, None] / real.sum(1, keepdim=True)]
        return total[:, None], *found, *response

    def _fast(
        self,
        network: MagneticHIPNN,
        boxes: list[tuple[bytes, Pairs]],
        real: Tensor,
        kinds: Tensor,
        own: Tensor,
        x: Tensor | None,
        factors: Tensor,
    ) -> tuple[Tensor, ...]:
        """The same in compiled passes, with the weights `factors` (B, K) of one potential."""
        if self._training is None or not self._training.is_for(network):
            self._training = CompiledTraining(network, self.forces)
        training, together = self._training, joined([pairs for _, pairs in boxes])
        with torch.set_grad_enabled(self.training):
            parts, field, *pulls = training([training.graph(*box) for box in boxes], kinds, own, factors)
            energies = (parts * factors).sum(1, keepdim=True)
            if network.config.pairs:
                bare, turning, stretching = network.pair_law.slopes(together, kinds, own)
                energies = energies.index_add(0, real.nonzero()[:, 0], bare[:, None])
                field, pulls = field - turning, [pull + stretching for pull in pulls]
            found = [_padded(_tangent(own, self.readout.fields(own, field[None], None)), real)]
            found += [_padded(_forces(together.rows, pull), real) for pull in pulls]
        if x is None:
            return energies, *found
        slopes = self.readout.batch_slopes(x, parts.shape[1])[:, 0]
        return energies, *found, -(parts * slopes).sum(1, keepdim=True) / real.sum(1, keepdim=True)

    def _prepared(self, keys: list[bytes], together: Pairs, kinds: Tensor) -> Any:
        """What the network makes of joined boxes; of trunks that do not follow positions the last such batches are kept."""
        if self.network.follows_positions:
            return self.network.prepare(together, kinds)
        key = b"".join([*keys, kinds.cpu().numpy().tobytes(), str(together.vectors.dtype).encode()])
        if key not in self._batches:
            self._batches[key] = self.network.prepare(together, kinds)
            if len(self._batches) > _KEPT_BATCHES:
                self._batches.popitem(last=False)
        return self._batches[key]

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


def _slopes(total: Tensor, wanted: list[Tensor], create_graph: bool) -> tuple[Tensor, ...]:
    return torch.autograd.grad(total, wanted, retain_graph=True, create_graph=create_graph, materialize_grads=True)


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
    """Energy and tangent field of a network, and the response of its readout; the module is :class:`PaddedMagnet`."""

    _input_names: tuple[str, ...] = ("species", "positions", "cells", "spins")
    _output_names: tuple[str, ...] = ("energy", "field")
    _output_index_states: tuple[IdxType, ...] = (IdxType.Molecules, IdxType.Molecules)
    _forces = False
    _main_output = "field"
    _auto_module_class = PaddedMagnet

    def __init__(
        self,
        name: str,
        parents: tuple[Any, ...],
        network: Trunk,
        compiled: bool = True,
        readout: Readout | None = None,
        **options: Any,
    ) -> None:
        self.module_kwargs = {"network": network, "forces": self._forces, "compiled": compiled, "readout": readout}
        if readout is not None and readout.condition is not None:
            self._input_names = (*self._input_names, readout.condition)
        if readout is not None and readout.response is not None:
            self._output_names = (*self._output_names, readout.response)
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


def magnet_graph(
    network: Trunk, forces: bool = False, compiled: bool = True, readout: Readout | None = None
) -> tuple[MagnetNode, ScaledFieldNode]:
    """Nodes of a network with inputs ``species``, ``positions``, ``cells``, ``spins`` and ``weights``.

    Outputs: ``energy``, ``field`` (tangent), ``scaled_field``, and with `forces` also ``forces`` in the database; for a
    readout with a condition that is also an input, and its response an output (of grand potentials
    ``chemical_potentials`` and ``electrons``).  `compiled` and `readout` are those of :class:`PaddedMagnet`.

    Parameters
    ----------
    network : Trunk
        Trained in place.
    forces : bool
        Whether forces are an output.
    compiled : bool
        Whether compiled loops are used where they know the network.
    readout : Readout, optional
        What the parts mean; None: an energy.
    """
    inputs: tuple[Any, ...] = (
        SpeciesNode(db_name="species"),
        PositionsNode(db_name="positions"),
        CellNode(db_name="cells"),
        SpinsNode(db_name="spins"),
    )
    if readout is not None and readout.condition is not None:
        inputs = (*inputs, ConditionNode(db_name=readout.condition))
    magnet = (MovingMagnetNode if forces else MagnetNode)("magnet", inputs, network, compiled=compiled, readout=readout)
    if forces:
        magnet.forces.db_name = "forces"
    if readout is not None and readout.response is not None:
        getattr(magnet, readout.response).db_name = readout.response
    magnet.energy.db_name = "energy"
    magnet.field.db_name = "field"
    scaled = ScaledFieldNode("scaled_field", (magnet.field, WeightsNode(db_name="weights")), db_name="scaled_field")
    return magnet, scaled


__all__ = ["MagnetNode", "MovingMagnetNode", "PaddedMagnet", "ScaledFieldNode", "SpinsNode", "WeightsNode", "magnet_graph"]
