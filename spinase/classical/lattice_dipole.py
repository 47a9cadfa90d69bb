"""Dipole-dipole interaction on a lattice by fast Fourier transforms: any boundaries, cells, number of sublattices.

B = -C K * m is a convolution on the grid of cells for every two sites of a cell (:mod:`spinase.classical.dipole_kernels`).
Transforms go direction by direction, and piece by piece: along the first of them, which is padded last, a piece is
transformed, turned by the kernel and transformed back, so that no array has the padded size along all directions.
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
from spinase.typing import ComplexArray, FloatArray, IntArray

_PIECE = 2_000_000  # bytes: it stays in a cache, and its memory is used again


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
    def spectrum(self) -> list[tuple[slice, FloatArray | ComplexArray]]:
        """Pieces of the waves along the other directions, and the transforms of the kernels between the sites there.

        Real (6, n) for one site, else (b, b, 6, n); n waves, those along the first direction outside.
        """
        grid, basis = self.sites.grid, self.sites.basis
        order, count = _order(grid.padded), len(basis)
        first = grid.padded[order[0]]

        def transform(tau: FloatArray) -> ComplexArray:
            """Transforms (6, first, c) of the kernel between sites that are `tau` (3,) apart in their cells."""
            waves = fft.rfftn(kernel_on(grid, tau, count), axes=[1 + axis for axis in order])
            return np.asarray(waves.transpose(0, *(1 + axis for axis in order)).reshape(6, first, -1))

        if count == 1:
            kernel = np.asarray(transform(np.zeros(3)).real, dtype=self.dtype)[None, None]
        else:
            rows = [[transform(one - two) for two in basis] for one in basis]
            kernel = np.array(rows, dtype=self._mixed)
        # without a transform along the first direction all is one piece
        size = 3 * count * first * self._mixed.itemsize if first > 1 else 0
        pieces = _pieces(kernel.shape[-1], size)
        flat = (6, -1) if count == 1 else (count, count, 6, -1)
        return [(piece, np.ascontiguousarray(kernel[..., piece]).reshape(flat)) for piece in pieces]

    @property
    def _mixed(self) -> np.dtype[np.complexfloating]:
        """Complex numbers of the precision."""
        return np.dtype(np.result_type(self.dtype, np.complex64))

    @cached_property
    def _places(self) -> IntArray:
        """Place of every site (N,): of the basis, and then cells in the order of the transforms."""
        grid = self.sites.grid
        order, cells = _order(grid.padded), int(np.prod(grid.shape))
        numbers = np.unravel_index(self.sites.index % cells, grid.shape)
        turned = np.ravel_multi_index([numbers[axis] for axis in order], [grid.shape[axis] for axis in order])
        return np.asarray(self.sites.index // cells * cells + turned)

    @cached_property
    def _pairwise(self) -> FrozenTerm | None:
        return None if self.direct is None else self.direct()

    def gradient(self, spins: FloatArray, lengths: FloatArray) -> FloatArray:
        """H_i = mu_i B_i."""
        grid, basis = self.sites.grid, len(self.sites.basis)
        shape, padded = (tuple(one[axis] for axis in _order(grid.padded)) for one in (grid.shape, grid.padded))
        field = np.zeros((3, basis, *shape), dtype=self.dtype)
        _spread(self._places, np.ascontiguousarray(spins), lengths, field.reshape(3, -1))
        rows = _pieces(shape[0], 3 * basis * padded[1] * (padded[2] // 2 + 1) * self._mixed.itemsize)
        if len(rows) == 1:
            waves = _forward(field, padded)
        else:
            waves = np.empty((3, basis, shape[0], padded[1], padded[2] // 2 + 1), dtype=self._mixed)
            for piece in rows:
                waves[:, :, piece] = _forward(field[:, :, piece], padded)
        columns = waves.reshape(3, basis, shape[0], -1)
        for piece, kernel in self.spectrum:
            _turn(kernel, columns[..., piece], padded[0])
        if len(rows) == 1:
            field = np.ascontiguousarray(_backward(waves, shape, padded))
        else:
            for piece in rows:
                field[:, :, piece] = _backward(waves[:, :, piece], shape, padded)
        surface = 4.0 * np.pi * self.shape * (lengths @ spins) if self.shape.any() else np.zeros(3)
        return _collected(self._places, field.reshape(3, -1), self.strength * lengths, surface)

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


def _pieces(count: int, size: int) -> list[slice]:
    """Parts of `count` rows of `size` bytes each, as equal as may be."""
    parts = max(min(-(-count * size // _PIECE), count), 1)
    return [slice(count * k // parts, count * (k + 1) // parts) for k in range(parts)]


def _forward(field: FloatArray, padded: tuple[int, ...]) -> ComplexArray:
    """Transforms along the last two directions, (3, b, n, *) of (3, b, n, *shape[1:])."""
    waves = fft.rfft(field, padded[2], axis=4)
    return np.asarray(fft.fft(waves, padded[1], axis=3, overwrite_x=True) if padded[1] > 1 else waves)


def _turn(kernel: FloatArray | ComplexArray, waves: ComplexArray, padded: int) -> None:
    """Moments (3, b, n, c), waves along the last two directions and sites along the first, become -K m."""
    if padded == 1 and waves.shape[1] == 1:
        _turn_one_site(kernel, waves.reshape(3, -1))
        return
    full = fft.fft(waves, padded, axis=2, overwrite_x=True) if padded > 1 else waves
    full = np.ascontiguousarray(full)
    if waves.shape[1] == 1:
        _turn_one_site(kernel, full.reshape(3, -1))  # in place
    else:
        full = _many_sites(kernel, full.reshape(3, waves.shape[1], -1)).reshape(full.shape)
    waves[:] = fft.ifft(full, axis=2, overwrite_x=True)[:, :, : waves.shape[2]] if padded > 1 else full


def _backward(waves: ComplexArray, shape: tuple[int, ...], padded: tuple[int, ...]) -> FloatArray:
    """Fields (3, b, n, *shape[1:]) of waves along the last two directions; what is padding is cut off after each."""
    if padded[1] > 1:
        waves = fft.ifft(waves, axis=3, overwrite_x=True)[..., : shape[1], :]
    return np.asarray(fft.irfft(waves, padded[2], axis=4)[..., : shape[2]])


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
