"""What drivers that sample have in common: a clock that counts steps, a temperature, moves whose size adapts."""

from __future__ import annotations

from dataclasses import replace
from typing import IO, Any, Self

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from spinase.dynamics.base import AppliedField, SpinDriver
from spinase.dynamics.ramp import Temperature, built
from spinase.dynamics.unit_guard import StepNumbers
from spinase.errors import ModelError

_GAIN, _STEPS = 0.1, 100  # of the adaptation at first, and steps after which it is half of that


class SamplingDriver(SpinDriver):
    """A spin driver one step of which counts as one unit of time.

    Moves adapt less and less: a size that followed the state for ever would bias averages.

    Parameters
    ----------
    atoms : Atoms
        The magnet with its calculator.
    kT : float or function of time
        Temperature as an energy; time counts steps.
    rng : numpy Generator
        Source of randomness.
    width : float
        Size of the moves at the start, radian.
    field, frozen, trajectory, logfile, loginterval
        As in :class:`~spinase.dynamics.LLGDynamics`.
    """

    time_unit = "steps"

    def __init__(
        self,
        atoms: Atoms,
        kT: Temperature | str,  # noqa: N803
        *,
        rng: np.random.Generator,
        width: float,
        field: AppliedField | str | None,
        frozen: ArrayLike | None,
        trajectory: str | None,
        logfile: IO[str] | str | None,
        loginterval: int,
    ) -> None:
        self.width, self.acceptance = width, 1.0
        super().__init__(
            atoms,
            1.0,
            kT=kT,
            temperature_K=None,
            field=field,
            frozen=frozen,
            rng=rng,
            trajectory=trajectory,
            loginterval=loginterval,
            probe=False,
        )
        self._start(logfile, loginterval)

    @classmethod
    def from_config(cls, config: Any, atoms: Atoms, rng: np.random.Generator) -> Self:
        """Driver from the table of an input file."""
        options: dict[str, Any] = {name: built(value) for name, value in config}
        return cls(atoms, rng=rng, **options)

    @property
    def dt(self) -> float:
        """1: time counts steps."""
        return self._clock.timestep

    @dt.setter
    def dt(self, value: float | str) -> None:
        if value != 1.0:
            raise ModelError(
                f"the time of Monte Carlo counts {self.time_unit}, one a step: it has no time step, got {value}"
            )

    def look_at_step(self) -> tuple[StepNumbers, list[str]]:
        """There is no time step: only the units are looked at."""
        numbers = replace(self.step_numbers(), timestep=0.0)
        return numbers, numbers.problems(0.0)

    def _temperature(self) -> float:
        """kT of this step, positive."""
        kT = self.bath_temperature()
        if kT <= 0.0:
            raise ModelError(f"Monte Carlo needs a positive temperature, got kT = {kT}")
        return kT

    def _adapt(self, accepted: float, wanted: float, limits: tuple[float, float]) -> None:
        """Larger moves where more are accepted than wanted."""
        gain = _GAIN / (1.0 + self.nsteps / _STEPS)
        self.width = float(np.clip(self.width * (1.0 + gain * (accepted - wanted)), *limits))

    def _remember(self) -> dict[str, Any]:
        return {**super()._remember(), "moves": (self.width, self.acceptance)}

    def _recall(self, before: dict[str, Any]) -> None:
        super()._recall(before)
        self.width, self.acceptance = before["moves"]

    def checkpoint_state(self) -> dict[str, Any]:
        """What a bit-exact restart needs: also the size of the moves."""
        return {**super().checkpoint_state(), "width": self.width, "acceptance": self.acceptance}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave."""
        super().restore_state(state)
        self.width, self.acceptance = float(state["width"]), float(state.get("acceptance", 1.0))


__all__ = ["SamplingDriver"]
