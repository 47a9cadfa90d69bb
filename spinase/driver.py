"""The contract of drivers: all that a run knows of what moves the magnet in one of its stages."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from ase import Atoms

from spinase.quantities import Observer
from spinase.team import ALONE, Team
from spinase.typing import FloatArray


@runtime_checkable
class Driver(Protocol):
    """What moves the magnet in a stage of an input file: dynamics, sampling, relaxation, a search for a path.

    A class that derives from it has to bring `from_config`, `run`, the two clocks and the two halves of a restart; the rest
    is here with what holds for most.  Its options are those of ``Config`` (pydantic), or of its signature.

    Attributes
    ----------
    atoms : Atoms
        The magnet, in the state of the last whole step.
    moves_atoms, changes_cell : bool
        Whether positions and cell change, and are recorded along the run.
    time_unit : str or None
        What the clock counts, such as ``"sweeps"``; None: the unit of time of the atoms.
    finished : bool
        Nothing is left to do, whatever steps are left (a relaxation has converged); the run goes on with the next stage.
    observer : Observer or None
        What the driver itself has to say besides the atoms, recorded with every frame of its stage.
    divisible : bool
        Whether atoms go the same way, to the last bit, however steps are divided among calls of :meth:`run`; if not, a run
        is divided only where something is written.
    team : Team
        The processes among which the magnet is divided; a run then writes from the first of them.
    """

    atoms: Atoms
    moves_atoms: bool = False
    changes_cell: bool = False
    time_unit: str | None = None
    finished: bool = False
    observer: Observer | None = None
    divisible: bool = True
    team: Team = ALONE
    citation: ClassVar[str] = ""

    @classmethod
    def from_config(cls, config: Any, atoms: Atoms, rng: np.random.Generator) -> Driver:
        """The driver of the checked table `config`; `rng` belongs to this stage alone.

        Parameters
        ----------
        config : BaseModel
            An instance of the driver's ``Config``.
        atoms : Atoms
            The magnet, with its calculator.
        rng : numpy Generator
            Of this stage alone.
        """
        ...

    def run(self, steps: int) -> bool:
        """Make `steps` steps, or fewer if it is finished before, but at least one; atoms are current afterwards.

        A step that fails or is interrupted leaves everything as it was before it.
        """
        ...

    def get_number_of_steps(self) -> int:
        """Steps made since the start of the stage."""
        ...

    def get_time(self) -> float:
        """Time since the start of the stage, in `time_unit`."""
        ...

    def checkpoint_state(self) -> dict[str, Any]:
        """What a bit-exact restart needs beyond the atoms: nested dictionaries of arrays and JSON values."""
        ...

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` of an equal driver gave; sets the atoms if they need it."""
        ...

    def bath_temperature(self) -> float:
        """Temperature of the spin bath now, energy; 0.0 without one."""
        return 0.0

    def applied_field(self) -> FloatArray | float:
        """Field (N, 3) on the moments now that is not the calculator's, energy/moment; 0.0 if there is none."""
        return 0.0

    def describe_step(self) -> tuple[str, list[str]]:
        """What a step from here works with, in a line (empty: nothing to tell), and what looks wrong with it."""
        return "", []

    def conclude(self) -> None:
        """Called when the stage is over.

        Raises
        ------
        ConvergenceError
            If the stage had to arrive somewhere, and the steps did not suffice.
        """


REQUIRED = ("from_config", "run", "get_number_of_steps", "get_time", "checkpoint_state", "restore_state")
WITH_DEFAULTS = (
    "moves_atoms",
    "changes_cell",
    "time_unit",
    "finished",
    "observer",
    "divisible",
    "team",
    "bath_temperature",
    "applied_field",
    "describe_step",
    "conclude",
)


def missing_members(kind: type) -> list[str]:
    """What a class lacks of a :class:`Driver`."""
    own = {name for name in REQUIRED if getattr(kind, name, None) not in (None, getattr(Driver, name))}
    return [*(name for name in REQUIRED if name not in own), *(name for name in WITH_DEFAULTS if not hasattr(kind, name))]


def applied_field_of(driver: Any) -> FloatArray | float:
    """The field (N, 3) that a driver applies to the moments now, energy/moment; 0.0 if it applies none.

    It belongs to no calculator: observers and logs of a driven magnet add it (see :mod:`spinase.measures`).
    """
    hook = getattr(driver, "applied_field", None)
    return 0.0 if hook is None else hook()


def atoms_of(driver: Any) -> Atoms:
    """The atoms that a driver moves; of an optimizer's view of them (``SpinOptimizable``), the atoms behind it."""
    moved = driver.atoms
    return moved if isinstance(moved, Atoms) else moved.atoms


def time_of(driver: Any) -> float:
    """What a driver's clock says now, time; of a driver without one (an optimizer), the number of its steps."""
    clock = getattr(driver, "get_time", None)
    return float(driver.nsteps) if clock is None else float(clock())


@runtime_checkable
class SeesAppliedField(Protocol):
    """An observer whose numbers contain the field that the driver applies."""

    def set_applied_field(self, field: FloatArray | float) -> None:
        """Take the field (N, 3), energy/moment, or 0.0 for none, for the observations that follow."""
        ...


__all__ = ["Driver", "SeesAppliedField", "applied_field_of", "atoms_of", "missing_members", "time_of"]
