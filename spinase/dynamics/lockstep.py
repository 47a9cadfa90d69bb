"""Runs side by side: drivers of magnets of their own that ask for fields and forces together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from spinase.contract import calculator_of, members_of
from spinase.dynamics.base import SpinDriver
from spinase.errors import ModelError
from spinase.rendezvous import run_together


def lockstep(drivers: Sequence[SpinDriver], steps: int) -> None:
    """Run every driver for so many steps, all of them together: learned magnets then take one pass for the fields of all.

    Every run is what it is alone: its own options, observers, random numbers and checkpoints.  Learned magnets of one
    network (``calc.twin()`` for every run, alone or as members of sums) are evaluated as one magnet that falls apart, so
    numbers are those of a run alone to the round-off of the network's precision, and those of the same runs together to
    the last bit.  Other calculators are asked one after the other.

    Parameters
    ----------
    drivers : sequence of SpinDriver
        Each with atoms, calculators and random numbers of its own; temperatures, time steps, integrators may differ, and
        so may drivers.  Only magnets of equal numbers of sites share passes.
    steps : int
        For each, from where it is.

    Raises
    ------
    ModelError
        Without drivers, or if two of them share atoms, a calculator or random numbers: says which.
    Exception
        Of the first run that fails, with a note that says which.  It and the others are after whole steps, at most
        one apart, and go on from there; so they are after an interrupt.

    Examples
    --------
    >>> learned = HIPNNCalculator.shipped("disordered-sd-moving")
    >>> for seed, atoms in enumerate(magnets):
    ...     atoms.calc = SpinSumCalculator([learned.twin(), PairPotentialCalculator(law)])
    >>> lockstep([SpinLatticeDynamics(atoms, 0.1, rng=seed) for seed, atoms in enumerate(magnets)], 1000)
    """
    if not drivers:
        raise ModelError("there is nothing to run: give one driver at least")
    seen: dict[int, tuple[int, str]] = {}
    for k, driver in enumerate(drivers):
        for _, one in _own(driver):
            if id(one) in seen:
                before, name = seen[id(one)]
                raise ModelError(
                    f"runs {before} and {k} share {name}: give every run its own (of a learned magnet calc.twin(), which "
                    "has the same network)"
                )
        seen.update({id(one): (k, what) for what, one in _own(driver)})
    run_together([partial(driver.run, steps) for driver in drivers])


def _own(driver: SpinDriver) -> list[tuple[str, Any]]:
    """What belongs to a run alone, with its name."""
    found: list[tuple[str, Any]] = [("the driver", driver), ("the atoms", driver.atoms)]
    if driver.rng is not None:
        found.append(("the random numbers", driver.rng))
    calculators = [calculator_of(driver.atoms)]
    while calculators:
        calc = calculators.pop()
        found.append((f"the {type(calc).__name__}", calc))
        calculators += members_of(calc)
    return found


__all__ = ["lockstep"]
