r"""What a neutron sees of magnetic correlations: polarization factor, magnetic form factors, populations of the levels.

The cross section at momentum transfer q and energy transfer hbar omega (positive: given to the magnet) is proportional to

.. math:: \sum_{ab} (\delta_{ab} - \hat q_a \hat q_b)\, S^{ab}(q, \omega), \qquad
          S^{ab} \propto \langle M^a_q M^{b*}_q\rangle_\omega, \quad M_q = \sum_i F_i(q)\, m_i\, e^{-i q\cdot r_i}

(S. W. Lovesey, Theory of Neutron Scattering from Condensed Matter, vol. 2, Oxford 1984), with F_i(q) the form factor.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from spinase.errors import ModelError
from spinase.typing import FloatArray

FormFactor: TypeAlias = Callable[[FloatArray], FloatArray]
"""|q| (m,), 1/length -> F(q) (m,), 1 at q = 0."""
Population: TypeAlias = Callable[[FloatArray], FloatArray]
"""Signed energies hbar omega -> weights of the same shape."""


def transverse_projection(wavevectors: FloatArray) -> FloatArray:
    """The polarization factor 1 - q q^T/q^2, (m, 3, 3); at q = 0 its mean over directions, 2/3.

    Parameters
    ----------
    wavevectors : (m, 3) ndarray
        Cartesian, 1/length.
    """
    lengths = np.linalg.norm(wavevectors, axis=1)[:, None]
    unit = wavevectors / np.where(lengths > 0.0, lengths, 1.0)
    found = np.eye(3) - np.einsum("ka,kb->kab", unit, unit)
    return np.asarray(np.where(lengths[:, :, None] > 0.0, found, 2.0 / 3.0 * np.eye(3)))


@dataclass(frozen=True)
class Bose:
    """Weights of quantum magnons: n + 1 where the magnet takes energy (omega > 0), n where it gives it.

    Attributes
    ----------
    kT : float
        Temperature, energy; 0: only omega > 0, with weight 1.
    """

    kT: float = 0.0  # noqa: N815

    def __post_init__(self) -> None:
        _require_temperature(self.kT, zero=True)

    def __call__(self, energies: FloatArray) -> FloatArray:
        """sign(x)/(1 - exp(-x)) with x = energy/kT, infinite at zero."""
        if self.kT == 0.0:
            return np.asarray((energies > 0.0).astype(np.float64))
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(np.sign(energies + 0.0) / -np.expm1(-energies / self.kT))


@dataclass(frozen=True)
class Equipartition:
    """Weights of classical spin waves, kT/|hbar omega|: those of a run.

    Attributes
    ----------
    kT : float
        Temperature, energy.
    """

    kT: float  # noqa: N815

    def __post_init__(self) -> None:
        _require_temperature(self.kT, zero=False)

    def __call__(self, energies: FloatArray) -> FloatArray:
        """kT/|energy|, infinite at zero."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.kT / np.abs(energies))


def quantum_correction(energies: ArrayLike, kT: float) -> FloatArray:  # noqa: N803
    """x/(1 - exp(-x)) with x = energy/kT: what turns classical correlations of a run into those of quantum harmonic modes.

    It restores detailed balance, S(q, omega) = exp(x) S(-q, -omega), and for harmonic modes the intensities; it does not
    change lifetimes or shifts that a classical run has at its own temperature.

    Parameters
    ----------
    energies : array_like
        hbar omega of both signs, energy.
    kT : float
        Temperature of the run, energy.
    """
    _require_temperature(kT, zero=False)
    x = np.asarray(energies, dtype=np.float64) / kT
    with np.errstate(over="ignore"):
        return np.asarray(np.where(np.abs(x) > 1e-8, x, 1.0) / np.where(np.abs(x) > 1e-8, -np.expm1(-x), 1.0))


def _require_temperature(kT: float, zero: bool) -> None:  # noqa: N803
    if not (np.isfinite(kT) and (kT > 0.0 or (zero and kT == 0.0))):
        raise ModelError(f"kT must be a {'non-negative' if zero else 'positive'} energy, got {kT}")


@dataclass(frozen=True)
class ExponentialFormFactor:
    """F(q) = A exp(-a s^2) + B exp(-b s^2) + C exp(-c s^2) + D, s = |q|/(4 pi): <j0> of the International Tables, vol. C.

    Attributes
    ----------
    coefficients : seven floats
        A, a, B, b, C, c, D; a, b, c in length^2.
    """

    coefficients: tuple[float, float, float, float, float, float, float]

    def __post_init__(self) -> None:
        if len(self.coefficients) != 7 or not np.isfinite(self.coefficients).all():
            raise ModelError(f"a form factor needs the seven numbers A, a, B, b, C, c, D, got {self.coefficients!r}")

    def __call__(self, lengths: FloatArray) -> FloatArray:
        """F of |q| (m,), 1/length."""
        square = (np.asarray(lengths, dtype=np.float64) / (4.0 * np.pi)) ** 2
        A, a, B, b, C, c, D = self.coefficients
        return np.asarray(A * np.exp(-a * square) + B * np.exp(-b * square) + C * np.exp(-c * square) + D)


def magnetic_form_factor(symbol: str, charge: int) -> ExponentialFormFactor:
    """<j0> of an ion in Angstrom, from the tables of the package periodictable (P. J. Brown, International Tables, vol. C).

    Parameters
    ----------
    symbol : str
        Of the element, such as ``"Fe"``.
    charge : int
        Of the ion; 0: the atom.

    Raises
    ------
    ModelError
        If the package is missing, or has no such ion.
    """
    try:
        tables = importlib.import_module("periodictable")
    except ImportError as error:
        raise ModelError(
            "magnetic form factors come from the package periodictable: pip install periodictable, or give the "
            "coefficients, spinase.analysis.ExponentialFormFactor((A, a, B, b, C, c, D))"
        ) from error
    element = getattr(tables.elements, symbol, None)
    known = getattr(element, "magnetic_ff", {})
    if charge not in known or not hasattr(known[charge], "j0"):
        raise ModelError(
            f"there is no magnetic form factor of {symbol} with charge {charge}: known are "
            f"{sorted(known) if known else 'none of this element'}"
        )
    A, a, B, b, C, c, D = (float(value) for value in known[charge].j0)
    return ExponentialFormFactor((A, a, B, b, C, c, D))


def form_factors_of(
    symbols: Sequence[str], wavevectors: FloatArray, form_factors: Mapping[str, FormFactor] | None
) -> FloatArray:
    """F_i(q) of every site, (m, N); 1 without form factors.

    Parameters
    ----------
    symbols : sequence of str
        Chemical symbols of the sites, (N,).
    wavevectors : (m, 3) ndarray
        Cartesian, 1/length.
    form_factors : mapping of symbol to function, optional
        F(|q|), see :func:`magnetic_form_factor`.

    Raises
    ------
    ModelError
        If a species has none, or a function gives numbers of another shape.
    """
    found = np.ones((len(wavevectors), len(symbols)))
    if form_factors is None:
        return found
    missing = sorted(set(symbols) - set(form_factors))
    if missing:
        raise ModelError(f"no form factor for {', '.join(missing)}: given are {', '.join(sorted(form_factors)) or 'none'}")
    lengths = np.linalg.norm(wavevectors, axis=1)
    for symbol in sorted(set(symbols)):
        values = np.asarray(form_factors[symbol](lengths), dtype=np.float64)
        if values.shape != lengths.shape:
            raise ModelError(f"the form factor of {symbol} gave shape {values.shape} for |q| of shape {lengths.shape}")
        found[:, [other == symbol for other in symbols]] = values[:, None]
    return found


__all__ = [
    "Bose",
    "Equipartition",
    "ExponentialFormFactor",
    "FormFactor",
    "Population",
    "form_factors_of",
    "magnetic_form_factor",
    "quantum_correction",
    "transverse_projection",
]
