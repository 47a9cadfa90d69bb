"""Hybrid Monte Carlo of the spins on any conservative calculator: electrons, learned models, dipoles of large magnets."""

from __future__ import annotations

from dataclasses import replace
from typing import IO, Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from spinase.atoms import set_moments
from spinase.brief import call
from spinase.contract import calculator_of, is_conservative, refuse_reference_lengths
from spinase.dynamics.base import AppliedField, SpinDriver
from spinase.dynamics.ramp import FieldRampConfig, NotNegative, RampConfig, Temperature, built
from spinase.dynamics.settings import as_generator, checked
from spinase.dynamics.unit_guard import StepNumbers
from spinase.errors import ModelError
from spinase.measures import free_energy
from spinase.typing import FloatArray

_GOOD_ACCEPTANCE = 0.8


class HybridMonteCarloConfig(BaseModel):
    """Options of the ``hybrid-monte-carlo`` driver in an input file.  A step is one trajectory of all spins."""

    model_config = ConfigDict(extra="forbid")

    kT: NotNegative | RampConfig = Field(description="temperature as an energy, or a ramp { from, to } [eV or t]")  # noqa: N815
    path: int = Field(10, ge=1, description="leapfrog steps of a trajectory: evaluations of the fields")
    width: float = Field(0.1, gt=0, description="typical angle of a leapfrog step at the start, which adapts [rad]")
    field: tuple[float, float, float] | FieldRampConfig | None = Field(None, description="uniform applied field, or a ramp")
    frozen: list[int] | None = Field(None, description="indices of spins that do not move")

    @property
    def timestep(self) -> float:
        """A trajectory counts as one unit of time."""
        return 1.0


class HybridMonteCarlo(SpinDriver):
    """All spins move at once along a trajectory of an auxiliary dynamics, which a Metropolis test accepts or not.

    Tangent momenta p_i are drawn from exp(-p^2/2kT); leapfrog steps on the spheres, p += h/2 F, spins along great circles,
    p += h/2 F, with F_i the tangent part of -dE/ds_i, are reversible and keep volumes, so accepting exp(-(change of
    E + p^2/2)/kT) samples exp(-E/kT) exactly, whatever the size of the steps.  It asks for fields and energies only.

    Parameters
    ----------
    atoms : Atoms
        The magnet with its calculator.
    kT : float or function of time
        Temperature as an energy; time counts trajectories.
    rng : numpy Generator or int
        Source of randomness, or a seed.
    path : int
        Leapfrog steps of a trajectory, one evaluation of the fields each.
    width : float
        Typical angle of a leapfrog step at the start, radian; it adapts to an acceptance of 0.8.
    field, frozen, trajectory, logfile, loginterval
        As in :class:`~spinase.dynamics.LLGDynamics`.

    Raises
    ------
    ModelError
        If the calculator is driven.
    """

    Config = HybridMonteCarloConfig
    time_unit = "trajectories"
    citation = (
        "S. Duane et al., Phys. Lett. B 195, 216 (1987), doi:10.1016/0370-2693(87)91197-X; "
        "S. Byrne, M. Girolami, Scand. J. Stat. 40, 825 (2013), doi:10.1111/sjos.12036"
    )

    def __init__(
        self,
        atoms: Atoms,
        kT: Temperature | str,  # noqa: N803
        *,
        rng: np.random.Generator | int,
        path: int = 10,
        width: float = 0.1,
        field: AppliedField | str | None = None,
        frozen: ArrayLike | None = None,
        trajectory: str | None = None,
        logfile: IO[str] | str | None = None,
        loginterval: int = 1,
    ) -> None:
        rng = as_generator(rng, "hybrid Monte Carlo")
        if path != int(path) or path < 1:
            raise ModelError(f"path must be a whole number of leapfrog steps, 1 or more, got {path!r}")
        self.path, self.width, self.acceptance = int(path), checked("width", width, positive=True), 1.0
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
        refuse_reference_lengths(atoms, "hybrid Monte Carlo")
        calc = calculator_of(atoms)
        if not is_conservative(calc):
            raise ModelError(f"{type(calc).__name__} describes a driven system: it has no energy to sample")

    def __repr__(self) -> str:
        return call(
            type(self).__name__,
            sites=len(self.atoms),
            trajectories_done=self.nsteps,
            calculator=self.atoms.calc,
            kT=self.kT,
            path=self.path,
            field=self.field,
        )

    @classmethod
    def from_config(cls, config: Any, atoms: Atoms, rng: np.random.Generator) -> HybridMonteCarlo:
        """Driver from the table of an input file."""
        options: dict[str, Any] = {name: built(value) for name, value in config}
        return cls(atoms, rng=rng, **options)

    @property
    def dt(self) -> float:
        """1: time counts trajectories."""
        return self._clock.timestep

    @dt.setter
    def dt(self, value: float | str) -> None:
        if value != 1.0:
            raise ModelError(f"the time of Monte Carlo counts trajectories, one a step: it has no time step, got {value}")

    def look_at_step(self) -> tuple[StepNumbers, list[str]]:
        """A trajectory has no time step: only the units are looked at."""
        numbers = replace(self.step_numbers(), timestep=0.0)
        return numbers, numbers.problems(0.0)

    def _touches_atoms(self) -> bool:
        """Energies are asked of the atoms."""
        return True

    def _remember(self) -> dict[str, Any]:
        return {**super()._remember(), "moves": (self.width, self.acceptance)}

    def _recall(self, before: dict[str, Any]) -> None:
        super()._recall(before)
        self.width, self.acceptance = before["moves"]

    def _energy(self, spins: FloatArray) -> float:
        """Energy of the spins in the applied field."""
        set_moments(self.atoms, self._spins.lengths[:, None] * spins)
        energy = free_energy(self.atoms, self.applied_field())
        assert energy is not None  # a driven calculator has been refused
        return energy

    def _turn(self, timestep: float, start: float = 0.0) -> None:
        """One trajectory, accepted or not."""
        kT, rng, fields = self.bath_temperature(), self.rng, self._fields
        assert rng is not None
        assert fields is not None
        if kT <= 0.0:
            raise ModelError(f"Monte Carlo needs a positive temperature, got kT = {kT}")
        lengths, applied = self._spins.lengths, self.applied_field()
        moves = (self.mobile & (lengths > 0.0))[:, None]
        spins = self._spins.spins.copy()
        step = self.width / np.sqrt(kT) * rng.uniform(0.8, 1.2)  # no trajectory is a whole number of turns for long

        def pushed(at: FloatArray) -> FloatArray:
            """Tangent part of -dE/ds, energy."""
            field = lengths[:, None] * (fields(at) + applied)
            return moves * (field - np.sum(field * at, axis=1, keepdims=True) * at)

        momenta = np.sqrt(kT) * moves * rng.standard_normal(spins.shape)
        momenta -= np.sum(momenta * spins, axis=1, keepdims=True) * spins
        before = self._energy(spins) + 0.5 * float(np.sum(momenta**2))
        push = pushed(spins)
        for _ in range(self.path):
            momenta = momenta + 0.5 * step * push
            spins, momenta = _along_circles(spins, momenta, step)
            push = pushed(spins)
            momenta = momenta + 0.5 * step * push
        change = self._energy(spins) + 0.5 * float(np.sum(momenta**2)) - before
        taken = change <= 0.0 or rng.random() < np.exp(-change / kT)
        if taken:
            self._spins.spins = spins
        self._spins.write()
        chance = float(np.exp(-max(change, 0.0) / kT))
        self.acceptance += 0.1 * (chance - self.acceptance)
        self.width = float(np.clip(self.width * (1.0 + 0.1 * (chance - _GOOD_ACCEPTANCE)), 1e-5, 1.0))

    def checkpoint_state(self) -> dict[str, Any]:
        """What a bit-exact restart needs: also the size of the moves."""
        return {**super().checkpoint_state(), "width": self.width, "acceptance": self.acceptance}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`checkpoint_state` gave."""
        super().restore_state(state)
        self.width, self.acceptance = float(state["width"]), float(state["acceptance"])


def _along_circles(spins: FloatArray, momenta: FloatArray, step: float) -> tuple[FloatArray, FloatArray]:
    """Spins and momenta (N, 3) after `step` on great circles: s cos w + p/|p| sin w, p cos w - |p| s sin w, w = |p| step."""
    speed = np.linalg.norm(momenta, axis=1, keepdims=True)
    angle = speed * step
    cosine, sine = np.cos(angle), np.sin(angle)
    ahead = np.divide(momenta, speed, out=np.zeros_like(momenta), where=speed > 0.0)
    moved, carried = spins * cosine + ahead * sine, momenta * cosine - speed * spins * sine
    norm = np.linalg.norm(moved, axis=1, keepdims=True)
    moved = np.divide(moved, norm, out=moved, where=norm > 0.0)
    return moved, carried - np.sum(carried * moved, axis=1, keepdims=True) * moved


__all__ = ["HybridMonteCarlo", "HybridMonteCarloConfig"]
