"""Hopping laws: which pairs of sites electrons hop between, and how strongly.

The amplitude t enters as H = -sum_ij t_ij c+_i c_j.
"""

from __future__ import annotations

from collections.abc import Callable

from spinase.pair_laws import DistanceLaw, PairLaw, ShellLaw
from spinase.radial import Exponential, PowerLaw, UserLaw, step_width
from spinase.typing import FloatArray

HoppingLaw = PairLaw
DistanceHopping = DistanceLaw


class ShellHopping(ShellLaw):
    """Hopping t_1, t_2, ... (energy) by neighbour shell of a lattice; see :class:`~spinase.pair_laws.ShellLaw`."""


class ExponentialHopping(DistanceLaw):
    """t(r) = t0 exp(-decay (r - reference)), smoothly cut off.

    Parameters
    ----------
    t0 : float
        Amplitude at r = reference, energy.
    decay : float
        Inverse decay length, 1/length.
    reference : float
        Reference distance, length.
    cutoff : float
        Distance beyond which t = 0, length.
    switch_width : float, optional
        The law is multiplied by a smooth step over the last `switch_width` before the cutoff; default cutoff/10.
    """

    def __init__(self, t0: float, decay: float, reference: float, cutoff: float, switch_width: float | None = None) -> None:
        super().__init__(Exponential(t0, decay, reference, cutoff, step_width(cutoff, switch_width)))


class PowerLawHopping(DistanceLaw):
    """t(r) = t0 (reference/r)^exponent, smoothly cut off (parameters as in :class:`ExponentialHopping`)."""

    def __init__(
        self, t0: float, exponent: float, reference: float, cutoff: float, switch_width: float | None = None
    ) -> None:
        super().__init__(PowerLaw(t0, exponent, reference, cutoff, step_width(cutoff, switch_width)))


class UserHopping(DistanceLaw):
    """t(r) from a user's ``function(r) -> (t, dt/dr)`` on arrays of distances; the derivative is checked once."""

    def __init__(self, function: Callable[[FloatArray], tuple[FloatArray, FloatArray]], cutoff: float) -> None:
        super().__init__(UserLaw(function, cutoff))
