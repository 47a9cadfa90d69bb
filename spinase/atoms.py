"""Spins on ASE atoms: plain functions that work on any ``Atoms``, and :class:`SpinAtoms` built from them.

The vector moments of a magnet live in one place, ``atoms.arrays["initial_magmoms"]``, shape (N, 3), float64:
m_i = mu_i s_i, Cartesian, s_i a unit vector along the MOMENT, in mu_B (``metal``) or in units of |m| (``reduced``).
A zero row is a non-magnetic site.  The unit system is ``atoms.info["units"]`` (absent: ``metal``).

ASE may hold collinear scalars in the same array (``bulk("Fe")`` does): they are read as (0, 0, m).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.build import surface as ase_surface
from numpy.typing import ArrayLike, NDArray

from spinase import lattices, textures
from spinase.errors import InvalidMomentsError, UnitMismatchError
from spinase.geometry import Geometry
from spinase.spin_algebra import as_vectors, normalized, rotation_matrix
from spinase.units import UnitSystem, unit_system

FloatArray = NDArray[np.float64]
_ARRAY = "initial_magmoms"
_REFERENCE = "reference_moments"
_UNITS = "units"


def get_units(atoms: Atoms) -> UnitSystem:
    """Unit system of the atoms (``atoms.info["units"]``; absent means metal)."""
    return unit_system(atoms.info.get(_UNITS, "metal"))


def set_units(atoms: Atoms, units: str | UnitSystem) -> None:
    """Declare the unit system of the atoms; no number is converted."""
    atoms.info[_UNITS] = unit_system(units).name


def has_moments(atoms: Atoms) -> bool:
    """Whether any site carries a magnetic moment."""
    return _ARRAY in atoms.arrays and bool(np.any(atoms.arrays[_ARRAY]))


def get_moments(atoms: Atoms) -> FloatArray:
    """Vector moments m_i, shape (N, 3), mu_B or |m|; a new array (collinear scalars are read as (0, 0, m)).

    Raises
    ------
    InvalidMomentsError
        If the stored moments have a wrong shape or are not finite.
    """
    stored = atoms.arrays.get(_ARRAY)
    if stored is None:
        return np.zeros((len(atoms), 3))
    if stored.shape == (len(atoms),):
        moments = np.zeros((len(atoms), 3))
        moments[:, 2] = stored
        stored = moments
    return as_vectors(stored, len(atoms), "moments")


def set_moments(atoms: Atoms, moments: ArrayLike) -> None:
    """Set vector moments, shape (N, 3) or (3,) for all sites, mu_B or |m|; a zero row is a non-magnetic site.

    Raises
    ------
    InvalidMomentsError
        On a wrong shape or a value that is not finite.
    """
    values = as_vectors(moments, len(atoms), "moments")
    stored = atoms.arrays.get(_ARRAY)
    if stored is not None and stored.shape == values.shape and stored.dtype == values.dtype:
        stored[...] = values
        return
    atoms.arrays.pop(_ARRAY, None)
    atoms.new_array(_ARRAY, values, float, (3,))


def get_spins(atoms: Atoms) -> FloatArray:
    """Unit vectors s_i along the moments, shape (N, 3), a new array; zero rows where a site is non-magnetic."""
    moments = get_moments(atoms)
    lengths = np.linalg.norm(moments, axis=1)
    return moments / np.where(lengths > 0.0, lengths, 1.0)[:, None]


def get_reference_lengths(atoms: Atoms) -> FloatArray | None:
    """Lengths (N,) in which spins m/|m_ref| are measured when moments change their length; None: their own lengths."""
    stored = atoms.arrays.get(_REFERENCE)
    return None if stored is None else np.array(stored, dtype=np.float64)


def set_reference_lengths(atoms: Atoms, lengths: ArrayLike | None) -> None:
    """Set the reference lengths (N,) of free-length dynamics, or take them away (None).

    Calculators then see spins m/|m_ref| that are not unit vectors, and their energies depend on the lengths.

    Raises
    ------
    InvalidMomentsError
        On lengths that are not finite and positive where there is a moment.
    """
    atoms.arrays.pop(_REFERENCE, None)
    if lengths is not None:
        values = np.asarray(lengths, dtype=np.float64)
        if values.shape != (len(atoms),) or not np.isfinite(values).all() or np.any(values[magnetic_sites(atoms)] <= 0.0):
            raise InvalidMomentsError(f"reference lengths must be finite, positive where there is a moment, got {lengths!r}")
        atoms.new_array(_REFERENCE, values)


def set_spins(atoms: Atoms, spins: ArrayLike) -> None:
    """Set the directions of the moments, keeping their lengths; `spins` is (N, 3) or (3,) and is normalized.

    Atoms without any moment get length 1 (mu_B or |m|) everywhere.  On atoms with moments, rows of non-magnetic
    sites must be zero.

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


def magnetic_sites(atoms: Atoms) -> NDArray[np.bool_]:
    """Mask of the sites with a non-zero moment, shape (N,)."""
    mask: NDArray[np.bool_] = np.linalg.norm(get_moments(atoms), axis=1) > 0.0
    return mask


def rotate_spins(atoms: Atoms, axis: ArrayLike, angle: float) -> None:
    """Rotate every moment by `angle` (radian, right-handed) about `axis`; positions stay."""
    set_moments(atoms, get_moments(atoms) @ rotation_matrix(axis, angle).T)


def rotate_with_moments(atoms: Atoms, a: Any, v: Any = None, center: Any = (0, 0, 0), rotate_cell: bool = False) -> None:
    """ASE's ``atoms.rotate(a, v, center, rotate_cell)`` that turns the moments too (ASE itself leaves them behind)."""
    frame = Atoms("H3", positions=np.eye(3))
    frame.rotate(a, v)
    moments = get_moments(atoms)
    Atoms.rotate(atoms, a, v, center=center, rotate_cell=rotate_cell)
    if has_moments(atoms):
        set_moments(atoms, moments @ frame.positions)


def surface(bulk: Atoms, indices: tuple[int, int, int], layers: int, vacuum: float | None = None, **options: Any) -> Atoms:
    """``ase.build.surface`` that turns the moments with the crystal (ASE rotates the cell and leaves them behind).

    Raises
    ------
    InvalidMomentsError
        If the rotation cannot be read off the cut (a cell so flat that the probe does not fit).
    """
    slab = ase_surface(bulk, indices, layers, vacuum=vacuum, **options)
    if has_moments(bulk):
        moments = get_moments(slab) @ _cut_rotation(bulk, indices).T
        slab.arrays.pop(_ARRAY, None)
        set_moments(slab, moments)
    return slab


def _cut_rotation(bulk: Atoms, indices: tuple[int, int, int]) -> FloatArray:
    """Rotation R (3, 3) of ASE's surface cut, read off a probe: a site and three close by along x, y and z.

    For some indices, such as (-1, 1, 0), ASE's cut mirrors the crystal; moments are axial vectors, so R is then -1 times
    the reflection.
    """
    small = 1e-3 * float(np.abs(bulk.cell.array).max())
    for corner in (0.31, 0.17, 0.43, 0.59, 0.71):  # elsewhere if the cut happens to go between the four sites
        centre = np.array([corner, 1.37 * corner % 1.0, 1.73 * corner % 1.0]) @ bulk.cell.array
        sites = np.vstack([centre, centre + small * np.eye(3)])
        probe = ase_surface(Atoms("HHeLiBe", positions=sites, cell=bulk.cell, pbc=True), indices, 1)
        turn = ((probe.positions[1:] - probe.positions[0]) / small).T
        if np.allclose(turn.T @ turn, np.eye(3), atol=1e-8):
            left, _, right = np.linalg.svd(turn)
            return np.asarray(left @ right * np.sign(np.linalg.det(turn)))
    raise InvalidMomentsError(f"cannot read the rotation of surface {indices} off this cell: rotate the moments by hand")


def geometry_of(atoms: Atoms) -> Geometry:
    """Positions, cell, pbc and numbers of the atoms as plain arrays (copies)."""
    return Geometry(
        positions=atoms.positions.copy(),
        cell=atoms.cell.array.copy(),
        pbc=atoms.pbc.copy(),
        numbers=atoms.numbers.astype(np.int64),
    )


def _read_only(array: FloatArray) -> FloatArray:
    array.setflags(write=False)
    return array


class SpinAtoms(Atoms):
    """ASE ``Atoms`` whose moments are easy to reach: ``atoms.spins``, ``atoms.moments``, ``atoms.units``.

    Everything it knows is stored where plain ASE stores it (``initial_magmoms`` and ``info``), so converting to and
    from plain ``Atoms`` loses nothing.

    Parameters
    ----------
    *args, **kwargs
        As for ``ase.Atoms``; an ``Atoms`` object is copied.
    moments : array (N, 3) or (3,), optional
        Vector moments, mu_B or |m|.
    spins : array (N, 3) or (3,), optional
        Directions; lengths are those of the moments present, else 1.
    units : str, optional
        ``"metal"`` or ``"reduced"``; default: what the copied atoms say, else metal.
    """

    def __init__(
        self,
        *args: Any,
        moments: ArrayLike | None = None,
        spins: ArrayLike | None = None,
        units: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if units is not None:
            set_units(self, units)
        get_units(self)
        stored = self.arrays.get(_ARRAY)
        if stored is not None and stored.ndim == 1:
            set_moments(self, get_moments(self))
        if moments is not None:
            set_moments(self, moments)
        if spins is not None:
            set_spins(self, spins)

    @property
    def moments(self) -> FloatArray:
        """Vector moments m_i, (N, 3), mu_B or |m|.  Read-only: assign the whole array to change it."""
        return _read_only(get_moments(self))

    @moments.setter
    def moments(self, values: ArrayLike) -> None:
        set_moments(self, values)

    @property
    def spins(self) -> FloatArray:
        """Unit vectors s_i along the moments, (N, 3).  Read-only: assign the whole array to change it."""
        return _read_only(get_spins(self))

    @spins.setter
    def spins(self, values: ArrayLike) -> None:
        set_spins(self, values)

    @property
    def units(self) -> str:
        """Name of the unit system, ``"metal"`` or ``"reduced"``."""
        return get_units(self).name

    @units.setter
    def units(self, name: str) -> None:
        set_units(self, name)

    def rotate(self, a: Any, v: Any = None, center: Any = (0, 0, 0), rotate_cell: bool = False) -> None:
        """Rotate atoms as ASE does, and their moments with them."""
        rotate_with_moments(self, a, v, center=center, rotate_cell=rotate_cell)

    def rotate_spins(self, axis: ArrayLike, angle: float) -> None:
        """Rotate the moments by `angle` (radian) about `axis`; positions stay."""
        rotate_spins(self, axis, angle)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Atoms):
            return False
        return bool(Atoms.__eq__(self, other)) and np.array_equal(get_moments(self), get_moments(other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def lattice(
        cls,
        name: str,
        size: tuple[int, ...],
        a: float = 1.0,
        *,
        units: str = "metal",
        symbol: str = "Fe",
        moment: float = 1.0,
        periodic: bool | tuple[bool, ...] = True,
        texture: str | None = None,
        rng: np.random.Generator | int | None = None,
        **texture_options: Any,
    ) -> SpinAtoms:
        """A lattice with spins: chain, square, triangular, honeycomb, kagome or cubic.

        Parameters
        ----------
        name : str
            Lattice, one of :data:`spinase.lattices.LATTICES`.
        size : tuple of int
            Number of unit cells along each direction of the lattice.
        a : float
            Nearest-neighbour distance, length unit.
        units : str
            ``"metal"`` or ``"reduced"``.
        symbol : str
            Chemical symbol of every site.
        moment : float
            Length of every moment, mu_B or |m|.
        periodic : bool or tuple of bool
            Periodic boundaries, one for all directions of the lattice or one each.
        texture : str, optional
            Initial texture, one of :data:`spinase.textures.TEXTURES`; default: random if `rng` is given, else ferro.
        rng : numpy Generator or int seed, optional
            Randomness of the texture.
        **texture_options
            Passed to the texture.
        """
        positions, cell, pbc = lattices.build(name, size, a, periodic)
        return cls._dressed(positions, cell, pbc, units, symbol, moment, texture, rng, texture_options)

    @classmethod
    def disordered(
        cls,
        sites: int,
        *,
        density: float = 1.0,
        min_distance: float = 0.75,
        dimension: int = 3,
        units: str = "metal",
        symbol: str = "Fe",
        moment: float = 1.0,
        texture: str | None = None,
        rng: np.random.Generator | int | None = None,
        **texture_options: Any,
    ) -> SpinAtoms:
        """Sites at random in a periodic box with a minimum distance (random sequential addition), with spins.

        `density` is sites per length^dimension; see :func:`spinase.lattices.disordered`.
        """
        generator = np.random.default_rng(rng)
        positions, cell, pbc = lattices.disordered(sites, density, min_distance, dimension, generator)
        return cls._dressed(positions, cell, pbc, units, symbol, moment, texture or "random", generator, texture_options)

    @classmethod
    def _dressed(
        cls,
        positions: FloatArray,
        cell: FloatArray,
        pbc: tuple[bool, bool, bool],
        units: str,
        symbol: str,
        moment: float,
        texture: str | None,
        rng: np.random.Generator | int | None,
        options: dict[str, Any],
    ) -> SpinAtoms:
        if not np.isfinite(moment) or moment <= 0.0:
            raise InvalidMomentsError(f"moment must be a positive length, got {moment}")
        atoms = cls([symbol] * len(positions), positions=positions, cell=cell, pbc=pbc, units=units)
        name = texture or ("random" if rng is not None else "ferro")
        spins = textures.build(name, geometry_of(atoms), np.random.default_rng(rng), **options)
        set_moments(atoms, moment * spins)
        return atoms


def convert_units(atoms: Atoms, target: str, *, energy: float, length: float, moment: float) -> SpinAtoms:
    """Convert a magnet between metal and reduced units.

    Parameters
    ----------
    atoms : Atoms
        The magnet; its unit system is read from it.
    target : str
        ``"metal"`` or ``"reduced"``.
    energy, length, moment : float
        One reduced unit in metal units: t in eV, a in Angstrom, |m| in mu_B.  With moment = 2 (g = 2, one unit
        hbar of angular momentum) the reduced time unit is hbar/t; in general it is moment hbar / (2 t).

    Returns
    -------
    SpinAtoms
        A converted copy: positions, cell and moments.  Energies and times are not stored on atoms.

    Raises
    ------
    UnitMismatchError
        If a scale is not positive, or the atoms move (there is no reduced unit of mass).
    """
    for label, value in (("energy", energy), ("length", length), ("moment", moment)):
        if not np.isfinite(value) or value <= 0.0:
            raise UnitMismatchError(f"{label} scale must be positive, got {value}")
    if atoms.has("momenta") and np.any(atoms.arrays["momenta"]):
        raise UnitMismatchError("the atoms have velocities, which are not converted: set them to zero, and again afterwards")
    copy = SpinAtoms(atoms)
    source, goal = get_units(atoms).name, unit_system(target).name
    if source != goal:
        sense = 1.0 if goal == "metal" else -1.0
        copy.set_cell(copy.cell.array * length**sense, scale_atoms=False)
        copy.positions *= length**sense
        copy.moments = get_moments(atoms) * moment**sense
    copy.units = goal
    return copy
