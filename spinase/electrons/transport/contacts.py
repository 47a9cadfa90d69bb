r"""Leads on the sites of a device: retarded self-energies, and the waves they send in.

.. math:: \Gamma_a = i(\Sigma_a - \Sigma_a^\dagger) = W_a W_a^\dagger

Columns of W -> sources: one for every open channel, so that closed channels cost nothing.  Self-energies do not depend on
the spins of the device; they are kept for the energies they were asked at.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from spinase.electrons.transport.lead_modes import ChainModes, LeadModes
from spinase.electrons.transport.self_energy import band_edges
from spinase.spin_algebra import PAULI
from spinase.typing import ComplexArray, FloatArray, IntArray

_KEPT_BYTES = 256 * 1024**2
_EDGE_ROUNDS = 4  # an energy moved aside of one edge may have come to another


class AttachedLead(ABC):
    """A lead on the sites of a device.

    Attributes
    ----------
    sites : (c,) int
        Device sites with a self-energy.
    share : float
        The lead's chemical potential is mu + share * bias.
    kT : float or None
        Its temperature, energy; None: that of the model.
    name : str
    held : (h,) int
        Device sites whose positions it depends on: forces on them are not known.
    places : (n, 3)
        Where its first cell is, length; empty if it takes no room.
    """

    sites: IntArray
    share: float
    kT: float | None  # noqa: N815
    name: str
    held: IntArray
    places: FloatArray

    @abstractmethod
    def self_energy(self, energy: complex) -> ComplexArray:
        """Sigma (2c, 2c), retarded, energy; orbitals are site-major, spin inside."""

    @abstractmethod
    def sources(self, energy: float) -> ComplexArray:
        """W (2c, channels) with W W+ = Gamma, root of energy."""

    def resolved(self, energy: float) -> float:
        """The energy itself, or the one aside of it that is taken instead where it is an edge of a band."""
        return energy

    @property
    @abstractmethod
    def edges(self) -> FloatArray:
        """Energies where channels open or close, sorted; empty if there are none."""

    @property
    @abstractmethod
    def reach(self) -> tuple[float, float] | None:
        """Bounds of the lead's own spectrum, energy; None for a wide band."""

    @property
    @abstractmethod
    def strength(self) -> FloatArray:
        """Sum of the absolute couplings of each of its sites to the lead (c,), energy."""


class _Kept:
    """The latest matrices, by key, up to a number of bytes."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, complex], tuple[ComplexArray, ...]] = OrderedDict()
        self._bytes, self.limit = 0, _KEPT_BYTES

    def get(self, key: tuple[str, complex], make: Callable[[], tuple[ComplexArray, ...]]) -> tuple[ComplexArray, ...]:
        """The matrices of `key`, made if they are not there."""
        if key in self._known:
            return self._known[key]
        made = make()
        self._known[key] = made
        self._bytes += _bytes(made)
        while self._bytes > self.limit and len(self._known) > 1:
            self._bytes -= _bytes(self._known.popitem(last=False)[1])
        return made


def _bytes(matrices: tuple[ComplexArray, ...]) -> int:
    return sum(matrix.nbytes for matrix in matrices)


class DenseContact(AttachedLead):
    """A lead with a structure: its self-energy joins all of its sites, and is kept by energy."""

    _known: _Kept

    def share_room(self, contacts: int) -> None:
        """Keep no more than one of so many contacts that share what one alone may keep."""
        self._known.limit = _KEPT_BYTES // contacts

    def self_energy(self, energy: complex) -> ComplexArray:
        """Coupling g coupling+, kept."""
        return self._known.get(("sigma", energy), lambda: (self._self_energy(energy),))[0]

    def sources(self, energy: float) -> ComplexArray:
        """Open modes, each with the root of its broadening; kept."""
        return self._known.get(("sources", energy), lambda: (self._sources(energy),))[0]

    @abstractmethod
    def _self_energy(self, energy: complex) -> ComplexArray:
        """Sigma (2c, 2c)."""

    @abstractmethod
    def _sources(self, energy: float) -> ComplexArray:
        """W (2c, channels)."""


@dataclass(eq=False)
class LatticeContact(DenseContact):
    """A semi-infinite lattice, the same for both spins but for an exchange vector: H = cells x 1 - 1 x exchange . sigma.

    Attributes
    ----------
    intra, inter : (n, n)
        Cell, and coupling of a cell to the next one further from the device, without spin, energy.
    coupling : (c, n)
        Of the device's `sites` to the first cell, energy.
    exchange : (3,)
        Energy.
    """

    sites: IntArray
    intra: ComplexArray
    inter: ComplexArray
    coupling: ComplexArray
    exchange: FloatArray = field(default_factory=lambda: np.zeros(3))
    share: float = 0.0
    kT: float | None = None  # noqa: N815
    name: str = "lead"
    held: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    places: FloatArray = field(default_factory=lambda: np.empty((0, 3)))
    _known: _Kept = field(default_factory=lambda: _Kept(), repr=False)

    def __post_init__(self) -> None:
        hop = self.inter[0, 0].real if self.inter.size else 0.0
        uniform = hop != 0.0 and np.allclose(self.inter, hop * np.eye(len(self.inter)), rtol=0, atol=1e-12 * abs(hop))
        self.modes: ChainModes | LeadModes = (
            ChainModes(self.intra, float(hop)) if uniform else LeadModes(self.intra, self.inter)
        )
        self._splitting = float(np.linalg.norm(self.exchange))
        self._spins = self._spin_channels()
        self._edges: FloatArray | None = None

    @property
    def is_analytic(self) -> bool:
        """Whether the modes are known in closed form (each orbital couples to its own image, all alike)."""
        return isinstance(self.modes, ChainModes)

    def resolved(self, energy: float) -> float:
        """The energy, or the one aside of an edge of either spin's bands."""
        for _ in range(_EDGE_ROUNDS):
            before = energy
            for shift, _ in self._spins:
                energy += float(self._seen(energy + shift)[2].real[0]) - (energy + shift)
            if energy == before:
                break
        return energy

    def _self_energy(self, energy: complex) -> ComplexArray:
        parts = [(self._seen(energy + shift)[0], spinors) for shift, spinors in self._spins]
        return np.asarray(sum(np.kron(green, spinors @ spinors.conj().T) for green, spinors in parts))

    def _sources(self, energy: float) -> ComplexArray:
        return np.concatenate([np.kron(self._seen(energy + shift)[1], spinors) for shift, spinors in self._spins], axis=1)

    def _spin_channels(self) -> list[tuple[float, ComplexArray]]:
        """Energy that the exchange gives, and its spinors as columns (2, k)."""
        if not self._splitting:
            return [(0.0, np.eye(2, dtype=np.complex128))]
        values, spinors = np.linalg.eigh(np.einsum("a,aij->ij", self.exchange, PAULI))
        return [(float(value), spinors[:, [k]]) for k, value in enumerate(values)]

    def _seen(self, energy: complex) -> tuple[ComplexArray, ...]:
        """Without spin, kept: coupling g coupling+ (c, c), coupling waves (c, p), the energy they are at (1,)."""
        return self._known.get(("seen", energy), partial(_through, self.modes, self.coupling, energy))

    @property
    def edges(self) -> FloatArray:
        """Band edges."""
        if self._edges is None:
            modes = self.modes
            if isinstance(modes, ChainModes):
                here = np.concatenate([modes.levels - 2 * abs(modes.hopping), modes.levels + 2 * abs(modes.hopping)])
            else:
                here = band_edges(self.intra, self.inter)
            self._edges = np.unique(np.concatenate([here - self._splitting, here + self._splitting]))
        return self._edges

    @property
    def reach(self) -> tuple[float, float]:
        """Gershgorin bounds."""
        return _gershgorin(self.intra, self.inter, self.coupling, self._splitting)

    @property
    def strength(self) -> FloatArray:
        """Row sums of the coupling."""
        return np.asarray(np.abs(self.coupling).sum(axis=1), dtype=np.float64)


def _gershgorin(
    intra: ComplexArray, inter: ComplexArray, coupling: ComplexArray, splitting: float = 0.0
) -> tuple[float, float]:
    """Bounds of the energies of a lead and of what couples to it: diagonal plus and minus sums of rows, energy."""
    centre = np.diag(intra).real
    radius = np.abs(intra).sum(axis=1) - np.abs(centre) + 2.0 * np.abs(inter).sum(axis=1)
    radius = radius + np.abs(coupling).sum(axis=0) + splitting
    return float((centre - radius).min()), float((centre + radius).max())


@dataclass(eq=False)
class SpinorContact(DenseContact):
    """A semi-infinite lattice of any hopping, with spin: all matrices on orbitals 2 i + s.

    Attributes
    ----------
    intra, inter : (2n, 2n)
        Cell, and coupling of a cell to the next one further from the device, energy.
    coupling : (2c, 2n)
        Of the device's `sites` to the first cell, energy.
    """

    sites: IntArray
    intra: ComplexArray
    inter: ComplexArray
    coupling: ComplexArray
    share: float = 0.0
    kT: float | None = None  # noqa: N815
    name: str = "lead"
    held: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    places: FloatArray = field(default_factory=lambda: np.empty((0, 3)))
    _known: _Kept = field(default_factory=lambda: _Kept(), repr=False)

    def __post_init__(self) -> None:
        self.modes = LeadModes(self.intra, self.inter)
        self._edges: FloatArray | None = None

    def resolved(self, energy: float) -> float:
        """The energy, or the one aside of an edge of the bands."""
        return float(self._seen(energy)[2].real[0])

    def _self_energy(self, energy: complex) -> ComplexArray:
        return self._seen(energy)[0]

    def _sources(self, energy: float) -> ComplexArray:
        return self._seen(energy)[1]

    def _seen(self, energy: complex) -> tuple[ComplexArray, ...]:
        """Kept: coupling g coupling+ (2c, 2c), coupling waves (2c, p), the energy they are at (1,)."""
        return self._known.get(("seen", energy), partial(_through, self.modes, self.coupling, energy))

    @property
    def edges(self) -> FloatArray:
        """Band edges."""
        if self._edges is None:
            self._edges = band_edges(self.intra, self.inter)
        return self._edges

    @property
    def reach(self) -> tuple[float, float]:
        """Gershgorin bounds."""
        return _gershgorin(self.intra, self.inter, self.coupling)

    @property
    def strength(self) -> FloatArray:
        """Row sums of the coupling, the larger of both spins."""
        sums = np.abs(self.coupling).sum(axis=1)
        return np.asarray(sums.reshape(-1, 2).max(axis=1), dtype=np.float64)


@dataclass(eq=False)
class WideBandContact(AttachedLead):
    """Sigma = -i Gamma/2 at every energy, with blocks Gamma (c, 2, 2), energy, positive."""

    sites: IntArray
    broadening: ComplexArray
    share: float = 0.0
    kT: float | None = None  # noqa: N815
    name: str = "bath"
    held: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    places: FloatArray = field(default_factory=lambda: np.empty((0, 3)))

    def self_energy(self, energy: complex) -> ComplexArray:
        """Site-diagonal."""
        return spread_blocks(-0.5j * self.broadening)

    def sources(self, energy: float) -> ComplexArray:
        """Two columns a site, fewer if fully polarized."""
        widths, modes = np.linalg.eigh(self.broadening)
        roots = spread_blocks(modes * np.sqrt(np.maximum(widths, 0.0))[:, None, :])
        return roots[:, np.abs(roots).max(axis=0) > 0.0]

    @property
    def edges(self) -> FloatArray:
        """None."""
        return np.empty(0)

    @property
    def reach(self) -> None:
        """No bounds."""
        return

    @property
    def strength(self) -> FloatArray:
        """Half the larger broadening."""
        return np.asarray(0.5 * np.linalg.eigvalsh(self.broadening)[:, -1], dtype=np.float64)


def spread_blocks(blocks: ComplexArray) -> ComplexArray:
    """Block-diagonal (2c, 2c) from site blocks (c, 2, 2)."""
    count = len(blocks)
    matrix = np.zeros((count, 2, count, 2), dtype=np.complex128)
    matrix[np.arange(count), :, np.arange(count), :] = blocks
    return matrix.reshape(2 * count, 2 * count)


def _through(modes: ChainModes | LeadModes, coupling: ComplexArray, energy: complex) -> tuple[ComplexArray, ...]:
    """What a device sees of a lead: coupling g coupling+ (c, c), coupling waves (c, p), the energy they are at (1,)."""
    surface = modes.surface(energy)
    green = coupling @ surface.green @ coupling.conj().T
    return green, coupling @ surface.waves, np.array([surface.energy])
