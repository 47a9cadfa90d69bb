"""Torch computes any trunk, in any precision, on any device, by automatic differentiation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spinase.learning.evaluator import Evaluation, Evaluator, Question, Request
from spinase.learning.frozen_geometry import FrozenGeometry
from spinase.learning.pairs import Pairs
from spinase.learning.trunk import Trunk
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False)
class _Prepared:
    """Pairs and species of a geometry, and what the trunk made of them."""

    pairs: Pairs
    species: Tensor
    kept: Any


class TorchEvaluator(Evaluator):
    """Potentials and their gradients from the trunk's own forward pass."""

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


__all__ = ["TorchEvaluator"]
