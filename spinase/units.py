"""Unit systems: ``metal`` (eV, Angstrom, ASE time, mu_B) and ``reduced`` (t, a, hbar/t, |m| = 1).

The unit system of a magnet is stored in ``atoms.info["units"]`` and travels with it; atoms without
that entry are in ``metal`` units, ASE's own.  Everything a formula needs to know about units is in
one frozen :class:`UnitSystem`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import ase.units

from spinase.errors import UnitMismatchError

G_FACTOR = 2.0
"""Spectroscopic splitting factor of moments for which no other is set: exactly 2 (see ``spinase.atoms.set_g_factors``)."""


@dataclass(frozen=True)
class UnitSystem:
    """Constants of one unit system.

    Attributes
    ----------
    name : str
        ``"metal"`` or ``"reduced"``.
    energy, length, time, moment : str
        Names of the units, for labels and messages.
    hbar : float
        Reduced Planck constant, energy * time.
    gyromagnetic_ratio : float
        gamma of g = 2 in ds/dt = -gamma s x B, per time per (energy / moment).  Metal: g mu_B/hbar, 3.0385 rad/fs per
        (eV/mu_B).  Reduced: 1, so that ds/dt = -s x H.  Other g factors: ``spinase.atoms.gyromagnetic_ratios``.
    boltzmann : float
        k_B, energy per kelvin (metal); 1 in reduced units, where temperatures are energies.
    tesla : float or None
        One tesla as energy / moment (metal: 5.788e-5 eV/mu_B, whatever g is: energies are functions of the moments); None in
        reduced units.
    dipole_constant : float or None
        mu_0/(4 pi), energy length^3/moment^2 (metal: 5.368e-5 eV A^3/mu_B^2); None in reduced units.
    """

    name: str
    energy: str
    length: str
    time: str
    moment: str
    hbar: float
    gyromagnetic_ratio: float
    boltzmann: float
    tesla: float | None
    dipole_constant: float | None


_BOHR_MAGNETON = ase.units._e * ase.units._hbar / (2 * ase.units._me)  # J/T
_HBAR_METAL = ase.units._hbar / ase.units._e * ase.units.second
METAL = UnitSystem(
    name="metal",
    energy="eV",
    length="Angstrom",
    time="ASE time (10.1805 fs)",
    moment="mu_B",
    hbar=_HBAR_METAL,
    gyromagnetic_ratio=G_FACTOR / _HBAR_METAL,
    boltzmann=ase.units.kB,
    tesla=_BOHR_MAGNETON / ase.units._e,
    dipole_constant=ase.units._mu0 / (4 * math.pi) * _BOHR_MAGNETON**2 / ase.units._e * 1e30,
)
REDUCED = UnitSystem(
    name="reduced",
    energy="t",
    length="a",
    time="hbar/t",
    moment="|m|",
    hbar=1.0,
    gyromagnetic_ratio=1.0,
    boltzmann=1.0,
    tesla=None,
    dipole_constant=None,
)
UNIT_SYSTEMS = {system.name: system for system in (METAL, REDUCED)}


def unit_system(name: str | UnitSystem) -> UnitSystem:
    """Return the unit system called `name`.

    Raises
    ------
    UnitMismatchError
        If there is no such unit system.
    """
    if isinstance(name, UnitSystem):
        return name
    try:
        return UNIT_SYSTEMS[name]
    except KeyError:
        raise UnitMismatchError(f"unknown unit system {name!r}: use one of {', '.join(UNIT_SYSTEMS)}") from None
