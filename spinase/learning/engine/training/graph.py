"""Pairs of a configuration as compiled training wants them, and how they change when atoms move."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from spinase.learning.engine.workspace import Neighbours
from spinase.learning.mhipnn.graph import quadrupoles, shells
from spinase.learning.mhipnn.network import NetworkConfig
from spinase.learning.pairs import Pairs


class TrainingGraph:
    """Pairs of a configuration, with a row of radial functions for every distance.

    Parameters
    ----------
    pairs : Pairs
        Within the network's cutoff, on the CPU.
    config : NetworkConfig
        The network's.
    dtype : numpy dtype
        float32 or float64.
    moving : bool
        Whether gradients by the vectors of the pairs are asked for: every pair has a row of its own then.

    Attributes
    ----------
    sites : int
        N.
    radial : (distances, radial) ndarray
        Radial functions s_v(r).
    pairs : Neighbours
        Whose ``knots`` are rows of `radial`, and of the tables of filters.
    motion : Motion or None
        Where atoms move.
    """

    def __init__(self, pairs: Pairs, config: NetworkConfig, dtype: Any, moving: bool = False) -> None:
        distances = pairs.vectors.double().norm(dim=1)
        if moving:
            places = np.arange(len(distances))
            rows = places.astype(np.int32)
        else:
            places, rows = shells(distances.numpy(), config.cutoff, dtype)
        second = pairs.rows.second.numpy().astype(np.int32)
        fractions = np.zeros(len(second), dtype)
        known = torch.from_numpy(distances.numpy().astype(dtype))
        units = pairs.vectors.to(known.dtype) / known[:, None]
        harmonics = torch.cat([torch.ones_like(units[:, :1]), units, quadrupoles(units)], dim=1)
        self.sites = pairs.rows.sites
        self.radial = config.basis()(known[torch.from_numpy(places)]).numpy()
        self.pairs = Neighbours(pairs.rows.starts.numpy(), second, second, rows, fractions, harmonics.numpy(), False)
        self.motion = Motion(config.basis().slopes(known), units, known, harmonics) if moving else None


class Motion:
    """How radial functions and harmonics of pairs change with the vectors r of the pairs.

        ds_v/dr_a = s_v'(r) r_a/r,        dY_m/dr_b = (dY_m/du_b - d Y_m u_b)/r,    u = r/r, d the degree of m

    as Y_m is a homogeneous polynomial of degree d in u.

    Parameters
    ----------
    slopes : (P, radial) Tensor
        s_v', 1/length.
    units, distances : (P, 3), (P,) Tensor
        u and r of the pairs, length.
    harmonics : (P, 9) Tensor
        Y: 1, u, Q(u).
    """

    def __init__(self, slopes: Tensor, units: Tensor, distances: Tensor, harmonics: Tensor) -> None:
        self._units, self._radial_slopes = units, slopes
        x, y, z = (units * 2.0**0.5).unbind(1)
        derivatives = units.new_zeros((len(units), 9, 3))
        derivatives[:, 1:4] = torch.eye(3)
        derivatives[:, 4, 0] = derivatives[:, 5, 2] = y
        derivatives[:, 4, 1] = derivatives[:, 6, 2] = derivatives[:, 7, 0] = x
        derivatives[:, 5, 1] = derivatives[:, 6, 0] = z
        derivatives[:, 7, 1] = -y
        derivatives[:, 8] = units * units.new_tensor([-2.0, -2.0, 4.0]) / 6.0**0.5
        degrees = units.new_tensor([0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0])
        derivatives -= (degrees * harmonics)[:, :, None] * units[:, None]
        self._harmonic_slopes = derivatives / distances[:, None, None]

    def pair_gradient(self, grad_radial: Tensor, grad_harmonics: Tensor) -> Tensor:
        """dE/dr by the vectors (P, 3), from dE/ds_v (P, radial) and dE/dY_m (P, 9) of the pairs."""
        along = (grad_radial * self._radial_slopes).sum(1, keepdim=True)
        return along * self._units + (grad_harmonics[:, None] @ self._harmonic_slopes)[:, 0]


__all__ = ["Motion", "TrainingGraph"]
