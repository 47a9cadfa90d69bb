"""Leads without a structure: electrodes of a wide band, and baths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from spinase.electrons.hamiltonian import SDHamiltonian
from spinase.electrons.transport.contacts import WideBandContact
from spinase.electrons.transport.lead_base import GAMMA, Lead, layers_from, require_level
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Geometry
from spinase.spin_algebra import PAULI, read_only
from spinase.typing import IntArray


class WideBandLead(Lead):
    r"""A structureless electrode: Sigma = -i Gamma/2 (1 + P . sigma) on some sites, at every energy.

    Parameters
    ----------
    broadening : float
        Gamma, energy: the rate into the lead is Gamma/hbar.
    sites : sequence of int, or {"left", "right"}, optional
        Device sites, or the outermost layer along cell vector `axis`; default: all of them (a bath).
    axis : int
    polarization : (3,)
        P, |P| <= 1: broadening of electrons along and against it is Gamma (1 +- |P|).
    share, kT, name
        As in :class:`LatticeLead`.

    Raises
    ------
    ModelError
        If the broadening is not positive or |P| > 1.
    """

    def __init__(
        self,
        broadening: float,
        sites: Sequence[int] | IntArray | str | None = None,
        *,
        axis: int = 0,
        polarization: ArrayLike = (0.0, 0.0, 0.0),
        share: float | None = None,
        kT: float | None = None,  # noqa: N803
        name: str = "wide-band",
    ) -> None:
        vector = read_only(polarization)
        if not (np.isfinite(broadening) and broadening > 0.0):
            raise ModelError(f"broadening of lead {name!r} must be a positive energy, got {broadening}")
        if vector.shape != (3,) or not np.linalg.norm(vector) <= 1.0 + 1e-12:
            raise ModelError(f"polarization of lead {name!r} must be a vector of length at most 1, got {polarization!r}")
        require_level(share, kT, f"lead {name!r}")
        self.broadening, self.polarization, self.name = float(broadening), vector, name
        if isinstance(sites, str) and sites not in ("left", "right"):
            raise ModelError(f"sites of lead {name!r} must be numbers, 'left' or 'right', got {sites!r}")
        if sites is None or isinstance(sites, str):
            self.sites: IntArray | str | None = sites
        else:
            numbers = np.atleast_1d(np.asarray(sites))
            if len(numbers) and not np.issubdtype(numbers.dtype, np.integer):
                raise ModelError(f"sites of lead {name!r} must be whole numbers, got {sites!r}")
            self.sites = numbers.astype(np.int64)
            self.sites.setflags(write=False)
        self.axis, self.share, self.kT = axis, share, kT

    @property
    def polarized(self) -> bool:
        """Whether both spins decay at different rates."""
        return bool(self.polarization.any())

    @property
    def names_sites(self) -> bool:
        """Whether its sites are given by number."""
        return isinstance(self.sites, np.ndarray)

    def _sites_of(self, geometry: Geometry) -> IntArray:
        if self.sites is None:
            return np.arange(len(geometry))
        if isinstance(self.sites, str):
            return np.flatnonzero(layers_from(geometry, self.axis, self.sites, self.name) == 0)
        return self.sites

    def attach(
        self, geometry: Geometry, hamiltonian: SDHamiltonian, share: float, point: ArrayLike = GAMMA
    ) -> WideBandContact:
        """The lead on the sites of `geometry`; it has no energies of its own, and is the same at every k-point."""
        sites = self._sites_of(geometry)
        if not len(sites) or sites.min() < 0 or sites.max() >= len(geometry) or len(np.unique(sites)) < len(sites):
            raise InvalidGeometryError(
                f"lead {self.name!r} does not match the device: its sites must be different numbers from 0 to "
                f"{len(geometry) - 1}, got {sites.tolist()}"
            )
        orbitals = hamiltonian.orbitals_of(sites)
        block = self.broadening * (np.eye(2) + np.einsum("a,aij->ij", self.polarization, PAULI))
        return WideBandContact(
            sites=orbitals,
            broadening=np.repeat(block[None], len(orbitals), axis=0),
            share=share if self.share is None else self.share,
            kT=self.kT,
            name=self.name,
            held=sites if isinstance(self.sites, str) else np.empty(0, dtype=np.int64),
        )


class Bath(WideBandLead):
    """A weak wide band on every site (or on `sites`): it takes phase and heat out of the device, and fixes the occupation of
    states no lead reaches.

    Its chemical potential does not float: it stays at mu unless a `share` is given, and the bath takes or gives the
    electrons this needs.  Charge is conserved by leads and bath together (their currents sum to zero), not along the device.
    """

    def __init__(
        self,
        broadening: float,
        sites: Sequence[int] | IntArray | None = None,
        *,
        share: float = 0.0,
        kT: float | None = None,  # noqa: N803
        name: str = "bath",
    ) -> None:
        super().__init__(broadening, sites, share=share, kT=kT, name=name)
