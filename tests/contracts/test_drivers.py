"""The conformance kit of drivers: all built-in ones pass, and each broken one fails the check it should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import (
    HeisenbergCalculator,
    LandauCalculator,
    PairPotentialCalculator,
    SpinSumCalculator,
    UniaxialAnisotropyCalculator,
)
from spinase.contract import Driver
from spinase.dynamics import (
    ElectronBath,
    FreeLengthSpins,
    HybridMonteCarlo,
    InertialSpins,
    IsotropicBarostat,
    LatticeBussi,
    LatticeLangevin,
    LLGDynamics,
    MonteCarlo,
    PathSearch,
    Relaxation,
    SpinLatticeDynamics,
    set_maxwell_boltzmann,
)
from spinase.radial import Exponential, Morse
from spinase.styles import list_styles
from spinase.testing import DRIVER_CHECKS, ConformanceError, check_driver

EXCHANGE = Exponential(amplitude=0.1, decay=1.0, reference=2.8, cutoff=4.4, width=0.6)
WELL = Morse(depth=0.4, decay=1.4, reference=2.8, cutoff=5.0, width=1.0)
FIELD, FROZEN = [0.0, 0.1, 0.3], [1, 2]
Make = Callable[[np.random.Generator], Driver]


def square(*more: Any) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=1)
    exchange = HeisenbergCalculator([1.0])
    atoms.calc = SpinSumCalculator([exchange, *more]) if more else exchange
    return atoms


def crystal() -> SpinAtoms:
    atoms = SpinAtoms.lattice("cubic", (2, 2, 2), a=2.8, moment=2.0, rng=1)
    atoms.calc = SpinSumCalculator([PairPotentialCalculator(WELL), HeisenbergCalculator(law=EXCHANGE)])
    set_maxwell_boltzmann(atoms, 0.03, np.random.default_rng(1))
    return atoms


def llg(rng: np.random.Generator, **options: Any) -> Driver:
    return LLGDynamics(square(), 0.05, damping=0.1, rng=rng, field=FIELD, frozen=FROZEN, **options)


def moving(rng: np.random.Generator, **options: Any) -> Driver:
    return SpinLatticeDynamics(crystal(), 0.1, rng=rng, field=[0.0, 0.0, 0.01], frozen=FROZEN, **options)


def path(rng: np.random.Generator) -> Driver:
    start = square(UniaxialAnisotropyCalculator(0.1))
    end = start.copy()
    end.spins = SpinAtoms.lattice("square", (3, 3), units="reduced", rng=2).spins
    return PathSearch(start, end, images=4, relax_ends=False, rng=rng)


DRIVERS: dict[str, tuple[str, Make]] = {
    "LLG": ("llg", llg),
    "LLG in a bath": ("llg", lambda rng: llg(rng, kT=0.2, integrator="heun")),
    "inertial": ("llg", lambda rng: llg(rng, kT=0.2, motion=InertialSpins(0.5))),
    "free lengths": (
        "llg",
        lambda rng: LLGDynamics(
            square(LandauCalculator([-0.5, 0.25, 0.0])), 0.05, kT=0.1, motion=FreeLengthSpins(0.2), rng=rng
        ),
    ),
    "spin-lattice": ("spin-lattice", moving),
    "Langevin": ("spin-lattice", lambda rng: moving(rng, thermostat=LatticeLangevin(0.03, 0.01), damping=0.1, kT=0.02)),
    "piston": (
        "spin-lattice",
        lambda rng: moving(rng, thermostat=LatticeBussi(0.03, 5.0), barostat=IsotropicBarostat(0.03, 0.0, 50.0)),
    ),
    "electrons": ("spin-lattice", lambda rng: moving(rng, electrons=ElectronBath(0.03, 50.0, 0.001), damping=0.1)),
    "relaxation": ("relax", lambda rng: Relaxation(square(), frozen=FROZEN)),
    "relaxation of both": ("relax", lambda rng: Relaxation(crystal(), move="both", minimizer="lbfgs")),
    "path": ("neb", path),
    "hybrid": (
        "hybrid-monte-carlo",
        lambda rng: HybridMonteCarlo(square(), 0.4, rng=rng, path=3, field=FIELD, frozen=FROZEN),
    ),
    "clusters": ("monte-carlo", lambda rng: MonteCarlo(square(), 0.4, rng=rng, cluster_moves=2, field=FIELD, frozen=FROZEN)),
    "heat bath": ("monte-carlo", lambda rng: MonteCarlo(square(), 0.4, rng=rng, field=FIELD, frozen=FROZEN)),
    "Metropolis": (
        "monte-carlo",
        lambda rng: MonteCarlo(square(), 0.4, rng=rng, method="metropolis", over_relaxation=1, field=FIELD, frozen=FROZEN),
    ),
}


@pytest.mark.parametrize("name", DRIVERS)
def test_built_in_drivers_keep_the_contract(name: str) -> None:
    report = check_driver(DRIVERS[name][1])
    skipped = {result.name for result in report if result.status == "skipped"}
    expected = {
        "monte-carlo": {"interrupt"},
        "relax": {"field", "observers"} | ({"frozen"} if name != "relaxation" else set()),
        "neb": {"field", "observers", "frozen"},
    }.get(DRIVERS[name][0], set())
    assert skipped == expected | ({"lengths", "frozen", "field"} if name == "free lengths" else set())


def test_every_driver_style_is_checked() -> None:
    own = {style.name for style in list_styles("drivers") if style.package == "spinase"}
    assert {style for style, _ in DRIVERS.values()} == own


# -- broken ones --------------------------------------------------------------------------------------------------------


class ForgetsTheGenerator(LLGDynamics):
    def restore_state(self, state):
        super().restore_state({**state, "rng": None})


class ForgetsTheClock(LLGDynamics):
    def checkpoint_state(self):
        return {**super().checkpoint_state(), "clock": {"time": 0.0, "step": 2, "timestep": self.dt}}


class Stretches(LLGDynamics):
    def _turn(self, timestep, start=0.0):
        super()._turn(timestep, start)
        self._spins.spins = 1.001 * self._spins.spins


class ThawsSpins(LLGDynamics):
    def equation(self, part):
        equation = super().equation(part)
        equation.respond = ()
        return equation


class LeavesOutTheField(LLGDynamics):
    def fields(self, part):
        return super().fields(part)[:1]


class CountsTwice(LLGDynamics):
    def get_number_of_steps(self):
        return 2 * self.nsteps


class TimeRuns(LLGDynamics):
    def get_time(self):
        return super().get_time() ** 2


class ObserversEveryStep(LLGDynamics):
    def attach(self, function, interval=1, *args, **kwargs):
        super().attach(function, 1, *args, **kwargs)


class ObserversOnOldAtoms(LLGDynamics):
    def _observers_due(self, nsteps):
        return False


class HalfSteps(LLGDynamics):
    def _recall(self, before):
        self._suspect = True


class DividesDifferently(LLGDynamics):
    def run(self, steps=50):
        self.damping = 0.1 + 0.01 * steps
        return super().run(steps)


BROKEN = [
    (ForgetsTheGenerator, {"restart"}),
    (ForgetsTheClock, {"restart"}),
    (Stretches, {"lengths"}),
    (ThawsSpins, {"frozen"}),
    (LeavesOutTheField, {"field"}),
    (CountsTwice, {"clock"}),
    (TimeRuns, {"clock"}),
    (ObserversEveryStep, {"observers"}),
    (ObserversOnOldAtoms, {"observers"}),
    (HalfSteps, {"interrupt"}),
    (DividesDifferently, {"division"}),
]


@pytest.mark.parametrize(("kind", "fails"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_driver_fails_the_right_check(kind: type[LLGDynamics], fails: set[str]) -> None:
    def make(rng: np.random.Generator) -> Driver:
        return kind(square(), 0.05, damping=0.1, kT=0.2, rng=rng, field=FIELD, frozen=FROZEN)

    with pytest.raises(ConformanceError) as caught:
        check_driver(make)
    assert fails <= {result.name for result in caught.value.report.failures}


def test_a_driver_that_lacks_something_is_told_what() -> None:
    class Bare:
        def __init__(self, rng: np.random.Generator) -> None:
            self.atoms = square()

    with pytest.raises(ConformanceError, match="it lacks from_config, run, get_number_of_steps"):
        check_driver(Bare, checks=["members"])
    with pytest.raises(ValueError, match="unknown check 'speed'"):
        check_driver(llg, checks=["speed"])
    assert "restart" in DRIVER_CHECKS
