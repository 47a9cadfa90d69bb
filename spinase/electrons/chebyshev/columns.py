"""The columns R that stand for the whole space in a trace, Tr A ~ sum R+ A R, and the random phases on them.

* unit: one column per site and spin, exact;
* probing: sites of one colour share a column (one per spin); what leaks between them falls with their distance
  (J. M. Tang, Y. Saad, Numer. Linear Algebra Appl. 19, 485 (2012); Z. Wang et al., J. Chem. Phys. 148, 094107 (2018));
* random: every column holds all sites.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spinase.electrons.chebyshev.colouring import spread_colours
from spinase.electrons.sparse.elimination import adjacency
from spinase.geometry import Bonds
from spinase.typing import ComplexArray, IntArray

ColumnKind = Literal["probing", "unit", "random"]

_SWEEPS = 3
_PHASES = np.array([1.0, 1.0j, -1.0, -1.0j])


@dataclass(frozen=True, eq=False)
class Columns:
    """A set of columns on N sites.

    Attributes
    ----------
    count : int
        Number of columns.
    colours : (N,) int or None
        Column 2 c + s holds the sites of colour c with spin s; None: random columns over all sites.
    weight : float
        Of every column in traces.
    """

    count: int
    colours: IntArray | None
    weight: float = 1.0

    def fill(self, block: NDArray[np.floating], first: int, seed: int, order: IntArray) -> None:
        """Columns first.. into a zeroed `block` (N, 4, lanes) [up re, up im, down re, down im]; `seed` fixes the phases.

        `first` is even; `order` are the sites in the order of the block; lanes beyond the last column stay empty.

        Parameters
        ----------
        block : (N, 4, lanes) ndarray
            Zeros, written to.
        first : int
            Number of its first column, even.
        seed : int
            Of the phases: the same seed, the same columns.
        order : (N,) ndarray of int
            Site of every row of the block.
        """
        end = min(first + block.shape[2], self.count)
        if self.colours is None:
            for column in range(first, end):
                phases = _random_phases([seed, column], len(order))[order]
                block[:, 0::2, column - first], block[:, 1::2, column - first] = phases.real, phases.imag
            return
        mine = self.colours[order]
        members = np.flatnonzero((2 * mine >= first) & (2 * mine < end))
        phases = _random_phases([seed], len(order))[order[members]]
        for spin in (0, 1):
            lanes = 2 * mine[members] + spin - first
            block[members, 2 * spin, lanes] = phases[:, spin].real
            block[members, 2 * spin + 1, lanes] = phases[:, spin].imag


def _random_phases(seed: list[int], sites: int) -> ComplexArray:
    """One of 1, i, -1, -i for every site and spin, (N, 2)."""
    return _PHASES[np.random.default_rng(seed).integers(4, size=(sites, 2))]


def unit_columns(sites: int) -> Columns:
    """One column for every site and spin."""
    return Columns(2 * sites, np.arange(sites))


def random_columns(count: int) -> Columns:
    """`count` columns over all sites."""
    return Columns(count, None, 1.0 / count)


def probing_columns(sites: int, bonds: Bonds, count: int) -> Columns:
    """At most `count` columns (two per colour), colours spread over the graph; unit columns if that many are no saving.

    Parameters
    ----------
    sites : int
        N.
    bonds : Bonds
        Edges of the graph.
    count : int
        Most columns.
    """
    colours = max(1, count // 2)
    if colours >= sites:
        return unit_columns(sites)
    graph = adjacency(sites, bonds.first, bonds.second)
    return Columns(2 * colours, spread_colours(graph.indptr, graph.indices, colours, _SWEEPS))


def subset_columns(sites: int, chosen: IntArray) -> Columns:
    """Unit columns of a few sites only: exact there, silent elsewhere."""
    colours = np.full(sites, len(chosen), dtype=np.int64)
    colours[chosen] = np.arange(len(chosen))
    return Columns(2 * len(chosen), colours)
