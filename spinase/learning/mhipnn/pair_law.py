"""A law of pairs under a network: a bare and an exchange part, which close pairs of moving atoms have before anything else.

    E_pairs = sum_(i<j) phi(r_ij) + psi(r_ij) s_i.s_j

with laws of their own for every pair of species, and radial functions that reach below those of the network.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from spinase.learning.mhipnn.graph import Graph, RadialBasis
from spinase.learning.pairs import Pairs, Rows
from spinase.typing import Array

_REACH = 0.75  # inner distance of the law, in that of the network


class PairLaw(nn.Module):
    """phi and psi as sums of radial functions.

    Parameters
    ----------
    species, count : int
        Number of species and of radial functions.
    basis : RadialBasis
        Of the network.
    """

    def __init__(self, species: int, count: int, basis: RadialBasis) -> None:
        super().__init__()
        self.basis = replace(basis, count=count, inner=_REACH * basis.inner)
        self.laws = nn.Parameter(torch.zeros(species, species, 2, count))

    def values(self, distances: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """phi and psi (P, 2) of pairs of species indices, in the network's unit of energy.

        Parameters
        ----------
        distances : (P,) Tensor
            Length.
        first, second : (P,) Tensor of int
            Indices of species.
        """
        return self._law(self.basis(distances), first, second)

    def _law(self, radial: Tensor, first: Tensor, second: Tensor) -> Tensor:
        both = 0.5 * (self.laws + self.laws.transpose(0, 1))
        if len(both) == 1:
            return radial @ both[0, 0].T
        return torch.einsum("pk,pck->pc", radial, both[first, second])

    def forward(self, graph: Graph, species: Tensor, spins: Tensor) -> Tensor:
        """Half the energy of its pairs for every site, (N,).

        Parameters
        ----------
        graph : Graph
            Directed pairs.
        species : (N,) Tensor of int
            Indices of species.
        spins : (N, 3) Tensor
            Free spin vectors.
        """
        rows = graph.pairs.rows
        law = self.values(graph.distances, species[rows.first], species[rows.second])
        return self._energies(rows, law, (spins[rows.first] * spins[rows.second]).sum(1))

    def _energies(self, rows: Rows, law: Tensor, aligned: Tensor) -> Tensor:
        """Half the energy of its pairs for every site; `aligned` (P,) are the s_i.s_j."""
        return rows.add_up(0.5 * (law[:, 0] + law[:, 1] * aligned))

    def slopes(self, pairs: Pairs, species: Tensor, spins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As :meth:`forward` (N,), and slopes of the sum by spins (N, 3) and vectors of pairs (P, 3).

        They have graphs to the weights only: it is their shortest way to slopes of a loss by those.

        Parameters
        ----------
        pairs : Pairs
            Directed, with vectors (P, 3) from first to second, length.
        species : (N,) Tensor of int
            Indices of species.
        spins : (N, 3) Tensor
            Free spin vectors.
        """
        rows, distances = pairs.rows, pairs.vectors.norm(dim=1)
        kinds, neighbours = (species[rows.first], species[rows.second]), spins[rows.second]
        law, slopes = self.values(distances, *kinds), self._law(self.basis.slopes(distances), *kinds)
        aligned = (spins[rows.first] * neighbours).sum(1)
        by_spins = torch.zeros_like(spins).index_add(0, rows.first, law[:, 1:] * neighbours)
        by_distances = 0.5 * (slopes[:, 0] + slopes[:, 1] * aligned) / distances
        return self._energies(rows, law, aligned), by_spins, by_distances[:, None] * pairs.vectors

    def frozen(self, starts: Array, second: Array, distances: Array, species: Array) -> Any:
        """Half the bare energies of the sites (N,), and the matrix of psi (N, N), for directed pairs by rows.

        Parameters
        ----------
        starts : (N + 1,) ndarray of int
            Pairs of site i are ``starts[i] .. starts[i + 1] - 1``.
        second : (P,) ndarray of int
            Their second sites.
        distances : (P,) ndarray
            Length.
        species : (N,) ndarray of int
            Indices of species.
        """
        sites = len(starts) - 1
        first = np.repeat(np.arange(sites), np.diff(starts))
        kinds = [torch.from_numpy(species[k]) for k in (first, second)]
        with torch.no_grad():
            law = self.values(torch.from_numpy(distances).to(self.laws.dtype), *kinds).cpu().numpy()
        bare = 0.5 * np.bincount(first, law[:, 0], minlength=sites)
        return bare, csr_array((law[:, 1], second, starts), shape=(sites, sites))


__all__ = ["PairLaw"]
