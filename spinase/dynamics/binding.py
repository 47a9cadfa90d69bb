"""The unit spins that a driver moves, and the atoms they are read from and written to."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from spinase.atoms import (
    describe_columns,
    get_g_factors,
    get_moments,
    get_reference_lengths,
    get_units,
    gyromagnetic_ratios,
    set_reference_lengths,
    write_moments,
)
from spinase.errors import InvalidMomentsError
from spinase.moments import copy_moments
from spinase.typing import FloatArray


class SpinBinding:
    """Spins s_i of a driver, the constants of their sites, and their copy in the atoms.

    The moments of the atoms are m_i = mu_i s_i.  Between observers a driver moves `spins` alone; what others did to the
    atoms meanwhile is found by comparison with what was written last.

    Parameters
    ----------
    atoms : Atoms
        The magnet; sites with zero moment stay so.
    free_lengths : bool
        Whether lengths change: they are then measured in reference lengths, which are kept on the atoms.

    Attributes
    ----------
    spins : (N, 3)
        Unit spins (of other lengths where moments are measured in reference lengths).
    lengths : (N,)
        mu_i, moment: those of the start, or the reference lengths.
    stretch : (N,) or None
        Lengths of `spins` where they are not 1.
    gamma : (N,)
        g_i mu_B/hbar, 1/(time field).
    relative_g : (N, 1) or None
        g_i/2, where it is not 1.
    dirty : bool
        Whether the spins have moved since they were written.

    Raises
    ------
    InvalidMomentsError
        If no atom has a moment.
    """

    spins: FloatArray
    lengths: FloatArray
    gamma: FloatArray

    def __init__(self, atoms: Atoms, free_lengths: bool = False) -> None:
        self.atoms, self.free_lengths, self.dirty = atoms, free_lengths, False
        self.stretch: FloatArray | None = None
        self.relative_g: FloatArray | None = None
        self.read()

    def read(self) -> None:
        """Take the spins from the atoms."""
        moments = get_moments(self.atoms)
        self.lengths = self._find_lengths(moments)
        if not self.lengths.any():
            raise InvalidMomentsError(
                "none of the atoms has a magnetic moment: set atoms.spins or initial magnetic moments "
                f"({describe_columns(self.atoms)}; SpinAtoms(atoms) reads those that usually hold moments)"
            )
        self.spins = moments / np.where(self.lengths > 0.0, self.lengths, 1.0)[:, None]
        self._written = moments
        self.gamma = gyromagnetic_ratios(self.atoms)
        relative = self.gamma / get_units(self.atoms).gyromagnetic_ratio
        self.relative_g = None if np.all(relative == 1.0) else relative[:, None]
        self._site_data = self._stored_site_data()

    def write(self) -> None:
        """Give the spins to the atoms."""
        np.multiply(self.lengths[:, None], self.spins, out=self._written)
        write_moments(self.atoms, self._written)
        self.dirty = False

    def is_current(self) -> bool:
        """Whether moments, reference lengths and g factors of the atoms are those that were read or written last."""
        stored = self.atoms.arrays.get("initial_magmoms")
        return stored is not None and np.array_equal(stored, self._written) and self._same_site_data()

    def moment_lengths(self) -> FloatArray:
        """Present lengths (N,) of the moments, moment."""
        return self.lengths if self.stretch is None else self.lengths * self.stretch

    def restore(self, spins: FloatArray, lengths: FloatArray) -> None:
        """Go on with the spins and lengths of a checkpoint; the moments of the atoms are set from them."""
        self.spins = np.array(spins, dtype=np.float64)
        self.lengths = np.array(lengths, dtype=np.float64)
        if self.free_lengths:
            set_reference_lengths(self.atoms, self.lengths)
        else:
            self._find_lengths(self.lengths[:, None] * self.spins)
        self.write()

    def written(self) -> tuple[FloatArray, FloatArray]:
        """What :meth:`rewrite` needs: the moments written last, and those of the atoms."""
        return self._written.copy(), copy_moments(self.atoms)

    def rewrite(self, written: tuple[FloatArray, FloatArray]) -> None:
        """Put the moments back that were there before."""
        self._written[...], moments = written
        write_moments(self.atoms, moments)

    def _find_lengths(self, moments: FloatArray) -> FloatArray:
        """Lengths of the moments, or the reference lengths in which they are measured if they have (or need) some."""
        lengths: FloatArray = np.linalg.norm(moments, axis=1)
        if self.free_lengths and get_reference_lengths(self.atoms) is None:
            set_reference_lengths(self.atoms, lengths)
        reference = get_reference_lengths(self.atoms)
        self.stretch = None
        if reference is None:
            return lengths
        if not self.free_lengths:  # spins m/|m_ref| keep lengths that are not 1
            scale = lengths / np.where(reference > 0.0, reference, 1.0)
            self.stretch = np.where(scale > 0.0, scale, 1.0)
        return reference

    def _stored_site_data(self) -> tuple[FloatArray | None, FloatArray]:
        """Reference lengths and g factors that the atoms have now (copies)."""
        return get_reference_lengths(self.atoms), get_g_factors(self.atoms)

    def _same_site_data(self) -> bool:
        lengths, factors = self._site_data
        now, g = self._stored_site_data()
        same = lengths is now if lengths is None or now is None else np.array_equal(lengths, now)
        return same and np.array_equal(factors, g)


class Geometry:
    """Positions, species, cell, boundaries and calculator that fields were bound to.

    Parameters
    ----------
    atoms : Atoms
        The magnet as it is now.
    """

    def __init__(self, atoms: Atoms) -> None:
        self._calc = atoms.calc
        self._arrays = [x.copy() for x in (atoms.positions, atoms.numbers, atoms.cell.array, atoms.pbc)]

    def is_of(self, atoms: Atoms) -> bool:
        """Whether the atoms still have it."""
        now = (atoms.positions, atoms.numbers, atoms.cell.array, atoms.pbc)
        same = all(np.array_equal(one, other) for one, other in zip(self._arrays, now, strict=True))
        return self._calc is atoms.calc and same


__all__ = ["Geometry", "SpinBinding"]
