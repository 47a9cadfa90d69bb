"""The law of pairs under a network (:mod:`spinase.learning.mhipnn.pair_law`), for atoms that move: splines in distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spinase.compiled import njit, register_jitable
from spinase.learning.engine.graph import radial_splines
from spinase.learning.engine.splines import SplineTable, basis, basis_slopes
from spinase.learning.mhipnn.pair_law import PairLaw
from spinase.typing import Array, FloatArray, IntArray


class PairSplines:
    """phi and psi of every two species.

    Parameters
    ----------
    table : SplineTable
        Columns: phi and psi of species (0, 0), (0, 1), ..., (1, 0), ...
    species : int
        Number of species.
    dtype : numpy dtype
        Of the pairs it will see.
    """

    def __init__(self, table: SplineTable, species: int, dtype: Any) -> None:
        self._coefficients = np.ascontiguousarray(table.coefficients, dtype)
        self._start, self._density, self._species = table.start, table.density, species

    def add(
        self,
        pairs: Any,
        strips: list[Any],
        each: Callable[..., list[Any]],
        species: IntArray,
        spins: Array,
        energies: FloatArray,
        field: Array,
    ) -> None:
        """Add half of every pair's energy to `energies` (N,), and to `field` what the network adds there.

        Parameters
        ----------
        pairs : MovingPairs or Neighbours
            Directed pairs by rows; distances in the model's length.
        strips : list of Strip
            Sites, strip by strip.
        each : function
            ``each(run, strips)``: does them on the threads of the engine.
        species : (N,) int
            Indices of the model's species.
        spins : (N, 3)
            Free spin vectors.
        energies : (N,)
            Added to, the network's unit of energy.
        field : (N, 3) or (N, 3 + MOTION)
            -dE/ds in the first three columns, added to; behind them, where atoms move, pulls and virial.
        """
        moving = field.shape[1] > 3
        what = (pairs.starts, pairs.second, pairs.harmonics, pairs.distances, species, spins)
        law = (self._coefficients, self._start, self._density, self._species)
        each(lambda s: _add(s.begin, s.end, *what, *law, moving, energies, field), strips)

    def add_of(self, counted: int, pairs: Any, species: IntArray, spins: Array, energies: FloatArray, field: Array) -> None:
        """As :meth:`add` for the energies of the first `counted` sites, whose pairs with the others have one direction.

        Parameters
        ----------
        counted : int
            How many sites count, the first ones.
        pairs, species, spins
            As in :meth:`add`.
        energies : (counted,)
            Added to, the network's unit of energy.
        field : (N, 3) or (N, 3 + MOTION)
            As in :meth:`add`, of the sites that do not count, too.
        """
        what = (pairs.starts, pairs.second, pairs.harmonics, pairs.distances, species, spins)
        law = (self._coefficients, self._start, self._density, self._species)
        _add_of(counted, *what, *law, field.shape[1] > 3, energies, field)


def pair_law(law: PairLaw, dtype: Any) -> PairSplines:
    """Splines of a law as fine as numbers of type `dtype` can tell."""
    both = (0.5 * (law.laws + law.laws.transpose(0, 1))).detach().cpu().double()
    table = radial_splines(law.basis, dtype)
    coefficients = table.coefficients @ both.reshape(-1, both.shape[3]).T.numpy()
    return PairSplines(table._replace(coefficients=coefficients), len(both), dtype)


@register_jitable
def _law_at(r: float, column: int, coefficients: Array, start: float, density: float) -> Any:
    """phi and psi at the distance r, and their slopes; `column`: of phi in `coefficients` (knots + 3, columns)."""
    across = (r - start) * density
    k, number = min(max(int(np.floor(across)), 0), len(coefficients) - 4), np.float64
    weights, slopes = basis(across - k, number), basis_slopes(across - k, density, number)
    phi = psi = by_phi = by_psi = 0.0
    for m in range(4):
        phi += weights[m] * coefficients[k + m, column]
        psi += weights[m] * coefficients[k + m, column + 1]
        by_phi += slopes[m] * coefficients[k + m, column]
        by_psi += slopes[m] * coefficients[k + m, column + 1]
    return phi, psi, by_phi, by_psi


@njit(nogil=True)
def _add(
    begin: int,
    end: int,
    starts: IntArray,
    second: Array,
    harmonics: Array,
    distances: Array,
    species: IntArray,
    spins: Array,
    coefficients: Array,
    start: float,
    density: float,
    count: int,
    moving: bool,
    energies: FloatArray,
    field: Array,
) -> None:
    """E = sum over directed pairs of (phi + psi s_i.s_j)/2, its field, and its slopes by the vectors of the pairs."""
    for i in range(begin, end):
        for p in range(starts[i], starts[i + 1]):
            j, r = second[p], float(distances[p])
            column = 2 * (species[i] * count + species[j])
            phi, psi, by_phi, by_psi = _law_at(r, column, coefficients, start, density)
            aligned = spins[i, 0] * spins[j, 0] + spins[i, 1] * spins[j, 1] + spins[i, 2] * spins[j, 2]
            energies[i] += 0.5 * (phi + psi * aligned)
            for a in range(3):
                field[i, a] -= psi * spins[j, a]
            if moving:
                pull = by_phi + by_psi * aligned
                for a in range(3):  # both directions of a pair: the other site does the same
                    field[i, 3 + a] += pull * harmonics[p, 1 + a]
                    for b in range(3):
                        field[i, 6 + 3 * a + b] += 0.5 * pull * harmonics[p, 1 + a] * r * harmonics[p, 1 + b]


@njit(nogil=True)
def _add_of(
    counted: int,
    starts: IntArray,
    second: Array,
    harmonics: Array,
    distances: Array,
    species: IntArray,
    spins: Array,
    coefficients: Array,
    start: float,
    density: float,
    count: int,
    moving: bool,
    energies: FloatArray,
    field: Array,
) -> None:
    """As :func:`_add`, over pairs from the sites 0 .. counted - 1; derivatives by both sites of a pair are added here."""
    for i in range(counted):
        for p in range(starts[i], starts[i + 1]):
            j, r = second[p], float(distances[p])
            column = 2 * (species[i] * count + species[j])
            phi, psi, by_phi, by_psi = _law_at(r, column, coefficients, start, density)
            aligned = spins[i, 0] * spins[j, 0] + spins[i, 1] * spins[j, 1] + spins[i, 2] * spins[j, 2]
            energies[i] += 0.5 * (phi + psi * aligned)
            for a in range(3):
                field[i, a] -= 0.5 * psi * spins[j, a]
                field[j, a] -= 0.5 * psi * spins[i, a]
            if moving:
                pull = 0.5 * (by_phi + by_psi * aligned)
                for a in range(3):
                    field[i, 3 + a] += pull * harmonics[p, 1 + a]
                    field[j, 3 + a] -= pull * harmonics[p, 1 + a]
                    for b in range(3):
                        field[i, 6 + 3 * a + b] += pull * harmonics[p, 1 + a] * r * harmonics[p, 1 + b]
