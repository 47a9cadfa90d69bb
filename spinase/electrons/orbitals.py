r"""Electrons with several orbitals a site: tables of hopping between orbitals, such as those of Wannier functions.

.. math:: H = \sum_{R,ab} c^+_{0a} H_{ab}(R)\, c_{Rb} - \sum_a J_a\, s_{i(a)}\cdot c^+_a\sigma c_a

with a, b the orbitals of a cell, R cells, H_ab(R) a 2x2 matrix of spin, and i(a) the site that has orbital a.  To solvers an
orbital is what a site is in an s-d model; fields of a site are sums over its orbitals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spinase.electrons.hamiltonian import FrozenHamiltonian, Gradients, PerSpecies, SDHamiltonian
from spinase.electrons.model import SDModel
from spinase.electrons.operator import Density, SpinOperator, split_blocks
from spinase.electrons.orbital_table import OrbitalTable
from spinase.errors import ModelError
from spinase.geometry import Bonds, Geometry
from spinase.given_pairs import Couplings
from spinase.pair_laws import PairLaw
from spinase.spin_algebra import read_only
from spinase.typing import FloatArray, IntArray


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

    def site_of(self) -> IntArray:
        """Site of each orbital (n,)."""
        return self._table.sites

    def contract(self, density: Density) -> Gradients:
        """Fields; a table has no forces."""
        return Gradients(self.spin_gradient(density), np.zeros_like(self._table.positions), np.zeros((3, 3)))


@dataclass(frozen=True, eq=False)
class OrbitalHamiltonian(SDHamiltonian):
    """A table of hopping, with the exchange of every orbital with the spin of its site; made by :class:`OrbitalModel`."""

    def broken_symmetries(self) -> set[str]:
        """A table knows its lattice and the order of its sites; spins in it, and fields, break more."""
        broken = super().broken_symmetries() | {"lattice_rotation", "joint_rotation", "translation", "permutation"}
        table = self.table
        return (
            broken | ({"spin_rotation"} if table.turns_spins else set()) | (set() if table.reverses else {"time_reversal"})
        )

    @property
    def table(self) -> OrbitalTable:
        """The table of hopping."""
        assert isinstance(self.hopping, OrbitalHopping)
        return self.hopping.table

    def orbitals_of(self, sites: IntArray) -> IntArray:
        """Orbitals of sites, site by site in the order that is asked for."""
        return np.concatenate([np.flatnonzero(self.table.sites == site) for site in sites])

    def freeze(self, geometry: Geometry) -> FrozenOrbitals:
        """The table on its magnet; InvalidGeometryError for another one."""
        table = self.table
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
