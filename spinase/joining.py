"""Magnets put together: moments, unit system, reference lengths and g factors of both are kept, which ASE would mix up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atom, Atoms

from spinase.errors import UnitMismatchError
from spinase.moments import (
    BY_SITE,
    G_ARRAY,
    G_INFO,
    MOMENTS,
    REFERENCE,
    get_g_factors,
    get_moments,
    get_reference_lengths,
    get_units,
    set_moments,
    set_reference_lengths,
    set_units,
    units_declared,
)


def extend_with_moments(atoms: Atoms, other: Atoms | Atom) -> None:
    """ASE's ``atoms.extend(other)`` of one unit system, with moments, scalar or not, and g factors of all sites.

    Parameters
    ----------
    atoms : Atoms
        Changed in place.
    other : Atoms or Atom
        What follows its sites; a single ``Atom`` knows no unit system and takes that of the magnet.

    Raises
    ------
    UnitMismatchError
        If both have sites and their unit systems differ.
    """
    units = get_units(atoms).name
    added = Atoms([other]) if isinstance(other, Atom) else other.copy()
    if isinstance(other, Atom):
        set_units(added, units)
    if len(atoms) and len(added) and get_units(added).name != units:
        raise UnitMismatchError(
            f"cannot add atoms in {get_units(added).name} units to a magnet in {units} units: convert them first "
            "(spinase.atoms.convert_units), or declare their unit system (spinase.atoms.set_units)"
        )
    name = units if len(atoms) or units_declared(atoms) else get_units(added).name
    declared = units_declared(atoms) or units_declared(added)
    g_declared = atoms.info.get(G_INFO) if len(atoms) else added.info.get(G_INFO)
    for magnet in (atoms, added):
        _unpack(magnet, atoms, added)
    Atoms.extend(atoms, added)
    if declared:
        set_units(atoms, name)
    if REFERENCE in atoms.arrays:
        set_reference_lengths(atoms, get_reference_lengths(atoms))
    if G_ARRAY in atoms.arrays:
        atoms.info[G_INFO] = _g_witness(atoms, g_declared)


def _unpack(magnet: Atoms, *together: Atoms) -> None:
    """Moments as vectors, and g factors as an array, before atoms with either are put together."""
    if any(MOMENTS in one.arrays for one in together):
        set_moments(magnet, get_moments(magnet))
    if any(G_ARRAY in one.arrays or G_INFO in one.info for one in together):
        values = get_g_factors(magnet)
        magnet.arrays.pop(G_ARRAY, None)
        magnet.new_array(G_ARRAY, values)


def _g_witness(atoms: Atoms, declared: Any) -> Any:
    """The shortest true statement about the g factors of the atoms."""
    values = get_g_factors(atoms)
    if len(values) and np.all(values == values[0]):
        return float(values[0])
    if isinstance(declared, Mapping):
        table = Atoms(numbers=atoms.numbers)
        table.info[G_INFO] = declared
        if np.array_equal(get_g_factors(table), values):
            return declared
    return BY_SITE
