"""Monte Carlo sampling of the spins of classical models: single runs, simulated annealing, parallel tempering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field

from spinase.atoms import get_moments, set_moments
from spinase.brief import call
from spinase.classical.clusters import wolff
from spinase.classical.sampling import HEAT_BATH, METROPOLIS, OVER_RELAXATION, Sampler, make_sampler
from spinase.contract import local_model_of
from spinase.dynamics.base import AppliedField
from spinase.dynamics.constrained import mobile_mask
from spinase.dynamics.ramp import FieldRampConfig, NotNegative, Ramp, RampConfig, Temperature
from spinase.dynamics.sampling_driver import SamplingDriver
from spinase.dynamics.settings import as_generator, written
from spinase.errors import ModelError
from spinase.measures import free_energy
from spinase.spin_algebra import directions
from spinase.typing import BoolArray, FloatArray

Method = Literal["heat-bath", "metropolis"]
_KINDS = {"heat-bath": HEAT_BATH, "metropolis": METROPOLIS}
_GOOD_ACCEPTANCE = 0.5


class MonteCarloConfig(BaseModel):
    """Options of the ``monte-carlo`` driver in an input file.  A step is a sweep over all spins."""

    model_config = ConfigDict(extra="forbid")

    kT: NotNegative | RampConfig = Field(description="temperature as an energy, or a ramp { from, to } [eV or t]")  # noqa: N815
    method: Method = Field("heat-bath", description="heat-bath or metropolis")
    over_relaxation: int = Field(0, ge=0, description="microcanonical sweeps in each step")
    cluster_moves: int = Field(0, ge=0, description="Wolff clusters that are mirrored in each step, before the sweep")
    field: tuple[float, float, float] | FieldRampConfig | None = Field(None, description="uniform applied field, or a ramp")
    frozen: list[int] | None = Field(None, description="indices of spins that do not move")

    @property
    def timestep(self) -> float:
        """A sweep counts as one unit of time."""
        return 1.0


class MonteCarlo(SamplingDriver):
    """Metropolis or heat-bath sampling; a step is one sweep over all spins, and time counts sweeps.

    It works on calculators that are sums over sites and pairs (exchange, DMI, anisotropies, Zeeman, biquadratic, four-spin,
    bond tables): one spin then costs only its neighbours.  Dipoles of up to 1000 sites are all pairs; larger magnets, and
    any other calculator, are for :class:`~spinase.dynamics.HybridMonteCarlo`.

    Parameters
    ----------
    atoms : Atoms
        The magnet with its calculator.
    kT : float or function of time
        Temperature as an energy; a :class:`~spinase.dynamics.Ramp` makes it annealing.
    method : str
        ``"heat-bath"`` (a spin is drawn anew in the field of its neighbours, with a Metropolis test for what is not linear
        in it) or ``"metropolis"`` (small random turns whose size adapts to an acceptance of one half).
    over_relaxation : int
        Sweeps that reflect every spin about its field, in each step: they keep the energy and decorrelate faster.
    cluster_moves : int
        Wolff clusters in each step, before the sweep: they follow isotropic exchange, decorrelate critical magnets, and are
        accepted by what the rest of the energy says (:mod:`spinase.classical.clusters`).
    rng : numpy Generator or int
        Source of randomness, or a seed.
    field, frozen, trajectory, logfile, loginterval
        As in :class:`~spinase.dynamics.LLGDynamics`.

    Raises
    ------
    ModelError
        If the calculator is driven or has no cheap local energies.
    """

    Config = MonteCarloConfig
    time_unit = "sweeps"
    citation = (
        "Y. Miyatake et al., J. Phys. C 19, 2539 (1986) (heat bath); "
        "M. Creutz, Phys. Rev. D 36, 515 (1987), doi:10.1103/PhysRevD.36.515; "
        "U. Wolff, Phys. Rev. Lett. 62, 361 (1989), doi:10.1103/PhysRevLett.62.361 (clusters)"
    )

    def __init__(
        self,
        atoms: Atoms,
        kT: Temperature | str,  # noqa: N803
        *,
        rng: np.random.Generator | int,
        method: Method = "heat-bath",
        over_relaxation: int = 0,
        cluster_moves: int = 0,
        field: AppliedField | str | None = None,
        frozen: ArrayLike | None = None,
        trajectory: str | None = None,
        logfile: IO[str] | str | None = None,
        loginterval: int = 1,
    ) -> None:
        _require_method(method)
        rng = as_generator(rng, "Monte Carlo")
        if over_relaxation != int(over_relaxation) or over_relaxation < 0:
            raise ModelError(f"over_relaxation must be a whole number of sweeps, got {over_relaxation!r}")
        if cluster_moves != int(cluster_moves) or cluster_moves < 0:
            raise ModelError(f"cluster_moves must be a whole number of clusters, got {cluster_moves!r}")
        self.method, self.over_relaxation, self.cluster_moves = method, int(over_relaxation), int(cluster_moves)
        self.cluster_size = 0.0  # mean of the last step
        self._sampler: Sampler | None = None
        super().__init__(
            atoms,
            kT,
            rng=rng,
            width=1.0,
            field=field,
            frozen=frozen,
            trajectory=trajectory,
            logfile=logfile,
            loginterval=loginterval,
        )
        local_model_of(atoms)

    def __repr__(self) -> str:
        return call(
            type(self).__name__,
            sites=len(self.atoms),
            sweeps_done=self.nsteps,
            calculator=self.atoms.calc,
            kT=written(self.kT, "kT", self.unit_system),
            method=self.method,
            over_relaxation=self.over_relaxation or None,
            cluster_moves=self.cluster_moves or None,
            field=self.field,
        )

    def _bind(self) -> None:
        self._sampler = make_sampler(local_model_of(self.atoms, self._spins.lengths))

    def _turn(self, timestep: float, start: float = 0.0) -> None:
        """One sweep, after the microcanonical ones."""
        kT, sampler = self._temperature(), self._sampler
        assert sampler is not None
        assert self.rng is not None
        lengths = self._spins.lengths
        if self.field is not None:
            sampler = sampler.with_field(lengths[:, None] * self.applied_field())
        mobile = self.mobile & (lengths > 0.0)
        self._spins.spins = spins = np.ascontiguousarray(self._spins.spins).copy()
        for _ in range(self.over_relaxation):
            sampler.sweep(spins, mobile, kT, OVER_RELAXATION, 0.0, self.rng)
        sizes = [wolff(sampler, spins, mobile, kT, self.rng)[0] for _ in range(self.cluster_moves)]
        self.cluster_size = float(np.mean(sizes)) if sizes else 0.0
        self.acceptance = sampler.sweep(spins, mobile, kT, _KINDS[self.method], self.width, self.rng)
        if self.method == "metropolis":
            self._adapt(self.acceptance, _GOOD_ACCEPTANCE, (1e-4, 2.0))


def simulated_annealing(
    atoms: Atoms,
    start: float,
    stop: float,
    sweeps: int,
    rng: np.random.Generator | int,
    **options: Any,
) -> float:
    """Cool the spins of `atoms` from kT = `start` to `stop` geometrically in `sweeps` sweeps; returns the final energy.

    Options are those of :class:`MonteCarlo`; the energy contains that in an applied field among them.  The atoms are
    changed; relax them afterwards for the nearest minimum.

    Parameters
    ----------
    atoms : Atoms
        With the calculator of a classical model; changed in place.
    start, stop : float
        First and last kT, energy.
    sweeps : int
        Sweeps over all spins.
    rng : numpy Generator or seed
        Source of randomness.
    options
        Of :class:`MonteCarlo`.

    Raises
    ------
    ModelError
        On temperatures that are not positive, or a calculator that cannot be sampled.
    """
    if not (start > 0.0 and stop > 0.0 and np.isfinite(start) and np.isfinite(stop)):
        raise ModelError(f"annealing needs two positive temperatures, got {start} and {stop}")
    logarithm = Ramp(np.log(start), np.log(stop), max(sweeps - 1, 1))
    driver = MonteCarlo(atoms, lambda time: float(np.exp(logarithm(time))), rng=rng, **options)
    driver.run(sweeps)
    energy = free_energy(atoms, driver.applied_field())
    assert energy is not None  # a driven calculator has been refused
    return energy


@dataclass(frozen=True)
class TemperingResult:
    """What parallel tempering returns.

    Attributes
    ----------
    kT : (R,)
        Temperatures as energies.
    energies : (T, R)
        Energy at each temperature after every step of the measurement, as the calculator counts it.
    observed : (T, R, ...) or None
        What the user's function returned.
    spins : (R, N, 3)
        Last spins at each temperature.
    exchanges : (R - 1,)
        Part of the accepted exchanges between neighbouring temperatures.
    """

    kT: FloatArray  # noqa: N815
    energies: FloatArray
    observed: FloatArray | None
    spins: FloatArray
    exchanges: FloatArray


def parallel_tempering(
    atoms: Atoms,
    temperatures: Sequence[float],
    steps: int,
    rng: np.random.Generator | int,
    *,
    thermalize: int = 0,
    sweeps: int = 1,
    over_relaxation: int = 0,
    method: Method = "heat-bath",
    frozen: ArrayLike | None = None,
    observe: Callable[[FloatArray], ArrayLike] | None = None,
) -> TemperingResult:
    """Replicas at several temperatures that exchange their spins.

    Parameters
    ----------
    atoms : Atoms
        The magnet; every replica starts from its spins.  At the end it has those of the lowest temperature.
    temperatures : sequence of float
        kT of the replicas, energies, ascending or not.
    steps : int
        Steps of the measurement; each is `sweeps` sweeps of every replica and a round of exchanges.
    rng : numpy Generator or int
        Source of randomness, or a seed.
    thermalize : int
        Steps before the measurement.
    sweeps, over_relaxation, method, frozen
        As of :class:`MonteCarlo`.
    observe : function of spins (N, 3), optional
        Measured on every replica after every step.

    Raises
    ------
    ModelError
        On temperatures that are not positive, or a calculator that cannot be sampled.
    """
    _require_method(method)
    kT = np.asarray(temperatures, dtype=np.float64)
    if kT.ndim != 1 or len(kT) < 1 or not (np.isfinite(kT) & (kT > 0.0)).all():
        raise ModelError(f"parallel tempering needs positive temperatures, got {temperatures!r}")
    rng = as_generator(rng, "parallel tempering")
    sampler = make_sampler(local_model_of(atoms))
    moments = get_moments(atoms)
    lengths = np.linalg.norm(moments, axis=1)
    replicas = np.repeat(directions(moments)[0][None], len(kT), axis=0)
    mobile = mobile_mask(frozen, len(atoms)) & (lengths > 0.0)
    constant = (free_energy(atoms) or 0.0) - sampler.energy(replicas[0])  # what sampling need not know
    state = _Tempering(sampler, kT, mobile, replicas, _KINDS[method], rng)
    energies, observed = np.empty((steps, len(kT))), []
    generator = rng.bit_generator.state
    try:
        for step in range(-thermalize, steps):
            state.advance(sweeps, over_relaxation, parity=step % 2)
            if step == -1:
                state.reset_counts()
            if step >= 0:
                energies[step] = state.energies + constant
                if observe is not None:
                    observed.append([np.asarray(observe(spins)) for spins in replicas])
    except BaseException:  # an interrupt, too: atoms and generator are as before
        rng.bit_generator.state = generator
        raise
    set_moments(atoms, lengths[:, None] * replicas[int(np.argmin(kT))])
    measured = None if observe is None else np.array(observed)
    return TemperingResult(kT, energies, measured, replicas, state.accepted / np.maximum(state.tried, 1))


class _Tempering:
    """Replicas, their energies and the count of exchanges."""

    def __init__(
        self,
        sampler: Sampler,
        kT: FloatArray,  # noqa: N803
        mobile: BoolArray,
        replicas: FloatArray,
        kind: int,
        rng: np.random.Generator,
    ) -> None:
        self.sampler, self.kT, self.mobile, self.replicas, self.kind, self.rng = sampler, kT, mobile, replicas, kind, rng
        self.energies = np.zeros(len(kT))
        self.reset_counts()

    def reset_counts(self) -> None:
        """Count exchanges between neighbouring temperatures from zero."""
        self.accepted, self.tried = np.zeros(len(self.kT) - 1), np.zeros(len(self.kT) - 1)

    def advance(self, sweeps: int, over_relaxation: int, parity: int) -> None:
        """Sweep every replica at its temperature, and take its energy."""
        for r, spins in enumerate(self.replicas):
            for _ in range(sweeps):
                for _ in range(over_relaxation):
                    self.sampler.sweep(spins, self.mobile, self.kT[r], OVER_RELAXATION, 0.0, self.rng)
                self.sampler.sweep(spins, self.mobile, self.kT[r], self.kind, 2.0, self.rng)
            self.energies[r] = self.sampler.energy(spins)
        for r in range(parity, len(self.kT) - 1, 2):
            self.tried[r] += 1
            weight = (1.0 / self.kT[r] - 1.0 / self.kT[r + 1]) * (self.energies[r] - self.energies[r + 1])
            if weight >= 0.0 or self.rng.random() < np.exp(weight):
                self.replicas[[r, r + 1]] = self.replicas[[r + 1, r]]
                self.energies[[r, r + 1]] = self.energies[[r + 1, r]]
                self.accepted[r] += 1


def _require_method(method: str) -> None:
    if method not in _KINDS:
        raise ModelError(f"method must be 'heat-bath' or 'metropolis', got {method!r}")


__all__ = ["MonteCarlo", "TemperingResult", "parallel_tempering", "simulated_annealing"]
