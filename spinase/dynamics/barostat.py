"""Constant pressure: an isotropic Martyna-Tobias-Klein piston around the spin-lattice step, with ASE's chain on it."""

from __future__ import annotations

from typing import Any

import ase.units
import numpy as np
from ase import Atoms
from ase.md.nose_hoover_chain import IsotropicMTKBarostat
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import exprel

from spinase.amounts import plain_number
from spinase.contract import gives, members_of, refused_properties
from spinase.errors import ModelError, UnstableDynamicsError
from spinase.typing import FloatArray
from spinase.units import METAL

_LARGEST_STRAIN = 0.1


class BarostatConfig(BaseModel):
    """Options of the barostat ``isotropic``."""

    model_config = ConfigDict(extra="forbid")

    kT: float = Field(gt=0, description="temperature of the piston as an energy: that of the thermostat [eV or t]")  # noqa: N815
    pressure: float = Field(description="outer pressure [energy/length^3]")
    relaxation: float = Field(gt=0, description="characteristic time of the volume [time]")


class IsotropicBarostat:
    """Volume at constant pressure; the shape of the cell stays.

    The piston's own Nose-Hoover chain is ASE's ``IsotropicMTKBarostat``; the atoms need a thermostat of their own
    (Langevin or Bussi).  Stress comes from the calculator.

    Parameters
    ----------
    kT : float or str
        Temperature of the piston as an energy: that of the atoms' thermostat; ``"300 K"`` in metal units.
    pressure : float or str
        Outer pressure, energy/length^3 (``ase.units.GPa``); ``"1 GPa"`` in metal units.
    relaxation : float or str
        Characteristic time of the volume, time; a thousand time steps or so; ``"1 ps"`` in metal units.

    Raises
    ------
    UnstableDynamicsError
        During a run, if the piston is too light.
    """

    Config = BarostatConfig
    citation = "G. J. Martyna, D. J. Tobias, M. L. Klein, J. Chem. Phys. 101, 4177 (1994), doi:10.1063/1.467468"

    units: str | None = None  # "metal" where amounts were given with their units

    def __init__(self, kT: float | str, pressure: float | str, relaxation: float | str) -> None:  # noqa: N803
        if any(isinstance(value, str) for value in (kT, pressure, relaxation)):
            self.units = METAL.name
        self.kT: float = float(plain_number(kT, "energy", METAL, "kT of a barostat"))
        self.pressure: float = float(plain_number(pressure, "energy/length^3", METAL, "pressure of a barostat"))
        self.relaxation: float = float(plain_number(relaxation, "time", METAL, "relaxation of a barostat"))
        for name, value, good in (
            ("kT", self.kT, self.kT > 0),
            ("pressure", self.pressure, True),
            ("relaxation", self.relaxation, self.relaxation > 0),
        ):
            if not (np.isfinite(value) and good):
                raise ModelError(f"{name} of a barostat must be finite (kT and relaxation: positive), got {value}")
        self.momentum = 0.0
        self._chain: Any = None
        self._sites = self._freedoms = 0

    @classmethod
    def from_config(cls, config: BarostatConfig) -> IsotropicBarostat:
        """Barostat from its table."""
        return cls(config.kT, config.pressure, config.relaxation)

    def attach(self, atoms: Atoms, freedoms: int | None = None) -> None:
        """Set up for these atoms, of whose momenta `freedoms` components move (default: 3N; 3N - 3 at fixed momentum).

        Raises
        ------
        ModelError
            Without periodic boundaries, with constraints, or without a stress.
        """
        if not atoms.pbc.all():
            raise ModelError(
                f"constant pressure needs periodic boundaries in all directions, got pbc = {atoms.pbc.tolist()}"
            )
        if atoms.constraints:
            raise ModelError("constant pressure does not go with constraints on the atoms: remove them")
        for calc in [atoms.calc, *members_of(atoms.calc)]:
            if not gives(calc, "stress") and (gives(calc, "forces") or calc is atoms.calc):
                why = refused_properties(calc).get("stress", "constant pressure needs that of every force")
                raise ModelError(f"{type(calc).__name__} has no stress: {why}")
        self._freedoms = 3 * len(atoms) if freedoms is None else int(freedoms)
        if self._chain is None or self._sites != len(atoms):
            self._sites = len(atoms)
            self._chain = IsotropicMTKBarostat(len(atoms), self.kT / ase.units.kB, self.relaxation)

    def heat(self, time: float) -> None:
        """The chain acts on the piston."""
        self.momentum = self._chain.integrate_nhc_baro(self.momentum, time)

    def push(self, atoms: Atoms, time: float) -> None:
        """The pressure difference acts on the piston."""
        stress = atoms.get_stress(voigt=False, include_ideal_gas=True)
        excess = 3.0 * atoms.get_volume() * (-np.trace(stress) / 3.0 - self.pressure)
        self.momentum += time * (excess + 6.0 * atoms.get_kinetic_energy() / self._freedoms)

    def kick(self, momenta: FloatArray, forces: FloatArray, time: float) -> FloatArray:
        """Momenta after `time` in the forces and the motion of the piston.

        Parameters
        ----------
        momenta : (N, 3) ndarray
            Of the atoms, mass length/time.
        forces : (N, 3) ndarray
            On them, energy/length.
        time : float
            For how long, time.
        """
        x = (1.0 + 3.0 / self._freedoms) * self.momentum * time / self._chain.W
        return np.asarray(momenta * np.exp(-x) + time * forces * exprel(-x))

    def drift(self, atoms: Atoms, time: float) -> None:
        """Positions and cell after `time`."""
        x = self.momentum * time / self._chain.W
        if not abs(x) < _LARGEST_STRAIN:
            raise UnstableDynamicsError(
                f"the cell changed by {x:.2g} in half a step: the piston is too light, increase its relaxation time "
                f"(now {self.relaxation:.4g}; its mass is proportional to kT and to the square of that time)"
            )
        velocities = atoms.get_momenta() / atoms.get_masses()[:, None]
        positions = atoms.get_positions() * np.exp(x) + time * velocities * exprel(x)
        atoms.set_cell(atoms.cell.array * np.exp(x), scale_atoms=False)
        atoms.set_positions(positions)

    def energy(self, atoms: Atoms) -> float:
        """What the piston adds to the conserved energy: its own, its chain's, and pressure times volume."""
        chain = float(self._chain.get_barostat_energy())
        return self.momentum**2 / (2.0 * self._chain.W) + chain + self.pressure * float(atoms.get_volume())

    def state(self) -> dict[str, Any]:
        """What a bit-exact restart needs."""
        return {"momentum": self.momentum, "xi": self._chain._xi.copy(), "p_xi": self._chain._p_xi.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state` gave."""
        self.momentum = float(state["momentum"])
        self._chain._xi, self._chain._p_xi = np.array(state["xi"]), np.array(state["p_xi"])


__all__ = ["IsotropicBarostat"]
