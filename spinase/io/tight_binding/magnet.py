"""The magnet of a table of hopping."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from spinase.atoms import SpinAtoms
from spinase.electrons.orbital_table import OrbitalTable
from spinase.errors import ModelError


def magnet_of(
    table: OrbitalTable,
    symbols: str | Sequence[str],
    moments: ArrayLike = (0.0, 0.0, 1.0),
    units: str = "metal",
) -> SpinAtoms:
    """Atoms on the sites of a table, which calculators with an :class:`~spinase.electrons.orbitals.OrbitalModel` take.

    Parameters
    ----------
    table : OrbitalTable
    symbols : str or sequence of str
        One chemical symbol for all sites, or those of the sites of the smallest cell, repeated as the table is.
    moments : (3,) or (N, 3)
        Vector moments, mu_B or |m|.
    units : str
        ``"metal"`` or ``"reduced"``: what the table is in.

    Raises
    ------
    ModelError
        If the symbols do not fit the number of sites.
    """
    sites = len(table.positions)
    names = [symbols] if isinstance(symbols, str) else list(symbols)
    if not names or sites % len(names):
        raise ModelError(f"{len(names)} symbols do not fit the {sites} sites of the table")
    vectors = np.broadcast_to(np.asarray(moments, dtype=np.float64), (sites, 3))
    return SpinAtoms(
        symbols=names * (sites // len(names)),
        positions=table.positions,
        cell=table.cell,
        pbc=table.pbc,
        moments=vectors,
        units=units,
    )
