"""A small run as it is read from a run file, without running anything."""

from __future__ import annotations

from typing import Any

import numpy as np

from spinase import lattices
from spinase.io import Run

NAMES = {
    "extxyz": "spins.xyz",
    "traj": "spins.traj",
    "lammps-dump": "spins.dump",
    "ovf": "spins.ovf",
    "vtk": "spins.vtkhdf",
    "uppasd": "restart.spins.out",
    "vampire": "snapshots",
}
"""What files of each style of the kind exports may be called."""


def made(lattice: str = "triangular", size: tuple[int, ...] = (4, 3), units: str = "metal", **changed: Any) -> Run:
    """A run of two frames."""
    positions, cell, pbc = lattices.build(lattice, size, 2.5)
    rng, count = np.random.default_rng(5), len(positions)
    moments = rng.normal(size=(2, count, 3))
    moments *= 2.2 / np.linalg.norm(moments, axis=2, keepdims=True)
    told: dict[str, Any] = {
        "steps": np.array([0, 10]),
        "times": np.array([0.0, 0.5]),
        "positions": np.broadcast_to(positions, (2, count, 3)),
        "moments": moments,
        "numbers": np.full(count, 26),
        "cells": np.broadcast_to(cell, (2, 3, 3)),
        "pbc": np.array(pbc),
        "results": {"magnetic_forces": rng.normal(size=(2, count, 3)), "energy": np.array([-1.0, -2.0])},
        "observables": {},
        "static": {},
        "provenance": {"units": units},
    }
    return Run(**{**told, **changed})
