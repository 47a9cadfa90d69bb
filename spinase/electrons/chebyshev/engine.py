"""The machinery below the KPM solver: recursions for all columns of an operator, on the processor.

An engine knows columns, orders and coefficients, and neither occupation nor temperature.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import reverse_cuthill_mckee

from spinase.compiled.rows import LANES, aligned
from spinase.compiled.threads import map_threads
from spinase.electrons.chebyshev.columns import Columns
from spinase.electrons.chebyshev.contractions import add_scaled, contract, contract_sites, square
from spinase.electrons.chebyshev.kernels import adjoint, advance, forward
from spinase.electrons.chebyshev.series import Band
from spinase.electrons.chebyshev.spinors import SPINOR
from spinase.electrons.operator import SpinOperator
from spinase.typing import Array, ComplexArray, FloatArray

Precision = Literal["float32", "float64"]

_KEEP_BYTES = 96 * 1024**2  # ends of the forward recursion kept for the adjoint one; beyond, it is repeated
_NEAR_BYTES = 1024**2  # a pair of blocks up to this size stays in a core's own cache
_SHARED_BYTES = 16 * 1024**2  # the same for the cache that cores share
_WAVE_BYTES = 8 * 1024**2  # part of the shared cache that a wave of steps may use
_WAVE_BLOCK = 256
_DEEPEST = 8


@dataclass(frozen=True, eq=False)
class RawDensity:
    """Weighted sums over the columns: (1, sigma) site contractions (N, 4), bonds (n_bonds,), their spins (n_bonds, 3)."""

    sites: FloatArray
    bonds: ComplexArray
    bond_spins: ComplexArray | None = None

    def scaled(self, factor: float) -> RawDensity:
        """All of it times a real factor."""
        spins = None if self.bond_spins is None else factor * self.bond_spins
        return RawDensity(factor * self.sites, factor * self.bonds, spins)


class ChebyshevEngine(ABC):
    """Moments and densities of one rescaled operator and one set of columns."""

    @abstractmethod
    def moments(self, steps: int) -> FloatArray:
        """mu_0 .. mu_{2 steps} of all columns together, from `steps` applications of the operator."""

    @abstractmethod
    def gradient(self, coefficients: FloatArray, bonds: bool) -> RawDensity:
        """Derivative of sum_m c_m mu_m by the rescaled operator, after :meth:`moments` of half as many steps."""

    @abstractmethod
    def direct(self, coefficients: FloatArray, bonds: bool) -> RawDensity:
        """Herm(g R R+) with g = sum_m c_m T_m: what each column says about itself."""

    @abstractmethod
    def series(self, order: int, sites: Array) -> FloatArray:
        """Terms of the direct density (charge, spin) of a few sites, (order + 1, n, 4): contracted with c_m they give it."""


class Pattern:
    """An operator's hopping on a band, in compressed rows, with the sites in a cache-friendly order."""

    def __init__(self, operator: SpinOperator, band: Band, dtype: Precision, threads: int) -> None:
        size, first, second = len(operator), operator.bonds.first, operator.bonds.second
        self.band, self.dtype, self.hopping, self.spin_hopping = band, dtype, operator.hopping, operator.spin_hopping
        vector = size * SPINOR * np.dtype(dtype).itemsize
        large = 2 * vector > _NEAR_BYTES
        self.order = _narrow_order(size, first, second) if large else np.arange(size)
        place = np.empty(size, dtype=np.int64)
        place[self.order] = np.arange(size)
        rows, columns = np.concatenate([place[first], place[second]]), np.concatenate([place[second], place[first]])
        values = np.concatenate([operator.hopping, operator.hopping.conj()]) / band.half
        bond = np.concatenate([np.arange(len(first)), np.full(len(first), -1)])
        by_row = np.argsort(rows, kind="stable")
        self.start = np.searchsorted(rows[by_row], np.arange(size + 1)).astype(np.int64)
        self.near = columns[by_row] * SPINOR
        self.real = values.real[by_row].astype(dtype)
        self.imag = values.imag[by_row].astype(dtype) if np.iscomplexobj(values) else np.empty(0, dtype=dtype)
        self.spin: Array | None = None
        if operator.spin_hopping is not None:
            vectors = np.concatenate([operator.spin_hopping, operator.spin_hopping.conj()])[by_row] / band.half
            self.spin = _spin_entries(np.asarray(vectors, dtype=np.complex128)).astype(dtype)
        self.bond = bond[by_row]
        self.wave = _wave(size, rows, columns, vector, threads)
        self.far = np.empty(0, dtype=np.int64)
        if 2 * vector > _SHARED_BYTES:
            self.far = SPINOR * np.arange(size)
            np.maximum.at(self.far, rows, columns * SPINOR)

    def site_blocks(self, operator: SpinOperator) -> Array:
        """Rescaled scalar part and vector of the site blocks, (N, 4), in the order of the pattern."""
        blocks = np.empty((len(operator), 4))
        blocks[:, 0] = operator.onsite - self.band.centre
        blocks[:, 1:] = operator.exchange
        return (blocks[self.order] / self.band.half).astype(self.dtype)


def _spin_entries(vectors: ComplexArray) -> FloatArray:
    """Real and imaginary parts of w_z, w_x - i w_y, w_x + i w_y of vectors w (K, 3): (K, 6)."""
    x, y, z = vectors.T
    parts = np.stack([z, x - 1j * y, x + 1j * y], axis=1)
    return np.ascontiguousarray(parts).view(np.float64)


def _narrow_order(size: int, first: Array, second: Array) -> Array:
    graph = csr_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(size, size))
    return reverse_cuthill_mckee(csr_array(graph + graph.T), symmetric_mode=True).astype(np.int64)


def _wave(size: int, rows: Array, columns: Array, vector: int, threads: int) -> tuple[int, int, int]:
    """(block, reach, depth) of the recursion: plain sweeps where all fits near the core."""
    if 2 * vector <= _NEAR_BYTES:
        return size, 1, 1
    block = _WAVE_BLOCK
    reach = int(np.abs(rows // block - columns // block).max(initial=0)) + 1
    window = 2 * reach * block * (vector // size)  # what one more step in the wave adds
    room = _NEAR_BYTES if 2 * vector <= _SHARED_BYTES else _WAVE_BYTES // threads
    return block, reach, int(np.clip(room // window, 1, 2 if room == _NEAR_BYTES else _DEEPEST))


class NumbaEngine(ChebyshevEngine):
    """Blocks of columns, a thread for each as there are threads; sums are in the order of the blocks, whoever computes them.

    Parameters
    ----------
    pattern : Pattern
    operator : SpinOperator
    columns : Columns
    seed : int
        Of the phases.
    threads : int
    """

    def __init__(self, pattern: Pattern, operator: SpinOperator, columns: Columns, seed: int, threads: int) -> None:
        self.pattern, self.columns, self.seed, self.threads = pattern, columns, seed, threads
        self.site = pattern.site_blocks(operator)
        self.bonds = len(operator.bonds)
        self._starts = range(0, columns.count, LANES)
        self._ends: dict[int, tuple[Array, Array]] = {}
        self._steps = 0

    def moments(self, steps: int) -> FloatArray:
        """See :class:`ChebyshevEngine`."""
        self._steps = steps
        self._ends.clear()
        block = 2 * len(self.site) * SPINOR * np.dtype(self.pattern.dtype).itemsize
        kept = set(list(self._starts)[: max(1, _KEEP_BYTES // block)])

        def run(first: int) -> FloatArray:
            """Moments of the columns of one chunk."""
            even, odd, moments = self._forward(first, steps)
            if first in kept:
                self._ends[first] = (even, odd)
            return moments

        return self.columns.weight * sum(map_threads(run, self._starts, self.threads), np.zeros(2 * steps + 1))

    def gradient(self, coefficients: FloatArray, bonds: bool) -> RawDensity:
        """See :class:`ChebyshevEngine`."""
        steps = self._steps
        assert len(coefficients) == 2 * steps + 1

        def run(first: int) -> tuple[FloatArray, FloatArray]:
            """Density of sites and of bonds from the columns of one chunk."""
            even, odd = self._ends.pop(first) if first in self._ends else self._forward(first, steps)[:2]
            scratch = (aligned(len(even), even.dtype), aligned(len(even), even.dtype))
            density, pairs = self._empty(bonds)
            p = self.pattern
            wave = (p.wave[0], p.wave[1], max(1, p.wave[2] // 2))  # four blocks instead of two
            adjoint(
                even, odd, scratch, self.site, p.start, p.near, p.real, p.imag, p.spin, p.far, p.bond, steps, coefficients,
                wave, density, pairs,
            )  # fmt: skip
            return density, pairs

        return self._collect(map_threads(run, self._starts, self.threads), bonds)

    def direct(self, coefficients: FloatArray, bonds: bool) -> RawDensity:
        """See :class:`ChebyshevEngine`."""
        p = self.pattern

        def run(first: int) -> tuple[FloatArray, FloatArray]:
            """Density of sites and of bonds from the columns of one chunk."""
            even, source = self._fill(first), self._fill(first)
            odd, answer = aligned(len(even), even.dtype), aligned(len(even), even.dtype)
            add_scaled(answer, even, coefficients[0])
            for m in range(1, len(coefficients)):
                new, old = (odd, even) if m % 2 else (even, odd)
                advance(
                    new, old, self.site, p.start, p.near, p.real, p.imag, p.spin, p.far, 0, len(self.site), m == 1
                )  # fmt: skip
                add_scaled(answer, new, coefficients[m])
            density, pairs = self._empty(bonds)
            contract(answer, source, p.start, p.near, p.bond, p.spin, density, pairs)
            return density, pairs

        return self._collect(map_threads(run, self._starts, self.threads), bonds)

    def series(self, order: int, sites: Array) -> FloatArray:
        """See :class:`ChebyshevEngine`."""
        p = self.pattern
        place = np.empty(len(self.site), dtype=np.int64)
        place[p.order] = np.arange(len(self.site))
        local = place[sites]

        def run(first: int) -> FloatArray:
            """Terms (order + 1, sites, 4) from the columns of one chunk."""
            even, source = self._fill(first), self._fill(first)
            odd, terms = aligned(len(even), even.dtype), np.zeros((order + 1, len(sites), 4))
            contract_sites(even, source, local, terms[0])
            for m in range(1, order + 1):
                new, old = (odd, even) if m % 2 else (even, odd)
                advance(
                    new, old, self.site, p.start, p.near, p.real, p.imag, p.spin, p.far, 0, len(self.site), m == 1
                )  # fmt: skip
                contract_sites(new, source, local, terms[m])
            return terms

        parts = map_threads(run, self._starts, self.threads)
        return self.columns.weight * sum(parts, np.zeros((order + 1, len(sites), 4)))

    def _fill(self, first: int) -> Array:
        block = aligned(len(self.site) * SPINOR, self.pattern.dtype)
        self.columns.fill(block.reshape(-1, 4, LANES), first, self.seed, self.pattern.order)
        return block

    def _forward(self, first: int, steps: int) -> tuple[Array, Array, FloatArray]:
        p, even = self.pattern, self._fill(first)
        odd = aligned(len(even), even.dtype)
        norms, crosses = forward(even, odd, self.site, p.start, p.near, p.real, p.imag, p.spin, p.far, steps, p.wave)
        moments = np.empty(2 * steps + 1)
        moments[0], moments[1] = norms[0], crosses[0]
        moments[2::2] = 2.0 * np.append(norms[1:], square(even if steps % 2 == 0 else odd)) - norms[0]
        moments[3::2] = 2.0 * crosses[1:] - crosses[0]
        return even, odd, moments

    def _empty(self, bonds: bool) -> tuple[FloatArray, FloatArray]:
        return np.zeros((len(self.site), 4)), np.zeros(
            (self.bonds if bonds else 0, 8 if self.pattern.spin is not None else 2)
        )

    def _collect(self, parts: Iterable[tuple[FloatArray, FloatArray]], bonds: bool) -> RawDensity:
        density, pairs = self._empty(bonds)
        for part, part_pairs in parts:
            density += part
            pairs += part_pairs
        sites = np.empty_like(density)
        sites[self.pattern.order] = density
        entries = pairs[:, 0::2] + 1j * pairs[:, 1::2]
        spins = None
        if entries.shape[1] > 1:  # Tr[sigma M] of M's difference and flips
            difference, flip, back = entries.T[1:]
            spins = np.stack([flip + back, 1j * (flip - back), difference], axis=1)
        return RawDensity(sites, entries[:, 0], spins).scaled(self.columns.weight)
