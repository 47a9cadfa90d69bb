"""Energy, fields, forces and virial of a network on atoms that move, in compiled loops.

One pass forwards and one backwards, as for atoms at rest (:mod:`spinase.learning.engine.evaluator`); the way back also
gives dE by the vectors of the pairs (:mod:`spinase.learning.engine.pulls`).  Filters are splines
(:mod:`spinase.learning.engine.splines`), so forces are the gradient of the reported energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from spinase.compiled.dense import matrix
from spinase.compiled.rows import LANES
from spinase.compiled.threads import plain_map, thread_map
from spinase.errors import ModelError
from spinase.geometry import Bonds
from spinase.learning.engine.evaluator import Evaluation, FrozenEngine, Scope
from spinase.learning.engine.graph import Pool, radial_splines
from spinase.learning.engine.moving_graph import Knots, Layout, MovingGraph, layout_of
from spinase.learning.engine.pair_splines import pair_law
from spinase.learning.engine.workspace import LayerContext
from spinase.learning.mhipnn.network import Interaction, MagneticHIPNN, Mix
from spinase.typing import Array, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class MovingAnswer:
    """What a network says of one configuration, in its own units.

    Attributes
    ----------
    energies : (N,) ndarray
        Of the sites.
    fields : (N, 3) ndarray
        H = -dE/ds.
    forces : (N, 3) ndarray or None
        -dE/dr, where they were asked for.
    virial : (R, 3, 3) ndarray or None
        sum over the pairs of every magnet of (dE/dr)_a r_b: the volume times the stress.
    """

    energies: FloatArray
    fields: FloatArray
    forces: FloatArray | None = None
    virial: FloatArray | None = None


class MovingEngine(FrozenEngine):
    """A network with its weights as the compiled loops want them, for atoms that move.

    Parameters
    ----------
    network : MagneticHIPNN
        With channels that the engine has (:func:`~spinase.learning.engine.evaluator.supports`).
    dtype : numpy dtype
        float32 or float64.
    threads : int, optional
        Default: ``OMP_NUM_THREADS``, else all cores.

    Raises
    ------
    ModelError
        If filters are too steep for splines.
    """

    def __init__(self, network: MagneticHIPNN, dtype: Any = np.float32, threads: int | None = None) -> None:
        super().__init__(network, dtype, threads)
        table = radial_splines(self.config.basis(), self.dtype)
        self.knots = Knots(table.start, table.density, len(table.coefficients) - 4)
        for k, (layer, part) in enumerate(zip(self._layers, network.interactions, strict=True)):
            weights = [w.detach().cpu().double().numpy() for w in cast(Interaction, part).filters]
            padded = np.concatenate([np.pad(w, ((0, 0), (0, -w.shape[1] % LANES))) for w in weights], axis=1)
            self._layers[k] = layer._replace(table=matrix(table.coefficients @ padded, self.dtype))
        self._pair_law = None if self._law is None else pair_law(self._law, self.dtype)
        self._pool = Pool()

    def graph(self, bonds: Bonds, positions: FloatArray) -> MovingGraph:
        """Pairs of a geometry, from its bonds within the cutoff; `positions` (N, 3), length."""
        return self.laid_out(bonds, layout_of(bonds, positions, self.config.cutoff))

    def laid_out(self, bonds: Bonds, layout: Layout) -> MovingGraph:
        """Pairs of a geometry whose layout is known."""
        with plain_map(min(self.threads, len(layout.begins)) or 1) as each:
            return MovingGraph(bonds, layout, self.knots, self.dtype, self._pool, each)

    def solve(
        self,
        graph: MovingGraph,
        species: IntArray,
        spins: FloatArray,
        mix: Mix | None = None,
        moving: bool = True,
        magnets: int = 1,
        scope: Scope | None = None,
    ) -> MovingAnswer:
        """Energies and fields; with `moving` forces and virial.

        Parameters
        ----------
        graph : MovingGraph
            Pairs.
        species : (N,) ndarray of int
            Indices into the network's species.
        spins : (N, 3) ndarray
            Free spin vectors; zero rows are non-magnetic sites.
        mix : callable, optional
            For a network with electrons, as :func:`spinase.learning.mhipnn.network.mixed` says.
        moving : bool
            Whether forces and virial are wanted.
        magnets : int
            Magnets of equal size that lie side by side, one after the other in the order of the sites.
        scope : Scope, optional
            Which sites count, with weights that are known; energies are of these.  Default: all.
        """
        if mix is None and scope is None and len(self._constant) > 1:
            raise ModelError("this network needs electrons: a filling or a chemical potential")
        own, pairs = np.ascontiguousarray(spins[graph.order], self.dtype), graph.pairs(moving)
        pushed = np.zeros((len(spins), 3), self.dtype) if moving else None
        with thread_map(min(self.threads, len(graph.strips)) or 1) as each:
            contexts = [LayerContext(pairs, one, self._options, self._channels_by_degree) for one in self._layers]
            run = Evaluation(graph, each, own, contexts, pushed, scope)
            energies, field = self._evaluate(run, species, mix)
            if self._pair_law is not None and scope is None:
                self._pair_law.add(pairs, graph.strips, each, species[graph.order], own, energies, field)
            elif self._pair_law is not None:
                self._pair_law.add_of(run.counted, pairs, species[graph.order], own, energies, field)
        energies, fields = energies[graph.back[: run.counted]], field[graph.back, :3].astype(np.float64)
        if pushed is None:
            return MovingAnswer(energies, fields)
        forces = (field[:, 3:6] + pushed)[graph.back].astype(np.float64)
        return MovingAnswer(energies, fields, forces, self._virials(graph, field, magnets))

    def _virials(self, graph: MovingGraph, field: Array, magnets: int) -> FloatArray:
        """Sums (R, 3, 3) of the last nine columns of `field` over the sites of every magnet."""
        virials = field[:, 6:].astype(np.float64)
        if magnets == 1:
            return virials.sum(axis=0).reshape(1, 3, 3)
        magnet = graph.order // max(len(virials) // magnets, 1)
        return np.array([virials[magnet == k].sum(axis=0).reshape(3, 3) for k in range(magnets)])


__all__ = ["MovingAnswer", "MovingEngine"]
