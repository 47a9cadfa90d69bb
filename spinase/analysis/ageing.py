"""What a magnet remembers of an earlier state: two-time correlations by waiting time, and how they scale with it.

    C(t_w + t, t_w) = (1/N) sum_i s_i(t_w + t).s_i(t_w)

In equilibrium C depends on t alone.  A magnet that falls out of equilibrium ages: the longer it has waited, the longer it
remembers.  Where the time to fall to a level grows as t_w^mu, curves of all waiting times are one function of t/t_w^mu:
mu = 0 in equilibrium, 1 for simple (full) ageing, between them for subageing (E. Vincent, J. Hammann, M. Ocio,
L. F. Cugliandolo, Lect. Notes Phys. 492, 184 (1997), arXiv:cond-mat/9607224).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spinase.analysis.spectra import two_time_correlation
from spinase.brief import Brief
from spinase.errors import InvalidMomentsError, ModelError
from spinase.typing import FloatArray


@dataclass(frozen=True, eq=False, repr=False)
class TwoTimeCorrelation(Brief):
    """C(t_w + t, t_w) of one waiting time.

    Attributes
    ----------
    waiting : float
        t_w, time.
    times : (K,)
        t, ascending from 0, time.
    values : (K,)
        C, from 1 at t = 0.
    """

    waiting: float
    times: FloatArray
    values: FloatArray

    def time_at(self, level: float) -> float:
        """The first t at which C is down to `level`, time; nan where it stays above.

        Between frames C is taken to be linear in ln t (in t before the first frame after t_w).

        Parameters
        ----------
        level : float
            Of C, between 0 and 1.

        Raises
        ------
        ModelError
            For another level.
        """
        if not 0.0 < level < 1.0:
            raise ModelError(f"the level of a correlation that begins at 1 must be between 0 and 1, got {level:g}")
        below = np.flatnonzero(self.values <= level)
        if not len(below):
            return float("nan")
        last = int(below[0])
        share = (self.values[last - 1] - level) / (self.values[last - 1] - self.values[last])
        start, end = self.times[last - 1], self.times[last]
        return float(end * share) if last == 1 else float(start * (end / start) ** share)


def two_time_correlations(times: ArrayLike, spins: ArrayLike, waiting: Sequence[float]) -> list[TwoTimeCorrelation]:
    """C(t_w + t, t_w) of the frames of a run, for several waiting times.

    Parameters
    ----------
    times : (T,)
        Of the frames, ascending, time (those of a run file: ``read_run(path).times``).
    spins : (T, N, 3)
        Unit vectors.
    waiting : sequence of float
        Waiting times t_w, counted like `times`; each must be that of a frame.

    Raises
    ------
    InvalidMomentsError
        If times and spins do not go together.
    ModelError
        If there is no frame at a waiting time.
    """
    moments, series = np.asarray(times, dtype=np.float64), np.asarray(spins, dtype=np.float64)
    if moments.ndim != 1 or len(moments) != len(series) or not len(moments) or np.any(np.diff(moments) <= 0.0):
        raise InvalidMomentsError(
            f"spins {series.shape} need the time of each frame, ascending, got times of shape {moments.shape}"
        )
    found = []
    for wanted in waiting:
        frame = int(np.abs(moments - wanted).argmin())
        if abs(moments[frame] - wanted) > 1e-6 * max(moments[-1] - moments[0], abs(wanted)):
            raise ModelError(
                f"there is no frame at the waiting time {wanted:g}, the nearest is of {moments[frame]:g}: take a waiting "
                "time that is a multiple of what lies between frames ([output] every), or write more of them"
            )
        values = two_time_correlation(series, frame)
        found.append(TwoTimeCorrelation(float(moments[frame]), moments[frame:] - moments[frame], values))
    return found


def ageing_exponent(curves: Sequence[TwoTimeCorrelation], level: float) -> float:
    """mu of the time to fall to a level, t(t_w) ~ t_w^mu, by least squares of logarithms; 0 without ageing, 1 for t/t_w.

    Parameters
    ----------
    curves : sequence of TwoTimeCorrelation
        Of one run (or means over runs); those that stay above the level do not count.
    level : float
        Of C, between 0 and 1.

    Raises
    ------
    ModelError
        If fewer than two waiting times (not counting 0) get down to the level.
    """
    pairs = [(curve.waiting, curve.time_at(level)) for curve in curves if curve.waiting > 0.0]
    reached = np.log([pair for pair in pairs if np.isfinite(pair[1])])
    if len(reached) < 2:
        raise ModelError(
            f"{len(reached)} of {len(pairs)} waiting times get down to C = {level:g}, an exponent needs two: raise the "
            "level, or run for longer"
        )
    return float(np.polyfit(reached[:, 0], reached[:, 1], 1)[0])


__all__ = ["TwoTimeCorrelation", "ageing_exponent", "two_time_correlations"]
