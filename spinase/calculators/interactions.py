"""More classical terms as ASE calculators: dipoles, Neel anisotropy, tables of couplings, pair and Landau potentials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from spinase.calculators.base import SpinCalculator
from spinase.calculators.classical import TermCalculator
from spinase.calculators.options import (
    Coupling,
    OnePairConfig,
    PairTable,
    finite,
    law_of,
    pair_law,
)
from spinase.classical import Dipole, Landau, Neel, PairPotential
from spinase.errors import ModelError
from spinase.law_tables import OptionTable
from spinase.radial import RadialLaw
from spinase.units import METAL

_ALL = SpinCalculator.symmetries


class DipoleConfig(OptionTable):
    """Dipole-dipole interaction."""

    strength: float | None = Field(None, description="mu_0/4 pi [energy length^3/moment^2]; absent: that of metal units")
    demagnetization: tuple[float, float, float] | None = Field(
        None, description="demagnetizing factors of the sample's shape (periodic boundaries); absent: no surface"
    )
    accuracy: float = Field(
        1e-10, gt=0, lt=1, description="what the Ewald sums neglect, relative to the field of aligned moments"
    )
    dtype: Literal["float64", "float32"] = Field("float64", description="precision of the transforms of lattices")


class NeelConfig(OptionTable):
    """Neel's pair anisotropy."""

    dipolar: OnePairConfig = Field(
        description="g(r): a table with one of shells, law, power, bethe_slater, morse, tabulated [energy]"
    )
    quadrupolar: OnePairConfig | None = Field(None, description="q(r), likewise [energy]")


class PairPotentialConfig(OnePairConfig):
    """Pair potential of the atoms."""


class LandauConfig(OptionTable):
    """Landau energy of the moments' lengths."""

    coefficients: tuple[float, float, float] = Field(description="a, b, c of a m^2 + b m^4 + c m^6 [energy/moment^2n]")
    species: list[str] | None = Field(None, description="only on sites of these species; absent: all")


class DipoleCalculator(TermCalculator):
    """Dipole-dipole interaction, E = (mu_0/4 pi) sum_{i<j} [m_i.m_j/r^3 - 3 (m_i.r)(m_j.r)/r^5].

    Lattices of 256 sites and more by fast Fourier transforms, to round-off: any cell, sublattices, holes, boundaries that
    are open, periodic or both (films, wires; these give no forces).  Elsewhere all pairs for open boundaries, Ewald sums for
    periodic ones.  Periodic in three directions means conducting surroundings: no surface.

    Parameters
    ----------
    strength : float, optional
        mu_0/4 pi, energy length^3/moment^2; default: that of metal units, 5.368e-5 eV A^3/mu_B^2.
    demagnetization : (3,), optional
        Demagnetizing factors of a periodic sample's shape: (1/3, 1/3, 1/3) a sphere, (0, 0, 1) a film across z.
    accuracy : float
        Bound of what the Ewald sums neglect, relative to aligned moments of the largest length m at the mean density n of
        sites, B0 = 4 pi/3 C n m: fields B0, energy N m B0/2, forces m B0 n^(1/3).
    dtype : str
        Precision of the transforms of lattices: ``"float64"``, or ``"float32"``: 1e-6 of the fields, 0.6 of the time.
    """

    Config = DipoleConfig
    citation = "S. W. de Leeuw, J. W. Perram, E. R. Smith, Proc. R. Soc. A 373, 27 (1980), doi:10.1098/rspa.1980.0135"
    symmetries = _ALL - {"spin_rotation", "lattice_rotation"}

    def __init__(
        self,
        strength: float | None = None,
        demagnetization: ArrayLike | None = None,
        accuracy: float = 1e-10,
        *,
        dtype: str = "float64",
    ) -> None:
        factors = None if demagnetization is None else np.asarray(demagnetization, dtype=np.float64)
        if factors is not None and (factors.shape != (3,) or not np.isfinite(factors).all()):
            raise ModelError(f"demagnetization must be three finite factors, got {demagnetization!r}")
        if not 0.0 < accuracy < 1.0:
            raise ModelError(f"accuracy must lie between 0 and 1, got {accuracy}")
        if dtype not in ("float64", "float32"):
            raise ModelError(f"dtype must be 'float64' or 'float32', got {dtype!r}")
        assert METAL.dipole_constant is not None
        value = METAL.dipole_constant if strength is None else finite(strength, "strength")
        super().__init__(Dipole(value, factors, accuracy, dtype), units="metal" if strength is None else None)
        self.field_resolution = 1e-6 if dtype == "float32" else 0.0  # relative round-off, see contract.field_resolution
        if factors is not None:
            self.symmetries = self.symmetries - {"joint_rotation"}

    @classmethod
    def from_config(cls, config: DipoleConfig) -> DipoleCalculator:
        """Calculator from the table of an input file."""
        return cls(config.strength, config.demagnetization, config.accuracy, dtype=config.dtype)


class NeelCalculator(TermCalculator):
    """Neel's pair anisotropy (magneto-elastic), in the form of LAMMPS' ``spin/neel``.

    E = -sum_{i<j} { g1 [a b - c/3] + q1 [a^2 - c/3][b^2 - c/3] + q2 [a b^3 + b a^3] }, a = e.s_i, b = e.s_j, c = s_i.s_j,
    g1 = g + 12 q/35, q1 = 9 q/5, q2 = -2 q/5.

    Parameters
    ----------
    dipolar : sequence of float, ShellLaw or RadialLaw
        g by neighbour shell or by distance, energy.
    quadrupolar : sequence of float, ShellLaw or RadialLaw, optional
        q, energy.
    units : str, optional
        Unit system of g and q.
    """

    Config = NeelConfig
    citation = "L. Neel, J. Phys. Radium 15, 225 (1954)"
    symmetries = _ALL - {"spin_rotation", "lattice_rotation"}

    def __init__(
        self,
        dipolar: Coupling,
        quadrupolar: Coupling | None = None,
        *,
        units: str | None = None,
    ) -> None:
        laws = [law_of(coupling) for coupling in (dipolar, quadrupolar) if coupling is not None]
        super().__init__(Neel(*laws), units=units)

    @classmethod
    def from_config(cls, config: NeelConfig) -> NeelCalculator:
        """Calculator from the table of an input file."""
        return cls(config.dipolar.coupling(), None if config.quadrupolar is None else config.quadrupolar.coupling())


class PairPotentialCalculator(TermCalculator):
    """Pair potential of the atoms, E = sum_{i<j} v(r_ij), in any unit system; it does not see the spins.

    Parameters
    ----------
    law : RadialLaw, optional
        v(r), energy.
    pairs : mapping, optional
        A table by species, ``{"Fe-Co": law}``.  Give exactly one of the two.
    units : str, optional
        Unit system of v.
    """

    Config = PairPotentialConfig
    implemented_properties = ["energy", "free_energy", "forces", "stress"]
    citation = "J. E. Lennard-Jones, Proc. R. Soc. A 106, 463 (1924), doi:10.1098/rspa.1924.0082"

    def __init__(self, law: RadialLaw | None = None, pairs: PairTable | None = None, *, units: str | None = None) -> None:
        super().__init__(PairPotential(pair_law(None, law, pairs)), units=units)

    @classmethod
    def from_config(cls, config: PairPotentialConfig) -> PairPotentialCalculator:
        """Calculator from the table of an input file."""
        coupling = config.coupling()
        if not isinstance(coupling, RadialLaw):
            raise ModelError("a pair potential needs a law of distance, not neighbour shells")
        return cls(coupling)


class LandauCalculator(TermCalculator):
    """Landau energy of the moments' lengths, E = sum a |m|^2 + b |m|^4 + c |m|^6, for free-length dynamics.

    Parameters
    ----------
    coefficients : (3,)
        a, b, c, energy/moment^2, ^4, ^6.
    units : str, optional
        Unit system of them.
    species : sequence of str, optional
        Only on sites of these species.
    """

    Config = LandauConfig
    citation = "P.-W. Ma, S. L. Dudarev, Phys. Rev. B 86, 054416 (2012), doi:10.1103/PhysRevB.86.054416"

    def __init__(self, coefficients: ArrayLike, *, units: str | None = None, species: Sequence[str] | None = None) -> None:
        values = np.asarray(coefficients, dtype=np.float64)
        if values.shape != (3,) or not np.isfinite(values).all():
            raise ModelError(f"Landau coefficients must be three finite numbers a, b, c, got {coefficients!r}")
        super().__init__(Landau(values), units=units, species=species)

    @classmethod
    def from_config(cls, config: LandauConfig) -> LandauCalculator:
        """Calculator from the table of an input file."""
        return cls(config.coefficients, species=config.species)


__all__ = [
    "DipoleCalculator",
    "LandauCalculator",
    "NeelCalculator",
    "PairPotentialCalculator",
]
