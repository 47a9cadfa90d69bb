"""What every lead of a device has, and where the layers of a device are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from spinase.electrons.hamiltonian import SDHamiltonian
from spinase.electrons.transport.contacts import AttachedLead
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Geometry
from spinase.typing import FloatArray, IntArray

GAMMA = (0.0, 0.0, 0.0)
"""The k-point of waves that are the same in every cell."""

_GAP = 0.1  # of the largest gap: smaller ones do not divide layers


class Lead(ABC):
    """What a user opens a device to; see the subclasses."""

    name: str
    share: float | None
    kT: float | None  # noqa: N815

    @property
    @abstractmethod
    def polarized(self) -> bool:
        """Whether it distinguishes a direction of spin."""

    @abstractmethod
    def attach(self, geometry: Geometry, hamiltonian: SDHamiltonian, share: float, point: ArrayLike = GAMMA) -> AttachedLead:
        """The lead on a device of electrons with `hamiltonian`: `share` is what a lead without one of its own gets.

        Parameters
        ----------
        geometry : Geometry
            The device.
        hamiltonian : SDHamiltonian
            Its electrons.
        share : float
            The chemical potential is mu + share * bias, unless the lead has a share of its own.
        point : (3,)
            k-point across the transport, in parts of the reciprocal cell vectors: the lead of Bloch waves with it.
        """


class FirstCell(NamedTuple):
    """The cell of a lead next to the device.

    Attributes
    ----------
    places, numbers : (n, 3), (n,)
        Positions and species.
    period : (3,)
        Translation away from the device.
    repeated : (n,) or (0,) int
        Device sites that the cell repeats, if it does.
    made_from : (h,) int
        Device sites on whose positions it depends.
    """

    places: FloatArray
    numbers: IntArray
    period: FloatArray
    repeated: IntArray
    made_from: IntArray


def require_level(share: float | None, kT: float | None, what: str) -> None:  # noqa: N803
    """Refuse a share of the bias, or a temperature, that is none.

    Parameters
    ----------
    share : float or None
        Finite.
    kT : float or None
        Positive, energy.
    what : str
        Whose, for the message.

    Raises
    ------
    ModelError
    """
    if share is not None and not np.isfinite(share):
        raise ModelError(f"share of {what} must be finite (its chemical potential is mu + share * bias), got {share}")
    if kT is not None and not (np.isfinite(kT) and kT > 0.0):
        raise ModelError(f"kT of {what} must be positive (an energy), got {kT}")


def heights_along(geometry: Geometry, axis: int, name: str) -> FloatArray:
    """Fractional coordinates along a cell vector (N,).

    Parameters
    ----------
    geometry : Geometry
        The device.
    axis : int
        Number of the cell vector.
    name : str
        Of the lead that asks, for the message.

    Raises
    ------
    InvalidGeometryError
        If the cell has no volume.
    """
    if not np.linalg.norm(geometry.cell[axis]) > 0.0 or np.linalg.matrix_rank(geometry.cell) < 3:
        raise InvalidGeometryError(
            f"lead {name!r} is made from layers along cell vector {axis}, but the cell has no such vector or no volume: set "
            "the cell, or say where the lead is by positions or sites"
        )
    return np.asarray(np.linalg.solve(geometry.cell.T, geometry.positions.T)[axis])


def layers_from(geometry: Geometry, axis: int, side: str, name: str) -> IntArray:
    """Number of the layer of each site (N,), counted from an end of the device.

    Parameters
    ----------
    geometry : Geometry
        The device.
    axis : int
        Number of the cell vector across the layers.
    side : str
        ``"left"``: the low end.
    name : str
        Of the lead that asks, for a message.
    """
    along = heights_along(geometry, axis, name) * (1.0 if side == "left" else -1.0)
    order = np.argsort(along, kind="stable")
    gaps = np.diff(along[order])
    layer = np.empty(len(along), dtype=np.int64)
    layer[order] = np.concatenate([[0], np.cumsum(gaps > _GAP * gaps.max(initial=0.0))])
    return layer
