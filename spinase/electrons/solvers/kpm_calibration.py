"""What the KPM solver chooses for a magnet (band, order, columns), and how its errors are measured."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

from spinase.electrons.chebyshev.columns import Columns
from spinase.electrons.chebyshev.series import Band, coefficients, largest_exchange
from spinase.electrons.occupation import fermi
from spinase.electrons.operator import SpinOperator
from spinase.typing import Array, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was chosen for a magnet, and what it was measured to be good for.

    Attributes
    ----------
    band : Band
    order : int
        Number of moments (even).
    columns : Columns
    strength : float
        Energy by which density errors count: the largest |exchange| (largest |hopping| without any; kT without both).
    error : float
        Measured rms error of the components of the fields, energy.
    truncation : float
        The part of it that is due to the order, energy (of charges or spin components, whichever is larger).
    """

    band: Band
    order: int
    columns: Columns
    strength: float = 1.0
    error: float = float("nan")
    truncation: float = float("nan")

    def to_table(self) -> dict[str, Any]:
        """As numbers and lists, for a checkpoint."""
        colours = None if self.columns.colours is None else self.columns.colours.tolist()
        return {
            "centre": self.band.centre,
            "half": self.band.half,
            "reach": self.band.reach,
            "order": self.order,
            "count": self.columns.count,
            "colours": colours,
            "weight": self.columns.weight,
            "strength": self.strength,
            "error": self.error,
            "truncation": self.truncation,
        }

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> Calibration:
        """From what :meth:`to_table` gave."""
        colours = None if table["colours"] is None else np.array(table["colours"], dtype=np.int64)
        return cls(
            Band(float(table["centre"]), float(table["half"]), float(table["reach"])),
            int(table["order"]),
            Columns(int(table["count"]), colours, float(table["weight"])),
            float(table["strength"]),
            float(table["error"]),
            float(table["truncation"]),
        )


@dataclass(frozen=True, eq=False)
class Sample:
    """Sites (n,) that errors are measured on, and the terms (order + 1, n, 4) of their exact charge and spin density."""

    sites: IntArray
    series: FloatArray

    @property
    def order(self) -> int:
        """The highest order."""
        return len(self.series) - 1

    def density(self, expansion: FloatArray) -> FloatArray:
        """Charge and spin density (n, 4) of an expansion (order + 1,) of occupations."""
        return np.tensordot(expansion, self.series[: len(expansion)], 1)


def energy_scale(operator: SpinOperator, kT: float) -> float:  # noqa: N803
    """The energy that an error of the density is multiplied by (see :class:`Calibration`)."""
    return largest_exchange(operator) or float(operator.bond_strengths().max(initial=0.0)) or kT


def potential_coefficients(band: Band, mu: float, kT: float, order: int) -> FloatArray:  # noqa: N803
    """Coefficients of -kT ln(1 + exp((mu - e)/kT)), whose trace is the grand potential.

    Parameters
    ----------
    band : Band
        Interval that is mapped to -1 .. 1.
    mu, kT : float
        Chemical potential and temperature, energy.
    order : int
        The highest.
    """
    return coefficients(lambda e: -kT * np.logaddexp(0.0, (mu - e) / kT), band, order)


def occupation_coefficients(band: Band, mu: float, kT: float, order: int, gradient: bool) -> FloatArray:  # noqa: N803
    """Coefficients of the occupation that an estimator of `order` moments stands for when the columns are exact.

    Direct: the truncated Fermi function.  Gradient: the derivative of the truncated grand potential, which differs from
    it by as much as either does from the Fermi function.

    Parameters
    ----------
    band : Band
        Interval that is mapped to -1 .. 1.
    mu, kT : float
        Chemical potential and temperature, energy.
    order : int
        Of the estimator.
    gradient : bool
        Which of the two.
    """
    if gradient:
        return np.asarray(chebyshev.chebder(potential_coefficients(band, mu, kT, order)) / band.half)
    return coefficients(lambda e: fermi(e, mu, kT), band, order)


def rms_components(wrong: FloatArray) -> float:
    """Rms of the charge errors or of the components of the spin errors of (n, 4), whichever is larger."""
    return float(np.sqrt(max(np.mean(wrong[:, 0] ** 2), np.mean(wrong[:, 1:] ** 2))))


def digest(hopping: Array, onsite: FloatArray, spin_hopping: Array | None = None) -> str:
    """What tells whether spectral bounds were found for these numbers.

    Parameters
    ----------
    hopping, onsite, spin_hopping : ndarray
        Of the operator; the last is None where no hopping turns spins.
    """
    numbers = [hopping, onsite, *([] if spin_hopping is None else [spin_hopping])]
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in numbers)).hexdigest()
