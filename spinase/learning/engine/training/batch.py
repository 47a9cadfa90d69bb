"""Compiled training: energies, fields and forces of a batch, which torch differentiates by the weights."""

from __future__ import annotations

import contextlib
import ctypes
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spinase.compiled.threads import default_threads, thread_map
from spinase.errors import ModelError
from spinase.learning.engine.evaluator import supports
from spinase.learning.engine.training.first_pass import Configuration, FirstPass, PassMemory
from spinase.learning.engine.training.graph import TrainingGraph
from spinase.learning.engine.training.second_pass import WeightGradients
from spinase.learning.mhipnn.network import MagneticHIPNN
from spinase.learning.pairs import Pairs

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of mallopt(3)
_CACHED_PAIRS = 2_000_000  # each takes 50 bytes at rest, 400 in motion


class CompiledTraining:
    """Energies and fields of batches, which torch can differentiate once by the network's weights.

    A law of pairs under the network is not in them (:meth:`spinase.learning.mhipnn.pair_law.PairLaw.slopes`).

    Parameters
    ----------
    network : MagneticHIPNN
        With channels that the compiled loops have (:meth:`supports`), on the CPU.
    moving : bool
        Whether atoms move: gradients by the vectors of pairs are also found.
    threads : int, optional
        Default: ``OMP_NUM_THREADS``, else all cores; the configurations of a batch are divided among them.
    """

    def __init__(self, network: MagneticHIPNN, moving: bool = False, threads: int | None = None) -> None:
        self.network, self.moving, self.threads = network, moving, threads or default_threads()
        self.dtype = np.float32 if network.embedding.weight.dtype == torch.float32 else np.float64
        weights = [(name, weight) for name, weight in network.named_parameters() if not name.startswith("pair_law")]
        self._names, self._parameters = zip(*weights, strict=True)
        self._graphs: OrderedDict[bytes, TrainingGraph] = OrderedDict()
        self._cached_pairs = 0  # pairs in them
        self._spare: dict[int, list[PassMemory]] = {}

    @staticmethod
    def supports(network: MagneticHIPNN) -> bool:
        """Whether there are compiled loops for a network, where it is, with all its channels."""
        weight = network.embedding.weight
        known = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64)
        return known and supports(network.config)

    def is_for(self, network: MagneticHIPNN) -> bool:
        """Whether it was made for a network, as precise as that is now."""
        single = network.embedding.weight.dtype == torch.float32
        same = network is self.network and network.embedding.weight is self._parameters[0]
        return same and single == (self.dtype == np.float32)

    def graph(self, key: bytes, pairs: Pairs) -> TrainingGraph:
        """Pairs of a geometry as the loops want them, remembered by a key."""
        if key not in self._graphs:
            self._graphs[key] = TrainingGraph(pairs, self.network.config, self.dtype, self.moving)
            self._cached_pairs += len(pairs.vectors)
            while self._cached_pairs > _CACHED_PAIRS and len(self._graphs) > 1:
                _, old = self._graphs.popitem(last=False)
                self._cached_pairs -= len(old.pairs.second)
        return self._graphs[key]

    def __call__(self, graphs: list[TrainingGraph], species: Tensor, spins: Tensor, factors: Tensor) -> tuple[Tensor, ...]:
        """Parts of the energies of a batch, fields, and gradients by pairs where atoms move.

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
        pair_gradients : (P, 3) Tensor
            dE/dr by the vectors of all pairs, if atoms move.
        """
        arrays = (values.detach().numpy() for values in self._parameters)
        weights = dict(zip(self._names, arrays, strict=True))
        first_pass = FirstPass(self.network.config, weights, self._spare)
        ends = np.cumsum([graph.sites for graph in graphs])[:-1]
        sites = (np.split(part.detach().numpy(), ends) for part in (species, spins))
        parts = zip(graphs, *sites, factors.detach().numpy(), strict=True)
        configurations = [Configuration(*part) for part in parts]
        how = self.threads, torch.is_grad_enabled()
        evaluate: Any = _Evaluate.apply
        energies, fields, grad_radial, grad_harmonics = evaluate(first_pass, configurations, how, *self._parameters)
        if not self.moving:
            return energies, fields
        pairs = [len(graph.radial) for graph in graphs]
        motions = [graph.motion for graph in graphs if graph.motion is not None]
        each = zip(motions, grad_radial.split(pairs), grad_harmonics.split(pairs), strict=True)
        return energies, fields, torch.cat([motion.pair_gradient(*by_pairs) for motion, *by_pairs in each])


def keep_memory() -> None:
    """Have the C library keep what this process frees: steps take large arrays, and fresh pages cost a quarter of a step.

    Where the library is not glibc nothing happens.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


class _Evaluate(torch.autograd.Function):
    """Parts, fields, and gradients by radial functions and harmonics of a batch; differentiable by the weights, once."""

    @staticmethod
    def forward(
        ctx: Any, first_pass: FirstPass, configurations: list[Configuration], how: tuple[int, bool], *parameters: Tensor
    ) -> tuple[Tensor, ...]:
        """First pass over all configurations; torch calls this."""
        threads, differentiable = how
        with thread_map(min(threads, len(configurations)) or 1) as each:
            traces = each(first_pass.run, configurations)
        ctx.first_pass, ctx.threads, ctx.traces = first_pass, threads, traces
        ctx.save_for_backward(*parameters)
        if not differentiable:
            _give_back(ctx)
        by_pairs = ([getattr(trace, part) for trace in traces] for part in ("fields", "grad_radial", "grad_harmonics"))
        arrays = np.stack([trace.parts for trace in traces]), *(np.concatenate(part) for part in by_pairs)
        return tuple(torch.from_numpy(array.astype(first_pass.dtype, copy=False)) for array in arrays)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_parts: Tensor, *by_others: Tensor) -> tuple[Tensor | None, ...]:
        """Second pass: gradients by all weights, added up in order; torch calls this."""
        _ = ctx.saved_tensors  # torch complains of weights that are others now
        first_pass, traces = ctx.first_pass, ctx.traces
        if not traces:
            raise ModelError("compiled training gives slopes by the weights once: use compiled=False to have them again")
        sizes = ([len(getattr(trace, part)) for trace in traces] for part in ("fields", "grad_radial", "grad_harmonics"))
        others = (np.split(by.contiguous().numpy(), np.cumsum(size)[:-1]) for by, size in zip(by_others, sizes, strict=True))
        given = list(zip(traces, by_parts.numpy(), *others, strict=True))
        with thread_map(min(ctx.threads, len(traces)) or 1) as each:
            gradients = each(lambda one: WeightGradients(first_pass, *one)(), given[::-1])  # the last is still in the cache
        _give_back(ctx)
        totals = gradients[0]
        for other in gradients[1:]:  # in order: the same numbers on any number of threads
            for name, values in other.items():
                totals[name] += values
        return None, None, None, *(torch.from_numpy(totals[name]) for name in first_pass.weights)


def _give_back(ctx: Any) -> None:
    """Let the next passes have the memory."""
    for trace in ctx.traces:
        ctx.first_pass.give_back(trace.memory)
    ctx.traces = []


__all__ = ["CompiledTraining", "keep_memory"]
