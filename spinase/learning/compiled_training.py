"""Compiled training on frozen atoms: energies and fields of a batch, which torch differentiates by the weights."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from spinase.errors import ModelError
from spinase.learning.frozen_engine import supports
from spinase.learning.graph import Pairs
from spinase.learning.network import MagneticHIPNN
from spinase.learning.training_engine import Magnet, Passes, Space, TrainingGraph
from spinase.learning.training_slopes import WeightSlopes
from spinase.threads import default_threads, thread_map

Array = NDArray[Any]
_KEPT_GRAPHS = 1000


class CompiledTraining:
    """Energies and fields of batches, which torch can differentiate once by the network's weights.

    Parameters
    ----------
    network : MagneticHIPNN
        With channels that the compiled loops have (:meth:`supports`), on the CPU.
    threads : int, optional
        Default: ``OMP_NUM_THREADS``, else all cores; the configurations of a batch are divided among them.
    """

    def __init__(self, network: MagneticHIPNN, threads: int | None = None) -> None:
        self.network, self.threads = network, threads or default_threads()
        self.dtype = np.float32 if network.embedding.weight.dtype == torch.float32 else np.float64
        self._names, self._parameters = zip(*network.named_parameters(), strict=True)
        self._graphs: OrderedDict[bytes, TrainingGraph] = OrderedDict()
        self._spare: dict[int, list[Space]] = {}

    @staticmethod
    def supports(network: MagneticHIPNN) -> bool:
        """Whether there are compiled loops for a network, where it is, with all its channels."""
        weight = network.embedding.weight
        known = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64)
        return known and supports(network.config) and not network.config.pairs

    def is_for(self, network: MagneticHIPNN) -> bool:
        """Whether it was made for a network, as precise as that is now."""
        single = network.embedding.weight.dtype == torch.float32
        same = network is self.network and network.embedding.weight is self._parameters[0]
        return same and single == (self.dtype == np.float32)

    def graph(self, key: bytes, pairs: Pairs) -> TrainingGraph:
        """Pairs of a geometry as the loops want them, remembered by a key."""
        if key not in self._graphs:
            self._graphs[key] = TrainingGraph(pairs, self.network.config, self.dtype)
            if len(self._graphs) > _KEPT_GRAPHS:
                self._graphs.popitem(last=False)
        return self._graphs[key]

    def __call__(
        self, graphs: list[TrainingGraph], species: Tensor, spins: Tensor, factors: Tensor
    ) -> tuple[Tensor, Tensor]:
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
        arrays = (values.detach().numpy() for values in self._parameters)
        weights = dict(zip(self._names, arrays, strict=True))
        passes = Passes(self.network.config, weights, self._spare)
        ends = np.cumsum([graph.sites for graph in graphs])[:-1]
        sites = (np.split(part.detach().numpy(), ends) for part in (species, spins))
        parts = zip(graphs, *sites, factors.detach().numpy(), strict=True)
        magnets = [Magnet(*part) for part in parts]
        how = self.threads, torch.is_grad_enabled()
        evaluate: Any = _Evaluate.apply
        found: tuple[Tensor, Tensor] = evaluate(passes, magnets, how, *self._parameters)
        return found


class _Evaluate(torch.autograd.Function):
    """Parts and fields of a batch; differentiable by the weights, once."""

    @staticmethod
    def forward(
        ctx: Any, passes: Passes, magnets: list[Magnet], how: tuple[int, bool], *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        threads, differentiable = how
        with thread_map(min(threads, len(magnets)) or 1) as each:
            traces = each(passes.run, magnets)
        ctx.passes, ctx.threads, ctx.traces = passes, threads, traces
        ctx.save_for_backward(*parameters)
        if not differentiable:
            _leave(ctx)
        arrays = np.stack([trace.parts for trace in traces]), np.concatenate([trace.fields for trace in traces])
        parts, fields = (torch.from_numpy(array.astype(passes.dtype, copy=False)) for array in arrays)
        return parts, fields

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, by_parts: Tensor, by_fields: Tensor) -> tuple[Tensor | None, ...]:
        _, passes, traces = ctx.saved_tensors, ctx.passes, ctx.traces  # torch complains of weights that are others now
        if not traces:
            raise ModelError("compiled training gives slopes by the weights once: use compiled=False to have them again")
        ends = np.cumsum([len(trace.fields) for trace in traces])[:-1]
        given = list(zip(traces, by_parts.numpy(), np.split(by_fields.contiguous().numpy(), ends), strict=True))
        with thread_map(min(ctx.threads, len(traces)) or 1) as each:
            found = each(lambda one: WeightSlopes(passes, *one)(), given[::-1])  # the last one is still in the cache
        _leave(ctx)
        totals = found[0]
        for other in found[1:]:  # in order: the same numbers on any number of threads
            for name, values in other.items():
                totals[name] += values
        return None, None, None, *(torch.from_numpy(totals[name]) for name in passes.weights)


def _leave(ctx: Any) -> None:
    """Let the next passes have the memory."""
    for trace in ctx.traces:
        ctx.passes.leave(trace.space)
    ctx.traces = []


__all__ = ["CompiledTraining"]
