"""Magnets in LAMMPS' `units metal`: times, masses and g factors with which its constants drop out."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.units import fs
from numpy.typing import ArrayLike

from spinase.dynamics.constrained import mobile_mask
from spinase.errors import ModelError
from spinase.moments import get_units, gyromagnetic_ratios
from spinase.typing import FloatArray, IntArray

HBAR = 4.135667403e-3 / (2.0 * np.pi)
"""LAMMPS' own, eV ps."""
MVV2E = 1.0364269e-4
"""Energy (eV) of one atomic mass unit (A/ps)^2 in LAMMPS."""
_FS = 1000.0  # femtoseconds of LAMMPS' time, ps
_SAME = 1e-12  # relative


def time_scale(atoms: Atoms, hbar: float = HBAR) -> float:
    """One unit of the magnet's time in LAMMPS' ps: ASE's own, or hbar/t with LAMMPS' hbar (t = 1 eV)."""
    return hbar if get_units(atoms).name == "reduced" else 1.0 / (_FS * fs)


def type_masses(atoms: Atoms, types: IntArray, time: float, mvv2e: float = MVV2E) -> FloatArray:
    """Masses by type, such that equal forces make equal ways in equal times.

    Parameters
    ----------
    atoms : Atoms
        The magnet.
    types : (N,) ndarray of int
        LAMMPS' types, from 1.
    time : float
        One unit of the magnet's time, ps.
    mvv2e : float
        LAMMPS' own constant.

    Raises
    ------
    ModelError
        If atoms of one type differ in mass.
    """
    masses, out = atoms.get_masses(), []
    for k in range(int(types.max(initial=0))):
        own = masses[types == k + 1]
        if np.ptp(own) > _SAME * own.max():
            raise ModelError(
                f"atoms of type {k + 1} differ in mass ({own.min():g} to {own.max():g}): LAMMPS has one by type"
            )
        out.append(float(own[0]) * time**2 / mvv2e)
    return np.array(out)


def g_factors(atoms: Atoms, frozen: ArrayLike | None, time: float, hbar: float = HBAR) -> FloatArray:
    """g factors (N,) of ``fix spinase/motion`` that turn spins at the magnet's own rates; 0 where they stay.

    Parameters
    ----------
    atoms : Atoms
        The magnet.
    frozen : mask or indices, optional
        Spins that do not move.
    time : float
        One unit of the magnet's time, ps.
    hbar : float
        LAMMPS' own constant, eV ps.
    """
    ratios = np.broadcast_to(np.ravel(gyromagnetic_ratios(atoms)), len(atoms))
    return np.where(mobile_mask(frozen, len(atoms)), ratios * hbar / time, 0.0)


__all__ = ["HBAR", "MVV2E", "g_factors", "time_scale", "type_masses"]
