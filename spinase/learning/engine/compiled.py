"""The compiled loops as an evaluator: energies and fields of mHIP-NN in single precision on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from spinase.learning.engine.evaluator import EngineGraph, FrozenEngine, supports
from spinase.learning.engine.potentials import in_passes, potentials
from spinase.learning.engine.regions import CompiledRegions
from spinase.learning.evaluator import Evaluation, Evaluator, Question, Request
from spinase.learning.frozen_geometry import FrozenGeometry
from spinase.learning.mhipnn.network import MagneticHIPNN, NetworkConfig
from spinase.learning.trunk import Trunk
from spinase.typing import IntArray


class CompiledEvaluator(Evaluator):
    """Energies and gradients by spins; filters that are interpolated are accurate to 1e-6."""

    joins_replicas = True
    on_regions = CompiledRegions

    def __init__(self, trunks: Sequence[Trunk], request: Request) -> None:
        super().__init__(trunks, request)
        self._config = cast(NetworkConfig, self.trunks[0].config)
        self._engines = [FrozenEngine(cast(MagneticHIPNN, trunk)) for trunk in self.trunks]

    @classmethod
    def supports(cls, trunk: Trunk, request: Request) -> bool:
        """mHIP-NN with the channels of the loops, float32, CPU, spins on sites that stay."""
        known = isinstance(trunk, MagneticHIPNN) and supports(trunk.config)
        return known and request.dtype == "float32" and request.device == "cpu" and not (request.moving or request.positions)

    def prepare(self, geometry: FrozenGeometry) -> tuple[EngineGraph, IntArray]:
        """Pairs as the loops want them, and species."""
        return EngineGraph(geometry.bonds, geometry.positions, self._config), geometry.species

    def evaluate(self, prepared: tuple[EngineGraph, IntArray], member: int, question: Question) -> Evaluation:
        """One pass for every potential of the readout."""
        (graph, species), engine = prepared, self._engines[member]
        found, weighed = in_passes(question, self._config.parts, lambda mix, _: engine(graph, species, question.spins, mix))
        values, fields = (np.array([one[k] for one in found]) for k in (0, 1))
        return Evaluation(potentials(values, question.magnets), values, weighed, fields)


__all__ = ["CompiledEvaluator"]
