"""Atoms and spins that move together, on any calculator with forces and magnetic forces."""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from spinase.contract import begin_step, calculator_of, energy_of, members_of, require_forces
from spinase.dynamics.barostat import IsotropicBarostat
from spinase.dynamics.base import AppliedField
from spinase.dynamics.electron_bath import ElectronBath
from spinase.dynamics.equation import Form
from spinase.dynamics.finite import require_finite, require_finite_spins
from spinase.dynamics.integrators import Integrator
from spinase.dynamics.lattice import check_overlaps, require_masses, set_maxwell_boltzmann
from spinase.dynamics.log import SpinLatticeLogger
from spinase.dynamics.motion import InertialSpins, SpinMotion
from spinase.dynamics.ramp import Temperature
from spinase.dynamics.settings import as_generator, require_bath
from spinase.dynamics.spin_dynamics import SpinDynamics
from spinase.dynamics.spin_lattice_config import SpinLatticeConfig
from spinase.dynamics.thermostats import LatticeLangevin, LatticeThermostat
from spinase.errors import (
    ConvergenceError,
    InvalidGeometryError,
    InvalidMomentsError,
    ModelError,
    UnstableDynamicsError,
)
from spinase.geometry import largest_displacement
from spinase.measures import energy_of_spins
from spinase.typing import FloatArray

_STABLE_MOVE = 0.3  # of the smallest distance of two atoms, in one step
_UNSTABLE = (
    "The time step is too large for these forces and masses, atoms have come too close, or the units of the time step are "
    "not those of the atoms (ASE's: 1 fs = 0.0982). The atoms are as before this step; go on from the last checkpoint with "
    "a smaller time step"
)


class SpinLatticeDynamics(SpinDynamics):
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
    barostat : IsotropicBarostat, optional
        Constant pressure; wants a thermostat at the same temperature.
    electrons : ElectronBath, optional
        A bath of electrons with a temperature of its own; it takes the place of `thermostat` and of the spins' kT.
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
        field, frozen, axes, motion, rng, trajectory, logfile, loginterval, probe.

    Raises
    ------
    ModelError
        Besides those of LLGDynamics: without forces or masses, on wrong substeps, a `fast` calculator that is no member, or
        baths that exclude each other.
    InvalidGeometryError
        If atoms overlap at the start.
    UnstableDynamicsError
        When a step goes wrong; the atoms are as before that step.
    """

    Config = SpinLatticeConfig
    moves_atoms = True
    electrons: ElectronBath | None = None
    logger = SpinLatticeLogger
    citation = (
        "J. Tranchida, S. J. Plimpton, P. Thibaudeau, A. P. Thompson, J. Comput. Phys. 372, 406 (2018), "
        "doi:10.1016/j.jcp.2018.06.042"
    )

    def __init__(
        self,
        atoms: Atoms,
        timestep: float | str,
        *,
        thermostat: LatticeThermostat | None = None,
        barostat: IsotropicBarostat | None = None,
        electrons: ElectronBath | None = None,
        spin_substeps: int = 1,
        fast: Any = None,
        fast_substeps: int = 1,
        damping: float = 0.0,
        integrator: str | Integrator = "midpoint",
        form: Form = "landau-lifshitz-gilbert",
        kT: Temperature | str = 0.0,  # noqa: N803
        temperature_K: Temperature | str | None = None,  # noqa: N803
        field: AppliedField | str | None = None,
        frozen: ArrayLike | None = None,
        axes: ArrayLike | None = None,
        motion: SpinMotion | None = None,
        rng: np.random.Generator | int | None = None,
        trajectory: str | None = None,
        logfile: IO[str] | str | None = None,
        loginterval: int = 1,
        probe: bool = True,
    ) -> None:
        super().__init__(
            atoms,
            timestep,
            damping=damping,
            integrator=integrator,
            form=form,
            kT=kT,
            temperature_K=temperature_K,
            field=field,
            frozen=frozen,
            axes=axes,
            motion=motion,
            rng=rng,
            trajectory=trajectory,
            logfile=logfile,
            loginterval=loginterval,
            probe=probe,
        )
        for name, value in (("spin_substeps", spin_substeps), ("fast_substeps", fast_substeps)):
            if int(value) != value or value < 1:
                raise ModelError(f"{name} must be a positive whole number, got {value!r}")
        self._check_baths(thermostat, electrons)
        require_bath(atoms, "barostat", barostat, IsotropicBarostat, "IsotropicBarostat(kT, pressure, relaxation)")
        self._thermostat, self.barostat, self.electrons, self.fast = thermostat, barostat, electrons, fast
        self.spin_substeps, self.fast_substeps = int(spin_substeps), int(fast_substeps)
        self._check_forces()
        require_masses(atoms)
        self._reach = _STABLE_MOVE * check_overlaps(atoms)
        self.changes_cell = barostat is not None
        if barostat is not None:
            barostat.attach(atoms, self._freedoms_of_piston())

    @property
    def thermostat(self) -> LatticeThermostat | None:
        """Bath of the atoms; it may be changed between steps."""
        return self._thermostat

    @thermostat.setter
    def thermostat(self, value: LatticeThermostat | None) -> None:
        self._check_baths(value, self.electrons)
        self._thermostat = value
        if self.barostat is not None:
            self.barostat.attach(self.atoms, self._freedoms_of_piston())

    def _freedoms_of_piston(self) -> int:
        """Momenta that move: a bath with noise on every atom moves all of them, any other leaves the total alone."""
        every = 3 * len(self.atoms)
        noisy = isinstance(self.thermostat, LatticeLangevin) or (
            self.electrons is not None and self.electrons.friction > 0.0
        )
        return every if noisy or len(self.atoms) == 1 else every - 3

    @classmethod
    def from_config(cls, config: SpinLatticeConfig, atoms: Atoms, rng: np.random.Generator) -> SpinLatticeDynamics:
        """Driver from the table of an input file."""
        own = ("thermostat", "lattice_kT", "friction", "relaxation", "initial_kT", "spin_substeps", "fast", "fast_substeps")
        if config.initial_kT is not None:
            set_maxwell_boltzmann(atoms, config.initial_kT, rng)
        return cls(
            atoms,
            rng=rng,
            thermostat=config.bath(),
            barostat=config.piston(),
            electrons=config.electron_bath(),
            spin_substeps=config.spin_substeps,
            fast=None if config.fast is None else _member(atoms, config.fast),
            fast_substeps=config.fast_substeps,
            **config.options(*own, "pressure", "piston_time", "barostat", "electrons"),
        )

    # -- a step -------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Advance atoms and spins by one time step, whole or not at all (see :meth:`SpinDriver.step`)."""
        try:
            super().step()
        except (InvalidGeometryError, InvalidMomentsError, ConvergenceError, np.linalg.LinAlgError) as error:
            raise UnstableDynamicsError(f"step {self.nsteps + 1} failed: {error}. {_UNSTABLE}") from error

    def _advance(self) -> None:
        half, positions, cell = 0.5 * self.dt, self.atoms.get_positions(), self.atoms.cell.array.copy()
        self._spins.dirty = True
        begin_step(self.atoms.calc)
        if self.electrons is not None:
            self.electrons.shine(self.get_time(), self.dt, len(self.atoms))
        self._exchange_heat(half)
        if self.barostat is not None:
            self.barostat.heat(half)
            self.barostat.push(self.atoms, half)
        self._kick(half)
        self._drift(half)
        self._turn_spins()
        self._drift(half)
        self._tell_time(self.dt)
        self._kick(half)
        if self.barostat is not None:
            self.barostat.push(self.atoms, half)
            self.barostat.heat(half)
        self._exchange_heat(half)
        self._require_stability(positions, cell)

    def _require_stability(self, before: FloatArray, cell: FloatArray) -> None:
        """Atoms move by a small part of their distances in a step, or something is wrong."""
        start = before if self.barostat is None else before @ np.linalg.solve(cell, self.atoms.cell.array)
        if largest_displacement(start, self.atoms.positions) <= self._reach:  # not so where a number is none
            return
        far = np.linalg.norm(self.atoms.positions - start, axis=1)
        worst = int(np.argmax(np.where(np.isfinite(far), far, np.inf)))
        if far[worst] <= self._reach:
            return
        raise UnstableDynamicsError(
            f"step {self.nsteps + 1} moved atom {worst} by {far[worst]:.3g} (at {before[worst]}; limit {self._reach:.3g}, a "
            f"part of the distance of neighbours). {_UNSTABLE}"
        )

    def _remember(self) -> dict[str, Any]:
        """Everything that a step changes: also positions, momenta, cell, piston and electrons."""
        atoms = self.atoms
        return {
            **super()._remember(),
            "positions": atoms.get_positions(),
            "momenta": atoms.get_momenta(),
            "cell": atoms.cell.array.copy(),
            "parts": [(part, part.state()) for part in (self.barostat, self.electrons) if part is not None],
        }

    def _recall(self, before: dict[str, Any]) -> None:
        """Put back what :meth:`_remember` saw."""
        for part, state in before["parts"]:
            part.restore(state)
        self.atoms.set_cell(before["cell"], scale_atoms=False)
        self.atoms.positions[:] = before["positions"]
        self.atoms.set_momenta(before["momenta"], apply_constraint=False)
        super()._recall(before)

    def _turn_spins(self) -> None:
        """All spins for a whole step, at the positions in the middle of it."""
        before = self._spin_energy()
        self._bind_fields()
        part = self.dt / self.spin_substeps
        for k in range(self.spin_substeps):
            self._turn(part, k * part)
        require_finite_spins(self._spins.spins, part)
        self._spins.write()
        if self.electrons is not None:
            self.electrons.give(self._spin_energy() - before, len(self.atoms))

    def _spin_energy(self) -> float:
        """Energy of the spins at these positions, where somebody keeps the books."""
        if self.electrons is None:
            return 0.0
        energy = energy_of_spins(self.atoms)
        if energy is None:
            raise ModelError("an electron bath counts heat, and a driven calculator has no energy to count it by")
        moving = self.motion.kinetic_energy() if isinstance(self.motion, InertialSpins) else 0.0
        return energy + self.zeeman_energy() + moving

    def bath_temperature(self) -> float:
        """Temperature of the spin bath now: that of the electrons if there are any."""
        if self.electrons is None:
            return super().bath_temperature()
        return self.electrons.kT if self._is_damped() else 0.0

    def _kick(self, time: float) -> None:
        """Momenta in the (slow) forces."""
        forces = self.atoms.get_forces(md=True)
        require_finite(forces, "the force on atom", "forces", self.atoms)
        if self.fast is not None:
            forces = forces - self._fast_forces()
        if self.barostat is not None:
            self.atoms.set_momenta(self.barostat.kick(self.atoms.get_momenta(), forces, time))
            return
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
        if self.barostat is not None:
            self.barostat.drift(atoms, time)
            return
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
        bath = self.thermostat if self.electrons is None else self.electrons.lattice_bath()
        if bath is None:
            return
        assert self.rng is not None
        atoms, before = self.atoms, 0.0 if self.electrons is None else self.atoms.get_kinetic_energy()
        bath.follow(self.get_time())
        bath.heat(atoms, time, self.rng)
        if self.electrons is not None:
            self.electrons.give(atoms.get_kinetic_energy() - before, len(atoms))

    def _check_baths(self, thermostat: LatticeThermostat | None, electrons: ElectronBath | None) -> None:
        require_bath(self.atoms, "thermostat", thermostat, LatticeThermostat, "LatticeLangevin(kT, friction)")
        require_bath(self.atoms, "electrons", electrons, ElectronBath, "ElectronBath(kT, capacity)")
        if thermostat is not None or electrons is not None:
            as_generator(self.rng, "a thermostat")
        if electrons is None:
            return
        if thermostat is not None or callable(self.kT) or self.kT > 0.0:
            raise ModelError("the electrons are the bath of atoms and spins: leave out thermostat, kT and temperature_K")
        if not self._is_damped() and electrons.friction == 0.0:
            raise ModelError("the electrons are coupled to nothing: give a damping (spins) or a friction (atoms)")

    def _check_temperature(self, kT: Temperature) -> None:  # noqa: N803
        super()._check_temperature(kT)
        if self.electrons is not None and (callable(kT) or kT > 0.0):
            raise ModelError("the electrons are the bath of the spins: leave out kT and temperature_K")

    def conserved_energy(self) -> float:
        """Kinetic + free energy + that of the applied field, of inertial spins, of the piston and of the electrons."""
        atoms, energy = self.atoms, energy_of(self.atoms)
        if energy is None:
            raise ModelError("a driven calculator has no energy")
        total = energy + float(atoms.get_kinetic_energy()) + self.zeeman_energy()
        if isinstance(self.motion, InertialSpins):
            total += self.motion.kinetic_energy()
        if self.barostat is not None:
            total += self.barostat.energy(atoms)
        return total if self.electrons is None else total + len(atoms) * self.electrons.energy_per_site

    # -- atoms in, atoms out ------------------------------------------------------------------------------------------

    def _check_calculator(self) -> None:
        super()._check_calculator()
        if self._ready:
            self._check_forces()

    def _check_forces(self) -> None:
        calc = calculator_of(self.atoms)
        require_forces(calc, "use LLGDynamics at fixed positions, or add a lattice potential in a SpinSumCalculator")
        if self.fast is not None and not any(member is self.fast for member in members_of(calc)):
            raise ModelError("`fast` must be one of the members of the SpinSumCalculator that drives the atoms")

    def _spin_step(self) -> float:
        return self.dt / self.spin_substeps

    def _bind(self) -> None:
        """Nothing: the fields are bound at the positions in the middle of every step."""

    def checkpoint_state(self) -> dict[str, Any]:
        """What a bit-exact restart needs: also positions and momenta."""
        atoms = self.atoms
        return {
            **super().checkpoint_state(),
            "positions": atoms.get_positions(),
            "momenta": atoms.get_momenta(),
            "cell": atoms.cell.array.copy(),
            "barostat": {} if self.barostat is None else self.barostat.state(),
            "electrons": {} if self.electrons is None else self.electrons.state(),
        }

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave."""
        self.atoms.set_cell(np.asarray(state.get("cell", self.atoms.cell.array)), scale_atoms=False)
        self.atoms.set_positions(np.asarray(state["positions"]), apply_constraint=False)
        if self.barostat is not None:
            self.barostat.restore(state["barostat"])
        if self.electrons is not None:
            self.electrons.restore(state["electrons"])
        self.atoms.set_momenta(np.asarray(state["momenta"]), apply_constraint=False)
        super().restore_state(state)


def _member(atoms: Atoms, number: int) -> Any:
    calc = calculator_of(atoms)
    members = members_of(calc)
    if number >= len(members):
        raise ModelError(f"fast = {number}: {type(calc).__name__} has {len(members)} terms, counted from 0")
    return members[number]


__all__ = ["SpinLatticeConfig", "SpinLatticeDynamics"]
