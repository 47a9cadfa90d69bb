r"""Electrons with several orbitals a site: tables of hopping between orbitals, such as those of Wannier functions.

.. math:: H = \sum_{R,ab} c^+_{0a} H_{ab}(R)\, c_{Rb} - \sum_a J_a\, s_{i(a)}\cdot c^+_a\sigma c_a

with a, b the orbitals of a cell, R cells, H_ab(R) a 2x2 matrix of spin, and i(a) the site that has orbital a.  To solvers an
orbital is what a site is in an s-d model; fields of a site are sums over its orbitals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spinase.electrons.hamiltonian import FrozenHamiltonian, Gradients, PerSpecies, SDHamiltonian
from spinase.electrons.model import SDModel
from spinase.electrons.operator import Density, SpinOperator, split_blocks
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Bonds, Geometry
from spinase.given_pairs import Couplings
from spinase.pair_laws import PairLaw
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


class OrbitalHopping(PairLaw):
    """The law that has no distances: a table, and the sites that it is for.

    Parameters
    ----------
    table : OrbitalTable
    """

    def __init__(self, table: OrbitalTable) -> None:
        self.table = table

    def __repr__(self) -> str:
        return repr(self.table)

    def amplitudes(self, geometry: Geometry) -> Couplings:
        """Bonds between sites that hopping joins, with its largest entry; no slopes."""
        table = self.table
        table.require(geometry)
        one, two = table.sites[table.first], table.sites[table.second]
        apart = (one != two) | table.shifts.any(axis=1)
        keys = np.column_stack([one, two, table.shifts])[apart]
        found, index = np.unique(keys, axis=0, return_inverse=True)
        sizes = np.zeros(len(found))
        np.maximum.at(sizes, index.ravel(), np.abs(table.blocks).max(axis=(1, 2))[apart])
        vectors = geometry.positions[found[:, 1]] - geometry.positions[found[:, 0]] + found[:, 2:] @ geometry.cell
        bonds = Bonds(found[:, 0], found[:, 1], found[:, 2:], vectors, np.linalg.norm(vectors, axis=1))
        return bonds, sizes, np.zeros(len(found))


@dataclass(frozen=True, eq=False)
class FrozenOrbitals(FrozenHamiltonian):
    """An :class:`OrbitalHamiltonian` on its magnet: what belongs to sites is the sum over their orbitals.

    Attributes
    ----------
    table : OrbitalTable
    """

    table: OrbitalTable | None = None

    @property
    def _table(self) -> OrbitalTable:
        assert self.table is not None
        return self.table

    def operator(self, spins: FloatArray) -> SpinOperator:
        """H for the unit spins (N, 3) of the sites."""
        own = 0.5 * split_blocks(self._table.onsite)[1].real
        exchange = own + self.zeeman - self.coupling[:, None] * spins[self._table.sites]
        return SpinOperator(self.bonds, self.hopping, self.onsite, exchange, self.spin_hopping)

    def gather(self, values: FloatArray) -> FloatArray:
        """Sums (N, ...) over the orbitals of the sites of values (n, ...)."""
        total = np.zeros((len(self._table.positions), *values.shape[1:]))
        np.add.at(total, self._table.sites, values)
        return total

    def site_coupling(self) -> FloatArray:
        """J of the sites (N,), where each has one orbital.

        Raises
        ------
        ModelError
            With several orbitals a site.
        """
        table = self._table
        if not np.array_equal(table.sites, np.arange(len(table.positions))):
            raise ModelError(
                f"{len(table.sites)} orbitals are on {len(table.positions)} sites: this is written for one orbital a site; "
                "fields, torques, energies and conductivities are there for several"
            )
        return self.coupling

    def spin_gradient(self, density: Density) -> FloatArray:
        """H_i = -dE/ds_i = sum_a J_a Tr[sigma rho_aa] over the orbitals of site i, energy, (N, 3)."""
        return self.gather(self.coupling[:, None] * density.spin)

    def contract(self, density: Density) -> Gradients:
        """Fields; a table has no forces."""
        return Gradients(self.spin_gradient(density), np.zeros_like(self._table.positions), np.zeros((3, 3)))


@dataclass(frozen=True, eq=False)
class OrbitalHamiltonian(SDHamiltonian):
    """A table of hopping, with the exchange of every orbital with the spin of its site; made by :class:`OrbitalModel`."""

    def broken_symmetries(self) -> set[str]:
        """A table knows its lattice and the order of its sites; spins in it, and fields, break more."""
        assert isinstance(self.hopping, OrbitalHopping)
        broken = super().broken_symmetries() | {"lattice_rotation", "joint_rotation", "translation", "permutation"}
        table = self.hopping.table
        return (
            broken | ({"spin_rotation"} if table.turns_spins else set()) | (set() if table.reverses else {"time_reversal"})
        )

    def freeze(self, geometry: Geometry) -> FrozenOrbitals:
        """The table on its magnet; InvalidGeometryError for another one."""
        assert isinstance(self.hopping, OrbitalHopping)
        table = self.hopping.table
        table.require(geometry)
        traces, vectors = split_blocks(table.blocks)
        hopping = 0.5 * traces
        turning = np.abs(vectors).max(initial=0.0) > 0.0
        return FrozenOrbitals(
            bonds=table.bonds(),
            hopping=hopping if hopping.imag.any() else hopping.real,
            hopping_slope=np.zeros(len(hopping)),
            phase_gradients=None,
            onsite=0.5 * split_blocks(table.onsite)[0].real,
            coupling=self._couplings(geometry, table),
            zeeman=self.zeeman,
            volume=geometry.volume,
            spin_hopping=0.5 * vectors if turning else None,
            table=table,
        )

    def _couplings(self, geometry: Geometry, table: OrbitalTable) -> FloatArray:
        """J of every orbital (n,)."""
        value = self.coupling
        if isinstance(value, Mapping):
            missing = sorted({int(z) for z in geometry.numbers} - {int(z) for z in value})
            if missing:
                raise ModelError(f"coupling is given per species but has no entry for atomic number {missing[0]}")
            return np.array([float(value[int(z)]) for z in geometry.numbers])[table.sites]
        numbers = np.asarray(value, dtype=np.float64)
        if numbers.shape not in ((), (len(table.sites),)):
            raise ModelError(
                f"coupling must be one number, a table by species, or one for each of the {len(table.sites)} orbitals; "
                f"got shape {numbers.shape}"
            )
        return np.broadcast_to(numbers, (len(table.sites),)).copy()


class OrbitalModel(SDModel):
    """Electrons of a table of hopping, exchange-coupled to the spins of its sites; an :class:`SDModel` for calculators.

    Parameters
    ----------
    table : OrbitalTable
        From :mod:`spinase.io.tight_binding`, or :meth:`OrbitalTable.of`.
    coupling : float, {atomic number: float} or (n,)
        J of the orbitals, energy: H = -J s.sigma (0: orbitals that do not feel the spins).
    filling : float, optional
        Electrons per spin-orbital, 0..1.
    chemical_potential : float, optional
        mu, energy.  Give exactly one of the two.
    kT : float
        Electronic temperature, energy.
    zeeman : (3,)
        Zeeman energy vector h of the electrons, H = +h.sigma, energy.

    Raises
    ------
    ModelError
        On a parameter outside its range.
    """

    def __init__(
        self,
        table: OrbitalTable,
        coupling: PerSpecies | ArrayLike,
        *,
        filling: float | None = None,
        chemical_potential: float | None = None,
        kT: float = 0.0,  # noqa: N803
        zeeman: ArrayLike = (0.0, 0.0, 0.0),
    ) -> None:
        if not isinstance(table, OrbitalTable):
            raise ModelError(f"table must be an OrbitalTable, such as spinase.io.tight_binding reads, got {table!r}")
        each: Any = read_only(coupling) if np.ndim(coupling) else coupling  # type: ignore[arg-type]
        one = 0.0 if np.ndim(each) else each
        super().__init__(
            OrbitalHopping(table), one, filling=filling, chemical_potential=chemical_potential, kT=kT, zeeman=zeeman
        )
        if np.ndim(each) and not np.isfinite(each).all():
            raise ModelError(f"coupling must be finite, got {coupling!r}")
        self.hamiltonian = OrbitalHamiltonian(self.hamiltonian.hopping, each, 0.0, self.hamiltonian.zeeman)

    @property
    def table(self) -> OrbitalTable:
        """The table of hopping."""
        assert isinstance(self.hamiltonian.hopping, OrbitalHopping)
        return self.hamiltonian.hopping.table

    def with_flux(self, flux: float) -> SDModel:
        """Only without one: a table has its own phases.

        Raises
        ------
        ModelError
            For a flux that is not zero.
        """
        if flux:
            raise ModelError(f"a table of hopping takes no flux, got {flux}: put the phases into its matrices")
        return self


__all__ = ["OrbitalHamiltonian", "OrbitalModel", "OrbitalTable"]
