"""Magnets in ASE databases.

ASE's SQLite database writes vector moments but cannot read them back, and no ASE database stores ``atoms.info`` (where
the unit system is).  Here both travel in the row's ``data``, bit by bit; the row itself stays readable by plain ASE, which
then sees the atoms without moments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db.core import Database
from ase.db.row import AtomsRow

from spinase.atoms import (
    SpinAtoms,
    get_g_factors,
    get_moments,
    get_reference_lengths,
    get_units,
    set_reference_lengths,
)
from spinase.errors import InvalidMomentsError
from spinase.units import G_FACTOR

_KEY = "spinase"
_MOMENTS = "initial_magmoms"


def write_magnet(
    database: Database,
    atoms: Atoms,
    key_value_pairs: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> int:
    """Write one magnet: cell, moments, unit system, reference lengths, g factors, results its calculator has ready.

    Parameters
    ----------
    database : ase.db database
        From ``ase.db.connect``.
    atoms : Atoms
        The magnet.
    key_value_pairs, data : mapping, optional
        As in ``database.write``; the entry ``"spinase"`` of `data` is taken.

    Returns
    -------
    int
        Number of the row.

    Raises
    ------
    InvalidMomentsError
        If `data` has an entry ``"spinase"`` already.
    """
    extra = dict(data or {})
    if _KEY in extra:
        raise InvalidMomentsError(f"data[{_KEY!r}] holds the moments of the magnet: use another key for your own data")
    results = _current_results(atoms)
    spin_results = {name: value for name, value in results.items() if name not in all_properties}
    extra[_KEY] = {"moments": get_moments(atoms), "units": get_units(atoms).name, "results": spin_results}
    lengths = get_reference_lengths(atoms)
    if lengths is not None:
        extra[_KEY]["reference_lengths"] = lengths
    if np.any(get_g_factors(atoms) != G_FACTOR):
        extra[_KEY]["g_factors"] = get_g_factors(atoms)
    bare = Atoms(atoms)
    bare.arrays.pop(_MOMENTS, None)
    bare.calc = _single_point(bare, {name: value for name, value in results.items() if name in all_properties})
    return int(database.write(bare, key_value_pairs=dict(key_value_pairs or {}), data=extra))


def read_magnet(row: AtomsRow) -> SpinAtoms:
    """The magnet of a row, with moments, unit system and stored results.

    Rows written by plain ASE are read too, if ASE can (collinear moments).

    Raises
    ------
    InvalidMomentsError
        If the stored moments do not belong to the row's atoms.
    """
    plain = row.toatoms()
    stored = row.data.get(_KEY)
    if stored is None:
        return SpinAtoms(plain)
    moments = np.asarray(stored["moments"], dtype=np.float64)
    if moments.shape != (len(plain), 3):
        raise InvalidMomentsError(f"row {row.id} has {len(plain)} sites but stored moments of shape {moments.shape}")
    results = dict(plain.calc.results) if plain.calc is not None else {}
    plain.calc = None
    atoms = SpinAtoms(plain, moments=moments, units=stored["units"], g=stored.get("g_factors"))
    set_reference_lengths(atoms, stored.get("reference_lengths"))
    atoms.calc = _single_point(atoms, results, stored["results"])
    return atoms


def _current_results(atoms: Atoms) -> dict[str, Any]:
    """What the calculator has ready for exactly these atoms; nothing is computed."""
    if atoms.calc is None or not getattr(atoms.calc, "results", None) or atoms.calc.check_state(atoms):
        return {}
    return dict(atoms.calc.results)


def _single_point(
    atoms: Atoms, results: Mapping[str, Any], spin_results: Mapping[str, Any] | None = None
) -> SinglePointCalculator | None:
    """ASE's calculator of stored results; the names it would refuse are put beside them."""
    if not results and not spin_results:
        return None
    calc = SinglePointCalculator(atoms, **results)
    calc.results.update(spin_results or {})
    calc.implemented_properties = list(calc.results)
    return calc
