"""Chemical potential at fixed filling for solvers that know the number of electrons only by solving at a trial mu."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from spinase.errors import ConvergenceError, ModelError

Found = TypeVar("Found")

_MAX_TRIALS = 80
_ROUGH_GAP = 0.01  # rough trials go on until the filling is this close, relative to all states
_REACH = 40.0  # an empty or full band has its mu at most so many kT outside, for any filling a float can tell from 0 or 1


@dataclass(frozen=True)
class MuMemory:
    """What the next search starts from: the last mu (energy) and dN/dmu there; None before the first search."""

    mu: float | None = None
    slope: float | None = None


@dataclass(frozen=True, eq=False)
class Trial(Generic[Found]):
    """Number of electrons at a trial mu, and whatever else was found there."""

    electrons: float
    found: Found


def largest_share(slope: float | None, kT: float) -> float:  # noqa: N803
    """Largest change of one level's occupation per electron by which their number changes with mu, between 0 and 1.

    df/dmu <= 1/(4 kT), and all occupations change the same way: min(1, 1/(4 kT dN/dmu)), 1 where `slope` is not known.
    """
    return 1.0 if slope is None else min(1.0, 0.25 / (kT * slope))


@dataclass(frozen=True)
class Goal:
    """What a search is for.

    Attributes
    ----------
    electrons, states : float
        Wanted number of electrons, and how many states there are.
    bounds : (float, float)
        Spectral bounds, energy.
    kT : float
        Temperature, energy.
    tolerance : float
        Accepted error of any level's occupation by mu.
    noise : float
        Of the number of electrons per state: no search goes below.
    """

    electrons: float
    states: float
    bounds: tuple[float, float]
    kT: float  # noqa: N815
    tolerance: float
    noise: float = 1e-13

    def reached(self, gap: float, share: float) -> bool:
        """Whether a number of electrons off by `gap` will do, of which one level may take the `share`."""
        return share * abs(gap) <= self.tolerance or abs(gap) <= self.noise * self.states


def find_mu(trial: Callable[[float, bool, float], Trial[Found]], goal: Goal, memory: MuMemory) -> tuple[Found, MuMemory]:
    """Secant steps inside a bracket; from a memory usually one or two trials.

    Parameters
    ----------
    trial : function
        ``trial(mu, rough, share)``; with `rough` a cheap answer will do; an error of the number of electrons enters
        occupations with the `share` (:func:`largest_share`).
    goal : Goal
    memory : MuMemory

    Returns
    -------
    found : what the last trial found
    memory : for the next search

    Raises
    ------
    ModelError
        For an empty or a full band, where mu is infinite.
    ConvergenceError
        If the search does not end.
    """
    electrons, states, bounds, kT = goal.electrons, goal.states, goal.bounds, goal.kT
    if not 0.0 < electrons < states:
        raise ModelError(
            f"{electrons:g} electrons in {states:g} states at kT = {kT:g} put the chemical potential at infinity: "
            "use a filling strictly between 0 and 1, or set chemical_potential"
        )
    widest = (bounds[0] - _REACH * kT, bounds[1] + _REACH * kT)
    low, high = widest
    rough = memory.mu is None
    mu = bounds[0] + (bounds[1] - bounds[0]) * electrons / states if memory.mu is None else memory.mu
    mu = min(max(mu, low), high)
    slope, last, gap, stride = memory.slope, None, float("inf"), kT
    share = largest_share(slope, kT)
    # on which sides of the solution there was a trial; far outside the band there is no need of one
    seen = {False, True} if rough else set()
    for _ in range(_MAX_TRIALS):
        used, result = share, trial(mu, rough, share)
        before, gap = abs(gap), result.electrons - electrons
        local = _secant(last, (mu, gap))
        if local is not None and last is not None:
            # f (1 - f) changes by at most a factor e where mu changes by kT
            slope, share = local, largest_share(local * math.exp(-min(abs(mu - last[0]) / kT, _REACH)), kT)
        if not rough and goal.reached(gap, share):
            if share <= 1.5 * used:
                return result.found, MuMemory(mu, slope)
            last = None  # the answer was not made for this
            continue
        if rough and abs(gap) <= _ROUGH_GAP * states:
            rough, (low, high) = False, widest  # rough answers must not bracket the exact one
            seen, stride = set(), 4.0 * kT
            last, gap = None, float("inf")
            continue
        low, high = (mu, high) if gap < 0.0 else (low, mu)
        seen.add(gap < 0.0)
        last = (mu, gap)
        step = mu - gap / slope if slope else low
        if low < step < high and abs(gap) <= 0.5 * before:
            mu = step
        elif len(seen) == 2:
            mu = 0.5 * (low + high)
        else:  # one side is not known yet: walk there in growing strides
            mu, stride = min(max(mu - stride if gap > 0.0 else mu + stride, low), high), 2.0 * stride
        if high - low <= 1e-15 * max(abs(low), abs(high)):
            break
    raise ConvergenceError(
        f"no chemical potential between {widest[0]:.6g} and {widest[1]:.6g} gives {electrons:g} electrons, occupations to "
        f"{goal.tolerance:g} (last: {mu:.12g}, off by {gap:.3g}): the number jumps there; raise kT or the tolerance"
    )


def _secant(one: tuple[float, float] | None, other: tuple[float, float]) -> float | None:
    if one is None or one[0] == other[0]:
        return None
    slope = (other[1] - one[1]) / (other[0] - one[0])
    return slope if slope > 0.0 else None
