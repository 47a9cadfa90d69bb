"""Whether energies, fields and forces of labels belong together: signs and units show along a trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spinase.io.labels import Labels

_AGREE = 0.5  # largest difference of both ends' estimates, in units of the change they estimate
_LEAST = 3  # pairs of frames


@dataclass(frozen=True)
class Slopes:
    """dE along trajectories against what the labels say, fitted over pairs of frames: 1 if they belong together.

    Attributes
    ----------
    fields, forces : float or None
        Factors a, b of dE = a (-B.dm) + b (-F.dr); -1: the gradient's sign; None where nothing moves, or forces are not
        labelled.
    pairs : int
        Pairs of frames near enough to tell.
    """

    fields: float | None
    forces: float | None
    pairs: int

    def complaint(self) -> str:
        """What looks wrong, or nothing."""
        found = [
            f"energies change by {slope:.3g} times what the {name} say"
            for name, slope in (("magnetic forces", self.fields), ("forces", self.forces))
            if slope is not None and not 0.5 < slope < 2.0
        ]
        return " and ".join(found)


def energy_slopes(parts: Sequence[Labels]) -> Slopes | None:
    """Compare energy differences of consecutive frames with their fields and forces.

    Between frames the work is the mean of both ends, -(B + B').(m' - m)/2 and -(F + F').(r' - r)/2; only pairs of frames
    whose ends agree are used.  None if there are fewer than three: frames far apart tell nothing.
    """
    rows = [row for part in parts for row in _pairs(part)]
    if len(rows) < _LEAST:
        return None
    table = np.array(rows)
    moving = np.abs(table[:, :2]).max(axis=0) > 1e-3 * np.abs(table[:, :2]).max()
    if not moving.any():
        return None
    fitted = np.linalg.lstsq(table[:, :2][:, moving], table[:, 2], rcond=None)[0]
    slopes: list[float | None] = [None, None]
    for k, value in zip(np.flatnonzero(moving), fitted, strict=True):
        slopes[k] = float(value)
    return Slopes(slopes[0], slopes[1], len(rows))


def _pairs(part: Labels) -> list[tuple[float, float, float]]:
    """(work of the fields, work of the forces, energy difference) of consecutive frames near each other, energy."""
    found = []
    for k in range(len(part) - 1):
        step, turn = part.positions[k + 1] - part.positions[k], part.moments[k + 1] - part.moments[k]
        change = part.energies[k + 1] - part.energies[k]
        still = not step.any()
        if (
            not np.isfinite(change)
            or not np.array_equal(part.cells[k], part.cells[k + 1])
            or (part.forces is None and not still)
        ):
            continue
        ends = np.array([[-np.sum(part.magnetic_forces[n] * turn), 0.0] for n in (k, k + 1)])
        if part.forces is not None:
            ends[:, 1] = [-np.sum(part.forces[n] * step) for n in (k, k + 1)]
        work = ends.mean(axis=0)
        if np.abs(ends[1] - ends[0]).sum() <= _AGREE * np.abs(work).sum() and work.any():
            found.append((float(work[0]), float(work[1]), float(change)))
    return found


__all__ = ["Slopes", "energy_slopes"]
