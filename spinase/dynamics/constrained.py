"""Which spins move, and how: frozen ones, and those that turn about an axis only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spinase.errors import ModelError
from spinase.spin_algebra import as_vectors, directions, parallel, tangent
from spinase.typing import BoolArray, FloatArray


def mobile_mask(frozen: ArrayLike | None, sites: int) -> BoolArray:
    """Which spins move, (N,), from a mask or indices of frozen ones.

    Raises
    ------
    ModelError
        On a mask of another length or an index that is no site.
    """
    mobile = np.ones(sites, dtype=bool)
    if frozen is None:
        return mobile
    chosen = np.asarray(frozen)
    if chosen.dtype == bool and chosen.shape != (sites,):
        raise ModelError(f"frozen as a mask needs {sites} entries, got shape {chosen.shape}")
    if chosen.dtype != bool and chosen.size and (chosen.min() < 0 or chosen.max() >= sites):
        wrong = chosen.max() if chosen.max() >= sites else chosen.min()
        raise ModelError(f"frozen index {wrong} is not a site 0..{sites - 1}")
    mobile[chosen if chosen.dtype == bool else chosen.astype(int)] = False
    return mobile


@dataclass(frozen=True, eq=False)
class TurningAxes:
    r"""Spins that turn about an axis n only: s.n stays, the azimuth phi moves.

    The constraint takes up the field along n, and of the LLG equation ds/dt = s x A the part of A along n is left,

    .. math:: \dot\varphi = \gamma'\alpha\, n\cdot(s\times B) = -\frac{\gamma'\alpha}{\mu}\frac{\partial E}{\partial\varphi},

    gamma' -> gamma/(1 + alpha^2), or gamma in the Landau-Lifshitz form.  Boltzmann's distribution of phi needs noise
    <xi xi> = 2 kT gamma' alpha/mu on that velocity, so a thermal field along n of variance 2 kT alpha/(gamma' mu dt):
    (1 + alpha^2) times that of a free spin in either form.  The free spin's own field would give
    (1 + alpha^2 sin^2)/(1 + alpha^2) of it, as a constraint does away with the part that is transverse to the turn.

    Attributes
    ----------
    units : (N, 3)
        Unit vectors along the axes; zero rows turn freely.
    held : (N,) bool
        Which spins are constrained.
    """

    units: FloatArray
    held: BoolArray

    @classmethod
    def build(cls, axes: ArrayLike | None, sites: int) -> TurningAxes | None:
        """From axes (3,) or (N, 3) of any length; None if all are zero."""
        if axes is None:
            return None
        rows = as_vectors(axes, sites, "rotation axes")
        units, lengths = directions(rows)
        return cls(units, lengths > 0.0) if lengths.any() else None

    def along(self, vectors: FloatArray) -> FloatArray:
        """Vectors of the constrained spins along their axes; those of free spins as they are."""
        return np.where(self.held[:, None], parallel(vectors, self.units), vectors)

    def across(self, vectors: FloatArray) -> FloatArray:
        """Vectors of the constrained spins across their axes; those of free spins as they are."""
        return np.where(self.held[:, None], tangent(vectors, self.units), vectors)

    def thermal(self, noise: FloatArray, damping: float) -> FloatArray:
        """Thermal field (N, 3) from that of free spins: along the axes, sqrt(1 + alpha^2) times as strong."""
        return np.where(self.held[:, None], np.sqrt(1.0 + damping**2) * self.along(noise), noise)


__all__ = ["TurningAxes", "mobile_mask"]
