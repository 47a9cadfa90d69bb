r"""Chebyshev expansions: coefficients, orders, spectral bounds and what moments give.

With the rescaled Hamiltonian h = (H - centre)/half and moments mu_m = Tr T_m(h),

.. math:: \mathrm{Tr}\, g(H) = \sum_m c_m \mu_m, \qquad
          c_m = \frac{2-\delta_{m0}}{P}\sum_{k<P} g(\mathrm{half}\,x_k + \mathrm{centre})\cos\frac{\pi m(k+1/2)}{P},
          \quad x_k = \cos\frac{\pi(k+1/2)}{P}.

No kernel polynomial in thermodynamic functions: the Fermi function is smooth and its expansion converges as
exp(-pi kT M/half); the Jackson kernel is for densities of states.
Source: A. Weisse, G. Wellein, A. Alvermann, H. Fehske, Rev. Mod. Phys. 78, 275 (2006), doi:10.1103/RevModPhys.78.275.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.fft import dct
from scipy.sparse import csr_array
from scipy.sparse.linalg import eigsh

from spinase.electrons.occupation import fermi
from spinase.electrons.operator import SpinOperator
from spinase.errors import ConvergenceError
from spinase.typing import FloatArray

MAX_ORDER = 65536
_POINTS = 4  # quadrature points per moment
_LANCZOS_TOLERANCE = 1e-2
_WIDEN = 1.02
_SMALL = 64  # graphs up to this size are bounded by a dense diagonalization


@dataclass(frozen=True)
class Band:
    """Interval that holds the spectrum: centre - half .. centre + half, energy.

    `reach` is the largest |exchange| of a site for which it does.
    """

    centre: float
    half: float
    reach: float = np.inf

    @classmethod
    def between(cls, low: float, high: float) -> Band:
        """The band low .. high, energy."""
        return cls(0.5 * (low + high), 0.5 * (high - low))

    @property
    def low(self) -> float:
        """Lower end, energy."""
        return self.centre - self.half

    @property
    def high(self) -> float:
        """Upper end, energy."""
        return self.centre + self.half

    def holds(self, other: Band) -> bool:
        """Whether `other` lies within."""
        return self.low <= other.low and other.high <= self.high


def coefficients(function: Callable[[FloatArray], FloatArray], band: Band, order: int) -> FloatArray:
    """c_0 .. c_order of `function` of the energy.

    Parameters
    ----------
    function : callable
        Of energies (m,), energy.
    band : Band
        Interval that is mapped to -1 .. 1.
    order : int
        The highest.
    """
    points = _POINTS * (order + 1)
    nodes = np.cos(np.pi * (np.arange(points) + 0.5) / points)
    values = dct(function(band.half * nodes + band.centre), type=2)[: order + 1] / points
    values[0] *= 0.5
    return values


def fermi_order(band: Band, chemical_potential: float, kT: float, tolerance: float) -> int:  # noqa: N803
    """Smallest even order at which the tail of the Fermi function's expansion is below `tolerance`.

    Parameters
    ----------
    band : Band
        Interval that is mapped to -1 .. 1.
    chemical_potential : float
        Energy.
    kT : float
        Energy, above zero.
    tolerance : float
        Sum of the coefficients that are left out, in occupations.

    Raises
    ------
    ConvergenceError
        If that is more than ``MAX_ORDER``.
    """
    expected = int(band.half / (np.pi * kT) * np.log(10.0 / tolerance)) + 16
    if expected > MAX_ORDER:
        raise ConvergenceError(
            f"about {expected} moments are needed for {tolerance:g} at kT = {kT:g} over a band of {2 * band.half:g}: "
            "use a higher kT or a larger accuracy"
        )
    tail = np.abs(coefficients(lambda e: fermi(e, chemical_potential, kT), band, 2 * expected))
    beyond = np.cumsum(tail[::-1])[::-1]
    enough = np.flatnonzero(beyond <= max(tolerance, 1e-13))
    order = int(enough[0]) if len(enough) else 2 * expected
    return max(4, order + order % 2)


def find_band(operator: SpinOperator, keep: Band | None = None) -> Band:
    """Bounds of the spectrum, widened by 2 %: Lanczos for the hopping, exactly |exchange| for the spins.

    They hold for all exchange vectors up to the largest one, whatever their directions.  `keep` is returned if it still
    holds and is not much too wide: energies computed on the same band are comparable to the last digit.
    """
    low, high = _hopping_bounds(operator)
    reach = largest_exchange(operator)
    centre, half = 0.5 * (low + high), max(0.5 * (high - low) + reach, 1e-3)
    if keep is not None and keep.holds(Band(centre, half)) and keep.half < 1.15 * half:
        return keep
    return Band(centre, _WIDEN * half, reach + (_WIDEN - 1.0) * half)


def largest_exchange(operator: SpinOperator) -> float:
    """The largest |exchange|, energy."""
    return float(np.linalg.norm(operator.exchange, axis=1).max(initial=0.0))


def _hopping_bounds(operator: SpinOperator) -> tuple[float, float]:
    size, first, second = len(operator), operator.bonds.first, operator.bonds.second
    if operator.spin_hopping is not None:
        return _turning_bounds(operator)
    rows = np.concatenate([first, second, np.arange(size)])
    columns = np.concatenate([second, first, np.arange(size)])
    entries = np.concatenate([operator.hopping, operator.hopping.conj(), operator.onsite])
    return _ends(csr_array((entries, (rows, columns)), shape=(size, size)))


def _turning_bounds(operator: SpinOperator) -> tuple[float, float]:
    """The same of hopping that turns spins."""
    size, first, second, blocks = (
        2 * len(operator),
        2 * operator.bonds.first,
        2 * operator.bonds.second,
        operator.bond_entries(),
    )
    spins = [(s, r) for s in (0, 1) for r in (0, 1)]
    one, two = (np.concatenate(part) for part in zip(*((first + s, second + r) for s, r in spins), strict=True))
    there = np.concatenate([blocks[:, s, r] for s, r in spins])
    rows, columns = np.concatenate([one, two, np.arange(size)]), np.concatenate([two, one, np.arange(size)])
    entries = np.concatenate([there, there.conj(), np.repeat(operator.onsite, 2)])
    return _ends(csr_array((entries, (rows, columns)), shape=(size, size)))


def _ends(matrix: csr_array) -> tuple[float, float]:
    """Bounds of a hermitian matrix's spectrum."""
    size = matrix.shape[0]
    if size <= _SMALL:
        levels = np.linalg.eigvalsh(matrix.toarray())
        return float(levels[0]), float(levels[-1])
    start = np.random.default_rng(0).normal(size=size).astype(matrix.dtype)
    ends = [
        float(eigsh(matrix, k=1, which=which, tol=_LANCZOS_TOLERANCE, v0=start, return_eigenvectors=False)[0])
        for which in ("SA", "LA")
    ]
    slack = _LANCZOS_TOLERANCE * (ends[1] - ends[0])  # Ritz values lie inside
    return ends[0] - slack, ends[1] + slack


def jackson(order: int) -> FloatArray:
    """Jackson's damping factors g_0 .. g_order: a positive kernel of width pi half/order."""
    m, n = np.arange(order + 1), order + 2
    return ((n - m) * np.cos(np.pi * m / n) + np.sin(np.pi * m / n) / np.tan(np.pi / n)) / n


def spectral_density(moments: FloatArray, band: Band, energies: FloatArray) -> FloatArray:
    """Densities of states (..., n_energies), states/energy, from moments (..., order + 1), with the Jackson kernel.

    Parameters
    ----------
    moments : (..., order + 1) ndarray
        Traces of Chebyshev polynomials of the operator.
    band : Band
        They refer to it.
    energies : (n_energies,) ndarray
        Where, energy; zero beyond the band.
    """
    order = moments.shape[-1] - 1
    damped = moments * jackson(order) * np.where(np.arange(order + 1) == 0, 1.0, 2.0)
    x = (energies - band.centre) / band.half
    inside = np.abs(x) < 1.0
    angles = np.arccos(np.where(inside, x, 0.0))
    values = damped @ np.cos(np.arange(order + 1)[:, None] * angles)
    return np.where(inside, values / (np.pi * band.half * np.sqrt(np.where(inside, 1.0 - x**2, 1.0))), 0.0)
