"""Relaxation as a driver: spins, atoms or both go to a minimum of the energy, step by step, with restart."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from spinase.atoms import get_moments, get_units, set_moments
from spinase.contract import Driver, calculator_of, check_units, recall_step, remember_step, require_forces
from spinase.dynamics.constrained import mobile_mask
from spinase.dynamics.minimizers import Minimizer, make_minimizer
from spinase.dynamics.relax import SpinOptimizable
from spinase.dynamics.settings import checked
from spinase.errors import AccuracyWarning, ConvergenceError, ModelError
from spinase.options import STYLE_KIND
from spinase.quantities import Observed, Quantity
from spinase.typing import Array, FloatArray

Move = Literal["spins", "atoms", "both"]


class RelaxConfig(BaseModel):
    """Options of the ``relax`` driver in an input file.  `steps` of the stage are the most it makes."""

    model_config = ConfigDict(extra="forbid")

    move: Move = Field("spins", description="what moves: spins, atoms, or both")
    minimizer: str | dict[str, Any] = Field(
        "fire",
        description="fire, lbfgs, or a table { style = name, its options }",
        json_schema_extra={STYLE_KIND: "minimizers"},
    )
    torque: float = Field(1e-4, gt=0, description="largest torque on a spin at the end [energy]")
    fmax: float = Field(1e-2, gt=0, description="largest force on an atom at the end [energy/length]")
    length: float = Field(1.0, gt=0, description="displacement that counts as a turn by one radian, move = 'both' [length]")
    frozen: list[int] | None = Field(None, description="indices of spins that do not move")
    minimum: bool = Field(True, description="leave saddle points and maxima of the spins")
    accept_unconverged: bool = Field(False, description="go on with the next stage if the steps do not suffice")


class Residual(NamedTuple):
    """Largest torque (energy) and force (energy/length) of what moves; 0 for what does not."""

    torque: float
    force: float


class Relaxation(Driver):
    """Relaxation of spins, atoms or both at fixed cell; a step is one of the minimizer, and time counts them.

    Fields of earlier stages do not act: put a ``zeeman`` term into the calculator.

    Parameters
    ----------
    atoms : Atoms
        With a conservative calculator.
    move : str
        ``"spins"``, ``"atoms"`` or ``"both"``.
    minimizer : str, table or Minimizer
        A style of the kind ``minimizers``.
    torque, fmax : float
        Largest torque on a spin, energy, and largest force on an atom, energy/length, at the end.
    length : float
        Displacement of an atom that counts as a turn by one radian, length.
    frozen : mask or indices, optional
        Spins that do not move.
    minimum : bool
        Leave saddle points and maxima (see :class:`~spinase.dynamics.SpinOptimizable`).
    accept_unconverged : bool
        Warn, instead of an error, if the steps of the stage do not suffice.

    Raises
    ------
    NotConservativeError, MissingMagneticForcesError, MomentsIgnoredError, ModelError
    """

    Config = RelaxConfig
    time_unit = "iterations"
    citation = "A. H. Larsen et al., J. Phys.: Condens. Matter 29, 273002 (2017), doi:10.1088/1361-648X/aa680e"

    def __init__(
        self,
        atoms: Atoms,
        *,
        move: Move = "spins",
        minimizer: str | Mapping[str, Any] | Minimizer = "fire",
        torque: float = 1e-4,
        fmax: float = 1e-2,
        length: float = 1.0,
        frozen: ArrayLike | None = None,
        minimum: bool = True,
        accept_unconverged: bool = False,
    ) -> None:
        if move not in ("spins", "atoms", "both"):
            raise ModelError(f"move must be 'spins', 'atoms' or 'both', got {move!r}")
        check_units(atoms, calculator_of(atoms))
        self.atoms, self.move, self.length, self.accept_unconverged = atoms, move, float(length), accept_unconverged
        self.moves_atoms, self.nsteps, self.finished = move != "spins", 0, False
        self.torque, self.fmax = checked("torque", torque, positive=True), checked("fmax", fmax, positive=True)
        self.frozen = ~mobile_mask(frozen, len(atoms)) if move != "atoms" else np.ones(len(atoms), dtype=bool)
        self._spins: SpinOptimizable | None = None
        if move == "atoms":
            require_forces(calculator_of(atoms), "relax the spins alone")
            self._landscape: Any = atoms.__ase_optimizable__()
        else:
            self._spins = self._landscape = SpinOptimizable(atoms, move == "both", self.frozen, length, minimum)
        self.minimizer = make_minimizer(minimizer)
        self.minimizer.begin(self._landscape)
        self.observer = RelaxationObserver(self)

    @classmethod
    def from_config(cls, config: RelaxConfig, atoms: Atoms, rng: np.random.Generator) -> Relaxation:
        """Driver from the table of an input file."""
        return cls(atoms, **dict(config))

    def residual(self) -> Residual:
        """What is left of torques and forces."""
        gradient = self._landscape.get_gradient().reshape(-1, 3)
        largest = np.linalg.norm(gradient, axis=1)
        sites = len(self.atoms)
        torque = self.length * float(largest[-sites:].max()) if self.move != "atoms" else 0.0
        return Residual(torque, float(largest[:sites].max()) if self.move != "spins" else 0.0)

    def run(self, steps: int) -> bool:
        """Make `steps` steps, or fewer if it arrives; the last one only looks."""
        for _ in range(steps):
            if self.finished:
                break
            self.step()
        return self.finished

    def step(self) -> None:
        """One step, whole or not at all."""
        before, calculator = self.checkpoint_state(), remember_step(self.atoms.calc)
        try:
            if self._arrived():
                self.finished = True
            else:
                self.minimizer.step()
        except BaseException:
            self.restore_state(before)
            recall_step(self.atoms.calc, calculator)
            raise
        self.nsteps += 1

    def _arrived(self) -> bool:
        left = self.residual()
        if left.torque >= self.torque or left.force >= self.fmax:
            return False
        return self._spins is None or self._spins.settles()

    def get_number_of_steps(self) -> int:
        """Steps made."""
        return self.nsteps

    def get_time(self) -> float:
        """Steps made."""
        return float(self.nsteps)

    def describe_step(self) -> tuple[str, list[str]]:
        """How far it is to go."""
        return f"{type(self.minimizer).__name__} moves {self.move}: {self._told()}", []

    def _told(self) -> str:
        left, units = self.residual(), get_units(self.atoms)
        parts = []
        if self.move != "atoms":
            parts.append(f"largest torque {left.torque:.4g} {units.energy} (limit {self.torque:.4g})")
        if self.move != "spins":
            parts.append(f"largest force {left.force:.4g} {units.energy}/{units.length} (limit {self.fmax:.4g})")
        return ", ".join(parts)

    def conclude(self) -> None:
        """Tell if it has not arrived.

        Raises
        ------
        ConvergenceError
            Unless `accept_unconverged`; then it is a warning.
        """
        if self.finished:
            return
        told = f"the relaxation did not converge in {self.nsteps} steps: {self._told()}"
        if not self.accept_unconverged:
            raise ConvergenceError(f"{told}. Allow more steps, larger limits, or set accept_unconverged = true")
        warnings.warn(f"{told}; the run goes on from there (accept_unconverged)", AccuracyWarning, stacklevel=2)

    def checkpoint_state(self) -> dict[str, Any]:
        """What a bit-exact restart needs: also the memories of minimizer and landscape."""
        return {
            "nsteps": self.nsteps,
            "finished": self.finished,
            "moments": get_moments(self.atoms),
            "positions": self.atoms.get_positions(),
            "landscape": {} if self._spins is None else self._spins.state(),
            "minimizer": self.minimizer.state(),
        }

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave; sets moments and positions of the atoms."""
        self.nsteps, self.finished = int(state["nsteps"]), bool(state["finished"])
        set_moments(self.atoms, np.asarray(state["moments"]))
        if self.moves_atoms:
            self.atoms.set_positions(np.asarray(state["positions"]), apply_constraint=False)
        if self._spins is not None:
            self._spins.restore(state["landscape"])
        self.minimizer.restore(state["minimizer"])


class RelaxationObserver:
    """What a relaxation records with every frame: the largest torque and force.

    Parameters
    ----------
    driver : Relaxation
    """

    name = "relaxation"

    def __init__(self, driver: Relaxation) -> None:
        self._driver = driver
        units = get_units(driver.atoms)
        every = {
            "torque": Quantity("largest torque", units.energy),
            "force": Quantity("largest force", f"{units.energy}/{units.length}"),
        }
        left_out = {"spins": "force", "atoms": "torque", "both": ""}[driver.move]
        self.quantities = {name: quantity for name, quantity in every.items() if name != left_out}

    def prepare(self, atoms: Atoms) -> Mapping[str, Array]:
        """Nothing is static."""
        return {}

    def observe(self, atoms: Atoms) -> Observed:
        """Residuals now."""
        left: Mapping[str, float | FloatArray] = self._driver.residual()._asdict()
        return {name: left[name] for name in self.quantities}


__all__ = ["RelaxConfig", "Relaxation"]
