"""Averages over all spins: magnetization, torque norms, spin temperature."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from spinase.atoms import get_moments
from spinase.errors import InvalidGeometryError
from spinase.measures import (
    TorqueNorms,
    configurational_spin_temperature,
    magnetization,
    site_mask,
    spin_temperature,
    torque_norms,
)
from spinase.typing import ComplexArray


def staggered_magnetization(atoms: Atoms, wavevector: ArrayLike) -> ComplexArray:
    """M_Q = sum_i m_i exp(-i Q.r_i) / N over the magnetic sites, complex, shape (3,), mu_B or |m|.

    `wavevector` Q (3,) is Cartesian, 1/length.  For unit moments |M_Q|^2 = S(Q)/N.

    Parameters
    ----------
    atoms : Atoms
        With moments.
    wavevector : (3,) array_like
        Q, Cartesian, 1/length.
    """
    wave = np.asarray(wavevector, dtype=np.float64)
    if wave.shape != (3,) or not np.isfinite(wave).all():
        raise InvalidGeometryError(f"the wavevector must be three finite numbers, 1/length; got {wavevector!r}")
    mask = site_mask(atoms)
    phases = np.exp(-1j * (atoms.positions[mask] @ wave))
    return np.asarray(phases @ get_moments(atoms)[mask] / mask.sum())


__all__ = [
    "TorqueNorms",
    "configurational_spin_temperature",
    "magnetization",
    "spin_temperature",
    "staggered_magnetization",
    "torque_norms",
]
