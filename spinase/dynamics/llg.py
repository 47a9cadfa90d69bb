"""Landau-Lifshitz-Gilbert dynamics of the spins of any ASE calculator that gives magnetic forces."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from ase import Atoms
from pydantic import BaseModel, ConfigDict, Field

from spinase.dynamics.motion import FreeLengthSpins, InertialSpins, SpinMotion
from spinase.dynamics.ramp import FieldRampConfig, NotNegative, RampConfig, built
from spinase.dynamics.spin_dynamics import SpinDynamics
from spinase.errors import ModelError


class LLGConfig(BaseModel):
    """Options of the ``llg`` driver in an input file."""

    model_config = ConfigDict(extra="forbid")

    timestep: float = Field(gt=0, description='time step, a number (metal: ASE\'s unit, 1 fs = 0.0982) or "1 fs" [time]')
    damping: float = Field(0.0, ge=0, description="Gilbert damping alpha [1]")
    integrator: str = Field("sib", description="heun, depondt, sib, midpoint, or one of a plugin")
    form: Literal["landau-lifshitz-gilbert", "landau-lifshitz"] = Field(
        "landau-lifshitz-gilbert", description="with or without the factor 1/(1 + damping^2)"
    )
    kT: NotNegative | RampConfig = Field(  # noqa: N815
        0.0, description='temperature of the spin bath as an energy or "300 K", or a ramp { from, to } [eV or t]'
    )
    temperature_K: NotNegative | RampConfig | None = Field(  # noqa: N815
        None, description="the same in kelvin, metal units only [K]"
    )
    field: tuple[float, float, float] | FieldRampConfig | None = Field(
        None, description='uniform applied field, [0, 0, 1] or "0 0 5 T", or a ramp { from, to } [eV/mu_B or t/|m|]'
    )
    frozen: list[int] | None = Field(None, description="indices of spins that do not move")
    axes: tuple[float, float, float] | None = Field(None, description="axis about which spins turn; absent: freely")
    inertia: float | None = Field(None, gt=0, description="inertial spins: eta of s x d2s/dt2 [time]")
    longitudinal_rate: float | None = Field(None, ge=0, description="free-length spins: their rate [moment^2/(energy time)]")

    def motion(self) -> SpinMotion | None:
        """The equation of motion that replaces LLG, if one is asked for."""
        if self.inertia is not None and self.longitudinal_rate is not None:
            raise ModelError("spins are either inertial or of free length: give one of inertia and longitudinal_rate")
        if self.inertia is not None:
            return InertialSpins(self.inertia)
        return None if self.longitudinal_rate is None else FreeLengthSpins(self.longitudinal_rate)

    def options(self, *leave_out: str) -> dict[str, Any]:
        """Arguments of the driver."""
        table = {name: built(value) for name, value in self if name not in leave_out}
        del table["inertia"], table["longitudinal_rate"]
        return {**table, "motion": self.motion()}


class LLGDynamics(SpinDynamics):
    r"""Spin dynamics at frozen positions.

    .. math:: \dot s_i = -\frac{\gamma}{1+\alpha^2}\,[\,s_i\times B_i + \alpha\, s_i\times(s_i\times B_i)\,]

    with s_i -> the unit vector along the moment, B_i -> ``magnetic_forces`` + applied field + thermal field
    (energy/moment), gamma -> g_i mu_B/hbar with the g factors of the atoms (default 2; ``spinase.atoms.set_g_factors``;
    reduced units: g_i/2), alpha -> `damping`.  ``form="landau-lifshitz"`` leaves
    out 1/(1 + alpha^2).  The thermal field is white, of variance 2 alpha kT/(gamma mu_i dt) per component (Gilbert form;
    alpha/(1 + alpha^2) for alpha in the Landau-Lifshitz form), Stratonovich (Brown, Phys. Rev. 130, 1677 (1963)).

    Any calculator with ``magnetic_forces`` can drive it; one without, or one that ignores the moments, is refused.

    Parameters
    ----------
    atoms : Atoms
        The magnet with its calculator; plain ``Atoms`` or ``SpinAtoms``.  Sites with zero moment stay so.
    timestep : float
        Time step, ASE time units (use ``ase.units.fs``) or hbar/t, following the unit system of the atoms.
        In metal units this, temperatures and a field may be texts: ``"1 fs"``, ``"20 meV"``, ``"300 K"``, ``"0 0 5 T"``.
    damping : float
        Gilbert damping alpha.
    integrator : str or Integrator
        ``"heun"``, ``"depondt"``, ``"sib"``, ``"midpoint"``, a plugin's name of the kind ``integrators``, or an
        :class:`~spinase.dynamics.integrators.Integrator`.
    form : str
        ``"landau-lifshitz-gilbert"`` (default) or ``"landau-lifshitz"``.
    kT, temperature_K : float or function of time
        Temperature of the bath as an energy, or in kelvin (metal units only); 0: no noise.
    field : array (3,) or (N, 3), or function of time, optional
        Applied magnetic field B, energy/moment (metal: eV/mu_B; one tesla is ``spinase.units.METAL.tesla``).  Its energy
        is in the log, not in ``atoms.get_potential_energy()``: a ``ZeemanCalculator`` in a sum puts it there.
    frozen : mask or indices, optional
        Spins that do not move.
    axes : array (3,) or (N, 3), optional
        Constrained spins turn about these axes n only: s.n stays (rotors in a plane, spins on a cone); zero rows: free.
        The part of the field along n is taken up by the constraint (it does no work, and a bath gives Boltzmann's angles).
    motion : SpinMotion, optional
        Another equation of motion: :class:`~spinase.dynamics.InertialSpins` or :class:`~spinase.dynamics.FreeLengthSpins`.
    rng : numpy Generator or int, optional
        Source of the thermal field, or a seed; required when there is a temperature.
    trajectory, logfile, loginterval
        As in ASE's molecular dynamics.
    probe : bool
        Check once, at the first step, that the calculator depends on the moments.

    Raises
    ------
    MissingMagneticForcesError, MomentsIgnoredError, UnitMismatchError, InvalidMomentsError, ModelError, StyleError
    """

    Config = LLGConfig
    citation = "T. L. Gilbert, IEEE Trans. Magn. 40, 3443 (2004), doi:10.1109/TMAG.2004.836740"

    @classmethod
    def from_config(cls, config: LLGConfig, atoms: Atoms, rng: np.random.Generator) -> LLGDynamics:
        """Driver from the table of an input file."""
        return cls(atoms, rng=rng, **config.options())


__all__ = ["LLGConfig", "LLGDynamics"]
