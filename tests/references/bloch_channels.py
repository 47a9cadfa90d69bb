"""Open channels of a periodic strip, counted from its Bloch bands: independent of leads and Green's functions.

A band that rises through an energy at one wavenumber is one channel that carries electrons to the right.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


class Bands:
    """Bands of a strip of sites at `cell` (n, 3), repeated by `period` (3,), hopping -t at the distances of `amplitudes`."""

    def __init__(self, cell: np.ndarray, period: np.ndarray, amplitudes: Mapping[float, float], points: int = 2001) -> None:
        reach = int(np.ceil((max(amplitudes) + np.ptp(cell, axis=0).max()) / np.linalg.norm(period))) + 1
        blocks = []
        for shift in range(-reach, reach + 1):
            apart = np.linalg.norm(cell[None, :] + shift * period - cell[:, None], axis=2)
            blocks.append(-sum(t * (np.abs(apart - distance) < 1e-6) for distance, t in amplitudes.items()))
        angles = np.linspace(-np.pi, np.pi, points)
        phases = np.exp(1j * np.outer(angles, np.arange(-reach, reach + 1)))
        self.levels = np.linalg.eigvalsh(np.einsum("ks,sij->kij", phases, np.array(blocks)))

    def channels(self, energies: np.ndarray) -> np.ndarray:
        """Number of bands that rise through each energy (K,)."""
        low, high = self.levels[:-1], self.levels[1:]
        return np.array([np.count_nonzero((low < energy) & (high >= energy)) for energy in energies])

    def countable(self, energies: np.ndarray) -> np.ndarray:
        """Whether each energy (K,) is further from all extrema of bands than the wavenumbers here resolve."""
        steps = np.diff(self.levels, axis=0)
        following = np.roll(steps, -1, axis=0)  # the zone is closed
        turns = steps * following <= 0.0
        edges, blur = self.levels[1:][turns], 2.0 * np.abs(following - steps)[turns] + 1e-6
        return np.array([bool(np.all(np.abs(edges - energy) > blur)) for energy in energies])
