"""The compiled loops as an evaluator of atoms that move: energies, fields, forces and virial of mHIP-NN on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from spinase.learning.engine.evaluator import supports
from spinase.learning.engine.moving import MovingAnswer, MovingEngine
from spinase.learning.engine.moving_graph import MovingGraph
from spinase.learning.evaluator import Evaluation, Evaluator, Question, Request
from spinase.learning.frozen_geometry import FrozenGeometry
from spinase.learning.mhipnn.network import MagneticHIPNN
from spinase.learning.readout import Weighed
from spinase.learning.trunk import Trunk
from spinase.typing import FloatArray, IntArray


class MovingEvaluator(Evaluator):
    """Energies and their gradients by spins and positions, in single (1e-6) or double precision (1e-10)."""

    joins_replicas = True
    joins_derivatives = True

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
        (graph, species), engine, parts = prepared, self._engines[member], self.trunks[member].config.parts
        constant = question.readout.constant_weights(parts)
        if constant is not None and np.array_equal(constant, np.ones((1, 1))):
            answers = [engine.solve(graph, species, question.spins, None, question.pulls)]
            weighed = Weighed(np.ones((1, len(question.spins), 1)))
        else:
            found: list[Weighed] = []

            def first(parts: FloatArray) -> FloatArray:
                found.append(question.weigh(parts))
                return found[0].weights[0]

            answers = [engine.solve(graph, species, question.spins, first, question.pulls)]
            weighed = found[0]
            for weights in weighed.weights[1:]:
                answers.append(engine.solve(graph, species, question.spins, lambda _, given=weights: given, False))  # type: ignore[misc]
        return _evaluation(answers, weighed, question)


def _evaluation(answers: Sequence[MovingAnswer], weighed: Weighed, question: Question) -> Evaluation:
    """Answers of all potentials, the first of which has forces where they were asked for."""
    values, fields = np.array([one.energies for one in answers]), np.array([one.fields for one in answers])
    potentials = np.asarray(values.reshape(len(values), question.magnets, -1).sum(axis=2))
    return Evaluation(potentials, values, weighed, fields, None, answers[0].forces, answers[0].virial)


__all__ = ["MovingEvaluator"]
