"""How long a run will take: a step of every stage, a call of every observer, a frame and a checkpoint are made and timed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spinase.atoms import SpinAtoms
from spinase.contract import Driver
from spinase.dynamics.checkpoint import save_checkpoint
from spinase.io.layout import RunWriter
from spinase.measures import summary
from spinase.observers.base import observe
from spinase.run.build import Setup, StageInput
from spinase.run.streams import FRAMES, RunStreams

_LOOK = 0.2  # seconds for which steps are made at most, after the first two


@dataclass(frozen=True)
class Cost:
    """What a part of a run costs.

    Attributes
    ----------
    name : str
        Such as ``steps of llg`` or ``calls of energy``.
    count : int
        How often it is done in the whole run.
    seconds : float
        What one takes.
    """

    name: str
    count: int
    seconds: float

    @property
    def total(self) -> float:
        """Seconds of all of them."""
        return self.count * self.seconds


def forecast(setup: Setup, drivers: Sequence[Driver]) -> list[Cost]:
    """Costs of the parts of a run on this machine now; figures at the end and the compilation of loops come on top.

    Steps are made on copies of the atoms from their start, so a magnet that gets dearer later (more neighbours, a field
    that is harder to solve) is not foreseen.  Stages whose drivers are divided among processes are not tried.

    Parameters
    ----------
    setup : Setup
        What runs; its atoms stay as they are.
    drivers : sequence of Driver
        One of each stage (:func:`spinase.run.execute.check_stages`).
    """
    costs: list[Cost] = []
    tried: dict[tuple[int, Any], float] = {}
    moved, last = setup.atoms, drivers[-1]
    for stage, driver in zip(setup.stages, drivers, strict=True):
        if driver.team.size > 1 or not driver.divisible or stage.steps == 0:
            continue
        alike = (id(stage.calculator), stage.driver)
        if alike not in tried:
            moved, last, tried[alike] = _try_steps(stage, setup.atoms)
        costs.append(Cost(f"steps of {stage.name}", stage.steps, tried[alike]))
    if not costs:
        return []
    with tempfile.TemporaryDirectory() as folder:
        return costs + _outputs(setup, RunStreams(setup, drivers), moved, last, Path(folder))


def _try_steps(stage: StageInput, atoms: SpinAtoms) -> tuple[SpinAtoms, Driver, float]:
    """A copy of the atoms after a few steps, its driver, and the seconds of a step."""
    moved = atoms.copy()
    moved.calc = stage.calculator
    driver = stage.driver.from_config(stage.options, moved, np.random.default_rng(0))
    driver.run(1)
    steps, spent = 0, 0.0
    while steps == 0 or (spent < _LOOK and steps + 1 < stage.steps and not driver.finished):
        count = max(1, min(steps, stage.steps - steps - 1))
        spent += _seconds(lambda count=count: driver.run(count))  # type: ignore[misc]
        steps += count
    return moved, driver, spent / steps


def _outputs(setup: Setup, streams: RunStreams, atoms: SpinAtoms, driver: Driver, folder: Path) -> list[Cost]:
    """Costs of observers, frames with their log lines, and checkpoints.

    Those that are due most often come first: what they have evaluated is not evaluated again by the others.
    """
    output, steps = setup.config.output, setup.steps
    entries = sorted(setup.observers, key=lambda one: one.every)
    rounds = []
    for _ in range(2):  # the first one may compile
        atoms.calc.reset()
        rounds.append([_seconds(lambda one=one: observe(one.observer, atoms, driver)) for one in entries])  # type: ignore[misc]
    costs = [
        Cost(f"calls of {one.observer.name}", steps // one.every + 1, min(seconds))
        for one, *seconds in zip(entries, *rounds, strict=True)
    ]
    with RunWriter(folder / "run.h5", streams.infos, streams.static, streams.attributes({})) as writer:
        writer.start()

        def frame() -> None:
            """One frame, as a run writes it."""
            summary(atoms, driver.applied_field())
            writer.append(FRAMES, 0, 0.0, streams.frame(atoms))

        def checkpoint() -> None:
            """One checkpoint, as a run writes it."""
            writer.sync()
            state = {"moments": atoms.arrays["initial_magmoms"], "driver": driver.checkpoint_state()}
            save_checkpoint(folder / "checkpoint.npz", state)

        costs.append(Cost("frames", steps // output.every + 1, min(_seconds(frame), _seconds(frame))))
        costs.append(Cost("checkpoints", steps // output.checkpoint_every + 2, _seconds(checkpoint)))
    return costs


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def forecast_text(costs: Sequence[Cost]) -> str:
    """A line that says what takes how long, dearest first.

    Parameters
    ----------
    costs : sequence of Cost
        Of :func:`forecast`.
    """
    if not costs:
        return "time: not tried (the driver is divided among processes, or makes its steps elsewhere)"
    total = sum(cost.total for cost in costs)
    dear = sorted((cost for cost in costs if cost.total >= 0.01 * total), key=lambda cost: -cost.total)
    parts = ", ".join(f"{cost.count} {cost.name} {_duration(cost.total)}" for cost in dear)
    return f"time: about {_duration(total)} here ({parts}); compiling and figures come on top"


def _duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 120.0:
        return f"{seconds:.2g} s" if seconds < 99.5 else f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 7200.0 else f"{seconds / 3600.0:.1f} h"


__all__ = ["Cost", "forecast", "forecast_text"]
