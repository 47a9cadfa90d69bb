"""Exchange of UppASD: ``inpsd.dat`` and the files it names."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import ase.units
import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from spinase.atoms import set_units
from spinase.classical import BondTable, ProductTable
from spinase.errors import AccuracyWarning, InputError
from spinase.io.exchange.bonds import DirectedBonds, bond_table, isotropic_tensor, odd_tensor, with_biquadratic
from spinase.io.exchange.text import Line
from spinase.io.exchange.uppasd_bonds import Lattice, bonds_of, operations_of, shells_of
from spinase.io.exchange.uppasd_input import UppasdInput, read_input
from spinase.io.exchange.uppasd_ring import ring_table
from spinase.io.exchange.uppasd_terms import anisotropies, applied_field, has_dipoles
from spinase.typing import FloatArray, IntArray

_MILLIRYDBERG = 1e-3 * ase.units.Ry
_FIRST_MINUS = (6, 1)  # version from which -D.(e_i x e_j) is in energy and field


class UppasdModel(NamedTuple):
    """What an input of UppASD says: terms of the energy, and the magnet.

    Attributes
    ----------
    table : BondTable
        Couplings and anisotropies, in the convention of the table.
    atoms : Atoms
        The sites of the cell (as iron, with the moments of the momfile).
    field : (3,) or None
        Applied field B of E = -sum m_i.B: eV/mu_B; without a unit in reduced units (``aunits``).
    dipoles : bool
        Whether dipoles are summed over all pairs of the (finite) magnet.
    products : ProductTable or None
        Ring exchange.
    """

    table: BondTable
    atoms: Atoms
    field: FloatArray | None
    dipoles: bool
    products: ProductTable | None = None


def read_uppasd_model(
    path: str | Path,
    dmi_sign: int | None = None,
    *,
    version: str = "6.1",
    cell: ArrayLike | None = None,
    scaled_positions: bool | None = None,
    leave_out: Collection[str] = (),
) -> UppasdModel:
    """Read UppASD's ``inpsd.dat`` with the files it names: posfile, momfile, exchange, dm, sa, pd, bq, ring, anisotropy.

    UppASD writes E = -sum_{i != j} [e_i.J e_j + B (e_i.e_j)^2] + sum_i K (e_i.n)^2 - sum_i m_i.B for unit spins, mRy.  What
    is read is what UppASD 6.1 makes of the files on a large magnet (one that is no larger than the range of its couplings
    loses bonds in UppASD, not here).

    * ``posfiletype`` C and D, ``scalefac``, ``alat`` (m), ``bc``, ``aunits`` (then energies have no unit: reduced units);
    * ``sym`` 0, 1 (cubic), 2 (square), 3 (hexagonal) for exchange and bq, ``maptype`` 1 (vectors), 2 and 3 (cells; RSPt's);
    * ``do_jtensor`` 1 with ``calc_jtensor`` F: nine numbers, row by row; else the first number only, as in UppASD;
    * ``dm`` (D), ``sa`` (symmetric off-diagonal part: yz, xz, xy), ``pd`` (nine numbers); ``jij_scale``, ``dm_scale``,
      ``sa_scale``; ``bq`` (biquadratic, between sites of type 1, whose vectors are Cartesian also with ``posfiletype`` D);
    * ``ring`` (four-spin ring exchange, sites of one type), every loop listed from each of its sites;
    * ``anisotropy``: uniaxial ones of first order, also along two axes (``mult_axis``), and cubic ones (K1, K2);
    * ``hfield`` (tesla);
    * ``do_dip`` 1 with open boundaries (``bc 0 0 0``): all pairs of the magnet.

    Everything else that changes an energy (other dipoles, random alloys, ...) is refused by name unless it is off or zero;
    how a run is made and what it measures is ignored (:data:`spinase.io.exchange.uppasd_keywords.IGNORED`).

    Parameters
    ----------
    path : path
        The input file.
    dmi_sign : int, optional
        Sign of sum_{i != j} D.(e_i x e_j) in the energy; default: that of `version`.
    version : str
        The version of UppASD the files were made for: up to 6.0.2 field and energy have +D.(e_i x e_j), from 6.1 on
        -D.(e_i x e_j), as the manual has always had it.
    cell : (3, 3), optional
        Cell vectors for files without them, Angstrom; then all lengths are in Angstrom.  TB2J 0.9.22 leaves the cell empty.
    scaled_positions : bool, optional
        Whether the posfile has scaled positions; default: as ``posfiletype`` says, which also tells what vectors of bonds
        are.  TB2J writes scaled positions (without saying so) beside Cartesian vectors.
    leave_out : collection of str
        Keywords that are read as if they were not there, such as ``["hfield"]``.

    Returns
    -------
    UppasdModel
        The terms (:func:`spinase.calculators.uppasd_calculator` makes a calculator of them), and the sites (as iron, with
        the moments of the momfile and their directions, else 1 mu_B along z).  Without ``alat``, lengths are in lattice
        constants.

    Raises
    ------
    InputError
        If a file is missing, has a wrong line, lists a bond in one direction only, or uses what is not understood.

    Warns
    -----
    AccuracyWarning
        Where lines join no two sites (UppASD ignores them, too) or have numbers UppASD does not read.
    """
    source = read_input(Path(path), leave_out, cell is not None)
    if not source.has("exchange"):
        raise InputError(f"{source.path}: the keyword 'exchange' is missing")
    sign = _sign_of(version) if dmi_sign is None else dmi_sign
    if sign not in (-1, 1):
        raise InputError(f"dmi_sign must be -1 or 1, got {dmi_sign!r}")
    lattice, periodic = _lattice(source, cell, scaled_positions)
    reduced = source.on("aunits")
    known = not reduced and (cell is not None or source.has("alat"))
    length = 1e10 * source.real("alat", 1.0) if known and cell is None else 1.0
    atoms = Atoms("Fe" * len(lattice.types), positions=length * lattice.positions, cell=length * lattice.cell, pbc=periodic)
    atoms.set_initial_magnetic_moments(_moments(source, len(lattice.types)))
    if reduced:
        set_units(atoms, "reduced")
    table = _table(source, lattice, atoms, sign, 1.0 if reduced else _MILLIRYDBERG)
    products = ring_table(source, lattice, atoms, 1.0 if reduced else _MILLIRYDBERG)
    return UppasdModel(table, atoms, applied_field(source), has_dipoles(source, periodic, known), products)


def read_uppasd(
    path: str | Path,
    dmi_sign: int | None = None,
    *,
    version: str = "6.1",
    cell: ArrayLike | None = None,
    scaled_positions: bool | None = None,
    leave_out: Collection[str] = (),
) -> tuple[BondTable, Atoms]:
    """Table and sites of :func:`read_uppasd_model`, for inputs without an applied field, dipoles and ring exchange.

    Parameters
    ----------
    path, dmi_sign, version, cell, scaled_positions, leave_out
        As there.

    Returns
    -------
    BondTable, Atoms
        Couplings with anisotropies, and the sites.

    Raises
    ------
    InputError
        As there, and for a field, dipoles or ring exchange, which are in no table of bonds.
    """
    model = read_uppasd_model(
        path, dmi_sign, version=version, cell=cell, scaled_positions=scaled_positions, leave_out=leave_out
    )
    others = {"hfield": model.field is not None, "do_dip": model.dipoles, "ring": model.products is not None}
    for key, there in others.items():
        if there:
            raise InputError(
                f"{path}: {key} is in no table of bonds: uppasd_calculator and read_uppasd_model read it, "
                f"leave_out=[{key!r}] reads the rest"
            )
    return model.table, model.atoms


def _table(source: UppasdInput, lattice: Lattice, atoms: Atoms, sign: int, unit: float) -> BondTable:
    """Couplings and anisotropies, `unit` times the file's energies."""
    bonds, constant = _couplings(source, lattice, sign)
    bonds = DirectedBonds(bonds.first, bonds.second, bonds.shifts, unit * bonds.tensors, bonds.lines)
    onsite, cubic = anisotropies(source, len(atoms))
    table = bond_table(source.path, atoms, bonds, 1.0, unit * (constant + onsite))
    squares = bond_table(source.path, atoms, _biquadratic(source, lattice, unit), 1.0)
    return replace(with_biquadratic(table, squares), cubic=unit * cubic)


def _sign_of(version: str) -> int:
    try:
        parts = tuple(int(word) for word in version.split(".")[:2])
    except ValueError:
        raise InputError(f"version: {version!r} is no version of UppASD such as '6.1'") from None
    return -1 if parts >= _FIRST_MINUS else 1


def _lattice(source: UppasdInput, cell: ArrayLike | None, scaled: bool | None) -> tuple[Lattice, list[bool]]:
    """Sites and cell, lattice constants (Angstrom if the cell is given), and the periodic directions."""
    if not source.has("cell") and cell is None:
        raise InputError(f"{source.path}: the keyword 'cell' is missing; give cell=... (Angstrom)")
    vectors = np.array(source.entries["cell"].reals(0, 9) if cell is None else cell, dtype=np.float64).reshape(-1)
    if vectors.shape != (9,) or not np.isfinite(vectors).all():
        raise InputError(f"cell must be three vectors of three finite numbers, got {cell!r}")
    vectors = source.real("scalefac", 1.0) * vectors.reshape(3, 3)
    kind = source.word("posfiletype", "C").upper()
    if kind not in ("C", "D"):
        raise InputError(f"{source.where('posfiletype')}: C (Cartesian) or D (direct), got {kind!r}")
    boundaries = [word.upper() for word in source.entries["bc"].words[:3]] if source.has("bc") else ["0"] * 3
    if len(boundaries) != 3 or set(boundaries) - {"P", "0"}:
        raise InputError(f"{source.where('bc')}: three of P (periodic) and 0 (vacuum), got {boundaries}")
    places, types = _sites(source)
    raw = places @ vectors if (kind == "D" if scaled is None else scaled) else places
    periodic = [word == "P" for word in boundaries]
    vectors = _with_volume(source, vectors, raw, periodic)
    inside = raw @ np.linalg.inv(vectors)
    return Lattice(raw - np.floor(inside + 1e-5) @ vectors, raw, vectors, types, kind == "D"), periodic


def _with_volume(source: UppasdInput, cell: FloatArray, sites: FloatArray, periodic: list[bool]) -> FloatArray:
    """The cell, or a box around the sites of a finite magnet without one."""
    if abs(np.linalg.det(cell)) > 1e-12:
        return cell
    if any(periodic) or cell.any():
        raise InputError(f"{source.where('cell')}: the cell {cell.tolist()} has no volume")
    return np.diag(np.ptp(sites, axis=0) + 1e3)


def _sites(source: UppasdInput) -> tuple[FloatArray, IntArray]:
    """Positions as written and types, by number of the site."""
    rows = source.rows("posfile", "posfile")
    numbers = [row.wholes(0, 1)[0] for row in rows]
    if sorted(numbers) != list(range(1, len(rows) + 1)) or not rows:
        raise InputError(f"{source.where('posfile')}: sites must be numbered 1, 2, ..., each once, got {numbers[:8]} ...")
    order = np.argsort(numbers)
    types = np.array([row.wholes(1, 2)[0] for row in rows], dtype=np.int64)[order]
    for key, have in (("natoms", len(rows)), ("ntypes", int(types.max()))):
        if source.has(key) and source.whole(key, 0) != have:
            raise InputError(f"{source.where(key)}: {source.whole(key, 0)} are announced, the posfile has {have}")
    return np.array([row.reals(2, 5) for row in rows])[order], types


def _moments(source: UppasdInput, count: int) -> FloatArray:
    """Moments (n, 3), mu_B; 1 mu_B along z without a momfile."""
    if not source.has("momfile"):
        return np.tile([0.0, 0.0, 1.0], (count, 1))
    rows = source.rows("momfile")
    moments = np.full((count, 3), np.nan)
    for row in rows:
        site, chemistry = row.wholes(0, 2)
        if not 1 <= site <= count or chemistry != 1:
            raise InputError(f"{row}: site {site}, species {chemistry}; the posfile has {count} sites of one species each")
        length, *axis = row.reals(2, 6)
        norm = float(np.linalg.norm(axis))
        if length and not norm:
            raise InputError(f"{row}: a moment of length {length} needs a direction")
        moments[site - 1] = length * np.array(axis) / (norm or 1.0)
    missing = np.flatnonzero(np.isnan(moments[:, 0]))
    if len(missing):
        raise InputError(
            f"{source.where('momfile')}: site {missing[0] + 1} has no moment ({len(rows)} lines, {count} sites)"
        )
    return moments


def _couplings(source: UppasdInput, lattice: Lattice, sign: int) -> tuple[DirectedBonds, FloatArray]:
    """Bonds between sites, and what lines without a vector say of a site, in the file's energies."""
    full = source.whole("do_jtensor", 0)
    if full not in (0, 1) or (full and source.has("dm")):
        raise InputError(
            f"{source.where('do_jtensor')}: 0, or 1 without dm, is understood (UppASD's energy leaves dm out there)"
        )
    nine = full == 1 and not source.on("calc_jtensor", "T")
    sym = source.whole("sym", 0)
    if sym not in (0, 1, 2, 3):
        raise InputError(
            f"{source.where('sym')}: 0, 1, 2 and 3 are understood (4 and 5 need a file of operations), got {sym}"
        )
    rows = _listed(source, "exchange", 9 if nine else 1)
    scale = 1.0 if full else source.real("jij_scale", 1.0)
    values = scale * rows[2].reshape(-1, 3, 3) if nine else scale * isotropic_tensor(rows[2][:, 0])
    parts = [_bonds(source, lattice, "exchange", rows, values, sym, by_partner=not full)]
    builders = {"dm": -sign * odd_tensor(np.eye(3)), "sa": np.abs(odd_tensor(np.eye(3))), "pd": np.eye(9).reshape(9, 3, 3)}
    for key, basis in builders.items():
        if source.has(key):
            rows = _listed(source, key, len(basis))
            values = source.real(f"{key}_scale", 1.0) * np.einsum("bk,kxy->bxy", rows[2], basis)
            parts.append(_bonds(source, lattice, key, rows, values, 0, by_partner=False))
    keys = np.concatenate([part.keys for part in parts])
    tensors, lines = (np.concatenate([getattr(part, name) for part in parts]) for name in ("tensors", "lines"))
    itself = (keys[:, 0] == keys[:, 1]) & ~keys[:, 2:].any(axis=1)
    constant = np.zeros((len(lattice.types), 3, 3))
    np.add.at(constant, keys[itself, 0], 0.5 * (tensors[itself] + tensors[itself].transpose(0, 2, 1)))
    return DirectedBonds.of(keys[~itself], tensors[~itself], lines[~itself]), constant


def _biquadratic(source: UppasdInput, lattice: Lattice, unit: float) -> DirectedBonds:
    """Couplings B of the bq file, as isotropic tensors, `unit` times the file's energies."""
    if not source.has("bq"):
        return DirectedBonds.of([], [], [])
    rows = _listed(source, "bq", 1)
    for k in np.flatnonzero(lattice.types[rows[1][:, 1]] != 1)[:1]:
        raise InputError(
            f"{rows[0][k]}: a biquadratic coupling to a site of type {lattice.types[rows[1][k, 1]]}: UppASD keeps those to "
            "sites of type 1 only (it writes others beyond the end of its table)"
        )
    return _bonds(
        source, lattice, "bq", rows, unit * isotropic_tensor(rows[2][:, 0]), source.whole("sym", 0), by_partner=False
    )


def _listed(source: UppasdInput, key: str, count: int) -> tuple[list[Line], IntArray, FloatArray, FloatArray]:
    """Lines of a coupling file: rows, pairs of sites (from 0), `count` numbers each, vectors."""
    rows = source.rows(key)
    if rows and len(rows[0].words) == 2:  # TB2J writes the number of lines first
        if rows[0].wholes(0, 1)[0] != len(rows) - 1:
            raise InputError(f"{rows[0]}: {rows[0].words[0]} lines are announced, {len(rows) - 1} follow")
        rows = rows[1:]
    sites = len(source.rows("posfile", "posfile"))
    pairs = np.array([row.wholes(0, 2) for row in rows], dtype=np.int64).reshape(-1, 2)
    for k in np.flatnonzero(((pairs < 1) | (pairs > sites)).any(axis=1))[:1]:
        raise InputError(
            f"{rows[k]}: a bond from site {pairs[k, 0]} to site {pairs[k, 1]}; the posfile has sites 1 to {sites}"
        )
    numbers = np.array([row.reals(2, 5 + count) for row in rows]).reshape(-1, 3 + count)
    if count < 9 and any(len(row.words) == 14 for row in rows):
        warnings.warn(
            f"{rows[0].path}: lines have nine numbers, UppASD reads {count} of them (all: do_jtensor 1, calc_jtensor F)",
            AccuracyWarning,
            stacklevel=5,
        )
    return rows, pairs - 1, numbers[:, 3:], numbers[:, :3]


def _bonds(
    source: UppasdInput,
    lattice: Lattice,
    key: str,
    listed: tuple[list[Line], IntArray, FloatArray, FloatArray],
    tensors: FloatArray,
    sym: int,
    by_partner: bool,
) -> DirectedBonds:
    """Bonds of one coupling file."""
    maptype, keep = source.whole("maptype", 1), source.on("map_multiple", "F")
    if maptype not in (1, 2, 3):
        raise InputError(f"{source.where('maptype')}: 1, 2 and 3 are understood, got {maptype}")
    if key == "bq":  # its vectors are not turned into those of the cell
        lattice, maptype = replace(lattice, direct=False), 2 if maptype == 2 else 1
    rows, pairs, _, vectors = listed
    shells = shells_of(lattice, maptype, rows, pairs, vectors, tensors, keep and not by_partner and key == "exchange")
    bonds, empty = bonds_of(lattice, shells, operations_of(sym), by_partner, keep)
    if len(empty):
        warnings.warn(
            f"{rows[0].path}: {len(empty)} lines join no two sites and are left out, as in UppASD; first: line {empty[0]}",
            AccuracyWarning,
            stacklevel=5,
        )
    return bonds


__all__ = ["UppasdModel", "read_uppasd", "read_uppasd_model"]
