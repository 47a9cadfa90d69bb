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

import numpy as np
from numpy.typing import NDArray

from spinase.electrons.self_energy import band_edges, chain_surface, decimated_surface

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.int64]

_CLOSED = 1e-9  # decimation leaves closed channels with a broadening below this part of the band width
_KEPT_BYTES = 256 * 1024**2


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
        self._known: OrderedDict[tuple[str, complex], ComplexArray] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[str, complex], make: Callable[[], ComplexArray]) -> ComplexArray:
        """The matrix of `key`, made if it is not there."""
        if key not in self._known:
            self._known[key] = make()
            self._bytes += self._known[key].nbytes
            while self._bytes > _KEPT_BYTES and len(self._known) > 1:
                self._bytes -= self._known.popitem(last=False)[1].nbytes
        return self._known[key]


@dataclass(eq=False)
class LatticeContact(AttachedLead):
    """A semi-infinite lattice: cells `intra` (n, n), `inter` (n, n) between cells, `coupling` (2c, n) to the device."""

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
        hop = self.inter[0, 0].real if self.inter.size else 0.0
        uniform = hop != 0.0 and np.allclose(self.inter, hop * np.eye(len(self.inter)), rtol=0, atol=1e-12 * abs(hop))
        self._hop = float(hop) if uniform else None  # every orbital couples to its own image only: modes are known
        self._levels, self._modes = np.linalg.eigh(self.intra)
        self._through = self.coupling @ self._modes
        self._edges: FloatArray | None = None

    @property
    def is_analytic(self) -> bool:
        """Whether the modes are known in closed form (each orbital couples to its own image, all alike)."""
        return self._hop is not None

    def self_energy(self, energy: complex) -> ComplexArray:
        """Coupling g coupling+, kept."""
        return self._known.get(("sigma", energy), lambda: self._self_energy(energy))

    def sources(self, energy: float) -> ComplexArray:
        """Open modes, each with the root of its broadening; kept."""
        return self._known.get(("sources", energy), lambda: self._sources(energy))

    def _self_energy(self, energy: complex) -> ComplexArray:
        if self._hop is not None:
            surface = chain_surface(energy - self._levels, self._hop)
            return (self._through * surface) @ self._through.conj().T
        return self.coupling @ decimated_surface(energy, self.intra, self.inter) @ self.coupling.conj().T

    def _sources(self, energy: float) -> ComplexArray:
        if self._hop is not None:
            broadening = -2.0 * chain_surface(complex(energy) - self._levels, self._hop).imag
            is_open = broadening > 0.0
            return self._through[:, is_open] * np.sqrt(broadening[is_open])
        sigma = self.self_energy(energy)
        widths, modes = np.linalg.eigh(1j * (sigma - sigma.conj().T))
        is_open = widths > _CLOSED * np.ptp(self.reach)
        return modes[:, is_open] * np.sqrt(widths[is_open])

    @property
    def edges(self) -> FloatArray:
        """Band edges."""
        if self._edges is None:
            if self._hop is not None:
                self._edges = np.unique(
                    np.concatenate([self._levels - 2 * abs(self._hop), self._levels + 2 * abs(self._hop)])
                )
            else:
                self._edges = band_edges(self.intra, self.inter)
        return self._edges

    @property
    def reach(self) -> tuple[float, float]:
        """Gershgorin bounds."""
        centre = np.diag(self.intra).real
        radius = np.abs(self.intra).sum(axis=1) - np.abs(centre) + 2.0 * np.abs(self.inter).sum(axis=1)
        radius = radius + np.abs(self.coupling).sum(axis=0)
        return float((centre - radius).min()), float((centre + radius).max())

    @property
    def strength(self) -> FloatArray:
        """Row sums of the coupling, the larger of both spins."""
        return np.abs(self.coupling).sum(axis=1).reshape(-1, 2).max(axis=1)


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
