"""Anisotropies of a table as lines of UppASD's kfile."""

from __future__ import annotations

import numpy as np

from spinase.errors import InputError
from spinase.typing import FloatArray

_SAME = 1e-9  # of the largest eigenvalue


def kfile_lines(onsite: FloatArray, cubic: FloatArray) -> tuple[list[str], bool]:
    """Lines "site kind K1 K2 axis ratio", and whether there are second axes (``mult_axis``).

    -s.Q s of any symmetric Q is a constant and at most two uniaxial anisotropies, along its outer axes: with eigenvalues
    a <= b <= c, -b - (a - b)(s.n_a)^2 - (c - b)(s.n_c)^2.  The constant has no place in the file.  UppASD's energies are
    +K (s.n)^2, and the negative of ours for cubic ones.

    Parameters
    ----------
    onsite : (n, 3, 3) ndarray
        Q, mRy: -s.Q s.
    cubic : (n, 2) ndarray
        K1 and K2 of cubic anisotropies along x, y, z, mRy.

    Raises
    ------
    InputError
        For a site with both, and for cubic ones beside second axes.
    """
    values, vectors = np.linalg.eigh(0.5 * (onsite + onsite.transpose(0, 2, 1)))
    low, high = values[:, 1] - values[:, 0], values[:, 2] - values[:, 1]
    limit = _SAME * max(float(np.abs(values).max(initial=0.0)), 1e-300)
    low, high = np.where(low > limit, low, 0.0), np.where(high > limit, high, 0.0)
    uniaxial = (low > 0.0) | (high > 0.0)
    cubes = np.asarray(cubic.any(axis=1), dtype=np.bool_)
    for site in np.flatnonzero(uniaxial & cubes)[:1]:
        raise InputError(
            f"site {site} has a uniaxial and a cubic anisotropy, which UppASD's field and Monte Carlo have with opposite "
            "signs: take one of them out of the table"
        )
    both = np.asarray((low > 0.0) & (high > 0.0))
    first, second = [], []
    for site in range(len(onsite)):
        hard = low[site], vectors[site][:, 0]  # +K (s.n)^2 with K > 0
        easy = -high[site], vectors[site][:, 2]
        one, other = (easy, hard) if high[site] >= low[site] else (hard, easy)
        if cubes[site]:
            first.append(f"{site + 1} 2 {-cubic[site, 0]:.12g} {-cubic[site, 1]:.12g} 0 0 1 0")
        else:
            first.append(_line(site, *one))
        second.append(_line(site, *(other if both[site] else (0.0, one[1]))))
    return first + (second if both.any() else []), bool(both.any())


def _line(site: int, strength: float, axis: FloatArray) -> str:
    """A uniaxial anisotropy +K (s.n)^2."""
    return f"{site + 1} 1 {strength:.12g} 0 {' '.join(f'{x:.15g}' for x in axis)} 0"


__all__ = ["kfile_lines"]
