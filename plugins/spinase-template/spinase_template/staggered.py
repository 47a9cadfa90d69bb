"""Staggered magnetization, as an example of an observer that a plugin brings."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from pydantic import BaseModel, ConfigDict, Field

from spinase.atoms import get_spins
from spinase.observers import Quantity
from spinase.typing import FloatArray


def staggered_magnetization(positions: FloatArray, spins: FloatArray, wavevector: FloatArray) -> float:
    r"""Length of the Fourier component of the spins at one wavevector, per site.

    .. math:: m_q = \frac{1}{N} \Big| \sum_i s_i\, e^{-i q \cdot r_i} \Big|

    Parameters
    ----------
    positions : array (N, 3)
        r_i, length.
    spins : array (N, 3)
        s_i, unit vectors.
    wavevector : array (3,)
        q, Cartesian, 1/length (2 pi included).

    Returns
    -------
    float
        1 for collinear order at q with q equivalent to -q (q = 0: a ferromagnet), 0 for disorder of many spins.
    """
    component = np.exp(-1j * positions @ wavevector) @ spins / len(spins)
    return float(np.linalg.norm(component))


class StaggeredConfig(BaseModel):
    """Options in an input file; every description ends with the unit."""

    model_config = ConfigDict(extra="forbid")

    wavevector: tuple[float, float, float] = Field(description="q, Cartesian, 2 pi included [1/length]")


class StaggeredMagnetization:
    """Observer of m_q, one number per call.

    Parameters
    ----------
    wavevector : (3,)
        q, Cartesian, 1/length (2 pi included): (pi/a, pi/a, 0) for the two-sublattice order of the square lattice.
    """

    Config = StaggeredConfig
    citation = "L. Neel, Ann. Phys. (Paris) 12, 137 (1948)"
    name = "staggered-magnetization"
    quantities = {"m_q": Quantity(label="staggered magnetization $m_q$", unit="", plot="series")}

    def __init__(self, wavevector: tuple[float, float, float]) -> None:
        self.wavevector = np.asarray(wavevector, dtype=np.float64)
        if self.wavevector.shape != (3,) or not np.isfinite(self.wavevector).all():
            raise ValueError(f"the wavevector must be three finite numbers, got {wavevector!r}")

    @classmethod
    def from_config(cls, config: StaggeredConfig) -> StaggeredMagnetization:
        """Observer from the table of an input file."""
        return cls(config.wavevector)

    def prepare(self, atoms: Atoms) -> dict[str, FloatArray]:
        """Static arrays stored once with the run: the wavevector."""
        return {"q": self.wavevector}

    def observe(self, atoms: Atoms) -> dict[str, float]:
        """m_q of the spins as they are now."""
        return {"m_q": staggered_magnetization(atoms.positions, get_spins(atoms), self.wavevector)}
