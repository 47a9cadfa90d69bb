"""Drivers whose loop is LAMMPS': ``lammps/llg`` and ``lammps/spin-lattice`` in input files."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from spinase.atoms import get_moments
from spinase.contract import Driver
from spinase.dynamics.constrained import mobile_mask
from spinase.typing import FloatArray
from spinase_lammps.engine import Held, LammpsMagnet, Motion
from spinase_lammps.team import team_of_processes


class LammpsConfig(BaseModel):
    """Options of the drivers in an input file."""

    model_config = ConfigDict(extra="forbid")

    timestep: float = Field(gt=0, description='time step, a number (metal: ASE\'s unit, 1 fs = 0.0982) or "1 fs" [time]')
    damping: float = Field(0.0, ge=0, description="Gilbert damping alpha [1]")
    kT: float = Field(0.0, ge=0, description="temperature of the spins' bath as an energy [eV or t]")  # noqa: N815
    field: tuple[float, float, float] = Field((0.0, 0.0, 0.0), description="uniform applied field [eV/mu_B or t/|m|]")
    tolerance: float = Field(1e-13, gt=0, description="largest change of a spin in the last iteration of a step [1]")
    frozen: list[int] | None = Field(None, description="indices of spins that do not move")
    log: str | None = Field(None, description="LAMMPS' own log file")


class LammpsLLG(Driver):
    r"""Spins at frozen positions, all at once by the implicit midpoint rule, in LAMMPS.

    .. math:: \dot s_i = -\frac{\gamma}{1+\alpha^2}\,[\,s_i\times B_i + \alpha\, s_i\times(s_i\times B_i)\,],
              \qquad B_i = -\partial E/\partial m_i + B_{\rm applied} + b_i(t)

    The equation, the constants and the integrator are those of :class:`spinase.dynamics.LLGDynamics` with
    ``integrator="midpoint"``; the noise is another one: it depends on seed, step and number of a site alone, so any number
    of processes gives the same trajectory.  The calculator must be local (``spinase.contract.local_energy``).

    Every call of :meth:`run` begins from the atoms, so a restart from a checkpoint goes on as if nothing had happened.

    Parameters
    ----------
    atoms : Atoms
        The magnet with its calculator, the same on all processes.
    timestep : float
        ASE time units, or hbar/t.
    damping : float
        Gilbert damping.
    kT : float
        Of the spins' bath, energy.
    field : (3,) sequence
        Applied field, energy/moment.
    seed : int
        Of the noise, 0 <= seed < 2^63.
    tolerance : float
        Largest change of a spin component in the last iteration of a step.
    frozen : mask or indices, optional
        Spins that do not move; with :class:`LammpsSpinLattice` their atoms do.
    log : str, optional
        LAMMPS' own log file.
    comm : mpi4py communicator, optional
        Default: all processes.

    Raises
    ------
    ModelError
        For calculators that are no sums over regions (electrons, dipoles), and magnets that LAMMPS cannot hold.
    LammpsError
        Later, if LAMMPS or the calculator ends with an error, on all processes; the atoms are as before.
    """

    Config = LammpsConfig
    citation: ClassVar[str] = (
        "A. P. Thompson et al., Comput. Phys. Commun. 271, 108171 (2022), doi:10.1016/j.cpc.2021.108171; "
        "J. Tranchida, S. J. Plimpton, P. Thibaudeau, A. P. Thompson, J. Comput. Phys. 372, 406 (2018), "
        "doi:10.1016/j.jcp.2018.06.042"
    )
    moves_atoms = False
    divisible = False  # LAMMPS begins each run with new lists of neighbours, whose order is felt in last digits

    def __init__(
        self,
        atoms: Atoms,
        timestep: float,
        *,
        damping: float = 0.0,
        kT: float = 0.0,  # noqa: N803
        field: Any = (0.0, 0.0, 0.0),
        seed: int = 1,
        tolerance: float = 1e-13,
        frozen: ArrayLike | None = None,
        log: str | None = None,
        comm: Any = None,
    ) -> None:
        applied = tuple(float(one) for one in np.asarray(field, dtype=np.float64).reshape(3))
        self.motion = Motion(timestep, damping, kT, int(seed), self.moves_atoms, applied, tolerance)
        self.atoms, self.nsteps = atoms, 0
        self._comm, self._log, self.frozen = comm, log, ~mobile_mask(frozen, len(atoms))
        self.team = team_of_processes(comm)
        self._engine: LammpsMagnet | None = None
        self._made_of: tuple[Any, ...] = ()
        self._held: Held | None = None  # by LAMMPS after the last run
        self._given: tuple[FloatArray, ...] = ()  # what the atoms were given then

    @classmethod
    def from_config(cls, config: LammpsConfig, atoms: Atoms, rng: np.random.Generator) -> LammpsLLG:
        """Driver from the table of an input file; the seed of the noise is drawn from `rng`."""
        return cls(atoms, seed=int(rng.integers(2**62)), **dict(config))

    @property
    def engine(self) -> LammpsMagnet:
        """LAMMPS with the magnet; started when it is first needed, and again for another cell, species or calculator."""
        made_of = (self.atoms.cell.array.tolist(), self.atoms.pbc.tolist(), self.atoms.numbers.tolist(), id(self.atoms.calc))
        if made_of != self._made_of or self.atoms.constraints:
            self.close()  # another box, species or calculator
        if self._engine is None:
            self._made_of = made_of
            self._engine = LammpsMagnet(self.atoms, self.motion, self._comm, self._log, self.frozen)
        return self._engine

    def run(self, steps: int) -> bool:
        """Make `steps` steps; if one fails the atoms are as they were before all of them."""
        known = self._held if self._held is not None and _same(self._given, _seen(self.atoms)) else None
        self.engine.take(self.nsteps, known)
        self._held = self.engine.run(steps).give()
        self._given = _seen(self.atoms)
        self.nsteps += steps
        return True

    def get_number_of_steps(self) -> int:
        """Steps made."""
        return self.nsteps

    def get_time(self) -> float:
        """Their time, ASE time units or hbar/t."""
        return self.nsteps * self.motion.timestep

    def bath_temperature(self) -> float:
        """Of the spins' bath, energy; 0.0 without damping."""
        return self.motion.kT if self.motion.damping > 0.0 else 0.0

    def applied_field(self) -> FloatArray | float:
        """The applied field (N, 3), energy/moment; 0.0 if there is none."""
        field = np.asarray(self.motion.field)
        return np.tile(field, (len(self.atoms), 1)) if field.any() else 0.0

    def checkpoint_state(self) -> dict[str, Any]:
        """The clock, from which noise follows, and what LAMMPS holds."""
        held = {} if self._held is None else dict(vars(self._held))
        return {"nsteps": self.nsteps, "seed": self.motion.seed, "held": held}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Set the clock, and go on with the noise of the driver that gave the state."""
        self.nsteps = int(state["nsteps"])
        if int(state["seed"]) != self.motion.seed:
            self.motion = Motion(**{**vars(self.motion), "seed": int(state["seed"])})
            self.close()
        held = {name: np.asarray(values) for name, values in state["held"].items()}
        self._held, self._given = (Held(**held), _seen(self.atoms)) if held else (None, ())

    def conclude(self) -> None:
        """End LAMMPS: the stage is over."""
        self.close()

    def close(self) -> None:
        """End LAMMPS; the next run starts it again."""
        if self._engine is not None:
            self._engine.close()
        self._engine = None


def _seen(atoms: Atoms) -> tuple[FloatArray, ...]:
    """All of the atoms that LAMMPS takes."""
    return atoms.get_positions(), atoms.get_momenta(), get_moments(atoms).copy(), atoms.cell.array.copy()


def _same(one: tuple[FloatArray, ...], other: tuple[FloatArray, ...]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


class LammpsSpinLattice(LammpsLLG):
    """Atoms and spins in LAMMPS: kick/2, drift/2, all spins by the midpoint rule at these positions, drift/2, kick/2.

    The splitting of :class:`spinase.dynamics.SpinLatticeDynamics`; energy is kept to dt^2.  Parameters and errors are those
    of :class:`LammpsLLG`; the calculator also needs forces.
    """

    moves_atoms = True


__all__ = ["LammpsConfig", "LammpsLLG", "LammpsSpinLattice"]
