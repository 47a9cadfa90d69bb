"""Torch computes any trunk, in any precision, on any device, by automatic differentiation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spinase.learning.evaluator import (
    Evaluation,
    Evaluator,
    Question,
    RegionAnswer,
    RegionEvaluator,
    RegionSites,
    Request,
)
from spinase.learning.frozen_geometry import FrozenGeometry
from spinase.learning.pairs import Pairs, Rows
from spinase.learning.trunk import Trunk
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class _Prepared:
    """Pairs and species of a geometry, and what the trunk made of them."""

    pairs: Pairs
    species: Tensor
    kept: Any


@dataclass(eq=False)
class _PreparedRegion:
    """Pairs and species of a region, and what the trunk made of them, once somebody asks without forces."""

    pairs: Pairs
    species: Tensor
    owned: int
    kept: Any = None


class TorchRegions(RegionEvaluator):
    """Energies of owned sites and their gradients from the trunk's own forward pass."""

    @classmethod
    def supports(cls, trunk: Trunk, request: Request) -> bool:
        """Everything."""
        return True

    def prepare(self, sites: RegionSites) -> _PreparedRegion:
        """Pairs on the device."""
        device, pairs = torch.device(self.request.device), sites.pairs
        rows = Rows(*(torch.from_numpy(part).to(device) for part in (sites.starts, pairs.first, pairs.second)))
        listed = Pairs(rows, torch.from_numpy(pairs.vectors).to(device, self.request.torch_dtype))
        return _PreparedRegion(listed, torch.from_numpy(sites.species).to(device), sites.owned)

    def evaluate(
        self, prepared: _PreparedRegion, member: int, spins: FloatArray, weights: FloatArray, forces: bool
    ) -> RegionAnswer:
        """One forward pass and one backward."""
        trunk, pairs = self.trunks[member], prepared.pairs
        vectors = pairs.vectors.detach().requires_grad_(forces)
        with torch.enable_grad():
            if not forces and prepared.kept is None:
                prepared.kept = self.trunks[0].prepare(pairs, prepared.species)
            kept = trunk.prepare(Pairs(pairs.rows, vectors), prepared.species) if forces else prepared.kept
            free = torch.tensor(spins).to(vectors).requires_grad_(True)
            values = trunk(kept, free)[: prepared.owned] @ torch.from_numpy(weights).to(vectors)
            wanted = [free, vectors] if forces else [free]
            slopes = torch.autograd.grad(values.sum(), wanted, materialize_grads=True)
        energies, fields = _array(values), -_array(slopes[0])
        if not forces:
            return RegionAnswer(energies, fields)
        pull, pulled = _array(slopes[1]), np.zeros_like(fields)
        np.add.at(pulled, pairs.rows.first.cpu().numpy(), pull)
        np.add.at(pulled, pairs.rows.second.cpu().numpy(), -pull)
        return RegionAnswer(energies, fields, pulled, pull.T @ _array(vectors))


class TorchEvaluator(Evaluator):
    """Potentials and their gradients from the trunk's own forward pass."""

    on_regions = TorchRegions

    def __init__(self, trunks: Sequence[Trunk], request: Request) -> None:
        super().__init__(trunks, request)
        self._kind: dict[str, Any] = {"dtype": request.torch_dtype, "device": torch.device(request.device)}

    @classmethod
    def supports(cls, trunk: Trunk, request: Request) -> bool:
        """Everything, but derivatives by positions of trunks that do not follow them."""
        return trunk.follows_positions or not request.positions

    def prepare(self, geometry: FrozenGeometry) -> _Prepared:
        """Pairs on the device."""
        pairs = geometry.pairs(self.request.torch_dtype, self.request.device)
        species = torch.from_numpy(geometry.species).to(self._kind["device"])
        return _Prepared(pairs, species, None if self.request.positions else self.trunks[0].prepare(pairs, species))

    def evaluate(self, prepared: _Prepared, member: int, question: Question) -> Evaluation:
        """One forward pass, and one backward for every potential."""
        trunk = self.trunks[member]
        with torch.enable_grad():
            spins = torch.tensor(question.spins, **self._kind).requires_grad_(question.fields)
            kept, wanted = prepared.kept, [spins] if question.fields else []
            if question.pulls:
                vectors = prepared.pairs.vectors.detach().requires_grad_(True)
                kept, wanted = trunk.prepare(Pairs(prepared.pairs.rows, vectors), prepared.species), [*wanted, vectors]
            elif kept is None:
                kept = trunk.prepare(prepared.pairs, prepared.species)
            parts = trunk(kept, spins)
            weighed = question.weigh(_array(parts))
            weights = torch.from_numpy(weighed.weights).to(parts)
            gradients = [_gradients(parts, wanted, one, last=k == len(weights) - 1) for k, one in enumerate(weights)]
        values = (parts.detach()[None] * weights).sum(2).to(torch.float64)
        potentials = np.array([[float(magnet.sum()) for magnet in one.reshape(question.magnets, -1)] for one in values])
        fields = -np.array([_array(one[0]) for one in gradients]) if question.fields else None
        pulls = _array(gradients[0][-1]) if question.pulls else None
        return Evaluation(potentials, _array(values), weighed, fields, pulls)


def _gradients(parts: Tensor, wanted: list[Tensor], weights: Tensor, last: bool) -> tuple[Tensor, ...]:
    """Of sum_ik w_ik e_ik by the tensors `wanted`."""
    if not wanted:
        return ()
    return torch.autograd.grad(parts, wanted, weights, retain_graph=not last, materialize_grads=True)


def _array(tensor: Tensor) -> FloatArray:
    found: FloatArray = tensor.detach().cpu().numpy().astype(np.float64)
    return found


__all__ = ["TorchEvaluator", "TorchRegions"]
