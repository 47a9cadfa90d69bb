"""What couplings join, in a line or two: shells, coordination numbers, bonds of each pair of species."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from spinase.atoms import get_units
from spinase.contract import joined_pairs
from spinase.geometry import Bonds
from spinase.typing import IntArray

_MOST = 4  # shells told one by one
_GAP = 0.03  # of the shortest distance: shells are farther apart, neighbouring distances of one are closer


def describe_couplings(calc: Any, atoms: Atoms) -> list[str]:
    """One line for each set of couplings that `calc` has."""
    return [f"{name}: {_told(bonds, atoms)}" for name, bonds in joined_pairs(calc, atoms)]


def _told(bonds: Bonds, atoms: Atoms) -> str:
    if not len(bonds):
        return "no bonds"
    length = get_units(atoms).length
    order = np.argsort(bonds.distances, kind="stable")
    distances = bonds.distances[order]
    starts = np.flatnonzero(np.diff(distances, prepend=-np.inf) > _GAP * distances[0])
    groups = np.split(order, starts[1:])
    if len(groups) <= _MOST:
        return "; ".join(_shell(bonds, group, atoms, length) for group in groups)
    return (
        f"{len(groups)} distances from {distances[0]:.4g} to {distances[-1]:.4g} {length}, "
        f"{_neighbours(bonds, order, len(atoms))}, {_species(bonds, order, atoms)}"
    )


def _shell(bonds: Bonds, group: IntArray, atoms: Atoms, length: str) -> str:
    found = bonds.distances[group]
    spread = np.ptp(found) > 1e-4 * found[0]
    where = f"from {found.min():.4g} to {found.max():.4g}" if spread else f"at {found.mean():.4g}"
    return f"{where} {length} {_neighbours(bonds, group, len(atoms))}, {_species(bonds, group, atoms)}"


def _neighbours(bonds: Bonds, group: IntArray, sites: int) -> str:
    """Coordination numbers of the sites that have such neighbours."""
    counts = np.bincount(np.concatenate([bonds.first[group], bonds.second[group]]), minlength=sites)
    least, most = int(counts[counts > 0].min()), int(counts.max())
    return f"{most} neighbour{'s' * (most > 1)}" if least == most else f"{least} to {most} neighbours"


def _species(bonds: Bonds, group: IntArray, atoms: Atoms) -> str:
    ends = np.sort(atoms.numbers[np.stack([bonds.first[group], bonds.second[group]])], axis=0).T
    counts = Counter(map(tuple, ends.tolist()))
    return ", ".join(
        f"{count} bonds {chemical_symbols[a]}-{chemical_symbols[b]}" for (a, b), count in sorted(counts.items())
    )
