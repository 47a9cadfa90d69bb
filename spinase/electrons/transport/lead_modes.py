r"""Surface Green's functions of semi-infinite leads from their Bloch and evanescent modes, exact on the real axis.

A mode :math:`\psi_n = \lambda^n\varphi` of a lead with cells H_00 and couplings H_01 = A B+ (its singular value
decomposition, r columns) solves

.. math:: (z - H_{00})\,\varphi = A\lambda B^\dagger\varphi + B\lambda^{-1}A^\dagger\varphi .

With :math:`a = A^\dagger\varphi`, :math:`b = \lambda B^\dagger\varphi` and the regular matrix M = z - H_00 + i(A A+ + B B+),
G_xy = x+ M^-1 y, this is the pencil L x = lambda R x of size 2r for x = (a, b):

.. math:: L = \begin{pmatrix} G_{ab} & iG_{ab}\\ -G_{bb} & 1 - iG_{bb}\end{pmatrix},\qquad
          R = \begin{pmatrix} 1 - iG_{aa} & -G_{aa}\\ iG_{ba} & G_{ba}\end{pmatrix}.

Of its 2r modes the r that decay away from the device, or carry a current :math:`J(x) = i(a^\dagger b - b^\dagger a) > 0`
away from it, make the surface: the r x r matrix s = B+ g B takes every a to its b, and g = (z - H_00 - A s A+)^-1.

Sources: T. Ando, Phys. Rev. B 44, 8017 (1991); M. Wimmer, PhD thesis, Regensburg (2009), ch. 3; C. W. Groth et al., New J.
Phys. 16, 063065 (2014).  A decimation (:func:`~spinase.electrons.transport.self_energy.decimated_surface`)
needs an imaginary part: on the real axis a finite piece of the lead that it meets on the way may have a level at the energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg

from spinase.electrons.transport.self_energy import chain_surface, decimated_surface
from spinase.errors import ConvergenceError
from spinase.typing import ComplexArray, IntArray

_RANK = 1e-14  # singular values of H_01 below this part of the largest are zero
_ON_CIRCLE = 1e-8  # | |lambda| - 1 | below which a mode is taken as a wave
_TOGETHER = 1e-7  # distance in lambda of waves whose subspace is taken as a whole
_STILL = 1e-10  # currents below this part of the largest possible one do not tell a direction
_SLOW = 2e-5  # currents, and decay rates, below this are those close to an edge of a band: round-off is large there
_GOOD, _ACCEPTED = 1e-9, 1e-5  # relative error of s (its equation, its currents) sought, and accepted where none is better
_ANGLES = (0.61, 2.47, -1.93)  # of the points of the unit circle that the Cayley transformation may take to infinity
_LARGE = 1e3  # entries of its matrix from which another point is tried
# where an energy is (to round-off) an edge of a band or a level of a flat one, the surface is that of an energy this much
# higher or lower, in units of the band width
_SMOOTH = 1e-4  # imaginary part over the band width from which a decimation is safe; it takes less time
_ASIDE = (0.0, 1e-9, -1e-9, 1e-8, -1e-8, 1e-7, -1e-7, 1e-6, -1e-6)
_AT_EDGE = 1e-10  # distance from an edge over the hopping at which the energy of a chain is moved aside


@dataclass(frozen=True, eq=False)
class Surface:
    """The surface of a lead at one energy.

    Attributes
    ----------
    green : (n, n) complex
        g, 1/energy.
    waves : (n, p) complex
        At real energies: one column for each of the p open channels, i (g - g+) = waves waves+, 1/energy^(1/2).  Otherwise
        there are none.
    energy : complex
        Where it was made: aside of the energy asked for, if that is an edge.
    """

    green: ComplexArray
    waves: ComplexArray
    energy: complex


class _Undecided(Exception):  # noqa: N818
    """The modes at this energy do not tell inwards from outwards."""


class ChainModes:
    """Modes of a lead whose orbitals couple to their own images only, all by `hopping`: a chain for each mode of `intra`."""

    def __init__(self, intra: ComplexArray, hopping: float) -> None:
        self.hopping = hopping
        self.levels, self._modes = np.linalg.eigh(intra)

    def surface(self, energy: complex) -> Surface:
        """g and its waves at `energy`, Im >= 0; on the real axis the limit from above."""
        z, band = complex(energy), 2.0 * abs(self.hopping)
        if z.imag == 0.0 and np.abs(np.abs(z.real - self.levels) - band).min(initial=np.inf) < 0.5 * _AT_EDGE * band:
            z += _ASIDE[1] * band
        green = chain_surface(z - self.levels, self.hopping)
        widths = -2.0 * green.imag if z.imag == 0.0 else np.zeros(len(green))
        is_open = widths > 0.0
        return Surface((self._modes * green) @ self._modes.conj().T, self._modes[:, is_open] * np.sqrt(widths[is_open]), z)


class LeadModes:
    """Modes of a lead of cells `intra` = H_00 (n, n), each coupled to the next by `inter` = H_01 (n, n), energy."""

    def __init__(self, intra: ComplexArray, inter: ComplexArray) -> None:
        left, values, right = np.linalg.svd(np.asarray(inter, dtype=np.complex128))
        rank = int(np.count_nonzero(values > _RANK * values.max(initial=0.0) * len(values)))
        root = np.sqrt(values[:rank])
        self.intra = np.asarray(intra, dtype=np.complex128)
        self._outer, self._inner = left[:, :rank] * root, right[:rank].conj().T * root  # A and B
        self._damping = 1j * (self._outer @ self._outer.conj().T + self._inner @ self._inner.conj().T)
        self.width = float(np.abs(intra).sum(axis=1).max() + 2.0 * np.abs(inter).sum(axis=1).max())

    def surface(self, energy: complex) -> Surface:
        """g and its waves at `energy`, Im >= 0; on the real axis the limit from above.

        At an edge of a band, where channels open, they are those of an energy aside by 1e-9 of the band width, or what more
        it takes (up to 1e-6).

        Raises
        ------
        ConvergenceError
            If no surface solves its equation at such an energy (seen only for numbers that are not finite).
        """
        if complex(energy).imag > _SMOOTH * self.width:
            green = decimated_surface(energy, self.intra, self._outer @ self._inner.conj().T)
            return Surface(green, np.empty((len(green), 0), dtype=np.complex128), complex(energy))
        best: Surface | None = None
        least = _ACCEPTED
        for aside in _ASIDE:
            try:
                found, error, is_slow = self._solved(complex(energy) + aside * self.width)
            except (_Undecided, np.linalg.LinAlgError, ValueError):
                continue
            if error <= _GOOD and not is_slow:
                return found
            if error < least:
                best, least = found, error
        if best is not None:
            return best
        raise ConvergenceError(
            f"the surface of a lead has no solution at the energy {energy}, nor within {max(_ASIDE):g} of its band width "
            f"{self.width:.4g}: check its cell and couplings, or take another energy"
        )

    def _solved(self, z: complex) -> tuple[Surface, float, bool]:
        """The surface, the relative error of s (of its equation s = B+ g B, and of its currents), whether a mode is slow."""
        size = self._outer.shape[1]
        modes, open_, is_slow = self._outgoing(self._cayley(z))
        up, across = modes[:size], modes[size:]
        inverse = np.linalg.inv(up)
        transfer = across @ inverse  # s
        matrix = z * np.eye(len(self.intra)) - self.intra - self._outer @ transfer @ self._outer.conj().T
        green = np.linalg.inv(matrix)
        flow = _current(modes[:, open_:], modes[:, open_:])
        roots = inverse[open_:].conj().T @ np.linalg.cholesky(0.5 * (flow + flow.conj().T))
        errors = [self._inner.conj().T @ green @ self._inner - transfer]
        if z.imag == 0.0:
            errors.append(1j * (transfer - transfer.conj().T) - roots @ roots.conj().T)
        error = float(np.abs(errors).max(initial=0.0)) / max(1.0, float(np.abs(transfer).max(initial=0.0)))
        is_slow |= bool(np.any(np.linalg.eigvalsh(flow) < _SLOW))
        return Surface(green, green @ (self._outer @ roots), z), error if np.isfinite(error) else np.inf, is_slow

    def _cayley(self, z: complex) -> ComplexArray:
        """i (e R - L)^-1 (e R + L): waves have real eigenvalues w, decaying modes Im w > 0, |e| = 1."""
        outer, inner = self._outer, self._inner
        both = np.concatenate([outer, inner], axis=1)
        size = outer.shape[1]
        middle = both.conj().T @ np.linalg.solve(z * np.eye(len(self.intra)) - self.intra + self._damping, both)
        aa, ab, ba, bb = middle[:size, :size], middle[:size, size:], middle[size:, :size], middle[size:, size:]
        one = np.eye(size)
        left = np.block([[ab, 1j * ab], [-bb, one - 1j * bb]])
        right = np.block([[one - 1j * aa, -aa], [1j * ba, ba]])
        found, size_found = right, np.inf
        for angle in _ANGLES:
            turned = np.exp(1j * angle) * right
            matrix = 1j * np.linalg.solve(turned - left, turned + left)
            largest = float(np.abs(matrix).max(initial=0.0))
            if largest < size_found:
                found, size_found = matrix, largest
            if largest < _LARGE:
                break
        return found

    @staticmethod
    def _outgoing(matrix: ComplexArray) -> tuple[ComplexArray, int, bool]:
        """The r outgoing modes (2r, r), the number of those among them that decay, which come first, whether one is slow."""
        half = len(matrix) // 2
        if not len(matrix):
            return matrix, 0, False
        schur: Any = scipy.linalg.schur  # its stub knows no order of complex levels
        triangle, vectors, decaying = schur(matrix, output="complex", sort=_decays)
        levels = np.diag(triangle)
        rates = 2.0 * np.abs(levels.imag) / (1.0 + np.abs(levels) ** 2)  # | |lambda| - 1 | where that is small
        waves = np.flatnonzero(rates <= _ON_CIRCLE)
        if decaying > half or 2 * (half - decaying) != len(waves):
            raise _Undecided
        columns = [vectors[:, :decaying]]
        for group in _groups(levels, waves):
            columns.append(_carried(matrix, triangle, vectors, group))
        modes = np.concatenate(columns, axis=1)
        if modes.shape[1] != half:
            raise _Undecided
        return modes, decaying, bool(np.any((rates > _ON_CIRCLE) & (rates < _SLOW)))


def _decays(level: complex) -> bool:
    return 2.0 * level.imag > _ON_CIRCLE * (1.0 + abs(level) ** 2)


def _current(one: ComplexArray, other: ComplexArray) -> ComplexArray:
    """J = i (a+ b - b+ a) between modes (2r, k): the current away from the device, times hbar, on the diagonal."""
    size = len(one) // 2
    return np.asarray(1j * (one[:size].conj().T @ other[size:] - one[size:].conj().T @ other[:size]))


def _groups(levels: ComplexArray, waves: IntArray) -> list[IntArray]:
    """Waves whose eigenvalues are too close for separate eigenvectors."""
    ordered = waves[np.argsort(levels[waves].real, kind="stable")]
    real = levels[ordered].real
    apart = 2.0 * np.diff(real) / (1.0 + real[1:] ** 2) > _TOGETHER
    return np.split(ordered, np.flatnonzero(apart) + 1) if len(ordered) else []


def _carried(matrix: ComplexArray, triangle: ComplexArray, vectors: ComplexArray, group: IntArray) -> ComplexArray:
    """Those of a group of waves (2r, m) that carry a current away from the device."""
    if len(group) == 1:
        k = int(group[0])
        mode = np.zeros(len(matrix), dtype=np.complex128)
        mode[k] = 1.0
        mode[:k] = scipy.linalg.solve_triangular(triangle[:k, :k] - triangle[k, k] * np.eye(k), -triangle[:k, k])
        found = vectors @ (mode / np.linalg.norm(mode))[:, None]
    else:
        level = triangle[group, group].mean()
        _, values, rows = np.linalg.svd(matrix - level * np.eye(len(matrix)))
        if values[-len(group)] > 1e3 * _TOGETHER * max(1.0, float(values[0])):
            raise _Undecided  # fewer eigenvectors than eigenvalues: two waves have become one, an edge of a band
        found = rows[-len(group) :].conj().T
    flow = _current(found, found)
    currents, mixed = np.linalg.eigh(0.5 * (flow + flow.conj().T))
    if np.abs(currents).min() < _STILL:
        raise _Undecided
    return np.asarray(found @ mixed[:, currents > 0.0])
