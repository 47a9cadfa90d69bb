"""Hexagonal anisotropy in the basal plane, as an example of a calculator that a plugin brings."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from spinase.calculators.base import SpinCalculator, per_moment
from spinase.errors import ModelError
from spinase.geometry import Geometry
from spinase.typing import ComplexArray, FloatArray


class BasalConfig(BaseModel):
    """Options in an input file; every description ends with the unit."""

    model_config = ConfigDict(extra="forbid")

    strength: float = Field(description="K6 per site, positive: easy directions at 0, 60, ... degrees from x [energy]")


class BasalAnisotropyCalculator(SpinCalculator[int, ComplexArray]):
    r"""Sixfold anisotropy of a hexagonal magnet in its basal plane, the xy plane.

    .. math:: E = -K_6 \sum_i \sin^6\theta_i \cos 6\phi_i = -K_6 \sum_i \mathrm{Re}\,(s_i^x + i s_i^y)^6

    with K_6 -> `strength` (energy per site) and s_i the unit spin.  K_6 > 0: six easy directions in the plane at
    phi = 0, 60, ... degrees, E = -K_6 per site along them and +K_6 half-way between.  The effective field is

    .. math:: B_i = -\frac{1}{\mu_i}\frac{\partial E}{\partial s_i}
              = \frac{6 K_6}{\mu_i} (\mathrm{Re}\,z_i^5, -\mathrm{Im}\,z_i^5, 0), \quad z_i = s_i^x + i s_i^y.

    No forces and no stress: the axes are fixed in space and the sites do not interact.

    Parameters
    ----------
    strength : float
        K_6, energy per site.
    units : str, optional
        Unit system of `strength`; default: whatever the atoms are in.

    Raises
    ------
    ModelError
        If `strength` is not finite.
    """

    Config = BasalConfig
    citation = "S. Chikazumi, Physics of Ferromagnetism, 2nd ed. (Oxford, 1997), chapter 12"
    # The axes are fixed in space: neither the spins alone, nor spins and lattice together, may be rotated.
    symmetries = SpinCalculator.symmetries - {"spin_rotation", "joint_rotation"}

    def __init__(self, strength: float, *, units: str | None = None) -> None:
        super().__init__()
        if not np.isfinite(strength):
            raise ModelError(f"the strength of the basal anisotropy must be a finite energy, got {strength}")
        self.strength = float(strength)
        self.units = units

    @classmethod
    def from_config(cls, config: BasalConfig) -> BasalAnisotropyCalculator:
        """Calculator from the table of an input file."""
        return cls(config.strength)

    def freeze(self, geometry: Geometry) -> int:
        """What depends on the geometry only: here just the number of sites (others put neighbour lists here)."""
        return len(geometry)

    def solve(self, frozen: int, spins: FloatArray, lengths: FloatArray) -> ComplexArray:
        """What is worth sharing between results: z_i = s_x + i s_y."""
        return spins[:, 0] + 1j * spins[:, 1]

    def derive(self, name: str, frozen: int, state: ComplexArray, spins: FloatArray, lengths: FloatArray) -> Any:
        """One result from the state."""
        if name in ("energy", "free_energy"):
            return -self.strength * float(np.sum(state**6).real)
        if name == "magnetic_forces":
            fifth = 6.0 * self.strength * state**5
            return per_moment(np.stack([fifth.real, -fifth.imag, np.zeros(frozen)], axis=1), lengths)
        return np.zeros((frozen, 3)) if name == "forces" else np.zeros(6)
