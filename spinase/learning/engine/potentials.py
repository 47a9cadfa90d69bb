"""One pass of compiled loops for every potential of a readout; weights that depend on the parts are made in the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from spinase.learning.evaluator import Question
from spinase.learning.mhipnn.network import Mix
from spinase.learning.readout import Weighed
from spinase.typing import FloatArray

T = TypeVar("T")


def in_passes(question: Question, parts: int, run: Callable[[Mix | None, bool], T]) -> tuple[list[T], Weighed]:
    """What `run` gives for every potential, and the weights of the parts.

    Parameters
    ----------
    question : Question
        With the readout.
    parts : int
        Parts of a site.
    run : callable
        One pass, from the mix of the parts (None: the only one, as it is) and whether it is the first.
    """
    constant = question.readout.constant_weights(parts)
    if constant is not None and constant.shape == (1, 1) and constant[0, 0] == 1.0:
        return [run(None, True)], Weighed(np.ones((1, len(question.spins), 1)))
    weighed: list[Weighed] = []

    def first(values: FloatArray) -> FloatArray:
        """Weigh the parts (N, K) for all potentials; weights (N, K) of the first of them."""
        weighed.append(question.weigh(values))
        return weighed[0].weights[0]

    found = [run(first, True)]
    for weights in weighed[0].weights[1:]:
        found.append(run(lambda _, given=weights: given, False))  # type: ignore[misc]
    return found, weighed[0]


def potentials(values: FloatArray, magnets: int) -> FloatArray:
    """Sums (J, R) over the sites of every magnet, of terms (J, R N) of J potentials."""
    return np.asarray(values.reshape(len(values), magnets, -1).sum(axis=2))


__all__ = ["in_passes", "potentials"]
