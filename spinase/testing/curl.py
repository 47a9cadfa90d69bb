"""How much of a field is no gradient: the antisymmetric part of its Jacobian on the tangent planes of the spins."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spinase.spin_algebra import tangent
from spinase.typing import FloatArray


def curl_part(field: Callable[[FloatArray], FloatArray], spins: FloatArray, pairs: int = 8, step: float = 0.02) -> float:
    """|J - J'| / sqrt(|J - J'|^2 + |J + J'|^2) in the Frobenius norm, from 0 (a gradient) to 1 (all curl).

    J = d(H)/d(s) on the tangent planes, of which random directions u, v tell

        <(u.J v - v.J u)^2> = |J - J'|^2,    <(u.J v + v.J u)^2> = |J + J'|^2,

    by central differences along great circles of the field's part across the spins (along them it is a gauge).

    Parameters
    ----------
    field : callable
        H(s) (N, 3) from unit spins (N, 3): with respect to unit spins, of any unit.
    spins : (N, 3) ndarray
        Where; rows of zeros are left out.
    pairs : int
        Pairs of directions.
    step : float
        Root mean square turn of a spin, radian.
    """
    rng = np.random.default_rng(0)
    odd, even = 0.0, 0.0
    for _ in range(pairs):
        directions = [tangent(rng.normal(size=spins.shape), spins) for _ in range(2)]
        one, two = (_along(field, spins, direction, step) for direction in directions)
        there, back = float(np.sum(directions[1] * one)), float(np.sum(directions[0] * two))
        odd, even = odd + (there - back) ** 2, even + (there + back) ** 2
    return float(np.sqrt(odd / max(odd + even, np.finfo(float).tiny)))


def _along(field: Callable[[FloatArray], FloatArray], spins: FloatArray, direction: FloatArray, step: float) -> FloatArray:
    """Derivative (N, 3) of the field along tangent vectors."""
    moves = [np.where(spins.any(axis=1, keepdims=True), spins + sign * step * direction, 0.0) for sign in (1.0, -1.0)]
    ahead, behind = (tangent(field(unit), unit) for unit in map(_unit, moves))
    return (ahead - behind) / (2.0 * step)


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0.0)


__all__ = ["curl_part"]
