"""Spins on ASE atoms: plain functions that work on any ``Atoms``, and :class:`SpinAtoms` built from them.

The vector moments of a magnet live in one place, ``atoms.arrays["initial_magmoms"]``, shape (N, 3), float64:
m_i = mu_i s_i, Cartesian, s_i a unit vector along the MOMENT, in mu_B (``metal``) or in units of |m| (``reduced``).
A zero row is a non-magnetic site.  The unit system is ``atoms.info["units"]`` (absent: ``metal``).  The functions that read
and write what is stored are in :mod:`spinase.moments`, and can be imported from here.

ASE may hold collinear scalars in the same array (``bulk("Fe")`` does): they are read as (0, 0, m).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atom, Atoms
from numpy.typing import ArrayLike

from spinase import lattices, textures
from spinase.brief import shown
from spinase.errors import InvalidMomentsError, UnitMismatchError
from spinase.geometry import Geometry
from spinase.joining import extend_with_moments
from spinase.moments import (
    MOMENTS,
    describe_columns,
    get_g_factors,
    get_moments,
    get_reference_lengths,
    get_spins,
    get_units,
    gyromagnetic_ratios,
    has_moments,
    magnetic_sites,
    moments_from_columns,
    set_g_factors,
    set_moments,
    set_reference_lengths,
    set_spins,
    set_units,
    units_declared,
    write_moments,
)
from spinase.turning import euler_rotate_with_moments, rotate_spins, rotate_with_moments, surface
from spinase.typing import FloatArray
from spinase.units import METAL, unit_system


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

    Everything it knows is stored where plain ASE can store it (:mod:`spinase.moments`).  ``SpinAtoms(atoms)`` keeps every
    array; ASE's ``Atoms(magnet)`` keeps moments and units, but no reference lengths and no g factors of single sites (asking
    for them then is an error).  Adding atoms of another unit system is refused.

    Parameters
    ----------
    *args, **kwargs
        As for ``ase.Atoms``; an ``Atoms`` object is copied.
    moments : array (N, 3) or (3,), optional
        Vector moments, mu_B or |m|.  Default: the atoms' own, or those of a file's column under another usual name
        (``magmoms``, ``magmom``, ``magnetic_moments``, ``REF_magmom``, ...; unit vectors ``spins``).
    spins : array (N, 3) or (3,), optional
        Directions; lengths are those of the moments present, else 1.
    units : str, optional
        ``"metal"`` or ``"reduced"``; default: what the copied atoms say, else metal.
    g : float, table by species or array (N,), optional
        g factors; default: what the copied atoms say, else 2.

    Raises
    ------
    InvalidMomentsError
        On bad moments, spins or g factors, or columns of a file that look like different moments.
    UnitMismatchError
        On an unknown unit system, or atoms put together from two.
    """

    def __init__(
        self,
        *args: Any,
        moments: ArrayLike | None = None,
        spins: ArrayLike | None = None,
        units: str | None = None,
        g: float | Mapping[str, float] | ArrayLike | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        source = args[0] if args else kwargs.get("symbols")
        if isinstance(source, Atoms) and len(source) == len(self):
            for name, array in source.arrays.items():
                if name not in self.arrays:
                    self.set_array(name, array.copy())
        if units is None and units_declared(self):
            units = get_units(self).name
        if units is not None:
            set_units(self, units)
        if moments is None and MOMENTS not in self.arrays and isinstance(source, Atoms):
            moments = moments_from_columns(source)
        if moments is None and MOMENTS in self.arrays:
            moments = get_moments(self)
        if moments is not None:
            set_moments(self, moments)
        if spins is not None:
            set_spins(self, spins)
        if g is not None:
            set_g_factors(self, g)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return str(shown("notebook:atoms_html")(self))

    def plot(self, ax: Any = None) -> Any:
        """Draw the spins, coloured by direction (:func:`spinase.viz.plot_spins`); returns the axes.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where; default: a new figure.
        """
        return shown("spins:plot_spins")(self, ax)

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

    @property
    def g_factors(self) -> FloatArray:
        """g factors, (N,); read-only: assign one number, a table by species or an array (None: 2)."""
        return _read_only(get_g_factors(self))

    @g_factors.setter
    def g_factors(self, g: float | Mapping[str, float] | ArrayLike | None) -> None:
        set_g_factors(self, g)

    def set_initial_magnetic_moments(self, magmoms: ArrayLike | None = None) -> None:
        """As in ASE, and scalars (N,) and vectors (N, 3) may replace each other (scalars are along z)."""
        if magmoms is None:
            super().set_initial_magnetic_moments(None)
            return
        values = np.asarray(magmoms, dtype=np.float64)
        if values.shape == (len(self),):
            values = values[:, None] * np.array([0.0, 0.0, 1.0])
        set_moments(self, values)

    def get_magnetic_moments(self) -> FloatArray:
        """Calculated moments if the calculator has any (ASE's DFT calculators), else the moments the atoms have, (N, 3)."""
        return get_moments(self) if self.calc is None else np.asarray(super().get_magnetic_moments())

    def get_magnetic_moment(self) -> Any:
        """Calculated total moment if the calculator has one, else the sum of the moments, (3,)."""
        return get_moments(self).sum(axis=0) if self.calc is None else super().get_magnetic_moment()

    def append(self, atom: Atom) -> None:
        """Append one atom, which takes the unit system of the magnet."""
        self.extend(atom)

    def extend(self, other: Atoms | Atom) -> None:
        """Append atoms (``+=``, ``+`` and ``append`` too); moments may be scalars, the unit system must be one.

        A single ``Atom`` knows no unit system and takes that of the magnet.

        Raises
        ------
        UnitMismatchError
            If the unit systems differ.
        """
        extend_with_moments(self, other)

    def rotate(self, a: Any, v: Any = None, center: Any = (0, 0, 0), rotate_cell: bool = False) -> None:
        """Rotate atoms as ASE does, and their moments with them.

        Parameters
        ----------
        a, v, center, rotate_cell
            As in :meth:`ase.Atoms.rotate`: angle (degree) and axis, the point that stays, and whether the cell turns, too.
        """
        rotate_with_moments(self, a, v, center=center, rotate_cell=rotate_cell)

    def euler_rotate(self, phi: float = 0.0, theta: float = 0.0, psi: float = 0.0, center: Any = (0, 0, 0)) -> None:
        """Rotate atoms by Euler angles as ASE does, and their moments with them.

        Parameters
        ----------
        phi, theta, psi, center
            As in :meth:`ase.Atoms.euler_rotate`: angles (degree) about z, x and z, and the point that stays.
        """
        euler_rotate_with_moments(self, phi, theta, psi, center=center)

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
        """A lattice with spins: chain, square, triangular, honeycomb, kagome, cubic, bcc, fcc, hexagonal or hcp.

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

        Parameters
        ----------
        sites, density, min_distance, dimension
            As in :func:`spinase.lattices.disordered`: density in sites per length^dimension, distance a length.
        units, symbol, moment
            Unit system, chemical symbol, and length of the moments (mu_B or |m|).
        texture, texture_options
            A style of the kind ``initializers`` (default: ``"random"``), and its options.
        rng : numpy.random.Generator or int, optional
            Draws positions, then spins.
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
        A converted copy: positions, cell, moments, reference lengths, masses that were set (energy time^2/length^2).

    Raises
    ------
    UnitMismatchError
        If a scale is not positive, or the atoms move.
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
        reference = get_reference_lengths(atoms)
        if reference is not None:
            set_reference_lengths(copy, reference * moment**sense)
        if copy.has("masses"):
            copy.set_masses(atoms.get_masses() * ((moment / (METAL.gyromagnetic_ratio * length)) ** 2 / energy) ** sense)
    copy.units = goal
    return copy


__all__ = [
    "SpinAtoms",
    "convert_units",
    "describe_columns",
    "euler_rotate_with_moments",
    "geometry_of",
    "get_g_factors",
    "get_moments",
    "get_reference_lengths",
    "get_spins",
    "get_units",
    "gyromagnetic_ratios",
    "has_moments",
    "magnetic_sites",
    "moments_from_columns",
    "rotate_spins",
    "rotate_with_moments",
    "set_g_factors",
    "set_moments",
    "set_reference_lengths",
    "set_spins",
    "set_units",
    "surface",
    "units_declared",
    "write_moments",
]
