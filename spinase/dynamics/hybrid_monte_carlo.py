"""Hybrid Monte Carlo of the spins on any conservative calculator: electrons, learned models, dipoles of large magnets."""

from __future__ import annotations

from typing import IO

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from spinase.atoms import set_moments
from spinase.brief import call
from spinase.contract import calculator_of, is_conservative, refuse_reference_lengths
from spinase.dynamics.base import AppliedField
from spinase.dynamics.ramp import FieldRampConfig, NotNegative, RampConfig, Temperature
from spinase.dynamics.sampling_driver import SamplingDriver
from spinase.dynamics.settings import as_generator, checked
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


class HybridMonteCarlo(SamplingDriver):
    """All spins move at once along a trajectory of an auxiliary dynamics, which a Metropolis test accepts or not.

    Tangent momenta p_i are drawn from exp(-p^2/2kT); leapfrog steps on the spheres, p += h/2 F, spins along great circles,
    p += h/2 F, with F_i the tangent part of -dE/ds_i, are reversible and keep volumes, so accepting exp(-(change of
    E + p^2/2)/kT) samples exp(-E/kT), whatever the size of the steps, which adapts less and less.  It asks for fields and
    energies only.

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
        self.path = int(path)
        super().__init__(
            atoms,
            kT,
            rng=rng,
            width=checked("width", width, positive=True),
            field=field,
            frozen=frozen,
            trajectory=trajectory,
            logfile=logfile,
            loginterval=loginterval,
        )
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

    def _touches_atoms(self) -> bool:
        """Energies are asked of the atoms."""
        return True

    def _energy(self, spins: FloatArray) -> float:
        """Energy of the spins in the applied field."""
        set_moments(self.atoms, self._spins.lengths[:, None] * spins)
        energy = free_energy(self.atoms, self.applied_field())
        assert energy is not None  # a driven calculator has been refused
        return energy

    def _turn(self, timestep: float, start: float = 0.0) -> None:
        """One trajectory, accepted or not."""
        kT, rng, fields = self._temperature(), self.rng, self._fields
        assert rng is not None
        assert fields is not None
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
        self._adapt(chance, _GOOD_ACCEPTANCE, (1e-5, 1.0))


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
