"""Spectral quantities from single-particle levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spinase.errors import ModelError
from spinase.typing import FloatArray


def density_of_states(levels: FloatArray, weights: FloatArray, energies: ArrayLike, width: float) -> FloatArray:
    """Density of states D(E) = sum_n w_n g(E - e_n) with Gaussians of standard deviation `width`.

    Parameters
    ----------
    levels, weights : (n,)
        Single-particle energies and the number of states each stands for.
    energies : (m,)
        Where to evaluate, energy.
    width : float
        Standard deviation, energy.

    Returns
    -------
    (m,)
        States per energy; integrates to the number of states of the cell.
    """
    if not np.isfinite(width) or width <= 0.0:
        raise ModelError(f"the width of the density of states must be positive (an energy), got {width}")
    points = np.atleast_1d(np.asarray(energies, dtype=np.float64))
    result = np.zeros_like(points)
    for start in range(0, len(levels), 4096):
        part = slice(start, start + 4096)
        scaled = (points[:, None] - levels[None, part]) / width
        result += np.exp(-0.5 * scaled**2) @ weights[part]
    return result / (width * np.sqrt(2.0 * np.pi))
