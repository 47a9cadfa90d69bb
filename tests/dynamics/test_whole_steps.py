"""A step is made whole or not at all: what an interrupt or an error in the middle leaves, and how a run goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ase import units

from spinase import SpinAtoms
from spinase.atoms import get_moments
from spinase.calculators import (
    HeisenbergCalculator,
    KPMCalculator,
    LandauCalculator,
    PairPotentialCalculator,
    RationalCalculator,
    SpinSumCalculator,
)
from spinase.calculators.base import SpinCalculator
from spinase.dynamics import (
    ElectronBath,
    FreeLengthSpins,
    Heun,
    InertialSpins,
    IsotropicBarostat,
    LatticeBussi,
    LatticeLangevin,
    LLGDynamics,
    MonteCarlo,
    SpinLatticeDynamics,
    parallel_tempering,
    set_maxwell_boltzmann,
)
from spinase.electrons import SDModel, ShellHopping
from spinase.radial import Exponential, Morse

EXCHANGE = Exponential(amplitude=0.1, decay=1.0, reference=2.8, cutoff=4.4, width=0.6)
MODEL = SDModel(ShellHopping([1.0]), 1.0, filling=0.3, kT=0.3)
WELL = Morse(depth=0.4, decay=1.4, reference=2.8, cutoff=5.0, width=1.0)


class Trap:
    """Raises in one of the calls of SpinCalculator.solve, counted from `arm`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls, self.at, self.error = 0, -1, KeyboardInterrupt
        trap, solve = self, {}
        for cls in (HeisenbergCalculator, PairPotentialCalculator, KPMCalculator, RationalCalculator, LandauCalculator):
            solve[cls] = cls.solve

            def caught(this: SpinCalculator, *args: Any, _cls: type = cls) -> Any:
                trap.calls += 1
                found = solve[_cls](this, *args)  # the calculator has done its work, and has changed what it remembers
                if trap.calls == trap.at:
                    raise trap.error("in the middle of a step")
                return found

            monkeypatch.setattr(cls, "solve", caught)

    def arm(self, at: int, error: type[BaseException]) -> None:
        self.calls, self.at, self.error = 0, at, error


def crystal() -> SpinAtoms:
    atoms = SpinAtoms.lattice("cubic", (2, 2, 2), a=2.8, moment=2.0, rng=1)
    atoms.calc = SpinSumCalculator([PairPotentialCalculator(WELL), HeisenbergCalculator(law=EXCHANGE)])
    set_maxwell_boltzmann(atoms, 0.03, np.random.default_rng(1))
    return atoms


def square(calc: object) -> SpinAtoms:
    atoms = SpinAtoms.lattice("square", (4, 4), units="reduced", rng=1)
    atoms.calc = calc
    return atoms


def landau() -> SpinAtoms:
    return square(SpinSumCalculator([HeisenbergCalculator([0.3]), LandauCalculator([-0.5, 0.25, 0.0])]))


def moving(**options: Any) -> SpinLatticeDynamics:
    return SpinLatticeDynamics(crystal(), 1.0 * units.fs, rng=np.random.default_rng(3), **options)


def moving_fast() -> SpinLatticeDynamics:
    atoms = crystal()
    return SpinLatticeDynamics(atoms, 1.0 * units.fs, fast=atoms.calc.calculators[0], fast_substeps=2)


def electronic(calc: object) -> LLGDynamics:
    return LLGDynamics(square(calc), 0.1, damping=0.2, integrator="heun")


DRIVERS: dict[str, Callable[[], LLGDynamics]] = {
    "spins in a bath": lambda: LLGDynamics(crystal(), units.fs, damping=0.1, kT=0.02, rng=np.random.default_rng(2)),
    "inertial spins": lambda: LLGDynamics(
        crystal(), units.fs, damping=0.1, kT=0.02, motion=InertialSpins(0.1), rng=np.random.default_rng(2)
    ),
    "free lengths": lambda: LLGDynamics(landau(), 0.1, kT=0.05, motion=FreeLengthSpins(0.2), rng=np.random.default_rng(2)),
    "atoms, Langevin, substeps": lambda: moving(
        thermostat=LatticeLangevin(0.03, 0.01), damping=0.1, kT=0.02, spin_substeps=2
    ),
    "atoms, Bussi, piston": lambda: moving(thermostat=LatticeBussi(0.03, 5.0), barostat=IsotropicBarostat(0.03, 0.0, 50.0)),
    "atoms, electrons": lambda: moving(electrons=ElectronBath(0.03, 50.0, 0.001), damping=0.1),
    "atoms, fast forces": moving_fast,
    "probing": lambda: electronic(KPMCalculator(MODEL, accuracy=0.05)),
    "rational": lambda: electronic(RationalCalculator(MODEL)),
}


def everything(dynamics: LLGDynamics) -> list[np.ndarray]:
    atoms, parts = dynamics.atoms, [getattr(dynamics, name, None) for name in ("motion", "barostat", "electrons")]
    kept = [np.ravel(value) for part in parts if part is not None for value in part.state().values()]
    generator = [] if dynamics.rng is None else [np.array(str(dynamics.rng.bit_generator.state))]
    clock = [np.array([dynamics.nsteps, dynamics.get_time()])]
    return [atoms.positions, atoms.get_momenta(), get_moments(atoms), atoms.cell.array, *kept, *generator, *clock]


def assert_same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("name", DRIVERS)
def test_a_step_that_fails_leaves_nothing_and_the_run_goes_on_as_if_it_had_not(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = Trap(monkeypatch)
    whole = DRIVERS[name]()
    whole.run(2)
    trap.arm(-1, KeyboardInterrupt)
    whole.run(1)
    calls = trap.calls
    assert calls >= 2
    whole.run(1)
    for k in range(1, calls + 1):
        trap.arm(-1, KeyboardInterrupt)
        cut = DRIVERS[name]()
        cut.run(2)
        before = [np.array(value) for value in everything(cut)]
        error = (KeyboardInterrupt, ZeroDivisionError)[k % 2]
        trap.arm(k, error)
        with pytest.raises(error):
            cut.run(2)
        assert_same(everything(cut), before)
        cut.run(2)
        assert_same(everything(cut), everything(whole))


def test_a_step_of_its_own_fails_without_a_trace_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the very first, and one that is called as step()."""
    trap = Trap(monkeypatch)
    dynamics = DRIVERS["atoms, Langevin, substeps"]()
    dynamics.probe = False
    before = [np.array(value) for value in everything(dynamics)]
    trap.arm(2, RuntimeError)
    with pytest.raises(RuntimeError, match="middle of a step"):
        dynamics.step()
    assert_same(everything(dynamics), before)


def test_an_interrupted_sweep_of_monte_carlo_is_not_made() -> None:
    def make(trap: list[int]) -> MonteCarlo:
        def field(time: float) -> tuple[float, float, float]:
            if trap and trap[0] == 0:
                trap.clear()
                raise KeyboardInterrupt
            if trap:
                trap[0] -= 1
            return 0.0, 0.0, 0.1

        atoms = square(HeisenbergCalculator([1.0]))
        return MonteCarlo(atoms, 0.5, rng=4, method="metropolis", over_relaxation=1, field=field)

    whole, trap = make([]), [5]
    whole.run(6)
    cut = make(trap)
    with pytest.raises(KeyboardInterrupt):
        cut.run(6)
    left = 6 - cut.nsteps
    assert 0 < left < 6
    cut.run(left)
    assert_same(everything(cut), everything(whole))
    assert (cut.width, cut.acceptance) == (whole.width, whole.acceptance)


def test_tempering_that_is_interrupted_leaves_atoms_and_generator() -> None:
    atoms, rng = square(HeisenbergCalculator([1.0])), np.random.default_rng(3)
    before, state = get_moments(atoms), rng.bit_generator.state

    def observe(spins: np.ndarray) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parallel_tempering(atoms, [0.1, 0.2], 5, rng, observe=observe)
    np.testing.assert_array_equal(get_moments(atoms), before)
    assert rng.bit_generator.state == state


@pytest.mark.parametrize("name", ["spins in a bath", "atoms, Langevin, substeps"])
def test_an_observer_that_raises_stops_between_steps(name: str) -> None:
    whole, cut = DRIVERS[name](), DRIVERS[name]()
    whole.run(5)

    def look() -> None:
        if cut.nsteps == 3 and not seen:
            seen.append(cut.nsteps)
            raise KeyboardInterrupt

    seen: list[int] = []
    cut.attach(look, 1)
    with pytest.raises(KeyboardInterrupt):
        cut.run(5)
    assert cut.nsteps == 3
    cut.run(2)
    np.testing.assert_allclose(get_moments(cut.atoms), get_moments(whole.atoms), rtol=0, atol=1e-13)


def test_an_integrator_with_a_memory_is_taken_back_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(Heun):
        """Turns by a little more in every step."""

        def __init__(self) -> None:
            self.steps = 0

        def step(self, spins: np.ndarray, rate: Any, timestep: float) -> np.ndarray:
            self.steps += 1
            return super().step(spins, rate, timestep * (1 + 0.01 * self.steps))

        def state(self) -> dict[str, Any]:
            return {"steps": self.steps}

        def restore(self, state: dict[str, Any]) -> None:
            self.steps = int(state["steps"])

    trap = Trap(monkeypatch)
    dynamics = LLGDynamics(crystal(), units.fs, integrator=Counting())
    dynamics.run(2)
    trap.arm(2, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        dynamics.run(1)
    assert dynamics.integrator.state() == {"steps": 2}
    again = LLGDynamics(crystal(), units.fs, integrator=Counting())
    again.restore_state(dynamics.checkpoint_state())
    assert again.integrator.state() == {"steps": 2}
