"""Magnetic structures of crystallography: ``.mcif``, as of the Bilbao server (MAGNDATA) and ISODISTORT.

Format: the dictionary magCIF of the IUCr.  A moment has components along unit vectors parallel to the cell vectors; an
operation {R|t} with time reversal theta takes r to R r + t and an axial moment m to theta det(R) R m, both in components of
the cell vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase.geometry import cellpar_to_cell
from ase.io.cif import parse_cif
from ase.spacegroup.spacegroup import parse_sitesym

from spinase.atoms import SpinAtoms
from spinase.brief import one_line
from spinase.errors import InputError
from spinase.typing import FloatArray

_SAME = 1e-3  # fractions of the cell within which two sites are one
_MOMENT_OFF = 1e-2  # mu_B by which operations that keep a site may move its moment
_OPERATION, _CENTRING = "_space_group_symop_magn_operation_xyz", "_space_group_symop_magn_centering_xyz"


def read_mcif(path: str | Path) -> SpinAtoms:
    """The magnet of a ``.mcif`` file: all sites of the magnetic cell, moments as vectors (mu_B), in metal units.

    Raises
    ------
    InputError
        If it cannot be read, lacks sites, moments or magnetic operations, or its operations contradict its moments.
    """
    source = Path(path)
    try:
        with open(source, encoding="utf-8") as file:
            blocks = list(parse_cif(file, reader="ase"))
    except Exception as error:  # ASE's parser raises what it likes at files that are none
        raise InputError(f"cannot read {source} as magnetic CIF: {one_line(error)}") from None
    tables = [{key.replace(".", "_").lower(): block[key] for key in block} for block in blocks]
    table = next((one for one in tables if "_atom_site_moment_label" in one), None)
    if table is None:
        raise InputError(f"{source} has no moments (_atom_site_moment.label): it is no magnetic CIF")
    try:
        return _magnet(table, source)
    except InputError:
        raise
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise InputError(f"{source} is damaged, or lacks a part of a magnetic structure: {one_line(error)}") from None


def _magnet(table: Mapping[str, Any], source: Path) -> SpinAtoms:
    angles = [float(table[f"_cell_angle_{name}"]) for name in ("alpha", "beta", "gamma")]
    cell = cellpar_to_cell([*(float(table[f"_cell_length_{name}"]) for name in "abc"), *angles])
    along = cell / np.linalg.norm(cell, axis=1)[:, None]
    places = _columns(table, "_atom_site_fract_", "xyz")
    told = dict(zip(table["_atom_site_moment_label"], _columns(table, "_atom_site_moment_crystalaxis_", "xyz"), strict=True))
    labels = [str(label) for label in table["_atom_site_label"]]
    symbols = [str(symbol) for symbol in table.get("_atom_site_type_symbol", labels)]
    strangers = set(told) - set(labels)
    if strangers:
        raise InputError(f"{source} has a moment of {sorted(strangers)[0]!r}, which is no site")
    operations = list(_operations(table))
    found: list[tuple[str, FloatArray, FloatArray]] = []
    for label, symbol, place in zip(labels, symbols, places, strict=True):
        moment = np.asarray(told.get(label, np.zeros(3))) @ along @ np.linalg.inv(cell)
        orbit: list[tuple[str, FloatArray, FloatArray]] = []
        for turn, shift, sign in operations:
            _add(orbit, _element(symbol), turn @ place + shift, sign * turn @ moment @ cell, source)
        found += orbit
    return SpinAtoms(
        [symbol for symbol, _, _ in found],
        scaled_positions=[place for _, place, _ in found],
        cell=cell,
        pbc=True,
        moments=[moment for _, _, moment in found],
    )


def _columns(table: Mapping[str, Any], stem: str, names: str) -> FloatArray:
    return np.array([table[f"{stem}{name}"] for name in names], dtype=np.float64).T


def _operations(table: Mapping[str, Any]) -> Iterator[tuple[FloatArray, FloatArray, float]]:
    """R, t and theta det(R) of every operation, with every centring."""
    for centring in table.get(_CENTRING, ["x,y,z,+1"]):
        _, lift, reversal = _parsed(centring)
        for operation in table[_OPERATION]:
            turn, shift, sign = _parsed(operation)
            yield turn, shift + lift, reversal * sign * round(float(np.linalg.det(turn)))


def _parsed(operation: str) -> tuple[FloatArray, FloatArray, float]:
    place, _, reversal = str(operation).replace(" ", "").rpartition(",")
    turns, shifts = parse_sitesym([place])
    return np.asarray(turns[0], dtype=np.float64), np.asarray(shifts[0], dtype=np.float64), float(reversal)


def _add(
    orbit: list[tuple[str, FloatArray, FloatArray]], symbol: str, place: FloatArray, moment: FloatArray, source: Path
) -> None:
    """A site, unless it is there; then its moment must be the same."""
    wrapped = (place + _SAME) % 1.0 - _SAME
    for _, other, known in orbit:
        gap = wrapped - other
        if np.abs(gap - np.round(gap)).max() < _SAME:
            if np.abs(moment - known).max() > _MOMENT_OFF:
                raise InputError(
                    f"{source}: operations keep {symbol} at {np.round(wrapped, 4).tolist()} and turn its moment "
                    f"from {np.round(known, 3).tolist()} to {np.round(moment, 3).tolist()} mu_B"
                )
            return
    orbit.append((symbol, wrapped, moment))


def _element(symbol: str) -> str:
    """Letters of a type such as Fe3+."""
    letters = "".join(letter for letter in symbol if letter.isalpha())[:2]
    return letters[:1].upper() + letters[1:].lower()


__all__ = ["read_mcif"]
