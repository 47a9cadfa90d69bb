"""Classical spin models as ASE calculators: exchange, DMI, biquadratic, anisotropies, Zeeman."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spinase.calculators.base import SpinCalculator, per_moment
from spinase.classical import Biquadratic, CubicAnisotropy, DzyaloshinskiiMoriya, Heisenberg, UniaxialAnisotropy, Zeeman
from spinase.classical.terms import FrozenTerm, Term
from spinase.errors import InvalidGeometryError, ModelError
from spinase.geometry import Geometry
from spinase.pair_laws import DistanceLaw, PairLaw, ShellLaw
from spinase.radial import Exponential, RadialLaw
from spinase.spin_algebra import normalized

FloatArray = NDArray[np.float64]
_ALL = SpinCalculator.symmetries


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ExponentialLawConfig(_Table):
    """v(r) = amplitude exp(-decay (r - reference)), smoothly cut off."""

    amplitude: float = Field(description="coupling at the reference distance [energy]")
    decay: float = Field(description="inverse decay length [1/length]")
    reference: float = Field(description="reference distance [length]")
    cutoff: float = Field(gt=0, description="distance beyond which the coupling is zero [length]")
    switch_width: float | None = Field(None, gt=0, description="width of the smooth step before the cutoff [length]")

    def build(self) -> RadialLaw:
        """The law of distance."""
        width = 0.1 * self.cutoff if self.switch_width is None else self.switch_width
        return Exponential(self.amplitude, self.decay, self.reference, self.cutoff, width)


class PairConfig(_Table):
    """Coupling by neighbour shell, or by distance."""

    shells: list[float] | None = Field(None, description="couplings by neighbour shell of a lattice [energy]")
    law: ExponentialLawConfig | None = Field(None, description="coupling as a function of distance")

    @model_validator(mode="after")
    def _one_law(self) -> PairConfig:
        if (self.shells is None) == (self.law is None):
            raise ValueError("give exactly one of shells and law")
        return self

    def radial(self) -> RadialLaw | None:
        """The law of distance, if there is one."""
        return None if self.law is None else self.law.build()


class DMIConfig(PairConfig):
    """Dzyaloshinskii-Moriya interaction."""

    normal: tuple[float, float, float] | None = Field(None, description="normal of an interfacial DMI; absent: bulk DMI")


class UniaxialConfig(_Table):
    """Uniaxial anisotropy."""

    strength: float = Field(description="K per site, positive: easy axis [energy]")
    axis: tuple[float, float, float] = Field((0, 0, 1), description="axis")


class CubicConfig(_Table):
    """Cubic anisotropy."""

    strength: float = Field(description="K per site, positive: cube axes easy [energy]")
    axes: tuple[tuple[float, float, float], ...] | None = Field(None, description="orthogonal cube axes; default x, y, z")


class ZeemanConfig(_Table):
    """Uniform magnetic field on the moments."""

    field: tuple[float, float, float] = Field(description="B [energy/moment; metal: eV/mu_B]")


class TermCalculator(SpinCalculator[FrozenTerm, None]):
    """Calculator of one classical term; the subclasses below build the term.

    Parameters
    ----------
    term : Term
        The energy term.
    units : str, optional
        Unit system of its parameters; default: whatever the atoms are in.
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress", "magnetic_forces", "torques"]

    def __init__(self, term: Term, *, units: str | None = None) -> None:
        super().__init__()
        self._term = term
        self.units = units
        self._volume = 0.0

    @property
    def term(self) -> Term:
        """The energy term (fixed: build another calculator for another one)."""
        return self._term

    def freeze(self, geometry: Geometry) -> FrozenTerm:
        """The term's neighbour lists."""
        self._volume = geometry.volume
        return self._term.freeze(geometry)

    def solve(self, frozen: FrozenTerm, spins: FloatArray, lengths: FloatArray) -> None:
        """Nothing to solve: every result is a closed formula of the spins."""

    def derive(self, name: str, frozen: FrozenTerm, state: None, spins: FloatArray, lengths: FloatArray) -> Any:
        """One result of the term."""
        if name == "magnetic_forces":
            return per_moment(frozen.gradient(spins, lengths), lengths)
        if name in ("energy", "free_energy"):
            return frozen.energy(spins, lengths)
        forces, virial = frozen.lattice(spins, lengths)
        if name == "forces":
            return forces
        if self._volume == 0.0:
            raise InvalidGeometryError("stress needs a cell with a volume: set three independent cell vectors")
        # Strains are symmetric; spins stay put, so an energy that couples them to the lattice has a virial that is not.
        virial = 0.5 * (virial + virial.T)
        return np.array([virial[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]) / self._volume


class HeisenbergCalculator(TermCalculator):
    """Heisenberg exchange, E = -sum_{i<j} J_ij s_i.s_j (each pair once; J > 0 ferromagnetic).

    Parameters
    ----------
    shells : sequence of float, optional
        J_1, J_2, ... by neighbour shell of a lattice, energy; no forces on atoms.
    law : RadialLaw, optional
        J(r), energy, with its derivative: gives forces and stress.  Give exactly one of the two.
    units : str, optional
        Unit system of J.
    """

    Config = PairConfig
    citation = "W. Heisenberg, Z. Phys. 49, 619 (1928)"

    def __init__(
        self, shells: Sequence[float] | None = None, law: RadialLaw | None = None, *, units: str | None = None
    ) -> None:
        super().__init__(Heisenberg(pair_law(shells, law)), units=units)

    @classmethod
    def from_config(cls, config: PairConfig) -> HeisenbergCalculator:
        """Calculator from the table of an input file."""
        return cls(config.shells, config.radial())


class BiquadraticCalculator(TermCalculator):
    """Biquadratic exchange, E = -sum_{i<j} K_ij (s_i.s_j)^2 (K > 0: collinear); parameters as for Heisenberg exchange."""

    Config = PairConfig
    citation = "N. S. Fedorova et al., Phys. Rev. B 91, 165122 (2015)"

    def __init__(
        self, shells: Sequence[float] | None = None, law: RadialLaw | None = None, *, units: str | None = None
    ) -> None:
        super().__init__(Biquadratic(pair_law(shells, law)), units=units)

    @classmethod
    def from_config(cls, config: PairConfig) -> BiquadraticCalculator:
        """Calculator from the table of an input file."""
        return cls(config.shells, config.radial())


class DMICalculator(TermCalculator):
    """Dzyaloshinskii-Moriya interaction, E = -sum_{i<j} D_ij.(s_i x s_j), D_ij = D e_ij or D n x e_ij.

    Parameters
    ----------
    shells, law
        D by neighbour shell or by distance, energy, as for Heisenberg exchange.
    normal : (3,), optional
        Normal n of an interfacial DMI; default: bulk DMI along the bonds e_ij.
    units : str, optional
        Unit system of D.
    """

    Config = DMIConfig
    citation = "T. Moriya, Phys. Rev. 120, 91 (1960)"

    def __init__(
        self,
        shells: Sequence[float] | None = None,
        law: RadialLaw | None = None,
        normal: ArrayLike | None = None,
        *,
        units: str | None = None,
    ) -> None:
        direction = None if normal is None else unit_vector(normal, "normal")
        super().__init__(DzyaloshinskiiMoriya(pair_law(shells, law), direction), units=units)
        broken = {"spin_rotation", "lattice_rotation"} | (set() if normal is None else {"joint_rotation"})
        self.symmetries = _ALL - broken

    @classmethod
    def from_config(cls, config: DMIConfig) -> DMICalculator:
        """Calculator from the table of an input file."""
        return cls(config.shells, config.radial(), config.normal)


class UniaxialAnisotropyCalculator(TermCalculator):
    """Uniaxial anisotropy, E = -K sum (s.n)^2 (K > 0: easy axis).

    Parameters
    ----------
    strength : float
        K per site, energy.
    axis : (3,)
        Direction n (normalized here).
    units : str, optional
        Unit system of K.
    """

    Config = UniaxialConfig
    citation = "L. D. Landau and E. M. Lifshitz, Electrodynamics of Continuous Media, sec. 40"
    symmetries = _ALL - {"spin_rotation", "joint_rotation"}

    def __init__(self, strength: float, axis: ArrayLike = (0, 0, 1), *, units: str | None = None) -> None:
        super().__init__(UniaxialAnisotropy(finite(strength, "strength"), unit_vector(axis, "axis")), units=units)

    @classmethod
    def from_config(cls, config: UniaxialConfig) -> UniaxialAnisotropyCalculator:
        """Calculator from the table of an input file."""
        return cls(config.strength, config.axis)


class CubicAnisotropyCalculator(TermCalculator):
    """Cubic anisotropy, E = K sum (sx^2 sy^2 + sy^2 sz^2 + sz^2 sx^2) (K > 0: cube axes easy).

    Parameters
    ----------
    strength : float
        K per site, energy.
    axes : (3, 3), optional
        Orthogonal rows, the cube axes (normalized here); default x, y, z.
    units : str, optional
        Unit system of K.
    """

    Config = CubicConfig
    citation = "L. D. Landau and E. M. Lifshitz, Electrodynamics of Continuous Media, sec. 40"
    symmetries = _ALL - {"spin_rotation", "joint_rotation"}

    def __init__(self, strength: float, axes: ArrayLike | None = None, *, units: str | None = None) -> None:
        frame = np.eye(3) if axes is None else np.array([unit_vector(axis, "cube axis") for axis in np.asarray(axes)])
        if frame.shape != (3, 3) or not np.allclose(frame @ frame.T, np.eye(3), atol=1e-9):
            raise ModelError(f"cube axes must be three orthogonal vectors, got {axes!r}")
        super().__init__(CubicAnisotropy(finite(strength, "strength"), frame), units=units)

    @classmethod
    def from_config(cls, config: CubicConfig) -> CubicAnisotropyCalculator:
        """Calculator from the table of an input file."""
        return cls(config.strength, config.axes)


class ZeemanCalculator(TermCalculator):
    """Zeeman energy of the moments, E = -sum m_i.B.

    Parameters
    ----------
    field : (3,)
        B, energy/moment (metal: eV/mu_B; one tesla is ``spinase.units.METAL.tesla``).
    units : str, optional
        Unit system of B.
    """

    Config = ZeemanConfig
    citation = "P. Zeeman, Nature 55, 347 (1897)"
    symmetries = _ALL - {"spin_rotation", "joint_rotation", "time_reversal"}

    def __init__(self, field: ArrayLike, *, units: str | None = None) -> None:
        value = np.asarray(field, dtype=np.float64)
        if value.shape != (3,) or not np.isfinite(value).all():
            raise ModelError(f"a Zeeman field must be a finite vector of three numbers, got {field!r}")
        super().__init__(Zeeman(value), units=units)

    @classmethod
    def from_config(cls, config: ZeemanConfig) -> ZeemanCalculator:
        """Calculator from the table of an input file."""
        return cls(config.field)


def pair_law(shells: Sequence[float] | None, law: RadialLaw | None) -> PairLaw:
    """A shell law or a law of distance, whichever is given; ModelError unless exactly one is."""
    if (shells is None) == (law is None):
        raise ModelError("give exactly one of shells=[...] (by neighbour shell) and law=... (by distance)")
    if law is not None:
        return DistanceLaw(law)
    assert shells is not None
    return ShellLaw(shells)


def unit_vector(vector: ArrayLike, what: str) -> FloatArray:
    """`vector` (3,) normalized; ModelError if it is no finite vector."""
    value = np.asarray(vector, dtype=np.float64)
    if value.shape != (3,) or not np.isfinite(value).all():
        raise ModelError(f"{what} must be a finite vector of three numbers, got {vector!r}")
    return normalized(value[None, :], what)[0]


def finite(value: float, what: str) -> float:
    """`value` as a float; ModelError if it is not finite."""
    if not np.isfinite(value):
        raise ModelError(f"{what} must be finite, got {value}")
    return float(value)
