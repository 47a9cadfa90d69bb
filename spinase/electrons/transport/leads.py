"""What a device is open to: lattice leads, structureless electrodes and baths, as users write them.

Attached to a geometry each becomes a self-energy on some sites (see :mod:`spinase.electrons.transport.contacts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from spinase.electrons.hamiltonian import SDHamiltonian
from spinase.electrons.orbitals import OrbitalHamiltonian
from spinase.electrons.transport.contacts import AttachedLead, DenseContact, LatticeContact, SpinorContact
from spinase.electrons.transport.lead_base import GAMMA, FirstCell, Lead, heights_along, layers_from, require_level
from spinase.electrons.transport.table_leads import RepeatedTable, with_spin
from spinase.electrons.transport.wide_leads import Bath, WideBandLead
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Geometry
from spinase.spin_algebra import PAULI, read_only
from spinase.typing import ComplexArray, FloatArray, IntArray

_APART = 1e-6  # of the size: sites of two leads this close are in one place
_CELLS = 3  # lead cells built to see which of them couple
_CANCELLED = 1e-14  # of the sum of its parts: hopping that phases of a k-point take away


class LatticeLead(Lead):
    """A semi-infinite lattice of the electrons of the device: their hopping law, on-site energies and Zeeman energy.

    A table of hopping between orbitals (:class:`~spinase.electrons.OrbitalModel`, cut open along `axis`) goes on as the
    device has it in its outermost layers, with the spin in it; `exchange` and `onsite` are then those of all orbitals alike.

    The lead repeats its cell along `period` for ever.  Without `cell` it repeats the `layers` outermost layers of the device
    at this end, with their on-site energies, by the distance at which the next layer follows; what lies further in has no
    influence on the lead.  It has no moments but an `exchange` of its own.

    Parameters
    ----------
    side : {"left", "right"}
        The low or the high end of the device along its cell vector `axis`.
    axis : int
        Cell vector along which the lead runs; the device must be open in this direction.
    layers : int
        Device layers that make the lead's cell; more than one where hopping reaches beyond a layer.
    exchange : (3,)
        Exchange vector of the lead's electrons, H = -exchange . sigma, energy; a ferromagnet in any direction, J s of a
        device of coupling J.  The model's Zeeman energy comes on top.
    onsite : float
        On-site energy of the lead's sites, in addition to that of the device's model.
    share : float, optional
        Chemical potential mu + share * bias; by default 1/2 and -1/2 for the first and second lead.
    kT : float, optional
        Temperature of the lead, energy; default: the model's.
    cell : (n, 3), optional
        Positions of the lead's cell next to the device, length; then `period` (3,) leads away from the device.
    period : (3,), optional
        Translation of the lead.
    spin_orbit : bool
        Whether hopping that turns spins goes on in the lead; by default it has the plain hopping of the model only, and
        electrons meet what turns them at the first bond inside.
    numbers : (n,) int, optional
        Atomic numbers of the sites of `cell`, for on-site energies by species; default: all are of the device's one species.
    name : str, optional

    Raises
    ------
    ModelError
        On a wrong option.  When attached, InvalidGeometryError if the lead does not match the device.
    """

    def __init__(
        self,
        side: Literal["left", "right"] = "left",
        *,
        axis: int = 0,
        layers: int = 1,
        exchange: ArrayLike = (0.0, 0.0, 0.0),
        onsite: float = 0.0,
        share: float | None = None,
        kT: float | None = None,  # noqa: N803
        cell: ArrayLike | None = None,
        period: ArrayLike | None = None,
        numbers: ArrayLike | None = None,
        spin_orbit: bool = False,
        name: str | None = None,
    ) -> None:
        if side not in ("left", "right"):
            raise ModelError(f"side of a lead must be 'left' or 'right', got {side!r}")
        if axis not in (0, 1, 2) or layers < 1:
            raise ModelError(f"a lead needs axis = 0, 1 or 2 and layers >= 1, got axis = {axis}, layers = {layers}")
        if (cell is None) != (period is None):
            raise ModelError("a lead of its own shape needs both cell (positions) and period (translation)")
        self.side, self.axis, self.layers, self.name = side, axis, layers, name or side
        self.exchange, self.spin_orbit = read_only(exchange), bool(spin_orbit)
        if self.exchange.shape != (3,) or not np.isfinite(self.exchange).all():
            raise ModelError(f"exchange of lead {self.name!r} must be three finite energies, got {exchange!r}")
        if not np.isfinite(onsite):
            raise ModelError(f"onsite of lead {self.name!r} must be finite, got {onsite}")
        require_level(share, kT, f"lead {self.name!r}")
        self.onsite, self.share, self.kT = float(onsite), share, kT
        self.cell = None if cell is None else read_only(np.atleast_2d(np.asarray(cell)))
        self.period = None if period is None else read_only(period)
        self.numbers = None if numbers is None else np.atleast_1d(np.array(numbers, dtype=np.int64))
        self._check_shape()

    def _check_shape(self) -> None:
        if self.numbers is not None and self.numbers.shape != (0 if self.cell is None else len(self.cell),):
            sites = "no cell" if self.cell is None else f"{len(self.cell)} sites"
            raise ModelError(
                f"numbers of lead {self.name!r} are those of the sites of its cell, one each: got shape "
                f"{self.numbers.shape} and {sites}"
            )
        if self.cell is None or self.period is None:
            return
        finite = np.isfinite(self.cell).all() and np.isfinite(self.period).all()
        if self.cell.shape[1:] != (3,) or self.period.shape != (3,) or not finite or not self.period.any():
            raise ModelError(
                f"lead {self.name!r} needs finite cell positions (n, 3) and a period (3,) that is not zero, got shape "
                f"{self.cell.shape} and period {self.period.tolist()}"
            )

    @property
    def polarized(self) -> bool:
        """Whether it is a ferromagnet."""
        return bool(self.exchange.any())

    def attach(self, geometry: Geometry, hamiltonian: SDHamiltonian, share: float, point: ArrayLike = GAMMA) -> DenseContact:
        """Cell and couplings of the lead at `geometry`; across periodic directions Bloch waves with a k-point."""
        if hamiltonian.flux:
            raise ModelError("a flux through the cell does not continue into lattice leads: use wide-band leads, or no flux")
        cell = self._cell_at(geometry)
        if isinstance(hamiltonian, OrbitalHamiltonian):
            return self._of_table(geometry, hamiltonian, share, cell, point)
        device, count = len(geometry), len(cell.places)
        found = _Couplings.of(geometry, cell, hamiltonian, point, self.spin_orbit)
        first, second = slice(0, count), slice(count, 2 * count)
        self._check(found.sizes, device, count)
        touched = np.flatnonzero(found.sizes[:device, first].max(axis=1))
        intra, inter = (found.part(device + np.arange(count), columns) for columns in (first, second))
        onsite = np.diag(self.onsite + self._onsite_at(geometry, hamiltonian, cell))
        coupling, exchange = found.part(touched, first), self.exchange - hamiltonian.zeeman
        level = share if self.share is None else self.share
        held = np.union1d(touched, cell.made_from)
        if found.turning is None:
            return LatticeContact(
                touched, intra + onsite, inter, coupling, exchange, level, self.kT, self.name, held, cell.places
            )
        intra = intra + np.kron(onsite, np.eye(2)) - np.kron(np.eye(count), np.einsum("a,aij->ij", exchange, PAULI))
        return SpinorContact(touched, intra, inter, coupling, level, self.kT, self.name, held, cell.places)

    def _of_table(
        self, geometry: Geometry, hamiltonian: OrbitalHamiltonian, share: float, cell: FirstCell, point: ArrayLike
    ) -> DenseContact:
        """The lead that repeats a table of hopping as the device has it at this end, spin and all."""
        if not len(cell.repeated):
            raise ModelError(
                f"lead {self.name!r} has a cell of its own, but the hopping is a table: it can only repeat the outermost "
                "layers of the device; leave out cell and period"
            )
        hamiltonian.table.require(geometry)
        found = RepeatedTable.of(hamiltonian.table, cell, point, f"lead {self.name!r}", self.layers)
        exchange, level = self.exchange - hamiltonian.zeeman, share if self.share is None else self.share
        first, second = found.intra, found.inter
        rest = (level, self.kT, self.name, cell.made_from, cell.places)
        if found.turns_spins:
            own = self.onsite * np.eye(2) - np.einsum("a,aij->ij", exchange, PAULI)
            intra = with_spin(first) + np.kron(np.eye(len(first)), own)
            return SpinorContact(found.orbitals, intra, with_spin(second), with_spin(second), *rest)
        intra, inter = first[:, :, 0, 0] + self.onsite * np.eye(len(first)), second[:, :, 0, 0]
        return LatticeContact(found.orbitals, intra, inter, inter, exchange, *rest)

    def _check(self, sizes: FloatArray, device: int, count: int) -> None:
        where = f"lead {self.name!r} does not match the device"
        first, second, third = (slice(k * count, (k + 1) * count) for k in range(_CELLS))
        if not sizes[:device, first].any():
            raise InvalidGeometryError(
                f"{where}: none of its {count} sites is within reach of the hopping from a device site; check cell, period, "
                "side and axis"
            )
        if not sizes[device:][first, second].any():
            raise InvalidGeometryError(f"{where}: its cells do not couple with each other; check its period {self.period}")
        if sizes[:device, second].any() or sizes[device:][first, third].any():
            raise InvalidGeometryError(
                f"{where}: hopping reaches beyond one cell of {self.layers} layer(s); take a longer cell (more layers)"
            )

    def _cell_at(self, geometry: Geometry) -> FirstCell:
        if geometry.pbc[self.axis] and self.cell is None:
            raise InvalidGeometryError(
                f"lead {self.name!r} runs along cell vector {self.axis}, which is periodic: open that direction (pbc)"
            )
        if self.cell is None or self.period is None:
            return self._outer_layers(geometry)
        numbers, none = self.numbers, np.empty(0, dtype=np.int64)
        if numbers is None:
            numbers = np.full(len(self.cell), geometry.numbers[0])
        return FirstCell(self.cell, numbers, self.period, none, none)

    def _outer_layers(self, geometry: Geometry) -> FirstCell:
        layer = layers_from(geometry, self.axis, self.side, self.name)
        count = int(layer.max()) + 1
        if count < self.layers + 1:
            raise InvalidGeometryError(
                f"lead {self.name!r} repeats {self.layers} layer(s) of the device, which has only {count} along cell "
                f"vector {self.axis}: give the lead's cell and period"
            )
        along = heights_along(geometry, self.axis, self.name)
        period = (along[layer == 0].mean() - along[layer == self.layers].mean()) * geometry.cell[self.axis]
        repeated = np.flatnonzero(layer < self.layers)
        return FirstCell(
            geometry.positions[repeated] + period,
            geometry.numbers[repeated],
            period,
            repeated,
            np.flatnonzero(layer <= self.layers),
        )

    def _onsite_at(self, geometry: Geometry, hamiltonian: SDHamiltonian, first: FirstCell) -> FloatArray:
        """On-site energies of the model at the sites of the cell (n,)."""
        if len(first.repeated):
            return hamiltonian.onsite_energies(geometry)[first.repeated]
        tabled = isinstance(hamiltonian.onsite, Mapping)
        where = f"lead {self.name!r} has a cell of its own, and the on-site energies of the model are given"
        if not tabled and np.asarray(hamiltonian.onsite).ndim == 1:
            raise ModelError(f"{where} site by site, without those of the lead: give one number, or a table by species")
        if tabled and self.numbers is None and len(np.unique(geometry.numbers)) > 1:
            raise ModelError(f"{where} by species: say which species are in its cell (numbers=[...])")
        cell = Geometry(first.places, geometry.cell, geometry.pbc, first.numbers)
        return hamiltonian.onsite_energies(cell)


class _Couplings(NamedTuple):
    """Hoppings from the device and the first cells (rows) to the first cells (columns) of a lead, energy.

    Attributes
    ----------
    scalar : (N + 3n, 3n) complex
        The part that is the same for both spins.
    turning : (3, N + 3n, 3n) complex or None
        The vector of the part that turns spins.
    sizes : (N + 3n, 3n)
        Sums of their absolute values, the same at every k-point: phases may cancel, bonds are there.
    """

    scalar: ComplexArray
    turning: ComplexArray | None
    sizes: FloatArray

    @classmethod
    def of(
        cls, geometry: Geometry, cell: FirstCell, hamiltonian: SDHamiltonian, point: ArrayLike, spin_orbit: bool
    ) -> _Couplings:
        """Of the device and three cells of the lead, with the phases of a k-point."""
        device, columns = len(geometry), _CELLS * len(cell.places)
        joined = Geometry(
            np.concatenate([geometry.positions, *(cell.places + k * cell.period for k in range(_CELLS))]),
            geometry.cell,
            geometry.pbc,
            np.concatenate([geometry.numbers, *([cell.numbers] * _CELLS)]),
        )
        plain = hamiltonian if spin_orbit else replace(hamiltonian, spin_orbit=())
        bonds, values, _, spin = plain.hoppings(joined)
        parts = [values] if spin is None else [values, *spin.vectors.T]
        phases = np.exp(2j * np.pi * (bonds.shifts @ np.asarray(point, dtype=np.float64)))
        matrices = np.zeros((len(parts), device + columns, device + columns), dtype=np.complex128)
        sizes = np.zeros(matrices.shape)
        for matrix, size, part in zip(matrices, sizes, parts, strict=True):
            there = -part * phases
            # a bond of a site with its own image counts twice, as it should
            for a, b, entries in ((bonds.first, bonds.second, there), (bonds.second, bonds.first, there.conj())):
                np.add.at(matrix, (a, b), entries)
                np.add.at(size, (a, b), np.abs(entries))
        matrices[np.abs(matrices) < _CANCELLED * sizes] = 0.0
        matrices, total = matrices[:, :, device:], sizes.sum(axis=0)[:, device:]
        return cls(matrices[0], matrices[1:] if len(parts) > 1 else None, total)

    def part(self, rows: IntArray, columns: slice) -> ComplexArray:
        """Some rows and columns; where spins turn, with spin inside."""
        if self.turning is None:
            return self.scalar[rows, columns]
        vectors = self.turning[:, rows, columns]
        parts = [np.kron(one, pauli) for one, pauli in zip(vectors, PAULI, strict=True)]
        return np.asarray(np.kron(self.scalar[rows, columns], np.eye(2)) + np.sum(parts, axis=0), dtype=np.complex128)


def attach_all(
    leads: Sequence[Lead],
    geometry: Geometry,
    hamiltonian: SDHamiltonian,
    shares: Sequence[float],
    point: ArrayLike = GAMMA,
) -> list[AttachedLead]:
    """The leads on a device; InvalidGeometryError if two of them are in one place.

    Parameters
    ----------
    leads : sequence of Lead
        In the order of the calculator.
    geometry : Geometry
        The device.
    hamiltonian : SDHamiltonian
        Its electrons.
    shares : sequence of float
        One for each lead, for those without their own.
    point : (3,)
        k-point across the transport, in parts of the reciprocal cell vectors.

    Raises
    ------
    InvalidGeometryError
        If two of them are in one place, or one does not fit the device.
    """
    attached = [lead.attach(geometry, hamiltonian, share, point) for lead, share in zip(leads, shares, strict=True)]
    for one, other in combinations([lead for lead in attached if len(lead.places)], 2):
        apart = np.linalg.norm(one.places[:, None] - other.places, axis=2)
        if apart.min() < _APART * max(1.0, float(apart.max())):
            raise InvalidGeometryError(
                f"leads {one.name!r} and {other.name!r} do not match the device: both have a site at "
                f"{one.places[int(apart.min(axis=1).argmin())]}; put one of them at another side"
            )
    return attached


__all__ = ["Bath", "LatticeLead", "Lead", "WideBandLead", "attach_all"]
