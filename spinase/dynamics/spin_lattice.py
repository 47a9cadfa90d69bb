"""Atoms and spins that move together, on any calculator with forces and magnetic forces."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spinase.contract import begin_step, calculator_of, field_function
from spinase.dynamics.llg import LLGConfig, LLGDynamics
from spinase.dynamics.log import SpinLatticeLogger
from spinase.dynamics.thermostats import LatticeBussi, LatticeLangevin, LatticeThermostat
from spinase.errors import ModelError

FloatArray = NDArray[np.float64]


class SpinLatticeConfig(LLGConfig):
    """Options of the ``spin-lattice`` driver in an input file."""

    integrator: str = Field("midpoint", description="midpoint, sib, depondt, heun, or one of a plugin")
    thermostat: Literal["langevin", "bussi"] | None = Field(None, description="bath of the atoms; absent: none")
    lattice_kT: float | None = Field(None, ge=0, description="temperature of the bath of the atoms [eV or t]")  # noqa: N815
    friction: float | None = Field(None, gt=0, description="rate of the Langevin bath [1/time]")
    relaxation: float | None = Field(None, gt=0, description="time constant of the Bussi bath [time]")
    spin_substeps: int = Field(1, ge=1, description="steps of the spins in one of the atoms [1]")
    fast: int | None = Field(None, ge=0, description="which term of the sum has the fast forces, from 0; absent: none [1]")
    fast_substeps: int = Field(1, ge=1, description="steps of the atoms in fast forces in half a step [1]")
    initial_kT: float | None = Field(None, ge=0, description="Maxwell-Boltzmann momenta at the start [eV or t]")  # noqa: N815

    @model_validator(mode="after")
    def _complete_bath(self) -> SpinLatticeConfig:
        need = {"langevin": "friction", "bussi": "relaxation"}.get(self.thermostat or "")
        for name in ("friction", "relaxation"):
            if (getattr(self, name) is not None) != (name == need):
                raise ValueError(f"thermostat = {self.thermostat!r} {'needs' if name == need else 'has no'} {name}")
        if (self.lattice_kT is None) != (self.thermostat is None):
            raise ValueError(f"thermostat = {self.thermostat!r} {'needs' if self.thermostat else 'has no'} lattice_kT")
        return self

    def bath(self) -> LatticeThermostat | None:
        """The thermostat of the atoms."""
        if self.thermostat is None:
            return None
        assert self.lattice_kT is not None
        if self.thermostat == "langevin":
            assert self.friction is not None
            return LatticeLangevin(self.lattice_kT, self.friction)
        assert self.relaxation is not None
        return LatticeBussi(self.lattice_kT, self.relaxation)


class SpinLatticeDynamics(LLGDynamics):
    r"""Coupled dynamics of atoms (Newton) and spins (LLG): symmetric splitting, second order.

    .. math:: \dot r_i = p_i/m_i, \quad \dot p_i = F_i(r, s), \quad
              \dot s_i = -\frac{\gamma}{1+\alpha^2}[s_i\times B_i + \alpha\, s_i\times(s_i\times B_i)]

    A step is: bath/2 - kick/2 - drift/2 - all spins for a step at these positions - drift/2 - kick/2 - bath/2.  With the
    implicit midpoint rule for the spins and no damping it is time-reversible: the energy (kinetic + ``free_energy``)
    oscillates within an error of order dt^2 and does not drift.  Spins see all fields at once, as electrons and networks
    need (J. Tranchida et al., J. Comput. Phys. 372, 406 (2018) sweep spin by spin instead).

    Parameters
    ----------
    atoms : Atoms
        The magnet with a calculator that has ``forces`` and ``magnetic_forces``; its momenta are used as they are.  ASE
        constraints act on the atoms, `frozen` on the spins.
    timestep : float
        Time step of the atoms, ASE time units or hbar/t.
    thermostat : LatticeThermostat, optional
        Bath of the atoms; the spins' own is kT (or temperature_K) with `damping`.
    spin_substeps : int
        Steps of the spins within one of the atoms, for slow atoms and cheap fields.
    fast : calculator, optional
        A member of a :class:`~spinase.calculators.SpinSumCalculator` whose forces on atoms are integrated with a shorter
        step (a stiff, cheap lattice under dear electrons; r-RESPA, M. Tuckerman et al., J. Chem. Phys. 97, 1990 (1992)).  It
        must not depend on the moments.
    fast_substeps : int
        Velocity-Verlet steps in the fast forces within half a step.
    options
        As of :class:`~spinase.dynamics.LLGDynamics`: damping, integrator (default ``"midpoint"``), form, kT, temperature_K,
        field, frozen, rng, trajectory, logfile, loginterval, probe.

    Raises
    ------
    ModelError
        Besides those of LLGDynamics: without forces, on wrong substeps, or a `fast` calculator that is no member.
    """

    Config = SpinLatticeConfig
    moves_atoms = True
    logger = SpinLatticeLogger
    citation = "J. Tranchida, S. J. Plimpton, P. Thibaudeau, A. P. Thompson, J. Comput. Phys. 372, 406 (2018)"

    def __init__(
        self,
        atoms: Atoms,
        timestep: float,
        *,
        thermostat: LatticeThermostat | None = None,
        spin_substeps: int = 1,
        fast: Any = None,
        fast_substeps: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(atoms, timestep, **{"integrator": "midpoint", **options})
        for name, value in (("spin_substeps", spin_substeps), ("fast_substeps", fast_substeps)):
            if int(value) != value or value < 1:
                raise ModelError(f"{name} must be a positive whole number, got {value!r}")
        if thermostat is not None and self.rng is None:
            raise ModelError("a thermostat needs a random generator: pass rng=numpy.random.default_rng(seed)")
        self.thermostat, self.fast = thermostat, fast
        self.spin_substeps, self.fast_substeps = int(spin_substeps), int(fast_substeps)
        self._check_forces()

    @classmethod
    def from_config(cls, config: LLGConfig, atoms: Atoms, rng: np.random.Generator) -> SpinLatticeDynamics:
        """Driver from the table of an input file."""
        assert isinstance(config, SpinLatticeConfig)
        own = {"thermostat", "lattice_kT", "friction", "relaxation", "initial_kT", "spin_substeps", "fast", "fast_substeps"}
        if config.initial_kT is not None:
            set_maxwell_boltzmann(atoms, config.initial_kT, rng)
        return cls(
            atoms,
            rng=rng,
            thermostat=config.bath(),
            spin_substeps=config.spin_substeps,
            fast=None if config.fast is None else _member(atoms, config.fast),
            fast_substeps=config.fast_substeps,
            **config.model_dump(exclude=own),
        )

    # -- a step -------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Advance atoms and spins by one time step."""
        if self._suspect:
            self._sync()
        half = 0.5 * self.dt
        begin_step(self.atoms.calc)
        self._exchange_heat(half)
        self._kick(half)
        self._drift(half)
        self._turn_spins()
        self._drift(half)
        self._kick(half)
        self._exchange_heat(half)

    def _turn_spins(self) -> None:
        """All spins for a whole step, at the positions in the middle of it."""
        self._fields = field_function(self.atoms, calculator_of(self.atoms), self._lengths)
        part = self.dt / self.spin_substeps
        for k in range(self.spin_substeps):
            self._turn(part, k * part)
        self._write_atoms()

    def _kick(self, time: float) -> None:
        """Momenta in the (slow) forces."""
        forces = self.atoms.get_forces(md=True)
        if self.fast is not None:
            forces = forces - self._fast_forces()
        self.atoms.set_momenta(self.atoms.get_momenta() + time * forces)

    def _drift(self, time: float) -> None:
        """Positions with the present momenta; with fast forces, velocity-Verlet steps in those."""
        if self.fast is None:
            self._move(time)
            return
        part = time / self.fast_substeps
        for _ in range(self.fast_substeps):
            self.atoms.set_momenta(self.atoms.get_momenta() + 0.5 * part * self._fast_forces())
            self._move(part)
            self.atoms.set_momenta(self.atoms.get_momenta() + 0.5 * part * self._fast_forces())

    def _move(self, time: float) -> None:
        atoms = self.atoms
        masses, momenta, before = atoms.get_masses()[:, None], atoms.get_momenta(), atoms.get_positions()
        atoms.set_positions(before + time * momenta / masses)
        if atoms.constraints:  # as in ASE's velocity Verlet: what the constraints took from the path, they take from p
            atoms.set_momenta((atoms.get_positions() - before) * masses / time, apply_constraint=False)

    def _fast_forces(self) -> FloatArray:
        forces: FloatArray = np.array(self.fast.get_property("forces", self.atoms), dtype=np.float64)
        for constraint in self.atoms.constraints:
            constraint.adjust_forces(self.atoms, forces)
        return forces

    def _exchange_heat(self, time: float) -> None:
        if self.thermostat is None:
            return
        assert self.rng is not None
        atoms = self.atoms
        freedoms = int(atoms.get_number_of_degrees_of_freedom())
        atoms.set_momenta(self.thermostat.apply(atoms.get_momenta(), atoms.get_masses(), freedoms, time, self.rng))

    # -- atoms in, atoms out ------------------------------------------------------------------------------------------

    def _check_calculator(self) -> None:
        super()._check_calculator()
        if hasattr(self, "thermostat"):
            self._check_forces()

    def _check_forces(self) -> None:
        calc = calculator_of(self.atoms)
        if "forces" not in calc.implemented_properties:
            raise ModelError(
                f"{type(calc).__name__} has no forces on atoms: use LLGDynamics at fixed positions, or add a lattice "
                "potential in a SpinSumCalculator"
            )
        if self.fast is not None and not any(member is self.fast for member in getattr(calc, "calculators", ())):
            raise ModelError("`fast` must be one of the members of the SpinSumCalculator that drives the atoms")

    def _same_geometry(self) -> bool:
        return False  # fields are bound anew in every step

    def checkpoint_state(self) -> dict[str, Any]:
        """What a bit-exact restart needs: also positions and momenta."""
        atoms = self.atoms
        return {**super().checkpoint_state(), "positions": atoms.get_positions(), "momenta": atoms.get_momenta()}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave."""
        self.atoms.set_positions(np.asarray(state["positions"]), apply_constraint=False)
        self.atoms.set_momenta(np.asarray(state["momenta"]), apply_constraint=False)
        super().restore_state(state)


def _member(atoms: Atoms, number: int) -> Any:
    calc = calculator_of(atoms)
    members = getattr(calc, "calculators", [])
    if number >= len(members):
        raise ModelError(f"fast = {number}: {type(calc).__name__} has {len(members)} terms, counted from 0")
    return members[number]


def set_maxwell_boltzmann(atoms: Atoms, kT: float, rng: np.random.Generator) -> None:  # noqa: N803
    """Momenta of a thermal lattice at kT (energy): Gaussian, constraints respected, the mean motion taken out."""
    masses = atoms.get_masses()[:, None]
    momenta = np.sqrt(masses * kT) * rng.standard_normal((len(atoms), 3))
    if not atoms.constraints:
        momenta -= masses * momenta.sum(axis=0) / masses.sum()
    atoms.set_momenta(momenta)


__all__ = ["SpinLatticeConfig", "SpinLatticeDynamics", "set_maxwell_boltzmann"]
