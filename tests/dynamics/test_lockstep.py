"""Runs side by side are the runs alone, in one call of the learned magnet for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

from spinase import SpinAtoms
from spinase.calculators import (
    HeisenbergCalculator,
    HIPNNCalculator,
    LatticeCalculator,
    PairPotentialCalculator,
    SpinSumCalculator,
)
from spinase.calculators.learned import LearnedCalculator
from spinase.dynamics import LatticeLangevin, LLGDynamics, SpinLatticeDynamics, lockstep, set_maxwell_boltzmann
from spinase.errors import ModelError, UnstableDynamicsError
from spinase.learning.ensemble import Ensemble
from spinase.radial import Exponential
from spinase.typing import FloatArray

SITES, LAW = 40, Exponential(0.3, 8.0, 1.0, 2.0, 0.5)


def moving(calc: LearnedCalculator, seed: int) -> SpinLatticeDynamics:
    """Atoms and spins in baths of temperatures that differ from run to run."""
    atoms = SpinAtoms.disordered(SITES, density=1.0, min_distance=0.75, units="reduced", rng=seed)
    atoms.set_masses(np.full(SITES, 200.0))
    atoms.calc = SpinSumCalculator([calc, PairPotentialCalculator(LAW)])
    set_maxwell_boltzmann(atoms, 0.02, np.random.default_rng(seed))
    kT = 0.02 * (1 + seed)
    return SpinLatticeDynamics(atoms, 0.1, thermostat=LatticeLangevin(kT, 0.2), damping=0.2, kT=kT, rng=seed)


def turning(calc: LearnedCalculator, seed: int) -> LLGDynamics:
    """Spins of a lattice at rest, each run with a time step and an integrator of its own."""
    atoms = SpinAtoms.lattice("square", (6, 6), units="reduced", rng=seed)
    atoms.calc = calc
    return LLGDynamics(
        atoms, 0.05 * (1 + seed), damping=0.1, integrator=("sib", "midpoint", "heun")[seed], kT=0.01, rng=seed
    )


CASES: dict[str, Callable[..., Any]] = {"moving": moving, "turning": turning}


@cache
def learned(case: str) -> LearnedCalculator:
    if case == "moving":
        return HIPNNCalculator.shipped("disordered-sd-moving")  # whose loops other tests compile
    return LatticeCalculator.shipped("square-double-exchange-lattice", outside_domain="ignore")


def state(driver: Any) -> FloatArray:
    return np.concatenate([driver.atoms.positions, driver.atoms.get_momenta(), driver.atoms.moments])


def side_by_side(case: str, count: int = 3) -> Sequence[Any]:
    return [CASES[case](learned(case).twin(), seed) for seed in range(count)]


@pytest.mark.parametrize("case", CASES)
def test_runs_side_by_side_are_the_runs_alone(case: str) -> None:
    drivers = side_by_side(case)
    lockstep(drivers, 4)
    for driver, alone in zip(drivers, side_by_side(case), strict=True):
        alone.run(4)
        assert driver.nsteps == alone.nsteps == 4
        np.testing.assert_allclose(state(driver), state(alone), atol=2e-6)  # single precision


@pytest.mark.parametrize("case", CASES)
def test_a_restart_goes_on_to_the_last_bit(case: str) -> None:
    whole, first, rest = (side_by_side(case) for _ in range(3))
    lockstep(whole, 5)
    lockstep(first, 2)
    for one, other in zip(rest, first, strict=True):
        one.restore_state(other.checkpoint_state())
    lockstep(rest, 3)
    for one, other in zip(rest, whole, strict=True):
        np.testing.assert_array_equal(state(one), state(other))


def test_one_pass_answers_all_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    drivers, asked = side_by_side("moving"), []
    lockstep(drivers, 1)
    find = Ensemble.find

    def counted(self: Ensemble, states: Sequence[Any], moving: bool) -> None:
        asked.append((len(states), moving))
        find(self, states, moving)

    monkeypatch.setattr(Ensemble, "find", counted)
    lockstep(drivers, 3)
    assert [size for size, moved in asked if moved] == [3] * 3  # forces: once a step, whatever iterations came before
    assert {size for size, moved in asked if not moved} <= {1, 2, 3}
    assert asked[0][0] == 3


def test_observers_see_their_own_run() -> None:
    drivers, seen = side_by_side("turning"), []
    for k, driver in enumerate(drivers):
        driver.attach(lambda k=k, driver=driver: seen.append((k, driver.nsteps, driver.atoms.moments.copy())), interval=2)
    lockstep(drivers, 4)
    for k, driver in enumerate(drivers):
        own = [one for one in seen if one[0] == k]
        assert [steps for _, steps, _ in own] == [0, 2, 4]
        np.testing.assert_array_equal(own[-1][2], driver.atoms.moments)
        assert not np.array_equal(own[0][2], own[1][2])


@pytest.mark.parametrize("error", [UnstableDynamicsError("too hot"), KeyboardInterrupt()])
def test_an_error_leaves_all_runs_after_whole_steps(error: BaseException) -> None:
    drivers, reference = side_by_side("turning"), side_by_side("turning")

    def stop() -> None:
        if drivers[1].nsteps == 2:
            raise error

    drivers[1].attach(stop, interval=1)
    with pytest.raises(type(error)) as caught:
        lockstep(drivers, 6)
    if isinstance(error, Exception):
        assert "task 1 of 3" in caught.value.__notes__[0]
    assert drivers[1].nsteps == 2
    drivers[1].observers.clear()
    for one, other in zip(drivers, reference, strict=True):
        assert abs(one.nsteps - 2) <= 1
        other.run(one.nsteps)
        np.testing.assert_allclose(state(one), state(other), atol=2e-6)
        one.run(6 - one.nsteps)
        other.run(6 - other.nsteps)
        np.testing.assert_allclose(state(one), state(other), atol=2e-6)


def test_other_calculators_and_drivers_come_along() -> None:
    def runs() -> list[LLGDynamics]:
        found = []
        for seed, size in enumerate((3, 4)):
            atoms = SpinAtoms.lattice("square", (size, size), units="reduced", rng=seed)
            atoms.calc = HeisenbergCalculator(shells=[1.0])
            found.append(LLGDynamics(atoms, 0.1, damping=0.1))
        return found

    together, alone = runs(), runs()
    lockstep(together, 3)
    for one, other in zip(together, alone, strict=True):
        other.run(3)
        np.testing.assert_array_equal(one.atoms.moments, other.atoms.moments)


def test_what_runs_must_not_share() -> None:
    drivers = side_by_side("turning")
    with pytest.raises(ModelError, match=r"nothing to run"):
        lockstep([], 1)
    with pytest.raises(ModelError, match=r"runs 0 and 2 share the driver"):
        lockstep([*drivers[:2], drivers[0]], 1)
    drivers[2].atoms.calc = drivers[1].atoms.calc
    with pytest.raises(ModelError, match=r"runs 1 and 2 share the LatticeCalculator: .*calc.twin\(\)"):
        lockstep(drivers, 1)
    drivers = side_by_side("turning")
    drivers[1].rng = drivers[0].rng
    with pytest.raises(ModelError, match=r"runs 0 and 1 share the random numbers"):
        lockstep(drivers, 1)
