"""Spin-transfer torques as driven calculators: they have fields, but no energy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from pydantic import Field

from spinase.atoms import gyromagnetic_ratios
from spinase.calculators.classical import TermCalculator
from spinase.calculators.options import finite, number_of, unit_vector
from spinase.classical import Slonczewski, Term, ZhangLi
from spinase.contract import FieldFunction, check_units
from spinase.errors import ModelError
from spinase.law_tables import OptionTable
from spinase.typing import FloatArray
from spinase.units import unit_system


class SlonczewskiConfig(OptionTable):
    """Spin-transfer torque of a current through the layer."""

    polarization: tuple[float, float, float] = Field(description="direction of the current's polarization")
    damping_like: float = Field(description="a of B = a s x p + b p [energy/moment]")
    field_like: float = Field(0.0, description="b [energy/moment]")


class ZhangLiConfig(OptionTable):
    """Spin-transfer torque of a current in the plane."""

    velocity: tuple[float, float, float] = Field(description="drift velocity u of the texture [length/time]")
    nonadiabaticity: float = Field(0.0, description="beta")
    units: str = Field("metal", description="unit system of the velocity: metal or reduced")
    species: list[str] | None = Field(None, description="the magnetic species; absent: all sites are")


class DrivenTermCalculator(TermCalculator):
    """Calculator of a driven term: magnetic forces and torques only."""

    conservative = False
    implemented_properties = ["magnetic_forces", "torques"]
    symmetries = TermCalculator.symmetries - {"spin_rotation", "lattice_rotation", "joint_rotation", "time_reversal"}

    def __init__(self, term: Term, *, units: str | None = None) -> None:
        super().__init__(term, units=units)

    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True) -> Any:
        """As in ASE; energies are refused with the reason."""
        if name in ("energy", "free_energy"):
            self._refuse_energy_if_driven()
        return super().get_property(name, atoms, allow_calculation)

    def local_model(self, atoms: Atoms, lengths: FloatArray) -> None:
        """A driven term has no energy to sample."""
        return


class SlonczewskiCalculator(DrivenTermCalculator):
    """Slonczewski torque: B = a s x p + b p, so ds/dt = -gamma [a s x (s x p) + b s x p] + ...

    A positive `damping_like` turns spins towards p, a negative one away from it.

    Parameters
    ----------
    polarization : (3,)
        Direction p (normalized here).
    damping_like, field_like : float
        a and b, energy/moment (metal: eV/mu_B; a tesla is ``METAL.tesla``).
    units : str, optional
        Unit system of a and b.
    """

    Config = SlonczewskiConfig
    citation = "J. C. Slonczewski, J. Magn. Magn. Mater. 159, L1 (1996), doi:10.1016/0304-8853(96)00062-5"

    def __init__(
        self, polarization: ArrayLike, damping_like: float, field_like: float = 0.0, *, units: str | None = None
    ) -> None:
        direction = unit_vector(polarization, "polarization")
        amplitudes = finite(damping_like, "damping_like"), finite(field_like, "field_like")
        super().__init__(Slonczewski(direction, *amplitudes), units=units)

    @classmethod
    def from_config(cls, config: SlonczewskiConfig) -> SlonczewskiCalculator:
        """Calculator from the table of an input file."""
        return cls(config.polarization, config.damping_like, config.field_like)


class ZhangLiCalculator(DrivenTermCalculator):
    """Zhang-Li torque on a lattice: ds/dt = -(u.grad)s + beta s x (u.grad)s + ..., in the Gilbert form of the equation,
    whatever the g factors of the atoms are (the field is this torque over gamma_i).

    Without damping and with beta = 0 a texture drifts with the velocity u; a domain wall below the Walker limit moves with
    u beta/alpha.

    Parameters
    ----------
    velocity : (3,)
        u, length/time (ASE units: 1 m/s is 1e-5/0.0982 = 1.018e-4 A per ASE time unit).
    nonadiabaticity : float
        beta.
    units : str
        ``"metal"`` or ``"reduced"``: the velocity contains a time, so the system must be known.
    species : sequence of str, optional
        Chemical symbols of the magnetic sites; default: all sites are.
    """

    Config = ZhangLiConfig
    citation = "S. Zhang, Z. Li, Phys. Rev. Lett. 93, 127204 (2004), doi:10.1103/PhysRevLett.93.127204"

    def __init__(
        self,
        velocity: ArrayLike,
        nonadiabaticity: float = 0.0,
        *,
        units: str = "metal",
        species: Sequence[str] | None = None,
    ) -> None:
        value = np.asarray(velocity, dtype=np.float64)
        if value.shape != (3,) or not np.isfinite(value).all() or not value.any():
            raise ModelError(f"velocity must be a finite non-zero vector of three numbers, got {velocity!r}")
        ratio = unit_system(units).gyromagnetic_ratio
        numbers = None if species is None else tuple(number_of(symbol) for symbol in species)
        self._torque = ZhangLi(value, finite(nonadiabaticity, "nonadiabaticity"), ratio, numbers)
        super().__init__(self._torque, units=units)

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What changed, as in ASE; other g factors are another field for the same drift velocity."""
        changes = super().check_state(atoms, tol)
        if not np.array_equal(self._torque.gyromagnetic_ratio, gyromagnetic_ratios(atoms)):
            changes.append("numbers")
        return changes

    def field_function(self, atoms: Atoms, lengths: FloatArray | None = None) -> FieldFunction:
        """B(spins) for the g factors of the atoms (see ``contract.FastFields``)."""
        check_units(atoms, self)
        self._take_ratios(atoms)
        return super().field_function(atoms, lengths)

    def _calculate(self, atoms: Atoms, names: list[str], system_changes: list[str]) -> None:
        check_units(atoms, self)
        self._take_ratios(atoms)
        super()._calculate(atoms, names, system_changes)

    def _take_ratios(self, atoms: Atoms) -> None:
        ratios = gyromagnetic_ratios(atoms)
        if not np.array_equal(self._torque.gyromagnetic_ratio, ratios):
            self._torque = replace(self._torque, gyromagnetic_ratio=ratios)
            self._term, self._frozen, self._state = self._torque, None, None

    @classmethod
    def from_config(cls, config: ZhangLiConfig) -> ZhangLiCalculator:
        """Calculator from the table of an input file."""
        return cls(config.velocity, config.nonadiabaticity, units=config.units, species=config.species)


__all__ = ["SlonczewskiCalculator", "ZhangLiCalculator"]
