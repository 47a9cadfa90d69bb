"""What a magnet stores on ASE atoms: moments, unit system, reference lengths and g factors, by plain functions.

========================  ================================  =====================================================
what                      where                             second witness
========================  ================================  =====================================================
moments m_i               ``arrays["initial_magmoms"]``     none needed: ASE copies, slices, repeats and stores it
unit system               ``info["units"]``                 ``arrays["reduced_units"]``: True on every site
reference lengths         ``arrays["reference_moments"]``   ``info["reference_moments"] = "by site"``
g factors                 ``arrays["g_factors"]``, 0: 2     ``info["g_factor"]``: number, table by species or "by site"
========================  ================================  =====================================================

Some operations of ASE drop ``info`` (``make_supercell``, ``Atoms() + a``), others all arrays but its own (``Atoms(a)``,
``.traj``); the second witness is in the other place, so that what was lost is found again, or its loss is noticed.  ASE's
json files and databases drop both (``spinase.io.database.write_magnet`` keeps them).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers
from numpy.typing import ArrayLike

from spinase.errors import InvalidMomentsError, UnitMismatchError
from spinase.spin_algebra import as_vectors, directions, normalized
from spinase.typing import Array, BoolArray, FloatArray
from spinase.units import G_FACTOR, UnitSystem, unit_system

MOMENTS = "initial_magmoms"
REFERENCE = "reference_moments"
G_ARRAY, G_INFO = "g_factors", "g_factor"
UNITS, REDUCED_MARK = "units", "reduced_units"
BY_SITE = "by site"
_MOMENT_COLUMNS = ("magmoms", "magmom", "magnetic_moments", "moments", "REF_magmom", "REF_magmoms", "dft_magmom")
_DIRECTION_COLUMNS = ("spins", "spin", "REF_spins")


# -- unit system ------------------------------------------------------------------------------------------------------


def get_units(atoms: Atoms) -> UnitSystem:
    """Unit system of the atoms (``atoms.info["units"]``, or the marks of their sites; with neither: metal).

    Raises
    ------
    UnitMismatchError
        If sites of different unit systems have been put together, or the two witnesses disagree.
    """
    declared, marks = atoms.info.get(UNITS), atoms.arrays.get(REDUCED_MARK)
    if marks is None or len(marks) == 0:
        return unit_system("metal" if declared is None else declared)
    reduced = np.asarray(marks, dtype=bool)
    count = np.count_nonzero(reduced)
    if 0 < count < len(reduced):
        site = int(np.flatnonzero(~reduced)[0])
        raise UnitMismatchError(
            f"atoms in reduced and in metal units have been put together (site {site} is the first that is not marked as "
            'reduced): convert one of them first (spinase.atoms.convert_units), or say set_units(atoms, "reduced") if all '
            "numbers are in reduced units"
        )
    found = "reduced" if count else "metal"
    if declared is not None and unit_system(declared).name != found:
        raise UnitMismatchError(
            f'info["units"] says {unit_system(declared).name} but the sites are marked as {found}: set the unit system with '
            "spinase.atoms.set_units (or atoms.units = ... of SpinAtoms), not in info"
        )
    return unit_system(found)


def set_units(atoms: Atoms, units: str | UnitSystem) -> None:
    """Declare the unit system of the atoms; no number is converted.

    Parameters
    ----------
    atoms : Atoms
        Changed in place.
    units : str or UnitSystem
        ``"metal"`` or ``"reduced"``.
    """
    name = unit_system(units).name
    atoms.info[UNITS] = name
    atoms.arrays.pop(REDUCED_MARK, None)
    if name == "reduced":
        atoms.new_array(REDUCED_MARK, np.ones(len(atoms), dtype=bool))


def units_declared(atoms: Atoms) -> bool:
    """Whether the atoms say anything about their unit system."""
    return UNITS in atoms.info or REDUCED_MARK in atoms.arrays


# -- moments ----------------------------------------------------------------------------------------------------------


def has_moments(atoms: Atoms) -> bool:
    """Whether any site carries a magnetic moment."""
    return MOMENTS in atoms.arrays and bool(np.any(atoms.arrays[MOMENTS]))


def get_moments(atoms: Atoms) -> FloatArray:
    """Vector moments m_i, shape (N, 3), mu_B or |m|; a new array (collinear scalars are read as (0, 0, m)).

    Raises
    ------
    InvalidMomentsError
        If the stored moments have a wrong shape or are not finite.
    """
    stored = atoms.arrays.get(MOMENTS)
    if stored is None:
        return np.zeros((len(atoms), 3))
    if stored.shape == (len(atoms),):
        moments = np.zeros((len(atoms), 3))
        moments[:, 2] = stored
        stored = moments
    return as_vectors(stored, len(atoms), "moments")


def set_moments(atoms: Atoms, moments: ArrayLike) -> None:
    """Set vector moments, shape (N, 3) or (3,) for all sites, mu_B or |m|; a zero row is a non-magnetic site.

    Parameters
    ----------
    atoms : Atoms
        Changed in place.
    moments : (N, 3) or (3,) array_like
        mu_B or |m|.

    Raises
    ------
    InvalidMomentsError
        On a wrong shape or a value that is not finite.
    """
    write_moments(atoms, as_vectors(moments, len(atoms), "moments"))


def write_moments(atoms: Atoms, moments: FloatArray) -> None:
    """Write moments known to be (N, 3), float64 and finite, in place where the atoms have such an array.

    Files may bring integers (extended XYZ ``I:3``) or single precision: writing into those would cut every digit off.

    Parameters
    ----------
    atoms : Atoms
        Changed in place.
    moments : (N, 3) ndarray
        mu_B or |m|.
    """
    stored = atoms.arrays.get(MOMENTS)
    if stored is not None and stored.shape == moments.shape and stored.dtype == np.float64 and stored.flags.writeable:
        stored[...] = moments
        return
    atoms.arrays.pop(MOMENTS, None)
    atoms.new_array(MOMENTS, moments, float, (3,))


def copy_moments(atoms: Atoms) -> FloatArray:
    """Moments (N, 3) as :func:`get_moments` gives them, but where they are stored as such without looking at each number."""
    stored = atoms.arrays.get(MOMENTS)
    if stored is not None and stored.ndim == 2 and stored.dtype == np.float64:
        return np.array(stored)
    return get_moments(atoms)


def get_spins(atoms: Atoms) -> FloatArray:
    """Unit vectors s_i along the moments, shape (N, 3), a new array; zero rows where a site is non-magnetic."""
    return directions(get_moments(atoms))[0]


def set_spins(atoms: Atoms, spins: ArrayLike) -> None:
    """Set the directions of the moments, keeping their lengths; `spins` is (N, 3) or (3,) and is normalized.

    Atoms without any moment get length 1 (mu_B or |m|) everywhere.  On atoms with moments, rows of non-magnetic
    sites must be zero.

    Parameters
    ----------
    atoms : Atoms
        Changed in place.
    spins : (N, 3) or (3,) array_like
        Directions.

    Raises
    ------
    InvalidMomentsError
        On a wrong shape, a value that is not finite, a zero-length spin on a magnetic site, or a spin on a
        non-magnetic one.
    """
    values = as_vectors(spins, len(atoms), "spins")
    if not has_moments(atoms):
        set_moments(atoms, normalized(values))
        return
    lengths = np.linalg.norm(get_moments(atoms), axis=1)
    magnetic = lengths > 0.0
    if np.ndim(spins) == 2:
        stray = np.flatnonzero(~magnetic & values.any(axis=1))
        if len(stray):
            raise InvalidMomentsError(
                f"site {stray[0]} is non-magnetic (zero moment) but a spin {values[stray[0]]} was given for it: "
                "give a zero row there, or set a moment with set_moments"
            )
    values[~magnetic] = [0.0, 0.0, 1.0]
    set_moments(atoms, normalized(values) * lengths[:, None])


def magnetic_sites(atoms: Atoms) -> BoolArray:
    """Mask of the sites with a non-zero moment, shape (N,)."""
    mask: BoolArray = np.linalg.norm(get_moments(atoms), axis=1) > 0.0
    return mask


# -- moments of files under other names -------------------------------------------------------------------------------


def stored_columns(atoms: Atoms) -> dict[str, Array]:
    """Per-site arrays of the atoms besides ASE's own, and stored results: name -> (N, ...)."""
    calc = atoms.calc
    results = calc.results if isinstance(calc, SinglePointCalculator) else {}
    own = {"numbers", "positions", MOMENTS, REFERENCE, G_ARRAY, REDUCED_MARK, "masses", "tags", "momenta", "initial_charges"}
    found = {name: np.asarray(value) for name, value in {**results, **atoms.arrays}.items() if name not in own}
    return {name: value for name, value in found.items() if value.ndim and len(value) == len(atoms)}


def moments_from_columns(atoms: Atoms) -> FloatArray | None:
    """Moments (N, 3) that a file gave under another name (``magmoms``, ``REF_magmom``, ..., ``spins``), or None.

    A column ``spins`` must hold unit vectors.  ASE reads a column ``magmoms`` of extended XYZ as the result of a
    calculation, not as the moments of the atoms.

    Raises
    ------
    InvalidMomentsError
        If several columns differ, or one of directions holds vectors that are not of unit length.
    """
    columns = stored_columns(atoms)
    found = {name: _as_moments(columns[name], len(atoms)) for name in _MOMENT_COLUMNS if name in columns}
    moments = {name: value for name, value in found.items() if value is not None and value.any()}
    if moments:
        first, *others = moments
        for name in others:
            if not np.array_equal(moments[first], moments[name]):
                raise InvalidMomentsError(
                    f"the columns {first} and {name} both look like moments and differ: say which, "
                    f'as in SpinAtoms(atoms, moments=atoms.arrays["{name}"])'
                )
        return moments[first]
    directions = {name: _as_moments(columns[name], len(atoms)) for name in _DIRECTION_COLUMNS if name in columns}
    for name, rows in directions.items():
        if rows is None or not rows.any():
            continue
        lengths = np.linalg.norm(rows, axis=1)
        wrong = np.flatnonzero((lengths > 0.0) & (np.abs(lengths - 1.0) > 1e-5))
        if len(wrong):
            raise InvalidMomentsError(
                f"the column {name} has a vector of length {lengths[wrong[0]]:.6g} at site {wrong[0]}: if these are "
                f'moments, say SpinAtoms(atoms, moments=atoms.arrays["{name}"])'
            )
        return rows
    return None


def _as_moments(values: Array, sites: int) -> FloatArray | None:
    """Vectors (N, 3) from vectors or collinear scalars; None if they are neither."""
    if values.dtype.kind not in "iuf" or values.shape not in ((sites, 3), (sites,), (sites, 1)):
        return None
    if values.shape == (sites, 3):
        return as_vectors(values, sites, "moments")
    moments = np.zeros((sites, 3))
    moments[:, 2] = values.reshape(sites)
    return as_vectors(moments, sites, "moments")


def describe_columns(atoms: Atoms) -> str:
    """What per-site columns there are besides positions and species, for messages about missing moments."""
    columns = stored_columns(atoms)
    if not columns:
        return "there are no other columns"
    shown = ", ".join(f"{name} {value.shape[1:] or ''}".strip() for name, value in sorted(columns.items()))
    return f"the other columns are: {shown}"


# -- reference lengths ------------------------------------------------------------------------------------------------


def get_reference_lengths(atoms: Atoms) -> FloatArray | None:
    """Lengths (N,) in which spins m/|m_ref| are measured when moments change their length; None: their own lengths.

    Sites added since by ASE (``+=``) have none: their own length counts.

    Raises
    ------
    InvalidMomentsError
        If the atoms had reference lengths which an operation of ASE has dropped.
    """
    stored = atoms.arrays.get(REFERENCE)
    if stored is None:
        if REFERENCE in atoms.info:
            raise InvalidMomentsError(
                "the reference lengths of these free-length moments were lost (ASE's Atoms(atoms) and .traj drop arrays "
                "they do not know; SpinAtoms(atoms), run files, pickles and spinase.io.database keep them): set them again "
                "with spinase.atoms.set_reference_lengths(atoms, lengths), or fix the present lengths with "
                "set_reference_lengths(atoms, None)"
            )
        return None
    lengths = np.array(stored, dtype=np.float64)
    if not lengths.all():
        lengths = np.where(lengths > 0.0, lengths, np.linalg.norm(get_moments(atoms), axis=1))
    return lengths


def set_reference_lengths(atoms: Atoms, lengths: ArrayLike | None) -> None:
    """Set the reference lengths (N,) of free-length dynamics, or take them away (None).

    Calculators then see spins m/|m_ref| that are not unit vectors, and their energies depend on the lengths.

    Parameters
    ----------
    atoms : Atoms
        Changed in place.
    lengths : (N,) array_like or None
        mu_B or |m|.

    Raises
    ------
    InvalidMomentsError
        On lengths that are not finite and positive where there is a moment.
    """
    if lengths is None:
        atoms.arrays.pop(REFERENCE, None)
        atoms.info.pop(REFERENCE, None)
        return
    values = np.array(lengths, dtype=np.float64)
    if values.shape != (len(atoms),) or not np.isfinite(values).all() or np.any(values[magnetic_sites(atoms)] <= 0.0):
        raise InvalidMomentsError(f"reference lengths must be finite, positive where there is a moment, got {lengths!r}")
    atoms.arrays.pop(REFERENCE, None)
    atoms.new_array(REFERENCE, values)
    atoms.info[REFERENCE] = BY_SITE


# -- g factors --------------------------------------------------------------------------------------------------------


def get_g_factors(atoms: Atoms) -> FloatArray:
    """Spectroscopic splitting factors g_i, (N,): gamma_i = g_i mu_B/hbar (reduced units: g_i/2); where none is set: 2.

    Raises
    ------
    InvalidMomentsError
        If they were set site by site and an operation of ASE has dropped them.
    """
    stored = atoms.arrays.get(G_ARRAY)
    if stored is not None:
        values = np.array(stored, dtype=np.float64)
        return np.where(values == 0.0, G_FACTOR, values)
    declared = atoms.info.get(G_INFO)
    if declared is None:
        return np.full(len(atoms), G_FACTOR)
    if declared == BY_SITE:
        raise InvalidMomentsError(
            "the g factors of the sites were lost (ASE's Atoms(atoms) and .traj drop arrays they do not know; "
            "SpinAtoms(atoms), run files, pickles and spinase.io.database keep them): set them again with "
            "spinase.atoms.set_g_factors(atoms, ...)"
        )
    return _g_values(atoms, declared)


def set_g_factors(atoms: Atoms, g: float | Mapping[str, float] | ArrayLike | None) -> None:
    """Set the g factors: one number, a table by species ``{"Fe": 2.09}`` (others: 2), or one a site (N,); None: 2.

    They enter equations of motion, thermal fields and spin waves as gamma_i = g_i mu_B/hbar, not the energies: those are
    functions of the moments.  A free electron has 2.00232, which UppASD, Vampire and Spirit use (28.025 GHz/T; g = 2:
    27.992).

    Parameters
    ----------
    atoms : Atoms
        Changed in place.
    g : float, mapping of str to float, (N,) array_like or None
        Dimensionless, positive.

    Raises
    ------
    InvalidMomentsError
        On values that are not finite and positive, a wrong shape, or a species that is not there.
    """
    if g is None:
        atoms.arrays.pop(G_ARRAY, None)
        atoms.info.pop(G_INFO, None)
        return
    values = _g_values(atoms, g)
    absent = [symbol for symbol in g if atomic_numbers[symbol] not in atoms.numbers] if isinstance(g, Mapping) else []
    if absent:
        raise InvalidMomentsError(f"g factors: there is no {absent[0]} among the atoms ({atoms.get_chemical_formula()})")
    atoms.arrays.pop(G_ARRAY, None)
    atoms.new_array(G_ARRAY, values)
    if isinstance(g, Mapping):
        atoms.info[G_INFO] = {symbol: float(value) for symbol, value in g.items()}
    else:
        atoms.info[G_INFO] = float(np.asarray(g)) if np.ndim(g) == 0 else BY_SITE


def _g_values(atoms: Atoms, g: float | Mapping[str, float] | ArrayLike) -> FloatArray:
    values = np.full(len(atoms), G_FACTOR)
    try:
        if isinstance(g, Mapping):
            unknown = [symbol for symbol in g if symbol not in atomic_numbers]
            if unknown:
                raise InvalidMomentsError(f"g factors: {unknown[0]!r} is no chemical symbol")
            for symbol, value in g.items():
                values[atoms.numbers == atomic_numbers[symbol]] = value
            given = np.array(list(g.values()), dtype=np.float64)
        else:
            given = np.array(g, dtype=np.float64)
            if given.shape not in ((), (len(atoms),)):
                raise InvalidMomentsError(
                    f"g factors: one number, a table by species or {len(atoms)} numbers, got shape {given.shape}"
                )
            values[:] = given
    except (TypeError, ValueError) as error:
        raise InvalidMomentsError(f"g factors must be numbers, got {g!r} ({error})") from None
    if not (np.isfinite(given) & (given > 0.0)).all():
        raise InvalidMomentsError(f"g factors must be finite and positive, got {g!r}")
    return values


def gyromagnetic_ratios(atoms: Atoms) -> FloatArray:
    """gamma_i = g_i mu_B/hbar in the atoms' units, (N,), 1/(time energy/moment); g_i/2 in reduced units."""
    return get_units(atoms).gyromagnetic_ratio * (get_g_factors(atoms) / G_FACTOR)
