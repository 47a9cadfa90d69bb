"""Compiled training on frozen atoms: energies and fields of a batch, and their slopes by the weights, for torch's autograd.

A loss l has slopes p_k = dl/de_k by the parts of the energy of a configuration, E = sum_k t_k e_k, and g_i = dl/dH_i by the
fields H_i = -dE/ds_i.  By the weights w it has

    dl/dw = sum_k p_k de_k/dw - sum_i g_i . d/ds_i dE/dw,

and the last sum is a derivative along g: with D(t, s) = d(sum_k t_k e_k)/dw at the spins s and a step h,

    dl/dw = D(p/2 - t/(2 h), s + h g) + D(p/2 + t/(2 h), s - h g) + O(h^2),

so that a step of the training costs two passes with slopes by the weights beside the one that gives the fields.  The network
is defined for free spin vectors: g need not be tangent.  What does not depend on spins is kept out of the difference.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from spinase.learning.frozen_engine import supports
from spinase.learning.graph import Pairs
from spinase.learning.network import MagneticHIPNN
from spinase.learning.training_engine import Passes, TrainingGraph, Weights
from spinase.threads import default_threads, thread_map

Array = NDArray[Any]
_STEP = 0.03  # largest change of a spin
_KEPT_GRAPHS = 2000


@dataclass(frozen=True, eq=False)
class _Magnet:
    """One configuration: pairs and filters, species indices (N,), spins (N, 3), factors t (orders + 1,)."""

    graph: TrainingGraph
    tables: list[Array]
    species: NDArray[np.int64]
    spins: Array
    factors: Array


class CompiledTraining:
    """Energies and fields of batches, which torch can differentiate once by the network's weights.

    Parameters
    ----------
    network : MagneticHIPNN
        With channels that the compiled loops have (:meth:`supports`), on the CPU.
    step : float
        Largest change of a spin in the differences of slopes.
    threads : int, optional
        Default: ``OMP_NUM_THREADS``, else all cores; the configurations of a batch are divided among them.
    """

    def __init__(self, network: MagneticHIPNN, step: float = _STEP, threads: int | None = None) -> None:
        self.network, self.step, self.threads = network, step, threads or default_threads()
        self._graphs: OrderedDict[bytes, TrainingGraph] = OrderedDict()
        self._spare: dict[int, list[Any]] = {}

    @staticmethod
    def supports(network: MagneticHIPNN) -> bool:
        """Whether there are compiled loops for a network, where it is, with all its channels."""
        weight = network.embedding.weight
        known = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64)
        return known and supports(network.config) and not network.config.pairs

    def graph(self, key: bytes, pairs: Pairs) -> TrainingGraph:
        """Pairs of a geometry as the loops want them, remembered by a key."""
        if key not in self._graphs:
            dtype = np.float32 if self.network.embedding.weight.dtype == torch.float32 else np.float64
            self._graphs[key] = TrainingGraph(pairs, self.network.config, dtype)
            if len(self._graphs) > _KEPT_GRAPHS:
                self._graphs.popitem(last=False)
        return self._graphs[key]

    def __call__(self, graphs: list[TrainingGraph], species: Tensor, spins: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
        """Parts of the energies of a batch, and fields.

        Parameters
        ----------
        graphs : list of TrainingGraph
            Of every configuration.
        species : (N,) Tensor of int
            Indices into the network's species, of all sites, one configuration after the other.
        spins : (N, 3) Tensor
            Free spin vectors.
        factors : (B, orders + 1) Tensor
            t_k of every configuration's energy E = sum_k t_k e_k.

        Returns
        -------
        parts : (B, orders + 1) Tensor
            e_k, summed over the sites.
        fields : (N, 3) Tensor
            -dE/ds.
        """
        names, parameters = zip(*self.network.named_parameters(), strict=True)
        weights = {name: values.detach().numpy() for name, values in zip(names, parameters, strict=True)}
        passes = Passes(self.network.config, weights, self._spare)
        ends = np.cumsum([graph.sites for graph in graphs])[:-1]
        arrays = (np.split(part.detach().numpy(), ends) for part in (species, spins))
        parts = zip(graphs, *arrays, factors.detach().numpy(), strict=True)
        magnets = [_Magnet(graph, passes.tables(graph), kinds, own, row) for graph, kinds, own, row in parts]
        found: tuple[Tensor, Tensor] = _Evaluate.apply(passes, magnets, (self.step, self.threads), *parameters)
        return found


class _Evaluate(torch.autograd.Function):
    """Parts and fields of a batch; differentiable by the weights, once."""

    @staticmethod
    def forward(
        ctx: Any, passes: Passes, magnets: list[_Magnet], how: tuple[float, int], *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.passes, ctx.magnets, ctx.how = passes, magnets, how

        def run(one: _Magnet) -> tuple[NDArray[np.float64], Array]:
            return passes.run(one.graph, one.tables, one.species, one.spins, one.factors)

        with thread_map(min(how[1], len(magnets)) or 1) as each:
            parts, fields = zip(*each(run, magnets), strict=True)
        arrays = np.stack(parts), np.concatenate(fields)
        sums, field = (torch.from_numpy(part.astype(passes.dtype, copy=False)) for part in arrays)
        return sums, field

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, by_parts: Tensor, by_fields: Tensor) -> tuple[Tensor | None, ...]:
        passes, magnets, (step, threads) = ctx.passes, ctx.magnets, ctx.how
        ends = np.cumsum([one.graph.sites for one in magnets])[:-1]
        given = zip(magnets, by_parts.numpy(), np.split(by_fields.numpy(), ends), strict=True)
        with thread_map(min(threads, len(magnets)) or 1) as each:
            found = each(lambda one: _slopes(passes, *one, step), list(given))
        totals = found[0]
        for other in found[1:]:  # in order: the same numbers on any number of threads
            for name, values in other.items():
                totals[name] += values
        return None, None, None, *(torch.from_numpy(totals[name]) for name in passes.weights)


def _slopes(passes: Passes, one: _Magnet, by_parts: Array, by_fields: Array, step: float) -> Weights:
    """Slopes of the loss by the weights, from those by the parts and fields of one configuration."""
    slopes = {name: np.zeros_like(values) for name, values in passes.weights.items()}
    by_tables = [np.zeros_like(table) for table in one.tables]
    largest = float(np.sqrt(np.max(np.sum(by_fields.astype(np.float64) ** 2, axis=1), initial=0.0)))
    moves = [(0.0, by_parts)]
    if largest != 0.0:
        h = step / largest
        moves = [(sign * h, 0.5 * by_parts - sign * 0.5 / h * one.factors) for sign in (1.0, -1.0)]
    for move, factors in moves:
        spins = (one.spins + move * by_fields).astype(passes.dtype)
        passes.run(one.graph, one.tables, one.species, spins, factors.astype(passes.dtype), (slopes, by_tables))
    passes.add_filters(one.graph, by_tables, slopes)
    features = passes.weights["embedding.weight"][one.species].sum(axis=0)
    slopes["readouts.0.weight"] += np.outer(by_parts, features)
    for k in range(passes.config.layers + 1):
        slopes[f"readouts.{k}.bias"] += by_parts * one.graph.sites
    return slopes


__all__ = ["CompiledTraining"]
