"""The compiled loops as an evaluator of atoms that move: energies, fields, forces and virial of mHIP-NN on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from spinase.learning.engine.evaluator import supports
from spinase.learning.engine.moving import MovingAnswer, MovingEngine
from spinase.learning.engine.moving_graph import MovingGraph
from spinase.learning.engine.potentials import in_passes, potentials
from spinase.learning.engine.regions import MovingRegions
from spinase.learning.evaluator import Evaluation, Evaluator, Question, Request
from spinase.learning.frozen_geometry import FrozenGeometry
from spinase.learning.mhipnn.network import MagneticHIPNN, Mix
from spinase.learning.trunk import Trunk
from spinase.typing import IntArray


class MovingEvaluator(Evaluator):
    """Energies and their gradients by spins and positions, in single (1e-6) or double precision (1e-10)."""

    joins_replicas = True
    joins_derivatives = True
    on_regions = MovingRegions

    def __init__(self, trunks: Sequence[Trunk], request: Request) -> None:
        super().__init__(trunks, request)
        self._engines = [MovingEngine(cast(MagneticHIPNN, trunk), np.dtype(request.dtype)) for trunk in self.trunks]

    @classmethod
    def supports(cls, trunk: Trunk, request: Request) -> bool:
        """mHIP-NN with the channels of the loops, CPU, where positions change or are differentiated by."""
        known = isinstance(trunk, MagneticHIPNN) and supports(trunk.config)
        return known and request.device == "cpu" and (request.moving or request.positions)

    def prepare(self, geometry: FrozenGeometry) -> tuple[MovingGraph, IntArray]:
        """Pairs as the loops of all members want them (their splines have the same knots), and species."""
        return self._engines[0].graph(geometry.bonds, geometry.positions), geometry.species

    def evaluate(self, prepared: tuple[MovingGraph, IntArray], member: int, question: Question) -> Evaluation:
        """One pass for every potential of the readout."""
        (graph, species), engine = prepared, self._engines[member]

        def run(mix: Mix | None, first: bool) -> MovingAnswer:
            """One pass with a mix of the parts; the first gives forces, too."""
            return engine.solve(graph, species, question.spins, mix, question.pulls and first, question.magnets)

        found, weighed = in_passes(question, self.trunks[member].config.parts, run)
        values, fields = np.array([one.energies for one in found]), np.array([one.fields for one in found])
        sums = potentials(values, question.magnets)
        return Evaluation(sums, values, weighed, fields, None, found[0].forces, found[0].virial)


__all__ = ["MovingEvaluator"]
