"""Atoms that can move: momenta of a thermal lattice, masses, and distances that are none."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from spinase.amounts import plain_number
from spinase.atoms import geometry_of, get_units
from spinase.dynamics.freedoms import LatticeFreedoms
from spinase.dynamics.settings import as_generator, checked
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import nearest_distances

_OVERLAP = 0.25  # of the usual distance of neighbours
_OVERLAP_OF_RADII = 0.15  # of the sum of covalent radii


def set_maxwell_boltzmann(atoms: Atoms, kT: float | str, rng: np.random.Generator | int) -> None:  # noqa: N803
    """Momenta of a thermal lattice at kT (energy): Gaussian, constraints hold, no flight or turn as a whole.

    Parameters
    ----------
    atoms : Atoms
        Changed in place.
    kT : float or str
        Energy; ``"300 K"`` in metal units.
    rng : numpy Generator or seed
        Source of the momenta.
    """
    rng = as_generator(rng, "a thermal lattice")
    kT = checked("kT of a thermal lattice", plain_number(kT, "energy", get_units(atoms), "kT of a thermal lattice"))
    masses = atoms.get_masses()[:, None]
    momenta = np.sqrt(masses * kT) * rng.standard_normal((len(atoms), 3))
    atoms.set_momenta(momenta)
    own, _ = LatticeFreedoms.of(atoms).divide(atoms.get_momenta())
    atoms.set_momenta(own, apply_constraint=False)


def require_masses(atoms: Atoms) -> None:
    """Refuse atoms that cannot move by Newton's law.

    Raises
    ------
    ModelError
        If a mass is missing, zero or not finite; in reduced units, if masses are not set (those of ASE are in u).
    """
    masses = atoms.get_masses()
    bad = np.flatnonzero(~np.isfinite(masses) | (masses <= 0.0))
    if len(bad):
        raise ModelError(
            f"atom {bad[0]} ({atoms.symbols[bad[0]]}) has no mass ({masses[bad[0]]}): atoms that move need one, call "
            "atoms.set_masses(...)"
        )
    if get_units(atoms).name == "reduced" and not atoms.has("masses"):
        raise ModelError(
            "masses are missing: in reduced units atoms that move need masses of their own, in t (hbar/t)^2/a^2: call "
            "atoms.set_masses(...), or give [atoms] mass in an input file"
        )


def check_overlaps(atoms: Atoms) -> float:
    """Smallest distance of two atoms (infinite for one alone).

    Raises
    ------
    InvalidGeometryError
        If two atoms are much closer than the others are, or than a small part of their covalent radii (metal units).
    """
    geometry = geometry_of(atoms)
    closest = nearest_distances(geometry)
    if not np.isfinite(closest).any():
        return float("inf")
    worst, smallest = int(np.argmin(closest)), float(closest.min())
    radius = 2.0 * float(covalent_radii[geometry.numbers[worst]]) if get_units(atoms).name == "metal" else 0.0
    limit = max(_OVERLAP * float(np.median(closest)), _OVERLAP_OF_RADII * radius)
    if smallest < limit:
        raise InvalidGeometryError(
            f"atoms overlap: atom {worst} at {geometry.positions[worst]} is {smallest:.3g} from its neighbour (atoms are "
            f"usually {np.median(closest):.3g} apart): move it, or check the units of the positions"
        )
    return smallest


__all__ = ["check_overlaps", "require_masses", "set_maxwell_boltzmann"]
