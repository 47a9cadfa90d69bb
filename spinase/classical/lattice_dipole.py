"""Dipole-dipole interaction on a lattice by fast Fourier transforms: any boundaries, cells, number of sublattices.

B = -C K * m is a convolution on the grid of cells for every two sites of a cell (:mod:`spinase.classical.dipole_kernels`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft

from spinase.classical.dipole_kernels import kernel_on
from spinase.classical.lattice_sites import LatticeSites
from spinase.classical.local_model import LocalModel, dense_model
from spinase.classical.terms import FrozenTerm
from spinase.compiled import njit
from spinase.errors import ModelError
from spinase.typing import Array, ComplexArray, FloatArray


@dataclass(frozen=True, eq=False)
class LatticeDipole(FrozenTerm):
    """Dipoles on a lattice.

    Attributes
    ----------
    strength : float
        C, energy length^3/moment^2.
    sites : LatticeSites
        Cells and basis of the sites.
    shape : (3,)
        Demagnetizing factors over the volume of a periodic cell, 1/length^3.
    direct : function or None
        Makes the same interaction pair by pair, for forces; None where there is none (mixed boundaries).
    """

    strength: float
    sites: LatticeSites
    shape: FloatArray
    direct: Callable[[], FrozenTerm] | None

    @cached_property
    def spectrum(self) -> FloatArray | ComplexArray:
        """Transforms of the kernels between the sites of the basis, (b, b, 6, ...); real for one site."""
        grid, basis = self.sites.grid, self.sites.basis
        count, axes = len(basis), [1 + axis for axis in _order(grid.padded)]
        if count == 1:
            return np.ascontiguousarray(fft.rfftn(kernel_on(grid, np.zeros(3)), axes=axes).real)
        return np.array([[fft.rfftn(kernel_on(grid, one - two, count), axes=axes) for two in basis] for one in basis])

    @cached_property
    def _pairwise(self) -> FrozenTerm | None:
        return None if self.direct is None else self.direct()

    def energy(self, spins: FloatArray, lengths: FloatArray) -> float:
        """E = -1/2 sum m.B."""
        moments = lengths[:, None] * spins
        return -0.5 * float(np.sum(moments * self._field(moments)))

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = mu_i B_i."""
        return lengths[:, None] * self._field(lengths[:, None] * spins)

    def local_model(self, lengths: FloatArray) -> LocalModel | None:
        """All pairs, of small magnets."""
        return dense_model(lambda spins: self.gradient(spins, lengths), len(lengths))

    def _field(self, moments: FloatArray) -> FloatArray:
        """B (N, 3)."""
        grid, basis = self.sites.grid, len(self.sites.basis)
        cells = int(np.prod(grid.shape))
        field = np.zeros((3, basis * cells))
        field[:, self.sites.index] = moments.T
        spectrum = self.spectrum
        waves = _forward(field.reshape(3, basis, *grid.shape), grid.padded)
        if basis == 1:
            product = _one_site(spectrum.reshape(6, -1), waves.reshape(3, -1))
        else:
            product = _many_sites(spectrum.reshape(basis, basis, 6, -1), waves.reshape(3, basis, -1))
        field = _backward(product.reshape(waves.shape), grid.shape, grid.padded).reshape(3, -1)
        out = field[:, self.sites.index].T
        if self.shape.any():
            out = out - 4.0 * np.pi * self.shape * moments.sum(axis=0)
        return np.ascontiguousarray(self.strength * out)

    def lattice(self, spins: FloatArray, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Forces and virial, pair by pair.

        Raises
        ------
        ModelError
            If the magnet is periodic in some directions only.
        """
        if self._pairwise is None:
            raise ModelError(
                "dipoles of a magnet that is periodic in some directions only give no forces on atoms and no stress: put "
                "vacuum into a fully periodic cell and give demagnetization = (0, 0, 1)"
            )
        return self._pairwise.lattice(spins, lengths)


def _order(padded: tuple[int, int, int]) -> tuple[int, int, int]:
    """Directions in the order of the transforms back; the last one, of which half is kept, is the last that is longest."""
    half = max(range(3), key=lambda axis: (padded[axis], axis))
    first, second = (axis for axis in range(3) if axis != half)
    return first, second, half


def _forward(field: FloatArray, padded: tuple[int, int, int]) -> ComplexArray:
    """Transforms (3, b, ...) of (3, b, *shape), axis by axis: what is padded is not transformed before it must be."""
    *others, half = _order(padded)
    waves = fft.rfft(field, padded[half], axis=2 + half)
    for axis in reversed(others):
        if padded[axis] > 1:
            waves = fft.fft(waves, padded[axis], axis=2 + axis, overwrite_x=True)
    return np.asarray(waves)


def _backward(waves: ComplexArray, shape: tuple[int, int, int], padded: tuple[int, int, int]) -> FloatArray:
    """Fields (3, b, *shape): what is padding is cut off after each axis."""
    *others, half = _order(padded)
    for axis in others:
        if padded[axis] > 1:
            waves = _first(fft.ifft(waves, axis=2 + axis, overwrite_x=True), 2 + axis, shape[axis])
    return np.ascontiguousarray(_first(fft.irfft(waves, padded[half], axis=2 + half), 2 + half, shape[half]))


def _first(values: Array, axis: int, count: int) -> Array:
    """The first entries along an axis."""
    return values[(slice(None),) * axis + (slice(count),)]


@njit
def _one_site(kernel: FloatArray, waves: ComplexArray) -> ComplexArray:
    """-K m of every wave: K (6, n) real and symmetric, m (3, n)."""
    out = np.empty_like(waves)
    for k in range(waves.shape[1]):
        x, y, z = waves[0, k], waves[1, k], waves[2, k]
        out[0, k] = -(kernel[0, k] * x + kernel[5, k] * y + kernel[4, k] * z)
        out[1, k] = -(kernel[5, k] * x + kernel[1, k] * y + kernel[3, k] * z)
        out[2, k] = -(kernel[4, k] * x + kernel[3, k] * y + kernel[2, k] * z)
    return out


@njit
def _many_sites(kernel: ComplexArray, waves: ComplexArray) -> ComplexArray:
    """-sum_c K_bc m_c of every wave: K (b, b, 6, n), m (3, b, n)."""
    out = np.zeros_like(waves)
    for b in range(waves.shape[1]):
        for c in range(waves.shape[1]):
            one = kernel[b, c]
            for k in range(waves.shape[2]):
                x, y, z = waves[0, c, k], waves[1, c, k], waves[2, c, k]
                out[0, b, k] -= one[0, k] * x + one[5, k] * y + one[4, k] * z
                out[1, b, k] -= one[5, k] * x + one[1, k] * y + one[3, k] * z
                out[2, b, k] -= one[4, k] * x + one[3, k] * y + one[2, k] * z
    return out


__all__ = ["LatticeDipole"]
