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
from spinase.classical.dipole_sum import DipoleSum
from spinase.classical.lattice_sites import LatticeSites
from spinase.classical.terms import FrozenTerm
from spinase.compiled import njit
from spinase.errors import ModelError
from spinase.typing import Array, ComplexArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class LatticeDipole(DipoleSum):
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
    dtype : str
        Precision of the transforms, ``"float64"`` or ``"float32"``.
    """

    strength: float
    sites: LatticeSites
    shape: FloatArray
    direct: Callable[[], FrozenTerm] | None
    dtype: str = "float64"

    @cached_property
    def spectrum(self) -> FloatArray | ComplexArray:
        """Transforms of the kernels between the sites of the basis, (b, b, 6, ...); real for one site."""
        grid, basis = self.sites.grid, self.sites.basis
        count, axes = len(basis), [1 + axis for axis in _order(grid.padded)]
        real, mixed = np.dtype(self.dtype), np.result_type(self.dtype, np.complex64)
        if count == 1:
            return np.ascontiguousarray(fft.rfftn(kernel_on(grid, np.zeros(3)), axes=axes).real, dtype=real)
        rows = [[fft.rfftn(kernel_on(grid, one - two, count), axes=axes) for two in basis] for one in basis]
        return np.array(rows, dtype=mixed)

    @cached_property
    def _pairwise(self) -> FrozenTerm | None:
        return None if self.direct is None else self.direct()

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = mu_i B_i."""
        grid, basis = self.sites.grid, len(self.sites.basis)
        places = basis * int(np.prod(grid.shape))
        field = np.zeros((3, places), dtype=self.dtype)
        _spread(self.sites.index, np.ascontiguousarray(spins), lengths, field)
        spectrum = self.spectrum
        waves = np.ascontiguousarray(_forward(field.reshape(3, basis, *grid.shape), grid.padded))
        if basis == 1:
            _turn_one_site(spectrum.reshape(6, -1), waves.reshape(3, -1))  # in place
        else:
            waves = _many_sites(spectrum.reshape(basis, basis, 6, -1), waves.reshape(3, basis, -1)).reshape(waves.shape)
        field = _backward(waves, grid.shape, grid.padded).reshape(3, -1)
        surface = 4.0 * np.pi * self.shape * (lengths @ spins) if self.shape.any() else np.zeros(3)
        return _collected(self.sites.index, field, self.strength * lengths, surface)

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
def _spread(index: IntArray, spins: FloatArray, lengths: FloatArray, out: FloatArray) -> None:
    """mu_i s_i of spins (N, 3) in out (3, places) at the places `index` (N,)."""
    for i in range(len(index)):
        k, length = index[i], lengths[i]
        out[0, k] = length * spins[i, 0]
        out[1, k] = length * spins[i, 1]
        out[2, k] = length * spins[i, 2]


@njit
def _collected(index: IntArray, field: FloatArray, factors: FloatArray, surface: FloatArray) -> FloatArray:
    """f_i (B_i - surface) (N, 3), of a field (3, places) at the places `index` (N,); f (N,), surface (3,)."""
    out = np.empty((len(index), 3))
    for i in range(len(index)):
        k, factor = index[i], factors[i]
        out[i, 0] = factor * (field[0, k] - surface[0])
        out[i, 1] = factor * (field[1, k] - surface[1])
        out[i, 2] = factor * (field[2, k] - surface[2])
    return out


@njit
def _turn_one_site(kernel: FloatArray, waves: ComplexArray) -> None:
    """Moments m (3, n) of every wave become -K m: K (6, n) real and symmetric."""
    for k in range(waves.shape[1]):
        x, y, z = waves[0, k], waves[1, k], waves[2, k]
        waves[0, k] = -(kernel[0, k] * x + kernel[5, k] * y + kernel[4, k] * z)
        waves[1, k] = -(kernel[5, k] * x + kernel[1, k] * y + kernel[3, k] * z)
        waves[2, k] = -(kernel[4, k] * x + kernel[3, k] * y + kernel[2, k] * z)


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
