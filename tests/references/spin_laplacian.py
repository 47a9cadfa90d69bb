"""The spin temperature by its definition: |gradient|^2 over the Laplacian on the spheres, direction by direction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def spin_temperature(energy: Callable[[np.ndarray], float], moments: np.ndarray, step: float = 1e-3) -> float:
    """kT = sum |dE/dtheta|^2 / sum d2E/dtheta2 over two tangent rotations of every spin, from energies alone."""
    here, gradient, laplacian = energy(moments), 0.0, 0.0
    for site, moment in enumerate(moments):
        length = np.linalg.norm(moment)
        if length == 0.0:
            continue
        unit = moment / length
        one = np.cross(unit, np.eye(3)[np.argmin(np.abs(unit))])
        one /= np.linalg.norm(one)
        for towards in (one, np.cross(unit, one)):
            ends = []
            for angle in (step, -step):
                turned = moments.copy()
                turned[site] = length * (np.cos(angle) * unit + np.sin(angle) * towards)
                ends.append(energy(turned))
            gradient += ((ends[0] - ends[1]) / (2 * step)) ** 2
            laplacian += (ends[0] + ends[1] - 2 * here) / step**2
    return gradient / laplacian
