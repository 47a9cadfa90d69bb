"""Tables of hopping between the orbitals of a crystal, such as those of Wannier functions: H_ab(R), 2x2 matrices of spin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spinase.electrons.operator import split_blocks
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Bonds, Geometry
from spinase.spin_algebra import read_only
from spinase.typing import BoolArray, ComplexArray, FloatArray, IntArray

Cell = tuple[int, int, int]

_HERMITIAN = 1e-5  # of the largest entry: files have six digits
_SMALL = 1e-12  # entries below, of the largest one, are none
_MOVED = 1e-3  # how far a site may be from where the table has it, of the shortest periodic cell vector


@dataclass(frozen=True, eq=False)
class OrbitalTable:
    """Hopping between the orbitals of a crystal; each pair of orbitals once, its way back is the adjoint.

    Attributes
    ----------
    cell : (3, 3)
        Cell vectors as rows, length.
    pbc : (3,) bool
        Periodic directions.
    positions : (N, 3)
        Sites, length.
    sites : (n,) int
        Site of each orbital.
    places : (n, 3)
        Where the orbitals are, length: velocities know it; most often the sites' positions.
    onsite : (n, 2, 2) complex
        H_aa(0), energy.
    first, second : (B,) int
        Orbitals a and b.
    shifts : (B, 3) int
        R: cell of the second one.
    blocks : (B, 2, 2) complex
        H_ab(R), energy.
    """

    cell: FloatArray
    pbc: BoolArray
    positions: FloatArray
    sites: IntArray
    places: FloatArray
    onsite: ComplexArray
    first: IntArray
    second: IntArray
    shifts: IntArray
    blocks: ComplexArray

    def __repr__(self) -> str:
        return f"OrbitalTable({len(self.sites)} orbitals on {len(self.positions)} sites, {len(self.first)} hoppings)"

    @classmethod
    def of(
        cls,
        cell: ArrayLike,
        positions: ArrayLike,
        sites: ArrayLike,
        matrices: Mapping[Cell, ArrayLike],
        *,
        places: ArrayLike | None = None,
    ) -> OrbitalTable:
        """From matrices H(R) of all orbitals.

        Parameters
        ----------
        cell : (3, 3)
            Cell vectors as rows, length.
        positions : (N, 3)
            Sites, length.
        sites : (n,) int
            Site of each orbital.
        matrices : mapping
            {R: H(R)}, (n, n) (the same for both spins) or (n, 2, n, 2), energy; directions in which no R differs from zero
            are not periodic.
        places : (n, 3), optional
            Where the orbitals are; default: at their sites.

        Raises
        ------
        ModelError
            If shapes do not fit, or H(-R) is not the adjoint of H(R).
        """
        site = np.asarray(sites, dtype=np.int64)
        where = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
        if site.ndim != 1 or not len(site) or site.min() < 0 or site.max() >= len(where):
            raise ModelError(f"sites must name one of the {len(where)} sites for every orbital, got {sites!r}")
        full = {tuple(int(x) for x in cell_of): _spinful(matrix, len(site)) for cell_of, matrix in matrices.items()}
        largest = max((float(np.abs(matrix).max()) for matrix in full.values()), default=0.0)
        _require_hermitian(full, largest)
        centre = full.get((0, 0, 0), np.zeros((len(site), 2, len(site), 2), dtype=np.complex128))
        lists: list[list[Any]] = [[], [], [], []]
        for shift, matrix in full.items():
            if next((x for x in shift if x), 1) < 0:
                continue
            blocks = matrix.transpose(0, 2, 1, 3)
            large = np.abs(blocks).max(axis=(2, 3)) > _SMALL * largest
            a, b = np.nonzero(np.triu(large, 1) if shift == (0, 0, 0) else large)
            for one, part in zip(lists, (a, b, np.tile(shift, (len(a), 1)), blocks[a, b]), strict=True):
                one.append(part)
        first, second, shifts, blocks = (np.concatenate(one) for one in lists)
        return cls(
            cell=read_only(cell),
            pbc=np.asarray(np.any(shifts, axis=0)),
            positions=read_only(where),
            sites=site,
            places=read_only(where[site] if places is None else places),
            onsite=np.array([centre[a, :, a, :] for a in range(len(site))]),
            first=first,
            second=second,
            shifts=shifts.astype(np.int64),
            blocks=blocks,
        )

    @property
    def turns_spins(self) -> bool:
        """Whether anything in it depends on the spin."""
        return any(np.abs(split_blocks(blocks)[1]).max(initial=0.0) > 0.0 for blocks in (self.onsite, self.blocks))

    @property
    def reverses(self) -> bool:
        """Whether it is seen to be the same with time reversed: t + i v.sigma with real t and v throughout."""
        parts = [split_blocks(blocks) for blocks in (self.onsite, self.blocks)]
        return all(not (np.abs(t.imag).max(initial=0.0) > 0.0 or np.abs(w.real).max(initial=0.0) > 0.0) for t, w in parts)

    def repeat(self, size: Sequence[int]) -> OrbitalTable:
        """The same crystal with a cell `size` (3,) times as large; sites run fastest, then the last direction.

        Raises
        ------
        ModelError
            If a number is no positive whole one, or repeats a direction that is not periodic.
        """
        times = np.asarray(size)
        if times.shape != (3,) or np.any(times < 1) or np.any(times != np.round(times)):
            raise ModelError(f"size must be three positive whole numbers, got {size!r}")
        if np.any((times > 1) & ~self.pbc):
            raise ModelError(
                f"size = {tuple(size)} repeats a direction without hopping along it (pbc = {self.pbc.tolist()})"
            )
        times = times.astype(np.int64)
        cells = np.array(list(product(*(range(n) for n in times))))
        count, offsets = len(self.sites), cells @ self.cell
        target = cells[:, None, :] + self.shifts
        wrapped, shifts = target % times, target // times
        number = np.ravel_multi_index(tuple(np.moveaxis(wrapped, -1, 0)), tuple(times))
        return OrbitalTable(
            cell=times[:, None] * self.cell,
            pbc=self.pbc,
            positions=(offsets[:, None] + self.positions).reshape(-1, 3),
            sites=(np.arange(len(cells))[:, None] * len(self.positions) + self.sites).ravel(),
            places=(offsets[:, None] + self.places).reshape(-1, 3),
            onsite=np.tile(self.onsite, (len(cells), 1, 1)),
            first=(np.arange(len(cells))[:, None] * count + self.first).ravel(),
            second=(number * count + self.second).ravel(),
            shifts=shifts.reshape(-1, 3),
            blocks=np.tile(self.blocks, (len(cells), 1, 1)),
        )

    def cut(self, axis: int) -> OrbitalTable:
        """The same without hopping across the cell along a cell vector: open there, such as a device between leads.

        Raises
        ------
        ModelError
            If it is not periodic along it.
        """
        if axis not in (0, 1, 2) or not self.pbc[axis]:
            raise ModelError(f"a table that is periodic along {self.pbc.tolist()} cannot be cut along direction {axis}")
        inside = self.shifts[:, axis] == 0
        return replace(
            self,
            pbc=self.pbc & (np.arange(3) != axis),
            first=self.first[inside],
            second=self.second[inside],
            shifts=self.shifts[inside],
            blocks=self.blocks[inside],
        )

    def bonds(self) -> Bonds:
        """Pairs of orbitals, with the vectors between their places."""
        vectors = self.places[self.second] - self.places[self.first] + self.shifts @ self.cell
        return Bonds(self.first, self.second, self.shifts, vectors, np.linalg.norm(vectors, axis=1))

    def require(self, geometry: Geometry) -> None:
        """Refuse another magnet than the table's.

        Raises
        ------
        InvalidGeometryError
            For another number of sites, another cell, or sites that are elsewhere.
        """
        hint = "make the atoms of the table (spinase.io.tight_binding.magnet_of), or repeat the table, too"
        if len(geometry) != len(self.positions):
            raise InvalidGeometryError(
                f"the table of hopping has {len(self.positions)} sites, the atoms are {len(geometry)}: {hint}"
            )
        periodic = self.pbc
        if np.any(periodic & ~geometry.pbc):
            raise InvalidGeometryError(
                f"the table of hopping is periodic along {periodic.tolist()}, the atoms are not: {hint}"
            )
        lengths = np.linalg.norm(self.cell[periodic], axis=1)
        slack = _MOVED * float(lengths.min(initial=np.inf)) if len(lengths) else _MOVED
        if np.abs(geometry.cell - self.cell)[periodic].max(initial=0.0) > slack:
            raise InvalidGeometryError(f"the cell is not that of the table of hopping, {self.cell.tolist()}: {hint}")
        apart = geometry.positions - self.positions
        if periodic.any():
            frame = self.cell[periodic]
            apart = apart - np.round(apart @ np.linalg.pinv(frame)) @ frame
        far = np.linalg.norm(apart, axis=1)
        if far.max(initial=0.0) > slack:
            raise InvalidGeometryError(
                f"site {int(far.argmax())} is {far.max():.3g} from its place in the table of hopping, which has no forces: "
                f"{hint}"
            )


def _spinful(matrix: ArrayLike, orbitals: int) -> ComplexArray:
    """(n, 2, n, 2) of (n, n) or of itself."""
    given = np.asarray(matrix, dtype=np.complex128)
    if given.shape == (orbitals, orbitals):
        return np.einsum("ab,st->asbt", given, np.eye(2))
    if given.shape != (orbitals, 2, orbitals, 2):
        raise ModelError(
            f"matrices of {orbitals} orbitals are {(orbitals, orbitals)} or {(orbitals, 2, orbitals, 2)}, got {given.shape}"
        )
    return given


def _require_hermitian(matrices: Mapping[tuple[int, ...], ComplexArray], largest: float) -> None:
    for cell, matrix in matrices.items():
        if not np.isfinite(matrix).all():
            raise ModelError(f"hopping to cell {cell} has entries that are not finite")
        back = matrices.get(tuple(-x for x in cell))
        there = np.zeros_like(matrix) if back is None else back.transpose(2, 3, 0, 1).conj()
        apart = float(np.abs(matrix - there).max(initial=0.0))
        if apart > _HERMITIAN * largest:
            raise ModelError(
                f"hopping to cell {cell} and back are not adjoint to each other (apart by {apart:.3g}, entries to "
                f"{largest:.3g}): give both directions, H(-R) = H(R)^+"
            )
